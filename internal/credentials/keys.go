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
	"fmt"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	authorityYears   = 10
	certificateYears = 1
	signingKeyBytes  = 32
	// clockSkew is how far clocks may differ.
	clockSkew = time.Hour
	// maxKeyAttempts bounds the attempts to write keys that several managers make at the same time.
	maxKeyAttempts = 5
)

// fields of the Secret with the manager's keys. A field that begins with previousPrefix has the key that the one of the same name replaced.
const (
	caCertField     = "ca.crt"
	caKeyField      = "ca.key"
	urlSigningField = "url-signing.key"
	podSigningField = "pod-signing.key"
	previousPrefix  = "previous."
)

// Keys are the manager's own. The newest ones sign. What the previous ones signed is valid while the Secret has them.
type Keys struct {
	// CACert is the certificate of the authority that signs the dispatch server's certificate. It is public, in PEM.
	CACert []byte
	// URLSigning are the keys that sign content URLs, and PodSigning those that sign render pods and their plans: the newest and perhaps the previous one,
	// of 32 bytes at least.
	URLSigning, PodSigning [][]byte

	ca, previousCA *authority
}

// authority is a certificate authority and its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// String implements fmt.Stringer.
func (Keys) String() string { return "[redacted]" }

// EnsureKeys reads the manager's keys from a Secret, and makes those that it does not have; also the Secret, if it does not exist. Managers
// that start together get the same keys. A Secret that cannot be used is an error and is not changed. c must not read from a cache.
func EnsureKeys(ctx context.Context, c client.Client, namespace, name string, now time.Time) (Keys, error) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	// Another manager may make the keys at the same time: read what it has made.
	for attempt := 1; ; attempt++ {
		secret := &corev1.Secret{}
		err := c.Get(ctx, key, secret)
		missing := apierrors.IsNotFound(err)
		if err != nil && !missing {
			return Keys{}, fmt.Errorf("the manager's keys in Secret %s: %w", key, err)
		}
		made, err := addKeys(secret, now)
		if err != nil {
			return Keys{}, err
		}
		keys, err := parseKeys(secret.Data)
		if err != nil {
			return Keys{}, fmt.Errorf("the manager's keys in Secret %s cannot be used (delete it to have new ones made): %w", key, err)
		}
		switch {
		case missing:
			secret.Namespace, secret.Name = namespace, name
			err = c.Create(ctx, secret)
		case made:
			err = c.Update(ctx, secret)
		}
		if err == nil {
			return keys, nil
		}
		if attempt == maxKeyAttempts || !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) {
			return Keys{}, fmt.Errorf("writing the manager's keys to Secret %s: %w", key, err)
		}
	}
}

// addKeys makes the keys that a Secret does not have, and returns whether there were any.
func addKeys(secret *corev1.Secret, now time.Time) (made bool, err error) {
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	if len(secret.Data[caCertField]) == 0 && len(secret.Data[caKeyField]) == 0 {
		if secret.Data[caCertField], secret.Data[caKeyField], err = newAuthority(now); err != nil {
			return false, err
		}
		made = true
	}
	for _, field := range []string{urlSigningField, podSigningField} {
		if len(secret.Data[field]) == 0 {
			signing := make([]byte, signingKeyBytes)
			_, _ = rand.Read(signing) // never fails, see crypto/rand
			secret.Data[field] = signing
			made = true
		}
	}
	return made, nil
}

// newAuthority makes a certificate authority, in PEM.
func newAuthority(now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
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
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a key: %w", err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

func parseKeys(data map[string][]byte) (keys Keys, err error) {
	keys.CACert = data[caCertField]
	if keys.ca, err = parseAuthority(data, ""); err != nil {
		return Keys{}, err
	}
	if len(data[previousPrefix+caCertField]) > 0 {
		if keys.previousCA, err = parseAuthority(data, previousPrefix); err != nil {
			return Keys{}, err
		}
	}
	for field, signing := range map[string]*[][]byte{urlSigningField: &keys.URLSigning, podSigningField: &keys.PodSigning} {
		for _, name := range []string{field, previousPrefix + field} {
			key := data[name]
			if len(key) < signingKeyBytes && (name == field || len(key) > 0) {
				return Keys{}, fmt.Errorf("%s must have at least %d bytes", name, signingKeyBytes)
			}
			if len(key) > 0 {
				*signing = append(*signing, key)
			}
		}
	}
	return keys, nil
}

func parseAuthority(data map[string][]byte, prefix string) (*authority, error) {
	pair, err := tls.X509KeyPair(data[prefix+caCertField], data[prefix+caKeyField])
	if err != nil {
		return nil, fmt.Errorf("%s and %s must be a PEM certificate and its key", prefix+caCertField, prefix+caKeyField)
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || pair.Leaf == nil || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s must be an ECDSA certificate authority", prefix+caCertField)
	}
	return &authority{cert: pair.Leaf, key: private}, nil
}

// ServerCertificate returns a certificate for the names, valid for a year. Clients that trust the newest authority or the previous one
// accept it.
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
	der, err := x509.CreateCertificate(rand.Reader, template, k.ca.cert, &private.PublicKey, k.ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("signing a certificate: %w", err)
	}
	chain := [][]byte{der}
	if k.previousCA != nil {
		// The previous authority vouches for the newest one.
		cross := &x509.Certificate{
			SerialNumber: template.SerialNumber, Subject: k.ca.cert.Subject, SubjectKeyId: k.ca.cert.SubjectKeyId,
			NotBefore: template.NotBefore, NotAfter: template.NotAfter,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, cross, k.previousCA.cert, &k.ca.key.PublicKey, k.previousCA.key)
		if err != nil {
			return tls.Certificate{}, fmt.Errorf("signing the authority's certificate: %w", err)
		}
		chain = append(chain, der)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: private}, nil
}
