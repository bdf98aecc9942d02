package openid

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestRFC9700 reads section 4 of the best current practice for OAuth as a list, a row a section. What has tests of its own elsewhere: 4.1 redirect URIs
// (TestCVE_2026_3872_…, TestASVS_V10_4_1_…), 4.6 and 4.10 tokens for one purpose (TestASVS_V10_3_1_V10_3_2_…), 4.13 proxies (package proxies),
// 4.14 refresh tokens (TestASVS_V10_4_5_…).
func TestRFC9700(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		verified(h, ada)
		made := register(h, "app", client.Web, firstParty, func(s *client.Settings) { s.PKCEOptional = true })
		row := func(name string, check func(a app)) {
			h.Run(name, func(t *testing.T) {
				check(app{&harness.Server{T: t, App: h.App, DBURL: h.DBURL, Logs: h.Logs, Stop: h.Stop, Front: h.Front}, made.Client, made.secret})
			})
		}
		row("4.2, 4.3, 4.12, 4.16: what an answer gives away", leaksNothing)
		row("4.4: mix-up", func(a app) {
			b := a.Browser()
			_, refused := a.ask(b, "prompt", "none")
			for _, to := range []*url.URL{a.through(b), refused} {
				if iss := to.Query()["iss"]; len(iss) != 1 || iss[0] != a.URL() {
					a.Errorf("who answers is %v: %s", iss, to)
				}
			}
		})
		row("4.5: a code in another's browser", func(a app) {
			code := a.code(a.through(a.Browser()))
			other := a.exchanging(code, "code_verifier", strings.Repeat("x", 43)) // that of the browser that it was put into
			a.invalid(400, "invalid_grant", other)
			if got := a.claims(a.Expect(200, "", a.exchanging(code)).Str("id_token")); got["nonce"] != "the nonce" {
				a.Errorf("the nonce is %v", got["nonce"])
			}
		})
		row("4.7: state comes back as it was", func(a app) {
			b := a.Browser()
			a.grant(b)
			for _, state := range []string{"x", "a b&c=d+e%20#?", "ünïcode", `"<script>`} {
				if got := a.through(b, "state", state).Query().Get("state"); got != state {
					a.Errorf("%q came back as %q", state, got)
				}
			}
		})
		row("4.8: PKCE taken out on the way", func(a app) {
			b := a.Browser()
			with, without := a.code(a.through(b)), a.code(a.through(b, "code_challenge", "", "code_challenge_method", ""))
			a.invalid(400, "invalid_grant", a.exchanging(with, "code_verifier", ""))
			a.invalid(400, "invalid_grant", a.exchanging(without))
			a.Expect(200, "", a.exchanging(with))
			a.Expect(200, "", a.exchanging(without, "code_verifier", ""))
		})
		row("4.11: no signpost to elsewhere", func(a app) {
			for _, path := range []string{
				"/oauth2/authorize?client_id=" + a.ID + "&redirect_uri=https://evil.example.org/&response_type=x",
				"/oauth2/end-session?post_logout_redirect_uri=https://evil.example.org/&client_id=" + a.ID,
				"/oauth2/end-session?post_logout_redirect_uri=//evil.example.org/", "/login?return_to=https://evil.example.org/",
				"/login?return_to=//evil.example.org/", "/login?return_to=/%5Cevil.example.org/",
			} {
				page, to := walk(a.Browser(), path)
				if to.Host != "" || strings.Contains(page.Text, `href="https://evil`) {
					a.Errorf("%s leads to %s", path, to)
				}
			}
		})
		row("4.15: no application is a person", func(a app) {
			sub := a.claims(a.grant(a.Browser()).Str("id_token"))["sub"]
			if n := a.Count(`SELECT COUNT(*) FROM account WHERE id IN (SELECT id FROM client)`); n != 0 || sub == a.ID {
				a.Errorf("%d accounts have the id of an application", n)
			}
		})
	})
}

// leaksNothing looks at what leads back to an application, and at the pages on the way: no address of ours is told on, nothing is kept or framed,
// and no form is sent on by the browser.
func leaksNothing(a app) {
	b := a.Browser()
	page, to := a.ask(b)
	if to.Host != "" {
		a.Fatalf("nobody is asked: %s", to)
	}
	in := fields(page.Text)
	delete(in, "csrf_token")
	in["email"], in["password"] = ada, harness.Passphrase
	sent := b.Send(harness.Press("/login", in))
	for range 10 {
		if sent.Status != http.StatusSeeOther { // 307 would post the password on
			a.Fatalf("answered %d", sent.Status)
		}
		at := sent.Header.Get("Location")
		if at[0] != '/' {
			break
		}
		sent = b.Send(harness.Request{Method: "GET", Path: at, Header: http.Header{
			"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
		}})
	}
	if !strings.HasPrefix(sent.Header.Get("Location"), redirect+"?") || strings.Contains(sent.Header.Get("Location"), "token") {
		a.Fatalf("it leads to %s", sent.Header.Get("Location"))
	}
	for name, got := range map[string]harness.Answer{"the sign-in page": page, "the answer": sent} {
		h := got.Header
		if !strings.Contains(h.Get("Cache-Control"), "no-store") {
			a.Errorf("%s may be kept: %q", name, h.Get("Cache-Control"))
		}
		if p := h.Get("Referrer-Policy"); p != "no-referrer" && p != "same-origin" {
			a.Errorf("%s: Referrer-Policy %q", name, p)
		}
	}
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || page.Header.Get("X-Frame-Options") != "DENY" {
		a.Errorf("the page may be framed: %q", csp)
	}
	if sent.Header.Get("Referrer-Policy") != "no-referrer" {
		a.Errorf("the answer: Referrer-Policy %q", sent.Header.Get("Referrer-Policy"))
	}
	got := a.Expect(200, "", a.exchanging(a.code(a.through(b))))
	if h := got.Header; h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" {
		a.Errorf("the tokens may be kept: %v", h)
	}
}
