package session_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

func (k testStore) usedAt(t *testing.T, id string) time.Time {
	t.Helper()
	var list []session.Info
	err := k.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = session.List(tx, k.account, start)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.ID == id {
			return s.UsedAt
		}
	}
	t.Fatal("it is not listed")
	return time.Time{}
}

// The use of access tokens counts, and is written once a minute at most,
// whichever replica sees it.
func TestAUseIsWrittenOnceAMinute(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		k := newTestStore(t, d, standard)
		one, two := session.NewUses(d), session.NewUses(d)
		first, err := k.begin(start)
		if err != nil {
			t.Fatal(err)
		}
		second, err := k.begin(start.Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			by   *session.Uses
			at   time.Duration
			want time.Duration
		}{
			{one, 59 * time.Second, 0}, // the sign-in is no minute ago
			{one, 60 * time.Second, 60 * time.Second},
			{two, 90 * time.Second, 60 * time.Second},
			{two, 119 * time.Second, 60 * time.Second},
			{one, 2 * time.Minute, 2 * time.Minute},
			{two, time.Minute, 2 * time.Minute}, // late
		} {
			step.by.Add(first.Session, "", start.Add(step.at))
			step.by.Add("none", "", start.Add(step.at))
			if err := step.by.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			if got := k.usedAt(t, first.Session); !got.Equal(start.Add(step.want)) {
				t.Errorf("after a use at %v it is %v, want %v", step.at, got.Sub(start), step.want)
			}
		}
		if got := k.usedAt(t, second.Session); !got.Equal(start.Add(time.Second)) {
			t.Errorf("the other: %v", got.Sub(start))
		}
		var list []session.Info
		if err := d.Read(ctx, func(tx *db.Tx) (err error) {
			list, err = session.List(tx, k.account, start)
			return err
		}); err != nil || list[0].ID != first.Session {
			t.Errorf("the latest used is not the first: %v %v", list, err)
		}
	})
}

// Replicas that write the same sessions at once, while these are refreshed and
// ended, hold nobody up for good, and lose nothing else.
func TestUsesAreWrittenBesideRefreshes(t *testing.T) {
	d := dbtest.Open(t, dbtest.Postgres(t))
	k := newTestStore(t, d, standard)
	var grants []session.Grant
	for range 40 {
		g, err := k.begin(start)
		if err != nil {
			t.Fatal(err)
		}
		grants = append(grants, g)
	}
	var all sync.WaitGroup
	for replica := range 8 {
		all.Go(func() {
			u := session.NewUses(d)
			for _, g := range grants {
				u.Add(g.Session, "192.0.2.1", start.Add(time.Duration(replica+1)*time.Minute))
			}
			if err := u.Flush(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 8 {
		all.Go(func() {
			for _, g := range grants[i*5 : i*5+5] {
				if _, turn, err := k.use(g.Refresh, start.Add(time.Second)); err != nil || turn != session.Rotated {
					t.Errorf("a refresh: %v %v", turn, err)
				}
			}
		})
	}
	all.Wait()
	for i, g := range grants {
		if got := k.usedAt(t, g.Session); got.Before(start.Add(time.Second)) {
			t.Errorf("session %d was used at %v", i, got)
		}
	}
}

// A session shows where it was last used, not only where its owner signed in: a new network
// is written with the next use, and once a minute at most.
func TestASessionShowsWhereItWasLastUsed(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		k := newTestStore(t, d, standard)
		u := session.NewUses(d)
		g, err := k.begin(start)
		if err != nil {
			t.Fatal(err)
		}
		info := func() (i session.Info) {
			t.Helper()
			err := d.Read(ctx, func(tx *db.Tx) error {
				list, err := session.List(tx, k.account, start)
				if err == nil && len(list) == 1 {
					i = list[0]
				}
				return err
			})
			if err != nil || i.ID != g.Session {
				t.Fatalf("%+v %v", i, err)
			}
			return i
		}
		const at = "192.0.2.1"
		if err := d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE session SET address = $1`, at)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if i := info(); i.Address != at || i.FirstAddress != at {
			t.Errorf("before any use: %+v", info())
		}
		for _, step := range []struct {
			address string
			at      time.Duration
			want    string
			used    time.Duration
		}{
			{"", 10 * time.Second, at, 0},
			{at, 20 * time.Second, at, 0},                                        // the sign-in is no minute ago
			{"198.51.100.1", 30 * time.Second, "198.51.100.1", 30 * time.Second}, // but it was elsewhere
			{"198.51.100.2", 60 * time.Second, "198.51.100.1", 30 * time.Second}, // once a minute
			{"198.51.100.2", 90 * time.Second, "198.51.100.2", 90 * time.Second}, //
			{"", 3 * time.Minute, "198.51.100.2", 3 * time.Minute},               // nobody knows where
			{"198.51.100.3", 2 * time.Minute, "198.51.100.2", 3 * time.Minute},   // late
			{at, 4 * time.Minute, at, 4 * time.Minute},                           // back home
		} {
			u.Add(g.Session, step.address, start.Add(step.at))
			if err := u.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			if i := info(); i.Address != step.want || i.FirstAddress != at || !i.UsedAt.Equal(start.Add(step.used)) {
				t.Errorf("after a use from %q at %v: %+v, want %q at %v", step.address, step.at, i, step.want, step.used)
			}
		}
		// A refresh returns where the session was last used.
		next, turn, err := k.use(g.Refresh, start.Add(5*time.Minute))
		if err != nil || turn != session.Rotated || next.LastAddress != at {
			t.Errorf("%v %v, last used at %q", turn, err, next.LastAddress)
		}
	})
}
