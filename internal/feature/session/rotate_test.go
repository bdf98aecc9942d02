package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

var (
	ctx      = context.Background()
	standard = session.Config{Idle: 7 * 24 * time.Hour, Max: 30 * 24 * time.Hour, Grace: 10 * time.Second, Retry: 24 * time.Hour, PerAccount: 50}
	keys     = session.Keys{MAC: []byte(strings.Repeat("m", 32)), Derive: []byte(strings.Repeat("d", 32))}
	start    = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

// testStore is a store on a database, with one account to open sessions for.
type testStore struct {
	db      *db.DB
	config  session.Config
	store   *session.Store
	account string
}

func newTestStore(t testing.TB, d *db.DB, c session.Config) testStore {
	t.Helper()
	k := testStore{db: d, config: c, store: session.NewStore(c, keys, 1, secret.Random{}), account: secret.Random{}.ID(start)}
	address, err := account.ParseAddress("", k.account+"@example.org")
	if err != nil {
		t.Fatal(err)
	}
	err = d.Write(ctx, func(tx *db.Tx) error {
		_, _, err := account.Create(tx, account.New{ID: k.account, Address: address, Hash: "none"}, start)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k testStore) begin(now time.Time) (g session.Grant, err error) {
	err = k.db.Write(ctx, func(tx *db.Tx) error {
		g = k.store.Begin(tx, session.Start{Account: k.account, Roles: []string{"editor"}, AMR: []string{"pwd"}}, now)
		return nil
	})
	return g, err
}

// use presents a token as a flow does.
func (k testStore) use(token string, now time.Time) (g session.Grant, turn session.Turn, err error) {
	p, turn := k.store.Present(token)
	if turn != "" {
		return session.Grant{}, turn, nil
	}
	err = k.db.Write(ctx, func(tx *db.Tx) (err error) {
		g, turn, err = k.store.Rotate(tx, p, now)
		return err
	})
	return g, turn, err
}

func (k testStore) alive(id string, now time.Time) bool {
	err := k.db.Read(ctx, func(tx *db.Tx) error {
		_, err := session.Owner(tx, id, now)
		return err
	})
	return err == nil
}

// steps are the times that matter to the rules, and a clock that is 30 s off.
var steps = []time.Duration{
	0, time.Microsecond, time.Second, 9999 * time.Millisecond, 10 * time.Second, 10*time.Second + time.Microsecond, time.Minute,
	24*time.Hour - time.Microsecond, 24 * time.Hour, 25 * time.Hour, 7*24*time.Hour - time.Microsecond, 7 * 24 * time.Hour,
	-time.Second, -30 * time.Second,
}

func TestJWT4_RotationNeverDiffersFromItsModel(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		noGrace, noRetry, neither := standard, standard, standard
		noGrace.Grace, noRetry.Retry, neither.Grace, neither.Retry = 0, 0, 0, 0
		for name, c := range map[string]session.Config{"standard": standard, "no grace": noGrace, "no retry": noRetry, "neither": neither} {
			t.Run(name, func(t *testing.T) {
				k := newTestStore(t, d, c)
				rapid.Check(t, k.compareWithModel)
			})
		}
	})
}

// compareWithModel plays one random history: tokens old and new are used in any
// order, while the clock goes on, stands still or goes back.
func (k testStore) compareWithModel(t *rapid.T) {
	now := start
	g, err := k.begin(now)
	if err != nil {
		t.Fatal(err)
	}
	m := newModel(k.config, g.Refresh, now)
	issued := []string{g.Refresh}
	// Some histories begin as one of a person who comes each week, so that the end of
	// the absolute life lies within the steps that are drawn.
	weeks := rapid.SampledFrom([]int{0, 0, 4}).Draw(t, "weeks")
	for i := range weeks + rapid.IntRange(1, 14).Draw(t, "length") {
		if i < weeks {
			now = now.Add(k.config.Idle - time.Minute)
		} else {
			now = now.Add(rapid.SampledFrom(steps).Draw(t, "step"))
		}
		// The newest three are drawn more often: there the rules differ.
		back := min(rapid.SampledFrom([]int{0, 0, 0, 1, 1, 1, 2, 3, 5, 8}).Draw(t, "back"), len(issued)-1)
		token := issued[len(issued)-1-back]
		want := m.expect(token, now)
		got, turn, err := k.use(token, now)
		if err != nil {
			t.Fatal(err)
		}
		if turn == session.Rotated && want == session.Retried && m.rotatedAt.Equal(now) {
			// The row can't tell a retry in the very microsecond of the rotation from
			// the rotation. Only the name in the event differs.
			turn = session.Retried
		}
		if turn != want {
			t.Fatalf("token %d back of %d, generation %d at %v: %s, want %s", back, len(issued), m.generationOf[token], now.Sub(start), turn, want)
		}
		k.checkGrant(t, m, g, got, turn, now)
		m.apply(turn, token, got.Refresh, now)
		if turn == session.Rotated || turn == session.Retried {
			issued = append(issued, got.Refresh)
		}
		if alive, want := k.alive(g.Session, now), m.expect(m.current, now) == session.Rotated; alive != want {
			t.Fatalf("after %s the session is alive: %v, want %v", turn, alive, want)
		}
	}
}

func (k testStore) checkGrant(t *rapid.T, m *model, first, got session.Grant, turn session.Turn, now time.Time) {
	switch turn {
	case session.Rotated, session.Retried:
		if _, seen := m.generationOf[got.Refresh]; seen || got.Refresh == "" {
			t.Fatalf("%s handed out a token that was handed out before, or none", turn)
		}
	case session.Raced:
		if got.Refresh != m.current {
			t.Fatal("a racing use got another successor than the first")
		}
	default:
		if got.Refresh != "" {
			t.Fatalf("%s handed out a token", turn)
		}
		return
	}
	until := m.idleAt
	if turn != session.Raced {
		until = now.Add(k.config.Idle)
	}
	if m.maxAt.Before(until) {
		until = m.maxAt
	}
	if !got.RefreshUntil.Equal(until) {
		t.Fatalf("after %s the refresh token is good until %v, want %v", turn, got.RefreshUntil, until)
	}
	want := session.Grant{Session: first.Session, Account: k.account, Roles: []string{"editor"}, AMR: []string{"pwd"}, AuthAt: start,
		Refresh: got.Refresh, RefreshUntil: got.RefreshUntil, SessionUntil: m.maxAt, Generation: got.Generation}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the grant after %s:\n%s", turn, diff)
	}
}

