// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"mime/multipart"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/values"
)

// A form that is filled with a job and sent again gives the job's values again.
func TestFill(t *testing.T) {
	form := formView{Format: "png", Inputs: []input{
		{Name: "text", Type: platenv1alpha1.ParameterText, Value: "default", Default: "default"}, {Name: "number", Type: platenv1alpha1.ParameterNumber},
		{Name: "on", Type: platenv1alpha1.ParameterBoolean}, {Name: "off", Type: platenv1alpha1.ParameterBoolean, Checked: true},
		{Name: "lines", Type: platenv1alpha1.ParameterList}, {Name: "items", Type: platenv1alpha1.ParameterList},
		{Name: "kept", Type: platenv1alpha1.ParameterText, Value: "default", Default: "default"},
	}}
	job := &platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{
		Modifications: &apiextensionsv1.JSON{Raw: []byte(`{"text":"<b>\nü","number":4.5,"on":true,"off":false,"lines":["a","b"],"items":[{"name":"x"}],"unknown":1}`)},
		Output:        platenv1alpha1.OutputSpec{Format: "webp", FileName: "poster"},
		Connections:   []platenv1alpha1.JobConnection{{Type: "storage", Folder: "/Marketing"}},
	}}
	job.Name = "banner-x"
	form.fill(job)
	if form.From != "banner-x" || form.Format != "webp" || form.FileName != "poster" || form.Folder != "/Marketing" || form.Destination != "" || form.More != `{"unknown":1}` || form.MoreNames() != "unknown" || form.Lost != nil {
		t.Errorf("filled %+v", form)
	}
	sent := &multipart.Form{Value: map[string][]string{}}
	for _, i := range form.Inputs {
		value := i.Value
		if i.Type == platenv1alpha1.ParameterBoolean {
			if value = ""; i.Checked {
				value = "true"
			}
		}
		sent.Value["p."+i.Name] = []string{value}
	}
	got, ok := submitted(form.Inputs, sent)
	want := map[string]any{
		"text": "<b>\nü", "number": 4.5, "on": true, "off": false, "lines": []any{"a", "b"}, "items": []any{map[string]any{"name": "x"}}, "kept": "default",
	}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Error(ok, diff)
	}
	job.Spec.Connections = []platenv1alpha1.JobConnection{}
	if form.fill(job); form.Destination != noUpload {
		t.Errorf("filled %+v", form)
	}
}

