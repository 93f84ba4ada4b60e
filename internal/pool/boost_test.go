// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"context"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// floodNode is a node with three pods of the namespace a, which has a long queue. No other pod finds room.
func floodNode(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t, Options{Defaults: Settings{Hash: "the same", Max: 20}})
	f.fits, f.exitTime, f.scheduleTime = 3, 500*time.Millisecond, 100*time.Millisecond
	f.add("a", 5000, 300*time.Millisecond)
	f.pass(20 * time.Second)
	if s := f.Status("a"); s.Busy != 3 {
		t.Fatalf("%+v", s)
	}
	return f
}

// A pod of a namespace without one starts while the others of its node rest.
func TestANodeGivesItsCPUToTheFirstPodOfANamespace(t *testing.T) {
	f := floodNode(t)
	keys := f.add("b", 1, 300*time.Millisecond)
	begun := f.now
	rested := false
	f.until(5*time.Second, func() bool {
		starting := f.running("b") > 0 && f.Status("b").Busy == 0
		// A render that has begun ends. After that, nothing of the flood runs.
		if busy := f.Status("a").Busy; starting && f.now.Sub(begun) > time.Second {
			rested = true
			if busy > 0 {
				t.Fatalf("%d pods render beside the start of the other namespace's first pod", busy)
			}
		}
		return f.Status("b").Busy == 1
	})
	if !rested {
		t.Fatal("the pod was not seen to start")
	}
	f.step()
	if busy := f.Status("a").Busy; busy != 2 {
		t.Errorf("%d pods of the flood render once the other namespace's pod does, want 2", busy)
	}
	f.finish(time.Second, keys...)
}

// Pods rest for startBoost at most, and then for boostEvery not again, even if the pod for which they rest never comes.
func TestPodsRestForABoundedTime(t *testing.T) {
	f := floodNode(t)
	f.nowhere = "b"
	f.add("b", 1, 300*time.Millisecond)
	var rests []time.Time
	for range 300 {
		f.step()
		if s := f.Status("a"); s.Busy == 0 {
			rests = append(rests, f.now)
		}
	}
	if len(rests) == 0 {
		t.Fatal("no pod rested")
	}
	first := rests[0]
	if n := len(rests); time.Duration(n)*tick > 4*(startBoost+time.Second) {
		t.Errorf("the pods rested for %s of 30 s", time.Duration(n)*tick)
	}
	if i := slices.IndexFunc(rests, func(at time.Time) bool { return at.Sub(first) > startBoost+time.Second }); i >= 0 && rests[i].Sub(first) < boostEvery-time.Second {
		t.Errorf("the pods rested again after %s", rests[i].Sub(first))
	}
}

// A namespace with little work is no flood: its pod does not rest while that of another one starts.
func TestAShortQueueDoesNotRest(t *testing.T) {
	f := floodNode(t)
	keys := f.add("b", 3, 300*time.Millisecond)
	f.until(10*time.Second, func() bool { return f.Status("b").Busy == 1 })
	f.pass(boostEvery) // what began with the first pod of b is over, and the node may be boosted again
	keys = append(keys, f.add("b", 3, 300*time.Millisecond)...)
	f.until(10*time.Second, func() bool { return f.Status("b").Busy == 1 })
	f.cluster.boosts = map[string]*boost{"node": {begun: f.now, resting: map[types.UID]bool{}}}
	f.nowhere = "c"
	f.add("c", 1, 300*time.Millisecond)
	if took := f.finish(5*time.Second, keys...); took > 1100*time.Millisecond {
		t.Errorf("three jobs of 300 ms on a ready pod took %s", took)
	}
	if f.cluster.boosts["node"].ended {
		t.Error("the node was not boosted meanwhile")
	}
}

// What is being launched goes before a pod that can render.
func TestALaunchGoesBeforeAPodThatCanRender(t *testing.T) {
	w := newWorld(t)
	w.options.MaxPods = 2
	for _, name := range []string{"x", "y", "z"} {
		w.Enqueue(Job{Key: key(name), UID: types.UID("uid-" + name), Revision: "1", Timeout: time.Minute, Cost: 600 * time.Millisecond, Pages: 1, Files: 1})
	}
	d := w.Decide("ns")
	if len(d.Launch) != 2 {
		t.Fatalf("%d launches", len(d.Launch))
	}
	pod := PodID{Namespace: "ns", Name: d.Launch[0].PodName, UID: "first"}
	w.Launched("ns", d.Launch[0], pod.UID, nil) // the other one is still being created
	first := w.poll(pod)
	w.Enqueue(Job{Key: types.NamespacedName{Namespace: "other", Name: "o"}, UID: "o", Revision: "1", Timeout: time.Minute, Cost: time.Second, Pages: 1, Files: 1})
	if err := w.Finish(pod, first.TaskID, nil); err != nil {
		t.Fatal(err)
	}
	w.Forget(key("z")) // one pod is enough for what is left
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a, err := w.Next(ctx, pod); err != nil || a == nil {
		t.Errorf("the pod got %v, %v, and its namespace has a job", a, err)
	}
}

// A render that is a little late asks for no pod, which would be superfluous as soon as the render ends. One that is later than a pod's start
// takes does.
func TestALateRenderAsksForAnotherPod(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"x", "y", "z"} {
		w.Enqueue(Job{Key: key(name), UID: types.UID("uid-" + name), Revision: "1", Timeout: time.Minute, Cost: 150 * time.Millisecond, Pages: 1, Files: 1})
	}
	w.poll(w.launch()[0])
	for _, late := range []struct{ seconds, launches int }{{1, 0}, {1, 1}} {
		w.pass(late.seconds)
		if n := len(w.Decide("ns").Launch); n != late.launches {
			t.Errorf("%d launches, want %d", n, late.launches)
		}
	}
}