// A session that is used all the time, in short strides, ends with its absolute
// life: no refresh is good at it, nor is a refresh token said to live beyond it.
func TestASVS_V7_3_2_V10_4_8_ASessionInUseEndsAtItsAbsoluteLife(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestStore(t, d, standard)
		now, end := start, start.Add(standard.Max)
		g, err := k.begin(now)
		if err != nil {
			t.Fatal(err)
		}
		for now = now.Add(20 * time.Hour); now.Before(end); now = now.Add(20 * time.Hour) {
			var turn session.Turn
			if g, turn, err = k.use(g.Refresh, now); err != nil || turn != session.Rotated {
				t.Fatalf("at %v: %s, %v", now.Sub(start), turn, err)
			}
			if g.RefreshUntil.After(end) {
				t.Fatalf("at %v the refresh token is said to live until %v, past the session's end", now.Sub(start), g.RefreshUntil.Sub(start))
			}
		}
		last, turn, err := k.use(g.Refresh, end.Add(-time.Microsecond))
		if err != nil || turn != session.Rotated || !k.alive(last.Session, end.Add(-time.Microsecond)) {
			t.Fatalf("a microsecond before its end: %s, %v", turn, err)
		}
		for _, at := range []time.Time{end, end.Add(time.Hour)} {
			if _, turn, err := k.use(last.Refresh, at); err != nil || turn != session.Refused || k.alive(last.Session, at) {
				t.Errorf("at %v: %s, %v, alive %v", at.Sub(start), turn, err, k.alive(last.Session, at))
			}
		}
	})
}

func TestJWT4_ARaceAfterTheLastRetryIsStillARace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestStore(t, d, standard)
		g, err := k.begin(start)
		if err != nil {
			t.Fatal(err)
		}
		rotated := start.Add(time.Minute)
		for _, step := range []struct {
			after time.Duration
			want  session.Turn
		}{
			{0, session.Rotated},
			{24*time.Hour - time.Second, session.Retried},
			// The retry's own answer is lost: the grace counts from when it was minted,
			// although a day has passed since the rotation.
			{24*time.Hour + time.Second, session.Raced},
			{24*time.Hour + 20*time.Second, session.Reused},
		} {
			if _, turn, err := k.use(g.Refresh, rotated.Add(step.after)); turn != step.want || err != nil {
				t.Errorf("the first token %v after its rotation: %s (error %v), want %s", step.after, turn, err, step.want)
			}
		}
	})
}

