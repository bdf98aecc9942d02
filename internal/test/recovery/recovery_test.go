package recovery_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Issue 5: of sixteen at once with one link, or one code, exactly one wins; and
// whatever was mailed before a change of the password is void after it.
func TestRecovery_OneLinkAndOneCodeWorkOnce(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		h.Register(ada)
		box := h.Mailbox()
		verify := harness.TokenOf(h, box.Last(ada, notice.VerifyAddress).Link)
		access := h.Login(ada).Str("access_token")
		if n := h.Together(204, func(int) harness.Request {
			return harness.Post("/v1/email/verify", harness.Body{"token": verify}, access)
		}); n != 1 {
			h.Errorf("%d of 16 verified by one link", n)
		}
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		first := box.Last(ada, notice.ResetPassword)
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		second := box.Last(ada, notice.ResetPassword)
		// The two links at once as well: only one of all is a reset.
		if n := h.Together(204, func(i int) harness.Request {
			token := harness.TokenOf(h, []notice.Mail{first, second}[i%2].Link)
			return harness.Post("/v1/password/reset", harness.Body{"token": token, "new_password": harness.AnotherPassphrase})
		}); n != 1 {
			h.Errorf("%d of 16 reset by two links", n)
		}
		request := h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada})).Str("request")
		mail := box.Last(ada, notice.ResetPassword)
		if n := h.Together(204, func(int) harness.Request {
			return harness.Post("/v1/password/reset", harness.Body{"email": ada, "code": mail.Code, "request": request, "new_password": harness.Passphrase})
		}); n != 1 {
			h.Errorf("%d of 16 reset by one code", n)
		}
		h.Expect(400, "invalid_link", harness.Post("/v1/password/reset",
			harness.Body{"token": harness.TokenOf(h, mail.Link), "new_password": harness.AnotherPassphrase}))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", access))
		// A change of the password makes the link void, too.
		request = h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada})).Str("request")
		mail = box.Last(ada, notice.ResetPassword)
		access = h.Login(ada).Str("access_token")
		h.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": harness.Passphrase, "new_password": harness.AnotherPassphrase},
			access))
		h.Expect(400, "invalid_link", harness.Post("/v1/password/reset", harness.Body{"token": harness.TokenOf(h, mail.Link), "new_password": harness.Passphrase}))
		h.Expect(400, "invalid_code", harness.Post("/v1/password/reset",
			harness.Body{"email": ada, "code": mail.Code, "request": request, "new_password": harness.Passphrase}))
	})
}

// Issue 12: whoever shows the right password waits for nobody, however many do at once: of
// sixteen who press again the link of a reset that was done, all learn that it was.
func TestRecovery_OfManyRightPasswordsAtOnceNoneWaits(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		h.Register(ada)
		box := h.Mailbox()
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		token := harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link)
		reset := harness.Post("/v1/password/reset", harness.Body{"token": token, "new_password": harness.AnotherPassphrase})
		h.Expect(204, "", reset)
		if n := h.Together(200, func(int) harness.Request { return reset }); n != 16 {
			h.Errorf("%v: %d of 16 at once were answered 200, want all", reset, n)
		}
	}, "LOCKOUT_AFTER=1") // one try more that counts as wrong, and the next waits
}

// Issue 5: five wrong codes kill the code and not the link; a new mail gives a new
// code, and no new tries for the day.
func TestRecovery_GuessingCodes(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		h.Register(ada)
		box := h.Mailbox()
		request := ""
		try := func(code string) harness.Request {
			return harness.Post("/v1/password/reset", harness.Body{"email": ada, "code": code, "request": request, "new_password": harness.AnotherPassphrase})
		}
		request = h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada})).Str("request")
		for range 4 {
			h.Expect(400, "invalid_code", try("AAAAAAAA"))
		}
		if n := h.Together(204, func(int) harness.Request { return try("BBBBBBBB") }); n != 0 {
			h.Fatalf("%d wrong codes were right", n)
		}
		// Twenty are used up, whatever is mailed.
		request = h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada})).Str("request")
		mail := box.Last(ada, notice.ResetPassword)
		h.Expect(429, "too_many_codes", try(mail.Code))
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": harness.TokenOf(h, mail.Link), "new_password": harness.AnotherPassphrase}))

		// Another address: the fifth wrong one kills the code.
		const bob = "bob@example.org"
		request = h.Register(bob)
		mail = box.Last(bob, notice.VerifyAddress)
		for range 5 {
			h.Expect(400, "invalid_code", harness.Post("/v1/email/verify",
				harness.Body{"email": bob, "code": "AAAAAAAA", "request": request, "password": harness.Passphrase}))
		}
		h.Expect(400, "invalid_code", harness.Post("/v1/email/verify",
			harness.Body{"email": bob, "code": mail.Code, "request": request, "password": harness.Passphrase}))
		h.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": harness.TokenOf(h, mail.Link), "password": harness.Passphrase}))
	})
}
