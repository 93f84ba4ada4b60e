// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dropbox is the storage provider for Dropbox's HTTP API v2 (https://www.dropbox.com/developers/documentation/http).
package dropbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/oauth2"

	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// DefaultAPIURL is Dropbox's host for RPC calls and tokens.
	DefaultAPIURL = "https://api.dropboxapi.com"
	// DefaultContentURL is Dropbox's host for uploads.
	DefaultContentURL = "https://content.dropboxapi.com"

	// maxUpload is the limit of files/upload.
	maxUpload = 150 << 20
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 1 << 20
	// callTimeout bounds a call that moves no file; uploads get a second more for each uploadRate bytes.
	callTimeout = 30 * time.Second
	uploadRate  = 64 << 10
	// grantPause is how long a refused refresh token is not tried again.
	grantPause = 10 * time.Minute
)

// Config says how an account is reached.
type Config struct {
	// AppKey and RefreshToken are required, AppSecret only for apps that were authorized without PKCE.
	AppKey, AppSecret, RefreshToken string
	// APIURL and ContentURL default to the public hosts.
	APIURL, ContentURL string
	// RootNamespaceID makes paths relative to a team space.
	RootNamespaceID string
	// Transport defaults to http.DefaultTransport.
	Transport http.RoundTripper
	// Now defaults to time.Now.
	Now func() time.Time
}

// Client is a Dropbox account.
type Client struct {
	config Config
	oauth  oauth2.Config
	http   *http.Client

	// refreshing is held by whoever reads or refreshes what follows, so that one refresh is in flight at a time.
	refreshing chan struct{}
	token      *oauth2.Token
	// refused is the answer to a refresh token that was refused, kept until refusedUntil.
	refused      error
	refusedUntil time.Time
}

