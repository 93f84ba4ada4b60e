// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manager is Platen's operator: it reconciles RenderJobs and StorageConnections, dispatches tasks to render pods, serves the
// rendered files and uploads them.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	// Drivers of the buckets that --content-store may name. The driver of gs:// is one of our packages.
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/s3blob"
	"golang.org/x/net/netutil"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/fontset"
	"github.com/platen-dev/platen/controllers/renderjob"
	"github.com/platen-dev/platen/controllers/renderpool"
	"github.com/platen-dev/platen/controllers/rendertemplate"
	"github.com/platen-dev/platen/controllers/storageconnection"
	"github.com/platen-dev/platen/internal/apiserver"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/connect/buckets"
	"github.com/platen-dev/platen/internal/connections"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/contenturl"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/dispatch/server"
	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/podspec"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reach"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	_ "github.com/platen-dev/platen/internal/storage/gcs"
	"github.com/platen-dev/platen/internal/storage/uploader"
	"github.com/platen-dev/platen/internal/sweep"
	"github.com/platen-dev/platen/internal/tlsfiles"
	"github.com/platen-dev/platen/internal/tracing"
	"github.com/platen-dev/platen/internal/version"
)

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,namespace=platen-system,verbs=get;list;create;update
// +kubebuilder:rbac:groups="",resources=secrets,namespace=platen-system,verbs=get;create
// +kubebuilder:rbac:groups="",resources=secrets,resourceNames=platen-keys,namespace=platen-system,verbs=update
// +kubebuilder:rbac:groups="",resources=events,namespace=platen-system,verbs=create;patch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// sweepGrace is the least age of what is swept: no write of a file or of a job takes so long to be seen.
const sweepGrace = 10 * time.Minute

const (
	leaseName = "platen-manager"
	// retryPeriod is the interval at which the leader renews the lease. A standby looks for a released lease after at most 2.2 times that.
	retryPeriod = time.Second
	// stopTimeout is how long a manager that stops waits for its parts before it releases the lease.
	stopTimeout = 2 * time.Second
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "content" {
		if err := contentCommand(ctrl.SetupSignalHandler(), os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "manager content:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	o.register(flag.CommandLine)
	zapOptions := zap.Options{}
	zapOptions.BindFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&zapOptions)))
	err := o.check()
	if err == nil {
		err = run(ctrl.SetupSignalHandler(), o)
	}
	if err != nil {
		ctrl.Log.Error(err, "Manager failed")
		os.Exit(1)
	}
}

// gcPercent is how much the heap may grow, in percent of what is in use, until garbage is collected. The default of Go, 100, costs a manager with ten
// thousand jobs a third more memory, and saves little time. Time counts until a manager has taken over what was there: startGCPercent, for settleTime
// after the caches are filled.
const (
	gcPercent, startGCPercent = 15, 50
	settleTime                = 2 * time.Second
)

