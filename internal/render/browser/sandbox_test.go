// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"fmt"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/platen-dev/platen/internal/render/procs"
)

// restricted begins a command with what a process of a render pod has: another user than root, no capability, and no way to get one.
const restricted = "setpriv --reuid 65532 --regid 65532 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs"

// asPod returns a browser to start that runs as in a render pod.
func asPod(t *testing.T) string {
	t.Helper()
	path, err := Find("")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		return path
	}
	launcher := filepath.Join(t.TempDir(), "browser")
	script := fmt.Sprintf(`#!/bin/sh
		for argument; do case "$argument" in --user-data-dir=*) chown 65532 "${argument#*=}"; esac; done
		HOME=/tmp exec %s %s "$@"`, restricted, path)
	if err := os.WriteFile(launcher, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return launcher
}

// With user namespaces, each page's process is in Chromium's own sandbox: it sees no other process, and has a filter of system calls of its own.
func TestChromiumHasItsOwnSandbox(t *testing.T) {
	command := strings.Fields("unshare --user true")
	if os.Getuid() == 0 {
		command = strings.Fields(restricted + " unshare --user true")
	}
	if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Skipf("a process of a pod may not make user namespaces here: %v, %s", err, out)
	}
	own, err := os.Readlink("/proc/self/ns/user")
	if err != nil {
		t.Fatal(err)
	}
	for name, sandbox := range map[string]bool{"sandbox": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			b, err := New(Options{ExecPath: asPod(t), Sandbox: sandbox, MaxMemory: 1 << 30})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(b.Close)
			outputs, _ := run(t, b, task("png", red))
			if img, _ := decode(t, outputs[0].Data); !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) {
				t.Errorf("painted %v", img.At(100, 50))
			}
			pages := 0
			for _, process := range procs.Tree(pid(t, b)) {
				arguments, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", process))
				if !strings.Contains(string(arguments), "--type=renderer") {
					continue
				}
				pages++
				namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", process))
				status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
				lines := strings.Split(string(status), "\n")
				filtered := slices.Contains(lines, "Seccomp:\t2")
				if err != nil || (namespace != own) != sandbox || filtered != sandbox {
					t.Errorf("a page's process is in the user namespace %s, the test in %s; %v\n%s", namespace, own, err, status)
				}
				if procs.Unshared(process) == 0 {
					t.Error("the memory of a page's process cannot be measured")
				}
			}
			if pages == 0 {
				t.Error("no process of a page was found")
			}
		})
	}
}
