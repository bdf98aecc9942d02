package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// FuzzQuery: what is accepted is what net/url reads too, in parameters that are
// allowed, once each, and comes back from its own encoding; what is refused has
// a kind and a code.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "kind=logout&after=", "kind=a&kind=b", "kind=%00", "kind=%ff", "kind=%zz", "kind=a;after=b", "k%69nd=a+b", "=", "&", "kind",
		"x=1", "%=1", "\xff=1"} {
		f.Add(s)
	}
	allowed := []string{"kind", "after"}
	f.Fuzz(func(t *testing.T, query string) {
		got, err := Query(&http.Request{URL: &url.URL{RawQuery: query}}, allowed...)
		if err != nil {
			if e := fault.As(err); e == nil || e.Kind != fault.Invalid || e.Code == "" || e.Message == "" || !utf8.ValidString(e.Field) || len(e.Field) > maxShownName {
				t.Fatalf("%q was refused by %#v", query, err)
			}
			return
		}
		theirs, err := url.ParseQuery(query)
		if err != nil || !reflect.DeepEqual(got, theirs) {
			t.Fatalf("%q is %q to us and %q to net/url, %v", query, got, theirs, err)
		}
		for name, values := range got {
			if !slices.Contains(allowed, name) || len(values) != 1 || !utf8.ValidString(values[0]) || strings.Contains(values[0], "\x00") {
				t.Fatalf("%q: %s is %q", query, name, values)
			}
		}
		again, err := Query(&http.Request{URL: &url.URL{RawQuery: got.Encode()}}, allowed...)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%q is %q, and comes back as %q, %v", query, got, again, err)
		}
	})
}

// FuzzRequestID: the id of a client's that is logged is one that it sent, and
// fit for a log, a URL and a shell.
func FuzzRequestID(f *testing.F) {
	for _, s := range []string{"", "abc-1.2_3", "a b", "a\n", "é", "\x00", strings.Repeat("a", 64), strings.Repeat("a", 65)} {
		f.Add(s, "")
	}
	f.Add("a", "b")
	f.Fuzz(func(t *testing.T, one, two string) {
		r := &http.Request{Header: http.Header{"X-Request-Id": {one}}}
		if two != "" {
			r.Header["X-Request-Id"] = []string{one, two}
		}
		got := clientRequestID(r)
		if got == "" {
			return
		}
		if got != one || two != "" || len(got) > 64 || url.PathEscape(got) != got || printable(got, 64) != got {
			t.Fatalf("%q %q is logged as %q", one, two, got)
		}
	})
}

// FuzzMediaType: a type that is accepted is JSON, in UTF-8 if it says so.
func FuzzMediaType(f *testing.F) {
	for _, s := range []string{"application/json", "application/json; charset=UTF-8", "application/json;charset=\"utf-8\"", "application/json; charset=utf-16",
		"text/plain", "application/jsonx", "application/json; a=b", ";", "application/json, text/plain"} {
		f.Add(s, "")
	}
	f.Add("application/json", "gzip")
	f.Add("AppliCAtion/json;*=utf-16", "")
	f.Fuzz(func(t *testing.T, kind, coding string) {
		h := http.Header{"Content-Type": {kind}}
		if coding != "" {
			h["Content-Encoding"] = []string{coding}
		}
		err := checkMediaType(h)
		if err != nil {
			if e := fault.As(err); e == nil || e.Code != "unsupported_media_type" || e.Message == "" {
				t.Fatalf("%q was refused by %#v", kind, err)
			}
			return
		}
		low := strings.ToLower(kind)
		if !strings.HasPrefix(strings.TrimSpace(low), "application/json") || strings.Contains(low, "utf-16") ||
			coding != "" && !strings.EqualFold(coding, "identity") {
			t.Fatalf("%q %q was accepted", kind, coding)
		}
	})
}

// FuzzRequest sends anything as method, path and headers: each answer has an id
// and is a route's own or a problem document, no path has two spellings, and the
// log has one line that is one object and repeats neither path nor query.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/v1/me", "", "curl/8", "id-1", "192.0.2.1:1")
	f.Add("POST", "/v1//me", "a=1", "\n\"}", "x y", "")
	f.Add("get", "/v1/me/", "%", "\xff", "\x00", "[fe80::1%eth0]:80")
	f.Add("TRACE", "*", "\u2028", "\x1b[2J", "a", "nonsense")
	f.Add("GET", "/v1/sessions/\x00", "", "", "", "")
	f.Add("GET", "/v1/sessions/%2e%2e/me", "", "", "", "")
	f.Add("DELETE", "/v1/sessions/a\\b", "", "", "", "")
	var out bytes.Buffer
	stack := &Stack{Log: slog.New(slog.NewJSONHandler(&out, nil)), Metrics: NewMetrics(prometheus.NewRegistry()), Now: time.Now}
	mux := http.NewServeMux()
	var taken string
	for _, pattern := range []string{"GET /v1/me", "GET /v1/sessions/{id}", "DELETE /v1/sessions/{id}", "POST /v1/login"} {
		stack.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
			taken = r.URL.Path
			return WriteJSON(w, http.StatusOK, map[string]string{"agent": Origin(r).UserAgent})
		})
	}
	h := stack.Wrap(mux)
	f.Fuzz(func(t *testing.T, method, path, query, agent, id, remote string) {
		// As net/http would read it: what it refuses never comes to us.
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Path == "" {
			u = &url.URL{Path: path}
		}
		u.RawQuery = query
		r := &http.Request{Method: method, URL: u, Host: "x", RequestURI: path, RemoteAddr: remote, Body: http.NoBody,
			Header: http.Header{"User-Agent": {agent}, "X-Request-Id": {id}}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		out.Reset()
		taken = ""
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)

		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
			t.Fatalf("the log is %q: %v", out.String(), err)
		}
		for name, value := range line {
			if text := fmt.Sprint(value); name != "route" && name != "method" && name != "client_request_id" && len(path) > 8 && strings.Contains(text, path) {
				t.Fatalf("the line's %s repeats the path: %s", name, text)
			}
		}
		if w.Header().Get("X-Request-Id") == "" || w.Header().Get("X-Request-Id") != line["request_id"] {
			t.Fatalf("the ids are %q and %q", w.Header().Get("X-Request-Id"), line["request_id"])
		}
		switch w.Code {
		case 200:
			if taken == "" || strings.Contains(taken, "//") || strings.Contains(taken, "\\") || !utf8.ValidString(taken) ||
				strings.ContainsFunc(taken, func(c rune) bool { return c < ' ' }) {
				t.Fatalf("%q was served as %q", path, taken)
			}
		case 404, 405:
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Code == "" || p.Detail == "" || taken != "" {
				t.Fatalf("%d %q %v", w.Code, w.Body, err)
			}
		default:
			t.Fatalf("%s %q is answered %d %q", method, path, w.Code, w.Body)
		}
	})
}
