// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/cli"
	"github.com/platen-dev/platen/test/suite"
)

// preview waits until the workspace has one preview, of the given generation.
func (w *workspace) preview(t *testing.T, generation int64) *platenv1alpha1.RenderJob {
	t.Helper()
	jobs := &platenv1alpha1.RenderJobList{}
	suite.Eventually(t, fmt.Sprintf("there is one preview, of generation %d", generation), func() error {
		if err := world.admin.List(t.Context(), jobs, client.InNamespace(w.name), client.MatchingLabels{platenv1alpha1.PreviewLabel: "true"}); err != nil {
			return err
		}
		if len(jobs.Items) != 1 || jobs.Items[0].Generation != generation {
			return fmt.Errorf("%d previews, %v", len(jobs.Items), jobs.Items)
		}
		return nil
	})
	return &jobs.Items[0]
}

// previewOf waits until the workspace's preview has a headline, and plays the manager for what comes before.
func (w *workspace) previewOf(t *testing.T, headline string) *platenv1alpha1.RenderJob {
	t.Helper()
	jobs := &platenv1alpha1.RenderJobList{}
	suite.Eventually(t, "the preview has the headline "+headline, func() error {
		if err := world.admin.List(t.Context(), jobs, client.InNamespace(w.name), client.MatchingLabels{platenv1alpha1.PreviewLabel: "true"}); err != nil {
			return err
		}
		if len(jobs.Items) != 1 {
			return fmt.Errorf("%d previews", len(jobs.Items))
		}
		if job := &jobs.Items[0]; !strings.Contains(string(job.Spec.Modifications.Raw), strconv.Quote(headline)) {
			if !job.Finished() {
				finishPreview(t, job, 1)
			}
			return fmt.Errorf("it has %s", job.Spec.Modifications.Raw)
		}
		return nil
	})
	return &jobs.Items[0]
}

// finishPreview plays the manager.
func finishPreview(t *testing.T, job *platenv1alpha1.RenderJob, shade int) {
	t.Helper()
	world.content.Finish(t, job, 1, func(int) []byte { return paint(shade) })
	if err := world.admin.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}

// A preview that takes long says how far it is.
func TestAPreviewThatTakesLong(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline"})
	b.signIn(w)
	b.open("/ui/templates/banner")
	setReady(t, w.preview(t, 1), platenv1alpha1.RenderingReason, "page 1 is rendered")
	b.Sees("Rendering.")
	b.Holds(`!document.querySelector("#live-notes").textContent.includes("Waiting to start")`)
}

// openWithPreview opens the form of the template banner, and waits for the picture of its first preview.
func (b browser) openWithPreview(t *testing.T, w *workspace) {
	t.Helper()
	b.open("/ui/templates/banner")
	finishPreview(t, w.preview(t, 1), 1)
	b.Holds(`document.querySelector("#live img")?.naturalWidth === 1200`)
}

// enter gives a field a value in one event, as the clipboard does.
func (b browser) enter(selector, value string) {
	b.WaitVisible(selector)
	text, _ := json.Marshal(value) // JSON is JavaScript, too
	b.Holds(fmt.Sprintf(`(() => {
		const field = document.querySelector(%q);
		field.value = %s;
		return field.dispatchEvent(new Event("input", {bubbles: true}));
	})()`, selector, text))
}

// Whatever has the focus or is read next comes after what is seen before it: in a column below, side by side to the right.
func TestTheTemplatePageIsReadAsItIsSeen(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "poster", platenv1alpha1.Parameter{Name: "headline"})
	b.signIn(w)
	b.open("/ui/templates/poster")
	const moved = `[...document.querySelectorAll("body *")].filter((e) => { const s = getComputedStyle(e); return s.order !== "0" || s.flexDirection.endsWith("reverse") }).map((e) => e.outerHTML).join() || true`
	const follows = `document.querySelector(".views").compareDocumentPosition(document.querySelector("#form")) === Node.DOCUMENT_POSITION_FOLLOWING`
	const boxes = `const [views, form] = [".views", "#form"].map((e) => document.querySelector(e).getBoundingClientRect());`
	b.Holds(moved)
	b.Holds(follows)
	b.Holds(`(() => { ` + boxes + ` return views.right <= form.left && Math.abs(views.top - form.top) < 2 || JSON.stringify([views, form]); })()`)
	b.Phone()
	b.open("/ui/templates/poster")
	b.Holds(moved)
	b.Holds(`(() => { ` + boxes + ` return views.bottom <= form.top || JSON.stringify([views, form]); })()`)
}

