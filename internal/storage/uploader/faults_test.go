// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/blobstore"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/internal/storage/storagetest"
	"github.com/platen-dev/platen/internal/storage/uploader"
)

// The routes of an upload.
const (
	token       = "/oauth2/token"
	upload      = "/2/files/upload"
	start       = "/2/files/upload_session/start"
	startBatch  = "/2/files/upload_session/start_batch"
	appendChunk = "/2/files/upload_session/append_v2"
	appendBatch = "/2/files/upload_session/append_batch"
	finish      = "/2/files/upload_session/finish_batch_v2"
)

// world has the simulator, and a manager that can crash. Its ledger says which files the test expects in the end.
type world struct {
	t       *testing.T
	sim     *dropboxsim.Server
	url     string
	changed chan types.NamespacedName
	retry   storage.RetryPolicy
	// parallel is how many calls are in flight at a time.
	parallel int

	mu sync.Mutex
	// ledger has the bytes of each expected file, by account and path.
	ledger map[string]map[string][]byte
	// others has the bytes of other files that are at the paths before the upload.
	others map[string][]byte

	engine  *uploader.Uploader
	kill    func()
	clients map[string]storage.Provider
}

func newWorld(t *testing.T, accounts ...string) *world {
	t.Helper()
	w := &world{
		t: t, sim: dropboxsim.New(), changed: make(chan types.NamespacedName, 10_000), ledger: map[string]map[string][]byte{},
		retry: storage.RetryPolicy{Base: time.Millisecond, Cap: 20 * time.Millisecond}, parallel: 16,
	}
	for _, key := range accounts {
		w.sim.AddAccount(dropboxsim.Account{AppKey: key, RefreshToken: "refresh", Email: key + "@example.com", DisplayName: key})
		w.ledger[key] = map[string][]byte{}
	}
	server := httptest.NewUnstartedServer(w.sim)
	server.Config.ErrorLog = nil
	server.Start()
	t.Cleanup(server.Close)
	w.url = server.URL
	w.startManager()
	t.Cleanup(func() { w.kill() })
	return w
}

