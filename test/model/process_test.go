// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/renderjob"
	"github.com/platen-dev/platen/controllers/renderpool"
	"github.com/platen-dev/platen/controllers/storageconnection"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/dispatch/server"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/podspec"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/rendercache"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/uploader"
	"github.com/platen-dev/platen/internal/sweep"
	"github.com/platen-dev/platen/internal/task"
)

// process is one process of the manager, built as cmd/manager builds it.
type process struct {
	w      *world
	number int
	ctx    context.Context //nolint:containedctx // it lives as long as the process
	cancel context.CancelFunc
	// tasks are its goroutines.
	tasks sync.WaitGroup

	cache    *lagging
	pool     *pool.Pool
	uploads  *uploader.Uploader
	dispatch http.Handler

	mu   sync.Mutex
	dead bool
}

// String returns the name of the process in traces.
func (p *process) String() string { return fmt.Sprintf("manager-%d", p.number) }

// kill ends the process as SIGKILL does: nothing that it does afterwards has an effect.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		p.dead = true
		p.cancel()
	}
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// reach passes anything that a process does outside itself: it takes time, and a dead process reaches nothing.
func (p *process) reach(ctx context.Context, what string) error {
	if p.isDead() {
		return errKilled
	}
	if err := sleep(ctx, p.w.between("reach "+what, 500*time.Microsecond, 6*time.Millisecond)); err != nil {
		return err
	}
	if p.isDead() {
		return errKilled
	}
	return nil
}

// start starts a process of the manager, which leads.
func (w *world) start() (*process, error) {
	ctx, cancel := context.WithCancel(context.Background())
	w.mu.Lock()
	p := &process{w: w, number: len(w.processes) + 1, ctx: ctx, cancel: cancel}
	w.processes = append(w.processes, p)
	w.mu.Unlock()
	w.trace("%s starts", p)
	p.cache = newCache(p)
	host := fmt.Sprintf("%x-%d", w.seed, p.number)
	opened.Store(host, p)
	context.AfterFunc(ctx, func() { opened.Delete(host) })
	store, err := content.Open(ctx, "model://"+host, content.Options{Observer: noMetrics{}})
	if err != nil {
		return nil, err
	}
	cached, live := &apiClient{p: p}, &apiClient{p: p, live: true}
	var jobsChanged, poolsChanged reconcile.Changes
	var names atomic.Int64
	p.pool = pool.New(pool.Options{
		Defaults: pool.Settings{Max: w.maxPods, IdleTimeout: idleTimeout}, Now: time.Now, JobChanged: jobsChanged.Changed,
		NamespaceChanged: func(name string) { poolsChanged.Changed(renderpool.Request(name)) },
		PodName:          func() string { return fmt.Sprintf("%s%d-%d", podspec.NamePrefix, p.number, names.Add(1)) },
	})
	p.uploads = uploader.New(uploader.Options{
		Parallel: 4, Retry: storage.DefaultRetryPolicy, Changed: jobsChanged.Changed, Observer: noMetrics{},
	})
	connector := connect.New(connect.Options{
		Credentials: credentials.Reader{Reader: live},
		Openers: map[platenv1alpha1.ProviderType]connect.Opener{
			platenv1alpha1.ProviderDropbox: func(_ context.Context, _ platenv1alpha1.StorageConnectionSpec, secret credentials.Redacted) (storage.Provider, error) {
				return &provider{p: p, root: "/" + secret["appKey"]}, nil
			},
		},
	})
	mgr := &controllers{p: p, client: cached}
	var renders *rendercache.Cache
	if w.cached {
		renders = rendercache.New(rendercache.Options{
			Store: store, Renderer: "renderer", MaxAge: time.Hour, MaxBytes: 1 << 20, Interval: sweepInterval, Now: time.Now, Wake: jobsChanged.Changed,
			Observer: noMetrics{}, Log: logr.Discard(),
		})
	}
	sweeper := sweep.New(sweep.Options{
		Jobs: live, Cached: cached, Store: store, Owned: func(context.Context) error { return nil }, Interval: sweepInterval, Grace: sweepGrace, Now: time.Now, Log: logr.Discard(),
	})
	jobs := &renderjob.Reconciler{
		Client: cached, Reader: live, Fonts: fonts.New(fonts.Options{Reader: live}), Pool: p.pool, Arrivals: p.pool, Store: store,
		Signer: content.NewSigner([]byte("0123456789abcdef0123456789abcdef"), "https://content.test", time.Hour), Uploader: p.uploads,
		Connector: connector, Limits: task.DefaultLimits, Recorder: recorder{p}, Clock: clock.RealClock{},
		Sweeper: sweeper, Cache: renders,
	}
	p.dispatch = server.New(server.Options{
		Reviewer: &server.TokenReviewer{Client: live, Audience: podspec.Audience, Now: time.Now},
		Pool:     p.pool, Tasks: jobs, Store: store, Cache: renders, Now: time.Now, Log: logr.Discard(), PlanKeys: signingKeys,
	}).Handler()
	err = errors.Join(
		jobs.SetupWithManager(mgr, &jobsChanged),
		(&renderpool.Reconciler{
			Client: cached, Live: live, Pool: p.pool, Changed: &poolsChanged, Recorder: recorder{p}, Clock: clock.RealClock{},
			Defaults:    pool.Settings{Max: w.maxPods, IdleTimeout: idleTimeout},
			PodConfig:   func() podspec.Config { return podspec.Config{Image: "renderer"} },
			SigningKeys: signingKeys,
		}).SetupWithManager(mgr),
		mgr.Add(p.uploads),
		mgr.Add(sweeper),
		mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
			for sleep(ctx, time.Second) == nil {
				p.pool.Expire()
			}
			return nil
		})),
	)
	if w.cached {
		err = errors.Join(err, mgr.Add(renders))
	}
	if w.verified {
		err = errors.Join(err, (&storageconnection.Reconciler{
			Client: cached, Connector: connector, Recorder: recorder{p}, Clock: clock.RealClock{}, Interval: verifyInterval,
		}).SetupWithManager(mgr))
	}
	if err != nil {
		return nil, err
	}
	for _, r := range mgr.runnables {
		p.tasks.Go(func() {
			if err := r.Start(p.ctx); err != nil && p.ctx.Err() == nil {
				w.violate("the manager runs", "%s ends: %v", p, err)
			}
		})
	}
	p.pool.Listen()
	w.mu.Lock()
	w.leader = p
	w.mu.Unlock()
	return p, nil
}

