// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fonts_test

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/test/registry"
)

// TestMain makes the system trust the certificate of net/http/httptest.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		server := httptest.NewTLSServer(http.NotFoundHandler())
		defer server.Close()
		folder, err := os.MkdirTemp("", "platen-fonts")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(folder) }()
		file := filepath.Join(folder, "ca.crt")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
			panic(err)
		}
		if err := os.Setenv("SSL_CERT_FILE", file); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// outcome returns the reason and the message of an error of fetching.
func outcome(err error) string {
	if terminal := reconcile.AsTerminal(err); terminal != nil {
		return terminal.Reason + ": " + terminal.Message
	}
	if waiting := reconcile.AsWaiting(err); waiting != nil {
		return waiting.Reason + ": " + waiting.Message
	}
	return fmt.Sprint(err)
}

// pathsOf returns the path and the weight of each file.
func pathsOf(files []fonts.File) (list []string) {
	for _, f := range files {
		list = append(list, f.Path+" "+f.Weight)
	}
	return list
}

func TestFontsInAnImage(t *testing.T) {
	regular, bold := installed(t, "LiberationSans-Regular"), installed(t, "LiberationSans-Bold")
	file := func(path string, data []byte) registry.Entry { return registry.Entry{Name: path, Data: data} }
	gone := func(path string) registry.Entry { return registry.Entry{Name: path} }
	archive := func(entries ...registry.Entry) registry.Layer { return registry.Archive(registry.TarGzip, entries...) }
	unpacked := registry.Archive(registry.TarGzip, file("acme/bold.ttf", bold))
	unpacked.Annotations = map[string]string{"org.opencontainers.image.title": "acme", "io.deis.oras.content.unpack": "true"}
	lower := archive(file("fonts/regular.ttf", regular), file("fonts/bold.ttf", bold))
	for name, c := range map[string]struct {
		layers []registry.Layer
		path   string
		want   []string
	}{
		"files of oras":         {layers: []registry.Layer{registry.File("bold.ttf", bold), registry.File("LICENSE", []byte("OFL")), registry.File("sans/regular.TTF", regular)}, want: []string{"bold.ttf 700", "sans/regular.TTF 400"}},
		"a folder of oras":      {layers: []registry.Layer{unpacked}, want: []string{"acme/bold.ttf 700"}},
		"a tar":                 {layers: []registry.Layer{registry.Archive(registry.Tar, file("a.ttf", bold))}, want: []string{"a.ttf 700"}},
		"a tar with gzip":       {layers: []registry.Layer{archive(file("a.ttf", bold))}, want: []string{"a.ttf 700"}},
		"a tar with zstd":       {layers: []registry.Layer{registry.Archive(registry.TarZstd, file("a.ttf", bold))}, want: []string{"a.ttf 700"}},
		"Docker's type":         {layers: []registry.Layer{registry.Archive("application/vnd.docker.image.rootfs.diff.tar.gzip", file("a.ttf", bold))}, want: []string{"a.ttf 700"}},
		"Flux's type":           {layers: []registry.Layer{registry.Archive("application/vnd.cncf.flux.content.v1.tar+gzip", file("a.ttf", bold))}, want: []string{"a.ttf 700"}},
		"a wrong type":          {layers: []registry.Layer{registry.NewLayer(registry.TarGzip, registry.Archive(registry.TarZstd, file("a.ttf", bold)).Data)}, want: []string{"a.ttf 700"}},
		"another kind of layer": {layers: []registry.Layer{lower, registry.NewLayer("application/vnd.in-toto+json", []byte("{}"))}, want: []string{"fonts/bold.ttf 700", "fonts/regular.ttf 400"}},
		"other files":           {layers: []registry.Layer{archive(file("README.md", []byte("x")), file("./fonts/a.ttf", bold), registry.Entry{Name: "fonts/", Type: tar.TypeDir})}, want: []string{"fonts/a.ttf 700"}},
		"an upper layer":        {layers: []registry.Layer{lower, archive(file("fonts/bold.ttf", regular))}, want: []string{"fonts/bold.ttf 400", "fonts/regular.ttf 400"}},
		"an upper file of oras": {layers: []registry.Layer{registry.File("a.ttf", bold), registry.File("a.ttf", regular)}, want: []string{"a.ttf 400"}},
		"twice in a layer":      {layers: []registry.Layer{archive(file("a.ttf", bold), file("a.ttf", regular))}, want: []string{"a.ttf 400"}},
		"a whiteout":            {layers: []registry.Layer{lower, archive(gone("fonts/.wh.bold.ttf"))}, want: []string{"fonts/regular.ttf 400"}},
		"a whiteout, and again": {layers: []registry.Layer{lower, archive(gone("fonts/.wh.bold.ttf")), archive(file("fonts/bold.ttf", regular))}, want: []string{"fonts/bold.ttf 400", "fonts/regular.ttf 400"}},
		"a folder's whiteout":   {layers: []registry.Layer{lower, archive(gone(".wh.fonts"), file("a.ttf", bold))}, want: []string{"a.ttf 700"}},
		"of its own layer":      {layers: []registry.Layer{archive(file("fonts/a.ttf", bold), gone(".wh.fonts"))}, want: []string{"fonts/a.ttf 700"}},
		"an opaque folder":      {layers: []registry.Layer{lower, archive(file("fonts/a.ttf", bold), gone("fonts/.wh..wh..opq"))}, want: []string{"fonts/a.ttf 700"}},
		"an opaque root":        {layers: []registry.Layer{lower, archive(gone(".wh..wh..opq"), file("a.ttf", bold))}, want: []string{"a.ttf 700"}},
		"what is no whiteout":   {layers: []registry.Layer{lower, archive(gone("fonts/.wh..wh.plnk"))}, want: []string{"fonts/bold.ttf 700", "fonts/regular.ttf 400"}},
		"a file for a folder":   {layers: []registry.Layer{lower, archive(file("fonts", []byte("x")), file("a.ttf", bold))}, want: []string{"a.ttf 700"}},
		"a folder for a file":   {layers: []registry.Layer{archive(file("b.ttf", regular), file("a.ttf", bold)), archive(registry.Entry{Name: "a.ttf/", Type: tar.TypeDir})}, want: []string{"b.ttf 400"}},
		"a link for a file":     {layers: []registry.Layer{lower, archive(registry.Entry{Name: "fonts/bold.ttf", Type: tar.TypeSymlink, Link: "regular.ttf"})}, want: []string{"fonts/regular.ttf 400"}},
		"links":                 {layers: []registry.Layer{archive(file("a.ttf", bold), registry.Entry{Name: "b.ttf", Type: tar.TypeLink, Link: "a.ttf"}, registry.Entry{Name: "c.ttf", Type: tar.TypeSymlink, Link: "/etc/passwd"})}, want: []string{"a.ttf 700"}},
		"a device":              {layers: []registry.Layer{archive(file("a.ttf", bold), registry.Entry{Name: "b.ttf", Type: tar.TypeChar}, registry.Entry{Name: "c.ttf", Type: tar.TypeFifo})}, want: []string{"a.ttf 700"}},
		"a path out of it":      {layers: []registry.Layer{archive(file("../../etc/a.ttf", bold), file("/root/b.ttf", regular))}, want: []string{"etc/a.ttf 700", "root/b.ttf 400"}},
		"a folder":              {layers: []registry.Layer{archive(file("usr/share/fonts/a.ttf", bold), file("usr/share/fonts2/a.ttf", bold), file("b.ttf", regular))}, path: "/usr/share/fonts", want: []string{"usr/share/fonts/a.ttf 700"}},
		"a folder of files":     {layers: []registry.Layer{registry.File("acme/bold.ttf", bold), registry.File("other/regular.ttf", regular)}, path: "acme/", want: []string{"acme/bold.ttf 700"}},
		"a file":                {layers: []registry.Layer{lower}, path: "fonts/bold.ttf", want: []string{"fonts/bold.ttf 700"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := registry.New()
			server := httptest.NewServer(r)
			t.Cleanup(server.Close)
			reference := strings.TrimPrefix(server.URL, "http://") + "/acme/fonts@" + r.Push("acme/fonts", c.layers...)
			files, err := fonts.NewFetcher(loopback, nil, "").FetchImage(t.Context(), "marketing", platenv1alpha1.FontImage{Reference: reference, Path: c.path})
			if diff := cmp.Diff(c.want, pathsOf(files)); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
			for _, f := range files {
				if want := map[string][]byte{"400": regular, "700": bold}[f.Weight]; f.Image != reference || !bytes.Equal(f.Data, want) || f.SHA256 != hash(want) {
					t.Errorf("%s of %s, %d bytes", f.Path, f.Image, len(f.Data))
				}
			}
		})
	}
}

