// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package podspec builds render pods. The same input gives the same pod.
package podspec

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

const (
	// ComponentLabel marks render pods, with the value ComponentRenderer.
	ComponentLabel = "app.kubernetes.io/component"
	// ComponentRenderer is the value of ComponentLabel.
	ComponentRenderer = "renderer"
	// ManagedByLabel marks the objects that Platen creates, with the value ManagedByPlaten.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	// ManagedByPlaten is the value of ManagedByLabel.
	ManagedByPlaten = "platen"
	// Audience of the token that identifies a render pod.
	Audience = "dispatch.platen.dev"

	tokenDir = "/var/run/secrets/platen.dev"
	// tokenSeconds is the lifetime of a token. The kubelet rotates it earlier.
	tokenSeconds = 3600
	// userID is the nonroot user of distroless images.
	userID = 65532
)

// Config is what all render pods of a manager share.
type Config struct {
	// Image of the renderer.
	Image string
	// DispatchURL is the URL of the dispatch server, such as https://platen-dispatch.platen-system.svc:9443.
	DispatchURL string
	// DispatchCA is the PEM certificate of the authority that signs the dispatch server's certificate. It is public.
	DispatchCA string
	// OutboundAllow lists the prefixes that pages may reach even if they are private, separated by commas.
	OutboundAllow string
	// OutboundDeny lists the prefixes that pages may not reach even if they are public, separated by commas.
	OutboundDeny string
	// MaxPixels bounds one picture, and RendersPerBrowser is the number of renders after which a new browser replaces the old one. 0 is
	// the renderer's default.
	MaxPixels, RendersPerBrowser int
	// CPU and Memory are the pod's requests, and CPULimit and MemoryLimit its limits. A CPULimit of 0 is none.
	CPU, CPULimit, Memory, MemoryLimit resource.Quantity
	// Overlay is what the namespace's RenderPool chooses.
	Overlay platenv1alpha1.PodOverlay
	// Isolated says that each pod renders one job only.
	Isolated bool
}

// NamePrefix is the beginning of the names of render pods.
const NamePrefix = "platen-render-"

// outboundAllow is the variable that has Config.OutboundAllow.
const outboundAllow = "PLATEN_OUTBOUND_ALLOW"

// OutboundAllow returns the prefixes that the pages of a render pod may reach even if they are private, separated by commas.
func OutboundAllow(pod *corev1.Pod) string {
	for _, container := range pod.Spec.Containers {
		for _, e := range container.Env {
			if e.Name == outboundAllow {
				return e.Value
			}
		}
	}
	return ""
}

// HashLabel of a render pod has the hash of what it is made from.
const HashLabel = "platen.dev/pod-hash"

// templateAnnotation of a render pod has the Template of what it is made from.
const templateAnnotation = "platen.dev/pod-template"

// Template names what a Config has of the namespace's RenderPool and a pod cannot take on later; empty if it has nothing.
func Template(c Config) string {
	if !c.Isolated && apiequality.Semantic.DeepEqual(c.Overlay, platenv1alpha1.PodOverlay{}) {
		return ""
	}
	return digest(c.Overlay, c.Isolated)
}

// TemplateOf returns the Template of a render pod.
func TemplateOf(pod *corev1.Pod) string { return pod.Annotations[templateAnnotation] }

// Trim drops from a render pod's spec what nobody asks this package or a pool about.
func Trim(pod *corev1.Pod) {
	pod.Spec = corev1.PodSpec{
		NodeName:   pod.Spec.NodeName,
		Containers: []corev1.Container{{Env: []corev1.EnvVar{{Name: outboundAllow, Value: OutboundAllow(pod)}}}},
	}
}

// Build returns a render pod with a read-only root file system. It satisfies the Pod Security Standard "restricted" unless the overlay
// prevents it. Its only token is for the dispatch server. Nothing owns the pod: it ends by itself when it is retired or the dispatch server
// is away.
func Build(c Config, namespace, name string, signingKey []byte) *corev1.Pod {
	pod := build(c, namespace, name)
	pod.Labels[HashLabel] = Hash(c)
	pod.Annotations[SignatureAnnotation] = sign(signingKey, namespace, name)
	return pod
}

// Hash returns the hash of what the pods of a Config are made from.
func Hash(c Config) string { return hash(build(c, "", "")) }

// build returns the pod without its hash and signature.
func build(c Config, namespace, name string) *corev1.Pod {
	resources := resources(c)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:      name,
			Namespace: namespace,
			Labels: map[string]string{
				"app.kubernetes.io/name": "platen",
				ComponentLabel:           ComponentRenderer,
				ManagedByLabel:           ManagedByPlaten,
			},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			TerminationGracePeriodSeconds: new(int64(5)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				RunAsUser:      new(int64(userID)),
				RunAsGroup:     new(int64(userID)),
				FSGroup:        new(int64(userID)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:            "renderer",
				Image:           c.Image,
				ImagePullPolicy: corev1.PullIfNotPresent,
				Env: []corev1.EnvVar{
					{Name: "HOME", Value: "/tmp"},
					{Name: "PLATEN_DISPATCH_URL", Value: c.DispatchURL},
					{Name: "PLATEN_DISPATCH_CA", Value: c.DispatchCA},
					{Name: outboundAllow, Value: c.OutboundAllow},
					{Name: "PLATEN_OUTBOUND_DENY", Value: c.OutboundDeny},
					{Name: "PLATEN_MAX_PIXELS", Value: strconv.Itoa(c.MaxPixels)},
					{Name: "PLATEN_RENDERS_PER_BROWSER", Value: strconv.Itoa(c.RendersPerBrowser)},
					{Name: "PLATEN_MEMORY_LIMIT", Value: strconv.FormatInt(resources.Limits.Memory().Value(), 10)},
				},
				Resources: resources,
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false),
					ReadOnlyRootFilesystem:   new(true),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
				VolumeMounts: []corev1.VolumeMount{
					{Name: "tmp", MountPath: "/tmp"},
					{Name: "token", MountPath: tokenDir, ReadOnly: true},
				},
			}},
			Volumes: []corev1.Volume{
				{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
					SizeLimit: new(resource.MustParse("512Mi")),
				}}},
				{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
					Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
						Audience:          Audience,
						ExpirationSeconds: new(int64(tokenSeconds)),
						Path:              "token",
					}}},
				}}},
			},
		},
	}
	overlay(pod, c.Overlay)
	if template := Template(c); template != "" {
		pod.Annotations[templateAnnotation] = template
	}
	return pod
}
