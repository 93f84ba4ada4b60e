// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/suite"
)

// isSeen is an expression that tells whether an element is on the screen, below a preview that sticks.
func isSeen(selector string) string {
	return fmt.Sprintf(`(() => {
		const views = document.querySelector(".views"), place = document.querySelector(%q).getBoundingClientRect();
		const top = getComputedStyle(views).position === "sticky" ? views.getBoundingClientRect().bottom : 0;
		return place.top >= top && place.bottom <= innerHeight + 1 || JSON.stringify([place, top, innerHeight]);
	})()`, selector)
}

// A refused form shows its first wrong field, says there what is wrong, and stays alive: preview and code follow what is typed then.
func TestARefusedForm(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	parameters := make([]platenv1alpha1.Parameter, 15)
	parameters[0] = platenv1alpha1.Parameter{Name: "headline", Required: new(true)}
	for n := range 12 {
		parameters[1+n].Name = fmt.Sprintf("line%d", n)
	}
	parameters[13] = platenv1alpha1.Parameter{Name: "price", Type: platenv1alpha1.ParameterNumber}
	parameters[14] = platenv1alpha1.Parameter{Name: "size", Type: platenv1alpha1.ParameterNumber}
	w.template(t, "banner", parameters...)
	b.signIn(w)
	b.Phone()
	b.openWithPreview(t, w)
	b.enter(`[name="p.price"]`, "a lot")
	b.Click("#form .primary")
	b.Holds(`document.activeElement.name === "p.headline" && document.activeElement.getAttribute("aria-invalid") === "true"`)
	b.Holds(`document.getElementById(document.activeElement.getAttribute("aria-describedby")).innerText.includes("Please fill this in.")`)
	b.Holds(`document.querySelector("#refused[role=alert]").textContent === "Nothing is rendered yet: correct 2 fields."`)
	b.Holds(isSeen(`.field:has([name="p.headline"])`))
	b.Screenshots("template-refused")

	b.Type(`[name="p.headline"]`, "New product")
	b.Holds(`["kubectl", "curl", "plugin"].every((name) => document.querySelector("#code-" + name).textContent.includes("New product"))`)
	b.Holds(`document.querySelector('.field:has([name="p.headline"]) .error').textContent === "" && !document.activeElement.hasAttribute("aria-invalid")`)
	b.Holds(`document.querySelector('[name="p.price"]').getAttribute("aria-invalid") === "true"`)
	b.Holds(`document.querySelector("#refused").textContent === "Nothing is rendered yet: correct 1 field."`)
	b.enter(`[name="p.size"]`, "large")
	b.Holds(`document.querySelector("#refused").textContent === "Nothing is rendered yet: correct 2 fields."`)
	b.enter(`[name="p.size"]`, "")
	b.enter(`[name="p.price"]`, "5")
	finishPreview(t, w.previewOf(t, "New product"), 2)
	b.Holds(`document.querySelector("#form .wrong") === null && document.querySelector("#refused").textContent === ""`)
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	w.job(t)
	b.enter(`[name="p.headline"]`, "Newer product")
	w.previewOf(t, "Newer product")
}

// What is wrong with a value stands beside its field while a person types. A field that they have not reached yet is not wrong.
func TestAWrongValueIsSaidBesideItsField(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "size", Type: platenv1alpha1.ParameterNumber}, platenv1alpha1.Parameter{Name: "headline", Required: new(true)})
	b.signIn(w)
	b.open("/ui/templates/banner")
	finishPreview(t, w.preview(t, 1), 1)
	b.Click(`[name="p.size"]`)
	b.Type(`[name="p.size"]`, "abc")
	b.Holds(`document.querySelector('.field:has([name="p.size"]) .error').innerText.includes("This must be a number")`)
	b.Holds(`document.activeElement.getAttribute("aria-invalid") === "true" && document.activeElement.value === "abc"`)
	b.Holds(`getComputedStyle(document.activeElement).borderColor === getComputedStyle(document.querySelector('.field:has([name="p.size"]) .error')).color`)
	b.Holds(`document.querySelectorAll("#form .wrong").length === 1`)
	b.Click(".tabs label:last-child")
	b.Sees("Still empty: Headline. The code has a sample in its place.", "Not in the code: Size: This must be a number")
	b.Screenshots("code-incomplete")
	b.Fill(`[name="p.size"]`, "12")
	b.Holds(`document.querySelector("#form .wrong, #form [aria-invalid]") === null`)
	b.Fill(`[name="p.headline"]`, "Hello")
	b.Holds(`document.querySelector("#code-kubectl").textContent.includes("Hello") && document.querySelector("#code .advice") === null`)
}

