// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/suite"
)

// send sends a request, also one that no browser would send. It does not follow redirects.
func send(t *testing.T, r *http.Request) (status int, header http.Header, body string) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

// request returns a request with the headers of the page's own form. change may be nil.
func request(t *testing.T, method, path string, form url.Values, cookies []*http.Cookie, change func(http.Header)) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, world.page+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", world.page)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	if change != nil {
		change(r.Header)
	}
	return r
}

// signedIn signs in and returns the cookies.
func signedIn(t *testing.T, token string) []*http.Cookie {
	t.Helper()
	status, header, body := send(t, request(t, http.MethodPost, "/ui/sign-in", url.Values{"token": {token}}, nil, nil))
	if status != http.StatusSeeOther {
		t.Fatalf("signing in is answered with %d\n%s", status, body)
	}
	return (&http.Response{Header: header}).Cookies()
}

func TestCookies(t *testing.T) {
	w := newWorkspace(t)
	for _, c := range signedIn(t, w.token) {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || len(c.String()) > 4096 {
			t.Errorf("cookie %s", c)
		}
		if strings.Contains(c.Value, w.token) || strings.Contains(c.Value, strings.Split(w.token, ".")[2]) {
			t.Error("the cookie shows the token")
		}
		changed := *c
		middle := len(c.Value) / 2
		changed.Value = c.Value[:middle] + string('A'+(c.Value[middle]-'A'+1)%26) + c.Value[middle+1:]
		status, header, _ := send(t, request(t, http.MethodGet, "/ui/storage", nil, []*http.Cookie{&changed}, nil))
		if status != http.StatusSeeOther || !strings.HasPrefix(header.Get("Location"), "/ui/sign-in") {
			t.Errorf("a changed cookie is answered with %d %s", status, header.Get("Location"))
		}
	}
}

func TestHeaders(t *testing.T) {
	w := newWorkspace(t)
	cookies := signedIn(t, w.token)
	for _, path := range []string{"/ui/sign-in", "/ui/storage", "/ui/renders", "/ui/templates", "/ui/nothing", "/ui/static/app.css"} {
		_, header, _ := send(t, request(t, http.MethodGet, path, nil, cookies, nil))
		policy := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "script-src 'self';", "style-src 'self';"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy lacks %s: %s", path, want, policy)
			}
		}
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
			if header.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, header.Get(name))
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s", path, policy)
		}
		if path != "/ui/static/app.css" && header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control is %q", path, header.Get("Cache-Control"))
		}
	}
}

// Requests of other sites change nothing, whichever headers they leave out.
func TestCrossSiteRequests(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner")
	cookies := signedIn(t, w.token)
	create(t, &platenv1alpha1.StorageConnection{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "dropbox"},
		Spec: platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderDropbox, Dropbox: &platenv1alpha1.DropboxSpec{
			CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "none"},
		}},
	})
	for _, path := range []string{
		"/ui/sign-in", "/ui/sign-out", "/ui/workspace", "/ui/connect", "/ui/storage/dropbox/test", "/ui/storage/dropbox/folders",
		"/ui/storage/dropbox/folder", "/ui/storage/dropbox/disconnect", "/ui/renders/x/retry", "/ui/templates/banner/renders", "/ui/templates/banner/preview",
	} {
		for name, change := range map[string]func(http.Header){
			"another site":          func(h http.Header) { h.Set("Origin", "https://evil.example"); h.Set("Sec-Fetch-Site", "cross-site") },
			"a sibling":             func(h http.Header) { h.Set("Origin", "http://evil.localhost"); h.Set("Sec-Fetch-Site", "same-site") },
			"an old browser":        func(h http.Header) { h.Set("Origin", "https://evil.example"); h.Del("Sec-Fetch-Site") },
			"a page without origin": func(h http.Header) { h.Set("Origin", "null"); h.Del("Sec-Fetch-Site") },
		} {
			status, header, body := send(t, request(t, http.MethodPost, path, url.Values{"path": {"/Stolen"}, "token": {w.token}}, cookies, change))
			if status != http.StatusForbidden || !strings.Contains(body, "came from another site") || header.Get("Set-Cookie") != "" {
				t.Errorf("%s from %s is answered with %d", path, name, status)
			}
		}
		// A GET never changes anything.
		if status, _, _ := send(t, request(t, http.MethodGet, path, nil, cookies, nil)); path != "/ui/sign-in" && path != "/ui/workspace" &&
			!strings.HasSuffix(path, "/folders") && !strings.HasSuffix(path, "/disconnect") && status != http.StatusMethodNotAllowed && status != http.StatusNotFound {
			t.Errorf("GET %s is answered with %d", path, status)
		}
	}
	connection := w.connection(t)
	if connection.Spec.DefaultFolder != "/Renders" {
		t.Errorf("the folder is %s", connection.Spec.DefaultFolder)
	}
	jobs := &platenv1alpha1.RenderJobList{}
	if err := world.admin.List(t.Context(), jobs, client.InNamespace(w.name)); err != nil || len(jobs.Items) > 0 {
		t.Errorf("%d jobs, %v", len(jobs.Items), err)
	}
}

