// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// references is what config/kustomize tells kustomize.
type references struct {
	NameReference []struct {
		Kind       string `json:"kind"`
		FieldSpecs []struct {
			Kind string `json:"kind"`
			Path string `json:"path"`
		} `json:"fieldSpecs"`
	} `json:"nameReference"`
}

const referencesFile = "../../config/kustomize/references.yaml"

// A name of another object in a spec is below a field that says so.
var referring = regexp.MustCompile(`(/(\w+Refs?|imagePullSecrets)|^spec/connections)/name$`)

// Every field of Platen's kinds that names another object is in config/kustomize.
func TestKustomizeKnowsEveryReference(t *testing.T) {
	file, err := os.ReadFile(referencesFile)
	if err != nil {
		t.Fatal(err)
	}
	known, listed := references{}, []string{}
	if err := yaml.Unmarshal(file, &known); err != nil {
		t.Fatal(err)
	}
	for _, reference := range known.NameReference {
		for _, field := range reference.FieldSpecs {
			listed = append(listed, field.Kind+" "+field.Path)
		}
	}
	var want []string
	crds, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil || len(crds) == 0 {
		t.Fatal(crds, err)
	}
	for _, path := range crds {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		crd := apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(data, &crd); err != nil {
			t.Fatal(err)
		}
		var walk func(path string, schema apiextensionsv1.JSONSchemaProps)
		walk = func(path string, schema apiextensionsv1.JSONSchemaProps) {
			if referring.MatchString(path) {
				want = append(want, crd.Spec.Names.Kind+" "+path)
			}
			if schema.Items != nil && schema.Items.Schema != nil {
				walk(path, *schema.Items.Schema)
			}
			for name, property := range schema.Properties {
				walk(path+"/"+name, property)
			}
		}
		walk("spec", crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"])
	}
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("config/kustomize has\n%s\nand the CRDs have\n%s", strings.Join(listed, "\n"), strings.Join(want, "\n"))
	}
}

// kustomize gives the names in Platen's kinds the prefix and the hash of the objects that they name.
func TestKustomizeRenamesReferences(t *testing.T) {
	file, err := os.ReadFile(referencesFile)
	if err != nil {
		t.Fatal(err)
	}
	memory := filesys.MakeFsInMemory()
	for name, text := range map[string]string{
		"references.yaml": string(file),
		"kustomization.yaml": `
namePrefix: spring-
configurations: [references.yaml]
resources: [objects.yaml]
configMapGenerator:
- {name: texts, literals: [a=b]}
secretGenerator:
- {name: account, literals: [appKey=a]}
`,
		"objects.yaml": `
apiVersion: platen.dev/v1alpha1
kind: RenderTemplate
metadata: {name: banner}
spec:
  fontSetRefs: [{name: acme}]
  pages: [{name: front, width: 1, height: 1, htmlFrom: {configMapKeyRef: {name: texts, key: a}}}]
---
apiVersion: platen.dev/v1alpha1
kind: FontSet
metadata: {name: acme}
spec: {sources: [{configMapRef: {name: texts}}]}
---
apiVersion: platen.dev/v1alpha1
kind: StorageConnection
metadata: {name: dropbox}
spec: {provider: dropbox, dropbox: {credentialsSecretRef: {name: account}}}
---
apiVersion: platen.dev/v1alpha1
kind: RenderJob
metadata: {name: summer}
spec:
  templateRef: {name: banner}
  modificationsFrom: [{configMapKeyRef: {name: texts, key: a}}]
  connections: [{type: storage, provider: dropbox, name: dropbox}]
`,
	} {
		if err := memory.WriteFile("/"+name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(memory, "/")
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, found := range regexp.MustCompile(`(?m)^ +(?:- )?name: (\S+)$`).FindAllStringSubmatch(string(manifests), -1) {
		names[regexp.MustCompile(`-[a-z0-9]{10}$`).ReplaceAllString(found[1], "-HASH")]++
	}
	for name, count := range map[string]int{"spring-banner": 2, "spring-acme": 2, "spring-dropbox": 2, "spring-texts-HASH": 4, "spring-account-HASH": 2} {
		if names[name] != count {
			t.Errorf("%s is there %d times, not %d, in\n%s", name, names[name], count, manifests)
		}
	}
}
