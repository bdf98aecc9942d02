package factor_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

// The rules that carry the weight are broken one by one, and the races must see it. SQLite's one writer hides
// all three, so they are run on PostgreSQL.

const workers = 16

// race has workers do something at once, each in a transaction, and counts those for which it was so.
func race(d *db.DB, do func(tx *db.Tx, i int) (bool, error)) (won int, failed error) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for i := range workers {
		wg.Go(func() {
			ok := false
			err := d.Write(context.Background(), func(tx *db.Tx) (err error) {
				ok, err = do(tx, i)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			} else if ok {
				won++
			}
		})
	}
	wg.Wait()
	return won, failed
}

func openPostgres(t *testing.T) *db.DB {
	t.Helper()
	return dbtest.Open(t, dbtest.Postgres(t))
}

func write(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(query, args...); return err }); err != nil {
		t.Fatal(err)
	}
}

func anAccount(t *testing.T, d *db.DB, id string) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, _, err := account.Create(tx, account.New{ID: id, Address: account.Address{Typed: id + "@example.org", Key: id + "@example.org"}, Hash: "x"}, time.Now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rounds is how often a mutant may go unseen.
const rounds = 60

func TestMutant_ACodeIsReadBeforeItIsWritten(t *testing.T) {
	d := openPostgres(t)
	write(t, d, `INSERT INTO totp (account_id, id, sealed, last_step, made_at) VALUES ('a', 'a', $1, 0, 0)`, []byte("x"))
	row := factor.AppRow{ID: "a", Account: "a"}
	now := time.Now()
	for n := range int64(15) {
		won, err := race(d, func(tx *db.Tx, _ int) (bool, error) { return factor.UseStep(tx, row, n+1, now) })
		if won != 1 || err != nil {
			t.Fatalf("round %d: %d used one code; %v", n, won, err)
		}
	}
	for n := range int64(rounds) {
		won, err := race(d, func(tx *db.Tx, _ int) (bool, error) {
			var last int64
			if err := tx.QueryRow(`SELECT last_step FROM totp WHERE account_id = 'a'`).Scan(&last); err != nil || last >= 100+n {
				return false, err
			}
			_, err := tx.Exec(`UPDATE totp SET last_step = $1 WHERE account_id = 'a'`, 100+n)
			return true, err
		})
		if err != nil {
			t.Fatal(err)
		}
		if won > 1 {
			t.Logf("seen in round %d", n)
			return
		}
	}
	t.Error("a code that is read before it is written was never used twice: the race shows nothing")
}

func TestMutant_TheEndLooksAtTheFactorsAndNotAtTheirCount(t *testing.T) {
	d := openPostgres(t)
	// outlives reports whether a sign-in that has looked at no factor is there after one was added.
	outlives := func(round int, signIn func(tx *db.Tx, id string) (bool, error)) bool {
		id := fmt.Sprintf("account-%d", round)
		anAccount(t, d, id)
		_, err := race(d, func(tx *db.Tx, i int) (bool, error) {
			if i == workers/2 {
				if _, err := account.ChangeFactors(tx, account.FactorChange{Account: id, By: 1}, time.Now()); err != nil {
					return false, err
				}
				if _, err := tx.Exec(`INSERT INTO totp (account_id, id, sealed, last_step, made_at) VALUES ($1, $1, $2, 0, 0)`, id, []byte("x")); err != nil {
					return false, err
				}
				_, err := tx.Exec(`DELETE FROM recovery_code WHERE account_id = $1`, id) // which stand for sessions here
				return true, err
			}
			ok, err := signIn(tx, id)
			if err == nil && ok {
				_, err = tx.Exec(`INSERT INTO recovery_code (account_id, hash, made_at) VALUES ($1, $2, 0)`, id, []byte{byte(i)})
			}
			return ok, err
		})
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		if err := d.Read(t.Context(), func(tx *db.Tx) (err error) { left, err = factor.CodesLeft(tx, id); return err }); err != nil {
			t.Fatal(err)
		}
		return left > 0
	}
	for round := range 15 {
		if outlives(round, func(tx *db.Tx, id string) (bool, error) {
			_, err := account.SignedIn(tx, id, 0, 0, account.Rehash{}, time.Now())
			if err != nil {
				return false, nil //nolint:nilerr // it was refused
			}
			return true, nil
		}) {
			t.Fatalf("round %d: a sign-in with the password alone outlived the factor", round)
		}
	}
	for round := range rounds {
		if outlives(100+round, func(tx *db.Tx, id string) (bool, error) {
			n, err := tx.Exec(`UPDATE account SET signed_in_at = 1 WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM totp WHERE account_id = $1)`, id)
			return n == 1, err
		}) {
			t.Logf("seen in round %d", round)
			return
		}
	}
	t.Error("NOT EXISTS was never stale: the race shows nothing")
}

func TestMutant_TheGuessComesBeforeThePendingSignIn(t *testing.T) {
	d := openPostgres(t)
	store := factor.NewStore(func() [][]byte { return [][]byte{make([]byte, secret.KeySize)} }, secret.Random{})
	guesses := lockout.NewStore(lockout.Config{After: 1 << 20, Delay: time.Microsecond}, make([]byte, secret.KeySize), secret.Random{})
	now := time.Now()
	try := func(round int, reversed func(i int) bool) error {
		id := fmt.Sprintf("account-%d", round)
		tokens := make([]string, 2)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range tokens {
				tokens[i] = store.Begin(tx, factor.Pending{Account: id, Want: factor.Step}, now)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = race(d, func(tx *db.Tx, i int) (bool, error) {
			pending := func() error {
				_, err := factor.Try(tx, tokens[i%2], now)
				if err == factor.ErrOver { //nolint:errorlint // it comes as it is
					return nil
				}
				return err
			}
			guess := func() error {
				_, err := guesses.Take(tx, lockout.Client{AddressKey: id, Codes: id}, now)
				return err
			}
			if reversed(i) {
				if err := guess(); err != nil {
					return false, err
				}
				return true, pending()
			}
			if err := pending(); err != nil {
				return false, err
			}
			return true, guess()
		})
		return err
	}
	for round := range 10 {
		if err := try(round, func(int) bool { return false }); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	for round := range rounds {
		if err := try(100+round, func(i int) bool { return i%3 == 0 }); err != nil {
			t.Logf("seen in round %d: %v", round, err)
			return
		}
	}
	t.Error("the other order never locked anybody out: the race shows nothing")
}
