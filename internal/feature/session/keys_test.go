package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// After a leak the keys are replaced while the server runs: what was made with the
// old ones is forged, and a rotation that had begun ends with a token of theirs.
func TestNewKeysForgeTheOldTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestStore(t, d, standard)
		old, err := k.begin(start)
		if err != nil {
			t.Fatal(err)
		}
		under, turn := k.store.Present(old.Refresh)
		if turn != "" {
			t.Fatal(turn)
		}
		k.store.Use(session.Keys{MAC: []byte(strings.Repeat("n", 32)), Derive: []byte(strings.Repeat("e", 32))})
		if _, turn, _ := k.use(old.Refresh, start); turn != session.Forged {
			t.Errorf("a token of the old keys is %q", turn)
		}
		var g session.Grant
		err = d.Write(ctx, func(tx *db.Tx) (err error) {
			g, turn, err = k.store.Rotate(tx, under, start.Add(time.Second))
			return err
		})
		if err != nil || turn != session.Rotated {
			t.Errorf("a rotation that had begun: %q, error %v", turn, err)
		}
		if _, turn, _ := k.use(g.Refresh, start.Add(2*time.Second)); turn != session.Forged {
			t.Errorf("what it gave is %q", turn)
		}
		fresh, err := k.begin(start)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if fresh, turn, err = k.use(fresh.Refresh, start.Add(time.Minute)); err != nil || turn != session.Rotated {
				t.Fatalf("a token of the new keys is %q, error %v", turn, err)
			}
		}
	})
}
