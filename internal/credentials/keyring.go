// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// KeyRing has the manager's keys while they change in their Secret.
type KeyRing struct {
	client          client.Client
	namespace, name string
	now             func() time.Time
	keys            atomic.Pointer[Keys]
}

// OpenKeyRing reads the keys as EnsureKeys does.
func OpenKeyRing(ctx context.Context, c client.Client, namespace, name string, now func() time.Time) (*KeyRing, error) {
	r := &KeyRing{client: c, namespace: namespace, name: name, now: now}
	return r, r.Refresh(ctx)
}

// Keys returns the keys that the Secret had at the last successful Refresh.
func (r *KeyRing) Keys() Keys { return *r.keys.Load() }

// Refresh reads the Secret again, and makes the keys that it does not have.
func (r *KeyRing) Refresh(ctx context.Context) error {
	keys, err := EnsureKeys(ctx, r.client, r.namespace, r.name, r.now())
	if err != nil {
		return err
	}
	r.keys.Store(&keys)
	return nil
}
