// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/chromium"
	"github.com/platen-dev/platen/test/cluster"
)

// person creates a service account with rights in the workspace, and returns its token.
func (w *workspace) person(ctx context.Context, rules ...rbacv1.PolicyRule) string {
	GinkgoHelper()
	meta := metav1.ObjectMeta{Name: "person"}
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

var _ = Describe("The web page", Serial, func() {
	const page = "http://platen-shim.platen-system.svc"
	// The browser reaches Services by their names, as the pods do: the node routes their addresses.
	browse := func(ctx SpecContext) *chromium.Browser {
		GinkgoHelper()
		hosts := map[string]string{}
		for _, name := range []string{"platen-shim", "dropboxsim"} {
			service := &corev1.Service{}
			Expect(c.Get(ctx, client.ObjectKey{Namespace: cluster.Namespace, Name: name}, service)).To(Succeed())
			hosts[name+"."+cluster.Namespace+".svc"] = service.Spec.ClusterIP
		}
		// Except for the consent page, which people reach through a port-forward.
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:8090")
		Expect(err).NotTo(HaveOccurred())
		forward := &http.Server{
			Handler: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: hosts["dropboxsim."+cluster.Namespace+".svc"] + ":8090"}), ReadHeaderTimeout: time.Minute,
		}
		go func() { _ = forward.Serve(listener) }()
		DeferCleanup(forward.Close)
		return chromium.Start(GinkgoTB(), hosts)
	}

	It("takes a person from the sign-in to a picture in their Dropbox, and again after the access has ended", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.setAccount(ctx, func(a *dropboxsim.Account) { a.RedirectURIs = []string{page + "/ui/connect/callback"} })
		bearer := w.person(ctx,
			rbacv1.PolicyRule{
				APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates", "storageconnections"},
				Verbs: []string{"get", "list", "create", "patch", "delete"},
			},
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "create", "patch", "delete"}},
		)
		b := browse(ctx)
		b.Open(page)
		b.Fill("#token", bearer)
		b.Click(".primary")
		b.Fill("#appKey", w.appKey)
		b.Click("#connect")
		b.Click("button[value=allow]")
		b.Sees("Dropbox is connected")
		b.Fill("#new-folder", "Summer")
		b.Click("#picker .line button")
		b.Sees("The folder is there")
		b.Click("#picker .choose .primary")
		b.Sees("Connected", w.namespace+"@example.com", "/Summer")

		b.Open(page + "/ui/templates/card")
		b.Click("#form .primary")
		b.Sees("Done", "/Summer/card-")
		b.Holds(`document.querySelector("#result img").naturalWidth === 400`)
		b.Screenshots("e2e-rendered")
		Expect(w.files(ctx)).To(HaveLen(1))

		w.setAccount(ctx, func(a *dropboxsim.Account) {
			a.RedirectURIs, a.Revoked = []string{page + "/ui/connect/callback"}, true
		})
		Expect(c.Simulator().AdvanceClock(ctx, 4*time.Hour)).To(Succeed())
		b.Open(page + "/ui/templates/card")
		b.Click("#form .primary")
		b.Sees("Rendered, not uploaded", "Failed to upload to dropbox: Token expired", "Try the upload again")
		b.Screenshots("e2e-warning")
		Expect(w.files(ctx)).To(HaveLen(1))

		b.Open(page + "/ui/storage")
		b.Click("#again-dropbox")
		b.Click("button[value=allow]")
		b.Sees("Choose a folder")
		// Platen retries the failed upload by itself.
		b.Open(page + "/ui/renders")
		b.Holds(`document.querySelectorAll("#gallery .badge.good").length === 2`)
		Expect(w.files(ctx)).To(HaveLen(2))
		b.Screenshots("e2e-renders")
	})

	It("shows a preview that follows what a person types, and says how fast", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.create(ctx, &platenv1alpha1.RenderTemplate{
			ObjectMeta: metav1.ObjectMeta{Name: "banner"},
			Spec: platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{{
				Name: "front", Width: 1200, Height: 630,
				HTML: `<body style="margin:0;font:64px sans-serif;color:#fff;background:linear-gradient(135deg,#2f4b70,#98c1d9)"><h1 style="padding:80px" data-param="headline">Headline</h1>`,
			}}},
		})
		b := browse(ctx)
		b.Open(page)
		b.Fill("#token", w.person(ctx, rbacv1.PolicyRule{
			APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates", "storageconnections"},
			Verbs: []string{"get", "list", "create", "patch"},
		}))
		b.Click(".primary")
		b.Sees("Storage")
		b.Open(page + "/ui/templates/banner")
		b.Holds(`document.querySelector("#live img")?.naturalWidth === 1200`)

		// From the event of a keystroke until its picture, already decoded, is on the page.
		b.Holds(`(() => {
			window.times = [];
			const field = document.querySelector('[name="p.headline"]');
			field.focus();
			field.addEventListener("input", () => { window.typed = performance.now(); });
			let source = document.querySelector("#live img").src;
			new MutationObserver(() => {
				const now = document.querySelector("#live img")?.src;
				if (now && now !== source) { source = now; window.times.push(performance.now() - window.typed); }
			}).observe(document.querySelector("#live"), {childList: true, subtree: true});
			return true;
		})()`)
		const letters = "the quick brown fox jumps over the dog"
		for i, letter := range letters {
			b.Press(string(letter))
			b.Holds(fmt.Sprintf("window.times.length >= %d", i+1))
		}
		var times []float64
		Expect(json.Unmarshal([]byte(b.Value("JSON.stringify(window.times.map(Math.round))")), &times)).To(Succeed())
		slices.Sort(times)
		median := times[len(times)/2]
		AddReportEntry("keystroke to picture", fmt.Sprintf("median %.0f ms, 95 %% within %.0f ms, of %d keystrokes", median, times[len(times)*95/100], len(times)), ReportEntryVisibilityAlways)
		Expect(median).To(BeNumerically("<", 1000))

		// Whoever types faster than the renderer paints sees the last state.
		b.Press(strings.Repeat("fast ", 8))
		b.Holds(`window.times.length > 38`)
		previews := &platenv1alpha1.RenderJobList{}
		Eventually(func(g Gomega) {
			g.Expect(c.List(ctx, previews, client.InNamespace(w.namespace))).To(Succeed())
			g.Expect(previews.Items).To(HaveLen(1))
			g.Expect(string(previews.Items[0].Spec.Modifications.Raw)).To(ContainSubstring(strings.Repeat("fast ", 7)))
			g.Expect(previews.Items[0].Finished()).To(BeTrue())
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		Expect(previews.Items[0].Generation).To(BeNumerically("<", len(letters)+40), "not every keystroke renders")
		b.Holds(fmt.Sprintf("document.querySelector('#live img').src.includes(%q)", previews.Items[0].Status.Pages[0].SHA256[:12]))
		b.Screenshots("e2e-preview")
		Expect(w.files(ctx)).To(BeEmpty())
	})
})
