// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/cli"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/suite"
)

// paintSize returns a picture of the given size.
func paintSize(width, height int) func(int) []byte {
	return func(int) []byte {
		var b bytes.Buffer
		_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height)))
		return b.Bytes()
	}
}

// rendered makes a finished job with one picture.
func (w *workspace) rendered(t *testing.T, name string, picture func(int) []byte, labels map[string]string) {
	t.Helper()
	job := &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: name, Labels: labels},
		Spec:       platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}},
	}
	create(t, job)
	world.content.Finish(t, job, 1, picture)
	if err := world.admin.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}

// Thumbnails have one height, whatever their pictures, and no picture is larger than it is.
func TestThumbnails(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	for name, size := range map[string][2]int{"wide": {1200, 100}, "high": {100, 1200}, "icon": {16, 16}, "usual": {1200, 630}} {
		w.rendered(t, name, paintSize(size[0], size[1]), nil)
	}
	b.signIn(w)
	b.open("/ui/renders")
	b.Sees("4 renders")
	const thumbs = `Array.from(document.querySelectorAll(".thumb"))`
	b.Holds(thumbs + `.every((t) => t.querySelector("img").complete && t.querySelector("img").naturalWidth > 0)`)
	b.Holds(`new Set(` + thumbs + `.map((t) => t.offsetHeight)).size === 1`)
	b.Holds(thumbs + `.every((t) => { const i = t.querySelector("img"); return i.width <= i.naturalWidth && i.height <= i.naturalHeight; })`)
	b.Holds(thumbs + `.every((t) => { const i = t.querySelector("img"); return i.height < t.clientHeight && i.width < t.clientWidth; })`)
	b.Holds(thumbs + `.every((t) => { const i = t.querySelector("img"); return Math.abs(i.width / i.height / (i.naturalWidth / i.naturalHeight) - 1) < .1; })`)
	b.Screenshots("thumbnails")
	b.open("/ui/renders/icon")
	b.Holds(`document.querySelector("figure img").width === 16`)
}

// Previews are in a list of their own.
func TestPreviewsApart(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	w.rendered(t, "poster", paint, nil)
	w.rendered(t, "preview-banner-1", paint, map[string]string{platenv1alpha1.PreviewLabel: "true"})
	b.signIn(w)
	b.open("/ui/renders")
	b.Sees("1 render · 1 preview", "poster")
	b.Holds(`!document.body.innerText.includes("preview-banner-1")`)
	b.Click(`a[href="/ui/renders?show=previews"]`)
	b.Sees("Previews", "1 preview", "preview-banner-1")
	b.Holds(`!document.body.innerText.includes("poster")`)
	b.Screenshots("previews")
	// The list that polls stays the list of previews.
	w.rendered(t, "preview-banner-2", paint, map[string]string{platenv1alpha1.PreviewLabel: "true"})
	b.Sees("2 previews", "preview-banner-2")
	b.Holds(`!document.body.innerText.includes("poster")`)
}

// What is wrong with a folder stands beside its field, and the field keeps what was typed.
func TestErrorsBesideTheField(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.Click("#form summary")
	b.Fill("#folder", "/Marketing/../2024")
	b.Fill("#fileName", "a/b")
	b.Click("#form .primary")
	for field, want := range map[string]string{"folder": "This must not have a component that is", "fileName": "This must not contain a slash"} {
		b.Holds(`document.querySelector("#` + field + `-hint .error").innerText.includes("` + want + `")`)
		b.Holds(`document.querySelector("#` + field + `").getAttribute("aria-invalid") === "true"`)
	}
	b.Holds(`document.querySelector("#folder").value === "/Marketing/../2024"`)
	b.Holds(`document.querySelector("#form > .notice") === null`)
	b.Screenshots("folder-error")
	b.Fill("#folder", "/Marketing")
	b.Holds(`document.querySelector("#folder-hint .error").innerText === "" && !document.querySelector("#folder").hasAttribute("aria-invalid")`)

	b.connect(w)
	b.Fill("#new-folder", "a/b")
	b.Click("#make-folder")
	b.Holds(`document.querySelector("#new-folder-error").innerText.includes("must not have a slash")`)
	b.Holds(`document.querySelector("#new-folder").value === "a/b" && document.activeElement.id === "new-folder"`)
	b.Screenshots("new-folder-error")
}

