// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/dropbox/dropbox-sdk-go-unofficial/v6/dropbox"
	"github.com/dropbox/dropbox-sdk-go-unofficial/v6/dropbox/contenthash"
	"github.com/dropbox/dropbox-sdk-go-unofficial/v6/dropbox/files"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
