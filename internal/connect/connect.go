// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package connect opens StorageConnections: it reads their credentials and keeps one client for each, so that all uploads through a
// connection share an access token.
package connect

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
)

// Connector opens StorageConnections. Make one with New.
type Connector struct {
	Options
}

// Options of a Connector. Credentials and Openers are required.
type Options struct {
	// Credentials reads Secrets.
	Credentials credentials.Reader
	// Openers of the supported providers.
	Openers map[platenv1alpha1.ProviderType]Opener
	// Registry keeps the clients; several Connectors may share one. Default: one of its own.
	Registry *storage.Registry
}

// Opener makes the client of a connection without calling the service. The error is a *storage.Error.
type Opener func(ctx context.Context, spec platenv1alpha1.StorageConnectionSpec, secret credentials.Redacted) (storage.Provider, error)

// Dropbox returns an Opener that fills the credentials of each connection into config.
func Dropbox(config dropbox.Config) Opener {
	return func(_ context.Context, spec platenv1alpha1.StorageConnectionSpec, secret credentials.Redacted) (storage.Provider, error) {
		c := config
		c.AppKey, c.AppSecret, c.RefreshToken = secret["appKey"], secret["appSecret"], secret["refreshToken"]
		c.RootNamespaceID = string(spec.Dropbox.RootNamespaceID)
		return dropbox.New(c)
	}
}

// New returns a Connector.
func New(options Options) *Connector {
	if options.Registry == nil {
		options.Registry = storage.NewRegistry()
	}
	return &Connector{Options: options}
}

// CredentialsVersion returns the version of the Secret that holds a connection's credentials; empty if it does not exist.
func (c *Connector) CredentialsVersion(ctx context.Context, connection *platenv1alpha1.StorageConnection) (string, error) {
	return c.Credentials.Version(ctx, connection.Namespace, access(connection).secret.Name)
}

// ConflictPolicy returns what a connection does when another file is already at a page's path.
func ConflictPolicy(c *platenv1alpha1.StorageConnection) storage.ConflictPolicy {
	return storage.ConflictPolicy(access(c).policy)
}

// accessSpec holds the fields that the spec of every provider has.
type accessSpec struct {
	secret platenv1alpha1.SecretReference
	policy platenv1alpha1.ConflictPolicy
	keys   []credentials.Key
}

func access(c *platenv1alpha1.StorageConnection) accessSpec {
	switch spec := c.Spec; {
	case spec.Dropbox != nil:
		return accessSpec{spec.Dropbox.CredentialsSecretRef, spec.Dropbox.ConflictPolicy, credentials.DropboxKeys}
	case spec.S3 != nil:
		return accessSpec{spec.S3.CredentialsSecretRef, spec.S3.ConflictPolicy, credentials.S3Keys}
	case spec.GCS != nil:
		return accessSpec{spec.GCS.CredentialsSecretRef, spec.GCS.ConflictPolicy, credentials.GCSKeys}
	case spec.AzureBlob != nil:
		return accessSpec{spec.AzureBlob.CredentialsSecretRef, spec.AzureBlob.ConflictPolicy, credentials.AzureBlobKeys}
	default:
		return accessSpec{}
	}
}

// Open returns the client of a connection, a new one if the spec or the Secret has changed. The error is a *storage.Error whose message
// a user can act on.
func (c *Connector) Open(ctx context.Context, connection *platenv1alpha1.StorageConnection) (storage.Provider, error) {
	open := c.Openers[connection.Spec.Provider]
	if open == nil {
		return nil, &storage.Error{
			Class: storage.Stop, Reason: storage.ReasonInvalidSpec, Account: true,
			Message: fmt.Sprintf("Provider '%s' is not served here", connection.Spec.Provider),
		}
	}
	a := access(connection)
	secret, fingerprint, err := c.Credentials.Read(ctx, connection.Namespace, a.secret.Name, a.keys)
	if err != nil {
		if problem := (*storage.Error)(nil); errors.As(err, &problem) {
			return nil, problem
		}
		return nil, &storage.Error{Class: storage.Retry, Reason: storage.ReasonSecretUnreadable, Message: "Secret could not be read", Err: err}
	}
	fingerprint = fmt.Sprintf("%s/%s/%d", fingerprint, connection.UID, connection.Generation)
	return c.Registry.Get(client.ObjectKeyFromObject(connection).String(), fingerprint, func() (storage.Provider, error) {
		return open(ctx, connection.Spec, secret)
	})
}

// Forget drops the client of a connection that is gone.
func (c *Connector) Forget(key types.NamespacedName) { c.Registry.Forget(key.String()) }
