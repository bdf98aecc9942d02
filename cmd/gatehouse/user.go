package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type userCommand struct {
	Create   userCreate   `cmd:"" help:"Create an account."`
	List     userList     `cmd:"" help:"List accounts, the oldest first."`
	Show     userShow     `cmd:"" help:"Show one account and its sessions."`
	Disable  userDisable  `cmd:"" help:"Disable an account and end its sessions."`
	Enable   userEnable   `cmd:"" help:"Let a disabled account sign in again."`
	Verify   userVerify   `cmd:"" help:"Mark an account's address as verified."`
	Repepper userRepepper `cmd:"" help:"Seal all password hashes under the pepper in force."`
	Unlock   userUnlock   `cmd:"" help:"Forget the wrong passwords that were tried at an account."`
	Canary   userCanary   `cmd:"" help:"Make an account a trap: whatever touches it raises an alert."`
	Reset    userReset    `cmd:"" help:"Make an account's owner set a new password, and sign everybody out."`
	Roles    userRoles    `cmd:"" help:"Show or set an account's roles."`
}

func (userCommand) Help() string {
	return `They work while the server runs, which obeys within a second. An account is named by its id or its address.

Example:
  gatehouse user create --admin ada@example.org`
}

// operator opens the database for one command and closes it after.
func (t *terminal) operator(ctx context.Context, do func(*flow.Operator) error) error {
	c, log, err := t.settings()
	if err != nil {
		return err
	}
	t.warn(c)
	events := log
	if isTerminal(t.err) {
		// The command itself tells a person what it did. The events stand in the
		// database either way.
		events = slog.New(slog.DiscardHandler)
		log = t.log(max(c.LogLevel, slog.LevelWarn))
	}
	first := false
	if c.Database.Kind == config.SQLite {
		_, err := os.Stat(c.Database.Path)
		first = errors.Is(err, fs.ErrNotExist)
	}
	o, closeDB, err := app.Operator(ctx, c, log, events)
	if err != nil {
		return err
	}
	if first {
		fmt.Fprintf(t.err, "note: There was no database at %s, so a new one was made.\n", c.Database.Path)
	}
	return errors.Join(do(o), closeDB())
}

// userJSON is an account for programs.
type userJSON struct {
	ID         string     `json:"id"`
	Email      string     `json:"email"`
	Name       string     `json:"name"`
	Locale     string     `json:"locale"`
	Roles      []string   `json:"roles"`
	CreatedAt  time.Time  `json:"created_at"`
	VerifiedAt *time.Time `json:"verified_at"`
	DisabledAt *time.Time `json:"disabled_at"`
	SignedInAt *time.Time `json:"signed_in_at"`
}

func newUserJSON(a account.Account) userJSON {
	return userJSON{
		ID: a.ID, Email: a.Email, Name: a.Name, Locale: a.Locale, Roles: a.Roles, CreatedAt: a.CreatedAt,
		VerifiedAt: jsonTime(a.VerifiedAt), DisabledAt: jsonTime(a.DisabledAt), SignedInAt: jsonTime(a.SignedInAt),
	}
}

func state(a account.Account) string {
	switch {
	case !a.DisabledAt.IsZero():
		return "disabled"
	case a.VerifiedAt.IsZero():
		return "unverified"
	}
	return "active"
}

type userCreate struct {
	Email        string   `arg:"" help:"The e-mail address."`
	Admin        bool     `help:"Give it the role admin."`
	Role         []string `placeholder:"ROLE" help:"Give it this role; may be repeated."`
	PasswordFile string   `placeholder:"PATH" help:"Read the password from this file, or from standard input if it is -. Without it the password is asked for."`
	JSON         bool     `name:"json" help:"Print JSON."`
}

func (userCreate) Help() string {
	return `The address counts as verified: you vouch for it.

Example:
  gatehouse user create --admin ada@example.org`
}

// Run creates the account.
func (u userCreate) Run(ctx context.Context, t *terminal) error {
	pass, given, err := t.givenPassword(u.PasswordFile)
	if err != nil {
		return err
	}
	if u.Admin {
		u.Role = append(u.Role, account.Admin)
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		if !given {
			if err := u.check(ctx, o); err != nil {
				return err
			}
			pass, err = t.askPassword(ctx, func(p string) error { _, err := o.Accounts.Policy.Check(ctx, "password", p, u.Email); return err })
			if err != nil {
				return err
			}
		}
		a, err := o.CreateUser(ctx, flow.Credentials{Email: u.Email, Password: pass}, u.Role, t.origin())
		if err != nil {
			return err
		}
		if u.JSON {
			return t.json(newUserJSON(a))
		}
		_, err = fmt.Fprintf(t.out, "Created %s with id %s.\n", a.Email, a.ID)
		return err
	})
}

// check refuses what CreateUser would refuse, before anybody types a password
// twice for nothing.
func (u userCreate) check(ctx context.Context, o *flow.Operator) error {
	if _, err := account.ParseAddress("email", u.Email); err != nil {
		return err
	}
	if _, err := account.ParseRoles(u.Role); err != nil {
		return err
	}
	a, err := o.User(ctx, u.Email)
	switch {
	case err == nil:
		return fault.New(fault.Conflict, "address_taken", a.Email+" has an account already.")
	case errors.Is(err, account.ErrNotFound):
		return nil
	}
	return err
}

type userList struct {
	JSON bool `name:"json" help:"Print JSON, an account a line."`
}

func (userList) Help() string { return "Example:\n  gatehouse user list --json | jq -r .email" }

