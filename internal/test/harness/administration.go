package harness

import (
	"fmt"
	"strings"
	"time"
)

// AdministrationCalls are requests of an administrator about people and about what runs
// the service, for what is not there.
func AdministrationCalls(root string) []Request {
	const none = "00000000-0000-0000-0000-000000000000"
	get := func(path string) Request { return Get("/v1/admin/"+path, root) }
	post := func(path string) Request { return Post("/v1/admin/"+path, map[string]any{"reason": "A test"}, root) }
	roles := post("users/" + none + "/roles")
	roles.Method, roles.Body = "PUT", map[string]any{"reason": "A test", "roles": []string{}}
	invite, end, client := post("users"), post("sessions/end"), post("clients")
	invite.Body = map[string]any{"reason": "A test", "email": "invited@example.org"}
	end.Body = map[string]any{"reason": "A test", "account": none}
	client.Body = map[string]any{"reason": "A test", "name": "driven"}
	resource := post("resources")
	resource.Body = map[string]any{"reason": "A test", "uri": "https://driven.example.org/", "name": "Driven"}
	replaced := resource
	replaced.Method = "PUT"
	pause := post("retention/pause")
	pause.Body = map[string]any{"reason": "A test", "until": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}
	return []Request{
		get("retention"), get("retention/due"), pause, post("retention/resume"),
		get("resources"), resource, replaced, {Method: "DELETE", Path: "/v1/admin/resources?uri=https://none.example.org/&reason=x", Bearer: root},
		get("users"), get("users/" + none), get("sessions"), get("overview"), get("clients"), get("mails"), get("events/" + none), get("events/export"),
		get("keys"), get("settings"), invite, end, client, roles,
		post("users/" + none + "/disable"), post("users/" + none + "/enable"), post("users/" + none + "/end-sessions"), post("users/" + none + "/reset"),
		post("users/" + none + "/unlock"), post("users/" + none + "/verify"), post("users/" + none + "/resend-verification"), post("users/" + none + "/factor-reset"),
		post("users/" + none + "/erase"), post("users/" + none + "/export"), {Method: "DELETE", Path: "/v1/admin/users/" + none + "/erase?reason=x", Bearer: root},
		{Method: "DELETE", Path: "/v1/admin/users/" + none + "/factor-reset?reason=x", Bearer: root},
		post("sessions/" + none + "/end"), post("clients/" + none + "/secret"), post("keys/rotate"), Post("/v1/admin/mails/"+none+"/retry", nil, root),
		{Method: "DELETE", Path: "/v1/admin/clients/" + none + "?reason=x", Bearer: root},
		{Method: "PATCH", Path: "/v1/admin/clients/" + none, Bearer: root, Body: map[string]any{"reason": "x"}},
	}
}

// DriveAdministration drives the operations about people and about what runs the service
// to every status that a client can cause.
func (h *Server) DriveAdministration(root string) {
	h.Helper()
	// The doctor answers although the database does not: that is one of its findings.
	for _, r := range append(AdministrationCalls(root), Get("/v1/admin/doctor", root)) {
		if a := h.Do(r); a.Status != 200 && a.Status != 201 && a.Status != 404 {
			h.Errorf("%v: %d %s", r, a.Status, a.Text)
		}
		r.Bearer = ""
		h.Expect(401, "not_signed_in", r)
		r.Bearer = root
		if r.Body != nil && !strings.HasSuffix(r.Path, "/retry") {
			h.DriveBadBodies(r)
		}
	}
	for path, code := range map[string]string{
		"users?cursor=x": "invalid_cursor", "users?state=x": "invalid_state", "users?role=X!": "invalid_role", "sessions?cursor=x": "invalid_cursor",
		"overview?range=1y": "invalid_range", "mails?cursor=x": "invalid_cursor", "events/export?since=x": "invalid_time", "users?limit=0": "invalid_limit",
	} {
		h.Expect(400, code, Get("/v1/admin/"+path, root))
	}
	do := func(status int, code, path string, more ...any) {
		h.Helper()
		body := map[string]any{"reason": "A test"}
		for i := 0; i+1 < len(more); i += 2 {
			body[fmt.Sprint(more[i])] = more[i+1]
		}
		r := Post(path, body, root)
		if strings.HasSuffix(path, "/roles") {
			r.Method = "PUT"
		}
		h.Expect(status, code, r)
	}
	h.drivePeople(root, do)
	h.DriveTheirPrivacy(root)
	h.driveOperations(root, do)
}

