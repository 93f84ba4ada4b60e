// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/chromedp/cdproto/headlessexperimental"
	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/encode"
	"github.com/platen-dev/platen/internal/render/template"
)

const (
	// defaultSeconds is the length of a page without animations.
	defaultSeconds = 5
	// maxSeconds bounds the length that a page's animations ask for, unless the task bounds it.
	maxSeconds = 60
	// frameQuality is the JPEG quality of the frames for the encoder.
	frameQuality = 92
	// maxStill bounds the frames without a picture. A font that arrives just when a page begins to stand still could go unseen without it.
	maxStill = 30
	// maxUnseen bounds the frames that are requested until those of a page's videos are there.
	maxUnseen = 100
	// margin is how much later than the film's time the browser draws, in milliseconds: it begins a moving picture with a frame that may be a
	// little later than asked for.
	margin = 0.5
	// maxQueuedFrames bounds the frames that wait for the encoder, and so their memory.
	maxQueuedFrames = 8
)

// film renders a task to mp4, webm or gif, page by page.
func (b *Browser) film(ctx context.Context, c *chromium, task render.Task, sink render.Sink) ([]render.Warning, error) {
	f := &filming{task: task, chromium: c, maxMemory: b.encoderMemory(), progress: sink.Progress, patience: b.patience}
	defer f.abort()
	reports, files := make([]report, 0, len(task.Pages)), task.Files()
	for i, page := range task.Pages {
		r, err := f.filmPage(ctx, page)
		if err != nil {
			return nil, f.late(ctx, i, err)
		}
		b.explainLoads(r.Warnings, task.Modifications)
		reports = append(reports, r)
		sink.Painted(r.place)
		f.pages++
		if task.Joined() && i < len(task.Pages)-1 {
			continue
		}
		data, err := f.finish(ctx)
		if err != nil {
			return nil, f.late(ctx, i, err)
		}
		if task.Joined() {
			page = task.Pages[0]
		}
		file := files[0]
		files = files[1:]
		file.Width, file.Height = f.even(scaled(page.Width, task.Scale)), f.even(scaled(page.Height, task.Scale))
		if err := sink.Emit(ctx, file, data); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(reports, func(r report) bool { return r.varies }) {
		sink.Varies()
	}
	return allWarnings(task, reports), nil
}

// filming is one task while its pages are filmed.
type filming struct {
	task     render.Task
	chromium *chromium
	// maxMemory of the encoder, in bytes; 0 is no limit.
	maxMemory int64
	progress  func(render.Progress)
	// patience with the frames of a page that loads; see tab.
	patience time.Duration
	// pages counts the filmed pages, and frames the frames of all pages. earlier are those before the present page, which has due ones.
	pages, frames, earlier, due int
	// video gets the frames; nil between two files.
	video *encode.Video
	// fade holds the last frames of a page until the next page begins; nil between two files.
	fade *fade
}

// late returns how far a film has come at the deadline, while it filmed the page with this index; or err if something else ended it.
func (f *filming) late(ctx context.Context, index int, err error) error {
	known := (*render.Error)(nil)
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &known) || f.frames-f.earlier < 2 { // the first is taken when the page is ready
		return err
	}
	about := ""
	if index < len(f.task.Pages)-1 {
		about = "about " // as many for each later page
	}
	return &render.Error{
		Reason: render.ReasonDeadlineExceeded, Terminal: true,
		Message: fmt.Sprintf("at the deadline, %d of %s%d frames were filmed: fewer or smaller frames or a longer spec.timeoutSeconds helps, if no script of the page takes the time",
			f.frames, about, f.earlier+f.due*(len(f.task.Pages)-index)),
	}
}

// even returns a length in pixels, rounded up to an even number for mp4 and webm, whose colours have half as many pixels.
func (f *filming) even(pixels int) int {
	if f.task.Format != "gif" {
		return pixels + pixels%2
	}
	return pixels
}

// abort ends the encoder if a file is unfinished.
func (f *filming) abort() {
	if f.video != nil {
		f.video.Abort()
	}
}

