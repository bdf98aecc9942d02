package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// LogOrigin is under which name and key the log is signed. There is one from
// the first start on, until an operator begins another.
type LogOrigin struct {
	N int64
	// Name begins each checkpoint.
	Name string
	// Verifier is the public key, as text.
	Verifier string
	// Size is how many leaves the log had when it began.
	Size int64
	Time time.Time
}

// LogOrigins returns all origins, the first first.
func LogOrigins(tx *db.Tx) ([]LogOrigin, error) {
	rows, err := tx.Query(`SELECT n, name, verifier, size, time FROM event_origin ORDER BY n`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []LogOrigin
	for rows.Next() {
		var (
			o  LogOrigin
			at int64
		)
		if err := rows.Scan(&o.N, &o.Name, &o.Verifier, &o.Size, &at); err != nil {
			return nil, err
		}
		o.Time = db.Time(at)
		out = append(out, o)
	}
	return out, rows.Err()
}

// current returns the origin that signs now; db.ErrNoRows before the first start.
func current(tx *db.Tx) (o LogOrigin, err error) {
	var at int64
	err = tx.QueryRow(`SELECT n, name, verifier, size, time FROM event_origin ORDER BY n DESC LIMIT 1`).Scan(&o.N, &o.Name, &o.Verifier, &o.Size, &at)
	o.Time = db.Time(at)
	return o, err
}

// BeginOrigin begins the n-th origin with the key, unless there is one of that
// number, and returns it. The installation's id makes its name unique.
func BeginOrigin(tx *db.Tx, n int64, key string, now time.Time) (LogOrigin, error) {
	var install string
	if err := tx.QueryRow(`SELECT id FROM install WHERE one = 1`).Scan(&install); err != nil {
		return LogOrigin{}, err
	}
	name := "gatehouse/" + install
	if n > 1 {
		name += fmt.Sprint("/", n)
	}
	signer, err := NewSigner(key, name)
	if err != nil {
		return LogOrigin{}, err
	}
	if _, err := tx.Exec(`INSERT INTO event_origin (n, name, verifier, size, time)
		SELECT $1, $2, $3, size, $4 FROM event_head WHERE one = 1 ON CONFLICT (n) DO NOTHING`, n, name, signer.Verifier(), db.Micros(now)); err != nil {
		return LogOrigin{}, err
	}
	return current(tx)
}

// Restart takes the leaves in the database for the log from now on, whatever was
// signed before, under a new origin. It recomputes the tree. It is for an
// operator who has found out why the log contradicts what was signed, and can't
// restore it; the caller appends an event that says so. It needs the owner's
// rights on PostgreSQL.
func Restart(tx *db.Tx, key string, now time.Time) (LogOrigin, error) {
	if _, err := tx.Exec(`DELETE FROM event_node`); err != nil {
		return LogOrigin{}, err
	}
	e := &edge{}
	const page = 10_000
	for {
		hashes, err := leavesFrom(tx, e.size, page)
		if err != nil {
			return LogOrigin{}, err
		}
		for _, h := range hashes {
			e.append(h, func(level int, n int64, h tlog.Hash) { keepNode(tx, level, n, h) })
		}
		if len(hashes) < page {
			break
		}
	}
	var leaves int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM event_leaf`).Scan(&leaves); err != nil {
		return LogOrigin{}, err
	}
	if leaves != e.size {
		return LogOrigin{}, fault.New(fault.Conflict, "event_log_has_gaps", fmt.Sprintf(
			"The leaf %d of the event log is missing, and the log can't go on without it. Restore a backup that has it.", e.size))
	}
	root := e.root()
	if _, err := tx.Exec(`UPDATE event_head SET size = $1, root = $2, from_tx = 0 WHERE one = 1`, e.size, root[:]); err != nil {
		return LogOrigin{}, err
	}
	before, err := current(tx)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return LogOrigin{}, err
	}
	return BeginOrigin(tx, before.N+1, key, now)
}

// leavesFrom returns up to limit leaf hashes from the n-th on, up to a gap.
func leavesFrom(tx *db.Tx, n int64, limit int) ([]tlog.Hash, error) {
	rows, err := tx.Query(`SELECT n, hash FROM event_leaf WHERE n >= $1 ORDER BY n LIMIT $2`, n, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []tlog.Hash
	for rows.Next() {
		var (
			at int64
			b  []byte
		)
		if err := rows.Scan(&at, &b); err != nil {
			return nil, err
		}
		if at != n+int64(len(out)) || len(b) != tlog.HashSize {
			return out, nil
		}
		out = append(out, tlog.Hash(b))
	}
	return out, rows.Err()
}

// identify finds out under which origin the log is signed, and whether this
// sealer has its key. A new origin makes it forget what it held against the old.
func (s *Sealer) identify(ctx context.Context) error {
	var o LogOrigin
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		o, err = current(tx)
		return err
	})
	if errors.Is(err, db.ErrNoRows) && s.key != "" {
		err = s.db.Write(ctx, func(tx *db.Tx) (err error) {
			o, err = BeginOrigin(tx, 1, s.key, s.now())
			return err
		})
	}
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return err
	}
	if o == s.origin {
		return nil
	}
	if s.origin.N != 0 {
		s.known, s.edge, s.signed, s.contrary = Head{}, nil, Checkpoint{}, nil
	}
	s.origin, s.signer = o, nil
	if s.key == "" {
		return nil
	}
	signer, err := NewSigner(s.key, o.Name)
	if err != nil {
		return err
	}
	if signer.Verifier() == o.Verifier {
		s.signer = signer
	}
	return nil
}
