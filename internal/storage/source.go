// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
)

// Source reads a file that is sent to a service. It keeps the error of the file apart from errors of the service. A file that ends too
// early is an error.
type Source struct {
	r io.Reader

	mu   sync.Mutex // a transport may still read after its call has returned
	left int64
	err  error
}

// NewSource returns a Source for a file of size bytes.
func NewSource(r io.Reader, size int64) *Source { return &Source{r: r, left: size} }

// Read implements io.Reader.
func (s *Source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left -= int64(n)
	if errors.Is(err, io.EOF) && s.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Err returns an *Error if the file could not be read, else nil.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	return Unreadable(s.err)
}

// Unreadable returns the *Error of a file that could not be read.
func Unreadable(err error) error {
	return &Error{Class: Retry, Reason: ReasonContentUnreadable, Message: "The rendered file could not be read", Err: err}
}

// RenamedPath returns the n-th path to try for a file, from 0: "name.ext", "name (1).ext" and so on, as Dropbox numbers them.
func RenamedPath(wanted string, n int) string {
	if n == 0 {
		return wanted
	}
	ext := path.Ext(wanted)
	return fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(wanted, ext), n, ext)
}
