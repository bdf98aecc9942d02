package administration_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// idOf finds an account's id by its address, as an administrator does.
func idOf(h *harness.Server, access, email string) string {
	h.Helper()
	a := h.Expect(200, "", harness.Get("/v1/admin/users?q="+url.QueryEscape(email), access))
	list, _ := a.Fields["users"].([]any)
	if len(list) != 1 {
		h.Fatalf("%s finds %s", email, a.Text)
	}
	return list[0].(map[string]any)["id"].(string)
}

// roled makes an account with roles, and returns its access token.
func roled(h *harness.Server, email string, roles ...string) string {
	h.Helper()
	h.Register(email)
	if _, err := h.Operator().SetRoles(h.Context(), email, roles, harness.OriginOfTests); err != nil {
		h.Fatal(err)
	}
	return h.Login(email).Str("access_token")
}

func act(path, access, reason string) harness.Request {
	return harness.Post(path, map[string]any{"reason": reason}, access)
}

// An administrator's day with one account: each change is previewed, done, and recorded
// with who did it to whom and why.
func TestAnAdministratorHelpsAPerson(t *testing.T) {
	harness.EachReadable(t, func(h *harness.Server) {
		admin := roled(h, "admin@example.org", "admin")
		h.Register("ada@example.org")
		h.Login("ada@example.org")
		session := h.Login("ada@example.org")
		id := idOf(h, admin, "ada@exam")
		user := "/v1/admin/users/" + id

		shown := h.Expect(200, "", harness.Get(user, admin))
		if n := len(shown.Fields["sessions"].([]any)); n != 2 || shown.Str("state") != "unverified" || len(shown.Fields["events"].([]any)) < 3 {
			h.Errorf("the account: %s", shown.Text)
		}
		if strings.Contains(shown.Text, "$2a$") || strings.Contains(shown.Text, "hash\":\"$") {
			h.Errorf("it shows a stored password: %s", shown.Text)
		}
		dry := h.Expect(200, "", act(user+"/end-sessions?dry_run=true", admin, ""))
		if !strings.Contains(dry.Text, `"sessions":2`) || !strings.Contains(dry.Text, `"dry_run":true`) {
			h.Errorf("the preview: %s", dry.Text)
		}
		h.Expect(200, "", harness.Get("/v1/me", session.Str("access_token"))) // a preview does nothing
		h.Expect(400, "required", act(user+"/end-sessions", admin, ""))
		h.Expect(400, "invalid_reason", act(user+"/end-sessions", admin, "a\nforged line"))
		h.Expect(400, "reason_too_long", act(user+"/end-sessions", admin, strings.Repeat("x", 201)))
		h.Expect(200, "", act(user+"/end-sessions", admin, "Lost a phone"))
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(session.Str("refresh_token")))

		h.Expect(200, "", act(user+"/disable", admin, "Asked for it"))
		h.Expect(403, "account_disabled", harness.SignInAs("ada@example.org", harness.Passphrase))
		h.Expect(409, "account_disabled", act(user+"/reset", admin, "Again"))
		h.Expect(200, "", act(user+"/enable", admin, "Back"))
		h.Login("ada@example.org")
		h.Expect(200, "", act(user+"/unlock", admin, "Forgot it"))
		h.Expect(200, "", act(user+"/verify", admin, "By phone"))
		h.Expect(409, "verified_already", act(user+"/resend-verification", admin, "Once more"))
		h.Expect(200, "", harness.Request{Method: "PUT", Path: user + "/roles", Bearer: admin,
			Body: map[string]any{"roles": []string{"writer"}, "reason": "New post"}})
		h.Expect(400, "required", harness.Request{Method: "PUT", Path: user + "/roles", Bearer: admin, Body: map[string]any{"reason": "None given"}})
		h.Expect(200, "", act(user+"/reset", admin, "Somebody else may know it"))
		h.Expect(403, "password_reset_required", harness.SignInAs("ada@example.org", harness.Passphrase))
		h.Expect(404, "account_not_found", act("/v1/admin/users/00000000-0000-0000-0000-000000000000/disable", admin, "Nobody"))

		events := h.Expect(200, "", harness.Get("/v1/admin/events?event=admin_action&account="+id, admin))
		for action, why := range map[string]string{
			"end_sessions": "Lost a phone", "disable_account": "Asked for it", "enable_account": "Back", "unlock_account": "Forgot it",
			"verify_address": "By phone", "change_roles": "New post", "demand_new_password": "Somebody else may know it",
		} {
			if !strings.Contains(events.Text, `"action":"`+action+`"`) || !strings.Contains(events.Text, `"why":"`+why+`"`) {
				h.Errorf("no admin_action %s because of %q: %s", action, why, events.Text)
			}
		}
		actor := h.Expect(200, "", harness.Get("/v1/me", admin)).Str("id")
		if n, m := strings.Count(events.Text, `"actor":"`+actor+`"`), strings.Count(events.Text, `"event":"admin_action"`); n != m || n != 7 {
			h.Errorf("%d of %d admin_actions name the actor: %s", n, m, events.Text)
		}
	})
}

