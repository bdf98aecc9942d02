package db

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// errRolledBack is a commit that the server answered with a rollback.
var errRolledBack = errors.New("the transaction was rolled back because a statement in it had failed")

// connectError marks an error from taking a connection: nothing was sent. Busy
// says that the pool's connections were all at work.
type connectError struct {
	error
	busy bool
}

func (e connectError) Unwrap() error { return e.error }

// lostError marks the error of a connection that broke before anything could
// have been committed: what was tried may be tried on another.
type lostError struct{ error }

func (e lostError) Unwrap() error { return e.error }

func isLost(err error) bool {
	var lost lostError
	return errors.As(err, &lost)
}

// isConflict reports whether the transaction lost against another one and may
// be run again: 40001 serialization_failure, 40P01 deadlock_detected.
func isConflict(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// IsTaken reports whether a write failed since another, at the same moment, has put
// in what must be unique. PostgreSQL alone has two at the same moment.
func IsTaken(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505"
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
		// cancel), 58 system error; 25006 is a primary that became a standby, and
		// 26000 and 42P05 are a pooler that moves prepared statements about.
		switch {
		case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"),
			strings.HasPrefix(pg.Code, "57"), strings.HasPrefix(pg.Code, "58"),
			pg.Code == "25006", pg.Code == "55P03", pg.Code == "25P03", pg.Code == "25P04",
			pg.Code == "26000", pg.Code == "42P05":
			return true
		}
		return false
	}
	var network net.Error
	return errors.As(err, &network) || isLost(err) || errors.Is(err, errUncertain) || errors.Is(err, net.ErrClosed) || errors.Is(err, errClosed) ||
		errors.Is(err, errDamaged) ||
		pgconn.SafeToRetry(err) || isBroken(err)
}

// isLocked reports whether another process holds a lock on SQLite's file.
func isLocked(err error) bool { return isLite(err, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) }

// errDamaged is the answer to every write once the file was found damaged.
var errDamaged = errors.New("the SQLite database is damaged, and nothing more is written to it: restore a backup")

// isDamage reports whether the error says that SQLite's file is damaged.
func isDamage(err error) bool {
	return errors.Is(err, errDamaged) || isLite(err, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
}

func isLite(err error, codes ...int) bool {
	var lite *sqlite.Error
	return errors.As(err, &lite) && slices.Contains(codes, lite.Code()&0xff)
}

// Trouble returns in one word what is wrong with a database that returned this error, for
// readyz: unreachable, read_only, full, disk_failing, locked, damaged,
// no_connection, timeout, pooler, credentials, no_database, parameter, tls or moving;
// failing is all else.
func Trouble(err error) string {
	var (
		pg      *pgconn.PgError
		connect connectError
		network net.Error
	)
	switch {
	case errors.Is(err, errFence):
		return "moving"
	case isDamage(err):
		return "damaged"
	case isLocked(err):
		return "locked"
	case isLite(err, sqlite3.SQLITE_FULL):
		return "full"
	case isLite(err, sqlite3.SQLITE_READONLY):
		return "read_only"
	case isLite(err, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
		return "disk_failing" // or a quota, or a limit on the size of files
	case errors.As(err, &pg):
		switch pg.Code {
		case "25006":
			return "read_only"
		case "53100":
			return "full"
		case "53300":
			return "no_connection"
		case "26000", "42P05":
			return "pooler"
		case "3D000":
			return "no_database"
		}
		if word := refusal(pg, err); word != "" {
			return word
		}
		if strings.HasPrefix(pg.Code, "57") || strings.HasPrefix(pg.Code, "08") || errors.As(err, &connect) {
			return "unreachable"
		}
	case isTLSFailure(err):
		return "tls"
	case errors.As(err, &connect):
		// Not one of the pool's connections came free; or there was none to be had.
		if connect.busy {
			return "no_connection"
		}
		return "unreachable"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &network), isBroken(err):
		return "unreachable"
	}
	return "failing"
}

// refusal is Trouble for what PostgreSQL, or a pooler, says while it turns a new
// connection away: classes 28 (authorization) and 08P01, 22023, 42704 for a
// parameter.
func refusal(pg *pgconn.PgError, err error) string {
	var dial *pgconn.ConnectError
	if !errors.As(err, &dial) {
		return ""
	}
	switch {
	case strings.HasPrefix(pg.Code, "28"):
		return "credentials"
	case pg.Code == "22023", pg.Code == "42704", pg.Code == "08P01" && strings.Contains(pg.Message, "parameter"):
		return "parameter"
	}
	return ""
}

// isBroken knows the texts of a connection that ended in the middle, which pgx
// gives no type.
func isBroken(err error) bool {
	s := err.Error()
	return strings.Contains(s, "unexpected EOF") || strings.Contains(s, "conn closed") ||
		strings.Contains(s, "closed pool") || strings.Contains(s, "connection reset") || strings.Contains(s, "broken pipe")
}
