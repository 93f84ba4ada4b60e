// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reach says why another server was not reached, and how long its answer asks to wait.
package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Why says why a server did not answer, as the end of a message, with its colon; empty if the error says nothing that helps a person. It is about the network alone, and
// shows nothing of the call.
func Why(err error) string {
	name, certificate, record := (*net.DNSError)(nil), (*tls.CertificateVerificationError)(nil), tls.RecordHeaderError{}
	proxy, refusal := (*net.OpError)(nil), (*proxyError)(nil)
	another, unknown, invalid := x509.HostnameError{}, x509.UnknownAuthorityError{}, x509.CertificateInvalidError{}
	switch {
	case errors.As(err, &refusal) && refusal.status == http.StatusProxyAuthRequired:
		return ": the proxy in HTTPS_PROXY asks who calls (HTTP 407); its URL may have a name and a password, as in http://NAME:PASSWORD@HOST"
	case errors.As(err, &refusal):
		return fmt.Sprintf(": the proxy in HTTPS_PROXY does not lead there (HTTP %d)", refusal.status)
	case errors.As(err, &proxy) && proxy.Op == "proxyconnect": // whatever follows is about the proxy
		return ": the proxy in HTTPS_PROXY could not be reached"
	case errors.As(err, &name) && name.IsNotFound:
		return ": its host has no address in DNS"
	case errors.As(err, &name):
		return ": DNS did not answer for its host"
	case errors.Is(err, syscall.ECONNREFUSED):
		return ": the connection was refused; nothing listens at its port"
	case errors.As(err, &another):
		return ": the certificate there is for another host"
	case errors.As(err, &unknown):
		return ": the certificate there is from an authority that Platen does not know, as that of a proxy that reads along, or its chain is not complete"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return ": the certificate there has expired, or is not valid yet by this machine's clock"
	case errors.As(err, &certificate):
		return ": the certificate there is not valid"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return ": what answers there does not speak TLS"
	default:
		return ""
	}
}

// Transport returns a transport as http.DefaultTransport, which goes through the proxy that the environment names. Why knows the errors of the proxy. All callers share it.
var Transport = sync.OnceValue(func() http.RoundTripper {
	usual, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	transport := usual.Clone()
	transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
		if answer.StatusCode != http.StatusOK {
			return &proxyError{answer.StatusCode}
		}
		return nil
	}
	return transport
})

// proxyError is the answer of a proxy that leads nowhere.
type proxyError struct{ status int }

// Error implements error.
func (e *proxyError) Error() string { return fmt.Sprintf("the proxy answered HTTP %d", e.status) }

// RetryAfter returns how long an answer asks to wait, at most most; 0 if it does not ask. Its header Retry-After has seconds or a date
// (RFC 9110, 10.2.3). A date is by the clock of the header Date, or else of now.
func RetryAfter(header http.Header, now time.Time, most time.Duration) time.Duration {
	text := header.Get("Retry-After")
	date, err := http.ParseTime(strings.TrimSpace(text))
	if err != nil {
		return Seconds(text, most)
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent // the clock here may be wrong
	}
	return min(max(date.Sub(now), 0), most)
}

// Seconds reads a number of seconds, at most most; 0 if text is none. Some services send 60.0.
func Seconds(text string, most time.Duration) time.Duration {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(seconds > 0) || math.IsInf(seconds, 0) { // NaN is not greater
		return 0
	}
	return time.Duration(min(seconds, most.Seconds()) * float64(time.Second))
}
