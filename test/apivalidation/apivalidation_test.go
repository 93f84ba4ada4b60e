// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apivalidation tests what the API server refuses because of the CRDs' schemas and CEL rules.
package apivalidation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/task"
	"github.com/platen-dev/platen/test/testenv"
)

var (
	api client.Client
	// config of an administrator of the API server.
	config *rest.Config
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	started, stop, err := testenv.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the API server:", err)
		return 1
	}
	defer func() { _ = stop() }()
	config = started
	scheme, err := testenv.Scheme()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// manifest returns the object of a kind with a spec.
func manifest(t *testing.T, kind, spec string) string {
	t.Helper()
	var text strings.Builder
	name := "test"
	if kind == "RenderPool" && !strings.HasSuffix(t.Name(), "another_name") {
		name = platenv1alpha1.RenderPoolName
	}
	fmt.Fprintf(&text, "apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: default}\nspec:\n", platenv1alpha1.GroupVersion, kind, name)
	for line := range strings.Lines(strings.TrimSpace(spec)) {
		text.WriteString("  " + line)
	}
	return text.String()
}

// parse returns the object of a manifest.
func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return object
}

// apply does what kubectl apply --server-side --dry-run=server does.
func apply(t *testing.T, kind, spec string) (*unstructured.Unstructured, error) {
	t.Helper()
	object := parse(t, manifest(t, kind, spec))
	options := &client.ApplyOptions{FieldManager: "test", DryRun: []string{metav1.DryRunAll}}
	return object, api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), options)
}

const (
	job        = "templateRef: {name: banner}\n"
	template   = "pages: [{name: front, width: 10, height: 10, html: <p>}]\n"
	connection = "provider: dropbox\ndropbox: {credentialsSecretRef: {name: dropbox}}\n"
)

