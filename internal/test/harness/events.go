package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Audit asks for events and returns them, with the cursor.
func (h *Server) Audit(access string, query url.Values) (list []map[string]any, next string) {
	h.Helper()
	a := h.Expect(200, "", Request{Method: "GET", Path: "/v1/admin/events?" + query.Encode(), Bearer: access})
	for _, e := range a.Fields["events"].([]any) {
		list = append(list, e.(map[string]any))
	}
	return list, a.Str("next_cursor")
}

// Ledger reads the events that were written since it was last read, as "kind
// outcome reason", in order.
type Ledger struct {
	h    *Server
	db   *db.DB
	seen map[string]bool // by id: ids of one millisecond have no order
}

// NewLedger reads the events of a server.
func NewLedger(h *Server) *Ledger {
	return &Ledger{h: h, db: h.Database(), seen: map[string]bool{}}
}

// Expect holds what was written since against a list. Events of one transaction
// have no order: their ids share a millisecond.
func (l *Ledger) Expect(name string, want []string) {
	l.h.Helper()
	got := l.Next()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		l.h.Errorf("%s: events (-want +got):\n%s", name, diff)
	}
}

// Next returns the events since the last call.
func (l *Ledger) Next() []string {
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
