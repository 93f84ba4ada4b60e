// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command renderer runs in a render pod: it takes tasks from the dispatch server and renders them with headless Chromium.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/platen-dev/platen/internal/cage"
	"github.com/platen-dev/platen/internal/dispatch/client"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/render/browser"
	"github.com/platen-dev/platen/internal/version"
)

// browserShare is the percentage of the pod's memory limit that the browser may use. The rest is for this process, the encoders, and the
// memory that a page can allocate between two checks.
const browserShare = 70

func main() {
	cage.Enter()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(log); err != nil {
		log.Error("renderer failed", "error", err)
		os.Exit(1)
	}
}

func run(log *slog.Logger) error {
	url := flag.String("dispatch-url", os.Getenv("PLATEN_DISPATCH_URL"), "URL of the dispatch server")
	tokenFile := flag.String("token-file", "/var/run/secrets/platen.dev/token", "file with the pod's token for the dispatch server")
	chromium := flag.String("chromium", "", "path of the browser (default: found in PATH)")
	maxPixels := flag.Int("max-pixels", 0, "most pixels of a picture; 0 is 100 million")
	renders := flag.Int("renders-per-browser", 0, "renders after which a new browser replaces the old one; 0 is 1000")
	sandbox := flag.Bool("chromium-sandbox", false, "let the browser have its own sandbox; the pod must allow user namespaces")
	memory := flag.Int64("memory-limit", 0, "memory limit of the pod in bytes; 0 is no limit")
	var policy outbound.Policy
	flag.Var(&policy.Allowed, "outbound-allow", "comma-separated prefixes that pages may reach even if they are private")
	flag.Var(&policy.Denied, "outbound-deny", "comma-separated prefixes that pages may not reach even if they are public")
	if err := fromEnvironment(); err != nil {
		return err
	}
	flag.Parse()

	if err := cage.Harden(); err != nil {
		return err
	}
	path, err := browser.Find(*chromium)
	if err != nil {
		return err
	}
	launcher, err := cage.Launcher(path, filepath.Dir(*tokenFile), log)
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Pods may have public addresses, above all with IPv6.
	networks, err := outbound.LocalNetworks()
	if err != nil {
		return err
	}
	policy = policy.Without(networks)
	proxy, err := outbound.NewProxy(policy, log)
	if err != nil {
		return err
	}
	defer proxy.Close()
	b, err := browser.New(browser.Options{
		ExecPath: launcher, Proxy: proxy.Address(), MaxPixels: *maxPixels, MaxRenders: *renders,
		MaxMemory: *memory / 100 * browserShare, Sandbox: *sandbox, Logger: log,
		Blocked: func(target string) string {
			if !policy.Blocks(target) {
				return ""
			}
			return outbound.ErrRefused.Error() +
				"; an administrator can allow others with the manager's flag --renderer-outbound-allow, or for a RenderPool's spec.egress with --pool-outbound-allow"
		},
	})
	if err != nil {
		return err
	}
	c, err := client.New(client.Options{
		URL: *url, CA: []byte(os.Getenv("PLATEN_DISPATCH_CA")), TokenFile: *tokenFile, Renderer: b, Logger: log,
	})
	if err != nil {
		return err
	}
	log.Info("renderer started", "version", version.Version)

	// The browser starts while the first poll for a task waits.
	var starting sync.WaitGroup
	starting.Go(func() {
		if err := b.Start(ctx); err != nil && ctx.Err() == nil {
			log.Warn("the browser did not start; the first task starts it again", "error", err)
		}
	})
	defer b.Close()
	defer starting.Wait()
	return c.Run(ctx)
}

// fromEnvironment sets flags from the pod's environment.
func fromEnvironment() error {
	for name, variable := range map[string]string{
		"max-pixels": "PLATEN_MAX_PIXELS", "renders-per-browser": "PLATEN_RENDERS_PER_BROWSER",
		"memory-limit": "PLATEN_MEMORY_LIMIT", "outbound-allow": "PLATEN_OUTBOUND_ALLOW", "outbound-deny": "PLATEN_OUTBOUND_DENY",
		"chromium-sandbox": "PLATEN_CHROMIUM_SANDBOX",
	} {
		if value := os.Getenv(variable); value != "" {
			if err := flag.Set(name, value); err != nil {
				return fmt.Errorf("%s: %w", variable, err)
			}
		}
	}
	return nil
}
