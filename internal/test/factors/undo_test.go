package factors

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// The link and a password of then take an added factor away; neither does alone, and a password that
// was set by a mail since is the mailbox once more.
func TestUndoOfAFactor(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		a := h.AddApp(clock, ada)
		box := h.Mailbox()
		token := harness.TokenOf(h.T, box.Last(ada, notice.FactorAdded).Undo)
		undo := func(password string) harness.Request {
			return harness.Post("/v1/factors/undo", harness.Body{"token": token, "password": password})
		}
		// Who reads the mailbox sets a password: that does not open it, and voids it not either.
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		reset := harness.TokenOf(h.T, box.Last(ada, notice.ResetPassword).Link)
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": harness.AnotherPassphrase}))
		h.Expect(403, "wrong_password", undo(harness.AnotherPassphrase))
		h.Expect(403, "second_factor_required", harness.SignInAs(ada, harness.AnotherPassphrase))

		h.Expect(204, "", undo(harness.Passphrase))
		h.Expect(200, "", undo(harness.Passphrase))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", a.Access))
		h.Expect(403, "password_reset_required", harness.SignInAs(ada, harness.AnotherPassphrase))
		reset = harness.TokenOf(h.T, box.Last(ada, notice.ResetPassword).Link)
		const third = "a third battery, a third staple"
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": third}))
		h.Expect(200, "", harness.SignInAs(ada, third)) // no second step
		if n := h.Count(`SELECT COUNT(*) FROM recovery_code`) + h.Count(`SELECT COUNT(*) FROM totp`) + h.Count(`SELECT factors FROM account`); n != 0 {
			h.Errorf("%d rows are left", n)
		}
	})
}

// What was there before the mail stays: undoing new recovery codes leaves the app.
func TestUndoLeavesWhatWasThereBefore(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		a := h.AddApp(clock, ada)
		access := a.SignIn().Str("access_token")
		h.Expect(200, "", harness.Post("/v1/factors/recovery-codes", nil, access))
		token := harness.TokenOf(h.T, h.Mailbox().Last(ada, notice.RecoveryCodesMade).Undo)
		h.Expect(204, "", harness.Post("/v1/factors/undo", harness.Body{"token": token, "password": harness.Passphrase}))
		reset := harness.TokenOf(h.T, h.Mailbox().Last(ada, notice.ResetPassword).Link)
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": harness.AnotherPassphrase}))
		waits := h.Expect(403, "second_factor_required", harness.SignInAs(ada, harness.AnotherPassphrase))
		a.Next()
		h.Expect(200, "", harness.ShowCode(waits.Str("pending_token"), a.Code(0)))
		if n := h.Count(`SELECT COUNT(*) FROM recovery_code`); n != 0 {
			h.Errorf("%d recovery codes are left", n)
		}
	})
}

// Undoing a change of address takes the factors along that were added after it.
func TestCaseA_UndoOfAnAddressTakesTheThiefsFactor(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada, thief = "ada@example.org", "thief@example.net"
		h.Register(ada)
		access := h.Login(ada).Str("access_token")
		box := h.Mailbox()
		h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": thief, "current_password": harness.Passphrase}, access))
		h.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": harness.TokenOf(h.T, box.Last(thief, notice.ConfirmAddress).Link)}, access))
		a := h.AppFor(clock, thief)
		if n := len(kinds(box, ada, notice.FactorAdded)); n != 1 {
			h.Errorf("%d mails to the address before", n)
		}
		undo := harness.TokenOf(h.T, box.Last(ada, notice.AddressChanged).Undo)
		h.Expect(204, "", harness.Post("/v1/email/undo", harness.Body{"token": undo, "password": harness.Passphrase}))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", a.Access))
		reset := harness.TokenOf(h.T, box.Last(ada, notice.ResetPassword).Link)
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": harness.AnotherPassphrase}))
		h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase))
	})
}
