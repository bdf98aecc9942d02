package limits_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// RATE-1: five wrong sign-ins from one network, at whatever accounts, and it
// waits; others do not. A success gives its try back, and a client that waits learns by
// how long.
func TestRATE1_Login(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		signIn := harness.SignInAs("ada@example.org", harness.Passphrase)
		for range 8 {
			h.Expect(200, "", harness.Through("192.0.2.1", signIn))
		}
		for i := range 5 {
			h.Expect(401, "invalid_credentials", harness.Through("192.0.2.1", harness.SignInAs(fmt.Sprintf("nobody%d@example.org", i), "wrong horse battery staple")))
		}
		for range 2 {
			a := h.Expect(429, "rate_limited", harness.Through("192.0.2.1", signIn))
			wait := a.Header.Get("Retry-After")
			if !waits(a, 180) || a.Header.Get("Ratelimit") != `"login";r=0;t=`+wait || a.Header.Get("Ratelimit-Policy") != `"login";q=5;w=900` {
				h.Errorf("the headers of the refusal: %v", a.Header)
			}
		}
		h.Expect(200, "", harness.Through("192.0.2.2", signIn))
		h.Expect(200, "", harness.Through("2001:db8::1", signIn))
		h.Expect(200, "", harness.Through("2001:db8:0:1::1", signIn))
		// What is no guess costs nothing.
		for range 6 {
			h.Expect(400, "required", harness.Through("192.0.2.3", harness.SignInAs("ada@example.org", "")))
		}
	}, harness.BehindProxy, "LOGIN_RATE_LIMIT_ATTEMPTS=5", "LOCKOUT_AFTER=10")
}

// waits reports whether Retry-After is as long as it was when the limit was reached, less the time that a slow machine has
// taken since.
func waits(a harness.Answer, most int) bool {
	n, err := strconv.Atoi(a.Header.Get("Retry-After"))
	return err == nil && n <= most && n > most-60
}

// RATE-3: IPv6 counts by the /64, IPv4 in an IPv6 socket's form as IPv4.
func TestRATE3_Networks(t *testing.T) {
	h := harness.Open(t, "sqlite:"+t.TempDir()+"/x.db", harness.BehindProxy, "LOGIN_RATE_LIMIT_ATTEMPTS=1")
	wrong := harness.SignInAs("nobody@example.org", "wrong horse battery staple")
	for _, pair := range [][2]string{{"2001:db8::1", "2001:db8::ffff:2"}, {"192.0.2.7", "::ffff:192.0.2.7"}} {
		h.Expect(401, "invalid_credentials", harness.Through(pair[0], wrong))
		h.Expect(429, "rate_limited", harness.Through(pair[1], wrong))
	}
	h.Expect(401, "invalid_credentials", harness.Through("2001:db8:0:1::1", wrong))
	// Nobody is believed who is no proxy: the header changes nothing.
	bare := harness.Open(t, "sqlite:"+t.TempDir()+"/x.db", "TRUSTED_PROXIES=none", "LOGIN_RATE_LIMIT_ATTEMPTS=1")
	bare.Expect(401, "invalid_credentials", harness.Through("192.0.2.8", wrong))
	bare.Expect(429, "rate_limited", harness.Through("192.0.2.9", wrong))
}

// RATE-2: a form says how long to wait, and mentions no header.
func TestRATE2_AFormSaysHowLong(t *testing.T) {
	h := harness.Open(t, "sqlite:"+t.TempDir()+"/x.db", "LOGIN_RATE_LIMIT_ATTEMPTS=1", "LOGIN_RATE_LIMIT_WINDOW_MINUTES=10")
	h.Expect(401, "invalid_credentials", harness.SignInAs("nobody@example.org", "wrong horse battery staple"))
	a := h.Do(harness.Request{
		Method: "POST", Path: "/login", Body: "email=nobody@example.org&password=wrong", ContentType: "application/x-www-form-urlencoded",
		Header: http.Header{"Origin": {h.App.PublicURL()}},
	})
	if a.Status != 429 || !strings.Contains(a.Text, "10 minutes</span>") || strings.Contains(a.Text, "Retry-After") {
		t.Errorf("%d %s", a.Status, a.Text)
	}
}