// No spelling of a value, and no digit, gets lost between a job and the form that is filled with it.
func TestFillKeepsEachValue(t *testing.T) {
	const text, number, boolean, list = platenv1alpha1.ParameterText, platenv1alpha1.ParameterNumber, platenv1alpha1.ParameterBoolean, platenv1alpha1.ParameterList
	for _, c := range []struct {
		of    input
		value string
		want  any
	}{
		{input{Type: text}, `9007199254740993`, "9007199254740993"},
		{input{Type: text}, `"\nsecond line"`, "\nsecond line"},
		{input{Type: number}, `0.5`, 0.5},
		{input{Type: boolean}, `"TRUE"`, true},
		{input{Type: boolean}, `1`, true},
		{input{Type: boolean, Checked: true}, `"0"`, false},
		{input{Type: boolean, Checked: true}, `""`, true}, // not given
		{input{Type: boolean, Checked: true}, `null`, true},
		{input{Type: boolean, Undeclared: true}, `"yes"`, true},
		{input{Type: boolean, Undeclared: true}, `2.5`, true},
		{input{Type: boolean, Undeclared: true}, `["a"]`, true},
		{input{Type: boolean, Undeclared: true, Checked: true}, `0.0`, false},
		{input{Type: boolean, Undeclared: true, Checked: true}, `""`, false},
		{input{Type: boolean, Undeclared: true, Checked: true}, `[]`, false},
		{input{Type: list}, `["a", "", "b"]`, []any{"a", "", "b"}},
		{input{Type: list}, `[" a "]`, []any{" a "}},
		{input{Type: list}, `["[1]"]`, []any{"[1]"}},
		{input{Type: list}, `[9007199254740993]`, []any{"9007199254740993"}},
		{input{Type: list, Default: "a", Value: "a"}, `[]`, []any{}},
		{input{Type: platenv1alpha1.ParameterType(values.Object)}, `{"parcel": 9007199254740993}`, map[string]any{"parcel": "9007199254740993"}},
	} {
		c.of.Name = "x"
		form := formView{Inputs: []input{c.of}}
		form.fill(&platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Modifications: &apiextensionsv1.JSON{Raw: []byte(`{"x":` + c.value + `}`)}}})
		check(form.Inputs)
		filled := form.Inputs[0]
		if form.Unshown != nil {
			t.Errorf("%s is not shown", c.value)
		}
		sent := map[string][]string{"p.x": {filled.Value}}
		if filled.Type == boolean {
			if sent = nil; filled.Checked {
				sent = map[string][]string{"p.x": {"true"}}
			}
		}
		got, ok := submitted(form.Inputs, &multipart.Form{Value: sent})
		if diff := cmp.Diff(map[string]any{"x": c.want}, got); diff != "" || !ok || filled.Error != "" {
			t.Errorf("%s of %+v: %v, error %q, (-want +got):\n%s", c.value, c.of, ok, filled.Error, diff)
		}
	}
	// What no checkbox can show is said; where pages only ask whether a value is true, it is a text that says false.
	for _, value := range []string{`"no"`, `"false"`, `"Off"`} {
		form := formView{Inputs: []input{{Name: "x", Label: "Paid", Type: boolean, Undeclared: true}}}
		form.fill(&platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Modifications: &apiextensionsv1.JSON{Raw: []byte(`{"x":` + value + `}`)}}})
		if !slices.Equal(form.Unshown, []string{"Paid"}) || !form.Inputs[0].Checked {
			t.Errorf("%s: %+v", value, form)
		}
	}
	for _, value := range []string{`"yes"`, `2`, `["a"]`} {
		form := formView{Inputs: []input{{Name: "x", Label: "Paid", Type: boolean, Checked: true}}}
		form.fill(&platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Modifications: &apiextensionsv1.JSON{Raw: []byte(`{"x":` + value + `}`)}}})
		if !slices.Equal(form.Unshown, []string{"Paid"}) || !form.Inputs[0].Checked {
			t.Errorf("%s: %+v", value, form)
		}
	}
}

// What the form has no field for goes along, with its digits, or is named.
// What a job refuses is said, also where the field would take it as it is shown.
func TestFillSaysWhatTheJobRefuses(t *testing.T) {
	const text, number, list = platenv1alpha1.ParameterText, platenv1alpha1.ParameterNumber, platenv1alpha1.ParameterList
	for _, c := range []struct {
		of                     input
		value, unread, atField string
	}{
		{input{Type: text}, `false`, "Title: false is no text", ""},
		{input{Type: text}, `{"text":"Hi"}`, `Title: {"text":"Hi"} is no text`, ""},
		{input{Type: text}, `[{"a":1}]`, `Title: [{"a":1}] is no text`, ""},
		{input{Type: text, Undeclared: true}, `false`, "", ""},
		{input{Type: text}, `4`, "", ""},
		{input{Type: list}, `"one, two"`, `Title: "one, two" is no list; give one item a line`, ""},
		{input{Type: list}, `5`, "Title: 5 is no list; give one item a line", ""},
		{input{Type: list}, `"[\"a\"]"`, "", ""},
		{input{Type: number}, `{"amount":3}`, "", "This must be a number, such as 12.5."},
	} {
		c.of.Name, c.of.Label = "x", "Title"
		form := formView{Inputs: []input{c.of}}
		form.fill(&platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Modifications: &apiextensionsv1.JSON{Raw: []byte(`{"x":` + c.value + `}`)}}})
		check(form.Inputs)
		if got := form.Inputs[0]; strings.Join(form.Unread, "") != c.unread || got.Error != c.atField || got.JSON {
			t.Errorf("%s of %+v: %q, %+v", c.value, c.of, form.Unread, got)
		}
	}
}

