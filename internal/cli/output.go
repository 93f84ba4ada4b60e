// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/numbers"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/task"
	"github.com/platen-dev/platen/internal/values"
)

// outputFlags say what to render, and how.
type outputFlags struct {
	set, setString, setJSON                     []string
	format, fileName, scale, size, margin, time string
	extraSizes                                  []string
	quality, fps                                int32
	pages                                       []int32
	transparent                                 bool
	flags                                       *pflag.FlagSet
	// columns are the keys that a table gives.
	columns []string
}

func (f *outputFlags) add(o *options, c *cobra.Command) {
	flags := c.Flags()
	f.flags = flags
	flags.StringArrayVar(&f.set, "set", nil, "modification `KEY=VALUE`; VALUE has the type of the template's parameter, else true, false and numbers are what they say; can be repeated")
	flags.StringArrayVar(&f.setString, "set-string", nil, "modification `KEY=TEXT`, such as version=1.10 or answer=false; can be repeated")
	flags.StringArrayVar(&f.setJSON, "set-json", nil, "modification `KEY=JSON`, such as points='[\"a\", \"b\"]'; can be repeated")
	flags.StringVar(&f.format, "format", "", "png (the default), jpg, jpeg, webp, avif, pdf, mp4, webm or gif")
	flags.StringVar(&f.fileName, "file-name", "", "name of the files; the format adds its extension (default: the job's name)")
	flags.StringVar(&f.scale, "scale", "", "image pixels for a CSS pixel, 0.1 to 10, for every format but pdf (default 1)")
	flags.StringVar(&f.size, "size", "", "size of the pages instead of the template's, such as 1080x1080 or instagram-post")
	flags.StringSliceVar(&f.extraSizes, "extra-sizes", nil, "further `sizes`; each gets its own file")
	flags.Int32Var(&f.quality, "quality", 0, "`number` from 1 to 100, for jpg, jpeg, webp, avif, mp4 and webm (default 90)")
	flags.Int32SliceVar(&f.pages, "pages", nil, "`numbers` of the pages, such as 1,3 (default: all)")
	flags.BoolVar(&f.transparent, "transparent", false, "keep the background of png, webp and avif files transparent")
	flags.StringVar(&f.margin, "margin", "", "margin of a pdf in px, pt, mm, cm or in, such as 20px or 1cm")
	flags.Int32Var(&f.fps, "fps", 0, "`frames` a second of an mp4, webm or gif, 1 to 30")
	flags.StringVar(&f.time, "duration", "", "seconds of each page of an mp4, webm or gif")
	flags.Lookup("pages").DefValue = "" // the help has it in words
	must(c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(knownFormats, cobra.ShellCompDirectiveNoFileComp)))
	for _, name := range []string{"set", "set-string", "set-json"} {
		must(c.RegisterFlagCompletionFunc(name, o.completeParameters))
	}
	for _, name := range []string{"size", "extra-sizes"} {
		must(c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(presets(), cobra.ShellCompDirectiveNoFileComp)))
	}
}

var knownFormats = []string{"png", "jpg", "jpeg", "webp", "avif", "pdf", "mp4", "webm", "gif"}

// formatFlag is a flag that only some formats have.
type formatFlag struct {
	name    string
	formats []string
}

var formatFlags = []formatFlag{
	{"margin", []string{"pdf"}},
	{"fps", []string{"mp4", "webm", "gif"}},
	{"duration", []string{"mp4", "webm", "gif"}},
	{"extra-sizes", []string{"png", "jpg", "jpeg", "webp", "avif"}},
	{"transparent", []string{"png", "webp", "avif"}},
	{"quality", []string{"jpg", "jpeg", "webp", "avif", "mp4", "webm"}},
	{"scale", []string{"png", "jpg", "jpeg", "webp", "avif", "mp4", "webm", "gif"}},
}

// spec returns the spec of the job that the flags describe.
func (f *outputFlags) spec(template *platenv1alpha1.RenderTemplate) (platenv1alpha1.RenderJobSpec, error) {
	spec, wrong, err := f.read(template)
	if err != nil {
		return spec, err
	}
	return spec, wrong.err()
}

