// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// codeLife is how long an authorization code is valid.
	codeLife = 10 * time.Minute
	// codeMemory is how long answers distinguish a used or expired code from an unknown one.
	codeMemory = time.Hour
	// maxState is the greatest size of the state parameter, in bytes.
	maxState = 2000
	// signedIn names the cookie of the account that last used the consent page.
	signedIn = "dropboxsim_account"
)

// challengePattern matches challenges and verifiers of RFC 7636.
var challengePattern = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// grant is the access that a person gave to an app.
type grant struct {
	app, person *account
	scopes      []string
}

// code is an authorization code.
type code struct {
	grant
	redirectURI       string
	challenge, method string
	offline, used     bool
	issued            time.Time
}

// oauthRoutes registers Dropbox's OAuth 2 (https://developers.dropbox.com/oauth-guide). www.dropbox.com shows the pages, and the
// API host gives the tokens.
func (s *Server) oauthRoutes() {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /oauth2/authorize", s.consentPage)
	pages.HandleFunc("POST /oauth2/authorize", s.consent)
	guarded := http.NewCrossOriginProtection().Handler(pages)
	s.mux.HandleFunc("/oauth2/authorize", func(w http.ResponseWriter, r *http.Request) {
		if hostRole(r.Host) != "" && !strings.HasPrefix(r.Host, "www.") {
			http.Error(w, "Unknown API function", http.StatusNotFound)
			return
		}
		guarded.ServeHTTP(w, r)
	})
	s.mux.HandleFunc("POST /oauth2/token", s.oauthToken)
	s.mux.Handle("POST /2/auth/token/revoke", s.api("/2/auth/token/revoke", "", false, revokeToken))
}

// authorization is a checked request of the authorize page.
type authorization struct {
	app    *account
	scopes []string
	query  url.Values
}

// readAuthorization checks the parameters of the authorize page. refusal says what is wrong with the first wrong parameter, empty if all
// are right. The page shows it and does not redirect, because the redirect URI may be anybody's. The lock must be held.
func (s *Server) readAuthorization(r *http.Request) (a authorization, refusal string) {
	q := r.URL.Query()
	for name, values := range q {
		if len(values) > 1 {
			return a, "Duplicate parameter: \"" + name + "\"."
		}
	}
	a = authorization{app: s.accounts[q.Get("client_id")], query: q}
	challenge, method := q.Get("code_challenge"), q.Get("code_challenge_method")
	switch {
	case !q.Has("client_id"):
		return a, "Missing client_id."
	case a.app == nil:
		return a, "Invalid client_id: \"" + q.Get("client_id") + "\"."
	case q.Get("response_type") != "code":
		return a, "Invalid response_type: \"" + q.Get("response_type") + "\"; must be \"code\"."
	case q.Has("redirect_uri") && !slices.Contains(a.app.RedirectURIs, q.Get("redirect_uri")):
		return a, "Invalid redirect_uri. It must exactly match one of the redirect URIs you've pre-configured for your app (including the path)."
	case len(q.Get("state")) > maxState:
		return a, "Invalid state: must be at most " + strconv.Itoa(maxState) + " bytes."
	case q.Has("token_access_type") && q.Get("token_access_type") != "online" && q.Get("token_access_type") != "offline":
		return a, "Invalid token_access_type: \"" + q.Get("token_access_type") + "\"."
	case challenge == "" && method != "":
		return a, "code_challenge_method needs a code_challenge."
	case challenge != "" && method != "S256" && method != "plain":
		return a, "Invalid code_challenge_method: \"" + method + "\"; must be \"S256\" or \"plain\"."
	case challenge != "" && !challengePattern.MatchString(challenge):
		return a, "Invalid code_challenge: must be 43 to 128 characters of A-Z a-z 0-9 - . _ ~"
	}
	a.scopes = a.app.Scopes
	if q.Has("scope") {
		if a.scopes = strings.Fields(q.Get("scope")); len(a.scopes) == 0 {
			return a, "Invalid scope: must not be empty."
		}
	}
	for _, scope := range a.scopes {
		if !slices.Contains(a.app.Scopes, scope) {
			return a, "The app is not configured for the scope \"" + scope + "\"."
		}
	}
	return a, ""
}

