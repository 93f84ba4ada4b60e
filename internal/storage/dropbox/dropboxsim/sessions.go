// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"maps"
	"slices"
	"time"
)

const (
	// maxSession is the greatest size of one session, in bytes.
	maxSession = 2 << 30
	// maxBatch is the greatest number of sessions in one batch call.
	maxBatch = 1000
)

// session is an upload session.
type session struct {
	account *account
	data    content
	closed  bool
	started time.Time
	// chunks of a concurrent session by offset, in any order; nil for a sequential session.
	chunks map[int64]part
}

// sessionCursor is Dropbox's UploadSessionCursor.
type sessionCursor struct {
	SessionID string `json:"session_id"`
	Offset    int64  `json:"offset"`
}

// newSession starts a session. The lock must be held.
func (c *call) newSession(concurrent bool) (string, *session) {
	s := c.server
	if len(s.sessions) >= maxSessions {
		for id, old := range s.sessions {
			if s.expired(old) {
				delete(s.sessions, id)
			}
		}
	}
	id := "pid_upload_session:" + random(40)
	open := &session{account: c.account, started: s.now()}
	if concurrent {
		open.chunks = map[int64]part{}
	}
	s.sessions[id] = open
	return id, open
}

// expired reports whether a session is too old.
func (s *Server) expired(open *session) bool { return s.now().Sub(open.started) > sessionLife }

// sessionType decodes an UploadSessionType, which is a tag or a union without content. The default is sequential.
func sessionType(value any) (concurrent, ok bool) {
	if object, isObject := value.(map[string]any); isObject {
		value = object[".tag"]
	}
	return value == "concurrent", value == nil || value == "concurrent" || value == "sequential"
}

