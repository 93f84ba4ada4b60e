// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/platen-dev/platen/internal/storage"
)

const (
	// refusalPause is how long the client waits before it tries a refused refresh token again.
	refusalPause = 10 * time.Minute
	// expirySlack is how long before its end the client replaces an access token, unless that is more than a quarter of its life. It is longer
	// than the time between two checks of a connection, which refresh the token too, so that an upload rarely waits for one.
	expirySlack = 15 * time.Minute
)

// tokens holds the access token of an account, in memory only.
type tokens struct {
	// lock is a mutex that a context can interrupt. It guards the fields below, also during a refresh, so that only one
	// refresh is in flight.
	lock chan struct{}
	// current has as its Expiry when to replace it; zero is once Dropbox refuses it.
	current *oauth2.Token
	// refused is the error of a refused refresh token; accessToken returns it until refusedUntil.
	refused      error
	refusedUntil time.Time
	// tries counts the refreshes, and failed is the error of the last one: who waited for it does not try again at once.
	tries  atomic.Int64
	failed error
}

// authorized makes a call with a valid access token. It refreshes a token that Dropbox refuses and repeats the call, once: Dropbox may have lost an
// access token while the refresh token is good.
func (c *Client) authorized(ctx context.Context, call func(ctx context.Context, token string) error) error {
	token, err := c.accessToken(ctx, "")
	if err != nil {
		return err
	}
	err = call(ctx, token)
	if err == nil || storage.AsError(err).Reason != storage.ReasonTokenExpired {
		return err
	}
	if token, err = c.accessToken(ctx, token); err != nil {
		return err
	}
	return call(ctx, token)
}

// accessToken returns the access token. It refreshes a token that expires soon, or is the stale one that Dropbox has refused.
func (c *Client) accessToken(ctx context.Context, stale string) (string, error) {
	tries := c.tokens.tries.Load()
	select {
	case c.tokens.lock <- struct{}{}:
		defer func() { <-c.tokens.lock }()
	case <-ctx.Done():
		return "", unreachable(ctx.Err())
	}
	now := c.config.Now()
	if t := c.tokens.current; t != nil && t.AccessToken != stale && (t.Expiry.IsZero() || now.Before(t.Expiry)) {
		return t.AccessToken, nil
	}
	if c.tokens.refused != nil && now.Before(c.tokens.refusedUntil) {
		return "", c.tokens.refused
	}
	if c.tokens.failed != nil && c.tokens.tries.Load() != tries {
		return "", c.tokens.failed
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.callTimeout)
	defer cancel()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport:     TokenTransport{c.config.Transport},
		CheckRedirect: c.http.CheckRedirect,
	})
	token, err := c.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: c.config.RefreshToken}).Token()
	c.tokens.tries.Add(1)
	c.tokens.failed = nil
	if err != nil {
		err = decodeTokenError(err)
		if caller.Err() == nil { // else this caller did not want to wait, and another may
			c.tokens.failed = err
		}
		c.config.Observer.Refreshed(provider, storage.Outcome(err))
		if problem := (*storage.Error)(nil); errors.As(err, &problem) && problem.Class == storage.Stop {
			problem.Message += c.config.mistake()
			c.tokens.refused, c.tokens.refusedUntil = err, now.Add(refusalPause)
		}
		return "", err
	}
	token.Expiry = time.Time{} // a token of unknown life is used until Dropbox refuses it
	if life := time.Duration(token.ExpiresIn) * time.Second; life > 0 {
		token.Expiry = now.Add(life - min(expirySlack, life/4))
	}
	c.config.Observer.Refreshed(provider, storage.Outcome(nil))
	c.tokens.current, c.tokens.refused = token, nil
	return token.AccessToken, nil
}

// mistake names, as the end of a message, what people often put in place of credentials; empty if nothing looks like it.
func (c Config) mistake() string {
	for _, value := range []struct{ name, text string }{{"app key", c.AppKey}, {"app secret", c.AppSecret}, {"refresh token", c.RefreshToken}} {
		if n := len(value.text); n > 1 && strings.ContainsRune("\"'`", rune(value.text[0])) && value.text[n-1] == value.text[0] {
			return fmt.Sprintf(": the %s is in quotes, which a Secret keeps", value.name)
		}
		plain, err := base64.StdEncoding.DecodeString(value.text)
		// Eight characters of a credential that is not encoded are hardly ever the code of printable ones.
		if isText := !bytes.ContainsFunc(bytes.TrimSpace(plain), func(r rune) bool { return r < '!' || r > '~' }); err == nil && len(plain) >= 8 && isText {
			return fmt.Sprintf(": the %s seems to be in base64 twice; a Secret's stringData takes it as it is", value.name)
		}
	}
	if strings.HasPrefix(c.RefreshToken, "sl.") {
		return ": the refresh token is an access token, which ends after four hours"
	}
	return ""
}

// TokenTransport lets x/oauth2 read the answers of Dropbox's token endpoint as they come. It bounds their size, leaves out an expires_in that x/oauth2 would
// refuse with the whole token, and gives JSON its type: x/oauth2 takes text for a form, with neither a token nor a reason in it.
type TokenTransport struct{ Next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t TokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.Next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(body, &fields) == nil {
		seconds, err := strconv.ParseFloat(strings.Trim(string(fields["expires_in"]), `"`), 64)
		delete(fields, "expires_in")
		if err == nil && seconds >= 1 {
			fields["expires_in"] = strconv.AppendInt(nil, int64(min(seconds, math.MaxInt32)), 10)
		}
		if changed, err := json.Marshal(fields); err == nil {
			body = changed
			resp.Header.Set("Content-Type", "application/json")
		}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}
