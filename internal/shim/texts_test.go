// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"strings"
	"testing"
)

func TestModificationsThatAreNestedTooDeepAreRefused(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	const want = "modifications: its lists and objects must be nested at most 100 deep"
	for _, modifications := range []string{`{"a":` + deep + `}`, `[{"name":"a","value":` + deep + `}]`} {
		if _, _, err := parse[Request]([]byte(`{"templateId":1,"modifications":` + modifications + `}`)); err == nil || err.Error() != want {
			t.Errorf("%.30s: %v", modifications, err)
		}
	}
}

func TestTextsThatAreNoUnicodeAreRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{"templateId":1,"modifications":{"headline":"café ✓ 😀 � \ufffd \ud83d\ude00 \\ud83d \\\u00e9"},"metadata":"\"\\"}`: "",
		"{\"templateId\":1,\"modifications\":{\"headline\":\"caf\xe9\"}}":                                                   "modifications.headline: must be UTF-8, which its byte 5, 0xE9, is not",
		"{\"templateId\":1,\"modifications\":{\"points\":[\"a\",{\"b\":\"\xff\"}]}}":                                        "modifications.points[1].b: must be UTF-8, which its byte 2, 0xFF, is not",
		"{\"templateId\":1,\"modifications\":{\"caf\xe9\":\"x\"}}":                                                          "modifications: must be UTF-8, which its byte 6, 0xE9, is not",
		"{\"templateId\":1,\"caf\xe9\":\"x\"}":                                                                              "body: must be UTF-8, which its byte 21, 0xE9, is not",
		"{\"templateId\":1,\"metadata\":\"\xed\xa0\x80\"}":                                                                  "metadata: must be UTF-8, which its byte 2, 0xED, is not",
		`{"templateId":1,"modifications":{"headline":"a\ud83d"}}`:                                                           `modifications.headline: must be Unicode, which \ud83d is not: it is half of a character; was the text cut there?`,
		`{"templateId":1,"modifications":{"headline":"\ude00\ud83d"}}`:                                                      `modifications.headline: must be Unicode, which \ude00 is not: it is half of a character; was the text cut there?`,
		`{"templateId":1,"modifications":{"headline":"\ud83dabcdef"}}`:                                                      `modifications.headline: must be Unicode, which \ud83d is not: it is half of a character; was the text cut there?`,
		`{"templateId":1,"modifications":"{\"headline\":\"\\ud83d\"}"}`:                                                     `modifications.headline: must be Unicode, which \ud83d is not: it is half of a character; was the text cut there?`,
	} {
		got := ""
		if _, _, err := parse[Request]([]byte(body)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", body, got, want)
		}
	}
	for _, body := range []string{"{\"templateId\":1,\"modifications\":{\"a\":\"\xe9\"}}", `{"templateId":1,"name":"\udc00"}`} {
		if _, _, err := parse[DynamicURLRequest]([]byte(body)); err == nil {
			t.Errorf("%q: accepted", body)
		}
	}
}
