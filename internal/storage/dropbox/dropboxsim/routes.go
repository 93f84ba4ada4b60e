// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf16"
)

// call is one request of an account.
type call struct {
	server  *Server
	route   string
	account *account
	// space is the root of the paths.
	space  *space
	arg    []byte
	body   part
	header http.Header
}

// handler returns the JSON value that answers a call, or a download. The server's lock is held.
type handler func(c *call) (any, *apiError)

// committing locks the space during a change of its files or folders, and refuses a second one meanwhile: also one that would change nothing, such as
// a folder that exists.
func committing(h handler) handler {
	return func(c *call) (any, *apiError) {
		if c.space.locked {
			return nil, &apiError{
				status: http.StatusTooManyRequests, header: map[string]string{"Retry-After": "1"},
				body: map[string]any{
					"error_summary": c.server.summary("too_many_write_operations"),
					"error":         map[string]any{"reason": tag("too_many_write_operations"), "retry_after": 1},
				},
			}
		}
		c.space.locked = true
		defer func() { c.space.locked = false }()
		return h(c)
	}
}

// delayed delays an answer by the latency that was set, without the lock.
func delayed(h handler) handler {
	return func(c *call) (any, *apiError) {
		if latency := c.server.latency; latency > 0 {
			c.server.mu.Unlock()
			time.Sleep(latency) //nolint:forbidigo // a delay is wanted
			c.server.mu.Lock()
		}
		return h(c)
	}
}

// download is an answer with the bytes of a file.
type download struct {
	metadata any
	data     []byte
}

// routes registers the simulator's routes. Content routes have their argument in a header.
func (s *Server) routes() {
	s.oauthRoutes()
	rpc := func(route, scope string, h handler) { s.mux.Handle("POST "+route, s.api(route, scope, false, h)) }
	content := func(route, scope string, h handler) { s.mux.Handle("POST "+route, s.api(route, scope, true, h)) }
	rpc("/2/check/user", "account_info.read", delayed(checkUser))
	rpc("/2/users/get_current_account", "account_info.read", delayed(currentAccount))
	rpc("/2/users/get_space_usage", "account_info.read", delayed(spaceUsage))
	rpc("/2/files/get_metadata", "files.metadata.read", delayed(getMetadata))
	rpc("/2/files/create_folder_v2", "files.content.write", committing(delayed(createFolder)))
	rpc("/2/files/list_folder", "files.metadata.read", delayed(listFolder))
	rpc("/2/files/list_folder/continue", "files.metadata.read", delayed(listFolderContinue))
	rpc("/2/files/delete_v2", "files.content.write", committing(delayed(deleteEntry)))
	content("/2/files/upload", "files.content.write", committing(delayed(upload)))
	content("/2/files/download", "files.content.read", delayed(downloadFile))
	content("/2/files/upload_session/start", "files.content.write", delayed(sessionStart))
	content("/2/files/upload_session/append_v2", "files.content.write", delayed(sessionAppend))
	content("/2/files/upload_session/append_batch", "files.content.write", delayed(sessionAppendBatch))
	content("/2/files/upload_session/finish", "files.content.write", committing(delayed(sessionFinish)))
	rpc("/2/files/upload_session/start_batch", "files.content.write", delayed(sessionStartBatch))
	rpc("/2/files/upload_session/finish_batch_v2", "files.content.write", committing(delayed(sessionFinishBatch)))
	s.control()
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if role := hostRole(r.Host); role != "" && !strings.HasPrefix(r.URL.Path, "/_sim/") && role != pathRole(r.URL.Path) {
		w.Header().Set("X-Dropbox-Request-Id", random(32))
		http.Error(w, "Unknown API function", http.StatusNotFound)
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/_sim/") && s.applyFault(w, r) {
		return
	}
	w.Header().Set("X-Dropbox-Request-Id", random(32))
	s.mux.ServeHTTP(w, r)
}

// hostRole returns which of Dropbox's hosts a name is, content or api; empty for any other name.
func hostRole(host string) string {
	name, _, _ := strings.Cut(host, ":")
	switch name {
	case "content.dropboxapi.com":
		return "content"
	case "api.dropboxapi.com", "www.dropbox.com", "api.dropbox.com":
		return "api"
	default:
		return ""
	}
}

// pathRole returns the host that serves a path, content or api.
func pathRole(path string) string {
	switch path {
	case "/2/files/upload", "/2/files/download", "/2/files/upload_session/start", "/2/files/upload_session/append_v2", "/2/files/upload_session/append_batch",
		"/2/files/upload_session/finish":
		return "content"
	default:
		return "api"
	}
}

