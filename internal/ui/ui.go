// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ui is the web page of the shim, for people who prefer one: Storage, Renders and Templates of a workspace. It has no
// rights of its own: whatever it shows or does, it asks the API server for with the token of whoever has signed in.
package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
)

const (
	// maxForm bounds what a visitor sends, in bytes.
	maxForm = 1 << 20
	// requestTimeout bounds one answer, but for files.
	requestTimeout = 30 * time.Second
	// fileTimeout bounds the sending of a file.
	fileTimeout = 5 * time.Minute
	// maxRequests is how many requests are answered at a time, those for files among them.
	maxRequests = 512
)

// Options of a Server. All are required unless they say otherwise.
type Options struct {
	// Reviewer authenticates and authorizes visitors.
	Reviewer *callers.Reviewer
	// Cache of RenderJobs and RenderTemplates, read once the visitor's right to them has been asked for.
	Cache client.Reader
	// Key of 32 bytes that seals cookies, the same for every replica.
	Key []byte
	// URL of the page's origin as browsers see it, such as https://platen.example.com. Empty is http and the host that a request
	// names; whoever terminates TLS in front of the page must set it, so that cookies are sent over TLS only.
	URL string
	// ContentURL is where the content URLs of jobs begin; the page fetches nothing else.
	ContentURL string
	// Dropbox says how accounts are reached, without credentials.
	Dropbox dropbox.Config
	// AuthorizeURL is the host of Dropbox's consent page; empty is Dropbox's own.
	AuthorizeURL string
	// AppKey of the app with which accounts are connected unless a visitor gives another; may be empty.
	AppKey string
	// TTL after which a job that was made on the page is deleted with its files.
	TTL time.Duration
	// Clock tells the time.
	Clock clock.PassiveClock
	Log   logr.Logger
}

// Server answers the page.
type Server struct {
	Options
	// own and content are the parsed URLs; own is nil when it is not known.
	own, content *url.URL
	jar          jar
	views        views
	files        *http.Client
	// slots are taken by the requests that are being answered.
	slots chan struct{}
	// registry keeps the access tokens of accounts for as long as their Secrets, which are read with each visitor's own rights.
	registry *storage.Registry
}

