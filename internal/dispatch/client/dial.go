// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// lookupTimeout bounds the look-up of the server's name. Cluster DNS may be slow where connections are not.
	lookupTimeout = 5 * time.Second
	// connectTimeout bounds a TCP connection to one address. The address of a manager whose pod has gone does not answer until the cluster's network knows
	// of the next manager, so a pod asks again soon. The kernel accepts connections, so a busy manager needs no more.
	connectTimeout = time.Second
	// handshakeTimeout bounds a TLS handshake: all pods come at once to a manager that has just started.
	handshakeTimeout = 5 * time.Second
)

// dialTLS connects with a host and a port. The server must have a certificate for the host.
func dialTLS(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the address of the dispatch server: %w", err)
	}
	conn, err := connect(ctx, host, port)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	config.ServerName = host
	secure := tls.Client(conn, config)
	handshake, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(handshake); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return smallRecords{secure}, nil
}

// connect looks a host up, and connects with it.
func connect(ctx context.Context, host, port string) (net.Conn, error) {
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(lookup, host)
	if err != nil {
		return nil, fmt.Errorf("looking up the dispatch server: %w", err)
	}
	return connectTo(ctx, ips, port)
}

// connectTo connects with the first of the addresses that answers.
func connectTo(ctx context.Context, ips []string, port string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 10 * time.Second}
	failures := make([]error, 0, len(ips))
	for _, ip := range ips {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(ip, port))
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}
