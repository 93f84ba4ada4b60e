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

func TestOneCallerCannotTakeAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(Limits{Rate: 10, Burst: 3, Concurrency: 2})
		refused := func(who string) *tooManyError {
			t.Helper()
			_, closed, err := l.admit(who)
			if err == nil {
				closed()
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
			t.Error("a third request was open")
		}
		if refused("bob") != nil {
			t.Error("another caller was refused")
		}
		first()
		second()
		if refused("ann") != nil {
			t.Error("the burst is three")
		}
		many := refused("ann")
		if many == nil {
			t.Fatal("a fourth request came at once")
		}
		h := http.Header{}
		retryAfter(h, many.after)
		if h.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", h.Get("Retry-After"))
		}
		<-time.After(many.after)
		if refused("ann") != nil {
			t.Error("it was refused after the time that it was told")
		}
	})
}

func TestBodiesAreLent(t *testing.T) {
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
		t.Error("a caller got more than its share")
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

func TestAccountsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(Limits{Rate: 1, Burst: 1, Concurrency: 1})
		for i := range 10 * maxIdleCallers {
			_, closed, err := l.admit(string(rune(i)))
			if err != nil {
				t.Fatal(err)
			}
			closed()
			<-time.After(2 * time.Second)
		}
		if len(l.usages) > maxIdleCallers {
			t.Errorf("%d callers", len(l.usages))
		}
	})
}
