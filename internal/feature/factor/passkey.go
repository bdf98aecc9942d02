package factor

import (
	_ "embed"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Key is the kind of passkeys, security keys that were only touched among them.
const Key Kind = "passkey"

const (
	// PasskeysMost is how many passkeys an account may have.
	PasskeysMost = 20
	// PasskeyNameMost is how long a passkey's name may be, in characters.
	PasskeyNameMost = 64
	// HandleSize is the size of a user handle in bytes (WebAuthn section 14.6.1: random, at most 64).
	HandleSize = 32
)

// The faults of whoever adds or changes a passkey.
var (
	// ErrPasskeyKnown is for a credential that is somebody's already: this account's or another's.
	ErrPasskeyKnown = fault.New(fault.Conflict, "passkey_known",
		"This passkey was added already. If it is not in your list, remove it from your device and make a new one.")
	// ErrTooManyPasskeys is for an account that has as many as it may.
	ErrTooManyPasskeys = fault.New(fault.Conflict, "too_many_passkeys", "This account has 20 passkeys, which is as many as it may have. Please remove one first.")
	// ErrNoPasskey is for a passkey that the account does not have.
	ErrNoPasskey = fault.New(fault.NotFound, "factor_not_found", "The account has no such passkey.")
)

// Passkey is a passkey as its row has it.
type Passkey struct {
	ID, Account string
	// RPID is the host that it was made for. Of another it counts as a factor, and rests.
	RPID                  string
	Credential, PublicKey []byte
	mac                   []byte
	Counter               uint32
	// Eligible says that it may be copied to other devices of its owner, BackedUp that it is.
	Eligible, BackedUp bool
	// Verifies says that it verified the person when it was made, Discoverable that it is found without a name.
	Verifies, Discoverable bool
	AAGUID                 string
	Transports             []string
	Name                   string
	// SuspectAt is when there seemed to be a copy of it: it counts since, and opens nothing. Zero for most.
	SuspectAt      time.Time
	MadeAt, UsedAt time.Time // UsedAt is zero before the first time
}

// Usable reports whether it opens anything on the host with the RP ID.
func (p Passkey) Usable(rpID string) bool { return p.SuspectAt.IsZero() && p.RPID == rpID }

// passkeyKey is what the MACs of rows are made with: of a key that seals secrets as well.
func passkeyKey(key []byte) []byte { return secret.Derive(key, nil, "gatehouse/passkey/1") }

func passkeyMAC(key []byte, p Passkey, handle []byte) []byte {
	return secret.MAC(passkeyKey(key), []byte(p.Account), handle, []byte(p.RPID), p.Credential, p.PublicKey)
}

// sign makes the row's MAC.
func (s *Store) sign(p *Passkey, handle []byte) {
	keys := s.keys()
	p.mac = passkeyMAC(keys[len(keys)-1], *p, handle)
}

// Genuine reports whether we wrote the row for this account: whoever can write to the database and has no
// JWT_SECRET_KEY plants no key.
func (s *Store) Genuine(p Passkey, handle []byte) bool {
	ours := false
	for _, key := range s.keys() {
		ours = secret.Equal(passkeyMAC(key, p, handle), p.mac) || ours
	}
	return ours
}

// AddPasskey inserts a passkey, or returns ErrPasskeyKnown or ErrTooManyPasskeys. Whoever calls it holds the
// account's row, as everybody does who adds one: so none is counted twice.
func (s *Store) AddPasskey(tx *db.Tx, p Passkey, handle []byte, now time.Time) error {
	var has int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM passkey WHERE account_id = $1`, p.Account).Scan(&has); err != nil {
		return err
	}
	if has >= PasskeysMost {
		return ErrTooManyPasskeys
	}
	s.sign(&p, handle)
	transports, err := json.Marshal(p.Transports)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`INSERT INTO passkey (id, account_id, rp_id, credential, public_key, mac, counter, eligible, backed_up, verifies, discoverable,
			aaguid, transports, name, suspect_at, made_at, used_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, NULL, $15, NULL) ON CONFLICT (credential) DO NOTHING`,
		s.random.ID(now), p.Account, p.RPID, p.Credential, p.PublicKey, p.mac, int64(p.Counter), flag(p.Eligible), flag(p.BackedUp), flag(p.Verifies),
		flag(p.Discoverable),
		p.AAGUID, string(transports), p.Name, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrPasskeyKnown
	}
	return err
}

// PasskeysOf returns an account's passkeys, the oldest first.
func PasskeysOf(tx *db.Tx, account string) (list []Passkey, err error) {
	rows, err := tx.Query(`SELECT id, account_id, rp_id, credential, public_key, mac, counter, eligible, backed_up, verifies, discoverable,
		aaguid, transports, name, suspect_at, made_at, used_at FROM passkey WHERE account_id = $1 ORDER BY id`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		p, err := scanPasskey(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, rows.Err()
}

// PasskeyByCredential returns the passkey with the credential's id, and whether there is any.
func PasskeyByCredential(tx *db.Tx, credential []byte) (p Passkey, found bool, err error) {
	p, err = scanPasskey(tx.QueryRow(`SELECT id, account_id, rp_id, credential, public_key, mac, counter, eligible, backed_up, verifies, discoverable,
		aaguid, transports, name, suspect_at, made_at, used_at FROM passkey WHERE credential = $1`, credential).Scan)
	if errors.Is(err, db.ErrNoRows) {
		return Passkey{}, false, nil
	}
	return p, err == nil, err
}

// flag is how a yes is stored: neither database's booleans are in a backup (package schema).
func flag(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

func scanPasskey(scan func(dest ...any) error) (p Passkey, err error) {
	var (
		counter, made                              int64
		eligible, backedUp, verifies, discoverable int64
		suspect, used                              *int64
		transports                                 string
	)
	err = scan(&p.ID, &p.Account, &p.RPID, &p.Credential, &p.PublicKey, &p.mac, &counter, &eligible, &backedUp, &verifies, &discoverable,
		&p.AAGUID, &transports, &p.Name, &suspect, &made, &used)
	if err != nil {
		return Passkey{}, err
	}
	p.Eligible, p.BackedUp, p.Verifies, p.Discoverable = eligible != 0, backedUp != 0, verifies != 0, discoverable != 0
	p.Counter = uint32(counter) //nolint:gosec // as AddPasskey and UsePasskey wrote it
	p.SuspectAt, p.MadeAt, p.UsedAt = db.TimeOrZero(suspect), db.Time(made), db.TimeOrZero(used)
	return p, json.Unmarshal([]byte(transports), &p.Transports)
}

// UsePasskey notes a right answer of a passkey, and reports whether it may be one. It is not if the passkey is gone
// or suspect, or becomes so by it: a counter that did not rise, of a key that is never copied, tells that there is a
// copy, and so does a key that has counted and says that it may be copied now. While the counter is 0 that may change
// (iCloud, KeePassXC and Bitwarden have done it). Whoever calls it holds the account's row.
func UsePasskey(tx *db.Tx, id string, u Use, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE passkey SET counter = $2, backed_up = $3, eligible = $4, used_at = $5 WHERE id = $1 AND suspect_at IS NULL
		AND ((eligible = $4 AND (eligible = 1 OR counter < $2 OR (counter = 0 AND $2 = 0))) OR (eligible <> $4 AND counter = 0))`,
		id, int64(u.Counter), flag(u.BackedUp), flag(u.Eligible), db.Micros(now))
	return n == 1, err
}

