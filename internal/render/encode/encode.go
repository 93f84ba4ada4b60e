// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package encode makes the formats that a browser cannot make: AVIF with avifenc, MP4, WebM and GIF with ffmpeg. Each encoder runs as a
// separate process, with files that this package names and without network protocols. The package also makes pictures smaller.
package encode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/platen-dev/platen/internal/file"
)

// waitDelay is how long a process may run after its context has ended.
const waitDelay = 2 * time.Second

// threads of an encoder. The number is the same on every machine, so that the bytes are too.
const threads = 2

// maxRepeated bounds the frames that are equal to the one before and not passed to ffmpeg. It repeats them when the next one comes: with
// more, it would have nothing to do while a page stands still, and all of it afterwards.
const maxRepeated = 15

// ErrMemory means that an encoder exceeded its memory limit.
var ErrMemory = errors.New("the encoder needs more memory than it may have")

// AVIF encodes a PNG, with its transparency. quality is 1..100; 100 is lossless. maxMemory limits the encoder's memory in bytes; 0 is no
// limit. The error is ErrMemory if the encoder needs more.
func AVIF(ctx context.Context, png []byte, quality int, maxMemory int64) ([]byte, error) {
	dir, err := os.MkdirTemp("", "avif-")
	if err != nil {
		return nil, fmt.Errorf("encoding AVIF: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	in, out := filepath.Join(dir, "in.png"), filepath.Join(dir, "out.avif")
	if err := os.WriteFile(in, png, 0o600); err != nil {
		return nil, fmt.Errorf("encoding AVIF: %w", err)
	}
	// AV1's quantizer goes from 0 (lossless) to 63.
	quantizer := strconv.Itoa((100 - quality) * 63 / 100)
	loss := []string{"--min", quantizer, "--max", quantizer, "--minalpha", "0", "--maxalpha", quantizer}
	if quality == 100 {
		loss = []string{"--lossless"}
	}
	if err := run(ctx, maxMemory, "avifenc", slices.Concat([]string{"--jobs", strconv.Itoa(threads), "--speed", "8"}, loss, []string{in, out})...); err != nil {
		return nil, err
	}
	return os.ReadFile(out) //nolint:gosec // a name of our own
}

// run runs a process. The end of its output becomes part of the error.
func run(ctx context.Context, maxMemory int64, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...) //nolint:gosec // programs and arguments of our own
	command.WaitDelay = waitDelay
	var messages bytes.Buffer
	command.Stdout, command.Stderr = &messages, &messages
	err := start(command, maxMemory)
	if err == nil {
		err = command.Wait()
	}
	if err != nil {
		return failed(ctx, name, messages.Bytes(), err)
	}
	return nil
}

// stacks is what an encoder's threads reserve for their stacks, in bytes. They use little of it, and RLIMIT_DATA counts all.
const stacks = 64 << 20

// start starts a process with a memory limit in bytes, 0 for none.
func start(command *exec.Cmd, maxMemory int64) error {
	if err := command.Start(); err != nil || maxMemory == 0 {
		return err
	}
	limit := &unix.Rlimit{Cur: uint64(maxMemory + stacks), Max: uint64(maxMemory + stacks)} //nolint:gosec // not negative
	if err := unix.Prlimit(command.Process.Pid, unix.RLIMIT_DATA, limit, nil); err != nil && !errors.Is(err, unix.ESRCH) {
		_ = command.Process.Kill() // Wait reports how it ended
		_ = command.Wait()
		return fmt.Errorf("limiting memory: %w", err)
	}
	return nil
}

// memoryMessage matches what encoders print when an allocation fails. Some abort without a message.
var memoryMessage = regexp.MustCompile(`(?i)memory|malloc|bad_alloc|alloc.*fail|fail.*alloc`)

// failed returns the error of an encoder: the context's, or err with the end of the output. It is an ErrMemory if memory ran out.
func failed(ctx context.Context, name string, output []byte, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	output = bytes.TrimSpace(output)
	aborted := false
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		status, ok := exit.Sys().(syscall.WaitStatus)
		aborted = ok && status.Signal() == syscall.SIGABRT
	}
	if aborted || memoryMessage.Match(output) {
		err = fmt.Errorf("%w: %w", ErrMemory, err)
	}
	return fmt.Errorf("%s: %w: %s", name, err, output[max(0, len(output)-500):])
}

