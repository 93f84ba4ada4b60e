// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var (
	errTaken = errors.New("no Lease of a shard is free")
	errLost  = errors.New("the Lease of the shard is held by another manager, or by nobody")
)

// Options of a Lock. All are required.
type Options struct {
	// Client reads and writes Leases, without a cache.
	Client client.Client
	// Namespace of the Leases, and Name that they begin with.
	Namespace, Name string
	// Identity of the replica. No other process that runs has it.
	Identity string
	// Shards is the number of shards.
	Shards int
	// Won is called once, when the replica has got the Lease of a shard and before it leads.
	Won func(shard int)
	// Now returns the time.
	Now func() time.Time
	Log logr.Logger
}

// Lock lets a leader election end with the Lease of one shard, whichever is free. It implements resourcelock.Interface.
//
// The number of shards stands in the names of the Leases, and the namespaces are never divided in two ways: a replica that has taken a Lease looks
// for holders of Leases of another number of shards, and gives its own back if there is one. Of two replicas that take Leases at the same time, the
// one that looks last sees the other. A Lease that a dead replica holds is taken from it before anybody leads, so that it cannot go on if it was
// only asleep.
type Lock struct {
	Options
	// lease is what the election is about at the moment; nil for none.
	lease *coordinationv1.Lease
	// leads is true once the replica has won lease. It never wins another.
	leads bool
	// seen has when this process first saw the present version of each Lease: clocks of different nodes are not compared.
	seen map[string]sighting
	// waiting names the Lease of another number of shards for whose end the replica waits.
	waiting string
}

type sighting struct {
	version string
	at      time.Time
}

// NewLock returns a Lock that holds nothing.
func NewLock(options Options) *Lock { return &Lock{Options: options, seen: map[string]sighting{}} }

// LeaseName returns the name of the Lease of one of n shards.
func LeaseName(name string, shard, n int) string {
	if n == 1 {
		return name
	}
	return fmt.Sprintf("%s-%d-of-%d", name, shard, n)
}

// ParseLeaseName returns which of how many shards a Lease is for. ok is false for a name that is not that of a Lease of a shard.
func ParseLeaseName(name, lease string) (shard, n int, ok bool) {
	if lease == name {
		return 0, 1, true
	}
	rest, ok := strings.CutPrefix(lease, name+"-")
	first, last, found := strings.Cut(rest, "-of-")
	shard, err1 := strconv.Atoi(first)
	n, err2 := strconv.Atoi(last)
	if !ok || !found || err1 != nil || err2 != nil || n < 2 || n > Max || shard < 0 || shard >= n || lease != LeaseName(name, shard, n) {
		return 0, 0, false
	}
	return shard, n, true
}

// Get implements resourcelock.Interface. It returns the record of the replica's own Lease or, before it has won one, of one that is free. If
// none is, the record says that another replica holds one.
func (l *Lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if l.leads {
		return l.own(ctx)
	}
	l.lease = nil
	leases, err := l.list(ctx)
	if err != nil {
		return nil, nil, err
	}
	holder, err := l.otherNumber(ctx, leases)
	if err != nil {
		return nil, nil, err
	}
	if holder == "" {
		l.lease, holder = l.pick(leases)
	}
	switch {
	case l.lease == nil:
		// Another text each time, so that the election does not take what it sees for expired.
		return &resourcelock.LeaderElectionRecord{HolderIdentity: holder, LeaseDurationSeconds: 3600}, []byte(l.Now().Format(time.RFC3339Nano)), nil
	case l.lease.ResourceVersion == "":
		return nil, nil, apierrors.NewNotFound(coordinationv1.Resource("leases"), l.lease.Name)
	}
	record := resourcelock.LeaseSpecToLeaderElectionRecord(&l.lease.Spec)
	if record.HolderIdentity != l.Options.Identity {
		record.HolderIdentity = "" // it is free, whoever held it
	}
	raw, err := json.Marshal(record)
	return record, raw, err
}

// own returns the record of the Lease that the replica has won. It is an error if the replica does not hold it any more: its shard may be led by
// another, or the number of shards may have changed.
func (l *Lock) own(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	lease := &coordinationv1.Lease{}
	if err := l.Client.Get(ctx, client.ObjectKeyFromObject(l.lease), lease); err != nil {
		return nil, nil, err
	}
	record := resourcelock.LeaseSpecToLeaderElectionRecord(&lease.Spec)
	if record.HolderIdentity != l.Options.Identity {
		return nil, nil, errLost
	}
	l.lease = lease
	raw, err := json.Marshal(record)
	return record, raw, err
}

// list returns the Leases of all shards by their names, and notes which have changed.
func (l *Lock) list(ctx context.Context) (map[string]*coordinationv1.Lease, error) {
	list := &coordinationv1.LeaseList{}
	if err := l.Client.List(ctx, list, client.InNamespace(l.Namespace)); err != nil {
		return nil, err
	}
	now, leases, seen := l.Now(), map[string]*coordinationv1.Lease{}, map[string]sighting{}
	for i := range list.Items {
		lease := &list.Items[i]
		if _, _, ok := ParseLeaseName(l.Name, lease.Name); !ok {
			continue
		}
		leases[lease.Name] = lease
		seen[lease.Name] = sighting{lease.ResourceVersion, now}
		if before := l.seen[lease.Name]; before.version == lease.ResourceVersion {
			seen[lease.Name] = before
		}
	}
	l.seen = seen
	return leases, nil
}

