// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/platen-dev/platen/internal/storage/dropbox/authflow"
)

const (
	// sessionLifetime is how long a visitor stays signed in, if the token does not expire earlier.
	sessionLifetime = 8 * time.Hour
	// connectLifetime is how long a visitor may stay at the storage service.
	connectLifetime = 10 * time.Minute
	// maxFlows bounds the flows of a browser, so that they fit into a cookie. The oldest makes way.
	maxFlows = 3
	// maxToken bounds a bearer token, in bytes. Sealed, it must fit into a cookie, and browsers allow 4096 bytes.
	maxToken = 2500

	sessionCookie = "platen-session"
	connectCookie = "platen-connect"
	// noticeCookie has what the next page says about the visitor's last action.
	noticeCookie = "platen-notice"
)

// session is a visitor's session. A sealed cookie keeps it: every replica can read it, and none stores it.
type session struct {
	// ID is random and binds a connect flow to the session.
	ID string `json:"i"`
	// Token is the visitor's bearer token, used for every request to the API server.
	Token string `json:"t"`
	// Workspace is a namespace.
	Workspace string    `json:"w"`
	Expires   time.Time `json:"e"`
}

// flow is a connect flow whose visitor is at the storage service.
type flow struct {
	// Attempt is used once: the first answer with its state removes the flow from the cookie, and Dropbox accepts a code once.
	Attempt authflow.Attempt `json:"a"`
	// Session and Workspace are the visitor's at the start of the flow.
	Session   string `json:"i"`
	Workspace string `json:"w"`
	// Connection is the name of the StorageConnection to create, or to connect again if Again is set.
	Connection string `json:"c"`
	Again      bool   `json:"g,omitempty"`
	AppKey     string `json:"k"`
	// RedirectURI is the address to which Dropbox sends the visitor back.
	RedirectURI string    `json:"r"`
	Expires     time.Time `json:"e"`
}

// jar seals cookies with AES-GCM, so that browsers can neither read nor change them.
type jar struct {
	aead cipher.AEAD
	// secure tells whether browsers send the cookies over TLS only.
	secure bool
}

// begin adds a flow to those of the browser. Each of its tabs may have one.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, begun flow) error {
	flows := []flow{}
	s.jar.take(r, connectCookie, &flows)
	flows = slices.DeleteFunc(flows, func(f flow) bool { return f.Session != begun.Session || !s.Clock.Now().Before(f.Expires) })
	flows = append(flows, begun)
	return s.jar.put(w, connectCookie, flows[max(0, len(flows)-maxFlows):])
}

// end removes the flow with a state from those of the browser, and returns it; nil if there is none. An answer with another state removes none: it
// may be forged.
func (s *Server) end(w http.ResponseWriter, r *http.Request, state string) (*flow, error) {
	flows := []flow{}
	s.jar.take(r, connectCookie, &flows)
	at := slices.IndexFunc(flows, func(f flow) bool { return subtle.ConstantTimeCompare([]byte(f.Attempt.State), []byte(state)) == 1 })
	found := (*flow)(nil)
	if at >= 0 {
		found = new(flows[at])
		flows = slices.Delete(flows, at, at+1)
	}
	if len(flows) == 0 {
		s.jar.drop(w, connectCookie)
		return found, nil
	}
	return found, s.jar.put(w, connectCookie, flows)
}

// newJar returns a jar. The key must have 32 bytes.
func newJar(key []byte, secure bool) (jar, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return jar{}, fmt.Errorf("the key of the page's cookies: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return jar{aead, secure}, err
}

// cookie returns a cookie without Max-Age: it ends with the browser's session, or earlier at the time in its value. SameSite is Lax
// because the visitor comes back from another site, the storage service.
func (j jar) cookie(name, value string) *http.Cookie {
	if j.secure {
		name = "__Host-" + name
	}
	//nolint:gosec // Secure wherever the page is reached over TLS; a port-forward to localhost is not
	return &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: j.secure, SameSite: http.SameSiteLaxMode}
}

// put seals a value into a cookie. The cookie's name is authenticated, so that one cookie cannot be used as another.
func (j jar) put(w http.ResponseWriter, name string, value any) error {
	plain, err := json.Marshal(value)
	if err != nil {
		return err
	}
	sealed := j.aead.Seal(nil, nil, plain, []byte(name)) //nolint:gosec // the AEAD makes a random nonce itself
	http.SetCookie(w, j.cookie(name, base64.RawURLEncoding.EncodeToString(sealed)))
	return nil
}

// take reads the value of a cookie. ok tells whether the request has one that this jar sealed.
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

// drop deletes a cookie.
func (j jar) drop(w http.ResponseWriter, name string) {
	cookie := j.cookie(name, "") //nolint:gosec // see cookie
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// session returns the session of a request; nil if nobody has signed in.
func (s *Server) session(r *http.Request) *session {
	found := &session{}
	if !s.jar.take(r, sessionCookie, found) || !s.Clock.Now().Before(found.Expires) {
		return nil
	}
	return found
}

// tell keeps words for the page to which a visitor is sent.
func (s *Server) tell(w http.ResponseWriter, text words) error {
	return s.jar.put(w, noticeCookie, text)
}

// told returns what the last action kept for this page; nil for nothing.
func (s *Server) told(w http.ResponseWriter, r *http.Request) *words {
	found := &words{}
	if !s.jar.take(r, noticeCookie, found) {
		return nil
	}
	s.jar.drop(w, noticeCookie)
	return found
}
