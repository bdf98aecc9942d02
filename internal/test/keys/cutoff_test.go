package keys_test

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestJWT5_EverythingIsRevoked ends all sessions: every replica refuses their access
// tokens within a second and their refresh tokens too, and whoever signs in
// afterwards is in.
func TestJWT5_EverythingIsRevoked(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		replicas := []*harness.Server{harness.Open(t, dbURL, harness.SharedURL), harness.Open(t, dbURL, harness.SharedURL), harness.Open(t, dbURL, harness.SharedURL)}
		h := replicas[0]
		var old []harness.Answer
		for _, email := range []string{"ada@example.org", "bob@example.org"} {
			h.Register(email)
			old = append(old, h.Login(email), h.Login(email))
		}
		o := h.Operator()
		if n, err := o.CountSessions(t.Context(), operate.Which{}); n != 4 || err != nil {
			t.Errorf("%d sessions, error %v", n, err)
		}
		n, err := o.RevokeSessions(t.Context(), operate.Which{}, harness.OriginOfTests)
		if n != 4 || err != nil {
			t.Fatalf("ended %d, error %v", n, err)
		}
		at := time.Now()
		for _, r := range replicas {
			for _, s := range old {
				refusedWithin(r, s.Str("access_token"), at)
				r.Expect(401, "invalid_refresh_token", harness.Refreshing(s.Str("refresh_token")))
			}
		}
		time.Sleep(3*time.Second - time.Since(at)) // the cut-off's margin
		fresh := h.Login("ada@example.org")
		for _, r := range replicas {
			r.Expect(200, "", harness.Get("/v1/me", fresh.Str("access_token")))
		}
		fresh = replicas[1].Expect(200, "", harness.Refreshing(fresh.Str("refresh_token")))
		replicas[2].Expect(200, "", harness.Get("/v1/me", fresh.Str("access_token")))
	})
}

// TestJWT5_ACutOffHoldsThoughTheCommandBreaksOff writes no more than the cut-off, as if
// the command had been killed behind it: the rows still say that the sessions
// live, and nobody gets in with them.
func TestJWT5_ACutOffHoldsThoughTheCommandBreaksOff(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := harness.Open(t, dbURL, harness.SharedURL)
		h.Register("ada@example.org")
		old, unused := h.Login("ada@example.org"), h.Login("ada@example.org")
		d := h.Database()
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			token.NewRevocations(d, time.Minute, 0, time.Now).EndBefore(tx, time.Time{})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		refusedWithin(h, old.Str("access_token"), time.Now())
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(old.Str("refresh_token")))
		// A replica that starts later knows too.
		late := harness.Open(t, dbURL, harness.SharedURL)
		late.Expect(401, "invalid_token", harness.Get("/v1/me", unused.Str("access_token")))
		late.Expect(401, "invalid_refresh_token", harness.Refreshing(unused.Str("refresh_token")))
		var living int64
		if err := d.Read(t.Context(), func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL`).Scan(&living)
		}); err != nil || living != 0 {
			t.Errorf("%d sessions live on that were used, error %v", living, err)
		}
	})
}

// TestJWT5_SessionsOfANetworkOrFromBefore ends just those.
func TestJWT5_SessionsOfANetworkOrFromBefore(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		o := h.Operator()
		h.Register("ada@example.org")
		h.Register("bob@example.org")
		early := h.Login("ada@example.org")
		time.Sleep(1100 * time.Millisecond) // tokens have whole seconds
		middle := time.Now()
		time.Sleep(1100 * time.Millisecond)
		ada, bob := h.Login("ada@example.org"), h.Login("bob@example.org")
		revoke := func(want int, w operate.Which) {
			h.Helper()
			if n, err := o.CountSessions(h.Context(), w); n != want || err != nil {
				h.Errorf("%+v: counted %d, want %d, error %v", w, n, want, err)
			}
			if n, err := o.RevokeSessions(h.Context(), w, harness.OriginOfTests); n != want || err != nil {
				h.Errorf("%+v: ended %d, want %d, error %v", w, n, want, err)
			}
		}
		revoke(0, operate.Which{Network: netip.MustParsePrefix("10.0.0.0/8")})
		revoke(0, operate.Which{Network: netip.MustParsePrefix("::/0")})
		revoke(0, operate.Which{Account: "bob@example.org", Before: middle})
		revoke(1, operate.Which{Before: middle})
		refusedWithin(h, early.Str("access_token"), time.Now())
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(early.Str("refresh_token")))
		for _, s := range []harness.Answer{ada, bob} {
			h.Expect(200, "", harness.Get("/v1/me", s.Str("access_token")))
		}
		revoke(1, operate.Which{Account: "bob@example.org", Network: netip.MustParsePrefix("127.0.0.0/8")})
		refusedWithin(h, bob.Str("access_token"), time.Now())
		h.Expect(200, "", harness.Get("/v1/me", ada.Str("access_token")))
		h.Expect(200, "", harness.Refreshing(ada.Str("refresh_token")))
	}, harness.SharedURL)
}

// TestTokensAreNotTakenForOneAnother: ASVS 9.2.2.
func TestTokensAreNotTakenForOneAnother(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		s := h.Login("ada@example.org")
		access, refresh := s.Str("access_token"), s.Str("refresh_token")
		h.Expect(401, "invalid_token", harness.Get("/v1/me", refresh))
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(access))
		h.Expect(401, "invalid_token", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: refresh})
		h.Expect(401, "invalid_refresh_token", harness.Post("/v1/logout", map[string]string{"refresh_token": access}))
		// A token of a key that nobody has: refused once the ring has been looked at.
		_, rest, _ := strings.Cut(access, ".")
		forged := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"`+strings.Repeat("A", 43)+`","typ":"at+jwt"}`)) + "." + rest
		h.Expect(401, "invalid_token", harness.Get("/v1/me", forged))
		h.Expect(200, "", harness.Get("/v1/me", access))
		h.Expect(200, "", harness.Refreshing(refresh))
	})
}