// isFree reports whether nobody holds a Lease: nobody who runs, or this replica, perhaps as an earlier process.
func (l *Lock) isFree(lease *coordinationv1.Lease) bool {
	holder := ptr.Deref(lease.Spec.HolderIdentity, "")
	duration := time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 0)) * time.Second
	return holder == "" || holder == l.Options.Identity || l.Now().Sub(l.seen[lease.Name].at) >= duration
}

// otherNumber returns the holder of a Lease of another number of shards, empty if there is none. It takes the Leases from holders that are dead.
func (l *Lock) otherNumber(ctx context.Context, leases map[string]*coordinationv1.Lease) (holder string, err error) {
	for _, name := range slices.Sorted(maps.Keys(leases)) {
		lease := leases[name]
		_, n, _ := ParseLeaseName(l.Name, name)
		holder := ptr.Deref(lease.Spec.HolderIdentity, "")
		switch {
		case n == l.Shards, holder == "":
			continue
		case !l.isFree(lease):
			if l.waiting != name {
				l.waiting = name
				l.Log.Info("Another manager leads a shard of another number of shards: waiting for its end", "lease", name, "holder", holder, "shards", l.Shards)
			}
			return holder, nil
		}
		lease.Spec.HolderIdentity = nil
		if err := l.Client.Update(ctx, lease); err != nil { // it may have woken up
			return "", err
		}
	}
	l.waiting = ""
	return "", nil
}

// pick returns the Lease of a free shard, the one of an earlier process of this replica first; nil and a holder if there is none.
func (l *Lock) pick(leases map[string]*coordinationv1.Lease) (free *coordinationv1.Lease, holder string) {
	first := rand.IntN(l.Shards) //nolint:gosec // replicas that start together should not all want the same
	for i := range l.Shards {
		name := LeaseName(l.Name, (first+i)%l.Shards, l.Shards)
		lease := leases[name]
		switch {
		case lease == nil:
			if free == nil {
				free = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: name}}
			}
		case ptr.Deref(lease.Spec.HolderIdentity, "") == l.Options.Identity:
			return lease, ""
		case !l.isFree(lease):
			holder = *lease.Spec.HolderIdentity
		case free == nil:
			free = lease
		}
	}
	return free, holder
}

// Create implements resourcelock.Interface.
func (l *Lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if l.lease == nil {
		return errTaken
	}
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: l.lease.Name}, Spec: resourcelock.LeaderElectionRecordToLeaseSpec(&record),
	}
	if err := l.Client.Create(ctx, lease); err != nil {
		return err
	}
	l.lease = lease
	return l.win(ctx) // also if the replica led: somebody has deleted its Lease
}

// Update implements resourcelock.Interface.
func (l *Lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if l.lease == nil {
		return errTaken
	}
	lease := l.lease.DeepCopy()
	lease.Spec = resourcelock.LeaderElectionRecordToLeaseSpec(&record)
	if err := l.Client.Update(ctx, lease); err != nil {
		return err
	}
	l.lease = lease
	if l.leads {
		return nil
	}
	return l.win(ctx)
}

// win ends the election if nobody holds a Lease of another number of shards. Else it gives the replica's Lease back.
func (l *Lock) win(ctx context.Context) error {
	if err := l.alone(ctx); err != nil {
		lease := l.lease.DeepCopy()
		lease.Spec.HolderIdentity = nil
		if !l.leads {
			l.lease = nil
		}
		return errors.Join(err, l.Client.Update(context.WithoutCancel(ctx), lease))
	}
	if !l.leads {
		l.leads = true
		shard, _, _ := ParseLeaseName(l.Name, l.lease.Name)
		l.Won(shard)
	}
	return nil
}

// alone returns an error if anybody holds a Lease of another number of shards.
func (l *Lock) alone(ctx context.Context) error {
	leases, err := l.list(ctx)
	if err != nil {
		return err
	}
	for name, lease := range leases {
		if _, n, _ := ParseLeaseName(l.Name, name); n != l.Shards && ptr.Deref(lease.Spec.HolderIdentity, "") != "" {
			return fmt.Errorf("%s holds Lease %s, of another number of shards", *lease.Spec.HolderIdentity, name)
		}
	}
	return nil
}

// RecordEvent implements resourcelock.Interface.
func (l *Lock) RecordEvent(string) {}

// Identity implements resourcelock.Interface.
func (l *Lock) Identity() string { return l.Options.Identity }

// Describe implements resourcelock.Interface.
func (l *Lock) Describe() string {
	if l.lease != nil {
		return l.Namespace + "/" + l.lease.Name
	}
	return l.Namespace + "/" + l.Name
}

var _ resourcelock.Interface = &Lock{}
