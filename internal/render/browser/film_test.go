// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

// moving is a page whose boxes move 100 pixels in a second: by CSS, by requestAnimationFrame and by a timer.
const moving = `<style>body{margin:0;background:white} div{position:absolute;width:20px;height:20px;background:red}
@keyframes go { to { transform: translateX(100px) } } #css { animation: go 1s linear forwards }
#raf{top:30px;background:blue} #timer{top:60px;background:green}</style>
<div id=css></div><div id=raf></div><div id=timer></div>
<script>
const began = performance.now();
const step = (now) => { document.getElementById('raf').style.left = Math.round(Math.random() * 3 + (now - began) / 10) + 'px'; requestAnimationFrame(step); };
requestAnimationFrame(step);
let n = 0;
setInterval(() => { document.getElementById('timer').style.left = (10 * ++n) + 'px'; }, 100);
</script>`

// probe is ffprobe's description of a video.
type probe struct {
	Streams []struct {
		CodecName string `json:"codec_name"`
		PixFmt    string `json:"pix_fmt"`
		Width     int    `json:"width"`
		Height    int    `json:"height"`
		Rate      string `json:"r_frame_rate"`
		Frames    string `json:"nb_read_frames"`
		Duration  string `json:"duration"`
	} `json:"streams"`
	Format struct {
		Name     string `json:"format_name"`
		Duration string `json:"duration"`
	} `json:"format"`
}

func ffprobe(t *testing.T, data []byte) probe {
	t.Helper()
	path := filepath.Join(t.TempDir(), "video")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var p probe
	if err := json.Unmarshal(out, &p); err != nil || len(p.Streams) != 1 {
		t.Fatalf("%s, %v", out, err)
	}
	return p
}

// film returns a task of 10 frames per second whose pages share one file.
func film(format string, html ...string) render.Task {
	f := task(format, html...)
	f.Video = render.VideoOptions{FPS: 10, Loop: true, Combine: true}
	return f
}

