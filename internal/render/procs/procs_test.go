// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"bufio"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestTreeHoldsGrandchildren(t *testing.T) {
	// A command in the background reads /dev/null by itself, and would end at once.
	command := exec.CommandContext(t.Context(), "sh", "-c", "exec 3<&0; cat <&3 & echo $!; wait")
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = command.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	grandchild, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	tree := Tree(os.Getpid())
	if tree[0] != os.Getpid() || !slices.Contains(tree, command.Process.Pid) || !slices.Contains(tree, grandchild) {
		t.Errorf("%v lacks %d or %d", tree, command.Process.Pid, grandchild)
	}
}

func TestMemoryIsSeen(t *testing.T) {
	const size = 64 << 20
	debug.FreeOSMemory() // or the block may take the place of an earlier one
	unshared, proportional := Unshared(os.Getpid()), Proportional(os.Getpid())
	block := make([]byte, size)
	for i := range block {
		block[i] = byte(i)
	}
	// The runtime may release other memory at the same time.
	if grown := Unshared(os.Getpid()) - unshared; grown < size/2 || grown > 2*size {
		t.Errorf("unshared memory has grown by %d", grown)
	}
	if grown := Proportional(os.Getpid()) - proportional; grown < size/2 || grown > 2*size {
		t.Errorf("proportional memory has grown by %d", grown)
	}
	if block[size-1] == 0 || Unshared(1<<30) != 0 {
		t.Error("a process that does not exist has memory")
	}
}

func TestCPUCountsWhatAProcessUses(t *testing.T) {
	before := CPU(os.Getpid())
	for spent := time.Now(); CPU(os.Getpid()) < before+30*time.Millisecond; {
		if time.Since(spent) > time.Minute {
			t.Fatal("a busy process has used no time")
		}
	}
	if got := CPU(1 << 30); got != 0 {
		t.Errorf("a process that does not exist has used %v", got)
	}
}
