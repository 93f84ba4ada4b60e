// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package credentials is the only reader of Secrets. It names what is wrong with one and never shows a value.
package credentials

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// Reasons of an Error.
const (
	SecretNotFound    = "SecretNotFound"
	SecretNotLabelled = "SecretNotLabelled"
	SecretKeyMissing  = "SecretKeyMissing"
	SecretKeyInvalid  = "SecretKeyInvalid"
)

// maxValue bounds a credential, in bytes.
const maxValue = 4096

// Error says what is wrong with a Secret, and which.
type Error struct {
	// Reason is one of the constants above.
	Reason string
	// Message names the Secret and the key, never a value.
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Dropbox holds the credentials of a Dropbox account. It never prints them.
type Dropbox struct{ AppKey, AppSecret, RefreshToken string }

// String implements fmt.Stringer.
func (Dropbox) String() string { return "[redacted]" }

// GoString implements fmt.GoStringer.
func (Dropbox) GoString() string { return "[redacted]" }

// LogValue implements slog.LogValuer.
func (Dropbox) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalJSON implements json.Marshaler.
func (Dropbox) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Reader reads Secrets by name, without a cache.
type Reader struct{ client.Reader }

// processKey makes fingerprints useless outside this process.
var processKey = sync.OnceValue(func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	return key
})

// Dropbox reads the keys appKey, refreshToken and, where it is there, appSecret. fingerprint changes whenever one of them does.
// The error is an *Error when the Secret is at fault.
func (r Reader) Dropbox(ctx context.Context, namespace, name string) (credentials Dropbox, fingerprint string, err error) {
	secret := &corev1.Secret{}
	err = r.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return Dropbox{}, "", &Error{SecretNotFound, fmt.Sprintf("Secret '%s' does not exist", name)}
	}
	if err != nil {
		return Dropbox{}, "", fmt.Errorf("reading Secret %s/%s: %w", namespace, name, err)
	}
	if secret.Labels[platenv1alpha1.CredentialsLabel] != "true" {
		return Dropbox{}, "", &Error{SecretNotLabelled, fmt.Sprintf("Secret '%s' must carry the label %s: \"true\"", name, platenv1alpha1.CredentialsLabel)}
	}
	for _, field := range []struct {
		key      string
		target   *string
		optional bool
	}{
		{"appKey", &credentials.AppKey, false},
		{"refreshToken", &credentials.RefreshToken, false},
		{"appSecret", &credentials.AppSecret, true},
	} {
		raw, ok := secret.Data[field.key]
		if !ok && field.optional {
			continue
		}
		if !ok {
			return Dropbox{}, "", &Error{SecretKeyMissing, fmt.Sprintf("Secret '%s' has no key '%s'", name, field.key)}
		}
		value := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
		if value == "" || len(value) > maxValue || !utf8.ValidString(value) || strings.ContainsFunc(value, notGraphic) {
			return Dropbox{}, "", &Error{SecretKeyInvalid, fmt.Sprintf(
				"Key '%s' of Secret '%s' must be 1 to %d printable characters without spaces", field.key, name, maxValue)}
		}
		*field.target = value
	}
	mac := hmac.New(sha256.New, processKey())
	for _, part := range []string{string(secret.UID), credentials.AppKey, credentials.AppSecret, credentials.RefreshToken} {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return credentials, hex.EncodeToString(mac.Sum(nil)[:8]), nil
}

// notGraphic is true for what a credential must not contain; a byte order mark is such a thing.
func notGraphic(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '\uFEFF' }
