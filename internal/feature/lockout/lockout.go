// Package lockout limits how often passwords can be guessed, without giving
// strangers a way to lock an owner out.
//
// A try is counted before the password is checked, so that many at once can't
// get ahead of the count. It counts in two buckets. All clients that an
// address does not know get 80 tries together; each of their networks
// has to wait after a few in a row, longer and longer. Browsers that an account
// has signed in from before, its known devices, have 20 of their own together, and
// each of them 10: guesses from elsewhere do not use those up. That makes
// the 100 of NIST SP 800-63B-4 section 3.2.2. A success clears its own bucket, and
// gives the shared one back what it had taken. Strangers' tries fade, one
// a day (UTC): so nobody can permanently lock out an owner's programs that are not
// browsers and can't become a known device, and a guesser gets one more try a day.
//
// Buckets are named by a keyed hash of the address as it was typed. An
// address without an account therefore has them too, and the two can't be distinguished.
// Live sessions are not affected by any of this.
//
// # How it works
//
// A try is one statement over two rows: one that all clients like it share (80 for
// unknown ones, 20 for known devices) and one of its own. The shared row is always
// locked first. The model (model_test.go) corrected two rules of the first design: a
// bucket without a wait stores 0 and no time, or a clock set back by a second would
// lock everybody out; and a wait that ends later than any wait can is
// ignored. Known devices are rows; the MAC in their cookie saves a lookup for strangers.
package lockout

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// How many tries there are until one succeeds.
const (
	// UnknownMost is for all clients together that the address does not know.
	UnknownMost = 80
	// KnownMost is for all known devices together, and DeviceMost for each.
	KnownMost  = 20
	DeviceMost = 10
)

// DelayMost is the longest that a network or a device waits for its next try.
const DelayMost = 15 * time.Minute

// Config says when a network, or a known device, has to wait.
type Config struct {
	// After is how many tries in a row it has before that.
	After int
	// Delay is the first wait; each further try doubles it, up to DelayMost.
	Delay time.Duration
}

// Store keeps the buckets.
type Store struct {
	config Config
	key    []byte
	random secret.Random
	most   most
}

// most is how many tries there are: [UnknownMost], [KnownMost] and [DeviceMost], save in a model.
type most struct{ unknown, known, device int }

// NewStore returns the store whose buckets and devices are hashed under the key.
func NewStore(c Config, key []byte, random secret.Random) *Store {
	return &Store{config: c, key: key, random: random, most: most{UnknownMost, KnownMost, DeviceMost}}
}

// AtOnce is how many tries of one client can be under way at once if none of
// them is to wait.
func (s *Store) AtOnce() int { return max(min(s.config.After, s.most.device), 1) }

// Client is who tries to sign in: an address as the account rules compare it, the network
// that the request came from, and the token of a known device, which may be
// empty or anything that a stranger sends.
type Client struct {
	AddressKey string
	Network    netip.Prefix
	Device     string
	// Codes is the id of the account whose codes of an app are tried; empty where its password
	// is. Codes have buckets of their own, so that neither locks the other, and hang on the
	// account: an address can be changed. They do not fade.
	Codes string
}

// guessed is the bucket of what the client tries, and home that of the address, under which its
// devices are known.
func (s *Store) guessed(c Client) (guessed, home string) {
	home = s.bucket("account", c.AddressKey)
	if c.Codes == "" {
		return home, home
	}
	return s.bucket("factor", c.Codes), home
}

// Try is a try that was accepted.
type Try struct {
	account, home, shared, own string
	codes                      bool
	// Device is the id of the known device that it was made from, or empty.
	Device string
	// Last says that it was the last of its shared bucket (see [Store.Locks]), and First that its
	// network, or its device, has to wait for the first time.
	Last, First bool
	// Guessed says that its network, or its device, has had as many wrong tries in a row
	// before it as are allowed without a wait: if it succeeds, its owner is notified.
	Guessed bool
	// Delay is how long it has to wait for the next one.
	Delay time.Duration
	at    time.Time
}

// The faults of a try that is not accepted.
var (
	// ErrDelayed carries when to come back.
	ErrDelayed = fault.New(fault.Limited, "too_many_attempts",
		"Too many wrong tries in a row. Please wait a little before you try again. If you forgot your password, set a new one.")
	// ErrLocked is for an address at which clients that it does not know have no
	// more tries.
	ErrLocked = fault.New(fault.Limited, "account_locked",
		"Too many wrong passwords were tried for this address, so it can be signed in to only from browsers that it knows. We sent its owner a mail with a "+
			"link that lets their browser in; setting a new password helps too.")
)

