// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
)

// WhyUnreachable says why a service did not answer, as the end of a message; empty if the error says nothing that helps a person. It is about
// the network alone, and shows nothing of the call.
func WhyUnreachable(err error) string {
	name, certificate, record := (*net.DNSError)(nil), (*tls.CertificateVerificationError)(nil), tls.RecordHeaderError{}
	another, unknown, invalid := x509.HostnameError{}, x509.UnknownAuthorityError{}, x509.CertificateInvalidError{}
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return ": its host has no address in DNS"
	case errors.As(err, &name):
		return ": DNS did not answer for its host"
	case errors.As(err, &another):
		return ": the certificate there is for another host"
	case errors.As(err, &unknown):
		return ": the certificate there is from an authority that Platen does not know, as that of a proxy that reads along"
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
