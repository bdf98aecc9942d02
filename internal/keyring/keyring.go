// Package keyring keeps the installation's secrets: random keys, each for one
// purpose, that stand in the database sealed under a key derived from
// JWT_SECRET_KEY.
//
// The setting alone forges nothing, and neither does a copy of the database;
// both together do, so after a leak of both the keys must be replaced as well.
package keyring

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/db"
	"github.com/gatehouse-auth/gatehouse/internal/fault"
	"github.com/gatehouse-auth/gatehouse/internal/secret"
)

// Purpose is what a key is for. No key serves two.
type Purpose string

// The purposes.
const (
	// RefreshMAC authenticates refresh tokens, so that a made-up one is refused
	// without touching the database.
	RefreshMAC Purpose = "refresh-mac"
	// RefreshDerive is what the secrets of refresh tokens are derived from.
	RefreshDerive Purpose = "refresh-derive"
	// AccessSign signs access tokens.
	AccessSign Purpose = "access-sign"
	// CSRF makes the tokens against forged requests.
	CSRF Purpose = "csrf"
	// Lockout hashes the names under which tries at passwords are counted, and
	// makes the tokens of known devices.
	Lockout Purpose = "lockout"
	// Pseudonym hashes the e-mail addresses that stand in events.
	Pseudonym Purpose = "pseudonym"
	// Outbox seals the mails that wait to be sent.
	Outbox Purpose = "outbox"
)

// generators makes a new key for each purpose.
var generators = map[Purpose]func(secret.Random) ([]byte, error){
	RefreshMAC:    symmetric,
	RefreshDerive: symmetric,
	AccessSign:    newSigningKey,
	CSRF:          symmetric,
	Lockout:       symmetric,
	Pseudonym:     symmetric,
	Outbox:        symmetric,
}

func symmetric(r secret.Random) ([]byte, error) { return r.Bytes(secret.KeySize), nil }

// Ring is the installation's keys, opened.
type Ring struct {
	// InstallID names the installation; Epoch is how often it has been restored
	// from a backup.
	InstallID string
	Epoch     uint32

	keys map[Purpose][]byte
}

// Key returns the key in force for a purpose.
func (r *Ring) Key(p Purpose) []byte { return r.keys[p] }

// Open opens the keys with the master secret (JWT_SECRET_KEY). What is missing
// it makes: all of it at the first start. Of several replicas that start at
// once one makes them and all open the same. If the keys were sealed under
// another secret the error is a fault of kind Invalid that says so.
func Open(ctx context.Context, d *db.DB, random secret.Random, now time.Time, master string) (*Ring, error) {
	fresh := make(map[Purpose][]byte, len(generators))
	for p, generate := range generators {
		k, err := generate(random)
		if err != nil {
			return nil, fmt.Errorf("making the key for %s: %w", p, err)
		}
		fresh[p] = k
	}
	var ring *Ring
	err := d.Write(ctx, func(tx *db.Tx) error {
		r, err := openInstall(tx, random, now)
		if err != nil {
			return err
		}
		kek := newKEK(master, r.InstallID)
		for p, k := range fresh {
			if err := addMissing(tx, random, now, kek, p, k); err != nil {
				return err
			}
		}
		ring = r
		return ring.load(tx, kek)
	})
	return ring, err
}

// Install makes the installation's row if there is none, as Open does: an
// operator's command may come before the first start.
func Install(ctx context.Context, d *db.DB, random secret.Random, now time.Time) error {
	return d.Write(ctx, func(tx *db.Tx) error {
		_, err := openInstall(tx, random, now)
		return err
	})
}

func openInstall(tx *db.Tx, random secret.Random, now time.Time) (*Ring, error) {
	// A replica that comes second waits here for the first one's commit.
	if _, err := tx.Exec(`INSERT INTO install (one, id, epoch, created_at) VALUES (1, $1, 1, $2) ON CONFLICT DO NOTHING`,
		random.ID(now), db.Micros(now)); err != nil {
		return nil, err
	}
	var (
		r     Ring
		epoch int64
	)
	if err := tx.QueryRow(`SELECT id, epoch FROM install`).Scan(&r.InstallID, &epoch); err != nil {
		return nil, err
	}
	r.Epoch = uint32(epoch) //nolint:gosec // counts restores
	r.keys = map[Purpose][]byte{}
	return &r, nil
}

func addMissing(tx *db.Tx, random secret.Random, now time.Time, kek kek, p Purpose, key []byte) error {
	id := random.ID(now)
	n, err := tx.Exec(`INSERT INTO ring_key (id, purpose, n, created_at) VALUES ($1, $2, 1, $3) ON CONFLICT (purpose, n) DO NOTHING`,
		id, string(p), db.Micros(now))
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.Exec(`INSERT INTO ring_wrap (key_id, kek, sealed) VALUES ($1, $2, $3)`,
		id, kek.id, secret.Seal(random, kek.key, key, wrapContext(id, p)))
	return err
}

// load opens every key that is sealed under the kek.
func (r *Ring) load(tx *db.Tx, kek kek) error {
	rows, err := tx.Query(`SELECT k.id, k.purpose, w.kek, w.sealed FROM ring_key AS k JOIN ring_wrap AS w ON w.key_id = k.id
		ORDER BY k.purpose, k.n`)
	if err != nil {
		return err
	}
	defer rows.Close()
	other := ""
	for rows.Next() {
		var (
			id, under string
			purpose   Purpose
			sealed    []byte
		)
		if err := rows.Scan(&id, &purpose, &under, &sealed); err != nil {
			return err
		}
		if under != kek.id {
			other = under
			continue
		}
		key, err := secret.Open(kek.key, sealed, wrapContext(id, purpose))
		if err != nil {
			return fmt.Errorf("key %s (%s) in the database is damaged: %w", id, purpose, err)
		}
		r.keys[purpose] = key
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for p := range generators {
		if r.keys[p] == nil {
			return wrongSecret(kek.id, other)
		}
	}
	return nil
}

func wrongSecret(have, want string) error {
	return fault.New(fault.Invalid, "wrong_secret", fmt.Sprintf(
		"JWT_SECRET_KEY is not the one that this database's keys are sealed under: it has the fingerprint %s, and they want %s. "+
			"Set JWT_SECRET_KEY to the secret this installation was started with.", have, want))
}

// wrapContext binds a sealed key to its row.
func wrapContext(id string, p Purpose) string { return "gatehouse/ring/1 " + string(p) + " " + id }

// kek is the key-encrypting key. Its id tells it from another without telling
// anything about it.
type kek struct {
	key []byte
	id  string
}

func newKEK(master, installID string) kek {
	return kek{
		key: secret.Derive([]byte(master), []byte(installID), "gatehouse/kek/1"),
		id:  hex.EncodeToString(secret.Derive([]byte(master), []byte(installID), "gatehouse/kek-id/1")[:8]),
	}
}