// A test of a connection is the last check, whatever the status says.
func TestLastChecked(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	b.open("/ui/storage")
	b.Sees("Connected")
	c := w.connection(t)
	c.Status.LastVerifiedTime = new(metav1.NewTime(time.Now().Add(-3 * time.Hour)))
	c.Status.Space = &platenv1alpha1.StorageSpace{Used: new(int64(7 << 40)), Allocated: new(int64(8 << 40))}
	if err := world.admin.Status().Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	b.open("/ui/storage")
	b.Sees("Last checked", "3 hours ago", "of 8.0 TiB")
	b.Click("#test-dropbox")
	b.Sees("It works.", "just now", "of 1.9 GiB")
	b.Holds(`!document.body.innerText.includes("3 hours ago") && !document.body.innerText.includes("TiB") && document.querySelector("meter").value < document.querySelector("meter").high`)
	// The page says so later, too.
	suite.Eventually(t, "the status follows", func() error {
		if last := w.connection(t).Status.LastVerifiedTime; time.Since(last.Time) > time.Hour {
			return fmt.Errorf("it was verified at %s", last)
		}
		return nil
	})
	b.open("/ui/storage")
	b.Sees("Last checked", "just now")
	w.endAccess(t)
	b.Click("#test-dropbox")
	b.Sees("Access has ended", "Last worked")
	b.Screenshots("last-worked")
}

// Whoever has opened a workspace without rights in it finds the way back on every page, and whoever may only read when they try to write.
func TestWayBack(t *testing.T) {
	w, other, b := newWorkspace(t), newWorkspace(t), newBrowser(t)
	other.template(t, "banner")
	b.signIn(w)
	for _, path := range []string{"/ui/storage", "/ui/renders", "/ui/templates", "/ui/templates/banner", "/ui/storage/dropbox", "/ui/renders/x"} {
		b.open("/ui/workspace")
		b.Fill("#workspace", other.name)
		b.Click(".primary")
		b.Sees("You may not")
		b.open(path)
		b.Sees("You may not", "Choose another workspace")
		b.Click(`main a[href="/ui/workspace"]`)
		b.Sees("A workspace is a namespace")
		b.Click(`main button[name=workspace]`)
		b.Sees("Where the renders of " + w.name + " go")
	}
	b.open("/ui/workspace")
	b.Screenshots("workspace")
	b.Fill("#workspace", other.name)
	b.Click(".primary")
	b.Sees("You may not")
	b.Screenshots("forbidden")
	viewer := w.person(t, "viewer", rbacv1.PolicyRule{
		APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates", "storageconnections"}, Verbs: []string{"get", "list"},
	})
	w.template(t, "banner")
	status, _, body := send(t, request(t, http.MethodPost, "/ui/templates/banner/preview", url.Values{}, signedIn(t, viewer), nil))
	if status != http.StatusForbidden || !strings.Contains(body, "platen-edit") {
		t.Errorf("answered with %d\n%s", status, body)
	}
}

