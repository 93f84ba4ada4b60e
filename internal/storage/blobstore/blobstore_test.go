// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package blobstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/storagetest"
	"github.com/platen-dev/platen/test/peer"
)

const (
	accessKey = "platen"
	secretKey = "not-a-secret"
)

func TestBucket(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Service {
		t.Helper()
		bucket := memblob.OpenBucket(nil)
		t.Cleanup(func() { _ = bucket.Close() })
		return storagetest.Service{Provider: New("gcs", "pictures", "pictures", bucket, metrics.Uploads{}), Files: func(t *testing.T) map[string]string {
			t.Helper()
			return list(t, bucket)
		}}
	})
}

// list returns the bytes of all objects by path.
func list(t *testing.T, bucket *blob.Bucket) map[string]string {
	t.Helper()
	files := map[string]string{}
	for objects := bucket.List(nil); ; {
		object, err := objects.Next(t.Context())
		if err != nil {
			return files
		}
		data, err := bucket.ReadAll(t.Context(), object.Key)
		if err != nil {
			t.Fatal(err)
		}
		files["/"+object.Key] = string(data)
	}
}

// TestS3 runs against rclone's S3 server.
func TestS3(t *testing.T) {
	endpoint, root := serveS3(t)
	storagetest.Run(t, func(t *testing.T) storagetest.Service {
		t.Helper()
		name := bucketOf(t)
		if err := os.Mkdir(filepath.Join(root, name), 0o750); err != nil {
			t.Fatal(err)
		}
		return storagetest.Service{Provider: openS3(t, S3{Bucket: name, Endpoint: endpoint}), Files: func(t *testing.T) map[string]string {
			t.Helper()
			return read(t, filepath.Join(root, name))
		}}
	})
}

// bucketOf returns the name of the bucket of a test of storagetest.
func bucketOf(t *testing.T) string {
	t.Helper()
	_, name, _ := strings.Cut(t.Name(), "/")
	return strings.ToLower(strings.NewReplacer("_", "-", "'", "").Replace(name))
}

