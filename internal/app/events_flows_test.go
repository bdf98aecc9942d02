package app_test

import (
	"net/netip"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// TestLOG1_EachMailedStepWritesExactlyTheseEvents goes on where
// TestLOG1_EachOutcomeWritesExactlyTheseEvents ends: verification, passwords and
// addresses.
func TestLOG1_EachMailedStepWritesExactlyTheseEvents(t *testing.T) {
	each(t, func(h *house) {
		const ada, next = "ada@example.org", "next@example.org"
		l, box := newLedger(h), h.mailbox()
		h.register(ada)
		access := h.login(ada).str("access_token")
		l.next()
		token := func(to string, kind notice.Kind) string { return tokenOf(h, box.last(to, kind).Link) }
		for _, step := range []struct {
			name string
			do   func()
			want []string
		}{
			{"verify with nonsense", func() {
				h.expect(400, "invalid_link", post("/v1/email/verify", body{"token": "gatehouse_mt_x"}))
			}, []string{}},
			{"verify", func() {
				h.expect(204, "", post("/v1/email/verify", body{"token": token(ada, notice.VerifyAddress)}, access))
			}, []string{"email_verification success"}},
			{"ask for another verification", func() {
				h.expect(202, "", post("/v1/email/resend", body{"email": ada}))
			}, []string{"email_verification failure nothing_to_verify"}},
			{"change the password, with a wrong one", func() {
				h.expect(403, "wrong_password", post("/v1/password/change", body{"current_password": "wrong password, quite", "new_password": another}, access))
			}, []string{"failed_login_attempt failure wrong_password"}},
			{"change the password", func() {
				h.login(ada)
				h.expect(204, "", post("/v1/password/change", body{"current_password": passphrase, "new_password": another}, access))
			}, []string{"successful_login success", "password_change success changed", "session_revoked success password_change"}},
			{"forget somebody's password", func() {
				h.expect(202, "", post("/v1/password/forgot", body{"email": "nobody@example.org"}))
			}, []string{"password_reset_request failure unknown_account"}},
			{"forget the password", func() {
				h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
			}, []string{"password_reset_request success"}},
			{"reset it", func() {
				h.expect(204, "", post("/v1/password/reset", body{"token": token(ada, notice.ResetPassword), "new_password": passphrase}))
			}, []string{"password_change success reset", "session_revoked success password_change"}},
			{"ask for another address", func() {
				access = h.login(ada).str("access_token")
				h.expect(202, "", post("/v1/email/change", body{"email": next, "current_password": passphrase}, access))
			}, []string{"successful_login success", "email_change success asked"}},
			{"confirm it", func() {
				h.expect(204, "", post("/v1/email/verify", body{"token": token(next, notice.ConfirmAddress)}, access))
			}, []string{"email_change success done"}},
		} {
			step.do()
			l.expect(step.name, step.want)
		}
	})
}

// TestLOG1_EachCommandWritesExactlyTheseEvents does the same for what operators
// do, and for the first administrator's link.
func TestLOG1_EachCommandWritesExactlyTheseEvents(t *testing.T) {
	each(t, func(h *house) {
		const ada = "ada@example.org"
		l, o := newLedger(h), h.operator()
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
				status, _, err := h.setup(h.setupToken(), "root@example.org", passphrase, nil)
				must(err)
				if status != 200 {
					h.Errorf("setting up: %d", status)
				}
			}, []string{"account_registered success", "role_change success"}},
			{"create", func() {
				_, err := o.CreateUser(h.Context(), flow.Credentials{Email: ada, Password: passphrase}, []string{"editor"}, from)
				must(err)
			}, []string{"account_registered success", "role_change success"}},
			{"verify, which it is already", func() { must(o.Verify(h.Context(), ada, from)) }, []string{}},
			{"roles", func() {
				h.login(ada)
				_, err := o.SetRoles(h.Context(), ada, []string{"author"}, from)
				must(err)
			}, []string{"successful_login success", "role_change success"}},
			{"end one session", func() {
				must(o.EndSession(h.Context(), h.login(ada).str("session_id"), from))
			}, []string{"successful_login success", "session_revoked success revoked"}},
			{"end all", func() {
				_, err := o.EndSessions(h.Context(), ada, from)
				must(err)
			}, []string{"session_revoked success revoked"}},
			{"disable", func() {
				h.login(ada)
				_, err := o.Disable(h.Context(), ada, from)
				must(err)
			}, []string{"successful_login success", "account_disabled success", "session_revoked success disabled"}},
			{"sign in while disabled", func() {
				h.expect(403, "account_disabled", signInAs(ada, passphrase))
			}, []string{"failed_login_attempt failure account_disabled"}},
			{"enable", func() { must(o.Enable(h.Context(), ada, from)) }, []string{"account_enabled success"}},
			{"reset", func() {
				_, _, err := o.ResetUser(h.Context(), ada, from)
				must(err)
			}, []string{"password_reset_request success"}},
			{"unlock", func() { must(o.Unlock(h.Context(), ada, from)) }, []string{"account_unlocked success"}},
		} {
			step.do()
			l.expect(step.name, step.want)
		}
	})
}
