package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

type adoptCommand struct {
	Identity   string `placeholder:"PATH" required:"" help:"The file with the secret key that opens the backups, and the ledger beside them."`
	AcceptLost bool   `name:"accept-lost-ledger" help:"Go on although a part of what was decided since is missing."`
	Yes        bool   `help:"Do it. Without it, the command only says what it would do."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

func (adoptCommand) Help() string {
	return `For a database that you have set back by other means than gatehouse backup restore: PostgreSQL's point in time, a copied file, a snapshot of a virtual
machine. It does what a restore does after loading: what was decided since is done again, by the ledger in BACKUP_DIR; all sessions, links and codes end; the
keys of tokens are made anew; mails that wait are given up; and the event log goes on under a new origin. Stop every server first: it waits half a minute to see
that none runs.

Example:
  gatehouse backup adopt --identity backup-key.txt --yes`
}

// adoptedJSON is how that went, for programs.
type adoptedJSON struct {
	Epoch    int64  `json:"epoch"`
	Timeline string `json:"timeline"`
	Again    int    `json:"decisions_done_again"`
	Mails    int64  `json:"mails_given_up"`
	Intact   bool   `json:"log_intact"`
}

// Run adopts the database, or says what that would do.
func (a adoptCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	t.Warn(c)
	keys, err := identities(a.Identity)
	if err != nil {
		return err
	}
	log, events := t.Logs(c)
	adopt, d, err := app.OperatorAdopt(ctx, c, log, events)
	if err != nil {
		return err
	}
	bar := t.NewProgress(a.JSON)
	adopt.Identities, adopt.AcceptLost, adopt.By = keys, a.AcceptLost, operator(t)
	adopt.Progress = func(p backup.Progress) { bar.Show(p.Step, p.Done, p.Of) }
	err = func() error {
		m, err := adopt.Standing(ctx, d)
		if err != nil {
			return err
		}
		if !a.Yes {
			_, err := fmt.Fprintf(t.Out, `This would adopt %s as it is: its last event is the %d., of %s (%s ago).
All sessions, links and codes end: everybody signs in again. Mails that wait are not sent.

%s
Every server of this installation must be stopped. Add --yes to do it.
`, app.TargetName(c), m.Log.Size, terminal.Time(m.Snapshot), time.Since(m.Snapshot).Round(time.Minute), ledgerText(adopt.Decided))
			return err
		}
		out, err := adopt.Adopt(ctx, d, m, backup.Sleep)
		bar.End()
		if err != nil {
			return err
		}
		return a.print(t, out)
	}()
	return errors.Join(err, d.Close())
}

func (a adoptCommand) print(t *terminal.Terminal, out *backup.Restored) error {
	intact := len(out.Log.Findings) == 0
	if a.JSON {
		if err := t.JSON(adoptedJSON{out.Epoch, out.Timeline, out.Again, out.Mails, intact}); err != nil || intact {
			return err
		}
		return errLog
	}
	fmt.Fprintf(t.Out, "Adopted. %s of since that took something away from somebody were done again; %s that waited will not be sent.\n"+
		"Everybody has to sign in again. Start the servers now.\n", terminal.Count(out.Again, "decision"), terminal.Count(int(out.Mails), "mail"))
	if !intact {
		for _, f := range out.Log.Findings {
			fmt.Fprintf(t.Out, "%s: %s\n", f.What, f.Text)
		}
		return errLog
	}
	fmt.Fprintln(t.Out, "The event log is intact.")
	return nil
}
