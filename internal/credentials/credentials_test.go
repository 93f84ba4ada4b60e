// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage"
)

func secret(data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name: "dropbox", Namespace: "ns", UID: "uid", Labels: map[string]string{platenv1alpha1.CredentialsLabel: "true"},
	}, Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

func read(t *testing.T, s *corev1.Secret) (Redacted, string, error) {
	t.Helper()
	builder := fake.NewClientBuilder().WithScheme(scheme.Scheme)
	if s != nil {
		builder = builder.WithObjects(s)
	}
	return Reader{builder.Build()}.Read(t.Context(), "ns", "dropbox", DropboxKeys)
}

func TestErrorsNameWhatIsWrong(t *testing.T) {
	unlabelled := secret(map[string]string{"appKey": "k", "refreshToken": "hush"})
	unlabelled.Labels = nil
	for name, c := range map[string]struct {
		secret *corev1.Secret
		reason storage.Reason
		phrase string
	}{
		"no Secret":        {nil, storage.ReasonSecretNotFound, "'dropbox' does not exist"},
		"no label":         {unlabelled, storage.ReasonSecretNotLabelled, platenv1alpha1.CredentialsLabel},
		"no refresh token": {secret(map[string]string{"appKey": "k"}), storage.ReasonSecretKeyMissing, "no key 'refreshToken'"},
		"no app key":       {secret(map[string]string{"refreshToken": "hush"}), storage.ReasonSecretKeyMissing, "no key 'appKey'"},
		"empty":            {secret(map[string]string{"appKey": "k", "refreshToken": ""}), storage.ReasonSecretKeyInvalid, "'refreshToken'"},
		"a space":          {secret(map[string]string{"appKey": "k", "refreshToken": "hush now"}), storage.ReasonSecretKeyInvalid, "'refreshToken'"},
		"a line break":     {secret(map[string]string{"appKey": "k", "refreshToken": "hush\nnow"}), storage.ReasonSecretKeyInvalid, "'refreshToken'"},
		"a byte order mark": {
			secret(map[string]string{"appKey": "k", "refreshToken": "\ufeffhush"}), storage.ReasonSecretKeyInvalid, "'refreshToken'",
		},
		"endless": {secret(map[string]string{"appKey": "k", "refreshToken": strings.Repeat("x", 5000)}), storage.ReasonSecretKeyInvalid, "'refreshToken'"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := read(t, c.secret)
			problem := (*storage.Error)(nil)
			if !errors.As(err, &problem) || problem.Reason != c.reason || !strings.Contains(problem.Message, c.phrase) {
				t.Fatalf("got %v, want %s with %q", err, c.reason, c.phrase)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the message shows the secret: %v", err)
			}
		})
	}
}

func TestReadDropsALineBreakAtTheEnd(t *testing.T) {
	credentials, fingerprint, err := read(t, secret(map[string]string{"appKey": "key\n", "refreshToken": "token\r\n", "appSecret": "s"}))
	if err != nil || credentials["appKey"] != "key" || credentials["refreshToken"] != "token" || credentials["appSecret"] != "s" {
		t.Fatal(err)
	}
	_, same, _ := read(t, secret(map[string]string{"appKey": "key", "refreshToken": "token", "appSecret": "s"}))
	_, changed, _ := read(t, secret(map[string]string{"appKey": "key", "refreshToken": "token", "appSecret": "other"}))
	if same != fingerprint || changed == fingerprint {
		t.Errorf("fingerprints %s, %s and %s", fingerprint, same, changed)
	}
}

