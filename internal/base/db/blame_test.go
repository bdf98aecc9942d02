package db_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// LOG-5: what looks like injection is distinguished from a database in trouble, and
// both from what is no error of the database's.
func TestLOG5_WhatAnErrorIsAbout(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, c := range []struct {
			statement string
			want      db.Blame
		}{
			{`SELECT 'it''s' ' OR 1=1 --'' FROM`, db.BlameStatement},
			{`SELECT 1 FROM account WHERE name = 'x' UNION`, db.BlameStatement},
			{`SELECT password FROM account`, db.BlameStatement},
			{`SELECT 1 FROM users`, db.BlameStatement},
			{`SELECT sleep(10)`, db.BlameStatement},
			{`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ('a', '', 0, 0, ''), ('a', '', 0, 0, '')`, db.BlameDatabase},
			{`INSERT INTO job (name) VALUES (NULL)`, db.BlameDatabase},
			{`UPDATE job SET due_at = 1`, db.BlameNone},
		} {
			err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(c.statement); return err })
			if got := db.BlameOf(err); got != c.want {
				t.Errorf("%s: blames %d, want %d: %v", c.statement, got, c.want, err)
			}
			if got := db.BlameOf(fmt.Errorf("in a flow: %w", err)); err != nil && got != c.want {
				t.Errorf("%s, wrapped: blames %d, want %d", c.statement, got, c.want)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		canceled := d.Read(gone, func(tx *db.Tx) error { return tx.QueryRow(`SELECT 1`).Scan(new(int)) })
		for _, err := range []error{nil, db.ErrNoRows, errors.New("a mistake"), canceled, fault.New(fault.Denied, "denied", "no")} {
			if got := db.BlameOf(err); got == db.BlameStatement || got != db.BlameNone && !errors.Is(err, canceled) {
				t.Errorf("%v: blames %d", err, got)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`UPDATE job SET due_at = 1`); return err })
		if got := db.BlameOf(err); err == nil || got == db.BlameStatement {
			t.Errorf("a database that is closed: blames %d, %v", got, err)
		}
	})
}
