//go:build !brokencas

package session

// rotate is the one statement for whoever comes first, comes at the same time,
// comes again after a lost answer, or comes with a stolen token. It touches no
// index but the primary key.
//
// $1 id $2 presented hash $3 candidate hash $4 candidate salt $5 presented
// generation $6 now $7 now-grace $8 now-retry $9 now+idle
const rotate = `UPDATE session SET
	gen        = CASE WHEN cur = $2 THEN gen + 1 ELSE gen END,
	prev       = CASE WHEN cur = $2 THEN cur ELSE prev END,
	rotated_at = CASE WHEN cur = $2 THEN $6 ELSE rotated_at END,
	cur        = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $3 ELSE cur END,
	salt       = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $4 ELSE salt END,
	minted_at  = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $6 ELSE minted_at END,
	idle_at    = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $9 ELSE idle_at END,
	ended_at   = CASE WHEN cur = $2 OR (prev = $2 AND (minted_at > $7 OR rotated_at > $8)) THEN NULL ELSE $6 END,
	ended_why  = CASE WHEN cur = $2 OR (prev = $2 AND (minted_at > $7 OR rotated_at > $8)) THEN NULL WHEN $5 > gen THEN 'ahead' ELSE 'reuse' END
WHERE id = $1 AND ended_at IS NULL AND idle_at > $6 AND max_at > $6
RETURNING account_id, roles, amr, auth_at, max_at, idle_at, gen, cur, salt, rotated_at, ended_why`
