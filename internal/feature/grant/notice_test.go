package grant

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

var begin = time.Unix(1_800_000_000, 0)

func write(t *testing.T, d *db.DB, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func signedInTo(t *testing.T, d *db.DB, sid string, clients ...string) {
	t.Helper()
	write(t, d, func(tx *db.Tx) error {
		for _, c := range clients {
			signIn(tx, c, Holder{Account: "ada", SID: sid, Until: begin.Add(time.Hour)}, begin)
		}
		return nil
	})
}

func take(t *testing.T, d *db.DB, client string, now time.Time) (taken []Notice) {
	t.Helper()
	write(t, d, func(tx *db.Tx) (err error) {
		taken, err = TakeNotices(tx, client, now, 10)
		return err
	})
	return taken
}

// The pauses between tries grow, up to an hour, for a day.
func TestOIDC_BackChannel_PausesBetweenTries(t *testing.T) {
	n := Notice{until: begin.Add(NoticeLife)}
	now := begin
	var pauses []time.Duration
	for {
		n.Tries++
		next, again := n.Next(now)
		if !again {
			break
		}
		pauses = append(pauses, next.Sub(now))
		now = next
	}
	want := []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, time.Hour}
	if !slices.Equal(pauses[:len(want)], want) || len(pauses) != 27 || now.After(begin.Add(24*time.Hour)) || now.Before(begin.Add(22*time.Hour)) {
		t.Errorf("%d tries, the last at %s: %v", n.Tries, now.Sub(begin), pauses)
	}
}

// Sixteen who end one session at once queue one notice, and of sixteen who look for it one takes it; until its lease is over, nobody else does.
func TestOIDC_BackChannel_OfSixteenOneTakesANotice(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for round := range 5 {
			now := begin.Add(time.Duration(round) * time.Hour)
			sid := strings.Repeat("s", round+1)
			signedInTo(t, d, sid, "app", "wiki")
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					if err := d.Write(t.Context(), func(tx *db.Tx) error { return Tell(tx, sid, now) }); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			var (
				mu    sync.Mutex
				taken []Notice
			)
			for range 16 {
				all.Go(func() {
					err := d.Write(t.Context(), func(tx *db.Tx) error {
						got, err := TakeNotices(tx, "app", now, 10)
						if err == nil {
							tx.OnCommit(func() {
								mu.Lock()
								defer mu.Unlock()
								taken = append(taken, got...)
							})
						}
						return err
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if len(taken) != 1 || taken[0].SID != sid || taken[0].Account != "ada" || taken[0].Tries != 1 {
				t.Fatalf("round %d: %+v", round, taken)
			}
			if again := take(t, d, "app", now.Add(NoticeLease-time.Second)); len(again) != 0 {
				t.Errorf("taken within the lease: %+v", again)
			}
			// Whoever took it was killed: another takes it, and the first, if it lives after all, settles nothing.
			later := take(t, d, "app", now.Add(NoticeLease))
			if len(later) != 1 || later[0].Tries != 2 {
				t.Fatalf("after the lease: %+v", later)
			}
			write(t, d, func(tx *db.Tx) error { taken[0].Settle(tx); return nil })
			write(t, d, func(tx *db.Tx) error { later[0].PutOff(tx, now.Add(time.Minute), "away"); return nil })
			if n := len(take(t, d, "app", now.Add(59*time.Second))); n != 0 {
				t.Error("taken before it is due again")
			}
			last := take(t, d, "app", now.Add(time.Minute))
			if len(last) != 1 {
				t.Fatalf("due again: %+v", last)
			}
			write(t, d, func(tx *db.Tx) error { last[0].Settle(tx); return nil })
			for _, n := range take(t, d, "wiki", now) { // its own notice is its own
				write(t, d, func(tx *db.Tx) error { n.Settle(tx); return nil })
			}
			var left int64
			if err := d.Read(t.Context(), func(tx *db.Tx) (err error) { left, _, err = NoticesOf(tx); return err }); err != nil || left != 0 {
				t.Errorf("%d are left, %v", left, err)
			}
		}
	})
}

// What is queued anew while a notice is on its way is sent as well.
func TestOIDC_BackChannel_QueuedAnewMeanwhile(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		signedInTo(t, d, "s", "app")
		write(t, d, func(tx *db.Tx) error { return TellClient(tx, "ada", "app", begin) })
		first := take(t, d, "app", begin)
		signedInTo(t, d, "s", "app")
		write(t, d, func(tx *db.Tx) error { return Tell(tx, "s", begin.Add(time.Second)) })
		write(t, d, func(tx *db.Tx) error { first[0].Settle(tx); return nil })
		if again := take(t, d, "app", begin.Add(time.Second)); len(again) != 1 || again[0].Tries != 1 {
			t.Errorf("%+v", again)
		}
	})
}

// Applications with nothing that is due are passed over, whatever waits for them.
func TestOIDC_BackChannel_WhoExpectsANotice(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for i, sid := range []string{"a", "b", "c"} {
			signedInTo(t, d, sid, "dead", "live")
			write(t, d, func(tx *db.Tx) error { return Tell(tx, sid, begin.Add(time.Duration(i)*time.Second)) })
		}
		for _, n := range take(t, d, "dead", begin.Add(3*time.Second)) {
			write(t, d, func(tx *db.Tx) error { n.PutOff(tx, begin.Add(time.Hour), "away"); return nil })
		}
		for at, want := range map[time.Duration][]string{-1: nil, 3: {"live"}, 3600: {"dead", "live"}} {
			var got []string
			if err := d.Read(t.Context(), func(tx *db.Tx) (err error) { got, err = Expecting(tx, begin.Add(at*time.Second)); return err }); err != nil ||
				!slices.Equal(got, want) {
				t.Errorf("after %d s: %v, %v", at, got, err)
			}
		}
	})
}
