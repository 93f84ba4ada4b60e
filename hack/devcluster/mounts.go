// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

type mount struct {
	point  string
	fsType string
}

func readMounts() ([]mount, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(data)), nil
}

// parseMounts reads the lines of /proc/PID/mountinfo, the oldest mount first.
func parseMounts(mountinfo string) []mount {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var mounts []mount
	for line := range strings.Lines(mountinfo) {
		own, source, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(own), strings.Fields(source)
		if !ok || len(fields) < 5 || len(kind) == 0 {
			continue
		}
		mounts = append(mounts, mount{point: unescape.Replace(fields[4]), fsType: kind[0]})
	}
	return mounts
}

// below returns the mount points under the folders, the newest first.
func below(mounts []mount, folders ...string) []string {
	var points []string
	for _, m := range slices.Backward(mounts) {
		for _, folder := range folders {
			if strings.HasPrefix(m.point, folder+"/") {
				points = append(points, m.point)
				break
			}
		}
	}
	return points
}

// unmountBelow unmounts everything under the folders and fails if a mount is left: the caller removes the folders, and a mount would
// lead it to other files.
func unmountBelow(folders ...string) error {
	for range 3 { // a mount may hide others
		mounts, err := readMounts()
		if err != nil {
			return err
		}
		points := below(mounts, folders...)
		if len(points) == 0 {
			return nil
		}
		for _, point := range points {
			_ = syscall.Unmount(point, syscall.MNT_DETACH)
		}
	}
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	if left := below(mounts, folders...); len(left) > 0 {
		return fmt.Errorf("cannot unmount %s", strings.Join(left, ", "))
	}
	return nil
}
