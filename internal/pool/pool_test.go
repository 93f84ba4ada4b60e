// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/render"
)

// world is a pool with a clock that tests set.
type world struct {
	*Pool
	t   *testing.T
	now time.Time
	// changedJobs are those of which JobChanged has told.
	changedJobs []types.NamespacedName
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Unix(1_000_000, 0)}
	w.Pool = New(Options{
		Now:        func() time.Time { return w.now },
		JobChanged: func(key types.NamespacedName) { w.changedJobs = append(w.changedJobs, key) }, NamespaceChanged: func(string) {},
		Defaults: Settings{Max: 2},
	})
	return w
}

func key(name string) types.NamespacedName { return types.NamespacedName{Namespace: "ns", Name: name} }

func (w *world) enqueue(name string, revision int) Job {
	j := Job{
		Key: key(name), UID: types.UID("uid-" + name), Revision: strconv.Itoa(revision), Timeout: time.Minute, BackoffLimit: 1, Cost: time.Second,
		Pages: 1, Files: 1,
	}
	w.Enqueue(j)
	return j
}

// launch creates the pods that the pool wants, as the controller does, and returns them.
func (w *world) launch() (pods []PodID) {
	for _, l := range w.Decide("ns").Launch {
		id := PodID{Namespace: "ns", Name: l.PodName, UID: types.UID("pod-" + l.PodName)}
		w.Launched("ns", l, id.UID, nil)
		pods = append(pods, id)
	}
	return pods
}

// pass moves the clock on, second by second, and calls Expire after each, as the manager does.
func (w *world) pass(seconds int) {
	for range seconds {
		w.now = w.now.Add(time.Second)
		w.Expire()
	}
}

// poll asks for a task without waiting.
func (w *world) poll(id PodID) *Assignment {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	cancel()
	a, err := w.Next(ctx, id)
	if err != nil {
		w.t.Fatalf("poll: %v", err)
	}
	return a
}

func (w *world) phase(name string, want Phase) State {
	w.t.Helper()
	s := w.State(key(name), types.UID("uid-"+name), "1")
	if s.Phase != want {
		w.t.Fatalf("%s is %q (%+v), want %q", name, s.Phase, s, want)
	}
	return s
}

func TestJobGoesThroughItsPhases(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	w.phase("a", Queued)
	pods := w.launch()
	if len(pods) != 1 || len(w.launch()) != 0 {
		t.Fatalf("got %d pods, or more with the second call", len(pods))
	}
	a := w.poll(pods[0])
	if a == nil || a.TaskID != "uid-a.1.1" {
		t.Fatalf("got %+v", a)
	}
	w.phase("a", Rendering)
	if again := w.poll(pods[0]); again == nil || again.TaskID != a.TaskID {
		t.Errorf("a pod that polls again got %+v", again)
	}
	if err := w.Finish(pods[0], a.TaskID, nil); err != nil {
		t.Fatal(err)
	}
	w.phase("a", Rendered)
	if err := w.Finish(pods[0], a.TaskID, nil); !errors.Is(err, ErrGone) {
		t.Errorf("a second result: got %v", err)
	}
	w.enqueue("b", 1)
	if len(w.launch()) != 0 {
		t.Error("a pod was launched although one is idle")
	}
	if b := w.poll(pods[0]); b == nil || b.Key != key("b") {
		t.Errorf("the idle pod got %+v", b)
	}
}

func TestWaitingPollIsWoken(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	a := w.poll(pod)
	if err := w.Finish(pod, a.TaskID, nil); err != nil {
		t.Fatal(err)
	}
	got := make(chan *Assignment)
	go func() {
		next, _ := w.Next(t.Context(), pod)
		got <- next
	}()
	w.enqueue("b", 1)
	if next := <-got; next == nil || next.Key != key("b") {
		t.Errorf("got %+v", next)
	}
}

