// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net"
	"sync"
	"time"
)

const (
	// refusedBurst is how many requests of one address may be unauthorized at once, and refusedRate how many more in a second. Their
	// tokens are reviewed; those of further requests are not.
	refusedBurst, refusedRate = 20.0, 1.0
	// maxAddresses bounds the addresses in memory.
	maxAddresses = 10_000
)

// refusals bounds the unauthorized requests of each address, because each costs the API server a request.
type refusals struct {
	mu sync.Mutex
	// of has what is left to each address that was refused.
	of map[string]*allowance
}

type allowance struct {
	left float64
	at   time.Time
}

// admits reports whether a request of an address may be reviewed.
func (r *refusals) admits(address string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.of[host(address)]
	return a == nil || a.left+now.Sub(a.at).Seconds()*refusedRate >= 1
}

// refused records an unauthorized request of an address.
func (r *refusals) refused(address string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of) >= maxAddresses {
		r.of = map[string]*allowance{}
	}
	a := r.of[host(address)]
	if a == nil {
		a = &allowance{left: refusedBurst, at: now}
		r.of[host(address)] = a
	}
	a.left = min(a.left+now.Sub(a.at).Seconds()*refusedRate, refusedBurst) - 1
	a.at = now
}

// host returns an address without its port.
func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return address
}
