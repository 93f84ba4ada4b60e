// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command dropboxsim serves the Dropbox simulator for test clusters and the demo. It is not for production.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(log); err != nil {
		log.Error("dropboxsim failed", "error", err)
		os.Exit(1)
	}
}

func run(log *slog.Logger) error {
	address := flag.String("listen", ":8090", "address to listen on")
	journal := flag.String("journal", "", "file that keeps accounts, access tokens and files, so that they survive the process; empty keeps them in memory")
	accountsFile := flag.String("accounts", "", "JSON file with a list of accounts to add at the start")
	flag.Parse()

	sim := dropboxsim.New()
	if *journal != "" {
		if err := sim.Persist(*journal); err != nil {
			return err
		}
		defer func() { _ = sim.Close() }()
	}
	if *accountsFile != "" {
		data, err := os.ReadFile(*accountsFile)
		if err != nil {
			return err
		}
		var accounts []dropboxsim.Account
		if err := json.Unmarshal(data, &accounts); err != nil {
			return err
		}
		for _, a := range accounts {
			sim.AddAccount(a)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Minute, IdleTimeout: 2 * time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	log.Info("simulating Dropbox", "address", listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
