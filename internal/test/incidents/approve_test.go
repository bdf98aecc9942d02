package incidents_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// second is another operator than the first.
var second = respond.By{Origin: event.Origin{RequestID: "test", UserAgent: "test", Actor: "root@host (sudo by second)"}}

// twoPeople is a desk where the gravest waits.
func twoPeople(h *harness.Server) *respond.Desk {
	d := h.Incidents()
	d.Operator.SecondApproves = true
	return d
}

// codeOf is the code of a fault, or empty.
func codeOf(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return ""
}

// asked orders something that waits then.
func asked(h *harness.Server, d *respond.Desk, n int64, o respond.Order) respond.Done {
	h.Helper()
	done := contained(h, d, n, o)
	if done.State != incident.Waiting || len(done.Touched) > 0 || done.Secret != "" {
		h.Fatalf("%s: %+v", o.Does, done)
	}
	return done
}

// admin makes an administrator, and returns them as a door would.
func admin(h *harness.Server, email string) respond.By {
	h.Helper()
	h.Administrator(email)
	a, err := h.Operator().User(h.Context(), email)
	if err != nil {
		h.Fatal(err)
	}
	return respond.By{Who: flow.Identity{Account: a.ID, Roles: []string{account.Admin}}, Origin: harness.OriginOfTests}
}

