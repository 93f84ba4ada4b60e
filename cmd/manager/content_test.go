// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/test/s3"
)

func TestContentCopy(t *testing.T) {
	server, err := s3.New()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for name, value := range s3.Credentials {
		t.Setenv(name, value)
	}
	folder := "file://" + t.TempDir()
	store, err := content.Open(t.Context(), folder, content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ref, page := content.Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}, file.File{ID: file.ID{Page: 1}, Format: "png"}
	if _, err := store.Put(t.Context(), ref, 1, page, strings.NewReader("picture"), 100); err != nil {
		t.Fatal(err)
	}
	out := &bytes.Buffer{}
	if err := copyContent(t.Context(), []string{"--from=" + folder, "--to=" + server.BucketURL()}, out); err != nil {
		t.Fatal(err)
	}
	if want := "copied 1 object with 7 bytes; 0 were there already, 0 are gone from the source\n"; out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
	// The manager's own options open it, and its URLs of files have the names that jobs give them.
	bucket, err := content.Open(t.Context(), server.BucketURL(), content.Options{Redirect: true, Dispose: dispose})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Inspect(t.Context(), ref, 1, page); err != nil {
		t.Error(err)
	}
}

func TestContentCommandsNeedTheirFlags(t *testing.T) {
	for _, args := range [][]string{
		nil, {"what"},
		{"copy"}, {"copy", "--from=mem://"}, {"copy", "--from=mem://", "--to=mem://"}, {"copy", "--from=mem://", "--to=file:///x", "more"}, {"copy", "--what"},
		{"prune"}, {"prune", "--content-store=mem://"}, {"prune", "--namespace=ns", "more"}, {"prune", "--what"},
	} {
		out := &bytes.Buffer{}
		if err := contentCommand(t.Context(), args, out); err == nil || out.Len() > 0 {
			t.Errorf("%v: %v, and %q, although main says what is wrong", args, err, out)
		}
	}
	out := &bytes.Buffer{}
	if err := contentCommand(t.Context(), []string{"prune", "-h"}, out); err != nil || !strings.Contains(out.String(), "-dry-run") {
		t.Errorf("-h: %v, %q", err, out)
	}
}

func TestContentPrune(t *testing.T) {
	store, err := content.Open(t.Context(), "mem://", content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	expires := time.Now().Add(time.Hour)
	until := expires.UTC().Format(time.RFC3339)
	for ref, retain := range map[content.Ref]bool{
		{Namespace: "ns", JobUID: "present", Revision: "1"}: true,
		{Namespace: "ns", JobUID: "gone", Revision: "1"}:    true,
		{Namespace: "ns", JobUID: "swept", Revision: "1"}:   false,
		{Namespace: "other", JobUID: "gone", Revision: "1"}: true,
	} {
		_, err := store.Put(t.Context(), ref, 1, file.File{ID: file.ID{Page: 1}, Format: "png"}, strings.NewReader("picture"), 100)
		if retain {
			err = errors.Join(err, store.Retain(t.Context(), ref, expires))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	scheme := runtime.NewScheme()
	if err := platenv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "summer", UID: "present"}}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(job, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "empty"}}).Build()
	for _, c := range []struct {
		namespace string
		dryRun    bool
		want      string
	}{
		{"ns", true, "job gone: 1 file with 7 bytes, retained until " + until + "\ndeleted jobs whose retained files would be pruned: 1, 7 bytes\n"},
		{"empty", true, "deleted jobs whose retained files would be pruned: 0, 0 bytes\n"},
		{"ns", false, "job gone: 1 file with 7 bytes, retained until " + until + "\ndeleted jobs whose retained files were pruned: 1, 7 bytes\n"},
		{"ns", false, "deleted jobs whose retained files were pruned: 0, 0 bytes\n"},
	} {
		out := &bytes.Buffer{}
		if err := prune(t.Context(), api, store, c.namespace, c.dryRun, out); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.want {
			t.Errorf("%+v: got %q", c, out)
		}
	}
	out := &bytes.Buffer{}
	if err := prune(t.Context(), api, store, "mistyped", false, out); err == nil || !strings.Contains(err.Error(), "--namespace: namespace mistyped does not exist, and the content store has no files of it") {
		t.Errorf("a namespace that does not exist: %v, %s", err, out)
	}
	var left []string
	err = store.Walk(t.Context(), func(o content.Object) error { left = append(left, o.Ref.Namespace+"/"+o.Ref.JobUID); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ns/present", "ns/present", "ns/swept", "other/gone", "other/gone"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// TestTheManagerWaitsForItsStore replaces the folder of the store with a file, and puts it back. Another installation's store ends the wait.
func TestTheManagerWaitsForItsStore(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "store")
	store, err := content.Open(t.Context(), "file://"+folder, content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(folder), os.WriteFile(folder, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "platen-system", UID: "mine"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "another", UID: "theirs"}},
	).Build()
	wait := func(namespace string, asked func()) error {
		return awaitStore(t.Context(), func(ctx context.Context) error {
			asked()
			return claim(ctx, reader, store, options{namespace: namespace})
		}, "0", logr.Discard())
	}
	times := 0
	err = wait("platen-system", func() {
		if times++; times == 2 { // it is back
			if err := os.Remove(folder); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || times != 2 {
		t.Errorf("asked %d times: %v", times, err)
	}
	if err := wait("another", func() {}); err == nil || !strings.Contains(err.Error(), "--content-store-take-over=mine") {
		t.Errorf("a store of another installation: %v", err)
	}
	if err := wait("missing", func() {}); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a namespace that does not exist: %v", err)
	}
}
