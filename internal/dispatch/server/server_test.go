// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/credentials"
	dispatchclient "github.com/platen-dev/platen/internal/dispatch/client"
	"github.com/platen-dev/platen/internal/dispatch/server"
	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/tracing"
)

// tokens is the API server's view of service-account tokens.
type tokens struct {
	ctrlclient.Client
	reviews atomic.Int32
}

// newTokens accepts the tokens "render-…" and "stranger", each bound to the pod of that name in namespace ns, for any audience. The
// tokens "other-audience", "no-pod" and "broken" give the answers that their names say.
func newTokens() *tokens {
	t := &tokens{}
	t.Client = fake.NewClientBuilder().WithScheme(scheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(_ context.Context, _ ctrlclient.WithWatch, o ctrlclient.Object, _ ...ctrlclient.CreateOption) error {
			review, ok := o.(*authenticationv1.TokenReview)
			if !ok {
				return fmt.Errorf("unexpected %T", o)
			}
			t.reviews.Add(1)
			switch token := review.Spec.Token; {
			case token == "broken":
				return errors.New("the API server is away")
			case token == "other-audience":
				review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"elsewhere"}, User: user(launched)}
			case token == "no-pod":
				review.Status = authenticationv1.TokenReviewStatus{
					Authenticated: true, Audiences: review.Spec.Audiences, User: authenticationv1.UserInfo{Username: "system:serviceaccount:ns:default"},
				}
			case strings.HasPrefix(token, "render-"), token == "stranger":
				review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: review.Spec.Audiences, User: user(token)}
			}
			return nil
		},
	}).Build()
	return t
}

func user(pod string) authenticationv1.UserInfo {
	return authenticationv1.UserInfo{Username: "system:serviceaccount:ns:default", Extra: map[string]authenticationv1.ExtraValue{
		"authentication.kubernetes.io/pod-name": {pod}, "authentication.kubernetes.io/pod-uid": {"uid-" + pod},
	}}
}

const (
	// launched is the pod that the pool launches for the job, and other is a pod that existed before.
	launched = "render-launched"
	other    = "render-other"
)

// world is a dispatch server with its pool.
type world struct {
	t      *testing.T
	tokens *tokens
	pool   *pool.Pool
	// changed gets a value after each change of the job's state.
	changed chan struct{}
	store   *content.Store
	server  *server.Server
	http    http.Handler
	// limit of attempts after the first.
	limit int
	// full is the error of the store's Put of the last page.
	mu   sync.Mutex
	full error
	// task of the job, or why it cannot be built.
	task      render.Task
	taskError error
	// buildBy is when the task must have been built.
	buildBy time.Time
	// keys sign plans.
	keys [][]byte
	// fonts of the task by their hashes, and how often one was read.
	fonts     map[string][]byte
	fontReads atomic.Int32
	// cacheKey of the task, and what the render cache was given.
	cacheKey string
	saved    []string
	// painted has what the Observer was told.
	painted map[render.Place]int
	// elsewhere is where the pods of all namespaces belong; empty for here.
	elsewhere string
	// trace of the job, and the spans that were recorded.
	trace string
	spans *tracetest.InMemoryExporter
}

// Painted implements server.Observer.
func (w *world) Painted(place string, pages int) { w.painted[render.Place(place)] += pages }

