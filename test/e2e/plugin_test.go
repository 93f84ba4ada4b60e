// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/program"
)

// buildPlugin builds kubectl-platen, and returns its folder.
func buildPlugin(ctx context.Context) (folder string) {
	GinkgoHelper()
	binary, err := program.Own(ctx, filepath.Join("..", ".."), "kubectl-platen")
	Expect(err).NotTo(HaveOccurred())
	return filepath.Dir(binary)
}

// runPlugin runs the plugin of a folder as kubectl does, in the workspace's namespace.
func runPlugin(ctx context.Context, folder string, w *workspace, args ...string) (code int, out, errOut string) {
	GinkgoHelper()
	command := exec.CommandContext(ctx, "kubectl", append([]string{"platen"}, append(args, "-n", w.namespace)...)...)
	command.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"))
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), stdout.String(), stderr.String()
	}
	Expect(err).NotTo(HaveOccurred())
	return 0, stdout.String(), stderr.String()
}

var _ = Describe("kubectl platen", func() {
	folder := ""
	BeforeEach(func(ctx SpecContext) { folder = buildPlugin(ctx) })
	plugin := func(ctx SpecContext, w *workspace, args ...string) (code int, out, errOut string) {
		GinkgoHelper()
		return runPlugin(ctx, folder, w, args...)
	}

	It("renders, fetches the files through the API server, and prints where they went", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		files := GinkgoT().TempDir()
		code, out, errOut := plugin(ctx, w, "render", "card", "--set", "headline=Hello World", "--file-name", "summer", "--folder", "/Summer", "-o", files)
		Expect(code).To(BeZero(), "%s%s", out, errOut)
		Expect(out).To(Equal(filepath.Join(files, "summer.png") + "\n"))
		Expect(errOut).To(ContainSubstring("/Summer/summer.png"))
		data, err := os.ReadFile(filepath.Join(files, "summer.png"))
		Expect(err).NotTo(HaveOccurred())
		picture, err := png.Decode(bytes.NewReader(data))
		Expect(err).NotTo(HaveOccurred())
		Expect(picture.Bounds().Dx()).To(Equal(400))
		uploaded, err := c.Simulator().File(ctx, w.appKey, "/Summer/summer.png")
		Expect(err).NotTo(HaveOccurred())
		Expect(uploaded).To(Equal(data))

		code, out, _ = plugin(ctx, w, "connections")
		Expect(code).To(BeZero())
		Expect(out).To(ContainSubstring("Verified"))
		Expect(out).To(ContainSubstring(w.namespace + "@example.com"))
		code, out, _ = plugin(ctx, w, "templates")
		Expect(code).To(BeZero())
		Expect(out).To(ContainSubstring("card"))
		code, out, _ = plugin(ctx, w, "status")
		Expect(code).To(BeZero())
		Expect(out).To(MatchRegexp(`card-\S+ +card +Succeeded +png +1 +True`))
	})

	It("says what failed and what to do", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		code, out, errOut := plugin(ctx, w, "render", "card", "--pages", "7", "--no-upload", "--wait")
		Expect(code).To(Equal(2), "%s%s", out, errOut)
		Expect(errOut).To(ContainSubstring("--pages: 7 must be from 1 to 1, the number of pages of RenderTemplate 'card'"))
	})

	It("retries a failed upload without rendering", Serial, func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		// A fault that does not heal by itself.
		Expect(c.Simulator().AddFault(ctx, dropboxsim.Fault{Route: "/2/files/upload", Status: 400, ContentType: "text/plain", Body: "Error in call"})).To(Succeed())
		code, out, errOut := plugin(ctx, w, "render", "card", "--name", "again", "--wait")
		Expect(code).To(Equal(4), "%s%s", out, errOut)
		Expect(errOut).To(ContainSubstring("Dropbox refused the request"))
		job := &platenv1alpha1.RenderJob{}
		key := client.ObjectKey{Namespace: w.namespace, Name: "again"}
		Expect(c.Get(ctx, key, job)).To(Succeed())
		attempts := job.Status.Attempts

		code, out, errOut = plugin(ctx, w, "retry", "again", "--wait")
		Expect(code).To(BeZero(), "%s%s", out, errOut)
		Expect(out).To(ContainSubstring("/Renders/again.png"))
		Expect(c.Get(ctx, key, job)).To(Succeed())
		Expect(meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.UploadedCondition)).To(BeTrue())
		Expect(job.Status.Attempts).To(Equal(attempts))
		files, err := c.Simulator().Files(ctx, w.appKey)
		Expect(err).NotTo(HaveOccurred())
		Expect(files).To(HaveLen(1))
	})

	It("previews a file in the cluster and leaves nothing behind", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		files := GinkgoT().TempDir()
		manifest := filepath.Join(files, "t.yaml")
		Expect(os.WriteFile(manifest, []byte(strings.TrimSpace(`
apiVersion: platen.dev/v1alpha1
kind: RenderTemplate
metadata: {name: draft}
spec:
  pages: [{name: front, width: 50, height: 20, html: "<body style='background:red'>"}]
`)), 0o600)).To(Succeed())
		code, out, errOut := plugin(ctx, w, "preview", "-f", manifest, "--in-cluster", "-o", filepath.Join(files, "draft.png"))
		Expect(code).To(BeZero(), "%s%s", out, errOut)
		data, err := os.ReadFile(filepath.Join(files, "draft.png"))
		Expect(err).NotTo(HaveOccurred())
		picture, err := png.Decode(bytes.NewReader(data))
		Expect(err).NotTo(HaveOccurred())
		Expect(picture.Bounds().Dx()).To(Equal(50))
		Eventually(func(g Gomega) {
			jobs, templates := &platenv1alpha1.RenderJobList{}, &platenv1alpha1.RenderTemplateList{}
			g.Expect(c.List(ctx, jobs, client.InNamespace(w.namespace))).To(Succeed())
			g.Expect(jobs.Items).To(BeEmpty())
			g.Expect(c.List(ctx, templates, client.InNamespace(w.namespace))).To(Succeed())
			g.Expect(templates.Items).To(HaveLen(1), "only the workspace's own")
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
	})
})
