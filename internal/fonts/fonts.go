// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fonts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
)

const (
	// MaxFonts bounds the files of a FontSet.
	MaxFonts = 256
	// maxKnown bounds the ConfigMaps and the URLs whose fonts a Library remembers: what the files say, and not the files. maxKnownImages bounds the images.
	maxKnown, maxKnownImages = 4096, 512
	// sourceRetry is how long to wait for a missing ConfigMap: nobody watches ConfigMaps.
	sourceRetry = 30 * time.Second
)

// ErrNotFound means that a FontSet has no file with a hash. It may have had one.
var ErrNotFound = errors.New("the FontSet has no such font")

// File is a font file of a FontSet.
type File struct {
	render.Font
	// ConfigMap and Key say where the file is, or URL, or Image and Path.
	ConfigMap, Key, URL, Image, Path string
	// Warning about the font, empty if there is none.
	Warning string
}

// InConfigMap returns the fonts of a ConfigMap, with their data, sorted by key. The error is a *reconcile.TerminalError that names the first
// file that is no font.
func InConfigMap(m *corev1.ConfigMap) ([]File, error) {
	if len(m.BinaryData) == 0 {
		return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason,
			"ConfigMap '%s' has no fonts in its binaryData: delete it, and make it again with kubectl create configmap %s --from-file=FONT.woff2", m.Name, m.Name)
	}
	files := make([]File, 0, len(m.BinaryData))
	for _, key := range slices.Sorted(maps.Keys(m.BinaryData)) {
		f, err := examine(m.BinaryData[key])
		if err != nil {
			return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "key '%s' of ConfigMap '%s' is no font that pages can use: %s", key, m.Name, err)
		}
		f.ConfigMap, f.Key = m.Name, key
		files = append(files, f)
	}
	return files, nil
}

// examine returns a font file with its data, and what it says about itself.
func examine(data []byte) (File, error) {
	f, err := readFace(data)
	if err != nil {
		return File{}, err
	}
	font := render.Font{Family: f.family, Style: f.style, Weight: f.weight, Stretch: f.stretch, SHA256: hashOf(data), Size: int64(len(data)), Data: data}
	return File{Font: font, Warning: f.warning}, nil
}

// hashOf returns the SHA-256 of a file in hexadecimal.
func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Library finds the fonts of FontSets in a cluster. Make one with New.
type Library struct {
	options Options
	// known has the fonts of ConfigMaps, without their data.
	known   *lru.Cache
	fetched *fetched
	// again fetches what is known and not kept.
	again singleflight.Group
}

// Options of a Library.
type Options struct {
	// Reader reads ConfigMaps from the API server. Required.
	Reader client.Reader
	// Fetcher gets files from URLs and images. Required.
	Fetcher *Fetcher
	// Wanted is called with the FontSets whose files at URLs or in images are not there yet, so that somebody calls Fetch for them. It must return at once. Required.
	Wanted func(set types.NamespacedName)
	// Clock tells the time. Required.
	Clock clock.PassiveClock
}

// version names the content of a ConfigMap.
type version struct {
	uid             types.UID
	resourceVersion string
}

// New returns a Library.
func New(options Options) *Library {
	return &Library{options: options, known: lru.New(maxKnown), fetched: &fetched{files: lru.New(maxKnown), images: lru.New(maxKnownImages)}}
}

// Files returns the fonts of a FontSet as its ConfigMaps are now, without their data. It reads a ConfigMap's metadata each time, and its
// content if that has changed. It fetches nothing: what is at a URL or in an image is there once Fetch has fetched it. The error is a
// *reconcile.TerminalError if a file is no font or there are too many, and a *reconcile.WaitingError if a ConfigMap does not exist or a file is not there.
func (l *Library) Files(ctx context.Context, set *platenv1alpha1.FontSet) ([]File, error) {
	lists, err := l.bySource(ctx, set)
	return slices.Concat(lists...), err
}