// Run lists the accounts, a page at a time, so that a million of them need no
// more memory than a few.
func (u userList) Run(ctx context.Context, t *terminal) error {
	const pageSize = 500
	return t.operator(ctx, func(o *flow.Operator) error {
		after := ""
		head := [][]string{{"ID", "EMAIL", "STATE", "ROLES", "CREATED", "SIGNED IN"}}
		for {
			list, err := o.Users(ctx, after, pageSize)
			if err != nil {
				return err
			}
			if after == "" && len(list) == 0 && !u.JSON {
				fmt.Fprintln(t.err, "There are no accounts yet. Make one: gatehouse user create ADDRESS")
				return nil
			}
			if err := u.print(t, head, list); err != nil {
				return err
			}
			if len(list) < pageSize {
				return nil
			}
			after, head = list[len(list)-1].ID, nil
		}
	})
}

func (u userList) print(t *terminal, lines [][]string, list []account.Account) error {
	if u.JSON {
		for _, a := range list {
			if err := t.jsonLine(newUserJSON(a)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, a := range list {
		lines = append(lines, []string{a.ID, a.Email, state(a), strings.Join(a.Roles, ","), day(a.CreatedAt), day(a.SignedInAt)})
	}
	return t.table(lines)
}

type userShow struct {
	User string `arg:"" help:"Its id or its address."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (userShow) Help() string { return "Example:\n  gatehouse user show ada@example.org" }

// Run shows the account.
func (u userShow) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		sessions, err := o.Sessions(ctx, a.ID)
		if err != nil {
			return err
		}
		if u.JSON {
			return t.json(struct {
				userJSON
				Sessions []sessionJSON `json:"sessions"`
			}{newUserJSON(a), newSessionsJSON(sessions)})
		}
		return t.table([][]string{
			{"id", a.ID}, {"email", a.Email}, {"name", a.Name}, {"locale", a.Locale}, {"state", state(a)},
			{"roles", strings.Join(a.Roles, ",")}, {"created", day(a.CreatedAt)}, {"verified", day(a.VerifiedAt)},
			{"disabled", day(a.DisabledAt)}, {"signed in", day(a.SignedInAt)}, {"sessions", fmt.Sprint(len(sessions))},
		})
	})
}

type userDisable struct {
	User string `arg:"" help:"Its id or its address."`
	Yes  bool   `help:"Do it. Without this it only says what it would do."`
}

func (userDisable) Help() string { return "Example:\n  gatehouse user disable --yes ada@example.org" }

// Run disables the account, or says what that would do.
func (u userDisable) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		if !u.Yes {
			sessions, err := o.Sessions(ctx, a.ID)
			if err != nil {
				return err
			}
			fmt.Fprintf(t.out, "This would disable %s (%s) and end %s. Say --yes to do it.\n", a.Email, state(a), count(len(sessions), "session"))
			return nil
		}
		ended, err := o.Disable(ctx, a.ID, t.origin())
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "Disabled %s and ended %s.\n", a.Email, count(ended, "session"))
		return nil
	})
}

type userEnable struct {
	User string `arg:"" help:"Its id or its address."`
}

func (userEnable) Help() string { return "Example:\n  gatehouse user enable ada@example.org" }

// Run enables the account.
func (u userEnable) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		if err := o.Enable(ctx, a.ID, t.origin()); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "Enabled %s.\n", a.Email)
		return nil
	})
}

type userVerify struct {
	User string `arg:"" help:"Its id or its address."`
}

func (userVerify) Help() string {
	return `For an address that you know is its owner's.

Example:
  gatehouse user verify ada@example.org`
}

// Run marks the address as verified.
func (u userVerify) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		if err := o.Verify(ctx, a.ID, t.origin()); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "The address %s is verified.\n", a.Email)
		return nil
	})
}

type userRoles struct {
	User  string   `arg:"" help:"Its id or its address."`
	Roles []string `arg:"" optional:"" help:"All the roles it is to have."`
	None  bool     `help:"Take all its roles away."`
	Yes   bool     `help:"Do it even if it takes a role away. Without this it then only says what it would do."`
}

func (userRoles) Help() string {
	return `Without roles it shows those that the account has. New ones come into its living sessions with their next refresh; access tokens that carry others are refused within a second.

Examples:
  gatehouse user roles ada@example.org
  gatehouse user roles ada@example.org admin editor
  gatehouse user roles --none --yes ada@example.org`
}

// Run shows the roles or sets them.
func (u userRoles) Run(ctx context.Context, t *terminal) error {
	if u.None && len(u.Roles) > 0 {
		return usageError("Name the roles it is to have, or say --none.")
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		if len(u.Roles) == 0 && !u.None {
			return u.show(t, a)
		}
		roles, err := account.ParseRoles(u.Roles)
		if err != nil {
			return err
		}
		lost := slices.DeleteFunc(slices.Clone(a.Roles), func(r string) bool { return slices.Contains(roles, r) })
		if len(lost) > 0 && !u.Yes {
			fmt.Fprintf(t.out, "This would take %s away from %s. Say --yes to do it.\n", strings.Join(lost, ", "), a.Email)
			return nil
		}
		if a, err = o.SetRoles(ctx, a.ID, roles, t.origin()); err != nil {
			return err
		}
		return u.show(t, a)
	})
}

func (u userRoles) show(t *terminal, a account.Account) error {
	has := "no roles"
	switch len(a.Roles) {
	case 0:
	case 1:
		has = "the role " + a.Roles[0]
	default:
		has = "the roles " + strings.Join(a.Roles, ", ")
	}
	_, err := fmt.Fprintf(t.out, "%s has %s.\n", a.Email, has)
	return err
}
