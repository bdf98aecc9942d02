package applications_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestJWT5_AnApplicationLearnsOfEveryRevocation: it waits at one replica after
// another while sessions end on all of them.
func TestJWT5_AnApplicationLearnsOfEveryRevocation(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	var replicas []*harness.Server
	for range 3 {
		replicas = append(replicas, harness.Open(t, dbURL, harness.SharedURL))
	}
	app := replicas[0].Application("shop")
	replicas[0].Register("ada@example.org")
	a := replicas[0].Expect(200, "", app.Follow("", "30"))
	if a.Fields["reset"] != true {
		t.Errorf("without a cursor: %s", a.Text)
	}
	cursor, worst := a.Str("cursor"), time.Duration(0)
	for i := range 12 {
		s := replicas[i%3].Login("ada@example.org")
		ended := make(chan time.Time, 1)
		go func() {
			_, err := replicas[(i+1)%3].Try(harness.Request{Method: "POST", Path: "/v1/logout", Bearer: s.Str("access_token")})
			if err != nil {
				t.Error(err)
			}
			ended <- time.Now()
		}()
		for found, asked := false, i; !found; asked++ {
			a := replicas[asked%3].Expect(200, "", app.Follow(cursor, "30"))
			cursor, found = a.Str("cursor"), strings.Contains(a.Text, `"kind":"session","id":"`+s.Str("session_id"))
			if a.Fields["reset"] != false {
				t.Fatalf("everything came again: %s", a.Text)
			}
		}
		worst = max(worst, time.Since(<-ended))
	}
	t.Logf("the slowest took %v", worst)
}

func TestTheFeedIsForRegisteredApplications(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		app := h.Application("shop")
		h.Register("ada@example.org")
		access := h.Login("ada@example.org").Str("access_token")
		good := app["Authorization"][0]
		for name, header := range map[string]http.Header{
			"nobody": nil, "a wrong secret": http.Header(harness.Basic("shop", "gatehouse_cs_x")), "nonsense": {"Authorization": {"Basic x"}},
			"a person": {"Authorization": {"Bearer " + access}}, "a cookie": {"Cookie": {"gatehouse_at=" + access}},
			"two": {"Authorization": {good, good}},
		} {
			a := h.Expect(401, "invalid_client", harness.Request{Method: "GET", Path: "/v1/revocations", Header: header})
			if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") {
				h.Errorf("%s: %v", name, a.Header)
			}
		}
		for _, wait := range []string{"-1", "31", "30.001", "1.2345", ".5", "x", "1e1", "NaN", "+1"} {
			h.Expect(400, "invalid_wait", app.Follow("", wait))
		}
		// The secret is of one application, and of no use elsewhere.
		h.Expect(401, "not_signed_in", harness.Request{Method: "GET", Path: "/v1/me", Header: http.Header(app)})
		// A stop waits for no follower.
		cursor := h.Expect(200, "", app.Follow("", "0")).Str("cursor")
		waiting := make(chan error)
		go func() {
			_, err := h.Try(app.Follow(cursor, "30"))
			waiting <- err
		}()
		h.Eventually("the wait", func() (string, bool) {
			_, text := h.Admin("/metrics")
			return "", strings.Contains(text, "\ngatehouse_http_requests_in_flight 1\n")
		})
		began := time.Now()
		if err := h.Stop(); err != nil || time.Since(began) > 15*time.Second {
			h.Errorf("the stop took %v: %v", time.Since(began), err)
		}
		if err := <-waiting; err != nil {
			h.Error(err)
		}
	})
}

