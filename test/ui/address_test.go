// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// invite lets the person of another workspace work in this one, too.
func (w *workspace) invite(t *testing.T, other *workspace) {
	t.Helper()
	create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "guests"}, Rules: platenRules()})
	create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "guests"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "guests"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: other.name, Name: "designer"}},
	})
}

// The address of a page names its workspace: whoever gets it from somebody else sees the same page, also where their own workspace has one of that name.
func TestAnAddressLeadsToItsWorkspace(t *testing.T) {
	w, other := newWorkspace(t), newWorkspace(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "ours"})
	other.template(t, "banner", platenv1alpha1.Parameter{Name: "theirs"})
	w.invite(t, other)
	sender := newBrowser(t)
	sender.signIn(w)
	sender.open("/ui/templates/banner")
	sender.Holds(`location.search === "?workspace=` + w.name + `"`)
	address := sender.Value("location.href")

	// Signing in for it opens its workspace.
	b := newBrowser(t)
	b.Open(address)
	b.Sees("Sign in")
	b.Holds(`document.querySelector("#workspace").value === "` + w.name + `" && document.querySelector("details").open`)
	b.Fill("#token", other.token)
	b.Click(".primary")
	b.Sees("Ours", w.name)
	b.Holds(`location.href === "` + address + `"`)

	// So does the address of a picture.
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "summer"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"},
	}}
	create(t, job)
	w.finish(t, job, 1, "")
	sender.open("/ui/renders/summer")
	sender.Holds(`document.querySelector("#result img")?.naturalWidth === 1200`)
	picture := strings.TrimPrefix(sender.Value(`document.querySelector("#result figure a").href`), world.page)
	if status, _, body := send(t, request(t, http.MethodGet, picture, nil, signedIn(t, other.token), nil)); status != http.StatusConflict || !strings.Contains(body, "This page is of the workspace "+w.name) {
		t.Errorf("%s is answered with %d\n%s", picture, status, body)
	}

	// Whoever is in another workspace is asked first.
	b.open("/ui/workspace")
	b.Fill("#workspace", other.name)
	b.Click(".primary")
	b.Sees("Where the renders of " + other.name)
	b.Open(address)
	b.Sees("This page is of the workspace "+w.name, other.name+" is open")
	b.Screenshots("elsewhere")
	b.Click("#stay")
	b.Sees("Where the renders of " + other.name)
	b.Open(address)
	b.Click("#open")
	b.Sees("Ours", w.name)

	// A page that is loaded again is the same, whatever another tab has opened since.
	b.elsewhere(other)
	b.Holds(`location.reload() === undefined`)
	b.Sees("This page is of the workspace " + w.name)
}

// What is not there is said of the workspace in which the page has looked.
func TestWhatIsMissingNamesItsWorkspace(t *testing.T) {
	w := newWorkspace(t)
	cookies := signedIn(t, w.token)
	for _, path := range []string{"/ui/renders/gone", "/ui/templates/gone", "/ui/storage/gone"} {
		status, _, body := send(t, request(t, http.MethodGet, path, nil, cookies, nil))
		if status != http.StatusNotFound || !strings.Contains(body, "The workspace "+w.name+" has no ") {
			t.Errorf("%s is answered with %d\n%s", path, status, body)
		}
	}
	// Only a name of a namespace is one.
	if status, _, body := send(t, request(t, http.MethodGet, "/ui/renders?workspace=%3Cb%3E", nil, cookies, nil)); status != http.StatusOK || strings.Contains(body, "<b>") {
		t.Errorf("answered with %d\n%s", status, body)
	}
}

// A name that is no workspace is said at its field, which has the focus. The form of a render that is gone leads to the form without it.
func TestMistakesInAddresses(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	b.signIn(w)
	b.open("/ui/workspace")
	b.Fill("#workspace", "My team")
	b.Click(".card .primary")
	b.Holds(`document.querySelector("#workspace-error").innerText.includes("A workspace is a namespace")`)
	b.Holds(`document.activeElement.id === "workspace" && document.activeElement.getAttribute("aria-invalid") === "true"`)
	b.Screenshots("workspace-wrong")
	b.Fill("#workspace", w.name)
	b.Holds(`document.querySelector("#workspace-error").innerText === "" && document.querySelector("[aria-invalid]") === null`)

	b.open("/ui/templates/banner?from=gone")
	b.Sees("The workspace " + w.name + " has no render 'gone'")
	b.Click(`main a[href="/ui/templates/banner"]`)
	b.Sees("1 page of 1200 × 630")
}

