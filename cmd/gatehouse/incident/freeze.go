package incident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

type freezeCommand struct {
	Incident  string `arg:"" help:"Its name: INC-1."`
	Out       string `required:"" placeholder:"FILE" help:"The file to write; it must not exist."`
	Recipient string `placeholder:"KEY" help:"Who can open it, as age has it; those of BACKUP_RECIPIENTS without it."`
	Since     string `placeholder:"TIME" help:"From when on the event log is in it; a week before the attack without it."`
}

func (freezeCommand) Help() string {
	return `The bundle has the event log with its proofs and checkpoint, the incident, the people it names with their sessions, ended ones too, the settings
with secrets covered, the version and the hash of this program. It is encrypted by age, and its manifest signed with a key made from EVENT_KEY. Its
hash stands in the timeline: write down to whom you hand it.

Example:
  gatehouse incident freeze INC-1 --out INC-1.evidence --recipient "$(cat backup-key.pub)"`
}

// Run writes the bundle.
func (c freezeCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	settings, _, err := t.Settings()
	if err != nil {
		return err
	}
	f, err := app.Freezing(settings, c.Recipient, t.Version)
	if err != nil {
		return err
	}
	if f.Since, err = terminal.Moment(c.Since, time.Now()); err != nil {
		return err
	}
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		out, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, ownersFile)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists already: name another file", c.Out)
		}
		if err != nil {
			return err
		}
		hash, err := d.Freeze(ctx, n, f, out, operator(t))
		if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
			return errors.Join(err, os.Remove(c.Out))
		}
		var install string
		if err := d.DB.Read(ctx, func(tx *db.Tx) (err error) { install, err = keyring.InstallID(tx); return err }); err != nil {
			return err
		}
		key, err := respond.EvidenceKey(f.EventKey, install)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.Out, "%s  %s\n", hash, c.Out)
		fmt.Fprintf(t.Err, "To check it on any machine: gatehouse incident verify-bundle %s --identity KEY-FILE --key %s\n", filepath.Base(c.Out), key)
		return nil
	})
}

type verifyCommand struct {
	File       string `arg:"" help:"The bundle."`
	Identity   string `required:"" placeholder:"PATH" help:"The file with the secret key that opens it."`
	Key        string `required:"" placeholder:"KEY" help:"The public key that must have signed it: freeze printed it."`
	LogKey     string `placeholder:"KEY" help:"The public key that must have signed the event log: gatehouse events origin prints it."`
	Checkpoint string `placeholder:"PATH" help:"Checkpoints of the event log that were kept elsewhere, such as the file of EVENT_ANCHOR."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

func (verifyCommand) Help() string {
	return `It needs no database and no settings, so it runs on any machine. It looks at the signature, at the hash of every file, and at the sealed
event log. If something is wrong it exits with 1. Without --checkpoint it does not find who rewrote the log, and signed it anew with the server's
key, before it was frozen.

Examples:
  gatehouse incident verify-bundle INC-1.evidence --identity backup-key.txt --key "$KEY"
  gatehouse incident verify-bundle INC-1.evidence --identity backup-key.txt --key "$KEY" --checkpoint /mnt/elsewhere/gatehouse.anchor`
}

// errChanged makes the command exit with 1.
var errChanged = errors.New("the bundle is not as it was frozen")

// Run verifies the bundle.
func (c verifyCommand) Run(t *terminal.Terminal) (err error) {
	text, err := os.ReadFile(c.Identity)
	if err != nil {
		return fmt.Errorf("the identity can't be read: %w", err)
	}
	keys, err := backup.ParseIdentities(text)
	if err != nil {
		return err
	}
	kept, err := c.kept()
	if err != nil {
		return err
	}
	in, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("the bundle can't be read: %w", err)
	}
	defer in.Close()
	scratch, err := os.CreateTemp("", "gatehouse-evidence-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scratch.Close(), os.Remove(scratch.Name())) }()
	r, err := respond.VerifyBundle(in, keys, c.Key, c.LogKey, kept, scratch)
	if err != nil {
		return err
	}
	return c.report(t, r)
}

// kept reads the checkpoints that were kept elsewhere.
func (c verifyCommand) kept() ([]string, error) {
	if c.Checkpoint == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("the checkpoints can't be read: %w", err)
	}
	kept := event.SplitCheckpoints(string(text))
	if len(kept) == 0 {
		return nil, fmt.Errorf("%s has no checkpoint: name the file of EVENT_ANCHOR, or what gatehouse events origin printed", c.Checkpoint)
	}
	return kept, nil
}

func (c verifyCommand) report(t *terminal.Terminal, r respond.BundleReport) error {
	if c.JSON {
		if err := t.JSON(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(t.Out, "%s, %q, frozen %s by %s, version %s\nsha256 %s\n", r.Incident, r.Title, terminal.Time(r.FrozenAt), custodian(r), r.Version, r.Hash)
		fmt.Fprintf(t.Out, "%s, %s from leaf %d on\n", terminal.Count(len(r.Files), "file"), terminal.Count(int(r.Log.Leaves), "event"), r.FirstLeaf)
		for _, f := range r.Findings {
			fmt.Fprintln(t.Out, "  "+f)
		}
	}
	if len(r.Findings) > 0 {
		return errChanged
	}
	if !c.JSON {
		fmt.Fprintln(t.Out, "The bundle is as it was frozen, and the log in it is intact.")
		if r.Log.Kept == 0 {
			fmt.Fprintln(t.Out, "The log was compared with no checkpoint that was kept elsewhere: --checkpoint does, and finds who rewrote it before.")
		} else {
			fmt.Fprintf(t.Out, "It agrees with %s kept elsewhere.\n", terminal.Plural(r.Log.Kept, "checkpoint that was", "checkpoints that were"))
		}
		if r.Log.Beyond > 0 {
			fmt.Fprintf(t.Out, "%s kept elsewhere with more events than the %d of the bundle. One that was kept before the bundle was frozen means a cut log.\n",
				terminal.Plural(r.Log.Beyond, "checkpoint was", "checkpoints were"), r.Log.Until)
		}
	}
	return nil
}

// custodian is who froze it.
func custodian(r respond.BundleReport) string {
	if len(r.Custody) == 0 {
		return "somebody"
	}
	return r.Custody[0].Who
}
