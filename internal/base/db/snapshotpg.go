package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

// pgSnapshot is a snapshot of PostgreSQL.
type pgSnapshot struct{ conn *pgx.Conn }

func (p *postgres) snapshot(ctx context.Context) (snapshotSource, error) {
	conn, err := pgx.ConnectConfig(ctx, p.pool.Config().ConnConfig.Copy())
	if err != nil {
		return nil, connectError{err, false}
	}
	s := &pgSnapshot{conn}
	if err := s.begin(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *pgSnapshot) begin(ctx context.Context) error {
	if _, err := s.conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`); err != nil {
		return err
	}
	if _, err := s.conn.Exec(ctx, `SELECT set_config(name, '0', TRUE) FROM pg_settings
		WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`); err != nil {
		return err
	}
	_, err := s.conn.Exec(ctx, `SET LOCAL bytea_output = 'hex'`)
	return err
}

func (s *pgSnapshot) row(ctx context.Context, query string, dest []any) error {
	err := s.conn.QueryRow(ctx, query).Scan(dest...)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNoRows
	}
	return err
}

// copy has no ORDER BY: a scan in the table's own order leaves the server's cache alone.
func (s *pgSnapshot) copy(ctx context.Context, t schema.Table, w io.Writer) (bool, error) {
	_, err := s.conn.PgConn().CopyTo(ctx, w, fmt.Sprintf(`COPY (SELECT %s FROM "%s") TO STDOUT`, expressions(t), t.Name))
	if err != nil {
		return false, fmt.Errorf("reading the table %s: %w", t.Name, err)
	}
	return true, nil
}

func (s *pgSnapshot) room() error { return nil }

func (s *pgSnapshot) end(ctx context.Context) error {
	var clean bool
	if err := s.conn.QueryRow(ctx, `SELECT pg_current_xact_id_if_assigned() IS NULL`).Scan(&clean); err != nil {
		return err
	}
	if !clean {
		return errSnapshotID
	}
	return nil
}

func (s *pgSnapshot) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx)
}
