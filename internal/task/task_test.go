// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
)

func raw(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }

// newJob returns a job with the API server's defaults and a change.
func newJob(change func(*platenv1alpha1.RenderJobSpec)) *platenv1alpha1.RenderJob {
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Name: "summer", Namespace: "marketing"}}
	job.Spec.Output = platenv1alpha1.OutputSpec{Format: "png", Scale: "1", Quality: 90}
	if change != nil {
		change(&job.Spec)
	}
	return job
}

func newTemplate(pages int, parameters ...platenv1alpha1.Parameter) *platenv1alpha1.RenderTemplate {
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "banner", UID: "uid"}}
	template.Spec.Parameters = parameters
	for n := range pages {
		name := fmt.Sprintf("page-%d", n+1)
		template.Spec.Pages = append(template.Spec.Pages, platenv1alpha1.TemplatePage{Name: name, Width: 1200, Height: 630, HTML: name})
	}
	return template
}

// configMaps holds values by name/key.
type configMaps map[string]string

func (c configMaps) read(_ context.Context, _ string, ref platenv1alpha1.ConfigMapKeySelector) (string, error) {
	value, ok := c[ref.Name+"/"+ref.Key]
	if !ok {
		return "", reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, 0, "no %s/%s", ref.Name, ref.Key)
	}
	return value, nil
}

