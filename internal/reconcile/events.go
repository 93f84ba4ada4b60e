// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
)

// NewRecorder returns a recorder of events that its controllers report under a name. The events of a namespace that is being deleted are dropped:
// the API server refuses them, and nobody would see them. Other problems go to the log. The caller calls stop at the end.
func NewRecorder(log logr.Logger, sink events.EventSink, scheme *runtime.Scheme, name string) (recorder events.EventRecorder, stop func(), err error) {
	broadcaster := events.NewBroadcaster(liveNamespaces{sink})
	ctx, cancel := context.WithCancel(logr.NewContext(context.Background(), log))
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		cancel()
		return nil, nil, fmt.Errorf("recording events: %w", err)
	}
	return broadcaster.NewRecorder(scheme, name), func() {
		broadcaster.Shutdown()
		cancel()
	}, nil
}

// liveNamespaces is a sink without the events of namespaces that are being deleted.
type liveNamespaces struct{ events.EventSink }

// Create implements events.EventSink.
func (s liveNamespaces) Create(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	created, err := s.EventSink.Create(ctx, event)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return event, nil
	}
	return created, err
}
