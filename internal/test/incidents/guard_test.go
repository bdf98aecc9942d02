package incidents_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// A dry run says whom a block would refuse that may not be meant; without their word it blocks nobody of those.
func TestIR2_ABlockOfOnesOwnNetworkIsAskedAgain(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	root := h.Administrator("root@example.org")
	actions := "/v1/admin/incidents/" + h.Expect(201, "", harness.Post("/v1/admin/incidents", harness.Body{"title": "A test"}, root)).Str("name") + "/actions"
	block := map[string]any{"action": "block", "networks": []string{"127.0.0.0/8"}, "minutes": 60, "reason": "A test"}
	if warning := h.Expect(200, "", harness.Post(actions+"?dry_run=true", block, root)).Str("warning"); !strings.Contains(warning, "your own address") {
		t.Errorf("the dry run warns %q", warning)
	}
	h.Expect(409, "confirmation_needed", harness.Post(actions, block, root))
	// One word is for all networks, so each is named.
	block["networks"] = []string{"203.0.113.0/24", "::/0", "127.0.0.0/8"}
	warning := h.Expect(200, "", harness.Post(actions+"?dry_run=true", block, root)).Str("warning")
	refusal := h.Expect(409, "confirmation_needed", harness.Post(actions, block, root))
	for _, network := range []string{"::/0", "127.0.0.0/8"} {
		if !strings.Contains(warning, network) || !strings.Contains(refusal.Text, network) {
			h.Errorf("%s is not named: %q, %s", network, warning, refusal.Text)
		}
	}
	block["networks"] = []string{"203.0.113.0/24"}
	if a := h.Expect(200, "", harness.Post(actions+"?dry_run=true", block, root)); strings.Contains(a.Text, "warning") {
		t.Error(a.Text)
	}
}

// Administrators who suspend factors keep a way in: those who act, and one of all.
func TestIR2_SuspendingFactorsLeavesAnAdministrator(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, clock.Now)
		app := h.AddApp(clock, "ada@example.org")
		for _, email := range []string{"root@example.org", "eve@example.org"} {
			h.AddApp(clock, email)
		}
		d := h.Incidents()
		for _, email := range []string{"root@example.org", "ada@example.org"} {
			if _, err := d.Operator.SetRoles(h.Context(), email, []string{account.Admin}, operator.Origin); err != nil {
				h.Fatal(err)
			}
		}
		n := opened(h, d)
		root, err := d.Operator.User(h.Context(), "root@example.org")
		if err != nil {
			h.Fatal(err)
		}
		by := respond.By{Who: flow.Identity{Account: root.ID, Roles: []string{account.Admin}}, Origin: harness.OriginOfTests}
		o := respond.Order{Does: respond.SuspendFactors, Since: clock.Now().Add(-time.Hour), All: true, Why: "a test"}
		done, err := d.Contain(h.Context(), n, o, by)
		if err != nil || done.Touched["people"] != 2 || done.Touched["skipped"] != 1 {
			h.Error(done.Touched, err)
		}
		undone(h, d, n, done)
		contained(h, d, n, respond.Order{Does: respond.SuspendFactors, Since: o.Since, Users: []string{root.ID}})
		done, err = d.Contain(h.Context(), n, o, by)
		if err != nil || done.Touched["people"] != 1 || done.Touched["skipped"] != 2 {
			h.Error("ada is the last: ", done.Touched, err)
		}
		app.Next()
		app.SignIn()
		if done := contained(h, d, n, o); done.Touched["skipped"] != 0 || done.Touched["people"] != 1 {
			h.Error("the command line does all: ", done.Touched)
		}
	})
}

// Once everybody is signed out, that is not stopped, nor does it stop with who began it: only the tidying is left.
func TestIR2_WhatIsInForceIsNotStopped(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		for i, o := range []respond.Order{
			{Does: respond.EndSessions, All: true, Why: "a test"}, {Does: respond.EndSessions, Before: time.Now().Add(-time.Minute), Why: "a test"},
		} {
			email := fmt.Sprintf("a%d@example.org", i)
			h.Administrator(email)
			d := h.Incidents()
			n := opened(h, d)
			who, err := d.Operator.User(h.Context(), email)
			if err != nil {
				h.Fatal(err)
			}
			by := respond.By{Who: flow.Identity{Account: who.ID, Roles: []string{account.Admin}}, Origin: harness.OriginOfTests}
			half, ctx := broken(h, d)
			going, err := half.Contain(ctx, n, o, by)
			if err != nil || !going.EndedAt.IsZero() {
				h.Fatal(going, err)
			}
			if _, err := d.Stop(h.Context(), n, going.ID, "a test", operator); fault.As(err) == nil || fault.As(err).Code != "action_ended" {
				h.Error(err)
			}
			if _, err := d.Operator.Disable(h.Context(), who.ID, operator.Origin); err != nil {
				h.Fatal(err)
			}
			if err := d.Continue(h.Context()); err != nil {
				h.Fatal(err)
			}
			if s, err := d.Show(h.Context(), n); err != nil || s.Actions[0].State != incident.Finished {
				h.Error(s.Actions, err)
			}
		}
	})
}