// bySource returns what Files returns, for each source. A *reconcile.TerminalError names each source that has a mistake, so that all of them can be corrected
// at once, and a *reconcile.WaitingError each ConfigMap that does not exist; the kind of the first decides.
func (l *Library) bySource(ctx context.Context, set *platenv1alpha1.FontSet) ([][]File, error) {
	lists, count := make([][]File, 0, len(set.Spec.Sources)), 0
	var wrong, missing []error
	var awaited error // the first file that is not there
	for i, source := range set.Spec.Sources {
		files, err := l.inSource(ctx, set, source)
		if err != nil {
			within := fmt.Sprintf("spec.sources[%d]: ", i)
			if source.ConfigMapRef == nil {
				within = fmt.Sprintf("spec.sources[%d].", i) // the error names the field
			}
			err = reconcile.Within(within, err)
			switch isWrong := reconcile.AsTerminal(err) != nil; {
			case !isWrong && reconcile.AsWaiting(err) == nil:
				return nil, err
			case isWrong && missing == nil && awaited == nil:
				wrong = append(wrong, err)
			case isWrong || wrong != nil: // what comes first is of the other kind
			case source.ConfigMapRef != nil:
				missing = append(missing, err)
			case awaited == nil:
				awaited = err
			}
			continue
		}
		lists = append(lists, files)
		count += len(files)
	}
	if len(wrong) > 0 {
		return nil, reconcile.Join(wrong)
	}
	if len(missing) > 0 {
		return nil, reconcile.Join(missing)
	}
	if awaited != nil {
		return nil, awaited
	}
	if count > MaxFonts {
		return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "spec.sources: they have %d fonts; at most %d are allowed", count, MaxFonts)
	}
	return lists, nil
}

// inSource returns the fonts of a source without their data.
func (l *Library) inSource(ctx context.Context, set *platenv1alpha1.FontSet, source platenv1alpha1.FontSource) ([]File, error) {
	if source.ConfigMapRef != nil {
		return l.inConfigMap(ctx, set.Namespace, source.ConfigMapName())
	}
	files, err := l.fetched.at(placeOf(set.Namespace, source), l.options.Clock.Now())
	if files == nil && err == nil {
		l.options.Wanted(client.ObjectKeyFromObject(set))
		what := "url: the file is being fetched"
		if source.Image != nil {
			what = "image: it is being read"
		}
		err = reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, fetchWait, "%s", what)
	}
	return files, err
}

// inConfigMap returns the fonts of a ConfigMap without their data.
func (l *Library) inConfigMap(ctx context.Context, namespace, name string) ([]File, error) {
	head := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}}
	if err := l.get(ctx, namespace, name, head); err != nil {
		return nil, err
	}
	if files, ok := l.known.Get(version{head.UID, head.ResourceVersion}); ok {
		return files.([]File), nil //nolint:forcetypeassert,errcheck // nothing else is added
	}
	m := &corev1.ConfigMap{}
	if err := l.get(ctx, namespace, name, m); err != nil {
		return nil, err
	}
	files, err := InConfigMap(m)
	if err != nil {
		return nil, err
	}
	for i := range files {
		files[i].Data = nil
	}
	l.known.Add(version{m.UID, m.ResourceVersion}, files)
	return files, nil
}

func (l *Library) get(ctx context.Context, namespace, name string, into client.Object) error {
	err := l.options.Reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry, "ConfigMap '%s' does not exist in namespace '%s'", name, namespace)
	}
	if err != nil {
		return fmt.Errorf("reading ConfigMap %s: %w", name, err)
	}
	return nil
}

// Data returns a file of a FontSet by its hash, or ErrNotFound. It fetches a file at a URL, or an image, unless it has kept the file.
func (l *Library) Data(ctx context.Context, set *platenv1alpha1.FontSet, hash string) ([]byte, error) {
	lists, err := l.bySource(ctx, set)
	if err != nil {
		return nil, err
	}
	for i, files := range lists {
		n := slices.IndexFunc(files, func(f File) bool { return f.SHA256 == hash })
		switch {
		case n < 0:
		case files[n].ConfigMap == "":
			return l.fetchData(ctx, set.Namespace, set.Spec.Sources[i], hash)
		default:
			return l.dataInConfigMap(ctx, set.Namespace, files[n])
		}
	}
	return nil, ErrNotFound
}

// dataInConfigMap returns the data of a file in a ConfigMap, or ErrNotFound if the ConfigMap has another one by now.
func (l *Library) dataInConfigMap(ctx context.Context, namespace string, file File) ([]byte, error) {
	m := &corev1.ConfigMap{}
	if err := l.get(ctx, namespace, file.ConfigMap, m); err != nil {
		return nil, err
	}
	data := m.BinaryData[file.Key]
	if hashOf(data) != file.SHA256 {
		return nil, ErrNotFound
	}
	return data, nil
}

// Of returns the fonts of files.
func Of(files []File) []render.Font {
	list := make([]render.Font, 0, len(files))
	for _, f := range files {
		list = append(list, f.Font)
	}
	return list
}
