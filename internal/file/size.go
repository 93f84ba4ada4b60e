// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package file

import "fmt"

var units = []string{"B", "KiB", "MiB", "GiB", "TiB"}

// Size returns a number of bytes in a readable unit, such as 1.9 MiB.
func Size(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= step && unit < len(units)-1 {
		value, unit = value/step, unit+1
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
