// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authflow gets a person's permission to use their Dropbox account: OAuth 2 with PKCE (RFC 7636) as described in
// https://developers.dropbox.com/oauth-guide. The caller shows the consent page and passes its result to Exchange.
package authflow

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"

	"github.com/platen-dev/platen/internal/reach"
	"github.com/platen-dev/platen/internal/storage/dropbox"
)

const (
	// DefaultAuthorizeURL is the host of Dropbox's consent page.
	DefaultAuthorizeURL = "https://www.dropbox.com"
	// AppConsole is the page on which a person manages their app.
	AppConsole = "https://www.dropbox.com/developers/apps"

	// exchangeTimeout bounds the exchange of a code.
	exchangeTimeout = 30 * time.Second
	// maxDescription bounds a text from a redirect in a message, in characters.
	maxDescription = 200
)

// Scopes are the permissions that Platen needs. It asks for no others.
var Scopes = []string{"account_info.read", "files.content.write", "files.metadata.read"}

// Config names the app that asks for permission.
type Config struct {
	// AppKey is required.
	AppKey string
	// AppSecret is optional: PKCE does not need it.
	AppSecret string
	// RedirectURI receives the code. It must be registered for the app. Without it, Dropbox shows the code to the person.
	RedirectURI string
	// AuthorizeURL and APIURL default to Dropbox's public hosts.
	AuthorizeURL, APIURL string
	// Transport defaults to reach.Transport.
	Transport http.RoundTripper
}

// Attempt is the secret part of one attempt to connect. The caller keeps it until the code comes back, in memory or as JSON in an
// encrypted cookie.
type Attempt struct {
	// State comes back with the redirect.
	State string `json:"state"`
	// Verifier proves to Dropbox that the exchange belongs to the attempt.
	Verifier string `json:"verifier"`
}

// NewAttempt returns a random attempt.
func NewAttempt() Attempt { return Attempt{State: rand.Text(), Verifier: oauth2.GenerateVerifier()} }

// Grant is the permission that a person gave. It never prints its token.
type Grant struct {
	RefreshToken string
	AccountID    string
}

// String implements fmt.Stringer.
func (Grant) String() string { return "[redacted]" }

// GoString implements fmt.GoStringer.
func (Grant) GoString() string { return "[redacted]" }

// LogValue implements slog.LogValuer.
func (Grant) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Reason says why an account could not be connected.
type Reason string

// The reasons.
const (
	// Denied means that the person did not give permission.
	Denied Reason = "Denied"
	// StateMismatch means that a redirect does not belong to the attempt: it is forged, or comes from another tab.
	StateMismatch Reason = "StateMismatch"
	// CodeRefused means that the code has expired, was used before, is mistyped, or belongs to another attempt.
	CodeRefused Reason = "CodeRefused"
	// AppRefused means that Dropbox does not know the app key, its secret or the redirect URI.
	AppRefused Reason = "AppRefused"
	// MissingScope means that the app lacks one of Scopes.
	MissingScope Reason = "MissingScope"
	// Refused means that Dropbox refused for another reason.
	Refused Reason = "Refused"
	// Unavailable means that Dropbox cannot be reached or fails. A later attempt may succeed.
	Unavailable Reason = "Unavailable"
)