// consentPage asks the person for consent. It redirects at once if the person has given it before, unless the app wants to ask again.
func (s *Server) consentPage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, refusal := s.readAuthorization(r)
	if refusal != "" {
		s.showPage(w, r, http.StatusBadRequest, page{Title: "Error (400)", Refusal: refusal})
		return
	}
	current := ""
	if cookie, err := r.Cookie(signedIn); err == nil {
		current = cookie.Value
	}
	people := []*account{a.app}
	for _, person := range s.accounts {
		if person != a.app {
			people = append(people, person)
		}
	}
	slices.SortFunc(people[1:], func(x, y *account) int { return strings.Compare(x.Email+x.id, y.Email+y.id) })
	if i := slices.IndexFunc(people, func(p *account) bool { return p.id == current }); i >= 0 {
		if q := a.query; q.Has("redirect_uri") && q.Get("force_reapprove") != "true" && q.Get("force_reauthentication") != "true" && s.approved(a, people[i]) {
			s.grantCode(w, r, a, people[i])
			return
		}
	} else {
		current = a.app.id
	}
	s.showPage(w, r, http.StatusOK, page{Title: "Request for permission", App: a.app.name(), People: people, Current: current, Scopes: a.scopes})
}

// approved reports whether a person has given an app all scopes that it asks for.
func (s *Server) approved(a authorization, person *account) bool {
	for _, g := range s.grants {
		if g.app == a.app && g.person == person && !slices.ContainsFunc(a.scopes, func(scope string) bool { return !slices.Contains(g.scopes, scope) }) {
			return true
		}
	}
	return false
}

// consent handles the person's decision.
func (s *Server) consent(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRPC)
	s.mu.Lock()
	defer s.mu.Unlock()
	a, refusal := s.readAuthorization(r)
	if err := r.ParseForm(); err != nil && refusal == "" {
		refusal = "The form could not be read."
	}
	var person *account
	for _, p := range s.accounts {
		if p.id == r.PostForm.Get("account") {
			person = p
		}
	}
	decision := r.PostForm.Get("decision")
	if refusal == "" && decision != "cancel" && (decision != "allow" || person == nil) {
		refusal = "Choose an account, and allow or cancel."
	}
	switch {
	case refusal != "":
		s.showPage(w, r, http.StatusBadRequest, page{Title: "Error (400)", Refusal: refusal})
	case decision == "allow":
		s.grantCode(w, r, a, person)
	case a.query.Has("redirect_uri"):
		s.redirect(w, r, a, url.Values{"error": {"access_denied"}, "error_description": {"The user chose not to give your app access to their Dropbox account."}})
	default:
		s.showPage(w, r, http.StatusOK, page{Title: "No access given", App: a.app.name(), Denied: true})
	}
}

