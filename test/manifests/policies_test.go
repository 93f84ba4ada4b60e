// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// The sample policies of config/policies refuse and allow what their comments say.
func TestPolicies(t *testing.T) {
	config := apiServer(t)
	admin, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ann := rest.CopyConfig(config)
	ann.Impersonate = rest.ImpersonationConfig{UserName: "ann"}
	user, err := client.New(ann, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	name := metav1.ObjectMeta{Name: "ann", Namespace: "marketing"}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "marketing"}},
		&rbacv1.Role{ObjectMeta: name, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"platen.dev"}, Resources: []string{"renderjobs", "rendertemplates", "storageconnections"}, Verbs: []string{"get", "create"}},
			{APIGroups: []string{"platen.dev"}, Resources: []string{"storageconnections"}, ResourceNames: []string{"dropbox"}, Verbs: []string{"use"}},
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: name, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "ann"}},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "ann"},
		},
	} {
		if err := admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	for _, object := range build(t, "config/policies") {
		if err := admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}

	const connection = "provider: dropbox\ndropbox: {credentialsSecretRef: {name: dropbox}}\n"
	create := func(ctx context.Context, kind, spec string) error {
		object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "platen.dev/v1alpha1", "kind": kind, "metadata": map[string]any{
			"generateName": "test-", "namespace": "marketing",
		}}}
		var content map[string]any
		if err := yaml.Unmarshal([]byte(spec), &content); err != nil {
			t.Fatal(err)
		}
		object.Object["spec"] = content
		return user.Create(ctx, object, client.DryRunAll)
	}
	for _, c := range []struct {
		kind, spec string
		refusal    string // empty is none
	}{
		{"RenderJob", "templateRef: {name: banner}\n", "name the connections to upload to"},
		{"RenderJob", "templateRef: {name: banner}\nconnections: [{type: storage, provider: dropbox}]\n", "each connection needs a name"},
		{"RenderJob", "templateRef: {name: banner}\nconnections: [{type: storage, provider: dropbox, name: finance}]\n", `ann needs the right to "use" the StorageConnections finance`},
		{"RenderJob", "templateRef: {name: banner}\nconnections: [{type: storage, provider: dropbox, name: dropbox, folder: /finance}]\n", "must be /marketing or a folder in it"},
		{"RenderJob", "templateRef: {name: banner}\nconnections: [{type: storage, provider: dropbox, name: dropbox, folder: /marketing-secret}]\n", "must be /marketing or a folder in it"},
		{"RenderJob", "templateRef: {name: banner}\nconnections: [{type: storage, provider: dropbox, name: dropbox, folder: /marketing/2026}]\n", ""},
		{"RenderJob", "templateRef: {name: banner}\nconnections: []\n", ""},
		{"RenderJob", "templateRef: {name: banner}\nconnections: []\noutput: {format: mp4}\n", "films are not allowed"},
		{"StorageConnection", connection, "spec.defaultFolder: must be /marketing or a folder in it"},
		{"StorageConnection", connection + "defaultFolder: /marketing\n", ""},
		{"RenderTemplate", "pages: [{name: front, width: 4000, height: 4000, html: <p>}]\n", "at most 4,000,000 pixels"},
		{"RenderTemplate", "pages: [{name: front, width: 1200, height: 630, html: <p>}]\n", ""},
	} {
		// The API server notices new policies after a moment.
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
			err = create(ctx, c.kind, c.spec)
			if c.refusal == "" {
				return err == nil, nil
			}
			return err != nil && strings.Contains(err.Error(), c.refusal), nil
		})
		if err != nil {
			t.Errorf("%s with %s: %v, want %q", c.kind, c.spec, create(t.Context(), c.kind, c.spec), c.refusal)
		}
	}
}
