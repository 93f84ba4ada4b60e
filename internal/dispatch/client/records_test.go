// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"encoding/binary"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// tap is a listener that keeps what its connections receive.
type tap struct {
	net.Listener
	mu       sync.Mutex
	received []*bytes.Buffer
}

type tapped struct {
	net.Conn
	tap      *tap
	received *bytes.Buffer
}

func (t *tap) Accept() (net.Conn, error) {
	conn, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &tapped{conn, t, &bytes.Buffer{}}
	t.received = append(t.received, c.received)
	return c, nil
}

func (c *tapped) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	c.received.Write(data[:n])
	return n, err
}

func TestPodsSendSmallRecords(t *testing.T) {
	file := bytes.Repeat([]byte("a picture"), 50_000)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, file) {
			t.Errorf("received %d bytes, %v", len(got), err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	connections := &tap{Listener: s.Listener}
	s.Listener = connections
	s.StartTLS()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	pod, err := New(Options{
		URL: s.URL, CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), TokenFile: token, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := pod.send(t.Context(), http.MethodPut, "/v1/tasks/1/pages/1", nil, file)
	if err != nil {
		t.Fatal(err)
	}
	drain(resp)
	pod.http.CloseIdleConnections()
	s.Close()
	total := 0
	for _, received := range connections.received {
		for received.Len() > 0 { // RFC 8446, section 5.1: type, version, length
			length := int(binary.BigEndian.Uint16(received.Next(5)[3:]))
			if overhead := 256; length > maxRecord+overhead {
				t.Fatalf("a record of %d bytes, want at most %d", length, maxRecord+overhead)
			}
			total += len(received.Next(length))
		}
	}
	if total < len(file) {
		t.Errorf("%d bytes in records, want those of a file of %d", total, len(file))
	}
}
