package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

type restoreCommand struct {
	place
	ID         string `arg:"" optional:"" help:"The backup, as gatehouse backup list prints it; the newest, if none is named."`
	Identity   string `placeholder:"PATH" required:"" help:"The file with the secret key that opens the backup."`
	SecretLost bool   `help:"JWT_SECRET_KEY of then is lost: make all keys anew."`
	PwLost     bool   `name:"passwords-lost" help:"The pepper of then is lost: all whose passwords it sealed set new ones, by mail."`
	AcceptLost bool   `name:"accept-lost-ledger" help:"Restore although a part of what was decided since is missing."`
	Abandoned  bool   `help:"Take a backup of a history that an earlier restore has left."`
	Clone      bool   `help:"Make another installation of it, for trying things out: with keys of its own, and no mail to anybody."`
	Incident   string `placeholder:"FILE" help:"Bring over the incident of this evidence bundle, which the backup is too old to have."`
	EvidenceID string `name:"incident-identity" placeholder:"PATH" help:"The file with the secret key that opens the bundle, where it is another one."`
	Yes        bool   `help:"Do it. Without it, the command only says what it would do."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

func (restoreCommand) Help() string {
	return `It restores into the database of MIGRATE_DATABASE_URL or DATABASE_URL, which must be empty: of either kind, whichever the backup is of.
Stop every server of the installation first, and set JWT_SECRET_KEY, EVENT_KEY and PASSWORD_PEPPER to what they were. Until it has ended,
every other command refuses the database; if it is broken off, run it again.

Everybody has to sign in again. Everything since the backup is lost, but for what took something away from somebody: that stands in the ledger beside
the backups, and is done again. docs/guides/backups.md says what.

With --clone it becomes another installation, for trying things out: set another JWT_SECRET_KEY and another EVENT_KEY, and name the public key that signed
the backup with --verifier. The servers of the one that it is of go on.

With --incident, the incident that led to the restore is brought over from the bundle that gatehouse incident freeze has written: its timeline, actions,
checklist and people. The bundle must be of this installation, signed by EVENT_KEY, and as it was frozen.

Examples:
  gatehouse backup restore --identity backup-key.txt --yes
  gatehouse backup restore --identity backup-key.txt --incident INC-1.evidence --incident-identity evidence-key.txt --yes
  gatehouse backup restore --clone --verifier gatehouse/0198…+1a2b3c4d+A… --identity backup-key.txt --yes`
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
	restore, err := app.NewRestore(f.config, log, events, f.trust, r.lost())
	if err != nil {
		return err
	}
	restore.Identities, restore.Abandoned, restore.AcceptLost, restore.Ledgers, restore.By = keys, r.Abandoned, r.AcceptLost, f.stores, operator(t)
	restore.Progress = func(p backup.Progress) { bar.Show(p.Step, p.Done, p.Of) }
	m, err := readFrom(ctx, f, restore, id)
	if err != nil {
		return err
	}
	if err := app.Needs(f.config, m, r.lost()); err != nil {
		return err
	}
	if err := r.carry(t, f, restore, keys); err != nil {
		return err
	}
	if !r.Yes {
		return r.report(t, f, m, restore.Decided)
	}
	out, err := restore.Run(ctx, m)
	bar.End()
	if err != nil {
		return err
	}
	return r.print(t, out)
}

func (r restoreCommand) lost() app.Lost {
	return app.Lost{Secret: r.SecretLost, Passwords: r.PwLost, Clone: r.Clone}
}

// carry reads the incident that is to be brought over, before anything is restored, and has the restore's end bring it.
func (r restoreCommand) carry(t *terminal.Terminal, f found, restore *backup.Restore, keys []age.Identity) (err error) {
	if r.Incident == "" {
		if r.EvidenceID != "" {
			return terminal.UsageError("--incident-identity is for --incident")
		}
		return nil
	}
	if r.EvidenceID != "" {
		if keys, err = identities(r.EvidenceID); err != nil {
			return err
		}
	}
	in, err := os.Open(r.Incident)
	if err != nil {
		return fmt.Errorf("--incident: %w", err)
	}
	defer in.Close()
	scratch, err := os.CreateTemp("", "gatehouse-evidence-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scratch.Close(), os.Remove(scratch.Name())) }()
	c, err := respond.Carry(in, keys, f.trust.EventKey, f.install, scratch)
	if err != nil {
		return fmt.Errorf("--incident: %w", err)
	}
	fmt.Fprintf(t.Err, "%s is brought over, as it was frozen at %s.\n", c.Name(), terminal.Time(c.FrozenAt))
	by := t.Origin()
	restore.After = append(restore.After, func(tx *db.Tx, now time.Time) error { return c.Into(tx, restore.Events, restore.Random, by, now) })
	return nil
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
func (r restoreCommand) report(t *terminal.Terminal, f found, m *backup.Manifest, d *backup.Decisions) error {
	if r.Clone {
		_, err := fmt.Fprintf(t.Out, `This would make another installation of the backup %s, of %s, in %s: %d accounts and %d events.
Its keys are made anew. Passkeys are taken as they are, and apps that show codes are suspended: their secrets can't be read. No mail goes to anybody
but those whom gatehouse user release names.

%s
Add --yes to do it.
`, m.ID, terminal.Time(m.Snapshot), app.TargetName(f.config), m.Tables["account"].Rows, m.Log.Size, ledgerText(d))
		return err
	}
	fmt.Fprintf(t.Out, `This would restore the backup %s, of %s, into %s: %d accounts and %d events.

Everything after %s (%s ago) is lost:
  - accounts that were made since are gone;
  - passwords, addresses and second factors that were changed since are the old ones again: their owners have to choose a new password, by mail;
  - the events since are lost, unless EVENT_FORWARD or EVENT_ANCHOR sent them elsewhere.
All sessions, links and codes end: everybody signs in again. Mails that wait are not sent.

%s
Every server of this installation must be stopped. Add --yes to do it.
`, m.ID, terminal.Time(m.Snapshot), app.TargetName(f.config), m.Tables["account"].Rows, m.Log.Size, terminal.Time(m.Snapshot),
		time.Since(m.Snapshot).Round(time.Minute), ledgerText(d))
	return nil
}

// decided are the words for what the ledger has.
var decided = map[string]string{
	"password": "passwords that were changed, or must be", "factor": "changes of second factors", "address": "addresses that were changed",
	"roles": "changes of roles", "disabled": "accounts that were disabled", "enabled": "accounts that were enabled", "consent": "consents that were taken back",
	"client_consent": "applications that were denied again", "client_changed": "applications that were changed or disabled",
	"client_rotated": "secrets of applications that were replaced", "client_deleted": "applications that were deleted", "block": "networks that were blocked",
	"identity": "accounts at other providers that were taken from one here",
	"erased":   "accounts that were erased",
}

// ledgerText says what will be done again.
func ledgerText(d *backup.Decisions) string {
	var b strings.Builder
	switch {
	case d == nil || d.Until == 0 && d.Len() == 0:
		b.WriteString("There is no ledger of what was decided since: who was deleted, disabled or lost a role is back.\n")
	case d.Len() == 0:
		fmt.Fprintf(&b, "The ledger of what was decided since reaches the event %d, of %s, and has nothing to be done again.\n", d.Until, terminal.Time(d.At))
	default:
		fmt.Fprintf(&b, "The ledger of what was decided since reaches the event %d, of %s. Done again is:\n", d.Until, terminal.Time(d.At))
		for _, c := range d.Counts {
			fmt.Fprintf(&b, "  - %s: %d\n", decided[c.What], c.Count)
		}
	}
	if d != nil && d.Beyond > 0 {
		fmt.Fprintf(&b, "EVENT_ANCHOR knows of %s more, up to %s: what they took away from somebody is lost.\n",
			terminal.Plural(d.Beyond, "event", "events"), terminal.Time(d.BeyondAt))
	}
	if d != nil && d.Gap != "" {
		fmt.Fprintf(&b, "%s What was decided then is undone.\n", d.Gap)
	}
	return b.String()
}

// restoredJSON is how a restore went, for programs.
type restoredJSON struct {
	Backup   string    `json:"backup"`
	Snapshot time.Time `json:"snapshot"`
	Accounts int64     `json:"accounts"`
	Events   int64     `json:"events"`
	Epoch    int64     `json:"epoch"`
	Timeline string    `json:"timeline"`
	Again    int       `json:"decisions_done_again"`
	Mails    int64     `json:"mails_given_up"`
	Passkeys int       `json:"passkeys_resealed"`
	Apps     int       `json:"apps_suspended"`
	Lost     int       `json:"passwords_lost"`
	Intact   bool      `json:"log_intact"`
}

// errLog makes the command exit with 1, although the database is restored.
var errLog = errors.New("the backup is restored, and its event log does not verify: run gatehouse events verify")

func (r restoreCommand) print(t *terminal.Terminal, out *backup.Restored) error {
	m := out.Manifest
	intact := len(out.Log.Findings) == 0
	if r.JSON {
		err := t.JSON(restoredJSON{m.ID, m.Snapshot, m.Tables["account"].Rows, m.Log.Size, out.Epoch, out.Timeline, out.Again, out.Mails,
			out.Factors.Passkeys, out.Factors.Apps, out.Passwords, intact})
		if err == nil && !intact {
			err = errLog
		}
		return err
	}
	if r.Clone {
		fmt.Fprintf(t.Out, `Made another installation of the backup %s of %s: %d accounts and %d events.
No mail goes to anybody but those whom gatehouse user release names. Set BACKUP_DIR, EVENT_ANCHOR and EVENT_FORWARD to places of its own, and start it.
`, m.ID, terminal.Time(m.Snapshot), m.Tables["account"].Rows, m.Log.Size)
		return r.printLog(t, out)
	}
	fmt.Fprintf(t.Out, `Restored the backup %s of %s: %d accounts and %d events.
Lost is what came after %s, but for %s of since that took something away from somebody: they were done again.
Everybody has to sign in again. %s that waited will not be sent. Start the servers now.
`, m.ID, terminal.Time(m.Snapshot), m.Tables["account"].Rows, m.Log.Size, terminal.Time(m.Snapshot), terminal.Count(out.Again, "decision"),
		terminal.Count(int(out.Mails), "mail"))
	if out.Passwords > 0 {
		fmt.Fprintf(t.Out, "%s can't be opened without the pepper: their owners set new ones with \"Forgot password\".\n",
			terminal.Plural(int64(out.Passwords), "password", "passwords"))
	}
	if n := out.Factors; n.Passkeys+n.Apps > 0 {
		fmt.Fprintf(t.Out, `%s taken as they are, as gatehouse user factor reseal does: nothing tells one that its owner added from one that somebody had written
into the database. %s suspended: the secrets are gone, and their owners need a recovery code, or gatehouse user factor reset.
`, terminal.Plural(int64(n.Passkeys), "passkey was", "passkeys were"), terminal.Plural(int64(n.Apps), "app was", "apps were"))
	}
	return r.printLog(t, out)
}

func (r restoreCommand) printLog(t *terminal.Terminal, out *backup.Restored) error {
	if len(out.Log.Findings) > 0 {
		for _, f := range out.Log.Findings {
			fmt.Fprintf(t.Out, "%s: %s\n", f.What, f.Text)
		}
		return errLog
	}
	fmt.Fprintln(t.Out, "The event log is intact.")
	return nil
}
