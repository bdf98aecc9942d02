package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// BackupStores returns where backups lie. There is at least one.
func BackupStores(c *config.Config) ([]backup.Store, error) {
	if len(c.Backups.Dirs) == 0 {
		return nil, fault.New(fault.Invalid, "backup_not_set_up", "BACKUP_DIR is not set: it names the folder with the backups. See docs/guides/backups.md.")
	}
	var stores []backup.Store
	buckets := 0
	for _, place := range c.Backups.Dirs {
		if !config.IsBucket(place) {
			stores = append(stores, backup.NewFolder(place))
			continue
		}
		key, word := c.Backups.BucketKey(buckets)
		buckets++
		s, err := bucketStore(place, key, word)
		if err != nil {
			return nil, err
		}
		stores = append(stores, s)
	}
	return stores, nil
}

// bucketStore returns the store in a bucket, without going there.
func bucketStore(place, key, word string) (backup.Store, error) {
	name, _, _ := strings.Cut(place, "?")
	if key == "" || word == "" {
		return nil, fault.New(fault.Invalid, "backup_not_set_up", fmt.Sprintf(
			"There are no credentials for %s: set BACKUP_S3_ACCESS_KEY_ID and BACKUP_S3_SECRET_ACCESS_KEY. See docs/guides/backups.md.", name))
	}
	p, err := outbound.ParseBucket(place)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b, err := outbound.OpenBucket(p, key, word)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return backup.NewBucket(name, b), nil
}

// BackupTrust says whose signature on a backup counts: that of EVENT_KEY, or of the key that
// lies beside the database, and that of the verifier if one is given. It makes no key.
func BackupTrust(c *config.Config, verifier string, unsigned bool) (backup.Trust, error) {
	t := backup.Trust{Verifier: verifier, Unsigned: unsigned}
	if c.EventKey != "" {
		t.EventKey = c.EventKey.Reveal()
		return t, nil
	}
	var err error
	t.EventKey, err = readKept(c, eventKeyFile)
	return t, err
}

func backupRecipients(c *config.Config) (backup.Recipients, error) {
	r, err := backup.ParseRecipients(c.Backups.Recipients)
	if err != nil {
		err = fault.New(fault.Invalid, "backup_recipients", "BACKUP_RECIPIENTS can't be used: "+err.Error()+".")
	}
	return r, err
}

// keeper returns what looks after the backups of the database.
func keeper(c *config.Config, d *db.DB, events *event.Log, jobs *job.Runner, version string, now func() time.Time) (*backup.Keeper, error) {
	stores, err := BackupStores(c)
	if err != nil {
		return nil, err
	}
	recipients, err := backupRecipients(c)
	if err != nil {
		return nil, err
	}
	ledger, err := newLedger(c, d, events, now)
	if err != nil {
		return nil, err
	}
	key, err := EventKey(c)
	if err != nil {
		return nil, fmt.Errorf("the key that signs backups: %w", err)
	}
	master, err := masterSecret(c)
	if err != nil {
		return nil, err
	}
	needs := func(install string) backup.Needs {
		n := backup.Needs{JWT: []string{keyring.Fingerprint(master, install)}, Pepper: newPepper(c).Fingerprints()}
		if previous := c.JWTSecretKeyPrevious.Reveal(); previous != "" {
			n.JWT = append(n.JWT, keyring.Fingerprint(previous, install))
		}
		return n
	}
	var from func(context.Context) (*db.DB, error)
	if c.Standby() {
		from = func(ctx context.Context) (*db.DB, error) {
			return db.Open(ctx, db.Config{URL: c.Backups.Database.URL.Reveal(), MaxConns: 1, Log: slog.New(slog.DiscardHandler)})
		}
	}
	return &backup.Keeper{
		DB: d, Events: events, Jobs: jobs, Trust: backup.Trust{EventKey: key}, Random: secret.Random{}, Now: now,
		Keep: backup.Keep(c.Backups.Keep), Every: c.Backups.Every,
		Scratch: backup.Scratch{
			Dir: c.Backups.Scratch, Try: tryRestored(c, master, key),
			Restore: backup.Restore{
				Trust: backup.Trust{EventKey: key}, EventKey: key,
				After:  []func(*db.Tx, time.Time) error{alert.Restored},
				Secret: master, Random: secret.Random{}, Now: now,
				Events: event.NewLog(slog.New(slog.DiscardHandler), secret.Random{}, now, nil),
			},
		},
		Maker: backup.Maker{
			DB: d, Stores: stores, Recipients: recipients, EventKey: key, Needs: needs, Version: version, Random: secret.Random{}, Now: now, Most: c.Backups.Most,
			Wait: backup.Sleep, Ledger: ledger, From: from, Spool: c.Backups.Spool,
		},
	}, nil
}

// OperatorBackups opens the database and what looks after its backups for one command of
// the operator's: see [Operator]. It returns the installation's id as well.
func OperatorBackups(ctx context.Context, c *config.Config, version string, log, events *slog.Logger) (*backup.Keeper, string, func() error, error) {
	if _, err := BackupStores(c); err != nil {
		return nil, "", nil, err // before a database is made
	}
	d, err := OpenDatabase(ctx, c, log)
	if err != nil {
		return nil, "", nil, err
	}
	var install string
	k, err := func() (*backup.Keeper, error) {
		if err := prepareOperator(ctx, c, d, log, secret.Random{}); err != nil {
			return nil, err
		}
		err := d.Read(ctx, func(tx *db.Tx) (err error) { install, err = keyring.InstallID(tx); return err })
		if err != nil {
			return nil, err
		}
		random := secret.Random{}
		return keeper(c, d, event.NewLog(events, random, time.Now, nil), job.NewRunner(d, random.ID(time.Now()), time.Now, log), version, time.Now)
	}()
	if err != nil {
		return nil, "", nil, errors.Join(err, d.Close())
	}
	return k, install, d.Close, nil
}