func sessionStart(c *call) (any, *apiError) {
	var arg struct {
		Close       bool   `json:"close"`
		SessionType any    `json:"session_type"`
		ContentHash string `json:"content_hash"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	concurrent, ok := sessionType(arg.SessionType)
	switch {
	case !ok:
		return nil, badInput(c.route, "request body: session_type: unknown tag")
	case arg.ContentHash != "" && arg.ContentHash != c.body.hash():
		return nil, c.server.endpoint(tag("content_hash_mismatch"))
	case concurrent && len(c.body.data) > 0:
		return nil, c.server.endpoint(tag("concurrent_session_data_not_allowed"))
	case concurrent && arg.Close:
		return nil, c.server.endpoint(tag("concurrent_session_close_not_allowed"))
	}
	id, open := c.newSession(concurrent)
	open.closed = arg.Close
	if len(c.body.data) > 0 {
		open.data = newContent(c.body)
	}
	return map[string]any{"session_id": id}, nil
}

func sessionStartBatch(c *call) (any, *apiError) {
	var arg struct {
		NumSessions int `json:"num_sessions"`
		SessionType any `json:"session_type"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	concurrent, ok := sessionType(arg.SessionType)
	if !ok || arg.NumSessions < 1 || arg.NumSessions > maxBatch {
		return nil, badInput(c.route, "request body: num_sessions: must be from 1 to %d", maxBatch)
	}
	ids := make([]string, 0, arg.NumSessions)
	for range arg.NumSessions {
		id, _ := c.newSession(concurrent)
		ids = append(ids, id)
	}
	return map[string]any{"session_ids": ids}, nil
}

// open returns the session of an id, or an error.
func (c *call) open(id string) (*session, map[string]any) {
	open := c.server.sessions[id]
	if open == nil || open.account != c.account || c.server.expired(open) {
		return nil, tag("not_found")
	}
	return open, nil
}

// at returns the session of a cursor, or an error.
func (c *call) at(cursor sessionCursor) (*session, map[string]any) {
	open, problem := c.open(cursor.SessionID)
	if problem != nil {
		return nil, problem
	}
	if open.data.size != cursor.Offset {
		return nil, map[string]any{".tag": "incorrect_offset", "correct_offset": open.data.size}
	}
	return open, nil
}

func sessionAppend(c *call) (any, *apiError) {
	var arg struct {
		Cursor      sessionCursor `json:"cursor"`
		Close       bool          `json:"close"`
		ContentHash string        `json:"content_hash"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	if arg.ContentHash != "" && arg.ContentHash != c.body.hash() {
		return nil, c.server.endpoint(tag("content_hash_mismatch"))
	}
	if problem := c.append(arg.Cursor, c.body, arg.Close); problem != nil {
		return nil, c.server.endpoint(problem)
	}
	return nil, nil
}

// append appends a part to a session. It returns an UploadSessionAppendError, nil on success.
func (c *call) append(cursor sessionCursor, p part, last bool) map[string]any {
	open, problem := c.open(cursor.SessionID)
	switch {
	case problem != nil:
		return problem
	case open.closed:
		return tag("closed")
	case open.chunks != nil:
		return open.place(cursor.Offset, p, last)
	}
	if open, problem = c.at(cursor); problem != nil {
		return problem
	}
	if open.data.size+int64(len(p.data)) > maxSession {
		return tag("too_large")
	}
	if len(p.data) > 0 {
		open.data = open.data.with(p)
	}
	open.closed = last
	return nil
}

// place adds a chunk to a concurrent session. Each chunk but the one that closes the session must be a multiple of 4 MiB.
func (open *session) place(offset int64, p part, last bool) map[string]any {
	switch {
	case offset%hashBlock != 0:
		return tag("concurrent_session_invalid_offset")
	case len(p.data)%hashBlock != 0 && !last:
		return tag("concurrent_session_invalid_data_size")
	case offset+int64(len(p.data)) > maxSession:
		return tag("too_large")
	}
	if len(p.data) > 0 {
		open.chunks[offset] = p
	}
	if !last {
		return nil
	}
	open.closed = true
	for _, at := range slices.Sorted(maps.Keys(open.chunks)) {
		if at != open.data.size {
			return tag("concurrent_session_invalid_offset")
		}
		open.data = open.data.with(open.chunks[at])
	}
	open.chunks = map[int64]part{}
	return nil
}

func sessionAppendBatch(c *call) (any, *apiError) {
	var arg struct {
		Entries []struct {
			Cursor sessionCursor `json:"cursor"`
			Length int64         `json:"length"`
			Close  bool          `json:"close"`
		} `json:"entries"`
		ContentHash string `json:"content_hash"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	if len(arg.Entries) == 0 || len(arg.Entries) > maxBatch {
		return nil, badInput(c.route, "request body: entries: must have 1 to %d items", maxBatch)
	}
	announced := int64(0)
	for _, e := range arg.Entries {
		if e.Length < 0 {
			return nil, badInput(c.route, "request body: entries: length: must not be negative")
		}
		announced += e.Length
	}
	switch {
	case announced != int64(len(c.body.data)):
		return nil, c.server.endpoint(tag("length_mismatch"))
	case arg.ContentHash != "" && arg.ContentHash != c.body.hash():
		return nil, c.server.endpoint(tag("content_hash_mismatch"))
	}
	results := make([]any, 0, len(arg.Entries))
	rest := c.body.data
	for _, e := range arg.Entries {
		data := rest[:e.Length:e.Length]
		rest = rest[e.Length:]
		if problem := c.append(e.Cursor, newPart(data), e.Close); problem != nil {
			results = append(results, map[string]any{".tag": "failure", "failure": problem})
			continue
		}
		results = append(results, tag("success"))
	}
	return map[string]any{"entries": results}, nil
}

// finish commits a session. It returns the file, or an UploadSessionFinishError.
func (c *call) finish(cursor sessionCursor, arg commit) (*entry, map[string]any) {
	open, problem := c.at(cursor)
	if problem != nil {
		return nil, map[string]any{".tag": "lookup_failed", "lookup_failed": problem}
	}
	if arg.ContentHash != "" && arg.ContentHash != open.data.hash() {
		return nil, tag("content_hash_mismatch")
	}
	e, problem := c.server.write(c.account, c.space, arg, open.data)
	if problem != nil {
		return nil, map[string]any{".tag": "path", "path": problem}
	}
	delete(c.server.sessions, cursor.SessionID)
	return e, nil
}

func sessionFinish(c *call) (any, *apiError) {
	var arg struct {
		Cursor      sessionCursor `json:"cursor"`
		Commit      commit        `json:"commit"`
		ContentHash string        `json:"content_hash"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	open, problem := c.open(arg.Cursor.SessionID)
	switch {
	case problem != nil:
		return nil, c.server.endpoint(map[string]any{".tag": "lookup_failed", "lookup_failed": problem})
	case open.chunks != nil && len(c.body.data) > 0:
		return nil, c.server.endpoint(tag("concurrent_session_data_not_allowed"))
	case open.chunks != nil && !open.closed:
		return nil, c.server.endpoint(tag("concurrent_session_not_closed"))
	case arg.ContentHash != "" && arg.ContentHash != c.body.hash():
		return nil, c.server.endpoint(tag("content_hash_mismatch"))
	}
	if open, problem = c.at(arg.Cursor); problem != nil {
		return nil, c.server.endpoint(map[string]any{".tag": "lookup_failed", "lookup_failed": problem})
	}
	// Data of finish stays appended even if the commit is refused.
	if len(c.body.data) > 0 {
		open.data = open.data.with(c.body)
	}
	arg.Cursor.Offset = open.data.size
	e, problem := c.finish(arg.Cursor, arg.Commit)
	if problem != nil {
		return nil, c.server.endpoint(problem)
	}
	return c.server.metadata(e), nil
}

func sessionFinishBatch(c *call) (any, *apiError) {
	var arg struct {
		Entries []struct {
			Cursor sessionCursor `json:"cursor"`
			Commit commit        `json:"commit"`
		} `json:"entries"`
	}
	if refusal := c.decode(&arg); refusal != nil {
		return nil, refusal
	}
	if len(arg.Entries) == 0 || len(arg.Entries) > maxBatch {
		return nil, badInput(c.route, "request body: entries: must have 1 to %d items", maxBatch)
	}
	results := make([]any, 0, len(arg.Entries))
	for _, item := range arg.Entries {
		if open := c.server.sessions[item.Cursor.SessionID]; open != nil && !open.closed {
			problem := map[string]any{".tag": "lookup_failed", "lookup_failed": tag("not_closed")}
			if open.chunks != nil {
				problem = tag("concurrent_session_not_closed")
			}
			results = append(results, map[string]any{".tag": "failure", "failure": problem})
			continue
		}
		e, problem := c.finish(item.Cursor, item.Commit)
		if problem != nil {
			results = append(results, map[string]any{".tag": "failure", "failure": problem})
			continue
		}
		result := c.server.metadata(e)
		result[".tag"] = "success"
		results = append(results, result)
	}
	return map[string]any{"entries": results}, nil
}