func TestNoOpenRedirect(t *testing.T) {
	w := newWorkspace(t)
	for _, next := range []string{
		"https://evil.example/", "//evil.example/ui/", "/\\evil.example", "javascript:alert(1)", "/ui/\\..\\evil", "http:/ui/", "/v1/x", "",
		"/ui/x\r\nSet-Cookie: a=b", "///evil.example/ui/", "https://u@localhost/ui/",
	} {
		status, header, _ := send(t, request(t, http.MethodPost, "/ui/sign-in", url.Values{"token": {w.token}, "next": {next}}, nil, nil))
		if status != http.StatusSeeOther || header.Get("Location") != "/ui/storage" {
			t.Errorf("%q leads to %d %q", next, status, header.Get("Location"))
		}
	}
	_, header, _ := send(t, request(t, http.MethodPost, "/ui/sign-in", url.Values{"token": {w.token}, "next": {"/ui/renders?part=2"}}, nil, nil))
	if header.Get("Location") != "/ui/renders?part=2" {
		t.Errorf("leads to %q", header.Get("Location"))
	}
}

// A page of the gallery that does not exist shows the nearest.
func TestGalleryPages(t *testing.T) {
	w := newWorkspace(t)
	cookies := signedIn(t, w.token)
	for _, part := range []string{"", "x", "-1", "2", "9223372036854775807"} {
		if status, _, _ := send(t, request(t, http.MethodGet, "/ui/renders?part="+part, nil, cookies, nil)); status != http.StatusOK {
			t.Errorf("part %q: HTTP %d", part, status)
		}
	}
	create(t, &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "the-only-one"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"},
	}})
	for _, part := range []string{"x", "0", "2", "9223372036854775808"} {
		suite.Eventually(t, "part "+part+" has the job", func() error {
			_, _, body := send(t, request(t, http.MethodGet, "/ui/renders?part="+part, nil, cookies, nil))
			if !strings.Contains(body, "the-only-one") || strings.Contains(body, "Newer") {
				return errors.New(body)
			}
			return nil
		})
	}
	for find, want := range map[string]bool{"only": true, "ONE+banner": true, "%20": true, "other": false, strings.Repeat("x", 5000): false, "%ff%22%3E%3Cb%3E": false} {
		status, _, body := send(t, request(t, http.MethodGet, "/ui/renders?find="+find, nil, cookies, nil))
		if status != http.StatusOK || strings.Contains(body, "the-only-one") != want || strings.Contains(body, `"><b>`) {
			t.Errorf("find %.20q: %d %s", find, status, body)
		}
	}
}