// The statements of a try. In $1 and $2 are the keys of the shared and the own
// bucket, in that order in every transaction, so that no two wait for each
// other; $3 the account's; $4 now; $5 when the first try of the own bucket allows
// the next; $6 and $7 the most of the shared and of the own one; $8 how many are
// free of a wait, $9 the first wait, $10 after how many doublings it is $11; $12 in
// the first of them the day, by which tries fade, and in the other the device.
// Without a wait next_at is 0, so that a clock that is set back makes none. One
// that lies further ahead than any wait was written before the clock was
// set back, and does not count.
const (
	takeSQL = `INSERT INTO guess (k, account, n, next_at, seen_at, day) VALUES ($1, $3, 1, 0, $4, $12), ($2, $3, 1, $5, $4, $12)
		ON CONFLICT (k) DO UPDATE SET n = ` + fadedSQL + ` + 1, seen_at = excluded.seen_at,
			day = CASE WHEN excluded.day > guess.day THEN excluded.day ELSE guess.day END, next_at =
			CASE WHEN guess.k = $1 OR ` + fadedSQL + ` + 1 < $8 THEN 0
				WHEN ` + fadedSQL + ` + 1 - $8 >= $10 THEN excluded.seen_at + $11
				ELSE excluded.seen_at + (CAST($9 AS BIGINT) << CAST(` + fadedSQL + ` + 1 - $8 AS INTEGER)) END
		WHERE (guess.next_at <= excluded.seen_at OR guess.next_at > excluded.seen_at + $11)
			AND ` + fadedSQL + ` < CASE WHEN guess.k = $1 THEN CAST($6 AS BIGINT) ELSE CAST($7 AS BIGINT) END
		RETURNING k, n, next_at`
	// fadedSQL is what is left of a bucket's tries.
	fadedSQL = `(CASE WHEN guess.day >= excluded.day THEN guess.n WHEN guess.n > excluded.day - guess.day THEN guess.n - (excluded.day - guess.day) ELSE 0 END)`
	// takeDeviceSQL takes nothing if the device, $12, is not known under the address's
	// bucket, $13, or not any more.
	takeDeviceSQL = `INSERT INTO guess (k, account, n, next_at, seen_at)
		SELECT CAST($1 AS TEXT), CAST($3 AS TEXT), 1, 0, CAST($4 AS BIGINT)
			WHERE EXISTS (SELECT 1 FROM known_device WHERE id = $12 AND account = $13)
		UNION ALL SELECT CAST($2 AS TEXT), CAST($3 AS TEXT), 1, CAST($5 AS BIGINT), CAST($4 AS BIGINT)
			WHERE EXISTS (SELECT 1 FROM known_device WHERE id = $12 AND account = $13)
		ON CONFLICT (k) DO UPDATE SET n = guess.n + 1, seen_at = excluded.seen_at, next_at =
			CASE WHEN guess.k = $1 OR guess.n + 1 < $8 THEN 0
				WHEN guess.n + 1 - $8 >= $10 THEN excluded.seen_at + $11
				ELSE excluded.seen_at + (CAST($9 AS BIGINT) << CAST(guess.n + 1 - $8 AS INTEGER)) END
		WHERE (guess.next_at <= excluded.seen_at OR guess.next_at > excluded.seen_at + $11)
			AND guess.n < CASE WHEN guess.k = $1 THEN CAST($6 AS BIGINT) ELSE CAST($7 AS BIGINT) END
		RETURNING k, n, next_at`
)

