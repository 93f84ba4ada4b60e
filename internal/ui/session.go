// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/platen-dev/platen/internal/storage/dropbox/authflow"
)

const (
	// sessionLifetime is how long a visitor stays signed in at most; a token that ends earlier ends the session.
	sessionLifetime = 8 * time.Hour
	// connectLifetime is how long a visitor may take at the storage service.
	connectLifetime = 10 * time.Minute
	// maxToken bounds a bearer token, in bytes: sealed, it must fit into a cookie, of which browsers keep 4096 bytes.
	maxToken = 2500

	sessionCookie = "platen-session"
	connectCookie = "platen-connect"
)

// session is who has signed in. It is kept in a sealed cookie, so that every replica knows it and none has to remember it.
type session struct {
	// ID is random and binds a connect flow to the session.
	ID string `json:"i"`
	// Token with which everything is done.
	Token string `json:"t"`
	// Workspace is a namespace.
	Workspace string    `json:"w"`
	Expires   time.Time `json:"e"`
}

// flow is a connect flow that waits for its visitor to come back from the storage service.
type flow struct {
	// Attempt is used once: the cookie goes with the first answer, and Dropbox takes a code once.
	Attempt authflow.Attempt `json:"a"`
	// Session and Workspace in which it was begun.
	Session   string `json:"i"`
	Workspace string `json:"w"`
	// Connection that is made, or connected again.
	Connection string `json:"c"`
	AppKey     string `json:"k"`
	// RedirectURI to which Dropbox was told to send the visitor.
	RedirectURI string    `json:"r"`
	Expires     time.Time `json:"e"`
}

// jar keeps what must not be read or changed by browsers in cookies: AES-GCM under a key of the shim's.
type jar struct {
	aead cipher.AEAD
	// secure cookies are sent over TLS only.
	secure bool
}

// newJar returns a jar with a key of 32 bytes.
func newJar(key []byte, secure bool) (jar, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return jar{}, fmt.Errorf("the key of the page's cookies: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return jar{aead, secure}, err
}

// cookie has no Max-Age: it ends with the browser's session, and what it holds says when it ends at the latest. SameSite is Lax
// because the visitor comes back from another site, the storage service.
func (j jar) cookie(name, value string) *http.Cookie {
	if j.secure {
		name = "__Host-" + name
	}
	//nolint:gosec // Secure wherever the page is reached over TLS; a port-forward to localhost is not
	return &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: j.secure, SameSite: http.SameSiteLaxMode}
}

// put seals a value. The cookie's name is authenticated, so that one cookie cannot stand for another.
func (j jar) put(w http.ResponseWriter, name string, value any) error {
	plain, err := json.Marshal(value)
	if err != nil {
		return err
	}
	sealed := j.aead.Seal(nil, nil, plain, []byte(name)) //nolint:gosec // the AEAD makes a random nonce itself
	http.SetCookie(w, j.cookie(name, base64.RawURLEncoding.EncodeToString(sealed)))
	return nil
}

// take reads a value; ok is false when there is none that this jar has sealed.
func (j jar) take(r *http.Request, name string, value any) (ok bool) {
	cookie, err := r.Cookie(j.cookie(name, "").Name)
	if err != nil {
		return false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return false
	}
	plain, err := j.aead.Open(nil, nil, sealed, []byte(name))
	return err == nil && json.Unmarshal(plain, value) == nil
}

func (j jar) drop(w http.ResponseWriter, name string) {
	cookie := j.cookie(name, "") //nolint:gosec // see cookie
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// session returns who has signed in, nil when nobody has.
func (s *Server) session(r *http.Request) *session {
	found := &session{}
	if !s.jar.take(r, sessionCookie, found) || !s.Clock.Now().Before(found.Expires) {
		return nil
	}
	return found
}
