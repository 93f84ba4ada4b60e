// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command upload measures the upload engine against rclone. Each runs in its own process, uploads the same files to the same simulator
// over the same HTTPS proxy, and is timed from start to end. The simulator delays its answers as a distant server would.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/bench/report"
	"github.com/platen-dev/platen/test/peer"
)

func main() {
	only := flag.String("only", "", "measure only the shape with this name")
	child := flag.String("child", "", "upload the files of this plan, instead of measuring; for the benchmark itself")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	run := func(ctx context.Context) error { return measure(ctx, *only) }
	if *child != "" {
		run = func(ctx context.Context) error { return upload(ctx, *child) }
	}
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "upload:", err)
		os.Exit(1)
	}
}

// shape is a number of files of one size in bytes.
type shape struct {
	name  string
	files int
	size  int64
}

var shapes = []shape{
	{name: "1 page", files: 1, size: 300 << 10},
	{name: "2 pages", files: 2, size: 300 << 10},
	{name: "20 pages", files: 20, size: 300 << 10},
	{name: "1000 files", files: 1000, size: 100 << 10},
	{name: "1 GiB", files: 1, size: 1 << 30},
}

// latencies of the simulator. The figures are those of the last one.
var latencies = []time.Duration{50 * time.Millisecond, 100 * time.Millisecond}

// outcome of one run.
type outcome struct {
	seconds float64
	calls   int
	rssMiB  float64
}

// arm is a program that uploads a folder of files.
type arm struct {
	name    string
	command func(ctx context.Context, dir string, hosts *peer.Hosts) (*exec.Cmd, error)
}

func measure(ctx context.Context, only string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	rclone, err := peer.Rclone(ctx, ".")
	if err != nil {
		return err
	}
	arms := []arm{
		{"Platen", func(ctx context.Context, dir string, hosts *peer.Hosts) (*exec.Cmd, error) {
			command := exec.CommandContext(ctx, self, "-child", filepath.Join(dir, planFile))
			command.Env = append(os.Environ(), "HTTPS_PROXY="+hosts.Proxy, "SSL_CERT_FILE="+filepath.Join(dir, caFile))
			return command, nil
		}},
		{"rclone", rcloneCommand(rclone)},
		{"rclone --transfers 32", rcloneCommand(rclone, "--transfers", "32")},
	}
	fmt.Println("files        latency  by                      seconds   calls   peak MiB   ratio")
	results := map[string][]outcome{}
	for _, s := range shapes {
		if only != "" && s.name != only {
			continue
		}
		dir, err := makeFiles(ctx, s)
		if err != nil {
			return err
		}
		for _, latency := range latencies {
			var row []outcome
			for _, a := range arms {
				o, err := runOnce(ctx, s, a, dir, latency)
				if err != nil {
					return errors.Join(fmt.Errorf("%s, %s: %w", s.name, a.name, err), os.RemoveAll(dir))
				}
				row = append(row, o)
				fmt.Printf("%-12s %5d ms  %-22s %8.2f %7d %10.0f %7.2f\n", s.name, latency.Milliseconds(), a.name, o.seconds, o.calls, o.rssMiB, row[0].seconds/o.seconds)
			}
			results[s.name] = row
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if only != "" {
		return nil
	}
	return report.Write(os.Stdout, "upload", figures(results))
}

func figures(results map[string][]outcome) []report.Figure {
	figure := func(name, shape, unit, goal string, value func(outcome) float64) report.Figure {
		row := results[shape]
		fastest := row[1]
		if row[2].seconds < fastest.seconds {
			fastest = row[2]
		}
		return report.Figure{Name: name, Value: value(row[0]), Unit: unit, Goal: goal}.Against("rclone, the faster of two", value(fastest))
	}
	calls := func(o outcome) float64 { return float64(o.calls) }
	seconds := func(o outcome) float64 { return o.seconds }
	return []report.Figure{
		figure("one_page_calls", "1 page", "", "= 1", calls),
		figure("twenty_pages_calls", "20 pages", "", "<= 3", calls),
		figure("twenty_pages_seconds", "20 pages", "s", "<= 0.5x", seconds),
		figure("thousand_files_calls", "1000 files", "", "<= 10", calls),
		figure("thousand_files_seconds", "1000 files", "s", "<= 0.2x", seconds),
		figure("one_gib_seconds", "1 GiB", "s", "<= 0.5x", seconds),
		figure("one_gib_rss_mib", "1 GiB", "MiB", "<= 100", func(o outcome) float64 { return o.rssMiB }),
	}
}

const (
	planFile = "plan.json"
	caFile   = "ca.pem"
	tree     = "tree"
)

// makeFiles writes the files of a shape to a new folder, and the engine's plan with their hashes, which Platen computes when it stores a
// rendered file.
func makeFiles(ctx context.Context, s shape) (dir string, err error) {
	dir, err = os.MkdirTemp("", "platen-bench-")
	if err != nil {
		return "", err
	}
	store, err := content.Open(ctx, "file://"+filepath.Join(dir, "store"), content.Options{})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := os.Mkdir(filepath.Join(dir, tree), 0o750); err != nil {
		return "", err
	}
	p := plan{Store: "file://" + filepath.Join(dir, "store")}
	for n := range s.files {
		name := fmt.Sprintf("page_%d.png", n+1)
		stored, err := store.Put(ctx, ref, 1, file.File{ID: file.ID{Page: n + 1}, Name: name, Format: "png"}, io.LimitReader(rand.Reader, s.size), s.size)
		if err != nil {
			return "", err
		}
		p.Files = append(p.Files, stored)
		if err := os.Link(filepath.Join(dir, "store", ref.Key(1, stored)), filepath.Join(dir, tree, name)); err != nil {
			return "", err
		}
	}
	data, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, planFile), data, 0o600)
}

