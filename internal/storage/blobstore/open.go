// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package blobstore

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/s3blob"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/oauth2/jwt"

	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/gcs"
)

// tokenTimeout bounds a request for an access token.
const tokenTimeout = 30 * time.Second

// S3 is how to reach a bucket of Amazon S3, or of another service with its API.
type S3 struct {
	Bucket, Region string
	// Endpoint of a service that is not Amazon's, such as https://s3.example.com. The bucket's name is then part of the URL's path.
	Endpoint string
	// AccessKeyID and SecretAccessKey are required. Temporary credentials also need a SessionToken.
	AccessKeyID, SecretAccessKey, SessionToken string
}

// OpenS3 returns the provider of an S3 bucket. It makes no call.
func OpenS3(ctx context.Context, c S3, transport http.RoundTripper, observer storage.Observer) (*Bucket, error) {
	transport = watched(transport)
	options := s3.Options{
		Region:      c.Region,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
		HTTPClient:  &http.Client{Transport: transport},
		// The upload engine retries.
		Retryer: aws.NopRetryer{},
		// Services that are not Amazon's do not know the newer checksums.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		APIOptions:                 []func(*middleware.Stack) error{confirmed},
	}
	if c.Endpoint != "" {
		options.BaseEndpoint, options.UsePathStyle = &c.Endpoint, true
	}
	bucket, err := s3blob.OpenBucket(ctx, s3.New(options), c.Bucket, nil)
	if err != nil {
		return nil, misconfigured(err)
	}
	return New("s3", c.Bucket, c.Endpoint+"/"+c.Bucket, bucket, observer), nil
}

// confirmed refuses answers with which something else than the service claims to have an object. The library does not miss the ETag, and panics without
// the ID of a multipart upload.
func confirmed(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("confirmed", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (out middleware.InitializeOutput, metadata middleware.Metadata, err error) {
		out, metadata, err = next.HandleInitialize(ctx, in)
		if err != nil {
			return out, metadata, err
		}
		proof := aws.String("not needed")
		switch result := out.Result.(type) {
		case *s3.HeadObjectOutput:
			proof = result.ETag
		case *s3.PutObjectOutput:
			proof = result.ETag
		case *s3.CreateMultipartUploadOutput:
			proof = result.UploadId
		case *s3.UploadPartOutput:
			proof = result.ETag
		case *s3.CompleteMultipartUploadOutput:
			proof = result.ETag
		}
		if aws.ToString(proof) == "" {
			err = &foreignError{http.StatusOK}
		}
		return out, metadata, err
	}), middleware.After)
}

// GCS is how to reach a bucket of Google Cloud Storage.
type GCS struct {
	Bucket string
	// ServiceAccountKey is the JSON key of a service account. OpenGCS refuses other kinds of credentials, because they may name files and
	// programs.
	ServiceAccountKey string
}

// OpenGCS returns the provider of a bucket of Google Cloud Storage. It makes no call.
func OpenGCS(ctx context.Context, c GCS, transport http.RoundTripper, observer storage.Observer) (*Bucket, error) {
	transport = watched(transport)
	config, err := google.JWTConfigFromJSON([]byte(c.ServiceAccountKey), gcs.Scope)
	if err != nil || !usable(config.PrivateKey) {
		return nil, &storage.Error{
			Class: storage.Stop, Reason: storage.ReasonInvalidCredentials, Account: true, Message: "serviceAccountKey must be the JSON key of a service account",
		}
	}
	// Tokens must outlive the call that opens the bucket. The library gets them without the context of the call that needs one.
	tokens := &tokenSource{context.WithoutCancel(ctx), config, transport}
	client := &http.Client{Transport: tokenTransport{oauth2.ReuseTokenSource(nil, tokens), transport}}
	return New("gcs", c.Bucket, c.Bucket, gcs.Open(client, c.Bucket), observer), nil
}

// maxKeyBits bounds the modulus of a service account's key: Google's have 2048. A signature with a much longer one takes seconds, and does not end with its
// context.
const maxKeyBits = 4096

