package sessions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestTheClockIsSetBackAndForth sets the server's clock an hour back, and forth,
// and right again. Whoever is signed in stays so by the refresh token, new
// sign-ins work at once, and what had ended stays ended.
func TestTheClockIsSetBackAndForth(t *testing.T) {
	for name, step := range map[string]time.Duration{"back": -time.Hour, "forth": time.Hour} {
		t.Run(name, func(t *testing.T) {
			dbtest.EachURL(t, func(t *testing.T, dbURL string) {
				c := &harness.Clock{}
				h := harness.OpenAt(t, dbURL, c.Now)
				g := h.Guest("ada@example.org")
				ended := h.Login("ada@example.org")
				h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: ended.Str("access_token")})

				for _, at := range []time.Duration{step, 0} {
					before := g.Access
					c.Set(at)
					h.Ready()
					// An access token from a clock that was wrong may be refused, as one that
					// has expired is; the refresh token is good for another.
					if a := h.Do(harness.Get("/v1/me", before)); a.Status != 200 && a.Str("code") != "invalid_token" {
						t.Errorf("clock %v: an access token from before: %d %s", at, a.Status, a.Text)
					}
					a := h.Expect(200, "", harness.Refreshing(g.Refresh))
					g.Access, g.Refresh = a.Str("access_token"), a.Str("refresh_token")
					g.Works()
					h.Expect(401, "invalid_token", harness.Get("/v1/me", ended.Str("access_token")))
					h.Expect(401, "invalid_refresh_token", harness.Refreshing(ended.Str("refresh_token")))
					h.Ready()
					// Two rotations later a token is a thief's, by whatever clock.
					thief := h.Guest("eve" + strings.ReplaceAll(at.String(), "-", "") + "@example.org")
					stolen := thief.Refresh
					thief.Works()
					thief.Works()
					h.Expect(401, "invalid_refresh_token", harness.Refreshing(stolen))
					h.Expect(401, "invalid_refresh_token", harness.Refreshing(thief.Refresh))
				}
				c.Set(step)
				g.Stops()
			})
		})
	}
}

// TestAClockThatWasFarAheadEndsNoSession: while it is, sessions look as if their time
// were over; once it is right again, they go on, their new access tokens too.
func TestAClockThatWasFarAheadEndsNoSession(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, c.Now)
		g := h.Guest("ada@example.org")
		c.Set(40 * 24 * time.Hour)
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(g.Refresh))
		c.Set(0)
		a := h.Expect(200, "", harness.Refreshing(g.Refresh))
		h.Expect(200, "", harness.Get("/v1/me", a.Str("access_token")))
	})
}

// TestNothingRevivesBeyondTheStep lets tokens expire by more than the clock is
// set back: they stay dead.
func TestNothingRevivesBeyondTheStep(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, c.Now)
		g := h.Guest("ada@example.org")
		c.Shift(15*time.Minute + time.Hour + time.Second) // the access token's life, and a step
		h.Expect(401, "invalid_token", harness.Get("/v1/me", g.Access))
		c.Shift(-time.Hour)
		h.Expect(401, "invalid_token", harness.Get("/v1/me", g.Access))
		c.Shift(7*24*time.Hour + time.Hour) // the session's idle life, and a step
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(g.Refresh))
		c.Shift(-time.Hour)
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(g.Refresh))
		// A reuse that ended a session is not forgotten by an earlier clock.
		g = h.Guest("bob@example.org")
		stolen := g.Refresh
		g.Works()
		g.Works()
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(stolen))
		for _, by := range []time.Duration{-time.Hour, -24 * time.Hour, 25 * time.Hour} {
			c.Shift(by)
			h.Expect(401, "invalid_refresh_token", harness.Refreshing(g.Refresh))
			h.Expect(401, "invalid_refresh_token", harness.Refreshing(stolen))
		}
	})
}

// TestJobsGoOnWhenTheClockWasWrong has a job run by a clock that is a year
// ahead, and hold its lease there: set right, it is due again and not next year.
func TestJobsGoOnWhenTheClockWasWrong(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &harness.Clock{}
		c.Set(365 * 24 * time.Hour)
		h := harness.OpenAt(t, dbURL, c.Now)
		await := func(what string, since time.Time) {
			t.Helper()
			var finished int64
			for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				err := h.Database().Read(t.Context(), func(tx *db.Tx) error {
					return tx.QueryRow(`SELECT COALESCE(MIN(finished_at), 0) FROM job`).Scan(&finished)
				})
				if err != nil {
					t.Fatal(err)
				}
				if d := db.Time(finished).Sub(since); d >= 0 && d < time.Hour {
					return
				}
			}
			t.Errorf("%s: the jobs did not run; last %v", what, db.Time(finished))
		}
		await("a year ahead", c.Now().Add(-time.Minute))
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
		// As if it had died in the middle of a run.
		if err := h.Database().Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE job SET holder = 'gone', leased_to = $1`, db.Micros(c.Now().Add(time.Minute)))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		c.Set(0)
		h = harness.OpenAt(t, dbURL, c.Now)
		await("set right", c.Now().Add(-time.Minute))
	})
}