// A refused action says so until the next one, also while the page makes requests of its own.
func TestARefusedActionStaysVisible(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	job := &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "summer"},
		Spec:       platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}},
	}
	create(t, job)
	w.receiver(t)
	w.finish(t, job, 1, "the account has no room")
	viewer := w.person(t, "viewer", rbacv1.PolicyRule{
		APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates", "storageconnections"}, Verbs: []string{"get", "list", "watch", "patch"},
	})
	b.open("/ui/")
	b.Fill("#token", viewer)
	b.Click(".primary")
	b.Sees("Where the renders of " + w.name)
	b.open("/ui/renders/" + job.Name)
	b.Sees("Try the upload again", "Your token may not render it again. An administrator of the namespace can give it the role platen-edit.")
	// The right is taken away while the page is open.
	role := &rbacv1.Role{}
	if err := world.admin.Get(t.Context(), client.ObjectKey{Namespace: w.name, Name: "viewer"}, role); err != nil {
		t.Fatal(err)
	}
	role.Rules[0].Verbs = []string{"get", "list", "watch"}
	if err := world.admin.Update(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	cookies := signedIn(t, viewer)
	suite.Eventually(t, "the page knows that the right is gone", func() error {
		_, _, body := send(t, request(t, http.MethodGet, "/ui/renders/"+job.Name, nil, cookies, nil))
		if !strings.Contains(body, "Your token may not try its upload again, or render it again.") {
			return errors.New("it does not")
		}
		return nil
	})
	b.Click("#retry")
	b.Sees("You may not do this in this workspace")
	b.Holds(`document.querySelector('#notices').textContent.includes('platen-edit')`)
}

// A render whose template is gone is there, and says so.
func TestTheTemplateOfARenderIsGone(t *testing.T) {
	w := newWorkspace(t)
	template := &platenv1alpha1.RenderTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "banner"},
		Spec:       platenv1alpha1.RenderTemplateSpec{Title: "Great offers", Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 1200, Height: 630, HTML: "<h1>"}}},
	}
	create(t, template)
	job := &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "summer"}, Spec: platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}},
	}
	create(t, job)
	w.finish(t, job, 1, "")
	cookies := signedIn(t, w.token)
	get := func(path string) (int, string) {
		status, _, body := send(t, request(t, http.MethodGet, path, nil, cookies, nil))
		return status, body
	}
	suite.Eventually(t, "the title finds the render", func() error {
		if status, body := get("/ui/renders?find=great+OFFERS"); status != http.StatusOK || !strings.Contains(body, "again-summer") {
			return fmt.Errorf("answered with %d", status)
		}
		return nil
	})
	if err := world.admin.Delete(t.Context(), template); err != nil {
		t.Fatal(err)
	}
	suite.Eventually(t, "the page says that the template is gone", func() error {
		status, body := get("/ui/renders/summer")
		if status != http.StatusOK || !strings.Contains(body, "Its template banner is gone") || strings.Contains(body, `id="again"`) || strings.Contains(body, `href="/ui/templates/banner"`) {
			return fmt.Errorf("answered with %d\n%s", status, body)
		}
		return nil
	})
	if _, body := get("/ui/renders"); strings.Contains(body, "again-summer") {
		t.Error("the list offers to render again")
	}
	if status, body := get("/ui/templates/banner?from=summer"); status != http.StatusNotFound || !strings.Contains(body, "The template of this render is gone") || !strings.Contains(body, `href="/ui/renders/summer"`) {
		t.Errorf("answered with %d\n%s", status, body)
	}
	for _, path := range []string{"/ui/templates/banner?from=winter", "/ui/templates/poster?from=summer"} {
		if status, body := get(path); status != http.StatusNotFound || !strings.Contains(body, "There is no such template") {
			t.Errorf("%s: answered with %d\n%s", path, status, body)
		}
	}
}

// The form of a render creates a job and patches it: without one of the two rights, the page does not offer it.
func TestWhoMayCreateAloneMayNotRenderAgain(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner")
	job := &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "summer"}, Spec: platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}},
	}
	create(t, job)
	w.finish(t, job, 1, "")
	creator := w.person(t, "creator", rbacv1.PolicyRule{
		APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates", "storageconnections"}, Verbs: []string{"get", "list", "watch", "create"},
	})
	cookies := signedIn(t, creator)
	for _, path := range []string{"/ui/renders/summer", "/ui/renders"} {
		suite.Eventually(t, "the page shows the render", func() error {
			status, _, body := send(t, request(t, http.MethodGet, path, nil, cookies, nil))
			if status != http.StatusOK || !strings.Contains(body, "summer") {
				return fmt.Errorf("answered with %d", status)
			}
			if strings.Contains(body, "Render again") {
				t.Errorf("%s offers to render again", path)
			}
			return nil
		})
	}
}