// On a phone, the preview stays in sight above the field that a person types into, and hides no field that has the focus.
func TestPreviewOnAPhone(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	parameters := make([]platenv1alpha1.Parameter, 0, 12)
	for n := range 12 {
		parameters = append(parameters, platenv1alpha1.Parameter{Name: fmt.Sprintf("line%d", n)})
	}
	w.template(t, "poster", parameters...)
	b.signIn(w)
	b.Phone()
	b.open("/ui/templates/poster")
	finishPreview(t, w.preview(t, 1), 1)
	b.Holds(`document.querySelector("#live img")?.naturalWidth === 1200`)
	for _, field := range []string{"line0", "line11", "line5"} {
		selector := fmt.Sprintf(`[name="p.%s"]`, field)
		b.Holds(fmt.Sprintf(`(() => {
			const field = document.querySelector(%q);
			field.scrollIntoView({block: "nearest"});
			field.focus();
			return document.activeElement === field;
		})()`, selector))
		b.Holds(fmt.Sprintf(`(() => {
			const picture = document.querySelector("#live img").getBoundingClientRect();
			const field = document.querySelector(%q).getBoundingClientRect();
			const seen = picture.top >= 0 && picture.height > 100 && picture.bottom <= field.top && field.bottom <= innerHeight + 1;
			return seen || JSON.stringify([picture, field, innerHeight]);
		})()`, selector))
	}
	b.Screenshots("template-phone")
	b.Phone()
	// The code is read, not watched: it takes its place in the page.
	b.Click("#show-code")
	b.Holds(`getComputedStyle(document.querySelector(".views")).position === "static"`)
}

// The preview follows what a person types, with one job whose last state wins, and without a moment in which there is no picture.
func TestLivePreview(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline", Required: new(true)}, platenv1alpha1.Parameter{Name: "price", Type: platenv1alpha1.ParameterNumber})
	b.signIn(w)
	b.open("/ui/templates/banner")
	job := w.preview(t, 1)
	if job.Spec.Connections == nil || len(job.Spec.Connections) > 0 {
		t.Errorf("the preview goes to %v", job.Spec.Connections)
	}
	if got := string(job.Spec.Modifications.Raw); got != `{"headline":"Headline"}` {
		t.Errorf("the modifications are %s", got)
	}
	if ttl := job.Spec.TTLSecondsAfterFinished; ttl == nil || *ttl > 600 || job.Spec.Cache != platenv1alpha1.CacheDisabled || len(job.Spec.Output.Pages) != 1 {
		t.Errorf("the spec of the preview is %+v", job.Spec)
	}
	// What is typed while a render is in progress waits for its end, and the last of it wins.
	b.tabTo(`[name="p.headline"]`)
	b.Press("Summer sale")
	b.Holds(`document.querySelector('[name="p.headline"]').value === "Summer sale"`)
	finishPreview(t, job, 1)
	b.Holds(`document.querySelector("#live img")?.naturalWidth === 1200`)
	job = w.preview(t, 2)
	if got := string(job.Spec.Modifications.Raw); got != `{"headline":"Summer sale"}` {
		t.Errorf("the modifications are %s", got)
	}
	b.Holds(`(() => {
		window.gaps = 0;
		window.first = document.querySelector("#live img").src;
		const look = () => {
			const picture = document.querySelector("#live img");
			if (!picture || !picture.complete || picture.naturalWidth === 0) window.gaps++;
			requestAnimationFrame(look);
		};
		look();
		return true;
	})()`)
	finishPreview(t, job, 3)
	b.Holds(`document.querySelector("#live img").src !== window.first`)
	b.Holds(`window.gaps === 0`)
	b.Holds(`document.activeElement.name === "p.headline"`)
	b.Screenshots("template-live")
	// What is wrong stands below the picture, which stays.
	b.tabTo(`[name="p.price"]`)
	b.Type(`[name="p.price"]`, "a lot")
	b.Holds(`document.querySelector("#live-notes").innerText.includes("Price: This must be a number")`)
	b.Holds(`document.querySelector("#live img").naturalWidth === 1200`)
	b.Screenshots("template-live-wrong")
	w.preview(t, 2)
	b.enter(`[name="p.price"]`, "4,5")
	job = w.preview(t, 3)
	finishPreview(t, job, 5)
	b.Holds(`document.querySelector("#live-notes").innerText === ""`)
	b.open("/ui/renders?show=previews")
	b.Sees("1 preview", job.Name)
	b.open("/ui/templates")
	b.Holds(`document.querySelector(".thumb img").naturalWidth === 1200`)
	b.Screenshots("templates")
}

