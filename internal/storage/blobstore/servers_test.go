// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package blobstore

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"

	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/gcs"
	"github.com/platen-dev/platen/internal/storage/storagetest"
	"github.com/platen-dev/platen/test/stores"
)

// TestGCSServer runs against fake-gcs-server.
func TestGCSServer(t *testing.T) {
	server := stores.StartGCS(t)
	transport := sentTo{server.Address}
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"not-a-secret","token_type":"Bearer","expires_in":3600}`))
	}))
	defer tokens.Close()
	account := serviceAccount(t, tokens.URL)
	testServer(t, func(t *testing.T, name string, isNew bool) (*Bucket, *blob.Bucket) {
		t.Helper()
		if isNew {
			server.NewBucket(t, name)
		}
		b, err := OpenGCS(t.Context(), GCS{name, account}, transport, metrics.Uploads{})
		if err != nil {
			t.Fatal(err)
		}
		return b, gcs.Open(&http.Client{Transport: transport}, name)
	})
}

// sentTo sends requests for Google's hosts to an address.
type sentTo struct{ address string }

// RoundTrip implements http.RoundTripper.
func (s sentTo) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host, r.Host = "http", s.address, ""
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestAzureServer runs against Azurite.
func TestAzureServer(t *testing.T) {
	server := stores.StartAzure(t)
	testServer(t, func(t *testing.T, name string, isNew bool) (*Bucket, *blob.Bucket) {
		t.Helper()
		b, err := OpenAzureBlob(t.Context(), AzureBlob{stores.Account, name, server.Endpoint, stores.AccountKey}, http.DefaultTransport, metrics.Uploads{})
		if err != nil {
			t.Fatal(err)
		}
		if !isNew {
			return b, nil
		}
		bucket, err := azureblob.OpenBucket(t.Context(), server.NewContainer(t, name), nil)
		if err != nil {
			t.Fatal(err)
		}
		return b, bucket
	})
}

// testServer tests a bucket of a server, which open opens, with another client of it. If isNew is false, there is no such bucket.
func testServer(t *testing.T, open func(t *testing.T, name string, isNew bool) (*Bucket, *blob.Bucket)) {
	t.Helper()
	storagetest.Run(t, func(t *testing.T) storagetest.Service {
		t.Helper()
		provider, client := open(t, bucketOf(t), true)
		return storagetest.Service{Provider: provider, Files: func(t *testing.T) map[string]string {
			t.Helper()
			return list(t, client)
		}}
	})
	t.Run("uploads a large file", func(t *testing.T) {
		provider, client := open(t, bucketOf(t), true)
		film := bytes.Repeat([]byte("0123456789abcdef"), (40<<20)/16)
		for _, policy := range []storage.ConflictPolicy{storage.Overwrite, storage.Rename} {
			f := storagetest.File(t, "/"+string(policy)+".mp4", film)
			f.Format, f.ConflictPolicy = "mp4", policy
			if result := storagetest.UploadOne(t.Context(), provider, f); result.Err != nil {
				t.Fatal(result.Err)
			}
			attributes, err := client.Attributes(t.Context(), string(policy)+".mp4")
			if err != nil || attributes.ContentType != "video/mp4" {
				t.Errorf("%+v, %v", attributes, err)
			}
			if got, err := client.ReadAll(t.Context(), string(policy)+".mp4"); err != nil || !bytes.Equal(got, film) {
				t.Errorf("the film has changed: %d bytes, %v", len(got), err)
			}
		}
	})
	b, _ := open(t, "nothing-here", false)
	_, verify := b.Verify(t.Context())
	for _, err := range []error{verify, storagetest.UploadOne(t.Context(), b, storagetest.File(t, "/a.png", []byte("hello"))).Err} {
		want := storage.Error{Reason: storage.ReasonBucketNotFound, Message: "Bucket 'nothing-here' does not exist", Account: true}
		if diff := cmp.Diff(want, *storage.AsError(err), cmpopts.IgnoreFields(storage.Error{}, "Doubt", "Err")); diff != "" {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
	}
}
