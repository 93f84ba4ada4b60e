// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// enforcer is the daemon that enforces NetworkPolicies. It runs on demand: it writes all rules of the node anew for each pod that comes or
// goes, which would cost every measurement some percent.
const enforcer = "kube-network-policy"

// networkPolicies begins or ends the enforcement of NetworkPolicies.
func (c *cluster) networkPolicies(ctx context.Context, state string) error {
	if state != "on" && state != "off" {
		return fmt.Errorf("network-policies: expected on or off, got %q", state)
	}
	if !c.running("kube-apiserver") {
		return errors.New("network-policies: there is no cluster; run `up` first")
	}
	bin, err := c.binaries(ctx, []string{enforcer}, "")
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if state == "off" {
		id, ok := c.recorded(enforcer)
		if !ok || !id.alive() {
			return nil
		}
		c.printf("stopping %s", enforcer)
		return id.end(ctx, 30*time.Second) // it removes its rules
	}
	if err := c.ensure(ctx, c.daemons(bin)[enforcer]); err != nil {
		return err
	}
	return c.ready(ctx, enforcer, time.Minute, func(ctx context.Context) error {
		_, err := command(ctx, "", "nsenter", "--net=/run/netns/"+netnsName, "iptables", "-w", "-S", "KUBE-NWPLCY-DEFAULT")
		return err
	})
}
