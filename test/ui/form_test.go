// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
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
	parameters := make([]platenv1alpha1.Parameter, 14)
	parameters[0] = platenv1alpha1.Parameter{Name: "headline", Required: new(true)}
	for n := range 12 {
		parameters[1+n].Name = fmt.Sprintf("line%d", n)
	}
	parameters[13] = platenv1alpha1.Parameter{Name: "price", Type: platenv1alpha1.ParameterNumber}
	w.template(t, "banner", parameters...)
	b.signIn(w)
	b.Phone()
	b.open("/ui/templates/banner")
	finishPreview(t, w.preview(t, 1), 1)
	b.Holds(`document.querySelector("#live img")?.naturalWidth === 1200`)
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
	b.open("/ui/templates/banner")
	finishPreview(t, w.preview(t, 1), 1)
	b.Holds(`document.querySelector("#live img")?.naturalWidth === 1200`)
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
	finishPreview(t, w.previewOf(t, "Kept?"), 2)
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	b.Click(`nav a[href="/ui/storage"]`)
	b.Sees("Where the renders of " + w.name)
	b.Holds(`(history.back(), true)`)
	b.Holds(`document.querySelector('[name="p.headline"]')?.value === "Kept?"`)
	b.Holds(`document.querySelector("#code-kubectl").textContent.includes("Kept?")`)
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
	b.open("/ui/templates/banner")
	finishPreview(t, w.preview(t, 1), 1)
	b.Holds(`document.querySelector("#live img")?.naturalWidth === 1200`)
	b.inAnotherTab("/ui/sign-out", "")
	b.enter(`[name="p.headline"]`, "Written for an hour")
	b.Sees("Your session has ended.")
	b.Holds(`Boolean(window.kept = document.querySelector("[data-signed-out]"))`)
	b.Click("#form .primary")
	b.Holds(`document.querySelector("#form .primary").disabled === false && document.querySelector("[data-signed-out]") === window.kept`)
	b.Holds(`document.querySelector('[name="p.headline"]').value === "Written for an hour"`)
	b.Holds(`(() => { const place = window.kept.getBoundingClientRect(); return scrollY > 100 && place.top >= 0 && place.bottom <= innerHeight || JSON.stringify([scrollY, place]); })()`)
	b.Holds(`document.querySelector("[data-signed-out] a[target=_blank]").getAttribute("href").endsWith("next=%2Fui%2Ftemplates%2Fbanner")`)
	b.Screenshots("session-ended")
	b.inAnotherTab("/ui/sign-in", w.token)
	b.Holds(`document.querySelector("[data-signed-out]") === null`)
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	w.job(t)
}
