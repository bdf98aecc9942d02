// Package dbtest gives tests real databases: [Each] runs a test on SQLite and
// on PostgreSQL, each with a database of its own that is migrated and empty.
package dbtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Variable and Variable18 name the PostgreSQL servers for tests: a URL whose user
// is a superuser. `make test` starts them and sets them. The second one is of
// version 18 and takes TLS alone: its URL says sslmode=verify-full.
const (
	Variable   = "GATEHOUSE_TEST_POSTGRES"
	Variable18 = "GATEHOUSE_TEST_POSTGRES18"
)

// Each runs the test once on each database.
func Each(t *testing.T, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	EachURL(t, func(t *testing.T, dbURL string) { test(t, Open(t, dbURL)) })
}

// EachURL runs the test once for each kind of database, with the URL of one
// that is migrated and empty. They run at the same time: a test mostly waits, and what
// it shares with itself on another database would be a fault of the test.
func EachURL(t *testing.T, test func(t *testing.T, dbURL string)) {
	t.Helper()
	AtOnce(t, map[string]func(testing.TB) string{"sqlite": SQLite, "postgres": Postgres}, test)
}

// AtOnce runs the test on several databases at the same time, and returns when it has run
// on all of them.
func AtOnce(t *testing.T, databases map[string]func(testing.TB) string, test func(t *testing.T, dbURL string)) {
	t.Helper()
	var all sync.WaitGroup
	for name, database := range databases {
		all.Go(func() { t.Run(name, func(t *testing.T) { test(t, database(t)) }) })
	}
	all.Wait()
}

// Open opens the database and closes it when the test ends.
func Open(t testing.TB, dbURL string) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), db.Config{URL: Patient(dbURL), MaxConns: 8})
	if err != nil {
		t.Fatalf("opening the database: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	return d
}

// Patient is the URL for a test's own connections: how long a busy machine takes over one says nothing of what is tested.
func Patient(dbURL string) string {
	if strings.HasPrefix(dbURL, "postgres:") && strings.Contains(dbURL, "?") {
		return dbURL + "&connect_timeout=60"
	}
	return dbURL
}

// SQLite returns the URL of a new, migrated SQLite database.
func SQLite(t testing.TB) string {
	t.Helper()
	sqliteTemplate.Do(func() {
		u := EmptySQLite(t)
		migrate(t, u)
		file, err := os.ReadFile(strings.TrimPrefix(u, "sqlite:"))
		if err != nil {
			t.Fatal(err)
		}
		sqliteTemplate.file = file
	})
	u := EmptySQLite(t)
	if err := os.WriteFile(strings.TrimPrefix(u, "sqlite:"), sqliteTemplate.file, 0o600); err != nil {
		t.Fatal(err)
	}
	return u
}

// sqliteTemplate is the migrated database that this process copies for each test.
var sqliteTemplate struct {
	sync.Once
	file []byte
}

// EmptySQLite returns the URL of a SQLite database that does not exist yet.
func EmptySQLite(t testing.TB) string {
	t.Helper()
	// Not t.TempDir, which is named after the test: a setting refuses some of the
	// characters there.
	parent := ""
	if _, benchmark := t.(*testing.B); !benchmark {
		parent = memory() // as scripts/servers has PostgreSQL sync nothing
	}
	dir, err := os.MkdirTemp(parent, "gatehouse-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing the database: %v", err)
		}
	})
	return "sqlite:" + filepath.Join(dir, "gatehouse.db")
}

// Postgres returns the URL of a new, migrated PostgreSQL database.
func Postgres(t testing.TB) string {
	t.Helper()
	template.Do(func() {
		template.name = postgres.create(t, "template0")
		migrate(t, postgres.database(t, template.name))
	})
	return postgres.drop(t, postgres.create(t, template.name))
}

// EmptyPostgres returns the URL of a new PostgreSQL database without a schema.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	return postgres.drop(t, postgres.create(t, "template0"))
}

// template is the same on PostgreSQL.
var template struct {
	sync.Once
	name string
}

func migrate(t testing.TB, dbURL string) {
	t.Helper()
	d, err := db.Open(context.Background(), db.Config{URL: dbURL, MaxConns: 4})
	if err != nil {
		t.Fatalf("opening the database: %v", err)
	}
	defer d.Close()
	if _, err := d.Migrate(context.Background()); err != nil {
		t.Fatalf("migrating the database: %v", err)
	}
}

// server is a PostgreSQL server, by the variable that has its URL.
type server string

const (
	postgres   server = Variable
	postgres18 server = Variable18
)

func (s server) url(t testing.TB) string {
	t.Helper()
	u := os.Getenv(string(s))
	if u == "" {
		t.Fatalf("%s is not set: run `make test`, or `scripts/servers go test ./…`, which start a PostgreSQL for the tests", s)
	}
	return u
}

func (s server) database(t testing.TB, name string) string {
	t.Helper()
	u, err := url.Parse(s.url(t))
	if err != nil {
		t.Fatalf("%s is no URL", s)
	}
	u.Path = "/" + name
	return u.String()
}

// Superuser runs one statement on the server as the tests' superuser.
func Superuser(t testing.TB, statement string) {
	t.Helper()
	postgres.superuser(t, statement)
}

// Superuser18 does so on PostgreSQL 18.
func Superuser18(t testing.TB, statement string) {
	t.Helper()
	postgres18.superuser(t, statement)
}

// Connect makes a new connection to the tests' PostgreSQL, asks it something, and
// closes it again.
func Connect(ctx context.Context) error {
	c, err := pgx.Connect(ctx, os.Getenv(Variable))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, "SELECT 1")
	return errors.Join(err, c.Close(ctx))
}

// superusers are the connections that make and drop databases, one a server: a new
// one each time would cost as much as what it does.
var superusers struct {
	sync.Mutex
	conns map[server]*pgx.Conn
}

func (s server) superuser(t testing.TB, statement string) {
	t.Helper()
	superusers.Lock()
	defer superusers.Unlock()
	if _, err := s.connection(t).Exec(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// connection is the superuser's, made if there is none that is good. The lock is held.
func (s server) connection(t testing.TB) *pgx.Conn {
	t.Helper()
	ctx := context.Background()
	if c := superusers.conns[s]; c != nil && !c.IsClosed() && c.Ping(ctx) == nil {
		return c
	}
	c, err := pgx.Connect(ctx, s.url(t))
	if err != nil {
		t.Fatalf("connecting to the tests' PostgreSQL: %v", err)
	}
	if superusers.conns == nil {
		superusers.conns = map[server]*pgx.Conn{}
	}
	superusers.conns[s] = c
	return c
}

func (s server) create(t testing.TB, from string) string {
	t.Helper()
	name := fmt.Sprintf("gh_%x", secret.Random{}.Bytes(8))
	// To copy the files takes a third of the time that PostgreSQL needs by its own
	// way, which writes each page to its log; servers before 15 know no other.
	s.superuser(t, `CREATE DATABASE `+name+` TEMPLATE `+from+` ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`+s.strategy(t))
	return name
}

func (s server) strategy(t testing.TB) string {
	t.Helper()
	superusers.Lock()
	defer superusers.Unlock()
	version, _, _ := strings.Cut(s.connection(t).PgConn().ParameterStatus("server_version"), ".")
	if major, err := strconv.Atoi(version); err != nil || major < 15 {
		return ""
	}
	return ` STRATEGY file_copy`
}

func (s server) drop(t testing.TB, name string) string {
	t.Helper()
	t.Cleanup(func() { s.superuser(t, `DROP DATABASE `+name+` WITH (FORCE)`) })
	return s.database(t, name)
}
