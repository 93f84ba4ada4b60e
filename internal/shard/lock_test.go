// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// lease is how long another replica must wait for one that is silent, and deadline how long a leader leads without renewing its Lease.
	lease, deadline = 15 * time.Second, 10 * time.Second
	leaseName       = "platen-manager"
)

// world is an API server with replicas of which one runs at a time, from one request to the next.
type world struct {
	api    *api
	now    time.Time
	random *rand.Rand
	// parked gets a value whenever the replica that runs has stopped.
	parked chan struct{}
}

func newWorld(seed uint64) *world {
	return &world{api: &api{leases: map[string]coordinationv1.Lease{}}, now: time.Unix(1, 0), random: rand.New(rand.NewPCG(seed, 0)), parked: make(chan struct{})}
}

// api is the part of an API server that has Leases.
type api struct {
	client.Client
	leases  map[string]coordinationv1.Lease
	version int
}

func (a *api) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	lease, ok := a.leases[key.Name]
	if !ok {
		return apierrors.NewNotFound(coordinationv1.Resource("leases"), key.Name)
	}
	lease.DeepCopyInto(o.(*coordinationv1.Lease))
	return nil
}

func (a *api) List(_ context.Context, o client.ObjectList, _ ...client.ListOption) error {
	list := o.(*coordinationv1.LeaseList)
	for _, lease := range a.leases {
		list.Items = append(list.Items, *lease.DeepCopy())
	}
	return nil
}

func (a *api) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	if _, ok := a.leases[o.GetName()]; ok {
		return apierrors.NewAlreadyExists(coordinationv1.Resource("leases"), o.GetName())
	}
	a.put(o)
	return nil
}

func (a *api) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	if a.leases[o.GetName()].ResourceVersion != o.GetResourceVersion() {
		return apierrors.NewConflict(coordinationv1.Resource("leases"), o.GetName(), errors.New("it has changed"))
	}
	a.put(o)
	return nil
}

func (a *api) put(o client.Object) {
	a.version++
	o.SetResourceVersion(strconv.Itoa(a.version))
	a.leases[o.GetName()] = *o.(*coordinationv1.Lease).DeepCopy()
}

// link is how a replica reaches the API server. Others run before each request. Some requests and some answers are lost.
type link struct {
	*api
	from *replica
}

func (l *link) lost() error {
	if l.from.random.IntN(20) == 0 {
		return apierrors.NewTimeoutError("the API server does not answer", 1)
	}
	return nil
}

func (l *link) send(request func() error) error {
	l.from.pause()
	if err := l.lost(); err != nil {
		return err
	}
	if err := request(); err != nil {
		return err
	}
	return l.lost()
}

func (l *link) Get(ctx context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	return l.send(func() error { return l.api.Get(ctx, key, o) })
}

func (l *link) List(ctx context.Context, o client.ObjectList, _ ...client.ListOption) error {
	return l.send(func() error { return l.api.List(ctx, o) })
}

func (l *link) Create(ctx context.Context, o client.Object, _ ...client.CreateOption) error {
	return l.send(func() error { return l.api.Create(ctx, o) })
}

func (l *link) Update(ctx context.Context, o client.Object, _ ...client.UpdateOption) error {
	return l.send(func() error { return l.api.Update(ctx, o) })
}

// replica is a manager with what client-go's leader election does to its lock.
type replica struct {
	*world
	*Lock
	shards int
	// leads is true from the winning of a Lease to the end of the process, and renewed is when it last sent what has renewed the Lease.
	leads   bool
	renewed time.Time
	// asleep says until when the process does not run.
	asleep time.Time
	// ended is true once the process has ended, and killed once the world has.
	ended, killed bool
	resume        chan struct{}
}

func (w *world) newReplica(identity string, shards int) *replica {
	r := &replica{world: w, shards: shards, resume: make(chan struct{})}
	r.Lock = NewLock(Options{
		Client: &link{w.api, r}, Namespace: "platen-system", Name: leaseName, Identity: identity, Shards: shards,
		Now: func() time.Time { return w.now }, Log: logr.Discard(), Won: func(int) { r.leads = true },
	})
	go r.run()
	return r
}

// pause lets others run.
func (r *replica) pause() {
	r.parked <- struct{}{}
	r.wait()
}

// wait waits for the replica's turn. It ends the goroutine with the world.
func (r *replica) wait() {
	if _, alive := <-r.resume; !alive {
		r.killed = true
		runtime.Goexit()
	}
}

// run elects and leads until the replica does not hold its Lease any more, or stops.
func (r *replica) run() {
	defer func() {
		if !r.killed {
			r.ended = true
			r.parked <- struct{}{}
		}
	}()
	r.wait()
	ctx, transitions := context.Background(), 0
	record := func() resourcelock.LeaderElectionRecord {
		return resourcelock.LeaderElectionRecord{
			HolderIdentity: r.Options.Identity, LeaseDurationSeconds: int(lease.Seconds()), RenewTime: metav1.NewTime(r.now), LeaderTransitions: transitions,
		}
	}
	for {
		r.pause()
		began := r.now
		if r.leads && began.Sub(r.renewed) < deadline && r.Update(ctx, record()) == nil {
			r.renewed = began
			if r.random.IntN(40) == 0 {
				break
			}
			continue
		}
		if r.leads && r.now.Sub(r.renewed) >= deadline {
			return
		}
		before, _, err := r.Get(ctx)
		switch {
		case apierrors.IsNotFound(err):
			err = r.Create(ctx, record())
		case err != nil || before.HolderIdentity != "" && before.HolderIdentity != r.Options.Identity:
			continue
		default:
			transitions = before.LeaderTransitions + 1
			err = r.Update(ctx, record())
		}
		if err == nil {
			r.renewed = began
		}
	}
	r.leads = false // a graceful stop
	if _, _, err := r.Get(ctx); err == nil {
		_ = r.Update(ctx, resourcelock.LeaderElectionRecord{LeaseDurationSeconds: 1}) // else others wait
	}
}