// A person without rights in the workspace sees nothing, and one who may only read changes nothing.
func TestRights(t *testing.T) {
	w, other := newWorkspace(t), newWorkspace(t)
	w.template(t, "banner")
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "secret-campaign"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"},
	}}
	create(t, job)
	w.finish(t, job, 1, "")
	visit := func(token, method, path string, form url.Values) (int, string) {
		t.Helper()
		cookies := signedIn(t, token)
		status, header, _ := send(t, request(t, http.MethodPost, "/ui/workspace", url.Values{"workspace": {w.name}}, cookies, nil))
		if status != http.StatusSeeOther {
			t.Fatalf("choosing a workspace is answered with %d", status)
		}
		status, _, body := send(t, request(t, method, path, form, (&http.Response{Header: header}).Cookies(), nil))
		return status, body
	}
	suite.Eventually(t, "the page shows the picture to its owner", func() error {
		if status, _ := visit(w.token, http.MethodGet, "/ui/renders/secret-campaign/files/1", nil); status != http.StatusOK {
			return http.ErrMissingFile
		}
		return nil
	})
	paths := []string{
		"/ui/storage", "/ui/renders", "/ui/renders/secret-campaign", "/ui/renders/secret-campaign/files/1", "/ui/templates", "/ui/templates/banner",
	}
	for _, path := range paths {
		if status, body := visit(other.token, http.MethodGet, path, nil); status != http.StatusForbidden || strings.Contains(body, "1200 × 630") {
			t.Errorf("someone else gets %d for %s", status, path)
		}
	}
	viewer := w.person(t, "viewer", rbacv1.PolicyRule{
		APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates", "storageconnections"}, Verbs: []string{"get", "list"},
	})
	for _, path := range paths {
		if status, _ := visit(viewer, http.MethodGet, path, nil); status != http.StatusOK {
			t.Errorf("a viewer gets %d for %s", status, path)
		}
	}
	for path, want := range map[string]string{
		"/ui/renders/secret-campaign/retry": "You may not do this", "/ui/templates/banner/preview": "You may not do this",
		"/ui/connect": "You may not connect an account here",
	} {
		status, body := visit(viewer, http.MethodPost, path, url.Values{"name": {"dropbox"}, "appKey": {appKey}})
		if status != http.StatusForbidden || !strings.Contains(body, want) {
			t.Errorf("a viewer gets %d for %s\n%s", status, path, body)
		}
	}
}

// Storage offers a visitor what they may do, and says which role is missing for the rest.
func TestStorageOffersWhatAVisitorMayDo(t *testing.T) {
	w := newWorkspace(t)
	create(t, &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "dropbox"}, Spec: platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderDropbox,
		Dropbox:  &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "missing"}},
	}})
	platen := func(verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"storageconnections"}, Verbs: append(verbs, "get", "list")}
	}
	secrets := func(verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: verbs}
	}
	const connectAnother = "Your token may not connect another Dropbox. An administrator of the namespace can give it the role edit."
	const test, change, again, disconnect, connect = `id="test-dropbox"`, `id="change-dropbox"`, `id="again-dropbox"`, `id="disconnect-dropbox"`, `id="connect"`
	for name, c := range map[string]struct {
		rules   []rbacv1.PolicyRule
		offered []string
		denied  string
	}{
		"viewer":   {[]rbacv1.PolicyRule{platen()}, nil, "Your token may not test it, or change its folder, or connect it again, or disconnect it. "},
		"tester":   {[]rbacv1.PolicyRule{platen(), secrets("get")}, []string{test}, "Your token may not change its folder, or connect it again, or disconnect it. "},
		"designer": {[]rbacv1.PolicyRule{platen("create", "patch", "delete")}, nil, "Your token may not test it, or change its folder, or connect it again, or disconnect it. "},
		"keeper":   {[]rbacv1.PolicyRule{platen("create", "patch", "delete"), secrets("get", "create", "patch")}, []string{test, change, again, connect}, "Your token may not disconnect it. "},
		"remover":  {[]rbacv1.PolicyRule{platen("delete"), secrets("get", "delete")}, []string{test, disconnect}, "Your token may not change its folder, or connect it again. "},
		"editor":   {[]rbacv1.PolicyRule{platen("create", "patch", "delete"), secrets("get", "create", "patch", "delete")}, []string{test, change, again, disconnect, connect}, ""},
	} {
		token := w.person(t, "storage-"+name, c.rules...)
		status, _, body := send(t, request(t, http.MethodGet, "/ui/storage", nil, signedIn(t, token), nil))
		if status != http.StatusOK {
			t.Errorf("%s: answered with %d", name, status)
		}
		for _, action := range []string{test, change, again, disconnect, connect} {
			if offers := strings.Contains(body, action); offers != slices.Contains(c.offered, action) {
				t.Errorf("%s: %s is offered: %t", name, action, offers)
			}
		}
		if c.denied == "" && strings.Contains(body, "may not") || !strings.Contains(body, c.denied) {
			t.Errorf("%s: want %q\n%s", name, c.denied, body)
		}
		if says := strings.Contains(body, connectAnother); says == slices.Contains(c.offered, connect) {
			t.Errorf("%s: says that no other account may be connected: %t\n%s", name, says, body)
		}
	}
}

