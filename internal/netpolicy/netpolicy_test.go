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
	networkingv1apply "k8s.io/client-go/applyconfigurations/networking/v1"
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

func TestPodsAreCreatedAfterTheirPolicy(t *testing.T) {
	var failure error
	applied := 0
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(_ context.Context, _ client.WithWatch, object runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
			applied++
			if policy, ok := object.(*networkingv1apply.NetworkPolicyApplyConfiguration); !ok || *policy.Namespace != "marketing" {
				t.Errorf("applied %v", object)
			}
			return failure
		},
	}).Build()
	now, settings := time.Now(), config(t, "", "")
	keeper := &Keeper{Client: c, Config: func(*corev1.Pod) Config { return settings }, Now: func() time.Time { return now }}
	create := func(name string) error {
		return keeper.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: name}})
	}

	failure = apierrors.NewInternalError(errors.New("etcd is full"))
	if err := create("a"); err == nil || !strings.Contains(err.Error(), Name) {
		t.Errorf("a pod was created without its policy: %v", err)
	}
	failure = nil
	for _, name := range []string{"a", "b"} {
		if err := create(name); err != nil {
			t.Fatal(err)
		}
	}
	if applied != 2 {
		t.Errorf("applied %d times", applied)
	}
	settings = config(t, "", "93.184.216.0/24")
	if err := create("c"); err != nil || applied != 3 {
		t.Errorf("a new configuration: applied %d times, %v", applied, err)
	}
	now = now.Add(checkInterval)
	if err := create("d"); err != nil || applied != 4 {
		t.Errorf("after the interval: applied %d times, %v", applied, err)
	}
	now, failure = now.Add(checkInterval), apierrors.NewForbidden(schema.GroupResource{Resource: "networkpolicies"}, Name, nil)
	if err := create("e"); err != nil {
		t.Errorf("a manager without the right creates no pod: %v", err)
	}
}
