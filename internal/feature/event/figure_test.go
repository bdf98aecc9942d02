package event_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// The overview's figures: each event counts once, though two seal at the same time and
// what is counted comes with its count.
func TestFiguresCountEachEventOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		for range 700 {
			s.append(t, full(event.Login))
		}
		for range 9 {
			s.append(t, full(event.TokenRefresh))
		}
		limited := full(event.RateLimitExceeded)
		limited.Outcome, limited.Detail.Count = event.Failure, 118
		s.append(t, limited)
		failed := full(event.FailedLogin)
		failed.Outcome, failed.Detail.Count = event.Failure, 0
		s.append(t, failed)
		failed.Detail.Count = 4
		s.append(t, failed)
		s.append(t, full(event.Logout)) // has no figure
		other := event.NewSealer(d, logKey, s.now)
		var both sync.WaitGroup
		both.Go(func() { s.seal(t) })
		both.Go(func() {
			if _, err := other.Seal(ctx); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		s.seal(t)
		got := map[string]int64{}
		err := d.Read(ctx, func(tx *db.Tx) error {
			list, err := event.ReadFigures(tx, event.Hour(start)-1, event.Hour(start)+48)
			for _, f := range list {
				got[f.Name] += f.N
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int64{event.FigureSignIns: 700, event.FigureRefreshes: 9, event.FigureLimits: 118, event.FigureFailures: 5}
		if len(got) != len(want) {
			t.Errorf("the figures: %v, want %v", got, want)
		}
		for name, n := range want {
			if got[name] != n {
				t.Errorf("%s: %d, want %d", name, got[name], n)
			}
		}
	})
}

func TestLevelsAreReplacedAndOldFiguresForgotten(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write := func(fn func(tx *db.Tx) error) {
			t.Helper()
			if err := d.Write(ctx, fn); err != nil {
				t.Fatal(err)
			}
		}
		for i, n := range []int64{5, 9, 7} {
			write(func(tx *db.Tx) error {
				event.SetFigure(tx, event.FigureSessions, n, start.Add(time.Duration(i)*40*time.Minute))
				return nil
			})
		}
		read := func() (list []event.Figure) {
			t.Helper()
			if err := d.Read(ctx, func(tx *db.Tx) (err error) { list, err = event.ReadFigures(tx, 0, event.Hour(start)+10); return err }); err != nil {
				t.Fatal(err)
			}
			return list
		}
		if list := read(); len(list) != 2 || list[0].N != 9 || list[1].N != 7 {
			t.Errorf("the levels: %v", list)
		}
		write(func(tx *db.Tx) error {
			n, err := event.ForgetFigures(tx, start.Add(time.Hour), 10)
			if n != 1 {
				t.Errorf("%d were forgotten", n)
			}
			return err
		})
		if list := read(); len(list) != 1 || list[0].N != 7 {
			t.Errorf("the levels: %v", list)
		}
	})
}
