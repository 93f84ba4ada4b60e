// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cage keeps a browser from the secrets of the process that starts it, although both have the same user: Landlock
// (https://docs.kernel.org/userspace-api/landlock.html) hides a folder from it and from all that it starts, and keeps it from reading the
// memory, the environment and the open files of processes outside.
package cage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// browserVariable and hiddenVariable tell the launcher which program to run, and which folder to hide from it.
	browserVariable = "PLATEN_CAGE_BROWSER"
	hiddenVariable  = "PLATEN_CAGE_HIDES"
	// reading are the rights that the cage takes away.
	reading = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
)

// Launcher returns a program to start instead of the browser at path: this one, whose Enter runs the browser in a cage in which it cannot
// read the folder hidden. If the kernel has no Landlock, Launcher returns path and logs it.
func Launcher(path, hidden string, log *slog.Logger) (string, error) {
	if _, err := landlockVersion(); err != nil {
		log.Warn("the kernel has no Landlock: the browser can read the pod's token", "error", err)
		return path, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the program that starts the browser: %w", err)
	}
	return self, errors.Join(os.Setenv(browserVariable, path), os.Setenv(hiddenVariable, hidden))
}

// Enter runs the browser if this process is its launcher, and does not return then. Programs that use Launcher call it first.
func Enter() {
	path, hidden := os.Getenv(browserVariable), os.Getenv(hiddenVariable)
	if path == "" {
		return
	}
	fmt.Fprintln(os.Stderr, "starting the browser in its cage:", enter(path, hidden))
	os.Exit(1)
}

// enter returns only if it fails.
func enter(path, hidden string) error {
	// The cage belongs to the thread, and exec keeps this thread only.
	runtime.LockOSThread()
	if err := hide(hidden); err != nil {
		return err
	}
	environment := os.Environ()
	kept := environment[:0]
	for _, variable := range environment {
		if !strings.HasPrefix(variable, "PLATEN_") {
			kept = append(kept, variable)
		}
	}
	return syscall.Exec(path, append([]string{path}, os.Args[1:]...), kept) //nolint:gosec // the operator's browser
}

// Harden keeps processes of the same user outside of any cage from reading this process's memory, and its memory out of core dumps.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("making this process undumpable: %w", err)
	}
	return nil
}

func landlockVersion() (int, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, errno
	}
	return int(version), nil
}

// hide takes away from this thread, and what it starts, the right to read a folder.
func hide(folder string) error {
	hidden, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return err
	}
	handled := unix.LandlockRulesetAttr{Handled_access_fs: reading}
	// The first field is all that the first version of Landlock knows.
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&handled)), unsafe.Sizeof(handled.Handled_access_fs), 0) //nolint:gosec // the kernel reads the struct during the call
	if errno != 0 {
		return fmt.Errorf("making a Landlock ruleset: %w", errno)
	}
	ruleset := int(fd)
	defer func() { _ = unix.Close(ruleset) }()
	if err := allowBeside(ruleset, hidden); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(ruleset), 0, 0); errno != 0 {
		return fmt.Errorf("entering Landlock: %w", errno)
	}
	return nil
}

// allowBeside allows to read everything but a folder: Landlock has no rule that denies, so each folder on the way down to it gets a rule
// for each of its other entries.
func allowBeside(ruleset int, hidden string) error {
	parent := string(filepath.Separator)
	for name := range strings.SplitSeq(strings.Trim(hidden, parent), parent) {
		entries, err := os.ReadDir(parent)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.Name() == name || entry.Type()&os.ModeSymlink != 0 {
				continue
			}
			if err := allow(ruleset, filepath.Join(parent, entry.Name()), entry.IsDir()); err != nil {
				return err
			}
		}
		parent = filepath.Join(parent, name)
	}
	return nil
}

func allow(ruleset int, path string, folder bool) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) {
		return nil // it has gone, or this user cannot read it anyway
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	rule := unix.LandlockPathBeneathAttr{Allowed_access: unix.LANDLOCK_ACCESS_FS_READ_FILE, Parent_fd: int32(fd)} //nolint:gosec // descriptors are small
	if folder {
		rule.Allowed_access = reading
	}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0) //nolint:gosec // the kernel reads the struct during the call
	if errno != 0 {
		return fmt.Errorf("allowing to read %s: %w", path, errno)
	}
	return nil
}
