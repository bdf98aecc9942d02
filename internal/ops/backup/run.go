package backup

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Kind is what was done with a backup.
type Kind string

// The kinds.
const (
	Create Kind = "create"
	Drill  Kind = "drill"
	Prove  Kind = "prove"
	Loaded Kind = "restore"
	Prune  Kind = "prune"
)

// Run is one row of what was done with backups, and how it ended.
type Run struct {
	ID       string
	Kind     Kind
	Backup   string // its id; empty if there is none
	Manifest string // SHA-256 of the manifest, in hex
	Snapshot time.Time
	Began    time.Time
	Ended    time.Time
	Bytes    int64
	Error    string // why it failed; empty if it did not
}

// Note keeps a run.
func Note(tx *db.Tx, r Run) error {
	snapshot := int64(0)
	if !r.Snapshot.IsZero() {
		snapshot = db.Micros(r.Snapshot)
	}
	_, err := tx.Exec(`INSERT INTO backup_run (id, kind, backup, manifest, snapshot_at, began_at, ended_at, bytes, error)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		r.ID, string(r.Kind), r.Backup, r.Manifest, snapshot, db.Micros(r.Began), db.Micros(r.Ended), r.Bytes, r.Error)
	return err
}

// Runs returns the newest runs, newest first.
func Runs(tx *db.Tx, limit int) ([]Run, error) {
	rows, err := tx.Query(`SELECT id, kind, backup, manifest, snapshot_at, began_at, ended_at, bytes, error FROM backup_run
		ORDER BY ended_at DESC LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Run
	for rows.Next() {
		var (
			r                      Run
			snapshot, began, ended int64
		)
		if err := rows.Scan(&r.ID, &r.Kind, &r.Backup, &r.Manifest, &snapshot, &began, &ended, &r.Bytes, &r.Error); err != nil {
			return nil, err
		}
		if r.Began, r.Ended = db.Time(began), db.Time(ended); snapshot != 0 {
			r.Snapshot = db.Time(snapshot)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Forget deletes runs that ended before a time, at most limit.
func Forget(tx *db.Tx, before time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM backup_run WHERE id IN (SELECT id FROM backup_run WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)`, db.Micros(before), limit)
}

// Standing is what is known of the backups of an installation, from its own rows.
type Standing struct {
	// Good is of the newest backup: its moment; zero if there is none. Drilled and Proved
	// are when one was last drilled, and opened with an operator's key.
	Good, Drilled, Proved time.Time
	// Undrilled is how many drills have failed since.
	Undrilled int
	// Newest is that backup, and its manifest's hash.
	Newest, Manifest string
	// Failures is how often making one has failed since; Failed is when it last did,
	// and Error why.
	Failures int
	Failed   time.Time
	Error    string
}

// Stand reads how the backups stand.
func Stand(tx *db.Tx) (s Standing, err error) {
	list, err := Runs(tx, 1000)
	for _, r := range list {
		switch {
		case r.Kind == Create && r.Error == "" && s.Good.IsZero():
			s.Good, s.Newest, s.Manifest = r.Snapshot, r.Backup, r.Manifest
		case r.Kind == Create && r.Error != "" && s.Good.IsZero():
			if s.Failures++; s.Failures == 1 {
				s.Failed, s.Error = r.Ended, r.Error
			}
		case r.Kind == Drill && r.Error != "" && s.Drilled.IsZero():
			s.Undrilled++
		case r.Kind == Drill && r.Error == "" && s.Drilled.IsZero():
			s.Drilled = r.Ended
		case (r.Kind == Prove || r.Kind == Loaded) && r.Error == "" && s.Proved.IsZero():
			s.Proved = r.Ended
		}
	}
	return s, err
}