// refusals are specs that the API server refuses, and what it says.
func refusals() map[string]struct{ kind, spec, want string } {
	long := strings.Repeat("a", 256)
	return map[string]struct{ kind, spec, want string }{
		"unknown format":            {"RenderJob", job + "output: {format: bmp}", `spec.output.format: Unsupported value: "bmp"`},
		"format of other case":      {"RenderJob", job + "output: {format: PNG}", `spec.output.format: Unsupported value: "PNG"`},
		"one connection twice":      {"RenderJob", job + "connections: [{type: storage, provider: dropbox}, {type: storage, provider: dropbox, name: ''}]", "spec.connections: Invalid value: each connection must be named once: no two entries may have the same provider and name; for two folders of a connection, create two jobs"},
		"quality 0":                 {"RenderJob", job + "output: {quality: 0}", "spec.output.quality"},
		"quality 101":               {"RenderJob", job + "output: {quality: 101}", "spec.output.quality: Invalid value"},
		"pool, minReady above max":  {"RenderPool", "minReady: 3\nmax: 2", "minReady must be at most max"},
		"pool, max 0":               {"RenderPool", "max: 0", "spec.max"},
		"pool, max 101":             {"RenderPool", "max: 101", "spec.max: Invalid value"},
		"pool, isolation":           {"RenderPool", "isolation: Node", `spec.isolation: Unsupported value: "Node"`},
		"pool, weight 0":            {"RenderPool", "weight: 0", "spec.weight: Invalid value"},
		"pool, egress no prefix":    {"RenderPool", "egress: {allow: [10.1.0.0]}", "must be a prefix of IP addresses"},
		"pool, no label":            {"RenderPool", "podTemplate: {labels: {team: a b}}", `spec.podTemplate.labels[team]: Invalid value: "a b": must be the value of a label`},
		"pool, a long label":        {"RenderPool", "podTemplate: {labels: {team: " + strings.Repeat("a", 64) + "}}", "spec.podTemplate.labels.team: Too long: may not be more than 63 bytes"},
		"pool, a platform's label":  {"RenderPool", "podTemplate: {labels: {app.kubernetes.io/component: x}}", "a label with a prefix must be one of"},
		"pool, a network":           {"RenderPool", "podTemplate: {annotations: {k8s.v1.cni.cncf.io/networks: x}}", "an annotation with a prefix must be one of"},
		"pool, a system's class":    {"RenderPool", "podTemplate: {priorityClassName: system-node-critical}", "must not be a class of the system"},
		"pool, a field of the pod":  {"RenderPool", "podTemplate: {hostNetwork: true}", "field not declared in schema"},
		"pool, claims":              {"RenderPool", "podTemplate: {resources: {claims: [{name: gpu}]}}", "spec.podTemplate.resources: Invalid value: claims are not possible"},
		"pool, its containers":      {"RenderPool", "podTemplate: {containers: []}", "field not declared in schema"},
		"pool, its service account": {"RenderPool", "podTemplate: {serviceAccountName: admin}", "field not declared in schema"},
		"pool, another name":        {"RenderPool", "max: 2", "metadata.name must be default: a namespace has one RenderPool"},
		"pdf for a picture":         {"RenderJob", job + "output: {format: png, pdf: {margin: 1cm}}", "pdf options need format pdf"},
		"range backwards":           {"RenderJob", job + "output: {format: pdf, pdf: {rangeFrom: 3, rangeTo: 2}}", "rangeFrom must be at most rangeTo"},
		"video for a picture":       {"RenderJob", job + "output: {video: {fps: 10}}", "video options need format mp4, webm or gif"},
		"fps 31":                    {"RenderJob", job + "output: {format: gif, video: {fps: 31}}", "spec.output.video.fps: Invalid value"},
		"a fade without one file":   {"RenderJob", job + `output: {format: mp4, video: {pageTransition: fade}}`, "pageTransition needs combinePages"},
		"unknown transition":        {"RenderJob", job + `output: {format: mp4, video: {combinePages: true, pageTransition: iris}}`, "Unsupported value"},
		"unknown colours":           {"RenderJob", job + `output: {format: pdf, pdf: {colorMode: lab}}`, "Unsupported value"},
		"size of other case":        {"RenderJob", job + "output: {size: 1080X1080}", "must be a width and a height in CSS pixels, such as 1080x1080, or a name, such as instagram-post"},
		"size with spaces":          {"RenderJob", job + "output: {size: 1080 x 1080}", "must be a width and a height in CSS pixels, such as 1080x1080, or a name, such as instagram-post"},
		"size with a path":          {"RenderJob", job + "output: {extraSizes: [../x]}", "spec.output.extraSizes[0]: Invalid value"},
		"size twice":                {"RenderJob", job + "output: {extraSizes: [story, story]}", "spec.output.extraSizes: Invalid value: each size must be named once, and story is named twice"},
		"extra size of a film":      {"RenderJob", job + "output: {format: mp4, extraSizes: [story]}", "extraSizes need format png, jpg, jpeg, webp or avif"},
		"no extra size":             {"RenderJob", job + "output: {extraSizes: []}", "spec.output.extraSizes"},
		"transparent jpg":           {"RenderJob", job + "output: {format: jpg, transparent: true}", "transparent needs format png, webp or avif"},
		"page 0":                    {"RenderJob", job + "output: {pages: [1, 0]}", "spec.output.pages[1]"},
		"page twice":                {"RenderJob", job + "output: {pages: [1, 1]}", "spec.output.pages: Invalid value: each page must be named once"},
		"fileName with slash":       {"RenderJob", job + "output: {fileName: a/b}", "spec.output.fileName: Invalid value"},
		"fileName of 101 emoji":     {"RenderJob", job + "output: {fileName: " + strings.Repeat("🎉", 101) + "}", "an emoji counts as two"},
		"priority too high":         {"RenderJob", job + "priority: 1001", "spec.priority"},
		"unknown content policy":    {"RenderJob", job + "contentPolicy: Keep", `spec.contentPolicy: Unsupported value: "Keep"`},
		"fileName hidden":           {"RenderJob", job + "output: {fileName: ../x}", "spec.output.fileName"},
		"fileName control":          {"RenderJob", job + `output: {fileName: "a\nb"}`, "must not contain a backslash, a line break or a control character"},
		"fileName of two lines":     {"RenderJob", job + `output: {fileName: "a\u2028b"}`, "must not contain a backslash, a line break or a control character"},
		"fileName invisible":        {"RenderJob", job + `output: {fileName: "\u200b\ufeff"}`, "must have a visible character"},
		"other connection":          {"RenderJob", job + "connections: [{type: email, provider: dropbox}]", `spec.connections[0].type: Unsupported value: "email"`},
		"unknown provider":          {"RenderJob", job + "connections: [{type: storage, provider: box}]", `provider: Unsupported value: "box": supported values: "dropbox"`},
		"connection twice":          {"RenderJob", job + "connections: [{type: storage, provider: dropbox}, {type: storage, provider: dropbox}]", "each connection must be named once"},
		"two folders":               {"RenderJob", job + "connections: [{type: storage, provider: s3, name: extra}, {type: storage, provider: dropbox, name: extra, folder: /a}, {type: storage, provider: gcs}, {type: storage, provider: dropbox, name: extra, folder: /b}]", "each connection must be named once"},
		"too many files":            {"RenderJob", job + "output: {pages: [" + numbered(100) + "], extraSizes: [story, square]}", "spec.output: Invalid value: pages in all of their sizes must be at most 200 files"},
		"modifications a list":      {"RenderJob", job + "modifications: [1]", "spec.modifications"},
		"no template":               {"RenderJob", "output: {format: png}", "spec.templateRef"},
		"folder without slash":      {"RenderJob", job + "connections: [{type: storage, provider: dropbox, folder: Marketing}]", "spec.connections[0].folder: Invalid value"},
		"folder with slash at its end": {
			"RenderJob", job + "connections: [{type: storage, provider: dropbox, folder: /Marketing/}]", "must not end with a slash",
		},
		"ConfigMap with a path": {"RenderJob", job + "modificationsFrom: [{configMapKeyRef: {name: ../../sales/configmaps/x, key: a}}]", "must be the name of a ConfigMap"},
		"Secret with a path":    {"StorageConnection", "provider: dropbox\ndropbox: {credentialsSecretRef: {name: sales/dropbox}}\n", "must be the name of a Secret"},
		"folder with dots":      {"StorageConnection", connection + "defaultFolder: /a/../b", "must not have a component that is '.' or '..'"},
		"folder with backslash": {"StorageConnection", connection + `defaultFolder: '/a\b'`, "must not contain a backslash"},
		"folder with control":   {"StorageConnection", connection + `defaultFolder: "/a\u0007b"`, "must not contain a backslash, a line break or a control character"},
		"folder of two lines":   {"StorageConnection", connection + `defaultFolder: "/a\u2028b"`, "must not contain a backslash, a line break or a control character"},
		"folder empty part":     {"StorageConnection", connection + "defaultFolder: /a//b", "must not contain an empty component"},
		"folder refused name":   {"StorageConnection", connection + "defaultFolder: /a/Desktop.ini", "a name that Dropbox refuses"},
		"folder part too long":  {"StorageConnection", connection + "defaultFolder: /" + long, "longer than 255 characters"},
		"folder space at end":   {"StorageConnection", connection + "defaultFolder: '/a /b'", "ends with a space or a dot"},
		"unknown policy":        {"StorageConnection", connection + "uploadPolicy: Sometimes", "spec.uploadPolicy: Unsupported value"},
		"connection provider":   {"StorageConnection", "provider: box", `spec.provider: Unsupported value: "box"`},
		"no credentials":        {"StorageConnection", "provider: dropbox", "dropbox must be set when provider is dropbox"},
		"folder text direction": {"StorageConnection", connection + `defaultFolder: "/a\u202eb"`, "changes the direction of text"},
		"bound too low":         {"StorageConnection", connection + "maxUploadBytesPerSecond: 1000", "maxUploadBytesPerSecond"},
		"bucket of another":     {"StorageConnection", connection + "s3: {bucket: renders, credentialsSecretRef: {name: s}}", "s3 must be set when provider is s3, and only then"},
		"no bucket":             {"StorageConnection", "provider: s3", "s3 must be set when provider is s3"},
		"no container":          {"StorageConnection", "provider: azureblob", "azureBlob must be set when provider is azureblob"},
		"no GCS bucket":         {"StorageConnection", "provider: gcs", "gcs must be set when provider is gcs"},
		"bucket with a space":   {"StorageConnection", inBucket("s3", "bucket: UPPER CASE"), "spec.s3.bucket: Invalid value: \"UPPER CASE\": must be the name of a bucket"},
		"bucket with a folder":  {"StorageConnection", inBucket("s3", "bucket: renders/summer"), "without spaces and slashes"},
		"bucket as a URL":       {"StorageConnection", inBucket("s3", "bucket: 's3://renders'"), "without spaces and slashes"},
		"bucket with a letter":  {"StorageConnection", inBucket("s3", "bucket: büro"), "must be the name of a bucket"},
		"GCS bucket's case":     {"StorageConnection", inBucket("gcs", "bucket: Renders"), "spec.gcs.bucket: Invalid value: \"Renders\": must be the name of a bucket: lower-case letters"},
		"GCS bucket as a URL":   {"StorageConnection", inBucket("gcs", "bucket: 'gs://renders'"), "must be the name of a bucket: lower-case letters"},
		"GCS bucket's end":      {"StorageConnection", inBucket("gcs", "bucket: renders-"), "with a letter or a digit first and last"},
		"container's case":      {"StorageConnection", inBucket("azureBlob", "account: acme, container: My Files"), "spec.azureBlob.container: Invalid value: \"My Files\": must be the name of a container"},
		"container's dot":       {"StorageConnection", inBucket("azureBlob", "account: acme, container: my.files"), "must be the name of a container"},
		"container's hyphens":   {"StorageConnection", inBucket("azureBlob", "account: acme, container: my--files"), "single hyphens"},
		"endpoint with a path":  {"StorageConnection", "provider: s3\ns3: {bucket: renders, endpoint: 'https://s3.example.com/x', credentialsSecretRef: {name: s}}", "spec.s3.endpoint"},
		"endpoint's port":       {"StorageConnection", "provider: s3\ns3: {bucket: renders, endpoint: 'https://s3.example.com:99999', credentialsSecretRef: {name: s}}", "spec.s3.endpoint: Invalid value: \"https://s3.example.com:99999\": must have a port from 1 to 65535"},
		"endpoint's port 0":     {"StorageConnection", "provider: azureblob\nazureBlob: {account: acc, container: renders, endpoint: 'http://[::1]:0/account', credentialsSecretRef: {name: s}}", "must have a port from 1 to 65535"},
		"endpoint's port name":  {"StorageConnection", "provider: s3\ns3: {bucket: renders, endpoint: 'https://s3.example.com:http', credentialsSecretRef: {name: s}}", "must have a port from 1 to 65535"},
		"font at a wrong port":  {"FontSet", fontAt("https://fonts.example.com:65536/a.woff2?x") + "}]", "must have a port from 1 to 65535"},
		"font at a long port":   {"FontSet", fontAt("https://fonts.example.com:99999999999999999999/a.woff2") + "}]", "must have a port from 1 to 65535"},
		"image at a wrong port": {"FontSet", fontImage("registry.example.com:99999/fonts@"+digest, "") + "}]", "must have a port from 1 to 65535"},
		"endpoint with a user":  {"StorageConnection", "provider: s3\ns3: {bucket: renders, endpoint: 'https://u:p@s3.example.com', credentialsSecretRef: {name: s}}", "spec.s3.endpoint"},
		"no pages":              {"RenderTemplate", "templateID: 1", "spec.pages"},
		"neither html":          {"RenderTemplate", "pages: [{name: a, width: 1, height: 1}]", "exactly one of html and htmlFrom must be set"},
		"both html": {
			"RenderTemplate", "pages: [{name: a, width: 1, height: 1, html: x, htmlFrom: {configMapKeyRef: {name: a, key: b}}}]",
			"exactly one of html and htmlFrom must be set",
		},
		"width 0":     {"RenderTemplate", "pages: [{name: a, width: 0, height: 1, html: x}]", "spec.pages[0].width"},
		"height 5001": {"RenderTemplate", "pages: [{name: a, width: 1, height: 5001, html: x}]", "spec.pages[0].height: Invalid value: 5001"},
		"page ids twice": {
			"RenderTemplate", `pages:
- {name: a, width: 1, height: 1, html: x, id: a1b2c3d4-5e6f-7890-abcd-ef1234567890}
- {name: b, width: 1, height: 1, html: x, id: a1b2c3d4-5e6f-7890-abcd-ef1234567890}`, "page ids must be unique in the template",
		},
		"page id no UUID":      {"RenderTemplate", "pages: [{name: a, width: 1, height: 1, html: x, id: front}]", "spec.pages[0].id"},
		"parameter unknown":    {"RenderTemplate", template + "parameters: [{name: a, type: shape}]", "spec.parameters[0].type: Unsupported value"},
		"template with a path": {"RenderJob", "templateRef: {name: ../x}", "spec.templateRef.name: Invalid value: \"../x\": must be the name of a RenderTemplate"},
		"template in capitals": {"RenderJob", "templateRef: {name: Banner}", "must be the name of a RenderTemplate"},
		"template of two dots": {"RenderJob", "templateRef: {name: a..b}", "must be the name of a RenderTemplate"},
		"connection's name":    {"RenderJob", job + "connections: [{type: storage, provider: dropbox, name: a/b}]", "spec.connections[0].name: Invalid value: \"a/b\": must be the name of a StorageConnection"},
		"FontSet's name":       {"RenderTemplate", template + "fontSetRefs: [{name: House Fonts}]", "spec.fontSetRefs[0].name: Invalid value: \"House Fonts\": must be the name of a FontSet"},
		"font without a place": {"FontSet", "sources: [{}]", "spec.sources[0]: Invalid value: needs exactly one of configMapRef, url and image"},
		"font with two places": {"FontSet", fontAt("https://example.com/a.woff2") + ", configMapRef: {name: a}}]", "spec.sources[0]: Invalid value: needs exactly one of configMapRef, url and image"},
		"image and ConfigMap":  {"FontSet", fontImage("ghcr.io/acme/fonts@"+digest, "") + ", configMapRef: {name: a}}]", "spec.sources[0]: Invalid value: needs exactly one of configMapRef, url and image"},
		"image with a hash":    {"FontSet", fontImage("ghcr.io/acme/fonts@"+digest, "") + ", sha256: " + strings.Repeat("0a", 32) + "}]", "spec.sources[0]: Invalid value: url and sha256 need each other"},
		"image with a tag":     {"FontSet", fontImage("ghcr.io/acme/fonts:1.0", "") + "}]", "spec.sources[0].image.reference: Invalid value: \"ghcr.io/acme/fonts:1.0\": must end with the image's digest, @sha256: and 64 hexadecimal digits, so that pictures stay as they are"},
		"image's short digest": {"FontSet", fontImage("ghcr.io/acme/fonts@sha256:0a", "") + "}]", "must end with the image's digest"},
		"image's sha512":       {"FontSet", fontImage("ghcr.io/acme/fonts@sha512:"+strings.Repeat("0a", 64), "") + "}]", "must end with the image's digest"},
		"image's two digests":  {"FontSet", fontImage("ghcr.io/acme/fonts@"+digest+"@"+digest, "") + "}]", "must be REGISTRY/REPOSITORY@sha256:DIGEST"},
		"image of no registry": {"FontSet", fontImage("acme/fonts@"+digest, "") + "}]", "must be REGISTRY/REPOSITORY@sha256:DIGEST with the registry's name in front, such as docker.io/acme/fonts@sha256:0123"},
		"image with a scheme":  {"FontSet", fontImage("https://ghcr.io/acme/fonts@"+digest, "") + "}]", "must be REGISTRY/REPOSITORY@sha256:DIGEST"},
		"image in capitals":    {"FontSet", fontImage("ghcr.io/Acme/fonts@"+digest, "") + "}]", "and the repository in lower case"},
		"image out of it":      {"FontSet", fontImage("ghcr.io/acme/../fonts@"+digest, "") + "}]", "must be REGISTRY/REPOSITORY@sha256:DIGEST"},
		"image with a user":    {"FontSet", fontImage("ada:secret@ghcr.io/acme/fonts@"+digest, "") + "}]", "must be REGISTRY/REPOSITORY@sha256:DIGEST"},
		"image's folder":       {"FontSet", fontImage("ghcr.io/acme/fonts@"+digest, ", path: /usr/../fonts") + "}]", "spec.sources[0].image.path: Invalid value: \"/usr/../fonts\": must be a folder such as /usr/share/fonts"},
		"image's wildcards":    {"FontSet", fontImage("ghcr.io/acme/fonts@"+digest, ", path: 'fonts/*.ttf'") + "}]", "without . and .. and without wildcards"},
		"image's Secret":       {"FontSet", fontImage("ghcr.io/acme/fonts@"+digest, ", pullSecretRef: {name: A}") + "}]", "spec.sources[0].image.pullSecretRef.name: Invalid value: \"A\": must be the name of a Secret"},
		"font without a hash":  {"FontSet", "sources: [{url: https://example.com/a.woff2}]", "spec.sources[0]: Invalid value: url and sha256 need each other"},
		"hash without a font":  {"FontSet", "sources: [{configMapRef: {name: a}, sha256: " + strings.Repeat("0a", 32) + "}]", "spec.sources[0]: Invalid value: url and sha256 need each other"},
		"font's hash":          {"FontSet", "sources: [{url: https://example.com/a, sha256: " + strings.Repeat("A", 64) + "}]", "must be 64 hexadecimal digits in lower case"},
		"font's URL":           {"FontSet", fontAt("ftp://example.com/a.woff2") + "}]", "\"ftp://example.com/a.woff2\": must be an http or https URL"},
		"font's user":          {"FontSet", fontAt("https://ada:secret@example.com/a.woff2") + "}]", "must be an http or https URL without a user and a password"},
		"font's ConfigMap":     {"FontSet", "sources: [{configMapRef: {name: a_b}}]", "spec.sources[0].configMapRef.name: Invalid value: \"a_b\": must be the name of a ConfigMap"},
		"pool, a class's name": {"RenderPool", "podTemplate: {runtimeClassName: gVisor}", "spec.podTemplate.runtimeClassName: Invalid value: \"gVisor\": must be the name of a RuntimeClass"},
		"pool, a priority":     {"RenderPool", "podTemplate: {priorityClassName: a b}", "must be the name of a PriorityClass"},
		"pool, little memory":  {"RenderPool", "podTemplate: {resources: {limits: {memory: 64Mi}}}", "limits.memory must be at least 128Mi"},
		"pool, bytes":          {"RenderPool", "podTemplate: {resources: {limits: {memory: 67108864}}}", "limits.memory must be at least 128Mi"},
		"key with a space":     {"RenderJob", job + "modificationsFrom: [{configMapKeyRef: {name: a, key: a b}}]", "spec.modificationsFrom[0].configMapKeyRef.key: Invalid value: \"a b\": must be a key that a ConfigMap can have"},
		"team space in words":  {"StorageConnection", strings.Replace(connection, "{cred", "{rootNamespaceID: team, cred", 1), "must be the number of a team space"},
		"size of nothing":      {"RenderJob", job + "output: {size: '0x0'}", "spec.output.size: Invalid value: \"0x0\": width and height must be from 1 to 5000 CSS pixels"},
		"size of no height":    {"RenderJob", job + "output: {extraSizes: [100x000]}", "width and height must be from 1 to 5000 CSS pixels"},
		"size that is too big": {"RenderJob", job + "output: {size: 5001x1}", "width and height must be from 1 to 5000 CSS pixels"},
	}
}

