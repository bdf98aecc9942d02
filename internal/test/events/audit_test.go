package events_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// An administrator sees everybody's events, by each filter and page by page, and
// each once.
func TestLOG1_AdministratorsSeeTheEvents(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		root := h.Administrator("root@example.org")
		h.Register("ada@example.org")
		ada := h.Expect(200, "", harness.Get("/v1/me", h.Login("ada@example.org").Str("access_token"))).Str("id")
		for range 3 {
			h.Expect(401, "invalid_credentials", harness.Through("2001:db8::7", harness.SignInAs("ada@example.org", "wrong horse battery staple")))
		}
		from := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
		for name, c := range map[string]struct {
			query url.Values
			n     int
		}{
			"kind":              {url.Values{"event": {"failed_login_attempt"}}, 3},
			"kinds":             {url.Values{"event": {"account_registered,role_change"}}, 3},
			"account":           {url.Values{"account": {ada}}, 5},
			"account, outcome":  {url.Values{"account": {ada}, "outcome": {"failure"}}, 3},
			"network":           {url.Values{"network": {"2001:db8::/32"}}, 3},
			"address":           {url.Values{"network": {"2001:db8::7"}}, 3},
			"another address":   {url.Values{"network": {"2001:db8::8"}}, 0},
			"mapped":            {url.Values{"network": {"::ffff:127.0.0.1"}, "event": {"successful_login"}}, 2},
			"since":             {url.Values{"since": {from}, "event": {"failed_login_attempt"}}, 3},
			"until":             {url.Values{"until": {from}}, 0},
			"nobody's":          {url.Values{"account": {"0198c0de-0000-7000-8000-000000000001"}}, 0},
			"no such thing yet": {url.Values{"event": {"event_log_restarted"}}, 0},
		} {
			if list, next := h.Audit(root, c.query); len(list) != c.n || next != "" {
				h.Errorf("%s: %d events, %q", name, len(list), next)
			}
		}
		all, _ := h.Audit(root, url.Values{"limit": {"200"}})
		seen, cursor := map[string]bool{}, ""
		for {
			query := url.Values{"limit": {"3"}}
			if cursor != "" {
				query.Set("cursor", cursor)
			}
			list, next := h.Audit(root, query)
			for _, e := range list {
				if id := e["id"].(string); seen[id] {
					h.Errorf("%s comes twice", id)
				} else {
					seen[id] = true
				}
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		if len(seen) != len(all) {
			h.Errorf("%d events page by page, %d at once", len(seen), len(all))
		}
		if e := all[0]; e["event"] != "failed_login_attempt" || e["account"] != ada || e["address"] != "2001:db8::7" ||
			e["detail"].(map[string]any)["reason"] != "wrong_password" {
			h.Errorf("the newest: %v", e)
		}
	}, harness.BehindProxy)
}

// What is no filter and no cursor is refused by name, and a cursor that was
// tampered with shows nothing else than its place in the log.
func TestLOG1_TamperedQueries(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	root := h.Administrator("root@example.org")
	for query, code := range map[string]string{
		"cursor=x": "invalid_cursor", "cursor=%27%20OR%201%3D1--": "invalid_cursor", "cursor=0198C0DE-0000-7000-8000-000000000001": "invalid_cursor",
		"cursor=%00": "nul_character", "cursor=a&cursor=b": "duplicate_parameter", "cursors=x": "unknown_parameter", "limit=0": "invalid_limit",
		"limit=201": "invalid_limit",
		"limit=1e2": "invalid_limit", "since=yesterday": "invalid_time", "until=2026-13-01T00:00:00Z": "invalid_time", "since=1066-10-14T09:00:00Z": "invalid_time",
		"event=nonsense": "invalid_event", "event=logout,": "invalid_event", "event=%25": "invalid_event", "outcome=maybe": "invalid_outcome",
		"account=root@example.org": "invalid_account", "account=%25": "invalid_account", "network=203.0.113": "invalid_network",
		"network=fe80::1%25eth0": "invalid_network", "network=%ff": "invalid_utf8",
	} {
		h.Expect(400, code, harness.Get("/v1/admin/events?"+query, root))
	}
	for _, cursor := range []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"} {
		list, _ := h.Audit(root, url.Values{"cursor": {cursor}})
		if (len(list) == 0) != strings.HasPrefix(cursor, "0") {
			t.Errorf("from %s: %d", cursor, len(list))
		}
	}
	h.Expect(400, "malformed_parameter", harness.Get("/v1/admin/alerts?open=1", root))
	h.Expect(400, "invalid_cursor", harness.Get("/v1/admin/alerts?cursor=1", root))
}

// Administrators list alerts, page by page, and silence a rule, which an event
// tells of.
func TestLOG6_AdministratorsSeeTheAlerts(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		root := h.Administrator("root@example.org")
		err := h.Database().Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO alert (id, rule, raised_at, resolved_at, n, bound, what, look) VALUES
				('0198c0de-0000-7000-8000-000000000001', 'canary', 1, 2, 3, 1, 'a', 'b'), ('0198c0de-0000-7000-8000-000000000002', 'spraying', 1, NULL, 31, 20, 'a', 'b')`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		one := h.Expect(200, "", harness.Get("/v1/admin/alerts?limit=1", root))
		two := h.Expect(200, "", harness.Get("/v1/admin/alerts?cursor="+one.Str("next_cursor"), root))
		if !strings.Contains(one.Text, `"rule":"spraying","raised_at":"1970-01-01T00:00:00.000Z","resolved_at":null,"count":31,"bound":20`) ||
			!strings.Contains(two.Text, "canary") || two.Str("next_cursor") != "" {
			t.Errorf("%s\n%s", one.Text, two.Text)
		}
		only := h.Expect(200, "", harness.Get("/v1/admin/alerts?open=true", root))
		if strings.Contains(only.Text, "canary") || !strings.Contains(only.Text, "spraying") {
			t.Errorf("open: %s", only.Text)
		}
		silence := func(until time.Time) harness.Request {
			return harness.Post("/v1/admin/alerts/silence", map[string]any{"rule": "spraying", "until": until.UTC().Format(time.RFC3339)}, root)
		}
		h.Expect(204, "", silence(time.Now().Add(time.Hour)))
		if a := h.Expect(200, "", harness.Get("/v1/admin/alerts", root)); !strings.Contains(a.Text, `"silences":[{"rule":"spraying","until":"20`) {
			t.Errorf("silent: %s", a.Text)
		}
		h.Expect(400, "invalid_time", silence(time.Now().Add(400*24*time.Hour)))
		h.Expect(204, "", silence(time.Now().Add(-time.Hour)))
		list, _ := h.Audit(root, url.Values{"event": {"alert_silenced"}})
		if len(list) != 2 || list[0]["detail"].(map[string]any)["reason"] != "ended" || list[1]["detail"].(map[string]any)["rule"] != "spraying" ||
			list[1]["detail"].(map[string]any)["by"] != "administrator" {
			t.Errorf("the events: %v", list)
		}
	})
}
