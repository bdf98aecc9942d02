package openid

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// A stranger comes from an application, signs in, agrees, and is back with a code; the application learns who they are, refreshes, and is not
// told more than it asked for.
func TestASVS_V10_7_1_APersonSignsInToAnApplication(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		a, b := register(h, "grafana", client.Web, func(s *client.Settings) { s.Title = "Grafana" }), h.Browser()
		page, _ := a.ask(b)
		page, _ = signIn(b, page, ada)
		for _, words := range []string{"Sign in to Grafana?", "app.example.org", "your name and language", "your email address", ada} {
			if !strings.Contains(page.Text, words) {
				t.Errorf("the page that asks has no %q", words)
			}
		}
		if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://app.example.org;") {
			t.Errorf("the browser may not go on to the application: %s", policy)
		}
		tokens := h.Expect(200, "", a.exchanging(a.code(say(b, page, "yes"))))
		if tokens.Header.Get("Cache-Control") != "no-store" || tokens.Header.Get("Pragma") != "no-cache" || tokens.Str("token_type") != "Bearer" ||
			tokens.Str("scope") != "openid profile email" || tokens.Fields["expires_in"] != 900.0 {
			t.Errorf("%v %s", tokens.Header, tokens.Text)
		}
		id := a.claims(tokens.Str("id_token"))
		sum := sha256.Sum256([]byte(tokens.Str("access_token")))
		me := h.Login(ada)
		account := h.Expect(200, "", harness.Get("/v1/me", me.Str("access_token"))).Str("id")
		for name, want := range map[string]any{
			"nonce": "the nonce", "sub": account, "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]), "acr": "1fa", "email": ada, "email_verified": true,
			"preferred_username": ada,
		} {
			if id[name] != want {
				t.Errorf("%s is %v, want %v", name, id[name], want)
			}
		}
		if id["roles"] != nil || id["exp"].(float64)-id["iat"].(float64) != 900 || id["sid"] == nil || id["auth_time"] == nil {
			t.Errorf("%v", id)
		}
		info := a.userInfo(tokens.Str("access_token"))
		if info.Status != 200 || info.Str("sub") != account || info.Str("email") != ada || info.Fields["roles"] != nil {
			t.Errorf("userinfo: %s", info.Text)
		}
		next := h.Expect(200, "", a.refreshing(tokens.Str("refresh_token")))
		again := a.claims(next.Str("id_token"))
		if again["nonce"] != nil || again["sub"] != id["sub"] || again["auth_time"] != id["auth_time"] || again["sid"] != id["sid"] {
			t.Errorf("after the refresh: %v, before: %v", again, id)
		}

		// The second application asks once as well, and the first one never again.
		if page, to := a.ask(b); to.Host == "" {
			t.Errorf("it asks again: %d", page.Status)
		}
		other := register(h, "wiki", client.Web)
		if page, to := other.ask(b); to.Host != "" || !strings.Contains(page.Text, "Sign in to wiki?") {
			t.Errorf("the second application is not asked about: %s", to)
		}
		// More than was agreed to is asked about, and marked.
		page, to := a.ask(b, "scope", "openid profile email roles")
		if to.Host != "" || strings.Count(page.Text, `class="tag"`) != 1 {
			t.Errorf("new scopes: %s\n%s", to, page.Text)
		}
		a.refused(say(b, page, "no"), "access_denied")
	})
}

// The scopes say what an application is told: roles to those alone that ask for them, and an address that nobody has confirmed to none.
func TestASVS_V10_4_11_ScopesSayWhatIsTold(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		if _, err := h.Operator().SetRoles(t.Context(), ada, []string{"staff"}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		got := a.grant(b, "scope", "openid roles unknown")
		if id := a.claims(got.Str("id_token")); got.Str("scope") != "openid roles" || id["email"] != nil || id["name"] != nil ||
			!slices.Equal(id["roles"].([]any), []any{"staff"}) {
			t.Errorf("%s: %v", got.Str("scope"), id)
		}
		got = a.grant(b, "scope", "profile email")
		if got.Str("id_token") != "" {
			t.Error("an ID token without openid")
		}
		if info := a.userInfo(got.Str("access_token")); info.Status != 403 || !strings.Contains(info.Header.Get("WWW-Authenticate"), "insufficient_scope") {
			t.Errorf("userinfo without openid: %d %s", info.Status, info.Header.Get("WWW-Authenticate"))
		}
		a.invalid(400, "invalid_scope", a.form("/oauth2/token", map[string][]string{
			"grant_type": {"refresh_token"}, "refresh_token": {got.Str("refresh_token")}, "scope": {"profile roles"},
		}))
		narrow := h.Expect(200, "", a.form("/oauth2/token", map[string][]string{
			"grant_type": {"refresh_token"}, "refresh_token": {got.Str("refresh_token")}, "scope": {"email unknown"},
		}))
		if narrow.Str("scope") != "email" {
			t.Error(narrow.Text)
		}
		if wide := h.Expect(200, "", a.refreshing(narrow.Str("refresh_token"))); wide.Str("scope") != "profile email" {
			t.Error(wide.Text)
		}
	})
}

