package admin_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit/redistest"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// collector takes OpenTelemetry's messages, and keeps their spans.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*spans.Span
	bytes []byte // of all messages
	keys  []string
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var m spans.TracesData // on the wire the same as an ExportTraceServiceRequest
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" ||
			proto.Unmarshal(b, &m) != nil {
			t.Errorf("%s %s %v: no message", r.Method, r.URL, r.Header)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bytes, c.keys = append(c.bytes, b...), append(c.keys, r.Header.Get("Api-Key"))
		for _, resource := range m.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// of returns the spans of a trace, as NAME < PARENT's NAME, sorted.
func (c *collector) of(trace string) (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]string{}
	for _, s := range c.spans {
		names[string(s.SpanId)] = s.Name
	}
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			list = append(list, s.Name+" < "+names[string(s.ParentSpanId)])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// traceOf returns the trace that the log names for a request, and on how many lines.
func traceOf(h *harness.Server, a harness.Answer) (id string, lines int) {
	h.Helper()
	h.LinesOf(a.Header.Get("X-Request-Id"))
	for line := range strings.Lines(h.Logs.String()) {
		if _, after, ok := strings.Cut(line, `"trace_id":"`); ok && strings.Contains(line, a.Header.Get("X-Request-Id")) {
			if id != "" && id != after[:32] {
				h.Errorf("one request, two traces: %s", line)
			}
			id = after[:32]
			lines++
		}
	}
	return id, lines
}

// A request is a trace: web, flow, password, database; a mail is another. Lines of
// the log name it. Nothing of a person is in it.
func TestTraces(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c, s := newCollector(t), mailtest.New(t, mailtest.Options{})
		h := harness.Open(t, dbURL, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_EXPORTER_OTLP_HEADERS=api-key=a%20key", "SMTP_URL="+s.URL,
			"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=tests")
		agent := http.Header{"User-Agent": {"Canary-Browser/1.0"}, "X-Request-Id": {"canary-request"}}
		h.Register("canary@example.org")
		in := h.Do(harness.Request{Method: "POST", Path: "/v1/login", Body: harness.Credentials{Email: "canary@example.org", Password: harness.Passphrase},
			Header: agent})
		wrong := h.Do(harness.Request{Method: "POST", Path: "/v1/login", Body: harness.Credentials{Email: "canary@example.org", Password: "canary wrong password"},
			Header: agent})
		again := h.Refresh(in.Str("refresh_token"))
		me := h.Do(harness.Request{Method: "GET", Path: "/v1/me", Bearer: again.Str("access_token"), Header: agent})
		lost := h.Do(harness.Request{Method: "GET", Path: "/v1/sessions/canary-path?canary=query", Bearer: again.Str("access_token"), Header: agent})

		for _, one := range []struct {
			what  string
			a     harness.Answer
			lines int
			want  []string
		}{
			{"sign-in", in, 2, []string{"POST /v1/login < ", "db.read < sign_in", "db.write < sign_in", "password.hash < sign_in", "sign_in < POST /v1/login"}},
			{"wrong password", wrong, 2, []string{"POST /v1/login < ", "db.read < sign_in", "db.write < sign_in", "password.hash < sign_in",
				"sign_in < POST /v1/login"}},
			{"refresh", again, 2, []string{"POST /v1/token/refresh < ", "db.write < refresh", "refresh < POST /v1/token/refresh"}},
			{"me", me, 1, []string{"GET /v1/me < ", "authenticate < GET /v1/me", "db.read < profile", "profile < GET /v1/me"}},
			{"nothing", lost, 1, []string{"none < "}},
		} {
			id, lines := traceOf(h, one.a)
			if id == "" || lines != one.lines {
				t.Errorf("%s: %d lines of the log name the trace %q, want %d", one.what, lines, id, one.lines)
			}
			h.Eventually(one.what, func() (string, bool) { got := c.of(id); return fmt.Sprint(got), slices.Equal(got, one.want) })
		}
		h.Eventually("a mail", func() (string, bool) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return "", slices.ContainsFunc(c.spans, func(s *spans.Span) bool { return s.Name == "mail.deliver" })
		})
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, secret := range []string{"anary", harness.Passphrase, "127.0.0.1", in.Str("access_token"), in.Str("refresh_token"), again.Str("refresh_token"),
			harness.SecretKey, "tracestate"} {
			if strings.Contains(string(c.bytes), secret) {
				t.Errorf("a span holds %q", secret)
			}
		}
		if c.keys[0] != "a key" || !strings.Contains(string(c.bytes), "deployment.environment.name") {
			t.Errorf("sent %q", c.keys)
		}
	})
}

