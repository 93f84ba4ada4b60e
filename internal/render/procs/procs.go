// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package procs reads the memory and the time of a process and its descendants from Linux's /proc. A process that has ended uses none.
package procs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Tree returns the ids of a process and its descendants.
func Tree(pid int) []int {
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		// The kernel lists a child under the thread that started it.
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", tree[i])) // the pattern is well-formed
		for _, list := range lists {
			data, err := os.ReadFile(list) //nolint:gosec // a name of the kernel's
			if err != nil {
				continue
			}
			for field := range bytes.FieldsSeq(data) {
				if child, err := strconv.Atoi(string(field)); err == nil {
					tree = append(tree, child)
				}
			}
		}
	}
	return tree
}

// Unshared returns the memory in bytes that belongs to neither another process nor a file: the memory that its end would free.
func Unshared(pid int) int64 {
	return sum(fmt.Sprintf("/proc/%d/status", pid), "RssAnon:", "RssShmem:")
}

// Proportional returns the memory of a process in bytes, with its share of the memory that several processes use (PSS).
func Proportional(pid int) int64 { return sum(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:") }

// CPU returns the time that a process and its ended children have used, which Linux counts in hundredths of a second.
func CPU(pid int) (total time.Duration) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name of the program, in parentheses, may hold anything. After it, the fields from the third on follow.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const user, childrensSystem = 11, 14
	if len(fields) <= childrensSystem {
		return 0
	}
	for _, field := range fields[user : childrensSystem+1] {
		if ticks, err := strconv.Atoi(string(field)); err == nil {
			total += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return total
}

// sum adds up the lines of a file that begin with one of the keys: "Pss:  1234 kB".
func sum(path string, keys ...string) (total int64) {
	data, err := os.ReadFile(path) //nolint:gosec // a name of the kernel's
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		for _, key := range keys {
			rest, ok := bytes.CutPrefix(line, []byte(key))
			if !ok {
				continue
			}
			number := bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))
			if kib, err := strconv.ParseInt(string(number), 10, 64); err == nil {
				total += kib << 10
			}
		}
	}
	return total
}
