package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/db"
)

type migrateCommand struct {
	Status bool `help:"Only tell which version the schema has; exit 1 if it is behind."`
	JSON   bool `name:"json" help:"Print JSON."`
}

func (migrateCommand) Help() string {
	return `Each migration is one transaction: it is made wholly or not at all. Several at once wait for one another.
It uses MIGRATE_DATABASE_URL if that is set, else DATABASE_URL.

Example:
  gatehouse migrate --status`
}

// Run migrates, or tells how the schema stands.
func (m migrateCommand) Run(ctx context.Context, t *terminal) error {
	c, log, err := t.settings()
	if err != nil {
		return err
	}
	t.warn(c)
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
