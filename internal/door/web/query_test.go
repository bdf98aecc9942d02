package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ASVS 15.3.7: a parameter has one value or is refused.
func TestQuery(t *testing.T) {
	h := newHouse(t, nil)
	var got url.Values
	h.handle("GET /v1/me/events", func(w http.ResponseWriter, r *http.Request) error {
		var err error
		if got, err = Query(r, "kind", "after"); err != nil {
			return err
		}
		return ok(w, r)
	})
	h.handle("GET /none", func(w http.ResponseWriter, r *http.Request) error {
		if _, err := Query(r); err != nil {
			return err
		}
		return ok(w, r)
	})
	accepted := map[string]url.Values{
		"":                         {},
		"?":                        {},
		"?kind=logout":             {"kind": {"logout"}},
		"?kind=a%20b+c%26&after=":  {"kind": {"a b c&"}, "after": {""}},
		"?after":                   {"after": {""}},
		"?k%69nd=%C3%A9&after=a=b": {"kind": {"é"}, "after": {"a=b"}},
	}
	for query, want := range accepted {
		a := h.raw(t, "GET /v1/me/events"+query+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if diff := cmp.Diff(want, got); a.status != 200 || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", query, a, diff)
		}
	}
	refused := []struct{ query, code, field string }{
		{"?limit=hunter2", "unknown_parameter", "limit"},
		{"?Kind=hunter2", "unknown_parameter", "Kind"},
		{"?kind=a&kind=hunter2", "duplicate_parameter", "kind"},
		{"?kind=a&k%69nd=hunter2", "duplicate_parameter", "kind"},
		{"?kind=hunter2%", "malformed_parameter", "kind"},
		{"?kind=hunter2%zz", "malformed_parameter", "kind"},
		{"?%zz=hunter2", "malformed_parameter", ""},
		{"?kind=a;after=hunter2", "malformed_parameter", "kind"},
		{"?kind=a&&after=hunter2", "malformed_parameter", ""},
		{"?kind=a&", "", ""},
		{"?=hunter2", "malformed_parameter", ""},
		{"?kind=hunter2%00", "nul_character", "kind"},
		{"?kind=hunter2%ff", "invalid_utf8", "kind"},
		{"?kind=hunter2\xff", "invalid_utf8", "kind"},
		{"?a%0a%1b=hunter2", "unknown_parameter", "a\ufffd\ufffd"},
		{"?" + strings.Repeat("x", 5000) + "=hunter2", "unknown_parameter", strings.Repeat("x", 64)},
	}
	for _, test := range refused {
		a := h.raw(t, "GET /v1/me/events"+test.query+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if test.code == "" {
			if a.status != 200 {
				t.Errorf("%q: got %v", test.query, a)
			}
			continue
		}
		if a.status != 400 || a.problem.Code != test.code || a.problem.Field != test.field || strings.Contains(a.body, "hunter2") {
			t.Errorf("%q: got %v, want code %s and field %q", test.query, a, test.code, test.field)
		}
	}
	if a := h.do(t, "GET", "/none?x=1", ""); a.problem.Code != "unknown_parameter" || !strings.Contains(a.problem.Detail, "no query") {
		t.Errorf("got %v", a)
	}
}
