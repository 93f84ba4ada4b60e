// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/platen-dev/platen/test/program"
	"github.com/platen-dev/platen/test/testenv"
)

const chart = "../../charts/platen"

// objects are objects by kind and name, such as Deployment/platen-manager.
type objects map[string]*unstructured.Unstructured

func decode(t *testing.T, manifests []byte) objects {
	t.Helper()
	found := objects{}
	decoder := utilyaml.NewYAMLToJSONDecoder(bytes.NewReader(manifests))
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if object.Object == nil {
			continue
		}
		key := object.GetKind() + "/" + object.GetName()
		if found[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		found[key] = object
	}
}

func build(t *testing.T, folder string) objects {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("../..", folder))
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, manifests)
}

// helmBinary builds Helm at the version that hack/tools/helm pins, and returns its path in Go's cache.
var helmBinary = sync.OnceValues(func() (string, error) {
	const module = "../../hack/tools/helm"
	if err := program.SeeFolder(module); err != nil {
		return "", err
	}
	path, err := exec.Command("go", "-C", module, "tool", "-n", "helm").Output()
	return strings.TrimSpace(string(path)), err
})

// helm runs a command of Helm on the chart.
func helm(t *testing.T, args ...string) (stdout []byte, err error) {
	t.Helper()
	folder, err := filepath.Abs(chart)
	if err != nil {
		t.Fatal(err)
	}
	if err := program.SeeFolder(folder); err != nil {
		t.Fatal(err)
	}
	binary, err := helmBinary()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	c := exec.CommandContext(t.Context(), binary, append(args, folder)...)
	c.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG=")
	stderr := &bytes.Buffer{}
	c.Stderr = stderr
	if stdout, err = c.Output(); err != nil {
		err = fmt.Errorf("helm %s: %w\n%s%s", strings.Join(args, " "), err, stderr, stdout)
	}
	return stdout, err
}

// sharded are the values of a release with two managers that lead side by side.
var sharded = []string{`manager={"shards":2,"replicas":3}`, `content.store="s3://renders?region=eu-central-1"`}

// render returns the objects of a release with values such as shim.replicas=2.
func render(t *testing.T, values ...string) objects {
	t.Helper()
	args := make([]string, 0, 4+2*len(values))
	args = append(args, "template", "platen", "--namespace", "platen-system")
	for _, value := range values {
		args = append(args, "--set-json", value)
	}
	manifests, err := helm(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, manifests)
}

func TestLint(t *testing.T) {
	if _, err := helm(t, "lint", "--strict"); err != nil {
		t.Error(err)
	}
}

// The chart without values installs what config/default installs; Helm makes the namespace, and labels differ.
func TestChartInstallsWhatConfigDefaultInstalls(t *testing.T) {
	want, got := build(t, "config/default"), render(t)
	delete(want, "Namespace/platen-system")
	for _, set := range []objects{want, got} {
		for _, object := range set {
			object.SetLabels(nil)
			annotations := object.GetAnnotations()
			delete(annotations, "helm.sh/resource-policy")
			if len(annotations) == 0 {
				annotations = nil
			}
			object.SetAnnotations(annotations)
		}
	}
	if difference := cmp.Diff(want, got); difference != "" {
		t.Errorf("config/default (-) and the chart (+) differ:\n%s", difference)
	}
}

