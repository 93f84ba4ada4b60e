// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/dispatch/server"
	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/pool"
)

// A new leader has all pods at once. It reviews the tokens of those that show no proof of an earlier review, or not theirs.
func TestNextManagerBelievesTheProofOfAReview(t *testing.T) {
	first := newWorld(t)
	first.pool.ObservePods("ns", []pool.PodView{{Name: launched, UID: "uid-" + launched}, {Name: other, UID: "uid-" + other}})
	proofOf := func(w *world, pod string) string {
		proof := w.call(http.MethodPost, "/v1/tasks/x/heartbeat", pod, nil, nil).Header().Get(wire.ReviewHeader)
		if proof == "" {
			t.Fatal("an answer after a review has no proof")
		}
		return proof
	}
	proof := proofOf(first, launched)
	stranger := newWorld(t)
	stranger.keys = [][]byte{[]byte("another key")}
	body, signature, _ := strings.Cut(proof, ".")
	data, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	longer := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(data), `"expires":`, `"expires":9`, 1)))
	for name, test := range map[string]struct {
		token, proof string
		after        time.Duration
		reviews      int32
		status       int
	}{
		"the proof of the token":     {launched, proof, 0, 0, http.StatusGone},
		"soon":                       {launched, proof, 4 * time.Minute, 0, http.StatusGone},
		"later than a review counts": {launched, proof, 6 * time.Minute, 1, http.StatusGone},
		"of a clock that was ahead":  {launched, proof, -10 * time.Minute, 1, http.StatusGone},
		"no proof":                   {launched, "", 0, 1, http.StatusGone},
		"no signature":               {launched, body, 0, 1, http.StatusGone},
		"a longer time":              {launched, longer + "." + signature, 6 * time.Minute, 1, http.StatusGone},
		"of another key":             {launched, proofOf(stranger, launched), 0, 1, http.StatusGone},
		"of another pod's token":     {other, proof, 0, 1, http.StatusGone},
		"with a bad token":           {"junk", proof, 0, 1, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			next := newWorld(t)
			next.pool.ObservePods("ns", []pool.PodView{{Name: launched, UID: "uid-" + launched}, {Name: other, UID: "uid-" + other}})
			options := next.server.Options
			options.Now = func() time.Time { return time.Now().Add(test.after) }
			next.http = server.New(options).Handler()
			answer := next.call(http.MethodPost, "/v1/tasks/x/heartbeat", test.token, http.Header{wire.ReviewHeader: {test.proof}}, nil)
			if answer.Code != test.status || next.tokens.reviews.Load() != test.reviews {
				t.Errorf("HTTP %d after %d reviews, want %d after %d", answer.Code, next.tokens.reviews.Load(), test.status, test.reviews)
			}
			if proof := answer.Header().Get(wire.ReviewHeader); (proof != "") != (test.reviews > 0 && test.status != http.StatusUnauthorized) {
				t.Errorf("the answer has the proof %q", proof)
			}
		})
	}
}

func TestPodsShowTheirProof(t *testing.T) {
	w := newWorld(t)
	var shown []string
	stop := w.serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.Header.Get(wire.ReviewHeader))
		w.http.ServeHTTP(rw, r)
	}), &painter{})
	defer stop()
	w.enqueue()
	w.await(pool.Rendered)
	stop()
	if len(shown) < 3 || shown[0] != "" || shown[1] == "" || w.tokens.reviews.Load() != 1 {
		t.Errorf("the pod showed %q, and its token was reviewed %d times; want a proof with all requests but the first", shown, w.tokens.reviews.Load())
	}
}
