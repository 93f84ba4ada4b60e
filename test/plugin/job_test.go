// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/suite"
)

// studio creates a namespace with a template.
func studio(t *testing.T) string {
	t.Helper()
	namespace := workspace(t)
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "banner"}}
	template.Spec.Parameters = []platenv1alpha1.Parameter{
		{Name: "headline", Required: new(true), Description: "The large line"},
		{Name: "price", Type: platenv1alpha1.ParameterNumber},
		{Name: "accent", Type: platenv1alpha1.ParameterColor, Default: &apiextensionsv1.JSON{Raw: []byte(`"#f5b82e"`)}},
		{Name: "dark", Type: platenv1alpha1.ParameterBoolean},
		{Name: "points", Type: platenv1alpha1.ParameterList},
	}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{
		{Name: "front", Width: 120, Height: 63, HTML: `<h1 data-param="headline">x</h1>`}, {Name: "back", Width: 120, Height: 63, HTML: "<p>back"},
	}
	if err := api.Create(t.Context(), template); err != nil {
		t.Fatal(err)
	}
	return namespace
}

// theJob waits for the job of a namespace.
func theJob(ctx context.Context, namespace string) (*platenv1alpha1.RenderJob, error) {
	job := &platenv1alpha1.RenderJob{}
	err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		list := &platenv1alpha1.RenderJobList{}
		if err := api.List(ctx, list, client.InNamespace(namespace)); err != nil || len(list.Items) == 0 {
			return false, err
		}
		*job = list.Items[0]
		return true, nil
	})
	return job, err
}

// finish plays the manager: it sets the status of the job of a namespace, first to rendering and then with end.
func finish(ctx context.Context, namespace string, end func(*platenv1alpha1.RenderJob)) error {
	job, err := theJob(ctx, namespace)
	if err != nil {
		return err
	}
	job.Status.ObservedGeneration = &job.Generation
	suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.RenderingReason, "being rendered")
	job.Status.RenderedPages = new(int32(1))
	if err := api.Status().Update(ctx, job); err != nil {
		return err
	}
	job.Status.RenderedPages = new(int32(2))
	end(job)
	return api.Status().Update(ctx, job)
}

// rendered returns an end with files at a URL.
func rendered(base string, files ...string) func(*platenv1alpha1.RenderJob) {
	return func(job *platenv1alpha1.RenderJob) {
		suite.SetCondition(job, platenv1alpha1.RenderedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason, "2 pages rendered")
		suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason, "2 pages rendered")
		suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason, "2 pages rendered")
		job.Status.Format = platenv1alpha1.FormatPNG
		for i, data := range files {
			name := job.Name
			if given := job.Spec.Output.FileName; given != "" {
				name = string(given)
			}
			if len(files) > 1 {
				name += fmt.Sprintf("_page_%d", i+1)
			}
			sum := sha256.Sum256([]byte(data))
			job.Status.Pages = append(job.Status.Pages, platenv1alpha1.RenderedPage{
				Page: int32(i + 1), ContentURL: base + "/content/" + data + "?n=" + url.QueryEscape(name+".png"), Size: new(int64(len(data))), SHA256: hex.EncodeToString(sum[:]), Width: 120, Height: 63,
			})
		}
	}
}

// notUploaded returns an end with a file whose upload has failed.
func notUploaded(base string) func(*platenv1alpha1.RenderJob) {
	return func(job *platenv1alpha1.RenderJob) {
		rendered(base, "one")(job)
		suite.SetCondition(job, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, "TokenExpired", "StorageConnection 'dropbox': Token expired")
		suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededWithWarningsReason, "1 page rendered; Failed to upload to dropbox: Token expired")
		job.Status.Connections = []platenv1alpha1.JobConnectionStatus{{
			Name: "storage", Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Status: platenv1alpha1.UploadError, Error: "Token expired",
		}}
		job.Status.Warnings = []platenv1alpha1.Warning{{Title: "Failed to upload to dropbox: Token \x1b[31mexpired", Details: new("Connect it again")}}
	}
}

// withStorage makes the StorageConnection of notUploaded.
func withStorage(t *testing.T, namespace string) {
	t.Helper()
	connection := &platenv1alpha1.StorageConnection{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "storage"},
		Spec: platenv1alpha1.StorageConnectionSpec{
			Provider: platenv1alpha1.ProviderDropbox, Dropbox: &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "storage"}},
		},
	}
	if err := api.Create(t.Context(), connection); err != nil {
		t.Fatal(err)
	}
}

