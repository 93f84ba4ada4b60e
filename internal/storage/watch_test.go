// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		outer, _, cancelOuter := Watch(t.Context(), 10*time.Second)
		defer cancelOuter()
		inner, call, cancelInner := Watch(outer, 5*time.Second)
		defer cancelInner()
		for range 20 {
			time.Sleep(4 * time.Second)
			Progress(inner)
		}
		if outer.Err() != nil || inner.Err() != nil || time.Since(call.LastProgress()) != 0 {
			t.Errorf("a call that makes progress has ended: %v, %v", outer.Err(), inner.Err())
		}
		<-inner.Done()
		if took := time.Since(began); took != 85*time.Second || !errors.Is(context.Cause(inner), errStalled) || outer.Err() != nil {
			t.Errorf("the inner call ended after %s: %v; the outer: %v", took, context.Cause(inner), outer.Err())
		}
		Progress(inner) // too late
		<-outer.Done()
		if took := time.Since(began); took != 90*time.Second {
			t.Errorf("the outer call ended after %s", took)
		}
		Progress(t.Context()) // nobody watches it
	})
}
