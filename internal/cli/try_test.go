// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// manager returns the manager's Deployment with the given replicas wanted and available.
func manager(wanted, available int32) *appsv1.Deployment {
	labels := map[string]string{"app.kubernetes.io/component": "manager"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: platenNamespace, Name: managerDeployment},
		Spec:       appsv1.DeploymentSpec{Replicas: &wanted, Selector: &metav1.LabelSelector{MatchLabels: labels}},
		Status:     appsv1.DeploymentStatus{Replicas: wanted, UpdatedReplicas: wanted, AvailableReplicas: available},
	}
}

// managerPod returns a pod of the manager whose container waits for the given reason.
func managerPod(reason, message string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: platenNamespace, Name: "platen-manager-x", Labels: map[string]string{"app.kubernetes.io/component": "manager"}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}},
		}},
	}
}

func TestTrySaysWhatIsMissing(t *testing.T) {
	forbidden := interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, managerDeployment, errors.New("no"))
	}}
	unschedulable := managerPod("", "")
	unschedulable.Status = corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "pod has unbound immediate PersistentVolumeClaims",
	}}}
	refused := manager(1, 0)
	refused.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota: small"}}
	for name, test := range map[string]struct {
		in             string
		objects        []client.Object
		funcs          interceptor.Funcs
		missing, error string
	}{
		"nothing":                       {objects: []client.Object{manager(1, 1)}},
		"nothing that the user may see": {funcs: forbidden},
		"the manager":                   {error: "has no manager in namespace platen-system: install it (kubectl apply"},
		"the right namespace":           {in: "nix", objects: []client.Object{manager(1, 1)}, error: "namespace nix has no manager, but platen-system has: leave out --platen-namespace"},
		"the manager anywhere":          {in: "nix", error: "has no manager in namespace nix: install it (kubectl apply"},
		"a replica":                     {objects: []client.Object{manager(0, 0)}, error: "kubectl scale deployment platen-manager -n platen-system --replicas=1"},
		"a moment":                      {objects: []client.Object{manager(1, 0)}, missing: "the manager is starting"},
		"room for the manager":          {objects: []client.Object{refused}, missing: "the manager's pod could not be created: exceeded quota: small"},
		"a volume": {
			objects: []client.Object{manager(1, 0), unschedulable},
			missing: "the manager's pod platen-manager-x does not run: Unschedulable: pod has unbound immediate PersistentVolumeClaims",
		},
		"the manager's image": {
			objects: []client.Object{manager(1, 0), managerPod("ErrImagePull", "not found")},
			missing: "ErrImagePull: not found", error: "check its name (kubectl edit deployment platen-manager -n platen-system)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{fake.NewClientBuilder().WithScheme(scheme).WithObjects(test.objects...).WithInterceptorFuncs(test.funcs).Build(), nil, "default"}
			_, missing, err := (&tryCommand{platenNamespace: cmp.Or(test.in, platenNamespace)}).missing(t.Context(), c)
			if !strings.Contains(missing, test.missing) || test.missing == "" && missing != "" {
				t.Errorf("missing %q, want %q", missing, test.missing)
			}
			if (err != nil) != (test.error != "") || err != nil && !strings.Contains(err.Error(), test.error) {
				t.Errorf("error %v, want %q", err, test.error)
			}
		})
	}
}

