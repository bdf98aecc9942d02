package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// TestEveryOperationAnswersAsDescribed drives every operation of openapi.yaml to
// every status that a client can cause.
func TestEveryOperationAnswersAsDescribed(t *testing.T) {
	each(t, (*house).driveEverybody)
	each(t, func(h *house) {
		h.expect(403, "registration_closed", request{method: "POST", path: "/v1/register", body: credentials{"a@example.org", passphrase}})
	}, "REGISTRATION=closed")
	each(t, func(h *house) {
		h.register("ada@example.org")
		h.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}})
	}, "EMAIL_VERIFICATION=required")
	each(t, func(h *house) {
		h.register("ada@example.org")
		o := h.operator()
		if _, err := o.Disable(h.Context(), "ada@example.org", originOfTests); err != nil {
			h.Fatal(err)
		}
		h.expect(403, "account_disabled", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}})
		for range 4 {
			h.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase + "!"}})
		}
		h.expect(429, "too_many_attempts", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase + "!"}})
	})
	t.Run("outage", func(t *testing.T) { open(t, dbtest.Postgres(t)).driveOutages() })
	t.Run("forward-auth", func(t *testing.T) {
		h := open(t, dbtest.SQLite(t), "TRUSTED_PROXIES=127.0.0.1")
		h.register("ada@example.org")
		b := h.browser()
		b.signIn("ada@example.org")
		forged := asksFor("POST", "http", "127.0.0.1", "/")
		forged.Set("Sec-Fetch-Site", "cross-site")
		if a := b.send(request{method: "GET", path: "/v1/forward-auth", header: forged}); a.status != 403 {
			t.Errorf("another site's request: %d %s", a.status, a.text)
		}
	})
	t.Run("administrators", func(t *testing.T) { open(t, dbtest.SQLite(t), trusted).driveAdministrators() })
	t.Run("limits", func(t *testing.T) { open(t, dbtest.SQLite(t), "API_RATE_LIMIT_REQUESTS=1").driveLimits() })

	for path, item := range document.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				// A mistake of ours is nothing that a client can cause; that one is
				// well-formed is web's to test.
				if status != "500" && !document.seen[op.OperationID+" "+status] {
					t.Errorf("no test has seen %s %s answer %s", method, path, status)
				}
			}
		}
	}
}