// An optional key without a value is a key that is not there.
func TestOptionalKeysMayBeEmpty(t *testing.T) {
	without, fingerprint, err := read(t, secret(map[string]string{"appKey": "key", "refreshToken": "token"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, empty := range []string{"", "\n", "\r\n"} {
		credentials, same, err := read(t, secret(map[string]string{"appKey": "key", "refreshToken": "token", "appSecret": empty}))
		if err != nil || !reflect.DeepEqual(credentials, without) || same != fingerprint {
			t.Errorf("%q: %d credentials, %v", empty, len(credentials), err)
		}
	}
}

func TestCredentialsNeverPrintThemselves(t *testing.T) {
	credentials := Redacted{"appKey": "hush1", "refreshToken": "hush2"}
	encoded, err := json.Marshal(map[string]any{"c": credentials, "p": &credentials})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(credentials), fmt.Sprintf("%v %+v %#v %s %q", credentials, credentials, credentials, credentials, credentials),
		fmt.Sprintf("%v %+v", &credentials, struct{ C Redacted }{credentials}), credentials.LogValue().String(), string(encoded),
	} {
		if strings.Contains(text, "hush") {
			t.Error(text)
		}
	}
}

// People call the keys as another tool does. The message names the key that they mean.
func TestKeysInAnotherSpelling(t *testing.T) {
	for name, tc := range map[string]struct {
		keys []Key
		data map[string]string
		want string
	}{
		"snake case":      {DropboxKeys, map[string]string{"app_key": "x", "refresh_token": "y"}, "Secret 'dropbox' has no key 'appKey', which its key 'app_key' may be meant for"},
		"capitals":        {DropboxKeys, map[string]string{"appKey": "x", "RefreshToken": "y"}, "Secret 'dropbox' has no key 'refreshToken', which its key 'RefreshToken' may be meant for"},
		"environment":     {S3Keys, map[string]string{"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, "Secret 'dropbox' has no key 'accessKeyID', which its key 'AWS_ACCESS_KEY_ID' may be meant for"},
		"another":         {DropboxKeys, map[string]string{"accessToken": "x"}, "Secret 'dropbox' has no key 'appKey'"},
		"nothing":         {DropboxKeys, nil, "Secret 'dropbox' has no key 'appKey'"},
		"dots and dashes": {DropboxKeys, map[string]string{"my.app-key": "x"}, "Secret 'dropbox' has no key 'appKey', which its key 'my.app-key' may be meant for"},
	} {
		reader := Reader{fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(secret(tc.data)).Build()}
		_, _, err := reader.Read(t.Context(), "ns", "dropbox", tc.keys)
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}

func TestDocumentsHaveLines(t *testing.T) {
	s := secret(map[string]string{"serviceAccountKey": "{\n  \"type\": \"service_account\"\n}\n"})
	reader := Reader{fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(s).Build()}
	if values, _, err := reader.Read(t.Context(), "ns", "dropbox", GCSKeys); err != nil || !strings.Contains(values["serviceAccountKey"], "service_account") {
		t.Errorf("got %v", err)
	}
}

func TestKeysAreMadeOnceAndSignACertificate(t *testing.T) {
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).Build()
	now := time.Now()
	first, err := EnsureKeys(t.Context(), c, "ns", "keys", now)
	if err != nil {
		t.Fatal(err)
	}
	second, err := EnsureKeys(t.Context(), c, "ns", "keys", now)
	if err != nil || string(first.CACert) != string(second.CACert) || !reflect.DeepEqual(first.URLSigning, second.URLSigning) || !reflect.DeepEqual(first.PodSigning, second.PodSigning) {
		t.Errorf("a second manager has other keys: %v", err)
	}
	certificate, err := second.ServerCertificate([]string{"platen-dispatch.platen-system.svc"}, now)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(first.CACert)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "platen-dispatch.platen-system.svc", CurrentTime: now.AddDate(0, 11, 0)}); err != nil {
		t.Error(err)
	}
}

func TestBrokenKeysAreLeftAsTheyAre(t *testing.T) {
	broken := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "keys", Namespace: "ns"}, Data: map[string][]byte{"ca.crt": []byte("x")}}
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(broken).Build()
	if _, err := EnsureKeys(t.Context(), c, "ns", "keys", time.Now()); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("got %v", err)
	}
}

// The advice about a missing Secret names the keys of the connection's own provider.
func TestAdviceNamesTheKeysOfTheProvider(t *testing.T) {
	all := map[string][]Key{"s3": S3Keys, "gcs": GCSKeys, "azureblob": AzureBlobKeys}
	for provider := range all {
		for of, keys := range all {
			for _, key := range keys {
				text := storage.ReasonSecretNotFound.Advice(provider).Do
				if strings.Contains(text, key.Name) != (of == provider && !key.Optional) {
					t.Errorf("%s, key %s: %s", provider, key.Name, text)
				}
				if general := storage.ReasonSecretNotFound.Advice("").Do; !key.Optional && !strings.Contains(general, key.Name) {
					t.Errorf("any bucket, key %s: %s", key.Name, general)
				}
			}
		}
	}
}
