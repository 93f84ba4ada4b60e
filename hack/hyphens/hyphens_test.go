// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// hyphenate returns a word with a hyphen at each place where a dictionary in Minikin's format allows a break, as Minikin finds them.
func hyphenate(file []byte, word string) string {
	at := func(i uint32) uint32 { return binary.LittleEndian.Uint32(file[i:]) }
	alphabet, trie, pattern := at(8), at(12), at(16)
	code := func(letter rune) uint32 {
		if at(alphabet) == 0 {
			if first, end := rune(at(alphabet+4)), rune(at(alphabet+8)); letter < first || letter >= end {
				return 0
			}
			return uint32(file[alphabet+12+uint32(letter)-at(alphabet+4)])
		}
		for i := range at(alphabet + 4) {
			if entry := at(alphabet + 8 + 4*i); rune(entry>>11) == letter {
				return entry & (1<<11 - 1)
			}
		}
		return 0
	}
	letters := []rune(word)
	codes := append(make([]uint32, 0, len(letters)+2), 0)
	for _, letter := range letters {
		codes = append(codes, code(letter))
	}
	codes = append(codes, 0)
	charMask, linkShift, linkMask, patternShift := at(trie+4), at(trie+8), at(trie+12), at(trie+16)
	values := make([]byte, len(codes)+1)
	for i := range codes {
		node := uint32(0)
		for j := i; j < len(codes); j++ {
			entry := at(trie + 24 + 4*(node+codes[j]))
			if entry&charMask != codes[j] {
				break
			}
			node = entry & linkMask >> linkShift
			if index := at(trie+24+4*node) >> patternShift; index != 0 {
				entry := at(pattern + 16 + 4*index)
				length, zeros, start := int(entry>>26), int(entry>>20&31), pattern+at(pattern+8)+entry&(1<<20-1)
				for k := range length {
					place := j + 2 - length - zeros + k
					values[place] = max(values[place], file[int(start)+k])
				}
			}
		}
	}
	var out strings.Builder
	for i, letter := range letters {
		if i > 0 && values[i+1]%2 == 1 {
			out.WriteByte('-')
		}
		out.WriteRune(letter)
	}
	return out.String()
}

func TestDictionaries(t *testing.T) {
	for name, c := range map[string]struct{ dictionary, word, want string }{
		"a break":           {"UTF-8\na1b\n", "cabc", "ca-bc"},
		"upper case":        {"UTF-8\na1b\n", "CABC", "CA-BC"},
		"a higher number":   {"UTF-8\na1b\na2bc\n", "abcab", "abca-b"},
		"the beginning":     {"UTF-8\n.a1b\n", "abab", "a-bab"},
		"the end":           {"UTF-8\na1b.\n", "abab", "aba-b"},
		"several numbers":   {"UTF-8\na1b2c3d\n", "abcd", "a-bc-d"},
		"zeros at the ends": {"UTF-8\nabc1def\n", "abcdef", "abc-def"},
		"another encoding":  {"ISO8859-1\n\xe41\xfc\n", "äüä", "ä-üä"},
		"a hyphen":          {"UTF-8\na-1b\n", "a-b", "a--b"},
		"far letters":       {"UTF-8\na1b\nकि1त\n", "कित", "कि-त"},
		"options":           {"UTF-8\nLEFTHYPHENMIN 2\n% a comment\n# another\nb1a % a pattern\n\nc1a/c=,1,1\n", "bacab", "b-acab"},
		"compounds":         {"UTF-8\nb1a\nNEXTLEVEL\na1b\n", "abab", "a-ba-b"},
		"an unknown letter": {"UTF-8\na1b\n", "éab", "éa-b"},
	} {
		t.Run(name, func(t *testing.T) {
			patterns, err := read(strings.NewReader(c.dictionary))
			if err != nil {
				t.Fatal(err)
			}
			file, err := encode(patterns)
			if err != nil {
				t.Fatal(err)
			}
			if got := hyphenate(file, c.word); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// liang returns a word with hyphens as the patterns say.
func liang(patterns map[string][]byte, word string) string {
	framed := []rune("." + word + ".")
	values := make([]byte, len(framed)+1)
	for i := range framed {
		for j := i + 1; j <= len(framed); j++ {
			for k, value := range patterns[string(framed[i:j])] {
				values[i+k] = max(values[i+k], value)
			}
		}
	}
	var out strings.Builder
	for i, letter := range []rune(word) {
		if i > 0 && values[i+1]%2 == 1 {
			out.WriteByte('-')
		}
		out.WriteRune(letter)
	}
	return out.String()
}

// Every pattern of a real dictionary finds the same breaks in its own letters as before it was encoded.
func TestDebiansDictionaries(t *testing.T) {
	for _, name := range []string{"hyph_en_US", "hyph_de_DE", "hyph_ru_RU", "hyph_hi_IN"} {
		data, err := os.ReadFile(filepath.Join("/usr/share/hyphen", name+".dic"))
		if err != nil {
			t.Fatal(err)
		}
		patterns, err := read(strings.NewReader(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		file, err := encode(patterns)
		if err != nil {
			t.Fatal(err)
		}
		for _, letters := range slices.Collect(maps.Keys(patterns)) {
			word := strings.TrimFunc(letters, func(r rune) bool { return !unicode.IsLetter(r) })
			if got, want := hyphenate(file, word), liang(patterns, word); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	for _, dictionary := range []string{"", "UTF-8\n", "nonsense\na1b\n", "UTF-8\n% nothing\n"} {
		if patterns, err := read(strings.NewReader(dictionary)); err == nil {
			t.Errorf("%q was read as %v", dictionary, patterns)
		}
	}
	if _, err := encode(map[string][]byte{strings.Repeat("a", 80): append([]byte{1}, make([]byte, 80)...)}); err == nil {
		t.Error("a pattern of 80 letters was encoded")
	}
}

func TestNamesOfLanguages(t *testing.T) {
	for dictionary, want := range map[string]string{
		"hyph_de_DE": "de-1996", "hyph_de_CH": "", "hyph_de": "", "hyph_en_US": "en-us", "hyph_en_GB": "en-gb", "hyph_en": "", "hyph_fr": "fr", "hyph_fr_CA": "fr",
		"hyph_pt_PT": "", "hyph_pt_BR": "pt", "hyph_sr-Latn_RS": "sr-latn",
	} {
		if got := language(dictionary); got != want {
			t.Errorf("%s: got %q, want %q", dictionary, got, want)
		}
	}
}
