// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/platen-dev/platen/test/program"
)

// Clients that others wrote, or requests as they send them. They know the public API and nothing of Kubernetes.
var _ = Describe("Clients of the public API", func() {
	var (
		w *workspace
		p *process
	)
	BeforeEach(func(ctx SpecContext) {
		w = newWorkspace(ctx)
		p = start()
		playManager(w)
	})
	get := func(ctx context.Context, path string, target any) {
		GinkgoHelper()
		a := call(ctx, http.MethodGet, p.url+path, w.token, "")
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		Expect(json.Unmarshal(a.body, target)).To(Succeed(), "%s", a.body)
	}
	post := func(ctx context.Context, path, body string) answer {
		GinkgoHelper()
		a := call(ctx, http.MethodPost, p.url+path, w.token, body)
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		return a
	}
	inline := func(kind string) string {
		return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString([]byte(picture(1)))
	}

	It("the SDK for Node.js", func(ctx SpecContext) {
		Expect(filepath.Join("..", "sdk", "node_modules", "orshot")).To(BeADirectory(), "run `make sdk`, as `make test-unit` does")
		Expect(program.SeeScript("../..", "render.js")).To(Succeed())
		command := exec.CommandContext(ctx, "node", filepath.Join("..", "sdk", "render.js"))
		command.Env = append(os.Environ(), "PLATEN_URL="+p.url, "PLATEN_TOKEN="+w.token)
		var stderr bytes.Buffer
		command.Stderr = &stderr
		out, err := command.Output()
		Expect(err).NotTo(HaveOccurred(), "%s", stderr.String())
		var got map[string]any
		Expect(json.Unmarshal(out, &got)).To(Succeed(), "%s", out)
		Expect(got["base64"]).To(HaveKeyWithValue("data", And(HaveKeyWithValue("content", inline("image/png")), HaveKeyWithValue("responseTime", 120.0))))
		Expect(got["url"]).To(HaveKeyWithValue("data", And(HaveKeyWithValue("content", HavePrefix("http")), HaveKeyWithValue("format", "webp"))))
		for name, kind := range map[string]string{"binary": "image/png", "pdf": "application/pdf", "opened": "image/png"} {
			Expect(got[name]).To(And(HaveKeyWithValue("status", 200.0), HaveKeyWithValue("type", kind), HaveKeyWithValue("bytes", float64(len(picture(1))))), name)
		}
		Expect(got["signed"]).To(HaveKeyWithValue("data", HavePrefix(p.url+"/v1/generate/images?")))
		Expect(got["refused"]).To(Equal("Failed to fetch image: 401"))
	})

	It("a command line tool: it logs in, lists, and renders what people typed", func(ctx SpecContext) {
		var user struct {
			Data struct{ Name string }
		}
		get(ctx, "/v1/me/user_id", &user)
		Expect(user.Data.Name).To(ContainSubstring("designer"))
		var library []struct {
			ID            any
			Title         string
			Modifications []map[string]any
		}
		get(ctx, "/v1/templates", &library)
		Expect(library).To(HaveLen(1))
		Expect(library[0].Title).To(Equal("card"))
		Expect(library[0].Modifications).To(HaveLen(1))
		a := post(ctx, render, `{"templateId":"25","modifications":{"headline":"Hi"},"source":"cli","response":{"format":"webm","type":"base64","includePages":["1"]},
			"videoOptions":{"loop":false,"muted":false,"trimStart":0.5,"trimEnd":2}}`)
		Expect(a.json()["data"]).To(HaveKeyWithValue("content", inline("video/webm")))
		Expect(a.json()["warnings"]).To(ConsistOf(HaveKeyWithValue("title", "The video has no sound")))
		job := w.jobs(ctx)[0]
		Expect(job.Spec.Output.Pages).To(Equal([]int32{1}))
		Expect(job.Spec.Output.Video.TrimEnd).To(BeEquivalentTo("2"))
	})

	It("a workflow node: it reads all pages of the list, and asks for sizes", func(ctx SpecContext) {
		var list struct {
			Data       []struct{ ID json.Number }
			Pagination struct{ TotalPages int }
		}
		get(ctx, "/v1/studio/templates/all?page=1&limit=40", &list)
		Expect(list.Pagination.TotalPages).To(Equal(1))
		id := list.Data[0].ID.String()
		var parameters []struct{ ID, Key, Type, Description string }
		get(ctx, "/v1/studio/template/modifications?templateId="+id, &parameters)
		Expect(parameters).To(HaveLen(1))
		a := post(ctx, render, `{"templateId":`+id+`,"modifications":{"headline":"Hi"},"source":"workflow","response":{"format":"png","type":"base64",
			"size":"instagram-story","extraSizes":["og-image","300x250"],"scale":2,"fileName":"card"}}`)
		Expect(a.json()["data"]).To(And(HaveKeyWithValue("content", inline("image/png")), HaveKeyWithValue("extraSizes", HaveExactElements(
			And(HaveKeyWithValue("size", "og-image"), HaveKeyWithValue("width", 1200.0), HaveKeyWithValue("height", 630.0), HaveKeyWithValue("content", inline("image/png"))),
			HaveKeyWithValue("size", "300x250")))))
		a = post(ctx, render, `{"templateId":"`+id+`","response":{"format":"pdf","type":"binary","extraSizes":["og-image"],"pdfOptions":{"dpi":300,"margin":"20px","colorMode":"cmyk","rangeTo":1}}}`)
		Expect(a.header.Get("Content-Type")).To(Equal("application/pdf"))
		Expect(a.header.Get("Content-Disposition")).To(And(HavePrefix("inline; filename="), ContainSubstring("filename*=UTF-8''")))
		Expect(string(a.body)).To(Equal(picture(1)))
		for _, path := range []string{"/v1/social/accounts", "/v1/brand-assets/images/get?tag=logo"} {
			expectError(call(ctx, http.MethodGet, p.url+path, w.token, ""), http.StatusNotImplemented)
		}
	})

	It("an assistant's tool server: it finds the number by the name", func(ctx SpecContext) {
		var templates []struct {
			ID   any
			Name string
		}
		get(ctx, "/v1/studio/templates", &templates)
		Expect(templates[0].Name).To(Equal("card"))
		Expect(templates[0].ID).To(Equal(25.0))
		a := post(ctx, render, `{"templateId":"25","modifications":{"headline":"Hi"},"response":{"type":"url","format":"png"},"source":"assistant"}`)
		Expect(a.json()["data"]).To(HaveKeyWithValue("content", HavePrefix("http")))
	})

	It("a client in PHP: empty objects are arrays, and paths end in a slash", func(ctx SpecContext) {
		a := post(ctx, "/v1/signed-url/create/", `{"templateId":"card","renderType":"images","responseFormat":"png","modifications":[],"source":"php","expiresAt":null}`)
		signed, ok := a.json()["data"].(string)
		Expect(ok).To(BeTrue(), "%s", a.body)
		Expect(string(call(ctx, http.MethodGet, signed, "", "").body)).To(Equal(picture(1)))
		a = post(ctx, render, `{"templateId":25,"source":"php","response":{"type":"base64","format":"png"},"modifications":[]}`)
		Expect(a.json()["data"]).To(HaveKeyWithValue("content", inline("image/png")))
		missing := call(ctx, http.MethodPost, p.url+render, w.token, `{"modifications":[]}`)
		expectError(missing, http.StatusBadRequest)
		Expect(missing.json()["error"]).To(Equal("templateId missing"))
		other := newWorkspace(ctx)
		a = call(ctx, http.MethodPatch, p.url+"/v1/studio/templates/card", other.token, `{"name":"Theirs"}`)
		Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
		refused := call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":"Theirs"}`)
		expectError(refused, http.StatusForbidden)
		Expect(refused.json()["error"]).To(Equal("Template not found"))
	})
})

