// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command shim serves the public render API and the web page inside a cluster. Any number of replicas can run.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/netutil"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/apiserver"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/connections"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/jobwatch"
	"github.com/platen-dev/platen/internal/mcp"
	"github.com/platen-dev/platen/internal/namespaces"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/shim"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/authflow"
	"github.com/platen-dev/platen/internal/tlsfiles"
	"github.com/platen-dev/platen/internal/tracing"
	"github.com/platen-dev/platen/internal/ui"
	"github.com/platen-dev/platen/internal/version"
	"github.com/platen-dev/platen/internal/webhook"
)

const (
	// shutdownTimeout bounds the requests in progress when the process shuts down.
	shutdownTimeout = 8 * time.Second
	// contentPatience is how long the content server may take until its answer begins: it opens a file of a bucket before.
	contentPatience = 20 * time.Second
	// maxConnections bounds the open connections; further ones wait until others close. Somebody without a token or a signed URL takes no more than a
	// quarter of them from one address.
	maxConnections = 12288
	// maxIdle bounds the idle connections to the content server. Go keeps two, so that under load most files would need a new one.
	maxIdle = 64
	// memoryBeside is what a container of 512 MiB has besides the memory that Go counts, such as the kernel's buffers of its connections. It does not grow
	// with the container.
	memoryBeside = 312 << 20
)

// memoryLimit returns the memory of the process from which Go collects garbage sooner, for a container with a limit of so many bytes. Go would let as much
// garbage gather as there are objects, and 10,000 waiting requests would be too many for the container. It returns 0, for no such limit, if the container's
// is unknown, or if GOMEMLIMIT is set: own is its value.
func memoryLimit(container, own string) int64 {
	limit, err := strconv.ParseInt(container, 10, 64)
	if err != nil || limit <= 0 || own != "" {
		return 0
	}
	return max(limit-memoryBeside, limit/3)
}

// options are the shim's flags.
type options struct {
	namespaces namespaces.List

	address, probes, namespace, contentURL, publicURL string
	tlsFolder, contentCA                              string
	dropboxAPI, dropboxContent, dropboxAuthorize      string
	dropboxAppKey                                     string
	wait, ttl, signedURLTTL                           time.Duration
	limits                                            shim.Limits
	webhooks                                          outbound.Policy
	corsOrigins                                       []string
}

func main() {
	var o options
	flag.StringVar(&o.address, "bind-address", ":8080", "address of the API")
	flag.StringVar(&o.probes, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flag.StringVar(&o.namespace, "namespace", "platen-system", "namespace of the shim's Secret and of its records of webhooks")
	flag.Var(&o.namespaces, "namespaces", "comma-separated namespaces that the shim serves; empty is all of them")
	flag.StringVar(&o.contentURL, "content-url", "http://platen-content.platen-system.svc:8082", "URL at which the shim reaches the content server; users may have another, the manager's --content-url")
	flag.StringVar(&o.tlsFolder, "tls-dir", "", "folder with tls.crt and tls.key, to serve the API and the page over TLS; empty is HTTP")
	flag.StringVar(&o.contentCA, "content-ca-file", "", "file with the authorities, in PEM, of the content server's certificate, besides those that the image trusts")
	flag.StringVar(&o.publicURL, "public-url", "", "beginning of signed URLs, and of the address to which Dropbox sends people back (default: the host that a request names)")
	flag.StringVar(&o.dropboxAPI, "dropbox-api-url", dropbox.DefaultAPIURL, "URL of Dropbox's API host")
	flag.StringVar(&o.dropboxContent, "dropbox-content-url", dropbox.DefaultContentURL, "URL of Dropbox's content host")
	flag.StringVar(&o.dropboxAuthorize, "dropbox-authorize-url", authflow.DefaultAuthorizeURL, "URL of the host of Dropbox's consent page, as browsers reach it")
	flag.StringVar(&o.dropboxAppKey, "dropbox-app-key", "", "key of the Dropbox app for accounts that the page connects, if a person gives no other")
	flag.DurationVar(&o.signedURLTTL, "signed-url-ttl", 7*24*time.Hour, "longest life of a signed URL; at most the manager's --content-url-ttl")
	flag.Float64Var(&o.limits.Rate, "caller-rate", 50, "requests a second of one caller")
	flag.IntVar(&o.limits.Burst, "caller-burst", 100, "requests of one caller that may arrive at once")
	flag.IntVar(&o.limits.Concurrency, "caller-concurrency", 256, "open requests of one caller, including those that wait for a job")
	flag.Var(&o.webhooks.Allowed, "webhook-allow", "private address prefixes that webhooks may call, separated by commas; public addresses are allowed")
	flag.Var(&o.webhooks.Denied, "outbound-deny", "public address prefixes that webhooks may not call, such as those of pods, separated by commas")
	flag.Func("cors-origins", "origins whose pages may call the API, separated by commas, such as https://studio.example.com, or *; default none", func(text string) error {
		o.corsOrigins = strings.Split(text, ",")
		return nil
	})
	flag.DurationVar(&o.wait, "wait", 5*time.Minute, "how long a synchronous request waits without Prefer: wait=N")
	flag.DurationVar(&o.ttl, "job-ttl", 24*time.Hour, "how long a finished job of the API or the page is kept with its files")
	zapOptions := zap.Options{}
	zapOptions.BindFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&zapOptions)))
	if limit := memoryLimit(os.Getenv("MEMORY_LIMIT"), os.Getenv("GOMEMLIMIT")); limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	if err := run(ctrl.SetupSignalHandler(), o); err != nil {
		ctrl.Log.Error(err, "Shim failed")
		os.Exit(1)
	}
}

