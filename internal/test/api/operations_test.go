package api_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestEveryOperationAnswersAsDescribed drives every operation of openapi.yaml to
// every status that a client can cause.
func TestEveryOperationAnswersAsDescribed(t *testing.T) {
	harness.Each(t, (*harness.Server).DriveEverybody)
	harness.Each(t, func(h *harness.Server) {
		h.Expect(403, "registration_closed", harness.Post("/v1/register", harness.Credentials{Email: "a@example.org", Password: harness.Passphrase}))
	}, "REGISTRATION=closed")
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		h.Expect(401, "invalid_credentials", harness.SignInAs("ada@example.org", harness.Passphrase))
	}, "EMAIL_VERIFICATION=required")
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		o := h.Operator()
		if _, err := o.Disable(h.Context(), "ada@example.org", harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		h.Expect(403, "account_disabled", harness.SignInAs("ada@example.org", harness.Passphrase))
		for range 4 {
			h.Expect(401, "invalid_credentials", harness.SignInAs("ada@example.org", harness.Passphrase+"!"))
		}
		h.Expect(429, "too_many_attempts", harness.SignInAs("ada@example.org", harness.Passphrase+"!"))
	})
	t.Run("outage", func(t *testing.T) { driveOutages(harness.Open(t, dbtest.Postgres(t))) })
	t.Run("forward-auth", func(t *testing.T) {
		h := harness.Open(t, dbtest.SQLite(t), "TRUSTED_PROXIES=127.0.0.1")
		h.Register("ada@example.org")
		b := h.Browser()
		b.SignIn("ada@example.org")
		forged := harness.AsksFor("POST", "http", "127.0.0.1", "/")
		forged.Set("Sec-Fetch-Site", "cross-site")
		if a := b.Send(harness.Request{Method: "GET", Path: "/v1/forward-auth", Header: forged}); a.Status != 403 {
			t.Errorf("another site's request: %d %s", a.Status, a.Text)
		}
	})
	t.Run("administrators", func(t *testing.T) {
		driveAdministrators(harness.Open(t, dbtest.SQLite(t), harness.BehindProxy, "API_RATE_LIMIT_REQUESTS=10000"))
	})
	t.Run("two administrators", func(t *testing.T) { driveApprovals(harness.Open(t, dbtest.SQLite(t), "APPROVALS=two")) })
	t.Run("way back", func(t *testing.T) { harness.Open(t, dbtest.SQLite(t)).DriveWayBack() })
	t.Run("factors", func(t *testing.T) { harness.Open(t, dbtest.SQLite(t)).DriveFactors() })
	t.Run("passkeys", func(t *testing.T) { harness.Open(t, dbtest.SQLite(t), "SECOND_FACTOR=admin").DrivePasskeys() })
	t.Run("no passkeys", func(t *testing.T) { harness.Open(t, dbtest.SQLite(t), "PASSKEYS=off").DriveNoPasskeys() })
	t.Run("passwordless", func(t *testing.T) { harness.Open(t, dbtest.SQLite(t), "PASSWORDLESS=on").DrivePasswordless() })
	t.Run("documents", func(t *testing.T) {
		driveDocuments(harness.Open(t, dbtest.SQLite(t), termsFile(t), "DOCUMENTS_REQUIRED=terms"))
	})
	t.Run("identities", func(t *testing.T) {
		driveIdentities(harness.Open(t, dbtest.SQLite(t), "UPSTREAMS_FILE="+written(t, "upstreams.yaml", "providers: [{id: corp, kind: oidc, name: Corp, "+
			"issuer: 'http://127.0.0.1:1', client_id: x, secret_file: '"+written(t, "secret", "x")+"'}]")))
	})
	t.Run("applications of a file", func(t *testing.T) { driveFile(harness.Open(t, dbtest.SQLite(t))) })
	t.Run("limits", func(t *testing.T) { driveLimits(harness.Open(t, dbtest.SQLite(t), "API_RATE_LIMIT_REQUESTS=1")) })

	for path, item := range harness.Document().Doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				// A mistake of ours is nothing that a client can cause; that one is
				// well-formed is web's to test.
				if status != "500" && !harness.Document().Seen[op.OperationID+" "+status] {
					t.Errorf("no test has seen %s %s answer %s", method, path, status)
				}
			}
		}
	}
}

