package recovery_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// codeFlow is a way to have a code mailed, and to use it.
type codeFlow struct {
	kind notice.Kind
	// ask has the mail sent; the code of that is typed with use.
	ask func(email string) harness.Request
	use func(email, code, request string) harness.Request
	// before is what has to be there, and who asks, if that is somebody who is signed in.
	before func(h *harness.Server, email string) (bearer string)
}

const mallory = "mallory@example.org"

// codeFlows are all of them: those who ask for a mail that has a code.
func codeFlows() map[string]codeFlow {
	verify := func(email, code, request string) harness.Request {
		b := harness.Body{"email": email, "code": code, "password": harness.Passphrase}
		if request != "" {
			b["request"] = request
		}
		return harness.Post("/v1/email/verify", b)
	}
	reset := func(email, code, request string) harness.Request {
		b := harness.Body{"email": email, "code": code, "new_password": harness.AnotherPassphrase}
		if request != "" {
			b["request"] = request
		}
		return harness.Post("/v1/password/reset", b)
	}
	registered := func(h *harness.Server, email string) string { h.Register(email); return "" }
	return map[string]codeFlow{
		"register": {notice.VerifyAddress, func(email string) harness.Request {
			return harness.Post("/v1/register", harness.Body{"email": email, "password": harness.Passphrase})
		}, verify, func(*harness.Server, string) string { return "" }},
		"resend": {notice.VerifyAddress, func(email string) harness.Request {
			return harness.Post("/v1/email/resend", harness.Body{"email": email})
		}, verify, registered},
		"forgot": {notice.ResetPassword, func(email string) harness.Request {
			return harness.Post("/v1/password/forgot", harness.Body{"email": email})
		}, reset, registered},
		"change": {notice.ConfirmAddress, func(email string) harness.Request {
			return harness.Post("/v1/email/change", harness.Body{"email": email, "current_password": harness.Passphrase})
		}, verify, func(h *harness.Server, email string) string {
			h.Register("before." + email)
			return h.Login("before." + email).Str("access_token")
		}},
	}
}

// ASVS 6.6.2: who talks a code out of somebody else can't use it. It is good only for
// whoever asked for its mail, in every flow that sends one, and whatever is tried with
// it elsewhere takes it from nobody.
func TestASVS_V6_6_2_ACodeIsGoodForWhoAsked(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		box := h.Mailbox()
		for name, f := range codeFlows() {
			ada := name + "." + "ada@example.org"
			bearer := f.before(h, ada)
			// What Mallory can have: requests of hers at the same address, at hers, and of every other flow.
			others := []string{
				h.Register(name + "." + mallory),
				h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": name + "." + mallory})).Str("request"),
				h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada})).Str("request"),
				h.Expect(202, "", harness.Post("/v1/email/resend", harness.Body{"email": ada})).Str("request"),
			}
			ask := f.ask(ada)
			ask.Bearer = bearer
			asked := h.Expect(202, "", ask)
			request := asked.Str("request")
			code := box.Last(ada, f.kind).Code
			if len(code) != 8 || len(request) != 22 || slices.Contains(others, request) {
				h.Fatalf("%s: code %q, request %q beside %q", name, code, request, others)
			}
			h.Expect(400, "request_required", f.use(ada, code, ""))
			for _, bad := range append(others, request[:21], request+"A", request+" ", strings.ToLower(request)+"x", code) {
				h.Expect(400, "invalid_code", f.use(ada, code, bad))
			}
			// Her browser has cookies of its own, and can write others.
			hers := h.Browser()
			hers.Send(harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
			if a := hers.Send(f.use(ada, code, "")); a.Status != 400 || a.Str("code") != "invalid_code" {
				h.Errorf("%s, in another browser: %d %s", name, a.Status, a.Text)
			}
			// All that took nothing from the owner, although a code has five tries alone.
			mine := f.use(ada, code, request)
			if n := h.Together(204, func(int) harness.Request { return mine }); n != 1 {
				h.Errorf("%s: %d of 16 presses did it", name, n)
			}
			// Used, it says so to whoever asked, and is nothing to others.
			if a := h.Do(f.use(ada, code, others[2])); a.Status != 400 && a.Status != 429 {
				h.Errorf("%s, a used code with another request: %d %s", name, a.Status, a.Text)
			}
		}
	})
}

