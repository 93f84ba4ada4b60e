// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package client is the render pod's half of dispatch: it asks for tasks, has them rendered, sends the files and reports.
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
	// callTimeout bounds a request that moves no file.
	callTimeout = 15 * time.Second
	// retryPause is how long to wait before a request that failed is made again.
	retryPause = 500 * time.Millisecond
)

var (
	errRetire = errors.New("dispatch says that this pod should end")
	errGone   = errors.New("the task is gone")
	errDenied = errors.New("dispatch does not accept this pod")
)

// Options of a Client. All but GoneTimeout are required.
type Options struct {
	// URL of the dispatch server.
	URL string
	// CA that signed its certificate, in PEM.
	CA []byte
	// TokenFile holds the pod's token. It is read for each request, because tokens rotate.
	TokenFile string
	Renderer  render.Renderer
	Logger    *slog.Logger
	// GoneTimeout is how long dispatch may be unreachable before the pod ends by itself. Default 60 s.
	GoneTimeout time.Duration
}

// Client asks for tasks.
type Client struct {
	Options
	http *http.Client
	// heard is when dispatch last answered.
	heard time.Time
}

// New returns a Client.
func New(options Options) (*Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(options.CA) {
		return nil, errors.New("the dispatch CA is no PEM certificate")
	}
	if options.GoneTimeout == 0 {
		options.GoneTimeout = time.Minute
	}
	transport := &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: wire.PollTimeout + callTimeout,
		IdleConnTimeout:       wire.PollTimeout,
		MaxIdleConnsPerHost:   4,
	}
	return &Client{Options: options, http: &http.Client{Transport: transport}}, nil
}

// Run asks for tasks and works on them until dispatch says that the pod should end, or ctx ends: both are no error.
func (c *Client) Run(ctx context.Context) error {
	defer c.http.CloseIdleConnections()
	c.heard = time.Now()
	for {
		assignment, err := c.poll(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errRetire):
			return nil
		case err == nil && assignment != nil:
			c.work(ctx, assignment)
		case err == nil:
			continue
		case time.Since(c.heard) > c.GoneTimeout:
			return fmt.Errorf("dispatch has not been reachable for %s: %w", c.GoneTimeout, err)
		default:
			c.Logger.Warn("asking for a task", "error", err)
			pause(ctx)
		}
	}
}

func (c *Client) poll(ctx context.Context) (*wire.Assignment, error) {
	ctx, cancel := context.WithTimeout(ctx, wire.PollTimeout+callTimeout)
	defer cancel()
	resp, err := c.send(ctx, http.MethodPost, "/v1/poll", nil, nil)
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
		c.heard = time.Now()
		return assignment, nil
	case http.StatusNoContent:
		c.heard = time.Now()
		return nil, nil //nolint:nilnil // nothing to do yet
	case http.StatusGone:
		return nil, errRetire
	default:
		return nil, refusal(resp)
	}
}

// work renders one task and reports how it went. A task that is gone is dropped.
func (c *Client) work(parent context.Context, a *wire.Assignment) {
	log := c.Logger.With("task", a.TaskID)
	log.Info("rendering", "format", a.Task.Format, "pages", len(a.Task.Pages))
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	w := &work{client: c, ctx: ctx, Assignment: a, started: time.Now(), sent: map[file.ID][]byte{}}
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		w.beat(cancel)
	}()
	defer func() { cancel(nil); <-beating }()

	deadline, stop := context.WithTimeout(ctx, time.Duration(a.TimeoutMilliseconds)*time.Millisecond)
	warnings, err := c.Renderer.Render(deadline, a.Task, w)
	stop()
	result := w.result
	if errors.Is(context.Cause(ctx), errGone) || errors.Is(err, errGone) {
		log.Info("the task is gone")
		return
	}
	result.Warnings = warnings[:min(len(warnings), wire.MaxWarnings)]
	if err != nil {
		result = wire.Result{Failure: failure(err)}
	}
	if err := w.report(ctx, result); err != nil {
		log.Warn("reporting the result", "error", err)
		return
	}
	log.Info("done", "milliseconds", result.RenderMilliseconds, "failure", err)
}

func failure(err error) *wire.Failure {
	problem := (*render.Error)(nil)
	if errors.As(err, &problem) {
		return &wire.Failure{Reason: problem.Reason, Message: problem.Error(), Terminal: problem.Terminal}
	}
	return &wire.Failure{Reason: render.ReasonRenderFailed, Message: err.Error()}
}

