package sessions_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// A phone that has moved is listed where it is, whichever use shows it: an access token, a
// refresh, or a check of an application's request by the cookies. Sessions are ended by either
// network.
func TestSessionsShowWhereTheyWereLastUsed(t *testing.T) {
	const home, away = "192.0.2.10", "198.51.100.20"
	use := map[string]func(h *harness.Server, b *harness.Browser, access, refresh string) harness.Request{
		"an access token": func(_ *harness.Server, _ *harness.Browser, access, _ string) harness.Request {
			return harness.Get("/v1/me", access)
		},
		"a refresh": func(_ *harness.Server, _ *harness.Browser, _, refresh string) harness.Request {
			return harness.Refreshing(refresh)
		},
		"a check": func(_ *harness.Server, b *harness.Browser, _, _ string) harness.Request {
			r := harness.Get("/v1/forward-auth")
			r.Header = http.Header{"Cookie": {"gatehouse_rt=" + b.Cookie("gatehouse_rt")}}
			return r
		},
	}
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := harness.Open(t, dbURL, harness.BehindProxy)
		var emails []string
		for name, make := range use {
			email := "ada" + string(name[len(name)-1]) + "@example.org"
			emails = append(emails, email)
			h.Register(email)
			b, access, refresh := h.Browser(), "", ""
			if name == "a check" {
				if a := b.Send(harness.Through(home, harness.CookieSignIn(email, harness.Passphrase))); a.Status != 200 {
					t.Fatalf("%d %s", a.Status, a.Text)
				}
			} else {
				a := h.Expect(200, "", harness.Through(home, harness.SignInAs(email, harness.Passphrase)))
				access, refresh = a.Str("access_token"), a.Str("refresh_token")
			}
			r := make(h, b, access, refresh)
			if r.Header == nil {
				r.Header = http.Header{}
			}
			r.Header.Set("X-Forwarded-For", away)
			h.Expect(200, "", r)
		}
		if err := h.Stop(); err != nil { // which writes the uses
			t.Fatal(err)
		}
		o := h.Operator()
		for i, email := range emails {
			list, err := o.Sessions(t.Context(), email)
			if err != nil || len(list) != 1 || list[0].Address != away || list[0].FirstAddress != home {
				t.Errorf("%s: %+v %v", email, list, err)
			}
			for _, network := range []string{home, away} {
				n, err := o.CountSessions(t.Context(), operate.Which{Network: netip.MustParsePrefix(network + "/32")})
				if err != nil || n != len(emails) {
					t.Errorf("%d: %d sessions are found by %s, %v", i, n, network, err)
				}
			}
		}
	})
}
