// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const (
	client    = "00-0123456789abcdef0123456789abcdef-fedcba9876543210-01"
	unsampled = "00-0123456789abcdef0123456789abcdef-fedcba9876543210-00"
)

// newTracer returns a Tracer, as a process has one, and where its spans go.
func newTracer() (*Tracer, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	return New(sdktrace.WithSyncer(spans)), spans
}

func TestProcessesMakeOneTraceOfARun(t *testing.T) {
	for name, tc := range map[string]struct {
		annotation    string
		trace, parent string // of the span of the run; empty is any trace, and no parent
	}{
		"of a request":         {client, "0123456789abcdef0123456789abcdef", "fedcba9876543210"},
		"of its own":           {"", "", "0000000000000000"},
		"with bad traceparent": {"00-" + strings.Repeat("0", 32) + "-fedcba9876543210-01", "", "0000000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			run := Run{UID: "6f3c", Generation: 2, Traceparent: tc.annotation}
			one, ofOne := newTracer()
			other, ofOther := newTracer()
			began := time.Unix(1_700_000_000, 0)
			child := one.Record(one.Traceparent(run), Span{Name: "render", Start: began.Add(time.Second), End: began.Add(2 * time.Second)})
			other.RecordRun(run, Span{Start: began, End: began.Add(3 * time.Second), Failure: "RenderFailed"})
			render, job := ofOne.GetSpans()[0], ofOther.GetSpans()[0]
			if render.Parent.SpanID() != job.SpanContext.SpanID() || render.SpanContext.TraceID() != job.SpanContext.TraceID() {
				t.Errorf("the span %v has the parent %v, want %v", render.SpanContext, render.Parent, job.SpanContext)
			}
			if job.Name != "RenderJob" || job.Status.Description != "RenderFailed" || !job.StartTime.Equal(began) || !job.EndTime.Equal(began.Add(3*time.Second)) {
				t.Errorf("got %+v", job)
			}
			if got := job.SpanContext.TraceID().String(); tc.trace != "" && got != tc.trace || TraceID(child) != got {
				t.Errorf("the trace is %s, want %s; its child says %s", got, tc.trace, child)
			}
			if got := job.Parent.SpanID().String(); got != tc.parent {
				t.Errorf("the parent is %s, want %s", got, tc.parent)
			}
		})
	}
}

func TestRunsDiffer(t *testing.T) {
	tracer, _ := newTracer()
	seen := map[string]Run{}
	for _, run := range []Run{{UID: "a", Generation: 1}, {UID: "a", Generation: 2}, {UID: "b", Generation: 1}, {UID: "a", Generation: 1, Traceparent: client}} {
		parent := tracer.Traceparent(run)
		if before, twice := seen[parent]; twice || parent == "" {
			t.Errorf("%+v and %+v have the traceparent %q", run, before, parent)
		}
		seen[parent] = run
	}
}

func TestSamplerDecidesOnWholeRuns(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
	tracer, spans := newTracer()
	sampled := 0
	for i := range 1000 {
		run := Run{UID: fmt.Sprintf("7b0e4c1a-5d55-4a3e-9c1f-%012d", i), Generation: 1}
		parent := tracer.Traceparent(run)
		spans.Reset()
		tracer.RecordRun(run, Span{})
		tracer.Record(parent, Span{Name: "render"})
		if parent != "" {
			sampled++
		}
		if n := len(spans.GetSpans()); n != 2 && parent != "" || n != 0 && parent == "" {
			t.Fatalf("the run with the traceparent %q has %d spans", parent, n)
		}
	}
	if sampled < 200 || sampled > 300 {
		t.Errorf("%d of 1000 runs are sampled, want about 250", sampled)
	}
	if got := tracer.Traceparent(Run{UID: "a", Traceparent: unsampled}); got != "" {
		t.Errorf("a run that its client does not sample has the traceparent %q", got)
	}
}

func TestTransportSendsTheTraceAndNoValues(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("traceparent")
		w.WriteHeader(http.StatusConflict)
	}))
	tracer, spans := newTracer()
	transport := tracer.Transport(http.DefaultTransport, Method)
	call := func(ctx context.Context) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, server.URL+"/secret-folder/secret-file?token=secret", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := transport.RoundTrip(request); err == nil {
			_ = resp.Body.Close()
		}
		if request.Header.Get("traceparent") != "" {
			t.Error("the caller's request has changed")
		}
	}
	call(t.Context())
	if got != "" || len(spans.GetSpans()) != 0 {
		t.Errorf("a request of no trace sends %q and makes %d spans", got, len(spans.GetSpans()))
	}
	traced := tracer.InRun(t.Context(), Run{UID: "a", Traceparent: client})
	call(traced)
	server.Close()
	call(traced)
	made := spans.GetSpans()
	if len(made) != 2 || !strings.Contains(got, made[0].SpanContext.SpanID().String()) || made[0].Status.Description != "409" || made[1].Status.Description != "no answer" {
		t.Errorf("got %q, %+v", got, made)
	}
	if text := fmt.Sprintf("%+v", made); strings.Contains(text, "secret") {
		t.Errorf("spans have what was asked for: %s", text)
	}
}