// Save implements server.Cache.
func (w *world) Save(_ context.Context, key content.CacheKey, from content.Ref, m content.Manifest, repeatable bool) {
	w.saved = append(w.saved, fmt.Sprintf("%s/%s: %d files of %s, repeatable %t", key.Namespace, key.Task, len(m.Files), from.JobUID, repeatable))
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := content.Open(t.Context(), "file://"+t.TempDir(), content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return newManager(t, store)
}

// newManager returns a dispatch server with its pool over a store, which may have what another one has stored.
func newManager(t *testing.T, store *content.Store) *world {
	t.Helper()
	w := &world{t: t, tokens: newTokens(), changed: make(chan struct{}, 100), store: store, painted: map[render.Place]int{}, spans: tracetest.NewInMemoryExporter(), keys: [][]byte{[]byte("the managers' key")}}
	w.pool = pool.New(pool.Options{
		Now: time.Now, JobChanged: func(types.NamespacedName) { w.changed <- struct{}{} }, NamespaceChanged: func(string) {},
		AdoptionGrace: time.Nanosecond, RetryDelay: time.Millisecond, AnnounceGrace: time.Nanosecond, PodName: func() string { return launched },
	})
	w.server = server.New(server.Options{
		Reviewer: &server.TokenReviewer{Client: w.tokens, Audience: "dispatch.platen.dev", Now: time.Now},
		Pool:     w.pool, Tasks: w, Store: bounded{store, w}, Cache: w, Now: time.Now, Log: logr.Discard(), MaxPage: 1000,
		Observer: w, Tracer: tracing.New(sdktrace.WithSyncer(w.spans)), PlanKeys: func() [][]byte { return w.keys },
		Elsewhere: func(string) string { return w.elsewhere },
	})
	w.http = w.server.Handler()
	return w
}

// bounded is the store, which has no room while the world says so.
type bounded struct {
	*content.Store
	w *world
}

// Put implements server.Store.
func (b bounded) Put(ctx context.Context, ref content.Ref, attempt int, f file.File, r io.Reader, maxBytes int64) (file.File, error) {
	b.w.mu.Lock()
	full := b.w.full
	b.w.mu.Unlock()
	if full != nil && f.Page == 3 {
		return file.File{}, full
	}
	return b.Store.Put(ctx, ref, attempt, f, r, maxBytes)
}

// Task implements server.Tasks.
func (w *world) Task(ctx context.Context, key types.NamespacedName, _ types.UID, _ string) (render.Task, *pool.Plan, error) {
	w.buildBy, _ = ctx.Deadline()
	return w.task, &pool.Plan{Key: key, Pages: len(w.task.Pages), TotalPages: 3, Files: w.task.Files(), CacheKey: w.cacheKey, Trace: w.trace}, w.taskError
}

// A job may come at the end of a poll: what is left of the poll's time does not bound the building of its task.
func TestTaskOfALateJobHasTimeToBeBuilt(t *testing.T) {
	w := newWorld(t)
	w.begin()
	if left := time.Until(w.buildBy); left <= wire.PollTimeout {
		t.Errorf("a task must be built within %s", left)
	}
}

// Font implements server.Tasks. If the task has a font that is gone, it has the others from then on.
func (w *world) Font(_ context.Context, _ types.NamespacedName, hash string) ([]byte, error) {
	w.fontReads.Add(1)
	data, ok := w.fonts[hash]
	if !ok {
		for hash := range w.fonts {
			w.task.Fonts = []render.Font{{SHA256: hash}}
		}
		return nil, reconcile.Terminal("InvalidFont", "the font is gone")
	}
	return data, nil
}

// submit hands the job to the pool.
func (w *world) submit(sizes ...render.Size) {
	w.task = render.Task{Name: "card", Format: "png", Pages: []render.Page{{Number: 1}, {Number: 3}}, ExtraSizes: sizes}
	w.pool.Enqueue(pool.Job{
		Key: types.NamespacedName{Namespace: "ns", Name: "card"}, UID: "job", Revision: "1", Timeout: time.Minute, TotalPages: 3, Pages: 2, BackoffLimit: w.limit,
	})
}

// enqueue hands the job to the pool and launches its pod.
func (w *world) enqueue(sizes ...render.Size) {
	w.t.Helper()
	w.submit(sizes...)
	launches := w.pool.Decide("ns").Launch
	if len(launches) != 1 || launches[0].PodName != launched {
		w.t.Fatalf("the pool asks for %+v", launches)
	}
	w.pool.Launched("ns", launches[0], "uid-"+launched, nil)
	w.pool.ObservePods("ns", []pool.PodView{{Name: launched, UID: "uid-" + launched}, {Name: other, UID: "uid-" + other}})
}

// call makes a request as a pod.
func (w *world) call(method, path, token string, header http.Header, body io.Reader) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, body)
	if header != nil {
		r.Header = header
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	recorder := httptest.NewRecorder()
	w.http.ServeHTTP(recorder, r)
	return recorder
}

// begin lets the launched pod take the job, and returns the id of its task.
func (w *world) begin() string {
	w.t.Helper()
	w.enqueue()
	return w.take(launched).TaskID
}

// take lets a pod take a job.
func (w *world) take(pod string) (a wire.Assignment) {
	w.t.Helper()
	recorder := w.call(http.MethodPost, "/v1/poll", pod, nil, nil)
	if err := json.NewDecoder(recorder.Body).Decode(&a); err != nil || recorder.Code != http.StatusOK {
		w.t.Fatalf("poll: HTTP %d, %v", recorder.Code, err)
	}
	return a
}

// attemptOf returns the number at the end of a task's id.
func attemptOf(task string) int {
	n, _ := strconv.Atoi(task[strings.LastIndex(task, ".")+1:])
	return n
}

func png() http.Header { return http.Header{"Content-Type": {"image/png"}} }