// usable reports whether a text in PEM has an RSA key with which golang.org/x/oauth2/jwt signs in little time.
func usable(text []byte) bool {
	der := text
	if block, _ := pem.Decode(text); block != nil {
		der = block.Bytes
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if parsed, other := x509.ParsePKCS8PrivateKey(der); other == nil {
		key, _ = parsed.(*rsa.PrivateKey)
		err = nil
	}
	return err == nil && key != nil && key.N.BitLen() <= maxKeyBits
}

// AzureBlob is how to reach a container of Azure Blob Storage.
type AzureBlob struct {
	Account, Container string
	// Endpoint of a service that is not Azure's, such as https://blobs.example.com/account.
	Endpoint string
	// AccountKey in base64.
	AccountKey string
}

// OpenAzureBlob returns the provider of an Azure Blob Storage container. It makes no call.
func OpenAzureBlob(ctx context.Context, c AzureBlob, transport http.RoundTripper, observer storage.Observer) (*Bucket, error) {
	transport = watched(transport)
	key, err := container.NewSharedKeyCredential(c.Account, c.AccountKey)
	if err != nil {
		return nil, &storage.Error{Class: storage.Stop, Reason: storage.ReasonInvalidCredentials, Account: true, Message: "accountKey must be base64"}
	}
	endpoint := c.Endpoint
	if endpoint == "" {
		endpoint = fmt.Sprintf("https://%s.blob.core.windows.net", c.Account)
	}
	client, err := container.NewClientWithSharedKeyCredential(strings.TrimSuffix(endpoint, "/")+"/"+url.PathEscape(c.Container), key,
		&container.ClientOptions{ClientOptions: azcore.ClientOptions{
			Transport: &http.Client{Transport: transport},
			Retry:     policy.RetryOptions{MaxRetries: -1}, // as for S3
		}})
	if err != nil {
		return nil, misconfigured(err)
	}
	bucket, err := azureblob.OpenBucket(ctx, client, nil)
	if err != nil {
		return nil, misconfigured(err)
	}
	return New("azureblob", c.Container, endpoint+"/"+c.Container, bucket, observer), nil
}

// misconfigured returns the error of settings that a service's library refuses.
func misconfigured(err error) error {
	return &storage.Error{Class: storage.Stop, Reason: storage.ReasonInvalidSpec, Account: true, Message: "The bucket's settings are not valid", Err: err}
}

// statusOfOthers returns the HTTP status of an error of Google's service or Azure's library, 0 if there was no answer.
func statusOfOthers(err error) int {
	if google := (*gcs.Error)(nil); errors.As(err, &google) {
		return google.Status
	}
	if azure := (*azcore.ResponseError)(nil); errors.As(err, &azure) {
		return azure.StatusCode
	}
	if token := (*oauth2.RetrieveError)(nil); errors.As(err, &token) {
		switch oauthError(token) { // of RFC 6749, section 5.2; any other answer is not the service's, and the credentials may be valid
		case "invalid_grant", "invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "unsupported_grant_type":
			return http.StatusUnauthorized
		}
		if status := token.Response.StatusCode; status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
			return status
		}
		return 0
	}
	return 0
}

// oauthError returns the error code in the answer of a token service; empty if the answer is somebody else's. golang.org/x/oauth2/jwt leaves it in
// the body.
func oauthError(err *oauth2.RetrieveError) string {
	var body struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(err.Body, &body) // a body that is not JSON has none
	return cmp.Or(err.ErrorCode, body.Error)
}

// codeOf returns the service's code of an error, such as NoSuchBucket; empty if there is none.
func codeOf(err error) string {
	if s3 := smithy.APIError(nil); errors.As(err, &s3) {
		return s3.ErrorCode()
	}
	if azure := (*azcore.ResponseError)(nil); errors.As(err, &azure) {
		return azure.ErrorCode
	}
	return ""
}

// watched returns the transport of a client: it reports progress, and turns the answers of others than the service into errors.
func watched(transport http.RoundTripper) http.RoundTripper {
	return storage.WatchedTransport{Next: foreignGuard{namedTransport{transport}}}
}

// namedTransport says to which host a request that had no answer went.
type namedTransport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t namedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, &lostError{req.URL.Host, err}
	}
	return resp, nil
}

// lostError is the error of a request that had no answer.
type lostError struct {
	host  string
	cause error
}

// Error implements error.
func (e *lostError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *lostError) Unwrap() error { return e.cause }

// maxAnswer bounds an answer of a service, in bytes. The longest one is a list with one object.
const maxAnswer = 1 << 20

