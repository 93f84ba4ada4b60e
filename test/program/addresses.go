// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"context"
	"fmt"
	"net"
)

// FreeAddresses returns n loopback addresses on which nothing listens, each with a port of its own, for a program that is told where to listen.
func FreeAddresses(ctx context.Context, n int) ([]string, error) {
	addresses := make([]string, 0, n)
	for range n {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free address: %w", err)
		}
		defer func() { _ = listener.Close() }() // with the others: one that is closed may be found again
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