// elsewhere opens a workspace in another tab.
func (b browser) elsewhere(w *workspace) {
	b.Value(`(document.title = '', fetch('/ui/workspace', {method: 'POST', body: new URLSearchParams({workspace: '` + w.name + `'})}).then(() => { document.title = 'elsewhere' }))`)
	b.Holds(`document.title === 'elsewhere'`)
}

// A tab acts in the workspace that it shows, or not at all.
func TestATabActsInItsOwnWorkspace(t *testing.T) {
	w, other, b := newWorkspace(t), newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.Sees("banner")
	// Another tab opens another workspace.
	b.elsewhere(other)
	b.Click("#form .primary")
	b.Sees("This page shows the workspace "+w.name, "you have opened "+other.name)
	b.Screenshots("other-workspace")
	// What is typed stays, and the page leads back to its workspace without leaving it.
	b.Fill(`[name="p.headline"]`, "Typed before")
	b.Holds(`document.querySelector("#notices a").target === "_blank"`)
	back := strings.TrimPrefix(b.Value(`document.querySelector("#notices a").href`), world.page)
	if back != "/ui/?workspace="+w.name {
		t.Errorf("the notice leads to %s", back)
	}
	b.elsewhere(w)
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	b.Holds(`document.querySelector("#notices").childElementCount === 0`)
	job := w.job(t)
	if got := string(job.Spec.Modifications.Raw); got != `{"headline":"Typed before"}` {
		t.Errorf("rendered %s", got)
	}
	if err := world.admin.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	b.elsewhere(other)
	for _, path := range []string{"/ui/storage/dropbox/disconnect", "/ui/connect", "/ui/renders/x/retry"} {
		cookies := signedIn(t, w.token)
		status, _, body := send(t, request(t, http.MethodPost, path, url.Values{"shown": {other.name}, "name": {"dropbox"}, "appKey": {appKey}}, cookies, nil))
		if status != http.StatusConflict || !strings.Contains(body, "Nothing was done") {
			t.Errorf("%s is answered with %d\n%s", path, status, body)
		}
	}
	jobs := &platenv1alpha1.RenderJobList{}
	if err := world.admin.List(t.Context(), jobs); err != nil {
		t.Fatal(err)
	}
	for i := range jobs.Items {
		if job := &jobs.Items[i]; (job.Namespace == other.name || job.Namespace == w.name) && job.Labels[platenv1alpha1.PreviewLabel] == "" {
			t.Errorf("there is a job %s in %s", job.Name, job.Namespace)
		}
	}
	// What only leads somewhere asks before it shows the other workspace: links, also to an object that both have, and the field that finds renders.
	b.elsewhere(w)
	b.open("/ui/templates")
	b.Sees("banner")
	b.elsewhere(other)
	b.Click(`h2 a[href="/ui/templates/banner"]`)
	b.Sees("This page is of the workspace " + w.name)
	b.Click("#open")
	b.Sees("1 page of 1200 × 630")
	b.Holds(`location.pathname === "/ui/templates/banner" && location.search === "?workspace=` + w.name + `"`)
	b.open("/ui/renders")
	b.Sees("Nothing yet")
	b.elsewhere(other)
	b.Fill("#find", "summer")
	b.Click(".find button")
	b.Sees("This page is of the workspace " + w.name)
	b.Click("#open")
	b.Sees("No render with “summer” in the name or that of the template", w.name)
	// A plain form says what its page shows.
	b.open("/ui/workspace")
	b.Fill("#workspace", w.name)
	b.Click(".primary")
	b.Sees("Where the renders of " + w.name + " go")
	b.elsewhere(other)
	b.Fill("#appKey", appKey)
	b.Click("#connect")
	b.Sees("This page shows the workspace " + w.name)
}

