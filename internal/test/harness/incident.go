package harness

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

// Incidents is what incidents are worked on with while the server runs, as from the command line.
func (h *Server) Incidents() *respond.Desk {
	h.Helper()
	o := h.Operator()
	return &respond.Desk{
		Core: o.Core, Random: secret.Random{}, Operator: o, Blocks: &operate.Blocks{
			Core: o.Core, Proxy: func(netip.Prefix) (netip.Prefix, bool) { return netip.Prefix{}, false },
		},
		Keys: func(context.Context) (*operate.Keys, error) { return h.Keys(), nil },
	}
}

// IncidentCalls are requests of an administrator about incidents, for one that is not there.
func IncidentCalls(root string) []Request {
	const none = "/v1/admin/incidents/INC-9999"
	action := none + "/actions/0198c0de-0000-7000-8000-000000000002/undo"
	return []Request{
		Get("/v1/admin/incidents", root), Get(none, root), Post("/v1/admin/incidents", map[string]string{"title": "A test"}, root),
		Post(none+"/notes", map[string]string{"text": "A test"}, root), Post(none+"/steps", map[string]any{"step": "scope", "done": true}, root),
		Post(none+"/actions", map[string]any{"action": "end-sessions", "all": true, "reason": "A test"}, root),
		Post(action, map[string]string{"reason": "A test"}, root),
		Post(strings.Replace(action, "/undo", "/stop", 1), map[string]string{"reason": "A test"}, root),
		Post(strings.Replace(action, "/undo", "/approve", 1), map[string]string{"reason": "A test"}, root),
		Post(none+"/scope", map[string]any{"since": "2026-01-01T00:00:00Z"}, root), Get(none+"/report", root),
		Post(none+"/notices", map[string]any{"text": "A test", "mails_an_hour": 100000, "reason": "A test"}, root),
		Post(none+"/close", map[string]string{"lessons": "None"}, root),
	}
}

// runningAction begins an action of an incident that goes on until it is stopped: a notice that has used up its rate.
func (h *Server) runningAction(path string) (id string) {
	h.Helper()
	n, err := incident.ParseName(path[strings.LastIndex(path, "/")+1:])
	if err != nil {
		h.Fatal(err)
	}
	d := h.Incidents()
	if err := d.DB.Write(h.Context(), func(tx *db.Tx) error {
		i, err := incident.ByNumber(tx, n)
		if err != nil {
			return err
		}
		a, err := incident.Begin(tx, d.Random, incident.Action{
			Incident: i.ID, Does: respond.Notify, Wants: []byte("{}"), Why: "A test", Actor: "operator@host", State: incident.Running, BeganAt: d.Now(),
			Touched: map[string]int64{"mails": 1},
		})
		id = a.ID
		return err
	}); err != nil {
		h.Fatal(err)
	}
	return id
}

// WaitingAction is an action of an incident that waits for an approval, ordered by the operator.
func (h *Server) WaitingAction(path string) (id string) {
	h.Helper()
	n, err := incident.ParseName(path[strings.LastIndex(path, "/")+1:])
	if err != nil {
		h.Fatal(err)
	}
	d := h.Incidents()
	d.Operator.SecondApproves = true
	by := respond.By{Origin: event.Origin{RequestID: "test", Actor: "operator@host"}}
	order := respond.Order{Does: respond.Lockdown, Doors: []lockdown.Door{lockdown.SignIn}, For: time.Minute, Why: "A test"}
	a, err := d.Contain(h.Context(), n, order, by)
	if err != nil {
		h.Fatal(err)
	}
	return a.ID
}

