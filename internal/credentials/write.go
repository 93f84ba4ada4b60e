// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

const (
	// SecretNotOurs is the reason of an Error about a Secret that something else keeps as it is.
	SecretNotOurs = "SecretNotOurs"

	managedByLabel = "app.kubernetes.io/managed-by"
	managedBy      = "platen"
)

// trackers are labels and annotations by which a GitOps tool knows its objects.
var trackers = []string{
	"kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name", "argocd.argoproj.io/instance", "argocd.argoproj.io/tracking-id",
}

// Writer writes Secrets for people who connect an account, with the rights of its client.
type Writer struct{ client.Client }

// SaveDropbox makes the Secret that a StorageConnection names, or puts new credentials into it. A Secret that something else
// keeps as it is, such as a GitOps tool, is left alone: the error is an *Error then.
func (w Writer) SaveDropbox(ctx context.Context, namespace, name string, d Dropbox) error {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	secret := &corev1.Secret{}
	err := w.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		return w.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: name,
				Labels: map[string]string{platenv1alpha1.CredentialsLabel: "true", managedByLabel: managedBy},
			},
			Data: d.Secret(namespace, name).Data,
		})
	}
	if err != nil {
		return err
	}
	if keeper := keeper(secret); keeper != "" {
		return &Error{SecretNotOurs, fmt.Sprintf("Secret '%s' is kept by %s, which would undo the change: put the new refreshToken there", name, keeper)}
	}
	before := secret.DeepCopy()
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	secret.Labels[platenv1alpha1.CredentialsLabel] = "true"
	if secret.Data == nil || string(secret.Data["appKey"]) != d.AppKey {
		secret.Data = map[string][]byte{} // another app's secret would not fit
	}
	maps.Copy(secret.Data, d.Secret(namespace, name).Data)
	return w.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// keeper names what keeps a Secret as it is; empty when nothing does.
func keeper(secret *corev1.Secret) string {
	for _, owner := range secret.OwnerReferences {
		return fmt.Sprintf("%s '%s'", owner.Kind, owner.Name)
	}
	for _, tracker := range slices.Concat(slices.Collect(maps.Keys(secret.Labels)), slices.Collect(maps.Keys(secret.Annotations))) {
		if slices.Contains(trackers, tracker) {
			return "a GitOps tool"
		}
	}
	return ""
}

// DeleteOurs deletes a Secret that SaveDropbox has made; any other is left. gone is false then.
func (w Writer) DeleteOurs(ctx context.Context, namespace, name string) (gone bool, err error) {
	secret := &corev1.Secret{}
	err = w.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil || secret.Labels[managedByLabel] != managedBy || keeper(secret) != "" {
		return false, err
	}
	err = w.Delete(ctx, secret, client.Preconditions{UID: &secret.UID})
	return err == nil, client.IgnoreNotFound(err)
}
