// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package devtools

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

func TestCommandsBecomeCBORAndBack(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `{"a":[1,-1,23,24,255,256,65535,65536,2147483647,-2147483648]}`, `[2147483648,-2147483649,0.5,-1.5e+300]`, `[true,false,null,[[],{}]]`,
		`["","a","é","日本","😀","\"\\\n\u0000","` + strings.Repeat("x", 70000) + `"]`, `{"é":{"b":{"c":[]}}}`,
	} {
		message, err := fromJSON([]byte(text))
		if err != nil {
			t.Fatalf("%.40s: %v", text, err)
		}
		back, _, err := toJSON(message)
		if err != nil || string(back) != text {
			t.Errorf("%.80s became %.80s, %v", text, back, err)
		}
	}
}

func TestMessagesInCBOR(t *testing.T) {
	for message, want := range map[string]string{
		"\xd8\x18\x5a\x00\x00\x00\x06\xbf\x62id\x05\xff": `{"id":5}`,
		"\xbf\x61a\x46\x3d\xd8\x00\xde\x41\x00\xff":      `{"a":"😀A"}`,
		"\x44\x3d\xd8\x41\x00":                           "\"\ufffdA\"",
		"\x41\x00":                                       `""`, // half a character
		"\xd6\x43abc":                                    `""`,
		"\x9f\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00\xf4\xf5\xf6\xff": `[1.5,false,true,null]`,
		"\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00":                     `null`, // no number
		"\x1b\x00\x00\x00\x00\x00\x00\x00\x07":                     `7`,
		"\x63a\xffb":                                               "\"a\ufffdb\"",
	} {
		got, _, err := toJSON([]byte(message))
		if err != nil || string(got) != want {
			t.Errorf("%x: %s, %v, want %s", message, got, err, want)
		}
	}
	if _, data, err := toJSON([]byte("\xbf\x61a\xd6\x43abc\xff")); err != nil || string(data) != "abc" {
		t.Errorf("bytes %q, %v", data, err)
	}
}

// What is not whole or not of the browser's kind is an error.
func TestMalformedMessages(t *testing.T) {
	whole := []byte("\xd8\x18\x5a\x00\x00\x00\x1d\xbf\x61a\x9f\x19\x01\x00\x43abc\xd6\x43abc\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00\x20\xff\xff")
	if _, _, err := toJSON(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if _, _, err := toJSON(whole[:n]); !errors.Is(err, errMalformed) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	for _, message := range []string{
		"\x5f", "\x1c", "\xa0", "\x80", "\xc0\x00", "\xe0", "\xff", "\xd8\x19\x5a\x00\x00\x00\x01\xf6", "\xd8\x18\x59\x00\x00\x00\x01\xf6", "\xbf\x01\x01\xff", "\xd6\x63abc",
		"\x3a\xff\xff\xff\xff", "\x7b\xff\xff\xff\xff\xff\xff\xff\xff", strings.Repeat("\x9f", 100_000), strings.Repeat(string(envelope[:])+"\x00\x00\xff\xff", 100_000),
	} {
		if _, _, err := toJSON([]byte(message)); !errors.Is(err, errMalformed) {
			t.Errorf("%.40x: %v", message, err)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte("\xd8\x18\x5a\x00\x00\x00\x06\xbf\x62id\x05\xff"))
	f.Add([]byte("\x9f\x44\x3d\xd8\x41\x00\xd6\x43abc\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00\xf4\x20\xff"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if text, _, err := toJSON(message); err == nil && !json.Valid(text) {
			t.Errorf("%x became %s", message, text)
		}
		_, _ = answerID(message)
	})
}

func TestReadingMessages(t *testing.T) {
	const message, other = "\xd8\x18\x5a\x00\x00\x00\x06\xbf\x62id\x05\xff", "\xd8\x18\x5a\x00\x00\x00\x06\xbf\x62id\x06\xff"
	reader := bufio.NewReader(strings.NewReader(message + other))
	for i, want := range []string{message, other} {
		got, err := readMessage(reader, len(message))
		if id, ok := answerID(got); err != nil || string(got) != want || !ok || id != int64(5+i) {
			t.Errorf("read %x, %v; it answers %d, %t", got, err, id, ok)
		}
	}
	if _, err := readMessage(reader, len(message)); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	reader = bufio.NewReader(strings.NewReader(message + other))
	got, err := readMessage(reader, len(message)-1)
	if id, ok := answerID(got); !errors.Is(err, ErrTooLarge) || !ok || id != 5 {
		t.Errorf("one that is too large: %x, %v; it answers %d, %t", got, err, id, ok)
	}
	if got, err := readMessage(reader, len(message)); err != nil || string(got) != other {
		t.Errorf("after one that is too large: %x, %v", got, err)
	}
	for _, text := range []string{`{"id":1}` + strings.Repeat(" ", 10), message[:9]} {
		if _, err := readMessage(bufio.NewReader(strings.NewReader(text)), 100); err == nil {
			t.Errorf("%q has no error", text)
		}
	}
}

// No text of a page looks like the beginning of a message.
func TestTextsOfEveryKind(t *testing.T) {
	s, _, _ := attach(t, start(t))
	for script, want := range map[string]string{
		`"\u00d8\u0018Z\0\0\0\u0006\u00bfbid\u0005\u00ff\0"`: "\u00d8\u0018Z\x00\x00\x00\u0006\u00bfbid\u0005\u00ff\x00",
		`"日本 " + String.fromCodePoint(0x1f600)`:              "日本 😀",
		`"half \ud83d"`: "half \ufffd",
		`"é"`:           "é",
	} {
		got, err := Call(t.Context(), s, runtime.Evaluate, runtime.EvaluateParams{Expression: script})
		var text string
		if err := errors.Join(err, json.Unmarshal(got.Result.Value, &text)); err != nil || text != want {
			t.Errorf("%s: %q, %v, want %q", script, text, err, want)
		}
	}
	deep := runtime.EvaluateParams{Expression: `let a = []; for (let n = 0; n < 900; n++) a = [a]; a`, ReturnByValue: new(true)}
	_, _ = Call(t.Context(), s, runtime.Evaluate, deep) // the browser may refuse it
	if _, err := Call(t.Context(), s, runtime.Evaluate, runtime.EvaluateParams{Expression: "1"}); err != nil {
		t.Errorf("after a deep value: %v", err)
	}
}

func TestBytesOfAResult(t *testing.T) {
	s, _, _ := attach(t, start(t))
	_, picture, err := CallForBytes(t.Context(), s, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	if err != nil || !bytes.HasPrefix(picture, []byte("\x89PNG")) || !slices.Equal(picture[len(picture)-8:], []byte("IEND\xaeB`\x82")) {
		t.Errorf("%d bytes, %v", len(picture), err)
	}
}
