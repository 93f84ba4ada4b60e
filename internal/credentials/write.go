// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// Applied says what ApplyDropbox has done.
type Applied struct {
	// Done is true once the Secret has the values.
	Done bool
	// Filed tells that the Secret is from a file of kubectl apply, which brings its values back when it is applied again.
	Filed bool
}

// ApplyDropbox applies the Secret that a StorageConnection names, and drops the app secret of another app. The error is a *storage.Error if something
// else, such as a GitOps tool, keeps the Secret as it is, and a conflict if another field manager has its values, unless the options force it.
func (w Writer) ApplyDropbox(ctx context.Context, namespace, name string, values Redacted, options ...client.ApplyOption) (applied Applied, err error) {
	before := &corev1.Secret{}
	if err := w.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, before); client.IgnoreNotFound(err) != nil {
		return applied, err
	}
	if by := keeper(before); by != "" {
		return applied, fault(storage.ReasonSecretNotOurs, "Secret '%s' is kept by %s, which would undo the change: put the new refreshToken there", name, by)
	}
	chosen := (&client.ApplyOptions{}).ApplyOptions(options)
	manager, hidden := appliedBy(before, chosen.FieldManager)
	applied.Filed = manager != ""
	if forced := chosen.Force != nil && *chosen.Force; hidden && !forced {
		cause := metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Field: ".stringData", Message: fmt.Sprintf("conflict with %q", manager)}
		return applied, apierrors.NewApplyConflict([]metav1.StatusCause{cause}, fmt.Sprintf("Apply failed with 1 conflict: %s: %s", cause.Message, cause.Field))
	}
	secret := values.Secret(namespace, name)
	if before.ResourceVersion == "" || before.Labels[managedByLabel] == managedBy { // DeleteOurs must leave a Secret that a person made
		secret.WithLabels(map[string]string{managedByLabel: managedBy})
	}
	if err := w.Apply(ctx, secret, options...); err != nil {
		return applied, err
	}
	applied.Done = true
	if len(chosen.DryRun) > 0 || before.Data["appSecret"] == nil || string(before.Data["appKey"]) == values["appKey"] {
		return applied, nil
	}
	return applied, w.Patch(ctx, before, client.RawPatch(types.MergePatchType, []byte(`{"data":{"appSecret":null}}`)))
}

// keeper names the owner or tool that would undo a change to an object, empty if there is none.
func keeper(o client.Object) string {
	for _, owner := range o.GetOwnerReferences() {
		return fmt.Sprintf("%s '%s'", owner.Kind, owner.Name)
	}
	for _, tracker := range slices.Concat(slices.Collect(maps.Keys(o.GetLabels())), slices.Collect(maps.Keys(o.GetAnnotations()))) {
		if slices.Contains(trackers, tracker) {
			return "a GitOps tool"
		}
	}
	return ""
}

// IsFromManifest reports whether an owner, a GitOps tool or a file of kubectl apply has an object, and makes it again after somebody has deleted it. An apply
// of the field manager own is none of a file.
func IsFromManifest(o client.Object, own string) bool {
	return keeper(o) != "" || o.GetAnnotations()[corev1.LastAppliedConfigAnnotation] != "" ||
		slices.ContainsFunc(o.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
			return entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" && entry.Manager != own
		})
}

// appliedBy returns the field manager, other than own, whose kubectl apply has written the values of a Secret; empty if there is none. hidden tells that an
// apply of other values meets no conflict: the API server turns stringData into data without an owner.
func appliedBy(secret *corev1.Secret, own string) (manager string, hidden bool) {
	if secret.Annotations[corev1.LastAppliedConfigAnnotation] != "" {
		manager = "kubectl-client-side-apply"
	}
	for _, entry := range secret.ManagedFields {
		fields := map[string]json.RawMessage{}
		if entry.Operation != metav1.ManagedFieldsOperationApply || entry.Manager == own || entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if fields["f:stringData"] != nil {
			return entry.Manager, true
		}
		if fields["f:data"] != nil {
			manager = entry.Manager
		}
	}
	return manager, false
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
