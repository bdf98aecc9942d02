package app_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// F8: in each query mode that the settings let through, a session is made, goes on,
// is listed and ends.
func TestCaseF8_EveryQueryModeThatIsAccepted(t *testing.T) {
	for _, mode := range config.QueryModes {
		t.Run(mode, func(t *testing.T) {
			h := open(t, dbtest.Serving(t).Serving+"&default_query_exec_mode="+mode)
			h.register("ada@example.org")
			a := h.login("ada@example.org")
			for range 3 {
				b := h.refresh(a.str("refresh_token"))
				if b.status != 200 {
					t.Fatalf("a refresh: %d %s", b.status, b.text)
				}
				// The one before gets the same successor again.
				if again := h.refresh(a.str("refresh_token")); again.status != 200 {
					t.Fatalf("a retried refresh: %d %s", again.status, again.text)
				}
				a = b
			}
			bearer := a.str("access_token")
			h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: bearer})
			h.expect(200, "", request{method: "GET", path: "/v1/sessions", bearer: bearer})
			h.expect(200, "", request{method: "GET", path: "/v1/me/events", bearer: bearer})
			h.expect(202, "", request{method: "POST", path: "/v1/password/forgot", body: map[string]string{"email": "ada@example.org"}})
			h.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", "wrong wrong wrong"}})
			h.expect(200, "", request{method: "PATCH", path: "/v1/me", bearer: bearer, body: map[string]string{"name": "Ada"}})
			h.expect(204, "", request{method: "POST", path: "/v1/logout-all", bearer: bearer, body: map[string]string{}})
			h.settled()
		})
	}
}