func TestUnauthorizedRequestsLearnNothing(t *testing.T) {
	w := newWorld(t)
	task := w.begin()
	for name, c := range map[string]struct {
		method, path, token string
		want                int
	}{
		"no token":                            {method: http.MethodPost, path: "/v1/poll", token: "", want: http.StatusUnauthorized},
		"a token that the API server refuses": {method: http.MethodPost, path: "/v1/poll", token: "expired", want: http.StatusUnauthorized},
		"a token for another audience":        {method: http.MethodPost, path: "/v1/poll", token: "other-audience", want: http.StatusUnauthorized},
		"a token without a pod":               {method: http.MethodPost, path: "/v1/poll", token: "no-pod", want: http.StatusUnauthorized},
		"a token that is too long":            {method: http.MethodPost, path: "/v1/poll", token: strings.Repeat("x", 20<<10), want: http.StatusUnauthorized},
		"a pod that is not a render pod":      {method: http.MethodPost, path: "/v1/poll", token: "stranger", want: http.StatusForbidden},
		"a stranger's heartbeat":              {method: http.MethodPost, path: "/v1/tasks/" + task + "/heartbeat", token: "stranger", want: http.StatusForbidden},
		"a stranger's page":                   {method: http.MethodPut, path: "/v1/tasks/" + task + "/pages/1", token: "stranger", want: http.StatusForbidden},
		"a stranger's result":                 {method: http.MethodPost, path: "/v1/tasks/" + task + "/result", token: "stranger", want: http.StatusForbidden},
		"another pod's heartbeat":             {method: http.MethodPost, path: "/v1/tasks/" + task + "/heartbeat", token: other, want: http.StatusGone},
		"another pod's page":                  {method: http.MethodPut, path: "/v1/tasks/" + task + "/pages/1", token: other, want: http.StatusGone},
		"another pod's result":                {method: http.MethodPost, path: "/v1/tasks/" + task + "/result", token: other, want: http.StatusGone},
		"a task that does not exist":          {method: http.MethodPost, path: "/v1/tasks/x.1.1/result", token: other, want: http.StatusGone},
		"an API server that does not answer":  {method: http.MethodPost, path: "/v1/poll", token: "broken", want: http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := w.call(c.method, c.path, c.token, png(), strings.NewReader("x"))
			if recorder.Code != c.want {
				t.Errorf("got HTTP %d, want %d", recorder.Code, c.want)
			}
			if body := recorder.Body.String(); len(body) > 20 || strings.Contains(body, "job") {
				t.Errorf("the answer says too much: %q", body)
			}
		})
	}
}

// A pod whose namespace another server has is told so for each request, and nobody else is.
func TestPodsOfAnotherServerAreSentThere(t *testing.T) {
	w := newWorld(t)
	task := w.begin()
	w.elsewhere = "https://platen-dispatch-1.platen-system.svc:9443"
	for _, path := range []string{"/v1/poll", "/v1/tasks/" + task + "/heartbeat", "/v1/tasks/" + task + "/result"} {
		answer := w.call(http.MethodPost, path, launched, nil, strings.NewReader("{}"))
		if answer.Code != http.StatusMisdirectedRequest || answer.Header().Get(wire.ServerHeader) != w.elsewhere {
			t.Errorf("POST %s: HTTP %d, %v", path, answer.Code, answer.Header())
		}
	}
	if answer := w.call(http.MethodPost, "/v1/poll", "unknown", nil, nil); answer.Code != http.StatusUnauthorized || answer.Header().Get(wire.ServerHeader) != "" {
		t.Errorf("a token that is not valid: HTTP %d, %v", answer.Code, answer.Header())
	}
	if state := w.pool.State(types.NamespacedName{Namespace: "ns", Name: "card"}, "job", "1"); state.Phase != pool.Rendering {
		t.Errorf("the job is %+v after requests for another server", state)
	}
}

func TestValidTokenIsReviewedOnce(t *testing.T) {
	w := newWorld(t)
	task := w.begin()
	before := w.tokens.reviews.Load()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if code := w.call(http.MethodPost, "/v1/tasks/"+task+"/heartbeat", launched, nil, nil).Code; code != http.StatusNoContent {
				t.Errorf("heartbeat: HTTP %d", code)
			}
		})
	}
	all.Wait()
	if got := w.tokens.reviews.Load() - before; got != 0 {
		t.Errorf("a valid token was reviewed %d more times", got)
	}
}

func TestJunkTokensCostTheAPIServerLittle(t *testing.T) {
	w := newWorld(t)
	w.begin()
	before := w.tokens.reviews.Load()
	for i := range 1000 {
		w.call(http.MethodPost, "/v1/poll", fmt.Sprintf("junk-%d", i), nil, nil)
	}
	if got := w.tokens.reviews.Load() - before; got > 30 {
		t.Errorf("1000 tokens of one address were reviewed %d times", got)
	}
}

