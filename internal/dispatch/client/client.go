// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package client is the render pod's side of dispatch: it polls for tasks, renders them, sends the files and reports the results.
package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

const (
	// callTimeout bounds a request without a file.
	callTimeout = 15 * time.Second
	// retryPause is the wait before a failed request is sent again.
	retryPause = 500 * time.Millisecond
	// maxProof bounds the proof of a review, in bytes.
	maxProof = 4 << 10
)

var (
	errRetire = errors.New("the dispatch server has retired this pod")
	errGone   = errors.New("the task is gone")
	errDenied = errors.New("the dispatch server does not accept this pod")
	// errRefused means that the dispatch server would refuse the same request again.
	errRefused = errors.New("the dispatch server refuses the request")
)

// Options of a Client. All but GoneTimeout and Transport are required; CA is not needed with a Transport.
type Options struct {
	// URL of the dispatch server.
	URL string
	// CA of its certificate in PEM.
	CA []byte
	// TokenFile holds the pod's token. The client reads it for each request, because tokens rotate.
	TokenFile string
	Renderer  render.Renderer
	Logger    *slog.Logger
	// GoneTimeout is how long the dispatch server may be unreachable before Run fails. Default 60 s.
	GoneTimeout time.Duration
	// Transport carries the requests. Default: TLS 1.3 to a server whose certificate CA has signed.
	Transport http.RoundTripper
}

// Client renders the tasks of a dispatch server.
type Client struct {
	Options
	http *http.Client
	// fonts of the tasks so far, by their hashes.
	fonts map[string][]byte
	// lastAnswer is when the dispatch server last answered a poll.
	lastAnswer time.Time
	// proof of the last review of the token, as the server wrote it; nil before the first.
	proof atomic.Pointer[string]
	// moved is the URL of the server that has the pod's namespace, as the one at URL says; nil if that one has it.
	moved atomic.Pointer[string]
}

// New returns a Client.
func New(options Options) (*Client, error) {
	if options.GoneTimeout == 0 {
		options.GoneTimeout = time.Minute
	}
	if options.Transport == nil {
		transport, err := newTransport(options.CA)
		if err != nil {
			return nil, err
		}
		options.Transport = transport
	}
	return &Client{Options: options, http: &http.Client{Transport: options.Transport}, fonts: map[string][]byte{}}, nil
}

// newTransport returns a transport to a server whose certificate ca has signed.
func newTransport(ca []byte) (*http.Transport, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA of the dispatch server is not a PEM certificate")
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	return &http.Transport{
		DialTLSContext:        func(ctx context.Context, _, address string) (net.Conn, error) { return dialTLS(ctx, address, config) },
		ResponseHeaderTimeout: wire.PollPatience + callTimeout,
		IdleConnTimeout:       wire.PollTimeout,
		MaxIdleConnsPerHost:   4,
	}, nil
}

// maxRecord bounds the TLS records that a pod sends, in bytes: the buffer that a handshake leaves has room for one. crypto/tls begins
// with as small ones.
const maxRecord = 1400

// smallRecords is a TLS connection that writes small records. The server's side of each connection keeps a buffer for the largest that has come, and
// a server has thousands of connections.
type smallRecords struct{ net.Conn }

// Write implements io.Writer.
func (c smallRecords) Write(data []byte) (written int, err error) {
	for part := range slices.Chunk(data, maxRecord) {
		n, err := c.Conn.Write(part)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Run renders tasks until the dispatch server retires the pod or ctx ends. Neither is an error.
func (c *Client) Run(ctx context.Context) error {
	defer c.http.CloseIdleConnections()
	c.lastAnswer = time.Now()
	for {
		assignment, err := c.poll(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errRetire):
			return nil
		case err == nil && assignment != nil:
			c.work(ctx, assignment)
		case err == nil:
			continue
		case time.Since(c.lastAnswer) > c.GoneTimeout:
			return fmt.Errorf("the dispatch server has not answered for %s: %w", c.GoneTimeout, err)
		default:
			c.Logger.Warn("failed to poll for a task", "error", err)
			pause(ctx)
		}
	}
}

func (c *Client) poll(ctx context.Context) (*wire.Assignment, error) {
	ctx, cancel := context.WithTimeout(ctx, wire.PollPatience+callTimeout)
	defer cancel()
	silent := time.AfterFunc(wire.PollPatience, cancel)
	resp, err := c.send(ctx, http.MethodPost, "/v1/poll", nil, nil)
	silent.Stop() // the answer may be long
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusOK:
		assignment := &wire.Assignment{}
		if err := json.NewDecoder(io.LimitReader(resp.Body, wire.MaxTask)).Decode(assignment); err != nil {
			return nil, fmt.Errorf("reading a task: %w", err)
		}
		c.lastAnswer = time.Now()
		return assignment, nil
	case http.StatusNoContent:
		c.lastAnswer = time.Now()
		return nil, nil //nolint:nilnil // no task yet
	case http.StatusGone:
		return nil, errRetire
	default:
		return nil, answerError(resp)
	}
}