// grantCode issues a code, and redirects to the app with it or, without a redirect URI, shows it to the person. The lock must be held.
func (s *Server) grantCode(w http.ResponseWriter, r *http.Request, a authorization, person *account) {
	if len(s.codes) > maxSessions {
		s.codes = map[string]*code{}
	}
	value := random(43)
	s.codes[value] = &code{
		grant: grant{app: a.app, person: person, scopes: a.scopes}, redirectURI: a.query.Get("redirect_uri"), issued: s.now(),
		challenge: a.query.Get("code_challenge"), method: a.query.Get("code_challenge_method"), offline: a.query.Get("token_access_type") == "offline",
	}
	http.SetCookie(w, &http.Cookie{Name: signedIn, Value: person.id, Path: "/oauth2/authorize", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if a.query.Has("redirect_uri") {
		s.redirect(w, r, a, url.Values{"code": {value}})
		return
	}
	s.showPage(w, r, http.StatusOK, page{Title: "Access code", App: a.app.name(), Code: value})
}

// redirect sends the person back to the app with an answer.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, a authorization, answer url.Values) {
	target, err := url.Parse(a.query.Get("redirect_uri"))
	if err != nil {
		s.showPage(w, r, http.StatusBadRequest, page{Title: "Error (400)", Refusal: "Invalid redirect_uri."})
		return
	}
	q := target.Query()
	maps.Copy(q, answer)
	if a.query.Has("state") {
		q.Set("state", a.query.Get("state"))
	}
	target.RawQuery = q.Encode()
	s.recordLocked(Entry{Route: r.URL.Path, Status: http.StatusFound, AppKey: a.app.AppKey})
	http.Redirect(w, r, target.String(), http.StatusFound)
}

// page is the data of consent.html.
type page struct {
	Title, App, Refusal, Code string
	People                    []*account
	Current                   string
	Scopes                    []string
	Denied                    bool
}

//go:embed consent.html
var consentHTML string

var consentTemplate = template.Must(template.New("consent").Funcs(template.FuncMap{
	"explain": func(scope string) string { return scopeTexts[scope] },
	"id":      func(a *account) string { return a.id },
}).Parse(consentHTML))

// scopeTexts say what each scope allows.
var scopeTexts = map[string]string{
	"account_info.read":    "View basic information about your Dropbox account such as your username, email, and country",
	"files.content.read":   "View content of your Dropbox files and folders",
	"files.content.write":  "Edit content of your Dropbox files and folders",
	"files.metadata.read":  "View information about your Dropbox files and folders",
	"files.metadata.write": "View and edit information about your Dropbox files and folders",
}

func (s *Server) showPage(w http.ResponseWriter, r *http.Request, status int, p page) {
	s.recordLocked(Entry{Route: r.URL.Path, Status: status, AppKey: r.URL.Query().Get("client_id")})
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_ = consentTemplate.Execute(w, p)
}

// name returns the app's name for the consent page.
func (a *account) name() string {
	if a.AppName == "" {
		return a.AppKey
	}
	return a.AppName
}

// oauthToken exchanges an authorization code or a refresh token for an access token.
func (s *Server) oauthToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRPC)
	s.mu.Lock()
	status, value := s.exchange(r)
	s.recordLocked(Entry{Route: r.URL.Path, Status: status, AppKey: r.Form.Get("client_id")})
	s.mu.Unlock()
	if drop, ok := r.Context().Value(dropAfter{}).(func()); ok {
		drop()
	}
	writeJSON(w, status, value)
}

// refuseGrant returns an OAuth error.
func refuseGrant(code, text string) (int, any) {
	return http.StatusBadRequest, map[string]string{"error": code, "error_description": text}
}

// refuseClient returns the error of an app key or an app secret that is wrong, which Dropbox sends in one field.
func refuseClient() (int, any) {
	return http.StatusBadRequest, map[string]string{"error": "invalid_client: Invalid client_id or client_secret"}
}

