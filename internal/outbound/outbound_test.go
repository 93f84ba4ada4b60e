// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestControl(t *testing.T) {
	policy := Policy{Allowed: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	for address, want := range map[string]bool{
		"93.184.216.34:80": true, "93.184.216.34:443": true, "[2606:2800:220:1::1]:443": true,
		"10.1.2.3:8080": true, "[::ffff:10.1.2.3]:80": true,
		"93.184.216.34:22": false, "93.184.216.34:6443": false,
		"127.0.0.1:80": false, "127.8.9.1:80": false, "0.0.0.0:80": false, "[::1]:80": false, "[::]:80": false,
		"10.0.0.1:80": false, "172.16.0.1:80": false, "192.168.1.1:80": false, "10.96.0.1:443": false,
		"169.254.169.254:80": false, "[fe80::1]:80": false, "[fd00:ec2::254]:80": false,
		"100.100.100.200:80": false, "192.0.0.192:80": false, "198.18.0.1:80": false, "240.0.0.1:80": false, "255.255.255.255:80": false,
		"224.0.0.1:80": false, "[ff02::1]:80": false,
		"[::ffff:127.0.0.1]:80": false, "[::ffff:169.254.169.254]:80": false, "[64:ff9b::a9fe:a9fe]:80": false, "[2002:7f00:1::]:80": false,
		"nonsense": false,
	} {
		network := "tcp4"
		if strings.HasPrefix(address, "[") {
			network = "tcp6"
		}
		if err := policy.control(network, address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// through returns a client behind a proxy with a policy.
func through(t *testing.T, policy Policy) (*http.Client, *Proxy) {
	t.Helper()
	p, err := NewProxy(policy, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: p.Address()})}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, p
}

func get(t *testing.T, c *http.Client, target string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

var loopback = Policy{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

func TestProxyRefusesPrivateAddresses(t *testing.T) {
	reached := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(server.Close)
	client, _ := through(t, Policy{})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"} {
		if status, body := get(t, client, "http://"+host+":"+port); status != http.StatusForbidden || strings.Contains(body, "127") {
			t.Errorf("%s: HTTP %d %s", host, status, body)
		}
		if status, body := get(t, client, "https://"+host+":"+port); status != 0 || !strings.Contains(body, "Forbidden") {
			t.Errorf("CONNECT %s: HTTP %d %s", host, status, body)
		}
	}
	if reached {
		t.Error("a refused address was reached")
	}
}

func TestProxyDoesNotFollowRedirects(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	}))
	t.Cleanup(server.Close)
	client, _ := through(t, loopback)
	if status, body := get(t, client, server.URL); status != http.StatusForbidden {
		t.Errorf("HTTP %d %s", status, body)
	}
}

func TestProxyLetsAllowedAddressesThrough(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "plain") }))
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secure") }))
	t.Cleanup(secure.Close)
	client, p := through(t, loopback)
	if status, body := get(t, client, plain.URL); status != http.StatusOK || body != "plain" {
		t.Errorf("HTTP %d %s", status, body)
	}
	transport, ok := secure.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("no transport")
	}
	transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.Address()})
	if status, body := get(t, secure.Client(), secure.URL); status != http.StatusOK || body != "secure" {
		t.Errorf("HTTP %d %s", status, body)
	}
}

func TestProxyAnswersOnlyProxyRequests(t *testing.T) {
	_, p := through(t, Policy{})
	if status, _ := get(t, &http.Client{}, "http://"+p.Address()+"/"); status != http.StatusBadRequest {
		t.Errorf("HTTP %d", status)
	}
}

func TestCloseEndsTunnels(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	p, err := NewProxy(loopback, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", silent.Addr()); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
	p.Close()
	if _, err := io.Copy(io.Discard, reader); err != nil {
		t.Logf("the tunnel ended with %v", err)
	}
}

// names returns a resolver whose DNS server answers each question for an address with the next of answers.
func names(t *testing.T, answers ...[]netip.Addr) *net.Resolver {
	t.Helper()
	server, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = server.Close(); <-done })
	go func() {
		defer close(done)
		buffer := make([]byte, 512)
		for {
			n, client, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if err := message.Unpack(buffer[:n]); err != nil || len(message.Questions) != 1 {
				t.Errorf("a malformed question: %v", err)
				return
			}
			question := message.Questions[0]
			message.Response, message.Authoritative, message.Additionals = true, true, nil
			if question.Type == dnsmessage.TypeA && len(answers) > 0 {
				for _, address := range answers[0] {
					message.Answers = append(message.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
						Body:   &dnsmessage.AResource{A: address.As4()},
					})
				}
				answers = answers[1:]
			}
			packed, err := message.Pack()
			if err != nil {
				t.Errorf("packing an answer: %v", err)
				return
			}
			_, _ = server.WriteTo(packed, client)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// TestNameThatResolvesToAPrivateAddressIsRefused requests one name several times, while its DNS answers change.
func TestNameThatResolvesToAPrivateAddressIsRefused(t *testing.T) {
	allowed, private := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	proxy, err := newProxy(
		Policy{Allowed: []netip.Prefix{netip.PrefixFrom(allowed, 32)}},
		names(t, []netip.Addr{allowed}, []netip.Addr{private}, []netip.Addr{private, allowed}),
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	public, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	port := public.Addr().(*net.TCPAddr).Port
	secret, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Skipf("the port is taken on the other address: %v", err)
	}
	for listener, answer := range map[net.Listener]string{public: "public", secret: "secret"} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
		_ = server.Listener.Close()
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy.Address()})}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	for i, want := range []string{"200 public", "403 Forbidden", "200 public"} {
		// An open connection would be used without a new DNS question.
		proxy.forward.Transport.(*http.Transport).CloseIdleConnections()
		status, body := get(t, client, fmt.Sprintf("http://changing.test:%d/", port))
		if got := fmt.Sprintf("%d %s", status, strings.TrimSpace(body)); got != want {
			t.Errorf("question %d: got %q, want %q", i+1, got, want)
		}
	}
}