// collectAt sets how much the heap may grow, unless the environment says it.
func collectAt(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// saveMemory lets the heap grow by gcPercent after settleTime, and gives back what the start needed.
func saveMemory(ctx context.Context) error {
	select {
	case <-time.After(settleTime):
		collectAt(gcPercent)
		debug.FreeOSMemory()
	case <-ctx.Done():
	}
	return nil
}

func run(ctx context.Context, o options) error {
	collectAt(startGCPercent)
	tracer, err := tracing.FromEnvironment(ctx, "platen-manager", version.Version, func(err error) { ctrl.Log.WithName("tracing").Error(err, "Failed to export traces") })
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		_ = tracer.Close(last) // the error handler has told
	}()
	scheme := newScheme()
	var jobsChanged, poolsChanged, fontSetsChanged reconcile.Changes
	renderPool := pool.New(pool.Options{
		MaxPods: o.maxPodsTotal, Defaults: o.poolDefaults(), Now: time.Now,
		Observer: metrics.Pool{}, JobChanged: jobsChanged.Changed, NamespaceChanged: func(name string) { poolsChanged.Changed(renderpool.Request(name)) },
	})
	own := o.ownShare(renderPool)
	restConfig, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	restConfig.UserAgent = version.UserAgent("platen-manager")
	if err := apiserver.Await(ctx, restConfig, o.probeAddress, ctrl.Log); err != nil {
		return err
	}
	store, err := openStore(ctx, restConfig, scheme, o)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	mgr, err := newManager(restConfig, scheme, o, tracer != nil, own.lead)
	if err != nil {
		return err
	}
	// A client without a cache reads Secrets and ConfigMaps, which are not cached, and the manager's keys before the cache starts.
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: scheme, HTTPClient: mgr.GetHTTPClient(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	keys, err := credentials.OpenKeyRing(ctx, direct, o.namespace, o.keysSecret, time.Now)
	if err != nil {
		return err
	}
	pods := &podSettings{client: direct, keys: keys, options: o}
	if err := pods.refresh(ctx); err != nil {
		return err
	}
	owned := func(ctx context.Context) error { return claim(ctx, direct, store, o) }
	if err := contenturl.CheckBase(o.contentURL); err != nil {
		return fmt.Errorf("--content-url: %w", err)
	}
	signer := content.NewSigner(nil, o.contentURL, o.contentURLTTL)
	signer.SetKeys(keys.Keys().URLSigning)

	eventClient, err := eventsclient.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("making a client of events: %w", err)
	}
	recorder, stopEvents, err := reconcile.NewRecorder(ctrl.Log.WithName("events"), &events.EventSinkImpl{Interface: eventClient}, scheme, "platen")
	if err != nil {
		return err
	}
	defer stopEvents()

	if err := metrics.Register(ctrlmetrics.Registry); err != nil {
		return err
	}
	uploads := uploader.New(uploader.Options{
		Parallel: o.parallelUploads, Retry: storage.DefaultRetryPolicy, Changed: jobsChanged.Changed, Observer: metrics.Uploads{}, Tracer: tracer,
	})
	outside := outbound.Policy{Allowed: o.storageAllow, Denied: o.outboundDeny}
	openers := buckets.Openers(tracer.Transport(outside.Transport(), tracing.Method), metrics.Uploads{})
	openers[platenv1alpha1.ProviderDropbox] = connect.Dropbox(dropbox.Config{
		APIURL: o.dropboxAPI, ContentURL: o.dropboxContent, Transport: tracer.Transport(reach.Transport(), tracing.Route), Observer: metrics.Uploads{},
	})
	connector := connect.New(connect.Options{
		Credentials: credentials.Reader{Reader: direct},
		Openers:     openers,
	})
	sweeper := sweep.New(sweep.Options{
		Jobs: direct, Cached: mgr.GetClient(), Serves: own.serves, Store: store, Owned: owned, Interval: o.sweepInterval, Grace: sweepGrace,
		Now: time.Now, Log: ctrl.Log.WithName("sweep"),
	})

	renderCache := o.renderCache(store, own.serves, jobsChanged.Changed)
	library := fonts.New(fonts.Options{
		Reader: direct, Wanted: fontSetsChanged.Changed, Clock: clock.RealClock{},
		Fetcher: fonts.NewFetcher(outside, fonts.LoginWithSecrets(credentials.Reader{Reader: direct}), "an administrator can allow others with the manager's flag --storage-outbound-allow"),
	})
	renderJobs := &renderjob.Reconciler{
		Client: mgr.GetClient(), Reader: direct, Fonts: library, Pool: renderPool, Arrivals: renderPool, Store: store, Signer: signer, Uploader: uploads,
		Connector: connector, Limits: o.limits, Recorder: recorder, Clock: clock.RealClock{},
		Sweeper: sweeper, Retention: o.contentRetention, Cache: renderCache, Observer: metrics.Jobs{}, Tracer: tracer, Owns: own.Owns,
	}
	dispatch := server.New(server.Options{
		Reviewer: &server.TokenReviewer{Client: direct, Audience: podspec.Audience, Now: time.Now},
		Pool:     renderPool, Tasks: renderJobs, Store: store, Cache: renderCache, Now: time.Now, Log: ctrl.Log.WithName("dispatch"),
		Observer: metrics.Renders{}, Tracer: tracer, PlanKeys: func() [][]byte { return keys.Keys().PodSigning },
		Elsewhere: own.elsewhere,
	})
	podClient, err := pods.guard(mgr.GetClient())
	if err != nil {
		return err
	}
	secure, watcher, err := contentTLS(o, keys)
	if err != nil {
		return err
	}
	parts := []error{
		renderJobs.SetupWithManager(mgr, &jobsChanged),
		(&renderpool.Reconciler{
			Client: podClient, Live: direct, Pool: renderPool, Changed: &poolsChanged, PodConfig: pods.config,
			SigningKeys: func() [][]byte { return keys.Keys().PodSigning }, Defaults: o.poolDefaults(), OutboundAllow: o.poolAllow,
			Recorder: recorder, Clock: clock.RealClock{}, Owns: own.Owns,
		}).SetupWithManager(mgr),
		(&fontset.Reconciler{
			Client: mgr.GetClient(), Fonts: library, Changed: &fontSetsChanged, Recorder: recorder, Clock: clock.RealClock{}, Owns: own.Owns,
		}).SetupWithManager(mgr),
		(&rendertemplate.Reconciler{
			Client: mgr.GetClient(), Reader: direct, Recorder: recorder, Clock: clock.RealClock{}, Owns: own.Owns,
		}).SetupWithManager(mgr),
		(&storageconnection.Reconciler{
			Client: mgr.GetClient(), Connector: connector, Recorder: recorder,
			Clock: clock.RealClock{}, Interval: o.verifyInterval, Owns: own.Owns,
		}).SetupWithManager(mgr),
		mgr.Add(everyReplica(saveMemory)),
		mgr.Add(uploads),
		mgr.Add(everyReplica(func(ctx context.Context) error {
			return rotate(ctx, keys, signer, mgr.GetClient(), jobsChanged.Changed)
		})),
		mgr.Add(leader(pods.run)),
		mgr.Add(leader(func(ctx context.Context) error { return countConnections(ctx, mgr.GetClient(), own.Owns) })),
		mgr.Add(leader(func(ctx context.Context) error { return expire(ctx, renderPool) })),
		mgr.Add(sweeper),
		mgr.Add(leader(func(ctx context.Context) error { return serveDispatch(ctx, dispatch, keys, o) })),
		// Every replica has the store, so every replica serves it.
		mgr.Add(everyReplica(func(ctx context.Context) error {
			return serveHTTP(ctx, o.contentAddress, content.NewHandler(store, signer, time.Now), secure)
		})),
	}
	if handler := failpoint.Handler(); handler != nil && o.failpointAddress != "" {
		parts = append(parts, mgr.Add(leader(func(ctx context.Context) error { return serveHTTP(ctx, o.failpointAddress, handler, nil) })))
	}
	if renderCache != nil {
		parts = append(parts, mgr.Add(renderCache))
	}
	if o.podName != "" {
		parts = append(parts, mgr.Add(leader(role{client: direct, namespace: o.namespace, pod: o.podName, own: own}.run)))
	}
	if watcher != nil {
		parts = append(parts, mgr.Add(watcher))
	}
	if err := errors.Join(parts...); err != nil {
		return err
	}
	ctrl.Log.Info("Starting Platen", "version", version.Version)
	return mgr.Start(ctx)
}

