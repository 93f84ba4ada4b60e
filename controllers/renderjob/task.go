// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
)

const (
	defaultBackoffLimit = 2
	// maxPixels of one page, so that a picture fits a render pod's memory.
	maxPixels = 100_000_000
	// maxModifications bounds the modifications of a job, in bytes of JSON.
	maxModifications = 1 << 20
)

// readValue reads one ConfigMap key.
type readValue func(ctx context.Context, namespace string, ref platenv1alpha1.ConfigMapKeySelector) (string, error)

// buildTask checks a job against its template and returns what the render pod is told.
func buildTask(ctx context.Context, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate, read readValue) (render.Task, error) {
	scale, err := strconv.ParseFloat(job.Spec.Output.Scale, 64)
	if err != nil {
		return render.Task{}, reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
			"spec.output.scale: '%s' must be a decimal number from 0.1 to 10", job.Spec.Output.Scale)
	}
	numbers, err := selectPages(job, template)
	if err != nil {
		return render.Task{}, err
	}
	modifications, err := modifications(ctx, job, read)
	if err != nil {
		return render.Task{}, err
	}
	if err := applyParameters(modifications, template.Spec.Parameters); err != nil {
		return render.Task{}, err
	}
	task := render.Task{
		Format:        string(job.Spec.Output.Format),
		Scale:         scale,
		Quality:       int(job.Spec.Output.Quality),
		Modifications: modifications,
	}
	if err := applyOptions(&task, job, template); err != nil {
		return render.Task{}, err
	}
	for _, n := range numbers {
		page := template.Spec.Pages[n-1]
		if pixels := float64(page.Width) * scale * float64(page.Height) * scale; pixels > maxPixels {
			return render.Task{}, reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
				"spec.output.scale: page %d would have %.0f pixels at scale %s; at most %d are allowed", n, pixels, job.Spec.Output.Scale, maxPixels)
		}
		html := page.HTML
		if page.HTMLFrom != nil {
			if html, err = read(ctx, job.Namespace, page.HTMLFrom.ConfigMapKeyRef); err != nil {
				return render.Task{}, err
			}
		}
		task.Pages = append(task.Pages, render.Page{
			Number: n, ID: pageID(template, page), Name: page.Name,
			Width: int(page.Width), Height: int(page.Height), HTML: html,
		})
	}
	return task, checkSizes(task)
}

// cssPixels of the units that a margin may have (https://www.w3.org/TR/css-values-4/#absolute-lengths).
var cssPixels = map[string]float64{"px": 1, "in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4}

// applyOptions takes over the options of the job's format.
func applyOptions(task *render.Task, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate) error {
	output := job.Spec.Output
	task.Transparent = valueOr(output.Transparent, false)
	switch {
	case task.Format == string(platenv1alpha1.FormatPDF):
		task.PDF = render.PDFOptions{DPI: int(output.PDF.DPI), Title: cmp.Or(output.PDF.Title, template.Name)}
		if margin := output.PDF.Margin; margin != "" {
			number := strings.TrimRight(margin, "pxmcin")
			length, err := strconv.ParseFloat(number, 64)
			if err != nil {
				return reconcile.Terminal(platenv1alpha1.InvalidSpecReason, "spec.output.pdf.margin: '%s' must be a length in px, mm, cm or in", margin)
			}
			task.PDF.Margin = length * cssPixels[cmp.Or(margin[len(number):], "px")]
		}
	case task.Filmed():
		fps := 30
		if task.Format == string(platenv1alpha1.FormatGIF) {
			fps = 15
		}
		task.Video = render.VideoOptions{
			FPS: cmp.Or(int(output.Video.FPS), fps), Loop: valueOr(output.Video.Loop, true), Combine: valueOr(output.Video.CombinePages, false),
		}
		if duration := output.Video.Duration; duration != "" {
			seconds, err := strconv.ParseFloat(duration, 64)
			if err != nil {
				return reconcile.Terminal(platenv1alpha1.InvalidSpecReason, "spec.output.video.duration: '%s' must be a decimal number from 0.1 to 60", duration)
			}
			task.Video.Seconds = seconds
		}
	}
	return nil
}

// checkSizes refuses to join pages of several sizes to one video.
func checkSizes(task render.Task) error {
	if !task.Filmed() || !task.Joined() {
		return nil
	}
	for _, page := range task.Pages {
		if first := task.Pages[0]; page.Width != first.Width || page.Height != first.Height {
			return reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
				"spec.output.video.combinePages: page %d is %dx%d and page %d is %dx%d; pages of one video must have one size",
				first.Number, first.Width, first.Height, page.Number, page.Width, page.Height)
		}
	}
	return nil
}