// New returns a Server.
func New(options Options) (*Server, error) {
	own, err := origin(options.URL)
	if err != nil && options.URL != "" {
		return nil, fmt.Errorf("the URL of the page: %w", err)
	}
	content, err := origin(options.ContentURL)
	if err != nil {
		return nil, fmt.Errorf("the URL of the content store: %w", err)
	}
	jar, err := newJar(options.Key, own != nil && own.Scheme == "https")
	if err != nil {
		return nil, err
	}
	views, err := newViews(options.Clock)
	if err != nil {
		return nil, err
	}
	return &Server{Options: options, own: own, content: content, jar: jar, views: views, registry: storage.NewRegistry(), slots: make(chan struct{}, maxRequests), files: &http.Client{
		Timeout:       fileTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// origin reads a URL that has a scheme and a host.
func origin(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("'%s' must be like https://platen.example.com", text)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// Handler returns the page's routes, all below /ui/.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /ui/static/", s.views.static())
	mux.HandleFunc("GET /ui/sign-in", s.answering(s.signInPage))
	mux.HandleFunc("POST /ui/sign-in", s.answering(s.signIn))
	mux.HandleFunc("POST /ui/sign-out", s.answering(s.signOut))
	mux.HandleFunc("GET /ui/workspace", s.visiting(s.workspacePage))
	mux.HandleFunc("POST /ui/workspace", s.visiting(s.chooseWorkspace))
	mux.HandleFunc("GET /ui/storage", s.visiting(s.storage))
	mux.HandleFunc("POST /ui/connect", s.visiting(s.connect))
	mux.HandleFunc("GET "+callbackPath, s.answering(s.callback))
	mux.HandleFunc("GET /ui/storage/{connection}", s.visiting(s.connection))
	mux.HandleFunc("POST /ui/storage/{connection}/test", s.visiting(s.test))
	mux.HandleFunc("GET /ui/storage/{connection}/folders", s.visiting(s.folders))
	mux.HandleFunc("POST /ui/storage/{connection}/folders", s.visiting(s.newFolder))
	mux.HandleFunc("POST /ui/storage/{connection}/folder", s.visiting(s.chooseFolder))
	mux.HandleFunc("GET /ui/storage/{connection}/disconnect", s.visiting(s.disconnectPage))
	mux.HandleFunc("POST /ui/storage/{connection}/disconnect", s.visiting(s.disconnect))
	mux.HandleFunc("GET /ui/renders", s.visiting(s.gallery))
	mux.HandleFunc("GET /ui/renders/{job}", s.visiting(s.job))
	mux.HandleFunc("POST /ui/renders/{job}/retry", s.visiting(s.retry))
	mux.HandleFunc("GET /ui/renders/{job}/files/{page}", s.within(fileTimeout, s.entered(s.file)))
	mux.HandleFunc("GET /ui/templates", s.visiting(s.templates))
	mux.HandleFunc("GET /ui/templates/{template}", s.visiting(s.template))
	mux.HandleFunc("POST /ui/templates/{template}/renders", s.visiting(s.render))
	mux.HandleFunc("POST /ui/templates/{template}/preview", s.visiting(s.preview))
	mux.HandleFunc("GET /ui/{$}", s.answering(func(w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, "/ui/storage", http.StatusSeeOther)
		return nil
	}))
	mux.HandleFunc("GET /ui/", s.answering(func(http.ResponseWriter, *http.Request) error {
		return &problem{Status: http.StatusNotFound, Title: "There is no such page", Text: "Choose one of the pages above."}
	}))
	// What changes something must come from the page itself; see https://pkg.go.dev/net/http#CrossOriginProtection.
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(s.answering(func(http.ResponseWriter, *http.Request) error {
		return &problem{Status: http.StatusForbidden, Title: "This request came from another site", Text: "Nothing was changed. Open the page itself and try again."}
	}))
	return s.protected(origin.Handler(mux))
}

// protected adds what every answer carries and bounds what every request may take.
func (s *Server) protected(next http.Handler) http.Handler {
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		// Not no-referrer: browsers would send Origin: null with the page's own forms.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
			next.ServeHTTP(w, r)
		default:
			h.Set("Retry-After", "1")
			http.Error(w, "Too many people use this page at the moment. Try again.", http.StatusServiceUnavailable)
		}
	})
}

// problem is what went wrong, where, and what to do next.
type problem struct {
	Status int
	Title  string
	Text   string
	// Link is where to go on; LinkText says what is there.
	Link, LinkText string
	// signOut ends the session.
	signOut bool
}

// Error implements error.
func (p *problem) Error() string { return p.Title }

// answering turns a handler's error into a page, or into a notice when htmx has asked.
func (s *Server) answering(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return s.within(requestTimeout, handle)
}

func (s *Server) within(timeout time.Duration, handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		err := handle(w, r.WithContext(ctx))
		if err == nil || r.Context().Err() != nil {
			return
		}
		p := s.explain(r, err)
		if p.signOut {
			s.jar.drop(w, sessionCookie)
			s.redirect(w, r, "/ui/sign-in?why=ended&next="+url.QueryEscape(landing(r)))
			return
		}
		if fragment(r) {
			w.Header().Set("HX-Retarget", "#notices")
			w.Header().Set("HX-Reswap", "innerHTML")
			s.views.fragment(w, p.Status, "problem", p)
			return
		}
		s.views.page(w, p.Status, "problem", page{Title: p.Title, Session: s.session(r), Body: p})
	}
}

