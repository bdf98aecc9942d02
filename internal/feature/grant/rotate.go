package grant

import (
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
)

// Presented is a refresh token of a grant whose MAC is right.
type Presented struct {
	token rotation.Token
	keys  rotation.Keys
}

// Key names the token in a memory, and nothing of it can be read there.
func (p Presented) Key() [32]byte { return [32]byte(p.token.Hash()) }

// Grant names the row that the token is of.
func (p Presented) Grant() string { return p.token.Of.String() }

// Present checks a token's form, MAC and epoch, which needs no database. The turn is rotation.Forged or rotation.Outdated if they
// are wrong, else empty. A session's refresh token is forged here.
func (s *Store) Present(token string) (Presented, rotation.Turn) {
	keys := *s.keys.Load()
	t, turn := rotation.Present(keys, token, s.epoch, rotation.Client)
	if turn != "" {
		return Presented{}, turn
	}
	return Presented{token: t, keys: keys}, ""
}

// rotateSQL is session.RotateSQL for grants, which belong to one application and have to have started.
//
// $1 id $2 presented hash $3 candidate hash $4 candidate salt $5 presented generation $6 now $7 now-grace $8 now-retry $9 now+idle
// $10 client $11 now+offline idle
const rotateSQL = `UPDATE client_grant SET
	gen        = CASE WHEN cur = $2 THEN gen + 1 ELSE gen END,
	prev       = CASE WHEN cur = $2 THEN cur ELSE prev END,
	rotated_at = CASE WHEN cur = $2 THEN $6 ELSE rotated_at END,
	cur        = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $3 ELSE cur END,
	salt       = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $4 ELSE salt END,
	minted_at  = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $6 ELSE minted_at END,
	idle_at    = CASE WHEN NOT (cur = $2 OR (prev = $2 AND minted_at <= $7)) THEN idle_at WHEN offline = 1 THEN $11 ELSE $9 END,
	ended_at   = CASE WHEN cur = $2 OR (prev = $2 AND (minted_at > $7 OR rotated_at > $8)) THEN NULL ELSE $6 END,
	ended_why  = CASE WHEN cur = $2 OR (prev = $2 AND (minted_at > $7 OR rotated_at > $8)) THEN NULL WHEN $5 > gen THEN 'ahead' ELSE 'reuse' END
WHERE id = $1 AND client_id = $10 AND started_at IS NOT NULL AND ended_at IS NULL AND idle_at > $6 AND max_at > $6
RETURNING account_id, sid, offline, scope, resource, roles, amr, auth_at, idle_at, max_at, gen, cur, salt, rotated_at, ended_why,
	(SELECT email FROM account WHERE account.id = client_grant.account_id), (SELECT name FROM account WHERE account.id = client_grant.account_id),
	(SELECT locale FROM account WHERE account.id = client_grant.account_id), (SELECT verified_at FROM account WHERE account.id = client_grant.account_id),
	(SELECT disabled_at FROM account WHERE account.id = client_grant.account_id)`

// Rotate uses a refresh token of an application, by the rules of session.Store.Rotate. With another application's it changes
// nothing.
func (s *Store) Rotate(tx *db.Tx, p Presented, client string, now time.Time) (Grant, rotation.Turn, error) {
	old := p.token
	salt := s.random.Bytes(rotation.SaltSize)
	candidate := rotation.Derived(p.keys, rotation.Client, s.epoch, old.Of, old.Generation+1, salt)
	at := db.Micros(now)
	var row granted
	err := tx.QueryRow(rotateSQL, p.Grant(), old.Hash(), candidate.Hash(), salt, int64(old.Generation),
		at, db.Micros(now.Add(-s.config.Grace)), db.Micros(now.Add(-s.config.Retry)), db.Micros(now.Add(s.config.Idle)), client,
		db.Micros(now.Add(s.config.OfflineIdle))).
		Scan(&row.account, &row.sid, &row.offline, &row.scope, &row.resource, &row.roles, &row.amr, &row.authAt, &row.idleAt, &row.maxAt, &row.gen,
			&row.Cur, &row.Salt, &row.RotatedAt, &row.EndedWhy, &row.email, &row.name, &row.locale, &row.verifiedAt, &row.disabledAt)
	if errors.Is(err, db.ErrNoRows) {
		return Grant{}, rotation.Refused, nil
	}
	if err != nil {
		return Grant{}, "", err
	}
	g, err := row.grant(old.Of, client)
	if err != nil {
		return Grant{}, "", err
	}
	row.Generation = uint32(row.gen) //nolint:gosec // counts rotations
	next, turn, err := rotation.Settle(p.keys, candidate, row.Settled, at)
	if err != nil {
		return Grant{}, "", fmt.Errorf("grant %s: %w", g.ID, err)
	}
	if turn.Good() {
		g.Refresh = next.Encode(p.keys)
	}
	return g, turn, nil
}

// Look returns the grant of a refresh token, if it would be accepted now; it changes nothing.
func (s *Store) Look(tx *db.Tx, p Presented, now time.Time) (g Grant, ok bool, err error) {
	var (
		row    granted
		client string
	)
	err = tx.QueryRow(`SELECT client_id, account_id, sid, offline, scope, resource, roles, amr, auth_at, idle_at, max_at FROM client_grant
		WHERE id = $1 AND started_at IS NOT NULL AND ended_at IS NULL AND idle_at > $3 AND max_at > $3
		AND (cur = $2 OR (prev = $2 AND (minted_at > $4 OR rotated_at > $5)))`,
		p.Grant(), p.token.Hash(), db.Micros(now), db.Micros(now.Add(-s.config.Grace)), db.Micros(now.Add(-s.config.Retry))).
		Scan(&client, &row.account, &row.sid, &row.offline, &row.scope, &row.resource, &row.roles, &row.amr, &row.authAt, &row.idleAt, &row.maxAt)
	if errors.Is(err, db.ErrNoRows) {
		return Grant{}, false, nil
	}
	if err != nil {
		return Grant{}, false, err
	}
	g, err = row.grant(p.token.Of, client)
	return g, err == nil, err
}
