package session_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

func (k desk) usedAt(t *testing.T, id string) time.Time {
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
		k := newAdmin(t, d, standard)
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
			step.by.Add(first.Session, start.Add(step.at))
			step.by.Add("none", start.Add(step.at))
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
	k := newAdmin(t, d, standard)
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
				u.Add(g.Session, start.Add(time.Duration(replica+1)*time.Minute))
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