// A browser without JavaScript gets the same message about a wrong value, not a picture with the default.
func TestPreviewWithoutScripts(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "price", Type: platenv1alpha1.ParameterNumber})
	status, _, body := send(t, request(t, http.MethodPost, "/ui/templates/banner/preview", url.Values{"p.price": {"1x"}}, signedIn(t, w.token), nil))
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "This must be a number") || !strings.Contains(body, `value="1x"`) {
		t.Errorf("answered with %d\n%s", status, body)
	}
}

// A preview never changes a job that is none, and another person has another one.
func TestPreviewsOfOthers(t *testing.T) {
	w := newWorkspace(t)
	w.template(t, "banner")
	cookies := signedIn(t, w.token)
	post := func(cookies []*http.Cookie) (int, string) {
		t.Helper()
		status, header, _ := send(t, request(t, http.MethodPost, "/ui/templates/banner/preview", url.Values{"p.headline": {"Hello"}}, cookies, nil))
		return status, strings.TrimPrefix(header.Get("Location"), "/ui/renders/")
	}
	status, name := post(cookies)
	if status != http.StatusSeeOther || name != w.preview(t, 1).Name {
		t.Errorf("answered with %d, %s", status, name)
	}
	other := w.person(t, "other", platenRules()...)
	if status, second := post(signedIn(t, other)); status != http.StatusSeeOther || second == name {
		t.Errorf("another person is answered with %d, %s", status, second)
	}
	job := &platenv1alpha1.RenderJob{}
	if err := world.admin.Get(t.Context(), client.ObjectKey{Namespace: w.name, Name: name}, job); err != nil {
		t.Fatal(err)
	}
	job.Labels = nil
	if err := world.admin.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	status, _, body := send(t, request(t, http.MethodPost, "/ui/templates/banner/preview", url.Values{"p.headline": {"Bye"}}, cookies, nil))
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a preview with the name of another job is answered with %d\n%s", status, body)
	}
}

// The newest renders of a template are on its page, previews apart, and come by themselves.
func TestHistory(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	w.template(t, "poster")
	for name, size := range map[string][2]int{"wide": {1200, 100}, "high": {100, 1200}, "icon": {16, 16}} {
		w.rendered(t, name, paintSize(size[0], size[1]), nil)
	}
	w.rendered(t, "tried", paint, map[string]string{platenv1alpha1.PreviewLabel: "true"})
	create(t, &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "of-another"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "poster"},
	}})
	b.signIn(w)
	b.open("/ui/templates/banner")
	const shots = `Array.from(document.querySelectorAll("#history .shot"))`
	b.Holds(shots + `.length === 3`)
	b.Holds(`!document.querySelector("#history").innerText.includes("tried") && !document.querySelector("#history").innerText.includes("of-another")`)
	b.Holds(`document.querySelector("#history").innerText.includes("3 renders · Previews")`)
	b.Holds(shots + `.every((s) => s.querySelector("img").complete && s.querySelector("img").naturalWidth > 0)`)
	b.Holds(`new Set(` + shots + `.map((s) => s.querySelector(".thumb").offsetHeight)).size === 1`)
	b.Holds(shots + `.every((s) => { const i = s.querySelector("img"); return i.width <= i.naturalWidth && i.height <= i.naturalHeight; })`)
	w.rendered(t, "new", paint, nil)
	b.Holds(shots + `.length === 4 && ` + shots + `[0].getAttribute("href").startsWith("/ui/renders/")`)
	b.Screenshots("history")
	b.Click("#shot-new")
	b.Sees("Render new", "Page 1")
}

// nasty is a text that a shell, YAML or JSON would change if it were not escaped.
const nasty = "It's \"$HOME\" $(id) `id` \\ \\n !x & <b> #1\nEOF\n- a: b #c\n\n  two spaces 😀 €\n{{ x }} ${y} %s "

// kubectl stands in for kubectl: it prints the token of the service account designer, and keeps what it applies or what the plugin is told.
const kubectl = `#!/bin/sh
case "$*" in
"-n $WORKSPACE create token designer") printf '%s' "$DESIGNER" ;;
"apply -f -") cat >"$OUT" ;;
"platen "*) shift; printf '%s\0' "$@" >"$OUT" ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
`

