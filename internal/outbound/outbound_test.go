// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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
		"[::ffff:127.0.0.1]:80": false, "[::ffff:169.254.169.254]:80": false, "[::127.0.0.1]:80": false, "[::5db8:d822]:80": false,
		"168.63.129.16:80": false, "[::ffff:168.63.129.16]:80": false,
		"[64:ff9b::a9fe:a9fe]:80": false, "[64:ff9b::5db8:d822]:80": false, "[64:ff9b:1::a9fe:a9fe]:80": false,
		"[2002:7f00:1::]:80": false, "[2002:5db8:d822::]:80": false, "[2001:0:4136:e378:8000:63bf:80ff:fffe]:80": false,
		"[2606:2800:220:1::1%eth0]:80": true, "[fe80::1%eth0]:80": false,
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

// TestLongestPrefixDecides has policies with prefixes that contain each other, and addresses that carry others.
func TestLongestPrefixDecides(t *testing.T) {
	for name, test := range map[string]struct {
		allowed, denied string
		want            map[string]bool
	}{
		"public addresses of a cluster": {
			denied: "2606:2800:220:1::/64,93.184.216.0/24",
			want: map[string]bool{
				"[2606:2800:220:1::1]:443": false, "[2606:2800:220:1::1%eth0]:443": false, "[2606:2800:220:2::1]:443": true,
				"93.184.216.34:443": false, "[::ffff:93.184.216.34]:443": false, "93.184.217.34:443": true,
			},
		},
		"a hole in what is allowed": {
			allowed: "10.0.0.0/8", denied: "10.1.0.0/16",
			want: map[string]bool{"10.2.0.1:8080": true, "10.1.0.1:8080": false, "93.184.216.34:443": true},
		},
		"an exception of what is denied": {
			allowed: "10.1.2.3/32", denied: "10.0.0.0/8",
			want: map[string]bool{"10.1.2.3:8080": true, "10.1.2.4:80": false},
		},
		"the same prefix":    {allowed: "10.0.0.0/8", denied: "10.0.0.0/8", want: map[string]bool{"10.0.0.1:80": false}},
		"Azure's WireServer": {allowed: "168.63.129.16/32", want: map[string]bool{"168.63.129.16:80": true}},
		"a cluster with NAT64": {
			allowed: "64:ff9b::/96", denied: "93.184.216.0/24",
			want: map[string]bool{
				"[64:ff9b::5db8:d922]:443": true, "[64:ff9b::5db8:d922]:22": false, "[64:ff9b::5db8:d822]:443": false,
				"[64:ff9b::a9fe:a9fe]:80": false, "[64:ff9b::a83f:8110]:80": false, "[64:ff9b:1::5db8:d922]:443": false,
			},
		},
		"6to4 and Teredo": {
			allowed: "2002::/16,2001::/32",
			want: map[string]bool{
				"[2002:5db8:d922::1]:443": true, "[2002:a00:1::1]:443": false,
				"[2001:0:4136:e378:8000:63bf:a247:26dd]:443": true, "[2001:0:4136:e378:8000:63bf:f5ff:fffe]:443": false,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var policy Policy
			for prefixes, text := range map[*Prefixes]string{&policy.Allowed: test.allowed, &policy.Denied: test.denied} {
				if err := prefixes.Set(text); err != nil {
					t.Fatal(err)
				}
			}
			for address, want := range test.want {
				if err := policy.control("tcp", address, nil); (err == nil) != want {
					t.Errorf("%s: %v, want allowed = %v", address, err, want)
				}
			}
		})
	}
}

