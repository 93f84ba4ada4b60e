// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// withToken sends every request with a token.
type withToken string

func (t withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(t))
	return http.DefaultTransport.RoundTrip(r)
}

var _ = Describe("The MCP endpoint", func() {
	var (
		w *workspace
		p *process
	)
	connect := func(ctx context.Context, token string) *mcp.ClientSession {
		GinkgoHelper()
		assistant := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
		session, err := assistant.Connect(ctx, &mcp.StreamableClientTransport{
			Endpoint: p.url + "/mcp", HTTPClient: &http.Client{Transport: withToken(token)}, DisableStandaloneSSE: true,
		}, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(session.Close)
		return session
	}
	// use calls a tool, and finishes the job that it makes.
	use := func(ctx context.Context, session *mcp.ClientSession, tool string, arguments any) *mcp.CallToolResult {
		GinkgoHelper()
		before, done := len(w.jobs(ctx)), make(chan *mcp.CallToolResult, 1)
		go func() {
			defer GinkgoRecover()
			result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
			Expect(err).NotTo(HaveOccurred())
			done <- result
		}()
		for _, job := range w.await(ctx, before+1) {
			if job.Status.CompletionTime == nil {
				finish(ctx, &job, 1)
			}
		}
		var result *mcp.CallToolResult
		Eventually(done).WithContext(ctx).WithTimeout(timeout).Should(Receive(&result))
		return result
	}
	BeforeEach(func(ctx SpecContext) {
		w = newWorkspace(ctx)
		p = start()
	})

	It("has a tool for each template, and answers with links and pictures", func(ctx SpecContext) {
		template := &platenv1alpha1.RenderTemplate{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "card"}, template)).To(Succeed())
		template.Spec.Parameters[0].Required, template.Spec.Title = new(true), "Summer Card"
		Expect(c.Update(ctx, template)).To(Succeed())
		session := connect(ctx, w.token)
		Eventually(func(g Gomega) {
			listed, err := session.ListTools(ctx, nil)
			g.Expect(err).NotTo(HaveOccurred())
			names, titles, schemas := make([]string, 0, len(listed.Tools)), map[string]string{}, map[string]map[string]any{}
			for _, tool := range listed.Tools {
				titles[tool.Name] = tool.Title
				names = append(names, tool.Name)
				schemas[tool.Name], _ = tool.InputSchema.(map[string]any)
			}
			g.Expect(names).To(ConsistOf("list_templates", "get_job", "render", "render_card"))
			g.Expect(titles["render_card"]).To(Equal("Summer Card"), "the tool keeps the object's name")
			g.Expect(schemas["render_card"]["required"]).To(ConsistOf("headline"))
			g.Expect(schemas["render_card"]["properties"]).To(HaveKeyWithValue("headline", HaveKeyWithValue("description", "What it says")))
		}).WithTimeout(timeout).Should(Succeed()) // the shim's watch lags

		result := use(ctx, session, "render_card", map[string]any{"headline": "Hello", "output.format": "jpg", "output.scale": 2})
		Expect(result.IsError).To(BeFalse())
		Expect(result.Content).To(HaveLen(3))
		job := w.jobs(ctx)[0]
		Expect(result.Content[1]).To(HaveField("URI", job.Status.Pages[0].ContentURL))
		Expect(result.Content[1]).To(HaveField("MIMEType", "image/jpeg"))
		Expect(result.Content[2]).To(HaveField("Data", []byte(picture(1))))
		Expect(string(job.Spec.Modifications.Raw)).To(Equal(`{"headline":"Hello"}`))
		Expect(job.Spec.Output.Scale).To(BeEquivalentTo("2"))

		Expect(use(ctx, session, "render", map[string]any{"template": "25", "modifications": map[string]any{"headline": "x"}}).Content).To(HaveLen(3))
		again, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "get_job", Arguments: map[string]any{"id": job.Name}})
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Content).To(HaveLen(3))
		all, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "list_templates"})
		Expect(err).NotTo(HaveOccurred())
		Expect(all.Content[0]).To(HaveField("Text", ContainSubstring(`"headline"`)))
	})

	It("passes the warnings of a render on", func(ctx SpecContext) {
		session := connect(ctx, w.token)
		done := make(chan *mcp.CallToolResult, 1)
		go func() {
			defer GinkgoRecover()
			result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "render", Arguments: map[string]any{"template": "card", "output.format": "pdf"}})
			Expect(err).NotTo(HaveOccurred())
			done <- result
		}()
		job := w.await(ctx, 1)[0]
		files.Finish(GinkgoTB(), &job, 1, func(page int) []byte { return []byte(picture(page)) })
		job.Status.Warnings = []platenv1alpha1.Warning{{Title: "The PDF was made in RGB, not in CMYK", Details: new("Platen does not convert colours")}}
		Expect(c.Status().Update(ctx, &job)).To(Succeed())
		var result *mcp.CallToolResult
		Eventually(done).WithContext(ctx).WithTimeout(timeout).Should(Receive(&result))
		Expect(result.Content).To(HaveLen(2), "a document is a link alone")
		Expect(result.Content[0]).To(HaveField("Text", ContainSubstring(`"warnings":[{"title":"The PDF was made in RGB, not in CMYK"`)))
	})

	It("says what is wrong in the words of the tool", func(ctx SpecContext) {
		session := connect(ctx, w.token)
		Eventually(func(g Gomega) {
			listed, err := session.ListTools(ctx, nil)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(listed.Tools).To(HaveLen(4))
		}).WithTimeout(timeout).Should(Succeed()) // the shim's watch lags
		for _, call := range []struct {
			tool      string
			arguments any
			want      string
		}{
			{"render", map[string]any{"template": "unknown"}, "Template not found: template: namespace "},
			{"render", map[string]any{"template": "cart"}, "; did you mean 'card'?"},
			{"render", map[string]any{"template": "card", "output.format": "exe"}, "output.format: "},
			{"render", map[string]any{"template": "card", "output.scale": 11}, "output.scale: "},
			{"render", map[string]any{"output.format": "png"}, "template: the id or name of a template is required"},
			{"render", map[string]any{"template": "", "output.format": "png"}, "template: the id or name of a template is required"},
			{"render", map[string]any{"template": "card", "format": "jpg"}, "format: there is no such argument; did you mean output.format"},
			{"render", map[string]any{"template": "card", "modificatons": map[string]any{"headline": "x"}}, "modificatons: there is no such argument; did you mean modifications"}, //nolint:misspell // on purpose
			{"render", map[string]any{"template": "card", "headline": "Hello"}, "headline: there is no such argument; there are modifications, output.fileName, output.format, output.scale, template"},
			{"render_card", map[string]any{"headline": "Hello", "format": "jpg"}, "format: the template has no such value; did you mean output.format"},
			{"render_card", map[string]any{"headline": "Hello", "output.formt": "jpg"}, "output.formt: the template has no such value; did you mean output.format"},
			{"render_card", map[string]any{"headline": []int{1}}, "headline: "},
			{"render_card", json.RawMessage(`{"headline":"first","headline":"second"}`), "headline: is there twice"},
			{"render", json.RawMessage(`{"template":"card","modifications":{"headline":"first","headline":"second"}}`), "modifications.headline: is there twice"},
			{"get_job", map[string]any{"id": "unknown"}, "job-not-found"},
			{"get_job", map[string]any{"id": "../../me"}, "job-not-found"},
			{"get_job", map[string]any{}, "id"},
		} {
			result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: call.tool, Arguments: call.arguments})
			Expect(err).NotTo(HaveOccurred())
			Expect(result.IsError).To(BeTrue(), "%s %v", call.tool, call.arguments)
			Expect(result.Content[0]).To(HaveField("Text", And(ContainSubstring(call.want), Not(ContainSubstring("response.")), Not(ContainSubstring("templateId")))))
		}
		Expect(w.jobs(ctx)).To(BeEmpty())
	})

	It("gives nobody without a token anything, and nobody without rights a template", func(ctx SpecContext) {
		for token, path := range map[string]string{"": "/mcp", "wrong": "/mcp/"} {
			refused := call(ctx, http.MethodPost, p.url+path, token, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "Content-Type", "application/json", "Accept", "application/json, text/event-stream")
			Expect(refused.status).To(Equal(http.StatusUnauthorized))
			Expect(refused.header.Get("WWW-Authenticate")).To(HavePrefix("Bearer"))
		}
		session := connect(ctx, w.account("stranger"))
		listed, err := session.ListTools(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(listed.Tools).To(HaveLen(3))
		result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "render", Arguments: map[string]any{"template": "card"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(result.IsError).To(BeTrue())
		Expect(w.jobs(ctx)).To(BeEmpty())
	})

	It("passes the reference inspector", func(ctx SpecContext) {
		inspector, err := filepath.Abs(filepath.Join("..", "sdk", "node_modules", ".bin", "mcp-inspector"))
		Expect(err).NotTo(HaveOccurred())
		Expect(inspector).To(BeAnExistingFile(), "run `make sdk`, as `make test-unit` does")
		inspect := func(arguments ...string) []byte {
			GinkgoHelper()
			command := exec.CommandContext(ctx, inspector, append([]string{
				"--cli", p.url + "/mcp", "--transport", "http", "--header", "Authorization: Bearer " + w.token,
			}, arguments...)...)
			command.Stderr = GinkgoWriter
			out, err := command.Output()
			Expect(err).NotTo(HaveOccurred(), "%s", out)
			return out
		}
		var listed struct{ Tools []struct{ Name string } }
		Expect(json.Unmarshal(inspect("--method", "tools/list"), &listed)).To(Succeed())
		Expect(listed.Tools).To(HaveLen(4))
		Expect(string(inspect("--method", "tools/call", "--tool-name", "list_templates"))).To(ContainSubstring("card"))
		playManager(w)
		var result struct {
			Content []struct{ Type, URI, MIMEType, Data string }
			IsError bool
		}
		Expect(json.Unmarshal(inspect("--method", "tools/call", "--tool-name", "render_card", "--tool-arg", "headline=Hello World", "output.scale=2"), &result)).To(Succeed())
		Expect(result.IsError).To(BeFalse())
		job := w.jobs(ctx)[0]
		Expect(string(job.Spec.Modifications.Raw)).To(Equal(`{"headline":"Hello World"}`))
		Expect(job.Spec.Output.Scale).To(BeEquivalentTo("2"))
		Expect(result.Content).To(HaveExactElements(
			HaveField("Type", "text"),
			And(HaveField("Type", "resource_link"), HaveField("URI", job.Status.Pages[0].ContentURL), HaveField("MIMEType", "image/png")),
			And(HaveField("Type", "image"), HaveField("Data", base64.StdEncoding.EncodeToString([]byte(picture(1)))), HaveField("MIMEType", "image/png"))))
	})
})
