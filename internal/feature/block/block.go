// Package block is the networks whose requests are refused, whatever they are.
//
// A block is a row; every replica holds them all in memory, as a routing table,
// and makes no query when a request arrives: see [List]. A change increments
// install.block_n and thereby locks its row, so changes are serialised and
// a replica that reads on from a number misses none. A removed block stays for a
// while as a row that says so.
//
// # How it works
//
// The poll of the revocations compares the number, and a goroutine of its own reads
// on from it. After ten seconds without a poll it reads everything, since rows may
// have been deleted. The table is never changed but replaced. A narrow block that has
// ended does not hide a wider one ([List.Has]).
package block

import (
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Block is a network whose requests are refused.
type Block struct {
	ID      string
	Network netip.Prefix
	Reason  string
	AddedAt time.Time
	// ExpiresAt is when it ends by itself; zero for never.
	ExpiresAt time.Time
}

// maxReason is the length in characters of the longest reason.
const maxReason = 200

// ParseReason checks why something is blocked. It may be empty.
func ParseReason(s string) (string, error) {
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) > maxReason {
		return "", fault.Field("reason", "reason_too_long", "The reason may have %d characters.", maxReason)
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return "", fault.Field("reason", "invalid_reason", "The reason is one line of characters that print.")
		}
	}
	return s, nil
}

// Turn makes the changes of this transaction the next ones. Until it ends no other
// makes any, on whichever replica.
func Turn(tx *db.Tx) (n int64, err error) {
	err = tx.QueryRow(`UPDATE install SET block_n = block_n + 1 RETURNING block_n`).Scan(&n)
	return n, err
}

// Add blocks b.Network in the turn n. One that is blocked already keeps its id, and
// gets the reason and the end of b: added reports false then.
func Add(tx *db.Tx, random secret.Random, n int64, b Block, now time.Time) (is Block, added bool, err error) {
	made := random.ID(now)
	var at int64
	err = tx.QueryRow(`INSERT INTO block (network, id, reason, added_at, expires_at, removed_at, n) VALUES ($1, $2, $3, $4, $5, NULL, $6)
		ON CONFLICT (network) DO UPDATE SET
			id = CASE WHEN block.removed_at IS NULL AND (block.expires_at IS NULL OR block.expires_at > $4) THEN block.id ELSE excluded.id END,
			added_at = CASE WHEN block.removed_at IS NULL AND (block.expires_at IS NULL OR block.expires_at > $4) THEN block.added_at ELSE excluded.added_at END,
			reason = excluded.reason, expires_at = excluded.expires_at, removed_at = NULL, n = excluded.n
		RETURNING id, added_at`,
		b.Network.String(), made, b.Reason, db.Micros(now), microsOrNull(b.ExpiresAt), n).Scan(&b.ID, &at)
	b.AddedAt = db.Time(at)
	return b, b.ID == made, err
}

func microsOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return db.Micros(t)
}

// ErrUnknown is for a block that is not there, or no longer.
var ErrUnknown = fault.New(fault.NotFound, "block_not_found", "There is no such block. It may have ended already.")

// Find returns the block of an id or of a network.
func Find(tx *db.Tx, idOrNetwork string, now time.Time) (Block, error) {
	network := ""
	if n, err := ParseNetwork(idOrNetwork); err == nil {
		network = n.String()
	}
	b, err := one(tx.QueryRow(`SELECT id, network, reason, added_at, expires_at FROM block
		WHERE (id = $1 OR network = $2) AND removed_at IS NULL AND (expires_at IS NULL OR expires_at > $3)`, idOrNetwork, network, db.Micros(now)))
	if errors.Is(err, db.ErrNoRows) {
		err = ErrUnknown
	}
	return b, err
}

// Remove ends the block of an id in the turn n. It reports false if it has ended.
func Remove(tx *db.Tx, n int64, id string, now time.Time) (bool, error) {
	done, err := tx.Exec(`UPDATE block SET removed_at = $2, n = $3 WHERE id = $1 AND removed_at IS NULL`, id, db.Micros(now), n)
	return done == 1, err
}

// Page returns the newest blocks in force, newest first: at most limit, and only
// those before the one of this id, if that is not empty.
func Page(tx *db.Tx, before string, limit int, now time.Time) ([]Block, error) {
	if before == "" {
		before = "g" // after every id, which is hexadecimal, in any collation
	}
	rows, err := tx.Query(`SELECT id, network, reason, added_at, expires_at FROM block
		WHERE id < $1 AND removed_at IS NULL AND (expires_at IS NULL OR expires_at > $2) ORDER BY id DESC LIMIT $3`, before, db.Micros(now), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Block
	for rows.Next() {
		b, err := one(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, rows.Err()
}

func one(row interface{ Scan(dest ...any) error }) (b Block, err error) {
	var (
		network string
		added   int64
		expires *int64
	)
	if err := row.Scan(&b.ID, &network, &b.Reason, &added, &expires); err != nil {
		return Block{}, err
	}
	if b.Network, err = netip.ParsePrefix(network); err != nil {
		return Block{}, err
	}
	b.AddedAt = db.Time(added)
	if expires != nil {
		b.ExpiresAt = db.Time(*expires)
	}
	return b, nil
}

// Expire ends up to limit blocks whose time is over, so that replicas drop them.
func Expire(tx *db.Tx, now time.Time, limit int) (int64, error) {
	var due int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM block WHERE removed_at IS NULL AND expires_at <= $1`, db.Micros(now)).Scan(&due); err != nil || due == 0 {
		return 0, err
	}
	n, err := Turn(tx)
	if err != nil {
		return 0, err
	}
	return tx.Exec(`UPDATE block SET removed_at = $1, n = $2 WHERE network IN (
		SELECT network FROM block WHERE removed_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $3)`, db.Micros(now), n, limit)
}

// keepRemoved is how long a removed block stays. A replica that has heard nothing
// for longer than a fraction of it reads everything.
const keepRemoved = time.Hour

// Forget deletes up to limit blocks that were removed long ago.
func Forget(tx *db.Tx, now time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM block WHERE network IN (SELECT network FROM block WHERE removed_at <= $1 ORDER BY removed_at LIMIT $2)`,
		db.Micros(now.Add(-keepRemoved)), limit)
}
