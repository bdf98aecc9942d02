package notice

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// expired is the error of a mail whose links were over before it could be sent.
const expired = "it could not be sent before its link was over"

// GiveUpAll gives up every mail that waits, after a restore from a backup: it may have been
// sent, and its links are void. It returns how many they are.
func GiveUpAll(tx *db.Tx, now time.Time) (int64, error) {
	return tx.Exec(`UPDATE outbox SET due_at = NULL, dead_at = COALESCE(dead_at, $1), sealed = NULL, sent_to = '', error = 'restored'
		WHERE sealed IS NOT NULL AND sent_at IS NULL`, db.Micros(now))
}

// Expire gives up the mails that are of no use any more, and forgets what they
// said.
func Expire(ctx context.Context, d *db.DB, now time.Time) error {
	return d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE outbox SET due_at = NULL, dead_at = $1, sealed = NULL, sent_to = '', error = $2
			WHERE due_at <= $1 AND until_at <= $1`, db.Micros(now), expired)
		return err
	})
}

// Withdraw makes the mails about an account of no use that wait for an address, which
// is not its any more: they are given up before they are sent.
func Withdraw(tx *db.Tx, account, address string, now time.Time) error {
	_, err := tx.Exec(`UPDATE outbox SET until_at = $3 WHERE account_id = $1 AND sent_to = $2 AND due_at IS NOT NULL`, account, address, db.Micros(now))
	return err
}

// State is how the outbox stands.
type State struct {
	// Queued are the mails that wait, the oldest since Oldest; Dead are those that
	// were given up and could be sent again.
	Queued, Dead int64
	Oldest       time.Time
}

// StateOf reads it.
func StateOf(tx *db.Tx) (s State, err error) {
	var oldest int64
	err = tx.QueryRow(`SELECT COUNT(*), COALESCE(MIN(created_at), 0) FROM outbox WHERE due_at IS NOT NULL`).Scan(&s.Queued, &oldest)
	if err != nil {
		return s, err
	}
	if s.Queued > 0 {
		s.Oldest = db.Time(oldest)
	}
	return s, tx.QueryRow(`SELECT COUNT(*) FROM outbox WHERE dead_at IS NOT NULL AND sealed IS NOT NULL`).Scan(&s.Dead)
}

// ForgetSent deletes rows of mails that were sent before a time.
func ForgetSent(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT sent_at, id, 1, sent_at FROM outbox WHERE (sent_at, id) > ($1, $2) AND sent_at < $3 ORDER BY sent_at, id LIMIT $4`,
		b.After.At, b.After.ID, b.Before, b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM outbox WHERE (sent_at, id) > ($1, $2) AND (sent_at, id) <= ($4, $5) AND sent_at < $3`,
			b.After.At, b.After.ID, b.Before, s.Last.At, s.Last.ID)
	}
	return s, err
}

// ForgetDead deletes rows of mails that were given up before a time.
func ForgetDead(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT dead_at, id, 1, dead_at FROM outbox WHERE (dead_at, id) > ($1, $2) AND dead_at < $3 ORDER BY dead_at, id LIMIT $4`,
		b.After.At, b.After.ID, b.Before, b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM outbox WHERE (dead_at, id) > ($1, $2) AND (dead_at, id) <= ($4, $5) AND dead_at < $3`,
			b.After.At, b.After.ID, b.Before, s.Last.At, s.Last.ID)
	}
	return s, err
}

// ForgetAll deletes up to limit mails that were queued before, sent or not.
func ForgetAll(tx *db.Tx, before time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE created_at < $1 LIMIT $2)`, db.Micros(before), limit)
}
