package web

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestRequestID(t *testing.T) {
	h := newHouse(t, nil)
	var seen event.Origin
	h.handle("GET /v1/me", func(w http.ResponseWriter, r *http.Request) error {
		seen = Origin(r)
		return ok(w, r)
	})
	tests := []struct {
		name   string
		client []string
		logged any
	}{
		{"none", nil, nil},
		{"well formed", []string{"X-Request-Id", "abc-1.2_Z"}, "abc-1.2_Z"},
		{"64 long", []string{"X-Request-Id", strings.Repeat("a", 64)}, strings.Repeat("a", 64)},
		{"65 long", []string{"X-Request-Id", strings.Repeat("a", 65)}, nil},
		{"empty", []string{"X-Request-Id", ""}, nil},
		{"space", []string{"X-Request-Id", "a b"}, nil},
		{"json", []string{"X-Request-Id", `a","level":"x`}, nil},
		{"not ascii", []string{"X-Request-Id", "aé"}, nil},
		{"twice", []string{"X-Request-Id", "a", "X-Request-Id", "b"}, nil},
	}
	ids := map[string]bool{}
	for i, test := range tests {
		a := h.do(t, "GET", "/v1/me", "", test.client...)
		id := a.header.Get("X-Request-Id")
		if !uuid7.MatchString(id) || ids[id] || len(a.header.Values("X-Request-Id")) != 1 {
			t.Errorf("%s: request id %q is no fresh UUIDv7", test.name, id)
		}
		ids[id] = true
		line := h.log.line(t, i)
		if line["request_id"] != id || seen.RequestID != id {
			t.Errorf("%s: answer has %q, log %q, origin %q", test.name, id, line["request_id"], seen.RequestID)
		}
		if line["client_request_id"] != test.logged {
			t.Errorf("%s: client_request_id is %v, want %v", test.name, line["client_request_id"], test.logged)
		}
	}
}

// ASVS 1.5.3, 4.1.4, 13.4.4: one spelling of each path, its own methods only.
func TestUnmatched(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("GET /v1/me", ok)
	h.handle("PATCH /v1/me", ok)
	h.handle("GET /v1/sessions/{id}", func(w http.ResponseWriter, r *http.Request) error {
		return WriteJSON(w, http.StatusOK, r.PathValue("id"))
	})
	h.handle("GET /account/{$}", ok)
	h.handle("GET /account/tree/", ok)
	tests := []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/v1/me", 200, "", ""},
		{"HEAD", "/v1/me", 200, "", ""},
		{"GET", "/v1/sessions/0190", 200, "", ""},
		{"GET", "/v1/sessions/a:b@c", 200, "", ""},
		{"GET", "/v1/sessions/a%3Ab", 200, "", ""},
		{"GET", "/v1/sessions/%C3%A9", 200, "", ""},
		{"GET", "/account/", 200, "", ""},
		{"GET", "/account/tree/x/", 200, "", ""},
		{"GET", "/account/tree/%40/", 200, "", ""},
		{"GET", "/nothing", 404, "not_found", ""},
		{"GET", "/", 404, "not_found", ""},
		{"GET", "/v1/me/", 404, "not_found", ""},
		{"GET", "/v1/ME", 404, "not_found", ""},
		{"GET", "/account/tree", 404, "not_found", ""},
		{"GET", "//v1/me", 404, "not_found", ""},
		{"POST", "/v1//me", 404, "not_found", ""},
		{"GET", "/v1/./me", 404, "not_found", ""},
		{"GET", "/v1/x/../me", 404, "not_found", ""},
		{"GET", "/v1/sessions/a%2fb", 404, "not_found", ""},
		{"GET", "/v1/sessions/a%5cb", 404, "not_found", ""},
		{"GET", "/v1/sessions/%2e%2e", 404, "not_found", ""},
		{"GET", "/v1/sessions/%2e", 404, "not_found", ""},
		{"GET", "/v1/sessions/%00", 404, "not_found", ""},
		{"GET", "/v1/sessions/%0a", 404, "not_found", ""},
		{"GET", "/v1/sessions/%ff", 404, "not_found", ""},
		{"GET", "/account/tree/%2e%2e/", 404, "not_found", ""},
		{"POST", "/v1/me", 405, "method_not_allowed", "GET, HEAD, PATCH"},
		{"OPTIONS", "/v1/me", 405, "method_not_allowed", "GET, HEAD, PATCH"},
		{"TRACE", "/v1/me", 405, "method_not_allowed", "GET, HEAD, PATCH"},
		{"BREW", "/v1/me", 405, "method_not_allowed", "GET, HEAD, PATCH"},
		{"OPTIONS", "*", 404, "not_found", ""},
		{"GET", "*", 404, "not_found", ""},
		{"CONNECT", "example.com:443", 404, "not_found", ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			conn := h.dial(t, test.method+" "+test.path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: test.method})
			if err != nil {
				t.Fatal(err)
			}
			if test.method == "CONNECT" {
				resp.Body = io.NopCloser(strings.NewReader(""))
			}
			a := readAnswer(t, resp)
			if a.status != test.status || a.header.Get("Allow") != test.allow || a.header.Get("Location") != "" {
				t.Errorf("got %v, Allow %q, Location %q", a, a.header.Get("Allow"), a.header.Get("Location"))
			}
			if test.method != "CONNECT" && a.problem.Code != test.code {
				t.Errorf("code %q, want %q", a.problem.Code, test.code)
			}
		})
	}
}

