package factor

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

const (
	// PendingLife is how long a sign-in waits for its second step.
	PendingLife = 10 * time.Minute
	// PendingTries is how many tries it has.
	PendingTries = 5
	// PendingPrefix begins its token, so that scanners for leaked secrets can find it.
	PendingPrefix = "gatehouse_pt_"
)

// Want is what a pending sign-in waits for.
type Want string

// The wants: a factor that the account has, a first one, or, when all is shown, that documents are agreed to.
const (
	Step  Want = "step"
	Enrol Want = "enrol"
	Agree Want = "agree"
)

// Proof is what a pending sign-in has shown in the place of a mailed code.
type Proof string

// BySetup is for who has shown the link that makes the first administrator: the end of the enrolment does.
const BySetup Proof = "setup"

// ByMail is for who has verified the address of an account that was registered without a password, by the mail that it got.
const ByMail Proof = "mail"

// Pending is a sign-in that has shown its password and no factor yet. It is no session:
// it opens the second step and nothing else. It is void once the account's password or
// factors have changed, which the numbers tell.
type Pending struct {
	ID, Account        string
	Want               Want
	Proof              Proof // empty for none
	AMR                []string
	PasswordN, FactorN int64
	Device, Network    string
	Tries              int
	MadeAt, ExpiresAt  time.Time
	// AuthAt is when the person showed who they are, where a provider says that it was before; zero otherwise.
	AuthAt time.Time
}

// ErrOver is for a sign-in that waits no longer.
var ErrOver = fault.New(fault.Unauthenticated, "sign_in_over",
	"This sign-in is over: it waits ten minutes, has five tries, and ends when the password or a factor is changed. Please begin again with your password.")

// Begin makes a pending sign-in of everything but its id and times, and returns its token:
// 256 random bits. The statement is deferred.
func (s *Store) Begin(tx *db.Tx, p Pending, now time.Time) (token string) {
	token = PendingPrefix + s.random.Text(secret.KeySize)
	hash := sha256.Sum256([]byte(token))
	amr, err := json.Marshal(p.AMR)
	if err != nil {
		panic(fmt.Sprintf("factor: amr: %v", err)) // strings can be encoded
	}
	authAt := int64(0)
	if !p.AuthAt.IsZero() {
		authAt = db.Micros(p.AuthAt)
	}
	tx.Defer(`INSERT INTO pending (id, account_id, hash, want, amr, password_n, factor_n, device, network, tries, made_at, expires_at, proof, auth_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13)`,
		s.random.ID(now), p.Account, hash[:], string(p.Want), string(amr), p.PasswordN, p.FactorN, p.Device, p.Network,
		db.Micros(now), db.Micros(now.Add(PendingLife)), string(p.Proof), authAt)
	return token
}

// ByToken returns the pending sign-in with the token if it waits and has tries left, or
// ErrOver. It takes no try.
func ByToken(tx *db.Tx, token string, now time.Time) (Pending, error) {
	hash := sha256.Sum256([]byte(token))
	return scanPending(tx.QueryRow(`SELECT id, account_id, want, amr, password_n, factor_n, device, network, tries, made_at, expires_at, proof, auth_at
		FROM pending WHERE hash = $1 AND tries < $2 AND expires_at > $3`, hash[:], PendingTries, db.Micros(now)))
}

// Try takes a try at the second step, before anything is looked at, or returns ErrOver.
func Try(tx *db.Tx, token string, now time.Time) (Pending, error) {
	hash := sha256.Sum256([]byte(token))
	return scanPending(tx.QueryRow(`UPDATE pending SET tries = tries + 1 WHERE hash = $1 AND tries < $2 AND expires_at > $3
		RETURNING id, account_id, want, amr, password_n, factor_n, device, network, tries, made_at, expires_at, proof, auth_at`,
		hash[:], PendingTries, db.Micros(now)))
}

// Finish ends a pending sign-in that has shown all, or returns ErrOver: of any number at
// once one does. Whoever calls it holds the account's row.
func Finish(tx *db.Tx, id string, now time.Time) error {
	n, err := tx.Exec(`DELETE FROM pending WHERE id = $1 AND expires_at > $2`, id, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrOver
	}
	return err
}

// agreeMost is how many sign-ins of an account may wait for its agreement.
const agreeMost = 10

// TrimAgreeing deletes the oldest sign-ins of an account that wait for its agreement, but for the newest: whoever can
// show everything else could have any number of them. Whoever calls it holds the account's row.
func TrimAgreeing(tx *db.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM pending WHERE account_id = $1 AND want = 'agree' AND id NOT IN (
		SELECT id FROM pending WHERE account_id = $1 AND want = 'agree' ORDER BY id DESC LIMIT $2)`, account, agreeMost-1)
	return err
}

// TurnToEnrol has a pending sign-in wait for a passkey that is added, now that it has shown what
// the given methods say, or returns ErrOver: of any number at once one does. It may try as often as
// a new one. Whoever calls it holds the account's row.
func TurnToEnrol(tx *db.Tx, id string, amr []string, now time.Time) error {
	list, err := json.Marshal(amr)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE pending SET want = 'enrol', amr = $2, tries = 0 WHERE id = $1 AND want = 'step' AND expires_at > $3`,
		id, string(list), db.Micros(now))
	if err == nil && n == 0 {
		err = ErrOver
	}
	return err
}

// OldestExpired returns the sign-in that ran out first, and whether there is any.
func OldestExpired(tx *db.Tx, now time.Time) (p Pending, found bool, err error) {
	p, err = scanPending(tx.QueryRow(`SELECT id, account_id, want, amr, password_n, factor_n, device, network, tries, made_at, expires_at, proof, auth_at
		FROM pending WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1`, db.Micros(now)))
	if errors.Is(err, ErrOver) {
		return Pending{}, false, nil
	}
	return p, err == nil, err
}

// errForgotten is for a pending sign-in that another replica has looked at in the same moment.
var errForgotten = errors.New("another replica has forgotten this sign-in")

// ForgetPending deletes one that ran out. That it is gone already is an error: whatever was done about
// it in the transaction was done by another replica.
func ForgetPending(tx *db.Tx, id string) error {
	n, err := tx.Exec(`DELETE FROM pending WHERE id = $1`, id)
	if err == nil && n == 0 {
		err = errForgotten
	}
	return err
}

func scanPending(row *db.Row) (p Pending, err error) {
	var (
		amr           string
		tries         int64
		made, expires int64
		authAt        int64
	)
	err = row.Scan(&p.ID, &p.Account, (*string)(&p.Want), &amr, &p.PasswordN, &p.FactorN, &p.Device, &p.Network, &tries, &made, &expires, (*string)(&p.Proof),
		&authAt)
	if errors.Is(err, db.ErrNoRows) {
		return Pending{}, ErrOver
	}
	if err != nil {
		return Pending{}, err
	}
	p.Tries, p.MadeAt, p.ExpiresAt = int(tries), db.Time(made), db.Time(expires)
	if authAt != 0 {
		p.AuthAt = db.Time(authAt)
	}
	return p, json.Unmarshal([]byte(amr), &p.AMR)
}
