package db_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// eachEmpty runs the test on a database of each kind that has no schema.
func eachEmpty(t *testing.T, test func(t *testing.T, dbURL string)) {
	dbtest.AtOnce(t, map[string]func(testing.TB) string{
		"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres,
		"postgres18-owner": func(t testing.TB) string { return dbtest.EmptyServing(t).Owner },
	}, test)
}

// eachOwner runs the test on a migrated database of each kind, with a role that
// may change it.
func eachOwner(t *testing.T, test func(t *testing.T, d *db.DB)) {
	dbtest.AtOnce(t, map[string]func(testing.TB) string{
		"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres,
		"postgres18-owner": func(t testing.TB) string { return dbtest.Serving(t).Owner },
	}, func(t *testing.T, dbURL string) { test(t, dbtest.Open(t, dbURL)) })
}

func TestEightReplicasMigrateOnce(t *testing.T) {
	eachEmpty(t, func(t *testing.T, dbURL string) {
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			applied []string
		)
		for range 8 {
			wg.Go(func() {
				d, err := db.Open(context.Background(), db.Config{URL: dbURL, MaxConns: 2})
				if err != nil {
					t.Error(err)
					return
				}
				defer d.Close()
				names, err := d.Migrate(context.Background())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				applied = append(applied, names...)
				mu.Unlock()
			})
		}
		wg.Wait()
		s, err := dbtest.Open(t, dbURL).Schema(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		// Numbers may have gaps, but no migration is applied twice.
		slices.Sort(applied)
		if s.Current != s.Target || len(applied) == 0 || len(slices.Compact(slices.Clone(applied))) != len(applied) {
			t.Errorf("version %d of %d after %v", s.Current, s.Target, applied)
		}
	})
}

func TestLookingAtTheSchemaChangesNothing(t *testing.T) {
	eachEmpty(t, func(t *testing.T, dbURL string) {
		d := dbtest.Open(t, dbURL)
		for range 2 {
			s, err := d.Schema(context.Background())
			if err != nil || s.Current != 0 || s.Target < 1 {
				t.Fatalf("schema %+v, error %v", s, err)
			}
			if err := s.Require(); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "gatehouse migrate") {
				t.Errorf("a schema that is behind: %v", err)
			}
		}
		err := d.Read(context.Background(), func(tx *db.Tx) error {
			var n int64
			return tx.QueryRow(`SELECT COUNT(*) FROM schema_version`).Scan(&n)
		})
		if err == nil {
			t.Error("the version table was made by looking")
		}
	})
}

func TestASchemaNewerThanTheProgramIsRefused(t *testing.T) {
	eachOwner(t, func(t *testing.T, d *db.DB) {
		err := d.Write(context.Background(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO schema_version (version_id, is_applied) VALUES (9999, TRUE)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Migrate(context.Background()); fault.As(err) == nil || fault.As(err).Code != "schema_newer" {
			t.Errorf("migrating a newer schema: %v", err)
		}
		s, err := d.Schema(context.Background())
		if err != nil || s.Require() == nil {
			t.Errorf("a newer schema is served: %+v, error %v", s, err)
		}
	})
}

func TestEventsAreAppendOnly(t *testing.T) {
	eachOwner(t, func(t *testing.T, d *db.DB) {
		write := func(query string, args ...any) error {
			return d.Write(context.Background(), func(tx *db.Tx) error {
				_, err := tx.Exec(query, args...)
				return err
			})
		}
		if err := write(`INSERT INTO event (id, time, kind, outcome, hash) VALUES ('e', 1, 'logout', 'success', $1)`, []byte("hash")); err != nil {
			t.Fatal(err)
		}
		if err := write(`INSERT INTO event_personal (event_id, person, salt, data) VALUES ('e', 'p', $1, '{}')`, []byte("salt")); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{
			`UPDATE event SET kind = 'token_refresh'`, `UPDATE event SET time = 2 WHERE id = 'e'`, `DELETE FROM event`,
			`UPDATE event_personal SET data = '{"account":"another"}'`,
		} {
			if err := write(query); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v", query, err)
			}
		}
	})
}