func TestTryKnowsWhenNoPodWillCome(t *testing.T) {
	for name, c := range map[string]struct{ reason, message, want string }{
		"no pod is free":   {platenv1alpha1.QueuedReason, "waiting for a render pod", ""},
		"no node has room": {platenv1alpha1.UnschedulableReason, "no node has room for a render pod", ""},
		"image":            {platenv1alpha1.ImagePullFailedReason, "a node cannot pull the image x of a render pod", "RENDERER_IMAGE of deployment platen-manager in namespace platen-system"},
		"quota":            {platenv1alpha1.QuotaExceededReason, "no more render pods fit into the namespace: exceeded quota: small", "kubectl describe resourcequota -n marketing"},
		"quota of nothing": {
			platenv1alpha1.QuotaExceededReason, "no more render pods fit into the namespace: exceeded quota: small, which allows pods=0",
			"admits no pod: no more render pods fit into the namespace: exceeded quota: small, which allows pods=0; raise the quota (kubectl",
		},
		"quota of limits": {
			platenv1alpha1.PodForbiddenReason, "the API server refuses render pods: pods is forbidden: failed quota: q: must specify limits.cpu for: renderer",
			"in spec.podTemplate.resources of a RenderPool default",
		},
		"pod security": {platenv1alpha1.PodForbiddenReason, `pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile`, "labels pod-security.kubernetes.io/*"},
		"limit range": {
			platenv1alpha1.PodForbiddenReason, `pods "x" is forbidden: maximum memory usage per Container is 64Mi, but limit is 1Gi`,
			"an admission policy or limit of the namespace",
		},
		"pod template": {
			platenv1alpha1.PodForbiddenReason, `the API server refuses render pods: pods is forbidden: no PriorityClass with name nosuch was found`,
			"or correct spec.podTemplate of the RenderPool default there, if there is one",
		},
		"webhook": {platenv1alpha1.PodForbiddenReason, `admission webhook "validate.kyverno.svc-fail" denied the request`, "an admission policy or limit of the namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "hello-x"}}
			job.Status.ObservedGeneration = new(int64)
			job.Status.Conditions = []metav1.Condition{{
				Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionUnknown, Reason: c.reason, Message: c.message,
			}}
			err := (&tryCommand{platenNamespace: platenNamespace}).noPod(job)
			if (err != nil) != (c.want != "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.message)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A cluster without Platen serves other kinds only.
func TestTryWithoutPlaten(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api":
			_, _ = w.Write([]byte(`{"kind": "APIVersions", "versions": ["v1"]}`))
		case "/apis":
			_, _ = w.Write([]byte(`{"kind": "APIGroupList", "apiVersion": "v1", "groups": [{"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}]}]}`))
		case "/apis/apps/v1":
			_, _ = w.Write([]byte(`{"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [{"name": "deployments", "namespaced": true, "kind": "Deployment"}]}`))
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`))
		}
	}))
	defer server.Close()
	picture := filepath.Join(t.TempDir(), "hello.png")
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	code := Main(t.Context(), []string{"kubectl-platen", "try", "--kubeconfig", os.DevNull, "--server", server.URL, "-o", picture}, streams)
	if code != exitFailed || !strings.Contains(errOut.String(), "this cluster does not have Platen: install it (kubectl --kubeconfig=/dev/null --server="+server.URL+" apply --server-side -f https://") || out.Len() > 0 {
		t.Errorf("exit code %d, out %q, error %q", code, out, errOut)
	}
	if _, err := os.Stat(picture); err == nil {
		t.Error("there is a picture")
	}
}

// Everything that try prints to the standard output can be applied.
func TestTryManifest(t *testing.T) {
	o := &options{IOStreams: genericiooptions.IOStreams{In: bytes.NewReader(tryManifest)}, flags: genericclioptions.NewConfigFlags(true)}
	found, err := o.manifests(t.Context(), "-")
	if err != nil || len(found.templates) != 1 || found.templates[0].Name != "hello" {
		t.Errorf("%v, %v", found.templates, err)
	}
}

// The list of jobs stays as wide as its names.
func TestWarningsWord(t *testing.T) {
	long := strings.Repeat("ä", maxWarning+1)
	for want, titles := range map[string][]string{
		"": nil, "Font not found": {"Font not found"}, "a and 2 more": {"a", "b", "c"}, long[:2*maxWarning] + "… and 1 more": {long, long},
	} {
		job := &platenv1alpha1.RenderJob{}
		for _, title := range titles {
			job.Status.Warnings = append(job.Status.Warnings, platenv1alpha1.Warning{Title: title})
		}
		if got := warningsWord(job); got != want {
			t.Errorf("%v: %s", titles, got)
		}
	}
}

// platen-edit and platen-view have no rights on kinds of Kubernetes, and no role helps against a quota or a policy.
func TestWhatToDoWhenTheClusterForbids(t *testing.T) {
	jobs, secrets := schema.GroupResource{Group: platenv1alpha1.GroupVersion.Group, Resource: "renderjobs"}, schema.GroupResource{Resource: "secrets"}
	terminating := apierrors.NewForbidden(jobs, "x", errors.New("unable to create new content in namespace art because it is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	lacks := func(resource schema.GroupResource, verb, where string) error {
		return apierrors.NewForbidden(resource, "", fmt.Errorf(`User "ann" cannot %s resource "%s" in API group "%s" %s`, verb, resource.Resource, resource.Group, where))
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"create a job":        {lacks(jobs, "create", `in the namespace "art"`), `in the namespace "art"; ask for the role platen-edit or edit in that namespace`},
		"list jobs":           {lacks(jobs, "list", `in the namespace "art"`), `in the namespace "art"; ask for the role platen-view or view in that namespace`},
		"list all jobs":       {lacks(jobs, "list", "at the cluster scope"), "at the cluster scope; choose one namespace with -n instead of -A, or ask for the role platen-view or view in all namespaces"},
		"read a Secret":       {lacks(secrets, "get", `in the namespace "art"`), "; ask for the role edit in that namespace"},
		"list ConfigMaps":     {lacks(schema.GroupResource{Resource: "configmaps"}, "list", `in the namespace "art"`), "; ask for the role view in that namespace"},
		"impersonate":         {lacks(schema.GroupResource{Resource: "users"}, "impersonate", "at the cluster scope"), "; ask for that right"},
		"a quota":             {apierrors.NewForbidden(jobs, "x", errors.New("exceeded quota: jobs, requested: 1")), "requested: 1; delete what is not needed, or raise that ResourceQuota"},
		"a policy":            {apierrors.NewForbidden(jobs, "x", errors.New("ValidatingAdmissionPolicy 'folders' denied request: spec.connections: no")), "denied request: spec.connections: no"},
		"a deleted namespace": {terminating, "because it is being terminated: choose another namespace with -n"},
	} {
		if got := explain(c.err).Error(); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
