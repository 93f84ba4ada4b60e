// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/crdschema"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
)

func newClient(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), platenv1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
}

var connection = Connection{
	Namespace: "marketing", Name: "dropbox", AppKey: "app", RefreshToken: "token", Folder: "/Campaigns", UploadPolicy: "OnRequest", ConflictPolicy: "Keep",
}

func TestSaveWritesBothObjects(t *testing.T) {
	c := newClient(t, interceptor.Funcs{})
	if err := connection.Check(t.Context(), c, false); err != nil {
		t.Fatal(err)
	}
	saved, err := connection.Save(t.Context(), c, SaveOptions{})
	if err != nil || !saved.Secret || saved.ResourceVersion == "" {
		t.Fatalf("saved %+v, %v", saved, err)
	}
	got := &platenv1alpha1.StorageConnection{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "marketing", Name: "dropbox"}, got); err != nil {
		t.Fatal(err)
	}
	want := platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderDropbox, DefaultFolder: "/Campaigns", UploadPolicy: platenv1alpha1.UploadOnRequest,
		Dropbox: &platenv1alpha1.DropboxSpec{
			CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "dropbox-credentials"}, ConflictPolicy: "Keep",
		},
	}
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Error(diff)
	}
	values, _, err := credentials.Reader{Reader: c}.Read(t.Context(), "marketing", "dropbox-credentials", credentials.DropboxKeys)
	if err != nil || values["refreshToken"] != "token" {
		t.Errorf("the Secret cannot be read: %v", err)
	}
}

func TestSaveLeavesAConnectionThatExists(t *testing.T) {
	c := newClient(t, interceptor.Funcs{})
	existing := connection
	existing.Exists, existing.Secret = true, "other"
	saved, err := existing.Save(t.Context(), c, SaveOptions{Force: true})
	if diff := cmp.Diff(Saved{Secret: true}, saved); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "marketing", Name: "other"}, &corev1.Secret{}); err != nil {
		t.Error(err)
	}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "marketing", Name: "dropbox"}, &platenv1alpha1.StorageConnection{}); err == nil {
		t.Error("the StorageConnection was written")
	}
}

func TestSaveSaysWhetherTheSecretIsStored(t *testing.T) {
	c := newClient(t, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			if strings.Contains(fmt.Sprintf("%T", o), "nstructured") {
				return errors.New("no connection")
			}
			return c.Apply(ctx, o, options...)
		},
	})
	if saved, err := connection.Save(t.Context(), c, SaveOptions{}); err == nil || !saved.Secret {
		t.Errorf("saved %+v, %v", saved, err)
	}
	other := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "dropbox-credentials"},
		Data:       map[string][]byte{"appKey": []byte("other"), "appSecret": []byte("secret")},
	}
	c = newClient(t, interceptor.Funcs{
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			return errors.New("no")
		},
	}, other)
	if saved, err := connection.Save(t.Context(), c, SaveOptions{Force: true}); err == nil || !saved.Secret {
		t.Errorf("the app secret of another app could not be dropped: saved %+v, %v", saved, err)
	}
	kept := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: "marketing", Name: "dropbox-credentials", Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"},
	}}
	saved, err := connection.Save(t.Context(), newClient(t, interceptor.Funcs{}, kept), SaveOptions{Force: true})
	if problem := (*storage.Error)(nil); !errors.As(err, &problem) || saved.Secret {
		t.Errorf("saved %+v, %v", saved, err)
	}
}

func TestConnectionsDoNotPrintTheirToken(t *testing.T) {
	if text := fmt.Sprintf("%v %+v %#v %s", connection, connection, connection, connection); strings.Contains(text, "token") {
		t.Error(text)
	}
}