func TestWithoutAddsPublicPrefixesOnly(t *testing.T) {
	var cluster, want Policy
	if err := cluster.Denied.Set("10.244.1.0/24,192.168.1.5/32,93.184.216.34/32,2606:2800:220:1::7/64,2606:2800:999::/64"); err != nil {
		t.Fatal(err)
	}
	if err := want.Denied.Set("93.184.216.34/32,2606:2800:220:1::/64"); err != nil {
		t.Fatal(err)
	}
	policy := Policy{Allowed: Prefixes{netip.MustParsePrefix("2606:2800:999::1/128")}}
	got := policy.Without(cluster.Denied).Without(cluster.Denied).Denied
	if !slices.Equal(got, want.Denied) {
		t.Errorf("got %v, want %v", got, want.Denied)
	}
}

func TestNamedAllowsNoOtherAddress(t *testing.T) {
	policy := Policy{
		Allowed: Prefixes{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("93.184.216.0/24"), netip.MustParsePrefix("fd00::/8")},
		Denied:  Prefixes{netip.MustParsePrefix("10.1.2.0/24")},
	}.Named()
	for address, want := range map[string]bool{
		"10.1.1.1:5000": true, "93.184.216.34:80": true, "[fd00::1]:80": true,
		"10.1.2.1:80": false, "10.2.0.1:80": false, "1.1.1.1:80": false, "[2606:4700::1111]:443": false, "127.0.0.1:80": false, "169.254.169.254:80": false,
	} {
		if got := policy.permits(netip.MustParseAddrPort(address)); got != want {
			t.Errorf("%s: %t, want %t", address, got, want)
		}
	}
}

