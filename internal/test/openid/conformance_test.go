package openid

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// withQuery is a redirect URI with a query of its own, which answers keep.
const withQuery = redirect + "?of=app"

// TestConformance asks what the modules of the OpenID Foundation's suite ask of a provider (Basic, Config, Form Post and RP-initiated logout), in
// essence: each row is one line of that table, by its name. Back-channel logout and the rotation of keys have tests of their own
// (TestOIDC_BackChannel_Conformance, TestJWT1_AnIDTokenVerifiesUntilItEnds).
func TestConformance(t *testing.T) {
	rows := map[string]func(a app, clock *harness.Clock){
		"discovery": conformsDiscovery, "code": conformsCode, "redirect URIs": conformsRedirects, "ID token": conformsIDToken, "userinfo": conformsUserInfo,
		"scopes": conformsScopes, "other parameters": conformsParameters, "prompt=login and max_age": conformsAgain, "prompt=none": conformsNone,
		"a code again": conformsCodeAgain, "client authentication": conformsAuthentication, "request objects": conformsRequestObjects,
		"refresh": conformsRefresh, "form_post": conformsFormPost, "end-session": conformsEndSession,
	}
	each(t, func(h *harness.Server, clock *harness.Clock) {
		verified(h, ada)
		a := register(h, "conformance", client.Web, firstParty, func(s *client.Settings) {
			s.RedirectURIs = append(s.RedirectURIs, withQuery)
			s.ResponseModes, s.PKCEOptional = client.ResponseModes(), true // theirs has no PKCE
		})
		for _, name := range slices.Sorted(maps.Keys(rows)) {
			h.Run(name, func(t *testing.T) {
				rows[name](app{&harness.Server{T: t, App: h.App, DBURL: h.DBURL, Logs: h.Logs, Stop: h.Stop, Front: h.Front}, a.Client, a.secret}, clock)
			})
		}
	})
}

// has reports whether a list of an answer has all of these.
func has(a harness.Answer, name string, want ...string) bool {
	list, _ := a.Fields[name].([]any)
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(list, any(w)) })
}

func conformsDiscovery(a app, _ *harness.Clock) {
	said := a.Expect(200, "", harness.Get("/.well-known/openid-configuration"))
	if said.Str("issuer") != a.URL() || !strings.HasPrefix(said.Header.Get("Content-Type"), "application/json") {
		a.Errorf("issuer %q, %s", said.Str("issuer"), said.Header.Get("Content-Type"))
	}
	for name, value := range said.Fields {
		if at, ok := value.(string); ok && (strings.HasSuffix(name, "_endpoint") || name == "jwks_uri") && !strings.HasPrefix(at, a.URL()+"/") {
			a.Errorf("%s is %s", name, at)
		}
	}
	for name, want := range map[string][]string{
		"response_types_supported": {"code"}, "subject_types_supported": {"public"}, "id_token_signing_alg_values_supported": {"RS256"},
		"scopes_supported": {"openid"}, "code_challenge_methods_supported": {"S256"}, "response_modes_supported": {"query", "form_post"},
		"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"claims_supported":                      {"sub", "iss", "auth_time", "email"}, "grant_types_supported": {"authorization_code", "refresh_token"},
	} {
		if !has(said, name, want...) {
			a.Errorf("%s: %v", name, said.Fields[name])
		}
	}
	for _, name := range []string{"request_uri_parameter_supported", "request_parameter_supported", "claims_parameter_supported"} {
		if value, ok := said.Fields[name].(bool); !ok || value {
			a.Errorf("%s: %v", name, said.Fields[name])
		}
	}
	keys, _ := a.Expect(200, "", harness.Get("/.well-known/jwks.json")).Fields["keys"].([]any)
	kids := map[any]bool{}
	for _, one := range keys {
		k, _ := one.(map[string]any)
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if _, there := k[private]; there {
				a.Errorf("a published key has %s", private)
			}
		}
		kids[k["kid"]] = true
	}
	if len(keys) == 0 || len(kids) != len(keys) || kids[nil] || kids[""] {
		a.Errorf("%d keys, and their names are %v", len(keys), kids)
	}
}

