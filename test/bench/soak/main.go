// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command soak does what an installation does in a day, in minutes, and measures what is left of it: a real kube-apiserver and etcd, cmd/manager
// as its own process, simulated render pods with the dispatch client of real ones, and the Dropbox simulator. One in fifty renders crashes, one
// in fifty pods is killed while it renders, and one in fifty calls of Dropbox fails. Jobs are deleted a while after they have finished. Before and
// after, nothing is left to do; memory, goroutines, open files, the content store and etcd must be the same.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/platen-dev/platen/test/bench/report"
)

// options of a soak.
type options struct {
	// warmup jobs come before the first measurement, and jobs between the first and the second.
	warmup, jobs, namespaces, pods int
	// oneIn is how many renders, pods and calls have one fault.
	oneIn int
	// seed of the faults.
	seed uint64
}

func main() {
	o := options{}
	flag.IntVar(&o.warmup, "warmup", 1000, "jobs before the first measurement")
	flag.IntVar(&o.jobs, "jobs", 20_000, "jobs between the measurements")
	flag.IntVar(&o.namespaces, "namespaces", 20, "number of namespaces, each with a Dropbox account")
	flag.IntVar(&o.pods, "pods", 3, "most render pods of each namespace")
	flag.IntVar(&o.oneIn, "one-in", 50, "of how many renders, pods and calls one fails; 0 for none")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the faults")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	figures, err := run(ctx, o)
	stop()
	if err == nil {
		err = report.Write(os.Stdout, "soak", figures)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// run soaks a world of its own.
func run(ctx context.Context, o options) (figures []report.Figure, err error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := w.do(ctx, o.warmup); err != nil {
		return nil, err
	}
	before, err := w.measure(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Printf("after %d jobs:  %+v\n", o.warmup, before)
	began := time.Now()
	if err := w.do(ctx, o.jobs); err != nil {
		return nil, err
	}
	took := time.Since(began)
	after, err := w.measure(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Printf("after %d more: %+v\n", o.jobs, after)
	lost, doubled := w.delivered()
	for i, problem := range w.problems() {
		if i == 20 {
			fmt.Println("  and more")
			break
		}
		fmt.Println("  " + problem)
	}
	count := func(name string, value int, goal string) report.Figure {
		return report.Figure{Name: name, Value: float64(value), Unit: "1", Goal: goal}
	}
	return []report.Figure{
		{Name: "jobs_per_second", Value: float64(o.jobs) / took.Seconds(), Unit: "1/s"},
		count("faults", w.faults(), ""),
		count("lost", lost, "<= 0"),
		count("doubled", doubled, "<= 0"),
		count("leaked_goroutines", after.Goroutines-before.Goroutines, "<= 10"),
		count("leaked_descriptors", after.Descriptors-before.Descriptors, "<= 10"),
		count("leaked_files", after.Files-before.Files, "<= 0"),
		count("leaked_objects", after.Objects-before.Objects, "<= 0"),
		{Name: "rss_growth_mib", Value: after.MiB - before.MiB, Unit: "MiB", Goal: "<= 16"},
		{Name: "etcd_growth_mib", Value: after.EtcdMiB - before.EtcdMiB, Unit: "MiB", Goal: "<= 2"},
	}, nil
}