// selectPages returns the numbers of the pages to render, in order.
func selectPages(job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate) ([]int, error) {
	total := len(template.Spec.Pages)
	var numbers []int
	for i, n := range job.Spec.Output.Pages {
		if int(n) > total {
			return nil, reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
				"spec.output.pages[%d]: %d must be at most %d, the number of pages of RenderTemplate '%s'", i, n, total, template.Name)
		}
		numbers = append(numbers, int(n))
	}
	if numbers == nil {
		for n := 1; n <= total; n++ {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	if options := job.Spec.Output.PDF; options.RangeFrom > 0 || options.RangeTo > 0 {
		last := len(numbers)
		from, to := max(int(options.RangeFrom), 1), last
		if options.RangeTo > 0 {
			to = min(int(options.RangeTo), last)
		}
		if from > to {
			return nil, reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
				"spec.output.pdf.rangeFrom: %d must be at most %d, the number of pages of the document", options.RangeFrom, last)
		}
		numbers = numbers[from-1 : to]
	}
	return numbers, nil
}

// pageID is the page's own id, or one derived from the template and the page's name.
func pageID(template *platenv1alpha1.RenderTemplate, page platenv1alpha1.TemplatePage) string {
	if page.ID != "" {
		return page.ID
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(string(template.UID)+"/"+page.Name)).String()
}

// modifications merges the job's sources; later ones win.
func modifications(ctx context.Context, job *platenv1alpha1.RenderJob, read readValue) (map[string]any, error) {
	merged := map[string]any{}
	for i, source := range job.Spec.ModificationsFrom {
		text, err := read(ctx, job.Namespace, source.ConfigMapKeyRef)
		if err != nil {
			return nil, err
		}
		values := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &values); err != nil {
			return nil, reconcile.Terminal(platenv1alpha1.InvalidModificationsReason,
				"spec.modificationsFrom[%d]: key '%s' of ConfigMap '%s' must hold a JSON or YAML object", i, source.ConfigMapKeyRef.Key, source.ConfigMapKeyRef.Name)
		}
		maps.Copy(merged, values)
	}
	if m := job.Spec.Modifications; m != nil {
		if len(m.Raw) > maxModifications {
			return nil, reconcile.Terminal(platenv1alpha1.InvalidModificationsReason,
				"spec.modifications: %d bytes must be at most %d", len(m.Raw), maxModifications)
		}
		values := map[string]any{}
		if err := json.Unmarshal(m.Raw, &values); err != nil {
			return nil, reconcile.Terminal(platenv1alpha1.InvalidModificationsReason, "spec.modifications must be a JSON object")
		}
		maps.Copy(merged, values)
	}
	return merged, nil
}

// applyParameters fills in defaults and checks the values that a template declares.
func applyParameters(values map[string]any, parameters []platenv1alpha1.Parameter) error {
	for _, p := range parameters {
		value, given := values[p.Name]
		if !given {
			switch {
			case p.Default != nil:
				v, err := decode(p.Default)
				if err != nil {
					return reconcile.Terminal(platenv1alpha1.InvalidSpecReason, "the template's parameter '%s' has a default that is no JSON value", p.Name)
				}
				values[p.Name] = v
				continue
			case valueOr(p.Required, false):
				return reconcile.Terminal(platenv1alpha1.InvalidModificationsReason,
					"spec.modifications.%s is required by the template", p.Name)
			default:
				continue
			}
		}
		if !fits(value, p.Type) {
			return reconcile.Terminal(platenv1alpha1.InvalidModificationsReason,
				"spec.modifications.%s: %s must be %s", p.Name, shorten(value), expected[p.Type])
		}
	}
	return nil
}

var expected = map[platenv1alpha1.ParameterType]string{
	platenv1alpha1.ParameterText:    "a string or a number",
	platenv1alpha1.ParameterImage:   "a URL that starts with http://, https:// or data:image/",
	platenv1alpha1.ParameterColor:   "a string with a CSS colour or gradient",
	platenv1alpha1.ParameterNumber:  "a number",
	platenv1alpha1.ParameterBoolean: "true or false",
	platenv1alpha1.ParameterList:    "a list",
}

func fits(value any, kind platenv1alpha1.ParameterType) bool {
	text, isText := value.(string)
	_, isNumber := value.(float64)
	switch kind {
	case platenv1alpha1.ParameterImage:
		return isText && imageURL.MatchString(text)
	case platenv1alpha1.ParameterColor:
		return isText
	case platenv1alpha1.ParameterNumber:
		return isNumber
	case platenv1alpha1.ParameterBoolean:
		_, ok := value.(bool)
		return ok
	case platenv1alpha1.ParameterList:
		_, ok := value.([]any)
		return ok
	case platenv1alpha1.ParameterText:
		return isText || isNumber
	default:
		return false
	}
}

func decode(raw *apiextensionsv1.JSON) (value any, err error) {
	err = json.Unmarshal(raw.Raw, &value)
	return value, err
}

// shorten shows a value in an error message.
func shorten(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "the value"
	}
	if len(text) > 80 {
		return fmt.Sprintf("%.80s…", text)
	}
	return string(text)
}