// The gravest actions touch nothing until somebody else has approved them, who stands beside who ordered them; nobody approves their
// own, by sudo and from another machine neither.
func TestASVS_V2_3_5_TheGravestActionsWaitForSomebodyElse(t *testing.T) {
	everywhere := netip.MustParsePrefix("0.0.0.0/0")
	var many []string
	for i := range 11 {
		many = append(many, fmt.Sprintf("p%d@example.org", i))
	}
	for _, c := range []struct {
		o       respond.Order
		touched string // a count that becomes 0 by it, and was not before
		sql     string
	}{
		{respond.Order{Does: respond.EndSessions, All: true}, "sessions", `SELECT COUNT(*) FROM session WHERE ended_at IS NULL`},
		{respond.Order{Does: respond.EndSessions, Before: time.Now().Add(-time.Minute)}, "", ""},
		{respond.Order{Does: respond.EndSessions, Networks: []netip.Prefix{everywhere}}, "sessions", `SELECT COUNT(*) FROM session WHERE ended_at IS NULL`},
		{respond.Order{Does: respond.EndSessions, Device: "Firefox on Linux"}, "", ""},
		{respond.Order{Does: respond.ResetPasswords, All: true}, "people", `SELECT COUNT(*) FROM session WHERE ended_at IS NULL`},
		{respond.Order{Does: respond.VoidLinks, All: true}, "", ""},
		{respond.Order{Does: respond.Disable, Users: many}, "people", `SELECT COUNT(*) FROM account WHERE disabled_at IS NULL AND email LIKE 'p%'`},
		{respond.Order{Does: respond.Disable, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, "", ""},
		{respond.Order{Does: respond.RotateKeys, Purposes: []keyring.Purpose{keyring.AccessSign}}, "keys",
			`SELECT COUNT(*) - 1 FROM ring_key WHERE purpose = 'access-sign' AND revoked_at IS NULL`},
		{respond.Order{Does: respond.RotateSecret, Client: "shop"}, "secrets", ""},
		{respond.Order{Does: respond.Lockdown, Doors: []lockdown.Door{lockdown.SignIn}, For: time.Hour}, "doors",
			`SELECT COUNT(*) FROM install WHERE shut_sign_in = 0`},
		{respond.Order{Does: respond.BlockNetworks, Networks: []netip.Prefix{netip.MustParsePrefix("128.0.0.0/4")}, For: time.Hour, Confirmed: true}, "networks", ""},
	} {
		t.Run(c.o.Does, func(t *testing.T) {
			t.Parallel()
			h := harness.Open(t, dbtest.SQLite(t))
			for _, email := range many {
				h.Register(email)
				h.Login(email)
			}
			d := twoPeople(h)
			if _, _, err := d.Operator.RegisterClient(h.Context(), "shop", client.Service, client.Settings{}, operator.Origin); err != nil {
				h.Fatal(err)
			}
			n := opened(h, d)
			p, err := d.Preview(h.Context(), c.o)
			if err != nil || !p.Waits {
				h.Fatal("the preview does not say that it waits: ", p, err)
			}
			before := 0
			if c.sql != "" {
				before = h.Count(c.sql)
			}
			waits := asked(h, d, n, c.o)
			if err := d.Continue(h.Context()); err != nil { // nor does a server do it
				h.Fatal(err)
			}
			if c.sql != "" && h.Count(c.sql) != before {
				h.Errorf("%d are %d before anybody approved it", before, h.Count(c.sql))
			}
			for _, actor := range []string{"operator@host", "operator@other", "root@host (sudo by operator)", "operator@host (sudo by second)"} {
				if _, err := d.Approve(h.Context(), n, waits.ID, "it is right", respond.By{Origin: event.Origin{Actor: actor}}); codeOf(err) != "own_order" {
					h.Errorf("%s approves their own: %v", actor, err)
				}
			}
			if a, p, err := d.PreviewWaiting(h.Context(), n, waits.ID); err != nil || a.Actor != "operator@host" || p.Waits {
				h.Error(a, p, err)
			}
			done, err := d.Approve(h.Context(), n, waits.ID, "we have seen the logs", second)
			if err != nil || done.ID != waits.ID || done.State != incident.Finished || done.Actor != "operator@host" ||
				done.ApprovedBy != second.Origin.Actor {
				h.Fatal(done, err)
			}
			if c.touched != "" && done.Touched[c.touched] == 0 || c.o.Does == respond.RotateSecret && done.Secret == "" {
				h.Error(done)
			}
			if c.sql != "" && h.Count(c.sql) != 0 && c.o.Does != respond.RotateKeys {
				h.Errorf("%d are left", h.Count(c.sql))
			}
			s, err := d.Show(h.Context(), n)
			if err != nil {
				h.Fatal(err)
			}
			var kinds []incident.EntryKind
			for _, e := range s.Timeline {
				kinds = append(kinds, e.Kind)
			}
			if want := "[opened approval_asked approved action_done]"; fmt.Sprint(kinds) != want {
				h.Errorf("the timeline has %v, and not %s", kinds, want)
			}
			var report strings.Builder
			err = d.Report(s, "Gatehouse").Markdown(&report)
			if err != nil || !strings.Contains(report.String(), "operator@host, approved by root@host (sudo by second)") {
				h.Error(report.String(), err)
			}
		})
	}
}

// What one person may do waits for nobody; and where one is enough, nothing does.
func TestASVS_V2_3_5_TheOthersDoNotWait(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	h.Login("ada@example.org")
	d := twoPeople(h)
	n := opened(h, d)
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, o := range []respond.Order{
		{Does: respond.EndSessions, Users: []string{"ada@example.org"}}, {Does: respond.EndSessions, Networks: local},
		{Does: respond.ResetPasswords, Users: []string{"ada@example.org"}}, {Does: respond.Disable, Users: []string{"ada@example.org"}},
		{Does: respond.Lockdown, Doors: []lockdown.Door{lockdown.Registration, lockdown.Changes}, For: time.Hour},
		{Does: respond.BlockNetworks, Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, For: time.Hour},
	} {
		if done := contained(h, d, n, o); done.State != incident.Finished || !done.ExpiresAt.IsZero() {
			h.Errorf("%s: %+v", o.Does, done)
		}
	}
	d.Operator.SecondApproves = false
	if done := contained(h, d, n, respond.Order{Does: respond.EndSessions, All: true}); done.State != incident.Finished {
		h.Errorf("with one person: %+v", done)
	}
}

// Of sixteen approvals at once one has it done, and it is done once.
func TestASVS_V2_3_5_SixteenApprovalsAreOne(t *testing.T) {
	for _, o := range []respond.Order{
		{Does: respond.EndSessions, All: true}, {Does: respond.RotateKeys, Purposes: []keyring.Purpose{keyring.AccessSign}},
		{Does: respond.Lockdown, Doors: []lockdown.Door{lockdown.SignIn}, For: time.Hour},
	} {
		harness.Each(t, func(h *harness.Server) {
			h.Register("ada@example.org")
			h.Login("ada@example.org")
			d := twoPeople(h)
			n := opened(h, d)
			waits := asked(h, d, n, o)
			well, failed := atOnce(func(i int) error {
				by := respond.By{Origin: event.Origin{RequestID: "test", UserAgent: "test", Actor: fmt.Sprintf("operator%d@host", i)}}
				_, err := d.Approve(h.Context(), n, waits.ID, "it is right", by)
				return err
			})
			if well != 1 {
				h.Errorf("%s: %d have it done", o.Does, well)
			}
			for _, err := range failed {
				if codeOf(err) != "not_waiting" {
					h.Errorf("%s: %v", o.Does, err)
				}
			}
			if n := h.Count(`SELECT COUNT(*) FROM incident_entry WHERE kind IN ('approved', 'action_done')`); n != 2 {
				h.Errorf("%s: the timeline says it %d times", o.Does, n)
			}
			if revoked := h.Count(`SELECT COUNT(DISTINCT revoked_at) FROM ring_key WHERE revoked_at IS NOT NULL`); o.Does == respond.RotateKeys && revoked != 1 {
				h.Errorf("keys were revoked %d times", revoked)
			}
		})
	}
}

// Of sixteen approvals and sixteen withdrawals at once, one decides.
func TestASVS_V2_3_5_AnApprovalAndAWithdrawalAreOne(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		d := twoPeople(h)
		n := opened(h, d)
		waits := asked(h, d, n, respond.Order{Does: respond.EndSessions, All: true})
		well, failed := atOnce(func(i int) (err error) {
			if i%2 == 0 {
				_, err = d.Approve(h.Context(), n, waits.ID, "it is right", second)
			} else {
				_, err = d.Stop(h.Context(), n, waits.ID, "it is wrong", operator)
			}
			return err
		})
		if well != 1 {
			h.Errorf("%d decide", well)
		}
		for _, err := range failed {
			if code := codeOf(err); code != "not_waiting" && code != "action_ended" {
				h.Error(err)
			}
		}
	})
}

