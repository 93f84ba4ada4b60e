// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RenderPoolName is the name of a namespace's RenderPool.
const RenderPoolName = "default"

// Reasons of a RenderPool's Ready condition, beside those of a job's wait: QuotaExceeded, PodForbidden, Unschedulable,
// ImagePullFailed and ContainerStartFailed.
const (
	// AvailableReason means that render pods start when jobs need them, and that minReady of them are ready.
	AvailableReason = "Available"
	// StartingReason means that fewer than minReady pods are ready; others are starting.
	StartingReason = "Starting"
	// EgressForbiddenReason means that spec.egress.allow names addresses that the manager's --pool-outbound-allow does not.
	EgressForbiddenReason = "EgressForbidden"
)

// PoolIsolation says what shares a render pod.
// +kubebuilder:validation:Enum=Page;Pod
type PoolIsolation string

const (
	// IsolationPage lets a pod render one job after the other. A page shares nothing that it can touch with another.
	IsolationPage PoolIsolation = "Page"
	// IsolationPod gives each job a pod of its own, which ends afterwards.
	IsolationPod PoolIsolation = "Pod"
)

// CIDR is a prefix of IP addresses, such as 10.1.0.0/16.
// +kubebuilder:validation:MinLength=3
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be a prefix of IP addresses, such as 10.1.0.0/16"
type CIDR string

// PoolEgress says which addresses pages may reach beside public ones.
type PoolEgress struct {
	// allow lists private prefixes that pages may reach. They must lie within the manager's --pool-outbound-allow. Defaults to none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	Allow []CIDR `json:"allow,omitempty"`
}

// LabelValue is the value of a label.
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",message="must be the value of a label: letters, digits, hyphens, underscores and dots, with a letter or a digit first and last, or empty"
type LabelValue string

// PodOverlay is what a RenderPool may choose about its pods. Everything else of a pod is Platen's. The pod that results must satisfy the Pod
// Security Standard "restricted".
// +kubebuilder:validation:XValidation:rule="!has(self.labels) || self.labels.all(key, !key.contains('/') || key.startsWith('kueue.x-k8s.io/') || key.startsWith('karpenter.sh/') || key.startsWith('cluster-autoscaler.kubernetes.io/'))",message="a label with a prefix must be one of kueue.x-k8s.io, karpenter.sh or cluster-autoscaler.kubernetes.io"
// +kubebuilder:validation:XValidation:rule="!has(self.annotations) || self.annotations.all(key, !key.contains('/') || key.startsWith('kueue.x-k8s.io/') || key.startsWith('karpenter.sh/') || key.startsWith('cluster-autoscaler.kubernetes.io/'))",message="an annotation with a prefix must be one of kueue.x-k8s.io, karpenter.sh or cluster-autoscaler.kubernetes.io"
type PodOverlay struct {
	// labels of the pods, such as kueue.x-k8s.io/queue-name. Keys with another prefix than those of Kueue, Karpenter and the cluster
	// autoscaler are refused.
	// +optional
	// +nullable
	// +kubebuilder:validation:MaxProperties=32
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations of the pods; the same keys as for labels.
	// +optional
	// +nullable
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]string `json:"annotations,omitempty"`

	// resources of the renderer container. What is absent is as the manager's flags say. The browser gets 70 % of the memory limit, which must be
	// at least 128Mi: with less, it renders no page.
	// +optional
	// +nullable
	// +kubebuilder:validation:XValidation:rule="!has(self.limits) || !('memory' in self.limits) || quantity(string(self.limits['memory'])).compareTo(quantity('128Mi')) >= 0",message="limits.memory must be at least 128Mi: the browser renders no page with less"
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="claims are not possible: Platen gives render pods no resourceClaims"
	Resources corev1.ResourceRequirements `json:"resources,omitempty,omitzero"`

	// nodeSelector of the pods.
	// +optional
	// +nullable
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations of the pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity of the pods.
	// +optional
	// +nullable
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints of the pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// priorityClassName of the pods. The system's classes are refused.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('system-')",message="must not be a class of the system"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a PriorityClass: lower-case letters, digits, hyphens and dots, with a letter or a digit first and last"
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// runtimeClassName of the pods, such as gvisor or kata.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a RuntimeClass: lower-case letters, digits, hyphens and dots, with a letter or a digit first and last"
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// imagePullSecrets of the pods, for a renderer image in a private registry.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// sandboxProfile is the path of a seccomp profile on the nodes, below the kubelet's folder of profiles, that lets Chromium make user namespaces.
	// The pods then have this profile, and each page's process is in Chromium's own sandbox too. Defaults to none: the pods have the profile of the container
	// runtime, and the pod is the only sandbox.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$')",message="must be a path such as platen/chromium.json, below the kubelet's folder of seccomp profiles"
	SandboxProfile string `json:"sandboxProfile,omitempty"`

	// hostUsers is false for pods with a user namespace of their own. Defaults to the cluster's.
	// +optional
	HostUsers *bool `json:"hostUsers,omitempty"`
}