// The role support sees, ends sessions and sends resets, and nothing of an
// administrator's is its to touch.
func TestSupportHelpsAndDoesNotRule(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		admin, support := roled(h, "admin@example.org", "admin"), roled(h, "help@example.org", "support")
		h.Register("ada@example.org")
		h.Login("ada@example.org")
		ada, root := "/v1/admin/users/"+idOf(h, support, "ada@"), "/v1/admin/users/"+idOf(h, support, "admin@")
		h.Expect(200, "", harness.Get(ada, support))
		for _, path := range []string{"/disable", "/enable", "/unlock", "/verify", "/resend-verification"} {
			h.Expect(403, "not_administrator", act(ada+path, support, "Because"))
		}
		h.Expect(403, "not_administrator", harness.Request{Method: "PUT", Path: ada + "/roles", Bearer: support,
			Body: map[string]any{"roles": []string{"admin"}, "reason": "me"}})
		h.Expect(403, "not_administrator", harness.Post("/v1/admin/sessions/end", map[string]any{"reason": "all of them"}, support))
		for _, path := range []string{"/end-sessions", "/reset"} {
			h.Expect(200, "", act(ada+path, support, "Lost a phone"))
			h.Expect(403, "not_administrator", act(root+path, support, "Out with them"))
			h.Expect(403, "not_administrator", act(root+path+"?dry_run=true", support, ""))
		}
		h.Expect(200, "", harness.Get("/v1/me", admin))
		events := h.Expect(200, "", harness.Get("/v1/admin/events?event=admin_action", admin))
		if strings.Count(events.Text, `"by":"support"`) != 2 {
			h.Errorf("what support did: %s", events.Text)
		}
	})
}

// Nobody shuts everybody out: not oneself, not the last administrator, and of two who
// demote each other at the same moment one stays.
func TestThereIsAlwaysAnAdministrator(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		a, b := roled(h, "a@example.org", "admin"), roled(h, "b@example.org", "admin")
		pathA, pathB := "/v1/admin/users/"+idOf(h, a, "a@"), "/v1/admin/users/"+idOf(h, a, "b@")
		h.Expect(409, "own_account", act(pathA+"/disable", a, "Enough"))
		h.Expect(409, "own_account", harness.Request{Method: "PUT", Path: pathA + "/roles", Bearer: a, Body: map[string]any{"roles": []string{}, "reason": "Enough"}})
		var done atomic.Int64
		var both sync.WaitGroup
		for _, r := range []harness.Request{act(pathB+"/disable", a, "You first"), act(pathA+"/disable", b, "No, you")} {
			both.Go(func() {
				if answer := h.Do(r); answer.Status == 200 {
					done.Add(1)
				}
			})
		}
		both.Wait()
		if n := done.Load(); n != 1 {
			h.Errorf("%d of the two were disabled", n)
		}
	})
}

// REGISTRATION=invite, from the invitation to the sign-in: strangers can't register, and
// whoever is invited chooses the password by the mail, which nobody else does.
func TestInvitation(t *testing.T) {
	harness.EachReadable(t, func(h *harness.Server) {
		h.Expect(403, "registration_closed", harness.Post("/v1/register", harness.Credentials{Email: "eve@example.org", Password: harness.Passphrase}))
		if _, _, err := h.Operator().Invite(h.Context(), inviteOf("root@example.org", "admin"), harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		accept := func(email string) string {
			m := h.Mailbox().Last(email, notice.Invitation)
			if m.Link == "" || m.Code != "" || m.LinkLife != 7*24*time.Hour {
				h.Fatalf("the invitation: %+v", m)
			}
			h.Expect(401, "invalid_credentials", harness.SignInAs(email, harness.Passphrase))
			h.Expect(204, "", harness.Post("/v1/password/reset", map[string]any{"token": harness.TokenOf(h.T, m.Link), "new_password": harness.Passphrase}))
			return h.Login(email).Str("access_token")
		}
		admin := accept("root@example.org")
		body := map[string]any{"email": "Grace@example.org", "locale": "de", "roles": []string{"writer"}, "reason": "New colleague"}
		made := h.Expect(201, "", harness.Post("/v1/admin/users", body, admin))
		if made.Str("state") != "unverified" {
			h.Errorf("the invited: %s", made.Text)
		}
		h.Expect(409, "address_taken", harness.Post("/v1/admin/users", body, admin))
		h.Expect(400, "required", harness.Post("/v1/admin/users", map[string]any{"email": "x@example.org"}, admin))
		h.Expect(400, "invalid_email", harness.Post("/v1/admin/users", map[string]any{"email": "x", "reason": "y"}, admin))
		// Another mail takes nothing away from the first.
		h.Expect(200, "", act("/v1/admin/users/"+made.Str("id")+"/resend-verification", admin, "It got lost"))
		if n := len(h.Mailbox().All("Grace@example.org")); n != 2 {
			h.Errorf("%d invitations", n)
		}
		grace := h.Expect(200, "", harness.Get("/v1/me", accept("Grace@example.org")))
		if !strings.Contains(grace.Text, `"email_verified":true`) || !strings.Contains(grace.Text, `"roles":["writer"]`) {
			h.Errorf("the invited has come: %s", grace.Text)
		}
		if text := h.Logs.String(); strings.Contains(text, "gatehouse_mt_") {
			h.Error("a link stands in the log")
		}
	}, "REGISTRATION=invite")
}

// With REGISTRATION=closed the command line alone opens accounts.
func TestNobodyIsInvitedWhereRegistrationIsClosed(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "REGISTRATION=closed")
	if _, _, err := h.Operator().Invite(h.Context(), inviteOf("root@example.org", "admin"), harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	m := h.Mailbox().Last("root@example.org", notice.Invitation)
	h.Expect(204, "", harness.Post("/v1/password/reset", map[string]any{"token": harness.TokenOf(t, m.Link), "new_password": harness.Passphrase}))
	admin := h.Login("root@example.org").Str("access_token")
	h.Expect(403, "registration_closed", harness.Post("/v1/admin/users", map[string]any{"email": "x@example.org", "reason": "y"}, admin))
}

// Of sixteen who open an account for one address at once, one does.
func TestSixteenInviteOnePerson(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		admin := roled(h, "admin@example.org", "admin")
		var made, taken atomic.Int64
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				switch a := h.Do(harness.Post("/v1/admin/users", map[string]any{"email": "one@example.org", "reason": "All of us"}, admin)); a.Status {
				case 201:
					made.Add(1)
				case 409:
					taken.Add(1)
				}
			})
		}
		all.Wait()
		if made.Load() != 1 || taken.Load() != 15 {
			h.Errorf("%d opened it, and %d came too late", made.Load(), taken.Load())
		}
	}, "API_RATE_LIMIT_REQUESTS=10000")
}

