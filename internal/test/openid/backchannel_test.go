package openid

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

const (
	bob = "bob@example.org"
	bye = "https://app.example.org/bye"
)

// scene is a session that is about to end: a browser's, which is signed in to applications.
type scene struct {
	*harness.Server
	clock   *harness.Clock
	browser *harness.Browser
	session string
	bare    app
}

// ending is a way in which a session ends.
type ending struct {
	name string
	do   func(s scene)
}

func (s scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// revoke has an operator end sessions.
func (s scene) revoke(w operate.Which) {
	o := s.Operator()
	o.Now = s.clock.Now
	_, err := o.RevokeSessions(s.Context(), w, harness.OriginOfTests)
	s.must(err)
}

func (s scene) changePassword(access, from, to string) {
	s.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": from, "new_password": to}, access))
}

// endings are all ways but the end of its time, the last one of which nobody signs in after.
var endings = []ending{
	{"signing out", func(s scene) {
		page, _ := walk(s.browser, "/logout")
		press(s.browser, "/logout", fields(page.Text))
	}},
	{"its owner, from another session", func(s scene) {
		s.Expect(204, "", harness.Request{Method: "DELETE", Path: "/v1/sessions/" + s.session, Bearer: s.Login(ada).Str("access_token")})
	}},
	{"signing out everywhere", func(s scene) {
		s.Expect(204, "", harness.Post("/v1/logout-all", nil, s.Login(ada).Str("access_token")))
	}},
	{"signing out everywhere else", func(s scene) {
		s.Expect(204, "", harness.Post("/v1/logout-all", map[string]bool{"keep_current": true}, s.Login(ada).Str("access_token")))
	}},
	{"an operator, one session", func(s scene) { s.must(s.Operator().EndSession(s.Context(), s.session, harness.OriginOfTests)) }},
	{"an operator, a person's", func(s scene) {
		_, err := s.Operator().EndSessions(s.Context(), ada, harness.OriginOfTests)
		s.must(err)
	}},
	{"an operator, those of a network", func(s scene) { s.revoke(operate.Which{Account: ada, Network: netip.MustParsePrefix("127.0.0.0/8")}) }},
	{"an operator, everybody's", func(s scene) {
		s.revoke(operate.Which{})
		s.clock.Shift(3 * time.Second) // whoever signs in within two seconds has to do so again
	}},
	{"another person in the browser", func(s scene) {
		page, _ := s.bare.ask(s.browser, "prompt", "login")
		signIn(s.browser, page, bob)
	}},
	{"a refresh token of before", func(s scene) {
		b := s.browser
		old := b.Jar.Cookies(b.Origin())
		refresh := func() int {
			return b.Send(harness.Request{Method: "POST", Path: "/v1/token/refresh", Header: b.Csrf()}).Status
		}
		if refresh() != 200 || refresh() != 200 { //nolint:staticcheck // twice: each call makes another
			s.Fatal("no refresh")
		}
		b.Jar.SetCookies(b.Origin(), old)
		if got := refresh(); got != 401 {
			s.Fatalf("a refresh token from before works: %d", got)
		}
	}},
	{"one session too many", func(s scene) {
		for range 3 {
			s.clock.Shift(time.Second)
			s.Login(ada)
		}
	}},
	{"a change of the password", func(s scene) {
		me := s.Login(ada).Str("access_token")
		s.changePassword(me, harness.Passphrase, harness.AnotherPassphrase)
		s.changePassword(me, harness.AnotherPassphrase, harness.Passphrase)
	}},
	{"disabling the account", func(s scene) {
		_, err := s.Operator().Disable(s.Context(), ada, harness.OriginOfTests)
		s.must(err)
		s.must(s.Operator().Enable(s.Context(), ada, harness.OriginOfTests))
	}},
	{"a reset of the password", func(s scene) {
		s.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		link := s.Mailbox().Last(ada, notice.ResetPassword).Link
		s.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": harness.TokenOf(s, link), "new_password": harness.AnotherPassphrase}))
		me := s.Expect(200, "", harness.Post("/v1/login", harness.Credentials{Email: ada, Password: harness.AnotherPassphrase})).Str("access_token")
		s.changePassword(me, harness.AnotherPassphrase, harness.Passphrase)
	}},
	{"an operator who demands a new password", func(s scene) {
		_, _, err := s.Operator().ResetUser(s.Context(), ada, harness.OriginOfTests)
		s.must(err)
	}},
}

// Back-Channel Logout section 2.5: however a session ends, each application that it was signed in to is told once, with the names that its ID
// token had; and one without an address, or of another session, is told nothing.
func TestOIDC_BackChannel_EachWayTellsEachApplicationOnce(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		h.Register(bob)
		here, there, bobs := listen(t, nil), listen(t, nil), listen(t, nil)
		a, other, bare := register(h, "app", client.Web, here.told), register(h, "other", client.Web, there.told), register(h, "bare", client.Web, firstParty)
		theirs := h.Browser()
		page, _ := register(h, "bobs", client.Web, bobs.told).ask(theirs)
		signIn(theirs, page, bob)
		for i, way := range endings {
			b := h.Browser()
			id := a.claims(a.grant(b, "scope", "openid offline_access").Str("id_token"))
			a.grant(b) // a second tab
			other.grant(b)
			bare.grant(b)
			way.do(scene{h, clock, b, id["sid"].(string), bare})
			for name, l := range map[*app]*listener{&a: here, &other: there} {
				if told := name.logout(l.await(h, i+1)); told["sid"] != id["sid"] || told["sub"] != id["sub"] {
					t.Fatalf("%s: %s is told %v, but the ID token said %v", way.name, name.Name, told, id)
				}
			}
			untold(h)
			if n, m := len(here.heard()), len(there.heard()); n != i+1 || m != i+1 {
				t.Fatalf("%s: told %d and %d times, want %d", way.name, n, m, i+1)
			}
		}
		if n := len(bobs.heard()); n > 1 { // everybody's sessions ended once
			t.Errorf("bob's application is told %d times", n)
		}
		if n := h.Count(`SELECT COUNT(*) FROM session_client`); n != 1 { // bob, in ada's browser, at bare
			t.Errorf("%d rows of where sessions are signed in are left", n)
		}
	}, "SESSIONS_PER_ACCOUNT=3")
}

