// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitsApplyToEachCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(Limits{Rate: 10, Burst: 3, Concurrency: 2})
		refused := func(who string) *tooManyError {
			t.Helper()
			_, done, err := l.admit(who)
			if err == nil {
				done()
				return nil
			}
			many := (*tooManyError)(nil)
			if !errors.As(err, &many) {
				t.Fatal(err)
			}
			return many
		}
		_, first, err := l.admit("ann")
		if err != nil {
			t.Fatal(err)
		}
		_, second, err := l.admit("ann")
		if err != nil {
			t.Fatal(err)
		}
		if refused("ann") == nil {
			t.Error("a third open request was admitted")
		}
		if refused("bob") != nil {
			t.Error("another caller was refused")
		}
		first()
		second()
		if refused("ann") != nil {
			t.Error("the third request of the burst was refused")
		}
		many := refused("ann")
		if many == nil {
			t.Fatal("a fourth request at once was admitted")
		}
		h := http.Header{}
		retryAfter(h, many.after)
		if h.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", h.Get("Retry-After"))
		}
		<-time.After(many.after)
		if refused("ann") != nil {
			t.Error("a request after Retry-After was refused")
		}
	})
}

func TestBodiesAreReserved(t *testing.T) {
	l := newLimiter(Limits{Rate: 1000, Burst: 1000, Concurrency: 1000})
	ann, _, err := l.admit("ann")
	if err != nil {
		t.Fatal(err)
	}
	for range bodiesPerCaller / maxBody {
		if _, err := l.reserve(t.Context(), ann, maxBody); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.reserve(ctx, ann, 1); err == nil {
		t.Error("a caller reserved more than its share")
	}
	bob, _, err := l.admit("bob")
	if err != nil {
		t.Fatal(err)
	}
	done, err := l.reserve(t.Context(), bob, maxBody)
	if err != nil {
		t.Fatal(err)
	}
	done()
}

func TestIdleCallersAreEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(Limits{Rate: 1, Burst: 1, Concurrency: 1})
		for i := range 10 * maxIdleCallers {
			_, done, err := l.admit(string(rune(i)))
			if err != nil {
				t.Fatal(err)
			}
			done()
			<-time.After(2 * time.Second)
		}
		if len(l.usages) > maxIdleCallers {
			t.Errorf("%d callers are kept", len(l.usages))
		}
	})
}
