// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/storage"
)

func TestFilesOfOneConnectionShareItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := New(Options{})
		bound := u.acquireLimit(types.NamespacedName{Name: "dropbox"})
		bound.set(128 << 10)
		data := bytes.Repeat([]byte{7}, 512<<10)
		open := bound.throttle(func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data[offset : offset+length])), nil
		}, &atomic.Pointer[storage.Error]{})
		began := time.Now()
		for range 2 {
			r, err := open(t.Context(), 0, int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
		if took := time.Since(began); took < 7*time.Second || took > 9*time.Second {
			t.Errorf("1 MiB at 128 KiB a second took %s", took)
		}
	})
}
