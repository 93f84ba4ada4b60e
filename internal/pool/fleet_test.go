// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// tick is the step of a fleet's clock.
const tick = 100 * time.Millisecond

// startTime is how long a pod of a fleet takes to its first poll.
const startTime = time.Second

// fleet is a pool with its cluster: pods start, poll and render as the pool says.
type fleet struct {
	*Pool
	t    *testing.T
	now  time.Time
	pods []*fleetPod
	// fits bounds the pods for which nodes have room, and quota those that the API server admits in a namespace.
	fits, quota int
	// exitTime is how long a retired pod keeps its room, deleteTime, how long the API server takes to delete a pod, and scheduleTime, how
	// long the scheduler takes to say that no node has room.
	exitTime, deleteTime, scheduleTime time.Duration
	// nowhere is a namespace whose pods fit on no node.
	nowhere string
	// created and refused count the pods that were created and refused.
	created, refused int
	// ended is when each job ended, by name, and notices, how often JobChanged named it.
	ended   map[types.NamespacedName]time.Time
	notices map[types.NamespacedName]int
	changed map[string]bool
	// most pods at a time.
	most int
	jobs map[types.NamespacedName]Job
}

type fleetPod struct {
	id        PodID
	hash      string
	began     time.Time
	scheduled bool
	task      *Assignment
	until     time.Time
	retired   time.Time
	deleted   time.Time
	gone      bool
}

func newFleet(t *testing.T, o Options) *fleet {
	t.Helper()
	f := &fleet{
		t: t, now: time.Unix(1_764_000_000, 0), fits: 1000, quota: 1000, ended: map[types.NamespacedName]time.Time{},
		notices: map[types.NamespacedName]int{}, changed: map[string]bool{}, jobs: map[types.NamespacedName]Job{},
	}
	names := 0
	o.Now = func() time.Time { return f.now }
	o.PodName = func() string { names++; return fmt.Sprintf("pod-%d", names) }
	o.JobChanged = func(key types.NamespacedName) { f.notices[key]++ }
	o.NamespaceChanged = func(name string) { f.changed[name] = true }
	f.Pool = New(o)
	f.Listen()
	return f
}

// add enqueues n jobs of a namespace.
func (f *fleet) add(namespace string, n int, cost time.Duration, edit ...func(*Job)) (keys []types.NamespacedName) {
	for range n {
		name := fmt.Sprintf("job-%d", len(f.jobs))
		j := Job{
			Key: types.NamespacedName{Namespace: namespace, Name: name}, UID: types.UID(namespace + "-" + name), Revision: "r",
			Created: f.now, Timeout: 5 * time.Minute, BackoffLimit: 2, Pages: 1, Files: 1, Cost: cost,
		}
		for _, e := range edit {
			e(&j)
		}
		f.jobs[j.Key] = j
		f.Enqueue(j)
		keys = append(keys, j.Key)
	}
	return keys
}

// in returns the pods of a namespace that exist.
func (f *fleet) in(namespace string) (n int) {
	for _, p := range f.pods {
		if p.id.Namespace == namespace {
			n++
		}
	}
	return n
}

// running returns how many pods of a namespace run on the node.
func (f *fleet) running(namespace string) (n int) {
	for _, p := range f.pods {
		if p.id.Namespace == namespace && p.scheduled {
			n++
		}
	}
	return n
}

// step lets a tick pass.
func (f *fleet) step() {
	f.now = f.now.Add(tick)
	if f.now.UnixMilli()%1000 == 0 {
		f.Expire()
	}
	used := 0
	for _, p := range f.pods {
		if p.scheduled {
			used++
		}
	}
	for _, p := range f.pods {
		if !p.scheduled && used < f.fits && p.id.Namespace != f.nowhere {
			p.scheduled, p.began = true, f.now
			used++
			f.changed[p.id.Namespace] = true
		}
		if !p.scheduled && f.now.Sub(p.began) == f.scheduleTime {
			f.changed[p.id.Namespace] = true
		}
		f.run(p)
	}
	f.pods = slices.DeleteFunc(f.pods, func(p *fleetPod) bool {
		if p.gone {
			f.changed[p.id.Namespace] = true
		}
		return p.gone
	})
	for range 3 {
		changed := f.changed
		f.changed = map[string]bool{}
		for _, ns := range f.order {
			if changed[ns.name] {
				f.reconcile(ns.name)
			}
		}
	}
	f.most = max(f.most, len(f.pods))
}

