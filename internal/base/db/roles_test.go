package db_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// eachServer runs the test with a superuser's URL of a new database without a
// schema, on PostgreSQL 15 and on 18.
func eachServer(t *testing.T, test func(t *testing.T, admin string)) {
	dbtest.AtOnce(t, map[string]func(testing.TB) string{"15": dbtest.EmptyPostgres, "18": dbtest.Empty18}, test)
}

// run runs statements, outside of Gatehouse's own ways.
func run(t *testing.T, dbURL string, statements ...string) {
	t.Helper()
	c := connect(t, dbURL)
	for _, s := range statements {
		if _, err := c.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func connect(t *testing.T, dbURL string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(ctx, dbURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(ctx) })
	return c
}

func column(t *testing.T, dbURL, query string, args ...any) []string {
	t.Helper()
	rows, err := connect(t, dbURL).Query(ctx, query, args...)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func migrated(t *testing.T, dbURL string) {
	t.Helper()
	if _, err := dbtest.Open(t, dbURL).Migrate(ctx); err != nil {
		t.Fatal(err)
	}
}

func database(t *testing.T, dbURL string) string {
	t.Helper()
	return column(t, dbURL, `SELECT current_database()::text`)[0]
}

// asCreator makes a role that owns the database and may make roles, and no
// superuser: the administrator of a database that somebody else runs.
func asCreator(t *testing.T, admin string) string {
	t.Helper()
	r := dbtest.RoleNames()
	creator := r.Owner + "_creator"
	run(t, admin, `CREATE ROLE `+creator+` LOGIN CREATEROLE PASSWORD '`+r.OwnerPassword+`'`, `ALTER DATABASE `+database(t, admin)+` OWNER TO `+creator)
	return dbtest.As(t, admin, creator, r.OwnerPassword)
}

// DB-2: whatever was there, the roles come out the same, and a second time there
// is nothing to do.
func TestDB2_MakingTheRoles(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, admin string, r db.Roles) string{
		"nothing there":   func(_ *testing.T, admin string, _ db.Roles) string { return admin },
		"migrated before": func(t *testing.T, admin string, _ db.Roles) string { migrated(t, admin); return admin },
		"no superuser":    func(t *testing.T, admin string, _ db.Roles) string { return asCreator(t, admin) },
		"no superuser, late": func(t *testing.T, admin string, _ db.Roles) string {
			c := asCreator(t, admin)
			migrated(t, c)
			return c
		},
		"one role did all": func(t *testing.T, admin string, r db.Roles) string {
			run(t, admin, `CREATE ROLE `+r.Serving+` LOGIN PASSWORD '`+r.ServingPassword+`'`, `ALTER DATABASE `+database(t, admin)+` OWNER TO `+r.Serving)
			migrated(t, dbtest.As(t, admin, r.Serving, r.ServingPassword))
			return admin
		},
		"everybody may do everything": func(t *testing.T, admin string, r db.Roles) string {
			migrated(t, admin)
			run(t, admin, `CREATE ROLE `+r.Serving+` NOLOGIN`, `GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC`, `GRANT ALL ON SCHEMA public TO PUBLIC, `+r.Serving,
				`GRANT ALL ON DATABASE `+database(t, admin)+` TO `+r.Serving, `GRANT UPDATE (kind) ON event TO `+r.Serving,
				`GRANT TRUNCATE ON session TO `+r.Serving+` WITH GRANT OPTION`)
			return admin
		},
		"a schema of the role's name": func(t *testing.T, admin string, r db.Roles) string {
			run(t, admin, `CREATE SCHEMA `+r.Serving, `CREATE SCHEMA `+r.Owner)
			return admin
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachServer(t, func(t *testing.T, admin string) {
				r := dbtest.RoleNames()
				d := dbtest.Open(t, prepare(t, admin, r))
				plan, err := d.PlanRoles(ctx, r)
				if err != nil || len(plan.Statements) == 0 {
					t.Fatalf("plan %v, error %v", plan, err)
				}
				// The plan also names the server's other databases, which other tests make.
				if again, err := d.PlanRoles(ctx, r); err != nil || !cmp.Equal(plan.Statements, again.Statements) {
					t.Errorf("planning changed something: %v, then %v (error %v)", plan, again, err)
				}
				done, err := d.MakeRoles(ctx, r)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(plan.Statements, done.Statements); diff != "" {
					t.Errorf("planned and done (-planned +done):\n%s", diff)
				}
				if text := fmt.Sprint(done); strings.Contains(text, r.OwnerPassword) || strings.Contains(text, "SCRAM") {
					t.Errorf("a password is shown: %s", text)
				}
				inPlace(t, admin, d, r)
			})
		})
	}
}

