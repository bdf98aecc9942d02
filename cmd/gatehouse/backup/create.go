package backup

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

type createCommand struct {
	Fast bool `help:"Don't rest between parts: it takes half as long, and slows a PostgreSQL server down for others."`
	JSON bool `name:"json" help:"Print JSON."`
}

func (createCommand) Help() string {
	return `The server may run meanwhile; it makes backups by itself, too: see BACKUP_EVERY_HOURS. The backup is one moment of the database. What is
written is read back from where it lies, decrypted and compared, before the backup counts.

Example:
  BACKUP_DIR=/mnt/backup BACKUP_RECIPIENTS=age1… gatehouse backup create`
}

// madeJSON is a backup that was made, for programs.
type madeJSON struct {
	ID         string    `json:"id"`
	Install    string    `json:"install"`
	Snapshot   time.Time `json:"snapshot"`
	Rows       int64     `json:"rows"`
	Size       int64     `json:"size"`
	Parts      int       `json:"parts"`
	SHA256     string    `json:"sha256"`
	Events     int64     `json:"events"`
	SQLiteOnly bool      `json:"sqlite_only"`
}

// Run makes a backup.
func (c createCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return keep(ctx, t, func(k *backup.Keeper, _ string) error {
		bar := t.NewProgress(c.JSON)
		made, err := k.Create(ctx, operator(t), c.Fast, func(p backup.Progress) { bar.Show(p.Step, p.Done, p.Of) }, nil)
		bar.End()
		if err != nil {
			return err
		}
		m := made.Manifest
		if len(made.Unportable) > 0 {
			fmt.Fprintf(t.Err, "warning: The tables %s have text that is not UTF-8 or has a NUL, which PostgreSQL refuses: this backup can be restored "+
				"into SQLite alone.\n", strings.Join(made.Unportable, ", "))
		}
		if c.JSON {
			return t.JSON(madeJSON{m.ID, m.Install, m.Snapshot, m.Rows(), m.Size(), len(m.Parts), made.SHA256, m.Log.Size, m.SQLiteOnly})
		}
		for _, s := range k.Maker.Stores {
			fmt.Fprintf(t.Out, "Made the backup %s of %s in %s: %d rows, %s, read back and compared.\n",
				m.ID, terminal.Time(m.Snapshot), s.Name(), m.Rows(), terminal.Bytes(m.Size()))
		}
		return nil
	})
}