// Whoever may not see the first section begins with one that they may see.
func TestTheFirstPageIsOneThatAPersonMaySee(t *testing.T) {
	w := newWorkspace(t)
	group := platenv1alpha1.GroupVersion.Group
	rule := func(resource string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{"get", "list"}}
	}
	for name, tc := range map[string]struct {
		rules []rbacv1.PolicyRule
		want  string
	}{
		"storage":   {[]rbacv1.PolicyRule{rule("storageconnections"), rule("rendertemplates")}, "/ui/storage"},
		"templates": {[]rbacv1.PolicyRule{rule("renderjobs"), rule("rendertemplates")}, "/ui/templates"},
		"renders":   {[]rbacv1.PolicyRule{rule("renderjobs")}, "/ui/renders"},
		"nothing":   {nil, "/ui/storage"},
	} {
		cookies := signedIn(t, w.person(t, "sees-"+name, tc.rules...))
		status, header, _ := send(t, request(t, http.MethodGet, "/ui/", nil, cookies, nil))
		if status != http.StatusSeeOther || header.Get("Location") != tc.want {
			t.Errorf("%s: /ui/ leads to %d %s, want %s", name, status, header.Get("Location"), tc.want)
		}
	}
	_, header, _ := send(t, request(t, http.MethodGet, "/ui/", nil, nil, nil))
	if want := "/ui/sign-in?next=" + url.QueryEscape("/ui/"); header.Get("Location") != want {
		t.Errorf("without a session, /ui/ leads to %s, want %s", header.Get("Location"), want)
	}
	// Whoever opens the form by its own address begins there, too.
	if _, _, form := send(t, request(t, http.MethodGet, "/ui/sign-in", nil, nil, nil)); !strings.Contains(form, `name="next" value="/ui/"`) {
		t.Errorf("the form at its own address leads elsewhere: %s", form)
	}
}

// Whoever does something after the session has ended learns that nothing was done, and comes back to the page.
func TestNothingIsDoneAfterTheSession(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	b.open("/ui/storage/dropbox/disconnect")
	b.inAnotherTab("/ui/sign-out", "")
	b.Click("#disconnect")
	b.Sees("Sign in", "nothing was done")
	b.Screenshots("sign-in-nothing-done")
	b.Fill("#token", w.token)
	b.Click(".primary")
	b.Sees("Disconnect Ada Lovelace?")

	// A list that follows the cluster says why it cannot.
	b.open("/ui/renders")
	b.Sees("Nothing has been rendered")
	b.inAnotherTab("/ui/sign-out", "")
	b.Sees("Sign in", "Your session has ended")
	b.Holds(`document.querySelector("[name=next]").value === "/ui/renders?workspace=` + w.name + `"`)
}

// The page of a render that somebody deletes says so in its place, and asks no more.
func TestARenderIsDeletedWhileItsPageIsOpen(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "summer"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"},
	}}
	create(t, job)
	b.signIn(w)
	b.open("/ui/renders/summer")
	b.Sees("Waiting to start")
	if err := world.admin.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	b.Sees("The workspace " + w.name + " has no render 'summer'")
	b.Holds(`!document.body.innerText.includes("Waiting to start") && document.querySelector("#result [hx-get], #result[hx-get]") === null`)
	b.Holds(`document.querySelector("#notices").childElementCount === 0`)
	b.Screenshots("render-deleted")
	// The part of a connection that is gone asks no more either.
	status, header, body := send(t, request(t, http.MethodGet, "/ui/storage/gone", nil, signedIn(t, w.token), func(h http.Header) {
		h.Set("Hx-Request", "true")
		h.Set("Hx-Target", "connection-gone")
	}))
	if status != http.StatusNotFound || header.Get("Hx-Retarget") != "" || !strings.Contains(body, `id="connection-gone"`) || strings.Contains(body, "hx-get") {
		t.Errorf("answered with %d %s\n%s", status, header.Get("Hx-Retarget"), body)
	}
}

// A suspended render makes no progress, and the page does not pretend it.
func TestASuspendedRender(t *testing.T) {
	w := newWorkspace(t)
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "summer"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}, Suspend: new(true),
	}}
	create(t, job)
	setReady(t, job, platenv1alpha1.SuspendedReason, "suspended")
	cookies := signedIn(t, w.token)
	eventuallyBody(t, cookies, "/ui/renders/summer", func(body string) error {
		if !strings.Contains(body, "It starts when spec.suspend is set to false.") || strings.Contains(body, "<progress") || !strings.Contains(body, "hx-get") {
			return fmt.Errorf("the page is\n%s", body)
		}
		return nil
	})
	eventuallyBody(t, cookies, "/ui/renders", func(body string) error {
		if !strings.Contains(body, "1 render") || strings.Contains(body, "in progress") {
			return fmt.Errorf("the list is\n%s", body)
		}
		return nil
	})
}
