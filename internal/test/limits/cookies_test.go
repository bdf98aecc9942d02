package limits_test

import (
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Most of a working day a browser has the refresh cookie alone. Its requests count under the
// account, as those with an access token do, so colleagues behind one address don't use up
// one another's; a cookie that is made up, or of a session that has ended, is nobody's.
func TestCaseF3_RequestsWithTheRefreshCookieCountByAccount(t *testing.T) {
	const limit = 12
	h := harness.Open(t, dbtest.SQLite(t), harness.BehindProxy, "API_RATE_LIMIT_REQUESTS=12", "API_RATE_LIMIT_WINDOW_SECONDS=3600")
	me := func(cookie string) harness.Answer {
		t.Helper()
		r := harness.Through("192.0.2.77", harness.Get("/v1/me"))
		r.Header = http.Header{"X-Forwarded-For": {"192.0.2.77"}, "Cookie": {cookie}}
		return h.Do(r)
	}
	cookies := map[string]string{}
	browsers := map[string]*harness.Browser{}
	for i, email := range []string{"ada@example.org", "bob@example.org", "eve@example.org"} {
		r := harness.Post("/v1/register", harness.Credentials{Email: email, Password: harness.Passphrase})
		h.Expect(202, "", harness.StrangersNetwork(i, r))
		b := h.Browser()
		if a := b.Send(harness.StrangersNetwork(i, harness.CookieSignIn(email, harness.Passphrase))); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Text)
		}
		browsers[email], cookies[email] = b, "gatehouse_rt="+b.Cookie("gatehouse_rt")
	}
	// Three of them together make three times as many requests as the network may.
	for email, cookie := range cookies {
		for i := range limit {
			if a := me(cookie); a.Status != 200 {
				t.Fatalf("%s, request %d: %d %s", email, i, a.Status, a.Text)
			}
		}
	}
	if a := me(cookies["ada@example.org"]); a.Status == 200 {
		if a = me(cookies["ada@example.org"]); a.Status != 429 { // the first of each ten seconds counts under the network
			t.Errorf("one account has more than its share: %d", a.Status)
		}
	}
	// Made-up cookies take from the network, and so from nobody who is signed in.
	refused := 0
	for range 2 * limit {
		if a := me("gatehouse_rt=gatehouse_rt_made.up"); a.Status == 429 {
			refused++
		}
	}
	if refused < limit {
		t.Errorf("%d made-up cookies were refused", refused)
	}
}
