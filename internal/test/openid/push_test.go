package openid

import (
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// push sends a request ahead of the browser, and returns where the browser goes.
func (a app) push(more ...string) (path string) {
	a.Helper()
	got := a.Expect(201, "", a.form("/oauth2/par", a.parameters(more...)))
	uri := got.Str("request_uri")
	if got.Fields["expires_in"] != 90.0 || !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || len(uri) < 70 ||
		got.Header.Get("Cache-Control") != "no-store" {
		a.Fatalf("%v %s", got.Header, got.Text)
	}
	return "/oauth2/authorize?" + url.Values{"client_id": {a.ID}, "request_uri": {uri}}.Encode()
}

// A request that is pushed (RFC 9126) is what counts, whatever else the browser brings; it is one application's, lives for 90 seconds, and is good
// for one code.
func TestASVS_V10_4_13_PushedRequests(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a, other, b := register(h, "app", client.Web), register(h, "spa", client.SPA, firstParty), h.Browser()
		path := a.push()
		page, _ := walk(b, path)
		page, _ = signIn(b, page, ada)
		walk(b, path) // a reload
		code := a.code(say(b, page, "yes"))
		h.Expect(200, "", a.exchanging(code))
		over := func(what, path string) {
			t.Helper()
			if page, to := walk(b, path); to.Host != "" || page.Status != 400 || !strings.Contains(page.Text, "used before") {
				t.Errorf("%s: %d, leads to %s", what, page.Status, to)
			}
		}
		over("a second time", path)
		if page, to := press(b, "/oauth2/consent", fields(page.Text).With("say", "yes")); to.Host != "" || page.Status != 400 {
			t.Errorf("the form a second time: %d, leads to %s", page.Status, to)
		}
		theirs := other.push()
		_, to := walk(b, theirs+"&redirect_uri=https://evil.example.org/&state=another&scope=email&prompt=none&client_secret=x")
		if got := h.Expect(200, "", other.exchanging(other.code(to))); got.Str("scope") != "openid profile email" {
			t.Errorf("the browser's own words count: %s", got.Text)
		}
		over("another application's", strings.Replace(a.push(), a.ID, other.ID, 1))
		over("one that nobody pushed", a.push()+"x")
		// Who takes long to sign in gets a code, though the row has gone by then, and gets one.
		slow := h.Browser()
		page, _ = walk(slow, a.push())
		clock.Shift(10 * time.Minute)
		if err := h.Mailbox().DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := grant.ForgetPushed(tx, clock.Now(), 100)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		page, to = signIn(slow, page, ada)
		h.Expect(200, "", a.exchanging(a.code(to)))
		old := a.push()
		clock.Shift(91 * time.Second)
		over("after its time", old)
	})
}

// What is wrong with a request is said where it is pushed, to the application and nobody else.
func TestASVS_V10_4_13_WhatIsNotPushed(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		a, b := register(h, "app", client.Web), h.Browser()
		for want, more := range map[string][]string{
			"invalid_request": {"redirect_uri", "https://evil.example.org/cb"}, "unsupported_response_type": {"response_type", "token"},
			"invalid_scope": {"scope", "unknown"}, "request_not_supported": {"request", "x.y.z"},
		} {
			a.invalid(400, want, a.form("/oauth2/par", a.parameters(more...)))
		}
		for _, more := range [][]string{{"request_uri", "urn:ietf:params:oauth:request_uri:x"}, {"code_challenge", ""}, {"state", strings.Repeat("x", 1025)},
			{"state", strings.Repeat("\x01", 1024), "nonce", strings.Repeat("\x01", 1024)}} {
			a.invalid(400, "invalid_request", a.form("/oauth2/par", a.parameters(more...)))
		}
		twice := a.form("/oauth2/par", a.parameters())
		twice.Body = twice.Body.(string) + "&scope=openid"
		a.invalid(400, "invalid_request", twice)
		stranger := a
		stranger.secret = "gatehouse_cs_wrong"
		a.invalid(401, "invalid_client", stranger.form("/oauth2/par", a.parameters()))
		stranger.secret = ""
		a.invalid(401, "invalid_client", stranger.form("/oauth2/par", a.parameters()))

		a.push("acr_values", strings.Repeat("2fa ", 10000), "state", strings.Repeat("<", 1024), "nonce", strings.Repeat("&", 1024))
		if n := h.Count(`SELECT MAX(LENGTH(sealed)) FROM pushed_request`); n > 12<<10 {
			t.Errorf("a row of %d bytes", n)
		}

		strict := register(h, "strict", client.Web, func(s *client.Settings) { s.RequirePAR = true })
		_, to := strict.ask(b)
		strict.refused(to, "invalid_request")
		if page, to := walk(b, strict.push()); to.Host != "" || !strings.Contains(page.Text, `action="/login"`) {
			t.Errorf("a pushed request: %d, leads to %s", page.Status, to)
		}
		// Who began before the setting begins again.
		page, _ := a.ask(b)
		if _, err := h.Operator().SetClient(t.Context(), "app", func(s client.Settings) client.Settings {
			s.RequirePAR = true
			return s
		}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		h.Register(ada)
		h.Eventually("the setting", func() (string, bool) {
			page, _ := signIn(h.Browser(), page, ada)
			return page.Text, page.Status == 400 && strings.Contains(page.Text, "used before")
		})
	})
}

// Sixteen browsers bring one pushed request at once, and one gets a code.
func TestASVS_V10_4_13_APushedRequestIsGoodOnce(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		a := register(h, "app", client.Web, firstParty)
		browsers := make([]*harness.Browser, 16)
		for i := range browsers {
			browsers[i] = h.Browser()
			a.grant(browsers[i])
		}
		path := a.push()
		onward := make([]string, len(browsers))
		for i, b := range browsers {
			onward[i] = b.Send(harness.Get(path)).Header.Get("Location")
		}
		var (
			all   sync.WaitGroup
			codes atomic.Int64
		)
		for i, b := range browsers {
			all.Go(func() {
				if _, to := walk(b, onward[i]); to.Query().Get("code") != "" {
					codes.Add(1)
				}
			})
		}
		all.Wait()
		if n := codes.Load(); n != 1 {
			t.Errorf("%d codes", n)
		}
	}, "API_RATE_LIMIT_REQUESTS=100000")
}
