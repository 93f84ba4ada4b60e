// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// brokenBucket is a bucket that answers with errors.
type brokenBucket struct {
	driver.Bucket
	write, read error
}

func (b *brokenBucket) NewTypedWriter(context.Context, string, string, *driver.WriterOptions) (driver.Writer, error) {
	return &brokenWriter{err: b.write}, nil
}

func (b *brokenBucket) NewRangeReader(context.Context, string, int64, int64, *driver.ReaderOptions) (driver.Reader, error) {
	return nil, b.read
}

func (*brokenBucket) Close() error { return nil }

func (*brokenBucket) ErrorCode(err error) gcerrors.ErrorCode {
	if errors.Is(err, ErrNotFound) {
		return gcerrors.NotFound
	}
	return gcerrors.Unknown
}

type brokenWriter struct {
	bytes.Buffer
	err error
}

func (w *brokenWriter) Close() error { return w.err }

func TestOutagesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket, metrics := &brokenBucket{}, &observed{}
		store := newStore(blob.NewBucket(bucket), Options{Observer: metrics})
		defer func() { _ = store.Close() }()
		ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
		put := func(ctx context.Context) error {
			_, err := store.Put(ctx, ref, 1, page(1), strings.NewReader("1234"), 100)
			return err
		}
		expect := func(when string, err error, unavailable bool) {
			t.Helper()
			if errors.Is(err, ErrUnavailable) != unavailable {
				t.Errorf("%s: %v", when, err)
			}
		}
		broken := errors.New("read-only file system")

		bucket.write = broken
		expect("the first failure", put(t.Context()), false)
		time.Sleep(patience / 2)
		bucket.write = nil
		expect("a success", put(t.Context()), false)
		bucket.write = broken
		expect("the first failure after it", put(t.Context()), false)
		time.Sleep(patience / 2)
		expect("a failure soon after", put(t.Context()), false)
		expect("new work soon after", store.Check("ns"), false)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(patience / 2)
		expect("a caller that has gone", put(gone), false)
		expect("a failure later", put(t.Context()), true)
		expect("new work then", store.Check("ns"), true)
		if !slices.Equal(metrics.refused, []string{"unavailable"}) {
			t.Errorf("metrics %v", metrics.refused)
		}
		time.Sleep(fullFor)
		expect("new work that tries again", store.Check("ns"), false)
		expect("its failure", put(t.Context()), true)

		bucket.read = ErrNotFound
		if _, err := store.Manifest(t.Context(), ref); !errors.Is(err, ErrNotFound) {
			t.Errorf("reads while no write works: %v", err)
		}
		bucket.read = broken
		_, err := store.Manifest(t.Context(), ref)
		expect("the first read that fails", err, false)
		time.Sleep(patience)
		_, err = store.Manifest(t.Context(), ref)
		expect("a read later", err, true)

		bucket.write = nil
		expect("a write that works again", put(t.Context()), false)
		expect("new work after that", store.Check("ns"), false)
	})
}

// noDNS is a transport that finds no host.
type noDNS struct{}

// Do implements policy.Transporter.
func (noDNS) Do(r *http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}}
}

// TestAFailureOfDNSLosesNoFile uses a container of Azure while DNS fails, which Azure's library takes for objects that do not exist.
func TestAFailureOfDNSLosesNoFile(t *testing.T) {
	client, err := container.NewClientWithNoCredential("https://acme.blob.core.windows.net/pictures", &container.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: noDNS{}, Retry: policy.RetryOptions{MaxRetries: -1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := azureblob.OpenBucket(t.Context(), client, nil)
	if err != nil {
		t.Fatal(err)
	}
	store := newStore(bucket, Options{})
	defer func() { _ = store.Close() }()
	for name, call := range map[string]func() error{
		"read":   func() error { _, err := store.NewReader(t.Context(), "a"); return err },
		"delete": func() error { return store.remove(t.Context(), "a") },
		"copy":   func() error { return store.copy(t.Context(), "b", "a") },
	} {
		if err := call(); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
