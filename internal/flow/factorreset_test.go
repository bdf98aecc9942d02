package flow

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// A reset of factors that is due meets sign-ins with a factor, which stop it: it is one or the other, never both. SQLite's one writer
// would hide it, so it is run on PostgreSQL.
func TestAResetThatIsDueOrASignInThatStopsIt(t *testing.T) {
	const workers, rounds = 16, 40
	w := newWorld(t, dbtest.Open(t, dbtest.Postgres(t)))
	f := &Factors{EmailLinks: w.EmailLinks}
	done := map[bool]int{}
	for round := range rounds {
		h := w.history(t, nil)
		w.write(t, func(tx *db.Tx) error {
			if _, err := account.ChangeFactors(tx, account.FactorChange{Account: h.id, By: 1}, w.Now()); err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO totp (account_id, id, sealed, last_step, made_at) VALUES ($1, $1, $2, 0, 0)`, h.id, []byte("x")); err != nil {
				return err
			}
			return factor.AskReset(tx, factor.Reset{Account: h.id, AskedAt: w.Now(), DueAt: w.Now().Add(-time.Minute), By: ByOperator})
		})
		var who account.Credentials
		w.write(t, func(tx *db.Tx) (err error) { who, err = account.CredentialsOf(tx, h.id); return err })
		var (
			wg       sync.WaitGroup
			mu       sync.Mutex
			signedIn int
		)
		for i := range workers {
			wg.Go(func() {
				if i == 0 {
					if _, err := f.ResetDue(context.Background()); err != nil {
						t.Error(err)
					}
					return
				}
				time.Sleep(time.Duration(round*i%(2*workers)) * 300 * time.Microsecond) // or the reset, which looks first, comes last
				err := w.DB.Write(context.Background(), func(tx *db.Tx) error {
					// As the end of every sign-in with a factor does.
					if _, err := account.SignedIn(tx, who.ID, who.PasswordN, who.FactorN, account.Rehash{}, w.Now()); err != nil {
						return err
					}
					return keepFactors(tx, w.Events, who.ID, originOfModel)
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					signedIn++
				case !errors.Is(err, account.ErrNotFound):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		left := 0
		w.write(t, func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT (SELECT factors FROM account WHERE id = $1) + (SELECT COUNT(*) FROM totp WHERE account_id = $1)`, h.id).Scan(&left)
		})
		reset := left == 0
		if done[reset]++; reset == (signedIn > 0) || left == 1 {
			t.Fatalf("%d signed in, and what is left of the factor is %d", signedIn, left)
		}
	}
	t.Logf("reset: %d, stopped: %d", done[true], done[false])
}