// finish ends the file and returns it.
func (f *filming) finish(ctx context.Context) ([]byte, error) {
	if err := f.fade.end(ctx); err != nil {
		return nil, err
	}
	video := f.video
	f.video = nil
	return video.Finish(ctx)
}

// filmPage adds one page to the file. It begins a file if there is none.
func (f *filming) filmPage(ctx context.Context, p render.Page) (report, error) {
	f.earlier = f.frames
	s, err := f.begin(ctx, p, f.patience)
	place := render.PlaceAlone
	if errors.Is(err, errStuck) && ctx.Err() == nil && f.chromium.check(ctx, f.chromium.hungPatience) {
		s, err = f.begin(ctx, p, 0)
		place = render.PlaceRepeated
	}
	if err != nil {
		return report{}, err
	}
	s.report.place = place
	defer f.chromium.tabs.discard(s.tab)
	f.due = s.frames
	if f.video == nil {
		settings := encode.Settings{
			Format: f.task.Format, Width: scaled(p.Width, f.task.Scale), Height: scaled(p.Height, f.task.Scale), FPS: f.task.Video.FPS,
			Resize: resized(f.task), Quality: f.task.Quality, Loop: f.task.Video.Loop, MaxMemory: f.maxMemory,
		}
		if f.video, err = encode.NewVideo(ctx, settings); err != nil {
			return report{}, err
		}
		f.fade = newFade(f.task, f.video.Write)
	}
	if err := f.fade.begin(ctx, s.frames); err != nil {
		return report{}, err
	}
	// One goroutine encodes a frame while the other draws the next.
	pictures := make(chan []byte, maxQueuedFrames)
	parent := ctx
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for picture := range pictures {
			if err := f.fade.add(ctx, picture); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		defer close(pictures)
		return f.drawFrames(ctx, s, p, pictures)
	})
	if err := group.Wait(); err != nil {
		return s.report, err
	}
	s.report.varies = f.varies(parent, s.tab, p)
	s.tab.tell(parent, &s.report)
	return s.report, nil
}

// varies reports whether a filmed page may look different another time. Its scripts have asked for no other time than the film's.
func (f *filming) varies(ctx context.Context, t *tab, p render.Page) bool {
	needs := template.Examine(p.HTML, template.ForPage(f.task.Modifications, p.Number))
	if needs.Requests || needs.Alone || needs.Varies || !needs.Scripts {
		return needs.Requests || needs.Alone || needs.Varies
	}
	loaded, err := evaluate[bool](ctx, t, "performance.getEntriesByType('resource').length > 0")
	return loaded || err != nil
}

// shot is a page while it is filmed.
type shot struct {
	tab    *tab
	report report
	camera camera
	// skipped are the frames before the first of the video, and frames those of the video.
	skipped, frames int
	// first is the picture of the first frame.
	first []byte
}

// begin shows a page in a tab of its own, and takes its first picture. The caller must discard the tab.
func (f *filming) begin(ctx context.Context, p render.Page, patience time.Duration) (s *shot, err error) {
	t, err := f.chromium.tabs.take(ctx, need{scale: deviceScale(f.task), alone: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.chromium.tabs.discard(t)
		}
	}()
	t.patience = patience
	s = &shot{tab: t, camera: f.camera(p)}
	if s.report, err = t.load(ctx, f.task, p, alonePolicy); err != nil {
		return nil, err
	}
	if s.skipped, s.frames, err = f.length(ctx, t, p); err != nil {
		return nil, err
	}
	if _, err = evaluate[any](ctx, t, "window[Symbol.for('platen.film')].start()"); err != nil {
		return nil, err
	}
	if err = f.skip(ctx, t, p, s.skipped); err != nil {
		return nil, err
	}
	if s.first, err = f.draw(ctx, s, p, 0); err != nil {
		return nil, err
	}
	t.patience = 0 // the frames before would be lost with the tab
	return s, nil
}

