// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/spf13/cobra"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// newNetworkPolicyCommand returns the command that enforces NetworkPolicies, with kube-router's controller. It leaves no rule behind when it
// ends.
func newNetworkPolicyCommand() *cobra.Command {
	var kubeconfig, node string
	config := options.NewKubeRouterConfig()
	config.EnableIPv4 = true
	command := &cobra.Command{
		Use: "kube-network-policy", Short: "Enforce the NetworkPolicies of the pods of a node", Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			config.HostnameOverride = node
			return enforce(ctx, kubeconfig, config)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "file with the address and the credentials of the API server")
	command.Flags().StringVar(&node, "hostname-override", "", "name of the node")
	command.Flags().StringSliceVar(&config.ClusterIPCIDRs, "service-cluster-ip-range", nil, "addresses of Services")
	return command
}

// enforce enforces NetworkPolicies until ctx is done.
func enforce(ctx context.Context, kubeconfig string, config *options.KubeRouterConfig) error {
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(clients, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	iptables, ipsets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return err
	}
	controller, err := netpol.NewNetworkPolicyController(clients, config, pods, policies, namespaces, &sync.Mutex{}, iptables, ipsets)
	if err != nil {
		return err
	}
	_, errPods := pods.AddEventHandler(controller.PodEventHandler)
	_, errNamespaces := namespaces.AddEventHandler(controller.NamespaceEventHandler)
	_, errPolicies := policies.AddEventHandler(controller.NetworkPolicyEventHandler)
	if err := errors.Join(errPods, errNamespaces, errPolicies); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	synced, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if !cache.WaitForCacheSync(synced.Done(), pods.HasSynced, namespaces.HasSynced, policies.HasSynced) {
		return errors.New("the API server did not list pods, namespaces and policies within a minute")
	}
	// The controller says after each sync that it is healthy.
	health := make(chan *healthcheck.ControllerHeartbeat)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-health:
			case <-ctx.Done():
				return
			}
		}
	})
	running.Add(1)
	controller.Run(health, ctx.Done(), &running)
	running.Wait()
	controller.Cleanup()
	factory.Shutdown()
	return nil
}