// RenderPoolSpec says how many render pods a namespace has and what they are like. What is absent is as the manager's flags say.
// +kubebuilder:validation:XValidation:rule="!has(self.minReady) || !has(self.max) || self.minReady <= self.max",message="minReady must be at most max"
type RenderPoolSpec struct {
	// minReady is how many pods are kept ready for the next job. Defaults to --pool-min-ready.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MinReady *int32 `json:"minReady,omitempty"`

	// max bounds the pods. Defaults to --max-pods-per-namespace.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Max int32 `json:"max,omitempty"`

	// idleTimeoutSeconds after which a pod that is not needed ends. Defaults to --idle-timeout.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	IdleTimeoutSeconds int32 `json:"idleTimeoutSeconds,omitempty"`

	// rendersPerPod after which another pod replaces a pod. Defaults to no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	RendersPerPod int32 `json:"rendersPerPod,omitempty"`

	// isolation says what shares a pod: Page lets a pod render one job after the other, Pod gives each job a pod of its own. Defaults to
	// Page.
	// +optional
	// +default="Page"
	Isolation PoolIsolation `json:"isolation,omitempty"`

	// weight of the namespace when the cluster has not enough pods for all: a namespace of weight 2 gets twice as many as one of weight 1.
	// Defaults to 1.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight,omitempty"`

	// podTemplate is what the pool chooses about its pods.
	// +optional
	// +nullable
	PodTemplate PodOverlay `json:"podTemplate,omitempty,omitzero"`

	// egress says which addresses pages may reach beside public ones.
	// +optional
	// +nullable
	Egress PoolEgress `json:"egress,omitempty,omitzero"`
}

// RenderPoolStatus is what a namespace's render pods do. The counts are at most a few seconds old while jobs are rendered.
type RenderPoolStatus struct {
	// conditions of the pool: Ready, and Reconciling or Stalled while they are true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation that this status describes; -1 before Platen has seen the object.
	// +optional
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// ready pods wait for a job.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Ready *int32 `json:"ready,omitempty"`

	// busy pods render.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Busy *int32 `json:"busy,omitempty"`

	// starting pods have not asked for a job yet.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Starting *int32 `json:"starting,omitempty"`

	// queued jobs wait for a pod.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Queued *int32 `json:"queued,omitempty"`

	// selector of the pods, for autoscalers.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Selector string `json:"selector,omitempty"`
}

// RenderPool says how the render pods of a namespace are kept. A namespace has one, named default, or none.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.minReady,statuspath=.status.ready,selectorpath=.status.selector
// +kubebuilder:resource:shortName=rp,categories=platen
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'default'",message="metadata.name must be default: a namespace has one RenderPool"
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.ready`
// +kubebuilder:printcolumn:name="Busy",type=integer,JSONPath=`.status.busy`
// +kubebuilder:printcolumn:name="Starting",type=integer,JSONPath=`.status.starting`
// +kubebuilder:printcolumn:name="Queued",type=integer,JSONPath=`.status.queued`
// +kubebuilder:printcolumn:name="Max",type=integer,JSONPath=`.spec.max`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RenderPool struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name must be default.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec says how many pods there are and what they are like.
	// +optional
	Spec RenderPoolSpec `json:"spec,omitempty,omitzero"`

	// status is what the pods do.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1,"conditions":{{"type":"Ready","status":"Unknown","reason":"Pending","message":"Platen has not looked at it yet","lastTransitionTime":"1970-01-01T00:00:00Z"}}}
	Status RenderPoolStatus `json:"status,omitempty,omitzero"`
}

// RenderPoolList is a list of RenderPools.
// +kubebuilder:object:root=true
type RenderPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RenderPool `json:"items"`
}
