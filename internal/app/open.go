package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// OpenDatabase opens the database that serves.
func OpenDatabase(ctx context.Context, c *config.Config, log *slog.Logger) (*db.DB, error) {
	return db.Open(ctx, db.Config{URL: c.Database.URL.Reveal(), MaxConns: c.DatabaseMaxConns, Log: log})
}

// OpenMigrating opens the database as the role that migrates.
func OpenMigrating(ctx context.Context, c *config.Config, log *slog.Logger) (*db.DB, error) {
	return db.Open(ctx, db.Config{URL: c.MigrateDatabase.URL.Reveal(), MaxConns: 2, Log: log})
}

// Migrate brings the schema up to date with the role that may, and returns the
// names of the migrations it applied.
func Migrate(ctx context.Context, c *config.Config, log *slog.Logger) ([]string, error) {
	d, err := OpenMigrating(ctx, c, log)
	if err != nil {
		return nil, err
	}
	done, err := d.Migrate(ctx)
	return done, errors.Join(err, d.Close())
}

// prepareSchema migrates if that is needed and wanted, and refuses a schema that
// this program, or this role, can't serve.
func (b *base) prepareSchema(ctx context.Context) error {
	err := b.db.Serves(ctx)
	f := fault.As(err)
	if err == nil {
		return b.judgeDatabase(ctx)
	}
	if f == nil || b.config.Migrate != config.MigrateAuto || f.Code != "schema_behind" && f.Code != "rights_missing" {
		return err
	}
	told := b.tellOfWaiting()
	done, err := Migrate(ctx, b.config, b.log)
	told()
	if len(done) > 0 {
		b.log.Info("migrated the database", "migrations", len(done), "last", done[len(done)-1])
	}
	if err != nil {
		return err
	}
	if err := b.db.Serves(ctx); err != nil {
		return err
	}
	return b.judgeDatabase(ctx)
}

// secretFile is where the secret is kept that the first start in development
// makes.
const secretFile = "jwt_secret_key" //nolint:gosec // a name

// masterSecret returns JWT_SECRET_KEY, or in development the one that is kept
// beside the data, which it makes if need be.
func masterSecret(c *config.Config) (string, error) {
	if c.JWTSecretKey != "" {
		return c.JWTSecretKey.Reveal(), nil
	}
	return keptSecret(c, secretFile)
}

// keptSecret returns the secret that is kept beside the data under this name,
// which it makes if need be.
func keptSecret(c *config.Config, name string) (string, error) {
	if err := os.MkdirAll(c.DataDir(), 0o700); err != nil {
		return "", fmt.Errorf("the folder for generated secrets can't be made: %w", err)
	}
	path := filepath.Join(c.DataDir(), name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // beside the data
	if errors.Is(err, fs.ErrExist) {
		b, err := os.ReadFile(path) //nolint:gosec // beside the data
		if err == nil && len(strings.TrimSpace(string(b))) < secret.KeySize {
			err = fmt.Errorf("%s is too short to be the secret that the first start made: restore it, or remove it together with the database", path)
		}
		return strings.TrimSpace(string(b)), err
	}
	if err != nil {
		return "", fmt.Errorf("the generated secret can't be kept: %w", err)
	}
	made := secret.Random{}.Text(secret.KeySize)
	_, err = f.WriteString(made + "\n")
	return made, errors.Join(err, f.Sync(), f.Close())
}

// readKept returns the secret that is kept beside the data under this name, empty if there is
// none: it makes none.
func readKept(c *config.Config, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(c.DataDir(), name)) //nolint:gosec // beside the data
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// existing refuses a SQLite database that is not there. To open it would make it: a command that looks at what there is, run in another folder
// than the server's, would answer from an empty one.
func existing(c *config.Config) error {
	if c.Database.Kind != config.SQLite {
		return nil
	}
	if _, err := os.Stat(c.Database.Path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	path, err := filepath.Abs(c.Database.Path)
	if err != nil {
		return err
	}
	return fault.New(fault.NotFound, "no_database", "There is no database at "+path+
		". Run the command in the server's folder, or name the server's settings with --env-file.")
}

// Operator opens the database for one command of the operator's. The schema
// must be up to date already, save that SQLite's may be made: the first command
// may come before the first start. Its events are written to events as well.
// Close what it returns.
func Operator(ctx context.Context, c *config.Config, log, events *slog.Logger) (*operate.Operator, func() error, error) {
	d, err := OpenDatabase(ctx, c, log)
	if err != nil {
		return nil, nil, err
	}
	random := secret.Random{}
	if err := prepareOperator(ctx, c, d, log, random); err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	breaches, closeBreaches, err := OpenBreaches(c, log, time.Now)
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	hasher := newHasher(c)
	o := &operate.Operator{
		Core:            flow.Core{DB: d, Events: event.NewLog(events, random, time.Now, nil), Now: time.Now},
		Accounts:        &flow.NewAccounts{Hasher: hasher, Policy: passwordPolicy(c, breaches), Random: random, Now: time.Now},
		Revoked:         token.NewRevocations(d, c.AccessTokenLife, 0, time.Now),
		Notices:         func(ctx context.Context) (*flow.Notices, error) { return operatorNotices(ctx, c, d) },
		EmailLinks:      func(ctx context.Context) (*flow.EmailLinks, error) { return operatorEmailLinks(ctx, c, d) },
		Production:      c.Production(),
		SecondApproves:  c.SecondApproves(),
		Reserved:        reservedAudiences(c),
		Console:         c.AdminURL,
		FactorResetWait: c.FactorResetWait,
		ErasureGrace:    c.ErasureGrace,
		Seal:            func(ctx context.Context) error { return operatorSeal(ctx, c, d) },
		Lockout:         func(ctx context.Context) (*lockout.Store, error) { return operatorLockout(ctx, c, d) },
		SignsID:         func(ctx context.Context, algorithm string) error { return operatorSignsID(ctx, c, d, algorithm) },
		Sealing:         func(ctx context.Context) (operate.Sealing, error) { return operatorSealing(ctx, c, d) },
	}
	return o, func() error { hasher.Close(); return errors.Join(closeBreaches(), d.Close()) }, nil
}

func prepareOperator(ctx context.Context, c *config.Config, d *db.DB, log *slog.Logger, random secret.Random) error {
	if err := firstSchema(ctx, c, d, log); err != nil {
		return err
	}
	if err := d.Serves(ctx); err != nil {
		return err
	}
	return keyring.Install(ctx, d, random, time.Now())
}

// firstSchema makes the schema of a SQLite database that has none. An existing
// one is serve's and migrate's to bring up to date: it may be another version's.
func firstSchema(ctx context.Context, c *config.Config, d *db.DB, log *slog.Logger) error {
	schema, err := d.Schema(ctx)
	if err != nil || d.Dialect() != db.SQLite || schema.Current > 0 || c.Migrate != config.MigrateAuto {
		return err
	}
	_, err = Migrate(ctx, c, log)
	return err
}