// driveEverybody drives what anyone may do, with an account and without.
func (h *house) driveEverybody() {
	h.Helper()
	h.register("ada@example.org")
	me := h.login("ada@example.org")
	access := me.str("access_token")

	h.expect(400, "required", request{method: "POST", path: "/v1/register", body: "{}"})
	h.expect(400, "invalid_email", request{method: "POST", path: "/v1/register", body: credentials{"nobody", passphrase}})
	h.expect(400, "password_too_short", request{method: "POST", path: "/v1/register", body: credentials{"b@example.org", "short"}})
	h.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", "wrong password, quite"}})
	h.expect(400, "required", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", ""}})
	h.expect(200, "", request{method: "POST", path: "/v1/password/strength", body: map[string]string{"password": passphrase}})
	h.expect(401, "invalid_refresh_token", refreshing("gatehouse_rt_nonsense"))
	h.expect(400, "required", refreshing(""))

	got := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: access})
	want := map[string]any{
		"id": got.str("id"), "email": "ada@example.org", "email_verified": false, "name": "", "locale": "",
		"roles": []any{}, "created_at": got.str("created_at"),
	}
	if diff := cmp.Diff(want, got.fields); diff != "" {
		h.Errorf("the account:\n%s", diff)
	}
	got = h.expect(200, "", request{method: "PATCH", path: "/v1/me", bearer: access, body: map[string]any{"name": "Ada Lovelace", "locale": "en-gb"}})
	if got.str("name") != "Ada Lovelace" || got.str("locale") != "en-GB" {
		h.Errorf("changed: %s", got.text)
	}
	got = h.expect(200, "", request{method: "PATCH", path: "/v1/me", bearer: access, body: map[string]any{"locale": ""}})
	if got.str("name") != "Ada Lovelace" || got.str("locale") != "" {
		h.Errorf("changed again: %s", got.text)
	}
	h.expect(200, "", request{method: "PATCH", path: "/v1/me", bearer: access, body: "{}"})
	h.expect(400, "invalid_name", request{method: "PATCH", path: "/v1/me", bearer: access, body: map[string]any{"name": "a\nb"}})
	h.expect(400, "invalid_locale", request{method: "PATCH", path: "/v1/me", bearer: access, body: map[string]any{"locale": "!!"}})
	h.expect(400, "unknown_field", request{method: "PATCH", path: "/v1/me", bearer: access, body: map[string]any{"roles": []string{"admin"}}})

	h.expect(400, "invalid_limit", request{method: "GET", path: "/v1/me/events?limit=0", bearer: access})
	h.expect(400, "invalid_cursor", request{method: "GET", path: "/v1/me/events?cursor=%27%20OR%201=1", bearer: access})
	first := h.expect(200, "", request{method: "GET", path: "/v1/me/events?limit=1", bearer: access})
	if first.str("next_cursor") == "" || len(first.fields["events"].([]any)) != 1 {
		h.Errorf("the first page: %s", first.text)
	}
	rest := h.expect(200, "", request{method: "GET", path: "/v1/me/events?cursor=" + first.str("next_cursor"), bearer: access})
	if len(rest.fields["events"].([]any)) < 3 || rest.str("next_cursor") != "" {
		h.Errorf("the second page: %s", rest.text)
	}

	h.driveRecovery()
	h.driveApplications(access)

	second := h.login("ada@example.org")
	list := h.expect(200, "", request{method: "GET", path: "/v1/sessions", bearer: access})
	if n := strings.Count(list.text, `"current":true`); n != 1 || len(list.fields["sessions"].([]any)) != 2 {
		h.Errorf("the sessions: %s", list.text)
	}
	h.expect(404, "session_not_found", request{method: "DELETE", path: "/v1/sessions/none", bearer: access})
	h.expect(204, "", request{method: "DELETE", path: "/v1/sessions/" + second.str("session_id"), bearer: access})
	h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: second.str("access_token")})

	jwks := h.expect(200, "", request{method: "GET", path: "/.well-known/jwks.json"})
	h.expect(304, "", request{method: "GET", path: "/.well-known/jwks.json", header: http.Header{"If-None-Match": {`"other", W/` + jwks.header.Get("ETag")}}})
	h.expect(200, "", request{method: "GET", path: "/openapi.json"})

	me = h.expect(200, "", refreshing(me.str("refresh_token")))
	h.expect(204, "", request{method: "POST", path: "/v1/logout-all", bearer: me.str("access_token"), body: map[string]bool{"keep_current": true}})
	h.expect(204, "", request{method: "POST", path: "/v1/logout-all", bearer: me.str("access_token")})
	h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: me.str("access_token")})
	h.expect(401, "not_signed_in", request{method: "POST", path: "/v1/logout"})
	h.driveCommonFaults()
	b := h.browser()
	b.signIn("ada@example.org")
	for _, r := range []request{
		{method: "POST", path: "/v1/logout-all"},
		{method: "DELETE", path: "/v1/sessions/none"},
		{method: "PATCH", path: "/v1/me", body: `{}`},
		{method: "POST", path: "/v1/password/change", body: `{}`},
		{method: "POST", path: "/v1/email/change", body: `{}`},
		{method: "POST", path: "/v1/token/refresh"},
		{method: "POST", path: "/v1/logout"},
	} {
		if a := b.send(r); a.str("code") != "csrf_token_required" {
			h.Errorf("%s %s with cookies alone: %d %s", r.method, r.path, a.status, a.text)
		}
	}
}

