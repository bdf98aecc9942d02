package db_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// leased reads a job's row and counts it up, as a refresh does with a session's.
func leased(tx *db.Tx, name string) (n int64, err error) {
	err = tx.QueryRow(`UPDATE job SET leased_to = leased_to + 1 WHERE name = $1 RETURNING leased_to`, name).Scan(&n)
	return n, err
}

// rows puts in n rows of the names row0, row1, ….
func rows(t *testing.T, d *db.DB, n int) {
	t.Helper()
	for i := range n {
		if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, fmt.Sprint("row", i)) }); err != nil {
			t.Fatal(err)
		}
	}
}

// hold has another program hold a row until release is called.
func hold(t *testing.T, dbURL, row string) (release func()) {
	t.Helper()
	holding, over, held := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		held <- dbtest.Open(t, dbURL).Write(ctx, func(tx *db.Tx) error {
			_, err := leased(tx, row)
			close(holding)
			<-over
			return err
		})
	}()
	<-holding
	return func() {
		t.Helper()
		close(over)
		if err := <-held; err != nil {
			t.Error(err)
		}
	}
}

// TestThoseWhoShareKeepTheirFailuresToThemselves runs many at once, of which some
// fail in every way that there is.
func TestThoseWhoShareKeepTheirFailuresToThemselves(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		rows(t, d, 8)
		refused := errors.New("refused by the caller")
		var committed, failed atomic.Int64
		var all sync.WaitGroup
		for i := range 400 {
			all.Go(func() {
				row := fmt.Sprint("row", i%8)
				bad := 0
				if i%20 == 7 {
					bad = i/20%3 + 1
				}
				defer func() {
					if got := recover(); (bad == 1) != (got == "boom") {
						t.Errorf("caller %d recovered %v", i, got)
					}
				}()
				err := d.WriteShared(ctx, row, func(tx *db.Tx) error {
					tx.OnCommit(func() { committed.Add(1) })
					if _, err := leased(tx, row); err != nil {
						return err
					}
					tx.Defer(`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ($1, '', 0, 0, '')`, fmt.Sprint("own", i))
					switch bad {
					case 1:
						failed.Add(1)
						panic("boom")
					case 2:
						return refused
					case 3:
						_ = put(tx, row) // a duplicate, whose error is dropped
					}
					return nil
				})
				if (bad == 2) != errors.Is(err, refused) || (bad == 0) != (err == nil) {
					t.Errorf("caller %d: %v", i, err)
				}
			})
		}
		all.Wait()
		var sum int64
		err := d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT SUM(leased_to) FROM job`).Scan(&sum) })
		if n := count(t, d); err != nil || sum != 380 || n != 8+380 || committed.Load() != 380 {
			t.Errorf("%d counted, %d rows, %d notified of their commit, want 380, 388, 380: %v", sum, n, committed.Load(), err)
		}
	})
}

// TestThoseWhoReadTogether have answers and failures of their own.
func TestThoseWhoReadTogether(t *testing.T) {
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		rows(t, d, 8)
		var all sync.WaitGroup
		for i := range 400 {
			all.Go(func() {
				want, name := fmt.Sprint("row", i%9), "" // the ninth is not there
				err := d.ReadShared(ctx, func(tx *db.Tx) error {
					err := tx.QueryRow(`SELECT name FROM job WHERE name = $1`, want).Scan(&name)
					switch i % 40 {
					case 13:
						_, err = tx.Exec(`DELETE FROM job`)
					case 26:
						tx.Defer(`DELETE FROM job`)
					case 39:
						err = tx.QueryRow(`SELECT CAST(name AS INTEGER) / 0 FROM job WHERE name = $1`, want).Scan(&name)
					}
					return err
				})
				switch bad := i%40 == 13 || i%40 == 26 || i%40 == 39; {
				case bad:
					if err == nil {
						t.Errorf("caller %d wrote in a read, or its failed statement is no failure", i)
					}
				case i%9 == 8:
					if !errors.Is(err, db.ErrNoRows) {
						t.Errorf("caller %d: %v, want no rows", i, err)
					}
				case err != nil || name != want:
					t.Errorf("caller %d has %q: %v", i, name, err)
				}
			})
		}
		all.Wait()
		if n := count(t, d); n != 8 {
			t.Errorf("%d rows, want 8", n)
		}
	})
}

// TestSharedWritesOfReplicasDoNotWaitForEachOther: two replicas change the same
// rows in groups, whose members come in any order.
func TestSharedWritesOfReplicasDoNotWaitForEachOther(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	replicas := []*db.DB{dbtest.Open(t, dbURL), dbtest.Open(t, dbURL)}
	rows(t, replicas[0], 32)
	var all sync.WaitGroup
	var runs atomic.Int64
	for i := range 64 {
		all.Go(func() {
			for k := range 20 {
				row := fmt.Sprint("row", (i*7+k*13)%32)
				if err := replicas[i%2].WriteShared(ctx, row, func(tx *db.Tx) error { runs.Add(1); _, err := leased(tx, row); return err }); err != nil {
					t.Errorf("%v", err)
				}
			}
		})
	}
	all.Wait()
	var sum int64
	if err := replicas[0].Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT SUM(leased_to) FROM job`).Scan(&sum) }); err != nil || sum != 64*20 {
		t.Errorf("%d changes are there, want %d: %v", sum, 64*20, err)
	}
	t.Logf("%d runs for %d changes", runs.Load(), 64*20)
}