// numbered returns the numbers from 1 to n for a list.
func numbered(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%d, ", i+1)
	}
	return strings.TrimSuffix(text.String(), ", ")
}

func TestRefusals(t *testing.T) {
	for name, tc := range refusals() {
		t.Run(name, func(t *testing.T) {
			_, err := apply(t, tc.kind, tc.spec)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	object, err := apply(t, "RenderJob", job)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"spec.output.format": "png", "spec.output.scale": "1", "spec.output.quality": int64(90), "spec.timeoutSeconds": int64(300),
		"spec.backoffLimit": int64(2), "status.observedGeneration": int64(-1),
	} {
		got, _, err := unstructured.NestedFieldNoCopy(object.Object, strings.Split(path, ".")...)
		if err != nil || got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	ready := map[string]any{
		"type": "Ready", "status": "Unknown", "reason": platenv1alpha1.PendingReason, "message": "Platen has not looked at it yet", "lastTransitionTime": "1970-01-01T00:00:00Z",
	}
	if conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions"); err != nil || !equality.Semantic.DeepEqual(conditions, []any{ready}) {
		t.Errorf("before the manager has seen a job, it has the conditions %v, want %v", conditions, ready)
	}
	if _, found, _ := unstructured.NestedSlice(object.Object, "spec", "connections"); found {
		t.Error("connections left out must stay left out")
	}
	if policy, found, _ := unstructured.NestedString(object.Object, "spec", "contentPolicy"); found {
		t.Errorf("a contentPolicy left out has become '%s'", policy)
	}
}

// TestPreviewsHaveTheSameDefaults compares the defaults of the API server with those that package task sets in objects that it reads from files.
func TestPreviewsHaveTheSameDefaults(t *testing.T) {
	applied, defaulted := &platenv1alpha1.RenderJob{}, &platenv1alpha1.RenderJob{}
	object, err := apply(t, "RenderJob", job)
	if err != nil {
		t.Fatal(err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, applied); err != nil {
		t.Fatal(err)
	}
	task.SetDefaults(defaulted)
	// An option that is false by default may be left out.
	applied.Spec.Output.Transparent = nil
	if !equality.Semantic.DeepEqual(applied.Spec.Output, defaulted.Spec.Output) {
		t.Errorf("output: the API server has %+v, package task %+v", applied.Spec.Output, defaulted.Spec.Output)
	}
}

// TestOneMessageForAMistake applies values with one mistake each. A second message would be about something that is right.
func TestOneMessageForAMistake(t *testing.T) {
	const (
		noDigest = "must end with the image's digest"
		noImage  = "must be REGISTRY/REPOSITORY@sha256:DIGEST"
		noURL    = "must be an http or https URL without a user and a password"
		noPort   = "must have a port from 1 to 65535"
	)
	for name, tc := range map[string]struct{ kind, spec, want string }{
		"image with a tag":           {"FontSet", fontImage("docker.io/acme/fonts:latest", "") + "}]", noDigest},
		"image with neither":         {"FontSet", fontImage("docker.io/acme/fonts", "") + "}]", noDigest},
		"image's registry at a port": {"FontSet", fontImage("registry:5000/fonts", "") + "}]", noDigest},
		"image's empty digest":       {"FontSet", fontImage("docker.io/acme/fonts@", "") + "}]", noDigest},
		"image's short digest":       {"FontSet", fontImage("docker.io/acme/fonts:1.0@sha256:0a", "") + "}]", noDigest},
		"image's sha512":             {"FontSet", fontImage("docker.io/acme/fonts@sha512:"+strings.Repeat("0a", 64), "") + "}]", noDigest},
		"image's two digests":        {"FontSet", fontImage("docker.io/acme/fonts@"+digest+"@"+digest, "") + "}]", noImage},
		"image of no registry":       {"FontSet", fontImage("acme/fonts@"+digest, "") + "}]", noImage},
		"image with a user":          {"FontSet", fontImage("ada:secret@ghcr.io:99999/acme/fonts@"+digest, "") + "}]", noImage},
		"image at a wrong port":      {"FontSet", fontImage("registry:99999/fonts@"+digest, "") + "}]", noPort},
		"font's user":                {"FontSet", fontAt("https://ada:secret@fonts.example.com/a.woff2") + "}]", noURL},
		"font's user and port":       {"FontSet", fontAt("https://ada:secret@fonts.example.com:8443/a.woff2") + "}]", noURL},
		"font's user without a path": {"FontSet", fontAt("https://ada:secret@fonts.example.com") + "}]", noURL},
		"font's scheme":              {"FontSet", fontAt("ftp://fonts.example.com:99999/a.woff2") + "}]", noURL},
		"font's port":                {"FontSet", fontAt("https://fonts.example.com:99999/a@b.woff2") + "}]", noPort},
		"S3 endpoint's user":         {"StorageConnection", inBucket("s3", "bucket: renders, endpoint: 'https://ada:secret@s3.example.com'"), "without a user and a path"},
		"S3 endpoint's path":         {"StorageConnection", inBucket("s3", "bucket: renders, endpoint: 'https://s3.example.com:9000/a'"), "without a user and a path"},
		"S3 endpoint's port":         {"StorageConnection", inBucket("s3", "bucket: renders, endpoint: 'https://s3.example.com:99999'"), noPort},
		"Azure endpoint's user":      {"StorageConnection", inBucket("azureBlob", "account: acme, container: renders, endpoint: 'https://ada:secret@blobs.example.com/acme'"), "without a user and a query"},
		"Azure endpoint's port":      {"StorageConnection", inBucket("azureBlob", "account: acme, container: renders, endpoint: 'https://blobs.example.com:0/acme'"), noPort},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := apply(t, tc.kind, tc.spec)
			if refusal := apierrors.APIStatus(nil); !errors.As(err, &refusal) || len(refusal.Status().Details.Causes) != 1 || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want only %q", err, tc.want)
			}
		})
	}
}

