// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package contenturl says what content URLs look like, for the content server, which makes and serves them, and for those who fetch files.
package contenturl

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Path begins the paths of the content server's URLs. The object's key follows.
const Path = "/content/"

// MaxBase bounds the base of content URLs, in bytes, so that every content URL fits into a job's status.
const MaxBase = 256

// CheckBase returns an error if content URLs cannot begin with base.
func CheckBase(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(base) > MaxBase {
		return fmt.Errorf("'%s' must be like https://platen.example.com and have at most %d bytes", base, MaxBase)
	}
	return nil
}

// The parameters that have the file's name, as it is or in base64.
const (
	nameParameter    = "n"
	encodedParameter = "b"
)

// SetName puts a file name into the query of a content URL. What must be escaped would take up to nine characters for three bytes, so such a
// name is in base64.
func SetName(query url.Values, name string) {
	if encoded := base64.RawURLEncoding.EncodeToString([]byte(name)); len(encoded) < len(url.QueryEscape(name)) {
		query.Set(encodedParameter, encoded)
	} else {
		query.Set(nameParameter, name)
	}
}

// Name returns the file name that SetName has put into a query; "" if there is none.
func Name(query url.Values) (string, error) {
	encoded := query.Get(encodedParameter)
	if encoded == "" {
		return query.Get(nameParameter), nil
	}
	name, err := base64.RawURLEncoding.DecodeString(encoded)
	return string(name), err
}

// ExpiryParameter is the parameter of a content URL that says when it expires, in seconds since 1970 and in base 36.
const ExpiryParameter = "e"

// Expiry returns when a content URL expires; zero if it does not say it.
func Expiry(contentURL string) time.Time {
	u, err := url.Parse(contentURL)
	if err != nil {
		return time.Time{}
	}
	return ExpiryOf(u.Query())
}

// ExpiryOf returns when a content URL with a query expires; zero if the query does not say it.
func ExpiryOf(query url.Values) time.Time {
	seconds, err := strconv.ParseInt(query.Get(ExpiryParameter), 36, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// keyParts are the numbers of parts that the keys of files have: those of today, and older ones.
var keyParts = []int{5, 3}

// At returns the URL of the same file at another address of the content server, such as its Service. It takes nothing but the object's key
// and the query from a content URL, so that whoever made it up gets no further than the content server.
func At(base, contentURL string) (string, error) {
	u, err := url.Parse(contentURL)
	if err != nil {
		return "", errNotContent
	}
	parts := strings.Split(u.EscapedPath(), "/")
	for _, n := range keyParts {
		key := len(parts) - n
		if key > 1 && parts[key-1]+"/" == strings.TrimPrefix(Path, "/") && !slices.ContainsFunc(parts[key:], unclean) {
			return strings.TrimSuffix(base, "/") + Path + strings.Join(parts[key:], "/") + "?" + u.RawQuery, nil
		}
	}
	return "", errNotContent
}

var errNotContent = errors.New("not a URL of the content server")

// unclean tells whether a part of a path could lead elsewhere.
func unclean(part string) bool {
	return part == "" || part == "." || part == ".." || strings.Contains(part, "%")
}
