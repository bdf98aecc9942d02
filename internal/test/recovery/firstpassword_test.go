package recovery_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// ASVS 6.4.1: a first password that an operator chooses opens nothing in production, and
// becomes no lasting one; a link for the first password works once, of many at once, and is void
// after any other way to one.
func TestASVS_V6_4_1_FirstPasswordsAreReplaced(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada, grace, hedy = "ada@example.org", "grace@example.org", "hedy@example.org"
		o := h.Operator()
		must := func(err error) {
			h.Helper()
			if err != nil {
				h.Fatal(err)
			}
		}
		_, err := o.CreateUser(h.Context(), flow.Credentials{Email: hedy, Password: harness.Passphrase}, nil, harness.OriginOfTests)
		must(err)
		h.Expect(200, "", harness.SignInAs(hedy, harness.Passphrase)) // in development it lasts

		o.Production = true // as in production
		_, err = o.CreateUser(h.Context(), flow.Credentials{Email: ada, Password: harness.Passphrase}, []string{"admin"}, harness.OriginOfTests)
		must(err)
		h.Expect(403, "password_reset_required", harness.SignInAs(ada, harness.Passphrase))
		request := h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada})).Str("request")
		mail := h.Mailbox().Last(ada, "reset_password")
		byCode := harness.Body{"email": ada, "code": mail.Code, "request": request}
		h.Expect(400, "password_unchanged", harness.Post("/v1/password/reset", byCode.With("new_password", harness.Passphrase)))
		h.Expect(204, "", harness.Post("/v1/password/reset", byCode.With("new_password", harness.AnotherPassphrase)))
		h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase))

		_, link, err := o.Invite(h.Context(), operate.Invitation{Email: grace}, harness.OriginOfTests)
		must(err)
		token := harness.TokenOf(h, link)
		if n := h.Together(204, func(int) harness.Request {
			return harness.Post("/v1/password/reset", harness.Body{"token": token, "new_password": harness.Passphrase})
		}); n != 1 {
			h.Errorf("%d of 16 set the first password", n)
		}
		h.Expect(200, "", harness.SignInAs(grace, harness.Passphrase))
		h.Expect(400, "invalid_link", harness.Post("/v1/password/reset", harness.Body{"token": token, "new_password": harness.AnotherPassphrase}))
	})
}