// The page without a session, and pages about what is not there, are accessible too.
func TestOtherPages(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.open("/ui/nothing")
	b.Sees("There is no such page")
	b.Screenshots("no-such-page")
	b.open("/ui/sign-in")
	b.Fill("#token", "wrong")
	b.Click(".primary")
	b.Sees("The cluster does not accept this token")
	b.Screenshots("sign-in-wrong")
	b.signIn(w)
	for _, page := range []struct{ path, sees, name string }{
		{"/ui/renders", "Nothing has been rendered", "renders-empty"}, {"/ui/templates", "no templates yet", "templates-empty"},
		{"/ui/renders/none", "not kept any more", "no-such-render"}, {"/ui/templates/none", "no such template", "no-such-template"},
	} {
		b.open(page.path)
		b.Sees(page.sees)
		b.Screenshots(page.name)
	}
	b.Click("header form button")
	b.Sees("You are signed out")
	b.Screenshots("signed-out")
}

// The page, the REST API and the plugin know what pages in a ConfigMap bind.
func TestParametersFromConfigMaps(t *testing.T) {
	w := newWorkspace(t)
	template := w.templateFromConfigMap(t)
	template.Status.ObservedGeneration = &template.Generation
	template.Status.Parameters = []platenv1alpha1.TemplateParameter{
		{Name: "headline", Type: "text", Source: platenv1alpha1.ParameterBound, Default: raw(`"Hello"`), Example: raw(`"Hello"`), Pages: []int32{1}},
	}
	if err := world.admin.Status().Update(t.Context(), template); err != nil {
		t.Fatal(err)
	}
	suite.Eventually(t, "the page knows the status", func() error {
		cached := &platenv1alpha1.RenderTemplate{}
		if err := world.cache.Get(t.Context(), client.ObjectKeyFromObject(template), cached); err != nil || len(cached.Status.Parameters) == 0 {
			return fmt.Errorf("%w, %+v", err, cached.Status)
		}
		return nil
	})
	_, _, page := send(t, request(t, http.MethodGet, "/ui/templates/banner", nil, signedIn(t, w.token), nil))
	if !strings.Contains(page, `name="p.headline"`) || !strings.Contains(page, ">\nHello</textarea>") { // browsers leave out the first line break
		t.Errorf("the page has no field:\n%s", page)
	}
	_, _, answer := send(t, request(t, http.MethodGet, "/v1/templates/modifications?template_id=banner", nil, nil, func(h http.Header) { h.Set("Authorization", "Bearer "+w.token) }))
	if !strings.Contains(answer, `"headline"`) || !strings.Contains(answer, `"Hello"`) {
		t.Errorf("REST answers %s", answer)
	}
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	plugin := cli.New(streams)
	plugin.SetArgs([]string{"templates", "banner", "-n", w.name, "--kubeconfig", kubeconfig(t)})
	if err := plugin.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "headline") {
		t.Errorf("the plugin prints %s, %v", out, err)
	}
}

// The page of a template has the warnings of its status, of the generation that it shows.
func TestWarningsOfATemplate(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"})
	template := &platenv1alpha1.RenderTemplate{}
	if err := world.admin.Get(t.Context(), client.ObjectKey{Namespace: w.name, Name: "banner"}, template); err != nil {
		t.Fatal(err)
	}
	template.Status.Warnings = []platenv1alpha1.TemplateWarning{{Rule: "missing-alt", Where: "page front, <img id=logo>", Message: "it has no alt"}}
	meta.SetStatusCondition(&template.Status.Conditions, metav1.Condition{
		Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: platenv1alpha1.ValidWithWarningsReason, ObservedGeneration: template.Generation,
	})
	if err := world.admin.Status().Update(t.Context(), template); err != nil {
		t.Fatal(err)
	}
	cookies := signedIn(t, w.token)
	const says = "The template has 1 warning"
	eventuallyBody(t, cookies, "/ui/templates/banner", func(body string) error {
		if !strings.Contains(body, says) || !strings.Contains(body, "page front, &lt;img id=logo&gt;") || !strings.Contains(body, "it has no alt") {
			return fmt.Errorf("the page has no warning:\n%s", body)
		}
		return nil
	})
	template.Spec.Description = "Changed"
	if err := world.admin.Update(t.Context(), template); err != nil {
		t.Fatal(err)
	}
	eventuallyBody(t, cookies, "/ui/templates/banner", func(body string) error {
		if !strings.Contains(body, "Changed") || strings.Contains(body, says) {
			return fmt.Errorf("the page has the warnings of another generation:\n%s", body)
		}
		return nil
	})
}

