// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Overwritten knows the objects whose status has been written and whose new version the cache does not show yet: what is decided from
// the old one would be refused. The event of the new version has them reconciled again. The zero value knows none. It is safe for
// concurrent use.
type Overwritten struct {
	versions sync.Map // types.NamespacedName → the resourceVersion that is out of date
}

// Note remembers that a write has made after of before. A write that changed nothing makes no new version.
func (o *Overwritten) Note(before, after client.Object) {
	if before.GetResourceVersion() != after.GetResourceVersion() {
		o.versions.Store(client.ObjectKeyFromObject(before), before.GetResourceVersion())
	}
}

// Stale tells whether an object from the cache has been overwritten.
func (o *Overwritten) Stale(object client.Object) bool {
	key := client.ObjectKeyFromObject(object)
	version, ok := o.versions.Load(key)
	if ok && version != object.GetResourceVersion() {
		o.versions.Delete(key)
		return false
	}
	return ok
}

// Forget is told of objects that are gone.
func (o *Overwritten) Forget(key types.NamespacedName) { o.versions.Delete(key) }
