package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// press sends a page's form.
func press(path string, b body) request {
	form := url.Values{}
	for name, value := range b {
		form.Set(name, value)
	}
	return request{method: "POST", path: path, body: form.Encode(), contentType: "application/x-www-form-urlencoded"}
}

// page sends a page's form and fails the test unless it is answered with the
// status and the words.
func (b *browser) page(status int, words string, r request) {
	b.Helper()
	a := b.send(r)
	if status == 200 && a.status == 303 { // a form that went well leads to a page
		a = b.send(request{method: "GET", path: a.header.Get("Location")})
	}
	if a.status != status || !strings.Contains(a.text, words) {
		b.Fatalf("%s: %d, want %d and %q\n%s", r.path, a.status, status, words, a.text)
	}
}

// Issue 5: verification takes one click in the browser that registered. Elsewhere
// it asks for the password, so nobody has another's address verified by its owner.
func TestRecovery_TheBrowserThatRegisteredVerifiesByOneClick(t *testing.T) {
	each(t, func(h *house) {
		const ada, eve = "ada@example.org", "eve@example.org"
		box := h.mailbox()
		here, elsewhere := h.browser(), h.browser()
		here.page(200, "can sign in", press("/register", body{"email": ada, "new_password": passphrase}))
		token := tokenOf(h, box.last(ada, notice.VerifyAddress).Link)
		elsewhere.page(403, "account&#39;s password", press("/verify", body{"token": token}))
		here.page(200, "is verified", press("/verify", body{"token": token}))
		here.page(400, "does not work", press("/verify", body{"token": token}))
		h.expect(200, "", signInAs(ada, passphrase))

		// Mallory registers Eve's address. Eve registers as well, which the answer and
		// the cookie don't tell from a success, and opens the mail that Mallory caused.
		mallory, owner := h.browser(), h.browser()
		mallory.page(200, "can sign in", press("/register", body{"email": eve, "new_password": another}))
		owner.page(200, "can sign in", press("/register", body{"email": eve, "new_password": passphrase}))
		if a, b := mallory.cookie("gatehouse_reg"), owner.cookie("gatehouse_reg"); len(a) != len(b) || a == "" || a == b {
			h.Errorf("the browsers keep %q and %q", a, b)
		}
		mail := box.last(eve, notice.VerifyAddress)
		owner.page(403, "somebody else has registered", press("/verify", body{"token": tokenOf(h, mail.Link)}))
		owner.page(403, "not the account", press("/verify", body{"token": tokenOf(h, mail.Link), "password": passphrase}))
		owner.page(403, "somebody else has registered", press("/verify", body{"email": eve, "code": mail.Code}))
		h.expect(401, "invalid_credentials", signInAs(eve, another))
		// The way that the page names makes the account hers alone.
		owner.page(200, "on its way", press("/forgot", body{"email": eve}))
		reset := box.last(eve, notice.ResetPassword)
		owner.page(200, "password is set", press("/reset", body{"email": eve, "code": strings.ToLower(reset.Code[:4] + "-" + reset.Code[4:]), "new_password": passphrase}))
		h.expect(401, "invalid_credentials", signInAs(eve, another))
		h.expect(200, "", signInAs(eve, passphrase))
		if strings.Contains(h.log.String(), token) || strings.Contains(h.log.String(), reset.Code) {
			h.Error("what stands in mails stands in the log")
		}
		if a := h.do(request{method: "GET", path: "/.well-known/change-password"}); a.status != 303 || a.header.Get("Location") != "/forgot" {
			h.Errorf("change-password: %d %s", a.status, a.header.Get("Location"))
		}
	}, "EMAIL_VERIFICATION=required")
}

// Issue 5: no page acts for another site.
func TestRecovery_PagesTakeNoFormsFromOtherSites(t *testing.T) {
	each(t, func(h *house) {
		for _, path := range []string{"/register", "/verify", "/forgot", "/reset", "/not-me", "/undo"} {
			r := press(path, body{"email": "ada@example.org", "new_password": passphrase, "token": "gatehouse_mt_x", "password": passphrase})
			r.header = http.Header{"Sec-Fetch-Site": {"cross-site"}}
			if a := h.do(r); a.status != 403 {
				h.Errorf("%s: %d", path, a.status)
			}
		}
	})
}