// api adds to a handler what all routes share: authorization, argument, log and answer.
func (s *Server) api(route, scope string, inHeader bool, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{server: s, route: route, header: r.Header}
		value, refusal := s.answer(c, r, scope, inHeader, h)
		line := Entry{Route: route, Arg: string(c.arg), Bytes: int64(len(c.body.data)), Status: http.StatusOK}
		if c.account != nil {
			line.AppKey = c.account.AppKey
		}
		if refusal != nil {
			line.Status = refusal.status
		}
		s.record(line)
		if drop, ok := r.Context().Value(dropAfter{}).(func()); ok {
			drop()
		}
		respond(w, r, value, refusal)
	})
}

// answer checks a call and returns the handler's answer.
func (s *Server) answer(c *call, r *http.Request, scope string, inHeader bool, h handler) (any, *apiError) {
	limit := int64(maxRPC)
	if inHeader {
		limit = maxUpload
	}
	body, err := readBody(r.Body, r.ContentLength, limit)
	if inHeader {
		c.body = newPart(body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		return nil, badInput(c.route, "request body: the connection was closed")
	}
	if refusal := s.authorize(c, r, scope); refusal != nil {
		return nil, refusal
	}
	if int64(len(body)) > limit {
		return nil, &apiError{status: http.StatusRequestEntityTooLarge, body: "Request body too large"}
	}
	if refusal := c.resolveRoot(r.Header.Get("Dropbox-API-Path-Root")); refusal != nil {
		return nil, refusal
	}
	contentType := r.Header.Get("Content-Type")
	if inHeader {
		if bodyless := c.route == "/2/files/download" && (contentType == "" || contentType == "text/plain"); contentType != "application/octet-stream" && !bodyless {
			return nil, badInput(c.route, "Bad HTTP \"Content-Type\" header: %q.  Expecting one of \"application/octet-stream\", \"text/plain; charset=dropbox-cors-hack\".", contentType)
		}
		header := r.Header.Get("Dropbox-API-Arg")
		for i := range len(header) {
			if header[i] >= 0x7f {
				return nil, badInput(c.route, "HTTP header \"Dropbox-API-Arg\": could not decode input as JSON")
			}
		}
		c.arg = []byte(header)
	} else {
		c.arg = body
		if contentType != "application/json" && contentType != "application/json; charset=utf-8" && (len(body) > 0 || contentType != "") {
			return nil, badInput(c.route, "Bad HTTP \"Content-Type\" header: %q.  Expecting one of \"application/json\", \"application/json; charset=utf-8\".", contentType)
		}
	}
	return h(c)
}

// resolveRoot sets the call's space by the rules of https://www.dropbox.com/developers/reference/path-root-header-modes. The lock must be
// held.
func (c *call) resolveRoot(header string) *apiError {
	c.space = c.account.space(homeNamespace)
	if header == "" {
		return nil
	}
	var mode struct {
		Tag         string `json:".tag"`
		Root        string `json:"root"`
		NamespaceID string `json:"namespace_id"`
	}
	if json.Unmarshal([]byte(header), &mode) != nil {
		return badInput(c.route, "HTTP header \"Dropbox-API-Path-Root\": could not decode input as JSON")
	}
	team := c.account.TeamSpace
	switch {
	case mode.Tag == "home":
	case mode.Tag == "root" && mode.Root == c.account.root(), mode.Tag == "namespace_id" && (mode.NamespaceID == homeNamespace || team != "" && mode.NamespaceID == team):
		c.space = c.account.space(mode.Root + mode.NamespaceID)
	case mode.Tag == "root":
		return c.unprocessable(map[string]any{".tag": "invalid_root", "invalid_root": c.account.rootInfo()})
	default:
		return c.unprocessable(tag("no_permission"))
	}
	return nil
}

// unprocessable returns a 422.
func (c *call) unprocessable(value map[string]any) *apiError {
	return &apiError{status: http.StatusUnprocessableEntity, body: map[string]any{
		"error_summary": c.server.summary(tagsOf(value)...), "error": value,
	}}
}

// root returns the namespace of the account's root: the team space, else the user's own.
func (a *account) root() string { return cmp.Or(a.TeamSpace, homeNamespace) }

// rootInfo returns Dropbox's RootInfo.
func (a *account) rootInfo() map[string]any {
	info := map[string]any{".tag": "user", "root_namespace_id": a.root(), "home_namespace_id": homeNamespace}
	if a.TeamSpace != "" {
		info[".tag"], info["home_path"] = "team", "/"+a.DisplayName
	}
	return info
}

// authorize finds the account of the access token. The lock must be held.
func (s *Server) authorize(c *call, r *http.Request, scope string) *apiError {
	value, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return badInput(c.route, "Must provide HTTP header \"Authorization\" or URL parameter \"authorization\".")
	}
	t := s.tokens[value]
	switch {
	case t == nil:
		return s.unauthorized(tag("invalid_access_token"))
	case !s.now().Before(t.expires):
		return s.unauthorized(tag("expired_access_token"))
	case scope != "" && !slices.Contains(t.scopes, scope):
		return s.unauthorized(map[string]any{".tag": "missing_scope", "required_scope": scope})
	}
	c.account = t.account
	return nil
}

