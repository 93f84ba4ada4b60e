// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// SharedKey is a secret that the replicas of a program share. Only Derive uses it.
type SharedKey struct{ key []byte }

// String implements fmt.Stringer.
func (SharedKey) String() string { return "[redacted]" }

// Derive returns 32 bytes for one purpose. They reveal nothing about the bytes for another purpose.
func (k SharedKey) Derive(purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, k.key, nil, purpose, signingKeyBytes)
	if err != nil {
		panic(err) // the length is a constant that fits
	}
	return derived
}

// EnsureSharedKey reads the key from a Secret, and creates the Secret if it does not exist. Replicas that start together get the same key.
// A Secret that cannot be used is an error and is not changed. c must not read from a cache.
func EnsureSharedKey(ctx context.Context, c client.Client, namespace, name string) (SharedKey, error) {
	const field = "shared.key"
	at := types.NamespacedName{Namespace: namespace, Name: name}
	secret := &corev1.Secret{}
	err := c.Get(ctx, at, secret)
	if apierrors.IsNotFound(err) {
		secret.Namespace, secret.Name = namespace, name
		key := make([]byte, signingKeyBytes)
		_, _ = rand.Read(key) // never fails, see crypto/rand
		secret.Data = map[string][]byte{field: key}
		if err = c.Create(ctx, secret); apierrors.IsAlreadyExists(err) {
			err = c.Get(ctx, at, secret)
		}
	}
	if err != nil {
		return SharedKey{}, fmt.Errorf("the shared key in Secret %s: %w", at, err)
	}
	if len(secret.Data[field]) < signingKeyBytes {
		return SharedKey{}, fmt.Errorf("the shared key in Secret %s cannot be used (delete it, and a new one is created): %s must have at least %d bytes", at, field, signingKeyBytes)
	}
	return SharedKey{secret.Data[field]}, nil
}