// inPlace checks the roles: rights, passwords, and that nothing is left to do.
func inPlace(t *testing.T, admin string, d *db.DB, r db.Roles) {
	t.Helper()
	without := db.Roles{Owner: r.Owner, Serving: r.Serving}
	for range 2 {
		left, err := d.MakeRoles(ctx, without)
		if err != nil || len(left.Statements) > 0 || len(left.New) > 0 {
			t.Fatalf("left to do: %q, error %v", left.Statements, err)
		}
		migrated(t, dbtest.As(t, admin, r.Owner, r.OwnerPassword))
	}
	serving := dbtest.As(t, admin, r.Serving, r.ServingPassword)
	if err := dbtest.Open(t, serving).Serves(ctx); err != nil {
		t.Errorf("the serving role: %v", err)
	}
	if diff := cmp.Diff(db.GrantedRights(), heldRights(t, admin, r.Serving), cmpopts.EquateEmpty(), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("rights on tables (-wanted +held):\n%s", diff)
	}
	for right, want := range map[string]bool{"CONNECT": true, "CREATE": false, "TEMPORARY": false} {
		if got := column(t, admin, `SELECT has_database_privilege($1, current_database(), $2)::text`, r.Serving, right)[0]; got != fmt.Sprint(want) {
			t.Errorf("%s on the database: %s", right, got)
		}
		if got := column(t, admin, `SELECT has_database_privilege('public', current_database(), $1)::text`, right)[0]; got != "false" {
			t.Errorf("everybody has %s on the database", right)
		}
	}
	if got := column(t, admin, `SELECT nspname::text FROM pg_namespace WHERE has_schema_privilege($1, oid, 'CREATE')`, r.Serving); len(got) > 0 {
		t.Errorf("it may make things in %q", got)
	}
	if got := column(t, admin, `SELECT g.rolname::text FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
		JOIN pg_roles AS r ON r.oid = m.member WHERE g.rolname = $1 AND pg_has_role(r.rolname, g.rolname, 'USAGE') OR r.rolname = $2`, r.Owner,
		r.Serving); len(got) > 0 {
		t.Errorf("memberships are left: %q", got)
	}
	if got := column(t, admin, `SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
		UNION SELECT pg_get_userbyid(proowner)::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'public'`); !slices.Equal(got, []string{r.Owner}) {
		t.Errorf("the schema is owned by %q", got)
	}
}

// heldRights returns what the role may do with each table of the schema, or with
// a column of it.
func heldRights(t *testing.T, admin, role string) map[string][]string {
	t.Helper()
	held := map[string][]string{}
	for _, line := range column(t, admin, `SELECT c.relname || ' ' || COALESCE(string_agg(r.name, ' ') FILTER (WHERE
			CASE WHEN r.name IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') THEN has_any_column_privilege($1, c.oid, r.name) ELSE has_table_privilege($1, c.oid, r.name) END), '')
		FROM pg_class AS c CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS r(name)
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') GROUP BY c.relname`, role) {
		words := strings.Fields(line)
		held[words[0]] = words[1:]
	}
	return held
}

// Every table and function that the migrations make is in the lists, and nothing
// else is.
func TestDB2_EveryTableHasItsGrants(t *testing.T) {
	eachServer(t, func(t *testing.T, admin string) {
		migrated(t, admin)
		var listed []string
		for table := range db.GrantedRights() {
			listed = append(listed, table)
		}
		slices.Sort(listed)
		made := column(t, admin, `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'I', 'S') ORDER BY relname COLLATE "C"`)
		if diff := cmp.Diff(made, listed); diff != "" {
			t.Errorf("tables (-made by the migrations +in grants):\n%s", diff)
		}
		made = column(t, admin, `SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname`)
		if diff := cmp.Diff(made, db.Functions()); diff != "" {
			t.Errorf("functions (-made by the migrations +listed):\n%s", diff)
		}
	})
}

// The guide's table is the list in grants.go.
func TestDB2_TheGuideTellsTheGrants(t *testing.T) {
	guide, err := os.ReadFile("../../../docs/guides/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{"schema_lock": nil} // nothing is granted there
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_`, ]+`) \\| ([A-Z, ]+) \\|$").FindAllStringSubmatch(string(guide), -1) {
		for _, table := range strings.Split(row[1], ", ") {
			documented[strings.Trim(table, "`")] = strings.Split(row[2], ", ")
		}
	}
	if diff := cmp.Diff(db.GrantedRights(), documented); diff != "" {
		t.Errorf("the guide (-granted +documented):\n%s", diff)
	}
}