// content serves files whose bytes are the last part of their path, or the bytes in wrong for that part. The parameter n is their name, which
// the answer does not have if there is a parameter quiet.
func content(t *testing.T, wrong map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/content/")
		if other, ok := wrong[name]; ok {
			name = other
		}
		if !r.URL.Query().Has("quiet") {
			w.Header().Set("Content-Disposition", mime.FormatMediaType("inline", map[string]string{"filename": r.URL.Query().Get("n")}))
		}
		_, _ = w.Write([]byte(name))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestRenderAndFetch(t *testing.T) {
	namespace, folder := studio(t), filepath.Join(t.TempDir(), "new", "folder")
	ended := make(chan error, 1)
	base := content(t, nil)
	go func() { ended <- finish(t.Context(), namespace, rendered(base, "one", "two")) }()
	r := platen(t, "render", "banner", "-n", namespace, "--set", "headline=Hello = World", "--set", "price=12.50", "--set", "dark=true", "--set", `points=["a"]`,
		"--set", "page2@price=3", "--set", "title.color=red", "--set", "paid=false", "--set", "count=3", "--set-string", "answer=false", "--set-json", `extra={"a":1}`, "--format", "png", "--file-name", "summer", "--scale", "2", "--pages", "1,2",
		"--folder", "/Summer", "--ttl", "1h", "-o", folder)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(folder, "summer_page_1.png") + "\n" + filepath.Join(folder, "summer_page_2.png") + "\n"
	if r.code != 0 || r.out != want || !strings.Contains(r.errOut, "Rendering, 1 of 2 pages done") {
		t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
	}
	if data, err := os.ReadFile(filepath.Join(folder, "summer_page_2.png")); err != nil || string(data) != "two" {
		t.Errorf("%q, %v", data, err)
	}
	job, err := theJob(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := json.Unmarshal(job.Spec.Modifications.Raw, &values); err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(values)
	if string(got) != `{"answer":"false","count":3,"dark":true,"extra":{"a":1},"headline":"Hello = World","page2@price":3,"paid":false,"points":["a"],"price":12.5,"title.color":"red"}` {
		t.Errorf("modifications %s", got)
	}
	type flags struct {
		Scale, FileName string
		Pages           []int32
		Folder          platenv1alpha1.FolderPath
		TTL             int32
	}
	output := job.Spec.Output
	wantFlags := flags{Scale: "2", FileName: "summer", Pages: []int32{1, 2}, Folder: "/Summer", TTL: 3600}
	gotFlags := flags{string(output.Scale), string(output.FileName), output.Pages, job.Spec.Connections[0].Folder, *job.Spec.TTLSecondsAfterFinished}
	if diff := cmp.Diff(wantFlags, gotFlags); diff != "" || !strings.HasPrefix(job.Name, "banner-") {
		t.Errorf("job %s: %s", job.Name, diff)
	}
}

// made creates a job, and finishes it as the manager does if end is not nil.
func made(t *testing.T, namespace, name string, end func(*platenv1alpha1.RenderJob)) {
	t.Helper()
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	job.Spec.TemplateRef.Name = "banner"
	if err := api.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if end == nil {
		return
	}
	job.Status.ObservedGeneration = &job.Generation
	job.Status.RenderedPages = new(int32(1))
	end(job)
	if err := api.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}

func TestFetch(t *testing.T) {
	namespace, base := studio(t), content(t, map[string]string{"forged": "others"})
	made(t, namespace, "well", rendered(base, "one", "two"))
	made(t, namespace, "upload", notUploaded(base))
	made(t, namespace, "uploading", func(job *platenv1alpha1.RenderJob) {
		rendered(base, "one")(job)
		suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.UploadingReason, "being uploaded")
		suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionFalse, platenv1alpha1.UploadingReason, "being uploaded")
	})
	made(t, namespace, "forged", rendered(base, "forged"))
	made(t, namespace, "nameless", func(job *platenv1alpha1.RenderJob) {
		rendered(base, "one")(job)
		job.Status.Pages[0].ContentURL += "&quiet=1"
	})
	made(t, namespace, "outside", func(job *platenv1alpha1.RenderJob) {
		rendered(base, "one")(job)
		job.Status.Pages[0].ContentURL = base + "/content/one?quiet=1&n=..%2Foutside.png"
	})
	made(t, namespace, "gone", func(job *platenv1alpha1.RenderJob) { rendered(base, "one")(job); job.Status.Pages[0].ContentURL = "" })
	made(t, namespace, "broken", func(job *platenv1alpha1.RenderJob) {
		for _, kind := range []string{platenv1alpha1.RenderedCondition, platenv1alpha1.ReadyCondition} {
			suite.SetCondition(job, kind, metav1.ConditionFalse, "RenderFailed", "the page has no end")
		}
		suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, "Failed", "the page has no end")
	})
	made(t, namespace, "new", nil)
	made(t, namespace, "paused", func(job *platenv1alpha1.RenderJob) {
		suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.SuspendedReason, "spec.suspend is true")
	})
	made(t, namespace, "lost", func(job *platenv1alpha1.RenderJob) {
		suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.TemplateNotFoundReason, "RenderTemplate 'bannr' does not exist")
	})
	for name, x := range map[string]struct {
		args  []string
		code  int
		text  string
		files []string
	}{
		"all pages":            {args: []string{"well"}, files: []string{"well_page_1.png", "well_page_2.png"}},
		"several jobs":         {args: []string{"well", "gone", "upload", "nope"}, code: 1, text: "2 of 4 jobs did not succeed:", files: []string{"well_page_1.png", "well_page_2.png", "upload.png"}},
		"not uploaded":         {args: []string{"upload"}, files: []string{"upload.png"}},
		"being uploaded":       {args: []string{"uploading", "--wait"}, files: []string{"uploading.png"}},
		"a name from the URL":  {args: []string{"nameless"}, files: []string{"nameless.png"}},
		"no name for a folder": {args: []string{"outside"}, code: 1, text: `the file name "../outside.png" is not allowed`},
		"other bytes":          {args: []string{"forged"}, code: 1, text: "the bytes are not those of the file in the job's status"},
		"files that are gone":  {args: []string{"gone"}, code: 1, text: "does not keep the files of RenderJob " + namespace + "/gone any more"},
		"a failed job":         {args: []string{"broken", "--wait"}, code: 3, text: "Next: Look at the template on this machine, correct it, then render the job again:\n  kubectl platen preview banner"},
		"not yet":              {args: []string{"new"}, code: 1, text: "is not rendered yet (Pending: Platen has not looked at it yet): wait for it with --wait"},
		"suspended":            {args: []string{"paused"}, code: 1, text: "RenderJob " + namespace + "/paused is not rendered yet (Suspended: spec.suspend is true)\n"},
		"not without a change": {args: []string{"lost"}, code: 1, text: "RenderJob " + namespace + "/lost is not rendered yet (TemplateNotFound: RenderTemplate 'bannr' does not exist)\n"},
		"with advice":          {args: []string{"lost"}, code: 1, text: "Next: Create the template, or correct spec.templateRef.name; the job then starts by itself."},
		"never":                {args: []string{"new", "--wait", "--timeout", "300ms"}, code: 5, text: "has not finished within 300ms and goes on"},
		"without a template":   {args: []string{"lost", "--wait", "--timeout", "300ms"}, code: 5, text: "TemplateNotFound: RenderTemplate 'bannr' does not exist"},
		"no such job":          {args: []string{"wel"}, code: 1, text: "RenderJob 'wel' does not exist in namespace " + namespace + "; did you mean 'well'? there are: "},
		"no job":               {code: 2, text: "name the job"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			folder, lines := filepath.Join(parent, "out"), &strings.Builder{}
			for _, file := range x.files {
				fmt.Fprintln(lines, filepath.Join(folder, file))
			}
			want := lines.String()
			r := platen(t, append([]string{"fetch", "-n", namespace, "-o", folder}, x.args...)...)
			if r.code != x.code || r.out != want || !strings.Contains(r.errOut, x.text) {
				t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
			}
			left, _ := filepath.Glob(filepath.Join(parent, "*", "*"))
			beside, _ := filepath.Glob(filepath.Join(parent, "*.png"))
			if len(left) != len(x.files) || len(beside) > 0 {
				t.Errorf("left %v, %v", left, beside)
			}
		})
	}
}