// startManager starts a manager without any state.
func (w *world) startManager() {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.clients = map[string]storage.Provider{}
	w.engine = uploader.New(uploader.Options{
		Parallel: w.parallel, Retry: w.retry, Changed: func(j types.NamespacedName) { w.changed <- j }, Observer: metrics.Uploads{},
	})
	ended := make(chan error, 1)
	engine := w.engine
	go func() { ended <- engine.Start(ctx) }()
	w.kill = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

// crash kills the manager with its calls in flight, and starts another one without its state.
func (w *world) crash() {
	w.kill()
	w.startManager()
}

// client returns the provider of an account, the same one until the manager crashes.
func (w *world) client(account string) storage.Provider {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clients[account] == nil {
		c, err := dropbox.New(dropbox.Config{
			AppKey: account, RefreshToken: "refresh", APIURL: w.url, ContentURL: w.url, LargeFile: 1 << 20,
			Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Observer: metrics.Uploads{},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.clients[account] = c
	}
	return w.clients[account]
}

// rendered is the content store of all worlds. They need the same files again and again, and a large one takes longer to hash than to upload.
var rendered renders

type renders struct {
	mu    sync.Mutex
	store *content.Store
	of    map[string][]renderedFile // by job and sizes
}

// renderedFile is a file in the content store, and what is in it.
type renderedFile struct {
	stored file.File
	data   []byte
	open   func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
}

// files returns the files of a job that has pages with the given sizes.
func (r *renders) files(t *testing.T, job string, sizes []int) []renderedFile {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store == nil {
		store, err := content.Open(t.Context(), "mem://", content.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r.store, r.of = store, map[string][]renderedFile{}
	}
	key := fmt.Sprint(job, sizes)
	if r.of[key] != nil {
		return r.of[key]
	}
	random := rand.New(rand.NewPCG(uint64(len(job)), uint64(len(sizes))))
	ref := content.Ref{Namespace: "ns", JobUID: strconv.Itoa(len(r.of)), Revision: "1"}
	files := make([]renderedFile, 0, len(sizes))
	for i, size := range sizes {
		data := make([]byte, size)
		for at := 0; at < size; at += 1 << 10 {
			data[at] = byte(random.Uint32())
		}
		copy(data, job+strconv.Itoa(i))
		stored, err := r.store.Put(t.Context(), ref, 1, file.File{ID: file.ID{Page: i + 1}, Format: "png"}, bytes.NewReader(data), 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, renderedFile{stored, data, func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
			return r.store.NewRangeReader(ctx, ref.Key(1, stored), stored.Size, offset, length)
		}})
	}
	r.of[key] = files
	return files
}

// plan returns an upload of pages with the given sizes, and adds them to the ledger.
func (w *world) plan(account, job string, policy storage.ConflictPolicy, sizes ...int) uploader.Upload {
	w.t.Helper()
	return w.planAs(account, job, job, policy, sizes...)
}

// planAs is plan with stem instead of the job in the file names.
func (w *world) planAs(account, job, stem string, policy storage.ConflictPolicy, sizes ...int) uploader.Upload {
	w.t.Helper()
	c := uploader.Connection{Name: "dropbox", Open: func(context.Context) (storage.Provider, error) { return w.client(account), nil }}
	for i, f := range rendered.files(w.t, job, sizes) {
		path := fmt.Sprintf("/Renders/%s_page_%d 🎨.png", stem, i+1)
		w.ledger[account][path] = f.data
		c.Files = append(c.Files, storage.File{File: f.stored, Path: path, ConflictPolicy: policy, Open: f.open})
	}
	return uploader.Upload{
		Job: types.NamespacedName{Namespace: account, Name: job}, UID: types.UID(account + job), Revision: "1",
		Deadline: time.Now().Add(time.Minute), Connections: []uploader.Connection{c}, Complete: true,
	}
}

// afterCrash returns the upload that a new manager asks for, because it does not know what the manager before it has uploaded.
func afterCrash(up uploader.Upload) uploader.Upload {
	c := up.Connections[0]
	c.Files = append([]storage.File(nil), c.Files...)
	for i := range c.Files {
		c.Files[i].Doubtful = true
	}
	up.Connections = []uploader.Connection{c}
	return up
}

// await waits until an upload is done, and returns its result.
func (w *world) await(up uploader.Upload) uploader.Result {
	w.t.Helper()
	timeout := time.After(time.Minute)
	for {
		if results, ok := w.engine.Results(up.Job, up.UID, up.Revision); ok && results[0].Done {
			return results[0]
		}
		select {
		case <-w.changed:
		case <-timeout:
			w.t.Fatalf("%s did not end", up.Job)
		}
	}
}

// expectLedger expects exactly the files of the ledger, byte for byte, each committed once.
func (w *world) expectLedger() {
	w.t.Helper()
	for account, want := range w.ledger {
		files := w.sim.Files(account)
		for _, f := range files {
			data, _ := w.sim.Content(account, f.Path)
			if expected, ok := want[f.Path]; !ok || !bytes.Equal(data, expected) {
				w.t.Errorf("%s has %s with %d bytes; expected there: %t, %d bytes", account, f.Path, len(data), ok, len(expected))
			}
			if f.Commits != 1 {
				w.t.Errorf("%s was committed %d times", f.Path, f.Commits)
			}
		}
		if len(files) != len(want) {
			w.t.Errorf("%s has %d files, want %d", account, len(files), len(want))
		}
	}
}

// json returns a fault that answers with JSON.
func json(status int, body string) dropboxsim.Fault {
	return dropboxsim.Fault{Status: status, ContentType: "application/json", Body: body}
}

// shapes are the kinds of jobs and the routes that they call.
var shapes = map[string]struct {
	sizes  []int
	routes []string
}{
	"one page":     {sizes: []int{1000}, routes: []string{upload}},
	"twenty pages": {sizes: repeat(1000, 20), routes: []string{startBatch, appendBatch, finish}},
	"a large file": {sizes: []int{9 << 20}, routes: []string{start, appendChunk, finish}},
}

// repeat returns n sizes that differ a little.
func repeat(size, n int) (sizes []int) {
	for i := range n {
		sizes = append(sizes, size+i)
	}
	return sizes
}

// TestEveryFaultThatPasses lets each call of each shape fail with each fault that passes. In the end every file is uploaded once.
func TestEveryFaultThatPasses(t *testing.T) {
	faults := map[string]dropboxsim.Fault{
		"dropped before":            {Drop: "before"},
		"dropped within":            {Drop: "within"},
		"dropped after":             {Drop: "after"},
		"500":                       {Status: 500, Body: "oops", ContentType: "text/plain"},
		"503 with Retry-After":      {Status: 503, Headers: map[string]string{"Retry-After": "1"}},
		"an answer without JSON":    {Status: 200, Body: "<html>", ContentType: "text/html"},
		"429 as text":               {Status: 429, Body: "slow down", ContentType: "text/plain"},
		"429 without a time":        json(429, `{"error_summary":"too_many_requests/.","error":{"reason":{".tag":"too_many_requests"}}}`),
		"429 with retry_after":      json(429, `{"error_summary":"too_many_requests/.","error":{"reason":{".tag":"too_many_requests"},"retry_after":1}}`),
		"the namespace is locked":   json(429, `{"error":{"reason":{".tag":"too_many_write_operations"}}}`),
		"the token has expired":     json(401, `{"error_summary":"expired_access_token/","error":{".tag":"expired_access_token"}}`),
		"the token is invalid":      json(401, `{"error_summary":"invalid_access_token/","error":{".tag":"invalid_access_token"}}`),
		"an invalid token, as text": {Status: 401, Body: "Unauthorized", ContentType: "text/plain"},
		"403 of a proxy, as text":   {Status: 403, Body: "Blocked by policy", ContentType: "text/plain"},
		"502 as a page":             {Status: 502, Body: "<html>Bad Gateway</html>", ContentType: "text/html"},
		"an empty answer":           json(200, ``),
		"another's JSON":            json(200, `{"status":"ok"}`),
		"the metadata of another":   json(200, `{".tag":"file","name":"b.png","path_display":"/b.png","content_hash":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}`),
		"an offset that is wrong":   json(409, `{"error_summary":"incorrect_offset/..","error":{".tag":"incorrect_offset","correct_offset":5}}`),
		"an upload that is closed":  json(409, `{"error_summary":"closed/..","error":{".tag":"closed"}}`),
		"409 of a locked namespace": json(409, `{"error_summary":"path/too_many_write_operations/","error":{".tag":"path","reason":{".tag":"too_many_write_operations"},"upload_session_id":"x"}}`),
	}
	for name, shape := range shapes {
		for _, route := range append(shape.routes, token) {
			for what, fault := range faults {
				if route == token && (fault.Status == 200 || strings.Contains(what, "locked") || fault.Status == 401) {
					continue // the token endpoint has no such answers
				}
				policies := []storage.ConflictPolicy{storage.Overwrite}
				if fault.Drop != "" || fault.Status == 200 || fault.Status == 500 { // these leave a doubt
					policies = append(policies, storage.Rename, storage.Keep)
				}
				for _, policy := range policies {
					t.Run(fmt.Sprintf("%s/%s/%s/%s", name, route[strings.LastIndex(route, "/")+1:], what, policy), func(t *testing.T) {
						t.Parallel()
						w := newWorld(t, "ada")
						if policy == storage.Rename {
							w.occupy("card", shape.sizes)
						}
						fault := fault
						fault.Route, fault.Count = route, 2
						if strings.Contains(what, "etry") || strings.Contains(what, "invalid") {
							fault.Count = 1 // each time takes a second, and a second invalid token is a refusal
						}
						w.sim.AddFault(fault)
						up := w.plan("ada", "card", policy, shape.sizes...)
						w.engine.Ensure(up)
						if r := w.await(up); r.Err != nil {
							t.Errorf("got %v", r.Err)
						}
						if policy == storage.Rename {
							w.expectRenamed(up)
						}
						w.expectLedger()
					})
				}
			}
		}
	}
}

// occupy uploads other files to the paths of a job.
func (w *world) occupy(stem string, sizes []int) {
	w.t.Helper()
	theirs := w.planAs("ada", "theirs", stem, storage.Overwrite, sizes...)
	w.engine.Ensure(theirs)
	if r := w.await(theirs); r.Err != nil {
		w.t.Fatal(r.Err)
	}
	w.others = w.ledger["ada"]
	w.ledger["ada"] = map[string][]byte{}
}

// expectRenamed changes the ledger: the other files stay, and those of the upload have the names that Dropbox gives them.
func (w *world) expectRenamed(up uploader.Upload) {
	for _, f := range up.Connections[0].Files {
		w.ledger["ada"][strings.TrimSuffix(f.Path, ".png")+" (1).png"] = w.ledger["ada"][f.Path]
		w.ledger["ada"][f.Path] = w.others[f.Path]
	}
}

// TestNoCallAfterAStop lets each call be refused for good. It is the last call, no file is uploaded, and the error says why in words.
func TestNoCallAfterAStop(t *testing.T) {
	for what, c := range map[string]struct {
		fault   dropboxsim.Fault
		message string
	}{
		"400":           {fault: dropboxsim.Fault{Status: 400, ContentType: "text/plain", Body: "Error in call"}, message: "Dropbox refused the request (HTTP 400 Error in call)"},
		"suspended":     {fault: json(401, `{"error":{".tag":"user_suspended"}}`), message: "Dropbox account is suspended"},
		"missing scope": {fault: json(401, `{"error":{".tag":"missing_scope","required_scope":"files.content.write"}}`), message: "App lacks scope files.content.write"},
		"403":           {fault: dropboxsim.Fault{Status: 403}, message: "Dropbox denies access to this app or account"},
		"stale root":    {fault: json(422, `{"error":{".tag":"invalid_root","invalid_root":{".tag":"team"}}}`), message: "rootNamespaceID is not this account's team space"},
	} {
		for name, shape := range shapes {
			for _, route := range shape.routes {
				t.Run(fmt.Sprintf("%s/%s/%s", name, route[strings.LastIndex(route, "/")+1:], what), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, "ada")
					fault := c.fault
					fault.Route, fault.Count = route, 1000
					w.sim.AddFault(fault)
					up := w.plan("ada", "card", storage.Overwrite, shape.sizes...)
					w.engine.Ensure(up)
					r := w.await(up)
					if problem := storage.AsError(r.Err); r.Err == nil || problem.Message != c.message || len(r.Files) != len(shape.sizes) {
						t.Errorf("got %+v, want %q", r, c.message)
					}
					refused := 0
					for _, e := range w.sim.Log() {
						if e.Fault {
							refused++
						} else if refused > 0 && e.Route != route {
							t.Errorf("%s was called after the refusal", e.Route)
						}
					}
					if parallel := 2; refused > 1 && (route != appendChunk || refused > parallel) {
						t.Errorf("the refused call was made %d times", refused)
					}
					if n := len(w.sim.Files("ada")); n > 0 {
						t.Errorf("%d files are uploaded", n)
					}
				})
			}
		}
	}
}

// TestRandomFaultsAndCrashes mixes faults that pass with crashes of the manager. The test's name has the seed.
func TestRandomFaultsAndCrashes(t *testing.T) {
	seeds := 100
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(seed), 0))
			w := newWorld(t, "ada", "bob")
			jobs := make([]uploader.Upload, 0, 6)
			for n := range cap(jobs) {
				sizes := [][]int{{1000}, repeat(2000, 3), repeat(500, 20), {9 << 20}}[random.IntN(4)]
				policy := []storage.ConflictPolicy{storage.Overwrite, storage.Rename, storage.Keep}[random.IntN(3)]
				jobs = append(jobs, w.plan([]string{"ada", "bob"}[n%2], fmt.Sprintf("job-%d", n), policy, sizes...))
			}
			for range 12 {
				fault := []dropboxsim.Fault{{Drop: "before"}, {Drop: "within"}, {Drop: "after"}, {Status: 500}, {Status: 429, Body: "slow down"}}[random.IntN(5)]
				fault.Route = []string{upload, start, startBatch, appendChunk, appendBatch, finish, token}[random.IntN(7)]
				fault.Skip, fault.Count = random.IntN(3), 1+random.IntN(2)
				w.sim.AddFault(fault)
			}
			w.sim.SetLatency(time.Duration(random.IntN(3)) * time.Millisecond)
			for _, up := range jobs {
				w.engine.Ensure(up)
			}
			for range random.IntN(4) {
				<-time.After(time.Duration(random.IntN(30)) * time.Millisecond)
				w.crash()
				for _, up := range jobs {
					w.engine.Ensure(afterCrash(up))
				}
			}
			for _, up := range jobs {
				r := w.await(up)
				if r.Err != nil {
					t.Errorf("%s: %v", up.Job, r.Err)
				}
				for i, p := range r.Files {
					if p.Path != up.Connections[0].Files[i].Path {
						t.Errorf("status says %s", p.Path)
					}
				}
			}
			w.expectLedger()
		})
	}
}

