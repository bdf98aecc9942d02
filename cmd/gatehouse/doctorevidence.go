package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// hand writes evidence, and says how it is verified.
func (c doctorCommand) hand(t *terminal.Terminal, report doctor.Report, bundle doctor.Evidence, baseline []byte) error {
	bundle.Baseline = baseline
	folder, key, err := report.WriteEvidence(c.Evidence, bundle)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.Err, "%s\nTo verify it on any machine: gatehouse doctor --verify %s --key %s\n", folder, filepath.Base(folder), key)
	return err
}

// leastWatch is how often it looks at most: each look is some fifty requests, and a dialogue with the mail server.
const leastWatch = time.Minute

// watch looks again and again until it is ended, prints what has turned, and records it for the server's alert.
func (c doctorCommand) watch(ctx context.Context, t *terminal.Terminal, d *db.DB, why error, checks func() ([]doctor.Check, error),
	accepted doctor.Baseline) error {
	switch {
	case c.Watch < leastWatch:
		return terminal.UsageError("--watch looks once a minute at most")
	case c.Probe:
		return terminal.UsageError("--probe uses limits up: it is not for --watch")
	case d == nil:
		return fmt.Errorf("what is found is kept in the database: %w", why)
	}
	for {
		list, err := checks()
		if err != nil {
			return err
		}
		report := doctor.Run(ctx, list, time.Now())
		report.Accept(accepted)
		if ctx.Err() != nil {
			return nil
		}
		turned, err := app.RecordPosture(ctx, d, report)
		if err != nil {
			fmt.Fprintf(t.Err, "what was found could not be kept: %v\n", err)
		}
		fmt.Fprintf(t.Out, "%s %s\n%s", report.At.Format(time.RFC3339), report.Summary(), app.Turns(turned))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Watch):
		}
	}
}

// errTampered is for evidence that is not as it was written.
var errTampered = errors.New("the evidence is not as it was written")

// verify checks a bundle, and prints what it states.
func (c doctorCommand) verify(t *terminal.Terminal) error {
	if c.Verify == "" || c.Key == "" {
		return terminal.UsageError("--verify and --key are for one another: --evidence printed the key")
	}
	statement, findings, err := doctor.VerifyEvidence(c.Verify, c.Key)
	if err != nil {
		return err
	}
	fmt.Fprintln(t.Out, statement)
	for _, f := range findings {
		fmt.Fprintln(t.Out, "  "+f)
	}
	if len(findings) > 0 {
		return errTampered
	}
	fmt.Fprintln(t.Out, "\nIt is signed, and every file is as it was written.")
	return nil
}
