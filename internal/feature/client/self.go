package client

import (
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// MostSelf is how many applications there may be that registered themselves.
const MostSelf = 10_000

// ErrFull is for one more than there may be.
var ErrFull = fault.New(fault.Unavailable, "too_many_clients",
	"Too many applications have registered themselves of late. Unused ones go within a day: try again then.")

// SelfType is what kind of program registers itself with these addresses: in a browser if all are https, unless it says that it is native.
func SelfType(uris []string, applicationType string) Type {
	for _, uri := range uris {
		if !strings.HasPrefix(uri, "https://") {
			return Native
		}
	}
	if applicationType == string(Native) {
		return Native
	}
	return SPA
}

// CheckSelf tells whether an application may register itself with these settings: its answers go to https addresses and to a person's own
// computer, and to no scheme of its own, which any other program could have too.
func (s Settings) CheckSelf(t Type) error {
	for _, uri := range s.RedirectURIs {
		if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") {
			return fault.Field("redirect_uris", "invalid_redirect_uri", "This address can't be registered: it must begin with https://, or be on loopback.")
		}
	}
	return s.Check(t, false)
}

// CountSelf returns how many applications there are that registered themselves.
func CountSelf(tx *db.Tx) (n int, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM client WHERE source = $1`, bySelf).Scan(&n)
	return n, err
}

// RegisterSelf registers an application that asks for it itself.
func RegisterSelf(tx *db.Tx, random secret.Random, t Type, s Settings, now time.Time) (Client, error) {
	n, err := CountSelf(tx)
	if err != nil {
		return Client{}, err
	}
	if n >= MostSelf {
		return Client{}, ErrFull
	}
	text, err := s.text()
	if err != nil {
		return Client{}, err
	}
	c := Client{ID: random.ID(now), CreatedAt: now, RotatedAt: now, Type: t, Settings: s, Self: true}
	c.Name = "self-" + strings.ReplaceAll(c.ID, "-", "")
	_, nobodys := newSecret(random)
	_, err = tx.Exec(`INSERT INTO client (id, name, hash, old_until, created_at, rotated_at, type, settings, source) VALUES ($1, $2, $3, 0, $4, $4, $5, $6, $7)`,
		c.ID, c.Name, nobodys, db.Micros(now), string(t), text, bySelf)
	return c, err
}

// selfKeep is how long an application that registered itself is kept without anything that it was granted.
const selfKeep = 24 * time.Hour

// ForgetSelf deletes up to limit applications that registered themselves, and have nothing of anybody: a day after they did, or once all
// that they were granted is over and forgotten. Their consents go with them. It returns how many.
func ForgetSelf(tx *db.Tx, now time.Time, limit int) (int64, error) {
	gone, err := db.Strings(tx.Query(`DELETE FROM client WHERE id IN (SELECT id FROM client WHERE source = $1 AND created_at < $2
		AND NOT EXISTS (SELECT 1 FROM client_grant WHERE client_grant.client_id = client.id) LIMIT $3) RETURNING id`,
		bySelf, db.Micros(now.Add(-selfKeep)), limit))
	for _, id := range gone {
		tx.Defer(`DELETE FROM client_consent WHERE client_id = $1`, id)
	}
	return int64(len(gone)), err
}
