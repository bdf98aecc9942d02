package events

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type verifyCommand struct {
	Export     string `placeholder:"PATH" help:"Verify this export (events export --sealed) instead of the database; - is standard input."`
	Key        string `placeholder:"KEY" help:"The public key that must have signed the log. Keep it elsewhere; gatehouse events origin prints it."`
	Checkpoint string `placeholder:"PATH" help:"A checkpoint that was kept elsewhere and that the log must contain."`
	From       bool   `help:"Start at the checkpoint instead of at the first event."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

func (verifyCommand) Help() string {
	return `If the log was tampered with, it names the first event that was changed, removed, added or moved, and exits with 1. Without a key and a
checkpoint that were kept elsewhere, it can't detect that someone rewrote the whole database and signed it with the server's own key.

Example:
  gatehouse events verify --checkpoint /mnt/elsewhere/gatehouse.anchor`
}

// errFound makes the command exit with 1.
var errFound = errors.New("the event log was tampered with")

// Run verifies.
func (e verifyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if e.From && e.Checkpoint == "" {
		return terminal.UsageError("--from needs --checkpoint.")
	}
	if e.Export != "" {
		if e.Checkpoint != "" {
			return terminal.UsageError("An export contains its own checkpoint: leave out --checkpoint.")
		}
		return e.export(t)
	}
	options := event.VerifyOptions{Key: e.Key, From: e.From}
	if e.Checkpoint != "" {
		text, err := lastCheckpoint(e.Checkpoint)
		if err != nil {
			return err
		}
		options.Checkpoint = text
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		if terminal.IsTerminal(t.Err) && !e.JSON {
			options.Progress = func(read, of int64) { fmt.Fprintf(t.Err, "\r%d of %d", read, of) }
			defer fmt.Fprintln(t.Err)
		}
		r, err := o.VerifyLog(ctx, options)
		if err != nil {
			return err
		}
		return e.report(t, r)
	})
}

// lastCheckpoint returns the last checkpoint in a file: EVENT_ANCHOR appends them.
func lastCheckpoint(path string) (string, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return "", fmt.Errorf("the checkpoint can't be read: %w", err)
	}
	return event.LastCheckpoint(string(b)), nil
}

func (e verifyCommand) export(t *terminal.Terminal) error {
	var in io.Reader = t.In
	if e.Export != "-" {
		f, err := os.Open(e.Export)
		if err != nil {
			return fmt.Errorf("the export can't be read: %w", err)
		}
		defer f.Close()
		in = f
	}
	r, err := event.VerifyExport(in, e.Key)
	if err != nil {
		return err
	}
	return e.report(t, r)
}

func (e verifyCommand) report(t *terminal.Terminal, r event.Report) error {
	if e.JSON {
		if err := t.JSON(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(t.Out, "Read %s from leaf %d on; %d had their personal data erased and %d were retired, as the rules allow. %s agree.\n",
			terminal.Count(int(r.Leaves), "event"), r.From, r.Erased, r.Retired, terminal.Count(int(r.Checkpoints), "checkpoint"))
		fmt.Fprintf(t.Out, "Origin %s, key %s\n", r.Origin, r.Verifier)
		for _, f := range r.Findings {
			fmt.Fprintf(t.Out, "%s: %s\n", f.What, f.Text)
		}
	}
	if len(r.Findings) > 0 {
		return errFound
	}
	if !e.JSON {
		fmt.Fprintln(t.Out, "The log is intact.")
	}
	return nil
}
