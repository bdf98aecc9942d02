package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// TestWhoIsCallingThroughTheServer: events and sessions name whom a trusted
// proxy names, and a header from anybody else changes nothing (NET-5).
func TestWhoIsCallingThroughTheServer(t *testing.T) {
	network := func(h *house) string {
		h.register("ada@example.org")
		a := h.expect(200, "", request{
			method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase},
			header: http.Header{"X-Forwarded-For": {"198.51.100.1, 192.0.2.7"}},
		})
		list := h.expect(200, "", request{method: "GET", path: "/v1/sessions", bearer: a.str("access_token")})
		return list.fields["sessions"].([]any)[0].(map[string]any)["network"].(string)
	}
	h := open(t, dbtest.SQLite(t), "TRUSTED_PROXIES=127.0.0.1")
	if got := network(h); got != "192.0.2.7" {
		t.Errorf("behind a proxy: %s", got)
	}
	if strings.Contains(h.log.String(), "forwarded header") {
		t.Error("the log speaks of a proxy that is trusted")
	}
	h = open(t, dbtest.SQLite(t))
	if got := network(h); got != "127.0.0.1" {
		t.Errorf("a header from a stranger counts: %s", got)
	}
	if n := strings.Count(h.log.String(), "TRUSTED_PROXIES=127.0.0.1"); n != 1 {
		t.Errorf("the setting was told %d times", n)
	}
}
