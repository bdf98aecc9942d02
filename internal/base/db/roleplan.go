package db

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// rolePlanner finds out what is not as it should be.
type rolePlanner struct {
	ctx   context.Context
	tx    pgx.Tx
	roles Roles
	plan  RolePlan
	list  []roleStatement

	user  string // who asks
	super bool
	// member: who asks is a member of the owner; joined: becomes one for a while.
	member, joined bool
	found          map[string]foundRole
	// as is whose rights to look at: the serving role, or public while it is not
	// there.
	as string
}

// foundRole is one that is there already.
type foundRole struct {
	name     string
	login    bool
	mighty   string // attributes that neither role should have
	groups   string // the roles that it is a member of
	property string // what it owns that is not Gatehouse's
}

// planRoles returns the plan, and its statements with their secrets.
func planRoles(ctx context.Context, tx pgx.Tx, r Roles) (RolePlan, []roleStatement, error) {
	p := rolePlanner{ctx: ctx, tx: tx, roles: r}
	p.plan.New, p.plan.Statements, p.plan.Notes = []string{}, []string{}, []string{}
	for _, step := range []func() error{p.judgeNames, p.look, p.judge, p.planLogins, p.planDatabase, p.planSchema, p.planObjects, p.planDefaults, p.note} {
		if err := step(); err != nil {
			return RolePlan{}, nil, err
		}
	}
	for _, s := range p.list {
		p.plan.Statements = append(p.plan.Statements, s.String())
	}
	return p.plan, p.list, nil
}

func (p *rolePlanner) add(text string, identifiers ...identifier) {
	p.append(roleSQL(text, identifiers...))
}

// append adds what takes the owner's rights. Who asks and is no superuser becomes
// a member of the owner before the first of it, for no longer than that.
func (p *rolePlanner) append(list ...roleStatement) {
	if len(list) > 0 && !p.super && !p.member && !p.joined {
		p.joined = true
		p.list = append(p.list, roleSQL(`GRANT %s TO %s`, p.owner(), name(p.user)))
	}
	p.list = append(p.list, list...)
}

func (p *rolePlanner) owner() identifier   { return name(p.roles.Owner) }
func (p *rolePlanner) serving() identifier { return name(p.roles.Serving) }
func (p *rolePlanner) inPlace() identifier { return name(p.plan.Database) }
func (p *rolePlanner) isNew(r string) bool { _, ok := p.found[r]; return !ok }

// look reads who is there.
func (p *rolePlanner) look() error {
	err := p.tx.QueryRow(p.ctx, `SELECT current_user, rolsuper, current_database() FROM pg_roles WHERE rolname = current_user`).
		Scan(&p.user, &p.super, &p.plan.Database)
	if err != nil {
		return err
	}
	rows, err := p.tx.Query(p.ctx, `SELECT r.rolname, r.rolcanlogin,
		concat_ws(', ', CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
			CASE WHEN rolreplication THEN 'REPLICATION' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END),
		COALESCE((SELECT string_agg(g.rolname, ', ' ORDER BY g.rolname) FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid WHERE m.member = r.oid), ''),
		COALESCE((SELECT string_agg(pg_describe_object(s.classid, s.objid, s.objsubid), ', ') FROM pg_shdepend AS s
			WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid AND s.deptype = 'o'
			AND s.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
			AND (s.classid, s.objid) NOT IN (
				SELECT 'pg_database'::regclass::oid, oid FROM pg_database WHERE datname = current_database()
				UNION ALL SELECT 'pg_namespace'::regclass::oid, oid FROM pg_namespace WHERE nspname = 'public'
				UNION ALL SELECT 'pg_class'::regclass::oid, oid FROM pg_class
					WHERE relnamespace = to_regnamespace('public') AND (relname = ANY($2) OR relname = 'schema_version_id_seq')
				UNION ALL SELECT 'pg_proc'::regclass::oid, oid FROM pg_proc WHERE pronamespace = to_regnamespace('public') AND proname = ANY($3))), '')
		FROM pg_roles AS r WHERE r.rolname = ANY($1)`, []string{p.roles.Owner, p.roles.Serving}, grantedTables(), functions)
	if err != nil {
		return err
	}
	p.found = map[string]foundRole{}
	var f foundRole
	_, err = pgx.ForEachRow(rows, []any{&f.name, &f.login, &f.mighty, &f.groups, &f.property}, func() error {
		p.found[f.name] = f
		return nil
	})
	if err != nil {
		return err
	}
	p.as = p.roles.Serving
	if p.isNew(p.roles.Serving) {
		p.as = "public"
	}
	if p.isNew(p.roles.Owner) {
		return nil
	}
	return p.tx.QueryRow(p.ctx, `SELECT pg_has_role($1, 'USAGE')`, p.roles.Owner).Scan(&p.member)
}

// unfit refuses a role.
func unfit(text string, args ...any) error {
	return fault.New(fault.Invalid, "unfit_role", fmt.Sprintf(text, args...))
}

