// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Link carries TCP connections to an address. Cut makes it lose what is sent, without a word to either side.
type Link struct {
	listener net.Listener
	target   string
	cut      atomic.Bool
	running  sync.WaitGroup

	mu          sync.Mutex
	connections []net.Conn
}

// NewLink returns a link to a loopback address.
func NewLink(target string) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &Link{listener: listener, target: target}
	l.running.Go(l.accept)
	return l, nil
}

// Address returns the address of the link's near end.
func (l *Link) Address() string { return l.listener.Addr().String() }

// Cut cuts the link, and Heal mends it: connections of before the cut stay dead.
func (l *Link) Cut() { l.cut.Store(true) }

// Heal mends the link.
func (l *Link) Heal() {
	l.cut.Store(false) // before the other end can connect again: what it sends must not be lost
	l.closeAll()
}

// Close closes the link and its connections.
func (l *Link) Close() error {
	err := l.listener.Close()
	l.closeAll()
	l.running.Wait()
	return err
}

func (l *Link) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.connections {
		_ = c.Close()
	}
	l.connections = nil
}

func (l *Link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.DialTimeout("tcp", l.target, 5*time.Second)
		if err != nil {
			_ = near.Close()
			continue
		}
		l.mu.Lock()
		l.connections = append(l.connections, near, far)
		l.mu.Unlock()
		l.running.Go(func() { l.carry(near, far) })
		l.running.Go(func() { l.carry(far, near) })
	}
}

// carry copies until one end closes. While the link is cut, it drops what it reads, and the connection is dead from then on.
func (l *Link) carry(to, from net.Conn) {
	buffer, lost := make([]byte, 32<<10), false
	for {
		n, err := from.Read(buffer)
		lost = lost || l.cut.Load()
		if n > 0 && !lost {
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if !lost {
		_ = to.Close()
	}
	_ = from.Close()
}
