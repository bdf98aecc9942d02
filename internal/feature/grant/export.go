package grant

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Kept is a grant as all that is kept of it may be shown to its owner: nothing of its code and tokens.
type Kept struct {
	ID, Client               string
	Scope, Resource          string
	Roles, AMR               []string
	Offline                  bool
	AuthAt, GivenAt          time.Time
	StartedAt, UsedAt, Ended time.Time // zero for never
	EndedWhy                 string
}

// OfAccount returns up to limit grants of an account, over or not, in the order of their ids from the one after the given id on.
func OfAccount(tx *db.Tx, account, after string, limit int) (list []Kept, err error) {
	rows, err := tx.Query(`SELECT id, client_id, scope, resource, roles, amr, offline, auth_at, created_at, started_at, rotated_at, ended_at,
		COALESCE(ended_why, '')
		FROM client_grant WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3`, account, after, limit)
	if err != nil {
		return nil, err
	}
	err = each(rows, func() (err error) {
		var (
			k                            Kept
			roles, amr                   string
			offline, authAt, given, used int64
			started, ended               *int64
		)
		if err := rows.Scan(&k.ID, &k.Client, &k.Scope, &k.Resource, &roles, &amr, &offline, &authAt, &given, &started, &used, &ended,
			&k.EndedWhy); err != nil {
			return err
		}
		if k.Roles, err = decodeList(roles); err != nil {
			return err
		}
		k.Offline, k.AuthAt, k.GivenAt, k.StartedAt, k.Ended = offline == 1, db.Time(authAt), db.Time(given), db.TimeOrZero(started), db.TimeOrZero(ended)
		if used > 0 {
			k.UsedAt = db.Time(used)
		}
		k.AMR, err = decodeList(amr)
		list = append(list, k)
		return err
	})
	return list, err
}

// Agreement is what an account has consented to one application having.
type Agreement struct {
	Client, Scope string
	// Resources are the scopes that it may have at each resource.
	Resources map[string][]string
	GivenAt   time.Time
}

// Agreements returns those of an account: one an application at most.
func Agreements(tx *db.Tx, account string) (list []Agreement, err error) {
	rows, err := tx.Query(`SELECT client_id, scope, resource, given_at FROM client_consent WHERE account_id = $1 ORDER BY client_id`, account)
	if err != nil {
		return nil, err
	}
	err = each(rows, func() error {
		var (
			a         Agreement
			resources string
			at        int64
		)
		err := rows.Scan(&a.Client, &a.Scope, &resources, &at)
		if err != nil {
			return err
		}
		a.GivenAt = db.Time(at)
		a.Resources, err = decodeResources(resources)
		list = append(list, a)
		return err
	})
	return list, err
}