// Whoever lacks a right to disconnect changes nothing, and learns which right it is.
func TestDisconnectNeedsItsRights(t *testing.T) {
	w := newWorkspace(t)
	dropbox := &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "dropbox"}, Spec: platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderDropbox,
		Dropbox:  &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "keys"}},
	}}
	bucket := &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "archive"}, Spec: platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderS3, S3: &platenv1alpha1.S3Spec{Bucket: "renders", Region: "eu-central-1", CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "keys"}},
	}}
	create(t, dropbox)
	create(t, bucket)
	rule := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
	}
	platen := func(verbs ...string) rbacv1.PolicyRule {
		return rule(platenv1alpha1.GroupVersion.Group, "storageconnections", append(verbs, "get", "list")...)
	}
	for name, c := range map[string]struct {
		rules                   []rbacv1.PolicyRule
		connection, right, role string
	}{
		"viewer":              {[]rbacv1.PolicyRule{platen()}, "dropbox", "may not delete storageconnections in", "role edit."},
		"viewer of a bucket":  {[]rbacv1.PolicyRule{platen()}, "archive", "may not delete storageconnections in", "role platen-edit."},
		"without secrets":     {[]rbacv1.PolicyRule{platen("delete")}, "dropbox", "may not get secrets in", "role edit."},
		"who keeps secrets":   {[]rbacv1.PolicyRule{platen("delete"), rule("", "secrets", "get")}, "dropbox", "may not delete secrets in", "role edit."},
		"who sees no secrets": {[]rbacv1.PolicyRule{platen("delete"), rule("", "secrets", "delete")}, "dropbox", "may not get secrets in", "role edit."},
	} {
		cookies := signedIn(t, w.person(t, strings.ReplaceAll(name, " ", "-"), c.rules...))
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			status, _, body := send(t, request(t, method, "/ui/storage/"+c.connection+"/disconnect", nil, cookies, nil))
			for _, want := range []string{"You may not disconnect " + c.connection, c.right, "Nothing was changed.", c.role} {
				if status != http.StatusForbidden || !strings.Contains(body, want) {
					t.Errorf("%s: %s is answered with %d, want %q\n%s", name, method, status, want, body)
				}
			}
		}
	}
	for _, o := range []client.Object{dropbox, bucket} {
		if err := world.admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Errorf("the connection %s: %v", o.GetName(), err)
		}
	}
	deleter := w.person(t, "deleter", platen("delete"))
	if status, _, body := send(t, request(t, http.MethodPost, "/ui/storage/archive/disconnect", nil, signedIn(t, deleter), nil)); status != http.StatusOK || !strings.Contains(body, "is gone") {
		t.Errorf("disconnecting a bucket is answered with %d\n%s", status, body)
	}
}