// boundedBody is the body of an answer that is none of the service if it has more than maxAnswer bytes.
type boundedBody struct {
	io.ReadCloser
	status, left int
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		b.left = 0
		return 0, &foreignError{b.status}
	}
	return n, err
}

// tokenSource gets a service account's tokens. Its errors are those of its transport, of which golang.org/x/oauth2/jwt returns only the text.
type tokenSource struct {
	ctx       context.Context //nolint:containedctx // as the library's own sources
	config    *jwt.Config
	transport http.RoundTripper
}

// Token implements oauth2.TokenSource.
func (s *tokenSource) Token() (*oauth2.Token, error) {
	noted := &notedTransport{next: s.transport}
	ctx := context.WithValue(s.ctx, oauth2.HTTPClient, &http.Client{Transport: noted, Timeout: tokenTimeout})
	token, err := s.config.TokenSource(ctx).Token()
	if err != nil && noted.err != nil {
		err = noted.err
	}
	return token, err
}

// notedTransport notes the error of its last request. It makes one at a time.
type notedTransport struct {
	next http.RoundTripper
	err  error
}

// RoundTrip implements http.RoundTripper.
func (t *notedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	t.err = err
	return resp, err
}

// tokenTransport adds access tokens to requests. A request that waits for its token ends with its context.
type tokenTransport struct {
	tokens oauth2.TokenSource
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	type answer struct {
		token *oauth2.Token
		err   error
	}
	done := make(chan answer, 1)
	go func() { // ends after tokenTimeout
		token, err := t.tokens.Token()
		done <- answer{token, err}
	}()
	var a answer
	select {
	case a = <-done:
	case <-req.Context().Done():
		a.err = req.Context().Err()
	}
	if a.err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, a.err
	}
	return (&oauth2.Transport{Source: oauth2.StaticTokenSource(a.token), Base: t.next}).RoundTrip(req)
}

// foreignError is an answer that is not the service's but perhaps that of a proxy on the way.
type foreignError struct{ status int }

// Error implements error.
func (e *foreignError) Error() string {
	return fmt.Sprintf("an answer with HTTP %d that is not the service's", e.status)
}

// readable calls a service's library. Of answers that lack what the services always send, some of the libraries panic: such a panic is an error. One of
// our own code that a library calls, as the reader of a file, is a bug, and stays a panic.
func readable(call func() error) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			if isOurs() {
				panic(problem)
			}
			err = &foreignError{http.StatusOK}
		}
	}()
	return call()
}

// isOurs reports, in a deferred function, whether the code that panicked is Platen's: of the calls that led to the panic, the last that is not one
// of Go's own.
func isOurs() bool {
	const module = "github.com/platen-dev/platen/"
	calls := make([]uintptr, 64)
	frames := runtime.CallersFrames(calls[:runtime.Callers(3, calls)]) // without Callers, isOurs and the deferred function
	for frame, more := frames.Next(); ; frame, more = frames.Next() {
		if host, _, _ := strings.Cut(frame.Function, "/"); strings.Contains(host, ".") && strings.Contains(frame.Function, "/") {
			return strings.HasPrefix(frame.Function, module)
		}
		if !more {
			return false
		}
	}
}

// isForeign reports whether something else than the service answered.
func isForeign(err error) bool {
	foreign := (*foreignError)(nil)
	return errors.As(err, &foreign)
}

// foreignGuard refuses refusals that are web pages, because those of the services are XML, JSON or empty, and answers that are too long: users choose
// endpoints, and the services' libraries read all of an answer into memory.
type foreignGuard struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g foreignGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	page := strings.Contains(strings.ToLower(resp.Header.Get("Content-Type")), "html")
	refusal := resp.StatusCode >= http.StatusMultipleChoices && resp.StatusCode < http.StatusInternalServerError
	if resp.StatusCode == http.StatusPermanentRedirect && resp.Header.Get("Location") == "" {
		refusal = false // Google Cloud Storage asks for the next chunk of an upload so, and says text/html
	}
	if refusal && page || resp.StatusCode == http.StatusProxyAuthRequired {
		_ = resp.Body.Close()
		return nil, &foreignError{resp.StatusCode}
	}
	resp.Body = &boundedBody{resp.Body, resp.StatusCode, maxAnswer}
	return resp, nil
}
