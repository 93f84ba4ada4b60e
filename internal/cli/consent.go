// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/cli/browser"

	"github.com/platen-dev/platen/internal/storage/dropbox/authflow"
)

// consentTimeout bounds the time that a person spends on Dropbox's page.
const consentTimeout = 10 * time.Minute

// consent sends the person to Dropbox's page and returns what they granted.
func (o *connectCommand) consent(ctx context.Context, prompt *prompter) (authflow.Grant, error) {
	attempt := authflow.NewAttempt()
	if !o.noBrowser && !hasBrowser() {
		fmt.Fprintln(o.ErrOut, "There is no browser on this machine; use the browser of another machine.")
		o.noBrowser = true
	}
	code := ""
	err := errNoBrowser
	if !o.noBrowser {
		if code, err = o.loopback(ctx, attempt); errors.Is(err, errNoBrowser) {
			fmt.Fprintln(o.ErrOut, "The browser could not be opened; use the browser of another machine.")
		}
	}
	if errors.Is(err, errNoBrowser) {
		return o.pasted(ctx, prompt, attempt)
	}
	if err != nil {
		return authflow.Grant{}, err
	}
	return o.flow().Exchange(ctx, attempt, code)
}

// maxCodes is how often a person may paste a code.
const maxCodes = 3

// pasted returns what the code grants that a person pastes. At a terminal, they may correct a code that Dropbox does not accept: it shows a new one to who
// opens the page again.
func (o *connectCommand) pasted(ctx context.Context, prompt *prompter, attempt authflow.Attempt) (authflow.Grant, error) {
	config := o.flow()
	config.RedirectURI = ""
	fmt.Fprintf(o.ErrOut, "Open this page, allow access, and copy the code that Dropbox shows:\n\n  %s\n\n", config.URL(attempt))
	for asked := 1; ; asked++ {
		code, err := prompt.ask(ctx, "Code: ")
		if errors.Is(err, errNoAnswer) && !isTerminal(o.In) {
			err = fmt.Errorf("%w; only a person can allow access: a script that has a refresh token makes the Secret and the StorageConnection itself, as in docs/operations/dropbox.md", err)
		}
		if err == nil && code == "" {
			err = errors.New("no code was given; nothing was changed")
		}
		if err != nil {
			return authflow.Grant{}, err
		}
		grant, err := config.Exchange(ctx, attempt, code)
		refused := (*authflow.Error)(nil)
		if asked == maxCodes || !errors.As(err, &refused) || refused.Reason != authflow.CodeRefused || !isTerminal(o.In) {
			return grant, err
		}
		fmt.Fprintln(o.ErrOut, "Dropbox does not accept the code: it has expired, was used before, or is incomplete. Copy it again, or open the page again for a new one.")
	}
}

func (o *connectCommand) flow() authflow.Config {
	return authflow.Config{AppKey: o.connection.AppKey, RedirectURI: o.redirectURI(), AuthorizeURL: o.authorizeURL, APIURL: o.apiURL}
}

func (o *connectCommand) redirectURI() string { return fmt.Sprintf("http://localhost:%d/", o.port) }

// hasBrowser guesses whether this machine can show a browser.
func hasBrowser() bool {
	switch runtime.GOOS {
	case "darwin", "windows":
		return os.Getenv("SSH_CONNECTION") == ""
	default:
		return os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "" || os.Getenv("WSL_DISTRO_NAME") != ""
	}
}

// errNoBrowser means that the person must use the browser of another machine.
var errNoBrowser = errors.New("no browser")

// loopback opens the browser, waits until Dropbox redirects it to this machine (RFC 8252, 7.3), and returns the code.
func (o *connectCommand) loopback(ctx context.Context, attempt authflow.Attempt) (code string, err error) {
	ctx, cancel := context.WithTimeout(ctx, consentTimeout)
	defer cancel()
	listeners, err := o.listen(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot listen at %s for Dropbox's answer: %w; stop the program that uses the port, choose another port with --port, or use --no-browser", o.redirectURI(), err)
	}
	redirects := make(chan redirect, 1)
	server := &http.Server{Handler: callback(attempt, o.port, redirects), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	for _, listener := range listeners {
		go func() { _ = server.Serve(listener) }()
	}
	// The browser must get its answer before the process ends.
	defer func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	}()
	page := o.flow().URL(attempt)
	fmt.Fprintf(o.ErrOut, "Opening Dropbox in your browser. If nothing opens, go to:\n\n  %s\n\nWaiting for your consent...\n", page)
	opened := make(chan error, 1)
	// Some browsers run in the foreground: they outlive this command.
	go func() { opened <- openBrowser(page) }()
	for {
		select {
		case err := <-opened:
			if err != nil {
				return "", errNoBrowser
			}
			opened = nil
		case r := <-redirects:
			return r.code, r.err
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return "", fmt.Errorf("no answer from Dropbox within %s; begin again, or use --no-browser", consentTimeout)
			}
			return "", ctx.Err()
		}
	}
}

func openBrowser(page string) error {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	return browser.OpenURL(page)
}

// openFile opens a file with the person's default program for its type.
func openFile(path string) error {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	return browser.OpenFile(path)
}

// listen opens the port on both loopback addresses, because localhost may mean either.
func (o *connectCommand) listen(ctx context.Context) ([]net.Listener, error) {
	config := net.ListenConfig{}
	v4, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port)))
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{v4}
	// Without IPv6, the other listener is enough.
	if v6, err := config.Listen(ctx, "tcp", net.JoinHostPort("::1", strconv.Itoa(o.port))); err == nil {
		listeners = append(listeners, v6)
	}
	return listeners, nil
}

// redirect is the answer of Dropbox's page: a code or an error.
type redirect struct {
	code string
	err  error
}

var callbackPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Platen</title>
<style>:root { color-scheme: light dark } body { font: 1.2rem/1.5 system-ui, sans-serif; max-width: 30rem; margin: 20vh auto; padding: 0 1rem }</style>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
`))

// callback receives the redirect of one attempt. It rejects any other request, because any web page can send the browser here.
func callback(attempt authflow.Attempt, port int, redirects chan<- redirect) http.Handler {
	show := func(w http.ResponseWriter, status int, title, text string) {
		header := w.Header()
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = callbackPage.Execute(w, struct{ Title, Text string }{title, text})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != fmt.Sprintf("localhost:%d", port) {
			show(w, http.StatusMisdirectedRequest, "Not here", "This address is only for Dropbox's answer.")
			return
		}
		code, err := attempt.Code(r.URL.Query())
		problem := (*authflow.Error)(nil)
		if errors.As(err, &problem) && problem.Reason == authflow.StateMismatch {
			show(w, http.StatusBadRequest, "Not connected", problem.Message+".")
			return
		}
		select {
		case redirects <- redirect{code, err}:
		default:
			show(w, http.StatusConflict, "Already answered", "Go back to the terminal.")
			return
		}
		if err != nil {
			show(w, http.StatusOK, "Not connected", err.Error()+".")
			return
		}
		show(w, http.StatusOK, "Almost done", "You can close this page. Go back to the terminal to finish.")
	})
	return mux
}
