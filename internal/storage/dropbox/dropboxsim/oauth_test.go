// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"encoding/json"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

const registered = "http://localhost:53682/"

// person is a browser that does not follow redirects.
type person struct {
	*client
	http *http.Client
}

func newPerson(t *testing.T, change func(*Account)) *person {
	t.Helper()
	c := newClient(t, func(a *Account) {
		a.AppName, a.RedirectURIs = "Platen <test>", []string{registered, "https://platen.example/connect?from=dropbox"}
		if change != nil {
			change(a)
		}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{client: c, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// authorize opens the page, or posts the decision if there is one, and returns the answer.
func (p *person) authorize(query, decision url.Values) (status int, body string, location *url.URL) {
	p.t.Helper()
	target := p.url + "/oauth2/authorize?" + query.Encode()
	var resp *http.Response
	var err error
	if decision == nil {
		resp, err = p.http.Get(target)
	} else {
		resp, err = p.http.PostForm(target, decision)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	location, _ = resp.Location()
	return resp.StatusCode, html.UnescapeString(string(text)), location
}

// with returns a good request with some parameters changed; a nil value leaves the parameter out.
func with(changes url.Values) url.Values {
	q := url.Values{
		"client_id": {"app"}, "response_type": {"code"}, "redirect_uri": {registered}, "state": {"s t&a=te"}, "token_access_type": {"offline"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}
	for name, values := range changes {
		if values == nil {
			q.Del(name)
		} else {
			q[name] = values
		}
	}
	return q
}

var verifier = oauth2.GenerateVerifier()

// allow gives consent as the account with an email.
func (p *person) allow(query url.Values, email string) (status int, body string, location *url.URL) {
	p.t.Helper()
	_, body, _ = p.authorize(query, nil)
	for _, match := range accountPattern.FindAllStringSubmatch(body, -1) {
		if match[2] == email {
			return p.authorize(query, url.Values{"account": {match[1]}, "decision": {"allow"}})
		}
	}
	p.t.Fatalf("the page offers no account %s: %s", email, body)
	return 0, "", nil
}

// code returns a new code for a request.
func (p *person) code(query url.Values) string {
	p.t.Helper()
	status, body, location := p.allow(query, "ada@example.com")
	if status != http.StatusFound {
		p.t.Fatalf("HTTP %d %s", status, body)
	}
	return location.Query().Get("code")
}

func exchangeForm(changes url.Values) url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "redirect_uri": {registered}, "code_verifier": {verifier}}
	maps.Copy(form, changes)
	return form
}

type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
	AccountID    string `json:"account_id"`
}

func (p *person) exchange(form url.Values) tokenAnswer {
	p.t.Helper()
	status, body := p.refresh(form)
	var answer tokenAnswer
	if err := json.Unmarshal([]byte(body), &answer); status != http.StatusOK || err != nil {
		p.t.Fatalf("HTTP %d %s, %v", status, body, err)
	}
	return answer
}

func TestConsentPageShowsTheScopes(t *testing.T) {
	p := newPerson(t, nil)
	p.sim.AddAccount(Account{AppKey: "other", RefreshToken: "r2", Email: "bob@example.com", DisplayName: "Bob"})
	status, body, _ := p.authorize(with(url.Values{"scope": {"account_info.read files.content.write"}}), nil)
	for _, part := range []string{"Platen <test>", "Ada (ada@example.com)", "Bob (bob@example.com)", "View basic information", "Edit content of your Dropbox"} {
		if status != http.StatusOK || !strings.Contains(body, part) {
			t.Errorf("HTTP %d, the page does not show %q", status, part)
		}
	}
	if strings.Contains(body, "View content of your Dropbox") {
		t.Error("the page shows a scope that is not asked for")
	}
}

func TestAuthorizeRefusals(t *testing.T) {
	p := newPerson(t, nil)
	for name, x := range map[string]struct {
		change url.Values
		text   string
	}{
		"no app":               {change: url.Values{"client_id": nil}, text: "Missing client_id"},
		"an unknown app":       {change: url.Values{"client_id": {"nobody"}}, text: `Invalid client_id: "nobody"`},
		"an implicit grant":    {change: url.Values{"response_type": {"token"}}, text: "Invalid response_type"},
		"a foreign redirect":   {change: url.Values{"redirect_uri": {"http://localhost:53682/other"}}, text: "It must exactly match one of the redirect URIs"},
		"another port":         {change: url.Values{"redirect_uri": {"http://localhost:53683/"}}, text: "It must exactly match"},
		"no trailing slash":    {change: url.Values{"redirect_uri": {"http://localhost:53682"}}, text: "It must exactly match"},
		"a huge state":         {change: url.Values{"state": {strings.Repeat("x", maxState+1)}}, text: "Invalid state"},
		"an unknown access":    {change: url.Values{"token_access_type": {"legacy"}}, text: "Invalid token_access_type"},
		"an unknown method":    {change: url.Values{"code_challenge_method": {"S512"}}, text: "Invalid code_challenge_method"},
		"no method":            {change: url.Values{"code_challenge_method": nil}, text: "Invalid code_challenge_method"},
		"no challenge":         {change: url.Values{"code_challenge": nil}, text: "needs a code_challenge"},
		"a short challenge":    {change: url.Values{"code_challenge": {"short"}}, text: "Invalid code_challenge"},
		"an empty scope":       {change: url.Values{"scope": {""}}, text: "Invalid scope"},
		"a scope it lacks":     {change: url.Values{"scope": {"files.content.write sharing.read"}}, text: `not configured for the scope "sharing.read"`},
		"a repeated parameter": {change: url.Values{"state": {"a", "b"}}, text: "Duplicate parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, decision := range []url.Values{nil, {"decision": {"allow"}, "account": {"x"}}, {"decision": {"cancel"}}} {
				status, body, location := p.authorize(with(x.change), decision)
				if status != http.StatusBadRequest || location != nil || !strings.Contains(body, x.text) {
					t.Errorf("decision %v: HTTP %d to %v: %s", decision, status, location, body)
				}
			}
		})
	}
	if status, body, _ := p.authorize(with(nil), url.Values{"decision": {"allow"}, "account": {"dbid:nobody"}}); status != http.StatusBadRequest || !strings.Contains(body, "Choose an account") {
		t.Errorf("an account that is not there: HTTP %d %s", status, body)
	}
}

func TestDenialRedirectsWithTheState(t *testing.T) {
	p := newPerson(t, nil)
	status, _, location := p.authorize(with(url.Values{"redirect_uri": {"https://platen.example/connect?from=dropbox"}}), url.Values{"decision": {"cancel"}})
	if q := location.Query(); status != http.StatusFound || q.Get("error") != "access_denied" || q.Get("state") != "s t&a=te" || q.Get("from") != "dropbox" || q.Has("code") {
		t.Errorf("HTTP %d to %s", status, location)
	}
	if status, body, location := p.authorize(with(url.Values{"redirect_uri": nil}), url.Values{"decision": {"cancel"}}); status != http.StatusOK || location != nil || !strings.Contains(body, "has no access") {
		t.Errorf("without a redirect: HTTP %d to %v: %s", status, location, body)
	}
}

func TestCodeIsExchangedOnce(t *testing.T) {
	p := newPerson(t, nil)
	status, _, location := p.allow(with(nil), "ada@example.com")
	if status != http.StatusFound || !strings.HasPrefix(location.String(), registered+"?") || location.Query().Get("state") != "s t&a=te" {
		t.Fatalf("HTTP %d to %v", status, location)
	}
	form := exchangeForm(url.Values{"code": {location.Query().Get("code")}})
	answer := p.exchange(form)
	if answer.RefreshToken == "" || answer.RefreshToken == "refresh" || answer.ExpiresIn != 14400 || answer.TokenType != "bearer" || !strings.HasPrefix(answer.AccountID, "dbid:") {
		t.Errorf("answer %+v", answer)
	}
	p.token = answer.AccessToken
	if status, body := p.rpc("users/get_current_account", "null"); status != http.StatusOK || !strings.Contains(body, "ada@example.com") {
		t.Errorf("the access token: HTTP %d %s", status, body)
	}
	again := p.exchange(url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {answer.RefreshToken}})
	if again.AccessToken == answer.AccessToken || again.RefreshToken != "" {
		t.Errorf("refresh %+v", again)
	}
	if status, body := p.refresh(form); status != http.StatusBadRequest || strings.TrimSpace(body) != `{"error":"invalid_grant","error_description":"code has already been used (within the last hour)"}` {
		t.Errorf("replayed: HTTP %d %s", status, body)
	}
}