func TestReviews(t *testing.T) {
	tokens := newTokens()
	now := time.Unix(1_000_000, 0)
	reviewer := &server.TokenReviewer{Client: tokens, Audience: "dispatch.platen.dev", Now: func() time.Time { return now }}
	review := func(token string) bool {
		_, _, err := reviewer.Review(t.Context(), token)
		return err == nil
	}
	for name, c := range map[string]struct {
		token string
		valid bool
		after time.Duration
		want  int32
	}{
		"an invalid token, at once":              {"expired", false, 0, 1},
		"an invalid token, which may be valid":   {"expired", false, 11 * time.Second, 2},
		"a valid token, soon":                    {launched, true, 4 * time.Minute, 1},
		"a valid token, which may be invalid":    {launched, true, 6 * time.Minute, 2},
		"a token that could not be reviewed yet": {"broken", false, 0, 2},
	} {
		tokens.reviews.Store(0)
		now = now.Add(time.Hour)
		for range 2 {
			if review(c.token) != c.valid {
				t.Errorf("%s: want valid %v", name, c.valid)
			}
			now = now.Add(c.after)
		}
		if got := tokens.reviews.Load(); got != c.want {
			t.Errorf("%s: %d reviews, want %d", name, got, c.want)
		}
	}
	// A flood of invalid tokens does not cost a valid one its review.
	review(launched)
	for i := range 11_000 {
		review(fmt.Sprintf("junk-%d", i))
	}
	tokens.reviews.Store(0)
	if !review(launched) || tokens.reviews.Load() != 0 {
		t.Errorf("a valid token was reviewed again")
	}
}

func TestPageIsChecked(t *testing.T) {
	w := newWorld(t)
	path := "/v1/tasks/" + w.begin() + "/pages/"
	for name, c := range map[string]struct {
		page   string
		header http.Header
		body   io.Reader
		want   int
	}{
		"a page that is not in the task":         {page: "2", header: png(), body: strings.NewReader("x"), want: http.StatusBadRequest},
		"not a number":                           {page: "one", header: png(), body: strings.NewReader("x"), want: http.StatusBadRequest},
		"another format":                         {page: "1", header: http.Header{"Content-Type": {"text/html"}}, body: strings.NewReader("x"), want: http.StatusUnsupportedMediaType},
		"a file with too large a Content-Length": {page: "1", header: png(), body: bytes.NewReader(make([]byte, 1001)), want: http.StatusRequestEntityTooLarge},
		"a file of unknown length":               {page: "1", header: png(), body: io.MultiReader(strings.NewReader("x")), want: http.StatusRequestEntityTooLarge},
		"a valid file":                           {page: "1", header: png(), body: strings.NewReader("good"), want: http.StatusNoContent},
	} {
		if got := w.call(http.MethodPut, path+c.page, launched, c.header, c.body).Code; got != c.want {
			t.Errorf("%s: got HTTP %d, want %d", name, got, c.want)
		}
	}
}

// broken fails after its bytes, as a connection does that ends in the middle of a body.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestIncompleteFileIsNotStored(t *testing.T) {
	w := newWorld(t)
	task := w.begin()
	path := "/v1/tasks/" + task + "/pages/1"
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, path, broken{strings.NewReader("half")})
	r.ContentLength = 8
	r.Header = http.Header{"Content-Type": {"image/png"}, "Authorization": {"Bearer " + launched}}
	recorder := httptest.NewRecorder()
	w.http.ServeHTTP(recorder, r)
	if recorder.Code != http.StatusServiceUnavailable {
		t.Errorf("got HTTP %d", recorder.Code)
	}
	half := file.File{ID: file.ID{Page: 1}, Format: "png"}
	if _, err := w.store.Inspect(t.Context(), content.Ref{Namespace: "ns", JobUID: "job", Revision: "1"}, attemptOf(task), half); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("an incomplete file was stored: %v", err)
	}
}

func sum(data string) string {
	digest := sha256.Sum256([]byte(data))
	return hex.EncodeToString(digest[:])
}

func contentHash(data string) string {
	hash := file.NewBlockHash()
	_, _ = hash.Write([]byte(data))
	return file.HashOfBlocks(hash.Blocks())
}

// put sends a page of a task.
func (w *world) put(task string, page int, data string) {
	w.t.Helper()
	path := fmt.Sprintf("/v1/tasks/%s/pages/%d", task, page)
	if code := w.call(http.MethodPut, path, launched, png(), strings.NewReader(data)).Code; code != http.StatusNoContent {
		w.t.Fatalf("page %d: HTTP %d", page, code)
	}
}

// result reports the files of a task, and returns the code of the answer.
func (w *world) result(task string, files ...file.File) int {
	w.t.Helper()
	body, err := json.Marshal(wire.Result{Files: files})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.call(http.MethodPost, "/v1/tasks/"+task+"/result", launched, nil, bytes.NewReader(body)).Code
}