// docker buildx pushes an index: an image for each platform, and what they are made of.
func TestFontsInAnIndex(t *testing.T) {
	bold := installed(t, "LiberationSans-Bold")
	r := registry.New()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	at := func(digest, os string) registry.Layer {
		return registry.Layer{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: digest, Size: 1, Platform: &registry.Platform{OS: os, Architecture: os}}
	}
	attestation := at(r.Push("fonts", registry.NewLayer("application/vnd.in-toto+json", []byte("{}"))), "unknown")
	image := at(r.Push("fonts", registry.File("bold.ttf", bold)), "linux")
	index := r.PushIndex("fonts", attestation, image)
	for digest, want := range map[string]string{
		index:                                    "<nil>",
		r.PushIndex("fonts", attestation):        "InvalidFont: image: it is an index without an image; name the digest of an image",
		r.PushIndex("fonts", at(index, "linux")): "InvalidFont: image: it is an index without an image; name the digest of an image",
	} {
		files, err := fonts.NewFetcher(loopback, nil, "").FetchImage(t.Context(), "marketing", platenv1alpha1.FontImage{Reference: strings.TrimPrefix(server.URL, "http://") + "/fonts@" + digest})
		if outcome(err) != want || (err == nil) != (len(files) == 1) {
			t.Errorf("%d files, %v, want %s", len(files), err, want)
		}
	}
}

