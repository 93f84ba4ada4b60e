// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dropbox is the storage provider for Dropbox's HTTP API v2 (https://www.dropbox.com/developers/documentation/http).
package dropbox

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"golang.org/x/oauth2"

	"github.com/platen-dev/platen/internal/reach"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// DefaultAPIURL is Dropbox's host for RPC calls and tokens.
	DefaultAPIURL = "https://api.dropboxapi.com"
	// DefaultContentURL is Dropbox's host for uploads.
	DefaultContentURL = "https://content.dropboxapi.com"

	// provider is the name of the service, as in spec.provider.
	provider = "dropbox"
	// maxAnswer bounds an answer, in bytes. The metadata of a thousand files fits.
	maxAnswer = 4 << 20
	// defaultCallTimeout bounds a call without a file.
	defaultCallTimeout = 30 * time.Second
	// defaultPatience is how long a call with a file may make no progress: Dropbox takes no byte, or has all and does not answer. The file
	// may be large and the line slow, also because a connection bounds its rate.
	defaultPatience = time.Minute
)

// Config of a Client.
type Config struct {
	// AppKey and RefreshToken are required, AppSecret only if the access was granted without PKCE.
	AppKey, AppSecret, RefreshToken string
	// APIURL and ContentURL default to the public hosts.
	APIURL, ContentURL string
	// RootNamespaceID makes paths relative to a team space.
	RootNamespaceID string
	// Transport defaults to reach.Transport.
	Transport http.RoundTripper
	// LargeFile is the size in bytes above which a file is sent in parallel chunks; it is also the greatest total size of the files
	// that one call of Upload sends. Default 64 MiB: above that, one connection to Dropbox is slower.
	LargeFile int64
	// Observer receives metrics. Default: none.
	Observer storage.Observer
	// Now defaults to time.Now.
	Now func() time.Time
}

// Client is a Dropbox account.
type Client struct {
	config Config
	oauth  oauth2.Config
	http   *http.Client

	tokens  tokens
	spare   spareSessions
	batches batches
	commits commits
	// callTimeout and patience bound calls.
	callTimeout, patience time.Duration
	// account is the id of the account, nil until Verify has asked for it.
	account atomic.Pointer[string]
}

