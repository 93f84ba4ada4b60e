// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package rendercache

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

// world is a cache with a clock and what it reports.
type world struct {
	*Cache
	t      *testing.T
	store  *content.Store
	now    time.Time
	woken  []string
	hits   int
	misses int
	bytes  int64
}

func (w *world) Looked(hit bool) {
	if hit {
		w.hits++
	} else {
		w.misses++
	}
}

func (w *world) Cached(bytes int64) { w.bytes = bytes }

func newWorld(t *testing.T, maxBytes int64) *world {
	t.Helper()
	store, err := content.Open(t.Context(), "file://"+t.TempDir(), content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, now: time.Now()}
	w.Cache = New(Options{
		Store: store, Renderer: "1", MaxAge: time.Hour, MaxBytes: maxBytes, Interval: time.Hour, Now: func() time.Time { return w.now },
		Wake: func(job types.NamespacedName) { w.woken = append(w.woken, job.Name) }, Observer: w, Log: logr.Discard(),
	})
	return w
}

func card(headline string) render.Task {
	return render.Task{
		Name: "card", Format: "png", Scale: 1, Pages: []render.Page{{Number: 1, ID: "id", HTML: "<p>"}}, Modifications: map[string]any{"headline": headline, "n": 1.0},
	}
}

func ref(uid string) content.Ref { return content.Ref{Namespace: "ns", JobUID: uid, Revision: "1"} }

