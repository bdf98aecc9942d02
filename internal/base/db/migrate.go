package db

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

//go:embed migrations
var embedded embed.FS

// migrations is the embedded ones; a test puts others in their place.
var migrations fs.FS = embedded

// versionTable is where the schema's version is kept.
const versionTable = "schema_version"

// Schema is the state of the database's schema.
type Schema struct {
	// Current is the version in the database, Target the newest this binary
	// knows.
	Current int64 `json:"current"`
	Target  int64 `json:"target"`
}

// migrator applies migrations over a connection of its own.
type migrator struct {
	db       *sql.DB
	provider *goose.Provider
	exists   string // a query: is there a version table?
	lock     func() (unlock func(), err error)
	// inspect refuses a database that must not be changed, permit a role that may
	// not migrate; grant gives those that serve their rights.
	inspect func(context.Context, Schema) error
	permit  func(context.Context, Schema) error
	grant   func(context.Context) error
}

func newMigrator(d *sql.DB, dialect Dialect, name database.Dialect, opts ...goose.ProviderOption) (*migrator, error) {
	dir, err := fs.Sub(migrations, "migrations/"+string(dialect))
	if err != nil {
		return nil, err
	}
	opts = append(opts, goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	p, err := goose.NewProvider(name, d, dir, opts...)
	if err != nil {
		return nil, err
	}
	return &migrator{
		db: d, provider: p,
		lock:    func() (func(), error) { return func() {}, nil },
		inspect: func(context.Context, Schema) error { return nil },
		permit:  func(context.Context, Schema) error { return nil },
		grant:   func(context.Context) error { return nil },
	}, nil
}

// migrator holds a lock on a file next to the database: SQLite's own would be
// let go between finding out what is to be done and doing it.
func (e *sqliteEngine) migrator(context.Context) (*migrator, error) {
	d, err := sql.Open("sqlite", sqliteDSN(e.path, 5*time.Second)+"&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(1)
	m, err := newMigrator(d, SQLite, goose.DialectSQLite3)
	if err != nil {
		return nil, err
	}
	m.exists = `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'`
	m.lock = lockedfile.MutexAt(e.path + "-migrate").Lock
	return m, nil
}

// migrator holds a lock that is a row with a lease: an advisory lock would not
// survive pgbouncer.
func (p *postgres) migrator(context.Context) (*migrator, error) {
	locker, err := lock.NewPostgresTableLocker(lock.WithTableName("schema_lock"), lock.WithTableLockTimeout(time.Second, 300))
	if err != nil {
		return nil, err
	}
	m, err := newMigrator(stdlib.OpenDB(*p.pool.Config().ConnConfig), Postgres, goose.DialectPostgres, goose.WithLocker(locker))
	if err != nil {
		return nil, err
	}
	m.exists = `SELECT COUNT(*) FROM (SELECT to_regclass('schema_version') AS found) AS t WHERE found IS NOT NULL`
	m.inspect, m.permit, m.grant = p.inspectFor, p.mayNotMigrate, p.grantServing
	return m, nil
}

// schema reads the version itself: the library's own way makes the table that
// it reads, which a role that only serves may not.
func (m *migrator) schema(ctx context.Context) (Schema, error) {
	var s Schema
	for _, src := range m.provider.ListSources() {
		s.Target = max(s.Target, src.Version)
	}
	var tables int64
	if err := m.db.QueryRowContext(ctx, m.exists).Scan(&tables); err != nil || tables == 0 {
		return s, err
	}
	err := m.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM schema_version WHERE is_applied`).Scan(&s.Current)
	return s, err
}

// Schema returns the schema's version, without changing it.
func (d *DB) Schema(ctx context.Context) (Schema, error) {
	m, err := d.engine.migrator(ctx)
	if err != nil {
		return Schema{}, err
	}
	defer m.db.Close()
	s, err := m.schema(ctx)
	return s, classify(err)
}

// Migrate brings the schema to the version this binary knows, and returns the
// names of the migrations it applied. Each is one transaction. Of several
// processes that start at once one migrates and the others wait for it. A
// schema newer than the binary is refused, and so is a role that may not change
// it (may_not_migrate). On PostgreSQL another application's tables are refused as
// they are on SQLite, and so is a database that can't hold ours (another_database,
// wrong_encoding, database_standby, database_read_only): before anything is written.
//
// A database that a backup is being restored into is refused: restore_unfinished. So is one that is moved away, whose copy would
// not have what a migration changes: fenced or moved.
func (d *DB) Migrate(ctx context.Context) ([]string, error) {
	if p, ok := d.engine.(*postgres); ok {
		if err := p.restoring(ctx); err != nil {
			return nil, classify(err)
		}
	}
	// Whatever else stands in the way of asking, such as a schema from before there were fences, does so below, or is no matter.
	if f := fault.As(d.movedAway(ctx)); f != nil && (f.Code == "fenced" || f.Code == "moved") {
		return nil, f
	}
	return d.migrateTo(ctx, 0)
}

// migrateTo is Migrate up to a version; zero is the newest.
func (d *DB) migrateTo(ctx context.Context, version int64) ([]string, error) {
	m, err := d.engine.migrator(ctx)
	if err != nil {
		return nil, err
	}
	defer m.db.Close()
	s, err := m.schema(ctx)
	if err != nil {
		return nil, classify(err)
	}
	if s.Current > s.Target {
		return nil, s.refuseNewer()
	}
	if err := m.inspect(ctx, s); err != nil {
		return nil, classify(err)
	}
	if s.Current == s.Target {
		return nil, m.granted(ctx)
	}
	if err := m.permit(ctx, s); err != nil {
		return nil, classify(err)
	}
	unlock, err := m.lock()
	if err != nil {
		return nil, fmt.Errorf("waiting for another process's migration: %w", err)
	}
	defer unlock()
	var done []*goose.MigrationResult
	if version == 0 {
		done, err = m.provider.Up(ctx)
	} else {
		done, err = m.provider.UpTo(ctx, version)
	}
	if err != nil {
		return nil, fmt.Errorf("migrating the database: %w", classify(err))
	}
	names := make([]string, 0, len(done))
	for _, r := range done {
		names = append(names, r.Source.Path)
	}
	return names, m.granted(ctx)
}

func (m *migrator) granted(ctx context.Context) error {
	if err := m.grant(ctx); err != nil {
		return fmt.Errorf("giving the serving role its rights: %w", classify(err))
	}
	return nil
}

// Require refuses a schema that this binary can't serve.
func (s Schema) Require() error {
	if s.Current < s.Target {
		return fault.New(fault.Unavailable, "schema_behind", fmt.Sprintf(
			"The database's schema is at version %d and this gatehouse needs %d. Run: gatehouse migrate", s.Current, s.Target))
	}
	return s.refuseNewer()
}

func (s Schema) refuseNewer() error {
	if s.Current > s.Target {
		return fault.New(fault.Unavailable, "schema_newer", fmt.Sprintf(
			"The database's schema is at version %d and this gatehouse knows %d at most: a newer gatehouse has used it. Run that version, or restore a backup "+
				"from before.", s.Current, s.Target))
	}
	return nil
}
