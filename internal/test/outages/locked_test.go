package outages_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestSQLiteLockedByAnotherProgram holds the lock on the file for longer than
// anybody waits, as a backup program that is stuck would. Reads go on, writes
// are answered 503 together and soon, readyz says it, a stop is clean, and all
// goes on when the lock is let go.
func TestSQLiteLockedByAnotherProgram(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"for itself":          {"BEGIN EXCLUSIVE"},
		"in the midst of one": {"BEGIN", "UPDATE install SET epoch = epoch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbURL := dbtest.SQLite(t)
			g := harness.Open(t, dbURL).Guest("ada@example.org")
			other, err := sql.Open("sqlite", strings.TrimPrefix(dbURL, "sqlite:")+"?_pragma=busy_timeout(5000)")
			if err != nil {
				t.Fatal(err)
			}
			c, err := other.Conn(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			begin := func() {
				for _, s := range statements {
					if _, err := c.ExecContext(context.Background(), s); err != nil {
						t.Fatal(err)
					}
				}
			}
			end := func() {
				if _, err := c.ExecContext(context.Background(), "ROLLBACK"); err != nil {
					t.Error(err)
				}
			}
			begin()
			began := time.Now()
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					a, err := g.Try(harness.Refreshing(g.Refresh))
					if err != nil || a.Status != 503 || a.Str("code") != "database_unavailable" || a.Header.Get("Retry-After") == "" {
						t.Errorf("a refresh: %d %q %v", a.Status, a.Str("code"), err)
					}
					a, err = g.Try(harness.Get("/v1/me", g.Access))
					if err != nil || a.Status != 200 {
						t.Errorf("a read: %d %q %v", a.Status, a.Str("code"), err)
					}
				})
			}
			wg.Wait()
			if took := time.Since(began); took > 5*time.Second+g.Slack(began) {
				t.Errorf("50 callers had to wait %v in all", took)
			}
			g.Unready("locked")
			end()
			g.Recovers(2 * time.Second)
			begin()
			g.Stops()
			end()
			if err := errors.Join(c.Close(), other.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}
