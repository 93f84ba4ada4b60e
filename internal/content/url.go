// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"

	"github.com/platen-dev/platen/internal/connections"
	"github.com/platen-dev/platen/internal/contenturl"
	"github.com/platen-dev/platen/internal/file"
)

// Signer makes and checks content URLs. A URL gives access to one file until its expiry.
type Signer struct {
	// keys are the newest key, which signs, and older ones whose URLs are valid too.
	keys atomic.Pointer[[][]byte]
	base string
	ttl  time.Duration
}

// NewSigner returns a Signer with a secret key whose URLs begin with baseURL and are valid for at least ttl.
func NewSigner(key []byte, baseURL string, ttl time.Duration) *Signer {
	s := &Signer{base: strings.TrimSuffix(baseURL, "/"), ttl: ttl}
	s.SetKeys([][]byte{key})
	return s
}

// SetKeys replaces the keys. The first one signs; URLs that any of them has signed are valid.
func (s *Signer) SetKeys(keys [][]byte) { s.keys.Store(&keys) }

// maxURLName bounds the name in a URL, in bytes. A file of a job has at most 250 characters.
const maxURLName = 1 << 10

// URL returns the content URL of the file of size bytes under key; 0 is any size. Browsers save it under name, if that has at most maxURLName
// bytes. The expiry is rounded up to a multiple of the ttl, so that a file keeps its URL for that time. A URL has at most 2 KiB after the base URL.
func (s *Signer) URL(key, name string, size int64, now time.Time) string {
	return s.until(key, name, size, s.latest(now))
}

// latest returns when the URLs that are signed now expire.
func (s *Signer) latest(now time.Time) time.Time { return now.Add(s.ttl).Truncate(s.ttl).Add(s.ttl) }

// Lost reports whether the signature of a content URL is valid no more, because its key is gone, although the URL has not expired.
func (s *Signer) Lost(contentURL string, now time.Time) bool {
	relative, err := contenturl.At("", contentURL)
	if err != nil {
		return false
	}
	u, err := url.Parse(relative)
	return err == nil && now.Before(contenturl.ExpiryOf(u.Query())) && !s.isSigned(u)
}

// Again returns the URL that takes the place of one that is Lost, for the same file, and expires when that one does.
func (s *Signer) Again(lost, key, name string, size int64, now time.Time) string {
	until := Expiry(lost)
	if latest := s.latest(now); until.After(latest) { // somebody other than the manager has written it
		until = latest
	}
	return s.until(key, name, size, until)
}

func (s *Signer) until(key, name string, size int64, expires time.Time) string {
	query := url.Values{expiryParameter: {strconv.FormatInt(expires.Unix(), 36)}}
	if size > 0 {
		query.Set(sizeParameter, strconv.FormatInt(size, 36))
	}
	if len(name) <= maxURLName {
		contenturl.SetName(query, name)
	} else {
		name = ""
	}
	object := strings.TrimPrefix(key, prefix)
	query.Set(signatureParameter, sign((*s.keys.Load())[0], object, name, query))
	return s.base + contenturl.Path + object + "?" + query.Encode()
}

// The parameters of a URL beside the file's name. The expiry is in seconds since 1970, the size in bytes; both are in base 36. URLs of early
// versions have no size.
const expiryParameter, sizeParameter, signatureParameter = contenturl.ExpiryParameter, "z", "s"

// signed is what a URL gives access to.
type signed struct {
	key, name string
	// size of the file in bytes; 0 is any.
	size int64
}

// verify returns what a URL with a valid signature and expiry gives access to.
func (s *Signer) verify(u *url.URL, now time.Time) (signed, error) {
	object := strings.TrimPrefix(u.Path, contenturl.Path)
	query := u.Query()
	name, err := contenturl.Name(query)
	size, sizeErr := strconv.ParseInt(cmp.Or(query.Get(sizeParameter), "0"), 36, 64)
	if err != nil || sizeErr != nil {
		return signed{}, errors.New("this URL is damaged")
	}
	if !s.isSigned(u) {
		return signed{}, errors.New("the signature of this URL is not valid")
	}
	if !now.Before(contenturl.ExpiryOf(query)) {
		return signed{}, errors.New("this URL has expired")
	}
	return signed{prefix + object, cmp.Or(name, path.Base(object)), size}, nil
}