// SuspectPasskey makes a passkey suspect that [UsePasskey] refused, and reports whether it does: a passkey that is
// gone, or suspect, stays so. Whoever calls it holds the account's row.
func SuspectPasskey(tx *db.Tx, id string, u Use, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE passkey SET suspect_at = $4 WHERE id = $1 AND suspect_at IS NULL
		AND NOT ((eligible = $3 AND (eligible = 1 OR counter < $2 OR (counter = 0 AND $2 = 0))) OR (eligible <> $3 AND counter = 0))`,
		id, int64(u.Counter), flag(u.Eligible), db.Micros(now))
	return n == 1, err
}

// ReinstatePasskey takes a suspect passkey back, whose owner says that there is no copy of it, or returns ErrNoPasskey.
func ReinstatePasskey(tx *db.Tx, account, id string) error {
	return ofOne(tx.Exec(`UPDATE passkey SET suspect_at = NULL, counter = 0 WHERE account_id = $1 AND id = $2 AND suspect_at IS NOT NULL`, account, id))
}

// RenamePasskey gives a passkey another name, or returns ErrNoPasskey.
func RenamePasskey(tx *db.Tx, account, id, name string) error {
	return ofOne(tx.Exec(`UPDATE passkey SET name = $3 WHERE account_id = $1 AND id = $2`, account, id, name))
}

// RemovePasskey deletes a passkey, or returns ErrNoPasskey. Whoever calls it holds the account's row.
func RemovePasskey(tx *db.Tx, account, id string) error {
	return ofOne(tx.Exec(`DELETE FROM passkey WHERE account_id = $1 AND id = $2`, account, id))
}

func ofOne(n int64, err error) error {
	if err == nil && n == 0 {
		err = ErrNoPasskey
	}
	return err
}

// aaguids are models of authenticators with their names, one a line: the community's list
// (github.com/passkeydeveloper/passkey-authenticator-aaguids). Nothing is attested, so the name is a label.
//
//go:embed aaguid.txt
var aaguids string

// nameOf is the name that a new passkey has until its owner gives it another.
func nameOf(p Passkey) string {
	for line := range strings.Lines(aaguids) {
		if id, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && id == p.AAGUID {
			return name
		}
	}
	if p.Discoverable || p.Eligible {
		return "Passkey"
	}
	return "Security key"
}