// How clients of other languages and tools speak HTTP.
var _ = Describe("Requests", func() {
	var (
		w *workspace
		p *process
	)
	BeforeEach(func(ctx SpecContext) {
		w = newWorkspace(ctx)
		p = start()
		playManager(w)
	})

	It("may be compressed, chunked, of HTTP/1.0, and say anything of their type", func(ctx SpecContext) {
		const body = `{"templateId":25,"response":{"type":"base64"}}`
		rendered := func(a answer, err error) {
			GinkgoHelper()
			Expect(err).NotTo(HaveOccurred())
			Expect(a.status).To(Equal(http.StatusOK), "%s", a.body)
			Expect(a.json()["data"]).To(HaveKeyWithValue("content", HavePrefix("data:image/png;base64,")))
		}
		compress := func(text string) string {
			var packed bytes.Buffer
			writer := gzip.NewWriter(&packed)
			_, err := writer.Write([]byte(text))
			Expect(err).NotTo(HaveOccurred())
			Expect(writer.Close()).To(Succeed())
			return packed.String()
		}
		for _, kind := range []string{"", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain"} {
			rendered(try(ctx, http.MethodPost, p.url+render, w.token, body, "Content-Type", kind))
		}
		rendered(try(ctx, http.MethodPost, p.url+"//v1/studio//render/", w.token, body))
		rendered(try(ctx, http.MethodPost, p.url+render+"?cache=False", w.token, compress(body), "Content-Encoding", "gzip"))
		rendered(try(ctx, http.MethodPost, p.url+render, "", body, "Authorization", "bearer  "+w.token))

		chunked, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+render, io.MultiReader(strings.NewReader(body[:9]), strings.NewReader(body[9:])))
		Expect(err).NotTo(HaveOccurred())
		chunked.Header.Set("Authorization", "Bearer "+w.token)
		resp, err := http.DefaultClient.Do(chunked)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Body.Close()).To(Succeed())
		Expect(resp.StatusCode).To(Equal(http.StatusOK))

		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(p.url, "http://"))
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = connection.Close() }()
		_, err = fmt.Fprintf(connection, "POST %s HTTP/1.0\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", render, w.token, len(body), body)
		Expect(err).NotTo(HaveOccurred())
		old, err := io.ReadAll(connection) // the server closes the connection
		Expect(err).NotTo(HaveOccurred())
		Expect(string(old)).To(And(HavePrefix("HTTP/1.0 200 OK"), HaveSuffix("}\n\n"), ContainSubstring("data:image/png;base64,")))

		expectError(call(ctx, http.MethodPost, p.url+render, w.token, body, "Content-Encoding", "gzip"), http.StatusBadRequest)
		expectError(call(ctx, http.MethodPost, p.url+render, w.token, compress(strings.Repeat(" ", 2<<20)+body), "Content-Encoding", "gzip"), http.StatusRequestEntityTooLarge)
		other := call(ctx, http.MethodPost, p.url+render, w.token, body, "Content-Encoding", "br")
		expectError(other, http.StatusUnsupportedMediaType)
		Expect(other.header.Get("Accept-Encoding")).To(Equal("gzip"))
	})

	It("with bodies that are too large, or that nobody reads, get their answer also if the client reads it last", func(ctx SpecContext) {
		// send writes a whole request, and then reads the answer.
		send := func(path, token, header string, body func(w io.Writer) error) (*http.Response, string) {
			GinkgoHelper()
			connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(p.url, "http://"))
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = connection.Close() }()
			_, err = fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: shim\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n", path, token, header)
			Expect(err).NotTo(HaveOccurred())
			Expect(body(connection)).To(Succeed(), "the connection was closed before the body was sent")
			resp, err := http.ReadResponse(bufio.NewReader(connection), nil)
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = resp.Body.Close() }()
			what, err := io.ReadAll(resp.Body)
			Expect(err).NotTo(HaveOccurred())
			return resp, string(what)
		}
		const size = 20 << 20
		plain := func(w io.Writer) error {
			_, err := w.Write(make([]byte, size))
			return err
		}
		chunked := func(w io.Writer) error {
			chunks := httputil.NewChunkedWriter(w)
			if err := plain(chunks); err != nil {
				return err
			}
			if err := chunks.Close(); err != nil {
				return err
			}
			_, err := io.WriteString(w, "\r\n")
			return err
		}
		for _, each := range []struct {
			path, token string
			status      int
		}{
			{render, w.token, http.StatusRequestEntityTooLarge}, {render, "made-up", http.StatusUnauthorized}, {"/v1/none", "", http.StatusNotFound},
			{"/mcp", w.token, http.StatusRequestEntityTooLarge}, {"/mcp", "made-up", http.StatusUnauthorized},
			{"/ui/sign-in", "", http.StatusRequestEntityTooLarge}, {"/ui/none", "", http.StatusMethodNotAllowed},
		} {
			kind := "\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream"
			if strings.HasPrefix(each.path, "/ui/") {
				kind = "\r\nContent-Type: application/x-www-form-urlencoded"
			}
			resp, what := send(each.path, each.token, fmt.Sprint("Content-Length: ", size)+kind, plain)
			Expect(resp.StatusCode).To(Equal(each.status), "%s %s", each.path, what)
			resp, what = send(each.path, each.token, "Transfer-Encoding: chunked"+kind, chunked)
			Expect(resp.StatusCode).To(Equal(each.status), "%s %s", each.path, what)
		}
		resp, what := send(render, w.token, "Expect: 100-continue\r\nContent-Length: 20971520", func(io.Writer) error { return nil })
		Expect(resp.StatusCode).To(Equal(http.StatusRequestEntityTooLarge))
		Expect(what).To(Equal(`{"error":"the body must be at most 1048576 bytes"}` + "\n"))

		const script = `
			const [url, token] = process.argv.slice(1), body = 'x'.repeat(20 << 20), method = 'POST', headers = { authorization: 'Bearer ' + token };
			const answered = async (status, text) => console.log(status, typeof JSON.parse(await text).error);
			fetch(url, { method, headers, body }).then((r) => answered(r.status, r.text())).then(() => {
				const request = require('http').request(url, { method, headers }, (r) => {
					let text = '';
					r.on('data', (chunk) => text += chunk).on('end', () => answered(r.statusCode, text));
				});
				request.end(body);
			});`
		out, err := exec.CommandContext(ctx, "node", "-e", script, p.url+render, w.token).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		Expect(string(out)).To(Equal("413 string\n413 string\n"))
	})

	It("of other methods are answered by what a route takes", func(ctx SpecContext) {
		head := call(ctx, http.MethodHead, p.url+"/v1/studio/templates", w.token, "")
		Expect(head.status).To(Equal(http.StatusOK))
		Expect(head.body).To(BeEmpty())
		options := call(ctx, http.MethodOptions, p.url+render, "", "")
		Expect(options.status).To(Equal(http.StatusNoContent))
		Expect(options.header.Get("Allow")).To(Equal("POST"))
		expectError(call(ctx, http.MethodPut, p.url+render, w.token, `{}`), http.StatusMethodNotAllowed)
		for _, route := range []string{
			"GET /v1/workflows", "POST /v1/workflows/3/run", "GET /v1/studio/folders", "DELETE /v1/brand-assets/images/delete/3", "POST /v1/social/publish",
			"POST /v1/studio/templates/create", "POST /v1/studio/templates/bulk-create", "PATCH /v1/studio/templates/25/update-modifications",
			"POST /v1/studio/templates/25/generate-variants", "GET /v1/studio/templates/25/versions", "POST /v1/studio/templates/25/versions/3/restore",
			"PATCH /v1/studio/templates/25/folder", "GET /v1/studio/templates/25/share", "POST /v1/studio/templates/25/share",
		} {
			method, path, _ := strings.Cut(route, " ")
			expectError(call(ctx, method, p.url+path, w.token, "{}"), http.StatusNotImplemented)
		}
	})

	It("that are wrong are refused by the name of their field, at no length", func(ctx SpecContext) {
		for body, want := range map[string]string{
			"templateId=25": "body: must be a JSON object, not a form, a list or nothing",
			`{"templateId":25,"response":{"format":"bmp"}}`:                                                         "response.format: Unsupported value",
			`{"templateId":25,"response":{"fileName":"` + strings.Repeat("x", 300) + `"}}`:                          "response.fileName: must be at most 200 characters long",
			`{"templateId":25,"response":{"format":"bmp","fileName":"a\u0000b"}}`:                                   "response.format: Unsupported value: \"bmp\": supported values: \"png\", \"jpg\", \"jpeg\", \"webp\", \"avif\", \"pdf\", \"mp4\", \"webm\", \"gif\"; response.fileName: Invalid value",
			`{"templateId":25,"response":{"fileName":"a\u0000b"}}`:                                                  "response.fileName: Invalid value",
			`{"templateId":25,"response":{"includePages":[` + numbers(201, 4000) + `]}}`:                            "response.includePages",
			`{"templateId":25,"modifications":` + strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat("}", 20001): "body: must be a JSON object: invalid character '{' exceeded max depth",
		} {
			refused := call(ctx, http.MethodPost, p.url+render, w.token, body)
			expectError(refused, http.StatusBadRequest)
			Expect(refused.json()["error"]).To(HavePrefix(want))
			Expect(refused.json()["error"]).NotTo(ContainSubstring("<nil>"))
			Expect(len(refused.body)).To(BeNumerically("<", 2000), "%s", refused.body)
		}
		Expect(w.jobs(ctx)).To(BeEmpty())
	})

	It("come back as they were sent: metadata, numbers, and what JSON cannot write otherwise", func(ctx SpecContext) {
		a := call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":25,"metadata":{"nonce":"a&b","n":9007199254740993},"response":{"mode":"async"},
			"modifications":{"headline":12345678901234567890,"a":1e400,"b":"\u0000","c":"\ud83d\ude00","d":"2026-11-26","e":"no","f":1.50,"g":-0.0,"h":12345678901234567000}}`)
		Expect(a.status).To(Equal(http.StatusAccepted), "%s", a.body)
		Expect(string(a.body)).To(ContainSubstring(`"metadata":{"nonce":"a&b","n":9007199254740993}`))
		job := w.jobs(ctx)[0]
		Expect(string(job.Spec.Modifications.Raw)).To(MatchJSON(`{"headline":"12345678901234567890","a":"1e400","b":"\u0000","c":"😀","d":"2026-11-26","e":"no","f":"1.50","g":0,"h":"12345678901234567000"}`))
		list := func() string {
			return string(call(ctx, http.MethodGet, p.url+"/v1/studio/render-jobs?limit=100&status=succeeded", w.token, "").body)
		}
		Eventually(list).WithTimeout(timeout).Should(ContainSubstring(`"metadata":{"nonce":"a&b","n":9007199254740993}`))
	})
})

// numbers returns a list of n numbers from first on.
func numbers(first, n int) string {
	text := make([]string, n)
	for i := range text {
		text[i] = strconv.Itoa(first + i)
	}
	return strings.Join(text, ",")
}

// playManager finishes the jobs of a workspace until the spec ends.
func playManager(w *workspace) {
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		defer GinkgoRecover()
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			for _, job := range w.jobs(context.WithoutCancel(ctx)) {
				if job.Status.CompletionTime == nil {
					finish(context.WithoutCancel(ctx), &job, 1)
				}
			}
		}
	})
	DeferCleanup(func() {
		stop()
		done.Wait()
	})
}