// What the page could not do about the access and the Secret of a connection is said as it is.
func TestDisconnectSaysWhatItCouldNotDo(t *testing.T) {
	w := newWorkspace(t)
	cookies := signedIn(t, w.token)
	label := map[string]string{platenv1alpha1.CredentialsLabel: "true"}
	ours := map[string]string{platenv1alpha1.CredentialsLabel: "true", "app.kubernetes.io/managed-by": "platen"}
	good := map[string]string{"appKey": appKey, "refreshToken": "no-account-has-it"}
	for name, c := range map[string]struct {
		secret *corev1.Secret // nil for none
		says   []string
		not    []string
	}{
		"missing":    {nil, []string{"Platen could not end the access at Dropbox. Secret &#39;missing&#39; does not exist."}, []string{"did not confirm", "stays"}},
		"unlabelled": {&corev1.Secret{StringData: good}, []string{"Secret &#39;unlabelled&#39; must carry the label", "Somebody else made it, or a tool keeps it."}, []string{"did not confirm"}},
		"incomplete": {&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: ours}}, []string{"Secret &#39;incomplete&#39; has no key"}, []string{"did not confirm", "stays"}},
		"ended":      {&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: label}, StringData: good}, []string{"Somebody else made it, or a tool keeps it."}, []string{"could not end", "did not confirm"}},
	} {
		if c.secret != nil {
			c.secret.Namespace, c.secret.Name = w.name, name
			create(t, c.secret)
		}
		create(t, &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: name}, Spec: platenv1alpha1.StorageConnectionSpec{
			Provider: platenv1alpha1.ProviderDropbox, Dropbox: &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: name}},
		}})
		_, _, before := send(t, request(t, http.MethodGet, "/ui/storage/"+name+"/disconnect", nil, cookies, nil))
		if want := name == "incomplete"; strings.Contains(before, "The Secret <code>"+name+"</code>, which connecting made, is deleted too.") != want {
			t.Errorf("%s: the question says that the Secret is deleted: want %t\n%s", name, want, before)
		}
		if strings.Contains(before, "from a manifest") {
			t.Errorf("%s: the question speaks of a manifest\n%s", name, before)
		}
		status, _, body := send(t, request(t, http.MethodPost, "/ui/storage/"+name+"/disconnect", nil, cookies, nil))
		if status != http.StatusOK {
			t.Errorf("%s: answered with %d\n%s", name, status, body)
		}
		for _, text := range c.says {
			if !strings.Contains(body, text) {
				t.Errorf("%s: want %q\n%s", name, text, body)
			}
		}
		for _, text := range c.not {
			if strings.Contains(body, text) {
				t.Errorf("%s: says %q\n%s", name, text, body)
			}
		}
	}
}

// A connection that somebody deletes comes back with its manifest. The page says so before.
func TestDisconnectTellsOfAManifest(t *testing.T) {
	w := newWorkspace(t)
	cookies := signedIn(t, w.token)
	spec := platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderDropbox, Dropbox: &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "keys"}},
	}
	for name, meta := range map[string]metav1.ObjectMeta{
		"applied": {Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "{}"}},
		"flux":    {Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"}},
	} {
		meta.Namespace, meta.Name = w.name, name
		create(t, &platenv1alpha1.StorageConnection{ObjectMeta: meta, Spec: spec})
	}
	server := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": platenv1alpha1.GroupVersion.String(), "kind": "StorageConnection", "metadata": map[string]any{"namespace": w.name, "name": "server"},
		"spec": map[string]any{"provider": "dropbox", "dropbox": map[string]any{"credentialsSecretRef": map[string]any{"name": "keys"}}},
	}}
	if err := world.admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(server), client.FieldOwner("kubectl")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"applied", "flux", "server"} {
		if _, _, body := send(t, request(t, http.MethodGet, "/ui/storage/"+name+"/disconnect", nil, cookies, nil)); !strings.Contains(body, "This connection is from a manifest") {
			t.Errorf("%s: the question does not speak of a manifest\n%s", name, body)
		}
	}
}