// run does what a pod does in a tick.
func (f *fleet) run(p *fleetPod) {
	switch {
	case !p.deleted.IsZero():
		p.gone = f.now.Sub(p.deleted) >= f.deleteTime
		return
	case !p.scheduled || f.now.Sub(p.began) < startTime:
		return
	case !p.retired.IsZero():
		p.gone = f.now.Sub(p.retired) >= f.exitTime
		return
	case p.task != nil && f.now.Before(p.until):
		if err := f.Heartbeat(p.id, p.task.TaskID, nil); err != nil {
			p.task = nil
		}
		return
	case p.task != nil:
		if err := f.Finish(p.id, p.task.TaskID, nil); err == nil {
			f.ended[p.task.Key] = f.now
			f.Forget(p.task.Key)
		}
		p.task = nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	task, err := f.Next(ctx, p.id)
	switch {
	case errors.Is(err, ErrRetire), errors.Is(err, ErrUnknownPod):
		p.retired, p.gone = f.now, f.exitTime == 0
	case err != nil:
		f.t.Fatalf("poll: %v", err)
	case task != nil:
		p.task, p.until = task, f.now.Add(task.Cost)
	}
}

// reconcile does what the controller of pods does.
func (f *fleet) reconcile(namespace string) {
	var views []PodView
	for _, p := range f.pods {
		if p.id.Namespace != namespace {
			continue
		}
		v := PodView{Name: p.id.Name, UID: p.id.UID, Hash: p.hash, Started: p.scheduled}
		if p.scheduled {
			v.Node = "node"
		} else if f.now.Sub(p.began) >= f.scheduleTime {
			v.Problem = Problem{ReasonUnschedulable, "no node has room for a render pod"}
		}
		views = append(views, v)
	}
	f.ObservePods(namespace, views)
	d := f.Decide(namespace)
	for i, l := range d.Launch {
		if f.in(namespace) >= f.quota {
			f.refused++
			f.Launched(namespace, l, "", &LaunchFailure{ReasonQuotaExceeded, "the quota admits no more pods"})
			for _, untried := range d.Launch[i+1:] {
				f.Launched(namespace, untried, "", nil)
			}
			break
		}
		f.created++
		p := &fleetPod{id: PodID{Namespace: namespace, Name: l.PodName, UID: types.UID(l.PodName)}, hash: l.Hash, began: f.now}
		f.pods = append(f.pods, p)
		f.Launched(namespace, l, p.id.UID, nil)
		f.changed[namespace] = true // the API server tells of the pod
	}
	for _, deletion := range d.Delete {
		for _, p := range f.pods {
			if p.id == deletion.PodID {
				switch {
				case !deletion.Force:
					p.gone = p.gone || f.exitTime == 0
				case f.deleteTime == 0:
					p.gone = true
				case p.deleted.IsZero():
					p.deleted = f.now
				}
			}
		}
	}
}

// until lets time pass until a condition holds, at most a limit.
func (f *fleet) until(limit time.Duration, done func() bool) time.Duration {
	f.t.Helper()
	begin := f.now
	for !done() {
		if f.now.Sub(begin) > limit {
			f.t.Fatalf("not after %s: %d pods, %d jobs ended", limit, len(f.pods), len(f.ended))
		}
		f.step()
	}
	return f.now.Sub(begin)
}

// finish lets time pass until jobs have ended.
func (f *fleet) finish(limit time.Duration, keys ...types.NamespacedName) time.Duration {
	f.t.Helper()
	return f.until(limit, func() bool {
		return !slices.ContainsFunc(keys, func(key types.NamespacedName) bool { return f.ended[key].IsZero() })
	})
}

func (f *fleet) pass(d time.Duration) {
	for end := f.now.Add(d); f.now.Before(end); {
		f.step()
	}
}

func TestScale(t *testing.T) {
	const card, film = 100 * time.Millisecond, 20 * time.Second
	for name, c := range map[string]struct {
		settings Settings
		add      func(f *fleet) []types.NamespacedName
		// pods at most, and the time in which all jobs have ended.
		pods int
		in   time.Duration
	}{
		"one card":                        {add: func(f *fleet) []types.NamespacedName { return f.add("a", 1, card) }, pods: 1, in: 1300 * time.Millisecond},
		"ten cards share a pod":           {add: func(f *fleet) []types.NamespacedName { return f.add("a", 10, card) }, pods: 1, in: 2200 * time.Millisecond},
		"twenty cards need two pods":      {add: func(f *fleet) []types.NamespacedName { return f.add("a", 20, card) }, pods: 2, in: 2400 * time.Millisecond},
		"ten films need ten pods":         {add: func(f *fleet) []types.NamespacedName { return f.add("a", 10, film) }, pods: 10, in: 22 * time.Second},
		"at most max":                     {settings: Settings{Max: 3}, add: func(f *fleet) []types.NamespacedName { return f.add("a", 6, film) }, pods: 3, in: 42 * time.Second},
		"a card does not wait for a film": {add: func(f *fleet) []types.NamespacedName { f.add("a", 1, film); return f.add("a", 1, card) }, pods: 2, in: 2 * time.Second},
		"a card that comes during a film": {add: func(f *fleet) []types.NamespacedName {
			f.add("a", 1, film)
			f.pass(5 * time.Second)
			return f.add("a", 3, card)
		}, pods: 2, in: 2 * time.Second},
		"each render has a pod of its own":  {settings: Settings{IsolatePods: true}, add: func(f *fleet) []types.NamespacedName { return f.add("a", 4, card) }, pods: 4, in: 2 * time.Second},
		"a card of which two cost too much": {add: func(f *fleet) []types.NamespacedName { return f.add("a", 2, 700*time.Millisecond) }, pods: 2, in: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, Options{Defaults: c.settings})
			keys := c.add(f)
			took := f.finish(time.Hour, keys...)
			if took > c.in {
				t.Errorf("took %s, want %s", took, c.in)
			}
			if f.most != c.pods {
				t.Errorf("%d pods, want %d", f.most, c.pods)
			}
			f.until(5*time.Minute, func() bool { return len(f.pods) == 0 })
		})
	}
}