// calls counts the calls of the API, without refreshes.
func calls(sim *dropboxsim.Server) (n int) {
	for _, e := range sim.Log() {
		if strings.HasPrefix(e.Route, "/2/") {
			n++
		}
	}
	return n
}

func TestCalls(t *testing.T) {
	w := newWorld(t, "ada")
	for _, c := range []struct {
		name  string
		sizes []int
		want  int
	}{
		{name: "one page", sizes: []int{1000}, want: 1},
		{name: "twenty pages", sizes: repeat(1000, 20), want: 3},
		{name: "twenty more, with spare sessions", sizes: repeat(1000, 20), want: 2},
		{name: "a thousand pages", sizes: repeat(10, 1000), want: 3},
		{name: "a large file of three chunks", sizes: []int{9 << 20}, want: 5},
	} {
		w.sim.ClearLog()
		up := w.plan("ada", strings.ReplaceAll(c.name, " ", "-"), storage.Overwrite, c.sizes...)
		w.engine.Ensure(up)
		if r := w.await(up); r.Err != nil {
			t.Errorf("%s: %v", c.name, r.Err)
		}
		if got := calls(w.sim); got != c.want {
			t.Errorf("%s: %d calls, want %d", c.name, got, c.want)
		}
	}
	w.expectLedger()
}