// openS3 opens a bucket, with the server's credentials unless c has some.
func openS3(t *testing.T, c S3) *Bucket {
	t.Helper()
	if c.AccessKeyID == "" {
		c.AccessKeyID, c.SecretAccessKey = accessKey, secretKey
	}
	c.Region = "us-east-1"
	b, err := OpenS3(t.Context(), c, http.DefaultTransport, metrics.Uploads{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serveS3 starts the server and returns its URL and the folder whose subfolders are its buckets.
func serveS3(t *testing.T) (endpoint, root string) {
	t.Helper()
	binary, err := peer.Rclone(t.Context(), filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	root = t.TempDir()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	server := exec.CommandContext(ctx, binary, "serve", "s3", "--addr", address, "--auth-key", accessKey+","+secretKey, "--dir-cache-time", "0", root)
	server.Env = append(os.Environ(), "RCLONE_CONFIG="+filepath.Join(t.TempDir(), "rclone.conf"))
	var stderr strings.Builder
	server.Stderr = &stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = server.Wait()
		if t.Failed() {
			t.Log(stderr.String())
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = connection.Close()
			return "http://" + address, root
		}
		if time.Now().After(deadline) {
			t.Fatalf("the S3 server did not start: %v", err)
		}
	}
}

// read returns the bytes of all files below a folder by path.
func read(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestS3Errors(t *testing.T) {
	endpoint, root := serveS3(t)
	if err := os.Mkdir(filepath.Join(root, "pictures"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config S3
		want   storage.Error
	}{
		"no bucket":      {config: S3{Bucket: "nothing-here", Endpoint: endpoint}, want: storage.Error{Reason: storage.ReasonBucketNotFound, Message: "Bucket 'nothing-here' does not exist"}},
		"a wrong secret": {config: S3{Bucket: "pictures", Endpoint: endpoint, AccessKeyID: accessKey, SecretAccessKey: "wrong"}, want: storage.Error{Reason: storage.ReasonInvalidCredentials, Message: "The credentials are not accepted by bucket 'pictures'"}},
		"no server":      {config: S3{Bucket: "pictures", Endpoint: "http://127.0.0.1:9"}, want: storage.Error{Class: storage.Retry, Reason: storage.ReasonUnreachable, Message: "Bucket 'pictures' could not be reached at 127.0.0.1:9: the connection was refused; nothing listens at its port"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := openS3(t, c.config)
			err := storagetest.UploadOne(t.Context(), b, storagetest.File(t, "/a.png", []byte("hello"))).Err
			_, verify := b.Verify(t.Context())
			for _, err := range []error{err, verify} {
				got := storage.AsError(err)
				c.want.Account = true
				if diff := cmp.Diff(c.want, *got, cmpopts.IgnoreFields(storage.Error{}, "Doubt", "Err")); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				if strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), secretKey) {
					t.Errorf("the error shows the secret: %v", err)
				}
			}
		})
	}
}

func TestErrorsOfAServiceHaveReasons(t *testing.T) {
	for name, tc := range map[string]struct {
		err  azcore.ResponseError
		want storage.Error
	}{
		"unauthorized":        {err: azcore.ResponseError{StatusCode: 401}, want: storage.Error{Reason: storage.ReasonInvalidCredentials, Account: true}},
		"unknown credentials": {err: azcore.ResponseError{StatusCode: 403, ErrorCode: "AuthenticationFailed"}, want: storage.Error{Reason: storage.ReasonInvalidCredentials, Account: true}},
		"forbidden":           {err: azcore.ResponseError{StatusCode: 403}, want: storage.Error{Reason: storage.ReasonAccessDenied, Account: true}},
		"no bucket":           {err: azcore.ResponseError{StatusCode: 404}, want: storage.Error{Reason: storage.ReasonBucketNotFound, Account: true}},
		"full":                {err: azcore.ResponseError{StatusCode: 507}, want: storage.Error{Reason: storage.ReasonInsufficientSpace}},
		"too many requests":   {err: azcore.ResponseError{StatusCode: 429}, want: storage.Error{Class: storage.Retry, Reason: storage.ReasonRateLimited, Account: true}},
		"slow down":           {err: azcore.ResponseError{StatusCode: 503}, want: storage.Error{Class: storage.Retry, Reason: storage.ReasonRateLimited, Account: true}},
		"an error of its own": {err: azcore.ResponseError{StatusCode: 500}, want: storage.Error{Class: storage.Retry, Reason: storage.ReasonUnavailable, Account: true, Doubt: true}},
		"too slow":            {err: azcore.ResponseError{StatusCode: 408}, want: storage.Error{Class: storage.Retry, Reason: storage.ReasonUnavailable, Account: true, Doubt: true}},
		"too slow for S3":     {err: azcore.ResponseError{StatusCode: 400, ErrorCode: "RequestTimeout"}, want: storage.Error{Class: storage.Retry, Reason: storage.ReasonUnavailable, Account: true, Doubt: true}},
		"a bad request":       {err: azcore.ResponseError{StatusCode: 400}, want: storage.Error{Reason: storage.ReasonRefused}},
		"no answer":           {want: storage.Error{Class: storage.Retry, Reason: storage.ReasonUnreachable, Account: true, Doubt: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got := storage.AsError((&Bucket{provider: "azureblob", name: "pictures"}).decodeError(&tc.err))
			if diff := cmp.Diff(tc.want, *got, cmpopts.IgnoreFields(storage.Error{}, "Message", "Err")); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if !strings.Contains(got.Message, "'pictures'") {
				t.Errorf("the message %q does not name the bucket", got.Message)
			}
		})
	}
}

func TestOpenGCSAndAzureBlob(t *testing.T) {
	if b, err := OpenGCS(t.Context(), GCS{"pictures", serviceAccount(t, "https://oauth2.googleapis.com/token")}, http.DefaultTransport, metrics.Uploads{}); err != nil || b.Key() != "gcs:pictures" {
		t.Errorf("GCS: %v", err)
	}
	for what, key := range map[string]string{"no key": "x", "a key that takes seconds to sign": longKey(t)} {
		account, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "private_key": key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenGCS(t.Context(), GCS{"pictures", string(account)}, http.DefaultTransport, metrics.Uploads{}); storage.AsError(err).Reason != storage.ReasonInvalidCredentials {
			t.Errorf("GCS takes %s: %v", what, err)
		}
	}
	if _, err := OpenGCS(t.Context(), GCS{"pictures", `{"type":"external_account","credential_source":{"file":"/etc/passwd"}}`}, http.DefaultTransport, metrics.Uploads{}); storage.AsError(err).Reason != storage.ReasonInvalidCredentials {
		t.Errorf("GCS takes credentials that name a file: %v", err)
	}
	if b, err := OpenAzureBlob(t.Context(), AzureBlob{Account: "acme", Container: "pictures", AccountKey: "a2V5"}, http.DefaultTransport, metrics.Uploads{}); err != nil || !strings.Contains(b.Key(), url.PathEscape("pictures")) {
		t.Errorf("Azure: %v", err)
	}
	if _, err := OpenAzureBlob(t.Context(), AzureBlob{Account: "acme", Container: "pictures", AccountKey: "no base64!"}, http.DefaultTransport, metrics.Uploads{}); storage.AsError(err).Reason != storage.ReasonInvalidCredentials {
		t.Errorf("Azure takes a key that is not base64: %v", err)
	}
}

// TestServiceThatGoesSilent lets an endpoint accept connections and do nothing more.
func TestServiceThatGoesSilent(t *testing.T) {
	address := storagetest.Silent(t)
	for name, open := range map[string]func() (*Bucket, error){
		"S3": func() (*Bucket, error) {
			return OpenS3(t.Context(), S3{Bucket: "pictures", Region: "us-east-1", Endpoint: "http://" + address, AccessKeyID: "a", SecretAccessKey: "b"}, http.DefaultTransport, metrics.Uploads{})
		},
		"Azure": func() (*Bucket, error) {
			return OpenAzureBlob(t.Context(), AzureBlob{Account: "acme", Container: "pictures", Endpoint: "http://" + address, AccountKey: "a2V5"}, http.DefaultTransport, metrics.Uploads{})
		},
		"GCS": func() (*Bucket, error) {
			return OpenGCS(t.Context(), GCS{"pictures", serviceAccount(t, "http://"+address)}, http.DefaultTransport, metrics.Uploads{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := open()
			if err != nil {
				t.Fatal(err)
			}
			b.patience = 200 * time.Millisecond
			storagetest.ExpectGivesUp(t, b)
		})
	}
}

// TestSlowFileIsNoSilence uploads a file that takes longer than the bucket's patience, while its bytes flow.
func TestSlowFileIsNoSilence(t *testing.T) {
	endpoint, root := serveS3(t)
	if err := os.Mkdir(filepath.Join(root, "slow"), 0o750); err != nil {
		t.Fatal(err)
	}
	b := openS3(t, S3{Bucket: "slow", Endpoint: endpoint})
	b.patience = 500 * time.Millisecond
	if r := storagetest.UploadOne(t.Context(), b, storagetest.Slowly(storagetest.File(t, "/a.png", make([]byte, 1<<10)), 50*time.Millisecond)); r.Err != nil {
		t.Error(r.Err)
	}
}

// TestAnswersOfAProxy lets something that is not the service answer. It says nothing about the credentials.
func TestAnswersOfAProxy(t *testing.T) {
	for i, status := range []int{302, 400, 403, 404, 407, 400, 403, 404} {
		kind := []string{"text/html", "Text/HTML; charset=UTF-8", "application/xhtml+xml"}[i%3]
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html><title>Blocked</title></html>"))
		}))
		defer proxy.Close()
		azure, err := OpenAzureBlob(t.Context(), AzureBlob{Account: "acme", Container: "pictures", Endpoint: proxy.URL, AccountKey: "a2V5"}, http.DefaultTransport, metrics.Uploads{})
		if err != nil {
			t.Fatal(err)
		}
		google, err := OpenGCS(t.Context(), GCS{"pictures", serviceAccount(t, proxy.URL)}, http.DefaultTransport, metrics.Uploads{})
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string]*Bucket{"S3": openS3(t, S3{Bucket: "pictures", Endpoint: proxy.URL}), "Azure": azure, "GCS": google} {
			_, verify := b.Verify(t.Context())
			upload := storagetest.UploadOne(t.Context(), b, storagetest.File(t, "/a.png", []byte("hello"))).Err
			for call, err := range map[string]error{"Verify": verify, "Upload": upload} {
				if problem := storage.AsError(err); err == nil || problem.Class != storage.Retry || problem.Reason != storage.ReasonUnexpectedAnswer {
					t.Errorf("%s, %s, HTTP %d %s: %s %v", name, call, status, kind, problem.Reason, err)
				}
			}
		}
	}
}