func (p *rolePlanner) judgeNames() error {
	for _, r := range []string{p.roles.Owner, p.roles.Serving} {
		if r == "" || len(r) > 63 || strings.ContainsRune(r, 0) {
			return unfit("A role's name has 1 to 63 bytes.")
		}
		if strings.HasPrefix(r, "pg_") || r == "public" || r == "none" {
			return unfit("The name %s is PostgreSQL's own. Choose another.", r)
		}
	}
	if p.roles.Owner == p.roles.Serving {
		return unfit("Owner and serving role are the same: %s. The one that serves must not own the schema.", p.roles.Owner)
	}
	return nil
}

// judge refuses roles that are somebody else's, or may do more than these should.
// It is not for this command to cut them down: another program may live by it.
func (p *rolePlanner) judge() error {
	if p.roles.Serving == p.user {
		return unfit("%s is the role in the URL, so it can't be the one that serves. %s", p.user, whoMay)
	}
	for _, r := range []string{p.roles.Owner, p.roles.Serving} {
		if f := p.found[r]; f.mighty != "" {
			return unfit("The role %s is there already, and is %s. Choose another name, or take that away from it first.", r, f.mighty)
		}
	}
	s := p.found[p.roles.Serving]
	switch {
	case s.groups != "":
		return unfit("The role %s is a member of %s, and may do what they may. Choose another name, or REVOKE that first.", s.name, s.groups)
	case s.property != "":
		return unfit("The role %s owns %s, which is not Gatehouse's. Choose another name, or give that to another role first.", s.name, s.property)
	}
	return nil
}

// planLogins makes the roles and sets their passwords.
func (p *rolePlanner) planLogins() error {
	for _, r := range []struct{ name, password string }{
		{p.roles.Owner, p.roles.OwnerPassword}, {p.roles.Serving, p.roles.ServingPassword},
	} {
		if p.isNew(r.name) {
			p.plan.New = append(p.plan.New, r.name)
			p.list = append(p.list, roleSQL(`CREATE ROLE %s LOGIN`, name(r.name)))
		} else if !p.found[r.name].login {
			p.list = append(p.list, roleSQL(`ALTER ROLE %s LOGIN`, name(r.name)))
		}
		if r.password == "" {
			continue
		}
		s, err := passwordSQL(r.name, r.password)
		if err != nil {
			return err
		}
		p.list = append(p.list, s)
	}
	return nil
}

// planDatabase lets the two connect, and nobody else by default; neither may make
// schemas or temporary tables in it.
func (p *rolePlanner) planDatabase() error {
	var dba string
	var everybody bool
	var rights, owners []string
	err := p.tx.QueryRow(p.ctx, `SELECT pg_get_userbyid(d.datdba), COALESCE(bool_or(a.grantee = 0), FALSE),
		COALESCE(array_agg(a.privilege_type) FILTER (WHERE pg_get_userbyid(a.grantee) = $1), '{}'),
		COALESCE(array_agg(a.privilege_type) FILTER (WHERE pg_get_userbyid(a.grantee) = $2), '{}')
		FROM pg_database AS d LEFT JOIN LATERAL aclexplode(COALESCE(d.datacl, acldefault('d', d.datdba))) AS a ON TRUE
		WHERE d.datname = current_database() GROUP BY d.datdba`, p.roles.Serving, p.roles.Owner).Scan(&dba, &everybody, &rights, &owners)
	if err != nil {
		return err
	}
	handedOver := dba == p.roles.Serving
	if handedOver {
		p.add(`ALTER DATABASE %s OWNER TO %s`, p.inPlace(), p.owner())
	}
	if everybody {
		p.add(`REVOKE ALL ON DATABASE %s FROM PUBLIC`, p.inPlace())
	}
	if !handedOver && !slices.Contains(owners, "CONNECT") {
		p.add(`GRANT CONNECT ON DATABASE %s TO %s`, p.inPlace(), p.owner())
	}
	if handedOver || !equalRights(rights, []string{"CONNECT"}) {
		p.add(`REVOKE ALL ON DATABASE %s FROM %s`, p.inPlace(), p.serving())
		p.add(`GRANT CONNECT ON DATABASE %s TO %s`, p.inPlace(), p.serving())
	}
	for _, r := range []string{p.roles.Owner, p.roles.Serving} {
		var set bool
		err := p.tx.QueryRow(p.ctx, `SELECT EXISTS (SELECT 1 FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
			JOIN pg_database AS d ON d.oid = s.setdatabase
			WHERE r.rolname = $1 AND d.datname = current_database() AND 'search_path=public' = ANY(s.setconfig))`, r).Scan(&set)
		if err != nil {
			return err
		}
		if !set {
			// A schema named after the role would come first otherwise.
			p.add(`ALTER ROLE %s IN DATABASE %s SET search_path = public`, name(r), p.inPlace())
		}
	}
	return nil
}

