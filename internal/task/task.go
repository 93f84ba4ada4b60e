// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package task builds a render task from a RenderJob and its RenderTemplate, and reports mistakes in them before a render pod is used.
// The manager and the preview on an author's machine both use it.
package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/numbers"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/values"
)

// maxModifications bounds the modifications of a job, in bytes of JSON.
const maxModifications = 1 << 20

// Limits of one task.
type Limits struct {
	// MaxPixels bounds one picture, so that it fits into a render pod's memory.
	MaxPixels int
	// MaxVideo bounds the video of one page.
	MaxVideo time.Duration
	// MaxTimeout bounds spec.timeoutSeconds, so that a page keeps a render pod busy only that long.
	MaxTimeout time.Duration
}

// DefaultLimits are a picture of 100 million pixels, a minute of video and an hour for an attempt.
var DefaultLimits = Limits{MaxPixels: 100_000_000, MaxVideo: numbers.DefaultMaxVideo, MaxTimeout: time.Hour}

// ReadValue reads one key of a ConfigMap. Build returns its error with the field that names the ConfigMap.
type ReadValue func(ctx context.Context, namespace string, ref platenv1alpha1.ConfigMapKeySelector) (string, error)

// ReadFonts returns the fonts of a FontSet. Build returns its error with the name of the FontSet in front.
type ReadFonts func(ctx context.Context, namespace, fontSet string) ([]render.Font, error)

// Sources are what Build reads besides the job and its template. Fonts may be nil if no template names a FontSet.
type Sources struct {
	Value ReadValue
	Fonts ReadFonts
}

// defaultQuality is the API's default of spec.output.quality.
const defaultQuality = 90

// SetDefaults sets the defaults that the API server sets, for a job that it has not seen.
func SetDefaults(job *platenv1alpha1.RenderJob) {
	output := &job.Spec.Output
	output.Format = cmp.Or(output.Format, platenv1alpha1.FormatPNG)
	output.Scale = cmp.Or(output.Scale, "1")
	output.Quality = cmp.Or(output.Quality, defaultQuality)
}

