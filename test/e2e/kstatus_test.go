// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// expectKstatus checks that Flux and other readers of kstatus see how a finished job ended.
func expectKstatus(job *platenv1alpha1.RenderJob) {
	GinkgoHelper()
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(job)
	Expect(err).NotTo(HaveOccurred())
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	Expect(err).NotTo(HaveOccurred())
	want := status.CurrentStatus
	if meta.IsStatusConditionFalse(job.Status.Conditions, platenv1alpha1.ReadyCondition) {
		want = status.FailedStatus
	}
	Expect(result.Status).To(Equal(want), result.Message)
}
