// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"
	"time"
)

func TestWhy(t *testing.T) {
	for want, errs := range map[string][]error{
		"":                                  {nil, io.EOF, errors.New("x")},
		": its host has no address in DNS":  {&net.DNSError{Name: "a.example", IsNotFound: true}},
		": DNS did not answer for its host": {&net.DNSError{Name: "a.example", IsTimeout: true}, &net.DNSError{Name: "a.example", Err: "server misbehaving"}},
		": the connection was refused; nothing listens at its port":                        {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}},
		": the certificate there is for another host":                                      {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a.example"}},
		": the certificate there has expired, or is not valid yet by this machine's clock": {x509.CertificateInvalidError{Reason: x509.Expired}},
		": the certificate there is not valid":                                             {&tls.CertificateVerificationError{Err: errors.New("x")}},
		": the proxy in HTTPS_PROXY could not be reached": {
			&net.OpError{Op: "proxyconnect", Err: &net.DNSError{Name: "proxy.example", IsNotFound: true}}, &net.OpError{Op: "proxyconnect", Err: syscall.ECONNREFUSED},
		},
		": what answers there does not speak TLS": {tls.RecordHeaderError{Msg: "x"}, http.ErrSchemeMismatch},
		": the certificate there is from an authority that Platen does not know, as that of a proxy that reads along, or its chain is not complete": {x509.UnknownAuthorityError{}},
	} {
		for _, err := range errs {
			if got := Why(err); got != want {
				t.Errorf("%v: %q, want %q", err, got, want)
			}
			if got := Why(fmt.Errorf("calling it: %w", err)); got != want {
				t.Errorf("%v, wrapped: %q, want %q", err, got, want)
			}
		}
	}
}

// TestProxies calls a server through proxies that lead nowhere.
func TestProxies(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusForbidden:         ": the proxy in HTTPS_PROXY does not lead there (HTTP 403)",
		http.StatusProxyAuthRequired: ": the proxy in HTTPS_PROXY asks who calls (HTTP 407); its URL may have a name and a password, as in http://NAME:PASSWORD@HOST",
	} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		defer proxy.Close()
		transport, ok := Transport().(*http.Transport)
		if !ok {
			t.Fatalf("Transport is a %T", Transport())
		}
		transport = transport.Clone()
		transport.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.example", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: transport}).Do(request)
		if err == nil {
			_ = resp.Body.Close()
		}
		if got := Why(err); got != want {
			t.Errorf("HTTP %d: %v: %q, want %q", status, err, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for name, c := range map[string]struct {
		after, date string
		want        time.Duration
	}{
		"seconds":                 {"15", "", 15 * time.Second},
		"seconds with a fraction": {"60.0", "", time.Minute},
		"spaces":                  {" 15 ", "", 15 * time.Second},
		"a date":                  {"Mon, 04 May 2026 03:07:01 GMT", "", 5 * time.Minute},
		"a date that has passed":  {"Mon, 04 May 2026 03:00:00 GMT", "", 0},
		"a date in years":         {"Mon, 04 May 2099 03:00:00 GMT", "", time.Hour},
		"a clock an hour slow":    {"Mon, 04 May 2026 04:02:31 GMT", "Mon, 04 May 2026 04:02:01 GMT", 30 * time.Second},
		"nothing":                 {"", "", 0},
		"zero":                    {"0", "", 0},
		"a negative number":       {"-5", "", 0},
		"too much":                {"99999999999999999999999", "", time.Hour},
		"no number":               {"soon", "", 0},
		"infinity":                {"Inf", "", 0},
		"NaN":                     {"NaN", "", 0},
	} {
		header := http.Header{"Retry-After": {c.after}, "Date": {c.date}}
		if got := RetryAfter(header, now, time.Hour); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
