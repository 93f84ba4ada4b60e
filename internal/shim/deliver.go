// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/google/uuid"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/contenturl"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/plural"
)

// maxInline bounds the files that a JSON answer holds itself, in bytes: clients have the whole of it in memory, and some no longer texts.
const maxInline = 256 << 20

// deliver answers with a finished job's files, as response.type of its request says.
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, job *platenv1alpha1.RenderJob) error {
	if err := checkKept(job); err != nil {
		return err
	}
	switch kind := job.Annotations[platenv1alpha1.ResponseTypeAnnotation]; {
	case kind == typeBinary:
		return s.deliverBinary(w, r, job)
	case kind == typeBase64 && !tooLargeInline(job):
		return s.deliverInline(w, r, http.StatusOK, job, func(contents []string) any { return answer(job, typeBase64, contents) })
	default:
		writeJSON(w, http.StatusOK, answer(job, typeURL, urls(job)))
		return nil
	}
}

// The header that names the job of an answer, and those that say of a file what a JSON answer says of its job. docs/operations/rest.md describes them.
const (
	jobHeader         = "X-Platen-Job"
	warningsHeader    = "X-Platen-Warnings"
	connectionsHeader = "X-Platen-Connections"
	// maxHeader bounds each of them, in bytes.
	maxHeader = 4096
)

// describeFile sets the headers of a file: the warnings and uploads that a JSON answer would have. What does not fit is left out with a warning.
func describeFile(h http.Header, job *platenv1alpha1.RenderJob) {
	list := warnings(job)
	if uploads := uploadsOf(job, len(pictures(job, urls(job))) > 1); len(uploads) > 0 {
		if text := asciiJSON(uploads); len(text) <= maxHeader {
			h.Set(connectionsHeader, text)
		} else {
			list = append([]Warning{{longUploads, "GET /v1/studio/render-jobs/" + job.Name + " has them"}}, list...)
		}
	}
	setWarnings(h, list, "GET /v1/studio/render-jobs/"+job.Name+" has them")
}

// longUploads is the title of the warning that stands for a header of uploads.
const longUploads = "The uploads are too long for a header"

var (
	// aboutUpload matches the warnings about uploads.
	aboutUpload = regexp.MustCompile(`^Failed to upload to | connection not found for this workspace$|^` + longUploads + `$`)
	// longWarnings matches the title of the warning that stands for those which do not fit into a header.
	longWarnings = regexp.MustCompile(`^(At least )?([0-9]+) more warnings? (?:is|are) too long for a header$`)
)

// rank orders warnings: a file that is not where it belongs matters most, and a warning that stands for others comes last.
func rank(w Warning) int {
	switch {
	case aboutUpload.MatchString(w.Title):
		return 0
	case w.Title == moreWarnings || longWarnings.MatchString(w.Title):
		return 2
	default:
		return 1
	}
}

// countWarnings returns how many warnings a list has or stands for. exact is false if there are more.
func countWarnings(list []Warning) (n int, exact bool) {
	exact = true
	for _, w := range list {
		stands := longWarnings.FindStringSubmatch(w.Title)
		switch {
		case w.Title == moreWarnings:
			exact = false
		case stands != nil:
			more, _ := strconv.Atoi(stands[2]) // digits
			n, exact = n+more, exact && stands[1] == ""
		default:
			n++
		}
	}
	return n, exact
}

// setWarnings sets the header of warnings. more says where those are that do not fit.
func setWarnings(h http.Header, list []Warning, more string) {
	if len(list) == 0 {
		return
	}
	list = slices.SortedStableFunc(slices.Values(list), func(a, b Warning) int { return cmp.Compare(rank(a), rank(b)) }) // the first ones fit
	text := asciiJSON(list)
	for most := len(list) - 1; len(text) > maxHeader; most-- {
		left, exact := countWarnings(list[most:])
		if left == 0 {
			continue
		}
		verb, least := "are", ""
		if left == 1 {
			verb = "is"
		}
		if !exact {
			least = "At least "
		}
		text = asciiJSON(append(slices.Clone(list[:most]), Warning{fmt.Sprintf("%s%s %s too long for a header", least, plural.Count(left, "more warning"), verb), more}))
	}
	h.Set(warningsHeader, text)
}

