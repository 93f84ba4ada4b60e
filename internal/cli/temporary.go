// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// temporaryTTL is the TTL of the job: it deletes the job of a command that was killed.
const temporaryTTL = 10 * time.Minute

// leftoverError says that temporary objects are left in the cluster. A person must see it even if they have interrupted the command.
type leftoverError struct{ error }

// Unwrap returns the cause.
func (e *leftoverError) Unwrap() error { return e.error }

// goesOnError says what goes on in the cluster. A person must see it even if they have interrupted the command.
type goesOnError struct{ error }

// Unwrap returns the cause.
func (e *goesOnError) Unwrap() error { return e.error }

// createTemporary creates a template and a job that renders it, both with generated names. The caller must call discard, which deletes
// them even after ctx has ended. If createTemporary fails, it leaves nothing behind.
func (c *cluster) createTemporary(ctx context.Context, prefix string, template *platenv1alpha1.RenderTemplate, job *platenv1alpha1.RenderJob) (discard func() error, err error) {
	template.ObjectMeta = metav1.ObjectMeta{GenerateName: prefix, Namespace: c.namespace}
	if err := c.createWhole(ctx, template); err != nil {
		return nil, err
	}
	job.ObjectMeta = metav1.ObjectMeta{
		GenerateName: template.Name + "-", Namespace: c.namespace,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(template, platenv1alpha1.GroupVersion.WithKind("RenderTemplate"))},
	}
	job.Spec.TemplateRef.Name = template.Name
	job.Spec.TTLSecondsAfterFinished = new(int32(temporaryTTL.Seconds()))
	if err := outputFields.refusal(c.createWhole(ctx, job)); err != nil {
		if left := c.discard(ctx, "rendertemplate", template); left != nil {
			return nil, errors.Join(err, &leftoverError{left})
		}
		return nil, err
	}
	return func() error {
		if err := errors.Join(c.discard(ctx, "renderjob", job), c.discard(ctx, "rendertemplate", template)); err != nil {
			return &leftoverError{err}
		}
		return nil
	}, nil
}

// createWhole creates an object even if ctx ends meanwhile: a request that is cut off may leave an object with an unknown name.
func (c *cluster) createWhole(ctx context.Context, object client.Object) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	return c.Create(ctx, object, client.FieldOwner(fieldOwner))
}

// discard deletes an object even after ctx has ended.
func (c *cluster) discard(ctx context.Context, kind string, object client.Object) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	if err := client.IgnoreNotFound(c.Delete(ctx, object)); err != nil {
		return fmt.Errorf("%s %s could not be deleted: %w; delete it yourself (kubectl delete %s %s -n %s)",
			kind, object.GetName(), err, kind, object.GetName(), c.namespace)
	}
	return nil
}
