// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An address that does not answer, as that of a manager whose pod has gone, holds a pod up for a second: the kernel drops what connects to a socket whose
// queue is full.
func TestPodLeavesAnAddressThatDoesNotAnswer(t *testing.T) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(socket) }()
	if err := errors.Join(unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(socket, 0)); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	address := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: bound.(*unix.SockaddrInet4).Port}).String()
	waiting := &net.Dialer{Timeout: 100 * time.Millisecond}
	for full := false; !full; {
		conn, err := waiting.DialContext(t.Context(), "tcp", address)
		if full = err != nil; !full {
			defer func() { _ = conn.Close() }()
		}
	}
	began := time.Now()
	_, err = dialTLS(t.Context(), address, &tls.Config{MinVersion: tls.VersionTLS13})
	if took := time.Since(began); !isTimeout(err) || took > handshakeTimeout/2 {
		t.Errorf("%v after %s", err, took)
	}
}

// A server that takes a connection and then says nothing holds a pod up for the time of a handshake.
func TestPodLeavesAServerThatSaysNothing(t *testing.T) {
	listener := listen(t)
	began := time.Now()
	_, err := dialTLS(t.Context(), listener.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS13})
	if took := time.Since(began); !isTimeout(err) || took > 2*handshakeTimeout {
		t.Errorf("%v after %s", err, took)
	}
}

// Of several addresses of a host, the first that answers is taken.
func TestPodTriesEachAddress(t *testing.T) {
	listener := listen(t)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	conn, err := connectTo(t.Context(), []string{"127.0.0.2", "127.0.0.1"}, port)
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr().String(); got != listener.Addr().String() {
		t.Errorf("connected with %s", got)
	}
	_ = conn.Close()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func isTimeout(err error) bool {
	failed := net.Error(nil)
	return errors.As(err, &failed) && failed.Timeout()
}

func TestDialOfNoServer(t *testing.T) {
	for address, want := range map[string]string{"": "the address of the dispatch server: ", "nowhere.invalid:1": "looking up the dispatch server: ", "127.0.0.1:1": "connection refused"} {
		ctx, cancel := context.WithTimeout(t.Context(), lookupTimeout)
		if _, err := dialTLS(ctx, address, &tls.Config{MinVersion: tls.VersionTLS13}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
		cancel()
	}
}
