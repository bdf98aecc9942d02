package events_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// details returns the details of the events of a kind, in their order.
func details(h *harness.Server, kind event.Kind) (list []event.Detail) {
	h.Helper()
	err := h.Database().Read(h.Context(), func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT p.data FROM event AS e JOIN event_personal AS p ON p.event_id = e.id WHERE e.kind = $1 ORDER BY e.time, e.id`, string(kind))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var data string
			var p struct{ Detail event.Detail }
			if err := rows.Scan(&data); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(data), &p); err != nil {
				return err
			}
			list = append(list, p.Detail)
		}
		return rows.Err()
	})
	if err != nil {
		h.Fatal(err)
	}
	return list
}

// Every way of showing who one is stands in its event, with the method: at a
// sign-in, where a session goes on, and where the password is asked for again.
func TestASVS_V16_3_1_EventsSayTheMethod(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		h.Register(ada)
		a := h.Login(ada)
		access := a.Str("access_token")
		h.Expect(200, "", harness.Refreshing(a.Str("refresh_token")))
		h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": "next@example.org", "current_password": harness.Passphrase}, access))
		h.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": harness.Passphrase, "new_password": harness.AnotherPassphrase},
			access))
		for _, kind := range []event.Kind{event.Login, event.TokenRefresh, event.EmailChange, event.PasswordChange} {
			list := details(h, kind)
			if len(list) != 1 || !slices.Equal(list[0].AMR, []string{"pwd"}) {
				h.Errorf("%s: %+v", kind, list)
			}
		}
		// Each time that a right password was asked for again is an event of its own, and no wrong one is.
		h.Expect(403, "wrong_password", harness.Post("/v1/email/change", harness.Body{"email": "next@example.org", "current_password": harness.Passphrase},
			h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase)).Str("access_token")))
		list := details(h, event.Reauthenticated)
		if len(list) != 2 || !slices.Equal(list[0].AMR, []string{"pwd"}) || !slices.Equal(list[1].AMR, []string{"pwd"}) {
			h.Errorf("reauthenticated: %+v", list)
		}
	})
}

// An operator's event says which person did it and where, an administrator's whose
// account; the line of a request says whose it was.
func TestASVS_V16_2_1_EventsAndRequestsSayWho(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada, root = "ada@example.org", "root@example.org"
		h.Register(ada)
		from := harness.OriginOfTests
		from.Actor = "ops@db1 (sudo by grace)"
		if _, err := h.Operator().SetRoles(h.Context(), ada, []string{"editor"}, from); err != nil {
			h.Fatal(err)
		}
		if list := details(h, event.RoleChange); len(list) != 1 || list[0].By != "operator" || list[0].Actor != from.Actor {
			h.Errorf("role_change: %+v", list)
		}
		admin := h.Administrator(root)
		id := h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: admin}).Str("id")
		h.Expect(201, "", harness.Blocking(admin, map[string]any{"network": "203.0.113.0/24"}))
		if list := details(h, event.AddressBlocked); len(list) != 1 || list[0].By != "administrator" || list[0].Actor != id {
			h.Errorf("address_blocked: %+v, want the actor %s", list, id)
		}
		b := h.Browser()
		b.SignIn(root)
		b.Send(harness.Request{Method: "GET", Path: "/account"})
		for _, route := range []string{"GET /v1/me", "GET /account"} {
			if !slices.ContainsFunc(strings.Split(h.Logs.String(), "\n"), func(line string) bool {
				return strings.Contains(line, `"route":"`+route+`"`) && strings.Contains(line, `"account":"`+id+`"`)
			}) {
				h.Errorf("no line of %s says whose request it was", route)
			}
		}
	})
}

// What is refused for who asks, or for a body that is none, is counted a network and
// minute with the answer's code; what has an event of its own is not counted again.
func TestASVS_V16_3_2_V16_3_3_RefusalsAreCounted(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada, eve = "ada@example.org", "eve@example.org"
		h.Register(ada)
		h.Register(eve)
		his := h.Login(eve).Str("session_id")
		access := h.Login(ada).Str("access_token")
		for range 3 {
			h.Expect(404, "session_not_found", harness.Request{Method: "DELETE", Path: "/v1/sessions/" + his, Bearer: access})
		}
		b := h.Browser()
		b.SignIn(ada)
		forged := harness.Request{Method: "PATCH", Path: "/v1/me", Body: `{"name":"Eve"}`}
		b.Send(forged)
		forged.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}}
		b.Send(forged)
		h.Expect(403, "wrong_password", harness.Post("/v1/password/change",
			harness.Body{"current_password": "wrong password, quite", "new_password": harness.AnotherPassphrase}, access))
		h.Expect(404, "not_found", harness.Request{Method: "GET", Path: "/nothing"})
		for code, body := range map[string]string{
			"invalid_json": `{"email":`, "duplicate_field": `{"email":"a","email":"b"}`, "unknown_field": `{"emails":"a"}`, "not_an_object": `[]`,
			"wrong_type": `{"email":7}`,
		} {
			h.Expect(400, code, harness.Request{Method: "POST", Path: "/v1/login", Body: body})
		}
		h.Expect(415, "unsupported_media_type", harness.Request{Method: "POST", Path: "/v1/login", Body: "x", ContentType: "text/plain"})
		if err := h.Stop(); err != nil { // which writes what was counted
			h.Fatal(err)
		}
		counts := map[string]int64{}
		for _, kind := range []event.Kind{event.AccessDenied, event.MalformedRequest} {
			for _, d := range details(h, kind) {
				counts[string(kind)+" "+d.Reason] += d.Count
			}
		}
		for what, want := range map[string]int64{
			"access_denied session_not_found": 3, "access_denied csrf_token_required": 1, "access_denied cross_origin": 1, "access_denied wrong_password": 0,
			"access_denied not_found":        0,
			"malformed_request invalid_json": 1, "malformed_request duplicate_field": 1, "malformed_request unknown_field": 1, "malformed_request not_an_object": 1,
			"malformed_request wrong_type": 1, "malformed_request unsupported_media_type": 1,
		} {
			if counts[what] != want {
				h.Errorf("%s: %d, want %d", what, counts[what], want)
			}
		}
	})
}
