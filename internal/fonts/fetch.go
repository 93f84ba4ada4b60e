// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fonts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/lru"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
)

const (
	// maxKept bounds the files that a Library keeps, in bytes: as many as the fonts of one template may have.
	maxKept = 32 << 20
	// fetchTime bounds the fetching of one file.
	fetchTime = 15 * time.Second
	// fetchWait is how soon a job looks again for a file that is being fetched.
	fetchWait = time.Second
	// terminalRetry is how soon a file is fetched again that was another one, or no font.
	terminalRetry = 10 * time.Minute
	// parallelFetches bounds the files of one FontSet that are fetched at the same time.
	parallelFetches = 4
)

// Fetcher gets font files from URLs and from images. Make one with NewFetcher.
type Fetcher struct {
	client http.Client
	// plain reaches the addresses whose registries need no TLS.
	plain  http.RoundTripper
	login  Login
	advice string
	// images has an element for each image that is being read.
	images chan struct{}
}

// NewFetcher returns a Fetcher that reaches what a policy allows. login is what it asks for images; nil reads those that everybody may read. advice says
// who can allow other addresses.
func NewFetcher(policy outbound.Policy, login Login, advice string) *Fetcher {
	if login == nil {
		login = func(context.Context, string, string, string) (authn.Authenticator, error) {
			return authn.Anonymous, nil
		}
	}
	return &Fetcher{
		client: http.Client{Transport: policy.Transport(), Timeout: fetchTime}, plain: policy.Named().Transport(),
		login: login, advice: advice, images: make(chan struct{}, parallelImages),
	}
}

// FetchAll returns the files of a source of a namespace that is no ConfigMap, as Fetch and FetchImage do.
func (f *Fetcher) FetchAll(ctx context.Context, namespace string, source platenv1alpha1.FontSource) ([]File, error) {
	if source.Image != nil {
		return f.FetchImage(ctx, namespace, *source.Image)
	}
	file, err := f.Fetch(ctx, source)
	if err != nil {
		return nil, err
	}
	return []File{file}, nil
}

// Fetch returns the file of a source with a URL. The error is a *reconcile.TerminalError if that is not the file with the source's hash, or no font,
// and a *reconcile.WaitingError if it cannot be fetched. It has no part of the answer and no part of the URL.
func (f *Fetcher) Fetch(ctx context.Context, source platenv1alpha1.FontSource) (File, error) {
	data, err := f.get(ctx, source.URL)
	if err != nil {
		return File{}, err
	}
	if got := hashOf(data); got != source.SHA256 {
		return File{}, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "sha256: the file at url has the hash %s: if it is the one that you mean, put that hash here", got)
	}
	file, err := examine(data)
	if err != nil {
		return File{}, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "url: the file is no font that pages can use: %s", err)
	}
	file.URL = source.URL
	return file, nil
}

// get returns what a URL has.
func (f *Fetcher) get(ctx context.Context, url string) ([]byte, error) {
	absent := func(format string, args ...any) error {
		return reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry, "url: the file cannot be fetched: "+format, args...)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "url: it is no URL of HTTP")
	}
	response, err := f.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, outbound.ErrRefused) {
			return nil, absent("%s; %s", outbound.ErrRefused, f.advice)
		}
		return nil, absent("no connection, or no answer within %s; check the URL, its name in DNS and its certificate", fetchTime)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, absent("the answer was HTTP %d, and must be 200", response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, render.MaxFont+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, absent("the answer ended too early")
	case len(data) > render.MaxFont:
		return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "url: the file has more than %d bytes; a WOFF2 file with fewer letters is smaller", render.MaxFont)
	}
	return data, nil
}

// place is where the files of a source are: a key of what a Library has fetched. A file at a URL is known by its URL and its hash, so that nobody
// gets one by its hash alone. What a namespace reads with a Secret is known to that namespace, with that Secret.
type place struct {
	url, sha256       string
	image, path       string
	namespace, secret string
}

// placeOf returns the place of a source, empty if it is a ConfigMap, which is not fetched.
func placeOf(namespace string, source platenv1alpha1.FontSource) place {
	if source.Image == nil {
		return place{url: source.URL, sha256: source.SHA256}
	}
	p := place{image: source.Image.Reference, path: source.Image.Path}
	if secret := source.Image.PullSecretRef; secret != nil {
		p.namespace, p.secret = namespace, secret.Name
	}
	return p
}

