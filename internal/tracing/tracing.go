// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tracing makes OpenTelemetry traces, one for each run of a job, over several processes.
//
// The span of a run has its place by the job alone: the trace ID is that of the job's annotation, or a digest of its UID and generation, and the
// span ID is such a digest. So every process knows the parent of its spans, also after a restart, and before the span of the run exists: the
// manager records it when the run ends.
//
// A traceparent is text as in the header of that name (https://www.w3.org/TR/trace-context/); empty is none, and nothing below it is recorded.
package tracing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// scope names Platen as the maker of spans.
const scope = "github.com/platen-dev/platen"

// runSpan is the name of the span of a run.
const runSpan = "RenderJob"

// header is the header of a traceparent, and w3c reads and writes it. Platen reads no baggage and no tracestate: both may hold anything.
const header = "traceparent"

var w3c = propagation.TraceContext{}

// Tracer makes spans. The nil Tracer makes none.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	// sampler makes spans that go nowhere. They tell whether a span would be sampled.
	sampler trace.Tracer
}

// FromEnvironment returns a Tracer that sends spans as OTEL_EXPORTER_OTLP_ENDPOINT and the other variables of
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/ say; nil if they name no endpoint. It speaks http/protobuf. failed gets the errors of
// the export, which harm nothing else.
func FromEnvironment(ctx context.Context, service, version string, failed func(error)) (*Tracer, error) {
	named := os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") + os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if named == "" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" || os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return nil, nil //nolint:nilnil // the nil Tracer makes no spans
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		if protocol := os.Getenv(name); protocol != "" && protocol != "http/protobuf" {
			return nil, fmt.Errorf("%s: %q is not supported; it must be http/protobuf, which collectors take on port 4318", name, protocol)
		}
	}
	if exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter != "" && exporter != "otlp" {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is not supported; it must be otlp or none", exporter)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failed))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("setting up the export of traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName(service), semconv.ServiceVersion(version)), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	// The processor's queue is bounded (OTEL_BSP_MAX_QUEUE_SIZE, 2048 spans); what finds no room is dropped.
	return New(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about)), nil
}

// New returns a Tracer. OTEL_TRACES_SAMPLER says which runs are traced: by default those that the annotation's traceparent does not exclude.
func New(options ...sdktrace.TracerProviderOption) *Tracer {
	provider := sdktrace.NewTracerProvider(append(options, sdktrace.WithIDGenerator(ids{}))...)
	sampler := sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(ids{}))
	return &Tracer{provider: provider, tracer: provider.Tracer(scope), sampler: sampler.Tracer(scope)}
}

// Close sends what has not been sent yet, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Run is a run of a job: a generation of its spec.
type Run struct {
	UID        string
	Generation int64
	// Traceparent of the span that the job is from, as in its annotation; empty or invalid is none.
	Traceparent string
}

// place returns the context in which a span takes the place of a run's.
func (r Run) place(ctx context.Context) context.Context {
	sum := sha256.Sum256([]byte(r.UID + "/" + strconv.FormatInt(r.Generation, 10)))
	return context.WithValue(remote(ctx, r.Traceparent), placeKey{}, place{trace.TraceID(sum[:16]), trace.SpanID(sum[16:24])})
}

// Traceparent returns that of the span of a run; empty if it is not sampled.
func (t *Tracer) Traceparent(r Run) string {
	if t == nil {
		return ""
	}
	ctx, span := t.sampler.Start(r.place(context.Background()), runSpan)
	defer span.End()
	return Traceparent(ctx)
}

// InRun returns a context for what belongs to a run.
func (t *Tracer) InRun(ctx context.Context, r Run) context.Context {
	if t == nil {
		return ctx
	}
	return remote(ctx, t.Traceparent(r))
}

// Span is what has been done, from Start to End.
type Span struct {
	Name       string
	Start, End time.Time
	// Failure is the reason of a failure; empty is none.
	Failure string
	// Attributes must hold no value that a user gave: no modification, no path, no URL. Names of objects are fine.
	Attributes []attribute.KeyValue
}

// RecordRun records the span of a run. s needs no name.
func (t *Tracer) RecordRun(r Run, s Span) {
	if t == nil {
		return
	}
	s.Name = runSpan
	t.record(r.place(context.Background()), s)
}

// Record records a span below a parent, and returns its traceparent.
func (t *Tracer) Record(parent string, s Span) string {
	if t == nil || parent == "" {
		return ""
	}
	return t.record(remote(context.Background(), parent), s)
}

func (t *Tracer) record(ctx context.Context, s Span) string {
	ctx, span := t.tracer.Start(ctx, s.Name, trace.WithTimestamp(s.Start), trace.WithAttributes(s.Attributes...))
	if s.Failure != "" {
		span.SetStatus(codes.Error, s.Failure)
	}
	span.End(trace.WithTimestamp(s.End))
	return Traceparent(ctx)
}

