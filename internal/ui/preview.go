// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilcache "k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

const (
	// previewRate is how many previews a second a visitor has, and previewBurst how many may come at once. A large form counts as several:
	// one for each previewBytes.
	previewRate, previewBurst, previewBytes = 8, 16, 64 << 10
	// previewPatience is how long a preview above previewRate waits for its turn, and previewWait how long a request waits for the picture.
	previewPatience, previewWait = 2 * time.Second, 8 * time.Second
	// previewTTL is how long a preview is kept after its last change.
	previewTTL = 10 * time.Minute
	// previewTimeout bounds the render of a preview.
	previewTimeout = 30 * time.Second
	// previewPriority puts previews before the other jobs that wait in the workspace: somebody looks at the page.
	previewPriority = 100
	// previewQuality of the JPEG, and previewPixels, the size of its longer side above which it is made smaller.
	previewQuality, previewPixels = 85, 1600
)

// pace bounds the previews of each visitor.
type pace struct {
	mu sync.Mutex
	// limiters by the name of the user: *rate.Limiter.
	limiters *utilcache.LRUExpireCache
}

// maxPaced bounds the visitors whose previews are counted. A visitor who is forgotten begins with a full burst.
const maxPaced = 4096

func newPace(clk clock.PassiveClock) *pace {
	return &pace{limiters: utilcache.NewLRUExpireCacheWithClock(maxPaced, clk)}
}

// wait waits until the user may have another preview of a form of the given size.
func (p *pace) wait(ctx context.Context, user string, bytes int) error {
	p.mu.Lock()
	limiter, ok := (*rate.Limiter)(nil), false
	if known, found := p.limiters.Get(user); found {
		limiter, ok = known.(*rate.Limiter)
	}
	if !ok {
		limiter = rate.NewLimiter(previewRate, previewBurst)
	}
	p.limiters.Add(user, limiter, time.Minute)
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, previewPatience)
	defer cancel()
	if limiter.WaitN(ctx, min(1+bytes/previewBytes, previewBurst)) != nil {
		return &problem{Status: http.StatusTooManyRequests, Title: "Too many previews at once", Text: fmt.Sprintf("There are at most %d a second for each person. Wait a moment.", previewRate)}
	}
	return nil
}

// liveView is what a preview shows.
type liveView struct {
	// Template is the template's name, and Job the preview's. The picture links to the job's page: its own address ends with the next preview.
	Template, Job string
	// Picture is nil if there are only notes.
	Picture      *fileView
	Milliseconds int64
	Warnings     []platenv1alpha1.Warning
	// Words say why there is no picture; nil if nothing can be said.
	Words *words
	// Wrong says what is wrong with the form.
	Wrong []string
	// Waiting tells whether the picture is still to come.
	Waiting bool
}

// preview shows what the form has so far, and uploads nothing. A visitor has one job for it in each form: every change is a change of its spec, so one
// render is in progress at most and the last change wins.
func (s *Server) preview(w http.ResponseWriter, r *http.Request, v *visitor) error {
	form, given, _, err := s.readForm(r, v)
	if err != nil {
		return err
	}
	if _, wrong := form.complete(given); len(wrong) > 0 {
		if !isHTMX(r) {
			return s.showForm(w, r, v, form, given)
		}
		s.showNotes(w, http.StatusUnprocessableEntity, liveView{Wrong: wrong})
		return nil
	}
	spec, err := form.previewSpec(given, r.PostForm.Get("page"))
	if err != nil {
		return err
	}
	if err := s.pace.wait(r.Context(), v.User.Username, len(spec.Modifications.Raw)); err != nil {
		return err
	}
	job, err := v.applyPreview(r.Context(), form, spec)
	if err != nil {
		return err
	}
	if !isHTMX(r) {
		http.Redirect(w, r, "/ui/renders/"+url.PathEscape(job.Name), http.StatusSeeOther)
		return nil
	}
	job, err = s.awaitPreview(r.Context(), job)
	if err != nil {
		return err
	}
	if job == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	shown := viewJob(job)
	view := liveView{Template: form.Name, Job: job.Name, Picture: shown.First(), Milliseconds: shown.Milliseconds, Warnings: shown.Warnings}
	if view.Picture == nil || !shown.Finished {
		view.Words, view.Waiting = &shown.Words, !shown.Finished
		s.showNotes(w, http.StatusOK, view)
		return nil
	}
	s.views.fragment(w, http.StatusOK, "live", view)
	return nil
}