// The page has chosen the format and the limits of a preview, so the form takes its values alone.
func TestFillFromAPreview(t *testing.T) {
	form := formView{Inputs: []input{{Name: "x", Type: platenv1alpha1.ParameterText}}}
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{platenv1alpha1.PreviewLabel: "true"}}}
	job.Spec.Modifications, job.Spec.Output.Format, job.Spec.Output.Quality = &apiextensionsv1.JSON{Raw: []byte(`{"x":"a","page2@x":"b"}`)}, "jpg", 40
	job.Spec.Connections = []platenv1alpha1.JobConnection{}
	if form.fill(job); form.Inputs[0].Value != "a" || form.More != `{"page2@x":"b"}` || form.Format != "" || form.Lost != nil || form.Destination != "" {
		t.Errorf("%+v", form)
	}
}

// A page shows a list in place of a text as JSON, so the field has that.
func TestFillKeepsAListOfATextField(t *testing.T) {
	form := formView{Inputs: []input{{Name: "x", Label: "Title", Type: platenv1alpha1.ParameterText, Undeclared: true}}}
	form.fill(&platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Modifications: &apiextensionsv1.JSON{Raw: []byte(`{"x":["a"]}`)}}})
	if got := form.Inputs[0].Value; got != `["a"]` {
		t.Errorf("got %q", got)
	}
}

// A text is true for data-if, and the field of a parameter that no template declares makes a text of what was false.
func TestFillSaysWhatBecomesTrue(t *testing.T) {
	for value, want := range map[string][]string{`0`: {"Discount"}, `false`: {"Discount"}, `1`: nil, `"0"`: nil, `""`: nil, `null`: nil} {
		for _, undeclared := range []bool{true, false} {
			form := formView{Inputs: []input{{Name: "x", Label: "Discount", Type: platenv1alpha1.ParameterText, Undeclared: undeclared}}}
			form.fill(&platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Modifications: &apiextensionsv1.JSON{Raw: []byte(`{"x":` + value + `}`)}}})
			if got := form.Truthy; undeclared && !slices.Equal(got, want) || !undeclared && got != nil {
				t.Errorf("%s, undeclared %v: got %q", value, undeclared, got)
			}
		}
	}
}

func TestFillTheRest(t *testing.T) {
	form := formView{Inputs: []input{{Name: "headline", Type: platenv1alpha1.ParameterText}}}
	job := &platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{
		Modifications:     &apiextensionsv1.JSON{Raw: []byte(`{"headline":"a","page2@headline":"b","title.color":"red","parcel":90071992547409931}`)},
		Output:            platenv1alpha1.OutputSpec{Format: "jpg", Quality: 40, Scale: "1", Pages: []int32{2}, Transparent: new(false)},
		Connections:       []platenv1alpha1.JobConnection{{Type: "storage", Provider: "dropbox", Name: new("gone"), Folder: "/x"}},
		ModificationsFrom: []platenv1alpha1.ModificationsSource{{}},
	}}
	form.fill(job)
	if diff := cmp.Diff([]string{"output.quality", "output.pages", "modificationsFrom", "connections"}, form.Lost); diff != "" {
		t.Error(diff)
	}
	known := formView{Accounts: destinations{Known: true, Targets: []target{{Provider: "dropbox", Name: "a"}}}}
	if known.fill(job); !slices.Contains(known.Lost, "connections (gone with folder /x: deleted, or switched off)") || known.Destination != noUpload {
		t.Errorf("lost %v, to %q", known.Lost, known.Destination)
	}
	job.Spec.TimeoutSeconds, job.Spec.UploadTimeoutSeconds, job.Spec.BackoffLimit, job.Spec.Priority = 900, 60, new(int32(0)), new(int32(5))
	job.Spec.ContentPolicy, job.Spec.Cache = platenv1alpha1.ContentRetain, platenv1alpha1.CacheDisabled
	job.Spec.TTLSecondsAfterFinished, job.Spec.Suspend = new(int32(7200)), new(true)
	want := []string{"timeoutSeconds", "uploadTimeoutSeconds", "backoffLimit", "priority", "contentPolicy", "cache", "ttlSecondsAfterFinished"}
	if diff := cmp.Diff(want, lostSpec(job.Spec, 24*time.Hour)); diff != "" {
		t.Error(diff)
	}
	given := map[string]any{"headline": "changed"}
	if err := form.addMore(given); err != nil {
		t.Fatal(err)
	}
	text, err := encode(given)
	if want := `{"headline":"changed","page2@headline":"b","parcel":90071992547409931,"title.color":"red"}`; err != nil || text != want {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
	job.Spec.Modifications.Raw = []byte(`{"big":"` + strings.Repeat("x", maxMore) + `"}`)
	form = formView{}
	if form.fill(job); form.More != "" || !slices.Contains(form.Lost, "big") {
		t.Errorf("kept %.20s, lost %v", form.More, form.Lost)
	}
	if err := (formView{More: "{"}).addMore(given); err == nil {
		t.Error("text that is no JSON is taken")
	}
}

