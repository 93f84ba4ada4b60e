// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// marks returns the time until which each render of a store is retained.
func marks(t *testing.T, store *Store) map[Ref]time.Time {
	t.Helper()
	until := map[Ref]time.Time{}
	err := store.Walk(t.Context(), func(o Object) error {
		if !o.RetainedUntil.IsZero() {
			if _, twice := until[o.Ref]; twice || o.IsManifest() || o.Attempt != 0 || o.Size != 0 {
				t.Errorf("a second mark, or none: %+v", o)
			}
			until[o.Ref] = o.RetainedUntil
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return until
}

func TestMarksRetainOneRenderOfAJob(t *testing.T) {
	store := open(t)
	first, second := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}, Ref{Namespace: "ns", JobUID: "uid", Revision: "2"}
	other := Ref{Namespace: "ns", JobUID: "uid2", Revision: "1"}
	soon, later := time.Unix(1_800_000_000, 0), time.Unix(1_900_000_000, 0)
	expect := func(step string, err error, want map[Ref]time.Time) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if diff := cmp.Diff(want, marks(t, store)); diff != "" {
			t.Errorf("%s: marks (-want +got):\n%s", step, diff)
		}
	}
	for _, ref := range []Ref{first, second, other} {
		put(t, store, ref, page(1), "x")
	}
	expect("of another job", store.Retain(t.Context(), other, soon), map[Ref]time.Time{other: soon})
	expect("first", store.Retain(t.Context(), first, soon), map[Ref]time.Time{other: soon, first: soon})
	expect("again", store.Retain(t.Context(), first, soon), map[Ref]time.Time{other: soon, first: soon})
	expect("longer", store.Retain(t.Context(), first, later), map[Ref]time.Time{other: soon, first: later})
	expect("another revision", store.Retain(t.Context(), second, soon), map[Ref]time.Time{other: soon, second: soon})
	expect("none", store.Release(t.Context(), "ns", "uid"), map[Ref]time.Time{other: soon})
	expect("none again", store.Release(t.Context(), "ns", "uid"), map[Ref]time.Time{other: soon})

	expect("of an attempt without a manifest", store.Retain(t.Context(), first, soon), map[Ref]time.Time{other: soon, first: soon})
	if err := store.DeleteAttempt(t.Context(), first, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Inspect(t.Context(), first, 1, page(1)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a mark is taken for the commit of a render: %v", err)
	}
	_, err := store.Delete(t.Context(), Ref{Namespace: "ns", JobUID: "uid"})
	expect("deleted", err, map[Ref]time.Time{other: soon})
	for ref := range map[Ref]bool{first: true, second: true} {
		if objects, err := store.Objects(t.Context(), ref); err != nil || len(objects) > 0 {
			t.Errorf("what is left of a deleted job: %v, %v", objects, err)
		}
	}
}

func TestURLsSayWhenTheyExpire(t *testing.T) {
	signer, now := NewSigner([]byte("key"), "https://content.example", time.Hour), time.Unix(1_700_000_100, 0)
	url := signer.URL("jobs/ns/uid/1/1/1.png", "summer.png", 0, now)
	if got := Expiry(url); got.Before(now.Add(time.Hour)) || got.After(now.Add(2*time.Hour)) {
		t.Errorf("a URL of %s expires at %s", now, got)
	}
	for _, damaged := range []string{"", "%", strings.Replace(url, "e=", "f=", 1), "https://content.example/content/ns/uid/1/1/1.png?e=-"} {
		if got := Expiry(damaged); !got.IsZero() {
			t.Errorf("'%s' expires at %s", damaged, got)
		}
	}
}