// check refuses times that no request could live with.
func (o options) check() error {
	for _, span := range []struct {
		flag  string
		value time.Duration
	}{{"wait", o.wait}, {"job-ttl", o.ttl}, {"signed-url-ttl", o.signedURLTTL}} {
		if span.value < time.Second {
			return fmt.Errorf("--%s: %s must be at least %s", span.flag, span.value, time.Second)
		}
	}
	return nil
}

func run(ctx context.Context, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	tracer, err := tracing.FromEnvironment(ctx, "platen-shim", version.Version, func(err error) { ctrl.Log.WithName("tracing").Error(err, "Failed to export traces") })
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = tracer.Close(last) // the error handler has told
	}()
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(platenv1alpha1.AddToScheme(scheme))
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config.UserAgent = version.UserAgent("platen-shim")
	if err := apiserver.Await(ctx, config, o.probes, ctrl.Log); err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultTransform:  cache.TransformStripManagedFields(),
			DefaultNamespaces: o.namespaces.Cache(),
			ByObject: map[client.Object]cache.ByObject{&corev1.ConfigMap{}: {
				Namespaces: map[string]cache.Config{o.namespace: {LabelSelector: labels.SelectorFromSet(labels.Set{webhook.Label: "true"})}},
			}},
		},
		HealthProbeBindAddress:  o.probes,
		Metrics:                 server.Options{BindAddress: "0"},
		GracefulShutdownTimeout: new(shutdownTimeout + time.Second),
	})
	if err != nil {
		return fmt.Errorf("making a manager: %w", err)
	}
	direct, err := client.New(config, client.Options{Scheme: scheme, Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	key, err := credentials.EnsureSharedKey(ctx, direct, o.namespace, "platen-shim")
	if err != nil {
		return err
	}
	waiters, err := jobwatch.New(ctx, mgr.GetCache())
	if err != nil {
		return err
	}
	if _, err := mgr.GetCache().GetInformer(ctx, &platenv1alpha1.RenderTemplate{}, cache.BlockUntilSynced(false)); err != nil {
		return fmt.Errorf("watching RenderTemplates: %w", err)
	}
	hooks := &webhook.Reconciler{
		Client: mgr.GetClient(), Reader: direct, Namespace: o.namespace, Policy: o.webhooks,
		Ended: shim.Ended, Body: shim.WebhookBody, Secret: func(namespace string) []byte { return shim.WebhookKey(key.Derive, namespace) },
		Clock: clock.RealClock{}, Tracer: tracer,
	}
	if err := hooks.SetupWithManager(mgr); err != nil {
		return err
	}
	files := contentTransport(o.contentCA)
	reviewer := callers.NewReviewer(config, direct, clock.RealClock{})
	api, err := shim.New(shim.Options{
		Reviewer: reviewer, Waiters: waiters, Cache: mgr.GetCache(), Own: direct, Delivery: hooks.Delivery, Derive: key.Derive,
		Stopping: ctx.Done(), Wait: o.wait, TTL: o.ttl, SignedURLTTL: o.signedURLTTL, ContentURL: o.contentURL, PublicURL: o.publicURL,
		CORSOrigins: o.corsOrigins, ContentTransport: files, Limits: o.limits, WebhookBlocked: o.webhooks.Blocks, Tracer: tracer, Log: ctrl.Log.WithName("shim"),
	})
	if err != nil {
		return err
	}
	page, err := ui.New(ui.Options{
		Reviewer: reviewer, Cache: mgr.GetCache(), Waiters: waiters, Key: key.Derive("cookies of the page"), URL: o.publicURL, ContentURL: o.contentURL, ContentTransport: files,
		Dropbox:      dropbox.Config{APIURL: o.dropboxAPI, ContentURL: o.dropboxContent},
		AuthorizeURL: o.dropboxAuthorize, AppKey: o.dropboxAppKey, TTL: o.ttl, Clock: clock.RealClock{}, Log: ctrl.Log.WithName("page"),
	})
	if err != nil {
		return err
	}

	rest := api.Handler()
	handler := route(page.Handler(), mcp.NewHandler(mcp.Options{API: rest, Open: api.Open, Reviewer: reviewer, Wait: o.wait, Version: version.Version}), rest)

	var secure *tls.Config
	if o.tlsFolder != "" {
		config, watcher, err := tlsfiles.Server(o.tlsFolder)
		if err != nil {
			return err
		}
		if err := mgr.Add(watcher); err != nil {
			return fmt.Errorf("setting up: %w", err)
		}
		secure = config
	}

	// The pod is ready and answers requests once the cache is filled.
	serving := make(chan struct{})
	err = errors.Join(
		mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return serve(ctx, o.address, handler, secure, serving) })),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("serving", func(*http.Request) error {
			select {
			case <-serving:
				return nil
			default:
				return errors.New("the cache is not filled yet")
			}
		}),
	)
	if err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	ctrl.Log.Info("Starting the shim", "version", version.Version)
	return mgr.Start(ctx)
}

