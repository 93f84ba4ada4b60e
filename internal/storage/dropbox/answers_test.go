// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/internal/storage/storagetest"
)

// TestHowLongToWait reads Retry-After as services and proxies send it (RFC 9110, 10.2.3), and retry_after of the body.
func TestHowLongToWait(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for name, tc := range map[string]struct {
		header, body string
		want         time.Duration
	}{
		"seconds":                   {"15", "", 15 * time.Second},
		"seconds with a fraction":   {"60.0", "", time.Minute},
		"a part of a second":        {"0.5", "", 500 * time.Millisecond},
		"spaces":                    {" 15 ", "", 15 * time.Second},
		"a date":                    {"Mon, 04 May 2026 03:07:01 GMT", "", 5 * time.Minute},
		"a date that has passed":    {"Mon, 04 May 2026 03:00:00 GMT", "", 0},
		"a date in years":           {"Mon, 04 May 2099 03:00:00 GMT", "", 24 * time.Hour},
		"nothing":                   {"", "", 0},
		"zero":                      {"0", "", 0},
		"a negative number":         {"-5", "", 0},
		"too much":                  {"99999999999999999999999", "", 24 * time.Hour},
		"no number":                 {"soon", "", 0},
		"infinity":                  {"Inf", "", 0},
		"NaN":                       {"NaN", "", 0},
		"the body":                  {"", `{"error":{"reason":{".tag":"too_many_requests"},"retry_after":300}}`, 5 * time.Minute},
		"a fraction in the body":    {"", `{"error":{"retry_after":1.5}}`, 1500 * time.Millisecond},
		"text in the body":          {"", `{"error":{"retry_after":"300"}}`, 5 * time.Minute},
		"a negative number there":   {"", `{"error":{"retry_after":-300}}`, 0},
		"too much in the body":      {"", `{"error":{"retry_after":1e300}}`, 24 * time.Hour},
		"no number in the body":     {"", `{"error":{"retry_after":{}}}`, 0},
		"the header, then the body": {"15", `{"error":{"retry_after":300}}`, 15 * time.Second},
	} {
		var answer struct {
			Error any `json:"error"`
		}
		if tc.body != "" {
			if err := json.Unmarshal([]byte(tc.body), &answer); err != nil {
				t.Fatal(err)
			}
		}
		header := http.Header{}
		if tc.header != "" {
			header.Set("Retry-After", tc.header)
		}
		if got := retryAfter(header, answer.Error, now); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	// A date is by the clock of the service.
	header := http.Header{"Date": {"Mon, 04 May 2026 04:02:01 GMT"}, "Retry-After": {"Mon, 04 May 2026 04:02:31 GMT"}}
	if got := retryAfter(header, nil, now); got != 30*time.Second {
		t.Errorf("with a clock that is an hour slow: %s", got)
	}
}

// TestUnauthorized lets Dropbox, or what stands before it, answer calls with 401 in every way. Whatever may be the access token's fault has one new
// access token and one more try; what is not has none.
func TestUnauthorized(t *testing.T) {
	for name, tc := range map[string]struct {
		contentType, body string
		reason            storage.Reason
		repeated          bool
	}{
		"expired":               {"application/json", `{"error_summary":"expired_access_token/.","error":{".tag":"expired_access_token"}}`, storage.ReasonTokenExpired, true},
		"invalid":               {"application/json", `{"error_summary":"invalid_access_token/.","error":{".tag":"invalid_access_token"}}`, storage.ReasonTokenExpired, true},
		"a tag of the future":   {"application/json", `{"error_summary":"stale_access_token/.","error":{".tag":"stale_access_token"}}`, storage.ReasonTokenExpired, true},
		"another":               {"application/json", `{"error_summary":"other/...","error":{".tag":"other"}}`, storage.ReasonTokenExpired, true},
		"a text as the error":   {"application/json", `{"error":"The given OAuth 2 access token doesn't exist or has expired."}`, storage.ReasonTokenExpired, true},
		"malformed":             {"text/plain", `Error in call to API function "users/get_current_account": The given OAuth 2 access token is malformed.`, storage.ReasonTokenExpired, true},
		"text":                  {"text/plain", `Unauthorized`, storage.ReasonTokenExpired, true},
		"nothing":               {"", ``, storage.ReasonTokenExpired, true},
		"cut JSON":              {"application/json", `{"error_summary":"expired_acc`, storage.ReasonTokenExpired, true},
		"a scope":               {"application/json", `{"error":{".tag":"missing_scope","required_scope":"account_info.read"}}`, storage.ReasonMissingScope, false},
		"a suspended user":      {"application/json", `{"error":{".tag":"user_suspended"}}`, storage.ReasonAccountSuspended, false},
		"a route":               {"application/json", `{"error":{".tag":"route_access_denied"}}`, storage.ReasonAccessDenied, false},
		"a member of the team":  {"application/json", `{"error":{".tag":"invalid_select_user"}}`, storage.ReasonAccessDenied, false},
		"an admin of the team":  {"application/json", `{"error":{".tag":"invalid_select_admin"}}`, storage.ReasonAccessDenied, false},
		"a page that is no API": {"text/html", `<html>Sign in</html>`, storage.ReasonUnexpectedAnswer, false},
	} {
		t.Run(name, func(t *testing.T) {
			sim, c := setup(t)
			status := 401
			if strings.HasPrefix(tc.body, "Error in call") {
				status = 400
			}
			fault := dropboxsim.Fault{Route: "/2/users/get_current_account", Status: status, ContentType: tc.contentType, Body: tc.body}
			sim.AddFault(fault)
			if _, err := c.Verify(t.Context()); (err == nil) != tc.repeated {
				t.Errorf("once: %v", err)
			}
			fault.Count = 100
			sim.AddFault(fault)
			sim.ClearLog()
			_, err := c.Verify(t.Context())
			if got := storageError(t, err); got.Reason != tc.reason {
				t.Errorf("for ever: %v (%s)", err, got.Reason)
			}
			want := 1
			if tc.repeated {
				want = 3 // the call, one refresh, the call
			}
			if n := calls(sim, ""); n != want {
				t.Errorf("%d calls, want %d", n, want)
			}
		})
	}
}

// TestLivesOfTokens lets access tokens live for every length of time that a token endpoint may name, or not name. A token is used for as long
// as it lives, and one of unknown life until it is refused.
func TestLivesOfTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		expiresIn string
		// kind is the Content-Type, application/json if it is empty.
		kind string
		// refreshes is how many access tokens ten calls need that are made within two minutes.
		refreshes int
	}{
		"four hours":        {`,"expires_in":14400`, "", 1},
		"text":              {`,"expires_in":"14400"`, "", 1},
		"a fraction":        {`,"expires_in":14400.0`, "", 1},
		"not named":         {``, "", 1},
		"null":              {`,"expires_in":null`, "", 1},
		"an empty text":     {`,"expires_in":""`, "", 1},
		"zero":              {`,"expires_in":0`, "", 1},
		"a negative number": {`,"expires_in":-1`, "", 1},
		"a word":            {`,"expires_in":"soon"`, "", 1},
		"years":             {`,"expires_in":1e12`, "", 1},
		"ten minutes":       {`,"expires_in":600`, "", 1},
		"a minute":          {`,"expires_in":60`, "", 3},
		"JSON as text":      {`,"expires_in":14400`, "text/plain; charset=utf-8", 1},
	} {
		t.Run(name, func(t *testing.T) {
			sim := dropboxsim.New()
			sim.AddAccount(account)
			refreshes := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/oauth2/token" {
					sim.ServeHTTP(w, r)
					return
				}
				refreshes++
				recorder := httptest.NewRecorder()
				sim.ServeHTTP(recorder, r)
				var token struct {
					AccessToken string `json:"access_token"`
				}
				if err := json.Unmarshal(recorder.Body.Bytes(), &token); err != nil {
					t.Error(err)
				}
				maps.Copy(w.Header(), recorder.Header())
				if tc.kind != "" {
					w.Header().Set("Content-Type", tc.kind)
				}
				_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer"%s}`, token.AccessToken, tc.expiresIn)
			}))
			defer server.Close()
			now := time.Now()
			c := client(t, server.URL, func(config *Config) { config.Now = func() time.Time { return now } })
			for range 10 {
				if err := c.EnsureFolder(t.Context(), "/Renders"); err != nil {
					t.Fatal(err)
				}
				now = now.Add(12 * time.Second)
			}
			if refreshes != tc.refreshes {
				t.Errorf("%d refreshes, want %d", refreshes, tc.refreshes)
			}
			sim.ExpireTokens()
			if err := c.EnsureFolder(t.Context(), "/Renders"); err != nil {
				t.Errorf("after the token's end: %v", err)
			}
		})
	}
}

