// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/iotest"
)

// received is a connection of which everything has come.
type received struct {
	net.Conn
	io.Reader
}

// Read implements io.Reader.
func (r received) Read(b []byte) (int, error) { return r.Reader.Read(b) }

func TestARecordIsReadAtATime(t *testing.T) {
	record := func(length int) []byte {
		return append([]byte{23, 3, 3, byte(length >> 8), byte(length)}, bytes.Repeat([]byte{1}, length)...)
	}
	stream := slices.Concat(record(3), record(0), record(2000), record(16640))
	tests := map[string]struct {
		reader io.Reader
		want   []int
	}{
		"all at once":      {bytes.NewReader(stream), []int{5, 3, 5, 5, 2000, 5, 16640}},
		"half of each":     {iotest.HalfReader(bytes.NewReader(stream[:13])), []int{3, 1, 1, 2, 1, 3, 1, 1}},
		"a byte at a time": {iotest.OneByteReader(bytes.NewReader(stream[:13])), slices.Repeat([]int{1}, 13)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			reader, buffer := &recordReader{Conn: received{Reader: test.reader}}, make([]byte, 1<<20)
			var got []int
			for {
				n, err := reader.Read(buffer)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, n)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("read %v bytes, want %v", got, test.want)
			}
		})
	}
}
