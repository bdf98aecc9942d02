package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// lockSQLite takes the lock on a SQLite database as another program would, and
// returns what lets it go.
func lockSQLite(t *testing.T, dbURL string) (unlock func()) {
	t.Helper()
	other, err := sql.Open("sqlite", strings.TrimPrefix(dbURL, "sqlite:")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	c, err := other.Conn(ctx)
	if err == nil {
		_, err = c.ExecContext(ctx, "BEGIN IMMEDIATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if _, err := c.ExecContext(ctx, "ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := errors.Join(c.Close(), other.Close()); err != nil {
			t.Error(err)
		}
	})
}

// queued waits until as many writes wait for their turn.
func queued(d *db.DB, n int) {
	for d.Queued() < n {
		time.Sleep(time.Millisecond)
	}
}

// TestCallersWaitForALockTogether holds the lock for longer than anybody waits:
// all are turned away at once, not one after the other, and when it is let go
// those who came last are served.
func TestCallersWaitForALockTogether(t *testing.T) {
	dbURL := dbtest.SQLite(t)
	d := dbtest.Open(t, dbURL)
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "before") }); err != nil {
		t.Fatal(err)
	}
	unlock := lockSQLite(t, dbURL)
	defer unlock()
	began := time.Now()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, fmt.Sprint("early", i)) })
			if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 || db.Trouble(err) != "locked" {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > 15*time.Second { // one after the other, they would take five minutes
		t.Errorf("200 callers were turned away after %v", took)
	}
	if n := count(t, d); n != 1 {
		t.Errorf("%d rows are read while another program writes, want 1", n)
	}
	for i := range 200 {
		wg.Go(func() {
			if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, fmt.Sprint("late", i)) }); err != nil {
				t.Errorf("late caller %d: %v", i, err)
			}
		})
	}
	queued(d, 72) // behind the 128 that a group takes, which polls for the lock
	unlock()
	wg.Wait()
	if n := count(t, d); n != 201 {
		t.Errorf("%d rows, want 201", n)
	}
}

func TestACallerLeavesAtItsDeadlineWhereverItsWriteIs(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	d.Gather(time.Minute)
	var ran, notified atomic.Bool
	inside, goOn := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	// The first holds the group open until the second has joined it and is done;
	// then the third of the group holds it again.
	wg.Go(func() {
		if err := d.Write(ctx, func(tx *db.Tx) error { inside <- true; <-goOn; return put(tx, "first") }); err != nil {
			t.Error(err)
		}
	})
	<-inside
	c, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	// It returns while the first holds the group, or never.
	if err := d.Write(c, func(*db.Tx) error { ran.Store(true); return nil }); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("one that waits: %v", err)
	}
	goOn <- true
	wg.Wait()

	wg.Go(func() {
		_ = d.Write(ctx, func(tx *db.Tx) error { inside <- true; <-goOn; return put(tx, "second") })
	})
	<-inside
	done, third := make(chan bool), make(chan error)
	c, cancel = context.WithCancel(ctx)
	defer cancel()
	go func() {
		third <- d.Write(c, func(tx *db.Tx) error {
			tx.OnCommit(func() { notified.Store(true); close(done) })
			return put(tx, "third")
		})
	}()
	queued(d, 1)
	wg.Go(func() {
		_ = d.Write(ctx, func(tx *db.Tx) error { inside <- true; <-goOn; return put(tx, "fourth") })
	})
	queued(d, 2)
	goOn <- true // the second is done, the third runs,
	<-inside     // and the fourth holds the group
	cancel()
	if err := <-third; !errors.Is(err, context.Canceled) {
		t.Errorf("one whose commit takes its time: %v", err)
	}
	goOn <- true
	wg.Wait()
	<-done
	if ran.Load() || !notified.Load() || count(t, d) != 4 {
		t.Errorf("a write was run after its caller had left: %v; one that was committed was notified of: %v; %d rows, want 4",
			ran.Load(), notified.Load(), count(t, d))
	}
}

// TestAFailedGroupIsTheFailureOfAllItsMembers has one caller refused because of
// what its neighbour wrote; when the commit then fails, the reason is gone.
func TestAFailedGroupIsTheFailureOfAllItsMembers(t *testing.T) {
	dbURL := dbtest.SQLite(t)
	d := dbtest.Open(t, dbURL)
	d.Gather(time.Minute)
	taken := fault.New(fault.Conflict, "taken", "There is one already.")
	inside, goOn := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		err := d.Write(ctx, func(tx *db.Tx) error { inside <- true; <-goOn; return put(tx, "a") })
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("the first: %v", err)
		}
	})
	<-inside
	wg.Go(func() {
		err := d.Write(ctx, func(tx *db.Tx) error {
			var n int64
			if err := tx.QueryRow(`SELECT COUNT(*) FROM job`).Scan(&n); err != nil || n == 0 {
				return fmt.Errorf("%d rows: %w", n, err)
			}
			return taken
		})
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("the second was notified of a row that was never there: %v", err)
		}
	})
	queued(d, 1)
	wg.Go(func() {
		// What SQLite does by itself when the disk is full: the transaction is gone.
		_ = d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`ROLLBACK`)
			return errors.Join(err, errors.New("the disk is full"))
		})
	})
	queued(d, 2)
	goOn <- true
	wg.Wait()
	if n := count(t, d); n != 0 {
		t.Errorf("%d rows, want 0", n)
	}
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "b") }); err != nil {
		t.Errorf("the next group: %v", err)
	}
}
