package doctor

import (
	"fmt"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// DB-4: a ledger that lags behind the event log turns its check, and one that does not leaves it alone.
func TestDB4_ALedgerThatLagsIsFound(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		key, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		dir, recipient := t.TempDir(), key.Recipient().String()
		h := harness.Open(t, dbURL, "BACKUP_DIR="+dir, "BACKUP_RECIPIENTS="+recipient, "BACKUP_EVERY_HOURS=0")
		h.Register("ada@example.org")
		h.Eventually("the ledger begins", func() (string, bool) {
			n := h.Count(`SELECT COUNT(*) FROM ledger_reach WHERE leaf > 0`)
			return fmt.Sprint(n), n == 1
		})
		if err := h.Stop(); err != nil { // or it would go on
			t.Fatal(err)
		}
		d := dbtest.Open(t, dbURL)
		c := load(t, map[string]string{"DATABASE_URL": dbURL, "MIGRATE": "off", "BACKUP_DIR": dir, "BACKUP_RECIPIENTS": recipient})
		state := func(now time.Time) (s doctor.State) {
			t.Helper()
			for _, f := range doctor.Run(t.Context(), checksOf(c, d, nil, func() time.Time { return now }), now).Findings {
				if f.Rule == "DB-4/ledger" {
					s = f.State
				}
			}
			return s
		}
		if s := state(time.Now()); s != doctor.Passed {
			t.Errorf("it is not behind, and the check is %s", s)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`UPDATE ledger_reach SET leaf = 0`); return err }); err != nil {
			t.Fatal(err)
		}
		if s := state(time.Now().Add(time.Hour)); s != doctor.Failed {
			t.Errorf("it is an hour behind, and the check is %s", s)
		}
	})
}
