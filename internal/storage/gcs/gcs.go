// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gcs opens buckets of Google Cloud Storage for gocloud.dev/blob. It speaks the service's JSON API itself: Google's client
// does the same for Platen, and brings 200 packages of gRPC, Envoy and monitoring that take a sixth of the time in which Platen compiles.
package gcs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
	"golang.org/x/oauth2/google"
)

const (
	// Scope lets an account read and write objects.
	Scope = "https://www.googleapis.com/auth/devstorage.read_write"
	// chunkSize is the size of each request of a large upload, a multiple of 256 KiB. A smaller object takes one request.
	chunkSize = 16 << 20
	// attempts of a request for the content store. The upload engine tries again itself.
	attempts = 5
	// firstPause is the time before the second attempt; it doubles from there.
	firstPause = 250 * time.Millisecond
	// maxLost is how many chunks in a row the service may take nothing of.
	maxLost = 3
	// maxAnswer bounds an answer of the API, in bytes; a page of 1000 objects has less.
	maxAnswer = 16 << 20
	// incomplete is the API's status "resume incomplete" of a session that waits for more.
	incomplete = http.StatusPermanentRedirect
)

func init() { blob.DefaultURLMux().RegisterBucket("gs", opener{}) }

// opener opens gs://bucket with the credentials of the machine: a file that GOOGLE_APPLICATION_CREDENTIALS names, workload identity,
// or the service account of the node. STORAGE_EMULATOR_HOST=host:port names an emulator instead.
type opener struct{}

// OpenBucketURL implements blob.BucketURLOpener.
func (opener) OpenBucketURL(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	if u.RawQuery != "" {
		return nil, fmt.Errorf("open bucket %v: gs:// takes no parameters", u)
	}
	if host := os.Getenv("STORAGE_EMULATOR_HOST"); host != "" {
		return blob.NewBucket(&bucket{name: u.Host, endpoint: "http://" + host, client: http.DefaultClient, attempts: attempts}), nil
	}
	// Tokens outlive the call that opens the bucket.
	client, err := google.DefaultClient(context.WithoutCancel(ctx), Scope)
	if err != nil {
		return nil, fmt.Errorf("open bucket %v: %w", u, err)
	}
	return blob.NewBucket(&bucket{name: u.Host, endpoint: endpoint, client: client, attempts: attempts}), nil
}

// endpoint of the JSON API.
const endpoint = "https://storage.googleapis.com"

// Open returns a bucket. client adds the tokens. A request that fails is not tried again.
func Open(client *http.Client, name string) *blob.Bucket {
	return blob.NewBucket(&bucket{name: name, endpoint: endpoint, client: client, attempts: 1})
}

// Error is an answer with a status other than success.
type Error struct{ Status int }

func (e *Error) Error() string { return fmt.Sprintf("the service answers HTTP %d", e.Status) }

// ErrLost means that the service has lost an upload that it had begun. A new upload may end.
var ErrLost = errors.New("the service has lost the upload")

// errUnused is the error of methods that Platen does not call.
var errUnused = errors.New("not implemented")

// bucket implements driver.Bucket.
type bucket struct {
	name, endpoint string
	client         *http.Client
	attempts       int
}

