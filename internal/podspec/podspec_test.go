// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// key signs the pods.
var key = []byte("a key of the test")

func config(overlay platenv1alpha1.PodOverlay) Config {
	return Config{
		Image: "renderer", DispatchURL: "https://dispatch", DispatchCA: "PEM",
		CPU: resource.MustParse("1"), Memory: resource.MustParse("1Gi"), MemoryLimit: resource.MustParse("2Gi"), Overlay: overlay,
	}
}

func plain() *corev1.Pod {
	return Build(config(platenv1alpha1.PodOverlay{}), "marketing", "platen-render-1", key)
}

func TestCPULimitIsOptional(t *testing.T) {
	for limit, want := range map[string]bool{"0": false, "2": true} {
		pod := Build(Config{CPULimit: resource.MustParse(limit), MemoryLimit: resource.MustParse("2Gi")}, "marketing", "platen-render-1", key)
		got, limited := pod.Spec.Containers[0].Resources.Limits[corev1.ResourceCPU]
		if limited != want || limited && got.String() != limit {
			t.Errorf("limit %s: the pod has %s", limit, got.String())
		}
	}
}

func TestPodPassesPodSecurityRestricted(t *testing.T) {
	if err := Check(plain()); err != nil {
		t.Error(err)
	}
	privileged := plain()
	privileged.Spec.HostNetwork = true
	if err := Check(privileged); err == nil || !strings.Contains(err.Error(), "hostNetwork=true") {
		t.Errorf("got %v for a pod on the host's network", err)
	}
}

// The overlay chooses its fields, and nothing else of the pod changes.
func TestOverlay(t *testing.T) {
	overlay := platenv1alpha1.PodOverlay{
		Labels:       map[string]platenv1alpha1.LabelValue{"kueue.x-k8s.io/queue-name": "renders", ComponentLabel: "mine", HashLabel: "mine"},
		Annotations:  map[string]string{"team": "a", SignatureAnnotation: "mine"},
		NodeSelector: map[string]string{"disk": "ssd"},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")},
			Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3"), corev1.ResourceMemory: resource.MustParse("512Mi")},
		},
		Tolerations:               []corev1.Toleration{{Key: "render", Operator: corev1.TolerationOpExists}},
		Affinity:                  &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.ScheduleAnyway}},
		PriorityClassName:         "low", RuntimeClassName: "gvisor", ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}}, HostUsers: new(false),
		SandboxProfile: "platen/chromium.json",
	}
	pod, base := Build(config(overlay), "marketing", "platen-render-1", key), plain()
	if err := Check(pod); err != nil {
		t.Error(err)
	}
	if pod.Labels[ComponentLabel] != ComponentRenderer || pod.Labels["kueue.x-k8s.io/queue-name"] != "renders" || pod.Annotations["team"] != "a" ||
		!Signed([][]byte{key}, pod) || pod.Labels[HashLabel] == "mine" || pod.Labels[HashLabel] == base.Labels[HashLabel] {
		t.Errorf("labels %v, annotations %v", pod.Labels, pod.Annotations)
	}
	resources := pod.Spec.Containers[0].Resources
	for name, want := range map[string]string{
		resources.Requests.Cpu().String(): "2", resources.Limits.Cpu().String(): "3", resources.Limits.Memory().String(): "512Mi",
		resources.Requests.Memory().String(): "512Mi",
	} {
		if name != want {
			t.Errorf("got %s, want %s: %+v", name, want, resources)
		}
	}
	if !slices.Contains(pod.Spec.Containers[0].Env, corev1.EnvVar{Name: "PLATEN_MEMORY_LIMIT", Value: strconv.Itoa(512 << 20)}) {
		t.Errorf("the renderer does not know its memory limit: %v", pod.Spec.Containers[0].Env)
	}
	if !slices.Contains(pod.Spec.Containers[0].Env, corev1.EnvVar{Name: "PLATEN_CHROMIUM_SANDBOX", Value: "true"}) {
		t.Errorf("the renderer does not know that Chromium can have its sandbox: %v", pod.Spec.Containers[0].Env)
	}
	chosen := corev1.PodSpec{
		NodeSelector: overlay.NodeSelector, Tolerations: overlay.Tolerations, Affinity: overlay.Affinity, TopologySpreadConstraints: overlay.TopologySpreadConstraints,
		PriorityClassName: "low", RuntimeClassName: new("gvisor"), ImagePullSecrets: overlay.ImagePullSecrets, HostUsers: new(false),
	}
	rest := base.Spec.DeepCopy()
	rest.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new("platen/chromium.json")}
	rest.Containers[0].Resources, rest.Containers[0].Env = resources, pod.Spec.Containers[0].Env
	for _, at := range []string{
		"NodeSelector", "Tolerations", "Affinity", "TopologySpreadConstraints", "PriorityClassName", "RuntimeClassName", "ImagePullSecrets", "HostUsers",
	} {
		reflect.ValueOf(rest).Elem().FieldByName(at).Set(reflect.ValueOf(chosen).FieldByName(at))
	}
	if diff := cmp.Diff(*rest, pod.Spec); diff != "" {
		t.Errorf("the pod's spec (-want +got):\n%s", diff)
	}
}

