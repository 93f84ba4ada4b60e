// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// auditLog of the development cluster's API server.
var auditLog = filepath.Join("..", "..", ".devcluster", "audit.log")

// writesSince reads the audit log from an offset up to the request with the mark, and returns the writes of Platen and its users. It
// leaves out the node, the control plane and leases.
func writesSince(ctx context.Context, offset int64, mark string) []auditv1.Event {
	GinkgoHelper()
	Expect(c.Kube().CoreV1().RESTClient().Get().AbsPath("/version").Param("mark", mark).Do(ctx).Error()).To(Succeed())
	var writes []auditv1.Event
	Eventually(func(g Gomega) {
		file, err := os.Open(auditLog)
		g.Expect(err).NotTo(HaveOccurred())
		defer func() { _ = file.Close() }()
		_, err = file.Seek(offset, io.SeekStart)
		g.Expect(err).NotTo(HaveOccurred())
		writes = nil
		lines := bufio.NewReader(file)
		for {
			line, err := lines.ReadBytes('\n')
			g.Expect(err).NotTo(HaveOccurred(), "the marked request is not in the log yet")
			var e auditv1.Event
			g.Expect(json.Unmarshal(line, &e)).To(Succeed())
			if strings.Contains(e.RequestURI, "mark="+mark) {
				return
			}
			ours := e.User.Username == "system:serviceaccount:platen-system:platen-manager" || !strings.HasPrefix(e.User.Username, "system:")
			write := e.Verb != "get" && e.Verb != "list" && e.Verb != "watch"
			if ours && write && e.ObjectRef != nil && e.ObjectRef.Resource != "leases" {
				writes = append(writes, e)
			}
		}
	}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
	return writes
}

var _ = Describe("The API server", Serial, func() {
	BeforeEach(func() {
		if _, err := os.Stat(auditLog); err != nil {
			Skip("only the development cluster keeps an audit log that tests can read")
		}
	})

	It("gets at most three writes to a job, and eight in all, when its pod is cold", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		info, err := os.Stat(auditLog)
		Expect(err).NotTo(HaveOccurred())
		w.expectDelivered(ctx, w.run(ctx, w.job("card", func(*platenv1alpha1.RenderJob) {})))
		onJob, all := 0, []string{}
		for _, e := range writesSince(ctx, info.Size(), w.namespace) {
			what := e.ObjectRef.Resource + "/" + e.ObjectRef.Subresource
			if ns := e.ObjectRef.Namespace; ns != "" && ns != w.namespace {
				continue
			}
			if e.ObjectRef.Resource == "renderjobs" {
				onJob++
			}
			all = append(all, e.Verb+" "+what)
		}
		AddReportEntry("API writes of a cold job", all)
		Expect(onJob).To(BeNumerically("<=", 3), "%q", all)
		Expect(onJob).To(BeNumerically(">=", 2), "the creation and the outcome at least: %q", all)
		Expect(len(all)).To(BeNumerically("<=", 8), "%q", all)
	})
})
