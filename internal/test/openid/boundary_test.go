package openid

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// What is wrong with a request goes to the application where it is known which one that is and where its answers go, and to nobody
// otherwise: a link can't make an open redirector of us.
func TestASVS_V10_4_1_WhereErrorsGo(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		a, b := register(h, "app", client.Web), h.Browser()
		for name, more := range map[string][]string{
			"no such application": {"client_id", "01a229fa-dcfc-783a-8f7e-0e2e5890d1f9"}, "no application": {"client_id", ""}, "no address": {"redirect_uri", ""},
			"another address": {"redirect_uri", "https://evil.example.org/cb"}, "a longer address": {"redirect_uri", redirect + "x"},
			"a query": {"redirect_uri", redirect + "?x"}, "a fragment": {"redirect_uri", redirect + "#"},
		} {
			if page, to := a.ask(b, more...); to.Host != "" || page.Status != 400 || strings.Contains(page.Text, `href="https://evil`) {
				t.Errorf("%s: %d, leads to %s", name, page.Status, to)
			}
		}
		if page, to := walk(b, "/oauth2/authorize?client_id="+a.ID+"&"+a.parameters().Encode()); to.Host != "" || page.Status != 400 {
			t.Errorf("an application named twice: %d, leads to %s", page.Status, to)
		}
		for want, more := range map[string][]string{
			"unsupported_response_type": {"response_type", "token"}, "request_not_supported": {"request", "x.y.z"},
			"request_uri_not_supported": {"request_uri", "https://evil.example.org/"}, "registration_not_supported": {"registration", "{}"},
			"invalid_scope": {"scope", "unknown"},
		} {
			_, to := a.ask(b, more...)
			a.refused(to, want)
		}
		for _, more := range [][]string{
			{"response_type", ""}, {"code_challenge", ""}, {"code_challenge_method", "plain"}, {"code_challenge_method", ""}, {"code_challenge", "short"},
			{"max_age", "-1"}, {"max_age", "x"}, {"prompt", "none login"}, {"state", strings.Repeat("x", 1025)}, {"nonce", strings.Repeat("x", 1025)},
		} {
			_, to := a.ask(b, more...)
			a.refused(to, "invalid_request")
		}
		// Unknown parameters and values are passed over.
		if page, _ := a.ask(b, "extra", "foobar", "display", "popup", "claims_locales", "de", "acr_values", "urn:x", "prompt", "later"); page.Status != 200 {
			t.Errorf("unknown parameters: %d", page.Status)
		}
		for _, tx := range []string{"", "x", strings.Repeat("A", 600), strings.Repeat("A", 20000)} {
			if page, to := walk(b, "/oauth2/continue?tx="+tx); to.Host != "" || page.Status != 400 && page.Status != 414 && page.Status != 431 {
				t.Errorf("a request that is none: %d, %s", page.Status, to)
			}
		}
	})
}