// A session that another of the same person takes the place of has not ended for applications; it ends with the one in its place.
func TestOIDC_BackChannel_AReplacedSessionTellsNobody(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		l := listen(t, nil)
		a, b := register(h, "app", client.Web, l.told), h.Browser()
		before := a.claims(a.grant(b).Str("id_token"))
		for range 3 {
			a.grant(b, "prompt", "login")
		}
		if n, m := h.Count(`SELECT COUNT(*) FROM logout_notice`), h.Count(`SELECT COUNT(*) FROM session WHERE ended_why = 'replaced'`); n != 0 || m != 3 {
			t.Fatalf("%d notices of %d sessions that were replaced", n, m)
		}
		page, _ := walk(b, "/logout")
		press(b, "/logout", fields(page.Text))
		if told := a.logout(l.await(h, 1)); told["sid"] != before["sid"] {
			t.Errorf("told of %v, and it knows %v", told["sid"], before["sid"])
		}
		untold(h)
		if n := len(l.heard()); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

// A session whose time runs out ends as well: applications are told once what they were granted under it has run out too.
func TestOIDC_BackChannel_ASessionWhoseTimeRunsOut(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		used, unused := listen(t, nil), listen(t, nil)
		a, other, b := register(h, "app", client.Web, used.told), register(h, "other", client.Web, unused.told), h.Browser()
		got := a.grant(b)
		id := a.claims(got.Str("id_token"))
		other.grant(b, "scope", "openid offline_access")
		for range 2 {
			clock.Shift(4 * 24 * time.Hour)
			got = h.Expect(200, "", a.refreshing(got.Str("refresh_token")))
		}
		// The person has not been here for eight days, and uses one of the two applications.
		if told := other.logout(unused.await(h, 1)); told["sid"] != id["sid"] {
			t.Errorf("%v", told)
		}
		untold(h)
		if n := len(used.heard()); n != 0 {
			t.Errorf("the one that is in use is told %d times", n)
		}
		clock.Shift(8 * 24 * time.Hour)
		a.logout(used.await(h, 1))

		// In use, up to the end of its days.
		fresh := h.Browser()
		got = a.grant(fresh)
		for range 9 {
			clock.Shift(3 * 24 * time.Hour)
			h.Expect(200, "", a.refreshing(got.Str("refresh_token")))
			got = a.grant(fresh)
			if a := fresh.Send(harness.Request{Method: "POST", Path: "/v1/token/refresh", Header: fresh.Csrf()}); a.Status != 200 {
				t.Fatalf("refresh: %d %s", a.Status, a.Text)
			}
		}
		if n := len(used.heard()); n != 1 {
			t.Errorf("one that lives: told %d times", n)
		}
		clock.Shift(3*24*time.Hour + 3*time.Minute)
		a.logout(used.await(h, 2))
		untold(h)
		if n := h.Count(`SELECT COUNT(*) FROM session_client`); n != 0 || len(unused.heard()) != 1 || len(used.heard()) != 2 {
			t.Errorf("%d rows are left; told %d and %d times", n, len(unused.heard()), len(used.heard()))
		}
	})
}

