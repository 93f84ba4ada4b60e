// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/platen-dev/platen/internal/shim"
)

// session connects to the server of a caller whose API is api.
func session(t *testing.T, api http.HandlerFunc) *mcp.ClientSession {
	t.Helper()
	c := &caller{Options: Options{API: api, Wait: 5 * time.Minute}, header: http.Header{}}
	near, far := mcp.NewInMemoryTransports()
	server, err := c.server(t.Context()).Connect(t.Context(), far, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Wait()
	})
	return client
}

// texts returns the texts of a tool's result.
func texts(t *testing.T, s *mcp.ClientSession, tool, arguments string) (text string, failed bool) {
	t.Helper()
	result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: json.RawMessage(arguments)})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, part := range result.Content {
		if one, ok := part.(*mcp.TextContent); ok {
			all = append(all, one.Text)
		}
	}
	return strings.Join(all, "\n"), result.IsError
}

const oneTemplate = `[{"id":"card","resource_name":"card","name":"card","title":"card","modifications":[]}]`

// Many clients give a call up after a minute: a render answers before, with the id of the job that goes on.
func TestARenderAnswersBeforeAssistantsGiveUp(t *testing.T) {
	waits := ""
	s := session(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, oneTemplate)
			return
		}
		waits = r.Header.Get("Prefer")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":"rest-abcde","status":"processing","finished":false}`)
	})
	for _, tool := range []string{"render", "render_card"} {
		arguments := map[string]string{"render": `{"template":"card"}`, "render_card": `{}`}[tool]
		text, failed := texts(t, s, tool, arguments)
		if waits != "wait=50" || failed || !strings.Contains(text, "Call get_job with the id rest-abcde") {
			t.Errorf("%s: Prefer: %s; %s", tool, waits, text)
		}
	}
}

// A job that waits for a person does not go on by itself: an assistant that asked again and again would learn nothing.
func TestAJobThatWaitsForAPersonDoesNotGoOn(t *testing.T) {
	s := session(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"id":"rest-abcde","status":"queued","finished":false,"error":"the job is suspended","error_code":"Suspended"}`)
	})
	text, failed := texts(t, s, "get_job", `{"id":"rest-abcde"}`)
	if failed || strings.Contains(text, "goes on") || !strings.Contains(text, "The render waits until somebody changes this: the job is suspended.") {
		t.Error(text)
	}
}

// A list of tools is one caller's, and nobody hears of its changes.
func TestToolsAreOneCallersAndStayUntilTheNextList(t *testing.T) {
	s := session(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, oneTemplate) })
	if can := s.InitializeResult().Capabilities; can.Tools == nil || can.Tools.ListChanged || can.Logging != nil { //nolint:staticcheck // it must not be there
		t.Errorf("%+v", can)
	}
	listed, err := s.ListTools(t.Context(), nil)
	if err != nil || listed.CacheScope != "private" {
		t.Errorf("%v, %v", listed, err)
	}
}

func TestToolsRefuseArgumentsThatTheyDoNotHave(t *testing.T) {
	s := session(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, oneTemplate) })
	for _, c := range []struct{ tool, arguments, want string }{
		{"list_templates", `{"search":"card"}`, "search: there is no such argument; the tool has none"},
		{"list_templates", `[]`, "the arguments must be a JSON object"},
		{"get_job", `{"id":"rest-abcde","wait":5}`, "wait: there is no such argument; there are id"},
		{"get_job", `{"ID":"rest-abcde"}`, "ID: there is no such argument; did you mean id?"},
		{"render_card", `{"output.fromat":"pdf"}`, "output.fromat: the template has no such value; did you mean output.format? The tool render takes any value in modifications"},
		{"render_card", `{"$x":"pdf"}`, "$x: the template has no such value; there are output.fileName, output.format, output.scale. The tool render takes any value in modifications"},
		{"render_card", `{"output_format":"pdf"}`, "output_format: the template has no such value; did you mean output.format? The tool render takes any value in modifications"},
		{"render_card", `{"Output.Format":"pdf"}`, "Output.Format: the template has no such value; did you mean output.format? The tool render takes any value in modifications"},
		{"render_card", `{"file_name":"a"}`, "file_name: the template has no such value; did you mean output.fileName? The tool render takes any value in modifications"},
		{"render_card", `{"output":{"format":"pdf"}}`, "output: the template has no such value; there are output.fileName, output.format, output.scale. The tool render takes any value in modifications"},
		{"render_card", `{"modifications":{"headline":"Hi"}}`, "modifications: the template has no such value; each value is an argument of its own. The tool render takes any value in modifications"},
		{"get_job", `{"id":5}`, "id: must be a string, the id that a render has answered with"},
		{"get_job", `{"id":""}`, "id: the id of a job is required"},
		{"get_job", `{"id":null}`, "id: the id of a job is required"},
		{"get_job", `{}`, "id: the id of a job is required"},
	} {
		if text, failed := texts(t, s, c.tool, c.arguments); !failed || strings.TrimSpace(text) != c.want {
			t.Errorf("%s %s: %s", c.tool, c.arguments, text)
		}
	}
	if text, failed := texts(t, s, "list_templates", `{}`); failed || !strings.Contains(text, `"card"`) {
		t.Error(text)
	}
}

// An assistant learns from the error which templates there are, unless the error asks for one of them.
func TestARenderOfAnUnknownTemplateNamesThoseThatThereAre(t *testing.T) {
	const unknown = "Template not found: template: namespace 'marketing' has no RenderTemplate with the id, name or title "
	for _, c := range []struct {
		templates     int
		problem, want string
	}{
		{2, "'card'", unknown + "'card'\nThere are: t0, t1; list_templates has them with their values."},
		{2, "'t9'; did you mean 't0'?", unknown + "'t9'; did you mean 't0'?"},
		{maxFurther + 3, "'card'", unknown + "'card'\nThere are: t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15, t16, t17, t18, t19; list_templates names 3 more."},
		{0, "'card'", unknown + "'card'"},
	} {
		list := make([]shim.Template, c.templates)
		for i := range list {
			list[i].ResourceName = fmt.Sprintf("t%d", i)
		}
		s := session(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_ = json.NewEncoder(w).Encode(list)
				return
			}
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(map[string]string{
				"error": "Template not found", "message": strings.Replace(strings.TrimPrefix(unknown, "Template not found: "), "template: ", "templateId: ", 1) + c.problem,
			})
		})
		if text, failed := texts(t, s, "render", `{"template":"card"}`); !failed || text != c.want {
			t.Errorf("%d templates: %s", c.templates, text)
		}
	}
}

// A tool that was listed before is not unknown because the templates cannot be listed now.
func TestATemplatesToolSaysWhyTemplatesCannotBeListed(t *testing.T) {
	s := session(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"error":"the API server does not answer"}`)
	})
	if text, failed := texts(t, s, "render_card", `{}`); !failed || strings.TrimSpace(text) != "the API server does not answer" {
		t.Error(text)
	}
	if _, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "paint"}); err == nil {
		t.Error("there is a tool paint")
	}
}

