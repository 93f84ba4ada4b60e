// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/contenturl"
	"github.com/platen-dev/platen/internal/destination"
	"github.com/platen-dev/platen/internal/file"
)

// galleryPage is the number of jobs on a page of the gallery.
const galleryPage = 24

// jobView is a job on the page.
type jobView struct {
	Name, Template string
	Created        time.Time
	Words          words
	Format         string
	Files          []fileView
	Connections    []platenv1alpha1.JobConnectionStatus
	Warnings       []platenv1alpha1.Warning
	Milliseconds   int64
	Finished       bool
	CanRetry       bool
	// Obstacle says why no connection takes the failed uploads of a job; empty if one does.
	Obstacle string
	// Tried is when the uploads were last retried; zero if they were not.
	Tried time.Time
	// Until is when the job is deleted with its files; zero if it stays.
	Until time.Time
	// Again is the address of the form with the values of a finished job; empty for any other.
	Again string
	// TemplateGone tells that the job's template does not exist any more.
	TemplateGone bool
	// Denied says what the visitor may not do with the job, although it could be done; empty if nothing.
	Denied string
}

// AgainText is the text of the link to Again.
func (v jobView) AgainText() string {
	if v.CanRetry || v.Obstacle != "" || v.Words.Tone == bad {
		return "Render again with other values"
	}
	return "Render again"
}

// Live tells whether the job may still change, so that the page keeps polling.
func (v jobView) Live() bool { return !v.Finished || v.Words.Tone == busy }

// Progresses tells whether something happens to the job, or will by itself.
func (v jobView) Progresses() bool { return v.Live() && v.Words.Tone != idle }

// First returns the file that represents the job; nil if there is none.
func (v jobView) First() *fileView {
	if len(v.Files) == 0 {
		return nil
	}
	return &v.Files[0]
}

// FirstPath returns the path of the first uploaded file and the number of others.
func (v jobView) FirstPath() string {
	paths := 0
	for _, f := range v.Files {
		paths += len(f.Paths)
	}
	switch {
	case paths == 0 || len(v.Files[0].Paths) == 0:
		return ""
	case paths == 1:
		return v.Files[0].Paths[0]
	default:
		return fmt.Sprintf("%s and %d more", v.Files[0].Paths[0], paths-1)
	}
}

// fileView is one file of a job.
type fileView struct {
	Page int32
	// ExtraSize of the page; empty for its own size.
	ExtraSize string
	// Source is the file's address on this page, because not every browser can reach the content store.
	Source string
	// Kind is image, video or document.
	Kind string
	// Whole is Document or Film for a file of several pages, else empty. Pages is their number; 0 if it is not known.
	Whole         string
	Pages         int
	Width, Height int32
	Size          int64
	// Paths of the uploaded file, one for each connection. Holders are the connections' names if the job has several; nil otherwise.
	Paths, Holders []string
}

func viewJob(job *platenv1alpha1.RenderJob) jobView {
	v := jobView{
		Name: job.Name, Template: job.Spec.TemplateRef.Name, Created: job.CreationTimestamp.Time, Words: jobWords(job),
		Format: string(job.Spec.Output.Format), Connections: job.Status.Connections, Warnings: slices.Clone(job.Status.Warnings),
		Finished: job.Finished(), CanRetry: uploadFailed(job) && !retrying(job),
	}
	if v.CanRetry {
		v.Tried = triedAgain(job)
	}
	if retrying(job) { // the new attempt has not failed
		v.Warnings = slices.DeleteFunc(v.Warnings, func(w platenv1alpha1.Warning) bool { return strings.HasPrefix(w.Title, "Failed to upload to ") })
	}
	if v.Finished && v.Words.Tone != busy {
		v.Again, v.Until = again(job), job.ExpirationTime()
	}
	for i, warning := range v.Warnings {
		if warning.Details != nil { // else the page would show an empty text
			v.Warnings[i].Details = new(onPage(*warning.Details))
		}
	}
	v.Milliseconds = ptr.Deref(job.Status.RenderMilliseconds, 0)
	for _, p := range job.Status.Pages {
		f := fileView{
			Page: p.Page, ExtraSize: ptr.Deref(p.ExtraSize, ""), Kind: kind(job.Spec.Output.Format), Width: p.Width, Height: p.Height,
		}
		query := url.Values{"v": {p.SHA256[:min(12, len(p.SHA256))]}, "workspace": {job.Namespace}}
		if f.ExtraSize != "" {
			query.Set("size", f.ExtraSize)
		}
		pdf, pages := job.Spec.Output.PDF, int(ptr.Deref(job.Status.RenderedPages, 0))
		switch {
		case f.Kind == "document" && pdf.RangeFrom <= 1 && pdf.RangeTo == 0:
			f.Whole, f.Pages = "Document", pages
		case f.Kind == "document":
			f.Whole = "Document"
		case job.IsFilm():
			f.Whole, f.Pages = "Film", pages
		}
		f.Source = fmt.Sprintf("/ui/renders/%s/files/%d?%s", url.PathEscape(job.Name), p.Page, query.Encode())
		f.Size = ptr.Deref(p.Size, 0)
		for _, c := range job.Status.Connections {
			for _, uploaded := range c.Pages {
				if uploaded.Page == p.Page && ptr.Deref(uploaded.ExtraSize, "") == f.ExtraSize && uploaded.Path != "" {
					f.Paths = append(f.Paths, uploaded.Path)
					if len(job.Status.Connections) > 1 {
						f.Holders = append(f.Holders, c.Name)
					}
				}
			}
		}
		v.Files = append(v.Files, f)
	}
	return v
}

