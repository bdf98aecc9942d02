package db

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Hazard is a property of a PostgreSQL database with which Gatehouse works, and
// breaks a promise.
type Hazard struct {
	// Code is durability, superuser or owner.
	Code string
	// Text says what is wrong and how to mend it.
	Text string
	// Unsafe is set for what production must not start with.
	Unsafe bool
}

// postgresTraits are the properties of a database and of the role in its URL that
// are taken on trust elsewhere.
type postgresTraits struct {
	database, role, encoding, synchronous, fsync string
	standby, readOnly, superuser, owner          bool
}

func (p *postgres) traits(ctx context.Context) (t postgresTraits, err error) {
	err = p.pool.QueryRow(ctx, `SELECT current_database(), current_user, current_setting('server_encoding'), current_setting('synchronous_commit'),
		current_setting('fsync'), pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
		COALESCE((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), FALSE),
		EXISTS (SELECT 1 FROM pg_class WHERE oid = to_regclass('account') AND pg_has_role(relowner, 'USAGE'))`).
		Scan(&t.database, &t.role, &t.encoding, &t.synchronous, &t.fsync, &t.standby, &t.readOnly, &t.superuser, &t.owner)
	return t, err
}

// inspect refuses a database that can't hold what Gatehouse puts there: one whose
// encoding is not UTF-8, and one that takes no writes.
func (p *postgres) inspect(ctx context.Context) error {
	t, err := p.traits(ctx)
	if err != nil {
		return err
	}
	switch {
	case t.encoding != "UTF8":
		return fault.New(fault.Invalid, "wrong_encoding", fmt.Sprintf(
			"The database %s has the encoding %s, in which names and addresses would be stored as something else. It was not changed. "+
				"Make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL.", t.database, t.encoding))
	case t.standby:
		return fault.New(fault.Unavailable, "database_standby", fmt.Sprintf(
			"The PostgreSQL server of the database %s is a standby, which takes no writes. "+
				"Name the primary in DATABASE_URL; or all servers, with target_session_attrs=read-write.", t.database))
	case t.readOnly:
		return fault.New(fault.Invalid, "database_read_only", fmt.Sprintf(
			"The database %[1]s is read-only for the role %[2]s: default_transaction_read_only is on. "+
				"Take that back where it was set: ALTER DATABASE %[1]s, ALTER ROLE %[2]s, or the server's configuration.", t.database, t.role))
	}
	return nil
}

// refuseAnothers refuses to make a schema among another application's tables, as
// inspectOwner does for SQLite. Tables of extensions are nobody's. Migrations are
// transactions: either there is all of the first, or nothing.
func (p *postgres) refuseAnothers(ctx context.Context) error {
	var (
		database, schema string
		others           int64
		installed        bool
	)
	err := p.pool.QueryRow(ctx, `SELECT current_database(), COALESCE(current_schema(), ''),
		COUNT(*) FILTER (WHERE relname NOT IN ('schema_version', 'schema_lock', 'restoring')),
		COUNT(*) FILTER (WHERE relname IN ('schema_version', 'install')) = 2
		FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'p', 'f')
		AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = to_regclass('pg_class') AND objid = pg_class.oid AND deptype = 'e')`).
		Scan(&database, &schema, &others, &installed)
	if err != nil || others == 0 || installed {
		return err
	}
	return fault.New(fault.Invalid, "another_database", fmt.Sprintf(
		"The schema %s of the database %s holds the tables of another application. It was not changed. "+
			"Make a database for Gatehouse alone (CREATE DATABASE gatehouse ENCODING 'UTF8' TEMPLATE template0), and name that in DATABASE_URL.", schema, database))
}

// inspectFor inspects the database before a migration from the schema.
func (p *postgres) inspectFor(ctx context.Context, s Schema) error {
	err := p.inspect(ctx)
	if err == nil && s.Current == 0 {
		err = p.refuseAnothers(ctx)
	}
	return err
}

// Hazards returns what is to be mended of the database and of the role that
// serves; none for SQLite, whose writer sees to its own durability.
func (d *DB) Hazards(ctx context.Context) ([]Hazard, error) {
	p, ok := d.engine.(*postgres)
	if !ok {
		return nil, nil
	}
	t, err := p.traits(ctx)
	if err != nil {
		return nil, classify(err)
	}
	return t.hazards(), nil
}

func (t postgresTraits) hazards() []Hazard {
	var list []Hazard
	if t.synchronous == "off" || t.synchronous == "local" || t.fsync == "off" {
		name, value := "synchronous_commit", t.synchronous
		if t.fsync == "off" {
			name, value = "fsync", t.fsync
		}
		list = append(list, Hazard{"durability", fmt.Sprintf(
			"With %s=%s PostgreSQL says that a change is safe before it is: "+
				"a crash, or a failover, loses accounts, revocations and refresh tokens that were acknowledged. "+
				"Set %[1]s to on: in the server's configuration, by ALTER DATABASE or by ALTER ROLE, "+
				"wherever SELECT source FROM pg_settings WHERE name = '%[1]s' says that it comes from.", name, value), true})
	}
	switch {
	case t.superuser:
		list = append(list, Hazard{"superuser", fmt.Sprintf(
			"The role %s in DATABASE_URL is a superuser: anyone who gets hold of a connection owns the whole server, including its files. "+
				"Make the two roles that Gatehouse needs: gatehouse migrate --roles --yes, and put the serving one into DATABASE_URL.", t.role), true})
	case t.owner:
		list = append(list, Hazard{"owner", fmt.Sprintf(
			"The role %s in DATABASE_URL owns the tables, so it could change or drop the event log. "+
				"Make a role that only serves: gatehouse migrate --roles", t.role), false})
	}
	return list
}
