// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package netpolicy keeps a NetworkPolicy for the render pods of each namespace that has some. It is the second of two walls: the first is
// the proxy of package outbound, which checks what pages reach but stands in the pod, next to the browser.
package netpolicy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1apply "k8s.io/client-go/applyconfigurations/networking/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/internal/outbound"
)

const (
	// Name of the NetworkPolicy in each namespace.
	Name = "platen-render-pods"
	// fieldOwner owns the fields of the policies.
	fieldOwner = client.FieldOwner("platen-manager")
	// checkInterval is the interval after which a policy is read again, in case someone has changed it.
	checkInterval = 10 * time.Minute
)

// Config is what all policies share.
type Config struct {
	// PodLabels select render pods, in their namespaces.
	PodLabels map[string]string
	// ManagerNamespace and ManagerLabels select the manager's pods, and DispatchPort is the port of the dispatch server in them.
	ManagerNamespace string
	ManagerLabels    map[string]string
	DispatchPort     int
	// Outbound is what pages may reach.
	Outbound outbound.Policy
}

// Build returns the policy of a namespace: nobody connects to render pods, and they reach DNS servers, the dispatch server and what pages may
// reach. Addresses are those after the translation of Services: an address of a Service in Outbound has no effect.
func Build(c Config, namespace string) *networkingv1apply.NetworkPolicyApplyConfiguration {
	tcp := func(ports ...int) (list []*networkingv1apply.NetworkPolicyPortApplyConfiguration) {
		for _, port := range ports {
			list = append(list, networkingv1apply.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP).WithPort(intstr.FromInt(port)))
		}
		return list
	}
	udp := func(port int) *networkingv1apply.NetworkPolicyPortApplyConfiguration {
		return networkingv1apply.NetworkPolicyPort().WithProtocol(corev1.ProtocolUDP).WithPort(intstr.FromInt(port))
	}
	labels := func(l map[string]string) *metav1apply.LabelSelectorApplyConfiguration {
		return metav1apply.LabelSelector().WithMatchLabels(l)
	}
	rule := networkingv1apply.NetworkPolicyEgressRule
	spec := networkingv1apply.NetworkPolicySpec().WithPodSelector(labels(c.PodLabels)).
		WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
		WithEgress(
			// Where the DNS servers are differs between clusters: pods, nodes, link-local addresses, ports 53 and 5353.
			rule().WithPorts(udp(53), udp(5353)).WithPorts(tcp(53, 5353)...),
			rule().WithPorts(tcp(c.DispatchPort)...).WithTo(networkingv1apply.NetworkPolicyPeer().
				WithNamespaceSelector(labels(map[string]string{corev1.LabelMetadataName: c.ManagerNamespace})).WithPodSelector(labels(c.ManagerLabels))),
			rule().WithPorts(tcp(80, 443)...).WithTo(blocks(outbound.Public(), slices.Concat(outbound.Private(), c.Outbound.Denied))...),
		)
	if len(c.Outbound.Allowed) > 0 {
		spec.WithEgress(rule().WithTo(blocks(c.Outbound.Allowed, c.Outbound.Denied)...))
	}
	return networkingv1apply.NetworkPolicy(Name, namespace).
		WithLabels(map[string]string{"app.kubernetes.io/name": "platen", "app.kubernetes.io/managed-by": "platen"}).WithSpec(spec)
}

// blocks returns the prefixes without those of except that lie in them.
func blocks(prefixes, except outbound.Prefixes) (peers []*networkingv1apply.NetworkPolicyPeerApplyConfiguration) {
	for _, prefix := range prefixes {
		block := networkingv1apply.IPBlock().WithCIDR(prefix.Masked().String())
		for _, e := range except {
			if inside(prefix, e) {
				block.WithExcept(e.Masked().String())
			}
		}
		peers = append(peers, networkingv1apply.NetworkPolicyPeer().WithIPBlock(block))
	}
	return peers
}

// inside returns whether inner is a smaller part of outer.
func inside(outer, inner netip.Prefix) bool {
	return outer.Contains(inner.Addr()) && inner.Bits() > outer.Bits()
}

// Keeper is a client that creates render pods only in namespaces that have their NetworkPolicy.
type Keeper struct {
	client.Client
	// Live reads policies from the API server.
	Live client.Reader
	// Config returns the configuration at this time for the namespace of a new render pod. What its pages may reach may be the pod's own.
	Config func(*corev1.Pod) Config
	Now    func() time.Time

	mu sync.Mutex
	// checked has when the policy of a namespace was right, and for what configuration.
	checked map[string]check
}

type check struct {
	at     time.Time
	config string
}

// Create implements client.Client. If the manager may not write NetworkPolicies, the pod is created without.
func (k *Keeper) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	if pod, ok := object.(*corev1.Pod); ok {
		if err := k.Ensure(ctx, pod); err != nil {
			return err
		}
	}
	return k.Client.Create(ctx, object, options...)
}

// Ensure makes the policy of a render pod's namespace what the pod needs. It asks the API server only if that has changed, and now and then,
// and writes only a policy that differs.
func (k *Keeper) Ensure(ctx context.Context, pod *corev1.Pod) error {
	namespace, config := pod.Namespace, k.Config(pod)
	key := fmt.Sprint(config)
	now := k.Now()
	k.mu.Lock()
	last := k.checked[namespace]
	k.mu.Unlock()
	if last.config == key && now.Sub(last.at) < checkInterval {
		return nil
	}
	wanted := Build(config, namespace)
	var err error
	exists := false
	if last.config == "" || last.config == key { // else it differs, and what the API server's cache says may be older
		exists, err = k.exists(ctx, wanted)
	}
	if err == nil && !exists {
		err = k.Apply(ctx, wanted, fieldOwner, client.ForceOwnership)
	}
	if apierrors.IsForbidden(err) {
		ctrl.LoggerFrom(ctx).Info("The manager may not write NetworkPolicies: render pods have none; --network-policy=false keeps it from trying", "namespace", namespace)
	} else if err != nil {
		return fmt.Errorf("the NetworkPolicy '%s' of render pods: %w", Name, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.checked == nil {
		k.checked = map[string]check{}
	}
	for name, c := range k.checked {
		if now.Sub(c.at) >= checkInterval {
			delete(k.checked, name)
		}
	}
	k.checked[namespace] = check{at: now, config: key}
	return nil
}

// exists returns whether a namespace has the wanted policy. A manager that may not read policies finds none.
func (k *Keeper) exists(ctx context.Context, wanted *networkingv1apply.NetworkPolicyApplyConfiguration) (bool, error) {
	// "0" lets the API server answer from its cache: a manager that starts asks for the policies of all namespaces.
	fromCache := &client.GetOptions{Raw: &metav1.GetOptions{ResourceVersion: "0"}}
	found := &networkingv1.NetworkPolicy{}
	err := k.Live.Get(ctx, client.ObjectKey{Namespace: *wanted.Namespace, Name: Name}, found, fromCache)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	data, err := json.Marshal(wanted.Spec)
	if err != nil {
		return false, err
	}
	spec := networkingv1.NetworkPolicySpec{}
	if err := json.Unmarshal(data, &spec); err != nil {
		return false, err
	}
	for name, value := range wanted.Labels {
		if found.Labels[name] != value {
			return false, nil
		}
	}
	return equality.Semantic.DeepEqual(spec, found.Spec), nil
}