// read returns the spec of the job that the flags describe, with what is wrong with it.
func (f *outputFlags) read(template *platenv1alpha1.RenderTemplate) (spec platenv1alpha1.RenderJobSpec, wrong mistakes, err error) {
	spec, options := f.withoutModifications(template)
	modifications, misread := f.modifications(newValueReader(template))
	spec, found, err := f.withModifications(spec, template, modifications)
	if len(options) > 0 {
		found = found.ofValues() // the others are known, and may follow from these
	}
	wrong = found.after(misread)
	wrong.list = slices.Concat(options, wrong.list)
	return spec, wrong, err
}

// withoutModifications returns the spec of the job that the flags describe, except the modifications, and what is wrong with it.
func (f *outputFlags) withoutModifications(template *platenv1alpha1.RenderTemplate) (platenv1alpha1.RenderJobSpec, []mistake) {
	spec := platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: template.Name}}
	spec.Output = platenv1alpha1.OutputSpec{
		Format: platenv1alpha1.Format(f.format), FileName: platenv1alpha1.FileName(f.fileName), Scale: platenv1alpha1.NumberOrString(f.scale), Quality: f.quality, Pages: f.pages,
		Size: platenv1alpha1.PageSize(f.size), PDF: platenv1alpha1.PDFOptions{Margin: platenv1alpha1.NumberOrString(f.margin)},
		Video: platenv1alpha1.VideoOptions{FPS: f.fps, Duration: platenv1alpha1.NumberOrString(f.time)},
	}
	for _, extra := range f.extraSizes {
		spec.Output.ExtraSizes = append(spec.Output.ExtraSizes, platenv1alpha1.PageSize(extra))
	}
	if f.transparent {
		spec.Output.Transparent = new(true)
	}
	return spec, slices.Concat(f.checkOptions(template), checkNumbers(spec.Output))
}

// checkNumbers returns what is wrong with the decimal numbers and the names of sizes of an output. It takes what any manager may take.
func checkNumbers(output platenv1alpha1.OutputSpec) (wrong []mistake) {
	refuse := func(message string) {
		text, _ := outputFields.words(message)
		wrong = append(wrong, mistake{text: text, option: true})
	}
	if _, problems := numbers.Read(output, numbers.MaxVideo); len(problems) > 0 {
		_, problems = numbers.Read(output, numbers.DefaultMaxVideo)
		for _, problem := range problems {
			refuse(problem.Error())
		}
	}
	if err := task.CheckSizeNames(output); err != nil {
		names, _ := task.Mistakes(err.Error())
		for _, name := range names {
			refuse(name)
		}
	}
	return wrong
}

// withModifications adds modifications to a spec, and checks it as the manager does.
func (f *outputFlags) withModifications(spec platenv1alpha1.RenderJobSpec, template *platenv1alpha1.RenderTemplate, modifications map[string]any) (platenv1alpha1.RenderJobSpec, mistakes, error) {
	if len(modifications) > 0 {
		raw, err := json.Marshal(modifications)
		if err != nil {
			return spec, mistakes{}, err
		}
		spec.Modifications = &apiextensionsv1.JSON{Raw: raw}
	}
	err := task.Check(context.Background(), &platenv1alpha1.RenderJob{Spec: spec}, template)
	if err == nil {
		return spec, mistakes{}, nil
	}
	found := f.mistakes(err.Error())
	// Where the template is at fault, or the manager's own flags decide, the job says so.
	found.list = slices.DeleteFunc(found.list, func(one mistake) bool { return one.others })
	return spec, found, nil
}

// mistake is what does not fit, in the words of flags.
type mistake struct {
	// key is that of the modification, if it is about one.
	key, text string
	// option tells that it is about no modification, and others that no flag is at fault.
	option, others bool
}

// mistakes are what does not fit, and how many more there are.
type mistakes struct {
	list []mistake
	more int
}

