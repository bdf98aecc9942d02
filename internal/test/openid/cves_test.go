package openid

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// What other servers were attacked by, a test each. Those of sign-in by other providers are in package upstream.

// Keycloak's CVE-2026-3872: a redirect URI that is a pattern takes more than was meant. Nothing is a pattern here, at registration or at a request.
func TestCVE_2026_3872_NoRedirectURIIsAPattern(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		for _, uri := range []string{"https://app.example.org/*", "https://*.example.org/cb", "*", "https://app.example.org/cb*", "https://app.example.org/../cb"} {
			_, _, err := h.Operator().RegisterClient(t.Context(), "pattern", client.Web, client.Settings{RedirectURIs: []string{uri}}, harness.OriginOfTests)
			if err == nil {
				t.Errorf("%s was registered", uri)
			}
		}
		a, b := register(h, "app", client.Web), h.Browser()
		for _, uri := range []string{
			redirect + "/", redirect + "/../evil", redirect + "%2f..%2fevil", redirect + ";x", redirect + "?x=https://evil.example.org", redirect + "#x",
			redirect + "/%2e%2e/",
			strings.ToUpper(redirect), "https://APP.example.org/cb", "https://app.example.org:443/cb", "https://app.example.org./cb", "https://evil@app.example.org/cb",
			"https://app.example.org\\@evil.example.org/cb", "https://app.example.org.evil.example.org/cb", " " + redirect, redirect + " ", redirect + "\x00",
		} {
			if page, to := a.ask(b, "redirect_uri", uri); to.Host != "" || page.Status != 400 {
				t.Errorf("%q: %d, leads to %s", uri, page.Status, to)
			}
		}
	})
}

// zitadel's own core sent a native application's answer from 127.0.0.1 to other hosts and schemes, and took the method plain.
func TestLoopbackIsOneHostAndPKCEIsS256(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		const loopback = "http://127.0.0.1/cb"
		a := register(h, "tool", client.Native, func(s *client.Settings) { s.RedirectURIs, s.PostLogoutURIs = []string{loopback}, nil })
		b := h.Browser()
		for _, uri := range []string{
			"https://localhost:1234/cb", "http://localhost:1234/cb", "http://127.9.9.9:1/cb", "http://user@127.0.0.1:5/cb", "http://127.0.0.1:5/cb#x",
			"http://127.0.0.1:5/cb?x", "http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:05/cb", "http://[::1]:5/cb", "http://2130706433:5/cb",
			"http://127.0.0.1:5:6/cb", "http://127.0.0.1:/cb", "http://0x7f.1:5/cb", "https://127.0.0.1:5/cb",
		} {
			if page, to := a.ask(b, "redirect_uri", uri); to.Host != "" || page.Status != 400 {
				t.Errorf("%s: %d, leads to %s", uri, page.Status, to)
			}
		}
		if page, _ := a.ask(b, "redirect_uri", "http://127.0.0.1:49152/cb"); page.Status != 200 {
			t.Errorf("a port of the program's own: %d", page.Status)
		}
		for _, method := range []string{"plain", "", "S512"} {
			_, to := a.ask(b, "redirect_uri", "http://127.0.0.1:49152/cb", "code_challenge_method", method)
			if to.Query().Get("error") != "invalid_request" {
				t.Errorf("the method %q: %s", method, to)
			}
		}
	})
}

// zitadel's GHSA-xqxv and Keycloak's CVE-2026-16089: a code of one application is exchanged by another. It gets nothing and spends nothing, with whatever it
// brings; and what it tries does not count as a second use.
func TestCVE_2026_16089_ACodeIsItsApplications(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		a, thief := register(h, "app", client.Web, firstParty), register(h, "thief", client.Web, firstParty)
		b := h.Browser()
		code := a.code(a.through(b))
		for _, more := range [][]string{nil, {"redirect_uri", ""}, {"code_verifier", ""}, {"client_id", a.ID}} {
			r := thief.exchanging(code, more...)
			if got := h.Do(r); got.Status == http.StatusOK || got.Str("access_token") != "" {
				t.Errorf("%v: %s", more, got.Text)
			}
		}
		got := h.Expect(200, "", a.exchanging(code))
		for range 3 {
			thief.invalid(400, "invalid_grant", thief.exchanging(code))
		}
		if a.userInfo(got.Str("access_token")).Status != 200 {
			t.Error("what another application tried has ended the grant")
		}
		thief.invalid(400, "invalid_grant", thief.refreshing(got.Str("refresh_token")))
		h.Expect(200, "", a.refreshing(got.Str("refresh_token")))
	})
}

// Keycloak's CVE-2026-37979: introspection tells any application of any token. Here it tells of its own alone, whatever kind the token is.
func TestCVE_2026_37979_IntrospectionTellsNobodyElse(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		a, other, b := register(h, "app", client.Web, firstParty), register(h, "other", client.Web, firstParty), h.Browser()
		got := a.grant(b)
		for _, token := range []string{got.Str("access_token"), got.Str("refresh_token")} {
			ask := func(by app) bool {
				told := h.Expect(200, "", by.form("/oauth2/introspect", url.Values{"token": {token}}))
				active, _ := told.Fields["active"].(bool)
				if !active && len(told.Fields) != 1 {
					t.Errorf("of a token that is another's it says %s", told.Text)
				}
				return active
			}
			if !ask(a) || ask(other) {
				t.Errorf("its own application is told %v, another %v", ask(a), ask(other))
			}
		}
		// An ID token is no token to ask about, nor is a session's, for whoever signs people in.
		for _, token := range []string{got.Str("id_token"), h.Login(ada).Str("access_token")} {
			if told := h.Expect(200, "", a.form("/oauth2/introspect", url.Values{"token": {token}})); told.Fields["active"] != false {
				t.Errorf("told %s", told.Text)
			}
		}
	})
}

