// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command rclone is rclone with only what the tests need of it: the Dropbox and local backends and the commands that copy, list
// and compare.
package main

import (
	_ "github.com/rclone/rclone/backend/dropbox" // a client of Dropbox that others wrote
	_ "github.com/rclone/rclone/backend/local"
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/check"
	_ "github.com/rclone/rclone/cmd/copy"
	_ "github.com/rclone/rclone/cmd/lsf"
	_ "github.com/rclone/rclone/cmd/serve/s3"
)

func main() { cmd.Main() }