// Build checks a job, with the API server's defaults, against its template and returns its task. The error of a mistake that the user
// must fix is a *reconcile.TerminalError that names the field.
func Build(ctx context.Context, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate, limits Limits, sources Sources) (render.Task, error) {
	n, wrong := checkSpec(job, template, limits)
	task := render.Task{
		Name:    job.FileBaseName(),
		Format:  file.Format(job.Spec.Output.Format),
		Scale:   n.Scale,
		Quality: int(job.Spec.Output.Quality),
	}
	var missing []error
	if len(wrong) == 0 { // else the rest has no pages, sizes and numbers to build on
		var err error
		missing, err = addWork(ctx, &task, job, template, n, limits, sources)
		if mistake := reconcile.AsTerminal(err); mistake != nil && mistake.Reason == platenv1alpha1.InvalidSpecReason {
			wrong = append(wrong, err)
		} else if err != nil {
			return render.Task{}, err
		}
	}
	merged, origins, err := Values(ctx, job, sources.Value)
	switch {
	case err != nil && len(wrong) > 0 && (reconcile.AsTerminal(err) == nil || isMissing(err)):
		return render.Task{}, reconcile.Join(wrong) // what is wrong stays so, whatever the ConfigMap has
	case len(wrong) == 0 && len(missing) > 0 && (err == nil || isMissing(err)):
		return render.Task{}, reconcile.Join(append(missing, err))
	case err != nil:
		return render.Task{}, reconcile.Join(append(wrong, err))
	}
	task.Modifications = merged
	given, colourless := slices.Collect(maps.Keys(merged)), WithoutColour(merged, template.Spec.Parameters)
	if wrong = append(wrong, applyParameters(merged, template, origins)...); len(wrong) > 0 {
		return render.Task{}, reconcile.Join(wrong)
	}
	given = slices.DeleteFunc(given, isDefault(task.Modifications, template.Spec.Parameters))
	html := pagesOf(ctx, task, job.Namespace, template, sources.Value)
	task.TemplatePages = len(template.Spec.Pages)
	task.MayBeUnused, task.StylesElsewhere = mayBeUnused(task, given, namesOfPages(html))
	task.Warnings = slices.Concat(idleOptions(task, job.Spec.Output), beyond(job, template), emptyPages(task, template))
	const applyLeftItOut = "kubectl apply has left it out: " + nearest.NoValue
	keys, applied := leftOut(job)
	for _, key := range keys {
		colourless = append(colourless, WithoutColour(map[string]any{key: nil}, template.Spec.Parameters)...)
	}
	if _, rest := job.Annotations[platenv1alpha1.ResponseTypeAnnotation]; rest {
		colourless = nil // nobody writes YAML there
	}
	for _, key := range colourless {
		task.Warnings = append(task.Warnings, render.Warning{Title: fmt.Sprintf("Modification %s colours nothing", nearest.Shown(key)), Details: nearest.NoColour})
	}
	for _, u := range UnusedKeys(slices.DeleteFunc(keys, func(key string) bool { return slices.Contains(colourless, key) }), len(template.Spec.Pages), html) {
		task.Warnings = append(task.Warnings, render.Warning{Title: fmt.Sprintf("Modification %s is not used by the page", nearest.Shown(u.Key)), Details: applyLeftItOut})
	}
	fields := unusedFields(len(template.Spec.Pages), html)
	found := fields(task.Modifications, given)
	for _, u := range fields(applied, slices.Collect(maps.Keys(applied))) {
		if u.Hint == nearest.NoValue && !slices.ContainsFunc(found, func(other UnusedField) bool { return other.Path == u.Path }) {
			found = append(found, UnusedField{u.Key, u.Path, applyLeftItOut})
		}
	}
	for _, u := range found {
		task.Warnings = append(task.Warnings, render.Warning{Title: fmt.Sprintf("Modification %s: no page uses %.100s", nearest.Shown(u.Key), u.Path), Details: u.Hint})
	}
	return task, nil
}

// isMissing reports whether an error says that a ConfigMap, its key or a FontSet does not exist: there may be more of them, and they are named together.
func isMissing(err error) bool {
	if mistake := reconcile.AsTerminal(err); mistake != nil { // of a preview, where nobody waits
		return mistake.Reason == platenv1alpha1.SourceNotFoundReason || mistake.Reason == platenv1alpha1.FontSetNotFoundReason
	}
	return reconcile.AsWaiting(err) != nil
}

// addWork adds to a task what its job and its template have besides values: options, pages, sizes and fonts. checkSpec has found nothing wrong. It returns
// what of it is missing.
func addWork(
	ctx context.Context, task *render.Task, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate, n numbers.Numbers, limits Limits, sources Sources,
) (missing []error, err error) {
	if err := applyOptions(task, job, template, n, limits); err != nil {
		return nil, err
	}
	missing, err = addPages(ctx, task, job, template, sources.Value)
	if err != nil {
		return nil, err
	}
	applySizes(task, job.Spec.Output)
	if err := checkSizes(*task, job.Spec.Output, limits); err != nil {
		return nil, err
	}
	withoutFonts, err := addFonts(ctx, task, job.Namespace, template, sources.Fonts)
	return append(missing, withoutFonts...), err
}