func TestBuildNamesTheWrongField(t *testing.T) {
	kinds := []platenv1alpha1.Parameter{
		{Name: "text", Type: "text"},
		{Name: "image", Type: "image"},
		{Name: "number", Type: "number"},
		{Name: "boolean", Type: "boolean"},
		{Name: "list", Type: "list"},
	}
	for name, c := range map[string]struct {
		parameters []platenv1alpha1.Parameter
		change     func(*platenv1alpha1.RenderJobSpec)
		html       string // of the first page; empty for any
		want       string
	}{
		"a page that does not exist": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.Output.Pages = []int32{1, 9} },
			want:   "spec.output.pages[1]: 9 must be from 1 to 3",
		},
		"too many pixels": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.Output.Scale, s.Output.Size = "10", "1280x800" },
			want:   "spec.output.scale: page 1 would have 102400000 pixels",
		},
		"a scale that is not a number": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.Output.Scale = "wide" },
			want:   "spec.output.scale: 'wide'",
		},
		"an unknown size": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.Output.Size = "huge" },
			want:   "spec.output.size: 'huge' must be a width and a height of 1 to 5000 CSS pixels, such as 1080x1080, or one of a3, a4,",
		},
		"a size with a typing mistake": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.Output.Size = "instagram-storry" },
			want:   "spec.output.size: 'instagram-storry' must be a width and a height of 1 to 5000 CSS pixels, such as 1080x1080, or a name such as instagram-post; did you mean 'instagram-story'?",
		},
		"a size that is too wide": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.Output.Size = "5001x1" },
			want:   "spec.output.size: '5001x1'",
		},
		"a size with a suffix": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.Output.Size = "10x10x10" },
			want:   "spec.output.size: '10x10x10'",
		},
		"an extra size without a width": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.Output.ExtraSizes = []platenv1alpha1.PageSize{"story", "0x5"} },
			want:   "spec.output.extraSizes[1]: '0x5'",
		},
		"an extra size with too many pixels": {
			change: func(s *platenv1alpha1.RenderJobSpec) {
				s.Output.Scale, s.Output.ExtraSizes = "5", []platenv1alpha1.PageSize{"5000x5000"}
			},
			want: "spec.output.scale: size 5000x5000 would have 625000000 pixels at scale 5; at most 100000000 are allowed",
		},
		"a timeout that is too long": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.TimeoutSeconds = 3601 },
			want:   "spec.timeoutSeconds: 3601 must be at most 3600, the manager's --max-timeout",
		},
		"a video that is too long": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.Output.Format, s.Output.Video.Duration = "mp4", "61" },
			want:   "spec.output.video.duration: '61' must be a decimal number of seconds from 0.1 to 60",
		},
		"modifications that are a list": {
			change: func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`[1]`) },
			want:   "spec.modifications must be a JSON object",
		},
		"modifications that are nested too deep": {
			change: func(s *platenv1alpha1.RenderJobSpec) {
				s.Modifications = raw(`{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`)
			},
			want: "spec.modifications: its lists and objects must be nested at most 100 deep",
		},
		"modifications that are too long": {
			change: func(s *platenv1alpha1.RenderJobSpec) {
				s.Modifications = raw(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)
			},
			want: "bytes must be at most 1048576",
		},
		"a source that is a list": {
			change: func(s *platenv1alpha1.RenderJobSpec) {
				s.ModificationsFrom = []platenv1alpha1.ModificationsSource{{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "m", Key: "list"}}}
			},
			want: "spec.modificationsFrom[0]: key 'list' of ConfigMap 'm' must hold a JSON or YAML object",
		},
		"a missing parameter": {
			parameters: []platenv1alpha1.Parameter{{Name: "headline", Type: "text", Required: new(true)}},
			want:       "spec.modifications.headline is required",
		},
		"text that is a list": {
			parameters: kinds,
			change:     func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"text":[]}`) },
			want:       "spec.modifications.text: [] must be a string or a number",
		},
		"an image from a file": {
			parameters: kinds,
			change:     func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"image":"file:///etc/passwd"}`) },
			want:       "must be a URL that starts with http://",
		},
		"a number in words": {
			parameters: kinds,
			change:     func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"number":"one"}`) },
			want:       `spec.modifications.number: "one" must be a number`,
		},
		"a boolean as a number": {
			parameters: kinds,
			change:     func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"boolean":2}`) },
			want:       "spec.modifications.boolean: 2 must be true or false",
		},
		"a value for one page": {
			parameters: kinds,
			change:     func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"page2@boolean":"no"}`) },
			want:       `spec.modifications.page2@boolean: "no" must be true or false`,
		},
		"a parameter that is misspelled": {
			parameters: []platenv1alpha1.Parameter{{Name: "headline", Type: "text", Required: new(true)}},
			change:     func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"headlin":"x"}`) },
			want:       "spec.modifications.headline is required by the template; is 'headlin' a misspelling of it?",
		},
		"a parameter whose name YAML reads as false": {
			parameters: []platenv1alpha1.Parameter{{Name: "n", Type: "number", Required: new(true)}},
			change:     func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"false":5}`) },
			want:       "spec.modifications.n is required by the template; put quotes around n, which YAML reads as false without them (kubectl edit shows it as \"false\": make it \"n\")",
		},
		"a parameter that is null": {
			parameters: []platenv1alpha1.Parameter{{Name: "headline", Type: "text", Required: new(true)}},
			change:     func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"headline":null}`) },
			want:       "spec.modifications.headline is required",
		},
		"a default that does not fit": {
			parameters: []platenv1alpha1.Parameter{{Name: "paid", Type: "boolean", Default: raw(`"no"`)}},
			want:       `the template's parameter 'paid' has a default that does not fit: "no" must be true or false`,
		},
		"a list that is text": {
			parameters: kinds,
			change:     func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"list":"a,b"}`) },
			want:       `spec.modifications.list: "a,b" must be a list, such as ["one", "two"]`,
		},
		"a list of objects that is text": {
			parameters: kinds,
			change:     func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"page2@list":"[{'name': 'x'}]"}`) },
			html:       `<li data-each="list"><b data-param="name">Soup</b></li>`,
			want:       `spec.modifications.page2@list: "[{'name': 'x'}]" must be a list: JSON, such as [{"name":"Soup"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			template := newTemplate(3, c.parameters...)
			if c.html != "" {
				template.Spec.Pages[0].HTML = c.html
			}
			_, err := Build(t.Context(), newJob(c.change), template, DefaultLimits, Sources{Value: configMaps{"m/list": "- 1"}.read})
			terminal := (*reconcile.TerminalError)(nil)
			if !errors.As(err, &terminal) || !strings.Contains(terminal.Message, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A person corrects all mistakes at once. Events and logs show no value.
func TestBuildNamesEveryWrongModification(t *testing.T) {
	parameters := []platenv1alpha1.Parameter{
		{Name: "boolean", Type: "boolean"}, {Name: "headline", Required: new(true)}, {Name: "number", Type: "number"}, {Name: "paid", Type: "boolean", Default: raw(`true`)}, {Name: "byline", Required: new(true)},
	}
	many := make([]platenv1alpha1.Parameter, 0, 12)
	given := map[string]string{}
	for n := range 12 {
		name := fmt.Sprintf("n%02d", n)
		many, given[name] = append(many, platenv1alpha1.Parameter{Name: name, Type: "number"}), "x"
	}
	tooMany, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		parameters    []platenv1alpha1.Parameter
		given         string
		message, note string // the end of it
	}{
		"three": {
			parameters, `{"number":"one","boolean":2,"page2@boolean":3,"byline":"Ada","bylin":"Ada"}`,
			`spec.modifications.boolean: 2 must be true or false; spec.modifications.number: "one" must be a number, such as 12.5; ` +
				`spec.modifications.page2@boolean: 3 must be true or false; spec.modifications.headline is required by the template`,
			`spec.modifications.boolean: … must be true or false; spec.modifications.number: … must be a number, such as 12.5; ` +
				`spec.modifications.page2@boolean: … must be true or false; spec.modifications.headline is required by the template`,
		},
		"two that are missing": {
			parameters, `{"bylin":"Ada"}`,
			"spec.modifications.headline is required by the template; spec.modifications.byline is required by the template; is 'bylin' a misspelling of it?",
			"spec.modifications.headline is required by the template; spec.modifications.byline is required by the template; is 'bylin' a misspelling of it?",
		},
		"more than a message holds": {
			many, string(tooMany), `; spec.modifications.n09: "x" must be a number, such as 12.5; and 2 more`, `; spec.modifications.n09: … must be a number, such as 12.5; and 2 more`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob(func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(c.given) })
			_, err := Build(t.Context(), job, newTemplate(3, c.parameters...), DefaultLimits, Sources{Value: configMaps{}.read})
			terminal := reconcile.AsTerminal(err)
			if terminal == nil || terminal.Reason != platenv1alpha1.InvalidModificationsReason || !strings.HasSuffix(terminal.Message, c.message) || !strings.HasSuffix(terminal.Note, c.note) {
				t.Errorf("got %+v", terminal)
			}
		})
	}
}

// One answer has what is wrong with the options, the values and the template's defaults.
func TestBuildNamesMistakesOfAllKinds(t *testing.T) {
	parameters := []platenv1alpha1.Parameter{
		{Name: "paid", Type: "boolean", Default: raw(`"no"`)}, {Name: "price", Type: "number", Default: raw(`"cheap"`)},
		{Name: "number", Type: "number"}, {Name: "headline", Required: new(true)},
	}
	const defaults = `the template's parameter 'paid' has a default that does not fit: "no" must be true or false; the template's parameter 'price' has a default that does not fit: "cheap" must be a number, such as 12.5`
	for name, c := range map[string]struct {
		change func(s *platenv1alpha1.RenderJobSpec)
		reason string
		want   []string
	}{
		"two defaults": {
			func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"headline":"x"}`) }, platenv1alpha1.InvalidSpecReason, strings.SplitAfter(defaults, "false; "),
		},
		"all": {
			func(s *platenv1alpha1.RenderJobSpec) {
				s.Output.Scale, s.Output.Pages, s.Modifications = "11", []int32{7}, raw(`{"number":"one"}`)
			},
			platenv1alpha1.InvalidSpecReason,
			append([]string{
				"spec.output.scale: '11' must be a decimal number from 0.1 to 10", "spec.output.pages[0]: 7 must be from 1 to 3, the number of pages of RenderTemplate 'banner'",
				`spec.modifications.number: "one" must be a number, such as 12.5`, "spec.modifications.headline is required by the template",
			}, strings.SplitAfter(defaults, "false; ")...),
		},
		"a size and a value": {
			func(s *platenv1alpha1.RenderJobSpec) {
				s.Output.Size, s.Output.Scale, s.Modifications = "5000x5000", "10", raw(`{"number":"one","headline":"x","paid":true,"price":1}`)
			},
			platenv1alpha1.InvalidSpecReason,
			[]string{"spec.output.scale: page 1 would have 2500000000 pixels at scale 10; at most 100000000 are allowed", `spec.modifications.number: "one" must be a number, such as 12.5`},
		},
		"two ConfigMaps that hold no values": {
			func(s *platenv1alpha1.RenderJobSpec) {
				s.Output.Scale = "11"
				for _, name := range []string{"list", "text"} {
					s.ModificationsFrom = append(s.ModificationsFrom, platenv1alpha1.ModificationsSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "m", Key: name}})
				}
			},
			platenv1alpha1.InvalidSpecReason,
			[]string{
				"spec.output.scale: '11' must be a decimal number from 0.1 to 10",
				"spec.modificationsFrom[0]: key 'list' of ConfigMap 'm' must hold a JSON or YAML object", "spec.modificationsFrom[1]: key 'text' of ConfigMap 'm' must hold a JSON or YAML object",
			},
		},
		"an option, and a ConfigMap that is missing": {
			func(s *platenv1alpha1.RenderJobSpec) {
				s.Output.Scale = "11"
				s.ModificationsFrom = []platenv1alpha1.ModificationsSource{{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "nix", Key: "k"}}}
			},
			platenv1alpha1.InvalidSpecReason, []string{"spec.output.scale: '11' must be a decimal number from 0.1 to 10"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range c.want {
				c.want[i] = strings.TrimSuffix(c.want[i], "; ")
			}
			_, err := Build(t.Context(), newJob(c.change), newTemplate(3, parameters...), DefaultLimits, Sources{Value: configMaps{"m/list": "- 1", "m/text": "x"}.read})
			terminal := reconcile.AsTerminal(err)
			if terminal == nil || terminal.Reason != c.reason || terminal.Message != strings.Join(c.want, "; ") {
				t.Fatalf("%v, %s", terminal, cmp.Diff(strings.Join(c.want, "; "), fmt.Sprint(err)))
			}
			if got, more := Mistakes(terminal.Message); more != 0 || cmp.Diff(c.want, got) != "" {
				t.Errorf("%d more, %s", more, cmp.Diff(c.want, got))
			}
		})
	}
}

