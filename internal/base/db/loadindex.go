package db

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Rows are loaded into tables without secondary indexes and foreign keys, which are made after: that takes three quarters of the time.
// Their statements stand in the mark before they go, in the transaction that drops them, or a load that goes on would never make them again.

// strippedPart is the part that says that they are gone, remake begins those that have a statement.
const (
	strippedPart = "stripped"
	remake       = "remake "
)

// strip drops them.
func (l *pgLoad) strip(ctx context.Context) error {
	return l.once(ctx, strippedPart, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
				format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(c.oid)), 2
			FROM pg_constraint AS c WHERE contype = 'f' AND connamespace = to_regnamespace(quote_ident(current_schema()))
			UNION ALL SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid), 1
			FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
			WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
			ORDER BY 3 DESC, 1`)
		if err != nil {
			return err
		}
		type one struct {
			Drop, Make string
			Order      int
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[one])
		if err != nil {
			return err
		}
		for n, each := range list {
			if _, err := tx.Exec(ctx, each.Drop); err != nil {
				return fmt.Errorf("%s: %w", each.Drop, err)
			}
			// Indexes come first, of which foreign keys may want one.
			if _, err := tx.Exec(ctx, `INSERT INTO restoring (part) VALUES ($1)`, fmt.Sprintf("%s%d %05d %s", remake, each.Order, n, each.Make)); err != nil {
				return err
			}
		}
		return nil
	})
}

// makeAgain makes what was dropped, each in one transaction with the end of its row: killed, it goes on with the rest.
func (l *pgLoad) makeAgain(ctx context.Context) error {
	rows, err := l.conn.Query(ctx, `SELECT part FROM restoring WHERE part LIKE $1 ORDER BY part COLLATE "C"`, remake+"%")
	if err != nil {
		return err
	}
	parts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, part := range parts {
		words := strings.SplitN(part, " ", 4) // remake, the order, the number, the statement
		err := pgx.BeginFunc(ctx, l.conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, words[3]); err != nil {
				return fmt.Errorf("%s: %w", words[3], err)
			}
			_, err := tx.Exec(ctx, `DELETE FROM restoring WHERE part = $1`, part)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
