package recovery_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Issue 5: verification takes one click in the browser that registered. Elsewhere
// it asks for the password, so nobody has another's address verified by its owner.
func TestRecovery_TheBrowserThatRegisteredVerifiesByOneClick(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada, eve = "ada@example.org", "eve@example.org"
		box := h.Mailbox()
		here, elsewhere := h.Browser(), h.Browser()
		here.Page(200, "can sign in", harness.Press("/register", harness.Body{"email": ada, "new_password": harness.Passphrase}))
		token := harness.TokenOf(h, box.Last(ada, notice.VerifyAddress).Link)
		elsewhere.Page(403, "account’s password", harness.Press("/verify", harness.Body{"token": token}))
		here.Page(200, "is confirmed", harness.Press("/verify", harness.Body{"token": token}))
		here.Page(200, "is confirmed", harness.Press("/verify", harness.Body{"token": token}))
		h.Expect(200, "", harness.SignInAs(ada, harness.Passphrase))

		// Mallory registers Eve's address. Eve registers as well, which the answer and
		// the cookie don't tell from a success, and opens the mail that Mallory caused.
		mallory, owner := h.Browser(), h.Browser()
		mallory.Page(200, "can sign in", harness.Press("/register", harness.Body{"email": eve, "new_password": harness.AnotherPassphrase}))
		owner.Page(200, "can sign in", harness.Press("/register", harness.Body{"email": eve, "new_password": harness.Passphrase}))
		if a, b := mallory.Cookie("gatehouse_reg"), owner.Cookie("gatehouse_reg"); len(a) != len(b) || a == "" || a == b {
			h.Errorf("the browsers keep %q and %q", a, b)
		}
		mail := box.Last(eve, notice.VerifyAddress)
		owner.Page(403, "somebody else has registered", harness.Press("/verify", harness.Body{"token": harness.TokenOf(h, mail.Link)}))
		owner.Page(403, "not the account", harness.Press("/verify", harness.Body{"token": harness.TokenOf(h, mail.Link), "password": harness.Passphrase}))
		// That mail's code is Mallory's, who asked for it; one that the owner asks for leads there too.
		owner.Page(400, "isn’t the code", harness.Press("/verify", harness.Body{"email": eve, "code": mail.Code}))
		owner.Page(200, "on its way", harness.Press("/verify", harness.Body{"email": eve, "again": "1"}))
		mail = box.Last(eve, notice.VerifyAddress)
		owner.Page(403, "somebody else has registered", harness.Press("/verify", harness.Body{"email": eve, "code": mail.Code}))
		h.Expect(401, "invalid_credentials", harness.SignInAs(eve, harness.AnotherPassphrase))
		// The way that the page names makes the account hers alone.
		owner.Page(200, "on its way", harness.Press("/forgot", harness.Body{"email": eve}))
		reset := box.Last(eve, notice.ResetPassword)
		owner.Page(200, "password is set", harness.Press("/reset",
			harness.Body{"email": eve, "code": strings.ToLower(reset.Code[:4] + "-" + reset.Code[4:]), "new_password": harness.Passphrase}))
		h.Expect(401, "invalid_credentials", harness.SignInAs(eve, harness.AnotherPassphrase))
		h.Expect(200, "", harness.SignInAs(eve, harness.Passphrase))
		if strings.Contains(h.Logs.String(), token) || strings.Contains(h.Logs.String(), reset.Code) {
			h.Error("what stands in mails stands in the log")
		}
		if a := h.Do(harness.Get("/.well-known/change-password")); a.Status != 303 || a.Header.Get("Location") != "/forgot" {
			h.Errorf("change-password: %d %s", a.Status, a.Header.Get("Location"))
		}
	}, "EMAIL_VERIFICATION=required")
}

// Issue 5: no page acts for another site.
func TestRecovery_PagesTakeNoFormsFromOtherSites(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		for _, path := range []string{"/register", "/verify", "/forgot", "/reset", "/not-me", "/undo"} {
			r := harness.Press(path, harness.Body{"email": "ada@example.org", "new_password": harness.Passphrase, "token": "gatehouse_mt_x",
				"password": harness.Passphrase})
			r.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}}
			if a := h.Do(r); a.Status != 403 {
				h.Errorf("%s: %d", path, a.Status)
			}
		}
	})
}

// Issue 5: links are built from PUBLIC_URL, whatever a request says of its host.
func TestRecovery_NoHostHeaderPoisonsLinks(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		evil := http.Header{"X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example"}, "X-Original-Host": {"evil.example"},
			"X-Forwarded-Proto": {"https"}}
		box := h.Mailbox()
		for _, r := range []harness.Request{
			harness.Post("/v1/register", harness.Body{"email": ada, "password": harness.Passphrase}), harness.Post("/v1/email/resend", harness.Body{"email": ada}),
			harness.Post("/v1/password/forgot", harness.Body{"email": ada}),
		} {
			r.Header = evil
			h.Expect(202, "", r)
			harness.SendRaw(t, h.App.URL(), "POST", r.Path, "X-Forwarded-Host: evil.example\r\n")
		}
		mails := box.All(ada)
		if len(mails) != 3 {
			h.Fatalf("%d mails", len(mails))
		}
		for _, m := range mails {
			for _, link := range []string{m.Link, m.NotMe} {
				if link != "" && !strings.HasPrefix(link, "https://id.example.org/") {
					h.Errorf("a link of %s: %s", m.Kind, link)
				}
			}
		}
	}, "PUBLIC_URL=https://id.example.org", "TRUSTED_PROXIES=127.0.0.0/8")
}