func TestFetchWaitsAndReplaces(t *testing.T) {
	namespace, folder := studio(t), t.TempDir()
	path := filepath.Join(folder, "later.png")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	made(t, namespace, "later", nil)
	base := content(t, nil)
	ended := make(chan error, 1)
	go func() { ended <- finish(t.Context(), namespace, rendered(base, "one")) }()
	r := platen(t, "fetch", "later", "--wait", "-n", namespace, "-o", folder)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if r.code != 0 || r.out != path+"\n" || err != nil || string(data) != "one" {
		t.Errorf("exit code %d, out %q, error %q; the file has %q, %v", r.code, r.out, r.errOut, data, err)
	}
}

func TestRenderEnds(t *testing.T) {
	base := content(t, map[string]string{"forged": "others"})
	for name, x := range map[string]struct {
		end  func(*platenv1alpha1.RenderJob)
		args []string
		code int
		text []string
	}{
		"failed": {end: func(job *platenv1alpha1.RenderJob) {
			suite.SetCondition(job, platenv1alpha1.RenderedCondition, metav1.ConditionFalse, "InvalidModifications", "spec.modifications.headline is required by the template")
			suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, "InvalidModifications", "spec.modifications.headline is required by the template")
			suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, "Failed", "spec.modifications.headline is required by the template")
		}, args: []string{"--wait"}, code: 2, text: []string{"failed: --set headline is required", "kubectl platen templates banner"}},
		"failed for two reasons": {end: func(job *platenv1alpha1.RenderJob) {
			const message = `spec.modifications.price: "x; y" must be a number, such as 12.5; spec.modifications.headline is required by the template; is 'hedline' a misspelling of it?; and 3 more`
			suite.SetCondition(job, platenv1alpha1.RenderedCondition, metav1.ConditionFalse, "InvalidModifications", message)
			suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, "InvalidModifications", message)
			suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, "Failed", message)
		}, args: []string{"--wait"}, code: 2, text: []string{`failed: 5 mistakes in the values:
  --set price: "x; y" must be a number, such as 12.5
  --set headline is required by the template; is 'hedline' a misspelling of it?
  and 3 more
`}},
		"a film that is too long": {end: func(job *platenv1alpha1.RenderJob) {
			const message = "spec.output.video.duration: '100' must be a decimal number of seconds from 0.1 to 60"
			suite.SetCondition(job, platenv1alpha1.RenderedCondition, metav1.ConditionFalse, "InvalidSpec", message)
			suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, "InvalidSpec", message)
			suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, "Failed", message)
		}, args: []string{"--wait", "--format", "mp4", "--duration", "100"}, code: 2, text: []string{"failed: --duration: '100' must be a decimal number of seconds from 0.1 to 60", "Next: Correct what the message names; the job then renders by itself:\n  kubectl edit renderjob job -n plugin-"}},
		"not uploaded": {
			end: notUploaded(base), args: []string{"--wait"}, code: 4,
			text: []string{"Not uploaded to storage: Token expired", "Warning: Failed to upload to dropbox: Token  [31mexpired", "kubectl platen connect dropbox storage -n"},
		},
		"too slow": {end: func(*platenv1alpha1.RenderJob) {}, args: []string{"--wait", "--timeout", "500ms"}, code: 5, text: []string{"has not finished within 500ms and goes on (Rendering: being rendered)"}},
		"forged":   {end: rendered(base, "forged"), args: []string{"-o", t.TempDir()}, code: 1, text: []string{"the bytes are not those of the file in the job's status"}},
		"gone":     {end: rendered("http://127.0.0.1:1", "one"), args: []string{"-o", t.TempDir()}, code: 1, text: []string{"connection refused", "through the API server", "; no content server is ready in namespace platen-system: "}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := studio(t)
			ended := make(chan error, 1)
			go func() { ended <- finish(t.Context(), namespace, x.end) }()
			r := platen(t, append([]string{"render", "banner", "-n", namespace, "--set", "headline=x", "--name", "job"}, x.args...)...)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			for _, text := range x.text {
				if all := r.out + r.errOut; r.code != x.code || !strings.Contains(all, text) {
					t.Errorf("exit code %d, no %q in\n%s", r.code, text, all)
				}
			}
			if x.args[0] == "-o" {
				if left, err := os.ReadDir(x.args[1]); err != nil || len(left) > 0 {
					t.Errorf("the folder holds %v, %v", left, err)
				}
			}
		})
	}
}