// lost is a transport that reaches nothing.
type lost func(host string) error

// RoundTrip implements http.RoundTripper.
func (l lost) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, l(r.URL.Hostname())
}

// outcomes is an observer that notes the results of calls.
type outcomes struct {
	storage.NopObserver
	mu      sync.Mutex
	results []string
}

// Called implements storage.Observer.
func (o *outcomes) Called(_, _, result string, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.results = append(o.results, result)
}

// openAll opens a bucket of each service where users who name no endpoint look for it.
func openAll(t *testing.T, transport http.RoundTripper, observer storage.Observer) map[string]*Bucket {
	t.Helper()
	amazon, err := OpenS3(t.Context(), S3{Bucket: "pictures", Region: "eu-cntral-1", AccessKeyID: accessKey, SecretAccessKey: secretKey}, transport, observer)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := OpenS3(t.Context(), S3{
		Bucket: "pictures", Region: "us-east-1", Endpoint: "http://minio.storage.svc:9000", AccessKeyID: accessKey, SecretAccessKey: secretKey,
	}, transport, observer)
	if err != nil {
		t.Fatal(err)
	}
	google, err := OpenGCS(t.Context(), GCS{"pictures", serviceAccount(t, "https://tokens.example.com/token?secret=x")}, transport, observer)
	if err != nil {
		t.Fatal(err)
	}
	azure, err := OpenAzureBlob(t.Context(), AzureBlob{Account: "rendersacccount", Container: "pictures", AccountKey: "a2V5"}, transport, observer)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*Bucket{
		"pictures.s3.eu-cntral-1.amazonaws.com": amazon, "minio.storage.svc:9000": endpoint,
		"tokens.example.com": google, "rendersacccount.blob.core.windows.net": azure,
	}
}