func conformsCode(a app, _ *harness.Clock) {
	b := a.Browser()
	a.grant(b)
	for name, more := range map[string][]string{
		"scopes in another order": {"scope", "email openid profile"}, "an unknown parameter": {"extra", "foobar"}, "a valid challenge": nil,
	} {
		if to := a.through(b, more...); a.code(to) == "" {
			a.Errorf("%s: %s", name, to)
		}
	}
	q := a.parameters()
	names := slices.Sorted(maps.Keys(q))
	slices.Reverse(names)
	var turned []string
	for _, name := range names {
		turned = append(turned, name+"="+url.QueryEscape(q.Get(name)))
	}
	_, to := walk(b, "/oauth2/authorize?"+strings.Join(turned, "&"))
	a.Expect(200, "", a.exchanging(a.code(to)))
	// Without PKCE, as theirs.
	a.Expect(200, "", a.exchanging(a.code(a.through(b, "code_challenge", "", "code_challenge_method", "")), "code_verifier", ""))
	// By POST.
	posted := b.Send(harness.Request{
		Method: "POST", Path: "/oauth2/authorize", Body: q.Encode(), ContentType: "application/x-www-form-urlencoded",
		Header: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://app.example.org"}},
	})
	_, next, _ := strings.Cut(posted.Header.Get("Refresh"), "url=")
	_, to = walk(b, next)
	a.Expect(200, "", a.exchanging(a.code(to)))
}

func conformsRedirects(a app, _ *harness.Clock) {
	b := a.Browser()
	_, to := a.ask(b, "response_type", "")
	a.refused(to, "invalid_request")
	for name, uri := range map[string]string{
		"none, and two are registered": "", "not registered": "https://app.example.org/other", "a query added": redirect + "?foo=bar",
		"another query": redirect + "?of=another", "a query added to one": withQuery + "&foo=bar",
	} {
		if page, to := a.ask(b, "redirect_uri", uri); to.Host != "" || page.Status != 400 {
			a.Errorf("%s: %d, leads to %s", name, page.Status, to)
		}
	}
	to = a.through(b, "redirect_uri", withQuery)
	if to.Query().Get("of") != "app" {
		a.Errorf("the query is not kept: %s", to)
	}
	a.Expect(200, "", a.exchanging(a.code(to), "redirect_uri", withQuery))
}

