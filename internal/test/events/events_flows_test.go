package events_test

import (
	"net/netip"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestLOG1_EachMailedStepWritesExactlyTheseEvents goes on where
// TestLOG1_EachOutcomeWritesExactlyTheseEvents ends: verification, passwords and
// addresses.
func TestLOG1_EachMailedStepWritesExactlyTheseEvents(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada, next = "ada@example.org", "next@example.org"
		l, box := harness.NewLedger(h), h.Mailbox()
		h.Register(ada)
		access := h.Login(ada).Str("access_token")
		l.Next()
		token := func(to string, kind notice.Kind) string { return harness.TokenOf(h, box.Last(to, kind).Link) }
		for _, step := range []struct {
			name string
			do   func()
			want []string
		}{
			{"verify with nonsense", func() {
				h.Expect(400, "invalid_link", harness.Post("/v1/email/verify", harness.Body{"token": "gatehouse_mt_x"}))
			}, []string{}},
			{"verify", func() {
				h.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": token(ada, notice.VerifyAddress)}, access))
			}, []string{"email_verification success"}},
			{"ask for another verification", func() {
				h.Expect(202, "", harness.Post("/v1/email/resend", harness.Body{"email": ada}))
			}, []string{"email_verification failure nothing_to_verify"}},
			{"change the password, with a wrong one", func() {
				h.Expect(403, "wrong_password", harness.Post("/v1/password/change",
					harness.Body{"current_password": "wrong password, quite", "new_password": harness.AnotherPassphrase}, access))
			}, []string{"failed_login_attempt failure wrong_password"}},
			{"change the password", func() {
				h.Login(ada)
				h.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": harness.Passphrase, "new_password": harness.AnotherPassphrase},
					access))
			}, []string{"successful_login success", "reauthenticated success", "password_change success changed", "session_revoked success password_change"}},
			{"forget somebody's password", func() {
				h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": "nobody@example.org"}))
			}, []string{"password_reset_request failure unknown_account"}},
			{"forget the password", func() {
				h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
			}, []string{"password_reset_request success"}},
			{"reset it", func() {
				h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": token(ada, notice.ResetPassword), "new_password": harness.Passphrase}))
			}, []string{"password_change success reset", "session_revoked success password_change"}},
			{"ask for another address", func() {
				access = h.Login(ada).Str("access_token")
				h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": next, "current_password": harness.Passphrase}, access))
			}, []string{"successful_login success", "reauthenticated success", "email_change success asked"}},
			{"confirm it", func() {
				h.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": token(next, notice.ConfirmAddress)}, access))
			}, []string{"email_change success done"}},
		} {
			step.do()
			l.Expect(step.name, step.want)
		}
	})
}

// TestLOG1_EachCommandWritesExactlyTheseEvents does the same for what operators
// do, and for the first administrator's link.
func TestLOG1_EachCommandWritesExactlyTheseEvents(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		l, o := harness.NewLedger(h), h.Operator()
		from := event.Origin{Address: netip.MustParseAddr("127.0.0.1"), RequestID: "test", UserAgent: "test"}
		must := func(err error) {
			h.Helper()
			if err != nil {
				h.Fatal(err)
			}
		}
		for _, step := range []struct {
			name string
			do   func()
			want []string
		}{
			{"the first administrator", func() {
				status, _, err := h.Setup(h.SetupToken(), "root@example.org", harness.Passphrase, nil)
				must(err)
				if status != 303 {
					h.Errorf("setting up: %d", status)
				}
			}, []string{"account_registered success", "role_change success"}},
			{"create", func() {
				_, err := o.CreateUser(h.Context(), flow.Credentials{Email: ada, Password: harness.Passphrase}, []string{"editor"}, from)
				must(err)
			}, []string{"account_registered success", "role_change success"}},
			{"verify, which it is already", func() { must(o.Verify(h.Context(), ada, from)) }, []string{}},
			{"roles", func() {
				h.Login(ada)
				_, err := o.SetRoles(h.Context(), ada, []string{"author"}, from)
				must(err)
			}, []string{"successful_login success", "role_change success"}},
			{"end one session", func() {
				must(o.EndSession(h.Context(), h.Login(ada).Str("session_id"), from))
			}, []string{"successful_login success", "session_revoked success revoked"}},
			{"end all", func() {
				_, err := o.EndSessions(h.Context(), ada, from)
				must(err)
			}, []string{"session_revoked success revoked"}},
			{"disable", func() {
				h.Login(ada)
				_, err := o.Disable(h.Context(), ada, from)
				must(err)
			}, []string{"successful_login success", "account_disabled success", "session_revoked success disabled"}},
			{"sign in while disabled", func() {
				h.Expect(403, "account_disabled", harness.SignInAs(ada, harness.Passphrase))
			}, []string{"failed_login_attempt failure account_disabled"}},
			{"enable", func() { must(o.Enable(h.Context(), ada, from)) }, []string{"account_enabled success"}},
			{"reset", func() {
				_, _, err := o.ResetUser(h.Context(), ada, from)
				must(err)
			}, []string{"password_reset_request success"}},
			{"unlock", func() { must(o.Unlock(h.Context(), ada, from)) }, []string{"account_unlocked success"}},
		} {
			step.do()
			l.Expect(step.name, step.want)
		}
	})
}
