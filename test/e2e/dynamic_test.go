// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

var _ = Describe("Dynamic URLs", func() {
	It("render a picture once, and films that players can seek in", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "moving"}, Spec: platenv1alpha1.RenderTemplateSpec{
			DynamicURLs: platenv1alpha1.DynamicURLs{Policy: platenv1alpha1.DynamicURLsEnabled},
			Pages: []platenv1alpha1.TemplatePage{{Name: "a", Width: 64, Height: 36, HTML: `<style>@keyframes go { to { transform: translateX(50px) } }
				p { animation: go 0.2s linear }</style><p data-param="headline">moving`}},
		}})
		const role = "platen-dynamic-urls"
		w.create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "platen-system", Name: "platen-shim"}},
		})
		token, err := c.Designer(ctx, w.namespace, "designer")
		Expect(err).NotTo(HaveOccurred())
		base, err := c.Shim(ctx)
		Expect(err).NotTo(HaveOccurred())
		send := func(ctx context.Context, method, path, body string, header ...string) (*http.Response, []byte) {
			GinkgoHelper()
			r, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
			Expect(err).NotTo(HaveOccurred())
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			resp, err := http.DefaultClient.Do(r)
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = resp.Body.Close() }()
			answer, err := io.ReadAll(resp.Body)
			Expect(err).NotTo(HaveOccurred())
			return resp, answer
		}
		create := func(format string) (address string) {
			GinkgoHelper()
			Eventually(func(g Gomega) { // the shim's watch lags
				resp, answer := send(ctx, http.MethodPost, "/v1/studio/dynamic-url", fmt.Sprintf(`{"templateId":"moving","name":"film.%s","open":["headline"]}`, format), "Authorization", "Bearer "+token)
				g.Expect(resp.StatusCode).To(Equal(http.StatusOK), "%s", answer)
				var made struct{ Data string }
				g.Expect(json.Unmarshal(answer, &made)).To(Succeed())
				u, err := url.Parse(made.Data)
				g.Expect(err).NotTo(HaveOccurred())
				address = u.RequestURI()
			}).WithTimeout(waitTimeout).Should(Succeed())
			return address
		}
		address := create("png") + "&headline=Hello"
		first, picture := send(ctx, http.MethodGet, address, "")
		Expect(first.StatusCode).To(Equal(http.StatusOK), "%s", picture)
		decoded, err := png.Decode(bytes.NewReader(picture))
		Expect(err).NotTo(HaveOccurred())
		Expect(decoded.Bounds().Dx()).To(Equal(64))
		unchanged, _ := send(ctx, http.MethodGet, address, "", "If-None-Match", first.Header.Get("Etag"))
		Expect(unchanged.StatusCode).To(Equal(http.StatusNotModified))
		changed := []byte(address)
		changed[strings.Index(address, "sign=")+len("sign=")] ^= 1
		refused, _ := send(ctx, http.MethodGet, string(changed), "")
		Expect(refused.StatusCode).To(Equal(http.StatusForbidden))
		for format, kind := range map[string]string{"mp4": "video/mp4", "webm": "video/webm"} {
			address := create(format)
			whole, film := send(ctx, http.MethodGet, address, "")
			Expect(whole.StatusCode).To(Equal(http.StatusOK), "%s", film)
			Expect(whole.Header.Get("Content-Type")).To(Equal(kind))
			part, some := send(ctx, http.MethodGet, address, "", "Range", "bytes=10-19")
			Expect(part.StatusCode).To(Equal(http.StatusPartialContent))
			Expect(some).To(Equal(film[10:20]))
			head, none := send(ctx, http.MethodHead, address, "")
			Expect(head.Header.Get("Content-Length")).To(Equal(whole.Header.Get("Content-Length")))
			Expect(none).To(BeEmpty())
		}
		jobs := &platenv1alpha1.RenderJobList{}
		Expect(c.List(ctx, jobs, client.InNamespace(w.namespace))).To(Succeed())
		Expect(jobs.Items).To(HaveLen(3))
	})
})
