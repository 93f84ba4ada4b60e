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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// A job with a time to live of no seconds is gone before somebody has looked at it. The API server still tells how it ended.
func TestFollowLearnsHowADeletedJobEnded(t *testing.T) {
	state := func(version string, finished bool) *platenv1alpha1.RenderJob {
		job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "card", ResourceVersion: version, Generation: 1}}
		if finished {
			job.Status.ObservedGeneration = new(int64(1))
			job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue}}
		}
		return job
	}
	expired := apierrors.NewResourceExpired("too old").ErrStatus
	for name, c := range map[string]struct {
		created *platenv1alpha1.RenderJob
		events  []watch.Event
		gone    bool
	}{
		"finished and deleted": {state("1", false), []watch.Event{{Type: watch.Modified, Object: state("2", true)}, {Type: watch.Deleted, Object: state("3", true)}}, false},
		"told at once":         {state("1", false), []watch.Event{{Type: watch.Deleted, Object: state("3", true)}}, false},
		"deleted by somebody":  {state("1", false), []watch.Event{{Type: watch.Deleted, Object: state("2", false)}}, true},
		"forgotten":            {state("1", false), []watch.Event{{Type: watch.Error, Object: &expired}}, true},
		"never seen":           {&platenv1alpha1.RenderJob{}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			watcher := watch.NewFakeWithChanSize(len(c.events), false)
			for _, event := range c.events {
				watcher.Action(event.Type, event.Object)
			}
			from := ""
			api := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
				Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
					return apierrors.NewNotFound(schema.GroupResource{Resource: "renderjobs"}, "card")
				},
				Watch: func(_ context.Context, _ client.WithWatch, _ client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
					from = (&client.ListOptions{}).ApplyOptions(options).Raw.ResourceVersion
					return watcher, nil
				},
			}).Build()
			var last runtime.Object
			err := follow(t.Context(), &cluster{api, nil, "marketing"}, "card", c.created, &platenv1alpha1.RenderJobList{}, func(job *platenv1alpha1.RenderJob) (bool, error) {
				last = job
				return job.Finished(), nil
			})
			if errors.Is(err, errGone) != c.gone || err != nil && !c.gone {
				t.Errorf("%v, last %v", err, last)
			}
			if len(c.events) > 0 && from != "1" {
				t.Errorf("watched from resourceVersion %q", from)
			}
		})
	}
}

// The previews of the web page come with every keystroke. No list of jobs has them, but who names one sees it.
func TestPreviewsAreNotListed(t *testing.T) {
	job := func(name, preview string) *platenv1alpha1.RenderJob {
		return &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: name, Labels: map[string]string{platenv1alpha1.PreviewLabel: preview}}}
	}
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	o := &options{IOStreams: streams}
	c := &cluster{namespace: "marketing", WithWatch: fake.NewClientBuilder().WithScheme(scheme).WithObjects(job("card", "no"), job("preview-card-1a2b", "true")).Build()}
	list := listing[*platenv1alpha1.RenderJob]{
		plural: "jobs", list: &platenv1alpha1.RenderJobList{}, headings: []string{"NAMESPACE", "NAME"},
		row: func(job *platenv1alpha1.RenderJob) []string { return []string{job.Namespace, job.Name} },
	}
	if err := list.printAll(t.Context(), o, c, "", false); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "card") || strings.Contains(got, "preview") {
		t.Errorf("the list is\n%s", got)
	}
	missing := apierrors.NewNotFound(schema.GroupResource{Resource: "renderjobs"}, "cart")
	if err := c.notFound(t.Context(), missing, "RenderJob", "cart", &platenv1alpha1.RenderJobList{}); err == nil || !strings.HasSuffix(err.Error(), "did you mean 'card'? there are: card") {
		t.Errorf("the problem is %v", err)
	}
}