func TestReadyPodsAreKeptAheadOfTheQueue(t *testing.T) {
	f := newFleet(t, Options{})
	f.Configure("a", Settings{MinReady: 2, Max: 4, IdleTimeout: 10 * time.Second})
	f.pass(2 * time.Second)
	if s := f.Status("a"); s.Ready != 2 {
		t.Fatalf("status %+v", s)
	}
	// A short render is over before another pod would be ready.
	f.finish(500*time.Millisecond, f.add("a", 1, 100*time.Millisecond)...)
	f.pass(2 * time.Second)
	if f.most != 2 {
		t.Errorf("%d pods for one card", f.most)
	}
	f.add("a", 1, 20*time.Second)
	f.pass(3 * time.Second)
	if s := f.Status("a"); s.Ready != 2 || s.Busy != 1 {
		t.Errorf("during a film: %+v", s)
	}
	f.pass(40 * time.Second)
	if s := f.Status("a"); s.Ready != 2 || s.Busy+s.Starting != 0 || f.in("a") != 2 {
		t.Errorf("after it: %+v", s)
	}
	f.Configure("a", Settings{})
	f.until(2*time.Minute, func() bool { return len(f.pods) == 0 })
}

func TestOutdatedPodsAreReplacedWhenNewOnesAreHeard(t *testing.T) {
	f := newFleet(t, Options{})
	f.Configure("a", Settings{MinReady: 2, Hash: "old"})
	f.pass(2 * time.Second)
	keys := f.add("a", 1, 5*time.Second)
	f.pass(time.Second)
	f.Configure("a", Settings{MinReady: 2, Hash: "new"})
	for range 100 {
		f.step()
		if s := f.Status("a"); s.Ready == 0 {
			t.Fatalf("no pod is ready: %+v", s)
		}
	}
	f.finish(time.Minute, keys...)
	f.pass(5 * time.Second)
	for _, p := range f.pods {
		if p.hash != "new" {
			t.Errorf("%+v is left", p)
		}
	}
	if f.in("a") != 2 {
		t.Errorf("%d pods", f.in("a"))
	}
}

func TestPodsAreReplacedAfterTheirRenders(t *testing.T) {
	f := newFleet(t, Options{Defaults: Settings{RendersPerPod: 3, Max: 1}})
	f.finish(time.Minute, f.add("a", 9, 100*time.Millisecond)...)
	if f.created != 3 {
		t.Errorf("%d pods for 9 renders", f.created)
	}
}

func TestQuota(t *testing.T) {
	f := newFleet(t, Options{})
	f.quota = 2
	keys := f.add("a", 60, 3*time.Second)
	f.pass(45 * time.Second)
	if f.refused > 15 {
		t.Errorf("%d refused creates in 45 s", f.refused)
	}
	if s := f.Status("a"); s.Problem.Reason != ReasonQuotaExceeded {
		t.Errorf("status %+v", s)
	}
	f.finish(10*time.Minute, keys...)
	for key, n := range f.notices {
		if n > 3 {
			t.Errorf("%s: %d notices", key, n)
		}
	}
}