// after returns mistakes behind those of reading the flags. One about the same key is not said, or counted, again.
func (m mistakes) after(reading []mistake) mistakes {
	known := func(one mistake) bool {
		return one.key != "" && slices.ContainsFunc(reading, func(other mistake) bool { return other.key == one.key })
	}
	fresh := slices.DeleteFunc(slices.Clone(m.list), known)
	more := m.more
	if more > 0 {
		more = max(more-(len(reading)-(len(m.list)-len(fresh))), 0)
	}
	return mistakes{slices.Concat(reading, fresh), more}
}

// ofValues returns the mistakes that are about modifications.
func (m mistakes) ofValues() mistakes {
	return mistakes{slices.DeleteFunc(slices.Clone(m.list), func(one mistake) bool { return one.option }), m.more}
}

// err returns the error about the mistakes, one of the command line; nil if there are none.
func (m mistakes) err() error {
	if len(m.list) == 0 {
		return nil
	}
	lines := make([]string, 0, len(m.list))
	options := 0
	for _, one := range m.list {
		lines = append(lines, one.text)
		if one.option {
			options++
		}
	}
	switch {
	case len(lines) == 1 && m.more == 0:
		return usage("%s", lines[0])
	case options == len(lines):
		if more := m.more + max(len(lines)-maxMistakes, 0); more > 0 {
			lines = append(lines[:min(len(lines), maxMistakes)], fmt.Sprintf("and %d more", more))
		}
		return usage("%s", strings.Join(lines, "; "))
	}
	where := ""
	if options == 0 {
		where = " in the values"
	}
	return usage("%s%s:\n%s", plural.Count(len(lines)+m.more, "mistake"), where, listed(lines, m.more))
}

// mistakes returns what a message says does not fit.
func (f *outputFlags) mistakes(message string) (found mistakes) {
	texts, more := task.Mistakes(message)
	for _, text := range texts {
		about, isValue := strings.CutPrefix(text, "spec.modifications.")
		if all, ok := strings.CutPrefix(text, "spec.modifications: "); ok {
			found.list = append(found.list, mistake{text: "the values: " + all})
			continue
		}
		if !isValue {
			words, ok := outputFields.words(text)
			found.list = append(found.list, mistake{text: words, option: true, others: !ok})
			continue
		}
		key, _, ok := strings.Cut(about, ": ")
		if name, _, missing := strings.Cut(about, " is required"); missing || !ok {
			key = name
		}
		found.list = append(found.list, mistake{key: key, text: f.flagOf(about) + " " + about})
	}
	found.more = more
	return found
}

// checkOptions returns what is wrong with the flags that only the API server checks otherwise: a preview does without it.
func (f *outputFlags) checkOptions(template *platenv1alpha1.RenderTemplate) (wrong []mistake) {
	refuse := func(format string, args ...any) {
		wrong = append(wrong, mistake{text: fmt.Sprintf(format, args...), option: true})
	}
	known := f.format == "" || slices.Contains(knownFormats, f.format)
	if !known {
		refuse("--format must be one of %s, not %q", strings.Join(knownFormats, ", "), f.format)
	}
	badQuality := f.flags.Changed("quality") && (f.quality < 1 || f.quality > 100)
	if badQuality {
		refuse("--quality: %d must be from 1 to 100", f.quality)
	}
	format := cmp.Or(f.format, "png")
	for _, flag := range formatFlags {
		if flag.name == "quality" && badQuality || !known {
			continue // one mistake of a flag is enough
		}
		if f.flags.Changed(flag.name) && f.flags.Lookup(flag.name).Value.String() != "false" && !slices.Contains(flag.formats, format) {
			refuse("--%s needs --format %s, not %s", flag.name, strings.Join(flag.formats, " or "), format)
		}
	}
	if f.flags.Changed("fps") && (f.fps < 1 || f.fps > 30) {
		refuse("--fps: %d must be from 1 to 30", f.fps)
	}
	for i, n := range f.pages {
		total := len(template.Spec.Pages)
		switch {
		case slices.Contains(f.pages[:i], n):
			refuse("--pages: %d must be named once", n)
		case n < 1:
			refuse("--pages: %d must be from 1 to %d, the number of pages of RenderTemplate '%s'; the first page is 1", n, total, template.Name)
		case int(n) > total:
			refuse("--pages: %d must be from 1 to %d, the number of pages of RenderTemplate '%s'", n, total, template.Name)
		}
	}
	if f.fileName != "" {
		if err := file.CheckName(f.fileName); err != nil {
			refuse("--file-name: %s", err)
		}
	}
	return wrong
}

