// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/node"
)

// auditLog returns the audit log of the development cluster, and its end. Without the development cluster, it skips the spec.
func auditLog() (log node.AuditLog, end int64) {
	GinkgoHelper()
	log = node.AuditLog{Path: filepath.Join("..", "..", ".devcluster", "audit.log"), Kube: c.Kube()}
	end, err := log.End()
	if os.IsNotExist(err) {
		Skip("only the development cluster keeps an audit log that tests can read")
	}
	Expect(err).NotTo(HaveOccurred())
	return log, end
}

// writes lists the writes in a workspace, and to objects without a namespace, since an offset of the audit log. onJobs counts those to
// RenderJobs.
func (w *workspace) writes(ctx context.Context, log node.AuditLog, offset int64) (onJobs int, all []string) {
	GinkgoHelper()
	events, err := log.Writes(ctx, offset, w.namespace)
	Expect(err).NotTo(HaveOccurred())
	for _, e := range events {
		if ns := e.ObjectRef.Namespace; ns != "" && ns != w.namespace {
			continue
		}
		if e.ObjectRef.Resource == "renderjobs" {
			onJobs++
		}
		all = append(all, e.Verb+" "+e.ObjectRef.Resource+"/"+e.ObjectRef.Subresource)
	}
	return onJobs, all
}

var _ = Describe("The API server", Serial, func() {
	It("gets at most three writes to a job, and nine in all, when its pod is cold and the first of its namespace", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		log, end := auditLog()
		w.expectDelivered(ctx, w.run(ctx, w.job("card", func(*platenv1alpha1.RenderJob) {})))
		onJob, all := w.writes(ctx, log, end)
		AddReportEntry("API writes of a cold job", all)
		Expect(onJob).To(BeNumerically("<=", 3), "%q", all)
		Expect(onJob).To(BeNumerically(">=", 2), "the creation and the outcome at least: %q", all)
		Expect(len(all)).To(BeNumerically("<=", 9), "%q", all)
	})

	It("gets two writes of a warm job, and none besides", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		w.run(ctx, w.job("first", func(*platenv1alpha1.RenderJob) {})) // starts the render pod
		log, end := auditLog()
		job := w.run(ctx, w.job("second", func(*platenv1alpha1.RenderJob) {}))
		Expect(reason(job, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason), "%+v", job.Status)
		_, all := w.writes(ctx, log, end)
		Expect(all).To(Equal([]string{"create renderjobs/", "patch renderjobs/status"}))
	})
})
