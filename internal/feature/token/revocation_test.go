package token

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// since is a token of the session, issued and signed in at the given time.
func since(session string, at time.Time) *Claims {
	return &Claims{Session: session, Subject: "a", Roles: []string{}, IssuedAt: at.Unix(), AuthTime: at.Unix(), KeyID: "k"}
}

func write(t testing.TB, d *db.DB, fn func(tx *db.Tx)) {
	t.Helper()
	if err := d.Write(context.Background(), func(tx *db.Tx) error { fn(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

// TestJWT5_EachKindOfRevocation: what was written on one replica ends tokens on
// another that polls, and on one whose memory is stale and asks; others live.
func TestJWT5_EachKindOfRevocation(t *testing.T) {
	now := time.Now()
	old, young := now.Add(-time.Hour), now.Add(time.Hour)
	session, other := uuid.NewString(), uuid.NewString()
	for name, c := range map[string]struct {
		revoke      func(r *Revocations, tx *db.Tx)
		dead, lives *Claims
	}{
		"a session":          {func(r *Revocations, tx *db.Tx) { r.EndSession(tx, session) }, since(session, now), since(other, now)},
		"a session, no UUID": {func(r *Revocations, tx *db.Tx) { r.EndSession(tx, "s") }, since("s", now), since("t", now)},
		"a key": {func(r *Revocations, tx *db.Tx) { r.EndKey(tx, "k") }, since(session, now),
			&Claims{Session: session, KeyID: "k2", AuthTime: now.Unix()}},
		"everything": {func(r *Revocations, tx *db.Tx) { r.EndBefore(tx, time.Time{}) }, since(session, now), since(session, young)},
		"before an hour ago": {func(r *Revocations, tx *db.Tx) { r.EndBefore(tx, old) }, since(session, old.Add(-2*time.Second)),
			since(session, old.Add(time.Second))},
		"before a whole time": {func(r *Revocations, tx *db.Tx) { r.EndBefore(tx, old.Truncate(time.Second)) },
			since(session, old.Truncate(time.Second).Add(-time.Second)), since(session, old.Truncate(time.Second))},
		"before, refreshed since": {
			func(r *Revocations, tx *db.Tx) { r.EndBefore(tx, old) },
			&Claims{Session: session, IssuedAt: young.Unix(), AuthTime: old.Add(-time.Minute).Unix()}, since(session, now),
		},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				one, two, stale := NewRevocations(d, time.Minute, 0, time.Now), NewRevocations(d, time.Minute, 0, time.Now), NewRevocations(d, time.Minute, 0, time.Now)
				if err := two.Poll(t.Context()); err != nil {
					t.Fatal(err)
				}
				_, known := two.feed.after(0, 0)
				write(t, d, func(tx *db.Tx) { c.revoke(one, tx) })
				if !one.dead(c.dead) || one.dead(c.lives) {
					t.Error("where it was revoked: the dead lives, or the living is dead")
				}
				if two.dead(c.dead) {
					t.Error("the other replica knew before it polled")
				}
				if err := two.Poll(t.Context()); err != nil {
					t.Fatal(err)
				}
				select {
				case <-known:
				default:
					t.Error("nobody was notified of the change")
				}
				_, again := two.feed.after(0, 0)
				if err := two.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
				select {
				case <-again:
					t.Error("what is known already was announced again")
				default:
				}
				for _, r := range []*Revocations{two, stale} {
					if err := r.Check(t.Context(), c.dead); fault.KindOf(err) != fault.Unauthenticated {
						t.Errorf("the dead: %v", err)
					}
					if err := r.Check(t.Context(), c.lives); err != nil {
						t.Errorf("the living: %v", err)
					}
				}
			})
		})
	}
}

// A cut-off refuses sessions that began before it, at their next refresh too,
// and no others; an older one takes nothing back.
func TestACutOffIsTheLatestOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := NewRevocations(d, time.Minute, 0, time.Now)
		now := time.Now()
		hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
		if r.Cut(hour(-99999)) {
			t.Error("cut without a cut-off")
		}
		for _, at := range []int{-2, -5, -3} {
			write(t, d, func(tx *db.Tx) { r.EndBefore(tx, hour(at)) })
		}
		if !r.Cut(hour(-3)) || r.Cut(hour(-1)) {
			t.Error("the cut-off is not the latest one")
		}
		write(t, d, func(tx *db.Tx) { r.EndBefore(tx, hour(500)) }) // ahead is now
		if !r.Cut(now) || r.Cut(now.Add(5*time.Second)) {
			t.Error("a cut-off ahead of us ends sessions that are yet to come")
		}
	})
}

