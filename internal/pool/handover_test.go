// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

// A new leader has waited half a minute for the lease. Every running render keeps its pod and its attempt, in whatever order the pods,
// the jobs and the API server's views arrive.
func TestHandOverKeepsEveryRender(t *testing.T) {
	pods := []PodID{{"ns", "pod-0", "uid-0"}, {"ns", "pod-1", "uid-1"}, {"ns", "pod-2", "uid-2"}}
	task := func(i int) string { return fmt.Sprintf("job-%d.r.%d", i, 1000+i) }
	observe := func(w *world) {
		views := make([]PodView, 0, len(pods))
		for _, id := range pods {
			views = append(views, PodView{Name: id.Name, UID: id.UID, Started: true})
		}
		w.ObservePods("ns", views)
	}
	enqueue := func(w *world) {
		for i := range 5 {
			w.Enqueue(Job{
				Key: key(fmt.Sprintf("job-%d", i)), UID: types.UID(fmt.Sprintf("job-%d", i)), Revision: "r", Created: w.now.Add(-time.Hour),
				Timeout: time.Minute, BackoffLimit: 0, Pages: 1, Cost: time.Minute,
			})
		}
	}
	beat := func(w *world) {
		for i, id := range pods {
			if err := w.Heartbeat(id, task(i), nil); err != nil {
				w.t.Fatalf("heartbeat of %s: %v", id.Name, err)
			}
		}
	}
	steps := map[string]func(*world){"observe": observe, "enqueue": enqueue, "beat": beat}
	for _, order := range [][]string{
		{"observe", "enqueue", "beat"}, {"observe", "beat", "enqueue"}, {"enqueue", "observe", "beat"},
		{"enqueue", "beat", "observe", "beat"}, {"beat", "observe", "enqueue", "beat"}, {"beat", "enqueue", "observe", "beat"},
	} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			w := newWorld(t)
			w.now = w.now.Add(30 * time.Second) // for the lease
			w.Expire()
			w.Listen()
			for i, step := range order {
				steps[step](w)
				w.now = w.now.Add(3 * time.Second)
				w.Expire()
				if i < len(order)-1 && slices.Contains(order[:i+1], "observe") {
					if d := w.Decide("ns"); len(d.Launch)+len(d.Delete) > 0 {
						t.Fatalf("after %s: %+v", step, d)
					}
				}
			}
			for i, id := range pods {
				s := w.State(key(fmt.Sprintf("job-%d", i)), types.UID(fmt.Sprintf("job-%d", i)), "r")
				if s.Phase != Rendering || s.PodName != id.Name || s.Attempts != 1 || s.TaskID != task(i) {
					t.Errorf("job-%d: %+v", i, s)
				}
				if err := w.Finish(id, task(i), nil); err != nil {
					t.Errorf("job-%d: %v", i, err)
				}
			}
			// What no pod renders is rendered now.
			if a := w.poll(pods[0]); a == nil || a.UID != "job-3" || a.Attempts != 1 || a.Attempt <= 1002 {
				t.Errorf("got %+v", a)
			}
		})
	}
}

// A pod may say what it likes of an attempt that this process did not begin. The numbers of attempts are in the keys of all namespaces' files, and have
// at most nine digits there.
func TestNumbersOfAttemptsAreNotThePods(t *testing.T) {
	old, other := PodID{"ns", "old", "uid-old"}, PodID{"ns", "other", "uid-other"}
	for name, c := range map[string]struct {
		attempt string
		plan    *Plan
		err     error
		next    int
	}{
		"of an earlier process":                       {"1000", nil, nil, 1001},
		"of one that was faster than the clock":       {"100000000", &Plan{Key: key("job"), Pages: 1, TotalPages: 1}, nil, 100000001},
		"faster than the clock, without its plan":     {"100000000", nil, ErrGone, 1},
		"the last number with nine digits":            {"999999999", nil, ErrGone, 1},
		"a number after which there is none any more": {"9223372036854775807", nil, ErrGone, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Listen()
			w.ObservePods("ns", []PodView{{Name: old.Name, UID: old.UID, Started: true}, {Name: other.Name, UID: other.UID, Started: true}})
			for _, job := range []string{"job", "victim"} {
				w.Enqueue(Job{Key: key(job), UID: types.UID(job), Revision: "r", Created: w.now.Add(-time.Hour), Timeout: time.Minute, BackoffLimit: 1, Pages: 1, Cost: time.Minute})
			}
			if err := w.Heartbeat(old, "job.r."+c.attempt, c.plan); !errors.Is(err, c.err) {
				t.Fatalf("the heartbeat: %v", err)
			}
			w.now = w.now.Add(21 * time.Second) // nobody renders the other job
			w.Expire()
			a := w.poll(other)
			if a == nil {
				t.Fatal("the other pod got no job")
			}
			if a.Attempt != c.next {
				t.Errorf("the next attempt is %d, want %d", a.Attempt, c.next)
			}
		})
	}
}