// Nothing but a person's own click on our own page agrees to an application, and no script or speculative load gets a code.
func TestASVS_V10_7_2_NobodyElseAgrees(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		a, b := register(h, "app", client.Web), h.Browser()
		page, _ := a.ask(b)
		page, _ = signIn(b, page, ada)
		in := fields(page.Text)
		agreeing := func(header http.Header, in harness.Body) harness.Answer {
			r := harness.Press("/oauth2/consent", in.With("say", "yes"))
			r.Header = header
			return b.Send(r)
		}
		for name, header := range map[string]http.Header{
			"an application's script": {"Origin": {"https://shop.example.org"}, "Sec-Fetch-Site": {"same-site"}},
			"another site":            {"Origin": {"https://evil.example.org"}, "Sec-Fetch-Site": {"cross-site"}},
			"a sandboxed frame":       {"Origin": {"null"}},
		} {
			if got := agreeing(header, in); got.Status != 403 {
				t.Errorf("%s: %d", name, got.Status)
			}
		}
		if got := agreeing(nil, in.With("csrf_token", "x")); got.Status != 303 || !strings.HasPrefix(got.Header.Get("Location"), "/oauth2/continue") {
			t.Errorf("without the session's token: %d %s", got.Status, got.Header.Get("Location"))
		}
		onward := "/oauth2/continue?tx=" + url.QueryEscape(in["tx"])
		for name, header := range map[string]http.Header{
			"a script": {"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"}}, "a prefetch": {"Sec-Fetch-Mode": {"navigate"}, "Sec-Purpose": {"prefetch"}},
			"an image": {"Sec-Fetch-Mode": {"no-cors"}},
		} {
			if got := b.Send(harness.Request{Method: "GET", Path: onward, Header: header}); got.Status != 403 {
				t.Errorf("%s: %d", name, got.Status)
			}
		}
		// Another person's browser with the same link gets that person's page.
		if page, to := walk(h.Browser(), onward); to.Host != "" || !strings.Contains(page.Text, `action="/login"`) {
			t.Errorf("another browser: %s", to)
		}
		framed := b.Send(harness.Request{Method: "GET", Path: "/oauth2/authorize?" + a.parameters("prompt", "none").Encode(), Header: http.Header{
			"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"},
		}})
		to, _ := url.Parse(framed.Header.Get("Location"))
		a.refused(to, "login_required")
		a.code(say(b, page, "yes"))
	}, "CORS_ORIGINS=https://shop.example.org")
}

// A token is for one purpose: an application's for what it was granted, a session's for our own API, an ID token for nothing but its reader.
func TestASVS_V10_3_1_V10_3_2_TokensAreForOnePurpose(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		service := h.Application("billing")
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		got, me := a.grant(b), h.Login(ada).Str("access_token")
		for _, token := range []string{got.Str("access_token"), got.Str("id_token"), got.Str("refresh_token")} {
			h.Expect(401, "invalid_token", harness.Get("/v1/me", token))
			h.Expect(401, "invalid_token", harness.Get("/v1/forward-auth", token))
		}
		for _, token := range []string{me, got.Str("id_token"), got.Str("refresh_token"), "x"} {
			if info := a.userInfo(token); info.Status != 401 {
				t.Errorf("userinfo takes it: %d", info.Status)
			}
		}
		asking := harness.Request{Method: "POST", Path: "/v1/token/introspect", Body: "token=" + got.Str("access_token"),
			ContentType: "application/x-www-form-urlencoded", Header: http.Header(service)}
		if told := h.Expect(200, "", asking); told.Fields["active"] != false {
			t.Errorf("a service is told of an application's token: %s", told.Text)
		}
		asking.Path, asking.Body = "/oauth2/introspect", "token="+me
		if told := h.Expect(200, "", asking); told.Fields["active"] != true {
			t.Errorf("a service is not told of a session's token at the shared endpoint: %s", told.Text)
		}
		asking.Path = "/oauth2/token"
		asking.Body = "grant_type=authorization_code&code=x"
		a.invalid(400, "unauthorized_client", asking)
		// An application that people sign in to learns nothing of sessions.
		for _, path := range []string{"/v1/token/introspect", "/v1/token/revoke"} {
			h.Expect(403, "unauthorized_client", a.form(path, url.Values{"token": {me}}))
		}
		h.Expect(403, "unauthorized_client", harness.Request{Method: "GET", Path: "/v1/revocations", Header: http.Header(harness.Basic(a.ID, a.secret))})
		h.Expect(200, "", harness.Get("/v1/me", me))
	})
}

