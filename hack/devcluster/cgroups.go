// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupRoots returns the mount points of the cgroup hierarchies: several with version 1, one with version 2.
func cgroupRoots() ([]string, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, m := range mounts {
		if m.fsType == "cgroup" || m.fsType == "cgroup2" {
			roots = append(roots, m.point)
		}
	}
	return roots, nil
}

// ensureCgroups makes the parent group of all pods in each hierarchy.
func ensureCgroups() error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, cgroupName)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// A node's pods have as many shares as it has processors, and the group is one of many processes of the machine.
		if err := setShares(dir); err != nil {
			return err
		}
		// A new group of the version 1 cpuset controller has no processor and no memory, and takes no process.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			own, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || strings.TrimSpace(string(own)) != "" {
				continue
			}
			parent, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				continue // version 2 has no such file at the root, and needs none
			}
			if err := os.WriteFile(filepath.Join(dir, name), parent, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// setShares gives the group the processor time that the kubelet of a machine of its own gives to all pods: 1024 shares for each processor.
func setShares(dir string) error {
	for name, value := range map[string]int{"cpu.shares": 1024 * runtime.NumCPU(), "cpu.weight": min(100*runtime.NumCPU(), 10_000)} {
		err := os.WriteFile(filepath.Join(dir, name), []byte(strconv.Itoa(value)), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) { // another controller, or another version
			return err
		}
	}
	return nil
}

// removeCgroups kills what still runs in the cluster's pods and removes their groups.
func removeCgroups(ctx context.Context) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		top := filepath.Join(root, cgroupName)
		err := poll(ctx, 20*time.Second, 20*time.Millisecond, func(context.Context) error { return removeCgroup(top) })
		if err != nil {
			return fmt.Errorf("remove cgroup %s: %w", top, err)
		}
	}
	return nil
}

// removeCgroup makes one attempt; groups vanish some time after their processes were killed.
func removeCgroup(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		// A frozen process does not die.
		_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0o644)
		for _, pid := range cgroupMembers(dir) {
			if id, err := identify(pid); err == nil {
				_ = id.signal(syscall.SIGKILL)
			}
		}
	}
	var failed error
	for _, dir := range slices.Backward(dirs) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = err
		}
	}
	return failed
}

func cgroupMembers(dir string) []int {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
