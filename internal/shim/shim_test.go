// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func TestParseNamesTheField(t *testing.T) {
	for body, want := range map[string]string{
		`[`:                   "body: must be a JSON object",
		`{}`:                  "templateId: is required",
		`{"templateId":true}`: "templateId: must be a number or a string",
		`{"templateId":1,"response":{"scale":"big"}}`:                                 "response.scale: string must be float64",
		`{"templateId":1,"response":{"type":"file"}}`:                                 "response.type: 'file' must be url, base64 or binary",
		`{"templateId":1,"response":{"mode":"later"}}`:                                "response.mode: 'later' must be sync or async",
		`{"templateId":1,"modifications":[1]}`:                                        "modifications: must be an object",
		`{"templateId":1,"connections":[{"type":"mail","provider":"dropbox"}]}`:       "connections[0].type: 'mail' must be storage",
		`{"templateId":1,"connections":[{"type":"storage","provider":"floppydisk"}]}`: "connections[0].provider: 'floppydisk' must be dropbox",
	} {
		_, _, err := parse([]byte(body))
		field := (*FieldError)(nil)
		if !errors.As(err, &field) || field.Error() != want {
			t.Errorf("%s: got %v, want %s", body, err, want)
		}
	}
}

func TestParseForgives(t *testing.T) {
	r, warnings, err := parse([]byte(`{"templateId":"25","modifications":null,"colour":"red","response":{"format":"png","dpi":3}}`))
	if err != nil || r.TemplateID != "25" || len(warnings) != 2 ||
		warnings[0].Title != "Field 'colour' is not known and was ignored" || warnings[1].Title != "Field 'response.dpi' is not known and was ignored" {
		t.Errorf("%+v, %v, %v", r, warnings, err)
	}
	if r, _, err = parse([]byte(`{"templateId":25}`)); err != nil || r.TemplateID != "25" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSpec(t *testing.T) {
	r, _, err := parse([]byte(`{"templateId":25,"modifications":{"headline":"Hi"},"response":{"format":"pdf","fileName":"f","scale":0.5,"quality":80,"includePages":[1,3]},
		"connections":[{"type":"storage","provider":"dropbox","folder":"/Marketing"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	s := spec(r, "banner", time.Hour)
	if s.TemplateRef.Name != "banner" || s.Output.Scale != "0.5" || s.Output.Format != "pdf" || len(s.Output.Pages) != 2 ||
		s.Connections[0].Folder != "/Marketing" || string(s.Modifications.Raw) != `{"headline":"Hi"}` || *s.TTLSecondsAfterFinished != 3600 {
		t.Errorf("%+v", s)
	}
	for _, body := range []string{
		`{"templateId":1,"response":{"format":"pdf"},"pdfOptions":{"margin":"20px","rangeFrom":2}}`,
		`{"templateId":1,"response":{"format":"pdf","pdfOptions":{"margin":"20px","rangeFrom":2}}}`,
	} {
		r, warnings, err := parse([]byte(body))
		if got := spec(r, "banner", time.Hour).Output.PDF; err != nil || len(warnings) != 0 || got != (platenv1alpha1.PDFOptions{Margin: "20px", RangeFrom: 2}) {
			t.Errorf("%s: %+v, %v, %v", body, got, warnings, err)
		}
	}
	r, _, err = parse([]byte(`{"templateId":1,"response":{"format":"mp4"},"videoOptions":{"fps":24,"duration":1.5,"quality":70,"muted":true}}`))
	if got := spec(r, "banner", time.Hour).Output; err != nil || got.Quality != 70 || got.Video.FPS != 24 || got.Video.Duration != "1.5" {
		t.Errorf("%+v, %v", got, err)
	}
	if spec(Request{}, "banner", time.Hour).Connections != nil {
		t.Error("a request without connections must leave them out, so that automatic ones upload")
	}
}

// job is a finished one with so many files.
func job(files int, change func(*platenv1alpha1.RenderJobStatus)) *platenv1alpha1.RenderJob {
	j := &platenv1alpha1.RenderJob{}
	j.Status.Format, j.Status.ObservedGeneration = "png", new(int64(0))
	for _, kind := range []string{platenv1alpha1.FinishedCondition, platenv1alpha1.RenderedCondition} {
		j.Status.Conditions = append(j.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue})
	}
	for n := range files {
		j.Status.Pages = append(j.Status.Pages, platenv1alpha1.RenderedPage{Page: int32(n + 1), PageID: "id"})
	}
	change(&j.Status)
	return j
}

// TestAnswers compares with the examples of the public API's documentation.
func TestAnswers(t *testing.T) {
	uploaded := func(paths ...string) func(*platenv1alpha1.RenderJobStatus) {
		return func(s *platenv1alpha1.RenderJobStatus) {
			c := platenv1alpha1.JobConnectionStatus{Type: "storage", Provider: "dropbox", Status: "success"}
			for n, path := range paths {
				c.Pages = append(c.Pages, platenv1alpha1.UploadedPage{Page: int32(n + 1), Path: path})
			}
			s.Connections = append(s.Connections, c)
		}
	}
	for _, c := range []struct {
		name     string
		job      *platenv1alpha1.RenderJob
		contents []string
		want     string
	}{
		{
			"one page uploaded", job(1, uploaded("/Marketing/Campaign-2024/abc123.png")), []string{"https://x/abc123.png"},
			`{"data": {"content": "https://x/abc123.png", "type": "url", "format": "png", "responseTime": 1200},
			  "connections": [{"type": "storage", "provider": "dropbox", "path": "/Marketing/Campaign-2024/abc123.png", "status": "success"}]}`,
		},
		{
			"several pages", job(2, uploaded("/R/t_page_1.png", "/R/t_page_2.png")), []string{"https://x/1.png", "https://x/2.png"},
			`{"data": [{"page": 1, "pageId": "id", "content": "https://x/1.png"}, {"page": 2, "pageId": "id", "content": "https://x/2.png"}],
			  "format": "png", "type": "url", "responseTime": 1200, "totalPages": 2, "renderedPages": 2,
			  "connections": [{"type": "storage", "provider": "dropbox", "status": "success",
			                   "path": [{"page": 1, "path": "/R/t_page_1.png"}, {"page": 2, "path": "/R/t_page_2.png"}]}]}`,
		},
		{
			"upload failed", job(1, func(s *platenv1alpha1.RenderJobStatus) {
				s.Warnings = []platenv1alpha1.Warning{{Title: "Failed to upload to dropbox: Token expired"}}
				s.Connections = []platenv1alpha1.JobConnectionStatus{{Type: "storage", Provider: "dropbox", Status: "error", Error: "Token expired"}}
			}), []string{"https://x/1.png"},
			`{"data": {"content": "https://x/1.png", "type": "url", "format": "png", "responseTime": 1200},
			  "warnings": [{"title": "Failed to upload to dropbox: Token expired", "details": ""}],
			  "connections": [{"type": "storage", "provider": "dropbox", "path": null, "status": "error", "error": "Token expired"}]}`,
		},
		{
			"not connected", job(1, func(s *platenv1alpha1.RenderJobStatus) {
				s.Warnings = []platenv1alpha1.Warning{{Title: "Dropbox connection not found for this workspace"}}
			}), []string{"https://x/1.png"},
			`{"data": {"content": "https://x/1.png", "type": "url", "format": "png", "responseTime": 1200},
			  "warnings": [{"title": "Dropbox connection not found for this workspace", "details": ""}]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			encoded, err := json.Marshal(answer(c.job, "url", c.contents, nil, 1200*time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(encoded, &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPatience(t *testing.T) {
	for header, want := range map[string]time.Duration{"": time.Minute, "wait=5": 5 * time.Second, "respond-async, wait=0": 0} {
		if got, err := patience(http.Header{"Prefer": {header}}, time.Minute); err != nil || got != want {
			t.Errorf("%q: %s, %v", header, got, err)
		}
	}
	for _, header := range []string{"wait=x", "wait=-1", "wait=99999"} {
		if _, err := patience(http.Header{"Prefer": {header}}, time.Minute); err == nil {
			t.Errorf("%q was accepted", header)
		}
	}
}
