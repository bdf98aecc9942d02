package web

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// TestCaseG3_AProxyThatSaysHTTP: a redirect loop that it would cause is logged, once a minute.
func TestCaseG3_AProxyThatSaysHTTP(t *testing.T) {
	h := newHouse(t, func(s *Stack, _ *http.Server) {
		s.Edge = NewEdge(EdgeConfig{PublicURL: "https://login.example.org"})
		s.Proxies = NewProxies([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, false, s.Log)
	})
	h.handle("GET /login", ok)
	for range 3 {
		for _, proto := range []string{"http", "https, http"} {
			if a := h.do(t, "GET", "/login", "", "X-Forwarded-Proto", proto); a.status != 308 {
				t.Errorf("%s: %v", proto, a)
			}
			if a := h.do(t, "GET", "/v1/me", "", "X-Forwarded-Proto", proto); a.status != 403 {
				t.Errorf("%s, the API: %v", proto, a)
			}
		}
	}
	if n := strings.Count(h.log.text(), "go round in circles"); n != 1 {
		t.Errorf("the log tells it %d times", n)
	}
}