// Who is no administrator any more, or disabled, approves nothing, whatever their token says; what they ordered before counts nothing
// either, and what they approved stops.
func TestASVS_V2_3_5_WhoLostTheRoleCountsNothing(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		root, eve, bob := admin(h, "root@example.org"), admin(h, "eve@example.org"), admin(h, "bob@example.org")
		d := twoPeople(h)
		n := opened(h, d)
		order := func(by respond.By) respond.Done {
			done, err := d.Contain(h.Context(), n, respond.Order{Does: respond.ResetPasswords, All: true, Why: "a test"}, by)
			if err != nil || done.State != incident.Waiting {
				h.Fatal(done, err)
			}
			return done
		}
		refused := func(done respond.Done, by respond.By, code string) {
			h.Helper()
			if _, err := d.Approve(h.Context(), n, done.ID, "it is right", by); codeOf(err) != code {
				h.Errorf("%v, and not %s", err, code)
			}
		}
		ofEve, ofRoot := order(eve), order(root)
		refused(ofRoot, root, "own_order")
		half, ctx := broken(h, d)
		for i := range 60 {
			h.Register(fmt.Sprintf("p%d@example.org", i))
		}
		going, err := half.Approve(ctx, n, order(root).ID, "it is right", eve)
		if err != nil || !going.EndedAt.IsZero() {
			h.Fatal(going, err)
		}
		if _, err := d.Operator.SetRoles(h.Context(), "eve@example.org", nil, operator.Origin); err != nil {
			h.Fatal(err)
		}
		if _, err := d.Operator.Disable(h.Context(), "bob@example.org", operator.Origin); err != nil {
			h.Fatal(err)
		}
		refused(ofRoot, eve, "not_administrator")
		refused(ofRoot, bob, "not_administrator")
		refused(ofRoot, respond.By{Who: flow.Identity{Account: secretID, Roles: []string{account.Admin}}}, "not_administrator")
		refused(ofEve, second, "order_void")
		if err := d.Continue(h.Context()); err != nil {
			h.Fatal(err)
		}
		s, err := d.Show(h.Context(), n)
		if err != nil {
			h.Fatal(err)
		}
		for _, a := range s.Actions {
			if want := map[string]incident.State{going.ID: incident.Stopped}[a.ID]; want != "" && a.State != want || want == "" && a.State != incident.Waiting {
				h.Errorf("%s: %s", a.ID, a.State)
			}
		}
	})
}

