package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type eventsVerify struct {
	Export     string `placeholder:"PATH" help:"Verify this export (events export --sealed) rather than the database; - is standard input."`
	Key        string `placeholder:"KEY" help:"The public key that must have signed the log. Keep it elsewhere: gatehouse events origin prints it."`
	Checkpoint string `placeholder:"PATH" help:"A checkpoint that was kept elsewhere: the log must contain it."`
	From       bool   `help:"Begin at the checkpoint rather than with the first event."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

func (eventsVerify) Help() string {
	return `It names the first event that was changed, removed, added or put elsewhere, and exits with 1. Without a key and a checkpoint that were kept elsewhere it can't find what somebody did who rewrote the whole database, and signed it with the server's own key.

Example:
  gatehouse events verify --checkpoint /mnt/elsewhere/gatehouse.anchor`
}

// errFound makes the command exit with 1.
var errFound = errors.New("the event log was tampered with")

// Run verifies.
func (e eventsVerify) Run(ctx context.Context, t *terminal) error {
	if e.From && e.Checkpoint == "" {
		return usageError("--from needs --checkpoint.")
	}
	if e.Export != "" {
		if e.Checkpoint != "" {
			return usageError("An export carries its own checkpoint: leave out --checkpoint.")
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
	return t.operator(ctx, func(o *flow.Operator) error {
		if isTerminal(t.err) && !e.JSON {
			options.Progress = func(read, of int64) { fmt.Fprintf(t.err, "\r%d of %d", read, of) }
			defer fmt.Fprintln(t.err)
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

func (e eventsVerify) export(t *terminal) error {
	var in io.Reader = t.in
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

func (e eventsVerify) report(t *terminal, r event.Report) error {
	if e.JSON {
		if err := t.json(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(t.out, "Read %s from leaf %d on; %d lost their personal part and %d were retired, by the rules. %s agree.\n",
			count(int(r.Leaves), "event"), r.From, r.Erased, r.Retired, count(int(r.Checkpoints), "checkpoint"))
		fmt.Fprintf(t.out, "Origin %s, key %s\n", r.Origin, r.Verifier)
		for _, f := range r.Findings {
			fmt.Fprintf(t.out, "%s: %s\n", f.What, f.Text)
		}
	}
	if len(r.Findings) > 0 {
		return errFound
	}
	if !e.JSON {
		fmt.Fprintln(t.out, "The log is as it was sealed.")
	}
	return nil
}
