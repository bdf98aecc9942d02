package app_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// audit asks for events and returns them, with the cursor.
func (h *house) audit(access string, query url.Values) (list []map[string]any, next string) {
	h.Helper()
	a := h.expect(200, "", request{method: "GET", path: "/v1/admin/events?" + query.Encode(), bearer: access})
	for _, e := range a.fields["events"].([]any) {
		list = append(list, e.(map[string]any))
	}
	return list, a.str("next_cursor")
}

// An administrator sees everybody's events, by each filter and page by page, and
// each once.
func TestLOG1_AdministratorsSeeTheEvents(t *testing.T) {
	each(t, func(h *house) {
		root := h.administrator("root@example.org")
		h.register("ada@example.org")
		ada := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: h.login("ada@example.org").str("access_token")}).str("id")
		for range 3 {
			h.expect(401, "invalid_credentials", through("2001:db8::7", guessing("ada@example.org", "wrong horse battery staple")))
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
			if list, next := h.audit(root, c.query); len(list) != c.n || next != "" {
				h.Errorf("%s: %d events, %q", name, len(list), next)
			}
		}
		all, _ := h.audit(root, url.Values{"limit": {"200"}})
		seen, cursor := map[string]bool{}, ""
		for {
			query := url.Values{"limit": {"3"}}
			if cursor != "" {
				query.Set("cursor", cursor)
			}
			list, next := h.audit(root, query)
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
		if e := all[0]; e["event"] != "failed_login_attempt" || e["account"] != ada || e["address"] != "2001:db8::7" || e["detail"].(map[string]any)["reason"] != "wrong_password" {
			h.Errorf("the newest: %v", e)
		}
	}, trusted)
}

// What is no filter and no cursor is refused by name, and a cursor that was
// tampered with shows nothing else than its place in the log.
func TestLOG1_TamperedQueries(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	root := h.administrator("root@example.org")
	for query, code := range map[string]string{
		"cursor=x": "invalid_cursor", "cursor=%27%20OR%201%3D1--": "invalid_cursor", "cursor=0198C0DE-0000-7000-8000-000000000001": "invalid_cursor",
		"cursor=%00": "nul_character", "cursor=a&cursor=b": "duplicate_parameter", "cursors=x": "unknown_parameter", "limit=0": "invalid_limit", "limit=201": "invalid_limit",
		"limit=1e2": "invalid_limit", "since=yesterday": "invalid_time", "until=2026-13-01T00:00:00Z": "invalid_time", "since=1066-10-14T09:00:00Z": "invalid_time",
		"event=nonsense": "invalid_event", "event=logout,": "invalid_event", "event=%25": "invalid_event", "outcome=maybe": "invalid_outcome",
		"account=root@example.org": "invalid_account", "account=%25": "invalid_account", "network=203.0.113": "invalid_network", "network=fe80::1%25eth0": "invalid_network", "network=%ff": "invalid_utf8",
	} {
		h.expect(400, code, request{method: "GET", path: "/v1/admin/events?" + query, bearer: root})
	}
	for _, cursor := range []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"} {
		list, _ := h.audit(root, url.Values{"cursor": {cursor}})
		if (len(list) == 0) != strings.HasPrefix(cursor, "0") {
			t.Errorf("from %s: %d", cursor, len(list))
		}
	}
	h.expect(400, "malformed_parameter", request{method: "GET", path: "/v1/admin/alerts?open=1", bearer: root})
	h.expect(400, "invalid_cursor", request{method: "GET", path: "/v1/admin/alerts?cursor=1", bearer: root})
}

// Administrators list alerts, page by page, and silence a rule, which an event
// tells of.
func TestLOG6_AdministratorsSeeTheAlerts(t *testing.T) {
	each(t, func(h *house) {
		root := h.administrator("root@example.org")
		err := h.database().Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO alert (id, rule, raised_at, resolved_at, n, bound, what, look) VALUES
				('0198c0de-0000-7000-8000-000000000001', 'canary', 1, 2, 3, 1, 'a', 'b'), ('0198c0de-0000-7000-8000-000000000002', 'spraying', 1, NULL, 31, 20, 'a', 'b')`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		one := h.expect(200, "", request{method: "GET", path: "/v1/admin/alerts?limit=1", bearer: root})
		two := h.expect(200, "", request{method: "GET", path: "/v1/admin/alerts?cursor=" + one.str("next_cursor"), bearer: root})
		if !strings.Contains(one.text, `"rule":"spraying","raised_at":"1970-01-01T00:00:00.000Z","resolved_at":null,"count":31,"bound":20`) || !strings.Contains(two.text, "canary") || two.str("next_cursor") != "" {
			t.Errorf("%s\n%s", one.text, two.text)
		}
		only := h.expect(200, "", request{method: "GET", path: "/v1/admin/alerts?open=true", bearer: root})
		if strings.Contains(only.text, "canary") || !strings.Contains(only.text, "spraying") {
			t.Errorf("open: %s", only.text)
		}
		silence := func(until time.Time) request {
			return request{method: "POST", path: "/v1/admin/alerts/silence", bearer: root, body: map[string]any{"rule": "spraying", "until": until.UTC().Format(time.RFC3339)}}
		}
		h.expect(204, "", silence(time.Now().Add(time.Hour)))
		if a := h.expect(200, "", request{method: "GET", path: "/v1/admin/alerts", bearer: root}); !strings.Contains(a.text, `"silences":[{"rule":"spraying","until":"20`) {
			t.Errorf("silent: %s", a.text)
		}
		h.expect(400, "invalid_time", silence(time.Now().Add(400*24*time.Hour)))
		h.expect(204, "", silence(time.Now().Add(-time.Hour)))
		list, _ := h.audit(root, url.Values{"event": {"alert_silenced"}})
		if len(list) != 2 || list[0]["detail"].(map[string]any)["reason"] != "ended" || list[1]["detail"].(map[string]any)["rule"] != "spraying" || list[1]["detail"].(map[string]any)["by"] != "administrator" {
			t.Errorf("the events: %v", list)
		}
	})
}

// driveAudit drives the operations on events and alerts.
func (h *house) driveAudit(root string) {
	h.Helper()
	h.audit(root, nil)
	h.expect(400, "invalid_cursor", request{method: "GET", path: "/v1/admin/events?cursor=x", bearer: root})
	h.expect(200, "", request{method: "GET", path: "/v1/admin/alerts", bearer: root})
	h.expect(400, "invalid_cursor", request{method: "GET", path: "/v1/admin/alerts?cursor=x", bearer: root})
	silence := request{method: "POST", path: "/v1/admin/alerts/silence", bearer: root, body: `{"rule":"canary","until":"2001-01-01T00:00:00Z"}`}
	h.expect(204, "", silence)
	h.driveBadBodies(silence)
	silence.body = `{"rule":"nonsense","until":"2001-01-01T00:00:00Z"}`
	h.expect(404, "rule_unknown", silence)
}
