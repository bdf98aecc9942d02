package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// NewRestore returns a restore into the database that the settings name. Its store,
// identities and the like are its caller's to set.
func NewRestore(c *config.Config, log, events *slog.Logger, trust backup.Trust, l Lost) (*backup.Restore, error) {
	r := &backup.Restore{
		Trust: trust, Database: db.Config{URL: c.MigrateDatabase.URL.Reveal(), MaxConns: 4, Log: log}, EventKey: trust.EventKey, Lost: l.Secret, Clone: l.Clone,
		Fresh: func() (keyring.Config, error) {
			master, err := masterSecret(c)
			return keyring.Config{Secret: master, Algorithm: c.JWTAlgorithm}, err
		},
		After: []func(*db.Tx, time.Time) error{alert.Restored, func(tx *db.Tx, now time.Time) error {
			return account.PostponeErasures(tx, now.Add(c.ErasureGrace))
		}},
		Events: event.NewLog(events, secret.Random{}, time.Now, nil), Random: secret.Random{}, Now: time.Now, Progress: func(backup.Progress) {},
	}
	if l.Passwords {
		r.Opens = newPepper(c).Opens
	}
	var err error
	if r.Anchored, err = anchored(c); err != nil || l.Secret || l.Clone {
		return r, err
	}
	r.Secret, err = knownSecret(c)
	return r, err
}

// anchored reads what EVENT_ANCHOR has, if that is a file. One that is gone says nothing.
func anchored(c *config.Config) (a backup.Anchored, err error) {
	path, ok := strings.CutPrefix(c.EventAnchor.Reveal(), "file:")
	if !ok {
		return a, nil
	}
	path = strings.TrimPrefix(path, "//")
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("EVENT_ANCHOR: %w", err)
	}
	text, err := tail(path, mostAnchors)
	if err != nil {
		return a, fmt.Errorf("EVENT_ANCHOR: %w", err)
	}
	return backup.Anchored{Note: event.LastCheckpoint(text), At: info.ModTime()}, nil
}

// OperatorAdopt opens the database with the owner's URL, and what adopts it. Close the database.
func OperatorAdopt(ctx context.Context, c *config.Config, log, events *slog.Logger) (*backup.Restore, *db.DB, error) {
	stores, err := BackupStores(c)
	if err != nil {
		return nil, nil, err
	}
	trust, err := BackupTrust(c, "", false)
	if err != nil {
		return nil, nil, err
	}
	r, err := NewRestore(c, log, events, trust, Lost{})
	if err != nil {
		return nil, nil, err
	}
	r.Store, r.Ledgers = stores[0], stores
	d, err := db.Open(ctx, r.Database)
	if err != nil {
		return nil, nil, err
	}
	if err := d.Serves(ctx); err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	return r, d, nil
}

// knownSecret is masterSecret for a restore, which makes none: one that was made now opens
// nothing.
func knownSecret(c *config.Config) (string, error) {
	if c.JWTSecretKey != "" {
		return c.JWTSecretKey.Reveal(), nil
	}
	master, err := readKept(c, secretFile)
	if err == nil && master == "" {
		return "", fault.New(fault.Invalid, "wrong_secret", fmt.Sprintf(
			"JWT_SECRET_KEY is not set, and %s is not there: restore needs the secret of then. If it is lost, say --secret-lost: all keys are made anew then.",
			filepath.Join(c.DataDir(), secretFile)))
	}
	return master, err
}

// Lost is what of the installation's secrets is not there any more, or must not be.
type Lost struct {
	// Secret is JWT_SECRET_KEY, Passwords a pepper; Clone makes another installation.
	Secret, Passwords, Clone bool
}

// Needs refuses a backup that needs other secrets than the settings have, before anything is
// touched.
func Needs(c *config.Config, m *backup.Manifest, l Lost) error {
	if l.Clone {
		if err := ownSecret(c, m); err != nil {
			return err
		}
	}
	if !l.Secret && !l.Clone {
		master, err := knownSecret(c)
		if err != nil {
			return err
		}
		if have := keyring.Fingerprint(master, m.Install); len(m.Needs.JWT) > 0 && !slices.Contains(m.Needs.JWT, have) {
			return fault.New(fault.Invalid, "wrong_secret", fmt.Sprintf(
				"JWT_SECRET_KEY is not the one of the backup: its fingerprint is %s, and the backup needs %s. If that is lost, say --secret-lost: all keys "+
					"are made anew then.", have, strings.Join(m.Needs.JWT, " or ")))
		}
	}
	if l.Passwords {
		return nil
	}
	have := newPepper(c).Fingerprints()
	for _, p := range m.Needs.Pepper {
		if !slices.Contains(have, p) {
			return fault.New(fault.Invalid, "wrong_pepper", fmt.Sprintf(
				"Passwords in the backup are sealed under a pepper with the fingerprint %s, which is not set. Set PASSWORD_PEPPER to it, or "+
					"PASSWORD_PEPPER_PREVIOUS beside a new one. If it is lost, say --passwords-lost: all whose passwords it sealed set new ones then, by mail.", p))
		}
	}
	return nil
}

// ownSecret refuses to make a clone under the secret of the installation that it is of.
func ownSecret(c *config.Config, m *backup.Manifest) error {
	master := c.JWTSecretKey.Reveal()
	if master == "" {
		var err error
		if master, err = readKept(c, secretFile); err != nil {
			return err
		}
	}
	if master != "" && slices.Contains(m.Needs.JWT, keyring.Fingerprint(master, m.Install)) {
		return fault.New(fault.Invalid, "clone_shares_keys",
			"JWT_SECRET_KEY is that of the installation that the backup is of: set another, so that no token of one is good at the other. Nothing was touched.")
	}
	return nil
}

// TargetName is the database that a restore goes into, as may be shown.
func TargetName(c *config.Config) string {
	for _, row := range c.Report() {
		if row.Name == "MIGRATE_DATABASE_URL" {
			return row.Value
		}
	}
	return string(c.MigrateDatabase.Kind)
}
