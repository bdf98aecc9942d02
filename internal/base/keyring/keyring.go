// Package keyring keeps the installation's secrets: random keys, each for one
// purpose, stored in the database encrypted under a key derived from
// JWT_SECRET_KEY.
//
// Neither the setting nor a copy of the database is enough to forge anything;
// both together are, so after a leak of both the keys must be replaced as well.
//
// Keys are added and removed while replicas serve: each replica compares one number
// four times a second ([Ring.Poll]), and reads the keyring again when it has changed.
// Code that changes the keyring takes [Lock] first.
//
// # How it works
//
// Keys are encrypted with AES-256-GCM under HKDF(JWT_SECRET_KEY, the installation's
// id), and under the previous secret's too while that is set. A wrong secret is
// reported at startup, with fingerprints, before anything is served.
package keyring

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
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
	// Limit hashes the names under which requests are counted.
	Limit Purpose = "limit"
	// Pseudonym hashes the e-mail addresses that stand in events.
	Pseudonym Purpose = "pseudonym"
	// Outbox seals the mails that wait to be sent.
	Outbox Purpose = "outbox"
	// Ticket hashes the codes in mails, and recognises the browser that registered.
	Ticket Purpose = "ticket"
	// Factor seals the secrets of second factors, and authenticates the rows of passkeys.
	Factor Purpose = "factor"
	// Challenge authenticates the challenges that passkeys sign.
	Challenge Purpose = "challenge"
	// Request seals what an application asks for on its way through a browser, and authenticates codes.
	Request Purpose = "request"
	// IDSign signs ID tokens. It is made when the first application is registered: see [Ring.EnsureIDSign].
	IDSign Purpose = "id-sign"
	// IDSignES256 signs those of applications that ask for ES256. It is made when the first one does.
	IDSignES256 Purpose = "id-sign-es256"
	// ACME seals the private key of the public listener's certificate.
	ACME Purpose = "acme"
)

// generators makes a new key for each purpose. Only that of AccessSign is for an
// algorithm; ID tokens are signed with RS256, which every library has (OpenID Connect Core section 15.1), unless their application asks for ES256.
var generators = map[Purpose]func(algorithm string, r secret.Random) ([]byte, error){
	RefreshMAC:    symmetric,
	RefreshDerive: symmetric,
	AccessSign:    Generate,
	CSRF:          symmetric,
	Lockout:       symmetric,
	Limit:         symmetric,
	Pseudonym:     symmetric,
	Outbox:        symmetric,
	Ticket:        symmetric,
	Factor:        symmetric,
	Challenge:     symmetric,
	Request:       symmetric,
	IDSign:        func(_ string, r secret.Random) ([]byte, error) { return Generate(RS256, r) },
	IDSignES256:   func(_ string, r secret.Random) ([]byte, error) { return Generate(ES256, r) },
	ACME:          symmetric,
}

// Purposes returns all purposes, in the order of their names.
func Purposes() []Purpose { return slices.Sorted(maps.Keys(generators)) }

func symmetric(_ string, r secret.Random) ([]byte, error) { return r.Bytes(secret.KeySize), nil }

// Config is what the ring needs to know of the settings.
type Config struct {
	// Secret is JWT_SECRET_KEY, Previous the one before or nothing.
	Secret, Previous string
	// Algorithm is what the first key for access tokens is for: see [Algorithms].
	Algorithm string
	// Life is how long access tokens live by this replica's settings; zero for one
	// that issues none.
	Life time.Duration
}

// Key is one key, opened.
type Key struct {
	ID      string
	Purpose Purpose
	N       int64
	// Algorithm is that of access tokens; empty for the other purposes.
	Algorithm string
	// Material is a private key in PKCS #8, or 32 random bytes.
	Material []byte
	// Name is the kid of access tokens, and ID for the other purposes.
	Name      string
	CreatedAt time.Time
	// From is when it takes over. It is zero for one that stands by.
	From time.Time
	// RevokedAt is zero for one that is not.
	RevokedAt time.Time
	// Life is the longest life of a token that it has signed.
	Life time.Duration
	// Secrets are the fingerprints of the JWT_SECRET_KEYs that it is sealed under.
	Secrets []string
}