// TestWhyABucketIsOutOfReach makes every call where no service is. That may pass, whatever the service's library takes it for, and the message names the
// host, which tells a mistake in an endpoint, a region or an account from an outage.
func TestWhyABucketIsOutOfReach(t *testing.T) {
	for why, fails := range map[string]lost{
		": its host has no address in DNS": func(host string) error {
			return &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, Server: "10.96.0.10:53", IsNotFound: true}}
		},
		": DNS did not answer for its host": func(host string) error {
			return &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "server misbehaving", Name: host, Server: "10.96.0.10:53", IsTemporary: true}}
		},
		": the connection was refused; nothing listens at its port": func(string) error {
			return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		},
		"": func(string) error { return io.ErrUnexpectedEOF },
	} {
		observer := &outcomes{}
		for host, b := range openAll(t, fails, observer) {
			want := storage.Error{
				Class: storage.Retry, Reason: storage.ReasonUnreachable, Account: true, Doubt: true, Message: "Bucket 'pictures' could not be reached at " + host + why,
			}
			for call, do := range calls(t, b) {
				observer.results = nil
				err := do()
				if diff := cmp.Diff(want, *storage.AsError(err), cmpopts.IgnoreFields(storage.Error{}, "Err")); diff != "" {
					t.Errorf("%s, %s: error %v (-want +got):\n%s", host, call, err, diff)
				}
				if diff := cmp.Diff([]string{"Unreachable"}, observer.results); diff != "" {
					t.Errorf("%s, %s: results (-want +got):\n%s", host, call, diff)
				}
			}
		}
	}
}