// The encoder has a share of the memory of its own, and the message says so.
func TestAnEncoderWithoutMemoryIsNamed(t *testing.T) {
	b, err := New(Options{MaxMemory: 300 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	large := film("mp4", moving)
	large.Pages[0].Width, large.Pages[0].Height = 3840, 2160
	_, err = b.Render(t.Context(), large, discard)
	if problem := (*render.Error)(nil); !errors.As(err, &problem) || problem.Reason != render.ReasonMemoryExceeded || !strings.HasPrefix(problem.Message, "the file's encoder needs more memory than a render pod has for it: 150 MiB, which are 35 % of the pod's limit") {
		t.Errorf("error %v", err)
	}
}

func TestFilmHasTheAnimationsFrames(t *testing.T) {
	b := start(t)
	outputs, warnings := run(t, b, film("mp4", moving, moving))
	if len(outputs) != 1 || len(warnings) != 0 {
		t.Fatalf("%d files, warnings %v", len(outputs), warnings)
	}
	stream := ffprobe(t, outputs[0].Data).Streams[0]
	got := fmt.Sprintf("%s %s %dx%d %s %s", stream.CodecName, stream.PixFmt, stream.Width, stream.Height, stream.Rate, stream.Frames)
	if want := "h264 yuv420p 200x100 10/1 20"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if moov, mdat := bytes.Index(outputs[0].Data, []byte("moov")), bytes.Index(outputs[0].Data, []byte("mdat")); moov < 0 || moov > mdat {
		t.Errorf("the index is not first: moov at %d, mdat at %d", moov, mdat)
	}
}

func TestFilmsDurationAndRate(t *testing.T) {
	b := start(t)
	endless := `<style>div{width:9px;height:9px;background:red;animation:spin 0.7s infinite linear} @keyframes spin{to{transform:rotate(360deg)}}</style><div></div>`
	for name, test := range map[string]struct {
		html        string
		options     render.VideoOptions
		wantRate    string
		wantFrames  string
		wantSeconds float64
	}{
		"set by the task":             {html: moving, options: render.VideoOptions{FPS: 30, Seconds: 1.5}, wantRate: "30/1", wantFrames: "45", wantSeconds: 1.5},
		"the longest animation":       {html: moving, options: render.VideoOptions{FPS: 25}, wantRate: "25/1", wantFrames: "25", wantSeconds: 1},
		"one round of an endless one": {html: endless, options: render.VideoOptions{FPS: 10}, wantRate: "10/1", wantFrames: "7", wantSeconds: 0.7},
		"there and back":              {html: strings.Replace(endless, "infinite", "infinite alternate", 1), options: render.VideoOptions{FPS: 10}, wantRate: "10/1", wantFrames: "14", wantSeconds: 1.4},
		"no animation":                {html: red, options: render.VideoOptions{FPS: 2}, wantRate: "2/1", wantFrames: "10", wantSeconds: 5},
		"bounded by the task":         {html: moving, options: render.VideoOptions{FPS: 10, MaxSeconds: 0.5}, wantRate: "10/1", wantFrames: "5", wantSeconds: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			f := film("mp4", test.html)
			f.Video = test.options
			outputs, _ := run(t, b, f)
			stream := ffprobe(t, outputs[0].Data).Streams[0]
			seconds, err := strconv.ParseFloat(stream.Duration, 64)
			if err != nil || math.Abs(seconds-test.wantSeconds) > 0.01 || stream.Rate != test.wantRate || stream.Frames != test.wantFrames {
				t.Errorf("got %s frames at %s in %s s (%v), want %s at %s in %g s", stream.Frames, stream.Rate, stream.Duration, err, test.wantFrames, test.wantRate, test.wantSeconds)
			}
		})
	}
}

// A colour that appears during a film and stays is in the palette.
func TestAGIFHasTheColoursThatAppear(t *testing.T) {
	f := film("gif", bars+`<div class=bar style="animation:fill 1s linear both">`)
	f.Video.Seconds = 1
	outputs, _ := run(t, start(t), f)
	if got := width(frames(t, outputs[0].Data)[9], 10, color.RGBA{0, 0x88, 255, 255}); got != 180 {
		t.Errorf("in the last frame, %d pixels are blue, want 180", got)
	}
}

func TestGIFThatDoesNotLoop(t *testing.T) {
	once := film("gif", moving)
	once.Video.Loop, once.Video.Seconds = false, 0.2
	outputs, _ := run(t, start(t), once)
	animation, err := gif.DecodeAll(bytes.NewReader(outputs[0].Data))
	if err != nil || animation.LoopCount != -1 {
		t.Errorf("loop count %d, %v", animation.LoopCount, err)
	}
}

// recordingSink keeps the files, without their dimensions, and the progress.
type recordingSink struct {
	files    []file.File
	progress []render.Progress
	varies   bool
	places   []render.Place
}

func (s *recordingSink) Emit(_ context.Context, f file.File, _ []byte) error {
	f.Width, f.Height = 0, 0
	s.files = append(s.files, f)
	return nil
}

func (s *recordingSink) Progress(p render.Progress) { s.progress = append(s.progress, p) }

func (s *recordingSink) Painted(place render.Place) { s.places = append(s.places, place) }

func (s *recordingSink) Varies() { s.varies = true }

func TestFilmReportsProgress(t *testing.T) {
	f := film("mp4", moving, red)
	f.Video.Combine = false
	f.Video.Seconds = 0.4
	var sink recordingSink
	if _, err := start(t).Render(t.Context(), f, &sink); err != nil {
		t.Fatal(err)
	}
	want := []render.Progress{{Percent: 12, Frames: 1}, {Percent: 25, Frames: 2}, {Percent: 37, Frames: 3}, {Percent: 50, Frames: 4}, {Percent: 62, Frames: 5}, {Percent: 75, Frames: 6}, {Percent: 87, Frames: 7}, {Percent: 100, Frames: 8}}
	if diff := cmp.Diff(want, sink.progress); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(f.Files(), sink.files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]render.Place{render.PlaceAlone, render.PlaceAlone}, sink.places); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

func TestFilmOfOddSizeIsMadeEven(t *testing.T) {
	odd := film("mp4", moving)
	odd.Pages[0].Width, odd.Pages[0].Height = 101, 51
	odd.Video.Seconds = 0.2
	outputs, _ := run(t, start(t), odd)
	stream := ffprobe(t, outputs[0].Data).Streams[0]
	if stream.Width != 102 || stream.Height != 52 || outputs[0].Width != 102 || outputs[0].Height != 52 {
		t.Errorf("got %dx%d, reported as %dx%d", stream.Width, stream.Height, outputs[0].Width, outputs[0].Height)
	}
}

// The column and the row that make an odd size even continue the page.
func TestFilmsOfOddSizeHaveNoEdge(t *testing.T) {
	b := start(t)
	for name, c := range map[string]struct {
		width, height int
		colour        string
		want          color.RGBA
	}{
		"white, both odd":  {199, 99, "#fff", color.RGBA{255, 255, 255, 255}},
		"red, both odd":    {199, 99, "#f00", color.RGBA{255, 0, 0, 255}},
		"blue, odd width":  {199, 100, "#00f", color.RGBA{0, 0, 255, 255}},
		"blue, odd height": {200, 99, "#00f", color.RGBA{0, 0, 255, 255}},
	} {
		t.Run(name, func(t *testing.T) {
			odd := film("mp4", `<!doctype html><body style="background:`+c.colour+`">`)
			odd.Pages[0].Width, odd.Pages[0].Height, odd.Video.Seconds = c.width, c.height, 0.2
			outputs, _ := run(t, b, odd)
			for y, img := range map[int]image.Image{0: frames(t, outputs[0].Data)[0], 99: frames(t, outputs[0].Data)[1]} {
				if got := width(img, y, c.want); got != 200 {
					t.Errorf("%d of the 200 pixels of row %d continue the page: the last is %v", got, y, img.At(199, y))
				}
			}
		})
	}
}

// A page with a script gets a picture of each frame, and one without only where a frame changes something.
func TestFilmsOfPagesThatStandStillAreComplete(t *testing.T) {
	b := start(t)
	for name, html := range map[string]string{
		"a slide show":        `<style>div{width:50px;height:50px;background:red;animation:go 3s steps(3,end)} @keyframes go{to{transform:translateX(150px)}}</style><div></div>`,
		"a blink":             `<style>p{animation:blink 2.2s} @keyframes blink{0%,60%{visibility:hidden} 61%,63%{visibility:visible} 64%{visibility:hidden}}</style><p>text</p>`,
		"a rest at the end":   `<style>div{width:50px;height:50px;background:red;animation:go 0.2s linear forwards} @keyframes go{to{transform:rotate(1turn);background:blue}}</style><div></div>`,
		"a rest at the start": `<style>div{width:50px;height:50px;background:red;animation:go 0.3s 1.8s linear} @keyframes go{to{opacity:0}}</style><div></div>`,
		"another beginning":   `<style>div{width:50px;height:50px;background:red;animation:go .1s 1.2s linear, on .1s .4s both} @keyframes go{to{opacity:0}} @keyframes on{from{translate:40px}}</style><div></div>`,
		"transitions":         `<style>div{width:50px;height:50px;background:red;transition:translate .1s 1.4s;@starting-style{translate:80px}}</style><div></div>`,
		"backwards":           `<style>div{width:50px;height:50px;background:red;animation:go .2s 1.1s 2 alternate-reverse backwards} @keyframes go{to{translate:90px}}</style><div></div>`,
		"a marquee":           `<div style="width:100px"><marquee scrollamount=9 loop=1 behavior=slide>text</marquee></div>`,
		"SVG":                 `<svg width=200 height=100><rect width=50 height=50 fill=red><set attributeName=fill to=blue begin=1.2s dur=0.1s /></rect></svg>`,
	} {
		t.Run(name, func(t *testing.T) {
			var films [2][]byte
			for i, end := range []string{"", "<script></script>"} {
				f := film("gif", html+end)
				f.Video.FPS, f.Video.Seconds = 20, 2.3
				outputs, _ := run(t, b, f)
				films[i] = outputs[0].Data
			}
			if !bytes.Equal(films[0], films[1]) {
				t.Error("the film differs from that of pictures of all frames")
			}
		})
	}
}

func TestFilmIsScaled(t *testing.T) {
	small := film("gif", moving)
	small.Scale, small.Video.Seconds = 0.5, 0.3
	outputs, _ := run(t, start(t), small)
	animation, err := gif.DecodeAll(bytes.NewReader(outputs[0].Data))
	if err != nil || animation.Config.Width != 100 || animation.Config.Height != 50 || len(animation.Image) != 3 {
		t.Errorf("%+v, %v", animation.Config, err)
	}
}

func TestFilmIsRepeatableAndExact(t *testing.T) {
	b := start(t)
	first, _ := run(t, b, film("gif", moving))
	second, _ := run(t, b, film("gif", moving))
	if !bytes.Equal(first[0].Data, second[0].Data) {
		t.Error("two renders of one page differ")
	}
	animation, err := gif.DecodeAll(bytes.NewReader(first[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	if len(animation.Image) != 10 || animation.LoopCount != 0 || animation.Delay[0] != 10 {
		t.Errorf("%d frames, loop %d, delay %v", len(animation.Image), animation.LoopCount, animation.Delay)
	}
	// In frame 5, after half a second, the boxes of CSS and of the timer are at 50 pixels.
	path := filepath.Join(t.TempDir(), "a.gif")
	if err := os.WriteFile(path, first[0].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	frame, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", path, "-vf", "select=eq(n\\,5)", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	pixel := func(x, y int) [3]byte { i := (y*200 + x) * 3; return [3]byte(frame[i : i+3]) }
	for name, test := range map[string]struct {
		x, y    int
		wantRed bool
	}{
		"in the CSS box":       {x: 55, y: 10, wantRed: true},
		"left of the CSS box":  {x: 45, y: 10},
		"right of the CSS box": {x: 75, y: 10},
	} {
		if p := pixel(test.x, test.y); (p[0] > 200 && p[1] < 60) != test.wantRed {
			t.Errorf("%s: %v", name, p)
		}
	}
	if p := pixel(55, 70); p[0] > 60 || p[1] < 90 {
		t.Errorf("the timer's box is not at 50 pixels: %v", p)
	}
}

func TestWebMIsVP9(t *testing.T) {
	b := start(t)
	for name, size := range map[string][2]int{"even": {200, 100}, "odd": {199, 99}} {
		t.Run(name, func(t *testing.T) {
			f := film("webm", `<!doctype html><style>body{background:#f00;animation:x 0.5s} @keyframes x{to{opacity:1}}</style>`, moving)
			for i := range f.Pages {
				f.Pages[i].Width, f.Pages[i].Height = size[0], size[1]
			}
			outputs, warnings := run(t, b, f)
			probed := ffprobe(t, outputs[0].Data)
			stream := probed.Streams[0]
			got := fmt.Sprintf("%s %s %s %dx%d %s %s frames %s", probed.Format.Name, stream.CodecName, stream.PixFmt, stream.Width, stream.Height, stream.Rate, stream.Frames, probed.Format.Duration)
			want := "matroska,webm vp9 yuv420p 200x100 10/1 15 frames 1.500000"
			if got != want || outputs[0].Width != 200 || outputs[0].Height != 100 || len(warnings) != 0 {
				t.Errorf("got %s, reported as %dx%d with %v; want %s", got, outputs[0].Width, outputs[0].Height, warnings, want)
			}
			first := frames(t, outputs[0].Data)[0]
			for _, y := range []int{0, 99} {
				if got := width(first, y, color.RGBA{255, 0, 0, 255}); got != 200 {
					t.Errorf("%d of the 200 pixels of row %d are red", got, y)
				}
			}
			again, _ := run(t, b, f)
			if !bytes.Equal(outputs[0].Data, again[0].Data) {
				t.Error("two renders of one page differ")
			}
		})
	}
}

func TestATrimmedFilmIsAPartOfTheWholeOne(t *testing.T) {
	b := start(t)
	// Every box moves 10 pixels in a frame, in which a screen has 6.
	steps := `<style>body{margin:0} div{position:absolute;width:10px;height:20px;background:red} @keyframes go{to{transform:translateX(100px)}} #css{animation:go 1s linear} #raf{top:30px} #timer{top:60px}</style>
	<div id=css></div><div id=raf></div><div id=timer></div><script>
	let frames = -1, ticks = 0;
	const step = () => { document.getElementById('raf').style.left = 10 / 6 * ++frames + 'px'; requestAnimationFrame(step); };
	requestAnimationFrame(step);
	setInterval(() => { document.getElementById('timer').style.left = 10 * ++ticks + 'px'; }, 100);
	</script>`
	for name, c := range map[string]struct {
		options render.VideoOptions
		first   int
		frames  int
	}{
		"from the middle":  {render.VideoOptions{Start: 0.5, Seconds: 0.3}, 5, 3},
		"to its own end":   {render.VideoOptions{Start: 0.6}, 6, 4},
		"from the start":   {render.VideoOptions{Seconds: 0.2}, 0, 2},
		"the last frame":   {render.VideoOptions{Start: 0.9}, 9, 1},
		"longer than that": {render.VideoOptions{Start: 0.5, Seconds: 1}, 5, 10},
	} {
		t.Run(name, func(t *testing.T) {
			f := film("gif", steps)
			c.options.FPS = 10
			f.Video = c.options
			outputs, _ := run(t, b, f)
			pictures := frames(t, outputs[0].Data)
			if len(pictures) != c.frames {
				t.Fatalf("%d frames, want %d", len(pictures), c.frames)
			}
			for _, y := range []int{10, 40, 70} {
				if r, g, _, _ := pictures[0].At(10*c.first+5, y).RGBA(); r < 0xf000 || g > 0x1000 {
					t.Errorf("the box of row %d is not at %d in the first frame", y, 10*c.first)
				}
			}
		})
	}
	// What one end begins, the next end follows, whatever is filmed of it.
	chain := `<style>body{margin:0} div{height:20px;background:red} @keyframes half{from{width:0}to{width:100px}} @keyframes more{from{width:100px}to{width:200px}} .more{animation:more .4s linear both!important}</style>
	<div id=b style="animation:half .4s linear both"></div><script>b.onanimationend = () => b.classList.add('more')</script>`
	for start, want := range map[float64]int{0.2: 50, 0.7: 150, 1: 200} {
		f := film("gif", chain)
		f.Video = render.VideoOptions{FPS: 10, Start: start, Seconds: 0.1}
		outputs, _ := run(t, b, f)
		if got := width(frames(t, outputs[0].Data)[0], 10, color.RGBA{255, 0, 0, 255}); max(got-want, want-got) > 26 {
			t.Errorf("at %g s, the bar is %d pixels wide, want %d", start, got, want)
		}
	}
	f := film("gif", steps)
	f.Video.Start = 1
	_, err := b.Render(t.Context(), f, &recordingSink{})
	if problem := (*render.Error)(nil); !errors.As(err, &problem) || problem.Reason != render.ReasonInvalidSpec || !strings.HasPrefix(problem.Message, "spec.output.video.trimStart: 1 must be less than 1, the seconds of the animations of page 1;") {
		t.Errorf("got %v", err)
	}
}

// The latest start costs no more than the page's own work: what has none of it is there at once.
func TestAFilmMayBeginLate(t *testing.T) {
	b := startBehind(t, loopback, memoryLimit)
	spinning := `<style>body{margin:0} div{width:200px;height:100px;animation:go 1s steps(2,end) infinite} @keyframes go{from{background:#f00}to{background:#00f}}</style><div></div>`
	for name, html := range map[string]string{
		"without scripts":     spinning,
		"with a timer":        spinning + `<script>let n = 0; setInterval(() => { if (++n === 60) document.body.className = n }, 60000)</script>`,
		"with an idle script": spinning + `<script>document.body.className = 'x'</script>`,
	} {
		t.Run(name, func(t *testing.T) {
			late := film("mp4", html)
			late.Video = render.VideoOptions{FPS: 30, Start: 3600, Seconds: 0.2}
			outputs, warnings := run(t, b, late)
			if img := frames(t, outputs[0].Data)[0]; !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 {
				t.Errorf("the first frame is %v, warnings %v", img.At(100, 50), warnings)
			}
		})
	}
	late := film("mp4", `<script>const step = () => { const t = Atomics.wait === undefined || Date(); for (let i = 0; i < 1e6; i++); requestAnimationFrame(step) }; step()</script>`)
	late.Video = render.VideoOptions{FPS: 30, Start: 3600, Seconds: 0.2}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := b.Render(ctx, late, &recordingSink{})
	if problem := (*render.Error)(nil); !errors.As(err, &problem) || problem.Reason != render.ReasonDeadlineExceeded || !strings.HasPrefix(problem.Message, "spec.output.video.trimStart: at the deadline, the scripts of page 1 had run for ") {
		t.Errorf("got %v", err)
	}
}

// expiring is a context whose deadline passes when expire is called.
type expiring struct {
	context.Context //nolint:containedctx // it is one
	done            chan struct{}
	expire          func()
}

func (e expiring) Done() <-chan struct{} { return e.done }

func (e expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// expiringSink lets the deadline pass after some frames.
type expiringSink struct {
	recordingSink
	frames int
	expire func()
}

func (s *expiringSink) Progress(p render.Progress) {
	if p.Frames == s.frames {
		s.expire()
	}
}

// A film that takes too long says how far it has come: its page was ready.
func TestAFilmThatTakesTooLongSaysHowFarItHasCome(t *testing.T) {
	long := film("mp4", moving, moving)
	long.Video = render.VideoOptions{FPS: 30, Seconds: 2}
	done := make(chan struct{})
	ctx := expiring{t.Context(), done, sync.OnceFunc(func() { close(done) })}
	_, err := start(t).Render(ctx, long, &expiringSink{frames: 70, expire: ctx.expire})
	const want = "at the deadline, 70 of 120 frames were filmed: "
	if problem := (*render.Error)(nil); !errors.As(err, &problem) || problem.Reason != render.ReasonDeadlineExceeded || !problem.Terminal || !strings.HasPrefix(problem.Message, want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// What a page does while it is filmed is warned of, as what it does before.
func TestWhatHappensInAFilmIsWarnedOf(t *testing.T) {
	b := start(t)
	for name, c := range map[string]struct{ script, want string }{
		"a script's error":   {`throw new Error('boom')`, "Script error: Uncaught Error: boom"},
		"a rejected promise": {`Promise.reject(new Error('boom'))`, "Script error: Error: boom"},
		"the console":        {`console.error('boom')`, "Console error: boom"},
		"a picture":          {`document.body.append(Object.assign(new Image(), { src: 'https://page.invalid/x.png' }))`, "Could not load https://page.invalid/x.png"},
		"another page":       {`location.href = 'https://page.invalid/'`, "The page was to be left for https://page.invalid/"},
		"a form":             {`document.forms[0].submit()`, "The page was to be left for https://page.invalid/form?"},
		"nothing":            {`1`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			document := film("mp4", `<form action="https://page.invalid/form"></form><script>setTimeout(() => { `+c.script+` }, 300)</script>`)
			document.Video.Seconds = 0.8
			_, warnings := run(t, b, document)
			if got := titlesOf(warnings); c.want == "" && len(got) != 0 || c.want != "" && !slices.Equal(got, []string{c.want}) {
				t.Errorf("warnings %q, want %q", got, c.want)
			}
		})
	}
}

// Options at their limits give whole files.
func TestFilmsAtTheLimits(t *testing.T) {
	b := start(t)
	for name, c := range map[string]struct {
		width, height int
		scale         float64
		options       render.VideoOptions
		size, frames  string
	}{
		"the smallest":           {1, 1, 1, render.VideoOptions{FPS: 1, Seconds: 0.1}, "2x2", "1"},
		"the smallest, scaled":   {1, 1, 0.1, render.VideoOptions{FPS: 30, Seconds: 0.1}, "2x2", "3"},
		"small, made larger":     {3, 5, 10, render.VideoOptions{FPS: 30, Seconds: 0.1}, "30x50", "3"},
		"narrow":                 {1, 500, 1, render.VideoOptions{FPS: 2, Seconds: 0.5}, "2x500", "1"},
		"wide":                   {3001, 1, 1, render.VideoOptions{FPS: 2, Seconds: 1}, "3002x2", "2"},
		"a scale with a part":    {33, 33, 1.37, render.VideoOptions{FPS: 7, Seconds: 1}, "46x46", "7"},
		"a fade beyond the page": {20, 20, 1, render.VideoOptions{FPS: 30, Seconds: 0.1, Combine: true, Fade: 2}, "20x20", "3"},
	} {
		for _, format := range []string{"mp4", "webm"} {
			t.Run(name+", "+format, func(t *testing.T) {
				document := film(format, moving)
				document.Pages[0].Width, document.Pages[0].Height, document.Scale, document.Video = c.width, c.height, c.scale, c.options
				outputs, _ := run(t, b, document)
				stream := ffprobe(t, outputs[0].Data).Streams[0]
				if got := fmt.Sprintf("%dx%d", stream.Width, stream.Height); got != c.size || stream.Frames != c.frames || fmt.Sprintf("%dx%d", outputs[0].Width, outputs[0].Height) != c.size {
					t.Errorf("got %s with %s frames, reported as %dx%d; want %s with %s", got, stream.Frames, outputs[0].Width, outputs[0].Height, c.size, c.frames)
				}
			})
		}
	}
}

func TestPagesOfAFilmDissolve(t *testing.T) {
	b := start(t)
	for format, tolerance := range map[string]uint32{"mp4": 0x1000, "gif": 0x1800} {
		t.Run(format, func(t *testing.T) {
			page := func(colour string) string { return `<!doctype html><body style="background:` + colour + `">` }
			f := film(format, page("#000"), page("#fff"), page("#000"))
			f.Video.Seconds, f.Video.Fade = 0.6, 0.3
			outputs, _ := run(t, b, f)
			pictures := frames(t, outputs[0].Data)
			// Of 6 frames a page, 3 dissolve into 3 of the next.
			want := []uint32{0, 0, 0, 0x4000, 0x8000, 0xbfff, 0xbfff, 0x8000, 0x4000, 0, 0, 0}
			if len(pictures) != len(want) {
				t.Fatalf("%d frames, want %d", len(pictures), len(want))
			}
			for i, picture := range pictures {
				if r, _, _, _ := picture.At(100, 50).RGBA(); max(r, want[i])-min(r, want[i]) > tolerance {
					t.Errorf("frame %d has %#x, want %#x", i, r, want[i])
				}
			}
		})
	}
}
