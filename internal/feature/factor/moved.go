package factor

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Moved is what an account has, as one installation hands it to another: secrets in the clear, so for an encrypted file alone.
type Moved struct {
	// Handle is the account's user handle, which its passkeys carry.
	Handle   []byte         `json:"handle,omitempty"`
	App      *MovedApp      `json:"app,omitempty"`
	Passkeys []MovedPasskey `json:"passkeys,omitempty"`
	// RecoveryCodes are the hashes of unused ones. They name the account's id, so they are good only where it stays the same.
	RecoveryCodes [][]byte `json:"recovery_codes,omitempty"`
}

// MovedApp is an app that shows codes. Only codes of six digits by SHA-1, a new one each 30 seconds, are taken.
type MovedApp struct {
	Secret    string     `json:"secret"` // base32, as [Text] has it
	Algorithm string     `json:"algorithm"`
	Digits    int        `json:"digits"`
	Period    int        `json:"period"` // in seconds
	LastStep  int64      `json:"last_step"`
	MadeAt    time.Time  `json:"made_at"`
	SuspectAt *time.Time `json:"suspect_at,omitempty"`
}

// MovedPasskey is a passkey. Its fields are those of [Passkey].
type MovedPasskey struct {
	RPID         string     `json:"rp_id"`
	Credential   []byte     `json:"credential"`
	PublicKey    []byte     `json:"public_key"` // COSE
	Counter      uint32     `json:"counter"`
	Eligible     bool       `json:"eligible"`
	BackedUp     bool       `json:"backed_up"`
	Verifies     bool       `json:"verifies"`
	Discoverable bool       `json:"discoverable"`
	AAGUID       string     `json:"aaguid"`
	Transports   []string   `json:"transports"`
	Name         string     `json:"name"`
	MadeAt       time.Time  `json:"made_at"`
	SuspectAt    *time.Time `json:"suspect_at,omitempty"`
}

// The bounds of an app's secret in bytes (RFC 4226 section 4, R6, asks for 16 at least), of a handle and of a credential's id (WebAuthn).
const leastSecret, mostSecret, mostHandle, mostCredential = 16, 64, 64, 1023

