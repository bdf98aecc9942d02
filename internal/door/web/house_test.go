package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// house is a running server with everything that it reports to the operator.
type house struct {
	*httptest.Server
	stack    *Stack
	mux      *http.ServeMux
	registry *prometheus.Registry
	log      *logBuffer
}

// newHouse starts a server by NewServer's settings; change may alter them.
func newHouse(t *testing.T, change func(*Stack, *http.Server)) *house {
	t.Helper()
	h := &house{mux: http.NewServeMux(), registry: prometheus.NewRegistry(), log: &logBuffer{}}
	logger := slog.New(slog.NewJSONHandler(h.log, nil))
	h.stack = &Stack{Log: logger, Metrics: NewMetrics(h.registry), Now: time.Now}
	server := NewServer("", h.stack.Wrap(h.mux), logger)
	if change != nil {
		change(h.stack, server)
	}
	h.Server = httptest.NewUnstartedServer(nil)
	h.Config = server
	h.Start()
	t.Cleanup(h.Close)
	return h
}

func (h *house) handle(pattern string, handler Handler) { h.stack.Handle(h.mux, pattern, handler) }

// logBuffer keeps what is logged, a line each.
type logBuffer struct {
	mu    sync.Mutex
	lines []string
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(p))
	return len(p), nil
}

// line waits for the n-th request's line.
func (b *logBuffer) line(t *testing.T, n int) map[string]any {
	t.Helper()
	for range 500 {
		var found []map[string]any
		b.mu.Lock()
		for _, l := range b.lines {
			var m map[string]any
			if err := json.Unmarshal([]byte(l), &m); err != nil {
				t.Errorf("log line %q: %v", l, err)
			}
			if m["msg"] == "request" {
				found = append(found, m)
			}
		}
		b.mu.Unlock()
		if len(found) > n {
			return found[n]
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no line %d in the log", n)
	return nil
}

func (b *logBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, "")
}

type answer struct {
	status  int
	header  http.Header
	body    string
	closes  bool // the connection, after it
	problem Problem
}

func (a answer) String() string {
	return fmt.Sprintf("%d %s %s field=%q: %s", a.status, a.header.Get("Content-Type"), a.problem.Code, a.problem.Field, a.body)
}

func readAnswer(t *testing.T, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body), closes: resp.Close}
	if resp.Header.Get("Content-Type") == "application/problem+json" && len(body) > 0 {
		if err := json.Unmarshal(body, &a.problem); err != nil {
			t.Fatalf("problem %q: %v", body, err)
		}
		if a.problem.Status != a.status || a.problem.RequestID != resp.Header.Get("X-Request-Id") {
			t.Errorf("the problem %+v does not fit its answer: %d %v", a.problem, a.status, resp.Header)
		}
	}
	return a
}

// do sends a request without following redirects.
func (h *house) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := h.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, resp)
}

// raw sends bytes that no HTTP client would and reads one answer.
func (h *house) raw(t *testing.T, request string) answer {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(h.dial(t, request)), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return readAnswer(t, resp)
}

func (h *house) dial(t *testing.T, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

func ok(w http.ResponseWriter, _ *http.Request) error {
	return WriteJSON(w, http.StatusOK, map[string]string{"state": "ok"})
}