// checkSpec reads the numbers of a job. The errors name all fields that are wrong by themselves, or that the manager's flags or the template's number of
// pages do not allow.
func checkSpec(job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate, limits Limits) (numbers.Numbers, []error) {
	n, problems := numbers.Read(job.Spec.Output, limits.MaxVideo)
	wrong := make([]error, 0, len(problems))
	refuse := func(format string, args ...any) {
		wrong = append(wrong, reconcile.Terminal(platenv1alpha1.InvalidSpecReason, format, args...))
	}
	for _, problem := range problems {
		refuse("%s", problem)
	}
	if timeout := time.Duration(job.Spec.TimeoutSeconds) * time.Second; timeout > limits.MaxTimeout {
		refuse("spec.timeoutSeconds: %d must be at most %g, the manager's --max-timeout", job.Spec.TimeoutSeconds, limits.MaxTimeout.Seconds())
	}
	for i, page := range job.Spec.Output.Pages {
		if total := len(template.Spec.Pages); page < 1 || int(page) > total {
			refuse("spec.output.pages[%d]: %d must be from 1 to %d, the number of pages of RenderTemplate '%s'", i, page, total, template.Name)
		}
	}
	_, _, sizes := readSizes(job.Spec.Output)
	return n, append(wrong, sizes...)
}

// Check returns the mistakes that Build finds in a job which the API server has not seen. It is for code that reads no ConfigMap and no font, and
// does not know the manager's limits. It takes what any manager may take, and refuses other values in the words of the default limits.
func Check(ctx context.Context, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate) error {
	return CheckWith(ctx, job, template, func(context.Context, string, platenv1alpha1.ConfigMapKeySelector) (string, error) { return "{}", nil })
}

// CheckWith is Check for code that can read the ConfigMaps of the job's values.
func CheckWith(ctx context.Context, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate, value ReadValue) error {
	// The HTML decides nothing.
	bare := *template
	bare.Spec.Pages = slices.Clone(template.Spec.Pages)
	for i := range bare.Spec.Pages {
		bare.Spec.Pages[i].HTMLFrom = nil
	}
	job, template = job.DeepCopy(), &bare
	SetDefaults(job)
	build := func(maxVideo time.Duration) error {
		_, err := Build(ctx, job, template, Limits{MaxPixels: math.MaxInt, MaxVideo: maxVideo, MaxTimeout: math.MaxInt64}, Sources{
			Value: value,
			Fonts: func(context.Context, string, string) ([]render.Font, error) { return nil, nil },
		})
		return err
	}
	if build(numbers.MaxVideo) == nil {
		return nil
	}
	return build(DefaultLimits.MaxVideo)
}

// isDefault returns a function that tells whether a given modification is what its parameter has without it, so that it changes nothing: its default, or
// false where there is none.
func isDefault(given map[string]any, parameters []platenv1alpha1.Parameter) func(key string) bool {
	byName := make(map[string]platenv1alpha1.Parameter, len(parameters))
	for _, p := range parameters {
		byName[p.Name] = p
	}
	return func(key string) bool {
		p, ok := byName[key]
		if !ok {
			return false
		}
		value, _ := Default(p) // it fits: applyParameters has read it, or the value is given
		return value != nil && reflect.DeepEqual(given[key], value) || value == nil && given[key] == false
	}
}

