// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

var _ = Describe("The render cache", func() {
	// render runs a job that uses the cache.
	render := func(ctx SpecContext, w *workspace, name string, change func(*platenv1alpha1.RenderJobSpec)) *platenv1alpha1.RenderJob {
		GinkgoHelper()
		job := w.run(ctx, w.job(name, func(j *platenv1alpha1.RenderJob) {
			j.Spec.Cache = platenv1alpha1.CacheEnabled
			j.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(`{"headline":"Summer"}`)}
			if change != nil {
				change(&j.Spec)
			}
		}))
		Expect(reason(job, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason), "%+v", job.Status)
		return job
	}
	expectRendered := func(job *platenv1alpha1.RenderJob, want platenv1alpha1.CacheResult) {
		GinkgoHelper()
		Expect(job.Status.Cache).To(Equal(want))
		Expect(job.Status.PodName).NotTo(BeEmpty())
		Expect(job.Status.Attempts).To(HaveValue(BeEquivalentTo(1)))
	}

	It("gives a job the files of an earlier one without a pod, and uploads them", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		first := render(ctx, w, "first", nil)
		expectRendered(first, platenv1alpha1.CacheMiss)
		Expect(c.Delete(ctx, first)).To(Succeed())

		later := render(ctx, w, "later", func(s *platenv1alpha1.RenderJobSpec) {
			s.Output.FileName = "other"
			s.Connections = []platenv1alpha1.JobConnection{{
				Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Folder: "/Again",
			}}
		})
		Expect(later.Status.Cache).To(Equal(platenv1alpha1.CacheHit))
		Expect(later.Status.PodName).To(BeEmpty())
		Expect(later.Status.Attempts).To(HaveValue(BeZero()))
		Expect(later.Status.RenderMilliseconds).To(HaveValue(BeZero()))
		Expect(later.Status.Pages[0].SHA256).To(Equal(first.Status.Pages[0].SHA256))
		Expect(later.Status.Connections[0].Pages[0].Path).To(Equal("/Again/other.png"))
		data, _, err := c.Content(ctx, later.Status.Pages[0].ContentURL)
		Expect(err).NotTo(HaveOccurred())
		for _, path := range []string{"/Renders/first.png", "/Again/other.png"} {
			uploaded, err := c.Simulator().File(ctx, w.appKey, path)
			Expect(err).NotTo(HaveOccurred())
			Expect(uploaded).To(Equal(data), path)
		}
	})

	It("is not used for another picture, against a job's will, or by another namespace", func(ctx SpecContext) {
		w, other := newWorkspace(ctx), newWorkspace(ctx)
		expectRendered(render(ctx, w, "first", nil), platenv1alpha1.CacheMiss)
		expectRendered(render(ctx, w, "disabled", func(s *platenv1alpha1.RenderJobSpec) { s.Cache = platenv1alpha1.CacheDisabled }), platenv1alpha1.CacheOff)
		expectRendered(render(ctx, w, "value", func(s *platenv1alpha1.RenderJobSpec) {
			s.Modifications = &apiextensionsv1.JSON{Raw: []byte(`{"headline":"Winter"}`)}
		}), platenv1alpha1.CacheMiss)
		expectRendered(render(ctx, w, "format", func(s *platenv1alpha1.RenderJobSpec) { s.Output.Format = "webp" }), platenv1alpha1.CacheMiss)
		expectRendered(render(ctx, other, "first", nil), platenv1alpha1.CacheMiss)
		template := &platenv1alpha1.RenderTemplate{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "card"}, template)).To(Succeed())
		template.Spec.Pages[0].HTML = strings.Replace(template.Spec.Pages[0].HTML, "255,0,0", "0,128,0", 1)
		Expect(c.Update(ctx, template)).To(Succeed())
		Eventually(func(g Gomega) { // the manager has seen the change
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(template), template)).To(Succeed())
			g.Expect(template.Status.ObservedGeneration).To(HaveValue(Equal(template.Generation)))
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		expectRendered(render(ctx, w, "template", nil), platenv1alpha1.CacheMiss)
		Expect(render(ctx, w, "again", nil).Status.Cache).To(Equal(platenv1alpha1.CacheHit))
	})
})

// bearer sends every request with a token.
type bearer string

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

var _ = Describe("The MCP endpoint", func() {
	It("renders for an assistant, with a link and a picture", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		token, err := c.Designer(ctx, w.namespace, "designer")
		Expect(err).NotTo(HaveOccurred())
		base, err := c.Shim(ctx)
		Expect(err).NotTo(HaveOccurred())
		session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(ctx, &mcp.StreamableClientTransport{
			Endpoint: base + "/mcp", HTTPClient: &http.Client{Transport: bearer(token)}, DisableStandaloneSSE: true,
		}, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(session.Close)
		Eventually(func(g Gomega) { // the shim's watch lags
			listed, err := session.ListTools(ctx, nil)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(listed.Tools).To(ContainElement(HaveField("Name", "render_card")))
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		use := func(arguments map[string]any) []mcp.Content {
			GinkgoHelper()
			result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "render_card", Arguments: arguments})
			Expect(err).NotTo(HaveOccurred())
			Expect(result.IsError).To(BeFalse(), "%+v", result.Content)
			return result.Content
		}
		content := use(map[string]any{"headline": "Hello"})
		Expect(content).To(HaveLen(3))
		link, ok := content[1].(*mcp.ResourceLink)
		Expect(ok).To(BeTrue(), "%T", content[1])
		data, _, err := c.Content(ctx, link.URI)
		Expect(err).NotTo(HaveOccurred())
		Expect(content[2]).To(And(HaveField("Data", data), HaveField("MIMEType", "image/png")))
		Expect(use(map[string]any{"headline": "Hello", "output.format": "pdf"})).To(HaveLen(2), "a document is a link alone")
	})
})