func TestAdministrationFromSomeNetworksAlone(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "ADMIN_NETWORKS=198.51.100.0/24, 2001:db8::/48", "TRUSTED_PROXIES=127.0.0.1")
	admin := roled(h, "admin@example.org", "admin")
	for from, status := range map[string]int{"198.51.100.7": 200, "2001:db8::1": 200, "203.0.113.9": 403, "2001:db9::1": 403} {
		for _, path := range []string{"/v1/admin/users", "/v1/admin/overview", "/v1/admin/events"} {
			a := h.Do(harness.Through(from, harness.Get(path, admin)))
			if a.Status != status || status == 403 && a.Str("code") != "admin_network" {
				t.Errorf("%s from %s: %d %s", path, from, a.Status, a.Text)
			}
		}
	}
	// Whoever has no token learns no more.
	if a := h.Do(harness.Through("203.0.113.9", harness.Get("/v1/admin/users"))); a.Str("code") != "admin_network" {
		t.Errorf("without a token: %s", a.Text)
	}
}

// The sessions of many, counted before they end, and not ended if they have become more.
func TestManySessionsEndAtOnce(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		admin := roled(h, "admin@example.org", "admin")
		for i := range 3 {
			email := fmt.Sprintf("p%d@example.org", i)
			h.Register(email)
			for range 2 {
				h.Expect(200, "", harness.Through("203.0.113.9", harness.SignInAs(email, harness.Passphrase)))
			}
		}
		body := map[string]any{"network": "203.0.113.0/24"}
		count := h.Expect(200, "", harness.Post("/v1/admin/sessions/end?dry_run=true", body, admin))
		if !strings.Contains(count.Text, `"people":3,"sessions":6`) {
			h.Errorf("the count: %s", count.Text)
		}
		list := h.Expect(200, "", harness.Get("/v1/admin/sessions?network=203.0.113.0/24&limit=4", admin))
		if len(list.Fields["sessions"].([]any)) != 4 || list.Str("next_cursor") == "" {
			h.Errorf("the first page: %s", list.Text)
		}
		body["reason"], body["expected_sessions"] = "Stuffing", 4
		h.Expect(409, "confirmation_needed", harness.Post("/v1/admin/sessions/end", body, admin))
		body["expected_sessions"] = 6
		done := h.Expect(200, "", harness.Post("/v1/admin/sessions/end", body, admin))
		if !strings.Contains(done.Text, `"sessions":6`) {
			h.Errorf("the end: %s", done.Text)
		}
		h.Expect(200, "", harness.Get("/v1/me", admin))
		one := h.Login("p1@example.org")
		h.Expect(400, "required", harness.Post("/v1/admin/sessions/"+one.Str("session_id")+"/end", map[string]any{}, admin))
		h.Expect(204, "", act("/v1/admin/sessions/"+one.Str("session_id")+"/end", admin, "That one"))
		h.Expect(404, "session_not_found", act("/v1/admin/sessions/"+one.Str("session_id")+"/end", admin, "That one"))
	}, "TRUSTED_PROXIES=127.0.0.1")
}
