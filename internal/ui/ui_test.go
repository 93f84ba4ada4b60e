// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox/authflow"
)

func key(fill byte) []byte {
	k := make([]byte, 32)
	for i := range k {
		k[i] = fill
	}
	return k
}

func TestJar(t *testing.T) {
	put := func(j jar, name string, value any) *http.Request {
		t.Helper()
		w := httptest.NewRecorder()
		if err := j.put(w, name, value); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for _, c := range w.Result().Cookies() {
			if !c.HttpOnly || c.Secure != j.secure || c.SameSite != http.SameSiteLaxMode || c.Domain != "" || c.Path != "/" || c.MaxAge != 0 {
				t.Errorf("cookie %s", c)
			}
			if strings.HasPrefix(c.Name, "__Host-") != j.secure {
				t.Errorf("cookie %s", c.Name)
			}
			r.AddCookie(c)
		}
		return r
	}
	for _, secure := range []bool{false, true} {
		j, err := newJar(key(1), secure)
		if err != nil {
			t.Fatal(err)
		}
		given := session{ID: "i", Token: strings.Repeat("t", maxToken), Workspace: strings.Repeat("w", 63), Expires: time.Unix(1_700_000_000, 0).UTC()}
		r := put(j, sessionCookie, given)
		if size := len(r.Header.Get("Cookie")); size > 4000 {
			t.Errorf("the largest cookie has %d bytes; with its attributes it must stay below the browsers' limit of 4096", size)
		}
		var got session
		if !j.take(r, sessionCookie, &got) || !cmp.Equal(given, got) {
			t.Errorf("got %v", got)
		}
		// One cookie cannot be used as another, and no other key opens it.
		moved := httptest.NewRequest(http.MethodGet, "/", nil)
		moved.AddCookie(&http.Cookie{Name: j.cookie(connectCookie, "").Name, Value: r.Cookies()[0].Value})
		if j.take(moved, connectCookie, &flow{}) {
			t.Error("the cookie of a session is accepted as that of a flow")
		}
		other, err := newJar(key(2), secure)
		if err != nil {
			t.Fatal(err)
		}
		if other.take(r, sessionCookie, &got) {
			t.Error("another key opens the cookie")
		}
		for _, value := range []string{"", "AAAA", "%%%", strings.Repeat("A", 200)} {
			bad := httptest.NewRequest(http.MethodGet, "/", nil)
			bad.AddCookie(&http.Cookie{Name: r.Cookies()[0].Name, Value: value})
			if j.take(bad, sessionCookie, &got) {
				t.Errorf("%q is accepted", value)
			}
		}
	}
	if _, err := newJar([]byte("short"), true); err == nil {
		t.Error("a short key is accepted")
	}
}

func TestParseOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"https://platen.example.com": "https://platen.example.com", "https://platen.example.com/": "https://platen.example.com", "http://localhost:8080": "http://localhost:8080",
		"": "", "platen.example.com": "", "ftp://x": "", "https://u:p@x": "", "https://": "", "://": "",
	} {
		got := ""
		if u, err := parseOrigin(text); err == nil {
			got = u.String()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestFreeName(t *testing.T) {
	if got := freeName(map[string]bool{"dropbox": true, "dropbox-2": true}); got != "dropbox-3" {
		t.Errorf("got %s", got)
	}
}

func TestTexts(t *testing.T) {
	for name, want := range map[string]string{"headline": "Headline", "subTitle": "Sub title", "sub_title": "Sub title", "a-b": "A b", "SKU": "SKU", "_": "_"} {
		if got := label(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago", 3 * time.Hour: "3 hours ago", 50 * time.Hour: "2 days ago"} {
		if got := ago(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "within a minute", 59 * time.Second: "within a minute", 119 * time.Second: "in 2 minutes", 3 * time.Hour: "in 3 hours", 24*time.Hour - time.Second: "in 1 day", 50 * time.Hour: "in 2 days"} {
		if got := ahead(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

// jobAt returns a job with conditions such as Ready=True/Succeeded of its current generation.
func jobAt(conditions ...string) *platenv1alpha1.RenderJob {
	job := &platenv1alpha1.RenderJob{}
	job.Status.ObservedGeneration = new(int64(0))
	for _, text := range conditions {
		kind, rest, _ := strings.Cut(text, "=")
		status, reason, _ := strings.Cut(rest, "/")
		job.Status.Conditions = append(job.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status), Reason: reason, Message: "The message"})
	}
	return job
}

func TestJobWords(t *testing.T) {
	const done = "Finished=True/x"
	for name, tc := range map[string]struct {
		job   *platenv1alpha1.RenderJob
		tone  tone
		title string
		text  string
	}{
		"not seen yet":       {job: &platenv1alpha1.RenderJob{}, tone: busy, title: "Waiting to start"},
		"queued":             {job: jobAt("Ready=Unknown/Queued"), tone: busy, title: "Waiting to start", text: "as soon as one is free"},
		"rendering":          {job: jobAt("Ready=Unknown/Rendering"), tone: busy, title: "Rendering"},
		"done":               {job: jobAt("Ready=True/Succeeded", done), tone: good, title: "Done"},
		"warnings":           {job: jobAt("Ready=True/SucceededWithWarnings", done), tone: warn, title: "Done, with warnings"},
		"not uploaded":       {job: jobAt("Ready=True/SucceededWithWarnings", "Uploaded=False/TokenExpired", done), tone: warn, title: "Rendered, not uploaded", text: "Connect the account again"},
		"Dropbox is full":    {job: jobAt("Ready=True/SucceededWithWarnings", "Uploaded=False/InsufficientSpace", done), tone: warn, title: "Rendered, not uploaded", text: "Make room"},
		"nowhere to upload":  {job: jobAt("Ready=True/SucceededWithWarnings", "Uploaded=False/ConnectionNotFound", done), tone: warn, title: "Rendered, not uploaded", text: "Create the connection that the job asks for, or name another one of the namespace in its spec.connections. Platen then uploads"},
		"wrong value":        {job: jobAt("Ready=False/InvalidModifications", done), tone: bad, title: "Cannot be rendered", text: "The message. Correct it"},
		"too slow":           {job: jobAt("Ready=False/DeadlineExceeded", done), tone: bad, title: "Took too long", text: "The message."},
		"failed":             {job: jobAt("Ready=False/RenderFailed", done), tone: bad, title: "Failed", text: "The message."},
		"suspended":          {job: jobAt("Ready=Unknown/Suspended"), tone: idle, title: "Suspended", text: "spec.suspend"},
		"canceled":           {job: jobAt("Ready=False/Canceled", done), tone: idle, title: "Canceled", text: "spec.suspend"},
		"template not there": {job: jobAt("Ready=Unknown/TemplateNotFound"), tone: warn, title: "Waiting", text: "The message."},
		"font set not there": {job: jobAt("Ready=Unknown/FontSetNotFound"), tone: warn, title: "Waiting", text: "The message."},
		"no pod starts":      {job: jobAt("Ready=Unknown/ContainerStartFailed"), tone: warn, title: "Waiting", text: "The message."},
	} {
		got := jobWords(tc.job)
		if got.Tone != tc.tone || got.Title != tc.title || !strings.Contains(got.Text, tc.text) || (tc.text == "") != (got.Text == "") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestConnectedWordsNameEveryConnectionToTheAccount(t *testing.T) {
	account := storage.Account{ID: "dbid:1", Email: "ada@example.com", DisplayName: "Ada"}
	for want, others := range map[string][]string{
		"": nil,
		" The connection a has this account too: a render that goes to both is uploaded there twice.":                     {"a"},
		" The connections a, b and c have this account too: a render that goes to all of them is uploaded there 4 times.": {"a", "b", "c"},
	} {
		got, wantTone := connectedWords(account, nil, others, false), good
		if want != "" {
			wantTone = warn
		}
		if text := "It is the account of Ada, ada@example.com." + want + " Choose the folder for renders."; got.Text != text || got.Tone != wantTone {
			t.Errorf("%v: got %+v", others, got)
		}
	}
	if got := connectedWords(account, nil, nil, true); got.Tone != warn || !strings.Contains(got.Text, "Put the new ones into the file") {
		t.Errorf("got %+v", got)
	}
}

// A file that is in one of the job's connections is not called missing.
func TestJobWordsOfPartOfTheUploads(t *testing.T) {
	failed := platenv1alpha1.JobConnectionStatus{Name: "dropbox-2", Provider: "dropbox", Status: platenv1alpha1.UploadError}
	half := failed
	half.Pages = []platenv1alpha1.UploadedPage{{Page: 1, Path: "/Renders/1.png"}, {Page: 2, Error: "Dropbox is full"}}
	for name, tc := range map[string]struct {
		connections []platenv1alpha1.JobConnectionStatus
		want        string
	}{
		"no connection has a file":      {[]platenv1alpha1.JobConnectionStatus{failed, failed}, "Rendered, not uploaded"},
		"one of two has all":            {[]platenv1alpha1.JobConnectionStatus{{Name: "dropbox", Provider: "dropbox", Status: platenv1alpha1.UploadSuccess}, failed}, "Rendered, partly uploaded"},
		"the only one has half of them": {[]platenv1alpha1.JobConnectionStatus{half}, "Rendered, partly uploaded"},
	} {
		job := jobAt("Ready=True/SucceededWithWarnings", "Uploaded=False/TokenExpired", "Finished=True/x")
		job.Status.Connections = tc.connections
		if got := jobWords(job); got.Title != tc.want || got.Tone != warn || !strings.Contains(got.Text, "Connect the account again") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestRetrying(t *testing.T) {
	for name, tc := range map[string]struct {
		requested, handled string
		want               bool
	}{
		"nothing requested": {},
		"first request":     {requested: "b", want: true},
		"second request":    {requested: "b", handled: "a", want: true},
		"request handled":   {requested: "b", handled: "b"},
	} {
		job := jobAt("Ready=True/SucceededWithWarnings", "Uploaded=False/TokenExpired", "Finished=True/x")
		job.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: tc.requested}
		job.Status.LastHandledRetryUploads = tc.handled
		job.Status.Warnings = []platenv1alpha1.Warning{{Title: "Font Nowhere is not installed"}, {Title: "Failed to upload to dropbox: Token expired"}}
		warnings := 2
		if tc.want {
			warnings = 1 // of the upload before, nothing is said
		}
		if view := viewJob(job); retrying(job) != tc.want || view.CanRetry == tc.want || view.Live() != tc.want || len(view.Warnings) != warnings {
			t.Errorf("%s: %+v", name, view)
		}
	}
}

func TestConnectionWords(t *testing.T) {
	for name, tc := range map[string]struct {
		status          metav1.ConditionStatus
		reason, message string
		policy          platenv1alpha1.UploadPolicy
		tone            tone
		title, text     string
	}{
		"works":        {status: metav1.ConditionTrue, reason: "Verified", policy: platenv1alpha1.UploadAutomatic, tone: good, title: "Connected"},
		"switched off": {status: metav1.ConditionTrue, reason: "Verified", policy: platenv1alpha1.UploadDisabled, tone: idle, title: "Switched off", text: "uploadPolicy"},
		"revoked":      {status: metav1.ConditionFalse, reason: "TokenExpired", message: "Token expired. Connect the account again.", policy: platenv1alpha1.UploadAutomatic, tone: bad, title: "Access has ended", text: "Token expired. Connect the account again."},
		"scope": {
			status: metav1.ConditionFalse, reason: "MissingScope", message: "App lacks scope a.b. Add the permission to the app.", policy: platenv1alpha1.UploadAutomatic, tone: bad, title: "A permission is missing",
			text: "App lacks scope a.b. Add the permission to the app.",
		},
		"no Secret":   {status: metav1.ConditionFalse, reason: "SecretNotFound", message: "Secret 'x' does not exist", policy: platenv1alpha1.UploadAutomatic, tone: bad, title: "Credentials are missing", text: "Secret 'x' does not exist."},
		"unreachable": {status: metav1.ConditionUnknown, reason: "Unreachable", message: "Dropbox could not be reached", policy: platenv1alpha1.UploadAutomatic, tone: warn, title: "Service out of reach", text: "Dropbox could not be reached."},
		"never heard": {status: metav1.ConditionFalse, reason: "Odd", message: "Something odd", policy: platenv1alpha1.UploadAutomatic, tone: bad, title: "Not working", text: "Something odd."},
	} {
		c := &platenv1alpha1.StorageConnection{Spec: platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderDropbox, UploadPolicy: tc.policy}}
		c.Status.ObservedGeneration = new(int64(0))
		c.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: tc.status, Reason: tc.reason, Message: tc.message}}
		if got := connectionWords(c); got.Tone != tc.tone || got.Title != tc.title || !strings.Contains(got.Text, tc.text) || (tc.text == "") != (got.Text == "") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	for asked, handled := range map[string]string{"": "", "2026": "2026", "2027": "2026", strings.Repeat("x", 300): strings.Repeat("x", 256), "new": ""} {
		c := &platenv1alpha1.StorageConnection{}
		c.Annotations = map[string]string{platenv1alpha1.VerifyAnnotation: asked}
		c.Status.LastHandledVerify = handled
		if got, want := verifying(c), asked == "2027" || asked == "new"; got != want {
			t.Errorf("asked for %.10q, handled %.10q: verifying is %t", asked, handled, got)
		}
	}
	if got := connectionWords(&platenv1alpha1.StorageConnection{}); got.Tone != busy {
		t.Errorf("a connection without a status: %+v", got)
	}
}

// A session ends when it expires, although the browser keeps its cookie.
func TestSessionsEnd(t *testing.T) {
	now := testingclock.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	s := newServer(t, now)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	addCookie(t, s, r, sessionCookie, session{ID: "i", Token: "t", Workspace: "w", Expires: now.Now().Add(sessionLifetime)})
	if s.session(r) == nil {
		t.Error("there is no session")
	}
	now.SetTime(now.Now().Add(sessionLifetime))
	if s.session(r) != nil {
		t.Error("the session goes on")
	}
}

// Who types an address gets what is true: nothing has changed, and the cluster was not asked.
func TestNamesThatNoObjectHas(t *testing.T) {
	s := newServer(t, testingclock.NewFakePassiveClock(time.Unix(1_700_000_000, 0)))
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(schema.GroupVersionKind{Version: "v1", Kind: "Secret"}, meta.RESTScopeNamespace)
	api, err := client.New(&rest.Config{Host: "http://localhost:1"}, client.Options{Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../secret", "a/b", "a%b", ".."} {
		err := api.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: name}, &corev1.Secret{})
		if p := s.explain(httptest.NewRequest(http.MethodGet, "/ui/renders/x", nil), fmt.Errorf("reading: %w", err)); p.Status != http.StatusNotFound {
			t.Errorf("%s: %v is HTTP %d %s", name, err, p.Status, p.Title)
		}
	}
}

// slowBody is the body of a request that has begun to arrive and does not go on.
type slowBody struct {
	begun chan<- struct{}
	end   <-chan struct{}
}

func (b slowBody) Read([]byte) (int, error) {
	b.begun <- struct{}{}
	<-b.end
	return 0, io.EOF
}

// Whoever sends forms slowly closes the page to nobody else: not to other strangers, and not to those who have signed in.
func TestStrangersTakeAPartOfThePage(t *testing.T) {
	s := newServer(t, testingclock.NewFakePassiveClock(time.Unix(1_700_000_000, 0)))
	h, end := s.Handler(), make(chan struct{})
	var slow sync.WaitGroup
	defer slow.Wait()
	defer close(end)
	// sent sends a form slowly from an address, and reports whether the page waits for the rest of it.
	sent := func(address string) bool {
		begun, answered := make(chan struct{}), make(chan struct{})
		slow.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/ui/sign-in", slowBody{begun, end})
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.RemoteAddr = address
			h.ServeHTTP(httptest.NewRecorder(), r)
			close(answered)
		})
		select {
		case <-begun:
			return true
		case <-answered:
			return false
		}
	}
	get := func(address string, visitor bool) int {
		r, w := httptest.NewRequest(http.MethodGet, "/ui/static/app.css", nil), httptest.NewRecorder()
		r.RemoteAddr = address
		if visitor {
			addCookie(t, s, r, sessionCookie, session{ID: "i", Token: "t", Workspace: "w", Expires: s.Clock.Now().Add(time.Hour)})
		}
		h.ServeHTTP(w, r)
		return w.Code
	}
	for n := 0; sent(fmt.Sprintf("192.0.2.1:%d", 1000+n)); n++ {
		if n > maxRequests {
			t.Fatal("an address has more requests than the page takes")
		}
	}
	if code := get("192.0.2.1:1", false); code != http.StatusServiceUnavailable {
		t.Errorf("one more request of the address is answered with %d", code)
	}
	if code := get("192.0.2.2:1", false); code != http.StatusOK {
		t.Errorf("a stranger from another address is answered with %d", code)
	}
	for n := 0; n < maxRequests && sent(fmt.Sprintf("[2001:db8::%x]:1", n+1)); n++ { // further addresses
	}
	if code := get("192.0.2.2:1", false); code != http.StatusServiceUnavailable {
		t.Errorf("a stranger from another address is answered with %d, while all strangers have their part", code)
	}
	if code := get("192.0.2.1:1", true); code != http.StatusOK {
		t.Errorf("a visitor who has signed in is answered with %d", code)
	}
}

func newServer(t *testing.T, now *testingclock.FakePassiveClock) *Server {
	t.Helper()
	s, err := New(Options{Key: key(1), ContentURL: "http://content", Clock: now, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// addCookie adds a sealed cookie to a request.
func addCookie(t *testing.T, s *Server, r *http.Request, name string, value any) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := s.jar.put(w, name, value); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
}

// A callback needs a flow that was started recently in the same session. Otherwise the page sends no request to anyone.
func TestCallbacksWithoutAFlow(t *testing.T) {
	now := testingclock.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	signedIn := session{ID: "mine", Token: "t", Workspace: "w", Expires: now.Now().Add(time.Hour)}
	begun := flow{Attempt: authflow.Attempt{State: "state", Verifier: "v"}, Session: "mine", Workspace: "w", Connection: "dropbox", AppKey: "k", Expires: now.Now().Add(connectLifetime)}
	others, late := begun, begun
	others.Session, late.Expires = "theirs", now.Now()
	for name, tc := range map[string]struct {
		session *session
		flow    *flow
		query   string
		want    string
		// kept tells that the attempt stays: another site may have made up the answer, or another tab begun an attempt of its own.
		kept bool
	}{
		"nobody is signed in":          {flow: &begun, query: "code=c&state=state", want: "You are not signed in any more"},
		"nothing was begun":            {session: &signedIn, query: "code=c&state=state", want: "does not belong to your attempt"},
		"begun in another session":     {session: &signedIn, flow: &others, query: "code=c&state=state", want: "does not belong to your attempt"},
		"begun long ago":               {session: &signedIn, flow: &late, query: "code=c&state=state", want: "That took too long"},
		"another state":                {session: &signedIn, flow: &begun, query: "code=c&state=statf", want: "does not belong to your attempt", kept: true},
		"no state":                     {session: &signedIn, flow: &begun, query: "code=c", want: "does not belong to your attempt", kept: true},
		"another state, with an error": {session: &signedIn, flow: &begun, query: "error=access_denied&state=x", want: "does not belong to your attempt", kept: true},
		"denied":                       {session: &signedIn, flow: &begun, query: "error=access_denied&state=state", want: "You did not allow the access"},
		"no code":                      {session: &signedIn, flow: &begun, query: "state=state", want: "Dropbox refused"},
	} {
		s := newServer(t, now)
		r := httptest.NewRequest(http.MethodGet, callbackPath+"?"+tc.query, nil)
		if tc.session != nil {
			addCookie(t, s, r, sessionCookie, *tc.session)
		}
		if tc.flow != nil {
			addCookie(t, s, r, connectCookie, []flow{*tc.flow})
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if body := w.Body.String(); w.Code != http.StatusBadRequest || !strings.Contains(body, tc.want) || strings.Contains(body, "code=c") {
			t.Errorf("%s: answered %d\n%s", name, w.Code, body)
		}
		if forgotten := strings.Contains(w.Header().Get("Set-Cookie"), connectCookie+"=; Path=/; Max-Age=0"); forgotten == tc.kept {
			t.Errorf("%s: the attempt is forgotten: %v; %s", name, forgotten, w.Header().Get("Set-Cookie"))
		}
	}
}

// The address of a form leads whoever opens it to the page that holds the form.
func TestAddressesOfForms(t *testing.T) {
	s := newServer(t, testingclock.NewFakePassiveClock(time.Unix(1_700_000_000, 0)))
	for path, holder := range map[string]string{
		"/ui/sign-out": "/ui/", "/ui/connect": "/ui/storage", "/ui/storage/dropbox/test": "/ui/storage", "/ui/storage/dropbox/folder": "/ui/storage/dropbox/folders",
		"/ui/renders/banner-x/retry": "/ui/renders/banner-x", "/ui/templates/banner/renders": "/ui/templates/banner", "/ui/templates/banner/preview": "/ui/templates/banner",
		"/ui/templates/banner/code": "/ui/templates/banner",
	} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost || !strings.Contains(w.Body.String(), `href="`+holder+`"`) {
			t.Errorf("GET %s: %d, Allow: %s\n%s", path, w.Code, w.Header().Get("Allow"), w.Body)
		}
	}
}

// Dropbox does not tell folders apart by the case of letters.
func TestTheFolderThatIsTaken(t *testing.T) {
	for folder, want := range map[string]bool{"/Renders": true, "/RENDERS": true, "/Renders/2026": false, "/": false} {
		if got := (picker{Folder: folder, Current: "/Renders"}).Taken(); got != want {
			t.Errorf("%s: %t", folder, got)
		}
	}
}

// The page has no field for a conflict policy, and names none.
func TestWarningsAreInThePagesWords(t *testing.T) {
	job := &platenv1alpha1.RenderJob{}
	job.Status.Warnings = []platenv1alpha1.Warning{{Title: "Kept the file", Details: new(storage.KeptByPolicy)}, {Title: "Other"}}
	want := []string{"the connection keeps files that are there; another file name makes a new one", ""}
	view := viewJob(job)
	for i, warning := range view.Warnings {
		if got := ptr.Deref(warning.Details, ""); got != want[i] {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
	w := httptest.NewRecorder()
	newServer(t, testingclock.NewFakePassiveClock(time.Unix(1_700_000_000, 0))).views.fragment(w, http.StatusOK, "warnings", view)
	if body := w.Body.String(); strings.Count(body, "<span") != 1 || !strings.Contains(body, "<li>Other</li>") {
		t.Errorf("a warning without details has some: %s", body)
	}
	if got := *job.Status.Warnings[0].Details; got != storage.KeptByPolicy {
		t.Errorf("the cache's job has %q", got)
	}
	failed := jobAt("Uploaded=False/Conflict")
	if text := uploadText(failed); strings.Contains(text, "conflictPolicy") || !strings.Contains(text, "another file name helps, too") {
		t.Errorf("%s", text)
	}
}

// Who may not do something sees no way to do it, and learns what is missing.
func TestWhatAVisitorMayDo(t *testing.T) {
	job := jobAt("Ready=True/SucceededWithWarnings", "Uploaded=False/Unreachable", "Finished=True/x")
	job.Spec.TemplateRef.Name = "banner"
	const remedy = " An administrator of the namespace can give it the role platen-edit."
	there := map[string]string{"banner": ""}
	for _, c := range []struct {
		may          rights
		titles       map[string]string
		retry, again bool
		gone         bool
		denied       string
	}{
		{rights{true, true}, there, true, true, false, ""},
		{rights{}, there, false, false, false, "Your token may not try its upload again, or render it again." + remedy},
		{rights{render: true}, nil, false, true, false, "Your token may not try its upload again." + remedy},
		{rights{retry: true}, there, true, false, false, "Your token may not render it again." + remedy},
		{rights{true, true}, map[string]string{}, true, false, true, ""},
		{rights{}, map[string]string{}, false, false, true, "Your token may not try its upload again." + remedy},
	} {
		v := viewJob(job).forWhoMay(c.may, c.titles)
		if v.CanRetry != c.retry || (v.Again != "") != c.again || v.TemplateGone != c.gone || v.Denied != c.denied {
			t.Errorf("%+v, %v: %+v", c.may, c.titles, v)
		}
	}
}

// The error of a new folder's name speaks of one name, and of the path if that is at fault.
func TestNameErrors(t *testing.T) {
	for name, want := range map[string]string{
		"Summer": "", "bad.": "A folder's name must not be '.' or '..', or end with a space or a dot.", "a/b": "A folder's name must not have a slash.",
		strings.Repeat("x", 200): "The whole path must have at most 400 characters.",
	} {
		if got := nameError(name, "/"+strings.Repeat("y", 220)+"/"+name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestFinds(t *testing.T) {
	job := &platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}}}
	job.Name = "summer-2026"
	for text, want := range map[string]bool{
		"great": true, "OFFERS banner": true, "offers winter": false,
		"": true, "summer": true, "SUM": true, "banner": true, "ban sum": true, "2026": true, "  summer ": true, "winter": false, "summer winter": false, "2026banner": false,
	} {
		if finds(job, "Great Offers", text) != want {
			t.Errorf("%q: want %t", text, want)
		}
	}
	for find, want := range map[string]string{"summer": "“summer”", "a  b c": "“a” and “b” and “c”"} {
		if got := (galleryView{Find: find}).Words(); got != want {
			t.Errorf("%q: got %s, want %s", find, got, want)
		}
	}
	view := galleryView{Find: "a&b", Previews: true}
	if got := []string{view.Address(2), view.Other(), view.All(), galleryView{}.All()}; !slices.Equal(got, []string{
		"/ui/renders?find=a%26b&part=2&show=previews", "/ui/renders?find=a%26b", "/ui/renders?show=previews", "/ui/renders",
	}) {
		t.Errorf("%q", got)
	}
}

// Who may render can render a finished job again.
func TestAgain(t *testing.T) {
	for _, c := range []struct {
		conditions []string
		want       string
	}{
		{[]string{"Ready=Unknown/Rendering"}, ""},
		{[]string{"Ready=True/Succeeded", "Finished=True/x"}, "Render again"},
		{[]string{"Ready=True/SucceededWithWarnings", "Finished=True/x"}, "Render again"},
		{[]string{"Ready=False/RenderFailed", "Finished=True/x"}, "Render again with other values"},
		{[]string{"Ready=True/SucceededWithWarnings", "Uploaded=False/TokenExpired", "Finished=True/x"}, "Render again with other values"},
	} {
		view := viewJob(jobAt(c.conditions...))
		if (view.Again != "") != (c.want != "") || c.want != "" && view.AgainText() != c.want || view.forWhoMay(rights{}, nil).Again != "" || view.forWhoMay(rights{render: true}, nil).Again != view.Again {
			t.Errorf("%v: %q %q", c.conditions, view.Again, view.AgainText())
		}
	}
}

// Each size of a page has its own file and path.
func TestExtraSizes(t *testing.T) {
	job := jobAt("Ready=True/Succeeded", "Finished=True/x")
	job.Name, job.Namespace = "poster", "marketing"
	job.Status.Pages = []platenv1alpha1.RenderedPage{{Page: 1, SHA256: strings.Repeat("a", 64)}, {Page: 1, ExtraSize: new("story"), SHA256: strings.Repeat("b", 64)}}
	job.Status.Connections = []platenv1alpha1.JobConnectionStatus{{Name: "dropbox", Pages: []platenv1alpha1.UploadedPage{
		{Page: 1, Path: "/a.png"}, {Page: 1, ExtraSize: new("story"), Path: "/a_story.png"},
	}}}
	want := []fileView{
		{Page: 1, Kind: "image", Source: "/ui/renders/poster/files/1?v=aaaaaaaaaaaa&workspace=marketing", Paths: []string{"/a.png"}},
		{Page: 1, ExtraSize: "story", Kind: "image", Source: "/ui/renders/poster/files/1?size=story&v=bbbbbbbbbbbb&workspace=marketing", Paths: []string{"/a_story.png"}},
	}
	if diff := cmp.Diff(want, viewJob(job).Files); diff != "" {
		t.Error(diff)
	}
	// Which connection has which path.
	job.Status.Connections = append(job.Status.Connections, platenv1alpha1.JobConnectionStatus{Name: "second", Pages: []platenv1alpha1.UploadedPage{{Page: 1, Path: "/b.png"}}})
	want[0].Paths, want[0].Holders, want[1].Holders = []string{"/a.png", "/b.png"}, []string{"dropbox", "second"}, []string{"dropbox"}
	if diff := cmp.Diff(want, viewJob(job).Files); diff != "" {
		t.Error(diff)
	}
}

// A document is one file of several pages, and a film may be.
func TestPagesOfAFile(t *testing.T) {
	for name, tc := range map[string]struct {
		output platenv1alpha1.OutputSpec
		whole  string
		want   int
	}{
		"a document":           {platenv1alpha1.OutputSpec{Format: "pdf"}, "Document", 3},
		"from its first page":  {platenv1alpha1.OutputSpec{Format: "pdf", PDF: platenv1alpha1.PDFOptions{RangeFrom: 1}}, "Document", 3},
		"from its second page": {platenv1alpha1.OutputSpec{Format: "pdf", PDF: platenv1alpha1.PDFOptions{RangeFrom: 2}}, "Document", 0},
		"up to its first page": {platenv1alpha1.OutputSpec{Format: "pdf", PDF: platenv1alpha1.PDFOptions{RangeTo: 1}}, "Document", 0},
		"a picture":            {platenv1alpha1.OutputSpec{Format: "png"}, "", 0},
		"a film of a page":     {platenv1alpha1.OutputSpec{Format: "gif"}, "", 0},
		"a film of all pages":  {platenv1alpha1.OutputSpec{Format: "gif", Video: platenv1alpha1.VideoOptions{CombinePages: new(true)}}, "Film", 3},
	} {
		job := jobAt("Ready=True/Succeeded", "Finished=True/x")
		job.Spec.Output, job.Status.RenderedPages = tc.output, new(int32(3))
		job.Status.Pages = []platenv1alpha1.RenderedPage{{Page: 1, SHA256: strings.Repeat("a", 64)}}
		if got := viewJob(job).Files[0]; got.Pages != tc.want || got.Whole != tc.whole {
			t.Errorf("%s: got %s of %d pages, want %s of %d", name, got.Whole, got.Pages, tc.whole, tc.want)
		}
	}
}

// The page names a role that has the right which was missing.
func TestRoleFor(t *testing.T) {
	forbidden := func(group, resource string) error {
		return apierrors.NewForbidden(schema.GroupResource{Group: group, Resource: resource}, "x", errors.New("no"))
	}
	for _, tc := range []struct {
		method string
		err    error
		want   string
	}{
		{http.MethodGet, forbidden("", "secrets"), "edit"},
		{http.MethodPost, fmt.Errorf("reading: %w", forbidden("", "secrets")), "edit"},
		{http.MethodGet, forbidden("platen.dev", "storageconnections"), "platen-view or platen-edit"},
		{http.MethodPost, forbidden("platen.dev", "renderjobs"), "platen-edit"},
	} {
		if got := roleFor(httptest.NewRequest(tc.method, "/ui/", nil), tc.err); got != tc.want {
			t.Errorf("%s, %v: %s, want %s", tc.method, tc.err, got, tc.want)
		}
	}
}

// TestNobodyWaits lets the caller leave, or close its half of the connection. It does not get an empty page for the answer.
func TestNobodyWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // net/http compares so too
			t.Error("the answer is not aborted")
		}
	}()
	(&Server{}).handle(func(http.ResponseWriter, *http.Request) error { return ctx.Err() })(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/ui/", nil))
}
