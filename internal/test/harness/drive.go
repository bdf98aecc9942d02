package harness

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// DriveApplications drives the operations of applications to every status, with
// the access token of a person.
func (h *Server) DriveApplications(access string) {
	h.Helper()
	app := h.Application("shop")
	h.Expect(200, "", Request{Method: "GET", Path: "/.well-known/oauth-authorization-server"})
	h.Expect(200, "", app.Follow("", "0"))
	h.Expect(400, "invalid_wait", app.Follow("", "x"))
	for _, path := range []string{"/v1/token/introspect", "/v1/token/revoke"} {
		h.Expect(200, "", app.Ask(path, "nonsense"))
		for status, r := range map[int]Request{
			400: {Body: "token=a&token=b", ContentType: "application/x-www-form-urlencoded"},
			413: {Body: "token=" + strings.Repeat("a", 64<<10), ContentType: "application/x-www-form-urlencoded"},
			415: {Body: "{}"},
		} {
			r.Method, r.Path, r.Header = "POST", path, http.Header(app)
			if a := h.Do(r); a.Status != status {
				h.Errorf("%v: answered %d %q, want %d", r, a.Status, a.Str("code"), status)
			}
		}
	}
	h.Expect(200, "", Request{Method: "GET", Path: "/v1/forward-auth", Bearer: access})
	h.Expect(302, "", Request{Method: "GET", Path: "/v1/forward-auth?redirect=1", Header: AsksFor("GET", "https", "app.example", "/")})
	h.Expect(400, "invalid_redirect", Request{Method: "GET", Path: "/v1/forward-auth?redirect=2"})
}

// DriveAudit drives the operations on events and alerts.
func (h *Server) DriveAudit(root string) {
	h.Helper()
	h.Audit(root, nil)
	h.Expect(400, "invalid_cursor", Request{Method: "GET", Path: "/v1/admin/events?cursor=x", Bearer: root})
	h.Expect(200, "", Request{Method: "GET", Path: "/v1/admin/alerts", Bearer: root})
	h.Expect(400, "invalid_cursor", Request{Method: "GET", Path: "/v1/admin/alerts?cursor=x", Bearer: root})
	silence := Request{Method: "POST", Path: "/v1/admin/alerts/silence", Bearer: root, Body: `{"rule":"canary","until":"2001-01-01T00:00:00Z"}`}
	h.Expect(204, "", silence)
	h.DriveBadBodies(silence)
	silence.Body = `{"rule":"nonsense","until":"2001-01-01T00:00:00Z"}`
	h.Expect(404, "rule_unknown", silence)
}

// DriveEverybody drives what anyone may do, with an account and without.
func (h *Server) DriveEverybody() {
	h.Helper()
	h.Register("ada@example.org")
	me := h.Login("ada@example.org")
	access := me.Str("access_token")
	h.DriveSignIn()
	h.DriveProfile(access)
	h.DriveOwnEvents(access)
	h.DrivePrivacy()
	h.DriveRecovery()
	h.DriveApplications(access)
	h.DriveSessions("ada@example.org", me)
	h.DrivePublished()
	h.DriveCommonFaults()
	h.DriveWithoutCSRFToken("ada@example.org")
}

// DriveSignIn drives the operations before there is a session, for an account that is
// registered: ada@example.org.
func (h *Server) DriveSignIn() {
	h.Helper()
	h.Expect(400, "required", Post("/v1/register", "{}"))
	h.Expect(400, "invalid_email", Post("/v1/register", Credentials{"nobody", Passphrase}))
	h.Expect(400, "password_too_short", Post("/v1/register", Credentials{"b@example.org", "short"}))
	h.Expect(401, "invalid_credentials", SignInAs("ada@example.org", "wrong password, quite"))
	h.Expect(401, "invalid_token", Post("/v1/not-me", Body{}, "no.such.token"))
	h.Expect(400, "required", SignInAs("ada@example.org", ""))
	h.Expect(200, "", Post("/v1/password/strength", map[string]string{"password": Passphrase}))
	h.Expect(401, "invalid_refresh_token", Refreshing("gatehouse_rt_nonsense"))
	h.Expect(400, "required", Refreshing(""))
}

