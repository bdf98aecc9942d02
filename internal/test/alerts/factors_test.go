package alerts_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor/passkeytest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestLOG3_TheAlertsOfSecondFactors: what strangers, operators and copies of keys really do at a server raises passwords_known,
// factor_resets and passkeys_doubted, and one less of it raises none.
func TestLOG3_TheAlertsOfSecondFactors(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, url string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, url, clock.Now, harness.BehindProxy, "LOCKOUT_AFTER=10", "LOCKOUT_DELAY_SECONDS=1")
		const known, resets = 5, 3
		raised := func(rule string) bool {
			h.Helper()
			var n int64
			if err := h.Database().Read(h.Context(), func(tx *db.Tx) error {
				return tx.QueryRow(`SELECT COUNT(*) FROM alert WHERE rule = $1`, rule).Scan(&n)
			}); err != nil {
				h.Fatal(err)
			}
			return n > 0
		}
		h.Eventually("the rules begin to watch", func() (string, bool) {
			n := h.Count(`SELECT COUNT(*) FROM alert_state WHERE state <> ''`)
			return fmt.Sprint(n), n == 1
		})
		var apps []*harness.App
		for i := range known {
			apps = append(apps, h.AddApp(clock, fmt.Sprintf("person%d@example.org", i)))
		}
		h.Register("ada@example.org")
		key := h.PasskeyFor("ada@example.org", func(c *passkeytest.Ceremony) { c.Counter = 1 })

		guess := func(i int) { // somebody has the password of this account, and no code
			from := func(r harness.Request) harness.Request { return harness.StrangersNetwork(i, r) }
			token := apps[i].Pending(from)
			for range 5 {
				h.Expect(401, "invalid_code", from(harness.ShowCode(token, apps[i].WrongCode())))
			}
		}
		ask := func(i int) {
			if _, _, err := h.Operator().ResetFactors(h.Context(), apps[i].Email, "lost a phone", 24*time.Hour, harness.OriginOfTests); err != nil {
				h.Fatal(err)
			}
		}
		for i := range known - 1 {
			guess(i)
		}
		for i := range resets - 1 {
			ask(i)
		}
		count := func(n uint32) func(*passkeytest.Ceremony) { return func(c *passkeytest.Ceremony) { c.Counter = n } }
		h.Expect(200, "", key.Alone(count(5)))
		for _, rule := range []string{"passwords_known", "factor_resets", "passkeys_doubted"} {
			if raised(rule) {
				h.Errorf("%s is raised too early", rule)
			}
		}
		guess(known - 1)
		ask(resets - 1)
		h.Expect(401, "passkey_suspended", key.Alone(count(5)))
		for _, rule := range []string{"passwords_known", "factor_resets", "passkeys_doubted"} {
			h.Eventually(rule+" is raised", func() (string, bool) { return "not yet", raised(rule) })
		}
	})
}