// Issue 5: links are built from PUBLIC_URL, whatever a request says of its host.
func TestRecovery_NoHostHeaderPoisonsLinks(t *testing.T) {
	each(t, func(h *house) {
		const ada = "ada@example.org"
		evil := http.Header{"X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example"}, "X-Original-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}}
		box := h.mailbox()
		for _, r := range []request{
			post("/v1/register", body{"email": ada, "password": passphrase}), post("/v1/email/resend", body{"email": ada}), post("/v1/password/forgot", body{"email": ada}),
		} {
			r.header = evil
			h.expect(202, "", r)
			send(t, h.server.URL(), "POST", r.path, "X-Forwarded-Host: evil.example\r\n")
		}
		mails := box.all(ada)
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
	each(t, func(h *house) {
		const ada = "ada@example.org"
		h.register(ada)
		box := h.mailbox()
		access := h.login(ada).str("access_token")
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		old := box.last(ada, notice.ResetPassword)
		h.expect(204, "", post("/v1/password/change", body{"current_password": passphrase, "new_password": another}, access))
		mail := box.last(ada, notice.PasswordChanged)
		b := h.browser()
		// The one from before the change is void.
		b.page(400, "does not work", press("/not-me", body{"token": tokenOf(h, old.NotMe)}))
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access})

		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		pending := box.last(ada, notice.ResetPassword)
		token := tokenOf(h, mail.NotMe)
		if n := h.together(303, func(int) request { return press("/not-me", body{"token": token}) }); n != 1 {
			h.Errorf("%d of 16 said once", n)
		}
		b.page(400, "does not work", press("/not-me", body{"token": token}))
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: access})
		h.expect(400, "invalid_link", post("/v1/password/reset", body{"token": tokenOf(h, pending.Link), "new_password": passphrase}))
		h.expect(403, "password_reset_required", signInAs(ada, another))
		h.expect(401, "invalid_credentials", signInAs(ada, passphrase))

		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		reset := box.last(ada, notice.ResetPassword)
		h.expect(400, "password_unchanged", post("/v1/password/reset", body{"token": tokenOf(h, reset.Link), "new_password": another}))
		h.expect(204, "", post("/v1/password/reset", body{"token": tokenOf(h, reset.Link), "new_password": passphrase}))
		mails := box.all(ada)
		access = h.login(ada).str("access_token")
		for _, m := range mails {
			if m.NotMe != "" && m.Kind != notice.PasswordChanged {
				b.page(400, "does not work", press("/not-me", body{"token": tokenOf(h, m.NotMe)}))
			}
		}
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access})
	})
}

// Issue 5: a full life of an account, through HTTP and mails.
func TestRecovery_AWholeLife(t *testing.T) {
	each(t, func(h *house) {
		const ada, thief = "Ada+news@example.org", "thief@example.net"
		box := h.mailbox()
		home := h.browser()
		home.page(200, "can sign in", press("/register", body{"email": ada, "new_password": passphrase}))
		home.page(200, "is verified", press("/verify", body{"token": tokenOf(h, box.last(ada, notice.VerifyAddress).Link)}))
		home.page(200, "on its way", press("/forgot", body{"email": "ADA+news@EXAMPLE.org"}))
		home.page(200, "password is set", press("/reset", body{"token": tokenOf(h, box.last(ada, notice.ResetPassword).Link), "new_password": another}))
		// Somebody signs in as her, and takes the address and then the password away.
		access := h.expect(200, "", signInAs(ada, another)).str("access_token")
		h.expect(202, "", post("/v1/email/change", body{"email": thief, "current_password": another}, access))
		confirm := tokenOf(h, box.last(thief, notice.ConfirmAddress).Link)
		h.browser().page(403, "password", press("/verify", body{"token": confirm}))
		h.expect(204, "", post("/v1/email/verify", body{"token": confirm}, access))
		h.expect(204, "", post("/v1/password/change", body{"current_password": another, "new_password": passphrase + " of a thief"}, access))
		h.expect(401, "invalid_credentials", signInAs(ada, another))
		if got := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access}).str("email"); got != thief {
			h.Errorf("the address is %s", got)
		}
		// The old address has a way back, and it needs the password from before.
		undo := tokenOf(h, box.last(ada, notice.AddressChanged).Undo)
		home.page(403, "not the password", press("/undo", body{"token": undo, "password": passphrase + " of a thief"}))
		home.page(200, "old address again", press("/undo", body{"token": undo, "password": another}))
		home.page(400, "does not work", press("/undo", body{"token": undo, "password": another}))
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: access})
		h.expect(401, "invalid_credentials", signInAs(thief, passphrase+" of a thief"))
		h.expect(403, "password_reset_required", signInAs(ada, passphrase+" of a thief"))
		home.page(200, "password is set", press("/reset", body{"token": tokenOf(h, box.last(ada, notice.ResetPassword).Link), "new_password": passphrase}))
		home.page(303, "", press("/login", body{"email": ada, "password": passphrase}))
		// Locked out by strangers, she still signs in from the browser that is known.
		for i := range 80 {
			h.expect(401, "invalid_credentials", wrong(ada, i))
		}
		h.expect(429, "account_locked", right(ada, 300))
		home.page(303, "", press("/login", body{"email": ada, "password": passphrase}))
		// A reset makes all browsers strangers, and lets everybody try again.
		home.page(200, "on its way", press("/forgot", body{"email": ada}))
		home.page(200, "password is set", press("/reset", body{"token": tokenOf(h, box.last(ada, notice.ResetPassword).Link), "new_password": another}))
		h.expect(200, "", signInAs(ada, another))
		if n := h.count(`SELECT COUNT(*) FROM known_device`); n != 0 {
			h.Errorf("%d devices are known after a reset", n)
		}
	}, behindProxy)
}

// count returns what a query counts, whoever may look.
func (h *house) count(query string) (n int) {
	h.Helper()
	d := h.mailbox().db
	if err := d.Read(h.Context(), func(tx *db.Tx) error { return tx.QueryRow(query).Scan(&n) }); err != nil {
		h.Fatal(err)
	}
	return n
}
