// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/destination"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/uploader"
	"github.com/platen-dev/platen/internal/task"
)

const (
	// sourceRetry is how often to look for a missing ConfigMap; ConfigMaps are not watched.
	sourceRetry = 30 * time.Second
	// roomRetry is how often to look whether the content store has room for a mark, or works again.
	roomRetry = 10 * time.Second
	// progressDelay is how long a render or an upload takes before an intermediate status is written.
	progressDelay = time.Second
	// arrivalDelay is how old a job must be before status says that its template or a ConfigMap is missing. Creation times have whole seconds only.
	arrivalDelay = 2 * time.Second
	// maxPageID is the bound that the API sets for pages[].pageID.
	maxPageID = 36
	// defaultBackoffLimit counts when spec.backoffLimit is absent.
	defaultBackoffLimit = 2
)

// scope holds what one reconciliation has found. Each field names the step that fills it in.
type scope struct {
	job *platenv1alpha1.RenderJob
	now time.Time
	// revision of the job's spec: what is rendered.
	revision string

	// state of the job in the pool; filled in by recall, and by prepare once it has queued the job.
	state pool.State
	// manifest of the rendered files, nil until they are rendered; filled in by recall.
	manifest *content.Manifest
	// files of the manifest under the names that the spec gives them now; filled in by collect.
	files []file.File
	// fresh is true if this reconciliation has made the manifest: nobody can have uploaded its files; filled in by prepare.
	fresh bool
	// follows is true while the job waits for another one's render of the same; filled in by prepare.
	follows bool
	// cache says where the files are from; filled in by collect.
	cache platenv1alpha1.CacheResult
	// lost is how many renders of the revision the content store has lost, and attempts, how many attempts count then; filled in by recall if
	// it has just lost one.
	lost, attempts int
	// pages with their content URLs; filled in by collect.
	pages []platenv1alpha1.RenderedPage
	// uploads of the rendered files, one for each connection; filled in by upload. For a finished job, retryUploads fills
	// in only those that are retried.
	uploads []upload
	// retry is true for a finished job; filled in by retryUploads.
	retry bool
	// missing are the wanted connections that do not exist, and present the names of those that do; filled in by upload.
	missing []platenv1alpha1.JobConnection
	present []string
	// gone are the names of the connections that do not exist any more, of failed uploads of a finished job; filled in by upload.
	gone []string
	// ofProvider counts the namespace's connections to each provider; filled in by upload.
	ofProvider map[platenv1alpha1.ProviderType]int
	// idle are the wanted connections that another entry stands for; filled in by upload.
	idle []destination.IdleEntry
	// collisions with the files of other jobs; filled in by upload.
	collisions []collision
}

func (s *scope) key() types.NamespacedName { return client.ObjectKeyFromObject(s.job) }

func (s *scope) ref() content.Ref {
	return content.Ref{Namespace: s.job.Namespace, JobUID: string(s.job.UID), Revision: s.revision}
}

// continues reports whether status describes an unfinished run of what the spec asks for now. A suspended job begins anew when it is resumed.
func (s *scope) continues() bool {
	status := &s.job.Status
	finished := meta.FindStatusCondition(status.Conditions, platenv1alpha1.FinishedCondition) // it has the reason of Ready while it is False
	return status.RenderRevision == s.revision && finished != nil && finished.Status != metav1.ConditionTrue &&
		(finished.Reason != platenv1alpha1.SuspendedReason || s.job.Suspended())
}

// suspend stops a job whose spec.suspend is true, and ends it when it was canceled.
func (r *Reconciler) suspend(_ context.Context, s *scope) error {
	if !s.job.Suspended() {
		return nil
	}
	r.Pool.Forget(s.key())
	r.Uploader.Forget(s.key())
	if s.job.Canceled() {
		return reconcile.Terminal(platenv1alpha1.CanceledReason, "the job was canceled")
	}
	return reconcile.Waiting(platenv1alpha1.SuspendedReason, 0, "spec.suspend is true")
}