// newScheme returns a scheme of the kinds that the manager uses. One of all kinds of Kubernetes takes some MiB.
func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, coordinationv1.AddToScheme, networkingv1.AddToScheme, authenticationv1.AddToScheme, authorizationv1.AddToScheme,
		eventsv1.AddToScheme, platenv1alpha1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	return scheme
}

// newManager returns a manager. It calls won before it leads. With exemplars, it serves metrics in the format of OpenMetrics, which has them, to those who ask for it.
func newManager(restConfig *rest.Config, scheme *runtime.Scheme, o options, exemplars bool, won func(shard int)) (ctrl.Manager, error) {
	lock, err := o.lock(restConfig, scheme, won)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(restConfig, ctrl.Options{
		Scheme: scheme,

		LeaderElectionResourceLockInterface: lock,

		LeaderElection:          o.leaderElection,
		LeaderElectionID:        leaseName,
		LeaseDuration:           &o.leaseDuration,
		RenewDeadline:           new(o.renewDeadline()),
		RetryPeriod:             new(retryPeriod),
		GracefulShutdownTimeout: new(stopTimeout),
		LeaderElectionNamespace: o.namespace,
		// The process exits as soon as the manager stops, so it does nothing after it has released the lease.
		LeaderElectionReleaseOnCancel: true,
		HealthProbeBindAddress:        o.probeAddress,
		PprofBindAddress:              o.pprofAddress,
		Metrics: metricsserver.Options{
			BindAddress:    o.metricsAddress,
			SecureServing:  true,
			FilterProvider: guardMetrics,
			HandlerOpts:    []func(*promhttp.HandlerOpts){func(o *promhttp.HandlerOpts) { o.EnableOpenMetrics = exemplars }},
			TLSOpts:        []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
		},
		// A standby watches what the controllers do, so that it has everything when it leads.
		Controller: config.Controller{EnableWarmup: new(true)},
		Cache: cache.Options{
			DefaultTransform:  trim,
			DefaultNamespaces: o.namespaces.Cache(),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Pod{}: {Label: labels.SelectorFromSet(labels.Set(renderpool.Selector))},
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the manager: %w", err)
	}
	return mgr, errors.Join(mgr.AddHealthzCheck("healthz", healthz.Ping), mgr.AddReadyzCheck("readyz", healthz.Ping))
}

// renewDeadline is how long the leader tries to renew the lease before it stops: well before another can take the lease.
func (o options) renewDeadline() time.Duration { return o.leaseDuration * 2 / 3 }

// leader is a Runnable that runs only while the manager leads.
type leader func(ctx context.Context) error

// Start implements manager.Runnable.
func (f leader) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (leader) NeedLeaderElection() bool { return true }

// everyReplica is a Runnable that runs whether the manager leads or not.
type everyReplica func(ctx context.Context) error

// Start implements manager.Runnable.
func (f everyReplica) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everyReplica) NeedLeaderElection() bool { return false }

var _, _ manager.LeaderElectionRunnable = leader(nil), everyReplica(nil)

// expire calls pool.Expire once a second until ctx ends.
func expire(ctx context.Context, p *pool.Pool) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			p.Expire()
		}
	}
}

