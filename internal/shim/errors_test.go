// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/jobwatch"
)

// bare returns a server that answers requests without a caller.
func bare(t *testing.T) http.Handler {
	t.Helper()
	s, err := New(Options{Derive: func(string) []byte { return nil }, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

// mustBeProblem fails unless an answer is an error of the API in JSON.
func mustBeProblem(t *testing.T, what string, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	var body problem
	err := json.Unmarshal(w.Body.Bytes(), &body)
	if w.Code != status || w.Header().Get("Content-Type") != "application/json" || err != nil || body.Error == "" || w.Header().Get("X-Request-Id") == "" {
		t.Errorf("%s is answered with %d %s %v: %s", what, w.Code, w.Header().Get("Content-Type"), err, w.Body)
	}
}

// Every route refuses every other method with 405, and says which it takes.
func TestWrongMethods(t *testing.T) {
	h := bare(t)
	allowed := map[string][]string{"/openapi.json": {http.MethodGet}, "/docs": {http.MethodGet}, "/docs.css": {http.MethodGet}}
	for pattern := range (&Server{}).routes() {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{id}", "25", "{kind}", "images").Replace(path)
		allowed[path] = append(allowed[path], method)
	}
	for path, methods := range allowed {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodTrace, "PROPFIND"} {
			if slices.Contains(methods, method) {
				continue
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			// Another route may take the path with this method, such as POST /v1/studio/templates/create.
			if w.Code == http.StatusUnauthorized {
				continue
			}
			mustBeProblem(t, method+" "+path, w, http.StatusMethodNotAllowed)
			for _, takes := range methods {
				if !strings.Contains(w.Header().Get("Allow"), takes) {
					t.Errorf("%s %s: Allow is %q", method, path, w.Header().Get("Allow"))
				}
			}
		}
	}
}

func TestUnknownRoutes(t *testing.T) {
	h := bare(t)
	for _, path := range []string{"/v1/", "/v1/nothing", "/v2/studio/render", "/favicon.ico", "/openapi.yaml", "/docs/x", "/v1/../x", "//v1//nothing", "/v1/%2e%2e/x"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "http://shim"+path, nil))
			mustBeProblem(t, method+" "+path, w, http.StatusNotFound)
		}
	}
}

func TestQueriesThatSayTwoThings(t *testing.T) {
	h := bare(t)
	for _, path := range []string{
		"/v1/studio/render?cache=false&cache=true", "/v1/studio/render?cache=%zz", "/v1/studio/render?cache=fal;se", "/v1/studio/render?cache=%ff", "/v1/signed-url/create?page=1&page=1",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://shim"+path, nil))
		mustBeProblem(t, path, w, http.StatusBadRequest)
	}
}

// A query with several mistakes is refused once.
func TestAllMistakesOfAQueryAreNamed(t *testing.T) {
	s := &Server{Options: Options{Log: logr.Discard()}}
	for query, want := range map[string]string{
		"/v1/studio/render-jobs?status=y":                      `{"error":"invalid-status-filter","message":"status: must be queued, processing, succeeded, failed or canceled"}`,
		"/v1/studio/render-jobs?limit=x&cursor=z&status=y":     `{"error":"limit: must be a whole number from 1 to 100; cursor: must be the next_cursor of an earlier answer; status: must be queued, processing, succeeded, failed or canceled"}`,
		"/v1/studio/templates/all?limit=x&page=y":              `{"error":"page: must be a whole number from 1 to 1000000; limit: must be a whole number from 1 to 100"}`,
		"/v1/studio/render-jobs?limit=1&limit=2&status=%ff":    `{"error":"limit: is in the query twice; status: must be UTF-8 in percent-encoding"}`,
		"/v1/studio/dynamic-url/a.png?b=%ff&a=1&a=2&page=1%ff": `{"error":"a: is in the query twice; b: must be UTF-8 in percent-encoding; page: must be UTF-8 in percent-encoding"}`,
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://shim"+query, nil)
		if strings.HasPrefix(query, dynamicPath) {
			r.Pattern = dynamicPattern
		}
		s.handle(func(w http.ResponseWriter, r *http.Request) error {
			switch {
			case strings.HasSuffix(r.URL.Path, "/render-jobs"):
				return s.listJobs(w, r, caller{})
			case strings.HasSuffix(r.URL.Path, "/all"):
				return s.listTemplates(w, r, caller{})
			default:
				r.SetPathValue("name", "a.png")
				return s.openDynamicURL(w, r)
			}
		})(w, r)
		if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusBadRequest || got != want {
			t.Errorf("%s: got %d %s, want %s", query, w.Code, got, want)
		}
	}
}