func TestLocalNetworks(t *testing.T) {
	networks, err := LocalNetworks()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(netip.MustParseAddr("127.0.0.1")) }) {
		t.Errorf("the loopback network is missing in %s", networks.String())
	}
	for _, network := range networks {
		if network != network.Masked() || network.Addr().Is6() && network.Bits() > 64 {
			t.Errorf("%s is an address, not a network", network)
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
		if status, body := get(t, client, "http://"+host+":"+port); status != http.StatusBadGateway || strings.Contains(body, "127") {
			t.Errorf("%s: HTTP %d %s", host, status, body)
		}
		if status, body := get(t, client, "https://"+host+":"+port); status != 0 || !strings.Contains(body, "Bad Gateway") {
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
	if status, body := get(t, client, server.URL); status != http.StatusBadGateway {
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

// TestFailuresLookTheSame compares the answers, byte for byte, to requests that fail for different reasons.
func TestFailuresLookTheSame(t *testing.T) {
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	allowed := Policy{Allowed: loopback.Allowed, Resolver: names(t)} // of no name does it know an address
	_ = closed.Close()
	private := netip.MustParseAddr("10.0.0.1")
	failures := []struct {
		name, host string
		policy     Policy
	}{
		{"refused address", "10.0.0.1:80", Policy{}},
		{"refused port", "93.184.216.34:22", Policy{}},
		{"name of a refused address", "internal.test:80", Policy{Resolver: names(t, []netip.Addr{private})}},
		{"name without an address", "internal.test:80", allowed},
		{"nobody listens", closed.Addr().String(), allowed},
	}
	date := regexp.MustCompile(`Date: [^\r]*`)
	for _, request := range []string{
		"CONNECT HOST HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
		"GET http://HOST/ HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
	} {
		var want string
		for _, f := range failures {
			_, proxy := through(t, f.policy)
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", proxy.Address())
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := io.WriteString(conn, strings.ReplaceAll(request, "HOST", f.host)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < failureStep {
				t.Errorf("%s: the answer came after %s, before anybody's", f.name, took)
			}
			got := date.ReplaceAllString(string(answer), "Date: x")
			if want == "" {
				want = got
			}
			if got != want || !strings.HasPrefix(got, "HTTP/1.1 502 ") {
				t.Errorf("%s:\n%s\nwant\n%s", f.name, got, want)
			}
		}
	}
}

// TestNamesAreNotSearchedInTheCluster asks for a name that only the search domains of a pod have.
func TestNamesAreNotSearchedInTheCluster(t *testing.T) {
	for _, test := range []struct {
		policy Policy
		want   string
	}{
		{Policy{}, "platen-dispatch."},
		{Policy{Allowed: Prefixes{netip.MustParsePrefix("10.0.0.0/8")}}, "platen-dispatch"},
	} {
		test.policy.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no DNS server")
		}}
		_, err := test.policy.dial(t.Context(), "tcp", "platen-dispatch:80")
		if dns := (*net.DNSError)(nil); !errors.As(err, &dns) || dns.Name != test.want {
			t.Errorf("got %v, want a question for %s", err, test.want)
		}
	}
}

// TestNameThatResolvesToAPrivateAddressIsRefused requests one name several times, while its DNS answers change.
func TestNameThatResolvesToAPrivateAddressIsRefused(t *testing.T) {
	allowed, private := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	proxy, err := NewProxy(Policy{
		Allowed:  []netip.Prefix{netip.PrefixFrom(allowed, 32)},
		Resolver: names(t, []netip.Addr{allowed}, []netip.Addr{private}, []netip.Addr{private, allowed}),
	}, slog.New(slog.DiscardHandler))
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
	for i, want := range []string{"200 public", "502 " + failure, "200 public"} {
		// An open connection would be used without a new DNS question.
		proxy.forward.Transport.(*http.Transport).CloseIdleConnections()
		status, body := get(t, client, fmt.Sprintf("http://changing.test:%d/", port))
		if got := fmt.Sprintf("%d %s", status, strings.TrimSpace(body)); got != want {
			t.Errorf("question %d: got %q, want %q", i+1, got, want)
		}
	}
}

func TestBlocksTellsFromTheURLAlone(t *testing.T) {
	cluster := Policy{Allowed: Prefixes{netip.MustParsePrefix("10.0.0.0/8")}}
	for target, want := range map[string][2]bool{ // without and with a private network that is allowed
		"http://10.1.2.3/a.png":                   {true, false},
		"https://10.1.2.3:8443/a.png":             {true, false},
		"http://192.168.1.1/a.png":                {true, true},
		"http://[fd00::1]/a.png":                  {true, true},
		"http://127.0.0.1:9000/a.png":             {true, true},
		"http://localhost/a.png":                  {true, true},
		"http://LocalHost:8080/a.png":             {true, true},
		"http://files.localhost/a.png":            {true, true},
		"http://minio.storage.SVC/a.png":          {true, false},
		"http://169.254.169.254/latest":           {true, true},
		"http://minio/a.png":                      {true, false},
		"http://minio.storage.svc/a.png":          {true, false},
		"http://minio.storage.svc.cluster.local.": {true, false},
		"https://files.example.com:8443/a.png":    {true, false},
		"https://files.example.com/a.png":         {false, false},
		"http://8.8.8.8/a.png":                    {false, false},
		"http://8.8.8.8:8080/a.png":               {true, true},
		"data:image/png;base64,AA":                {false, false},
		"logo.png":                                {false, false},
		"http://%zz/":                             {false, false},
	} {
		if got := [2]bool{Policy{}.Blocks(target), cluster.Blocks(target)}; got != want {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
}

// Users choose whom the transport reaches: the headers of an answer take little memory.
func TestHeadersOfAnswersAreBounded(t *testing.T) {
	for name, size := range map[string]int{"long": 32 << 10, "too long": 1 << 20} {
		for _, secure := range []bool{false, true} {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for range size >> 10 {
					w.Header().Add("Padding", strings.Repeat("a", 1<<10))
				}
			}))
			server.EnableHTTP2 = true
			if secure {
				server.StartTLS()
			} else {
				server.Start()
			}
			t.Cleanup(server.Close)
			transport := Policy{Allowed: Prefixes{netip.MustParsePrefix("127.0.0.0/8")}}.Transport()
			transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := transport.RoundTrip(request)
			if err == nil {
				_ = resp.Body.Close()
			}
			if (err == nil) != (name == "long") {
				t.Errorf("%s headers, TLS %v: %v", name, secure, err)
			}
		}
	}
}
