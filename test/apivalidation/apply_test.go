// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// What is applied twice is unchanged the second time, whether kubectl applies it from the client or lets the server do it: GitOps tools
// would apply it for ever.
func TestSamplesAppliedTwiceAreUnchanged(t *testing.T) {
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		for _, object := range objects(t, path) {
			t.Run(filepath.Base(path)+"/"+object.GetKind()+"/"+object.GetName(), func(t *testing.T) { applyTwice(t, object) })
		}
	}
	// The shortest forms, in which the API server has most to add.
	for kind, spec := range map[string]string{
		"RenderJob":         job + "output: {format: mp4, scale: 1.5, video: {duration: 3, trimStart: 0.25}}\nconnections: [{type: storage, provider: dropbox}]",
		"RenderTemplate":    template + "parameters: [{name: headline}]",
		"StorageConnection": connection,
		"RenderPool":        "max: 2",
	} {
		t.Run(kind, func(t *testing.T) {
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(spec), &object.Object); err != nil {
				t.Fatal(err)
			}
			object.Object = map[string]any{"apiVersion": "platen.dev/v1alpha1", "kind": kind, "metadata": map[string]any{"name": "default", "namespace": "default"}, "spec": object.Object}
			applyTwice(t, object)
		})
	}
}

func applyTwice(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	if namespace := object.GetNamespace(); namespace != "" {
		n := &unstructured.Unstructured{}
		n.SetAPIVersion("v1")
		n.SetKind("Namespace")
		n.SetName(namespace)
		if err := api.Create(t.Context(), n); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	options := &client.ApplyOptions{FieldManager: "kubectl", Force: new(true)}
	// The first update stores the default of status, which a create does not. In a cluster, the manager's first write does.
	first, second := object.DeepCopy(), object.DeepCopy()
	for _, o := range []*unstructured.Unstructured{object.DeepCopy(), first, second} {
		if err := api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), options); err != nil {
			t.Fatal(err)
		}
	}
	if first.GetResourceVersion() != second.GetResourceVersion() {
		t.Errorf("a server-side apply changed it: resource version %s, then %s", first.GetResourceVersion(), second.GetResourceVersion())
	}
	// kubectl's client-side apply compares what was applied last, what is applied, and what the server has.
	applied, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	live, err := second.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(applied, applied, live)
	if err != nil || string(patch) != "{}" {
		t.Errorf("a client-side apply patches it: %s, %v", patch, err)
	}
}

// objects returns the objects of a file.
func objects(t *testing.T, path string) (list []*unstructured.Unstructured) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &o.Object); err != nil {
			t.Fatal(err)
		}
		// The API server keeps a Secret's stringData elsewhere, so that kubectl sends it each time.
		if kind := o.GetKind(); kind != "" && kind != "Secret" {
			list = append(list, o)
		}
	}
}
