// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/encode"
	"github.com/platen-dev/platen/internal/render/template"
)

// painting is one page in one size while it is painted.
type painting struct {
	page render.Page
	// file that the page is painted to. The pages of a document share one file.
	file file.File
	// begun is true once the page is being painted.
	begun atomic.Bool
	// done is closed once the fields below are set.
	done   chan struct{}
	data   []byte
	report report
}

// paintings returns a task's paintings in the order of its files: all pages, then all pages in each extra size.
func paintings(task render.Task) []*painting {
	files := task.Files()
	all := make([]*painting, 0, len(files))
	add := func(page render.Page) {
		f := files[min(len(all), len(files)-1)]
		f.Width, f.Height = page.Width, page.Height
		if task.Format != "pdf" {
			f.Width, f.Height = scaled(page.Width, task.Scale), scaled(page.Height, task.Scale)
		}
		all = append(all, &painting{page: page, file: f, done: make(chan struct{})})
	}
	for _, page := range task.Pages {
		add(page)
	}
	for _, size := range task.ExtraSizes {
		for _, page := range task.Pages {
			page.Width, page.Height = size.Width, size.Height
			add(page)
		}
	}
	return all
}

// paintAll paints every page in every size, several at a time, and emits the files in order.
func (b *Browser) paintAll(ctx context.Context, c *chromium, task render.Task, sink render.Sink) (warnings []render.Warning, err error) {
	all := paintings(task)
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(b.options.Parallel + 1) // the pages, and the goroutine that emits
	group.Go(func() (err error) {
		warnings, err = emitAll(inGroup, task, all, sink)
		return err
	})
	for _, p := range all {
		group.Go(func() (err error) {
			p.begun.Store(true)
			if p.data, p.report, err = b.paint(inGroup, c, task, p.page); err == nil {
				close(p.done)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return warnings, latePages(ctx, task, all, err)
	}
	return warnings, nil
}

// latePages returns which of several pages were not ready at the deadline, or err if something else ended the render.
func latePages(ctx context.Context, task render.Task, all []*painting, err error) error {
	known := (*render.Error)(nil)
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &known) {
		return err
	}
	var unready []int
	done := 0
	for _, p := range all {
		switch {
		case isClosed(p.done):
			done++
		case p.begun.Load() && !slices.Contains(unready, p.page.Number):
			unready = append(unready, p.page.Number)
		}
	}
	if done == 0 || len(unready) == 0 {
		return err
	}
	were, what, need := "was", "pages", "it needs"
	if len(unready) > 1 {
		were, need = "were", "they need"
	}
	if len(task.ExtraSizes) > 0 {
		what = "pictures"
	}
	return &render.Error{
		Reason: render.ReasonDeadlineExceeded, Terminal: true,
		Message: fmt.Sprintf("%s %s not ready before the deadline, after %d of %d %s: a script does not end, a file does not come, or %s more time", onPages(unready), were, done, len(all), what, need),
	}
}

// paint returns the file of one page, once fewer than Options.Parallel pages of all renders are being painted.
func (b *Browser) paint(ctx context.Context, c *chromium, task render.Task, p render.Page) (data []byte, r report, err error) {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		return nil, report{}, ctx.Err()
	}
	data, r, err = b.show(ctx, c, task, p)
	b.explainLoads(r.Warnings, task.Modifications)
	// The tab is free for another page by now.
	if resized(task) && err == nil {
		data, err = encode.Resize(ctx, data, task.Format, scaled(p.Width, task.Scale), scaled(p.Height, task.Scale), task.Quality, b.encoderMemory())
	}
	if task.Format == "avif" && err == nil {
		data, err = encode.AVIF(ctx, data, task.Quality, b.encoderMemory())
	}
	return data, r, err
}

// encoderMemory returns the memory limit of an encoder in bytes; 0 is no limit. It adds to what the browser holds, which is less while an
// encoder works.
func (b *Browser) encoderMemory() int64 { return b.options.MaxMemory / 2 }

// emitAll emits each file once it and all before it are painted. A document is one file with all pages.
func emitAll(ctx context.Context, task render.Task, all []*painting, sink render.Sink) ([]render.Warning, error) {
	var documents [][]byte
	reports := make([]report, 0, len(all))
	for _, p := range all {
		select {
		case <-p.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		reports = append(reports, p.report)
		sink.Painted(p.report.place)
		if task.Format == "pdf" {
			documents = append(documents, p.data)
		} else if err := sink.Emit(ctx, p.file, p.data); err != nil {
			return nil, err
		}
		p.data = nil // frees the memory
	}
	if slices.ContainsFunc(reports, func(r report) bool { return r.varies }) {
		sink.Varies()
	}
	if len(documents) > 0 {
		joined, err := joinPDF(documents, task)
		if err != nil {
			return nil, &render.Error{Reason: render.ReasonRenderFailed, Message: "the pages could not be joined to one PDF", Terminal: true, Err: err}
		}
		if err := sink.Emit(ctx, all[0].file, joined); err != nil {
			return nil, err
		}
	}
	return allWarnings(task, reports), nil
}

// scaled returns a length in the pixels of a picture.
func scaled(pixels int, scale float64) int { return max(1, int(float64(pixels)*scale+0.5)) }

// allWarnings returns the warnings of all reports, each once. One that not every page has names its pages, and one that not every size has, its
// sizes. The last ones name the modifications that no page uses.
func allWarnings(task render.Task, reports []report) (all []render.Warning) {
	where := map[render.Warning][][]int{} // the numbers of the pages that have it, for each size
	for i, r := range reports {
		page, size := task.Pages[i%len(task.Pages)], i/len(task.Pages)
		for _, w := range r.Warnings {
			if where[w] == nil {
				all, where[w] = append(all, w), make([][]int, 1+len(task.ExtraSizes))
			}
			if on := &where[w][size]; !slices.Contains(*on, page.Number) {
				*on = append(*on, page.Number)
			}
		}
	}
	for i, w := range all {
		if some := somewhere(task, where[w]); some != "" {
			all[i].Details = bounded(strings.TrimSuffix(some+": "+w.Details, ": "), maxDetails)
		}
	}
	all = append(slices.Clone(task.Warnings), all...)
	if task.PDF.CMYK {
		all = append(all, render.Warning{
			Title:   "The PDF was made in RGB, not in CMYK",
			Details: "Platen does not convert colours; a print shop's software does it with the profile of its press",
		})
	}
	for _, key := range task.StylesElsewhere {
		if len(reports) == 0 {
			break
		}
		style := styleOf(key)
		if meant, wrong := reports[0].NoStyles[style]; wrong {
			details := "its element is on a page that is not rendered"
			if meant != "" {
				details = fmt.Sprintf("%s; did you mean %.100s%.100s?", details, strings.TrimSuffix(key, style), meant)
			}
			all = append(all, render.Warning{Title: fmt.Sprintf("Modification %s names no CSS property", nearest.Shown(key)), Details: details})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(task.Modifications)) {
		if title, details := unused(task, reports, key); title != "" {
			all = append(all, render.Warning{Title: fmt.Sprintf("Modification %s%s", nearest.Shown(key), title), Details: details})
		}
	}
	return all
}

// somewhere returns where something is, as "page 2", "in story" or "page 1 in its own size, page 2 in story", of the numbers of the pages that have it in
// each size; empty if it is everywhere.
func somewhere(task render.Task, on [][]int) string {
	var sizes, places []string
	first, alike := []int(nil), true
	for i, numbers := range on {
		if len(numbers) == 0 {
			continue
		}
		size := "its own size"
		if i > 0 {
			size = task.ExtraSizes[i-1].Name
		}
		if sizes = append(sizes, size); first == nil {
			first = numbers
		}
		alike = alike && slices.Equal(numbers, first)
		places = append(places, onPages(numbers)+" in "+size)
	}
	if !alike {
		return strings.Join(places, ", ")
	}
	var some []string
	if len(first) < len(task.Pages) {
		some = append(some, onPages(first))
	}
	if len(sizes) < len(on) {
		some = append(some, "in "+strings.Join(sizes, ", "))
	}
	return strings.Join(some, " ")
}

// styleOf returns the style that a modification ID.STYLE names.
func styleOf(key string) string {
	_, name := template.SplitKey(key)
	_, style, _ := strings.Cut(name, ".")
	return style
}

func stylesOf(keys []string) []string {
	names := make([]string, 0, len(keys))
	for _, key := range keys {
		names = append(names, styleOf(key))
	}
	return names
}

// onPages returns "page 2" or "pages 2, 3".
func onPages(numbers []int) string {
	const most = 10
	text := fmt.Sprintf("page %d", numbers[0])
	for i, n := range numbers[1:] {
		if i+1 == most {
			return text + " …"
		}
		text = fmt.Sprintf("%s, %d", strings.Replace(text, "page ", "pages ", 1), n)
	}
	return text
}

// unused returns what to say of a modification that no page of a task uses; nothing if one uses it, or if that is no mistake.
func unused(task render.Task, reports []report, key string) (title, details string) {
	if slices.Contains(task.MayBeUnused, key) {
		return "", ""
	}
	only, name := template.SplitKey(key)
	rendered, names, elements := false, []string{"canvasBackgroundColor", "canvasBackgroundImage"}, []string(nil)
	for i, p := range task.Pages {
		if only != "" && only != strconv.Itoa(p.Number) {
			continue
		}
		rendered = true
		if !slices.Contains(reports[i].Unused, name) {
			return "", ""
		}
		names, elements = append(names, reports[i].Names...), append(elements, reports[i].Elements...)
	}
	total := max(task.TemplatePages, task.Pages[len(task.Pages)-1].Number)
	id, _, style := strings.Cut(name, ".")
	hint := ""
	if task.Modifications[key] == nil {
		hint = "; " + nearest.OfNull(name)
	} else if near := nearest.Key(key, names, elements, total); near != "" {
		hint = fmt.Sprintf("; did you mean %.200s?", near)
	} else if other := cmp.Or(nearest.Unquoted(key, names), nearest.OfElement(name, elements), nearest.Fields(name, names), nearest.OfValue(name, names, elements)); other != "" {
		hint = "; " + other
	}
	switch {
	case !rendered && exists(only, total):
		return " is not used by page " + only, fmt.Sprintf("page %s has nothing with the name %s", only, nearest.Shown(name))
	case !rendered && total == 1:
		return ": the template has 1 page", "a key for its only page begins with page1@"
	case !rendered:
		return fmt.Sprintf(": the template has %d pages", total), fmt.Sprintf("a key for one of them begins with page1@ … page%d@", total)
	case style && id != "":
		return " names no element", fmt.Sprintf("the page has no element with the id %.100s%s", id, hint)
	default:
		return " is not used by the page", "no element names it in data-param, data-if, data-each or data-param-href" + hint
	}
}

// exists reports whether a template with so many pages has one with a number, as a key has it.
func exists(number string, pages int) bool {
	n, err := strconv.Atoi(number)
	return err == nil && n >= 1 && n <= pages && strconv.Itoa(n) == number
}
