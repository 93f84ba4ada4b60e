// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command licenses prints the licenses of the modules that a program such as ./cmd/manager is built from. It fails if one may not be shipped.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/platen-dev/platen/hack/licenses/notices"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: go run ./hack/licenses ./cmd/PROGRAM")
	}
	modules, err := notices.Of(ctx, ".", args[0], "")
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(notices.Text(modules))
	return err
}
