package sessions_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestASVS_V7_3_2_AnAccessTokenEndsWithItsSession refreshes twelve seconds before the
// session's absolute end: what comes of it says so and lives no longer, as a
// bearer's token and in the cookie.
func TestASVS_V7_3_2_AnAccessTokenEndsWithItsSession(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, c.Now, "SESSION_MAX_DAYS=1", "REFRESH_TOKEN_EXPIRE_DAYS=1")
		g := h.Guest("ada@example.org")
		b := h.Browser()
		b.SignIn("ada@example.org")
		const left = 12 * time.Second
		c.Shift(24*time.Hour - left)
		h.Ready()

		a := h.Expect(200, "", harness.Refreshing(g.Refresh))
		for _, field := range []string{"expires_in", "refresh_expires_in"} {
			if n, _ := a.Fields[field].(float64); n > left.Seconds() {
				t.Errorf("%s is %v, with %v of the session left", field, n, left)
			}
		}
		access := a.Str("access_token")
		h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access})
		refreshed := b.Send(harness.Request{Method: "POST", Path: "/v1/token/refresh", Header: b.Csrf()})
		if refreshed.Status != 200 {
			t.Fatalf("refresh by cookie: %d %s", refreshed.Status, refreshed.Text)
		}
		for _, cookie := range (&http.Response{Header: refreshed.Header}).Cookies() {
			if cookie.MaxAge > int(left.Seconds()) {
				t.Errorf("%s lives for %d seconds, with %v of the session left", cookie.Name, cookie.MaxAge, left)
			}
		}

		c.Shift(left + time.Second)
		h.Ready()
		h.Expect(401, "invalid_token", harness.Request{Method: "GET", Path: "/v1/me", Bearer: access})
		h.Expect(401, "invalid_token", harness.Request{Method: "GET", Path: "/v1/forward-auth", Bearer: access})
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(a.Str("refresh_token")))
	})
}