// An application whose consent is taken back is told, and the others are not; it is told again when the session ends that it was signed in to anew.
func TestOIDC_BackChannel_ConsentTakenBack(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		here, there := listen(t, nil), listen(t, nil)
		a, other, b := register(h, "app", client.Web, here.told), register(h, "other", client.Web, there.told), h.Browser()
		first := a.claims(a.grant(b).Str("id_token"))
		other.grant(b)
		h.Expect(204, "", harness.Request{Method: "DELETE", Path: "/v1/me/applications/" + a.ID, Bearer: h.Login(ada).Str("access_token")})
		if told := a.logout(here.await(h, 1)); told["sid"] != first["sid"] {
			t.Errorf("%v", told)
		}
		untold(h)
		a.grant(b)
		page, _ := walk(b, "/logout")
		press(b, "/logout", fields(page.Text))
		other.logout(there.await(h, 1))
		if told := a.logout(here.await(h, 2)); told["sid"] != first["sid"] {
			t.Errorf("%v", told)
		}
		untold(h)
		if n, m := len(here.heard()), len(there.heard()); n != 2 || m != 1 {
			t.Errorf("told %d and %d times", n, m)
		}
	})
}

// The checks of the OpenID suite for the back channel: discovery says both; the logout token alone is posted, signed as ID tokens are; then the
// browser is led back with its state.
func TestOIDC_BackChannel_Conformance(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		said := h.Expect(200, "", harness.Get("/.well-known/openid-configuration"))
		if said.Fields["backchannel_logout_supported"] != true || said.Fields["backchannel_logout_session_supported"] != true {
			t.Errorf("discovery: %s", said.Text)
		}
		l := listen(t, nil)
		a, b := register(h, "app", client.Web, l.told), h.Browser()
		got := a.grant(b)
		id := a.claims(got.Str("id_token"))
		_, to := walk(b, "/oauth2/end-session?"+url.Values{
			"id_token_hint": {got.Str("id_token")}, "post_logout_redirect_uri": {bye}, "state": {"the state"},
		}.Encode())
		if to.String() != bye+"?state=the+state" {
			t.Errorf("it leads to %s", to)
		}
		told := a.logout(l.await(h, 1))
		for _, name := range []string{"iss", "aud", "sub", "sid"} {
			if told[name] != id[name] || told[name] == nil {
				t.Errorf("%s is %v, in the ID token %v", name, told[name], id[name])
			}
		}
		for name := range told {
			if !slices.Contains([]string{"iss", "aud", "sub", "sid", "iat", "exp", "jti", "events"}, name) {
				t.Errorf("it says %s", name)
			}
		}
		if _, to := a.ask(b, "prompt", "none"); to.Query().Get("error") != "login_required" {
			t.Errorf("still signed in: %s", to)
		}
		h.Eventually("the event", func() (string, bool) {
			n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'logout_notified' AND outcome = 'success'`)
			return fmt.Sprint(n), n == 1
		})
	})
}

// A logout token is for its application, and nothing of ours takes it, or another one of its kind, for anything: neither as an ID token nor as an
// access token, however often it is played.
func TestOIDC_BackChannel_ALogoutTokenIsNoOtherToken(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		service, l := h.Application("billing"), listen(t, nil)
		a, b := register(h, "app", client.Web, l.told), h.Browser()
		a.grant(b)
		page, _ := walk(b, "/logout")
		press(b, "/logout", fields(page.Text))
		token := l.await(h, 1)
		got := a.grant(b)
		for range 2 {
			for _, path := range []string{"/v1/me", "/v1/forward-auth"} {
				h.Expect(401, "invalid_token", harness.Get(path, token))
			}
			if info := a.userInfo(token); info.Status != 401 {
				t.Errorf("userinfo takes it: %d", info.Status)
			}
			h.Expect(401, "invalid_token", harness.Post("/v1/logout", nil, token))
			for _, asks := range []harness.Request{
				a.form("/oauth2/introspect", url.Values{"token": {token}}),
				{Method: "POST", Path: "/v1/token/introspect", Body: "token=" + token, ContentType: "application/x-www-form-urlencoded", Header: http.Header(service)},
			} {
				if told := h.Expect(200, "", asks); told.Fields["active"] != false {
					t.Errorf("%s: %s", asks.Path, told.Text)
				}
			}
			h.Expect(200, "", a.form("/oauth2/revoke", url.Values{"token": {token}}))
			a.invalid(400, "invalid_grant", a.refreshing(token))
			a.invalid(400, "invalid_grant", a.exchanging(token))
			_, to := a.ask(b, "id_token_hint", token, "prompt", "none")
			a.refused(to, "login_required")
			page, to := walk(b, "/oauth2/end-session?"+url.Values{"id_token_hint": {token}, "post_logout_redirect_uri": {bye}}.Encode())
			if to.Host != "" || !strings.Contains(page.Text, `action="/oauth2/leave"`) {
				t.Errorf("it is a hint: %s", to)
			}
			h.Do(harness.Request{Method: "POST", Path: "/oauth2/end-session", Body: "logout_token=" + token, ContentType: "application/x-www-form-urlencoded"})
		}
		a.alive(t, true, got)
		if n := len(l.heard()); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

// Codes are given while the session ends, sixteen requests at once: each application that got one is told, and none has tokens of it.
func TestOIDC_BackChannel_CodesWhileTheSessionEnds(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		l := listen(t, nil)
		apps := make([]app, 15)
		for i := range apps {
			apps[i] = register(h, fmt.Sprint("app", i), client.Web, l.told)
		}
		given, told := 0, 0
		for round := range 6 {
			b := h.Browser()
			page, _ := apps[0].ask(b)
			signIn(b, page, ada)
			session := h.Operator()
			list, err := session.Sessions(t.Context(), ada)
			if err != nil || len(list) != 1 {
				t.Fatalf("%d sessions, %v", len(list), err)
			}
			var (
				all   sync.WaitGroup
				codes = make([]string, len(apps))
			)
			for i, a := range apps {
				all.Go(func() {
					_, to := a.ask(b, "scope", "openid offline_access")
					codes[i] = to.Query().Get("code")
				})
			}
			all.Go(func() {
				time.Sleep(time.Duration(round) * 5 * time.Millisecond)
				if err := session.EndSession(t.Context(), list[0].ID, harness.OriginOfTests); err != nil {
					t.Error(err)
				}
			})
			all.Wait()
			want := map[string]bool{apps[0].ID: true} // which had one before
			for i, code := range codes {
				if code != "" {
					want[apps[i].ID] = true
					given++
					apps[i].invalid(400, "invalid_grant", apps[i].exchanging(code))
				}
			}
			untold(h)
			heard := l.heard()[told:]
			told += len(heard)
			for _, token := range heard {
				var c struct {
					Audience string `json:"aud"`
				}
				payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
				if err == nil {
					err = json.Unmarshal(payload, &c)
				}
				if err != nil || !want[c.Audience] {
					t.Errorf("round %d: %s is told, and had no code, or twice; %v", round, c.Audience, err)
				}
				delete(want, c.Audience)
			}
			if len(want) != 0 {
				t.Errorf("round %d: %d applications had codes and are not told", round, len(want))
			}
			if n := h.Count(`SELECT COUNT(*) FROM session_client`); n != 0 {
				t.Errorf("round %d: %d rows are left", round, n)
			}
		}
		t.Logf("%d codes in six rounds", given)
	}, "API_RATE_LIMIT_REQUESTS=100000")
}
