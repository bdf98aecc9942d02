package user

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type rolesCommand struct {
	User  string   `arg:"" help:"Its id or email address."`
	Roles []string `arg:"" optional:"" help:"All the roles it should have."`
	None  bool     `help:"Remove all its roles."`
	Yes   bool     `help:"Do it even if that removes a role. Otherwise it only says what it would do."`
}

func (rolesCommand) Help() string {
	return `Without roles, it shows the account's current ones. Active sessions get the new roles with their next refresh; access tokens that carry
other roles are refused within a second.

Examples:
  gatehouse user roles ada@example.org
  gatehouse user roles ada@example.org admin editor
  gatehouse user roles --none --yes ada@example.org`
}

// Run shows the roles or sets them.
func (u rolesCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if u.None && len(u.Roles) > 0 {
		return terminal.UsageError("Name the roles it should have, or use --none.")
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
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
			fmt.Fprintf(t.Out, "This would remove %s from %s. Add --yes to do it.\n", strings.Join(lost, ", "), a.Email)
			return nil
		}
		if a, err = o.SetRoles(ctx, a.ID, roles, t.Origin()); err != nil {
			return err
		}
		return u.show(t, a)
	})
}

func (u rolesCommand) show(t *terminal.Terminal, a account.Account) error {
	has := "no roles"
	switch len(a.Roles) {
	case 0:
	case 1:
		has = "the role " + a.Roles[0]
	default:
		has = "the roles " + strings.Join(a.Roles, ", ")
	}
	_, err := fmt.Fprintf(t.Out, "%s has %s.\n", a.Email, has)
	return err
}
