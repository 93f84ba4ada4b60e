// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/platen-dev/platen/test/program"
)

// linter returns the path of a program at the version that hack/tools/manifests pins, in Go's cache.
func linter(t *testing.T, name string) string {
	t.Helper()
	const module = "../../hack/tools/manifests"
	if err := program.SeeFolder(module); err != nil {
		t.Fatal(err)
	}
	path, err := exec.Command("go", "-C", module, "tool", "-n", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(path))
}

// shipped returns what people apply: the kustomizations and samples of config/, and the chart with values that change what it makes.
func shipped(t *testing.T) map[string][]*unstructured.Unstructured {
	t.Helper()
	sets := map[string][]*unstructured.Unstructured{}
	add := func(name string, set objects) {
		sets[name] = append(sets[name], slices.Collect(maps.Values(set))...)
	}
	for _, folder := range []string{"default", "simulator", "namespace", "policies"} {
		add(folder, build(t, "config/"+folder))
	}
	for _, component := range []string{"ha", "namespaced", "tls", "monitoring"} {
		add(component, overlay(t, component))
	}
	for _, pattern := range []string{"argocd/argocd-cm.yaml", "samples/*.yaml"} {
		files, err := filepath.Glob("../../config/" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, path := range files {
			if filepath.Base(path) == "kustomization.yaml" {
				continue
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			add(filepath.Base(filepath.Dir(path)), decode(t, data))
		}
	}
	for name, values := range map[string][]string{
		"chart":            nil,
		"chart-tls":        {`shim.tlsSecret="a"`, `content.tlsSecret="b"`, `shim.ingress={"enabled":true,"host":"platen.example.com","tlsSecret":"c"}`},
		"chart-ha":         {`manager.replicas=2`, `shim.replicas=2`, `content.store="s3://renders?region=eu-central-1"`},
		"chart-namespaces": {someNamespaces},
		"chart-monitoring": {`monitoring={"serviceMonitor":{"enabled":true},"prometheusRule":{"enabled":true},"dashboard":{"enabled":true}}`},
	} {
		args := append(make([]string, 0, 4+2*len(values)), "template", "platen", "--namespace", "platen-system")
		for _, value := range values {
			args = append(args, "--set-json", value)
		}
		manifests, err := helm(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		for document := range bytes.SplitSeq(manifests, []byte("\n---\n")) { // objects of two namespaces may have one name
			add(name, decode(t, document))
		}
	}
	return sets
}

// writeSchemas writes the JSON schemas of Kubernetes' kinds and of Platen's to folder, as GROUP/VERSION/KIND.json; the core group is v1. Fields
// that a schema does not name are refused.
func writeSchemas(t *testing.T, folder string) {
	t.Helper()
	write := func(group, version, kind string, schema any) {
		data, err := json.Marshal(schema)
		path := filepath.Join(folder, group, version, strings.ToLower(kind)+".json")
		if err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755)); err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	const components = "../../hack/devcluster/components"
	if err := program.SeeFolder(components); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "-C", components, "mod", "download", "-json", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	documents, err := filepath.Glob(filepath.Join(module.Dir, "api/openapi-spec/v3/*__v*_openapi.json"))
	if err != nil || len(documents) == 0 {
		t.Fatalf("no OpenAPI documents in %s: %v", module.Dir, err)
	}
	for _, path := range documents {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var document struct {
			Components struct {
				Schemas map[string]map[string]any `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(data, &document); err != nil {
			t.Fatal(err)
		}
		for _, schema := range document.Components.Schemas {
			closeSchema(schema)
		}
		for name, schema := range document.Components.Schemas {
			kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)
			if len(kinds) != 1 { // DeleteOptions and such are of every group
				continue
			}
			kind := kinds[0].(map[string]any)
			group, version := kind["group"].(string), kind["version"].(string)
			if group == "" {
				group = version
			}
			write(group, version, kind["kind"].(string), map[string]any{"$ref": "#/components/schemas/" + name, "components": document.Components})
		}
	}

	for _, crd := range build(t, "config/crd") {
		for _, version := range at(crd.Object, "spec.versions").([]any) {
			schema := at(version, "schema.openAPIV3Schema").(map[string]any)
			closeSchema(schema)
			write(at(crd.Object, "spec.group").(string), at(version, "name").(string), at(crd.Object, "spec.names.kind").(string), schema)
		}
	}
}

// closeSchema makes a schema with properties, and those within it, refuse what is none of them.
func closeSchema(schema map[string]any) {
	if properties, ok := schema["properties"].(map[string]any); ok {
		if schema["additionalProperties"] == nil && schema["x-kubernetes-preserve-unknown-fields"] != true {
			schema["additionalProperties"] = false
		}
		for _, property := range properties {
			closeSchema(property.(map[string]any))
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := schema[key].(map[string]any); ok {
			closeSchema(inner)
		}
	}
}

// TestLinters runs kubeconform and kube-score on every manifest; make verify runs it too.
func TestLinters(t *testing.T) {
	sets := shipped(t)
	t.Run("kubeconform", func(t *testing.T) { conform(t, sets) })
	t.Run("kube-score", func(t *testing.T) { score(t, sets) })
}

// conform checks that every object fits its kind's schema, and has no field that the schema does not name.
func conform(t *testing.T, sets map[string][]*unstructured.Unstructured) {
	t.Helper()
	schemas, folder, binary := t.TempDir(), t.TempDir(), linter(t, "kubeconform")
	writeSchemas(t, schemas)
	kubeconform := func(folder string) (string, error) {
		out, err := exec.CommandContext(t.Context(), binary, "-strict", "-summary", "-skip", "ServiceMonitor,PrometheusRule",
			"-schema-location", filepath.Join(schemas, "{{.Group}}/{{.ResourceAPIVersion}}/{{.ResourceKind}}.json"), folder).CombinedOutput()
		return string(out), err
	}
	for name, set := range sets {
		if err := os.Mkdir(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
		for i, object := range set {
			data, err := yaml.Marshal(object.Object)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, name, fmt.Sprintf("%d.yaml", i)), data, 0o600); err != nil {
				t.Fatal(err)
			}
			// The operator of Prometheus publishes types, and no schemas.
			switch object.GetKind() {
			case "ServiceMonitor":
				err = yaml.UnmarshalStrict(data, &monitoringv1.ServiceMonitor{})
			case "PrometheusRule":
				err = yaml.UnmarshalStrict(data, &monitoringv1.PrometheusRule{})
			}
			if err != nil {
				t.Errorf("%s: %s %s: %v", name, object.GetKind(), object.GetName(), err)
			}
		}
	}
	if out, err := kubeconform(folder); err != nil {
		t.Errorf("kubeconform: %v\n%s", err, out)
	}

	// A field that no schema names is found, at the top and deep inside.
	wrong := t.TempDir()
	for name, text := range map[string]string{
		"kubernetes.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n" +
			"spec: {selector: {}, template: {spec: {containers: [{name: a, securityContext: {runAsNonRot: true}}]}}}\n",
		"platen.yaml": "apiVersion: platen.dev/v1alpha1\nkind: RenderPool\nmetadata: {name: a}\nspec: {idlePods: 1, idlePod: 1}\n",
	} {
		if err := os.WriteFile(filepath.Join(wrong, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := kubeconform(wrong); err == nil || !strings.Contains(out, "runAsNonRot") || !strings.Contains(out, "idlePod'") {
		t.Errorf("kubeconform finds no wrong fields: %v\n%s", err, out)
	}
}

// excused says why a manifest fails a check of kube-score.
var excused = map[string]string{
	"container-image-pull-policy":                   "a release names its images by digests, which Always would ask the registry for at each start",
	"container-ephemeral-storage-request-and-limit": "the root file system is read-only, and a sizeLimit bounds the manager's only emptyDir",
	"pod-networkpolicy":                             "the addresses of the API server, storage services and webhooks are not known; the programs check those that they dial",
	"deployment-strategy":                           "one node only can mount the content volume of config/default; config/ha updates without a pause",
	"deployment-replicas":                           "the same; config/ha has two replicas of each",
	"service-targets-pod":                           "the leader labels its own pod, which the Service platen-dispatch then selects",
}

// score checks that kube-score finds nothing that is not excused, and that each excuse is needed.
func score(t *testing.T, sets map[string][]*unstructured.Unstructured) {
	t.Helper()
	binary, needed := linter(t, "kube-score"), map[string]bool{}
	for name, set := range sets {
		if name == "samples" || name == "simulator" { // nobody serves others with these
			continue
		}
		var stream bytes.Buffer
		for _, object := range set {
			data, err := yaml.Marshal(object.Object)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&stream, "---\n%s", data)
		}
		// A CPU limit would only slow a program down.
		c := exec.CommandContext(t.Context(), binary, "score", "--output-format", "json", "--ignore-container-cpu-limit", "--enable-optional-test",
			"container-seccomp-profile,container-ports-check", "--kubernetes-version", "v1.37", "-")
		c.Stdin, c.Stderr = &stream, os.Stderr
		out, err := c.Output()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		var scores []struct {
			Name   string `json:"object_name"`
			Checks []struct {
				Check struct {
					ID string `json:"id"`
				} `json:"check"`
				Grade    int                                           `json:"grade"`
				Skipped  bool                                          `json:"skipped"`
				Comments []struct{ Path, Summary, Description string } `json:"comments"`
			} `json:"checks"`
		}
		if err := json.Unmarshal(out, &scores); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, object := range scores {
			for _, check := range object.Checks {
				switch {
				case check.Skipped || check.Grade == 10:
				case excused[check.Check.ID] == "":
					t.Errorf("%s: %s: %s: %v", name, object.Name, check.Check.ID, check.Comments)
				default:
					needed[check.Check.ID] = true
				}
			}
		}
	}
	for id := range excused {
		if !needed[id] {
			t.Errorf("nothing fails %s, so it needs no excuse", id)
		}
	}
}
