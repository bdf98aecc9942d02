package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// rolesFlags are those of gatehouse migrate --roles.
type rolesFlags struct {
	OwnerRole           string `placeholder:"NAME" default:"gatehouse_owner" help:"With --roles: the role that owns the schema (${default})."`
	ServingRole         string `placeholder:"NAME" default:"gatehouse" help:"With --roles: the role that serves (${default})."`
	OwnerPasswordFile   string `placeholder:"PATH" help:"With --roles: the owner's password is in this file. Without it a new role's is made and printed once, and that of one which is there stays."`
	ServingPasswordFile string `placeholder:"PATH" help:"With --roles: the same for the role that serves."`
	Yes                 bool   `help:"With --roles: do it. Without this it only says what it would do."`
}

// madePassword is the size of a password that is made, in random bytes.
const madePassword = 24

// rolesJSON is what came of it, for programs.
type rolesJSON struct {
	db.RolePlan
	Done bool `json:"done"`
	// Passwords are those that were made, by role.
	Passwords map[string]string `json:"passwords,omitempty"`
}

// makeRoles makes the roles, or says what it would do.
func (f rolesFlags) makeRoles(ctx context.Context, t *terminal, c *config.Config, log *slog.Logger, asJSON bool) error {
	roles := db.Roles{Owner: f.OwnerRole, Serving: f.ServingRole}
	var err error
	if roles.OwnerPassword, err = rolePassword(f.OwnerPasswordFile, "--owner-password-file", f.OwnerRole); err != nil {
		return err
	}
	if roles.ServingPassword, err = rolePassword(f.ServingPasswordFile, "--serving-password-file", f.ServingRole); err != nil {
		return err
	}
	d, err := app.OpenMigrating(ctx, c, log)
	if err != nil {
		return err
	}
	out := rolesJSON{Done: f.Yes}
	out.RolePlan, err = d.PlanRoles(ctx, roles)
	if err == nil && f.Yes {
		out.Passwords = missingPasswords(&roles, out.New)
		out.RolePlan, err = d.MakeRoles(ctx, roles)
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	if asJSON {
		return t.json(out)
	}
	return f.print(t, out)
}

// missingPasswords makes a password for each new role that was given none.
func missingPasswords(roles *db.Roles, made []string) map[string]string {
	passwords := map[string]string{}
	for role, password := range map[string]*string{roles.Owner: &roles.OwnerPassword, roles.Serving: &roles.ServingPassword} {
		if *password == "" && slices.Contains(made, role) {
			*password = secret.Random{}.Text(madePassword)
			passwords[role] = *password
		}
	}
	return passwords
}

// rolePassword returns the password in a file, or nothing if there is none. What
// production refuses in a URL is refused here (DB-3), and so is what two programs
// may prepare in two ways (RFC 4013).
func rolePassword(file, flag, role string) (string, error) {
	if file == "" {
		return "", nil
	}
	password, err := passwordIn(file, flag)
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(password, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usageError(flag + ": The password must be of letters, digits and signs of ASCII, without spaces.")
	}
	if problem := config.WeakDatabasePassword(password, role, ""); problem != "" {
		return "", usageError(flag + ": The password " + problem + ". `gatehouse secret` prints a good one.")
	}
	return password, nil
}

// print says what is to be done, or was.
func (f rolesFlags) print(t *terminal, r rolesJSON) error {
	switch {
	case len(r.Statements) == 0:
		fmt.Fprintf(t.out, "The roles of the database %s are as they should be.\n", r.Database)
	case r.Done:
		fmt.Fprintf(t.out, "In the database %s this was done:\n\n", r.Database)
	default:
		fmt.Fprintf(t.out, "In the database %s this would be done:\n\n", r.Database)
	}
	for _, s := range r.Statements {
		fmt.Fprintf(t.out, "  %s\n", s)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintf(t.out, "\nEverybody, and so %s, may also:\n\n", f.ServingRole)
		for _, n := range r.Notes {
			fmt.Fprintf(t.out, "  %s\n", n)
		}
		fmt.Fprintf(t.out, "\nIf that is too much, take it from PUBLIC, or let %s into %s alone in pg_hba.conf.\n", f.ServingRole, r.Database)
	}
	if !r.Done && len(r.Statements) > 0 {
		fmt.Fprintln(t.out, "\nNothing was changed. Say --yes to do it.")
	}
	if len(r.Passwords) > 0 {
		fmt.Fprint(t.out, "\nThe passwords, which are shown this once; they need no encoding in a URL:\n\n")
		lines := [][]string{}
		for _, role := range []string{f.OwnerRole, f.ServingRole} {
			if p, ok := r.Passwords[role]; ok {
				lines = append(lines, []string{"  " + role, p})
			}
		}
		if err := t.table(lines); err != nil {
			return err
		}
	}
	if r.Done {
		fmt.Fprintf(t.out, "\nNow put %s into DATABASE_URL and %s into MIGRATE_DATABASE_URL, and run: gatehouse migrate\n", f.ServingRole, f.OwnerRole)
	}
	return nil
}
