// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/pool"
)

// proof says that a manager has reviewed a token, so that the next one need not: after a hand-over, thousands of pods come at once. It is of no use
// without the token, and as good for as long as the review.
type proof struct {
	Pod     pool.PodID `json:"pod"`
	Expires int64      `json:"expires"`
}

// prove returns a proof with a signature.
func (s *Server) prove(pod pool.PodID, token string, expires time.Time) string {
	data, err := json.Marshal(proof{pod, expires.Unix()})
	if err != nil {
		s.Log.Error(err, "Failed to encode the proof of a review")
		return ""
	}
	body := base64.RawURLEncoding.EncodeToString(data)
	return body + "." + sign(s.PlanKeys()[0], ofProof(body, token))
}

// proven returns the pod of a request's token if the request has a manager's proof of it.
func (s *Server) proven(r *http.Request, token string) (pod pool.PodID, ok bool) {
	body, signature, ok := strings.Cut(r.Header.Get(wire.ReviewHeader), ".")
	if !ok || !s.signed(ofProof(body, token), signature) {
		return pool.PodID{}, false
	}
	var content proof
	data, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(data, &content) != nil {
		return pool.PodID{}, false
	}
	// One that is good for longer than a review is of a manager whose clock was ahead.
	if left := time.Unix(content.Expires, 0).Sub(s.Now()); left <= 0 || left > reviewTTL+clockSkew {
		return pool.PodID{}, false
	}
	return content.Pod, true
}

// ofProof returns what the signature of a proof is of.
func ofProof(body, token string) string {
	hash := sha256.Sum256([]byte(token))
	return "review\n" + body + "\n" + hex.EncodeToString(hash[:])
}
