// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mcp serves the Model Context Protocol (https://modelcontextprotocol.io), so that assistants render templates: one tool for each
// template, with its parameters. It has no rights and no state: every call is a request of the public render API with the caller's token.
package mcp

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/shim"
	"github.com/platen-dev/platen/internal/values"
)

const (
	// Path of the endpoint.
	Path = "/mcp"
	// maxMessage bounds a message, in bytes. The modifications of a render have at most 1 MiB.
	maxMessage = 2 << 20
	// maxPicture bounds a picture that a result has itself, in bytes, and maxPictures their number. All files are links too.
	maxPicture  = 512 << 10
	maxPictures = 4
	// patience bounds the wait of a render. Many clients give a call up after a minute, and would never learn the job's id.
	patience = 50 * time.Second
)

// Options of a handler. All are required.
type Options struct {
	// API is the public render API.
	API http.Handler
	// Open requests a file by its content URL.
	Open func(ctx context.Context, contentURL string) (*http.Response, error)
	// Reviewer authenticates callers.
	Reviewer *callers.Reviewer
	// Wait is how long a request of the API waits for its job by default. A render waits no longer, and no longer than an assistant does.
	Wait time.Duration
	// Version of the program.
	Version string
}

// NewHandler returns the endpoint: streamable HTTP without sessions, so that any replica answers any request. A request needs a bearer
// token, and X-Workspace if the token does not belong to a service account.
func NewHandler(options Options) http.Handler {
	endpoint := mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server {
		c := &caller{Options: options, header: passed(r.Header)}
		return c.server(r.Context())
	}, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxMessage,
		// The other end of a tunnel or of a mesh's proxy is the loopback address, and requests have any host. A page that a browser has been
		// rebound to has no token, and no cookie stands for one.
		DisableLocalhostProtection: true,
	})
	single := oneMessage(endpoint)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := options.Reviewer.Authenticate(r.Context(), callers.Bearer(r.Header)); err != nil {
			refuse(w, err)
			return
		}
		single.ServeHTTP(w, r)
	})
}

// oneMessage refuses a batch of messages: a small one could ask for answers of many gigabytes.
func oneMessage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := bufio.NewReader(http.MaxBytesReader(w, r.Body, maxMessage)) // next gets its error
		first, err := body.Peek(1)
		for err == nil && strings.IndexByte(" \t\r\n", first[0]) >= 0 {
			if _, err = body.Discard(1); err == nil {
				first, err = body.Peek(1)
			}
		}
		if err == nil && first[0] == '[' {
			http.Error(w, "send each message in a request of its own: MCP has no batches since its revision 2025-06-18", http.StatusBadRequest)
			return
		}
		r.Body = struct {
			io.Reader
			io.Closer
		}{body, r.Body}
		next.ServeHTTP(w, r)
	})
}

// passed returns the headers of a message that are those of its requests of the API too. Of several workspaces, the API says that they are
// too many.
func passed(h http.Header) http.Header {
	kept := http.Header{}
	for _, name := range []string{"Authorization", "X-Workspace", "X-Workspace-Id", "Traceparent"} {
		if values := h.Values(name); len(values) > 0 {
			kept[name] = slices.Clone(values)
		}
	}
	return kept
}

