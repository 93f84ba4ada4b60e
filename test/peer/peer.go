// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package peer connects rclone with the Dropbox simulator, for tests of the simulator and benchmarks against rclone: it builds rclone and
// serves Dropbox's hosts.
package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/platen-dev/platen/test/program"
)

// hostNames are Dropbox's hosts.
var hostNames = []string{"api.dropboxapi.com", "content.dropboxapi.com", "www.dropbox.com", "notify.dropboxapi.com"}

// Rclone returns the path of the binary of hack/tools/rclone. It builds each version of the module once. root is the repository.
func Rclone(ctx context.Context, root string) (string, error) {
	return program.Build(ctx, root, "rclone", ".")
}

// Hosts serves Dropbox's hosts over HTTPS behind a proxy on the loopback interface.
type Hosts struct {
	// Proxy is the URL of the proxy.
	Proxy string
	// CA is the certificate authority of the hosts, in PEM.
	CA []byte

	server, proxy *httptest.Server
}

// NewHosts starts the hosts with one handler for all. Close stops them.
func NewHosts(handler http.Handler) (*Hosts, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dropboxsim"}, DNSNames: hostNames,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	h := &Hosts{CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), server: httptest.NewUnstartedServer(handler)}
	h.server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	h.server.StartTLS()
	target := h.server.Listener.Addr().String()
	h.proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tunnel(w, r, target) }))
	h.Proxy = h.proxy.URL
	return h, nil
}

// Close stops the hosts.
func (h *Hosts) Close() {
	h.proxy.Close()
	h.server.Close()
}

// tunnel answers CONNECT with a connection to target, for Dropbox's hosts only.
func tunnel(w http.ResponseWriter, r *http.Request, target string) {
	host, _, _ := net.SplitHostPort(r.Host)
	if r.Method != http.MethodConnect || !slices.Contains(hostNames, host) {
		http.Error(w, "this proxy connects to Dropbox only", http.StatusForbidden)
		return
	}
	backend, err := net.Dial("tcp", target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = backend.Close() }()
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = client.Close() }()
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(backend, client); _ = backend.Close() })
	both.Go(func() { _, _ = io.Copy(client, backend); _ = client.Close() })
	both.Wait()
}
