// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// crowd is a listener whose connections come from an address that a test chooses.
type crowd struct {
	net.Listener
	address atomic.Pointer[net.TCPAddr]
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	return &oneOfCrowd{conn, c.address.Load()}, err
}

type oneOfCrowd struct {
	net.Conn
	address net.Addr
}

// RemoteAddr implements net.Conn.
func (o *oneOfCrowd) RemoteAddr() net.Addr { return o.address }

// An address that opens connections without end, and lets them be, stops no download of another.
func TestNoAddressTakesAllConnections(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	from := &crowd{Listener: listener}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serveOn(ctx, from, http.NotFoundHandler(), nil) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	// answers reports whether a new connection is taken. It stays.
	answers := func() bool {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil
	}
	from.address.Store(&net.TCPAddr{IP: net.IPv4(203, 0, 113, 5)})
	for n := range maxConnections / 4 {
		if !answers() {
			t.Fatalf("only %d connections of an address are possible", n)
		}
	}
	if answers() {
		t.Error("one more is possible")
	}
	from.address.Store(&net.TCPAddr{IP: net.IPv4(203, 0, 113, 6)})
	if !answers() {
		t.Error("another address has none")
	}
}