// fetched has what a Library has fetched.
type fetched struct {
	// files and images have what is known of a place: []File without data, or a failure. There are fewer images: each has many files.
	files, images *lru.Cache

	mu sync.Mutex
	// kept has the data of the files that were used last, the last one at the end.
	kept []keptFile
}

type keptFile struct {
	place place
	hash  string
	data  []byte
}

// failure says why a file is not there, for a while.
type failure struct {
	err   error
	until time.Time
}

// of returns where what is known of a place is.
func (f *fetched) of(p place) *lru.Cache {
	if p.image != "" {
		return f.images
	}
	return f.files
}

// at returns what is known of a place: its files, or why they are not there; nil and nil if nothing is known.
func (f *fetched) at(p place, now time.Time) ([]File, error) {
	known, _ := f.of(p).Get(p)
	switch known := known.(type) {
	case []File:
		return known, nil
	case failure:
		if now.Before(known.until) {
			return nil, known.err
		}
	}
	return nil, nil
}

// data returns the data of a file if it is kept.
func (f *fetched) data(p place, hash string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.kept, func(k keptFile) bool { return k.place == p && k.hash == hash })
	if i < 0 {
		return nil
	}
	found := f.kept[i]
	f.kept = append(slices.Delete(f.kept, i, i+1), found)
	return found.data
}

// keep keeps the data of files, and drops the data that was not used for the longest time.
func (f *fetched) keep(p place, files []File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(f.kept, func(k keptFile) bool { return k.place == p })
	for _, file := range files {
		list = append(list, keptFile{p, file.SHA256, file.Data})
	}
	total := 0
	for i, k := range slices.Backward(list) {
		if total += len(k.data); total > maxKept {
			list = slices.Delete(list, 0, i+1)
			break
		}
	}
	f.kept = list
}

// Fetch fetches the files of a FontSet at URLs and in images that are not known yet, so that Files has them, or says why not. What could not be fetched
// is not fetched again for a while.
func (l *Library) Fetch(ctx context.Context, set *platenv1alpha1.FontSet) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelFetches)
	for _, source := range set.Spec.Sources {
		p := placeOf(set.Namespace, source)
		if p == (place{}) {
			continue
		}
		if known, err := l.fetched.at(p, l.options.Clock.Now()); known != nil || err != nil {
			continue
		}
		group.Go(func() error {
			_, err := l.fetch(ctx, set.Namespace, source)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				again := sourceRetry
				if reconcile.AsTerminal(err) != nil {
					again = terminalRetry
				}
				l.fetched.of(p).Add(p, failure{err, l.options.Clock.Now().Add(again)})
			}
			return nil
		})
	}
	return group.Wait()
}

// fetch fetches the files of a source and keeps them.
func (l *Library) fetch(ctx context.Context, namespace string, source platenv1alpha1.FontSource) ([]File, error) {
	files, err := l.options.Fetcher.FetchAll(ctx, namespace, source)
	if err != nil {
		return nil, err
	}
	p := placeOf(namespace, source)
	l.fetched.keep(p, files)
	known := slices.Clone(files)
	for i := range known {
		known[i].Data = nil
	}
	l.fetched.of(p).Add(p, known)
	return files, nil
}

// fetchData returns the data of a file that is known.
func (l *Library) fetchData(ctx context.Context, namespace string, source platenv1alpha1.FontSource, hash string) ([]byte, error) {
	p := placeOf(namespace, source)
	if data := l.fetched.data(p, hash); data != nil {
		return data, nil
	}
	// Several pods may ask for several files of one image.
	files, err, _ := l.again.Do(fmt.Sprintf("%q", p), func() (any, error) { return l.fetch(ctx, namespace, source) })
	if err != nil {
		// The set still has this font. The pod asks again.
		return nil, errors.New("fetching a font again: " + err.Error())
	}
	for _, file := range files.([]File) { //nolint:forcetypeassert,errcheck // as the function returns it
		if file.SHA256 == hash {
			return file.Data, nil
		}
	}
	return nil, ErrNotFound
}