// recall finds out how far the job has come, in this process or in an earlier one.
func (r *Reconciler) recall(ctx context.Context, s *scope) error {
	s.state = r.Pool.State(s.key(), s.job.UID, s.revision)
	if s.state.Phase != pool.Unknown && s.state.Phase != pool.Rendered {
		return nil
	}
	manifest, err := r.Store.Manifest(ctx, s.ref())
	switch {
	case err == nil && !s.retry && r.hasLostFile(s):
		// The manifest would stand in the way of that of the next render.
		if _, err := r.Store.Delete(ctx, s.ref()); err != nil {
			return err
		}
		return r.renderAgain(s, max(s.state.Attempts, manifest.Attempts, 1))
	case err == nil:
		s.manifest = &manifest
	case errors.Is(err, content.ErrUnavailable):
		ctrl.LoggerFrom(ctx).Error(err, "Failed to read the content store")
		return reconcile.Waiting(platenv1alpha1.ContentStoreUnavailableReason, roomRetry, "the content store does not answer; the job goes on when it does")
	case !errors.Is(err, content.ErrNotFound):
		return fmt.Errorf("reading the content store: %w", err)
	case s.state.Phase == pool.Rendered:
		return r.renderAgain(s, s.state.Attempts) // the manifest was written before the pool said so
	default:
		r.Uploader.Forget(s.key()) // what it has uploaded is of a render that the content store has lost
	}
	return nil
}

// hasLostFile reports whether an upload of the job has found that the content store does not have a file of the manifest.
func (r *Reconciler) hasLostFile(s *scope) bool {
	results, _ := r.Uploader.Results(s.key(), s.job.UID, s.uploadRevision())
	return slices.ContainsFunc(results, func(u uploader.Result) bool {
		return slices.ContainsFunc(u.Files, func(f storage.Result) bool { return errors.Is(f.Err, storage.ErrContentLost) })
	})
}

// renderAgain lets prepare queue a job whose render the content store has lost in one of its attempts. That is a disruption, as is the loss of a
// node, unless it happens again and again.
func (r *Reconciler) renderAgain(s *scope, attempts int) error {
	s.lost, s.attempts = s.state.Lost+1, attempts
	if s.lost <= pool.MaxLost {
		s.attempts--
	}
	r.Pool.Forget(s.key())
	r.Uploader.Forget(s.key()) // the next render may have other bytes
	s.state = pool.State{}
	if s.attempts > s.backoffLimit() {
		return reconcile.Terminal(platenv1alpha1.BackoffLimitExceededReason, "the content store has lost the files of %s", plural.Count(s.lost, "render"))
	}
	return nil
}

func (s *scope) backoffLimit() int {
	return int(ptr.Deref(s.job.Spec.BackoffLimit, defaultBackoffLimit))
}

// prepare validates the job against its template and hands it to the pool. A changed spec may give a job that the pool has another priority or
// other limits.
func (r *Reconciler) prepare(ctx context.Context, s *scope) error {
	isKnown := s.state.Phase != pool.Unknown
	if s.manifest != nil || isKnown && (s.job.Observed() || s.job.Generation == 1) {
		return nil
	}
	work, template, err := r.build(ctx, s.job)
	if err != nil {
		if isKnown {
			return nil // it was valid when it was queued, and is checked again when a pod takes it
		}
		return r.adopt(s, err)
	}
	if !isKnown {
		if err := r.reuse(ctx, s, work, len(template.Spec.Pages)); err != nil || s.manifest != nil {
			return err
		}
	}
	attempts := s.attempts
	if s.continues() && s.lost == 0 {
		// A pod may still render the last attempt and will then report it. Only the attempts before it are known to be lost.
		attempts = max(int(ptr.Deref(s.job.Status.Attempts, 0))-1, 0)
	}
	r.Pool.Enqueue(pool.Job{
		Key: s.key(), UID: s.job.UID, Revision: s.revision, Priority: ptr.Deref(s.job.Spec.Priority, 0), Created: s.job.CreationTimestamp.Time,
		Timeout:      time.Duration(s.job.Spec.TimeoutSeconds) * time.Second,
		BackoffLimit: s.backoffLimit(),
		Attempts:     attempts,
		Lost:         s.lost,
		Pages:        len(work.Pages),
		TotalPages:   len(template.Spec.Pages),
		Files:        len(work.Files()),
		Cost:         task.Cost(work),
	})
	if !isKnown {
		ctrl.LoggerFrom(ctx).Info("Accepted RenderJob", "uid", s.job.UID, "generation", s.job.Generation,
			"template", template.Name, "pages", len(work.Pages), "attempts", attempts)
	}
	s.state = r.Pool.State(s.key(), s.job.UID, s.revision)
	return nil
}

// adopt leaves a job that cannot be built to a pod that renders it for an earlier process, as its template was then. It returns the problem if there
// can be no such pod.
func (r *Reconciler) adopt(s *scope, problem error) error {
	running := int(ptr.Deref(s.job.Status.Attempts, 0))
	if !s.continues() || running == 0 || s.lost > 0 || reconcile.AsTerminal(problem) == nil && reconcile.AsWaiting(problem) == nil {
		return problem
	}
	r.Pool.Enqueue(pool.Job{
		Key: s.key(), UID: s.job.UID, Revision: s.revision, Priority: ptr.Deref(s.job.Spec.Priority, 0), Created: s.job.CreationTimestamp.Time,
		Timeout:      time.Duration(s.job.Spec.TimeoutSeconds) * time.Second,
		BackoffLimit: s.backoffLimit(), Attempts: running - 1, AdoptOnly: true,
	})
	if s.state = r.Pool.State(s.key(), s.job.UID, s.revision); s.state.Phase == pool.Unknown {
		return problem
	}
	return nil
}

