package db

import (
	"context"
	"strings"
	"time"
)

// Posture is what a database says of itself and of the connection to it.
type Posture struct {
	// Version is the server's, or SQLite's, and Encoding the database's.
	Version, Encoding string
	// Encrypted is whether this connection is, and TLS by which version of it.
	Encrypted bool
	TLS       string
	// Local is whether the database is on this machine: a file, a socket, or a loopback address.
	Local bool
	// Clock is the database's; zero for SQLite, whose clock is this machine's.
	Clock time.Time
}

// Posture asks the database.
func (d *DB) Posture(ctx context.Context) (Posture, error) {
	p, ok := d.engine.(*postgres)
	if !ok {
		out := Posture{Local: true, Encoding: "UTF8"}
		err := d.Read(ctx, func(tx *Tx) error { return tx.QueryRow(`SELECT sqlite_version()`).Scan(&out.Version) })
		return out, err
	}
	var (
		out  Posture
		host string
	)
	err := p.pool.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('server_encoding'),
		COALESCE(s.ssl, FALSE), COALESCE(s.version, ''), COALESCE(host(inet_client_addr()), ''),
		clock_timestamp() FROM (SELECT pg_backend_pid() AS pid) AS me LEFT JOIN pg_stat_ssl AS s ON s.pid = me.pid`).
		Scan(&out.Version, &out.Encoding, &out.Encrypted, &out.TLS, &host, &out.Clock)
	out.Local = host == "" || host == "::1" || strings.HasPrefix(host, "127.")
	return out, classify(err)
}