func TestExchangeRefusals(t *testing.T) {
	p := newPerson(t, func(a *Account) { a.AppSecret = "hush" })
	p.sim.AddAccount(Account{AppKey: "other", RefreshToken: "r2", Email: "bob@example.com", DisplayName: "Bob"})
	plain := url.Values{"code_challenge": nil, "code_challenge_method": nil}
	for name, x := range map[string]struct {
		request, form url.Values
		later         time.Duration
		want          string
	}{
		"a made-up code":        {form: url.Values{"code": {"made-up"}}, want: `{"error":"invalid_grant","error_description":"code doesn't exist or has expired"}`},
		"no code":               {form: url.Values{"code": {""}}, want: `{"error":"invalid_request","error_description":"missing required field \"code\""}`},
		"another app":           {form: url.Values{"client_id": {"other"}}, want: `{"error":"invalid_grant","error_description":"code doesn't exist or has expired"}`},
		"no app":                {form: url.Values{"client_id": {"nobody"}}, want: `{"error":"invalid_client: Invalid client_id or client_secret"}`},
		"a wrong secret":        {form: url.Values{"client_secret": {"x"}}, want: `{"error":"invalid_client: Invalid client_id or client_secret"}`},
		"another redirect":      {form: url.Values{"redirect_uri": {registered + "x"}}, want: `{"error":"invalid_grant","error_description":"redirect_uri mismatch"}`},
		"no redirect":           {form: url.Values{"redirect_uri": {""}}, want: `{"error":"invalid_grant","error_description":"redirect_uri mismatch"}`},
		"a wrong verifier":      {form: url.Values{"code_verifier": {oauth2.GenerateVerifier()}}, want: `{"error":"invalid_grant","error_description":"invalid code verifier"}`},
		"no verifier":           {form: url.Values{"code_verifier": {""}}, want: `{"error":"invalid_grant","error_description":"invalid code verifier"}`},
		"an expired code":       {later: codeLife, want: `{"error":"invalid_grant","error_description":"code has expired (within the last hour)"}`},
		"a forgotten code":      {later: codeMemory, want: `{"error":"invalid_grant","error_description":"code doesn't exist or has expired"}`},
		"a needless verifier":   {request: plain, form: url.Values{"client_secret": {"hush"}}, want: `{"error":"invalid_grant","error_description":"invalid code verifier"}`},
		"no secret or verifier": {request: plain, form: url.Values{"code_verifier": {""}}, want: `{"error":"invalid_client: Invalid client_id or client_secret"}`},
		"another grant":         {form: url.Values{"grant_type": {"password"}}, want: `{"error":"unsupported_grant_type","error_description":"grant_type must be authorization_code or refresh_token"}`},
	} {
		t.Run(name, func(t *testing.T) {
			form := exchangeForm(url.Values{"code": {p.code(with(x.request))}})
			maps.Copy(form, x.form)
			p.sim.AdvanceClock(x.later)
			defer p.sim.AdvanceClock(-x.later)
			if status, body := p.refresh(form); status != http.StatusBadRequest || strings.TrimSpace(body) != x.want {
				t.Errorf("HTTP %d %s\nwant %s", status, body, x.want)
			}
		})
	}
}