// A pod has one task of an earlier process: with many, it could raise the number a bit with each.
func TestAPodGetsOneTaskBack(t *testing.T) {
	w := newWorld(t)
	w.Listen()
	old := PodID{"ns", "old", "uid-old"}
	w.ObservePods("ns", []PodView{{Name: old.Name, UID: old.UID, Started: true}})
	for _, job := range []string{"first", "second"} {
		w.Enqueue(Job{Key: key(job), UID: types.UID(job), Revision: "r", Created: w.now.Add(-time.Hour), Timeout: time.Minute, Pages: 1, Cost: time.Minute})
	}
	if err := w.Heartbeat(old, "first.r.1000", nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(old, "first.r.1000", &render.Error{Reason: "RenderFailed", Terminal: true}); err != nil {
		t.Fatal(err)
	}
	if err := w.Heartbeat(old, "second.r.2000", nil); !errors.Is(err, ErrGone) {
		t.Errorf("another task: %v", err)
	}
}

func TestJobsOfToday(t *testing.T) {
	w := newWorld(t)
	w.Listen()
	w.ObservePods("ns", []PodView{{Name: "old", UID: "old", Started: true}})
	w.Enqueue(Job{Key: key("before"), UID: "uid-before", Revision: "1", Created: w.now.Add(-time.Second), Timeout: time.Minute, Cost: time.Second})
	if launched := w.launch(); len(launched) != 0 {
		t.Errorf("a job that an old pod may have got %d pods", len(launched))
	}
	if s := w.phase("before", Queued); s.Wait.Reason != ReasonQueued {
		t.Errorf("it waits for %+v", s.Wait)
	}
	w.now = w.now.Add(time.Second)
	for i := range 2 {
		w.Enqueue(Job{Key: key(strconv.Itoa(i)), UID: types.UID(strconv.Itoa(i)), Revision: "1", Created: w.now, Timeout: time.Minute, Cost: time.Second})
	}
	if launched := w.launch(); len(launched) != 1 { // the old one counts as the other
		t.Errorf("jobs that no old pod can have got %d pods", len(launched))
	}
	w.now = w.now.Add(20 * time.Second)
	w.Expire()
	if s := w.Status("ns"); s.Queued != 3 || len(w.namespaces["ns"].held) != 0 {
		t.Errorf("after the grace: %+v", s)
	}
}

// What a pod renders whose job nobody enqueues is gone in the end.
func TestAnnouncedTaskOfADeletedJob(t *testing.T) {
	w := newWorld(t)
	w.Listen()
	w.ObservePods("ns", []PodView{{Name: "old", UID: "old", Started: true}})
	id := PodID{"ns", "old", "old"}
	for range 19 {
		if err := w.Heartbeat(id, "deleted.r.7", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Holds(id, "deleted.r.7", nil); !errors.Is(err, ErrNotReady) {
			t.Fatalf("got %v", err)
		}
		w.now = w.now.Add(3 * time.Second)
		w.Expire()
	}
	w.now = w.now.Add(3 * time.Second)
	w.Expire()
	if err := w.Heartbeat(id, "deleted.r.7", nil); !errors.Is(err, ErrGone) {
		t.Errorf("got %v", err)
	}
	w.enqueue("a", 1)
	if a := w.poll(id); a == nil || a.Key != key("a") {
		t.Errorf("got %+v", a)
	}
}

// A job whose task the next process cannot build is left to the pod that renders it, in whatever order they are heard. Nothing else renders it.
func TestHandOverOfAJobThatCannotBeBuilt(t *testing.T) {
	id, task := PodID{"ns", "old", "old"}, "uid-a.1.7"
	plan := &Plan{Key: key("a"), Pages: 2, TotalPages: 3, Files: make([]file.File, 2), CacheKey: "cached"}
	job := Job{Key: key("a"), UID: "uid-a", Revision: "1", Timeout: time.Minute, AdoptOnly: true}
	enqueue := func(w *world) { w.Enqueue(job) }
	steps := map[string]func(*world){
		"enqueue": enqueue,
		"observe": func(w *world) { w.ObservePods("ns", []PodView{{Name: "old", UID: "old", Started: true}}) },
		"beat": func(w *world) {
			w.changedJobs = nil
			if err := w.Heartbeat(id, task, plan); err != nil {
				t.Fatal(err)
			}
			if w.State(key("a"), "uid-a", "1").Phase == Unknown && slices.Contains(w.changedJobs, key("a")) {
				enqueue(w) // as the reconciler does when it is told
			}
		},
		"poll": func(w *world) { w.poll(id) },
	}
	for name, c := range map[string]struct {
		order []string
		after time.Duration
		want  Phase
	}{
		"the job is first":                  {[]string{"enqueue", "observe", "beat"}, 0, Rendering},
		"the pod is first":                  {[]string{"observe", "enqueue", "beat"}, 0, Rendering},
		"the pod is heard before the job":   {[]string{"observe", "beat"}, 0, Rendering},
		"the pod has no task":               {[]string{"enqueue", "observe", "poll"}, 0, Unknown},
		"the pod has no task, and is first": {[]string{"observe", "poll", "enqueue"}, 0, Unknown},
		"the pod is not heard":              {[]string{"observe", "enqueue"}, 21 * time.Second, Unknown},
		"there is no pod":                   {[]string{"enqueue"}, 21 * time.Second, Unknown},
		"pods are not seen yet":             {[]string{"enqueue"}, 19 * time.Second, Queued},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Listen()
			job.Created = w.now.Add(-time.Hour)
			for _, step := range c.order {
				steps[step](w)
			}
			w.changedJobs = nil
			w.now = w.now.Add(c.after)
			w.Expire()
			s := w.State(key("a"), "uid-a", "1")
			if s.Phase != c.want {
				t.Fatalf("got %+v, want %s", s, c.want)
			}
			if c.want == Unknown && c.after > 0 && !slices.Contains(w.changedJobs, key("a")) {
				t.Error("nobody is told that the pool has dropped the job")
			}
			if c.want != Rendering {
				return
			}
			a, err := w.Holds(id, task, nil)
			if err != nil || a.Files.Plan() != plan || a.Attempts != 1 || s.TotalPages != 3 || s.Files != 2 {
				t.Errorf("got %+v, %+v, %v", s, a, err)
			}
		})
	}
}