// contentTransport returns a transport to the content server, whose certificate the authorities in a file may have signed. A server that hangs, such as
// one whose node is lost, must not keep its callers for as long as a large file may take.
func contentTransport(caFile string) *http.Transport {
	files := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute,
	}
	if caFile != "" {
		files = tlsfiles.Transport(caFile)
	}
	files.MaxIdleConnsPerHost, files.ResponseHeaderTimeout = maxIdle, contentPatience
	return files
}

// route sends people to the page, assistants to their endpoint, and everything else to the API, also what is not there: the API's errors are
// JSON.
func route(page, assistants, api http.Handler) http.Handler {
	home := http.RedirectHandler("/ui/", http.StatusFound)
	page, assistants = shim.Drained(page), shim.Drained(assistants)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/ui/"):
			page.ServeHTTP(w, r)
		case r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead), r.URL.Path == "/ui":
			home.ServeHTTP(w, r)
		case strings.TrimSuffix(r.URL.Path, "/") == mcp.Path:
			assistants.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

// serve answers requests until ctx ends, over TLS if secure is not nil. It closes serving when it starts.
func serve(ctx context.Context, address string, handler http.Handler, secure *tls.Config, serving chan<- struct{}) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	s := shim.HTTPServer(handler, ctrl.Log.WithName("http"))
	close(serving)
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if s.Shutdown(grace) != nil {
			_ = s.Close()
		}
	})
	limited := connections.Listen(netutil.LimitListener(listener, maxConnections), connections.Limits{StrangersOfAddress: maxConnections / 4})
	if s.TLSConfig = secure; secure != nil {
		err = s.ServeTLS(limited, "", "")
	} else {
		err = s.Serve(limited)
	}
	if !stop() {
		<-drained
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
