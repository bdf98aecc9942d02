package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
)

// statusGone is logged for a client that left before its answer was ready. It
// is nginx's number; nothing is sent.
const statusGone = 499

// exchange is one request and what has become of it. It is the ResponseWriter
// that handlers see.
type exchange struct {
	http.ResponseWriter
	id      string
	started time.Time
	caller  caller
	route   *route // nil if none matched
	status  int    // 0 until the header is written
	bytes   int64
	err     error           // what the handler returned
	gone    bool            // the client left, nothing was written
	patient context.Context // the request's, without a deadline: see Patient
	step    trace.Step      // of its trace, whose id in hexadecimal digits is
	trace   string          // this; empty if there is none
	account string          // whose request it is, once that is known
}

type exchangeKey struct{}

// exchangeOf returns the request's exchange, or nil outside a Stack.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// SetAccount notes whose request it is, for its line in the log (ASVS 16.2.1).
func SetAccount(r *http.Request, id string) {
	if x := exchangeOf(r.Context()); x != nil {
		x.account = id
	}
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader notes the status; an informational one (1xx) is not the answer.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write notes how much of the body was taken.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	return n, err
}

// FlushError sends what was written so far, which fixes the status.
func (x *exchange) FlushError() error {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// clientGone reports whether the error only says that the client has gone.
func clientGone(r *http.Request, err error) bool {
	return errors.Is(err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled)
}

// finish ends a request however it went: it catches a panic, counts and logs.
// It must be deferred itself, since recover works nowhere else.
func (s *Stack) finish(x *exchange, r *http.Request) {
	var stack []byte
	abort := x.gone
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		abort = true
	default:
		s.Metrics.panics.Inc()
		stack = debug.Stack()
		x.err = fmt.Errorf("panic: %v", v)
		if x.status == 0 {
			// A cookie that was set before the mistake belongs to an answer
			// that was never finished.
			x.Header().Del("Set-Cookie")
			s.refuse(x, r, x.err)
		} else {
			abort = true // half an answer must not look like a whole one
		}
	}

	status := x.status
	switch {
	case status != 0:
	case abort:
		status = statusGone
	default:
		status = http.StatusOK // as the server writes for a silent handler
	}
	taken := s.Now().Sub(x.started)
	name, metrics := noRoute, s.Metrics.unmatched
	if x.route != nil {
		name, metrics = x.route.pattern, x.route.metrics
	}
	s.Metrics.inFlight.Dec()
	metrics.observe(r.Method, status, taken)
	s.log(x, r, name, status, taken, stack)
	if abort {
		// The server closes the connection and sends nothing more.
		panic(http.ErrAbortHandler)
	}
}

// log writes the request's one line. It goes round slog.Logger, which would
// look up its caller's line each time.
func (s *Stack) log(x *exchange, r *http.Request, route string, status int, taken time.Duration, stack []byte) {
	var refusal Problem
	if x.err != nil && !x.gone {
		refusal = ProblemOf(r, x.err)
	}
	if s.Failed != nil && refusal.Status >= http.StatusInternalServerError {
		s.Failed(x.err, Origin(r))
	}
	if s.Rejected != nil && x.route != nil && refusal.Status >= http.StatusBadRequest && refusal.Status < http.StatusInternalServerError {
		s.Rejected(refusal.Status, refusal.Code, Origin(r))
	}
	x.traced(r, route, status, refusal)
	level := slog.LevelInfo
	switch worst := max(status, refusal.Status); {
	case s.Quiet && worst < http.StatusBadRequest:
		level = slog.LevelDebug
	case worst == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case worst >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	handler, ctx := s.Log.Handler(), r.Context()
	if !handler.Enabled(ctx, level) {
		return
	}
	// All at once: a record makes room for what it is given at one time.
	attrs := append(make([]slog.Attr, 0, 13),
		slog.String("request_id", x.id),
		slog.String("method", printable(r.Method, 16)),
		slog.String("route", route),
		slog.Int("status", status),
		slog.Int64("bytes", x.bytes),
		slog.Int64("duration_us", taken.Microseconds()),
	)
	if a := x.caller.address; a.IsValid() {
		attrs = append(attrs, slog.String("client", a.String()))
	}
	if x.account != "" {
		attrs = append(attrs, slog.String("account", x.account))
	}
	if x.trace != "" {
		attrs = append(attrs, slog.String("trace_id", x.trace))
	}
	if id := clientRequestID(r); id != "" {
		attrs = append(attrs, slog.String("client_request_id", id))
	}
	if refusal.Code != "" {
		attrs = append(attrs, slog.String("code", refusal.Code))
	}
	if refusal.Status >= http.StatusInternalServerError {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	if stack != nil {
		attrs = append(attrs, slog.String("stack", string(stack)))
	}
	line := slog.NewRecord(x.started.Add(taken), level, "request", 0)
	line.AddAttrs(attrs...)
	_ = handler.Handle(ctx, line) // a log that fails must not fail the request
}

// clientRequestID returns the X-Request-Id that the client sent, if it is one
// of at most 64 letters, digits, dots, underscores and hyphens. It is logged
// next to ours and never used in its place: a client could give many requests
// one id, or another's.
func clientRequestID(r *http.Request) string {
	values := r.Header["X-Request-Id"]
	if len(values) != 1 || len(values[0]) == 0 || len(values[0]) > 64 {
		return ""
	}
	for _, c := range []byte(values[0]) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return ""
		}
	}
	return values[0]
}