// length returns the numbers of frames of a page in its tab: those before the first of the video, and those of the video.
func (f *filming) length(ctx context.Context, t *tab, p render.Page) (skipped, frames int, err error) {
	milliseconds, err := evaluate[float64](ctx, t, "window[Symbol.for('platen.film')].duration()")
	if err != nil {
		return 0, 0, err
	}
	count := func(seconds float64) int { return int(math.Round(seconds * float64(f.task.Video.FPS))) }
	start, seconds := f.task.Video.Start, f.task.Video.Seconds
	if seconds == 0 {
		whole := cmp.Or(milliseconds/1000, defaultSeconds)
		if start >= whole {
			return 0, 0, &render.Error{
				Reason: render.ReasonInvalidSpec, Terminal: true,
				Message: fmt.Sprintf("spec.output.video.trimStart: %g must be less than %g, the seconds of the animations of page %d; or set trimEnd or duration", start, whole, p.Number),
			}
		}
		seconds = min(whole-start, cmp.Or(f.task.Video.MaxSeconds, maxSeconds))
	}
	return count(start), max(1, count(seconds)), nil
}

// maxPassed bounds the frames without a picture that a page lives through at once. A frame of the browser's in between frees what it keeps for
// the next one.
const maxPassed = 100

// framed matches pages with frames, which may have scripts.
var framed = regexp.MustCompile(`(?i)<(i?frame|object|embed)\b`)

// skip brings a page to its first frame of the video. The page lives through the time before as it does in a whole film, unless it has no scripts, which
// could notice.
func (f *filming) skip(ctx context.Context, t *tab, p render.Page, frames int) error {
	if !template.Examine(p.HTML, template.ForPage(f.task.Modifications, p.Number)).Scripts && !framed.MatchString(p.HTML) {
		return nil
	}
	fps := f.task.Video.FPS
	for i := 0; i < frames; {
		next, err := evaluate[int](ctx, t, fmt.Sprintf("window[Symbol.for('platen.film')].pass(%d, %d, %d, %d)", i, frames, maxPassed, fps))
		// The first frame tells the page of the end of an animation, and the second shows what that begins.
		f.setClock(t, next-1)
		for n := 0; n < 2 && err == nil; n++ {
			_, err = t.frame(ctx, headlessexperimental.BeginFrameParams{Interval: 1000 / float64(fps)})
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return &render.Error{
				Reason: render.ReasonDeadlineExceeded, Terminal: true,
				Message: fmt.Sprintf("spec.output.video.trimStart: at the deadline, the scripts of page %d had run for %d s of the %g s before its video: "+
					"an earlier start, a smaller fps or a longer spec.timeoutSeconds helps", p.Number, i/fps, f.task.Video.Start),
			}
		}
		if err != nil {
			return err
		}
		i = max(i+1, next)
	}
	return nil
}

// setClock sets the time of the browser's frames to that of a frame of the film, in a page with pictures that move by it, and returns the latter, in
// milliseconds.
func (f *filming) setClock(t *tab, frame int) (now float64) {
	now = float64(frame) * 1000 / float64(f.task.Video.FPS)
	if t.epoch > 0 {
		t.clock = t.epoch + now + margin
	}
	return now
}

// seek sets the page's clock to a time of the film, in milliseconds. It returns whether it requested frames, for the page's videos.
func (f *filming) seek(ctx context.Context, t *tab, now float64) (drawn bool, err error) {
	unseen, err := evaluate[any](ctx, t, fmt.Sprintf("(async ({ seek, rest }) => { await seek(%g); return await rest() })(window[Symbol.for('platen.film')])", now))
	if err == nil && t.modules.tell() {
		t.modules.quiet(ctx)
		unseen, err = evaluate[any](ctx, t, "window[Symbol.for('platen.film')].rest()")
	}
	// The default interval is that of a screen, which the page's thread may exceed (docs/design/rendering.md).
	plain := headlessexperimental.BeginFrameParams{Interval: 1000 / float64(f.task.Video.FPS)}
	for n := 0; n < maxUnseen && unseen == true && err == nil; n++ {
		drawn = true
		if _, err = t.frame(ctx, plain); err == nil {
			unseen, err = evaluate[any](ctx, t, "window[Symbol.for('platen.film')].unseen()")
		}
	}
	return drawn, err
}

