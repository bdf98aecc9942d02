package db

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Blame says what a database's error is about.
type Blame int

// What errors are about.
const (
	// BlameNone is no error of the database's.
	BlameNone Blame = iota
	// BlameDatabase is one of the database, or of what was to be stored.
	BlameDatabase
	// BlameStatement is a statement that can't be read, or that names what is not
	// there or not allowed. Ours are constants and tested, so either the schema is
	// another, or somebody found a way to change them.
	BlameStatement
)

// BlameOf returns what an error is about.
func BlameOf(err error) Blame {
	var (
		pg   *pgconn.PgError
		lite *sqlite.Error
	)
	switch {
	case errors.As(err, &pg):
		switch pg.Code {
		case "42601", "42703", "42883", "42P01", "42804", "42501", "22P02":
			return BlameStatement
		}
		return BlameDatabase
	case errors.As(err, &lite):
		if code := lite.Code() & 0xff; code == sqlite3.SQLITE_ERROR || code == sqlite3.SQLITE_AUTH {
			return BlameStatement
		}
		return BlameDatabase
	case err != nil && isAway(err):
		return BlameDatabase
	}
	return BlameNone
}
