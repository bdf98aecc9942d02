package outbound_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

func site(t *testing.T, url string) *outbound.Site {
	t.Helper()
	s, err := outbound.NewSite(outbound.Config{URL: url, Timeout: 300 * time.Millisecond, MostBytes: 100, Header: map[string]string{"Add-Padding": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGet(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v/range/ABCDE":
			if r.Header.Get("Add-Padding") != "true" || r.Header.Get("User-Agent") != "gatehouse" || r.Header.Get("Cookie") != "" {
				t.Errorf("sent %v", r.Header)
			}
			_, _ = w.Write([]byte("fine"))
		case "/v/long":
			_, _ = w.Write([]byte(strings.Repeat("x", 101)))
		case "/v/exact":
			_, _ = w.Write([]byte(strings.Repeat("x", 100)))
		case "/v/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/v/slow":
			select {
			case <-time.After(5 * time.Second):
			case <-r.Context().Done():
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	s := site(t, server.URL+"/v/")
	if b, err := s.Get(t.Context(), "range", "ABCDE"); err != nil || string(b) != "fine" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := s.Get(t.Context(), "exact"); err != nil || len(b) != 100 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for _, path := range []string{"long", "away", "slow", "nothing"} {
		if b, err := s.Get(t.Context(), path); err == nil {
			t.Errorf("%s: %q", path, b)
		}
	}
	if elsewhere != 0 {
		t.Error("a redirect was followed")
	}
	server.Close()
	if _, err := s.Get(t.Context(), "exact"); err == nil {
		t.Error("nobody listens, and it answers")
	}
}

func TestNewSiteRefuses(t *testing.T) {
	for _, bad := range []string{"", "x", "ftp://x.example", "https://", "https://u:p@x.example", "https://x.example/?a=b", "https://x.example/#a",
		"file:///etc/passwd", "://"} {
		if _, err := outbound.NewSite(outbound.Config{URL: bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
