// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/platen-dev/platen/test/fleet"
)

// managers lead side by side, each one shard of the namespaces.
type managers []*fleet.Manager

// each calls f for all, and returns all errors.
func (all managers) each(f func(*fleet.Manager) error) error {
	errs := make([]error, 0, len(all))
	for _, m := range all {
		errs = append(errs, f(m))
	}
	return errors.Join(errs...)
}

// Start starts the processes.
func (all managers) Start() error { return all.each((*fleet.Manager).Start) }

// Stop ends the processes.
func (all managers) Stop(signal syscall.Signal) error {
	return all.each(func(m *fleet.Manager) error { return m.Stop(signal) })
}

// Running returns an error if a process has ended by itself.
func (all managers) Running() error { return all.each((*fleet.Manager).Running) }

// Leads returns once each leads its shard.
func (all managers) Leads(ctx context.Context) error {
	return all.each(func(m *fleet.Manager) error { return m.Leads(ctx) })
}

// CPU returns the CPU time that all have used.
func (all managers) CPU() (sum time.Duration, err error) {
	err = all.each(func(m *fleet.Manager) error {
		used, err := m.CPU()
		sum += used
		return err
	})
	return sum, err
}

// Memory returns the memory of the largest.
func (all managers) Memory() (most fleet.Memory, err error) {
	err = all.each(func(m *fleet.Manager) error {
		memory, err := m.Memory()
		if memory.Resident > most.Resident {
			most = memory
		}
		return err
	})
	return most, err
}

// Save writes one of the profiles of each to a file, whose name has the manager's number if there are several.
func (all managers) Save(ctx context.Context, profile, path string) error {
	for i, m := range all {
		target := path
		if len(all) > 1 {
			target = fmt.Sprintf("%s-%d.pprof", strings.TrimSuffix(path, ".pprof"), i)
		}
		if err := m.Save(ctx, profile, target); err != nil {
			return err
		}
	}
	return nil
}