func TestResourcesOfAnOverlayMakeAValidPod(t *testing.T) {
	list := func(memory string) corev1.ResourceList {
		if memory == "" {
			return nil
		}
		return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
	}
	for name, c := range map[string]struct{ request, limit, wantRequest, wantLimit, err string }{
		"nothing":                       {wantRequest: "1Gi", wantLimit: "2Gi"},
		"a request above the limit":     {request: "3Gi", wantRequest: "3Gi", wantLimit: "3Gi"},
		"a limit below the request":     {limit: "512Mi", wantRequest: "512Mi", wantLimit: "512Mi"},
		"both":                          {request: "3Gi", limit: "4Gi", wantRequest: "3Gi", wantLimit: "4Gi"},
		"both, the request above limit": {request: "4Gi", limit: "3Gi", wantRequest: "4Gi", wantLimit: "3Gi", err: "resources.requests.memory: 4Gi must be at most resources.limits.memory (3Gi)"},
	} {
		t.Run(name, func(t *testing.T) {
			overlay := platenv1alpha1.PodOverlay{Resources: corev1.ResourceRequirements{Requests: list(c.request), Limits: list(c.limit)}}
			pod := Build(config(overlay), "marketing", "platen-render-1", key)
			container := pod.Spec.Containers[0]
			limit := resource.MustParse(c.wantLimit)
			if got := container.Resources; got.Requests.Memory().String() != c.wantRequest || got.Limits.Memory().Cmp(limit) != 0 {
				t.Errorf("got %+v, want a request of %s and a limit of %s", got, c.wantRequest, c.wantLimit)
			}
			if !slices.Contains(container.Env, corev1.EnvVar{Name: "PLATEN_MEMORY_LIMIT", Value: strconv.FormatInt(limit.Value(), 10)}) {
				t.Errorf("the renderer has another memory limit: %v", container.Env)
			}
			if err := Check(pod); (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("got %v, want %s", err, c.err)
			}
		})
	}
}

// The API server would refuse them only once there is a job.
func TestAmountsThatNoPodMayHave(t *testing.T) {
	for name, c := range map[string]struct {
		resources corev1.ResourceRequirements
		want      string
	}{
		"negative request": {
			corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("-1")}}, "resources.requests.memory: -1 must not be negative",
		},
		"negative limit": {
			corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("-500m")}}, "resources.limits.cpu: -500m must not be negative",
		},
		"no resource": {
			corev1.ResourceRequirements{Requests: corev1.ResourceList{"memmory": resource.MustParse("1Gi")}},
			"resources.requests.memmory: a resource must be cpu, memory, ephemeral-storage, or one of a node's devices with a prefix, such as example.com/gpu",
		},
		"devices": {corev1.ResourceRequirements{Limits: corev1.ResourceList{"example.com/gpu": resource.MustParse("1"), "hugepages-2Mi": resource.MustParse("0")}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(Build(config(platenv1alpha1.PodOverlay{Resources: c.resources}), "marketing", "platen-render-1", key))
			if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestHashNamesWhatAPodIsMadeFrom(t *testing.T) {
	one, other := config(platenv1alpha1.PodOverlay{}), config(platenv1alpha1.PodOverlay{})
	other.Image = "renderer:2"
	if Hash(one) != Hash(config(platenv1alpha1.PodOverlay{})) || Hash(one) == Hash(other) || Hash(one) == Hash(config(platenv1alpha1.PodOverlay{PriorityClassName: "low"})) {
		t.Error("the hash does not follow the configuration")
	}
	if got := Build(one, "a", "platen-render-1", key).Labels[HashLabel]; got != Hash(one) || got != Build(one, "b", "platen-render-2", []byte("x")).Labels[HashLabel] {
		t.Errorf("hash %s is not that of the configuration alone", got)
	}
}

func TestOnlyPodsOfAManagerAreSigned(t *testing.T) {
	keys := [][]byte{[]byte("the next key"), key}
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"as it was made":    {func(*corev1.Pod) {}, true},
		"another name":      {func(p *corev1.Pod) { p.Name = "platen-render-2" }, false},
		"another namespace": {func(p *corev1.Pod) { p.Namespace = "sales" }, false},
		"no signature":      {func(p *corev1.Pod) { p.Annotations = nil }, false},
		"empty signature":   {func(p *corev1.Pod) { p.Annotations[SignatureAnnotation] = "" }, false},
	} {
		pod := plain()
		c.change(pod)
		if got := Signed(keys, pod); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
	if Signed(keys[:1], plain()) || Signed(nil, plain()) {
		t.Error("a key that did not sign the pod takes it")
	}
}

func TestPodHasOnlyTheDispatchToken(t *testing.T) {
	spec := plain().Spec
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		t.Error("the API token is mounted")
	}
	for _, v := range spec.Volumes {
		switch {
		case v.EmptyDir != nil:
			if v.EmptyDir.SizeLimit == nil {
				t.Errorf("volume %s has no bound", v.Name)
			}
		case v.Projected != nil:
			for _, source := range v.Projected.Sources {
				if source.ServiceAccountToken == nil || source.ServiceAccountToken.Audience != Audience {
					t.Errorf("volume %s projects %+v", v.Name, source)
				}
			}
		default:
			t.Errorf("volume %s is neither scratch space nor the dispatch token", v.Name)
		}
	}
	for _, c := range spec.Containers {
		if c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			t.Errorf("container %s can write to its root", c.Name)
		}
		if c.Resources.Limits.Memory().IsZero() {
			t.Errorf("container %s may use all memory of the node", c.Name)
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil {
				t.Errorf("%s comes from %+v", e.Name, e.ValueFrom)
			}
		}
	}
}

func TestNobodyOwnsThePod(t *testing.T) {
	if owners := plain().OwnerReferences; len(owners) != 0 {
		t.Errorf("the pod goes with %+v", owners)
	}
}