// mayBeUnused returns the keys of modifications that need no page to use them. These are defaults, given or not, and keys that only pages may
// use which the task leaves out; styles are those of the latter that style an element. names returns the names in a page; nil if it cannot be
// read, so that it may use all.
func mayBeUnused(task render.Task, given []string, names func(page int) *bindings.Names) (keys, styles []string) {
	var rendered, left []int
	for n := 1; n <= task.TemplatePages; n++ {
		if slices.ContainsFunc(task.Pages, func(page render.Page) bool { return page.Number == n }) {
			rendered = append(rendered, n)
		} else {
			left = append(left, n)
		}
	}
	byKey := make(map[string]bool, len(given)) // there may be tens of thousands
	for _, key := range given {
		byKey[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(task.Modifications)) {
		number, name := splitKey(key)
		uses := func(n int) bool {
			return (number == "" || number == strconv.Itoa(n)) && (names(n) == nil || names(n).MayUse(name))
		}
		surely := func(n int) bool { return uses(n) && names(n) != nil && names(n).Uses(name) }
		otherwise := func(n int) bool { return uses(n) && (names(n) == nil || !names(n).Styles(name)) }
		switch {
		case !byKey[key]:
			keys = append(keys, key)
		case !slices.ContainsFunc(rendered, uses) && slices.ContainsFunc(left, uses),
			!slices.ContainsFunc(rendered, surely) && slices.ContainsFunc(left, surely): // the rendered pages have scripts, which may use anything
			keys = append(keys, key)
			if !slices.ContainsFunc(left, otherwise) {
				styles = append(styles, key)
			}
		}
	}
	return keys, styles
}

// pagesOf returns a function that returns the HTML of a page of a template, and whether it can be read.
func pagesOf(ctx context.Context, task render.Task, namespace string, template *platenv1alpha1.RenderTemplate, read ReadValue) func(page int) (string, bool) {
	return func(n int) (string, bool) {
		if i := slices.IndexFunc(task.Pages, func(page render.Page) bool { return page.Number == n }); i >= 0 {
			return task.Pages[i].HTML, true
		}
		text, err := pageHTML(ctx, namespace, template.Spec.Pages[n-1], read)
		return text, err == nil
	}
}

// idleOptions warns of options that change nothing in the task's format. The API server cannot refuse them: it does not know a default from the
// same value given.
func idleOptions(task render.Task, output platenv1alpha1.OutputSpec) (warnings []render.Warning) {
	if title, details := IdleQuality(task.Format, task.Quality); title != "" {
		warnings = append(warnings, render.Warning{Title: "spec.output.quality: " + title, Details: details})
	}
	if task.Scale != 1 && task.Format == "pdf" {
		warnings = append(warnings, render.Warning{
			Title: fmt.Sprintf("spec.output.scale: %g changes nothing in pdf files", task.Scale), Details: "it needs another format; spec.output.pdf.dpi changes the size of a document",
		})
	}
	if task.Filmed() && task.Format != "gif" && ptr.Deref(output.Video.Loop, false) {
		warnings = append(warnings, render.Warning{
			Title:   fmt.Sprintf("spec.output.video.loop: true changes nothing in %s files", task.Format),
			Details: "only a gif says whether it repeats; a player decides for " + string(task.Format),
		})
	}
	return warnings
}

// IdleQuality says that a quality changes nothing in the files of a format; the texts are empty if it does, or if it is the default.
func IdleQuality(format file.Format, quality int) (title, details string) {
	if quality == 0 || quality == defaultQuality || format != "png" && format != "gif" && format != "pdf" {
		return "", ""
	}
	return fmt.Sprintf("%d changes nothing in %s files", quality, format), "it needs format jpg, jpeg, webp, avif, mp4 or webm"
}

// beyond warns of a range that ends beyond the last page of the document.
func beyond(job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate) []render.Warning {
	last, to := len(pagesBeforeRange(job, template)), int(job.Spec.Output.PDF.RangeTo)
	if to <= last {
		return nil
	}
	return []render.Warning{{
		Title:   fmt.Sprintf("spec.output.pdf.rangeTo: %d is beyond the last page", to),
		Details: fmt.Sprintf("the document has %s; all from rangeFrom on are printed", plural.Count(last, "page")),
	}}
}

// emptyPages warns of pages that show nothing, as those of a ConfigMap's key that has no text. A background that a job gives is something.
func emptyPages(task render.Task, template *platenv1alpha1.RenderTemplate) (warnings []render.Warning) {
	for _, page := range task.Pages {
		if !bindings.IsEmpty(page.HTML) || hasBackground(task, page) {
			continue
		}
		warnings = append(warnings, render.Warning{
			Title:   fmt.Sprintf("Page %s is empty", page.Name),
			Details: fmt.Sprintf("RenderTemplate '%s': spec.pages[%d].%s has no text and no element to show", template.Name, page.Number-1, sourceOf(template.Spec.Pages[page.Number-1])),
		})
	}
	return warnings
}

// hasBackground reports whether a modification is the background of a page.
func hasBackground(task render.Task, page render.Page) bool {
	for key := range task.Modifications {
		if number, name := splitKey(key); bindings.OfEveryPage(name) && (number == "" || number == strconv.Itoa(page.Number)) {
			return true
		}
	}
	return false
}

// sourceOf says where the HTML of a page is.
func sourceOf(page platenv1alpha1.TemplatePage) string {
	if page.HTMLFrom == nil {
		return "html"
	}
	ref := page.HTMLFrom.ConfigMapKeyRef
	return fmt.Sprintf("htmlFrom: key '%s' of ConfigMap '%s'", ref.Key, ref.Name)
}

// namesOfPages returns a function that returns the names in a page of a template; nil if the page cannot be read. It reads each page once, when
// it is asked.
func namesOfPages(html func(page int) (string, bool)) func(page int) *bindings.Names {
	known := map[int]*bindings.Names{}
	return func(n int) *bindings.Names {
		names, ok := known[n]
		if !ok {
			if text, ok := html(n); ok {
				names = new(bindings.NamesOf(text))
			}
			known[n] = names
		}
		return names
	}
}

// addPages selects the pages and reads their HTML.
func addPages(ctx context.Context, task *render.Task, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate, read ReadValue) (missing []error, err error) {
	numbers, err := selectPages(job, template)
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		page := template.Spec.Pages[n-1]
		html, err := pageHTML(ctx, job.Namespace, page, read)
		if err != nil {
			err = reconcile.Within(fmt.Sprintf("RenderTemplate '%s': spec.pages[%d].htmlFrom: ", template.Name, n-1), err)
			if !isMissing(err) {
				return nil, err
			}
			missing = append(missing, err)
		}
		task.Pages = append(task.Pages, render.Page{
			Number: n, ID: pageID(template, page), Name: page.Name,
			Width: int(page.Width), Height: int(page.Height), HTML: html,
		})
	}
	return missing, nil
}