// showNotes says why there is no new picture. The last one stays.
func (s *Server) showNotes(w http.ResponseWriter, status int, view liveView) {
	w.Header().Set("HX-Retarget", "#live-notes")
	s.views.fragment(w, status, "live-notes", view)
}

// previewSpec returns the spec of a preview: one page as a JPEG of moderate size, for nobody else.
func (f formView) previewSpec(given map[string]any, page string) (platenv1alpha1.RenderJobSpec, error) {
	f.Destination, f.FileName = noUpload, ""
	spec, err := f.spec(given)
	if err != nil {
		return spec, err
	}
	number, err := strconv.ParseInt(page, 10, 32)
	if err != nil || number < 1 || number > int64(len(f.Sizes)) {
		number = 1
	}
	spec.Output = platenv1alpha1.OutputSpec{Format: platenv1alpha1.FormatJPG, Quality: previewQuality, Pages: []int32{int32(number)}}
	if longer := max(f.Sizes[number-1][0], f.Sizes[number-1][1]); longer > previewPixels {
		spec.Output.Scale = platenv1alpha1.NumberOrString(strconv.FormatFloat(previewPixels/float64(longer), 'f', 3, 64))
	}
	spec.Cache = platenv1alpha1.CacheDisabled // the cache would keep every keystroke
	spec.Priority = new(int32(previewPriority))
	spec.TimeoutSeconds = int32(previewTimeout.Seconds())
	spec.TTLSecondsAfterFinished = new(int32(previewTTL.Seconds()))
	return spec, nil
}

// applyPreview makes a spec that of the visitor's preview in a form. A job whose spec returns to an earlier one has the files of that one, so there is
// another job once the template has changed, and when the form is opened again: its ConfigMaps and pictures may have changed, too.
func (v *visitor) applyPreview(ctx context.Context, form formView, spec platenv1alpha1.RenderJobSpec) (*platenv1alpha1.RenderJob, error) {
	sum := sha256.Sum256([]byte(strings.Join([]string{v.User.Username, form.Name, form.version, form.Opened}, "\n")))
	name := "preview-" + prefix(form.Name) + "-" + hex.EncodeToString(sum[:5])
	patch, err := json.Marshal([]map[string]any{
		// A job of the same name that is no preview stays as it is.
		{"op": "test", "path": "/metadata/labels/platen.dev~1preview", "value": "true"},
		{"op": "replace", "path": "/spec", "value": spec},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding a preview: %w", err)
	}
	// The job may be deleted or created by another request at any moment.
	for range 3 {
		job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: v.Workspace, Name: name}}
		if err = v.Patch(ctx, job, client.RawPatch(types.JSONPatchType, patch)); !apierrors.IsNotFound(err) {
			return job, err
		}
		job = &platenv1alpha1.RenderJob{
			ObjectMeta: metav1.ObjectMeta{Namespace: v.Workspace, Name: name, Labels: map[string]string{platenv1alpha1.PreviewLabel: "true"}}, Spec: spec,
		}
		if err = v.Create(ctx, job); !apierrors.IsAlreadyExists(err) {
			return job, err
		}
	}
	return nil, err
}

// awaitPreview returns the job once its generation has finished, or as it is after previewWait. It returns nil if a newer generation has taken
// its place.
func (s *Server) awaitPreview(ctx context.Context, job *platenv1alpha1.RenderJob) (*platenv1alpha1.RenderJob, error) {
	patience := time.NewTimer(previewWait)
	defer patience.Stop()
	for waited := false; ; {
		ended, leave := s.Waiters.Register(job.UID)
		known := &platenv1alpha1.RenderJob{}
		err := s.Cache.Get(ctx, client.ObjectKeyFromObject(job), known)
		seen := err == nil && known.UID == job.UID && known.Generation >= job.Generation
		switch {
		case seen && known.Generation > job.Generation:
			leave()
			return nil, nil //nolint:nilnil // a newer generation has no use for this one
		case seen && (waited || known.Finished()):
			leave()
			return known, nil
		case client.IgnoreNotFound(err) != nil:
			leave()
			return nil, fmt.Errorf("reading a preview: %w", err)
		case waited:
			leave()
			return job, nil
		}
		select {
		case <-ended: // perhaps an earlier generation
		case <-patience.C:
			waited = true // it may have begun meanwhile
		case <-ctx.Done():
			leave()
			return nil, ctx.Err()
		}
		leave()
	}
}