// together runs the function sixteen times at once.
func together(f func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(16)
	for i := range 16 {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	done.Wait()
}

// race has sixteen use one token at once and returns how often each turn came,
// and the successors.
func (k testStore) race(t *testing.T, token string, now time.Time) (turns map[session.Turn]int, successors map[string]bool) {
	t.Helper()
	var mu sync.Mutex
	turns, successors = map[session.Turn]int{}, map[string]bool{}
	together(func(int) {
		g, turn, err := k.use(token, now)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		turns[turn]++
		if g.Refresh != "" {
			successors[g.Refresh] = true
		}
	})
	return turns, successors
}

func TestJWT4_SixteenAtOnceOnOneToken(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for range 10 {
			k := newTestStore(t, d, standard)
			g, err := k.begin(start)
			if err != nil {
				t.Fatal(err)
			}
			turns, successors := k.race(t, g.Refresh, start.Add(time.Minute))
			if turns[session.Rotated] != 1 || turns[session.Raced] != 15 || len(successors) != 1 {
				t.Fatalf("with the grace: %v and %d successors, want one rotation, fifteen races and one successor", turns, len(successors))
			}
			// The answers are lost, all of them, and again: the retry rule.
			late := start.Add(time.Hour)
			turns, successors = k.race(t, g.Refresh, late)
			if turns[session.Retried] != 1 || turns[session.Raced] != 15 || len(successors) != 1 {
				t.Fatalf("an hour later: %v and %d successors", turns, len(successors))
			}
			for token := range successors {
				if _, turn, err := k.use(token, late.Add(time.Minute)); turn != session.Rotated || err != nil {
					t.Fatalf("the successor: %s, %v", turn, err)
				}
			}
			// Used, so the first token is now a thief's.
			if _, turn, err := k.use(g.Refresh, late.Add(2*time.Minute)); turn != session.Reused || err != nil {
				t.Fatalf("the first token again: %s, %v", turn, err)
			}
		}
	})
}

func TestJWT4_SixteenAtOnceWithoutGraces(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for range 10 {
			c := standard
			c.Grace, c.Retry = 0, 0
			k := newTestStore(t, d, c)
			g, err := k.begin(start)
			if err != nil {
				t.Fatal(err)
			}
			turns, _ := k.race(t, g.Refresh, start.Add(time.Minute))
			if turns[session.Rotated] != 1 || turns[session.Reused] != 1 || turns[session.Refused] != 14 {
				t.Fatalf("%v, want one rotation, one reuse, and the rest refused", turns)
			}
			if k.alive(g.Session, start.Add(time.Minute)) {
				t.Fatal("the session outlives the reuse")
			}
		}
	})
}

func TestJWT5_ASessionEndedAmongSixteenRefreshesStaysEnded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for range 10 {
			k := newTestStore(t, d, standard)
			g, err := k.begin(start)
			if err != nil {
				t.Fatal(err)
			}
			now := start.Add(time.Minute)
			var mu sync.Mutex
			last := g.Refresh
			together(func(i int) {
				if i == 7 {
					err := d.Write(ctx, func(tx *db.Tx) error {
						_, err := session.End(tx, g.Session, "", session.WhyRevoked, now)
						return err
					})
					if err != nil {
						t.Error(err)
					}
					return
				}
				got, _, err := k.use(g.Refresh, now)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if got.Refresh != "" {
					last = got.Refresh
				}
			})
			for _, token := range []string{g.Refresh, last} {
				if got, turn, err := k.use(token, now.Add(time.Second)); turn != session.Refused || got.Refresh != "" || err != nil {
					t.Fatalf("after the end: %s, %v", turn, err)
				}
			}
		}
	})
}