func TestAwaitReturnsAfterAPollThatBeganAfterIt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := NewRevocations(d, time.Minute, 0, time.Now)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := r.Await(short); err == nil {
			t.Fatal("there was no poll")
		}
		polls := 0
		r.OnPoll(func(*db.Tx) error { polls++; return nil })
		var waiting sync.WaitGroup
		for range 16 {
			waiting.Go(func() {
				if err := r.Await(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		done := make(chan struct{})
		go func() { waiting.Wait(); close(done) }()
		for {
			if err := r.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			select {
			case <-done:
				if polls == 0 {
					t.Error("nothing was read beside")
				}
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
}

// TestTooManyRevocationsCollapse lowers the limit from two millions: memory has a
// bound, what was revoked stays so, and who is refused without need gets a token
// that works by refreshing.
func TestTooManyRevocationsCollapse(t *testing.T) {
	now := time.Now()
	r := NewRevocations(nil, 15*time.Minute, 0, func() time.Time { return now })
	r.sessions.most = 1000
	var ended []*Claims
	for i := range 5000 {
		now = now.Add(100 * time.Millisecond) // 500 s in all
		c := since(uuid.NewString(), now)
		ended = append(ended, c)
		r.apply(Revocation{Kind: RevokedSession, Subject: c.Session, Until: now.Add(r.keep)})
		if live := r.Live(); live > 1000 {
			t.Fatalf("%d are remembered after %d", live, i)
		}
	}
	for i, c := range ended {
		if !r.dead(c) {
			t.Fatalf("the revoked token %d of %d lives again", i, len(ended))
		}
	}
	if n := r.Collapsed(); n == 0 {
		t.Error("nothing has collapsed")
	}
	refused := 0
	for range 1000 {
		s := uuid.NewString()
		if r.dead(since(s, now.Add(-30*time.Second))) {
			refused++
		}
		if r.dead(since(s, now)) {
			t.Fatal("a token that was issued just now is refused for a cut-off")
		}
	}
	if refused == 0 {
		t.Error("no slice is cut off")
	}
	// As the reading of everything does every five minutes.
	live := r.Live()
	for _, c := range ended {
		r.apply(Revocation{Kind: RevokedSession, Subject: c.Session, Until: time.Unix(c.IssuedAt, 0).Add(r.keep)})
	}
	if r.Live() > 1000 || !r.dead(ended[0]) {
		t.Errorf("read again, %d are remembered; before it were %d", r.Live(), live)
	}
	r.forget(now.Add(r.keep + time.Minute))
	if r.Live() != 0 || r.Collapsed() != 0 {
		t.Errorf("once all tokens have expired %d revocations and %d cut-offs are left", r.Live(), r.Collapsed())
	}
}

// All at once, as when an operator ends everybody of a network: there is nothing
// that is not young, so the young ones collapse.
func TestABurstOfRevocationsCollapsesToo(t *testing.T) {
	now := time.Now()
	r := NewRevocations(nil, 15*time.Minute, 0, func() time.Time { return now })
	r.sessions.most = 1000
	var ended []*Claims
	for range 10_000 {
		c := since(uuid.NewString(), now)
		ended = append(ended, c)
		r.apply(Revocation{Kind: RevokedSession, Subject: c.Session, Until: now.Add(r.keep)})
	}
	if live := r.Live(); live > 1000 {
		t.Errorf("%d are remembered", live)
	}
	for _, c := range ended {
		if !r.dead(c) {
			t.Fatal("a revoked token lives again")
		}
	}
	if r.dead(since(uuid.NewString(), now.Add(6*time.Second))) {
		t.Error("the cut-off reaches further than it must")
	}
}

func TestSixteenRevokeWhileOthersAskAndSlicesCollapse(t *testing.T) {
	r := NewRevocations(nil, 15*time.Minute, 0, time.Now)
	r.sessions.most = 2000
	at := time.Now().Add(-time.Minute)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 1000 {
				c := since(uuid.NewString(), at)
				r.apply(Revocation{Kind: RevokedSession, Subject: c.Session, Until: at.Add(r.keep)})
				if !r.dead(c) {
					t.Error("a revoked token lives")
				}
			}
			r.forget(time.Now())
		})
	}
	wg.Wait()
	if live := r.Live(); live > 2000 || live < 0 {
		t.Errorf("%d are remembered", live)
	}
}

// BenchmarkRevocations measures what a check costs with 10, 10,000 and a million
// live revocations, and how much memory they take.
func BenchmarkRevocations(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			r := NewRevocations(nil, 15*time.Minute, 0, time.Now)
			until := time.Now().Add(r.keep)
			for range n {
				r.apply(Revocation{Kind: RevokedSession, Subject: uuid.NewString(), Until: until})
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			c := since(uuid.NewString(), time.Now())
			r.freshness.askedAt = time.Now().Add(time.Hour)
			b.ReportAllocs()
			for b.Loop() {
				if r.dead(c) {
					b.Fatal("dead")
				}
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20)/float64(n)*1e6, "MiB/million")
			runtime.KeepAlive(r)
		})
	}
}

// TestFreshWhileEverythingIsReadAgain: with many live revocations a replica knows
// them all at its start, and stays fresh while it reads everything again.
func TestFreshWhileEverythingIsReadAgain(t *testing.T) {
	n := 50_000
	if os.Getenv("GATEHOUSE_SOAK") != "" {
		n = 1_000_000
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ended := uuid.NewString()
		for done := 0; done < n; done += 10_000 {
			write(t, d, func(tx *db.Tx) {
				tx.Defer(`INSERT INTO revocation (kind, subject, roles, n, expires_at)
					WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 10000)
					SELECT 'session', '0190a6e2-7b1c-7def-' || ($1 + i), '[]', 0, $2 FROM c`, int64(done), db.Micros(time.Now().Add(time.Hour)))
			})
		}
		r := NewRevocations(d, 15*time.Minute, 0, time.Now)
		write(t, d, func(tx *db.Tx) { r.EndSession(tx, ended) })
		r = NewRevocations(d, 15*time.Minute, 0, time.Now)
		began := time.Now()
		if err := r.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.Live() != n+1 || !r.dead(since(ended, began)) {
			t.Fatalf("%d are known", r.Live())
		}
		t.Logf("reading %d took %v", n, time.Since(began))
		done := make(chan error, 1)
		go func() { done <- r.Reload(context.Background()) }()
		for {
			if err := r.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				if err != nil || r.Live() != n+1 {
					t.Errorf("%d are known, error %v", r.Live(), err)
				}
				return
			default:
			}
		}
	})
}
