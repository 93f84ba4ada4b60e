// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tlsfiles takes certificates and authorities from files that change while the program runs, as the kubelet keeps those of Secrets.
package tlsfiles

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 90 * time.Second
)

// Server returns the configuration of a TLS server with the certificate in tls.crt and its key in tls.key of a folder, the names in a Secret
// of type kubernetes.io/tls. The caller runs watcher, which reads the files again when they change.
func Server(folder string) (config *tls.Config, watcher *certwatcher.CertWatcher, err error) {
	watcher, err = certwatcher.New(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the certificate tls.crt and its key tls.key in %s: %w", folder, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: watcher.GetCertificate}, watcher, nil
}

// Transport returns a transport that accepts the certificates of the authorities in a PEM file and of those that the machine trusts. It reads
// the file for each new connection.
func Transport(file string) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, IdleConnTimeout: idleTimeout,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			roots, err := authorities(file)
			if err != nil {
				return nil, err
			}
			ctx, cancel := context.WithTimeout(ctx, dialTimeout+handshakeTimeout)
			defer cancel()
			secure := &tls.Dialer{NetDialer: dialer, Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}
			return secure.DialContext(ctx, network, address)
		},
	}
}

func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file) //nolint:gosec // the operator's choice
	if err != nil {
		return nil, fmt.Errorf("reading certificate authorities: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate authority in PEM", file)
	}
	return roots, nil
}
