// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package connections bounds the connections that a client has with a server, so that none takes the memory or the connections of the others.
package connections

import (
	"context"
	"net"
	"sync"
)

// Limits bound connections; 0 is no bound.
type Limits struct {
	// Strangers bounds the connections on which no client has been admitted yet, and StrangersOfAddress those of one address.
	Strangers, StrangersOfAddress int
	// OfClient bounds the connections of one client.
	OfClient int
}

// Listen returns a listener that closes the connections of strangers beyond the limits at once: their clients try again. Connections from a loopback
// address, such as those of a tunnel, do not count. The server's ConnContext must be Context.
func Listen(listener net.Listener, limits Limits) net.Listener {
	return &bounded{Listener: listener, limits: limits, strangersOf: map[string]int{}, clients: map[string]int{}}
}

type bounded struct {
	net.Listener
	limits Limits

	mu sync.Mutex
	// strangersOf counts the connections of strangers by their address; strangers is the sum. clients counts those of clients.
	strangersOf, clients map[string]int
	strangers            int
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		accepted, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := host(accepted.RemoteAddr().String())
		if ip := net.ParseIP(address); ip != nil && ip.IsLoopback() {
			return accepted, nil
		}
		if b.enter(address) {
			return &conn{Conn: accepted, of: b, address: address}, nil
		}
		_ = accepted.Close()
	}
}

// host returns an address without its port.
func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return address
}

// enter counts a stranger's connection, unless there are too many.
func (b *bounded) enter(address string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if exceeds(b.strangers, b.limits.Strangers) || exceeds(b.strangersOf[address], b.limits.StrangersOfAddress) {
		return false
	}
	b.strangersOf[address]++
	b.strangers++
	return true
}

// exceeds reports whether one more than n exceeds a limit.
func exceeds(n, limit int) bool { return limit > 0 && n >= limit }

// conn is a connection that counts.
type conn struct {
	net.Conn
	of      *bounded
	address string
	// of.mu guards the fields below. client is the one that was admitted.
	client           string
	admitted, closed bool
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// leave ends the counting of a connection.
func (c *conn) leave() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	switch {
	case c.closed:
	case c.admitted:
		decrease(c.of.clients, c.client)
	default:
		c.of.strangers--
		decrease(c.of.strangersOf, c.address)
	}
	c.closed = true
}

// admit counts a connection as one of a client, unless that has too many.
func (c *conn) admit(client string) bool {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	switch {
	case c.admitted || c.closed: // a proxy's connection may have requests of several clients
		return true
	case exceeds(c.of.clients[client], c.of.limits.OfClient):
		return false
	}
	c.of.strangers--
	decrease(c.of.strangersOf, c.address)
	c.of.clients[client]++
	c.client, c.admitted = client, true
	return true
}

func decrease(counts map[string]int, key string) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

// key is that of a request's connection in its context.
type key struct{}

// Context is the ConnContext of an HTTP server on a listener of Listen.
func Context(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, key{}, c)
}

// Admit notes that the connection of the request with a context is a client's, and no stranger's any more. It reports false if the client has too many
// connections: the answer to the request should be an error that closes this one.
func Admit(ctx context.Context, client string) bool {
	found, _ := ctx.Value(key{}).(net.Conn)
	for found != nil {
		if c, ok := found.(*conn); ok {
			return c.admit(client)
		}
		wrapper, ok := found.(interface{ NetConn() net.Conn })
		if !ok {
			return true
		}
		found = wrapper.NetConn()
	}
	return true
}
