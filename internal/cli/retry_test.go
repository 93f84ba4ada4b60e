// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage"
)

// A retry that no connection can take is refused, with what helps.
func TestRetryNeedsAConnection(t *testing.T) {
	named := []platenv1alpha1.JobConnection{{Type: "storage", Provider: platenv1alpha1.ProviderDropbox, Name: new("box")}}
	unnamed := []platenv1alpha1.JobConnection{{Type: "storage", Provider: platenv1alpha1.ProviderDropbox}}
	box := func(policy platenv1alpha1.UploadPolicy) *platenv1alpha1.StorageConnection {
		return &platenv1alpha1.StorageConnection{
			ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "box"},
			Spec:       platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderDropbox, UploadPolicy: policy},
		}
	}
	other := box(platenv1alpha1.UploadAutomatic)
	other.Name = "other"
	const (
		enable  = "make it Automatic, and Platen uploads the files by itself: kubectl patch storageconnection box -n marketing --type merge -p '{\"spec\":{\"uploadPolicy\":\"Automatic\"}}'"
		missing = "does not exist; create it, or name another, and Platen uploads the files by itself: kubectl edit renderjob summer -n marketing"
		list    = "(kubectl platen connections -n marketing), and make one Automatic"
	)
	for name, c := range map[string]struct {
		wanted      []platenv1alpha1.JobConnection
		reason      storage.Reason
		connections []client.Object
		otherDone   bool
		forbidden   bool
		want        string
	}{
		"a named one is gone":                       {wanted: named, reason: storage.ReasonConnectionNotFound, connections: []client.Object{other}, want: missing},
		"a named one is gone since":                 {wanted: named, reason: storage.ReasonConflict, want: missing},
		"a named one is disabled":                   {wanted: named, reason: storage.ReasonDisabled, connections: []client.Object{box("Disabled")}, want: enable},
		"a named one is there":                      {wanted: named, reason: storage.ReasonConnectionNotFound, connections: []client.Object{box("OnRequest")}},
		"a named one is enabled":                    {wanted: named, reason: storage.ReasonDisabled, connections: []client.Object{box("OnRequest")}},
		"one of the provider is disabled":           {wanted: unnamed, reason: storage.ReasonDisabled, connections: []client.Object{box("Disabled")}, want: enable},
		"another of the provider is there":          {wanted: unnamed, reason: storage.ReasonDisabled, connections: []client.Object{box("Disabled"), other}},
		"the other one has the files":               {wanted: append(named, platenv1alpha1.JobConnection{Provider: "dropbox", Name: new("other")}), reason: storage.ReasonConnectionNotFound, connections: []client.Object{other}, otherDone: true, want: missing},
		"an automatic one is disabled":              {reason: storage.ReasonDisabled, connections: []client.Object{box("Disabled")}, want: enable},
		"an automatic one is for requests since":    {reason: storage.ReasonConflict, connections: []client.Object{box("OnRequest")}, want: list},
		"an automatic one is gone":                  {reason: storage.ReasonConflict, want: list},
		"an automatic one is there":                 {reason: storage.ReasonConflict, connections: []client.Object{box("Automatic")}},
		"the person may not list them":              {wanted: named, reason: storage.ReasonDisabled, forbidden: true},
		"a named one of another provider, disabled": {wanted: []platenv1alpha1.JobConnection{{Provider: platenv1alpha1.ProviderS3, Name: new("box")}}, reason: storage.ReasonConnectionNotFound, connections: []client.Object{box("Disabled")}, want: missing},
	} {
		t.Run(name, func(t *testing.T) {
			job := jobWith(platenv1alpha1.SucceededWithWarningsReason, "1 page rendered")
			job.Namespace, job.Name, job.Spec.Connections = "marketing", "summer", c.wanted
			job.Status.ObservedGeneration = &job.Generation
			job.Status.Connections = []platenv1alpha1.JobConnectionStatus{{Name: "box", Status: platenv1alpha1.UploadError, Reason: string(c.reason)}}
			if c.otherDone {
				job.Status.Connections = append(job.Status.Connections, platenv1alpha1.JobConnectionStatus{Name: "other", Status: platenv1alpha1.UploadSuccess})
			}
			job.Status.Conditions = append(job.Status.Conditions,
				metav1.Condition{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue},
				metav1.Condition{Type: platenv1alpha1.RenderedCondition, Status: metav1.ConditionTrue},
				metav1.Condition{Type: platenv1alpha1.UploadedCondition, Status: metav1.ConditionFalse, Reason: string(c.reason)})
			funcs := interceptor.Funcs{}
			if c.forbidden {
				funcs.List = func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
					return apierrors.NewForbidden(schema.GroupResource{Resource: "storageconnections"}, "", errors.New("no"))
				}
			}
			api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(c.connections, job)...).WithInterceptorFuncs(funcs).Build()
			_, err := (&retryCommand{options: &options{IOStreams: genericiooptions.NewTestIOStreamsDiscard()}, wait: true}).request(t.Context(), &cluster{api, nil, "marketing"}, "summer")
			if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			now := &platenv1alpha1.RenderJob{}
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(job), now); err != nil {
				t.Fatal(err)
			}
			if asked := now.Annotations[platenv1alpha1.RetryUploadsAnnotation] != ""; asked != (c.want == "") {
				t.Errorf("asked for a retry: %t", asked)
			}
		})
	}
}