// A name is refused where its folder is, in words that fit one name.
func TestNameProblem(t *testing.T) {
	const unclear = "must not contain a backslash, a line break or a control character, also none that changes the direction of text"
	for name, want := range map[string]string{
		"a": "", "b c": "", ".b": "", "日本": "", strings.Repeat("ü", 255): "",
		"": "must not be empty", "a/b": "must not have a slash", "/": "must not have a slash", "a\\b": unclear, "a\x00": unclear, "\xff": unclear,
		".": "must not be '.' or '..', or end with a space or a dot", "..": "must not be '.' or '..', or end with a space or a dot",
		"bad.": "must not be '.' or '..', or end with a space or a dot", "bad ": "must not be '.' or '..', or end with a space or a dot",
		"Desktop.ini":            "must not be one that Dropbox refuses: desktop.ini, thumbs.db, .ds_store, .dropbox, .dropbox.attr",
		strings.Repeat("x", 256): "must not be longer than 255 characters",
	} {
		if got := NameProblem(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
		if folder := FolderProblem("/a/" + name); (folder == "") != (want == "") && name != "a/b" {
			t.Errorf("%q: %q as a name, %q in a path", name, want, folder)
		}
	}
}

// TestFolderProblem compares what Platen's programs say about a folder with what the API server says.
func TestFolderProblem(t *testing.T) {
	schema, err := crdschema.Of("StorageConnection")
	if err != nil {
		t.Fatal(err)
	}
	const unclear = "must not contain a backslash, a line break or a control character, also none that changes the direction of text"
	for path, want := range map[string]string{
		"/": "", "/a": "", "/a/b c/ü": "", "/日本/\U0001f389": "", "/" + strings.Repeat("ü", 255): "", "/" + strings.Repeat("ü/", 199) + "y": "", "/a\u00a0b": "", "/a\u202fb": "", "/.b": "",
		"":  "must start with a slash, such as /Marketing/Campaign-2024",
		"a": "must start with a slash, such as /Marketing/Campaign-2024", "/a/": "must not end with a slash",
		"/a//b": "must not contain an empty component (two slashes in a row)", "//": "must not end with a slash",
		"/a\\b": unclear, "/a\x00": unclear, "/a\nb": unclear, "/a\x7fb": unclear, "/a\u0080b": unclear, "/a\u0085b": unclear, "/a\u009fb": unclear,
		"/a\u2028b": unclear, "/a\u2029b": unclear, "/a\u202ab": unclear, "/a\u202eb": unclear, "/a\u2066b": unclear, "/a\u2069b": unclear,
		"/..": "must not have a component that is '.' or '..' or that ends with a space or a dot", "/a/../b": "must not have a component that is '.' or '..' or that ends with a space or a dot",
		"/a/.": "must not have a component that is '.' or '..' or that ends with a space or a dot", "/a /b": "must not have a component that is '.' or '..' or that ends with a space or a dot",
		"/a/Desktop.ini":                      "must not have a component with a name that Dropbox refuses: desktop.ini, thumbs.db, .ds_store, .dropbox, .dropbox.attr",
		"/.Dropbox/a":                         "must not have a component with a name that Dropbox refuses: desktop.ini, thumbs.db, .ds_store, .dropbox, .dropbox.attr",
		"/" + strings.Repeat("x", 256):        "must not have a component longer than 255 characters",
		"/" + strings.Repeat("x/", 200) + "y": "must have at most 400 characters",
	} {
		if got := FolderProblem(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
		refused := schema.Validate(t.Context(), map[string]any{
			"apiVersion": "platen.dev/v1alpha1", "kind": "StorageConnection", "metadata": map[string]any{"name": "a", "namespace": "b"},
			"spec": map[string]any{
				"provider": "dropbox", "dropbox": map[string]any{"credentialsSecretRef": map[string]any{"name": "c"}}, "defaultFolder": path, "uploadPolicy": "Automatic", "conflictPolicy": "Rename",
			},
		})
		switch text := fmt.Sprint(refused); {
		case (want == "") != (len(refused) == 0):
			t.Errorf("%q: the API server says %s, want %q", path, text, want)
		case len([]rune(path)) <= 400 && path != "" && !strings.Contains(text, want):
			t.Errorf("%q: the API server says %s, want %q", path, text, want)
		}
	}
	if got := FolderProblem("/a\xff"); got != unclear {
		t.Errorf("not UTF-8: %q", got)
	}
}

func TestAncestors(t *testing.T) {
	for folder, want := range map[string][]dropbox.Folder{
		"/":      {{Name: "Dropbox", Path: "/"}},
		"/A/b c": {{Name: "Dropbox", Path: "/"}, {Name: "A", Path: "/A"}, {Name: "b c", Path: "/A/b c"}},
	} {
		if diff := cmp.Diff(want, Ancestors(folder)); diff != "" {
			t.Errorf("%s: %s", folder, diff)
		}
	}
}