// What a job has by default is not lost.
func TestDefaultsAreNotLost(t *testing.T) {
	spec := platenv1alpha1.RenderJobSpec{
		TimeoutSeconds: 300, UploadTimeoutSeconds: 600, BackoffLimit: new(int32(2)), Priority: new(int32(0)), ContentPolicy: platenv1alpha1.ContentDelete,
		Cache: platenv1alpha1.CacheEnabled, TTLSecondsAfterFinished: new(int32(86400)), Suspend: new(false),
	}
	for _, spec := range []platenv1alpha1.RenderJobSpec{{}, spec} {
		if lost := lostSpec(spec, 24*time.Hour); len(lost) > 0 {
			t.Errorf("lost %v", lost)
		}
	}
	for _, c := range []struct {
		output platenv1alpha1.OutputSpec
		pages  int
		want   []string
	}{
		{platenv1alpha1.OutputSpec{Scale: "1.0", Pages: []int32{1}}, 1, nil}, {platenv1alpha1.OutputSpec{Pages: []int32{2, 1}}, 2, nil},
		{platenv1alpha1.OutputSpec{Scale: "1.5", Pages: []int32{1}}, 2, []string{"output.scale", "output.pages"}},
	} {
		if diff := cmp.Diff(c.want, lostOutput(c.output, c.pages)); diff != "" {
			t.Errorf("%+v: %s", c.output, diff)
		}
	}
}

