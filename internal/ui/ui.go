// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ui is the web page of the shim: Storage, Renders and Templates of a workspace. It has no rights of its own: the visitor's
// token must allow everything that it shows or does.
package ui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/contenturl"
	"github.com/platen-dev/platen/internal/jobwatch"
	"github.com/platen-dev/platen/internal/shares"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
)

const (
	// maxForm bounds the body of a request, in bytes.
	maxForm = 1 << 20
	// requestTimeout bounds one request, except for files.
	requestTimeout = 30 * time.Second
	// fileTimeout bounds the request for a file.
	fileTimeout = 5 * time.Minute
	// maxRequests bounds the requests in progress, including those for files. Of them, maxVisitor bounds those of a visitor, maxStrangers those of all who
	// have not signed in, and maxAddress those of one address of theirs: whoever sends slowly closes the page to nobody else.
	maxRequests, maxVisitor, maxStrangers, maxAddress = 512, 128, 256, 64
)

// Options of a Server. All are required unless they say otherwise.
type Options struct {
	// Reviewer authenticates and authorizes visitors.
	Reviewer *callers.Reviewer
	// Cache of RenderJobs and RenderTemplates. The page checks the visitor's right before it reads from the cache.
	Cache client.Reader
	// Waiters wait for previews.
	Waiters *jobwatch.Waiters
	// Key seals cookies. It has 32 bytes and is the same in every replica.
	Key []byte
	// URL is the page's origin as browsers see it, such as https://platen.example.com. It must be set behind a proxy that terminates
	// TLS, so that cookies are sent over TLS only. Default: http and the host that a request names.
	URL string
	// ContentURL is where the page reaches the content server. The URLs that users get may begin otherwise.
	ContentURL string
	// ContentTransport sends requests to the content server. Default http.DefaultTransport.
	ContentTransport http.RoundTripper
	// Dropbox is the configuration for accounts, without credentials.
	Dropbox dropbox.Config
	// AuthorizeURL is the host of Dropbox's consent page. Default: Dropbox's own.
	AuthorizeURL string
	// AppKey is the Dropbox app for visitors who name no other. Optional.
	AppKey string
	// TTL is how long a finished job of the page and its files are kept.
	TTL   time.Duration
	Clock clock.PassiveClock
	Log   logr.Logger
}

// Server serves the page.
type Server struct {
	Options
	// origin is the parsed URL; nil if it is not configured.
	origin *url.URL
	jar    jar
	views  views
	files  *http.Client
	// busy counts the requests in progress.
	busy shares.Shares
	// pace bounds the previews of each visitor.
	pace *pace
	// registry keeps the access tokens of accounts until their Secrets change. The Secrets are read with each visitor's own rights.
	registry *storage.Registry
}