// decode decodes the argument. Like Dropbox it refuses unknown fields.
func (c *call) decode(target any) *apiError {
	decoder := json.NewDecoder(bytes.NewReader(c.arg))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		return badInput(c.route, "request body: could not decode input as JSON (%v)", err)
	}
	return nil
}

// respond writes a value, a download or an error.
func respond(w http.ResponseWriter, r *http.Request, value any, refusal *apiError) {
	if refusal != nil {
		for name, v := range refusal.header {
			w.Header().Set(name, v)
		}
		if text, ok := refusal.body.(string); ok {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(refusal.status)
			_, _ = io.WriteString(w, text)
			return
		}
		writeJSON(w, refusal.status, refusal.body)
		return
	}
	if d, ok := value.(download); ok {
		w.Header().Set("Dropbox-API-Result", ascii(d.metadata))
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.data))
		return
	}
	writeJSON(w, http.StatusOK, value)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// ascii returns a value in JSON, with everything beyond ASCII escaped as headers need it.
func ascii(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return "null"
	}
	var b strings.Builder
	for _, r := range string(data) {
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

func checkUser(c *call) (any, *apiError) {
	var arg struct {
		Query string `json:"query"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	return map[string]any{"result": arg.Query}, nil
}

func currentAccount(c *call) (any, *apiError) {
	if refusal := c.noArgument(); refusal != nil {
		return nil, refusal
	}
	return map[string]any{
		"account_id": c.account.id, "email": c.account.Email, "email_verified": true, "disabled": false, "locale": "en",
		"country": "US", "referral_link": "https://db.tt/x", "is_paired": false, "account_type": tag("basic"), "root_info": c.account.rootInfo(),
		"name": map[string]any{
			"given_name": c.account.DisplayName, "surname": "", "familiar_name": c.account.DisplayName,
			"display_name": c.account.DisplayName, "abbreviated_name": "P",
		},
	}, nil
}

func spaceUsage(c *call) (any, *apiError) {
	if refusal := c.noArgument(); refusal != nil {
		return nil, refusal
	}
	used := c.account.used()
	allocation := map[string]any{".tag": "individual", "allocated": c.account.Quota}
	if t := c.account.Team; t != nil {
		allocation = map[string]any{
			".tag": "team", "used": t.Used + used, "allocated": t.Allocated, "user_within_team_space_allocated": t.MemberAllocated,
			"user_within_team_space_limit_type": tag(cmp.Or(t.LimitType, "off")), "user_within_team_space_used_cached": used,
		}
	}
	return map[string]any{"used": used, "allocation": allocation}, nil
}

// noArgument returns an error unless the argument is null or missing.
func (c *call) noArgument() *apiError {
	if text := strings.TrimSpace(string(c.arg)); text != "" && text != "null" {
		return badInput(c.route, "request body: expected null, got %.20s", text)
	}
	return nil
}

// lookupError returns the error of a path that cannot be read.
func lookupError(c *call, name string) *apiError {
	return c.server.endpoint(map[string]any{".tag": "path", "path": tag(name)})
}

// find returns the entry at a path.
func (c *call) find(path string) (*entry, *apiError) {
	if bad := checkPath(path); bad != "" {
		return nil, lookupError(c, "malformed_path")
	}
	e := c.space.entries[fold(path)]
	if e == nil {
		return nil, lookupError(c, "not_found")
	}
	return e, nil
}

func getMetadata(c *call) (any, *apiError) {
	var arg struct {
		Path           string `json:"path"`
		IncludeMedia   bool   `json:"include_media_info"`
		IncludeDeleted bool   `json:"include_deleted"`
		IncludeShared  bool   `json:"include_has_explicit_shared_members"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	e, refusal := c.find(arg.Path)
	if refusal != nil {
		return nil, refusal
	}
	return c.server.metadata(e), nil
}

func createFolder(c *call) (any, *apiError) {
	var arg struct {
		Path       string `json:"path"`
		Autorename bool   `json:"autorename"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	refuse := func(value map[string]any) (any, *apiError) {
		return nil, c.server.endpoint(map[string]any{".tag": "path", "path": value})
	}
	if bad := checkPath(arg.Path); bad != "" {
		return refuse(tag(bad))
	}
	if c.space.fileAncestor(arg.Path) {
		return refuse(conflict("file_ancestor"))
	}
	if e := c.space.entries[fold(arg.Path)]; e != nil {
		switch {
		case arg.Autorename:
			arg.Path = c.space.freeName(arg.Path)
		case e.folder:
			return refuse(conflict("folder"))
		default:
			return refuse(conflict("file"))
		}
	}
	c.space.mkdirs(arg.Path)
	e := c.space.entries[fold(arg.Path)]
	c.server.keepEntry(c.space, e)
	return map[string]any{"metadata": c.server.metadata(e)}, nil
}

func listFolder(c *call) (any, *apiError) {
	var arg struct {
		Path           string `json:"path"`
		Recursive      bool   `json:"recursive"`
		Limit          int    `json:"limit"`
		IncludeMedia   bool   `json:"include_media_info"`
		IncludeDeleted bool   `json:"include_deleted"`
		IncludeShared  bool   `json:"include_has_explicit_shared_members"`
		IncludeMounted bool   `json:"include_mounted_folders"`
		IncludeNonDown bool   `json:"include_non_downloadable_files"`
		IncludeRestore bool   `json:"include_restorable_info"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	if arg.Path == "/" {
		return nil, badInput(c.route, "request body: path: Specify the root folder as an empty string rather than as \"/\".")
	}
	if arg.Path != "" {
		e, refusal := c.find(arg.Path)
		if refusal != nil {
			return nil, refusal
		}
		if !e.folder {
			return nil, lookupError(c, "not_folder")
		}
	}
	var paths []string
	for path := range c.space.entries {
		rest, below := strings.CutPrefix(path, fold(arg.Path)+"/")
		if below && (arg.Recursive || !strings.Contains(rest, "/")) {
			paths = append(paths, path)
		}
	}
	sort.Strings(paths)
	return c.list(paths), nil
}

// pageSize is how many entries one answer lists. It is small, so that tests make clients continue.
const pageSize = 100

// list returns the first page of a listing and a cursor for the rest.
func (c *call) list(paths []string) map[string]any {
	n := min(len(paths), pageSize)
	entries := []any{}
	for _, path := range paths[:n] {
		if e := c.space.entries[path]; e != nil {
			entries = append(entries, c.server.metadata(e))
		}
	}
	id := random(32)
	if len(c.server.cursors) > maxSessions {
		c.server.cursors = map[string]cursor{}
	}
	c.server.cursors[id] = cursor{c.space, paths[n:]}
	return map[string]any{"entries": entries, "cursor": id, "has_more": len(paths) > n}
}

func listFolderContinue(c *call) (any, *apiError) {
	var arg struct {
		Cursor string `json:"cursor"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	known, ok := c.server.cursors[arg.Cursor]
	if !ok || known.space != c.space {
		return nil, c.server.endpoint(tag("reset"))
	}
	delete(c.server.cursors, arg.Cursor)
	return c.list(known.paths), nil
}

func deleteEntry(c *call) (any, *apiError) {
	var arg struct {
		Path      string `json:"path"`
		ParentRev string `json:"parent_rev"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	e := c.space.entries[fold(arg.Path)]
	if e == nil {
		return nil, c.server.endpoint(map[string]any{".tag": "path_lookup", "path_lookup": tag("not_found")})
	}
	c.space.remove(arg.Path)
	c.server.keep(change{Deleted: &place{c.account.AppKey, c.space.namespace, arg.Path}})
	return map[string]any{"metadata": c.server.metadata(e)}, nil
}

func upload(c *call) (any, *apiError) {
	var arg commit
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	if _, _, ok := arg.mode(); !ok {
		return nil, badInput(c.route, "request body: mode: unknown tag")
	}
	if arg.ContentHash != "" && arg.ContentHash != c.body.hash() {
		return nil, c.server.endpoint(tag("content_hash_mismatch"))
	}
	e, problem := c.server.write(c.account, c.space, arg, newContent(c.body))
	if problem != nil {
		return nil, c.server.endpoint(map[string]any{
			".tag": "path", "reason": problem, "upload_session_id": "pid_upload_session:" + random(40),
		})
	}
	return c.server.metadata(e), nil
}

func downloadFile(c *call) (any, *apiError) {
	var arg struct {
		Path string `json:"path"`
		Rev  string `json:"rev"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	for _, e := range c.space.entries {
		if arg.Path == e.id || arg.Path == "rev:"+e.rev {
			arg.Path = e.display
			break
		}
	}
	e, refusal := c.find(arg.Path)
	if refusal != nil {
		return nil, refusal
	}
	if e.folder {
		return nil, lookupError(c, "not_file")
	}
	return download{c.server.metadata(e), e.data.bytes()}, nil
}
