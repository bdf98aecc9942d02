// Package client is registered applications: services that authenticate
// themselves to ask about the tokens that people bring them, and applications that people
// sign in to with OpenID Connect ([Type]).
//
// An application has an id, a name, and a secret that is shown once, unless it has keys ([Settings.JWKS]). The secret
// is 256 random bits, and its plain SHA-256 is what is stored: nobody can guess
// 256 bits, however fast the hash, and a slow one would let anyone on the
// network burn our CPU by sending wrong secrets. A rotation generates a new
// secret and keeps the old one valid for a stated time, so that an application
// on many machines need not change all of them at once.
package client

import (
	"crypto/sha256"
	"errors"
	"regexp"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// SecretPrefix begins every client secret, so that scanners for leaked secrets
// can find them.
const SecretPrefix = "gatehouse_cs_"

// Forever is the expiry of an old secret that is valid until it is revoked.
var Forever = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// Client is a registered application.
type Client struct {
	ID        string
	Name      string
	CreatedAt time.Time
	RotatedAt time.Time // when its secret was made
	// OldUntil is when the previous secret expires, Forever if not before it is revoked; it
	// is zero if there is none.
	OldUntil time.Time
	// DisabledAt is when it was disabled; zero for one that is not.
	DisabledAt time.Time
	Type       Type
	Settings   Settings
	// Newer says that a newer version has written settings that this one does not know, and would not keep to: there are none here, and
	// nobody signs in to the application by this replica.
	Newer bool
	// FromFile says that a file describes it ([Entry]): it is changed there.
	FromFile bool
	// Self says that it registered itself: nobody has checked it.
	Self bool
	// SID is that of the tokens that it has got for itself; empty for none so far.
	SID string
}

// The faults.
var (
	ErrNotFound = fault.New(fault.NotFound, "client_not_found",
		"There is no application with this id or name. List them all with: gatehouse client list")
	ErrNameTaken = fault.New(fault.Conflict, "client_name_taken",
		"There is already an application with this name. Choose another name, or rotate that application's secret.")
	ErrHasKeys = fault.New(fault.Conflict, "client_has_keys",
		"This application shows who it is with a key, and has no secret. Replace its keys (jwks); if it is to have a secret instead, take them away first.")
	ErrNoOldSecret = fault.New(fault.Conflict, "no_old_secret", "This application has no old secret that is still valid.")
)

// names are short and plain, so that they can be used in a command, a log and a
// page as they are.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// ParseName returns the name, or a fault invalid_client_name. One that looks
// like an id is none.
func ParseName(s string) (string, error) {
	if !names.MatchString(s) || uuid.Validate(s) == nil {
		return "", fault.Field("name", "invalid_client_name",
			"A name has 1 to 63 small letters, digits, dots, hyphens and underscores, begins with a letter or digit, and is no id.")
	}
	return s, nil
}

// newSecret returns a secret and its hash.
func newSecret(random secret.Random) (shown string, hash []byte) {
	shown = SecretPrefix + random.Text(secret.KeySize)
	sum := sha256.Sum256([]byte(shown))
	return shown, sum[:]
}

// Create registers an application, and returns its secret, which is stored nowhere
// else; a public one has none, nor has one with keys. The error is ErrNameTaken if another has its name.
func Create(tx *db.Tx, random secret.Random, name string, kind Type, settings Settings, now time.Time) (Client, string, error) {
	c := Client{ID: random.ID(now), Name: name, CreatedAt: now, RotatedAt: now, Type: kind, Settings: settings}
	shown, hash := newSecret(random)
	if !c.HasSecret() {
		shown = "" // nobody knows what was hashed
	}
	text, err := settings.text()
	if err != nil {
		return Client{}, "", err
	}
	n, err := tx.Exec(`INSERT INTO client (id, name, hash, old_until, created_at, rotated_at, type, settings) VALUES ($1, $2, $3, 0, $4, $4, $5, $6)
		ON CONFLICT DO NOTHING`, c.ID, name, hash, db.Micros(now), string(kind), text)
	if err == nil && n == 0 {
		err = ErrNameTaken
	}
	return c, shown, err
}

// HasSecret reports whether the application shows who it is by a secret.
func (c Client) HasSecret() bool { return !c.Type.Secretless() && !c.Settings.Keyed() }

// Change replaces what an application may do. Its type stays: whoever has one is another kind of program. Where it has keys from
// now on, its secrets end.
func Change(tx *db.Tx, random secret.Random, id string, settings Settings) error {
	text, err := settings.text()
	if err != nil {
		return err
	}
	var n int64
	if !settings.Keyed() {
		n, err = tx.Exec(`UPDATE client SET settings = $2 WHERE id = $1`, id, text)
	} else {
		_, nobodys := newSecret(random)
		n, err = tx.Exec(`UPDATE client SET settings = $2, hash = $3, old_hash = NULL, old_until = 0 WHERE id = $1`, id, text, nobodys)
	}
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// Disable has an application be refused everywhere, and its people with it, until [Enable]. To do either twice changes nothing.
func Disable(tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(`UPDATE client SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL`, id, db.Micros(now))
	return err
}

// Enable undoes [Disable].
func Enable(tx *db.Tx, id string) error {
	_, err := tx.Exec(`UPDATE client SET disabled_at = NULL WHERE id = $1`, id)
	return err
}

// OwnSID returns the sid of the tokens that an application gets for itself, and makes it for the first; ok is false if it is disabled, or
// gone.
func OwnSID(tx *db.Tx, random secret.Random, id string, now time.Time) (sid string, ok bool, err error) {
	err = tx.QueryRow(`UPDATE client SET sid = CASE WHEN sid = '' THEN $2 ELSE sid END WHERE id = $1 AND disabled_at IS NULL RETURNING sid`,
		id, random.ID(now)).Scan(&sid)
	if errors.Is(err, db.ErrNoRows) {
		return "", false, nil
	}
	return sid, err == nil, err
}

// DropSID has the next token that an application gets for itself have another sid. The caller holds the application, and ends the
// tokens of the one until now.
func DropSID(tx *db.Tx, id string) error {
	_, err := tx.Exec(`UPDATE client SET sid = '' WHERE id = $1`, id)
	return err
}

// Find returns the application of that id or name, or ErrNotFound.
func Find(tx *db.Tx, idOrName string, now time.Time) (Client, error) {
	return found(tx.QueryRow(`SELECT id, name, hash, old_hash, old_until, created_at, rotated_at, disabled_at, type, settings, source, sid FROM client
		WHERE id = $1 OR name = $1`, idOrName), now)
}

// Hold is [Find], and keeps others from changing the application until the transaction ends.
func Hold(tx *db.Tx, idOrName string, now time.Time) (Client, error) {
	return found(tx.QueryRow(`UPDATE client SET name = name WHERE id = $1 OR name = $1
		RETURNING id, name, hash, old_hash, old_until, created_at, rotated_at, disabled_at, type, settings, source, sid`, idOrName), now)
}

func found(row *db.Row, now time.Time) (Client, error) {
	k, err := scan(row)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNotFound
	}
	return k.client(now), err
}

// List returns all applications, the oldest first.
func List(tx *db.Tx, now time.Time) (out []Client, err error) {
	err = each(tx, func(k known) { out = append(out, k.client(now)) })
	return out, err
}

// Rotate gives the application a new secret and returns it. The one in force
// until now stays valid until keepUntil; an older one is revoked. The error is ErrHasKeys if it has none.
func Rotate(tx *db.Tx, random secret.Random, id string, keepUntil, now time.Time) (string, error) {
	c, err := Find(tx, id, now)
	if err == nil && c.Settings.Keyed() {
		err = ErrHasKeys
	}
	if err != nil {
		return "", err
	}
	shown, hash := newSecret(random)
	until := int64(0)
	if keepUntil.After(now) {
		until = db.Micros(keepUntil)
	}
	n, err := tx.Exec(`UPDATE client SET old_hash = CASE WHEN CAST($3 AS BIGINT) = 0 THEN NULL ELSE hash END, old_until = $3, hash = $2, rotated_at = $4
		WHERE id = $1`,
		id, hash, until, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return shown, err
}

// EndOld revokes the secret from before the last rotation. The error is
// ErrNoOldSecret if there is none that is valid.
func EndOld(tx *db.Tx, id string, now time.Time) error {
	n, err := tx.Exec(`UPDATE client SET old_hash = NULL, old_until = 0 WHERE id = $1 AND old_hash IS NOT NULL AND old_until > $2`, id, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrNoOldSecret
	}
	return err
}

// Delete deletes the application, or returns ErrNotFound.
func Delete(tx *db.Tx, id string) error {
	n, err := tx.Exec(`DELETE FROM client WHERE id = $1`, id)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// known is a row.
type known struct {
	id, name             string
	hash, oldHash        []byte
	oldUntil             int64
	createdAt, rotatedAt int64
	disabledAt           *int64
	kind                 Type
	settings             Settings
	newer                bool
	fromFile, self       bool
	sid                  string
}

// fromFile is the source of an application that a file describes, and bySelf of one that registered itself.
const (
	fromFile = "file"
	bySelf   = "self"
)

func (k known) client(now time.Time) Client {
	c := Client{ID: k.id, Name: k.name, CreatedAt: db.Time(k.createdAt), RotatedAt: db.Time(k.rotatedAt), DisabledAt: db.TimeOrZero(k.disabledAt),
		Type: k.kind, Settings: k.settings, Newer: k.newer, FromFile: k.fromFile, Self: k.self, SID: k.sid}
	if k.oldGood(now) {
		c.OldUntil = db.Time(k.oldUntil)
	}
	return c
}

func (k known) oldGood(now time.Time) bool { return k.oldHash != nil && k.oldUntil > db.Micros(now) }

func scan(row interface{ Scan(dest ...any) error }) (k known, err error) {
	var kind, settings, source string
	if err = row.Scan(&k.id, &k.name, &k.hash, &k.oldHash, &k.oldUntil, &k.createdAt, &k.rotatedAt, &k.disabledAt, &kind, &settings, &source, &k.sid); err != nil {
		return k, err
	}
	k.kind, k.fromFile, k.self = Type(kind), source == fromFile, source == bySelf
	if k.settings, err = parseSettings(settings); err != nil {
		k.settings, k.newer = Settings{}, true
	}
	return k, nil
}

// each reads all rows.
func each(tx *db.Tx, do func(known)) error {
	rows, err := tx.Query(`SELECT id, name, hash, old_hash, old_until, created_at, rotated_at, disabled_at, type, settings, source, sid FROM client ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		k, err := scan(rows)
		if err != nil {
			return err
		}
		do(k)
	}
	return rows.Err()
}
