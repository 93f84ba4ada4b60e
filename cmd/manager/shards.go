// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/shard"
)

// checkShards returns an error that names the flag with which several managers could not lead side by side.
func (o *options) checkShards() error {
	switch {
	case o.shards > shard.Max:
		return fmt.Errorf("--shards: %d must be at most %d", o.shards, shard.Max)
	case o.shards == 1:
		return nil
	case !o.leaderElection:
		return errors.New("--shards: several shards need --leader-elect")
	case o.maxPodsTotal < o.shards:
		return fmt.Errorf("--max-pods: %d must be at least 1 for each of %d shards", o.maxPodsTotal, o.shards)
	case strings.HasPrefix(o.contentStore, "file:"):
		return errors.New("--shards: every replica serves the files of all shards, so they need a common store: set --content-store to a bucket, such as s3://bucket?region=…")
	default:
		return nil
	}
}

// lock returns the lock of the leader election, held under the pod's name: the next process in the pod leads at once after a crash, because the
// kubelet runs one at a time. Without a pod's name, each process holds it under its own name. It returns nil without an election.
func (o *options) lock(c *rest.Config, scheme *runtime.Scheme, won func(shard int)) (resourcelock.Interface, error) {
	if !o.leaderElection {
		won(0)
		return nil, nil //nolint:nilnil // controller-runtime takes nil for no lock
	}
	identity := o.podName
	if identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("naming the holder of the lease: %w", err)
		}
		identity = host + "_" + string(uuid.NewUUID())
	}
	c = rest.AddUserAgent(rest.CopyConfig(c), "leader-election")
	c.Timeout = o.renewDeadline() / 2 // so that an attempt that hangs leaves time for another
	leases, err := client.New(c, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client of leases: %w", err)
	}
	return shard.NewLock(shard.Options{
		Client: leases, Namespace: o.namespace, Name: leaseName, Identity: identity, Shards: o.shards, Won: won, Now: time.Now, Log: ctrl.Log.WithName("shards"),
	}), nil
}

// dispatchHosts returns the names of the dispatch server: that of its Service for all shards, and those for each of several.
func (o *options) dispatchHosts() []string {
	hosts := []string{fmt.Sprintf("%s.%s.svc", o.dispatchName, o.namespace)}
	if o.shards > 1 {
		for i := range o.shards {
			hosts = append(hosts, fmt.Sprintf("%s-%d.%s.svc", o.dispatchName, i, o.namespace))
		}
	}
	return hosts
}

// ownShare is the part of the namespaces that this manager leads.
type ownShare struct {
	*shard.Share
	options *options
	pool    *pool.Pool
}

func (o *options) ownShare(renderPool *pool.Pool) *ownShare {
	for i := range o.shards {
		metrics.Shards{}.Led(i, false)
	}
	return &ownShare{shard.NewShare(o.shards), o, renderPool}
}

// lead prepares the manager for leading a shard.
func (s *ownShare) lead(number int) {
	s.Lead(number)
	s.pool.Limit(shard.Budget(s.options.maxPodsTotal, number, s.options.shards))
	metrics.Shards{}.Led(number, true)
	if s.options.shards > 1 {
		ctrl.Log.Info("Leading a shard", "shard", number, "shards", s.options.shards)
	}
}

// serves reports whether the manager looks after the files of a namespace.
func (s *ownShare) serves(namespace string) bool {
	return s.options.namespaces.Serves(namespace) && s.Owns(namespace)
}

// elsewhere returns the URL of the dispatch server that has a namespace, empty if it is this manager's.
func (s *ownShare) elsewhere(namespace string) string {
	if s.Owns(namespace) {
		return ""
	}
	host := s.options.dispatchHosts()[1+shard.Of(namespace, s.options.shards)]
	return fmt.Sprintf("https://%s:%d", host, s.options.dispatchPort)
}

// label returns the value of shardLabel on the pod of the manager; empty for none.
func (s *ownShare) label() string {
	if s.options.shards == 1 {
		return ""
	}
	return strconv.Itoa(s.Shard())
}

// leadsBeside reports whether the pod with a value of shardLabel may lead beside this one.
func (s *ownShare) leadsBeside(label string) bool {
	for i := range s.options.shards {
		if strconv.Itoa(i) == label && i != s.Shard() {
			return s.options.shards > 1
		}
	}
	return false
}