// A pod whose predecessor has ended says nothing about the quota, so no other one is tried after it but by the backoff.
func TestReplacedPodsAskNoMoreOfAQuota(t *testing.T) {
	f := newFleet(t, Options{Defaults: Settings{IsolatePods: true}})
	f.quota = 1
	keys := f.add("a", 20, time.Second)
	if took := f.finish(2*time.Minute, keys...); f.refused > 7 {
		t.Errorf("%d refusals in %s", f.refused, took)
	}
	f.quota = 4
	f.add("a", 1000, time.Second)
	f.until(time.Minute+5*time.Second, func() bool { return f.in("a") == 4 })
}

// Ready pods that a quota refuses are tried with backoff, also while no job waits for them.
func TestQuotaBelowTheReadyPods(t *testing.T) {
	f := newFleet(t, Options{})
	f.quota = 2
	f.Configure("a", Settings{MinReady: 3, Max: 10})
	f.finish(time.Minute, f.add("a", 1, time.Second)...)
	before := f.refused
	for range int(45 * time.Second / tick) {
		f.step()
		f.reconcile("a")
	}
	if n := f.refused - before; n == 0 || n > 15 {
		t.Errorf("%d refused creates in 45 s", n)
	}
}

func TestNoticesArePaced(t *testing.T) {
	f := newFleet(t, Options{})
	f.quota = 0
	keys := f.add("a", 1000, time.Second)
	total := func() (n int) {
		for _, k := range f.notices {
			n += k
		}
		return n
	}
	f.pass(4 * time.Second)
	if total() != 0 {
		t.Errorf("%d notices before the first is due", total())
	}
	f.pass(10 * time.Second)
	if n := total(); n < 150 || n > 220 {
		t.Errorf("%d notices in ten seconds", n)
	}
	f.pass(5 * time.Minute)
	if n := total(); n != len(keys) {
		t.Errorf("%d notices for %d jobs", n, len(keys))
	}
	if f.refused > 20 {
		t.Errorf("%d refused creates", f.refused)
	}
}

func TestBurstDelaysAnotherNamespaceByOneRender(t *testing.T) {
	const render = 3 * time.Second
	for _, budget := range []int{1, 2, 10} {
		for name, fits := range map[string]int{"budget": 1000, "nodes": budget} {
			t.Run(fmt.Sprintf("%s of %d pods", name, budget), func(t *testing.T) {
				o := Options{MaxPods: budget}
				if name == "nodes" {
					o.MaxPods = 0
				}
				f := newFleet(t, o)
				f.fits = fits
				f.add("a", 1000, render)
				f.pass(20 * time.Second)
				took := f.finish(time.Minute, f.add("b", 1, render)...)
				limit := 2*render + startTime + 500*time.Millisecond
				if name == "nodes" {
					limit += unschedulableDelay // the pool learns that nodes are full
				}
				if took > limit {
					t.Errorf("took %s, want %s", took, limit)
				}
				if live := f.in("a") + f.in("b"); live > budget+10 {
					t.Errorf("%d pods", live)
				}
			})
		}
	}
}

// A namespace gets its share of full nodes: at once if its pods fit where those of others ran, and otherwise pod after pod.
func TestShareOfFullNodes(t *testing.T) {
	const once = time.Second + startTime + 3*tick // a render of another namespace, the exit of its pod, and the start of the new one
	for name, c := range map[string]struct {
		hash  string
		limit time.Duration
	}{
		"alike":     {"the same", unschedulableDelay + time.Second + once},
		"different": {"of its own", unschedulableDelay + 4*(time.Second+once)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, Options{Defaults: Settings{Hash: "the same", Max: 10}})
			f.fits, f.exitTime = 8, time.Second
			f.Configure("b", Settings{Hash: c.hash, Max: 10})
			f.add("a", 1000, time.Second)
			f.pass(10 * time.Second)
			f.add("b", 100, time.Second)
			f.until(c.limit, func() bool { return f.Status("b").Busy == 4 })
		})
	}
}

