package keyring

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

const (
	// Lead is how long a key for access tokens is published before it signs: twice
	// as long as applications may keep the published keys.
	Lead = 10 * time.Minute
	// Agree is how long after a change all replicas are taken to know of it. They do within half a second.
	Agree = 2 * time.Second
	// leeway is how much longer a retired key is good than its last token, for
	// replicas whose clocks differ.
	leeway = 2 * time.Minute
	// remember is how long a key is kept that is good for nothing any more: for the
	// list, and for clocks that were wrong.
	remember = 24 * time.Hour
)

// ErrKeyNotFound is for a name that no key has.
var ErrKeyNotFound = fault.New(fault.NotFound, "key_not_found", "There is no such key. `gatehouse key list` lists all keys.")

// InForce returns the key that signs access tokens now, and the one that stands
// by, which is published and signs next; the latter is the zero Key if there is
// none. Keys come as [Ring.Keys] returns them.
//
// What was replaced does not come back, even if its successor is revoked. The
// clock may be wrong: where none has taken over yet, the first one is in force.
func InForce(keys []Key, now time.Time) (signs, next Key) {
	floor := int64(0)
	for _, k := range keys {
		if k.takesOver() && !k.From.After(now) {
			floor = max(floor, k.N)
		}
	}
	for _, k := range keys {
		switch {
		case !k.RevokedAt.IsZero():
		case k.From.IsZero():
			next = k
		case signs.ID == "" && k.N >= floor:
			signs = k
		}
	}
	return signs, next
}

// Scheduled returns the key that takes over at a time that is set, and whether
// there is one.
func Scheduled(keys []Key, now time.Time) (Key, bool) {
	signs, _ := InForce(keys, now)
	for _, k := range keys {
		if k.RevokedAt.IsZero() && k.From.After(now) && k.N > signs.N {
			return k, true
		}
	}
	return Key{}, false
}

// takesOver reports whether the key does so one day, or has: one that was
// revoked before its time never does.
func (k Key) takesOver() bool {
	return !k.From.IsZero() && (k.RevokedAt.IsZero() || !k.RevokedAt.Before(k.From))
}

// Replaced returns when another key takes over from one for access tokens, and
// when the last token that it has signed has expired; zero for one that nothing
// replaces yet.
func Replaced(keys []Key, k Key) (to, until time.Time) {
	for _, other := range keys {
		if other.N > k.N && other.takesOver() && (to.IsZero() || other.From.Before(to)) {
			to = other.From
		}
	}
	if k.From.IsZero() || to.IsZero() {
		return time.Time{}, time.Time{}
	}
	return to, to.Add(k.Life + leeway)
}

// Fresh are two new keys for access tokens, and one for ID tokens where the change
// needs one, made before the transaction: see [Generate] and [Ring.GenerateIDSign].
type Fresh struct {
	Algorithm string
	Material  [2][]byte
	IDSign    []byte
}

// Generate makes the keys for access tokens that a change may need. Without an
// algorithm they are for the newest key's.
func (r *Ring) Generate(algorithm string) (f Fresh, err error) {
	if algorithm == "" {
		keys := r.Keys(AccessSign)
		algorithm = keys[len(keys)-1].Algorithm
	}
	f.Algorithm = algorithm
	for i := range f.Material {
		if f.Material[i], err = Generate(algorithm, r.random); err != nil {
			return f, fmt.Errorf("making a key for access tokens: %w", err)
		}
	}
	return f, nil
}

// Change is the ring while it is changed, within one transaction.
type Change struct {
	ring    *Ring
	tx      *db.Tx
	now     time.Time
	fresh   [][]byte
	alg     string
	idSign  []byte
	changed bool
	// Keys are the keys as they are by now.
	Keys map[Purpose][]Key
}

// Change locks the ring until the end of the transaction and calls fn, whose
// changes all replicas know within a second.
func (r *Ring) Change(tx *db.Tx, fresh Fresh, now time.Time, fn func(c *Change) error) error {
	_, changed, err := lock(tx)
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
	c := &Change{
		ring: r, tx: tx, now: now, fresh: slices.Clone(fresh.Material[:]), alg: fresh.Algorithm, idSign: fresh.IDSign, changed: *changed,
	}
	if c.Keys, err = r.open(rows); err != nil {
		return err
	}
	if err := fn(c); err != nil || !c.changed {
		return err
	}
	return bump(tx)
}

// signing are the keys for access tokens.
func (c *Change) signing() []Key { return c.Keys[AccessSign] }

// NextAlgorithm is the algorithm of the newest key, which signs now or will.
func (c *Change) NextAlgorithm() string {
	keys := c.signing()
	return keys[len(keys)-1].Algorithm
}