// acts reports whether the replica may do what leaders do.
func (r *replica) acts() bool { return r.leads && !r.ended && r.now.Sub(r.renewed) < deadline }

// TestOneDivision lets replicas with different numbers of shards come and go, sleep, and lose requests and answers. At no time two of them divide
// the namespaces in different ways, or lead the same shard.
func TestOneDivision(t *testing.T) {
	led := map[int]int{}
	for seed := range uint64(20) {
		w := newWorld(seed)
		replicas := make([]*replica, 5)
		for i := range replicas {
			replicas[i] = w.newReplica(fmt.Sprintf("manager-%d", i), 1+w.random.IntN(3))
		}
		for step := range 3000 {
			w.now = w.now.Add(time.Duration(w.random.IntN(400)) * time.Millisecond)
			i := w.random.IntN(len(replicas))
			r := replicas[i]
			switch {
			case r.ended && r.random.IntN(2) == 0: // the kubelet starts the same pod again
				replicas[i] = w.newReplica(r.Options.Identity, r.shards)
				continue
			case r.ended:
				replicas[i] = w.newReplica(fmt.Sprintf("manager-%d-%d", seed, step), 1+w.random.IntN(3))
				continue
			case w.now.Before(r.asleep):
				continue
			case w.random.IntN(100) == 0:
				r.asleep = w.now.Add(time.Duration(w.random.IntN(40)) * time.Second)
				continue
			}
			r.resume <- struct{}{}
			<-w.parked
			w.check(t, seed, step, replicas)
			if r.acts() {
				led[r.shards]++
			}
		}
		for _, r := range replicas {
			close(r.resume)
		}
	}
	for n := 1; n <= 3; n++ {
		if led[n] == 0 {
			t.Errorf("nobody led with %d shards: %v", n, led)
		}
	}
}

func (w *world) check(t *testing.T, seed uint64, step int, replicas []*replica) {
	t.Helper()
	holders := map[string]*replica{}
	var one *replica
	for _, r := range replicas {
		if !r.acts() {
			continue
		}
		if one != nil && one.shards != r.shards {
			t.Fatalf("seed %d, step %d: %s leads one of %d shards, and %s one of %d", seed, step, one.Options.Identity, one.shards, r.Options.Identity, r.shards)
		}
		if other := holders[r.lease.Name]; other != nil {
			t.Fatalf("seed %d, step %d: %s and %s lead %s", seed, step, r.Options.Identity, other.Options.Identity, r.lease.Name)
		}
		one, holders[r.lease.Name] = r, r
	}
}

// elect runs a replica's election once.
func elect(t *testing.T, l *Lock) error {
	t.Helper()
	record := resourcelock.LeaderElectionRecord{HolderIdentity: l.Options.Identity, LeaseDurationSeconds: int(lease.Seconds())}
	before, _, err := l.Get(t.Context())
	switch {
	case apierrors.IsNotFound(err):
		return l.Create(t.Context(), record)
	case err != nil:
		return err
	case before.HolderIdentity != "" && before.HolderIdentity != l.Options.Identity:
		return fmt.Errorf("held by %s", before.HolderIdentity)
	}
	return l.Update(t.Context(), record)
}

// Each replica leads one shard, and the next ones wait. A Lease that nobody renews is free after its duration, and a process that starts again in
// the same pod has it at once.
func TestElection(t *testing.T) {
	w := newWorld(1)
	won := map[string]int{}
	newLock := func(identity string, shards int) *Lock {
		return NewLock(Options{
			Client: w.api, Namespace: "platen-system", Name: leaseName, Identity: identity, Shards: shards, Now: func() time.Time { return w.now },
			Log: logr.Discard(), Won: func(shard int) { won[identity] = shard },
		})
	}
	a, b, c := newLock("a", 2), newLock("b", 2), newLock("c", 2)
	for _, l := range []*Lock{a, b} {
		if err := elect(t, l); err != nil {
			t.Fatal(err)
		}
	}
	if err := elect(t, c); err == nil {
		t.Fatal("a third replica leads one of two shards")
	}
	if won["a"] == won["b"] || len(won) != 2 {
		t.Fatalf("the shards are led: %v", won)
	}
	again := newLock("a", 2)
	if err := elect(t, again); err != nil {
		t.Errorf("the next process of a replica must lead its shard at once: %v", err)
	}
	other := newLock("d", 1)
	if err := elect(t, other); err == nil {
		t.Error("a replica without shards leads beside one of two")
	}
	w.now = w.now.Add(lease)
	if err := elect(t, c); err != nil {
		t.Errorf("the Lease of a dead replica must be free: %v", err)
	}
	if err := elect(t, other); err == nil {
		t.Error("a replica without shards leads beside one of two, of which the other is dead")
	}
	w.now = w.now.Add(lease)
	if err := elect(t, other); err != nil {
		t.Errorf("a replica without shards must lead when all others are dead: %v", err)
	}
	if err := c.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "c"}); err == nil {
		t.Error("a replica that was only asleep renews the Lease that was taken from it")
	}
	if _, _, err := c.Get(t.Context()); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("a replica that has lost its Lease must not be in another election: %v", err)
	}
	for name, lease := range w.api.leases {
		holder := ptr.Deref(lease.Spec.HolderIdentity, "")
		if want := map[string]string{leaseName: "d"}[name]; holder != want {
			t.Errorf("Lease %s is held by '%s'; want '%s'", name, holder, want)
		}
	}
}
