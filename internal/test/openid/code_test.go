package openid

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// A code that somebody has found is worth nothing to anybody but the application that asked for it, where it asked for it to go, and with
// the verifier; and trying does no harm to the owner (downgrade, injection: RFC 9700 sections 4.5 and 4.8).
func TestASVS_V10_4_6_V10_4_3_ACodeOfAnother(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		other := register(h, "other", client.Web, firstParty)
		spa := register(h, "spa", client.SPA, firstParty)
		code := a.code(a.through(b))
		a.invalid(400, "invalid_grant", other.exchanging(code))
		a.invalid(400, "invalid_grant", spa.exchanging(code))
		a.invalid(400, "invalid_grant", a.exchanging(code, "code_verifier", ""))
		a.invalid(400, "invalid_grant", a.exchanging(code, "code_verifier", verifier+"x"))
		a.invalid(400, "invalid_grant", a.exchanging(code, "redirect_uri", redirect+"/"))
		a.invalid(400, "invalid_grant", a.exchanging(altered(code)))
		a.invalid(400, "invalid_grant", a.exchanging("gatehouse_ac_x"))
		a.invalid(400, "invalid_request", a.exchanging(""))
		a.invalid(401, "invalid_client", app{h, a.Client, "gatehouse_cs_wrong"}.exchanging(code))
		h.Expect(200, "", a.exchanging(code, "redirect_uri", "")) // it may be left out with PKCE (OAuth 2.1)

		// It lives a minute.
		late := a.code(a.through(b))
		clock.Shift(61 * time.Second)
		a.invalid(400, "invalid_grant", a.exchanging(late))

		// Without a challenge a verifier is wrong, and without PKCE the address must be there.
		old := register(h, "old", client.Web, firstParty, func(s *client.Settings) { s.PKCEOptional = true })
		plain := old.code(old.through(b, "code_challenge", "", "code_challenge_method", ""))
		a.invalid(400, "invalid_grant", old.exchanging(plain))
		a.invalid(400, "invalid_grant", old.exchanging(plain, "code_verifier", "", "redirect_uri", ""))
		h.Expect(200, "", old.exchanging(plain, "code_verifier", ""))
	})
}

// Of sixteen who bring a code rightly at once one gets tokens, and the next ends them: two had the code.
func TestASVS_V10_4_2_ACodeIsGoodOnce(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		for range 3 {
			code := a.code(a.through(b))
			var (
				all sync.WaitGroup
				mu  sync.Mutex
				won []harness.Answer
			)
			for range 16 {
				all.Go(func() {
					got, err := h.Try(a.exchanging(code))
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err != nil:
						t.Error(err)
					case got.Status == 200:
						won = append(won, got)
					case got.Status != 400 || got.Str("error") != "invalid_grant":
						t.Errorf("%d %s", got.Status, got.Text)
					}
				})
			}
			all.Wait()
			if len(won) != 1 {
				t.Fatalf("%d got tokens", len(won))
			}
			if info := a.userInfo(won[0].Str("access_token")); info.Status != 401 {
				t.Errorf("the tokens of a code that two had are good: %d", info.Status)
			}
			a.invalid(400, "invalid_grant", a.refreshing(won[0].Str("refresh_token")))
		}
		if n := strings.Count(h.Logs.String(), `"reason":"code_reuse"`); n < 3 {
			t.Errorf("%d events tell of it", n)
		}
	})
}

// A refresh token is replaced with each use, and one that was replaced ends the grant; a race of two tabs does not. Another application's,
// a session's, or one of ours at the session's endpoint is none.
func TestASVS_V10_4_5_RefreshTokensOfApplications(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a, spa, b := register(h, "app", client.Web, firstParty), register(h, "spa", client.SPA, firstParty), h.Browser()
		first := a.grant(b)
		a.invalid(400, "invalid_grant", spa.refreshing(first.Str("refresh_token")))
		a.invalid(400, "invalid_grant", a.refreshing(h.Login(ada).Str("refresh_token")))
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(first.Str("refresh_token")))
		second := h.Expect(200, "", a.refreshing(first.Str("refresh_token")))
		again := h.Expect(200, "", a.refreshing(first.Str("refresh_token"))) // another tab
		if second.Str("refresh_token") != again.Str("refresh_token") {
			t.Error("a race makes two chains")
		}
		third := h.Expect(200, "", a.refreshing(second.Str("refresh_token")))
		clock.Shift(time.Minute)
		a.invalid(400, "invalid_grant", a.refreshing(first.Str("refresh_token")))
		a.invalid(400, "invalid_grant", a.refreshing(third.Str("refresh_token")))
		if info := a.userInfo(third.Str("access_token")); info.Status != 401 {
			t.Errorf("its access token is good: %d", info.Status)
		}
		// The session, and what else was granted under it, go on.
		if got := spa.grant(b); got.Str("refresh_token") == "" {
			t.Error(got.Text)
		}
	})
}

