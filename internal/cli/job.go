// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/contenturl"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/plural"
)

// condition returns a condition of a job. A missing one has the status Unknown and no reason.
func condition(job *platenv1alpha1.RenderJob, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(job.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown}
}

// stage returns the state of a job in one word and in a sentence.
func stage(job *platenv1alpha1.RenderJob) (word, sentence string) {
	ready := condition(job, platenv1alpha1.ReadyCondition)
	if !job.Observed() || ready.Reason == "" {
		return platenv1alpha1.PendingReason, "Platen has not looked at it yet"
	}
	return ready.Reason, plain(ready.Message)
}

// outcome returns the error of a command that has waited for a job; nil if the job is rendered and no upload has failed.
func outcome(job *platenv1alpha1.RenderJob) error {
	uploaded := condition(job, platenv1alpha1.UploadedCondition)
	switch _, sentence := stage(job); {
	case !meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.RenderedCondition):
		return &exitError{exitRenderFailed, fmt.Errorf("RenderJob %s/%s failed: %s", job.Namespace, job.Name, sentence)}
	case uploaded.Status == metav1.ConditionFalse:
		return &exitError{exitUploadFailed, fmt.Errorf("RenderJob %s/%s is rendered, but not uploaded: %s", job.Namespace, job.Name, plain(uploaded.Message))}
	default:
		return nil
	}
}

// describe prints everything about a job, and advice about it.
func describe(out io.Writer, job *platenv1alpha1.RenderJob, advice string) {
	word, sentence := stage(job)
	fmt.Fprintf(out, "RenderJob %s in namespace %s, of template %s\n", job.Name, job.Namespace, job.Spec.TemplateRef.Name)
	fmt.Fprintf(out, "%s: %s\n", word, sentence)
	if due := job.ExpirationTime(); job.Finished() && !due.IsZero() {
		fmt.Fprintf(out, "Platen deletes it at %s\n", due.UTC().Format(time.RFC3339))
	} else if job.Finished() && job.Spec.TTLSecondsAfterFinished != nil {
		fmt.Fprintln(out, "Platen does not delete it, whatever ttlSecondsAfterFinished says: a GitOps tool would make it again")
	}
	if job.Observed() {
		if len(job.Status.Pages) > 0 {
			fmt.Fprintln(out)
		}
		describeFiles(out, job)
		describeUploads(out, job)
		describeWarnings(out, job.Status.Warnings)
	}
	if advice != "" {
		fmt.Fprintln(out)
		printNext(out, advice)
	}
}

func describeFiles(out io.Writer, job *platenv1alpha1.RenderJob) {
	if len(job.Status.Pages) == 0 {
		return
	}
	took := ""
	if ms := job.Status.RenderMilliseconds; job.Status.Cache == platenv1alpha1.CacheHit {
		took = ", from an earlier render"
	} else if ms != nil {
		took = ", rendered in " + (time.Duration(*ms) * time.Millisecond).String()
	}
	fmt.Fprintf(out, "%s%s:\n", plural.Count(len(job.Status.Pages), string(job.Status.Format)+" file"), took)
	for _, p := range job.Status.Pages {
		fmt.Fprintf(out, "  %s  %dx%d  %s  %s\n", fileWord(job, p.Page), p.Width, p.Height, file.Size(ptr.Deref(p.Size, 0)), plain(p.ContentURL))
	}
	if until := retainedUntil(job); !until.IsZero() {
		fmt.Fprintf(out, "contentPolicy is Retain: if the job is deleted, its files stay until %s\n", until.UTC().Format(time.RFC3339))
	}
}

// retainedUntil returns until when the files of a job that is deleted stay in the content store; zero if they go with it, or are gone.
func retainedUntil(job *platenv1alpha1.RenderJob) (last time.Time) {
	if job.Spec.ContentPolicy != platenv1alpha1.ContentRetain {
		return time.Time{}
	}
	for _, p := range job.Status.Pages {
		if expires := contenturl.Expiry(p.ContentURL); expires.After(last) {
			last = expires
		}
	}
	if expires := job.Status.ContentExpirationTime; expires != nil && expires.Time.Before(last) {
		return expires.Time
	}
	return last
}

func describeUploads(out io.Writer, job *platenv1alpha1.RenderJob) {
	for _, c := range job.Status.Connections {
		isKept := len(c.Pages) > 0 && !slices.ContainsFunc(c.Pages, func(p platenv1alpha1.UploadedPage) bool { return !p.Kept() })
		switch {
		case c.Status == platenv1alpha1.UploadSuccess && isKept:
			fmt.Fprintf(out, "\nNothing uploaded to %s:\n", c.Name)
		case c.Status == platenv1alpha1.UploadSuccess:
			fmt.Fprintf(out, "\nUploaded to %s:\n", c.Name)
		case c.Status == platenv1alpha1.UploadPending:
			fmt.Fprintf(out, "\nBeing uploaded to %s:\n", c.Name)
		default:
			fmt.Fprintf(out, "\nNot uploaded to %s: %s\n", c.Name, plain(c.Error))
		}
		for _, p := range c.Pages {
			where := p.Path
			switch {
			case p.Error != "":
				where = "not uploaded: " + p.Error
			case p.Kept():
				where = "not uploaded, another file is there and stays: " + p.Path
			}
			fmt.Fprintf(out, "  %s  %s\n", fileWord(job, p.Page), plain(where))
		}
	}
}

// fileWord names a file of a job: a PDF holds all pages, and a film may.
func fileWord(job *platenv1alpha1.RenderJob, page int32) string {
	if job.Status.Format == platenv1alpha1.FormatPDF {
		return "document"
	}
	if job.IsFilm() {
		return "film"
	}
	return fmt.Sprintf("page %d", page)
}

func describeWarnings(out io.Writer, warnings []platenv1alpha1.Warning) {
	for i, w := range warnings {
		if i == 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "Warning: %s\n", plain(w.Title))
		if details := ptr.Deref(w.Details, ""); details != "" {
			fmt.Fprintf(out, "  %s\n", plain(details))
		}
	}
}
