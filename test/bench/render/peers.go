// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// startTimeout is how long a peer may take to start.
const startTimeout = 30 * time.Second

// plain is the usual way to use chromedp: one long-lived Chromium, a new browser context for each render, which isolates pages as the
// renderer does, and the default screenshot.
type plain struct{ root context.Context } //nolint:containedctx // chromedp keeps the browser in it

// newPlain starts the browser at path. The caller calls stop.
func newPlain(ctx context.Context, path string) (p *plain, stop func(), err error) {
	// Without hinting, text looks the same as the renderer's.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath(path), chromedp.Flag("font-render-hinting", "none"), chromedp.Flag("ignore-certificate-errors", true))
	allocator, cancel := chromedp.NewExecAllocator(ctx, options...)
	root, cancelRoot := chromedp.NewContext(allocator)
	stop = func() { cancelRoot(); cancel() }
	if err := chromedp.Do(root); err != nil {
		stop()
		return nil, nil, err
	}
	return &plain{root}, stop, nil
}

func (*plain) name() string { return "plain chromedp" }

func (*plain) supports(format string) bool { return format != "avif" }

func (p *plain) render(ctx context.Context, html, format string) ([]byte, error) {
	tab, cancel := chromedp.NewContext(p.root, chromedp.WithNewBrowserContext())
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	source := "data:text/html;base64," + base64.StdEncoding.EncodeToString([]byte(html))
	if err := chromedp.Do(tab, chromedp.EmulateViewport(width, height), chromedp.Navigate(source)); err != nil {
		return nil, err
	}
	switch format {
	case "pdf":
		document, err := chromedp.Call(tab, page.PrintToPDF, page.PrintToPDFParams{PrintBackground: new(true), PaperWidth: width / 96., PaperHeight: height / 96.})
		return document.Data, err
	case "png":
		return chromedp.Run(tab, chromedp.CaptureScreenshot())
	default:
		shot, err := chromedp.Call(tab, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormat(format), Quality: new(int64(quality))})
		return shot.Data, err
	}
}

// gotenberg is a Gotenberg 8 server on this machine, with the same Chromium.
type gotenberg struct{ url string }

// newGotenberg starts the server at path. The caller calls stop.
func newGotenberg(ctx context.Context, path, chromium string) (g *gotenberg, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err = errors.Join(err, listener.Close()); err != nil {
		return nil, nil, err
	}
	unused, err := exec.LookPath("true")
	if err != nil {
		return nil, nil, err
	}
	// No restarts of its browser: they end every other Chromium of the machine, too.
	command := exec.CommandContext(ctx, path, "--api-port="+port, "--api-bind-ip=127.0.0.1", "--log-level=error", "--pdfengines-convert-engines=",
		"--chromium-restart-after=0")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	command.Stderr = os.Stderr
	// Gotenberg looks for its other tools at the start and does not use them here.
	command.Env = append([]string{
		"CHROMIUM_BIN_PATH=" + chromium, "CHROMIUM_HYPHEN_DATA_DIR_PATH=" + os.TempDir(),
		"PDFTK_BIN_PATH=" + unused, "QPDF_BIN_PATH=" + unused, "EXIFTOOL_BIN_PATH=" + unused, "PDFCPU_BIN_PATH=" + unused,
		"OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none",
		"LIBREOFFICE_BIN_PATH=" + unused, "UNOCONVERTER_BIN_PATH=" + unused,
	}, os.Environ()...)
	if err := command.Start(); err != nil {
		return nil, nil, fmt.Errorf("starting Gotenberg: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	stop = func() {
		_ = command.Cancel() // fails when it has ended
		<-ended              //nolint:errcheck // the signal's exit status is expected
	}
	g = &gotenberg{"http://127.0.0.1:" + port}
	timeout := time.After(startTimeout)
	for {
		if _, err = g.send(ctx, http.MethodGet, "/health", "", nil); err == nil {
			return g, stop, nil
		}
		select {
		case err := <-ended:
			return nil, nil, fmt.Errorf("gotenberg ended: %w", err)
		case <-timeout:
			stop()
			return nil, nil, fmt.Errorf("gotenberg is not healthy after %s: %w", startTimeout, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (*gotenberg) name() string { return "gotenberg" }

func (*gotenberg) supports(format string) bool { return format != "avif" }

func (g *gotenberg) render(ctx context.Context, html, format string) ([]byte, error) {
	path := "/forms/chromium/screenshot/html"
	fields := map[string]string{"width": strconv.Itoa(width), "height": strconv.Itoa(height), "clip": "true", "format": format}
	switch format {
	case "pdf":
		path = "/forms/chromium/convert/html"
		fields = map[string]string{
			"paperWidth": fmt.Sprintf("%gin", width/96.), "paperHeight": fmt.Sprintf("%gin", height/96.), "printBackground": "true",
			"marginTop": "0", "marginBottom": "0", "marginLeft": "0", "marginRight": "0",
		}
	case "jpeg", "webp":
		fields["quality"] = strconv.Itoa(quality)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("files", "index.html")
	if err == nil {
		_, err = io.WriteString(file, html)
	}
	for key, value := range fields {
		err = errors.Join(err, form.WriteField(key, value))
	}
	if err := errors.Join(err, form.Close()); err != nil {
		return nil, err
	}
	return g.send(ctx, http.MethodPost, path, form.FormDataContentType(), &body)
}

func (g *gotenberg) send(ctx context.Context, method, path, contentType string, body io.Reader) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, g.url+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("gotenberg answers HTTP %d: %.200s", resp.StatusCode, data)
	}
	return data, err
}
