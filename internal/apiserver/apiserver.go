// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apiserver waits for the API server, or for something else without which a program cannot begin. A program that ends when it does not answer is
// started again later and later, by five minutes in the end: after an outage, it would be away for as long again.
package apiserver

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
)

const (
	// attemptTimeout bounds one request, retryDelay is the time between two, and reportDelay that between two lines in the log.
	attemptTimeout = 5 * time.Second
	retryDelay     = time.Second
	reportDelay    = time.Minute
	// headerTimeout is how long a prober may take for its request.
	headerTimeout = 5 * time.Second
)

// Await returns once the API server answers anything, or when ctx ends. Until then, the probes at an address say that the program is alive and not
// ready; no address or 0 is none.
func Await(ctx context.Context, config *rest.Config, probes string, log logr.Logger) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return fmt.Errorf("the address of the API server: %w", err)
	}
	target := server.JoinPath("version").String()
	return AwaitAnswer(ctx, "The API server", func(ctx context.Context) error { return ask(ctx, client, target) }, probes, log)
}

// AwaitAnswer returns once ask returns no error, or when ctx ends. Until then, it asks every second, and answers probes as Await does. name is what the log
// and the probes call what is asked.
func AwaitAnswer(ctx context.Context, name string, ask func(context.Context) error, probes string, log logr.Logger) error {
	problem := ask(ctx)
	if problem == nil {
		return nil
	}
	stop, err := answerProbes(ctx, probes, name)
	if err != nil {
		return err
	}
	defer stop()
	reported := time.Time{}
	for ; problem != nil; problem = ask(ctx) {
		if time.Since(reported) >= reportDelay {
			reported = time.Now()
			log.Error(problem, name+" does not answer; waiting for it")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryDelay):
		}
	}
	log.Info(name + " answers")
	return nil
}

// ask returns why the API server does not answer. A refusal is an answer, too.
func ask(ctx context.Context, client *http.Client, target string) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection can be used again
	_ = answer.Body.Close()
	if answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests {
		return fmt.Errorf("HTTP %d", answer.StatusCode)
	}
	return nil
}

// answerProbes answers the probes of the kubelet until stop is called. name is what does not answer.
func answerProbes(ctx context.Context, address, name string) (stop func(), err error) {
	if address == "" || address == "0" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for probes: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, name+" does not answer", http.StatusServiceUnavailable)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: headerTimeout}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // ends with stop
	}()
	return func() {
		_ = server.Close()
		<-ended // the address is free
	}, nil
}