// obstacles says of the jobs, by their names, why no connection of the workspace takes their failed uploads. It knows nothing if the visitor may not
// list the connections, or if there are more than the page lists.
func (v *visitor) obstacles(ctx context.Context, jobs ...*platenv1alpha1.RenderJob) (map[string]string, error) {
	failed := slices.DeleteFunc(slices.Clone(jobs), func(job *platenv1alpha1.RenderJob) bool { return !uploadFailed(job) })
	if len(failed) == 0 {
		return nil, nil
	}
	list := &platenv1alpha1.StorageConnectionList{}
	err := v.List(ctx, list, client.InNamespace(v.Workspace), client.Limit(maxConnections))
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, job := range failed {
		if obstacle := destination.FindObstacle(job, list.Items); obstacle != nil && list.Continue == "" {
			found[job.Name] = obstacle.Text
		}
	}
	return found, nil
}

// forObstacle returns the view of a job whose failed uploads no connection takes, as text says; the view as it is if text is empty.
func (v jobView) forObstacle(text string) jobView {
	if text != "" {
		v.CanRetry, v.Obstacle, v.Words.Text = false, text, pagesKept // no advice about a connection helps
	}
	return v
}

// rights are what a visitor may do with the jobs of the workspace.
type rights struct{ render, retry bool }

// rights returns the visitor's. The form creates a job, and patches it.
func (v *visitor) rights(ctx context.Context) (may rights, err error) {
	if may.retry, err = v.can(ctx, "renderjobs", "patch"); may.retry {
		may.render, err = v.can(ctx, "renderjobs", "create")
	}
	return may, err
}

// forWhoMay returns the view for a visitor, who sees no way to do what they may not, but which right is missing. titles has those of the workspace's
// templates, by their names; nil if they are not known.
func (v jobView) forWhoMay(may rights, titles map[string]string) jobView {
	if _, there := titles[v.Template]; titles != nil && !there {
		v.TemplateGone, v.Again = true, ""
	}
	var denied []string
	if v.CanRetry && !may.retry {
		v.CanRetry, denied = false, append(denied, "try its upload again")
	}
	if v.Again != "" && !may.render {
		v.Again, denied = "", append(denied, "render it again")
	}
	if len(denied) > 0 {
		v.Denied = fmt.Sprintf("Your token may not %s. An administrator of the namespace can give it the role platen-edit.", strings.Join(denied, ", or "))
	}
	return v
}

