// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
)

// disconnectPage asks the visitor for confirmation.
func (s *Server) disconnectPage(w http.ResponseWriter, _ *http.Request, v *visitor, c *platenv1alpha1.StorageConnection) error {
	s.views.page(w, http.StatusOK, "disconnect", page{Title: "Disconnect " + c.Name, Section: "storage", Session: v.session, Body: viewConnection(c)})
	return nil
}

// disconnected is the result of a disconnect.
type disconnected struct {
	Name, Secret string
	// Bucket tells whether the connection led to a bucket: nobody but its owner can end the access.
	Bucket bool
	// Revoked tells whether Dropbox has ended the access.
	Revoked bool
	// SecretKept tells whether the Secret stays, because a person or another tool created it.
	SecretKept bool
}

// disconnect ends the access at Dropbox and deletes the connection. It deletes the Secret if connecting created it.
func (s *Server) disconnect(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection) error {
	// Check the right first, because nobody can undo the end of the access.
	if err := v.authorize(r.Context(), "delete", "storageconnections"); err != nil {
		return err
	}
	view := viewConnection(c)
	result := disconnected{Name: view.Name, Secret: view.Secret, Bucket: view.Bucket}
	if !view.Bucket {
		account, err := s.open(r.Context(), v, c)
		if err == nil {
			err = account.Revoke(r.Context())
		}
		// The access may have ended already. Other errors of Dropbox must not stop the deletion either.
		failure := (*storage.Error)(nil)
		result.Revoked = err == nil || errors.As(err, &failure) && failure.Reason == storage.ReasonTokenExpired
	}
	if err := v.Delete(r.Context(), c, client.Preconditions{UID: &c.UID}); client.IgnoreNotFound(err) != nil {
		return err
	}
	s.registry.Forget(client.ObjectKeyFromObject(c).String())
	if !view.Bucket {
		gone, err := credentials.Writer{Client: v.Client}.DeleteOurs(r.Context(), v.Workspace, result.Secret)
		if err != nil && !apierrors.IsForbidden(err) {
			return err
		}
		result.SecretKept = !gone
	}
	s.views.page(w, http.StatusOK, "disconnected", page{Title: "Disconnected", Section: "storage", Session: v.session, Body: result})
	return nil
}