// New returns a Server.
func New(options Options) (*Server, error) {
	own, err := parseOrigin(options.URL)
	if err != nil && options.URL != "" {
		return nil, fmt.Errorf("the URL of the page: %w", err)
	}
	if err := contenturl.CheckBase(options.ContentURL); err != nil {
		return nil, fmt.Errorf("the URL of the content server: %w", err)
	}
	jar, err := newJar(options.Key, own != nil && own.Scheme == "https")
	if err != nil {
		return nil, err
	}
	views, err := newViews(options.Clock)
	if err != nil {
		return nil, err
	}
	return &Server{Options: options, origin: own, jar: jar, views: views, registry: storage.NewRegistry(), pace: newPace(options.Clock), files: &http.Client{
		Transport:     options.ContentTransport,
		Timeout:       fileTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// parseOrigin reads a URL with nothing but a scheme and a host.
func parseOrigin(text string) (*url.URL, error) {
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
	mux.HandleFunc("GET /ui/sign-in", s.handle(s.signInPage))
	mux.HandleFunc("POST /ui/sign-in", s.handle(s.signIn))
	mux.HandleFunc("POST /ui/sign-out", s.handle(s.signOut))
	mux.HandleFunc("GET /ui/workspace", s.handleVisitor(s.workspacePage))
	mux.HandleFunc("POST /ui/workspace", s.handleVisitor(s.chooseWorkspace))
	mux.HandleFunc("GET /ui/storage", s.handleVisitor(s.storage))
	mux.HandleFunc("POST /ui/connect", s.handleVisitor(s.connect))
	mux.HandleFunc("GET "+callbackPath, s.handle(s.callback))
	mux.HandleFunc("GET /ui/storage/{connection}", s.handleConnection(s.connection))
	mux.HandleFunc("POST /ui/storage/{connection}/test", s.handleConnection(s.test))
	mux.HandleFunc("GET /ui/storage/{connection}/folders", s.handleConnection(s.folders))
	mux.HandleFunc("POST /ui/storage/{connection}/folders", s.handleConnection(s.newFolder))
	mux.HandleFunc("POST /ui/storage/{connection}/folder", s.handleConnection(s.chooseFolder))
	mux.HandleFunc("GET /ui/storage/{connection}/disconnect", s.handleConnection(s.disconnectPage))
	mux.HandleFunc("POST /ui/storage/{connection}/disconnect", s.handleConnection(s.disconnect))
	mux.HandleFunc("GET /ui/renders", s.handleVisitor(s.gallery))
	mux.HandleFunc("GET /ui/renders/{job}", s.handleVisitor(s.job))
	mux.HandleFunc("POST /ui/renders/{job}/retry", s.handleVisitor(s.retry))
	mux.HandleFunc("GET /ui/renders/{job}/files/{page}", s.within(fileTimeout, s.signedIn(s.file)))
	mux.HandleFunc("GET /ui/templates", s.handleVisitor(s.templates))
	mux.HandleFunc("GET /ui/templates/{template}", s.handleVisitor(s.template))
	mux.HandleFunc("POST /ui/templates/{template}/renders", s.handleVisitor(s.render))
	mux.HandleFunc("POST /ui/templates/{template}/preview", s.handleVisitor(s.preview))
	mux.HandleFunc("POST /ui/templates/{template}/code", s.handleVisitor(s.code))
	mux.HandleFunc("GET /ui/templates/{template}/history", s.handleVisitor(s.history))
	for path, holder := range formHolders {
		mux.HandleFunc("GET "+path, s.handle(formOnly(holder)))
	}
	mux.HandleFunc("GET /ui/{$}", s.handleVisitor(s.first))
	mux.HandleFunc("GET /ui/", s.handle(func(http.ResponseWriter, *http.Request) error {
		return &problem{Status: http.StatusNotFound, Title: "There is no such page", Text: "Choose one of the pages above."}
	}))
	// Only the page itself may change something; see https://pkg.go.dev/net/http#CrossOriginProtection.
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(s.handle(func(http.ResponseWriter, *http.Request) error {
		return &problem{Status: http.StatusForbidden, Title: "This request came from another site", Text: "Nothing was changed. Open the page itself and try again."}
	}))
	return s.secure(protection.Handler(mux))
}

// formHolders has the page with the form for each address that takes nothing else. Both name objects in braces.
var formHolders = map[string]string{
	"/ui/sign-out":                     "/ui/",
	"/ui/connect":                      "/ui/storage",
	"/ui/storage/{connection}/test":    "/ui/storage",
	"/ui/storage/{connection}/folder":  "/ui/storage/{connection}/folders",
	"/ui/renders/{job}/retry":          "/ui/renders/{job}",
	"/ui/templates/{template}/renders": "/ui/templates/{template}",
	"/ui/templates/{template}/preview": "/ui/templates/{template}",
	"/ui/templates/{template}/code":    "/ui/templates/{template}",
}

// formOnly answers who opens the address of a form, such as with an old bookmark, with a link to the page that holds it.
func formOnly(holder string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		link := holder
		for _, name := range []string{"connection", "job", "template"} {
			link = strings.ReplaceAll(link, "{"+name+"}", url.PathEscape(r.PathValue(name)))
		}
		w.Header().Set("Allow", http.MethodPost)
		return &problem{
			Status: http.StatusMethodNotAllowed, Title: "This is the address of a form", Text: "It takes only what the form sends. Nothing was changed.",
			Link: link, LinkText: "The page with the form",
		}
	}
}

// secure adds the security headers to every answer, and bounds the requests and their bodies.
func (s *Server) secure(next http.Handler) http.Handler {
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		// With no-referrer, browsers would send Origin: null with the page's own forms.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		leave, ok := s.enter(r)
		defer leave()
		if !ok {
			h.Set("Retry-After", "1")
			http.Error(w, "The page has too many visitors at the moment. Try again.", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// enter counts a request until the call of leave. It reports whether the page takes it.
func (s *Server) enter(r *http.Request) (leave func(), ok bool) {
	type share struct {
		of   string
		most int
	}
	wanted := []share{{"all", maxRequests}}
	if found := s.session(r); found != nil {
		wanted = append(wanted, share{"visitor " + found.Token, maxVisitor})
	} else {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		wanted = append(wanted, share{"strangers", maxStrangers}, share{"address " + host, maxAddress})
	}
	entered := []string{}
	leave = func() {
		for _, of := range entered {
			s.busy.Leave(of)
		}
	}
	for _, w := range wanted {
		if !s.busy.Enter(w.of, w.most) {
			return leave, false
		}
		entered = append(entered, w.of)
	}
	return leave, true
}

// problem is an error as the visitor sees it.
type problem struct {
	// Status is the HTTP status.
	Status int
	// Title says what happened in a few words, Text where it happened and what to do.
	Title, Text string
	// Link is the page to go to next, and LinkText its text; empty for none.
	Link, LinkText string
	// NewTab opens Link in a new tab, so that what is typed into this one stays.
	NewTab bool
	// signOut ends the session.
	signOut bool
}

// Error implements error.
func (p *problem) Error() string { return p.Title }

// goneView is the content of a part of a page that follows what is not there any more. Part is the id of the part.
type goneView struct {
	Problem *problem
	Part    string
}

// handle turns the error of a handler into a page, or into a notice for htmx.
func (s *Server) handle(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return s.within(requestTimeout, handle)
}

func (s *Server) within(timeout time.Duration, handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		err := handle(w, r.WithContext(ctx))
		if err == nil {
			return
		}
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // nobody reads an answer; returning would make it an empty 200
		}
		p := s.explain(r, err)
		if p.signOut {
			s.jar.drop(w, sessionCookie)
			s.askToSignIn(w, r, "/ui/sign-in?why=ended&next="+url.QueryEscape(returnPath(r)))
			return
		}
		if isHTMX(r) && r.Method == http.MethodGet && p.Status == http.StatusNotFound {
			// What a part of the page follows is gone: the part says so, and asks no more.
			s.views.fragment(w, p.Status, "gone", goneView{Problem: p, Part: r.Header.Get("HX-Target")})
			return
		}
		if isHTMX(r) {
			w.Header().Set("HX-Retarget", "#notices")
			w.Header().Set("HX-Reswap", "innerHTML")
			s.views.fragment(w, p.Status, "problem", p)
			return
		}
		s.views.page(w, p.Status, "problem", page{Title: p.Title, Session: s.session(r), Body: p})
	}
}

// explain returns the problem for an error.
func (s *Server) explain(r *http.Request, err error) *problem {
	known := (*problem)(nil)
	caller := (*callers.StatusError)(nil)
	api := apierrors.APIStatus(nil)
	large := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &caller) && caller.Status == http.StatusForbidden:
		return &problem{
			Status: caller.Status, Title: "You may not see this workspace",
			Text: sentence(caller.Message) + " Ask an administrator of the namespace for the role platen-view or platen-edit." + mistyped(r, err),
			Link: "/ui/workspace", LinkText: "Choose another workspace",
		}
	case errors.As(err, &caller) && caller.Status != http.StatusUnauthorized:
		return &problem{Status: caller.Status, Title: "This was refused", Text: sentence(caller.Message)}
	case caller != nil, apierrors.IsUnauthorized(err):
		return &problem{Status: http.StatusUnauthorized, signOut: true}
	case errors.As(err, &large):
		return &problem{Status: http.StatusRequestEntityTooLarge, Title: "The form is too large", Text: fmt.Sprintf("A form with its pictures may have %d MiB. Give large pictures by their URL.", maxForm>>20)}
	case apierrors.IsForbidden(err):
		return &problem{
			Status: http.StatusForbidden, Title: "You may not do this in this workspace",
			Text: sentence(message(err)) + " Ask an administrator of the namespace for the role " + roleFor(r, err) + "." + mistyped(r, err),
			Link: "/ui/workspace", LinkText: "Choose another workspace",
		}
	case apierrors.IsNotFound(err):
		return &problem{Status: http.StatusNotFound, Title: "It is not there any more", Text: sentence(message(err))}
	case strings.Contains(err.Error(), "invalid resource name"): // client-go asks for no name with a slash or the like
		return &problem{Status: http.StatusNotFound, Title: "There is no such object", Text: "No object has this name. Nothing was changed."}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsConflict(err), apierrors.IsRequestEntityTooLargeError(err):
		return &problem{Status: http.StatusUnprocessableEntity, Title: "The cluster refused this", Text: sentence(message(err))}
	case apierrors.IsTooManyRequests(err):
		return &problem{Status: http.StatusTooManyRequests, Title: "The cluster is busy", Text: "Wait a moment and try again."}
	}
	if !errors.As(err, &api) {
		s.Log.Error(err, "Answering a request of the page", "path", r.URL.Path)
	}
	return &problem{Status: http.StatusBadGateway, Title: "The cluster did not answer", Text: "Something may have changed. Wait a moment, look, and try again."}
}

// roleFor returns the role that has the right which a request lacked. Platen's own roles have none on Secrets.
func roleFor(r *http.Request, err error) string {
	api := apierrors.APIStatus(nil)
	switch {
	case errors.As(err, &api) && api.Status().Details != nil && api.Status().Details.Kind == secrets:
		return "edit"
	case r.Method == http.MethodGet:
		return "platen-view or platen-edit"
	default:
		return "platen-edit"
	}
}

// awayError is an error in a workspace that somebody has chosen: it is not the namespace of the visitor's service account.
type awayError struct{ error }

func (e awayError) Unwrap() error { return e.error }

// mistyped ends the advice to a visitor who may not see a workspace. The API server does not tell a namespace that is missing from one without rights.
func mistyped(r *http.Request, err error) string {
	if !errors.As(err, new(awayError)) || r.Method != http.MethodGet || roleFor(r, err) == "edit" {
		return ""
	}
	return " If the name of the workspace is mistyped, choose another one."
}

// message returns the API server's message.
func message(err error) string {
	if api := apierrors.APIStatus(nil); errors.As(err, &api) {
		return api.Status().Message
	}
	return err.Error()
}

// sentence ends a text with a full stop.
func sentence(text string) string {
	if text == "" || strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}

// visitor is a person who has signed in.
type visitor struct {
	*session
	*callers.Caller
	// Client acts with the visitor's rights.
	client.Client
	reviewer *callers.Reviewer
}

// handleVisitor handles requests of visitors who have signed in.
func (s *Server) handleVisitor(handle func(http.ResponseWriter, *http.Request, *visitor) error) http.HandlerFunc {
	return s.handle(s.signedIn(handle))
}

// signedIn passes the visitor on, or sends a person who has not signed in to the sign-in page.
func (s *Server) signedIn(handle func(http.ResponseWriter, *http.Request, *visitor) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		found := s.session(r)
		if found == nil {
			s.askToSignIn(w, r, "/ui/sign-in?"+whyAsked(r)+"next="+url.QueryEscape(returnPath(r)))
			return nil
		}
		if wanted := addressed(r); wanted != "" && wanted != found.Workspace {
			s.views.page(w, http.StatusConflict, "elsewhere", page{Title: "A page of another workspace", Session: found, Body: elsewhereView{wanted, localPath(r.URL.RequestURI())}})
			return nil
		}
		shown, err := shownBy(r)
		if err != nil {
			return err
		}
		if shown != "" && shown != found.Workspace && r.URL.Path != "/ui/workspace" {
			return &problem{
				Status: http.StatusConflict, Title: fmt.Sprintf("This page shows the workspace %.63s, but you have opened %s since", shown, found.Workspace),
				Text: fmt.Sprintf("Nothing was done. To go on here, open %.63s again in a new tab: this page stays as it is. To see %s here, load the page anew.", shown, found.Workspace),
				Link: "/ui/?" + url.Values{"workspace": {shown}}.Encode(), LinkText: fmt.Sprintf("Open %.63s again", shown), NewTab: true,
			}
		}
		caller, err := s.Reviewer.Authenticate(r.Context(), found.Token)
		if err != nil {
			return err
		}
		c, err := caller.Client()
		if err != nil {
			return err
		}
		err = handle(w, r, &visitor{found, caller, c, s.Reviewer})
		if err != nil && found.Workspace != caller.Home() {
			return awayError{err}
		}
		return err
	}
}

