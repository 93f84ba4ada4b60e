// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/podspec"
)

// uncached are the kinds that the manager's cache does not have.
var uncached = []string{"Secret", "ConfigMap", "TokenReview"}

// apiClient is a process's client of the API server. It reads from the process's cache, or, if live is true, from the server.
type apiClient struct {
	p    *process
	live bool
}

var _ client.Client = &apiClient{}

// Get implements client.Reader.
func (c *apiClient) Get(ctx context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	w, kind := c.p.w, c.p.w.api.kindOf(o)
	if !c.live && !slices.Contains(uncached, kind) {
		return c.p.cache.Get(ctx, key, o)
	}
	if err := c.request(ctx, "get", kind, key.Name); err != nil {
		return err
	}
	found := w.api.get(kind, key)
	if found == nil {
		return apierrors.NewNotFound(resource(kind), key.Name)
	}
	return into(found, o)
}

// List implements client.Reader.
func (c *apiClient) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	kind := c.p.w.api.kindOf(list)
	if !c.live {
		return c.p.cache.List(ctx, list, options...)
	}
	if err := c.request(ctx, "list", kind, ""); err != nil {
		return err
	}
	return fill(list, c.p.w.api.list(kind), nil, options)
}

// request passes a request that changes nothing.
func (c *apiClient) request(ctx context.Context, verb, kind, name string) error {
	w := c.p.w
	what := fmt.Sprintf("%s %s %s", verb, kind, name)
	w.api.count(verb + " " + kind)
	if err := c.p.reach(ctx, what); err != nil {
		return err
	}
	if w.happens(w.plan.internalError, "internal error for "+what) {
		return apierrors.NewInternalError(errors.New("etcdserver: leader changed"))
	}
	return nil
}

// write passes a request that changes an object.
func (c *apiClient) write(ctx context.Context, verb string, o client.Object, apply func() error) error {
	w, kind := c.p.w, c.p.w.api.kindOf(o)
	w.api.count(verb + " " + kind)
	what := fmt.Sprintf("%s %s %s", verb, kind, w.alias(o.GetName()))
	for w.happens(w.plan.throttle, "throttle "+what) {
		// The real client waits as long as it is told and sends the request again.
		if err := sleep(ctx, w.between("retry after of "+what, time.Second, 3*time.Second)); err != nil {
			return err
		}
	}
	return w.effect(ctx, c.p, what, func() error {
		if at := w.elapsed() - w.plan.refusingFrom; at >= 0 && at < w.plan.refusingFor {
			return apierrors.NewInternalError(errors.New("etcdserver: mvcc: database space exceeded"))
		}
		if w.happens(w.plan.internalError, "internal error for "+what) {
			return apierrors.NewInternalError(errors.New("etcdserver: request timed out"))
		}
		if verb == "patch status of" && w.happens(w.plan.conflict, "conflict of "+what) {
			return apierrors.NewConflict(resource(kind), o.GetName(), errors.New("the object has been modified"))
		}
		return nil
	}, apply)
}

// Create implements client.Writer.
func (c *apiClient) Create(ctx context.Context, o client.Object, _ ...client.CreateOption) error {
	if review, ok := o.(*authenticationv1.TokenReview); ok {
		return c.review(ctx, review)
	}
	return c.write(ctx, "create", o, func() error {
		err := c.p.w.api.create(o)
		if pod, ok := o.(*corev1.Pod); ok && err == nil {
			c.p.w.node.bind(pod)
		}
		return err
	})
}

// review answers a TokenReview: the tokens of the model are the UIDs of pods.
func (c *apiClient) review(ctx context.Context, review *authenticationv1.TokenReview) error {
	if err := c.request(ctx, "create", "TokenReview", c.p.w.alias(review.Spec.Token)); err != nil {
		return err
	}
	pod := c.p.w.node.byToken(review.Spec.Token)
	if pod == nil {
		return nil
	}
	review.Status = authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{podspec.Audience},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:" + pod.key.Namespace + ":default",
			Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {pod.key.Name},
				"authentication.kubernetes.io/pod-uid":  {string(pod.uid)},
			},
		},
	}
	return nil
}

// Delete implements client.Writer.
func (c *apiClient) Delete(ctx context.Context, o client.Object, options ...client.DeleteOption) error {
	parsed := (&client.DeleteOptions{}).ApplyOptions(options)
	kind, key := c.p.w.api.kindOf(o), client.ObjectKeyFromObject(o)
	return c.write(ctx, "delete", o, func() error {
		var uid types.UID
		if p := parsed.Preconditions; p != nil && p.UID != nil {
			uid = *p.UID
		}
		if kind == "Pod" && (parsed.GracePeriodSeconds == nil || *parsed.GracePeriodSeconds > 0) {
			return c.p.w.node.terminate(key, uid, "")
		}
		return c.p.w.api.remove(kind, key, uid)
	})
}

