package web

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestServerLimits(t *testing.T) {
	s := NewServer("127.0.0.1:0", http.NewServeMux(), slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout < s.ReadHeaderTimeout || s.WriteTimeout < s.ReadTimeout || s.IdleTimeout <= 0 ||
		s.WriteTimeout < DefaultTimeout {
		t.Errorf("timeouts %v, %v, %v, %v do not fit together", s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout)
	}
	h := newHouse(t, nil)
	h.handle("GET /", ok)
	if a := h.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("a", 64<<10)+"\r\n\r\n"); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of header: got %v", a)
	}
}

// A client that never ends its header is dropped.
func TestServerDropsSlowHeader(t *testing.T) {
	h := newHouse(t, func(_ *Stack, s *http.Server) { s.ReadHeaderTimeout = 50 * time.Millisecond })
	h.handle("GET /", ok)
	conn := h.dial(t, "GET / HTTP/1.1\r\nHost: x\r\n")
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || bytes.Contains(got, []byte("200")) {
		t.Errorf("got %q, %v; want a closed connection", got, err)
	}
}

// NET-5: whoever still sends the body of a refused request gets the answer, and no
// reset, where the connection ends with it.
func TestARefusedBodyIsReadBeforeTheConnectionEnds(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("POST /", func(w http.ResponseWriter, r *http.Request) error {
		_, err := readBody(w, r)
		return err
	})
	for _, head := range []string{"POST / HTTP/1.0\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"} {
		conn := h.dial(t, head+"Content-Length: 400000\r\n\r\n")
		for range 4 {
			time.Sleep(20 * time.Millisecond)
			if _, err := io.WriteString(conn, strings.Repeat("a", 100_000)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(conn); err != nil || !bytes.Contains(got, []byte(" 413 ")) {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// NET-1: neither a body that does not end nor a connection that says nothing is
// kept.
func TestServerDropsSlowBodyAndIdleConnections(t *testing.T) {
	h := newHouse(t, func(_ *Stack, s *http.Server) {
		s.ReadTimeout, s.IdleTimeout = 100*time.Millisecond, 100*time.Millisecond
	})
	h.handle("GET /", ok)
	h.handle("POST /", func(w http.ResponseWriter, r *http.Request) error {
		_, err := readBody(w, r)
		return err
	})
	for what, c := range map[string]struct{ request, answer string }{
		"a body without end": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", " 408 "},
		"nothing more":       {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", " 200 "},
	} {
		conn := h.dial(t, c.request)
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || !bytes.Contains(got, []byte(c.answer)) {
			t.Errorf("%s: got %q, %v", what, got, err)
		}
	}
}

func TestServerLog(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := NewServer("", http.NewServeMux(), logger)
	for line, level := range map[string]string{
		"http: TLS handshake error from 192.0.2.1:5: EOF":      "DEBUG",
		"http: Accept error: too many open files; retrying":    "WARN",
		"http: superfluous response.WriteHeader call from x\n": "WARN",
	} {
		out.Reset()
		s.ErrorLog.Print(line)
		got := out.String()
		if !strings.Contains(got, `"level":"`+level+`"`) || !strings.Contains(got, strings.TrimSpace(line)+`"`) || strings.Count(got, "\n") != 1 {
			t.Errorf("%q was logged as %s", line, got)
		}
	}
}
