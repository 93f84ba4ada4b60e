// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/suite"
)

// Whoever connects sees whose account it is, and whose it was before.
func TestAccountIsNamed(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	b.Sees("It is the account of Ada Lovelace, " + w.email)
	suite.Eventually(t, "the status names the account", func() error {
		if account := w.connection(t).Status.Account; account == nil || account.Email != w.email {
			return fmt.Errorf("it names %+v", account)
		}
		return nil
	})
	b.open("/ui/storage")
	b.Sees("Connected")
	b.Click("#again-dropbox")
	b.allow(w)
	b.Sees("Dropbox is connected", "It is the account of Ada Lovelace, "+w.email+", as before")
	asked := w.connection(t).Annotations[platenv1alpha1.VerifyAnnotation]
	if asked == "" {
		t.Error("the status goes on to show what was there before")
	}

	// Who connects an account a second time learns that renders then go there twice.
	b.connect(w)
	b.Sees("It is the account of Ada Lovelace, " + w.email + ". The connection dropbox has this account too: a render that goes to both is uploaded there twice. Choose the folder")
	b.Screenshots("folders-same-account")
	// Who disconnects one of them learns that the access goes on.
	suite.Eventually(t, "the page names the connection that stays", func() error {
		_, _, body := send(t, request(t, http.MethodGet, "/ui/storage/dropbox/disconnect", nil, signedIn(t, w.token), nil))
		if !strings.Contains(body, "The account stays connected through <code>dropbox-2</code>.") {
			return errors.New(body)
		}
		return nil
	})

	bob := *w
	bob.email = "bob-" + w.email
	world.simulator.AddAccount(dropboxsim.Account{AppKey: "none-" + rand.Text(), RefreshToken: "none", Email: bob.email, DisplayName: "Bob"})
	b.open("/ui/storage")
	b.Click("#again-dropbox")
	b.allow(&bob)
	b.Sees("Dropbox is connected", "It is the account of Bob, "+bob.email+". Before, it was that of Ada Lovelace, "+w.email)
	b.Screenshots("folders-other-account")
	if again := w.connection(t).Annotations[platenv1alpha1.VerifyAnnotation]; again == asked {
		t.Errorf("the status goes on to show another account: %s", again)
	}
	// The page says it once.
	b.open("/ui/storage/dropbox/folders")
	b.Holds(`!document.body.innerText.includes("is connected")`)
}

// A folder has an address: the browser's ways back and to load a page again lead to it.
func TestFolderKeepsItsPlace(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	b.Fill("#new-folder", "Marketing")
	b.Click("#make-folder")
	b.Sees("The folder is there")
	b.Fill("#new-folder", "Summer")
	b.Click("#make-folder")
	const here = `document.querySelector("#picker .choose code")?.textContent`
	b.Holds(here + ` === "/Marketing/Summer"`)
	b.Holds(`location.reload() === undefined`)
	b.Holds(here + ` === "/Marketing/Summer" && !document.body.innerText.includes("The folder is there")`)
	b.Click(".path li:first-child a")
	b.Holds(here + ` === "/"`)
	b.Click(".folders a")
	b.Holds(here + ` === "/Marketing"`)
	b.Holds(`history.back() === undefined`)
	b.Holds(here + ` === "/"`)
	b.Click(".folders a")
	b.Holds(here + ` === "/Marketing"`)
	b.Click("#picker .choose .primary")
	b.Sees("Saved. The default folder of dropbox is /Marketing.", "Ada Lovelace")
	b.Screenshots("folder-saved")
	b.open("/ui/storage/dropbox/folders?path=/Marketing")
	b.Holds(`document.querySelector(".choose").textContent.trim() === "Keep /Marketing"`)
	b.Click(".choose .primary")
	b.Sees("Where the renders of " + w.name)
	b.Holds(`!document.body.innerText.includes("Saved")`)
}

