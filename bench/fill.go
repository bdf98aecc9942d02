package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/bcrypt"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// sessionsEach is how many sessions each account of a filled database has.
const sessionsEach = 3

// address is the e-mail address of the nth account of a filled database.
func address(n int) string { return fmt.Sprintf("person-%08d@example.org", n) }

// fill makes the schema in an empty database and puts accounts into it, each
// with three sessions begun within the last six days, past all flows and
// straight into the tables. It returns the refresh tokens of keep sessions,
// evenly spread over them all: real ones, which the server takes.
func fill(ctx context.Context, dbURL, master string, accounts, keep int) ([]string, error) {
	d, err := db.Open(ctx, db.Config{URL: dbURL})
	if err != nil {
		return nil, err
	}
	if _, err := d.Migrate(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	ring, err := keyring.Open(ctx, d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
	if err = errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("nobody signs in with this"), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	g := &generator{
		store: session.NewStore(session.Config{Idle: 7 * 24 * time.Hour, Max: 30 * 24 * time.Hour},
			session.Keys{MAC: ring.Key(keyring.RefreshMAC), Derive: ring.Key(keyring.RefreshDerive)}, ring.Epoch, secret.Random{}),
		hash: "h1:" + string(hash), accounts: accounts, began: time.Now().Add(-6 * 24 * time.Hour),
		every: max(accounts*sessionsEach/max(keep, 1), 1),
	}
	if path, ok := strings.CutPrefix(dbURL, "sqlite:"); ok {
		err = g.sqlite(ctx, path)
	} else {
		err = g.postgres(ctx, dbURL)
	}
	return g.kept, err
}

// generator makes the rows. The nth account and its sessions are made at a
// moment of their own, so that ids come in order and lie as they would.
type generator struct {
	store    *session.Store
	hash     string
	accounts int
	began    time.Time
	every    int // each so-manyth session's token is kept
	made     int
	kept     []string
	ids      []string // of the accounts of the batch at hand
}

var accountColumns = []string{"id", "email", "email_key", "name", "locale", "roles", "hash", "created_at", "verified_at"}

func (g *generator) at(n int) time.Time {
	return g.began.Add(time.Duration(float64(n) / float64(g.accounts) * float64(6*24*time.Hour)))
}

func (g *generator) account(n int) []any {
	at := g.at(n)
	id := secret.Random{}.ID(at)
	g.ids = append(g.ids, id)
	return []any{id, address(n), address(n), "", "", "[]", g.hash, db.Micros(at), db.Micros(at)}
}

func (g *generator) session(account string, n int) []any {
	grant, row := g.store.Make(session.Start{
		Account: account, Roles: []string{}, AMR: []string{"pwd"}, UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		Address: "192.0.2.1",
	}, g.at(n))
	if g.made++; g.made%g.every == 0 {
		g.kept = append(g.kept, grant.Refresh)
	}
	return row
}

// sessionSQL inserts what [generator.session] makes.
const sessionSQL = `INSERT INTO session (id, account_id, roles, amr, user_agent, address, auth_at, max_at, idle_at, gen, cur, salt, minted_at, rotated_at,
	device, network, sid)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`

// batch is how many accounts go into the tables at once.
const batch = 10_000

func (g *generator) postgres(ctx context.Context, dbURL string) error {
	c, err := pgx.Connect(ctx, dbURL)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	// What is made here points at what is made here: no lookup for each row.
	if _, err := c.Exec(ctx, `SET session_replication_role = replica`); err != nil {
		return err
	}
	for from := 0; from < g.accounts; from += batch {
		n := min(batch, g.accounts-from)
		g.ids = g.ids[:0]
		if _, err := c.CopyFrom(ctx, pgx.Identifier{"account"}, accountColumns,
			pgx.CopyFromSlice(n, func(i int) ([]any, error) { return g.account(from + i), nil })); err != nil {
			return err
		}
		if _, err := c.CopyFrom(ctx, pgx.Identifier{"session"}, session.Columns,
			pgx.CopyFromSlice(n*sessionsEach, func(i int) ([]any, error) {
				return g.session(g.ids[i/sessionsEach], from+i/sessionsEach), nil
			})); err != nil {
			return err
		}
	}
	_, err = c.Exec(ctx, `VACUUM (ANALYZE)`)
	if err == nil {
		_, err = c.Exec(ctx, `CHECKPOINT`)
	}
	return err
}

func (g *generator) sqlite(ctx context.Context, path string) error {
	d, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return err
	}
	d.SetMaxOpenConns(1)
	for from := 0; from < g.accounts && err == nil; from += batch {
		err = g.sqliteBatch(ctx, d, from, min(batch, g.accounts-from))
	}
	if err == nil {
		_, err = d.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	return errors.Join(err, d.Close())
}

func (g *generator) sqliteBatch(ctx context.Context, d *sql.DB, from, n int) error {
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after the commit it does nothing
	account, err := tx.PrepareContext(ctx, `INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at, verified_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`)
	if err != nil {
		return err
	}
	defer account.Close()
	row, err := tx.PrepareContext(ctx, sessionSQL)
	if err != nil {
		return err
	}
	defer row.Close()
	g.ids = g.ids[:0]
	for i := range n {
		if _, err := account.ExecContext(ctx, g.account(from+i)...); err != nil {
			return err
		}
		for range sessionsEach {
			if _, err := row.ExecContext(ctx, g.session(g.ids[i], from+i)...); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}
