package app_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// TestASVS_V7_3_2_AnAccessTokenEndsWithItsSession refreshes twelve seconds before the
// session's absolute end: what comes of it says so and lives no longer, as a
// bearer's token and in the cookie.
func TestASVS_V7_3_2_AnAccessTokenEndsWithItsSession(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &clock{}
		h := openAt(t, dbURL, c.now, "SESSION_MAX_DAYS=1", "REFRESH_TOKEN_EXPIRE_DAYS=1")
		g := h.guest("ada@example.org")
		b := h.browser()
		b.signIn("ada@example.org")
		const left = 12 * time.Second
		c.shift(24*time.Hour - left)
		h.ready()

		a := h.expect(200, "", refreshing(g.refresh))
		for _, field := range []string{"expires_in", "refresh_expires_in"} {
			if n, _ := a.fields[field].(float64); n > left.Seconds() {
				t.Errorf("%s is %v, with %v of the session left", field, n, left)
			}
		}
		access := a.str("access_token")
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access})
		refreshed := b.send(request{method: "POST", path: "/v1/token/refresh", header: b.csrf()})
		if refreshed.status != 200 {
			t.Fatalf("refresh by cookie: %d %s", refreshed.status, refreshed.text)
		}
		for _, cookie := range (&http.Response{Header: refreshed.header}).Cookies() {
			if cookie.MaxAge > int(left.Seconds()) {
				t.Errorf("%s lives for %d seconds, with %v of the session left", cookie.Name, cookie.MaxAge, left)
			}
		}

		c.shift(left + time.Second)
		h.ready()
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: access})
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/forward-auth", bearer: access})
		h.expect(401, "invalid_refresh_token", refreshing(a.str("refresh_token")))
	})
}