// serveDispatch serves render pods until ctx ends, with a certificate that is renewed after half of its lifetime.
func serveDispatch(ctx context.Context, s *server.Server, keys *credentials.KeyRing, o options) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.dispatchAddress)
	if err != nil {
		return fmt.Errorf("listening for render pods: %w", err)
	}
	certificates := &certificates{keys: keys, names: o.dispatchHosts()}
	return s.Serve(ctx, listener, &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: certificates.get})
}

// contentTLS returns the TLS configuration of the content server, or nil, and perhaps a watcher of its certificate to run.
func contentTLS(o options, keys *credentials.KeyRing) (*tls.Config, *certwatcher.CertWatcher, error) {
	switch o.contentTLS {
	case "":
		return nil, nil, nil
	case "own":
		target, err := url.Parse(o.contentURL)
		if err != nil {
			return nil, nil, fmt.Errorf("--content-url: %w", err)
		}
		// The shim and proxies reach the content server at its Service, whatever the address of users is.
		own := &certificates{keys: keys, names: []string{target.Hostname(), fmt.Sprintf("platen-content.%s.svc", o.namespace)}}
		return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: own.get}, nil, nil
	default:
		return tlsfiles.Server(o.contentTLS)
	}
}

// maxConnections bounds the open connections of an HTTP server; further ones wait until others close. No address of somebody who has no URL of a file, and no
// namespace, takes more than a quarter of them.
const maxConnections = 4096

// serveHTTP serves a handler until ctx ends, over TLS if secure is not nil.
func serveHTTP(ctx context.Context, address string, handler http.Handler, secure *tls.Config) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	return serveOn(ctx, listener, handler, secure)
}

// serveOn is serveHTTP on a listener.
func serveOn(ctx context.Context, listener net.Listener, handler http.Handler, secure *tls.Config) error {
	s := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      10 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       connections.Context,
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // clients retry with the next manager
	defer stop()
	limited := connections.Listen(
		netutil.LimitListener(listener, maxConnections), connections.Limits{StrangersOfAddress: maxConnections / 4, OfClient: maxConnections / 4},
	)
	serve := func() error { return s.Serve(limited) }
	if s.TLSConfig = secure; secure != nil {
		serve = func() error { return s.ServeTLS(limited, "", "") }
	}
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