// What an application asks for about the sign-in is done: a new one, a recent one, none at all, a choice, an account.
func TestPromptsAndMaxAge(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		h.Register("bob@example.org")
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		_, to := a.ask(b, "prompt", "none")
		a.refused(to, "login_required")
		first := a.claims(a.grant(b).Str("id_token"))
		if _, to := a.ask(b, "prompt", "none"); a.code(to) == "" {
			t.Error(to)
		}

		// A new sign-in of the same person: the applications know the session by the name that it had.
		clock.Shift(time.Minute)
		second := a.claims(a.grant(b, "prompt", "login").Str("id_token"))
		if second["auth_time"].(float64) < first["auth_time"].(float64)+59 || second["sid"] != first["sid"] {
			t.Errorf("%v, and before %v", second, first)
		}
		clock.Shift(time.Minute)
		if _, to := a.ask(b, "max_age", "100"); a.code(to) == "" {
			t.Error(to)
		}
		_, to = a.ask(b, "max_age", "30", "prompt", "none")
		a.refused(to, "login_required")
		third := a.claims(a.grant(b, "max_age", "30").Str("id_token"))
		if third["auth_time"].(float64) < second["auth_time"].(float64)+59 || third["sid"] != first["sid"] {
			t.Errorf("%v, and before %v", third, second)
		}

		// One click chooses and agrees, so the page says to what.
		asks := register(h, "asks", client.Web)
		if page, _ := asks.ask(b, "prompt", "select_account"); !strings.Contains(page.Text, "your email address") {
			t.Errorf("the page does not say what is agreed to:\n%s", page.Text)
		}
		page, to := a.ask(b, "prompt", "select_account")
		if to.Host != "" || !strings.Contains(page.Text, ada) {
			t.Errorf("nobody is asked which account: %s", to)
		}
		a.code(say(b, page, "yes"))
		_, to = a.ask(b, "prompt", "select_account consent none")
		a.refused(to, "invalid_request")
		page, _ = a.ask(b, "prompt", "consent")
		a.code(say(b, page, "yes"))
		if page, _ := a.ask(h.Browser(), "prompt", "create"); !strings.Contains(page.Text, `action="/register"`) {
			t.Errorf("no registration: %d", page.Status)
		}
		// A hint names whose session is meant.
		hint := a.grant(b).Str("id_token")
		_, to = a.ask(b, "id_token_hint", hint, "prompt", "none")
		a.code(to)
		bobs := h.Browser()
		page, _ = a.ask(bobs)
		if _, to := signIn(bobs, page, "bob@example.org"); a.code(to) == "" {
			t.Error(to)
		}
		_, to = a.ask(bobs, "id_token_hint", hint, "prompt", "none")
		a.refused(to, "login_required")
		// One that is not ours, or no longer, names no session: signing in is what is left.
		_, to = a.ask(bobs, "id_token_hint", altered(hint), "prompt", "none")
		a.refused(to, "login_required")
		page, _ = a.ask(bobs, "id_token_hint", altered(hint))
		if _, to := signIn(bobs, page, "bob@example.org"); a.code(to) == "" {
			t.Error(to)
		}
		page, _ = a.ask(bobs, "id_token_hint", hint)
		page, _ = signIn(bobs, page, "bob@example.org")
		if page.Status != 403 || !strings.Contains(page.Text, "another account") {
			t.Errorf("bob is let in as ada: %d\n%s", page.Status, page.Text)
		}
	})
}

// Answers go by the way that was asked for, among those that the application is registered for.
func TestASVS_V10_4_12_ResponseModes(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		plain := register(h, "plain", client.Web, firstParty)
		for _, mode := range []string{"fragment", "form_post"} {
			_, to := plain.ask(h.Browser(), "response_mode", mode)
			plain.refused(to, "invalid_request")
			plain.invalid(400, "invalid_request", plain.form("/oauth2/par", plain.parameters("response_mode", mode)))
		}
		a, b := register(h, "app", client.Web, firstParty, func(s *client.Settings) { s.ResponseModes = client.ResponseModes() }), h.Browser()
		a.grant(b)
		_, to := a.ask(b, "response_mode", "fragment")
		if to.RawQuery != "" || !strings.Contains(to.Fragment, "code=gatehouse_ac_") || !strings.Contains(to.Fragment, "iss=") {
			t.Errorf("fragment: %s", to)
		}
		page, _ := a.ask(b, "response_mode", "form_post")
		in := fields(page.Text)
		if !strings.Contains(page.Text, `<form method="post" action="`+redirect+`" data-send>`) || in["code"] == "" || in["state"] != "the state" ||
			in["iss"] != h.URL() ||
			!strings.Contains(page.Header.Get("Content-Security-Policy"), "form-action 'self' https://app.example.org;") {
			t.Errorf("form_post: %s", page.Text)
		}
		h.Expect(200, "", a.exchanging(in["code"]))
		page, _ = a.ask(b, "response_mode", "form_post", "prompt", "none", "max_age", "0", "id_token_hint", "")
		if in := fields(page.Text); in["error"] != "" && in["code"] != "" {
			t.Errorf("form_post of an error: %s", page.Text)
		}
		_, to = a.ask(b, "response_mode", "web_message")
		a.refused(to, "invalid_request")
		if to.Query().Get("state") != "the state" {
			t.Errorf("the application can't tell which request that was: %s", to)
		}
		// Three ways to begin: an address, a form from another site, and one without our cookies, which come with the next request.
		r := harness.Request{Method: "POST", Path: "/oauth2/authorize", Body: a.parameters().Encode(), ContentType: "application/x-www-form-urlencoded",
			Header: map[string][]string{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://app.example.org"}}}
		posted := b.Do(r)
		_, next, ok := strings.Cut(posted.Header.Get("Refresh"), "url=")
		if posted.Status != 200 || !ok || !strings.HasPrefix(next, "/oauth2/continue?tx=") {
			t.Fatalf("POST: %d %q", posted.Status, posted.Header.Get("Refresh"))
		}
		if _, to := walk(b, next); a.code(to) == "" {
			t.Error(to)
		}
	})
}