// A poll is open for longer than a lease. The pod that has it is heard: until its poll has ended, it cannot say more.
func TestAPodThatTakesATaskLateInItsPollIsNotSilent(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	if err := w.Finish(pod, w.poll(pod).TaskID, nil); err != nil {
		t.Fatal(err)
	}
	got := make(chan *Assignment, 1)
	go func() {
		next, _ := w.Next(t.Context(), pod)
		got <- next
	}()
	for polls := false; !polls; runtime.Gosched() {
		w.mu.Lock()
		polls = w.namespaces["ns"].pods[pod.UID].wake != nil
		w.mu.Unlock()
	}
	w.pass(20)
	w.enqueue("b", 1)
	w.Expire() // the goroutine of the poll has hardly run yet
	if next := <-got; next == nil || next.Key != key("b") {
		t.Errorf("got %+v", next)
	}
	w.phase("b", Rendering)
}

func TestPodsAreBounded(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		w.enqueue(name, 1)
	}
	if n := len(w.launch()); n != 2 {
		t.Errorf("got %d pods, want 2", n)
	}
}

// A refused launch is tried again now and then. In between, the job still waits for the quota.
func TestAWaitIsWhatTheLastNoticeSaid(t *testing.T) {
	w := newWorld(t)
	w.enqueue("summer", 1)
	refuse := func() {
		for _, l := range w.Decide("ns").Launch {
			w.Launched("ns", l, "", &LaunchFailure{ReasonQuotaExceeded, "no room"})
		}
	}
	refuse()
	w.now = w.now.Add(time.Minute)
	w.Expire()
	want := Wait{ReasonQuotaExceeded, "no room"}
	if s := w.phase("summer", Queued); s.Wait != want {
		t.Errorf("waits for %+v, want %+v", s.Wait, want)
	}
	for _, l := range w.Decide("ns").Launch {
		w.Launched("ns", l, "pod-1", nil)
	}
	w.Gone("ns", "pod-1")
	if s := w.phase("summer", Queued); s.Wait != want {
		t.Errorf("right after a launch that succeeded, waits for %+v, want %+v", s.Wait, want)
	}
}

// Whoever has mended what a message names must not read it for ever.
func TestOtherWordsForAWaitAreTold(t *testing.T) {
	w := newWorld(t)
	w.enqueue("summer", 1)
	refuse := func(why string) {
		for _, l := range w.Decide("ns").Launch {
			w.Launched("ns", l, "", &LaunchFailure{ReasonPodForbidden, why})
		}
	}
	told := func() int { return len(w.changedJobs) }
	pass := func(why string, seconds int) {
		for range seconds {
			w.now = w.now.Add(time.Second)
			refuse(why)
			w.Expire()
		}
	}
	refuse("no class a")
	pass("no class a", 60)
	before := told()
	pass("no class a", 120)
	if got := told(); got != before {
		t.Errorf("told %d times of the same words", got-before)
	}
	pass("no class b", 150) // a launch is tried again within two minutes
	if got := told(); got != before+1 {
		t.Errorf("told %d times of other words, want once", got-before)
	}
	if s, want := w.phase("summer", Queued), (Wait{ReasonPodForbidden, "no class b"}); s.Wait != want {
		t.Errorf("waits for %+v, want %+v", s.Wait, want)
	}
}

// A pod that was deleted may have ended by the time that the cache shows it.
func TestADeletedPodThatHasEndedDoesNotCountAsAttempt(t *testing.T) {
	w := newWorld(t)
	w.enqueue("summer", 1)
	pod := w.launch()[0]
	if w.poll(pod) == nil {
		t.Fatal("the pod got no task")
	}
	w.ObservePods("ns", []PodView{{Name: pod.Name, UID: pod.UID, Started: true, Ended: true, Deleting: true}})
	if s := w.phase("summer", Queued); s.Attempts != 0 {
		t.Errorf("%d attempts", s.Attempts)
	}
}

// A transient error of the API server does not hide why it refuses render pods.
func TestATransientErrorDoesNotHideWhyPodsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.enqueue("summer", 1)
	for _, failure := range []LaunchFailure{{ReasonPodForbidden, "no"}, {ReasonQueued, "try again"}} {
		w.now = w.now.Add(time.Minute)
		for _, l := range w.Decide("ns").Launch {
			w.Launched("ns", l, "", &failure)
		}
	}
	if s := w.Status("ns"); s.Problem.Reason != ReasonPodForbidden {
		t.Errorf("problem %+v", s.Problem)
	}
}

