package harness

import "maps"

// DrivePrivacy drives what people do with all of their account.
func (h *Server) DrivePrivacy() {
	h.Helper()
	const email = "leaves@example.org"
	h.Register(email)
	access := h.Login(email).Str("access_token")
	for range 3 {
		h.Expect(200, "", Get("/v1/me/export", access))
	}
	h.DriveBadBodies(Request{Method: "DELETE", Path: "/v1/me", Bearer: access})
	erase := Request{Method: "DELETE", Path: "/v1/me", Bearer: access, Body: map[string]string{"current_password": "not the right one at all"}}
	h.Expect(403, "wrong_password", erase)
	b := h.Browser()
	b.SignIn(email)
	forged := b.Csrf()
	maps.Copy(forged, map[string][]string{"Origin": {"https://evil.example"}})
	if a := b.Send(Request{Method: "GET", Path: "/v1/me/export", Header: forged}); a.Status != 403 || a.Str("code") != "cross_origin" {
		h.Errorf("an export for another site: %d %s", a.Status, a.Text)
	}
	h.Expect(202, "", Request{Method: "DELETE", Path: "/v1/me", Bearer: h.Login(email).Str("access_token")})
}

// DriveTheirPrivacy drives what administrators do for people who can't do it themselves. The last of them stays.
func (h *Server) DriveTheirPrivacy(root string) {
	h.Helper()
	h.Register("asks@example.org")
	user := "/v1/admin/users/" + h.firstOf("users", "users?q=asks@example.org", root)
	why := map[string]any{"reason": "A letter of theirs"}
	h.Expect(200, "", Post(user+"/export", why, root))
	h.Expect(400, "required", Post(user+"/export", map[string]any{"reason": ""}, root))
	h.Expect(200, "", Post(user+"/erase?dry_run=true", map[string]any{}, root))
	h.Expect(400, "invalid_grace_days", Post(user+"/erase", map[string]any{"reason": "x", "grace_days": 15}, root))
	h.Expect(400, "invalid_grace_days", Post(user+"/erase", map[string]any{"reason": "x", "grace_days": -1}, root))
	keep := Request{Method: "DELETE", Path: user + "/erase?reason=x", Bearer: root}
	h.Expect(404, "erasure_not_found", keep)
	h.Expect(200, "", Post(user+"/erase", map[string]any{"reason": "x", "grace_days": 3}, root))
	if due := h.Expect(200, "", Get(user, root)).Str("erase_at"); due == "" {
		h.Error("the account does not say when it will be deleted")
	}
	h.Expect(204, "", keep)
	h.Expect(400, "required", Request{Method: "DELETE", Path: user + "/erase", Bearer: root})
	me := h.Expect(200, "", Get("/v1/me", root)).Str("id")
	h.Expect(409, "own_account", Post("/v1/admin/users/"+me+"/erase", why, root))
	h.Expect(409, "last_administrator", Request{Method: "DELETE", Path: "/v1/me", Bearer: root})
}