// shownBy returns the workspace that the page shows which made a request; empty if it does not say. Its script adds that to every form.
func shownBy(r *http.Request) (string, error) {
	if shown := r.Header.Get("X-Workspace"); shown != "" || r.Method != http.MethodPost || strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		return shown, nil
	}
	if err := r.ParseForm(); err != nil { // whoever parses it next gets no error
		return "", badForm(err)
	}
	return r.PostForm.Get("shown"), nil
}

// handleConnection handles a visitor's request about the StorageConnection in the path.
func (s *Server) handleConnection(handle func(http.ResponseWriter, *http.Request, *visitor, *platenv1alpha1.StorageConnection) error) http.HandlerFunc {
	return s.handleVisitor(func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		c, err := v.findConnection(r.Context(), r.PathValue("connection"))
		if err != nil {
			return err
		}
		return handle(w, r, v, c)
	})
}

// connections is a resource that the page asks rights for, and secrets is the only one outside of Platen's API group.
const connections, secrets = "storageconnections", "secrets"

// authorize checks a right of the visitor, before anything is read from the cache.
func (v *visitor) authorize(ctx context.Context, verb, resource string) error {
	group := platenv1alpha1.GroupVersion.Group
	if resource == secrets {
		group = corev1.GroupName
	}
	return v.reviewer.Authorize(ctx, v.Caller, authorizationv1.ResourceAttributes{Namespace: v.Workspace, Verb: verb, Group: group, Resource: resource})
}