// exchange answers a token request. The lock must be held.
func (s *Server) exchange(r *http.Request) (int, any) {
	if err := r.ParseForm(); err != nil {
		return refuseGrant("invalid_request", "the body must be a form")
	}
	form := r.Form // Dropbox's own JavaScript SDK sends the parameters in the URL
	if user, password, ok := r.BasicAuth(); ok {
		form.Set("client_id", user)
		form.Set("client_secret", password)
	}
	app := s.accounts[form.Get("client_id")]
	secret := form.Get("client_secret")
	switch grantType := form.Get("grant_type"); {
	case grantType != "refresh_token" && grantType != "authorization_code":
		return refuseGrant("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
	case app == nil, secret != "" && secret != app.AppSecret:
		return refuseClient()
	case grantType == "authorization_code":
		return s.exchangeCode(app, form)
	default:
		return s.refresh(app, form.Get("refresh_token"))
	}
}

// exchangeCode exchanges an authorization code, once.
func (s *Server) exchangeCode(app *account, form url.Values) (int, any) {
	known := s.codes[form.Get("code")]
	if form.Get("code") == "" {
		return refuseGrant("invalid_request", "missing required field \"code\"")
	}
	if known == nil || known.app != app || !s.now().Before(known.issued.Add(codeMemory)) {
		return refuseGrant("invalid_grant", "code doesn't exist or has expired")
	}
	used := known.used
	known.used = true
	switch {
	case used:
		return refuseGrant("invalid_grant", "code has already been used (within the last hour)")
	case !s.now().Before(known.issued.Add(codeLife)):
		return refuseGrant("invalid_grant", "code has expired (within the last hour)")
	case form.Get("redirect_uri") != known.redirectURI:
		return refuseGrant("invalid_grant", "redirect_uri mismatch")
	case known.challenge == "" && app.AppSecret != "" && form.Get("client_secret") == "":
		return refuseClient()
	case !known.verified(form.Get("code_verifier")):
		return refuseGrant("invalid_grant", "invalid code verifier")
	}
	person := known.person
	refresh := ""
	if known.offline {
		refresh = random(64)
		if len(s.grants) > maxSessions {
			s.grants = map[string]*grant{}
		}
		if person.Revoked {
			// The account is connected again; the revoked grants stay invalid.
			person.Revoked, person.RefreshToken = false, ""
			maps.DeleteFunc(s.grants, func(_ string, g *grant) bool { return g.person == person })
		}
		s.grants[refresh] = &known.grant
	}
	answer := s.issue(person, known.scopes, refresh)
	if refresh != "" {
		answer["refresh_token"] = refresh
	}
	return http.StatusOK, answer
}

// verified reports whether a verifier matches the code's challenge.
func (c *code) verified(verifier string) bool {
	if c.challenge == "" {
		return verifier == ""
	}
	if c.method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		verifier = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(verifier), []byte(c.challenge)) == 1
}

// refresh exchanges a refresh token.
func (s *Server) refresh(app *account, refresh string) (int, any) {
	g := s.grants[refresh]
	if refresh != "" && refresh == app.RefreshToken {
		g = &grant{app: app, person: app, scopes: app.Scopes}
	}
	if g == nil || g.app != app || g.person.Revoked {
		return refuseGrant("invalid_grant", "refresh token is invalid or revoked")
	}
	return http.StatusOK, s.issue(g.person, g.scopes, refresh)
}

// issue returns an answer with a new access token.
func (s *Server) issue(person *account, scopes []string, refresh string) map[string]any {
	value := "sl.u." + random(48)
	if len(s.tokens) > maxSessions {
		s.tokens = map[string]*token{}
	}
	issued := &token{account: person, expires: s.now().Add(tokenLife), scopes: scopes, refresh: refresh}
	s.tokens[value] = issued
	s.keepToken(value, issued)
	return map[string]any{
		"access_token": value, "token_type": "bearer", "expires_in": int(tokenLife.Seconds()),
		"scope": strings.Join(scopes, " "), "uid": strconv.Itoa(len(person.id)), "account_id": person.id,
	}
}

// revokeToken revokes the access token of the call, its refresh token and all other access tokens from that.
func revokeToken(c *call) (any, *apiError) {
	if refusal := c.noArgument(); refusal != nil {
		return nil, refusal
	}
	s := c.server
	value := strings.TrimPrefix(c.header.Get("Authorization"), "Bearer ")
	refresh := s.tokens[value].refresh
	delete(s.tokens, value)
	if refresh == "" {
		return nil, nil //nolint:nilnil // the answer is null
	}
	maps.DeleteFunc(s.tokens, func(_ string, t *token) bool { return t.refresh == refresh })
	delete(s.grants, refresh)
	for _, a := range s.accounts {
		if a.RefreshToken == refresh {
			a.RefreshToken = ""
		}
	}
	return nil, nil //nolint:nilnil // the answer is null
}