// signingKeys are the manager's.
func signingKeys() [][]byte { return [][]byte{[]byte("a key of the model")} }

// controllers is the manager of controller-runtime as far as controllers need it.
type controllers struct {
	manager.Manager
	p         *process
	client    client.Client
	runnables []manager.Runnable
}

// Add implements manager.Manager.
func (m *controllers) Add(r manager.Runnable) error { m.runnables = append(m.runnables, r); return nil }

// GetCache implements cluster.Cluster.
func (m *controllers) GetCache() cache.Cache { return m.p.cache }

// GetFieldIndexer implements cluster.Cluster.
func (m *controllers) GetFieldIndexer() client.FieldIndexer { return m.p.cache }

// GetClient implements cluster.Cluster.
func (m *controllers) GetClient() client.Client { return m.client }

// GetScheme implements cluster.Cluster.
func (m *controllers) GetScheme() *runtime.Scheme { return m.p.w.scheme }

// GetRESTMapper implements cluster.Cluster.
func (*controllers) GetRESTMapper() meta.RESTMapper { return nil }

// GetLogger implements manager.Manager.
func (*controllers) GetLogger() logr.Logger { return logr.Discard() }

// GetControllerOptions implements manager.Manager.
func (*controllers) GetControllerOptions() config.Controller {
	return config.Controller{SkipNameValidation: new(true), RecoverPanic: new(false)}
}

// recorder counts events.
type recorder struct{ p *process }

// Eventf implements events.EventRecorder.
func (r recorder) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {
	r.p.w.api.count("create Event")
}

// noMetrics implements uploader.Observer.
type noMetrics struct{}

func (noMetrics) Dequeued(time.Duration)        {}
func (noMetrics) Settled(string, time.Duration) {}
func (noMetrics) Retried(string)                {}
func (noMetrics) QueueChanged(int)              {}

// Used and Refused implement content.Observer.
func (noMetrics) Used(int64)     {}
func (noMetrics) Refused(string) {}

// Looked and Cached implement rendercache.Observer.
func (noMetrics) Looked(bool)  {}
func (noMetrics) Cached(int64) {}