func TestMissingSourcesAreNamedByTheirFields(t *testing.T) {
	from := func(name string) platenv1alpha1.ConfigMapKeySelector {
		return platenv1alpha1.ConfigMapKeySelector{Name: name, Key: "k"}
	}
	job := newJob(func(s *platenv1alpha1.RenderJobSpec) {
		s.ModificationsFrom = []platenv1alpha1.ModificationsSource{{ConfigMapKeyRef: from("there")}, {ConfigMapKeyRef: from("nix")}}
	})
	linked := newTemplate(2)
	linked.Spec.Pages[1].HTML, linked.Spec.Pages[1].HTMLFrom = "", &platenv1alpha1.HTMLSource{ConfigMapKeyRef: from("pages")}
	several, linkedTwice := job.DeepCopy(), linked.DeepCopy()
	several.Spec.ModificationsFrom = []platenv1alpha1.ModificationsSource{{ConfigMapKeyRef: from("nix")}, {ConfigMapKeyRef: from("there")}, {ConfigMapKeyRef: from("nor")}}
	linkedTwice.Spec.Pages[0].HTML, linkedTwice.Spec.Pages[0].HTMLFrom = "", &platenv1alpha1.HTMLSource{ConfigMapKeyRef: from("front")}
	linkedTwice.Spec.FontSetRefs = []platenv1alpha1.FontSetReference{{Name: "brand"}}
	for _, c := range []struct {
		job      *platenv1alpha1.RenderJob
		template *platenv1alpha1.RenderTemplate
		want     string
	}{
		{job, newTemplate(1), "spec.modificationsFrom[1]: no nix/k"},
		{newJob(nil), linked, "RenderTemplate 'banner': spec.pages[1].htmlFrom: no pages/k"},
		{several, linkedTwice, "RenderTemplate 'banner': spec.pages[0].htmlFrom: no front/k; RenderTemplate 'banner': spec.pages[1].htmlFrom: no pages/k; " +
			"FontSet 'brand': no brand; spec.modificationsFrom[0]: no nix/k; spec.modificationsFrom[2]: no nor/k"},
	} {
		_, err := Build(t.Context(), c.job, c.template, DefaultLimits, Sources{
			Value: configMaps{"there/k": "{}"}.read,
			Fonts: func(_ context.Context, _, name string) ([]render.Font, error) {
				return nil, reconcile.Waiting(platenv1alpha1.FontSetNotFoundReason, 0, "no %s", name)
			},
		})
		if waiting := reconcile.AsWaiting(err); waiting == nil || waiting.Reason != platenv1alpha1.SourceNotFoundReason || waiting.Message != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestBuild(t *testing.T) {
	template := newTemplate(3, platenv1alpha1.Parameter{Name: "colour", Type: "color", Default: raw(`"red"`)})
	template.Spec.Pages[2].HTML = ""
	template.Spec.Pages[2].HTMLFrom = &platenv1alpha1.HTMLSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "h", Key: "html"}}
	job := newJob(func(s *platenv1alpha1.RenderJobSpec) {
		s.Output.Pages = []int32{3, 1}
		s.ModificationsFrom = []platenv1alpha1.ModificationsSource{{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "m", Key: "yaml"}}}
		s.Modifications = raw(`{"headline":"mine"}`)
	})
	task, err := Build(t.Context(), job, template, DefaultLimits, Sources{Value: configMaps{"m/yaml": "headline: theirs\nfooter: kept", "h/html": "<p>far"}.read})
	if err != nil {
		t.Fatal(err)
	}
	if len(task.Pages) != 2 || task.Pages[0].Number != 1 || task.Pages[1].Number != 3 || task.Pages[1].HTML != "<p>far" {
		t.Errorf("pages %+v", task.Pages)
	}
	if task.Pages[0].ID == "" || task.Pages[0].ID == task.Pages[1].ID {
		t.Errorf("ids %q and %q", task.Pages[0].ID, task.Pages[1].ID)
	}
	want := map[string]any{"headline": "mine", "footer": "kept", "colour": "red"}
	if diff := cmp.Diff(want, task.Modifications); diff != "" {
		t.Errorf("modifications (-want +got):\n%s", diff)
	}
	again, err := Build(t.Context(), job, template, DefaultLimits, Sources{Value: configMaps{"m/yaml": "{}", "h/html": ""}.read})
	if err != nil || again.Pages[0].ID != task.Pages[0].ID {
		t.Errorf("the page's id has changed: %v", err)
	}
}