// runOnce runs one arm against a new simulator.
func runOnce(ctx context.Context, s shape, a arm, dir string, latency time.Duration) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	sim := dropboxsim.New()
	sim.AddAccount(dropboxsim.Account{AppKey: "app", AppSecret: "secret", RefreshToken: "refresh", Email: "ada@example.com", DisplayName: "Ada", Quota: 4 << 30})
	hosts, err := peer.NewHosts(sim)
	if err != nil {
		return o, err
	}
	defer hosts.Close()
	if err := os.WriteFile(filepath.Join(dir, caFile), hosts.CA, 0o600); err != nil {
		return o, err
	}
	command, err := a.command(ctx, dir, hosts)
	if err != nil {
		return o, err
	}
	sim.ClearLog()
	sim.SetLatency(latency)
	began := time.Now()
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		return o, err
	}
	peak := make(chan float64, 1)
	go func() { peak <- watchMemory(command.Process.Pid) }()
	if err := command.Wait(); err != nil {
		return o, fmt.Errorf("%w: %s", err, &output)
	}
	o.seconds, o.rssMiB = time.Since(began).Seconds(), <-peak
	for _, e := range sim.Log() {
		if strings.HasPrefix(e.Route, "/2/") {
			o.calls++
		}
	}
	if n := len(sim.Files("app")); n != s.files {
		return o, fmt.Errorf("%d files are uploaded, want %d", n, s.files)
	}
	for _, f := range sim.Files("app") {
		if f.Size != s.size || f.Commits != 1 {
			return o, fmt.Errorf("%+v", f)
		}
	}
	return o, nil
}

// watchMemory waits for a process to end and returns its peak resident memory in MiB. The figure of wait4 would include the memory of
// this process at the fork.
func watchMemory(pid int) (peak float64) {
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, after, found := strings.Cut(string(status), "VmHWM:")
		if err != nil || !found {
			return peak
		}
		var kib float64
		if _, err := fmt.Sscan(after, &kib); err == nil {
			peak = kib / 1024
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// rcloneCommand returns a command that copies the files with rclone. Its access token has expired, so rclone gets a new one, as Platen does.
func rcloneCommand(binary string, flags ...string) func(context.Context, string, *peer.Hosts) (*exec.Cmd, error) {
	return func(ctx context.Context, dir string, hosts *peer.Hosts) (*exec.Cmd, error) {
		command := exec.CommandContext(ctx, binary, append([]string{"copy", filepath.Join(dir, tree), "box:bench"}, flags...)...)
		command.Env = append(os.Environ(),
			"HTTPS_PROXY="+hosts.Proxy, "NO_PROXY=", "RCLONE_CONFIG="+filepath.Join(dir, "rclone.conf"),
			"RCLONE_CONFIG_BOX_TYPE=dropbox", "RCLONE_CONFIG_BOX_CLIENT_ID=app", "RCLONE_CONFIG_BOX_CLIENT_SECRET=secret",
			`RCLONE_CONFIG_BOX_TOKEN={"access_token":"old","token_type":"bearer","refresh_token":"refresh","expiry":"2020-01-01T00:00:00Z"}`,
			"RCLONE_CA_CERT="+filepath.Join(dir, caFile),
		)
		return command, nil
	}
}