// A picture that does not load leaves the last one, and the next preview begins when the picture of the last has come: it would take it away.
func TestThePreviewKeepsThePictureThatIsThere(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"})
	b.signIn(w)
	b.openWithPreview(t, w)
	b.Holds(`document.querySelector("#live a").getAttribute("href").startsWith("/ui/renders/preview-banner-")`)
	b.Holds(`Boolean(window.kept = document.querySelector("#live img"))`)
	b.enter(`[name="p.headline"]`, "Lost")
	job := w.preview(t, 2)
	world.content.Finish(t, job, 1, func(int) []byte { return paint(2) })
	job.Status.Pages[0].ContentURL += "-gone"
	if err := world.admin.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	b.Sees("The new picture did not load. Change a field to try again.")
	b.Holds(`document.querySelector("#live img") === window.kept && window.kept.naturalWidth === 1200`)

	b.Holds(`(() => {
		window.order = [];
		const decode = HTMLImageElement.prototype.decode;
		HTMLImageElement.prototype.decode = function () {
			window.order.push("picture");
			return new Promise((release) => { window.release = release; }).then(() => decode.call(this));
		};
		document.body.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.target.id === "live") window.order.push("request"); });
		return true;
	})()`)
	b.enter(`[name="p.headline"]`, "Second")
	finishPreview(t, w.preview(t, 3), 3)
	b.Holds(`window.order.join() === "request,picture"`)
	b.enter(`[name="p.headline"]`, "Third")
	b.Holds(`document.querySelector("#code-kubectl").textContent.includes("Third")`) // the code waits longer than the preview for its request
	b.Holds(`window.order.join() === "request,picture"`)
	b.Holds(`(window.release(), true)`)
	b.Holds(`window.order.join() === "request,picture,request" && document.querySelector("#live img") !== window.kept`)
	w.previewOf(t, "Third")
}

// After Back, the preview and the code are of what the browser has put into the fields.
func TestBackToTheForm(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline", Default: raw(`"Hello"`)})
	b.signIn(w)
	b.open("/ui/templates/banner")
	finishPreview(t, w.previewOf(t, "Hello"), 1)
	b.enter(`[name="p.headline"]`, "Kept?")
	first := w.previewOf(t, "Kept?")
	finishPreview(t, first, 2)
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	b.Click(`nav a[href="/ui/storage"]`)
	b.Sees("Where the renders of " + w.name)
	b.Holds(`(history.back(), true)`)
	b.Holds(`document.querySelector('[name="p.headline"]')?.value === "Kept?"`)
	b.Holds(`document.querySelector("#code-kubectl").textContent.includes("Kept?")`)
	if err := world.admin.Delete(t.Context(), first); err != nil { // the form is opened again, and has another one
		t.Fatal(err)
	}
	w.previewOf(t, "Kept?")
}

// A field is as tall as its text, up to a bound.
func TestTextFieldsGrow(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"}, platenv1alpha1.Parameter{Name: "points", Type: platenv1alpha1.ParameterList})
	b.signIn(w)
	b.open("/ui/templates/banner")
	for _, name := range []string{"headline", "points"} {
		field := fmt.Sprintf(`document.querySelector('[name="p.%s"]')`, name)
		b.enter(fmt.Sprintf(`[name="p.%s"]`, name), "one\ntwo\nthree\nfour\nfive\nsix")
		b.Holds(field + `.scrollHeight === ` + field + `.clientHeight`)
	}
	b.Holds(`document.querySelector('[name="p.headline"]').clientHeight < 200`)
}

// A form that is refused says all that is wrong with it.
func TestAllErrorsAtOnce(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "price", Type: platenv1alpha1.ParameterNumber})
	form := url.Values{"p.price": {"1x"}, "fileName": {"a/b"}, "folder": {"/Ignored"}, "destination": {"none"}}
	status, _, body := send(t, request(t, http.MethodPost, "/ui/templates/banner/renders", form, signedIn(t, w.token), nil))
	for _, want := range []string{"This must be a number", "This must not contain a slash", "The files go nowhere", "correct 3 fields"} {
		if status != http.StatusUnprocessableEntity || !strings.Contains(body, want) {
			t.Errorf("the answer %d does not say %q:\n%s", status, want, body)
		}
	}
	form = url.Values{"p.price": {"1"}, "folder": {"/Lost"}, "nobody": {"true"}}
	status, _, body = send(t, request(t, http.MethodPost, "/ui/templates/banner/renders", form, signedIn(t, w.token), nil))
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "No account receives every render: choose one") {
		t.Errorf("the answer %d takes a folder that goes to no account:\n%s", status, body)
	}
}

