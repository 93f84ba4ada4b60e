// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package buckets

import (
	"encoding/base64"
	"strings"
	"testing"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/storage"
)

// A private endpoint is one that the policy blocks, not one that is out of reach for a while.
func TestBlockedEndpoints(t *testing.T) {
	openers := Openers(outbound.Policy{}.Transport(), storage.NopObserver{})
	for name, spec := range map[platenv1alpha1.ProviderType]platenv1alpha1.StorageConnectionSpec{
		platenv1alpha1.ProviderS3:        {S3: &platenv1alpha1.S3Spec{Bucket: "renders", Region: "us-east-1", Endpoint: "http://127.0.0.1:9000"}},
		platenv1alpha1.ProviderAzureBlob: {AzureBlob: &platenv1alpha1.AzureBlobSpec{Account: "renders", Container: "renders", Endpoint: "http://127.0.0.1:9000/renders"}},
	} {
		t.Run(string(name), func(t *testing.T) {
			secret := credentials.Redacted{"accessKeyID": "id", "secretAccessKey": "secret", "accountKey": base64.StdEncoding.EncodeToString([]byte("secret"))}
			provider, err := openers[name](t.Context(), spec, secret)
			if err != nil {
				t.Fatal(err)
			}
			_, err = provider.Verify(t.Context())
			got := storage.AsError(err)
			if got.Reason != storage.ReasonEndpointBlocked || got.Class != storage.Stop || !got.Account || !strings.Contains(got.Message, "blocks the endpoint '127.0.0.1:9000'") ||
				!strings.Contains(got.Message, "--storage-outbound-allow") {
				t.Errorf("%+v", got)
			}
		})
	}
}
