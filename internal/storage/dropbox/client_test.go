// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dropbox/dropbox-sdk-go-unofficial/v6/dropbox"
	"github.com/dropbox/dropbox-sdk-go-unofficial/v6/dropbox/contenthash"
	"github.com/dropbox/dropbox-sdk-go-unofficial/v6/dropbox/files"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/oauth2"

	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/internal/storage/storagetest"
)

var account = dropboxsim.Account{AppKey: "key", RefreshToken: "refresh", Email: "ada@example.com", DisplayName: "Ada"}

// setup returns a simulator with one account and a client of it.
func setup(t *testing.T) (*dropboxsim.Server, *Client) {
	t.Helper()
	sim := dropboxsim.New()
	sim.AddAccount(account)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return sim, client(t, server.URL, nil)
}

// client returns a client of the simulator, with a changed Config if change is not nil.
func client(t *testing.T, url string, change func(*Config)) *Client {
	t.Helper()
	config := Config{AppKey: "key", RefreshToken: "refresh", APIURL: url, ContentURL: url}
	if change != nil {
		change(&config)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// calls counts the requests of a route, or all if route is empty.
func calls(sim *dropboxsim.Server, route string) (n int) {
	for _, e := range sim.Log() {
		if route == "" || e.Route == route {
			n++
		}
	}
	return n
}

func TestOneFileIsOneCall(t *testing.T) {
	sim, c := setup(t)
	if _, err := c.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	sim.ClearLog()
	got := storagetest.UploadOne(t.Context(), c, storagetest.File(t, "/Marketing/Grüße 🎉.png", []byte("hello")))
	if got.Err != nil || got.Path != "/Marketing/Grüße 🎉.png" {
		t.Fatalf("got %+v", got)
	}
	if n := calls(sim, ""); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
	if data, ok := sim.Content("key", "/marketing/grüße 🎉.png"); !ok || string(data) != "hello" {
		t.Errorf("Dropbox holds %q", data)
	}
}

func TestProvider(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Service {
		t.Helper()
		sim, c := setup(t)
		return storagetest.Service{Provider: c, Files: func(*testing.T) map[string]string { return contents(sim) }}
	})
}

// contents returns the bytes of the account's files by path.
func contents(sim *dropboxsim.Server) map[string]string {
	files := map[string]string{}
	for _, f := range sim.Files("key") {
		data, _ := sim.Content("key", f.Path)
		files[f.Path] = string(data)
	}
	return files
}

func TestRepeatedUploadChangesNothing(t *testing.T) {
	sim, c := setup(t)
	for range 2 {
		for _, policy := range []storage.ConflictPolicy{storage.Overwrite, storage.Rename, storage.Keep} {
			one, two := storagetest.File(t, "/one"+string(policy), []byte("same")), storagetest.File(t, "/two"+string(policy), []byte("same"))
			one.ConflictPolicy, two.ConflictPolicy = policy, policy
			for _, result := range c.Upload(t.Context(), []*storage.File{one, two}) {
				if result.Err != nil {
					t.Fatal(result.Err)
				}
			}
		}
	}
	for _, f := range sim.Files("key") {
		if f.Commits != 1 {
			t.Errorf("%s was committed %d times", f.Path, f.Commits)
		}
	}
}

func TestLostAnswerIsFoundByLooking(t *testing.T) {
	sim, c := setup(t)
	sim.AddFault(dropboxsim.Fault{Route: "/2/files/upload", Drop: "after"})
	f := storagetest.File(t, "/a.png", []byte("hello"))
	err := storagetest.UploadOne(t.Context(), c, f).Err
	if got := storageError(t, err); got.Reason != storage.ReasonUnreachable || got.Class != storage.Retry {
		t.Fatalf("got %v", err)
	}
	f.Doubtful = true
	if err := storagetest.UploadOne(t.Context(), c, f).Err; err != nil {
		t.Fatal(err)
	}
	if n := calls(sim, "/2/files/upload"); n != 1 {
		t.Errorf("got %d uploads, want 1", n)
	}
}

// TestAnswersThatConfirmNothing lets a commit be answered as if it had succeeded, but not for these bytes: the file is looked for, and sent
// again if it is not there.
func TestAnswersThatConfirmNothing(t *testing.T) {
	const another = `{"name":"b.png","path_display":"/b.png","content_hash":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}`
	for name, tc := range map[string]struct {
		route, body string
		files       []string
	}{
		"nothing":                         {"/2/files/upload", `{}`, []string{"/a.png"}},
		"another file":                    {"/2/files/upload", another, []string{"/a.png"}},
		"null":                            {"/2/files/upload", `null`, []string{"/a.png"}},
		"entries without metadata":        {"/2/files/upload_session/finish_batch_v2", `{"entries":[{".tag":"success"},{".tag":"success"}]}`, []string{"/a.png", "/c.png"}},
		"entries that are about nothing":  {"/2/files/upload_session/finish_batch_v2", `{"entries":[{},{}]}`, []string{"/a.png", "/c.png"}},
		"a batch without entries, or any": {"/2/files/upload_session/finish_batch_v2", `{}`, []string{"/a.png", "/c.png"}},
	} {
		t.Run(name, func(t *testing.T) {
			sim, c := setup(t)
			sim.AddFault(dropboxsim.Fault{Route: tc.route, Status: 200, ContentType: "application/json", Body: tc.body})
			files := make([]*storage.File, len(tc.files))
			for i, path := range tc.files {
				files[i] = storagetest.File(t, path, []byte("hello"+path))
			}
			for i, result := range c.Upload(t.Context(), files) {
				got := storageError(t, result.Err)
				if got.Reason != storage.ReasonUnexpectedAnswer || got.Class != storage.Retry || !got.Doubt {
					t.Errorf("%s: got %v (%s, %v)", files[i].Path, got, got.Reason, got.Class)
				}
				files[i].Doubtful = got.Doubt
			}
			sim.ClearLog()
			for i, result := range c.Upload(t.Context(), files) {
				if data, _ := sim.Content("key", files[i].Path); result.Err != nil || string(data) != "hello"+files[i].Path {
					t.Errorf("%s, again: %v; Dropbox holds %q", files[i].Path, result.Err, data)
				}
			}
			if n := calls(sim, "/2/files/get_metadata"); n != len(files) {
				t.Errorf("%d files were looked for, want %d", n, len(files))
			}
		})
	}
}

func TestExpiredTokenIsRefreshedOnce(t *testing.T) {
	sim, c := setup(t)
	if _, err := c.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	sim.ExpireTokens()
	sim.ClearLog()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if _, err := c.Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := calls(sim, "/oauth2/token"); n != 1 {
		t.Errorf("got %d refreshes, want 1", n)
	}
}

func TestErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		account dropboxsim.Account
		fault   dropboxsim.Fault
		path    string
		want    storage.Error
		after   time.Duration
	}{
		"revoked refresh token": {account: dropboxsim.Account{Revoked: true}, want: storage.Error{Reason: storage.ReasonTokenExpired, Message: "Token expired"}},
		"wrong app key": {
			account: dropboxsim.Account{AppKey: "another"},
			want:    storage.Error{Reason: storage.ReasonInvalidCredentials, Message: "App key or app secret is not accepted by Dropbox"},
		},
		"full":          {account: dropboxsim.Account{Quota: 3}, want: storage.Error{Reason: storage.ReasonInsufficientSpace, Message: "Dropbox is full"}},
		"missing scope": {account: dropboxsim.Account{Scopes: []string{"account_info.read"}}, want: storage.Error{Reason: storage.ReasonMissingScope, Message: "App lacks scope files.content.write"}},
		"bad name":      {path: "/a/thumbs.db", want: storage.Error{Reason: storage.ReasonPathNotAllowed, Message: "Folder or file name not allowed: /a/thumbs.db"}},
		"bad path":      {path: "/a//b.png", want: storage.Error{Reason: storage.ReasonPathNotAllowed, Message: "Folder or file name not allowed: /a//b.png"}},
		"429 JSON": {
			fault: dropboxsim.Fault{Status: 429, ContentType: "application/json", Body: `{"error_summary":"too_many_requests/..","error":{"reason":{".tag":"too_many_requests"},"retry_after":300}}`},
			want:  storage.Error{Class: storage.Retry, Reason: storage.ReasonRateLimited, Message: "Dropbox asks for fewer requests"}, after: 300 * time.Second,
		},
		"429 text": {
			fault: dropboxsim.Fault{Status: 429, ContentType: "text/plain", Body: "slow down", Headers: map[string]string{"Retry-After": "15"}},
			want:  storage.Error{Class: storage.Retry, Reason: storage.ReasonRateLimited, Message: "Dropbox asks for fewer requests"}, after: 15 * time.Second,
		},
		"namespace lock": {
			fault: dropboxsim.Fault{Status: 429, ContentType: "application/json", Body: `{"error":{"reason":{".tag":"too_many_write_operations"},"retry_after":1}}`},
			want:  storage.Error{Class: storage.Retry, Reason: storage.ReasonRateLimited, Message: "Dropbox asks for fewer changes at a time"}, after: time.Second,
		},
		"503":       {fault: dropboxsim.Fault{Status: 503}, want: storage.Error{Class: storage.Retry, Reason: storage.ReasonUnavailable, Message: "Dropbox is unavailable (HTTP 503)"}},
		"400":       {fault: dropboxsim.Fault{Status: 400, Body: "Error in call"}, want: storage.Error{Reason: storage.ReasonRefused, Message: "Dropbox refused the request (HTTP 400 Error in call)"}},
		"403":       {fault: dropboxsim.Fault{Status: 403}, want: storage.Error{Reason: storage.ReasonAccessDenied, Message: "Dropbox denies access to this app or account"}},
		"suspended": {fault: dropboxsim.Fault{Status: 401, Body: `{"error":{".tag":"user_suspended"}}`}, want: storage.Error{Reason: storage.ReasonAccountSuspended, Message: "Dropbox account is suspended"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := account
			if tc.account.AppKey != "" {
				a.AppKey = tc.account.AppKey
			}
			a.Revoked, a.Quota, a.Scopes = tc.account.Revoked, tc.account.Quota, tc.account.Scopes
			sim := dropboxsim.New()
			sim.AddAccount(a)
			if tc.fault.Status != 0 {
				tc.fault.Route = "/2/files/upload"
				sim.AddFault(tc.fault)
			}
			server := httptest.NewServer(sim)
			defer server.Close()
			path := tc.path
			if path == "" {
				path = "/a.png"
			}
			err := storagetest.UploadOne(t.Context(), client(t, server.URL, nil), storagetest.File(t, path, []byte("hello"))).Err
			got := storageError(t, err)
			tc.want.RetryAfter = tc.after
			if diff := cmp.Diff(tc.want, *got, cmpopts.IgnoreFields(storage.Error{}, "Doubt", "Account", "Err")); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAccessTokenThatDropboxHasForgotten lets Dropbox call the access token invalid. The refresh token is good, so a new access token
// helps; only if Dropbox refuses that too has the access ended.
func TestAccessTokenThatDropboxHasForgotten(t *testing.T) {
	forgotten := dropboxsim.Fault{
		Route: "/2/users/get_current_account", Status: 401, ContentType: "application/json",
		Body: `{"error_summary":"invalid_access_token/..","error":{".tag":"invalid_access_token"}}`,
	}
	sim, c := setup(t)
	sim.AddFault(forgotten)
	if _, err := c.Verify(t.Context()); err != nil {
		t.Errorf("once: %v", err)
	}
	if n := calls(sim, "/oauth2/token"); n != 2 {
		t.Errorf("got %d refreshes, want 2", n)
	}
	forgotten.Count = 100
	sim.AddFault(forgotten)
	sim.ClearLog()
	if _, err := c.Verify(t.Context()); storageError(t, err).Reason != storage.ReasonTokenExpired || storageError(t, err).Class != storage.Stop {
		t.Errorf("for ever: %v", err)
	}
	if n := calls(sim, ""); n != 3 {
		t.Errorf("got %d calls, want 3: the call, one refresh, the call", n)
	}
}

// TestTokenEndpointAnswers lets the token endpoint give every kind of answer. Only Dropbox's own refusals, as RFC 6749 5.2 has them, say
// something about the credentials; whatever else comes is from a proxy or a broken service and is tried again soon.
func TestTokenEndpointAnswers(t *testing.T) {
	const page = "<html><title>Blocked</title>Your organisation has blocked this site.</html>"
	for name, tc := range map[string]struct {
		fault  dropboxsim.Fault
		reason storage.Reason
		class  storage.Class
	}{
		"403 by a proxy":       {dropboxsim.Fault{Status: 403, ContentType: "text/html", Body: page}, storage.ReasonUnexpectedAnswer, storage.Retry},
		"400 by a proxy":       {dropboxsim.Fault{Status: 400, ContentType: "text/html", Body: page}, storage.ReasonUnexpectedAnswer, storage.Retry},
		"401 by a proxy":       {dropboxsim.Fault{Status: 401, ContentType: "text/html", Body: page}, storage.ReasonUnexpectedAnswer, storage.Retry},
		"407":                  {dropboxsim.Fault{Status: 407, ContentType: "text/html", Body: page}, storage.ReasonUnexpectedAnswer, storage.Retry},
		"a redirect":           {dropboxsim.Fault{Status: 302, Headers: map[string]string{"Location": "https://login.example.com/"}}, storage.ReasonUnexpectedAnswer, storage.Retry},
		"200 by a portal":      {dropboxsim.Fault{Status: 200, ContentType: "text/html", Body: page}, storage.ReasonUnexpectedAnswer, storage.Retry},
		"200 without a token":  {dropboxsim.Fault{Status: 200, ContentType: "application/json", Body: `{}`}, storage.ReasonUnexpectedAnswer, storage.Retry},
		"400 without an error": {dropboxsim.Fault{Status: 400, ContentType: "application/json", Body: `{}`}, storage.ReasonUnexpectedAnswer, storage.Retry},
		"another JSON error":   {dropboxsim.Fault{Status: 403, ContentType: "application/json", Body: `{"error":"policy_blocked"}`}, storage.ReasonUnexpectedAnswer, storage.Retry},
		"429":                  {dropboxsim.Fault{Status: 429, ContentType: "text/plain", Body: "slow down"}, storage.ReasonRateLimited, storage.Retry},
		"503":                  {dropboxsim.Fault{Status: 503}, storage.ReasonUnavailable, storage.Retry},
		"temporarily unavailable": {
			dropboxsim.Fault{Status: 400, ContentType: "application/json", Body: `{"error":"temporarily_unavailable"}`}, storage.ReasonUnavailable, storage.Retry,
		},
		"a suspended user": {
			dropboxsim.Fault{Status: 401, ContentType: "application/json", Body: `{"error_summary":"user_suspended/.","error":{".tag":"user_suspended"}}`},
			storage.ReasonAccountSuspended, storage.Stop,
		},
		"429 of the API": {
			dropboxsim.Fault{Status: 429, ContentType: "application/json", Body: `{"error":{"reason":{".tag":"too_many_requests"},"retry_after":300}}`},
			storage.ReasonRateLimited, storage.Retry,
		},
		"invalid_grant as text": {dropboxsim.Fault{Status: 400, ContentType: "text/plain", Body: `{"error":"invalid_grant"}`}, storage.ReasonTokenExpired, storage.Stop},
		"invalid_grant":         {dropboxsim.Fault{Status: 400, ContentType: "application/json", Body: `{"error":"invalid_grant"}`}, storage.ReasonTokenExpired, storage.Stop},
		"invalid_client":        {dropboxsim.Fault{Status: 400, ContentType: "application/json", Body: `{"error":"invalid_client"}`}, storage.ReasonInvalidCredentials, storage.Stop},
		"invalid_client in Dropbox's words": {
			dropboxsim.Fault{Status: 400, ContentType: "application/json", Body: `{"error": "invalid_client: Invalid client_id or client_secret"}`},
			storage.ReasonInvalidCredentials, storage.Stop,
		},
		"invalid_client_id": {
			dropboxsim.Fault{Status: 400, ContentType: "application/json", Body: `{"error": "invalid_client_id"}`}, storage.ReasonInvalidCredentials, storage.Stop,
		},
		"unauthorized_client": {
			dropboxsim.Fault{Status: 401, ContentType: "application/json", Body: `{"error":"unauthorized_client"}`}, storage.ReasonInvalidCredentials, storage.Stop,
		},
		"invalid_request": {dropboxsim.Fault{Status: 400, ContentType: "application/json", Body: `{"error":"invalid_request"}`}, storage.ReasonInvalidCredentials, storage.Stop},
	} {
		t.Run(name, func(t *testing.T) {
			sim, c := setup(t)
			tc.fault.Route = "/oauth2/token"
			sim.AddFault(tc.fault)
			_, err := c.Verify(t.Context())
			if got := storageError(t, err); got.Reason != tc.reason || got.Class != tc.class {
				t.Errorf("got %v (%s)", err, got.Reason)
			}
			_, err = c.Verify(t.Context())
			if again := err == nil; again != (tc.class == storage.Retry) {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

// TestCallsThatAProxyAnswers lets a proxy answer calls of the API.
func TestCallsThatAProxyAnswers(t *testing.T) {
	for _, status := range []int{301, 302, 400, 401, 403, 404, 405, 407, 411, 413, 451} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			sim, c := setup(t)
			sim.AddFault(dropboxsim.Fault{Route: "/2/users/get_current_account", Status: status, ContentType: "text/html", Body: "<html>Blocked</html>"})
			_, err := c.Verify(t.Context())
			if got := storageError(t, err); got.Reason != storage.ReasonUnexpectedAnswer || got.Class != storage.Retry || !got.Account {
				t.Errorf("got %v (%s)", err, got.Reason)
			}
		})
	}
}

// TestSpace compares the room that a connection reports with the figures of Dropbox.
func TestSpace(t *testing.T) {
	for name, tc := range map[string]struct {
		answer          string
		used, allocated int64
	}{
		"an individual": {`{"used":10,"allocation":{".tag":"individual","allocated":100}}`, 10, 100},
		"a full team": {
			`{"used":1,"allocation":{".tag":"team","used":5000,"allocated":5000,"user_within_team_space_allocated":0,"user_within_team_space_limit_type":{".tag":"off"},"user_within_team_space_used_cached":1}}`,
			5000, 5000,
		},
		"a member without a limit": {
			`{"used":1,"allocation":{".tag":"team","used":30,"allocated":5000,"user_within_team_space_allocated":0,"user_within_team_space_limit_type":{".tag":"off"},"user_within_team_space_used_cached":1}}`,
			30, 5000,
		},
		"a member at the limit": {
			`{"used":99,"allocation":{".tag":"team","used":300,"allocated":5000,"user_within_team_space_allocated":100,"user_within_team_space_limit_type":{".tag":"stop_sync"},"user_within_team_space_used_cached":98}}`,
			98, 100,
		},
		"a member whom a limit only warns": {
			`{"used":99,"allocation":{".tag":"team","used":300,"allocated":5000,"user_within_team_space_allocated":100,"user_within_team_space_limit_type":{".tag":"alert_only"},"user_within_team_space_used_cached":98}}`,
			300, 5000,
		},
		"a member with more room than the team": {
			`{"used":10,"allocation":{".tag":"team","used":4990,"allocated":5000,"user_within_team_space_allocated":100,"user_within_team_space_limit_type":{".tag":"stop_sync"},"user_within_team_space_used_cached":10}}`,
			4990, 5000,
		},
		"a team whose space is not known":  {`{"used":10,"allocation":{".tag":"team","used":0,"allocated":0,"user_within_team_space_allocated":0}}`, 0, 0},
		"no limit, as the greatest number": {`{"used":10,"allocation":{".tag":"individual","allocated":18446744073709551615}}`, 10, 1 << 62},
		"figures with an exponent":         {`{"used":1e3,"allocation":{".tag":"individual","allocated":2.0e12}}`, 1000, 2_000_000_000_000},
		"figures that are none":            {`{"used":null,"allocation":{".tag":"individual","allocated":"much"}}`, 0, 0},
		"more used than allocated":         {`{"used":300,"allocation":{".tag":"individual","allocated":100}}`, 300, 100},
		"another kind":                     {`{"used":10,"allocation":{".tag":"other"}}`, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			sim, c := setup(t)
			sim.AddFault(dropboxsim.Fault{Route: "/2/users/get_space_usage", Status: 200, ContentType: "application/json", Body: tc.answer})
			got, err := c.Verify(t.Context())
			if err != nil || got.SpaceUsed != tc.used || got.SpaceAllocated != tc.allocated {
				t.Errorf("got %d of %d (%v), want %d of %d", got.SpaceUsed, got.SpaceAllocated, err, tc.used, tc.allocated)
			}
		})
	}
}

// TestFullTeam lets the simulator's team be full.
func TestFullTeam(t *testing.T) {
	sim, c := setup(t)
	member := account
	member.Team = &dropboxsim.Team{Used: 990, Allocated: 1000}
	sim.AddAccount(member)
	if r := storagetest.UploadOne(t.Context(), c, storagetest.File(t, "/a.png", make([]byte, 11))); storage.AsError(r.Err).Reason != storage.ReasonInsufficientSpace {
		t.Errorf("got %v", r.Err)
	}
	if r := storagetest.UploadOne(t.Context(), c, storagetest.File(t, "/a.png", make([]byte, 10))); r.Err != nil {
		t.Error(r.Err)
	}
	if got, err := c.Verify(t.Context()); err != nil || got.SpaceUsed != 1000 || got.SpaceAllocated != 1000 {
		t.Errorf("got %+v, %v", got, err)
	}
	member.Team = &dropboxsim.Team{Allocated: 1000, MemberAllocated: 15, LimitType: "stop_sync"}
	sim.AddAccount(member)
	if r := storagetest.UploadOne(t.Context(), c, storagetest.File(t, "/b.png", make([]byte, 6))); storage.AsError(r.Err).Reason != storage.ReasonInsufficientSpace {
		t.Errorf("got %v", r.Err)
	}
	if got, err := c.Verify(t.Context()); err != nil || got.SpaceUsed != 10 || got.SpaceAllocated != 15 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestServiceThatGoesSilent(t *testing.T) {
	c := client(t, "http://"+storagetest.Silent(t), nil)
	c.patience, c.callTimeout = 200*time.Millisecond, 200*time.Millisecond
	storagetest.ExpectGivesUp(t, c)
	c.tokens.current = &oauth2.Token{AccessToken: "token", Expiry: time.Now().Add(time.Hour)}
	storagetest.ExpectGivesUp(t, c)
}

// TestSlowFileIsNoSilence uploads files that take longer than the client's patience, while their bytes flow: one in one call, some in a
// batch, and one in chunks.
func TestSlowFileIsNoSilence(t *testing.T) {
	sim, c := setup(t)
	c.patience, c.config.LargeFile = 400*time.Millisecond, 1<<20
	for name, files := range map[string][]*storage.File{
		"one":    {storagetest.File(t, "/a.png", make([]byte, 1<<10))},
		"batch":  {storagetest.File(t, "/b.png", make([]byte, 1<<10)), storagetest.File(t, "/c.png", make([]byte, 2<<10))},
		"chunks": {storagetest.File(t, "/d.png", make([]byte, 9<<20))},
	} {
		for _, f := range files {
			storagetest.Slowly(f, 50*time.Millisecond)
		}
		began := time.Now()
		for _, r := range c.Upload(t.Context(), files) {
			if r.Err != nil {
				t.Errorf("%s: %v", name, r.Err)
			}
		}
		if took := time.Since(began); took < c.patience {
			t.Errorf("%s: took %s only", name, took)
		}
	}
	if n := len(sim.Files("key")); n != 4 {
		t.Errorf("%d files", n)
	}
}

// TestSupersededFileIsNotCommitted lets one of two files be superseded once its bytes are at Dropbox.
func TestSupersededFileIsNotCommitted(t *testing.T) {
	sim, c := setup(t)
	one, two := storagetest.File(t, "/one.png", []byte("one")), storagetest.File(t, "/two.png", []byte("two"))
	one.Superseded = func() bool { return true }
	results := c.Upload(t.Context(), []*storage.File{one, two})
	if storage.AsError(results[0].Err).Reason != storage.ReasonSuperseded || results[1].Err != nil {
		t.Errorf("got %+v", results)
	}
	if r := storagetest.UploadOne(t.Context(), c, one); storage.AsError(r.Err).Reason != storage.ReasonSuperseded {
		t.Errorf("got %+v", r)
	}
	if files := sim.Files("key"); len(files) != 1 || files[0].Path != "/two.png" {
		t.Errorf("Dropbox has %+v", files)
	}
}

func TestRefusedRefreshTokenIsNotTriedAgain(t *testing.T) {
	sim, c := setup(t)
	revoked := account
	revoked.Revoked = true
	sim.AddAccount(revoked)
	for range 3 {
		if _, err := c.Verify(t.Context()); storageError(t, err).Reason != storage.ReasonTokenExpired {
			t.Fatalf("got %v", err)
		}
	}
	if n := calls(sim, "/oauth2/token"); n != 1 {
		t.Errorf("got %d refreshes, want 1", n)
	}
}

// TestSDKAgrees reads with an SDK for Dropbox what Client has written.
func TestSDKAgrees(t *testing.T) {
	sim := dropboxsim.New()
	sim.AddAccount(account)
	server := httptest.NewServer(sim)
	defer server.Close()
	c := client(t, server.URL, nil)
	for _, size := range []int{0, 1, 4<<20 - 1, 4 << 20, 4<<20 + 1} {
		data := bytes.Repeat([]byte{7}, size)
		f := storagetest.File(t, "/sdk.bin", data)
		want, err := contenthash.Compute(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if f.ContentHash != want {
			t.Errorf("%d bytes: content hash %s, the SDK says %s", size, f.ContentHash, want)
		}
		if err := storagetest.UploadOne(t.Context(), c, f).Err; err != nil {
			t.Fatal(err)
		}
	}
	token, err := c.accessToken(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	sdk := files.New(dropbox.Config{Token: token, URLGenerator: func(_, namespace, route string) string {
		return server.URL + "/2/" + namespace + "/" + route
	}})
	got, err := sdk.GetMetadata(files.NewGetMetadataArg("/sdk.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := got.(*files.FileMetadata); !ok || m.Size != 4<<20+1 {
		t.Errorf("got %+v", got)
	}
}

// storageError returns the *storage.Error in err.
func storageError(t *testing.T, err error) *storage.Error {
	t.Helper()
	problem := (*storage.Error)(nil)
	if !errors.As(err, &problem) {
		t.Fatalf("got %v, want a storage.Error", err)
	}
	return problem
}

func TestTeamSpace(t *testing.T) {
	sim := dropboxsim.New()
	team := account
	team.TeamSpace = "77"
	sim.AddAccount(team)
	server := httptest.NewServer(sim)
	defer server.Close()
	c := client(t, server.URL, func(c *Config) { c.RootNamespaceID = "77" })
	for _, result := range c.Upload(t.Context(), []*storage.File{
		storagetest.File(t, "/Team/a.png", []byte("a")), storagetest.File(t, "/Team/b.png", []byte("b")),
	}) {
		if result.Err != nil {
			t.Error(result.Err)
		}
	}
	if inTeam, atHome := sim.FilesIn("key", "77"), sim.Files("key"); len(inTeam) != 2 || len(atHome) != 0 {
		t.Errorf("team space %+v, home %+v", inTeam, atHome)
	}
	stale := client(t, server.URL, func(c *Config) { c.RootNamespaceID = "5" })
	err := storagetest.UploadOne(t.Context(), stale, storagetest.File(t, "/a.png", []byte("a"))).Err
	if got := storageError(t, err); got.Reason != storage.ReasonPathRootNotAllowed || got.Class != storage.Stop {
		t.Errorf("got %v", err)
	}
	if c.Key() == stale.Key() {
		t.Error("two roots of one account have one key")
	}
}

func TestKeyHasTheAccountOnceItIsKnown(t *testing.T) {
	_, c := setup(t)
	before := c.Key()
	if _, err := c.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.Key() == before || before == "" {
		t.Errorf("key %q, and once the account is known %q", before, c.Key())
	}
}
