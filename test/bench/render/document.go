// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/test/bench/report"
)

// document measures a PDF of 200 pages of text, each rendered for itself. The peer prints one page that holds all of them.
func document(ctx context.Context, p platen, peer engine) (report.Figure, error) {
	const pages = 200
	task := render.Task{Format: "pdf", Scale: 1}
	var all strings.Builder
	all.WriteString(`<style>body{margin:0}section{height:630px;break-after:page;overflow:hidden}</style>`)
	for n := range pages {
		text := fmt.Sprintf(`<h1>Chapter %d</h1>`, n+1) + strings.Repeat("<p>The quick brown fox jumps over the lazy dog, again and again. </p>", 12)
		task.Pages = append(task.Pages, render.Page{Number: n + 1, Width: width, Height: height, HTML: text})
		all.WriteString("<section>" + text + "</section>")
	}
	start := time.Now()
	if _, err := p.browser.Render(ctx, task, render.SinkFunc(func(context.Context, file.File, []byte) error { return nil })); err != nil {
		return report.Figure{}, err
	}
	ours := time.Since(start).Seconds()
	start = time.Now()
	if _, err := peer.render(ctx, all.String(), "pdf"); err != nil {
		return report.Figure{}, err
	}
	theirs := time.Since(start).Seconds()
	return report.Figure{Name: "pdf_200_pages_seconds", Value: ours, Unit: "s", Goal: "<= 0.5x"}.Against(peer.name()+", one page with page breaks", theirs), nil
}