func TestIntrospectionAndRevocation(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		app := h.Application("shop")
		h.Register("ada@example.org")
		s := h.Login("ada@example.org")
		access, refresh, id := s.Str("access_token"), s.Str("refresh_token"), s.Str("session_id")
		me := h.Expect(200, "", harness.Get("/v1/me", access)).Str("id")
		for kind, token := range map[string]string{"access": access, "refresh": refresh} {
			a := h.Active(app, token)
			if a.Fields["active"] != true || a.Str("sub") != me || a.Str("sid") != id || a.Fields["exp"] == nil ||
				(a.Str("token_type") == "Bearer") != (kind == "access") {
				h.Errorf("%s: %s", kind, a.Text)
			}
		}
		// The replaced token works while its successor is unused, and is reported so.
		next := h.Refresh(refresh)
		if h.Active(app, refresh).Fields["active"] != true || h.Active(app, next.Str("refresh_token")).Fields["active"] != true {
			h.Error("a token that would be taken is reported to be dead")
		}
		last := h.Refresh(next.Str("refresh_token")).Str("refresh_token")
		if h.Active(app, refresh).Fields["active"] != false {
			h.Error("a token that would be taken for stolen is reported to be good")
		}
		for name, token := range map[string]string{
			"nonsense": "x", "edited": access[:len(access)-4] + "AAAA", "a secret": "gatehouse_cs_x", "a forged refresh": "gatehouse_rt_x",
			"long": strings.Repeat("a", 60<<10), "not ASCII": "é",
		} {
			if h.Active(app, token).Fields["active"] != false {
				h.Errorf("%s is good", name)
			}
			h.Expect(200, "", app.Ask("/v1/token/revoke", token))
		}
		h.Expect(200, "", harness.Get("/v1/me", access))

		// Either kind ends the session, a replaced one too; twice is no error.
		h.Expect(200, "", app.Ask("/v1/token/revoke", refresh))
		h.Expect(200, "", app.Ask("/v1/token/revoke", refresh))
		for _, token := range []string{access, refresh, last} {
			if h.Active(app, token).Fields["active"] != false {
				h.Error("it lives on")
			}
		}
		h.Expect(401, "invalid_token", harness.Get("/v1/me", access))
		s = h.Login("ada@example.org")
		h.Expect(200, "", app.Ask("/v1/token/revoke", s.Str("access_token")))
		if a := h.Refresh(s.Str("refresh_token")); a.Status != 401 {
			h.Errorf("the session lives on: %d", a.Status)
		}
		events := h.Expect(200, "", harness.Get("/v1/me/events", h.Login("ada@example.org").Str("access_token")))
		if !strings.Contains(events.Text, `"event":"session_revoked","outcome":"success","session_id":"`+s.Str("session_id")) {
			h.Errorf("the owner is not notified: %s", events.Text)
		}
	})
}

// TestWhoMayIntrospect: registered applications with their secret in the header,
// and a form in the body.
func TestWhoMayIntrospect(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	app := h.Application("shop")
	h.Register("ada@example.org")
	access := h.Login("ada@example.org").Str("access_token")
	for _, path := range []string{"/v1/token/introspect", "/v1/token/revoke"} {
		for name, who := range map[string]harness.Application{"nobody": nil, "a wrong secret": harness.Basic("shop", "gatehouse_cs_x"),
			"a person": {"Authorization": {"Bearer " + access}}} {
			if a := h.Expect(401, "invalid_client", who.Ask(path, access)); !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("%s: %v", name, a.Header)
			}
		}
		r := app.Ask(path, "")
		h.Expect(400, "required", r)
		r.Body = "token=a&token=b"
		h.Expect(400, "duplicate_field", r)
		for _, bad := range []string{"token=%zz", "token=a;b=c"} {
			r.Body = bad
			h.Expect(400, "invalid_form", r)
		}
		r.Body = "token=%00"
		h.Expect(400, "nul_character", r)
		r.Body = "token=" + strings.Repeat("a", 65<<10)
		h.Expect(413, "body_too_large", r)
		r.Body, r.ContentType = `{"token":"a"}`, "application/json"
		h.Expect(415, "unsupported_media_type", r)
		// In the URL it would stand in logs.
		r = app.Ask(path+"?token="+access, "")
		h.Expect(400, "required", r)
	}
	h.Expect(200, "", harness.Get("/v1/me", access))
	if err := h.Stop(); err != nil { // what was counted is written
		t.Error(err)
	}
	if !strings.Contains(h.Logs.String(), `"reason":"client_credentials_wrong"`) {
		t.Error("no event tells of the wrong credentials")
	}
}

func TestTheMetadataTellsWhatIsServed(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	app := h.Application("shop")
	a := h.Expect(200, "", harness.Get("/.well-known/oauth-authorization-server"))
	if a.Str("issuer") != h.App.PublicURL() || a.Header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%v %s", a.Header, a.Text)
	}
	for name, method := range map[string]string{"jwks_uri": "GET", "introspection_endpoint": "POST", "revocation_endpoint": "POST"} {
		path, ours := strings.CutPrefix(a.Str(name), h.App.PublicURL())
		r := harness.Get(path)
		if method == "POST" {
			r = app.Ask(path, "x")
		}
		if h.Expect(200, "", r); !ours {
			t.Errorf("%s: %s", name, a.Str(name))
		}
	}
}
