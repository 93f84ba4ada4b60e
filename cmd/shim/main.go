// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command shim answers the public render API's JSON inside a cluster. Any number of them can run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/jobwatch"
	"github.com/platen-dev/platen/internal/shim"
	"github.com/platen-dev/platen/internal/version"
)

const (
	// shutdownTimeout is how long requests that wait may go on when the process ends.
	shutdownTimeout = 8 * time.Second
	// answerTimeout bounds the sending of an answer, beyond the wait.
	answerTimeout = 11 * time.Minute
)

// options are the shim's flags.
type options struct {
	address, probes string
	wait, ttl       time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.address, "bind-address", ":8080", "address of the API")
	flag.StringVar(&o.probes, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flag.DurationVar(&o.wait, "wait", time.Minute, "how long a synchronous request waits, unless it says otherwise with Prefer: wait=N")
	flag.DurationVar(&o.ttl, "job-ttl", 24*time.Hour, "when a job that came over REST is deleted with its files, after it has finished")
	zapOptions := zap.Options{}
	zapOptions.BindFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&zapOptions)))
	if err := run(ctrl.SetupSignalHandler(), o); err != nil {
		ctrl.Log.Error(err, "Shim failed")
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(platenv1alpha1.AddToScheme(scheme))
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                  scheme,
		Cache:                   cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		HealthProbeBindAddress:  o.probes,
		Metrics:                 server.Options{BindAddress: "0"},
		GracefulShutdownTimeout: new(shutdownTimeout + time.Second),
	})
	if err != nil {
		return fmt.Errorf("making a manager: %w", err)
	}
	waiters, err := jobwatch.New(ctx, mgr.GetCache())
	if err != nil {
		return err
	}
	if _, err := mgr.GetCache().GetInformer(ctx, &platenv1alpha1.RenderTemplate{}, cache.BlockUntilSynced(false)); err != nil {
		return fmt.Errorf("watching RenderTemplates: %w", err)
	}
	desk := callers.NewDesk(config, mgr.GetClient(), clock.RealClock{})
	api := shim.New(shim.Options{
		Desk: desk, Waiters: waiters, Cache: mgr.GetCache(), Wait: o.wait, TTL: o.ttl, Log: ctrl.Log.WithName("shim"),
	})

	// More pages are mounted here; the longest pattern wins.
	mux := http.NewServeMux()
	mux.Handle("/v1/", api.Handler())

	// Requests are answered once the cache is filled, and the pod is ready then.
	serving := make(chan struct{})
	err = errors.Join(
		mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return serve(ctx, o.address, mux, serving) })),
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

// serve answers until ctx ends, and closes serving when it begins.
func serve(ctx context.Context, address string, handler http.Handler, serving chan<- struct{}) error {
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: answerTimeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
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
	err = s.Serve(listener)
	if !stop() {
		<-drained
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
