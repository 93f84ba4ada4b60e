// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
)

// contract is the request of the public API's documentation.
const contract = `{"templateId": 25,
 "modifications": {"headline": "Hello World"},
 "response": {"type": "url", "format": "png", "fileName": "marketing-banner-001"},
 "connections": [{"type": "storage", "provider": "dropbox", "folder": "/Marketing/Campaign-2024"}]}`

// The answers of the public API's documentation.
const (
	onePage = `{"data": {"content": "https://…/abc123.png", "type": "url", "format": "png", "responseTime": 1200.0},
 "connections": [{"type": "storage", "provider": "dropbox", "path": "/Marketing/Campaign-2024/abc123.png", "status": "success"}]}`
	severalPages = `{"data": [{"page": 1, "pageId": "a1b2c3d4-5e6f-7890-abcd-ef1234567890", "content": "https://…/abc123.png"},
          {"page": 2, "pageId": "b2c3d4e5-6f78-9012-bcde-f23456789012", "content": "https://…/def456.png"}],
 "format": "png", "type": "url", "responseTime": 3166.01, "totalPages": 2, "renderedPages": 2,
 "connections": [{"type": "storage", "provider": "dropbox", "status": "success",
                  "path": [{"page": 1, "path": "/Renders/template_page_1.png"}, {"page": 2, "path": "/Renders/template_page_2.png"}]}]}`
	uploadFailed = `{"data": {"content": "https://…/abc123.png", "type": "url", "format": "png", "responseTime": 1200.0},
 "warnings": [{"title": "Failed to upload to dropbox: Token expired", "details": ""}],
 "connections": [{"type": "storage", "provider": "dropbox", "path": null, "status": "error", "error": "Token expired"}]}`
	notConnected = `{"data": {"content": "https://…/abc123.png", "type": "url", "format": "png", "responseTime": 1200.0},
 "warnings": [{"title": "Dropbox connection not found for this workspace", "details": ""}]}`
)

// varies lists the fields whose values differ between an example and an answer.
var varies = map[string]bool{"content": true, "path": true, "pageId": true, "responseTime": true}

// shape keeps the names and values of JSON. Where values vary it keeps their type.
func shape(value any, name string) any {
	switch value := value.(type) {
	case map[string]any:
		object := map[string]any{}
		for key, field := range value {
			object[key] = shape(field, key)
		}
		return object
	case []any:
		list := make([]any, 0, len(value))
		for _, item := range value {
			list = append(list, shape(item, ""))
		}
		return list
	case string:
		if varies[name] {
			return "(a string)"
		}
	case float64:
		if varies[name] {
			return "(a number)"
		}
	}
	return value
}

// expectShape compares an answer structurally with an example.
func expectShape(answer []byte, example string) map[string]any {
	GinkgoHelper()
	var got, want map[string]any
	Expect(json.Unmarshal(answer, &got)).To(Succeed(), "%s", answer)
	Expect(json.Unmarshal([]byte(example), &want)).To(Succeed())
	Expect(cmp.Diff(shape(want, ""), shape(got, ""))).To(BeEmpty(), "%s", answer)
	return got
}

// at returns the value at a path of names and numbers in JSON.
func at(value any, path ...any) any {
	GinkgoHelper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, ok := value.(map[string]any)
			Expect(ok).To(BeTrue(), "%v has no %s", value, step)
			value = object[step]
		case int:
			list, ok := value.([]any)
			Expect(ok).To(BeTrue(), "%v is no list", value)
			value = list[step]
		}
	}
	return value
}