func TestCodeIsShownToCopy(t *testing.T) {
	p := newPerson(t, nil)
	status, body, location := p.allow(with(url.Values{"redirect_uri": nil, "code_challenge": {verifier}, "code_challenge_method": {"plain"}}), "ada@example.com")
	match := codePattern.FindStringSubmatch(body)
	if status != http.StatusOK || location != nil || match == nil {
		t.Fatalf("HTTP %d to %v: %s", status, location, body)
	}
	form := exchangeForm(url.Values{"code": {match[1]}})
	form.Del("redirect_uri")
	if answer := p.exchange(form); answer.RefreshToken == "" {
		t.Errorf("answer %+v", answer)
	}
}

func TestOnlineAccessHasNoRefreshToken(t *testing.T) {
	p := newPerson(t, nil)
	answer := p.exchange(exchangeForm(url.Values{"code": {p.code(with(url.Values{"token_access_type": {"online"}, "scope": {"account_info.read"}}))}}))
	if answer.RefreshToken != "" || answer.Scope != "account_info.read" {
		t.Errorf("answer %+v", answer)
	}
	p.token = answer.AccessToken
	if status, body := p.rpc("files/create_folder_v2", `{"path":"/x"}`); status != http.StatusUnauthorized || !strings.Contains(body, "missing_scope") {
		t.Errorf("a scope that was not granted: HTTP %d %s", status, body)
	}
}