// work renders one task and reports the result. It drops a task that is gone.
func (c *Client) work(parent context.Context, a *wire.Assignment) {
	log := c.Logger.With("task", a.TaskID)
	log.Info("rendering the task", "format", a.Task.Format, "pages", len(a.Task.Pages))
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	w := &work{client: c, ctx: ctx, Assignment: a, started: time.Now()}
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		w.beat(cancel)
	}()
	defer func() { cancel(nil); <-beating }()

	deadline, stop := context.WithTimeout(ctx, time.Duration(a.TimeoutMilliseconds)*time.Millisecond)
	var warnings []render.Warning
	err := w.loadFonts(deadline)
	if len(a.Task.Fonts) > 0 {
		w.step(wire.StepLoadFonts)
	}
	if err == nil {
		warnings, err = c.Renderer.Render(deadline, a.Task, w)
	}
	stop()
	result := w.result
	if errors.Is(context.Cause(ctx), errGone) || errors.Is(err, errGone) {
		log.Info("the task is gone")
		return
	}
	result.Warnings, result.Repeatable = bounded(warnings), !w.varies.Load()
	log = log.With("duration", time.Since(w.started))
	if err != nil {
		result = wire.Result{Failure: failure(err), Steps: w.result.Steps}
		log.Warn("failed to render the task", "reason", result.Failure.Reason)
	} else {
		log.Info("rendered the task", "files", len(result.Files))
	}
	err = w.report(ctx, result)
	if errors.Is(err, errRefused) {
		// Another attempt may deliver what this one cannot.
		err = w.report(ctx, wire.Result{Failure: failure(err)})
	}
	if err != nil {
		log.Warn("failed to report the result", "error", err)
	}
}

// bounded returns the warnings that a Result may have. The last one says so if there are more.
func bounded(warnings []render.Warning) []render.Warning {
	list := make([]render.Warning, 0, min(len(warnings), wire.MaxWarnings))
	for _, w := range warnings[:cap(list)] {
		list = append(list, render.Warning{Title: truncate(w.Title, wire.MaxTitle), Details: truncate(w.Details, wire.MaxDetails)})
	}
	if len(warnings) > wire.MaxWarnings {
		list[wire.MaxWarnings-1] = render.Warning{Title: render.MoreWarnings, Details: render.MoreWarningsDetails}
	}
	return list
}

// truncate cuts a text to a number of bytes. The server drops a character that is cut in two.
func truncate(text string, limit int) string { return text[:min(len(text), limit)] }

// failure returns the failure of a render to report.
func failure(err error) *wire.Failure {
	problem := (*render.Error)(nil)
	if errors.As(err, &problem) {
		return &wire.Failure{Reason: problem.Reason, Message: truncate(problem.Error(), wire.MaxDetails), Terminal: problem.Terminal}
	}
	return &wire.Failure{Reason: render.ReasonRenderFailed, Message: truncate(err.Error(), wire.MaxDetails)}
}

// work is one task while it is rendered. It implements render.Sink.
type work struct {
	client *Client
	ctx    context.Context //nolint:containedctx // it lives as long as the task
	*wire.Assignment
	started time.Time
	result  wire.Result
	// stepped is when the last step ended, since started.
	stepped time.Duration
	// progress of a video, nil before its first frame.
	progress atomic.Pointer[render.Progress]
	varies   atomic.Bool
}

// Emit sends a file. It keeps nothing of it once the dispatch server has stored it, because a render may have more than the pod's memory.
func (w *work) Emit(_ context.Context, f file.File, data []byte) error {
	w.step(wire.StepPaint)
	defer w.step(wire.StepSend)
	sum := sha256.Sum256(data)
	// The dispatch server knows the rest.
	w.result.Files = append(w.result.Files, file.File{ID: f.ID, Width: f.Width, Height: f.Height, SHA256: hex.EncodeToString(sum[:])})
	w.result.RenderMilliseconds = time.Since(w.started).Milliseconds()
	err := w.send(w.ctx, f.ID, data)
	if errors.Is(err, errRefused) {
		return &render.Error{Reason: render.ReasonRenderFailed, Message: fmt.Sprintf("page %d cannot be stored", f.Page), Terminal: true, Err: err}
	}
	return err
}

// step notes for a trace what the time since the last step went to.
func (w *work) step(name wire.StepName) {
	if !w.Traced || len(w.result.Steps) == wire.MaxSteps {
		return
	}
	end := time.Since(w.started)
	w.result.Steps = append(w.result.Steps, wire.Step{Name: name, StartMicroseconds: w.stepped.Microseconds(), EndMicroseconds: end.Microseconds()})
	w.stepped = end
}

// Progress stores the progress for the next heartbeat.
func (w *work) Progress(p render.Progress) { w.progress.Store(&p) }

// Painted counts the page in the result.
func (w *work) Painted(place render.Place) {
	if w.result.Places == nil {
		w.result.Places = map[render.Place]int{}
	}
	w.result.Places[place]++
}

// Varies says in the result that the task is not repeatable.
func (w *work) Varies() { w.varies.Store(true) }

