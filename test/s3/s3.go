// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package s3 serves a bucket of S3's API from memory, for tests and benchmarks of the content store.
package s3

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// readHeaderTimeout bounds the header of a request.
const readHeaderTimeout = 10 * time.Second

// Bucket is the name of the bucket.
const Bucket = "renders"

// Credentials for the environment of the bucket's clients. The server accepts any.
var Credentials = map[string]string{"AWS_ACCESS_KEY_ID": "platen", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}

// Server is a service with one bucket. The caller must call Close.
type Server struct {
	*httptest.Server
	// Requests counts the requests, Received the bytes of their bodies, and Sent those of their answers.
	Requests, Received, Sent atomic.Int64
}

// New starts a server on loopback.
func New() (*Server, error) { return Listen(context.Background(), "127.0.0.1:0") }

// Listen starts a server at a TCP address.
func Listen(ctx context.Context, address string) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	backend := s3mem.New()
	if err := backend.CreateBucket(Bucket); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{}
	handler := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Requests.Add(1)
		r.Body = &bodyCounter{r.Body, &s.Received}
		handler.ServeHTTP(&counter{w, &s.Sent}, r)
	})
	s.Server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: counted, ReadHeaderTimeout: readHeaderTimeout}}
	s.Start()
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

// bodyCounter counts the bytes of a request's body.
type bodyCounter struct {
	io.ReadCloser
	n *atomic.Int64
}

// Read implements io.Reader.
func (c *bodyCounter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}
