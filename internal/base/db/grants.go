package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// grant is what the role that serves may do with a table on PostgreSQL.
type grant struct {
	table  string
	rights []string
}

// grants has every table of the schema, with just the rights that the code
// needs (DB-2): a test holds it against the migrations, and against every
// statement in the source. A table that is not here yet can be read by the
// serving role and no more, by the owner's default privileges.
var grants = []grant{
	{"account", []string{"SELECT", "INSERT", "UPDATE"}},
	{"account_word", []string{"SELECT", "INSERT", "DELETE"}},
	{"acme_secret", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"acme_try", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"alert", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"alert_canary", []string{"SELECT", "INSERT", "DELETE"}},
	{"alert_delivery", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"alert_mail", []string{"SELECT", "INSERT", "UPDATE"}},
	{"alert_silence", []string{"SELECT", "INSERT", "UPDATE"}},
	{"alert_state", []string{"SELECT", "INSERT", "UPDATE"}},
	{"backup_run", []string{"SELECT", "INSERT", "DELETE"}},
	{"block", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"challenge_spent", []string{"SELECT", "INSERT", "DELETE"}},
	{"client", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"client_assertion", []string{"SELECT", "INSERT", "DELETE"}},
	{"client_consent", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"client_grant", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"code_try", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"consent", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"device_request", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"doctor_check", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"document", []string{"SELECT", "INSERT"}},
	{"erasure", []string{"SELECT"}},
	{"erasure_step", []string{"INSERT"}},
	{"event", []string{"SELECT", "INSERT"}},
	{"event_anchor", []string{"SELECT", "INSERT", "DELETE"}},
	{"event_checkpoint", []string{"SELECT", "INSERT", "DELETE"}},
	{"event_erased", []string{"SELECT"}},
	{"event_erasure", []string{"SELECT", "INSERT"}},
	{"event_figure", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"event_forward", []string{"SELECT", "INSERT", "UPDATE"}},
	{"event_head", []string{"SELECT", "UPDATE"}},
	{"event_leaf", []string{"SELECT", "INSERT"}},
	{"event_node", []string{"SELECT", "INSERT", "DELETE"}},
	{"event_origin", []string{"SELECT", "INSERT"}},
	{"event_personal", []string{"SELECT", "INSERT"}},
	{"event_retired", []string{"SELECT", "INSERT"}},
	{"factor_reset", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"former_password", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"guess", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"hold", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"identity", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"import_run", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"inactive_notice", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"inactive_run", []string{"SELECT", "INSERT", "UPDATE"}},
	{"incident", []string{"SELECT", "INSERT", "UPDATE"}},
	{"incident_action", []string{"SELECT", "INSERT", "UPDATE"}},
	{"incident_entry", []string{"SELECT", "INSERT", "UPDATE"}},
	{"incident_person", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"incident_step", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"install", []string{"SELECT", "INSERT", "UPDATE"}},
	{"job", []string{"SELECT", "INSERT", "UPDATE"}},
	{"known_device", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"ledger_reach", []string{"SELECT", "INSERT", "UPDATE"}},
	{"logout_notice", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"mail_hold", []string{"SELECT", "INSERT", "DELETE"}},
	{"mail_share", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"outbox", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"passkey", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"pending", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"pushed_request", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"recovery_code", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"replica", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"retention", []string{"SELECT", "INSERT", "UPDATE"}},
	{"revocation", []string{"SELECT", "INSERT", "DELETE"}},
	{"resource", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"ring_key", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"ring_wrap", []string{"SELECT", "INSERT", "DELETE"}},
	{"schema_lock", nil}, // who migrates holds it
	{versionTable, []string{"SELECT"}},
	{"session", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"session_client", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"setup_link", []string{"SELECT", "INSERT", "DELETE"}},
	{"ticket", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"totp", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"totp_offer", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"unlock_link", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
}

// functions are the schema's: triggers', which nobody calls.
var functions = []string{"erasure_move", "event_append_only", "event_erase", "event_erase_stated", "event_retire"}

func grantedTables() []string {
	names := make([]string, 0, len(grants))
	for _, g := range grants {
		names = append(names, g.table)
	}
	return names
}

// Serves reports whether this database can be served from: its schema is the one
// that this binary knows, the role has the rights it needs, PostgreSQL keeps
// what is written as it is, and the installation is not moved away. If not, the fault is
// schema_behind, schema_newer, rights_missing, wrong_encoding, database_standby,
// database_read_only, fenced or moved, and says what to do.
func (d *DB) Serves(ctx context.Context) error {
	if p, ok := d.engine.(*postgres); ok {
		if err := p.inspect(ctx); err != nil {
			return classify(err)
		}
		if err := p.restoring(ctx); err != nil {
			return classify(err)
		}
	}
	s, err := d.Schema(ctx)
	if err != nil {
		return rightsMissing(err)
	}
	if err := s.Require(); err != nil {
		return err
	}
	if p, ok := d.engine.(*postgres); ok {
		if err := p.requireRights(ctx); err != nil {
			return classify(err)
		}
	}
	return d.movedAway(ctx)
}

func (p *postgres) requireRights(ctx context.Context) error {
	var tables, rights []string
	for _, g := range grants {
		for _, r := range g.rights {
			tables, rights = append(tables, g.table), append(rights, r)
		}
	}
	rows, err := p.pool.Query(ctx, `SELECT r.name || ' on ' || t.name
		FROM unnest($1::text[]) WITH ORDINALITY AS t(name, i) JOIN unnest($2::text[]) WITH ORDINALITY AS r(name, i) USING (i)
		WHERE NOT has_table_privilege(to_regclass(t.name), r.name) ORDER BY i`, tables, rights)
	if err != nil {
		return err
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(missing) == 0 {
		return err
	}
	return rightsMissing(fmt.Errorf("%w: %s", errRefused, strings.Join(missing, ", ")))
}

// errRefused is a right that was looked for and not found.
var errRefused = errors.New("the role may not")

// isRefused reports whether a right was missing: 42501 insufficient_privilege.
func isRefused(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, errRefused) || errors.As(err, &pg) && pg.Code == "42501" && fault.As(err) == nil
}

// rightsMissing turns the server's refusal of a statement into a fault that says
// what to do. All other errors go through as they are.
func rightsMissing(err error) error {
	if !isRefused(err) {
		return err
	}
	return fault.New(fault.Denied, "rights_missing",
		"The role in DATABASE_URL lacks rights that serving needs. Run: gatehouse migrate, with the owner's URL in MIGRATE_DATABASE_URL; or gatehouse "+
			"migrate --roles, with an administrator's.").Because(err)
}

// mayNotMigrate refuses a role that may not change the schema, in time: half of
// what the library would try might work.
func (p *postgres) mayNotMigrate(ctx context.Context, s Schema) error {
	var role string
	var may bool
	err := p.pool.QueryRow(ctx, `SELECT current_user, COALESCE(has_schema_privilege(current_schema(), 'CREATE'), FALSE)
		AND NOT EXISTS (SELECT 1 FROM pg_class WHERE oid = to_regclass('schema_version') AND NOT pg_has_role(relowner, 'USAGE'))`).Scan(&role, &may)
	if err != nil || may {
		return err
	}
	return fault.New(fault.Denied, "may_not_migrate", fmt.Sprintf(
		"The database's schema is at version %d and this gatehouse needs %d, and the role %s may not change it. Put the URL of the role that owns the "+
			"schema into MIGRATE_DATABASE_URL, for serve or for: gatehouse migrate",
		s.Current, s.Target, role))
}

// grantServing gives the roles that serve what they need of the tables, and
// nothing else. Who they are is in the default privileges of the role that
// migrates: [DB.MakeRoles] put them there, and without it there are none.
func (p *postgres) grantServing(ctx context.Context) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT DISTINCT r.rolname FROM pg_default_acl AS d
			CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
			WHERE d.defaclrole = to_regrole(quote_ident(current_user)) AND d.defaclobjtype = 'r' AND d.defaclnamespace = to_regnamespace('public')
			AND r.rolname <> current_user ORDER BY 1`)
		if err != nil {
			return err
		}
		roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, role := range roles {
			if err := takeTurns(ctx, tx); err != nil {
				return err
			}
			statements, err := tableStatements(ctx, tx, role, role)
			if err != nil {
				return err
			}
			if err := runRoles(ctx, tx, statements); err != nil {
				return err
			}
		}
		return nil
	})
}

// rightsOf returns the rights on each table that the role has by any way: its
// own, everybody's, or on a column. The role may be public.
func rightsOf(ctx context.Context, tx pgx.Tx, role string) (map[string][]string, error) {
	rows, err := tx.Query(ctx, `SELECT t.name, COALESCE(array_agg(x.held) FILTER (WHERE x.held IS NOT NULL), '{}')
		FROM unnest($1::text[]) AS t(name) JOIN pg_class AS c ON c.oid = to_regclass('public.' || t.name)
		CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES', 'DELETE', 'TRUNCATE', 'TRIGGER']
			|| CASE WHEN current_setting('server_version_num')::int >= 170000 THEN ARRAY['MAINTAIN'] ELSE ARRAY[]::text[] END) AS r(name)
		CROSS JOIN LATERAL (SELECT CASE WHEN has_table_privilege($2, c.oid, r.name) THEN r.name
			WHEN r.name IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') THEN
				CASE WHEN has_any_column_privilege($2, c.oid, r.name) THEN r.name || ' on a column' END END) AS x(held)
		GROUP BY t.name`, grantedTables(), role)
	if err != nil {
		return nil, err
	}
	has := map[string][]string{}
	var table string
	var rights []string
	_, err = pgx.ForEachRow(rows, []any{&table, &rights}, func() error {
		has[table] = slices.Clone(rights)
		return nil
	})
	return has, err
}

// tableStatements returns what brings the role's rights on the tables that exist
// to what grants lists. It has the rights of as now.
func tableStatements(ctx context.Context, tx pgx.Tx, role, as string) ([]roleStatement, error) {
	has, err := rightsOf(ctx, tx, as)
	if err != nil {
		return nil, err
	}
	everybody, err := rightsOf(ctx, tx, "public")
	if err != nil {
		return nil, err
	}
	var list []roleStatement
	for _, g := range grants {
		rights, exists := has[g.table]
		if !exists || equalRights(rights, g.rights) && len(everybody[g.table]) == 0 {
			continue
		}
		list = append(list, roleSQL(`REVOKE ALL ON TABLE %s FROM PUBLIC, %s`, public(g.table), name(role)))
		if len(g.rights) > 0 {
			list = append(list, roleSQL(`GRANT `+strings.Join(g.rights, ", ")+` ON TABLE %s TO %s`, public(g.table), name(role)))
		}
	}
	return list, nil
}

func equalRights(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