// Programs read the names of the files. The rest goes to the standard error, and what was said before the render is not said again.
func TestRenderPrintsTheNamesOfTheFilesAlone(t *testing.T) {
	namespace, folder, base := studio(t), t.TempDir(), content(t, nil)
	ended := make(chan error, 1)
	go func() {
		ended <- finish(t.Context(), namespace, func(job *platenv1alpha1.RenderJob) {
			rendered(base, "one")(job)
			job.Status.Warnings = []platenv1alpha1.Warning{
				{Title: "Modification headlin is not used by the page"}, {Title: "Modification titel.color names no element"}, {Title: "Modification page2@x: the template has 1 page"},
				{Title: `Modification "a b" is not used by the page`}, {Title: "Font Nowhere is not installed"},
			}
			job.Status.Connections = []platenv1alpha1.JobConnectionStatus{{
				Name: "storage", Status: platenv1alpha1.UploadSuccess, Pages: []platenv1alpha1.UploadedPage{{Page: 1, Path: "/Renders/job.png"}},
			}}
		})
	}()
	r := platen(t, "render", "banner", "-n", namespace, "--set", "headline=x", "--set", "headlin=x", "--set", "titel.color=red", "--set", "page2@x=y", "--set", "a b=c", "--name", "job", "-o", folder)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(folder, "job.png") + "\n"; r.code != 0 || r.out != want {
		t.Errorf("exit code %d, out %q, want %q", r.code, r.out, want)
	}
	for text, times := range map[string]int{"/Renders/job.png": 1, "no page uses --set headlin;": 1, "--set titel.color": 1, "--set page2@x": 1, "--set a b": 1, "Warning: Font Nowhere is not installed": 1, "Modification ": 0} {
		if n := strings.Count(r.errOut, text); n != times {
			t.Errorf("%q stands %d times in\n%s", text, n, r.errOut)
		}
	}
}

func TestRenderAtATerminal(t *testing.T) {
	namespace := studio(t)
	ended := make(chan error, 1)
	base := content(t, nil)
	terminal, _ := open(t, noBrowser, "render", "banner", "-n", namespace, "--set", "headline=Hello", "--wait")
	terminal.await(`\r\[ {24}\] Waiting for a render pod, 0\.\d s`)
	go func() { ended <- finish(t.Context(), namespace, rendered(base, "one", "two")) }()
	code, text := terminal.end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	_, after, cleared := strings.Cut(text, "\r\x1b[K2 png files")
	if code != 0 || !cleared || !strings.Contains(after, "page 2  120x63  3 B  "+base) || strings.Contains(after, "[=") {
		t.Errorf("exit code %d\n%q", code, text)
	}
}

