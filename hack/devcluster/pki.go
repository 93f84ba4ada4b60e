// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certLifetime is the lifetime of all certificates. A development cluster does not get that old.
const certLifetime = 5 * 365 * 24 * time.Hour

// certificate describes the certificate that a part of the cluster shows to the others.
type certificate struct {
	name         string // of the files NAME.crt and NAME.key
	commonName   string
	organization string
	hosts        []string // names and addresses; makes it a server's certificate
}

var certificates = []certificate{
	{name: "apiserver", commonName: "kube-apiserver", hosts: []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		"localhost", "127.0.0.1", apiIP, nodeIP,
	}},
	{name: "kubelet-server", commonName: nodeName, hosts: []string{nodeName, nodeIP}},
	{name: "admin", commonName: "kubernetes-admin", organization: "system:masters"},
	{name: "apiserver-kubelet-client", commonName: "kube-apiserver-kubelet-client", organization: "system:masters"},
	{name: "kubelet", commonName: "system:node:" + nodeName, organization: "system:nodes"},
	{name: "kube-controller-manager", commonName: "system:kube-controller-manager"},
	{name: "kube-scheduler", commonName: "system:kube-scheduler"},
	{name: "kube-proxy", commonName: "system:kube-proxy"},
	{name: "coredns", commonName: "system:coredns"},
}

// ensurePKI makes the cluster's certificates and keys, all or none of them.
func (c *cluster) ensurePKI() error {
	target := c.path("pki")
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	temp, err := os.MkdirTemp(c.state, ".pki-") // mode 0700
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if err := writePKI(temp); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	return os.Rename(temp, target)
}

func writePKI(dir string) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "platen-dev-ca"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if err := writePair(dir, "ca", ca, ca, caKey, caKey); err != nil {
		return err
	}
	for _, cert := range certificates {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		if err := writePair(dir, cert.name, cert.template(), ca, key, caKey); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(dir, "service-account.pub"), "PUBLIC KEY", public),
		writeKey(filepath.Join(dir, "service-account.key"), key),
	)
}

func (cert certificate) template() *x509.Certificate {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: cert.commonName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if cert.organization != "" {
		t.Subject.Organization = []string{cert.organization}
	}
	if len(cert.hosts) > 0 {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, host := range cert.hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t
}

// writePair signs a certificate and writes it beside its key.
func writePair(dir, name string, cert, ca *x509.Certificate, key, caKey *ecdsa.PrivateKey) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	cert.SerialNumber = serial
	cert.NotBefore = time.Now().Add(-time.Hour)
	cert.NotAfter = time.Now().Add(certLifetime)
	der, err := x509.CreateCertificate(rand.Reader, cert, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", der),
		writeKey(filepath.Join(dir, name+".key"), key),
	)
}

func writeKey(name string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(name, "PRIVATE KEY", der)
}

func writePEM(name, kind string, der []byte) error {
	return os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
