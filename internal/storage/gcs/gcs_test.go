// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package gcs_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/blobstore"
	"github.com/platen-dev/platen/internal/storage/gcs"
	"github.com/platen-dev/platen/internal/storage/storagetest"
)

const (
	bucketName = "pictures"
	token      = "not-a-secret"
	mebibyte   = 1 << 20
)

// service is Google Cloud Storage's JSON API with one bucket.
type service struct {
	mu      sync.Mutex
	objects map[string]*object
	uploads map[string]*object // by the id of their session
	// answers are statuses that the next requests get, whatever they ask for.
	answers []int
	// keep is the share of the next chunk that a session takes, in 256 KiB; 0 takes all. keepOfLast is that of a last chunk.
	keep, keepOfLast int
	// forget is how many of the next chunks a session takes nothing of.
	forget int
	// gone, if it is not 0, is the status that sessions answer.
	gone int
	// authorized says whether requests need the token.
	authorized bool
}

type object struct {
	Name        string            `json:"name"`
	ContentType string            `json:"contentType"`
	Metadata    map[string]string `json:"metadata"`
	Size        string            `json:"size"`
	Updated     time.Time         `json:"updated"`

	data []byte
}

func newService() *service {
	return &service{objects: map[string]*object{}, uploads: map[string]*object{}}
}