// DriveProfile reads and changes the account ada@example.org.
func (h *Server) DriveProfile(access string) {
	h.Helper()
	got := h.Expect(200, "", Get("/v1/me", access))
	want := map[string]any{
		"id": got.Str("id"), "email": "ada@example.org", "email_verified": false, "name": "", "locale": "",
		"roles": []any{}, "created_at": got.Str("created_at"),
	}
	if diff := cmp.Diff(want, got.Fields); diff != "" {
		h.Errorf("GET /v1/me (-want +got):\n%s", diff)
	}
	change := func(body any) Request { return Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: body} }
	for _, c := range []struct{ body, name, locale string }{
		{`{"name":"Ada Lovelace","locale":"en-gb"}`, "Ada Lovelace", "en-GB"},
		{`{"locale":""}`, "Ada Lovelace", ""},
		{`{}`, "Ada Lovelace", ""},
	} {
		if got := h.Expect(200, "", change(c.body)); got.Str("name") != c.name || got.Str("locale") != c.locale {
			h.Errorf("%v: answered %s, want the name %q and the locale %q", change(c.body), got.Text, c.name, c.locale)
		}
	}
	h.Expect(400, "invalid_name", change(map[string]any{"name": "a\nb"}))
	h.Expect(400, "invalid_locale", change(map[string]any{"locale": "!!"}))
	h.Expect(400, "unknown_field", change(map[string]any{"roles": []string{"admin"}}))
}

// DriveOwnEvents pages through a person's own events.
func (h *Server) DriveOwnEvents(access string) {
	h.Helper()
	h.Expect(400, "invalid_limit", Get("/v1/me/events?limit=0", access))
	h.Expect(400, "invalid_cursor", Get("/v1/me/events?cursor=%27%20OR%201=1", access))
	first := h.Expect(200, "", Get("/v1/me/events?limit=1", access))
	if first.Str("next_cursor") == "" || len(first.Fields["events"].([]any)) != 1 {
		h.Errorf("the first page has not one event and a cursor: %s", first.Text)
	}
	rest := h.Expect(200, "", Get("/v1/me/events?cursor="+first.Str("next_cursor"), access))
	if len(rest.Fields["events"].([]any)) < 3 || rest.Str("next_cursor") != "" {
		h.Errorf("the second page has not all other events and no cursor: %s", rest.Text)
	}
}

// DriveSessions lists and ends the sessions of an account, of which me is the first.
func (h *Server) DriveSessions(email string, me Answer) {
	h.Helper()
	access := me.Str("access_token")
	second := h.Login(email)
	list := h.Expect(200, "", Get("/v1/sessions", access))
	if n := strings.Count(list.Text, `"current":true`); n != 1 || len(list.Fields["sessions"].([]any)) != 2 {
		h.Errorf("GET /v1/sessions has not two sessions, one of them current: %s", list.Text)
	}
	h.Expect(404, "session_not_found", Request{Method: "DELETE", Path: "/v1/sessions/none", Bearer: access})
	h.Expect(204, "", Request{Method: "DELETE", Path: "/v1/sessions/" + second.Str("session_id"), Bearer: access})
	h.Expect(401, "invalid_token", Get("/v1/me", second.Str("access_token")))

	access = h.Expect(200, "", Refreshing(me.Str("refresh_token"))).Str("access_token")
	h.Expect(204, "", Post("/v1/logout-all", map[string]bool{"keep_current": true}, access))
	h.Expect(204, "", Post("/v1/logout-all", nil, access))
	h.Expect(204, "", Post("/v1/logout", nil, access))
	h.Expect(401, "not_signed_in", Post("/v1/logout", nil))
}

