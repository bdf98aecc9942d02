package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// Case C13: whoever mistyped until they were refused, and set a new password by the
// mail, gets in with it; until then the page says how long to wait.
func TestCaseC13_AfterTheResetTheOwnerGetsIn(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := open(t, dbURL, trusted, "LOGIN_RATE_LIMIT_ATTEMPTS=5", "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=3")
		const ada = "ada@example.org"
		box := h.mailbox()
		h.register(ada)
		for range 5 {
			h.expect(401, "invalid_credentials", guessing(ada, another))
		}
		form := press("/login", body{"email": ada, "password": passphrase})
		form.header = http.Header{"Origin": {h.server.PublicURL()}}
		if a := h.do(form); a.status != 429 || !strings.Contains(a.text, "Wait 3 minutes") {
			h.Errorf("the page: %d %s", a.status, a.text)
		}
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		h.expect(204, "", post("/v1/password/reset", body{"token": tokenOf(h, box.last(ada, notice.ResetPassword).Link), "new_password": another}))
		h.expect(200, "", guessing(ada, another))
		// What the network guessed elsewhere is not forgiven by it.
		for i := range 5 {
			h.expect(401, "invalid_credentials", through("192.0.2.7", guessing(fmt.Sprintf("n%d@example.org", i), passphrase)))
		}
		h.expect(202, "", through("192.0.2.7", post("/v1/password/forgot", body{"email": ada})))
		h.expect(204, "", through("192.0.2.7", post("/v1/password/reset", body{"token": tokenOf(h, box.last(ada, notice.ResetPassword).Link), "new_password": passphrase})))
		h.expect(429, "rate_limited", through("192.0.2.7", guessing(ada, passphrase)))
	})
}

// Case B8: a browser in which many people sign in is a known device of each of them,
// also by the lockout mail's link; and it keeps no more than twenty.
func TestCaseB8_ABrowserKnowsMoreThanEightAccounts(t *testing.T) {
	h := open(t, dbtest.SQLite(t), trusted, "LOCKOUT_AFTER=10")
	b := h.browser()
	who := func(i int) string { return fmt.Sprintf("person%d@example.org", i) }
	signIn := func(i int) answer {
		return b.send(request{method: "POST", path: "/v1/login", body: cookieCredentials{credentials{who(i), passphrase}, true}})
	}
	for i := range 12 {
		h.register(who(i))
		if a := signIn(i); a.status != 200 {
			h.Fatalf("%d %s", a.status, a.text)
		}
	}
	h.register(who(12))
	for _, victim := range []int{0, 11, 12} {
		for i := range 80 {
			h.expect(401, "invalid_credentials", strangersNetwork(i, guessing(who(victim), another)))
		}
	}
	for _, known := range []int{0, 11} {
		if a := signIn(known); a.status != 200 {
			h.Errorf("account %d of 12 in its own browser: %d %s", known+1, a.status, a.text)
		}
	}
	if a := signIn(12); a.str("code") != "account_locked" {
		h.Errorf("one that never signed in here: %d %s", a.status, a.text)
	}
	if a := b.send(press("/unlock", body{"token": h.unlockLink(who(12))})); a.status != 200 {
		h.Fatalf("%d %s", a.status, a.text)
	}
	if a := signIn(12); a.status != 200 {
		h.Errorf("after the mail's link: %d %s", a.status, a.text)
	}
	devices := func() (n int) {
		for _, c := range b.jar.Cookies(b.origin()) {
			if strings.HasPrefix(c.Name, "gatehouse_dc_") {
				n++
			}
		}
		return n
	}
	for i := 13; i < 25; i++ {
		h.register(who(i))
		signIn(i)
	}
	if n := devices(); n != 20 {
		h.Errorf("the browser keeps %d devices' cookies, and 20 at most", n)
	}
	for i := range 80 {
		h.expect(401, "invalid_credentials", strangersNetwork(i, guessing(who(24), another)))
	}
	if a := signIn(24); a.status != 200 {
		h.Errorf("the latest: %d %s", a.status, a.text)
	}
}

// Attack 6: an application that asks for the tokens in the answer is let in after a
// lockout by the cookie of a known device, which the mail's link gives; without one it
// is told when the next try is let in.
func TestAttack6_AnApplicationWithBearerTokensHasAWayBack(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		now := &clock{}
		h := openAt(t, dbURL, now.now, trusted)
		h.register("ada@example.org")
		for i := range 80 {
			h.expect(401, "invalid_credentials", strangersNetwork(i, guessing("ada@example.org", another)))
		}
		b := h.browser()
		signIn := guessing("ada@example.org", passphrase)
		if a := b.send(signIn); a.str("code") != "account_locked" || a.header.Get("Retry-After") == "900" {
			h.Fatalf("%d %v %s", a.status, a.header, a.text)
		}
		b.send(press("/unlock", body{"token": h.unlockLink("ada@example.org")}))
		for range 2 {
			if a := b.send(guessing("ada@example.org", passphrase)); a.status != 200 || a.str("access_token") == "" {
				h.Fatalf("with the device's cookie: %d %s", a.status, a.text)
			}
		}
		// A bearer's sign-in makes no device known.
		h.register("eve@example.org")
		other := h.browser()
		if a := other.send(guessing("eve@example.org", passphrase)); a.header.Get("Set-Cookie") != "" {
			h.Errorf("cookies: %v", a.header["Set-Cookie"])
		}
	})
}

// Case F3: the checks of an application's requests by a trusted proxy, and the published
// keys, are not counted with what a person or their network asks.
func TestCaseF3_ChecksDoNotUseUpAPersonsRequests(t *testing.T) {
	h := open(t, dbtest.SQLite(t), trusted, "API_RATE_LIMIT_REQUESTS=10", "API_RATE_LIMIT_WINDOW_SECONDS=3600")
	h.register("ada@example.org")
	token := h.login("ada@example.org").str("access_token")
	check := request{method: "GET", path: "/v1/forward-auth", bearer: token}
	for i := range 900 {
		h.expect(200, "", through("192.0.2.5", check))
		if i%10 == 0 {
			h.expect(401, "not_signed_in", through("192.0.2.5", request{method: "GET", path: "/v1/forward-auth"}))
			h.expect(200, "", through("192.0.2.5", request{method: "GET", path: "/.well-known/jwks.json"}))
		}
	}
	h.expect(200, "", through("192.0.2.5", request{method: "GET", path: "/v1/me", bearer: token}))
	if a := h.do(through("192.0.2.5", request{method: "GET", path: "/login"})); a.status != 200 {
		h.Errorf("the sign-in page: %d", a.status)
	}
	for range 15 {
		h.do(through("192.0.2.6", request{method: "GET", path: "/v1/me"}))
	}
	h.expect(429, "rate_limited", through("192.0.2.6", request{method: "GET", path: "/v1/me"}))
}