// driveCommonFaults makes the mistakes that every operation answers alike.
func (h *house) driveCommonFaults() {
	h.Helper()
	for path, item := range document.doc.Paths.Map() {
		path = strings.ReplaceAll(path, "{id}", "0198c0de-0000-7000-8000-000000000001")
		for method, op := range item.Operations() {
			r := request{method: method, path: path}
			if op.Security != nil && len(*op.Security) == 1 && (*op.Security)[0]["client"] != nil {
				h.expect(401, "invalid_client", r)
				continue
			}
			if op.Security != nil && !slices.ContainsFunc(*op.Security, func(s openapi3.SecurityRequirement) bool { return len(s) == 0 }) {
				h.expect(401, "not_signed_in", r)
				r.bearer = "not.a.token"
				h.expect(401, "invalid_token", r)
				continue
			}
			if op.RequestBody != nil {
				h.driveBadBodies(r)
			}
		}
	}
	h.register("bodies@example.org")
	access := h.login("bodies@example.org").str("access_token")
	h.driveBadBodies(request{method: "PATCH", path: "/v1/me", bearer: access})
	h.driveBadBodies(request{method: "POST", path: "/v1/logout-all", bearer: access})
	h.driveBadBodies(request{method: "POST", path: "/v1/password/change", bearer: access})
	h.driveBadBodies(request{method: "POST", path: "/v1/email/change", bearer: access})
	for _, r := range []request{
		{method: "GET", path: "/nowhere"}, {method: "POST", path: "/v1//login"}, {method: "GET", path: "/v1/sessions/%00"}, {method: "GET", path: "/v1/me/"},
	} {
		if h.front != nil && strings.Contains(r.path, "%00") {
			continue // nginx refuses that itself
		}
		h.expect(404, "not_found", r)
	}
	if a := h.expect(405, "method_not_allowed", request{method: "DELETE", path: "/v1/login"}); a.header.Get("Allow") != "POST" {
		h.Errorf("Allow: %q", a.header.Get("Allow"))
	}
}

// driveBadBodies sends an operation what no operation takes.
func (h *house) driveBadBodies(r request) {
	h.Helper()
	for name, bad := range map[string]struct {
		status            int
		code              string
		body, contentType string
	}{
		"form":        {415, "unsupported_media_type", "a=b", "application/x-www-form-urlencoded"},
		"too large":   {413, "body_too_large", `{"a":"` + strings.Repeat("x", 64<<10) + `"}`, ""},
		"unknown":     {400, "unknown_field", `{"no_such_field":1}`, ""},
		"not JSON":    {400, "invalid_json", `{`, ""},
		"trailing":    {400, "trailing_data", `{}{}`, ""},
		"array":       {400, "not_an_object", `[]`, ""},
		"bad UTF-8":   {400, "invalid_utf8", "{\"email\":\"\xff\"}", ""},
		"raw NUL":     {400, "nul_character", "{\"email\":\"a\x00\"}", ""},
		"nested deep": {400, "invalid_json", strings.Repeat("[", 20000), ""},
	} {
		bad := bad
		r := r
		r.body, r.contentType = bad.body, bad.contentType
		a := h.do(r)
		if a.status != bad.status || (a.str("code") != bad.code && bad.status != 400) {
			h.Errorf("%s %s with a body that is %s: %d %s, want %d %s", r.method, r.path, name, a.status, a.str("code"), bad.status, bad.code)
		}
	}
}