var _ = Describe("The REST shim", func() {
	designer := func(ctx SpecContext, w *workspace) string {
		GinkgoHelper()
		token, err := c.Designer(ctx, w.namespace, "designer")
		Expect(err).NotTo(HaveOccurred())
		return token
	}
	call := func(ctx context.Context, method, path, token, body string, header ...string) (status int, contentType string, answer []byte) {
		GinkgoHelper()
		base, err := c.Shim(ctx)
		Expect(err).NotTo(HaveOccurred())
		r, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
		Expect(err).NotTo(HaveOccurred())
		r.Header.Set("Authorization", "Bearer "+token)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = resp.Body.Close() }()
		answer, err = io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		return resp.StatusCode, resp.Header.Get("Content-Type"), answer
	}
	// render sends a request that must succeed.
	render := func(ctx context.Context, token, body string) []byte {
		GinkgoHelper()
		status, contentType, answer := call(ctx, http.MethodPost, "/v1/studio/render", token, body)
		Expect(status).To(Equal(http.StatusOK), "%s", answer)
		Expect(contentType).To(Equal("application/json"))
		return answer
	}
	// banner creates the template of the examples, with a page of each name.
	banner := func(ctx SpecContext, w *workspace, pages ...string) {
		GinkgoHelper()
		template := &platenv1alpha1.RenderTemplate{}
		template.Name, template.Spec.TemplateID = "banner", new(int64(25))
		for _, name := range pages {
			template.Spec.Pages = append(template.Spec.Pages, platenv1alpha1.TemplatePage{
				Name: name, Width: 300, Height: 100, HTML: `<h1 data-param="headline">Headline</h1>`,
			})
		}
		w.create(ctx, template)
	}

	It("answers as the public API does: one page uploaded", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		banner(ctx, w, "front")
		got := expectShape(render(ctx, designer(ctx, w), contract), onePage)
		const path = "/Marketing/Campaign-2024/marketing-banner-001.png"
		Expect(at(got, "connections", 0, "path")).To(Equal(path))
		content, ok := at(got, "data", "content").(string)
		Expect(ok).To(BeTrue())
		data, _, err := c.Content(ctx, content)
		Expect(err).NotTo(HaveOccurred())
		uploaded, err := c.Simulator().File(ctx, w.appKey, path)
		Expect(err).NotTo(HaveOccurred())
		Expect(uploaded).To(Equal(data))
	})

	It("answers as the public API does: several pages", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		banner(ctx, w, "front", "back")
		got := expectShape(render(ctx, designer(ctx, w), `{"templateId":"25","response":{"fileName":"template"}}`), severalPages)
		Expect(at(got, "connections", 0, "path", 1, "path")).To(Equal("/Renders/template_page_2.png"))
		Expect(at(got, "data", 0, "pageId")).To(MatchRegexp(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`))
	})

	It("answers as the public API does: upload failed", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.setAccount(ctx, func(a *dropboxsim.Account) { a.Revoked = true })
		w.create(ctx, w.secret())
		w.connect(ctx, func(*platenv1alpha1.StorageConnection) {})
		banner(ctx, w, "front")
		expectShape(render(ctx, designer(ctx, w), contract), uploadFailed)
	})

	It("answers as the public API does: not connected", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		banner(ctx, w, "front")
		expectShape(render(ctx, designer(ctx, w), contract), notConnected)
	})

	It("sends the picture itself, and renders once for one idempotency key", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		bearer := designer(ctx, w)
		const request = `{"templateId": "card", "response": {"type": "binary"}}`
		for range 2 {
			status, contentType, answer := call(ctx, http.MethodPost, "/v1/studio/render", bearer, request, "Idempotency-Key", "order-17")
			Expect(status).To(Equal(http.StatusOK), "%s", answer)
			Expect(contentType).To(Equal("image/png"))
			picture, err := png.Decode(bytes.NewReader(answer))
			Expect(err).NotTo(HaveOccurred())
			Expect(picture.Bounds().Dx()).To(Equal(400))
		}
		jobs := &platenv1alpha1.RenderJobList{}
		Expect(c.List(ctx, jobs, client.InNamespace(w.namespace))).To(Succeed())
		Expect(jobs.Items).To(HaveLen(1))
		status, _, _ := call(ctx, http.MethodPost, "/v1/studio/render", bearer, `{"templateId":"card"}`, "Idempotency-Key", "order-17")
		Expect(status).To(Equal(http.StatusConflict))
	})

	It("says that a document in CMYK was made in RGB", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		var answer struct {
			Data     struct{ Format string }
			Warnings []struct{ Title string }
		}
		Expect(json.Unmarshal(render(ctx, designer(ctx, w), `{"templateId":"card","response":{"format":"pdf","pdfOptions":{"colorMode":"CMYK","title":"Card"}}}`), &answer)).To(Succeed())
		Expect(answer.Data.Format).To(Equal("pdf"))
		const title = "The PDF was made in RGB, not in CMYK"
		Expect(answer.Warnings).To(ContainElement(HaveField("Title", title)))
		jobs := &platenv1alpha1.RenderJobList{}
		Expect(c.List(ctx, jobs, client.InNamespace(w.namespace))).To(Succeed())
		Expect(warnings(&jobs.Items[0])).To(ContainElement(title))
	})

	It("answers while a job is processed, and at its end", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		bearer := designer(ctx, w)
		status, _, answer := call(ctx, http.MethodPost, "/v1/studio/render", bearer, `{"templateId":"card","response":{"mode":"async"}}`)
		Expect(status).To(Equal(http.StatusAccepted))
		var job map[string]any
		Expect(json.Unmarshal(answer, &job)).To(Succeed())
		Expect(job).To(And(HaveKey("id"), HaveKey("status"), HaveKeyWithValue("finished", false), HaveKey("self")))
		self, ok := job["self"].(string)
		Expect(ok).To(BeTrue())
		Eventually(func(g Gomega) {
			status, _, answer := call(ctx, http.MethodGet, self, bearer, "")
			g.Expect(status).To(Equal(http.StatusOK))
			g.Expect(json.Unmarshal(answer, &job)).To(Succeed())
			g.Expect(job["finished"]).To(BeTrue())
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		Expect(job["status"]).To(Equal("succeeded"))
		result, err := json.Marshal(job["result"])
		Expect(err).NotTo(HaveOccurred())
		expectShape(result, `{"data": {"content": "https://…", "type": "url", "format": "png", "responseTime": 1}}`)
	})

	It("stops a job that is canceled while it renders, and can start it again", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		bearer := designer(ctx, w)
		slow := &platenv1alpha1.RenderTemplate{}
		slow.Name = "slow"
		slow.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 10, Height: 10, HTML: `<p data-platen-ready="false">never</p>`}}
		w.create(ctx, slow)
		_, _, answer := call(ctx, http.MethodPost, "/v1/studio/render", bearer, `{"templateId":"slow","response":{"mode":"async"}}`)
		var job map[string]any
		Expect(json.Unmarshal(answer, &job)).To(Succeed())
		self, ok := job["self"].(string)
		Expect(ok).To(BeTrue())
		is := func(status string) func(Gomega) {
			return func(g Gomega) {
				_, _, answer := call(ctx, http.MethodGet, self, bearer, "")
				g.Expect(json.Unmarshal(answer, &job)).To(Succeed())
				g.Expect(job["status"]).To(Equal(status))
			}
		}
		Eventually(is("processing")).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		status, _, answer := call(ctx, http.MethodPost, self+"/cancel", bearer, "")
		Expect(status).To(Equal(http.StatusOK), "%s", answer)
		Eventually(is("canceled")).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		status, _, answer = call(ctx, http.MethodPost, self+"/cancel", bearer, "")
		Expect(status).To(Equal(http.StatusConflict))
		Expect(string(answer)).To(ContainSubstring(`"error":"job-already-finished"`))
	})

	It("works with the public SDK: base64, url, binary and signed URLs", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		base, err := c.Shim(ctx)
		Expect(err).NotTo(HaveOccurred())
		script := filepath.Join("..", "sdk", "render.js")
		Expect(filepath.Join("..", "sdk", "node_modules", "orshot")).To(BeADirectory(), "run `make sdk`, as `make test-e2e` does")
		command := exec.CommandContext(ctx, "node", script)
		command.Env = append(os.Environ(), "PLATEN_URL="+base, "PLATEN_TOKEN="+designer(ctx, w))
		var stderr bytes.Buffer
		command.Stderr = &stderr
		out, err := command.Output()
		Expect(err).NotTo(HaveOccurred(), "%s", stderr.String())
		var got map[string]any
		Expect(json.Unmarshal(out, &got)).To(Succeed(), "%s", out)

		encoded, ok := at(got, "base64", "data", "content").(string)
		Expect(ok).To(BeTrue())
		picture, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(encoded, "data:image/png;base64,"))
		Expect(err).NotTo(HaveOccurred())
		_, err = png.Decode(bytes.NewReader(picture))
		Expect(err).NotTo(HaveOccurred())
		Expect(at(got, "base64", "connections", 0, "status")).To(Equal("success"))
		content, ok := at(got, "url", "data", "content").(string)
		Expect(ok).To(BeTrue())
		_, contentType, err := c.Content(ctx, content)
		Expect(err).NotTo(HaveOccurred())
		Expect(contentType).To(Equal("image/webp"))
		// The same template and modifications give the same picture in every response type.
		digest := sha256.Sum256(picture)
		for _, name := range []string{"binary", "opened"} {
			Expect(got[name]).To(And(HaveKeyWithValue("status", 200.0), HaveKeyWithValue("type", "image/png"),
				HaveKeyWithValue("sha256", hex.EncodeToString(digest[:]))), name)
		}
		Expect(got["pdf"]).To(HaveKeyWithValue("type", "application/pdf"))
		Expect(got["refused"]).To(Equal("Failed to fetch image: 401"))
	})

	It("leaves no job of a request that the manager refuses for its own limits", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		status, _, answer := call(ctx, http.MethodPost, "/v1/studio/render", designer(ctx, w), `{"templateId":"card","response":{"size":"5000x5000","scale":4}}`)
		Expect(status).To(Equal(http.StatusBadRequest), "%s", answer)
		Expect(string(answer)).To(ContainSubstring("response.scale: page 1 would have 400000000 pixels"))
		Eventually(func(g Gomega) {
			jobs := &platenv1alpha1.RenderJobList{}
			g.Expect(c.List(ctx, jobs, client.InNamespace(w.namespace))).To(Succeed())
			g.Expect(jobs.Items).To(BeEmpty())
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
	})

	It("refuses callers without rights, and creates nothing", func(ctx SpecContext) {
		w, other := newWorkspace(ctx), newWorkspace(ctx)
		bearer := designer(ctx, w)
		reader, err := c.Account(ctx, other.namespace, "reader", rbacv1.PolicyRule{
			APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"rendertemplates"}, Verbs: []string{"list"},
		})
		Expect(err).NotTo(HaveOccurred())
		const request = `{"templateId":"card"}`
		expect := func(want int, token, body string, header ...string) {
			GinkgoHelper()
			status, _, answer := call(ctx, http.MethodPost, "/v1/studio/render", token, body, header...)
			Expect(status).To(Equal(want), "%s", answer)
			var problem map[string]string
			Expect(json.Unmarshal(answer, &problem)).To(Succeed())
			Expect(problem["error"]).NotTo(BeEmpty())
		}
		expect(http.StatusUnauthorized, "", request)
		expect(http.StatusUnauthorized, "made-up", request)
		expect(http.StatusForbidden, bearer, request, "X-Workspace", other.namespace)
		expect(http.StatusForbidden, reader, request)
		expect(http.StatusForbidden, bearer, `{"templateId":99}`)
		expect(http.StatusBadRequest, bearer, `{"templateId":"card","response":{"scale":"big"}}`)
		expect(http.StatusBadRequest, bearer, `{"templateId":"card","response":{"format":"bmp"}}`)
		expect(http.StatusBadRequest, bearer, `{"templateId":"card","connections":[{"type":"storage","provider":"dropbox","folder":"/a/../b"}]}`)
		expect(http.StatusRequestEntityTooLarge, bearer, `{"templateId":"card","modifications":{"a":"`+strings.Repeat("x", 3<<20)+`"}}`)
		for _, namespace := range []string{w.namespace, other.namespace} {
			jobs := &platenv1alpha1.RenderJobList{}
			Expect(c.List(ctx, jobs, client.InNamespace(namespace))).To(Succeed())
			Expect(jobs.Items).To(BeEmpty())
		}
	})
})