// titles returns the titles of the workspace's templates, by their names; nil if the visitor may not list them.
func (s *Server) titles(ctx context.Context, v *visitor) (map[string]string, error) {
	if ok, err := v.can(ctx, "rendertemplates", "list"); !ok {
		return nil, err
	}
	list := &platenv1alpha1.RenderTemplateList{}
	if err := s.Cache.List(ctx, list, client.InNamespace(v.Workspace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing RenderTemplates: %w", err)
	}
	titles := make(map[string]string, len(list.Items))
	for i := range list.Items {
		titles[list.Items[i].Name] = list.Items[i].Spec.Title
	}
	return titles, nil
}

func kind(format platenv1alpha1.Format) string {
	switch format {
	case platenv1alpha1.FormatPDF:
		return "document"
	case platenv1alpha1.FormatMP4, platenv1alpha1.FormatWebM:
		return "video"
	default:
		return "image"
	}
}

// galleryView is the list of jobs, newest first.
type galleryView struct {
	Jobs []jobView
	// Number of this page of the list, from 1. Older and Newer are the neighbouring pages; 0 for none.
	Number, Older, Newer int
	Total, Running       int
	// Previews tells whether the list has the previews instead of the other jobs, and Others is the number of jobs in the other list.
	Previews bool
	Others   int
	// Find is what the names of the jobs, or the names or titles of their templates, have; empty if the list has all jobs.
	Find string
	// Digest changes whenever the list looks different.
	Digest string
}

// Address returns the address of a page of the list.
func (v galleryView) Address(number int) string {
	query := v.query()
	query.Set("part", strconv.Itoa(number))
	return "/ui/renders?" + query.Encode()
}

// Other returns the address of the other list, of jobs or of previews, and All that of this one with all jobs.
func (v galleryView) Other() string {
	v.Previews = !v.Previews
	return v.first()
}

// All is like Other.
func (v galleryView) All() string {
	v.Find = ""
	return v.first()
}

// first returns the address of the first page of the list.
func (v galleryView) first() string {
	if query := v.query(); len(query) > 0 {
		return "/ui/renders?" + query.Encode()
	}
	return "/ui/renders"
}

// query is what the addresses of the list have in common.
func (v galleryView) query() url.Values {
	query := url.Values{}
	if v.Previews {
		query.Set("show", previews)
	}
	if v.Find != "" {
		query.Set("find", v.Find)
	}
	return query
}

// Words returns the words that are looked for, each on its own.
func (v galleryView) Words() string {
	words := strings.Fields(v.Find)
	for n := range words {
		words[n] = "“" + words[n] + "”"
	}
	return strings.Join(words, " and ")
}

// maxFind bounds what is looked for, in bytes: no name is longer.
const maxFind = 253

// finds reports whether the names of a job and of its template, and the template's title, have each word of a text.
func finds(job *platenv1alpha1.RenderJob, title, text string) bool {
	names := strings.ToLower(job.Name + " " + job.Spec.TemplateRef.Name + " " + title)
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		if !strings.Contains(names, word) {
			return false
		}
	}
	return true
}

// previews is the value of the query show with which the gallery lists previews.
const previews = "previews"

// gallery shows the workspace's jobs. A browser polls every two seconds and gets an answer only if something has changed.
func (s *Server) gallery(w http.ResponseWriter, r *http.Request, v *visitor) error {
	all, err := s.jobs(r.Context(), v)
	if err != nil {
		return err
	}
	may, err := v.rights(r.Context())
	if err != nil {
		return err
	}
	titles, err := s.titles(r.Context(), v)
	if err != nil {
		return err
	}
	find := strings.TrimSpace(r.URL.Query().Get("find"))
	view := galleryView{Previews: r.URL.Query().Get("show") == previews, Find: strings.ToValidUTF8(find[:min(len(find), maxFind)], "")}
	jobs := all[:0:0]
	for _, job := range all {
		switch {
		case !finds(job, titles[job.Spec.TemplateRef.Name], view.Find):
		case isPreview(job) == view.Previews:
			jobs = append(jobs, job)
		default:
			view.Others++
		}
	}
	number, err := strconv.Atoi(r.URL.Query().Get("part"))
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		number = 1
	}
	// The jobs of the last page may have expired since: the page before is the last one then.
	number = min(max(number, 1), max(1, (len(jobs)+galleryPage-1)/galleryPage))
	view.Number, view.Newer, view.Total = number, number-1, len(jobs)
	digest := sha256.New()
	for _, job := range jobs {
		if !job.Finished() && jobWords(job).Tone != idle {
			view.Running++
		}
	}
	from := min((number-1)*galleryPage, len(jobs))
	to := min(from+galleryPage, len(jobs))
	if to < len(jobs) {
		view.Older = number + 1
	}
	// The minute is part of the digest, because the ages on the page change with it.
	_, _ = fmt.Fprintln(digest, v.Workspace, view.Previews, view.Find, may, number, len(jobs), view.Others, view.Running, s.Clock.Now().Unix()/60)
	obstacles, err := v.obstacles(r.Context(), jobs[from:to]...)
	if err != nil {
		return err
	}
	for _, job := range jobs[from:to] {
		one := viewJob(job).forObstacle(obstacles[job.Name]).forWhoMay(may, titles)
		_, _ = fmt.Fprintln(digest, job.UID, job.ResourceVersion, one.TemplateGone, one.Obstacle)
		view.Jobs = append(view.Jobs, one)
	}
	view.Digest = hex.EncodeToString(digest.Sum(nil)[:12])
	if isHTMX(r) {
		if r.URL.Query().Get("seen") == view.Digest {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		s.views.fragment(w, http.StatusOK, "gallery", view)
		return nil
	}
	s.views.page(w, http.StatusOK, "renders", page{Title: "Renders", Section: "renders", Session: v.session, Body: view})
	return nil
}

