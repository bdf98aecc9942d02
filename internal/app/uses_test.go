package app_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// TestAUseOfAnAccessTokenIsAUseOfItsSession: forward-auth's answer comes from memory,
// and the list of sessions tells of it later.
func TestAUseOfAnAccessTokenIsAUseOfItsSession(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		c := &clock{}
		h := openAt(t, dbURL, c.now)
		h.register("ada@example.org")
		used, idle := h.login("ada@example.org"), h.login("ada@example.org")
		c.shift(5 * time.Minute)
		h.ready()
		h.expect(200, "", request{method: "GET", path: "/v1/forward-auth", bearer: used.str("access_token")})
		if err := h.stop(); err != nil { // which writes what a minute would have
			t.Fatal(err)
		}
		h = openAt(t, dbURL, c.now)
		list := h.expect(200, "", request{method: "GET", path: "/v1/sessions", bearer: h.login("ada@example.org").str("access_token")})
		for _, x := range list.fields["sessions"].([]any) {
			s := x.(map[string]any)
			first, err := time.Parse(time.RFC3339, s["first_used_at"].(string))
			if err != nil {
				t.Fatal(err)
			}
			last, err := time.Parse(time.RFC3339, s["last_used_at"].(string))
			if err != nil {
				t.Fatal(err)
			}
			switch s["id"] {
			case used.str("session_id"):
				if last.Sub(first) < 5*time.Minute-time.Second {
					t.Errorf("it was used at %v, and is told to have been at %v", first.Add(5*time.Minute), last)
				}
			case idle.str("session_id"):
				if last != first {
					t.Errorf("one that nobody used: %v %v", first, last)
				}
			}
		}
	})
}
