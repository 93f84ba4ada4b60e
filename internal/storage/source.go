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

// Source reads a file that is sent to a service, and tells trouble with the file from trouble with the service. A file that ends too
// early is trouble.
type Source struct {
	r io.Reader

	mu   sync.Mutex // a transport may still read when its call is over
	left int64
	err  error
}

// NewSource returns a Source of size bytes.
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

// Trouble is an *Error when the file could not be read, and nil when it could.
func (s *Source) Trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	return Unreadable(s.err)
}

// Unreadable is the *Error of a file that could not be read.
func Unreadable(err error) error {
	return &Error{Class: Retry, Reason: ReasonContentUnreadable, Message: "The rendered file could not be read", Err: err}
}

// Renamed is the name of the n-th file, from 0, that should have one name: "name.ext", "name (1).ext" and so on, as Dropbox has it.
func Renamed(name string, n int) string {
	if n == 0 {
		return name
	}
	ext := path.Ext(name)
	return fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(name, ext), n, ext)
}
