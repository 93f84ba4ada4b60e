// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package interop proves the Dropbox simulator with a client that others wrote: rclone copies a tree up, lists it and copies it
// down again. Its hosts are fixed, so it is led to the simulator by a proxy on the loopback interface.
package interop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
)

var hosts = []string{"api.dropboxapi.com", "content.dropboxapi.com", "www.dropbox.com", "notify.dropboxapi.com"}

// rclone returns a runner of the rclone of hack/tools/rclone, built once for each version of its module.
func rclone(t *testing.T, env []string) func(args ...string) string {
	t.Helper()
	module := filepath.Join("..", "..", "hack", "tools", "rclone")
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(sums)
	binary := filepath.Join(cache, "platen", "bin", "rclone-"+hex.EncodeToString(digest[:6]))
	if _, err := os.Stat(binary); err != nil {
		t.Log("building rclone; the first time takes some minutes")
		build := exec.CommandContext(t.Context(), "go", "build", "-C", module, "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building rclone: %v\n%s", err, out)
		}
	}
	return func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), binary, args...)
		command.Env = append(os.Environ(), env...)
		var stdout, stderr bytes.Buffer
		command.Stdout, command.Stderr = &stdout, &stderr
		if err := command.Run(); err != nil {
			t.Fatalf("rclone %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
		}
		return stdout.String()
	}
}

// serve plays Dropbox's hosts over HTTPS behind a proxy, and returns the environment that leads rclone there.
func serve(t *testing.T, sim *dropboxsim.Server) (env []string, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dropboxsim"}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(sim)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)

	target := server.Listener.Addr().String()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tunnel(w, r, target) }))
	t.Cleanup(proxy.Close)

	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"HTTPS_PROXY=" + proxy.URL, "NO_PROXY="}, caFile
}

// tunnel answers CONNECT for Dropbox's hosts, and for no other, with the simulator.
func tunnel(w http.ResponseWriter, r *http.Request, target string) {
	host, _, _ := net.SplitHostPort(r.Host)
	if r.Method != http.MethodConnect || !slices.Contains(hosts, host) {
		http.Error(w, "only Dropbox is here", http.StatusForbidden)
		return
	}
	backend, err := net.Dial("tcp", target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer backend.Close()
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(backend, client); _ = backend.Close() })
	both.Go(func() { _, _ = io.Copy(client, backend); _ = client.Close() })
	both.Wait()
}

func TestRcloneCopiesATreeUpAndDown(t *testing.T) {
	for _, mode := range []string{"sync", "off"} {
		t.Run("batch mode "+mode, func(t *testing.T) {
			sim := dropboxsim.New()
			sim.AddAccount(dropboxsim.Account{AppKey: "app", RefreshToken: "refresh", Email: "ada@example.com", DisplayName: "Ada"})
			env, ca := serve(t, sim)
			env = append(env,
				"RCLONE_CONFIG="+filepath.Join(t.TempDir(), "rclone.conf"),
				"RCLONE_CONFIG_BOX_TYPE=dropbox", "RCLONE_CONFIG_BOX_CLIENT_ID=app", "RCLONE_CONFIG_BOX_CLIENT_SECRET=secret",
				// Expired, so that rclone has to refresh it.
				`RCLONE_CONFIG_BOX_TOKEN={"access_token":"old","token_type":"bearer","refresh_token":"refresh","expiry":"2020-01-01T00:00:00Z"}`,
				"RCLONE_CA_CERT="+ca, "RCLONE_DROPBOX_BATCH_MODE="+mode, "RCLONE_DROPBOX_CHUNK_SIZE=1Mi", "RCLONE_RETRIES=1", "RCLONE_LOW_LEVEL_RETRIES=1",
			)
			run := rclone(t, env)

			up, down := t.TempDir(), t.TempDir()
			tree := map[string][]byte{
				"empty.txt":              {},
				"one byte.bin":           {1},
				"folder/deep/chunks.bin": random(t, 3<<20+17),
				"folder/block.bin":       random(t, 4<<20+1),
				"folder/UPPER and lower": []byte("case is kept"),
			}
			if mode == "sync" {
				// Without batches a path travels in a header, which the SDK that rclone is built on (v6.6.3) sends unescaped: Dropbox
				// and the simulator refuse it.
				tree["folder/Grüße 🎉.txt"] = []byte("hello")
				tree["folder/deep/日本語.txt"] = []byte("こんにちは")
			}
			for name, data := range tree {
				path := filepath.Join(up, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			run("copy", up, "box:tree")
			run("check", up, "box:tree")
			listed := strings.Fields(strings.ReplaceAll(run("lsf", "-R", "--files-only", "box:tree"), " ", "_"))
			if len(listed) != len(tree) {
				t.Errorf("rclone lists %q", listed)
			}
			run("copy", "box:tree", down)
			got := read(t, down)
			for name, data := range tree {
				if !bytes.Equal(got[name], data) {
					t.Errorf("%s came back changed", name)
				}
			}
			if len(got) != len(tree) {
				t.Errorf("got %d files back, want %d", len(got), len(tree))
			}
			refreshes := 0
			for _, e := range sim.Log() {
				if e.Status >= http.StatusInternalServerError || e.Status == http.StatusBadRequest {
					t.Errorf("%s was answered with %d: %s", e.Route, e.Status, e.Arg)
				}
				if e.Route == "/oauth2/token" {
					refreshes++
				}
			}
			if refreshes == 0 {
				t.Error("rclone never refreshed its token")
			}
		})
	}
}

func random(t *testing.T, size int) []byte {
	t.Helper()
	data := make([]byte, size)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	return data
}

func read(t *testing.T, root string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
