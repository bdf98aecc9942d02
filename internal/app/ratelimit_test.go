package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// through is the request as a proxy on this machine passes it on for an address.
func through(address string, r request) request {
	r.header = http.Header{"X-Forwarded-For": {address}}
	return r
}

const trusted = "TRUSTED_PROXIES=127.0.0.1"

func guessing(email, password string) request {
	return request{method: "POST", path: "/v1/login", body: credentials{email, password}}
}

// RATE-1: five wrong sign-ins from one network, at whatever accounts, and it
// waits; others do not. A success gives its try back, and who waits is told by
// how long.
func TestRATE1_Login(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		signIn := guessing("ada@example.org", passphrase)
		for range 8 {
			h.expect(200, "", through("192.0.2.1", signIn))
		}
		for i := range 5 {
			h.expect(401, "invalid_credentials", through("192.0.2.1", guessing(fmt.Sprintf("nobody%d@example.org", i), "wrong horse battery staple")))
		}
		for range 2 {
			a := h.expect(429, "rate_limited", through("192.0.2.1", signIn))
			if a.header.Get("Retry-After") != "180" || a.header.Get("Ratelimit") != `"login";r=0;t=180` || a.header.Get("Ratelimit-Policy") != `"login";q=5;w=900` {
				h.Errorf("the headers of the refusal: %v", a.header)
			}
		}
		h.expect(200, "", through("192.0.2.2", signIn))
		h.expect(200, "", through("2001:db8::1", signIn))
		h.expect(200, "", through("2001:db8:0:1::1", signIn))
		// What is no guess costs nothing.
		for range 6 {
			h.expect(400, "required", through("192.0.2.3", guessing("ada@example.org", "")))
		}
	}, trusted, "LOGIN_RATE_LIMIT_ATTEMPTS=5", "LOCKOUT_AFTER=10")
}

// RATE-3: IPv6 counts by the /64, IPv4 in an IPv6 socket's form as IPv4.
func TestRATE3_Networks(t *testing.T) {
	h := open(t, "sqlite:"+t.TempDir()+"/x.db", trusted, "LOGIN_RATE_LIMIT_ATTEMPTS=1")
	wrong := guessing("nobody@example.org", "wrong horse battery staple")
	for _, pair := range [][2]string{{"2001:db8::1", "2001:db8::ffff:2"}, {"192.0.2.7", "::ffff:192.0.2.7"}} {
		h.expect(401, "invalid_credentials", through(pair[0], wrong))
		h.expect(429, "rate_limited", through(pair[1], wrong))
	}
	h.expect(401, "invalid_credentials", through("2001:db8:0:1::1", wrong))
	// Nobody is believed who is no proxy: the header changes nothing.
	bare := open(t, "sqlite:"+t.TempDir()+"/x.db", "TRUSTED_PROXIES=none", "LOGIN_RATE_LIMIT_ATTEMPTS=1")
	bare.expect(401, "invalid_credentials", through("192.0.2.8", wrong))
	bare.expect(429, "rate_limited", through("192.0.2.9", wrong))
}

// RATE-2: a form tells a person how long to wait, and of no header.
func TestRATE2_AFormSaysHowLong(t *testing.T) {
	h := open(t, "sqlite:"+t.TempDir()+"/x.db", "LOGIN_RATE_LIMIT_ATTEMPTS=1", "LOGIN_RATE_LIMIT_WINDOW_MINUTES=10")
	h.expect(401, "invalid_credentials", guessing("nobody@example.org", "wrong horse battery staple"))
	a := h.do(request{
		method: "POST", path: "/login", body: "email=nobody@example.org&password=wrong", contentType: "application/x-www-form-urlencoded",
		header: http.Header{"Origin": {h.server.PublicURL()}},
	})
	if a.status != 429 || !strings.Contains(a.text, "Wait 10 minutes, and try again.") || strings.Contains(a.text, "Retry-After") {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// RATE-1: who knows the password signs in however many do so at once, from one
// network.
func TestRATE1_AnOfficeAtNine(t *testing.T) {
	h := open(t, "sqlite:"+t.TempDir()+"/x.db", "LOGIN_RATE_LIMIT_ATTEMPTS=2")
	for i := range 8 {
		h.register(fmt.Sprintf("clerk%d@example.org", i))
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			a, err := h.try(guessing(fmt.Sprintf("clerk%d@example.org", i), passphrase))
			if err != nil || a.status != 200 {
				t.Errorf("clerk %d: %d %s %v", i, a.status, a.text, err)
			}
		})
	}
	all.Wait()
}

