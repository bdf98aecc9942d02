package admin_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func admin(t *testing.T, dbURL string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), dbURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// DB-2: serving and migrating have different URLs, from the first start on an
// empty database to a schema that is up to date.
func TestDB2_ServingAndMigratingWithDifferentURLs(t *testing.T) {
	i := dbtest.EmptyServing(t)
	f := harness.RefusedStart(t, "DATABASE_URL="+i.Serving)
	if f.Code != "may_not_migrate" || !strings.Contains(f.Message, "MIGRATE_DATABASE_URL") || !strings.Contains(f.Message, "gatehouse migrate") {
		t.Errorf("with the serving role alone: %v", f)
	}
	if f = harness.RefusedStart(t, "DATABASE_URL="+i.Serving, "MIGRATE_DATABASE_URL="+i.Owner, "MIGRATE=off"); f.Code != "schema_behind" ||
		!strings.Contains(f.Message, "gatehouse migrate") {
		t.Errorf("with MIGRATE=off: %v", f)
	}

	h := harness.Open(t, i.Serving, "MIGRATE_DATABASE_URL="+i.Owner)
	h.Register("ada@example.org")
	h.Refresh(h.Login("ada@example.org").Str("refresh_token"))
	if !strings.Contains(h.Logs.String(), "migrated the database") {
		t.Error("the log does not tell of the migration")
	}
	for query, want := range map[string]string{
		`SELECT string_agg(DISTINCT usename, ' ') FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'gatehouse'`:   i.Roles.Serving,
		`SELECT string_agg(DISTINCT tableowner, ' ') FROM pg_tables WHERE schemaname = 'public'`:                                                 i.Roles.Owner,
		`SELECT string_agg(DISTINCT s.ssl::text, '') FROM pg_stat_ssl AS s JOIN pg_stat_activity USING (pid) WHERE datname = current_database()`: "true",
	} {
		var got string
		if err := admin(t, i.Admin).QueryRow(context.Background(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %q, want %q (error %v)", query, got, want, err)
		}
	}
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	// Up to date, the serving role needs no more, whatever MIGRATE says.
	for _, mode := range []string{"MIGRATE=auto", "MIGRATE=off"} {
		h := harness.Open(t, i.Serving, mode)
		h.Login("ada@example.org")
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
	}

	// A missing right is reported before anybody is served, and granted again by the
	// owner, if there is one.
	if _, err := admin(t, i.Admin).Exec(context.Background(), `REVOKE UPDATE ON session FROM `+i.Roles.Serving); err != nil {
		t.Fatal(err)
	}
	if f = harness.RefusedStart(t, "DATABASE_URL="+i.Serving); f.Code != "rights_missing" || !strings.Contains(f.Err.Error(), "UPDATE on session") {
		t.Errorf("without a right: %v", f)
	}
	if f = harness.RefusedStart(t, "DATABASE_URL="+i.Serving, "MIGRATE_DATABASE_URL="+i.Owner, "MIGRATE=off"); f.Code != "rights_missing" {
		t.Errorf("without a right, MIGRATE=off: %v", f)
	}
	h = harness.Open(t, i.Serving, "MIGRATE_DATABASE_URL="+i.Owner)
	h.Refresh(h.Login("ada@example.org").Str("refresh_token"))
}