// What was granted ends with its session, whoever ends that; what outlives the session ends with the password, and when it is taken back.
func TestASVS_V10_4_9_V10_7_3_GrantsEnd(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		a, b := register(h, "app", client.Web), h.Browser()
		online, offline := a.grant(b), a.grant(b, "scope", "openid offline_access")
		pending := a.code(a.through(b, "scope", "openid offline_access"))
		a.alive(t, true, online, offline)
		out, _ := walk(b, "/logout")
		press(b, "/logout", fields(out.Text))
		a.invalid(400, "invalid_grant", a.exchanging(pending)) // it was given before, and has not started
		if info := a.userInfo(online.Str("access_token")); info.Status != 401 {
			t.Errorf("signed out, and its access token is good: %d", info.Status)
		}
		a.invalid(400, "invalid_grant", a.refreshing(online.Str("refresh_token")))
		offline = h.Expect(200, "", a.refreshing(offline.Str("refresh_token")))

		// /account lists it, and takes it back.
		page, _ := walk(b, "/login")
		page, _ = signIn(b, page, ada)
		if !strings.Contains(page.Text, "Stays signed in when you sign out here") {
			t.Errorf("the account does not show it:\n%s", page.Text)
		}
		in := fields(page.Text)
		b.Page(200, "The application is removed", harness.Press("/account", harness.Body{
			"csrf_token": in["csrf_token"], "do": "application-remove", "application": a.ID,
		}))
		a.alive(t, false, offline)
		if page, to := a.ask(b); to.Host != "" || !strings.Contains(page.Text, "/oauth2/consent") {
			t.Errorf("it is not asked about again: %s", to)
		}
		offline = a.grant(b, "scope", "openid offline_access")
		if _, err := h.Operator().EndSessions(t.Context(), ada, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		a.alive(t, false, offline)
	})
}

// alive checks whether tokens are good.
func (a app) alive(t *testing.T, want bool, tokens ...harness.Answer) {
	t.Helper()
	status := map[bool]int{true: 200, false: 401}[want]
	for _, token := range tokens {
		a.Eventually("the token", func() (string, bool) {
			info := a.userInfo(token.Str("access_token"))
			return info.Text, info.Status == status
		})
	}
}

// An application ends what it was granted by either token, and nobody else's.
func TestASVS_V10_4_9_AnApplicationRevokes(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		a, other, b := register(h, "app", client.Web, firstParty), register(h, "spa", client.SPA, firstParty), h.Browser()
		for _, which := range []string{"access_token", "refresh_token"} {
			mine, others := a.grant(b), other.grant(b)
			h.Expect(200, "", a.form("/oauth2/revoke", map[string][]string{"token": {others.Str(which)}}))
			other.alive(t, true, others)
			told := h.Expect(200, "", a.form("/oauth2/introspect", map[string][]string{"token": {mine.Str(which)}}))
			if told.Fields["active"] != true || told.Str("client_id") != a.ID || told.Str("scope") != "openid profile email" {
				t.Errorf("%s: %s", which, told.Text)
			}
			told = h.Expect(200, "", a.form("/oauth2/introspect", map[string][]string{"token": {others.Str(which)}}))
			if strings.TrimSpace(told.Text) != `{"active":false}` {
				t.Errorf("it is told of another's %s: %s", which, told.Text)
			}
			h.Expect(200, "", a.form("/oauth2/revoke", map[string][]string{"token": {mine.Str(which)}}))
			a.alive(t, false, mine)
			a.invalid(400, "invalid_grant", a.refreshing(mine.Str("refresh_token")))
			h.Expect(200, "", a.form("/oauth2/revoke", map[string][]string{"token": {mine.Str(which)}}))
			h.Expect(200, "", a.form("/oauth2/revoke", map[string][]string{"token": {"no token"}}))
		}
		a.invalid(400, "unauthorized_client", other.form("/oauth2/introspect", map[string][]string{"token": {"x"}}))
	})
}
