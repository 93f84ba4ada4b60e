// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
)

const (
	// provenanceName is the statement, and attestationName the statement with its signature.
	provenanceName  = "provenance.json"
	attestationName = "provenance.intoto.jsonl"

	// buildType says what external parameters mean: those of make dist.
	buildType = "https://platen.dev/make-dist/v1"
	// payloadType of a statement in an envelope.
	payloadType = "application/vnd.in-toto+json"
)

// statement is an in-toto statement (https://github.com/in-toto/attestation, v1) with SLSA provenance (https://slsa.dev/spec/v1.0/provenance).
type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     provenance `json:"predicate"`
}

type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

type provenance struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string         `json:"buildType"`
	ExternalParameters   map[string]any `json:"externalParameters"`
	ResolvedDependencies []resource     `json:"resolvedDependencies"`
}

type runDetails struct {
	Builder struct {
		ID string `json:"id"`
	} `json:"builder"`
}

// envelope is a DSSE envelope (https://github.com/secure-systems-lab/dsse), as cosign verify-blob-attestation and slsa-verifier read it.
type envelope struct {
	PayloadType string              `json:"payloadType"`
	Payload     []byte              `json:"payload"`
	Signatures  []envelopeSignature `json:"signatures"`
}

type envelopeSignature struct {
	Signature string `json:"sig"`
}

// provenance returns the statement that make dist made the files of sums, which are checksums, and the images, from a commit. It has no time: the
// same release has the same provenance.
func (o options) provenance(sums []byte) ([]byte, error) {
	s := statement{Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1"}
	for lines := bufio.NewScanner(bytes.NewReader(sums)); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		if name != provenanceName && name != attestationName { // those of an earlier run
			s.Subject = append(s.Subject, resource{Name: name, Digest: map[string]string{"sha256": sum}})
		}
	}
	for _, path := range o.images {
		reference, digest, err := readArchive(path)
		if err != nil {
			return nil, err
		}
		name := reference[:strings.LastIndex(reference, ":")]
		s.Subject = append(s.Subject, resource{Name: name, Digest: map[string]string{"sha256": strings.TrimPrefix(digest, "sha256:")}})
	}
	s.Predicate.RunDetails.Builder.ID = o.builder
	s.Predicate.BuildDefinition = buildDefinition{
		BuildType: buildType,
		ExternalParameters: map[string]any{
			"source":  map[string]any{"uri": o.source, "commit": o.commit},
			"version": o.version, "imageDigests": o.digests, "pluginPlatforms": o.platforms,
		},
		ResolvedDependencies: []resource{
			{URI: "git+" + o.source, Digest: map[string]string{"gitCommit": o.commit}},
			{URI: "pkg:golang/stdlib@" + strings.TrimPrefix(runtime.Version(), "go")},
		},
	}
	return json.MarshalIndent(s, "", "  ")
}

// attest returns a statement in an envelope that a key signs, as one line.
func attest(statement, key []byte) ([]byte, error) {
	signature, err := sign(encoded(statement), key)
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(envelope{payloadType, statement, []envelopeSignature{{string(signature)}}})
	return append(line, '\n'), err
}

// encoded returns what a signature of a statement's envelope is over: DSSE's pre-authentication encoding.
func encoded(statement []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(statement), statement)
}