// secretID is an id that nobody has.
const secretID = "0198c0de-0000-7000-8000-00000000dead"

// What is withdrawn, or waited too long, is never done: nobody approves it, there is nothing to take back, and the incident does not
// touch those whom it named.
func TestASVS_V2_3_5_WhatIsWithdrawnOrExpiresIsNotDone(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := harness.Open(t, dbURL)
		var many []string
		for i := range 11 {
			many = append(many, fmt.Sprintf("p%d@example.org", i))
			h.Register(many[i])
		}
		d := twoPeople(h)
		n := opened(h, d)
		withdrawn, expires := asked(h, d, n, respond.Order{Does: respond.Disable, Users: many}), asked(h, d, n, respond.Order{Does: respond.Disable, Users: many})
		if err := d.Close(h.Context(), n, "None.", operator); codeOf(err) != "action_running" {
			h.Error("closed while something waits: ", err)
		}
		if a, err := d.Stop(h.Context(), n, withdrawn.ID, "it was the wrong list", operator); err != nil || a.State != incident.Withdrawn {
			h.Fatal(a, err)
		}
		later := *d
		later.Now = func() time.Time { return time.Now().Add(4*time.Hour + time.Second) }
		if _, err := later.Approve(h.Context(), n, expires.ID, "it is right", second); codeOf(err) != "not_waiting" {
			h.Error("approved too late: ", err)
		}
		if err := later.Continue(h.Context()); err != nil {
			h.Fatal(err)
		}
		s, err := d.Show(h.Context(), n)
		if err != nil || s.People != 0 || s.Actions[0].State != incident.Withdrawn || s.Actions[1].State != incident.Expired {
			h.Error(s.People, s.Actions, err)
		}
		for _, a := range s.Actions {
			if _, err := d.Approve(h.Context(), n, a.ID, "it is right", second); codeOf(err) != "not_waiting" {
				h.Error(err)
			}
			if _, err := d.Undo(h.Context(), n, a.ID, "a test", operator); codeOf(err) != "never_done" {
				h.Error(err)
			}
			if a.EndedAt.IsZero() {
				h.Error("it has no end")
			}
		}
		if disabled := h.Count(`SELECT COUNT(*) FROM account WHERE disabled_at IS NOT NULL`); disabled != 0 {
			h.Errorf("%d are disabled", disabled)
		}
		if err := d.Close(h.Context(), n, "None.", operator); err != nil {
			h.Error(err)
		}
	})
}

