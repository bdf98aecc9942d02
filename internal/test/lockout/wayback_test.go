package lockout_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Case C13: whoever mistyped until they were refused, and set a new password by the
// mail, gets in with it; until then the page says how long to wait.
func TestCaseC13_AfterTheResetTheOwnerGetsIn(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := harness.Open(t, dbURL, harness.BehindProxy, "LOGIN_RATE_LIMIT_ATTEMPTS=5", "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=3")
		const ada = "ada@example.org"
		box := h.Mailbox()
		h.Register(ada)
		for range 5 {
			h.Expect(401, "invalid_credentials", harness.SignInAs(ada, harness.AnotherPassphrase))
		}
		form := harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase})
		form.Header = http.Header{"Origin": {h.App.PublicURL()}}
		if a := h.Do(form); a.Status != 429 || !strings.Contains(a.Text, "3 minutes</span>") {
			h.Errorf("the page: %d %s", a.Status, a.Text)
		}
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		h.Expect(204, "", harness.Post("/v1/password/reset",
			harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.AnotherPassphrase}))
		h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase))
		// What the network guessed elsewhere is not forgiven by it.
		for i := range 5 {
			h.Expect(401, "invalid_credentials", harness.Through("192.0.2.7", harness.SignInAs(fmt.Sprintf("n%d@example.org", i), harness.Passphrase)))
		}
		h.Expect(202, "", harness.Through("192.0.2.7", harness.Post("/v1/password/forgot", harness.Body{"email": ada})))
		h.Expect(204, "", harness.Through("192.0.2.7",
			harness.Post("/v1/password/reset", harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.ResetPassword).Link), "new_password": harness.Passphrase})))
		h.Expect(429, "rate_limited", harness.Through("192.0.2.7", harness.SignInAs(ada, harness.Passphrase)))
	})
}

// Case B8: a browser in which many people sign in is a known device of each of them,
// also by the lockout mail's link; and it keeps no more than twenty.
func TestCaseB8_ABrowserKnowsMoreThanEightAccounts(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), harness.BehindProxy, "LOCKOUT_AFTER=10")
	b := h.Browser()
	who := func(i int) string { return fmt.Sprintf("person%d@example.org", i) }
	signIn := func(i int) harness.Answer {
		return b.Send(harness.Request{Method: "POST", Path: "/v1/login",
			Body: harness.CookieCredentials{Credentials: harness.Credentials{Email: who(i), Password: harness.Passphrase}, Cookies: true}})
	}
	for i := range 12 {
		h.Register(who(i))
		if a := signIn(i); a.Status != 200 {
			h.Fatalf("%d %s", a.Status, a.Text)
		}
	}
	h.Register(who(12))
	for _, victim := range []int{0, 11, 12} {
		for i := range 80 {
			h.Expect(401, "invalid_credentials", harness.StrangersNetwork(i, harness.SignInAs(who(victim), harness.AnotherPassphrase)))
		}
	}
	for _, known := range []int{0, 11} {
		if a := signIn(known); a.Status != 200 {
			h.Errorf("account %d of 12 in its own browser: %d %s", known+1, a.Status, a.Text)
		}
	}
	if a := signIn(12); a.Str("code") != "account_locked" {
		h.Errorf("one that never signed in here: %d %s", a.Status, a.Text)
	}
	if a := b.Send(harness.Press("/unlock", harness.Body{"token": unlockLink(h, who(12))})); a.Status != 303 {
		h.Fatalf("%d %s", a.Status, a.Text)
	}
	if a := signIn(12); a.Status != 200 {
		h.Errorf("after the mail's link: %d %s", a.Status, a.Text)
	}
	devices := func() (n int) {
		for _, c := range b.Jar.Cookies(b.Origin()) {
			if strings.HasPrefix(c.Name, "gatehouse_dc_") {
				n++
			}
		}
		return n
	}
	for i := 13; i < 25; i++ {
		h.Register(who(i))
		signIn(i)
	}
	if n := devices(); n != 20 {
		h.Errorf("the browser keeps %d devices' cookies, and 20 at most", n)
	}
	for i := range 80 {
		h.Expect(401, "invalid_credentials", harness.StrangersNetwork(i, harness.SignInAs(who(24), harness.AnotherPassphrase)))
	}
	if a := signIn(24); a.Status != 200 {
		h.Errorf("the latest: %d %s", a.Status, a.Text)
	}
}

// Attack 6: an application that asks for the tokens in the answer is let in after a
// lockout by the cookie of a known device, which the mail's link gives; without one it
// learns when the next try is allowed.
func TestAttack6_AnApplicationWithBearerTokensHasAWayBack(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		now := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, now.Now, harness.BehindProxy)
		h.Register("ada@example.org")
		for i := range 80 {
			h.Expect(401, "invalid_credentials", harness.StrangersNetwork(i, harness.SignInAs("ada@example.org", harness.AnotherPassphrase)))
		}
		b := h.Browser()
		signIn := harness.SignInAs("ada@example.org", harness.Passphrase)
		if a := b.Send(signIn); a.Str("code") != "account_locked" || a.Header.Get("Retry-After") == "900" {
			h.Fatalf("%d %v %s", a.Status, a.Header, a.Text)
		}
		b.Send(harness.Press("/unlock", harness.Body{"token": unlockLink(h, "ada@example.org")}))
		for range 2 {
			if a := b.Send(harness.SignInAs("ada@example.org", harness.Passphrase)); a.Status != 200 || a.Str("access_token") == "" {
				h.Fatalf("with the device's cookie: %d %s", a.Status, a.Text)
			}
		}
		// A bearer's sign-in makes no device known.
		h.Register("eve@example.org")
		other := h.Browser()
		if a := other.Send(harness.SignInAs("eve@example.org", harness.Passphrase)); a.Header.Get("Set-Cookie") != "" {
			h.Errorf("cookies: %v", a.Header["Set-Cookie"])
		}
	})
}

// Case F3: the checks of an application's requests by a trusted proxy, and the published
// keys, are not counted with what a person or their network asks.
func TestCaseF3_ChecksDoNotUseUpAPersonsRequests(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), harness.BehindProxy, "API_RATE_LIMIT_REQUESTS=10", "API_RATE_LIMIT_WINDOW_SECONDS=3600")
	h.Register("ada@example.org")
	token := h.Login("ada@example.org").Str("access_token")
	check := harness.Request{Method: "GET", Path: "/v1/forward-auth", Bearer: token}
	for i := range 900 {
		h.Expect(200, "", harness.Through("192.0.2.5", check))
		if i%10 == 0 {
			h.Expect(401, "not_signed_in", harness.Through("192.0.2.5", harness.Request{Method: "GET", Path: "/v1/forward-auth"}))
			h.Expect(200, "", harness.Through("192.0.2.5", harness.Request{Method: "GET", Path: "/.well-known/jwks.json"}))
		}
	}
	h.Expect(200, "", harness.Through("192.0.2.5", harness.Request{Method: "GET", Path: "/v1/me", Bearer: token}))
	if a := h.Do(harness.Through("192.0.2.5", harness.Request{Method: "GET", Path: "/login"})); a.Status != 200 {
		h.Errorf("the sign-in page: %d", a.Status)
	}
	for range 15 {
		h.Do(harness.Through("192.0.2.6", harness.Request{Method: "GET", Path: "/v1/me"}))
	}
	h.Expect(429, "rate_limited", harness.Through("192.0.2.6", harness.Request{Method: "GET", Path: "/v1/me"}))
}