// The folder page of an account whose access has ended offers what helps, and nothing else.
func TestFoldersOfADeadConnection(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	w.endAccess(t)
	b.open("/ui/storage/dropbox/folders")
	b.Sees("Access has ended", "Connect again")
	b.Holds(`!document.body.innerText.includes("No folders here") && document.querySelector("#new-folder, .choose") === null`)
	b.Screenshots("folders-ended")
	w.setAccount(false)
	b.Click("#picker .primary")
	b.allow(w)
	b.Sees("Dropbox is connected")

	b.open("/ui/storage/dropbox/folders?path=/Gone")
	b.Sees("Folder does not exist", "Try again")
	b.Holds(`!document.body.innerText.includes("Connect again")`)
	b.Click(`.path a`)
	b.Holds(`document.querySelector("#new-folder") !== null`)
}

// The longest name of a folder fits into the page.
func TestLongFolderName(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	name := strings.Repeat("y", 255)
	b.Fill("#new-folder", name)
	b.Click("#make-folder")
	b.Holds(`document.querySelector(".path [aria-current]").innerText === "` + name + `"`)
	b.Screenshots("folder-long")
	b.Holds(`Array.from(document.querySelectorAll("#picker *")).every((e) => e.getBoundingClientRect().right <= document.querySelector("#picker").getBoundingClientRect().right)`)
	b.Phone()
	b.Holds(`Array.from(document.querySelectorAll("#picker *")).every((e) => e.getBoundingClientRect().right <= document.querySelector("#picker").getBoundingClientRect().right)`)
}

// What is wrong with the form that connects an account stands beside its field, and only what is wrong is opened.
func TestConnectErrorsBesideTheField(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.Fill("#appKey", "ключ")
	b.Click("#connect")
	b.Sees("'ключ' is not an app key")
	b.Holds(`document.querySelector("#appKey-error").innerText.includes("is not an app key") && document.querySelector(".connect > .notice") === null`)
	b.Holds(`document.querySelector("#appKey").getAttribute("aria-invalid") === "true" && document.activeElement.id === "appKey"`)
	b.Holds(`!document.querySelector(".connect details").open && !document.querySelector("#name").hasAttribute("aria-invalid")`)
	b.Screenshots("connect-app-key")
	b.Fill("#appKey", appKey)
	b.Holds(`document.querySelector("#appKey-error").innerText === ""`)
	b.Click(".connect summary")
	b.Fill("#name", "My Dropbox")
	b.Click("#connect")
	b.Sees("lower-case letters")
	b.Holds(`document.querySelector("#name-error").innerText.includes("lower-case letters") && document.activeElement.id === "name"`)
	b.Holds(`document.querySelector("#appKey").value === "` + appKey + `" && !document.querySelector("#appKey").hasAttribute("aria-invalid")`)
	b.Screenshots("connect-name")
	w.isNotConnected(t)

	status, _, body := send(t, request(t, http.MethodPost, "/ui/connect", url.Values{"name": {"My Dropbox"}, "appKey": {"ключ"}}, signedIn(t, w.token), nil))
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "is not an app key") || !strings.Contains(body, "lower-case letters") {
		t.Errorf("two wrong fields are answered with %d\n%s", status, body)
	}
}