// There is no way around it: what waits in an incident is refused where it would be done at once.
func TestASVS_V2_3_5_ThereIsNoWayAround(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "APPROVALS=two")
	root := h.Administrator("root@example.org")
	o, k := h.Operator(), h.Keys()
	o.SecondApproves, k.SecondApproves = true, true
	shop, _, err := o.RegisterClient(h.Context(), "shop", client.Service, client.Settings{}, operator.Origin)
	if err != nil {
		h.Fatal(err)
	}
	blocks := &operate.Blocks{Core: o.Core, Proxy: func(netip.Prefix) (netip.Prefix, bool) { return netip.Prefix{}, false }, SecondApproves: true}
	wide := operate.NewBlock{Network: "0.0.0.0/0", Reason: "a test", Confirmed: true}
	for what, do := range map[string]func() error{
		"everybody's sessions": func() error { _, err := o.RevokeSessions(h.Context(), operate.Which{}, operator.Origin); return err },
		"a device's": func() error {
			_, err := o.RevokeSessions(h.Context(), operate.Which{Device: "x"}, operator.Origin)
			return err
		},
		"a wide network's": func() error {
			_, err := o.RevokeSessions(h.Context(), operate.Which{Network: netip.MustParsePrefix("0.0.0.0/1")}, operator.Origin)
			return err
		},
		"keys":     func() error { _, err := k.Revoke(h.Context(), []string{"x"}, operator.Origin); return err },
		"all keys": func() error { _, err := k.RevokeLeaked(h.Context(), operator.Origin); return err },
		"a secret": func() error {
			_, _, err := o.RotateClient(h.Context(), "shop", time.Now(), operator.Origin)
			return err
		},
		"a block": func() error {
			_, _, err := blocks.Add(h.Context(), wide, nil, flow.Identity{}, operator.Origin)
			return err
		},
		"blocks": func() error {
			_, err := blocks.AddAll(h.Context(), []operate.NewBlock{wide}, nil, operator.Origin)
			return err
		},
	} {
		if err := do(); !errors.Is(err, operate.ErrApproval) {
			h.Errorf("%s: %v", what, err)
		}
	}
	h.Expect(409, "approval_needed", harness.Post("/v1/admin/sessions/end", map[string]any{"before": "2026-01-01T00:00:00Z", "reason": "a test"}, root))
	h.Expect(409, "approval_needed", harness.Post("/v1/admin/blocks", map[string]any{"network": "0.0.0.0/0", "reason": "a test", "confirm": true}, root))
	h.Expect(409, "approval_needed", harness.Post("/v1/admin/clients/"+shop.ID+"/secret", map[string]any{"keep_hours": 0, "reason": "a test"}, root))
}

// Two administrators do it by the API; who reads may not approve.
func TestASVS_V2_3_5_ApprovalByTheAPI(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "APPROVALS=two")
	root, eve := h.Administrator("root@example.org"), h.Administrator("eve@example.org")
	actions := "/v1/admin/incidents/" + h.Expect(201, "", harness.Post("/v1/admin/incidents", harness.Body{"title": "A test"}, root)).Str("name") + "/actions"
	order := map[string]any{"action": "end-sessions", "all": true, "reason": "a test"}
	if p := h.Expect(200, "", harness.Post(actions+"?dry_run=true", order, root)); !strings.Contains(p.Text, `"approval_needed":true`) {
		t.Error(p.Text)
	}
	waits := h.Expect(202, "", harness.Post(actions, order, root))
	if waits.Str("state") != "waiting" || waits.Str("expires_at") == "" {
		t.Error(waits.Text)
	}
	approve := actions + "/" + waits.Str("id") + "/approve"
	reason := map[string]string{"reason": "we have seen it"}
	h.Expect(409, "own_order", harness.Post(approve, reason, root))
	h.Expect(400, "required", harness.Post(approve, map[string]string{"reason": ""}, eve))
	if p := h.Expect(200, "", harness.Post(approve+"?dry_run=true", map[string]string{}, eve)); !strings.Contains(p.Text, `"sessions":2`) {
		t.Error(p.Text)
	}
	if done := h.Expect(201, "", harness.Post(approve, reason, eve)); done.Str("approved_by") == "" || done.Str("approved_by") == done.Str("by") {
		t.Error(done.Text)
	}
	h.Eventually("everybody is signed out", func() (string, bool) {
		a := h.Do(harness.Get("/v1/me", root))
		return a.Text, a.Status == 401
	})
}
