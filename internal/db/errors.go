package db

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse/internal/fault"
)

// errRolledBack is a commit that the server answered with a rollback.
var errRolledBack = errors.New("the transaction was rolled back because a statement in it had failed")

// connectError marks an error from taking a connection: nothing was sent.
type connectError struct{ error }

func (e connectError) Unwrap() error { return e.error }

// isConflict reports whether the transaction lost against another one and may
// be run again: 40001 serialization_failure, 40P01 deadlock_detected.
func isConflict(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// classify turns the errors of a database that can't serve for the moment into
// a fault of kind Unavailable. All others, faults of the caller's function
// among them, go through as they are.
func classify(err error) error {
	if err == nil || fault.As(err) != nil {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if isConflict(err) || isAway(err) || errors.Is(err, context.DeadlineExceeded) {
		return unavailable(err)
	}
	return err
}

// isAway reports whether the database is out of reach, out of room or out of
// patience, none of which is the statement's fault.
func isAway(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
			sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM,
			sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return true
		}
		return false
	}
	// Whatever the server says when it turns a connection away, nothing was sent.
	var (
		connect connectError
		dial    *pgconn.ConnectError
	)
	if errors.As(err, &connect) || errors.As(err, &dial) {
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// Classes: 08 connection, 53 resources, 57 operator intervention (shutdown,
		// cancel), 58 system error; 25006 is a primary that became a standby.
		switch {
		case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"),
			strings.HasPrefix(pg.Code, "57"), strings.HasPrefix(pg.Code, "58"),
			pg.Code == "25006", pg.Code == "55P03", pg.Code == "25P03", pg.Code == "25P04":
			return true
		}
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, net.ErrClosed) || errors.Is(err, errClosed) ||
		pgconn.SafeToRetry(err) || isBroken(err)
}

// isBroken knows the texts of a connection that ended in the middle, which pgx
// gives no type.
func isBroken(err error) bool {
	s := err.Error()
	return strings.Contains(s, "unexpected EOF") || strings.Contains(s, "conn closed") ||
		strings.Contains(s, "closed pool") || strings.Contains(s, "connection reset") || strings.Contains(s, "broken pipe")
}