// TestRefreshThatFailsForAll lets a refresh fail for which many calls wait. They share its failure, and a later call tries again.
func TestRefreshThatFailsForAll(t *testing.T) {
	sim := dropboxsim.New()
	sim.AddAccount(account)
	waiting := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth2/token" {
			<-waiting
		}
		sim.ServeHTTP(w, r)
	}))
	defer server.Close()
	c := client(t, server.URL, nil)
	sim.AddFault(dropboxsim.Fault{Route: "/oauth2/token", Count: 100, Status: 503})
	const callers = 20
	errs := make(chan error, callers)
	var begun sync.WaitGroup
	for range callers {
		begun.Add(1)
		go func() {
			begun.Done()
			errs <- c.EnsureFolder(t.Context(), "/Renders")
		}()
	}
	begun.Wait()
	for len(c.tokens.lock) == 0 {
		runtime.Gosched() // until the first has the lock
	}
	close(waiting)
	for range callers {
		if err := <-errs; storageError(t, err).Reason != storage.ReasonUnavailable {
			t.Error(err)
		}
	}
	// Those that came only after the failure have tried again.
	if n := calls(sim, "/oauth2/token"); n > callers/2 {
		t.Errorf("%d refreshes for %d calls at once", n, callers)
	}
	sim.ClearFaults()
	if err := c.EnsureFolder(t.Context(), "/Renders"); err != nil {
		t.Errorf("later: %v", err)
	}
}

// TestSuccessThatIsNone lets something on the way answer 200 with a body that Dropbox never sends. No call takes it for success.
func TestSuccessThatIsNone(t *testing.T) {
	const page = "<!DOCTYPE html><html><title>Welcome to the guest network</title></html>"
	for name, answer := range map[string]dropboxsim.Fault{
		"a page":          {ContentType: "text/html", Body: page},
		"a page as JSON":  {ContentType: "application/json", Body: page},
		"nothing":         {ContentType: "application/json"},
		"cut JSON":        {ContentType: "application/json", Body: `{"metadata":{"name":"Ren`},
		"a text":          {ContentType: "application/json", Body: `"ok"`},
		"another's JSON":  {ContentType: "application/json", Body: `{"status":"ok"}`},
		"an error in 200": {ContentType: "application/json", Body: `{"error_summary":"other/.","error":{".tag":"other"}}`},
	} {
		answer.Status = 200
		for route, call := range map[string]func(*testing.T, *Client) error{
			"/2/users/get_current_account":  func(t *testing.T, c *Client) error { t.Helper(); _, err := c.Verify(t.Context()); return err },
			"/2/files/create_folder_v2":     func(t *testing.T, c *Client) error { t.Helper(); return c.EnsureFolder(t.Context(), "/Renders") },
			"/2/files/upload_session/start": uploadLarge, "/2/files/upload_session/append_v2": uploadLarge,
			"/2/files/upload_session/start_batch": uploadTwo, "/2/files/upload_session/append_batch": uploadTwo,
			"/2/files/upload_session/finish_batch_v2": uploadTwo,
			"/2/files/list_folder": func(t *testing.T, c *Client) error {
				t.Helper()
				_, _, err := c.ListFolders(t.Context(), "/")
				return err
			},
			"/2/files/get_metadata": func(t *testing.T, c *Client) error {
				t.Helper()
				f := storagetest.File(t, "/a.png", []byte("a"))
				f.Doubtful = true
				return storagetest.UploadOne(t.Context(), c, f).Err
			},
		} {
			t.Run(name+" from "+route, func(t *testing.T) {
				sim, c := setup(t)
				c.config.LargeFile = 4 << 20
				answer.Route = route
				sim.AddFault(answer)
				err := call(t, c)
				want := storage.ReasonUnexpectedAnswer
				if strings.HasSuffix(route, "append_v2") && strings.Contains(answer.Body, "status") {
					want = storage.ReasonSessionLost // the route returns nothing that could be compared; the next calls find out
				}
				if got := storageError(t, err); got.Reason != want || got.Class != storage.Retry {
					t.Errorf("got %v (%s)", err, got.Reason)
				}
				if err := call(t, c); err != nil {
					t.Errorf("again: %v", err)
				}
				if strings.Contains(c.Key(), "dropbox::") {
					t.Errorf("the account's key is %q", c.Key())
				}
			})
		}
	}
}

