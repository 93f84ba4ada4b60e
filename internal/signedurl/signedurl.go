// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package signedurl signs URLs, and checks such signatures.
package signedurl

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

// Parameter of the query that has the signature.
const Parameter = "sign"

// Sign returns the signature of a path and a query: the HMAC-SHA256, in hexadecimal, of the path, a question mark, and the parameters
// except the signature itself, sorted by name and percent-encoded as url.Values.Encode does.
func Sign(secret, path string, query url.Values) string {
	unsigned := url.Values{}
	for name, values := range query {
		if name != Parameter {
			unsigned[name] = values
		}
	}
	return hex.EncodeToString(sum(secret, path+"?"+unsigned.Encode()))
}

func sum(secret, message string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(message))
	return mac.Sum(nil)
}

// Verify reports whether one of the secrets has signed a path and a raw query, except the parameters that open names. The signature may be
// over the query as it stands, or over its parameters in their order or sorted by name, in any of the spellings. Each of these texts is read
// as the same parameters, so that no signature is valid for others.
func Verify(secrets []string, path, query string, open func(name string) bool) bool {
	var parts []string
	var parameters [][2]string
	var signature []byte
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		switch {
		case err1 != nil || err2 != nil:
			return false
		case name == Parameter:
			signature, _ = hex.DecodeString(value) // what is no hexadecimal is no signature
		case part != "" && !open(name):
			parts, parameters = append(parts, part), append(parameters, [2]string{name, value})
		}
	}
	texts := []string{strings.Join(parts, "&")}
	for range 2 {
		for _, spelling := range spellings {
			if text := spelling(parameters); !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
		slices.SortStableFunc(parameters, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	}
	return slices.ContainsFunc(secrets, func(secret string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return hmac.Equal(sum(secret, path+"?"+text), signature) })
	})
}

// spellings write parameters as languages do. They differ in how they write a space, and which of !'()*~ they leave as they are.
var spellings = []func(parameters [][2]string) string{
	spelling(),                       // Go, Ruby, and Python's urlencode
	spelling("%2A", "*", "~", "%7E"), // https://url.spec.whatwg.org/#urlencoded-serializing: JavaScript's URLSearchParams, and Java
	spelling("~", "%7E"),             // PHP's urlencode and http_build_query
	spelling("+", "%20"),             // RFC 3986: Python's quote, PHP's rawurlencode, and C#
	spelling("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*"), // JavaScript's encodeURIComponent
}

// spelling returns a function that writes parameters as url.QueryEscape does, but for the replacements, each an old and a new text.
func spelling(replacements ...string) func(parameters [][2]string) string {
	replacer := strings.NewReplacer(replacements...)
	return func(parameters [][2]string) string {
		written := make([]string, len(parameters))
		for i, p := range parameters {
			written[i] = replacer.Replace(url.QueryEscape(p[0]) + "=" + url.QueryEscape(p[1]))
		}
		return strings.Join(written, "&")
	}
}
