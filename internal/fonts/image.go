// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fonts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/reconcile"
)

const (
	// imageTime bounds the reading of one image.
	imageTime = 45 * time.Second
	// parallelImages bounds the images that a Fetcher reads at the same time: the fonts of each are in memory.
	parallelImages = 2
	// maxManifest bounds a manifest, in bytes, and maxLayers the layers in it.
	maxManifest, maxLayers = 1 << 20, 2 * MaxFonts
	// maxCompressed bounds the layers of an image that are read, in bytes as the registry has them.
	maxCompressed = 64 << 20
)

// Login returns what a registry asks for before somebody may read a repository, such as registry.example.com/acme/fonts. secret is the source's
// pull Secret, empty if it names none. authn.Anonymous is nothing. The error is a *reconcile.WaitingError if the Secret is at fault.
type Login func(ctx context.Context, namespace, secret, repository string) (authn.Authenticator, error)

// FetchImage returns the fonts of an image, with their data, sorted by path. The error is a *reconcile.TerminalError if the image has no fonts, or
// what is none, or too much, and a *reconcile.WaitingError if it cannot be read. It has no part of the registry's answer.
func (f *Fetcher) FetchImage(ctx context.Context, namespace string, image platenv1alpha1.FontImage) ([]File, error) {
	select {
	case f.images <- struct{}{}:
		defer func() { <-f.images }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	bounded, cancel := context.WithTimeout(ctx, imageTime)
	defer cancel()
	found, err := f.readImage(bounded, namespace, image)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, f.explain(err, image)
	}
	files := make([]File, 0, len(found))
	for _, path := range slices.Sorted(maps.Keys(found)) {
		file, err := examine(found[path])
		if err != nil {
			return nil, refuse("file '%s' is no font that pages can use: %s", path, err)
		}
		file.Image, file.Path = image.Reference, path
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, refuse("it has no file%s whose name ends with .ttf, .otf, .woff or .woff2", within(image.Path))
	}
	return files, nil
}

// within says where files are looked for.
func within(folder string) string {
	if folder == "" {
		return ""
	}
	return fmt.Sprintf(" in the folder '%s'", folder)
}

// refuse returns the error of an image whose content is no good.
func refuse(format string, args ...any) error {
	return reconcile.Terminal(platenv1alpha1.InvalidFontReason, "image: "+format, args...)
}

// absent returns the error of an image that cannot be read now.
func absent(format string, args ...any) error {
	return reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry, "image: it cannot be read: "+format, args...)
}

// errPlain means that a registry answers without TLS, or that nothing answers with it.
var errPlain = errors.New("no TLS")

// explain returns the error that a user sees for one of reading an image.
func (f *Fetcher) explain(err error, image platenv1alpha1.FontImage) error {
	if reconcile.AsTerminal(err) != nil || reconcile.AsWaiting(err) != nil {
		return err
	}
	answer := (*transport.Error)(nil)
	switch {
	case errors.As(err, &answer):
		return absent("%s", aboutAnswer(answer.StatusCode, image))
	case errors.Is(err, outbound.ErrRefused):
		return absent("%s; %s", outbound.ErrRefused, f.advice)
	case errors.Is(err, errPlain):
		return absent("the registry does not answer with TLS; check its name in DNS and its certificate. One without TLS must be at an address that is allowed by its prefix, and gets no pullSecretRef; %s", f.advice)
	default:
		return absent("no connection, no answer within %s, or not that of a registry; check the registry's name, its name in DNS and its certificate", imageTime)
	}
}

// aboutAnswer says what a status of a registry means.
func aboutAnswer(status int, image platenv1alpha1.FontImage) string {
	switch {
	case (status == http.StatusUnauthorized || status == http.StatusForbidden) && image.PullSecretRef == nil:
		return fmt.Sprintf("the registry answers HTTP %d; pullSecretRef names a Secret for an image that not everybody may read", status)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Sprintf("the registry answers HTTP %d; check the user and the password in Secret '%s', and what that user may read", status, image.PullSecretRef.Name)
	case status == http.StatusNotFound:
		return "the registry has no such image (HTTP 404), or does not show it; check reference and pullSecretRef"
	default:
		return fmt.Sprintf("the registry answers HTTP %d, which must be 200", status)
	}
}

// descriptor names a manifest or a layer.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
	Platform    struct {
		OS string `json:"os"`
	} `json:"platform"`
}

const (
	// titleAnnotation is the path of a layer that is one file, and unpackAnnotation says that it is the tar of a folder all the same, as oras has it.
	titleAnnotation  = "org.opencontainers.image.title"
	unpackAnnotation = "io.deis.oras.content.unpack"
)

// isFile reports whether a layer is a file, and not a tar.
func (d descriptor) isFile() bool {
	return d.Annotations[titleAnnotation] != "" && d.Annotations[unpackAnnotation] != "true"
}

var (
	digests = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	tars    = regexp.MustCompile(`[.]tar([.+](gzip|zstd))?$`)
)

// manifestTypes are the kinds of manifests that have layers, or manifests that have.
const manifestTypes = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, " +
	"application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"

// repository is a repository of a registry.
type repository struct {
	client http.Client
	base   string
}