// addWarnings adds to the header of warnings, for answers that have no other place for them.
func addWarnings(h http.Header, list []Warning) {
	before := make([]Warning, 0, len(list))
	_ = json.Unmarshal([]byte(h.Get(warningsHeader)), &before) // empty, or what setWarnings has written
	setWarnings(h, append(before, list...), "")
}

// asciiJSON returns a value as JSON that a header can have: other characters than those of ASCII are escaped, as Dropbox does in its headers.
func asciiJSON(value any) string {
	plain, err := encode(value)
	if err != nil {
		return "" // warnings and uploads can be encoded
	}
	var text strings.Builder
	for _, r := range strings.TrimSpace(string(plain)) {
		if r < 0x7f {
			text.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&text, `\u%04x`, unit)
		}
	}
	return text.String()
}

// deliverBinary answers with the file itself, or with a ZIP archive of several.
func (s *Server) deliverBinary(w http.ResponseWriter, r *http.Request, job *platenv1alpha1.RenderJob) error {
	if len(job.Status.Pages) == 1 {
		return s.sendFile(w, r, job.Status.Pages[0].ContentURL)
	}
	first, err := s.Open(r.Context(), job.Status.Pages[0].ContentURL)
	if err != nil {
		return err
	}
	defer func() { _ = first.Body.Close() }()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", file.Disposition(job.FileBaseName()+".zip"))
	if r.Method == http.MethodHead {
		return nil
	}
	archive := zip.NewWriter(w)
	for i, page := range job.Status.Pages {
		err := s.withFile(r.Context(), first, i, page.ContentURL, func(resp *http.Response) error {
			name, err := file.NameFromDisposition(resp.Header.Get("Content-Disposition"))
			if err != nil {
				return err
			}
			entry, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: job.CreationTimestamp.Time})
			if err != nil {
				return err
			}
			_, err = io.Copy(entry, resp.Body)
			return err
		})
		if err != nil {
			return err
		}
	}
	return archive.Close()
}

// sendFile answers with a file, or with the part of it that the request's Range names. It keeps the headers that w has already; its ETag is
// that of the file.
func (s *Server) sendFile(w http.ResponseWriter, r *http.Request, contentURL string) error {
	part, header := "", w.Header()
	// If-Range asks for the whole file if it is another one (RFC 9110, 13.1.5).
	if same := r.Header.Get("If-Range"); r.Method == http.MethodGet && (same == "" || same == header.Get("Etag")) {
		part = r.Header.Get("Range")
	}
	resp, err := s.open(r.Context(), contentURL, part)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		header.Set("Content-Range", resp.Header.Get("Content-Range"))
		return callers.Errorf(resp.StatusCode, "Range: the file has no such part")
	}
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Disposition", "Content-Range", "Accept-Ranges"} {
		if value := resp.Header.Get(name); value != "" && header.Get(name) == "" {
			header.Set(name, value)
		}
	}
	w.WriteHeader(resp.StatusCode)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err = io.Copy(w, resp.Body)
	return err
}

