package administration_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func inviteOf(email string, roles ...string) operate.Invitation {
	return operate.Invitation{Email: email, Roles: roles}
}

func TestOverviewCountsWhatHappens(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		admin := roled(h, "admin@example.org", "admin")
		h.Refresh(h.Login("admin@example.org").Str("refresh_token"))
		h.Expect(401, "invalid_credentials", harness.SignInAs("admin@example.org", "wrong wrong wrong wrong"))
		total := func(a harness.Answer, name string) float64 {
			for _, f := range a.Fields["figures"].([]any) {
				if c := f.(map[string]any); c["name"] == name {
					return c["total"].(float64)
				}
			}
			return -1
		}
		var a harness.Answer
		h.Eventually("the figures", func() (string, bool) {
			a = h.Expect(200, "", harness.Get("/v1/admin/overview", admin))
			return a.Text, total(a, "successful_login") == 2 && total(a, "token_refresh") == 1 && total(a, "failed_login_attempt") == 1 &&
				total(a, "account_registered") == 1 && total(a, "accounts") >= 0
		})
		for _, span := range []string{"24h", "7d", "30d"} {
			h.Expect(200, "", harness.Get("/v1/admin/overview?range="+span, admin))
		}
		h.Expect(400, "invalid_range", harness.Get("/v1/admin/overview?range=1y", admin))
		if !strings.Contains(a.Text, `"seal-events"`) || !strings.Contains(a.Text, `"replicas":1`) {
			h.Errorf("the health: %s", a.Text)
		}
	}, "API_RATE_LIMIT_REQUESTS=100000")
}

func TestClientsKeysMailsAndSettings(t *testing.T) {
	harness.EachReadable(t, func(h *harness.Server) {
		admin := roled(h, "admin@example.org", "admin")
		made := h.Expect(201, "", harness.Post("/v1/admin/clients", map[string]any{"name": "rooms", "reason": "Room bookings"}, admin))
		app := harness.Basic(made.Str("id"), made.Str("client_secret"))
		h.Expect(200, "", app.Ask("/v1/token/introspect", "x"))
		h.Expect(409, "client_name_taken", harness.Post("/v1/admin/clients", map[string]any{"name": "rooms", "reason": "Again"}, admin))
		web := h.Expect(201, "", harness.Post("/v1/admin/clients", map[string]any{
			"name": "wiki", "type": "web", "settings": map[string]any{"redirect_uris": []string{"https://wiki.example.org/cb"}}, "reason": "The wiki",
		}, admin))
		for _, bad := range []any{
			map[string]any{"redirect_uris": []string{"https://*.example.org/"}}, map[string]any{"unknown": 1}, map[string]any{"redirect_uris": "x"}, map[string]any{},
			map[string]any{"redirect_uris": []string{"https://wiki.example.org/cb"}, "backchannel_logout_uri": "https://169.254.169.254/"},
			map[string]any{"redirect_uris": []string{"https://wiki.example.org/cb"}, "backchannel_logout_session_required": true},
		} {
			r := harness.Request{Method: "PATCH", Path: "/v1/admin/clients/" + web.Str("id"), Bearer: admin, Body: map[string]any{"settings": bad, "reason": "x"}}
			if got := h.Do(r); got.Status != 400 {
				t.Errorf("%v: %d %s", bad, got.Status, got.Text)
			}
		}
		changed := h.Expect(200, "", harness.Request{Method: "PATCH", Path: "/v1/admin/clients/" + web.Str("id"), Bearer: admin, Body: map[string]any{
			"settings": map[string]any{"title": "Wiki", "redirect_uris": []string{"https://new.example.org/cb"},
				"backchannel_logout_uri": "https://new.example.org/logout", "backchannel_logout_session_required": true}, "disabled": true, "reason": "It has moved",
		}})
		if !strings.Contains(changed.Text, "https://new.example.org/cb") || strings.Contains(changed.Text, "https://wiki.example.org") ||
			!strings.Contains(changed.Text, `"backchannel_logout_uri":"https://new.example.org/logout"`) || changed.Fields["disabled_at"] == nil {
			t.Errorf("changed: %s", changed.Text)
		}
		path := "/v1/admin/clients/" + made.Str("id")
		next := h.Expect(200, "", harness.Post(path+"/secret", map[string]any{"reason": "A year old", "keep_hours": 1}, admin))
		h.Expect(400, "invalid_keep", harness.Post(path+"/secret", map[string]any{"reason": "A year old", "keep_hours": 9999}, admin))
		if next.Str("client_secret") == made.Str("client_secret") || next.Fields["old_secret_until"] == nil {
			h.Errorf("the new secret: %s", next.Text)
		}
		if list := h.Expect(200, "", harness.Get("/v1/admin/clients", admin)); strings.Contains(list.Text, "gatehouse_cs_") || !strings.Contains(list.Text, "rooms") {
			h.Errorf("the list: %s", list.Text)
		}
		h.Expect(400, "required", harness.Request{Method: "DELETE", Path: path, Bearer: admin})
		h.Expect(204, "", harness.Request{Method: "DELETE", Path: path + "?reason=" + url.QueryEscape("No longer used"), Bearer: admin})
		h.Expect(404, "client_not_found", harness.Request{Method: "DELETE", Path: path + "?reason=x", Bearer: admin})

		keys := h.Expect(200, "", harness.Get("/v1/admin/keys", admin))
		if !strings.Contains(keys.Text, `"state":"signing"`) || !strings.Contains(keys.Text, `"state":"next"`) || strings.Contains(keys.Text, "aterial") {
			h.Errorf("the keys: %s", keys.Text)
		}
		h.Expect(400, "required", harness.Post("/v1/admin/keys/rotate", map[string]any{}, admin))
		h.Expect(200, "", harness.Post("/v1/admin/keys/rotate", map[string]any{"reason": "Exercise"}, admin))

		mails := h.Expect(200, "", harness.Get("/v1/admin/mails?limit=1", admin))
		list := mails.Fields["mails"].([]any)
		if len(list) != 1 || mails.Str("next_cursor") == "" || strings.Contains(mails.Text, "gatehouse_mt_") {
			h.Errorf("the mails: %s", mails.Text)
		}
		h.Expect(204, "", harness.Post("/v1/admin/mails/"+list[0].(map[string]any)["id"].(string)+"/retry", nil, admin))
		h.Expect(404, "mail_not_found", harness.Post("/v1/admin/mails/none/retry", nil, admin))
		h.Expect(200, "", harness.Get("/v1/admin/mails?state=dead", admin))

		settings := h.Expect(200, "", harness.Get("/v1/admin/settings", admin))
		if !strings.Contains(settings.Text, `"ADMIN_NETWORKS"`) || strings.Contains(settings.Text, harness.SecretKey) {
			h.Errorf("the settings: %s", settings.Text)
		}
		events := h.Expect(200, "", harness.Get("/v1/admin/events?event=admin_action", admin))
		for _, action := range []string{"register_application", "rotate_application_secret", "delete_application", "rotate_key", "send_mails_again"} {
			if !strings.Contains(events.Text, `"action":"`+action+`"`) {
				h.Errorf("no admin_action %s: %s", action, events.Text)
			}
		}
	})
}

