// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"cmp"
	"net/http"
	"strings"
)

// Profile is the answer of GET /v1/me and GET /v1/me/user_id.
type Profile struct {
	Data User `json:"data" required:"true"`
}

// User is the user of a token.
type User struct {
	UserID     string      `json:"user_id" required:"true" description:"The user's UID, else the user's name."`
	Email      string      `json:"email" required:"true" description:"The user's name if it is an address, else empty."`
	Name       string      `json:"name" required:"true"`
	Workspaces []Workspace `json:"workspaces" required:"true" nullable:"false" description:"The workspace of the request."`
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
func (s *Server) me(w http.ResponseWriter, _ *http.Request, c caller) error {
	user := User{
		UserID: cmp.Or(c.User.UID, c.User.Username), Name: c.User.Username, Workspaces: []Workspace{},
	}
	if c.namespace != "" {
		user.Workspaces = append(user.Workspaces, workspaceOf(c))
	}
	if strings.Contains(user.Name, "@") {
		user.Email = user.Name
	}
	writeJSON(w, http.StatusOK, Profile{user})
	return nil
}

// workspace answers GET /v1/profile/workspace.
func (s *Server) workspace(w http.ResponseWriter, _ *http.Request, c caller) error {
	writeJSON(w, http.StatusOK, WorkspaceAnswer{workspaceOf(c)})
	return nil
}

func workspaceOf(c caller) Workspace { return Workspace{c.namespace, c.namespace, c.namespace} }