// pageHTML returns the HTML of a page.
func pageHTML(ctx context.Context, namespace string, page platenv1alpha1.TemplatePage, read ReadValue) (string, error) {
	if page.HTMLFrom == nil {
		return page.HTML, nil
	}
	return read(ctx, namespace, page.HTMLFrom.ConfigMapKeyRef)
}

// maxFonts bounds the font files of a task, in bytes: a render pod keeps them in memory.
const maxFonts = 32 << 20

// addFonts adds the fonts of the template's FontSets.
func addFonts(ctx context.Context, task *render.Task, namespace string, template *platenv1alpha1.RenderTemplate, read ReadFonts) (missing []error, err error) {
	total := int64(0)
	for _, ref := range template.Spec.FontSetRefs {
		fonts, err := read(ctx, namespace, ref.Name)
		if err != nil {
			err = reconcile.Within(fmt.Sprintf("FontSet '%s': ", ref.Name), err)
			if !isMissing(err) {
				return nil, err
			}
			missing = append(missing, err)
		}
		for _, f := range fonts {
			total += f.Size
		}
		task.Fonts = append(task.Fonts, fonts...)
	}
	if total > maxFonts {
		return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason,
			"the FontSets of template '%s' have %d bytes of fonts; at most %d are allowed: name fewer in spec.fontSetRefs, or use WOFF2 files", template.Name, total, maxFonts)
	}
	return missing, nil
}