// A request with two tokens is nobody's.
func TestTwoTokens(t *testing.T) {
	h := bare(t)
	for _, path := range []string{"/v1/me", "/v1/studio/templates", "/v1/brand-assets"} {
		r := httptest.NewRequest(http.MethodGet, "http://shim"+path, nil)
		r.Header["Authorization"] = []string{"Bearer one", "Bearer two"}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		mustBeProblem(t, path, w, http.StatusBadRequest)
		if !strings.Contains(w.Body.String(), "Authorization: ") {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

// A client that joins its base URL and a path with two slashes finds the route.
func TestDoubledSlashes(t *testing.T) {
	w := httptest.NewRecorder()
	bare(t).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://shim//openapi.json", nil))
	if w.Code != http.StatusOK {
		t.Errorf("answered with %d %s", w.Code, w.Body)
	}
}

func TestPanicsAreProblems(t *testing.T) {
	s := &Server{Options: Options{Log: logr.Discard()}}
	w := httptest.NewRecorder()
	s.handle(func(http.ResponseWriter, *http.Request) error { panic("the secret of a bug") })(w, httptest.NewRequest(http.MethodGet, "/v1/me", nil))
	mustBeProblem(t, "a panic", w, http.StatusInternalServerError)
	if strings.Contains(w.Body.String(), "secret") {
		t.Errorf("the answer shows %s", w.Body)
	}
	// An answer that has begun is aborted.
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // net/http compares so too
			t.Error("half an answer is not aborted")
		}
	}()
	s.handle(func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = w.Write([]byte("half"))
		panic("later")
	})(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/me", nil))
}

// A gateway, a client and an assistant try a 503 again, and take a 500 for a bug.
func TestAnAPIServerThatDoesNotAnswer(t *testing.T) {
	gone := &url.Error{Op: "Post", URL: "https://10.96.0.1:443/apis", Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}}
	cut := &url.Error{Op: "Get", URL: "https://10.96.0.1:443/apis", Err: io.ErrUnexpectedEOF}
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"refused":      {fmt.Errorf("reviewing a token: %w", gone), http.StatusServiceUnavailable},
		"cut off":      {cut, http.StatusServiceUnavailable},
		"late":         {fmt.Errorf("asking: %w", context.DeadlineExceeded), http.StatusServiceUnavailable},
		"overloaded":   {apierrors.NewServiceUnavailable("starting"), http.StatusServiceUnavailable},
		"a lost body":  {io.ErrUnexpectedEOF, http.StatusRequestTimeout},
		"another bug":  {errors.New("x"), http.StatusInternalServerError},
		"its own word": {apierrors.NewInternalError(errors.New("x")), http.StatusInternalServerError},
	} {
		s, w := &Server{Options: Options{Log: logr.Discard()}}, httptest.NewRecorder()
		s.handle(func(http.ResponseWriter, *http.Request) error { return c.err })(w, httptest.NewRequest(http.MethodGet, "/v1/me", nil))
		mustBeProblem(t, name, w, c.status)
		if again := w.Header().Get("Retry-After"); (again != "") != (c.status == http.StatusServiceUnavailable) {
			t.Errorf("%s: Retry-After is %q", name, again)
		}
		if strings.Contains(w.Body.String(), "10.96.0.1") {
			t.Errorf("%s: the answer has the API server's address: %s", name, w.Body)
		}
	}
}

// A caller whose body does not arrive, or who closes its half of the connection, never takes an empty 200 for the answer.
func TestCallersThatAreCutOff(t *testing.T) {
	s := &Server{Options: Options{Log: logr.Discard()}}
	server := httptest.NewUnstartedServer(s.handle(func(w http.ResponseWriter, r *http.Request) error {
		if _, err := readBody(w, r); err != nil {
			return err
		}
		<-r.Context().Done()
		return r.Context().Err()
	}))
	server.Config.ReadTimeout = 300 * time.Millisecond
	server.Start()
	defer server.Close()
	for name, c := range map[string]struct {
		request string
		// leaves is true if the caller closes its half.
		leaves bool
		want   string
	}{
		"waits with half of a body":          {"Content-Length: 9\r\n\r\n{", false, "HTTP/1.1 408 "},
		"leaves with half of a body":         {"Content-Length: 9\r\n\r\n{", true, "HTTP/1.1 408 "},
		"leaves within a chunk":              {"Transfer-Encoding: chunked\r\n\r\n9\r\n{", true, "HTTP/1.1 408 "},
		"sends a chunk without a length":     {"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n", false, "HTTP/1.1 400 "},
		"leaves when it has sent everything": {"Content-Length: 2\r\n\r\n{}", true, ""},
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST /v1/studio/render HTTP/1.1\r\nHost: shim\r\n"+c.request)
		if half, ok := conn.(*net.TCPConn); ok && c.leaves {
			_ = half.CloseWrite()
		}
		answer, _ := io.ReadAll(conn) // a reset is no answer either
		_ = conn.Close()
		if !strings.HasPrefix(string(answer), c.want) || c.want == "" && len(answer) > 0 {
			t.Errorf("a caller that %s has the answer %q, want %q", name, answer, c.want)
		}
	}
}

