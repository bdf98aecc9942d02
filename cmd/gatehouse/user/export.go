package user

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/importing"
	"github.com/gatehouse-auth/gatehouse/internal/ops/privacy"
)

type exportCommand struct {
	User string `arg:"" optional:"" help:"Its id or email address."`
	Out  string `short:"o" placeholder:"FILE" help:"Where to write it: gatehouse-export.zip, or people.age with --move; - is the standard output."`

	Move      bool   `help:"Write what another installation of Gatehouse takes, with passwords' hashes and second factors, encrypted."`
	All       bool   `help:"With --move: everybody, instead of one."`
	Recipient string `placeholder:"KEY" help:"With --move: who can open it, as age has it (age1…)."`
}

func (exportCommand) Help() string {
	return `The copy is a ZIP: export.json, events.jsonl, and schema.json, which describes both. It has all that is kept about the person, and no hash, token
or key. The file is readable by you alone, and must not exist. The person gets a mail that says that a copy was made.

--move is for another server: gatehouse user import --from gatehouse takes it there. Ids stay the same, people sign in with the passwords, apps,
passkeys and recovery codes that they have, and nobody is mailed. The file has secrets, so it is always encrypted to a key of age's. Sessions,
consents and the event log stay here: to move a whole installation, see gatehouse backup move.

Examples:
  gatehouse user export ada@example.org -o ada.zip
  gatehouse user export --move --all --recipient "$(cat new-server.pub)" -o people.age`
}

// Run writes the copy.
func (u exportCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if err := u.check(); err != nil {
		return err
	}
	if u.Out == "" {
		u.Out = "gatehouse-export.zip"
		if u.Move {
			u.Out = "people.age"
		}
	}
	return t.Operator(ctx, func(o *operate.Operator) (err error) {
		out, close := t.Out, func() error { return nil }
		if u.Out != "-" {
			f, err := os.OpenFile(u.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			out, close = f, f.Close
		}
		err = u.write(ctx, o, t, out)
		if err = errors.Join(err, close()); err != nil {
			if u.Out != "-" {
				err = errors.Join(err, os.Remove(u.Out)) // part of a copy is none
			}
			return err
		}
		if u.Out != "-" {
			fmt.Fprintf(t.Out, "Wrote %s.\n", u.Out)
		}
		return nil
	})
}

// check refuses options that do not go together.
func (u exportCommand) check() error {
	switch {
	case u.User == "" && !u.All:
		return terminal.UsageError("Say whose: an id or an email address, or with --move also --all.")
	case u.User != "" && u.All:
		return terminal.UsageError("Say whose, or --all, not both.")
	case !u.Move && (u.All || u.Recipient != ""):
		return terminal.UsageError("--all and --recipient go with --move.")
	case u.Move && u.Recipient == "":
		return terminal.UsageError("--move needs --recipient: the public key of whoever imports the file. gatehouse backup keygen makes a pair.")
	}
	return nil
}

// move writes the file for another installation, and says on the standard error output what is in it.
func (u exportCommand) move(ctx context.Context, o *operate.Operator, t *terminal.Terminal, out io.Writer) error {
	to, err := backup.ParseRecipients(u.Recipient)
	if err != nil {
		return fmt.Errorf("--recipient: %w", err)
	}
	n, err := (&importing.Export{Operator: o, From: t.Origin(), Recipients: to.Keys(), User: u.User}).Write(ctx, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.Err, "It has %s with %s.\n", accounts(int64(n.People)), terminal.Count(n.Factors, "second factor"))
	if n.Leaving > 0 {
		fmt.Fprintf(t.Err, "%s being erased, and not in it.\n", terminal.Plural(int64(n.Leaving), "account is", "accounts are"))
	}
	if n.LeftOut > 0 {
		fmt.Fprintf(t.Err, "%s not in it, since no key recognises them: gatehouse doctor names them (COMP-1/factor-rows).\n",
			terminal.Plural(int64(n.LeftOut), "second factor is", "second factors are"))
	}
	return nil
}

func (u exportCommand) write(ctx context.Context, o *operate.Operator, t *terminal.Terminal, out io.Writer) error {
	if u.Move {
		return u.move(ctx, o, t, out)
	}
	a, err := o.ExportUser(ctx, u.User, t.Origin())
	if err != nil {
		return err
	}
	return (&privacy.Exporter{DB: o.DB, Events: o.Events, Now: o.Now}).Write(ctx, a.ID, out)
}
