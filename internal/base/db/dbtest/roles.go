package dbtest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Installation is a database as production should have it: PostgreSQL 18 over TLS
// with sslmode=verify-full, and the roles that [db.DB.MakeRoles] makes.
type Installation struct {
	// Admin is the URL of a superuser, Owner of the role that migrates, Serving
	// of the one that serves.
	Admin, Owner, Serving string
	Roles                 db.Roles
}

// EachProduction is [EachURL], and once more with the serving role's URL of an
// [Installation].
func EachProduction(t *testing.T, test func(t *testing.T, dbURL string)) {
	t.Helper()
	AtOnce(t, map[string]func(testing.TB) string{
		"sqlite": SQLite, "postgres": Postgres,
		"postgres18-serving": func(t testing.TB) string { return Serving(t).Serving },
	}, test)
}

// EachProductionDB is [Each] in the same way.
func EachProductionDB(t *testing.T, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	EachProduction(t, func(t *testing.T, dbURL string) { test(t, Open(t, dbURL)) })
}

// Serving returns a new installation that is migrated and empty.
func Serving(t testing.TB) Installation {
	t.Helper()
	production.Do(func() {
		production.name = postgres18.create(t, "template0")
		i := install(t, postgres18.database(t, production.name), sharedRoles())
		migrate(t, i.Owner)
	})
	name := postgres18.create(t, production.name)
	postgres18.drop(t, name)
	return install(t, postgres18.database(t, name), sharedRoles())
}

// Serving makes a new installation on this server that is migrated and empty: one that
// production takes, if the server has the option "fsync=on", which the shared ones lack.
func (s *Server) Serving() Installation {
	s.t.Helper()
	s.Exec(`CREATE DATABASE gatehouse ENCODING 'UTF8' TEMPLATE template0`)
	i := install(s.t, s.URL("gatehouse"), RoleNames())
	migrate(s.t, i.Owner)
	return i
}

// EmptyServing returns a new installation without a schema.
func EmptyServing(t testing.TB) Installation {
	t.Helper()
	name := postgres18.create(t, "template0")
	postgres18.drop(t, name)
	return install(t, postgres18.database(t, name), sharedRoles())
}

// Empty18 returns the superuser's URL of a new database on PostgreSQL 18, without
// a schema and without roles.
func Empty18(t testing.TB) string {
	t.Helper()
	return postgres18.drop(t, postgres18.create(t, "template0"))
}

// RoleNames returns names and passwords of roles that no other test has. The
// roles stay when the test ends; the server does not.
func RoleNames() db.Roles {
	id := fmt.Sprintf("%x", secret.Random{}.Bytes(6))
	return db.Roles{
		Owner: "gh_" + id + "_owner", OwnerPassword: secret.Random{}.Text(18),
		Serving: "gh_" + id, ServingPassword: secret.Random{}.Text(18),
	}
}

// As returns the URL with another user in it.
func As(t testing.TB, dbURL, user, password string) string {
	t.Helper()
	u, err := url.Parse(dbURL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

// Superusers returns the URL of the database with its superuser in it, where the
// given one is the serving role's: for a test that looks at what that may not.
func Superusers(t testing.TB, dbURL string) string {
	t.Helper()
	u, err := url.Parse(dbURL)
	if err != nil {
		t.Fatal(err)
	}
	if u.User.Username() != sharedRoles().Serving {
		return dbURL
	}
	return postgres18.database(t, strings.TrimPrefix(u.Path, "/"))
}

// production is what the tests of this process copy, and the roles that they
// share.
var production struct {
	sync.Once
	name string
}

var sharedRoles = sync.OnceValue(RoleNames)

// install makes the roles. What a database grants is not copied with it.
func install(t testing.TB, admin string, roles db.Roles) Installation {
	t.Helper()
	ctx := context.Background()
	i := Installation{Admin: admin, Roles: roles}
	i.Owner = As(t, i.Admin, i.Roles.Owner, i.Roles.OwnerPassword)
	i.Serving = As(t, i.Admin, i.Roles.Serving, i.Roles.ServingPassword)
	d, err := db.Open(ctx, db.Config{URL: i.Admin, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	rolesTurn.Lock()
	defer rolesTurn.Unlock()
	if _, err := d.MakeRoles(ctx, i.Roles); err != nil {
		t.Fatalf("making the roles: %v", err)
	}
	return i
}

// rolesTurn: roles are the whole server's, and PostgreSQL fails one of two
// transactions that alter the same.
var rolesTurn sync.Mutex
