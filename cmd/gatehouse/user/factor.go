package user

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// factorCommand is gatehouse user factor.
type factorCommand struct {
	List   factorListCommand   `cmd:"" help:"Show somebody's second factors, everybody's, or who has none."`
	Invite factorInviteCommand `cmd:"" help:"Let somebody add a first second factor where no mail can be sent."`
	Reset  factorResetCommand  `cmd:"" help:"Remove the second factors of somebody who has lost them all, after a wait."`
	Reseal factorResealCommand `cmd:"" help:"Take passkeys as they are after JWT_SECRET_KEY was lost."`
}

func (factorCommand) Help() string {
	return `Examples:
  gatehouse user factor list --role admin --without
  gatehouse user factor reset --yes ada@example.org`
}

type factorListCommand struct {
	User    string `arg:"" optional:"" help:"Its id or email address. Without it, all accounts are listed that are not disabled."`
	Role    string `placeholder:"ROLE" help:"Only those with this role."`
	Without bool   `help:"Only those that have no second factor."`
	JSON    bool   `name:"json" help:"Print JSON, one account per line."`
}

func (factorListCommand) Help() string {
	return `Kinds and times are shown, never a secret.

Examples:
  gatehouse user factor list ada@example.org
  gatehouse user factor list --role admin --without`
}

// factorsJSON is what somebody has.
type factorsJSON struct {
	ID     string    `json:"id"`
	Email  string    `json:"email"`
	TOTP   bool      `json:"totp"`
	Halted bool      `json:"totp_suspended,omitempty"`
	Added  string    `json:"totp_added_at,omitempty"`
	Used   string    `json:"totp_used_at,omitempty"`
	Keys   []keyJSON `json:"passkeys"`
	Codes  int       `json:"recovery_codes_left"`
	Resets string    `json:"reset_due_at,omitempty"`
}

// keyJSON is a passkey. It opens nothing if it is suspended, or was made for another host than the server's.
type keyJSON struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Host      string `json:"host"`
	Added     string `json:"added_at"`
	Used      string `json:"used_at,omitempty"`
	Suspended bool   `json:"suspended"`
}

// shown is what an account has, as it is printed.
func shown(a account.Account, own operate.OwnedFactors) factorsJSON {
	out := factorsJSON{ID: a.ID, Email: a.Email, Keys: []keyJSON{}, Codes: own.CodesLeft, Resets: terminal.Time(own.ResetDue)}
	if own.App != nil {
		out.TOTP, out.Added, out.Used = true, terminal.Time(own.App.MadeAt), terminal.Time(own.App.UsedAt)
		out.Halted = !own.App.SuspectAt.IsZero()
	}
	for _, k := range own.Keys {
		out.Keys = append(out.Keys, keyJSON{k.ID, k.Name, k.RPID, terminal.Time(k.MadeAt), terminal.Time(k.UsedAt), !k.SuspectAt.IsZero()})
	}
	return out
}

// table are the lines for people; none where there is no factor.
func (f factorsJSON) table() (lines [][]string) {
	if f.TOTP {
		kind := "totp"
		if f.Halted {
			kind = "totp, suspended"
		}
		lines = append(lines, []string{kind, "", f.Added, f.Used})
	}
	for _, k := range f.Keys {
		kind := "passkey"
		if k.Suspended {
			kind = "passkey, suspended"
		}
		lines = append(lines, []string{kind, k.Name + " (" + k.Host + ")", k.Added, k.Used})
	}
	if lines == nil {
		return nil
	}
	return slices.Concat([][]string{{"FACTOR", "NAME", "ADDED", "USED"}}, lines, [][]string{{terminal.Count(f.Codes, "recovery code"), "", "", ""}})
}

// Run lists.
func (u factorListCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		if u.User == "" {
			return u.all(ctx, t, o)
		}
		a, own, err := o.FactorsOf(ctx, u.User)
		if err != nil {
			return err
		}
		out := shown(a, own)
		if u.JSON {
			return t.JSONLine(out)
		}
		lines := out.table()
		if lines == nil {
			_, err = fmt.Fprintf(t.Out, "%s has no second factor.\n", a.Email)
			return err
		}
		if err := t.Table(lines); err != nil || own.ResetDue.IsZero() {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "They will be removed at %s: gatehouse user factor reset --stop takes that back.\n", out.Resets)
		return err
	})
}

// all lists accounts with what they have, a page at a time.
func (u factorListCommand) all(ctx context.Context, t *terminal.Terminal, o *operate.Operator) error {
	const pageSize = 200
	lines, after := [][]string{{"ID", "EMAIL", "STATE", "ROLES", "FACTORS"}}, ""
	for {
		list, err := o.Owners(ctx, u.Role, u.Without, after, pageSize)
		if err != nil {
			return err
		}
		for _, a := range list {
			out := shown(a.Account, a.Factors)
			if !u.JSON {
				lines = append(lines, []string{a.ID, a.Email, state(a.Account), strings.Join(a.Roles, ","), out.summary()})
			} else if err := t.JSONLine(out); err != nil {
				return err
			}
		}
		if !u.JSON {
			if err := t.Table(lines); err != nil {
				return err
			}
		}
		if len(list) < pageSize {
			return nil
		}
		after, lines = list[len(list)-1].ID, nil
	}
}

