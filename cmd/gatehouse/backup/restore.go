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

type restoreCommand struct {
	place
	ID         string `arg:"" optional:"" help:"The backup, as gatehouse backup list prints it; the newest, if none is named."`
	Identity   string `placeholder:"PATH" required:"" help:"The file with the secret key that opens the backup."`
	SecretLost bool   `help:"JWT_SECRET_KEY of then is lost: make all keys anew."`
	Abandoned  bool   `help:"Take a backup of a history that an earlier restore has left."`
	Yes        bool   `help:"Do it. Without it, the command only says what it would do."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

func (restoreCommand) Help() string {
	return `It restores into the database of MIGRATE_DATABASE_URL or DATABASE_URL, which must be empty: of either kind, whichever the backup is of.
Stop every server of the installation first, and set JWT_SECRET_KEY, EVENT_KEY and PASSWORD_PEPPER to what they were. Until it has ended,
every other command refuses the database; if it is broken off, run it again.

Everybody has to sign in again. Everything since the backup is lost, decisions included: who was deleted, disabled or lost a role since is
back, and passwords changed since are what they were. docs/guides/backups.md says what to do about that.

Example:
  gatehouse backup restore --identity backup-key.txt --yes`
}

// Run restores a backup, or says what that would do.
func (r restoreCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	f, err := r.find(ctx, t)
	if err != nil {
		return err
	}
	keys, err := identities(r.Identity)
	if err != nil {
		return err
	}
	id, err := f.which(ctx, r.ID)
	if err != nil {
		return err
	}
	log, events := t.Logs(f.config)
	bar := t.NewProgress(r.JSON)
	restore, err := app.NewRestore(f.config, log, events, f.trust, r.SecretLost)
	if err != nil {
		return err
	}
	restore.Identities, restore.Abandoned, restore.By = keys, r.Abandoned, operator(t)
	restore.Progress = func(p backup.Progress) { bar.Show(p.Step, p.Done, p.Of) }
	m, err := readFrom(ctx, f, restore, id)
	if err != nil {
		return err
	}
	if err := app.Needs(f.config, m, r.SecretLost); err != nil {
		return err
	}
	if !r.Yes {
		return r.report(t, f, m)
	}
	out, err := restore.Run(ctx, m)
	bar.End()
	if err != nil {
		return err
	}
	return r.print(t, out)
}

// readFrom reads the manifest from the first store that has the backup as it was made.
func readFrom(ctx context.Context, f found, restore *backup.Restore, id string) (*backup.Manifest, error) {
	var first error
	for _, s := range f.stores {
		restore.Store = s
		m, err := restore.Read(ctx, f.install, id)
		if err == nil {
			return m, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// report says what the restore would do, and what would be lost.
func (r restoreCommand) report(t *terminal.Terminal, f found, m *backup.Manifest) error {
	fmt.Fprintf(t.Out, `This would restore the backup %s, of %s, into %s: %d accounts and %d events.

Everything after %s (%s ago) is lost:
  - accounts that were deleted, disabled or lost a role since are back as they were;
  - passwords and addresses that were changed since are the old ones again, a stolen password too;
  - second factors that were added since are gone, those removed since are back, and recovery codes used since are good again;
  - applications and blocked networks are what they were, and applications that were deleted are back;
  - the events since are lost, unless EVENT_FORWARD or EVENT_ANCHOR sent them elsewhere.
All sessions, links and codes end: everybody signs in again. Mails that wait are not sent.

Every server of this installation must be stopped. Add --yes to do it.
`, m.ID, terminal.Time(m.Snapshot), app.TargetName(f.config), m.Tables["account"].Rows, m.Log.Size, terminal.Time(m.Snapshot),
		time.Since(m.Snapshot).Round(time.Minute))
	return nil
}

// restoredJSON is how a restore went, for programs.
type restoredJSON struct {
	Backup   string    `json:"backup"`
	Snapshot time.Time `json:"snapshot"`
	Accounts int64     `json:"accounts"`
	Events   int64     `json:"events"`
	Epoch    int64     `json:"epoch"`
	Timeline string    `json:"timeline"`
	Mails    int64     `json:"mails_given_up"`
	Passkeys int       `json:"passkeys_resealed"`
	Apps     int       `json:"apps_suspended"`
	Intact   bool      `json:"log_intact"`
}

// errLog makes the command exit with 1, although the database is restored.
var errLog = errors.New("the backup is restored, and its event log does not verify: run gatehouse events verify")

func (r restoreCommand) print(t *terminal.Terminal, out *backup.Restored) error {
	m := out.Manifest
	intact := len(out.Log.Findings) == 0
	if r.JSON {
		err := t.JSON(restoredJSON{m.ID, m.Snapshot, m.Tables["account"].Rows, m.Log.Size, out.Epoch, out.Timeline, out.Mails,
			out.Factors.Passkeys, out.Factors.Apps, intact})
		if err == nil && !intact {
			err = errLog
		}
		return err
	}
	fmt.Fprintf(t.Out, `Restored the backup %s of %s: %d accounts and %d events.
Lost is what came after %s, decisions included: who was deleted, disabled or lost a role since, and passwords changed since. Second
factors that were added since are gone, those removed since are back, and recovery codes used since are good again.
Everybody has to sign in again. %s that waited will not be sent. Start the servers now.
`, m.ID, terminal.Time(m.Snapshot), m.Tables["account"].Rows, m.Log.Size, terminal.Time(m.Snapshot), terminal.Count(int(out.Mails), "mail"))
	if n := out.Factors; n.Passkeys+n.Apps > 0 {
		fmt.Fprintf(t.Out, `%s taken as they are, as gatehouse user factor reseal does: nothing tells one that its owner added from one that somebody had written
into the database. %s suspended: the secrets are gone, and their owners need a recovery code, or gatehouse user factor reset.
`, terminal.Plural(int64(n.Passkeys), "passkey was", "passkeys were"), terminal.Plural(int64(n.Apps), "app was", "apps were"))
	}
	if !intact {
		for _, f := range out.Log.Findings {
			fmt.Fprintf(t.Out, "%s: %s\n", f.What, f.Text)
		}
		return errLog
	}
	fmt.Fprintln(t.Out, "The event log is intact.")
	return nil
}
