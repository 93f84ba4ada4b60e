// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/signedurl"
)

var _ = Describe("Dynamic URLs", func() {
	const path = "/v1/studio/dynamic-url"
	var (
		w *workspace
		p *process
	)
	enable := func(ctx context.Context, change func(*platenv1alpha1.DynamicURLs)) {
		GinkgoHelper()
		template := &platenv1alpha1.RenderTemplate{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "card"}, template)).To(Succeed())
		template.Spec.DynamicURLs.Policy = platenv1alpha1.DynamicURLsEnabled
		if change != nil {
			change(&template.Spec.DynamicURLs)
		}
		Expect(c.Update(ctx, template)).To(Succeed())
	}
	bind := func(ctx context.Context) {
		GinkgoHelper()
		Expect(c.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "platen-dynamic-urls"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "platen-dynamic-urls"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "platen-shim"}},
		})).To(Succeed())
	}
	// create returns a new dynamic URL.
	create := func(ctx context.Context, body string) string {
		GinkgoHelper()
		var made answer
		Eventually(func() int {
			made = call(ctx, http.MethodPost, p.url+path, w.token, body)
			return made.status
		}).WithTimeout(timeout).Should(Equal(http.StatusOK), "the shim does not see the template") // its watch lags
		address, ok := made.json()["data"].(string)
		Expect(ok).To(BeTrue(), "%s", made.body)
		Expect(address).To(HavePrefix(p.url + path + "/"))
		return address
	}
	// render finishes every job as it comes, until the spec ends.
	render := func() {
		stop, ctx := make(chan struct{}), context.Background() // the spec's context ends before its cleanup
		var ended sync.WaitGroup
		ended.Go(func() {
			defer GinkgoRecover()
			for tick := time.NewTicker(5 * time.Millisecond); ; {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				for _, job := range w.jobs(ctx) {
					if job.Status.CompletionTime == nil {
						finish(ctx, &job, 1)
					}
				}
			}
		})
		DeferCleanup(func() { close(stop); ended.Wait() })
	}
	BeforeEach(func(ctx SpecContext) {
		w = newWorkspace(ctx)
		p = start()
	})

	It("give the picture to anyone, and render it once for all who ask in all replicas", func(ctx SpecContext) {
		enable(ctx, nil)
		bind(ctx)
		other := start()
		const keys, requests = 10, 300
		addresses := make([]string, keys)
		for i := range addresses {
			addresses[i] = strings.TrimPrefix(create(ctx, fmt.Sprintf(`{"templateId": 25, "name": "card %d.jpg", "modifications": {"headline": "Größe & %d", "n": 1.50}}`, i, i)), p.url)
		}
		render()
		var all sync.WaitGroup
		var wrong atomic.Int32
		for i := range requests {
			all.Go(func() {
				got, err := try(ctx, http.MethodGet, []string{p.url, other.url}[i%2]+addresses[i%keys], "", "")
				if err != nil || got.status != http.StatusOK || string(got.body) != picture(1) || got.header.Get("Content-Type") != "image/jpeg" {
					wrong.Add(1)
					AddReportEntry("wrong answer", fmt.Sprint(err, got.status, string(got.body)))
				}
			})
		}
		all.Wait()
		Expect(wrong.Load()).To(BeZero())
		jobs := w.jobs(ctx)
		Expect(jobs).To(HaveLen(keys))
		Expect(jobs[0].Spec.Connections).To(BeEmpty())
		Expect(jobs[0].Spec.Connections).NotTo(BeNil(), "an upload to every automatic connection")
		Expect(string(jobs[0].Spec.Modifications.Raw)).To(And(ContainSubstring(`"headline":"Größe `), ContainSubstring(`"n":"1.50"`)))
		Expect(*jobs[0].Spec.TTLSecondsAfterFinished).To(BeEquivalentTo(7200))

		By("answering 304 to those who have the picture, also after a restart")
		got := call(ctx, http.MethodGet, p.url+addresses[0], "", "")
		etag := got.header.Get("Etag")
		Expect(etag).To(MatchRegexp(`^"[0-9a-f]{64}"$`))
		Expect(got.header.Get("Content-Disposition")).To(ContainSubstring("card 0.jpg"))
		p.Kill().Wait(timeout)
		p = start()
		again := call(ctx, http.MethodGet, p.url+addresses[0], "", "", "If-None-Match", `"other", `+etag)
		Expect(again.status).To(Equal(http.StatusNotModified))
		Expect(again.body).To(BeEmpty())
		Expect(call(ctx, http.MethodHead, p.url+addresses[0], "", "").header.Get("Etag")).To(Equal(etag))
		Expect(w.jobs(ctx)).To(HaveLen(keys))
	})

	It("come with a warning while the namespace does not let the shim render", func(ctx SpecContext) {
		enable(ctx, nil)
		create(ctx, `{"templateId": 25}`)
		const body, missing = `{"templateId": 25, "pag": 1}`, "does not let the shim render"
		warned := call(ctx, http.MethodPost, p.url+path, w.token, body)
		Expect(warned.status).To(Equal(http.StatusOK), "%s", warned.body)
		Expect(string(warned.body)).To(And(ContainSubstring(missing), ContainSubstring("bind the ClusterRole platen-dynamic-urls"), ContainSubstring("did you mean 'page'?")))
		bind(ctx)
		Eventually(func() string { return string(call(ctx, http.MethodPost, p.url+path, w.token, body).body) }).
			WithContext(ctx).WithTimeout(timeout).Should(And(ContainSubstring(`"data":"http`), Not(ContainSubstring(missing)))) // the API server's watch lags
	})

	It("answer nobody without a valid signature", func(ctx SpecContext) {
		expectError(call(ctx, http.MethodPost, p.url+path, w.token, `{"templateId": 25}`), http.StatusForbidden)
		enable(ctx, nil)
		bind(ctx)
		render()
		valid := create(ctx, `{"templateId": "card", "modifications": {"headline": "a"}}`)
		Expect(call(ctx, http.MethodGet, valid, "", "").status).To(Equal(http.StatusOK))
		secret := call(ctx, http.MethodGet, p.url+path+"-secret?templateId=card", w.token, "").json()
		signed := func(name string, query url.Values) string {
			query.Set("sign", signedurl.Sign(secret["secret"].(string), path+"/"+name, query)) //nolint:forcetypeassert // a test
			return p.url + path + "/" + name + "?" + query.Encode()
		}
		base := func(more ...string) url.Values {
			query := url.Values{"workspace": {w.namespace}, "templateId": {"card"}}
			for i := 0; i < len(more); i += 2 {
				query.Set(more[i], more[i+1])
			}
			return query
		}
		Expect(call(ctx, http.MethodGet, signed("own.png", base("headline", "signed by its owner")), "", "").status).To(Equal(http.StatusOK))
		other := base("headline", "it's a~b* é").Encode()
		for from, to := range map[string]string{"~": "%7E", "%2A": "*", "+": "%20", "%27": "'", "%C3%A9": "%c3%a9"} {
			text := path + "/own.png?" + strings.ReplaceAll(other, from, to)
			mac := hmac.New(sha256.New, []byte(secret["secret"].(string))) //nolint:forcetypeassert // a test
			_, _ = mac.Write([]byte(text))
			got := call(ctx, http.MethodGet, p.url+text+"&sign="+hex.EncodeToString(mac.Sum(nil)), "", "")
			Expect(got.status).To(Equal(http.StatusOK), "%s: %s", text, got.body)
		}
		many := base()
		for i := range 70 {
			many.Set(fmt.Sprint("k", i), "v")
		}
		for name, c := range map[string]struct {
			url  string
			want int
		}{
			"another value":         {strings.Replace(valid, "headline=a", "headline=b", 1), http.StatusForbidden},
			"another name":          {strings.Replace(valid, "card.png", "card.jpg", 1), http.StatusForbidden},
			"no signature":          {p.url + path + "/card.png?" + base().Encode(), http.StatusForbidden},
			"no query":              {p.url + path + "/card.png", http.StatusForbidden},
			"another workspace":     {signed("card.png", base("workspace", "default")), http.StatusForbidden},
			"no workspace":          {signed("card.png", base("workspace", "")), http.StatusForbidden},
			"an unknown template":   {signed("card.png", base("templateId", "unknown")), http.StatusForbidden},
			"expired":               {signed("card.png", base("expires", "1000")), http.StatusForbidden},
			"an expiry of letters":  {signed("card.png", base("expires", "never")), http.StatusForbidden},
			"a page that is none":   {signed("card.png", base("page", "2")), http.StatusBadRequest},
			"a page of letters":     {signed("card.png", base("page", "x")), http.StatusBadRequest},
			"too many parameters":   {signed("card.png", many), http.StatusBadRequest},
			"too long a query":      {signed("card.png", base("headline", strings.Repeat("x", 9000))), http.StatusRequestURITooLong},
			"a parameter twice":     {valid + "&headline=b", http.StatusBadRequest},
			"Latin-1":               {signed("card.png", base("headline", "caf\xe9")), http.StatusBadRequest},
			"a query that is cut":   {valid + "&x=%f", http.StatusBadRequest},
			"no format":             {signed("card.", base()), http.StatusNotFound},
			"a quality of letters":  {signed("card.png", base("quality", "best")), http.StatusBadRequest},
			"a value beside open":   {signed("card.png", base("open", "headline")) + "&n=1", http.StatusForbidden},
			"open, unsigned":        {valid + "&open=n&n=1", http.StatusForbidden},
			"open for a reserved":   {strings.Replace(signed("card.png", base("page", "1", "open", "page")), "page=1", "page=2", 1), http.StatusForbidden},
			"open for no name":      {signed("card.png", base("open", ",")) + "&=1", http.StatusForbidden},
			"a format that is none": {signed("card.exe", base()), http.StatusNotFound},
		} {
			got := call(ctx, http.MethodGet, c.url, "", "")
			Expect(got.status).To(Equal(c.want), "%s: %s", name, got.body)
		}
		Expect(w.jobs(ctx)).To(HaveLen(3))

		By("keeping the URLs of the last key, and no older ones")
		answers := func() int { return call(ctx, http.MethodGet, valid, "", "").status }
		enable(ctx, func(d *platenv1alpha1.DynamicURLs) { d.KeyVersion = 2 })
		Eventually(func() string { return create(ctx, `{"templateId": "card", "modifications": {"headline": "a"}}`) }).WithTimeout(timeout).ShouldNot(Equal(valid))
		Expect(answers()).To(Equal(http.StatusOK))
		enable(ctx, func(d *platenv1alpha1.DynamicURLs) { d.KeyVersion = 3 })
		Eventually(answers).WithTimeout(timeout).Should(Equal(http.StatusForbidden))
		enable(ctx, func(d *platenv1alpha1.DynamicURLs) { d.Policy = platenv1alpha1.DynamicURLsDisabled })
		Eventually(func() int { return call(ctx, http.MethodPost, p.url+path, w.token, `{"templateId": 25}`).status }).WithTimeout(timeout).Should(Equal(http.StatusForbidden))
	})

	It("let those who have one say what it leaves open", func(ctx SpecContext) {
		enable(ctx, nil)
		bind(ctx)
		render()
		address := create(ctx, `{"templateId": 25, "name": "og", "open": ["headline", "page1@headline"], "quality": "80", "page": "1", "expiresAt": "never"}`)
		Expect(address).To(HavePrefix(p.url + path + "/og?"))
		for name, warned := range map[string]bool{"og": true, "og.pdf": true, "og.jpg": false} {
			made := call(ctx, http.MethodPost, p.url+path, w.token, `{"templateId": 25, "name": "`+name+`", "quality": 80}`)
			if warned {
				Expect(made.json()["warnings"]).To(ContainElement(HaveKeyWithValue("title", HavePrefix("quality: 80 changes nothing in "))), name)
			} else {
				Expect(string(made.body)).NotTo(ContainSubstring("changes nothing"), name)
			}
		}
		for _, more := range []string{"", "&headline=Hello%20World", "&headline=%23+%26&page1@headline=b"} {
			got := call(ctx, http.MethodGet, address+more, "", "")
			Expect(got.status).To(Equal(http.StatusOK), "%s", got.body)
			Expect(got.header.Get("Content-Type")).To(Equal("image/png"))
			Expect(got.header.Get("Content-Disposition")).To(ContainSubstring(`"og.png"`))
		}
		jobs := w.jobs(ctx)
		modifications := make([]string, 0, len(jobs))
		for _, job := range jobs {
			modifications = append(modifications, string(job.Spec.Modifications.Raw))
			Expect(job.Spec.Output.Quality).To(BeEquivalentTo(80))
		}
		Expect(modifications).To(ConsistOf(`{}`, `{"headline":"Hello World"}`, MatchJSON(`{"headline":"# &","page1@headline":"b"}`)))

		By("letting what is added win over what the URL has")
		address = create(ctx, `{"templateId": 25, "open": ["headline"], "modifications": {"headline": "Untitled"}}`)
		for more, want := range map[string]string{"": "Untitled", "&headline=New": "New", "&headline=a&headline=Last": "Last"} {
			Expect(call(ctx, http.MethodGet, address+more, "", "").status).To(Equal(http.StatusOK))
			Expect(w.jobs(ctx)).To(ContainElement(HaveField("Spec.Modifications.Raw", MatchJSON(`{"headline":"`+want+`"}`))))
		}
		Expect(call(ctx, http.MethodGet, address+"&open=headline", "", "").status).To(Equal(http.StatusBadRequest))
	})

	It("send the part of a film that a player asks for", func(ctx SpecContext) {
		enable(ctx, nil)
		bind(ctx)
		render()
		for _, format := range []string{"mp4", "webm", "gif"} {
			address := create(ctx, `{"templateId": 25, "name": "film.`+format+`"}`)
			whole := call(ctx, http.MethodGet, address, "", "")
			Expect(whole.status).To(Equal(http.StatusOK), "%s", whole.body)
			Expect(whole.header.Get("Accept-Ranges")).To(Equal("bytes"))
			Expect(whole.header.Get("Content-Type")).To(HaveSuffix("/" + format))
			length := strconv.Itoa(len(picture(1)))
			Expect(whole.header.Get("Content-Length")).To(Equal(length))
			etag := whole.header.Get("Etag")
			for _, header := range [][]string{{"Range", "bytes=4-8"}, {"Range", "bytes=4-8", "If-Range", etag}} {
				part := call(ctx, http.MethodGet, address, "", "", header...)
				Expect(part.status).To(Equal(http.StatusPartialContent))
				Expect(string(part.body)).To(Equal(picture(1)[4:9]))
				Expect(part.header.Get("Content-Range")).To(Equal("bytes 4-8/" + length))
				Expect(part.header.Get("Etag")).To(Equal(etag))
			}
			Expect(call(ctx, http.MethodGet, address, "", "", "Range", "bytes=4-8", "If-Range", `"another"`).status).To(Equal(http.StatusOK))
			beyond := call(ctx, http.MethodGet, address, "", "", "Range", "bytes=999-")
			expectError(beyond, http.StatusRequestedRangeNotSatisfiable)
			Expect(beyond.header.Get("Content-Range")).To(Equal("bytes */" + length))
			Expect(beyond.header).NotTo(Or(HaveKey("Etag"), HaveKey("Cache-Control")))
			head := call(ctx, http.MethodHead, address, "", "")
			Expect(head.status).To(Equal(http.StatusOK))
			Expect(head.header.Get("Content-Length")).To(Equal(length))
			Expect(head.body).To(BeEmpty())
		}
		Expect(w.jobs(ctx)).To(HaveLen(3))
	})

	It("answer with a render that is under way", func(ctx SpecContext) {
		enable(ctx, nil)
		bind(ctx)
		other := start()
		address := create(ctx, `{"templateId": 25, "modifications": {"headline": "a"}}`)
		answers := make(chan answer, 8)
		// ask returns when the request is sent.
		ask := func(base string) {
			sent := make(chan struct{})
			traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }})
			go func() {
				defer GinkgoRecover()
				answers <- call(traced, http.MethodGet, strings.Replace(address, p.url, base, 1), "", "")
			}()
			<-sent
		}
		ask(p.url)
		job := w.await(ctx, 1)[0]
		for range 3 {
			ask(p.url)
			ask(other.url)
		}
		finish(ctx, &job, 1)
		for range 7 {
			var got answer
			Eventually(answers).WithTimeout(timeout).Should(Receive(&got))
			Expect(got.status).To(Equal(http.StatusOK), "%s", got.body)
			Expect(string(got.body)).To(Equal(picture(1)))
		}
		Expect(w.jobs(ctx)).To(HaveLen(1))
	})

	It("render as often as the template allows", func(ctx SpecContext) {
		enable(ctx, func(d *platenv1alpha1.DynamicURLs) { d.RendersPerHour = 1 })
		address := create(ctx, `{"templateId": "card", "modifications": {"headline": "a"}}`)
		refused := call(ctx, http.MethodGet, address, "", "")
		expectError(refused, http.StatusForbidden)
		Expect(string(refused.body)).To(ContainSubstring("platen-dynamic-urls"))
		bind(ctx)
		render()
		Eventually(func() int { return call(ctx, http.MethodGet, address, "", "").status }).WithTimeout(timeout).Should(Equal(http.StatusOK))
		limited := call(ctx, http.MethodGet, create(ctx, `{"templateId": "card", "modifications": {"headline": "c"}}`), "", "")
		expectError(limited, http.StatusTooManyRequests)
		Expect(limited.header.Get("Retry-After")).NotTo(BeEmpty())
		Expect(call(ctx, http.MethodGet, address, "", "").status).To(Equal(http.StatusOK), "a picture that is there costs no render")
	})

	It("say why a picture cannot be rendered, without another try", func(ctx SpecContext) {
		enable(ctx, nil)
		bind(ctx)
		address := create(ctx, `{"templateId": "card", "modifications": {"headline": "a"}}`)
		answers := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			answers <- call(ctx, http.MethodGet, address, "", "")
		}()
		job := w.await(ctx, 1)[0]
		job.Status.ObservedGeneration = &job.Generation
		for _, kind := range []string{platenv1alpha1.ReadyCondition, platenv1alpha1.RenderedCondition} {
			meta.SetStatusCondition(&job.Status.Conditions, metav1.Condition{
				Type: kind, Status: metav1.ConditionFalse, Reason: platenv1alpha1.InvalidModificationsReason, Message: "spec.modifications.headline: no", LastTransitionTime: metav1.Now(),
			})
		}
		meta.SetStatusCondition(&job.Status.Conditions, metav1.Condition{
			Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue, Reason: platenv1alpha1.FailedReason, LastTransitionTime: metav1.Now(),
		})
		Expect(c.Status().Update(ctx, &job)).To(Succeed())
		var got answer
		Eventually(answers).WithTimeout(timeout).Should(Receive(&got))
		expectError(got, http.StatusBadRequest)
		expectError(call(ctx, http.MethodGet, address, "", ""), http.StatusBadRequest)
		Expect(w.jobs(ctx)).To(HaveLen(1))
	})
})
