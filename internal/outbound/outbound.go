// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outbound decides which addresses an untrusted page may reach. All requests of a page go through a forward proxy in the
// renderer's process. The proxy resolves names itself and checks the address that it dials, so earlier and later DNS answers do not
// matter.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

const (
	dialTimeout = 10 * time.Second
	// maxConnections bounds the concurrent connections. The proxy answers 503 to others.
	maxConnections = 256
	// maxLife bounds the time of a connection, and maxBytes its response.
	maxLife  = 2 * time.Minute
	maxBytes = 256 << 20
)

// ErrRefused means that the policy does not allow an address.
var ErrRefused = errors.New("only public addresses may be reached, on ports 80 and 443")

// Prefixes is a list of address prefixes, as a flag: 10.1.0.0/16,fd00::/8.
type Prefixes []netip.Prefix

// Set implements flag.Value.
func (p *Prefixes) Set(text string) error {
	*p = nil
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			return fmt.Errorf("'%s' must be an address prefix such as 10.1.0.0/16", part)
		}
		*p = append(*p, prefix)
	}
	return nil
}

// String implements flag.Value.
func (p *Prefixes) String() string {
	parts := make([]string, 0, len(*p))
	for _, prefix := range *p {
		parts = append(parts, prefix.String())
	}
	return strings.Join(parts, ",")
}

// Policy allows public addresses, as IANA's registries of special-purpose addresses define them, on ports 80 and 443, and the
// addresses in Allowed.
type Policy struct {
	// Allowed has prefixes that are allowed on any port, even if they are private.
	Allowed Prefixes
}

// Transport returns a transport that reaches only what the policy allows, for requests to addresses that users choose.
func (p Policy) Transport() *http.Transport {
	return &http.Transport{
		DialContext: p.Dialer().DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: time.Minute,
		IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 8, ForceAttemptHTTP2: true,
	}
}

// control returns an error if the policy does not allow an address. The dialer calls it just before it connects.
func (p Policy) control(network, address string, conn syscall.RawConn) error {
	if target, err := netip.ParseAddrPort(address); err == nil {
		ip := target.Addr().Unmap()
		if slices.ContainsFunc(p.Allowed, func(prefix netip.Prefix) bool { return prefix.Contains(ip) }) {
			return nil
		}
	}
	if err := ssrf.New().Safe(network, address, conn); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// Dialer returns a dialer that connects only to addresses that the policy allows. For others the error is ErrRefused.
func (p Policy) Dialer() *net.Dialer { return &net.Dialer{Timeout: dialTimeout, Control: p.control} }

// Proxy is a forward proxy for one browser.
type Proxy struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	forward  *httputil.ReverseProxy
	listener net.Listener
	server   *http.Server
	log      *slog.Logger
	slots    chan struct{}
	tunnels  sync.WaitGroup
	done     chan struct{}
}

// NewProxy starts a proxy on the loopback interface. The caller must call Close.
func NewProxy(policy Policy, log *slog.Logger) (*Proxy, error) {
	return newProxy(policy, net.DefaultResolver, log)
}

func newProxy(policy Policy, resolver *net.Resolver, log *slog.Logger) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the proxy: %w", err)
	}
	dialer := policy.Dialer()
	dialer.Resolver = resolver
	p := &Proxy{
		dial: dialer.DialContext, listener: listener, log: log,
		slots: make(chan struct{}, maxConnections), done: make(chan struct{}),
	}
	p.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL = r.In.URL },
		Transport: &http.Transport{
			DialContext: p.dial, ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 4,
			DisableCompression: true,
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Body = &bounded{ReadCloser: resp.Body, left: maxBytes}
			return nil
		},
		ErrorHandler: p.failed,
		ErrorLog:     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	p.server = &http.Server{
		Handler: p, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: maxLife, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10,
	}
	go func() {
		defer close(p.done)
		_ = p.server.Serve(listener) // ends with Close
	}()
	return p, nil
}

// Address returns the proxy's address as host:port.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Close ends the proxy and every connection through it.
func (p *Proxy) Close() {
	_ = p.server.Close()
	<-p.done
	p.tunnels.Wait()
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxLife)
	defer cancel()
	switch {
	case r.Method == http.MethodConnect:
		p.tunnel(w, r.WithContext(ctx))
	case r.URL.Scheme == "http" && r.URL.Host != "":
		p.forward.ServeHTTP(w, r.WithContext(ctx))
	default:
		http.Error(w, "this is a proxy", http.StatusBadRequest)
	}
}

func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	if errors.Is(err, ErrRefused) {
		status = http.StatusForbidden
		p.log.Info("a page requested an address that is not allowed", "host", r.Host)
	}
	http.Error(w, http.StatusText(status), status)
}

// tunnel answers CONNECT.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	upstream, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = upstream.Close()
		http.Error(w, "no tunnel", http.StatusInternalServerError)
		return
	}
	p.tunnels.Add(1)
	defer p.tunnels.Done()
	end := func() { _ = client.Close(); _ = upstream.Close() }
	// The server no longer manages a hijacked connection: end it here with the request or the proxy.
	stop := context.AfterFunc(r.Context(), end)
	defer stop()
	defer end()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-p.done:
			end()
		case <-over:
		}
	}()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err == nil {
		var upwards sync.WaitGroup
		upwards.Go(func() {
			_, _ = io.Copy(upstream, buffered)
			end()
		})
		_, _ = io.Copy(client, io.LimitReader(upstream, maxBytes))
		end()
		upwards.Wait()
	}
}

// bounded is a body that fails after left bytes.
type bounded struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the response is too large")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