// RATE-1: guesses at one address of a whole network leave a known device its own
// count.
func TestRATE1_AKnownDevice(t *testing.T) {
	h := open(t, "sqlite:"+t.TempDir()+"/x.db", "LOGIN_RATE_LIMIT_ATTEMPTS=3", "PUBLIC_URL=http://localhost")
	h.register("ada@example.org")
	first := h.expect(200, "", request{method: "POST", path: "/v1/login", body: map[string]any{"email": "ada@example.org", "password": passphrase, "cookies": true}})
	var device string
	for _, c := range (&http.Response{Header: first.header}).Cookies() {
		if strings.Contains(c.Name, "gatehouse_dc_") {
			device = c.Name + "=" + c.Value
		}
	}
	if device == "" {
		t.Fatal("no cookie of a known device")
	}
	for range 3 {
		h.expect(401, "invalid_credentials", guessing("nobody@example.org", "wrong horse battery staple"))
	}
	again := request{method: "POST", path: "/v1/login", body: map[string]any{"email": "ada@example.org", "password": passphrase, "cookies": true}}
	h.expect(429, "rate_limited", again)
	again.header = http.Header{"Cookie": {device}}
	h.expect(200, "", again)
	// A cookie that was made up has no count of its own.
	again.header = http.Header{"Cookie": {device[:len(device)-4] + "AAAA"}}
	h.expect(429, "rate_limited", again)
}

// RATE-2: registrations, by network; those of which nothing comes are not counted.
func TestRATE2_Registration(t *testing.T) {
	h := open(t, "sqlite:"+t.TempDir()+"/x.db", trusted, "REGISTRATION_RATE_LIMIT_ATTEMPTS=2", "REGISTRATION_RATE_LIMIT_WINDOW_MINUTES=120")
	signUp := func(email, password string) request {
		return request{method: "POST", path: "/v1/register", body: credentials{email, password}}
	}
	for range 4 {
		h.expect(400, "password_too_short", signUp("a@example.org", "short"))
	}
	for i := range 2 {
		h.expect(202, "", signUp(fmt.Sprintf("a%d@example.org", i), passphrase))
	}
	if a := h.expect(429, "rate_limited", signUp("b@example.org", passphrase)); a.header.Get("Retry-After") != "3600" {
		t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
	}
	h.expect(202, "", through("192.0.2.1", signUp("b@example.org", passphrase)))
}

