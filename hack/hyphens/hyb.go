// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"unicode"
)

// The layout of a file, all in little-endian words of 32 bits
// (https://android.googlesource.com/platform/frameworks/minikin/+/refs/heads/main/doc/hyb_file_format.md): a header with the offsets of
// three sections; the alphabet, which gives each letter a code; a trie of the patterns' letters, and the patterns' numbers.
const (
	magic = 0x62ad7968
	// header is the length of the header in bytes.
	header = 6 * 4
	// maxSpan and maxCodes bound an alphabet that has one byte for each letter.
	maxSpan, maxCodes = 1024, 255
)

// errTooLarge means that a dictionary does not fit into the format.
var errTooLarge = errors.New("too many patterns")

// state is a node of the trie.
type state struct {
	next map[uint16]*state
	// pattern is the index of the numbers of the pattern that ends here; 0 is none.
	pattern uint32
	// at is the node's place in the packed trie.
	at int
}

// encode returns patterns in the format of Minikin, which Chromium hyphenates with.
func encode(patterns map[string][]byte) ([]byte, error) {
	codes := alphabet(patterns)
	numbers := newNumbers()
	root := &state{next: map[uint16]*state{}}
	nodes := []*state{root}
	for _, letters := range slices.Sorted(maps.Keys(patterns)) {
		index, err := numbers.add(patterns[letters])
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", letters, err)
		}
		node := root
		for _, letter := range letters {
			code := codes[letter]
			if node.next[code] == nil {
				node.next[code] = &state{next: map[uint16]*state{}}
				nodes = append(nodes, node.next[code])
			}
			node = node.next[code]
		}
		node.pattern = index
	}
	trie, err := packed(merge(nodes), codes)
	if err != nil {
		return nil, err
	}
	letters := encodeAlphabet(codes)
	pattern := numbers.encode()
	offsets := []uint32{magic, 0, header, uint32(header + len(letters)), uint32(header + len(letters) + len(trie)), uint32(header + len(letters) + len(trie) + len(pattern))}
	return slices.Concat(words(offsets...), letters, trie, pattern), nil
}

// alphabet gives each letter of the patterns a code from 1, the same for both cases. The end of a word, ".", has 0.
func alphabet(patterns map[string][]byte) map[rune]uint16 {
	used := map[rune]bool{}
	for letters := range patterns {
		for _, letter := range letters {
			used[unicode.ToLower(letter)] = true
		}
	}
	delete(used, '.')
	codes := map[rune]uint16{'.': 0}
	for i, letter := range slices.Sorted(maps.Keys(used)) {
		codes[letter], codes[unicode.ToUpper(letter)] = uint16(i+1), uint16(i+1)
	}
	return codes
}

// encodeAlphabet returns the section of the alphabet: one byte for each letter between the first and the last, if those are near enough to
// each other, else the letters with their codes.
func encodeAlphabet(codes map[rune]uint16) []byte {
	letters := slices.DeleteFunc(slices.Sorted(maps.Keys(codes)), func(r rune) bool { return r == '.' })
	first, last := letters[0], letters[len(letters)-1]
	if last-first >= maxSpan || len(letters) > maxCodes {
		list := append(make([]uint32, 0, 2+len(letters)), 1, uint32(len(letters)))
		for _, letter := range letters {
			list = append(list, uint32(letter)<<11|uint32(codes[letter]))
		}
		return words(list...)
	}
	table := make([]byte, (int(last-first)+4)&^3)
	for _, letter := range letters {
		table[letter-first] = byte(codes[letter])
	}
	return slices.Concat(words(0, uint32(first), uint32(last)+1), table)
}

// merge returns the nodes without those that have the same patterns and successors as another, in the order of their places.
func merge(nodes []*state) (kept []*state) {
	same := map[string]*state{}
	instead := map[*state]*state{}
	for _, node := range slices.Backward(nodes) { // successors come first
		var key bytes.Buffer
		fmt.Fprint(&key, node.pattern)
		for _, code := range slices.Sorted(maps.Keys(node.next)) {
			node.next[code] = instead[node.next[code]]
			fmt.Fprintf(&key, " %d %p", code, node.next[code])
		}
		if same[key.String()] == nil {
			same[key.String()] = node
			kept = append(kept, node)
		}
		instead[node] = same[key.String()]
	}
	slices.Reverse(kept)
	return kept
}