func TestFiftyJobsOfOneAccountNeverContend(t *testing.T) {
	w := newWorld(t, "ada")
	w.sim.SetLatency(5 * time.Millisecond)
	jobs := make([]uploader.Upload, 0, 50)
	for n := range cap(jobs) {
		jobs = append(jobs, w.plan("ada", fmt.Sprintf("job-%d", n), storage.Overwrite, repeat(1000, 20)...))
	}
	var all sync.WaitGroup
	for _, up := range jobs {
		all.Go(func() { w.engine.Ensure(up) })
	}
	all.Wait()
	for _, up := range jobs {
		if r := w.await(up); r.Err != nil {
			t.Errorf("%s: %v", up.Job, r.Err)
		}
	}
	for _, e := range w.sim.Log() {
		if e.Status == http.StatusTooManyRequests {
			t.Errorf("%s was refused", e.Route)
		}
	}
	t.Logf("%d calls for 1000 files of 50 jobs", calls(w.sim))
	w.expectLedger()
}

func TestNoAccountWaitsForAnothersRetryAfter(t *testing.T) {
	accounts := make([]string, 0, 10)
	for n := range cap(accounts) {
		accounts = append(accounts, fmt.Sprintf("account-%d", n))
	}
	w := newWorld(t, accounts...)
	// Dropbox tells the first account to wait for longer than the test lasts.
	w.sim.AddFault(dropboxsim.Fault{Route: upload, Status: 429, ContentType: "text/plain", Body: "slow down", Headers: map[string]string{"Retry-After": "300"}})
	first := w.plan(accounts[0], "held", storage.Overwrite, 1000)
	w.engine.Ensure(first)
	for len(w.sim.Log()) < 2 {
		<-time.After(time.Millisecond)
	}
	began := time.Now()
	for _, account := range accounts[1:] {
		up := w.plan(account, "free", storage.Overwrite, 1000)
		w.engine.Ensure(up)
		if r := w.await(up); r.Err != nil {
			t.Errorf("%s: %v", account, r.Err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the others took %s", took)
	}
	late := w.plan(accounts[0], "late", storage.Overwrite, 1000)
	late.Deadline = time.Now().Add(time.Second)
	w.engine.Ensure(late)
	if r := w.await(late); r.Err == nil {
		t.Error("an account was called before its Retry-After")
	}
	for _, e := range w.sim.Log()[2:] {
		if e.AppKey == accounts[0] {
			t.Errorf("%s was called meanwhile", e.Route)
		}
	}
}

func TestEachPageHasItsResult(t *testing.T) {
	w := newWorld(t, "ada")
	up := w.plan("ada", "card", storage.Overwrite, repeat(100, 5)...)
	files := up.Connections[0].Files
	for i, path := range map[int]string{1: "/Renders/desktop.ini", 3: "/Renders/" + strings.Repeat("é", 256) + ".png"} {
		delete(w.ledger["ada"], files[i].Path)
		files[i].Path = path
	}
	w.engine.Ensure(up)
	r := w.await(up)
	for i, p := range r.Files {
		if refused := i == 1 || i == 3; refused != (p.Err != nil) {
			t.Errorf("page %d: %v", p.Page, p.Err)
		}
	}
	if problem := storage.AsError(r.Err); problem.Message != "Folder or file name not allowed: /Renders/desktop.ini" {
		t.Errorf("got %q", problem.Message)
	}
	w.expectLedger()
}

func TestAnswerWithTooFewEntriesIsAFailure(t *testing.T) {
	for _, route := range []string{finish, appendBatch, startBatch} {
		w := newWorld(t, "ada")
		w.sim.AddFault(dropboxsim.Fault{Route: route, Status: 200, ContentType: "application/json", Body: `{"entries":[{".tag":"success"}],"session_ids":["x"]}`})
		up := w.plan("ada", "card", storage.Overwrite, repeat(100, 20)...)
		w.engine.Ensure(up)
		if r := w.await(up); r.Err != nil {
			t.Errorf("%s: %v", route, r.Err)
		}
		w.expectLedger()
	}
}

func TestExpiredSessionsAreReplaced(t *testing.T) {
	w := newWorld(t, "ada")
	first := w.plan("ada", "first", storage.Overwrite, repeat(100, 3)...)
	w.engine.Ensure(first)
	w.await(first)
	w.sim.AdvanceClock(8 * 24 * time.Hour) // the spare sessions have expired
	second := w.plan("ada", "second", storage.Overwrite, repeat(100, 3)...)
	w.engine.Ensure(second)
	if r := w.await(second); r.Err != nil {
		t.Error(r.Err)
	}
	w.expectLedger()
}

// TestBucketThatNeverReadsHoldsUpNobody uploads to four buckets whose endpoint accepts connections and does nothing more, with four slots.
// Another namespace's upload does not wait for them.
func TestBucketThatNeverReadsHoldsUpNobody(t *testing.T) {
	w := newWorld(t, "ada")
	w.kill()
	w.parallel = 4
	w.startManager()
	address := storagetest.Silent(t)
	for n := range w.parallel {
		bucket, err := blobstore.OpenS3(t.Context(), blobstore.S3{
			Bucket: fmt.Sprint("bucket-", n), Region: "us-east-1", Endpoint: "http://" + address, AccessKeyID: "a", SecretAccessKey: "b",
		}, http.DefaultTransport, metrics.Uploads{})
		if err != nil {
			t.Fatal(err)
		}
		w.engine.Ensure(uploader.Upload{
			Job: types.NamespacedName{Namespace: "hung", Name: strconv.Itoa(n)}, UID: types.UID(strconv.Itoa(n)), Revision: "1",
			Deadline: time.Now().Add(time.Hour), Complete: true,
			Connections: []uploader.Connection{{
				Name: "bucket", Open: func(context.Context) (storage.Provider, error) { return bucket, nil },
				Files: []storage.File{*storagetest.File(t, "/a.png", make([]byte, 10<<20))},
			}},
		})
	}
	began := time.Now()
	for n := range 10 {
		up := w.plan("ada", fmt.Sprint("job-", n), storage.Overwrite, 1000)
		w.engine.Ensure(up)
		if r := w.await(up); r.Err != nil {
			t.Error(r.Err)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the others took %s", took)
	}
	w.expectLedger()
}
