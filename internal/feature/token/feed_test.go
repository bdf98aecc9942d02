package token

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// follower is an application: it keeps the sessions that it was notified of.
type follower struct {
	testing.TB
	cursor string
	ended  map[string]int // how often it was notified of each
	resets int
}

func (f *follower) ask(r *Revocations, wait time.Duration) Followed {
	f.Helper()
	changes, err := r.Follow(f.Context(), f.cursor, wait, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.cursor = changes.Cursor
	if changes.Everything {
		f.ended = map[string]int{}
		f.resets++
	}
	for one := range changes.Revocations {
		f.ended[one.Subject]++
	}
	return changes
}

func polled(t testing.TB, d *db.DB) *Revocations {
	t.Helper()
	r := NewRevocations(d, time.Minute, 0, time.Now)
	poll(t, r)
	return r
}

func poll(t testing.TB, rs ...*Revocations) {
	t.Helper()
	for _, r := range rs {
		if err := r.Poll(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJWT5_AFollowerGoesFromReplicaToReplica: with the cursor of one it goes on at
// the other, and is notified of each revocation, with one reset at its start.
func TestJWT5_AFollowerGoesFromReplicaToReplica(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		one, two := polled(t, d), polled(t, d)
		before := uuid.NewString()
		write(t, d, func(tx *db.Tx) { one.EndSession(tx, before) })
		poll(t, one, two, one, two)
		f := &follower{TB: t}
		f.ask(one, 0)
		if f.resets != 1 || f.ended[before] == 0 {
			t.Fatalf("at the start: %d resets, %v", f.resets, f.ended)
		}
		for i := range 20 {
			id := uuid.NewString()
			write(t, d, func(tx *db.Tx) { one.EndSession(tx, id) })
			asked := one
			if i%2 > 0 {
				asked = two
			}
			if poll(t, asked); f.ended[id] > 0 {
				t.Fatal("notified too early")
			}
			if f.ask(asked, 0); f.ended[id] == 0 {
				t.Fatalf("%d: not notified", i)
			}
		}
		if f.resets != 1 {
			t.Errorf("%d resets", f.resets)
		}
		// One replica's cursor goes on exactly.
		f.ask(two, 0)
		if changes := slices.Collect(f.ask(two, 0).Revocations); len(changes) > 0 {
			t.Errorf("announced again: %v", changes)
		}
	})
}

// TestJWT5_AFollowerMissesNoLateCommit: a transaction that began first commits
// last, while the follower goes round the replicas.
func TestJWT5_AFollowerMissesNoLateCommit(t *testing.T) {
	d := dbtest.Open(t, dbtest.Postgres(t))
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	one, two := polled(t, d), polled(t, d)
	poll(t, one, two)
	f := &follower{TB: t}
	f.ask(one, 0)
	late, begun, commit, done := uuid.NewString(), make(chan bool), make(chan bool), make(chan error)
	go func() {
		done <- d.Write(context.Background(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO revocation (kind, subject, roles, n, expires_at) VALUES ('session', $1, '[]', 0, $2)`, late,
				db.Micros(time.Now().Add(time.Hour)))
			close(begun)
			<-commit
			return err
		})
	}()
	<-begun
	for _, r := range []*Revocations{one, two, one, two} {
		id := uuid.NewString()
		write(t, d, func(tx *db.Tx) { one.EndSession(tx, id) })
		poll(t, one, two)
		if f.ask(r, 0); f.ended[id] == 0 {
			t.Fatal("not notified")
		}
	}
	close(commit)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	poll(t, one, two)
	if f.ask(one, 0); f.ended[late] == 0 || f.resets != 1 {
		t.Errorf("the late one was announced %d times, with %d resets", f.ended[late], f.resets)
	}
	if f.ask(two, 0); f.resets != 1 {
		t.Error("everything came again")
	}
}

func TestAFollowerWaits(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := polled(t, d)
		poll(t, r)
		f := &follower{TB: t}
		f.ask(r, time.Minute) // everything comes at once
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan bool)
		go func() { defer close(ran); r.Run(ctx, func(error) {}) }()
		defer func() { cancel(); <-ran }()
		id := uuid.NewString()
		wrote := make(chan error)
		go func() {
			wrote <- d.Write(context.Background(), func(tx *db.Tx) error { r.EndSession(tx, id); return nil })
		}()
		if f.ask(r, time.Minute); f.ended[id] != 1 {
			t.Error("it was not notified")
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
		stopping := make(chan struct{})
		close(stopping)
		if changes, err := r.Follow(t.Context(), f.cursor, time.Minute, stopping); err != nil || changes.Everything {
			t.Errorf("while stopping: %v", err)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := r.Follow(gone, f.cursor, time.Minute, nil); err == nil {
			t.Error("an answer to nobody")
		}
	})
}

// TestJWT5_AFollowerIsToldWhenNobodyKnows: a replica whose knowledge is too old
// says so, to those who wait as well.
func TestJWT5_AFollowerIsToldWhenNobodyKnows(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := NewRevocations(d, time.Minute, 0, time.Now)
	for _, cursor := range []string{"", "x"} {
		if _, err := r.Follow(t.Context(), cursor, 0, nil); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("before the first poll: %v", err)
		}
	}
	poll(t, r, r)
	f := &follower{TB: t}
	f.ask(r, 0)
	if _, err := r.Follow(t.Context(), f.cursor, time.Minute, nil); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("nobody polls: %v", err)
	}
}

// TestACursorThatCantBeContinuedGetsEverything: made up, too old, of a database
// that went back in time, or from before too much.
func TestACursorThatCantBeContinuedGetsEverything(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := polled(t, d)
	ran := make(chan bool)
	go func() { defer close(ran); r.Run(ctx, func(error) {}) }()
	defer func() { cancel(); <-ran }()
	if err := r.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := r.feed.end(time.Now())
	for name, c := range map[string]string{
		"old":      cursor{good.name, good.number, good.mark, good.at - 200}.String(),
		"to come":  cursor{good.name, good.number, good.mark, good.at + 200}.String(),
		"ahead":    cursor{"another", 0, good.mark + 1000, good.at}.String(),
		"before":   cursor{"another", 0, 0, good.at}.String(),
		"beyond":   cursor{good.name, good.number + 9, 0, good.at}.String(),
		"nonsense": "nonsense", "long": strings.Repeat("9", 1000), "parts": "a.b.c.d.e", "negative": "a.-1.0.0",
	} {
		if err := r.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		if changes, err := r.Follow(t.Context(), c, time.Minute, nil); err != nil || !changes.Everything {
			t.Errorf("%s: %v %v", name, changes.Everything, err)
		}
	}
	rows := make([]Revocation, feedRows+1)
	for i := range rows {
		rows[i] = Revocation{Kind: RevokedSession, Subject: uuid.NewString(), tx: good.mark + int64(i)}
	}
	r.feed.take(rows, good.mark, good.mark, false)
	for _, name := range []string{good.name, "another"} {
		c := cursor{name, good.number, good.mark, good.at}
		if err := r.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		if changes, err := r.Follow(t.Context(), c.String(), 0, nil); err != nil || !changes.Everything {
			t.Errorf("after more than is kept: %v %v", changes.Everything, err)
		}
	}
	if n := len(r.feed.rows); n > feedRows {
		t.Errorf("%d rows are kept", n)
	}
}

// Everything in memory is announced, the cut-offs that stand for many sessions too;
// whoever follows them refuses what this replica refuses.
func TestJWT5_EverythingIsTold(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := polled(t, d)
	r.sessions.most = 100
	now := time.Now()
	var ended []string
	write(t, d, func(tx *db.Tx) {
		for range 300 {
			ended = append(ended, uuid.NewString())
			r.EndSession(tx, ended[len(ended)-1])
		}
		r.EndKey(tx, "k9")
		if err := r.ChangeRoles(tx, "a9", []string{"editor"}, 3); err != nil {
			t.Error(err)
		}
		r.EndBefore(tx, now.Add(-time.Hour))
	})
	copied := NewRevocations(d, time.Minute, 0, time.Now)
	changes, err := r.Follow(t.Context(), "", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[RevocationKind]int{}
	for one := range changes.Revocations {
		kinds[one.Kind]++
		if !one.Until.After(now) {
			t.Errorf("%v can be forgotten already", one)
		}
		if one.Kind != RevokedIssued {
			copied.apply(one)
		}
	}
	if kinds[RevokedSession] == 0 || kinds[RevokedIssued] == 0 || kinds[RevokedKey] != 1 || kinds[RevokedRoles] != 1 || kinds[RevokedBefore] != 1 {
		t.Errorf("announced: %v", kinds)
	}
	for i := range r.sessions.slices {
		copied.sessions.slices[i].issued = r.sessions.slices[i].issued
	}
	for _, id := range ended {
		if !copied.dead(since(id, now)) {
			t.Fatal("a session that has ended lives on for a follower")
		}
	}
}

func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "a.b.c.d", cursor{"x", 1, 2, 3}.String(), "x.1.2.-3", "x.01.2.3", "x.1.2.3.4", "....", "x.zzzzzzzzzzzzzzz.0.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, ok := parseCursor(s); ok && (c.String() != s || c.number < 0 || c.mark < 0) {
			t.Errorf("%q was read as %v", s, c)
		}
	})
}
