package privacy

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// recipient is a key that backups are for.
const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

// TestGDPR3_TheLedgerKnowsFirst: before a row is deleted, every place of the backups says that somebody was erased, so that no restore
// brings them back. While a place is away, the erasure waits.
func TestGDPR3_TheLedgerKnowsFirst(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		clock, places := &harness.Clock{}, t.TempDir()
		away := filepath.Join(places, "two")
		if err := os.WriteFile(away, nil, 0o600); err != nil { // where a folder should be
			t.Fatal(err)
		}
		h := harness.OpenAt(t, url, clock.Now, "BACKUP_DIR="+filepath.Join(places, "one")+","+away, "BACKUP_RECIPIENTS="+recipient, "BACKUP_EVERY_HOURS=0",
			"ERASURE_GRACE_DAYS=0")
		h.Register(ada)
		h.Expect(202, "", erasing(h.Expect(200, "", harness.SignInAs(ada, harness.Passphrase)).Str("access_token")))
		h.Eventually("the erasure's beginning", func() (string, bool) {
			clock.Shift(time.Minute)
			n := h.Count(`SELECT COUNT(*) FROM erasure`)
			return fmt.Sprint(n), n == 1
		})
		named := func(place string) int {
			files, err := filepath.Glob(filepath.Join(places, place, "ledger", "*", "erased", "*.age"))
			if err != nil {
				t.Fatal(err)
			}
			return len(files)
		}
		h.Eventually("the one place", func() (string, bool) { clock.Shift(time.Minute); return "", named("one") == 1 })
		if n := h.Count(`SELECT COUNT(*) FROM account`); n != 1 {
			t.Errorf("%d accounts, before every place knows", n)
		}
		if err := os.Remove(away); err != nil {
			t.Fatal(err)
		}
		gone(h, clock)
		if named("one") == 0 || named("two") == 0 || h.Count(`SELECT COUNT(*) FROM account`) != 0 {
			t.Errorf("%d and %d files, %d accounts", named("one"), named("two"), h.Count(`SELECT COUNT(*) FROM account`))
		}
	})
}
