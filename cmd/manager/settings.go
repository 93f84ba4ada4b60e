// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/renderpool"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/netpolicy"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/podspec"
)

// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=create
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,resourceNames=platen-render-pods,verbs=get;patch

const (
	// keyInterval is the interval between readings of the manager's keys, and networkInterval that between readings of the nodes.
	keyInterval     = time.Minute
	networkInterval = 10 * time.Minute
	// refreshTimeout bounds one reading.
	refreshTimeout = 30 * time.Second
)

// every calls f at an interval, with a deadline, until ctx ends. It logs errors.
func every(ctx context.Context, interval time.Duration, what string, f func(ctx context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		attempt, cancel := context.WithTimeout(ctx, refreshTimeout)
		if err := f(attempt); err != nil && ctx.Err() == nil {
			ctrl.Log.Error(err, what)
		}
		cancel()
	}
}

// rotate takes new keys from their Secret until ctx ends. If the key is gone that has signed content URLs, it has all jobs looked at again: the
// finished ones get new URLs.
func rotate(ctx context.Context, keys *credentials.KeyRing, signer *content.Signer, jobs client.Reader, look func(types.NamespacedName)) error {
	return every(ctx, keyInterval, "Failed to read the manager's keys; the last ones stay in use", func(ctx context.Context) error {
		before := keys.Keys().URLSigning
		if err := keys.Refresh(ctx); err != nil {
			return err
		}
		now := keys.Keys().URLSigning
		signer.SetKeys(now)
		if slices.ContainsFunc(now, func(key []byte) bool { return bytes.Equal(key, before[0]) }) {
			return nil
		}
		ctrl.Log.Info("The key of content URLs is another; finished jobs get new URLs")
		all := &platenv1alpha1.RenderJobList{}
		if err := jobs.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("listing RenderJobs: %w", err)
		}
		for i := range all.Items {
			look(client.ObjectKeyFromObject(&all.Items[i]))
		}
		return nil
	})
}

// podSettings has what all render pods share.
type podSettings struct {
	client  client.Client
	keys    *credentials.KeyRing
	options options
	policy  atomic.Pointer[outbound.Policy]
}

// refresh reads the networks of the cluster.
func (s *podSettings) refresh(ctx context.Context) error {
	policy, err := withoutCluster(ctx, s.client, outbound.Policy{Allowed: s.options.outboundAllow, Denied: s.options.outboundDeny})
	if err != nil {
		return fmt.Errorf("reading the cluster's networks: %w", err)
	}
	s.policy.Store(&policy)
	return nil
}

// run refreshes the settings until ctx ends.
func (s *podSettings) run(ctx context.Context) error {
	return every(ctx, networkInterval, "Failed to read the cluster's networks; new render pods get the last ones", s.refresh)
}

// config returns the settings of a new render pod.
func (s *podSettings) config() podspec.Config {
	o, policy := s.options, s.policy.Load()
	return podspec.Config{
		Image:       o.rendererImage,
		DispatchURL: fmt.Sprintf("https://%s:%d", o.dispatchHosts()[0], o.dispatchPort),
		DispatchCA:  string(s.keys.Keys().CACert), OutboundAllow: policy.Allowed.String(), OutboundDeny: policy.Denied.String(),
		MaxPixels: o.limits.MaxPixels, RendersPerBrowser: o.rendersPer,
		CPU: o.cpu.Quantity, CPULimit: o.cpuLimit.Quantity, Memory: o.memory.Quantity, MemoryLimit: o.memoryLimit.Quantity,
	}
}

// managerLabels are the labels of the manager's pods in config/manager.
var managerLabels = map[string]string{"app.kubernetes.io/name": "platen", podspec.ComponentLabel: "manager"}

// guard returns a client that creates render pods only in namespaces with a NetworkPolicy for them. A manager outside of the cluster has no
// pods that a policy could name, so it makes none.
func (s *podSettings) guard(c client.Client) (client.Client, error) {
	if !s.options.networkPolicy || s.options.podName == "" {
		return c, nil
	}
	_, text, err := net.SplitHostPort(s.options.dispatchAddress)
	if err != nil {
		return nil, fmt.Errorf("--dispatch-bind-address: %w", err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("--dispatch-bind-address: '%s' must be the number of a port", text)
	}
	return &netpolicy.Keeper{Client: c, Live: s.client, Now: time.Now, Config: func(pod *corev1.Pod) netpolicy.Config { return s.policyConfig(pod, port) }}, nil
}

// policyConfig returns the configuration of the NetworkPolicy for a render pod, which lets pages reach what the pod's proxy does: also the
// egress of its RenderPool.
func (s *podSettings) policyConfig(pod *corev1.Pod, dispatchPort int) netpolicy.Config {
	policy := *s.policy.Load()
	var allowed outbound.Prefixes
	if err := allowed.Set(podspec.OutboundAllow(pod)); err == nil {
		policy.Allowed = allowed
	}
	return netpolicy.Config{
		PodLabels: renderpool.Selector, ManagerNamespace: s.options.namespace, ManagerLabels: managerLabels,
		DispatchPort: dispatchPort, Outbound: policy,
	}
}