func TestResultWithoutItsFilesCommitsNothing(t *testing.T) {
	for name, send := range map[string]func(w *world, task string){
		"page 3 is missing": func(*world, string) {},
		"page 3 is another": func(w *world, task string) { w.put(task, 3, "another picture") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			task := w.begin()
			w.put(task, 1, "one")
			send(w, task)
			code := w.result(task, file.File{ID: file.ID{Page: 1}, SHA256: sum("one")}, file.File{ID: file.ID{Page: 3}, SHA256: sum("three")})
			if state := w.await(pool.Queued); code != http.StatusGone || state.Attempts != 0 || state.Lost != 1 {
				t.Errorf("HTTP %d, the job is %+v", code, state)
			}
			_, err := w.store.Manifest(t.Context(), content.Ref{Namespace: "ns", JobUID: "job", Revision: "1"})
			if !errors.Is(err, content.ErrNotFound) {
				t.Errorf("the manifest: %v", err)
			}
		})
	}
}

func TestResultCommitsWhatIsStored(t *testing.T) {
	w := newWorld(t)
	task := w.begin()
	w.put(task, 1, "one")
	w.put(task, 3, "three")
	// The server ignores the names, sizes and formats that a pod reports.
	one := file.File{ID: file.ID{Page: 1}, Name: "../one.sh", Format: "sh", Width: 10, Height: 20, Size: 99, SHA256: sum("one")}
	three := file.File{ID: file.ID{Page: 3}, Width: 30, Height: 40, SHA256: sum("three")}
	if code := w.result(task, one, three); code != http.StatusNoContent {
		t.Fatalf("HTTP %d", code)
	}
	manifest, err := w.store.Manifest(t.Context(), content.Ref{Namespace: "ns", JobUID: "job", Revision: "1"})
	if err != nil {
		t.Fatal(err)
	}
	want := content.Manifest{
		Version: manifest.Version, Attempt: attemptOf(task), Attempts: 1, RenderedTime: manifest.RenderedTime, PodName: launched, TotalPages: 3, RenderedPages: 2,
		Files: []file.File{
			{ID: file.ID{Page: 1}, Name: "card_page_1.png", Format: "png", Width: 10, Height: 20, Size: 3, SHA256: sum("one"), ContentHash: contentHash("one")},
			{ID: file.ID{Page: 3}, Name: "card_page_3.png", Format: "png", Width: 30, Height: 40, Size: 5, SHA256: sum("three"), ContentHash: contentHash("three")},
		},
	}
	if diff := cmp.Diff(want, manifest); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	if code := w.result(task, one, three); code != http.StatusGone {
		t.Errorf("a second result: HTTP %d", code)
	}
}

// painter renders each page as its number, and returns failure.
type painter struct {
	failure error
	varies  bool
	// fonts of the tasks so far.
	fonts []string
}

func (p *painter) Render(ctx context.Context, task render.Task, sink render.Sink) ([]render.Warning, error) {
	if p.varies {
		sink.Varies()
	}
	for _, f := range task.Fonts {
		p.fonts = append(p.fonts, string(f.Data))
	}
	for i, f := range task.Files() {
		sink.Painted(render.Places[i])
		if err := sink.Emit(ctx, f, fmt.Appendf(nil, "page %d", f.Page)); err != nil {
			return nil, err
		}
	}
	return []render.Warning{{Title: "pale"}}, p.failure
}