// isSigned reports whether one of the keys has signed a URL.
func (s *Signer) isSigned(u *url.URL) bool {
	object, query := strings.TrimPrefix(u.Path, contenturl.Path), u.Query()
	name, err := contenturl.Name(query)
	return err == nil && slices.ContainsFunc(*s.keys.Load(), func(key []byte) bool {
		return hmac.Equal([]byte(sign(key, object, name, query)), []byte(query.Get(signatureParameter)))
	})
}

// Expiry returns when a content URL expires; zero if it does not say it.
func Expiry(contentURL string) time.Time { return contenturl.Expiry(contentURL) }

// sign signs a URL. No object has a space, so the size is never taken for a part of its key.
func sign(key []byte, object, name string, query url.Values) string {
	if size := query.Get(sizeParameter); size != "" {
		object += " " + size
	}
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s\n%s\n%s", object, query.Get(expiryParameter), name)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// contentType returns the content type of an object, which its extension decides.
func contentType(key string) string {
	if path.Base(key) == manifestName {
		return "application/json"
	}
	return file.Format(strings.TrimPrefix(path.Ext(key), ".")).ContentType()
}

// maxRanges bounds the parts of a file that a request gets; whoever asks for more gets the whole file (RFC 9110, 14.2).
const maxRanges = 16

// NewHandler returns the content server: GET and HEAD with ranges, for requests with a URL of the signer. It lists nothing. A store with
// Options.Redirect answers a GET with the bucket's own URL of the file, unless the request has file.DirectHeader. A file of another size than
// its URL says is not served.
func NewHandler(store *Store, signer *Signer, now func() time.Time) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+contenturl.Path, func(w http.ResponseWriter, r *http.Request) {
		wanted, err := signer.verify(r.URL, now())
		if err != nil {
			w.Header().Set("Connection", "close") // it takes the place of another
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		key := wanted.key
		o, ok := parseKey(key)
		if !ok || path.Base(key) == manifestName || !o.RetainedUntil.IsZero() {
			http.NotFound(w, r)
			return
		}
		if !connections.Admit(r.Context(), o.Ref.Namespace) {
			w.Header().Set("Connection", "close")
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many connections fetch files of this namespace", http.StatusServiceUnavailable)
			return
		}
		// A bucket's URL is for GET alone.
		redirects := store.usage.options.Redirect && r.Method == http.MethodGet && r.Header.Get(file.DirectHeader) == ""
		var object *blob.Reader
		if redirects {
			err = store.redirect(w, r, wanted)
		} else {
			object, err = store.open(r.Context(), key, wanted.size)
		}
		if errors.Is(err, ErrNotFound) {
			http.Error(w, "this file is no longer kept", http.StatusNotFound)
			return
		}
		if errors.Is(err, ErrChanged) {
			http.Error(w, "this file was changed in the content store; render it again", http.StatusNotFound)
			return
		}
		if err != nil {
			http.Error(w, "the content store does not answer", http.StatusBadGateway)
			return
		}
		if redirects {
			return
		}
		defer func() { _ = object.Close() }()
		if strings.Count(r.Header.Get("Range"), ",") >= maxRanges {
			r.Header.Del("Range") // each part is read anew, with a request to the bucket
		}
		header := w.Header()
		// The extension decides: not every bucket keeps content types.
		header.Set("Content-Type", contentType(key))
		header.Set("Content-Disposition", file.Disposition(wanted.name))
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
		header.Set("Cache-Control", "private, max-age=86400, immutable")
		http.ServeContent(w, r, "", object.ModTime(), object)
	})
	return mux
}