func TestDestinations(t *testing.T) {
	first, second := target{Provider: "dropbox", Name: "a", Account: "ada@example.com", Automatic: true}, target{Provider: "s3", Name: "b", Automatic: true}
	asked := target{Provider: "dropbox", Name: "c"}
	to := func(name, folder string) platenv1alpha1.JobConnection {
		c := platenv1alpha1.JobConnection{Type: "storage", Provider: "dropbox", Folder: platenv1alpha1.FolderPath(folder)}
		if name != "" {
			c.Name = &name
		}
		return c
	}
	bucket := to("b", "/x")
	bucket.Provider = "s3"
	type connections = []platenv1alpha1.JobConnection
	for name, tc := range map[string]struct {
		targets             []target
		unknown             bool
		job                 connections
		destination, folder string
		lost                bool
		// sent is what the form makes of it again.
		sent connections
	}{
		"every account":                  {targets: []target{first, second}},
		"nowhere":                        {targets: []target{first}, job: connections{}, destination: noUpload, sent: connections{}},
		"the only account":               {targets: []target{first}, job: connections{to("", "/x")}, folder: "/x", sent: connections{to("a", "/x")}},
		"one of two":                     {targets: []target{first, second}, job: connections{to("", "/x")}, destination: "dropbox/a", folder: "/x", sent: connections{to("a", "/x")}},
		"one of two, its default folder": {targets: []target{first, second}, job: connections{to("a", "")}, destination: "dropbox/a", sent: connections{to("a", "")}},
		"one that is asked":              {targets: []target{asked}, job: connections{to("c", "/x")}, destination: "dropbox/c", folder: "/x", sent: connections{to("c", "/x")}},
		"both":                           {targets: []target{first, second, asked}, job: connections{bucket, to("a", "/x")}, folder: "/x", sent: connections{to("a", "/x"), bucket}},
		"some of them":                   {targets: []target{first, second, asked}, job: connections{bucket, to("c", "/x")}, lost: true},
		"two folders":                    {targets: []target{first, second}, job: connections{bucket, to("a", "/y")}, lost: true},
		"one that is gone":               {targets: []target{first}, job: connections{to("z", "/x")}, lost: true},
		"nobody is connected":            {job: connections{to("", "/x")}, folder: "/x", sent: connections{to("", "/x")}},
		"who may not list them":          {unknown: true, job: connections{to("", "/x")}, folder: "/x", sent: connections{to("", "/x")}},
		"who may not list them, a name":  {unknown: true, job: connections{to("a", "/x")}, lost: true},
	} {
		d := destinations{Known: !tc.unknown, Targets: tc.targets}
		destination, folder, ok := d.of(tc.job)
		if destination != tc.destination || folder != tc.folder || ok == tc.lost {
			t.Errorf("%s: %q, %q, %v", name, destination, folder, ok)
		}
		spec, err := (formView{Accounts: d, Destination: destination, Folder: folder}).spec(nil)
		if diff := cmp.Diff(tc.sent, spec.Connections); diff != "" || err != nil {
			t.Errorf("%s: %v, sent again (-want +got):\n%s", name, err, diff)
		}
	}
	if d := (destinations{Known: true, Targets: []target{first, second}}); d.Everyone() != "a, b" || d.Nobody() || len(d.Choices()) != 2 || first.Label() != "a (ada@example.com)" || second.Label() != "b" {
		t.Errorf("%q %v %v", d.Everyone(), d.Nobody(), d.Choices())
	}
	if d := (destinations{Known: true, Targets: []target{asked}}); d.Everyone() != "" || !d.Nobody() || len(d.Choices()) != 1 {
		t.Errorf("%q %v %v", d.Everyone(), d.Nobody(), d.Choices())
	}
	// Accounts that are connected receive a render that names them: nobody has to connect one.
	views, err := newViews(clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	for want, d := range map[string]destinations{
		"connect one": {Known: true},
		"choose one":  {Known: true, Targets: []target{asked}},
	} {
		b := &strings.Builder{}
		if err := views.parts.ExecuteTemplate(b, "form", formView{Accounts: d}); err != nil || !strings.Contains(b.String(), want) || strings.Contains(b.String(), "connect one") != (want == "connect one") {
			t.Errorf("%v, no %q in %s", err, want, b)
		}
	}
	// A folder alone chooses none of them.
	alone := formView{Folder: "/x", nobody: true}
	if alone.useAll(&multipart.Form{}) || alone.Wrong["folder"] != "No account receives every render: choose one, or clear this field." {
		t.Errorf("%q", alone.Wrong)
	}
	if spec, err := alone.spec(nil); err != nil || spec.Connections != nil {
		t.Errorf("%+v, %v", spec.Connections, err)
	}
	for _, text := range []string{"", "a", "/a", "a/"} {
		if _, ok := parseTarget(text); ok {
			t.Errorf("%q is a target", text)
		}
	}
}

func TestTriedAgain(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for text, want := range map[string]time.Time{"": {}, "please": {}, at.Format(time.RFC3339Nano): at} {
		job := &platenv1alpha1.RenderJob{}
		job.Status.LastHandledRetryUploads = text
		if got := triedAgain(job); !got.Equal(want) {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestPasted(t *testing.T) {
	for text, want := range map[string]string{" eyJ.a.b\n": "eyJ.a.b", "Bearer eyJ.a.b": "eyJ.a.b", "bearer  eyJ.a.b ": "eyJ.a.b", "Bearer": "Bearer", "a b": "a b", "": ""} {
		if got := pasted(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