// Error is an attempt that failed.
type Error struct {
	Reason Reason
	// Message tells a user what happened and what to do. It has no secret and no full stop at its end.
	Message string
	// Err is the cause, if any.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func (c Config) oauth() oauth2.Config {
	authorize, api := c.AuthorizeURL, c.APIURL
	if authorize == "" {
		authorize = DefaultAuthorizeURL
	}
	if api == "" {
		api = dropbox.DefaultAPIURL
	}
	return oauth2.Config{
		ClientID: c.AppKey, ClientSecret: c.AppSecret, RedirectURL: c.RedirectURI, Scopes: Scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL: authorize + "/oauth2/authorize", TokenURL: api + "/oauth2/token", AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

// URL returns the consent page of an attempt, for the person's browser. Dropbox asks again even if the person gave permission before,
// so that nobody connects their account unknowingly.
func (c Config) URL(a Attempt) string {
	config := c.oauth()
	return config.AuthCodeURL(a.State, oauth2.S256ChallengeOption(a.Verifier),
		oauth2.SetAuthURLParam("token_access_type", "offline"), oauth2.SetAuthURLParam("force_reapprove", "true"))
}

// Code returns the code in the query of Dropbox's redirect. The error is an *Error.
func (a Attempt) Code(query url.Values) (string, error) {
	// Without the right state, nothing in the query can be trusted, not even an error.
	if a.State == "" || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(a.State)) != 1 {
		return "", &Error{Reason: StateMismatch, Message: "This answer does not belong to your attempt. Begin again, and finish in the same browser"}
	}
	switch problem := query.Get("error"); {
	case problem == "access_denied":
		return "", &Error{Reason: Denied, Message: "Access to Dropbox was not allowed, and nothing was changed. Begin again to connect"}
	case problem != "":
		return "", &Error{Reason: Refused, Message: "Dropbox refused: " + printable(problem+" "+query.Get("error_description"))}
	case query.Get("code") == "":
		return "", &Error{Reason: Refused, Message: "Dropbox sent no code. Begin again"}
	}
	return query.Get("code"), nil
}

// printable shortens a text from outside and removes control characters.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	runes := []rune(strings.TrimSpace(text))
	return string(runes[:min(len(runes), maxDescription)])
}

// Exchange exchanges the code of an attempt for a grant. It works once for each code. The error is an *Error.
func (c Config) Exchange(ctx context.Context, a Attempt, code string) (Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	if c.Transport == nil {
		c.Transport = reach.Transport()
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport: dropbox.TokenTransport{Next: c.Transport},
		// A redirect would send the code to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	config := c.oauth()
	token, err := config.Exchange(ctx, strings.TrimSpace(code), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return Grant{}, c.explain(err)
	}
	scopes, _ := token.Extra("scope").(string)
	for _, scope := range Scopes {
		if !slices.Contains(strings.Fields(scopes), scope) {
			return Grant{}, c.missingScope(scope)
		}
	}
	account, _ := token.Extra("account_id").(string)
	if token.RefreshToken == "" {
		return Grant{}, &Error{Reason: Refused, Message: "Dropbox gave no refresh token, so uploads would end after some hours. Begin again"}
	}
	return Grant{RefreshToken: token.RefreshToken, AccountID: account}, nil
}

func (c Config) missingScope(scope string) *Error {
	return &Error{Reason: MissingScope, Message: fmt.Sprintf(
		"The app %s lacks the scope %s. Tick it under Permissions at %s, submit, and connect again", c.AppKey, scope, AppConsole)}
}

// explain turns a failed exchange into an *Error. It omits the body of the answer, which may repeat the code.
func (c Config) explain(err error) *Error {
	refused := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &refused) || refused.Response == nil {
		return &Error{Reason: Unavailable, Message: "Dropbox could not be reached" + reach.Why(err) + ". Check the network and connect again", Err: err}
	}
	status := refused.Response.StatusCode
	code := dropbox.OAuthCode(refused)
	cause := fmt.Errorf("HTTP %d %s: %s", status, printable(refused.ErrorCode), printable(refused.ErrorDescription))
	switch {
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return &Error{Reason: Unavailable, Message: fmt.Sprintf("Dropbox is unavailable (HTTP %d). Connect again later", status), Err: cause}
	case code == "invalid_client", code == "invalid_client_id", code == "unauthorized_client":
		return &Error{Reason: AppRefused, Message: fmt.Sprintf("Dropbox does not know the app %s, or wants its secret. Copy the app key from %s", c.AppKey, AppConsole), Err: cause}
	case strings.Contains(refused.ErrorDescription, "redirect_uri"):
		return &Error{Reason: AppRefused, Message: fmt.Sprintf("Dropbox does not accept the redirect URI %s. Add it to the app at %s", c.RedirectURI, AppConsole), Err: cause}
	case code == "invalid_grant":
		return &Error{Reason: CodeRefused, Message: "Dropbox does not accept the code: it has expired, was used before, or is incomplete. Begin again to get a new one", Err: cause}
	case code == "":
		return &Error{Reason: Refused, Message: fmt.Sprintf("Something on the way to Dropbox, such as a proxy, answered (HTTP %d). Begin again", status), Err: cause}
	default:
		return &Error{Reason: Refused, Message: fmt.Sprintf("Dropbox refused the code (HTTP %d %s). Begin again", status, printable(refused.ErrorCode)), Err: cause}
	}
}
