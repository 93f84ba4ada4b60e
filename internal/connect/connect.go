// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package connect opens StorageConnections: it reads their credentials and keeps one client for each of them, so that an
// access token is shared by all uploads of a connection.
package connect

import (
	"context"
	"errors"
	"fmt"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
)

// Connector opens StorageConnections.
type Connector struct {
	// Credentials reads Secrets.
	Credentials credentials.Reader
	// Registry keeps the clients.
	Registry *storage.Registry
	// Dropbox says how Dropbox is reached; its credentials are filled in for each connection.
	Dropbox dropbox.Config
}

// Open returns the client of a connection. A changed spec or Secret gives a new one. The error is a *storage.Error whose
// message a user can act on.
func (c *Connector) Open(ctx context.Context, connection *platenv1alpha1.StorageConnection) (storage.Provider, error) {
	spec := connection.Spec.Dropbox
	secret, fingerprint, err := c.Credentials.Dropbox(ctx, connection.Namespace, spec.CredentialsSecretRef.Name)
	if err != nil {
		if problem := (*credentials.Error)(nil); errors.As(err, &problem) {
			return nil, &storage.Error{Class: storage.Stop, Reason: problem.Reason, Message: problem.Message, Err: err}
		}
		return nil, &storage.Error{Class: storage.Retry, Reason: "SecretUnreadable", Message: "Secret could not be read", Err: err}
	}
	fingerprint = fmt.Sprintf("%s/%s", fingerprint, spec.RootNamespaceID)
	return c.Registry.Get(string(connection.UID), fingerprint, func() (storage.Provider, error) {
		config := c.Dropbox
		config.AppKey, config.AppSecret, config.RefreshToken = secret.AppKey, secret.AppSecret, secret.RefreshToken
		config.RootNamespaceID = spec.RootNamespaceID
		return dropbox.New(config)
	})
}

// Forget drops the client of a connection that is gone.
func (c *Connector) Forget(connection *platenv1alpha1.StorageConnection) {
	c.Registry.Forget(string(connection.UID))
}
