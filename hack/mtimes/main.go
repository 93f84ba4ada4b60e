// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command mtimes gives each file of a clean checkout a time of modification that depends on nothing but its content. Go keeps the result of a test until
// the test, or the size or the time of a file that the test opens, changes. Git gives every file of a new checkout the time of the checkout, so
// that Go would run tests again of which nothing has changed.
//
// Its caller must know that the checkout is clean: Make, which compares times, would take a changed file for an old one.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mtimes:", err)
		os.Exit(1)
	}
}

func run() error {
	status, err := exec.Command("git", "status", "--porcelain").Output()
	if err != nil {
		return fmt.Errorf("git status: %w", err)
	}
	if len(status) > 0 {
		return errors.New("the checkout is not clean")
	}
	listed, err := exec.Command("git", "ls-files", "--stage", "-z").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	folders := map[string]bool{".": true}
	for file := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		// The line is "MODE HASH STAGE\tPATH".
		about, path, found := strings.Cut(file, "\t")
		fields := strings.Fields(about)
		if !found || len(fields) != 3 {
			return fmt.Errorf("git ls-files printed %q", file)
		}
		const symlink = "120000"
		if fields[0] == symlink {
			continue
		}
		modified, err := at(fields[1])
		if err != nil {
			return err
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			return err
		}
		for folder := filepath.Dir(path); folder != "."; folder = filepath.Dir(folder) {
			folders[folder] = true
		}
	}
	for folder := range folders {
		if err := os.Chtimes(folder, time.Unix(0, 0), time.Unix(0, 0)); err != nil {
			return err
		}
	}
	return nil
}

// at returns the time that stands for a hash: its first 15 digits are nanoseconds, so that two contents have the same time once in 2^60.
func at(hash string) (time.Time, error) {
	const digits = 15
	if len(hash) < digits {
		return time.Time{}, fmt.Errorf("%q is no hash", hash)
	}
	nanoseconds, err := strconv.ParseInt(hash[:digits], 16, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, nanoseconds), nil
}
