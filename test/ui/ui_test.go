// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/suite"
)

// TestWholeJourney connects an account, chooses a folder, renders from the form, sees the picture and a warning, connects again and
// retries the upload.
func TestWholeJourney(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner",
		platenv1alpha1.Parameter{Name: "headline", Required: new(true), Description: "The large line"},
		platenv1alpha1.Parameter{Name: "accent", Type: platenv1alpha1.ParameterColor, Default: raw(`"#f5b82e"`)},
		platenv1alpha1.Parameter{Name: "price", Type: platenv1alpha1.ParameterNumber, Default: raw(`9.5`)},
		platenv1alpha1.Parameter{Name: "onSale", Type: platenv1alpha1.ParameterBoolean, Default: raw(`true`)},
		platenv1alpha1.Parameter{Name: "points", Type: platenv1alpha1.ParameterList, Default: raw(`["Fast","Light"]`)},
		platenv1alpha1.Parameter{Name: "logo", Type: platenv1alpha1.ParameterImage},
	)
	b := newBrowser(t)
	b.open("/ui/")
	b.Sees("Sign in")
	b.Screenshots("sign-in")
	b.signIn(w)
	b.Screenshots("storage-empty")

	b.connect(w)
	b.Fill("#new-folder", "Marketing")
	b.Click("#picker .line button")
	b.Sees("The folder is there")
	b.Fill("#new-folder", "Summer")
	b.Click("#picker .line button")
	b.Holds(`document.querySelector("#picker .choose code").textContent === "/Marketing/Summer"`)
	b.Screenshots("folders")
	b.Click("#picker .choose .primary")
	b.Sees("Connected", "Ada Lovelace", w.email, "/Marketing/Summer", "of 1.9 GiB")
	b.Screenshots("storage")
	c := w.connection(t)
	if c.Spec.DefaultFolder != "/Marketing/Summer" {
		t.Errorf("the default folder is %s", c.Spec.DefaultFolder)
	}
	b.Click("#test-dropbox")
	b.Sees("It works. Dropbox answered for " + w.email)

	b.open("/ui/templates")
	b.Sees("banner", "1200 × 630", "6 parameters")
	b.open("/ui/templates/banner")
	b.Screenshots("template")
	b.Click("#form .primary")
	b.Sees("Please fill this in.")
	b.Fill(`[name="p.headline"]`, "Summer sale")
	b.Fill(`[name="p.points"]`, "Cheap\nCheerful\n")
	b.Fill(`[name="p.price"]`, "4,5")
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	job := w.job(t)
	var given map[string]any
	if err := json.Unmarshal(job.Spec.Modifications.Raw, &given); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"headline": "Summer sale", "accent": "#f5b82e", "price": 4.5, "onSale": true, "points": []any{"Cheap", "Cheerful"},
	}
	if got, want := fmt.Sprint(given), fmt.Sprint(want); got != want {
		t.Errorf("the modifications are %s, want %s", got, want)
	}
	w.finish(t, job, 1, "")
	b.Sees("Done", "/Renders/"+job.Name+"_page_1.png", "The render is deleted in 1 hour, with its files; what is in the account stays.")
	b.Holds(`document.querySelector("#result img").naturalWidth === 1200`)
	b.Screenshots("rendered")

	// The upload fails because the access has ended. The page shows it at its next poll.
	b.open("/ui/renders")
	b.Sees(job.Name, "Done", "Render again")
	b.Fill("#find", "another")
	b.Click(".find button")
	b.Sees("No render with “another” in the name or that of the template")
	b.Fill("#find", "banner")
	b.Click(".find button")
	b.Sees("1 render with “banner”", job.Name)
	b.Holds(`location.search.includes("find=banner") && !location.search.includes("shown")`)
	b.Screenshots("renders-found")
	w.finish(t, job, 1, "Token expired")
	b.Sees("Rendered, not uploaded", "Failed to upload to dropbox: Token expired", "Connect the account again")
	b.Holds(`document.querySelector("#gallery img").naturalWidth === 1200`)
	b.Screenshots("renders-warning")

	// The access has ended at Dropbox too.
	w.endAccess(t)
	b.open("/ui/storage")
	b.Click("#test-dropbox")
	b.Sees("Access has ended")
	b.Screenshots("storage-ended")
	b.Click("#again-dropbox")
	b.allow(w)
	b.Sees("Choose a folder")
	b.open("/ui/storage/dropbox")
	b.Click("#test-dropbox")
	b.Sees("It works.")

	b.open("/ui/renders/" + job.Name)
	b.Screenshots("render-warning")
	b.Click("#retry")
	b.Sees("Uploading again")
	suite.Eventually(t, "the job asks for another try", func() error {
		if w.job(t).Annotations[platenv1alpha1.RetryUploadsAnnotation] == "" {
			return fmt.Errorf("annotations are %v", w.job(t).Annotations)
		}
		return nil
	})
	w.finish(t, job, 1, "")
	b.Sees("Done", "/Renders/"+job.Name+"_page_1.png")

	b.open("/ui/storage")
	b.Click("#disconnect-dropbox")
	b.Sees("Disconnect Ada Lovelace?")
	b.Holds(`!document.body.textContent.includes("from a manifest")`)
	b.Screenshots("disconnect")
	b.Click("#disconnect")
	b.Sees("Disconnected")
	for _, gone := range []client.Object{&platenv1alpha1.StorageConnection{}, &corev1.Secret{}} {
		name := "dropbox"
		if _, ok := gone.(*corev1.Secret); ok {
			name = "dropbox-credentials"
		}
		if err := world.admin.Get(t.Context(), client.ObjectKey{Namespace: w.name, Name: name}, gone); !apierrors.IsNotFound(err) {
			t.Errorf("%T is still there: %v", gone, err)
		}
	}
}