// Keycloak's CVE-2026-4874: where logouts are told comes from the request, so the server can be sent anywhere. Here it comes from the operator alone.
func TestCVE_2026_4874_NobodyElseSaysWhereLogoutsAreTold(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		evil := listen(t, nil)
		where := evil.URL + "/logout?of=app"
		body := map[string]any{
			"redirect_uris": []string{"http://localhost/cb"}, "client_name": "self", "backchannel_logout_uri": where, "backchannel_logout_session_required": true,
		}
		made := h.Expect(201, "", harness.Post("/oauth2/register", body))
		if made.Fields["backchannel_logout_uri"] != nil {
			t.Errorf("it registered %v", made.Fields["backchannel_logout_uri"])
		}
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		a.grant(b, "backchannel_logout_uri", where)
		a.grant(b, "logout_uri", where, "registration", "")
		if got := h.Do(a.form("/oauth2/par", a.parameters("backchannel_logout_uri", where))); got.Status != 201 {
			t.Errorf("an unknown parameter: %d %s", got.Status, got.Text)
		}
		if _, err := h.Operator().EndSessions(t.Context(), ada, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		untold(h)
		if told := evil.heard(); len(told) != 0 {
			t.Errorf("it was told %d times", len(told))
		}
	}, "CLIENT_REGISTRATION=open")
}

// dex's GHSA-vh7g: whoever asks with the id of a request gets the code of the person who answered it. Here a request is worth what the link is: the code goes
// to the browser that holds the session, in answer to its own request.
func TestGHSA_vh7g_ARequestIsNobodysKey(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		a, thief, b := register(h, "app", client.Web, firstParty), h.Browser(), h.Browser()
		page, _ := a.ask(thief) // the thief's request, whose sign-in page has it sealed
		in := fields(page.Text)
		tx := ""
		for _, value := range in {
			if at := strings.Index(value, "/oauth2/continue?tx="); at >= 0 {
				tx = value[at:]
			}
		}
		if tx == "" {
			t.Fatalf("the page has no request: %v", in)
		}
		// The person answers it in their own browser, as somebody who followed the thief's link.
		page, to := walk(b, tx)
		if to.Host == "" {
			_, to = signIn(b, page, ada)
		}
		if a.code(to) == "" {
			t.Fatal("the person got no code")
		}
		for range 3 {
			page, to := walk(thief, tx)
			if to.Host != "" || !strings.Contains(page.Text, `action="/login"`) {
				t.Errorf("the thief is led to %s", to)
			}
		}
		// And another browser without a session, with the tx of the person's own address.
		if page, to := walk(h.Browser(), tx); to.Host != "" || !strings.Contains(page.Text, `action="/login"`) {
			t.Errorf("a stranger is led to %s", to)
		}
	})
}

// dex forgot at a refresh what it had asked at the sign-in: here each refresh asks anew for the application's state, and for its roles.
func TestARefreshAsksWhatTheSignInDid(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		o := h.Operator()
		if _, err := o.SetRoles(t.Context(), ada, []string{"staff"}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		a := register(h, "app", client.Web, firstParty, func(s *client.Settings) { s.RequireRoles = []string{"staff"} })
		for name, change := range map[string]func() error{
			"the role": func() error {
				_, err := o.SetRoles(t.Context(), ada, []string{}, harness.OriginOfTests)
				return err
			},
			"the account": func() error { _, err := o.Disable(t.Context(), ada, harness.OriginOfTests); return err },
		} {
			for _, prepare := range []func() error{
				func() error { return o.Enable(t.Context(), ada, harness.OriginOfTests) },
				func() error {
					_, err := o.SetRoles(t.Context(), ada, []string{"staff"}, harness.OriginOfTests)
					return err
				},
			} {
				if err := prepare(); err != nil {
					t.Fatal(err)
				}
			}
			got := a.grant(h.Browser(), "scope", "openid offline_access", "prompt", "consent")
			next := h.Expect(200, "", a.refreshing(got.Str("refresh_token")))
			if err := change(); err != nil {
				t.Fatal(err)
			}
			a.invalid(400, "invalid_grant", a.refreshing(next.Str("refresh_token")))
			h.Eventually(name+": the end of the access token", func() (string, bool) {
				got := a.userInfo(next.Str("access_token"))
				return got.Text, got.Status == 401
			})
		}
	})
}

// CVE-2025-27144: a token of a great many dots takes a library's memory. Each place that takes a token refuses it by its size, at once.
func TestCVE_2025_27144_TokensOfManyDots(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		a := register(h, "app", client.Web, firstParty)
		dots := strings.Repeat(".", 60_000)
		in := url.Values{
			"grant_type": {"client_credentials"}, "client_assertion": {dots}, "client_assertion_type": {client.AssertionType}, "client_id": {a.ID},
		}
		for name, r := range map[string]harness.Request{
			"a client assertion": {Method: "POST", Path: "/oauth2/token", Body: in.Encode(), ContentType: "application/x-www-form-urlencoded"},
			"a code":             a.exchanging(dots), "a refresh token": a.refreshing(dots),
			"introspection": a.form("/oauth2/introspect", url.Values{"token": {dots}}), "revocation": a.form("/oauth2/revoke", url.Values{"token": {dots}}),
			"a hint, pushed": a.form("/oauth2/par", a.parameters("id_token_hint", dots)),
		} {
			got := h.Do(r)
			if got.Status >= 500 || strings.Contains(got.Text, "access_token\"") {
				t.Errorf("%s: %d %s", name, got.Status, got.Text)
			}
		}
	})
}
