// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// client talks to a simulator as the account "app".
type client struct {
	t     *testing.T
	sim   *Server
	url   string
	token string
}

func newClient(t *testing.T, change func(*Account)) *client {
	t.Helper()
	sim := New()
	account := Account{AppKey: "app", RefreshToken: "refresh", Email: "ada@example.com", DisplayName: "Ada"}
	if change != nil {
		change(&account)
	}
	sim.AddAccount(account)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	c := &client{t: t, sim: sim, url: server.URL}
	status, body := c.refresh(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"refresh"}, "client_id": {"app"}})
	if status != http.StatusOK {
		t.Fatalf("refresh: HTTP %d %s", status, body)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		Refresh     string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.ExpiresIn != 14400 || answer.Refresh != "" {
		t.Fatalf("refresh: %s, %v", body, err)
	}
	c.token = answer.AccessToken
	return c
}

func (c *client) refresh(form url.Values) (status int, body string) {
	return c.do(c.url+"/oauth2/token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
}

func (c *client) do(target string, header http.Header, data string) (status int, body string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, target, strings.NewReader(data))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header = header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

func (c *client) rpc(route, arg string) (status int, body string) {
	return c.do(c.url+"/2/"+route, http.Header{"Authorization": {"Bearer " + c.token}, "Content-Type": {"application/json"}}, arg)
}

func (c *client) content(route, arg, data string) (status int, body string) {
	return c.do(c.url+"/2/"+route, http.Header{
		"Authorization": {"Bearer " + c.token}, "Content-Type": {"application/octet-stream"}, "Dropbox-Api-Arg": {arg},
	}, data)
}

func (c *client) mustUpload(path, data string) {
	c.t.Helper()
	if status, body := c.content("files/upload", `{"path":"`+path+`"}`, data); status != http.StatusOK {
		c.t.Fatalf("upload %s: HTTP %d %s", path, status, body)
	}
}

var (
	dots      = regexp.MustCompile(`/\.*"`)
	sessionID = regexp.MustCompile(`pid_upload_session:[0-9a-f]+`)
)

// canonical removes from a body what varies from call to call: the dots of a summary and session ids.
func canonical(body string) string {
	return sessionID.ReplaceAllString(dots.ReplaceAllString(strings.TrimSpace(body), `/"`), "ID")
}

func TestErrorBodies(t *testing.T) {
	c := newClient(t, func(a *Account) { a.Quota = 100 })
	c.mustUpload("/folder/file.txt", "content")
	upload := func(arg, data string) func() (int, string) {
		return func() (int, string) { return c.content("files/upload", arg, data) }
	}
	rpc := func(route, arg string) func() (int, string) { return func() (int, string) { return c.rpc(route, arg) } }
	for name, x := range map[string]struct {
		call   func() (int, string)
		status int
		body   string
	}{
		"no leading slash":                {call: upload(`{"path":"a"}`, ""), status: 409, body: `{"error":{".tag":"path","reason":{".tag":"malformed_path"},"upload_session_id":"ID"},"error_summary":"path/malformed_path/"}`},
		"a trailing space":                {call: upload(`{"path":"/a "}`, ""), status: 409, body: `{"error":{".tag":"path","reason":{".tag":"malformed_path"},"upload_session_id":"ID"},"error_summary":"path/malformed_path/"}`},
		"a disallowed name":               {call: upload(`{"path":"/x/Desktop.ini"}`, ""), status: 409, body: `{"error":{".tag":"path","reason":{".tag":"disallowed_name"},"upload_session_id":"ID"},"error_summary":"path/disallowed_name/"}`},
		"another file is there":           {call: upload(`{"path":"/FOLDER/File.txt"}`, "other"), status: 409, body: `{"error":{".tag":"path","reason":{".tag":"conflict","conflict":{".tag":"file"}},"upload_session_id":"ID"},"error_summary":"path/conflict/file/"}`},
		"a folder is there":               {call: upload(`{"path":"/folder","mode":"overwrite"}`, "x"), status: 409, body: `{"error":{".tag":"path","reason":{".tag":"conflict","conflict":{".tag":"folder"}},"upload_session_id":"ID"},"error_summary":"path/conflict/folder/"}`},
		"a file where a folder should be": {call: upload(`{"path":"/folder/file.txt/a"}`, "x"), status: 409, body: `{"error":{".tag":"path","reason":{".tag":"conflict","conflict":{".tag":"file_ancestor"}},"upload_session_id":"ID"},"error_summary":"path/conflict/file_ancestor/"}`},
		"full":                            {call: upload(`{"path":"/big"}`, strings.Repeat("x", 200)), status: 409, body: `{"error":{".tag":"path","reason":{".tag":"insufficient_space"},"upload_session_id":"ID"},"error_summary":"path/insufficient_space/"}`},
		"a wrong hash":                    {call: upload(`{"path":"/h","content_hash":"00"}`, "x"), status: 409, body: `{"error":{".tag":"content_hash_mismatch"},"error_summary":"content_hash_mismatch/"}`},
		"raw UTF-8 in the header":         {call: upload(`{"path":"/ü"}`, "x"), status: 400, body: `Error in call to API function "files/upload": HTTP header "Dropbox-API-Arg": could not decode input as JSON`},
		"nothing there":                   {call: rpc("files/get_metadata", `{"path":"/none"}`), status: 409, body: `{"error":{".tag":"path","path":{".tag":"not_found"}},"error_summary":"path/not_found/"}`},
		"the folder exists":               {call: rpc("files/create_folder_v2", `{"path":"/Folder"}`), status: 409, body: `{"error":{".tag":"path","path":{".tag":"conflict","conflict":{".tag":"folder"}}},"error_summary":"path/conflict/folder/"}`},
		"no session":                      {call: rpc("files/upload_session/finish_batch_v2", `{"entries":[{"cursor":{"session_id":"x","offset":0},"commit":{"path":"/a"}}]}`), status: 200, body: `{"entries":[{".tag":"failure","failure":{".tag":"lookup_failed","lookup_failed":{".tag":"not_found"}}}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := x.call()
			if diff := cmp.Diff(fmt.Sprint(x.status, " ", x.body), fmt.Sprint(status, " ", canonical(body))); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryAnswerHasAnID looks for the id of the request, which Dropbox puts on refusals, too.
func TestEveryAnswerHasAnID(t *testing.T) {
	server := httptest.NewServer(New())
	defer server.Close()
	for _, route := range []string{"/2/files/upload", "/2/users/get_current_account", "/oauth2/token", "/2/none"} {
		resp, err := http.Post(server.URL+route, "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.Header.Get("X-Dropbox-Request-Id") == "" || resp.StatusCode < 400 {
			t.Errorf("%s: HTTP %d %v", route, resp.StatusCode, resp.Header)
		}
	}
}

// TestNames uploads names of every length and form. Dropbox counts UTF-16 code units, and takes the normal forms of a name for one file.
func TestNames(t *testing.T) {
	c := newClient(t, nil)
	const emoji = `\ud83c\udf89`
	for name, tc := range map[string]struct {
		name   string
		status int
	}{
		"255 letters":             {strings.Repeat("a", 255), 200},
		"256 letters":             {strings.Repeat("a", 256), 409},
		"255 of two bytes":        {strings.Repeat(`\u00e9`, 255), 200},
		"256 of two bytes":        {strings.Repeat(`\u00e9`, 256), 409},
		"127 emoji":               {strings.Repeat(emoji, 127), 200},
		"127 emoji and a letter":  {strings.Repeat(emoji, 127) + "a", 200},
		"128 emoji":               {strings.Repeat(emoji, 128), 409},
		"150 emoji with a suffix": {strings.Repeat(emoji, 150) + ".png", 409},
	} {
		status, body := c.content("files/upload", `{"path":"/names/`+tc.name+`"}`, "x")
		if status != tc.status || (status == 409) != strings.Contains(body, "path/malformed_path/") {
			t.Errorf("%s: HTTP %d %.100s", name, status, body)
		}
	}
	c.content("files/upload", `{"path":"/forms/caf\u00e9.txt"}`, "x")
	if status, body := c.content("files/upload", `{"path":"/FORMS/Cafe\u0301.txt"}`, "y"); status != 409 || !strings.Contains(body, "path/conflict/file/") {
		t.Errorf("the decomposed form of a name: HTTP %d %s", status, body)
	}
	if status, body := c.rpc("files/get_metadata", `{"path":"/forms/cafe\u0301.txt"}`); status != 200 || !strings.Contains(body, "\"path_display\":\"/forms/caf\u00e9.txt\"") {
		t.Errorf("metadata by the decomposed form: HTTP %d %s", status, body)
	}
}

func TestTokens(t *testing.T) {
	c := newClient(t, func(a *Account) { a.Scopes = []string{"account_info.read"} })
	if status, body := c.rpc("files/create_folder_v2", `{"path":"/x"}`); status != 401 || canonical(body) != `{"error":{".tag":"missing_scope","required_scope":"files.content.write"},"error_summary":"missing_scope/"}` {
		t.Errorf("a scope that the app lacks: HTTP %d %s", status, body)
	}
	c.sim.ExpireTokens()
	if status, body := c.rpc("users/get_current_account", "null"); status != 401 || canonical(body) != `{"error":{".tag":"expired_access_token"},"error_summary":"expired_access_token/"}` {
		t.Errorf("an expired token: HTTP %d %s", status, body)
	}
	c.token = "made-up"
	if status, body := c.rpc("users/get_current_account", "null"); status != 401 || canonical(body) != `{"error":{".tag":"invalid_access_token"},"error_summary":"invalid_access_token/"}` {
		t.Errorf("a made-up token: HTTP %d %s", status, body)
	}
	const revoked = `{"error":"invalid_grant","error_description":"refresh token is invalid or revoked"}`
	if status, body := c.refresh(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"other"}, "client_id": {"app"}}); status != 400 || strings.TrimSpace(body) != revoked {
		t.Errorf("another's refresh token: HTTP %d %s", status, body)
	}
	c.sim.AddAccount(Account{AppKey: "app", RefreshToken: "refresh", Revoked: true})
	if status, body := c.refresh(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"refresh"}, "client_id": {"app"}}); status != 400 || strings.TrimSpace(body) != revoked {
		t.Errorf("a revoked refresh token: HTTP %d %s", status, body)
	}
}

func TestWriteModes(t *testing.T) {
	c := newClient(t, nil)
	c.mustUpload("/Folder/A.txt", "one")
	c.mustUpload("/folder/a.TXT", "one") // the same content is no conflict and no second commit
	if files := c.sim.Files("app"); len(files) != 1 || files[0].Path != "/Folder/A.txt" || files[0].Commits != 1 {
		t.Fatalf("files %+v", files)
	}
	if status, body := c.content("files/upload", `{"path":"/folder/a.txt","autorename":true}`, "two"); status != 200 || !strings.Contains(body, `/folder/a (1).txt`) {
		t.Errorf("autorename: HTTP %d %s", status, body)
	}
	if status, body := c.content("files/upload", `{"path":"/folder/a.txt","mode":"overwrite"}`, "three"); status != 200 || !strings.Contains(body, `"path_display":"/Folder/A.txt"`) {
		t.Errorf("overwrite: HTTP %d %s", status, body)
	}
	if data, ok := c.sim.Content("app", "/folder/a.txt"); !ok || string(data) != "three" {
		t.Errorf("content %q", data)
	}
	if status, body := c.content("files/upload", `{"path":"/\u00fc \ud83c\udf89.txt"}`, "x"); status != 200 || !strings.Contains(body, "ü 🎉.txt") {
		t.Errorf("escaped name: HTTP %d %s", status, body)
	}
}

func TestFaults(t *testing.T) {
	c := newClient(t, nil)
	c.sim.AddFault(Fault{Route: "/2/files/upload", Skip: 1, Status: 503, Body: "busy", ContentType: "text/plain", Headers: map[string]string{"Retry-After": "7"}})
	c.mustUpload("/a", "1")
	if status, body := c.content("files/upload", `{"path":"/b"}`, "1"); status != 503 || body != "busy" {
		t.Errorf("got HTTP %d %s", status, body)
	}
	c.mustUpload("/b", "1")

	c.sim.AddFault(Fault{Route: "/2/files/upload", Drop: "before"})
	if status, _ := c.content("files/upload", `{"path":"/c"}`, "1"); status != 0 {
		t.Errorf("got HTTP %d, want a dropped connection", status)
	}
	if _, ok := c.sim.Content("app", "/c"); ok {
		t.Error("a request that was dropped before it was handled has had an effect")
	}
	c.sim.AddFault(Fault{Route: "/2/files/upload", Drop: "after"})
	if status, _ := c.content("files/upload", `{"path":"/c"}`, "1"); status != 0 {
		t.Errorf("got HTTP %d, want a dropped connection", status)
	}
	if _, ok := c.sim.Content("app", "/c"); !ok {
		t.Error("a request whose answer was dropped has had no effect")
	}
	c.sim.AddFault(Fault{LatencyMillis: 50})
	began := time.Now()
	c.mustUpload("/d", "1")
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("took %s", took)
	}
}

func TestLogHasTheRequests(t *testing.T) {
	c := newClient(t, nil)
	c.sim.ClearLog()
	c.mustUpload("/a", "123")
	log := c.sim.Log()
	if len(log) != 1 || log[0].Route != "/2/files/upload" || log[0].Bytes != 3 || log[0].Status != 200 || log[0].AppKey != "app" {
		t.Errorf("log %+v", log)
	}
	if encoded, err := json.Marshal(log); err != nil || bytes.Contains(encoded, []byte(c.token)) {
		t.Errorf("the log holds the token: %s, %v", encoded, err)
	}
}

func TestListingContinues(t *testing.T) {
	c := newClient(t, nil)
	for i := range pageSize + 20 {
		c.mustUpload("/many/"+strings.Repeat("x", i+1), "1")
	}
	var page struct {
		Entries []struct{} `json:"entries"`
		Cursor  string     `json:"cursor"`
		HasMore bool       `json:"has_more"`
	}
	status, body := c.rpc("files/list_folder", `{"path":"/many"}`)
	if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 || len(page.Entries) != pageSize || !page.HasMore {
		t.Fatalf("HTTP %d, %d entries, %v", status, len(page.Entries), err)
	}
	status, body = c.rpc("files/list_folder/continue", `{"cursor":"`+page.Cursor+`"}`)
	page.Entries = nil
	if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 || len(page.Entries) != 20 || page.HasMore {
		t.Errorf("HTTP %d, %d entries, more %t, %v", status, len(page.Entries), page.HasMore, err)
	}
}