// inBucket is the spec of a connection to a bucket.
func inBucket(field, spec string) string {
	return "provider: " + strings.ToLower(field) + "\n" + field + ": {" + spec + ", credentialsSecretRef: {name: s}}"
}

// fontAt begins a FontSet's spec with a file at a URL.
func fontAt(url string) string {
	return "sources: [{url: '" + url + "', sha256: " + strings.Repeat("0a", 32)
}

// digest is one of an image.
var digest = "sha256:" + strings.Repeat("0a", 32)

// fontImage begins a FontSet's spec with an image.
func fontImage(reference, more string) string {
	return "sources: [{image: {reference: '" + reference + "'" + more + "}"
}

// accepted are specs that the API server takes.
func accepted() map[string]struct{ kind, spec string } {
	return map[string]struct{ kind, spec string }{
		"job with everything": {"RenderJob", job + `modifications: {headline: Hello, "page2@title.color": red, list: [1, {a: b}]}
output: {format: webp, fileName: "Grüße 👩‍🚀 🎉", scale: "2.5", quality: 1, pages: [3, 1]}
connections: [{type: storage, provider: dropbox, folder: "/Ünï/日本"}, {type: storage, provider: dropbox, name: other}]`},
		"extra sizes":   {"RenderJob", job + "output: {format: jpg, size: 800x600, extraSizes: [instagram-story, 1x5000]}"},
		"webm, trimmed": {"RenderJob", job + `output: {format: webm, video: {trimStart: "0", trimEnd: "3600", combinePages: true, pageTransition: fade, pageTransitionDuration: "0.5"}}`},
		"cmyk":          {"RenderJob", job + `output: {format: pdf, pdf: {colorMode: cmyk}}`},
		"kept files":    {"RenderJob", job + "contentPolicy: Retain"},
		"long film":     {"RenderJob", job + `output: {format: mp4, size: story, video: {duration: "90.5"}}`},
		"numbers":       {"RenderJob", job + "output: {format: mp4, scale: 2, video: {duration: 3, trimStart: 1, trimEnd: 3}}"},
		"decimals":      {"RenderJob", job + "output: {format: webm, scale: 1.5, video: {duration: 2.5, trimStart: 0.25, trimEnd: 2.75, combinePages: true, pageTransition: fade, pageTransitionDuration: 0.75}}"},
		"a margin":      {"RenderJob", job + "output: {format: pdf, pdf: {margin: 2}}"},
		"a wide margin": {"RenderJob", job + "output: {format: pdf, pdf: {margin: 2.5}}"},
		"a team space":  {"StorageConnection", strings.Replace(connection, "{cred", "{rootNamespaceID: 123456, cred", 1)},
		"two of one":    {"RenderJob", job + "connections: [{type: storage, provider: dropbox, name: a}, {type: storage, provider: dropbox, name: b}]"},
		"no upload":     {"RenderJob", job + "connections: []"},
		"root folder":   {"StorageConnection", connection + "defaultFolder: /"},
		"from a ConfigMap": {
			"RenderTemplate", "pages: [{name: a, width: 5000, height: 1, htmlFrom: {configMapKeyRef: {name: a, key: b}}}]",
		},
		"names with dots": {"RenderJob", "templateRef: {name: a.b-c.1}\nconnections: [{type: storage, provider: dropbox, name: ''}]"},
		"pool's memory":   {"RenderPool", "podTemplate: {resources: {requests: {memory: 64Mi, cpu: 1}, limits: {memory: 128Mi}}}"},
		"pool's CPU":      {"RenderPool", "podTemplate: {resources: {limits: {cpu: 2}}}"},
		"sizes":           {"RenderJob", job + "output: {size: 5000x5000, extraSizes: [1x1, 0100x100, a4, instagram-story]}"},
		"fonts":           {"FontSet", "sources: [{configMapRef: {name: a}}, " + strings.TrimPrefix(fontAt("https://fonts.example.com:8443/a%20b.woff2?v=1@2#x"), "sources: [") + "}, " + strings.TrimPrefix(fontAt("http://fonts"), "sources: [") + "}]"},
		"ports":           {"StorageConnection", "provider: s3\ns3: {bucket: renders, endpoint: 'http://[2001:db8::1]:65535', credentialsSecretRef: {name: s}}"},
		"no port":         {"StorageConnection", "provider: s3\ns3: {bucket: renders, endpoint: 'http://[2001:db8::1]', credentialsSecretRef: {name: s}}"},
		"ports of fonts":  {"FontSet", fontAt("https://fonts.example.com:1/a:99999?b=:99999") + "}]"},
		"images of fonts": {"FontSet", "sources: [" + strings.Join([]string{
			strings.TrimPrefix(fontImage("ghcr.io/acme/fonts@"+digest, ""), "sources: ["),
			strings.TrimPrefix(fontImage("docker.io/fonts@"+digest, ", path: /usr/share/fonts/"), "sources: ["),
			strings.TrimPrefix(fontImage("registry:5000/a/b.c/d__e/f-g:1.0@"+digest, ", pullSecretRef: {name: ghcr.io}, path: a b.ttf"), "sources: ["),
			strings.TrimPrefix(fontImage("localhost/fonts@"+digest, ""), "sources: ["),
			strings.TrimPrefix(fontImage("[fd00::1]:5000/fonts@"+digest, ""), "sources: ["),
		}, "}, ") + "}]"},
		"buckets of Amazon": {"StorageConnection", inBucket("s3", "bucket: my.old_Bucket-1")},
		"tenant's bucket":   {"StorageConnection", inBucket("s3", "bucket: 'acme:renders'")},
		"access point":      {"StorageConnection", inBucket("s3", "bucket: 'arn:aws:s3:us-east-1:123456789012:accesspoint/renders'")},
		"bucket of Google":  {"StorageConnection", inBucket("gcs", "bucket: my_renders.example.com")},
		"container":         {"StorageConnection", inBucket("azureBlob", "account: acme, container: my-files-2")},
		"website":           {"StorageConnection", inBucket("azureBlob", "account: acme, container: $web")},
		"a team's number":   {"StorageConnection", strings.Replace(connection, "{cred", "{rootNamespaceID: '123456', cred", 1)},
	}
}