// serve runs the server over TLS, and a client against it, until stop is called.
func (w *world) serve(handler http.Handler, renderer render.Renderer) (stop func()) {
	w.t.Helper()
	keys, err := credentials.EnsureKeys(w.t.Context(), fake.NewClientBuilder().WithScheme(scheme.Scheme).Build(), "ns", "keys", time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	certificate, err := keys.ServerCertificate([]string{"localhost"}, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var requests sync.WaitGroup
	counted := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		defer requests.Done()
		handler.ServeHTTP(rw, r)
	})
	s := &http.Server{
		Handler: counted, ReadHeaderTimeout: time.Second,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}},
	}
	token := filepath.Join(w.t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(launched+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := dispatchclient.New(dispatchclient.Options{
		URL: "https://localhost:" + port, CA: keys.CACert, TokenFile: token, Renderer: renderer, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	var both sync.WaitGroup
	both.Go(func() {
		if err := s.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			w.t.Errorf("server: %v", err)
		}
	})
	both.Go(func() {
		if err := c.Run(ctx); err != nil {
			w.t.Errorf("client: %v", err)
		}
	})
	return func() {
		cancel()
		_ = s.Close()
		both.Wait()
		requests.Wait() // what a request does after the job's state has changed
	}
}

// await waits until the job has the phase.
func (w *world) await(phase pool.Phase) pool.State {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		w.pool.Expire()
		state := w.pool.State(types.NamespacedName{Namespace: "ns", Name: "card"}, "job", "1")
		if state.Phase == phase {
			return state
		}
		select {
		case <-w.changed:
		case <-time.After(10 * time.Millisecond): // for what only time changes
		case <-deadline:
			w.t.Fatalf("the job is %+v, want %s", state, phase)
		}
	}
}

func TestClientDeliversDespiteServerErrors(t *testing.T) {
	w := newWorld(t)
	w.enqueue()
	var calls sync.Map
	stop := w.serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, seen := calls.LoadOrStore(r.URL.Path, true)
		switch {
		case seen || r.URL.Path == "/v1/poll":
			w.http.ServeHTTP(rw, r)
		case strings.HasSuffix(r.URL.Path, "/pages/1"):
			http.Error(rw, "try again", http.StatusServiceUnavailable)
		default:
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
	}), &painter{})
	defer stop()
	state := w.await(pool.Rendered)
	if state.PodName != launched {
		t.Errorf("rendered by %q", state.PodName)
	}
	manifest, err := w.store.Manifest(t.Context(), content.Ref{Namespace: "ns", JobUID: "job", Revision: "1"})
	if err != nil || len(manifest.Files) != 2 || manifest.Files[1].SHA256 != sum("page 3") || manifest.Warnings[0].Title != "pale" {
		t.Errorf("manifest %+v, %v", manifest, err)
	}
}

// A pod lets go of a file once it is stored, so what the store has lost is rendered again. The pod is not at fault.
func TestLostFileIsRenderedAgain(t *testing.T) {
	w := newWorld(t)
	w.enqueue()
	var lost atomic.Bool
	stop := w.serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/pages/3") && lost.CompareAndSwap(false, true) {
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		w.http.ServeHTTP(rw, r)
	}), &painter{})
	defer stop()
	if state := w.await(pool.Rendered); state.Attempts != 1 || state.Lost != 1 {
		t.Errorf("got %+v, want 1 attempt and 1 that is lost", state)
	}
}

// A pod fetches a font once, however often its tasks need it. If the fonts have changed since the task was built, the pod takes it again.
func TestPodsFetchFontsOnce(t *testing.T) {
	for name, c := range map[string]struct {
		font string
		gone bool
	}{
		"unchanged":         {font: "a font"},
		"the largest":       {font: strings.Repeat("f", render.MaxFont)},
		"changed meanwhile": {font: "a font", gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			gone := c.gone
			w := newWorld(t)
			w.enqueue()
			w.fonts = map[string][]byte{sum(c.font): []byte(c.font)}
			w.task.Fonts = []render.Font{{SHA256: sum(c.font)}}
			if gone {
				w.task.Fonts[0].SHA256 = sum("an earlier font")
			}
			var lost atomic.Bool
			p := &painter{}
			stop := w.serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/pages/3") && lost.CompareAndSwap(false, true) {
					rw.WriteHeader(http.StatusNoContent) // the job is rendered twice
					return
				}
				w.http.ServeHTTP(rw, r)
			}), p)
			w.await(pool.Rendered)
			stop()
			want := []string{c.font, c.font}
			reads := int32(1)
			if gone {
				reads = 2
			}
			if !slices.Equal(p.fonts, want) || w.fontReads.Load() != reads {
				t.Errorf("rendered with %.100q after %d reads, want %d", p.fonts, w.fontReads.Load(), reads)
			}
		})
	}
}

// A font that stays away must not send the pod and the manager round in circles.
func TestFontThatIsGonePostponesTheJob(t *testing.T) {
	w := newWorld(t)
	task := w.begin()
	if recorder := w.call(http.MethodGet, "/v1/tasks/"+task+"/fonts/"+sum("a font"), launched, nil, nil); recorder.Code != http.StatusGone {
		t.Errorf("got HTTP %d", recorder.Code)
	}
	state := w.await(pool.Queued)
	if state.Attempts != 0 || state.Wait.Reason != pool.ReasonRetrying || !strings.Contains(state.Wait.Message, "the font is gone") {
		t.Errorf("got %+v", state)
	}
}