// raw returns a default of a parameter.
func raw(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }

// connection reads the workspace's StorageConnection.
func (w *workspace) connection(t *testing.T) *platenv1alpha1.StorageConnection {
	t.Helper()
	c := &platenv1alpha1.StorageConnection{}
	if err := world.admin.Get(t.Context(), client.ObjectKey{Namespace: w.name, Name: "dropbox"}, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// secret reads the Secret of the workspace's connection.
func (w *workspace) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	if err := world.admin.Get(t.Context(), client.ObjectKey{Namespace: w.name, Name: "dropbox-credentials"}, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

// endAccess ends the access at Dropbox, as a person does in their account's settings.
func (w *workspace) endAccess(t *testing.T) {
	t.Helper()
	w.setAccount(true)
	world.simulator.ExpireTokens()
}

func TestDenied(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.Fill("#appKey", appKey)
	b.Click("#connect")
	b.Click("button[value=cancel]")
	b.Sees("You did not allow the access", "nothing was changed")
	b.Screenshots("denied")
	w.isNotConnected(t)
}

func (w *workspace) isNotConnected(t *testing.T) {
	t.Helper()
	connections := &platenv1alpha1.StorageConnectionList{}
	secrets := &corev1.SecretList{}
	for _, list := range []client.ObjectList{connections, secrets} {
		if err := world.admin.List(t.Context(), list, client.InNamespace(w.name)); err != nil {
			t.Fatal(err)
		}
	}
	if len(connections.Items)+len(secrets.Items) > 0 {
		t.Errorf("there are %d connections and %d Secrets", len(connections.Items), len(secrets.Items))
	}
}

// A forged callback, with a state that this browser never got, connects nothing.
func TestForgedState(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.open("/ui/connect/callback?code=stolen&state=made-up")
	b.Sees("This answer does not belong to your attempt")
	b.open("/ui/storage")
	b.Fill("#appKey", appKey)
	b.Click("#connect")
	b.WaitVisible("button[value=allow]")
	b.open("/ui/connect/callback?code=stolen&state=made-up")
	b.Sees("This answer does not belong to your attempt")
	b.Screenshots("forged")
	w.isNotConnected(t)
}

// A person whose code has expired gets a message and can begin again.
func TestExpiredCode(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.Fill("#appKey", appKey)
	b.Click("#connect")
	world.beforeToken.Store(new(func() { world.simulator.AdvanceClock(11 * time.Minute) }))
	b.allow(w)
	b.Sees("Dropbox does not accept the answer", "it has expired", "Back to Storage")
	b.Screenshots("expired")
	w.isNotConnected(t)
	b.connect(w)
}

// A callback works once: the browser forgets the attempt, and Dropbox accepts no code twice.
func TestReplayedCode(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	before := w.secret(t)
	answer := world.callback.Load()
	b.open(answer.URL.RequestURI())
	b.Sees("This answer does not belong to your attempt", "It may have been used before")

	// The same with the cookies that the browser had before.
	replay, err := http.NewRequestWithContext(t.Context(), http.MethodGet, world.page+answer.URL.RequestURI(), nil)
	if err != nil {
		t.Fatal(err)
	}
	replay.Header = answer.Header
	status, _, body := send(t, replay)
	if status != http.StatusBadRequest || !strings.Contains(body, "Dropbox does not accept the answer") {
		t.Errorf("answered %d\n%s", status, body)
	}
	if after := w.secret(t); after.ResourceVersion != before.ResourceVersion {
		t.Error("the Secret was written again")
	}
}

// Everything works without a mouse, and the focus stays when the page changes by itself.
func TestKeyboard(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	b.open("/ui/")
	b.Type("#token", w.token) // the browser moves the focus there by itself
	b.Press(kb.Enter)
	b.Sees("Where the renders of " + w.name)
	b.Holds(`document.readyState === "complete"`) // the browser goes to the hash once more when it has parsed a page
	b.Press(kb.Tab)
	b.Holds(`document.activeElement.className === "skip" && document.activeElement.getBoundingClientRect().left >= 0`)
	b.Press(kb.Enter)
	b.Holds(`location.hash === "#main" && document.activeElement.id === "main"`)
	b.Press(kb.Tab)
	b.Holds(`document.activeElement.id === "appKey"`)
	b.Holds(`getComputedStyle(document.activeElement).outlineStyle === "solid"`)

	b.connect(w)
	// A button that is replaced by its own answer has the focus again.
	b.open("/ui/storage")
	b.tabTo("#test-dropbox")
	b.Press(kb.Enter)
	b.Sees("It works.")
	b.Holds(`document.activeElement.id === "test-dropbox" && !document.activeElement.disabled`)

	b.open("/ui/storage/dropbox/folders")
	b.Holds(`document.querySelector("#new-folder").focus() === undefined`)
	b.Type("#new-folder", "Marketing")
	b.Press(kb.Enter)
	b.Sees("The folder is there")
	b.Holds(`document.querySelector(".htmx-swapping, .htmx-settling") === null`) // htmx does not know the new links before
	b.Holds(`document.querySelector(".path a").focus() === undefined`)
	b.Press(kb.Enter)
	b.Holds(`document.activeElement.getAttribute("aria-current") === "location" && document.querySelector(".folders a").innerText.startsWith("Marketing")`)

	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "poster"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"},
	}}
	create(t, job)
	b.open("/ui/renders")
	b.Sees("Waiting to start")
	b.Holds(`document.querySelector("#open-poster").focus() === undefined`)
	w.finish(t, job, 2, "")
	b.Sees("Done", "and 1 more")
	b.Holds(`document.activeElement.id === "open-poster"`)

	// A link without an id keeps it too.
	job = job.DeepCopy()
	job.ObjectMeta = metav1.ObjectMeta{Namespace: w.name, Name: "flyer"}
	create(t, job)
	b.open("/ui/renders/flyer")
	b.Sees("Waiting to start")
	b.Holds(`document.querySelector('#result a[href="/ui/templates/banner"]').focus() === undefined`)
	w.finish(t, job, 1, "")
	b.Sees("Done")
	b.Holds(`document.activeElement.matches('#result a[href="/ui/templates/banner"]')`)
}

// Forms work without scripts.
func TestWithoutScripts(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline", Required: new(true)})
	cookies := signedIn(t, w.token)
	post := func(headline string) (int, http.Header, string) {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		for name, value := range map[string]string{"p.headline": headline, "format": "webp", "fileName": "hello", "folder": "/Marketing"} {
			if err := form.WriteField(name, value); err != nil {
				t.Fatal(err)
			}
		}
		_ = form.Close()
		r := request(t, http.MethodPost, "/ui/templates/banner/renders", nil, cookies, func(h http.Header) { h.Set("Content-Type", form.FormDataContentType()) })
		r.Body, r.ContentLength = io.NopCloser(&body), int64(body.Len())
		return send(t, r)
	}
	if status, _, page := post(""); status != http.StatusUnprocessableEntity || !strings.Contains(page, "Please fill this in.") || !strings.Contains(page, "<!doctype html>") {
		t.Errorf("an empty form is answered with %d\n%s", status, page)
	}
	status, header, _ := post("Hello")
	job := w.job(t)
	if status != http.StatusSeeOther || header.Get("Location") != "/ui/renders/"+job.Name {
		t.Errorf("answered %d %s", status, header.Get("Location"))
	}
	want := []platenv1alpha1.JobConnection{{Type: "storage", Provider: "dropbox", Folder: "/Marketing"}}
	if diff := cmp.Diff(want, job.Spec.Connections); diff != "" || job.Spec.Output.Format != "webp" || job.Spec.Output.FileName != "hello" {
		t.Errorf("%+v %s", job.Spec.Output, diff)
	}
	if status, _, page := send(t, request(t, http.MethodGet, header.Get("Location"), nil, cookies, nil)); status != http.StatusOK || !strings.Contains(page, "Waiting to start") {
		t.Errorf("answered %d\n%s", status, page)
	}
}