// Take counts a try, or returns ErrDelayed or ErrLocked: then the transaction
// must be rolled back, since one of the two buckets may have counted. It is one
// statement, and more only where the try is refused, or the device is not known
// any more. A device that has no tries left is taken for one that is not known.
func (s *Store) Take(tx *db.Tx, c Client, now time.Time) (Try, error) {
	account, home := s.guessed(c)
	if id := s.deviceID(c.Device, home); id != "" {
		t := Try{account: account, home: home, Device: id, shared: "known " + account, own: "device " + id, codes: c.Codes != "", at: now}
		if t.codes {
			t.own = "factor device " + id
		}
		taken, err := s.take(tx, &t, s.most.device)
		if err != nil || len(taken) == 2 {
			return t, err
		}
		if why, err := s.why(tx, t, s.most.known, s.most.device, now); err != nil || errors.Is(why, ErrDelayed) {
			return Try{}, errors.Join(err, why)
		}
		for _, k := range taken {
			if _, err := tx.Exec(`UPDATE guess SET n = n - 1 WHERE k = $1`, k); err != nil {
				return Try{}, err
			}
		}
	}
	t := Try{
		account: account, home: home, shared: "unknown " + account,
		own: "network " + s.bucket("network", c.AddressKey, c.Network.String()), codes: c.Codes != "", at: now,
	}
	if t.codes {
		t.own = "factor network " + s.bucket("factor network", c.Codes, c.Network.String())
	}
	taken, err := s.take(tx, &t, s.most.unknown)
	if err != nil || len(taken) == 2 {
		return t, err
	}
	why, err := s.why(tx, t, s.most.unknown, s.most.unknown, now)
	if err == nil && why == nil {
		why = ErrDelayed // it has passed since
	}
	return Try{}, errors.Join(err, why)
}

// take counts the try, and returns the keys of the buckets that took it.
func (s *Store) take(tx *db.Tx, t *Try, ownMost int) (taken []string, err error) {
	now, first := db.Micros(t.at), int64(0)
	if s.config.After <= 1 {
		first = now + s.config.Delay.Microseconds()
	}
	wait, longest := s.config.Delay.Microseconds(), DelayMost.Microseconds()
	most := s.most.unknown
	var rows *db.Rows
	if t.Device == "" {
		rows, err = tx.Query(takeSQL, t.shared, t.own, t.account, now, first, most, ownMost, s.config.After, wait, s.doublings(), longest, t.day())
	} else {
		most = s.most.known
		rows, err = tx.Query(takeDeviceSQL, t.shared, t.own, t.account, now, first, most, ownMost, s.config.After, wait, s.doublings(), longest, t.Device, t.home)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			k       string
			n, next int64
		)
		if err := rows.Scan(&k, &n, &next); err != nil {
			return nil, err
		}
		taken = append(taken, k)
		switch k {
		case t.shared:
			t.Last = n == int64(most)
		case t.own:
			t.First, t.Guessed = n == int64(s.config.After), n > int64(s.config.After)
			t.Delay = max(db.Time(next).Sub(db.Time(now)), 0)
		}
	}
	return taken, rows.Err()
}

// doublings is after how many the wait is DelayMost.
func (s *Store) doublings() (n int) {
	for d := s.config.Delay; d < DelayMost; d *= 2 {
		n++
	}
	return n
}

// why returns why a try was not accepted, or nil if the buckets don't say.
func (s *Store) why(tx *db.Tx, t Try, sharedMost, ownMost int, now time.Time) (why error, err error) {
	rows, err := tx.Query(`SELECT k, n, next_at, day FROM guess WHERE k = $1 OR k = $2`, t.shared, t.own)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			k            string
			n, next, day int64
		)
		if err := rows.Scan(&k, &n, &next, &day); err != nil {
			return nil, err
		}
		if t.Device == "" && !t.codes {
			n = faded(n, day, now)
		}
		wait := db.Time(next).Sub(now)
		switch {
		case k == t.shared && n >= int64(sharedMost), k == t.own && n >= int64(ownMost):
			if t.codes {
				locked := *ErrCodesLocked
				locked.RetryAfter = codesLockedRetry
				return &locked, nil
			}
			locked := *ErrLocked
			locked.RetryAfter = untilFaded(day, now)
			return &locked, nil
		case k == t.own && wait > 0 && wait <= DelayMost:
			delayed := *ErrDelayed
			delayed.RetryAfter = (wait + time.Second - 1).Truncate(time.Second)
			why = &delayed
		}
	}
	return why, rows.Err()
}

// Succeeded clears the bucket of a successful try, and gives the shared one back
// what that had taken. The statements are deferred. The first takes
// the row that all tries of the address take first, so that none can come
// between the others.
func (s *Store) Succeeded(tx *db.Tx, t Try) {
	if t.own == "" {
		return // nothing was counted
	}
	tx.Defer(lockSQL, t.shared)
	tx.Defer(`UPDATE guess SET n = COALESCE((SELECT guess.n - g.n FROM guess AS g WHERE g.k = $2 AND g.n < guess.n), 0), locked_day = 0
		WHERE k = $1 AND EXISTS (SELECT 1 FROM guess AS g WHERE g.k = $2)`, t.shared, t.own)
	tx.Defer(`DELETE FROM guess WHERE k = $1`, t.own)
}

