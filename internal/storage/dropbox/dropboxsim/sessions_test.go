// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// startSessions starts n sessions and returns their ids.
func (c *client) startSessions(n int, kind string) []string {
	c.t.Helper()
	status, body := c.rpc("files/upload_session/start_batch", fmt.Sprintf(`{"num_sessions":%d,"session_type":%q}`, n, kind))
	var answer struct {
		SessionIDs []string `json:"session_ids"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || len(answer.SessionIDs) != n {
		c.t.Fatalf("HTTP %d %s", status, body)
	}
	return answer.SessionIDs
}

func TestBatchOfSessions(t *testing.T) {
	c := newClient(t, nil)
	ids := c.startSessions(3, "sequential")
	arg := fmt.Sprintf(`{"entries":[{"cursor":{"session_id":%q,"offset":0},"length":3,"close":true},`+
		`{"cursor":{"session_id":%q,"offset":7},"length":2,"close":true},`+
		`{"cursor":{"session_id":"made-up","offset":0},"length":1,"close":true}]}`, ids[0], ids[1])
	status, body := c.content("files/upload_session/append_batch", arg, "onetwx")
	if want := `{"entries":[{".tag":"success"},{".tag":"failure","failure":{".tag":"incorrect_offset","correct_offset":0}},{".tag":"failure","failure":{".tag":"not_found"}}]}`; status != 200 || strings.TrimSpace(body) != want {
		t.Fatalf("append: HTTP %d %s", status, body)
	}
	status, body = c.rpc("files/upload_session/finish_batch_v2", fmt.Sprintf(`{"entries":[
		{"cursor":{"session_id":%q,"offset":3},"commit":{"path":"/one"}},
		{"cursor":{"session_id":%q,"offset":0},"commit":{"path":"/two"}},
		{"cursor":{"session_id":%q,"offset":0},"commit":{"path":"/three"}}]}`, ids[0], ids[1], ids[2]))
	if status != 200 || strings.Count(body, `"success"`) != 1 || strings.Count(body, `{".tag":"not_closed"}`) != 2 {
		t.Fatalf("finish: HTTP %d %s", status, body)
	}
	if data, ok := c.sim.Content("app", "/one"); !ok || string(data) != "one" {
		t.Errorf("holds %q", data)
	}
	// A session is committed once.
	status, body = c.rpc("files/upload_session/finish_batch_v2", fmt.Sprintf(`{"entries":[{"cursor":{"session_id":%q,"offset":3},"commit":{"path":"/again"}}]}`, ids[0]))
	if status != 200 || !strings.Contains(body, `"lookup_failed":{".tag":"not_found"}`) {
		t.Errorf("finish twice: HTTP %d %s", status, body)
	}
}

func TestBatchesAreStrict(t *testing.T) {
	c := newClient(t, nil)
	id := c.startSessions(1, "sequential")[0]
	entry := func(length int) string {
		return fmt.Sprintf(`{"entries":[{"cursor":{"session_id":%q,"offset":0},"length":%d,"close":true}]}`, id, length)
	}
	for name, x := range map[string]struct {
		call   func() (int, string)
		status int
		want   string
	}{
		"no sessions":       {call: func() (int, string) { return c.rpc("files/upload_session/start_batch", `{"num_sessions":0}`) }, status: 400, want: "num_sessions: must be from 1 to 1000"},
		"too many sessions": {call: func() (int, string) { return c.rpc("files/upload_session/start_batch", `{"num_sessions":1001}`) }, status: 400, want: "num_sessions"},
		"a kind that is not known": {call: func() (int, string) {
			return c.rpc("files/upload_session/start_batch", `{"num_sessions":1,"session_type":"fast"}`)
		}, status: 400, want: "num_sessions"},
		"fewer bytes than announced": {call: func() (int, string) { return c.content("files/upload_session/append_batch", entry(5), "abc") }, status: 409, want: `{".tag":"length_mismatch"}`},
		"more bytes than announced":  {call: func() (int, string) { return c.content("files/upload_session/append_batch", entry(2), "abc") }, status: 409, want: `{".tag":"length_mismatch"}`},
		"no entries":                 {call: func() (int, string) { return c.content("files/upload_session/append_batch", `{"entries":[]}`, "") }, status: 400, want: "entries: must have 1 to 1000 items"},
		"an unknown field": {call: func() (int, string) {
			return c.rpc("files/upload_session/finish_batch_v2", `{"entries":[{"cursor":{"session_id":"x","offset":0},"commit":{"path":"/a","content_hashes":"x"}}]}`)
		}, status: 400, want: "could not decode"},
	} {
		if status, body := x.call(); status != x.status || !strings.Contains(body, x.want) {
			t.Errorf("%s: HTTP %d %s", name, status, body)
		}
	}
}

func TestConcurrentSession(t *testing.T) {
	c := newClient(t, nil)
	block := strings.Repeat("0123456789abcdef", hashBlock/16)
	id := c.startSessions(1, "concurrent")[0]
	chunk := func(offset int64, data string, last bool) (int, string) {
		return c.content("files/upload_session/append_v2", fmt.Sprintf(`{"cursor":{"session_id":%q,"offset":%d},"close":%t}`, id, offset, last), data)
	}
	finish := func() (int, string) {
		return c.content("files/upload_session/finish", fmt.Sprintf(`{"cursor":{"session_id":%q,"offset":%d},"commit":{"path":"/big"}}`, id, 2*hashBlock+4), "")
	}
	for _, x := range []struct {
		name   string
		call   func() (int, string)
		status int
		want   string
	}{
		{name: "an offset within a block", call: func() (int, string) { return chunk(5, block, false) }, status: 409, want: "concurrent_session_invalid_offset"},
		{name: "part of a block", call: func() (int, string) { return chunk(0, "abc", false) }, status: 409, want: "concurrent_session_invalid_data_size"},
		{name: "the second chunk before the first", call: func() (int, string) { return chunk(hashBlock, block, false) }, status: 200, want: "null"},
		{name: "the end before all is there", call: finish, status: 409, want: "concurrent_session_not_closed"},
		{name: "the first chunk", call: func() (int, string) { return chunk(0, block, false) }, status: 200, want: "null"},
		{name: "the last, which closes it", call: func() (int, string) { return chunk(2*hashBlock, "rest", true) }, status: 200, want: "null"},
		{name: "a chunk too many", call: func() (int, string) { return chunk(3*hashBlock, block, false) }, status: 409, want: `{".tag":"closed"}`},
		{name: "the end", call: finish, status: 200, want: `"path_display":"/big"`},
		{name: "data in the start", call: func() (int, string) {
			return c.content("files/upload_session/start", `{"session_type":"concurrent"}`, "abc")
		}, status: 409, want: "concurrent_session_data_not_allowed"},
	} {
		if status, body := x.call(); status != x.status || !strings.Contains(body, x.want) {
			t.Errorf("%s: HTTP %d %s", x.name, status, body)
		}
	}
	if data, ok := c.sim.Content("app", "/big"); !ok || string(data) != block+block+"rest" {
		t.Errorf("holds %d bytes", len(data))
	}
}

func TestSessionsLiveForAWeek(t *testing.T) {
	c := newClient(t, nil)
	id := c.startSessions(1, "sequential")[0]
	c.sim.AdvanceClock(8 * 24 * time.Hour)
	_, body := c.refresh(map[string][]string{"grant_type": {"refresh_token"}, "refresh_token": {"refresh"}, "client_id": {"app"}})
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &token); err != nil {
		t.Fatal(err)
	}
	c.token = token.AccessToken
	if status, body := c.content("files/upload_session/append_v2", fmt.Sprintf(`{"cursor":{"session_id":%q,"offset":0}}`, id), "x"); status != 409 || !strings.Contains(body, `{".tag":"not_found"}`) {
		t.Errorf("HTTP %d %s", status, body)
	}
}

func TestOneCommitAtATime(t *testing.T) {
	c := newClient(t, nil)
	c.sim.SetLatency(100 * time.Millisecond)
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			status, body := c.content("files/upload", fmt.Sprintf(`{"path":"/%d"}`, n), "x")
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
			if status == http.StatusTooManyRequests && !strings.Contains(body, `{".tag":"too_many_write_operations"}`) {
				t.Error(body)
			}
		})
	}
	all.Wait()
	if statuses[200] != 1 || statuses[429] != 3 {
		t.Errorf("statuses %v", statuses)
	}
}

func TestTeamSpace(t *testing.T) {
	c := newClient(t, func(a *Account) { a.TeamSpace = "77" })
	at := func(root, path, data string) (int, string) {
		return c.do(c.url+"/2/files/upload", http.Header{
			"Authorization": {"Bearer " + c.token}, "Content-Type": {"application/octet-stream"},
			"Dropbox-Api-Path-Root": {root}, "Dropbox-Api-Arg": {`{"path":"` + path + `"}`},
		}, data)
	}
	for root, want := range map[string]struct {
		status int
		body   string
	}{
		`{".tag":"root","root":"77"}`:                 {status: 200, body: "path_display"},
		`{".tag":"namespace_id","namespace_id":"77"}`: {status: 200, body: "path_display"},
		`{".tag":"home"}`:                             {status: 200, body: "path_display"},
		`{".tag":"root","root":"1"}`:                  {status: 422, body: `"invalid_root":{".tag":"team","home_namespace_id":"1","home_path":"/Ada","root_namespace_id":"77"}`},
		`{".tag":"namespace_id","namespace_id":"5"}`:  {status: 422, body: `{".tag":"no_permission"}`},
		`77`: {status: 400, body: "could not decode"},
	} {
		if status, body := at(root, "/a", "x"); status != want.status || !strings.Contains(body, want.body) {
			t.Errorf("%s: HTTP %d %s", root, status, body)
		}
	}
	if team, home := c.sim.FilesIn("app", "77"), c.sim.Files("app"); len(team) != 1 || len(home) != 1 {
		t.Errorf("team space %+v, home %+v", team, home)
	}
	if status, body := c.rpc("users/get_current_account", "null"); status != 200 || !strings.Contains(body, `"root_namespace_id":"77"`) {
		t.Errorf("HTTP %d %s", status, body)
	}
}
