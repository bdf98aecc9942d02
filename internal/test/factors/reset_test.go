package factors

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// An operator's reset waits, is told, is stopped by the link and by a factor, and demands a new password by mail.
func TestASVS_V6_4_4_AnOperatorsReset(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		a := h.AddApp(clock, ada)
		box, o := h.Mailbox(), h.Operator()
		o.Now = clock.Now
		ask := func(wait time.Duration) {
			h.Helper()
			if _, _, err := o.ResetFactors(h.Context(), ada, "lost phone", wait, harness.OriginOfTests); err != nil {
				h.Fatal(err)
			}
		}
		waiting := func() int { return h.Count(`SELECT COUNT(*) FROM factor_reset`) }
		ask(24 * time.Hour)
		asked := box.Last(ada, notice.FactorResetAsked)
		if due := h.Expect(403, "second_factor_required", harness.SignInAs(ada, harness.Passphrase)).Str("reset_due_at"); due == "" {
			h.Error("the password's step does not tell of the reset")
		}
		stop := harness.Post("/v1/factors/reset/stop", harness.Body{"token": harness.TokenOf(h.T, asked.Link)})
		h.Expect(204, "", stop)
		h.Expect(200, "", stop)
		if n := waiting(); n != 0 {
			h.Errorf("%d resets wait", n)
		}
		ask(24 * time.Hour)
		a.SignIn() // stops it
		if n := waiting(); n != 0 {
			h.Errorf("%d resets wait after a sign-in with the app", n)
		}
		ask(24 * time.Hour)
		if _, err := o.StopFactorReset(h.Context(), ada, harness.OriginOfTests); err != nil || waiting() != 0 {
			h.Errorf("the operator's stop: %v", err)
		}
		ask(24 * time.Hour)
		clock.Shift(23 * time.Hour)
		h.Expect(403, "second_factor_required", harness.SignInAs(ada, harness.Passphrase))
		clock.Shift(2 * time.Hour)
		h.Eventually("the job", func() (string, bool) { return fmt.Sprint(waiting()), waiting() == 0 })
		h.Expect(403, "password_reset_required", harness.SignInAs(ada, harness.Passphrase))
		reset := harness.TokenOf(h.T, box.Last(ada, notice.FactorResetDone).Link)
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": harness.AnotherPassphrase}))
		h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase))
		if n := h.Count(`SELECT COUNT(*) FROM totp`) + h.Count(`SELECT COUNT(*) FROM recovery_code`) + h.Count(`SELECT factors FROM account`); n != 0 {
			h.Errorf("%d rows are left", n)
		}
		if _, _, err := o.ResetFactors(h.Context(), ada, "", 0, harness.OriginOfTests); err == nil {
			h.Error("a reset of nothing was asked for")
		}
	})
}

// An administrator asks for a reset and takes it back, with a reason that is in the log; not for themselves, nor for another
// administrator, nor with the role support.
func TestAnAdministratorsReset(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		h.AddApp(clock, ada)
		root := h.Administrator("root@example.org")
		h.Administrator("other@example.org")
		h.Register("sue@example.org")
		if _, err := h.Operator().SetRoles(h.Context(), "sue@example.org", []string{"support"}, harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		path := func(email string) string {
			list := h.Expect(200, "", harness.Get("/v1/admin/users?q="+email, root)).Fields["users"].([]any)
			return "/v1/admin/users/" + list[0].(map[string]any)["id"].(string)
		}
		ask := func(email, bearer string) harness.Request {
			return harness.Post(path(email)+"/factor-reset", harness.Body{"reason": "Lost her phone"}, bearer)
		}
		h.Expect(409, "own_account", ask("root@example.org", root))
		h.Expect(403, "not_administrator", ask("other@example.org", root))
		h.Expect(409, "no_factor", ask("sue@example.org", root))
		h.Expect(403, "not_administrator", ask(ada, h.Login("sue@example.org").Str("access_token")))
		h.Expect(400, "required", harness.Post(path(ada)+"/factor-reset", harness.Body{}, root))
		h.Expect(200, "", ask(ada, root))
		asked := h.Mailbox().Last(ada, notice.FactorResetAsked)
		if shown := h.Expect(200, "", harness.Get(path(ada), root)); shown.Str("factor_reset_due_at") == "" || asked.Link == "" {
			h.Errorf("the person: %s", shown.Text)
		}
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'admin_action'`); n != 1 {
			h.Errorf("%d actions are recorded", n)
		}
		h.Expect(204, "", harness.Request{Method: "DELETE", Path: path(ada) + "/factor-reset?reason=Found+it", Bearer: root})
		h.Expect(404, "reset_not_found", harness.Request{Method: "DELETE", Path: path(ada) + "/factor-reset?reason=Found+it", Bearer: root})
		if n := h.Count(`SELECT COUNT(*) FROM factor_reset`); n != 0 {
			h.Errorf("%d resets wait", n)
		}
	})
}

// The pages of the links in mails do what their button says, and nothing when they are opened.
func TestThePagesOfTheWayBack(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		h.AddApp(clock, ada)
		box, b := h.Mailbox(), h.Browser()
		undo := harness.TokenOf(h.T, box.Last(ada, notice.FactorAdded).Undo)
		b.Page(200, "Take it away", harness.Get("/undo-factor"))
		b.Page(403, "", harness.Press("/undo-factor", harness.Body{"token": undo, "password": "wrong password, quite"}))
		b.Page(200, "It is gone", harness.Press("/undo-factor", harness.Body{"token": undo, "password": harness.Passphrase}))
		b.Page(200, "Keep", harness.Get("/stop-reset"))
		b.Page(400, "", harness.Press("/stop-reset", harness.Body{"token": "gatehouse_mt_x"}))
	})
}