// RATE-1: who knows the password signs in however many do so at once, from one
// network.
func TestRATE1_AnOfficeAtNine(t *testing.T) {
	h := harness.Open(t, "sqlite:"+t.TempDir()+"/x.db", "LOGIN_RATE_LIMIT_ATTEMPTS=2")
	for i := range 8 {
		h.Register(fmt.Sprintf("clerk%d@example.org", i))
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			a, err := h.Try(harness.SignInAs(fmt.Sprintf("clerk%d@example.org", i), harness.Passphrase))
			if err != nil || a.Status != 200 {
				t.Errorf("clerk %d: %d %s %v", i, a.Status, a.Text, err)
			}
		})
	}
	all.Wait()
}

// RATE-1: guesses at one address of a whole network leave a known device its own
// count.
func TestRATE1_AKnownDevice(t *testing.T) {
	h := harness.Open(t, "sqlite:"+t.TempDir()+"/x.db", "LOGIN_RATE_LIMIT_ATTEMPTS=3", "PUBLIC_URL=http://localhost")
	h.Register("ada@example.org")
	first := h.Expect(200, "", harness.Post("/v1/login", map[string]any{"email": "ada@example.org", "password": harness.Passphrase, "cookies": true}))
	var device string
	for _, c := range (&http.Response{Header: first.Header}).Cookies() {
		if strings.Contains(c.Name, "gatehouse_dc_") {
			device = c.Name + "=" + c.Value
		}
	}
	if device == "" {
		t.Fatal("no cookie of a known device")
	}
	for range 3 {
		h.Expect(401, "invalid_credentials", harness.SignInAs("nobody@example.org", "wrong horse battery staple"))
	}
	again := harness.Post("/v1/login", map[string]any{"email": "ada@example.org", "password": harness.Passphrase, "cookies": true})
	h.Expect(429, "rate_limited", again)
	again.Header = http.Header{"Cookie": {device}}
	h.Expect(200, "", again)
	// A cookie that was made up has no count of its own.
	again.Header = http.Header{"Cookie": {device[:len(device)-4] + "AAAA"}}
	h.Expect(429, "rate_limited", again)
}

// RATE-2: registrations, by network; those of which nothing comes are not counted.
func TestRATE2_Registration(t *testing.T) {
	h := harness.Open(t, "sqlite:"+t.TempDir()+"/x.db", harness.BehindProxy, "REGISTRATION_RATE_LIMIT_ATTEMPTS=2", "REGISTRATION_RATE_LIMIT_WINDOW_MINUTES=120")
	signUp := func(email, password string) harness.Request {
		return harness.Post("/v1/register", harness.Credentials{Email: email, Password: password})
	}
	for range 4 {
		h.Expect(400, "password_too_short", signUp("a@example.org", "short"))
	}
	for i := range 2 {
		h.Expect(202, "", signUp(fmt.Sprintf("a%d@example.org", i), harness.Passphrase))
	}
	if a := h.Expect(429, "rate_limited", signUp("b@example.org", harness.Passphrase)); !waits(a, 3600) {
		t.Errorf("Retry-After: %s", a.Header.Get("Retry-After"))
	}
	h.Expect(202, "", harness.Through("192.0.2.1", signUp("b@example.org", harness.Passphrase)))
}

