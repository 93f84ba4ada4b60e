// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fonts

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

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

// Fetcher gets font files from URLs. Make one with NewFetcher.
type Fetcher struct {
	client http.Client
	advice string
}

// NewFetcher returns a Fetcher that reaches what a policy allows. advice says who can allow other addresses.
func NewFetcher(policy outbound.Policy, advice string) *Fetcher {
	return &Fetcher{client: http.Client{Transport: policy.Transport(), Timeout: fetchTime}, advice: advice}
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

// fetched has what a Library has fetched. A file is known by its URL and its hash, so that nobody gets one by its hash alone.
type fetched struct {
	// files has what is known of files: *File without data, or a failure.
	files *lru.Cache

	mu sync.Mutex
	// kept has the data of the files that were used last, the last one at the end.
	kept []keptFile
}

type keptFile struct {
	source platenv1alpha1.FontSource
	data   []byte
}

// failure says why a file is not there, for a while.
type failure struct {
	err   error
	until time.Time
}

// file returns what is known of a source's file: the file, or why it is not there; nil and nil if nothing is known.
func (f *fetched) file(source platenv1alpha1.FontSource, now time.Time) (*File, error) {
	known, _ := f.files.Get(source)
	switch known := known.(type) {
	case *File:
		return known, nil
	case failure:
		if now.Before(known.until) {
			return nil, known.err
		}
	}
	return nil, nil //nolint:nilnil // nothing is known
}

// data returns a source's data if it is kept.
func (f *fetched) data(source platenv1alpha1.FontSource) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.kept, func(k keptFile) bool { return k.source == source })
	if i < 0 {
		return nil
	}
	found := f.kept[i]
	f.kept = append(slices.Delete(f.kept, i, i+1), found)
	return found.data
}

// keep keeps a source's data, and drops the data that was not used for the longest time.
func (f *fetched) keep(source platenv1alpha1.FontSource, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(f.kept, func(k keptFile) bool { return k.source == source })
	list = append(list, keptFile{source, data})
	total := 0
	for i, k := range slices.Backward(list) {
		if total += len(k.data); total > maxKept {
			list = slices.Delete(list, 0, i+1)
			break
		}
	}
	f.kept = list
}

// Fetch fetches the files of a FontSet at URLs that are not known yet, so that Files has them, or says why not. A file that could not be fetched is not
// fetched again for a while.
func (l *Library) Fetch(ctx context.Context, set *platenv1alpha1.FontSet) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelFetches)
	for _, source := range set.Spec.Sources {
		if source.URL == "" {
			continue
		}
		if known, err := l.fetched.file(source, l.options.Clock.Now()); known != nil || err != nil {
			continue
		}
		group.Go(func() error {
			_, err := l.fetch(ctx, source)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				again := sourceRetry
				if reconcile.AsTerminal(err) != nil {
					again = terminalRetry
				}
				l.fetched.files.Add(source, failure{err, l.options.Clock.Now().Add(again)})
			}
			return nil
		})
	}
	return group.Wait()
}

// fetch fetches a source's file and keeps it.
func (l *Library) fetch(ctx context.Context, source platenv1alpha1.FontSource) ([]byte, error) {
	file, err := l.options.Fetcher.Fetch(ctx, source)
	if err != nil {
		return nil, err
	}
	data := file.Data
	file.Data = nil
	l.fetched.files.Add(source, &file)
	l.fetched.keep(source, data)
	return data, nil
}

// fetchData returns the data of a file that is known.
func (l *Library) fetchData(ctx context.Context, source platenv1alpha1.FontSource) ([]byte, error) {
	if data := l.fetched.data(source); data != nil {
		return data, nil
	}
	data, err := l.fetch(ctx, source)
	if err != nil {
		// The set still has this font. The pod asks again.
		return nil, errors.New("fetching a font again: " + err.Error())
	}
	return data, nil
}