// maxMistakes bounds the flags that one error names.
const maxMistakes = 10

// inFlags says a mistake in a job in the words of the flags, as an error of the command line. Every other error stays as it is.
func (f *outputFlags) inFlags(err error) error {
	invalid := (*reconcile.TerminalError)(nil)
	if !errors.As(err, &invalid) {
		return err
	}
	wrong := f.mistakes(invalid.Message)
	if !slices.ContainsFunc(wrong.list, func(one mistake) bool { return !one.others }) {
		return err
	}
	return wrong.err()
}

// outcome is the outcome of a job that the flags describe: a value that the manager refuses is a mistake of the command line too.
func (f *outputFlags) outcome(job *platenv1alpha1.RenderJob) error {
	rendered := condition(job, platenv1alpha1.RenderedCondition)
	if rendered.Reason == platenv1alpha1.InvalidSpecReason || rendered.Reason == platenv1alpha1.InvalidModificationsReason {
		if err := f.inFlags(reconcile.Terminal(rendered.Reason, "%s", plain(rendered.Message))); exitCodeOf(err) == exitUsage {
			return usage("RenderJob %s/%s failed: %w", job.Namespace, job.Name, err)
		}
	}
	return outcome(job)
}

// flagOf returns the flag, or the word column, for what sets the modification whose key a text begins with.
func (f *outputFlags) flagOf(text string) string {
	for _, key := range f.columns {
		if strings.HasPrefix(text, key+":") || strings.HasPrefix(text, key+" ") {
			return "column"
		}
	}
	if len(f.columns) > 0 && strings.Contains(text, " is required by ") {
		return "column" // that the table lacks
	}
	for name, pairs := range map[string][]string{"--set-string": f.setString, "--set-json": f.setJSON} {
		for _, pair := range pairs {
			if key, _, _ := strings.Cut(pair, "="); strings.HasPrefix(text, key+":") {
				return name
			}
		}
	}
	return "--set"
}

// modifications reads the flags that give modifications. One that does not fit stays as it is given.
func (f *outputFlags) modifications(reader valueReader) (modifications map[string]any, wrong []mistake) {
	modifications = map[string]any{}
	given := map[string]string{}
	for _, flag := range []struct {
		name, form string
		pairs      []string
		read       func(key, text string) (any, error)
	}{
		{"--set", "KEY=VALUE", f.set, reader.read},
		{"--set-string", "KEY=TEXT", f.setString, func(_, text string) (any, error) { return text, nil }},
		{"--set-json", "KEY=JSON", f.setJSON, readJSON},
	} {
		for _, pair := range flag.pairs {
			key, text, ok := strings.Cut(pair, "=")
			if !ok || key == "" {
				wrong = append(wrong, mistake{text: fmt.Sprintf("%s must be %s, not %q", flag.name, flag.form, pair)})
				continue
			}
			if other := given[key]; other != "" {
				wrong = append(wrong, mistake{key: key, text: fmt.Sprintf("%s %s: %s gives %s already; give it once, and a list as JSON", flag.name, key, other, key)})
				continue
			}
			given[key] = flag.name
			value, err := flag.read(key, text)
			if err != nil {
				wrong = append(wrong, mistake{key: key, text: fmt.Sprintf("%s %s: %s", flag.name, key, err)})
				value = text
			}
			modifications[key] = value
		}
	}
	return modifications, wrong
}

