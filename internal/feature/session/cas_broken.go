//go:build brokencas

package session

// inForce is not what Gatehouse is built with: here the compare-and-set is
// broken. Of two who race with one token both win, as they would if each
// compared what it had read before the other wrote. internal/test/crashtest builds a
// server with it, and makes sure that its checker of histories finds out.
const inForce = `UPDATE session SET
	gen        = CASE WHEN (cur = $2 OR prev = $2) THEN gen + 1 ELSE gen END,
	prev       = CASE WHEN (cur = $2 OR prev = $2) THEN cur ELSE prev END,
	rotated_at = CASE WHEN (cur = $2 OR prev = $2) THEN $6 ELSE rotated_at END,
	cur        = CASE WHEN (cur = $2 OR prev = $2) OR (prev = $2 AND minted_at <= $7) THEN $3 ELSE cur END,
	salt       = CASE WHEN (cur = $2 OR prev = $2) OR (prev = $2 AND minted_at <= $7) THEN $4 ELSE salt END,
	minted_at  = CASE WHEN (cur = $2 OR prev = $2) OR (prev = $2 AND minted_at <= $7) THEN $6 ELSE minted_at END,
	idle_at    = CASE WHEN (cur = $2 OR prev = $2) OR (prev = $2 AND minted_at <= $7) THEN $9 ELSE idle_at END,
	ended_at   = CASE WHEN (cur = $2 OR prev = $2) OR (prev = $2 AND (minted_at > $7 OR rotated_at > $8)) THEN NULL ELSE $6 END,
	ended_why  = CASE WHEN (cur = $2 OR prev = $2) OR (prev = $2 AND (minted_at > $7 OR rotated_at > $8)) THEN NULL WHEN $5 > gen THEN 'ahead' ELSE 'reuse' END
WHERE id = $1 AND ended_at IS NULL AND idle_at > $6 AND max_at > $6
RETURNING account_id, roles, amr, auth_at, max_at, idle_at, gen, cur, salt, rotated_at, ended_why,
	CASE WHEN last_address = '' THEN address ELSE last_address END`
