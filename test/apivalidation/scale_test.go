// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"fmt"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// newNamespace creates a namespace.
func newNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "pool-"}}
	if err := api.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// newPool creates the RenderPool of a namespace of its own.
func newPool(t *testing.T, spec platenv1alpha1.RenderPoolSpec) *platenv1alpha1.RenderPool {
	t.Helper()
	pool := &platenv1alpha1.RenderPool{ObjectMeta: metav1.ObjectMeta{Namespace: newNamespace(t), Name: platenv1alpha1.RenderPoolName}, Spec: spec}
	if err := api.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

// scaleTo does what kubectl scale does.
func scaleTo(t *testing.T, c client.Client, pool *platenv1alpha1.RenderPool, replicas string) error {
	t.Helper()
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%s}}`, replicas))
	return c.SubResource("scale").Patch(t.Context(), pool.DeepCopy(), patch, client.WithSubResourceBody(&autoscalingv1.Scale{}))
}

func TestScaleOfARenderPool(t *testing.T) {
	for name, c := range map[string]struct {
		spec     platenv1alpha1.RenderPoolSpec
		replicas string
		// want of spec.minReady, or the refusal.
		want    int32
		refusal string
	}{
		"up to max":               {platenv1alpha1.RenderPoolSpec{MinReady: new(int32(1)), Max: 4}, "4", 4, ""},
		"above max":               {platenv1alpha1.RenderPoolSpec{MinReady: new(int32(1)), Max: 4}, "5", 0, "minReady must be at most max"},
		"to none":                 {platenv1alpha1.RenderPoolSpec{MinReady: new(int32(1)), Max: 4}, "0", 0, ""},
		"below none":              {platenv1alpha1.RenderPoolSpec{MinReady: new(int32(1))}, "-1", 0, "should be a non-negative integer"},
		"above what any may have": {platenv1alpha1.RenderPoolSpec{MinReady: new(int32(1))}, "101", 0, "should be less than or equal to 100"},
		"of a pool without any":   {platenv1alpha1.RenderPoolSpec{Max: 4}, "2", 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t, c.spec)
			err := scaleTo(t, api, pool, c.replicas)
			if c.refusal != "" {
				if err == nil || !strings.Contains(err.Error(), c.refusal) {
					t.Errorf("got %v, want %q", err, c.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil || *pool.Spec.MinReady != c.want || pool.Spec.Max != c.spec.Max {
				t.Errorf("the spec is %+v, %v; want minReady %d", pool.Spec, err, c.want)
			}
		})
	}
}

// What an autoscaler reads: the pods that it asked for, those that are ready, and which they are.
func TestScaleTellsWhatIsReady(t *testing.T) {
	pool := newPool(t, platenv1alpha1.RenderPoolSpec{MinReady: new(int32(3))})
	pool.Status.Ready, pool.Status.Selector = new(int32(2)), "app.kubernetes.io/component=renderer"
	if err := api.Status().Update(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	scale := &autoscalingv1.Scale{}
	if err := api.SubResource("scale").Get(t.Context(), pool, scale); err != nil {
		t.Fatal(err)
	}
	if scale.Spec.Replicas != 3 || scale.Status.Replicas != 2 || scale.Status.Selector != pool.Status.Selector {
		t.Errorf("got %+v, %+v", scale.Spec, scale.Status)
	}
	// An autoscaler cannot read it of a pool whose spec has no minReady.
	if err := api.SubResource("scale").Get(t.Context(), newPool(t, platenv1alpha1.RenderPoolSpec{Max: 4}), scale); err == nil {
		t.Errorf("got %+v; the documentation says that there is none", scale.Spec)
	}
}

// The roles of users decide who may scale.
func TestWhoMayScale(t *testing.T) {
	for _, o := range objects(t, "../../config/rbac/user_roles.yaml") {
		if err := api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), &client.ApplyOptions{FieldManager: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	pool := newPool(t, platenv1alpha1.RenderPoolSpec{Max: 4})
	for role, allowed := range map[string]bool{"platen-edit": true, "platen-view": false} {
		binding := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: pool.Namespace, Name: role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: role}},
		}
		if err := api.Create(t.Context(), binding); err != nil {
			t.Fatal(err)
		}
		as := rest.CopyConfig(config)
		as.Impersonate = rest.ImpersonationConfig{UserName: role, Groups: []string{"system:authenticated"}}
		user, err := client.New(as, client.Options{Scheme: api.Scheme()})
		if err != nil {
			t.Fatal(err)
		}
		if err := scaleTo(t, user, pool, "1"); (err == nil) != allowed {
			t.Errorf("%s: %v", role, err)
		}
	}
}