// The pages need no request: the browser that asked keeps it, through other mails that it
// asks for meanwhile; and in another browser the page says what to do, with the link of
// the same mail working anywhere.
func TestASVS_V6_6_2_PagesKnowTheirBrowser(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		box := h.Mailbox()
		here, elsewhere := h.Browser(), h.Browser()
		here.Page(200, "", harness.Press("/register", harness.Body{"email": ada, "new_password": harness.Passphrase}))
		first := box.Last(ada, notice.VerifyAddress)
		here.Page(200, "", harness.Press("/verify", harness.Body{"email": ada, "again": "1"}))
		here.Page(200, "", harness.Press("/forgot", harness.Body{"email": ada}))
		elsewhere.Page(400, "only in the browser that asked", harness.Press("/verify", harness.Body{"email": ada, "code": first.Code}))
		elsewhere.Page(200, "", harness.Press("/forgot", harness.Body{"email": "nobody@example.org"}))
		elsewhere.Page(400, "isn’t the code", harness.Press("/verify", harness.Body{"email": ada, "code": first.Code}))
		here.Page(200, "is confirmed", harness.Press("/verify", harness.Body{"email": ada, "code": first.Code}))

		reset := box.Last(ada, notice.ResetPassword)
		token := harness.TokenOf(h, reset.Link)
		elsewhere.Page(400, "isn’t the code",
			harness.Press("/reset", harness.Body{"email": ada, "code": reset.Code, "new_password": harness.AnotherPassphrase}))
		elsewhere.Page(200, "password is set", harness.Press("/reset", harness.Body{"token": token, "new_password": harness.AnotherPassphrase}))

		// Of many asked for, the browser keeps the last.
		for range 5 {
			here.Page(200, "", harness.Press("/forgot", harness.Body{"email": ada}))
		}
		if n := len(here.Cookie("gatehouse_req")); n > 100 || n == 0 {
			h.Errorf("the cookie has %d bytes", n)
		}
		here.Page(200, "password is set", harness.Press("/reset", harness.Body{
			"email": ada, "code": box.Last(ada, notice.ResetPassword).Code, "new_password": harness.Passphrase}))

		// The mail that an undo sends has a code for the browser that undid.
		const moved = "ada.moved@example.org"
		bearer := h.Login(ada).Str("access_token")
		h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": moved, "current_password": harness.Passphrase}, bearer))
		h.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": harness.TokenOf(h, box.Last(moved, notice.ConfirmAddress).Link)}, bearer))
		undo := harness.TokenOf(h, box.Last(ada, notice.AddressChanged).Undo)
		here.Page(200, "", harness.Press("/undo", harness.Body{"token": undo, "password": harness.Passphrase}))
		set := harness.Press("/reset", harness.Body{"email": ada, "code": box.Last(ada, notice.ResetPassword).Code, "new_password": harness.AnotherPassphrase})
		elsewhere.Page(400, "isn’t the code", set)
		here.Page(200, "password is set", set)
	})
}

// Nothing of it reveals whether an address has an account: not the answers, nor what the
// browser keeps, nor what is answered to codes afterwards, however many.
func TestASVS_V6_6_2_RequestsTellNothing(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada, nobody = "ada@example.org", "nobody@example.org"
		h.Register(ada)
		h.Register("eve@example.org")
		eve := h.Login("eve@example.org").Str("access_token")
		seen := map[string]bool{}
		// alike asks for both addresses and holds the answers against each other.
		alike := func(make func(email string) harness.Request) (requests [2]string) {
			h.Helper()
			var shape [2]string
			for i, email := range []string{ada, nobody} {
				b := h.Browser()
				a := b.Send(make(email))
				requests[i] = a.Str("request")
				shape[i] = strings.Join([]string{a.Header.Get("Content-Type"), a.Header.Get("Content-Length"), strings.ReplaceAll(a.Text, requests[i], "")}, "|")
				if a.Status != 202 || len(requests[i]) != 22 || seen[requests[i]] || b.Cookie("gatehouse_req") != requests[i] {
					h.Errorf("%s: %d %s, and the browser keeps %q", email, a.Status, a.Text, b.Cookie("gatehouse_req"))
				}
				seen[requests[i]] = true
			}
			if shape[0] != shape[1] {
				h.Errorf("with an account: %s\nwithout:         %s", shape[0], shape[1])
			}
			return requests
		}
		alike(func(email string) harness.Request {
			return harness.Post("/v1/email/resend", harness.Body{"email": email})
		})
		alike(func(email string) harness.Request {
			return harness.Post("/v1/email/change", harness.Body{"email": email, "current_password": harness.Passphrase}, eve)
		})
		forgot := alike(func(email string) harness.Request {
			return harness.Post("/v1/password/forgot", harness.Body{"email": email})
		})
		var answers [2]string
		for i, email := range []string{ada, nobody} {
			for n := range 22 {
				request := forgot[i]
				if n%2 == 0 {
					request = forgot[1-i]
				}
				a := h.Do(harness.Post("/v1/password/reset",
					harness.Body{"email": email, "code": "AAAAAAAA", "request": request, "new_password": harness.AnotherPassphrase}))
				answers[i] += a.Str("code") + " "
			}
		}
		if answers[0] != answers[1] || !strings.HasSuffix(answers[0], "invalid_code too_many_codes too_many_codes ") {
			h.Errorf("with an account: %s\nwithout:         %s", answers[0], answers[1])
		}
		alike(func(email string) harness.Request {
			return harness.Post("/v1/register", harness.Body{"email": email, "password": harness.Passphrase})
		})
	})
}
