// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package connections_test

import (
	"net"
	"testing"

	"github.com/platen-dev/platen/internal/connections"
)

// door is a listener to which a test brings connections.
type door struct {
	net.Listener
	arrived []*visit
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	if len(d.arrived) == 0 {
		return nil, net.ErrClosed
	}
	next := d.arrived[0]
	d.arrived = d.arrived[1:]
	return next, nil
}

// visit is a connection from an address.
type visit struct {
	net.Conn
	address string
	closed  int
}

// RemoteAddr implements net.Conn.
func (v *visit) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(v.address), Port: 4711} }

// Close implements net.Conn.
func (v *visit) Close() error {
	v.closed++
	return nil
}

// wrapper is a connection around another, as that of TLS is.
type wrapper struct{ net.Conn }

// NetConn returns the connection inside.
func (w wrapper) NetConn() net.Conn { return w.Conn }

// server is one whose connections are bounded.
type server struct {
	t        *testing.T
	door     *door
	listener net.Listener
}

func newServer(t *testing.T, limits connections.Limits) *server {
	t.Helper()
	d := &door{}
	return &server{t, d, connections.Listen(d, limits)}
}

// taken opens a connection from an address that the server must take.
func (s *server) taken(address string) net.Conn {
	s.t.Helper()
	s.door.arrived = []*visit{{address: address}}
	conn, err := s.listener.Accept()
	if err != nil {
		s.t.Fatalf("the connection of %s is refused", address)
	}
	return conn
}

// refused opens a connection from an address that the server must close at once.
func (s *server) refused(address string) {
	s.t.Helper()
	v := &visit{address: address}
	s.door.arrived = []*visit{v}
	if _, err := s.listener.Accept(); err == nil {
		s.t.Fatalf("the connection of %s is taken", address)
	}
	if v.closed == 0 {
		s.t.Errorf("the connection of %s stays open", address)
	}
}

// admit sends a client's request on a connection, and reports whether the client is admitted.
func (s *server) admit(conn net.Conn, client string) bool {
	return connections.Admit(connections.Context(s.t.Context(), wrapper{wrapper{conn}}), client)
}

const mallory, alice, tunnel = "203.0.113.5", "2001:db8::7", "127.0.0.1"

// An address that opens connections without end takes those of no other address.
func TestStrangersOfAnAddressAreBounded(t *testing.T) {
	s := newServer(t, connections.Limits{StrangersOfAddress: 2})
	first := s.taken(mallory)
	s.taken(mallory)
	for range 3 {
		s.refused(mallory)
	}
	s.taken(alice)
	for range 5 {
		s.taken(tunnel)
	}
	_ = first.Close()
	_ = first.Close() // as the HTTP server may
	s.taken(mallory)
	s.refused(mallory)
}

func TestAllStrangersAreBounded(t *testing.T) {
	s := newServer(t, connections.Limits{Strangers: 2, StrangersOfAddress: 2})
	first := s.taken(mallory)
	s.taken(alice)
	s.refused("192.0.2.1")
	if !s.admit(first, "alice") {
		t.Fatal("a client is not admitted")
	}
	s.taken("192.0.2.1")
}

// A client who is admitted is no stranger any more, and does not leave twice.
func TestConnectionsOfAClientAreBounded(t *testing.T) {
	s := newServer(t, connections.Limits{StrangersOfAddress: 1, OfClient: 2})
	open := func(client string) (net.Conn, bool) {
		t.Helper()
		conn := s.taken(mallory)
		admitted := s.admit(conn, client)
		if !admitted {
			s.refused(mallory) // the connection is a stranger's still
			_ = conn.Close()
		}
		return conn, admitted
	}
	first, _ := open("a")
	if _, ok := open("a"); !ok {
		t.Fatal("a client has one connection only")
	}
	if _, ok := open("a"); ok {
		t.Error("a client has one connection too many")
	}
	if _, ok := open("b"); !ok {
		t.Error("another client has none")
	}
	for range 3 {
		if !s.admit(first, "a") || !s.admit(first, "b") {
			t.Error("a further request of a connection is refused")
		}
	}
	_ = first.Close()
	_ = first.Close()
	if !s.admit(first, "b") { // its request is answered still
		t.Error("a request on a connection that has ended is refused")
	}
	if _, ok := open("a"); !ok {
		t.Error("a connection that has ended counts")
	}
	if _, ok := open("a"); ok {
		t.Error("a connection that was closed twice made room for two")
	}
}

// Requests of servers without such a listener, as those of tests, are admitted.
func TestOtherConnectionsAreAdmitted(t *testing.T) {
	s := newServer(t, connections.Limits{OfClient: 1})
	for range 3 {
		if !s.admit(s.taken(tunnel), "a") || !s.admit(nil, "a") || !connections.Admit(t.Context(), "a") {
			t.Error("a client is refused")
		}
	}
}