// The reference of the REST API is readable on a phone and in the dark, and accessible.
func TestRESTReference(t *testing.T) {
	b := newBrowser(t)
	b.open("/docs")
	b.Sees("/v1/studio/render")
	// The page is long: some routes and objects stand for all.
	b.Holds(`(() => {
		const sections = Array.from(document.querySelectorAll("section"));
		sections.forEach((s, i) => i % 8 === 0 || s.remove());
		const ids = new Set(Array.from(document.querySelectorAll("section"), (s) => "#" + s.id));
		document.querySelectorAll("nav li").forEach((li) => ids.has(li.firstChild.getAttribute("href")) || li.remove());
		return ids.size > 4;
	})()`)
	b.Screenshots("rest-docs")
}

// Someone without a mouse connects an account, previews, renders, and retries an upload.
func TestKeyboardOnly(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline", Required: new(true)})
	b.open("/ui/")
	b.Type("#token", w.token) // the browser moves the focus there by itself
	b.Press(enter)
	b.Sees("Where the renders of " + w.name)
	b.tabTo("#appKey")
	b.Type("#appKey", appKey)
	b.tabTo("#connect")
	b.Press(enter)
	b.Sees("Platen would like to")
	b.tabTo("input[name=account]")
	for range 100 { // the accounts of the other tests' people
		if b.Press(kb.ArrowDown); b.Is(`document.activeElement.dataset.email === "` + w.email + `"`) {
			break
		}
	}
	b.tabTo("button[value=allow]")
	b.Press(enter)
	b.Sees("Choose a folder")
	b.tabTo("#picker .choose .primary")
	b.Press(enter)
	b.Sees("Connected")

	b.tabTo(`nav a[href="/ui/templates"]`)
	b.Press(enter)
	b.Sees("1 parameter")
	b.tabTo(`h2 a[href="/ui/templates/banner"]`)
	b.Press(enter)
	b.Sees("Headline")
	b.tabTo(`[name="p.headline"]`)
	b.Type(`[name="p.headline"]`, "Hello")
	// The preview follows without a key.
	finishPreview(t, w.previewOf(t, "Hello"), 2)
	b.Holds(`document.querySelector("#live img")?.naturalWidth === 1200`)
	b.tabTo("#form .primary")
	b.Press(enter)
	b.Sees("Waiting to start")
	w.finish(t, w.job(t), 1, "Dropbox did not answer")
	b.Sees("Rendered, not uploaded")
	b.tabTo("#retry")
	b.Press(enter)
	b.Sees("Uploading again")
}

// The accounts of config/simulator can be connected from the page as docs/operations/storage-page.md says.
func TestSimulatorAsDocumented(t *testing.T) {
	data, err := os.ReadFile("../../config/simulator/dropboxsim.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(data), "\n---")
	var config corev1.ConfigMap
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	var accounts []dropboxsim.Account
	if err := json.Unmarshal([]byte(config.Data["accounts.json"]), &accounts); err != nil {
		t.Fatal(err)
	}
	sim := dropboxsim.New()
	for _, a := range accounts {
		sim.AddAccount(a)
	}
	query := url.Values{
		"client_id": {"demo-app"}, "response_type": {"code"}, "token_access_type": {"offline"}, "state": {"x"},
		"redirect_uri": {"http://localhost:8080/ui/connect/callback"},
	}
	w := httptest.NewRecorder()
	sim.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost:8090/oauth2/authorize?"+query.Encode(), nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "ada@example.com") {
		t.Errorf("answered with %d\n%s", w.Code, w.Body)
	}
}