func TestCRDsAndFilesOutliveTheRelease(t *testing.T) {
	kept := func(set objects) (names []string) {
		for name, object := range set {
			if object.GetAnnotations()["helm.sh/resource-policy"] == "keep" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	want := append(slices.Collect(maps.Keys(build(t, "config/crd"))), "PersistentVolumeClaim/platen-content")
	slices.Sort(want)
	if got := kept(render(t)); !slices.Equal(got, want) {
		t.Errorf("kept are %v, want %v", got, want)
	}
	if got := kept(render(t, "crds.keep=false", "content.persistence.keep=false")); len(got) > 0 {
		t.Errorf("kept are %v in spite of the values", got)
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		values  []string
		object  string
		path    string
		want    any
		missing bool
	}{
		{values: []string{`image.prefix="registry.example.com/platen"`, `image.tag="v1"`}, object: "Deployment/platen-manager",
			path: "spec.template.spec.containers.0.image", want: "registry.example.com/platen/manager:v1"},
		{values: []string{`image.digests.renderer="sha256:` + strings.Repeat("0", 64) + `"`}, object: "Deployment/platen-manager",
			path: "spec.template.spec.containers.0.env.2.value", want: "platen.dev/renderer@sha256:" + strings.Repeat("0", 64)},
		{values: []string{`manager.flags={"max-pods":50,"content-retention":"720h","network-policy":false,"max-pixels":100000000}`}, object: "Deployment/platen-manager",
			path: "spec.template.spec.containers.0.args", want: []any{"--namespace=$(NAMESPACE)", "--pod-name=$(POD_NAME)", "--content-url=http://platen-content.$(NAMESPACE).svc:8082",
				"--renderer-image=$(RENDERER_IMAGE)", "--content-retention=720h", "--max-pixels=100000000", "--max-pods=50", "--network-policy=false"}},
		{values: []string{`content.store="s3://renders?region=eu-central-1"`}, object: "PersistentVolumeClaim/platen-content", missing: true},
		{values: []string{`content.store="s3://renders?region=eu-central-1"`}, object: "Deployment/platen-manager",
			path: "spec.template.spec.containers.0.args.4", want: "--content-store=s3://renders?region=eu-central-1"},
		{values: []string{`content.url="https://files.example.com"`}, object: "Deployment/platen-manager",
			path: "spec.template.spec.containers.0.args.2", want: "--content-url=https://files.example.com"},
		{values: []string{`content.url="https://files.example.com"`}, object: "Deployment/platen-shim",
			path: "spec.template.spec.containers.0.args.1", want: "--content-url=http://platen-content.$(NAMESPACE).svc:8082"},
		{values: []string{`content.persistence.existingClaim="files"`}, object: "Deployment/platen-manager",
			path: "spec.template.spec.volumes.0.persistentVolumeClaim.claimName", want: "files"},
		{values: []string{`content.persistence.existingClaim="files"`}, object: "PersistentVolumeClaim/platen-content", missing: true},
		{values: []string{`content.persistence.storageClassName="fast"`}, object: "PersistentVolumeClaim/platen-content", path: "spec.storageClassName", want: "fast"},
		{values: []string{`manager.replicas=2`}, object: "Deployment/platen-manager", path: "spec.strategy.rollingUpdate.maxUnavailable", want: float64(0)},
		{values: []string{`manager.replicas=2`}, object: "PodDisruptionBudget/platen-manager", path: "spec.minAvailable", want: float64(1)},
		{values: sharded, object: "Deployment/platen-manager", path: "spec.template.spec.containers.0.args.4", want: "--shards=2"},
		{values: sharded, object: "Service/platen-dispatch-1", path: "spec.selector", want: map[string]any{
			"app.kubernetes.io/name": "platen", "app.kubernetes.io/component": "manager", "platen.dev/role": "leader", "platen.dev/shard": "1",
		}},
		{values: sharded, object: "Service/platen-dispatch-2", missing: true},
		{values: sharded, object: "PodDisruptionBudget/platen-manager", path: "spec.minAvailable", want: float64(2)},
		{object: "Service/platen-dispatch-0", missing: true},
		{object: "PodDisruptionBudget/platen-manager", missing: true},
		{values: []string{`shim.replicas=2`}, object: "PodDisruptionBudget/platen-shim", path: "spec.minAvailable", want: float64(1)},
		{object: "PodDisruptionBudget/platen-shim", missing: true},
		{values: []string{`manager.replicas=2`}, object: "Deployment/platen-manager",
			path: "spec.template.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.0.podAffinityTerm.topologyKey", want: "kubernetes.io/hostname"},
		{values: []string{`shim.replicas=2`, `shim.affinity={"nodeAffinity":{}}`}, object: "Deployment/platen-shim",
			path: "spec.template.spec.affinity", want: map[string]any{"nodeAffinity": map[string]any{}}},
		{values: []string{`manager.tolerations=[{"key":"a","operator":"Exists"}]`}, object: "Deployment/platen-manager",
			path: "spec.template.spec.tolerations.0.key", want: "a"},
		{values: []string{`shim.nodeSelector={"disk":"ssd"}`, `shim.replicas=3`}, object: "Deployment/platen-shim", path: "spec.template.spec.nodeSelector.disk", want: "ssd"},
		{values: []string{`env=[{"name":"OTEL_EXPORTER_OTLP_ENDPOINT","value":"http://collector:4318"}]`}, object: "Deployment/platen-manager",
			path: "spec.template.spec.containers.0.env.3.value", want: "http://collector:4318"},
		{values: []string{`env=[{"name":"OTEL_EXPORTER_OTLP_HEADERS","valueFrom":{"secretKeyRef":{"name":"collector","key":"headers"}}}]`}, object: "Deployment/platen-shim",
			path: "spec.template.spec.containers.0.env.2.valueFrom.secretKeyRef.name", want: "collector"},
		{values: []string{`shim.enabled=false`}, object: "Deployment/platen-shim", missing: true},
		{values: []string{`shim.enabled=false`}, object: "NetworkPolicy/platen-shim", missing: true},
		{values: []string{`shim.enabled=false`}, object: "ClusterRole/platen-shim", missing: true},
		{values: []string{`networkPolicy.enabled=false`}, object: "NetworkPolicy/platen-manager", missing: true},
		{values: []string{`rbac.create=false`}, object: "ClusterRole/platen-manager", missing: true},
		{values: []string{`manager.serviceAccount.create=false`}, object: "ServiceAccount/platen-manager", missing: true},
		{values: []string{`manager.serviceAccount.annotations={"iam":"renders"}`}, object: "ServiceAccount/platen-manager", path: "metadata.annotations.iam", want: "renders"},
		{values: []string{`crds.install=false`}, object: "CustomResourceDefinition/renderjobs.platen.dev", missing: true},
		{values: []string{`shim.tlsSecret="shim-tls"`}, object: "Service/platen-shim", path: "spec.ports.0.port", want: float64(443)},
		{values: []string{`shim.service.type="LoadBalancer"`}, object: "Service/platen-shim", path: "spec.type", want: "LoadBalancer"},
		{values: []string{`shim.ingress={"enabled":true,"host":"platen.example.com","className":"nginx"}`}, object: "Ingress/platen-shim",
			path: "spec.rules.0.host", want: "platen.example.com"},
	} {
		object := render(t, c.values...)[c.object]
		if object == nil || c.missing {
			if (object == nil) != c.missing {
				t.Errorf("%v: there is an %s: %v", c.values, c.object, object != nil)
			}
			continue
		}
		if got := at(object.Object, c.path); !cmp.Equal(got, c.want) {
			t.Errorf("%v: %s of %s is %v, want %v", c.values, c.path, c.object, got, c.want)
		}
	}
}

// at returns the value at a path such as spec.ports.0.port; nil if there is none.
func at(value any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		switch parent := value.(type) {
		case map[string]any:
			value = parent[key]
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i >= len(parent) {
				return nil
			}
			value = parent[i]
		default:
			return nil
		}
	}
	return value
}

// overlay builds config/default with a component of config/.
func overlay(t *testing.T, component string) objects {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "overlay")
	if err := os.CopyFS(filepath.Join(folder, "config"), os.DirFS("../../config")); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(folder, "config", "overlay")
	if err := os.Mkdir(overlay, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte("resources: [../default]\ncomponents: [../"+component+"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, manifests)
}

// The value manager.shards does what the component config/shards does.
func TestShards(t *testing.T) {
	want, got := overlay(t, "ha, ../bucket, ../shards"), render(t, sharded...)
	for _, name := range []string{"Service/platen-dispatch", "Service/platen-dispatch-0", "Service/platen-dispatch-1", "PodDisruptionBudget/platen-manager"} {
		if want[name] == nil || got[name] == nil {
			t.Errorf("%s is in config/shards: %t, in the chart: %t", name, want[name] != nil, got[name] != nil)
		} else if difference := cmp.Diff(at(want[name].Object, "spec"), at(got[name].Object, "spec")); difference != "" {
			t.Errorf("%s of config/shards (-) and of the chart (+) differ:\n%s", name, difference)
		}
	}
	const manager = "Deployment/platen-manager"
	if flag := flags(want[manager])["--shards"]; flag != "2" || flags(got[manager])["--shards"] != flag {
		t.Errorf("--shards is '%s' in config/shards, and '%s' in the chart; want 2", flag, flags(got[manager])["--shards"])
	}
	if n := at(want[manager].Object, "spec.replicas"); n != at(got[manager].Object, "spec.replicas") {
		t.Errorf("config/shards has %v replicas, the chart %v", n, at(got[manager].Object, "spec.replicas"))
	}
}

// The TLS values do what the component config/tls does.
func TestTLS(t *testing.T) {
	want, got := overlay(t, "tls"), render(t, `shim.tlsSecret="platen-shim-tls"`, `content.tlsSecret="platen-content-tls"`)
	for _, name := range []string{"Deployment/platen-manager", "Deployment/platen-shim"} {
		for _, path := range []string{"spec.template.spec.volumes", "spec.template.spec.containers.0.volumeMounts"} {
			if difference := cmp.Diff(byName(at(want[name].Object, path)), byName(at(got[name].Object, path))); difference != "" {
				t.Errorf("%s of %s in config/tls (-) and the chart (+) differ:\n%s", path, name, difference)
			}
		}
		if difference := cmp.Diff(flags(want[name]), flags(got[name])); difference != "" {
			t.Errorf("the flags of %s in config/tls (-) and the chart (+) differ:\n%s", name, difference)
		}
	}
}

func byName(list any) map[string]any {
	named := map[string]any{}
	for _, item := range list.([]any) {
		named[item.(map[string]any)["name"].(string)] = item
	}
	return named
}

// flags returns a container's flags by name. The last one of a name counts, as in Go's flag package.
func flags(deployment *unstructured.Unstructured) map[string]string {
	set := map[string]string{}
	for _, arg := range at(deployment.Object, "spec.template.spec.containers.0.args").([]any) {
		name, value, _ := strings.Cut(arg.(string), "=")
		set[name] = value
	}
	return set
}

func TestWrongValuesAreRefused(t *testing.T) {
	for value, word := range map[string]string{
		`manager.flag={"max-pods":50}`:                        "flag",
		`shim.replicas="two"`:                                 "replicas",
		`image.digests.manager="latest"`:                      "pattern",
		`image.pullPolicy="Sometimes"`:                        "pullPolicy",
		`manager.flags={"--max-pods":50}`:                     "max-pods",
		`manager.flags={"max-podz":50}`:                       "max-podz",
		`shim.flags={"max-pods":50}`:                          "max-pods",
		`shim.ingress={"enabled":true}`:                       "shim.ingress.host",
		`content.persistence={"accessModes":"ReadWriteMany"}`: "accessModes",
		`manager={"shards":3,"replicas":2}`:                   "manager.replicas",
		`manager={"shards":2,"replicas":3}`:                   "content.store",
	} {
		if _, err := helm(t, "template", "platen", "--set-json", value); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: error %v, want one that names %s", value, err, word)
		}
	}
}

// apiServer starts the API server that the tests share, which TestMain stops.
func apiServer(t *testing.T) *rest.Config {
	t.Helper()
	config, err := startServer()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

var (
	stopServer  = func() error { return nil }
	startServer = sync.OnceValues(func() (config *rest.Config, err error) {
		config, stopServer, err = testenv.Start()
		return config, err
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := stopServer(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// With a bucket, neither the chart nor the component config/bucket has a volume, which only one node could mount.
func TestBucket(t *testing.T) {
	want, got := overlay(t, "bucket"), render(t, `content.store="s3://renders"`)
	for name, set := range map[string]objects{"config/bucket": want, "the chart": got} {
		if set["PersistentVolumeClaim/platen-content"] != nil {
			t.Errorf("%s has a volume", name)
		}
	}
	for _, path := range []string{"spec.template.spec.volumes", "spec.template.spec.containers.0.volumeMounts"} {
		const name = "Deployment/platen-manager"
		if difference := cmp.Diff(byName(at(want[name].Object, path)), byName(at(got[name].Object, path))); difference != "" {
			t.Errorf("%s in config/bucket (-) and the chart (+) differ:\n%s", path, difference)
		}
	}
}

// The API server accepts each object of the chart and of config/, and knows each of their fields.
func TestAPIServerAcceptsManifests(t *testing.T) {
	c, err := client.New(apiServer(t), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "platen-system"}}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]objects{
		"the chart":                         render(t),
		"the chart with TLS and an Ingress": render(t, `shim.tlsSecret="a"`, `content.tlsSecret="b"`, `shim.ingress={"enabled":true,"host":"platen.example.com","tlsSecret":"c"}`),
		"the chart with two managers":       render(t, `manager.replicas=2`),
		"config/default":                    build(t, "config/default"),
		"config/ha":                         overlay(t, "ha"),
		"config/shards":                     overlay(t, "ha, ../bucket, ../shards"),
		"config/bucket":                     overlay(t, "bucket"),
		"config/simulator":                  build(t, "config/simulator"),
	} {
		for key, object := range set {
			err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("test"), client.ForceOwnership, client.DryRunAll)
			if err != nil {
				t.Errorf("%s: %s: %v", name, key, err)
			}
		}
	}
}