func conformsIDToken(a app, clock *harness.Clock) {
	b := a.Browser()
	got := a.grant(b)
	raw := got.Str("id_token")
	if alg := harness.HeaderOf(raw).Alg; alg != "RS256" {
		a.Errorf("signed with %s", alg)
	}
	c := a.claims(raw) // by the published key of its kid; iss and aud
	sum := sha256.Sum256([]byte(got.Str("access_token")))
	iat, _ := c["iat"].(float64)
	exp, _ := c["exp"].(float64)
	if now := clock.Now(); c["nonce"] != "the nonce" || c["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:16]) || iat > float64(now.Unix()+60) ||
		iat < float64(now.Unix()-600) || exp <= iat || c["sub"] == "" || c["sub"] == nil {
		a.Errorf("%v", c)
	}
	if c := a.claims(a.grant(b, "nonce", "").Str("id_token")); c["nonce"] != nil {
		a.Errorf("a nonce that was not sent: %v", c["nonce"])
	}
}

func conformsUserInfo(a app, _ *harness.Clock) {
	got := a.grant(a.Browser())
	access, sub := got.Str("access_token"), a.claims(got.Str("id_token"))["sub"]
	post := harness.Request{Method: "POST", Path: "/oauth2/userinfo", Bearer: access}
	for how, r := range map[string]harness.Request{"GET": harness.Get("/oauth2/userinfo", access), "POST": post} {
		told := a.Expect(200, "", r)
		if verified, ok := told.Fields["email_verified"].(bool); told.Str("sub") != sub || !ok || !verified || told.Str("email") != ada {
			a.Errorf("%s: %s", how, told.Text)
		}
	}
	body := a.Do(harness.Request{Method: "POST", Path: "/oauth2/userinfo", Body: "access_token=" + access, ContentType: "application/x-www-form-urlencoded"})
	if body.Status != 401 { // a warning of theirs: a token belongs into the header alone (RFC 6750 section 2.2)
		a.Errorf("a token in the body: %d", body.Status)
	}
}

func conformsScopes(a app, _ *harness.Clock) {
	b := a.Browser()
	for scope, want := range map[string][]string{
		"openid": {"sub"}, "openid email": {"sub", "email", "email_verified"}, "openid profile email": {"sub", "preferred_username", "email"},
		"openid profile email address phone": {"sub", "email"}, "openid address": {"sub"}, "openid phone": {"sub"},
	} {
		got := a.grant(b, "scope", scope)
		told, c := a.userInfo(got.Str("access_token")), a.claims(got.Str("id_token"))
		for _, name := range want {
			if told.Fields[name] == nil || c[name] == nil {
				a.Errorf("%q: %s is not told: %s, %v", scope, name, told.Text, c)
			}
		}
		if strings.Contains(got.Str("scope"), "address") || told.Fields["email"] != nil && !strings.Contains(scope, "email") {
			a.Errorf("%q: granted %q, told %s", scope, got.Str("scope"), told.Text)
		}
	}
}

func conformsParameters(a app, _ *harness.Clock) {
	b := a.Browser()
	a.grant(b)
	essential := `{"userinfo":{"name":{"essential":true}},"id_token":{"email":{"essential":true}}}`
	for name, value := range map[string]string{
		"display": "popup", "ui_locales": "se", "claims_locales": "de", "login_hint": ada, "claims": essential, "acr_values": "1fa 2fa",
	} {
		c := a.claims(a.grant(b, name, value).Str("id_token"))
		if name == "acr_values" && !slices.Contains([]any{"1fa", "2fa"}, c["acr"]) {
			a.Errorf("acr %v", c["acr"])
		}
	}
}

func conformsAgain(a app, clock *harness.Clock) {
	b := a.Browser()
	before := a.claims(a.grant(b).Str("id_token"))
	for _, more := range [][]string{{"prompt", "login"}, {"max_age", "1"}} {
		clock.Shift(2 * time.Second)
		page, to := a.ask(b, more...)
		if to.Host != "" || !strings.Contains(page.Text, `action="/login"`) {
			a.Fatalf("%v: nobody signs in a second time: %s", more, to)
		}
		_, to = signIn(b, page, ada)
		now := a.claims(a.Expect(200, "", a.exchanging(a.code(to))).Str("id_token"))
		if at, _ := now["auth_time"].(float64); at <= before["auth_time"].(float64) || float64(clock.Now().Unix())-at > 120 || now["sub"] != before["sub"] {
			a.Errorf("%v: %v, and before %v", more, now, before)
		}
		before = now
	}
}

func conformsNone(a app, clock *harness.Clock) {
	b := a.Browser()
	page, to := a.ask(b, "prompt", "none")
	a.refused(to, "login_required")
	if to.Query().Get("state") != "the state" || strings.Contains(page.Text, "<form") {
		a.Errorf("it leads to %s", to)
	}
	raw := a.grant(b).Str("id_token")
	first := a.claims(raw)
	clock.Shift(2 * time.Second)
	for _, more := range [][]string{nil, {"id_token_hint", raw}, {"max_age", "10000"}} {
		_, to := a.ask(b, append([]string{"prompt", "none"}, more...)...)
		c := a.claims(a.Expect(200, "", a.exchanging(a.code(to))).Str("id_token"))
		if c["sub"] != first["sub"] || c["auth_time"] != first["auth_time"] {
			a.Errorf("%v: %v, and before %v", more, c, first)
		}
	}
}

func conformsCodeAgain(a app, clock *harness.Clock) {
	b := a.Browser()
	for _, later := range []time.Duration{0, 30 * time.Second} {
		code := a.code(a.through(b))
		access := a.Expect(200, "", a.exchanging(code)).Str("access_token")
		clock.Shift(later)
		a.invalid(400, "invalid_grant", a.exchanging(code))
		a.Eventually("the end of the first token", func() (string, bool) {
			got := a.userInfo(access)
			return got.Text, got.Status == 401
		})
	}
}

func conformsAuthentication(a app, _ *harness.Clock) {
	b := a.Browser()
	a.Expect(200, "", a.exchanging(a.code(a.through(b)))) // client_secret_basic; that of an assertion is TestASVS_V10_4_16_ApplicationsWithKeys
	in := url.Values{
		"grant_type": {"authorization_code"}, "code": {a.code(a.through(b))}, "redirect_uri": {redirect}, "code_verifier": {verifier},
		"client_id": {a.ID}, "client_secret": {a.secret},
	}
	a.Expect(200, "", harness.Request{Method: "POST", Path: "/oauth2/token", Body: in.Encode(), ContentType: "application/x-www-form-urlencoded"})
}

func conformsRequestObjects(a app, _ *harness.Clock) {
	b := a.Browser()
	claims, err := json.Marshal(map[string]string{"client_id": a.ID, "redirect_uri": redirect, "response_type": "code", "scope": "openid"})
	if err != nil {
		a.Fatal(err)
	}
	b64 := base64.RawURLEncoding
	unsigned := b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b64.EncodeToString(claims) + "."
	_, to := a.ask(b, "request", unsigned)
	a.refused(to, "request_not_supported")
	_, to = a.ask(b, "request_uri", "https://app.example.org/request.jwt")
	a.refused(to, "request_uri_not_supported")
}

func conformsRefresh(a app, clock *harness.Clock) {
	b := a.Browser()
	got := a.grant(b, "scope", "openid offline_access", "prompt", "consent")
	first := a.claims(got.Str("id_token"))
	if strings.Trim(got.Str("refresh_token"), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") != "" {
		a.Error("the refresh token has other characters than those of RFC 6749, appendix A.17")
	}
	clock.Shift(2 * time.Second)
	other := register(a.Server, "another", client.Web, firstParty)
	other.invalid(400, "invalid_grant", other.refreshing(got.Str("refresh_token")))
	next := a.Expect(200, "", a.refreshing(got.Str("refresh_token")))
	c := a.claims(next.Str("id_token"))
	for _, same := range []string{"iss", "sub", "aud", "azp", "auth_time", "sid"} {
		if c[same] != first[same] {
			a.Errorf("%s is %v, and was %v", same, c[same], first[same])
		}
	}
	if c["iat"].(float64) < first["iat"].(float64) || c["nonce"] != nil {
		a.Errorf("%v, and before %v", c, first)
	}
	if told := a.userInfo(next.Str("access_token")); told.Status != 200 {
		a.Errorf("its access token: %s", told.Text)
	}
}

func conformsFormPost(a app, _ *harness.Clock) {
	b := a.Browser()
	a.grant(b)
	sent := func(more ...string) harness.Body {
		a.Helper()
		page, to := a.ask(b, append([]string{"response_mode", "form_post"}, more...)...)
		if to.Host != "" || !strings.Contains(page.Text, `<form method="post" action="`+redirect+`" data-send>`) {
			a.Fatalf("no form: %s\n%s", to, page.Text)
		}
		return fields(page.Text)
	}
	in := sent()
	if in["state"] != "the state" || in["iss"] != a.URL() {
		a.Errorf("%v", in)
	}
	a.Expect(200, "", a.exchanging(in["code"]))
	for want, more := range map[string][]string{"login_required": {"prompt", "none", "id_token_hint", "x.y.z"}, "request_not_supported": {"request", "x.y.z"}} {
		if in := sent(more...); in["error"] != want || in["state"] != "the state" || in["iss"] != a.URL() || in["code"] != "" {
			a.Errorf("%s: %v", want, in)
		}
	}
}

func conformsEndSession(a app, _ *harness.Clock) {
	b, bye := a.Browser(), "https://app.example.org/bye"
	end := func(more ...string) (harness.Answer, *url.URL) {
		a.Helper()
		q := url.Values{}
		for i := 0; i < len(more); i += 2 {
			q.Set(more[i], more[i+1])
		}
		return walk(b, "/oauth2/end-session?"+q.Encode())
	}
	for _, state := range []string{"the state", ""} {
		more := []string{"id_token_hint", a.grant(b).Str("id_token"), "post_logout_redirect_uri", bye}
		want := bye
		if state != "" {
			more, want = append(more, "state", state), bye+"?state=the+state"
		}
		if _, to := end(more...); to.String() != want {
			a.Errorf("it leads to %s, want %s", to, want)
		}
		_, to := a.ask(b, "prompt", "none")
		a.refused(to, "login_required")
	}
	hint := a.grant(b).Str("id_token")
	parts := strings.Split(hint, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	for name, more := range map[string][]string{
		"not registered": {"id_token_hint", hint, "post_logout_redirect_uri", "https://app.example.org/other"},
		"a query added":  {"id_token_hint", hint, "post_logout_redirect_uri", bye + "?foo=bar"},
		"no hint":        {"post_logout_redirect_uri", bye},
		"alg none":       {"id_token_hint", none, "post_logout_redirect_uri", bye},
		"another signer": {"id_token_hint", altered(hint), "post_logout_redirect_uri", bye},
		"nothing":        {}, "only state": {"state", "the state"}, "no address": {"id_token_hint", hint},
	} {
		a.grant(b)
		page, to := end(more...)
		if to.Host != "" {
			a.Errorf("%s: it leads to %s", name, to)
		}
		if strings.Contains(page.Text, `action="/oauth2/leave"`) { // asked, and said yes
			page, to = press(b, "/oauth2/leave", fields(page.Text))
		}
		if to.Host != "" || !strings.Contains(page.Text, "You are signed out") {
			a.Errorf("%s: it leads to %s", name, to)
		}
	}
}
