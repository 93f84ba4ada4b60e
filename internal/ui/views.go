// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/plural"
)

// assets are the templates and the static files: html/layout.html is around every page, html/parts.html has the parts that several
// pages share and htmx requests, and each page has a file. hack/ui/vendor.sh takes htmx from npm.
//
//go:embed html static
var assets embed.FS

// page is the data of the layout.
type page struct {
	Title string
	// Section is the current section of the navigation: storage, renders or templates.
	Section string
	// Session of the visitor; nil if nobody has signed in.
	Session *session
	// Body is the data of the page's own template.
	Body any
}

// views holds the parsed templates.
type views struct {
	parts *template.Template
	// pages by name, such as storage.
	pages map[string]*template.Template
	// hashes of the static files by name. They are part of the files' addresses.
	hashes map[string]string
}

func newViews(clk clock.PassiveClock) (views, error) {
	v := views{pages: map[string]*template.Template{}, hashes: map[string]string{}}
	files, err := fs.Glob(assets, "static/*")
	if err != nil {
		return v, err
	}
	for _, file := range files {
		data, err := assets.ReadFile(file)
		if err != nil {
			return v, err
		}
		sum := sha256.Sum256(data)
		v.hashes[path.Base(file)] = hex.EncodeToString(sum[:6])
	}
	v.parts = template.New("").Funcs(template.FuncMap{
		"asset":       func(name string) string { return "/ui/static/" + name + "?v=" + v.hashes[name] },
		"ago":         func(t time.Time) string { return ago(clk.Since(t)) },
		"ahead":       func(t time.Time) string { return ahead(t.Sub(clk.Now())) },
		"utc":         func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"bytes":       file.Size,
		"plural":      plural.Count[int],
		"mostPicture": func() int { return maxPicture },
		"number":      func(index int) int { return index + 1 },
	})
	if v.parts, err = v.parts.ParseFS(assets, "html/layout.html", "html/parts.html"); err != nil {
		return v, fmt.Errorf("the page's templates: %w", err)
	}
	files, err = fs.Glob(assets, "html/*.html")
	if err != nil {
		return v, err
	}
	for _, file := range files {
		clone, err := v.parts.Clone()
		if err != nil {
			return v, err
		}
		if clone, err = clone.ParseFS(assets, file); err != nil {
			return v, fmt.Errorf("the page's templates: %w", err)
		}
		v.pages[strings.TrimSuffix(path.Base(file), ".html")] = clone
	}
	return v, nil
}

// page answers with a whole page.
func (v views) page(w http.ResponseWriter, status int, name string, p page) {
	v.answer(w, status, v.pages[name], "layout", p)
}

// fragment answers with one part, for htmx.
func (v views) fragment(w http.ResponseWriter, status int, name string, data any) {
	v.answer(w, status, v.parts, name, data)
}

func (v views) answer(w http.ResponseWriter, status int, t *template.Template, name string, data any) {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		// The template does not fit its data. Tests render every template.
		panic(fmt.Sprintf("ui: template %s: %v", name, err))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // fails only if the visitor is gone
}

// static serves the static files. Browsers may cache an address with the right hash forever.
func (v views) static() http.Handler {
	files := http.FileServerFS(assets)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash, known := v.hashes[path.Base(r.URL.Path)]
		if !known || r.URL.Path != "/ui/static/"+path.Base(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		if r.URL.Query().Get("v") == hash {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		http.StripPrefix("/ui/", files).ServeHTTP(w, r)
	})
}