func TestTasksOfOthersAreNotGivenAway(t *testing.T) {
	for name, c := range map[string]struct {
		id   PodID
		task string
	}{
		"of another namespace": {PodID{"other", "old", "old-2"}, "uid-a.1.7"},
		"of another revision":  {PodID{"ns", "old", "old"}, "uid-a.2.7"},
		"without a number":     {PodID{"ns", "old", "old"}, "uid-a.1.x"},
		"with number 0":        {PodID{"ns", "old", "old"}, "uid-a.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Listen()
			w.ObservePods("ns", []PodView{{Name: "old", UID: "old", Started: true}})
			w.ObservePods("other", []PodView{{Name: "old", UID: "old-2", Started: true}})
			w.enqueue("a", 1)
			if _, err := w.Holds(c.id, c.task, nil); !errors.Is(err, ErrGone) {
				t.Errorf("got %v", err)
			}
			w.phase("a", Queued)
		})
	}
}

// end lets the pod of a job's attempt end, and time pass until the next attempt.
func (w *world) end(view PodView) {
	w.t.Helper()
	pods := w.launch()
	if len(pods) != 1 {
		w.t.Fatalf("%d pods are launched", len(pods))
	}
	a := w.poll(pods[0])
	if a == nil {
		w.t.Fatal("there is no task")
	}
	if err := w.Heartbeat(pods[0], a.TaskID, nil); err != nil {
		w.t.Fatal(err)
	}
	view.Name, view.UID, view.Started = pods[0].Name, pods[0].UID, true
	w.ObservePods("ns", []PodView{{Name: view.Name, UID: view.UID, Started: true}})
	w.ObservePods("ns", []PodView{view})
	w.now = w.now.Add(2 * time.Minute)
	w.Expire()
}

func TestWhatCountsAsAnAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		view   PodView
		counts bool
	}{
		"out of memory":               {PodView{Ended: true, Problem: Problem{"OOMKilled", "the render pod used more memory than its limit"}}, true},
		"the renderer failed":         {PodView{Ended: true}, true},
		"drained":                     {PodView{Deleting: true, Disrupted: true}, false},
		"deleted":                     {PodView{Deleting: true}, false},
		"evicted":                     {PodView{Ended: true, Disrupted: true}, false},
		"drained, and has ended":      {PodView{Ended: true, Deleting: true, Disrupted: true}, false},
		"deleted after it had failed": {PodView{Ended: true, Deleting: true, Problem: Problem{Reason: "OOMKilled", Message: "out of memory"}}, true},
		"deleted, and has ended":      {PodView{Ended: true, Deleting: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enqueue("a", 1) // with one attempt after the first
			for range 3 {
				w.end(c.view)
				if w.State(key("a"), "uid-a", "1").Phase == Failed {
					break
				}
			}
			if c.counts {
				if s := w.phase("a", Failed); s.Attempts != 2 || s.Failure.Reason != ReasonBackoffLimitExceeded {
					t.Errorf("got %+v", s)
				}
				return
			}
			if s := w.phase("a", Queued); s.Attempts != 0 || s.Wait.Reason != ReasonRetrying {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestAttemptsHaveNumbersOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	seen := map[int]bool{}
	for range 3 {
		w.enqueue("a", 1)
		w.end(PodView{Deleting: true})
		w.Forget(key("a"))
		w.enqueue("a", 1)
		id := w.launch()[0]
		for range 2 {
			a := w.poll(id)
			if seen[a.Attempt] {
				t.Errorf("number %d was used before", a.Attempt)
			}
			seen[a.Attempt] = true
			if err := w.Finish(id, a.TaskID, &render.Error{Reason: render.ReasonBrowserCrashed}); err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(5 * time.Second)
		}
		w.Forget(key("a"))
		w.Gone("ns", id.UID)
	}
}

func TestAssignedPodThatNeverAnswersCostsNoAttempt(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	for i := range 5 {
		ids := w.launch()
		if len(ids) != 1 || w.poll(ids[0]) == nil {
			t.Fatalf("round %d: %d pods", i, len(ids))
		}
		w.pass(16)
		if s := w.State(key("a"), "uid-a", "1"); s.Attempts != max(i+1-maxUnconfirmed, 0) {
			t.Errorf("round %d: %d attempts", i, s.Attempts)
		}
		w.pass(64)
	}
	w.phase("a", Failed)
}

func TestFilesEndWithTheirAttempt(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	id := w.launch()[0]
	a := w.poll(id)
	if n := a.Files.Store(file.File{ID: file.ID{Page: 1}}); n != 1 || len(w.Files(a.TaskID)) != 1 {
		t.Errorf("%d files, %d by task", n, len(w.Files(a.TaskID)))
	}
	if n := a.Files.Store(file.File{ID: file.ID{Page: 1}, Size: 2}); n != 1 || w.Files(a.TaskID)[0].Size != 2 {
		t.Errorf("the same file again: %d files", n)
	}
	if err := w.Finish(id, a.TaskID, &render.Error{Reason: render.ReasonBrowserCrashed}); err != nil {
		t.Fatal(err)
	}
	if len(w.Files(a.TaskID)) != 0 || len(w.Files("x")) != 0 {
		t.Error("files of a lost attempt are kept")
	}
}

func TestCreatedPodThatIsGoneIsLookedUp(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	id := w.launch()[0]
	asked := make([]PodID, 0, 1)
	for range 12 {
		w.pass(1)
		asked = append(asked, w.Decide("ns").Lookup...)
	}
	if !slices.Equal(asked, []PodID{id}) {
		t.Fatalf("asked for %v", asked)
	}
	w.Gone("ns", id.UID)
	if len(w.launch()) != 1 {
		t.Error("the pod is not replaced at once")
	}
}

func TestWaitsSayOneThing(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	w.enqueue("b", 1)
	ids := w.launch()
	view := func(i int, reason, message string) PodView {
		return PodView{Name: ids[i].Name, UID: ids[i].UID, Problem: Problem{reason, message}}
	}
	one, two := view(0, ReasonUnschedulable, "0/3 nodes are available"), view(1, ReasonImagePullFailed, "no such image")
	for _, views := range [][]PodView{{one, two}, {two, one}} {
		w.ObservePods("ns", views)
		if s := w.phase("a", Queued); s.Wait != (Wait{ReasonImagePullFailed, "no such image"}) {
			t.Errorf("got %+v", s.Wait)
		}
	}
}

func TestLaunchesBackOff(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		w.enqueue(strconv.Itoa(i), 1)
	}
	tried := 0
	for range 3 * 60 {
		for _, l := range w.Decide("ns").Launch {
			tried++
			w.Launched("ns", l, "", &LaunchFailure{ReasonPodForbidden, "forbidden"})
		}
		w.pass(1)
	}
	if tried > 10 {
		t.Errorf("%d launches in three minutes", tried)
	}
	w.now = w.now.Add(time.Minute)
	l := w.Decide("ns").Launch
	w.Launched("ns", l[0], "uid", nil)
	if s := w.Status("ns"); s.Problem != (Problem{}) || len(w.Decide("ns").Launch) != 1 {
		t.Errorf("after a success: %+v", s)
	}
}

func TestPostponedJobs(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	id := w.launch()[0]
	waited := time.Duration(0)
	for range 4 {
		a := w.poll(id)
		for a == nil {
			w.now = w.now.Add(time.Second)
			waited += time.Second
			w.Expire()
			a = w.poll(id)
		}
		if err := w.Postpone(id, a.TaskID, ReasonContentStoreFull, "the content store is full"); err != nil {
			t.Fatal(err)
		}
		if s := w.phase("a", Queued); s.Attempts != 0 || s.Wait.Reason != ReasonContentStoreFull {
			t.Errorf("got %+v", s)
		}
	}
	if waited < 7*time.Second {
		t.Errorf("four tries in %s", waited)
	}
	if err := w.Postpone(id, "uid-a.1.1", ReasonContentStoreFull, ""); !errors.Is(err, ErrGone) {
		t.Errorf("got %v", err)
	}
}

// Idle pods of an earlier manager make room for a namespace that has none, as those of this manager do.
func TestIdlePodsOfAnEarlierManagerMakeRoom(t *testing.T) {
	w := newWorld(t)
	w.Listen()
	idle := []PodID{{"rich", "a", "a"}, {"rich", "b", "b"}}
	w.ObservePods("rich", []PodView{{Name: "a", UID: "a", Started: true}, {Name: "b", UID: "b", Started: true}})
	for _, id := range idle {
		w.poll(id)
	}
	w.enqueue("job", 1)
	ids := w.launch()
	if len(ids) != 1 {
		t.Fatalf("%d pods", len(ids))
	}
	for range 5 {
		w.ObservePods("ns", []PodView{{Name: ids[0].Name, UID: ids[0].UID, Problem: Problem{ReasonUnschedulable, "no node has room"}}})
		w.pass(1)
		for _, id := range idle {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := w.Next(ctx, id); errors.Is(err, ErrRetire) {
				return
			}
		}
	}
	t.Error("no idle pod makes room")
}

// A pod that was found not to exist is not deleted again and again while the API cache still shows it.
func TestDepartedPodInAStaleCache(t *testing.T) {
	w := newWorld(t)
	w.Listen()
	w.now = w.now.Add(time.Minute)
	w.Configure("ns", Settings{Hash: "new"})
	deletions := 0
	for range 10 {
		w.ObservePods("ns", []PodView{{Name: "old", UID: "old", Hash: "old"}})
		for _, d := range w.Decide("ns").Delete {
			deletions++
			w.Gone("ns", d.UID)
		}
		w.now = w.now.Add(10 * time.Millisecond)
	}
	if deletions != 1 {
		t.Errorf("the pod was deleted %d times", deletions)
	}
	w.ObservePods("ns", nil)
	w.Configure("ns", Settings{})
	w.Expire()
	if n := w.Len(); n != 0 {
		t.Errorf("%d entries are remembered", n)
	}
}