// itemsInOne matches what looks like several items of a list, with commas between them.
var itemsInOne = regexp.MustCompile(`^[^\s,:]+(,[^\s,:]+)+$`)

// warnShellText warns of values of --set that look like something else: one item of a list that looks like several, and a backslash with an n that looks
// like a line break. A shell changes neither. Of a text where the template's pages show fields of each item, the warning has an item with fields.
func (f *outputFlags) warnShellText(out io.Writer, spec platenv1alpha1.RenderJobSpec, template *platenv1alpha1.RenderTemplate) {
	known := bindings.Known(template)
	modifications := map[string]any{}
	if spec.Modifications != nil {
		_ = json.Unmarshal(spec.Modifications.Raw, &modifications) // it was made of an object
	}
	for _, pair := range f.set {
		key, text, _ := strings.Cut(pair, "=")
		if value, _ := modifications[key].(string); value == text && strings.Contains(text, `\n`) {
			broken := asJSON(strings.ReplaceAll(text, `\n`, "\n"))
			fmt.Fprintf(out, "Warning: --set %s has a backslash and an n; for a line break, write --set-json %s\n", plain(key), shellWord(key+"="+broken))
		}
		if list, _ := modifications[key].([]any); len(list) != 1 || list[0] != text || !itemsInOne.MatchString(text) {
			continue
		}
		what, items := "item; for one item at each comma,", any(strings.Split(text, ","))
		switch item := itemOf(known, key[strings.LastIndex(key, "@")+1:]).(type) {
		case map[string]any:
			what, items = "text, and the page shows fields of each item;", []any{shortened(item)}
		case []any:
			what, items = "text, and each item that the page shows is a list;", []any{shortened(item)}
		case float64, bool:
			if typed := json.RawMessage("[" + text + "]"); json.Valid(typed) {
				items = typed
			}
		}
		fmt.Fprintf(out, "Warning: --set %s is a list of one %s write --set-json %s\n", plain(key), what, shellWord(key+"="+asJSON(items)))
	}
}

// asJSON returns a value that can be JSON as such, for people to read: & and < stay as they are.
func asJSON(value any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	must(encoder.Encode(value))
	return strings.TrimSpace(b.String())
}

// itemOf returns the first item that the pages show in place of a list; nil if nothing is known.
func itemOf(known []bindings.Parameter, name string) any {
	at := slices.IndexFunc(known, func(p bindings.Parameter) bool { return p.Name == name && p.Example != nil })
	if at < 0 {
		return nil
	}
	var items []any
	if json.Unmarshal(known[at].Example.Raw, &items) != nil || len(items) == 0 {
		return nil
	}
	return items[0]
}

// valueReader reads values that are given as text: with --set, and in the cells of a table.
type valueReader struct {
	template string
	known    []bindings.Parameter
}

func newValueReader(template *platenv1alpha1.RenderTemplate) valueReader {
	return valueReader{template.Name, bindings.Known(template)}
}

// read reads a value as the type of the template's parameter.
func (r valueReader) read(key, text string) (any, error) {
	// page2@price is the parameter price on page 2.
	name := key[strings.LastIndex(key, "@")+1:]
	kind, read := bindings.Bound(r.known, name), values.ReadBound
	from := fmt.Sprintf("a page of template '%s' shows it as a list", r.template)
	if kind == values.Object {
		from = fmt.Sprintf("a page of template '%s' shows it as an object", r.template)
	}
	for _, p := range r.known {
		if p.Name == name && p.Declared {
			kind, from, read = values.Type(p.Type), fmt.Sprintf("the parameter of template '%s' is of type %s", r.template, p.Type), values.ReadText
		}
	}
	value, err := read(kind, text)
	if refused := (*values.Error)(nil); errors.As(err, &refused) {
		refused.Want = bindings.Wanted(refused, r.known, name)
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, from)
	}
	return value, nil
}