// planSchema hands the schema to the owner.
func (p *rolePlanner) planSchema() error {
	var holder string
	var everybody bool
	var rights []string
	err := p.tx.QueryRow(p.ctx, `SELECT pg_get_userbyid(n.nspowner), COALESCE(bool_or(a.grantee = 0 AND a.privilege_type = 'CREATE'), FALSE),
		COALESCE(array_agg(a.privilege_type) FILTER (WHERE pg_get_userbyid(a.grantee) = $1), '{}')
		FROM pg_namespace AS n LEFT JOIN LATERAL aclexplode(COALESCE(n.nspacl, acldefault('n', n.nspowner))) AS a ON TRUE
		WHERE n.nspname = 'public' GROUP BY n.nspowner`, p.roles.Serving).Scan(&holder, &everybody, &rights)
	if err != nil {
		return fmt.Errorf("looking at the schema public: %w", err)
	}
	if holder != p.roles.Owner {
		p.add(`ALTER SCHEMA public OWNER TO %s`, p.owner())
	}
	if everybody {
		p.add(`REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	}
	if holder == p.roles.Serving || !equalRights(rights, []string{"USAGE"}) {
		p.add(`REVOKE ALL ON SCHEMA public FROM %s`, p.serving())
		p.add(`GRANT USAGE ON SCHEMA public TO %s`, p.serving())
	}
	return nil
}

// planObjects hands what an earlier migration made to the owner, and gives the
// serving role its rights on it.
func (p *rolePlanner) planObjects() error {
	rows, err := p.tx.Query(p.ctx, `SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('public') AND relname = ANY($1)
		AND pg_get_userbyid(relowner) <> $2 ORDER BY relname`, grantedTables(), p.roles.Owner)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, t := range tables {
		p.add(`ALTER TABLE %s OWNER TO %s`, public(t), p.owner())
	}
	rows, err = p.tx.Query(p.ctx, `SELECT proname, pg_get_userbyid(proowner) <> $2, has_function_privilege('public', oid, 'EXECUTE')
		FROM pg_proc WHERE pronamespace = to_regnamespace('public') AND proname = ANY($1) ORDER BY proname`, functions, p.roles.Owner)
	if err != nil {
		return err
	}
	var function string
	var foreign, callable bool
	_, err = pgx.ForEachRow(rows, []any{&function, &foreign, &callable}, func() error {
		if foreign {
			p.add(`ALTER FUNCTION %s() OWNER TO %s`, public(function), p.owner())
		}
		if callable {
			p.add(`REVOKE ALL ON FUNCTION %s() FROM PUBLIC`, public(function))
		}
		return nil
	})
	if err != nil {
		return err
	}
	list, err := tableStatements(p.ctx, p.tx, p.roles.Serving, p.as)
	p.append(list...)
	return err
}

// planDefaults is for the tables of later migrations: the serving role reads
// them, and is in the default privileges, where [DB.Migrate] finds it.
func (p *rolePlanner) planDefaults() error {
	var reads, closed bool
	err := p.tx.QueryRow(p.ctx, `SELECT
		EXISTS (SELECT 1 FROM pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a WHERE pg_get_userbyid(d.defaclrole) = $1
			AND d.defaclnamespace = to_regnamespace('public') AND d.defaclobjtype = 'r' AND pg_get_userbyid(a.grantee) = $2 AND a.privilege_type = 'SELECT'),
		EXISTS (SELECT 1 FROM pg_default_acl AS d WHERE pg_get_userbyid(d.defaclrole) = $1 AND d.defaclnamespace = 0 AND d.defaclobjtype = 'f'
			AND NOT EXISTS (SELECT 1 FROM aclexplode(d.defaclacl) AS a WHERE a.grantee = 0))`, p.roles.Owner, p.roles.Serving).Scan(&reads, &closed)
	if err != nil {
		return err
	}
	if !reads {
		p.add(`ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA public GRANT SELECT ON TABLES TO %s`, p.owner(), p.serving())
	}
	if !closed {
		p.add(`ALTER DEFAULT PRIVILEGES FOR ROLE %s REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`, p.owner())
	}
	if p.joined {
		p.list = append(p.list, roleSQL(`REVOKE %s FROM %s`, p.owner(), name(p.user)))
	}
	return nil
}

// note says where else everybody, and so the serving role, may connect.
func (p *rolePlanner) note() error {
	rows, err := p.tx.Query(p.ctx, `SELECT 'connect to the database ' || datname FROM pg_database
		WHERE datallowconn AND datname <> current_database() AND has_database_privilege($1, oid, 'CONNECT')
		UNION ALL SELECT 'use the schema ' || nspname FROM pg_namespace
		WHERE nspname NOT IN ('public', 'pg_catalog', 'information_schema') AND has_schema_privilege($1, oid, 'USAGE') ORDER BY 1`, p.as)
	if err != nil {
		return err
	}
	p.plan.Notes, err = pgx.AppendRows(p.plan.Notes, rows, pgx.RowTo[string])
	return err
}