// uploadLarge uploads a file in chunks.
func uploadLarge(t *testing.T, c *Client) error {
	t.Helper()
	return storagetest.UploadOne(t.Context(), c, storagetest.File(t, "/large.png", make([]byte, 9<<20))).Err
}

// uploadTwo uploads two files together, and returns the first error.
func uploadTwo(t *testing.T, c *Client) error {
	t.Helper()
	for _, r := range c.Upload(t.Context(), []*storage.File{storagetest.File(t, "/one.png", []byte("one")), storagetest.File(t, "/two.png", []byte("two"))}) {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

// TestRefusals lets Dropbox refuse an upload with every member of its unions, also with those that it may add.
func TestRefusals(t *testing.T) {
	path := func(reason string) string {
		return `{"error_summary":"path/x/..","error":{".tag":"path","reason":` + reason + `,"upload_session_id":"x"}}`
	}
	for name, tc := range map[string]struct {
		status int
		body   string
		want   storage.Reason
		class  storage.Class
		phrase string
	}{
		"a file":                 {409, path(`{".tag":"conflict","conflict":{".tag":"file"}}`), storage.ReasonConflict, storage.Stop, "/a.png"},
		"a folder":               {409, path(`{".tag":"conflict","conflict":{".tag":"folder"}}`), storage.ReasonConflict, storage.Stop, "A folder is at this path: /a.png"},
		"a file as a folder":     {409, path(`{".tag":"conflict","conflict":{".tag":"file_ancestor"}}`), storage.ReasonConflict, storage.Stop, "A file is in the place of a folder of this path: /a.png"},
		"another conflict":       {409, path(`{".tag":"conflict","conflict":{".tag":"other"}}`), storage.ReasonConflict, storage.Stop, "/a.png"},
		"a conflict of none":     {409, path(`{".tag":"conflict"}`), storage.ReasonConflict, storage.Stop, "/a.png"},
		"a malformed path":       {409, path(`{".tag":"malformed_path","malformed_path":null}`), storage.ReasonPathNotAllowed, storage.Stop, "/a.png"},
		"a malformed path, why":  {409, path(`{".tag":"malformed_path","malformed_path":"too long"}`), storage.ReasonPathNotAllowed, storage.Stop, "/a.png"},
		"a name":                 {409, path(`{".tag":"disallowed_name"}`), storage.ReasonPathNotAllowed, storage.Stop, "/a.png"},
		"no permission to write": {409, path(`{".tag":"no_write_permission"}`), storage.ReasonNoWritePermission, storage.Stop, ""},
		"a team folder":          {409, path(`{".tag":"team_folder"}`), storage.ReasonNoWritePermission, storage.Stop, ""},
		"suppressed":             {409, path(`{".tag":"operation_suppressed"}`), storage.ReasonNoWritePermission, storage.Stop, ""},
		"restricted":             {409, path(`{".tag":"access_restricted"}`), storage.ReasonNoWritePermission, storage.Stop, ""},
		"full":                   {409, path(`{".tag":"insufficient_space"}`), storage.ReasonInsufficientSpace, storage.Stop, ""},
		"too many writes":        {409, path(`{".tag":"too_many_write_operations"}`), storage.ReasonRateLimited, storage.Retry, ""},
		"other":                  {409, path(`{".tag":"other"}`), storage.ReasonRefused, storage.Stop, "path/other"},
		"a tag of the future":    {409, path(`{".tag":"quantum_folder"}`), storage.ReasonRefused, storage.Stop, "quantum_folder"},
		"no reason":              {409, `{"error_summary":"path/..","error":{".tag":"path"}}`, storage.ReasonRefused, storage.Stop, "path"},
		"too large":              {409, `{"error_summary":"payload_too_large/..","error":{".tag":"payload_too_large"}}`, storage.ReasonFileTooLarge, storage.Stop, ""},
		"another hash":           {409, mismatch, storage.ReasonUnexpectedAnswer, storage.Retry, "received other bytes than were sent to /a.png"},
		"400, nothing":           {400, ``, storage.ReasonUnexpectedAnswer, storage.Retry, "proxy"},
		"409, another's JSON":    {409, `{"message":"Conflict"}`, storage.ReasonUnexpectedAnswer, storage.Retry, "proxy"},
		"422, nothing":           {422, ``, storage.ReasonUnexpectedAnswer, storage.Retry, "proxy"},
		"encryption":             {409, `{"error_summary":"encryption_not_supported/..","error":{".tag":"encryption_not_supported"}}`, storage.ReasonRefused, storage.Stop, "encryption_not_supported"},
		"other at all":           {409, `{"error_summary":"other/..","error":{".tag":"other"}}`, storage.ReasonRefused, storage.Stop, "other"},
		"cut JSON":               {409, `{"error_summary":"path/insuff`, storage.ReasonRefused, storage.Stop, "path/insuff"},
		"no permission":          {409, path(`{".tag":"no_permission"}`), storage.ReasonNoWritePermission, storage.Stop, ""},
		"403, no permission":     {403, `{"error_summary":"no_permission/..","error":{".tag":"no_permission"}}`, storage.ReasonAccessDenied, storage.Stop, "denies access"},
		"403, an account type":   {403, `{"error_summary":"invalid_account_type/endpoint/..","error":{".tag":"invalid_account_type","invalid_account_type":{".tag":"endpoint"}}}`, storage.ReasonAccessDenied, storage.Stop, "denies access"},
		"403, a team's folder":   {403, `{"error_summary":"access_error/..","error":{".tag":"access_error"}}`, storage.ReasonAccessDenied, storage.Stop, "denies access"},
		"422, no permission":     {422, `{"error_summary":"no_permission/..","error":{".tag":"no_permission"}}`, storage.ReasonPathRootNotAllowed, storage.Stop, "rootNamespaceID"},
		"422, another root":      {422, `{"error_summary":"invalid_root/..","error":{".tag":"invalid_root","invalid_root":{".tag":"team","root_namespace_id":"7","home_namespace_id":"1","home_path":"/Ada"}}}`, storage.ReasonPathRootNotAllowed, storage.Stop, "rootNamespaceID is not this account's team space, which is 7"},
		"422, no team":           {422, `{"error_summary":"invalid_root/..","error":{".tag":"invalid_root","invalid_root":{".tag":"user","root_namespace_id":"1","home_namespace_id":"1"}}}`, storage.ReasonPathRootNotAllowed, storage.Stop, "team space: the account has none"},
		"422, other":             {422, `{"error_summary":"other/..","error":{".tag":"other"}}`, storage.ReasonPathRootNotAllowed, storage.Stop, "rootNamespaceID"},
		"403, text":              {403, `Access to this site is blocked`, storage.ReasonUnexpectedAnswer, storage.Retry, "proxy"},
		"403, another's JSON":    {403, `{"message":"Forbidden"}`, storage.ReasonUnexpectedAnswer, storage.Retry, "proxy"},
		"403, another's error":   {403, `{"error":"policy_blocked"}`, storage.ReasonUnexpectedAnswer, storage.Retry, "proxy"},
		"403, a null":            {403, `{"error":null}`, storage.ReasonUnexpectedAnswer, storage.Retry, "proxy"},
		"422, another's JSON":    {422, `{"detail":[{"msg":"field required"}]}`, storage.ReasonUnexpectedAnswer, storage.Retry, "proxy"},
		"403, nothing":           {403, ``, storage.ReasonAccessDenied, storage.Stop, "denies access"},
		"400, a scope":           {400, fmt.Sprintf(noScope, "files.content.write"), storage.ReasonMissingScope, storage.Stop, "App lacks scope files.content.write"},
		"400, a scope, long ago": {400, strings.Replace(fmt.Sprintf(noScope, "files.content.write"), " (ID: 1234567)", "", 1), storage.ReasonMissingScope, storage.Stop, "App lacks scope files.content.write"},
		"400, a token of a team": {400, ofTeam, storage.ReasonInvalidCredentials, storage.Stop, "permissions for a whole team"},
		"413":                    {413, `Request body too large`, storage.ReasonFileTooLarge, storage.Stop, ""},
	} {
		t.Run(name, func(t *testing.T) {
			sim, c := setup(t)
			kind := "application/json"
			if !strings.HasPrefix(tc.body, "{") {
				kind = "text/plain"
			}
			sim.AddFault(dropboxsim.Fault{Route: "/2/files/upload", Status: tc.status, ContentType: kind, Body: tc.body})
			err := storagetest.UploadOne(t.Context(), c, storagetest.File(t, "/a.png", []byte("hello"))).Err
			got := storageError(t, err)
			if got.Reason != tc.want || got.Class != tc.class || !strings.Contains(got.Message, tc.phrase) {
				t.Errorf("got %q (%s, %v), want %s with %q", got.Message, got.Reason, got.Class, tc.want, tc.phrase)
			}
		})
	}
}

// mismatch is what Dropbox says of bytes that do not have the hash that came with them.
const mismatch = `{"error_summary":"content_hash_mismatch/..","error":{".tag":"content_hash_mismatch"}}`

// TestWhoChangedAFile lets Dropbox receive other bytes than were rendered. What changes them on their way may not do so again. What has changed them
// before stays.
func TestWhoChangedAFile(t *testing.T) {
	sim, c := setup(t)
	f := storagetest.File(t, "/a.png", []byte("hello"))
	sim.AddFault(dropboxsim.Fault{Route: "/2/files/upload", Status: 409, ContentType: "application/json", Body: mismatch})
	if err := storagetest.UploadOne(t.Context(), c, f).Err; storageError(t, err).Class != storage.Retry {
		t.Errorf("changed on its way: %v", err)
	}
	if r := storagetest.UploadOne(t.Context(), c, f); r.Err != nil {
		t.Errorf("again: %v", r.Err)
	}
	changed := storagetest.File(t, "/b.png", []byte("world"))
	changed.Open = f.Open
	if err := storagetest.UploadOne(t.Context(), c, changed).Err; storageError(t, err).Class != storage.Stop || storageError(t, err).Reason != storage.ReasonContentChanged {
		t.Errorf("changed before: %v", err)
	}
}

// TestAnswersOfOthers lets proxies and gateways answer in Dropbox's place, in every form that they have. Such an answer says nothing of the account or of
// a file: it breaks no connection and ends no upload, and its message does not say that Dropbox has refused.
func TestAnswersOfOthers(t *testing.T) {
	for _, answer := range []dropboxsim.Fault{
		{},
		{ContentType: "text/plain", Body: "Bad Request"},
		{ContentType: "text/plain", Body: "upstream connect error or disconnect/reset before headers"},
		{ContentType: "application/json", Body: `{"message":"no Route matched with those values"}`},
		{ContentType: "application/json", Body: `{"error":"blocked_by_policy"}`},
		{ContentType: "application/json", Body: `{"error":{"code":400,"message":"blocked"}}`},
		{ContentType: "Text/HTML; charset=UTF-8", Body: "<HTML><BODY>Blocked</BODY></HTML>"},
		{ContentType: "application/xhtml+xml", Body: "<?xml version='1.0'?><html/>"},
		{ContentType: "text/plain", Body: "\n<html>Blocked</html>"},
		{Body: "<!DOCTYPE html><html>Blocked</html>"},
		{ContentType: "application/xml", Body: "<Error><Code>AccessDenied</Code></Error>"},
	} {
		for _, answer.Status = range []int{400, 401, 403, 404, 409, 422} {
			if answer.Status == 403 && answer.Body == "" {
				continue // Dropbox refuses so, too
			}
			for route, call := range map[string]func(*testing.T, *Client) error{
				"/2/users/get_current_account": func(t *testing.T, c *Client) error { t.Helper(); _, err := c.Verify(t.Context()); return err },
				"/2/files/create_folder_v2":    func(t *testing.T, c *Client) error { t.Helper(); return c.EnsureFolder(t.Context(), "/Renders") },
				"/oauth2/token":                func(t *testing.T, c *Client) error { t.Helper(); _, err := c.Verify(t.Context()); return err },
				"/2/files/upload": func(t *testing.T, c *Client) error {
					t.Helper()
					return storagetest.UploadOne(t.Context(), c, storagetest.File(t, "/a.png", []byte("a"))).Err
				},
				"/2/files/upload_session/append_batch": uploadTwo, "/2/files/upload_session/finish_batch_v2": uploadTwo,
			} {
				t.Run(fmt.Sprintf("%d %s %.20q from %s", answer.Status, answer.ContentType, answer.Body, route), func(t *testing.T) {
					sim, c := setup(t)
					answer.Route, answer.Count = route, 2
					sim.AddFault(answer)
					got := storageError(t, call(t, c))
					if got.Class != storage.Retry || !got.Account || answer.Status != 401 && got.Reason != storage.ReasonUnexpectedAnswer || strings.Contains(got.Message, "refused") {
						t.Errorf("got %q (%s, %v)", got.Message, got.Reason, got.Class)
					}
					sim.ClearFaults()
					if err := call(t, c); err != nil {
						t.Errorf("afterwards: %v", err)
					}
				})
			}
		}
	}
}

// TestRefusalInOtherWords lets Dropbox refuse in words that Platen does not know. It is Dropbox's, by the id that it gives to each request.
func TestRefusalInOtherWords(t *testing.T) {
	for _, status := range []int{400, 404, 409} {
		sim, c := setup(t)
		sim.AddFault(dropboxsim.Fault{
			Route: "/2/files/upload", Status: status, ContentType: "text/plain", Body: "This app is disabled", Headers: map[string]string{"X-Dropbox-Request-Id": "9c5973e7"},
		})
		got := storageError(t, storagetest.UploadOne(t.Context(), c, storagetest.File(t, "/a.png", []byte("a"))).Err)
		if got.Class != storage.Stop || got.Reason != storage.ReasonRefused || !strings.Contains(got.Message, "This app is disabled") {
			t.Errorf("HTTP %d: %q (%s, %v)", status, got.Message, got.Reason, got.Class)
		}
	}
}

// What Dropbox says in text: that the app has no such permission at all, so that no token can have it, and that the app has permissions for teams, so
// that its tokens are those of a team.
const (
	noScope = `Error in call to API function "files/upload": Your app (ID: 1234567) is not permitted to access this endpoint because it does not have the ` +
		`required scope '%s'. The owner of the app can enable the scope for the app using the Permissions tab on the App Console.`
	ofTeam = `Error in call to API function "users/get_current_account": This API function operates on a single Dropbox account, but the OAuth 2 access ` +
		`token you provided is for an entire Dropbox Business team.  Since your API app key has team member file access permissions, you can operate on a ` +
		`team member's Dropbox by providing the "Dropbox-API-Select-User" HTTP header or "select_user" URL parameter to specify the exact user <https://www.dropbox.com/developers/documentation/http/teams>.`
)

// TestAnswerThatRepeatsTheToken lets an answer repeat the header with the access token, as Dropbox does with one that it cannot read. No message has
// the token.
func TestAnswerThatRepeatsTheToken(t *testing.T) {
	sim := dropboxsim.New()
	sim.AddAccount(account)
	token := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth2/token" {
			sim.ServeHTTP(w, r)
			return
		}
		token = r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `Error in call: Invalid authorization value in HTTP header "Authorization": %q. Expecting "Bearer <oauth2-access-token>".`, token)
	}))
	defer server.Close()
	_, err := client(t, server.URL, nil).Verify(t.Context())
	got := storageError(t, err)
	token = strings.TrimPrefix(token, "Bearer ")
	if text := got.Message + got.Error() + fmt.Sprint(got.Err); token == "" || strings.Contains(text, token) || !strings.Contains(got.Message, "Invalid authorization value") {
		t.Errorf("the message is %q, of the token %q", text, token)
	}
}

