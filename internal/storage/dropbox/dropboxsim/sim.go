// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dropboxsim is a strict simulator of Dropbox's HTTP API v2, for tests, benchmarks and the demo. It refuses what Dropbox refuses,
// with the same bytes. One listener serves the hosts api.dropboxapi.com, content.dropboxapi.com and www.dropbox.com.
package dropboxsim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"
)

const (
	// tokenLife is how long an access token is valid.
	tokenLife = 14400 * time.Second
	// maxUpload is the greatest size of one files/upload or session append, in bytes.
	maxUpload = 150 << 20
	// maxRPC is the greatest size of an RPC body, in bytes.
	maxRPC = 1 << 20
	// maxLog bounds the request log; the oldest entries are dropped.
	maxLog = 100_000
	// hashBlock is the block size of Dropbox's content_hash, in bytes.
	hashBlock = 4 << 20
	// maxSessions bounds the sessions, tokens, codes, grants and cursors, and so the simulator's memory.
	maxSessions = 100_000
	// sessionLife is how long an upload session is valid.
	sessionLife = 7 * 24 * time.Hour
	// homeNamespace is the namespace of a user's own files.
	homeNamespace = "1"
)

// Account is a Dropbox account with one connected app. The consent page lets other accounts connect the same app.
type Account struct {
	// AppKey and RefreshToken are the app's credentials.
	AppKey       string `json:"appKey"`
	AppSecret    string `json:"appSecret,omitempty"`
	RefreshToken string `json:"refreshToken"`
	Email        string `json:"email"`
	DisplayName  string `json:"displayName"`
	// Quota in bytes; 0 means 2 GiB.
	Quota int64 `json:"quota,omitempty"`
	// Scopes of the app; empty means all that Platen and rclone need.
	Scopes []string `json:"scopes,omitempty"`
	// Revoked makes refreshes fail.
	Revoked bool `json:"revoked,omitempty"`
	// AppName as the consent page shows it; empty means the AppKey.
	AppName string `json:"appName,omitempty"`
	// RedirectURIs registered for the app. A request must name one of them exactly, or none.
	RedirectURIs []string `json:"redirectURIs,omitempty"`
	// TeamSpace is the id of the account's team space, which the header Dropbox-API-Path-Root may name as the root; empty for an account
	// without a team.
	TeamSpace string `json:"teamSpace,omitempty"`
	// Team is the space that the account shares with its team; nil for an account with a Quota of its own.
	Team *Team `json:"team,omitempty"`
}

// Team is the space of a team, in bytes.
type Team struct {
	// Used by the other members, and Allocated to all together.
	Used      int64 `json:"used"`
	Allocated int64 `json:"allocated"`
	// MemberAllocated is the account's own limit, 0 for none. LimitType says what it does: off, which is the default, alert_only or
	// stop_sync.
	MemberAllocated int64  `json:"memberAllocated,omitempty"`
	LimitType       string `json:"limitType,omitempty"`
}

// hasRoom reports whether the account may use so many bytes.
func (a *account) hasRoom(used int64) bool {
	t := a.Team
	if t == nil {
		return used <= a.Quota
	}
	return t.Used+used <= t.Allocated && (t.LimitType != "stop_sync" || t.MemberAllocated == 0 || used <= t.MemberAllocated)
}

// Entry is a line of the request log.
type Entry struct {
	Seq    int       `json:"seq"`
	Time   time.Time `json:"time"`
	Route  string    `json:"route"`
	AppKey string    `json:"appKey,omitempty"`
	Arg    string    `json:"arg,omitempty"`
	Bytes  int64     `json:"bytes"`
	Status int       `json:"status"`
	Fault  bool      `json:"fault,omitempty"`
}

// File is a file at a path.
type File struct {
	Path        string `json:"path"`
	Size        int64  `json:"size"`
	ContentHash string `json:"contentHash"`
	// Commits counts the commits of content to this path.
	Commits int `json:"commits"`
}

// Server is the simulator. It is an http.Handler.
type Server struct {
	mux *http.ServeMux

	mu       sync.Mutex
	skew     time.Duration
	latency  time.Duration
	accounts map[string]*account // by app key
	tokens   map[string]*token
	sessions map[string]*session
	faults   []*Fault
	log      []Entry
	seq      int
	dots     int
	cursors  map[string]cursor
	codes    map[string]*code
	grants   map[string]*grant // by refresh token
	// journal keeps the state; nil unless Persist was called.
	journal *os.File
}

// account is an Account and its files.
type account struct {
	Account
	id string
	// spaces by namespace id: the user's own files, and those of the team.
	spaces map[string]*space
}

// space is a tree of files.
type space struct {
	account   *account
	namespace string
	entries   map[string]*entry // by folded path
	// locked is true during a commit, when Dropbox refuses others.
	locked bool
}

// token is an access token.
type token struct {
	account *account
	expires time.Time
	scopes  []string
	// refresh is the refresh token of the same grant, empty if the app has none.
	refresh string
}

// entry is a file or folder.
type entry struct {
	id, display, rev string
	folder           bool
	data             content
	hash             string
	modified         time.Time
	clientModified   string
	commits          int
}

// cursor is the rest of a listing.
type cursor struct {
	space *space
	paths []string
}

