// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
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

var _ = Describe("The web page", func() {
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
})
