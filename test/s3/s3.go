// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package s3 serves a bucket of S3's API from memory, for tests and benchmarks of the content store.
package s3

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Bucket is the name of the bucket.
const Bucket = "renders"

// Credentials for the environment of the bucket's clients. The server accepts any.
var Credentials = map[string]string{"AWS_ACCESS_KEY_ID": "platen", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}

// Server is a service with one bucket. The caller must call Close.
type Server struct {
	*httptest.Server
	// Requests counts the requests, and Sent the bytes of their answers.
	Requests, Sent atomic.Int64
}

// New starts a server.
func New() (*Server, error) {
	backend := s3mem.New()
	if err := backend.CreateBucket(Bucket); err != nil {
		return nil, err
	}
	s := &Server{}
	handler := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Requests.Add(1)
		handler.ServeHTTP(&counter{w, &s.Sent}, r)
	}))
	return s, nil
}

// BucketURL returns the bucket's URL for gocloud.dev/blob.
func (s *Server) BucketURL() string {
	return "s3://" + Bucket + "?" + url.Values{"region": {"eu-central-1"}, "endpoint": {s.URL}, "use_path_style": {"true"}}.Encode()
}

// counter counts the bytes of an answer.
type counter struct {
	http.ResponseWriter
	n *atomic.Int64
}

// Write implements http.ResponseWriter.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}
