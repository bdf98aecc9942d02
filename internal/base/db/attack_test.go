package db_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// attacks are what one who has taken over the server may try as its role. {owner}
// and {serving} are the roles.
var attacks = []string{
	// Rewriting what happened.
	`UPDATE event SET kind = 'logout'`, `DELETE FROM event`, `TRUNCATE event`, `TRUNCATE event_personal, event CASCADE`,
	`UPDATE event_personal SET data = '{}'`, `DELETE FROM event_personal`,
	`INSERT INTO event (id, time, kind, outcome, hash) VALUES ('e', 1, 'x', 'x', '') ON CONFLICT (id) DO UPDATE SET kind = 'x'`,
	`MERGE INTO event AS e USING (SELECT 'e' AS id) AS s ON e.id = s.id WHEN MATCHED THEN DELETE`,
	`SELECT id FROM event FOR UPDATE`, `DO $$ BEGIN LOCK TABLE event IN ACCESS EXCLUSIVE MODE; END $$`,
	`WITH gone AS (DELETE FROM event RETURNING id) SELECT id FROM gone`,
	`INSERT INTO event_erased (event_id, commitment, time) VALUES ('e', 'c', 1)`,
	`INSERT INTO event_erased (event_id, commitment, time, statement) VALUES ('e', 'c', 1, 'e')`,
	`UPDATE event_erasure SET parts = '[]'`, `DELETE FROM event_erasure`, `SELECT event_erase_stated()`,
	// Getting round the triggers.
	`ALTER TABLE event DISABLE TRIGGER ALL`, `ALTER TABLE event DISABLE TRIGGER event_append_only`, `DROP TRIGGER event_append_only ON event`,
	`SET session_replication_role = replica`, `SELECT set_config('session_replication_role', 'replica', false)`,
	`CREATE OR REPLACE FUNCTION event_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
	`ALTER FUNCTION event_append_only() RENAME TO gone`, `DROP FUNCTION event_append_only CASCADE`,
	`CREATE TRIGGER mine AFTER INSERT ON account FOR EACH ROW EXECUTE FUNCTION event_append_only()`,
	`CREATE RULE mine AS ON INSERT TO event DO INSTEAD NOTHING`,
	// Changing the schema.
	`DROP TABLE event`, `DROP TABLE account CASCADE`, `DROP SCHEMA public CASCADE`, `DROP INDEX session_account`, `DROP OWNED BY {owner}`,
	`ALTER TABLE event ADD COLUMN x BIGINT`, `ALTER TABLE account DROP COLUMN hash`, `ALTER TABLE account RENAME TO mine`, `ALTER TABLE event OWNER TO {serving}`,
	`ALTER TABLE session ENABLE ROW LEVEL SECURITY`, `ALTER SCHEMA public RENAME TO gone`, `ALTER SCHEMA public OWNER TO {serving}`,
	`CREATE TABLE x (a BIGINT)`, `CREATE TEMPORARY TABLE x (a BIGINT)`, `CREATE UNLOGGED TABLE x (a BIGINT)`, `CREATE TABLE x AS SELECT * FROM account`,
	`SELECT * INTO x FROM account`,
	`CREATE VIEW x AS SELECT * FROM account`, `CREATE MATERIALIZED VIEW x AS SELECT * FROM account`, `CREATE SEQUENCE x`, `CREATE TYPE x AS (a BIGINT)`,
	`CREATE INDEX ON account (name)`, `CREATE SCHEMA x`, `CREATE FUNCTION x() RETURNS BIGINT LANGUAGE sql AS 'SELECT 1::bigint'`,
	`CREATE FUNCTION pg_catalog.lower(BIGINT) RETURNS BIGINT LANGUAGE sql AS 'SELECT 1::bigint'`,
	`CREATE EXTENSION file_fdw`, `CREATE POLICY mine ON account USING (TRUE)`, `CREATE PUBLICATION mine FOR TABLE account`, `COMMENT ON TABLE event IS 'mine'`,
	`INSERT INTO schema_version (version_id, is_applied) VALUES (9999, TRUE)`, `UPDATE schema_version SET version_id = 0`, `SELECT * FROM schema_lock`,
	// What serving never does.
	`DELETE FROM account`, `DELETE FROM install`, `DELETE FROM job`, `UPDATE ring_wrap SET sealed = ''`,
	`UPDATE setup_link SET expires_at = 9999999999999999`, `TRUNCATE session`,
	// Becoming somebody else.
	`SET ROLE {owner}`, `SET ROLE {admin}`, `SET SESSION AUTHORIZATION {admin}`, `GRANT {owner} TO {serving}`, `ALTER ROLE {serving} SUPERUSER`,
	`ALTER ROLE {serving} CREATEROLE`,
	`ALTER ROLE {owner} PASSWORD 'mine'`, `ALTER ROLE {owner} SET search_path = mine`, `CREATE ROLE mine SUPERUSER`, `CREATE ROLE mine`, `DROP ROLE {owner}`,
	`REASSIGN OWNED BY {owner} TO {serving}`,
	`ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT ALL ON TABLES TO {serving}`,
	// Leaving the database.
	`COPY event TO PROGRAM 'id'`, `COPY account FROM PROGRAM 'id'`, `COPY account TO '/tmp/stolen'`, `COPY account FROM '/etc/passwd'`,
	`COPY (SELECT 1) TO PROGRAM 'id'`,
	`SELECT pg_read_file('/etc/passwd')`, `SELECT pg_read_binary_file('PG_VERSION')`, `SELECT pg_ls_dir('.')`, `SELECT pg_stat_file('PG_VERSION')`,
	`SELECT lo_import('/etc/passwd')`, `SELECT lo_export(1, '/tmp/x')`,
	`SELECT * FROM pg_authid`, `SELECT * FROM pg_shadow`, `SELECT * FROM pg_user_mapping`, `SELECT * FROM pg_hba_file_rules`, `SELECT * FROM pg_statistic`,
	`SELECT pg_reload_conf()`,
	`ALTER SYSTEM SET log_statement = 'all'`, `SET log_statement = 'none'`, `LOAD 'auto_explain'`, `CREATE FOREIGN DATA WRAPPER mine`,
	`CREATE DATABASE mine`, `ALTER DATABASE {database} SET search_path = mine`, `ALTER DATABASE {database} OWNER TO {serving}`,
	`CREATE TABLESPACE mine LOCATION '/tmp'`, `CHECKPOINT`,
	// Other schemas.
	`SELECT * FROM other.secrets`, `INSERT INTO other.secrets VALUES ('x')`, `CREATE TABLE other.x (a BIGINT)`, `SELECT other.tell()`,
}

// DB-2: the role that serves can't drop, alter, rewrite the event log, or get at
// anything beyond its tables.
func TestDB2_WhatTheServingRoleMayNot(t *testing.T) {
	eachServer(t, func(t *testing.T, admin string) {
		r := dbtest.RoleNames()
		if _, err := dbtest.Open(t, admin).MakeRoles(ctx, r); err != nil {
			t.Fatal(err)
		}
		migrated(t, dbtest.As(t, admin, r.Owner, r.OwnerPassword))
		run(t, admin, `CREATE SCHEMA other`, `CREATE TABLE other.secrets (a TEXT)`, `CREATE FUNCTION other.tell() RETURNS BIGINT LANGUAGE sql AS 'SELECT 1::bigint'`)
		serving := dbtest.As(t, admin, r.Serving, r.ServingPassword)
		run(t, serving, `INSERT INTO event (id, time, kind, outcome, hash) VALUES ('e', 1, 'logout', 'success', '')`,
			`INSERT INTO event_personal (event_id, person, salt, data) VALUES ('e', '', '', '{}')`)
		const state = `SELECT e::text || p::text || (SELECT string_agg(tgenabled::text, '') FROM pg_trigger WHERE tgrelid IN ('event'::regclass, 'event_personal'::regclass))
			FROM event AS e JOIN event_personal AS p ON p.event_id = e.id`
		before := column(t, admin, state)
		fill := strings.NewReplacer("{owner}", r.Owner, "{serving}", r.Serving, "{database}", database(t, admin),
			"{admin}", column(t, admin, `SELECT current_user::text`)[0])
		c := connect(t, serving)
		for _, attack := range attacks {
			if _, err := c.Exec(ctx, fill.Replace(attack)); !refused(err) {
				t.Errorf("%s: %v", attack, err)
			}
		}
		// What no event states is erased by nobody (V16.4.2).
		for _, attack := range []string{
			`INSERT INTO event_erasure (statement, parts, time) VALUES ('e', '[["e", "c"]]', 1)`,
			`INSERT INTO event_erasure (statement, parts, time) VALUES ('', '[["e", "c"]]', 1)`,
			`INSERT INTO event_erasure (statement, parts, time) VALUES ('e', 'nonsense', 1)`,
		} {
			if _, err := c.Exec(ctx, attack); err == nil {
				t.Errorf("%s: done", attack)
			}
		}
		// PostgreSQL answers these with a warning: they must have had no effect.
		run(t, serving, `GRANT ALL ON event TO PUBLIC`, `GRANT ALL ON SCHEMA public TO PUBLIC`, `VACUUM FULL event`)
		inPlace(t, admin, dbtest.Open(t, admin), r)
		if after := column(t, admin, state); len(before) != 1 || !slices.Equal(before, after) {
			t.Errorf("the log was %q and is %q", before, after)
		}
	})
}

// Another installation on the same server is closed to the role.
func TestDB2_OtherDatabasesAreClosed(t *testing.T) {
	eachServer(t, func(t *testing.T, admin string) {
		ours, theirs := dbtest.RoleNames(), dbtest.RoleNames()
		if _, err := dbtest.Open(t, admin).MakeRoles(ctx, theirs); err != nil {
			t.Fatal(err)
		}
		run(t, admin, `CREATE ROLE `+ours.Serving+` LOGIN PASSWORD '`+ours.ServingPassword+`'`)
		if c, err := pgx.Connect(ctx, dbtest.As(t, admin, ours.Serving, ours.ServingPassword)); err == nil {
			c.Close(ctx)
			t.Error("a role of another database's was let in")
		} else if !refused(err) {
			t.Error(err)
		}
	})
}