func TestDB2_UnfitRolesAreRefused(t *testing.T) {
	eachServer(t, func(t *testing.T, admin string) {
		r := dbtest.RoleNames()
		me := column(t, admin, `SELECT current_user::text`)[0]
		mighty, member, owner := r.Serving+"_mighty", r.Serving+"_member", r.Serving+"_holder"
		run(t, admin, `CREATE ROLE `+mighty+` SUPERUSER CREATEDB`, `CREATE ROLE `+member, `GRANT pg_read_all_data TO `+member,
			`CREATE ROLE `+owner, `CREATE SCHEMA other AUTHORIZATION `+owner)
		d := dbtest.Open(t, admin)
		for _, bad := range []struct{ owner, serving, says string }{
			{r.Owner, me, "role in the URL"},
			{me, r.Serving, "SUPERUSER"},
			{r.Owner, mighty, "SUPERUSER, CREATEDB"},
			{mighty, r.Serving, "SUPERUSER, CREATEDB"},
			{r.Owner, member, "member of pg_read_all_data"},
			{r.Owner, owner, "owns schema other"},
			{r.Owner, r.Owner, "the same"},
			{r.Owner, "", "1 to 63 bytes"},
			{strings.Repeat("x", 64), r.Serving, "1 to 63 bytes"},
			{r.Owner, "pg_monitor", "PostgreSQL's own"},
			{r.Owner, "public", "PostgreSQL's own"},
		} {
			_, err := d.MakeRoles(ctx, db.Roles{Owner: bad.owner, Serving: bad.serving})
			if f := fault.As(err); f == nil || f.Code != "unfit_role" || !strings.Contains(f.Message, bad.says) {
				t.Errorf("owner %q, serving %q: %v", bad.owner, bad.serving, err)
			}
		}
		if got := column(t, admin, `SELECT rolname::text FROM pg_roles WHERE rolname IN ($1, $2)`, r.Owner, r.Serving); len(got) > 0 {
			t.Errorf("%q were made all the same", got)
		}

		// A role without the right changes nothing, and gets an error that says so.
		run(t, admin, `CREATE ROLE `+r.Serving+`_nobody LOGIN PASSWORD 'nobody'`)
		_, err := dbtest.Open(t, dbtest.As(t, admin, r.Serving+"_nobody", "nobody")).MakeRoles(ctx, r)
		if f := fault.As(err); f == nil || f.Code != "roles_refused" {
			t.Errorf("as a role without rights: %v", err)
		}
	})
	if _, err := dbtest.Open(t, dbtest.EmptySQLite(t)).PlanRoles(ctx, db.Roles{Owner: "a", Serving: "b"}); fault.As(err) == nil ||
		fault.As(err).Code != "no_roles" {
		t.Errorf("on SQLite: %v", err)
	}
}

// Names are quoted, wherever they stand.
func TestDB2_NamesOfRolesAreQuoted(t *testing.T) {
	eachServer(t, func(t *testing.T, admin string) {
		r := dbtest.RoleNames()
		r.Owner += `"; DROP SCHEMA public; --`
		r.Serving += ` O'Hara %s"`
		d := dbtest.Open(t, admin)
		if _, err := d.MakeRoles(ctx, r); err != nil {
			t.Fatal(err)
		}
		inPlace(t, admin, d, r)
	})
}

// What a later migration makes can be read by the serving role; whatever else it
// needs, the migration gives it, and takes what it should not have.
func TestDB2_RightsAfterAMigration(t *testing.T) {
	i := dbtest.Serving(t)
	run(t, i.Owner, `CREATE TABLE later (a BIGINT)`, `CREATE FUNCTION later() RETURNS BIGINT LANGUAGE sql AS 'SELECT 1::bigint'`)
	run(t, i.Serving, `SELECT a FROM later`)
	serving := connect(t, i.Serving)
	for _, s := range []string{`INSERT INTO later VALUES (1)`, `SELECT later()`} {
		if _, err := serving.Exec(ctx, s); !refused(err) {
			t.Errorf("%s: %v", s, err)
		}
	}
	run(t, i.Owner, `DROP TABLE later`, `REVOKE UPDATE, DELETE ON session FROM `+i.Roles.Serving, `GRANT DELETE ON event TO `+i.Roles.Serving)
	d := dbtest.Open(t, i.Serving)
	err := d.Serves(ctx)
	f := fault.As(err)
	if f == nil || f.Code != "rights_missing" || !strings.Contains(f.Message, "gatehouse migrate") ||
		!strings.Contains(f.Err.Error(), "UPDATE on session, DELETE on session") {
		t.Fatalf("without rights: %v", err)
	}
	if _, err := d.Migrate(ctx); err != nil || d.Serves(ctx) == nil {
		t.Errorf("the serving role gave itself rights: %v", err)
	}
	migrated(t, i.Owner)
	if err := d.Serves(ctx); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(db.GrantedRights(), heldRights(t, i.Admin, i.Roles.Serving), cmpopts.EquateEmpty(), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("rights on tables (-wanted +held):\n%s", diff)
	}
	run(t, i.Admin, `REVOKE ALL ON schema_version FROM `+i.Roles.Serving)
	if err := d.Serves(ctx); fault.As(err) == nil || fault.As(err).Code != "rights_missing" {
		t.Errorf("without the version: %v", err)
	}
}

func TestDB2_TheServingRoleMayNotMigrate(t *testing.T) {
	i := dbtest.EmptyServing(t)
	d := dbtest.Open(t, i.Serving)
	if f := fault.As(d.Serves(ctx)); f == nil || f.Code != "schema_behind" {
		t.Errorf("an empty schema: %v", f)
	}
	began := time.Now()
	_, err := d.Migrate(ctx)
	f := fault.As(err)
	if f == nil || f.Code != "may_not_migrate" || !strings.Contains(f.Message, "MIGRATE_DATABASE_URL") || !strings.Contains(f.Message, i.Roles.Serving) {
		t.Errorf("migrating: %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	if got := column(t, i.Admin, `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace`); len(got) > 0 {
		t.Errorf("it made %q", got)
	}
}

// refused reports whether PostgreSQL refused for want of a right.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501"
}
