// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

func TestStoreHasOneOwner(t *testing.T) {
	store := open(t)
	claim := func(owner, previous, wantOwner string) {
		t.Helper()
		err := store.Claim(t.Context(), owner, previous)
		other := (*OwnerError)(nil)
		switch {
		case wantOwner == "" && err != nil:
			t.Errorf("%s: %v", owner, err)
		case wantOwner != "" && (!errors.As(err, &other) || other.Owner != wantOwner || other.Wanted != owner):
			t.Errorf("%s: got %v, want that the store belongs to %s", owner, err, wantOwner)
		}
	}
	claim("berlin", "", "")
	claim("berlin", "", "")
	claim("berlin", "bonn", "")
	claim("paris", "", "berlin")
	claim("paris", "bonn", "berlin")
	claim("paris", "berlin", "")
	claim("paris", "berlin", "") // the flag may stay
	claim("berlin", "", "paris")
}

func TestOwnersWhoMeet(t *testing.T) {
	store := open(t)
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { errs[i] = store.Claim(t.Context(), name, "") })
	}
	all.Wait()
	owners := 0
	for i, err := range errs {
		if err == nil {
			owners++
		} else if other := (*OwnerError)(nil); !errors.As(err, &other) {
			t.Errorf("%s: %v", names[i], err)
		}
	}
	if owners != 1 {
		t.Errorf("%d of %d own the store", owners, len(names))
	}
}

func TestOwnersNames(t *testing.T) {
	store := open(t)
	for _, name := range []string{"", strings.Repeat("x", maxOwner+1)} {
		if err := store.Claim(t.Context(), name, ""); err == nil {
			t.Errorf("%d bytes were taken", len(name))
		}
	}
	ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	put(t, store, ref, page(1), "x")
	if err := store.Claim(t.Context(), "berlin", ""); err != nil {
		t.Fatal(err)
	}
	walked := 0
	if err := store.Walk(t.Context(), func(Object) error { walked++; return nil }); err != nil || walked != 1 {
		t.Errorf("%d objects, %v: the owner is no file of a job", walked, err)
	}
}