// readImage returns the font files of an image by their paths.
func (f *Fetcher) readImage(ctx context.Context, namespace string, image platenv1alpha1.FontImage) (map[string][]byte, error) {
	ref, err := name.NewDigest(image.Reference)
	if err != nil {
		return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "image.reference: it must be REGISTRY/REPOSITORY@sha256:DIGEST")
	}
	secret := ""
	if image.PullSecretRef != nil {
		secret = image.PullSecretRef.Name
	}
	login, err := f.login(ctx, namespace, secret, ref.Context().Name())
	if err != nil {
		return nil, err
	}
	r, err := f.open(ctx, ref, login)
	if err != nil {
		return nil, err
	}
	layers, err := r.layers(ctx, ref.DigestStr())
	if err != nil {
		return nil, err
	}
	u := newUnpacking(image.Path)
	var read []descriptor
	size := int64(0)
	for _, layer := range layers {
		if layer.isFile() && !u.wants(clean(layer.Annotations[titleAnnotation])) || !layer.isFile() && !tars.MatchString(layer.MediaType) {
			continue
		}
		if !digests.MatchString(layer.Digest) || layer.Size < 0 {
			return nil, refuse("a layer has no digest with sha256, or no size")
		}
		if size += layer.Size; layer.Size > maxCompressed || size > maxCompressed {
			return nil, refuse("its layers have more than %d bytes; put the fonts into an image that has nothing else, such as one FROM scratch", maxCompressed)
		}
		read = append(read, layer)
	}
	// What an upper layer has hides what a lower one has, so it is read first.
	for i, layer := range slices.Backward(read) {
		if err := r.layer(ctx, layer, u, i == 0); err != nil {
			return nil, err
		}
	}
	return u.fonts, nil
}

// open signs in at a registry. What it needs for that, it sends over TLS only.
func (f *Fetcher) open(ctx context.Context, ref name.Digest, login authn.Authenticator) (*repository, error) {
	var trip http.RoundTripper = roundTripper{secure: f.client.Transport, plain: f.plain}
	options := []name.Option{name.Insecure}
	if login != authn.Anonymous {
		trip, options = roundTripper{secure: f.client.Transport}, nil
	}
	registry, err := name.NewRegistry(ref.Context().RegistryStr(), options...)
	if err != nil {
		return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "image.reference: it names no registry")
	}
	signed, err := transport.NewWithContext(ctx, registry, login, trip, []string{ref.Context().Scope(transport.PullScope)})
	if err != nil {
		return nil, err
	}
	return &repository{http.Client{Transport: signed}, registry.Scheme() + "://" + registry.RegistryStr() + "/v2/" + ref.Context().RepositoryStr() + "/"}, nil
}

// roundTripper sends requests with TLS, and others only if plain is there.
type roundTripper struct{ secure, plain http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme == "https" {
		return t.secure.RoundTrip(request)
	}
	if t.plain == nil {
		return nil, errPlain
	}
	response, err := t.plain.RoundTrip(request)
	if errors.Is(err, outbound.ErrRefused) {
		err = errPlain
	}
	return response, err
}

// get asks the registry for something of the repository. The caller closes the answer's body.
func (r *repository) get(ctx context.Context, path, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, http.NoBody)
	if err != nil {
		return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "image.reference: it names no repository")
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, &transport.Error{StatusCode: response.StatusCode}
	}
	return response, nil
}

// layers returns the layers of a manifest, or of the first image of an index. Fonts are the same for every platform.
func (r *repository) layers(ctx context.Context, digest string) ([]descriptor, error) {
	for range 2 {
		m, err := r.manifest(ctx, digest)
		if err != nil {
			return nil, err
		}
		if len(m.Layers) > maxLayers {
			return nil, refuse("it has %d layers; at most %d are allowed", len(m.Layers), maxLayers)
		}
		if len(m.Manifests) == 0 {
			return m.Layers, nil
		}
		// docker buildx adds manifests that are no images: what the image is made of, for the platform "unknown".
		i := slices.IndexFunc(m.Manifests, func(d descriptor) bool { return d.Platform.OS != "unknown" && digests.MatchString(d.Digest) })
		if i < 0 {
			break
		}
		digest = m.Manifests[i].Digest
	}
	return nil, refuse("it is an index without an image; name the digest of an image")
}

// manifestOf is a manifest: of an image, which has layers, or of an index, which has manifests.
type manifestOf struct {
	Layers    []descriptor `json:"layers"`
	Manifests []descriptor `json:"manifests"`
}

// manifest returns the manifest with a digest.
func (r *repository) manifest(ctx context.Context, digest string) (m manifestOf, err error) {
	response, err := r.get(ctx, "manifests/"+digest, manifestTypes)
	if err != nil {
		return m, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxManifest+1))
	if err != nil {
		return m, absent("the answer ended too early")
	}
	if len(text) > maxManifest {
		return m, refuse("its manifest has more than %d bytes", maxManifest)
	}
	if "sha256:"+hashOf(text) != digest {
		return m, absent("the registry answers with another manifest than the one of the digest")
	}
	if json.Unmarshal(text, &m) != nil {
		return m, refuse("its manifest is none of an OCI image, or of Docker's version 2")
	}
	return m, nil
}

// layer reads a layer. What u has of it counts only if the layer has its digest.
func (r *repository) layer(ctx context.Context, d descriptor, u *unpacking, last bool) error {
	response, err := r.get(ctx, "blobs/"+d.Digest, "")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	hash := sha256.New()
	limited := &io.LimitedReader{R: response.Body, N: d.Size}
	content := io.TeeReader(limited, hash)
	var found layer
	if d.isFile() {
		found, err = u.file(clean(d.Annotations[titleAnnotation]), d.Size, content)
	} else {
		found, err = u.tar(content, last)
	}
	if reconcile.AsTerminal(err) != nil {
		return err // it has too much, so there is no point in reading on
	}
	_, rest := io.Copy(io.Discard, content)
	if rest != nil || limited.N != 0 || "sha256:"+hex.EncodeToString(hash.Sum(nil)) != d.Digest {
		return absent("a layer ended too early, or has another digest than its manifest says")
	}
	if err != nil {
		return refuse("a layer is no tar file, alone or compressed with gzip or zstd")
	}
	u.add(found)
	return nil
}
