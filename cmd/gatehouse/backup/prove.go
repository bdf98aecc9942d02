package backup

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

type proveCommand struct {
	ID       string `arg:"" optional:"" help:"The backup, as gatehouse backup list prints it; the newest, if none is named."`
	Identity string `placeholder:"PATH" required:"" help:"The file with your secret key."`
}

func (proveCommand) Help() string {
	return `That a backup was read back when it was made does not prove that you have the key for it. This opens its first file with yours, in a few
seconds, and keeps a record of that. Do it every 90 days, with the copy that lies elsewhere.

Example:
  gatehouse backup prove-key --identity /media/usb/backup-key.txt`
}

// Run opens the first part with the operator's own key.
func (p proveCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	keys, err := identities(p.Identity)
	if err != nil {
		return err
	}
	return keep(ctx, t, func(k *backup.Keeper, install string) error {
		f := found{stores: k.Maker.Stores, trust: k.Trust, install: install}
		id, err := f.which(ctx, p.ID)
		if err != nil {
			return err
		}
		if err := k.Prove(ctx, k.Maker.Stores[0], install, id, keys, operator(t)); err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "Your key opens the backup %s.\n", id)
		return err
	})
}

type drillCommand struct {
	ID       string `arg:"" optional:"" help:"The backup, as gatehouse backup list prints it; the newest, if none is named."`
	Identity string `placeholder:"PATH" required:"" help:"The file with the secret key that opens the backup."`
	Into     string `placeholder:"URL" help:"An empty database to restore into, which stays: delete it after. A SQLite file that is deleted, if none is named."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

func (drillCommand) Help() string {
	return `It restores the backup into a SQLite file in BACKUP_SCRATCH_DIR, verifies its event log, starts a server there that nobody else can reach, and
has a made-up person register, sign in and refresh. The file is deleted after. The server drills by itself once a week, right after it has
made a backup; this does so with your own key.

To see how long it takes on PostgreSQL, name an empty database there with --into, as its owner, and its password in PGPASSFILE.

Examples:
  gatehouse backup drill --identity backup-key.txt
  gatehouse backup drill --identity backup-key.txt --into postgres://drill@db.example.org/drill`
}

// drilledJSON is how a drill went, for programs.
type drilledJSON struct {
	Backup   string `json:"backup"`
	Accounts int64  `json:"accounts"`
	Events   int64  `json:"events"`
	Intact   bool   `json:"log_intact"`
}

// Run drills a backup.
func (d drillCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	keys, err := identities(d.Identity)
	if err != nil {
		return err
	}
	return keep(ctx, t, func(k *backup.Keeper, install string) error {
		f := found{stores: k.Maker.Stores, trust: k.Trust, install: install}
		id, err := f.which(ctx, d.ID)
		if err != nil {
			return err
		}
		bar := t.NewProgress(d.JSON)
		k.Scratch.Into = d.Into
		out, err := k.DrillOne(ctx, k.Maker.Stores[0], install, id, keys, operator(t), func(p backup.Progress) { bar.Show(p.Step, p.Done, p.Of) })
		bar.End()
		if err != nil {
			return err
		}
		m := out.Manifest
		intact := len(out.Log.Findings) == 0
		if d.JSON {
			err = t.JSON(drilledJSON{m.ID, m.Tables["account"].Rows, m.Log.Size, intact})
		} else {
			fmt.Fprintf(t.Out, "The backup %s restores: %d accounts, %d events; a made-up person registered there and signed in.\n",
				m.ID, m.Tables["account"].Rows, m.Log.Size)
		}
		if err == nil && !intact {
			err = errLog
		}
		return err
	})
}

type pruneCommand struct {
	Yes bool `help:"Do it. Without it, the command only says what it would delete."`
}

func (pruneCommand) Help() string {
	return `The server does so after each backup. BACKUP_KEEP says which stay; the two newest and the one that was drilled last stay in any case, and
all of them while the newest is older than it should be.

Example:
  gatehouse backup prune --yes`
}

// Run deletes what BACKUP_KEEP lets go, or says what that is.
func (p pruneCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return keep(ctx, t, func(k *backup.Keeper, install string) error {
		if p.Yes {
			gone, err := k.Prune(ctx, install, operator(t))
			for _, e := range gone {
				fmt.Fprintf(t.Out, "Deleted %s of %s.\n", e.ID, terminal.Time(e.Snapshot))
			}
			if backup.Keeps(err) {
				_, err = fmt.Fprintln(t.Out, err)
				return err
			}
			if err == nil && len(gone) == 0 {
				fmt.Fprintln(t.Out, "There is nothing to delete.")
			}
			return err
		}
		list, err := k.Surplus(ctx, install)
		for _, e := range list {
			fmt.Fprintf(t.Out, "This would delete %s of %s.\n", e.ID, terminal.Time(e.Snapshot))
		}
		if err == nil && len(list) == 0 {
			fmt.Fprintln(t.Out, "There is nothing to delete.")
		} else if err == nil {
			fmt.Fprintln(t.Out, "Add --yes to do it.")
		}
		return err
	})
}
