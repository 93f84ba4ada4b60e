// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/platen-dev/platen/internal/storage"
)

func TestApplyDropbox(t *testing.T) {
	values := func(pairs ...string) map[string][]byte {
		data := map[string][]byte{}
		for i := 0; i < len(pairs); i += 2 {
			data[pairs[i]] = []byte(pairs[i+1])
		}
		return data
	}
	for name, tc := range map[string]struct {
		before *corev1.Secret
		want   map[string][]byte
		wrong  string
	}{
		"a new Secret": {nil, values("appKey", "app", "refreshToken", "fresh-token"), ""},
		"connected again": {
			&corev1.Secret{Data: values("appKey", "app", "refreshToken", "old", "appSecret", "s", "note", "mine")},
			values("appKey", "app", "refreshToken", "fresh-token", "appSecret", "s", "note", "mine"), "",
		},
		"another app":  {&corev1.Secret{Data: values("appKey", "other", "refreshToken", "old", "appSecret", "s")}, values("appKey", "app", "refreshToken", "fresh-token"), ""},
		"without data": {&corev1.Secret{}, values("appKey", "app", "refreshToken", "fresh-token"), ""},
		"in Git": {
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"}}}, nil, "kept by a GitOps tool",
		},
		"in Argo CD": {
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"argocd.argoproj.io/tracking-id": "x"}}}, nil, "kept by a GitOps tool",
		},
		"from a vault": {
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{APIVersion: "external-secrets.io/v1", Kind: "ExternalSecret", Name: "vault", UID: "1"}}}},
			nil, "kept by ExternalSecret 'vault'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := fake.NewClientBuilder().WithScheme(scheme.Scheme).Build()
			if tc.before != nil {
				tc.before.Namespace, tc.before.Name = "ns", "dropbox"
				if err := c.Create(t.Context(), tc.before); err != nil {
					t.Fatal(err)
				}
			}
			applied, err := Writer{c}.ApplyDropbox(t.Context(), "ns", "dropbox", Redacted{"appKey": "app", "refreshToken": "fresh-token"}, client.FieldOwner("test"), client.ForceOwnership)
			if tc.wrong != "" {
				problem := (*storage.Error)(nil)
				if !errors.As(err, &problem) || problem.Reason != storage.ReasonSecretNotOurs || !strings.Contains(problem.Message, tc.wrong) || strings.Contains(problem.Message, "fresh-token") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !applied.Done || applied.Filed {
				t.Fatal(applied, err)
			}
			secret := &corev1.Secret{}
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "dropbox"}, secret); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, secret.Data); diff != "" {
				t.Error(diff)
			}
			if got, _, err := (Reader{c}).Read(t.Context(), "ns", "dropbox", DropboxKeys); err != nil || got["refreshToken"] != "fresh-token" {
				t.Errorf("it cannot be read: %v", err)
			}
			// DeleteOurs deletes only a Secret that ApplyDropbox created.
			gone, err := Writer{c}.DeleteOurs(t.Context(), "ns", "dropbox")
			if err != nil || gone != (tc.before == nil) {
				t.Errorf("gone is %v, %v", gone, err)
			}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); apierrors.IsNotFound(err) != gone {
				t.Errorf("gone is %v, and the API server says %v", gone, err)
			}
		})
	}
	if gone, err := (Writer{fake.NewClientBuilder().Build()}).DeleteOurs(t.Context(), "ns", "dropbox"); !gone || err != nil {
		t.Errorf("a Secret that is not there: %v, %v", gone, err)
	}
}

// Who applies a file again gets the credentials of the file, also where the API server sees no conflict.
func TestSecretsOfFiles(t *testing.T) {
	entry := func(operation metav1.ManagedFieldsOperationType, manager, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)}
	}
	const data, stringData, labels = `{"f:data":{".":{},"f:refreshToken":{}}}`, `{"f:stringData":{"f:refreshToken":{}}}`, `{"f:metadata":{"f:labels":{}}}`
	for name, tc := range map[string]struct {
		annotation string
		fields     []metav1.ManagedFieldsEntry
		manager    string
		hidden     bool
	}{
		"created":                {fields: []metav1.ManagedFieldsEntry{entry("Update", "kubectl-create", data)}},
		"of Platen":              {fields: []metav1.ManagedFieldsEntry{entry("Apply", "platen", data)}},
		"applied by the client":  {annotation: "{}", fields: []metav1.ManagedFieldsEntry{entry("Update", "kubectl-client-side-apply", data)}, manager: "kubectl-client-side-apply"},
		"applied by the server":  {fields: []metav1.ManagedFieldsEntry{entry("Apply", "platen", data), entry("Apply", "kubectl", data)}, manager: "kubectl"},
		"applied as texts":       {fields: []metav1.ManagedFieldsEntry{entry("Apply", "kubectl", stringData)}, manager: "kubectl", hidden: true},
		"another has the labels": {fields: []metav1.ManagedFieldsEntry{entry("Apply", "kubectl", labels)}},
	} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{ManagedFields: tc.fields}}
		if tc.annotation != "" {
			secret.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: tc.annotation}
		}
		if manager, hidden := appliedBy(secret, "platen"); manager != tc.manager || hidden != tc.hidden {
			t.Errorf("%s: got %q, %v", name, manager, hidden)
		}
	}
}