// summary says in a few words what there is.
func (f factorsJSON) summary() string {
	var parts []string
	if f.TOTP {
		parts = append(parts, "totp")
	}
	if len(f.Keys) > 0 {
		parts = append(parts, terminal.Count(len(f.Keys), "passkey"))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(append(parts, terminal.Count(f.Codes, "recovery code")), ", ")
}

type factorInviteCommand struct {
	User string `arg:"" help:"Its id or email address."`
}

func (factorInviteCommand) Help() string {
	return `Adding a first second factor asks for a code that is mailed to the account's address. Where no mail can be sent, this prints what stands in
for it: it works once, for 30 minutes, beside the account's password, and only until the password is changed.

Example:
  gatehouse user factor invite ada@example.org`
}

// Run prints it.
func (u factorInviteCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		a, token, err := o.InviteFactor(ctx, u.User, t.Origin())
		if err != nil {
			return err
		}
		fmt.Fprintf(t.Err, "Give this to %s, to type where the code from the email is asked for. It works once, for 30 minutes:\n", a.Email)
		_, err = fmt.Fprintln(t.Out, token)
		return err
	})
}

type factorResetCommand struct {
	User   string `arg:"" help:"Its id or email address."`
	Reason string `help:"Why, for the event log." default:""`
	Now    bool   `help:"Do not wait: for somebody who stands in front of you."`

	NewAddress string `placeholder:"EMAIL" help:"The account gets this address as well: for somebody who has lost the mailbox too."`

	Stop bool `help:"Take back a reset that waits."`
	Yes  bool `help:"Do it. Without it, the command only says what it would do."`
}

func (factorResetCommand) Help() string {
	return `It takes effect after FACTOR_RESET_WAIT_HOURS (24). The owner gets a mail at once, with a link that stops it, and any sign-in with a factor or
a recovery code stops it. When it is done, all sessions end and the owner sets a new password by mail. With --now it is done within a minute.

--new-address is for somebody who has lost the mailbox too, with second factors or without: the mail goes to the old address, and only when the
wait is over and nobody has stopped it does the account get the new one, to which the link for a new password goes. The old address can take the
account back for a week. Make sure whose address it is: whoever reads it has the account.

Examples:
  gatehouse user factor reset --yes ada@example.org
  gatehouse user factor reset --stop --yes ada@example.org
  gatehouse user factor reset --new-address ada@example.net --yes ada@example.org`
}

// Run asks for a reset, or takes one back, or says what that would do.
func (u factorResetCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if u.NewAddress != "" && (u.Now || u.Stop) {
		return terminal.UsageError("--new-address waits, so that the old address can stop it: not with --now or --stop.")
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		wait := o.FactorResetWait
		if u.Now {
			wait = 0
		}
		if !u.Yes {
			a, err := o.User(ctx, u.User)
			switch {
			case err != nil:
			case u.Stop:
				fmt.Fprintf(t.Out, "This would take back the reset of the second factors of %s (%s). Add --yes to do it.\n", a.Email, state(a))
			case u.NewAddress != "":
				fmt.Fprintf(t.Out, "This would give %s (%s) the address %s %s, remove second factors and recovery codes, end all sessions and require a new "+
					"password, by mail to the new address. Add --yes to do it.\n", a.Email, state(a), u.NewAddress, after(wait))
			default:
				fmt.Fprintf(t.Out, "This would remove the second factors and recovery codes of %s (%s) %s, end all sessions and require a new password, by "+
					"mail. Add --yes to do it.\n", a.Email, state(a), after(wait))
			}
			return err
		}
		if u.Stop {
			a, err := o.StopFactorReset(ctx, u.User, t.Origin())
			if err == nil {
				fmt.Fprintf(t.Out, "The second factors of %s stay.\n", a.Email)
			}
			return err
		}
		if u.NewAddress != "" {
			a, due, err := o.ResetAddress(ctx, u.User, u.Reason, u.NewAddress, wait, t.Origin())
			if err == nil {
				fmt.Fprintf(t.Out, "%s will have the address %s %s, at %s, unless the old address stops it.\n", a.Email, u.NewAddress, after(wait),
					due.UTC().Format("2006-01-02 15:04 UTC"))
			}
			return err
		}
		a, due, err := o.ResetFactors(ctx, u.User, u.Reason, wait, t.Origin())
		if err == nil {
			fmt.Fprintf(t.Out, "The second factors of %s will be removed %s, at %s.\n", a.Email, after(wait), due.UTC().Format("2006-01-02 15:04 UTC"))
		}
		return err
	})
}

// after says when something will be done.
func after(wait time.Duration) string {
	if wait == 0 {
		return "within a minute"
	}
	return "in " + terminal.Count(int(wait/time.Hour), "hour")
}