// inAnotherTab signs in or out as another tab does, which has the same cookies.
func (b browser) inAnotherTab(path, token string) {
	b.Holds(fmt.Sprintf(`(window.elsewhere ??= fetch(%q, {method: "POST", body: new URLSearchParams({token: %q})}).then((r) => { window.answered = r.ok; }), window.answered)`, path, token))
	b.Holds(`(window.elsewhere = window.answered = undefined, true)`)
}

// When the session ends, the page stays with what was typed, says so once, and goes on when another tab has signed in again.
func TestTheSessionEndsWhileATextIsTyped(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	parameters := []platenv1alpha1.Parameter{{Name: "headline"}, {Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}, {Name: "e"}, {Name: "f"}, {Name: "g"}, {Name: "h"}}
	w.template(t, "banner", parameters...)
	b.signIn(w)
	b.Phone()
	b.openWithPreview(t, w)
	b.inAnotherTab("/ui/sign-out", "")
	b.enter(`[name="p.headline"]`, "Written for an hour")
	b.Sees("Your session has ended.")
	b.Holds(`Boolean(window.kept = document.querySelector("[data-signed-out]"))`)
	b.Click("#form .primary")
	b.Holds(`document.querySelector("#form .primary").disabled === false && document.querySelector("[data-signed-out]") === window.kept`)
	b.Holds(`document.querySelector('[name="p.headline"]').value === "Written for an hour"`)
	b.Holds(`(() => { const place = window.kept.getBoundingClientRect(); return scrollY > 100 && place.top >= 0 && place.bottom <= innerHeight || JSON.stringify([scrollY, place]); })()`)
	b.Holds(`document.querySelector("[data-signed-out] a[target=_blank]").getAttribute("href").endsWith("next=%2Fui%2Ftemplates%2Fbanner%3Fworkspace%3D` + w.name + `")`)
	b.Screenshots("session-ended")
	b.inAnotherTab("/ui/sign-in", w.token)
	b.Holds(`document.querySelector("[data-signed-out]") === null`)
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	w.job(t)
}

// The focus comes back to the button that was pressed: it loses it while it is disabled for its request.
func TestRenderKeepsTheFocus(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"})
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.tabTo("#form .primary")
	b.Press(enter)
	b.Sees("Waiting to start")
	b.Holds(`document.activeElement.matches("#form .primary") && !document.activeElement.disabled`)
	b.Press(kb.Tab)
	b.Holds(`document.activeElement.id === "result-link"`)
	// Also if the answer is a notice.
	other := newWorkspace(t)
	b.elsewhere(other)
	b.Holds(`document.querySelector("#form .primary").focus() === undefined`)
	b.Press(enter)
	b.Sees("This page shows the workspace " + w.name)
	b.Holds(`document.activeElement.matches("#form .primary")`)
}

// A field that somebody has made larger is a part of a refused form, too.
func TestALargerFieldIsRefused(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline", Required: new(true)})
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.Holds(`(document.querySelector('[name="p.headline"]').style.height = "200px") === "200px"`)
	b.Click("#form .primary")
	b.Sees("Please fill this in.") // the browser's policy allows no attribute style: newBrowser fails the test if it blocks one
	b.Holds(`document.querySelector('[name="p.headline"]').offsetHeight === 200`)
}

// choose gives a field a file of some bytes, as a person does in the browser's dialog.
func (b browser) choose(selector, name string, size int) {
	b.Holds(fmt.Sprintf(`(() => {
		const field = document.querySelector(%q), files = new DataTransfer(), bytes = new Uint8Array(%d);
		bytes.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
		files.items.add(new File([bytes], %q, {type: "image/png"}));
		field.files = files.files;
		field.dispatchEvent(new Event("input", {bubbles: true}));
		return field.dispatchEvent(new Event("change", {bubbles: true}));
	})()`, selector, size, name))
}

