// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
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
	"github.com/platen-dev/platen/internal/task"
)

// renewAfter is half of the lifetime of a dispatch certificate.
const renewAfter = 182 * 24 * time.Hour

// certificates issues a server's certificate and renews it.
type certificates struct {
	keys *credentials.KeyRing
	name string

	mu      sync.Mutex
	current *tls.Certificate
	issued  time.Time
	// authority is the certificate of the newest authority at that time.
	authority []byte
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, keys := time.Now(), c.keys.Keys()
	if c.current == nil || now.Sub(c.issued) > renewAfter || !bytes.Equal(c.authority, keys.CACert) {
		certificate, err := keys.ServerCertificate([]string{c.name}, now)
		if err != nil {
			return nil, err
		}
		c.current, c.issued, c.authority = &certificate, now, keys.CACert
	}
	return c.current, nil
}

// sweepGrace is the least age of what is swept: the cache may not show the job yet.
const sweepGrace = 10 * time.Minute

// sweeper deletes the files of deleted jobs and of older revisions.
type sweeper struct {
	client   client.Client
	store    *content.Store
	interval time.Duration
	requests chan struct{}
}

// request asks for a sweep. Requests before the sweep begins count as one.
func (s *sweeper) request() {
	select {
	case s.requests <- struct{}{}:
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
		case <-s.requests:
		}
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			ctrl.Log.Error(err, "Failed to sweep the content store")
		}
	}
}

func (s *sweeper) sweep(ctx context.Context) error {
	jobs := &platenv1alpha1.RenderJobList{}
	if err := s.client.List(ctx, jobs); err != nil {
		return err
	}
	revisions := make(map[string]string, len(jobs.Items))
	for i := range jobs.Items {
		revisions[string(jobs.Items[i].UID)] = task.Revision(&jobs.Items[i])
	}
	failpoint.Hit("sweep.before-delete")
	removed := 0
	err := s.store.Walk(ctx, func(o content.Object) error {
		if revisions[o.Ref.JobUID] == o.Ref.Revision || time.Since(o.ModTime) < sweepGrace {
			return nil
		}
		removed++
		return s.store.Remove(ctx, o)
	})
	if removed > 0 {
		ctrl.Log.Info("Swept the content store", "removed", removed)
	}
	return err
}
