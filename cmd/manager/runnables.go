// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/tls"
	"sync"
	"time"

	"github.com/platen-dev/platen/internal/credentials"
)

// renewAfter is half of the lifetime of a dispatch certificate.
const renewAfter = 182 * 24 * time.Hour

// certificates issues a server's certificate and renews it.
type certificates struct {
	keys  *credentials.KeyRing
	names []string

	mu      sync.Mutex
	current *tls.Certificate
	issued  time.Time
	// authority is the certificate of the newest authority at that time.
	authority []byte
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, keys := time.Now(), c.keys.Keys()
	if c.current == nil || now.Sub(c.issued) > renewAfter || !bytes.Equal(c.authority, keys.CACert) {
		certificate, err := keys.ServerCertificate(c.names, now)
		if err != nil {
			return nil, err
		}
		c.current, c.issued, c.authority = &certificate, now, keys.CACert
	}
	return c.current, nil
}
