// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// observed is an Observer that remembers.
type observed struct {
	used    int64
	refused []string
}

func (o *observed) Used(bytes int64)   { o.used = bytes }
func (o *observed) Refused(why string) { o.refused = append(o.refused, why) }

func TestQuotaBoundsTheFilesOfANamespace(t *testing.T) {
	metrics := &observed{}
	store, err := Open(t.Context(), "file://"+t.TempDir(), Options{QuotaPerNamespace: 10, Observer: metrics})
	if err != nil {
		t.Fatal(err)
	}
	mine, others := Ref{Namespace: "mine", JobUID: "uid", Revision: "1"}, Ref{Namespace: "others", JobUID: "uid", Revision: "1"}
	put(t, store, mine, page(1), "1234567")
	if _, err := store.Put(t.Context(), mine, 1, page(2), strings.NewReader("1234"), 100); !errors.Is(err, ErrQuota) {
		t.Errorf("a file beyond the quota: %v", err)
	}
	if got := store.Usage("mine"); got != 7 {
		t.Errorf("usage %d after a refusal, want 7", got)
	}
	put(t, store, mine, page(2), "123")
	put(t, store, others, page(1), "1")
	if err := store.Check("mine"); !errors.Is(err, ErrQuota) {
		t.Errorf("a full namespace: %v", err)
	}
	if err := store.Check("others"); err != nil {
		t.Errorf("another namespace: %v", err)
	}
	if metrics.used != 11 || !slices.Equal(metrics.refused, []string{"quota"}) {
		t.Errorf("metrics %+v", metrics)
	}
	// A manifest always finds room: without it the files would be for nothing.
	if _, err := store.PutManifest(t.Context(), mine, Manifest{}); err != nil {
		t.Error(err)
	}
	if _, err := store.Delete(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	if err := store.Check("mine"); err != nil || store.Usage("mine") != 0 {
		t.Errorf("after the deletion: %v, usage %d", err, store.Usage("mine"))
	}
}

func TestUsageIsLearnedFromAWalk(t *testing.T) {
	url := newURL(t)
	ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	earlier, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, earlier, ref, page(1), "12345")
	store, err := Open(t.Context(), url, Options{QuotaPerNamespace: 5})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Check("ns"); err != nil {
		t.Errorf("before the walk: %v", err)
	}
	if err := store.Walk(t.Context(), func(Object) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := store.Check("ns"); !errors.Is(err, ErrQuota) || store.Usage("ns") != 5 {
		t.Errorf("after the walk: %v, usage %d", err, store.Usage("ns"))
	}
}

// A quota that was lowered refuses new files. Those that are there can still be retained: the mark has no bytes, and their job could not end without it.
func TestMarkFindsRoomBeyondTheQuota(t *testing.T) {
	url, metrics := newURL(t), &observed{}
	ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	earlier, err := Open(t.Context(), url, Options{QuotaPerNamespace: 5})
	if err != nil {
		t.Fatal(err)
	}
	put(t, earlier, ref, page(1), "12345")
	store, err := Open(t.Context(), url, Options{QuotaPerNamespace: 4, Observer: metrics})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Walk(t.Context(), func(Object) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := store.Retain(t.Context(), ref, time.Now().Add(time.Hour)); err != nil {
		t.Errorf("a mark: %v", err)
	}
	if len(metrics.refused) > 0 || store.Usage("ns") != 5 {
		t.Errorf("refused %v, usage %d", metrics.refused, store.Usage("ns"))
	}
	if _, err := store.Put(t.Context(), ref, 1, page(2), strings.NewReader("1"), 100); !errors.Is(err, ErrQuota) {
		t.Errorf("another file: %v", err)
	}
}

// fullBucket is a bucket on a disk without room.
type fullBucket struct{ driver.Bucket }

func (fullBucket) NewTypedWriter(context.Context, string, string, *driver.WriterOptions) (driver.Writer, error) {
	return fullBucket{}, nil
}
func (b fullBucket) Write([]byte) (int, error) { return 0, b.Close() }
func (fullBucket) Close() error {
	return &os.PathError{Op: "write", Path: "/var/lib/platen", Err: syscall.ENOSPC}
}
func (fullBucket) ErrorCode(error) gcerrors.ErrorCode { return gcerrors.Unknown }

func TestFullStoreIsTold(t *testing.T) {
	metrics := &observed{}
	store := newStore(blob.NewBucket(fullBucket{}), Options{Observer: metrics})
	if err := store.Check("ns"); err != nil {
		t.Errorf("before: %v", err)
	}
	_, err := store.Put(t.Context(), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}, 1, page(1), strings.NewReader("1234"), 100)
	if !errors.Is(err, ErrFull) || store.Usage("ns") != 0 {
		t.Errorf("got %v, usage %d", err, store.Usage("ns"))
	}
	if err := store.Check("ns"); !errors.Is(err, ErrFull) {
		t.Errorf("after: %v", err)
	}
	if err := store.Retain(t.Context(), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}, time.Now()); !errors.Is(err, ErrFull) {
		t.Errorf("a mark: %v", err)
	}
	if !slices.Equal(metrics.refused, []string{"full", "full"}) {
		t.Errorf("metrics %+v", metrics)
	}
}

// TestAFailedAttemptMakesNoRoom takes away what an attempt had stored before there was no more room: the next one would fail as it did.
func TestAFailedAttemptMakesNoRoom(t *testing.T) {
	store := open(t)
	ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	put(t, store, ref, page(1), "1234")
	store.usage.full = time.Now()
	if err := store.DeleteAttempt(t.Context(), ref, 1); err != nil {
		t.Fatal(err)
	}
	if err := store.Check("ns"); !errors.Is(err, ErrFull) || store.Usage("ns") != 0 {
		t.Errorf("after the attempt: %v, usage %d", err, store.Usage("ns"))
	}
	put(t, store, ref, page(1), "1234")
	if _, err := store.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if err := store.Check("ns"); err != nil {
		t.Errorf("after a job was deleted: %v", err)
	}
}