// New returns an empty simulator.
func New() *Server {
	s := &Server{
		mux: http.NewServeMux(), accounts: map[string]*account{}, tokens: map[string]*token{},
		sessions: map[string]*session{}, cursors: map[string]cursor{},
		codes: map[string]*code{}, grants: map[string]*grant{},
	}
	s.routes()
	return s
}

// AddAccount adds an account, or updates the account with the same AppKey.
func (s *Server) AddAccount(a Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addAccount(a)
	s.keep(change{Account: &a})
}

// addAccount is AddAccount with the lock held.
func (s *Server) addAccount(a Account) {
	if a.Quota == 0 {
		a.Quota = 2 << 30
	}
	if len(a.Scopes) == 0 {
		a.Scopes = []string{"account_info.read", "files.content.read", "files.content.write", "files.metadata.read", "files.metadata.write"}
	}
	if known := s.accounts[a.AppKey]; known != nil {
		known.Account = a
		return
	}
	s.accounts[a.AppKey] = &account{Account: a, id: "dbid:" + random(26), spaces: map[string]*space{}}
}

// RemoveAccount removes an account with its files and access tokens.
func (s *Server) RemoveAccount(appKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeAccount(appKey)
	s.keep(change{Removed: appKey})
}

// removeAccount is RemoveAccount with the lock held.
func (s *Server) removeAccount(appKey string) {
	maps.DeleteFunc(s.tokens, func(_ string, t *token) bool { return t.account.AppKey == appKey })
	maps.DeleteFunc(s.sessions, func(_ string, u *session) bool { return u.account.AppKey == appKey })
	delete(s.accounts, appKey)
}

// space returns the files of a namespace.
func (a *account) space(namespace string) *space {
	if a.spaces[namespace] == nil {
		a.spaces[namespace] = &space{account: a, namespace: namespace, entries: map[string]*entry{}}
	}
	return a.spaces[namespace]
}

// ExpireTokens lets all access tokens expire.
func (s *Server) ExpireTokens() { s.AdvanceClock(tokenLife) }

// AdvanceClock moves the simulator's clock.
func (s *Server) AdvanceClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew += d
}

// SetLatency delays every answer.
func (s *Server) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// Files lists an account's own files, by path.
func (s *Server) Files(appKey string) []File { return s.FilesIn(appKey, homeNamespace) }

// FilesIn lists the files of a namespace, such as the account's team space, by path.
func (s *Server) FilesIn(appKey, namespace string) []File {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[appKey]
	if a == nil {
		return nil
	}
	var files []File
	for _, e := range a.space(namespace).entries {
		if !e.folder {
			files = append(files, File{Path: e.display, Size: e.data.size, ContentHash: e.hash, Commits: e.commits})
		}
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	return files
}

// Content returns the bytes of a file.
func (s *Server) Content(appKey, path string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[appKey]; a != nil {
		if e := a.space(homeNamespace).entries[fold(path)]; e != nil && !e.folder {
			return e.data.bytes(), true
		}
	}
	return nil, false
}

// Log returns the request log, oldest first.
func (s *Server) Log() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Entry(nil), s.log...)
}

// ClearLog empties the request log.
func (s *Server) ClearLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// now returns the simulator's time. The lock must be held.
func (s *Server) now() time.Time { return time.Now().Add(s.skew).UTC().Truncate(time.Second) }

// record appends an entry to the request log.
func (s *Server) record(e Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recordLocked(e)
}

// recordLocked is record with the lock held.
func (s *Server) recordLocked(e Entry) {
	s.seq++
	e.Seq, e.Time = s.seq, time.Now()
	if len(s.log) >= maxLog {
		s.log = s.log[1:]
	}
	s.log = append(s.log, e)
}

// used returns the size of all files of the account, in bytes.
func (a *account) used() (sum int64) {
	for _, space := range a.spaces {
		for _, e := range space.entries {
			sum += e.data.size
		}
	}
	return sum
}

// random returns n random hexadecimal characters.
func random(n int) string {
	data := make([]byte, (n+1)/2)
	_, _ = rand.Read(data) // never fails, see crypto/rand
	return hex.EncodeToString(data)[:n]
}

// fold returns the key of a path in a space. Dropbox ignores case and Unicode's normal forms, and preserves both.
func fold(path string) string { return norm.NFC.String(strings.ToLower(norm.NFC.String(path))) }

// metadata returns Dropbox's Metadata of an entry.
func (s *Server) metadata(e *entry) map[string]any {
	m := map[string]any{
		"name": e.display[strings.LastIndex(e.display, "/")+1:], "path_lower": fold(e.display), "path_display": e.display, "id": e.id,
	}
	if e.folder {
		m[".tag"] = "folder"
		return m
	}
	stamp := e.modified.Format(time.RFC3339)
	m[".tag"], m["rev"], m["size"], m["content_hash"], m["is_downloadable"] = "file", e.rev, e.data.size, e.hash, true
	m["server_modified"], m["client_modified"] = stamp, stamp
	if e.clientModified != "" {
		m["client_modified"] = e.clientModified
	}
	return m
}

// summary returns an error_summary: the tags and some dots. Their number varies, so that no client relies on it.
func (s *Server) summary(tags ...string) string {
	s.dots = (s.dots + 1) % 4
	return fmt.Sprintf("%s/%s", strings.Join(tags, "/"), strings.Repeat(".", s.dots))
}
