// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"bytes"
	"context"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// rotation is the patch that docs/operations/security.md tells people to apply.
const rotation = `[
	{"op": "move", "from": "/data/ca.crt", "path": "/data/previous.ca.crt"},
	{"op": "move", "from": "/data/ca.key", "path": "/data/previous.ca.key"},
	{"op": "move", "from": "/data/url-signing.key", "path": "/data/previous.url-signing.key"},
	{"op": "move", "from": "/data/pod-signing.key", "path": "/data/previous.pod-signing.key"}
]`

// accepts checks that a client that trusts authority accepts the dispatch server's certificate.
func accepts(t *testing.T, authority []byte, keys Keys, want bool) {
	t.Helper()
	certificate, err := keys.ServerCertificate([]string{"dispatch"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: "dispatch"}
	options.Roots.AppendCertsFromPEM(authority)
	var leaf *x509.Certificate
	for i, der := range certificate.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			leaf = parsed
		} else {
			options.Intermediates.AddCert(parsed)
		}
	}
	if _, err := leaf.Verify(options); (err == nil) != want {
		t.Errorf("accepted: %v, want %v", err, want)
	}
}

func TestKeysRotateWithOverlap(t *testing.T) {
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).Build()
	ring, err := OpenKeyRing(t.Context(), c, "ns", "keys", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	patch := func(text string) {
		t.Helper()
		secret := &corev1.Secret{}
		if err := c.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: "keys"}, secret); err != nil {
			t.Fatal(err)
		}
		if err := c.Patch(t.Context(), secret, client.RawPatch(types.JSONPatchType, []byte(text))); err != nil {
			t.Fatal(err)
		}
		if err := ring.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first := ring.Keys()
	accepts(t, first.CACert, first, true)

	for range 2 { // a second rotation drops the keys before the previous ones
		old := ring.Keys()
		patch(rotation)
		rotated := ring.Keys()
		for name, pair := range map[string][2][][]byte{"url": {old.URLSigning, rotated.URLSigning}, "pod": {old.PodSigning, rotated.PodSigning}} {
			if before, after := pair[0], pair[1]; len(after) != 2 || bytes.Equal(after[0], before[0]) || !bytes.Equal(after[1], before[0]) {
				t.Errorf("the %s signing keys are %d, and the second is not the one before", name, len(after))
			}
		}
		if bytes.Equal(rotated.CACert, old.CACert) {
			t.Error("the authority is still the old one")
		}
		accepts(t, old.CACert, rotated, true)
		accepts(t, rotated.CACert, rotated, true)
		accepts(t, rotated.CACert, old, false)
	}
	accepts(t, first.CACert, ring.Keys(), false)

	last := ring.Keys()
	patch(`[{"op": "remove", "path": "/data/previous.ca.crt"}, {"op": "remove", "path": "/data/previous.ca.key"},
		{"op": "remove", "path": "/data/previous.url-signing.key"}, {"op": "remove", "path": "/data/previous.pod-signing.key"}]`)
	if ended := ring.Keys(); len(ended.URLSigning) != 1 || len(ended.PodSigning) != 1 || !bytes.Equal(ended.CACert, last.CACert) {
		t.Error("a previous key is kept, or the newest one has changed")
	}
}

func TestKeysOfAnEarlierVersionAreCompleted(t *testing.T) {
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).Build()
	before, err := EnsureKeys(t.Context(), c, "ns", "keys", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{}
	if err := c.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: "keys"}, secret); err != nil {
		t.Fatal(err)
	}
	delete(secret.Data, podSigningField)
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	after, err := EnsureKeys(t.Context(), c, "ns", "keys", time.Now())
	if err != nil || !bytes.Equal(before.CACert, after.CACert) || !bytes.Equal(before.URLSigning[0], after.URLSigning[0]) || len(after.PodSigning) != 1 {
		t.Errorf("the other keys have changed, or the missing one is not there: %v", err)
	}
}

func TestManagersThatStartTogetherGetTheSameKeys(t *testing.T) {
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).Build()
	all := make([]Keys, 4)
	var starting sync.WaitGroup
	for i := range all {
		starting.Go(func() {
			var err error
			if all[i], err = EnsureKeys(context.Background(), c, "ns", "keys", time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for _, keys := range all[1:] {
		if !bytes.Equal(keys.CACert, all[0].CACert) || len(keys.PodSigning) != 1 || !bytes.Equal(keys.PodSigning[0], all[0].PodSigning[0]) {
			t.Error("two managers have different keys")
		}
	}
}
