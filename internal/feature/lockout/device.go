package lockout

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

const (
	// DeviceLife is how long a browser stays known without a sign-in.
	DeviceLife = 180 * 24 * time.Hour
	// devicesMost is how many known devices an account can have; the one unused
	// for longest is dropped.
	devicesMost = 20
	deviceSize  = 16
)

// CookieName names a device's cookie: each address has its own, so that several
// people on one machine don't take each other's away.
func (s *Store) CookieName(addressKey string) string {
	return hex.EncodeToString(secret.MAC(s.key, []byte("lockout/cookie"), []byte(addressKey))[:5])
}

// deviceID returns the id in a device's token, if the token was made by us for
// the account: anything else costs no lookup.
func (s *Store) deviceID(token, account string) string {
	id, mac, ok := strings.Cut(token, ".")
	if !ok || len(id) != base64.RawURLEncoding.EncodedLen(deviceSize) || !secret.Equal([]byte(mac), []byte(s.bucket("device", id, account))) {
		return ""
	}
	return id
}

// Recognises reports whether a token was made for the address. Only Take tells
// whether its device is still known.
func (s *Store) Recognises(token, addressKey string) bool {
	return s.deviceID(token, s.bucket("account", addressKey)) != ""
}

// Remember makes the device of a successful try known, or notes that it was
// seen, and returns the token for its cookie. The statements are deferred.
func (s *Store) Remember(tx *db.Tx, t Try, accountID string, now time.Time) (token string) {
	return s.remember(tx, t.Device, accountID, t.home, now)
}

// NewDevice makes a device known to an account whose owner has confirmed it
// by other means: by a link in a mail.
func (s *Store) NewDevice(tx *db.Tx, accountID, addressKey string, now time.Time) (token string) {
	return s.remember(tx, "", accountID, s.bucket("account", addressKey), now)
}

func (s *Store) remember(tx *db.Tx, id, accountID, account string, now time.Time) string {
	if id != "" {
		tx.Defer(`UPDATE known_device SET seen_at = $2 WHERE id = $1`, id, db.Micros(now))
	} else {
		id = s.random.Text(deviceSize)
		tx.Defer(`INSERT INTO known_device (id, account_id, account, created_at, seen_at) VALUES ($1, $2, $3, $4, $4)`, id, accountID, account, db.Micros(now))
		tx.Defer(`DELETE FROM known_device WHERE account_id = $1 AND id NOT IN
			(SELECT id FROM known_device WHERE account_id = $1 ORDER BY seen_at DESC, id LIMIT $2)`, accountID, devicesMost)
	}
	return id + "." + s.bucket("device", id, account)
}

// ForgetDevices makes all devices of an account unknown again, and returns how
// many they were.
func ForgetDevices(tx *db.Tx, accountID string) (int64, error) {
	return tx.Exec(`DELETE FROM known_device WHERE account_id = $1`, accountID)
}

// CountDevices returns how many known devices an account has.
func CountDevices(tx *db.Tx, accountID string) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM known_device WHERE account_id = $1`, accountID).Scan(&n)
	return n, err
}

// ForgetUnused deletes devices that were not seen since a time.
func ForgetUnused(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT seen_at, id, 1, seen_at FROM known_device WHERE (seen_at, id) > ($1, $2) AND seen_at < $3 ORDER BY seen_at, id LIMIT $4`,
		b.After.At, b.After.ID, b.Before, b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM known_device WHERE (seen_at, id) > ($1, $2) AND (seen_at, id) <= ($4, $5) AND seen_at < $3`,
			b.After.At, b.After.ID, b.Before, s.Last.At, s.Last.ID)
	}
	return s, err
}
