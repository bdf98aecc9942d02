package app_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// application is a registered application's Authorization header.
type application http.Header

func (h *house) application(name string) application {
	h.Helper()
	c, shown, err := h.operator().CreateClient(h.Context(), name, originOfTests)
	if err != nil {
		h.Fatal(err)
	}
	return basic(c.ID, shown)
}

func basic(id, secret string) application {
	return application{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}}
}

func (a application) follow(cursor, wait string) request {
	q := url.Values{"wait": {wait}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return request{method: "GET", path: "/v1/revocations?" + q.Encode(), header: http.Header(a)}
}

// TestJWT5_AnApplicationLearnsOfEveryRevocation: it waits at one replica after
// another while sessions end on all of them.
func TestJWT5_AnApplicationLearnsOfEveryRevocation(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	var replicas []*house
	for range 3 {
		replicas = append(replicas, open(t, dbURL, sharedURL))
	}
	app := replicas[0].application("shop")
	replicas[0].register("ada@example.org")
	a := replicas[0].expect(200, "", app.follow("", "30"))
	if a.fields["reset"] != true {
		t.Errorf("without a cursor: %s", a.text)
	}
	cursor, worst := a.str("cursor"), time.Duration(0)
	for i := range 12 {
		s := replicas[i%3].login("ada@example.org")
		ended := make(chan time.Time, 1)
		go func() {
			_, err := replicas[(i+1)%3].try(request{method: "POST", path: "/v1/logout", bearer: s.str("access_token")})
			if err != nil {
				t.Error(err)
			}
			ended <- time.Now()
		}()
		for told, asked := false, i; !told; asked++ {
			a := replicas[asked%3].expect(200, "", app.follow(cursor, "30"))
			cursor, told = a.str("cursor"), strings.Contains(a.text, `"kind":"session","id":"`+s.str("session_id"))
			if a.fields["reset"] != false {
				t.Fatalf("everything came again: %s", a.text)
			}
		}
		worst = max(worst, time.Since(<-ended))
	}
	t.Logf("the slowest took %v", worst)
}

func TestTheFeedIsForRegisteredApplications(t *testing.T) {
	each(t, func(h *house) {
		app := h.application("shop")
		h.register("ada@example.org")
		access := h.login("ada@example.org").str("access_token")
		good := app["Authorization"][0]
		for name, header := range map[string]http.Header{
			"nobody": nil, "a wrong secret": http.Header(basic("shop", "gatehouse_cs_x")), "nonsense": {"Authorization": {"Basic x"}},
			"a person": {"Authorization": {"Bearer " + access}}, "a cookie": {"Cookie": {"gatehouse_at=" + access}},
			"two": {"Authorization": {good, good}},
		} {
			a := h.expect(401, "invalid_client", request{method: "GET", path: "/v1/revocations", header: header})
			if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
				h.Errorf("%s: %v", name, a.header)
			}
		}
		for _, wait := range []string{"-1", "31", "30.001", "1.2345", ".5", "x", "1e1", "NaN", "+1"} {
			h.expect(400, "invalid_wait", app.follow("", wait))
		}
		// The secret is of one application, and of no use elsewhere.
		h.expect(401, "not_signed_in", request{method: "GET", path: "/v1/me", header: http.Header(app)})
		// A stop waits for no follower.
		cursor := h.expect(200, "", app.follow("", "0")).str("cursor")
		waiting := make(chan error)
		go func() {
			_, err := h.try(app.follow(cursor, "30"))
			waiting <- err
		}()
		h.eventually("the wait", func() (string, bool) {
			_, text := h.admin("/metrics")
			return "", strings.Contains(text, "\ngatehouse_http_requests_in_flight 1\n")
		})
		began := time.Now()
		if err := h.stop(); err != nil || time.Since(began) > 15*time.Second {
			h.Errorf("the stop took %v: %v", time.Since(began), err)
		}
		if err := <-waiting; err != nil {
			h.Error(err)
		}
	})
}

func (a application) ask(path, token string) request {
	return request{method: "POST", path: path, body: url.Values{"token": {token}}.Encode(), contentType: "application/x-www-form-urlencoded", header: http.Header(a)}
}

// active introspects a token; the answer for one that is not good tells nothing
// else.
func (h *house) active(app application, token string) answer {
	h.Helper()
	a := h.expect(200, "", app.ask("/v1/token/introspect", token))
	if a.fields["active"] == false && a.text != "{\"active\":false}\n" {
		h.Errorf("of a token that is not good is told %s", a.text)
	}
	return a
}

