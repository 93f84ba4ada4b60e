// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package shard divides the namespaces among several leaders. A namespace belongs to one of N shards, by the hash of its name. Each shard has a
// Lease, and a replica of the manager leads the first shard whose Lease it gets, and no other.
package shard

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
)

// Max is the largest number of shards.
const Max = 16

// Of returns the shard of a namespace, 0 to n-1.
func Of(namespace string, n int) int {
	sum := sha256.Sum256([]byte(namespace))
	return int(binary.BigEndian.Uint64(sum[:]) % uint64(n)) //nolint:gosec // both are small
}

// Budget returns a shard's part of a budget of at least n. The parts of all n shards add up to the budget.
func Budget(total, shard, n int) int {
	part := total / n
	if shard < total%n {
		part++
	}
	return part
}

// Share is the part of the namespaces that a replica leads. It is safe for concurrent use.
type Share struct {
	n int
	// shard plus 1; 0 while the replica leads none.
	shard atomic.Int32
}

// NewShare returns the share of a replica that leads none of n shards yet.
func NewShare(n int) *Share { return &Share{n: n} }

// Lead says which shard the replica leads.
func (s *Share) Lead(shard int) { s.shard.Store(int32(shard) + 1) } //nolint:gosec // at most Max

// Shard returns the shard that the replica leads, -1 for none.
func (s *Share) Shard() int { return int(s.shard.Load()) - 1 }

// Owns reports whether a namespace belongs to the shard that the replica leads. A replica that leads none may lead any: all are its own.
func (s *Share) Owns(namespace string) bool {
	shard := s.Shard()
	return s.n == 1 || shard < 0 || Of(namespace, s.n) == shard
}