// work is one task in the making. It implements render.Sink.
type work struct {
	client *Client
	ctx    context.Context //nolint:containedctx // the task's life
	*wire.Assignment
	started time.Time
	// sent has the bytes of each file until the result is accepted: dispatch may ask for them again.
	sent   map[file.ID][]byte
	result wire.Result
	// progress of a film, nil before its first frame.
	progress atomic.Pointer[render.Progress]
}

// Emit sends a file.
func (w *work) Emit(_ context.Context, f file.File, data []byte) error {
	sum := sha256.Sum256(data)
	f.SHA256 = hex.EncodeToString(sum[:])
	w.sent[f.ID] = data
	w.result.Files = append(w.result.Files, f)
	w.result.RenderMilliseconds = time.Since(w.started).Milliseconds()
	return w.send(w.ctx, f.ID)
}

// Progress keeps it for the next heartbeat.
func (w *work) Progress(p render.Progress) { w.progress.Store(&p) }

// beat says every few seconds that the task is worked on, sooner when there is progress, and cancels it when it is gone.
func (w *work) beat(cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(wire.ProgressInterval)
	defer ticker.Stop()
	var told *render.Progress
	last := w.started
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-ticker.C:
		}
		progress := w.progress.Load()
		if progress == told && time.Since(last) < wire.HeartbeatInterval {
			continue
		}
		told, last = progress, time.Now()
		body, err := json.Marshal(wire.Heartbeat{Progress: progress})
		if err != nil {
			w.client.Logger.Error("encoding a heartbeat", "error", err)
			return
		}
		call, stop := context.WithTimeout(w.ctx, callTimeout)
		resp, err := w.client.send(call, http.MethodPost, "/v1/tasks/"+w.TaskID+"/heartbeat", http.Header{"Content-Type": {"application/json"}}, body)
		if err == nil {
			if resp.StatusCode == http.StatusGone || resp.StatusCode == http.StatusForbidden {
				cancel(errGone)
			}
			drain(resp)
		}
		stop()
	}
}

// send sends one file, again and again while dispatch is away.
func (w *work) send(ctx context.Context, id file.ID) error {
	header := http.Header{"Content-Type": {w.Task.Format.ContentType()}}
	path := fmt.Sprintf("/v1/tasks/%s/pages/%d", w.TaskID, id.Page)
	if id.ExtraSize != "" {
		path += "/" + url.PathEscape(id.ExtraSize)
	}
	return w.client.insist(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		resp, err := w.client.send(ctx, http.MethodPut, path, header, w.sent[id])
		if err != nil {
			return err
		}
		defer drain(resp)
		return refusal(resp)
	})
}

// report sends the result, and first again whatever files dispatch misses.
func (w *work) report(ctx context.Context, result wire.Result) error {
	body, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	return w.client.insist(ctx, func(ctx context.Context) error {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		resp, err := w.client.send(call, http.MethodPost, "/v1/tasks/"+w.TaskID+"/result", http.Header{"Content-Type": {"application/json"}}, body)
		if err != nil {
			return err
		}
		defer drain(resp)
		if resp.StatusCode != http.StatusConflict {
			return refusal(resp)
		}
		var missing wire.Missing
		if err := json.NewDecoder(io.LimitReader(resp.Body, wire.MaxResult)).Decode(&missing); err != nil {
			return fmt.Errorf("reading which files are missing: %w", err)
		}
		for _, id := range missing.Files {
			if _, ok := w.sent[id]; ok {
				if err := w.send(ctx, id); err != nil {
					return err
				}
			}
		}
		return errors.New("files were sent again")
	})
}

// insist repeats a call until it succeeds, the task is gone, or dispatch has been away for too long.
func (c *Client) insist(ctx context.Context, call func(ctx context.Context) error) error {
	giveUp := time.Now().Add(c.GoneTimeout)
	for {
		err := call(ctx)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errGone), ctx.Err() != nil, time.Now().After(giveUp):
			return err
		}
		c.Logger.Warn("dispatch did not take it; trying again", "error", err)
		pause(ctx)
	}
}

func (c *Client) send(ctx context.Context, method, path string, header http.Header, body []byte) (*http.Response, error) {
	token, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("reading the pod's token: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	for name, values := range header {
		req.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return c.http.Do(req)
}

// refusal is the error that an answer means, nil for 204.
func refusal(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusGone:
		return errGone
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w (HTTP %d)", errDenied, resp.StatusCode)
	default:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // only for the message
		return fmt.Errorf("dispatch answers HTTP %d: %s", resp.StatusCode, strings.TrimSpace(string(text)))
	}
}

// drain lets the connection be used again.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
}

func pause(ctx context.Context) {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