func TestRenderRefuses(t *testing.T) {
	namespace := studio(t)
	if r := platen(t, "render", "banner", "-n", namespace, "--set", "headline=x", "--name", "taken"); r.code != 0 {
		t.Fatal(r.errOut)
	}
	file := write(t, "")
	for _, command := range []string{"preview", "lint"} {
		if r := platen(t, command, file, "-n", namespace); r.code != 2 || !strings.Contains(r.errOut, file+" is a file, and no name of a template") {
			t.Errorf("%s: exit code %d\n%s", command, r.code, r.errOut)
		}
	}
	for name, x := range map[string]struct {
		args []string
		code int
		text string
	}{
		"no template":      {code: 2, text: "name the template"},
		"two templates":    {args: []string{"a", "b"}, code: 2, text: `unexpected "b"`},
		"a file":           {args: []string{file}, code: 2, text: file + " is a file, and no name of a template: preview and lint take it with -f " + file},
		"a connection":     {args: []string{"banner", "--set", "headline=x", "--connection", "nope"}, code: 1, text: "which has none; choose another with -n, or connect an account with kubectl platen connect dropbox -n " + namespace},
		"a wrong template": {args: []string{"bannr"}, code: 1, text: "RenderTemplate 'bannr' does not exist in namespace " + namespace + "; did you mean 'banner'? there are: banner"},
		"a wrong number":   {args: []string{"banner", "--set", "price=cheap"}, code: 2, text: "--set price: \"cheap\" must be a number, such as 12.5 (the parameter of template 'banner' is of type number)"},
		"a wrong boolean":  {args: []string{"banner", "--set", "dark=yes"}, code: 2, text: "must be true or false"},
		"a wrong list":     {args: []string{"banner", "--set", "points=[a"}, code: 2, text: "must be a list: JSON"},
		"no value":         {args: []string{"banner", "--set", "headline"}, code: 2, text: "--set must be KEY=VALUE"},
		"no JSON":          {args: []string{"banner", "--set-json", "headline=Hello"}, code: 2, text: `--set-json headline: "Hello" is not JSON`},
		"a wrong format":   {args: []string{"banner", "--format", "bmp"}, code: 2, text: "--format must be one of png"},
		"a wrong scale":    {args: []string{"banner", "--scale", "11"}, code: 2, text: "--scale: '11' must be a decimal number from 0.1 to 10"},
		"a wrong folder":   {args: []string{"banner", "--set", "headline=x", "--folder", "/a/../b"}, code: 2, text: "--folder: \"/a/../b\" must not have a component that is '.' or '..'"},
		"a wrong flag":     {args: []string{"banner", "--colour", "red"}, code: 2, text: "unknown flag: --colour"},
		"both":             {args: []string{"banner", "--no-upload", "--folder", "/x"}, code: 2, text: "--no-upload excludes"},
		"no scale":         {args: []string{"banner", "--scale", "0"}, code: 2, text: "--scale: '0' must be"},
		"a wrong fps":      {args: []string{"banner", "--format", "mp4", "--fps", "40"}, code: 2, text: "--fps: 40 must be from 1 to 30"},
		"a still film":     {args: []string{"banner", "--fps", "20"}, code: 2, text: "--fps needs --format mp4 or webm or gif, not png"},
		"no duration":      {args: []string{"banner", "--format", "mp4", "--duration", "0"}, code: 2, text: "--duration: '0' must be a decimal number of seconds from 0.1 to 60"},
		"a wrong margin":   {args: []string{"banner", "--format", "pdf", "--margin", "1em"}, code: 2, text: "--margin: '1em' must be a length"},
		"a png's margin":   {args: []string{"banner", "--margin", "1cm"}, code: 2, text: "--margin needs --format pdf, not png"},
		"no page":          {args: []string{"banner", "--pages", "0"}, code: 2, text: "--pages: 0 must be from 1 to 2, the number of pages of RenderTemplate 'banner'; the first page is 1"},
		"a third page":     {args: []string{"banner", "--pages", "3"}, code: 2, text: "--pages: 3 must be from 1 to 2"},
		"a page twice":     {args: []string{"banner", "--pages", "1,1"}, code: 2, text: "--pages: 1 must be named once"},
		"a high quality":   {args: []string{"banner", "--quality", "101"}, code: 2, text: "--quality: 101 must be from 1 to 100"},
		"no quality":       {args: []string{"banner", "--quality", "0"}, code: 2, text: "--quality: 0 must be from 1 to 100"},
		"a file's folder":  {args: []string{"banner", "--file-name", "a/b"}, code: 2, text: "--file-name: "},
		"a space first":    {args: []string{"banner", "--set", "headline=x", "--file-name", " a"}, code: 2, text: "--file-name: \" a\" must not start with a space or a dot"},
		"a relative one":   {args: []string{"banner", "--set", "headline=x", "--folder", "Foo"}, code: 2, text: "--folder: \"Foo\" must start with a slash"},
		"without sending":  {args: []string{"banner", "--set", "headline=x", "--folder", "Foo", "--dry-run"}, code: 2, text: "--folder: \"Foo\" must start with a slash"},
		"a size twice":     {args: []string{"banner", "--set", "headline=x", "--extra-sizes", "9x9,9x9", "--dry-run"}, code: 2, text: "--extra-sizes: each size must be named once"},
		"a wide list":      {args: []string{"banner", "--set", "headline=x", "-o", "wide"}, code: 2, text: "-o wide: a job is printed as json, yaml or name; ./wide is a folder"},
		"a format":         {args: []string{"banner", "--set", "headline=x", "-o", "png"}, code: 2, text: "-o png: the format of the files is --format png; ./png is a folder"},
		"a template":       {args: []string{"banner", "--set", "headline=x", "-o", "jsonpath={.metadata.name}"}, code: 2, text: "-o jsonpath={.metadata.name}: a job is printed as json, yaml or name; ./jsonpath={.metadata.name} is a folder"},
		"a wrong name":     {args: []string{"banner", "--set", "headline=x", "--name", "A_b"}, code: 2, text: "--name: "},
		"a path":           {args: []string{"../x"}, code: 2, text: "no RenderTemplate can have the name '../x': names have small letters, digits, hyphens and dots"},
		"a wrong size":     {args: []string{"banner", "--size", "squar"}, code: 2, text: "--size: 'squar' must be a width and a height of 1 to 5000 CSS pixels, such as 1080x1080, or a name such as instagram-post; did you mean 'square'?"},
		"an extra size":    {args: []string{"banner", "--extra-sizes", "squar"}, code: 2, text: "--extra-sizes: 'squar' must be"},
		"an object":        {args: []string{"banner", "--set-json", `points={"a":1}`}, code: 2, text: `--set-json points: {"a":1} must be a list`},
		"a text":           {args: []string{"banner", "--set-string", "price=abc"}, code: 2, text: `--set-string price: "abc" must be a number`},
		"a missing value":  {args: []string{"banner"}, code: 2, text: "--set headline is required by the template"},
		"four mistakes": {args: []string{"banner", "--set", "price=cheap", "--set", "dark=yes", "--set-string", "accent=bleu"}, code: 2, text: `error: 4 mistakes in the values:
  --set price: "cheap" must be a number, such as 12.5 (the parameter of template 'banner' is of type number)
  --set dark: "yes" must be true or false (the parameter of template 'banner' is of type boolean)
  --set-string accent: "bleu" must be a CSS colour or gradient, such as #0a7 or rebeccapurple
  --set headline is required by the template
See '`},
		"a shape and a value": {args: []string{"banner", "--set", "headline", "--set", "dark=yes"}, code: 2, text: `error: 3 mistakes in the values:
  --set must be KEY=VALUE, not "headline"
  --set dark: `},
		"flags of all kinds": {
			args: []string{"banner", "--name", "A_b", "--scale", "11", "--set", "price=cheap", "--folder", "Foo", "--ttl", "1s"}, code: 2,
			text: "error: --name: \"A_b\" must be lower-case letters, digits, hyphens and dots, with a letter or a digit first and last, and at most 253 of them\n" +
				"3 mistakes:\n  --scale: '11' must be a decimal number from 0.1 to 10\n  --set price: \"cheap\" must be a number, such as 12.5 (the parameter of template 'banner' is of type number)\n" +
				"  --set headline is required by the template\n--folder: \"Foo\" must start with a slash",
		},
		"a taken name": {args: []string{"banner", "--set", "headline=x", "--name", "taken"}, code: 1, text: "exists already: give another --name"},
	} {
		t.Run(name, func(t *testing.T) {
			r := platen(t, append([]string{"render", "-n", namespace}, x.args...)...)
			if r.code != x.code || !strings.Contains(r.errOut, x.text) || r.out != "" || strings.Contains(r.errOut, "spec.") {
				t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
			}
		})
	}
	jobs := &platenv1alpha1.RenderJobList{}
	if err := api.List(t.Context(), jobs, client.InNamespace(namespace)); err != nil || len(jobs.Items) != 1 {
		t.Errorf("%d jobs, %v; a refused command line creates none", len(jobs.Items), err)
	}
}