func TestHandleWantsAMethod(t *testing.T) {
	h := newHouse(t, nil)
	for _, pattern := range []string{"/v1/me", "example.com/v1/me", "/v1/{a b}"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("pattern %q was taken", pattern)
				}
			}()
			h.handle(pattern, ok)
		}()
	}
}

// A route that was put into the mux by another way has no error handling, no
// metrics and no log: it must not be served by accident.
func TestForeignRoutesAreNotFound(t *testing.T) {
	h := newHouse(t, nil)
	h.mux.HandleFunc("GET /debug", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") })
	if a := h.do(t, "GET", "/debug", ""); a.status != 404 || strings.Contains(a.body, "secret") {
		t.Errorf("got %v", a)
	}
}

// ASVS 3.4.4, 3.4.5, 3.4.6, 13.4.6: the headers are on every answer.
func TestHDR1_Baseline(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("GET /ok", ok)
	h.handle("GET /silent", func(http.ResponseWriter, *http.Request) error { return nil })
	h.handle("GET /fault", func(http.ResponseWriter, *http.Request) error { return fault.New(fault.Denied, "no", "No.") })
	h.handle("GET /panic", func(http.ResponseWriter, *http.Request) error { panic("x") })
	h.handle("GET /own", func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		return ok(w, r)
	})
	h.handle("GET /own-then-fault", func(w http.ResponseWriter, _ *http.Request) error {
		for _, name := range []string{"Cache-Control", "Content-Security-Policy", "ETag", "Last-Modified", "Content-Encoding", "Content-Length",
			"Content-Disposition"} {
			w.Header().Set(name, "7")
		}
		w.Header().Set("Set-Cookie", "gone=; Max-Age=0")
		return fault.New(fault.Denied, "no", "No.")
	})
	want := http.Header{
		"Cache-Control":                {"no-store"},
		"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'; sandbox"},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Permissions-Policy":           {permissions},
		"Referrer-Policy":              {"no-referrer"},
		"X-Xss-Protection":             {"0"},
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
	}
	own := want.Clone()
	own.Set("Cache-Control", "public, max-age=300")
	own.Set("Content-Security-Policy", "default-src 'self'")
	cookie := want.Clone()
	cookie.Set("Set-Cookie", "gone=; Max-Age=0")
	for path, want := range map[string]http.Header{
		"/ok": want, "/silent": want, "/fault": want, "/panic": want, "/nothing": want, "//": want,
		"/own": own, "/own-then-fault": cookie,
	} {
		got := h.do(t, "GET", path, "").header
		for _, name := range []string{"Date", "Content-Type", "Content-Length", "X-Request-Id"} {
			if got.Get(name) == "" && (path != "/silent" || name != "Content-Type") {
				t.Errorf("%s: no %s", path, name)
			}
			got.Del(name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", path, diff)
		}
	}
}

// Failed hears of what is our fault, with its cause and where it came from, and of
// nothing that a client can bring about by itself.
func TestLOG5_FailedHearsOfOurFaultsAlone(t *testing.T) {
	type failure struct {
		err  error
		from event.Origin
	}
	var reported []failure
	h := newHouse(t, func(s *Stack, _ *http.Server) {
		s.Failed = func(err error, from event.Origin) { reported = append(reported, failure{err, from}) }
	})
	cause := errors.New("the cause")
	for path, err := range map[string]error{
		"mistake": cause, "away": fault.New(fault.Unavailable, "database_unavailable", "x").Because(cause),
		"refused": fault.New(fault.Denied, "x", "x").Because(cause),
		"invalid": fault.New(fault.Invalid, "x", "x"), "limited": fault.New(fault.Limited, "x", "x"), "fine": nil,
	} {
		h.handle("GET /"+path, func(http.ResponseWriter, *http.Request) error { return err })
	}
	h.handle("GET /panic", func(http.ResponseWriter, *http.Request) error { panic("x") })
	for path, want := range map[string]int{"/mistake": 1, "/away": 1, "/panic": 1, "/refused": 0, "/invalid": 0, "/limited": 0, "/fine": 0, "/nothing": 0} {
		reported = nil
		h.stack.Wrap(h.mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		if len(reported) != want {
			t.Errorf("%s: reported %d times, want %d", path, len(reported), want)
		}
		for _, f := range reported {
			if path != "/panic" && !errors.Is(f.err, cause) || f.from.Address.String() != "192.0.2.1" || f.from.RequestID == "" {
				t.Errorf("%s: reported %+v", path, f)
			}
		}
	}
}
