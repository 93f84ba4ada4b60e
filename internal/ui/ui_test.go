// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
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
			t.Errorf("the largest cookie has %d bytes, of which browsers keep 4096 with its attributes", size)
		}
		var got session
		if !j.take(r, sessionCookie, &got) || !cmp.Equal(given, got) {
			t.Errorf("got %v", got)
		}
		// One cookie does not stand for another, and no other key opens it.
		moved := httptest.NewRequest(http.MethodGet, "/", nil)
		moved.AddCookie(&http.Cookie{Name: j.cookie(connectCookie, "").Name, Value: r.Cookies()[0].Value})
		if j.take(moved, connectCookie, &flow{}) {
			t.Error("a session's cookie is taken for a flow's")
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
				t.Errorf("%q is taken", value)
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
	for n, want := range map[int64]string{0: "0 bytes", 1: "1 byte", 999: "999 bytes", 1000: "1.0 kB", 190_995: "191 kB", 2_000_000_000: "2.0 GB", 5e15: "5.0 PB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago", 3 * time.Hour: "3 hours ago", 50 * time.Hour: "2 days ago"} {
		if got := ago(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

// jobAt is a job with conditions such as Ready=True/Succeeded, and a status of its newest generation.
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
		"not seen yet":       {&platenv1alpha1.RenderJob{}, busy, "Waiting to start", ""},
		"queued":             {jobAt("Ready=Unknown/Queued"), busy, "Waiting to start", "as soon as one is free"},
		"rendering":          {jobAt("Ready=Unknown/Rendering"), busy, "Rendering", ""},
		"done":               {jobAt("Ready=True/Succeeded", done), good, "Done", ""},
		"warnings":           {jobAt("Ready=True/SucceededWithWarnings", done), warn, "Done, with warnings", ""},
		"not uploaded":       {jobAt("Ready=True/SucceededWithWarnings", "Uploaded=False/TokenExpired", done), warn, "Rendered, not uploaded", "Connect the account again"},
		"Dropbox is full":    {jobAt("Ready=True/SucceededWithWarnings", "Uploaded=False/InsufficientSpace", done), warn, "Rendered, not uploaded", "Make room"},
		"nowhere to upload":  {jobAt("Ready=True/SucceededWithWarnings", "Uploaded=False/ConnectionNotFound", done), warn, "Rendered, not uploaded", "Connect an account"},
		"wrong value":        {jobAt("Ready=False/InvalidModifications", done), bad, "Cannot be rendered", "The message. Correct it"},
		"too slow":           {jobAt("Ready=False/DeadlineExceeded", done), bad, "Took too long", "The message."},
		"failed":             {jobAt("Ready=False/RenderFailed", done), bad, "Failed", "The message."},
		"suspended":          {jobAt("Ready=Unknown/Suspended"), idle, "Suspended", "spec.suspend"},
		"template not there": {jobAt("Ready=Unknown/TemplateNotFound"), warn, "Waiting", "The message."},
	} {
		got := jobWords(tc.job)
		if got.Tone != tc.tone || got.Title != tc.title || !strings.Contains(got.Text, tc.text) || (tc.text == "") != (got.Text == "") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestRetrying(t *testing.T) {
	for _, tc := range []struct {
		asked, handled string
		want           bool
	}{{"", "", false}, {"b", "", true}, {"b", "a", true}, {"b", "b", false}} {
		job := jobAt("Ready=True/SucceededWithWarnings", "Uploaded=False/TokenExpired", "Finished=True/x")
		job.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: tc.asked}
		job.Status.LastHandledRetryUploads = tc.handled
		if view := viewJob(job); retrying(job) != tc.want || view.CanRetry == tc.want || view.Live() != tc.want {
			t.Errorf("%+v: %+v", tc, view)
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
		"works":        {metav1.ConditionTrue, "Verified", "", platenv1alpha1.UploadAutomatic, good, "Connected", ""},
		"switched off": {metav1.ConditionTrue, "Verified", "", platenv1alpha1.UploadDisabled, idle, "Switched off", "uploadPolicy"},
		"revoked":      {metav1.ConditionFalse, "TokenExpired", "Token expired. Connect the account again.", platenv1alpha1.UploadAutomatic, bad, "Access has ended", "Token expired. Connect the account again."},
		"scope": {
			metav1.ConditionFalse, "MissingScope", "App lacks scope a.b. Add the permission to the app.", platenv1alpha1.UploadAutomatic, bad, "A permission is missing",
			"App lacks scope a.b. Add the permission to the app.",
		},
		"no Secret":   {metav1.ConditionFalse, "SecretNotFound", "Secret 'x' does not exist", platenv1alpha1.UploadAutomatic, bad, "Credentials are missing", "Secret 'x' does not exist."},
		"unreachable": {metav1.ConditionUnknown, "Unreachable", "Dropbox could not be reached", platenv1alpha1.UploadAutomatic, warn, "Service out of reach", "Dropbox could not be reached."},
		"never heard": {metav1.ConditionFalse, "Odd", "Something odd", platenv1alpha1.UploadAutomatic, bad, "Not working", "Something odd."},
	} {
		c := &platenv1alpha1.StorageConnection{Spec: platenv1alpha1.StorageConnectionSpec{UploadPolicy: tc.policy}}
		c.Status.ObservedGeneration = new(int64(0))
		c.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: tc.status, Reason: tc.reason, Message: tc.message}}
		if got := connectionWords(c); got.Tone != tc.tone || got.Title != tc.title || !strings.Contains(got.Text, tc.text) || (tc.text == "") != (got.Text == "") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if got := connectionWords(&platenv1alpha1.StorageConnection{}); got.Tone != busy {
		t.Errorf("a connection that nobody has looked at: %+v", got)
	}
}

// A session ends when its time is over, whatever its cookie says.
func TestSessionsEnd(t *testing.T) {
	now := testingclock.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	s := newServer(t, now)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	bring(t, s, r, sessionCookie, session{ID: "i", Token: "t", Workspace: "w", Expires: now.Now().Add(sessionLifetime)})
	if s.session(r) == nil {
		t.Error("there is no session")
	}
	now.SetTime(now.Now().Add(sessionLifetime))
	if s.session(r) != nil {
		t.Error("the session goes on")
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

// bring puts a sealed cookie into a request.
func bring(t *testing.T, s *Server, r *http.Request, name string, value any) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := s.jar.put(w, name, value); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
}

// Whoever comes back from Dropbox must have gone there, in the same session and not long ago. Nothing is asked of anybody before.
func TestCallbacksThatBelongToNobody(t *testing.T) {
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
	}{
		"nobody is signed in":          {nil, &begun, "code=c&state=state", "You are not signed in any more"},
		"nothing was begun":            {&signedIn, nil, "code=c&state=state", "belongs to no attempt of yours"},
		"begun in another session":     {&signedIn, &others, "code=c&state=state", "belongs to no attempt of yours"},
		"begun long ago":               {&signedIn, &late, "code=c&state=state", "That took too long"},
		"another state":                {&signedIn, &begun, "code=c&state=statf", "belongs to no attempt of yours"},
		"no state":                     {&signedIn, &begun, "code=c", "belongs to no attempt of yours"},
		"another state, with an error": {&signedIn, &begun, "error=access_denied&state=x", "belongs to no attempt of yours"},
		"denied":                       {&signedIn, &begun, "error=access_denied&state=state", "You did not allow the access"},
		"no code":                      {&signedIn, &begun, "state=state", "Dropbox refused"},
	} {
		s := newServer(t, now)
		r := httptest.NewRequest(http.MethodGet, callbackPath+"?"+tc.query, nil)
		if tc.session != nil {
			bring(t, s, r, sessionCookie, *tc.session)
		}
		if tc.flow != nil {
			bring(t, s, r, connectCookie, *tc.flow)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if body := w.Body.String(); w.Code != http.StatusBadRequest || !strings.Contains(body, tc.want) || strings.Contains(body, "code=c") {
			t.Errorf("%s: answered %d\n%s", name, w.Code, body)
		}
		if !strings.Contains(w.Header().Get("Set-Cookie"), connectCookie+"=; Path=/; Max-Age=0") {
			t.Errorf("%s: the attempt is not forgotten: %s", name, w.Header().Get("Set-Cookie"))
		}
	}
}

// A page may be there in several sizes, each with a file and a path of its own.
func TestExtraSizes(t *testing.T) {
	job := jobAt("Ready=True/Succeeded", "Finished=True/x")
	job.Name = "poster"
	job.Status.Pages = []platenv1alpha1.RenderedPage{{Page: 1, SHA256: strings.Repeat("a", 64)}, {Page: 1, ExtraSize: new("story"), SHA256: strings.Repeat("b", 64)}}
	job.Status.Connections = []platenv1alpha1.JobConnectionStatus{{Name: "dropbox", Pages: []platenv1alpha1.UploadedPage{
		{Page: 1, Path: "/a.png"}, {Page: 1, ExtraSize: new("story"), Path: "/a_story.png"},
	}}}
	want := []fileView{
		{Page: 1, Kind: "image", Source: "/ui/renders/poster/files/1?v=aaaaaaaaaaaa", Paths: []string{"/a.png"}},
		{Page: 1, ExtraSize: "story", Kind: "image", Source: "/ui/renders/poster/files/1?size=story&v=bbbbbbbbbbbb", Paths: []string{"/a_story.png"}},
	}
	if diff := cmp.Diff(want, viewJob(job).Files); diff != "" {
		t.Error(diff)
	}
}
