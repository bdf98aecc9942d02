package account_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// install makes the installation's row, as the first start does.
func install(t *testing.T, d *db.DB) {
	t.Helper()
	write(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO install (one, id, epoch, created_at) VALUES (1, $1, 1, $2)`, secret.Random{}.ID(start), db.Micros(start))
		return err
	})
}

func addLink(t *testing.T, d *db.DB, token string, now time.Time) {
	t.Helper()
	write(t, d, func(tx *db.Tx) error { return account.AddSetupLink(tx, token, now, now.Add(time.Hour)) })
}

func hasLink(t *testing.T, d *db.DB, token string, now time.Time) (has bool) {
	t.Helper()
	if err := d.Read(ctx, func(tx *db.Tx) (err error) { has, err = account.HasSetupLink(tx, token, now); return err }); err != nil {
		t.Fatal(err)
	}
	return has
}

func hasAdmin(t *testing.T, d *db.DB) (has bool) {
	t.Helper()
	if err := d.Read(ctx, func(tx *db.Tx) (err error) { has, err = account.HasAdmin(tx); return err }); err != nil {
		t.Fatal(err)
	}
	return has
}

func claim(d *db.DB) (first bool, err error) {
	err = d.Write(ctx, func(tx *db.Tx) (err error) { first, err = account.ClaimFirstAdmin(tx, start); return err })
	return first, err
}

func TestOfSixteenOneIsTheFirstAdministrator(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		install(t, d)
		if hasAdmin(t, d) {
			t.Error("a new installation has an administrator")
		}
		addLink(t, d, "one", start)
		var firsts atomic.Int32
		together(func(int) {
			first, err := claim(d)
			if err != nil {
				t.Error(err)
			}
			if first {
				firsts.Add(1)
			}
		})
		if n := firsts.Load(); n != 1 || !hasAdmin(t, d) {
			t.Errorf("%d were the first", n)
		}
		if first, err := claim(d); first || err != nil {
			t.Errorf("a later one was the first: %v, error %v", first, err)
		}
	})
}

func TestAClaimThatIsRolledBackIsNone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		install(t, d)
		addLink(t, d, "one", start)
		failed := errors.New("making the account failed")
		err := d.Write(ctx, func(tx *db.Tx) error {
			if first, err := account.ClaimFirstAdmin(tx, start); !first || err != nil {
				t.Errorf("first %v, error %v", first, err)
			}
			return failed
		})
		if !errors.Is(err, failed) || hasAdmin(t, d) || !hasLink(t, d, "one", start) {
			t.Errorf("after a failure (%v) the set-up link is closed", err)
		}
	})
}

func TestSetupLinks(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		install(t, d)
		addLink(t, d, "one", start)
		addLink(t, d, "two", start.Add(30*time.Minute))
		for _, c := range []struct {
			token string
			after time.Duration
			want  bool
		}{
			{"one", 0, true},
			{"one", time.Hour - time.Microsecond, true},
			{"one", time.Hour, false},
			{"one", 365 * 24 * time.Hour, false},
			{"two", time.Hour, true}, // each by its own time
			{"two", 90 * time.Minute, false},
			{"", 0, false},
			{"One", 0, false},
			{"one ", 0, false},
			{"on", 0, false},
			{"%", 0, false},
			{"' OR '1'='1", 0, false},
		} {
			if got := hasLink(t, d, c.token, start.Add(c.after)); got != c.want {
				t.Errorf("%q after %v: %v, want %v", c.token, c.after, got, c.want)
			}
		}
		if first, err := claim(d); !first || err != nil {
			t.Fatal(first, err)
		}
		for _, token := range []string{"one", "two"} {
			if hasLink(t, d, token, start) {
				t.Errorf("%s still works although there is an administrator", token)
			}
		}
	})
}

// ASVS 7.2.3, 11.5.1: what is kept of a link opens nothing.
func TestSetupLinksAreKeptAsHashesAndNoLongerThanNeeded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		install(t, d)
		addLink(t, d, "one", start)
		addLink(t, d, "two", start.Add(time.Hour)) // the moment that the first expires
		kept := [][]byte{}
		err := d.Read(ctx, func(tx *db.Tx) error {
			rows, err := tx.Query(`SELECT hash FROM setup_link`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var hash []byte
				if err := rows.Scan(&hash); err != nil {
					return err
				}
				kept = append(kept, hash)
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		want := sha256.Sum256([]byte("two"))
		if len(kept) != 1 || !bytes.Equal(kept[0], want[:]) {
			t.Fatalf("kept: %x, want the hash of the second alone", kept)
		}
		if hasLink(t, d, string(kept[0]), start) {
			t.Error("the stored hash opens the set-up")
		}
	})
}
