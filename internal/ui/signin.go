// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/internal/callers"
)

// maxNamespaces bounds the workspaces that are offered; a visitor can type others.
const maxNamespaces = 500

// namespaceName matches an RFC 1123 label.
var namespaceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// notNamespace says what is wrong with a text that namespaceName does not match.
const notNamespace = "A workspace is a namespace: at most 63 lower-case letters, digits and dashes, with a letter or a digit first and last."

// signInForm is the content of the sign-in page. It never has a token.
type signInForm struct {
	// Next is the page to go to after signing in, Why says why the visitor has to sign in.
	Next, Workspace, Why, Error string
	// Ask tells whether the form asks for the workspace, because the token does not name one.
	Ask bool
}

func (s *Server) signInPage(w http.ResponseWriter, r *http.Request) error {
	form := signInForm{Next: localPath(cmp.Or(r.URL.Query().Get("next"), "/ui/"))}
	if next, err := url.Parse(form.Next); err == nil {
		form.Workspace = workspaceOf(next.Query())
	}
	switch r.URL.Query().Get("why") {
	case "ended":
		form.Why = "Your session has ended, because the cluster no longer accepts the token. Sign in with a new one."
	case "over":
		form.Why = "Your session has ended. Sign in again to go on."
	case "undone":
		form.Why = "Your session had ended, and nothing was done. Sign in, and do it again."
	case "out":
		form.Why = "You are signed out."
	}
	s.views.page(w, http.StatusOK, "sign-in", page{Title: "Sign in", Body: form})
	return nil
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	token := pasted(r.PostForm.Get("token"))
	form := signInForm{Next: localPath(r.PostForm.Get("next")), Workspace: strings.TrimSpace(r.PostForm.Get("workspace"))}
	reject := func(status int, format string, args ...any) error {
		form.Error = fmt.Sprintf(format, args...)
		s.views.page(w, status, "sign-in", page{Title: "Sign in", Body: form})
		return nil
	}
	switch {
	case token == "":
		return reject(http.StatusUnprocessableEntity, "Paste a token.")
	case len(token) > maxToken:
		return reject(http.StatusUnprocessableEntity, "This token has more than %d characters, which is too long for a browser. Use the token of a service account: kubectl create token NAME.", maxToken)
	}
	caller, err := s.Reviewer.Authenticate(r.Context(), token)
	if rejected := (*callers.StatusError)(nil); errors.As(err, &rejected) {
		return reject(http.StatusUnauthorized, "The cluster does not accept this token. It may have expired or be incomplete. Make a new one and paste all of it.")
	}
	if err != nil {
		return err
	}
	workspace := cmp.Or(form.Workspace, caller.Home())
	if workspace == "" {
		form.Ask = true
		return reject(http.StatusUnprocessableEntity, "This token does not belong to a service account, so the page does not know your workspace. Name it below, and paste the token again.")
	}
	if !namespaceName.MatchString(workspace) {
		form.Ask = true
		return reject(http.StatusUnprocessableEntity, notNamespace)
	}
	err = s.jar.put(w, sessionCookie, session{ID: rand.Text(), Token: token, Workspace: workspace, Expires: s.Clock.Now().Add(sessionLifetime)})
	if err != nil {
		return err
	}
	http.Redirect(w, r, form.Next, http.StatusSeeOther)
	return nil
}

// pasted returns a token without what people copy with it: the spaces around it, and Bearer from a header.
func pasted(text string) string {
	if kind, token, ok := strings.Cut(strings.TrimSpace(text), " "); ok && strings.EqualFold(kind, "Bearer") {
		return strings.TrimSpace(token)
	}
	return strings.TrimSpace(text)
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	for _, name := range []string{sessionCookie, connectCookie, noticeCookie} {
		s.jar.drop(w, name)
	}
	s.redirect(w, r, "/ui/sign-in?why=out&next="+url.QueryEscape("/ui/"))
	return nil
}

// workspaceForm is the content of the page on which a visitor chooses a workspace.
type workspaceForm struct {
	// Namespaces to choose from; none if the visitor may not list them.
	Namespaces []string
	// Home is the namespace of the visitor's service account; empty for any other visitor.
	Home, Value, Error string
}

func (s *Server) workspacePage(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return s.askWorkspace(w, r, v, http.StatusOK, workspaceForm{Value: v.Workspace})
}

func (s *Server) askWorkspace(w http.ResponseWriter, r *http.Request, v *visitor, status int, form workspaceForm) error {
	form.Home = v.Home()
	list := &corev1.NamespaceList{}
	if err := v.List(r.Context(), list, client.Limit(maxNamespaces)); err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	for i := range list.Items {
		form.Namespaces = append(form.Namespaces, list.Items[i].Name)
	}
	s.views.page(w, status, "workspace", page{Title: "Workspace", Session: v.session, Body: form})
	return nil
}

func (s *Server) chooseWorkspace(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	chosen := *v.session
	chosen.Workspace = strings.TrimSpace(r.PostForm.Get("workspace"))
	if !namespaceName.MatchString(chosen.Workspace) {
		return s.askWorkspace(w, r, v, http.StatusUnprocessableEntity, workspaceForm{
			Value: chosen.Workspace, Error: notNamespace,
		})
	}
	if err := s.jar.put(w, sessionCookie, chosen); err != nil {
		return err
	}
	s.redirect(w, r, localPath(cmp.Or(r.PostForm.Get("next"), "/ui/")))
	return nil
}

// badForm returns the problem for a form that cannot be read.
func badForm(err error) error {
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return err
	}
	return &problem{Status: http.StatusBadRequest, Title: "The form could not be read", Text: "Go back and send it again."}
}
