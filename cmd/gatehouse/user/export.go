package user

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/privacy"
)

type exportCommand struct {
	User string `arg:"" help:"Its id or email address."`
	Out  string `short:"o" default:"gatehouse-export.zip" placeholder:"FILE" help:"Where the copy is written to; - is the standard output."`
}

func (exportCommand) Help() string {
	return `The copy is a ZIP: export.json, events.jsonl, and schema.json, which describes both. It has all that is kept about the person, and no hash, token
or key. The file is readable by you alone, and must not exist. The person gets a mail that says that a copy was made.

Example:
  gatehouse user export ada@example.org -o ada.zip`
}

// Run writes the copy.
func (u exportCommand) Run(ctx context.Context, t *terminal.Terminal) error {
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

func (u exportCommand) write(ctx context.Context, o *operate.Operator, t *terminal.Terminal, out io.Writer) error {
	a, err := o.ExportUser(ctx, u.User, t.Origin())
	if err != nil {
		return err
	}
	return (&privacy.Exporter{DB: o.DB, Events: o.Events, Now: o.Now}).Write(ctx, a.ID, out)
}
