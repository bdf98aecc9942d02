package factors

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestASVS_V6_4_4_TheMailboxIsLostToo: an operator gives another address to whoever has lost factors and mailbox. It waits, the old
// address is told and can stop it, a sign-in with a factor stops it, and the old address takes the account back afterwards; the new
// one gets the only link that opens the account.
func TestASVS_V6_4_4_TheMailboxIsLostToo(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada, anew, claimed, other = "ada@example.org", "ada@example.net", "claimed@example.net", "other@example.org"
		a := h.AddApp(clock, ada)
		h.Register(other)
		change(h, `UPDATE account SET verified_at = 1 WHERE email = '`+other+`'`)
		box, o := h.Mailbox(), h.Operator()
		o.Now = clock.Now
		ask := func(address string) error {
			_, _, err := o.ResetAddress(h.Context(), ada, "lost everything", address, 24*time.Hour, harness.OriginOfTests)
			return err
		}
		waiting := func() int { return h.Count(`SELECT COUNT(*) FROM factor_reset`) }
		if f := fault.As(ask(other)); f == nil || f.Code != "address_taken" {
			h.Errorf("somebody else's address: %v", f)
		}
		if f := fault.As(ask("no address")); f == nil {
			h.Error("what is no address was taken")
		}
		for _, stop := range []func(){
			func() {
				asked := box.Last(ada, notice.FactorResetAsked)
				if asked.NewAddress == "" {
					h.Errorf("the mail does not name the new address: %+v", asked)
				}
				h.Expect(204, "", harness.Post("/v1/factors/reset/stop", harness.Body{"token": harness.TokenOf(h.T, asked.Link)}))
			},
			func() { a.SignIn() },
			func() {
				// Somebody verifies the address meanwhile: nobody's account is given away.
				h.Register(claimed)
				change(h, `UPDATE account SET verified_at = 1 WHERE email = '`+claimed+`'`)
				clock.Shift(25 * time.Hour)
				h.Eventually("the job", func() (string, bool) { return fmt.Sprint(waiting()), waiting() == 0 })
			},
		} {
			if err := ask(claimed); err != nil || waiting() != 1 {
				h.Fatalf("asking: %v", err)
			}
			stop()
			if n := waiting(); n != 0 {
				h.Errorf("%d resets wait", n)
			}
			if n := h.Count(`SELECT COUNT(*) FROM account WHERE email = '` + ada + `'`); n != 1 {
				h.Error("the address was changed")
			}
			a.Next()
		}
		if err := ask(anew); err != nil {
			h.Fatal(err)
		}
		clock.Shift(25 * time.Hour)
		h.Eventually("the job", func() (string, bool) { return fmt.Sprint(waiting()), waiting() == 0 })
		h.Expect(403, "password_reset_required", harness.SignInAs(anew, harness.Passphrase))
		h.Expect(401, "invalid_credentials", harness.SignInAs(ada, harness.Passphrase))
		done := box.Last(anew, notice.FactorResetDone)
		undo := harness.TokenOf(h.T, box.Last(ada, notice.AddressChanged).Undo)
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": harness.TokenOf(h.T, done.Link), "new_password": harness.AnotherPassphrase}))
		h.Expect(200, "", harness.SignInAs(anew, harness.AnotherPassphrase))
		if n := h.Count(`SELECT COUNT(*) FROM totp`) + h.Count(`SELECT COUNT(*) FROM recovery_code`); n != 0 {
			h.Errorf("%d factors are left", n)
		}
		// It was not the owner who asked: who has the old mailbox and the password of then takes the account back.
		h.Expect(204, "", harness.Post("/v1/email/undo", harness.Body{"token": undo, "password": harness.Passphrase}))
		if n := h.Count(`SELECT COUNT(*) FROM account WHERE email = '` + ada + `'`); n != 1 {
			h.Error("the address is not the owner's again")
		}
	})
}

func change(h *harness.Server, query string) {
	h.Helper()
	if err := h.Database().Write(h.Context(), func(tx *db.Tx) error { _, err := tx.Exec(query); return err }); err != nil {
		h.Fatal(err)
	}
}