// New returns the account of a config.
func New(config Config) (*Client, error) {
	if config.AppKey == "" || config.RefreshToken == "" {
		return nil, &storage.Error{Class: storage.Stop, Reason: storage.ReasonInvalidCredentials, Message: "App key and refresh token must not be empty"}
	}
	if config.APIURL == "" {
		config.APIURL = DefaultAPIURL
	}
	if config.ContentURL == "" {
		config.ContentURL = DefaultContentURL
	}
	if config.Transport == nil {
		config.Transport = reach.Transport()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	config.LargeFile = cmp.Or(config.LargeFile, 64<<20)
	if config.Observer == nil {
		config.Observer = storage.NopObserver{}
	}
	return &Client{
		config: config,
		oauth: oauth2.Config{
			ClientID: config.AppKey, ClientSecret: config.AppSecret,
			Endpoint: oauth2.Endpoint{TokenURL: config.APIURL + "/oauth2/token", AuthStyle: oauth2.AuthStyleInParams},
		},
		http: &http.Client{
			Transport: storage.WatchedTransport{Next: config.Transport},
			// A redirect would carry the token to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		tokens:   tokens{lock: make(chan struct{}, 1)},
		patience: defaultPatience, callTimeout: defaultCallTimeout,
	}, nil
}

// Key implements storage.Provider. It has the account's id or, until that is known, a digest of the credentials.
func (c *Client) Key() string {
	if id := c.account.Load(); id != nil {
		return provider + ":" + *id + ":" + c.config.RootNamespaceID
	}
	digest := sha256.Sum256([]byte(c.config.AppKey + "\n" + c.config.RefreshToken))
	return provider + ":" + hex.EncodeToString(digest[:]) + ":" + c.config.RootNamespaceID
}

// Verify implements storage.Provider.
func (c *Client) Verify(ctx context.Context) (storage.Account, error) {
	var who fullAccount
	if err := c.rpc(ctx, "/2/users/get_current_account", nil, &who); err != nil {
		return storage.Account{}, err
	}
	c.account.Store(&who.AccountID)
	var space spaceUsage
	if err := c.rpc(ctx, "/2/users/get_space_usage", nil, &space); err != nil {
		return storage.Account{}, err
	}
	used, allocated := space.tightest()
	return storage.Account{
		ID: who.AccountID, Email: who.Email, DisplayName: who.Name.DisplayName, SpaceUsed: used, SpaceAllocated: allocated,
	}, nil
}

// fullAccount is Dropbox's FullAccount.
type fullAccount struct {
	AccountID string `json:"account_id"`
	Email     string `json:"email"`
	Name      struct {
		DisplayName string `json:"display_name"`
	} `json:"name"`
}

// isComplete implements result.
func (a *fullAccount) isComplete() bool { return a.AccountID != "" }

// isComplete implements result.
func (s *spaceUsage) isComplete() bool { return s.Allocation.Tag != "" }

// spaceUsage is Dropbox's SpaceUsage.
type spaceUsage struct {
	// Used by the user's own files.
	Used       size `json:"used"`
	Allocation struct {
		Tag       string `json:".tag"`
		Allocated size   `json:"allocated"`
		// Used by the whole team.
		Used size `json:"used"`
		// MemberAllocated is what the user may use of the team's space; 0 is no limit. MemberUsed is what counts against it.
		MemberAllocated size `json:"user_within_team_space_allocated"`
		MemberUsed      size `json:"user_within_team_space_used_cached"`
		LimitType       struct {
			Tag string `json:".tag"`
		} `json:"user_within_team_space_limit_type"`
	} `json:"allocation"`
}

// size is a number of bytes. Dropbox's are of 64 bits without a sign, and a figure that cannot be read must not cost the connection.
type size int64

// UnmarshalJSON implements json.Unmarshaler.
func (s *size) UnmarshalJSON(data []byte) error {
	*s = 0
	if n, err := strconv.ParseInt(string(data), 10, 64); err == nil {
		*s = size(n)
	} else if n, err := strconv.ParseFloat(string(data), 64); err == nil {
		*s = size(max(min(n, 1<<62), 0)) // more than anybody has
	}
	return nil
}

// tightest returns the figures of the limit that leaves the least room; both are 0 if Dropbox does not say.
func (s spaceUsage) tightest() (used, allocated int64) {
	a := s.Allocation
	switch {
	case a.Tag == "individual":
		return int64(s.Used), int64(a.Allocated)
	case a.Tag != "team":
		return 0, 0
	case a.LimitType.Tag == "stop_sync" && a.MemberAllocated > 0 && (a.Allocated == 0 || a.MemberAllocated-a.MemberUsed < a.Allocated-a.Used):
		return int64(a.MemberUsed), int64(a.MemberAllocated)
	case a.Allocated == 0:
		return 0, 0
	default:
		return int64(a.Used), int64(a.Allocated)
	}
}

// EnsureFolder implements storage.Provider.
func (c *Client) EnsureFolder(ctx context.Context, folder string) error {
	if folder == "/" {
		return nil
	}
	// Creating a folder locks the account's files, even if the folder exists, and Dropbox refuses commits meanwhile. Looking does not.
	found, err := c.metadata(ctx, folder)
	if found != nil && found.Tag == "folder" {
		return nil
	}
	if err != nil && statusOf(err) != http.StatusConflict && !hasTag(err, "missing_scope") {
		return err
	}
	// What stops the look stops the creation too, whose error explains it better.
	err = c.rpc(ctx, "/2/files/create_folder_v2", map[string]any{"path": folder}, &createdFolder{})
	if err == nil || isConflict(err, "folder") {
		return nil
	}
	return withPath(err, folder)
}

// createdFolder is Dropbox's CreateFolderResult.
type createdFolder struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
}

// isComplete implements result.
func (f *createdFolder) isComplete() bool { return f.Metadata.Name != "" }

// result of a route. What answers in place of Dropbox may send JSON, too, with other fields.
type result interface {
	// isComplete reports whether the fields are there that Dropbox always sends.
	isComplete() bool
}

// nothing is the result of a route that returns none. Dropbox sends null; a route may return something one day.
type nothing struct {
	Error json.RawMessage `json:"error"`
}

// isComplete implements result.
func (n *nothing) isComplete() bool { return n.Error == nil }

// rpc calls a route of the API host.
func (c *Client) rpc(ctx context.Context, route string, arg any, into result) error {
	body := "null"
	if arg != nil {
		data, err := json.Marshal(arg)
		if err != nil {
			return fmt.Errorf("encoding the argument of %s: %w", route, err)
		}
		body = string(data)
	}
	return c.authorized(ctx, func(ctx context.Context, token string) error {
		ctx, cancel := context.WithTimeout(ctx, c.callTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.APIURL+route, strings.NewReader(body))
		if err != nil {
			return fmt.Errorf("making the request %s: %w", route, err)
		}
		req.Header.Set("Content-Type", "application/json")
		return c.do(req, token, into)
	})
}

// body of a call to the content host.
type body struct {
	// size in bytes.
	size int64
	// open returns the bytes from the start.
	open func(ctx context.Context) (io.ReadCloser, error)
}

// emptyBody is the body of a call that sends no bytes.
var emptyBody = body{open: func(context.Context) (io.ReadCloser, error) { return http.NoBody, nil }}

// content calls a route of the content host, whose argument travels in a header.
func (c *Client) content(ctx context.Context, route string, arg any, b body, into result) error {
	header, err := json.Marshal(arg)
	if err != nil {
		return fmt.Errorf("encoding the argument of %s: %w", route, err)
	}
	return c.authorized(ctx, func(ctx context.Context, token string) error {
		ctx, _, cancel := storage.Watch(ctx, c.patience)
		defer cancel()
		opened, err := b.open(ctx)
		if err != nil {
			return storage.Unreadable(err)
		}
		data := storage.NewSource(opened, b.size)
		defer func() { _ = opened.Close() }()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.ContentURL+route, io.NopCloser(data))
		if err != nil {
			return fmt.Errorf("making the request %s: %w", route, err)
		}
		// With the length announced, Dropbox never takes a truncated file for a whole one.
		req.ContentLength = b.size
		if b.size == 0 {
			req.Body = http.NoBody
		}
		req.Header.Set("Content-Type", "application/octet-stream")
		req.Header.Set("Dropbox-API-Arg", escapeHeader(string(header)))
		err = c.do(req, token, into)
		if unreadable := data.Err(); unreadable != nil {
			return unreadable
		}
		if b.size > 0 && statusOf(err) == http.StatusRequestEntityTooLarge {
			return tooLarge(err)
		}
		if err != nil {
			return err
		}
		c.config.Observer.Sent(provider, b.size)
		return nil
	})
}