// Rotate has the next key take over: as soon as it has been published for Lead
// or, if atOnce is set, as soon as all replicas know. It returns the key with its
// time. When one is about to take over already, that is the one; atOnce hastens
// it. A key for another algorithm than the fresh ones' that has not signed yet is
// dropped.
func (c *Change) Rotate(atOnce bool) (Key, error) {
	if k, ok := Scheduled(c.signing(), c.now); ok && k.Algorithm == c.alg {
		if soon := c.now.Add(Agree); atOnce && k.From.After(soon) {
			return c.schedule(k, soon)
		}
		return k, c.standBy()
	}
	_, next := InForce(c.signing(), c.now)
	for _, k := range slices.Clone(c.signing()) {
		// Nothing that signs soon by anybody's clock.
		early := k.From.IsZero() || k.From.After(c.now.Add(leeway))
		if early && k.Algorithm != c.alg && k.RevokedAt.IsZero() {
			if err := c.remove(k); err != nil {
				return Key{}, err
			}
			if k.ID == next.ID {
				next = Key{}
			}
		}
	}
	if next.ID == "" {
		var err error
		if next, err = c.addSigning(time.Time{}); err != nil {
			return Key{}, err
		}
	}
	from := c.now.Add(Agree)
	if published := next.CreatedAt.Add(Lead); !atOnce && published.After(from) {
		from = published
	}
	next, err := c.schedule(next, from)
	if err != nil {
		return Key{}, err
	}
	return next, c.standBy()
}

// Revoke ends the keys with these names: nothing that they made is good any
// more. Where one was in force, another is from now on: for access tokens the
// next one, which is published already, or a new one if that is revoked as well.
// It returns the keys that were revoked; those that were before are left alone.
func (c *Change) Revoke(names ...string) ([]Key, error) {
	var revoked []Key
	for _, name := range names {
		k, ok := c.find(name)
		switch {
		case !ok:
			return nil, ErrKeyNotFound
		case !k.RevokedAt.IsZero():
			continue
		}
		if _, err := c.tx.Exec(`UPDATE ring_key SET revoked_at = $2 WHERE id = $1`, k.ID, db.Micros(c.now)); err != nil {
			return nil, err
		}
		k.RevokedAt = c.now
		c.put(k)
		revoked = append(revoked, k)
	}
	for p, keys := range c.Keys {
		if p == AccessSign || keys[len(keys)-1].RevokedAt.IsZero() {
			continue
		}
		if _, err := c.another(p, c.now); err != nil {
			return nil, err
		}
	}
	return revoked, c.succeed()
}

// Supersede makes another key for a purpose that has one at a time. Those before stay, so that
// what they made is recognised.
func (c *Change) Supersede(p Purpose) error {
	_, err := c.another(p, c.now)
	return err
}

