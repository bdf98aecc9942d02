package openid

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// While an incident has closed signing in, nobody signs in on the way to an application either, and no prompt=login is answered; sessions and grants that
// there are go on: codes, refreshes and sign-outs. Administrators get in.
func TestIR2_LockdownHoldsForSignInsToApplications(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		verified(h, ada)
		h.Administrator("root@example.org")
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		got := a.grant(b)
		d := dbtest.Open(t, dbtest.Superusers(t, h.DBURL))
		shut := func(until time.Time) {
			t.Helper()
			if err := d.Write(t.Context(), func(tx *db.Tx) error {
				for _, door := range lockdown.Doors {
					if err := lockdown.Shut(tx, door, until); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		shut(clock.Now().Add(time.Hour))
		h.Eventually("the doors are closed", func() (string, bool) {
			a := h.Do(harness.SignInAs(ada, harness.Passphrase))
			return a.Text, a.Status == 403
		})
		closed := func(what string, page harness.Answer) {
			t.Helper()
			if page.Status != 403 || !strings.Contains(page.Text, "closed for a while") {
				t.Errorf("%s: %d\n%s", what, page.Status, page.Text)
			}
		}
		page, _ := a.ask(h.Browser())
		page, to := signIn(h.Browser(), page, ada)
		if to.Host != "" {
			t.Errorf("a sign-in leads to %s", to)
		}
		closed("a sign-in", page)
		page, _ = a.ask(b, "prompt", "login")
		page, to = signIn(b, page, ada)
		if to.Host != "" {
			t.Errorf("prompt=login leads to %s", to)
		}
		closed("prompt=login", page)
		// What there is goes on.
		next := h.Expect(200, "", a.refreshing(got.Str("refresh_token")))
		h.Expect(200, "", harness.Get("/oauth2/userinfo", next.Str("access_token")))
		h.Expect(200, "", a.exchanging(a.code(a.through(b, "prompt", "none"))))
		root := h.Browser()
		page, _ = a.ask(root)
		if _, to := signIn(root, page, "root@example.org"); a.code(to) == "" {
			t.Error("an administrator gets no code")
		}
		shut(time.Time{})
		h.Eventually("the doors are open", func() (string, bool) {
			a := h.Do(harness.SignInAs(ada, harness.Passphrase))
			return a.Text, a.Status == 200
		})
	})
}