func readJSON(key, text string) (any, error) {
	if err := json.Unmarshal([]byte(text), new(json.RawMessage)); err != nil {
		if start := strings.TrimSpace(text); start != "" && strings.ContainsAny(start[:1], `[{"`) {
			return nil, fmt.Errorf("%s is not JSON: %w", values.Shorten(text), err)
		}
		return nil, fmt.Errorf(`%s is not JSON; a text needs quotes, as in %s='"text"'`, values.Shorten(text), key)
	}
	if path := values.Twice([]byte(text)); path != "" {
		return nil, fmt.Errorf("%s is there twice; give it once", path)
	}
	return values.DecodeSentValue(key, []byte(text))
}

// example returns a command line that sets every parameter without a default, except those that no page uses.
func example(template *platenv1alpha1.RenderTemplate) string {
	var line strings.Builder
	line.WriteString("kubectl platen render " + template.Name)
	unseen := usesUnseen(template)
	for _, p := range bindings.Known(template) {
		if _, err := task.Default(p.Parameter); p.Declared && err != nil { // jobs fail with it
			p.Example = nil
			fmt.Fprintf(&line, " --set %s=%s", shellWord(p.Name), placeholder(p))
			continue
		}
		if len(p.Pages) == 0 && !unseen && !p.Needed() {
			continue
		}
		declared := slices.IndexFunc(template.Spec.Parameters, func(d platenv1alpha1.Parameter) bool { return d.Name == p.Name })
		if p.Style || declared >= 0 && template.Spec.Parameters[declared].Default != nil {
			continue
		}
		if p.Type == platenv1alpha1.ParameterImage && (p.Example == nil || len(p.Example.Raw) > maxExample) && !ptr.Deref(p.Required, false) {
			continue // no address of a picture works for everybody, and an empty one would hide the page's own
		}
		fmt.Fprintf(&line, " --set %s=%s", shellWord(p.Name), placeholder(p))
	}
	return line.String() + " -o out -n " + template.Namespace
}

// usesUnseen tells whether the pages may use parameters of which Pages does not tell.
func usesUnseen(template *platenv1alpha1.RenderTemplate) bool {
	if bindings.FromConfigMap(template) && len(template.Status.Parameters) == 0 {
		return true // Platen has not read the pages yet
	}
	return slices.ContainsFunc(template.Spec.Pages, func(page platenv1alpha1.TemplatePage) bool { return bindings.Read(page.HTML).Scripted })
}

// maxExample bounds what example takes from a page, in bytes: of a list or an object, of each text in it.
const maxExample = 60

// placeholder returns a value for a parameter, as a word for the shell.
func placeholder(p bindings.Parameter) string {
	if p.Example != nil {
		text, long := string(p.Example.Raw), len(p.Example.Raw) > maxExample
		var value any
		_ = json.Unmarshal(p.Example.Raw, &value)
		switch v := value.(type) {
		case string:
			text = v // without its quotes
		case []any, map[string]any: // the page shows fields, which another value would not have
			if long {
				text, long = asJSON(shortened(v)), false
			}
		}
		if !long {
			return shellWord(text)
		}
	}
	switch p.Type {
	case platenv1alpha1.ParameterNumber:
		return "1"
	case platenv1alpha1.ParameterBoolean:
		return "true"
	case platenv1alpha1.ParameterList:
		return `'["..."]'`
	case platenv1alpha1.ParameterImage:
		return shellWord(emptyPicture)
	case platenv1alpha1.ParameterDate:
		return "2026-01-31"
	case platenv1alpha1.ParameterColor:
		return "rebeccapurple"
	default:
		return "..."
	}
}

// shortened returns a value with the same fields, whose texts are short. Pictures and links stay what they are.
func shortened(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = shortened(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = shortened(value[name])
		}
	case string:
		switch {
		case strings.HasPrefix(value, "data:image/"):
			return emptyPicture
		case len(value) > maxExample/4 && !strings.HasPrefix(value, "http"):
			return "..."
		}
	}
	return value
}

// emptyPicture is a picture for everybody: one transparent pixel.
const emptyPicture = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shellWord quotes a text for a POSIX shell if it needs quotes.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(plain(text), "'", `'\''`) + "'"
}
