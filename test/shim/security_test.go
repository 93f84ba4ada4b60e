// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/suite"
)

var readerRules = []rbacv1.PolicyRule{{
	APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates"}, Verbs: []string{"get", "list"},
}}

var _ = Describe("Callers without rights", func() {
	var (
		w *workspace
		p *process
	)
	BeforeEach(func(ctx SpecContext) {
		w = newWorkspace(ctx)
		p = start()
	})
	const body = `{"templateId":"card","response":{"mode":"async"}}`

	It("are refused", func(ctx SpecContext) {
		other := newWorkspace(ctx)
		// A token that is aged in the same way but not expired is accepted.
		Expect(call(ctx, http.MethodPost, p.url+render, expired(w.token, time.Minute), body).status).To(Equal(http.StatusAccepted))
		before := len(w.jobs(ctx))
		for name, bad := range map[string]string{
			"none": "", "made up": "x", "expired": expired(w.token, 3*time.Hour),
			"another audience": suite.Token(GinkgoTB(), c, w.namespace, "designer", "vault"),
			"unsigned":         w.token[:strings.LastIndex(w.token, ".")+1],
			"too long":         strings.Repeat("x", 20<<10),
		} {
			a := call(ctx, http.MethodPost, p.url+render, bad, body)
			Expect(a.status).To(Equal(http.StatusUnauthorized), "%s: %s", name, a.body)
			expectError(a, http.StatusUnauthorized)
			Expect(a.header.Get("WWW-Authenticate")).To(HavePrefix("Bearer"))
		}
		reader := w.account("reader", readerRules...)
		expectError(call(ctx, http.MethodPost, p.url+render, reader, body), http.StatusForbidden)
		for _, route := range []string{"/v1/studio/render-jobs", "/v1/studio/templates/all", "/v1/studio/template/modifications?templateId=25", "/v1/studio/webhook-secret"} {
			expectError(call(ctx, http.MethodGet, p.url+route, other.token, "", "X-Workspace", w.namespace), http.StatusForbidden)
		}
		expectError(call(ctx, http.MethodPost, p.url+render, other.token, body, "X-Workspace", w.namespace), http.StatusForbidden)
		expectError(call(ctx, http.MethodPost, p.url+"/v1/signed-url/create", other.token, `{"templateId":25}`, "X-Workspace", w.namespace), http.StatusForbidden)
		job := w.jobs(ctx)[0]
		for _, bearer := range []string{other.token} {
			expectError(call(ctx, http.MethodGet, p.url+"/v1/studio/render-jobs/"+job.Name, bearer, "", "X-Workspace", w.namespace), http.StatusForbidden)
			expectError(call(ctx, http.MethodGet, p.url+"/v1/studio/render-jobs/"+job.Name, bearer, ""), http.StatusNotFound)
			expectError(call(ctx, http.MethodPost, p.url+"/v1/studio/render-jobs/"+job.Name+"/cancel", bearer, "", "X-Workspace", w.namespace), http.StatusForbidden)
		}
		expectError(call(ctx, http.MethodPost, p.url+render, w.token, body, "X-Workspace", "../kube-system"), http.StatusBadRequest)
		Expect(w.jobs(ctx)).To(HaveLen(before))
		Expect(other.jobs(ctx)).To(BeEmpty())
	})

	It("get errors that name the request's fields", func(ctx SpecContext) {
		for request, want := range map[string]string{
			`{"templateId":"card","response":{"fileName":"a\r\nSet-Cookie: x=1"}}`:                                            "response.fileName: ",
			`{"templateId":"card","response":{"fileName":"../../etc/passwd"}}`:                                                "response.fileName: ",
			`{"templateId":"card","response":{"format":"bmp"}}`:                                                               "response.format: ",
			`{"templateId":"card","response":{"scale":11}}`:                                                                   "response.scale: ",
			`{"templateId":"card","response":{"scale":"big"}}`:                                                                "response.scale: must be a number",
			`{"templateId":"card","response":{"includePages":[0]}}`:                                                           "response.includePages[0]: ",
			`{"templateId":"card","response":{"format":"pdf"},"pdfOptions":{"margin":"a lot"}}`:                               "pdfOptions.margin: ",
			`{"templateId":"card","connections":[{"type":"storage","provider":"dropbox","folder":"/a/../b"}]}`:                "connections[0].folder: ",
			`{"templateId":"card","response":{"format":"mp4"},"videoOptions":{"trimStart":2,"trimEnd":1}}`:                    "videoOptions.trimEnd: '1' must be more than trimStart",
			`{"templateId":"card","response":{"format":"pdf"},"pdfOptions":{"colorMode":"lab"}}`:                              "pdfOptions.colorMode: ",
			`{"templateId":"card","connections":[{"type":"storage","provider":"floppy"}]}`:                                    "connections[0].provider: 'floppy' must be ",
			`{"templateId":"card","connections":[{"type":"storage","provider":"dropbox","folder":"a\\b"}]}`:                   "connections[0].folder: ",
			`{"templateId":"card","connections":[{"type":"storage","provider":"dropbox","folder":"/a\nDropbox-API-Arg: x"}]}`: "connections[0].folder: ",
		} {
			a := call(ctx, http.MethodPost, p.url+render, w.token, request)
			expectError(a, http.StatusBadRequest)
			Expect(a.json()["error"]).To(HavePrefix(want), request)
		}
		expectError(call(ctx, http.MethodPost, p.url+render, w.token, `{"templateId":99}`), http.StatusForbidden)
		Expect(w.jobs(ctx)).To(BeEmpty())
	})

	It("name the providers of their workspace", func(ctx SpecContext) {
		const request = `{"templateId":"card","connections":[{"type":"storage","provider":"s3"}],"response":{"mode":"async"}}`
		connected := w.account("connected", append([]rbacv1.PolicyRule{{
			APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"storageconnections"}, Verbs: []string{"list"},
		}}, designer...)...)
		refused := call(ctx, http.MethodPost, p.url+render, connected, request)
		expectError(refused, http.StatusBadRequest)
		Expect(refused.json()["error"]).To(Equal("connections[0].provider: 's3' must be dropbox"))
		Expect(c.Create(ctx, &platenv1alpha1.StorageConnection{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "bucket"},
			Spec: platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderS3, S3: &platenv1alpha1.S3Spec{
				Bucket: "renders", CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "bucket"},
			}},
		})).To(Succeed())
		Expect(call(ctx, http.MethodPost, p.url+render, connected, request).status).To(Equal(http.StatusAccepted))
		// A connection by its name is that one or none.
		for name, want := range map[string]string{"nope": "'nope' is no connection to s3 of this workspace; it must be bucket", "bucket": ""} {
			before := len(w.jobs(ctx))
			named := call(ctx, http.MethodPost, p.url+render, connected, strings.Replace(request, `"s3"`, fmt.Sprintf(`"s3","name":%q`, name), 1))
			if want == "" {
				Expect(named.status).To(Equal(http.StatusAccepted))
				Expect(w.jobs(ctx)).To(ContainElement(HaveField("Spec.Connections", ConsistOf(HaveField("Name", HaveValue(Equal(name)))))))
				continue
			}
			expectError(named, http.StatusBadRequest)
			Expect(named.json()["error"]).To(Equal("connections[0].name: " + want))
			Expect(w.jobs(ctx)).To(HaveLen(before))
		}
		dropbox := call(ctx, http.MethodPost, p.url+render, connected, `{"templateId":"card","connections":[{"type":"storage","provider":"dropbox","name":"bucket"}]}`)
		expectError(dropbox, http.StatusBadRequest)
		Expect(dropbox.json()["error"]).To(Equal("connections[0].name: 'bucket' is no connection to dropbox of this workspace, which has none"))
		// Who may not list connections learns nothing about them; the job reports a missing one.
		Expect(call(ctx, http.MethodPost, p.url+render, w.token, strings.Replace(request, "s3", "gcs", 1)).status).To(Equal(http.StatusAccepted))
	})

	It("cannot send the shim to another server with a job's status", func(ctx SpecContext) {
		var calls atomic.Int32
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
		DeferCleanup(elsewhere.Close)
		for i, contentURL := range []string{elsewhere.URL + "/x", files.URL + ".example.com/x", files.URL + "@" + strings.TrimPrefix(elsewhere.URL, "http://") + "/", files.URL + "/content/../x"} {
			key := fmt.Sprint("k", i)
			request := `{"templateId":"card","response":{"type":"binary"}}`
			Expect(call(ctx, http.MethodPost, p.url+render, w.token, request, "Idempotency-Key", key, "Prefer", "wait=0").status).To(Equal(http.StatusAccepted))
			jobs := w.await(ctx, i+1)
			for n := range jobs {
				if jobs[n].Status.CompletionTime == nil {
					finish(ctx, &jobs[n], 1)
					jobs[n].Status.Pages[0].ContentURL = contentURL
					Expect(c.Status().Update(ctx, &jobs[n])).To(Succeed())
				}
			}
			Eventually(func() int {
				return call(ctx, http.MethodPost, p.url+render, w.token, request, "Idempotency-Key", key, "Prefer", "wait=0").status
			}).
				WithContext(ctx).WithTimeout(timeout).Should(Equal(http.StatusBadGateway))
		}
		Expect(calls.Load()).To(BeZero())
	})

	It("find nothing secret in the log", func(ctx SpecContext) {
		a := call(ctx, http.MethodPost, p.url+render, w.token,
			`{"templateId":"card","modifications":{"headline":"confidential"},"response":{"mode":"async"},"webhook":"http://127.0.0.1:1/?key=hook-private"}`,
			"Idempotency-Key", "key-secret")
		Expect(a.status).To(Equal(http.StatusAccepted))
		secret := call(ctx, http.MethodGet, p.url+"/v1/studio/webhook-secret", w.token, "").json()["secret"]
		job := w.await(ctx, 1)[0]
		finish(ctx, &job, 1)
		Eventually(p.logged).WithContext(ctx).WithTimeout(timeout).Should(ContainSubstring("Called a webhook"))
		log := p.logged()
		Expect(log).To(And(ContainSubstring(`"requestID"`), ContainSubstring(w.namespace), ContainSubstring(job.Name)))
		for _, text := range []string{w.token, "confidential", "hook-private", "key-secret", fmt.Sprint(secret)} {
			Expect(log).NotTo(ContainSubstring(text))
		}
	})
})