// Strangers neither choose a trace's id nor whether it is taken; a trusted proxy does.
func TestTracesAreContinuedForTrustedProxiesAlone(t *testing.T) {
	const theirs = "0af7651916cd43dd8448eb211c80319c"
	parent := func(flags string) http.Header {
		return http.Header{"Traceparent": {"00-" + theirs + "-b7ad6b7169203331-" + flags}}
	}
	me := func(h *harness.Server, header http.Header) string {
		id, _ := traceOf(h, h.Do(harness.Request{Method: "GET", Path: "/v1/me", Header: header}))
		return id
	}
	taken := func(c *collector, id string) func() (string, bool) {
		return func() (string, bool) { return id, len(c.of(id)) > 0 }
	}
	t.Run("a stranger", func(t *testing.T) {
		c := newCollector(t)
		h := harness.Open(t, dbtest.SQLite(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL)
		if id := me(h, parent("00")); id == theirs || id == "" {
			t.Errorf("the trace is %q", id)
		} else {
			h.Eventually("a trace that a stranger does not want", taken(c, id))
		}
	})
	t.Run("a stranger, and traces are off", func(t *testing.T) {
		c := newCollector(t)
		h := harness.Open(t, dbtest.SQLite(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_TRACES_SAMPLER=parentbased_always_off")
		id := me(h, parent("01"))
		if err := h.Stop(); err != nil { // which sends what there is
			t.Error(err)
		}
		if id == theirs || len(c.of(id))+len(c.of(theirs)) > 0 {
			t.Error("a stranger has a trace taken")
		}
	})
	t.Run("a proxy", func(t *testing.T) {
		c := newCollector(t)
		h := harness.Open(t, dbtest.SQLite(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_TRACES_SAMPLER=parentbased_always_off", "TRUSTED_PROXIES=127.0.0.1")
		if id := me(h, parent("01")); id != theirs {
			t.Errorf("the trace is %q", id)
		}
		h.Eventually("the proxy's trace", taken(c, theirs))
		for _, bad := range []string{"", "00", "ff-" + theirs + "-b7ad6b7169203331-01", "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01",
			"00-" + theirs + "-b7ad6b7169203331-01é", strings.Repeat("0", 4000)} {
			if id := me(h, http.Header{"Traceparent": {bad}}); len(id) != 32 || id == theirs {
				t.Errorf("%q is taken for a parent: %q", bad, id)
			}
		}
		if id := me(h, http.Header{"Traceparent": {parent("01").Get("Traceparent"), parent("01").Get("Traceparent")}}); id == theirs {
			t.Error("two parents are taken for one")
		}
	})
}

// A collector that refuses, or never answers, costs a request nothing, is logged
// once, and does not hold up the end.
func TestACollectorInTroubleHoldsNobodyUp(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	defer refusing.Close()
	for name, url := range map[string]string{"silent": "http://" + silent.Addr().String(), "refusing": refusing.URL, "gone": "http://127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			// It may take a minute: whoever waited for it would be seen.
			h := harness.Open(t, dbtest.SQLite(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+url, "OTEL_EXPORTER_OTLP_TIMEOUT=60000")
			for range 50 {
				if a := h.Do(harness.Get("/v1/me")); a.Status != 401 {
					t.Fatalf("%d", a.Status)
				}
			}
			if name != "silent" {
				h.Eventually("the log tells", func() (string, bool) { return "", strings.Contains(h.Logs.String(), "Traces can't be sent") })
			}
			began := time.Now()
			if err := h.Stop(); err != nil || time.Since(began) > 40*time.Second {
				t.Errorf("stopped after %s: %v", time.Since(began), err)
			}
			if n := strings.Count(h.Logs.String(), "Traces can't be sent"); n > 1 {
				t.Errorf("it is logged %d times", n)
			}
			h.Lines()
		})
	}
}

func TestTracesTellOfRedis(t *testing.T) {
	c := newCollector(t)
	h := harness.Open(t, dbtest.SQLite(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "REDIS_URL="+redistest.Start(t).URL())
	h.Register("ada@example.org")
	id, _ := traceOf(h, h.Login("ada@example.org"))
	h.Eventually("Redis", func() (string, bool) {
		got := c.of(id)
		return fmt.Sprint(got), slices.Contains(got, "redis.limit < sign_in") && slices.Contains(got, "redis.limit < POST /v1/login")
	})
}
