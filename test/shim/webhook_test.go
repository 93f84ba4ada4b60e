// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// receiver receives webhooks.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	calls []*http.Request
	texts [][]byte
	// status returns the HTTP status for a call. Calls are numbered from 1.
	status func(call int) int
}

func newReceiver(status func(call int) int) *receiver {
	r := &receiver{status: status}
	r.Server = httptest.NewServer(r)
	DeferCleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	text, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.calls, r.texts = append(r.calls, request), append(r.texts, text)
	status := r.status(len(r.calls))
	r.mu.Unlock()
	w.WriteHeader(status)
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls)
}

var _ = Describe("Webhooks", func() {
	const allow = "--webhook-allow=127.0.0.0/8"
	fine := func(int) int { return http.StatusNoContent }
	// records counts the records of a workspace's webhooks.
	records := func(ctx SpecContext, w *workspace) func() int {
		return func() (n int) {
			list := &corev1.ConfigMapList{}
			Expect(c.List(ctx, list, client.InNamespace(namespace), client.HasLabels{"platen.dev/webhook-delivery"})).To(Succeed())
			for _, record := range list.Items {
				if strings.Contains(record.Data["delivery"], w.namespace) {
					n++
				}
			}
			return n
		}
	}
	renderWithWebhook := func(ctx SpecContext, w *workspace, p *process, field, hook string) {
		GinkgoHelper()
		a := call(ctx, http.MethodPost, p.url+render, w.token, fmt.Sprintf(`{"templateId":"card","response":{"mode":"async"},%q:%q}`, field, hook))
		Expect(a.status).To(Equal(http.StatusAccepted), "%s", a.body)
	}
	delivery := func(ctx SpecContext, w *workspace, p *process, name string) func() any {
		return func() any {
			return call(ctx, http.MethodGet, p.url+"/v1/studio/render-jobs/"+name, w.token, "").json()["webhook"]
		}
	}

	It("are signed, called by one replica, and forgotten with their jobs", func(ctx SpecContext) {
		w, receiver := newWorkspace(ctx), newReceiver(fine)
		replicas := []*process{start(allow), start(allow), start(allow)}
		const n = 12
		for i := range n {
			renderWithWebhook(ctx, w, replicas[i%len(replicas)], []string{"webhook", "webhook_url"}[i%2], receiver.URL)
		}
		jobs := w.await(ctx, n)
		Expect(delivery(ctx, w, replicas[0], jobs[0].Name)()).To(And(HaveKeyWithValue("status", "pending"), HaveKeyWithValue("attempts", 0.0)))
		for i := range jobs {
			finish(ctx, &jobs[i], 1)
		}
		for i := range jobs {
			Eventually(delivery(ctx, w, replicas[i%len(replicas)], jobs[i].Name)).WithContext(ctx).WithTimeout(timeout).
				Should(And(HaveKeyWithValue("status", "delivered"), HaveKeyWithValue("attempts", 1.0)))
		}
		Expect(receiver.count()).To(Equal(n))
		secret := call(ctx, http.MethodGet, replicas[1].url+"/v1/studio/webhook-secret", w.token, "").json()["secret"]
		verifier, err := standardwebhooks.NewWebhook(fmt.Sprint(secret))
		Expect(err).NotTo(HaveOccurred())
		ids := map[string]bool{}
		for i, r := range receiver.calls {
			Expect(verifier.Verify(receiver.texts[i], r.Header)).To(Succeed())
			changed := append([]byte(nil), receiver.texts[i]...)
			changed[10] ^= 1
			Expect(verifier.Verify(changed, r.Header)).NotTo(Succeed())
			ids[r.Header.Get("webhook-id")] = true
			Expect(answer{body: receiver.texts[i]}.json()).To(And(
				HaveKeyWithValue("status", "succeeded"), HaveKeyWithValue("finished", true), HaveKey("result"), HaveKey("id"),
				HaveKeyWithValue("event", "render_job.finished"), HaveKeyWithValue("job", And(HaveKeyWithValue("status", "succeeded"), HaveKey("result")))))
		}
		Expect(ids).To(HaveLen(n))
		other := newWorkspace(ctx)
		Expect(call(ctx, http.MethodGet, replicas[0].url+"/v1/studio/webhook-secret", other.token, "").json()["secret"]).NotTo(Equal(secret))
		Expect(records(ctx, w)()).To(Equal(n))
		for i := range jobs {
			Expect(c.Delete(ctx, &jobs[i])).To(Succeed())
		}
		Eventually(records(ctx, w)).WithContext(ctx).WithTimeout(timeout).Should(BeZero())
	})

	It("are retried, also after a crash", func(ctx SpecContext) {
		w, receiver := newWorkspace(ctx), newReceiver(func(call int) int {
			if call <= 2 {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		})
		p := start(allow)
		renderWithWebhook(ctx, w, p, "webhook", receiver.URL)
		job := w.await(ctx, 1)[0]
		finish(ctx, &job, 1)
		Eventually(delivery(ctx, w, p, job.Name)).WithContext(ctx).WithTimeout(timeout).Should(And(
			HaveKeyWithValue("status", "pending"), HaveKeyWithValue("attempts", 1.0), HaveKey("next_attempt_at"),
			HaveKeyWithValue("error", ContainSubstring("HTTP 503"))))
		p.Kill().Wait(timeout)
		p = start(allow)
		Eventually(delivery(ctx, w, p, job.Name)).WithContext(ctx).WithTimeout(timeout).Should(And(
			HaveKeyWithValue("status", "delivered"), HaveKeyWithValue("attempts", 3.0), HaveKey("delivered_at")))
		Expect(receiver.count()).To(Equal(3))
		Expect(receiver.calls[0].Header.Get("webhook-id")).To(Equal(receiver.calls[2].Header.Get("webhook-id")))
	})

	It("report a canceled job", func(ctx SpecContext) {
		w, receiver := newWorkspace(ctx), newReceiver(fine)
		p := start(allow)
		renderWithWebhook(ctx, w, p, "webhook", receiver.URL)
		job := w.await(ctx, 1)[0]
		call(ctx, http.MethodPost, p.url+"/v1/studio/render-jobs/"+job.Name+"/cancel", w.token, "")
		Eventually(receiver.count).WithContext(ctx).WithTimeout(timeout).Should(Equal(1))
		Expect(answer{body: receiver.texts[0]}.json()).To(HaveKeyWithValue("status", "canceled"))
	})

	It("call no private address in any notation, and follow no redirects", func(ctx SpecContext) {
		w, receiver := newWorkspace(ctx), newReceiver(fine)
		p := start()
		port := receiver.URL[strings.LastIndex(receiver.URL, ":")+1:]
		for i, hook := range []string{
			receiver.URL, "http://localhost:" + port, "http://[::1]:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://0.0.0.0:" + port,
			"http://2130706433:" + port, "http://169.254.169.254/latest/meta-data", config.Host, "http://10.0.0.1/",
		} {
			a := call(ctx, http.MethodPost, p.url+render, w.token, fmt.Sprintf(`{"templateId":"card","response":{"mode":"async"},"webhook":%q}`, hook))
			Expect(a.status).To(Equal(http.StatusAccepted), "%s", a.body)
			Expect(a.json()["warnings"]).To(ConsistOf(HaveKeyWithValue("title", "The webhook cannot be called")), hook)
			jobs := w.await(ctx, i+1)
			for n := range jobs {
				if jobs[n].Status.CompletionTime != nil {
					continue
				}
				Expect(jobs[n].Annotations).To(HaveKeyWithValue("platen.dev/request-warnings", ContainSubstring("The webhook cannot be called")), hook)
				finish(ctx, &jobs[n], 1)
				Eventually(delivery(ctx, w, p, jobs[n].Name)).WithContext(ctx).WithTimeout(timeout).Should(And(
					HaveKeyWithValue("status", "pending"), HaveKeyWithValue("error", Or(ContainSubstring("only public addresses"), ContainSubstring("no connection")))), hook)
			}
		}
		Expect(receiver.count()).To(BeZero())

		redirecting := httptest.NewServer(http.RedirectHandler(receiver.URL, http.StatusTemporaryRedirect))
		DeferCleanup(redirecting.Close)
		p.Kill().Wait(timeout)
		w = newWorkspace(ctx)
		p = start(allow)
		renderWithWebhook(ctx, w, p, "webhook", redirecting.URL)
		job := w.await(ctx, 1)[0]
		Expect(job.Annotations).NotTo(HaveKey("platen.dev/request-warnings"))
		finish(ctx, &job, 1)
		Eventually(delivery(ctx, w, p, job.Name)).WithContext(ctx).WithTimeout(timeout).Should(HaveKeyWithValue("error", ContainSubstring("HTTP 307")))
	})
})
