// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package connectionstest lets tests connect from elsewhere than a loopback address, whose connections do not count.
package connectionstest

import "net"

// Elsewhere returns a listener whose connections all come from 203.0.113.5, an address of documents (RFC 5737).
func Elsewhere(listener net.Listener) net.Listener { return elsewhere{listener} }

type elsewhere struct{ net.Listener }

// Accept implements net.Listener.
func (l elsewhere) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return far{conn}, err
}

type far struct{ net.Conn }

// RemoteAddr implements net.Conn.
func (far) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(203, 0, 113, 5), Port: 4711} }
