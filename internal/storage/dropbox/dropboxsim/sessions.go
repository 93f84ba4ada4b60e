// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

// maxSession bounds the bytes of one session, and with it the simulator's memory.
const maxSession = 2 << 30

// session is an upload in parts.
type session struct {
	account *account
	data    []byte
	closed  bool
}

type sessionCursor struct {
	SessionID string `json:"session_id"`
	Offset    int64  `json:"offset"`
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
	if arg.ContentHash != "" && arg.ContentHash != contentHash(c.body) {
		return nil, c.server.endpoint(tag("content_hash_mismatch"))
	}
	if len(c.server.sessions) >= maxSessions {
		c.server.sessions = map[string]*session{}
	}
	id := "pid_upload_session:" + random(40)
	c.server.sessions[id] = &session{account: c.account, data: append([]byte(nil), c.body...), closed: arg.Close}
	return map[string]any{"session_id": id}, nil
}

// at returns the session of a cursor, or what is wrong with it.
func (c *call) at(cursor sessionCursor) (*session, map[string]any) {
	open := c.server.sessions[cursor.SessionID]
	switch {
	case open == nil || open.account != c.account:
		return nil, tag("not_found")
	case int64(len(open.data)) != cursor.Offset:
		return nil, map[string]any{".tag": "incorrect_offset", "correct_offset": len(open.data)}
	default:
		return open, nil
	}
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
	open, problem := c.at(arg.Cursor)
	switch {
	case problem != nil:
		return nil, c.server.endpoint(problem)
	case open.closed:
		return nil, c.server.endpoint(tag("closed"))
	case len(open.data)+len(c.body) > maxSession:
		return nil, c.server.endpoint(tag("too_large"))
	case arg.ContentHash != "" && arg.ContentHash != contentHash(c.body):
		return nil, c.server.endpoint(tag("content_hash_mismatch"))
	}
	open.data = append(open.data, c.body...)
	open.closed = arg.Close
	return nil, nil
}

// finish commits a session. The result is a file, or an UploadSessionFinishError.
func (c *call) finish(cursor sessionCursor, arg commit) (*entry, map[string]any) {
	open, problem := c.at(cursor)
	if problem != nil {
		return nil, map[string]any{".tag": "lookup_failed", "lookup_failed": problem}
	}
	e, problem := c.server.write(c.account, arg, open.data)
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
	open, problem := c.at(arg.Cursor)
	if problem != nil {
		return nil, c.server.endpoint(map[string]any{".tag": "lookup_failed", "lookup_failed": problem})
	}
	if arg.ContentHash != "" && arg.ContentHash != contentHash(c.body) {
		return nil, c.server.endpoint(tag("content_hash_mismatch"))
	}
	// Data that comes with finish stays appended, also when the commit is refused.
	open.data = append(open.data, c.body...)
	arg.Cursor.Offset = int64(len(open.data))
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
	if len(arg.Entries) == 0 || len(arg.Entries) > 1000 {
		return nil, badInput(c.route, "request body: entries: must have 1 to 1000 items")
	}
	results := make([]any, 0, len(arg.Entries))
	for _, item := range arg.Entries {
		if open := c.server.sessions[item.Cursor.SessionID]; open != nil && !open.closed {
			problem := map[string]any{".tag": "lookup_failed", "lookup_failed": tag("not_closed")}
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
