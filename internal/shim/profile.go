// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/platen-dev/platen/internal/callers"
)

// Profile is the answer of GET /v1/me and GET /v1/me/user_id.
type Profile struct {
	Data User `json:"data" required:"true"`
	// Clients look for the user in data, or here.
	ID    string `json:"id" required:"true" description:"As data.user_id."`
	Name  string `json:"name" required:"true" description:"As data.name."`
	Email string `json:"email" required:"true" description:"As data.email."`
}

// User is the user of a token.
type User struct {
	UserID     string      `json:"user_id" required:"true" description:"The user's UID, else the user's name."`
	Email      string      `json:"email" required:"true" description:"The user's name if it is an address, else empty."`
	Name       string      `json:"name" required:"true"`
	Workspaces []Workspace `json:"workspaces" required:"true" nullable:"false" description:"The workspace of the request, and then the service account's own."`
}

// WorkspaceAnswer is the answer of GET /v1/profile/workspace.
type WorkspaceAnswer struct {
	Data Workspace `json:"data" required:"true"`
}

// Workspace is a namespace.
type Workspace struct {
	ID   string `json:"id" required:"true" description:"The namespace's name."`
	Name string `json:"name" required:"true" description:"The same as id."`
	Slug string `json:"slug" required:"true" description:"The same as id."`
}

// me answers GET /v1/me and GET /v1/me/user_id.
func (s *Server) me(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := s.enter(r.Context(), c); err != nil {
		return err
	}
	user := User{
		UserID: cmp.Or(c.User.UID, c.User.Username), Name: c.User.Username, Workspaces: []Workspace{},
	}
	for _, namespace := range []string{c.namespace, c.Home()} {
		if workspace := workspaceOf(namespace); namespace != "" && !slices.Contains(user.Workspaces, workspace) {
			user.Workspaces = append(user.Workspaces, workspace)
		}
	}
	if strings.Contains(user.Name, "@") {
		user.Email = user.Name
	}
	writeJSON(w, http.StatusOK, Profile{user, user.UserID, user.Name, user.Email})
	return nil
}

// workspace answers GET /v1/profile/workspace.
func (s *Server) workspace(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := s.enter(r.Context(), c); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, WorkspaceAnswer{workspaceOf(c.namespace)})
	return nil
}

// enter asks whether the workspace is the caller's own, or one in which the caller may do something.
func (s *Server) enter(ctx context.Context, c caller) error {
	if c.namespace == c.Home() {
		return nil
	}
	forbidden := (*callers.StatusError)(nil)
	err := s.allow(ctx, c, "create", "renderjobs")
	for _, other := range [][2]string{{"get", "renderjobs"}, {"list", "renderjobs"}, {"get", "rendertemplates"}, {"list", "rendertemplates"}} {
		if errors.As(err, &forbidden) && s.allow(ctx, c, other[0], other[1]) == nil {
			return nil
		}
	}
	return err
}

func workspaceOf(namespace string) Workspace { return Workspace{namespace, namespace, namespace} }
