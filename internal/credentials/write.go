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
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/internal/storage"
)

const (
	managedByLabel = "app.kubernetes.io/managed-by"
	managedBy      = "platen"
)

// trackers are labels and annotations by which a GitOps tool knows its objects.
var trackers = []string{
	"kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name", "argocd.argoproj.io/instance", "argocd.argoproj.io/tracking-id",
}

// Writer writes Secrets for people who connect an account, with the rights of its client.
type Writer struct{ client.Client }

// ApplyDropbox applies the Secret that a StorageConnection names, and drops the app secret of another app. applied is true once the Secret
// has the values, also if the drop fails then. The error is a *storage.Error if something else, such as a GitOps tool, keeps the Secret as
// it is.
func (w Writer) ApplyDropbox(ctx context.Context, namespace, name string, values Redacted, options ...client.ApplyOption) (applied bool, err error) {
	before := &corev1.Secret{}
	if err := w.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, before); client.IgnoreNotFound(err) != nil {
		return false, err
	}
	if by := keeper(before); by != "" {
		return false, fault(storage.ReasonSecretNotOurs, "Secret '%s' is kept by %s, which would undo the change: put the new refreshToken there", name, by)
	}
	secret := values.Secret(namespace, name)
	if before.ResourceVersion == "" || before.Labels[managedByLabel] == managedBy { // DeleteOurs must leave a Secret that a person made
		secret.WithLabels(map[string]string{managedByLabel: managedBy})
	}
	if err := w.Apply(ctx, secret, options...); err != nil {
		return false, err
	}
	if dryRun := (&client.ApplyOptions{}).ApplyOptions(options).DryRun; len(dryRun) > 0 || before.Data["appSecret"] == nil || string(before.Data["appKey"]) == values["appKey"] {
		return true, nil
	}
	return true, w.Patch(ctx, before, client.RawPatch(types.MergePatchType, []byte(`{"data":{"appSecret":null}}`)))
}

// keeper names the owner or tool that would undo a change to a Secret, empty if there is none.
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

// isOurs reports whether ApplyDropbox has made a Secret, and nothing else keeps it.
func isOurs(secret *corev1.Secret) bool {
	return secret.Labels[managedByLabel] == managedBy && keeper(secret) == ""
}

// IsOurs reports whether a Secret is there that DeleteOurs deletes.
func (w Writer) IsOurs(ctx context.Context, namespace, name string) (bool, error) {
	secret := &corev1.Secret{}
	err := w.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	return err == nil && isOurs(secret), client.IgnoreNotFound(err)
}

// DeleteOurs deletes a Secret that ApplyDropbox has made. It leaves any other Secret, and gone is then false.
func (w Writer) DeleteOurs(ctx context.Context, namespace, name string) (gone bool, err error) {
	secret := &corev1.Secret{}
	err = w.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil || !isOurs(secret) {
		return false, err
	}
	err = w.Delete(ctx, secret, client.Preconditions{UID: &secret.UID})
	return err == nil, client.IgnoreNotFound(err)
}
