// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"regexp"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/suite"
)

// working creates what an installation has besides the Deployment: the lease of a leader, the dispatch Service with an endpoint, the volume, and the
// rights of the ServiceAccount default, which stands for the manager's.
func working(t *testing.T) (namespace string, binding *rbacv1.ClusterRoleBinding) {
	t.Helper()
	namespace = installed(t)
	in := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	binding = &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "default"}},
	}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: in("platen-content"), Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("5Gi")}},
	}}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: in("dispatch"), AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}}}}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "platen-dispatch"}
	suite.Create(t, api,
		binding, claim, slice,
		&coordinationv1.Lease{ObjectMeta: in("platen-manager"), Spec: coordinationv1.LeaseSpec{
			HolderIdentity: new("manager-1"), LeaseDurationSeconds: new(int32(15)), RenewTime: new(metav1.NewMicroTime(time.Now().Add(time.Hour))),
		}},
		&corev1.Service{ObjectMeta: in("platen-dispatch"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 9443}}}},
	)
	claim.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("5Gi")}}
	if err := api.Status().Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	return namespace, binding
}

func TestCheck(t *testing.T) {
	platenSystem, _ := working(t)
	namespace, ended := workspace(t), make(chan error, 1)
	base := content(t, nil)
	cache := platenv1alpha1.CachePolicy("")
	go func() {
		ended <- finish(t.Context(), namespace, func(job *platenv1alpha1.RenderJob) {
			cache = job.Spec.Cache
			rendered(base, "picture")(job)
		})
	}()
	r := platen(t, "check", "-n", namespace, "--platen-namespace", platenSystem)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if cache != platenv1alpha1.CacheDisabled {
		t.Errorf("the cache of the card's job is %s: the picture of an earlier check would take a render pod's place", cache)
	}
	want := `^ok    kinds             RenderTemplate, FontSet, StorageConnection, RenderPool, RenderJob
ok    your rights       you may render in namespace \S+
ok    manager           1 available, image manager
ok    manager's rights  ServiceAccount \S+/default has all \d+
ok    leader            manager-1
ok    dispatch          Service platen-dispatch leads to 10.1.2.3
ok    volume            PersistentVolumeClaim platen-content, 5Gi
ok    render            a card in \d+\.\d s
ok    DNS               the render pod has found the manager by its name
ok    store             7 B stored and fetched, with the right checksum
$`
	if r.code != 0 || !regexp.MustCompile(want).MatchString(r.out) {
		t.Errorf("exit code %d, error %q, out:\n%s", r.code, r.errOut, r.out)
	}
	empty(t, namespace)
}

func TestCheckFails(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, platenSystem string, binding *rbacv1.ClusterRoleBinding)
		end   func(*platenv1alpha1.RenderJob)
		args  []string
		lines []string
	}{
		"the manager is not available": {
			spoil: func(t *testing.T, platenSystem string, _ *rbacv1.ClusterRoleBinding) {
				t.Helper()
				deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: platenSystem, Name: "platen-manager"}}
				patch(t, deployment, `{"status":{"availableReplicas":0,"readyReplicas":0}}`, true)
			},
			lines: []string{"FAIL  manager           the manager is starting; see kubectl -n ", "skip  render            needs: manager", "skip  store             needs: render"},
		},
		"its rights are gone": {
			spoil: func(t *testing.T, _ string, binding *rbacv1.ClusterRoleBinding) {
				t.Helper()
				if err := api.Delete(t.Context(), binding); err != nil {
					t.Fatal(err)
				}
			},
			end:   rendered("", "picture"),
			lines: []string{"may not get configmaps, nor get namespaces, nor get secrets, nor list nodes", "patch networkpolicies platen-render-pods", "apply the ClusterRole and the ClusterRoleBinding platen-manager again"},
		},
		"the leader has stopped": {
			spoil: func(t *testing.T, platenSystem string, _ *rbacv1.ClusterRoleBinding) {
				t.Helper()
				patch(t, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: platenSystem, Name: "platen-manager"}}, `{"spec":{"renewTime":"2026-01-01T00:00:00.000000Z"}}`, false)
			},
			lines: []string{"FAIL  leader            manager-1 led last, ", "skip  render            needs: leader"},
		},
		"no endpoint": {
			spoil: func(t *testing.T, platenSystem string, _ *rbacv1.ClusterRoleBinding) {
				t.Helper()
				patch(t, &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: platenSystem, Name: "dispatch"}}, `{"endpoints":[]}`, false)
			},
			lines: []string{"FAIL  dispatch          the Service platen-dispatch selects no pod", "platen.dev/role=leader"},
		},
		"the volume is pending": {
			spoil: func(t *testing.T, platenSystem string, _ *rbacv1.ClusterRoleBinding) {
				t.Helper()
				patch(t, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: platenSystem, Name: "platen-content"}}, `{"status":{"phase":"Pending"}}`, true)
			},
			end:   rendered("", "picture"),
			lines: []string{"FAIL  volume            PersistentVolumeClaim platen-content is Pending: the cluster needs a StorageClass"},
		},
		"no pod starts": {
			end:   waits(platenv1alpha1.QuotaExceededReason, "no more render pods fit into the namespace: exceeded quota: small"),
			lines: []string{"FAIL  render            a ResourceQuota of namespace ", "skip  DNS               needs: render"},
		},
		"a person with few rights": {
			args:  []string{"--as", "mallory"},
			lines: []string{"ok    kinds ", "FAIL  your rights       you may not create, get, watch, delete rendertemplates", "skip  manager           you may not read it in namespace ", "skip  volume            you may not read it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			platenSystem, binding := working(t)
			namespace, ended := workspace(t), make(chan error, 1)
			if test.spoil != nil {
				test.spoil(t, platenSystem, binding)
			}
			if test.end != nil {
				go func() { ended <- finish(t.Context(), namespace, test.end) }()
			} else {
				ended <- nil
			}
			r := platen(t, append([]string{"check", "-n", namespace, "--platen-namespace", platenSystem}, test.args...)...)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if r.code != 1 || !strings.Contains(r.errOut, "a check has failed") {
				t.Errorf("exit code %d, error %q", r.code, r.errOut)
			}
			for _, line := range test.lines {
				if !strings.Contains(r.out, line) {
					t.Errorf("no line %q in\n%s", line, r.out)
				}
			}
			empty(t, namespace)
		})
	}
}

// patch merges a patch into an object, or into its status.
func patch(t *testing.T, object client.Object, merge string, status bool) {
	t.Helper()
	var err error
	if p := client.RawPatch("application/merge-patch+json", []byte(merge)); status {
		err = api.Status().Patch(t.Context(), object, p)
	} else {
		err = api.Patch(t.Context(), object, p)
	}
	if err != nil {
		t.Fatal(err)
	}
}
