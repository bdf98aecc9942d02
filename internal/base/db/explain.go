package db

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Explain says to an operator what is wrong with a database that returned this error, and how to
// mend it: [Trouble] in a sentence or two. Lasting is set for what no waiting mends,
// such as a wrong password. It returns nothing for an error that is no trouble of
// the database.
func Explain(err error) (text string, lasting bool) {
	trouble := Trouble(err)
	switch trouble {
	case "credentials":
		return "The database refuses the user or the password in DATABASE_URL (or MIGRATE_DATABASE_URL); or its pg_hba.conf lets this user not in from here.", true
	case "no_database":
		return "The PostgreSQL server has no database of the name in DATABASE_URL. " +
			"Make it (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0), or mend the name.", true
	case "parameter":
		return "PostgreSQL, or a pooler in front of it, does not take a parameter in DATABASE_URL. " +
			"Remove it there; for a pooler such as pgbouncer, default_query_exec_mode=cache_describe is enough.", true
	case "tls":
		return "The TLS connection to the database failed: its certificate is not to be trusted, or it speaks no TLS. " +
			"Give the authority's certificate by sslrootcert=PATH in DATABASE_URL, and the host as the certificate names it.", true
	case "pooler":
		return "A pooler, such as pgbouncer, loses the prepared statements of this connection. Add default_query_exec_mode=cache_describe to DATABASE_URL.", true
	case "read_only":
		return "The database takes no writes: it is a standby, or read-only. " +
			"Name the primary in DATABASE_URL; or all servers, with target_session_attrs=read-write.", false
	case "no_connection":
		return "PostgreSQL has no connection left for Gatehouse. Raise its max_connections, find who holds them, or lower DATABASE_MAX_CONNS.", false
	case "timeout":
		return "The database does not answer in time. Look at it, and at the network.", false
	case "full":
		return "The database's disk is full. Make room on it.", false
	case "unreachable":
		return fmt.Sprintf("The database can't be reached: %s. Look whether it runs, and whether DATABASE_URL names its host and port.", unreachable(err)), false
	}
	return "", false
}

// unreachable says in a few words why nothing answers.
func unreachable(err error) string {
	var (
		name *net.DNSError
		pg   *pgconn.PgError
	)
	switch s := err.Error(); {
	case errors.As(err, &name):
		return "no host has the name in its URL"
	case errors.As(err, &pg) && pg.Code == "57P03":
		return "it is starting up or shutting down"
	case strings.Contains(s, "connection refused"):
		return "nothing listens there"
	case strings.Contains(s, "no such file"):
		return "there is no such socket"
	}
	return "nothing answers, or the connection breaks"
}

// isTLSFailure reports whether a connection failed of its TLS, for good: pgx gives
// a server that speaks none no type.
func isTLSFailure(err error) bool {
	var (
		untrusted *tls.CertificateVerificationError
		unknown   x509.UnknownAuthorityError
		name      x509.HostnameError
		alert     tls.AlertError
	)
	return errors.As(err, &untrusted) || errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &alert) ||
		strings.Contains(err.Error(), "server refused TLS connection")
}