var _ = Describe("Callers with too many requests", func() {
	It("are limited one by one", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		other := w.account("other", designer...)
		p := start("--caller-rate=1", "--caller-burst=5", "--caller-concurrency=3")
		list := func(token string) answer {
			return call(ctx, http.MethodGet, p.url+"/v1/studio/templates/all", token, "")
		}
		statuses := map[int]int{}
		var refused answer
		for range 20 {
			a := list(w.token)
			statuses[a.status]++
			if a.status == http.StatusTooManyRequests {
				refused = a
			}
		}
		Expect(statuses[http.StatusOK]).To(BeNumerically(">=", 5))
		Expect(statuses[http.StatusTooManyRequests]).To(BeNumerically(">=", 10))
		expectError(refused, http.StatusTooManyRequests)
		Expect(strconv.Atoi(refused.header.Get("Retry-After"))).To(BeNumerically(">=", 1))
		Expect(list(other).status).To(Equal(http.StatusOK))
	})

	It("do no harm with bodies that are too large, never end or never arrive", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		p := start()
		address := strings.TrimPrefix(p.url, "http://")
		dial := func(head string) net.Conn {
			GinkgoHelper()
			conn, err := net.Dial("tcp", address)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { _ = conn.Close() })
			_, err = io.WriteString(conn, head)
			Expect(err).NotTo(HaveOccurred())
			return conn
		}
		post := "POST /v1/studio/render HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.token + "\r\n"
		before := rss(p)

		By("announcing 1 GiB: refused before the body is sent")
		resp, err := http.ReadResponse(bufio.NewReader(dial(post+"Content-Length: 1073741824\r\n\r\n")), nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusRequestEntityTooLarge))
		Expect(resp.Close).To(BeTrue())

		By("sending 1 GiB without announcing it: refused after the first MiB")
		endless := io.LimitReader(zeros{}, 1<<30)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+render, endless)
		Expect(err).NotTo(HaveOccurred())
		r.Header.Set("Authorization", "Bearer "+w.token)
		if resp, err := http.DefaultClient.Do(r); err == nil { // otherwise the shim closed the connection during the request
			Expect(resp.StatusCode).To(Equal(http.StatusRequestEntityTooLarge))
			_ = resp.Body.Close()
		}
		expectError(call(ctx, http.MethodPost, p.url+render, w.token, `{"a":"`+strings.Repeat("x", 1<<20)+`"}`), http.StatusRequestEntityTooLarge)

		By("stopping in the middle of many headers and bodies")
		for range 200 {
			dial("POST /v1/studio/render HTTP/1.1\r\nHost: x\r\nAuthor")
			dial(post + "Content-Length: 1000\r\n\r\n{\"templateId\"")
		}
		for range 20 {
			began := time.Now()
			other := w.token
			a := call(ctx, http.MethodGet, p.url+"/v1/studio/templates/all", other, "")
			Expect(a.status).To(BeElementOf(http.StatusOK, http.StatusTooManyRequests))
			Expect(time.Since(began)).To(BeNumerically("<", 2*time.Second))
		}
		Expect(rss(p) - before).To(BeNumerically("<", 100<<20))
		half := dial(post + "Content-Length: 1000\r\n\r\n{\"templateId\"")
		Expect(half.Close()).To(Succeed())
		Expect(w.jobs(ctx)).To(BeEmpty())
	})

	It("need little memory while 10,000 of them wait", func(ctx SpecContext) {
		const waiting = 10_000
		w := newWorkspace(ctx)
		p := start("--caller-rate=1000000", "--caller-burst=1000000", "--caller-concurrency=1000000")
		body := `{"templateId":"card","modifications":{"headline":"` + strings.Repeat("x", 10<<10) + `"}}`
		stop, cancel := context.WithCancel(ctx)
		// Probes of so many connections at both ends come in bursts, of which the kernel of one machine drops some (net.core.netdev_max_backlog), always the
		// same ones: those connections would end after nine probes.
		transport := &http.Transport{DialContext: (&net.Dialer{KeepAlive: -1}).DialContext}
		var open sync.WaitGroup
		DeferCleanup(func() {
			cancel()
			open.Wait()
			transport.CloseIdleConnections()
		})
		var answered atomic.Int32
		failed := make(chan error, waiting)
		slots := make(chan struct{}, 64)
		for range waiting {
			slots <- struct{}{}
			sent := sync.OnceFunc(func() { <-slots })
			open.Go(func() {
				defer sent()
				for {
					r, err := http.NewRequestWithContext(stop, http.MethodPost, p.url+render, newNotifier(body, sent))
					if err != nil {
						return
					}
					r.Header.Set("Authorization", "Bearer "+w.token)
					r.Header.Set("Idempotency-Key", "all-the-same")
					r.Header.Set("Prefer", "wait=600")
					resp, err := transport.RoundTrip(r)
					if err != nil {
						failed <- err
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					switch resp.StatusCode {
					case http.StatusOK:
						answered.Add(1)
						return
					case http.StatusRequestTimeout: // a slow machine has not read the body in time, and says "send it again"
					default:
						failed <- fmt.Errorf("HTTP %d", resp.StatusCode)
						return
					}
				}
			})
		}
		Eventually(func() int { return sockets(p) }).WithContext(ctx).WithTimeout(2 * time.Minute).Should(BeNumerically(">=", waiting))
		job := w.await(ctx, 1)[0]
		// The shim still reads the last requests, and the garbage collector has not freed their memory yet, which it does within two minutes: measure what
		// stays in use for five seconds.
		var most int64
		Eventually(func() bool {
			most = 0
			for began := time.Now(); time.Since(began) < 5*time.Second; <-time.After(100 * time.Millisecond) {
				most = max(most, rss(p))
			}
			return most <= 320<<20 // net/http takes 300 for them: buffers, and the stacks of two goroutines each; a pod may have 512
		}).WithContext(ctx).WithTimeout(3*time.Minute).Should(BeTrue(), func() string { return fmt.Sprintf("%d MiB", most>>20) })
		AddReportEntry("10,000 waiting requests use", fmt.Sprintf("%d MiB", most>>20))
		finish(ctx, &job, 1)
		Eventually(func() int { return int(answered.Load()) + len(failed) }).WithContext(ctx).WithTimeout(2 * time.Minute).Should(Equal(waiting))
		Expect(failed).To(BeEmpty(), func() string { return (<-failed).Error() })
	}, SpecTimeout(7*time.Minute))
})

// zeros is a body without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// newNotifier returns a body that calls read at its end.
func newNotifier(body string, read func()) io.Reader {
	return io.MultiReader(strings.NewReader(body), readerFunc(func([]byte) (int, error) {
		read()
		return 0, io.EOF
	}))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// rss returns the resident memory of a process, in bytes.
func rss(p *process) int64 {
	GinkgoHelper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Command.Process.Pid))
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			Expect(err).NotTo(HaveOccurred())
			return kib << 10
		}
	}
	Fail("no VmRSS")
	return 0
}

// sockets returns the number of open files of a process. Nearly all of them are connections here.
func sockets(p *process) int {
	GinkgoHelper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Command.Process.Pid))
	Expect(err).NotTo(HaveOccurred())
	return len(entries)
}
