// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	checksumsName = "checksums.txt"
	signatureName = checksumsName + ".sig"
)

// checksums returns the SHA-256 of each file in the folder, as sha256sum prints them, except for the sums themselves.
func checksums(folder string) ([]byte, error) {
	var sums strings.Builder
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if name == checksumsName || name == signatureName || !entry.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(sum.Sum(nil)), filepath.ToSlash(name))
		return nil
	})
	return []byte(sums.String()), err
}

// sign returns the signature of data as cosign and openssl make it: ECDSA over SHA-256, in DER, in base64. The key is PEM, PKCS #8 or SEC 1.
func sign(data, key []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("the key is no PEM, expected a private key of openssl ecparam -name prime256v1 -genkey")
	}
	private, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the key in the PEM block %q is neither SEC 1 nor PKCS #8", block.Type)
		}
		var ok bool
		if private, ok = parsed.(*ecdsa.PrivateKey); !ok {
			return nil, fmt.Errorf("the key is a %T, expected one of ECDSA", parsed)
		}
	}
	digest := sha256.Sum256(data)
	signature, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
	return []byte(base64.StdEncoding.EncodeToString(signature)), err
}
