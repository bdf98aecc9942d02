package app_test

import (
	"maps"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// body is a request's JSON object.
type body map[string]string

// with returns the object with one more field.
func (b body) with(name, value string) body {
	out := maps.Clone(b)
	out[name] = value
	return out
}

const another = "another battery, another staple"

func post(path string, b body, bearer ...string) request {
	r := request{method: "POST", path: path, body: b}
	if len(bearer) > 0 {
		r.bearer = bearer[0]
	}
	return r
}

// signIn is a sign-in with any password.
func signInAs(email, password string) request {
	return request{method: "POST", path: "/v1/login", body: credentials{email, password}}
}

// driveRecovery drives the operations of mails, addresses and passwords to every
// status.
func (h *house) driveRecovery() {
	h.Helper()
	const ida = "ida@example.org"
	h.register(ida)
	box := h.mailbox()
	access := h.login(ida).str("access_token")
	verify := body{"token": tokenOf(h, box.last(ida, notice.VerifyAddress).Link)}
	h.expect(400, "required", post("/v1/email/verify", body{}))
	h.expect(400, "invalid_link", post("/v1/email/verify", body{"token": "gatehouse_mt_x"}))
	h.expect(403, "password_required", post("/v1/email/verify", verify))
	h.expect(403, "wrong_password", post("/v1/email/verify", verify.with("password", "wrong password, quite")))
	h.expect(401, "invalid_token", post("/v1/email/verify", verify, "not.a.token"))
	h.expect(202, "", post("/v1/email/resend", body{"email": ida}))
	h.expect(400, "invalid_email", post("/v1/email/resend", body{"email": "x"}))
	h.expect(204, "", post("/v1/email/verify", verify.with("password", passphrase)))
	h.expect(400, "invalid_link", post("/v1/email/verify", verify))

	h.expect(400, "required", post("/v1/password/change", body{}, access))
	h.expect(400, "password_too_short", post("/v1/password/change", body{"current_password": passphrase, "new_password": "short"}, access))
	h.expect(400, "password_unchanged", post("/v1/password/change", body{"current_password": passphrase, "new_password": passphrase}, access))
	h.expect(403, "wrong_password", post("/v1/password/change", body{"current_password": "wrong password, quite", "new_password": another}, access))
	h.expect(204, "", post("/v1/password/change", body{"current_password": passphrase, "new_password": another}, access))
	h.expect(204, "", post("/v1/password/change", body{"current_password": another, "new_password": passphrase}, access))

	h.expect(400, "required", post("/v1/password/forgot", body{}))
	h.expect(202, "", post("/v1/password/forgot", body{"email": ida}))
	h.expect(202, "", post("/v1/password/forgot", body{"email": "nobody@example.org"}))
	mail := box.last(ida, notice.ResetPassword)
	h.expect(400, "required", post("/v1/password/reset", body{"token": "x"}))
	h.expect(400, "invalid_link", post("/v1/password/reset", body{"token": "x", "new_password": another}))
	h.expect(400, "invalid_code", post("/v1/password/reset", body{"email": ida, "code": "x", "new_password": another}))
	h.expect(204, "", post("/v1/password/reset", body{"email": ida, "code": mail.Code, "new_password": another}))
	access = h.expect(200, "", signInAs(ida, another)).str("access_token")

	h.expect(400, "required", post("/v1/email/change", body{"email": "new@example.org"}, access))
	h.expect(202, "", post("/v1/email/change", body{"email": "new@example.org", "current_password": another}, access))
	for range 20 {
		h.do(post("/v1/password/reset", body{"email": "codes@example.org", "code": "x", "new_password": another}))
	}
	h.expect(429, "too_many_codes", post("/v1/password/reset", body{"email": "codes@example.org", "code": "x", "new_password": another}))
	for range 20 {
		h.do(post("/v1/email/verify", body{"email": "others@example.org", "code": "x"}))
	}
	h.expect(429, "too_many_codes", post("/v1/email/verify", body{"email": "others@example.org", "code": "x"}))
	for _, path := range []string{"/v1/password/change", "/v1/email/change"} {
		r := post(path, body{"email": "new@example.org", "current_password": "wrong password, quite"}, access)
		if path == "/v1/password/change" {
			r.body = body{"current_password": "wrong password, quite", "new_password": passphrase}
		}
		for range 5 {
			h.do(r)
		}
		h.expect(429, "too_many_attempts", r)
	}
}

// together makes sixteen requests at once and returns how many were answered with
// the status.
func (h *house) together(status int, r func(i int) request) (n int) {
	h.Helper()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for i := range 16 {
		wg.Go(func() {
			a, err := h.try(r(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				h.Error(err)
			}
			if a.status == status {
				n++
			} else if a.status != 400 && a.status != 200 { // 200 is "done already"
				h.Errorf("answered %d %s", a.status, a.text)
			}
		})
	}
	wg.Wait()
	return n
}

// Issue 5: of sixteen at once with one link, or one code, exactly one wins; and
// whatever was mailed before a change of the password is void after it.
func TestRecovery_OneLinkAndOneCodeWorkOnce(t *testing.T) {
	each(t, func(h *house) {
		const ada = "ada@example.org"
		h.register(ada)
		box := h.mailbox()
		verify := tokenOf(h, box.last(ada, notice.VerifyAddress).Link)
		access := h.login(ada).str("access_token")
		if n := h.together(204, func(int) request { return post("/v1/email/verify", body{"token": verify}, access) }); n != 1 {
			h.Errorf("%d of 16 verified by one link", n)
		}
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		first := box.last(ada, notice.ResetPassword)
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		second := box.last(ada, notice.ResetPassword)
		// The two links at once as well: only one of all is a reset.
		if n := h.together(204, func(i int) request {
			token := tokenOf(h, []notice.Mail{first, second}[i%2].Link)
			return post("/v1/password/reset", body{"token": token, "new_password": another})
		}); n != 1 {
			h.Errorf("%d of 16 reset by two links", n)
		}
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		mail := box.last(ada, notice.ResetPassword)
		if n := h.together(204, func(int) request {
			return post("/v1/password/reset", body{"email": ada, "code": mail.Code, "new_password": passphrase})
		}); n != 1 {
			h.Errorf("%d of 16 reset by one code", n)
		}
		h.expect(400, "invalid_link", post("/v1/password/reset", body{"token": tokenOf(h, mail.Link), "new_password": another}))
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: access})
		// A change of the password makes the link void, too.
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		mail = box.last(ada, notice.ResetPassword)
		access = h.login(ada).str("access_token")
		h.expect(204, "", post("/v1/password/change", body{"current_password": passphrase, "new_password": another}, access))
		h.expect(400, "invalid_link", post("/v1/password/reset", body{"token": tokenOf(h, mail.Link), "new_password": passphrase}))
		h.expect(400, "invalid_code", post("/v1/password/reset", body{"email": ada, "code": mail.Code, "new_password": passphrase}))
	})
}