func TestIntrospectionAndRevocation(t *testing.T) {
	each(t, func(h *house) {
		app := h.application("shop")
		h.register("ada@example.org")
		s := h.login("ada@example.org")
		access, refresh, id := s.str("access_token"), s.str("refresh_token"), s.str("session_id")
		me := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access}).str("id")
		for kind, token := range map[string]string{"access": access, "refresh": refresh} {
			a := h.active(app, token)
			if a.fields["active"] != true || a.str("sub") != me || a.str("sid") != id || a.fields["exp"] == nil || (a.str("token_type") == "Bearer") != (kind == "access") {
				h.Errorf("%s: %s", kind, a.text)
			}
		}
		// The replaced token works while its successor is unused, and is told so.
		next := h.refresh(refresh)
		if h.active(app, refresh).fields["active"] != true || h.active(app, next.str("refresh_token")).fields["active"] != true {
			h.Error("a token that would be taken is told to be dead")
		}
		last := h.refresh(next.str("refresh_token")).str("refresh_token")
		if h.active(app, refresh).fields["active"] != false {
			h.Error("a token that would be taken for stolen is told to be good")
		}
		for name, token := range map[string]string{
			"nonsense": "x", "edited": access[:len(access)-4] + "AAAA", "a secret": "gatehouse_cs_x", "a forged refresh": "gatehouse_rt_x",
			"long": strings.Repeat("a", 60<<10), "not ASCII": "é",
		} {
			if h.active(app, token).fields["active"] != false {
				h.Errorf("%s is good", name)
			}
			h.expect(200, "", app.ask("/v1/token/revoke", token))
		}
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access})

		// Either kind ends the session, a replaced one too; twice is no error.
		h.expect(200, "", app.ask("/v1/token/revoke", refresh))
		h.expect(200, "", app.ask("/v1/token/revoke", refresh))
		for _, token := range []string{access, refresh, last} {
			if h.active(app, token).fields["active"] != false {
				h.Error("it lives on")
			}
		}
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: access})
		s = h.login("ada@example.org")
		h.expect(200, "", app.ask("/v1/token/revoke", s.str("access_token")))
		if a := h.refresh(s.str("refresh_token")); a.status != 401 {
			h.Errorf("the session lives on: %d", a.status)
		}
		events := h.expect(200, "", request{method: "GET", path: "/v1/me/events", bearer: h.login("ada@example.org").str("access_token")})
		if !strings.Contains(events.text, `"event":"session_revoked","outcome":"success","session_id":"`+s.str("session_id")) {
			h.Errorf("the owner is not told: %s", events.text)
		}
	})
}

// TestWhoMayIntrospect: registered applications with their secret in the header,
// and a form in the body.
func TestWhoMayIntrospect(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	app := h.application("shop")
	h.register("ada@example.org")
	access := h.login("ada@example.org").str("access_token")
	for _, path := range []string{"/v1/token/introspect", "/v1/token/revoke"} {
		for name, who := range map[string]application{"nobody": nil, "a wrong secret": basic("shop", "gatehouse_cs_x"), "a person": {"Authorization": {"Bearer " + access}}} {
			if a := h.expect(401, "invalid_client", who.ask(path, access)); !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("%s: %v", name, a.header)
			}
		}
		r := app.ask(path, "")
		h.expect(400, "required", r)
		r.body = "token=a&token=b"
		h.expect(400, "duplicate_field", r)
		for _, bad := range []string{"token=%zz", "token=a;b=c"} {
			r.body = bad
			h.expect(400, "invalid_form", r)
		}
		r.body = "token=%00"
		h.expect(400, "nul_character", r)
		r.body = "token=" + strings.Repeat("a", 65<<10)
		h.expect(413, "body_too_large", r)
		r.body, r.contentType = `{"token":"a"}`, "application/json"
		h.expect(415, "unsupported_media_type", r)
		// In the URL it would stand in logs.
		r = app.ask(path+"?token="+access, "")
		h.expect(400, "required", r)
	}
	h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access})
	if err := h.stop(); err != nil { // what was counted is written
		t.Error(err)
	}
	if !strings.Contains(h.log.String(), `"reason":"client_credentials_wrong"`) {
		t.Error("no event tells of the wrong credentials")
	}
}

func TestTheMetadataTellsWhatIsServed(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	app := h.application("shop")
	a := h.expect(200, "", request{method: "GET", path: "/.well-known/oauth-authorization-server"})
	if a.str("issuer") != h.server.PublicURL() || a.header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%v %s", a.header, a.text)
	}
	for name, method := range map[string]string{"jwks_uri": "GET", "introspection_endpoint": "POST", "revocation_endpoint": "POST"} {
		path, ours := strings.CutPrefix(a.str(name), h.server.PublicURL())
		r := request{method: "GET", path: path}
		if method == "POST" {
			r = app.ask(path, "x")
		}
		if h.expect(200, "", r); !ours {
			t.Errorf("%s: %s", name, a.str(name))
		}
	}
}

// driveApplications drives the operations of applications to every status, with
// the access token of a person.
func (h *house) driveApplications(access string) {
	h.Helper()
	app := h.application("shop")
	h.expect(200, "", request{method: "GET", path: "/.well-known/oauth-authorization-server"})
	h.expect(200, "", app.follow("", "0"))
	h.expect(400, "invalid_wait", app.follow("", "x"))
	for _, path := range []string{"/v1/token/introspect", "/v1/token/revoke"} {
		h.expect(200, "", app.ask(path, "nonsense"))
		for status, r := range map[int]request{
			400: {body: "token=a&token=b", contentType: "application/x-www-form-urlencoded"},
			413: {body: "token=" + strings.Repeat("a", 64<<10), contentType: "application/x-www-form-urlencoded"},
			415: {body: "{}"},
		} {
			r.method, r.path, r.header = "POST", path, http.Header(app)
			if a := h.do(r); a.status != status {
				h.Errorf("%s: %d %s, want %d", path, a.status, a.text, status)
			}
		}
	}
	h.expect(200, "", request{method: "GET", path: "/v1/forward-auth", bearer: access})
	h.expect(302, "", request{method: "GET", path: "/v1/forward-auth?redirect=1", header: asksFor("GET", "https", "app.example", "/")})
	h.expect(400, "invalid_redirect", request{method: "GET", path: "/v1/forward-auth?redirect=2"})
}
