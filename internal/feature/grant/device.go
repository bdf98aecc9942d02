package grant

import (
	"crypto/sha256"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// DevicePrefix begins every device code, so that scanners for leaked secrets can find them.
const DevicePrefix = "gatehouse_dc_"

const (
	// DeviceLife is how long somebody may take to let a device in.
	DeviceLife = 10 * time.Minute
	// DevicePause is how long a device waits between two polls, at first: each one that comes too early adds as much.
	DevicePause = 5 * time.Second
	// userCode is how many letters a user code has, of userLetters: no vowels, so that it is no word, and no letters that look alike.
	userCode    = 8
	userLetters = "BCDFGHJKLMNPQRSTVWXZ"
)

// ErrNoDevice is for a user code that is unknown, too old, or was answered.
var ErrNoDevice = errors.New("no such device waits")

// Device is one that waits for somebody to let it in.
type Device struct {
	Client, Scope, Resource string
	// Address and UserAgent are from where it began.
	Address, UserAgent string
	hash               []byte
	until              time.Time
}

// BeginDevice writes a device that waits, and returns what it polls with, and what its person types.
func (s *Store) BeginDevice(tx *db.Tx, d Device, now time.Time) (code, user string, err error) {
	hidden := s.random.Bytes(codeSecret)
	sum := sha256.Sum256(hidden)
	for range 3 { // two with the same user code do not happen, and would not harm
		user = s.newUserCode()
		n, err := tx.Exec(`INSERT INTO device_request (hash, user_code, client_id, scope, resource, expires_at, pause, polled_at, slow, answer, grant_id, address,
			user_agent) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, '', '', $8, $9) ON CONFLICT (user_code) DO NOTHING`,
			sum[:], s.userCodeHash(user), d.Client, d.Scope, d.Resource, db.Micros(now.Add(DeviceLife)), DevicePause.Microseconds(), d.Address, d.UserAgent)
		if err != nil {
			return "", "", err
		}
		if n == 1 {
			mac := secret.MAC(s.code(), []byte("device code"), hidden)[:codeMAC]
			return DevicePrefix + encoding.EncodeToString(append(hidden, mac...)), user[:4] + "-" + user[4:], nil
		}
	}
	return "", "", errors.New("no free user code was found")
}

func (s *Store) newUserCode() string {
	var out []byte
	for len(out) < userCode {
		for _, b := range s.random.Bytes(2 * userCode) {
			if int(b) < 256/len(userLetters)*len(userLetters) && len(out) < userCode { // each letter is as likely
				out = append(out, userLetters[int(b)%len(userLetters)])
			}
		}
	}
	return string(out)
}

// userCodeHash is that of a code as a person types it: in any letters, with whatever between them.
func (s *Store) userCodeHash(typed string) []byte {
	letters := strings.Map(func(r rune) rune {
		if r = unicode.ToUpper(r); strings.ContainsRune(userLetters, r) {
			return r
		}
		return -1
	}, typed)
	return secret.MAC(s.code(), []byte("user code"), []byte(letters))
}

// DeviceCode is a device code whose MAC is right.
type DeviceCode struct{ secret [codeSecret]byte }

// ParseDeviceCode takes a device code apart, and reports whether it is one of ours.
func (s *Store) ParseDeviceCode(text string) (c DeviceCode, ok bool) {
	if text, ok = strings.CutPrefix(text, DevicePrefix); !ok {
		return c, false
	}
	b, ok := secret.Decode(text, codeSecret+codeMAC)
	if !ok || !secret.Equal(b[codeSecret:], secret.MAC(s.code(), []byte("device code"), b[:codeSecret])[:codeMAC]) {
		return c, false
	}
	copy(c.secret[:], b)
	return c, true
}

// Polled is what a poll found.
type Polled string

// What a poll may find. Only Answered leads on to the exchange, with the grant's code.
const (
	Waits    Polled = "authorization_pending"
	TooEarly Polled = "slow_down"
	Declined Polled = "access_denied"
	Expired  Polled = "expired_token"
	Answered Polled = "answered"
	NoDevice Polled = "refused"
)

// Poll counts a poll of an application's device. One that comes too early makes the pause longer, and learns nothing.
func (s *Store) Poll(tx *db.Tx, c DeviceCode, client string, now time.Time) (Code, Polled, error) {
	sum := sha256.Sum256(c.secret[:])
	var (
		slow           int64
		answer, grant  string
		code           = Code{secret: c.secret}
		pause, expires int64
	)
	err := tx.QueryRow(`UPDATE device_request SET slow = CASE WHEN polled_at + pause > $3 THEN 1 ELSE 0 END,
		pause = CASE WHEN polled_at + pause > $3 THEN pause + $4 ELSE pause END, polled_at = $3
		WHERE hash = $1 AND client_id = $2 RETURNING slow, answer, grant_id, pause, expires_at`,
		sum[:], client, db.Micros(now), DevicePause.Microseconds()).Scan(&slow, &answer, &grant, &pause, &expires)
	switch {
	case errors.Is(err, db.ErrNoRows):
		return code, NoDevice, nil
	case err != nil:
		return code, "", err
	case slow == 1:
		return code, TooEarly, nil
	case answer == "no":
		return code, Declined, nil
	case expires <= db.Micros(now):
		return code, Expired, nil
	case answer == "":
		return code, Waits, nil
	}
	return code, Answered, code.id.UnmarshalText([]byte(grant))
}

// LookDevice returns the device that waits with a user code, or ErrNoDevice.
func (s *Store) LookDevice(tx *db.Tx, user string, now time.Time) (Device, error) {
	return scanDevice(tx.QueryRow(`SELECT client_id, scope, resource, address, user_agent, hash, expires_at FROM device_request
		WHERE user_code = $1 AND expires_at > $2 AND answer = ''`, s.userCodeHash(user), db.Micros(now)))
}

// DenyDevice answers a device no, or returns ErrNoDevice.
func (s *Store) DenyDevice(tx *db.Tx, user string, now time.Time) (Device, error) {
	return scanDevice(tx.QueryRow(`UPDATE device_request SET answer = 'no' WHERE user_code = $1 AND expires_at > $2 AND answer = ''
		RETURNING client_id, scope, resource, address, user_agent, hash, expires_at`, s.userCodeHash(user), db.Micros(now)))
}

// AllowDevice gives the device that waits with a user code a grant, by the session that is held, and returns it with the ids of older
// grants that it ended for being too many. Of several who answer one does; ErrNoDevice is for the others. The grant's sid is its own id:
// whoever signs out of the browser that they answered in does not turn the device off.
func (s *Store) AllowDevice(tx *db.Tx, user string, h Holder, now time.Time) (d Device, ended []string, err error) {
	id := s.random.ID(now)
	d, err = scanDevice(tx.QueryRow(`UPDATE device_request SET answer = 'yes', grant_id = $3 WHERE user_code = $1 AND expires_at > $2 AND answer = ''
		RETURNING client_id, scope, resource, address, user_agent, hash, expires_at`, s.userCodeHash(user), db.Micros(now), id))
	if err != nil {
		return d, nil, err
	}
	a := Asked{Client: d.Client, Scope: d.Scope, Resource: d.Resource, Offline: Has(d.Scope, Offline)}
	if ended, err = makeRoom(tx, h.Account, d.Client, now); err != nil {
		return d, nil, err
	}
	h.SID = id
	s.write(tx, a, h, id, d.hash, d.until, now)
	return d, ended, nil
}

func scanDevice(row *db.Row) (d Device, err error) {
	var until int64
	err = row.Scan(&d.Client, &d.Scope, &d.Resource, &d.Address, &d.UserAgent, &d.hash, &until)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNoDevice
	}
	d.until = db.Time(until)
	return d, err
}

// deviceKeep is how long it is known that a device's time is over, for its last polls.
const deviceKeep = 10 * time.Minute

// ForgetDevices deletes up to limit devices whose time is over.
func ForgetDevices(tx *db.Tx, now time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM device_request WHERE hash IN (SELECT hash FROM device_request WHERE expires_at < $1 LIMIT $2)`,
		db.Micros(now.Add(-deviceKeep)), limit)
}