// do makes a request and reports its result to the observer.
func (c *Client) do(req *http.Request, token string, into result) error {
	begun := time.Now()
	err := c.exchange(req, token, into)
	route := strings.TrimPrefix(req.URL.Path, "/2/")
	outcome := storage.Outcome(err)
	if isAnswer(route, err) {
		outcome = storage.Outcome(nil)
	}
	c.config.Observer.Called(provider, route, outcome, time.Since(begun))
	return err
}

// isAnswer reports whether an error of a route is what Platen asks for, and no failure of the call: that nothing is at a path, that the folder exists, or
// that another file is there, which conflictPolicy Keep leaves alone.
func isAnswer(route string, err error) bool {
	switch route {
	case "files/get_metadata":
		return isNothing(err)
	case "files/create_folder_v2":
		return isConflict(err, "folder")
	case "files/upload":
		return isConflict(err, "file")
	default:
		return false
	}
}

// exchange makes a request and decodes the answer.
func (c *Client) exchange(req *http.Request, token string, into result) error {
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
		// Dropbox repeats a header that it cannot read.
		return decodeError(resp.StatusCode, resp.Header, bytes.ReplaceAll(body, []byte(token), []byte("…")))
	}
	if isPage(resp.Header, body) {
		return foreignAnswer(&apiError{status: resp.StatusCode})
	}
	if err := json.Unmarshal(body, into); err != nil {
		return unexpected("not JSON, or not that of the route", err)
	}
	if !into.isComplete() {
		return unexpected("not that of the route", nil)
	}
	return nil
}

// escapeHeader makes JSON safe for the Dropbox-API-Arg header: each character from 0x7f on becomes \uXXXX, or a pair of them for
// characters above 0xffff.
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