// driveFile drives what an administrator can't change of an application and a resource that a file describes.
func driveFile(h *harness.Server) {
	h.Helper()
	const api = "https://shop.example.org/api"
	file, err := client.ParseFile([]byte("clients: [{id: shop, type: spa, redirect_uris: [https://shop.example.org/cb]}]\n"+
		"resources: [{uri: "+api+", name: Shop}]"), false)
	if err == nil {
		_, err = h.Operator().ApplyClients(h.Context(), file, false, harness.OriginOfTests)
	}
	if err != nil {
		h.Fatal(err)
	}
	g := h.Guest("admin@example.org")
	if _, err := h.Operator().SetRoles(h.Context(), "admin@example.org", []string{"admin"}, harness.OriginOfTests); err != nil {
		h.Fatal(err)
	}
	access := h.Login(g.Email).Str("access_token")
	why := harness.Body{"reason": "Exercise"}
	const shop = "/v1/admin/clients/shop"
	h.Expect(409, "managed_by_file", harness.Request{Method: "PATCH", Path: shop, Bearer: access, Body: `{"disabled":true,"reason":"Exercise"}`})
	h.Expect(409, "managed_by_file", harness.Post(shop+"/secret", why, access))
	h.Expect(409, "managed_by_file", harness.Request{Method: "DELETE", Path: shop + "?reason=Exercise", Bearer: access})
	h.Expect(409, "managed_by_file", harness.Request{Method: "PUT", Path: "/v1/admin/resources", Bearer: access, Body: why.With("uri", api).With("name", "X")})
}

// termsFile is the setting of a document that there is.
func termsFile(t *testing.T) string {
	t.Helper()
	return "TERMS_FILE=" + written(t, "terms.txt", "Be kind.")
}

