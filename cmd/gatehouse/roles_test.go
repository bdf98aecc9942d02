package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// command runs gatehouse in this process, with an empty .env.
func command(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	t.Chdir(t.TempDir())
	var o, e strings.Builder
	code = run(args, os.Stdin, &o, &e)
	return code, o.String(), e.String()
}

func keep(t *testing.T, password string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// DB-2: from an empty database to a serving role, by the command line alone, with
// the names that are the defaults.
func TestDB2_MigrateRoles(t *testing.T) {
	t.Cleanup(func() { dbtest.Superuser18(t, `DROP ROLE IF EXISTS gatehouse, gatehouse_owner`) }) // once the database is gone
	admin := dbtest.Empty18(t)
	t.Setenv("DATABASE_URL", admin)
	const plan = `CREATE ROLE "gatehouse_owner" LOGIN`
	code, out, errs := command(t, "migrate", "--roles")
	if code != terminal.ExitDone || !strings.Contains(out, "This would change") || !strings.Contains(out, plan) || !strings.Contains(out, "Add --yes") {
		t.Fatalf("the plan: exit %d\n%s%s", code, out, errs)
	}
	// Not the same to the letter: it also names the server's other databases, which
	// other tests make.
	if code, again, errs := command(t, "migrate", "--roles"); code != terminal.ExitDone || !strings.Contains(again, plan) {
		t.Fatalf("the plan was carried out: exit %d\n%s%s", code, again, errs)
	}
	code, out, errs = command(t, "migrate", "--roles", "--yes")
	if code != terminal.ExitDone || !strings.Contains(out, "Changed in") || !strings.Contains(out, "connect to the database postgres") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	password := func(role string) string {
		found := regexp.MustCompile(`(?m)^ +` + role + ` +([A-Za-z0-9_-]{32})$`).FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("no password of %s:\n%s", role, out)
		}
		return found[1]
	}
	owner := dbtest.As(t, admin, "gatehouse_owner", password("gatehouse_owner"))
	serving := dbtest.As(t, admin, "gatehouse", password("gatehouse"))

	t.Setenv("DATABASE_URL", serving)
	code, out, errs = command(t, "migrate")
	if code != terminal.ExitFailed || !strings.Contains(errs, "the role gatehouse may not change it") || !strings.Contains(errs, "MIGRATE_DATABASE_URL") {
		t.Errorf("migrating as the serving role: exit %d\n%s%s", code, out, errs)
	}
	t.Setenv("MIGRATE_DATABASE_URL", owner)
	if code, out, errs := command(t, "migrate"); code != terminal.ExitDone || !strings.Contains(out, "applied ") {
		t.Errorf("migrating as the owner: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := command(t, "user", "create", "ada@example.org", "--password-file", keep(t, "correct horse battery staple")); code != terminal.ExitDone {
		t.Errorf("as the serving role: exit %d\n%s%s", code, out, errs)
	}

	// Again, by the administrator: nothing to do, and no password changes.
	t.Setenv("MIGRATE_DATABASE_URL", admin)
	code, out, errs = command(t, "migrate", "--roles", "--yes")
	if code != terminal.ExitDone || !strings.Contains(out, "already as they should be") || strings.Contains(out, "passwords") {
		t.Errorf("again: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := command(t, "user", "list"); code != terminal.ExitDone || !strings.Contains(out, "ada@example.org") {
		t.Errorf("afterwards: exit %d\n%s%s", code, out, errs)
	}
	// A password from a file; it is never shown.
	const fresh = "h8Kz3pWq9TnXv2Ld"
	code, out, errs = command(t, "migrate", "--roles", "--yes", "--json", "--serving-password-file", keep(t, fresh+"\n"))
	var answer rolesJSON
	if err := json.Unmarshal([]byte(out), &answer); code != terminal.ExitDone || err != nil {
		t.Fatalf("a new password: exit %d, %v\n%s%s", code, err, out, errs)
	}
	if !answer.Done || len(answer.Statements) != 1 || len(answer.Passwords) != 0 || strings.Contains(out+errs, fresh) {
		t.Errorf("a new password: exit %d\n%s%s", code, out, errs)
	}
	if code, _, errs := command(t, "user", "list"); code != terminal.ExitConfig {
		t.Errorf("the old password still works: exit %d\n%s", code, errs)
	}
	t.Setenv("DATABASE_URL", dbtest.As(t, admin, "gatehouse", fresh))
	if code, _, errs := command(t, "user", "list"); code != terminal.ExitDone {
		t.Errorf("the new password: exit %d\n%s", code, errs)
	}
}

func TestDB2_MigrateRolesRefuses(t *testing.T) {
	admin := dbtest.EmptyPostgres(t)
	for name, tt := range map[string]struct {
		url  string
		args []string
		code int
		says string
	}{
		"SQLite":                {dbtest.EmptySQLite(t), []string{"--roles"}, terminal.ExitFailed, "SQLite has no roles"},
		"status as well":        {admin, []string{"--roles", "--status"}, terminal.ExitUsage, "two different things"},
		"--yes alone":           {admin, []string{"--yes"}, terminal.ExitUsage, "belong to --roles"},
		"its own role":          {admin, []string{"--roles", "--yes"}, terminal.ExitFailed, "gatehouse is the role in the URL"},
		"no such file":          {admin, []string{"--roles", "--owner-password-file", "nowhere"}, terminal.ExitFailed, "--owner-password-file"},
		"DB-3 a short password": {admin, []string{"--roles", "--serving-password-file", keep(t, "short")}, terminal.ExitUsage, "shorter than 12"},
		"DB-3 a weak password":  {admin, []string{"--roles", "--serving-password-file", keep(t, "Passw0rd12345")}, terminal.ExitUsage, "easy to guess"},
		"DB-3 its own name":     {admin, []string{"--roles", "--owner-password-file", keep(t, "gatehouse_owner")}, terminal.ExitUsage, "name of the user"},
		"an umlaut":             {admin, []string{"--roles", "--serving-password-file", keep(t, "h8Kz3pWq9TnXv2Lü")}, terminal.ExitUsage, "ASCII"},
		"a password as a flag":  {admin, []string{"--roles", "--serving-password", "h8Kz3pWq9TnXv2Ld"}, terminal.ExitUsage, "unknown flag"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DATABASE_URL", tt.url)
			code, out, errs := command(t, append([]string{"migrate"}, tt.args...)...)
			if code != tt.code || !strings.Contains(strings.Join(strings.Fields(errs), " "), tt.says) {
				t.Errorf("exit %d, want %d and %q\n%s%s", code, tt.code, tt.says, out, errs)
			}
		})
	}
}
