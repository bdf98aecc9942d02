package keyring

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// kek is the key-encryption key. Its id distinguishes it from another without revealing
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

// Fingerprint tells a JWT_SECRET_KEY of an installation from another, and nothing about it.
func Fingerprint(master, installID string) string { return newKEK(master, installID).id }

// row is a key as it is in the database, sealed.
type row struct {
	key   Key
	wraps []wrap
}

type wrap struct {
	kek    string
	sealed []byte
	madeAt int64
}

// readRows reads the whole ring, the oldest key of a purpose first.
func readRows(tx *db.Tx) ([]row, error) {
	rows, err := tx.Query(`SELECT k.id, k.purpose, k.n, k.algorithm, k.created_at, k.from_at, k.revoked_at, k.life, w.kek, w.sealed, w.made_at
		FROM ring_key AS k JOIN ring_wrap AS w ON w.key_id = k.id ORDER BY k.purpose, k.n, w.made_at DESC, w.kek`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		var (
			k                   Key
			w                   wrap
			created, from, life int64
			revoked             *int64
		)
		if err := rows.Scan(&k.ID, &k.Purpose, &k.N, &k.Algorithm, &created, &from, &revoked, &life, &w.kek, &w.sealed, &w.madeAt); err != nil {
			return nil, err
		}
		if len(out) == 0 || out[len(out)-1].key.ID != k.ID {
			k.CreatedAt, k.RevokedAt, k.Life = db.Time(created), db.TimeOrZero(revoked), time.Duration(life)*time.Microsecond
			if from != 0 {
				k.From = db.Time(from)
			}
			out = append(out, row{key: k})
		}
		last := &out[len(out)-1]
		last.wraps = append(last.wraps, w)
		last.key.Secrets = append(last.key.Secrets, w.kek)
	}
	return out, rows.Err()
}

// under returns the key's wrap under a kek.
func (w row) under(id string) (wrap, bool) {
	i := slices.IndexFunc(w.wraps, func(one wrap) bool { return one.kek == id })
	if i < 0 {
		return wrap{}, false
	}
	return w.wraps[i], true
}

// useSecrets derives the keks. It refuses a secret that opens nothing where
// there is something to be opened.
func (r *Ring) useSecrets(rows []row, c Config) error {
	r.keks = []kek{newKEK(c.Secret, r.InstallID)}
	if c.Previous == "" || len(rows) == 0 {
		return r.known(rows)
	}
	previous := newKEK(c.Previous, r.InstallID)
	for _, w := range rows {
		if _, ok := w.under(previous.id); ok {
			r.keks = append(r.keks, previous)
			return nil
		}
	}
	if err := r.known(rows); err != nil {
		f := fault.As(err)
		return fault.New(f.Kind, f.Code, f.Message+fmt.Sprintf(" JWT_SECRET_KEY_PREVIOUS, with the fingerprint %s, is not it either.", previous.id))
	}
	return nil
}

