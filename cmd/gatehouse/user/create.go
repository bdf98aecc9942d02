package user

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type createCommand struct {
	Email        string   `arg:"" help:"The email address."`
	Admin        bool     `help:"Give it the admin role."`
	Role         []string `placeholder:"ROLE" help:"Give it this role; can be repeated."`
	Prompt       bool     `help:"Prompt for the password here instead of mailing an invitation."`
	PasswordFile string   `placeholder:"PATH" help:"Read the password from this file instead of mailing an invitation; - is standard input."`
	Locale       string   `placeholder:"TAG" help:"The language of the invitation, such as de."`
	JSON         bool     `name:"json" help:"Print JSON."`
}

func (createCommand) Help() string {
	return `The owner gets an invitation by mail, and chooses a password by the link in it, which works once, for 7 days, and shows that the email
address is theirs. Where no mail server is set (SMTP_URL) the link is printed. With a password the address counts as verified, because you vouch for it;
in production it must be replaced by "Forgot password" before the first sign-in.

Examples:
  gatehouse user create --admin ada@example.org
  gatehouse user create --prompt ada@example.org`
}

// Run creates the account.
func (u createCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if u.Admin {
		u.Role = append(u.Role, account.Admin)
	}
	if !u.Prompt && u.PasswordFile == "" {
		return u.invite(ctx, t)
	}
	pass, given, err := t.GivenPassword(u.PasswordFile)
	if err != nil {
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		if !given {
			if err := u.check(ctx, o); err != nil {
				return err
			}
			pass, err = t.AskPassword(ctx, func(p string) error { _, err := o.Accounts.Policy.Check(ctx, "password", p, u.Email); return err })
			if err != nil {
				return err
			}
		}
		a, err := o.CreateUser(ctx, flow.Credentials{Email: u.Email, Password: pass}, u.Role, t.Origin())
		if err != nil {
			return err
		}
		if err := u.print(t, a); err != nil || !o.Production {
			return err
		}
		fmt.Fprintln(t.Err, "Before the first sign-in, this password must be replaced by \"Forgot password\".")
		return nil
	})
}

func (u createCommand) print(t *terminal.Terminal, a account.Account) error {
	if u.JSON {
		return t.JSON(newAccountJSON(a))
	}
	_, err := fmt.Fprintf(t.Out, "Created %s with id %s.\n", a.Email, a.ID)
	return err
}

// invite opens the account and mails its owner how to choose a password.
func (u createCommand) invite(ctx context.Context, t *terminal.Terminal) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		if err := u.check(ctx, o); err != nil {
			return err
		}
		a, link, err := o.Invite(ctx, operate.Invitation{Email: u.Email, Locale: u.Locale, Roles: u.Role}, t.Origin())
		if err != nil {
			return err
		}
		if err := u.print(t, a); err != nil {
			return err
		}
		if c.SMTPURL == "" {
			fmt.Fprintf(t.Err, "No mail server is set (SMTP_URL), so give its owner this link to choose a password. It works once, for 7 days:\n%s\n", link)
			if demands(c, a.Roles) {
				fmt.Fprintf(t.Err, "Its roles must have a second factor (SECOND_FACTOR), and the sign-in asks for a code by email to add one. "+
					"In its place: gatehouse user factor invite %s\n", a.Email)
			}
			return nil
		}
		fmt.Fprintln(t.Err, "The invitation is on its way.")
		return nil
	})
}

// demands reports whether accounts with these roles must have a second factor.
func demands(c *config.Config, roles []string) bool {
	demanded, all := c.SecondFactorRoles(false)
	return all || slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(demanded, r) })
}

// check refuses what CreateUser would refuse, before anybody types a password
// twice for nothing.
func (u createCommand) check(ctx context.Context, o *operate.Operator) error {
	if _, err := account.ParseAddress("email", u.Email); err != nil {
		return err
	}
	if _, err := account.ParseRoles(u.Role); err != nil {
		return err
	}
	a, err := o.User(ctx, u.Email)
	switch {
	case err == nil:
		return fault.New(fault.Conflict, "address_taken", a.Email+" already has an account.")
	case errors.Is(err, account.ErrNotFound):
		return nil
	}
	return err
}
