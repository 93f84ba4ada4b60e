// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package signedurl

import (
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
)

func none(string) bool { return false }

func TestSignature(t *testing.T) {
	// As Python makes it: hmac.new(b"secret", ("/x?" + urllib.parse.urlencode(sorted(…))).encode(), "sha256").hexdigest()
	const want = "3358a90ef291c26317b3d8aa7a8d60016e4533e28a71be5496fa327cde88fbcf"
	query := url.Values{"b": {"Größe & Co"}, "a": {"1~*"}}
	if got := Sign("secret", "/x", query); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	query.Set(Parameter, want)
	if !Verify([]string{"newer", "secret"}, "/x", query.Encode(), none) {
		t.Error("the signature is not valid")
	}
	for name, c := range map[string]struct {
		secrets []string
		path    string
		change  func(url.Values)
	}{
		"another secret":      {[]string{"other"}, "/x", func(url.Values) {}},
		"no secret":           {nil, "/x", func(url.Values) {}},
		"another path":        {[]string{"secret"}, "/y", func(url.Values) {}},
		"another value":       {[]string{"secret"}, "/x", func(q url.Values) { q.Set("a", "2") }},
		"one value more":      {[]string{"secret"}, "/x", func(q url.Values) { q.Add("a", "2") }},
		"another parameter":   {[]string{"secret"}, "/x", func(q url.Values) { q.Set("c", "") }},
		"without a signature": {[]string{"secret"}, "/x", func(q url.Values) { q.Del(Parameter) }},
		"no hexadecimal":      {[]string{"secret"}, "/x", func(q url.Values) { q.Set(Parameter, "x"+want) }},
	} {
		changed := url.Values{}
		for name, values := range query {
			changed[name] = append([]string(nil), values...)
		}
		c.change(changed)
		if Verify(c.secrets, c.path, changed.Encode(), none) {
			t.Errorf("%s: valid", name)
		}
	}
}

// Each text is what the language writes of b = "it's (a~b) *é/+!" and a = "1", in this order or sorted.
var written = map[string]string{
	"JavaScript, URLSearchParams":            "b=it%27s+%28a%7Eb%29+*%C3%A9%2F%2B%21&a=1",
	"JavaScript, URLSearchParams, sorted":    "a=1&b=it%27s+%28a%7Eb%29+*%C3%A9%2F%2B%21",
	"JavaScript, encodeURIComponent":         "b=it's%20(a~b)%20*%C3%A9%2F%2B!&a=1",
	"JavaScript, encodeURIComponent, sorted": "a=1&b=it's%20(a~b)%20*%C3%A9%2F%2B!",
	"Python, urlencode":                      "b=it%27s+%28a~b%29+%2A%C3%A9%2F%2B%21&a=1",
	"Python, urlencode, sorted":              "a=1&b=it%27s+%28a~b%29+%2A%C3%A9%2F%2B%21",
	"Python, urlencode with quote, sorted":   "a=1&b=it%27s%20%28a~b%29%20%2A%C3%A9%2F%2B%21",
	"PHP, http_build_query":                  "b=it%27s+%28a%7Eb%29+%2A%C3%A9%2F%2B%21&a=1",
	"PHP, http_build_query, sorted":          "a=1&b=it%27s+%28a%7Eb%29+%2A%C3%A9%2F%2B%21",
	"PHP, PHP_QUERY_RFC3986, sorted":         "a=1&b=it%27s%20%28a~b%29%20%2A%C3%A9%2F%2B%21",
}

func TestVerifyOfOtherLanguages(t *testing.T) {
	others := map[string]string{
		"Python, quote":          "b=it%27s%20%28a~b%29%20%2A%C3%A9/%2B%21&a=1",
		"lower-case hexadecimal": "a=1&b=it%27s+%28a~b%29+%2a%c3%a9%2f%2b%21",
	}
	signed := func(text string) string { return text + "&sign=" + hex.EncodeToString(sum("secret", "/x?"+text)) }
	for name, text := range others {
		if !Verify([]string{"secret"}, "/x", signed(text), none) {
			t.Errorf("%s: not valid", name)
		}
	}
	for name, text := range written {
		query := signed(text)
		if !Verify([]string{"secret"}, "/x", query, none) {
			t.Errorf("%s: not valid", name)
		}
		// A browser writes the URL anew, and so does whatever sorts its parameters.
		parsed, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if sorted := parsed.Encode(); text[0] == 'a' && !Verify([]string{"secret"}, "/x", sorted, none) {
			t.Errorf("%s: not valid as %s", name, sorted)
		}
		for from, to := range map[string]string{"it": "It", "+%28": "%28", "%20(": "(", "%2B": "+", "a=1": "a=1&a=1", "%C3%A9": "e", "b=": "c="} {
			if changed := strings.Replace(query, from, to, 1); changed != query && Verify([]string{"secret"}, "/x", changed, none) {
				t.Errorf("%s: %s is valid, too", name, changed)
			}
		}
	}
	text := written["JavaScript, URLSearchParams"]
	if open := func(name string) bool { return name == "c" }; !Verify([]string{"secret"}, "/x", "c=2&"+signed(text), open) {
		t.Error("an open parameter makes the signature invalid")
	}
}