// camera returns what takes the pictures of a page.
func (f *filming) camera(p render.Page) camera {
	params := headlessexperimental.BeginFrameParams{
		Interval: 1000 / float64(f.task.Video.FPS),
		Screenshot: &headlessexperimental.ScreenshotParams{
			Format: headlessexperimental.ScreenshotParamsFormatJpeg, Quality: new(int64(frameQuality)), OptimizeForSpeed: true,
		},
	}
	if f.task.Format == "gif" {
		params.Screenshot.Format, params.Screenshot.Quality = headlessexperimental.ScreenshotParamsFormatPng, nil
	}
	return camera{params: params, scripts: template.Examine(p.HTML, template.ForPage(f.task.Modifications, p.Number)).Scripts}
}

// draw sets the page's clock to the time of a frame of the video, and returns its picture.
func (f *filming) draw(ctx context.Context, s *shot, p render.Page, frame int) ([]byte, error) {
	now := f.setClock(s.tab, s.skipped+frame)
	drawn := false
	if !s.camera.rests(now) {
		var err error
		if drawn, err = f.seek(ctx, s.tab, now); err != nil {
			return nil, err
		}
	}
	if deviceScale(f.task) == 1 {
		return s.camera.next(ctx, s.tab, drawn)
	}
	return s.tab.scaledPicture(ctx, f.task, p)
}

// drawFrames sends the picture of each frame of the video.
func (f *filming) drawFrames(ctx context.Context, s *shot, p render.Page, pictures chan<- []byte) (err error) {
	picture := s.first
	for i := range s.frames {
		if i > 0 {
			if picture, err = f.draw(ctx, s, p, i); err != nil {
				return err
			}
		}
		select {
		case pictures <- picture:
		case <-ctx.Done():
			return ctx.Err()
		}
		f.frames++
		// The lengths of later pages are unknown: assume the length of this one.
		percent := 100 * (f.pages*s.frames + i + 1) / (len(f.task.Pages) * s.frames)
		f.progress(render.Progress{Percent: percent, Frames: f.frames})
	}
	return nil
}

// camera takes the pictures of one page's frames. A picture costs several times what a frame does, and a frame without one reports
// whether it changes the page. So where a page stands still, the camera asks for pictures only now and then.
type camera struct {
	params headlessexperimental.BeginFrameParams
	// scripts is true when scripts may change the page from one frame to the next while its clock stands. It then needs all pictures.
	scripts bool
	// last picture; nil before the first.
	last []byte
	// still counts the frames since the page began to stand still; 0 while it moves.
	still int
	// until is the time until which none of the page's animations is at work, in milliseconds of the film.
	until float64
}

// rests reports whether the page, which stands still, need not know a time, in milliseconds of the film. A frame tells whether its pictures move.
func (c *camera) rests(now float64) bool { return c.still > 0 && now < c.until }

// next returns the page's picture. It is the same slice as before if the page looks the same. drawn is true if there was a frame since the last picture:
// the page may have changed in that.
func (c *camera) next(ctx context.Context, t *tab, drawn bool) ([]byte, error) {
	plain := headlessexperimental.BeginFrameParams{Interval: c.params.Interval}
	if c.still > 0 && c.still < maxStill && !drawn {
		frame, err := t.frame(ctx, plain)
		if err != nil {
			return nil, err
		}
		if !frame.HasDamage {
			c.still++
			if c.until == 0 {
				c.until, err = evaluate[float64](ctx, t, "Math.min(window[Symbol.for('platen.film')].still(), Number.MAX_VALUE)")
			}
			return c.last, err
		}
	}
	take := t.framePicture // a frame that changes nothing may have none
	if c.last == nil || drawn {
		take = t.picture
	}
	picture, err := take(ctx, c.params)
	if err != nil {
		return nil, err
	}
	c.still, c.until = 0, 0
	if len(picture) > 0 && !bytes.Equal(picture, c.last) {
		c.last = picture
		return c.last, nil
	}
	if !c.scripts {
		// The frame after a picture reports a change in any case.
		c.still = 1
		_, err = t.frame(ctx, plain)
	}
	return c.last, err
}