func TestAccepted(t *testing.T) {
	for name, tc := range accepted() {
		t.Run(name, func(t *testing.T) {
			if _, err := apply(t, tc.kind, tc.spec); err != nil {
				t.Error(err)
			}
		})
	}
}

// A list in which the order or the whole counts belongs to one manager of server-side apply: the lists of two are not joined.
func TestListsOfAJobHaveOneManager(t *testing.T) {
	first := parse(t, manifest(t, "RenderJob", job+"output: {pages: [1], extraSizes: [story]}"))
	first.SetName("lists")
	if err := api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(first.DeepCopy()), client.FieldOwner("first")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Delete(context.WithoutCancel(t.Context()), first); err != nil {
			t.Error(err)
		}
	})
	for list, spec := range map[string]string{"pages": "pages: [2]", "extraSizes": "extraSizes: [square]"} {
		second := parse(t, manifest(t, "RenderJob", job+"output: {"+spec+"}"))
		second.SetName("lists")
		err := api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(second), client.FieldOwner("second"))
		if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), ".spec.output."+list) {
			t.Errorf("%s of another manager: %v, want a conflict", list, err)
		}
	}
}

// Of an object whose last field is taken away, server-side apply leaves null, as of one with nothing behind its name.
func TestServerSideApplyEmptiesWhatItHasFilled(t *testing.T) {
	for name, tc := range map[string]struct{ kind, first, second string }{
		"modifications":                    {"RenderJob", job + "modifications: {headline: Hello}", job + "modifications: {}"},
		"modifications without a value":    {"RenderJob", job + "modifications: {headline: Hello}", job + "modifications:"},
		"modifications of an object":       {"RenderJob", job + "modifications: {order: {total: 5}}", job + "modifications: {order: {}}"},
		"modifications that never had any": {"RenderJob", job + "modifications:", job + "modifications: {}"},
		"options of a document":            {"RenderJob", job + "output: {format: pdf, pdf: {dpi: 300}}", job + "output: {format: pdf, pdf: {}}"},
		"options of a film":                {"RenderJob", job + "output: {format: gif, video: {fps: 10}}", job + "output: {format: gif, video: {}}"},
		"dynamic URLs":                     {"RenderTemplate", template + "dynamicURLs: {policy: Enabled}", template + "dynamicURLs: {}"},
		"pods":                             {"RenderPool", "podTemplate: {hostUsers: false}", "podTemplate: {}"},
		"labels and selectors of pods": {
			"RenderPool", "podTemplate: {labels: {team: a}, annotations: {team: a}, nodeSelector: {disk: ssd}}", "podTemplate: {labels: {}, annotations: {}, nodeSelector: {}}",
		},
		"resources and affinity of pods": {
			"RenderPool", "podTemplate: {resources: {limits: {cpu: 1}}, affinity: {nodeAffinity: {}}}", "podTemplate: {resources: {}, affinity: {}}",
		},
		"egress": {"RenderPool", "egress: {allow: [10.0.0.0/8]}", "egress: {}"},
	} {
		t.Run(name, func(t *testing.T) {
			object := func(spec string) *unstructured.Unstructured { return parse(t, manifest(t, tc.kind, spec)) }
			t.Cleanup(func() {
				if err := api.Delete(context.WithoutCancel(t.Context()), object(tc.first)); err != nil {
					t.Error(err)
				}
			})
			for _, spec := range []string{tc.first, tc.second, tc.second, tc.first} {
				if err := api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object(spec)), client.FieldOwner("test")); err != nil {
					t.Fatalf("%s: %v", spec, err)
				}
				if err := api.List(t.Context(), lists()[tc.kind]); err != nil {
					t.Errorf("%s cannot be read: %v", spec, err)
				}
			}
		})
	}
}

// lists has an empty list of each kind.
func lists() map[string]client.ObjectList {
	return map[string]client.ObjectList{
		"RenderJob": &platenv1alpha1.RenderJobList{}, "RenderTemplate": &platenv1alpha1.RenderTemplateList{}, "RenderPool": &platenv1alpha1.RenderPoolList{},
	}
}
