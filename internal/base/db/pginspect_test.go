package db_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// refusesDatabase opens the database, and expects both serving and migrating to be refused
// with the code, and the database to be as it was.
func refusesDatabase(t *testing.T, dbURL, code string) {
	t.Helper()
	tables := func() []string {
		return column(t, dbURL, `SELECT n.nspname || '.' || relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
			WHERE relkind IN ('r', 'p', 'S') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema' ORDER BY 1`)
	}
	before := tables()
	d := dbtest.Open(t, dbURL)
	_, err := d.Migrate(ctx)
	if f := fault.As(err); f == nil || f.Code != code {
		t.Errorf("migrating: %v, want %s", err, code)
	}
	if err := d.Serves(ctx); err == nil {
		t.Error("it serves")
	}
	if after := tables(); !slices.Equal(before, after) {
		t.Errorf("it was changed: %v, then %v", before, after)
	}
}

// databaseWith makes one with these options, and returns its URL.
func databaseWith(t *testing.T, options string) (dbURL, name string) {
	t.Helper()
	u, err := url.Parse(dbtest.EmptyPostgres(t))
	if err != nil {
		t.Fatal(err)
	}
	name = strings.TrimPrefix(u.Path, "/") + "_b"
	dbtest.Superuser(t, `CREATE DATABASE `+name+` TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' `+options)
	t.Cleanup(func() { dbtest.Superuser(t, `DROP DATABASE `+name+` WITH (FORCE)`) })
	u.Path = "/" + name
	return u.String(), name
}

// F12: only in UTF8 is an address what it was, after a dump too.
func TestCaseF12_EncodingsOtherThanUTF8AreRefused(t *testing.T) {
	for _, encoding := range []string{"LATIN1", "SQL_ASCII", "EUC_JP"} {
		t.Run(encoding, func(t *testing.T) {
			dbURL, _ := databaseWith(t, `ENCODING '`+encoding+`'`)
			refusesDatabase(t, dbURL, "wrong_encoding")
		})
	}
}

// F12: what the database, the role or the environment wants a client to speak changes
// nothing.
func TestCaseF12_ClientEncodingIsOurs(t *testing.T) {
	t.Setenv("PGCLIENTENCODING", "LATIN1")
	dbURL, name := databaseWith(t, `ENCODING 'UTF8'`)
	dbtest.Superuser(t, `ALTER DATABASE `+name+` SET client_encoding = 'LATIN1'`)
	d := dbtest.Open(t, dbURL)
	if _, err := d.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	const who = "jürgen@bücher.example, 用户"
	if err := d.Write(ctx, func(tx *db.Tx) error { return put(tx, who) }); err != nil {
		t.Fatal(err)
	}
	if n := column(t, dbURL, `SELECT octet_length(name)::text FROM job`); len(n) != 1 || n[0] != fmt.Sprint(len(who)) {
		t.Errorf("stored in %v bytes, not %d", n, len(who))
	}
}

// F12: a database that takes no writes is named so, not as one that is away.
func TestCaseF12_ReadOnlyIsSaidInWords(t *testing.T) {
	dbURL, name := databaseWith(t, `ENCODING 'UTF8'`)
	dbtest.Superuser(t, `ALTER DATABASE `+name+` SET default_transaction_read_only = on`)
	refusesDatabase(t, dbURL, "database_read_only")
}

// F14: another application's tables stay alone, whatever they are called.
func TestCaseF14_AnotherApplicationsTables(t *testing.T) {
	eachServer(t, func(t *testing.T, admin string) {
		run(t, admin, `CREATE TABLE account (id INT)`, `CREATE TABLE orders (id INT)`)
		refusesDatabase(t, admin, "another_database")
		run(t, admin, `DROP TABLE account`)
		refusesDatabase(t, admin, "another_database")
		run(t, admin, `DROP TABLE orders`, `CREATE TABLE install (id INT)`)
		refusesDatabase(t, admin, "another_database")
		// What an interrupted migration leaves is ours, and nothing else stands there.
		run(t, admin, `DROP TABLE install`)
		d := dbtest.Open(t, admin)
		if _, err := d.Migrate(ctx); err != nil {
			t.Fatalf("an empty database: %v", err)
		}
		run(t, admin, `CREATE TABLE notes (id INT)`)
		if _, err := d.Migrate(ctx); err != nil {
			t.Errorf("ours, with a table beside it: %v", err)
		}
	})
}

// Another application's schema in the same database is no hindrance, nor is what an
// extension made.
func TestCaseF14_OtherSchemasAreTheirOwnersMatter(t *testing.T) {
	admin := dbtest.EmptyPostgres(t)
	run(t, admin, `CREATE SCHEMA shop`, `CREATE TABLE shop.account (id INT)`, `CREATE VIEW public.v AS SELECT 1`)
	if _, err := dbtest.Open(t, admin).Migrate(ctx); err != nil {
		t.Error(err)
	}
}