// Why pods were refused says nothing of pods that are made from something else: those are tried at once, and the jobs that have waited say why
// they wait now.
func TestOtherPodsAreTriedAtOnceAfterARefusal(t *testing.T) {
	w := newWorld(t)
	w.Configure("ns", Settings{Hash: "wrong"})
	w.enqueue("summer", 1)
	refuse := func(message string) {
		launches := w.Decide("ns").Launch
		if len(launches) == 0 {
			t.Fatal("no pod is tried")
		}
		for _, l := range launches {
			w.Launched("ns", l, "", &LaunchFailure{ReasonPodForbidden, message})
		}
	}
	refuse("no RuntimeClass")
	w.pass(10)
	if wait := w.phase("summer", Queued).Wait; wait.Message != "no RuntimeClass" {
		t.Fatalf("the job waits for %+v", wait)
	}
	refuse("no RuntimeClass")
	w.Configure("ns", Settings{Hash: "other"})
	if problem := w.Status("ns").Problem; problem != (Problem{}) {
		t.Errorf("before pods of the new template are tried: %+v", problem)
	}
	if wait := w.phase("summer", Queued).Wait; wait.Reason != ReasonQueued {
		t.Errorf("the job says %+v of the earlier template", wait)
	}
	refuse("no PriorityClass")
	w.changedJobs = nil
	w.pass(6)
	if wait := w.phase("summer", Queued).Wait; wait.Message != "no PriorityClass" || len(w.changedJobs) != 1 {
		t.Errorf("the job waits for %+v, told of %d times", wait, len(w.changedJobs))
	}
	w.Configure("ns", Settings{Hash: "other", Max: 1})
	if problem := w.Status("ns").Problem; problem.Message != "no PriorityClass" {
		t.Errorf("another field hides the problem: %+v", problem)
	}
}

// A node that cannot make the network or the volumes of a pod shows no reason in the pod's status. The pod's events have it.
func TestAPodWhoseSandboxIsNotMadeIsAProblem(t *testing.T) {
	w := newWorld(t)
	w.enqueue("summer", 1)
	pod := w.launch()[0]
	view := PodView{Name: pod.Name, UID: pod.UID, Node: "n", Bare: true}
	w.ObservePods("ns", []PodView{view})
	w.pass(14)
	if problem := w.Status("ns").Problem; problem != (Problem{}) {
		t.Errorf("after 14 s: %+v", problem)
	}
	w.pass(1)
	w.ObservePods("ns", []PodView{view})
	const want = "a node has not made the sandbox of a render pod, such as its network and its volumes, for more than 15 s; " +
		"the pod's events say why: kubectl describe pods -n ns -l app.kubernetes.io/component=renderer"
	if problem := w.Status("ns").Problem; problem != (Problem{ReasonContainerStartFailed, want}) {
		t.Errorf("after 15 s: %+v", problem)
	}
	w.pass(6)
	if wait := w.phase("summer", Queued).Wait; wait.Reason != ReasonContainerStartFailed {
		t.Errorf("the job waits for %+v", wait)
	}
	view.Bare = false
	w.ObservePods("ns", []PodView{view})
	if problem := w.Status("ns").Problem; problem != (Problem{}) {
		t.Errorf("once it is made: %+v", problem)
	}
}

