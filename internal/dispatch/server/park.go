// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// answerTimeout bounds the sending of an answer to a parked request.
const answerTimeout = time.Minute

// parking answers requests that wait for long in place of the HTTP server, in which each of them would hold buffers and deep stacks: most render pods
// wait at any time. It is also the HTTP server's listener: a connection returns to the server with its next request.
type parking struct {
	net.Listener
	ctx      context.Context //nolint:containedctx // it lives as long as the server
	log      logr.Logger
	accepted chan acceptance
	// closed ends Accept.
	closed chan struct{}
	close  sync.Once
}

// acceptance is what Accept returns.
type acceptance struct {
	conn net.Conn
	err  error
}

// newParking returns the parking of an HTTP server on a listener. ctx ends no later than the server.
func newParking(ctx context.Context, listener net.Listener, log logr.Logger) *parking {
	p := &parking{Listener: listener, ctx: ctx, log: log, accepted: make(chan acceptance), closed: make(chan struct{})}
	go func() {
		for delivered := true; delivered; {
			conn, err := listener.Accept()
			delivered = p.deliver(acceptance{conn, err})
		}
	}()
	return p
}

// Accept implements net.Listener.
func (p *parking) Accept() (net.Conn, error) {
	select {
	case a := <-p.accepted:
		return a.conn, a.err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *parking) Close() error {
	p.close.Do(func() { close(p.closed) })
	return p.Listener.Close()
}

// deliver lets Accept return a, unless the listener is closed.
func (p *parking) deliver(a acceptance) bool {
	select {
	case p.accepted <- a:
		return true
	case <-p.closed:
		if a.conn != nil {
			_ = a.conn.Close()
		}
		return false
	}
}

// records is a listener whose connections are read one TLS record at a time. A tls.Conn keeps what it has read in a buffer that never shrinks, and
// reads as much as has come: the whole of a file, if the machine is busy.
type records struct{ net.Listener }

// Accept implements net.Listener.
func (l records) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &recordReader{Conn: conn}, nil
}

// recordReader is a connection of which a Read returns the header of a TLS record (RFC 8446, section 5.1) or a part of its content.
type recordReader struct {
	net.Conn
	header [recordHeader]byte
	// inHeader is how much of the header has come, and left, how much of the content has not.
	inHeader, left int
}

// NetConn returns the connection whose records are read.
func (r *recordReader) NetConn() net.Conn { return r.Conn }

// recordHeader is the number of bytes before the content of a record. The last two are its length.
const recordHeader = 5

// Read implements io.Reader.
func (r *recordReader) Read(b []byte) (n int, err error) {
	if r.left > 0 {
		n, err = r.Conn.Read(b[:min(len(b), r.left)])
		r.left -= n
		return n, err
	}
	n, err = r.Conn.Read(b[:min(len(b), recordHeader-r.inHeader)])
	r.inHeader += copy(r.header[r.inHeader:], b[:n])
	if r.inHeader == recordHeader {
		r.inHeader, r.left = 0, int(binary.BigEndian.Uint16(r.header[recordHeader-2:]))
	}
	return n, err
}

// park takes a request without a body from the HTTP server, and sends what answer writes, with the header fields that are set already. The
// context of answer ends when the client goes away.
func (p *parking) park(w http.ResponseWriter, answer func(context.Context, http.ResponseWriter)) {
	reply := &reply{header: w.Header().Clone(), status: http.StatusOK}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.log.Error(err, "Failed to park a request")
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	if buffered.Reader.Buffered() > 0 { // render pods send one request after the other
		_ = conn.Close()
		return
	}
	if r, ok := conn.(*resumed); ok {
		conn = r.Conn
	}
	_ = conn.SetDeadline(time.Time{}) // a connection without deadlines has failed, and Read says so
	ctx, cancel := context.WithCancel(p.ctx)
	sent := make(chan error, 1)
	go func() { sent <- p.answer(conn, reply, func() { answer(ctx, reply) }) }()
	go p.await(cancel, conn, sent)
}

// answer sends a reply that write has written, and gives the client time until its next request.
func (p *parking) answer(conn net.Conn, reply *reply, write func()) error {
	p.recovering(reply, write)
	_ = conn.SetWriteDeadline(time.Now().Add(answerTimeout))
	err := reply.send(conn)
	_ = conn.SetReadDeadline(time.Now().Add(idleTimeout))
	return err
}

// recovering calls f. If f panics, the client is told to try again, as one of an HTTP server would do.
func (p *parking) recovering(reply *reply, f func()) {
	defer func() {
		if problem := recover(); problem != nil {
			p.log.Error(nil, "Answering a render pod panicked", "problem", problem, "stack", string(debug.Stack()))
			reply.header, reply.status = http.Header{}, http.StatusServiceUnavailable
			reply.body.Reset()
		}
	}()
	f()
}

// await waits for the next request of a parked connection and returns it to the HTTP server, or ends what the request waits for when the
// client goes away.
func (p *parking) await(cancel context.CancelFunc, conn net.Conn, sent <-chan error) {
	defer cancel()
	defer context.AfterFunc(p.ctx, func() { _ = conn.Close() })()
	first := make([]byte, 1)
	_, err := conn.Read(first)
	if err != nil {
		cancel()
	}
	if failed := <-sent; err != nil || failed != nil {
		_ = conn.Close()
		return
	}
	_ = conn.SetDeadline(time.Time{}) // as above
	p.deliver(acceptance{conn: &resumed{Conn: conn, first: first}})
}

// resumed is a connection of which a byte was read.
type resumed struct {
	net.Conn
	first []byte
}

// Read implements io.Reader.
func (r *resumed) Read(b []byte) (int, error) {
	if len(r.first) == 0 {
		return r.Conn.Read(b)
	}
	n := copy(b, r.first)
	r.first = r.first[n:]
	return n, nil
}

// NetConn returns the connection of which the byte was read.
func (r *resumed) NetConn() net.Conn { return r.Conn }

// reply is the answer to a parked request. It implements http.ResponseWriter.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *reply) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *reply) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *reply) Write(data []byte) (int, error) { return r.body.Write(data) }

func (r *reply) send(w io.Writer) error {
	buffered := bufio.NewWriter(w)
	response := http.Response{
		StatusCode: r.status, ProtoMajor: 1, ProtoMinor: 1, Header: r.header, ContentLength: int64(r.body.Len()), Body: io.NopCloser(&r.body),
	}
	if err := response.Write(buffered); err != nil {
		return err
	}
	return buffered.Flush()
}
