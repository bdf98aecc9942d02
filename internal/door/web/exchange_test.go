package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// ASVS 16.5.4, 16.5.1: a panic is the request's own, and shows nothing.
func TestPanic(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("GET /before", func(w http.ResponseWriter, _ *http.Request) error {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "half-made"})
		panic("the secret is hunter2")
	})
	h.handle("GET /after", func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, strings.Repeat("x", 100))
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		panic([]int{1}) // a value that can't be compared
	})
	h.handle("GET /abort", func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) })
	h.handle("GET /ok", ok)

	a := h.do(t, "GET", "/before", "")
	if a.status != 500 || a.problem.Code != "internal_error" || strings.Contains(a.body, "hunter2") || a.header.Get("Set-Cookie") != "" {
		t.Errorf("panic before writing: %v, cookie %q", a, a.header.Get("Set-Cookie"))
	}
	if !strings.Contains(a.problem.Detail, a.problem.RequestID) {
		t.Errorf("the detail %q does not quote the request id", a.problem.Detail)
	}
	line := h.log.line(t, 0)
	if line["level"] != "ERROR" || line["error"] != "panic: the secret is hunter2" ||
		!strings.Contains(fmt.Sprint(line["stack"]), "exchange_test.go") || line["code"] != "internal_error" {
		t.Errorf("panic before writing was logged as %v", line)
	}

	resp, err := h.Client().Get(h.URL + "/after")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("half an answer was ended as if it were whole")
	}
	_ = resp.Body.Close()
	if line := h.log.line(t, 1); line["level"] != "ERROR" || line["status"] != 200.0 || line["stack"] == nil {
		t.Errorf("panic after writing was logged as %v", line)
	}

	if got, err := io.ReadAll(h.dial(t, "GET /abort HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil || len(got) != 0 {
		t.Errorf("ErrAbortHandler: got %q, %v, want a closed connection", got, err)
	}
	if line := h.log.line(t, 2); line["level"] != "INFO" || line["status"] != 499.0 || line["stack"] != nil {
		t.Errorf("ErrAbortHandler was logged as %v", line)
	}
	if a := h.do(t, "GET", "/ok", ""); a.status != 200 {
		t.Errorf("the server did not survive: %v", a)
	}
	if got := h.metric(t, "gatehouse_http_panics_total", nil); got != 2 {
		t.Errorf("%v panics counted, want 2", got)
	}
	if strings.Contains(h.log.text(), "http: panic serving") {
		t.Error("net/http saw the panic")
	}
}

func TestTimeout(t *testing.T) {
	h := newHouse(t, func(s *Stack, _ *http.Server) { s.Timeout = 30 * time.Millisecond })
	h.handle("GET /slow", func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return fmt.Errorf("read the account: %w", r.Context().Err())
	})
	a := h.do(t, "GET", "/slow", "")
	if a.status != 503 || a.problem.Code != "timed_out" || a.header.Get("Retry-After") != "1" {
		t.Errorf("got %v, Retry-After %q", a, a.header.Get("Retry-After"))
	}
	line := h.log.line(t, 0)
	if line["level"] != "WARN" || line["error"] != "read the account: context deadline exceeded" {
		t.Errorf("logged as %v", line)
	}
}

func TestClientGone(t *testing.T) {
	h := newHouse(t, nil)
	entered := make(chan struct{})
	h.handle("GET /wait", func(_ http.ResponseWriter, r *http.Request) error {
		close(entered)
		<-r.Context().Done()
		return r.Context().Err()
	})
	conn := h.dial(t, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	if got := h.metric(t, "gatehouse_http_requests_in_flight", nil); got != 1 {
		t.Errorf("%v in flight, want 1", got)
	}
	// Closing our sending half is how the server sees a client leave; the other
	// half stays open to catch what it sends all the same.
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); len(got) != 0 {
		t.Errorf("a client that had gone was sent %q", got)
	}
	line := h.log.line(t, 0)
	if line["status"] != 499.0 || line["level"] != "INFO" || line["error"] != nil {
		t.Errorf("logged as %v", line)
	}
	if got := h.metric(t, "gatehouse_http_requests_in_flight", nil); got != 0 {
		t.Errorf("%v in flight, want 0", got)
	}
}

// A cancellation inside the server is a bug, not a client leaving.
func TestCancelledButNotGone(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("GET /", func(http.ResponseWriter, *http.Request) error { return context.Canceled })
	if a := h.do(t, "GET", "/", ""); a.status != 500 {
		t.Errorf("got %v", a)
	}
}

