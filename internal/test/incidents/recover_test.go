package incidents_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// copySQLite copies the server's database as it is now.
func copySQLite(h *harness.Server, path string) {
	h.Helper()
	from, err := sql.Open("sqlite", strings.TrimPrefix(h.DBURL, "sqlite:"))
	if err != nil {
		h.Fatal(err)
	}
	defer from.Close()
	if _, err := from.ExecContext(h.Context(), `VACUUM INTO ?`, path); err != nil {
		h.Fatal(err)
	}
}

// Whatever gives access and is not as it was is found: a role, an address, a hash that somebody wrote, a second factor, an account
// and an application that are new, and those that are gone; nothing of what is as it was.
func TestIR3_AComparisonFindsWhatAnAttackLeft(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now)
	for i := range 20 {
		h.Register(fmt.Sprintf("p%d@example.org", i))
	}
	d := h.Incidents()
	for _, name := range []string{"shop", "intranet"} {
		if _, _, err := d.Operator.RegisterClient(h.Context(), name, client.Service, client.Settings{}, operator.Origin); err != nil {
			h.Fatal(err)
		}
	}
	n := opened(h, d)
	copied := filepath.Join(t.TempDir(), "then.db")
	change := func(sql string, args ...any) {
		h.Helper()
		if err := d.DB.Write(h.Context(), func(tx *db.Tx) error { _, err := tx.Exec(sql, args...); return err }); err != nil {
			h.Fatal(err)
		}
	}
	copySQLite(h, copied)
	then := dbtest.Open(t, "sqlite:"+copied)
	compare := func(context.Context) (*respond.Comparison, error) {
		c, err := d.Compare(h.Context(), then, respond.Comparison{Backup: "b", Taken: time.Now()})
		return &c, err
	}
	if c, err := compare(h.Context()); err != nil || len(c.List) > 0 || c.Read < 22 || c.String() != "nothing that gives access differs" {
		h.Fatalf("%+v %v", c, err)
	}
	if _, err := d.Operator.SetRoles(h.Context(), "p3@example.org", []string{account.Admin}, operator.Origin); err != nil {
		h.Fatal(err)
	}
	change(`UPDATE account SET hash = 'written' WHERE email = 'p4@example.org'`)
	change(`UPDATE account SET email = 'p5@evil.example' WHERE email = 'p5@example.org'`)
	h.AddApp(clock, "new@example.org")
	if _, _, err := d.Operator.RegisterClient(h.Context(), "newsletter", client.Service, client.Settings{}, operator.Origin); err != nil {
		h.Fatal(err)
	}
	if _, err := d.Operator.DeleteClient(h.Context(), "intranet", operator.Origin); err != nil {
		h.Fatal(err)
	}
	if _, _, err := d.Operator.RotateClient(h.Context(), "shop", time.Now().Add(time.Hour), operator.Origin); err != nil {
		h.Fatal(err)
	}
	r, err := d.Recover(h.Context(), n, event.VerifyOptions{}, compare, operator)
	if err != nil {
		h.Fatal(err)
	}
	var found []string
	for _, one := range r.Compared.List {
		var parts []string
		for _, p := range one.Parts {
			name, _, _ := strings.Cut(p, ":")
			parts = append(parts, name)
		}
		found = append(found, one.Of+" "+one.How+" "+one.Name+" "+strings.Join(parts, ","))
		if strings.Contains(fmt.Sprint(one), "written") {
			h.Error("a hash is shown: ", one)
		}
	}
	want := []string{
		"account changed p3@example.org roles", "account changed p4@example.org hash", "account changed p5@evil.example address",
		"account added new@example.org ", "app added  ",
		"application added newsletter ", "application changed shop secret", "application gone intranet ",
	}
	slices.Sort(found)
	if !slices.Equal(found, slices.Sorted(slices.Values(want))) {
		h.Errorf("%q\nand not\n%q", found, want)
	}
	if _, done := r.Done["verify"]; !done || len(r.Log.Findings) > 0 {
		h.Error("the log is intact, and the checklist does not say so: ", r.Log.Findings)
	}
	last := r.Timeline[len(r.Timeline)-1]
	if last.Kind != incident.Recovering || !strings.Contains(last.Text, "3 accounts changed") {
		h.Error(last)
	}
}

// What still stands of an incident is said, and what was taken back is not.
func TestIR3_WhatIsStillClosedIsSaid(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		d := h.Incidents()
		n := opened(h, d)
		stands := contained(h, d, n, respond.Order{Does: respond.Disable, Users: []string{"ada@example.org"}})
		undone(h, d, n, contained(h, d, n, respond.Order{Does: respond.Lockdown, Doors: []lockdown.Door{lockdown.Registration}, For: time.Hour}))
		contained(h, d, n, respond.Order{Does: respond.VoidLinks, Users: []string{"ada@example.org"}})
		r, err := d.Recover(h.Context(), n, event.VerifyOptions{}, nil, operator)
		if err != nil || r.Compared != nil || len(r.Open()) != 1 || r.Open()[0].ID != stands.ID {
			h.Error(r.Open(), err)
		}
	})
}