// known refuses a secret under which nothing is sealed.
func (r *Ring) known(rows []row) error {
	for _, w := range rows {
		if _, ok := w.under(r.keks[0].id); ok {
			return nil
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return wrongSecret(r.keks[0].id, rows[0].key.Secrets)
}

func wrongSecret(have string, want []string) error {
	return fault.New(fault.Invalid, "wrong_secret", fmt.Sprintf(
		"JWT_SECRET_KEY is not the secret that this database's keys are sealed with: its fingerprint is %s, and the keys need %s. "+
			"Set JWT_SECRET_KEY to the secret this installation was started with. To change it, set JWT_SECRET_KEY_PREVIOUS to that one in addition to the new one.",
		have, strings.Join(want, " or ")))
}

// open unseals every key with one of our keks.
func (r *Ring) open(rows []row) (map[Purpose][]Key, error) {
	keys := map[Purpose][]Key{}
	for _, w := range rows {
		k := w.key
		var err error
		if k.Material, err = r.unseal(w); err != nil {
			return nil, err
		}
		if k.Name, err = name(k); err != nil {
			return nil, err
		}
		keys[k.Purpose] = append(keys[k.Purpose], k)
	}
	return keys, nil
}

func (r *Ring) unseal(w row) ([]byte, error) {
	for _, k := range r.keks {
		sealed, ok := w.under(k.id)
		if !ok {
			continue
		}
		material, err := secret.Open(k.key, sealed.sealed, wrapContext(w.key))
		if err != nil {
			return nil, fmt.Errorf("key %s (%s) in the database is damaged: %w", w.key.ID, w.key.Purpose, err)
		}
		return material, nil
	}
	return nil, wrongSecret(r.keks[0].id, w.key.Secrets)
}

// seal writes the key under each of our keks.
func (r *Ring) seal(tx *db.Tx, k Key, keks []kek, now time.Time) error {
	for i, kek := range keks {
		// JWT_SECRET_KEY is the newer one, however soon it came after the other.
		made := db.Micros(now) - int64(i)
		if _, err := tx.Exec(`INSERT INTO ring_wrap (key_id, kek, sealed, made_at) VALUES ($1, $2, $3, $4)`,
			k.ID, kek.id, secret.Seal(r.random, kek.key, k.Material, wrapContext(k)), made); err != nil {
			return err
		}
	}
	return nil
}

// sealAnew seals under JWT_SECRET_KEY what is not yet, or was before it was sealed
// under JWT_SECRET_KEY_PREVIOUS: when a change of the secret is taken back, the
// older one becomes the newer one.
func (r *Ring) sealAnew(tx *db.Tx, rows []row, now time.Time, changed *bool) ([]row, error) {
	if len(r.keks) < 2 {
		return rows, nil
	}
	current, previous := r.keks[0], r.keks[1]
	for _, w := range rows {
		mine, ok := w.under(current.id)
		other, both := w.under(previous.id)
		if ok && (!both || mine.madeAt > other.madeAt) {
			continue
		}
		k := w.key
		var err error
		if k.Material, err = r.unseal(w); err != nil {
			return nil, err
		}
		if ok {
			if _, err := tx.Exec(`DELETE FROM ring_wrap WHERE key_id = $1 AND kek = $2`, k.ID, current.id); err != nil {
				return nil, err
			}
		}
		if err := r.seal(tx, k, []kek{current}, now); err != nil {
			return nil, err
		}
		*changed = true
	}
	if !*changed {
		return rows, nil
	}
	return readRows(tx)
}

// Unseal deletes what is sealed under secrets older than JWT_SECRET_KEY, so that
// they open nothing any more, and returns their fingerprints. It does nothing as
// long as JWT_SECRET_KEY_PREVIOUS is in use, and leaves what is sealed under a
// newer secret: then it is this replica that is behind.
func (r *Ring) Unseal(tx *db.Tx) ([]string, error) {
	if len(r.keks) > 1 {
		return nil, nil
	}
	_, changed, err := lock(tx)
	if err != nil {
		return nil, err
	}
	rows, err := readRows(tx)
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, w := range rows {
		mine, ok := w.under(r.keks[0].id)
		if !ok {
			continue
		}
		for _, other := range w.wraps {
			if other.kek == mine.kek || other.madeAt >= mine.madeAt {
				continue
			}
			if _, err := tx.Exec(`DELETE FROM ring_wrap WHERE key_id = $1 AND kek = $2`, w.key.ID, other.kek); err != nil {
				return nil, err
			}
			*changed = true
			if !slices.Contains(gone, other.kek) {
				gone = append(gone, other.kek)
			}
		}
	}
	if !*changed {
		return nil, nil
	}
	return gone, bump(tx)
}

// Secrets returns the fingerprints of JWT_SECRET_KEY and, if it opens anything,
// of JWT_SECRET_KEY_PREVIOUS.
func (r *Ring) Secrets() []string {
	out := make([]string, 0, 2)
	for _, k := range r.keks {
		out = append(out, k.id)
	}
	return out
}

// wrapContext binds a sealed key to its row.
func wrapContext(k Key) string { return "gatehouse/ring/1 " + string(k.Purpose) + " " + k.ID }
