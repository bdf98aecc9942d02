package outages_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// F8: in each query mode that the settings let through, a session is made, goes on,
// is listed and ends.
func TestCaseF8_EveryQueryModeThatIsAccepted(t *testing.T) {
	t.Parallel()
	for _, mode := range config.QueryModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			h := harness.Open(t, dbtest.Serving(t).Serving+"&default_query_exec_mode="+mode)
			h.Register("ada@example.org")
			a := h.Login("ada@example.org")
			for range 3 {
				b := h.Refresh(a.Str("refresh_token"))
				if b.Status != 200 {
					t.Fatalf("a refresh: %d %s", b.Status, b.Text)
				}
				// The one before gets the same successor again.
				if again := h.Refresh(a.Str("refresh_token")); again.Status != 200 {
					t.Fatalf("a retried refresh: %d %s", again.Status, again.Text)
				}
				a = b
			}
			bearer := a.Str("access_token")
			h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: bearer})
			h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/sessions", Bearer: bearer})
			h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me/events", Bearer: bearer})
			h.Expect(202, "", harness.Request{Method: "POST", Path: "/v1/password/forgot", Body: map[string]string{"email": "ada@example.org"}})
			h.Expect(401, "invalid_credentials", harness.Request{Method: "POST", Path: "/v1/login",
				Body: harness.Credentials{Email: "ada@example.org", Password: "wrong wrong wrong"}})
			h.Expect(200, "", harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: bearer, Body: map[string]string{"name": "Ada"}})
			h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout-all", Bearer: bearer, Body: map[string]string{}})
			h.Settled()
		})
	}
}