// TestARowThatIsHeldKeepsNobodyElse: somebody holds one row for long, as a replica does that was suspended.
func TestARowThatIsHeldKeepsNobodyElse(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	d := dbtest.Open(t, dbURL)
	rows(t, d, 32)
	release := hold(t, dbURL, "row0")
	var all, others sync.WaitGroup
	for i := range 64 {
		row := fmt.Sprint("row", i%32)
		change := func() {
			if err := d.WriteShared(ctx, row, func(tx *db.Tx) error { _, err := leased(tx, row); return err }); err != nil {
				t.Errorf("%s: %v", row, err)
			}
		}
		if i%32 == 0 {
			all.Go(change)
		} else {
			others.Go(change)
		}
	}
	others.Wait() // the row is still held
	release()
	all.Wait()
}

// TestASharedCommitWithoutAnAnswer cuts connections in the middle of groups: before the
// commit goes unnoticed; after it all of the group learn that the outcome is uncertain, and none is run again.
func TestASharedCommitWithoutAnAnswer(t *testing.T) {
	p := dbtest.NewProxy(t, dbtest.Postgres(t))
	d := dbtest.Open(t, p.URL())
	changes := func() (confirmed, uncertain int64) {
		var all sync.WaitGroup
		var ok, not atomic.Int64
		for i := range 64 {
			all.Go(func() {
				err := d.WriteShared(ctx, fmt.Sprint(i), func(tx *db.Tx) error {
					var n int64
					if err := tx.QueryRow(`SELECT COUNT(*) FROM job WHERE name = $1`, fmt.Sprint("caller-", i)).Scan(&n); err != nil {
						return err
					}
					tx.Defer(`UPDATE job SET leased_to = leased_to + 1 WHERE name = 'row'`)
					return nil
				})
				switch {
				case err == nil:
					ok.Add(1)
				case fault.KindOf(err) == fault.Unavailable:
					not.Add(1)
				default:
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		return ok.Load(), not.Load()
	}
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "row") }); err != nil {
		t.Fatal(err)
	}
	confirmed, _ := changes() // and the statements are compiled
	most := int64(0)
	for _, at := range []string{"SELECT 1", "COMMIT"} {
		for range 5 {
			cut := p.CutAfter("caller-60", at, false) // which is in a group
			ok, uncertain := changes()
			<-cut
			t.Logf("cut at %s: %d confirmed, %d uncertain", at, ok, uncertain)
			if confirmed += ok; at != "COMMIT" && uncertain > 0 {
				t.Errorf("cut at %s: %d of 64 noticed", at, uncertain)
			}
			var n int64
			if err := d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT leased_to FROM job`).Scan(&n) }); err != nil {
				t.Fatal(err)
			}
			if n < confirmed || n > confirmed+uncertain {
				t.Errorf("cut at %s: %d changes, where %d were confirmed and %d are uncertain", at, n, confirmed, uncertain)
			}
			most = max(most, uncertain)
			confirmed = n
		}
	}
	if most < 2 {
		t.Error("no commit of a group was cut")
	}
}

// crashingPooler is a pooler that loses the server in the middle of a commit: it passes
// the COMMIT on, and says ERROR where the server says that it was made.
type crashingPooler struct{ armed atomic.Bool }

func (p *crashingPooler) serve(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, client) }()
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(server, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		if head[0] == 'C' && string(body) == "COMMIT\x00" && p.armed.CompareAndSwap(true, false) {
			said := "SERROR\x00VERROR\x00C08P01\x00Mserver conn crashed?\x00\x00"
			_, _ = client.Write(append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(len(said)+4)), said...))
			return
		}
		if _, err := client.Write(append(head, body...)); err != nil {
			return
		}
	}
}

// TestAnErrorInsteadOfACommitsAnswerIsUncertain: nobody is run again whose change may be there.
func TestAnErrorInsteadOfACommitsAnswerIsUncertain(t *testing.T) {
	var p crashingPooler
	d := dbtest.Open(t, behind(t, dbtest.Postgres(t), p.serve))
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "row") }); err != nil {
		t.Fatal(err)
	}
	most := int64(0)
	for range 5 {
		before := leasedTo(t, d)
		var all sync.WaitGroup
		var confirmed, uncertain atomic.Int64
		for i := range 64 {
			all.Go(func() {
				err := d.WriteShared(ctx, fmt.Sprint(i), func(tx *db.Tx) error {
					if i == 60 {
						p.armed.Store(true)
					}
					_, err := leased(tx, "row")
					return err
				})
				switch {
				case err == nil:
					confirmed.Add(1)
				case fault.KindOf(err) == fault.Unavailable:
					uncertain.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		p.armed.Store(false)
		if n := leasedTo(t, d) - before; n != confirmed.Load()+uncertain.Load() { // all were made, each once
			t.Errorf("%d changes of %d that were confirmed and %d that are uncertain", n, confirmed.Load(), uncertain.Load())
		}
		most = max(most, uncertain.Load())
	}
	if most < 2 {
		t.Error("no commit of a group was hit")
	}
}

func leasedTo(t *testing.T, d *db.DB) (n int64) {
	t.Helper()
	if err := d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT leased_to FROM job`).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestWhoHasLittleTimeLeftTakesNoneOfTheOthers: a client chooses how late it sends the end of its request.
func TestWhoHasLittleTimeLeftTakesNoneOfTheOthers(t *testing.T) {
	p := dbtest.NewProxy(t, dbtest.Postgres(t))
	d := dbtest.Open(t, p.URL())
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "row") }); err != nil {
		t.Fatal(err)
	}
	p.Delay(20 * time.Millisecond)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			of, cancel := context.WithTimeout(ctx, 20*time.Second)
			if i%8 == 0 {
				of, cancel = context.WithTimeout(ctx, time.Duration(i)*5*time.Millisecond)
			}
			defer cancel()
			runs := 0
			err := d.WriteShared(of, fmt.Sprint(i), func(tx *db.Tx) error { runs++; _, err := leased(tx, "row"); return err })
			if i%8 != 0 && err != nil {
				t.Errorf("caller %d, who has time: %v after %d runs", i, err, runs)
			}
		})
	}
	all.Wait()
}

