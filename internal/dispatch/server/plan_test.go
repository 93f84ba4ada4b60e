// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
)

// succeed returns a manager that leads after another one, and that cannot build the task again.
func (w *world) succeed() *world {
	w.t.Helper()
	next := newManager(w.t, w.store)
	next.taskError = reconcile.Waiting("TemplateNotFound", 0, "RenderTemplate 'card' does not exist")
	next.pool.ObservePods("ns", []pool.PodView{{Name: launched, UID: "uid-" + launched, Started: true}, {Name: other, UID: "uid-" + other, Started: true}})
	next.pool.Enqueue(pool.Job{
		Key: types.NamespacedName{Namespace: "ns", Name: "card"}, UID: "job", Revision: "1", Timeout: time.Minute, AdoptOnly: true,
	})
	return next
}

// show sends a page and the result of a task with its plan, and returns the codes of the answers.
func (w *world) show(a wire.Assignment) (page, result int) {
	w.t.Helper()
	header := func(contentType string) http.Header {
		return http.Header{"Content-Type": {contentType}, wire.PlanHeader: {a.Plan}}
	}
	page = w.call(http.MethodPut, "/v1/tasks/"+a.TaskID+"/pages/3", launched, header("image/png"), strings.NewReader("three")).Code
	body, err := json.Marshal(wire.Result{Files: []file.File{{ID: file.ID{Page: 1}, SHA256: sum("one")}, {ID: file.ID{Page: 3}, SHA256: sum("three")}}})
	if err != nil {
		w.t.Fatal(err)
	}
	return page, w.call(http.MethodPost, "/v1/tasks/"+a.TaskID+"/result", launched, header("application/json"), bytes.NewReader(body)).Code
}

func TestNextManagerTakesWhatItCannotBuild(t *testing.T) {
	w := newWorld(t)
	w.cacheKey = "key"
	w.enqueue()
	a := w.take(launched)
	w.put(a.TaskID, 1, "one")

	next := w.succeed()
	if page, result := next.show(a); page != http.StatusNoContent || result != http.StatusNoContent {
		t.Fatalf("the page: HTTP %d, the result: HTTP %d", page, result)
	}
	next.await(pool.Rendered)
	manifest, err := w.store.Manifest(t.Context(), content.Ref{Namespace: "ns", JobUID: "job", Revision: "1"})
	if err != nil {
		t.Fatal(err)
	}
	want := content.Manifest{
		Version: manifest.Version, Attempt: attemptOf(a.TaskID), Attempts: 1, RenderedTime: manifest.RenderedTime, PodName: launched, TotalPages: 3, RenderedPages: 2,
		Files: []file.File{
			{ID: file.ID{Page: 1}, Name: "card_page_1.png", Format: "png", Size: 3, SHA256: sum("one"), ContentHash: contentHash("one")},
			{ID: file.ID{Page: 3}, Name: "card_page_3.png", Format: "png", Size: 5, SHA256: sum("three"), ContentHash: contentHash("three")},
		},
	}
	if diff := cmp.Diff(want, manifest); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	if got := []string{"ns/key: 2 files of job, repeatable false"}; !cmp.Equal(next.saved, got) {
		t.Errorf("the render cache got %q", next.saved)
	}
}

func TestForgedPlanIsNone(t *testing.T) {
	w := newWorld(t)
	w.enqueue()
	a := w.take(launched)
	w.put(a.TaskID, 1, "one")
	stranger := newWorld(t)
	stranger.keys = [][]byte{[]byte("another key")}
	stranger.enqueue()
	body, signature, _ := strings.Cut(a.Plan, ".")
	for name, shown := range map[string]wire.Assignment{
		"none":                    {TaskID: a.TaskID},
		"without a signature":     {TaskID: a.TaskID, Plan: body},
		"with another text":       {TaskID: a.TaskID, Plan: body[:len(body)-4] + "AAAA." + signature},
		"signed with another key": {TaskID: a.TaskID, Plan: stranger.take(launched).Plan},
		"of another task":         {TaskID: "job.1.7", Plan: a.Plan},
	} {
		t.Run(name, func(t *testing.T) {
			next := w.succeed()
			if page, result := next.show(shown); page == http.StatusNoContent || result == http.StatusNoContent {
				t.Errorf("the page: HTTP %d, the result: HTTP %d", page, result)
			}
		})
	}
}

func TestPlanOfTheLargestJobFits(t *testing.T) {
	w := newWorld(t)
	w.cacheKey = strings.Repeat("c", 64)
	w.enqueue()
	w.task = render.Task{Name: strings.Repeat("é", 200), Format: "png"}
	for i := range 200 {
		w.task.Pages = append(w.task.Pages, render.Page{Number: i + 1, ID: strings.Repeat("p", 36), Name: strings.Repeat("n", 100), HTML: "<p>"})
	}
	a := w.take(launched)
	if a.Plan == "" || len(a.Plan) > wire.MaxPlan {
		t.Errorf("the plan has %d bytes, of at most %d", len(a.Plan), wire.MaxPlan)
	}
	// Longer ones are left out: the request would be refused.
	w = newWorld(t)
	w.enqueue()
	w.task = render.Task{Name: "card", Format: "png", Pages: []render.Page{{Number: 1}}}
	for i := range 2000 {
		w.task.ExtraSizes = append(w.task.ExtraSizes, render.Size{Name: fmt.Sprintf("size-%d", i)})
	}
	if a := w.take(launched); a.Plan != "" {
		t.Errorf("the plan has %d bytes", len(a.Plan))
	}
}
