package sessions_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestAUseOfAnAccessTokenIsAUseOfItsSession: forward-auth's answer comes from memory,
// and the list of sessions shows it later.
func TestAUseOfAnAccessTokenIsAUseOfItsSession(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		c := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, c.Now)
		h.Register("ada@example.org")
		used, idle := h.Login("ada@example.org"), h.Login("ada@example.org")
		c.Shift(5 * time.Minute)
		h.Ready()
		h.Expect(200, "", harness.Get("/v1/forward-auth", used.Str("access_token")))
		if err := h.Stop(); err != nil { // which writes what a minute would have
			t.Fatal(err)
		}
		h = harness.OpenAt(t, dbURL, c.Now)
		list := h.Expect(200, "", harness.Get("/v1/sessions", h.Login("ada@example.org").Str("access_token")))
		for _, x := range list.Fields["sessions"].([]any) {
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
			case used.Str("session_id"):
				if last.Sub(first) < 5*time.Minute-time.Second {
					t.Errorf("it was used at %v, and is reported to have been at %v", first.Add(5*time.Minute), last)
				}
			case idle.Str("session_id"):
				if last != first {
					t.Errorf("one that nobody used: %v %v", first, last)
				}
			}
		}
	})
}