// Whoever interrupts the command learns that the job does not end with it.
func TestRenderInterrupted(t *testing.T) {
	namespace := studio(t)
	people := table(t, "headline\nAda\nGrace\n")
	for name, x := range map[string]struct {
		args []string
		text string
	}{
		"a job": {
			[]string{"--set", "headline=x", "--name", "one", "--wait"},
			"RenderJob " + namespace + "/one goes on: kubectl platen status one -n " + namespace + " shows it, kubectl delete renderjob one -n " + namespace + " ends it",
		},
		"a table": {[]string{"--csv", people, "--name", "card", "--wait"}, "0 of 2 jobs finished, and the rest goes on; see kubectl platen status -n " + namespace},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			command := exec.CommandContext(ctx, binary, append([]string{"render", "banner", "-n", namespace}, x.args...)...)
			out := &buffer{}
			command.Stdout, command.Stderr = out, out
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			if err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, timeout, true, func(context.Context) (bool, error) {
				return out.String() != "", nil // the progress of a job that is created
			}); err != nil {
				t.Fatal(err)
			}
			if err := command.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			_ = command.Wait() // the exit code tells the result
			if code := command.ProcessState.ExitCode(); code != 130 || !strings.HasSuffix(out.String(), "interrupted\n"+x.text+"\n") {
				t.Errorf("exit code %d, %s", code, out)
			}
		})
	}
}

func TestRenderPrints(t *testing.T) {
	namespace := studio(t)
	r := platen(t, "render", "banner", "-n", namespace, "--set", "headline=Hello", "--no-upload", "--dry-run", "-o", "yaml")
	if r.code != 0 || !strings.Contains(r.out, "kind: RenderJob") || !strings.Contains(r.out, "connections: []") || !strings.Contains(r.out, "headline: Hello") {
		t.Errorf("exit code %d, %s%s", r.code, r.out, r.errOut)
	}
	for ttl, want := range map[string]string{"0": "ttlSecondsAfterFinished: 0\n", "90s": "ttlSecondsAfterFinished: 90\n"} {
		r = platen(t, "render", "banner", "-n", namespace, "--set", "headline=Hello", "--ttl", ttl, "--dry-run", "-o", "yaml")
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("--ttl %s: exit code %d, %s%s", ttl, r.code, r.out, r.errOut)
		}
	}
	r = platen(t, "render", "banner", "-n", namespace, "--set", "headline=x", "--name", "x", "--dry-run=server")
	if r.code != 0 || r.out != "renderjob.platen.dev/x created (server dry run) in namespace "+namespace+"\n" {
		t.Errorf("exit code %d, %s%s", r.code, r.out, r.errOut)
	}
	r = platen(t, "render", "banner", "-n", namespace, "--set", "headline=x", "--name", "x", "-o", "name")
	if r.code != 0 || r.out != "renderjob.platen.dev/x\n" {
		t.Errorf("exit code %d, %s%s", r.code, r.out, r.errOut)
	}
	r = platen(t, "status", "x", "-n", namespace, "-o", "json")
	job := &platenv1alpha1.RenderJob{}
	if err := json.Unmarshal([]byte(r.out), job); r.code != 0 || err != nil || job.Kind != "RenderJob" || len(job.ManagedFields) > 0 {
		t.Errorf("exit code %d, %v, %s%s", r.code, err, r.out, r.errOut)
	}
}

func TestStatusAndRetry(t *testing.T) {
	namespace := studio(t)
	made(t, namespace, "well", rendered("http://x", "one"))
	made(t, namespace, "failed-upload", notUploaded("http://x"))
	if r := platen(t, "render", "banner", "-n", namespace, "--set", "headline=x", "--name", "new"); r.code != 0 {
		t.Fatal(r.errOut)
	}
	r := platen(t, "status", "-n", namespace)
	for _, text := range []string{"NAME", "well", "Succeeded", "failed-upload   banner     SucceededWithWarnings   png      1       False (TokenExpired)", "new", "Pending"} {
		if r.code != 0 || !strings.Contains(r.out, text) {
			t.Errorf("exit code %d, no %q in\n%s%s", r.code, text, r.out, r.errOut)
		}
	}
	if r := platen(t, "status", "-A"); r.code != 0 || !strings.Contains(r.out, namespace) {
		t.Errorf("exit code %d\n%s", r.code, r.out)
	}
	r = platen(t, "status", "failed-upload", "-n", namespace)
	if r.code != 0 || !strings.Contains(r.out, "Not uploaded to storage: Token expired") || !strings.Contains(r.out, "Next: Connect the account again") || strings.Contains(r.out, "\x1b") {
		t.Errorf("exit code %d\n%s", r.code, r.out)
	}

	if r := platen(t, "retry", "failed-upload", "-n", namespace); r.code != 1 || !strings.Contains(r.errOut, "no StorageConnection of the namespace has the uploadPolicy Automatic") {
		t.Errorf("exit code %d, %s%s", r.code, r.out, r.errOut)
	}
	withStorage(t, namespace)
	if r := platen(t, "retry", "failed-upload", "-n", namespace); r.code != 0 || !strings.Contains(r.out, "will be uploaded again") {
		t.Errorf("exit code %d, %s%s", r.code, r.out, r.errOut)
	}
	job := &platenv1alpha1.RenderJob{}
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "failed-upload"}, job); err != nil {
		t.Fatal(err)
	}
	if when, err := time.Parse(time.RFC3339, job.Annotations[platenv1alpha1.RetryUploadsAnnotation]); err != nil || time.Since(when) > time.Minute || job.Generation != 1 {
		t.Errorf("annotations %v, generation %d", job.Annotations, job.Generation)
	}
	made(t, namespace, "failed-render", func(job *platenv1alpha1.RenderJob) {
		for _, kind := range []string{platenv1alpha1.RenderedCondition, platenv1alpha1.ReadyCondition} {
			suite.SetCondition(job, kind, metav1.ConditionFalse, platenv1alpha1.InvalidSpecReason, "the template's parameter is wrong")
		}
		suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, platenv1alpha1.FailedReason, "failed")
	})
	unrendered := "could not be rendered (the template's parameter is wrong): it has nothing to upload; see kubectl platen status failed-render -n " + namespace
	for name, text := range map[string]string{"failed-render": unrendered, "well": "has no failed upload", "new": "has not finished", "none": "does not exist in namespace " + namespace + "; there are: "} {
		if r := platen(t, "retry", name, "-n", namespace); r.code != 1 || !strings.Contains(r.errOut, text) {
			t.Errorf("%s: exit code %d, %s", name, r.code, r.errOut)
		}
	}
}