// object is the API's object resource.
type object struct {
	Name        string            `json:"name,omitempty"`
	ContentType string            `json:"contentType,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Size        int64             `json:"size,omitempty,string"`
	Updated     time.Time         `json:"updated,omitzero"`
	TimeCreated time.Time         `json:"timeCreated,omitzero"`
	ETag        string            `json:"etag,omitempty"`
	MD5Hash     string            `json:"md5Hash,omitempty"`
}

func (o *object) md5() []byte {
	sum, err := base64.StdEncoding.DecodeString(o.MD5Hash)
	if err != nil || len(sum) == 0 {
		return nil // composed objects have none
	}
	return sum
}

// request is one call of the API; body, when there is one, can be sent again.
type request struct {
	method, url string
	header      http.Header
	body        []byte
}

// do sends a request and returns the answer when it has one of the wanted statuses. The caller closes its body.
func (b *bucket) do(ctx context.Context, r request, wanted ...int) (*http.Response, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
		if err != nil {
			return nil, err
		}
		maps.Copy(req.Header, r.header)
		resp, err := b.client.Do(req)
		if err == nil {
			if slices.Contains(wanted, resp.StatusCode) {
				return resp, nil
			}
			_ = resp.Body.Close()
			err = &Error{Status: resp.StatusCode}
		}
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // without the URL: that of a session lets its reader write to the object
		}
		if attempt == b.attempts || !isTransient(err) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// isTransient reports whether another attempt may succeed: the service asks for it, or did not answer.
func isTransient(err error) bool {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError
	}
	return true
}

// call sends a request and decodes the answer.
func (b *bucket) call(ctx context.Context, r request, answer any) error {
	resp, err := b.do(ctx, r, http.StatusOK)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(answer)
}

func (b *bucket) objectURL(key string) string {
	return b.endpoint + "/storage/v1/b/" + url.PathEscape(b.name) + "/o/" + url.PathEscape(key)
}

// ErrorCode implements driver.Bucket.
func (*bucket) ErrorCode(err error) gcerrors.ErrorCode {
	if errors.Is(err, errUnused) {
		return gcerrors.Unimplemented
	}
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		return gcerrors.Unknown
	}
	switch e.Status {
	case http.StatusNotFound:
		return gcerrors.NotFound
	case http.StatusForbidden:
		return gcerrors.PermissionDenied
	case http.StatusPreconditionFailed:
		return gcerrors.FailedPrecondition
	case http.StatusTooManyRequests:
		return gcerrors.ResourceExhausted
	default:
		return gcerrors.Unknown
	}
}

// As implements driver.Bucket.
func (*bucket) As(any) bool { return false }

// ErrorAs implements driver.Bucket.
func (*bucket) ErrorAs(error, any) bool { return false }

// Close implements driver.Bucket.
func (*bucket) Close() error { return nil }

// Copy implements driver.Bucket. The service copies a large object in several calls.
func (b *bucket) Copy(ctx context.Context, to, from string, _ *driver.CopyOptions) error {
	rewrite := b.objectURL(from) + "/rewriteTo" + strings.TrimPrefix(b.objectURL(to), b.endpoint+"/storage/v1")
	for token := ""; ; {
		var answer struct {
			Done         bool   `json:"done"`
			RewriteToken string `json:"rewriteToken"`
		}
		call := request{method: http.MethodPost, url: rewrite + "?rewriteToken=" + url.QueryEscape(token)}
		if token == "" {
			call.url = rewrite
		}
		if err := b.call(ctx, call, &answer); err != nil || answer.Done {
			return err
		}
		if token = answer.RewriteToken; token == "" {
			return errors.New("the service answers that it has not copied the object, and not how to go on")
		}
	}
}

// SignedURL implements driver.Bucket.
func (*bucket) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errUnused
}

// Attributes implements driver.Bucket.
func (b *bucket) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	var o object
	if err := b.call(ctx, request{method: http.MethodGet, url: b.objectURL(key)}, &o); err != nil {
		return nil, err
	}
	return &driver.Attributes{
		ContentType: o.ContentType, Metadata: o.Metadata, CreateTime: o.TimeCreated, ModTime: o.Updated, Size: o.Size, MD5: o.md5(), ETag: o.ETag,
	}, nil
}

// ListPaged implements driver.Bucket.
func (b *bucket) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	query := url.Values{"fields": {"nextPageToken,prefixes,items(name,size,updated,md5Hash)"}}
	for name, value := range map[string]string{"prefix": opts.Prefix, "delimiter": opts.Delimiter, "pageToken": string(opts.PageToken)} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if opts.PageSize > 0 {
		query.Set("maxResults", strconv.Itoa(opts.PageSize))
	}
	var answer struct {
		Items         []object `json:"items"`
		Prefixes      []string `json:"prefixes"`
		NextPageToken string   `json:"nextPageToken"`
	}
	list := strings.TrimSuffix(b.objectURL(""), "/") + "?" + query.Encode()
	if err := b.call(ctx, request{method: http.MethodGet, url: list}, &answer); err != nil {
		return nil, err
	}
	page := &driver.ListPage{NextPageToken: []byte(answer.NextPageToken)}
	for _, o := range answer.Items {
		page.Objects = append(page.Objects, &driver.ListObject{Key: o.Name, ModTime: o.Updated, Size: o.Size, MD5: o.md5()})
	}
	for _, prefix := range answer.Prefixes {
		page.Objects = append(page.Objects, &driver.ListObject{Key: prefix, IsDir: true})
	}
	slices.SortFunc(page.Objects, func(x, y *driver.ListObject) int { return strings.Compare(x.Key, y.Key) })
	return page, nil
}

// Delete implements driver.Bucket.
func (b *bucket) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	resp, err := b.do(ctx, request{method: http.MethodDelete, url: b.objectURL(key)}, http.StatusNoContent, http.StatusOK)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// reader implements driver.Reader.
type reader struct {
	io.ReadCloser

	attributes driver.ReaderAttributes
}

// Attributes implements driver.Reader.
func (r *reader) Attributes() *driver.ReaderAttributes { return &r.attributes }

// As implements driver.Reader.
func (*reader) As(any) bool { return false }

// NewRangeReader implements driver.Bucket.
func (b *bucket) NewRangeReader(ctx context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	if length == 0 { // only the attributes are wanted
		a, err := b.Attributes(ctx, key)
		if err != nil {
			return nil, err
		}
		return &reader{http.NoBody, driver.ReaderAttributes{ContentType: a.ContentType, ModTime: a.ModTime, Size: a.Size}}, nil
	}
	// An object is sent as it is stored.
	header := http.Header{"Accept-Encoding": {"gzip"}}
	switch {
	case length > 0:
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := b.do(ctx, request{method: http.MethodGet, url: b.objectURL(key) + "?alt=media", header: header}, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return nil, err
	}
	r := &reader{resp.Body, driver.ReaderAttributes{ContentType: resp.Header.Get("Content-Type"), Size: resp.ContentLength}}
	if _, total, ok := strings.Cut(resp.Header.Get("Content-Range"), "/"); ok {
		if r.attributes.Size, err = strconv.ParseInt(total, 10, 64); err != nil {
			_ = resp.Body.Close()
			return nil, fmt.Errorf("Content-Range %q: %w", resp.Header.Get("Content-Range"), err)
		}
	}
	if modified, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		r.attributes.ModTime = modified
	}
	return r, nil
}

// NewTypedWriter implements driver.Bucket.
func (b *bucket) NewTypedWriter(ctx context.Context, key, contentType string, opts *driver.WriterOptions) (driver.Writer, error) {
	return &writer{
		ctx: ctx, bucket: b, object: object{Name: key, ContentType: contentType, Metadata: opts.Metadata}, ifNotExist: opts.IfNotExist,
	}, nil
}

// writer implements driver.Writer. An object that fits in a chunk is uploaded in one request when the writer is closed, a larger
// one in a session of several requests. The object appears with the last request; a writer whose context has ended leaves nothing.
type writer struct {
	ctx        context.Context //nolint:containedctx // the driver's interface has none in Write and Close
	bucket     *bucket
	object     object
	ifNotExist bool
	chunk      []byte
	session    string // URL of the session, empty before the first chunk is full
	sent       int64
	err        error // of a request; the writer then has less than it was given, so Close must not finish the object
}

// Write implements driver.Writer.
func (w *writer) Write(p []byte) (int, error) {
	written := len(p)
	for len(w.chunk)+len(p) > chunkSize {
		n := chunkSize - len(w.chunk)
		w.chunk = append(w.chunk, p[:n]...)
		p = p[n:]
		if w.err = w.send(false); w.err != nil {
			return 0, w.err
		}
	}
	w.chunk = append(w.chunk, p...)
	return written, nil
}

// Close implements driver.Writer.
func (w *writer) Close() error {
	if err := cmp.Or(w.err, w.ctx.Err()); err != nil {
		return err
	}
	if w.session != "" {
		return w.send(true)
	}
	metadata, err := json.Marshal(w.object)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	for _, part := range []struct {
		contentType string
		data        []byte
	}{{"application/json", metadata}, {w.object.ContentType, w.chunk}} {
		// Writing to a buffer does not fail.
		p, _ := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {part.contentType}})
		_, _ = p.Write(part.data)
	}
	_ = parts.Close()
	stored := object{}
	err = w.bucket.call(w.ctx, request{
		method: http.MethodPost, url: w.uploadURL("multipart"), body: body.Bytes(),
		header: http.Header{"Content-Type": {"multipart/related; boundary=" + parts.Boundary()}},
	}, &stored)
	if err == nil && stored.Name != w.object.Name {
		return errors.New("an answer with HTTP 200 that does not name the object is not the service's")
	}
	return err
}

func (w *writer) uploadURL(uploadType string) string {
	u := w.bucket.endpoint + "/upload/storage/v1/b/" + url.PathEscape(w.bucket.name) + "/o?uploadType=" + uploadType
	if w.ifNotExist {
		u += "&ifGenerationMatch=0"
	}
	return u
}

// send sends the chunk, after beginning the session when there is none.
func (w *writer) send(last bool) error {
	if w.session == "" {
		metadata, err := json.Marshal(w.object)
		if err != nil {
			return err
		}
		resp, err := w.bucket.do(w.ctx, request{
			method: http.MethodPost, url: w.uploadURL("resumable"), body: metadata, header: http.Header{"Content-Type": {"application/json"}},
		}, http.StatusOK)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		w.session = resp.Header.Get("Location")
	}
	for lost := 0; len(w.chunk) > 0; {
		total, wanted := "*", []int{incomplete}
		if last {
			total, wanted = strconv.FormatInt(w.sent+int64(len(w.chunk)), 10), []int{incomplete, http.StatusOK, http.StatusCreated}
		}
		resp, err := w.bucket.do(w.ctx, request{
			method: http.MethodPut, url: w.session, body: w.chunk,
			header: http.Header{"Content-Range": {fmt.Sprintf("bytes %d-%d/%s", w.sent, w.sent+int64(len(w.chunk))-1, total)}},
		}, wanted...)
		if e := (*Error)(nil); errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusGone) {
			return fmt.Errorf("%w (HTTP %d)", ErrLost, e.Status)
		}
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode == incomplete && resp.Header.Get("Range") == "" && lost < maxLost {
			lost++ // it has none of the chunk, or does not say so; what it has already, it ignores
			continue
		}
		kept := int64(len(w.chunk))
		if resp.StatusCode == incomplete { // the service may keep less than it was sent
			end, err := strconv.ParseInt(strings.TrimPrefix(resp.Header.Get("Range"), "bytes=0-"), 10, 64)
			if kept = end + 1 - w.sent; err != nil || kept <= 0 || kept > int64(len(w.chunk)) {
				return fmt.Errorf("the service answers that it has %q of an upload, after %d bytes were sent", resp.Header.Get("Range"), w.sent+int64(len(w.chunk)))
			}
		}
		lost = 0
		w.sent += kept
		w.chunk = w.chunk[kept:]
	}
	return nil
}
