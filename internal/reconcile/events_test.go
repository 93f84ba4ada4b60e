// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
)

// refusingSink refuses the events of two namespaces, as the API server does.
type refusingSink struct {
	events.EventSink

	mu     sync.Mutex
	notes  []string
	asked  int
	answer map[string]error
}

func (s *refusingSink) Create(_ context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if err := s.answer[event.Namespace]; err != nil {
		return nil, err
	}
	s.notes = append(s.notes, event.Note)
	return event, nil
}

func TestEventsOfANamespaceThatIsBeingDeletedAreNoErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		terminating := apierrors.NewForbidden(eventsv1.Resource("events"), "job.1", nil)
		terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause, Field: "metadata.namespace"}}
		sink := &refusingSink{answer: map[string]error{"ending": terminating, "closed": apierrors.NewForbidden(eventsv1.Resource("events"), "job.1", nil)}}
		var mu sync.Mutex
		var log []string
		logger := funcr.New(func(_, args string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, args)
		}, funcr.Options{})
		recorder, stop, err := NewRecorder(logger, sink, clientgoscheme.Scheme, "platen")
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		for _, namespace := range []string{"ending", "closed", "live"} {
			object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "job"}}
			recorder.Eventf(object, nil, corev1.EventTypeWarning, "RenderFailed", "Render", "in %s", namespace)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if sink.asked != 3 || !slices.Equal(sink.notes, []string{"in live"}) {
			t.Errorf("asked %d times, recorded %v", sink.asked, sink.notes)
		}
		if len(log) != 1 || !strings.Contains(log[0], "Server rejected event") {
			t.Errorf("the log has %q", log)
		}
	})
}