// Settings of a video.
type Settings struct {
	// Format is mp4, webm or gif.
	Format file.Format
	// Width and Height of the video in pixels.
	Width, Height int
	// Resize is true when the frames have another size.
	Resize bool
	// FPS is frames per second.
	FPS int
	// Quality of mp4 and webm, 1 to 100.
	Quality int
	// Loop makes a gif repeat.
	Loop bool
	// MaxMemory limits the encoder's memory in bytes; 0 is no limit. The error is ErrMemory if the encoder needs more.
	MaxMemory int64
}

// evenSize returns the filters that give the frames the even dimensions that 4:2:0 needs: they repeat the last column and row.
func (s Settings) evenSize() string {
	right, bottom := s.Width%2, s.Height%2
	if right+bottom == 0 {
		return ""
	}
	// In 4:4:4, where each pixel has its own colour to repeat.
	return fmt.Sprintf("format=yuvj444p,pad=iw+%d:ih+%d,fillborders=right=%d:bottom=%d:mode=smear,", right, bottom, right, bottom)
}

// resize returns the filter that gives the frames the video's size.
func (s Settings) resize() string {
	if !s.Resize {
		return ""
	}
	return fmt.Sprintf("scale=%d:%d:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,", s.Width, s.Height)
}

// Video encodes frames while later ones are drawn.
type Video struct {
	settings Settings
	dir      string
	command  *exec.Cmd
	stdin    io.WriteCloser
	messages *bytes.Buffer
	// frames counts the frames, written those until the last one that was passed to ffmpeg, which is last.
	frames, written int
	last            []byte
}

// ffmpegFlags make ffmpeg read only its inputs and print only errors. It filters in one thread: with one for each core of the node, its memory would depend
// on the node, as with the threads of a decoder.
var ffmpegFlags = []string{"-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-filter_threads", "1", "-filter_complex_threads", "1"}