// Ring is the installation's keys, opened. It is safe for use by many
// goroutines.
type Ring struct {
	// InstallID names the installation; Epoch is how often it has been restored
	// from a backup.
	InstallID string
	Epoch     uint32

	random   secret.Random
	keks     []kek // JWT_SECRET_KEY's first, then _PREVIOUS's if that opens anything
	state    atomic.Pointer[state]
	complain func(error)
	changed  func()
	idSign   struct {
		sync.Mutex
		made map[Purpose]bool // by this replica, which may not have polled since
	}
}

// state is the ring as it was read once.
type state struct {
	n      int64 // how often it had changed
	keys   map[Purpose][]Key
	behind bool // it could not be opened, and the keys are those from before
}

// Keys returns the keys for a purpose, the oldest first, those included that
// were retired or revoked and those that are yet to come.
func (r *Ring) Keys(p Purpose) []Key { return r.state.Load().keys[p] }

// Key returns the key in force for a purpose that has one at a time.
func (r *Ring) Key(p Purpose) []byte {
	keys := r.Keys(p)
	return keys[len(keys)-1].Material
}

// Unrevoked returns what reads the keys for a purpose as they are at the moment, the one in force last. What a revoked one has
// made is recognised no more.
func (r *Ring) Unrevoked(p Purpose) func() [][]byte {
	return func() (keys [][]byte) {
		for _, k := range r.Keys(p) {
			if k.RevokedAt.IsZero() {
				keys = append(keys, k.Material)
			}
		}
		return keys
	}
}

// Behind reports whether the ring has changed and could not be opened, as when
// this replica's JWT_SECRET_KEY is an old one.
func (r *Ring) Behind() bool { return r.state.Load().behind }

// OnChange has fn called, from [Ring.Poll], each time that the ring has changed,
// and complain when it has and can't be opened. They must be set before the
// first poll.
func (r *Ring) OnChange(fn func(), complain func(error)) { r.changed, r.complain = fn, complain }

// Poll looks whether the ring has changed, and opens it again if it has. A ring
// that can't be opened is no error, which would be the database's: this replica
// goes on with the keys that it has, and complains once.
func (r *Ring) Poll(tx *db.Tx) error {
	var n int64
	if err := tx.QueryRow(`SELECT ring_n FROM install`).Scan(&n); err != nil {
		return err
	}
	known := r.state.Load()
	if n == known.n {
		return nil
	}
	rows, err := readRows(tx)
	if err != nil {
		return err
	}
	keys, err := r.open(rows)
	if err != nil {
		// Not again until it changes again.
		r.state.Store(&state{n: n, keys: known.keys, behind: true})
		r.complain(err)
		return nil
	}
	r.state.Store(&state{n: n, keys: keys})
	r.changed()
	return nil
}

