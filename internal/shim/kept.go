// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"container/list"
	"crypto/sha256"
	"sync"
)

const (
	// maxKept bounds the pictures of dynamic URLs that a replica has in memory, and maxKeptFile each of them, in bytes.
	maxKept     = 80 << 20
	maxKeptFile = 1 << 20
)

// keptFile is a file in memory.
type keptFile struct {
	key               [sha256.Size]byte
	etag, contentType string
	data              []byte
}

// kept has files in memory: those that were asked for last.
type kept struct {
	mu    sync.Mutex
	size  int
	byAge *list.List // of *keptFile, the last one first
	byKey map[[sha256.Size]byte]*list.Element
}

func newKept() *kept {
	return &kept{byAge: list.New(), byKey: map[[sha256.Size]byte]*list.Element{}}
}

// get returns a file; nil if it is not there, or is another one.
func (k *kept) get(key [sha256.Size]byte, etag string) *keptFile {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := k.byKey[key]
	if at == nil {
		return nil
	}
	k.byAge.MoveToFront(at)
	if found, ok := at.Value.(*keptFile); ok && found.etag == etag {
		return found
	}
	return nil
}

// add keeps a file instead of those that nobody has asked for the longest.
func (k *kept) add(f *keptFile) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop(k.byKey[f.key])
	k.byKey[f.key] = k.byAge.PushFront(f)
	k.size += len(f.data)
	for k.size > maxKept {
		k.drop(k.byAge.Back())
	}
}

func (k *kept) drop(at *list.Element) {
	if at == nil {
		return
	}
	if f, ok := k.byAge.Remove(at).(*keptFile); ok {
		delete(k.byKey, f.key)
		k.size -= len(f.data)
	}
}