// isHTMX tells whether htmx made the request: it wants a part of a page.
func isHTMX(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }

// redirect sends the browser to a path of the page.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, path string) {
	if isHTMX(r) {
		w.Header().Set("HX-Redirect", path)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, path, http.StatusSeeOther) //nolint:gosec // the callers give paths that begin with /ui/
}

// askToSignIn sends the browser to the sign-in page at a path. A page with the form of a template stays, with what was typed, and links there.
func (s *Server) askToSignIn(w http.ResponseWriter, r *http.Request, path string) {
	if !staysSignedOut(r) {
		s.redirect(w, r, path)
		return
	}
	w.Header().Set("HX-Retarget", "#notices")
	w.Header().Set("HX-Reswap", "innerHTML")
	s.views.fragment(w, http.StatusUnauthorized, "signed-out", path)
}

// returnPath is the page to which a visitor returns after signing in: the one that made the request, or that a GET asks for.
func returnPath(r *http.Request) string {
	address := r.URL
	if from := cmp.Or(r.Header.Get("HX-Current-URL"), r.Referer()); isHTMX(r) || r.Method != http.MethodGet {
		var err error
		if address, err = url.Parse(from); err != nil {
			return firstPath
		}
	}
	// Never link to the callback: its address holds a code.
	if address.Path == callbackPath {
		return firstPath
	}
	return localPath(address.RequestURI())
}

