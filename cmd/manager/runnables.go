// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/failpoint"
)

// renewAfter is half of a dispatch certificate's life.
const renewAfter = 182 * 24 * time.Hour

// certificates makes the dispatch server's certificate and makes it anew in time.
type certificates struct {
	keys credentials.Keys
	name string

	mu      sync.Mutex
	current *tls.Certificate
	made    time.Time
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.current == nil || now.Sub(c.made) > renewAfter {
		certificate, err := c.keys.ServerCertificate([]string{c.name}, now)
		if err != nil {
			return nil, err
		}
		c.current, c.made = &certificate, now
	}
	return c.current, nil
}

// sweeper deletes the files of jobs that are gone and of generations that are over.
type sweeper struct {
	client   client.Client
	store    *content.Store
	interval time.Duration
	wanted   chan struct{}
}

// request asks for a sweep soon; several requests are one.
func (s *sweeper) request() {
	select {
	case s.wanted <- struct{}{}:
	default:
	}
}

func (s *sweeper) run(ctx context.Context) error {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.wanted:
		}
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			ctrl.Log.Error(err, "Sweeping the content store")
		}
	}
}

func (s *sweeper) sweep(ctx context.Context) error {
	jobs := &platenv1alpha1.RenderJobList{}
	if err := s.client.List(ctx, jobs); err != nil {
		return err
	}
	generations := make(map[string]int64, len(jobs.Items))
	for i := range jobs.Items {
		generations[string(jobs.Items[i].UID)] = jobs.Items[i].Generation
	}
	failpoint.Hit("sweep.before-delete")
	removed, err := s.store.Sweep(ctx, func(ref content.Ref) bool {
		// A generation that the cache has not seen yet is newer, not gone.
		generation, alive := generations[ref.JobUID]
		return alive && ref.Generation >= generation
	})
	if removed > 0 {
		ctrl.Log.Info("Swept the content store", "removed", removed)
	}
	return err
}
