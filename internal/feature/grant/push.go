package grant

import (
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// pushedPrefix begins the request_uri of a pushed request (RFC 9126 section 2.2).
const pushedPrefix = "urn:ietf:params:oauth:request_uri:"

const (
	// PushedLife is how long a browser may take to bring a pushed request.
	PushedLife = 90 * time.Second
	// spentKeep is how long a request is known to be spent: longer than anybody may take to sign in for it.
	spentKeep = 90 * time.Minute
)

// ErrNotPushed is for a request_uri that is unknown, of another application, too old or used.
var ErrNotPushed = errors.New("no such pushed request")

// IsPushed reports whether a request_uri may be one of a pushed request.
func IsPushed(uri string) bool { return strings.HasPrefix(uri, pushedPrefix) }

// Push keeps a sealed request of an application, and returns its request_uri: whoever knows that can begin the request, so the
// database has its hash.
func (s *Store) Push(tx *db.Tx, client, sealed string, now time.Time) (uri string) {
	uri = pushedPrefix + encoding.EncodeToString(s.random.Bytes(32))
	tx.Defer(`INSERT INTO pushed_request (hash, client_id, sealed, expires_at) VALUES ($1, $2, $3, $4)`,
		pushedHash(uri), client, sealed, db.Micros(now.Add(PushedLife)))
	return uri
}

// Pushed returns a pushed request of an application, sealed, and its row, or ErrNotPushed. To look does not spend it: people reload.
func Pushed(tx *db.Tx, client, uri string, now time.Time) (sealed string, row []byte, err error) {
	row = pushedHash(uri)
	err = tx.QueryRow(`SELECT sealed FROM pushed_request WHERE hash = $1 AND client_id = $2 AND expires_at > $3 AND used_at IS NULL`,
		row, client, db.Micros(now)).Scan(&sealed)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNotPushed
	}
	return sealed, row, err
}

// Spend notes that a code is given for a pushed request; ErrNotPushed is for one that was spent before. Its row may have gone, since its
// person may sign in for longer than that lives: then it is there again, as spent.
func Spend(tx *db.Tx, row []byte, client string, now time.Time) error {
	n, err := tx.Exec(`INSERT INTO pushed_request (hash, client_id, sealed, expires_at, used_at) VALUES ($1, $2, '', $3, $4)
		ON CONFLICT (hash) DO UPDATE SET sealed = '', expires_at = excluded.expires_at, used_at = excluded.used_at WHERE pushed_request.used_at IS NULL`,
		row, client, db.Micros(now.Add(spentKeep)), db.Micros(now))
	if err == nil && n == 0 {
		err = ErrNotPushed
	}
	return err
}

// ForgetPushed deletes up to limit requests whose time is over.
func ForgetPushed(tx *db.Tx, now time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM pushed_request WHERE hash IN (SELECT hash FROM pushed_request WHERE expires_at < $1 LIMIT $2)`, db.Micros(now), limit)
}

func pushedHash(uri string) []byte {
	sum := sha256.Sum256([]byte(uri))
	return sum[:]
}
