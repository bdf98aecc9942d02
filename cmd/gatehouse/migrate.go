package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

type migrateCommand struct {
	Status bool `help:"Only show the schema's version; exit with 1 if it is behind."`
	JSON   bool `name:"json" help:"Print JSON."`

	Roles      bool `help:"Instead, create the two roles that PostgreSQL should have: one owns the schema and migrates, one serves."`
	rolesFlags `embed:""`
}

func (migrateCommand) Help() string {
	return `Each migration is one transaction: it is applied completely or not at all. Several migrations started at once wait for one another.
It uses MIGRATE_DATABASE_URL if that is set, and DATABASE_URL otherwise.

With --roles, that URL must be an administrator's: a superuser, or a role that owns the database and may create roles. Whatever is
already right is left alone, so you can run it again. Migrations grant the serving role its rights on what they create. See
docs/guides/postgresql.md.

Examples:
  gatehouse migrate --status
  DATABASE_URL='postgres://postgres@/gatehouse?host=/run/postgresql' gatehouse migrate --roles        # shows what it would do
  DATABASE_URL='postgres://postgres@/gatehouse?host=/run/postgresql' gatehouse migrate --roles --yes`
}

// Run migrates, or shows the version of the schema.
func (m migrateCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if err := m.check(); err != nil {
		return err
	}
	c, log, err := t.Settings()
	if err != nil {
		return err
	}
	t.Warn(c)
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
		err = t.JSON(struct {
			db.Schema
			Applied []string `json:"applied"`
		}{s, append([]string{}, applied...)})
	} else {
		for _, name := range applied {
			fmt.Fprintf(t.Out, "applied %s\n", name)
		}
		fmt.Fprintf(t.Out, "The schema is at version %d of %d.\n", s.Current, s.Target)
	}
	return errors.Join(err, s.Require())
}

// check refuses flags that don't go together.
func (m migrateCommand) check() error {
	switch {
	case m.Roles && m.Status:
		return terminal.UsageError("--roles and --status are two different things. Use one of them.")
	case !m.Roles && (m.Yes || m.OwnerPasswordFile != "" || m.ServingPasswordFile != ""):
		return terminal.UsageError("--yes and the password files belong to --roles.")
	}
	return nil
}