// whyAsked begins the query of the sign-in page with why a page's request asks to sign in; empty if somebody only opens an address.
func whyAsked(r *http.Request) string {
	switch {
	case r.Method != http.MethodGet && !staysSignedOut(r):
		return "why=undone&"
	case isHTMX(r):
		return "why=over&"
	default:
		return ""
	}
}

// staysSignedOut tells whether the page that made a request stays when the session has ended, because it has the form of a template.
func staysSignedOut(r *http.Request) bool {
	return isHTMX(r) && strings.HasPrefix(r.URL.Path, "/ui/templates/")
}

// addressed returns the workspace that the address of a page names, as the page's script writes it; empty if it names none.
func addressed(r *http.Request) string {
	if r.Method != http.MethodGet || isHTMX(r) || r.URL.Path == "/ui/workspace" {
		return ""
	}
	return workspaceOf(r.URL.Query())
}

// workspaceOf returns the workspace in the query of an address; empty if it has none, or no name of a namespace.
func workspaceOf(query url.Values) string {
	if name := query.Get("workspace"); namespaceName.MatchString(name) {
		return name
	}
	return ""
}

// elsewhereView is the content of the page that asks before it opens the workspace of an address.
type elsewhereView struct {
	// Wanted is the workspace, and Next the address.
	Wanted, Next string
}

// firstPath is the page that a visitor sees when nothing names another.
const firstPath = "/ui/storage"

// first opens the first section that the visitor may see.
func (s *Server) first(w http.ResponseWriter, r *http.Request, v *visitor) error {
	for _, section := range []struct{ resource, path string }{{"storageconnections", firstPath}, {"rendertemplates", "/ui/templates"}, {"renderjobs", "/ui/renders"}} {
		ok, err := v.can(r.Context(), section.resource, "list")
		if err != nil {
			return err
		}
		if ok {
			http.Redirect(w, r, section.path, http.StatusSeeOther)
			return nil
		}
	}
	http.Redirect(w, r, firstPath, http.StatusSeeOther)
	return nil
}

// localPath returns path if it belongs to this page, and the first page otherwise, so that no link leads to another site.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/ui/") || strings.ContainsAny(path, "\\\r\n\t") {
		return firstPath
	}
	return u.RequestURI()
}
