// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package netpolicy

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func config(t *testing.T, allowed, denied string) Config {
	t.Helper()
	c := Config{
		PodLabels:        map[string]string{"app.kubernetes.io/component": "renderer"},
		ManagerNamespace: "platen-system", ManagerLabels: map[string]string{"app.kubernetes.io/component": "manager"}, DispatchPort: 9443,
	}
	if err := errors.Join(c.Outbound.Allowed.Set(allowed), c.Outbound.Denied.Set(denied)); err != nil {
		t.Fatal(err)
	}
	return c
}

// build returns the policy as the API server has it.
func build(t *testing.T, c Config) networkingv1.NetworkPolicySpec {
	t.Helper()
	data, err := json.Marshal(Build(c, "marketing"))
	if err != nil {
		t.Fatal(err)
	}
	var policy networkingv1.NetworkPolicy
	if err := json.Unmarshal(data, &policy); err != nil {
		t.Fatal(err)
	}
	if policy.Namespace != "marketing" || policy.Name != Name {
		t.Errorf("the policy is %s/%s", policy.Namespace, policy.Name)
	}
	return policy.Spec
}

// reaches returns whether a rule with address blocks lets a render pod reach an address and TCP port.
func reaches(t *testing.T, spec networkingv1.NetworkPolicySpec, target string) bool {
	t.Helper()
	to := netip.MustParseAddrPort(target)
	for _, rule := range spec.Egress {
		port := len(rule.Ports) == 0
		for _, p := range rule.Ports {
			port = port || *p.Protocol == corev1.ProtocolTCP && p.Port.IntValue() == int(to.Port())
		}
		for _, peer := range rule.To {
			if !port || peer.IPBlock == nil || !netip.MustParsePrefix(peer.IPBlock.CIDR).Contains(to.Addr()) {
				continue
			}
			excepted := false
			for _, e := range peer.IPBlock.Except {
				excepted = excepted || netip.MustParsePrefix(e).Contains(to.Addr())
			}
			if !excepted {
				return true
			}
		}
	}
	return false
}

// TestPolicyAgreesWithTheProxy compares the two walls around a page.
func TestPolicyAgreesWithTheProxy(t *testing.T) {
	for name, c := range map[string]Config{
		"default":           config(t, "", ""),
		"public nodes":      config(t, "", "93.184.216.0/24,2606:2800:220:1::/64,fd00::/8"),
		"allowed":           config(t, "10.1.0.0/16,fd00:1::/32", ""),
		"a hole in allowed": config(t, "10.0.0.0/8", "10.1.0.0/16"),
	} {
		spec := build(t, c)
		for _, target := range []string{
			"93.184.216.34:443", "93.184.217.34:80", "93.184.216.34:22", "10.1.2.3:443", "10.1.2.3:6443", "10.2.0.1:80", "192.168.0.1:80", "169.254.169.254:80",
			"168.63.129.16:80", "127.0.0.1:80", "100.64.0.1:443", "224.0.0.1:80", "[2606:2800:220:1::1]:443", "[2606:2800:220:2::1]:443", "[fd00::1]:443", "[fd00:1::1]:443",
			"[fe80::1]:80", "[64:ff9b::a00:1]:80", "[2002:a00:1::]:80", "[::1]:80",
		} {
			err := c.Outbound.Dialer().Control("tcp", target, nil)
			if got := reaches(t, spec, target); got != (err == nil) {
				t.Errorf("%s: the policy says %v for %s, and the proxy %v", name, got, target, err)
			}
		}
	}
}

func TestNobodyConnectsToRenderPods(t *testing.T) {
	spec := build(t, config(t, "", ""))
	if len(spec.Ingress) != 0 || len(spec.PolicyTypes) != 2 || spec.PodSelector.MatchLabels["app.kubernetes.io/component"] != "renderer" {
		t.Errorf("%+v", spec)
	}
	dispatch := spec.Egress[1]
	if len(dispatch.To) != 1 || dispatch.To[0].PodSelector == nil || dispatch.To[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "platen-system" ||
		len(dispatch.Ports) != 1 || dispatch.Ports[0].Port.IntValue() != 9443 {
		t.Errorf("dispatch: %+v", dispatch)
	}
}

// apply does what the API server does with a policy that has one owner.
func apply(ctx context.Context, c client.Client, object runtime.ApplyConfiguration) error {
	data, err := json.Marshal(object)
	if err != nil {
		return err
	}
	policy := &networkingv1.NetworkPolicy{}
	if err := json.Unmarshal(data, policy); err != nil {
		return err
	}
	if err := client.IgnoreNotFound(c.Delete(ctx, policy)); err != nil {
		return err
	}
	return c.Create(ctx, policy)
}

func TestPodsAreCreatedAfterTheirPolicy(t *testing.T) {
	var failure error
	applied := 0
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
			applied++
			if failure != nil {
				return failure
			}
			return apply(ctx, c, object)
		},
	}).Build()
	now, settings := time.Now(), config(t, "", "")
	start := func() *Keeper {
		return &Keeper{Client: c, Live: c, Config: func(*corev1.Pod) Config { return settings }, Now: func() time.Time { return now }}
	}
	keeper := start()
	create := func(name string, wantApplied int) {
		t.Helper()
		err := keeper.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: name}})
		if err != nil || applied != wantApplied {
			t.Errorf("pod %s: %v; policies were applied %d times, want %d", name, err, applied, wantApplied)
		}
	}
	change := func(edit func(*networkingv1.NetworkPolicy)) {
		t.Helper()
		policy := &networkingv1.NetworkPolicy{}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "marketing", Name: Name}, policy); err != nil {
			t.Fatal(err)
		}
		edit(policy)
		if err := c.Update(t.Context(), policy); err != nil {
			t.Fatal(err)
		}
	}

	failure = apierrors.NewInternalError(errors.New("etcd is full"))
	err := keeper.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "a"}})
	if err == nil || !strings.Contains(err.Error(), Name) {
		t.Errorf("a pod was created without its policy: %v", err)
	}
	failure = nil
	create("b", 2)
	create("c", 2)
	settings = config(t, "", "93.184.216.0/24")
	create("of another configuration", 3)
	keeper = start()
	create("of another manager", 3)
	now = now.Add(checkInterval)
	create("after the interval", 3)
	change(func(p *networkingv1.NetworkPolicy) { p.Spec.Egress = nil })
	create("within the interval", 3)
	now = now.Add(checkInterval)
	create("after somebody has changed the rules", 4)
	change(func(p *networkingv1.NetworkPolicy) { delete(p.Labels, "app.kubernetes.io/name") })
	keeper = start()
	create("after somebody has changed the labels", 5)

	settings, failure = config(t, "", ""), apierrors.NewForbidden(schema.GroupResource{Resource: "networkpolicies"}, Name, nil)
	create("of a manager without the right", 6)
}

// TestManagersThatMayNotReadPoliciesWriteThem has a role of an earlier version.
func TestManagersThatMayNotReadPoliciesWriteThem(t *testing.T) {
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "networkpolicies"}, Name, nil)
		},
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
			return apply(ctx, c, object)
		},
	}).Build()
	settings := config(t, "", "")
	keeper := &Keeper{Client: c, Live: c, Config: func(*corev1.Pod) Config { return settings }, Now: time.Now}
	if err := keeper.Ensure(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing"}}); err != nil {
		t.Fatal(err)
	}
	policies := &networkingv1.NetworkPolicyList{}
	if err := c.List(t.Context(), policies); err != nil || len(policies.Items) != 1 {
		t.Errorf("got %d policies, %v", len(policies.Items), err)
	}
}