// Issue 5: five wrong codes kill the code and not the link; a new mail gives a new
// code, and no new tries for the day.
func TestRecovery_GuessingCodes(t *testing.T) {
	each(t, func(h *house) {
		const ada = "ada@example.org"
		h.register(ada)
		box := h.mailbox()
		try := func(code string) request {
			return post("/v1/password/reset", body{"email": ada, "code": code, "new_password": another})
		}
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		for range 4 {
			h.expect(400, "invalid_code", try("AAAAAAAA"))
		}
		if n := h.together(204, func(int) request { return try("BBBBBBBB") }); n != 0 {
			h.Fatalf("%d wrong codes were right", n)
		}
		// Twenty are used up, whatever is mailed.
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		mail := box.last(ada, notice.ResetPassword)
		h.expect(429, "too_many_codes", try(mail.Code))
		h.expect(204, "", post("/v1/password/reset", body{"token": tokenOf(h, mail.Link), "new_password": another}))

		// Another address: the fifth wrong one kills the code.
		const bob = "bob@example.org"
		h.register(bob)
		mail = box.last(bob, notice.VerifyAddress)
		for range 5 {
			h.expect(400, "invalid_code", post("/v1/email/verify", body{"email": bob, "code": "AAAAAAAA", "password": passphrase}))
		}
		h.expect(400, "invalid_code", post("/v1/email/verify", body{"email": bob, "code": mail.Code, "password": passphrase}))
		h.expect(204, "", post("/v1/email/verify", body{"token": tokenOf(h, mail.Link), "password": passphrase}))
	})
}
