package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// rolesFlags are those of gatehouse migrate --roles.
type rolesFlags struct {
	OwnerRole           string `placeholder:"NAME" default:"gatehouse_owner" help:"With --roles: the role that owns the schema (${default})."`
	ServingRole         string `placeholder:"NAME" default:"gatehouse" help:"With --roles: the role that serves (${default})."`
	OwnerPasswordFile   string `placeholder:"PATH" help:"With --roles: read the owner's password from this file. Without it, a new role gets one, printed once."`
	ServingPasswordFile string `placeholder:"PATH" help:"With --roles: the same for the serving role."`
	Yes                 bool   `help:"With --roles: do it. Without it, the command only says what it would do."`
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
func (f rolesFlags) makeRoles(ctx context.Context, t *terminal.Terminal, c *config.Config, log *slog.Logger, asJSON bool) error {
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
		return t.JSON(out)
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
	password, err := terminal.PasswordIn(file, flag)
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(password, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", terminal.UsageError(flag + ": The password must consist of ASCII letters, digits and signs, without spaces.")
	}
	if problem := config.WeakDatabasePassword(password, role, ""); problem != "" {
		return "", terminal.UsageError(flag + ": The password " + problem + ". `gatehouse secret` prints a good one.")
	}
	return password, nil
}

// print says what is to be done, or was.
func (f rolesFlags) print(t *terminal.Terminal, r rolesJSON) error {
	switch {
	case len(r.Statements) == 0:
		fmt.Fprintf(t.Out, "The roles of the database %s are already as they should be.\n", r.Database)
	case r.Done:
		fmt.Fprintf(t.Out, "Changed in the database %s:\n\n", r.Database)
	default:
		fmt.Fprintf(t.Out, "This would change the database %s:\n\n", r.Database)
	}
	for _, s := range r.Statements {
		fmt.Fprintf(t.Out, "  %s\n", s)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintf(t.Out, "\nLike every role, %s may also:\n\n", f.ServingRole)
		for _, n := range r.Notes {
			fmt.Fprintf(t.Out, "  %s\n", n)
		}
		fmt.Fprintf(t.Out, "\nIf that is too much, revoke it from PUBLIC, or allow %s to connect only to %s in pg_hba.conf.\n", f.ServingRole, r.Database)
	}
	if !r.Done && len(r.Statements) > 0 {
		fmt.Fprintln(t.Out, "\nNothing was changed. Add --yes to do it.")
	}
	if len(r.Passwords) > 0 {
		fmt.Fprint(t.Out, "\nThe passwords, shown only this once. They need no encoding in a URL:\n\n")
		lines := [][]string{}
		for _, role := range []string{f.OwnerRole, f.ServingRole} {
			if p, ok := r.Passwords[role]; ok {
				lines = append(lines, []string{"  " + role, p})
			}
		}
		if err := t.Table(lines); err != nil {
			return err
		}
	}
	if r.Done {
		fmt.Fprintf(t.Out, "\nNow put %s into DATABASE_URL and %s into MIGRATE_DATABASE_URL, and run: gatehouse migrate\n", f.ServingRole, f.OwnerRole)
	}
	return nil
}
