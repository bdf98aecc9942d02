package db_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

var ctx = context.Background()

// put writes a row that is easy to count: a job's.
func put(tx *db.Tx, name string) error {
	_, err := tx.Exec(`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ($1, '', 0, 0, '')`, name)
	return err
}

func count(t *testing.T, d *db.DB) (n int64) {
	t.Helper()
	err := d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM job`).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestManyWritersShareCommitsAndKeepTheirFailuresToThemselves(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		refused := errors.New("refused by the caller")
		var committed atomic.Int64
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				err := d.Write(ctx, func(tx *db.Tx) error {
					tx.OnCommit(func() { committed.Add(1) })
					if err := put(tx, fmt.Sprint("job", i)); err != nil {
						return err
					}
					if i%3 == 1 {
						return refused
					}
					return nil
				})
				if (i%3 == 1) != errors.Is(err, refused) {
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if n, notified := count(t, d), committed.Load(); n != 133 || notified != 133 {
			t.Errorf("%d rows and %d notified of their commit, want 133 of each", n, notified)
		}
	})
}

func TestAPanicIsItsCallersAndUndone(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				defer func() {
					if got := recover(); (i%2 == 0) != (got == "boom") {
						t.Errorf("writer %d recovered %v", i, got)
					}
				}()
				_ = d.Write(ctx, func(tx *db.Tx) error {
					err := put(tx, fmt.Sprint("job", i))
					if i%2 == 0 {
						panic("boom")
					}
					return err
				})
			})
		}
		wg.Wait()
		if n := count(t, d); n != 20 {
			t.Errorf("%d rows, want 20", n)
		}
	})
}

func TestAFailedStatementFailsTheTransactionEvenIfItsErrorIsDropped(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		err := d.Write(ctx, func(tx *db.Tx) error {
			if err := put(tx, "a"); err != nil {
				return err
			}
			_ = put(tx, "a") // a duplicate
			return nil
		})
		if err == nil || count(t, d) != 0 {
			t.Errorf("committed %d rows after a failed statement (error %v)", count(t, d), err)
		}
	})
}

func TestDeferredStatementsTravelWithTheNextOrTheCommit(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		const insert = `INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ($1, '', 0, 0, '')`
		err := d.Write(ctx, func(tx *db.Tx) error {
			tx.Defer(insert, "a")
			tx.Defer(insert, "b")
			var n int64
			if err := tx.QueryRow(`SELECT COUNT(*) FROM job`).Scan(&n); err != nil || n != 2 {
				return fmt.Errorf("a query after two deferred inserts sees %d: %w", n, err)
			}
			tx.Defer(insert, "c")
			return nil
		})
		if err != nil || count(t, d) != 3 {
			t.Fatalf("%d rows, error %v", count(t, d), err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { tx.Defer(insert, "d"); return nil }); err != nil || count(t, d) != 4 {
			t.Fatalf("deferred statements alone: %d rows, error %v", count(t, d), err)
		}
		notified := false
		err = d.Write(ctx, func(tx *db.Tx) error {
			tx.OnCommit(func() { notified = true })
			tx.Defer(insert, "e")
			tx.Defer(insert, "a") // a duplicate
			return nil
		})
		if err == nil || notified || count(t, d) != 4 {
			t.Errorf("a deferred statement that fails: %d rows, notified %v, error %v", count(t, d), notified, err)
		}
	})
}

func TestReadCannotWriteAndSeesOnlyWhatIsCommitted(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		inside, goOn := make(chan bool), make(chan bool)
		go func() {
			_ = d.Write(ctx, func(tx *db.Tx) error {
				err := put(tx, "a")
				inside <- true
				<-goOn
				return err
			})
			inside <- true
		}()
		<-inside
		if n := count(t, d); n != 0 {
			t.Errorf("%d uncommitted rows can be read", n)
		}
		goOn <- true
		<-inside
		if n := count(t, d); n != 1 {
			t.Errorf("%d committed rows can be read, want 1", n)
		}
	})
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if err := d.Read(ctx, func(tx *db.Tx) error { return put(tx, "b") }); err == nil || count(t, d) != 0 {
			t.Errorf("a Read has written: %v", err)
		}
		err := d.Read(ctx, func(tx *db.Tx) error {
			tx.Defer(`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ($1, '', 0, 0, '')`, "c")
			return nil
		})
		if err == nil || count(t, d) != 0 {
			t.Errorf("a Read has deferred: %v", err)
		}
	})
}

func TestACallerThatHasGivenUpCostsNothing(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		err := d.Write(gone, func(tx *db.Tx) error { return put(tx, "a") })
		if !errors.Is(err, context.Canceled) || count(t, d) != 0 {
			t.Errorf("%d rows, error %v", count(t, d), err)
		}
		err = d.Read(gone, func(tx *db.Tx) error {
			var n int64
			return tx.QueryRow(`SELECT COUNT(*) FROM job`).Scan(&n)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a read for nobody: error %v", err)
		}
	})
}

func TestOneConnectionIsEnough(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		d, err := db.Open(ctx, db.Config{URL: dbURL, MaxConns: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if _, err := d.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, fmt.Sprint("job", i)) }); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := count(t, d); n != 32 {
			t.Errorf("%d rows, want 32", n)
		}
	})
}

func TestDeadlocksAreRunAgain(t *testing.T) {
	t.Run("15", func(t *testing.T) { runDeadlock(t, dbtest.Postgres(t)) })
	t.Run("18", func(t *testing.T) { runDeadlock(t, dbtest.Serving(t).Serving) })
}

func runDeadlock(t *testing.T, dbURL string) {
	d := dbtest.Open(t, dbURL)
	if err := d.Write(ctx, func(tx *db.Tx) error { return errors.Join(put(tx, "a"), put(tx, "b")) }); err != nil {
		t.Fatal(err)
	}
	var meet, wg sync.WaitGroup
	meet.Add(2)
	for i, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		var once sync.Once
		wg.Go(func() {
			err := d.Write(ctx, func(tx *db.Tx) error {
				for _, name := range order {
					if _, err := tx.Exec(`UPDATE job SET due_at = due_at + 1 WHERE name = $1`, name); err != nil {
						return err
					}
					// The first time round, both hold one row before either asks for the other.
					once.Do(func() { meet.Done(); meet.Wait() })
				}
				return nil
			})
			if err != nil {
				t.Errorf("transaction %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	var sum int64
	if err := d.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT CAST(SUM(due_at) AS BIGINT) FROM job`).Scan(&sum)
	}); err != nil || sum != 4 {
		t.Errorf("the two transactions made %d changes, want 4 (error %v)", sum, err)
	}
}