// similar asks whether another template of the namespace is meant; empty if none has a similar name.
func (r *Reconciler) similar(ctx context.Context, namespace, name string) string {
	templates := &platenv1alpha1.RenderTemplateList{}
	if err := r.Client.List(ctx, templates, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return ""
	}
	names := make([]string, 0, len(templates.Items))
	for i := range templates.Items {
		names = append(names, templates.Items[i].Name)
	}
	if near := nearest.Name(name, names); near != "" {
		return fmt.Sprintf(" (did you mean '%s'?)", near)
	}
	return ""
}

// build returns the task of a job, and its template.
func (r *Reconciler) build(ctx context.Context, job *platenv1alpha1.RenderJob) (render.Task, *platenv1alpha1.RenderTemplate, error) {
	template := &platenv1alpha1.RenderTemplate{}
	name := job.Spec.TemplateRef.Name
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: job.Namespace, Name: name}, template)
	if apierrors.IsNotFound(err) {
		return render.Task{}, nil, reconcile.Waiting(platenv1alpha1.TemplateNotFoundReason, 0,
			"spec.templateRef.name: RenderTemplate '%s' does not exist in namespace '%s'%s; the job starts when it is created", name, job.Namespace, r.similar(ctx, job.Namespace, name))
	}
	if err != nil {
		return render.Task{}, nil, fmt.Errorf("reading RenderTemplate %s: %w", name, err)
	}
	work, err := task.Build(ctx, job, template, r.Limits, task.Sources{Value: r.configMapValue, Fonts: r.fontsOf})
	return work, template, err
}

// Task builds the task of a job for the pod that takes it, and its plan. The error is a *reconcile.TerminalError if the job cannot be rendered, and
// a *reconcile.WaitingError if something else must happen first.
func (r *Reconciler) Task(ctx context.Context, key types.NamespacedName, uid types.UID, revision string) (render.Task, *pool.Plan, error) {
	job := &platenv1alpha1.RenderJob{}
	if err := r.Client.Get(ctx, key, job); err != nil {
		return render.Task{}, nil, fmt.Errorf("reading RenderJob %s: %w", key, err)
	}
	if job.UID != uid || task.Revision(job) != revision || job.Suspended() {
		return render.Task{}, nil, fmt.Errorf("RenderJob %s has changed", key)
	}
	switch err := r.Store.Check(key.Namespace); {
	case errors.Is(err, content.ErrQuota):
		return render.Task{}, nil, reconcile.Waiting(platenv1alpha1.ContentStoreFullReason, 0,
			"the files of namespace '%s' fill its share of the content store; delete jobs, or give them spec.ttlSecondsAfterFinished", key.Namespace)
	case errors.Is(err, content.ErrUnavailable):
		return render.Task{}, nil, reconcile.Waiting(platenv1alpha1.ContentStoreUnavailableReason, 0, "the content store takes no files; the job is rendered when it does again")
	case err != nil:
		return render.Task{}, nil, reconcile.Waiting(platenv1alpha1.ContentStoreFullReason, 0, "the content store is full; the job goes on when it has room")
	}
	work, template, err := r.build(ctx, job)
	if err != nil {
		return render.Task{}, nil, err
	}
	plan := &pool.Plan{Key: key, Pages: len(work.Pages), TotalPages: len(template.Spec.Pages), Files: work.Files(), Trace: r.Tracer.Traceparent(runOf(job))}
	if r.caches(job) {
		plan.CacheKey = r.Cache.Key(key.Namespace, work).Task
	}
	return work, plan, nil
}

