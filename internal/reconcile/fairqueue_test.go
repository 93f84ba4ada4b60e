// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrlreconcile "sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// named returns the request that "namespace/name" names.
func named(text string) ctrlreconcile.Request {
	namespace, name, _ := strings.Cut(text, "/")
	return ctrlreconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

func newFairQueue(t *testing.T) workqueue.TypedRateLimitingInterface[ctrlreconcile.Request] {
	t.Helper()
	q := NewFairQueue("", workqueue.NewTypedItemExponentialFailureRateLimiter[ctrlreconcile.Request](time.Millisecond, time.Millisecond))
	t.Cleanup(q.ShutDown)
	return q
}

func TestNamespacesTakeTurns(t *testing.T) {
	for name, c := range map[string]struct{ add, want string }{
		"one namespace":                 {"a/1 a/2 a/3", "a/1 a/2 a/3"},
		"two namespaces":                {"a/1 a/2 a/3 b/1 b/2", "a/1 b/1 a/2 b/2 a/3"},
		"one that comes late":           {"a/1 a/2 b/1 a/3 c/1", "a/1 b/1 c/1 a/2 a/3"},
		"a request twice":               {"a/1 a/2 a/1 b/1", "a/1 b/1 a/2"},
		"a namespace that comes again":  {"a/1 b/1 get a/2 b/2", "a/1 b/1 a/2 b/2"},
		"the same name in two of them":  {"a/1 b/1 a/1 b/1", "a/1 b/1"},
		"objects without any namespace": {"/1 /2 a/1", "/1 a/1 /2"},
	} {
		t.Run(name, func(t *testing.T) {
			q := newFairQueue(t)
			var got []string
			get := func() {
				r, _ := q.Get()
				q.Done(r)
				got = append(got, r.Namespace+"/"+r.Name)
			}
			for text := range strings.FieldsSeq(c.add) {
				if text == "get" {
					get()
				} else {
					q.Add(named(text))
				}
			}
			for q.Len() > 0 {
				get()
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

func TestAFloodDelaysAnotherNamespaceByOneRequest(t *testing.T) {
	q := newFairQueue(t)
	for i := range 1000 {
		q.Add(named(fmt.Sprintf("flood/%d", i)))
	}
	for i := range 10 {
		q.Add(named(fmt.Sprintf("other/%d", i)))
	}
	left, taken := 10, 0
	for ; left > 0; taken++ {
		r, _ := q.Get()
		q.Done(r)
		if r.Namespace == "other" {
			left--
		}
	}
	if taken > 20 {
		t.Errorf("the other namespace's ten requests were served within %d", taken)
	}
}

// The rest of the queue is client-go's: a request that is being served waits, and those that are added for later come then.
func TestFairQueueDelaysAndRepeats(t *testing.T) {
	q := newFairQueue(t)
	q.Add(named("a/1"))
	served, _ := q.Get()
	q.Add(served)
	if q.Len() != 0 {
		t.Error("a request that is being served can be taken")
	}
	q.Done(served)
	if again, _ := q.Get(); again != served {
		t.Errorf("got %v, want the request again", again)
	}
	q.Done(served)
	q.AddAfter(named("b/1"), time.Millisecond)
	q.AddRateLimited(named("c/1"))
	got := map[ctrlreconcile.Request]bool{}
	for range 2 {
		r, _ := q.Get()
		q.Done(r)
		got[r] = true
	}
	if !got[named("b/1")] || !got[named("c/1")] {
		t.Errorf("got %v", got)
	}
	q.ShutDown()
	if _, ended := q.Get(); !ended {
		t.Error("the queue serves after it was shut down")
	}
}
