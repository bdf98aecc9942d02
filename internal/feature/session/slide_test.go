package session_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// TestCaseB6_AUseSlides: the use of a session whose refresh token is looked at puts its idle end off; a use by an access token, one
// that was over by then, and one of a session that was ended do not.
func TestCaseB6_AUseSlides(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		k := newTestStore(t, d, standard)
		ends := func(id string) (at int64) {
			t.Helper()
			err := d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT idle_at FROM session WHERE id = $1`, id).Scan(&at) })
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		for name, c := range map[string]struct {
			use   func(u *session.Uses, id, address string, at, until time.Time)
			after time.Duration
			ended bool
			moves bool
		}{
			"looked at":       {(*session.Uses).Slide, time.Hour, false, true},
			"an access token": {func(u *session.Uses, id, address string, at, _ time.Time) { u.Add(id, address, at) }, time.Hour, false, false},
			"too late":        {(*session.Uses).Slide, standard.Idle + time.Minute, false, false},
			"ended":           {(*session.Uses).Slide, time.Hour, true, false},
			"both": {func(u *session.Uses, id, address string, at, until time.Time) {
				u.Slide(id, address, at, until)
				u.Add(id, address, at.Add(time.Second))
			}, time.Hour, false, true},
		} {
			g, err := k.begin(start)
			if err != nil {
				t.Fatal(err)
			}
			before := ends(g.Session)
			if c.ended {
				if err := d.Write(ctx, func(tx *db.Tx) error {
					_, err := session.End(tx, g.Session, "", session.WhyLogout, start)
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
			u := session.NewUses(d)
			at := start.Add(c.after)
			c.use(u, g.Session, "192.0.2.1", at, at.Add(standard.Idle))
			if err := u.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			want := before
			if c.moves {
				want = db.Micros(at.Add(standard.Idle))
			}
			if got := ends(g.Session); got != want {
				t.Errorf("%s: it ends at %v, want %v", name, db.Time(got), db.Time(want))
			}
		}
	})
}

// TestASVS_V10_1_1_ATokenForACookie: it is of the same session and generation as the token it was made of, and neither of the two
// is made of the other without the key.
func TestASVS_V10_1_1_ATokenForACookie(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		k := newTestStore(t, d, standard)
		g, err := k.begin(start)
		if err != nil {
			t.Fatal(err)
		}
		cookie := k.store.ForCookie(g.Refresh)
		in, turn := k.store.Present(g.Refresh)
		out, turned := k.store.Present(cookie)
		if turn != "" || turned != "" || in.FromCookie() || !out.FromCookie() || in.SessionID() != out.SessionID() || in.Key() != out.Key() || cookie == g.Refresh {
			t.Errorf("%q %q %v %v", turn, turned, in, out)
		}
		if again := k.store.ForCookie(cookie); again != cookie {
			t.Error("it is made twice")
		}
		// The MACs are all that differs, and can't be swapped.
		const body = len(session.TokenPrefix) + 101
		if _, turn := k.store.Present(g.Refresh[:body] + cookie[body:]); turn == "" && g.Refresh[:body] != cookie[:body] {
			t.Error("a mixture of both is good")
		}
	})
}
