package recovery_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// A mailed link or code sets a password or verifies an address, and signs nobody in.
func TestASVS_V6_3_6_MailsSignNobodyIn(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		box := h.Mailbox()
		b := h.Browser()
		noSession := func(what string, a harness.Answer) {
			t.Helper()
			if a.Status >= 400 || strings.Contains(a.Text, "gatehouse_rt_") || strings.Contains(a.Text, "access_token") {
				h.Errorf("%s: %d %s", what, a.Status, a.Text)
			}
			for _, name := range []string{"gatehouse_at", "gatehouse_rt", "gatehouse_csrf"} {
				if b.Cookie(name) != "" {
					h.Errorf("%s set %s", what, name)
				}
			}
		}
		noSession("registering", b.Send(harness.Press("/register", harness.Body{"email": ada, "new_password": harness.Passphrase})))
		noSession("verifying", b.Send(harness.Press("/verify", harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.VerifyAddress).Link)})))
		for _, path := range []string{"/reset", "/v1/password/reset"} {
			h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
			with := harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.AnotherPassphrase + path}
			if path == "/reset" {
				noSession(path, b.Send(harness.Press(path, with)))
			} else {
				noSession(path, b.Send(harness.Post(path, with)))
			}
		}
		if n := h.Count("SELECT COUNT(*) FROM session"); n != 0 {
			h.Errorf("%d sessions", n)
		}
	})
}

// An address that becomes free, and is somebody else's then, has another subject:
// who knows people by sub takes nobody for another.
func TestASVS_V10_3_3_AFreedAddressIsAnotherSubject(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada, adas = "ada@example.org", "ada.new@example.org"
		subject := func(email string) string {
			return h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: h.Login(email).Str("access_token")}).Str("id")
		}
		h.Register(ada)
		first := subject(ada)
		box := h.Mailbox()
		h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": adas, "current_password": harness.Passphrase}, h.Login(ada).Str("access_token")))
		h.Expect(204, "", harness.Post("/v1/email/verify",
			harness.Body{"token": harness.TokenOf(h, box.Last(adas, notice.ConfirmAddress).Link), "password": harness.Passphrase}))
		if got := subject(adas); got != first || first == "" {
			h.Errorf("by a new address the person is %q, was %q", got, first)
		}
		h.Register(ada)
		if got := subject(ada); got == first || got == "" {
			h.Errorf("whoever has the old address now is %q, as the one before", got)
		}
	})
}

// What comes with a link's token must belong to it: no code with it, and no other
// address than the one that got the mail.
func TestASVS_V2_1_2_V2_2_3_WhatComesWithATokenBelongsToIt(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada, bob = "ada@example.org", "bob@example.org"
		h.Register(ada)
		h.Register(bob)
		box := h.Mailbox()
		request := ""
		for _, a := range []string{ada, bob} {
			request = h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": a})).Str("request")
		}
		adas, bobs := box.Last(ada, notice.ResetPassword), box.Last(bob, notice.ResetPassword)
		reset := harness.Body{"token": harness.TokenOf(h, adas.Link), "new_password": harness.AnotherPassphrase}
		for code, with := range map[string]harness.Body{
			"email_of_another": reset.With("email", bob), "token_and_code": reset.With("code", adas.Code), "invalid_email": reset.With("email", "x"),
		} {
			h.Expect(400, code, harness.Post("/v1/password/reset", with))
		}
		h.Expect(400, "token_and_code", harness.Post("/v1/password/reset", reset.With("email", bob).With("code", bobs.Code)))
		h.Expect(400, "token_and_code", harness.Post("/v1/email/verify", harness.Body{"token": harness.TokenOf(h, adas.Link), "code": "nonsense"}))
		// Nothing was used up by that, and what belongs together works.
		h.Expect(204, "", harness.Post("/v1/password/reset", reset.With("email", "ADA@example.org")))
		h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase))
		h.Expect(204, "", harness.Post("/v1/password/reset",
			harness.Body{"email": bob, "code": bobs.Code, "request": request, "new_password": harness.AnotherPassphrase}))
	})
}