// fontSet returns a FontSet of a namespace.
func (r *Reconciler) fontSet(ctx context.Context, namespace, name string) (*platenv1alpha1.FontSet, error) {
	set := &platenv1alpha1.FontSet{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, set)
	if apierrors.IsNotFound(err) {
		return nil, reconcile.Waiting(platenv1alpha1.FontSetNotFoundReason, sourceRetry, "it does not exist in namespace '%s'", namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("reading FontSet %s: %w", name, err)
	}
	return set, nil
}

// fontsOf returns the fonts of a FontSet, without their data.
func (r *Reconciler) fontsOf(ctx context.Context, namespace, name string) ([]render.Font, error) {
	set, err := r.fontSet(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	files, err := r.Fonts.Files(ctx, set)
	return fonts.Of(files), err
}

// Font returns a font file of a job's template by its hash. The error is a *reconcile.TerminalError if its FontSets have it no more.
func (r *Reconciler) Font(ctx context.Context, key types.NamespacedName, hash string) ([]byte, error) {
	job, template := &platenv1alpha1.RenderJob{}, &platenv1alpha1.RenderTemplate{}
	if err := r.Client.Get(ctx, key, job); err != nil {
		return nil, fmt.Errorf("reading RenderJob %s: %w", key, err)
	}
	if err := r.Client.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: job.Spec.TemplateRef.Name}, template); err != nil {
		return nil, fmt.Errorf("reading RenderTemplate %s: %w", job.Spec.TemplateRef.Name, err)
	}
	for _, ref := range template.Spec.FontSetRefs {
		set, err := r.fontSet(ctx, key.Namespace, ref.Name)
		if err != nil {
			return nil, err
		}
		data, err := r.Fonts.Data(ctx, set, hash)
		if !errors.Is(err, fonts.ErrNotFound) {
			return data, err
		}
	}
	return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "the FontSets of template '%s' have another font by now", template.Name)
}

// configMapValue reads one key of a ConfigMap in the job's namespace.
func (r *Reconciler) configMapValue(ctx context.Context, namespace string, ref platenv1alpha1.ConfigMapKeySelector) (string, error) {
	configMap := &corev1.ConfigMap{}
	err := r.Reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, configMap)
	if apierrors.IsNotFound(err) {
		return "", reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry,
			"ConfigMap '%s' does not exist in namespace '%s'", ref.Name, namespace)
	}
	if err != nil {
		return "", fmt.Errorf("reading ConfigMap %s: %w", ref.Name, err)
	}
	value, missing := ref.TextIn(configMap)
	if missing != "" {
		return "", reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry, "%s", missing)
	}
	return value, nil
}

// collect waits for the pool and reads what was rendered.
func (r *Reconciler) collect(_ context.Context, s *scope) error {
	if s.manifest == nil {
		if s.state.Phase == pool.Failed {
			return renderFailure(s.state.Failure)
		}
		if s.state.Phase == pool.Rendering {
			return reconcile.Waiting(platenv1alpha1.RenderingReason, 0, "render pod %s is rendering", s.state.PodName)
		}
		wait := s.state.Wait
		if wait.Reason == platenv1alpha1.PodForbiddenReason {
			return reconcile.Blocked(wait.Reason, "%s", wait.Message)
		}
		return reconcile.Waiting(wait.Reason, 0, "%s", wait.Message)
	}
	s.cache = r.cacheResult(s)
	s.files = rename(s.job, validFiles(s.manifest.Files), len(s.manifest.Files))
	for _, f := range s.files {
		s.pages = append(s.pages, platenv1alpha1.RenderedPage{
			Page:       int32(f.Page), //nolint:gosec // at most 200, by the API
			ExtraSize:  &f.ExtraSize,
			PageID:     reconcile.Truncate(f.PageID, maxPageID),
			ContentURL: r.Signer.URL(s.ref().Key(s.manifest.Attempt, f), f.Name, f.Size, s.now),
			Size:       new(max(f.Size, 0)),
			SHA256:     validSHA256(f.SHA256),
			Width:      pixels(f.Width),
			Height:     pixels(f.Height),
		})
	}
	return nil
}

// validFiles returns the files that status can have: with one of the template's pages each, and none twice.
func validFiles(files []file.File) []file.File {
	seen := map[file.ID]bool{}
	return slices.DeleteFunc(slices.Clone(files), func(f file.File) bool {
		bad := f.Page < 1 || f.Page > maxPage || seen[f.ID] || len(seen) == maxFiles
		if !bad {
			seen[f.ID] = true
		}
		return bad
	})
}

// validSHA256 returns a hash in hexadecimal as it is, and anything else as none.
func validSHA256(text string) string {
	if len(text) != 64 {
		return ""
	}
	return text
}

// rename returns files of a render that has total files under the names that the spec gives them now: they may have been rendered under
// another spec.output.fileName.
func rename(job *platenv1alpha1.RenderJob, files []file.File, total int) []file.File {
	files = slices.Clone(files)
	severalPages := total > 1+len(job.Spec.Output.ExtraSizes)
	for i := range files {
		files[i].Name = file.Name(job.FileBaseName(), files[i].ID, severalPages, files[i].Format)
	}
	return files
}

// pixels bounds a render pod's figure to what the API allows; 0 leaves the field out.
func pixels(n int) int32 { return int32(min(max(n, 0), math.MaxInt32)) }