// A picture that is too large, such as a photo, is refused beside its field, and so is the render. The page does not send it.
func TestAPhotoIsTooLarge(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"}, platenv1alpha1.Parameter{Name: "photo", Type: platenv1alpha1.ParameterImage})
	b.signIn(w)
	b.openWithPreview(t, w)
	b.choose(`[name="f.photo"]`, "photo.png", 5<<20)
	b.Holds(`document.querySelector('.field:has([name="f.photo"]) .error').innerText.includes("The picture has more than 512 KiB.")`)
	b.Holds(`document.querySelector("#live-notes").innerText.includes("Photo: The picture has more than 512 KiB.")`)
	b.Holds(`document.getElementById(document.querySelector('[name="f.photo"]').getAttribute("aria-describedby")).innerText.includes("512 KiB")`)
	b.Screenshots("template-photo")
	b.Click("#form .primary")
	b.Sees("Nothing is rendered yet: correct 1 field.")
	b.Holds(`document.querySelector("#notices").childElementCount === 0`)
	b.choose(`[name="f.photo"]`, "small.png", 5<<10)
	b.Holds(`document.querySelector("#form .wrong") === null`)
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	if job := w.job(t); !strings.Contains(string(job.Spec.Modifications.Raw), "data:image/png;base64,iVBORw0KGgo") {
		t.Errorf("the modifications are %.200s", job.Spec.Modifications.Raw)
	}
}

// A picture has one source: the address or the file that a person gives last. They can take the file back, and a refused form keeps it.
func TestAPictureHasOneSource(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline", Required: new(true)}, platenv1alpha1.Parameter{Name: "photo", Type: platenv1alpha1.ParameterImage})
	b.signIn(w)
	b.openWithPreview(t, w)
	const file, address, remove = `document.querySelector('[name="f.photo"]')`, `document.querySelector('[name="p.photo"]')`, `document.querySelector("[data-remove]")`
	b.Holds(remove + `.offsetParent === null`)
	b.enter(`[name="p.photo"]`, "https://example.com/a.png")
	b.choose(`[name="f.photo"]`, "small.png", 5<<10)
	b.Holds(address + `.value === "" && ` + remove + `.offsetParent !== null`)
	b.Holds(`document.querySelector("#code-kubectl").textContent.includes("data:image/png")`)
	b.Screenshots("template-file")
	b.Click("#form .primary")
	b.Sees("Please fill this in.")
	b.Holds(file + `.files[0]?.name === "small.png" && ` + remove + `.offsetParent !== null`)
	b.enter(`[name="p.photo"]`, "https://example.com/b.png")
	b.Holds(file + `.files.length === 0 && ` + remove + `.offsetParent === null`)
	b.Holds(`document.querySelector("#code-kubectl").textContent.includes("b.png")`)
	b.choose(`[name="f.photo"]`, "small.png", 5<<10)
	b.tabTo("[data-remove]")
	b.Press(enter)
	b.Holds(file + `.files.length === 0 && ` + remove + `.offsetParent === null && document.activeElement === ` + file)
	b.Holds(`!document.querySelector("#code-kubectl").textContent.includes("photo")`)
}

// Without scripts, a form with both sources of a picture is refused beside its field.
func TestAPictureWithTwoSourcesIsRefused(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "photo", Type: platenv1alpha1.ParameterImage})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("f.photo", "small.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(paint(1)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(form.WriteField("p.photo", "https://example.com/a.png"), form.Close()); err != nil {
		t.Fatal(err)
	}
	r := request(t, http.MethodPost, "/ui/templates/banner/renders", nil, signedIn(t, w.token), func(h http.Header) { h.Set("Content-Type", form.FormDataContentType()) })
	r.Body, r.ContentLength = io.NopCloser(&body), int64(body.Len())
	status, _, page := send(t, r)
	if status != http.StatusUnprocessableEntity || !strings.Contains(page, "clear the address, or remove the picture.") || !strings.Contains(page, "correct 1 field") {
		t.Errorf("answered with %d\n%s", status, page)
	}
}

// A field whose parameter has a default may be left empty, as for kubectl platen, also if the parameter is required, and says which value it takes then.
func TestARequiredFieldWithADefault(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "size", Type: platenv1alpha1.ParameterNumber, Required: new(true), Default: raw("12")})
	cookies := signedIn(t, w.token)
	_, _, page := send(t, request(t, http.MethodGet, "/ui/templates/banner", nil, cookies, nil))
	_, field, _ := strings.Cut(page, `<input id="p.size"`)
	field, _, _ = strings.Cut(field, ">")
	if !strings.Contains(field, `placeholder="Default: 12"`) || strings.Contains(field, "required") || strings.Contains(page, `class="must"`) {
		t.Errorf("the field is %s\n%s", field, page)
	}
	status, _, page := send(t, request(t, http.MethodPost, "/ui/templates/banner/renders", url.Values{"p.size": {""}}, cookies, nil))
	if status != http.StatusSeeOther {
		t.Fatalf("answered with %d\n%s", status, page)
	}
	if got := string(w.job(t).Spec.Modifications.Raw); got != "{}" {
		t.Errorf("the modifications are %s", got)
	}
}

