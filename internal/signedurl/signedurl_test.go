// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package signedurl

import (
	"net/url"
	"testing"
)

func TestSignature(t *testing.T) {
	// As Python makes it: hmac.new(b"secret", ("/x?" + urllib.parse.urlencode(sorted(…))).encode(), "sha256").hexdigest()
	const want = "3358a90ef291c26317b3d8aa7a8d60016e4533e28a71be5496fa327cde88fbcf"
	query := url.Values{"b": {"Größe & Co"}, "a": {"1~*"}}
	if got := Sign("secret", "/x", query); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	query.Set(Parameter, want)
	if !Verify([]string{"newer", "secret"}, "/x", query) {
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
	} {
		changed := url.Values{}
		for name, values := range query {
			changed[name] = append([]string(nil), values...)
		}
		c.change(changed)
		if Verify(c.secrets, c.path, changed) {
			t.Errorf("%s: valid", name)
		}
	}
}
