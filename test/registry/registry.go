// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package registry is an OCI registry in memory, and makes images for it as oras and docker do, for tests of what reads images.
package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/klauspost/compress/zstd"
)

// User and Password are what a registry with Auth asks for.
const (
	User     = "ada"
	Password = "not-a-secret"
)

// The ways in which a registry asks for User and Password.
const (
	Basic  = "Basic"
	Bearer = "Bearer"
)

// token is what the token server of a registry with Bearer gives.
const token = "not-a-secret-either"

// Registry is the handler of a registry. Make one with New. Set the fields before it serves.
type Registry struct {
	// Auth is Basic or Bearer, empty if everybody may read.
	Auth string
	// Instead answers requests that it returns true for.
	Instead func(w http.ResponseWriter, r *http.Request) bool

	inner http.Handler

	mu      sync.Mutex
	paths   []string
	secrets int
}

// New returns an empty registry.
func New() *Registry {
	return &Registry{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
}

// Listen serves a registry without TLS at a TCP address. The caller must call Close of the server.
func Listen(ctx context.Context, r *Registry, address string) (*httptest.Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}}
	server.Start()
	return server, nil
}

// Asked returns the paths of the requests so far for manifests and blobs.
func (r *Registry) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.paths...)
}

// Secrets returns how many requests came with Password.
func (r *Registry) Secrets() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.secrets
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	user, password, signed := request.BasicAuth()
	r.mu.Lock()
	if strings.Contains(request.URL.Path, "/manifests/") || strings.Contains(request.URL.Path, "/blobs/") {
		r.paths = append(r.paths, request.URL.Path)
	}
	if password == Password {
		r.secrets++
	}
	r.mu.Unlock()
	known := signed && user == User && password == Password
	scheme := "http"
	if request.TLS != nil {
		scheme = "https"
	}
	switch {
	case r.Instead != nil && r.Instead(w, request):
	case request.URL.Path == "/token" && known:
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
	case request.URL.Path == "/token", r.Auth == Basic && !known:
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		http.Error(w, `{"errors": [{"code": "UNAUTHORIZED"}]}`, http.StatusUnauthorized)
	case r.Auth == Bearer && request.Header.Get("Authorization") != "Bearer "+token:
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s://%s/token",service="registry"`, scheme, request.Host))
		http.Error(w, `{"errors": [{"code": "UNAUTHORIZED"}]}`, http.StatusUnauthorized)
	default:
		r.inner.ServeHTTP(w, request)
	}
}

// Layer is a layer of an image.
type Layer struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	URLs        []string          `json:"urls,omitempty"`
	Platform    *Platform         `json:"platform,omitempty"`
	// Data is what the registry has at the digest.
	Data []byte `json:"-"`
}

// Platform is the platform of an image in an index.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
}

// DigestOf returns the digest of data.
func DigestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// NewLayer returns a layer.
func NewLayer(mediaType string, data []byte) Layer {
	return Layer{MediaType: mediaType, Digest: DigestOf(data), Size: int64(len(data)), Data: data}
}

// Media types of layers.
const (
	Tar     = "application/vnd.oci.image.layer.v1.tar"
	TarGzip = Tar + "+gzip"
	TarZstd = Tar + "+zstd"
)

// File returns a layer that is a file, as oras push makes it.
func File(path string, data []byte) Layer {
	l := NewLayer(Tar, data) // oras has this media type for files, too
	l.Annotations = map[string]string{"org.opencontainers.image.title": path}
	return l
}

// Entry is an entry of a tar file.
type Entry struct {
	Name string
	// Type is one of archive/tar's; a regular file if it is 0.
	Type byte
	// Link is where a link goes to.
	Link string
	Data []byte
}

// Archive returns a layer that is a tar file, compressed as its media type says.
func Archive(mediaType string, entries ...Entry) Layer {
	packed := &bytes.Buffer{}
	compressed := io.WriteCloser(nopCloser{packed})
	switch {
	case strings.HasSuffix(mediaType, "gzip"):
		compressed = gzip.NewWriter(packed)
	case strings.HasSuffix(mediaType, "zstd"):
		compressed, _ = zstd.NewWriter(packed) // fails by its options only
	}
	archive := tar.NewWriter(compressed)
	for _, e := range entries {
		if e.Type == 0 {
			e.Type = tar.TypeReg
		}
		must(archive.WriteHeader(&tar.Header{Name: e.Name, Typeflag: e.Type, Linkname: e.Link, Size: int64(len(e.Data)), Mode: 0o644}))
		if _, err := archive.Write(e.Data); err != nil {
			panic(err)
		}
	}
	must(archive.Close())
	must(compressed.Close())
	return NewLayer(mediaType, packed.Bytes())
}

// must panics if err is not nil: nothing is written but memory.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

type nopCloser struct{ io.Writer }

// Close implements io.Closer.
func (nopCloser) Close() error { return nil }

// Push adds an image with layers, the lowest first, and returns its digest.
func (r *Registry) Push(repository string, layers ...Layer) string {
	for _, l := range layers {
		if l.Data != nil {
			r.put(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+DigestOf(l.Data), "application/octet-stream", l.Data)
		}
	}
	return r.PushManifest(repository, "application/vnd.oci.image.manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers,
		"config": NewLayer("application/vnd.oci.empty.v1+json", []byte("{}")),
	})
}

// PushIndex adds an index of manifests that the repository has, by their digests, and returns the index's digest.
func (r *Registry) PushIndex(repository string, manifests ...Layer) string {
	const kind = "application/vnd.oci.image.index.v1+json"
	return r.PushManifest(repository, kind, map[string]any{"schemaVersion": 2, "mediaType": kind, "manifests": manifests})
}

// PushManifest adds a manifest as it is and returns its digest.
func (r *Registry) PushManifest(repository, kind string, manifest any) string {
	text, err := json.Marshal(manifest)
	must(err)
	r.put(http.MethodPut, "/v2/"+repository+"/manifests/"+DigestOf(text), kind, text)
	return DigestOf(text)
}

// put sends something to the registry's inner handler.
func (r *Registry) put(method, path, kind string, body []byte) {
	request := httptest.NewRequestWithContext(context.Background(), method, path, bytes.NewReader(body))
	request.Header.Set("Content-Type", kind)
	answer := httptest.NewRecorder()
	r.inner.ServeHTTP(answer, request)
	if answer.Code/100 != 2 {
		panic(fmt.Sprintf("%s %s: %d %s", method, path, answer.Code, answer.Body))
	}
}

// Secret returns the .dockerconfigjson of a Secret with a user and a password for a registry.
func Secret(host, user, password string) []byte {
	text, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{
		"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password)),
	}}})
	must(err)
	return text
}
