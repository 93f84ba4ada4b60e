// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestReplicasShareTheKey(t *testing.T) {
	c := fake.NewClientBuilder().Build()
	first, err := EnsureSharedKey(t.Context(), c, "platen-system", "platen-shim")
	if err != nil {
		t.Fatal(err)
	}
	second, err := EnsureSharedKey(t.Context(), c, "platen-system", "platen-shim")
	if err != nil {
		t.Fatal(err)
	}
	a, b := first.Derive("a"), first.Derive("b")
	if diff := cmp.Diff(a, second.Derive("a")); diff != "" {
		t.Errorf("the replicas differ:\n%s", diff)
	}
	if bytes.Equal(a, b) {
		t.Error("two purposes have the same bytes")
	}
	if len(a) != 32 {
		t.Errorf("got %d bytes, want 32", len(a))
	}
	if first.String() != "[redacted]" {
		t.Error("String shows the key")
	}

	// Another replica creates the Secret between this one's Get and Create.
	late := interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if o.GetName() == "" {
				o.SetName(key.Name)
				return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	third, err := EnsureSharedKey(t.Context(), late, "platen-system", "platen-shim")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, third.Derive("a")) {
		t.Error("the late replica has another key")
	}
}

func TestAKeyThatIsTooShortIsNotChanged(t *testing.T) {
	c := fake.NewClientBuilder().WithObjects(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "platen-system", Name: "platen-shim"}, Data: map[string][]byte{"shared.key": []byte("short")},
	}).Build()
	_, err := EnsureSharedKey(t.Context(), c, "platen-system", "platen-shim")
	if err == nil || !strings.Contains(err.Error(), "shared.key") || strings.Contains(err.Error(), "short") {
		t.Errorf("got %v", err)
	}
}