// Whatever an image has, a Fetcher reads a bounded part of it, keeps fonts only, and says what is wrong.
func TestImagesThatAreRefused(t *testing.T) {
	bold := installed(t, "LiberationSans-Bold")
	entry := func(path string, data []byte) registry.Entry { return registry.Entry{Name: path, Data: data} }
	archive := func(entries ...registry.Entry) registry.Layer { return registry.Archive(registry.TarGzip, entries...) }
	declared := func(l registry.Layer, size int64) registry.Layer { l.Size = size; return l }
	other := registry.File("bold.ttf", bold)
	other.Digest = registry.DigestOf([]byte("other"))
	elsewhere := registry.File("bold.ttf", nil)
	elsewhere.Digest, elsewhere.URLs = registry.DigestOf([]byte("elsewhere")), []string{"http://169.254.169.254/latest"}
	traversal := registry.File("bold.ttf", nil)
	traversal.Digest = "sha256:../../../../etc"
	many := func(n int, entry func(i int) registry.Entry) (list []registry.Entry) {
		for i := range n {
			list = append(list, entry(i))
		}
		return list
	}
	large := func(i int) registry.Entry {
		return entry(fmt.Sprintf("%d.ttf", i), append(bytes.Clone(bold), make([]byte, 9<<20)...))
	}
	for name, c := range map[string]struct {
		layers []registry.Layer
		path   string
		want   string
	}{
		"nothing":              {nil, "", "InvalidFont: image: it has no file whose name ends with .ttf, .otf, .woff or .woff2"},
		"no fonts":             {[]registry.Layer{archive(entry("README.md", []byte("x")))}, "", "InvalidFont: image: it has no file whose name ends with .ttf"},
		"none in the folder":   {[]registry.Layer{registry.File("bold.ttf", bold)}, "fonts", "InvalidFont: image: it has no file in the folder 'fonts' whose name ends with .ttf"},
		"no font":              {[]registry.Layer{archive(entry("fonts/bold.ttf", []byte("<html>")))}, "", "InvalidFont: image: file 'fonts/bold.ttf' is no font that pages can use: it is not a TTF, OTF, WOFF or WOFF2 file"},
		"a large font":         {[]registry.Layer{archive(entry("bold.ttf", make([]byte, 16<<20+1)))}, "", "InvalidFont: image: file 'bold.ttf' has more than 16777216 bytes"},
		"a large file":         {[]registry.Layer{declared(registry.File("bold.ttf", bold), 16<<20+1)}, "", "InvalidFont: image: file 'bold.ttf' has more than 16777216 bytes"},
		"many bytes of fonts":  {[]registry.Layer{archive(many(4, large)...)}, "", "InvalidFont: image: its fonts have more than 33554432 bytes"},
		"many fonts":           {[]registry.Layer{archive(many(257, func(i int) registry.Entry { return entry(fmt.Sprintf("%d.ttf", i), []byte("x")) })...)}, "", "InvalidFont: image: it has more than 256 fonts"},
		"many layers":          {slices.Repeat([]registry.Layer{registry.File("LICENSE", []byte("OFL"))}, 513), "", "InvalidFont: image: it has 513 layers; at most 512 are allowed"},
		"many entries":         {[]registry.Layer{archive(many(20_001, func(i int) registry.Entry { return entry(strconv.Itoa(i), nil) })...)}, "", "InvalidFont: image: it has more than 20000 files and folders"},
		"many entries in two":  {slices.Repeat([]registry.Layer{archive(many(10_001, func(i int) registry.Entry { return entry(strconv.Itoa(i), nil) })...)}, 2), "", "InvalidFont: image: it has more than 20000 files and folders"},
		"large layers":         {[]registry.Layer{declared(registry.File("a.ttf", bold), 40<<20), declared(registry.File("b.ttf", bold), 40<<20)}, "", "InvalidFont: image: its layers have more than 67108864 bytes; put the fonts into an image that has nothing else"},
		"an endless layer":     {[]registry.Layer{declared(registry.File("a.ttf", bold), 1<<62), declared(registry.File("b.ttf", bold), 1<<62)}, "", "InvalidFont: image: its layers have more than 67108864 bytes"},
		"a negative layer":     {[]registry.Layer{declared(registry.File("a.ttf", bold), -1)}, "", "InvalidFont: image: a layer has no digest with sha256, or no size"},
		"a bomb of gzip":       {[]registry.Layer{archive(entry("zero", make([]byte, 257<<20)))}, "", "InvalidFont: image: its layers have more than 268435456 bytes without compression"},
		"a bomb in parts":      {slices.Repeat([]registry.Layer{registry.Archive(registry.TarZstd, entry("zero", make([]byte, 90<<20)))}, 3), "", "InvalidFont: image: its layers have more than 268435456 bytes without compression"},
		"a long path":          {[]registry.Layer{archive(entry(strings.Repeat("a/", 600)+"bold.ttf", bold))}, "", "InvalidFont: image: the path of a file has more than 1024 bytes"},
		"a long title":         {[]registry.Layer{registry.File(strings.Repeat("a/", 600)+"bold.ttf", bold)}, "", "InvalidFont: image: the path of a file has more than 1024 bytes"},
		"no tar":               {[]registry.Layer{registry.NewLayer(registry.TarGzip, []byte("<html>"))}, "", "InvalidFont: image: a layer is no tar file, alone or compressed with gzip or zstd"},
		"half a gzip":          {[]registry.Layer{registry.NewLayer(registry.TarGzip, archive(entry("bold.ttf", bold)).Data[:1000])}, "", "InvalidFont: image: a layer is no tar file"},
		"half a zstd":          {[]registry.Layer{registry.NewLayer(registry.TarZstd, registry.Archive(registry.TarZstd, entry("bold.ttf", bold)).Data[:1000])}, "", "InvalidFont: image: a layer is no tar file"},
		"a cut layer":          {[]registry.Layer{declared(archive(entry("bold.ttf", bold)), 1<<20)}, "", "SourceNotFound: image: it cannot be read: a layer ended too early, or has another digest"},
		"less than a layer":    {[]registry.Layer{declared(archive(entry("bold.ttf", bold)), 1000)}, "", "SourceNotFound: image: it cannot be read: a layer ended too early, or has another digest"},
		"a missing layer":      {[]registry.Layer{other}, "", "SourceNotFound: image: it cannot be read: the registry has no such image (HTTP 404)"},
		"a layer elsewhere":    {[]registry.Layer{elsewhere}, "", "SourceNotFound: image: it cannot be read: the registry has no such image (HTTP 404)"},
		"a digest with a path": {[]registry.Layer{traversal}, "", "InvalidFont: image: a layer has no digest with sha256, or no size"},
	} {
		t.Run(name, func(t *testing.T) {
			r := registry.New()
			server := httptest.NewServer(r)
			t.Cleanup(server.Close)
			reference := strings.TrimPrefix(server.URL, "http://") + "/acme/fonts@" + r.Push("acme/fonts", c.layers...)
			files, err := fonts.NewFetcher(loopback, nil, "").FetchImage(t.Context(), "marketing", platenv1alpha1.FontImage{Reference: reference, Path: c.path})
			if got := outcome(err); !strings.HasPrefix(got, c.want) || files != nil {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A registry can answer whatever it wants: what has another digest does not count, and its words get nowhere.
func TestAnswersOfRegistries(t *testing.T) {
	bold := installed(t, "LiberationSans-Bold")
	const words = "the registry's words"
	instead := func(part string, answer http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, part) {
				answer(w, r)
				return true
			}
			return false
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, words, code) }
	}
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	to := func(url string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusTemporaryRedirect) }
	}
	challenge := func(realm string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	const cannot = "SourceNotFound: image: it cannot be read: "
	for name, c := range map[string]struct {
		policy  outbound.Policy
		instead func(http.ResponseWriter, *http.Request) bool
		want    string
	}{
		"as it is":                {loopback, nil, "<nil>"},
		"a private address":       {outbound.Policy{}, nil, cannot + "only public addresses may be reached, on ports 80 and 443; ask for it"},
		"unauthorized":            {loopback, instead("/manifests/", status(http.StatusUnauthorized)), cannot + "the registry answers HTTP 401; pullSecretRef names a Secret"},
		"forbidden":               {loopback, instead("/manifests/", status(http.StatusForbidden)), cannot + "the registry answers HTTP 403; pullSecretRef names a Secret"},
		"no manifest":             {loopback, instead("/manifests/", status(http.StatusNotFound)), cannot + "the registry has no such image (HTTP 404), or does not show it"},
		"too many requests":       {loopback, instead("/blobs/", status(http.StatusTooManyRequests)), cannot + "the registry answers HTTP 429, which must be 200"},
		"a broken registry":       {loopback, instead("/v2/", status(http.StatusInternalServerError)), cannot + "the registry answers HTTP 500, which must be 200"},
		"another manifest":        {loopback, instead("/manifests/", text(`{"layers":[]}`)), cannot + "the registry answers with another manifest than the one of the digest"},
		"a large manifest":        {loopback, instead("/manifests/", text(strings.Repeat(" ", 1<<20+1))), "InvalidFont: image: its manifest has more than 1048576 bytes"},
		"another blob":            {loopback, instead("/blobs/", text(string(make([]byte, len(bold))))), cannot + "a layer ended too early, or has another digest than its manifest says"},
		"a blob at the metadata":  {loopback, instead("/blobs/", to("https://169.254.169.254/latest")), cannot + "only public addresses may be reached"},
		"a blob inside":           {loopback, instead("/blobs/", to("http://10.0.0.1/latest")), cannot + "the registry does not answer with TLS"},
		"a realm at the metadata": {loopback, instead("/v2/", challenge("https://169.254.169.254/token")), cannot + "no connection"},
		"a realm inside":          {loopback, instead("/v2/", challenge("https://inside.localhost:1/token")), cannot + "no connection"},
		"a realm that is none":    {loopback, instead("/v2/", challenge("gopher://[")), cannot + "no connection"},
		"an endless redirect":     {loopback, instead("/blobs/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }), cannot + "no connection"},
	} {
		t.Run(name, func(t *testing.T) {
			r := registry.New()
			reference := r.Push("acme/fonts", registry.File("bold.ttf", bold))
			r.Instead = c.instead
			server := httptest.NewServer(r)
			t.Cleanup(server.Close)
			image := platenv1alpha1.FontImage{Reference: strings.TrimPrefix(server.URL, "http://") + "/acme/fonts@" + reference}
			_, err := fonts.NewFetcher(c.policy, nil, "ask for it").FetchImage(t.Context(), "marketing", image)
			if got := outcome(err); !strings.HasPrefix(got, c.want) || strings.Contains(got, words) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	for reference, want := range map[string]string{
		"127.0.0.1:1/fonts@" + registry.DigestOf(nil):          cannot + "no connection",
		"fonts.invalid/fonts@" + registry.DigestOf(nil):        cannot + "no connection",
		"registry.example.com/fonts@sha256:1":                  "InvalidFont: image.reference: it must be REGISTRY/REPOSITORY@sha256:DIGEST",
		"registry.example.com/fonts:latest":                    "InvalidFont: image.reference: it must be REGISTRY/REPOSITORY@sha256:DIGEST",
		"registry.example.com/Fonts@" + registry.DigestOf(nil): "InvalidFont: image.reference: it must be REGISTRY/REPOSITORY@sha256:DIGEST",
	} {
		_, err := fonts.NewFetcher(loopback, nil, "").FetchImage(t.Context(), "marketing", platenv1alpha1.FontImage{Reference: reference})
		if got := outcome(err); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", reference, got, want)
		}
	}
}

// pullSecret returns a Secret of the namespace marketing.
func pullSecret(name string, config []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: name, Labels: map[string]string{platenv1alpha1.CredentialsLabel: "true"}},
		Type:       corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: config},
	}
}

// A user and a password come from the pull Secret of the FontSet's own namespace. They are sent over TLS only.
func TestPrivateRegistries(t *testing.T) {
	bold := installed(t, "LiberationSans-Bold")
	for _, auth := range []string{registry.Basic, registry.Bearer} {
		r := registry.New()
		r.Auth = auth
		digest := r.Push("acme/fonts", registry.File("bold.ttf", bold))
		secure, plain := httptest.NewTLSServer(r), httptest.NewServer(r)
		t.Cleanup(secure.Close)
		t.Cleanup(plain.Close)
		host, plainHost := strings.TrimPrefix(secure.URL, "https://"), strings.TrimPrefix(plain.URL, "http://")
		unlabelled := pullSecret("unlabelled", registry.Secret(host, registry.User, registry.Password))
		unlabelled.Labels = nil
		login := fonts.LoginWithSecrets(credentials.Reader{Reader: fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(
			unlabelled,
			pullSecret("right", registry.Secret(host, registry.User, registry.Password)),
			pullSecret("wrong", registry.Secret(host, registry.User, "guess")),
			pullSecret("elsewhere", registry.Secret("registry.example.com", registry.User, registry.Password)),
			pullSecret("plain", registry.Secret(plainHost, registry.User, registry.Password)),
		).Build()})
		const cannot = "SourceNotFound: image: it cannot be read: "
		for name, c := range map[string]struct {
			host, namespace, secret string
			want                    string
			sent                    bool
		}{
			"the right one":          {host, "marketing", "right", "<nil>", true},
			"a wrong one":            {host, "marketing", "wrong", cannot + "the registry answers HTTP 401; check the user and the password in Secret 'wrong', and what that user may read", false},
			"none":                   {host, "marketing", "", cannot + "the registry answers HTTP 401; pullSecretRef names a Secret for an image that not everybody may read", false},
			"a missing one":          {host, "marketing", "missing", "SourceNotFound: image.pullSecretRef: Secret 'missing' does not exist", false},
			"one without a label":    {host, "marketing", "unlabelled", "SourceNotFound: image.pullSecretRef: Secret 'unlabelled' must carry the label platen.dev/credentials", false},
			"another registry's":     {host, "marketing", "elsewhere", "SourceNotFound: image.pullSecretRef: Key '.dockerconfigjson' of Secret 'elsewhere' must have an entry for the registry '" + host, false},
			"another namespace's":    {host, "sales", "right", "SourceNotFound: image.pullSecretRef: Secret 'right' does not exist", false},
			"a registry without TLS": {plainHost, "marketing", "plain", cannot + "the registry does not answer with TLS", false},
		} {
			t.Run(auth+", "+name, func(t *testing.T) {
				image := platenv1alpha1.FontImage{Reference: c.host + "/acme/fonts@" + digest}
				if c.secret != "" {
					image.PullSecretRef = &platenv1alpha1.SecretReference{Name: c.secret}
				}
				before := r.Secrets()
				files, err := fonts.NewFetcher(loopback, login, "").FetchImage(t.Context(), c.namespace, image)
				if got := outcome(err); !strings.HasPrefix(got, c.want) || (err == nil) != (len(files) == 1) || strings.Contains(got, registry.Password) {
					t.Errorf("%d files, got %s, want %s", len(files), got, c.want)
				}
				if sent := r.Secrets() > before; sent != c.sent {
					t.Errorf("the password was sent: %t, want %t", sent, c.sent)
				}
			})
		}
	}
}

// An image is read once. What one namespace reads with a Secret, another does not get by its reference.
func TestALibraryReadsAnImageOnce(t *testing.T) {
	regular, bold := installed(t, "LiberationSans-Regular"), installed(t, "LiberationSans-Bold")
	r := registry.New()
	r.Auth = registry.Basic
	digest := r.Push("acme/fonts", registry.File("bold.ttf", bold), registry.File("regular.ttf", regular))
	server := httptest.NewTLSServer(r)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")
	reader := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(pullSecret("pull", registry.Secret(host, registry.User, registry.Password))).Build()
	var wanted []types.NamespacedName
	library := fonts.New(fonts.Options{
		Reader: reader, Fetcher: fonts.NewFetcher(loopback, fonts.LoginWithSecrets(credentials.Reader{Reader: reader}), ""),
		Wanted: func(set types.NamespacedName) { wanted = append(wanted, set) }, Clock: clocktesting.NewFakePassiveClock(time.Unix(1_800_000_000, 0)),
	})
	image := &platenv1alpha1.FontImage{Reference: host + "/acme/fonts@" + digest, PullSecretRef: &platenv1alpha1.SecretReference{Name: "pull"}}
	set := &platenv1alpha1.FontSet{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "brand"}}
	set.Spec.Sources = []platenv1alpha1.FontSource{{Image: image}}

	if _, err := library.Files(t.Context(), set); outcome(err) != "SourceNotFound: spec.sources[0].image: it is being read" || len(wanted) != 1 || len(r.Asked()) != 0 {
		t.Errorf("before: %v, %v, %v", err, wanted, r.Asked())
	}
	for range 2 {
		if err := library.Fetch(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		files, err := library.Files(t.Context(), set)
		if err != nil || !slices.Equal(pathsOf(files), []string{"bold.ttf 700", "regular.ttf 400"}) || files[0].Data != nil {
			t.Fatalf("%+v, %v", files, err)
		}
		for want, f := range map[*[]byte]fonts.File{&bold: files[0], &regular: files[1]} {
			if data, err := library.Data(t.Context(), set, f.SHA256); err != nil || !bytes.Equal(data, *want) {
				t.Errorf("%s: %d bytes, %v", f.Path, len(data), err)
			}
		}
	}
	if asked := r.Asked(); len(asked) != 3 {
		t.Errorf("%v", asked)
	}

	for name, other := range map[string]*platenv1alpha1.FontImage{
		"without a Secret": {Reference: image.Reference}, "with a Secret of that name": image,
	} {
		theirs := set.DeepCopy()
		theirs.Namespace, theirs.Spec.Sources[0].Image = "sales", other
		if err := library.Fetch(t.Context(), theirs); err != nil {
			t.Fatal(err)
		}
		if files, err := library.Files(t.Context(), theirs); reconcile.AsWaiting(err) == nil || len(files) != 0 {
			t.Errorf("%s: %d files, %v", name, len(files), err)
		}
		if _, err := library.Data(t.Context(), theirs, hash(bold)); err == nil {
			t.Errorf("%s: got the data", name)
		}
	}
}