// TestAnswersAboutDNS lets a gateway say that it does not find the service. Azure's library takes the text for a missing bucket.
func TestAnswersAboutDNS(t *testing.T) {
	for service, b := range endpoints(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("dial tcp: lookup blobs.example.com: no such host"))
	}) {
		for call, do := range calls(t, b) {
			if problem := storage.AsError(do()); problem.Class != storage.Retry || problem.Reason != storage.ReasonUnavailable {
				t.Errorf("%s, %s: %+v", service, call, problem)
			}
		}
	}
}

// TestAMissingBucketCounts verifies buckets that do not exist. The observer hears why that fails.
func TestAMissingBucketCounts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token":"not-a-secret","token_type":"Bearer","expires_in":3600}`))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	observer := &outcomes{}
	for host, b := range openAll(t, sentAllTo{strings.TrimPrefix(server.URL, "http://")}, observer) {
		observer.results = nil
		_, err := b.Verify(t.Context())
		want := storage.Error{Reason: storage.ReasonBucketNotFound, Message: "Bucket 'pictures' does not exist", Account: true}
		if diff := cmp.Diff(want, *storage.AsError(err), cmpopts.IgnoreFields(storage.Error{}, "Err")); diff != "" {
			t.Errorf("%s: error %v (-want +got):\n%s", host, err, diff)
		}
		if diff := cmp.Diff([]string{"BucketNotFound"}, observer.results); diff != "" {
			t.Errorf("%s: results (-want +got):\n%s", host, diff)
		}
	}
}

// sentAllTo sends the requests for any host to an address.
type sentAllTo struct{ address string }

// RoundTrip implements http.RoundTripper.
func (s sentAllTo) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", s.address
	return http.DefaultTransport.RoundTrip(r)
}

// longKey returns an RSA key of 16,384 bits, in PEM, which fits into a Secret. Its factors are no primes, which would take minutes to find.
func longKey(t *testing.T) string {
	t.Helper()
	one, exponent := big.NewInt(1), 65537
	for {
		factors, less := make([]*big.Int, 2), make([]*big.Int, 2)
		for i := range factors {
			digits := make([]byte, 1024)
			_, _ = rand.Read(digits) // never fails
			digits[0], digits[1023] = digits[0]|0xc0, digits[1023]|1
			factors[i] = new(big.Int).SetBytes(digits)
			less[i] = new(big.Int).Sub(factors[i], one)
		}
		private := new(big.Int).ModInverse(big.NewInt(int64(exponent)), new(big.Int).Mul(less[0], less[1]))
		inverse := new(big.Int).ModInverse(factors[1], factors[0])
		if private == nil || inverse == nil {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(factors[0], factors[1]), E: exponent}, D: private, Primes: factors}
		key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv = new(big.Int).Mod(private, less[0]), new(big.Int).Mod(private, less[1]), inverse
		return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	}
}

// serviceAccount returns the JSON key of an account whose tokens come from a URL.
func serviceAccount(t *testing.T, tokenURL string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "token_uri": tokenURL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(account)
}

