// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"image/png"
	"io"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/shim"
)

var _ = Describe("The REST shim", func() {
	// token makes a service account that may do what the role allows, and returns a token of it.
	token := func(ctx SpecContext, w *workspace, rules ...rbacv1.PolicyRule) string {
		GinkgoHelper()
		meta := metav1.ObjectMeta{Name: "designer"}
		account := &corev1.ServiceAccount{ObjectMeta: meta}
		w.create(ctx, account)
		w.create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules})
		w.create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: meta.Name, Namespace: w.namespace}},
		})
		request := &authenticationv1.TokenRequest{}
		Expect(c.SubResource("token").Create(ctx, account, request)).To(Succeed())
		return request.Status.Token
	}
	designer := []rbacv1.PolicyRule{{
		APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates"}, Verbs: []string{"create", "get", "list"},
	}}
	// call reaches the shim at its Service's address, which the node routes; the API server's proxy would drop the caller's token.
	call := func(ctx SpecContext, method, path, token, body string, header ...string) (status int, contentType string, answer []byte) {
		GinkgoHelper()
		service := &corev1.Service{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: "platen-system", Name: "platen-shim"}, service)).To(Succeed())
		r, err := http.NewRequestWithContext(ctx, method, "http://"+service.Spec.ClusterIP+path, strings.NewReader(body))
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

	It("answers with the URL and the path in Dropbox", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		status, _, answer := call(ctx, http.MethodPost, "/v1/studio/render", token(ctx, w, designer...),
			`{"templateId": "card", "modifications": {"headline": "Hello World"},
			  "response": {"type": "url", "format": "png", "fileName": "marketing-banner-001"},
			  "connections": [{"type": "storage", "provider": "dropbox", "folder": "/Marketing/Campaign-2024"}]}`)
		Expect(status).To(Equal(http.StatusOK), "%s", answer)
		var body shim.OnePage
		Expect(json.Unmarshal(answer, &body)).To(Succeed())
		Expect(body.Connections).To(ConsistOf(shim.Connection{
			Type: "storage", Provider: "dropbox", Status: "success", Path: "/Marketing/Campaign-2024/marketing-banner-001.png",
		}))
		Expect(body.Warnings).To(BeEmpty())
		data, _, err := c.Content(ctx, body.Data.Content)
		Expect(err).NotTo(HaveOccurred())
		uploaded, err := c.Simulator().File(ctx, w.appKey, "/Marketing/Campaign-2024/marketing-banner-001.png")
		Expect(err).NotTo(HaveOccurred())
		Expect(uploaded).To(Equal(data))
	})

	It("sends the picture itself, and renders once for one idempotency key", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		bearer := token(ctx, w, designer...)
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

	It("tells of a job that goes on, and of its end", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		bearer := token(ctx, w, designer...)
		status, _, answer := call(ctx, http.MethodPost, "/v1/studio/render", bearer, `{"templateId":"card","response":{"mode":"async"}}`)
		Expect(status).To(Equal(http.StatusAccepted))
		var job shim.Job
		Expect(json.Unmarshal(answer, &job)).To(Succeed())
		Eventually(func(g Gomega) {
			status, _, answer := call(ctx, http.MethodGet, job.Self, bearer, "")
			g.Expect(status).To(Equal(http.StatusOK))
			g.Expect(json.Unmarshal(answer, &job)).To(Succeed())
			g.Expect(job.Finished).To(BeTrue())
		}).WithContext(ctx).WithTimeout(patience).Should(Succeed())
		Expect(job.Status).To(Equal("succeeded"))
		Expect(job.Result).NotTo(BeNil())
	})

	It("refuses who may not, and creates nothing then", func(ctx SpecContext) {
		w, other := newWorkspace(ctx), newWorkspace(ctx)
		bearer, reader := token(ctx, w, designer...), token(ctx, other, rbacv1.PolicyRule{
			APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"rendertemplates"}, Verbs: []string{"list"},
		})
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
		expect(http.StatusNotFound, bearer, `{"templateId":99}`)
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