func isPreview(job *platenv1alpha1.RenderJob) bool {
	return job.Labels[platenv1alpha1.PreviewLabel] == "true"
}

// jobs returns the jobs of the visitor's workspace, newest first. They belong to the cache: do not change them.
func (s *Server) jobs(ctx context.Context, v *visitor) ([]*platenv1alpha1.RenderJob, error) {
	if err := v.authorize(ctx, "list", "renderjobs"); err != nil {
		return nil, err
	}
	list := &platenv1alpha1.RenderJobList{}
	if err := s.Cache.List(ctx, list, client.InNamespace(v.Workspace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing RenderJobs: %w", err)
	}
	jobs := make([]*platenv1alpha1.RenderJob, 0, len(list.Items))
	for i := range list.Items {
		jobs = append(jobs, &list.Items[i])
	}
	slices.SortFunc(jobs, func(a, b *platenv1alpha1.RenderJob) int {
		if order := b.CreationTimestamp.Compare(a.CreationTimestamp.Time); order != 0 {
			return order
		}
		return strings.Compare(b.Name, a.Name)
	})
	return jobs, nil
}

// findJob reads a job with the visitor's rights.
func (s *Server) findJob(ctx context.Context, v *visitor, name string) (*platenv1alpha1.RenderJob, error) {
	if err := v.authorize(ctx, "get", "renderjobs"); err != nil {
		return nil, err
	}
	job := &platenv1alpha1.RenderJob{}
	err := s.Cache.Get(ctx, client.ObjectKey{Namespace: v.Workspace, Name: name}, job)
	if apierrors.IsNotFound(err) {
		// The cache may not know a new job yet.
		err = v.Get(ctx, client.ObjectKey{Namespace: v.Workspace, Name: name}, job)
	}
	if apierrors.IsNotFound(err) {
		return nil, &problem{
			Status: http.StatusNotFound, Title: "There is no such render",
			Text: fmt.Sprintf("The workspace %s has no render '%.253s'. It is of another workspace, or not kept any more: it was deleted, or its time to live has passed. Uploaded files stay where they are.", v.Workspace, name),
			Link: "/ui/renders", LinkText: "All renders",
		}
	}
	return job, err
}

func (s *Server) job(w http.ResponseWriter, r *http.Request, v *visitor) error {
	job, err := s.findJob(r.Context(), v, r.PathValue("job"))
	if err != nil {
		return err
	}
	return s.showJob(w, r, v, job)
}

func (s *Server) showJob(w http.ResponseWriter, r *http.Request, v *visitor, job *platenv1alpha1.RenderJob) error {
	view, err := s.viewFor(r.Context(), v, job)
	if err != nil {
		return err
	}
	if isHTMX(r) {
		s.views.fragment(w, http.StatusOK, "result", view)
		return nil
	}
	s.views.page(w, http.StatusOK, "job", page{Title: job.Name, Section: "renders", Session: v.session, Body: view})
	return nil
}

// viewFor returns the view of a job for a visitor.
func (s *Server) viewFor(ctx context.Context, v *visitor, job *platenv1alpha1.RenderJob) (jobView, error) {
	may, err := v.rights(ctx)
	if err != nil {
		return jobView{}, err
	}
	titles, err := s.titles(ctx, v)
	if err != nil {
		return jobView{}, err
	}
	obstacles, err := v.obstacles(ctx, job)
	return viewJob(job).forObstacle(obstacles[job.Name]).forWhoMay(may, titles), err
}

// retry retries the uploads of a job, unless no connection takes them.
func (s *Server) retry(w http.ResponseWriter, r *http.Request, v *visitor) error {
	job, err := s.findJob(r.Context(), v, r.PathValue("job"))
	if err != nil {
		return err
	}
	obstacles, err := v.obstacles(r.Context(), job)
	if err != nil {
		return err
	}
	if obstacles[job.Name] == "" { // else the page says what it is
		if err := s.askToRetry(r.Context(), v, job); err != nil {
			return err
		}
	}
	if !isHTMX(r) {
		http.Redirect(w, r, "/ui/renders/"+url.PathEscape(job.Name), http.StatusSeeOther)
		return nil
	}
	part := "result"
	if r.PostFormValue("as") == "card" {
		part = "card"
	}
	view, err := s.viewFor(r.Context(), v, job)
	if err != nil {
		return err
	}
	s.views.fragment(w, http.StatusOK, part, view)
	return nil
}

// askToRetry asks the manager to retry the uploads of a job.
func (s *Server) askToRetry(ctx context.Context, api client.Client, job *platenv1alpha1.RenderJob) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{platenv1alpha1.RetryUploadsAnnotation: s.Clock.Now().UTC().Format(time.RFC3339Nano)},
	}})
	if err != nil {
		return err
	}
	return api.Patch(ctx, job, client.RawPatch(types.MergePatchType, patch))
}

