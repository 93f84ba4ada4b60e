// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReleaseIsVouchedFor checks the sums, the provenance and their signatures as those do who get a release.
func TestReleaseIsVouchedFor(t *testing.T) {
	manager, digest := archive(t, "registry.example:5000/platen/manager:v1.2.3")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	o := options{
		dir: t.TempDir(), version: "v1.2.3", platforms: []string{"linux/amd64"}, images: []string{manager}, digests: true,
		source: "https://git.example.com/platen", commit: strings.Repeat("c", 40), builder: "https://ci.example.com/release", key: filepath.Join(t.TempDir(), "key.pem"),
	}
	if err := os.WriteFile(o.key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.write("install.yaml", []byte("a")); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(o.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	isSigned := func(data []byte, signature string) bool {
		raw, err := base64.StdEncoding.DecodeString(signature)
		sum := sha256.Sum256(data)
		return err == nil && ecdsa.VerifyASN1(&key.PublicKey, sum[:], raw)
	}
	var first string
	for range 2 { // a second run finds the files of the first
		if err := o.vouch(io.Discard); err != nil {
			t.Fatal(err)
		}
		if text := string(read(provenanceName)); first == "" {
			first = text
		} else if diff := cmp.Diff(first, text); diff != "" {
			t.Errorf("a second run has another provenance:\n%s", diff)
		}
	}
	var got statement
	if err := json.Unmarshal(read(provenanceName), &got); err != nil {
		t.Fatal(err)
	}
	want := []resource{
		{Name: "install.yaml", Digest: map[string]string{"sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}},
		{Name: "registry.example:5000/platen/manager", Digest: map[string]string{"sha256": strings.TrimPrefix(digest, "sha256:")}},
	}
	if diff := cmp.Diff(want, got.Subject); diff != "" {
		t.Errorf("the subjects differ (-want +got):\n%s", diff)
	}
	dependencies := []resource{
		{URI: "git+https://git.example.com/platen", Digest: map[string]string{"gitCommit": strings.Repeat("c", 40)}},
		{URI: "pkg:golang/stdlib@" + strings.TrimPrefix(runtime.Version(), "go")},
	}
	if diff := cmp.Diff(dependencies, got.Predicate.BuildDefinition.ResolvedDependencies); diff != "" || got.Predicate.RunDetails.Builder.ID != o.builder {
		t.Errorf("the builder is %s, and the dependencies differ (-want +got):\n%s", got.Predicate.RunDetails.Builder.ID, diff)
	}

	var signed envelope
	if err := json.Unmarshal(read(attestationName), &signed); err != nil {
		t.Fatal(err)
	}
	if signed.PayloadType != "application/vnd.in-toto+json" || string(signed.Payload) != first {
		t.Errorf("the envelope has a %s: %s", signed.PayloadType, signed.Payload)
	}
	// The encoding by which DSSE says what is signed, written out.
	over := "DSSEv1 28 application/vnd.in-toto+json " + strconv.Itoa(len(first)) + " " + first
	if !isSigned([]byte(over), signed.Signatures[0].Signature) || isSigned([]byte(over+" "), signed.Signatures[0].Signature) {
		t.Error("the signature is not for this statement only")
	}
	sums := read(checksumsName)
	if !isSigned(sums, string(read(signatureName))) {
		t.Error("the signature of the sums is wrong")
	}
	for _, name := range []string{"install.yaml", provenanceName, attestationName} {
		if !strings.Contains(string(sums), "  "+name+"\n") {
			t.Errorf("the sums have no %s:\n%s", name, sums)
		}
	}
}