func TestADatabaseThatIsAwayIsUnavailable(t *testing.T) {
	for name, dbURL := range map[string]string{
		"nobody listens": "postgres://u:p@127.0.0.1:1/x?sslmode=disable&connect_timeout=1",
		"no such host":   "postgres://u:p@host.invalid/x?sslmode=disable&connect_timeout=1",
	} {
		d, err := db.Open(ctx, db.Config{URL: dbURL, MaxConns: 2})
		if err != nil {
			t.Errorf("%s: opening must not need the database: %v", name, err)
			continue
		}
		err = d.Write(ctx, func(tx *db.Tx) error { return put(tx, "a") })
		if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
			t.Errorf("%s: %v", name, err)
		}
		if f := fault.As(err); f != nil && strings.Contains(f.Message, "u:p") {
			t.Errorf("%s: the message tells the password", name)
		}
		d.Close()
	}
}

// How long a connection may take is the URL's to say: of two that wait for a server that never answers, the more patient one waits on.
func TestTheURLSaysHowLongAConnectionMayTake(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	gaveUp := make(chan string, 2)
	for _, wait := range []string{"30", "1"} {
		d, err := db.Open(ctx, db.Config{URL: "postgres://u:p@" + mute.Addr().String() + "/x?sslmode=disable&connect_timeout=" + wait, MaxConns: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		waiting, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			if err := d.Read(waiting, func(tx *db.Tx) error { return nil }); err != nil {
				gaveUp <- wait
			}
		}()
	}
	if first := <-gaveUp; first != "1" {
		t.Errorf("connect_timeout=%s gave up first", first)
	}
}

func TestAClosedDatabaseIsUnavailable(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		d, err := db.Open(ctx, db.Config{URL: dbURL})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "a") }); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a write after Close: %v", err)
		}
	})
}

// GDPR-3: what was deleted stands in neither of SQLite's files, however little is written after it.
func TestGDPR3_WhatIsDeletedLeavesTheFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	d := dbtest.Open(t, "sqlite:"+path)
	if _, err := d.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	const canary = "a-canary-in-a-row"
	stands := func() bool {
		for _, file := range []string{path, path + "-wal"} {
			if text, err := os.ReadFile(file); err != nil && !os.IsNotExist(err) || strings.Contains(string(text), canary) {
				return true
			}
		}
		return false
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for first := time.Now(); !holds(); time.Sleep(50 * time.Millisecond) {
			if time.Since(first) > time.Minute {
				t.Fatal(what)
			}
		}
	}
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, canary) }); err != nil {
		t.Fatal(err)
	}
	if !stands() {
		t.Fatal("the test plants nothing")
	}
	until("the log is not copied into the file", func() bool { info, err := os.Stat(path + "-wal"); return err == nil && info.Size() == 0 })
	if err := d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM job WHERE name = $1`, canary)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	until("what was deleted can be read in the files", func() bool { return !stands() })
}

func TestSQLiteFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for", "it")
	d := dbtest.Open(t, "sqlite:"+filepath.Join(dir, "gatehouse.db"))
	if _, err := d.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "a") }); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "gatehouse.db*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("files %v, want the database, its log and its index (error %v)", files, err)
	}
	for _, f := range append(files, dir) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, "-migrate") {
			continue // an empty lock file
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: others can read it", filepath.Base(f), info.Mode())
		}
	}
}

func TestASQLiteFileThatOthersCanReadIsKeptFromThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gatehouse.db")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d := dbtest.Open(t, "sqlite:"+file)
	if _, err := d.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "a") }); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{file, file + "-wal", file + "-shm"} {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", filepath.Base(f), info.Mode())
		}
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestTheSQLiteLogIsCopiedWhileWritesGoOn(t *testing.T) {
	dbURL := dbtest.SQLite(t)
	d := dbtest.Open(t, dbURL)
	wal := strings.TrimPrefix(dbURL, "sqlite:") + "-wal"
	payload := strings.Repeat("x", 100_000)
	largest := int64(0)
	deadline := time.Now().Add(30 * time.Second)
	wrote := 0
	// Four times what the log may hold, written while it is copied.
	for i := 0; i < 400 && time.Now().Before(deadline); i++ {
		err := d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ($1, '', 0, 0, $2)
				ON CONFLICT (name) DO UPDATE SET error = excluded.error`, fmt.Sprint(i%10), payload)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		wrote += len(payload)
		if info, err := os.Stat(wal); err == nil {
			largest = max(largest, info.Size())
		}
		time.Sleep(2 * time.Millisecond)
	}
	if largest > int64(wrote)*3/4 {
		t.Errorf("the log grew to %d of %d bytes written: it was never started again", largest, wrote)
	}
}