// Status implements client.StatusClient.
func (c *apiClient) Status() client.SubResourceWriter { return statusClient{c} }

// statusClient writes the status subresource.
type statusClient struct{ *apiClient }

// Patch implements client.SubResourceWriter.
func (c statusClient) Patch(ctx context.Context, o client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	return c.write(ctx, "patch status of", o, func() error {
		err := c.p.w.api.patchStatus(o, patch)
		if err != nil {
			return err
		}
		switch o := o.(type) {
		case *platenv1alpha1.RenderJob:
			c.p.w.api.wrote(c.p, o)
		case *platenv1alpha1.RenderPool:
			c.p.w.api.wrotePool(c.p, o)
		}
		return err
	})
}

// The methods below are not used by the manager.

// Create implements client.SubResourceWriter.
func (statusClient) Create(context.Context, client.Object, client.Object, ...client.SubResourceCreateOption) error {
	return errors.ErrUnsupported
}

// Update implements client.SubResourceWriter.
func (statusClient) Update(context.Context, client.Object, ...client.SubResourceUpdateOption) error {
	return errors.ErrUnsupported
}

// Apply implements client.SubResourceWriter.
func (statusClient) Apply(context.Context, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
	return errors.ErrUnsupported
}

// Update implements client.Writer.
func (*apiClient) Update(context.Context, client.Object, ...client.UpdateOption) error {
	return errors.ErrUnsupported
}

// Patch implements client.Writer.
func (*apiClient) Patch(context.Context, client.Object, client.Patch, ...client.PatchOption) error {
	return errors.ErrUnsupported
}

// Apply implements client.Writer.
func (*apiClient) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	return errors.ErrUnsupported
}

// DeleteAllOf implements client.Writer.
func (*apiClient) DeleteAllOf(context.Context, client.Object, ...client.DeleteAllOfOption) error {
	return errors.ErrUnsupported
}

// SubResource implements client.SubResourceClientConstructor.
func (*apiClient) SubResource(string) client.SubResourceClient { return nil }

// Scheme implements client.Client.
func (c *apiClient) Scheme() *runtime.Scheme { return c.p.w.scheme }

// RESTMapper implements client.Client.
func (*apiClient) RESTMapper() meta.RESTMapper { return nil }

// GroupVersionKindFor implements client.Client.
func (c *apiClient) GroupVersionKindFor(o runtime.Object) (schema.GroupVersionKind, error) {
	return apiutil.GVKForObject(o, c.p.w.scheme)
}

// IsObjectNamespaced implements client.Client.
func (*apiClient) IsObjectNamespaced(runtime.Object) (bool, error) { return true, nil }

// into copies an object into another of its type, or its metadata.
func into(from, to client.Object) error {
	if partial, ok := to.(*metav1.PartialObjectMetadata); ok {
		partial.Name, partial.Namespace, partial.UID = from.GetName(), from.GetNamespace(), from.GetUID()
		partial.ResourceVersion, partial.Labels = from.GetResourceVersion(), from.GetLabels()
		return nil
	}
	source, target := reflect.ValueOf(clone(from)), reflect.ValueOf(to)
	if source.Type() != target.Type() {
		return fmt.Errorf("a %T is not a %T", from, to)
	}
	target.Elem().Set(source.Elem())
	return nil
}

// fill puts the objects that match the options into a list, sorted by name. values returns the index values of an object.
func fill(list client.ObjectList, objects []client.Object, values func(field string, o client.Object) []string, options []client.ListOption) error {
	parsed := (&client.ListOptions{}).ApplyOptions(options)
	var requirements fields.Requirements
	if parsed.FieldSelector != nil {
		requirements = parsed.FieldSelector.Requirements()
	}
	var matching []runtime.Object
	slices.SortFunc(objects, func(a, b client.Object) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
	})
	for _, o := range objects {
		keep := (parsed.Namespace == "" || o.GetNamespace() == parsed.Namespace) &&
			(parsed.LabelSelector == nil || parsed.LabelSelector.Matches(labels.Set(o.GetLabels())))
		for _, r := range requirements {
			keep = keep && values != nil && slices.Contains(values(r.Field, o), r.Value)
		}
		if keep {
			matching = append(matching, o)
		}
	}
	return meta.SetList(list, matching)
}