// TestFolderThatExists lets a commit lock the account's files while a connection is checked. The check takes no lock, and is not refused.
func TestFolderThatExists(t *testing.T) {
	sim, c := setup(t)
	if err := c.EnsureFolder(t.Context(), "/Renders/2026"); err != nil {
		t.Fatal(err)
	}
	sim.AddFault(dropboxsim.Fault{
		Route: "/2/files/create_folder_v2", Count: 100, Status: 429, ContentType: "application/json", Headers: map[string]string{"Retry-After": "1"},
		Body: `{"error_summary":"too_many_write_operations/.","error":{"reason":{".tag":"too_many_write_operations"}}}`,
	})
	if err := c.EnsureFolder(t.Context(), "/renders/2026"); err != nil {
		t.Error(err)
	}
	if err := c.EnsureFolder(t.Context(), "/Other"); storageError(t, err).Reason != storage.ReasonRateLimited || storageError(t, err).RetryAfter != time.Second {
		t.Errorf("a folder that does not exist: %v", err)
	}
	if r := storagetest.UploadOne(t.Context(), c, storagetest.File(t, "/file.png", []byte("x"))); r.Err != nil {
		t.Fatal(r.Err)
	}
	sim.ClearFaults()
	for folder, want := range map[string]string{
		"/file.png":       "A file is at this path: /file.png",
		"/file.png/below": "A file is in the place of a folder of this path: /file.png/below",
	} {
		if got := storageError(t, c.EnsureFolder(t.Context(), folder)); got.Reason != storage.ReasonConflict || got.Message != want {
			t.Errorf("%s: %v, want %q", folder, got, want)
		}
	}
	sim.AddFault(dropboxsim.Fault{
		Route: "/2/files/create_folder_v2", Status: 409, ContentType: "application/json", Body: `{"error":{".tag":"path","path":{".tag":"malformed_path"}}}`,
	})
	if got := storageError(t, c.EnsureFolder(t.Context(), "/🫠")); got.Message != "Folder or file name not allowed, perhaps because Dropbox does not take every emoji: /🫠" {
		t.Errorf("an emoji that is too new: %v", got)
	}
	long := "/" + strings.Repeat("🎉", 130)
	want := "Folder or file name not allowed, because a name has more than 255 characters (260, as Dropbox counts an emoji as two): " + long
	if got := storageError(t, c.EnsureFolder(t.Context(), long)); got.Reason != storage.ReasonPathNotAllowed || got.Message != want {
		t.Errorf("a name that is too long: %v, want %q", got, want)
	}
}

