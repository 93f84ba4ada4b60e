// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/suite"
)

const render = "/v1/studio/render"

var _ = Describe("Rendering", func() {
	var (
		w *workspace
		p *process
	)
	BeforeEach(func(ctx SpecContext) {
		w = newWorkspace(ctx)
		p = start()
	})
	// rendered makes a request and finishes its job.
	rendered := func(ctx context.Context, pages int, path, body string, header ...string) answer {
		GinkgoHelper()
		answers := make(chan answer, 1)
		before := len(w.jobs(ctx))
		go func() {
			defer GinkgoRecover()
			answers <- call(ctx, http.MethodPost, p.url+path, w.token, body, header...)
		}()
		jobs := w.await(ctx, before+1)
		for i := range jobs {
			if jobs[i].Status.CompletionTime == nil {
				finish(ctx, &jobs[i], pages)
			}
		}
		var a answer
		Eventually(answers).WithContext(ctx).WithTimeout(timeout).Should(Receive(&a))
		return a
	}

	It("waits for the job, and gives the same answer to a repeated key, also after a crash", func(ctx SpecContext) {
		const body = `{"templateId": "25", "modifications": {"headline": "Hello"}, "colour": "red"}`
		first := rendered(ctx, 1, render, body, "Idempotency-Key", "order-17", "X-Request-Id", "mine-1")
		Expect(first.status).To(Equal(http.StatusOK), "%s", first.body)
		Expect(first.header.Get("X-Request-Id")).To(Equal("mine-1"))
		Expect(first.header.Get("X-Platen-Job")).To(Equal(w.jobs(ctx)[0].Name))
		Expect(first.json()["warnings"]).To(HaveLen(1))
		Expect(first.json()["data"]).To(HaveKeyWithValue("responseTime", 120.0))
		data, _ := first.json()["data"].(map[string]any)
		Expect(data["content"]).To(HavePrefix(files.Users.URL + "/files/content/"))
		Expect(string(call(ctx, http.MethodGet, fmt.Sprint(data["content"]), "", "").body)).To(Equal(picture(1)))

		repeated := call(ctx, http.MethodPost, p.url+render, w.token, body, "Idempotency-Key", "order-17")
		p.Kill().Wait(timeout)
		p = start()
		after := call(ctx, http.MethodPost, p.url+render, w.token, body, "Idempotency-Key", "order-17")
		Expect(string(repeated.body)).To(Equal(string(first.body)))
		Expect(string(after.body)).To(Equal(string(first.body)))
		Expect(w.jobs(ctx)).To(HaveLen(1))

		expectError(call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId": 25}`, "Idempotency-Key", "order-17"), http.StatusConflict)
		expectError(call(ctx, http.MethodPost, p.url+"/v1/generate/images/card", w.token, body, "Idempotency-Key", "order-17"), http.StatusConflict)
		expectError(call(ctx, http.MethodPost, p.url+render, w.token, body, "Idempotency-Key", strings.Repeat("x", 256)), http.StatusBadRequest)
	})

	It("answers a repeated key of an asynchronous request with what has become of the job", func(ctx SpecContext) {
		for _, kind := range []string{"url", "base64"} {
			body := `{"templateId": "25", "colour": "red", "response": {"mode": "async", "type": "` + kind + `"}}`
			first := rendered(ctx, 1, render, body, "Idempotency-Key", kind)
			Expect(first.status).To(Equal(http.StatusAccepted), "%s", first.body)
			Expect(first.json()).To(And(HaveKeyWithValue("warnings", HaveLen(1)), Not(HaveKey("result"))))
			id := fmt.Sprint(first.json()["id"])
			var again answer
			Eventually(func() any {
				again = call(ctx, http.MethodPost, p.url+render, w.token, body, "Idempotency-Key", kind)
				return again.json()["status"]
			}).WithContext(ctx).WithTimeout(timeout).Should(Equal("succeeded"))
			Expect(again.status).To(Equal(http.StatusAccepted))
			Expect(again.header.Get("Location")).To(Equal("/v1/studio/render-jobs/" + id))
			Expect(again.body).To(MatchJSON(call(ctx, http.MethodGet, p.url+"/v1/studio/render-jobs/"+id, w.token, "").body))
			Expect(again.json()["result"]).To(HaveKeyWithValue("warnings", HaveLen(1)))
		}
	})

	It("keeps the keys of callers apart", func(ctx SpecContext) {
		const body = `{"templateId": 25}`
		Expect(rendered(ctx, 1, render, body, "Idempotency-Key", "k").status).To(Equal(http.StatusOK))
		other := w.account("other", designer...)
		a := call(ctx, http.MethodPost, p.url+render, other, body, "Idempotency-Key", "k", "Prefer", "wait=0")
		Expect(a.status).To(Equal(http.StatusAccepted), "%s", a.body)
		Expect(w.jobs(ctx)).To(HaveLen(2))
	})

	It("creates no job for a request that it refuses", func(ctx SpecContext) {
		strict := &platenv1alpha1.RenderTemplate{}
		strict.Namespace, strict.Name = w.namespace, "strict"
		strict.Spec.DynamicURLs.Policy = platenv1alpha1.DynamicURLsEnabled
		strict.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "price", Type: "number", Required: new(true)}, {Name: "due", Type: "date"}, {Name: "note"}}
		strict.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 4000, Height: 200, HTML: "<h1>"}}
		Expect(c.Create(ctx, strict)).To(Succeed())
		for rest, want := range map[string]string{
			`}`:                                 "modifications.price is required by the template",
			`,"modifications":{"price":"12€"}}`: `modifications.price: "12€" must be a number`,
			`,"modifications":{"due":"soon"}}`:  `modifications.due: "soon" must be a date, such as 2026-11-26, or a time, such as 2026-11-26T09:30:00Z; modifications.price is required by the template`,
			`,"modifications":{"price":1,"due":"soon"}}`:                                                           `modifications.due: "soon" must be a date`,
			`,"modifications":{"price":1},"response":{"includePages":[2]}}`:                                        "response.includePages[0]: 2 must be from 1 to 1",
			`,"modifications":{"price":1},"response":{"includePages":[0]}}`:                                        "response.includePages[0]: 0 must be from 1 to 1",
			`,"modifications":{"price":1},"response":{"format":"pdf"},"pdfOptions":{"rangeFrom":3}}`:               "pdfOptions.rangeFrom: 3 must be at most 1",
			`,"modifications":{"price":1},"response":{"format":"webp","scale":5}}`:                                 "response.format: page 1 would be 20000x1000 pixels",
			`,"modifications":{"price":1},"response":{"scale":0}}`:                                                 "response.scale: '0' must be a decimal number from 0.1 to 10",
			`,"modifications":{"price":1},"response":{"size":"nowhere"}}`:                                          "response.size: ",
			`,"modifications":{"price":1},"response":{"format":"mp4"},"videoOptions":{"trimStart":5,"trimEnd":2}}`: "videoOptions.trimEnd",
			`,"modifications":{"price":1},"response":{"format":"bmp"}}`:                                            "response.format",
			`,"modifications":{"price":1},"response":{"fileName":"a/b"}}`:                                          "response.fileName",
			`,"modifications":{"price":1},"response":{"quality":101}}`:                                             "response.quality",
		} {
			for _, path := range []string{render, "/v1/generate/images", "/v1/signed-url/create"} {
				if path == "/v1/signed-url/create" && strings.Contains(rest, `"response"`) {
					continue
				}
				a := call(ctx, http.MethodPost, p.url+path, w.token, `{"templateId":"strict"`+rest)
				expectError(a, http.StatusBadRequest)
				Expect(a.json()["error"]).To(ContainSubstring(want), "%s %s", path, rest)
			}
			if strings.Contains(rest, `"response":{"`) {
				rest = strings.Replace(rest, `"response":{`, `"response":{"mode":"async",`, 1)
				expectError(call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"strict"`+rest), http.StatusBadRequest)
			}
		}
		By("naming all mistakes at once, whoever finds them: the shape of fields, their values, the workspace, the template, the API server")
		all := call(ctx, http.MethodPost, p.url+render+"?cache=maybe", w.token, `{"templateId":"strict","modifications":{"due":"soon"},"webhook":"ftp://a.example/",`+
			`"response":{"scale":"big","quality":101,"mode":"later","includePages":[2]},"connections":[{"provider":"dropbox"},{"provider":"nowhere"}]}`, "Prefer", "wait=x")
		expectError(all, http.StatusBadRequest)
		for _, want := range []string{
			"Prefer: wait=x must be a number of seconds", "response.scale: must be a number, not \"big\"", "cache: 'maybe' must be true or false", "webhook: must be an http or https URL", "response.mode: 'later' must be",
			"connections[1].provider: 'nowhere' must be", "response.includePages[0]: 2 must be from 1 to 1",
			`modifications.due: "soon" must be a date`, "modifications.price is required by the template",
		} {
			Expect(all.json()["error"]).To(ContainSubstring(want))
		}
		Expect(strings.Count(fmt.Sprint(all.json()["error"]), "response.scale")).To(Equal(1))
		fewer := call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"strict","modifications":{"due":"soon"},"response":{"quality":101}}`)
		expectError(fewer, http.StatusBadRequest)
		for _, want := range []string{`modifications.due: "soon" must be a date`, "modifications.price is required by the template", "response.quality: must be at most 100, not 101"} {
			Expect(fewer.json()["error"]).To(ContainSubstring(want))
		}
		lists := call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"strict","modifications":[{"name":"price","text":"x"},{"text":"y"},"z"],`+
			`"connections":[null,{"provider":{}},{"provider":"nowhere"},{"provider":"dropbox","folder":"a\\b"}],"response":{"includePages":["a",1,1,9],"extraSizes":[{"width":5},"6000x5"]}}`)
		expectError(lists, http.StatusBadRequest)
		said := strings.ReplaceAll(fmt.Sprint(lists.json()["error"]), "; it may", ", it may")
		Expect(strings.Split(said, "; ")).To(ConsistOf(
			HavePrefix("connections[1].provider: must be a string"), HavePrefix("connections[2].provider: 'nowhere' must be"), HavePrefix("connections[3].folder: "),
			HavePrefix("modifications[1].name: must be the key"), HavePrefix("modifications[2]: must be an object"), HavePrefix(`modifications.price: "x" must be a number`),
			HavePrefix("response.includePages[0]: must be a whole number"), HavePrefix("response.includePages[3]: 9 must be from 1 to 1"),
			HavePrefix("response.extraSizes[0]: must have a width"), HavePrefix("response.extraSizes[1]: '6000x5' must be")))
		nameless := call(ctx, http.MethodPost, p.url+render, w.token, `{"response":{"mode":"later"}}`)
		expectError(nameless, http.StatusBadRequest)
		Expect(nameless.json()["error"]).To(Equal("response.mode: 'later' must be sync or async; templateId: the number or the name of a template is required in the request body"))
		unknown := call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"strikt","response":{"mode":"later"}}`)
		expectError(unknown, http.StatusBadRequest)
		Expect(unknown.json()["error"]).To(HavePrefix("response.mode: 'later' must be sync or async; templateId: namespace '" + w.namespace + "' has no RenderTemplate with the id, name or title 'strikt'"))
		signed := call(ctx, http.MethodPost, p.url+"/v1/signed-url/create", w.token, `{"templateId":"strict","renderType":"films","responseFormat":"bmp","expiresAt":1,"modifications":{"due":"soon"}}`)
		expectError(signed, http.StatusBadRequest)
		for _, want := range []string{"renderType: 'films' must be", "responseFormat: 'bmp' must be", "expiresAt: must be", "modifications.due: ", "modifications.price is required"} {
			Expect(signed.json()["error"]).To(ContainSubstring(want))
		}

		refused := call(ctx, http.MethodPost, p.url+"/v1/signed-url/create", w.token, `{"templateId":"strict","modifications":{"price":1},"responseFormat":"bmp"}`)
		expectError(refused, http.StatusBadRequest)
		Expect(refused.json()["error"]).To(HavePrefix("responseFormat: 'bmp' must be png, jpg"))
		for rest, want := range map[string]string{
			`"modifications":{"price":1,"note":["a"],"due":{"b":2}}`:                 `modifications.due: {"b":2} must be a date, such as 2026-11-26, or a time, such as 2026-11-26T09:30:00Z; modifications.note: ["a"] must be a string or a number`,
			`"open":["page1@price"],"modifications":{"due":"soon","note":{"a":"b"}}`: `modifications.note: {"a":"b"} must be a string or a number`,
			`"open":["due"]`: "modifications.price is required by the template",
		} {
			refused := call(ctx, http.MethodPost, p.url+"/v1/studio/dynamic-url", w.token, `{"templateId":"strict",`+rest+`}`)
			expectError(refused, http.StatusBadRequest)
			Expect(refused.json()["error"]).To(ContainSubstring(want), rest)
		}
		a := call(ctx, http.MethodPost, p.url+"/v1/studio/dynamic-url", w.token, `{"templateId":"strict","open":["price"]}`)
		dynamic, _ := a.json()["data"].(string)
		expectError(call(ctx, http.MethodGet, dynamic+"&price=cheap", "", ""), http.StatusBadRequest)
		for rest, want := range map[string]string{
			`,"page":2,"quality":101,"expiresAt":1,"name":"x","modifications":{"due":"soon"}}`: `page: must be 1; quality: must be a whole number from 1 to 100; modifications.due: "soon" must be`,
			`,"page":2,"modifications":{"quality":5,"price":1}}`:                               "modifications.quality: cannot be in a dynamic URL, whose own parameter has this name; page: must be 1",
			`,"page":2,"quality":101,"expiresAt":2}`:                                           "expiresAt: must be a Unix time in the future, in seconds or milliseconds; page: must be 1; quality: ",
			`}`:                                                                                "modifications.price is required", `,"page":2,"modifications":{"price":1}}`: "page: must be 1",
			`,"quality":101,"modifications":{"price":1}}`: "quality: must be a whole number from 1 to 100", `,"quality":101,"open":["price"]}`: "quality: must be",
		} {
			refused := call(ctx, http.MethodPost, p.url+"/v1/studio/dynamic-url", w.token, `{"templateId":"strict"`+rest)
			expectError(refused, http.StatusBadRequest)
			Expect(refused.json()["error"]).To(ContainSubstring(want), rest)
		}
		Expect(w.jobs(ctx)).To(BeEmpty())
	})

	It("takes a request that only the last change of the template allows", func(ctx SpecContext) {
		card := &platenv1alpha1.RenderTemplate{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "card"}, card)).To(Succeed())
		for n := range 5 {
			card.Spec.Pages = append(card.Spec.Pages, platenv1alpha1.TemplatePage{Name: fmt.Sprint("page-", n), Width: 400, Height: 200, HTML: "<h1>"})
			Expect(c.Update(ctx, card)).To(Succeed())
			a := call(ctx, http.MethodPost, p.url+render, w.token, fmt.Sprintf(`{"templateId":"card","response":{"mode":"async","includePages":[%d]}}`, n+2))
			Expect(a.status).To(Equal(http.StatusAccepted), "%s", a.body)
		}
	})

	It("has the job deleted soon that the manager refuses for its own limits, also if the caller may only create", func(ctx SpecContext) {
		creator := w.account("creator", rbacv1.PolicyRule{
			APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs"}, Verbs: []string{"create"},
		}, rbacv1.PolicyRule{
			APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"rendertemplates"}, Verbs: []string{"get", "list"},
		})
		answers := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			answers <- call(ctx, http.MethodPost, p.url+render, creator, `{"templateId":"card"}`)
		}()
		job := w.await(ctx, 1)[0]
		Expect(job.Annotations).To(HaveKeyWithValue(platenv1alpha1.RefusedTTLAnnotation, "10"))
		job.Status.ObservedGeneration = new(job.Generation)
		suite.SetCondition(&job, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, platenv1alpha1.InvalidSpecReason, "spec.output.scale: too large")
		suite.SetCondition(&job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, platenv1alpha1.FailedReason, "")
		Expect(c.Status().Update(ctx, &job)).To(Succeed())
		var a answer
		Eventually(answers).WithContext(ctx).WithTimeout(timeout).Should(Receive(&a))
		expectError(a, http.StatusBadRequest)
		Expect(a.json()["error"]).To(Equal("response.scale: too large"))

		By("keeping what has to tell more than its answer")
		for _, body := range []string{`,"response":{"mode":"async"}`, `,"webhook":"https://example.com/"`} {
			a := call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"card"`+body+`}`, "Prefer", "wait=0")
			Expect(a.status).To(Equal(http.StatusAccepted), "%s", a.body)
			accepted := &platenv1alpha1.RenderJob{}
			Expect(c.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: fmt.Sprint(a.json()["id"])}, accepted)).To(Succeed())
			Expect(accepted.Annotations).NotTo(HaveKey(platenv1alpha1.RefusedTTLAnnotation))
		}
		a = call(ctx, http.MethodPost, p.url+"/v1/signed-url/create", w.token, `{"templateId":"card"}`)
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		Expect(w.jobs(ctx)).To(ContainElement(HaveField("ObjectMeta.Annotations", HaveKeyWithValue(platenv1alpha1.RefusedTTLAnnotation, "3600"))))
	})

	It("answers 202 after the wait, and keeps the job of a caller that is gone", func(ctx SpecContext) {
		a := call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"card"}`, "Prefer", "wait=0")
		Expect(a.status).To(Equal(http.StatusAccepted))
		Expect(a.json()).To(And(HaveKeyWithValue("status", "queued"), HaveKeyWithValue("finished", false)))
		Expect(a.header.Get("Preference-Applied")).To(Equal("wait=0"))
		expectError(call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"card"}`, "Prefer", "wait=601"), http.StatusBadRequest)

		leaving, leave := context.WithCancel(ctx)
		gone := make(chan error, 1)
		go func() {
			_, err := try(leaving, http.MethodPost, p.url+render, w.token, `{"templateId":"card"}`)
			gone <- err
		}()
		jobs := w.await(ctx, 2)
		leave()
		Eventually(gone).Should(Receive(HaveOccurred()))
		for i := range jobs {
			finish(ctx, &jobs[i], 1)
			self := "/v1/studio/render-jobs/" + jobs[i].Name
			Eventually(func() any { return call(ctx, http.MethodGet, p.url+self, w.token, "").json()["status"] }).
				WithContext(ctx).WithTimeout(timeout).Should(Equal("succeeded"))
		}
		a = call(ctx, http.MethodPost, p.url+"/v1/generate/images/card", w.token, `{}`, "Prefer", "respond-async")
		Expect(a.status).To(Equal(http.StatusAccepted), "%s", a.body)
		Expect(a.header.Get("Preference-Applied")).To(Equal("respond-async"))
		Expect(a.header.Get("Location")).To(Equal("/v1/studio/render-jobs/" + fmt.Sprint(a.json()["id"])))
		Expect(a.header.Get("X-Platen-Job")).To(Equal(a.json()["id"]))
	})

	It("answers waiting requests when it shuts down", func(ctx SpecContext) {
		answers := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			answers <- call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"card"}`)
		}()
		job := w.await(ctx, 1)[0]
		p.Interrupt()
		var a answer
		Eventually(answers).WithContext(ctx).WithTimeout(timeout).Should(Receive(&a))
		Expect(a.status).To(Equal(http.StatusAccepted), "%s", a.body)
		Expect(a.json()).To(HaveKeyWithValue("id", job.Name))
		Eventually(p.Session).WithTimeout(timeout).Should(gexec.Exit(0))
	})

	It("sends files as base64, as they are, or as a ZIP archive", func(ctx SpecContext) {
		inline := "data:image/png;base64," + base64.StdEncoding.EncodeToString([]byte(picture(1)))
		a := rendered(ctx, 1, render, `{"templateId":"card","response":{"type":"base64"}}`)
		Expect(a.json()["data"]).To(And(HaveKeyWithValue("content", inline), HaveKeyWithValue("type", "base64")))

		a = rendered(ctx, 2, render, `{"templateId":"card","response":{"type":"base64"}}`)
		data, ok := a.json()["data"].([]any)
		Expect(ok).To(BeTrue(), "%s", a.body)
		Expect(data).To(HaveLen(2))
		Expect(data[0]).To(HaveKeyWithValue("content", inline))
		Expect(data[1]).To(HaveKeyWithValue("content", "data:image/png;base64,"+base64.StdEncoding.EncodeToString([]byte(picture(2)))))
		Expect(a.json()).To(HaveKeyWithValue("totalPages", 2.0))

		a = rendered(ctx, 1, render, `{"templateId":"card","response":{"type":"binary"}}`)
		Expect(string(a.body)).To(Equal(picture(1)))
		Expect(a.header.Get("Content-Type")).To(Equal("image/png"))

		a = rendered(ctx, 2, render, `{"templateId":"card","response":{"type":"binary","fileName":"größe\";x=\"1"}}`)
		Expect(a.header.Get("Content-Type")).To(Equal("application/zip"))
		Expect(a.header.Get("Content-Disposition")).NotTo(ContainSubstring(`;x="1`))
		archive, err := zip.NewReader(bytes.NewReader(a.body), int64(len(a.body)))
		Expect(err).NotTo(HaveOccurred())
		Expect(archive.File).To(HaveLen(2))
		second, err := archive.File[1].Open()
		Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(second)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(content)).To(Equal(picture(2)))
		Expect(archive.File[1].Name).To(Equal("größe\";x=\"1_page_2.png"))
	})

	It("sends large files as they are, and the URLs of those that are too large for base64", func(ctx SpecContext) {
		for kind, is := range map[string]func(answer) error{
			"binary": func(a answer) error {
				if string(a.body) != picture(1) {
					return fmt.Errorf("%d %s", a.status, a.body)
				}
				return nil
			},
			"base64": func(a answer) error {
				var body struct {
					Data     struct{ Type, Content string }
					Warnings []struct{ Title string }
				}
				if err := json.Unmarshal(a.body, &body); err != nil {
					return err
				}
				if a.status != http.StatusOK || body.Data.Type != "url" || !strings.HasPrefix(body.Data.Content, "http") || len(body.Warnings) != 1 {
					return fmt.Errorf("%d %s", a.status, a.body)
				}
				return nil
			},
		} {
			body, key := `{"templateId":"card","response":{"type":"`+kind+`"}}`, "large as "+kind
			Expect(rendered(ctx, 1, render, body, "Idempotency-Key", key).status).To(Equal(http.StatusOK))
			for _, job := range w.jobs(ctx) {
				job.Status.Pages[0].Size = new(int64(300 << 20))
				Expect(c.Status().Update(ctx, &job)).To(Succeed())
			}
			Eventually(func() error { // the shim's watch lags
				return is(call(ctx, http.MethodPost, p.url+render, w.token, body, "Idempotency-Key", key))
			}).WithContext(ctx).WithTimeout(timeout).Should(Succeed())
		}
	})

	It("renders for the SDKs, with the template in the path or in the body", func(ctx SpecContext) {
		a := rendered(ctx, 1, "/v1/generate/images/card", `{"response":{"format":"png"},"modifications":{},"source":"orshot-node-sdk"}`)
		Expect(a.json()).NotTo(HaveKey("warnings"))
		Expect(a.json()["data"]).To(HaveKeyWithValue("type", "base64"))
		a = rendered(ctx, 1, "/v1/generate/pdfs", `{"templateId":"card","response":{"type":"url"}}`)
		Expect(a.json()["data"]).To(And(HaveKeyWithValue("type", "url"), HaveKeyWithValue("format", "pdf")))
		a = rendered(ctx, 1, "/v1/generate/pdfs", `{"templateId":"card","response":{"type":"url","format":"png"}}`)
		Expect(string(a.body)).To(ContainSubstring("The result is no pdf: 'response.format' is png"))
		a = rendered(ctx, 1, "/v1/generate/images/card", `{"templateId":"other","response":{"type":"url"}}`)
		Expect(string(a.body)).To(ContainSubstring("Field 'templateId' was ignored, because the template is in the URL"))
		expectError(call(ctx, http.MethodPost, p.url+"/v1/generate/films/card", w.token, `{}`), http.StatusNotFound)
	})

	It("lists jobs page by page, and cancels those that are not rendered", func(ctx SpecContext) {
		for range 5 {
			call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"card","response":{"mode":"async"}}`)
		}
		jobs := w.await(ctx, 5)
		finish(ctx, &jobs[0], 1)
		rendering := &jobs[1]
		rendering.Status.Conditions = []metav1.Condition{
			{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionUnknown, Reason: platenv1alpha1.UploadingReason, LastTransitionTime: metav1.Now()},
			{Type: platenv1alpha1.RenderedCondition, Status: metav1.ConditionTrue, Reason: platenv1alpha1.SucceededReason, LastTransitionTime: metav1.Now()},
		}
		Expect(c.Status().Update(ctx, rendering)).To(Succeed())

		list := func(query string) (ids []any, next any) {
			GinkgoHelper()
			a := call(ctx, http.MethodGet, p.url+"/v1/studio/render-jobs"+query, w.token, "")
			Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
			data, ok := a.json()["data"].([]any)
			Expect(ok).To(BeTrue())
			for _, one := range data {
				object, ok := one.(map[string]any)
				Expect(ok).To(BeTrue())
				ids = append(ids, object["id"])
			}
			pagination, ok := a.json()["pagination"].(map[string]any)
			Expect(ok).To(BeTrue())
			Expect(pagination["has_more"]).To(Equal(pagination["next_cursor"] != nil))
			return ids, pagination["next_cursor"]
		}
		Eventually(func() int { ids, _ := list("?status=succeeded"); return len(ids) }).WithContext(ctx).WithTimeout(timeout).Should(Equal(1))
		Eventually(func() int { ids, _ := list("?status=Processing"); return len(ids) }).WithContext(ctx).WithTimeout(timeout).Should(Equal(1))
		seen := map[any]bool{}
		query, pages := "?limit=2", 0
		for ; pages < 9; pages++ {
			ids, next := list(query)
			for _, id := range ids {
				Expect(seen).NotTo(HaveKey(id))
				seen[id] = true
			}
			if next == nil {
				break
			}
			query = "?limit=2&cursor=" + url.QueryEscape(fmt.Sprint(next))
		}
		Expect(seen).To(HaveLen(5))
		Expect(pages).To(Equal(2))
		for _, bad := range []string{"?limit=0", "?limit=101", "?cursor=x", "?status=done"} {
			expectError(call(ctx, http.MethodGet, p.url+"/v1/studio/render-jobs"+bad, w.token, ""), http.StatusBadRequest)
		}

		cancel := func(name string) answer {
			GinkgoHelper()
			return call(ctx, http.MethodPost, p.url+"/v1/studio/render-jobs/"+name+"/cancel", w.token, "")
		}
		for name, want := range map[string]string{jobs[0].Name: "job-already-finished", jobs[1].Name: "job-not-cancelable"} {
			a := cancel(name)
			expectError(a, http.StatusConflict)
			Expect(a.json()).To(HaveKeyWithValue("error", want))
		}
		expectError(cancel("made-up"), http.StatusNotFound)
		a := cancel(jobs[2].Name)
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		Expect(a.json()).To(And(HaveKeyWithValue("status", "canceled"), HaveKeyWithValue("finished", true)))
		Expect(cancel(jobs[2].Name).json()).To(HaveKeyWithValue("error", "job-already-finished"))
		Expect(c.Get(ctx, client.ObjectKeyFromObject(&jobs[2]), &jobs[2])).To(Succeed())
		Expect(jobs[2].Spec.Suspend).To(HaveValue(BeTrue()))
		Eventually(func() any {
			return call(ctx, http.MethodGet, p.url+"/v1/studio/render-jobs/"+jobs[2].Name, w.token, "").json()["status"]
		}).WithContext(ctx).WithTimeout(timeout).Should(Equal("canceled"))

		reader := w.account("reader", readerRules...)
		expectError(call(ctx, http.MethodPost, p.url+"/v1/studio/render-jobs/"+jobs[3].Name+"/cancel", reader, ""), http.StatusForbidden)
	})

	It("tells a waiting caller that its job was canceled", func(ctx SpecContext) {
		answers := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			answers <- call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"card"}`)
		}()
		job := w.await(ctx, 1)[0]
		call(ctx, http.MethodPost, p.url+"/v1/studio/render-jobs/"+job.Name+"/cancel", w.token, "")
		var a answer
		Eventually(answers).WithContext(ctx).WithTimeout(timeout).Should(Receive(&a))
		expectError(a, http.StatusConflict)
		Expect(a.json()).To(HaveKeyWithValue("error", "job-canceled"))
	})

	It("lists templates and their parameters", func(ctx SpecContext) {
		a := call(ctx, http.MethodGet, p.url+"/v1/studio/templates/all?page=1&limit=10", w.token, "")
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		Expect(a.json()["pagination"]).To(Equal(map[string]any{"page": 1.0, "limit": 10.0, "total": 1.0, "totalPages": 1.0}))
		data, ok := a.json()["data"].([]any)
		Expect(ok).To(BeTrue())
		Expect(data).To(HaveLen(1))
		Expect(data[0]).To(And(HaveKeyWithValue("id", 25.0), HaveKeyWithValue("name", "card"), HaveKeyWithValue("canvas_width", 400.0)))
		for _, id := range []string{"25", "card"} {
			a = call(ctx, http.MethodGet, p.url+"/v1/studio/template/modifications?templateId="+id, w.token, "")
			Expect(string(a.body)).To(MatchJSON(`[{"id":"headline","key":"headline","type":"text","description":"What it says","helpText":"What it says","required":false}]`))
		}
		expectError(call(ctx, http.MethodGet, p.url+"/v1/studio/template/modifications", w.token, ""), http.StatusBadRequest)
		expectError(call(ctx, http.MethodGet, p.url+"/v1/studio/template/modifications?templateId=99", w.token, ""), http.StatusNotFound)

		// The examples have the types of the values, which a template of the answers above does not show.
		value := func(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }
		Expect(c.Create(ctx, &platenv1alpha1.RenderTemplate{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "typed"},
			Spec: platenv1alpha1.RenderTemplateSpec{
				Title: "All kinds",
				Parameters: []platenv1alpha1.Parameter{
					{Name: "title", Default: value(`"T"`)}, {Name: "price", Type: "number", Default: value(`9.5`)},
					{Name: "paid", Type: "boolean", Default: value(`true`)}, {Name: "points", Type: "list", Default: value(`["one", 2]`)},
				},
				Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 400, Height: 200, HTML: `<b data-param="order.total">12</b>`}},
			},
		})).To(Succeed())
		Eventually(func() int {
			a = call(ctx, http.MethodGet, p.url+"/v1/studio/template/modifications?templateId=typed", w.token, "")
			return a.status
		}).WithContext(ctx).WithTimeout(timeout).Should(Equal(http.StatusOK))
		for search, n := range map[string]int{"CAR": 1, "kinds": 1, "typed": 1, "nothing": 0} {
			found := call(ctx, http.MethodGet, p.url+"/v1/studio/templates/all?search="+search, w.token, "")
			Expect(found.json()["data"]).To(HaveLen(n), search)
		}
		var listed []map[string]any
		Expect(json.Unmarshal(a.body, &listed)).To(Succeed())
		examples := make([]any, 0, len(listed))
		for _, m := range listed {
			examples = append(examples, m["example"])
		}
		Expect(examples).To(HaveExactElements("T", 9.5, true, []any{"one", 2.0}, map[string]any{"total": "12"}))
	})

	It("answers the routes by which clients log in and find templates", func(ctx SpecContext) {
		get := func(path string, header ...string) answer {
			GinkgoHelper()
			a := call(ctx, http.MethodGet, p.url+path, w.token, "", header...)
			Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
			return a
		}
		for _, path := range []string{"/v1/me", "/v1/me/user_id", "/v1/me/user_id/"} {
			Expect(get(path).json()["data"]).To(And(
				HaveKeyWithValue("name", "system:serviceaccount:"+w.namespace+":designer"), HaveKeyWithValue("user_id", Not(BeEmpty())), HaveKeyWithValue("email", ""),
				HaveKeyWithValue("workspaces", ConsistOf(HaveKeyWithValue("id", w.namespace)))))
		}
		expectError(call(ctx, http.MethodGet, p.url+"/v1/me", w.token, "", "X-Workspace", w.namespace, "X-Workspace-Id", "else"), http.StatusBadRequest)
		for _, path := range []string{"/v1/me", "/v1/profile/workspace"} {
			expectError(call(ctx, http.MethodGet, p.url+path, w.token, "", "X-Workspace", "else"), http.StatusForbidden)
		}
		other := newWorkspace(ctx)
		guest := metav1.ObjectMeta{Namespace: other.namespace, Name: "guest"}
		Expect(c.Create(ctx, &rbacv1.Role{ObjectMeta: guest, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"rendertemplates"}, Verbs: []string{"list"},
		}}})).To(Succeed())
		Expect(c.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: guest,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "guest"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.namespace, Name: "designer"}},
		})).To(Succeed())
		Expect(get("/v1/profile/workspace", "X-Workspace-Id", other.namespace).json()["data"]).To(HaveKeyWithValue("id", other.namespace))
		Expect(get("/v1/me", "X-Workspace", other.namespace).json()["data"]).To(HaveKeyWithValue("workspaces",
			HaveExactElements(HaveKeyWithValue("id", other.namespace), HaveKeyWithValue("id", w.namespace))))
		for _, path := range []string{"/v1/templates", "/v1/studio/templates"} {
			var list []map[string]any
			Expect(json.Unmarshal(get(path).body, &list)).To(Succeed())
			Expect(list).To(ConsistOf(And(
				HaveKeyWithValue("id", 25.0), HaveKeyWithValue("name", "card"), HaveKeyWithValue("title", "card"), HaveKeyWithValue("description", ""),
				HaveKeyWithValue("width", 400.0), HaveKeyWithValue("height", 200.0), HaveKeyWithValue("pages_data", HaveLen(1)),
				HaveKeyWithValue("modifications", ConsistOf(HaveKeyWithValue("key", "headline"))))))
		}
		for _, path := range []string{"/v1/studio/templates/25", "/v1/studio/templates/card", "/v1/studio/templates/card/"} {
			Expect(get(path).json()).To(HaveKeyWithValue("id", 25.0))
		}
		Expect(string(get("/v1/templates/modifications?template_id=card").body)).To(ContainSubstring(`"key":"headline"`))
		missing := call(ctx, http.MethodGet, p.url+"/v1/studio/templates/99", w.token, "")
		expectError(missing, http.StatusNotFound)
		for _, route := range []string{"GET /v1/studio/templates/99", "PATCH /v1/studio/templates/99", "DELETE /v1/studio/templates/99", "DELETE /v1/studio/templates/99/delete",
			"POST /v1/studio/templates/99/duplicate", "GET /v1/studio/template/modifications?templateId=99", "GET /v1/templates/modifications?template_id=99"} {
			method, path, _ := strings.Cut(route, " ")
			refused := call(ctx, method, p.url+path, w.token, `{"name":"x"}`)
			expectError(refused, http.StatusNotFound)
			Expect(refused.json()["error"]).To(Equal("Template not found"), route)
		}
		for _, id := range []string{`99`, `"not-here"`} {
			for _, route := range []string{"POST " + render, "POST /v1/generate/images", "POST /v1/generate/images/99", "POST /v1/generate/pdfs/not-here", "POST /v1/signed-url/create",
				"POST /v1/studio/dynamic-url", "GET /v1/studio/dynamic-url-secret?templateId=99", "GET /v1/studio/dynamic-url-secret?template_id=99"} {
				method, path, _ := strings.Cut(route, " ")
				refused := call(ctx, method, p.url+path, w.token, `{"templateId":`+id+`}`)
				expectError(refused, http.StatusForbidden)
				Expect(refused.json()["error"]).To(Equal("Template not found"), route)
			}
		}
		for body, want := range map[string][]string{
			`{"templateId":"nope","response":{"format":"x","fileName":"a/b","scale":99,"quality":0}}`: {"response.format", "response.fileName", "response.scale", "response.quality", "templateId: namespace"},
			`{"response":{"format":"pdf"},"pdfOptions":{"rangeFrom":2,"rangeTo":1}}`:                  {"rangeFrom must be at most rangeTo", "templateId: "},
			`{"templateId":"nope","videoOptions":{"trimStart":2,"trimEnd":1},"response":{"format":"mp4"},"connections":[{"provider":"x"},{"provider":"dropbox","folder":"/../a"}]}`: {
				"videoOptions.trimEnd", "connections[0].provider", "connections[1].folder", "templateId: namespace",
			},
		} {
			refused := call(ctx, http.MethodPost, p.url+render, w.token, body)
			expectError(refused, http.StatusBadRequest)
			for _, text := range want {
				Expect(refused.json()["error"]).To(ContainSubstring(text), body)
			}
		}
		for _, route := range []string{"POST " + render, "POST /v1/generate/images", "POST /v1/signed-url/create", "POST /v1/studio/dynamic-url", "GET /v1/studio/dynamic-url-secret",
			"GET /v1/studio/template/modifications", "GET /v1/templates/modifications"} {
			method, path, _ := strings.Cut(route, " ")
			refused := call(ctx, method, p.url+path, w.token, `{}`)
			expectError(refused, http.StatusBadRequest)
			Expect(refused.json()["error"]).To(Equal("templateId missing"), route)
		}
		expectError(call(ctx, http.MethodPost, p.url+"/v1/studio/templates/25/duplicate", w.token, `{"name":"`+strings.Repeat("x", 256)+`","workspaceId":"No One"}`), http.StatusBadRequest)
		both := call(ctx, http.MethodPatch, p.url+"/v1/studio/templates/25", w.token, `{"name":"`+strings.Repeat("x", 256)+`","description":[]}`)
		expectError(both, http.StatusBadRequest)
		Expect(both.json()["error"]).To(Equal("description: must be a string, not an array; name: must be at most 255 characters long"))
		for _, path := range []string{"/v1/brand-assets", "/v1/brand-assets/images/get?tag=x", "/v1/social/accounts", "/v1/studio/templates/25/versions/3"} {
			a := call(ctx, http.MethodGet, p.url+path, w.token, "")
			expectError(a, http.StatusNotImplemented)
			Expect(a.json()["error"]).To(ContainSubstring("Platen"))
			expectError(call(ctx, http.MethodGet, p.url+path, "", ""), http.StatusUnauthorized)
		}
		expectError(call(ctx, http.MethodPost, p.url+"/v1/studio/templates/create", w.token, `{"name":"x"}`), http.StatusNotImplemented)
	})

	It("copies, renames and deletes templates with the caller's rights", func(ctx SpecContext) {
		templates := p.url + "/v1/studio/templates/"
		a := call(ctx, http.MethodPost, templates+"25/duplicate", w.token, "")
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		Expect(a.json()).To(HaveKeyWithValue("name", "Copy of card"))
		id, ok := a.json()["id"].(string)
		Expect(ok).To(BeTrue(), "%s", a.body)
		Expect(call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"`+id+`","response":{"mode":"async"}}`).status).To(Equal(http.StatusAccepted))

		a = call(ctx, http.MethodPatch, templates+id, w.token, `{"name":"Autumn","description":"For autumn"}`)
		Expect(a.json()).To(And(HaveKeyWithValue("name", "Autumn"), HaveKeyWithValue("description", "For autumn"), HaveKeyWithValue("id", id)), "%s", a.body)
		Eventually(func() any { return call(ctx, http.MethodGet, templates+"Autumn", w.token, "").json()["id"] }).
			WithContext(ctx).WithTimeout(timeout).Should(Equal(id))

		a = call(ctx, http.MethodPatch, templates+id+"?dryrun=true", w.token, `{"name":"Autumn","descripton":"x"}`) //nolint:misspell // on purpose
		Expect(a.header.Get("X-Platen-Warnings")).To(And(ContainSubstring("Parameter 'dryrun' of the query"), ContainSubstring("did you mean 'description'?")))
		a = call(ctx, http.MethodPost, templates+id+"/duplicate", w.token, `{"nam":"x"}`)
		Expect(a.header.Get("X-Platen-Warnings")).To(ContainSubstring("did you mean 'name'?"))

		// Blanks are no name, and what is wrong has the name that the request gives it.
		a = call(ctx, http.MethodPatch, templates+id, w.token, `{"name":"  Autumn\t"}`)
		Expect(a.json()).To(HaveKeyWithValue("name", "Autumn"), "%s", a.body)
		a = call(ctx, http.MethodPatch, templates+id, w.token, `{"name":"`+strings.Repeat("x", 300)+`"}`)
		expectError(a, http.StatusBadRequest)
		Expect(a.json()["error"]).To(HavePrefix("name: "))
		a = call(ctx, http.MethodPatch, templates+id, w.token, `{"name":"   "}`)
		Expect(a.json()).To(HaveKeyWithValue("name", id), "%s", a.body)
		a = call(ctx, http.MethodPost, templates+"25/duplicate", w.token, `{"name":"  "}`)
		Expect(a.json()).To(HaveKeyWithValue("name", "Copy of card"), "%s", a.body)

		a = call(ctx, http.MethodPatch, templates+id, w.token, `{"name":""}`)
		Expect(a.json()).To(And(HaveKeyWithValue("name", id), HaveKeyWithValue("description", "For autumn")), "%s", a.body)
		expectError(call(ctx, http.MethodPatch, templates+id, w.token, `{"title":"Autumn"}`), http.StatusBadRequest)
		expectError(call(ctx, http.MethodDelete, templates+id, w.token, ""), http.StatusForbidden)
		gardener := w.account("gardener", rbacv1.PolicyRule{
			APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"rendertemplates"}, Verbs: []string{"list", "delete"},
		})
		a = call(ctx, http.MethodDelete, templates+id+"/delete", gardener, "")
		Expect(string(a.body)).To(MatchJSON(`{"message":"Template successfully deleted","id":"` + id + `"}`))
		Eventually(func() int { return call(ctx, http.MethodDelete, templates+id, gardener, "").status }).
			WithContext(ctx).WithTimeout(timeout).Should(Equal(http.StatusNotFound))
		expectError(call(ctx, http.MethodPatch, templates+"25", gardener, `{"name":"x"}`), http.StatusForbidden)
		other := newWorkspace(ctx)
		expectError(call(ctx, http.MethodPost, templates+"25/duplicate", w.token, `{"workspaceId":"`+other.namespace+`"}`), http.StatusForbidden)
	})

	It("warns of a signed URL's modifications that no page uses", func(ctx SpecContext) {
		a := call(ctx, http.MethodPost, p.url+"/v1/signed-url/create", w.token, `{"templateId":"card","modifications":{"headlin":"x","headline":"y"}}`)
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		Expect(a.json()["warnings"]).To(ConsistOf(HaveKeyWithValue("title", "Modification headlin is not used by the template")))
	})

	It("makes URLs that anyone can open and nobody can change", func(ctx SpecContext) {
		body := fmt.Sprintf(`{"templateId":"card","renderType":"images","responseFormat":"png","modifications":{},"source":"orshot-node-sdk","expiresAt":%d}`,
			time.Now().Add(time.Hour).Unix())
		a := call(ctx, http.MethodPost, p.url+"/v1/signed-url/create", w.token, body)
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		signed, ok := a.json()["data"].(string)
		Expect(ok).To(BeTrue(), "%s", a.body)
		answers := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			answers <- call(ctx, http.MethodGet, signed, "", "")
		}()
		job := w.await(ctx, 1)[0]
		finish(ctx, &job, 1)
		Eventually(answers).WithContext(ctx).WithTimeout(timeout).Should(Receive(&a))
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		Expect(string(a.body)).To(Equal(picture(1)))
		part := call(ctx, http.MethodGet, signed, "", "", "Range", "bytes=4-8")
		Expect(part.status).To(Equal(http.StatusPartialContent))
		Expect(string(part.body)).To(Equal(picture(1)[4:9]))
		head := call(ctx, http.MethodHead, signed, "", "")
		Expect(head.header.Get("Content-Length")).To(Equal(strconv.Itoa(len(picture(1)))))
		Expect(head.body).To(BeEmpty())

		_, query, _ := strings.Cut(signed, "?")
		offset := len(signed) - len(query)
		for i := offset; i < len(signed); i++ {
			changed := []byte(signed)
			changed[i] ^= 1
			u, err := url.Parse(string(changed))
			if err != nil || u.Query().Encode() == mustQuery(signed).Encode() {
				continue // the same URL, or none
			}
			want := http.StatusForbidden
			if _, err := url.ParseQuery(u.RawQuery); err != nil {
				want = http.StatusBadRequest
			}
			Expect(call(ctx, http.MethodGet, string(changed), "", "").status).To(Equal(want), "%s", changed)
		}
		Expect(call(ctx, http.MethodGet, strings.Replace(signed, "/images", "/pdfs", 1), "", "").status).To(Equal(http.StatusForbidden))
		Expect(c.Delete(ctx, &job)).To(Succeed())
		Eventually(func() int { return call(ctx, http.MethodGet, signed, "", "").status }).WithContext(ctx).WithTimeout(timeout).Should(Equal(http.StatusNotFound))
		expectError(call(ctx, http.MethodPost, p.url+"/v1/signed-url/create", w.token, `{"templateId":"card","expiresAt":1}`), http.StatusBadRequest)
	})

	It("sends all files of a signed URL, or that of one page", func(ctx SpecContext) {
		card := &platenv1alpha1.RenderTemplate{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "card"}, card)).To(Succeed())
		album := &platenv1alpha1.RenderTemplate{Spec: card.Spec}
		album.Namespace, album.Name, album.Spec.TemplateID = w.namespace, "album", nil
		album.Spec.Pages = append(album.Spec.Pages, platenv1alpha1.TemplatePage{Name: "back", Width: 400, Height: 200, HTML: "<h1>"})
		Expect(c.Create(ctx, album)).To(Succeed())
		a := call(ctx, http.MethodPost, p.url+"/v1/signed-url/create", w.token, `{"templateId":"album"}`)
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		Expect(a.json()["warnings"]).To(ConsistOf(HaveKeyWithValue("title", "The URL answers with a ZIP archive of 2 files")))
		signed, _ := a.json()["data"].(string)
		job := w.await(ctx, 1)[0]
		finish(ctx, &job, 2)
		all := call(ctx, http.MethodGet, signed, "", "")
		Expect(all.header.Get("Content-Type")).To(Equal("application/zip"))
		archive, err := zip.NewReader(bytes.NewReader(all.body), int64(len(all.body)))
		Expect(err).NotTo(HaveOccurred())
		Expect(archive.File).To(HaveLen(2))
		head := call(ctx, http.MethodHead, signed, "", "")
		Expect(head.status).To(Equal(http.StatusOK))
		Expect(head.header.Get("Content-Type")).To(Equal("application/zip"))
		second := call(ctx, http.MethodGet, signed+"&page=2", "", "")
		Expect(second.header.Get("Content-Type")).To(Equal("image/png"))
		Expect(string(second.body)).To(Equal(picture(2)))
		for _, page := range []string{"0", "3", "two", "1&page=2"} {
			expectError(call(ctx, http.MethodGet, signed+"&page="+page, "", ""), http.StatusBadRequest)
		}
	})

	It("describes itself without a token", func(ctx SpecContext) {
		Expect(call(ctx, http.MethodGet, p.url+"/openapi.json", "", "").json()).To(HaveKeyWithValue("openapi", HavePrefix("3.1")))
		page := call(ctx, http.MethodGet, p.url+"/docs", "", "")
		Expect(page.header.Get("Content-Security-Policy")).To(HavePrefix("default-src 'none'; style-src 'self'"))
		Expect(string(page.body)).To(ContainSubstring("/v1/studio/render-jobs/{id}/cancel"))
		Expect(call(ctx, http.MethodGet, p.url+"/docs.css", "", "").header.Get("Content-Type")).To(Equal("text/css"))
		expectError(call(ctx, http.MethodGet, p.url+"/v1/none", "", ""), http.StatusNotFound)
	})
})

func mustQuery(text string) url.Values {
	GinkgoHelper()
	u, err := url.Parse(text)
	Expect(err).NotTo(HaveOccurred())
	return u.Query()
}
