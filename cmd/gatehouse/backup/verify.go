package backup

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

type verifyCommand struct {
	place
	ID       string `arg:"" optional:"" help:"The backup, as gatehouse backup list prints it; the newest, if none is named."`
	Identity string `placeholder:"PATH" help:"The file with the secret key that opens the backup: then its contents are looked at as well."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

func (verifyCommand) Help() string {
	return `It looks at the signature, and at every file's size and SHA-256, in every folder of BACKUP_DIR. It needs no database and, without
--identity, no secret but EVENT_KEY (or --verifier). If something is wrong it exits with 1.

Examples:
  gatehouse backup verify
  gatehouse backup verify --identity backup-key.txt 0198c0de-0000-7000-8000-000000000001`
}

// Run verifies a backup in every store.
func (v verifyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	f, err := v.find(ctx, t)
	if err != nil {
		return err
	}
	keys, err := identities(v.Identity)
	if err != nil {
		return err
	}
	id, err := f.which(ctx, v.ID)
	if err != nil {
		return err
	}
	wrong := false
	bar := t.NewProgress(v.JSON)
	defer bar.End()
	reports := make([]backup.Report, 0, len(f.stores))
	for _, s := range f.stores {
		r, err := backup.Verify(ctx, s, f.trust, f.install, id, keys, func(p backup.Progress) { bar.Show(p.Step, p.Done, p.Of) })
		if err != nil {
			return err
		}
		wrong = wrong || len(r.Findings) > 0
		reports = append(reports, r)
	}
	bar.End()
	if v.JSON {
		err = t.JSON(reports)
	} else {
		v.print(t, reports)
	}
	if err == nil && wrong {
		err = errWrong
	}
	return err
}

func (v verifyCommand) print(t *terminal.Terminal, reports []backup.Report) {
	for _, r := range reports {
		how := "its signature, and the size and SHA-256 of every file, are right"
		if r.Opened {
			how += "; every file was opened, and holds what it should"
		}
		if len(r.Findings) == 0 {
			fmt.Fprintf(t.Out, "The backup %s of %s in %s is intact: %s, %d rows; %s.\n",
				r.Backup, terminal.Time(r.Snapshot), r.Store, terminal.Count(r.Parts, "file"), r.Rows, how)
			continue
		}
		fmt.Fprintf(t.Out, "The backup %s in %s is not as it was made:\n", r.Backup, r.Store)
		for _, one := range r.Findings {
			fmt.Fprintf(t.Out, "  %s: %s\n", one.What, one.Text)
		}
	}
}
