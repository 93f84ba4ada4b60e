// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package buckets opens StorageConnections to buckets. It is separate from package connect because the libraries of the services are
// large and only the manager needs them.
package buckets

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/blobstore"
)

// Openers returns the Openers of s3, gcs and azureblob. transport reaches the services; a user may name their endpoints, so an error of it that
// is outbound.ErrRefused becomes a *storage.Error with storage.ReasonEndpointBlocked.
func Openers(transport http.RoundTripper, observer storage.Observer) map[platenv1alpha1.ProviderType]connect.Opener {
	transport = guard{transport}
	return map[platenv1alpha1.ProviderType]connect.Opener{
		platenv1alpha1.ProviderS3: func(ctx context.Context, spec platenv1alpha1.StorageConnectionSpec, secret credentials.Redacted) (storage.Provider, error) {
			return blobstore.OpenS3(ctx, blobstore.S3{
				Bucket: spec.S3.Bucket, Region: spec.S3.Region, Endpoint: spec.S3.Endpoint,
				AccessKeyID: secret["accessKeyID"], SecretAccessKey: secret["secretAccessKey"], SessionToken: secret["sessionToken"],
			}, transport, observer)
		},
		platenv1alpha1.ProviderGCS: func(ctx context.Context, spec platenv1alpha1.StorageConnectionSpec, secret credentials.Redacted) (storage.Provider, error) {
			return blobstore.OpenGCS(ctx, blobstore.GCS{Bucket: spec.GCS.Bucket, ServiceAccountKey: secret["serviceAccountKey"]}, transport, observer)
		},
		platenv1alpha1.ProviderAzureBlob: func(ctx context.Context, spec platenv1alpha1.StorageConnectionSpec, secret credentials.Redacted) (storage.Provider, error) {
			return blobstore.OpenAzureBlob(ctx, blobstore.AzureBlob{
				Account: spec.AzureBlob.Account, Container: spec.AzureBlob.Container, Endpoint: spec.AzureBlob.Endpoint,
				AccountKey: secret["accountKey"],
			}, transport, observer)
		},
	}
}

// guard says that the policy has blocked an endpoint: the error of a connection that fails is otherwise the same for every cause.
type guard struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(r)
	if errors.Is(err, outbound.ErrRefused) {
		return nil, &storage.Error{
			Class: storage.Stop, Reason: storage.ReasonEndpointBlocked, Account: true, Err: err,
			Message: fmt.Sprintf("The policy blocks the endpoint '%.200s': %s; the manager's flag --storage-outbound-allow allows others", r.URL.Host, outbound.ErrRefused),
		}
	}
	return resp, err
}