// DriveIncidents drives the operations about incidents to every status that a client can cause.
func (h *Server) DriveIncidents(root string) {
	h.Helper()
	for _, r := range IncidentCalls(root) {
		if a := h.Do(r); a.Status != 200 && a.Status != 201 && a.Status != 404 {
			h.Errorf("%v: %d %s", r, a.Status, a.Text)
		}
		r.Bearer = ""
		h.Expect(401, "not_signed_in", r)
		r.Bearer = root
		if r.Body != nil {
			h.DriveBadBodies(r)
		}
		if r.Method == "POST" && strings.Contains(r.Path, "INC-") {
			r.Path = strings.Replace(r.Path, "INC-9999", "x", 1)
			h.Expect(404, "incident_not_found", r)
		}
	}
	h.Expect(400, "invalid_cursor", Get("/v1/admin/incidents?cursor=x", root))
	h.Expect(404, "incident_not_found", Get("/v1/admin/incidents/x", root))
	made := "/v1/admin/incidents/" + h.Expect(201, "", Post("/v1/admin/incidents", map[string]string{"title": "Driven"}, root)).Str("name")
	h.Expect(204, "", Post(made+"/notes", map[string]string{"text": "A note"}, root))
	h.Expect(204, "", Post(made+"/steps", map[string]any{"step": "scope", "done": true}, root))
	block := map[string]any{"action": "block", "networks": []string{"203.0.113.99"}, "minutes": 60, "reason": "A test"}
	h.Expect(200, "", Post(made+"/actions?dry_run=true", block, root))
	done := h.Expect(201, "", Post(made+"/actions", block, root))
	block["networks"] = []string{"::/0"}
	h.Expect(409, "confirmation_needed", Post(made+"/actions", block, root))
	undo := Post(made+"/actions/"+done.Str("id")+"/undo", map[string]string{"reason": "A test"}, root)
	stop := Post(made+"/actions/"+done.Str("id")+"/stop", map[string]string{"reason": "A test"}, root)
	h.Expect(409, "action_ended", stop)
	approve := Post(made+"/actions/"+h.WaitingAction(made)+"/approve", map[string]string{"reason": "A test"}, root)
	dry := approve
	dry.Path += "?dry_run=true"
	h.Expect(200, "", dry)
	lock := h.Expect(201, "", approve)
	h.Expect(409, "not_waiting", approve)
	h.Expect(200, "", Post(made+"/actions/"+lock.Str("id")+"/undo", map[string]string{"reason": "A test"}, root))
	h.Expect(200, "", Post(made+"/actions/"+h.runningAction(made)+"/stop", map[string]string{"reason": "A test"}, root))
	h.Expect(400, "invalid_order", Post(made+"/scope", map[string]any{}, root))
	h.Expect(200, "", Post(made+"/scope", map[string]any{"since": "2026-01-01T00:00:00Z", "shared": true, "save": true}, root))
	h.Expect(200, "", Post(made+"/scope", map[string]any{"since": "2026-01-01T00:00:00Z", "format": "csv"}, root))
	h.Expect(400, "invalid_format", Post(made+"/scope", map[string]any{"since": "2026-01-01T00:00:00Z", "format": "x"}, root))
	notice := map[string]any{"text": "A test", "mails_an_hour": 100000, "reason": "A test"}
	h.Expect(200, "", Post(made+"/notices?dry_run=true", notice, root))
	h.Expect(201, "", Post(made+"/notices", notice, root))
	h.Expect(400, "invalid_format", Get(made+"/report?format=x", root))
	h.Expect(200, "", Get(made+"/report", root))
	h.Expect(200, "", undo)
	h.Expect(409, "undone_already", undo)
	h.Expect(200, "", Get(made, root))
	h.Expect(204, "", Post(made+"/close", map[string]string{"lessons": "None"}, root))
	for _, r := range []Request{
		Post(made+"/notes", map[string]string{"text": "A note"}, root), Post(made+"/steps", map[string]any{"step": "scope", "done": true}, root),
		Post(made+"/close", map[string]string{"lessons": "None"}, root), Post(made+"/notices", notice, root),
		Post(made+"/scope", map[string]any{"since": "2026-01-01T00:00:00Z", "save": true}, root),
	} {
		h.Expect(409, "incident_closed", r)
	}
}
