package limits_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestWhoIsCallingThroughTheServer: events and sessions name whom a trusted
// proxy names, and a header from anybody else changes nothing (NET-5).
func TestWhoIsCallingThroughTheServer(t *testing.T) {
	network := func(h *harness.Server) string {
		h.Register("ada@example.org")
		a := h.Expect(200, "", harness.Request{
			Method: "POST", Path: "/v1/login", Body: harness.Credentials{Email: "ada@example.org", Password: harness.Passphrase},
			Header: http.Header{"X-Forwarded-For": {"198.51.100.1, 192.0.2.7"}},
		})
		list := h.Expect(200, "", harness.Get("/v1/sessions", a.Str("access_token")))
		return list.Fields["sessions"].([]any)[0].(map[string]any)["network"].(string)
	}
	h := harness.Open(t, dbtest.SQLite(t), "TRUSTED_PROXIES=127.0.0.1")
	if got := network(h); got != "192.0.2.7" {
		t.Errorf("behind a proxy: %s", got)
	}
	if strings.Contains(h.Logs.String(), "forwarded header") {
		t.Error("the log speaks of a proxy that is trusted")
	}
	h = harness.Open(t, dbtest.SQLite(t))
	if got := network(h); got != "127.0.0.1" {
		t.Errorf("a header from a stranger counts: %s", got)
	}
	if n := strings.Count(h.Logs.String(), "TRUSTED_PROXIES=127.0.0.1"); n != 1 {
		t.Errorf("the setting was logged %d times", n)
	}
}
