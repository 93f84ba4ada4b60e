// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// networkUp reports whether ensureNetwork has made the node's whole network: its last step is the route to the Services.
func networkUp(ctx context.Context) bool {
	if _, err := command(ctx, "", "nsenter", "--net=/run/netns/"+netnsName, "ip", "link", "show", nodeLink); err != nil {
		return false
	}
	routes, err := command(ctx, "", "ip", "route", "show", serviceCIDR)
	return err == nil && strings.Contains(routes, nodeIP) && strings.Contains(routes, hostLink)
}

// ensureNetwork makes the node's network namespace and joins it to the host by a veth pair. Everything that kubelet,
// kube-proxy and the CNI plugins change (iptables, bridges, sysctls) stays inside it.
func (c *cluster) ensureNetwork(ctx context.Context) error {
	if networkUp(ctx) {
		return nil
	}
	c.printf("making the network namespace %s", netnsName)
	removeNetwork(ctx)
	for _, line := range []string{
		"ip netns add " + netnsName,
		"ip link add " + hostLink + " type veth peer name " + nodeLink + " netns " + netnsName,
		"ip addr add " + hostIP + "/24 dev " + hostLink,
		"ip link set " + hostLink + " up",
		"ip -n " + netnsName + " link set lo up",
		"ip -n " + netnsName + " addr add " + nodeIP + "/24 dev " + nodeLink,
		"ip -n " + netnsName + " link set " + nodeLink + " up",
		"ip -n " + netnsName + " route add default via " + hostIP,
		"nsenter --net=/run/netns/" + netnsName + " sysctl -qw net.ipv4.ip_forward=1",
		"ip route add " + podCIDR + " via " + nodeIP + " dev " + hostLink,
		"ip route add " + serviceCIDR + " via " + nodeIP + " dev " + hostLink,
	} {
		args := strings.Fields(line)
		if _, err := command(ctx, "", args[0], args[1:]...); err != nil {
			return fmt.Errorf("make the node's network: %w", err)
		}
	}
	return nil
}

// removeNetwork removes what exists of the node's network. The routes vanish with the link.
func removeNetwork(ctx context.Context) {
	if _, err := os.Stat("/sys/class/net/" + hostLink); err == nil {
		_, _ = command(ctx, "", "ip", "link", "del", hostLink)
	}
	if _, err := os.Lstat("/run/netns/" + netnsName); err == nil {
		_, _ = command(ctx, "", "ip", "netns", "del", netnsName)
		_ = os.Remove("/run/netns/" + netnsName)
	}
	// "ip netns add" mounts the folder onto itself; without a namespace in it, the mount has no use.
	if left, err := os.ReadDir("/run/netns"); err == nil && len(left) == 0 {
		_ = syscall.Unmount("/run/netns", syscall.MNT_DETACH)
	}
}
