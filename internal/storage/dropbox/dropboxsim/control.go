// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Fault lets Skip requests of a route pass and makes the next Count requests fail.
type Fault struct {
	// Route such as /2/files/upload; empty means every route.
	Route string `json:"route"`
	Skip  int    `json:"skip"`
	// Count of requests; 0 means one.
	Count int `json:"count"`
	// LatencyMillis is how long to wait before anything else.
	LatencyMillis int `json:"latencyMillis"`
	// Status, Body, ContentType and Headers of the answer to give instead of Dropbox's; with Status 0 the request is handled.
	Status      int               `json:"status"`
	Body        string            `json:"body"`
	ContentType string            `json:"contentType"`
	Headers     map[string]string `json:"headers"`
	// Drop says when to drop the connection: "before" the request is handled, "within" its body, or "after" it took effect, so that only
	// the answer is lost.
	Drop string `json:"drop"`
}

// dropAfter is the context key of the function that drops the connection instead of answering.
type dropAfter struct{}

// AddFault adds a fault after the existing ones.
func (s *Server) AddFault(f Fault) {
	if f.Count == 0 {
		f.Count = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// applyFault applies the first fault of the route, and reports whether it has answered the request.
func (s *Server) applyFault(w http.ResponseWriter, r *http.Request) bool {
	fault := s.fault(r.URL.Path)
	if fault == nil {
		return false
	}
	if fault.LatencyMillis > 0 {
		timer := time.NewTimer(time.Duration(fault.LatencyMillis) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	switch {
	case fault.Drop == "before":
		s.record(Entry{Route: r.URL.Path, Fault: true})
		panic(http.ErrAbortHandler) // how net/http lets a handler drop the connection
	case fault.Drop == "within":
		n, _ := io.Copy(io.Discard, io.LimitReader(r.Body, max(r.ContentLength/2, 0)))
		s.record(Entry{Route: r.URL.Path, Bytes: n, Fault: true})
		panic(http.ErrAbortHandler) // as above
	case fault.Drop == "after":
		drop := func() { panic(http.ErrAbortHandler) }
		s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), dropAfter{}, drop)))
		return true
	case fault.Status != 0:
		n, _ := io.Copy(io.Discard, io.LimitReader(r.Body, maxUpload))
		s.record(Entry{Route: r.URL.Path, Status: fault.Status, Bytes: n, Fault: true})
		w.Header().Set("Content-Type", fault.ContentType)
		for name, value := range fault.Headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(fault.Status)
		_, _ = io.WriteString(w, fault.Body)
		return true
	default:
		return false
	}
}

// fault returns the fault that applies to the next request of a route, nil for none, and counts the request.
func (s *Server) fault(route string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Route != "" && f.Route != route {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			return nil
		}
		f.Count--
		if f.Count <= 0 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		}
		return f
	}
	return nil
}

// control registers the routes with which another process controls the simulator.
func (s *Server) control() {
	s.mux.HandleFunc("GET /_sim/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s.mux.HandleFunc("POST /_sim/faults", accept(s.AddFault))
	s.mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) { s.ClearFaults(); w.WriteHeader(http.StatusNoContent) })
	s.mux.HandleFunc("POST /_sim/accounts", accept(s.AddAccount))
	s.mux.HandleFunc("DELETE /_sim/accounts/{appKey}", func(w http.ResponseWriter, r *http.Request) {
		s.RemoveAccount(r.PathValue("appKey"))
		w.WriteHeader(http.StatusNoContent)
	})
	s.mux.HandleFunc("POST /_sim/clock", accept(func(c struct {
		AdvanceSeconds int `json:"advanceSeconds"`
	},
	) {
		s.AdvanceClock(time.Duration(c.AdvanceSeconds) * time.Second)
	}))
	s.mux.HandleFunc("POST /_sim/latency", accept(func(l struct {
		Millis int `json:"millis"`
	},
	) {
		s.SetLatency(time.Duration(l.Millis) * time.Millisecond)
	}))
	s.mux.HandleFunc("GET /_sim/log", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Log()) })
	s.mux.HandleFunc("DELETE /_sim/log", func(w http.ResponseWriter, _ *http.Request) { s.ClearLog(); w.WriteHeader(http.StatusNoContent) })
	s.mux.HandleFunc("GET /_sim/files", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, s.Files(r.URL.Query().Get("account")))
	})
	s.mux.HandleFunc("GET /_sim/file", func(w http.ResponseWriter, r *http.Request) {
		data, ok := s.Content(r.URL.Query().Get("account"), r.URL.Query().Get("path"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(data)
	})
}

// accept returns a handler that decodes a JSON value and applies it.
func accept[T any](apply func(T)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var value T
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRPC))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&value); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		apply(value)
		w.WriteHeader(http.StatusNoContent)
	}
}