// applyOptions sets the options of the job's format.
func applyOptions(task *render.Task, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate, n numbers.Numbers, limits Limits) error {
	output := job.Spec.Output
	task.Transparent = ptr.Deref(output.Transparent, false)
	switch {
	case task.Format == "pdf":
		task.PDF = render.PDFOptions{DPI: int(output.PDF.DPI), CMYK: output.PDF.ColorMode == platenv1alpha1.ColorCMYK, Title: cmp.Or(output.PDF.Title, template.Name)}
		task.PDF.Margin = n.Margin
	case task.Filmed():
		fps := 30
		if task.Format == "gif" {
			fps = 15
		}
		task.Video = render.VideoOptions{
			FPS: cmp.Or(int(output.Video.FPS), fps), MaxSeconds: limits.MaxVideo.Seconds(),
			Loop: ptr.Deref(output.Video.Loop, true), Combine: ptr.Deref(output.Video.CombinePages, false),
		}
		return applyTimes(&task.Video, output.Video, n, limits)
	}
	return nil
}

// defaultFade is the length of a fade in seconds.
const defaultFade = 0.5

// applyTimes sets the times of a video.
func applyTimes(video *render.VideoOptions, wanted platenv1alpha1.VideoOptions, n numbers.Numbers, limits Limits) error {
	video.Start, video.Seconds = n.TrimStart, n.Duration
	if wanted.TrimEnd != "" {
		video.Seconds = n.TrimEnd - n.TrimStart
	}
	if longest := limits.MaxVideo.Seconds(); wanted.TrimEnd != "" && video.Seconds > longest {
		return reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
			"spec.output.video.trimEnd: '%s' must be later than trimStart, by at most %g seconds", wanted.TrimEnd, longest)
	}
	if wanted.PageTransition == platenv1alpha1.TransitionFade {
		video.Fade = cmp.Or(n.Fade, defaultFade)
	}
	return nil
}

