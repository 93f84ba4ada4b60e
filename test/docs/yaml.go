// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// required are the fields that a block with the mark `part of KIND` may leave out.
var required = map[string]map[string]any{
	"RenderJob": {"templateRef": map[string]any{"name": "banner"}},
	"RenderTemplate": {"pages": []any{map[string]any{
		"name": "front", "width": int64(1200), "height": int64(630), "html": "<h1>Hello</h1>",
	}}},
	"StorageConnection": {}, "FontSet": {},
}

// CheckYAML checks a block's objects with an API server that knows Platen's CRDs, as `kubectl apply --dry-run=server` does. It makes the
// namespaces that the objects name.
func CheckYAML(ctx context.Context, api client.Client, path string, b Block) error {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(b.Text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = checkDocument(ctx, api, b.PartOf, document)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, b.Line, err)
		}
	}
}

// CheckKustomization builds the kustomization of a block, with the repository's config folder and the files of its page. Each patch must
// have an object to change: kustomize would leave it out in silence.
func CheckKustomization(root string, page Page, b Block) error {
	memory := filesys.MakeFsInMemory()
	err := filepath.WalkDir(filepath.Join(root, "config"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return memory.WriteFile(filepath.Join("/", relative), data)
	})
	for _, other := range page.Blocks {
		if err == nil && other.File != "" {
			err = memory.WriteFile("/"+other.File, []byte(other.Text))
		}
	}
	kustomization := types.Kustomization{}
	if err == nil {
		err = kustomization.Unmarshal([]byte(b.Text))
	}
	var built resmap.ResMap
	if err == nil {
		built, err = krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(memory, "/")
	}
	for _, patch := range kustomization.Patches {
		if err == nil && patch.Target != nil {
			var found []*resource.Resource
			if found, err = built.Select(*patch.Target); err == nil && len(found) == 0 {
				err = fmt.Errorf("the patch of %s changes nothing", patch.Target.Name)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%s:%d: %w", page.Path, b.Line, err)
	}
	return nil
}

func checkDocument(ctx context.Context, api client.Client, partOf string, document []byte) error {
	object := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(document, &object.Object); err != nil {
		return err
	}
	if partOf != "" {
		if err := complete(object, partOf); err != nil {
			return err
		}
	}
	if namespace := object.GetNamespace(); namespace != "" {
		err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
		if err := client.IgnoreAlreadyExists(err); err != nil {
			return fmt.Errorf("making namespace %s: %w", namespace, err)
		}
	}
	return api.Create(ctx, object, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
}

// complete turns the part of a spec that a block shows into an object.
func complete(object *unstructured.Unstructured, kind string) error {
	base, known := required[kind]
	if !known {
		return fmt.Errorf("the mark 'part of %s' names no kind of Platen", kind)
	}
	spec, found, err := unstructured.NestedMap(object.Object, "spec")
	if !found || err != nil {
		return fmt.Errorf("a block that shows a part of a %s must begin with 'spec:'", kind)
	}
	whole := maps.Clone(base)
	maps.Copy(whole, spec)
	object.Object["spec"] = whole
	object.SetAPIVersion(platenv1alpha1.GroupVersion.String())
	object.SetKind(kind)
	object.SetName("part")
	object.SetNamespace(namespace)
	return nil
}