func TestAnotherAccountConnectsTheApp(t *testing.T) {
	p := newPerson(t, nil)
	p.sim.AddAccount(Account{AppKey: "other", RefreshToken: "r2", Email: "bob@example.com", DisplayName: "Bob"})
	_, _, location := p.allow(with(nil), "bob@example.com")
	p.token = p.exchange(exchangeForm(url.Values{"code": {location.Query().Get("code")}})).AccessToken
	p.mustUpload("/a", "1")
	if files := p.sim.Files("other"); len(files) != 1 {
		t.Errorf("Bob's files: %v", files)
	}
}

func TestConsentIsAskedAgainOnlyIfNeeded(t *testing.T) {
	p := newPerson(t, nil)
	p.exchange(exchangeForm(url.Values{"code": {p.code(with(url.Values{"scope": {"account_info.read"}}))}}))
	if status, _, location := p.authorize(with(url.Values{"scope": {"account_info.read"}}), nil); status != http.StatusFound || location.Query().Get("code") == "" {
		t.Errorf("the same again: HTTP %d to %v", status, location)
	}
	for name, change := range map[string]url.Values{
		"more scopes": {"scope": {"account_info.read files.content.write"}}, "forced": {"scope": {"account_info.read"}, "force_reapprove": {"true"}},
	} {
		if status, _, location := p.authorize(with(change), nil); status != http.StatusOK {
			t.Errorf("%s: HTTP %d to %v", name, status, location)
		}
	}
}

func TestRevoking(t *testing.T) {
	p := newPerson(t, nil)
	answer := p.exchange(exchangeForm(url.Values{"code": {p.code(with(nil))}}))
	refresh := url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {answer.RefreshToken}}
	other := p.exchange(refresh).AccessToken
	p.token = answer.AccessToken
	if status, body := p.rpc("auth/token/revoke", "null"); status != http.StatusOK || strings.TrimSpace(body) != "null" {
		t.Fatalf("HTTP %d %s", status, body)
	}
	for _, p.token = range []string{answer.AccessToken, other} {
		if status, body := p.rpc("users/get_current_account", "null"); status != http.StatusUnauthorized || !strings.Contains(body, "invalid_access_token") {
			t.Errorf("HTTP %d %s", status, body)
		}
	}
	if status, body := p.refresh(refresh); status != http.StatusBadRequest || !strings.Contains(body, "refresh token is invalid or revoked") {
		t.Errorf("HTTP %d %s", status, body)
	}
}

func TestConnectingAgainAfterARevocation(t *testing.T) {
	p := newPerson(t, nil)
	old := url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {"refresh"}}
	p.exchange(old)
	p.sim.AddAccount(Account{AppKey: "app", RefreshToken: "refresh", Email: "ada@example.com", Revoked: true, RedirectURIs: []string{registered}})
	answer := p.exchange(exchangeForm(url.Values{"code": {p.code(with(nil))}}))
	if status, body := p.refresh(old); status != http.StatusBadRequest {
		t.Errorf("the old refresh token: HTTP %d %s", status, body)
	}
	p.exchange(url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {answer.RefreshToken}})
}

func TestOnlyOneHostServesThePages(t *testing.T) {
	p := newPerson(t, nil)
	for host, want := range map[string]int{"www.dropbox.com": 200, "api.dropboxapi.com": 404, "content.dropboxapi.com": 404, "dropboxsim.platen-system.svc:8090": 200} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/oauth2/authorize?"+with(nil).Encode(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := p.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: HTTP %d, want %d", host, resp.StatusCode, want)
		}
	}
}