// Live is a span that goes on. The nil Live is none.
type Live struct{ span trace.Span }

// Begin begins a span below a parent.
func (t *Tracer) Begin(parent, name string, attributes ...attribute.KeyValue) *Live {
	if t == nil || parent == "" {
		return nil
	}
	_, span := t.tracer.Start(remote(context.Background(), parent), name, trace.WithAttributes(attributes...))
	return &Live{span}
}

// Start begins a span in ctx below some spans: the first is its parent, and it links to the others.
func (t *Tracer) Start(ctx context.Context, name string, below ...*Live) (context.Context, *Live) {
	if t == nil || len(below) == 0 || below[0] == nil {
		return ctx, nil
	}
	links := make([]trace.Link, 0, len(below)-1)
	for _, l := range below[1:] {
		links = append(links, trace.Link{SpanContext: l.span.SpanContext()})
	}
	ctx, span := t.tracer.Start(trace.ContextWithSpan(ctx, below[0].span), name, trace.WithLinks(links...))
	return ctx, &Live{span}
}

// End ends the span. failure is the reason of a failure; empty is none.
func (l *Live) End(failure string, attributes ...attribute.KeyValue) {
	if l == nil {
		return
	}
	l.span.SetAttributes(attributes...)
	if failure != "" {
		l.span.SetStatus(codes.Error, failure)
	}
	l.span.End()
}

// Serve begins the span of a request to a server, below that of its client. It returns the request to handle.
func (t *Tracer) Serve(r *http.Request) (*http.Request, *Live) {
	if t == nil {
		return r, nil
	}
	ctx, span := t.tracer.Start(remote(r.Context(), r.Header.Get(header)), r.Method, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(r.Method)))
	return r.WithContext(ctx), &Live{span}
}

// Answered ends the span of Serve. route is a pattern, not the path.
func (l *Live) Answered(route string, status int) {
	if l == nil {
		return
	}
	l.span.SetName(route)
	failure := ""
	if status >= http.StatusInternalServerError {
		failure = strconv.Itoa(status)
	}
	l.End(failure, semconv.HTTPRoute(route), semconv.HTTPResponseStatusCode(status))
}

// Transport returns a transport that makes a span of each request that belongs to one, and sends its traceparent. name names the request; it
// must return none of the user's values.
func (t *Tracer) Transport(next http.RoundTripper, name func(*http.Request) string) http.RoundTripper {
	if t == nil {
		return next
	}
	return transport{t, next, name}
}

type transport struct {
	*Tracer
	next http.RoundTripper
	name func(*http.Request) string
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsSampled() {
		return t.next.RoundTrip(r)
	}
	ctx, span := t.tracer.Start(r.Context(), t.name(r), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(r.Method)))
	defer span.End()
	r = r.Clone(ctx)
	w3c.Inject(ctx, propagation.HeaderCarrier(r.Header))
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		span.SetStatus(codes.Error, "no answer") // the error may name what was asked for
		return nil, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
	if resp.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, strconv.Itoa(resp.StatusCode))
	}
	return resp, nil
}

// Method names a request by its method.
func Method(r *http.Request) string { return r.Method }

// Route names a request by its method and path, for services whose paths are routes.
func Route(r *http.Request) string { return r.Method + " " + r.URL.Path }

// Traceparent returns that of the span in ctx; empty if there is none or it is not sampled.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	return Parent(ctx)
}

// Parent returns the traceparent of the span in ctx, also if it is not sampled: what is below it must not be sampled either. It is empty if there is
// no span.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier[header]
}

// TraceID returns the trace ID in a traceparent, in hexadecimal; empty if it has none.
func TraceID(traceparent string) string {
	if traceparent == "" {
		return ""
	}
	if c := trace.SpanContextFromContext(remote(context.Background(), traceparent)); c.HasTraceID() {
		return c.TraceID().String()
	}
	return ""
}

// remote returns a context below a traceparent.
func remote(ctx context.Context, traceparent string) context.Context {
	return w3c.Extract(ctx, propagation.MapCarrier{header: traceparent})
}

// place is where a run's span is.
type place struct {
	trace trace.TraceID
	span  trace.SpanID
}

// placeKey is the context key of a place.
type placeKey struct{}

// ids gives the span of a run its place, and any other span a random one.
type ids struct{}

// NewIDs implements sdktrace.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (id trace.TraceID, span trace.SpanID) {
	if p, ok := ctx.Value(placeKey{}).(place); ok {
		return p.trace, p.span
	}
	for !id.IsValid() {
		random(id[:])
	}
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) (id trace.SpanID) {
	if p, ok := ctx.Value(placeKey{}).(place); ok {
		return p.span
	}
	for !id.IsValid() {
		random(id[:])
	}
	return id
}

func random(b []byte) {
	for i := range b {
		b[i] = byte(rand.UintN(256)) //nolint:gosec // an ID is no secret
	}
}
