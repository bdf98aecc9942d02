package session

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Kept is a session as all that is kept of it may be shown to its owner: nothing of its tokens.
type Kept struct {
	ID, UserAgent, FirstAddress, LastAddress, Network string
	Roles, AMR                                        []string
	BeganAt, UsedAt                                   time.Time
	EndedAt                                           time.Time // zero if nobody has ended it
	EndedWhy                                          string
}

// OfAccount returns up to limit sessions of an account, over or not, in the order of their ids from the one after the given
// id on.
func OfAccount(tx *db.Tx, account, after string, limit int) (list []Kept, err error) {
	rows, err := tx.Query(`SELECT id, user_agent, address, last_address, network, roles, amr, auth_at,
		CASE WHEN used_at > minted_at THEN used_at ELSE minted_at END, ended_at, COALESCE(ended_why, '')
		FROM session WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3`, account, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			k           Kept
			roles, amr  string
			began, used int64
			ended       *int64
		)
		if err := rows.Scan(&k.ID, &k.UserAgent, &k.FirstAddress, &k.LastAddress, &k.Network, &roles, &amr, &began, &used, &ended, &k.EndedWhy); err != nil {
			return nil, err
		}
		for _, l := range []struct {
			text string
			into *[]string
		}{{roles, &k.Roles}, {amr, &k.AMR}} {
			if err := json.Unmarshal([]byte(l.text), l.into); err != nil {
				return nil, fmt.Errorf("a list of session %s: %w", k.ID, err)
			}
		}
		k.BeganAt, k.UsedAt, k.EndedAt = db.Time(began), db.Time(used), db.TimeOrZero(ended)
		list = append(list, k)
	}
	return list, rows.Err()
}