// outcomes counts the results of calls, by route.
type outcomes struct {
	storage.NopObserver
	count map[string]int
}

// Called implements storage.Observer.
func (o outcomes) Called(_, route, result string, _ time.Duration) { o.count[route+" "+result]++ }

// TestAnswersThatAreNoFailures looks for what is not there, and finds what shall be kept. The metrics do not say that Dropbox refuses calls.
func TestAnswersThatAreNoFailures(t *testing.T) {
	sim := dropboxsim.New()
	sim.AddAccount(account)
	server := httptest.NewServer(sim)
	defer server.Close()
	seen := outcomes{count: map[string]int{}}
	c := client(t, server.URL, func(c *Config) { c.Observer = seen })
	if err := c.EnsureFolder(t.Context(), "/Renders"); err != nil {
		t.Error(err)
	}
	f := storagetest.File(t, "/Renders/a.png", []byte("a"))
	f.Doubtful = true
	if r := storagetest.UploadOne(t.Context(), c, f); r.Err != nil {
		t.Error(r.Err)
	}
	f = storagetest.File(t, "/Renders/a.png", []byte("another"))
	f.ConflictPolicy = storage.Keep
	if r := storagetest.UploadOne(t.Context(), c, f); r.Err != nil || !r.Kept {
		t.Errorf("got %+v", r)
	}
	f = storagetest.File(t, "/Renders/a.png/b.png", []byte("b"))
	if r := storagetest.UploadOne(t.Context(), c, f); r.Err == nil {
		t.Errorf("got %+v", r)
	}
	want := map[string]int{"files/get_metadata ok": 2, "files/create_folder_v2 ok": 1, "files/upload ok": 2, "files/upload Conflict": 1}
	if diff := cmp.Diff(want, seen.count); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestFolderOfAnAppThatMayNotLook creates a folder without the right to look for it.
func TestFolderOfAnAppThatMayNotLook(t *testing.T) {
	sim, c := setup(t)
	blind := account
	blind.Scopes = []string{"account_info.read", "files.content.write"}
	sim.AddAccount(blind)
	for range 2 {
		if err := c.EnsureFolder(t.Context(), "/Renders"); err != nil {
			t.Error(err)
		}
	}
}

// TestWhatIsInTheWayOfAFolder lets Dropbox refuse to look for a folder. The folder is made, or the reason is that for which it cannot be.
func TestWhatIsInTheWayOfAFolder(t *testing.T) {
	for _, tag := range []string{"not_folder", "restricted_content", "locked", "other"} {
		sim, c := setup(t)
		look := dropboxsim.Fault{
			Route: "/2/files/get_metadata", Status: 409, ContentType: "application/json", Body: `{"error_summary":"path/x/.","error":{".tag":"path","path":{".tag":"` + tag + `"}}}`,
		}
		sim.AddFault(look)
		if err := c.EnsureFolder(t.Context(), "/Renders"); err != nil {
			t.Errorf("%s: %v", tag, err)
		}
		sim.AddFault(look)
		sim.AddFault(dropboxsim.Fault{
			Route: "/2/files/create_folder_v2", Status: 409, ContentType: "application/json", Body: `{"error":{".tag":"path","path":{".tag":"no_write_permission"}}}`,
		})
		if err := c.EnsureFolder(t.Context(), "/Closed"); storageError(t, err).Reason != storage.ReasonNoWritePermission {
			t.Errorf("%s: %v", tag, err)
		}
	}
}

// TestMistakenCredentials puts into a Secret what people often put there. The message says what it is.
func TestMistakenCredentials(t *testing.T) {
	const key, token = "abcdefghij12345", "refresh-token_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	encoded := base64.StdEncoding.EncodeToString
	for name, tc := range map[string]struct{ key, secret, token, phrase string }{
		"right":                   {key, "", token, ""},
		"wrong":                   {"jihgfedcba54321", "0123456789abcde", "another", ""},
		"key twice":               {encoded([]byte(key)), "", token, "app key seems to be in base64 twice"},
		"key twice with its line": {encoded([]byte(key + "\n")), "", token, "app key seems to be in base64 twice"},
		"secret twice":            {"jihgfedcba54321", encoded([]byte("abcde12345fghij")), token, "app secret seems to be in base64 twice"},
		"token twice":             {key, "", encoded([]byte(token)), "refresh token seems to be in base64 twice"},
		"key in quotes":           {`"` + key + `"`, "", token, "the app key is in quotes"},
		"token in quotes":         {key, "", "'" + token + "'", "the refresh token is in quotes"},
		"access token":            {key, "", "sl.u.AbcdefgHIJ", "the refresh token is an access token"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := dropboxsim.New()
			sim.AddAccount(dropboxsim.Account{AppKey: key, RefreshToken: token})
			server := httptest.NewServer(sim)
			defer server.Close()
			_, err := client(t, server.URL, func(c *Config) { c.AppKey, c.AppSecret, c.RefreshToken = tc.key, tc.secret, tc.token }).Verify(t.Context())
			switch {
			case name == "right":
				if err != nil {
					t.Error(err)
				}
			case !strings.Contains(storageError(t, err).Message, tc.phrase) || tc.phrase == "" && strings.Contains(storageError(t, err).Message, ":"):
				t.Errorf("got %v, want %q", err, tc.phrase)
			}
		})
	}
}