// A page has no number for these digits, so it gets them as text.
func TestBuildRefusesWhatAFormatCannotHold(t *testing.T) {
	for name, c := range map[string]struct {
		format        platenv1alpha1.Format
		width, height int32
		scale         string
		pdf           platenv1alpha1.PDFOptions
		extra         []platenv1alpha1.PageSize
		want          string
	}{
		"webp":                  {format: "webp", width: 5000, height: 60, scale: "4", want: "spec.output.format: page 1 would be 20000x240 pixels at scale 4, and a WebP picture has at most 16383 on a side"},
		"webp, high":            {format: "webp", width: 60, height: 5000, scale: "4", want: "240x20000 pixels"},
		"webp, an extra size":   {format: "webp", width: 100, height: 100, scale: "4", extra: []platenv1alpha1.PageSize{"5000x60"}, want: "size 5000x60 would be 20000x240"},
		"webp, the largest":     {format: "webp", width: 5000, height: 60, scale: "3.2766"},
		"webp, one pixel more":  {format: "webp", width: 5000, height: 60, scale: "3.2768", want: "16384x197"},
		"png":                   {format: "png", width: 5000, height: 60, scale: "4"},
		"jpg":                   {format: "jpg", width: 5000, height: 60, scale: "10"},
		"jpg, the largest":      {format: "jpg", width: 6550, height: 60, scale: "10"},
		"jpg, too wide":         {format: "jpg", width: 6551, height: 60, scale: "10", want: "page 1 would be 65510x600 pixels at scale 10, and a JPEG picture has at most 65500 on a side"},
		"jpeg, too high":        {format: "jpeg", width: 60, height: 65501, scale: "1", want: "a JPEG picture has at most 65500 on a side"},
		"avif":                  {format: "avif", width: 5000, height: 60, scale: "6.6", want: "an AVIF picture has at most 32768 on a side"},
		"mp4":                   {format: "mp4", width: 5000, height: 60, scale: "4", want: "an H.264 video has at most 16880 on a side"},
		"webm":                  {format: "webm", width: 5000, height: 60, scale: "4", want: "a WebM video has at most 16384 on a side"},
		"mp4, too many pixels":  {format: "mp4", width: 5000, height: 5000, scale: "1.5", want: "an H.264 video has at most 35651584"},
		"gif":                   {format: "gif", width: 5000, height: 60, scale: "4", want: "a GIF animation has at most 16880 on a side"},
		"pdf":                   {format: "pdf", width: 5000, height: 5000, scale: "1"},
		"pdf, margin":           {format: "pdf", width: 100, height: 100, scale: "1", pdf: platenv1alpha1.PDFOptions{Margin: "100in"}, want: "would be 14475 points"},
		"pdf, margin, more dpi": {format: "pdf", width: 100, height: 100, scale: "1", pdf: platenv1alpha1.PDFOptions{Margin: "9600px", DPI: 300}},
		"pdf, margin on paper":  {format: "pdf", width: 100, height: 100, scale: "1", pdf: platenv1alpha1.PDFOptions{Margin: "100in", DPI: 300}, want: "would be 14424 points"},
	} {
		t.Run(name, func(t *testing.T) {
			template := newTemplate(1)
			template.Spec.Pages[0].Width, template.Spec.Pages[0].Height = c.width, c.height
			job := newJob(func(s *platenv1alpha1.RenderJobSpec) {
				s.Output.Format, s.Output.Scale, s.Output.PDF, s.Output.ExtraSizes = c.format, platenv1alpha1.NumberOrString(c.scale), c.pdf, c.extra
			})
			_, err := Build(t.Context(), job, template, DefaultLimits, Sources{Value: configMaps{}.read})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestBuildReadsValuesAsTheirTypes(t *testing.T) {
	parameters := []platenv1alpha1.Parameter{
		{Name: "price", Type: "number", Default: raw(`"9,50"`)}, {Name: "paid", Type: "boolean", Default: raw("true")}, {Name: "points", Type: "list", Default: raw(`["a"]`)},
		{Name: "due", Type: "date"}, {Name: "logo", Type: "image", Default: raw(`""`)},
	}
	job := newJob(func(s *platenv1alpha1.RenderJobSpec) {
		s.Modifications = raw(`{"paid": "FALSE", "page2@price": " 12.5 ", "points": null, "due": "2026-11-26", "undeclared": "false", "nothing": null}`)
	})
	task, err := Build(t.Context(), job, newTemplate(2, parameters...), DefaultLimits, Sources{Value: configMaps{}.read})
	want := map[string]any{
		"price": 9.5, "paid": false, "page2@price": 12.5, "points": []any{"a"}, "due": "2026-11-26", "undeclared": "false", "nothing": nil,
	}
	if diff := cmp.Diff(want, task.Modifications); err != nil || diff != "" {
		t.Errorf("%v, modifications (-want +got):\n%s", err, diff)
	}
}

func TestBuildTellsWhichModificationsNoPageNeedsToUse(t *testing.T) {
	template := newTemplate(4, platenv1alpha1.Parameter{Name: "price", Default: raw(`"1"`)}, platenv1alpha1.Parameter{Name: "given", Default: raw(`"1"`)})
	template.Spec.Pages[0].HTML = `<h1 id="title" data-param="headline">x</h1>`
	given := raw(`{"given": "x", "headline": "x", "headlin": "x", "title.color": "red", "titel.color": "red", "page1@headline": "x", "page1@headlin": "x", "page3@headline": "x", "footer": "x"}`)
	from := func(key string) *platenv1alpha1.HTMLSource {
		return &platenv1alpha1.HTMLSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "pages", Key: key}}
	}
	maps := configMaps{"pages/plain": `<p>x</p>`, "pages/footer": `<p data-param="footer">x</p>`, "pages/script": `<script>draw(platen.modifications)</script>`, "pages/clock": `<script>tick()</script>`}
	for name, c := range map[string]struct {
		pages []int32
		third *platenv1alpha1.HTMLSource
		want  []string
		// styles are those that name a style of an element of a page that is left out.
		styles []string
	}{
		"all pages":                {third: from("plain"), want: []string{"price"}},
		"some":                     {pages: []int32{2, 4}, third: from("plain"), want: []string{"headline", "page1@headline", "price", "title.color"}, styles: []string{"title.color"}},
		"that one":                 {pages: []int32{1}, third: from("plain"), want: []string{"price"}},
		"a page from a ConfigMap":  {pages: []int32{1}, third: from("footer"), want: []string{"footer", "price"}},
		"a page that is not there": {pages: []int32{1, 2}, third: from("gone"), want: []string{"footer", "given", "headlin", "page3@headline", "price", "titel.color"}},
		"that one has a script":    {pages: []int32{3}, third: from("clock"), want: []string{"headline", "page1@headline", "price", "title.color"}, styles: []string{"title.color"}},
		"one has a script":         {pages: []int32{1}, third: from("script"), want: []string{"footer", "given", "headlin", "page3@headline", "price", "titel.color"}},
	} {
		t.Run(name, func(t *testing.T) {
			template.Spec.Pages[2].HTML, template.Spec.Pages[2].HTMLFrom = "", c.third
			job := newJob(func(s *platenv1alpha1.RenderJobSpec) { s.Modifications, s.Output.Pages = given, c.pages })
			task, err := Build(t.Context(), job, template, DefaultLimits, Sources{Value: maps.read})
			if diff := cmp.Diff(c.styles, task.StylesElsewhere); diff != "" {
				t.Errorf("styles (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.want, task.MayBeUnused); err != nil || diff != "" || task.TemplatePages != 4 {
				t.Errorf("%v, %d pages, keys (-want +got):\n%s", err, task.TemplatePages, diff)
			}
		})
	}
}

// TestBuildNamesEveryMistake builds jobs with several wrong fields: who mends one learns at once of the others.
func TestBuildNamesEveryMistake(t *testing.T) {
	for name, c := range map[string]struct {
		output platenv1alpha1.OutputSpec
		want   string
	}{
		"several fields": {
			platenv1alpha1.OutputSpec{Format: "png", Scale: "wide", Pages: []int32{8, 9}, Size: "0x0", ExtraSizes: []platenv1alpha1.PageSize{"a-b", "story", "c-d"}},
			"spec.output.scale: 'wide' must be a decimal number from 0.1 to 10; spec.timeoutSeconds: 3601 must be at most 3600, the manager's --max-timeout; " +
				"spec.output.pages[0]: 8 must be from 1 to 3, the number of pages of RenderTemplate 'banner'; " +
				"spec.output.pages[1]: 9 must be from 1 to 3, the number of pages of RenderTemplate 'banner'; " +
				"spec.output.size: '0x0' must be a width and a height of 1 to 5000 CSS pixels; " +
				"spec.output.extraSizes[0]: 'a-b' must be a width and a height of 1 to 5000 CSS pixels, such as 1080x1080, or one of " + strings.Join(Presets(), ", ") + "; " +
				"spec.output.extraSizes[2]: 'c-d' must be a width and a height of 1 to 5000 CSS pixels, such as 1080x1080, or a name such as instagram-post",
		},
		"several numbers": {
			platenv1alpha1.OutputSpec{Format: "mp4", Video: platenv1alpha1.VideoOptions{Duration: "x", TrimStart: "y", TrimEnd: "1,5"}},
			"spec.output.video.duration: 'x' must be a decimal number of seconds from 0.1 to 60; spec.output.video.trimStart: 'y' must be a decimal number of seconds from 0 to 3600; " +
				"spec.output.video.trimEnd: '1,5' must be a decimal number of seconds from 0 to 3600, with a point instead of the comma; spec.timeoutSeconds: 3601 must be at most 3600, the manager's --max-timeout",
		},
	} {
		_, err := Build(t.Context(), newJob(func(s *platenv1alpha1.RenderJobSpec) { s.Output, s.TimeoutSeconds = c.output, 3601 }), newTemplate(3), DefaultLimits, Sources{Value: configMaps{}.read})
		if terminal := reconcile.AsTerminal(err); terminal == nil || terminal.Reason != platenv1alpha1.InvalidSpecReason || terminal.Message != c.want {
			t.Errorf("%s: %s", name, cmp.Diff(c.want, fmt.Sprint(err)))
		}
	}
	many := newJob(func(s *platenv1alpha1.RenderJobSpec) {
		for n := range int32(30) {
			s.Output.Pages = append(s.Output.Pages, 4+n)
		}
	})
	if _, err := Build(t.Context(), many, newTemplate(3), DefaultLimits, Sources{Value: configMaps{}.read}); err == nil || strings.Count(err.Error(), "must be from") != reconcile.MaxMistakes || !strings.HasSuffix(err.Error(), "; and 20 more") {
		t.Errorf("30 wrong pages: %v", err)
	}
}

func TestBuildWarnsOfARangeThatEndsEarlier(t *testing.T) {
	for to, want := range map[int32][]render.Warning{
		0: nil, 2: nil, 3: nil,
		4: {{Title: "spec.output.pdf.rangeTo: 4 is beyond the last page", Details: "the document has 3 pages; all from rangeFrom on are printed"}},
	} {
		job := newJob(func(s *platenv1alpha1.RenderJobSpec) {
			s.Output = platenv1alpha1.OutputSpec{Format: "pdf", Pages: []int32{1, 2, 4}, PDF: platenv1alpha1.PDFOptions{RangeTo: to}}
		})
		SetDefaults(job)
		task, err := Build(t.Context(), job, newTemplate(4), DefaultLimits, Sources{Value: configMaps{}.read})
		if diff := cmp.Diff(want, task.Warnings); err != nil || diff != "" {
			t.Errorf("rangeTo %d: %v %s", to, err, diff)
		}
	}
}

func TestBuildWarnsOfEmptyPages(t *testing.T) {
	template := newTemplate(3)
	template.Spec.Pages[0] = platenv1alpha1.TemplatePage{Name: "front", Width: 1, Height: 1, HTML: " \n"}
	template.Spec.Pages[1] = platenv1alpha1.TemplatePage{Name: "back", Width: 1, Height: 1, HTMLFrom: &platenv1alpha1.HTMLSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "pages", Key: "back.html"}}}
	template.Spec.Pages[2].HTML = "<p>x</p>"
	want := []render.Warning{
		{Title: "Page front is empty", Details: "RenderTemplate 'banner': spec.pages[0].html has no text and no element to show"},
		{Title: "Page back is empty", Details: "RenderTemplate 'banner': spec.pages[1].htmlFrom: key 'back.html' of ConfigMap 'pages' has no text and no element to show"},
	}
	sources := Sources{Value: configMaps{"pages/back.html": "<!doctype html><html><head><title>x</title></head><body><!-- later --></body></html>"}.read}
	task, err := Build(t.Context(), newJob(func(*platenv1alpha1.RenderJobSpec) {}), template, DefaultLimits, sources)
	if diff := cmp.Diff(want, task.Warnings); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	// The background is what such a page shows.
	task, err = Build(t.Context(), newJob(func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"canvasBackgroundColor":"red"}`) }), template, DefaultLimits, sources)
	if err != nil || task.Warnings != nil {
		t.Errorf("with a background: %v %v", err, task.Warnings)
	}
}

// The web page gives every parameter, also those that its visitor leaves as they are.
func TestBuildTakesAGivenDefaultAsNotGiven(t *testing.T) {
	template := newTemplate(
		1, platenv1alpha1.Parameter{Name: "note", Default: raw(`"x"`)}, platenv1alpha1.Parameter{Name: "price", Type: "number", Default: raw(`"9,50"`)},
		platenv1alpha1.Parameter{Name: "points", Type: "list", Default: raw(`["a"]`)}, platenv1alpha1.Parameter{Name: "off", Type: "boolean"},
		platenv1alpha1.Parameter{Name: "on", Type: "boolean", Default: raw("true")}, platenv1alpha1.Parameter{Name: "text"},
	)
	template.Spec.Pages[0].HTML = "<p>x</p>"
	for given, want := range map[string][]string{
		`{"note": "x", "price": 9.5, "points": ["a"], "off": false, "on": true}`:                                               {"note", "off", "on", "points", "price"},
		`{"note": "y", "price": 9, "points": ["a", "b"], "off": true, "on": false, "text": "", "page1@note": "x", "other": 1}`: nil,
	} {
		task, err := Build(t.Context(), newJob(func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(given) }), template, DefaultLimits, Sources{Value: configMaps{}.read})
		if diff := cmp.Diff(want, task.MayBeUnused); err != nil || diff != "" {
			t.Errorf("%s: %v, keys (-want +got):\n%s", given, err, diff)
		}
	}
}

func TestBuildWarnsOfOptionsThatChangeNothing(t *testing.T) {
	for _, c := range []struct {
		output platenv1alpha1.OutputSpec
		want   []string
	}{
		{platenv1alpha1.OutputSpec{Format: "png", Quality: 20}, []string{"spec.output.quality: 20 changes nothing in png files"}},
		{platenv1alpha1.OutputSpec{Format: "gif", Quality: 20}, []string{"spec.output.quality: 20 changes nothing in gif files"}},
		{platenv1alpha1.OutputSpec{Format: "pdf", Quality: 20, Scale: "1.5"}, []string{"spec.output.quality: 20 changes nothing in pdf files", "spec.output.scale: 1.5 changes nothing in pdf files"}},
		{platenv1alpha1.OutputSpec{Format: "png", Quality: 90, Scale: "2"}, nil},
		{platenv1alpha1.OutputSpec{Format: "pdf", Scale: "1.0"}, nil},
		{platenv1alpha1.OutputSpec{Format: "webp", Quality: 20}, nil},
		{platenv1alpha1.OutputSpec{Format: "mp4", Quality: 20, Scale: "2"}, nil},
		{platenv1alpha1.OutputSpec{Format: "mp4", Video: platenv1alpha1.VideoOptions{Loop: new(true)}}, []string{"spec.output.video.loop: true changes nothing in mp4 files"}},
		{platenv1alpha1.OutputSpec{Format: "webm", Video: platenv1alpha1.VideoOptions{Loop: new(false)}}, nil},
		{platenv1alpha1.OutputSpec{Format: "gif", Video: platenv1alpha1.VideoOptions{Loop: new(true)}}, nil},
	} {
		t.Run(fmt.Sprintf("%s %d %s", c.output.Format, c.output.Quality, c.output.Scale), func(t *testing.T) {
			job := newJob(func(s *platenv1alpha1.RenderJobSpec) { s.Output = c.output })
			SetDefaults(job)
			task, err := Build(t.Context(), job, newTemplate(1), DefaultLimits, Sources{Value: configMaps{}.read})
			if err != nil {
				t.Fatal(err)
			}
			titles := make([]string, len(task.Warnings))
			for i, w := range task.Warnings {
				titles[i] = w.Title
			}
			if diff := cmp.Diff(c.want, titles, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBuildWarnsOfFieldsThatNoPageUses(t *testing.T) {
	given := raw(`{"order": {"totl": 1, "buyer": "x"}, "page2@order": {"total": 1}, "page9@order": {"x": 1}, "lines": [{"name": 1, "nam": 2}], "fallback": {"x": 1}, "points": [{"true": 1}], "text": "x"}`)
	first := render.Warning{Title: "Modification lines: no page uses lines.nam", Details: "did you mean lines.name?"}
	want := []render.Warning{
		first,
		{Title: "Modification order: no page uses order.buyer", Details: "the template uses these fields of order: tax, total"},
		{Title: "Modification order: no page uses order.totl", Details: "did you mean order.total?"},
		{Title: "Modification page2@order: no page uses order.total", Details: "the template uses these fields of order: tax"},
		{Title: "Modification points: no page uses points.true", Details: "put quotes around y, which YAML reads as true without them (kubectl edit shows it as \"true\": make it \"y\")"},
	}
	for name, c := range map[string]struct {
		pages []int32
		gone  string
		want  []render.Warning
	}{
		"all pages":                  {want: want},
		"one of them":                {pages: []int32{2}, want: want},
		"a page that cannot be read": {pages: []int32{1}, gone: "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			template := newTemplate(2)
			template.Spec.Pages[0].HTML = `<p data-param="order.total"><li data-each="lines"><b data-param="name">x</b></li><i data-each="points"><b data-param="y">x</b></i>`
			template.Spec.Pages[1].HTML = `<p data-param="order.tax">`
			if c.gone != "" {
				template.Spec.Pages[1].HTML, template.Spec.Pages[1].HTMLFrom = "", &platenv1alpha1.HTMLSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: c.gone, Key: "x"}}
			}
			job := newJob(func(s *platenv1alpha1.RenderJobSpec) { s.Modifications, s.Output.Pages = given, c.pages })
			task, err := Build(t.Context(), job, template, DefaultLimits, Sources{Value: configMaps{}.read})
			if diff := cmp.Diff(c.want, task.Warnings); err != nil || diff != "" {
				t.Errorf("%v, warnings (-want +got):\n%s", err, diff)
			}
		})
	}
}

// kubectl apply leaves out of an object what is null, as the rest of a text without quotes is in YAML's short form.
func TestBuildWarnsOfWhatKubectlLeavesOut(t *testing.T) {
	const applied = `{"spec":{"modifications":{"headline":"Hello","price":12,"50":null,"sold":null,"summer":null}}}`
	const details = "kubectl apply has left it out: it has no value, as summer has none in {headline: Hello, summer}: put quotes around a text that has a comma, and write 12.50 for 12,50"
	colourless := func(key string) render.Warning {
		return render.Warning{Title: "Modification " + key + " colours nothing", Details: `it has no value: in YAML, # begins a comment; put quotes around a colour, such as "#c30"`}
	}
	both := []render.Warning{{Title: "Modification 50 is not used by the page", Details: details}, {Title: "Modification summer is not used by the page", Details: details}}
	for name, c := range map[string]struct {
		given, applied string
		want           []render.Warning
	}{
		"of an item": {
			given: `{"lines":[{"title":"Espresso","price":4},{"title":"Tea","price":3}]}`, applied: `{"spec":{"modifications":{"lines":[{"title":"Espresso","doppelt":null,"price":4,"50":null},{"title":"Tea","price":3}]}}}`,
			want: []render.Warning{{Title: "Modification lines: no page uses lines.50", Details: details}, {Title: "Modification lines: no page uses lines.doppelt", Details: details}},
		},
		"of an item that keeps it": {
			given: `{"lines":[{"title":"Espresso","price":4,"50":null}]}`, applied: `{}`,
			want: []render.Warning{{Title: "Modification lines: no page uses lines.50", Details: strings.TrimPrefix(details, "kubectl apply has left it out: ")}},
		},
		"of an item that somebody has corrected": {given: `{"lines":[{"price":"4,50"}]}`, applied: `{"spec":{"modifications":{"lines":[{"price":4,"50":null}]}}}`},
		"a field that pages use":                 {given: `{"lines":[{"title":"Tea"}]}`, applied: `{"spec":{"modifications":{"lines":[{"title":"Tea","price":null}]}}}`},
		"another number of items":                {given: `{"lines":[]}`, applied: `{"spec":{"modifications":{"lines":[{"price":4,"50":null}]}}}`},
		"a text for an object":                   {given: `{"lines":["x"]}`, applied: `{"spec":{"modifications":{"lines":[{"price":4,"50":null}]}}}`},
		"the rest of a text and of a number":     {given: `{"headline":"Hello","price":12}`, applied: applied, want: both},
		"another tool's field beside them":       {given: `{"headline":"Hello","price":12,"sold":true}`, applied: applied, want: both},
		"somebody has corrected the job":         {given: `{"headline":"Hello, summer","price":12}`, applied: applied},
		"somebody has given the value":           {given: `{"headline":"Hello","price":12,"summer":1,"50":2}`, applied: applied, want: nil},
		"nothing else was applied":               {applied: `{"spec":{"modifications":{"summer":null}}}`, want: both[1:]},
		"nothing was applied with a null":        {given: `{"headline":"Hello"}`, applied: `{"spec":{"modifications":{"headline":"Hello"}}}`},
		"what is null is no modification":        {given: `{"headline":"Hello"}`, applied: `{"metadata":{"creationTimestamp":null},"spec":{"modifications":{"headline":"Hello"}}}`},
		"a colour without quotes": {
			given: `{"headline":"Hello","page1@title.color":null,"canvasBackgroundColor":null,"card.width":null}`, applied: `{}`,
			want: []render.Warning{colourless("canvasBackgroundColor"), colourless("page1@title.color")},
		},
		"a colour that kubectl has left out": {
			given: `{"headline":"Hello"}`, applied: `{"spec":{"modifications":{"headline":"Hello","title.boxShadow":null,"summer":null}}}`, want: []render.Warning{colourless("title.boxShadow"), both[1]},
		},
		"the annotation is no object":         {given: `{"headline":"Hello"}`, applied: `[":null"]`},
		"the annotation has no modifications": {given: `{"headline":"Hello"}`, applied: `{"spec":{"modifications":null}}`},
	} {
		t.Run(name, func(t *testing.T) {
			template := newTemplate(1)
			template.Spec.Pages[0].HTML = `<p data-param="headline">x</p><p data-if="sold">x</p><p data-param="price">1</p><p data-param="total">1</p><p data-each="lines"><b data-param="title">x</b><b data-param="price">1</b></p>`
			job := newJob(func(s *platenv1alpha1.RenderJobSpec) {
				if c.given != "" {
					s.Modifications = raw(c.given)
				}
			})
			job.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: c.applied}
			task, err := Build(t.Context(), job, template, DefaultLimits, Sources{Value: configMaps{}.read})
			if diff := cmp.Diff(c.want, task.Warnings, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("%v, warnings (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestBuildKeepsEveryDigit(t *testing.T) {
	job := newJob(func(s *platenv1alpha1.RenderJobSpec) {
		s.ModificationsFrom = []platenv1alpha1.ModificationsSource{{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "m", Key: "yaml"}}}
		s.Modifications = raw(`{"order": 9007199254740993, "lines": [{"parcel": 8123456789012345678}], "price": 12.5}`)
	})
	task, err := Build(t.Context(), job, newTemplate(1), DefaultLimits, Sources{Value: configMaps{"m/yaml": "tracking: 9007199254740995\nrows: [{price: 1.10, count: 2}, 12345678901234567890]"}.read})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"order": "9007199254740993", "lines": []any{map[string]any{"parcel": "8123456789012345678"}}, "price": 12.5, "tracking": "9007199254740995",
		"rows": []any{map[string]any{"price": "1.10", "count": 2.0}, "12345678901234567890"},
	}
	if diff := cmp.Diff(want, task.Modifications); diff != "" {
		t.Errorf("modifications (-want +got):\n%s", diff)
	}
	_, err = Build(t.Context(), job, newTemplate(1, platenv1alpha1.Parameter{Name: "order", Type: "number"}), DefaultLimits, Sources{Value: configMaps{"m/yaml": "{}"}.read})
	if err == nil || !strings.Contains(err.Error(), `spec.modifications.order: "9007199254740993" must be a number, with no more digits`) {
		t.Errorf("a number that a page cannot hold: %v", err)
	}
}

// The job has no field for a value that a ConfigMap gives.
func TestBuildNamesTheConfigMapOfAValue(t *testing.T) {
	job := newJob(func(s *platenv1alpha1.RenderJobSpec) {
		for _, key := range []string{"first", "second"} {
			s.ModificationsFrom = append(s.ModificationsFrom, platenv1alpha1.ModificationsSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "m", Key: key}})
		}
		s.Modifications = raw(`{"own": "x"}`)
	})
	numbers := []platenv1alpha1.Parameter{{Name: "both", Type: "number"}, {Name: "early", Type: "number"}, {Name: "own", Type: "number"}}
	_, err := Build(t.Context(), job, newTemplate(1, numbers...), DefaultLimits, Sources{Value: configMaps{"m/first": "both: a\nearly: b", "m/second": "both: c\nown: d"}.read})
	want := []string{
		`spec.modifications.both: "c" must be a number, such as 12.5; it is from key 'second' of ConfigMap 'm'`, `spec.modifications.early: "b" must be a number, such as 12.5; it is from key 'first' of ConfigMap 'm'`,
		`spec.modifications.own: "x" must be a number, such as 12.5`,
	}
	if err == nil {
		t.Fatal("no error")
	}
	if got, more := Mistakes(reconcile.AsTerminal(err).Message); more != 0 || cmp.Diff(want, got) != "" {
		t.Errorf("%s, %d more, (-want +got):\n%s", err, more, cmp.Diff(want, got))
	}
}

func TestBuildTakesTheFormatsOptions(t *testing.T) {
	build := func(change func(*platenv1alpha1.OutputSpec)) (render.Task, error) {
		return Build(t.Context(), newJob(func(s *platenv1alpha1.RenderJobSpec) { change(&s.Output) }), newTemplate(3), DefaultLimits, Sources{Value: configMaps{}.read})
	}
	pdf, err := build(func(o *platenv1alpha1.OutputSpec) {
		o.Format, o.PDF = "pdf", platenv1alpha1.PDFOptions{Margin: "1in", RangeFrom: 2, DPI: 300}
	})
	if err != nil || pdf.PDF != (render.PDFOptions{Margin: 300, DPI: 300, Title: "banner"}) || len(pdf.Pages) != 2 || pdf.Pages[0].Number != 2 {
		t.Errorf("%+v, %v", pdf, err)
	}
	for margin, want := range map[string]float64{"20": 20, "20px": 20, "2.54cm": 96, "25.4mm": 96, "0.5in": 48} {
		task, err := build(func(o *platenv1alpha1.OutputSpec) {
			o.Format, o.PDF.Margin = "pdf", platenv1alpha1.NumberOrString(margin)
		})
		if err != nil || task.PDF.Margin < want-0.001 || task.PDF.Margin > want+0.001 {
			t.Errorf("%s: %v, %v", margin, task.PDF.Margin, err)
		}
	}
	if _, err := build(func(o *platenv1alpha1.OutputSpec) { o.Format, o.PDF.RangeFrom = "pdf", 4 }); err == nil || !strings.Contains(err.Error(), "spec.output.pdf.rangeFrom: 4 must be at most 3") {
		t.Errorf("got %v", err)
	}
	if _, err := build(func(o *platenv1alpha1.OutputSpec) { o.Format, o.PDF.RangeFrom, o.PDF.RangeTo = "pdf", 3, 2 }); err == nil || !strings.Contains(err.Error(), "spec.output.pdf.rangeFrom: 3 must be at most rangeTo, which is 2") {
		t.Errorf("got %v", err)
	}
	gif, err := build(func(o *platenv1alpha1.OutputSpec) { o.Format = "gif" })
	if err != nil || gif.Video != (render.VideoOptions{FPS: 15, Loop: true, MaxSeconds: 60}) || len(gif.Files()) != 3 {
		t.Errorf("%+v, %v", gif.Video, err)
	}
	mp4, err := build(func(o *platenv1alpha1.OutputSpec) {
		o.Format, o.Video = "mp4", platenv1alpha1.VideoOptions{FPS: 25, Duration: "2.5", Loop: new(false), CombinePages: new(true)}
	})
	if err != nil || mp4.Video != (render.VideoOptions{FPS: 25, Seconds: 2.5, MaxSeconds: 60, Combine: true}) || len(mp4.Files()) != 1 {
		t.Errorf("%+v, %v", mp4.Video, err)
	}
	uneven := newTemplate(2)
	uneven.Spec.Pages[1].Width = 10
	for name, c := range map[string]struct {
		options platenv1alpha1.VideoOptions
		want    render.VideoOptions
		err     string
	}{
		"trimmed":             {platenv1alpha1.VideoOptions{TrimStart: "1.5", TrimEnd: "4", Duration: "8"}, render.VideoOptions{Start: 1.5, Seconds: 2.5}, ""},
		"without its start":   {platenv1alpha1.VideoOptions{TrimStart: "1"}, render.VideoOptions{Start: 1}, ""},
		"from, and how long":  {platenv1alpha1.VideoOptions{TrimStart: "100", Duration: "8"}, render.VideoOptions{Start: 100, Seconds: 8}, ""},
		"faded":               {platenv1alpha1.VideoOptions{PageTransition: "fade"}, render.VideoOptions{Fade: 0.5}, ""},
		"faded slowly":        {platenv1alpha1.VideoOptions{PageTransition: "fade", PageTransitionDuration: "1.25"}, render.VideoOptions{Fade: 1.25}, ""},
		"cut":                 {platenv1alpha1.VideoOptions{PageTransition: "none"}, render.VideoOptions{}, ""},
		"backwards":           {platenv1alpha1.VideoOptions{TrimStart: "4", TrimEnd: "4"}, render.VideoOptions{}, "spec.output.video.trimEnd: '4' must be more than trimStart"},
		"a length, no fade":   {platenv1alpha1.VideoOptions{PageTransitionDuration: "1"}, render.VideoOptions{}, "spec.output.video.pageTransitionDuration needs pageTransition: fade"},
		"trimmed to too long": {platenv1alpha1.VideoOptions{TrimEnd: "61"}, render.VideoOptions{}, "spec.output.video.trimEnd: '61' must be later"},
	} {
		c.want.FPS, c.want.MaxSeconds, c.want.Loop = 30, 60, true
		got, err := build(func(o *platenv1alpha1.OutputSpec) { o.Format, o.Video = "webm", c.options })
		if c.err == "" && (err != nil || got.Video != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %+v, %v", name, got.Video, err)
		}
	}
	job := newJob(func(s *platenv1alpha1.RenderJobSpec) { s.Output.Format, s.Output.Video.CombinePages = "mp4", new(true) })
	if _, err := Build(t.Context(), job, uneven, DefaultLimits, Sources{Value: configMaps{}.read}); err == nil || !strings.Contains(err.Error(), "spec.output.video.combinePages: page 1 is 1200x630 and page 2 is 10x630") {
		t.Errorf("got %v", err)
	}
}

func TestBuildResizes(t *testing.T) {
	job := newJob(func(s *platenv1alpha1.RenderJobSpec) {
		s.Output.Size, s.Output.ExtraSizes = "800x400", []platenv1alpha1.PageSize{"story", "10x5000"}
	})
	got, err := Build(t.Context(), job, newTemplate(2), DefaultLimits, Sources{Value: configMaps{}.read})
	if err != nil {
		t.Fatal(err)
	}
	if got.Pages[1].Width != 800 || got.Pages[1].Height != 400 {
		t.Errorf("pages %+v", got.Pages)
	}
	if want := []render.Size{{Name: "story", Width: 1080, Height: 1920}, {Name: "10x5000", Width: 10, Height: 5000}}; !slices.Equal(got.ExtraSizes, want) {
		t.Errorf("extra sizes %+v", got.ExtraSizes)
	}
	names := make([]string, 0, len(got.Files()))
	for _, f := range got.Files() {
		names = append(names, f.Name)
	}
	want := []string{
		"summer_page_1.png", "summer_page_2.png", "summer_story_page_1.png", "summer_story_page_2.png", "summer_10x5000_page_1.png", "summer_10x5000_page_2.png",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if _, err := Build(t.Context(), job, newTemplate(67), DefaultLimits, Sources{Value: configMaps{}.read}); err == nil || !strings.Contains(err.Error(), "67 pages in 3 sizes are 201 files; at most 200 are allowed") {
		t.Errorf("got %v", err)
	}
}

func TestSizeAppliesToAllPagesOfAVideo(t *testing.T) {
	uneven := newTemplate(2)
	uneven.Spec.Pages[1].Width = 10
	job := newJob(func(s *platenv1alpha1.RenderJobSpec) {
		s.Output.Format, s.Output.Video.CombinePages, s.Output.Size = "mp4", new(true), "story"
	})
	if _, err := Build(t.Context(), job, uneven, DefaultLimits, Sources{Value: configMaps{}.read}); err != nil {
		t.Error(err)
	}
}

func TestPresetsAreSizes(t *testing.T) {
	for _, name := range Presets() {
		if size, err := parseSize("size", name, false); err != nil || size.Name != name || size.Width < 1 || size.Width > MaxSide || size.Height < 1 || size.Height > MaxSide {
			t.Errorf("%+v, %v", size, err)
		}
	}
}