// DrivePublished reads what is published for applications.
func (h *Server) DrivePublished() {
	h.Helper()
	jwks := Get("/.well-known/jwks.json")
	etag := h.Expect(200, "", jwks).Header.Get("ETag")
	jwks.Header = http.Header{"If-None-Match": {`"other", W/` + etag}}
	h.Expect(304, "", jwks)
	h.Expect(200, "", Get("/openapi.json"))
}

// DriveWithoutCSRFToken makes the requests with effects as a browser does for another
// site: with the account's cookies and nothing else.
func (h *Server) DriveWithoutCSRFToken(email string) {
	h.Helper()
	b := h.Browser()
	b.SignIn(email)
	for _, r := range []Request{
		{Method: "POST", Path: "/v1/logout-all"},
		{Method: "DELETE", Path: "/v1/sessions/none"},
		{Method: "PATCH", Path: "/v1/me", Body: `{}`},
		{Method: "POST", Path: "/v1/password/change", Body: `{}`},
		{Method: "POST", Path: "/v1/email/change", Body: `{}`},
		{Method: "POST", Path: "/v1/token/refresh"},
		{Method: "POST", Path: "/v1/logout"},
	} {
		if a := b.Send(r); a.Str("code") != "csrf_token_required" {
			h.Errorf("%v with cookies alone: answered %d %q, want csrf_token_required", r, a.Status, a.Str("code"))
		}
	}
}

// DriveCommonFaults makes the mistakes that every operation answers alike.
func (h *Server) DriveCommonFaults() {
	h.Helper()
	for path, item := range Document().Doc.Paths.Map() {
		path = strings.ReplaceAll(path, "{id}", "0198c0de-0000-7000-8000-000000000001")
		for method, op := range item.Operations() {
			r := Request{Method: method, Path: path}
			if op.Security != nil && len(*op.Security) == 1 && (*op.Security)[0]["application"] != nil {
				h.Expect(401, "invalid_client", r)
				continue
			}
			if op.Security != nil && !slices.ContainsFunc(*op.Security, func(s openapi3.SecurityRequirement) bool { return len(s) == 0 }) {
				h.Expect(401, "not_signed_in", r)
				r.Bearer = "not.a.token"
				h.Expect(401, "invalid_token", r)
				continue
			}
			if op.RequestBody != nil {
				h.DriveBadBodies(r)
			}
		}
	}
	h.Register("bodies@example.org")
	access := h.Login("bodies@example.org").Str("access_token")
	h.DriveBadBodies(Request{Method: "PATCH", Path: "/v1/me", Bearer: access})
	h.DriveBadBodies(Request{Method: "POST", Path: "/v1/logout-all", Bearer: access})
	h.DriveBadBodies(Request{Method: "POST", Path: "/v1/password/change", Bearer: access})
	h.DriveBadBodies(Request{Method: "POST", Path: "/v1/email/change", Bearer: access})
	h.DriveBadBodies(Request{Method: "POST", Path: "/v1/factors/totp/confirm", Bearer: access})
	h.DriveBadBodies(Request{Method: "DELETE", Path: "/v1/factors/totp", Bearer: access})
	for _, r := range []Request{
		{Method: "GET", Path: "/nowhere"}, {Method: "POST", Path: "/v1//login"}, {Method: "GET", Path: "/v1/sessions/%00"}, {Method: "GET", Path: "/v1/me/"},
	} {
		if h.Front != nil && strings.Contains(r.Path, "%00") {
			continue // nginx refuses that itself
		}
		h.Expect(404, "not_found", r)
	}
	if a := h.Expect(405, "method_not_allowed", Request{Method: "DELETE", Path: "/v1/login"}); a.Header.Get("Allow") != "POST" {
		h.Errorf("Allow: %q", a.Header.Get("Allow"))
	}
}