// Pods that find no node compete with those of other namespaces for every place that a retired pod leaves, and the scheduler serves them
// first: they have waited for longer.
func TestPodsWithoutANodeTakeNoPlaceOfOthers(t *testing.T) {
	f := newFleet(t, Options{Defaults: Settings{Hash: "the same", Max: 20}})
	f.fits, f.exitTime, f.deleteTime, f.scheduleTime = 4, 200*time.Millisecond, time.Second, 300*time.Millisecond
	f.add("a", 5000, tick)
	f.pass(20 * time.Second)
	f.add("b", 100, time.Second)
	taken := map[types.UID]bool{}
	for _, p := range f.pods {
		taken[p.id.UID] = p.scheduled
	}
	f.until(8*time.Second, func() bool {
		for _, p := range f.pods {
			if p.id.Namespace == "a" && p.scheduled && !taken[p.id.UID] {
				t.Fatalf("%s took the place of a pod of the other namespace", p.id.Name)
			}
		}
		return f.Status("b").Busy == 2
	})
	for key := range f.jobs {
		if key.Namespace == "b" {
			f.Forget(key)
		}
	}
	for range 100 {
		f.step()
		if waiting := f.in("a") - f.fits; waiting > 1 {
			t.Fatalf("%d pods wait for a node while the number of those that fit is known", waiting)
		}
	}
}

// Ten jobs that come after a thousand of another namespace end within three times what they need alone.
func TestFairness(t *testing.T) {
	const render = time.Second
	alone := newFleet(t, Options{MaxPods: 10})
	need := alone.finish(time.Minute, alone.add("b", 10, render)...)
	f := newFleet(t, Options{MaxPods: 10})
	a := f.add("a", 1000, render)
	f.pass(10 * time.Second)
	if took := f.finish(time.Hour, f.add("b", 10, render)...); took > 3*need {
		t.Errorf("took %s, alone %s", took, need)
	}
	f.finish(time.Hour, a...)
}

func TestManyNamespacesShareFewPods(t *testing.T) {
	f := newFleet(t, Options{MaxPods: 3})
	keys := make([]types.NamespacedName, 0, 30*5)
	for i := range 30 {
		keys = append(keys, f.add(fmt.Sprintf("ns-%02d", i), 5, 500*time.Millisecond)...)
	}
	f.add("greedy", 500, 500*time.Millisecond)
	f.finish(5*time.Minute, keys...)
	if f.most > 3+3 { // retiring pods do not count
		t.Errorf("%d pods", f.most)
	}
}

func TestWeights(t *testing.T) {
	f := newFleet(t, Options{MaxPods: 8})
	f.Configure("heavy", Settings{Weight: 3})
	f.add("heavy", 500, 2*time.Second)
	f.add("light", 500, 2*time.Second)
	f.pass(20 * time.Second)
	if heavy, light := f.Status("heavy").Busy, f.Status("light").Busy; heavy != 6 || light != 2 {
		t.Errorf("%d and %d pods", heavy, light)
	}
}

// A namespace whose pods fit nowhere costs others next to nothing.
func TestHopelessPodsDoNotStarveOthers(t *testing.T) {
	f := newFleet(t, Options{})
	f.nowhere = "broken"
	f.add("a", 2000, 3*time.Second)
	f.pass(20 * time.Second)
	f.add("broken", 50, time.Second)
	for range 5 * 60 {
		f.pass(time.Second)
		if busy := f.in("a"); busy < 6 {
			t.Fatalf("%d pods are left to others", busy)
		}
	}
	f.finish(10*time.Second, f.add("c", 1, time.Second)...)
	if f.in("broken") > 16 {
		t.Errorf("%d pods fit nowhere", f.in("broken"))
	}
}

func TestPriority(t *testing.T) {
	f := newFleet(t, Options{Defaults: Settings{Max: 1}})
	f.add("a", 1, time.Second)
	f.pass(1500 * time.Millisecond)
	low := f.add("a", 1, time.Second, func(j *Job) { j.Priority = -1 })[0]
	late := f.add("a", 1, time.Second, func(j *Job) { j.Created = f.now.Add(time.Second) })[0]
	early := f.add("a", 1, time.Second)[0]
	high := f.add("a", 1, time.Second, func(j *Job) { j.Priority = 1 })[0]
	raised := f.jobs[low]
	raised.Priority = 2
	f.Enqueue(raised)
	f.finish(time.Minute, low, late, early, high)
	order := []types.NamespacedName{low, high, early, late}
	if !slices.IsSortedFunc(order, func(a, b types.NamespacedName) int { return f.ended[a].Compare(f.ended[b]) }) {
		t.Errorf("ended %v", f.ended)
	}
}