// beat sends a heartbeat every few seconds, sooner if there is progress, and cancels a task that is gone.
func (w *work) beat(cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(wire.ProgressInterval)
	defer ticker.Stop()
	var reported *render.Progress
	last := w.started
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-ticker.C:
		}
		progress := w.progress.Load()
		if progress == reported && time.Since(last) < wire.HeartbeatInterval {
			continue
		}
		reported, last = progress, time.Now()
		body, err := json.Marshal(wire.Heartbeat{Progress: progress})
		if err != nil {
			w.client.Logger.Error("failed to encode a heartbeat", "error", err)
			return
		}
		call, stop := context.WithTimeout(w.ctx, callTimeout)
		resp, err := w.request(call, http.MethodPost, "heartbeat", "application/json", body)
		if err == nil {
			if resp.StatusCode == http.StatusGone || resp.StatusCode == http.StatusForbidden {
				cancel(errGone)
			}
			drain(resp)
		}
		stop()
	}
}

// request sends a request about the task.
func (w *work) request(ctx context.Context, method, path, contentType string, body []byte) (*http.Response, error) {
	header := http.Header{"Content-Type": {contentType}}
	if w.Plan != "" {
		header.Set(wire.PlanHeader, w.Plan)
	}
	return w.client.send(ctx, method, "/v1/tasks/"+w.TaskID+"/"+path, header, body)
}

// send sends one file.
func (w *work) send(ctx context.Context, id file.ID, data []byte) error {
	path := fmt.Sprintf("pages/%d", id.Page)
	if id.ExtraSize != "" {
		path += "/" + url.PathEscape(id.ExtraSize)
	}
	return w.client.insist(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		resp, err := w.request(ctx, http.MethodPut, path, w.Task.Format.ContentType(), data)
		if err != nil {
			return err
		}
		defer drain(resp)
		return answerError(resp)
	})
}

// report sends the result.
func (w *work) report(ctx context.Context, result wire.Result) error {
	body, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	return w.client.insist(ctx, func(ctx context.Context) error {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		resp, err := w.request(call, http.MethodPost, "result", "application/json", body)
		if err != nil {
			return err
		}
		defer drain(resp)
		return answerError(resp)
	})
}

// insist repeats a call until it succeeds, cannot succeed, or GoneTimeout has passed.
func (c *Client) insist(ctx context.Context, call func(ctx context.Context) error) error {
	giveUp := time.Now().Add(c.GoneTimeout)
	for {
		err := call(ctx)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errGone), errors.Is(err, errRefused), ctx.Err() != nil, time.Now().After(giveUp):
			return err
		}
		c.Logger.Warn("request to the dispatch server failed; sending it again", "error", err)
		pause(ctx)
	}
}

// send sends a request to the server that has the pod's namespace.
func (c *Client) send(ctx context.Context, method, path string, header http.Header, body []byte) (*http.Response, error) {
	resp, err := c.sendOnce(ctx, method, path, header, body)
	if err != nil || resp.StatusCode != http.StatusMisdirectedRequest {
		return resp, err
	}
	drain(resp)
	return c.sendOnce(ctx, method, path, header, body) // a second refusal is an error like any other: two leaders change at the moment
}

// sendOnce sends a request to the server that had the pod's namespace last. It notes which one has it if that has changed.
func (c *Client) sendOnce(ctx context.Context, method, path string, header http.Header, body []byte) (*http.Response, error) {
	token, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("reading the pod's token: %w", err)
	}
	moved, target := c.moved.Load(), c.URL
	if moved != nil {
		target = *moved
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(target, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	for name, values := range header {
		req.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if proof := c.proof.Load(); proof != nil {
		req.Header.Set(wire.ReviewHeader, *proof)
	}
	resp, err := c.http.Do(req)
	if err == nil {
		if proof := resp.Header.Get(wire.ReviewHeader); proof != "" && len(proof) <= maxProof {
			c.proof.Store(&proof)
		}
	}
	switch {
	case err != nil && ctx.Err() == nil:
		c.moved.CompareAndSwap(moved, nil)
	case err == nil && resp.StatusCode == http.StatusMisdirectedRequest:
		// The server has shown its certificate, so that its word counts.
		if other := resp.Header.Get(wire.ServerHeader); strings.HasPrefix(other, "https://") {
			c.moved.CompareAndSwap(moved, &other)
		}
	}
	return resp, err
}

// answerError returns the error of an answer, nil for 204.
func answerError(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusGone, http.StatusInsufficientStorage:
		return errGone
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w (HTTP %d)", errDenied, resp.StatusCode)
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // only for the message
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return fmt.Errorf("%w: %s", errRefused, strings.TrimSpace(string(text)))
	default:
		return fmt.Errorf("the dispatch server answers HTTP %d: %s", resp.StatusCode, strings.TrimSpace(string(text)))
	}
}

// drain reads and closes a body, so that the connection can be reused.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
}

// pause waits for retryPause or the end of ctx.
func pause(ctx context.Context) {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