func TestJWT4_ARowFromThePastIsAheadAndARestoreIsOutdated(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestStore(t, d, standard)
		g, err := k.begin(start)
		if err != nil {
			t.Fatal(err)
		}
		var gen, minted, rotated int64
		var cur, salt []byte
		row := func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT gen, cur, salt, minted_at, rotated_at FROM session WHERE id = $1`, g.Session).Scan(&gen, &cur, &salt, &minted, &rotated)
		}
		if err := d.Read(ctx, row); err != nil {
			t.Fatal(err)
		}
		second, _, err := k.use(g.Refresh, start.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		third, _, err := k.use(second.Refresh, start.Add(2*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		err = d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE session SET gen = $2, cur = $3, salt = $4, prev = NULL, minted_at = $5, rotated_at = $6 WHERE id = $1`,
				g.Session, gen, cur, salt, minted, rotated)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, turn, err := k.use(third.Refresh, start.Add(3*time.Minute)); turn != session.Ahead || err != nil {
			t.Errorf("a token newer than its row: %s, %v", turn, err)
		}
		restored := session.NewStore(standard, keys, 2, secret.Random{})
		if _, turn := restored.Present(third.Refresh); turn != session.Outdated {
			t.Errorf("a token from before a restore: %q", turn)
		}
	})
}

func TestJWT4_TheRolesOfARefreshAreThoseOfTheMoment(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestStore(t, d, standard)
		g, err := k.begin(start)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { _, err := session.SetRoles(tx, k.account, []string{"reader"}); return err }); err != nil {
			t.Fatal(err)
		}
		got, _, err := k.use(g.Refresh, start.Add(time.Minute))
		if err != nil || fmt.Sprint(got.Roles) != "[reader]" {
			t.Errorf("roles %v, error %v", got.Roles, err)
		}
	})
}

func TestASessionTooManyEndsTheLongestUnused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := standard
		c.PerAccount = 3
		k := newTestStore(t, d, c)
		var grants []session.Grant
		for i := range 3 {
			g, err := k.begin(start.Add(time.Duration(i) * time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			grants = append(grants, g)
		}
		// The first is used again: now the second is the longest unused.
		if _, _, err := k.use(grants[0].Refresh, start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		var ended []string
		err := d.Write(ctx, func(tx *db.Tx) (err error) {
			ended, err = k.store.EndOldest(tx, k.account, start.Add(2*time.Hour))
			return err
		})
		if diff := cmp.Diff([]string{grants[1].Session}, ended); diff != "" || err != nil {
			t.Errorf("ended (error %v):\n%s", err, diff)
		}
	})
}

func TestEndAndForget(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestStore(t, d, standard)
		other := newTestStore(t, d, standard)
		var ids []string
		for range 4 {
			g, err := k.begin(start)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, g.Session)
		}
		now := start.Add(time.Hour)
		err := d.Write(ctx, func(tx *db.Tx) error {
			if _, err := session.End(tx, ids[0], other.account, session.WhyLogout, now); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("another account's session: %v", err)
			}
			if of, err := session.End(tx, ids[0], k.account, session.WhyLogout, now); err != nil || of != k.account {
				t.Errorf("ending one: %v", err)
			}
			if _, err := session.End(tx, ids[0], "", session.WhyLogout, now); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("ending it again: %v", err)
			}
			ended, err := session.EndAll(tx, k.account, ids[1], session.WhyLogout, now)
			if err != nil || len(ended) != 2 {
				t.Errorf("ending all but one ended %v: %v", ended, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var list []session.Info
		forgotten := []int64{}
		for _, before := range []time.Time{now, now.Add(time.Microsecond), now.Add(8 * 24 * time.Hour)} {
			err = d.Write(ctx, func(tx *db.Tx) error {
				dry, err := session.Forget(tx, db.Batch{Before: db.Micros(before), Keys: 100, Dry: true})
				if err != nil {
					return err
				}
				s, err := session.Forget(tx, db.Batch{Before: db.Micros(before), Keys: 100})
				if forgotten = append(forgotten, s.Due); dry != s {
					t.Errorf("a dry run says %+v, and it becomes %+v", dry, s)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(forgotten) == 2 {
				if err := d.Read(ctx, func(tx *db.Tx) (err error) { list, err = session.List(tx, k.account, now); return err }); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff([]int64{0, 3, 1}, forgotten); diff != "" {
			t.Errorf("forgotten:\n%s", diff)
		}
		if len(list) != 1 || list[0].ID != ids[1] {
			t.Errorf("the living sessions are %v, want %s", list, ids[1])
		}
	})
}