// Issue 5: "this wasn't me" ends sessions, voids links and demands a reset; once,
// and not after the password was changed: a thief of the mailbox can't use old ones.
func TestRecovery_ThisWasNotMe(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		h.Register(ada)
		box := h.Mailbox()
		access := h.Login(ada).Str("access_token")
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		old := box.Last(ada, notice.ResetPassword)
		h.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": harness.Passphrase, "new_password": harness.AnotherPassphrase},
			access))
		mail := box.Last(ada, notice.PasswordChanged)
		b := h.Browser()
		// The one from before the change is void.
		b.Page(400, "does not work", harness.Press("/not-me", harness.Body{"token": harness.TokenOf(h, old.NotMe)}))
		h.Expect(200, "", harness.Get("/v1/me", access))

		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		pending := box.Last(ada, notice.ResetPassword)
		token := harness.TokenOf(h, mail.NotMe)
		if n := h.Together(303, func(int) harness.Request { return harness.Press("/not-me", harness.Body{"token": token}) }); n != 16 {
			h.Errorf("%d of 16 presses were told that it is done", n)
		}
		b.Page(200, "All sessions have ended", harness.Press("/not-me", harness.Body{"token": token}))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", access))
		h.Expect(400, "invalid_link", harness.Post("/v1/password/reset", harness.Body{"token": harness.TokenOf(h, pending.Link), "new_password": harness.Passphrase}))
		h.Expect(403, "password_reset_required", harness.SignInAs(ada, harness.AnotherPassphrase))
		h.Expect(401, "invalid_credentials", harness.SignInAs(ada, harness.Passphrase))

		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		reset := box.Last(ada, notice.ResetPassword)
		h.Expect(400, "password_unchanged", harness.Post("/v1/password/reset",
			harness.Body{"token": harness.TokenOf(h, reset.Link), "new_password": harness.AnotherPassphrase}))
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": harness.TokenOf(h, reset.Link), "new_password": harness.Passphrase}))
		mails := box.All(ada)
		access = h.Login(ada).Str("access_token")
		for _, m := range mails {
			if m.NotMe != "" && m.Kind != notice.PasswordChanged {
				b.Page(400, "does not work", harness.Press("/not-me", harness.Body{"token": harness.TokenOf(h, m.NotMe)}))
			}
		}
		h.Expect(200, "", harness.Get("/v1/me", access))
	})
}

// Issue 5: a full life of an account, through HTTP and mails.
func TestRecovery_AWholeLife(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada, thief = "Ada+news@example.org", "thief@example.net"
		box := h.Mailbox()
		home := h.Browser()
		home.Page(200, "can sign in", harness.Press("/register", harness.Body{"email": ada, "new_password": harness.Passphrase}))
		home.Page(200, "is confirmed", harness.Press("/verify", harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.VerifyAddress).Link)}))
		home.Page(200, "on its way", harness.Press("/forgot", harness.Body{"email": "ADA+news@EXAMPLE.org"}))
		home.Page(200, "password is set", harness.Press("/reset",
			harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.AnotherPassphrase}))
		// Somebody signs in as her, and takes the address and then the password away.
		access := h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase)).Str("access_token")
		h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": thief, "current_password": harness.AnotherPassphrase}, access))
		confirm := harness.TokenOf(h, box.Last(thief, notice.ConfirmAddress).Link)
		h.Browser().Page(403, "password", harness.Press("/verify", harness.Body{"token": confirm}))
		h.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": confirm}, access))
		h.Expect(204, "", harness.Post("/v1/password/change",
			harness.Body{"current_password": harness.AnotherPassphrase, "new_password": harness.Passphrase + " of a thief"}, access))
		h.Expect(401, "invalid_credentials", harness.SignInAs(ada, harness.AnotherPassphrase))
		if got := h.Expect(200, "", harness.Get("/v1/me", access)).Str("email"); got != thief {
			h.Errorf("the address is %s", got)
		}
		// The old address has a way back, and it needs a password of the week.
		undo := harness.TokenOf(h, box.Last(ada, notice.AddressChanged).Undo)
		home.Page(403, "not a password", harness.Press("/undo", harness.Body{"token": undo, "password": harness.Passphrase + " of nobody"}))
		home.Page(200, "old address again", harness.Press("/undo", harness.Body{"token": undo, "password": harness.AnotherPassphrase}))
		home.Page(200, "old address again", harness.Press("/undo", harness.Body{"token": undo, "password": harness.AnotherPassphrase}))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", access))
		h.Expect(401, "invalid_credentials", harness.SignInAs(thief, harness.Passphrase+" of a thief"))
		h.Expect(403, "password_reset_required", harness.SignInAs(ada, harness.Passphrase+" of a thief"))
		home.Page(200, "password is set", harness.Press("/reset",
			harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.Passphrase}))
		home.Page(303, "", harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase}))
		// Locked out by strangers, she still signs in from the browser that is known.
		for i := range 80 {
			h.Expect(401, "invalid_credentials", harness.WrongPassword(ada, i))
		}
		h.Expect(429, "account_locked", harness.RightPassword(ada, 300))
		home.Page(303, "", harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase}))
		// A reset makes all browsers strangers, and lets everybody try again.
		home.Page(200, "on its way", harness.Press("/forgot", harness.Body{"email": ada}))
		home.Page(200, "password is set", harness.Press("/reset",
			harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.AnotherPassphrase}))
		h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase))
		if n := h.Count(`SELECT COUNT(*) FROM known_device`); n != 0 {
			h.Errorf("%d devices are known after a reset", n)
		}
	}, harness.BehindProxy)
}