// V13.2.2, F12: what production refuses of a database, by code.
func TestASVS_V13_2_2_HazardsOfPostgreSQL(t *testing.T) {
	codes := func(dbURL string) string {
		t.Helper()
		list, err := dbtest.Open(t, dbURL).Hazards(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		for _, h := range list {
			if s = append(s, h.Code); h.Unsafe != (h.Code != "owner") || len(h.Text) < 80 {
				t.Errorf("%+v", h)
			}
		}
		return strings.Join(s, " ")
	}
	i := dbtest.Serving(t)
	const options = "&options=-c%20synchronous_commit%3D"
	for dbURL, want := range map[string]string{
		i.Serving + options + "on": "", i.Serving + options + "local": "durability", i.Serving + options + "off": "durability",
		i.Owner + options + "on": "owner", i.Admin + options + "on": "superuser", i.Admin + options + "off": "durability superuser",
	} {
		// The tests' servers forget all safety to be quick.
		if got := strings.TrimSpace(strings.TrimPrefix(codes(dbURL), fsyncOff(t, dbURL))); got != strings.TrimSpace(strings.TrimPrefix(want, fsyncOff(t, dbURL))) {
			t.Errorf("%s: %s, want %s", dbURL[strings.LastIndex(dbURL, "="):], got, want)
		}
	}
	if list, err := dbtest.Open(t, dbtest.SQLite(t)).Hazards(ctx); err != nil || len(list) > 0 {
		t.Errorf("SQLite: %v %v", list, err)
	}
}

// fsyncOff is what a server without fsync adds.
func fsyncOff(t *testing.T, dbURL string) string {
	t.Helper()
	if column(t, dbURL, `SELECT current_setting('fsync')`)[0] == "off" {
		return "durability"
	}
	return ""
}

// G5: what ails a database at the start is said in words for its operator, and what
// no waiting mends is marked.
func TestCaseG5_WordsAtTheStart(t *testing.T) {
	i := dbtest.Serving(t)
	wrong := func(change func(*url.URL)) string {
		u, err := url.Parse(i.Serving)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	query := func(u *url.URL, key, value string) {
		q := u.Query()
		q.Set(key, value)
		u.RawQuery = q.Encode()
	}
	withoutTLS, err := url.Parse(dbtest.EmptyPostgres(t))
	if err != nil {
		t.Fatal(err)
	}
	query(withoutTLS, "sslmode", "require")
	for name, c := range map[string]struct {
		url, says string
		lasting   bool
	}{
		"a wrong password": {wrong(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "wrong-7Vx2mZp9") }), "refuses the user or the password",
			true},
		"a user that is not":      {wrong(func(u *url.URL) { u.User = url.UserPassword("nobody_here", "wrong-7Vx2mZp9") }), "refuses the user or the password", true},
		"no such database":        {wrong(func(u *url.URL) { u.Path = "/no_such_database" }), "has no database of the name", true},
		"a parameter":             {wrong(func(u *url.URL) { query(u, "no_such_parameter", "1") }), "does not take a parameter", true},
		"another authority":       {wrong(func(u *url.URL) { query(u, "sslrootcert", "system") }), "TLS", true},
		"another name":            {wrong(func(u *url.URL) { u.Host = "localhost:" + u.Port() }), "TLS", true},
		"nobody listens":          {"postgres://u:p@127.0.0.1:1/x?sslmode=disable", "nothing listens there", false},
		"a name that is none":     {"postgres://u:p@host.invalid/x?sslmode=disable&connect_timeout=2", "can't be reached", false},
		"TLS of a server of none": {withoutTLS.String(), "TLS", true},
	} {
		d, err := db.Open(ctx, db.Config{URL: c.url, MaxConns: 1})
		if err == nil {
			err = d.Serves(ctx)
			_ = d.Close()
		}
		f := fault.As(err)
		if f == nil || f.Code != "database_unavailable" {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if text, lasting := db.Explain(f.Err); !strings.Contains(text, c.says) || lasting != c.lasting || strings.Contains(text, "7Vx2mZp9") {
			t.Errorf("%s: %q, lasting %v; because of %v", name, text, lasting, f.Err)
		}
	}
}

// G5: a pooler that loses prepared statements is named, with the parameter.
func TestCaseG5_APoolerIsNamed(t *testing.T) {
	server := dbtest.NewServer(t)
	b := dbtest.NewBouncer(t, server, 1)
	var err error
	for range 5 {
		d := dbtest.Open(t, b.URL("postgres"))
		if err = d.Serves(ctx); fault.KindOf(err) == fault.Unavailable && fault.As(err).Code == "database_unavailable" {
			break
		}
	}
	f := fault.As(err)
	if f == nil {
		t.Fatal(err)
	}
	if text, lasting := db.Explain(f.Err); !lasting || !strings.Contains(text, "default_query_exec_mode=cache_describe") {
		t.Errorf("%q, lasting %v; because of %v", text, lasting, f.Err)
	}
}
