// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
)

// disconnectPage asks whether the visitor means it.
func (s *Server) disconnectPage(w http.ResponseWriter, r *http.Request, v *visitor) error {
	c, err := v.findConnection(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	s.views.page(w, http.StatusOK, "disconnect", page{Title: "Disconnect " + c.Name, Section: "storage", Session: v.session, Body: viewConnection(c)})
	return nil
}

// disconnected tells what became of a connection that was ended.
type disconnected struct {
	Name, Secret string
	// Revoked says that Dropbox has ended the access, SecretKept that the Secret was not made here.
	Revoked, SecretKept bool
}

// disconnect ends the access at Dropbox and deletes the connection, and the Secret if it was made by connecting.
func (s *Server) disconnect(w http.ResponseWriter, r *http.Request, v *visitor) error {
	c, err := v.findConnection(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	// Asked before the access is ended, which nothing brings back.
	if err := v.may(r.Context(), "delete", "storageconnections"); err != nil {
		return err
	}
	result := disconnected{Name: c.Name}
	a, err := s.open(r.Context(), v, c)
	if err == nil {
		err = a.Revoke(r.Context())
	}
	// An access that has ended before cannot be ended; whatever else hinders it must not keep a connection alive.
	trouble := (*storage.Error)(nil)
	result.Revoked = err == nil || errors.As(err, &trouble) && trouble.Reason == storage.ReasonTokenExpired
	if err := v.Delete(r.Context(), c, client.Preconditions{UID: &c.UID}); client.IgnoreNotFound(err) != nil {
		return err
	}
	s.registry.Forget(string(c.UID))
	if c.Spec.Dropbox != nil {
		result.Secret = c.Spec.Dropbox.CredentialsSecretRef.Name
		gone, err := credentials.Writer{Client: v.Client}.DeleteOurs(r.Context(), v.Workspace, result.Secret)
		if err != nil && !apierrors.IsForbidden(err) {
			return err
		}
		result.SecretKept = !gone
	}
	s.views.page(w, http.StatusOK, "disconnected", page{Title: "Disconnected", Section: "storage", Session: v.session, Body: result})
	return nil
}
