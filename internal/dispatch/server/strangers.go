// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

const (
	// maxStrangers bounds the connections on which no render pod has authenticated itself yet, and maxStrangersOfAddress those of one address. A
	// connection takes about 45 KiB, and lasts readTimeout at most.
	maxStrangers, maxStrangersOfAddress = 2048, 128
)

// strangers is a listener that bounds the connections that have not shown a render pod's token: it closes further ones at once, so that a stranger cannot
// take the server's memory and file descriptors. Render pods try again. Connections from a loopback address, of the manager's own pod, do not count.
type strangers struct {
	net.Listener
	mu sync.Mutex
	// of counts the connections of each address; all is their sum.
	of  map[string]int
	all int
}

// Accept implements net.Listener.
func (s *strangers) Accept() (net.Conn, error) {
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := host(conn.RemoteAddr().String())
		if ip := net.ParseIP(address); ip != nil && ip.IsLoopback() {
			return conn, nil
		}
		if s.enter(address) {
			return &stranger{Conn: conn, leave: sync.OnceFunc(func() { s.leave(address) })}, nil
		}
		_ = conn.Close()
	}
}

func (s *strangers) enter(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStrangers || s.of[address] >= maxStrangersOfAddress {
		return false
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.of[address]++
	s.all++
	return true
}

func (s *strangers) leave(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[address]--; s.of[address] == 0 {
		delete(s.of, address)
	}
}

// stranger is a connection on which no render pod has authenticated itself yet.
type stranger struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (s *stranger) Close() error {
	s.leave()
	return s.Conn.Close()
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// withConn is the ConnContext of an HTTP server.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// authenticatedOn notes that the connection of a request is a render pod's.
func authenticatedOn(r *http.Request) {
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	for {
		switch c := conn.(type) {
		case *resumed:
			conn = c.Conn
		case *tls.Conn:
			conn = c.NetConn()
		case *recordReader:
			conn = c.Conn
		case *stranger:
			c.leave()
			return
		default:
			return
		}
	}
}
