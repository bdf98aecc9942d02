// Package intake is the imports of accounts from other systems: how far each is, so that one that was broken off goes on
// where it stopped, with the same accounts and the same report as if it had not been.
package intake

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Run is one import.
type Run struct {
	// File is the SHA-256 of the file, in hexadecimal, and Options what it is imported with.
	File, Options string
	Began, Ended  time.Time // Ended is zero until it is
	Counts
	// Report is how long the report is that tells of those who are done, in bytes.
	Report int64
}

// Counts are what became of the people of a file.
type Counts struct {
	// Done is how many were looked at: Made have an account now, Had one before, Twice stand in the file more than once, and
	// Refused can't have one.
	Done, Made, Had, Twice, Refused int64
	// Passwordless are those of Made whose password could not be taken.
	Passwordless int64
}

// Kept is how long a run that has ended is remembered.
const Kept = 30 * 24 * time.Hour

// ErrMoved is for an import that somebody else goes on with at the same time.
var ErrMoved = fault.New(fault.Conflict, "import_running", "This file is being imported by another gatehouse user import right now.")

// Find returns the import of a file that has begun and not ended.
func Find(tx *db.Tx, file string) (r Run, found bool, err error) {
	r.File = file
	var began int64
	err = tx.QueryRow(`SELECT options, began_at, done, report_bytes, made, had, twice, refused, passwordless FROM import_run
		WHERE file = $1 AND ended_at IS NULL`, file).
		Scan(&r.Options, &began, &r.Done, &r.Report, &r.Made, &r.Had, &r.Twice, &r.Refused, &r.Passwordless)
	if errors.Is(err, db.ErrNoRows) {
		return Run{File: file}, false, nil
	}
	r.Began = db.Time(began)
	return r, err == nil, err
}

// Begin records that an import begins, in place of an earlier one of the same file that has ended, and forgets those that
// ended long ago.
func Begin(tx *db.Tx, r Run) error {
	if _, err := tx.Exec(`DELETE FROM import_run WHERE ended_at < $1 OR file = $2 AND ended_at IS NOT NULL`,
		db.Micros(r.Began.Add(-Kept)), r.File); err != nil {
		return err
	}
	n, err := tx.Exec(`INSERT INTO import_run (file, options, began_at, done, report_bytes, made, had, twice, refused, passwordless)
		VALUES ($1, $2, $3, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (file) DO NOTHING`, r.File, r.Options, db.Micros(r.Began))
	if err == nil && n == 0 {
		err = ErrMoved
	}
	return err
}

// Move records how far an import is, in the transaction that makes its accounts. It was at from before, or the error is
// ErrMoved. One that has ended is over.
func Move(tx *db.Tx, r Run, from int64) error {
	var ended *int64
	if !r.Ended.IsZero() {
		ended = new(db.Micros(r.Ended))
	}
	n, err := tx.Exec(`UPDATE import_run SET done = $3, report_bytes = $4, made = $5, had = $6, twice = $7, refused = $8, passwordless = $9, ended_at = $10
		WHERE file = $1 AND done = $2 AND ended_at IS NULL`,
		r.File, from, r.Done, r.Report, r.Made, r.Had, r.Twice, r.Refused, r.Passwordless, ended)
	if err == nil && n == 0 {
		err = ErrMoved
	}
	return err
}
