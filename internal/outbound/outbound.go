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
	"net/url"
	"slices"
	"strconv"
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
	// failureStep is the unit of time in which a request fails. It is longer than most DNS servers take to answer.
	failureStep = 200 * time.Millisecond
	// maxHeader bounds the headers of an answer to Platen itself, in bytes.
	maxHeader = 64 << 10
)

// failure is the body of the answer to every request that fails.
const failure = "this host does not answer, or it is not a public address on port 80 or 443"

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

// private has addresses outside of IANA's registries that reach a cloud's platform from inside it.
var private = []netip.Prefix{
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's WireServer: the configuration and certificates of the node
}

// Public returns the prefixes that hold all public addresses.
func Public() Prefixes { return Prefixes{netip.MustParsePrefix("0.0.0.0/0"), ssrf.IPv6GlobalUnicast} }

// Private returns the prefixes in Public that are not public.
func Private() Prefixes {
	return slices.Concat(ssrf.IPv4DeniedPrefixes, ssrf.IPv6DeniedPrefixes, private)
}

// Policy allows public addresses, as IANA's registries of special-purpose addresses define them, on ports 80 and 443. Allowed and Denied
// change that. Of their prefixes that contain an address, the longest decides; Denied, if both have it. An IPv6 address that carries an IPv4
// address (NAT64, 6to4, Teredo) is allowed if Allowed contains it and the policy allows what it carries.
type Policy struct {
	// Allowed has prefixes that are allowed on any port, even if they are private.
	Allowed Prefixes
	// Denied has prefixes that are denied, even if they are public.
	Denied Prefixes
	// Resolver resolves names. Default net.DefaultResolver.
	Resolver *net.Resolver
}

// Without returns the policy without the public addresses in prefixes, which belong to the cluster: to nodes and pods. What Allowed names
// stays allowed. Prefixes that the policy does not allow anyway are left out, so that Denied stays short.
func (p Policy) Without(prefixes Prefixes) Policy {
	p.Denied = slices.Clone(p.Denied)
	for _, prefix := range prefixes {
		named := slices.ContainsFunc(p.Allowed, prefix.Overlaps)
		if !named && p.permits(netip.AddrPortFrom(prefix.Addr(), 443)) {
			p.Denied = append(p.Denied, prefix.Masked())
		}
	}
	return p
}

// Named returns the policy without all public addresses: it allows what Allowed names, and nothing else.
func (p Policy) Named() Policy {
	p.Denied = slices.Concat(p.Denied, Public())
	return p
}

// Transport returns a transport that reaches only what the policy allows, for requests to addresses that users choose.
func (p Policy) Transport() *http.Transport {
	return &http.Transport{
		DialContext: p.Dialer().DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: time.Minute,
		IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 8, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeader,
	}
}

// control returns an error if the policy does not allow an address. The dialer calls it just before it connects.
func (p Policy) control(network, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") || !p.permits(target) {
		return ErrRefused
	}
	return nil
}

// permits returns whether the policy allows an address and port.
func (p Policy) permits(target netip.AddrPort) bool {
	ip := target.Addr().Unmap().WithZone("")
	allowed, denied := longest(p.Allowed, ip), longest(p.Denied, ip)
	if inner, ok := carried(ip); ok {
		return allowed > denied && p.permits(netip.AddrPortFrom(inner, target.Port()))
	}
	if allowed >= 0 || denied >= 0 {
		return allowed > denied
	}
	return longest(private, ip) < 0 && ssrf.New().SafeAddrPort(netip.AddrPortFrom(ip, target.Port())) == nil
}

// Blocks reports whether the policy refuses a URL of HTTP, as far as the URL itself tells: its address or port, or a name that only a private
// network knows. It resolves no name, so that the answer tells nothing of one.
func (p Policy) Blocks(target string) bool {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return false
	}
	port := uint64(httpPort)
	if u.Scheme == "https" {
		port = httpsPort
	}
	if text := u.Port(); text != "" {
		if port, err = strconv.ParseUint(text, 10, 16); err != nil {
			return false
		}
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return !p.permits(netip.AddrPortFrom(ip, uint16(port)))
	}
	if len(p.Allowed) > 0 {
		return false // the name may be of an address that is allowed
	}
	private := !strings.Contains(host, ".") || slices.ContainsFunc([]string{".svc", ".local", ".internal"}, func(end string) bool { return strings.HasSuffix(host, end) })
	return private || port != httpPort && port != httpsPort
}

const httpPort, httpsPort = 80, 443

// longest returns the length of the longest prefix that contains ip, or -1.
func longest(prefixes []netip.Prefix, ip netip.Addr) int {
	bits := -1
	for _, prefix := range prefixes {
		if prefix.Contains(ip) {
			bits = max(bits, prefix.Bits())
		}
	}
	return bits
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")      // RFC 4380
	compatible = netip.MustParsePrefix("::/96")          // RFC 4291, section 2.5.5.1
)

// carried returns the IPv4 address to which the network passes on what is sent to an IPv6 address.
func carried(ip netip.Addr) (inner netip.Addr, ok bool) {
	if !ip.Is6() || ip.IsUnspecified() || ip.IsLoopback() {
		return netip.Addr{}, false
	}
	raw := ip.As16()
	last := [4]byte(raw[12:])
	switch {
	case nat64.Contains(ip), nat64Local.Contains(ip), compatible.Contains(ip):
		return netip.AddrFrom4(last), true
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(raw[2:6])), true
	case teredo.Contains(ip):
		for i := range last {
			last[i] ^= 0xff
		}
		return netip.AddrFrom4(last), true
	default:
		return netip.Addr{}, false
	}
}

// LocalNetworks returns the networks of this machine's or pod's interfaces: with IPv6, at least the 64 bits that its neighbours share.
func LocalNetworks() (Prefixes, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of this machine: %w", err)
	}
	var networks Prefixes
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err != nil {
			continue // no IP network
		}
		if prefix.Addr().Is6() && prefix.Bits() > 64 {
			prefix = netip.PrefixFrom(prefix.Addr(), 64)
		}
		networks = append(networks, prefix.Masked())
	}
	return networks, nil
}

// Dialer returns a dialer that connects only to addresses that the policy allows. For others the error is ErrRefused.
func (p Policy) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: p.control, Resolver: p.Resolver}
}

// dial is the dialer of pages. Unless the policy allows private addresses, it does not look for a name in the search domains of the pod: all
// names there are the cluster's.
func (p Policy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(address); err == nil && len(p.Allowed) == 0 && !strings.HasSuffix(host, ".") {
		if _, err := netip.ParseAddr(host); err != nil {
			address = net.JoinHostPort(host+".", port)
		}
	}
	return p.Dialer().DialContext(ctx, network, address)
}

// beginning is the key of the time at which a request came, in its context.
type beginning struct{}

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
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the proxy: %w", err)
	}
	p := &Proxy{
		dial: policy.dial, listener: listener, log: log,
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
		ErrorHandler: p.refuse,
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
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), beginning{}, time.Now()), maxLife)
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

// refuse answers a request that failed. A page learns nothing from it of what a name resolves to: neither the answer nor, within failureStep,
// its time depends on why the request failed.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, ErrRefused) {
		p.log.Info("a page requested an address that is not allowed", "host", r.Host)
	}
	if began, ok := r.Context().Value(beginning{}).(time.Time); ok {
		rest := time.NewTimer(failureStep - time.Since(began)%failureStep)
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-r.Context().Done():
		}
	}
	http.Error(w, failure, http.StatusBadGateway)
}

// tunnel answers CONNECT.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	upstream, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		p.refuse(w, r, err)
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
