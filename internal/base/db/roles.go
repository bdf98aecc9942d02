package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Roles are the two roles of an installation on PostgreSQL (DB-2).
type Roles struct {
	// Owner owns the schema and migrates it. Serving serves, with just the rights
	// that the code needs.
	Owner, Serving string
	// Their passwords. An empty one leaves that of a role that exists as it is,
	// and makes a new role one that can't sign in with a password.
	OwnerPassword, ServingPassword string
}

// RolePlan is what it takes to have the roles.
type RolePlan struct {
	Database string `json:"database"`
	// New are the roles that are not there yet.
	New []string `json:"new_roles"`
	// Statements are what is run, in this order, without passwords.
	Statements []string `json:"statements"`
	// Notes list what else the serving role may do, which is not Gatehouse's to
	// take away.
	Notes []string `json:"notes"`
}

// roleStatement is a statement about roles. Its secret, a literal, ends it.
type roleStatement struct{ text, secret string }

// identifier is a name, quoted wherever it is put into a statement.
type identifier pgx.Identifier

func name(of string) identifier { return identifier{of} }

// public is a name in the schema, which is PostgreSQL's own default.
func public(of string) identifier { return identifier{"public", of} }

// roleSQL makes a statement that names roles, tables or a database. Identifiers
// can't be parameters, so this is the one place where SQL is put together: of
// constant text and of identifiers, which it quotes.
func roleSQL(text string, identifiers ...identifier) roleStatement {
	quoted := make([]any, 0, len(identifiers))
	for _, i := range identifiers {
		quoted = append(quoted, pgx.Identifier(i).Sanitize())
	}
	return roleStatement{text: fmt.Sprintf(text, quoted...)}
}

// passwordSQL sets a password by its verifier, whose letters need no quoting.
func passwordSQL(role, password string) (roleStatement, error) {
	verifier, err := scramVerifier(password, secret.Random{}.Bytes(scramSalt))
	s := roleSQL(`ALTER ROLE %s PASSWORD`, name(role))
	s.secret = verifier
	return s, err
}

// String is the statement as it may be shown.
func (s roleStatement) String() string {
	if s.secret != "" {
		return s.text + " '…'"
	}
	return s.text
}

// runRoles runs statements about roles, unprepared, so that none stays with the
// connection.
func runRoles(ctx context.Context, tx pgx.Tx, list []roleStatement) error {
	for _, s := range list {
		text := s.text
		if s.secret != "" {
			text += " '" + s.secret + "'"
		}
		if _, err := tx.Exec(ctx, text, pgx.QueryExecModeExec); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
	}
	return nil
}

// takeTurns makes those who change rights in this database wait for one another,
// to the end of the transaction: PostgreSQL fails one of two who change the same.
func takeTurns(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(7089621410)`)
	return err
}

// PlanRoles returns what MakeRoles would do, and changes nothing.
func (d *DB) PlanRoles(ctx context.Context, r Roles) (RolePlan, error) {
	var plan RolePlan
	err := d.roles(ctx, func(tx pgx.Tx) (err error) {
		plan, _, err = planRoles(ctx, tx, r)
		return err
	})
	return plan, err
}

// MakeRoles makes the two roles, hands the schema to the owner, and gives the
// one that serves just its rights, in one transaction. What is as it should be is
// left alone. The database must have been opened as an administrator: a
// superuser, or a role that owns the database and may make roles.
func (d *DB) MakeRoles(ctx context.Context, r Roles) (RolePlan, error) {
	var plan RolePlan
	err := d.roles(ctx, func(tx pgx.Tx) error {
		p, list, err := planRoles(ctx, tx, r)
		if err != nil {
			return err
		}
		plan = p
		if err := runRoles(ctx, tx, list); err != nil {
			return err
		}
		// PostgreSQL only warns of some rights that it did not give or take.
		_, left, err := planRoles(ctx, tx, Roles{Owner: r.Owner, Serving: r.Serving})
		if err == nil && len(left) > 0 {
			err = fault.New(fault.Denied, "roles_refused", fmt.Sprintf("The database refused this: %v. Nothing was changed. %s", left[0], whoMay))
		}
		return err
	})
	return plan, err
}

const whoMay = "Use the URL of a superuser, or of a role that owns the database and may make roles."

func (d *DB) roles(ctx context.Context, do func(pgx.Tx) error) error {
	p, ok := d.engine.(*postgres)
	if !ok {
		return fault.New(fault.Invalid, "no_roles", "SQLite has no roles: access to its file is access to everything. For PostgreSQL, put an administrator's "+
			"URL into MIGRATE_DATABASE_URL.")
	}
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if err := takeTurns(ctx, tx); err != nil {
			return err
		}
		return do(tx)
	})
	if isRefused(err) {
		return fault.New(fault.Denied, "roles_refused", "The role in the URL may not do this. Nothing was changed. "+whoMay).Because(err)
	}
	return classify(err)
}