// deliverInline answers with JSON that has the files as data URLs. No file is in memory as a whole: deliverInline encodes the JSON with
// a placeholder for each file, and streams the file instead of the placeholder.
func (s *Server) deliverInline(w http.ResponseWriter, r *http.Request, code int, job *platenv1alpha1.RenderJob, body func(contents []string) any) error {
	placeholders := make([]string, len(job.Status.Pages))
	for i := range placeholders {
		placeholders[i] = uuid.NewString() // random, so that no text of a user equals it
	}
	text, err := encode(body(placeholders))
	if err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	first, err := s.Open(r.Context(), job.Status.Pages[0].ContentURL)
	if err != nil {
		return err
	}
	defer func() { _ = first.Body.Close() }()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	for {
		i, before, after := nextPlaceholder(text, placeholders)
		if i < 0 {
			break
		}
		text = after
		if _, err := fmt.Fprintf(w, "%sdata:%s;base64,", before, file.Format(job.Status.Format).ContentType()); err != nil { //nolint:gosec // JSON, by its type and its escapes
			return err
		}
		encoder := base64.NewEncoder(base64.StdEncoding, w)
		err := s.withFile(r.Context(), first, i, job.Status.Pages[i].ContentURL, func(resp *http.Response) error {
			_, err := io.Copy(encoder, resp.Body)
			return err
		})
		if err != nil {
			return err
		}
		if err := encoder.Close(); err != nil {
			return err
		}
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// nextPlaceholder returns the index of the placeholder that comes first in a text, and the text before and after it; -1 if there is none.
// The extra sizes of a page are beside it in an answer, and after all pages in a job.
func nextPlaceholder(text []byte, placeholders []string) (index int, before, after []byte) {
	index, at := -1, len(text)
	for i, placeholder := range placeholders {
		if found := bytes.Index(text[:at], []byte(placeholder)); found >= 0 {
			index, at = i, found
		}
	}
	if index < 0 {
		return index, text, nil
	}
	return index, text[:at], text[at+len(placeholders[index]):]
}

// withFile calls use with the answer that holds file i. The first one is open already.
func (s *Server) withFile(ctx context.Context, first *http.Response, i int, contentURL string, use func(*http.Response) error) error {
	if i == 0 {
		return use(first)
	}
	resp, err := s.Open(ctx, contentURL)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return use(resp)
}

// checkKept returns an error if a succeeded job has no files any more.
func checkKept(job *platenv1alpha1.RenderJob) error {
	if len(job.Status.Pages) == 0 || slices.ContainsFunc(job.Status.Pages, func(page platenv1alpha1.RenderedPage) bool { return page.ContentURL == "" }) {
		return callers.Errorf(http.StatusGone, "the files of the job '%s' are no longer kept; render them again", job.Name)
	}
	return nil
}

// tooLargeInline reports whether a job's files are too large for a JSON answer that holds them. It has their URLs then.
func tooLargeInline(job *platenv1alpha1.RenderJob) bool {
	size := int64(0)
	for _, page := range job.Status.Pages {
		size += ptr.Deref(page.Size, 0)
	}
	return size > maxInline
}

// Open requests a file from the content store. It goes to the content server itself, whatever address users reach that at: somebody other
// than the manager may have written the URL.
func (s *Server) Open(ctx context.Context, contentURL string) (*http.Response, error) {
	return s.open(ctx, contentURL, "")
}

// open is Open for a part of the file, which is a value of the header Range. The answer says whether it is the part.
func (s *Server) open(ctx context.Context, contentURL, part string) (*http.Response, error) {
	target, err := contenturl.At(s.ContentURL, contentURL)
	if err != nil {
		return nil, callers.Errorf(http.StatusBadGateway, "the job's status does not have a URL of the content store; look who has changed it")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil) //nolint:gosec // at the content server
	if err != nil {
		return nil, fmt.Errorf("reading a file: %w", err)
	}
	request.Header.Set(file.DirectHeader, "true")
	accepted := []int{http.StatusOK}
	if part != "" {
		request.Header.Set("Range", part)
		accepted = append(accepted, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
	}
	resp, err := s.files.Do(request) //nolint:gosec // at the content server, and redirects are not followed
	if err != nil {
		return nil, callers.Errorf(http.StatusBadGateway, "the content store does not answer; the job's files are kept: try again")
	}
	if !slices.Contains(accepted, resp.StatusCode) {
		_ = resp.Body.Close()
		return nil, callers.Errorf(http.StatusBadGateway, "the content store answers HTTP %d; the files may have been deleted", resp.StatusCode)
	}
	return resp, nil
}
