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
)

// Parameter of the query that has the signature.
const Parameter = "sign"

// Sign returns the signature of a path and a query: the HMAC-SHA256, in hexadecimal, of the path, a question mark, and the parameters
// except the signature itself, sorted by name and percent-encoded as in a form (https://url.spec.whatwg.org/#urlencoded-serializing).
func Sign(secret, path string, query url.Values) string {
	unsigned := url.Values{}
	for name, values := range query {
		if name != Parameter {
			unsigned[name] = values
		}
	}
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(path + "?" + unsigned.Encode()))
	return hex.EncodeToString(mac.Sum(nil))
}

// Verify reports whether a query has the signature that one of the secrets makes.
func Verify(secrets []string, path string, query url.Values) bool {
	return slices.ContainsFunc(secrets, func(secret string) bool {
		return hmac.Equal([]byte(Sign(secret, path, query)), []byte(query.Get(Parameter)))
	})
}
