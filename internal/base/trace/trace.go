// Package trace reports to an OpenTelemetry collector what a request did, step by
// step: the request, its flow, each use of the database.
//
// A span begins only below another, so if no trace was begun there are none, and
// all of this costs one lookup in the context. What a span may contain is
// fixed here and at its few callers: names of routes and flows, outcomes, codes,
// counts, our own request id. Never what a client sent, an address, or the text
// of an error.
//
// # How it works
//
// Only the public listener and the delivery of mails begin a trace. The message is
// marshalled as TracesData, which is the same on the wire as the request of the
// collector's service: that service's package, and the usual exporter, would add gRPC
// and 5 MB to the binary.
package trace

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// scope is the name under which all spans are made.
const scope = "github.com/gatehouse-auth/gatehouse"

// Step is a span. The zero Step is one of no trace; all its methods do nothing.
type Step struct{ span trace.Span }

// Begin begins a step of the trace that the context is of, if it is of one that
// is taken.
func Begin(ctx context.Context, name string) (context.Context, Step) {
	over := trace.SpanFromContext(ctx)
	if !over.IsRecording() {
		return ctx, Step{}
	}
	ctx, span := over.TracerProvider().Tracer(scope).Start(ctx, name)
	return ctx, Step{span}
}

// Rename gives the step another name, once that is known.
func (s Step) Rename(name string) {
	if s.span != nil {
		s.span.SetName(name)
	}
}

// Set notes a word of ours.
func (s Step) Set(key, value string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// SetInt notes a number.
func (s Step) SetInt(key string, value int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(key, value))
	}
}

// Failed marks the step as one that went wrong for a reason of ours.
func (s Step) Failed(code string) {
	if s.span != nil {
		s.span.SetStatus(codes.Error, code)
	}
}

// End ends the step. Of an error it notes the code; one that is a mistake of
// ours, or a part that is missing, marks the step as failed. A client that left
// is neither.
func (s Step) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		code, f := "failed", fault.As(err)
		switch {
		case f != nil:
			code = f.Code
		case errors.Is(err, context.Canceled):
			code = "gone"
		}
		s.Set("code", code)
		if f == nil && code != "gone" || f != nil && (f.Kind == fault.Internal || f.Kind == fault.Unavailable) {
			s.Failed(code)
		}
	}
	s.span.End()
}

// ID returns the trace's id in hexadecimal digits, or nothing.
func ID(ctx context.Context) string {
	if c := trace.SpanContextFromContext(ctx); c.HasTraceID() {
		return c.TraceID().String()
	}
	return ""
}

// Continue returns a context in which the next trace to begin is part of the one
// that a W3C traceparent names; it is ctx itself if that is malformed. Whoever is
// believed here decides whether a trace is taken: it must not be a stranger.
func Continue(ctx context.Context, traceparent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}
