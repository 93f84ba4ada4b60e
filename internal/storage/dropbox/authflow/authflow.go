// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authflow lets a person connect a Dropbox account: OAuth 2 with PKCE (RFC 7636) as Dropbox has it
// (https://developers.dropbox.com/oauth-guide). The caller shows the URL, and hands in what comes back.
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

	"github.com/platen-dev/platen/internal/storage/dropbox"
)

const (
	// DefaultAuthorizeURL is the host of Dropbox's consent page.
	DefaultAuthorizeURL = "https://www.dropbox.com"
	// AppConsole is where a person sees to their app.
	AppConsole = "https://www.dropbox.com/developers/apps"

	exchangeTimeout = 30 * time.Second
	// maxDescription bounds what is shown of a text that came with a redirect.
	maxDescription = 200
)

// Scopes are what Platen needs, and all that it asks for.
var Scopes = []string{"account_info.read", "files.content.write", "files.metadata.read"}

// Config says with which app an account is connected.
type Config struct {
	// AppKey of the app; required.
	AppKey string
	// AppSecret is not needed with PKCE.
	AppSecret string
	// RedirectURI gets the code and must be registered for the app. Empty: Dropbox shows the code for the person to copy.
	RedirectURI string
	// AuthorizeURL and APIURL default to Dropbox's public hosts.
	AuthorizeURL, APIURL string
	// Transport defaults to http.DefaultTransport.
	Transport http.RoundTripper
}

// Attempt is one try to connect. Whoever begins it keeps it, unseen by others, until the code comes back. The encoding as JSON
// holds all of it, for a cookie that is encrypted.
type Attempt struct {
	// State returns with the redirect.
	State string `json:"state"`
	// Verifier proves at the exchange who began the attempt.
	Verifier string `json:"verifier"`
}

// NewAttempt returns an attempt that nobody can guess.
func NewAttempt() Attempt { return Attempt{State: rand.Text(), Verifier: oauth2.GenerateVerifier()} }

// Grant is what a person allowed. It never prints its token.
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
	// Denied by the person on the consent page.
	Denied Reason = "Denied"
	// StateMismatch is a redirect that does not belong to the attempt: forged, or from another tab.
	StateMismatch Reason = "StateMismatch"
	// CodeRefused is a code that has expired, was used before, is mistyped, or belongs to another attempt.
	CodeRefused Reason = "CodeRefused"
	// AppRefused is an app key, secret or redirect URI that Dropbox does not know.
	AppRefused Reason = "AppRefused"
	// MissingScope is an app without one of Scopes.
	MissingScope Reason = "MissingScope"
	// Refused is everything else that Dropbox said no to.
	Refused Reason = "Refused"
	// Unavailable is a Dropbox that cannot be reached or is out of order: trying again later may help.
	Unavailable Reason = "Unavailable"
)

// Error is an attempt that failed.
type Error struct {
	Reason Reason
	// Message in the user's words says what happened and what to do. It holds no secret.
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

// URL is the consent page of an attempt, for the person's browser. Whoever connected before is asked again, so that nobody
// connects an account unseen.
func (c Config) URL(a Attempt) string {
	config := c.oauth()
	return config.AuthCodeURL(a.State, oauth2.S256ChallengeOption(a.Verifier),
		oauth2.SetAuthURLParam("token_access_type", "offline"), oauth2.SetAuthURLParam("force_reapprove", "true"))
}

// Code takes the code out of the query with which Dropbox redirected the browser. The error is an *Error.
func (a Attempt) Code(query url.Values) (string, error) {
	// An answer of which the origin is unknown is not believed in any point.
	if a.State == "" || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(a.State)) != 1 {
		return "", &Error{Reason: StateMismatch, Message: "This answer does not belong to the attempt that was begun here. Begin again, and finish in the same browser"}
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

// printable makes a text that others wrote fit for a terminal or page.
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

// Exchange turns the code of an attempt into a grant. A code can be exchanged once. The error is an *Error.
func (c Config) Exchange(ctx context.Context, a Attempt, code string) (Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport: c.Transport,
		// A redirect would carry the code to another host.
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
		return Grant{}, &Error{Reason: Refused, Message: "Dropbox gave no refresh token, without which uploads end after some hours. Begin again"}
	}
	return Grant{RefreshToken: token.RefreshToken, AccountID: account}, nil
}

func (c Config) missingScope(scope string) *Error {
	return &Error{Reason: MissingScope, Message: fmt.Sprintf(
		"The app %s lacks the scope %s. Tick it under Permissions at %s, submit, and connect again", c.AppKey, scope, AppConsole)}
}

// explain turns a failed exchange into an *Error. The answer's body is left out: it may repeat what was sent.
func (c Config) explain(err error) *Error {
	refused := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &refused) || refused.Response == nil {
		return &Error{Reason: Unavailable, Message: "Dropbox could not be reached. Check the network and connect again", Err: err}
	}
	status := refused.Response.StatusCode
	cause := fmt.Errorf("HTTP %d %s: %s", status, printable(refused.ErrorCode), printable(refused.ErrorDescription))
	switch {
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return &Error{Reason: Unavailable, Message: fmt.Sprintf("Dropbox is unavailable (HTTP %d). Connect again later", status), Err: cause}
	case refused.ErrorCode == "invalid_client", refused.ErrorCode == "unauthorized_client":
		return &Error{Reason: AppRefused, Message: fmt.Sprintf("Dropbox does not know the app %s, or wants its secret. Copy the app key from %s", c.AppKey, AppConsole), Err: cause}
	case strings.Contains(refused.ErrorDescription, "redirect_uri"):
		return &Error{Reason: AppRefused, Message: fmt.Sprintf("Dropbox does not accept the redirect URI %s. Add it to the app at %s", c.RedirectURI, AppConsole), Err: cause}
	case refused.ErrorCode == "invalid_grant":
		return &Error{Reason: CodeRefused, Message: "Dropbox does not accept the code: it has expired, was used before, or is not complete. Begin again for a new one", Err: cause}
	default:
		return &Error{Reason: Refused, Message: fmt.Sprintf("Dropbox refused the code (HTTP %d %s). Begin again", status, printable(refused.ErrorCode)), Err: cause}
	}
}