// Forget deletes all keys, for a restore whose JWT_SECRET_KEY is lost: the next start makes
// new ones.
func Forget(tx *db.Tx) error {
	if _, err := tx.Exec(`DELETE FROM ring_wrap`); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM ring_key`); err != nil {
		return err
	}
	return bump(tx)
}

// succeed makes sure that a key signs now, and another stands by.
func (c *Change) succeed() error {
	signs, next := InForce(c.signing(), c.now)
	if signs.ID == "" || signs.From.After(c.now) {
		if signs.ID == "" {
			signs = next
		}
		var err error
		if signs.ID == "" {
			_, err = c.addSigning(c.now)
		} else {
			_, err = c.schedule(signs, c.now)
		}
		if err != nil {
			return err
		}
	}
	return c.standBy()
}

// Due reports whether time asks for anything, or a secret: see [Change.Due].
func (r *Ring) Due(now time.Time, period time.Duration) bool {
	signing := r.Keys(AccessSign)
	signs, next := InForce(signing, now)
	_, scheduled := Scheduled(signing, now)
	if next.ID == "" || period > 0 && !scheduled && !signs.From.Add(period).After(now) {
		return true
	}
	for _, p := range idSigns {
		if idSignDue(r.Keys(p), now, period) {
			return true
		}
	}
	for _, keys := range r.state.Load().keys {
		for _, k := range keys {
			if spent(keys, k, now) || !slices.Contains(k.Secrets, r.keks[0].id) {
				return true
			}
		}
	}
	return false
}

// spent reports whether a key has long been good for nothing.
func spent(keys []Key, k Key, now time.Time) bool {
	until := k.RevokedAt
	switch {
	case !until.IsZero():
	case k.Purpose == AccessSign:
		_, until = Replaced(keys, k)
	case slices.Contains(idSigns, k.Purpose):
		if to, _ := Replaced(keys, k); !to.IsZero() {
			until = to.Add(hintLife)
		}
	}
	return !until.IsZero() && until.Add(remember).Before(now)
}

// Due does what time asks for: keys that have signed for the period are replaced,
// by those that it returns, and keys that have long been good for nothing are
// deleted. A period of zero is never over.
func (c *Change) Due(period time.Duration) (next []Key, err error) {
	signs, _ := InForce(c.signing(), c.now)
	_, scheduled := Scheduled(c.signing(), c.now)
	if period > 0 && !scheduled && !signs.From.Add(period).After(c.now) {
		k, err := c.Rotate(false)
		if err != nil {
			return nil, err
		}
		next = append(next, k)
	}
	id, err := c.dueIDSign(period)
	if err != nil {
		return nil, err
	}
	for _, keys := range c.Keys {
		all := slices.Clone(keys)
		for _, k := range all {
			if spent(all, k, c.now) {
				if err := c.remove(k); err != nil {
					return nil, err
				}
			}
		}
	}
	return append(next, id...), c.standBy()
}

// standBy makes sure that a next key is published.
func (c *Change) standBy() error {
	if _, next := InForce(c.signing(), c.now); next.ID != "" {
		return nil
	}
	_, err := c.addSigning(time.Time{})
	return err
}

// addSigning adds a fresh key for access tokens.
func (c *Change) addSigning(from time.Time) (Key, error) {
	keys := c.signing()
	last := keys[len(keys)-1]
	if len(c.fresh) == 0 {
		return Key{}, errors.New("a change of the keyring needs more new keys than were generated")
	}
	k := Key{Purpose: AccessSign, N: last.N + 1, Algorithm: c.alg, Material: c.fresh[0], From: from, Life: last.Life}
	c.fresh = c.fresh[1:]
	return c.add(k)
}

func (c *Change) add(k Key) (Key, error) {
	k, err := c.ring.add(c.tx, k, c.now)
	if err != nil {
		return k, err
	}
	c.Keys[k.Purpose] = append(c.Keys[k.Purpose], k)
	c.changed = true
	return k, nil
}

// add writes a new key, sealed, and completes it.
func (r *Ring) add(tx *db.Tx, k Key, now time.Time) (Key, error) {
	k.ID, k.CreatedAt, k.Secrets = r.random.ID(now), now, r.Secrets()
	var err error
	if k.Name, err = name(k); err != nil {
		return k, err
	}
	if _, err := tx.Exec(`INSERT INTO ring_key (id, purpose, n, algorithm, created_at, from_at, life) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		k.ID, string(k.Purpose), k.N, k.Algorithm, db.Micros(now), micros(k.From), k.Life.Microseconds()); err != nil {
		return k, err
	}
	return k, r.seal(tx, k, r.keks, now)
}

func (c *Change) schedule(k Key, from time.Time) (Key, error) {
	_, err := c.tx.Exec(`UPDATE ring_key SET from_at = $2 WHERE id = $1`, k.ID, db.Micros(from))
	k.From = from
	c.put(k)
	return k, err
}

func (c *Change) remove(k Key) error {
	if _, err := c.tx.Exec(`DELETE FROM ring_wrap WHERE key_id = $1`, k.ID); err != nil {
		return err
	}
	_, err := c.tx.Exec(`DELETE FROM ring_key WHERE id = $1`, k.ID)
	c.Keys[k.Purpose] = slices.DeleteFunc(c.Keys[k.Purpose], func(other Key) bool { return other.ID == k.ID })
	c.changed = true
	return err
}

func (c *Change) find(name string) (Key, bool) {
	for _, keys := range c.Keys {
		for _, k := range keys {
			if k.Name == name || k.ID == name {
				return k, true
			}
		}
	}
	return Key{}, false
}

func (c *Change) put(k Key) {
	keys := c.Keys[k.Purpose]
	keys[slices.IndexFunc(keys, func(other Key) bool { return other.ID == k.ID })] = k
	c.changed = true
}

// micros is 0 for no time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return db.Micros(t)
}

// SigningSince returns since when the key that signs access tokens does; no secret is needed for that.
func SigningSince(tx *db.Tx, now time.Time) (time.Time, error) {
	rows, err := readRows(tx)
	if err != nil {
		return time.Time{}, err
	}
	var keys []Key
	for _, r := range rows {
		if r.key.Purpose == AccessSign {
			keys = append(keys, r.key)
		}
	}
	signs, _ := InForce(keys, now)
	return signs.From, nil
}