// fileTypes are the content types of rendered files. The page serves no others.
var fileTypes = []string{"image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "video/mp4", "video/webm", "application/pdf"}

// file serves a file of a job, because not every browser can reach the content store.
func (s *Server) file(w http.ResponseWriter, r *http.Request, v *visitor) error {
	job, err := s.findJob(r.Context(), v, r.PathValue("job"))
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(r.PathValue("page"), 10, 32)
	if err != nil {
		return &problem{Status: http.StatusNotFound, Title: "There is no such page"}
	}
	wanted := func(p platenv1alpha1.RenderedPage) bool {
		return int64(p.Page) == number && ptr.Deref(p.ExtraSize, "") == r.URL.Query().Get("size") && strings.HasPrefix(p.SHA256, r.URL.Query().Get("v"))
	}
	i := slices.IndexFunc(job.Status.Pages, wanted)
	if i < 0 {
		// Another replica, whose cache is ahead of this one's, may have made the link.
		if err := v.Get(r.Context(), client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		i = slices.IndexFunc(job.Status.Pages, wanted)
	}
	if i < 0 {
		return &problem{Status: http.StatusNotFound, Title: "There is no such page", Text: "The job may have been rendered again: look at its newest files.", Link: "/ui/renders/" + url.PathEscape(job.Name), LinkText: "The render"}
	}
	// Fetch only from the content server: someone other than the manager may have written the status.
	source, err := contenturl.At(s.ContentURL, job.Status.Pages[i].ContentURL)
	if err != nil {
		return &problem{Status: http.StatusBadGateway, Title: "The file is not in the content store", Text: "The job's status does not have a URL of the content store. Render it again."}
	}
	return s.proxyFile(w, r, source)
}

// proxyFile fetches a file from the content store and serves it.
func (s *Server) proxyFile(w http.ResponseWriter, r *http.Request, source string) error {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, source, nil)
	if err != nil {
		return err
	}
	request.Header.Set(file.DirectHeader, "true")
	if part := r.Header.Get("Range"); part != "" {
		request.Header.Set("Range", part)
	}
	resp, err := s.files.Do(request)
	if err != nil {
		return &problem{Status: http.StatusBadGateway, Title: "The content store does not answer", Text: "The file is kept. Try again in a moment."}
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
	case http.StatusNotFound, http.StatusForbidden:
		return &problem{Status: http.StatusNotFound, Title: "This file is no longer kept", Text: "Render it again."}
	default:
		return &problem{Status: http.StatusBadGateway, Title: "The content store did not return the file", Text: fmt.Sprintf("It answered HTTP %d. Try again in a moment.", resp.StatusCode)}
	}
	contentType := resp.Header.Get("Content-Type")
	if !slices.Contains(fileTypes, contentType) {
		return fmt.Errorf("the content store answers with the content type %q", contentType)
	}
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Range", "Accept-Ranges", "Content-Disposition"} {
		if value := resp.Header.Get(name); value != "" {
			h.Set(name, value)
		}
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cache-Control", "private, max-age=86400, immutable")
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // fails only if the visitor or the content store is gone
	return nil
}