// TestProxyThatTakesLessThanDropbox lets a proxy refuse bodies above a size. What fits into it is uploaded, in more calls; the rest says why not.
func TestProxyThatTakesLessThanDropbox(t *testing.T) {
	sim := dropboxsim.New()
	sim.AddAccount(account)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 1<<20 {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_, _ = w.Write([]byte("<html><h1>413 Request Entity Too Large</h1></html>"))
			return
		}
		sim.ServeHTTP(w, r)
	}))
	defer server.Close()
	c := client(t, server.URL, nil)
	files := make([]*storage.File, 0, 11)
	for i := range 10 {
		files = append(files, storagetest.File(t, fmt.Sprintf("/%d.png", i), make([]byte, 300<<10)))
	}
	large := storagetest.File(t, "/large.png", make([]byte, 2<<20))
	for _, r := range c.Upload(t.Context(), append(files, large)) {
		if r.Err != nil && (!strings.Contains(r.Err.Error(), "413") || storageError(t, r.Err).Reason != storage.ReasonFileTooLarge || storageError(t, r.Err).Class != storage.Stop) {
			t.Error(r.Err)
		}
	}
	if n := len(sim.Files("key")); n != len(files) {
		t.Errorf("%d files, want %d", n, len(files))
	}
	// The next batch is small from the start.
	sim.ClearLog()
	next := make([]*storage.File, 0, 3)
	for i := range cap(next) {
		next = append(next, storagetest.File(t, fmt.Sprintf("/next %d.png", i), make([]byte, 300<<10)))
	}
	for i, r := range c.Upload(t.Context(), next) {
		if r.Err != nil {
			t.Errorf("%d, again: %v", i, r.Err)
		}
	}
	if n := calls(sim, ""); n > 3 {
		t.Errorf("%d calls for 3 files", n)
	}
	if r := storagetest.UploadOne(t.Context(), c, large); storageError(t, r.Err).Reason != storage.ReasonFileTooLarge || storageError(t, r.Err).Account {
		t.Errorf("got %v", r.Err)
	}
}