// Locks records that a try which was the last of its shared bucket was wrong, and
// reports whether it is the one that locks the address: the first of the day since the
// bucket was cleared, or since a success. After a try that was given back there is another last one.
func (s *Store) Locks(tx *db.Tx, t Try, now time.Time) (bool, error) {
	if !t.Last {
		return false, nil
	}
	n, err := tx.Exec(`UPDATE guess SET locked_day = $2 WHERE k = $1 AND locked_day < $2`, t.shared, dayOf(now))
	return n == 1, err
}

// lockSQL makes other tries at the address wait for this transaction.
const lockSQL = `UPDATE guess SET seen_at = seen_at WHERE k = $1`

// GiveBack takes back a try whose password was never checked. The statements
// are deferred. A wait stays: another try may have caused it. What a success on
// the same network has given back already is not given back twice.
func (s *Store) GiveBack(tx *db.Tx, t Try) {
	tx.Defer(lockSQL, t.shared)
	tx.Defer(`UPDATE guess SET n = n - 1 WHERE k = $1 AND n > 0 AND EXISTS (SELECT 1 FROM guess AS g WHERE g.k = $2 AND g.n > 0)`, t.shared, t.own)
	tx.Defer(`UPDATE guess SET n = n - 1 WHERE k = $1 AND n > 0`, t.own)
}

// Clear empties all buckets of an address: its password has changed, or
// an operator says so. The known devices stay: see [ForgetDevices].
func (s *Store) Clear(tx *db.Tx, addressKey string) error {
	return s.clear(tx, s.bucket("account", addressKey))
}

func (s *Store) clear(tx *db.Tx, account string) error {
	// In the order in which tries take them.
	for _, shared := range []string{"known ", "unknown "} {
		if _, err := tx.Exec(`DELETE FROM guess WHERE k = $1`, shared+account); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`DELETE FROM guess WHERE account = $1`, account)
	return err
}

// State is how many tries an address has used up.
type State struct{ Unknown, Known int }

// StateOf returns it.
func (s *Store) StateOf(tx *db.Tx, addressKey string, now time.Time) (State, error) {
	account := s.bucket("account", addressKey)
	unknown, since, err := tries(tx, "unknown "+account)
	if err != nil {
		return State{}, err
	}
	known, _, err := tries(tx, "known "+account)
	return State{Unknown: int(faded(unknown, since, now)), Known: int(known)}, err
}

// Tried returns how many wrong tries in a row there were from a network at an address.
func (s *Store) Tried(tx *db.Tx, addressKey string, network netip.Prefix) (int, error) {
	n, _, err := tries(tx, "network "+s.bucket("network", addressKey, network.String()))
	return int(n), err
}

// tries returns what a bucket holds, and the day up to which that has faded.
func tries(tx *db.Tx, k string) (n, since int64, err error) {
	err = tx.QueryRow(`SELECT n, day FROM guess WHERE k = $1`, k).Scan(&n, &since)
	if errors.Is(err, db.ErrNoRows) {
		return 0, 0, nil
	}
	return n, since, err
}

// Keep is how long tries are counted after the last one.
const Keep = 365 * 24 * time.Hour

// Forget deletes buckets that took nothing since a time.
func Forget(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT seen_at, k, 1, seen_at FROM guess WHERE (seen_at, k) > ($1, $2) AND seen_at < $3 ORDER BY seen_at, k LIMIT $4`,
		b.After.At, b.After.ID, b.Before, b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM guess WHERE (seen_at, k) > ($1, $2) AND (seen_at, k) <= ($4, $5) AND seen_at < $3`,
			b.After.At, b.After.ID, b.Before, s.Last.At, s.Last.ID)
	}
	return s, err
}

// bucket is a keyed hash of the parts, in text.
func (s *Store) bucket(kind string, parts ...string) string {
	all := [][]byte{[]byte("lockout/" + kind)}
	for _, p := range parts {
		all = append(all, []byte(p))
	}
	return base64.RawURLEncoding.EncodeToString(secret.MAC(s.key, all...)[:18])
}