// Open opens the keys with the master secret (JWT_SECRET_KEY). What is missing
// it makes: all of it at the first start. Of several replicas that start at
// once one makes them and all open the same. If the keys were sealed under
// another secret the error is a fault of kind Invalid that says so.
//
// With a previous secret that opens keys it seals them under the new one as
// well, and whatever is made from then on is sealed under both: replicas that
// know one or the other go on side by side.
func Open(ctx context.Context, d *db.DB, random secret.Random, now time.Time, c Config) (*Ring, error) {
	r := &Ring{random: random, changed: func() {}, complain: func(error) {}}
	if c.Algorithm == "" {
		c.Algorithm = ES256
	}
	if err := Install(ctx, d, random, now); err != nil {
		return nil, err
	}
	// A key for RSA takes seconds to find: only where one is missing, and before
	// the transaction.
	var rows []row
	err := d.Read(ctx, func(tx *db.Tx) (err error) {
		if r.InstallID, r.Epoch, err = install(tx); err != nil {
			return err
		}
		rows, err = readRows(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.useSecrets(rows, c); err != nil {
		return nil, err
	}
	fresh, err := r.generateMissing(rows, c.Algorithm)
	if err != nil {
		return nil, err
	}
	return r, d.Write(ctx, func(tx *db.Tx) error { return r.openLocked(tx, fresh, c, now) })
}

// Look opens the keys that there are, and writes nothing: for who only looks. It returns the fault of [Open] for a wrong secret, and
// no ring where no server has made one yet.
func Look(tx *db.Tx, c Config) (*Ring, error) {
	r := &Ring{changed: func() {}, complain: func(error) {}}
	var err error
	if r.InstallID, r.Epoch, err = install(tx); err != nil {
		return nil, err
	}
	rows, err := readRows(tx)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	if err := r.useSecrets(rows, c); err != nil {
		return nil, err
	}
	keys, err := r.open(rows)
	if err != nil {
		return nil, err
	}
	r.state.Store(&state{keys: keys})
	return r, nil
}

// openLocked fills what is missing with the fresh keys and opens the ring.
func (r *Ring) openLocked(tx *db.Tx, fresh map[Purpose][]byte, c Config, now time.Time) error {
	n, changed, err := lock(tx)
	if err != nil {
		return err
	}
	rows, err := readRows(tx)
	if err != nil {
		return err
	}
	if rows, err = r.sealAnew(tx, rows, now, changed); err != nil {
		return err
	}
	keys, err := r.open(rows)
	if err != nil {
		return err
	}
	for p, material := range fresh {
		if len(keys[p]) > 0 {
			continue // another replica was faster
		}
		k := Key{Purpose: p, N: 1, Material: material, From: now}
		if p == AccessSign {
			k.Algorithm, k.Life = c.Algorithm, c.Life
		}
		if k, err = r.add(tx, k, now); err != nil {
			return err
		}
		keys[p], *changed = []Key{k}, true
	}
	for _, p := range append([]Purpose{AccessSign}, idSigns...) {
		if err := lengthen(tx, keys[p], c.Life, now, changed); err != nil {
			return err
		}
	}
	if *changed {
		n++
		if err := bump(tx); err != nil {
			return err
		}
	}
	r.state.Store(&state{n: n, keys: keys})
	return nil
}

// lengthen notes that the tokens which keys sign, or will, live longer than
// those until now.
func lengthen(tx *db.Tx, keys []Key, life time.Duration, now time.Time, changed *bool) error {
	signs, _ := InForce(keys, now)
	for i := range keys {
		if k := &keys[i]; k.Life < life && k.N >= signs.N {
			if _, err := tx.Exec(`UPDATE ring_key SET life = $2 WHERE id = $1`, k.ID, life.Microseconds()); err != nil {
				return err
			}
			k.Life, *changed = life, true
		}
	}
	return nil
}

// generateMissing makes a key for each purpose that has none.
func (r *Ring) generateMissing(rows []row, algorithm string) (map[Purpose][]byte, error) {
	fresh := map[Purpose][]byte{}
	for p, generate := range generators {
		if slices.Contains(idSigns, p) || slices.ContainsFunc(rows, func(w row) bool { return w.key.Purpose == p }) {
			continue
		}
		material, err := generate(algorithm, r.random)
		if err != nil {
			return nil, fmt.Errorf("making the key for %s: %w", p, err)
		}
		fresh[p] = material
	}
	return fresh, nil
}

// Install makes the installation's row if there is none, as Open does: an
// operator's command may come before the first start.
func Install(ctx context.Context, d *db.DB, random secret.Random, now time.Time) error {
	return d.Write(ctx, func(tx *db.Tx) error {
		// A replica that comes second waits here for the first one's commit.
		_, err := tx.Exec(`INSERT INTO install (one, id, epoch, created_at, timeline, ledger_key) VALUES (1, $1, 1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			random.ID(now), db.Micros(now), hex.EncodeToString(random.Bytes(16)), random.Bytes(32))
		return err
	})
}

func install(tx *db.Tx) (id string, epoch uint32, err error) {
	var n int64
	err = tx.QueryRow(`SELECT id, epoch FROM install`).Scan(&id, &n)
	return id, uint32(n), err //nolint:gosec // counts restores
}

// InstallID returns the installation's id.
func InstallID(tx *db.Tx) (string, error) {
	id, _, err := install(tx)
	return id, err
}

// lock takes the ring's lock until the end of the transaction, and returns how
// often it has changed. Code that changes it sets changed, and calls bump.
func lock(tx *db.Tx) (n int64, changed *bool, err error) {
	err = tx.QueryRow(`UPDATE install SET ring_n = ring_n RETURNING ring_n`).Scan(&n)
	return n, new(bool), err
}

func bump(tx *db.Tx) error {
	_, err := tx.Exec(`UPDATE install SET ring_n = ring_n + 1`)
	return err
}