// A pod that may do more than its namespace's RenderPool now allows ends its task, and is retired though no other pod is there yet.
func TestUnfitPodsTakeNoFurtherTask(t *testing.T) {
	w := newWorld(t)
	w.Configure("ns", Settings{Hash: "wide"})
	w.enqueue("a", 1)
	pod := w.launch()[0]
	a := w.poll(pod)
	w.enqueue("b", 1)
	w.Configure("ns", Settings{Hash: "narrow"})
	w.ObservePods("ns", []PodView{{Name: pod.Name, UID: pod.UID, Started: true, Hash: "wide", Unfit: true}})
	w.phase("a", Rendering)
	if err := w.Finish(pod, a.TaskID, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if next, err := w.Next(ctx, pod); !errors.Is(err, ErrRetire) {
		t.Errorf("the pod gets %+v, %v", next, err)
	}
	w.phase("b", Queued)
	if len(w.launch()) == 0 {
		t.Error("no pod replaces it")
	}
}

// A pod whose RenderPool has got another template since takes no further task, whether it is idle or busy. A pod of an older image does, until
// another one is there.
func TestPodsOfAnotherTemplateTakeNoFurtherTask(t *testing.T) {
	before := Settings{MinReady: 1, Hash: "one", Template: "lax"}
	for name, tc := range map[string]struct {
		after   Settings
		retired bool
	}{
		"nothing changes":            {after: before},
		"the image changes":          {after: Settings{MinReady: 1, Hash: "two", Template: "lax"}},
		"the template changes":       {after: Settings{MinReady: 1, Hash: "two", Template: "strict"}, retired: true},
		"the RenderPool has none":    {after: Settings{MinReady: 1, Hash: "two"}, retired: true},
		"each pod renders a job now": {after: Settings{MinReady: 1, Hash: "two", Template: "isolated", IsolatePods: true}, retired: true},
	} {
		for state, busy := range map[string]bool{"idle": false, "busy": true} {
			t.Run(name+", "+state, func(t *testing.T) {
				w := newWorld(t)
				w.Configure("ns", before)
				pod := w.launch()[0]
				if busy {
					w.enqueue("a", 1)
				}
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				taken, err := w.Next(ended, pod)
				if err != nil || (taken != nil) != busy {
					t.Fatalf("the pod got %+v, %v", taken, err)
				}
				w.Configure("ns", tc.after)
				w.ObservePods("ns", []PodView{{Name: pod.Name, UID: pod.UID, Started: true, Hash: "one", Template: "lax"}})
				if busy {
					w.phase("a", Rendering)
					if err := w.Finish(pod, taken.TaskID, nil); err != nil {
						t.Fatal(err)
					}
				}
				w.enqueue("b", 1)
				next, err := w.Next(ended, pod)
				if tc.retired {
					if next != nil || !errors.Is(err, ErrRetire) {
						t.Errorf("the pod gets %+v, %v", next, err)
					}
					w.phase("b", Queued)
					if len(w.launch()) == 0 {
						t.Error("no pod replaces it")
					}
				} else if err != nil || next == nil {
					t.Errorf("the pod gets %+v, %v", next, err)
				}
			})
		}
	}
}

// observations records what an Observer is told.
type observations struct{ lines []string }

func (o *observations) add(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); len(o.lines) == 0 || o.lines[len(o.lines)-1] != line {
		o.lines = append(o.lines, line)
	}
}

func (o *observations) Counted(starting, ready, busy, ending, queued int) {
	o.add("starting %d ready %d busy %d ending %d queued %d", starting, ready, busy, ending, queued)
}
func (o *observations) Taken(waited time.Duration)  { o.add("taken after %s", waited) }
func (o *observations) Ended(outcome string)        { o.add("attempt %s", outcome) }
func (o *observations) Rendered(took time.Duration) { o.add("rendered in %s", took) }
func (o *observations) Started(took time.Duration)  { o.add("pod started in %s", took) }
func (o *observations) LaunchFailed(reason string)  { o.add("no pod: %s", reason) }

