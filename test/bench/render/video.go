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
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/browser"
	"github.com/platen-dev/platen/internal/render/encode"
	"github.com/platen-dev/platen/test/bench/report"
)

const (
	videoWidth, videoHeight = 1280, 720
	fps, videoSeconds       = 30, 4
	videoFrames             = fps * videoSeconds
	// movingPage changes every pixel from frame to frame.
	movingPage = `<style>body{margin:0;overflow:hidden} div{width:2560px;height:720px;background:conic-gradient(from 45deg at 30% 40%,#f80,#08f,#0f8,#f08,#f80);animation:go 4s linear}
		@keyframes go{to{transform:translate(-1000px,0)}} h1{position:absolute;top:100px;color:#fff;font:80px sans-serif}</style><div></div><h1>Summer sale</h1>`
	stillPage = `<style>body{margin:0;background:#123} h1{color:#fff;font:80px sans-serif}</style><h1>Summer sale</h1>`
)

// film makes an mp4 of a page, and returns it and how long it took.
func film(ctx context.Context, b *browser.Browser, html string, frames int) (data []byte, took time.Duration, err error) {
	task := render.Task{
		Format: "mp4", Scale: 1, Quality: quality, Video: render.VideoOptions{FPS: fps, Seconds: float64(frames) / fps},
		Pages: []render.Page{{Number: 1, Width: videoWidth, Height: videoHeight, HTML: html}},
	}
	start := time.Now()
	_, err = b.Render(ctx, task, render.SinkFunc(func(_ context.Context, _ file.File, emitted []byte) error { data = emitted; return nil }))
	return data, time.Since(start), err
}

// video measures a film whose pixels all move, and frames that change nothing. The peer of the first is ffmpeg, which encodes the same
// frames.
func video(ctx context.Context, b *browser.Browser) ([]report.Figure, error) {
	data, took, err := film(ctx, b, movingPage, videoFrames)
	if err != nil {
		return nil, err
	}
	alone, err := encodeAgain(ctx, data)
	if err != nil {
		return nil, err
	}
	moving := report.Figure{Name: "video_720p_fps", Value: videoFrames / took.Seconds(), Unit: "1/s", Goal: ">= 0.5x"}
	_, short, err := film(ctx, b, stillPage, 1)
	if err != nil {
		return nil, err
	}
	_, long, err := film(ctx, b, stillPage, videoFrames+1)
	still := report.Figure{Name: "video_still_frame_ms", Value: 1000 * (long - short).Seconds() / videoFrames, Unit: "ms", Goal: "<= 3"}
	return []report.Figure{moving.Against("ffmpeg alone, the same frames", videoFrames/alone.Seconds()), still}, err
}

// encodeAgain returns how long ffmpeg takes to encode the frames of a video once more.
func encodeAgain(ctx context.Context, data []byte) (took time.Duration, err error) {
	dir, err := os.MkdirTemp("", "frames-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "film.mp4")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return 0, err
	}
	if out, err := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-i", path, "-q:v", "2", filepath.Join(dir, "%d.jpg")).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("ffmpeg: %w: %s", err, out)
	}
	frames := make([][]byte, 0, videoFrames)
	for i := range videoFrames {
		frame, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i+1)+".jpg"))
		if err != nil {
			return 0, err
		}
		frames = append(frames, frame)
	}
	start := time.Now()
	encoder, err := encode.NewVideo(ctx, encode.Settings{Format: "mp4", Width: videoWidth, Height: videoHeight, FPS: fps, Quality: quality})
	if err != nil {
		return 0, err
	}
	for _, frame := range frames {
		if err := encoder.Write(ctx, frame); err != nil {
			encoder.Abort()
			return 0, err
		}
	}
	_, err = encoder.Finish(ctx)
	return time.Since(start), err
}
