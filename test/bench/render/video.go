// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/browser"
	"github.com/platen-dev/platen/internal/render/encode"
	"github.com/platen-dev/platen/test/bench/report"
)

// video measures four seconds at 1280x720 and 30 frames a second. The peer is ffmpeg, which encodes one still frame as many times.
func video(ctx context.Context, b *browser.Browser) (report.Figure, error) {
	const seconds, fps = 4, 30
	const page = `<style>body{margin:0;background:#123;overflow:hidden} div{width:200px;height:200px;background:linear-gradient(45deg,#f80,#08f);animation:go 4s linear}
		@keyframes go{to{transform:translate(1000px,500px) rotate(360deg)}} h1{color:#fff;font:80px sans-serif}</style><div></div><h1>Summer sale</h1>`
	task := render.Task{
		Format: "mp4", Scale: 1, Quality: 90, Video: render.VideoOptions{FPS: fps},
		Pages: []render.Page{{Number: 1, Width: 1280, Height: 720, HTML: page}},
	}
	start := time.Now()
	if _, err := b.Render(ctx, task, render.SinkFunc(func(context.Context, file.File, []byte) error { return nil })); err != nil {
		return report.Figure{}, err
	}
	ours := seconds * fps / time.Since(start).Seconds()

	still := task
	still.Format = "jpeg"
	var frame []byte
	if _, err := b.Render(ctx, still, render.SinkFunc(func(_ context.Context, _ file.File, emitted []byte) error { frame = emitted; return nil })); err != nil {
		return report.Figure{}, err
	}
	start = time.Now()
	encoder, err := encode.NewVideo(ctx, encode.Settings{Format: "mp4", FPS: fps, Quality: 90})
	if err != nil {
		return report.Figure{}, err
	}
	for range seconds * fps {
		if err := encoder.Write(ctx, frame); err != nil {
			encoder.Abort()
			return report.Figure{}, err
		}
	}
	if _, err := encoder.Finish(ctx); err != nil {
		return report.Figure{}, err
	}
	alone := seconds * fps / time.Since(start).Seconds()
	return report.Figure{Name: "video_720p_fps", Value: ours, Unit: "1/s", Goal: ">= 40"}.Against("ffmpeg alone, one still frame", alone), nil
}
