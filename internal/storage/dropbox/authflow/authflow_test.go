// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package authflow

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
)

const redirectURI = "http://localhost:53682/"

func setup(t *testing.T) (*dropboxsim.Server, Config) {
	t.Helper()
	sim := dropboxsim.New()
	sim.AddAccount(dropboxsim.Account{AppKey: "app", RefreshToken: "old", Email: "ada@example.com", DisplayName: "Ada", RedirectURIs: []string{redirectURI}})
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return sim, Config{AppKey: "app", RedirectURI: redirectURI, AuthorizeURL: server.URL, APIURL: server.URL}
}

// consent allows the access on the consent page and returns the code.
func consent(t *testing.T, c Config, a Attempt) string {
	t.Helper()
	redirect, code, err := dropboxsim.Visit(t.Context(), c.URL(a), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if redirect == nil {
		return code
	}
	if code, err = a.Code(redirect.Query()); err != nil {
		t.Fatal(err)
	}
	return code
}

func TestConnecting(t *testing.T) {
	for _, redirect := range []string{redirectURI, ""} {
		t.Run("redirect="+redirect, func(t *testing.T) {
			_, c := setup(t)
			c.RedirectURI = redirect
			attempt := NewAttempt()
			grant, err := c.Exchange(t.Context(), attempt, " "+consent(t, c, attempt)+"\n")
			if err != nil {
				t.Fatal(err)
			}
			client, err := dropbox.New(dropbox.Config{AppKey: "app", RefreshToken: grant.RefreshToken, APIURL: c.APIURL})
			if err != nil {
				t.Fatal(err)
			}
			account, err := client.Verify(t.Context())
			if err != nil || account.Email != "ada@example.com" || account.ID != grant.AccountID {
				t.Errorf("account %+v, %v", account, err)
			}
			if text := fmt.Sprintf("%v %+v %#v", grant, grant, grant); strings.Contains(text, grant.RefreshToken) {
				t.Errorf("the grant prints its token: %s", text)
			}
		})
	}
}

func TestAttemptsAreUnguessable(t *testing.T) {
	a, b := NewAttempt(), NewAttempt()
	if a.State == b.State || a.Verifier == b.Verifier || len(a.State) < 26 || len(a.Verifier) < 43 {
		t.Errorf("attempts %+v %+v", a, b)
	}
	if page := (Config{AppKey: "app"}).URL(a); strings.Contains(page, a.Verifier) || !strings.HasPrefix(page, DefaultAuthorizeURL+"/oauth2/authorize?") {
		t.Errorf("page %s", page)
	}
}

func TestRedirects(t *testing.T) {
	attempt := NewAttempt()
	for name, x := range map[string]struct {
		query  url.Values
		reason Reason
		text   string
	}{
		"forged state":     {query: url.Values{"state": {"forged"}, "code": {"c"}}, reason: StateMismatch, text: "does not belong"},
		"no state":         {query: url.Values{"code": {"c"}}, reason: StateMismatch, text: "does not belong"},
		"a forged denial":  {query: url.Values{"state": {"forged"}, "error": {"access_denied"}}, reason: StateMismatch, text: "does not belong"},
		"a denial":         {query: url.Values{"state": {attempt.State}, "error": {"access_denied"}}, reason: Denied, text: "not allowed"},
		"another refusal":  {query: url.Values{"state": {attempt.State}, "error": {"invalid_scope"}, "error_description": {"bad\x1b[31m\nscope"}}, reason: Refused, text: "refused: invalid_scope bad[31mscope"},
		"a long refusal":   {query: url.Values{"state": {attempt.State}, "error": {strings.Repeat("é", 1000)}}, reason: Refused, text: strings.Repeat("é", maxDescription)},
		"nothing":          {query: url.Values{"state": {attempt.State}}, reason: Refused, text: "no code"},
		"code":             {query: url.Values{"state": {attempt.State}, "code": {"c"}}},
		"an empty attempt": {query: url.Values{"state": {""}, "code": {"c"}}, reason: StateMismatch, text: "does not belong"},
	} {
		t.Run(name, func(t *testing.T) {
			a := attempt
			if name == "an empty attempt" {
				a = Attempt{}
			}
			code, err := a.Code(x.query)
			expect(t, err, x.reason, x.text)
			if (err == nil) != (code == "c") || len([]rune(fmt.Sprint(err))) > maxDescription+30 {
				t.Errorf("code %q, %v", code, err)
			}
		})
	}
}

func expect(t *testing.T, err error, reason Reason, text string) {
	t.Helper()
	if reason == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	problem := (*Error)(nil)
	if !errors.As(err, &problem) || problem.Reason != reason || !strings.Contains(problem.Message, text) {
		t.Errorf("got %#v, want %s with %q", err, reason, text)
	}
}

func TestExchangeRefusals(t *testing.T) {
	for name, x := range map[string]struct {
		// before changes something between the consent and the exchange.
		before func(*dropboxsim.Server, *Config, *Attempt, *string)
		reason Reason
		text   string
	}{
		"an expired code":  {before: func(sim *dropboxsim.Server, _ *Config, _ *Attempt, _ *string) { sim.AdvanceClock(10 * time.Minute) }, reason: CodeRefused, text: "Begin again"},
		"a made-up code":   {before: func(_ *dropboxsim.Server, _ *Config, _ *Attempt, code *string) { *code = "made-up" }, reason: CodeRefused},
		"another attempt":  {before: func(_ *dropboxsim.Server, _ *Config, a *Attempt, _ *string) { *a = NewAttempt() }, reason: CodeRefused},
		"another redirect": {before: func(_ *dropboxsim.Server, c *Config, _ *Attempt, _ *string) { c.RedirectURI = "http://localhost:1/" }, reason: AppRefused, text: "http://localhost:1/"},
		"another app":      {before: func(_ *dropboxsim.Server, c *Config, _ *Attempt, _ *string) { c.AppKey = "nobody" }, reason: AppRefused, text: "the app nobody"},
		"out of order": {before: func(sim *dropboxsim.Server, _ *Config, _ *Attempt, _ *string) {
			sim.AddFault(dropboxsim.Fault{Route: "/oauth2/token", Status: 503})
		}, reason: Unavailable, text: "HTTP 503"},
		"no connection": {before: func(sim *dropboxsim.Server, _ *Config, _ *Attempt, _ *string) {
			sim.AddFault(dropboxsim.Fault{Route: "/oauth2/token", Drop: "before", Count: 2})
		}, reason: Unavailable, text: "could not be reached"},
		"a redirect": {before: func(sim *dropboxsim.Server, _ *Config, _ *Attempt, _ *string) {
			sim.AddFault(dropboxsim.Fault{Route: "/oauth2/token", Status: 307, Headers: map[string]string{"Location": "https://example.com/"}})
		}, reason: Refused, text: "HTTP 307"},
		"a proxy": {before: func(sim *dropboxsim.Server, _ *Config, _ *Attempt, _ *string) {
			sim.AddFault(dropboxsim.Fault{Route: "/oauth2/token", Status: 403, ContentType: "text/html", Body: "<html>Blocked</html>"})
		}, reason: Refused, text: "such as a proxy, answered (HTTP 403)"},
		"as text, with an odd life": {before: func(sim *dropboxsim.Server, _ *Config, _ *Attempt, _ *string) {
			sim.AddFault(dropboxsim.Fault{
				Route: "/oauth2/token", Status: 200, ContentType: "text/plain",
				Body: `{"access_token":"a","token_type":"bearer","expires_in":"soon","refresh_token":"r","scope":"account_info.read files.content.write files.metadata.read"}`,
			})
		}},
		"a scope less": {before: func(sim *dropboxsim.Server, _ *Config, _ *Attempt, _ *string) {
			sim.AddFault(dropboxsim.Fault{
				Route: "/oauth2/token", Status: 200, ContentType: "application/json",
				Body: `{"access_token":"a","token_type":"bearer","refresh_token":"r","scope":"account_info.read files.metadata.read"}`,
			})
		}, reason: MissingScope, text: "files.content.write"},
		"no refresh token": {before: func(sim *dropboxsim.Server, _ *Config, _ *Attempt, _ *string) {
			sim.AddFault(dropboxsim.Fault{
				Route: "/oauth2/token", Status: 200, ContentType: "application/json",
				Body: `{"access_token":"a","token_type":"bearer","scope":"account_info.read files.content.write files.metadata.read"}`,
			})
		}, reason: Refused, text: "no refresh token"},
	} {
		t.Run(name, func(t *testing.T) {
			sim, c := setup(t)
			attempt := NewAttempt()
			code := consent(t, c, attempt)
			x.before(sim, &c, &attempt, &code)
			_, err := c.Exchange(t.Context(), attempt, code)
			expect(t, err, x.reason, x.text)
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), code) && code != "made-up" {
					t.Errorf("the error holds the code: %v", e)
				}
			}
		})
	}
}

func TestReplayIsRefused(t *testing.T) {
	_, c := setup(t)
	attempt := NewAttempt()
	code := consent(t, c, attempt)
	if _, err := c.Exchange(t.Context(), attempt, code); err != nil {
		t.Fatal(err)
	}
	_, err := c.Exchange(t.Context(), attempt, code)
	expect(t, err, CodeRefused, "used before")
}

func TestDenial(t *testing.T) {
	_, c := setup(t)
	attempt := NewAttempt()
	redirect, _, err := dropboxsim.Visit(t.Context(), c.URL(attempt), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = attempt.Code(redirect.Query())
	expect(t, err, Denied, "not allowed")
}
