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

	"github.com/gatehouse-auth/gatehouse/internal/db"
	"github.com/gatehouse-auth/gatehouse/internal/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/fault"
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
	if took := time.Since(began); took > 4*time.Second {
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
	time.Sleep(200 * time.Millisecond)
	unlock()
	wg.Wait()
	if n := count(t, d); n != 201 {
		t.Errorf("%d rows, want 201", n)
	}
}

func TestACallerLeavesAtItsDeadlineWhereverItsWriteIs(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	soon := func() context.Context {
		c, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		t.Cleanup(cancel)
		return c
	}
	late := func(what string, err error, began time.Time) {
		t.Helper()
		if took := time.Since(began); fault.KindOf(err) != fault.Unavailable || took > 2*time.Second {
			t.Errorf("%s: %v after %v", what, err, took)
		}
	}
	var ran, told atomic.Bool
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
	began := time.Now()
	late("one that waits", d.Write(soon(), func(*db.Tx) error { ran.Store(true); return nil }), began)
	goOn <- true
	wg.Wait()

	wg.Go(func() {
		_ = d.Write(ctx, func(tx *db.Tx) error { inside <- true; <-goOn; return put(tx, "second") })
	})
	<-inside
	done := make(chan bool)
	wg.Go(func() {
		began := time.Now()
		err := d.Write(soon(), func(tx *db.Tx) error { tx.OnCommit(func() { told.Store(true); close(done) }); return put(tx, "third") })
		late("one whose commit takes its time", err, began)
	})
	time.Sleep(20 * time.Millisecond) // the third is in the queue
	wg.Go(func() {
		_ = d.Write(ctx, func(tx *db.Tx) error { <-goOn; return put(tx, "fourth") })
	})
	time.Sleep(10 * time.Millisecond)
	goOn <- true                       // the second is done, the third runs, the fourth holds the group
	time.Sleep(200 * time.Millisecond) // the third's time is over
	goOn <- true
	wg.Wait()
	<-done
	if ran.Load() || !told.Load() || count(t, d) != 4 {
		t.Errorf("a write was run after its caller had left: %v; one that was committed was told of: %v; %d rows, want 4", ran.Load(), told.Load(), count(t, d))
	}
}

// TestAFailedGroupIsTheFailureOfAllItsMembers has one caller refused because of
// what its neighbour wrote; when the commit then fails, the reason is gone.
func TestAFailedGroupIsTheFailureOfAllItsMembers(t *testing.T) {
	dbURL := dbtest.SQLite(t)
	d := dbtest.Open(t, dbURL)
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
			t.Errorf("the second was told of a row that was never there: %v", err)
		}
	})
	time.Sleep(20 * time.Millisecond)
	wg.Go(func() {
		// What SQLite does by itself when the disk is full: the transaction is gone.
		_ = d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`ROLLBACK`)
			return errors.Join(err, errors.New("the disk is full"))
		})
	})
	time.Sleep(20 * time.Millisecond)
	goOn <- true
	wg.Wait()
	if n := count(t, d); n != 0 {
		t.Errorf("%d rows, want 0", n)
	}
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "b") }); err != nil {
		t.Errorf("the next group: %v", err)
	}
}