// The form of a job whose values were wrong says at once which, beside the fields.
func TestWrongValuesOfAJobAreMarked(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "price", Type: platenv1alpha1.ParameterNumber}, platenv1alpha1.Parameter{Name: "headline", Required: new(true)})
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "failed"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}, Modifications: raw(`{"price": "12 EUR"}`),
	}}
	create(t, job)
	b.signIn(w)
	b.open("/ui/templates/banner?from=failed")
	b.Holds(`document.querySelector('[name="p.price"]').getAttribute("aria-invalid") === "true"`)
	b.Holds(`document.querySelector('.field:has([name="p.price"]) .error').innerText.includes("This must be a number")`)
	b.Holds(`document.querySelectorAll("#form .wrong").length === 1`)
	b.Click(".tabs label:last-child")
	b.Sees("Not in the code: Price: This must be a number")
	b.Fill(`[name="p.price"]`, "12")
	b.Holds(`document.querySelector("#form .wrong") === null && document.querySelector("#code-kubectl").textContent.includes("price: 12")`)
}

// The form of a job begins with the job's values, in whatever spelling it has them.
func TestTheFormKeepsTheSpellingsOfAJob(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "note"}, platenv1alpha1.Parameter{Name: "vip", Type: platenv1alpha1.ParameterBoolean},
		platenv1alpha1.Parameter{Name: "paid", Type: platenv1alpha1.ParameterBoolean}, platenv1alpha1.Parameter{Name: "points", Type: platenv1alpha1.ParameterList})
	create(t, &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "failed"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef:   platenv1alpha1.TemplateReference{Name: "banner"},
		Modifications: raw(`{"note": "\n\nsecond line", "vip": 1, "paid": "yes", "points": ["a", "", "b"]}`),
	}})
	b.signIn(w)
	b.open("/ui/templates/banner?from=failed")
	b.Holds(`document.querySelector('[name="p.note"]').value === "\n\nsecond line"`)
	b.Holds(`document.querySelector('[name="p.vip"]').checked && !document.querySelector('[name="p.paid"]').checked`)
	b.Holds(`JSON.parse(document.querySelector('[name="p.points"]').value).length === 3`)
	b.Sees("The render failed has neither true nor false for these: Paid.")
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	suite.Eventually(t, "the new job has the values", func() error {
		jobs := &platenv1alpha1.RenderJobList{}
		if err := world.admin.List(t.Context(), jobs, client.InNamespace(w.name)); err != nil {
			return err
		}
		for _, job := range jobs.Items {
			if job.Name == "failed" || job.Labels[platenv1alpha1.PreviewLabel] != "" {
				continue
			}
			if want := `{"note":"\n\nsecond line","paid":false,"points":["a","","b"],"vip":true}`; string(job.Spec.Modifications.Raw) != want {
				t.Errorf("got %s, want %s", job.Spec.Modifications.Raw, want)
			}
			return nil
		}
		return errors.New("there is none")
	})
}

// A text that is too long for a command is cut there, and the page says what belongs in its place.
func TestTheCodeOfALongText(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"})
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.Click(".tabs label:last-child")
	b.Holds(`(() => {
		const field = document.querySelector('[name="p.headline"]');
		field.value = "word ".repeat(5000);
		return field.dispatchEvent(new Event("input", {bubbles: true}));
	})()`)
	b.Sees("Too long to show whole: Headline. Put the whole text in its place, or the address of a picture.")
}

// The code has no file name and no folder that a render would refuse, and says so.
func TestTheCodeLeavesOutWrongNames(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"})
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.Click(".tabs label:last-child")
	b.Click("#form summary")
	b.Fill("#folder", "/Marketing/../x")
	b.Fill("#fileName", "a/b")
	b.Sees("Not in the code: File name: This must not contain a slash", "Folder: This must not have a component that is '.' or '..'")
	b.Holds(`["kubectl", "curl", "plugin"].every((name) => !/Marketing|a.b/.test(document.querySelector("#code-" + name).textContent))`)
	b.Fill("#folder", " Marketing/ ") // as REST takes it
	b.Fill("#fileName", "a-b")
	b.Holds(`document.querySelector("#code .advice") === null`)
	b.Holds(`["kubectl", "curl", "plugin"].every((name) => /[ "]\/Marketing\b(?!\/)/.test(document.querySelector("#code-" + name).textContent) && /a-b/.test(document.querySelector("#code-" + name).textContent))`)
}