// NewVideo starts an encoder for frames of one size: JPEG for mp4 and webm, PNG for gif. The caller must call Finish or Abort.
func NewVideo(ctx context.Context, s Settings) (*Video, error) {
	dir, err := os.MkdirTemp("", "video-")
	if err != nil {
		return nil, fmt.Errorf("encoding a video: %w", err)
	}
	v := &Video{settings: s, dir: dir, messages: &bytes.Buffer{}}
	// The input's format is given, so ffmpeg need not probe the first megabytes and encodes from the first frame on. The filter fps repeats a
	// frame until the next one, after the costly conversion of colours.
	args := slices.Concat(ffmpegFlags, []string{"-protocol_whitelist", "pipe,file", "-probesize", "32", "-analyzeduration", "0", "-threads", "1", "-f", "ivf",
		"-i", "pipe:0", "-an", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"})
	repeat := "fps=" + strconv.Itoa(s.FPS)
	switch s.Format {
	case "gif":
		// The palette is made from all frames. Until then they are kept lossless, on disk and not in memory.
		args = append(args, "-vf", s.resize()+repeat, "-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0", "-threads", strconv.Itoa(threads), v.path("frames.mkv"))
	case "webm":
		// VP9's quantizer goes from 0 to 63. Tiles and rows are not encoded in parallel, so that the bytes do not depend on the machine.
		// It looks no frames ahead, which needs much memory and changes no byte without alternate reference frames.
		args = append(args, "-vf", s.resize()+s.evenSize()+"scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,"+repeat,
			"-c:v", "libvpx-vp9", "-deadline", "good", "-cpu-used", "5", "-row-mt", "0", "-lag-in-frames", "0", "-auto-alt-ref", "0", "-threads", strconv.Itoa(threads), "-b:v", "0", "-crf", strconv.Itoa(52-s.Quality*34/100),
			"-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", v.path("out.webm"))
	default:
		// H.264 for every player: 4:2:0, and the index at the start of the file. It looks three frames ahead: with its own ten, and more for its
		// threads, it needs half as much memory again, and the file is as large.
		args = append(args, "-vf", s.resize()+s.evenSize()+"scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,"+repeat,
			"-c:v", "libx264", "-preset", "veryfast", "-x264-params", "rc-lookahead=3:sync-lookahead=0", "-threads", strconv.Itoa(threads), "-crf", strconv.Itoa(40-s.Quality*22/100),
			"-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-movflags", "+faststart", v.path("out.mp4"))
	}
	v.command = exec.CommandContext(ctx, "ffmpeg", args...) //nolint:gosec // arguments of our own
	v.command.WaitDelay = waitDelay
	v.command.Stderr = v.messages
	if v.stdin, err = v.command.StdinPipe(); err == nil {
		err = start(v.command, s.MaxMemory)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("starting ffmpeg: %w", err)
	}
	return v, nil
}

func (v *Video) path(name string) string { return filepath.Join(v.dir, name) }

// Write adds a frame. It blocks while the encoder is busy. A frame that is equal to the one before costs less than another.
func (v *Video) Write(ctx context.Context, frame []byte) error {
	if v.frames > 0 && v.frames-v.written < maxRepeated && bytes.Equal(frame, v.last) {
		v.frames++
		return nil
	}
	return v.pass(ctx, frame)
}

// pass passes a frame to ffmpeg.
func (v *Video) pass(ctx context.Context, frame []byte) error {
	var head []byte
	if v.frames == 0 {
		head = v.header()
	}
	head = binary.LittleEndian.AppendUint32(head, uint32(len(frame))) //nolint:gosec // a picture is smaller than 4 GiB
	head = binary.LittleEndian.AppendUint64(head, uint64(v.frames))   //nolint:gosec // not negative
	for _, part := range [][]byte{head, frame} {
		if _, err := v.stdin.Write(part); err != nil {
			// The encoder has ended. Its output is complete only after Wait.
			err = errors.Join(err, v.stdin.Close(), v.command.Wait())
			return failed(ctx, "ffmpeg", v.messages.Bytes(), err)
		}
	}
	v.frames++
	v.written, v.last = v.frames, frame
	return nil
}

// header returns the header of an IVF file, which is the simplest container whose frames have times: here, their numbers
// (https://wiki.multimedia.cx/index.php/Duck_IVF).
func (v *Video) header() []byte {
	codec := "MJPG"
	if v.settings.Format == "gif" {
		codec = "MPNG"
	}
	const length = 32
	head := []byte("DKIF\x00\x00\x20\x00" + codec)
	head = binary.LittleEndian.AppendUint16(head, uint16(v.settings.Width))  //nolint:gosec // the frames say how large they are
	head = binary.LittleEndian.AppendUint16(head, uint16(v.settings.Height)) //nolint:gosec // the same
	head = binary.LittleEndian.AppendUint32(head, uint32(v.settings.FPS))    //nolint:gosec // not negative
	head = binary.LittleEndian.AppendUint32(head, 1)
	return append(head, make([]byte, length-len(head))...)
}

// Finish ends the encoder and returns the video.
func (v *Video) Finish(ctx context.Context) ([]byte, error) {
	defer func() { _ = os.RemoveAll(v.dir) }()
	if v.frames > v.written { // the filter would drop the repetitions at the end
		v.frames--
		if err := v.pass(ctx, v.last); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(v.stdin.Close(), v.command.Wait()); err != nil {
		return nil, failed(ctx, "ffmpeg", v.messages.Bytes(), err)
	}
	if v.settings.Format != "gif" {
		return os.ReadFile(v.path("out." + string(v.settings.Format)))
	}
	input := slices.Concat(ffmpegFlags, []string{"-threads", strconv.Itoa(threads), "-i", v.path("frames.mkv")})
	if err := run(ctx, v.settings.MaxMemory, "ffmpeg", slices.Concat(input, []string{"-threads", strconv.Itoa(threads), "-vf", "palettegen", v.path("palette.png")})...); err != nil {
		return nil, err
	}
	loop := "-1"
	if v.settings.Loop {
		loop = "0"
	}
	err := run(ctx, v.settings.MaxMemory, "ffmpeg", slices.Concat(input, []string{"-threads", "1", "-i", v.path("palette.png"), "-lavfi", "paletteuse=dither=bayer:bayer_scale=5:diff_mode=rectangle",
		"-loop", loop, "-fflags", "+bitexact", "-flags:v", "+bitexact", v.path("out.gif")})...)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(v.path("out.gif"))
}

// Abort ends the encoder and discards the video.
func (v *Video) Abort() {
	_ = v.stdin.Close()
	_ = v.command.Process.Kill()
	_ = v.command.Wait()
	_ = os.RemoveAll(v.dir)
}