// TestProxyThatTakesShorterHeaders lets a proxy refuse long headers, as many do from 8 or 60 KiB on. A batch names each of its sessions in one.
func TestProxyThatTakesShorterHeaders(t *testing.T) {
	sim := dropboxsim.New()
	sim.AddAccount(account)
	refused := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Get("Dropbox-Api-Arg")) > 16<<10 {
			refused++
			w.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
			return
		}
		sim.ServeHTTP(w, r)
	}))
	defer server.Close()
	c := client(t, server.URL, nil)
	for round := range 2 {
		files := make([]*storage.File, 0, maxBatch)
		for i := range cap(files) {
			files = append(files, storagetest.File(t, fmt.Sprintf("/%d/%d.png", round, i), []byte("x")))
		}
		for _, r := range c.Upload(t.Context(), files) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
	if refused > 5 {
		t.Errorf("%d calls were refused", refused)
	}
}

// TestLargeCommitsThatFail lets Dropbox fail at commits of many files, as it does when they take it too long, and forget their answers. The next commits are
// smaller until they succeed, and no file is sent twice.
func TestLargeCommitsThatFail(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"out of order": func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"a gateway":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusGatewayTimeout) },
		"no answer":    func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			sim := dropboxsim.New()
			sim.AddAccount(account)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/finish_batch_v2") {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					if bytes.Count(body, []byte("session_id")) > 120 {
						answer(w)
						return
					}
					r.Body = io.NopCloser(bytes.NewReader(body))
				}
				sim.ServeHTTP(w, r)
			}))
			defer server.Close()
			c := client(t, server.URL, nil)
			waiting := make([]*storage.File, 0, 400)
			for i := range cap(waiting) {
				waiting = append(waiting, storagetest.File(t, fmt.Sprintf("/%d.png", i), fmt.Append(nil, i)))
			}
			for range 4 { // as the engine does, which repeats a call that has failed
				results := c.Upload(t.Context(), waiting)
				var failed []*storage.File
				for i, r := range results {
					if r.Err != nil {
						waiting[i].Doubtful = waiting[i].Doubtful || storageError(t, r.Err).Doubt
						failed = append(failed, waiting[i])
					}
				}
				waiting = failed
			}
			if len(waiting) > 0 || len(sim.Files("key")) != 400 {
				t.Errorf("%d files of 400 wait, and %d are there", len(waiting), len(sim.Files("key")))
			}
			if n := calls(sim, "/2/files/upload_session/append_batch"); n != 1 {
				t.Errorf("the files were sent in %d calls", n)
			}
		})
	}
}

// TestManyLongPaths commits a thousand files with the longest paths that a job can have, which are more than a call takes.
func TestManyLongPaths(t *testing.T) {
	sim, c := setup(t)
	files := make([]*storage.File, 0, maxBatch)
	folder := strings.Repeat("/"+strings.Repeat("日", 132), 3)
	for i := range cap(files) {
		files = append(files, storagetest.File(t, fmt.Sprintf("%s/%s_page_%d.png", folder, strings.Repeat("本", 200), i), []byte("x")))
	}
	for i, r := range c.Upload(t.Context(), files) {
		if r.Err != nil || r.Path != files[i].Path {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	if n := len(sim.Files("key")); n != len(files) {
		t.Errorf("%d files", n)
	}
}

// TestPathsOfAnswers lets Dropbox leave out path_display, as it does for what is in no folder of the account, and answer with the metadata of
// another file that has the same bytes.
func TestPathsOfAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		policy           storage.ConflictPolicy
		name, path, want string
	}{
		"the name that was asked for": {storage.Overwrite, `"name":"a.png",`, `null`, "/Team/a.png"},
		"another name":                {storage.Rename, `"name":"a (1).png",`, `null`, "/Team/a (1).png"},
		"no name":                     {storage.Overwrite, ``, `null`, "/Team/a.png"},
		"other capitals":              {storage.Overwrite, `"name":"A.png",`, `"/TEAM/A.png"`, "/TEAM/A.png"},
		"renamed":                     {storage.Rename, `"name":"a (1).png",`, `"/Team/a (1).png"`, "/Team/a (1).png"},
		"another file":                {storage.Overwrite, `"name":"b.png",`, `"/Team/b.png"`, "/Team/a.png"},
		"another file, kept":          {storage.Keep, `"name":"b.png",`, `"/Team/b.png"`, "/Team/a.png"},
	} {
		t.Run(name, func(t *testing.T) {
			sim, c := setup(t)
			f := storagetest.File(t, "/Team/a.png", []byte("hello"))
			f.ConflictPolicy = tc.policy
			sim.AddFault(dropboxsim.Fault{
				Route: "/2/files/upload", Status: 200, ContentType: "application/json",
				Body: fmt.Sprintf(`{%s"id":"id:x","rev":"1","size":5,"path_lower":null,"path_display":%s,"content_hash":%q}`, tc.name, tc.path, f.ContentHash),
			})
			if got := storagetest.UploadOne(t.Context(), c, f); got.Err != nil || got.Path != tc.want {
				t.Errorf("got %+v, want %s", got, tc.want)
			}
		})
	}
}