// The page of a template has no button for what its visitor may not do, and does not say that there are no renders when they may not see them.
func TestTemplateOffersWhatAVisitorMayDo(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"})
	rule := func(resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{resource}, Verbs: verbs}
	}
	const button, preview, mayNot = `<button class="primary">Render</button>`, "/ui/templates/banner/preview", "Your token may not render in this workspace. An administrator of the namespace can give it the role platen-edit."
	tokens := map[string]string{}
	const none, unseen = "No renders yet.", "Your token may not list renders in this workspace. An administrator of the namespace can give it the role platen-view."
	for name, c := range map[string]struct {
		jobs    []string
		has, no []string
	}{
		"viewer":  {[]string{"get", "list"}, []string{mayNot, none}, []string{button, preview, unseen}},
		"blind":   {[]string{"create", "patch"}, []string{button, preview, unseen}, []string{mayNot, none, "every 2s"}},
		"nothing": {[]string{"get"}, []string{mayNot, unseen}, []string{button, preview, none}},
		"editor":  {[]string{"get", "list", "create", "patch"}, []string{button, preview, none}, []string{mayNot, unseen}},
	} {
		tokens[name] = w.person(t, "renders-"+name, rule("rendertemplates", "get", "list"), rule("renderjobs", c.jobs...))
		status, _, body := send(t, request(t, http.MethodGet, "/ui/templates/banner", nil, signedIn(t, tokens[name]), nil))
		for _, text := range c.has {
			if status != http.StatusOK || !strings.Contains(body, text) {
				t.Errorf("%s: answered with %d, want %q\n%s", name, status, text, body)
			}
		}
		for _, text := range c.no {
			if strings.Contains(body, text) {
				t.Errorf("%s: has %q\n%s", name, text, body)
			}
		}
	}
	b := newBrowser(t)
	b.open("/ui/templates/banner")
	b.Fill("#token", tokens["nothing"])
	b.Click(".primary")
	b.Sees(mayNot, unseen)
	b.Screenshots("template-denied")
}

// A workspace that does not exist, or that the token may not see, may have a mistyped name; the token's own has not.
func TestAMistypedWorkspace(t *testing.T) {
	w := newWorkspace(t)
	cookies := signedIn(t, w.person(t, "nobody"))
	const hint = "If the name of the workspace is mistyped, choose another one."
	for _, path := range []string{"/ui/storage", "/ui/renders", "/ui/templates"} {
		if status, _, body := send(t, request(t, http.MethodGet, path, nil, cookies, nil)); status != http.StatusForbidden || strings.Contains(body, hint) {
			t.Errorf("%s of the token's own workspace: %d\n%s", path, status, body)
		}
	}
	_, header, _ := send(t, request(t, http.MethodPost, "/ui/workspace", url.Values{"workspace": {"markteing"}}, cookies, nil))
	cookies = (&http.Response{Header: header}).Cookies()
	for _, path := range []string{"/ui/storage", "/ui/renders", "/ui/templates"} {
		if status, _, body := send(t, request(t, http.MethodGet, path, nil, cookies, nil)); status != http.StatusForbidden || !strings.Contains(body, hint) {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
	}
}

// The page fetches files only from the content store, even if a status names another server.
func TestForgedContentURL(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner")
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "forged"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"},
	}}
	create(t, job)
	w.finish(t, job, 1, "")
	cookies := signedIn(t, w.token)
	get := func() (int, http.Header) {
		status, header, _ := send(t, request(t, http.MethodGet, "/ui/renders/forged/files/1", nil, cookies, nil))
		return status, header
	}
	suite.Eventually(t, "the file is served", func() error {
		if status, header := get(); status != http.StatusOK || header.Get("Content-Type") != "image/png" ||
			!strings.Contains(header.Get("Content-Security-Policy"), "sandbox") {
			return http.ErrMissingFile
		}
		return nil
	})
	proper := world.content.Signer.URL("jobs/ns/x/1/1/1.png", "x.png", 0, job.CreationTimestamp.Time)
	for _, forged := range []string{
		"http://169.254.169.254/latest", world.page + "/ui/static/icon.svg", "http://localhost:1/content/x", "file:///etc/passwd",
		strings.Replace(proper, "//", "//evil@", 1), proper[:len(proper)-1] + "x",
	} {
		if err := world.admin.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
			t.Fatal(err)
		}
		job.Status.Pages[0].ContentURL = forged
		if err := world.admin.Status().Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		suite.Eventually(t, "the page knows "+forged, func() error {
			cached := &platenv1alpha1.RenderJob{}
			if err := world.cache.Get(t.Context(), client.ObjectKeyFromObject(job), cached); err != nil || cached.ResourceVersion != job.ResourceVersion {
				return fmt.Errorf("%w, version %s", err, cached.ResourceVersion)
			}
			return nil
		})
		if status, _ := get(); status != http.StatusBadGateway && status != http.StatusNotFound {
			t.Errorf("%s is answered with %d", forged, status)
		}
	}
}

