// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// check asks for each right of the ClusterRole platen-manager, and for no other.
func TestCheckKnowsTheManagersRights(t *testing.T) {
	file, err := os.Open("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	role := &rbacv1.ClusterRole{}
	decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for role.Kind != "ClusterRole" {
		if err := decoder.Decode(role); err != nil {
			t.Fatal(err)
		}
	}
	want, got := []string{}, make([]string, 0, len(managersRights))
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					want = append(want, strings.TrimSpace(verb+" "+resource+" "+strings.Join(rule.ResourceNames, " "))+" of "+group)
				}
			}
		}
	}
	for _, r := range managersRights {
		got = append(got, r.String()+" of "+r.group)
	}
	slices.Sort(want)
	slices.Sort(got)
	if difference := cmp.Diff(want, got); difference != "" {
		t.Errorf("config/rbac/role.yaml (-) and check (+) differ:\n%s", difference)
	}
}

func TestNetworkProblems(t *testing.T) {
	for log, want := range map[string]string{
		`Post "https://platen-dispatch.platen-system.svc:9443": dial tcp: lookup platen-dispatch.platen-system.svc: no such host`: "cannot resolve",
		`dial tcp 10.96.0.7:9443: connect: connection refused`:                                                                    "is refused",
		`dial tcp 10.96.0.7:9443: i/o timeout`:                                                                                    "NetworkPolicy",
		`tls: failed to verify certificate: x509: certificate signed by unknown authority`:                                        "does not trust",
		`rendering`: "",
	} {
		if got := networkProblem(log); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", log, got, want)
		}
	}
}

func TestLeaders(t *testing.T) {
	now := time.Unix(1000, 0)
	lease := func(name, holder string, age time.Duration) coordinationv1.Lease {
		return coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &holder, LeaseDurationSeconds: new(int32(15)), RenewTime: new(metav1.NewMicroTime(now.Add(-age))),
		}}
	}
	for name, test := range map[string]struct {
		leases      []coordinationv1.Lease
		text, error string
	}{
		"no lease":           {nil, "", "no manager has led yet"},
		"another's lease":    {[]coordinationv1.Lease{lease("cert-manager", "c", 0)}, "", "no manager has led yet"},
		"one leader":         {[]coordinationv1.Lease{lease("platen-manager", "a", 0)}, "a", ""},
		"nobody":             {[]coordinationv1.Lease{lease("platen-manager", "", 0)}, "", "no manager leads"},
		"a dead leader":      {[]coordinationv1.Lease{lease("platen-manager", "a", time.Minute)}, "", "a led last, 1m0s ago"},
		"two shards":         {[]coordinationv1.Lease{lease("platen-manager-0-of-2", "a", 0), lease("platen-manager-1-of-2", "b", 0)}, "a, b", ""},
		"two shards, before": {[]coordinationv1.Lease{lease("platen-manager-0-of-2", "", time.Hour), lease("platen-manager-1-of-2", "", time.Hour), lease("platen-manager", "a", 0)}, "a", ""},
		"a shard without":    {[]coordinationv1.Lease{lease("platen-manager-0-of-2", "a", 0)}, "", "no manager leads shard 1 of 2, so its namespaces wait; each shard needs a replica"},
		"a dead one of two":  {[]coordinationv1.Lease{lease("platen-manager-0-of-2", "a", time.Minute), lease("platen-manager-1-of-2", "b", 0)}, "", "a led last, 1m0s ago (shard 0 of 2)"},
	} {
		text, _, err := leaders(test.leases, now)
		if message := fmt.Sprint(err); text != test.text || (err != nil || test.error != "") && message != test.error {
			t.Errorf("%s: '%s', %v; want '%s', %s", name, text, err, test.text, test.error)
		}
	}
}

// The API server tells of rights in a namespace that does not exist, too: nobody may render there.
func TestNoRightsWithoutTheNamespace(t *testing.T) {
	c := &cluster{namespace: "marketng", WithWatch: fake.NewClientBuilder().WithScheme(scheme).Build()}
	if text, err := (&checkCommand{}).yourRights(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), "namespace marketng does not exist: create it") {
		t.Errorf("the check says %q, %v", text, err)
	}
}