// render renders a task as a job of that name, and returns its key.
func (w *world) render(uid string, task render.Task, data string) content.CacheKey {
	w.t.Helper()
	stored, err := w.store.Put(w.t.Context(), ref(uid), 5, task.Files()[0], strings.NewReader(data), 1<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := w.store.PutManifest(w.t.Context(), ref(uid), content.Manifest{Attempt: 5, RenderedTime: w.now, Files: []file.File{stored}})
	if err != nil {
		w.t.Fatal(err)
	}
	key := w.Key("ns", task)
	w.Save(w.t.Context(), key, ref(uid), m, true)
	return key
}

// has reports whether a later job gets the task's files.
func (w *world) has(uid string, task render.Task) bool {
	w.t.Helper()
	_, hit, err := w.Load(w.t.Context(), w.Key("ns", task), task, 1, ref(uid))
	if err != nil {
		w.t.Error(err)
	}
	return hit
}

func TestKeyIsThatOfWhatIsPainted(t *testing.T) {
	w := newWorld(t, 1000)
	same := card("a")
	same.Name, same.Pages[0].ID = "other", "another template's"
	if w.Key("ns", card("a")) != w.Key("ns", same) {
		t.Error("the names of the files and of the page change the key")
	}
	if same.Pages[0].ID == "" {
		t.Error("the task was changed")
	}
	seen := map[content.CacheKey]string{w.Key("ns", card("a")): "the task"}
	for name, change := range map[string]func(*render.Task){
		"a value":   func(r *render.Task) { r.Modifications["headline"] = "b" },
		"its type":  func(r *render.Task) { r.Modifications["n"] = "1" },
		"the HTML":  func(r *render.Task) { r.Pages[0].HTML = "<b>" },
		"the size":  func(r *render.Task) { r.Pages[0].Width = 5 },
		"the page":  func(r *render.Task) { r.Pages[0].Number = 2 },
		"the scale": func(r *render.Task) { r.Scale = 2 },
		"a format":  func(r *render.Task) { r.Format = "jpg" },
		"a title":   func(r *render.Task) { r.PDF.Title = "x" },
		"a film":    func(r *render.Task) { r.Video.FPS = 5 },
	} {
		task := card("a")
		change(&task)
		key := w.Key("ns", task)
		if other, ok := seen[key]; ok {
			t.Errorf("%s: the key of %s", name, other)
		}
		seen[key] = name
	}
	w.Renderer = "2"
	if _, ok := seen[w.Key("ns", card("a"))]; ok {
		t.Error("another renderer has the same keys")
	}
}

func TestHitHasTheFilesUnderTheNamesOfItsOwnTask(t *testing.T) {
	w := newWorld(t, 1000)
	w.render("first", card("a"), "abc")
	later := card("a")
	later.Name, later.Pages[0].ID = "later", "its own"
	m, hit, err := w.Load(t.Context(), w.Key("ns", later), later, 7, ref("later"))
	if err != nil || !hit || len(m.Files) != 1 {
		t.Fatalf("hit %t, %+v, %v", hit, m, err)
	}
	if f := m.Files[0]; f.Name != "later.png" || f.PageID != "its own" || f.Size != 3 || !m.FromCache || m.TotalPages != 7 || m.RenderedPages != 1 {
		t.Errorf("manifest %+v", m)
	}
	if w.has("other", card("b")) || w.hits != 1 || w.misses != 1 || w.bytes != 3 {
		t.Errorf("%d hits, %d misses, %d bytes", w.hits, w.misses, w.bytes)
	}
}

func TestRendersAreUsedForAWhile(t *testing.T) {
	w := newWorld(t, 1000)
	w.render("first", card("a"), "abc")
	w.now = w.now.Add(time.Hour)
	if w.has("later", card("a")) {
		t.Error("an old render is used")
	}
	w.render("second", card("a"), "abcd")
	if !w.has("last", card("a")) {
		t.Error("the newer render is not used")
	}
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(2 * time.Hour)
	w.Serves = func(namespace string) bool { return namespace != "ns" }
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := 0
	if err := w.store.WalkCached(t.Context(), func(content.CachedObject) { left++ }); err != nil || left == 0 {
		t.Errorf("the render of a namespace that another manager has is gone: %v", err)
	}
	w.Serves = nil
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.store.WalkCached(t.Context(), func(o content.CachedObject) { t.Errorf("%+v is left", o) }); err != nil || w.bytes != 0 {
		t.Errorf("%d bytes, %v", w.bytes, err)
	}
}

func TestOldestRendersGiveWay(t *testing.T) {
	w := newWorld(t, 10)
	for _, name := range []string{"a", "b", "c"} {
		w.render(name, card(name), name+"234")
		w.now = w.now.Add(time.Second)
	}
	if w.has("x", card("a")) || !w.has("y", card("b")) || !w.has("z", card("c")) {
		t.Error("the oldest of three stays, or a newer one went")
	}
	w.render("large", card("large"), "12345678901")
	if w.has("v", card("large")) || !w.has("w", card("c")) {
		t.Error("a render that is larger than the cache is kept, or others went for it")
	}
	// Another process knows what is there from its walk.
	w.Cache = New(w.Options)
	w.MaxBytes = 200 // with the manifests
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	if err := w.store.WalkCached(t.Context(), func(o content.CachedObject) { left[o.Key.Task] = true }); err != nil || len(left) > 1 {
		t.Errorf("%d renders are left, %v", len(left), err)
	}
}

func TestJobsWaitForTheRenderOfTheirTask(t *testing.T) {
	w := newWorld(t, 1000)
	name := func(n string) types.NamespacedName { return types.NamespacedName{Namespace: "ns", Name: n} }
	a, b := w.Key("ns", card("a")), w.Key("ns", card("b"))
	waits := func(key content.CacheKey, job string, priority int32) string {
		other, wait := w.Lead(key, name(job), priority)
		if wait != (other.Name != "") {
			t.Errorf("wait %t for %q", wait, other)
		}
		return other.Name
	}
	for i, step := range []struct {
		key      content.CacheKey
		job      string
		priority int32
		want     string
	}{{a, "first", 0, ""}, {a, "first", 0, ""}, {a, "second", 0, "first"}, {a, "urgent", 1, ""}, {b, "other", 0, ""}, {a, "third", -1, "first"}} {
		if got := waits(step.key, step.job, step.priority); got != step.want {
			t.Errorf("step %d: %s waits for %q, want %q", i, step.job, got, step.want)
		}
	}
	w.Ended(name("second"), false) // leads nothing
	if len(w.woken) != 0 {
		t.Errorf("woken %v", w.woken)
	}
	// The first one asks for something else.
	if got := waits(b, "first", 0); got != "other" {
		t.Errorf("waits for %q", got)
	}
	slices.Sort(w.woken)
	if !slices.Equal(w.woken, []string{"second", "third"}) || w.Leads(name("first")) {
		t.Errorf("woken %v", w.woken)
	}
	waits(a, "second", 0)
	w.Ended(name("second"), true)
	if got := waits(a, "third", 0) + waits(a, "fourth", 0); got != "" {
		t.Errorf("after a failure, a job waits for %q", got)
	}
	w.Ended(name("other"), false)
	if len(w.flights) != 0 || len(w.leads) != 0 {
		t.Errorf("%d flights, %d leaders are left", len(w.flights), len(w.leads))
	}
}

func TestNobodyWaitsForWhatIsNotCached(t *testing.T) {
	w := newWorld(t, 1000)
	key := w.Key("ns", card("a"))
	w.Save(t.Context(), key, ref("first"), content.Manifest{}, false)
	for _, job := range []string{"second", "third"} {
		if other, wait := w.Lead(key, types.NamespacedName{Name: job}, 0); wait {
			t.Errorf("%s waits for %s", job, other)
		}
	}
}
