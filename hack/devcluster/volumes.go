// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// volumeCount is the number of volumes that can be claimed.
const volumeCount = 3

// ensureVolumes makes the volumes of the default storage class. It empties a volume whose claim is gone and offers it again.
func (c *cluster) ensureVolumes(ctx context.Context) error {
	phases, err := c.kubectl(ctx, "", "get", "persistentvolumes", "-o",
		`jsonpath={range .items[*]}{.metadata.name}={.status.phase}{"\n"}{end}`)
	if err != nil {
		return err
	}
	var manifests strings.Builder
	for i := 1; i <= volumeCount; i++ {
		name := fmt.Sprintf("volume-%d", i)
		dir := c.path("volumes", strconv.Itoa(i))
		if strings.Contains(phases, name+"=Released\n") || strings.Contains(phases, name+"=Failed\n") {
			c.printf("recycling %s", name)
			if _, err := c.kubectl(ctx, "", "delete", "persistentvolume", name); err != nil {
				return err
			}
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o777); err != nil { // despite the umask
			return err
		}
		data, err := render("volume.yaml", map[string]string{"Name": name, "Path": dir})
		if err != nil {
			return err
		}
		fmt.Fprintf(&manifests, "---\n%s", data)
	}
	_, err = c.kubectl(ctx, manifests.String(), "apply", "-f", "-")
	return err
}
