package grant

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
)

// Grant is what an application has once its code is exchanged, or its refresh token used.
type Grant struct {
	ID, Client, Account, SID, Scope, Resource, Nonce string
	Roles, AMR                                       []string
	AuthAt                                           time.Time
	Offline                                          bool
	// Owner is whose account it is, as that was when the code was exchanged or the refresh token used.
	Owner Owner
	// Refresh is the refresh token, and Until when it ends if it is not used.
	Refresh string
	Until   time.Time
}

// Owner is what tokens say of an account, and whether it can sign in. It is read by the statement that settles the grant, since a
// statement of its own would cost each exchange and each refresh a round trip.
type Owner struct {
	Email, Name, Locale string
	// Verified is whether the address is, and Active whether there is such an account, and it is not disabled.
	Verified, Active bool
}

// Exchanged is what an application brings to exchange a code.
type Exchanged struct {
	Code Code
	// Client is the application, which has shown that it is.
	Client string
	// Redirect is where the code was sent, and Verifier that of PKCE. One of the two may be missing.
	Redirect, Verifier string
	// Lasting has the grant run out with its session alone, however long it is not used: nobody refreshes that of a guarded application.
	Lasting bool
}

// lasting is longer than any session lives.
const lasting = 10 * 365 * 24 * time.Hour

// ExchangeSQL starts the grant of a code, or ends it if it has started: of several who bring the same code rightly one gets
// tokens, and the next ends them. Whoever brings anything that is wrong finds no row.
//
// $1 id $2 code hash $3 client $4 redirect or ” $5 challenge of the verifier or ” $6 now $7 hash of the first refresh token $8 its salt
// $9 now+idle $10 now+offline idle
const ExchangeSQL = `UPDATE client_grant SET
	started_at = CASE WHEN started_at IS NULL THEN $6 ELSE started_at END,
	gen        = CASE WHEN started_at IS NULL THEN 1 ELSE gen END,
	cur        = CASE WHEN started_at IS NULL THEN $7 ELSE cur END,
	salt       = CASE WHEN started_at IS NULL THEN $8 ELSE salt END,
	minted_at  = CASE WHEN started_at IS NULL THEN $6 ELSE minted_at END,
	rotated_at = CASE WHEN started_at IS NULL THEN $6 ELSE rotated_at END,
	idle_at    = CASE WHEN started_at IS NOT NULL THEN idle_at WHEN offline = 1 THEN $10 ELSE $9 END,
	ended_at   = CASE WHEN started_at IS NULL THEN NULL ELSE $6 END,
	ended_why  = CASE WHEN started_at IS NULL THEN NULL ELSE 'code_reuse' END
WHERE id = $1 AND code = $2 AND client_id = $3 AND challenge = $5 AND (redirect_uri = $4 OR ($4 = '' AND challenge <> ''))
	AND ended_at IS NULL AND (started_at IS NOT NULL OR code_until > $6 AND max_at > $6)
RETURNING account_id, sid, offline, scope, resource, roles, amr, auth_at, nonce, idle_at, max_at, ended_why,
	(SELECT email FROM account WHERE account.id = client_grant.account_id), (SELECT name FROM account WHERE account.id = client_grant.account_id),
	(SELECT locale FROM account WHERE account.id = client_grant.account_id), (SELECT verified_at FROM account WHERE account.id = client_grant.account_id),
	(SELECT disabled_at FROM account WHERE account.id = client_grant.account_id)`

// Outcome is how an exchange ended.
type Outcome string

// The outcomes. After Reused the grant has ended, which must be committed although the application is refused; Refused touched
// nothing.
const (
	Started Outcome = "success"
	Reused  Outcome = "code_reuse"
	Refused Outcome = "refused"
)

// Exchange starts the grant of a code.
func (s *Store) Exchange(tx *db.Tx, e Exchanged, now time.Time) (Grant, Outcome, error) {
	keys := *s.keys.Load()
	salt := s.random.Bytes(rotation.SaltSize)
	first := rotation.Derived(keys, rotation.Client, s.epoch, e.Code.id, 1, salt)
	var row granted
	idle := s.config.Idle
	if e.Lasting {
		idle = lasting
	}
	err := tx.QueryRow(ExchangeSQL, e.Code.Grant(), e.Code.hash(), e.Client, e.Redirect, Challenge(e.Verifier), db.Micros(now), first.Hash(), salt,
		db.Micros(now.Add(idle)), db.Micros(now.Add(s.config.OfflineIdle))).
		Scan(&row.account, &row.sid, &row.offline, &row.scope, &row.resource, &row.roles, &row.amr, &row.authAt, &row.nonce, &row.idleAt, &row.maxAt,
			&row.EndedWhy, &row.email, &row.name, &row.locale, &row.verifiedAt, &row.disabledAt)
	if errors.Is(err, db.ErrNoRows) {
		return Grant{}, Refused, nil
	}
	if err != nil {
		return Grant{}, "", err
	}
	g, err := row.grant(e.Code.id, e.Client)
	if err != nil {
		return Grant{}, "", err
	}
	if row.EndedWhy != nil {
		return g, Reused, nil
	}
	g.Refresh = first.Encode(keys)
	return g, Started, nil
}

// granted is the row as the statements return it.
type granted struct {
	rotation.Settled
	account, sid, scope, resource, roles, amr, nonce string
	offline, authAt, idleAt, maxAt, gen              int64
	// Those of the account.
	email, name, locale    *string
	verifiedAt, disabledAt *int64
}

// owner is the account, as far as the statement has read it.
func (r granted) owner() Owner {
	if r.email == nil {
		return Owner{}
	}
	return Owner{Email: *r.email, Name: *r.name, Locale: *r.locale, Verified: r.verifiedAt != nil, Active: r.disabledAt == nil}
}

func (r granted) grant(id uuid.UUID, client string) (Grant, error) {
	roles, err := decodeList(r.roles)
	if err != nil {
		return Grant{}, err
	}
	amr, err := decodeList(r.amr)
	return Grant{
		ID: id.String(), Client: client, Account: r.account, SID: r.sid, Scope: r.scope, Resource: r.resource, Nonce: r.nonce, Roles: roles, AMR: amr,
		AuthAt: db.Time(r.authAt), Offline: r.offline == 1, Until: db.Time(min(r.idleAt, r.maxAt)), Owner: r.owner(),
	}, err
}