func TestStoreThatTakesNoFilesPostponesTheJob(t *testing.T) {
	for name, c := range map[string]struct {
		err             error
		reason, message string
	}{
		"the volume is full":               {content.ErrFull, pool.ReasonContentStoreFull, "the content store is full"},
		"the namespace's quota is used up": {content.ErrQuota, pool.ReasonContentStoreFull, "quota"},
		"the volume is read-only":          {content.ErrUnavailable, pool.ReasonContentStoreUnavailable, "the content store takes no files"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.full = c.err
			w.enqueue()
			stop := w.serve(w.http, &painter{})
			defer stop()
			state := w.await(pool.Queued)
			for state.Wait.Reason != c.reason {
				<-w.changed
				state = w.await(pool.Queued)
			}
			if state.Attempts != 0 || !strings.Contains(state.Wait.Message, c.message) {
				t.Errorf("got %+v", state)
			}
			w.mu.Lock()
			w.full = nil
			w.mu.Unlock()
			if state := w.await(pool.Rendered); state.Attempts != 1 {
				t.Errorf("%d attempts, want 1", state.Attempts)
			}
			// What the postponed attempts have stored would keep the store full.
			objects, err := w.store.Objects(t.Context(), content.Ref{Namespace: "ns", JobUID: "job"})
			if err != nil || len(objects) != 3 {
				t.Errorf("the store has %d objects, want two pages and a manifest: %+v, %v", len(objects), objects, err)
			}
		})
	}
}

func TestTaskThatCannotBeBuilt(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want pool.State
		code int
	}{
		"a mistake in the spec": {
			reconcile.Terminal("InvalidSpec", "spec.output.pages[0]: 9 must be at most 2"),
			pool.State{Phase: pool.Failed, Attempts: 1, Failure: &render.Error{Reason: "InvalidSpec", Message: "spec.output.pages[0]: 9 must be at most 2", Terminal: true}},
			http.StatusNoContent,
		},
		"a missing ConfigMap": {
			reconcile.Waiting("SourceNotFound", 0, "ConfigMap 'words' does not exist"),
			pool.State{Phase: pool.Queued, Wait: pool.Wait{Reason: "SourceNotFound", Message: "ConfigMap 'words' does not exist"}},
			http.StatusNoContent,
		},
		"an API server that does not answer": {
			errors.New("connection refused"),
			pool.State{Phase: pool.Queued, Wait: pool.Wait{Reason: pool.ReasonRetrying, Message: "the task could not be built; it is tried again"}},
			http.StatusServiceUnavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.taskError = c.err
			w.enqueue()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/poll", nil)
			r.Header.Set("Authorization", "Bearer "+launched)
			recorder := httptest.NewRecorder()
			w.http.ServeHTTP(recorder, r)
			if recorder.Code != c.code {
				t.Errorf("the poll got HTTP %d", recorder.Code)
			}
			got := w.await(c.want.Phase)
			c.want.PodName, c.want.TotalPages, c.want.AcceptedTime = got.PodName, got.TotalPages, got.AcceptedTime
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}

// loud renders with what a hostile page can report.
type loud struct{ painter }

func (l *loud) Render(ctx context.Context, task render.Task, sink render.Sink) ([]render.Warning, error) {
	if _, err := l.painter.Render(ctx, task, sink); err != nil {
		return nil, err
	}
	warnings := []render.Warning{{Title: "", Details: "\xff"}, {Title: strings.Repeat("é", 1<<20), Details: strings.Repeat("x", 3<<20)}}
	for range 1000 {
		warnings = append(warnings, render.Warning{Title: "again"})
	}
	return warnings, nil
}

func TestCacheGetsWhatIsCommitted(t *testing.T) {
	for name, c := range map[string]struct {
		cacheKey string
		painter  *painter
		want     []string
	}{
		"a render":              {"key", &painter{}, []string{"ns/key: 2 files of job, repeatable true"}},
		"one that may vary":     {"key", &painter{varies: true}, []string{"ns/key: 2 files of job, repeatable false"}},
		"one without the cache": {"", &painter{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.cacheKey = c.cacheKey
			w.enqueue()
			stop := w.serve(w.http, c.painter)
			w.await(pool.Rendered)
			stop()
			if !slices.Equal(w.saved, c.want) {
				t.Errorf("got %q, want %q", w.saved, c.want)
			}
			if want := map[render.Place]int{render.PlaceShared: 1, render.PlaceAlone: 1}; !maps.Equal(w.painted, want) {
				t.Errorf("painted %v, want %v", w.painted, want)
			}
		})
	}
}

func TestWarningsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.enqueue()
	stop := w.serve(w.http, &loud{})
	defer stop()
	w.await(pool.Rendered)
	manifest, err := w.store.Manifest(t.Context(), content.Ref{Namespace: "ns", JobUID: "job", Revision: "1"})
	if err != nil || len(manifest.Warnings) != wire.MaxWarnings {
		t.Fatalf("%d warnings, %v", len(manifest.Warnings), err)
	}
	for _, warning := range manifest.Warnings {
		if warning.Title == "" || len(warning.Title) > wire.MaxTitle || len(warning.Details) > wire.MaxDetails || !utf8.ValidString(warning.Title+warning.Details) {
			t.Errorf("warning %.80q, %.80q", warning.Title, warning.Details)
		}
	}
}