// Take returns what an account has, and how many factors it leaves out: those that no key recognises or opens. It returns nil for an
// account that has none.
func (s *Store) Take(tx *db.Tx, account string, handle []byte) (m *Moved, leftOut int, err error) {
	m = &Moved{Handle: handle}
	app, found, err := AppOf(tx, account)
	if err != nil {
		return nil, 0, err
	}
	if found {
		if plain, err := s.Secret(app); err != nil {
			leftOut++
		} else {
			m.App = &MovedApp{
				Secret: Text(plain), Algorithm: "SHA1", Digits: codeDigits, Period: int(stepLength / time.Second), LastStep: app.LastStep, MadeAt: app.MadeAt,
				SuspectAt: optional(app.SuspectAt),
			}
		}
	}
	keys, err := PasskeysOf(tx, account)
	if err != nil {
		return nil, 0, err
	}
	for _, p := range keys {
		if !s.Genuine(p, handle) {
			leftOut++
			continue
		}
		m.Passkeys = append(m.Passkeys, MovedPasskey{
			RPID: p.RPID, Credential: p.Credential, PublicKey: p.PublicKey, Counter: p.Counter, Eligible: p.Eligible, BackedUp: p.BackedUp, Verifies: p.Verifies,
			Discoverable: p.Discoverable, AAGUID: p.AAGUID, Transports: p.Transports, Name: p.Name, MadeAt: p.MadeAt, SuspectAt: optional(p.SuspectAt),
		})
	}
	if m.Count() == 0 {
		return nil, leftOut, nil
	}
	m.RecoveryCodes, err = unusedCodes(tx, account)
	return m, leftOut, err
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func unusedCodes(tx *db.Tx, account string) (hashes [][]byte, err error) {
	rows, err := tx.Query(`SELECT hash FROM recovery_code WHERE account_id = $1 AND used_at IS NULL AND suspect_at IS NULL ORDER BY hash`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var hash []byte
		if err := rows.Scan(&hash); err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, rows.Err()
}

// Count is how many factors they are, which recovery codes are none of.
func (m *Moved) Count() int {
	if m == nil {
		return 0
	}
	n := len(m.Passkeys)
	if m.App != nil {
		n++
	}
	return n
}

// ErrMoved is for factors in a file that can be none.
var ErrMoved = fault.New(fault.Invalid, "factors_refused", "These factors can't be taken: they are damaged, or nothing that this version knows.")

// Check refuses what can be no factors, and leaves out, with its recovery codes if nothing else is left, an app whose codes are not of
// the one sort that there is: left says so. It looks at no row.
func (m *Moved) Check() (left bool, err error) {
	if m == nil {
		return false, nil
	}
	if a := m.App; a != nil {
		switch {
		case a.Algorithm != "SHA1" || a.Digits != codeDigits || a.Period != int(stepLength/time.Second):
			m.App, left = nil, true
		case !a.good():
			return false, ErrMoved
		}
	}
	if len(m.Passkeys) > PasskeysMost || len(m.RecoveryCodes) > CodesMade || len(m.Handle) > mostHandle || len(m.Passkeys) > 0 && len(m.Handle) == 0 {
		return false, ErrMoved
	}
	for _, hash := range m.RecoveryCodes {
		if len(hash) != len(recoveryHash("", "")) {
			return false, ErrMoved
		}
	}
	for _, p := range m.Passkeys {
		if !p.good() {
			return false, ErrMoved
		}
	}
	if m.Count() == 0 {
		m.RecoveryCodes = nil
	}
	return left, nil
}

// good reports whether it can be an app of the sort that we take.
func (a *MovedApp) good() bool {
	plain, err := fromText(a.Secret)
	return err == nil && len(plain) >= leastSecret && len(plain) <= mostSecret && a.LastStep >= 0 && !a.MadeAt.IsZero()
}

// good reports whether it can be a passkey.
func (p MovedPasskey) good() bool {
	if p.RPID == "" || len(p.Credential) == 0 || len(p.Credential) > mostCredential || p.MadeAt.IsZero() || utf8.RuneCountInString(p.Name) > PasskeyNameMost ||
		len(p.Transports) > mostTransports {
		return false
	}
	if slices.ContainsFunc(p.Transports, func(t string) bool { return len(t) > mostTransport }) {
		return false
	}
	_, err := uuid.Parse(p.AAGUID)
	return err == nil && sound(p.PublicKey) == nil
}

// Put gives an account that has none what [Moved.Check] has passed. It returns ErrPasskeyKnown where an account has one of the passkeys
// already. Whoever calls it has made the account's row in this transaction, and puts the count there.
func (s *Store) Put(tx *db.Tx, account string, m *Moved, now time.Time) error {
	if a := m.App; a != nil {
		plain, err := fromText(a.Secret)
		if err != nil {
			return ErrMoved
		}
		id := s.random.ID(now)
		tx.Defer(`INSERT INTO totp (account_id, id, sealed, last_step, made_at, used_at, suspect_at) VALUES ($1, $2, $3, $4, $5, NULL, $6)`,
			account, id, s.seal(plain, appContext(account, id)), a.LastStep, db.Micros(a.MadeAt), micros(a.SuspectAt))
	}
	for _, k := range m.Passkeys {
		p := Passkey{
			Account: account, RPID: k.RPID, Credential: k.Credential, PublicKey: k.PublicKey, Counter: k.Counter, Eligible: k.Eligible, BackedUp: k.BackedUp,
			Verifies: k.Verifies, Discoverable: k.Discoverable, AAGUID: k.AAGUID, Transports: k.Transports, Name: k.Name,
		}
		if err := s.AddPasskey(tx, p, m.Handle, k.MadeAt); err != nil {
			return err
		}
		if k.SuspectAt != nil {
			tx.Defer(`UPDATE passkey SET suspect_at = $2 WHERE credential = $1`, k.Credential, micros(k.SuspectAt))
		}
	}
	for _, hash := range m.RecoveryCodes {
		tx.Defer(`INSERT INTO recovery_code (account_id, hash, made_at, used_at) VALUES ($1, $2, $3, NULL)`, account, hash, db.Micros(now))
	}
	return nil
}

func micros(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	return new(db.Micros(*t))
}