// Whoever mistypes a parameter learns that it was ignored, on every route that has a query or none.
func TestUnknownParameters(t *testing.T) {
	for _, c := range []struct{ pattern, query, want string }{
		{"POST /v1/studio/render", "cach=false", "Parameter 'cach' of the query is not known and was ignored: did you mean 'cache'?"},
		{"POST /v1/generate/{kind}/{id}", "cache=false", ""},
		{"GET /v1/studio/render-jobs", "stats=failed&limit=1", "Parameter 'stats' of the query is not known and was ignored: did you mean 'status'?"},
		{"GET /v1/studio/templates/all", "limit=1&q=zz", "Parameter 'q' of the query is not known and was ignored: the query of this route may have page, limit, search"},
		{"GET /v1/me", "verbose=1", "Parameter 'verbose' of the query is not known and was ignored: the query of this route has no parameters"},
		{"GET /v1/templates/modifications", "template_id=25", ""},
		{"GET /v1/templates/modifications", "templateId=&template_id=25", ""},
		{"GET /v1/templates/modifications", "templateId=25&template_id=25", ""},
		{"GET /v1/templates/modifications", "templateId=77&template_id=25", "Parameter 'template_id' of the query was ignored, because 'templateId' is there too: "},
		{"GET /v1/generate/{kind}", "id=1&expiresAt=2&signature=3&page=1", ""},
		{"GET /v1/studio/dynamic-url/{name}", "headline=x", ""},
		{"GET /docs", "x=y", ""},
	} {
		s, w := &Server{Options: Options{Log: logr.Discard()}}, httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/?"+c.query, nil)
		r.Pattern = c.pattern
		s.handle(func(http.ResponseWriter, *http.Request) error { return nil })(w, r)
		var list []Warning
		if text := w.Header().Get(warningsHeader); text != "" {
			if err := json.Unmarshal([]byte(text), &list); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		var got strings.Builder
		for _, one := range list {
			got.WriteString(one.Title + ": " + one.Details)
		}
		if got.String() != c.want {
			t.Errorf("%s?%s: got %q, want %q", c.pattern, c.query, got.String(), c.want)
		}
	}
	for pattern := range (&Server{}).routes() {
		if _, ok := queries[pattern]; !ok && pattern != "GET "+dynamicPath+"{name}" {
			t.Errorf("nothing says what the query of %s may have", pattern)
		}
	}
	many := make([]Warning, maxWarnings)
	for i := range many {
		many[i] = Warning{Title: strings.Repeat("é", 100), Details: "x"}
	}
	h := http.Header{}
	addWarnings(h, many)
	addWarnings(h, many)
	if text := h.Get(warningsHeader); len(text) > maxHeader || !json.Valid([]byte(text)) {
		t.Errorf("a header of %d bytes", len(text))
	}
}

// Nobody can ask the API server for a template by its number, so the shim waits for its watch to show a new one.
func TestANewTemplateIsFoundByItsNumber(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := platenv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	lists := 0
	cache := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if lists++; lists == 2 {
				if err := c.Create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "banner"}, Spec: platenv1alpha1.RenderTemplateSpec{TemplateID: new(int64(25))}}); err != nil {
					return err
				}
			}
			return c.List(ctx, list, options...)
		},
	}).Build()
	s := &Server{Options: Options{Cache: cache}}
	if found, err := s.newTemplate(t.Context(), "ns", "25"); err != nil || found == nil || found.Name != "banner" {
		t.Errorf("got %v, %v", found, err)
	}
	if found, err := s.newTemplate(t.Context(), "ns", "26"); err != nil || found != nil {
		t.Errorf("got %v, %v for a template that there is not", found, err)
	}
}

// The answer to Prefer: wait=0 often comes before the watch has seen the job.
func TestAJobThatTheWatchHasNotSeen(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := platenv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	waiters, err := jobwatch.New(t.Context(), &informertest.FakeInformers{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Options: Options{Cache: fake.NewClientBuilder().WithScheme(scheme).Build(), Waiters: waiters}}
	at := time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)
	known := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "rest-1", UID: "u", CreationTimestamp: metav1.NewTime(at),
		Annotations: map[string]string{metadataAnnotation: `{"order":7}`, warningsAnnotation: `[{"title":"The webhook cannot be called","details":"why"}]`},
	}}
	job, err := s.await(t.Context(), created(known), 0)
	if err != nil {
		t.Fatal(err)
	}
	body := describe(job)
	metadata, err := json.Marshal(body.Metadata)
	if err != nil || body.ID != "rest-1" || body.Status != queued || !body.CreatedAt.Equal(at) || string(metadata) != `{"order":7}` {
		t.Errorf("got %+v, %v", body, err)
	}
	if want := []Warning{{"The webhook cannot be called", "why"}}; !slices.Equal(body.Warnings, want) {
		t.Errorf("warnings %v, want %v", body.Warnings, want)
	}
}
