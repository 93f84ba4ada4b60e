// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package credentials is the only reader of Secrets. Its errors name what is wrong with a Secret and never show a value.
package credentials

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// maxValue bounds a credential, in bytes.
	maxValue = 4096
	// maxDocument bounds a credential that is a document, in bytes.
	maxDocument = 16 << 10
)

// fault returns the error of a Secret. Everything that needs the Secret fails until somebody acts. The message names the Secret and the key,
// never a value.
func fault(reason storage.Reason, format string, args ...any) error {
	return &storage.Error{Class: storage.Stop, Account: true, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Redacted is a set of credentials by the keys of its Secret. It never prints them.
type Redacted map[string]string

// String implements fmt.Stringer.
func (Redacted) String() string { return "[redacted]" }

// GoString implements fmt.GoStringer.
func (Redacted) GoString() string { return "[redacted]" }

// LogValue implements slog.LogValuer.
func (Redacted) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalJSON implements json.Marshaler.
func (Redacted) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Key is a key of a Secret.
type Key struct {
	Name string
	// Optional says that the key may be missing.
	Optional bool
	// Document says that the value may have lines and spaces.
	Document bool
}

// The keys that each kind of connection reads.
var (
	DropboxKeys   = []Key{{Name: "appKey"}, {Name: "refreshToken"}, {Name: "appSecret", Optional: true}}
	S3Keys        = []Key{{Name: "accessKeyID"}, {Name: "secretAccessKey"}, {Name: "sessionToken", Optional: true}}
	GCSKeys       = []Key{{Name: "serviceAccountKey", Document: true}}
	AzureBlobKeys = []Key{{Name: "accountKey"}}
)

// Reader reads Secrets by name, without a cache.
type Reader struct{ client.Reader }

// processKey makes fingerprints useless outside this process.
var processKey = sync.OnceValue(func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	return key
})

// Read reads the given keys of a Secret. fingerprint changes whenever one of their values changes. The error is a *storage.Error
// when the Secret is at fault.
func (r Reader) Read(ctx context.Context, namespace, name string, keys []Key) (values Redacted, fingerprint string, err error) {
	secret := &corev1.Secret{}
	err = r.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, "", fault(storage.ReasonSecretNotFound, "Secret '%s' does not exist", name)
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading Secret %s/%s: %w", namespace, name, err)
	}
	if secret.Labels[platenv1alpha1.CredentialsLabel] != "true" {
		return nil, "", fault(storage.ReasonSecretNotLabelled, "Secret '%s' must carry the label %s: \"true\"", name, platenv1alpha1.CredentialsLabel)
	}
	values = Redacted{}
	mac := hmac.New(sha256.New, processKey())
	_, _ = fmt.Fprintf(mac, "%s:", secret.UID)
	for _, key := range keys {
		raw, ok := secret.Data[key.Name]
		if !ok && key.Optional {
			continue
		}
		if !ok {
			return nil, "", fault(storage.ReasonSecretKeyMissing, "Secret '%s' has no key '%s'%s", name, key.Name, otherSpelling(secret.Data, key.Name))
		}
		value := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
		if value == "" && key.Optional {
			continue // charts write "" for what is not set
		}
		if problem := key.check(value); problem != "" {
			return nil, "", fault(storage.ReasonSecretKeyInvalid, "Key '%s' of Secret '%s' must be %s", key.Name, name, problem)
		}
		values[key.Name] = value
		_, _ = fmt.Fprintf(mac, "%s:%d:%s", key.Name, len(value), value)
	}
	return values, hex.EncodeToString(mac.Sum(nil)[:8]), nil
}

// otherSpelling returns, as the end of a message, which key of a Secret may be meant by one that it lacks, such as app_key or DROPBOX_APP_KEY by appKey;
// empty if none may.
func otherSpelling(data map[string][]byte, wanted string) string {
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if strings.HasSuffix(strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(key)), strings.ToLower(wanted)) {
			return fmt.Sprintf(", which its key '%s' may be meant for", key)
		}
	}
	return ""
}

// Version returns the resourceVersion of a Secret, and with it whether something in the Secret has changed; empty if it does not exist. No
// value leaves the API server.
func (r Reader) Version(ctx context.Context, namespace, name string) (string, error) {
	secret := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}}
	err := r.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	if client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("reading the metadata of Secret %s/%s: %w", namespace, name, err)
	}
	return secret.ResourceVersion, nil
}

// check returns what a value must be, empty if it is valid.
func (k Key) check(value string) string {
	switch {
	case k.Document && (value == "" || len(value) > maxDocument || !utf8.ValidString(value)):
		return fmt.Sprintf("text of 1 to %d bytes", maxDocument)
	case !k.Document && (value == "" || len(value) > maxValue || !utf8.ValidString(value) || strings.ContainsFunc(value, notGraphic)):
		return fmt.Sprintf("1 to %d printable characters without spaces", maxValue)
	default:
		return ""
	}
}

// notGraphic reports whether a credential must not contain r, such as a space or a byte order mark.
func notGraphic(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '\uFEFF' }
