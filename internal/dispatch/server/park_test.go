// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/dispatch/server"
	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/pool"
)

// listen serves the pods over TLS until stop is called. wrap, if it is not nil, changes the listener.
func (w *world) listen(wrap func(net.Listener) net.Listener) (address string, stop func()) {
	w.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	address = listener.Addr().String()
	if wrap != nil {
		listener = wrap(listener)
	}
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: certified.TLS.Certificates}
	certified.Close()
	ctx, cancel := context.WithCancel(w.t.Context())
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ctx, listener, config) }()
	return address, func() {
		cancel()
		if err := <-served; err != nil {
			w.t.Errorf("serving ended with %v", err)
		}
	}
}

// connection is that of a pod.
type connection struct {
	net.Conn
	t      *testing.T
	answer *bufio.Reader
	// header of the last answer.
	header http.Header
}

func connect(t *testing.T, address string) *connection {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &connection{Conn: conn, t: t, answer: bufio.NewReaderSize(conn, 16)}
}

func (c *connection) send(method, path, pod string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: platen\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", method, path, pod); err != nil {
		c.t.Fatal(err)
	}
}

func (c *connection) receive() (int, []byte) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	resp, err := http.ReadResponse(c.answer, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	c.header = resp.Header
	return resp.StatusCode, body
}

// polls is a pool that tells of its polls.
type polls struct {
	*pool.Pool
	begun, ended chan pool.PodID
	panics       bool
}

// Next implements server.Pool.
func (p *polls) Next(ctx context.Context, id pool.PodID) (*pool.Assignment, error) {
	if p.panics {
		panic("the pool has a bug")
	}
	p.begun <- id
	defer func() { p.ended <- id }()
	return p.Pool.Next(ctx, id)
}

// watchPolls lets the server tell of polls.
func (w *world) watchPolls() *polls {
	p := &polls{Pool: w.pool, begun: make(chan pool.PodID, 10), ended: make(chan pool.PodID, 10)}
	options := w.server.Options
	options.Pool = p
	w.server = server.New(options)
	return p
}

// poll connects a pod, which polls and waits.
func (w *world) poll(address string, polls *polls) *connection {
	w.t.Helper()
	w.pool.ObservePods("ns", []pool.PodView{{Name: other, UID: "uid-" + other}})
	pod := connect(w.t, address)
	pod.send(http.MethodPost, "/v1/poll", other)
	within(w.t, polls.begun, "the poll did not reach the pool")
	return pod
}

func within[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		t.Fatal(what)
	}
	return v
}

// The connection of a parked poll has further requests, and further polls.
func TestParkedPollIsAnsweredAndGoesOn(t *testing.T) {
	w := newWorld(t)
	polls := w.watchPolls()
	address, stop := w.listen(nil)
	defer stop()
	pod := w.poll(address, polls)
	w.submit()
	status, body := pod.receive()
	var assignment wire.Assignment
	if err := json.Unmarshal(body, &assignment); err != nil || status != http.StatusOK {
		t.Fatalf("HTTP %d, %v", status, err)
	}
	if pod.header.Get(wire.ReviewHeader) == "" {
		t.Error("the answer has no proof of the review")
	}
	for range 2 {
		pod.send(http.MethodPost, "/v1/tasks/"+assignment.TaskID+"/heartbeat", other)
		if status, body := pod.receive(); status != http.StatusNoContent {
			t.Fatalf("heartbeat: HTTP %d %s", status, body)
		}
		pod.send(http.MethodPost, "/v1/poll", other) // the pod did not receive the task
		if status, body := pod.receive(); status != http.StatusOK || json.Unmarshal(body, &assignment) != nil {
			t.Fatalf("poll: HTTP %d %s", status, body)
		}
	}
}

func TestPodThatGoesAwayPollsNoMore(t *testing.T) {
	w := newWorld(t)
	polls := w.watchPolls()
	address, stop := w.listen(nil)
	defer stop()
	pod := w.poll(address, polls)
	_ = pod.Close()
	within(t, polls.ended, "the poll goes on")
}

func TestParkedPollsEndWithTheServer(t *testing.T) {
	w := newWorld(t)
	polls := w.watchPolls()
	address, stop := w.listen(nil)
	pod := w.poll(address, polls)
	stop()
	within(t, polls.ended, "the poll goes on")
	_ = pod.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, pod); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Error("the connection stays")
	}
}

func isTimeout(err error) bool {
	timeout := net.Error(nil)
	return errors.As(err, &timeout) && timeout.Timeout()
}

// A bug that ends one request must not end the manager.
func TestPanicOfAParkedPollEndsOnlyThePoll(t *testing.T) {
	w := newWorld(t)
	w.watchPolls().panics = true
	address, stop := w.listen(nil)
	defer stop()
	pod := connect(t, address)
	for range 2 {
		pod.send(http.MethodPost, "/v1/poll", other)
		if status, body := pod.receive(); status != http.StatusServiceUnavailable || len(body) != 0 {
			t.Errorf("HTTP %d %s", status, body)
		}
	}
}

// A cluster may have thousands of pods that wait. A third of what is measured here belongs to the pods' side of the connections.
func TestWaitingPodsTakeLittleMemory(t *testing.T) {
	const pods = 200
	w := newWorld(t)
	polls := w.watchPolls()
	address, stop := w.listen(nil)
	defer stop()
	views := make([]pool.PodView, pods)
	for i := range views {
		views[i] = pool.PodView{Name: fmt.Sprintf("render-%d", i), UID: types.UID(fmt.Sprintf("uid-render-%d", i))}
	}
	w.pool.ObservePods("ns", views)
	file := bytes.Repeat([]byte("Platen"), 30_000)
	before := memory()
	for _, view := range views {
		pod := connect(t, address)
		// All of a file has come when the server reads it, as on a busy machine.
		request := fmt.Appendf(nil, "PUT /v1/tasks/1/pages/1 HTTP/1.1\r\nHost: platen\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", view.Name, len(file), file)
		for part := range slices.Chunk(request, 2<<10) {
			if _, err := pod.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if status, body := pod.receive(); status != http.StatusGone {
			t.Fatalf("HTTP %d %s", status, body)
		}
		pod.send(http.MethodPost, "/v1/poll", view.Name)
		within(t, polls.begun, "the poll did not reach the pool")
	}
	each := (memory() - before) / pods
	t.Logf("%d KiB for each waiting pod", each>>10)
	if each > 32<<10 {
		t.Errorf("%d KiB for each waiting pod, want at most 32", each>>10)
	}
}

// memory returns the bytes of the heap and the stacks that are in use.
func memory() uint64 {
	for range 4 { // each collection halves a stack of which little is used
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