// How an application shows who it is: by its secret, in one way at a time. What has none can't be taken for one that has.
func TestASVS_V10_4_10_HowApplicationsShowWhoTheyAre(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		a, spa, b := register(h, "app", client.Web, firstParty), register(h, "spa", client.SPA, firstParty), h.Browser()
		post := func(code string, more url.Values) harness.Request {
			in := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
			for name, values := range more {
				in[name] = values
			}
			return harness.Request{Method: "POST", Path: "/oauth2/token", Body: in.Encode(), ContentType: "application/x-www-form-urlencoded"}
		}
		code := a.code(a.through(b))
		wrong := h.Do(a.form("/oauth2/token", url.Values{}))
		if wrong.Status != 400 || wrong.Str("error") != "invalid_request" || !strings.HasPrefix(wrong.Header.Get("Content-Type"), "application/json") {
			t.Errorf("no grant_type: %d %s %s", wrong.Status, wrong.Header.Get("Content-Type"), wrong.Text)
		}
		a.invalid(401, "invalid_client", post(code, nil))
		a.invalid(401, "invalid_client", post(code, url.Values{"client_id": {a.ID}}))
		a.invalid(401, "invalid_client", post(code, url.Values{"client_id": {a.ID}, "client_secret": {"x"}}))
		a.invalid(401, "invalid_client", post(code, url.Values{"client_id": {spa.ID}, "client_secret": {a.secret}}))
		both := post(code, url.Values{"client_id": {a.ID}, "client_secret": {a.secret}})
		both.Header = http.Header(harness.Basic(a.ID, a.secret))
		a.invalid(400, "invalid_request", both)
		inURL := post(code, url.Values{"client_id": {a.ID}, "client_secret": {a.secret}})
		inURL.Path += "?client_id=" + a.ID
		a.invalid(400, "invalid_request", inURL)
		a.invalid(400, "unsupported_grant_type", a.form("/oauth2/token", url.Values{"grant_type": {"password"}}))
		h.Expect(200, "", post(code, url.Values{"client_id": {a.ID}, "client_secret": {a.secret}}))
		h.Expect(200, "", spa.exchanging(spa.code(spa.through(b))))
	})
}