// The advice for a failed upload can be followed on the page, and a second failure is told from the first.
func TestRenderAgain(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "headline", Required: new(true)})
	w.receiver(t)
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.Holds(`document.querySelector("#code").textContent.includes("kubectl platen fetch NAME -n ` + w.name + `")`)
	b.Fill(`[name="p.headline"]`, "Summer")
	b.Click("#form summary")
	b.Fill("#folder", "/taken.txt")
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	job := w.job(t)
	w.finish(t, job, 1, "Something is in the way")
	b.Sees("Rendered, not uploaded")
	b.Holds(`!document.body.innerText.includes("was tried again")`)
	b.Click("#retry")
	b.Sees("Uploading again")
	suite.Eventually(t, "the job asks for another try", func() error {
		if job = w.job(t); job.Annotations[platenv1alpha1.RetryUploadsAnnotation] == "" {
			return fmt.Errorf("annotations are %v", job.Annotations)
		}
		return nil
	})
	job.Status.LastHandledRetryUploads = job.Annotations[platenv1alpha1.RetryUploadsAnnotation]
	if err := world.admin.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	b.Sees("Rendered, not uploaded", "The upload was tried again just now, with this result.")
	b.open("/ui/renders/" + job.Name)
	b.Screenshots("render-tried-again")
	b.Click("#again")
	b.Sees("The form has the values of the render " + job.Name)
	b.Holds(`document.querySelector('[name="p.headline"]').value === "Summer"`)
	b.Holds(`document.querySelector("#folder").value === "/taken.txt" && document.querySelector("#form details").open`)
	b.Screenshots("template-again")
}

// Where no connection takes a failed upload, the page offers no retry and says why, also to somebody who clicks what an older page shows.
func TestNothingTakesTheUpload(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "summer"}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"},
		Connections: []platenv1alpha1.JobConnection{{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Name: new("dropbox")}},
	}}
	create(t, job)
	w.finish(t, job, 1, "Dropbox did not answer")
	const gone = "The upload cannot be tried again: StorageConnection 'dropbox' of spec.connections does not exist."
	b.signIn(w)
	b.open("/ui/renders/summer")
	b.Sees("Rendered, not uploaded", gone, "Render again with other values")
	b.Holds(`document.querySelector("#retry") === null`)
	b.Screenshots("render-no-connection")
	b.open("/ui/renders")
	b.Sees(gone)
	b.Holds(`document.querySelector("#retry-summer") === null`)

	// The list follows the connections, although the job stays as it is.
	connection := w.receiver(t)
	b.Holds(`document.querySelector("#retry-summer") !== null && !document.body.innerText.includes("cannot be tried")`)
	if err := world.admin.Delete(t.Context(), connection); err != nil {
		t.Fatal(err)
	}
	status, _, body := send(t, request(t, http.MethodPost, "/ui/renders/summer/retry", nil, signedIn(t, w.token), func(h http.Header) { h.Set("HX-Request", "true") }))
	if status != http.StatusOK || !strings.Contains(html.UnescapeString(body), gone) || w.job(t).Annotations[platenv1alpha1.RetryUploadsAnnotation] != "" {
		t.Errorf("answered with %d, and the annotations are %v\n%s", status, w.job(t).Annotations, body)
	}
}

