// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/connections/connectionstest"
)

// A stranger is answered at once, whatever it says that it will send.
func TestStrangerIsAnsweredBeforeItsBody(t *testing.T) {
	w := newWorld(t)
	address, stop := w.listen(nil)
	defer stop()
	for name, request := range map[string]string{
		"no token":      "POST /v1/poll HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
		"a wrong token": "POST /v1/poll HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer expired\r\nContent-Length: 100000\r\n\r\n",
		"no such path":  "POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
		"a wrong verb":  "PATCH /v1/poll HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, address)
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if code, _ := c.receive(); code < http.StatusBadRequest || time.Since(began) > 5*time.Second {
				t.Errorf("got HTTP %d after %s", code, time.Since(began))
			}
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
}

// The connections of strangers are bounded, and so are those of a render pod.
func TestStrangersOfAnAddressAreBounded(t *testing.T) {
	const most, mostOfPod = 128, 64
	w := newWorld(t)
	w.begin()
	address, stop := w.listen(connectionstest.Elsewhere)
	defer stop()
	// dial opens a connection and reports whether the server takes it.
	dial := func() (net.Conn, bool) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		dialer := &tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}}
		conn, err := dialer.DialContext(ctx, "tcp", address)
		return conn, err == nil
	}
	poll := func(conn net.Conn) int {
		c := &connection{Conn: conn, t: t, answer: bufio.NewReader(conn)}
		c.send(http.MethodPut, "/v1/tasks/x.1.1/pages/1", launched)
		code, _ := c.receive()
		return code
	}
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	for range most {
		conn, ok := dial()
		if !ok {
			t.Fatalf("only %d connections are possible", len(conns))
		}
		conns = append(conns, conn)
	}
	if conn, ok := dial(); ok {
		_ = conn.Close()
		t.Error("one more is possible")
	}
	// A connection on which a render pod has shown its token does not count any more.
	if code := poll(conns[0]); code != http.StatusGone {
		t.Fatalf("a render pod got HTTP %d", code)
	}
	conn, ok := dial()
	if !ok {
		t.Fatal("there is no room for another")
	}
	conns = append(conns, conn)
	// A connection that ends makes room.
	_ = conns[1].Close()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if conn, ok := dial(); ok {
			conns = append(conns, conn)
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a connection that has ended still counts")
		}
	}
	// A render pod that was taken over opens connections without end, and lets them be.
	for i := range mostOfPod - 1 {
		if code := poll(conns[2+i]); code != http.StatusGone {
			t.Fatalf("connection %d of the render pod: HTTP %d", 2+i, code)
		}
	}
	beyond := conns[2+mostOfPod]
	if code := poll(beyond); code != http.StatusServiceUnavailable {
		t.Errorf("one connection more of the render pod: HTTP %d", code)
	}
	if _, err := io.Copy(io.Discard, beyond); isTimeout(err) {
		t.Error("one connection more of the render pod stays open")
	}
	// It does not lose those that it has.
	if code := poll(conns[2]); code != http.StatusGone {
		t.Errorf("the render pod got HTTP %d", code)
	}
}
