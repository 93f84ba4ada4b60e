// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// owner identifies the checkout that owns the machine's cluster.
type owner struct {
	// State is the owner's state folder.
	State string `json:"state"`
	// BootID identifies the boot during which the cluster started. After another boot, the recorded process ids mean nothing.
	BootID string `json:"bootID"`
}

func (c *cluster) ownerPath() string { return filepath.Join(c.run, "owner.json") }

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

// readOwner returns who owns the machine's cluster, or nil.
func (c *cluster) readOwner() (*owner, error) {
	data, err := os.ReadFile(c.ownerPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no owner is an ordinary answer
	}
	if err != nil {
		return nil, err
	}
	var o owner
	if err := json.Unmarshal(data, &o); err != nil || o.State == "" {
		return nil, nil //nolint:nilerr,nilnil // a half-written file names no owner
	}
	return &o, nil
}

// claim cleans up what a dead cluster left behind and makes this checkout the owner.
func (c *cluster) claim(ctx context.Context) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	old, err := c.readOwner()
	if err != nil {
		return err
	}
	switch {
	case old == nil:
		if err := c.clean(ctx, c.state); err != nil {
			return err
		}
	case old.State != c.state && old.BootID == boot && exists(old.State) && c.anyRunning():
		return fmt.Errorf("this machine already runs the cluster of %s; run `go run ./hack/devcluster down` there first",
			filepath.Dir(old.State))
	case old.State != c.state:
		c.printf("cleaning up after the dead cluster of %s", filepath.Dir(old.State))
		if err := c.clean(ctx, old.State); err != nil {
			return err
		}
	case old.BootID != boot:
		c.printf("the machine was restarted: starting with a new cluster")
		if err := c.clean(ctx, c.state); err != nil {
			return err
		}
	case !networkUp(ctx):
		// The cluster's processes are in a namespace that is gone, so none of them is of use.
		c.printf("the node's network is gone: starting with a new cluster")
		if err := c.clean(ctx, c.state); err != nil {
			return err
		}
	default:
		return nil
	}
	data, err := json.Marshal(owner{State: c.state, BootID: boot})
	if err != nil {
		return err
	}
	return replaceFile(c.ownerPath(), data, 0o644)
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func (c *cluster) anyRunning() bool {
	return slices.ContainsFunc(c.recordedNames(), c.running)
}

// down removes this checkout's cluster, whatever state it is in.
func (c *cluster) down(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("down needs root")
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	o, err := c.readOwner()
	if err != nil {
		return err
	}
	if o != nil && o.State != c.state && exists(o.State) {
		c.printf("the cluster on this machine belongs to %s; leaving it alone", filepath.Dir(o.State))
		if err := unmountBelow(c.state); err != nil {
			return err
		}
		return os.RemoveAll(c.state)
	}
	if o == nil && !exists(c.state) && !exists(c.run) && !exists("/run/netns/"+netnsName) {
		c.printf("there is no cluster")
		return nil
	}
	if err := c.clean(ctx, c.state); err != nil {
		return err
	}
	c.printf("the cluster is gone")
	return nil
}

// clean kills all processes of the cluster and removes everything that it left on the machine. The state is lost anyway, so no process
// gets time to shut down.
func (c *cluster) clean(ctx context.Context, state string) error {
	if exists(c.run) {
		c.printf("stopping processes and containers")
	}
	// kubelet and containerd come first: they would restart others.
	for _, name := range append([]string{"kubelet", "containerd"}, c.recordedNames()...) {
		if id, ok := c.recorded(name); ok {
			if err := id.end(ctx, 0); err != nil {
				return fmt.Errorf("stop %s: %w", name, err)
			}
		}
	}
	if err := c.endShims(ctx); err != nil {
		return err
	}
	if err := removeCgroups(ctx); err != nil {
		return err
	}
	removeShimSockets(state)
	if err := unmountBelow(state, c.run); err != nil {
		return err
	}
	removeNetwork(ctx)
	removeStrays(state)
	if err := os.RemoveAll(state); err != nil {
		return err
	}
	return os.RemoveAll(c.run)
}

// endShims kills the processes that supervise containers. Their arguments hold the address of our containerd.
func (c *cluster) endShims(ctx context.Context) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		id, err := identify(pid)
		if err != nil {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil || !isShim(cmdline, c.containerdSocket()) {
			continue
		}
		if err := id.end(ctx, 0); err != nil {
			return fmt.Errorf("stop container shim: %w", err)
		}
	}
	return nil
}

// isShim reports whether a command line belongs to a shim of the containerd at this socket.
func isShim(cmdline []byte, socket string) bool {
	args := bytes.Split(cmdline, []byte{0})
	if filepath.Base(string(args[0])) != "containerd-shim-runc-v2" {
		return false
	}
	for i, arg := range args[:len(args)-1] {
		if string(arg) == "-address" && string(args[i+1]) == socket {
			return true
		}
	}
	return false
}

// removeShimSockets removes the sockets that shims keep outside the state folder. Each container's bundle names its socket.
func removeShimSockets(state string) {
	bundles := filepath.Join(state, "containerd", "state", "io.containerd.runtime.v2.task", "*", "*")
	for _, name := range []string{"address", "bootstrap.json"} {
		files, _ := filepath.Glob(filepath.Join(bundles, name))
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			address := strings.TrimSpace(string(data))
			var bootstrap struct{ Address string }
			if json.Unmarshal(data, &bootstrap) == nil {
				address = bootstrap.Address
			}
			if socket, ok := strings.CutPrefix(address, "unix://"); ok && strings.HasPrefix(socket, "/run/containerd/s/") {
				_ = os.Remove(socket)
			}
		}
	}
	removeEmpty("/run/containerd/s", "/run/containerd")
}

// removeStrays removes what kubelet and the CNI library write to fixed places outside the state folder.
func removeStrays(state string) {
	links, _ := filepath.Glob("/var/log/containers/*.log")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, state+"/") {
			_ = os.Remove(link)
		}
	}
	results, _ := filepath.Glob("/var/lib/cni/results/" + netnsName + "-*")
	for _, file := range results {
		_ = os.Remove(file)
	}
	if socket := "/var/lib/kubelet/device-plugins/kubelet.sock"; !answers(socket) {
		_ = os.Remove(socket)
	}
	removeEmpty("/var/log/containers", "/var/lib/cni/results", "/var/lib/cni", "/var/lib/kubelet/device-plugins",
		"/var/lib/kubelet")
}

// answers reports whether a process, such as another kubelet, listens on a unix socket.
func answers(socket string) bool {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// removeEmpty removes the folders that are empty.
func removeEmpty(folders ...string) {
	for _, folder := range folders {
		_ = os.Remove(folder)
	}
}
