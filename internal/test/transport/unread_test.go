package transport_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// G3: what net/http refuses by itself leaves a trace: a count of each, and a line of the log
// once a minute at most, with where it came from. What is served, what only connects, and a
// connection that is kept and closed leave none.
func TestCaseG3_RefusalsOfTheServerItselfLeaveATrace(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	at := strings.TrimPrefix(h.App.URL(), "http://")
	send := func(text string) string {
		t.Helper()
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(c, text); err != nil && text != "" {
			t.Logf("sending: %v", err) // the answer may come before all was sent
		}
		_ = c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(c)
		return string(b)
	}
	count := func() string {
		_, text := h.Admin("/metrics")
		for line := range strings.Lines(text) {
			if n, ok := strings.CutPrefix(line, "gatehouse_http_unread_total "); ok {
				return strings.TrimSpace(n)
			}
		}
		return "nothing"
	}
	for range 3 {
		if a := send("GET /healthz HTTP/1.1\r\nHost: " + at + "\r\n\r\nGET /login HTTP/1.1\r\nHost: " + at + "\r\n\r\n"); strings.Count(a, "HTTP/1.1 ") != 2 {
			t.Fatalf("two requests: %q", a)
		}
		send("")
	}
	if n := count(); n != "0" {
		t.Errorf("%s are counted before anything was refused", n)
	}
	for want, text := range map[string]string{
		" 431 ": "GET / HTTP/1.1\r\nHost: " + at + "\r\nX: " + strings.Repeat("a", 60<<10) + "\r\n\r\n",
		" 400 ": "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
		"":      "GET / HTTP/1.1\r\nHos",
	} {
		if a := send(text); !strings.Contains(a, want) {
			t.Errorf("want%s: %.80q", want, a)
		}
	}
	h.Eventually("three are counted", func() (string, bool) { n := count(); return n, n == "3" })
	if n := strings.Count(h.Logs.String(), "refused before they could be read"); n != 1 || !strings.Contains(h.Logs.String(), `"peer":"127.0.0.1:`) {
		t.Errorf("%d lines of the log", n)
	}
}
