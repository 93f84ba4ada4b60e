// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package card prepares a namespace for benchmarks that render and upload a card of 1200x630.
package card

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/cluster"
)

const (
	// Name of the template, the connection and its Secret.
	Name = "card"
	// Page is the HTML of the card.
	Page = `<!doctype html><body style="margin:0;font:64px sans-serif;color:white;background:linear-gradient(135deg,#0b3d91,#c33)">
<h1 data-param="headline" style="padding:120px 80px 0">Hello World</h1></body>`
)

// Namespace creates a namespace with a generated name.
func Namespace(ctx context.Context, c *cluster.Cluster) (*corev1.Namespace, error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "bench-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	return namespace, c.Create(ctx, namespace)
}

// Remove deletes a namespace, and its account with all files, which the simulator holds in memory. It does so even if ctx has ended.
func Remove(ctx context.Context, c *cluster.Cluster, namespace string) error {
	ctx = context.WithoutCancel(ctx)
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	return errors.Join(client.IgnoreNotFound(c.Delete(ctx, object)), c.Simulator().RemoveAccount(ctx, namespace))
}

// AwaitGone waits until a namespace is gone.
func AwaitGone(ctx context.Context, c *cluster.Cluster, namespace string) error {
	return wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKey{Name: namespace}, &corev1.Namespace{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

// Prepare creates the template and a connection in a namespace, and waits until the connection is ready. The Dropbox app has the
// namespace's name.
func Prepare(ctx context.Context, c *cluster.Cluster, namespace string) error {
	account := dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "bench@example.com", DisplayName: "Bench"}
	if err := c.Simulator().AddAccount(ctx, account); err != nil {
		return err
	}
	in := metav1.ObjectMeta{Namespace: namespace, Name: Name}
	labelled := in
	labelled.Labels = map[string]string{platenv1alpha1.CredentialsLabel: "true"}
	connection := &platenv1alpha1.StorageConnection{ObjectMeta: in, Spec: platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderDropbox,
		Dropbox:  &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: Name}},
	}}
	err := errors.Join(
		c.Create(ctx, &corev1.Secret{ObjectMeta: labelled, StringData: map[string]string{"appKey": namespace, "refreshToken": "refresh"}}),
		c.Create(ctx, connection),
		c.Create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: in, Spec: platenv1alpha1.RenderTemplateSpec{
			Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 1200, Height: 630, HTML: Page}},
		}}),
	)
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(connection), connection)
		return meta.IsStatusConditionTrue(connection.Status.Conditions, platenv1alpha1.ReadyCondition), err
	})
	if err != nil {
		return fmt.Errorf("the connection is not ready: %w", err)
	}
	return nil
}