// DriveBadBodies sends an operation what no operation takes.
func (h *Server) DriveBadBodies(r Request) {
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
		r.Body, r.ContentType = bad.body, bad.contentType
		a := h.Do(r)
		if a.Status != bad.status || (a.Str("code") != bad.code && bad.status != 400) {
			h.Errorf("%v, a body that is %s: answered %d %q, want %d %q", r, name, a.Status, a.Str("code"), bad.status, bad.code)
		}
	}
}

// DriveRecovery drives the operations of mails, addresses and passwords to every
// status.
func (h *Server) DriveRecovery() {
	h.Helper()
	const ida = "ida@example.org"
	h.Register(ida)
	box := h.Mailbox()
	access := h.Login(ida).Str("access_token")
	verify := Body{"token": TokenOf(h, box.Last(ida, notice.VerifyAddress).Link)}
	h.Expect(400, "required", Post("/v1/email/verify", Body{}))
	h.Expect(400, "invalid_link", Post("/v1/email/verify", Body{"token": "gatehouse_mt_x"}))
	h.Expect(403, "password_required", Post("/v1/email/verify", verify))
	h.Expect(403, "wrong_password", Post("/v1/email/verify", verify.With("password", "wrong password, quite")))
	h.Expect(401, "invalid_token", Post("/v1/email/verify", verify, "not.a.token"))
	h.Expect(202, "", Post("/v1/email/resend", Body{"email": ida}))
	h.Expect(400, "invalid_email", Post("/v1/email/resend", Body{"email": "x"}))
	h.Expect(204, "", Post("/v1/email/verify", verify.With("password", Passphrase)))
	h.Expect(200, "", Post("/v1/email/verify", verify))

	h.Expect(400, "required", Post("/v1/password/change", Body{}, access))
	h.Expect(400, "password_too_short", Post("/v1/password/change", Body{"current_password": Passphrase, "new_password": "short"}, access))
	h.Expect(400, "password_unchanged", Post("/v1/password/change", Body{"current_password": Passphrase, "new_password": Passphrase}, access))
	h.Expect(403, "wrong_password", Post("/v1/password/change", Body{"current_password": "wrong password, quite", "new_password": AnotherPassphrase}, access))
	h.Expect(204, "", Post("/v1/password/change", Body{"current_password": Passphrase, "new_password": AnotherPassphrase}, access))
	h.Expect(204, "", Post("/v1/password/change", Body{"current_password": AnotherPassphrase, "new_password": Passphrase}, access))

	h.Expect(400, "required", Post("/v1/password/forgot", Body{}))
	request := h.Expect(202, "", Post("/v1/password/forgot", Body{"email": ida})).Str("request")
	h.Expect(202, "", Post("/v1/password/forgot", Body{"email": "nobody@example.org"}))
	mail := box.Last(ida, notice.ResetPassword)
	h.Expect(400, "required", Post("/v1/password/reset", Body{"token": "x"}))
	h.Expect(400, "invalid_link", Post("/v1/password/reset", Body{"token": "x", "new_password": AnotherPassphrase}))
	h.Expect(400, "request_required", Post("/v1/password/reset", Body{"email": ida, "code": mail.Code, "new_password": AnotherPassphrase}))
	h.Expect(400, "invalid_code", Post("/v1/password/reset", Body{"email": ida, "code": "x", "request": request, "new_password": AnotherPassphrase}))
	h.Expect(204, "", Post("/v1/password/reset", Body{"email": ida, "code": mail.Code, "request": request, "new_password": AnotherPassphrase}))
	access = h.Expect(200, "", SignInAs(ida, AnotherPassphrase)).Str("access_token")

	h.Expect(400, "required", Post("/v1/email/change", Body{"email": "new@example.org"}, access))
	h.Expect(202, "", Post("/v1/email/change", Body{"email": "new@example.org", "current_password": AnotherPassphrase}, access))
	for range 20 {
		h.Do(Post("/v1/password/reset", Body{"email": "codes@example.org", "code": "x", "request": request, "new_password": AnotherPassphrase}))
	}
	h.Expect(429, "too_many_codes", Post("/v1/password/reset",
		Body{"email": "codes@example.org", "code": "x", "request": request, "new_password": AnotherPassphrase}))
	for range 20 {
		h.Do(Post("/v1/email/verify", Body{"email": "others@example.org", "code": "x", "request": request}))
	}
	h.Expect(429, "too_many_codes", Post("/v1/email/verify", Body{"email": "others@example.org", "code": "x", "request": request}))
	for _, path := range []string{"/v1/password/change", "/v1/email/change"} {
		r := Post(path, Body{"email": "new@example.org", "current_password": "wrong password, quite"}, access)
		if path == "/v1/password/change" {
			r.Body = Body{"current_password": "wrong password, quite", "new_password": Passphrase}
		}
		for range 5 {
			h.Do(r)
		}
		h.Expect(429, "too_many_attempts", r)
	}
}

