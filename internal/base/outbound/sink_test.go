package outbound_test

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

var at = time.Date(2026, 11, 24, 12, 0, 0, 5000, time.UTC)

func sink(t *testing.T, url string) *outbound.Sink {
	t.Helper()
	s, err := outbound.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// authority writes the certificate of a test's server to a file.
func authority(t *testing.T, s *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// syslogServer reads frames by RFC 5425, one connection at a time, and ends each
// connection after as many as configured.
func syslogServer(t *testing.T, config *tls.Config, each int) (address string, got chan string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got = make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			for range each {
				var n int
				if _, err := fmt.Fscanf(r, "%d ", &n); err != nil || n > 10000 {
					break
				}
				b := make([]byte, n)
				if _, err := io.ReadFull(r, b); err != nil {
					break
				}
				got <- string(b)
			}
			_ = c.Close()
		}
	}()
	return l.Addr().String(), got
}

// rfc5424 is section 6 with what we fill in; %s is the text.
const rfc5424 = `^<86>1 2026-11-24T12:00:00\.000005Z - gatehouse - - - \x{FEFF}%s$`

func TestSyslogOverTLS(t *testing.T) {
	certificate := httptest.NewTLSServer(nil)
	defer certificate.Close()
	address, got := syslogServer(t, &tls.Config{Certificates: certificate.TLS.Certificates, MinVersion: tls.VersionTLS12}, 2)
	s := sink(t, "syslog+tls://"+address+"?ca="+authority(t, certificate))
	send := func(texts ...string) error {
		var lines []outbound.Line
		for _, text := range texts {
			lines = append(lines, outbound.Line{Time: at, Text: text})
		}
		return s.Send(t.Context(), lines)
	}
	if err := send(`{"a":"ü"}`, "two\nlines\n"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"a":"ü"}`, "two lines"} {
		if m := <-got; !regexp.MustCompile(fmt.Sprintf(rfc5424, regexp.QuoteMeta(want))).MatchString(m) {
			t.Errorf("%q is no message of %q", m, want)
		}
	}
	// The server has ended the connection: whoever notices tries again, on a new one.
	arrived := func() bool {
		for range 200 {
			_ = send("again")
			select {
			case m := <-got:
				return strings.HasSuffix(m, "again")
			case <-time.After(50 * time.Millisecond):
			}
		}
		return false
	}
	if !arrived() {
		t.Error("after a lost connection nothing arrives")
	}
	_ = s.Close() // the server talks to one at a time
	// Whose certificate is not the authority's gets nothing.
	if err := sink(t, "syslog+tls://"+address).Send(t.Context(), []outbound.Line{{Time: at, Text: "secret"}}); err == nil {
		t.Error("sent to a server that anybody could be")
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	if err := sink(t, "syslog+tls://"+gone.Addr().String()).Send(t.Context(), []outbound.Line{{Time: at, Text: "x"}}); err == nil {
		t.Error("sent to nobody")
	}
}

func TestHTTPCollector(t *testing.T) {
	var status atomic.Int64
	status.Store(204)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	bodies := make(chan string, 10)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies <- r.Header.Get("Content-Type") + "\n" + string(b)
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	s := sink(t, server.URL+"/in?key=hush&ca="+authority(t, server))
	lines := []outbound.Line{{Time: at, Text: `{"a":1}`}, {Time: at, Text: `{"b":2}`}}
	if err := s.Send(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
	if b := <-bodies; b != "application/x-ndjson\n{\"a\":1}\n{\"b\":2}\n" {
		t.Errorf("sent %q", b)
	}
	for _, bad := range []int64{302, 400, 429, 500} {
		status.Store(bad)
		if err := s.Send(t.Context(), lines); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%d is taken for success, or tells the key: %v", bad, err)
		}
	}
	server.Close()
	if err := s.Send(t.Context(), lines); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("gone: %v", err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "anchor")
	s := sink(t, "file:"+path)
	for _, text := range []string{"one\n", "two"} {
		if err := s.Send(t.Context(), []outbound.Line{{Time: at, Text: text}}); err != nil {
			t.Fatal(err)
		}
	}
	text, ok, err := s.Content()
	if text != "one\ntwo\n" || !ok || err != nil {
		t.Errorf("%q, %t, %v", text, ok, err)
	}
	if err := sink(t, "file:"+filepath.Join(path, "x")).Send(t.Context(), []outbound.Line{{Text: "x"}}); err == nil {
		t.Error("written below a file")
	}
}
