// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package tlsfiles

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// issue writes a self-signed certificate with a serial number to a folder, as tls.crt, tls.key and ca.crt.
func issue(t *testing.T, folder string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{
		"tls.crt": cert, "ca.crt": cert, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// mount makes another folder the one at path, with one rename, as the kubelet does.
func mount(t *testing.T, path, folder string) {
	t.Helper()
	if err := os.Symlink(folder, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestNewCertificatesAreTakenWithoutARestart(t *testing.T) {
	path, first, second := filepath.Join(t.TempDir(), "tls"), t.TempDir(), t.TempDir()
	issue(t, first, 1)
	issue(t, second, 2)
	mount(t, path, first)
	config, watcher, err := Server(path)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: config, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "files")
	})}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = server.ServeTLS(listener, "", "") })
	running.Go(func() { _ = watcher.WithWatchInterval(20 * time.Millisecond).Start(ctx) })
	t.Cleanup(func() { cancel(); _ = server.Close(); running.Wait() })

	transport := Transport(filepath.Join(path, "ca.crt"))
	t.Cleanup(transport.CloseIdleConnections)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	serial := func() (int64, error) {
		transport.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost:"+port, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), err
	}
	if got, err := serial(); err != nil || got != 1 {
		t.Fatalf("certificate %d, %v", got, err)
	}
	mount(t, path, second)
	deadline := time.Now().Add(10 * time.Second)
	for got := int64(0); got != 2; {
		// Until the server has the new certificate, its old one is no longer trusted.
		if got, err = serial(); time.Now().After(deadline) {
			t.Fatalf("still certificate %d, %v", got, err)
		}
	}
}

func TestMissingFilesAreNamed(t *testing.T) {
	folder := t.TempDir()
	if _, _, err := Server(folder); err == nil || !strings.Contains(err.Error(), "tls.crt") {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(folder, "ca.crt")
	if _, err := authorities(file); err == nil {
		t.Error("a file that is missing is no error")
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := authorities(file); err == nil || !strings.Contains(err.Error(), "PEM") {
		t.Errorf("got %v", err)
	}
}
