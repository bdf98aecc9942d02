package app_test

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// TestJWT5_EverythingIsRevoked ends all sessions: every replica refuses their access
// tokens within a second and their refresh tokens too, and whoever signs in
// afterwards is in.
func TestJWT5_EverythingIsRevoked(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		replicas := []*house{open(t, dbURL, sharedURL), open(t, dbURL, sharedURL), open(t, dbURL, sharedURL)}
		h := replicas[0]
		var old []answer
		for _, email := range []string{"ada@example.org", "bob@example.org"} {
			h.register(email)
			old = append(old, h.login(email), h.login(email))
		}
		o := h.operator()
		if n, err := o.CountSessions(t.Context(), flow.Which{}); n != 4 || err != nil {
			t.Errorf("%d sessions, error %v", n, err)
		}
		n, err := o.RevokeSessions(t.Context(), flow.Which{}, originOfTests)
		if n != 4 || err != nil {
			t.Fatalf("ended %d, error %v", n, err)
		}
		at := time.Now()
		for _, r := range replicas {
			for _, s := range old {
				if took := r.refusedWithin(s.str("access_token"), at); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				r.expect(401, "invalid_refresh_token", refreshing(s.str("refresh_token")))
			}
		}
		time.Sleep(3*time.Second - time.Since(at)) // the cut-off's margin
		fresh := h.login("ada@example.org")
		for _, r := range replicas {
			r.expect(200, "", request{method: "GET", path: "/v1/me", bearer: fresh.str("access_token")})
		}
		fresh = replicas[1].expect(200, "", refreshing(fresh.str("refresh_token")))
		replicas[2].expect(200, "", request{method: "GET", path: "/v1/me", bearer: fresh.str("access_token")})
	})
}

// TestJWT5_ACutOffHoldsThoughTheCommandBreaksOff writes no more than the cut-off, as if
// the command had been killed behind it: the rows still say that the sessions
// live, and nobody gets in with them.
func TestJWT5_ACutOffHoldsThoughTheCommandBreaksOff(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := open(t, dbURL, sharedURL)
		h.register("ada@example.org")
		old, unused := h.login("ada@example.org"), h.login("ada@example.org")
		d := h.database()
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			token.NewRevocations(d, time.Minute, 0, time.Now).EndBefore(tx, time.Time{})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		h.refusedWithin(old.str("access_token"), time.Now())
		h.expect(401, "invalid_refresh_token", refreshing(old.str("refresh_token")))
		// A replica that starts later knows too.
		late := open(t, dbURL, sharedURL)
		late.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: unused.str("access_token")})
		late.expect(401, "invalid_refresh_token", refreshing(unused.str("refresh_token")))
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
	each(t, func(h *house) {
		o := h.operator()
		h.register("ada@example.org")
		h.register("bob@example.org")
		early := h.login("ada@example.org")
		time.Sleep(1100 * time.Millisecond) // tokens tell whole seconds
		middle := time.Now()
		time.Sleep(1100 * time.Millisecond)
		ada, bob := h.login("ada@example.org"), h.login("bob@example.org")
		revoke := func(want int, w flow.Which) {
			h.Helper()
			if n, err := o.CountSessions(h.Context(), w); n != want || err != nil {
				h.Errorf("%+v: counted %d, want %d, error %v", w, n, want, err)
			}
			if n, err := o.RevokeSessions(h.Context(), w, originOfTests); n != want || err != nil {
				h.Errorf("%+v: ended %d, want %d, error %v", w, n, want, err)
			}
		}
		revoke(0, flow.Which{Network: netip.MustParsePrefix("10.0.0.0/8")})
		revoke(0, flow.Which{Network: netip.MustParsePrefix("::/0")})
		revoke(0, flow.Which{Account: "bob@example.org", Before: middle})
		revoke(1, flow.Which{Before: middle})
		h.refusedWithin(early.str("access_token"), time.Now())
		h.expect(401, "invalid_refresh_token", refreshing(early.str("refresh_token")))
		for _, s := range []answer{ada, bob} {
			h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: s.str("access_token")})
		}
		revoke(1, flow.Which{Account: "bob@example.org", Network: netip.MustParsePrefix("127.0.0.0/8")})
		h.refusedWithin(bob.str("access_token"), time.Now())
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: ada.str("access_token")})
		h.expect(200, "", refreshing(ada.str("refresh_token")))
	}, sharedURL)
}

// TestTokensAreNotTakenForOneAnother: ASVS 9.2.2.
func TestTokensAreNotTakenForOneAnother(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		s := h.login("ada@example.org")
		access, refresh := s.str("access_token"), s.str("refresh_token")
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: refresh})
		h.expect(401, "invalid_refresh_token", refreshing(access))
		h.expect(401, "invalid_token", request{method: "POST", path: "/v1/logout", bearer: refresh})
		h.expect(401, "invalid_refresh_token", request{method: "POST", path: "/v1/logout", body: map[string]string{"refresh_token": access}})
		// A token of a key that nobody has: refused once the ring has been looked at.
		_, rest, _ := strings.Cut(access, ".")
		forged := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"`+strings.Repeat("A", 43)+`","typ":"at+jwt"}`)) + "." + rest
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: forged})
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access})
		h.expect(200, "", refreshing(refresh))
	})
}