// DriveFactors drives the operations of second factors to every status.
func (h *Server) DriveFactors() {
	h.Helper()
	const kim = "kim@example.org"
	a := h.AddApp(&Clock{}, kim)
	box := h.Mailbox()
	h.Expect(200, "", Get("/v1/factors", a.Access))
	root := h.Administrator("root@example.org")
	reset := "/v1/admin/users/" + h.firstOf("users", "users?q="+kim, root) + "/factor-reset"
	h.Expect(200, "", Post(reset, Body{"reason": "Lost a phone"}, root))
	back := Request{Method: "DELETE", Path: reset + "?reason=Found+it", Bearer: root}
	h.Expect(400, "required", Request{Method: "DELETE", Path: reset, Bearer: root})
	h.Expect(204, "", back)
	h.Expect(404, "reset_not_found", back)
	h.Expect(401, "not_signed_in", Post("/v1/factors/mail-code", nil))
	h.Expect(401, "not_signed_in", Post("/v1/factors/totp", nil))
	h.Expect(401, "not_signed_in", Post("/v1/factors/totp/confirm", Body{"code": "123456"}))
	h.Expect(202, "", Post("/v1/factors/mail-code", nil, a.Access))
	if _, _, err := h.Operator().ResetFactors(h.Context(), kim, "", time.Hour, OriginOfTests); err != nil {
		h.Fatal(err)
	}
	stop := Post("/v1/factors/reset/stop", Body{"token": TokenOf(h, box.Last(kim, notice.FactorResetAsked).Link)})
	h.Expect(204, "", stop)
	h.Expect(200, "", stop)
	h.Expect(401, "invalid_code", ShowCode(a.Pending(), a.WrongCode()))
	h.Expect(401, "invalid_recovery_code", ShowRecovery(a.Pending(), "x"))
	h.Expect(401, "sign_in_over", ShowCode("gatehouse_pt_x", "123456"))
	h.Expect(400, "required", ShowCode("", "123456"))
	h.Expect(202, "", Post("/v1/login/factor/unlock", Body{"pending_token": a.Pending()}))
	h.Expect(400, "required", Post("/v1/login/factor/unlock", Body{}))
	h.Expect(401, "sign_in_over", Post("/v1/login/factor/unlock", Body{"pending_token": "gatehouse_pt_x"}))
	access := h.Expect(200, "", ShowCode(a.Pending(), a.Code(1))).Str("access_token")
	h.Expect(200, "", Post("/v1/factors/recovery-codes", nil, access))
	a.Secret = h.Expect(200, "", Post("/v1/factors/totp", nil, access)).Str("secret")
	h.Expect(400, "invalid_code", Post("/v1/factors/totp/confirm", Body{"code": a.WrongCode()}, access))
	h.ChangedWhile(kim, Post("/v1/factors/totp/confirm", Body{"code": a.Code(0)}, access))
	h.Expect(204, "", Post("/v1/factors/totp/confirm", Body{"code": a.Code(0)}, access))
	undo := Body{"token": TokenOf(h, box.Last(kim, notice.FactorAdded).Undo)}
	remove := Request{Method: "DELETE", Path: "/v1/factors/totp", Bearer: access}
	h.ChangedWhile(kim, remove)
	h.Expect(204, "", remove)
	h.Expect(404, "factor_not_found", remove)
	h.Expect(409, "no_factor", Post("/v1/factors/recovery-codes", nil, access))
	if _, _, err := h.Operator().ResetFactors(h.Context(), kim, "", time.Hour, OriginOfTests); err == nil {
		h.Error("a reset of no factors was asked for")
	}
	h.Expect(400, "invalid_link", Post("/v1/factors/reset/stop", Body{"token": "gatehouse_mt_x"}))
	h.Expect(400, "required", Post("/v1/factors/undo", undo))
	h.Expect(400, "invalid_link", Post("/v1/factors/undo", Body{"token": "gatehouse_mt_x", "password": Passphrase}))
	h.Expect(403, "wrong_password", Post("/v1/factors/undo", undo.With("password", "wrong password, quite")))
	h.Expect(204, "", Post("/v1/factors/undo", undo.With("password", Passphrase)))
	h.Expect(200, "", Post("/v1/factors/undo", undo.With("password", Passphrase)))
}

