package harness

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

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
				h.Errorf("%s: %d %s, want %d", path, a.Status, a.Text, status)
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

	h.Expect(400, "required", Request{Method: "POST", Path: "/v1/register", Body: "{}"})
	h.Expect(400, "invalid_email", Request{Method: "POST", Path: "/v1/register", Body: Credentials{"nobody", Passphrase}})
	h.Expect(400, "password_too_short", Request{Method: "POST", Path: "/v1/register", Body: Credentials{"b@example.org", "short"}})
	h.Expect(401, "invalid_credentials", Request{Method: "POST", Path: "/v1/login", Body: Credentials{"ada@example.org", "wrong password, quite"}})
	h.Expect(400, "required", Request{Method: "POST", Path: "/v1/login", Body: Credentials{"ada@example.org", ""}})
	h.Expect(200, "", Request{Method: "POST", Path: "/v1/password/strength", Body: map[string]string{"password": Passphrase}})
	h.Expect(401, "invalid_refresh_token", Refreshing("gatehouse_rt_nonsense"))
	h.Expect(400, "required", Refreshing(""))

	got := h.Expect(200, "", Request{Method: "GET", Path: "/v1/me", Bearer: access})
	want := map[string]any{
		"id": got.Str("id"), "email": "ada@example.org", "email_verified": false, "name": "", "locale": "",
		"roles": []any{}, "created_at": got.Str("created_at"),
	}
	if diff := cmp.Diff(want, got.Fields); diff != "" {
		h.Errorf("the account:\n%s", diff)
	}
	got = h.Expect(200, "", Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: map[string]any{"name": "Ada Lovelace", "locale": "en-gb"}})
	if got.Str("name") != "Ada Lovelace" || got.Str("locale") != "en-GB" {
		h.Errorf("changed: %s", got.Text)
	}
	got = h.Expect(200, "", Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: map[string]any{"locale": ""}})
	if got.Str("name") != "Ada Lovelace" || got.Str("locale") != "" {
		h.Errorf("changed again: %s", got.Text)
	}
	h.Expect(200, "", Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: "{}"})
	h.Expect(400, "invalid_name", Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: map[string]any{"name": "a\nb"}})
	h.Expect(400, "invalid_locale", Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: map[string]any{"locale": "!!"}})
	h.Expect(400, "unknown_field", Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: map[string]any{"roles": []string{"admin"}}})

	h.Expect(400, "invalid_limit", Request{Method: "GET", Path: "/v1/me/events?limit=0", Bearer: access})
	h.Expect(400, "invalid_cursor", Request{Method: "GET", Path: "/v1/me/events?cursor=%27%20OR%201=1", Bearer: access})
	first := h.Expect(200, "", Request{Method: "GET", Path: "/v1/me/events?limit=1", Bearer: access})
	if first.Str("next_cursor") == "" || len(first.Fields["events"].([]any)) != 1 {
		h.Errorf("the first page: %s", first.Text)
	}
	rest := h.Expect(200, "", Request{Method: "GET", Path: "/v1/me/events?cursor=" + first.Str("next_cursor"), Bearer: access})
	if len(rest.Fields["events"].([]any)) < 3 || rest.Str("next_cursor") != "" {
		h.Errorf("the second page: %s", rest.Text)
	}

	h.DriveRecovery()
	h.DriveApplications(access)

	second := h.Login("ada@example.org")
	list := h.Expect(200, "", Request{Method: "GET", Path: "/v1/sessions", Bearer: access})
	if n := strings.Count(list.Text, `"current":true`); n != 1 || len(list.Fields["sessions"].([]any)) != 2 {
		h.Errorf("the sessions: %s", list.Text)
	}
	h.Expect(404, "session_not_found", Request{Method: "DELETE", Path: "/v1/sessions/none", Bearer: access})
	h.Expect(204, "", Request{Method: "DELETE", Path: "/v1/sessions/" + second.Str("session_id"), Bearer: access})
	h.Expect(401, "invalid_token", Request{Method: "GET", Path: "/v1/me", Bearer: second.Str("access_token")})

	jwks := h.Expect(200, "", Request{Method: "GET", Path: "/.well-known/jwks.json"})
	h.Expect(304, "", Request{Method: "GET", Path: "/.well-known/jwks.json", Header: http.Header{"If-None-Match": {`"other", W/` + jwks.Header.Get("ETag")}}})
	h.Expect(200, "", Request{Method: "GET", Path: "/openapi.json"})

	me = h.Expect(200, "", Refreshing(me.Str("refresh_token")))
	h.Expect(204, "", Request{Method: "POST", Path: "/v1/logout-all", Bearer: me.Str("access_token"), Body: map[string]bool{"keep_current": true}})
	h.Expect(204, "", Request{Method: "POST", Path: "/v1/logout-all", Bearer: me.Str("access_token")})
	h.Expect(204, "", Request{Method: "POST", Path: "/v1/logout", Bearer: me.Str("access_token")})
	h.Expect(401, "not_signed_in", Request{Method: "POST", Path: "/v1/logout"})
	h.DriveCommonFaults()
	b := h.Browser()
	b.SignIn("ada@example.org")
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
			h.Errorf("%s %s with cookies alone: %d %s", r.Method, r.Path, a.Status, a.Text)
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
			h.Errorf("%s %s with a body that is %s: %d %s, want %d %s", r.Method, r.Path, name, a.Status, a.Str("code"), bad.status, bad.code)
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
	h.Expect(202, "", Post("/v1/password/forgot", Body{"email": ida}))
	h.Expect(202, "", Post("/v1/password/forgot", Body{"email": "nobody@example.org"}))
	mail := box.Last(ida, notice.ResetPassword)
	h.Expect(400, "required", Post("/v1/password/reset", Body{"token": "x"}))
	h.Expect(400, "invalid_link", Post("/v1/password/reset", Body{"token": "x", "new_password": AnotherPassphrase}))
	h.Expect(400, "invalid_code", Post("/v1/password/reset", Body{"email": ida, "code": "x", "new_password": AnotherPassphrase}))
	h.Expect(204, "", Post("/v1/password/reset", Body{"email": ida, "code": mail.Code, "new_password": AnotherPassphrase}))
	access = h.Expect(200, "", SignInAs(ida, AnotherPassphrase)).Str("access_token")

	h.Expect(400, "required", Post("/v1/email/change", Body{"email": "new@example.org"}, access))
	h.Expect(202, "", Post("/v1/email/change", Body{"email": "new@example.org", "current_password": AnotherPassphrase}, access))
	for range 20 {
		h.Do(Post("/v1/password/reset", Body{"email": "codes@example.org", "code": "x", "new_password": AnotherPassphrase}))
	}
	h.Expect(429, "too_many_codes", Post("/v1/password/reset", Body{"email": "codes@example.org", "code": "x", "new_password": AnotherPassphrase}))
	for range 20 {
		h.Do(Post("/v1/email/verify", Body{"email": "others@example.org", "code": "x"}))
	}
	h.Expect(429, "too_many_codes", Post("/v1/email/verify", Body{"email": "others@example.org", "code": "x"}))
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
