// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// crowd returns a pool with 10,000 jobs in 200 namespaces, and its clock.
func crowd(tb testing.TB, o Options) (p *Pool, now *time.Time) {
	tb.Helper()
	now = new(time.Unix(1_764_000_000, 0))
	o.Now = func() time.Time { return *now }
	o.JobChanged, o.NamespaceChanged = func(types.NamespacedName) {}, func(string) {}
	p = New(o)
	p.Listen()
	for i := range 10_000 {
		name := fmt.Sprintf("marketing-banner-summer-%06d", i)
		p.Enqueue(Job{
			Key: types.NamespacedName{Namespace: fmt.Sprintf("workspace-%03d", i%200), Name: name},
			UID: types.UID(fmt.Sprintf("a1b2c3d4-5e6f-7890-abcd-%012d", i)), Revision: fmt.Sprintf("%016x", i), Created: *now,
			Timeout: 5 * time.Minute, BackoffLimit: 2, Pages: 2, TotalPages: 3, Files: 2, Cost: 200 * time.Millisecond,
		})
	}
	return p, now
}

func TestQueuedJobsCostLittleMemory(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	p, _ := crowd(t, Options{})
	each := (heap() - before) / 10_000
	t.Logf("%d bytes a queued job", each)
	if each > 4096 {
		t.Errorf("a queued job costs %d bytes, want 4 KiB at most", each)
	}
	for i := range 10_000 {
		p.Forget(types.NamespacedName{Namespace: fmt.Sprintf("workspace-%03d", i%200), Name: fmt.Sprintf("marketing-banner-summer-%06d", i)})
	}
	p.Expire()
	if len(p.jobs)+len(p.byUID)+len(p.namespaces)+len(p.order)+p.notices.queue.len()+p.delayed.len() != 0 {
		t.Error("jobs that are gone are kept")
	}
}

// launchAll creates the pods that the pool asks for, until it asks for none.
func launchAll(p *Pool) (pods []PodID) {
	for more := true; more; {
		more = false
		for i := range 200 {
			namespace := fmt.Sprintf("workspace-%03d", i)
			for _, l := range p.Decide(namespace).Launch {
				id := PodID{namespace, l.PodName, types.UID(l.PodName)}
				p.Launched(namespace, l, id.UID, nil)
				pods, more = append(pods, id), true
			}
		}
	}
	return pods
}

func BenchmarkEnqueue(b *testing.B) {
	p, now := crowd(b, Options{})
	launchAll(p)
	b.ResetTimer()
	for i := range b.N {
		p.Enqueue(Job{
			Key: types.NamespacedName{Namespace: fmt.Sprintf("workspace-%03d", i%200), Name: strconv.Itoa(i)}, UID: types.UID(strconv.Itoa(i)), Revision: "r",
			Created: *now, Timeout: time.Minute, Cost: 200 * time.Millisecond,
		})
	}
}

func BenchmarkExpire(b *testing.B) {
	p, now := crowd(b, Options{})
	launchAll(p)
	b.ResetTimer()
	for range b.N {
		*now = now.Add(time.Millisecond)
		p.Expire()
	}
}

func BenchmarkDecide(b *testing.B) {
	p, now := crowd(b, Options{})
	launchAll(p)
	b.ResetTimer()
	for i := range b.N {
		*now = now.Add(time.Millisecond)
		p.Decide(fmt.Sprintf("workspace-%03d", i%200))
	}
}

// BenchmarkRender is a pod's poll, one heartbeat and its result.
func BenchmarkRender(b *testing.B) {
	p, now := crowd(b, Options{MaxPods: 200})
	pods := launchAll(p)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.ResetTimer()
	for i := range b.N {
		*now = now.Add(time.Millisecond)
		id := pods[i%len(pods)]
		a, err := p.Next(ctx, id)
		if err != nil || a == nil {
			b.Fatalf("%d: %v, %v", i, a, err)
		}
		if err := p.Heartbeat(id, a.TaskID, nil); err != nil {
			b.Fatal(err)
		}
		if err := p.Finish(id, a.TaskID, nil); err != nil {
			b.Fatal(err)
		}
		p.Forget(a.Key)
		p.Enqueue(a.Job)
	}
}