// pagesBeforeRange returns the numbers of the pages that a job names, or else of all, in order.
func pagesBeforeRange(job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate) []int {
	var numbers []int
	for _, n := range job.Spec.Output.Pages {
		numbers = append(numbers, int(n))
	}
	if numbers == nil {
		for n := range template.Spec.Pages {
			numbers = append(numbers, n+1)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// selectPages returns the numbers of the pages to render, in order. checkSpec has checked those that the job names.
func selectPages(job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate) ([]int, error) {
	numbers := pagesBeforeRange(job, template)
	if options := job.Spec.Output.PDF; options.RangeFrom > 0 || options.RangeTo > 0 {
		last := len(numbers)
		from, to := max(int(options.RangeFrom), 1), last
		if options.RangeTo > 0 {
			to = min(int(options.RangeTo), last)
		}
		if options.RangeTo > 0 && options.RangeFrom > options.RangeTo {
			return nil, reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
				"spec.output.pdf.rangeFrom: %d must be at most rangeTo, which is %d", options.RangeFrom, options.RangeTo)
		}
		if from > to {
			return nil, reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
				"spec.output.pdf.rangeFrom: %d must be at most %d, the number of pages of the document", options.RangeFrom, last)
		}
		numbers = numbers[from-1 : to]
	}
	return numbers, nil
}

// pageID returns the page's id, or one derived from the template and the page's name.
func pageID(template *platenv1alpha1.RenderTemplate, page platenv1alpha1.TemplatePage) string {
	if page.ID != "" {
		return page.ID
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(string(template.UID)+"/"+page.Name)).String()
}

// Values returns the values that a job gives its template, merged from its sources: later ones override earlier ones. origins has the ConfigMaps of the
// values that are not the job's own. The error names all sources that hold no values; if some cannot be read, it names those alone.
func Values(ctx context.Context, job *platenv1alpha1.RenderJob, read ReadValue) (
	merged map[string]any, origins map[string]platenv1alpha1.ConfigMapKeySelector, err error,
) {
	merged, origins = map[string]any{}, map[string]platenv1alpha1.ConfigMapKeySelector{}
	var wrong, missing []error
	refuse := func(format string, args ...any) {
		wrong = append(wrong, reconcile.Terminal(platenv1alpha1.InvalidModificationsReason, format, args...))
	}
	for i, source := range job.Spec.ModificationsFrom {
		ref := source.ConfigMapKeyRef
		text, err := read(ctx, job.Namespace, ref)
		if err != nil {
			err = reconcile.Within(fmt.Sprintf("spec.modificationsFrom[%d]: ", i), err)
			if !isMissing(err) {
				return nil, nil, err
			}
			missing = append(missing, err)
			continue
		}
		object, err := readObject(text)
		switch {
		case errors.Is(err, values.ErrTooDeep):
			refuse("spec.modificationsFrom[%d]: key '%s' of ConfigMap '%s': %s", i, ref.Key, ref.Name, err)
		case err != nil:
			refuse("spec.modificationsFrom[%d]: key '%s' of ConfigMap '%s' %s", i, ref.Key, ref.Name, err)
		}
		maps.Copy(merged, object)
		for key := range object {
			origins[key] = ref
		}
	}
	if len(missing) > 0 {
		return nil, nil, reconcile.Join(missing)
	}
	if m := job.Spec.Modifications; m != nil {
		if len(m.Raw) > maxModifications {
			refuse("spec.modifications: %d bytes must be at most %d", len(m.Raw), maxModifications)
			return nil, nil, reconcile.Join(wrong)
		}
		object, err := values.Decode(m.Raw)
		switch {
		case errors.Is(err, values.ErrTooDeep):
			refuse("spec.modifications: %s", err)
		case err != nil:
			refuse("spec.modifications must be a JSON object")
		}
		maps.Copy(merged, object)
		for key := range object {
			delete(origins, key)
		}
	}
	return merged, origins, reconcile.Join(wrong)
}

// pageKey is a key for one page only, such as page2@price.
var pageKey = regexp.MustCompile(`^page([0-9]{1,4})@(.+)$`)

// splitKey returns the number of the page that a key is for, and the key there. The number is empty if the key is for every page.
func splitKey(key string) (number, name string) {
	if m := pageKey.FindStringSubmatch(key); m != nil {
		return m[1], m[2]
	}
	return "", key
}

// ofTemplate begins what an error says of a parameter of the template.
const ofTemplate = "the template's parameter '"

var (
	// moreMistakes ends a message that does not name all mistakes.
	moreMistakes = regexp.MustCompile(`; and ([0-9]+) more$`)
	// mistakeBegins matches the beginning of each mistake but the first. A hint follows a semicolon too.
	mistakeBegins = regexp.MustCompile(`; (spec\.|` + ofTemplate + `)`)
)

// Mistakes returns what the message of a job, or of an error of Build, says of each field and of each parameter of the template that is wrong, and how many
// more there are; none if it is about something else.
func Mistakes(message string) (mistakes []string, more int) {
	if first := mistakeBegins.FindStringIndex("; " + message); first == nil || first[0] > 0 {
		return nil, 0
	}
	if end := moreMistakes.FindStringSubmatch(message); end != nil {
		more, _ = strconv.Atoi(end[1])
		message = strings.TrimSuffix(message, end[0])
	}
	from := 0
	for _, next := range mistakeBegins.FindAllStringIndex(message, -1) {
		mistakes, from = append(mistakes, message[from:next[0]]), next[0]+len("; ")
	}
	return append(mistakes, message[from:]), more
}

// applyParameters sets the defaults of a template's parameters, and reads the given values as the types of their parameters. The errors are about
// values that do not fit, with the ConfigMaps that they are from, about defaults that do not, and about values that are missing.
func applyParameters(given map[string]any, template *platenv1alpha1.RenderTemplate, origins map[string]platenv1alpha1.ConfigMapKeySelector) []error {
	parameters := template.Spec.Parameters
	byName := make(map[string]platenv1alpha1.Parameter, len(parameters))
	for _, p := range parameters {
		byName[p.Name] = p
	}
	var wrong, defaults []error
	known := sync.OnceValue(func() []bindings.Parameter { return bindings.Cached(template) }) // it may read the pages
	for _, key := range slices.Sorted(maps.Keys(given)) {
		_, name := splitKey(key)
		kind := values.Type("")
		if p, ok := byName[name]; ok {
			kind = typeOf(p)
		}
		value, err := values.Read(kind, given[key])
		if refused := (*values.Error)(nil); errors.As(err, &refused) {
			from := ""
			if origin, ok := origins[key]; ok {
				from = fmt.Sprintf("; it is from key '%s' of ConfigMap '%s'", origin.Key, origin.Name)
			}
			if kind == values.List {
				refused.Want = bindings.Wanted(refused, known(), name)
			}
			wrong = append(wrong, reconcile.Terminal(platenv1alpha1.InvalidModificationsReason,
				"spec.modifications.%s: %s must be %s%s", key, reconcile.Private(refused.Given), refused.Want, from))
			continue
		}
		if given[key] = value; value == nil && kind != "" {
			delete(given, key)
		}
	}
	missing := Missing(given, template)
	for _, p := range parameters {
		if _, ok := given[p.Name]; ok {
			continue
		}
		value, err := Default(p)
		switch {
		case err != nil:
			defaults = append(defaults, reconcile.Terminal(platenv1alpha1.InvalidSpecReason, ofTemplate+"%s' has a default that does not fit: %s", p.Name, err))
		case value != nil:
			given[p.Name] = value
		}
	}
	return slices.Concat(wrong, missing, defaults)
}

// Missing returns an error for each required parameter without a default that is not given, neither for all pages at once nor for each of them. A value that
// does not fit its type counts as given.
func Missing(given map[string]any, template *platenv1alpha1.RenderTemplate) (missing []error) {
	parameters := template.Spec.Parameters
	forEachPage := func(name string) bool {
		for n := range template.Spec.Pages {
			if _, ok := given[fmt.Sprintf("page%d@%s", n+1, name)]; !ok {
				return false
			}
		}
		return len(template.Spec.Pages) > 0
	}
	known := func(key string) bool {
		return slices.ContainsFunc(parameters, func(p platenv1alpha1.Parameter) bool { return p.Name == key })
	}
	for _, p := range parameters {
		if _, ok := given[p.Name]; ok || !ptr.Deref(p.Required, false) || forEachPage(p.Name) {
			continue
		}
		if value, err := Default(p); value == nil && err == nil {
			missing = append(missing, reconcile.Terminal(platenv1alpha1.InvalidModificationsReason, "spec.modifications.%s is required by the template%s", p.Name, meantBy(p.Name, given, known)))
		}
	}
	return missing
}

// maxOthers bounds the given keys that are no parameters among which one is looked for that was meant.
const maxOthers = 200

// meantBy asks whether a given key that is no parameter was meant to be a parameter that is missing; empty if none has a similar name, or if there are
// more than maxOthers.
func meantBy(missing string, given map[string]any, known func(key string) bool) string {
	var others []string
	for key := range given {
		if !known(key) {
			others = append(others, key)
		}
		if len(others) > maxOthers {
			return ""
		}
	}
	for _, key := range others {
		if hint := nearest.Unquoted(key, []string{missing}); hint != "" {
			return "; " + hint
		}
	}
	if near := nearest.Name(missing, others); near != "" {
		return fmt.Sprintf("; is '%s' a misspelling of it?", near)
	}
	return ""
}

func typeOf(p platenv1alpha1.Parameter) values.Type {
	return values.Type(cmp.Or(p.Type, platenv1alpha1.ParameterText))
}

// Default returns the value of a parameter that no job gives; nil if it has none. The error says why the default does not fit the type.
func Default(p platenv1alpha1.Parameter) (any, error) {
	if p.Default == nil {
		return nil, nil //nolint:nilnil // no default, which is no error
	}
	value, err := values.DecodeValue(p.Default.Raw)
	if err != nil {
		return nil, errors.New("it is no JSON value")
	}
	return values.Read(typeOf(p), value)
}