// RATE-2: every request counts, those that lead nowhere too: by network, and by
// account once signed in. All is told in headers, in an event and in metrics.
func TestRATE2_API(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		ada, other := h.login("ada@example.org").str("access_token"), h.login("ada@example.org").str("access_token")
		h.register("bob@example.org")
		bob := h.login("bob@example.org").str("access_token")
		me := func(token string) request { return request{method: "GET", path: "/v1/me", bearer: token} }

		var passed, limited atomic.Int64
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for range 3 {
					token := ada
					if i%2 == 0 {
						token = other // another session, and the same account
					}
					a, err := h.try(through(fmt.Sprintf("192.0.2.%d", i), me(token)))
					switch {
					case err != nil:
						h.Error(err)
					case a.status == 200:
						passed.Add(1)
					case a.status == 429 && a.str("code") == "rate_limited":
						limited.Add(1)
					default:
						h.Errorf("%d %s", a.status, a.text)
					}
				}
			})
		}
		all.Wait()
		if passed.Load() != 20 || limited.Load() != 28 {
			h.Errorf("%d passed and %d did not, of 48 where 20 may", passed.Load(), limited.Load())
		}
		a := h.expect(200, "", through("192.0.2.1", me(bob)))
		if a.header.Get("Ratelimit") != `"api";r=19;t=180` || a.header.Get("Ratelimit-Policy") != `"api";q=20;w=3600` {
			h.Errorf("the headers: %v", a.header)
		}
		// A token that is not good counts where it comes from, and so does a path
		// that is none.
		for i := range 20 {
			if i%2 == 0 {
				h.expect(401, "invalid_token", through("198.51.100.1", me(bob+"x")))
			} else {
				h.expect(404, "not_found", through("198.51.100.1", request{method: "GET", path: "/v1/nothing"}))
			}
		}
		h.expect(429, "rate_limited", through("198.51.100.1", me(bob+"x")))
		if a := h.do(through("198.51.100.1", request{method: "GET", path: "/login"})); a.status != 429 {
			h.Errorf("a page: %d", a.status)
		}
		browser := through("198.51.100.1", request{method: "GET", path: "/login"})
		browser.header.Set("Accept", "text/html,application/xhtml+xml")
		if a := h.do(browser); a.status != 429 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || a.header.Get("Retry-After") != "180" ||
			!strings.Contains(a.text, "Wait 3 minutes") || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") || a.header.Get("Cache-Control") != "no-store" {
			h.Errorf("a browser: %d %v\n%s", a.status, a.header, a.text)
		}
		browser.path = "/v1/me"
		h.expect(429, "rate_limited", browser)
		h.expect(200, "", through("198.51.100.1", me(bob)))

		_, metrics := h.admin("/metrics")
		if !strings.Contains(metrics, `gatehouse_rate_limit_total{outcome="limited",rule="api"} 32`) {
			h.Error("the metrics do not tell of 32 refusals")
		}
		if err := h.stop(); err != nil { // writes what was tallied
			h.Fatal(err)
		}
		n := strings.Count(h.log.String(), `"event":"rate_limit_exceeded"`)
		if n < 2 || n > 17 {
			h.Errorf("%d events of it, and there are 16 networks and one", n)
		}
	}, trusted, "API_RATE_LIMIT_REQUESTS=20", "API_RATE_LIMIT_WINDOW_SECONDS=3600")
}

// RATE-2: mails with a link that a network asks for, whether or not there is an
// account: ten times as many as a mailbox gets.
func TestRATE2_Mails(t *testing.T) {
	h := open(t, "sqlite:"+t.TempDir()+"/x.db", trusted, "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=2")
	for i := range 20 {
		path := []string{"/v1/password/forgot", "/v1/email/resend"}[i%2]
		h.expect(202, "", through("198.51.100.1", post(path, body{"email": fmt.Sprintf("u%d@example.org", i%3)})))
	}
	a := h.expect(429, "rate_limited", through("198.51.100.1", post("/v1/password/forgot", body{"email": "u@example.org"})))
	if a.header.Get("Ratelimit-Policy") != `"password_reset_network";q=20;w=3600` {
		t.Errorf("the headers: %v", a.header)
	}
}

// RATE-1: a registered application asks as often as it likes what is for these
// alone, as long as its secret is right.
func TestRATE1_RegisteredApplications(t *testing.T) {
	h := open(t, "sqlite:"+t.TempDir()+"/x.db", "API_RATE_LIMIT_REQUESTS=3", "API_RATE_LIMIT_WINDOW_SECONDS=3600")
	app := h.application("shop")
	h.expect(200, "", app.ask("/v1/token/introspect", "x")) // brings it into memory
	for range 3 {
		h.expect(200, "", app.ask("/v1/token/introspect", "x"))
		h.expect(200, "", app.ask("/v1/token/revoke", "x"))
		h.expect(200, "", app.follow("", "0"))
	}
	for range 2 {
		h.expect(401, "invalid_client", basic("shop", "gatehouse_cs_x").ask("/v1/token/introspect", "x"))
	}
	h.expect(429, "rate_limited", basic("shop", "gatehouse_cs_x").ask("/v1/token/introspect", "x"))
	h.expect(429, "rate_limited", request{method: "GET", path: "/v1/me", header: map[string][]string(app)})
	h.expect(200, "", app.ask("/v1/token/introspect", "x"))
}