// RATE-2: every request counts, those that lead nowhere too: by network, and by
// account once signed in. All is reported in headers, in an event and in metrics.
func TestRATE2_API(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		ada, other := h.Login("ada@example.org").Str("access_token"), h.Login("ada@example.org").Str("access_token")
		h.Register("bob@example.org")
		bob := h.Login("bob@example.org").Str("access_token")
		me := func(token string) harness.Request {
			return harness.Get("/v1/me", token)
		}

		var passed, limited atomic.Int64
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for range 3 {
					token := ada
					if i%2 == 0 {
						token = other // another session, and the same account
					}
					a, err := h.Try(harness.Through(fmt.Sprintf("192.0.2.%d", i), me(token)))
					switch {
					case err != nil:
						h.Error(err)
					case a.Status == 200:
						passed.Add(1)
					case a.Status == 429 && a.Str("code") == "rate_limited":
						limited.Add(1)
					default:
						h.Errorf("%d %s", a.Status, a.Text)
					}
				}
			})
		}
		all.Wait()
		if passed.Load() != 20 || limited.Load() != 28 {
			h.Errorf("%d passed and %d did not, of 48 where 20 may", passed.Load(), limited.Load())
		}
		a := h.Expect(200, "", harness.Through("192.0.2.1", me(bob)))
		if a.Header.Get("Ratelimit") != `"api";r=19;t=180` || a.Header.Get("Ratelimit-Policy") != `"api";q=20;w=3600` {
			h.Errorf("the headers: %v", a.Header)
		}
		// A token that is not good counts where it comes from, and so does a path
		// that is none.
		for i := range 20 {
			if i%2 == 0 {
				h.Expect(401, "invalid_token", harness.Through("198.51.100.1", me(bob+"x")))
			} else {
				h.Expect(404, "not_found", harness.Through("198.51.100.1", harness.Get("/v1/nothing")))
			}
		}
		h.Expect(429, "rate_limited", harness.Through("198.51.100.1", me(bob+"x")))
		if a := h.Do(harness.Through("198.51.100.1", harness.Get("/login"))); a.Status != 429 {
			h.Errorf("a page: %d", a.Status)
		}
		browser := harness.Through("198.51.100.1", harness.Get("/login"))
		browser.Header.Set("Accept", "text/html,application/xhtml+xml")
		if a := h.Do(browser); a.Status != 429 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || !waits(a, 180) ||
			!strings.Contains(a.Text, "3 minutes</span>") || !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") ||
			a.Header.Get("Cache-Control") != "no-store" {
			h.Errorf("a browser: %d %v\n%s", a.Status, a.Header, a.Text)
		}
		browser.Path = "/v1/me"
		h.Expect(429, "rate_limited", browser)
		h.Expect(200, "", harness.Through("198.51.100.1", me(bob)))

		_, metrics := h.Admin("/metrics")
		if !strings.Contains(metrics, `gatehouse_rate_limit_total{outcome="limited",rule="api"} 32`) {
			h.Error("the metrics do not tell of 32 refusals")
		}
		if err := h.Stop(); err != nil { // writes what was tallied
			h.Fatal(err)
		}
		n := strings.Count(h.Logs.String(), `"event":"rate_limit_exceeded"`)
		if n < 2 || n > 17 {
			h.Errorf("%d events of it, and there are 16 networks and one", n)
		}
	}, harness.BehindProxy, "API_RATE_LIMIT_REQUESTS=20", "API_RATE_LIMIT_WINDOW_SECONDS=3600")
}

// RATE-2: mails with a link that a network asks for, whether or not there is an
// account: ten times as many as a mailbox gets.
func TestRATE2_Mails(t *testing.T) {
	h := harness.Open(t, "sqlite:"+t.TempDir()+"/x.db", harness.BehindProxy, "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=2")
	for i := range 20 {
		path := []string{"/v1/password/forgot", "/v1/email/resend"}[i%2]
		h.Expect(202, "", harness.Through("198.51.100.1", harness.Post(path, harness.Body{"email": fmt.Sprintf("u%d@example.org", i%3)})))
	}
	a := h.Expect(429, "rate_limited", harness.Through("198.51.100.1", harness.Post("/v1/password/forgot", harness.Body{"email": "u@example.org"})))
	if a.Header.Get("Ratelimit-Policy") != `"password_reset_network";q=20;w=3600` {
		t.Errorf("the headers: %v", a.Header)
	}
}

// RATE-1: a registered application asks as often as it likes what is for these
// alone, as long as its secret is right.
func TestRATE1_RegisteredApplications(t *testing.T) {
	h := harness.Open(t, "sqlite:"+t.TempDir()+"/x.db", "API_RATE_LIMIT_REQUESTS=3", "API_RATE_LIMIT_WINDOW_SECONDS=3600")
	app := h.Application("shop")
	h.Expect(200, "", app.Ask("/v1/token/introspect", "x")) // brings it into memory
	for range 3 {
		h.Expect(200, "", app.Ask("/v1/token/introspect", "x"))
		h.Expect(200, "", app.Ask("/v1/token/revoke", "x"))
		h.Expect(200, "", app.Follow("", "0"))
	}
	for range 2 {
		h.Expect(401, "invalid_client", harness.Basic("shop", "gatehouse_cs_x").Ask("/v1/token/introspect", "x"))
	}
	h.Expect(429, "rate_limited", harness.Basic("shop", "gatehouse_cs_x").Ask("/v1/token/introspect", "x"))
	h.Expect(429, "rate_limited", harness.Request{Method: "GET", Path: "/v1/me", Header: map[string][]string(app)})
	h.Expect(200, "", app.Ask("/v1/token/introspect", "x"))
}