func TestOneEventWithItsProofAndTheExport(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		admin := roled(h, "admin@example.org", "admin")
		list := h.Expect(200, "", harness.Get("/v1/admin/events?event=account_registered", admin))
		id := list.Fields["events"].([]any)[0].(map[string]any)["id"].(string)
		h.Eventually("the seal", func() (string, bool) {
			a := h.Expect(200, "", harness.Get("/v1/admin/events/"+id, admin))
			return a.Text, a.Fields["leaf"] != nil && a.Str("hash") != "" && a.Str("log_root") != ""
		})
		h.Expect(404, "event_unknown", harness.Get("/v1/admin/events/none", admin))
		text := h.Expect(200, "", harness.Get("/v1/admin/events/export?account="+accountOf(h, admin), admin)).Text
		if n := strings.Count(text, "\n"); n < 3 || !strings.Contains(text, `"event":"successful_login"`) {
			h.Errorf("the export has %d lines: %s", n, text)
		}
		h.Expect(400, "invalid_time", harness.Get("/v1/admin/events/export?since=yesterday", admin))
	}, "API_RATE_LIMIT_REQUESTS=100000")
}

func accountOf(h *harness.Server, access string) string {
	h.Helper()
	return h.Expect(200, "", harness.Get("/v1/me", access)).Str("id")
}

// A preview says who uses a network before it is blocked.
func TestABlockIsPreviewed(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		admin := roled(h, "admin@example.org", "admin")
		for i := range 2 {
			email := fmt.Sprintf("p%d@example.org", i)
			h.Register(email)
			h.Expect(200, "", harness.Through("203.0.113.9", harness.SignInAs(email, harness.Passphrase)))
		}
		dry := h.Expect(200, "", harness.Post("/v1/admin/blocks?dry_run=true", map[string]any{"network": "203.0.113.0/24"}, admin))
		if !strings.Contains(dry.Text, `"people":2`) {
			h.Errorf("the preview: %s", dry.Text)
		}
		if list := h.Expect(200, "", harness.Get("/v1/admin/blocks", admin)); strings.Contains(list.Text, "203.0.113.0") {
			h.Errorf("a preview blocked: %s", list.Text)
		}
		h.Expect(201, "", harness.Blocking(admin, map[string]any{"network": "203.0.113.0/24", "reason": "Spraying"}))
		events := h.Expect(200, "", harness.Get("/v1/admin/events?event=admin_action", admin))
		if !strings.Contains(events.Text, `"action":"block_network"`) || !strings.Contains(events.Text, `"why":"Spraying"`) {
			h.Errorf("the admin_action: %s", events.Text)
		}
	}, "TRUSTED_PROXIES=127.0.0.1")
}