func TestWhatPodsSayIsMadeValid(t *testing.T) {
	w := newWorld(t)
	task := w.begin()
	for _, page := range []int{1, 3} {
		path := fmt.Sprintf("/v1/tasks/%s/pages/%d", task, page)
		if code := w.call(http.MethodPut, path, launched, png(), strings.NewReader("x")).Code; code != http.StatusNoContent {
			t.Fatalf("page %d: HTTP %d", page, code)
		}
	}
	places := map[render.Place]int{render.PlaceShared: 1 << 40, render.PlaceAlone: -1, "elsewhere": 1}
	body, err := json.Marshal(wire.Result{RenderMilliseconds: 1 << 60, Places: places, Warnings: []render.Warning{{}}, Files: []file.File{
		{ID: file.ID{Page: 1}, PageID: strings.Repeat("p", 1000), Width: -5, Height: 1 << 60, SHA256: sum("x")},
		{ID: file.ID{Page: 3}, SHA256: sum("x")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if code := w.call(http.MethodPost, "/v1/tasks/"+task+"/result", launched, nil, bytes.NewReader(body)).Code; code != http.StatusNoContent {
		t.Fatalf("the result: HTTP %d", code)
	}
	manifest, err := w.store.Manifest(t.Context(), content.Ref{Namespace: "ns", JobUID: "job", Revision: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if f := manifest.Files[0]; f.Width != 0 || f.Height != 1<<20 || f.PageID != "" {
		t.Errorf("file %+v", f)
	}
	if want := map[render.Place]int{render.PlaceShared: 2}; !maps.Equal(w.painted, want) {
		t.Errorf("painted %v, want %v", w.painted, want)
	}
	if manifest.RenderMilliseconds > 60_000 || manifest.Warnings[0].Title == "" {
		t.Errorf("manifest %+v", manifest)
	}
}

func TestReasonsAreOurs(t *testing.T) {
	w := newWorld(t)
	task := w.begin()
	body := strings.NewReader(`{"failure": {"reason": "<script>", "message": "", "terminal": true}}`)
	if code := w.call(http.MethodPost, "/v1/tasks/"+task+"/result", launched, nil, body).Code; code != http.StatusNoContent {
		t.Fatalf("the result: HTTP %d", code)
	}
	if failure := w.await(pool.Failed).Failure; failure.Reason != render.ReasonRenderFailed || failure.Message == "" {
		t.Errorf("got %+v", failure)
	}
}

func TestClientReportsWhyARenderFailed(t *testing.T) {
	w := newWorld(t)
	w.enqueue()
	stop := w.serve(w.http, &painter{failure: &render.Error{Reason: render.ReasonInvalidTask, Message: "width: 0 must be at least 1", Terminal: true}})
	defer stop()
	failure := w.await(pool.Failed).Failure
	if failure.Reason != render.ReasonInvalidTask || failure.Message != "width: 0 must be at least 1" {
		t.Errorf("got %+v", failure)
	}
}

// filmer reports progress and waits until the job shows it.
type filmer struct{ shown chan struct{} }

func (f *filmer) Render(ctx context.Context, task render.Task, sink render.Sink) ([]render.Warning, error) {
	sink.Progress(render.Progress{Percent: 40, Frames: 12})
	select {
	case <-f.shown:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for _, rendered := range task.Files() {
		if err := sink.Emit(ctx, rendered, []byte(rendered.Name)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func TestClientDeliversExtraSizesAndProgress(t *testing.T) {
	w := newWorld(t)
	w.enqueue(render.Size{Name: "story", Width: 9, Height: 16}, render.Size{Name: "10x20", Width: 10, Height: 20})
	f := &filmer{shown: make(chan struct{})}
	stop := w.serve(w.http, f)
	defer stop()
	for state := w.await(pool.Rendering); state.Progress == nil; state = w.await(pool.Rendering) {
		select {
		case <-w.changed:
		case <-time.After(20 * time.Second):
			t.Fatal("the job does not show the progress")
		}
	}
	close(f.shown)
	w.await(pool.Rendered)
	manifest, err := w.store.Manifest(t.Context(), content.Ref{Namespace: "ns", JobUID: "job", Revision: "1"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range manifest.Files {
		got[f.Name] = f.SHA256
	}
	want := map[string]string{}
	for _, name := range []string{
		"card_page_1.png", "card_page_3.png", "card_story_page_1.png", "card_story_page_3.png", "card_10x20_page_1.png", "card_10x20_page_3.png",
	} {
		want[name] = sum(name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files by name (-want +got):\n%s", diff)
	}
}