// Whoever asks in a wrong workspace learns so from the list of tools, from what the server says of itself, and from a call.
func TestAWorkspaceWithoutTemplatesSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		status       int
		answer, want string
	}{
		"forbidden": {http.StatusForbidden, `{"error":"you may not list rendertemplates in the namespace sales"}`, "you may not list rendertemplates in the namespace sales"},
		"empty":     {http.StatusOK, `[]`, "the workspace has no template: X-Workspace names the workspace, which is a namespace, if it is not that of the token's service account"},
	} {
		t.Run(name, func(t *testing.T) {
			s := session(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.answer)
			})
			if text := s.InitializeResult().Instructions; !strings.Contains(text, " At present, no template is a tool: "+c.want) {
				t.Errorf("instructions: %s", text)
			}
			listed, err := s.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, tool := range listed.Tools {
				if tool.Name != "get_job" && !strings.Contains(tool.Description, c.want) {
					t.Errorf("%s: %s", tool.Name, tool.Description)
				}
			}
			if text, failed := texts(t, s, "render_card", `{}`); !failed || strings.TrimSpace(text) != c.want {
				t.Errorf("%s", text)
			}
		})
	}
	s := session(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, oneTemplate) })
	const want = `no template of the workspace has the tool "render_crad"; did you mean render_card? list_templates has all templates`
	if text, failed := texts(t, s, "render_crad", `{}`); !failed || strings.TrimSpace(text) != want {
		t.Errorf("%s", text)
	}
	if text := s.InitializeResult().Instructions; strings.Contains(text, "At present") {
		t.Errorf("%s", text)
	}
}

// Advice about an upload has the arguments of the tools.
func TestAdviceAboutUploadsIsInTheToolsWords(t *testing.T) {
	s := session(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "templates") {
			_, _ = io.WriteString(w, oneTemplate)
			return
		}
		_, _ = io.WriteString(w, `{"id":"rest-abcde","status":"succeeded","finished":true,"warnings":[{"title":"Kept","details":"another response.fileName makes a new one"}]}`)
	})
	for tool, arguments := range map[string]string{"render_card": `{}`, "render": `{"template":"card"}`, "get_job": `{"id":"rest-abcde"}`} {
		if text, failed := texts(t, s, tool, arguments); failed || !strings.Contains(text, "another output.fileName makes a new one") {
			t.Errorf("%s: %s", tool, text)
		}
	}
}

// The workspaces of a request reach the API as they came, so that it refuses two of them.
func TestHeadersReachTheAPI(t *testing.T) {
	got := http.Header{}
	c := &caller{Options: Options{API: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header })}, header: passed(http.Header{
		"X-Workspace": {"one", "two"}, "Authorization": {"Bearer x"}, "Cookie": {"x"},
	})}
	c.request(context.Background(), http.MethodGet, "/v1/me", nil)
	if fmt.Sprint(got["X-Workspace"], got["Authorization"], got["Cookie"]) != "[one two] [Bearer x] []" {
		t.Errorf("%v", got)
	}
}

// A batch of a few bytes a message would have an answer of many gigabytes. Revision 2025-06-18 of the protocol has no batches any more.
func TestBatchesAreRefused(t *testing.T) {
	reached := []string{}
	h := oneMessage(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		reached = append(reached, string(body))
	}))
	for body, status := range map[string]int{
		`{"jsonrpc":"2.0"}`: http.StatusOK, " \r\n\t {}": http.StatusOK, "": http.StatusOK, "[": http.StatusBadRequest,
		`[{"jsonrpc":"2.0"}]`: http.StatusBadRequest, " \n\t\r[]": http.StatusBadRequest,
	} {
		reached = nil
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body)))
		if w.Code != status || (len(reached) == 1) != (status == http.StatusOK) || len(reached) == 1 && reached[0] != strings.TrimSpace(body) {
			t.Errorf("%.30q: HTTP %d %s, reached %q", body, w.Code, w.Body, reached)
		}
	}
}
