// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/platen-dev/platen/test/bench/report"
)

// takumiCard is the card for takumi-js, which has neither a body nor the default styles of a browser.
const takumiCard = `<div style="display:flex;width:100%;height:100%;background-image:linear-gradient(135deg,#123,#48c);font-size:60px;font-family:sans-serif;color:#fff">
	<h1 style="font-size:120px;text-shadow:2px 2px 8px #000">Hello World</h1></div>`

// takumi measures the card beside takumi-js, a renderer in Rust without a browser, which runs no scripts and knows a part of CSS.
func takumi(ctx context.Context, duration time.Duration, p platen, html string) (report.Figure, error) {
	const parallel = 4
	dir := filepath.Join("test", "bench", "render", "takumi")
	install := exec.CommandContext(ctx, "npm", "ci", "--prefix", dir, "--no-audit", "--no-fund", "--silent")
	install.Stderr = os.Stderr
	if err := install.Run(); err != nil {
		return report.Figure{}, fmt.Errorf("installing takumi-js: %w", err)
	}
	ours, err := measure(ctx, duration, parallel, p, html, "png")
	if err != nil {
		return report.Figure{}, err
	}
	command := exec.CommandContext(ctx, "node", filepath.Join(dir, "bench.mjs"),
		strconv.FormatInt(duration.Milliseconds(), 10), strconv.Itoa(parallel), strconv.Itoa(width), strconv.Itoa(height))
	command.Stdin, command.Stderr = strings.NewReader(takumiCard), os.Stderr
	out, err := command.Output()
	if err != nil {
		return report.Figure{}, fmt.Errorf("takumi-js: %w", err)
	}
	theirs, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		return report.Figure{}, fmt.Errorf("takumi-js: %w", err)
	}
	return report.Figure{Name: "png_c4_vs_takumi", Value: ours.perSecond, Unit: "1/s", Goal: ">= 0.8x"}.Against("takumi-js", theirs), nil
}
