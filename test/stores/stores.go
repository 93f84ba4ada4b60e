// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package stores starts servers of object stores that others wrote: fake-gcs-server for Google Cloud Storage, and Azurite for Azure Blob
// Storage. `make test-stores` runs the tests that need them.
package stores

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/platen-dev/platen/test/program"
	"github.com/platen-dev/platen/test/testenv"
)

// Account and AccountKey are what Azurite accepts; it publishes the key.
const (
	Account    = "devstoreaccount1"
	AccountKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// startTimeout bounds the start of a server, for machines with few cores, and callTimeout a request to it.
const startTimeout, callTimeout = 3 * time.Minute, 30 * time.Second

// need skips a test that `make test-stores` does not run, and returns the repository.
func need(t *testing.T) (root string) {
	t.Helper()
	if os.Getenv("PLATEN_TEST_STORES") == "" {
		t.Skip("make test-stores runs it")
	}
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// GCS is a server of Google Cloud Storage.
type GCS struct {
	// Address is a host and a port.
	Address string
}

// StartGCS starts fake-gcs-server, until the test ends.
func StartGCS(t *testing.T) GCS {
	t.Helper()
	binary, err := program.Build(t.Context(), need(t), "fake-gcs-server", "github.com/fsouza/fake-gcs-server")
	if err != nil {
		t.Fatal(err)
	}
	address, host, port := freeAddress(t)
	start(t, address, binary, "-backend=memory", "-scheme=http", "-host="+host, "-port="+port, "-external-url=http://"+address, "-public-host="+address, "-log-level=warn")
	return GCS{address}
}

// NewBucket creates a bucket.
func (s GCS) NewBucket(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	body := bytes.NewReader(fmt.Appendf(nil, `{"name":%q}`, name))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Address+"/storage/v1/b?project=test", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if said, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)); answer.StatusCode != http.StatusOK {
		t.Fatalf("creating bucket %s: HTTP %d: %s", name, answer.StatusCode, said)
	}
}

// Azure is a server of Azure Blob Storage with one account.
type Azure struct {
	// Endpoint is the URL of the account.
	Endpoint string
	// Address is a host and a port.
	Address string
}

// StartAzure starts Azurite, until the test ends.
func StartAzure(t *testing.T) Azure {
	t.Helper()
	script := filepath.Join(need(t), "test", "stores", "node_modules", "azurite", "dist", "src", "blob", "main.js")
	address, host, port := freeAddress(t)
	start(t, address, "node", script, "--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--blobHost", host, "--blobPort", port)
	return Azure{"http://" + address + "/" + Account, address}
}

// NewContainer creates a container, and returns a client of it.
func (s Azure) NewContainer(t *testing.T, name string) *container.Client {
	t.Helper()
	key, err := container.NewSharedKeyCredential(Account, AccountKey)
	if err != nil {
		t.Fatal(err)
	}
	client, err := container.NewClientWithSharedKeyCredential(s.Endpoint+"/"+name, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	if _, err := client.Create(ctx, nil); err != nil {
		t.Fatal(err)
	}
	return client
}

// freeAddress returns a loopback address on which nothing listens.
func freeAddress(t *testing.T) (address, host, port string) {
	t.Helper()
	free, err := program.FreeAddresses(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	address = free[0]
	host, port, err = net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return address, host, port
}

// start runs a server until the test ends, and returns once it listens.
func start(t *testing.T, address, name string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	server := exec.CommandContext(ctx, name, arguments...)
	server.Dir = t.TempDir()
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = server.Wait() // it was killed
		if t.Failed() {
			t.Logf("%s:\n%s", name, said.String())
		}
	})
	for deadline := time.Now().Add(startTimeout); ; {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = connection.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", name, err)
		}
	}
}