// packed places the nodes in one array and returns the section of the trie. A node at i has its successor for a code at i+code. The root is
// at 0.
func packed(nodes []*state, codes map[rune]uint16) ([]byte, error) {
	var taken, edges []bool // the places of nodes and of successors
	size, free := 0, 0
	for _, node := range nodes {
		next := slices.Sorted(maps.Keys(node.next))
		fits := func(at int) bool {
			for _, code := range next {
				if at+int(code) < len(edges) && edges[at+int(code)] {
					return false
				}
			}
			return at >= len(taken) || !taken[at]
		}
		at := 0
		if len(next) > 0 {
			for free < len(edges) && edges[free] {
				free++
			}
			at = max(0, free-int(next[0]))
		}
		for !fits(at) {
			at++
		}
		node.at = at
		taken = mark(taken, at)
		for _, code := range next {
			edges = mark(edges, at+int(code))
		}
		size = max(size, at+1)
	}
	highest := slices.Max(slices.Collect(maps.Values(codes)))
	entries := make([]uint32, size+int(highest))
	linkShift := bits.Len16(highest)
	patternShift := linkShift + bits.Len(uint(len(entries)-1))
	for _, node := range nodes {
		if bits.Len32(node.pattern)+patternShift > 32 {
			return nil, errTooLarge
		}
		entries[node.at] |= node.pattern << patternShift
		for code, next := range node.next {
			entries[node.at+int(code)] |= uint32(next.at)<<linkShift | uint32(code)
		}
	}
	charMask, linkMask := uint32(1)<<linkShift-1, uint32(1)<<patternShift-uint32(1)<<linkShift
	return slices.Concat(words(0, charMask, uint32(linkShift), linkMask, uint32(patternShift), uint32(len(entries))), words(entries...)), nil
}

// mark sets an element of a list that grows as needed.
func mark(list []bool, at int) []bool {
	if at >= len(list) {
		list = append(list, make([]bool, at+1-len(list))...)
	}
	list[at] = true
	return list
}

// numbers collects the numbers of all patterns, each once.
type numbers struct {
	entries []uint32
	bytes   []byte
	// known are the indices of entries, and at the places in bytes.
	known, at map[string]uint32
}

func newNumbers() *numbers {
	return &numbers{entries: []uint32{0}, known: map[string]uint32{}, at: map[string]uint32{}}
}

// add returns the index of a pattern's numbers. They are aligned with the end of the pattern, and zeros at both ends are not stored.
func (n *numbers) add(values []byte) (uint32, error) {
	values = bytes.TrimLeft(values, "\x00")
	if index, ok := n.known[string(values)]; ok || len(values) == 0 {
		return index, nil
	}
	stored := bytes.TrimRight(values, "\x00")
	at, ok := n.at[string(stored)]
	if !ok {
		at = uint32(len(n.bytes))
		n.at[string(stored)] = at
		n.bytes = append(n.bytes, stored...)
	}
	zeros := len(values) - len(stored)
	if len(stored) > 1<<6-1 || zeros > 1<<5-1 || at > 1<<20-1 {
		return 0, errors.New("too long for the format")
	}
	index := uint32(len(n.entries))
	n.entries = append(n.entries, uint32(len(stored))<<26|uint32(zeros)<<20|at)
	n.known[string(values)] = index
	return index, nil
}

// encode returns the section of the patterns' numbers.
func (n *numbers) encode() []byte {
	count := uint32(len(n.entries))
	return slices.Concat(words(0, count, 16+4*count, uint32(len(n.bytes))), words(n.entries...), n.bytes)
}

func words(values ...uint32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, v)
	}
	return out
}