func TestServeContinuesTheTraceOfTheClient(t *testing.T) {
	tracer, spans := newTracer()
	for _, tc := range []struct{ header, decided string }{{client, "01"}, {unsampled, "00"}, {"", "01"}} {
		spans.Reset()
		request := httptest.NewRequest(http.MethodPost, "/v1/secret", nil)
		request.Header.Set("traceparent", tc.header)
		served, span := tracer.Serve(request)
		parent := Parent(served.Context())
		span.Answered("POST /v1/{id}", http.StatusInternalServerError)
		if !strings.HasSuffix(parent, "-"+tc.decided) || tc.header != "" && TraceID(parent) != TraceID(tc.header) {
			t.Errorf("a request with %q gives its jobs the traceparent %q", tc.header, parent)
		}
		if made := spans.GetSpans(); (len(made) == 1) != (tc.decided == "01") ||
			len(made) == 1 && (made[0].Name != "POST /v1/{id}" || made[0].SpanKind != trace.SpanKindServer || made[0].Status.Description != "500") {
			t.Errorf("%q: got %+v", tc.header, made)
		}
	}
}

func TestSpansLinkToOtherRuns(t *testing.T) {
	tracer, spans := newTracer()
	one := tracer.Begin(client, "upload", attribute.String("platen.connection", "dropbox"))
	other := tracer.Begin(tracer.Traceparent(Run{UID: "other"}), "upload")
	ctx, commit := tracer.Start(t.Context(), "commit", one, other)
	if TraceID(Traceparent(ctx)) != TraceID(client) {
		t.Errorf("the call has the trace of %q", Traceparent(ctx))
	}
	for _, span := range []*Live{commit, one, other} {
		span.End("")
	}
	made := spans.GetSpans()
	if len(made) != 3 || made[0].Parent.SpanID() != made[1].SpanContext.SpanID() || len(made[0].Links) != 1 || made[0].Links[0].SpanContext.TraceID() != made[2].SpanContext.TraceID() {
		t.Errorf("got %+v", made)
	}
}

func TestNoTracerCostsNothing(t *testing.T) {
	var tracer *Tracer
	ctx, request := t.Context(), httptest.NewRequest(http.MethodPost, "/", nil)
	request.Header.Set("traceparent", client)
	run := Run{UID: "a", Generation: 1, Traceparent: client}
	if n := testing.AllocsPerRun(100, func() {
		parent := tracer.Traceparent(run)
		_ = TraceID(tracer.Record(parent, Span{Name: "render"}))
		tracer.RecordRun(run, Span{})
		live := tracer.Begin(parent, "upload")
		_, call := tracer.Start(ctx, "commit", live)
		call.End("")
		live.End("")
		served, span := tracer.Serve(request)
		_ = Parent(served.Context())
		span.Answered("POST /", http.StatusOK)
		_ = tracer.InRun(ctx, run)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if got := tracer.Transport(http.DefaultTransport, Method); got != http.DefaultTransport {
		t.Error("requests take a detour")
	}
	if err := tracer.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestFromEnvironment(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		on   bool
		want string // in the error
	}{
		"nothing":     {env: nil},
		"on":          {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, on: true},
		"traces only": {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, on: true},
		"none":        {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}},
		"disabled":    {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}},
		"grpc": {
			env:  map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			want: `OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not supported; it must be http/protobuf`,
		},
		"zipkin": {
			env:  map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_TRACES_EXPORTER": "zipkin"},
			want: `OTEL_TRACES_EXPORTER: "zipkin" is not supported; it must be otlp or none`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range tc.env {
				t.Setenv(key, value)
			}
			tracer, err := FromEnvironment(t.Context(), "platen-manager", "v1.2.3", func(error) {})
			if (tracer != nil) != tc.on || (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, %v", tracer, err)
			}
			if err := tracer.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSilentCollectorHoldsNobody lets a collector take spans and not answer.
func TestSilentCollectorHoldsNobody(t *testing.T) {
	release := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer collector.Close()
	defer close(release)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	failures := make(chan error, 100)
	tracer, err := FromEnvironment(t.Context(), "platen-manager", "v1.2.3", func(err error) { failures <- err })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20_000 { // ten times what the queue takes
			tracer.Record(client, Span{Name: "render"})
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("spans wait for the collector")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tracer.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close returns %v, want its deadline", err)
	}
}