// written is a file.
func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// driveIdentities drives what an account is linked to at other providers: one that there is, and one that there is no more.
func driveIdentities(h *harness.Server) {
	h.Helper()
	h.Register("ada@example.org")
	access := h.Login("ada@example.org").Str("access_token")
	me := h.Expect(200, "", harness.Get("/v1/me", access)).Str("id")
	var handles []string
	if err := h.Database().Write(h.Context(), func(tx *db.Tx) error {
		for _, issuer := range []string{"http://127.0.0.1:1", "https://gone.example"} {
			i := upstream.Identity{Issuer: issuer, Subject: "1", Account: me}
			handles = append(handles, i.Handle())
			if _, err := upstream.Link(tx, i, time.Now()); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE account SET hash = ''`)
		return err
	}); err != nil {
		h.Fatal(err)
	}
	unlink := func(handle string) harness.Request {
		return harness.Request{Method: "DELETE", Path: "/v1/me/identities/" + handle, Bearer: access}
	}
	h.Expect(401, "not_signed_in", harness.Get("/v1/me/identities"))
	h.Expect(200, "", harness.Get("/v1/me/identities", access))
	h.Expect(401, "not_signed_in", harness.Request{Method: "DELETE", Path: "/v1/me/identities/none"})
	h.Expect(404, "identity_not_found", unlink("none"))
	h.Expect(409, "last_way_in", unlink(handles[0]))
	h.Expect(204, "", unlink(handles[1]))
}

// driveDocuments drives documents and consents, where the terms are required.
func driveDocuments(h *harness.Server) {
	h.Helper()
	const ada = "ada@example.org"
	register := func(agreed map[string]int) harness.Request {
		return harness.Post("/v1/register", map[string]any{"email": ada, "password": harness.Passphrase, "agreed": agreed})
	}
	h.Expect(409, "document_changed", register(map[string]int{"terms": 2}))
	h.Expect(404, "document_not_found", register(map[string]int{"offers": 1}))
	h.Expect(202, "", register(map[string]int{}))
	h.Expect(200, "", harness.Get("/v1/documents"))
	h.Expect(200, "", harness.Get("/v1/documents/terms"))
	h.Expect(400, "invalid_version", harness.Get("/v1/documents/terms?version=x"))
	h.Expect(404, "document_not_found", harness.Get("/v1/documents/terms?version=2"))
	agree := func(token string, version int) harness.Request {
		return harness.Post("/v1/login/agree", map[string]any{"pending_token": token, "agreed": map[string]int{"terms": version}})
	}
	h.DriveBadBodies(harness.Request{Method: "POST", Path: "/v1/login/agree"})
	h.Expect(401, "sign_in_over", agree("gatehouse_pt_x", 1))
	waits := h.Expect(403, "agreement_required", harness.SignInAs(ada, harness.Passphrase)).Str("pending_token")
	h.Expect(409, "document_changed", agree(waits, 2))
	access := h.Expect(200, "", agree(waits, 1)).Str("access_token")
	change := func(document, body string) harness.Request {
		return harness.Request{Method: "PUT", Path: "/v1/me/consents/" + document, Bearer: access, Body: body}
	}
	h.DriveBadBodies(change("terms", ""))
	h.Expect(401, "not_signed_in", harness.Request{Method: "PUT", Path: "/v1/me/consents/terms", Body: `{"agreed":false}`})
	h.Expect(401, "not_signed_in", harness.Get("/v1/me/consents"))
	h.Expect(404, "document_not_found", change("offers", `{"agreed":true,"version":1}`))
	h.Expect(409, "document_changed", change("terms", `{"agreed":true,"version":2}`))
	h.Expect(200, "", change("terms", `{"agreed":true,"version":1}`))
	h.Expect(200, "", harness.Get("/v1/me/consents", access))
	h.Expect(401, "not_signed_in", harness.Get("/v1/me/applications"))
	h.Expect(200, "", harness.Get("/v1/me/applications", access))
	h.Expect(401, "not_signed_in", harness.Request{Method: "DELETE", Path: "/v1/me/applications/none"})
	h.Expect(404, "application_not_found", harness.Request{Method: "DELETE", Path: "/v1/me/applications/none", Bearer: access})
	me := h.Expect(200, "", harness.Get("/v1/me", access)).Str("id")
	if err := h.Database().Write(h.Context(), func(tx *db.Tx) error {
		return grant.Consent(tx, me, "shop", []string{grant.OpenID}, nil, time.Now())
	}); err != nil {
		h.Fatal(err)
	}
	h.Expect(204, "", harness.Request{Method: "DELETE", Path: "/v1/me/applications/shop", Bearer: access})
}

// driveOutages takes the database away: every operation that needs it must say
// 503 with Retry-After, and none may say that the credentials are wrong.
func driveOutages(h *harness.Server) {
	h.Helper()
	h.Register("ada@example.org")
	me, app := h.Login("ada@example.org"), h.Application("shop")
	root := h.Administrator("root@example.org")
	h.Expect(200, "", app.Follow("", "0"))
	h.BreakDatabase()
	for _, r := range append(append(harness.AdministrationCalls(root), harness.IncidentCalls(root)...), []harness.Request{
		{Method: "POST", Path: "/v1/register", Body: harness.Credentials{Email: "eve@example.org", Password: harness.Passphrase}},
		{Method: "POST", Path: "/v1/login", Body: harness.Credentials{Email: "ada@example.org", Password: harness.Passphrase}},
		harness.Refreshing(me.Str("refresh_token")),
		{Method: "POST", Path: "/v1/logout", Body: map[string]string{"refresh_token": me.Str("refresh_token")}},
		{Method: "POST", Path: "/v1/logout-all"},
		{Method: "GET", Path: "/v1/me"},
		{Method: "PATCH", Path: "/v1/me", Body: `{"name":"Ada"}`},
		{Method: "GET", Path: "/v1/me/events"},
		{Method: "GET", Path: "/v1/me/identities"},
		{Method: "DELETE", Path: "/v1/me/identities/none"},
		{Method: "GET", Path: "/v1/me/applications"},
		{Method: "DELETE", Path: "/v1/me/applications/none"},
		{Method: "GET", Path: "/v1/me/consents"},
		{Method: "PUT", Path: "/v1/me/consents/terms", Body: `{"agreed":true,"version":1}`},
		{Method: "POST", Path: "/v1/login/agree", Body: `{"pending_token":"gatehouse_pt_x","agreed":{}}`},
		{Method: "GET", Path: "/v1/documents/terms?version=1"},
		{Method: "GET", Path: "/v1/me/export"},
		{Method: "DELETE", Path: "/v1/me"},
		{Method: "GET", Path: "/v1/sessions"},
		{Method: "DELETE", Path: "/v1/sessions/" + me.Str("session_id")},
		{Method: "POST", Path: "/v1/password/change", Body: map[string]string{"current_password": harness.Passphrase, "new_password": harness.Passphrase + "!"}},
		{Method: "DELETE", Path: "/v1/password"},
		{Method: "POST", Path: "/v1/email/change", Body: map[string]string{"current_password": harness.Passphrase, "email": "eve@example.org"}},
		{Method: "POST", Path: "/v1/password/forgot", Body: `{"email":"ada@example.org"}`},
		{Method: "POST", Path: "/v1/password/reset", Body: `{"token":"gatehouse_mt_x","new_password":"` + harness.Passphrase + `!"}`},
		{Method: "POST", Path: "/v1/email/verify", Body: `{"token":"gatehouse_mt_x"}`},
		{Method: "POST", Path: "/v1/email/resend", Body: `{"email":"ada@example.org"}`},
		{Method: "POST", Path: "/v1/email/undo", Body: `{"token":"gatehouse_mt_x","password":"` + harness.Passphrase + `"}`},
		{Method: "POST", Path: "/v1/not-me", Body: `{"token":"gatehouse_mt_x"}`},
		{Method: "POST", Path: "/v1/login/factor", Body: `{"pending_token":"gatehouse_pt_x","code":"123456"}`},
		{Method: "POST", Path: "/v1/login/factor/unlock", Body: `{"pending_token":"gatehouse_pt_x"}`},
		h.NewPasskey("ada@example.org").Alone(),
		{Method: "POST", Path: "/v1/login/factor/options", Body: `{"pending_token":"gatehouse_pt_x"}`},
		{Method: "GET", Path: "/v1/factors"},
		{Method: "POST", Path: "/v1/factors/passkeys/options"},
		{Method: "POST", Path: "/v1/factors/passkeys", Body: `{"credential":{}}`},
		{Method: "PATCH", Path: "/v1/factors/passkeys/none", Body: `{"name":"x"}`},
		{Method: "DELETE", Path: "/v1/factors/passkeys/none"},
		{Method: "POST", Path: "/v1/factors/passkeys/none/reinstate"},
		{Method: "POST", Path: "/v1/factors/mail-code"},
		{Method: "POST", Path: "/v1/factors/totp"},
		{Method: "POST", Path: "/v1/factors/totp/confirm", Body: `{"code":"123456"}`},
		{Method: "DELETE", Path: "/v1/factors/totp"},
		{Method: "POST", Path: "/v1/factors/recovery-codes"},
		{Method: "POST", Path: "/v1/factors/reset/stop", Body: `{"token":"gatehouse_mt_x"}`},
		{Method: "POST", Path: "/v1/factors/undo", Body: `{"token":"gatehouse_mt_x","password":"` + harness.Passphrase + `"}`},
		{Method: "GET", Path: "/v1/admin/events"},
		{Method: "GET", Path: "/v1/admin/alerts"},
		{Method: "POST", Path: "/v1/admin/alerts/silence", Body: `{"rule":"canary","until":"2001-01-01T00:00:00Z"}`},
		{Method: "GET", Path: "/v1/admin/blocks"},
		{Method: "POST", Path: "/v1/admin/blocks", Body: `{"network":"203.0.113.7"}`},
		{Method: "DELETE", Path: "/v1/admin/blocks/none"},
	}...) {
		if r.Path == "/v1/admin/keys" || r.Path == "/v1/admin/settings" {
			continue // they ask the database nothing: below
		}
		if !strings.Contains(fmt.Sprint(r.Body), "refresh_token") {
			r.Bearer = me.Str("access_token")
		}
		if r.Path == "/v1/login" || r.Path == "/v1/register" {
			r.Bearer = ""
		}
		if strings.HasPrefix(r.Path, "/v1/admin/") {
			r.Bearer = root
		}
		// What has been revoked is unknown soon after: sooner on a machine that is busy.
		if a := h.Do(r); a.Status != 503 || a.Str("code") != "database_unavailable" && (r.Bearer == "" || a.Str("code") != "revocations_unknown") {
			h.Errorf("%s %s: %d %s", r.Method, r.Path, a.Status, a.Text)
		}
	}
	access := me.Str("access_token")
	for _, r := range []harness.Request{
		app.Ask("/v1/token/introspect", access), app.Ask("/v1/token/revoke", access), app.Follow("", "0"),
		{Method: "GET", Path: "/v1/forward-auth", Bearer: access}, harness.Get("/v1/admin/keys", root), harness.Get("/v1/admin/settings", root),
	} {
		h.Eventually(r.Path, func() (string, bool) { // what was read a moment ago counts
			a := h.Do(r)
			if a.Status != 503 && a.Status != 200 {
				h.Errorf("%s %s: %d %s", r.Method, r.Path, a.Status, a.Text)
			}
			return a.Text, a.Status == 503
		})
	}
}

// driveApprovals orders what waits for somebody else.
func driveApprovals(h *harness.Server) {
	h.Helper()
	root := h.Administrator("root@example.org")
	made := "/v1/admin/incidents/" + h.Expect(201, "", harness.Post("/v1/admin/incidents", map[string]string{"title": "Driven"}, root)).Str("name")
	h.Expect(202, "", harness.Post(made+"/actions", map[string]any{"action": "end-sessions", "all": true, "reason": "A test"}, root))
}

// driveLimits makes more requests than are allowed: after the first of the network
// every operation says 429, and when to come back.
func driveLimits(h *harness.Server) {
	h.Helper()
	h.Expect(200, "", harness.Get("/openapi.json"))
	for path, item := range harness.Document().Doc.Paths.Map() {
		path = strings.NewReplacer("{id}", "0198c0de-0000-7000-8000-000000000001", "{document}", "terms", "{action}",
			"0198c0de-0000-7000-8000-000000000002").Replace(path)
		for method := range item.Operations() {
			if path == "/.well-known/jwks.json" { // others cause these requests: a rule of their own, a hundred times as wide
				for range 100 {
					h.Do(harness.Get(path))
				}
			}
			if a := h.Expect(429, "rate_limited", harness.Request{Method: method, Path: path}); a.Header.Get("Retry-After") == "" {
				h.Errorf("%s %s: %v", method, path, a.Header)
			}
		}
	}
}

// driveAdministrators drives what is for administrators, and has every operation
// refuse a blocked network.
func driveAdministrators(h *harness.Server) {
	h.Helper()
	root := h.Administrator("root@example.org")
	h.DriveBadBodies(harness.Request{Method: "POST", Path: "/v1/admin/blocks", Bearer: root})
	h.DriveAudit(root)
	h.DriveAdministration(root)
	h.DriveIncidents(root)
	made := h.Expect(201, "", harness.Blocking(root, map[string]any{"network": "203.0.113.7"}))
	h.Expect(200, "", harness.Blocking(root, map[string]any{"network": "203.0.113.7"}))
	h.Expect(409, "confirmation_needed", harness.Blocking(root, map[string]any{"network": "::/0"}))
	h.Expect(200, "", harness.Get("/v1/admin/blocks", root))
	h.Expect(400, "invalid_cursor", harness.Get("/v1/admin/blocks?cursor=x", root))
	h.Becomes("203.0.113.7", 403)
	for path, item := range harness.Document().Doc.Paths.Map() {
		path = strings.NewReplacer("{id}", "0198c0de-0000-7000-8000-000000000001", "{document}", "terms").Replace(path)
		for method := range item.Operations() {
			h.Expect(403, "address_blocked", harness.Through("203.0.113.7", harness.Request{Method: method, Path: path}))
		}
	}
	h.Expect(204, "", harness.Request{Method: "DELETE", Path: "/v1/admin/blocks/" + made.Str("id"), Bearer: root})
	h.Expect(404, "block_not_found", harness.Request{Method: "DELETE", Path: "/v1/admin/blocks/" + made.Str("id"), Bearer: root})
}
