package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

type migrateCommand struct {
	Status bool `help:"Only tell which version the schema has; exit 1 if it is behind."`
	JSON   bool `name:"json" help:"Print JSON."`

	Roles      bool `help:"Instead, make the two roles that PostgreSQL should have: one owns the schema and migrates, one serves."`
	rolesFlags `embed:""`
}

func (migrateCommand) Help() string {
	return `Each migration is one transaction: it is made wholly or not at all. Several at once wait for one another.
It uses MIGRATE_DATABASE_URL if that is set, else DATABASE_URL.

With --roles that URL is an administrator's for once: a superuser's, or one of a role that owns the database and may make
roles. What is as it should be is left alone, so it may be said again. Migrations give the serving role its rights on what
they make. See docs/guides/postgresql.md.

Examples:
  gatehouse migrate --status
  DATABASE_URL='postgres://postgres@/gatehouse?host=/run/postgresql' gatehouse migrate --roles        # shows what it would do
  DATABASE_URL='postgres://postgres@/gatehouse?host=/run/postgresql' gatehouse migrate --roles --yes`
}

// Run migrates, or tells how the schema stands.
func (m migrateCommand) Run(ctx context.Context, t *terminal) error {
	if err := m.check(); err != nil {
		return err
	}
	c, log, err := t.settings()
	if err != nil {
		return err
	}
	t.warn(c)
	if m.Roles {
		return m.makeRoles(ctx, t, c, log, m.JSON)
	}
	var applied []string
	if !m.Status {
		if applied, err = app.Migrate(ctx, c, log); err != nil {
			return err
		}
	}
	d, err := app.OpenDatabase(ctx, c, log)
	if err != nil {
		return err
	}
	s, err := d.Schema(ctx)
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	if m.JSON {
		err = t.json(struct {
			db.Schema
			Applied []string `json:"applied"`
		}{s, append([]string{}, applied...)})
	} else {
		for _, name := range applied {
			fmt.Fprintf(t.out, "applied %s\n", name)
		}
		fmt.Fprintf(t.out, "The schema is at version %d of %d.\n", s.Current, s.Target)
	}
	return errors.Join(err, s.Require())
}

// check refuses flags that don't go together.
func (m migrateCommand) check() error {
	switch {
	case m.Roles && m.Status:
		return usageError("--roles and --status are two different things. Say one of them.")
	case !m.Roles && (m.Yes || m.OwnerPasswordFile != "" || m.ServingPasswordFile != ""):
		return usageError("--yes and the passwords' files belong to --roles.")
	}
	return nil
}
