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
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
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
	address   string
	wait, ttl time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.address, "bind-address", ":8080", "address of the API, and of /healthz and /readyz")
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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(platenv1alpha1.AddToScheme(scheme))
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	objects, err := cache.New(config, cache.Options{Scheme: scheme, Mapper: c.RESTMapper(), DefaultTransform: cache.TransformStripManagedFields()})
	if err != nil {
		return fmt.Errorf("making a cache: %w", err)
	}
	server, err := shim.New(ctx, shim.Options{Config: config, Client: c, Cache: objects, Wait: o.wait, TTL: o.ttl, Log: ctrl.Log.WithName("shim")})
	if err != nil {
		return err
	}
	if _, err := objects.GetInformer(ctx, &platenv1alpha1.RenderTemplate{}, cache.BlockUntilSynced(false)); err != nil {
		return fmt.Errorf("watching RenderTemplates: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- objects.Start(ctx) }()
	if !objects.WaitForCacheSync(ctx) {
		return errors.Join(errors.New("the cache did not fill"), <-ended)
	}
	ctrl.Log.Info("Starting the shim", "version", version.Version)
	err = serve(ctx, o, server.Handler())
	cancel()
	return errors.Join(err, <-ended)
}

func serve(ctx context.Context, o options, api http.Handler) error {
	mux := http.NewServeMux()
	healthy := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /readyz", healthy)
	mux.Handle("/v1/", api)
	s := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: answerTimeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", o.address, err)
	}
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
