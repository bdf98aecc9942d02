package incidents_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// A sign-in that has shown a factor before that was suspended, and only waits for its person to agree, is over.
func TestIR2_NoSignInGoesOnWithASuspendedFactor(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, clock.Now)
		app := h.AddApp(clock, "ada@example.org")
		terms := filepath.Join(t.TempDir(), "terms.txt")
		if err := os.WriteFile(terms, []byte("The terms."), 0o600); err != nil {
			t.Fatal(err)
		}
		asks := harness.OpenAt(t, dbURL, clock.Now, "TERMS_FILE="+terms, "DOCUMENTS_REQUIRED=terms")
		app.Server = asks
		app.Next()
		waits := asks.Expect(403, "agreement_required", harness.ShowCode(app.Pending(), app.Code(0))).Str("pending_token")
		d := h.Incidents()
		n := opened(h, d)
		done := contained(h, d, n, respond.Order{Does: respond.SuspendFactors, Since: clock.Now().Add(-time.Hour), All: true})
		if done.Touched["factors"] != 1 {
			h.Fatal(done.Touched)
		}
		agree := harness.Post("/v1/login/agree", map[string]any{"pending_token": waits, "agreed": map[string]int64{"terms": 1}})
		asks.Expect(401, "sign_in_over", agree)
		if n := h.Count(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL`); n != 0 {
			h.Errorf("%d sessions live", n)
		}
	})
}