// refuse answers a request whose token is not accepted.
func refuse(w http.ResponseWriter, err error) {
	known := (*callers.StatusError)(nil)
	if !errors.As(err, &known) {
		known = callers.ErrUnreachable
		w.Header().Set("Retry-After", strconv.Itoa(int(callers.RetryAfter.Seconds())))
	}
	if known.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="platen"`)
	}
	http.Error(w, known.Message, known.Status)
}

// jobName matches the names that jobs can have.
var jobName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// caller makes requests of the API for one message.
type caller struct {
	Options
	header http.Header
}

// server returns the tools that the caller has.
func (c *caller) server(ctx context.Context) *mcp.Server {
	templates, problem := c.templates(ctx)
	notice := "" // an assistant that sees no template asks nobody why
	if problem != nil {
		notice = " At present, no template is a tool: " + textOf(problem) + "."
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "platen", Title: "Platen", Version: c.Version}, &mcp.ServerOptions{
		Instructions: "Renders templates to pictures, PDFs and videos. Each template is a tool; list_templates has the details of all. " +
			"A render that takes long answers with a job's id for get_job." + notice,
		// Without sessions, nobody hears of a change.
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
		// The tools are those of one caller.
		SetCacheable: func(_ context.Context, _ mcp.Request, cacheable *mcp.Cacheable) { cacheable.CacheScope = "private" },
	})
	s.AddReceivingMiddleware(once)
	s.AddTool(&mcp.Tool{
		Name: "list_templates", Description: "List the templates of the workspace with the values that each takes." + notice,
		InputSchema: object(nil), Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
	}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if _, problem := arguments(r, nil); problem != "" {
			return failure("%s", problem), nil
		}
		return c.text(ctx, http.MethodGet, "/v1/studio/templates", nil), nil
	})
	job := map[string]any{"id": map[string]any{"type": "string", "description": "The id that a render has answered with."}}
	s.AddTool(&mcp.Tool{
		Name: "get_job", Description: "Get the state of a render, and its files once it has succeeded.", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
		InputSchema: object(job, "id"),
	}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		input, problem := arguments(r, job)
		if problem != "" {
			return failure("%s", problem), nil
		}
		id := ""
		if len(input["id"]) > 0 && json.Unmarshal(input["id"], &id) != nil {
			return failure("id: must be a string, the id that a render has answered with"), nil //nolint:nilerr // the assistant gets the error as the tool's result
		}
		if id == "" {
			return failure("id: the id of a job is required"), nil
		}
		if !jobName.MatchString(id) {
			return failure("job-not-found: no job is called %.100q", id), nil // as a path it could be another route
		}
		return c.files(ctx, http.MethodGet, "/v1/studio/render-jobs/"+id, nil), nil
	})
	properties := outputs()
	properties["template"] = map[string]any{"type": "string", "description": "The template's id or name, as list_templates has it."}
	properties[modificationsArgument] = map[string]any{"type": "object", "description": "The values of the template's parameters, by name."}
	s.AddTool(&mcp.Tool{Name: "render", Description: "Render a template." + notice, InputSchema: object(properties, "template")},
		func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			input, problem := arguments(r, properties)
			if problem != "" {
				return failure("%s", problem), nil
			}
			if text := string(input["template"]); text == "" || text == "null" || text == `""` {
				return failure("template: the id or name of a template is required, as list_templates has it"), nil
			}
			result := c.render(ctx, input["template"], input[modificationsArgument], input, argumentWords)
			nameTemplates(result, templates)
			return result, nil
		})
	s.AddReceivingMiddleware(unlisted(templates, problem))
	for _, t := range templates {
		s.AddTool(t.tool(), func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			id, output, modifications, err := t.split(r.Params.Arguments)
			if err != nil {
				return failure("the arguments must be a JSON object"), nil //nolint:nilerr // the assistant gets the error as the tool's result
			}
			if problem := t.mistaken(modifications); problem != "" {
				return failure("%s", problem), nil
			}
			return c.render(ctx, id, modifications, output, valueWords), nil
		})
	}
	return s
}

// once refuses the call of a tool with an argument that is there twice: encoding/json would take the last one.
func once(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, r mcp.Request) (mcp.Result, error) {
		if call, ok := r.(*mcp.CallToolRequest); ok && json.Valid(call.Params.Arguments) {
			if name := values.Twice(call.Params.Arguments); name != "" {
				return failure("%.200s: is there twice: send it once", name), nil
			}
		}
		return next(ctx, method, r)
	}
}

// unlisted answers the call of a template's tool that is not there: with why there is none, or which one may be meant.
func unlisted(templates []template, problem *mcp.CallToolResult) mcp.Middleware {
	names := make([]string, 0, len(templates))
	for _, t := range templates {
		names = append(names, t.name)
	}
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, r mcp.Request) (mcp.Result, error) {
			call, ok := r.(*mcp.CallToolRequest)
			switch {
			case !ok || !strings.HasPrefix(call.Params.Name, toolPrefix) || slices.Contains(names, call.Params.Name):
				return next(ctx, method, r)
			case problem != nil:
				return problem, nil
			}
			hint := ""
			if near := nearest.Name(call.Params.Name, names); near != "" {
				hint = "did you mean " + near + "? "
			}
			return failure("no template of the workspace has the tool %.100q; %slist_templates has all templates", call.Params.Name, hint), nil
		}
	}
}

// nameTemplates adds to the error about a template that is not there which there are, unless it asks for the one that may be meant.
func nameTemplates(result *mcp.CallToolResult, templates []template) {
	if text := textOf(result); !result.IsError || len(templates) == 0 || !strings.Contains(text, "has no RenderTemplate") || strings.Contains(text, "did you mean '") {
		return
	}
	names := make([]string, 0, min(len(templates), maxFurther))
	for _, t := range templates[:cap(names)] {
		names = append(names, t.ResourceName)
	}
	more := "list_templates has them with their values"
	if n := len(templates) - len(names); n > 0 {
		more = fmt.Sprintf("list_templates names %d more", n)
	}
	result.Content = append(result.Content, &mcp.TextContent{Text: fmt.Sprintf("There are: %s; %s.", strings.Join(names, ", "), more)})
}

// textOf returns the first text of a result.
func textOf(result *mcp.CallToolResult) string {
	for _, part := range result.Content {
		if text, ok := part.(*mcp.TextContent); ok {
			return text.Text
		}
	}
	return ""
}

// arguments returns the arguments of a call, of which there may be those of properties, or says what is wrong with them.
func arguments(r *mcp.CallToolRequest, properties map[string]any) (given map[string]json.RawMessage, problem string) {
	given = map[string]json.RawMessage{}
	if len(r.Params.Arguments) > 0 && json.Unmarshal(r.Params.Arguments, &given) != nil {
		return nil, "the arguments must be a JSON object"
	}
	return given, unknownArgument(given, properties)
}

// request makes a request of the API.
func (c *caller) request(ctx context.Context, method, path string, body any) (status int, answer []byte) {
	text, err := json.Marshal(body)
	if err != nil {
		return http.StatusBadRequest, []byte("the arguments are not JSON")
	}
	r, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(text))
	if err != nil {
		return http.StatusBadRequest, []byte("the arguments do not make a request")
	}
	r.Header = c.header.Clone()
	r.Header.Set("Prefer", fmt.Sprintf("wait=%d", int(min(c.Wait, patience).Seconds())))
	w := &recorder{header: http.Header{}}
	c.API.ServeHTTP(w, r)
	return cmp.Or(w.status, http.StatusOK), w.body.Bytes()
}

// recorder keeps an answer of the API. It implements http.ResponseWriter.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = cmp.Or(r.status, status) }

func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// text makes a request whose answer is a text for the assistant.
func (c *caller) text(ctx context.Context, method, path string, body any) *mcp.CallToolResult {
	status, answer := c.request(ctx, method, path, body)
	if status >= http.StatusMultipleChoices {
		return apiFailure(answer)
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(bytes.TrimSpace(answer))}}}
}

// render renders a template. output has the arguments that say what files there are. inWords translates what is wrong for the tool.
func (c *caller) render(
	ctx context.Context, template, modifications json.RawMessage, output map[string]json.RawMessage, inWords *strings.Replacer,
) *mcp.CallToolResult {
	response := map[string]json.RawMessage{"type": json.RawMessage(`"url"`)}
	for argument, field := range map[string]string{formatArgument: "format", nameArgument: "fileName", scaleArgument: "scale"} {
		if value, ok := output[argument]; ok {
			response[field] = value
		}
	}
	body := map[string]any{"templateId": template, "response": response}
	if len(modifications) > 0 {
		body["modifications"] = modifications
	}
	result := c.files(ctx, http.MethodPost, "/v1/studio/render", body)
	if result.IsError {
		for _, part := range result.Content {
			if text, ok := part.(*mcp.TextContent); ok {
				text.Text = inWords.Replace(text.Text)
			}
		}
	}
	return result
}

// files makes a request that answers with rendered files, or with the state of a job. The result has the answer as a text, a link to each file,
// and small pictures themselves.
func (c *caller) files(ctx context.Context, method, path string, body any) *mcp.CallToolResult {
	status, answer := c.request(ctx, method, path, body)
	if status >= http.StatusMultipleChoices {
		return apiFailure(answer)
	}
	result := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: adviceWords.Replace(string(bytes.TrimSpace(answer)))}}}
	var job struct {
		ID       string          `json:"id"`
		Status   string          `json:"status"`
		Finished bool            `json:"finished"`
		Error    string          `json:"error"`
		Result   json.RawMessage `json:"result"`
	}
	if json.Unmarshal(answer, &job) == nil && len(job.Result) > 0 {
		answer = job.Result
	}
	if job.ID != "" && !job.Finished {
		next := fmt.Sprintf("The render goes on. Call get_job with the id %s for its files.", job.ID)
		if job.Error != "" {
			next = fmt.Sprintf("The render waits until somebody changes this: %s. Then call get_job with the id %s for its files.", job.Error, job.ID)
		}
		result.Content = append(result.Content, &mcp.TextContent{Text: next})
	}
	result.IsError = job.Status == "failed"
	pictures := 0
	for _, link := range links(answer) {
		result.Content = append(result.Content, link)
		if !strings.HasPrefix(link.MIMEType, "image/") || pictures == maxPictures {
			continue
		}
		if data := c.picture(ctx, link); data != nil {
			pictures++
			result.Content = append(result.Content, &mcp.ImageContent{Data: data, MIMEType: link.MIMEType})
		}
	}
	return result
}

// picture returns the bytes of a picture; nil if it is large, or cannot be read: the result has its link.
func (c *caller) picture(ctx context.Context, link *mcp.ResourceLink) []byte {
	resp, err := c.Open(ctx, link.URI)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.ContentLength > maxPicture {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxPicture+1))
	if err != nil || len(data) > maxPicture {
		return nil
	}
	return data
}

func failure(format string, arguments ...any) *mcp.CallToolResult {
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, arguments...)}}}
}

// apiFailure returns an error of the API in its words.
func apiFailure(answer []byte) *mcp.CallToolResult {
	var problem struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &problem) != nil || problem.Error == "" {
		return failure("the request failed: %.200s", answer)
	}
	if problem.Message != "" {
		return failure("%s: %s", problem.Error, problem.Message)
	}
	return failure("%s", problem.Error)
}

// templates returns the templates that the caller may list, or the result that says why there are none.
func (c *caller) templates(ctx context.Context) (list []template, problem *mcp.CallToolResult) {
	status, answer := c.request(ctx, http.MethodGet, "/v1/studio/templates", nil)
	var all []shim.Template
	if status != http.StatusOK || json.Unmarshal(answer, &all) != nil {
		return nil, apiFailure(answer)
	}
	if len(all) == 0 {
		return nil, failure("the workspace has no template: X-Workspace names the workspace, which is a namespace, if it is not that of the token's service account")
	}
	return tools(all), nil
}