// drivePeople drives what administrators do about one person, and about themselves.
func (h *Server) drivePeople(root string, do func(status int, code, path string, more ...any)) {
	h.Helper()
	h.Register("driven@example.org")
	user := "/v1/admin/users/" + h.firstOf("users", "users?q=driven@example.org", root)
	h.Expect(200, "", Get(user, root))
	do(200, "", user+"/resend-verification")
	do(200, "", user+"/verify")
	do(409, "verified_already", user+"/resend-verification")
	do(200, "", user+"/end-sessions")
	do(200, "", user+"/unlock")
	do(200, "", user+"/reset")
	do(200, "", user+"/disable")
	do(409, "account_disabled", user+"/reset")
	do(200, "", user+"/enable")
	do(200, "", user+"/roles", "roles", []string{"writer"})
	do(409, "no_factor", user+"/factor-reset")
	do(409, "address_taken", "/v1/admin/users", "email", "driven@example.org")
	me := h.Expect(200, "", Get("/v1/me", root)).Str("id")
	do(409, "own_account", "/v1/admin/users/"+me+"/disable")
	do(409, "own_account", "/v1/admin/users/"+me+"/roles", "roles", []string{})
	for range 4 {
		h.Login("root@example.org")
	}
	do(409, "confirmation_needed", "/v1/admin/sessions/end", "account", me, "expected_sessions", 1)
	do(204, "", "/v1/admin/sessions/"+h.Login("root@example.org").Str("session_id")+"/end")
	do(200, "", "/v1/admin/sessions/end?dry_run=true")
}

// driveOperations drives what administrators do about applications, mails and events.
func (h *Server) driveOperations(root string, do func(status int, code, path string, more ...any)) {
	h.Helper()
	do(409, "client_name_taken", "/v1/admin/clients", "name", "driven")
	client := "/v1/admin/clients/" + h.firstOf("clients", "clients", root)
	do(200, "", client+"/secret")
	change := Request{Method: "PATCH", Path: client, Bearer: root}
	h.DriveBadBodies(change)
	change.Body = map[string]any{"disabled": true, "reason": "x"}
	h.Expect(200, "", change)
	h.Expect(400, "required", Request{Method: "DELETE", Path: client, Bearer: root})
	h.Expect(204, "", Request{Method: "DELETE", Path: client + "?reason=x", Bearer: root})
	do(409, "resource_taken", "/v1/admin/resources", "uri", "https://driven.example.org/", "name", "Driven")
	do(400, "invalid_scopes", "/v1/admin/resources", "uri", "https://other.example.org/", "name", "Other", "scopes", []string{"openid"})
	change = Request{Method: "PUT", Path: "/v1/admin/resources", Bearer: root}
	change.Body = map[string]any{"uri": "https://none.example.org/", "name": "x", "reason": "x"}
	h.Expect(404, "resource_not_found", change)
	do(201, "", "/v1/admin/clients", "name", "caller", "settings", map[string]any{"resources": []string{"https://driven.example.org/"}})
	gone := Request{Method: "DELETE", Path: "/v1/admin/resources?uri=https://driven.example.org/&reason=x", Bearer: root}
	h.Expect(409, "resource_in_use", gone)
	h.Expect(204, "", Request{Method: "DELETE", Path: "/v1/admin/clients/" + h.firstOf("clients", "clients", root) + "?reason=x", Bearer: root})
	h.Expect(204, "", gone)
	h.Expect(400, "required", Request{Method: "DELETE", Path: "/v1/admin/resources?uri=x", Bearer: root})
	h.Expect(204, "", Post("/v1/admin/mails/"+h.firstOf("mails", "mails?limit=1", root)+"/retry", nil, root))
	h.Expect(200, "", Get("/v1/admin/events/"+h.Audited(root), root))
}

// Audited returns the id of the newest event.
func (h *Server) Audited(root string) string {
	h.Helper()
	return h.firstOf("events", "events?limit=1", root)
}

// firstOf returns the id of the first of a list under /v1/admin.
func (h *Server) firstOf(list, path, root string) string {
	h.Helper()
	return h.Expect(200, "", Get("/v1/admin/"+path, root)).Fields[list].([]any)[0].(map[string]any)["id"].(string)
}