// An application that is changed, disabled or deleted while somebody signs in to it gets nothing, and neither does one whose person lost the role.
func TestASVS_V10_4_7_AChangeInTheMiddle(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		o := h.Operator()
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		got := a.grant(b)
		code := a.code(a.through(b))
		page, _ := a.ask(b, "prompt", "consent")
		if _, err := o.DisableClient(t.Context(), "app", true, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		a.alive(t, false, got)
		a.invalid(401, "invalid_client", a.exchanging(code))
		if page, to := press(b, "/oauth2/consent", fields(page.Text).With("say", "yes")); to.Host != "" || page.Status != 400 {
			t.Errorf("a disabled application is answered: %s", to)
		}
		if _, err := o.DisableClient(t.Context(), "app", false, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		a.alive(t, true, got)
		page, _ = a.ask(b, "prompt", "consent")
		if _, err := o.SetClient(t.Context(), "app", func(s client.Settings) client.Settings {
			s.RedirectURIs = []string{"https://new.example.org/cb"}
			return s
		}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		h.Eventually("the change", func() (string, bool) {
			again, to := press(b, "/oauth2/consent", fields(page.Text).With("say", "yes"))
			return to.String(), to.Host == "" && again.Status == 400
		})
		if _, err := o.SetClient(t.Context(), "app", func(s client.Settings) client.Settings {
			s.RedirectURIs, s.RequireRoles = []string{redirect}, []string{"staff"}
			return s
		}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		h.Eventually("the role", func() (string, bool) {
			page, to := a.ask(b)
			return to.String() + page.Text, page.Status == 403 && strings.Contains(page.Text, "Back to app")
		})
		a.invalid(400, "invalid_grant", a.refreshing(got.Str("refresh_token")))
		page, _ = a.ask(b)
		a.refused(say(b, page, "no"), "access_denied")
		if _, err := o.SetRoles(t.Context(), ada, []string{"staff"}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		a.code(a.through(b))
	})
}

// Signing out of one application signs out of all that were signed in to from here; no link does it without the person, save that of an application
// that shows whose session it means.
func TestASVS_V10_6_2_SigningOut(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a, other, b := register(h, "app", client.Web, firstParty), register(h, "other", client.Web, firstParty), h.Browser()
		mine, others := a.grant(b), other.grant(b)
		bye := "https://app.example.org/bye"
		end := func(b *harness.Browser, more ...string) (harness.Answer, *url.URL) {
			q := url.Values{}
			for i := 0; i < len(more); i += 2 {
				q.Set(more[i], more[i+1])
			}
			return walk(b, "/oauth2/end-session?"+q.Encode())
		}
		hint := mine.Str("id_token")
		for name, more := range map[string][]string{
			"nothing": {}, "another's hint": {"id_token_hint", other.grant(h.Browser()).Str("id_token"), "post_logout_redirect_uri", bye},
			"a forged hint": {"id_token_hint", altered(hint), "post_logout_redirect_uri", bye},
			"no hint":       {"client_id", a.ID, "post_logout_redirect_uri", bye},
		} {
			page, to := end(b, more...)
			if to.Host != "" || !strings.Contains(page.Text, `action="/oauth2/leave"`) {
				t.Errorf("%s: nobody is asked: %s", name, to)
			}
		}
		a.alive(t, true, mine, others)
		clock.Shift(20 * time.Minute) // the hint has expired, and is as good
		if page, to := end(b, "id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example.org/"); to.Host != "" ||
			!strings.Contains(page.Text, "You are signed out") {
			t.Errorf("an address that is not registered: %s", to)
		}
		a.invalid(400, "invalid_grant", a.refreshing(mine.Str("refresh_token")))
		a.invalid(400, "invalid_grant", other.refreshing(others.Str("refresh_token")))
		// Once more, with everything right.
		mine = a.grant(b)
		_, to := end(b, "id_token_hint", mine.Str("id_token"), "post_logout_redirect_uri", bye, "state", "s t&a")
		if to.String() != bye+"?state=s+t%26a" {
			t.Errorf("it leads to %s", to)
		}
		if _, to := a.ask(b, "prompt", "none"); to.Query().Get("error") != "login_required" {
			t.Errorf("still signed in: %s", to)
		}
		if _, to := end(b, "client_id", a.ID, "post_logout_redirect_uri", bye); to.String() != bye {
			t.Errorf("nobody is signed in, and it leads to %s", to)
		}
		// Asked, and said yes.
		a.grant(b)
		page, _ := end(b, "client_id", a.ID, "post_logout_redirect_uri", bye)
		if _, to := press(b, "/oauth2/leave", fields(page.Text)); to.String() != bye {
			t.Errorf("it leads to %s", to)
		}
	})
}

// Scripts of applications in browsers may ask for their own tokens, without credentials; other sites' may not.
func TestASVS_V3_4_2_ScriptsOfApplications(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		register(h, "web", client.Web, func(s *client.Settings) { s.RedirectURIs = []string{"https://web.example.org/cb"} })
		spa := register(h, "spa", client.SPA)
		ask := func(path, origin string) http.Header {
			return h.Do(harness.Request{Method: "OPTIONS", Path: path, Header: http.Header{
				"Origin": {origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type"},
			}}).Header
		}
		h.Eventually("the registration", func() (string, bool) {
			got := ask("/oauth2/token", "https://app.example.org")
			return got.Get("Access-Control-Allow-Origin"), got.Get("Access-Control-Allow-Origin") == "https://app.example.org"
		})
		if got := ask("/oauth2/token", "https://app.example.org"); got.Get("Access-Control-Allow-Credentials") != "" {
			t.Error("with credentials")
		}
		for _, origin := range []string{"https://web.example.org", "https://evil.example.org", "http://app.example.org", "null"} {
			if got := ask("/oauth2/token", origin).Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("%s may ask: %s", origin, got)
			}
		}
		for _, path := range []string{"/v1/login", "/oauth2/introspect", "/oauth2/authorize", "/v1/me"} {
			if got := ask(path, "https://app.example.org").Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("%s: %s", path, got)
			}
		}
		if _, err := h.Operator().DisableClient(t.Context(), spa.ID, true, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		h.Eventually("the disabling", func() (string, bool) {
			got := ask("/oauth2/token", "https://app.example.org").Get("Access-Control-Allow-Origin")
			return got, got == ""
		})
	})
}