// New returns the account of a config.
func New(config Config) (*Client, error) {
	if config.AppKey == "" || config.RefreshToken == "" {
		return nil, &storage.Error{Class: storage.Stop, Reason: "InvalidCredentials", Message: "App key and refresh token must not be empty"}
	}
	if config.APIURL == "" {
		config.APIURL = DefaultAPIURL
	}
	if config.ContentURL == "" {
		config.ContentURL = DefaultContentURL
	}
	if config.Transport == nil {
		config.Transport = http.DefaultTransport
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Client{
		config: config,
		oauth: oauth2.Config{
			ClientID: config.AppKey, ClientSecret: config.AppSecret,
			Endpoint: oauth2.Endpoint{TokenURL: config.APIURL + "/oauth2/token", AuthStyle: oauth2.AuthStyleInParams},
		},
		http: &http.Client{
			Transport: config.Transport,
			// A redirect would carry the token to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		refreshing: make(chan struct{}, 1),
	}, nil
}

// Verify implements storage.Provider.
func (c *Client) Verify(ctx context.Context) (storage.Account, error) {
	var who struct {
		AccountID string `json:"account_id"`
		Email     string `json:"email"`
		Name      struct {
			DisplayName string `json:"display_name"`
		} `json:"name"`
	}
	if err := c.rpc(ctx, "/2/users/get_current_account", nil, &who); err != nil {
		return storage.Account{}, err
	}
	var space struct {
		Used       int64 `json:"used"`
		Allocation struct {
			Allocated int64 `json:"allocated"`
		} `json:"allocation"`
	}
	if err := c.rpc(ctx, "/2/users/get_space_usage", nil, &space); err != nil {
		return storage.Account{}, err
	}
	return storage.Account{
		ID: who.AccountID, Email: who.Email, DisplayName: who.Name.DisplayName,
		SpaceUsed: space.Used, SpaceAllocated: space.Allocation.Allocated,
	}, nil
}

// EnsureFolder implements storage.Provider.
func (c *Client) EnsureFolder(ctx context.Context, folder string) error {
	if folder == "/" {
		return nil
	}
	err := c.rpc(ctx, "/2/files/create_folder_v2", map[string]any{"path": folder}, nil)
	if isConflict(err, "folder") {
		return nil
	}
	return err
}

type metadata struct {
	Tag         string `json:".tag"`
	PathDisplay string `json:"path_display"`
	ContentHash string `json:"content_hash"`
}

// Upload implements storage.Provider. A file of which nothing is known costs one call.
func (c *Client) Upload(ctx context.Context, f storage.File) (storage.Uploaded, error) {
	if f.Size > maxUpload {
		return storage.Uploaded{}, &storage.Error{
			Class: storage.Stop, Reason: "FileTooLarge",
			Message: fmt.Sprintf("File of %d bytes is larger than the %d bytes that one upload may have", f.Size, int64(maxUpload)),
		}
	}
	if f.Doubtful {
		switch found, err := c.look(ctx, f.Path); {
		case err != nil:
			return storage.Uploaded{}, err
		case found != nil && found.ContentHash == f.ContentHash:
			return storage.Uploaded{Path: found.PathDisplay, ContentHash: found.ContentHash}, nil
		}
	}
	arg := map[string]any{"path": f.Path, "content_hash": f.ContentHash, "mute": true, "mode": "overwrite"}
	switch f.ConflictPolicy {
	case storage.Rename:
		arg["mode"], arg["autorename"] = "add", true
	case storage.Keep:
		arg["mode"] = "add"
	case storage.Overwrite:
	}
	var done metadata
	err := c.authorized(ctx, func(ctx context.Context, token string) error { return c.send(ctx, token, f, arg, &done) })
	failpoint.Hit("upload.after-commit-answer-lost")
	if f.ConflictPolicy == storage.Keep && isConflict(err, "file") {
		return storage.Uploaded{Path: f.Path, Kept: true}, nil
	}
	if err != nil {
		return storage.Uploaded{}, err
	}
	if done.ContentHash != f.ContentHash {
		return storage.Uploaded{}, &storage.Error{
			Class: storage.Stop, Reason: "ContentChanged",
			Message: "Dropbox holds other bytes than were sent to " + f.Path,
		}
	}
	return storage.Uploaded{Path: done.PathDisplay, ContentHash: done.ContentHash}, nil
}

// look returns what stands at a path, nil when nothing does.
func (c *Client) look(ctx context.Context, path string) (*metadata, error) {
	found := &metadata{}
	err := c.rpc(ctx, "/2/files/get_metadata", map[string]any{"path": path}, found)
	if isTag(err, "not_found") {
		return nil, nil //nolint:nilnil // nothing stands there, and that is no error
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (c *Client) send(ctx context.Context, token string, f storage.File, arg map[string]any, done *metadata) error {
	body, err := f.Open(ctx)
	if err != nil {
		return &storage.Error{Class: storage.Retry, Reason: "ContentUnreadable", Message: "The rendered file could not be read", Err: err}
	}
	defer func() { _ = body.Close() }()
	ctx, cancel := context.WithTimeout(ctx, callTimeout+time.Duration(f.Size/uploadRate)*time.Second)
	defer cancel()
	header, err := json.Marshal(arg)
	if err != nil {
		return fmt.Errorf("encoding the upload argument: %w", err)
	}
	// The length is announced, so that a file that is cut short is never committed.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.ContentURL+"/2/files/upload", io.NopCloser(body))
	if err != nil {
		return fmt.Errorf("making the upload request: %w", err)
	}
	req.ContentLength = f.Size
	if f.Size == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Dropbox-API-Arg", escapeHeader(string(header)))
	return c.do(req, token, done)
}

// rpc calls a route of the API host.
func (c *Client) rpc(ctx context.Context, route string, arg, result any) error {
	body := "null"
	if arg != nil {
		data, err := json.Marshal(arg)
		if err != nil {
			return fmt.Errorf("encoding the argument of %s: %w", route, err)
		}
		body = string(data)
	}
	return c.authorized(ctx, func(ctx context.Context, token string) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.APIURL+route, strings.NewReader(body))
		if err != nil {
			return fmt.Errorf("making the request %s: %w", route, err)
		}
		req.Header.Set("Content-Type", "application/json")
		return c.do(req, token, result)
	})
}

func (c *Client) do(req *http.Request, token string, result any) error {
	req.Header.Set("Authorization", "Bearer "+token)
	if id := c.config.RootNamespaceID; id != "" {
		req.Header.Set("Dropbox-API-Path-Root", fmt.Sprintf(`{".tag":"root","root":%q}`, id))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return unreachable(err)
	}
	if resp.StatusCode != http.StatusOK {
		return decodeError(resp.StatusCode, resp.Header, body)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(body, result); err != nil {
		return &storage.Error{Class: storage.Retry, Reason: "UnexpectedAnswer", Message: "Dropbox gave an answer that is no JSON", Err: err}
	}
	return nil
}

// authorized makes a call with a valid access token. A token that Dropbox calls expired is refreshed once.
func (c *Client) authorized(ctx context.Context, call func(ctx context.Context, token string) error) error {
	token, err := c.accessToken(ctx, "")
	if err != nil {
		return err
	}
	err = call(ctx, token)
	if !isTag(err, "expired_access_token") {
		return err
	}
	if token, err = c.accessToken(ctx, token); err != nil {
		return err
	}
	return call(ctx, token)
}

// accessToken returns the access token, refreshed when it has expired or is the stale one that Dropbox refused. Whoever comes
// while a refresh is under way waits for it.
func (c *Client) accessToken(ctx context.Context, stale string) (string, error) {
	select {
	case c.refreshing <- struct{}{}:
		defer func() { <-c.refreshing }()
	case <-ctx.Done():
		return "", unreachable(ctx.Err())
	}
	now := c.config.Now()
	if t := c.token; t != nil && t.AccessToken != stale && now.Before(t.Expiry) {
		return t.AccessToken, nil
	}
	if c.refused != nil && now.Before(c.refusedUntil) {
		return "", c.refused
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport:     limitBody{c.config.Transport},
		CheckRedirect: c.http.CheckRedirect,
	})
	token, err := c.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: c.config.RefreshToken}).Token()
	if err != nil {
		err = decodeTokenError(err)
		if problem := (*storage.Error)(nil); errors.As(err, &problem) && problem.Class == storage.Stop {
			c.refused, c.refusedUntil = err, now.Add(grantPause)
		}
		return "", err
	}
	if token.ExpiresIn > 0 {
		token.Expiry = now.Add(time.Duration(token.ExpiresIn) * time.Second)
	}
	c.token, c.refused = token, nil
	return token.AccessToken, nil
}

// limitBody bounds the answers that x/oauth2 reads.
type limitBody struct{ next http.RoundTripper }

func (l limitBody) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// escapeHeader makes JSON safe for the Dropbox-API-Arg header: every character from 0x7f on becomes \uXXXX, those beyond the
// basic plane a surrogate pair.
func escapeHeader(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < 0x7f:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
