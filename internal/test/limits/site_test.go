package limits_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// fromSite is a request from the i-th network of an IPv6 site.
func fromSite(site, i int, r harness.Request) harness.Request {
	r.Header = http.Header{"X-Forwarded-For": {fmt.Sprintf("2001:db8:%x:%x::1", site, i)}}
	return r
}

// Attack 7: whoever has a whole /48 of IPv6 has 65,536 networks. All of them together have
// ten times what one has, whatever is counted by network; another site has its own.
func TestAttack7_AnIPv6SiteHasAShare(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := harness.Open(t, dbURL, harness.BehindProxy, "LOGIN_RATE_LIMIT_ATTEMPTS=3", "REGISTRATION_RATE_LIMIT_ATTEMPTS=2",
			"PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=1", "API_RATE_LIMIT_REQUESTS=100000")
		for name, c := range map[string]struct {
			site, share, good int
			call              func(i int) harness.Request
		}{
			"guesses": {1, 30, 401, func(i int) harness.Request {
				return harness.SignInAs(fmt.Sprintf("nobody%d@example.org", i), "wrong horse battery staple")
			}},
			"registrations": {2, 20, 202, func(i int) harness.Request {
				return harness.Post("/v1/register", harness.Credentials{Email: fmt.Sprintf("new%d@example.org", i), Password: harness.Passphrase})
			}},
			"mails": {3, 100, 202, func(i int) harness.Request {
				return harness.Post("/v1/password/forgot", harness.Body{"email": fmt.Sprintf("nobody%d@example.org", i)})
			}},
		} {
			n := 0
			for i := range c.share + 5 {
				a := h.Do(fromSite(c.site, i, c.call(i)))
				if a.Status == c.good {
					n++
				} else if a.Status != 429 || a.Str("code") != "rate_limited" || a.Header.Get("Retry-After") == "" {
					h.Errorf("%s: %d %s", name, a.Status, a.Text)
				}
			}
			if n != c.share {
				h.Errorf("%s: a site has %d, want %d", name, n, c.share)
			}
			if a := h.Do(fromSite(c.site+100, 0, c.call(1000))); a.Status != c.good {
				h.Errorf("%s: another site is answered %d", name, a.Status)
			}
			if a := h.Do(harness.Through(fmt.Sprintf("192.0.2.%d", c.site), c.call(1001))); a.Status != c.good {
				h.Errorf("%s: IPv4 is answered %d", name, a.Status)
			}
		}
		if limited := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'failed_login_attempt'`); limited != 32 {
			h.Errorf("%d guesses are recorded", limited)
		}
	})
}

// The same of requests to the API, where the network's own count is what the headers show.
func TestAttack7_AnIPv6SitesRequests(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), harness.BehindProxy, "API_RATE_LIMIT_REQUESTS=4")
	n := 0
	for i := range 60 {
		a := h.Do(fromSite(9, i, harness.Get("/v1/me")))
		if a.Status == 401 {
			if n++; a.Header.Get("RateLimit-Policy") != `"api";q=4;w=60` {
				h.Errorf("the policy is %q", a.Header.Get("RateLimit-Policy"))
			}
		}
	}
	if n < 40 || n > 44 { // some come back while it runs
		h.Errorf("a site has %d requests, want 40", n)
	}
}

// Who is right takes nothing of a site's share: an office signs in, however large it is.
func TestAttack7_ASitesRightPasswordsAreGivenBack(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), harness.BehindProxy, "LOGIN_RATE_LIMIT_ATTEMPTS=1")
	h.Register("ada@example.org")
	for i := range 15 {
		h.Expect(200, "", fromSite(5, i, harness.SignInAs("ada@example.org", harness.Passphrase)))
	}
}

// Attack 2: from a /48 nobody locks an address out in seconds by changing networks.
func TestAttack2_AnIPv6SiteWaitsAsOne(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const victim = "victim@example.org"
		h.Register(victim)
		for i := range 5 {
			h.Expect(401, "invalid_credentials", fromSite(7, i, harness.SignInAs(victim, "wrong horse battery staple")))
		}
		h.Expect(429, "too_many_attempts", fromSite(7, 6, harness.SignInAs(victim, "wrong horse battery staple")))
		h.Expect(200, "", fromSite(8, 6, harness.SignInAs(victim, harness.Passphrase)))
	}, harness.BehindProxy)
}
