// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command shim measures the REST shim. It sends many requests at a time and checks every answer, and then single requests that each find
// an idle render pod. All files are uploaded. Last, it opens many dynamic URLs of few pictures.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/bench/report"
	"github.com/platen-dev/platen/test/cluster"
)

func main() {
	requests := flag.Int("requests", 200, "number of requests under load")
	concurrency := flag.Int("concurrency", 20, "requests at a time")
	sequential := flag.Int("sequential", 50, "number of single requests, one after the other")
	var d dynamic
	flag.IntVar(&d.requests, "dynamic-requests", 10000, "number of requests for dynamic URLs")
	flag.IntVar(&d.keys, "dynamic-keys", 100, "number of different dynamic URLs")
	flag.IntVar(&d.concurrency, "dynamic-concurrency", 4, "requests for dynamic URLs at a time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *requests, *concurrency, *sequential, d)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "shim:", err)
		os.Exit(1)
	}
}

// bench is a namespace to render in.
type bench struct {
	*cluster.Cluster
	namespace, url, token string
}

func run(ctx context.Context, requests, concurrency, sequential int, d dynamic) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	c, err := cluster.Open()
	if err != nil {
		return err
	}
	namespace, err := card.Namespace(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, card.Remove(ctx, c, namespace.Name)) }()
	b := &bench{Cluster: c, namespace: namespace.Name}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	// The first request finds no render pod, so it is not measured.
	if _, err := b.render(ctx, "first"); err != nil {
		return err
	}
	began := time.Now()
	loaded, err := b.load(ctx, requests, concurrency)
	if err != nil {
		return err
	}
	took := time.Since(began)
	if err := b.check(ctx, requests+1); err != nil {
		return err
	}
	warm := make([]time.Duration, 0, sequential)
	for i := range sequential {
		one, err := b.render(ctx, fmt.Sprint("warm-", i))
		if err != nil {
			return err
		}
		warm = append(warm, one)
	}
	opened, renders, err := b.openDynamic(ctx, d)
	if err != nil {
		return err
	}
	return report.Write(os.Stdout, "shim", []report.Figure{
		{Name: "load_right_answers", Value: float64(len(loaded)), Unit: "answers", Goal: fmt.Sprintf("= %d", requests)},
		{Name: "load_throughput", Value: float64(requests) / took.Seconds(), Unit: "1/s"},
		{Name: "load_p50_seconds", Value: report.Percentile(loaded, 50), Unit: "s"},
		{Name: "load_p99_seconds", Value: report.Percentile(loaded, 99), Unit: "s"},
		{Name: "warm_p50_seconds", Value: report.Percentile(warm, 50), Unit: "s", Goal: "<= 0.3"},
		{Name: "warm_p99_seconds", Value: report.Percentile(warm, 99), Unit: "s"},
		{Name: "dynamic_renders", Value: float64(renders), Unit: "renders", Goal: fmt.Sprintf("= %d", d.keys)},
		{Name: "dynamic_hit_p50_ms", Value: 1000 * report.Percentile(opened, 50), Unit: "ms", Goal: "<= 3"},
		{Name: "dynamic_hit_p99_ms", Value: 1000 * report.Percentile(opened, 99), Unit: "ms"},
	})
}

// prepare prepares the namespace, and a service account that makes the requests.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.url, err = b.Shim(ctx); err != nil {
		return err
	}
	if b.token, err = b.Designer(ctx, b.namespace, "designer"); err != nil {
		return err
	}
	return card.Prepare(ctx, b.Cluster, b.namespace)
}

// load sends requests, a number of them at a time, and returns how long each took.
func (b *bench) load(ctx context.Context, requests, concurrency int) ([]time.Duration, error) {
	took := make([]time.Duration, requests)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for i := range requests {
		group.Go(func() (err error) {
			took[i], err = b.render(ctx, fmt.Sprint("load-", i))
			return err
		})
	}
	return took, group.Wait()
}

// render sends one request with its own file name, and checks the answer.
func (b *bench) render(ctx context.Context, name string) (time.Duration, error) {
	body, err := json.Marshal(map[string]any{
		"templateId": card.Name, "modifications": map[string]string{"headline": name}, "response": map[string]string{"type": "url", "fileName": name},
	})
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/v1/studio/render?cache=false", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+b.token)
	began := time.Now()
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(resp.Body)
	took := time.Since(began)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, err
	}
	var got struct {
		Data        struct{ Content string }
		Connections []struct{ Path, Status string }
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: HTTP %d: %s", name, resp.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", name, err, answer)
	}
	if got.Data.Content == "" || len(got.Connections) != 1 || got.Connections[0].Status != "success" || got.Connections[0].Path != "/Renders/"+name+".png" {
		return 0, fmt.Errorf("%s: a wrong answer: %s", name, answer)
	}
	return took, nil
}

// check checks that each request has left one file that was committed once.
func (b *bench) check(ctx context.Context, want int) error {
	files, err := b.Simulator().Files(ctx, b.namespace)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Commits != 1 {
			return fmt.Errorf("%s was committed %d times", f.Path, f.Commits)
		}
	}
	if len(files) != want {
		return fmt.Errorf("%d files are in Dropbox, want %d", len(files), want)
	}
	return nil
}
