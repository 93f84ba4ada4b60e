// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	authorityYears   = 10
	certificateYears = 1
	signingKeyBytes  = 32
	// clockSkew is how far clocks may differ.
	clockSkew = time.Hour
)

// Keys are the manager's own: the authority that signs the dispatch server's certificate, and the key that signs content URLs.
type Keys struct {
	// CACert is public, in PEM.
	CACert []byte
	caKey  *ecdsa.PrivateKey
	ca     *x509.Certificate
	// URLSigningKey has 32 bytes.
	URLSigningKey []byte
}

// String implements fmt.Stringer.
func (Keys) String() string { return "[redacted]" }

// EnsureKeys reads the manager's keys from a Secret, and creates the Secret if it does not exist. Managers that start together get the
// same keys. A Secret that cannot be used is an error and is not changed. c must not read from a cache.
func EnsureKeys(ctx context.Context, c client.Client, namespace, name string, now time.Time) (Keys, error) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	secret := &corev1.Secret{}
	err := c.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		if secret, err = newKeys(key, now); err != nil {
			return Keys{}, err
		}
		if err = c.Create(ctx, secret); apierrors.IsAlreadyExists(err) {
			err = c.Get(ctx, key, secret)
		}
	}
	if err != nil {
		return Keys{}, fmt.Errorf("the manager's keys in Secret %s: %w", key, err)
	}
	keys, err := parseKeys(secret)
	if err != nil {
		return Keys{}, fmt.Errorf("the manager's keys in Secret %s cannot be used (delete it to have new ones made): %w", key, err)
	}
	return keys, nil
}

func newKeys(key types.NamespacedName, now time.Time) (*corev1.Secret, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "platen-dispatch-ca"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.AddDate(authorityYears, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	signing := make([]byte, signingKeyBytes)
	_, _ = rand.Read(signing) // never fails, see crypto/rand
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Data: map[string][]byte{
			"ca.crt":          pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
			"ca.key":          pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
			"url-signing.key": signing,
		},
	}, nil
}

func parseKeys(secret *corev1.Secret) (Keys, error) {
	pair, err := tls.X509KeyPair(secret.Data["ca.crt"], secret.Data["ca.key"])
	if err != nil {
		return Keys{}, errors.New("ca.crt and ca.key must be a PEM certificate and its key")
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || pair.Leaf == nil || !pair.Leaf.IsCA {
		return Keys{}, errors.New("ca.crt must be an ECDSA certificate authority")
	}
	signing := secret.Data["url-signing.key"]
	if len(signing) < signingKeyBytes {
		return Keys{}, fmt.Errorf("url-signing.key must have at least %d bytes", signingKeyBytes)
	}
	return Keys{CACert: secret.Data["ca.crt"], caKey: private, ca: pair.Leaf, URLSigningKey: signing}, nil
}

// ServerCertificate returns a certificate for the names, signed by the authority and valid for a year.
func (k Keys) ServerCertificate(names []string, now time.Time) (tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: names[0]},
		DNSNames:     names,
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.AddDate(certificateYears, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, k.ca, &private.PublicKey, k.caKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("signing a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
