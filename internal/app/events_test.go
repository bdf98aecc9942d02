package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// ledger reads the events that were written since it was last read, as "kind
// outcome reason", in order.
type ledger struct {
	h    *house
	db   *db.DB
	seen map[string]bool // by id: ids of one millisecond have no order
}

func newLedger(h *house) *ledger {
	return &ledger{h: h, db: h.database(), seen: map[string]bool{}}
}

// expect holds what was written since against a list. Events of one transaction
// have no order: their ids share a millisecond.
func (l *ledger) expect(name string, want []string) {
	l.h.Helper()
	got := l.next()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		l.h.Errorf("%s: events (-want +got):\n%s", name, diff)
	}
}

func (l *ledger) next() []string {
	l.h.Helper()
	out := []string{}
	err := l.db.Read(context.Background(), func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT e.id, e.kind, e.outcome, p.person, p.data FROM event AS e JOIN event_personal AS p ON p.event_id = e.id
			ORDER BY e.tx, e.time, e.id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, kind, outcome, person, data string
			if err := rows.Scan(&id, &kind, &outcome, &person, &data); err != nil {
				return err
			}
			if l.seen[id] {
				continue
			}
			l.seen[id] = true
			var p struct {
				Account   string
				RequestID string `json:"request_id"`
				Address   string
				Detail    struct {
					Reason string
					Count  int
				}
			}
			if err := json.Unmarshal([]byte(data), &p); err != nil {
				return err
			}
			if p.Account != person || p.RequestID == "" || p.Address != "127.0.0.1" {
				l.h.Errorf("event %s: person %q, data %s", kind, person, data)
			}
			out = append(out, strings.TrimSpace(fmt.Sprint(kind, " ", outcome, " ", p.Detail.Reason)))
		}
		return rows.Err()
	})
	if err != nil {
		l.h.Fatal(err)
	}
	return out
}

// TestLOG1_EachOutcomeWritesExactlyTheseEvents lists, for each flow and outcome,
// the events it writes. What is counted and not written at once has no events
// here: see the tally's own tests.
func TestLOG1_EachOutcomeWritesExactlyTheseEvents(t *testing.T) {
	each(t, func(h *house) {
		l := newLedger(h)
		var me, second answer
		wrong := credentials{"ada@example.org", "wrong password, quite"}
		for _, step := range []struct {
			name string
			do   func()
			want []string
		}{
			{"register", func() { h.register("ada@example.org") }, []string{"account_registered success"}},
			{"register again", func() { h.register("ADA@example.org") }, []string{"account_registered failure address_taken"}},
			{"register badly", func() {
				h.expect(400, "password_too_short", request{method: "POST", path: "/v1/register", body: credentials{"b@example.org", "short"}})
			}, []string{}},
			{"sign in", func() { me = h.login("ada@example.org") }, []string{"successful_login success"}},
			{"sign in with a wrong password", func() {
				h.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: wrong})
			}, []string{"failed_login_attempt failure wrong_password"}},
			{"sign in to nobody's account", func() {
				h.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: credentials{"nobody@example.org", passphrase}})
			}, []string{"failed_login_attempt failure unknown_account"}},
			{"refresh", func() { second = h.refresh(me.str("refresh_token")) }, []string{"token_refresh success"}},
			{"refresh, racing", func() { h.refresh(me.str("refresh_token")) }, []string{"token_refresh success raced"}},
			{"refresh, forged", func() { h.refresh("gatehouse_rt_AAAA") }, []string{}},
			{"refresh on", func() { h.refresh(second.str("refresh_token")) }, []string{"token_refresh success"}},
			{"refresh, stolen", func() { h.refresh(me.str("refresh_token")) }, []string{
				"suspicious_activity failure refresh_token_reused", "session_revoked success refresh_token_reused",
			}},
			{"refresh after the end", func() { h.refresh(second.str("refresh_token")) }, []string{}},
			{"an access token after the end", func() {
				h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: me.str("access_token")})
			}, []string{}},
			{"look at oneself", func() {
				me = h.login("ada@example.org")
				h.do(request{method: "GET", path: "/v1/me", bearer: me.str("access_token")})
				h.do(request{method: "GET", path: "/v1/me/events", bearer: me.str("access_token")})
				h.do(request{method: "GET", path: "/v1/sessions", bearer: me.str("access_token")})
			}, []string{"successful_login success"}},
			{"change the name", func() {
				h.do(request{method: "PATCH", path: "/v1/me", bearer: me.str("access_token"), body: `{"name":"Ada"}`})
			}, []string{"profile_change success"}},
			{"change nothing", func() {
				h.do(request{method: "PATCH", path: "/v1/me", bearer: me.str("access_token"), body: `{}`})
			}, []string{}},
			{"end another session", func() {
				second = h.login("ada@example.org")
				h.expect(204, "", request{method: "DELETE", path: "/v1/sessions/" + second.str("session_id"), bearer: me.str("access_token")})
			}, []string{"successful_login success", "session_revoked success owner"}},
			{"end one that is not there", func() {
				h.expect(404, "session_not_found", request{method: "DELETE", path: "/v1/sessions/" + second.str("session_id"), bearer: me.str("access_token")})
			}, []string{}},
			{"sign out", func() {
				h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: me.str("access_token")})
			}, []string{"logout success"}},
			{"sign out again", func() {
				h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: me.str("access_token")})
				h.expect(204, "", request{method: "POST", path: "/v1/logout", body: map[string]string{"refresh_token": me.str("refresh_token")}})
			}, []string{}},
			{"sign out everywhere else", func() {
				me, second = h.login("ada@example.org"), h.login("ada@example.org")
				h.expect(204, "", request{method: "POST", path: "/v1/logout-all", bearer: me.str("access_token"), body: `{"keep_current":true}`})
			}, []string{"successful_login success", "successful_login success", "session_revoked success logout_all"}},
			{"sign out everywhere", func() {
				h.expect(204, "", request{method: "POST", path: "/v1/logout-all", bearer: me.str("access_token")})
			}, []string{"logout success logout_all"}},
		} {
			step.do()
			l.expect(step.name, step.want)
		}
		if err := h.stop(); err != nil {
			h.Fatal(err)
		}
		// What anyone can cause is written with its count when the server stops.
		got := l.next()
		if want := 2; len(got) != want || !strings.HasPrefix(got[0], "suspicious_activity failure refresh_token_") {
			h.Errorf("the tally wrote %v, want %d events", got, want)
		}
	})
}

// TestLOG1_EachEventIsALineOfTheLog holds the process's log against the table.
func TestLOG1_EachEventIsALineOfTheLog(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		a := h.login("ada@example.org")
		h.refresh(a.str("refresh_token"))
		want := []string{"account_registered", "successful_login", "token_refresh"}
		var got []string
		for line := range strings.Lines(h.log.String()) {
			var l struct {
				Event     string
				Outcome   string
				RequestID string `json:"request_id"`
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				h.Fatalf("a line of the log is no JSON: %s", line)
			}
			if l.Event != "" {
				got = append(got, l.Event)
				if l.RequestID == "" || l.Outcome != "success" {
					h.Errorf("%s", line)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			h.Errorf("events in the log:\n%s", diff)
		}
	})
}