// ServeHTTP implements http.Handler.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, token)
	})
	mux.HandleFunc("GET /storage/v1/b/"+bucketName+"/o", s.list)
	mux.HandleFunc("GET /storage/v1/b/"+bucketName+"/o/{name}", s.get)
	mux.HandleFunc("POST /storage/v1/b/"+bucketName+"/o/{from}/rewriteTo/b/"+bucketName+"/o/{to}", s.rewrite)
	mux.HandleFunc("DELETE /storage/v1/b/"+bucketName+"/o/{name}", s.remove)
	mux.HandleFunc("POST /upload/storage/v1/b/"+bucketName+"/o", s.upload)
	mux.HandleFunc("PUT /session/{id}", s.chunk)
	switch {
	case len(s.answers) > 0:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(s.answers[0])
		if s.answers[0] == http.StatusBadRequest { // RFC 6749, 5.2
			_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`))
		}
		s.answers = s.answers[1:]
	case s.authorized && r.URL.Path != "/token" && r.Header.Get("Authorization") != "Bearer "+token:
		w.WriteHeader(http.StatusUnauthorized)
	default:
		mux.ServeHTTP(w, r)
	}
}

func (s *service) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, err := strconv.Atoi(query.Get("maxResults"))
	if err != nil {
		limit = 1000
	}
	answer := map[string]any{}
	var items []*object
	var prefixes []string
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		rest, ok := strings.CutPrefix(name, query.Get("prefix"))
		if !ok || name <= query.Get("pageToken") {
			continue
		}
		if folder, _, ok := strings.Cut(rest, "/"); ok && query.Get("delimiter") == "/" {
			if prefix := query.Get("prefix") + folder + "/"; !slices.Contains(prefixes, prefix) {
				prefixes = append(prefixes, prefix)
			}
			continue
		}
		if len(items) == limit {
			answer["nextPageToken"] = items[limit-1].Name
			break
		}
		items = append(items, s.objects[name])
	}
	answer["items"], answer["prefixes"] = items, prefixes
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *service) get(w http.ResponseWriter, r *http.Request) {
	o := s.objects[r.PathValue("name")]
	switch {
	case o == nil:
		w.WriteHeader(http.StatusNotFound)
	case r.FormValue("alt") == "media":
		w.Header().Set("Content-Type", o.ContentType)
		http.ServeContent(w, r, "", o.Updated, bytes.NewReader(o.data))
	default:
		_ = json.NewEncoder(w).Encode(o)
	}
}

// rewrite copies an object in two calls.
func (s *service) rewrite(w http.ResponseWriter, r *http.Request) {
	from := s.objects[r.PathValue("from")]
	switch {
	case from == nil:
		w.WriteHeader(http.StatusNotFound)
	case r.FormValue("rewriteToken") == "":
		_ = json.NewEncoder(w).Encode(map[string]any{"done": false, "rewriteToken": "go+on"})
	case r.FormValue("rewriteToken") != "go+on":
		w.WriteHeader(http.StatusBadRequest)
	default:
		to := *from
		to.Name = r.PathValue("to")
		s.objects[to.Name] = &to
		_ = json.NewEncoder(w).Encode(map[string]any{"done": true})
	}
}

func (s *service) remove(w http.ResponseWriter, r *http.Request) {
	if s.objects[r.PathValue("name")] == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	delete(s.objects, r.PathValue("name"))
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) upload(w http.ResponseWriter, r *http.Request) {
	o := &object{}
	var media []byte
	body := io.Reader(r.Body)
	if r.FormValue("uploadType") == "multipart" {
		_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil {
			panic(err)
		}
		parts := multipart.NewReader(r.Body, params["boundary"])
		body, _ = parts.NextPart()
		if err := json.NewDecoder(body).Decode(o); err != nil {
			panic(err)
		}
		part, err := parts.NextPart()
		if err != nil {
			panic(err)
		}
		media, _ = io.ReadAll(part)
	} else if err := json.NewDecoder(body).Decode(o); err != nil {
		panic(err)
	}
	if r.FormValue("ifGenerationMatch") == "0" && s.objects[o.Name] != nil {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	if r.FormValue("uploadType") == "multipart" {
		o.data = media
		s.finish(w, o)
		return
	}
	id := strconv.Itoa(len(s.uploads))
	s.uploads[id] = o
	w.Header().Set("Location", "http://"+r.Host+"/session/"+id)
}

func (s *service) chunk(w http.ResponseWriter, r *http.Request) {
	if s.gone > 0 {
		w.WriteHeader(s.gone)
		return
	}
	o := s.uploads[r.PathValue("id")]
	data, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	var first, last int
	var total string
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/%s", &first, &last, &total); err != nil || first != len(o.data) || last-first+1 != len(data) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	keep := &s.keep
	if total != "*" {
		keep = &s.keepOfLast
	}
	switch {
	case s.forget > 0:
		s.forget--
		data = nil
	case *keep > 0:
		data = data[:*keep*256<<10]
		*keep = 0
	case total != "*":
		o.data = append(o.data, data...)
		s.finish(w, o)
		return
	case len(data)%(256<<10) != 0:
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	o.data = append(o.data, data...)
	w.Header().Set("Content-Type", "text/html; charset=UTF-8") // as the service says, although there is no page
	if len(data) > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(o.data)-1))
	}
	w.WriteHeader(http.StatusPermanentRedirect)
}

func (s *service) finish(w http.ResponseWriter, o *object) {
	o.Size, o.Updated = strconv.Itoa(len(o.data)), time.Now()
	s.objects[o.Name] = o
	_ = json.NewEncoder(w).Encode(o)
}

// transport sends every request to the service, whatever its host.
type transport struct{ service http.Handler }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	t.service.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

// serviceAccountKey returns the JSON key of a service account, as a person downloads it.
func serviceAccountKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "private_key": string(encoded), "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func openProvider(t *testing.T, s *service, bucket, key string) *blobstore.Bucket {
	t.Helper()
	s.authorized = true
	provider, err := blobstore.OpenGCS(t.Context(), blobstore.GCS{Bucket: bucket, ServiceAccountKey: key}, transport{s}, metrics.Uploads{})
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

func TestProvider(t *testing.T) {
	key := serviceAccountKey(t)
	storagetest.Run(t, func(t *testing.T) storagetest.Service {
		t.Helper()
		s := newService()
		return storagetest.Service{Provider: openProvider(t, s, bucketName, key), Files: func(*testing.T) map[string]string {
			files := map[string]string{}
			for name, o := range s.objects {
				files["/"+name] = string(o.data)
			}
			return files
		}}
	})
}

// TestLargeFileThatAppearsMeanwhile uploads a file whose path is taken between the look and the write.
func TestLargeFileThatAppearsMeanwhile(t *testing.T) {
	s := newService()
	provider := openProvider(t, s, bucketName, serviceAccountKey(t))
	if _, err := provider.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.objects["film.mp4"] = &object{Name: "film.mp4", Size: "5", data: []byte("other")}
	s.answers = []int{http.StatusNotFound}
	f := storagetest.File(t, "/film.mp4", bytes.Repeat([]byte("0123456789abcdef"), 17*mebibyte/16))
	f.ConflictPolicy = storage.Rename
	result := storagetest.UploadOne(t.Context(), provider, f)
	if result.Err != nil || result.Path != "/film (1).mp4" {
		t.Errorf("got %+v", result)
	}
}

func TestProviderErrors(t *testing.T) {
	key := serviceAccountKey(t)
	for name, test := range map[string]struct {
		bucket  string
		answers []int
		want    string
	}{
		"no bucket":         {bucket: "nothing-here", want: "BucketNotFound"},
		"token refused":     {bucket: bucketName, answers: []int{http.StatusBadRequest}, want: "InvalidCredentials"},
		"no token for now":  {bucket: bucketName, answers: []int{http.StatusBadGateway}, want: "Unavailable"},
		"no rights":         {bucket: bucketName, answers: []int{http.StatusOK, http.StatusForbidden}, want: "AccessDenied"},
		"too many requests": {bucket: bucketName, answers: []int{http.StatusOK, http.StatusTooManyRequests}, want: "RateLimited"},
		"unavailable":       {bucket: bucketName, answers: []int{http.StatusOK, http.StatusBadGateway}, want: "Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService()
			provider := openProvider(t, s, test.bucket, key)
			if len(test.answers) > 1 { // the token is there already
				if _, err := provider.Verify(t.Context()); err != nil {
					t.Fatal(err)
				}
				test.answers = test.answers[1:]
			}
			s.answers = test.answers
			_, err := provider.Verify(t.Context())
			if got := string(storage.AsError(err).Reason); err == nil || got != test.want {
				t.Errorf("reason %q of %v, want %q", got, err, test.want)
			}
		})
	}
}

// openURL opens the bucket as the content store does, with the service as the emulator.
func openURL(t *testing.T, s *service) *blob.Bucket {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL, "http://"))
	bucket, err := blob.OpenBucket(t.Context(), "gs://"+bucketName)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	return bucket
}

func TestObjects(t *testing.T) {
	s := newService()
	bucket := openURL(t, s)
	options := &blob.WriterOptions{ContentType: "image/png", Metadata: map[string]string{"contenthash": "abc"}}
	for _, key := range []string{"jobs/a/1.png", "jobs/a b/ü?#.png", "other"} {
		if err := bucket.WriteAll(t.Context(), key, []byte("hello "+key), options); err != nil {
			t.Fatal(err)
		}
	}
	attributes, err := bucket.Attributes(t.Context(), "jobs/a b/ü?#.png")
	if err != nil {
		t.Fatal(err)
	}
	if attributes.ContentType != "image/png" || attributes.Metadata["contenthash"] != "abc" || attributes.Size != int64(len("hello jobs/a b/ü?#.png")) {
		t.Errorf("attributes %+v", attributes)
	}
	for name, test := range map[string]struct {
		offset, length int64
		want           string
	}{
		"whole":      {length: -1, want: "hello jobs/a/1.png"},
		"beginning":  {length: 5, want: "hello"},
		"middle":     {offset: 6, length: 4, want: "jobs"},
		"end":        {offset: 6, length: -1, want: "jobs/a/1.png"},
		"attributes": {},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := bucket.NewRangeReader(t.Context(), "jobs/a/1.png", test.offset, test.length, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			data, err := io.ReadAll(r)
			if err != nil || string(data) != test.want || r.Size() != 18 || r.ContentType() != "image/png" {
				t.Errorf("read %q of %d bytes of %s, %v", data, r.Size(), r.ContentType(), err)
			}
		})
	}
	page, _, err := bucket.ListPage(t.Context(), blob.FirstPageToken, 10, &blob.ListOptions{Delimiter: "/"})
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(page))
	for _, o := range page {
		names = append(names, o.Key)
	}
	if diff := cmp.Diff([]string{"jobs/", "other"}, names); diff != "" {
		t.Errorf("the top of the bucket (-want +got):\n%s", diff)
	}
	first, token, err := bucket.ListPage(t.Context(), blob.FirstPageToken, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := bucket.ListPage(t.Context(), token, 2, nil)
	if err != nil || len(first) != 2 || len(second) != 1 {
		t.Errorf("pages of %d and %d objects, %v", len(first), len(second), err)
	}
	if err := bucket.Delete(t.Context(), "other"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"reading":  func() error { _, err := bucket.ReadAll(t.Context(), "other"); return err }(),
		"deleting": bucket.Delete(t.Context(), "other"),
	} {
		if gcerrors.Code(err) != gcerrors.NotFound {
			t.Errorf("%s an object that is gone: %v", what, err)
		}
	}
}

func TestCopy(t *testing.T) {
	bucket := openURL(t, newService())
	if err := bucket.WriteAll(t.Context(), "jobs/a b/1.png", []byte("hello"), &blob.WriterOptions{ContentType: "image/png"}); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Copy(t.Context(), "cache/ü/1.png", "jobs/a b/1.png", nil); err != nil {
		t.Fatal(err)
	}
	if data, err := bucket.ReadAll(t.Context(), "cache/ü/1.png"); err != nil || string(data) != "hello" {
		t.Errorf("the copy has %q, %v", data, err)
	}
	if err := bucket.Copy(t.Context(), "b.png", "nothing.png", nil); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("copying nothing: %v", err)
	}
}

func TestLargeObject(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 40*mebibyte/16)
	data = append(data, "end"...)
	for name, test := range map[string]struct{ keep, keepOfLast, forget int }{
		"whole chunks": {}, "part of a chunk is kept": {keep: 3}, "part of the last chunk is kept": {keepOfLast: 3}, "a chunk is lost": {forget: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService()
			s.keep, s.keepOfLast, s.forget = test.keep, test.keepOfLast, test.forget
			bucket := openURL(t, s)
			if err := bucket.WriteAll(t.Context(), "film.mp4", data, nil); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.objects["film.mp4"].data, data) {
				t.Errorf("the service has %d bytes, and not those that were written", len(s.objects["film.mp4"].data))
			}
			taken := bucket.WriteAll(t.Context(), "film.mp4", data, &blob.WriterOptions{IfNotExist: true})
			if gcerrors.Code(taken) != gcerrors.FailedPrecondition {
				t.Errorf("writing where an object exists: %v", taken)
			}
		})
	}
}

// A writer that has lost a chunk must not leave the rest as the object.
func TestLargeObjectThatFails(t *testing.T) {
	s := newService()
	bucket := openURL(t, s)
	w, err := bucket.NewWriter(t.Context(), "film.mp4", &blob.WriterOptions{ContentType: "video/mp4"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 20*mebibyte)); err != nil {
		t.Fatal(err)
	}
	s.answers = []int{http.StatusForbidden}
	_, failed := w.Write(make([]byte, 20*mebibyte))
	if closed := w.Close(); failed == nil || closed == nil || len(s.objects) > 0 {
		t.Errorf("writing: %v, closing: %v, and the bucket has %d objects", failed, closed, len(s.objects))
	}
}

// A service that takes nothing, again and again, must not be sent the same for ever.
func TestLargeObjectOfWhichNothingIsTaken(t *testing.T) {
	s := newService()
	s.forget = 1000
	bucket := openURL(t, s)
	if err := bucket.WriteAll(t.Context(), "film.mp4", make([]byte, 20*mebibyte), nil); err == nil || s.forget < 990 {
		t.Errorf("got %v after %d requests", err, 1000-s.forget)
	}
}

// TestLargeFile uploads a film through what tells the service's answers from those of a proxy.
func TestLargeFile(t *testing.T) {
	s := newService()
	data := bytes.Repeat([]byte("0123456789abcdef"), 17*mebibyte/16)
	result := storagetest.UploadOne(t.Context(), openProvider(t, s, bucketName, serviceAccountKey(t)), storagetest.File(t, "/film.mp4", data))
	if o := s.objects["film.mp4"]; result.Err != nil || o == nil || !bytes.Equal(o.data, data) {
		t.Errorf("got %+v", result)
	}
}

// A session that the service has lost says nothing about the bucket: the next one may end.
func TestLostSession(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusGone} {
		s := newService()
		s.gone = status
		err := storagetest.UploadOne(t.Context(), openProvider(t, s, bucketName, serviceAccountKey(t)), storagetest.File(t, "/film.mp4", make([]byte, 17*mebibyte))).Err
		if got := storage.AsError(err); err == nil || got.Class != storage.Retry || got.Reason != storage.ReasonUnavailable {
			t.Errorf("HTTP %d: %+v", status, got)
		}
	}
}

// Something on the way that answers all requests has stored nothing.
func TestAnswerThatDoesNotNameTheObject(t *testing.T) {
	for _, answer := range []string{`{}`, `{"name":"b.png"}`, `{"status":"ok"}`, ``, `<html></html>`} {
		client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(answer))}, nil
		})}
		if err := gcs.Open(client, bucketName).WriteAll(t.Context(), "a.png", []byte("hello"), nil); err == nil {
			t.Errorf("an upload that is answered with %q succeeds", answer)
		}
	}
}

// The address of a session is all that it takes to write to it.
func TestErrorsDoNotNameTheSession(t *testing.T) {
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			return nil, io.ErrUnexpectedEOF
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Location": {r.URL.String() + "&upload_id=secret"}}, Body: http.NoBody}, nil
	})}
	err := gcs.Open(client, bucketName).WriteAll(t.Context(), "film.mp4", make([]byte, 20*mebibyte), nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestStoreTriesAgain(t *testing.T) {
	s := newService()
	bucket := openURL(t, s)
	s.answers = []int{http.StatusServiceUnavailable, http.StatusTooManyRequests}
	if err := bucket.WriteAll(t.Context(), "a.png", []byte("hello"), nil); err != nil {
		t.Error(err)
	}
	s.answers = []int{http.StatusForbidden, http.StatusForbidden}
	if _, err := bucket.ReadAll(t.Context(), "a.png"); gcerrors.Code(err) != gcerrors.PermissionDenied || len(s.answers) != 1 {
		t.Errorf("%v after %d requests, want PermissionDenied after one", err, 2-len(s.answers))
	}
}

func TestURL(t *testing.T) {
	if _, err := blob.OpenBucket(t.Context(), "gs://pictures?grpc=true"); err == nil || !strings.Contains(err.Error(), "no parameters") {
		t.Errorf("a parameter: %v", err)
	}
}