// TestSessionThatWasNotClosed lets Dropbox say of staged files that it does not have them whole. They are sent again.
func TestSessionThatWasNotClosed(t *testing.T) {
	for _, problem := range []string{`{".tag":"lookup_failed","lookup_failed":{".tag":"not_closed"}}`, `{".tag":"concurrent_session_not_closed"}`, `{".tag":"concurrent_session_missing_data"}`, `{".tag":"lookup_failed","lookup_failed":{".tag":"incorrect_offset","correct_offset":7}}`} {
		sim, c := setup(t)
		c.config.LargeFile = 4 << 20
		f := storagetest.File(t, "/large.png", make([]byte, 9<<20))
		sim.AddFault(dropboxsim.Fault{
			Route: "/2/files/upload_session/finish_batch_v2", Status: 200, ContentType: "application/json", Body: `{"entries":[{".tag":"failure","failure":` + problem + `}]}`,
		})
		if r := storagetest.UploadOne(t.Context(), c, f); storageError(t, r.Err).Class != storage.Retry || storageError(t, r.Err).Reason != storage.ReasonSessionLost {
			t.Errorf("%s: %v", problem, r.Err)
		}
		if r := storagetest.UploadOne(t.Context(), c, f); r.Err != nil {
			t.Errorf("%s, again: %v", problem, r.Err)
		}
	}
}

// TestLastChunkWhoseAnswerIsLost lets Dropbox take the last chunk of a large file, and the answer get lost. The file is not sent again.
func TestLastChunkWhoseAnswerIsLost(t *testing.T) {
	for lost := range 3 {
		sim, c := setup(t)
		c.config.LargeFile = 4 << 20
		data := make([]byte, 9<<20)
		data[len(data)-1] = 1
		f := storagetest.File(t, "/film.mp4", data) // three chunks
		sim.AddFault(dropboxsim.Fault{Route: "/2/files/upload_session/append_v2", Skip: lost, Drop: "after"})
		if r := storagetest.UploadOne(t.Context(), c, f); storageError(t, r.Err).Reason != storage.ReasonUnreachable {
			t.Fatalf("chunk %d: %v", lost, r.Err)
		}
		if r := storagetest.UploadOne(t.Context(), c, f); r.Err != nil {
			t.Fatalf("chunk %d, again: %v", lost, r.Err)
		}
		if content, _ := sim.Content("key", f.Path); !bytes.Equal(content, data) {
			t.Errorf("chunk %d: Dropbox has another file", lost)
		}
		if n := calls(sim, "/2/files/upload_session/append_v2"); n > 4 {
			t.Errorf("chunk %d: %d chunks were sent, want 4", lost, n)
		}
		if n := calls(sim, "/2/files/upload_session/start"); n != 1 {
			t.Errorf("chunk %d: %d sessions", lost, n)
		}
	}
}

// TestWhyDropboxIsOutOfReach calls addresses at which no Dropbox is. The message says what a person can mend.
func TestWhyDropboxIsOutOfReach(t *testing.T) {
	secure := httptest.NewTLSServer(dropboxsim.New())
	defer secure.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain := httptest.NewServer(dropboxsim.New())
	defer plain.Close()
	for url, want := range map[string]string{
		secure.URL: "an authority that Platen does not know",
		strings.Replace(plain.URL, "http:", "https:", 1): "does not speak TLS",
		"http://dropbox.invalid":                         "its host has no address in DNS",
	} {
		_, err := client(t, url, nil).Verify(t.Context())
		if got := storageError(t, err); got.Reason != storage.ReasonUnreachable || got.Class != storage.Retry || !strings.Contains(got.Message, want) {
			t.Errorf("%s: %q (%s), want %q", url, got.Message, got.Reason, want)
		}
	}
}

// TestEveryStatus decodes answers of every status with every kind of body. Each has a reason that people can look up, and a bounded text. Only the
// statuses that Dropbox refuses with may end an upload.
func TestEveryStatus(t *testing.T) {
	refusals := []int{400, 401, 403, 404, 409, 422}
	for status := 201; status < 600; status++ {
		for _, kind := range []string{"", "application/json", "text/plain", "text/html; charset=utf-8"} {
			for _, body := range []string{
				"", "null", "[]", "0", `"text"`, "{", `{"error":null}`, `{"error":[]}`, `{"error":{".tag":7}}`, `{"error":{".tag":""}}`, `{"error":{".tag":"a","a":{".tag":"b","b":{}}}}`,
				`{"error":{"path":{"path":{"path":{}}}}}`, `{"error":{".tag":".tag"}}`, strings.Repeat("x", 5000), "\xff\xfe", "<html>", strings.Repeat(`{"error":`, 300) + "1" + strings.Repeat("}", 300),
				strings.Repeat(`{".tag":"path","path":`, 300) + "1" + strings.Repeat("}", 300), `{"error":` + strings.Repeat(`{".tag":"path","path":`, 300) + "1" + strings.Repeat("}", 301),
				`{"error":{".tag":"` + strings.Repeat("ä", 5000) + `"}}`, `{"error":{".tag":"missing_scope","required_scope":"` + strings.Repeat("ä", 5000) + `"}}`,
			} {
				err := decodeError(status, http.Header{"Content-Type": {kind}, "Retry-After": {body[:min(len(body), 5)]}}, []byte(body))
				got := storageError(t, err)
				switch {
				case got.Reason.Advice(provider).Title == "", got.Message == "", len(got.Message) > 400, !utf8.ValidString(got.Message), got.RetryAfter < 0, got.RetryAfter > maxRetryAfter:
					t.Fatalf("HTTP %d %s %.30q: %+v", status, kind, body, got)
				case got.Class == storage.Stop && !slices.Contains(refusals, status) && !strings.Contains(body, "missing_scope"):
					t.Fatalf("HTTP %d %s %.30q ends the upload: %v", status, kind, body, got)
				case got.Class == storage.Stop && strings.HasPrefix(kind, "text/html") && !strings.Contains(body, "missing_scope"):
					t.Fatalf("HTTP %d: the page of a proxy ends the upload: %v", status, got)
				}
			}
		}
	}
}