// breakDatabase makes PostgreSQL refuse the server's connections, old and new.
func (h *house) breakDatabase() {
	h.Helper()
	u, err := url.Parse(h.dbURL)
	if err != nil {
		h.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	dbtest.Superuser(h.T, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`)
	dbtest.Superuser(h.T, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
}

// driveOutages takes the database away: every operation that needs it must say
// 503 with Retry-After, and none may say that the credentials are wrong.
func (h *house) driveOutages() {
	h.Helper()
	h.register("ada@example.org")
	me, app := h.login("ada@example.org"), h.application("shop")
	root := h.administrator("root@example.org")
	h.expect(200, "", app.follow("", "0"))
	h.breakDatabase()
	for _, r := range []request{
		{method: "POST", path: "/v1/register", body: credentials{"eve@example.org", passphrase}},
		{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}},
		refreshing(me.str("refresh_token")),
		{method: "POST", path: "/v1/logout", body: map[string]string{"refresh_token": me.str("refresh_token")}},
		{method: "POST", path: "/v1/logout-all"},
		{method: "GET", path: "/v1/me"},
		{method: "PATCH", path: "/v1/me", body: `{"name":"Ada"}`},
		{method: "GET", path: "/v1/me/events"},
		{method: "GET", path: "/v1/sessions"},
		{method: "DELETE", path: "/v1/sessions/" + me.str("session_id")},
		{method: "POST", path: "/v1/password/change", body: map[string]string{"current_password": passphrase, "new_password": passphrase + "!"}},
		{method: "POST", path: "/v1/email/change", body: map[string]string{"current_password": passphrase, "email": "eve@example.org"}},
		{method: "POST", path: "/v1/password/forgot", body: `{"email":"ada@example.org"}`},
		{method: "POST", path: "/v1/password/reset", body: `{"token":"gatehouse_mt_x","new_password":"` + passphrase + `!"}`},
		{method: "POST", path: "/v1/email/verify", body: `{"token":"gatehouse_mt_x"}`},
		{method: "POST", path: "/v1/email/resend", body: `{"email":"ada@example.org"}`},
		{method: "GET", path: "/v1/admin/events"},
		{method: "GET", path: "/v1/admin/alerts"},
		{method: "POST", path: "/v1/admin/alerts/silence", body: `{"rule":"canary","until":"2001-01-01T00:00:00Z"}`},
		{method: "GET", path: "/v1/admin/blocks"},
		{method: "POST", path: "/v1/admin/blocks", body: `{"network":"203.0.113.7"}`},
		{method: "DELETE", path: "/v1/admin/blocks/none"},
	} {
		if !strings.Contains(fmt.Sprint(r.body), "refresh_token") {
			r.bearer = me.str("access_token")
		}
		if r.path == "/v1/login" || r.path == "/v1/register" {
			r.bearer = ""
		}
		if strings.HasPrefix(r.path, "/v1/admin/") {
			r.bearer = root
		}
		// What has been revoked is unknown soon after: sooner on a machine that is busy.
		if a := h.do(r); a.status != 503 || a.str("code") != "database_unavailable" && (r.bearer == "" || a.str("code") != "revocations_unknown") {
			h.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.text)
		}
	}
	access := me.str("access_token")
	for _, r := range []request{
		app.ask("/v1/token/introspect", access), app.ask("/v1/token/revoke", access), app.follow("", "0"),
		{method: "GET", path: "/v1/forward-auth", bearer: access},
	} {
		h.eventually(r.path, func() (string, bool) { // what was read a moment ago counts
			a := h.do(r)
			if a.status != 503 && a.status != 200 {
				h.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.text)
			}
			return a.text, a.status == 503
		})
	}
}

// driveLimits makes more requests than are allowed: after the first of the network
// every operation says 429, and when to come back.
func (h *house) driveLimits() {
	h.Helper()
	h.expect(200, "", request{method: "GET", path: "/openapi.json"})
	for path, item := range document.doc.Paths.Map() {
		path = strings.ReplaceAll(path, "{id}", "0198c0de-0000-7000-8000-000000000001")
		for method := range item.Operations() {
			if a := h.expect(429, "rate_limited", request{method: method, path: path}); a.header.Get("Retry-After") == "" {
				h.Errorf("%s %s: %v", method, path, a.header)
			}
		}
	}
}

// driveAdministrators drives what is for administrators, and has every operation
// refuse a blocked network.
func (h *house) driveAdministrators() {
	h.Helper()
	root := h.administrator("root@example.org")
	h.driveBadBodies(request{method: "POST", path: "/v1/admin/blocks", bearer: root})
	h.driveAudit(root)
	made := h.expect(201, "", blocking(root, map[string]any{"network": "203.0.113.7"}))
	h.expect(200, "", blocking(root, map[string]any{"network": "203.0.113.7"}))
	h.expect(409, "confirmation_needed", blocking(root, map[string]any{"network": "::/0"}))
	h.expect(200, "", request{method: "GET", path: "/v1/admin/blocks", bearer: root})
	h.expect(400, "invalid_cursor", request{method: "GET", path: "/v1/admin/blocks?cursor=x", bearer: root})
	h.becomes("203.0.113.7", 403)
	for path, item := range document.doc.Paths.Map() {
		path = strings.ReplaceAll(path, "{id}", "0198c0de-0000-7000-8000-000000000001")
		for method := range item.Operations() {
			h.expect(403, "address_blocked", through("203.0.113.7", request{method: method, path: path}))
		}
	}
	h.expect(204, "", request{method: "DELETE", path: "/v1/admin/blocks/" + made.str("id"), bearer: root})
	h.expect(404, "block_not_found", request{method: "DELETE", path: "/v1/admin/blocks/" + made.str("id"), bearer: root})
}