func TestObserver(t *testing.T) {
	w := newWorld(t)
	seen := &observations{}
	w.options.Observer = seen
	w.enqueue("a", 1)
	w.Launched("ns", w.Decide("ns").Launch[0], "", &LaunchFailure{ReasonQuotaExceeded, "no room"})
	w.pass(2)
	pod := w.launch()[0]
	w.pass(3)
	first := w.poll(pod)
	w.pass(1)
	if err := w.Finish(pod, first.TaskID, &render.Error{Reason: render.ReasonBrowserCrashed}); err != nil {
		t.Fatal(err)
	}
	w.pass(1)
	second := w.poll(pod)
	if err := w.Postpone(pod, second.TaskID, ReasonContentStoreFull, "full"); err != nil {
		t.Fatal(err)
	}
	w.pass(2)
	if err := w.Lose(pod, w.poll(pod).TaskID); err != nil {
		t.Fatal(err)
	}
	last := w.poll(pod)
	w.now = w.now.Add(time.Second)
	if err := w.Finish(pod, last.TaskID, nil); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"no pod: QuotaExceeded",
		"starting 0 ready 0 busy 0 ending 0 queued 1",
		"starting 1 ready 0 busy 0 ending 0 queued 1",
		"pod started in 3s", "taken after 5s",
		"starting 0 ready 0 busy 1 ending 0 queued 0",
		"attempt retried",
		"starting 0 ready 1 busy 0 ending 0 queued 1",
		"attempt postponed",
		"starting 0 ready 1 busy 0 ending 0 queued 1",
		"attempt disrupted", "attempt rendered", "rendered in 1s",
	}
	if diff := cmp.Diff(want, seen.lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnknownPodsAreRejected(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	a := w.poll(pod)
	stranger := PodID{Namespace: "ns", Name: "stranger", UID: "x"}
	if _, err := w.Next(t.Context(), stranger); !errors.Is(err, ErrNotReady) {
		t.Errorf("while pods may not be observed yet: got %v", err)
	}
	w.now = w.now.Add(20 * time.Second)
	for name, id := range map[string]PodID{
		"other UID":       {Namespace: "ns", Name: pod.Name, UID: "x"},
		"other name":      {Namespace: "ns", Name: "x", UID: pod.UID},
		"other namespace": {Namespace: "other", Name: pod.Name, UID: pod.UID},
	} {
		if _, err := w.Next(t.Context(), id); !errors.Is(err, ErrUnknownPod) {
			t.Errorf("%s: poll: got %v", name, err)
		}
		if _, err := w.Holds(id, a.TaskID, nil); !errors.Is(err, ErrUnknownPod) {
			t.Errorf("%s: task: got %v", name, err)
		}
		if err := w.Finish(id, a.TaskID, nil); !errors.Is(err, ErrGone) {
			t.Errorf("%s: result: got %v", name, err)
		}
	}
	w.phase("a", Rendering)
}

func TestChangedAndDeletedJobsLoseTheirTask(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	a := w.poll(pod)
	w.now = w.now.Add(10 * time.Second)
	w.enqueue("a", 2)
	if err := w.Heartbeat(pod, a.TaskID, nil); !errors.Is(err, ErrGone) {
		t.Errorf("after a change: got %v", err)
	}
	b := w.poll(pod)
	if b == nil || b.Revision != "2" {
		t.Fatalf("got %+v", b)
	}
	w.Forget(key("a"))
	w.now = w.now.Add(time.Minute)
	if err := w.Heartbeat(pod, b.TaskID, nil); !errors.Is(err, ErrGone) {
		t.Errorf("after a deletion: got %v", err)
	}
}

func TestLostAttemptsAreRepeatedUpToTheBackoffLimit(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	for attempt := 1; attempt <= 2; attempt++ {
		pods := w.launch()
		if len(pods) != 1 {
			t.Fatalf("attempt %d: got %d pods", attempt, len(pods))
		}
		if w.poll(pods[0]) == nil {
			t.Fatalf("attempt %d: no task", attempt)
		}
		w.ObservePods("ns", []PodView{{Name: pods[0].Name, UID: pods[0].UID, Ended: true, Problem: Problem{"OOMKilled", "out of memory"}}})
		w.now = w.now.Add(time.Minute)
	}
	s := w.phase("a", Failed)
	if s.Failure.Reason != ReasonBackoffLimitExceeded || s.Attempts != 2 {
		t.Errorf("got %+v", s)
	}
}

func TestDeletedPodOfAnotherJobDoesNotCountAsAttempt(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	a := w.poll(pod)
	if err := w.Finish(pod, a.TaskID, nil); err != nil {
		t.Fatal(err)
	}
	w.enqueue("b", 1)
	w.poll(pod)
	w.phase("b", Rendering)
	w.ObservePods("ns", []PodView{{Name: pod.Name, UID: pod.UID, Deleting: true}})
	if s := w.phase("b", Queued); s.Attempts != 0 {
		t.Errorf("got %d attempts", s.Attempts)
	}
}

func TestPodWithoutHeartbeatLosesItsTask(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	w.poll(pod)
	w.now = w.now.Add(14 * time.Second)
	w.Expire()
	w.phase("a", Rendering)
	w.now = w.now.Add(2 * time.Second)
	w.Expire()
	w.phase("a", Queued)
}

func TestOverdueTaskFails(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	a := w.poll(pod)
	for range 8 {
		w.now = w.now.Add(10 * time.Second)
		_ = w.Heartbeat(pod, a.TaskID, nil)
		w.Expire()
	}
	if s := w.phase("a", Failed); s.Failure.Reason != ReasonDeadlineExceeded {
		t.Errorf("got %+v", s.Failure)
	}
}

// A pod that is being deleted counts in a quota until it has ended.
func TestQuotaHasRoomOnceAPodHasEnded(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	w.poll(pod)
	w.enqueue("b", 1)
	w.enqueue("c", 1)
	view := PodView{Name: pod.Name, UID: pod.UID, Started: true}
	refuse := func() {
		t.Helper()
		launches := w.Decide("ns").Launch
		if len(launches) == 0 {
			t.Fatal("nothing is launched")
		}
		for _, l := range launches {
			w.Launched("ns", l, "", &LaunchFailure{ReasonQuotaExceeded, "exceeded quota"})
		}
	}
	w.ObservePods("ns", []PodView{view})
	refuse()
	view.Deleting = true
	w.ObservePods("ns", []PodView{view})
	if got := w.Decide("ns").Launch; len(got) > 0 {
		t.Errorf("launched beside a pod that counts in the quota: %v", got)
	}
	view.Ended = true
	w.ObservePods("ns", []PodView{view})
	refuse()
}

// The answer to a launch in the room of an ended pod never comes. A launch that succeeds later still shows that the quota has room.
func TestLaunchWithoutAnswerDoesNotProlongTheBackoff(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	w.poll(pod)
	w.enqueue("b", 1)
	view := PodView{Name: pod.Name, UID: pod.UID, Started: true}
	w.ObservePods("ns", []PodView{view})
	w.Launched("ns", w.Decide("ns").Launch[0], "", &LaunchFailure{ReasonQuotaExceeded, "exceeded quota"})
	view.Ended = true
	w.ObservePods("ns", []PodView{view})
	if got := w.Decide("ns").Launch; len(got) != 1 {
		t.Fatalf("launches in the room of the ended pod: %v", got)
	}
	w.pass(int(2 * launchTimeout / time.Second))
	if len(w.launch()) == 0 {
		t.Fatal("nothing is launched after the backoff")
	}
	if got := w.Status("ns").Problem; got != (Problem{}) {
		t.Errorf("still %+v", got)
	}
}

func TestIdlePodIsRetired(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	a := w.poll(pod)
	if err := w.Finish(pod, a.TaskID, nil); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(59 * time.Second)
	w.poll(pod)
	w.now = w.now.Add(2 * time.Second)
	if _, err := w.Next(t.Context(), pod); !errors.Is(err, ErrRetire) {
		t.Errorf("got %v", err)
	}
	if got, want := w.Decide("ns").Delete, []Deletion{{PodID: pod}}; !slices.Equal(got, want) {
		t.Errorf("pods to delete: %+v, want %+v", got, want)
	}
	w.enqueue("b", 1)
	if len(w.launch()) != 1 {
		t.Error("a retired pod still counts as available")
	}
}

// A new manager finds a pod of an earlier one, and waits for its announcement before it assigns the job to another pod.
func TestPodOfAnEarlierManagerKeepsItsTask(t *testing.T) {
	pod := PodID{Namespace: "ns", Name: "render-uid-a-1-1", UID: "pod-1"}
	view := []PodView{{Name: pod.Name, UID: pod.UID}}
	for name, announce := range map[string]func(w *world){
		"the pod comes first": func(w *world) {
			if err := w.Heartbeat(pod, "uid-a.1.1", nil); err != nil {
				w.t.Fatal(err)
			}
			w.enqueue("a", 1)
		},
		"the job comes first": func(w *world) {
			w.enqueue("a", 1)
			if len(w.Decide("ns").Launch) != 0 {
				w.t.Fatal("another pod was launched before the first could announce its task")
			}
			if err := w.Heartbeat(pod, "uid-a.1.1", nil); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ObservePods("ns", view)
			announce(w)
			s := w.phase("a", Rendering)
			if s.PodName != pod.Name || s.Attempts != 1 {
				t.Errorf("got %+v", s)
			}
			if err := w.Finish(pod, "uid-a.1.1", nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPodOfAnEarlierManagerTakesATaskAfterTheGrace(t *testing.T) {
	w := newWorld(t)
	w.ObservePods("ns", []PodView{{Name: "old", UID: "pod-1"}})
	w.enqueue("a", 1)
	w.now = w.now.Add(6 * time.Second)
	w.Expire()
	// The old pod is not lost, so it takes the job with its first poll.
	if got := w.poll(PodID{Namespace: "ns", Name: "old", UID: "pod-1"}); got == nil || got.Key != key("a") {
		t.Errorf("got %+v", got)
	}
}

func TestProgressChangesTheJobOnceASecond(t *testing.T) {
	w := newWorld(t)
	changes := 0
	w.options.JobChanged = func(types.NamespacedName) { changes++ }
	w.enqueue("a", 1)
	pod := w.launch()[0]
	task := w.poll(pod).TaskID
	if s := w.phase("a", Rendering); s.Progress != nil {
		t.Errorf("progress %+v before the first frame", s.Progress)
	}
	changes = 0
	for i := range 30 {
		w.Progress(pod, task, render.Progress{Percent: i, Frames: i})
		w.now = w.now.Add(100 * time.Millisecond)
	}
	if s := w.phase("a", Rendering); changes != 3 || s.Progress == nil || *s.Progress != (render.Progress{Percent: 20, Frames: 20}) {
		t.Errorf("%d changes in three seconds, the last is %+v", changes, s.Progress)
	}
	w.Progress(pod, task, render.Progress{Percent: 1 << 20, Frames: -1})
	if s := w.phase("a", Rendering); *s.Progress != (render.Progress{Percent: 100}) {
		t.Errorf("progress %+v is out of bounds", s.Progress)
	}
	w.Progress(PodID{Namespace: "ns", Name: "other", UID: "other"}, task, render.Progress{Percent: 1})
	if err := w.Finish(pod, task, &render.Error{Reason: render.ReasonBrowserCrashed}); err != nil {
		t.Fatal(err)
	}
	if s := w.phase("a", Queued); s.Progress != nil {
		t.Errorf("progress %+v after the attempt was lost", s.Progress)
	}
}

func TestStoredFilesAreToldOnceASecondWhileOthersFollow(t *testing.T) {
	w := newWorld(t)
	changes := 0
	w.options.JobChanged = func(types.NamespacedName) { changes++ }
	w.Enqueue(Job{Key: key("a"), UID: "uid-a", Revision: "1", Timeout: time.Minute, Cost: time.Second, Pages: 4, Files: 4})
	pod := w.launch()[0]
	task := w.poll(pod).TaskID
	for _, second := range []struct{ storedFrom, storedTo, changes int }{
		{0, 0, 0}, // nothing to tell of
		{1, 2, 1},
		{0, 0, 0}, // told already
		{3, 3, 1},
		{4, 4, 0}, // the result follows
	} {
		changes = 0
		for stored := second.storedFrom; stored <= second.storedTo && stored > 0; stored++ {
			w.Stored(pod, task, stored)
		}
		w.pass(1)
		if changes != second.changes {
			t.Errorf("%d changes after %d files were stored, want %d", changes, second.storedTo, second.changes)
		}
	}
}

func TestFilesOfExtraSizesDoNotCountAsPages(t *testing.T) {
	w := newWorld(t)
	w.enqueue("a", 1)
	pod := w.launch()[0]
	task := w.poll(pod).TaskID
	w.Stored(pod, task, 3)
	if s := w.phase("a", Rendering); s.RenderedPages != 1 {
		t.Errorf("%d of 1 pages are rendered", s.RenderedPages)
	}
}