// status --wait ends when the job does, with the exit code of what became of it.
func TestStatusWaits(t *testing.T) {
	namespace := studio(t)
	made(t, namespace, "later", nil)
	ended := make(chan error, 1)
	go func() { ended <- finish(t.Context(), namespace, notUploaded("http://x")) }()
	r := platen(t, "status", "later", "--wait", "-n", namespace)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r.code != 4 || !strings.Contains(r.out, "Not uploaded to storage: Token expired") || !strings.Contains(r.errOut, "is rendered, but not uploaded") {
		t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
	}
	made(t, namespace, "never", nil)
	made(t, namespace, "well", rendered("http://x", "one"))
	made(t, namespace, "broken", func(job *platenv1alpha1.RenderJob) {
		for _, kind := range []string{platenv1alpha1.RenderedCondition, platenv1alpha1.ReadyCondition} {
			suite.SetCondition(job, kind, metav1.ConditionFalse, platenv1alpha1.RenderFailedReason, "the page has no end")
		}
		suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, platenv1alpha1.FailedReason, "the page has no end")
	})
	for name, x := range map[string]struct {
		args        []string
		code        int
		out, errOut string
	}{
		"succeeded":       {args: []string{"well", "--wait"}, out: "Succeeded: 2 pages rendered"},
		"failed":          {args: []string{"broken", "--wait"}, code: 3, out: "RenderFailed: the page has no end", errOut: "/broken failed: the page has no end"},
		"without waiting": {args: []string{"broken"}, out: "RenderFailed: the page has no end"},
		"by its name":     {args: []string{"later", "--wait", "-o", "name"}, code: 4, out: "renderjob.platen.dev/later\n"},
		"not in time":     {args: []string{"never", "--wait", "--timeout", "300ms"}, code: 5, errOut: "/never has not finished within 300ms and goes on"},
		"no job":          {args: []string{"--wait"}, code: 2, errOut: "--wait waits for one job: name it"},
	} {
		r := platen(t, append([]string{"status", "-n", namespace}, x.args...)...)
		if r.code != x.code || !strings.Contains(r.out, x.out) || (x.out == "") != (r.out == "") || !strings.Contains(r.errOut, x.errOut) {
			t.Errorf("%s: exit code %d, out %q, error %q", name, r.code, r.out, r.errOut)
		}
	}
	// What a command advises about a template that is gone would fail.
	if err := api.Delete(t.Context(), &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "banner"}}); err != nil {
		t.Fatal(err)
	}
	if r := platen(t, "status", "broken", "-n", namespace); r.code != 0 || !strings.Contains(r.out, "Next: RenderTemplate 'banner' does not exist any more. ") {
		t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
	}
}

// One job that cannot be retried keeps no other from it.
func TestRetrySeveral(t *testing.T) {
	namespace := studio(t)
	withStorage(t, namespace)
	made(t, namespace, "well", rendered("http://x", "one"))
	made(t, namespace, "failed-a", notUploaded("http://x"))
	made(t, namespace, "failed-b", notUploaded("http://x"))
	r := platen(t, "retry", "well", "failed-a", "nope", "failed-b", "failed-a", "-n", namespace)
	want := []string{"2 of 4 jobs did not succeed:\n", "  RenderJob " + namespace + "/well has no failed upload", "  RenderJob 'nope' does not exist in namespace " + namespace}
	if r.code != 1 || strings.Count(r.out, "will be uploaded again") != 2 || slices.ContainsFunc(want, func(text string) bool { return !strings.Contains(r.errOut, text) }) {
		t.Errorf("exit code %d, %s%s", r.code, r.out, r.errOut)
	}
	for _, name := range []string{"failed-a", "failed-b"} {
		job := &platenv1alpha1.RenderJob{}
		if err := api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, job); err != nil || job.Annotations[platenv1alpha1.RetryUploadsAnnotation] == "" {
			t.Errorf("%s: %v, annotations %v", name, err, job.Annotations)
		}
	}
	// The time to wait is for all together.
	r = platen(t, "retry", "failed-a", "failed-b", "--wait", "--timeout", "1s", "-n", namespace)
	if r.code != 5 || strings.Count(r.errOut, " was not uploaded within 1s") != 2 {
		t.Errorf("exit code %d, %s%s", r.code, r.out, r.errOut)
	}
}