// ChangedWhile makes a request while somebody else changes the account's factors: it is answered 409.
func (h *Server) ChangedWhile(email string, r Request) {
	h.Helper()
	var (
		a      Answer
		failed error
		over   sync.WaitGroup
	)
	err := h.Database().Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE account SET factor_n = factor_n + 1 WHERE email = $1`, email)
		over.Go(func() { a, failed = h.Try(r) })
		time.Sleep(500 * time.Millisecond) // it has looked at the account, and waits for the row
		return err
	})
	over.Wait()
	if err != nil || failed != nil || a.Status != 409 || a.Str("code") != "changed_meanwhile" {
		h.Errorf("%v: answered %d %s, want 409; %v, %v", r, a.Status, a.Text, err, failed)
	}
}

// DriveWayBack drives the operations that give an account back to its owner, twice each,
// and changes a password several times at once.
func (h *Server) DriveWayBack() {
	h.Helper()
	const ivy, moved = "ivy@example.org", "ivy@example.net"
	h.Register(ivy)
	box := h.Mailbox()
	access := h.Login(ivy).Str("access_token")
	h.Expect(202, "", Post("/v1/email/change", Body{"email": moved, "current_password": Passphrase}, access))
	h.Expect(204, "", Post("/v1/email/verify", Body{"token": TokenOf(h, box.Last(moved, notice.ConfirmAddress).Link)}, access))
	undo := Body{"token": TokenOf(h, box.Last(ivy, notice.AddressChanged).Undo)}
	h.Expect(400, "required", Post("/v1/email/undo", undo))
	h.Expect(403, "wrong_password", Post("/v1/email/undo", undo.With("password", "wrong password, quite")))
	h.Expect(204, "", Post("/v1/email/undo", undo.With("password", Passphrase)))
	h.Expect(200, "", Post("/v1/email/undo", undo.With("password", Passphrase)))
	reset := Post("/v1/password/reset", Body{"token": TokenOf(h, box.Last(ivy, notice.ResetPassword).Link), "new_password": AnotherPassphrase})
	h.Expect(204, "", reset)
	h.Expect(200, "", reset)
	notMe := Post("/v1/not-me", Body{"token": TokenOf(h, box.Last(ivy, notice.PasswordChanged).NotMe)})
	h.Expect(204, "", notMe)
	h.Expect(200, "", notMe)

	const may = "may@example.org"
	h.Register(may)
	access = h.Login(may).Str("access_token")
	// Of several changes at once that knew the password, one was first.
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			change := Body{"current_password": Passphrase, "new_password": fmt.Sprint(AnotherPassphrase, i)}
			if _, err := h.Try(Post("/v1/password/change", change, access)); err != nil {
				h.Error(err)
			}
		})
	}
	all.Wait()
}
