package db

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// insufficientPrivilege is PostgreSQL's code for what a role may not do.
const insufficientPrivilege = "42501"

// Excess really tries what the role that serves must not be let do, in a transaction that is rolled back, and returns what it
// was let do; nothing for SQLite. None of it touches a row, or waits for one.
func (d *DB) Excess(ctx context.Context) (did []string, err error) {
	p, ok := d.engine.(*postgres)
	if !ok {
		return nil, nil
	}
	tx, err := p.pool.Begin(ctx)
	if err != nil {
		return nil, classify(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '1s'`); err != nil {
		return nil, classify(err)
	}
	for _, try := range forbidden() {
		switch err := tried(ctx, tx, try.do); {
		case err == nil:
			did = append(did, try.what)
		case !refused(err):
			return nil, classify(err)
		}
	}
	var truncates bool
	if err := tx.QueryRow(ctx, `SELECT has_table_privilege('event', 'TRUNCATE')`).Scan(&truncates); err != nil {
		return nil, classify(err)
	}
	if truncates {
		did = append(did, "empty the event log")
	}
	return did, nil
}

// attempt is something that must be refused.
type attempt struct {
	what string
	do   func(ctx context.Context, tx pgx.Tx) error
}

func forbidden() []attempt {
	exec := func(_ pgconn.CommandTag, err error) error { return err }
	return []attempt{
		{"delete from the event log", func(ctx context.Context, tx pgx.Tx) error {
			return exec(tx.Exec(ctx, `DELETE FROM event WHERE FALSE`))
		}},
		{"change the event log", func(ctx context.Context, tx pgx.Tx) error {
			return exec(tx.Exec(ctx, `UPDATE event SET kind = kind WHERE FALSE`))
		}},
		{"say that events were erased", func(ctx context.Context, tx pgx.Tx) error {
			return exec(tx.Exec(ctx, `DELETE FROM event_erased WHERE FALSE`))
		}},
		{"delete accounts", func(ctx context.Context, tx pgx.Tx) error {
			return exec(tx.Exec(ctx, `DELETE FROM account WHERE FALSE`))
		}},
		{"make tables", func(ctx context.Context, tx pgx.Tx) error {
			return exec(tx.Exec(ctx, `CREATE TABLE gatehouse_doctor (one BIGINT)`))
		}},
		{"make roles", func(ctx context.Context, tx pgx.Tx) error {
			return exec(tx.Exec(ctx, `CREATE ROLE gatehouse_doctor`))
		}},
		{"read the server's files", func(ctx context.Context, tx pgx.Tx) error {
			return exec(tx.Exec(ctx, `SELECT pg_read_file('PG_VERSION')`))
		}},
	}
}

// tried tries something within a savepoint, and takes it back.
func tried(ctx context.Context, tx pgx.Tx, do func(context.Context, pgx.Tx) error) error {
	within, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	said := do(ctx, within)
	return errors.Join(said, within.Rollback(ctx))
}

func refused(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == insufficientPrivilege
}