func TestListsAndCompletion(t *testing.T) {
	namespace := studio(t)
	_, email, flags := app(t)
	terminal, _ := open(t, noBrowser, command(namespace, flags, "--no-browser", "--folder", "/Renders")...)
	paste(t, terminal, email)
	if code, text := terminal.end(); code != 0 {
		t.Fatal(text)
	}
	if r := platen(t, "render", "banner", "-n", namespace, "--set", "headline=x", "--name", "new"); r.code != 0 {
		t.Fatal(r.errOut)
	}
	plain := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "plain"}}
	plain.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 120, Height: 63, HTML: `<div id="box"><p data-if="paid">PAID</p>
		<p data-param="who">Ada</p><p data-each="rows" data-param="name">Pen &amp; ink</p></div>`}}
	if err := api.Create(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		args []string
		want []string
	}{
		{args: []string{"templates"}, want: []string{"banner   <none>   2       120x63   headline*,price,accent,dark,points"}},
		{args: []string{"templates", "banner"}, want: []string{"The large line", `"#f5b82e"`, "--set headline=x -o out -n " + namespace}},
		{args: []string{"templates", "-o", "name"}, want: []string{"rendertemplate.platen.dev/banner"}},
		{args: []string{"lint", "--static"}, want: []string{"banner: warning: spec.parameters[1]: no page uses the parameter 'price'", "0 errors and 4 warnings in 2 templates"}},
		{args: []string{"templates", "plain"}, want: []string{
			"paid        boolean   no         false     from the page", `who         text      no         "Ada"     from the page`,
			"Styles, as in --set box.backgroundColor=...: box.backgroundColor", `--set paid=true --set who=Ada --set rows='[{"name":"Pen & ink"}]' -o out`,
		}},
		{args: []string{"__complete", "render", "plain", "--set", ""}, want: []string{"paid=\n", "box.backgroundColor=\n"}},
		{args: []string{"connections"}, want: []string{"dropbox   Verified", email, "2.0 GiB free of 2.0 GiB", "/Renders", "Automatic"}},
		{args: []string{"connections", "dropbox"}, want: []string{"Verified: connected as " + email, "Default folder  /Renders", "Secret          dropbox-credentials"}},
		{args: []string{"connections", "-o", "yaml"}, want: []string{"kind: StorageConnection"}},
		{args: []string{"__complete", "render", ""}, want: []string{"banner\n", "plain\n"}},
		{args: []string{"__complete", "render", "banner", "--set", "p"}, want: []string{"price=\n", "points=\n"}},
		{args: []string{"__complete", "render", "banner", "--size", "insta"}, want: []string{"instagram-post"}},
		{args: []string{"__complete", "status", "n"}, want: []string{"new\n"}},
		{args: []string{"__complete", "fetch", "n"}, want: []string{"new\n"}},
		{args: []string{"__complete", "connections", ""}, want: []string{"dropbox\n"}},
		{args: []string{"__complete", "status", "--namespace", "plugin-"}, want: []string{namespace}},
		{args: []string{"__complete", "connect", ""}, want: []string{"dropbox"}},
		{args: []string{"__complete", "render", "banner", "--connection", ""}, want: []string{"dropbox\n"}},
		{args: []string{"__complete", "render", "--connection", "d"}, want: []string{"dropbox\n"}},
		{args: []string{"__complete", "connect", "dropbox", "again", "--secret", "d"}, want: []string{"dropbox-credentials\n"}},
		{args: []string{"__complete", "lint", "banner", ""}, want: []string{"plain\n"}},
		{args: []string{"__complete", "fetch", "new", "--platen-namespace", "plugin-"}, want: []string{namespace}},
		{args: []string{"__complete", "status", "--cluster", "t"}, want: []string{"test\n"}},
		{args: []string{"__complete", "status", "--user", "t"}, want: []string{"test\n"}},
		{args: []string{"__complete", "status", "--context", "t"}, want: []string{"test\n"}},
	} {
		// A completion ends with the word to complete, so the flags come first.
		args := append([]string{}, x.args...)
		if x.args[0] == "__complete" {
			args = append([]string{"__complete", "-n", namespace, "--kubeconfig", kubeconfig}, x.args[1:]...)
			command := execute(t, binary, args...)
			checkOutput(t, x.args, command, x.want)
			continue
		}
		checkOutput(t, x.args, platen(t, append(args, "-n", namespace)...), x.want)
	}
	// Completion as kubectl calls it.
	link := filepath.Join(t.TempDir(), "kubectl_complete-platen")
	if err := os.Symlink(binary, link); err != nil {
		t.Fatal(err)
	}
	checkOutput(t, []string{"kubectl_complete-platen"}, execute(t, link, "-n", namespace, "--kubeconfig", kubeconfig, "render", "ban"), []string{"banner\n"})
	if r := platen(t, "status", "-n", "default"); r.code != 0 || r.out != "" || r.errOut != "There are no jobs in namespace default.\n" {
		t.Errorf("an empty namespace: %+v", r)
	}
}

// The command that templates recommends works word for word, whatever the template takes, and reaches the cluster that the flags name.
func TestTheRecommendedRenderWorks(t *testing.T) {
	namespace := studio(t)
	kinds := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "kinds"}}
	for _, kind := range []platenv1alpha1.ParameterType{
		platenv1alpha1.ParameterText, platenv1alpha1.ParameterNumber, platenv1alpha1.ParameterBoolean, platenv1alpha1.ParameterList,
		platenv1alpha1.ParameterImage, platenv1alpha1.ParameterDate, platenv1alpha1.ParameterColor,
	} {
		kinds.Spec.Parameters = append(kinds.Spec.Parameters, platenv1alpha1.Parameter{Name: string(kind), Type: kind, Required: new(true)})
	}
	kinds.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 120, Height: 63, HTML: `<p data-param="name">It's "me" & $HOME</p>`}}
	if err := api.Create(t.Context(), kinds); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", os.DevNull)
	for _, name := range []string{"banner", "kinds"} {
		shown := platen(t, "templates", name, "-n", namespace, "--kubeconfig", kubeconfig, "--context", "test")
		_, line, found := strings.Cut(shown.out, "Render it: kubectl platen ")
		if !found {
			t.Fatalf("no command in\n%s%s", shown.out, shown.errOut)
		}
		r := execute(t, "sh", "-c", `exec "$0" `+strings.TrimSpace(line)+" --dry-run=server", binary)
		if r.code != 0 || !strings.Contains(r.out, "created (server dry run) in namespace "+namespace) {
			t.Errorf("%s: exit code %d, %s%s", line, r.code, r.out, r.errOut)
		}
	}
}

func checkOutput(t *testing.T, args []string, r result, want []string) {
	t.Helper()
	for _, text := range want {
		if r.code != 0 || !strings.Contains(r.out, text) {
			t.Errorf("%v: exit code %d, no %q in\n%s%s", args, r.code, text, r.out, r.errOut)
		}
	}
}