// A new connection does not take the place of another: whoever wants that uses the button of the other.
func TestATakenNameIsRefused(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	before := w.secret(t)
	b.open("/ui/storage")
	b.Fill("#appKey", appKey)
	b.Click(".connect summary")
	b.Fill("#name", "dropbox")
	b.Click("#connect")
	b.Sees("There is a connection 'dropbox' already. Give another name, or use its button Connect again.")
	b.Holds(`document.activeElement.id === "name" && document.querySelector(".connect details").open && document.querySelector("#appKey").value === "` + appKey + `"`)
	b.Screenshots("connect-taken")

	// The name was free when the attempt began, and is taken when the answer comes.
	b.Fill("#name", "second")
	b.Click("#connect")
	b.WaitVisible("button[value=allow]")
	other := w.connection(t).DeepCopy()
	other.ObjectMeta = metav1.ObjectMeta{Namespace: w.name, Name: "second"}
	create(t, other)
	b.allow(w)
	b.Sees("Somebody has made a connection 'second' meanwhile, and it stays as it is.")
	if after := w.secret(t); after.ResourceVersion != before.ResourceVersion {
		t.Error("the Secret was written again")
	}

	// A connection whose Secret is gone is asked for its app key, and still connected again.
	if err := world.admin.Delete(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	b.open("/ui/storage")
	b.Click("#again-dropbox")
	b.Sees("Connect dropbox again", "Give the app key.")
	b.Fill("#appKey", appKey)
	b.Click("#connect")
	b.allow(w)
	b.Sees("Dropbox is connected")
}

// Each tab of a browser may have an attempt of its own, and an answer that somebody made up ends none of them.
func TestAttemptsOfSeveralTabs(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	tabs := map[string]string{}
	names := []string{"first", "second"}
	for _, name := range names {
		b.open("/ui/storage")
		b.Fill("#appKey", appKey)
		b.Click(".connect summary")
		b.Fill("#name", name)
		b.Click("#connect")
		b.WaitVisible("button[value=allow]")
		tabs[name] = b.Value("location.href")
	}
	b.open("/ui/connect/callback?code=stolen&state=made-up")
	b.Sees("This answer does not belong to your attempt")
	for _, name := range names {
		b.Open(tabs[name])
		b.allow(w)
		b.Sees("Dropbox is connected")
		b.Holds(`location.pathname === "/ui/storage/` + name + `/folders"`)
	}
}

// second makes another connection of the workspace, which receives every render.
func (w *workspace) second(t *testing.T) {
	t.Helper()
	second := w.connection(t).DeepCopy()
	second.ObjectMeta = metav1.ObjectMeta{Namespace: w.name, Name: "second"}
	create(t, second)
}

// With a folder, a render goes to each account that it would go to without, or to the one that is chosen.
func TestWhereAFormUploads(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.Click("#form summary")
	b.Sees("No account receives the renders of this workspace")
	b.connect(w)
	b.open("/ui/templates/banner")
	b.Holds(`document.querySelectorAll("[name=destination]").length === 2`)
	w.second(t)
	b.open("/ui/templates/banner")
	b.Click("#form summary")
	b.Sees("To the workspace's connected accounts: dropbox, second", "Only to dropbox ("+w.email+")", "Only to second")
	b.Screenshots("template-upload")
	b.Fill("#folder", "/Summer")
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	job := w.job(t)
	to := func(name string) platenv1alpha1.JobConnection {
		return platenv1alpha1.JobConnection{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Name: &name, Folder: "/Summer"}
	}
	if diff := cmp.Diff([]platenv1alpha1.JobConnection{to("dropbox"), to("second")}, job.Spec.Connections); diff != "" {
		t.Error(diff)
	}
	if err := world.admin.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	b.Click(`[name=destination][value="dropbox/second"]`)
	b.Holds(`document.querySelector("#code-plugin").textContent.includes("--connection second")`)
	b.Click("#form .primary")
	b.Sees("Waiting to start")
	if diff := cmp.Diff([]platenv1alpha1.JobConnection{to("second")}, w.job(t).Spec.Connections); diff != "" {
		t.Error(diff)
	}
}

// Render again renders the same again, except for what was changed, and says what it cannot.
func TestRenderTheSameAgain(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner")
	w.template(t, "poster")
	b.signIn(w)
	b.connect(w)
	w.second(t)
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "rich", Annotations: map[string]string{platenv1alpha1.WebhookURLAnnotation: "https://example.com"}}, Spec: platenv1alpha1.RenderJobSpec{
		TemplateRef:    platenv1alpha1.TemplateReference{Name: "banner"},
		TimeoutSeconds: 900,
		Modifications:  raw(`{"headline":"Summer","page2@headline":"Autumn","title.color":"red"}`),
		Output:         platenv1alpha1.OutputSpec{Format: "jpg", Quality: 40},
		Connections:    []platenv1alpha1.JobConnection{{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Name: new("second"), Folder: "/Only"}},
	}}
	create(t, job)
	b.open("/ui/templates/banner?from=rich")
	b.Sees("The form has the values of the render rich.", "the new render goes without them: output.quality, timeoutSeconds, the annotation platen.dev/webhook-url.", "Also set, without a field here: page2@headline, title.color.")
	b.Screenshots("template-again-rich")
	b.Holds(`["kubectl", "curl", "plugin"].every((name) => document.querySelector("#code-" + name).textContent.includes("Autumn"))`)
	b.enter(`[name="p.headline"]`, "Winter")
	b.Click("#form .primary")
	var spec platenv1alpha1.RenderJobSpec
	suite.Eventually(t, "the new job appears", func() error {
		jobs := &platenv1alpha1.RenderJobList{}
		if err := world.admin.List(t.Context(), jobs, client.InNamespace(w.name)); err != nil {
			return err
		}
		again := slices.IndexFunc(jobs.Items, func(j platenv1alpha1.RenderJob) bool {
			return j.Name != "rich" && j.Labels[platenv1alpha1.PreviewLabel] == ""
		})
		if again < 0 {
			return errors.New("there is none")
		}
		spec = jobs.Items[again].Spec
		return nil
	})
	if diff := cmp.Diff(job.Spec.Connections, spec.Connections); diff != "" {
		t.Error(diff)
	}
	if got, want := string(spec.Modifications.Raw), `{"headline":"Winter","page2@headline":"Autumn","title.color":"red"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	b.open("/ui/templates/poster?from=rich")
	b.Sees("The render rich is of the template banner.")
}

// The page of a folder that is gone makes it.
func TestAMissingFolder(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	b.Fill("#new-folder", "  ")
	b.Click("#make-folder")
	b.Sees("Give the folder a name.")
	b.open("/ui/storage/dropbox/folders?path=/Gone/Summer")
	b.Sees("The account has no folder /Gone/Summer. Make it, or choose another one.", "Choose another")
	b.Screenshots("folder-missing")
	b.Click("#make-missing")
	b.Sees("The folder is there")
	b.Holds(`document.querySelector("#picker .choose code").textContent === "/Gone/Summer"`)
}

// The longest name of a connection fits into the page, and each path of a file has the name of its connection.
func TestLongConnectionName(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	b.signIn(w)
	b.connect(w)
	name := strings.Repeat("y", 51)
	long := w.connection(t).DeepCopy()
	long.ObjectMeta = metav1.ObjectMeta{Namespace: w.name, Name: name}
	create(t, long)
	b.Phone()
	b.open("/ui/storage")
	b.Sees(name)
	b.Holds(`Array.from(document.querySelectorAll(".connection *")).every((e) => e.getBoundingClientRect().right <= e.closest(".connection").getBoundingClientRect().right)`)
	b.Screenshots("connection-long")
}

// The colour picker beside a field has the colour of the field.
func TestColorPicker(t *testing.T) {
	w, b := newWorkspace(t), newBrowser(t)
	w.template(t, "banner", platenv1alpha1.Parameter{Name: "accent", Type: platenv1alpha1.ParameterColor, Default: raw(`"rebeccapurple"`)})
	b.signIn(w)
	b.open("/ui/templates/banner")
	b.Holds(`document.querySelector("[type=color]").value === "#663399"`)
	for value, want := range map[string]string{"#0a7": "#00aa77", "rgb(0 0 255)": "#0000ff", "bleu": "#808080", "linear-gradient(red, blue)": "#808080", "#fff8": "#808080"} {
		b.enter(`[name="p.accent"]`, value)
		b.Holds(`document.querySelector("[type=color]").value === "` + want + `"`)
	}
}

// A bucket has no account at Dropbox: Storage names it, lets the manager test it, and leaves its Secret alone.
func TestABucketOnStorage(t *testing.T) {
	w := newWorkspace(t)
	bucket := &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "archive"}, Spec: platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderS3,
		S3:       &platenv1alpha1.S3Spec{Bucket: "renders", CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "archive-keys"}},
	}}
	create(t, bucket)
	cookies := signedIn(t, w.token)
	visit := func(method, path string, form url.Values) (int, string) {
		t.Helper()
		status, _, body := send(t, request(t, method, path, form, cookies, nil))
		return status, body
	}
	card := func(status int, body string) string {
		t.Helper()
		_, after, found := strings.Cut(body, `id="connection-archive"`)
		text, _, closed := strings.Cut(after, "</article>")
		if status != http.StatusOK || !found || !closed {
			t.Fatalf("answered with %d, without the connection's card:\n%s", status, body)
		}
		return text
	}
	shown := card(visit(http.MethodGet, "/ui/storage", nil))
	for text, want := range map[string]bool{
		"S3 bucket renders": true, "Dropbox": false, `id="test-archive"`: true, `id="disconnect-archive"`: true, `id="again-archive"`: false, `id="change-archive"`: false, "may not": false,
	} {
		if strings.Contains(shown, text) != want {
			t.Errorf("%q is shown: %t\n%s", text, !want, shown)
		}
	}

	// verified waits for the controller, which knows no bucket: only then does its status not take the place of the one that the test sets.
	verified := func() {
		t.Helper()
		suite.Eventually(t, "the controller has looked at the bucket", func() error {
			if err := world.admin.Get(t.Context(), client.ObjectKeyFromObject(bucket), bucket); err != nil {
				return err
			}
			if asked := bucket.Annotations[platenv1alpha1.VerifyAnnotation]; len(bucket.Status.Conditions) == 0 || bucket.Status.LastHandledVerify != asked {
				return fmt.Errorf("the status is %+v, asked for %q", bucket.Status, asked)
			}
			return nil
		})
	}
	verified()
	before := bucket.DeepCopy()
	bucket.Status.ObservedGeneration = &bucket.Generation
	bucket.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: "Verified", Message: "works", LastTransitionTime: metav1.Now()}}
	if err := world.admin.Status().Patch(t.Context(), bucket, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	if shown := card(visit(http.MethodGet, "/ui/storage", nil)); !strings.Contains(shown, "Connected") {
		t.Errorf("a bucket that works:\n%s", shown)
	}
	if shown := card(visit(http.MethodPost, "/ui/storage/archive/test", nil)); !strings.Contains(shown, "Checking") || !strings.Contains(shown, "every 2s") {
		t.Errorf("a test does not wait for the manager:\n%s", shown)
	}
	verified()
	before = bucket.DeepCopy()
	if bucket.Status.LastHandledVerify == "" {
		t.Error("a test does not ask the manager")
	}
	bucket.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: "Verified", Message: "works", LastTransitionTime: metav1.Now()}}
	if err := world.admin.Status().Patch(t.Context(), bucket, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	if shown := card(visit(http.MethodGet, "/ui/storage/archive", nil)); !strings.Contains(shown, "Connected") {
		t.Errorf("after the manager's test:\n%s", shown)
	}

	if status, body := visit(http.MethodGet, "/ui/storage/archive/folders", nil); status != http.StatusConflict || !strings.Contains(body, "spec.defaultFolder") {
		t.Errorf("folders: answered with %d\n%s", status, body)
	}
	again := url.Values{"name": {"archive"}, "again": {"archive"}, "appKey": {appKey}}
	if status, body := visit(http.MethodPost, "/ui/connect", again); status != http.StatusUnprocessableEntity || !strings.Contains(body, "to a bucket already") {
		t.Errorf("connecting a bucket: answered with %d\n%s", status, body)
	}
	if status, body := visit(http.MethodGet, "/ui/storage/archive/disconnect", nil); status != http.StatusOK || strings.Contains(body, "Dropbox ends") || !strings.Contains(body, "archive-keys") {
		t.Errorf("before disconnecting: answered with %d\n%s", status, body)
	}
	if status, body := visit(http.MethodPost, "/ui/storage/archive/disconnect", nil); status != http.StatusOK || strings.Contains(body, "Dropbox did not") || !strings.Contains(body, "archive-keys") {
		t.Errorf("disconnecting: answered with %d\n%s", status, body)
	}
	if err := world.admin.Get(t.Context(), client.ObjectKeyFromObject(bucket), bucket); !apierrors.IsNotFound(err) {
		t.Errorf("after disconnecting: %v", err)
	}
}
