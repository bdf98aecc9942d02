package lockout

import (
	"errors"
	"math"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// ErrCodesLocked is for an account at which the codes of its app are tried no more by clients that
// it does not know.
var ErrCodesLocked = fault.New(fault.Limited, "factor_locked",
	"Too many wrong codes were tried for this account, so an app's codes count only from browsers that it knows. We sent its owner a mail with a link that "+
		"lets their browser in. Passkeys and recovery codes work as ever.")

// codesLockedRetry is how long a client is told to wait that is locked out of codes: nothing
// changes by itself, and this is how long its sign-in waits.
const codesLockedRetry = 10 * time.Minute

// TakeAlone takes a try of something that nobody can guess, and which strangers must not be able
// to use up for its owner: a recovery code. It counts for the account and the network alone, which
// has to wait after a few in a row. It returns ErrDelayed, and nothing is counted, while it waits.
func (s *Store) TakeAlone(tx *db.Tx, c Client, now time.Time) (Try, error) {
	account, home := s.guessed(c)
	t := Try{account: account, home: home, own: "recovery network " + s.bucket("recovery network", c.Codes, c.Network.String()), codes: true, at: now}
	if id := s.deviceID(c.Device, home); id != "" {
		t.Device = id
	}
	first := int64(0)
	if s.config.After <= 1 {
		first = db.Micros(now) + s.config.Delay.Microseconds()
	}
	var n, next int64
	err := tx.QueryRow(`INSERT INTO guess (k, account, n, next_at, seen_at) VALUES ($1, $2, 1, $4, $3)
		ON CONFLICT (k) DO UPDATE SET n = guess.n + 1, seen_at = excluded.seen_at, next_at =
			CASE WHEN guess.n + 1 < $5 THEN 0
				WHEN guess.n + 1 - $5 >= $7 THEN excluded.seen_at + $8
				ELSE excluded.seen_at + (CAST($6 AS BIGINT) << CAST(guess.n + 1 - $5 AS INTEGER)) END
		WHERE guess.next_at <= excluded.seen_at OR guess.next_at > excluded.seen_at + $8
		RETURNING n, next_at`,
		t.own, account, db.Micros(now), first, s.config.After, s.config.Delay.Microseconds(), s.doublings(), DelayMost.Microseconds()).Scan(&n, &next)
	if !errors.Is(err, db.ErrNoRows) {
		return t, err
	}
	why, err := s.why(tx, t, math.MaxInt, math.MaxInt, now)
	if err == nil && why == nil {
		why = ErrDelayed // it has passed since
	}
	return Try{}, errors.Join(err, why)
}

// Uncounted is the try of who has shown who they are by other means: nothing was counted. It tells the
// client's device, if it was made for the address; whether that is known still is not looked at.
func (s *Store) Uncounted(c Client) Try {
	_, home := s.guessed(c)
	return Try{home: home, Device: s.deviceID(c.Device, home)}
}

// CodesLocked reports whether strangers have no more tries at an account's codes.
func (s *Store) CodesLocked(tx *db.Tx, accountID string) (bool, error) {
	n, _, err := tries(tx, "unknown "+s.bucket("factor", accountID))
	return n >= int64(s.most.unknown), err
}

// ForgetOlder empties the buckets of an account's codes that took nothing since the given time,
// when its present password was set: whoever counted there does not know this one. The statement
// is deferred, and comes before those of [Store.Succeeded].
func (s *Store) ForgetOlder(tx *db.Tx, accountID string, since time.Time) {
	account := s.bucket("factor", accountID)
	for _, shared := range []string{"known ", "unknown "} { // in the order in which tries take them
		tx.Defer(`DELETE FROM guess WHERE k = $1 AND seen_at < $2`, shared+account, db.Micros(since))
	}
	tx.Defer(`DELETE FROM guess WHERE account = $1 AND seen_at < $2`, account, db.Micros(since))
}

// ClearCodes empties the buckets of an account's codes: its app has another secret, or an operator
// says so.
func (s *Store) ClearCodes(tx *db.Tx, accountID string) error {
	return s.clear(tx, s.bucket("factor", accountID))
}
