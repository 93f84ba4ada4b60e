// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/accounts"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
)

// disconnectView is the page that asks for confirmation.
type disconnectView struct {
	connectionView
	// Others are the other connections to the account, through which Platen keeps its access.
	Others []string
	// DeletesSecret tells whether the Secret is deleted with the connection.
	DeletesSecret bool
	// FromManifest tells whether the connection comes back with its manifest.
	FromManifest bool
}

// disconnectPage asks the visitor for confirmation.
func (s *Server) disconnectPage(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection) error {
	view := disconnectView{connectionView: viewConnection(c), FromManifest: accounts.IsFromManifest(c)}
	if err := v.mayDisconnect(r.Context(), view.connectionView); err != nil {
		return err
	}
	if account := c.Status.Account; account != nil {
		others, err := sharing(r.Context(), v.Client, client.ObjectKeyFromObject(c), account.ID, true)
		if err != nil && !apierrors.IsForbidden(err) {
			return err
		}
		view.Others = others
	}
	if !view.Bucket {
		ours, err := credentials.Writer{Client: v.Client}.IsOurs(r.Context(), v.Workspace, view.Secret)
		if err != nil {
			return err
		}
		view.DeletesSecret = ours
	}
	s.views.page(w, http.StatusOK, "disconnect", page{Title: "Disconnect " + c.Name, Section: "storage", Session: v.session, Body: view})
	return nil
}

// mayDisconnect returns the problem of a visitor who lacks a right to disconnect: to delete the connection, and to read and delete the Secret of an account.
func (v *visitor) mayDisconnect(ctx context.Context, view connectionView) error {
	type right struct{ resource, verb, role string }
	needed := []right{{connections, "delete", "platen-edit"}}
	if !view.Bucket {
		needed = []right{{connections, "delete", "edit"}, {secrets, "get", "edit"}, {secrets, "delete", "edit"}}
	}
	for _, n := range needed {
		err := v.authorize(ctx, n.verb, n.resource)
		if forbidden := (*callers.StatusError)(nil); errors.As(err, &forbidden) && forbidden.Status == http.StatusForbidden {
			return &problem{
				Status: http.StatusForbidden, Title: "You may not disconnect " + view.Name,
				Text: sentence(forbidden.Message) + " Nothing was changed. Ask an administrator of the namespace for the role " + n.role + ".", Link: "/ui/storage", LinkText: "Storage",
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// disconnected is the result of a disconnect.
type disconnected struct {
	Name, Secret string
	// Bucket tells whether the connection led to a bucket: nobody but its owner can end the access.
	Bucket bool
	// NotRevoked says why the access at Dropbox may go on; empty if it has ended.
	NotRevoked string
	// SecretKept says why the Secret stays; empty if it is gone.
	SecretKept string
}

// disconnect ends the access at Dropbox and deletes the connection. It deletes the Secret if connecting created it.
func (s *Server) disconnect(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection) error {
	view := viewConnection(c)
	// Check the rights first, because nobody can undo the end of the access.
	if err := v.mayDisconnect(r.Context(), view); err != nil {
		return err
	}
	result := disconnected{Name: view.Name, Secret: view.Secret, Bucket: view.Bucket}
	if !view.Bucket {
		account, err := s.open(r.Context(), v, c)
		if failure := (*storage.Error)(nil); errors.As(err, &failure) && failure.Reason == storage.ReasonSecretUnreadable {
			return err // nothing is known about the Secret, and nothing was changed
		}
		opened := err == nil
		if opened {
			err = account.Revoke(r.Context())
		}
		result.NotRevoked = notRevoked(opened, err)
	}
	if err := v.Delete(r.Context(), c, client.Preconditions{UID: &c.UID}); client.IgnoreNotFound(err) != nil {
		return err
	}
	s.registry.Forget(client.ObjectKeyFromObject(c).String())
	if !view.Bucket {
		gone, err := credentials.Writer{Client: v.Client}.DeleteOurs(r.Context(), v.Workspace, result.Secret)
		switch {
		case apierrors.IsForbidden(err):
			result.SecretKept = sentence(message(err))
		case err != nil:
			return err
		case !gone:
			result.SecretKept = "Somebody else made it, or a tool keeps it."
		}
	}
	s.views.page(w, http.StatusOK, "disconnected", page{Title: "Disconnected", Section: "storage", Session: v.session, Body: result})
	return nil
}

// notRevoked says why the access at Dropbox may go on; empty if it has ended. opened tells whether the credentials were there, and err is the error of the
// account. No such error stops the deletion.
func notRevoked(opened bool, err error) string {
	failure := (*storage.Error)(nil)
	switch {
	case err == nil, errors.As(err, &failure) && failure.Reason == storage.ReasonTokenExpired: // it may have ended already
		return ""
	case !opened && failure != nil:
		return "Platen could not end the access at Dropbox. " + sentence(failure.Message)
	default:
		return "Dropbox did not confirm the end of the access."
	}
}
