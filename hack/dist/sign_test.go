// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChecksums(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"install.yaml": "a", "images/manager.tar": "b", "checksums.txt": "old", "checksums.txt.sig": "old"} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := checksums(folder)
	if err != nil {
		t.Fatal(err)
	}
	want := "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  images/manager.tar\n" +
		"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  install.yaml\n"
	if difference := cmp.Diff(want, string(got)); difference != "" {
		t.Errorf("checksums (-want +got):\n%s", difference)
	}
}

func TestSign(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(block string, der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	oldForm := encoded("EC PRIVATE KEY", sec1, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	newForm := encoded("PRIVATE KEY", pkcs8, err)
	pkcs8, err = x509.MarshalPKCS8PrivateKey(other)
	wrongKind := encoded("PRIVATE KEY", pkcs8, err)

	data := []byte("sums")
	digest, otherDigest := sha256.Sum256(data), sha256.Sum256([]byte("Sums"))
	for name, form := range map[string][]byte{"SEC 1": oldForm, "PKCS #8": newForm} {
		text, err := sign(data, form)
		if err != nil {
			t.Fatal(name, err)
		}
		signature, err := base64.StdEncoding.DecodeString(string(text))
		if err != nil {
			t.Fatal(name, err)
		}
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) || ecdsa.VerifyASN1(&key.PublicKey, otherDigest[:], signature) {
			t.Errorf("%s: the signature is not for this text only", name)
		}
	}
	for message, wrong := range map[string][]byte{
		"no PEM":                    []byte("key"),
		"neither SEC 1 nor PKCS #8": encoded("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("key"), nil),
		"expected one of ECDSA":     wrongKind,
	} {
		if _, err := sign(data, wrong); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("error %v, want one with %q", err, message)
		}
	}
}
