// Package backup is gatehouse backup: the commands of backups, one file a command.
package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// Command is gatehouse backup.
type Command struct {
	Keygen keygenCommand `cmd:"" help:"Make the key that opens backups."`
	Create createCommand `cmd:"" help:"Make a backup now, and read it back."`
	List   listCommand   `cmd:"" help:"List the backups, newest first; exit with 1 if one is not as it should be."`
	Verify verifyCommand `cmd:"" help:"Read a backup and report what was changed or is missing."`

	Prove   proveCommand   `cmd:"" name:"prove-key" help:"Show that your key opens the newest backup."`
	Drill   drillCommand   `cmd:"" help:"Restore a backup into a scratch file, sign in there, and delete it."`
	Prune   pruneCommand   `cmd:"" help:"Delete the backups that BACKUP_KEEP lets go."`
	Restore restoreCommand `cmd:"" help:"Restore a backup into an empty database."`
	Adopt   adoptCommand   `cmd:"" help:"Make a database that was set back by other means one to be served."`
	Move    moveCommand    `cmd:"" help:"Move the installation to another database, with all sessions."`
}

// Help implements kong.HelpProvider.
func (Command) Help() string {
	return `A backup is encrypted: nothing on this machine opens it. It holds neither JWT_SECRET_KEY nor EVENT_KEY nor PASSWORD_PEPPER: keep
these, and the key that gatehouse backup keygen makes, somewhere else. See docs/guides/backups.md.

Example:
  gatehouse backup create`
}

// place is which backups are meant, for the commands that need no database.
type place struct {
	Install  string `placeholder:"ID" help:"Of which installation, if there are several in BACKUP_DIR."`
	Verifier string `placeholder:"KEY" help:"The public key that must have signed the backup, if EVENT_KEY is not at hand. gatehouse backup list prints it."`
	Unsigned bool   `help:"Take a backup whoever signed it: for when the keys are lost and you know where it comes from."`
}

// found is where backups lie, and whose they are.
type found struct {
	config  *config.Config
	stores  []backup.Store
	trust   backup.Trust
	install string
}

func (p place) find(ctx context.Context, t *terminal.Terminal) (f found, err error) {
	if f.config, _, err = t.Settings(); err != nil {
		return f, err
	}
	t.Warn(f.config)
	if f.stores, err = app.BackupStores(f.config); err != nil {
		return f, err
	}
	if f.trust, err = app.BackupTrust(f.config, p.Verifier, p.Unsigned); err != nil {
		return f, err
	}
	if f.install = p.Install; f.install != "" {
		return f, backup.KnownID(f.install)
	}
	f.install, err = onlyInstall(ctx, f.stores)
	return f, err
}

// onlyInstall returns the installation whose backups lie in the stores.
func onlyInstall(ctx context.Context, stores []backup.Store) (string, error) {
	for _, s := range stores {
		list, err := backup.Installs(ctx, s)
		if err != nil {
			return "", err
		}
		switch len(list) {
		case 0:
			continue
		case 1:
			return list[0], nil
		}
		return "", terminal.UsageError(fmt.Sprintf(
			"%s has backups of several installations: name one with --install. They are %s.", s.Name(), strings.Join(list, ", ")))
	}
	return "", errors.New("there are no backups in " + stores[0].Name())
}

// which returns the id of the backup that is meant, the newest if none is named.
func (f found) which(ctx context.Context, id string) (string, error) {
	if id != "" {
		return id, backup.KnownID(id)
	}
	list, err := backup.List(ctx, f.stores, f.trust, f.install)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", errors.New("there are no backups of the installation " + f.install)
	}
	return list[0].ID, nil
}

// identities reads the file with the secret keys; none without one.
func identities(path string) ([]age.Identity, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	return backup.ParseIdentities(b)
}

// keep opens the database and what looks after its backups, for one command.
func keep(ctx context.Context, t *terminal.Terminal, do func(k *backup.Keeper, install string) error) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	t.Warn(c)
	log, events := t.Logs(c)
	k, install, done, err := app.OperatorBackups(ctx, c, t.Version, log, events)
	if err != nil {
		return err
	}
	return errors.Join(do(k, install), done())
}

// operator is on whose behalf a command does something.
func operator(t *terminal.Terminal) backup.By { return backup.By{Who: "operator", Origin: t.Origin()} }