// explain finds the words for an error.
func (s *Server) explain(r *http.Request, err error) *problem {
	known := (*problem)(nil)
	refusal := (*callers.StatusError)(nil)
	api := apierrors.APIStatus(nil)
	large := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refusal) && refusal.Status == http.StatusForbidden:
		return &problem{
			Status: refusal.Status, Title: "You may not see this workspace",
			Text: sentence(refusal.Message) + " Ask whoever manages the namespace for the role platen-view or platen-edit.",
			Link: "/ui/workspace", LinkText: "Choose another workspace",
		}
	case errors.As(err, &refusal) && refusal.Status != http.StatusUnauthorized:
		return &problem{Status: refusal.Status, Title: "This was refused", Text: sentence(refusal.Message)}
	case refusal != nil, apierrors.IsUnauthorized(err):
		return &problem{Status: http.StatusUnauthorized, signOut: true}
	case errors.As(err, &large):
		return &problem{Status: http.StatusRequestEntityTooLarge, Title: "That is too much", Text: fmt.Sprintf("A form may have %d MiB with its pictures. Give large pictures by their URL.", maxForm>>20)}
	case apierrors.IsForbidden(err):
		return &problem{
			Status: http.StatusForbidden, Title: "You may not do this in this workspace",
			Text: sentence(message(err)) + " Ask whoever manages the namespace for the role platen-edit.",
		}
	case apierrors.IsNotFound(err):
		return &problem{Status: http.StatusNotFound, Title: "It is not there any more", Text: sentence(message(err))}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsConflict(err), apierrors.IsRequestEntityTooLargeError(err):
		return &problem{Status: http.StatusUnprocessableEntity, Title: "The cluster refused this", Text: sentence(message(err))}
	case apierrors.IsTooManyRequests(err):
		return &problem{Status: http.StatusTooManyRequests, Title: "The cluster is busy", Text: "Wait a moment and try again."}
	}
	if !errors.As(err, &api) {
		s.Log.Error(err, "Answering a request for the page", "path", r.URL.Path)
	}
	return &problem{Status: http.StatusBadGateway, Title: "The cluster did not answer", Text: "Nothing may have been changed. Wait a moment and try again."}
}

// message is what the API server said.
func message(err error) string {
	if api := apierrors.APIStatus(nil); errors.As(err, &api) {
		return api.Status().Message
	}
	return err.Error()
}

// sentence ends a text as one.
func sentence(text string) string {
	if text == "" || strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}

// visitor is who has signed in.
type visitor struct {
	*session
	*callers.Caller
	// Client acts with the visitor's rights.
	client.Client
	reviewer *callers.Reviewer
}

// visiting is answering for who has signed in.
func (s *Server) visiting(handle func(http.ResponseWriter, *http.Request, *visitor) error) http.HandlerFunc {
	return s.answering(s.entered(handle))
}

// entered lets in who has signed in; everyone else is sent to the sign-in page.
func (s *Server) entered(handle func(http.ResponseWriter, *http.Request, *visitor) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		found := s.session(r)
		if found == nil {
			s.redirect(w, r, "/ui/sign-in?next="+url.QueryEscape(landing(r)))
			return nil
		}
		caller, err := s.Reviewer.Authenticate(r.Context(), found.Token)
		if err != nil {
			return err
		}
		c, err := caller.Client()
		if err != nil {
			return err
		}
		return handle(w, r, &visitor{found, caller, c, s.Reviewer})
	}
}

// may asks for the visitor's right before something is read from the cache.
func (v *visitor) may(ctx context.Context, verb, resource string) error {
	return v.reviewer.Authorize(ctx, v.Caller, authorizationv1.ResourceAttributes{
		Namespace: v.Workspace, Verb: verb, Group: platenv1alpha1.GroupVersion.Group, Resource: resource,
	})
}

// fragment tells whether htmx has asked, which takes a part of a page.
func fragment(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }

// redirect goes to a path of the page, by htmx too.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, path string) {
	if fragment(r) {
		w.Header().Set("HX-Redirect", path)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
}

// landing is the page to which a visitor returns after signing in.
func landing(r *http.Request) string {
	if fragment(r) {
		if current, err := url.Parse(r.Header.Get("HX-Current-URL")); err == nil {
			return inside(current.RequestURI())
		}
	}
	// The code in the callback's address is no part of any link.
	if r.Method == http.MethodGet && r.URL.Path != callbackPath {
		return inside(r.URL.RequestURI())
	}
	return "/ui/storage"
}

// inside returns a path of this page; anything else becomes the first page, so that no link leads a visitor elsewhere.
func inside(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/ui/") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/ui/storage"
	}
	return u.RequestURI()
}
