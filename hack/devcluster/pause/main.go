// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command pause holds a pod's namespaces open until a signal ends it.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	<-end
}