// A page whose server was out of reach goes on by itself.
func TestThePreviewGoesOnWhenTheServerIsBack(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"})
	b.signIn(w)
	b.openWithPreview(t, w)
	b.Holds(`(() => {
		const send = XMLHttpRequest.prototype.send;
		XMLHttpRequest.prototype.send = function (...given) {
			if (window.away) setTimeout(() => this.dispatchEvent(new ProgressEvent("error")));
			else send.apply(this, given);
		};
		return window.away = true;
	})()`)
	b.enter(`[name="p.headline"]`, "Typed in a tunnel")
	b.Sees("The page cannot reach its server.")
	b.Holds(`(window.away = false, true)`)
	w.previewOf(t, "Typed in a tunnel")
	b.Holds(`document.querySelector("#notices").childElementCount === 0`)
}

// A template that cannot be rendered yet says why, and does not claim to have no parameters.
func TestATemplateThatIsNotReady(t *testing.T) {
	w := newWorkspace(t)
	template := w.templateFromConfigMap(t)
	template.Status.ObservedGeneration = &template.Generation
	template.Status.Conditions = []metav1.Condition{{
		Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionUnknown, Reason: platenv1alpha1.SourceNotFoundReason, ObservedGeneration: template.Generation,
		LastTransitionTime: metav1.Now(), Message: "ConfigMap 'pages' does not exist",
	}}
	if err := world.admin.Status().Update(t.Context(), template); err != nil {
		t.Fatal(err)
	}
	cookies := signedIn(t, w.token)
	for _, path := range []string{"/ui/templates/banner", "/ui/templates"} {
		eventuallyBody(t, cookies, path, func(body string) error {
			if !strings.Contains(body, "ConfigMap &#39;pages&#39; does not exist.") || strings.Contains(body, "always looks the same") {
				return fmt.Errorf("the page is\n%s", body)
			}
			return nil
		})
	}
}

// What the button Copy has done is said, not only seen.
func TestCopyIsSaid(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.Click(".tabs label:last-child")
	b.Holds(`(navigator.clipboard.writeText = async (text) => { window.copied = text; }, true)`)
	b.Click(`[data-copy="code-curl"]`)
	b.Holds(`window.copied.startsWith("curl ") && document.querySelector("#said[role=status]").textContent === "Copied the curl command."`)
	b.Holds(`document.querySelector('[data-copy="code-curl"]').innerText.startsWith("Copied")`)
}

// A preview shows the template as it is: a job whose spec returns to an earlier one would have the files of that one.
func TestAPreviewIsOfTheTemplateAsItIs(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner")
	cookies := signedIn(t, w.token)
	preview := func(opened string) string {
		t.Helper()
		status, header, body := send(t, request(t, http.MethodPost, "/ui/templates/banner/preview", url.Values{"opened": {opened}}, cookies, nil))
		if status != http.StatusSeeOther {
			t.Fatalf("answered with %d\n%s", status, body)
		}
		return header.Get("Location")
	}
	shown := func() string {
		t.Helper()
		_, _, body := send(t, request(t, http.MethodGet, "/ui/templates/banner", nil, cookies, nil))
		_, after, found := strings.Cut(body, `name="opened" value="`)
		opened, _, _ := strings.Cut(after, `"`)
		if !found || opened == "" {
			t.Fatalf("the form does not say when it was opened:\n%s", body)
		}
		return opened
	}
	first := shown()
	before := preview(first)
	if again := preview(first); again != before {
		t.Errorf("a form has the previews %s and %s", before, again)
	}
	if other := preview(first + "x"); other == before {
		t.Error("a form that is opened again has the same preview")
	}
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "banner"}}
	if err := world.admin.Patch(t.Context(), template, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"description":"changed"}}`))); err != nil {
		t.Fatal(err)
	}
	suite.Eventually(t, "the preview is another one once the template has changed", func() error {
		if preview(first) == before {
			return errors.New("it is the same")
		}
		return nil
	})
}