// Text from users is never markup on the page.
func TestMarkupIsText(t *testing.T) {
	const evil = `<img src=x onerror=alert(1)>"'><script>alert(2)</script>`
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner",
		platenv1alpha1.Parameter{Name: "headline", Description: evil, Default: raw(`"<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"`)},
		platenv1alpha1.Parameter{Name: "points", Type: platenv1alpha1.ParameterList, Default: raw(`["</textarea><script>alert(3)</script>"]`)},
	)
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "evil"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"},
	}}
	create(t, job)
	w.finish(t, job, 1, evil[:28])
	b.signIn(w)
	for path, want := range map[string]string{"/ui/renders": evil[:28], "/ui/renders/evil": evil[:28], "/ui/templates/banner": evil} {
		b.open(path)
		b.Sees(want)
		b.Holds(`document.querySelectorAll("img[src=x], main script, main [onerror]").length === 0`)
	}
	b.open("/ui/templates/banner")
	b.Holds(`document.querySelector('[name="p.headline"]').value.includes("<script>alert(2)")`)
	b.Holds(`document.querySelector('[name="p.points"]').value === "</textarea><script>alert(3)</script>"`)
	// Text in the address of the callback is no markup either.
	b.open("/ui/connect/callback?error=" + url.QueryEscape(evil) + "&error_description=" + url.QueryEscape(evil) + "&state=x")
	b.Sees("does not belong to your attempt")
	b.Holds(`document.querySelectorAll("img[src=x], main script").length === 0`)
}

// No page, header or address shows a token or a credential.
func TestNoSecretOnThePage(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	refresh := string(w.secret(t).Data["refreshToken"])
	if refresh == "" {
		t.Fatal("no refresh token")
	}
	cookies := signedIn(t, w.token)
	for _, path := range []string{
		"/ui/storage", "/ui/storage/dropbox", "/ui/storage/dropbox/folders", "/ui/storage/dropbox/disconnect", "/ui/renders", "/ui/templates", "/ui/workspace",
		"/ui/sign-in", "/ui/nothing",
	} {
		status, header, body := send(t, request(t, http.MethodGet, path, nil, cookies, nil))
		for _, secret := range []string{w.token, refresh} {
			if strings.Contains(body, secret) || strings.Contains(headerText(header), secret) {
				t.Errorf("%s (%d) shows a secret", path, status)
			}
		}
	}
	status, _, body := send(t, request(t, http.MethodPost, "/ui/sign-in", url.Values{"token": {"wrong-" + w.token}}, nil, nil))
	if status != http.StatusUnauthorized || strings.Contains(body, w.token) {
		t.Errorf("a wrong token is answered with %d", status)
	}
}

func headerText(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b)
	return b.String()
}

func TestLimits(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"})
	cookies := signedIn(t, w.token)
	status, _, _ := send(t, request(t, http.MethodPost, "/ui/connect", url.Values{"name": {strings.Repeat("x", 3<<20)}}, cookies, nil))
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("a form that is too large is answered with %d", status)
	}
	status, _, body := send(t, request(t, http.MethodPost, "/ui/sign-in", url.Values{"token": {strings.Repeat("x", 5000)}}, nil, nil))
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "kubectl create token") {
		t.Errorf("a token that is too long is answered with %d", status)
	}
	for _, token := range []string{"", "made-up", "a.b.c"} {
		if status, _, _ := send(t, request(t, http.MethodPost, "/ui/sign-in", url.Values{"token": {token}}, nil, nil)); status != http.StatusUnauthorized && status != http.StatusUnprocessableEntity {
			t.Errorf("token %q is answered with %d", token, status)
		}
	}
}
