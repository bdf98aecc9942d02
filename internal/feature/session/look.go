package session

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Look returns whose a refresh token is, if it would be accepted now. It is not ok for
// any other, and changes nothing.
func (s *Store) Look(tx *db.Tx, p Presented, now time.Time) (g Grant, ok bool, err error) {
	var row rotated
	err = tx.QueryRow(`SELECT account_id, roles, amr, auth_at, max_at, idle_at, gen FROM session
		WHERE id = $1 AND ended_at IS NULL AND idle_at > $3 AND max_at > $3
		AND (cur = $2 OR (prev = $2 AND (minted_at > $4 OR rotated_at > $5)))`,
		p.SessionID(), p.token.Hash(), db.Micros(now), db.Micros(now.Add(-s.config.Grace)), db.Micros(now.Add(-s.config.Retry))).
		Scan(&row.account, &row.roles, &row.amr, &row.authAt, &row.maxAt, &row.idleAt, &row.gen)
	if errors.Is(err, db.ErrNoRows) {
		return Grant{}, false, nil
	}
	if err != nil {
		return Grant{}, false, err
	}
	g, err = row.grant(p.token.Of)
	return g, err == nil, err
}
