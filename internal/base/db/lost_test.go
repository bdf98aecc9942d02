package db_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// TestABrokenConnectionIsReplaced cuts all connections of the pool, in use and
// idle: as long as nothing was committed, nobody notices.
func TestABrokenConnectionIsReplaced(t *testing.T) {
	p := dbtest.NewProxy(t, dbtest.Postgres(t))
	d := dbtest.Open(t, p.URL())
	for i := range 5 {
		p.Cut()
		runs := 0
		err := d.Write(ctx, func(tx *db.Tx) error {
			runs++
			if err := put(tx, fmt.Sprint("job", i)); err != nil {
				return err
			}
			if runs == 1 {
				p.Cut() // in the middle
			}
			var n int64
			return tx.QueryRow(`SELECT COUNT(*) FROM job`).Scan(&n)
		})
		if err != nil || runs < 2 {
			t.Errorf("a write: %v after %d runs", err, runs)
		}
		p.Cut()
		if n := count(t, d); n != int64(i+1) {
			t.Errorf("%d rows, want %d", n, i+1)
		}
	}
	// The caller's own failure is not tried again, nor a commit.
	p.Cut()
	own, runs := errors.New("the caller's"), 0
	if err := d.Write(ctx, func(*db.Tx) error { runs++; return own }); !errors.Is(err, own) || runs != 1 {
		t.Errorf("%v after %d runs", err, runs)
	}
	count(t, d) // on a connection that works
	cut := p.CutAt("COMMIT", false)
	runs = 0
	err := d.Write(ctx, func(tx *db.Tx) error { runs++; return put(tx, "once") })
	<-cut
	if fault.KindOf(err) != fault.Unavailable || runs != 1 || count(t, d) != 6 {
		t.Errorf("a commit whose answer was lost: %v after %d runs; %d rows, want 6", err, runs, count(t, d))
	}
}
