// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	rest := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 9876543 20 21"
	tests := map[string]struct {
		line    string
		want    identity
		wantErr bool
	}{
		"plain":                      {line: "42 (etcd)" + rest, want: identity{pid: 42, startTime: 9876543, state: 'S'}},
		"name with parentheses":      {line: "42 (a) (b c)" + rest, want: identity{pid: 42, startTime: 9876543, state: 'S'}},
		"empty":                      {line: "", wantErr: true},
		"half written":               {line: "42 (etcd) S 1 2", wantErr: true},
		"no process id":              {line: "x (etcd)" + rest, wantErr: true},
		"start time is not a number": {line: strings.Replace("42 (etcd)"+rest, "9876543", "x", 1), wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseStat(test.line)
			if (err != nil) != test.wantErr || got != test.want {
				t.Errorf("parseStat(%q) = %+v, %v, want %+v, error %v", test.line, got, err, test.want, test.wantErr)
			}
		})
	}
}

func TestReusedProcessIDIsNotEnded(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	id, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}

	other := id
	other.startTime--
	if other.alive() {
		t.Error("a process with another start time counts as alive")
	}
	if err := other.signal(os.Kill); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a reused process id: %v, want %v", err, os.ErrProcessDone)
	}
	if !id.alive() {
		t.Fatal("a signal to another process with the same id ended this one")
	}

	if err := id.end(t.Context(), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	<-ended
	if id.alive() {
		t.Error("the process still counts as alive")
	}
}

func TestDigestFollowsConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	binary := filepath.Join(dir, "binary")
	write := func(name, data string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	digest := func(argv ...string) string {
		t.Helper()
		got, err := daemon{argv: argv, files: []string{config}}.digest()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	write(binary, "")
	write(config, "one")
	first := digest(binary, "--flag")
	if digest(binary, "--flag") != first {
		t.Error("the digest changes without cause")
	}
	if digest(binary, "--other") == first {
		t.Error("the digest does not change with the arguments")
	}
	write(config, "two")
	if digest(binary, "--flag") == first {
		t.Error("the digest does not change with the configuration")
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, []byte("1\n2\n3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lastLines(name, 2); got != "2\n3" {
		t.Errorf("lastLines = %q", got)
	}
	if got := lastLines(name, 9); got != "1\n2\n3" {
		t.Errorf("lastLines of a short file = %q", got)
	}
}

func TestPollReportsTheLastError(t *testing.T) {
	t.Parallel()
	err := poll(t.Context(), 20*time.Millisecond, time.Millisecond, func(context.Context) error {
		return errors.New("not yet")
	})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("poll: %v, want the deadline and the last error", err)
	}
}

func TestIsShim(t *testing.T) {
	t.Parallel()
	const socket = "/run/platen-dev/containerd.sock"
	tests := map[string]struct {
		argv []string
		want bool
	}{
		"ours":                   {argv: []string{"/cache/containerd-shim-runc-v2", "-namespace", "k8s.io", "-address", socket}, want: true},
		"another containerd's":   {argv: []string{"/usr/bin/containerd-shim-runc-v2", "-address", "/run/containerd/containerd.sock"}},
		"another program":        {argv: []string{"/usr/bin/less", "-address", socket}},
		"an address as its name": {argv: []string{"/cache/containerd-shim-runc-v2", "-id", socket}},
		"kernel thread":          {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cmdline bytes.Buffer
			for _, arg := range test.argv {
				cmdline.WriteString(arg + "\x00")
			}
			if got := isShim(cmdline.Bytes(), socket); got != test.want {
				t.Errorf("isShim(%q) = %v, want %v", test.argv, got, test.want)
			}
		})
	}
}
