package db_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

func addBlock(t *testing.T, d *db.DB, network string) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO block (network, id, reason, added_at, n) VALUES ($1, $1, 'r', 1, 1)`, network)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is committed after the snapshot is not in it, and commits go on.
func TestASnapshotIsOneMoment(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		addBlock(t, d, "10.0.0.0/8")
		table, _ := schema.Find("block")
		err := d.Snapshot(t.Context(), time.Now(), func(s *db.Snapshot) error {
			addBlock(t, d, "11.0.0.0/8")
			var out bytes.Buffer
			portable, err := s.Copy(table, &out)
			if err != nil || !portable {
				t.Errorf("portable: %v", portable)
			}
			if want := "1\t\\N\t10.0.0.0/8\t1\t10.0.0.0/8\tr\t\\N\n"; out.String() != want {
				t.Errorf("got %q, want %q", out.String(), want)
			}
			var n int
			if err := s.Row(`SELECT COUNT(*) FROM block`, &n); err != nil || n != 1 {
				t.Errorf("%d rows, %v", n, err)
			}
			if s.Schema < 140 {
				t.Errorf("schema %d", s.Schema)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// A transaction with an id holds back revocations on every replica: the horizon that they
// are read on from. A snapshot has none, and one that got one fails.
func TestASnapshotHoldsBackNoRevocation(t *testing.T) {
	d := dbtest.Open(t, dbtest.Postgres(t))
	horizon := func() (h int64) {
		err := d.Read(t.Context(), func(tx *db.Tx) (err error) { h, err = tx.Horizon("revocation"); return err })
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	err := d.Snapshot(t.Context(), time.Now(), func(s *db.Snapshot) error {
		before := horizon()
		var n int
		if err := s.Row(`SELECT COUNT(*) FROM account`, &n); err != nil {
			return err
		}
		// Others' transactions begin and end.
		for i := range 3 {
			addBlock(t, d, fmt.Sprintf("10.%d.0.0/16", i))
		}
		// Another test's database of the same server may hold it back for a moment.
		for try := 0; horizon() <= before; try++ {
			if try == 200 {
				t.Fatal("the horizon stands still while a snapshot is open")
			}
			time.Sleep(50 * time.Millisecond)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Snapshot(t.Context(), time.Now(), func(s *db.Snapshot) error {
		var id int64
		return s.Row(`SELECT pg_current_xact_id()::text::bigint`, &id)
	})
	if err == nil || !strings.Contains(err.Error(), "has an id") {
		t.Errorf("a snapshot with an id: %v", err)
	}
}

// A timeout that the role or the database sets would cut every backup.
func TestASnapshotHasNoTimeoutOfTheRoles(t *testing.T) {
	url := dbtest.Postgres(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	var name string
	if err := conn.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	set := fmt.Sprintf(`ALTER DATABASE %s SET idle_in_transaction_session_timeout = '100ms'`, pgx.Identifier{name}.Sanitize())
	if _, err := conn.Exec(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	d := dbtest.Open(t, url)
	err = d.Snapshot(t.Context(), time.Now(), func(s *db.Snapshot) error {
		time.Sleep(400 * time.Millisecond)
		var n int
		return s.Row(`SELECT 1`, &n)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// While a snapshot is open SQLite's log grows; once it is over, the log is copied into the
// file and starts again.
func TestTheLogStartsAgainAfterASnapshot(t *testing.T) {
	url := dbtest.SQLite(t)
	path := strings.TrimPrefix(url, "sqlite:")
	d := dbtest.Open(t, url)
	fill := func(from, n int) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range n {
				if _, err := tx.Exec(`INSERT INTO block (network, id, reason, added_at, n) VALUES ($1, $1, $2, 1, 1)`,
					fmt.Sprint(from+i), strings.Repeat("r", 8000)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	err := d.Snapshot(t.Context(), time.Now(), func(s *db.Snapshot) error {
		for i := range 3 {
			fill(i*1000, 1000)
			time.Sleep(time.Second)
		}
		if size() < 12<<20 {
			t.Errorf("the log has %d bytes while a reader is at it", size())
		}
		return s.Room()
	})
	if err != nil {
		t.Fatal(err)
	}
	for try := 0; ; try++ {
		fill(10_000+try*1000, 1000) // a writer that goes on: the log starts from its beginning, and is cut
		if size() < 12<<20 {
			return
		}
		if try == 20 {
			t.Fatalf("the log still has %d bytes", size())
		}
		time.Sleep(time.Second)
	}
}
