// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command chaos kills the manager, render pods and the Dropbox simulator at random while jobs run, round after round, and fails at the
// first job that does not end as it must. It needs the development cluster, and root, to signal the processes of its node.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"

	"github.com/platen-dev/platen/test/bench/report"
	"github.com/platen-dev/platen/test/chaos"
	"github.com/platen-dev/platen/test/cluster"
)

func main() {
	rounds := flag.Int("rounds", 20, "number of rounds")
	jobs := flag.Int("jobs", 500, "jobs of a round")
	seed := flag.Uint64("seed", rand.Uint64(), "seed of the first round; each further round adds 1")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *rounds, *jobs, *seed)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds, jobs int, seed uint64) error {
	c, err := cluster.Open()
	if err != nil {
		return err
	}
	kills, retries, maxAttempts := map[string]int{}, 0, 0
	var took []time.Duration
	for i := range rounds {
		fmt.Printf("round %d: %d jobs, -seed %d\n", i+1, jobs, seed+uint64(i))
		o, err := chaos.Round(ctx, chaos.Options{
			Cluster: c, Jobs: jobs, Seed: seed + uint64(i), MinPause: 500 * time.Millisecond, MaxPause: 5 * time.Second,
			Timeout: 15 * time.Minute, Log: os.Stdout,
		})
		if err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
		fmt.Printf("round %d: all succeeded in %.0f s; killed %v; %d attempts lost, at most %d of one job\n",
			i+1, o.Took.Seconds(), o.Kills, o.Retries, o.MaxAttempts-1)
		for victim, n := range o.Kills {
			kills[victim] += n
		}
		retries, maxAttempts, took = retries+o.Retries, max(maxAttempts, o.MaxAttempts), append(took, o.Took)
	}
	count := func(name string, n int, unit string) report.Figure {
		return report.Figure{Name: name, Value: float64(n), Unit: unit}
	}
	return report.Write(os.Stdout, "chaos", []report.Figure{
		count("rounds", rounds, ""), count("jobs", rounds*jobs, ""),
		count("manager_kills", kills[chaos.Manager], ""), count("render_pod_kills", kills[chaos.Renderer], ""),
		count("simulator_kills", kills[chaos.Simulator], ""),
		count("lost_attempts", retries, ""), count("max_attempts", maxAttempts, ""),
		{Name: "round_p50_seconds", Value: report.Percentile(took, 50), Unit: "s"},
	})
}