// endpoints opens a bucket of each service whose endpoint users choose.
func endpoints(t *testing.T, handler http.HandlerFunc) map[string]*Bucket {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	azure, err := OpenAzureBlob(t.Context(), AzureBlob{Account: "acme", Container: "pictures", Endpoint: server.URL, AccountKey: "a2V5"}, http.DefaultTransport, metrics.Uploads{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*Bucket{"S3": openS3(t, S3{Bucket: "pictures", Endpoint: server.URL}), "Azure": azure}
}

// calls makes every call of a bucket.
func calls(t *testing.T, b *Bucket) map[string]func() error {
	t.Helper()
	upload := func(size int, change func(*storage.File)) func() error {
		return func() error {
			f := storagetest.File(t, "/a.png", make([]byte, size))
			change(f)
			return storagetest.UploadOne(t.Context(), b, f).Err
		}
	}
	return map[string]func() error{
		"Verify":              func() error { _, err := b.Verify(t.Context()); return err },
		"Upload":              upload(5, func(*storage.File) {}),
		"Upload of a doubt":   upload(5, func(f *storage.File) { f.Doubtful = true }),
		"Upload with Rename":  upload(5, func(f *storage.File) { f.ConflictPolicy = storage.Rename }),
		"Upload with Keep":    upload(5, func(f *storage.File) { f.ConflictPolicy = storage.Keep }),
		"Upload of much":      upload(9<<20, func(*storage.File) {}),
		"Upload of much, new": upload(9<<20, func(f *storage.File) { f.ConflictPolicy = storage.Rename }),
	}
}

// TestAnswersThatNeverEnd lets an endpoint answer without end. Only so much of it is read.
func TestAnswersThatNeverEnd(t *testing.T) {
	const most = 64 << 20
	for _, status := range []int{http.StatusOK, http.StatusForbidden, http.StatusInternalServerError} {
		for name, beginning := range map[string]string{"XML": "<Error><Message>", "JSON": `{"error":{"message":"`, "zeros": "\x00"} {
			var sent atomic.Int64
			for service, b := range endpoints(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(status)
				_, _ = w.Write([]byte(beginning))
				for piece := bytes.Repeat([]byte("a"), 64<<10); r.Method != http.MethodHead && sent.Load() < most; {
					n, err := w.Write(piece)
					sent.Add(int64(n))
					if err != nil {
						return
					}
				}
			}) {
				for call, do := range calls(t, b) {
					sent.Store(0)
					_ = do() // the service may have done what it was asked for
					if n := sent.Load(); n >= most/2 {
						t.Errorf("%s, %s, HTTP %d with endless %s: %d MiB were read", service, call, status, name, n>>20)
					}
				}
			}
		}
	}
}

// TestAnswersThatLackEverything lets an endpoint answer with what the services' libraries do not expect. A failure is one, and no panic, which would
// end the manager for all namespaces.
func TestAnswersThatLackEverything(t *testing.T) {
	bodies := []string{
		"", "{}", "null", "<a/>", "<ListBucketResult/>", "<ListBucketResult><Contents/></ListBucketResult>", "<ListBucketResult><CommonPrefixes/></ListBucketResult>",
		"<EnumerationResults/>", "<EnumerationResults><Blobs><Blob/></Blobs></EnumerationResults>", "<EnumerationResults><Blobs><BlobPrefix/></Blobs></EnumerationResults>",
		"<EnumerationResults><Blobs><Blob><Properties/></Blob></Blobs></EnumerationResults>",
		"<InitiateMultipartUploadResult/>", "<InitiateMultipartUploadResult><UploadId>a</UploadId></InitiateMultipartUploadResult>", "<Error/>",
	}
	for _, status := range []int{200, 201, 204, 301, 304, 404, 412, 503} {
		for _, body := range bodies {
			for service, b := range endpoints(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			}) {
				for call, do := range calls(t, b) {
					if status != http.StatusOK && strings.Contains(call, "much") {
						continue // its first request is answered as that of any other
					}
					err := do()
					confirmed := status == http.StatusCreated && service == "Azure" || status/100 == 2 && call == "Verify"
					if err == nil && !confirmed {
						t.Errorf("%s, %s, HTTP %d with %q: no error", service, call, status, body)
					}
				}
			}
		}
	}
}

// panics is a reader with a bug.
type panics struct{ io.Reader }

func (panics) Read([]byte) (int, error) { panic("our own bug") }

// TestOnlyALibrarysPanicIsAnError lets a reader of ours panic in a library's call. To take that for an answer of a proxy would hide the bug.
func TestOnlyALibrarysPanicIsAnError(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	defer func() { _ = bucket.Close() }()
	f := storagetest.File(t, "/a.png", []byte("hello"))
	f.Open = func(context.Context, int64, int64) (io.ReadCloser, error) { return io.NopCloser(panics{}), nil }
	err, recovered := error(nil), any(nil)
	func() {
		defer func() { recovered = recover() }()
		err = New("gcs", "pictures", "pictures", bucket, metrics.Uploads{}).write(t.Context(), f, f.Path, true)
	}()
	if recovered != "our own bug" {
		t.Errorf("our panic became %v; recovered %v", err, recovered)
	}
	if err := readable(func() error { return blob.PrefixedBucket(nil, "a/").Close() }); !isForeign(err) {
		t.Errorf("a library's panic: %v", err)
	}
}
