package web

import (
	"context"
	"net/http"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
)

// trace begins the request's trace, and returns the context that it is in. Only a
// trusted proxy continues one of its own: a stranger who could would choose the
// ids in our log, and decide by the flag "sampled" what is taken. The header
// tracestate is dropped: it would be text of others' in our spans.
func (s *Stack) trace(x *exchange, r *http.Request) context.Context {
	ctx := r.Context()
	if s.Traces == nil {
		return ctx
	}
	if parent := r.Header["Traceparent"]; x.caller.proxied && len(parent) == 1 {
		ctx = trace.Continue(ctx, parent[0])
	}
	ctx, x.step = s.Traces.Serve(ctx, noRoute)
	x.trace = trace.ID(ctx)
	return ctx
}

// traced ends it. It names the route, never the path.
func (x *exchange) traced(r *http.Request, route string, status int, refusal Problem) {
	if x.trace == "" {
		return
	}
	method := methods[len(methods)-1]
	if slices.Contains(methods, r.Method) {
		method = r.Method
	}
	x.step.Rename(route)
	x.step.Set("http.request.method", method)
	x.step.Set("http.route", route)
	x.step.SetInt("http.response.status_code", status)
	x.step.Set("request_id", x.id)
	if refusal.Code != "" {
		x.step.Set("code", refusal.Code)
	}
	if status >= http.StatusInternalServerError || refusal.Status >= http.StatusInternalServerError {
		x.step.Failed(refusal.Code)
	}
	x.step.End(nil)
}
