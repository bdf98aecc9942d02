package app_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// clock is one that somebody sets.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time         { return time.Now().Add(time.Duration(c.offset.Load())).Round(0) }
func (c *clock) set(by time.Duration)   { c.offset.Store(int64(by)) }
func (c *clock) shift(by time.Duration) { c.offset.Add(int64(by)) }

// TestTheClockIsSetBackAndForth sets the server's clock an hour back, and forth,
// and right again. Whoever is signed in stays so by the refresh token, new
// sign-ins work at once, and what had ended stays ended.
func TestTheClockIsSetBackAndForth(t *testing.T) {
	for name, step := range map[string]time.Duration{"back": -time.Hour, "forth": time.Hour} {
		t.Run(name, func(t *testing.T) {
			dbtest.EachURL(t, func(t *testing.T, dbURL string) {
				c := &clock{}
				h := openAt(t, dbURL, c.now)
				g := h.guest("ada@example.org")
				ended := h.login("ada@example.org")
				h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: ended.str("access_token")})

				for _, at := range []time.Duration{step, 0} {
					before := g.access
					c.set(at)
					h.ready()
					// An access token from a clock that was wrong may be refused, as one that
					// has expired is; the refresh token is good for another.
					if a := h.do(request{method: "GET", path: "/v1/me", bearer: before}); a.status != 200 && a.str("code") != "invalid_token" {
						t.Errorf("clock %v: an access token from before: %d %s", at, a.status, a.text)
					}
					a := h.expect(200, "", refreshing(g.refresh))
					g.access, g.refresh = a.str("access_token"), a.str("refresh_token")
					g.works()
					h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: ended.str("access_token")})
					h.expect(401, "invalid_refresh_token", refreshing(ended.str("refresh_token")))
					h.ready()
					// Two rotations later a token is a thief's, by whatever clock.
					thief := h.guest("eve" + strings.ReplaceAll(at.String(), "-", "") + "@example.org")
					stolen := thief.refresh
					thief.works()
					thief.works()
					h.expect(401, "invalid_refresh_token", refreshing(stolen))
					h.expect(401, "invalid_refresh_token", refreshing(thief.refresh))
				}
				c.set(step)
				g.stops()
			})
		})
	}
}

// TestAClockThatWasFarAheadEndsNoSession: while it is, sessions look as if their time
// were over; once it is right again, they go on, their new access tokens too.
func TestAClockThatWasFarAheadEndsNoSession(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &clock{}
		h := openAt(t, dbURL, c.now)
		g := h.guest("ada@example.org")
		c.set(40 * 24 * time.Hour)
		h.expect(401, "invalid_refresh_token", refreshing(g.refresh))
		c.set(0)
		a := h.expect(200, "", refreshing(g.refresh))
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: a.str("access_token")})
	})
}

// TestNothingRevivesBeyondTheStep lets tokens expire by more than the clock is
// set back: they stay dead.
func TestNothingRevivesBeyondTheStep(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &clock{}
		h := openAt(t, dbURL, c.now)
		g := h.guest("ada@example.org")
		c.shift(15*time.Minute + time.Hour + time.Second) // the access token's life, and a step
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: g.access})
		c.shift(-time.Hour)
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: g.access})
		c.shift(7*24*time.Hour + time.Hour) // the session's idle life, and a step
		h.expect(401, "invalid_refresh_token", refreshing(g.refresh))
		c.shift(-time.Hour)
		h.expect(401, "invalid_refresh_token", refreshing(g.refresh))
		// A reuse that ended a session is not forgotten by an earlier clock.
		g = h.guest("bob@example.org")
		stolen := g.refresh
		g.works()
		g.works()
		h.expect(401, "invalid_refresh_token", refreshing(stolen))
		for _, by := range []time.Duration{-time.Hour, -24 * time.Hour, 25 * time.Hour} {
			c.shift(by)
			h.expect(401, "invalid_refresh_token", refreshing(g.refresh))
			h.expect(401, "invalid_refresh_token", refreshing(stolen))
		}
	})
}

// TestJobsGoOnWhenTheClockWasWrong has a job run by a clock that is a year
// ahead, and hold its lease there: set right, it is due again and not next year.
func TestJobsGoOnWhenTheClockWasWrong(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &clock{}
		c.set(365 * 24 * time.Hour)
		h := openAt(t, dbURL, c.now)
		await := func(what string, since time.Time) {
			t.Helper()
			var finished int64
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				err := h.database().Read(t.Context(), func(tx *db.Tx) error {
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
		await("a year ahead", c.now().Add(-time.Minute))
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		// As if it had died in the middle of a run.
		if err := h.database().Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE job SET holder = 'gone', leased_to = $1`, db.Micros(c.now().Add(time.Minute)))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		c.set(0)
		h = openAt(t, dbURL, c.now)
		await("set right", c.now().Add(-time.Minute))
	})
}