// TestAGroupOfDeferredStatementsAlone behaves as any other when a row is held.
func TestAGroupOfDeferredStatementsAlone(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	d := dbtest.Open(t, dbURL)
	rows(t, d, 8)
	release := hold(t, dbURL, "row0")
	var all, others sync.WaitGroup
	for i := range 64 {
		row := fmt.Sprint("row", i%8)
		change := func() {
			if err := d.WriteShared(ctx, row, func(tx *db.Tx) error {
				tx.Defer(`UPDATE job SET due_at = due_at + 1 WHERE name = $1`, row)
				return nil
			}); err != nil {
				t.Errorf("%s: %v", row, err)
			}
		}
		if i == 0 {
			all.Go(change)
		} else if i%8 != 0 {
			others.Go(change)
		}
	}
	others.Wait()
	release()
	all.Wait()
}

// TestGroupsThatAreStuckKeepNobody: as many groups as there are at once wait for what never comes, as on dead connections.
func TestGroupsThatAreStuckKeepNobody(t *testing.T) {
	d := dbtest.Open(t, dbtest.Postgres(t))
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, "row") }); err != nil {
		t.Fatal(err)
	}
	for name, share := range map[string]func(func(*db.Tx) error) error{
		"writes": func(fn func(*db.Tx) error) error { return d.WriteShared(ctx, "row", fn) },
		"reads":  func(fn func(*db.Tx) error) error { return d.ReadShared(ctx, fn) },
	} {
		look := func(tx *db.Tx) error {
			var n int64
			return tx.QueryRow(`SELECT leased_to FROM job WHERE name = 'row'`).Scan(&n)
		}
		over := make(chan struct{})
		var stuck, others sync.WaitGroup
		for range 2 {
			began := make(chan struct{})
			stuck.Go(func() {
				if err := share(func(tx *db.Tx) error { close(began); <-over; return look(tx) }); err != nil {
					t.Errorf("%s: one that was stuck: %v", name, err)
				}
			})
			<-began
		}
		for range 100 {
			others.Go(func() {
				if err := share(look); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		others.Wait()
		close(over)
		stuck.Wait()
	}
	if n := d.Leaders(); n != 0 {
		t.Errorf("%d groups are under way, and nobody is there", n)
	}
}

// TestOneOfManyThatShareLeaves: its time is over while it waits for a group, and it does not wait longer.
func TestOneOfManyThatShareLeaves(t *testing.T) {
	p := dbtest.NewProxy(t, dbtest.Postgres(t))
	d := dbtest.Open(t, p.URL())
	change := func(tx *db.Tx) error { tx.Defer(`UPDATE job SET leased_to = leased_to + 1`); return nil }
	if err := d.WriteShared(ctx, "", change); err != nil {
		t.Fatal(err)
	}
	p.Stall()
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			if err := d.WriteShared(short, "", change); err == nil {
				t.Error("a database that is stalled has answered")
			}
		})
	}
	all.Wait()
	p.Up()
	if err := d.WriteShared(ctx, "", change); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestSharingTakesFewRoundTrips: sixty-four at once, of one query and two deferred statements each.
func TestSharingTakesFewRoundTrips(t *testing.T) {
	wire := dbtest.NewWire(t, dbtest.Postgres(t))
	d := dbtest.Open(t, wire.URL())
	many := func(share bool) int64 {
		before := wire.Trips()
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				fn := func(tx *db.Tx) error {
					var n int64
					err := tx.QueryRow(`SELECT COUNT(*) FROM job WHERE name = $1`, "nobody").Scan(&n)
					tx.Defer(`UPDATE job SET leased_to = 0 WHERE name = $1`, "nobody")
					tx.Defer(`UPDATE job SET due_at = 0 WHERE name = $1`, "nobody")
					return err
				}
				var err error
				if share {
					err = d.WriteShared(ctx, fmt.Sprint(i), fn)
				} else {
					err = d.Write(ctx, fn)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		return wire.Trips() - before
	}
	for range 3 { // the first compile the statements
		many(true)
		many(false)
	}
	if shared, alone := many(true), many(false); shared > alone/2 {
		t.Errorf("64 that share took %d round trips, 64 by themselves %d", shared, alone)
	}
}