// The commands of the code tab create the same job as the button Render, whatever the values are.
func TestCode(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner",
		platenv1alpha1.Parameter{Name: "text"}, platenv1alpha1.Parameter{Name: "looks-like-a-number"}, platenv1alpha1.Parameter{Name: "version", Default: raw(`"1.10"`)},
		platenv1alpha1.Parameter{Name: "price", Type: platenv1alpha1.ParameterNumber}, platenv1alpha1.Parameter{Name: "sold", Type: platenv1alpha1.ParameterBoolean},
		platenv1alpha1.Parameter{Name: "points", Type: platenv1alpha1.ParameterList}, platenv1alpha1.Parameter{Name: "accent", Type: platenv1alpha1.ParameterColor},
		platenv1alpha1.Parameter{Name: "logo", Type: platenv1alpha1.ParameterImage}, platenv1alpha1.Parameter{Name: "must", Required: new(true), Default: raw(`"yes"`)},
	)
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.Click(".tabs label:last-child")
	b.Click("#form summary")
	for name, value := range map[string]string{
		"p.text": nasty, "p.looks-like-a-number": "0x1F", "p.price": "-12,50", "p.points": "a, b\n'c'\tx\n\"d\" $e\n", "p.accent": "rgb(1 2 3 / 50%)",
		"p.logo": "https://example.com/a.png?b=1&c=it's", "fileName": "it's $5 — é", "folder": "/Märkte/It's $HOME",
	} {
		b.enter(fmt.Sprintf("[name=%q]", name), value)
	}
	b.Holds(`(() => { const s = document.querySelector('[name="p.sold"]'); s.checked || s.click(); return s.checked; })()`)
	// The tab shows the last of it.
	b.Holds(`["kubectl", "curl", "plugin"].every((name) => { const text = document.querySelector("#code-" + name).textContent; return text.includes("M\u00e4rkte") && text.includes("0x1F") && /sold\W+true/.test(text); })`)
	b.Screenshots("code")
	commands := map[string]string{}
	for _, name := range []string{"kubectl", "curl", "plugin"} {
		commands[name] = b.Text("#code-" + name)
	}
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	want := normal(t, w.job(t))

	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "kubectl"), []byte(kubectl), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"sh", "bash"} {
		run := func(command string) []byte {
			t.Helper()
			out := filepath.Join(t.TempDir(), "out")
			c := exec.CommandContext(t.Context(), shell, "-c", command)
			c.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "OUT="+out, "WORKSPACE="+w.name, "DESIGNER="+w.token)
			printed, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s\n%s", err, printed, command)
			}
			if kept, err := os.ReadFile(out); err == nil {
				return kept
			}
			return printed
		}
		applied := &platenv1alpha1.RenderJob{}
		if err := yaml.UnmarshalStrict(run(commands["kubectl"]), applied); err != nil {
			t.Fatal(err)
		}
		if applied.Namespace != w.name || applied.Kind != "RenderJob" {
			t.Errorf("applied %+v", applied)
		}
		applied.Name += "-" + shell
		create(t, applied)

		var answer struct {
			ID string `json:"id"`
		}
		if data := run(commands["curl"]); json.Unmarshal(data, &answer) != nil || answer.ID == "" {
			t.Fatalf("curl printed %s", data)
		}
		args := strings.Split(strings.TrimSuffix(string(run(commands["plugin"])), "\x00"), "\x00")
		streams, _, _, errOut := genericiooptions.NewTestIOStreams()
		plugin := cli.New(streams)
		args = slices.DeleteFunc(args, func(arg string) bool { return arg == "--wait" }) // nothing renders here
		plugin.SetArgs(append(args, "--name=plugin-"+shell, "--kubeconfig="+kubeconfig(t)))
		if err := plugin.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%v\n%s\n%q", err, errOut, args)
		}
		for _, name := range []string{applied.Name, answer.ID, "plugin-" + shell} {
			job := &platenv1alpha1.RenderJob{}
			if err := world.admin.Get(t.Context(), client.ObjectKey{Namespace: w.name, Name: name}, job); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, normal(t, job)); diff != "" {
				t.Errorf("%s in %s makes another job (-want +got):\n%s", name, shell, diff)
			}
		}
	}
}

// normal returns the spec of a job without its time to live, and with modifications that can be compared.
func normal(t *testing.T, job *platenv1alpha1.RenderJob) (spec map[string]any) {
	t.Helper()
	data, err := json.Marshal(job.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	delete(spec, "ttlSecondsAfterFinished")
	return spec
}

// kubeconfig returns the path of a kubeconfig for the API server.
func kubeconfig(t *testing.T) string {
	t.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: world.config.Host, CertificateAuthorityData: world.config.CAData}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: world.config.CertData, ClientKeyData: world.config.KeyData}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	c.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	return path
}