// ASVS 16.2.1, 16.2.4, 16.2.5, 16.4.1: one line each, with its parts, and
// nothing that a path, query or header may hold.
func TestLogLine(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("GET /v1/sessions/{id}", ok)
	h.handle("POST /broken", func(http.ResponseWriter, *http.Request) error {
		return fault.New(fault.Internal, "x", "store the account").Because(errors.New("disk full"))
	})
	h.handle("GET /busy", func(http.ResponseWriter, *http.Request) error {
		return fault.New(fault.Unavailable, "busy", "Busy.").Because(errors.New("queue of 64 full"))
	})
	h.handle("GET /refused", func(http.ResponseWriter, *http.Request) error {
		return fault.Field("email", "taken", "Taken.").Because(errors.New("cause-of-refusal"))
	})
	h.handle("GET /page", func(w http.ResponseWriter, r *http.Request) error {
		err := fault.New(fault.Internal, "x", "render").Because(errors.New("no template"))
		p := ProblemOf(r, err)
		p.SetHeaders(w.Header())
		w.WriteHeader(p.Status)
		_, _ = io.WriteString(w, "<p>Sorry.")
		return err
	})
	h.do(t, "GET", "/v1/sessions/hunter2?token=hunter2", "", "User-Agent", "hunter2", "Authorization", "Bearer hunter2")
	h.do(t, "GET", "/hunter2?hunter2", "")
	h.raw(t, "HUNTER3HUNTER3HUNTER3 /hunter2 HTTP/1.1\r\nHost: x\r\n\r\n")
	h.do(t, "POST", "/broken", "hunter2")
	h.do(t, "GET", "/busy", "")
	h.do(t, "GET", "/refused", "")
	if a := h.do(t, "GET", "/page", ""); a.status != 500 || a.body != "<p>Sorry." {
		t.Errorf("page: %v", a)
	}
	want := []map[string]any{
		{"level": "INFO", "method": "GET", "route": "GET /v1/sessions/{id}", "status": 200.0, "bytes": 15.0},
		{"level": "INFO", "method": "GET", "route": "none", "status": 404.0, "code": "not_found"},
		{"level": "INFO", "method": "HUNTER3HUNTER3HU", "route": "none", "status": 404.0, "code": "not_found"},
		{"level": "ERROR", "method": "POST", "route": "POST /broken", "status": 500.0, "code": "internal_error", "error": "store the account: disk full"},
		{"level": "WARN", "method": "GET", "route": "GET /busy", "status": 503.0, "code": "busy", "error": "Busy.: queue of 64 full"},
		{"level": "INFO", "method": "GET", "route": "GET /refused", "status": 400.0, "code": "taken"},
		{"level": "ERROR", "method": "GET", "route": "GET /page", "status": 500.0, "code": "internal_error", "error": "render: no template", "bytes": 9.0},
	}
	for i, want := range want {
		got := h.log.line(t, i)
		if d, ok := got["duration_us"].(float64); !ok || d < 0 || got["client"] != "127.0.0.1" {
			t.Errorf("line %d: duration or client missing: %v", i, got)
		}
		for _, name := range []string{"time", "msg", "duration_us", "request_id", "client"} {
			delete(got, name)
		}
		if want["bytes"] == nil {
			delete(got, "bytes")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i, diff)
		}
	}
	if strings.Contains(h.log.text(), "hunter2") || strings.Contains(h.log.text(), "cause-of-refusal") {
		t.Errorf("the log tells too much: %s", h.log.text())
	}
}

// No request line is written below the level that the operator asked for.
func TestLogLevel(t *testing.T) {
	var out bytes.Buffer
	s := &Stack{
		Log:     slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Metrics: NewMetrics(prometheus.NewRegistry()), Now: time.Now,
	}
	mux := http.NewServeMux()
	s.Handle(mux, "GET /", ok)
	s.Wrap(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if out.Len() != 0 {
		t.Errorf("logged %q", out.String())
	}
}

// An informational answer and a flush are seen for what they are.
func TestStatusIsCaptured(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("GET /hints", func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
	h.handle("GET /flushed", func(w http.ResponseWriter, _ *http.Request) error {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		return fault.New(fault.Denied, "no", "No.")
	})
	if a := h.do(t, "GET", "/hints", ""); a.status != 204 {
		t.Errorf("hints: %v", a)
	}
	if a := h.do(t, "GET", "/flushed", ""); a.status != 200 || a.body != "" {
		t.Errorf("flushed: %v", a)
	}
	if s := h.log.line(t, 0)["status"]; s != 204.0 {
		t.Errorf("hints logged with %v", s)
	}
	if s := h.log.line(t, 1)["status"]; s != 200.0 {
		t.Errorf("flushed logged with %v", s)
	}
}
