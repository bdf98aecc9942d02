package db_test

import (
	"net"
	"net/url"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// behind returns the URL of the database as it is reached through a proxy, which
// serves each connection, given the server's address.
func behind(t *testing.T, dbURL string, serve func(client net.Conn, server string)) string {
	t.Helper()
	u, err := url.Parse(dbURL)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go serve(client, server)
		}
	}()
	u.Host = l.Addr().String()
	return u.String()
}

func TestAFlowTakesFewRoundTrips(t *testing.T) {
	wire := dbtest.NewWire(t, dbtest.Postgres(t))
	d := dbtest.Open(t, wire.URL())
	const insert = `INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ($1, '', 0, 0, '') ON CONFLICT DO NOTHING`
	read := func(tx *db.Tx) error {
		var n int64
		return tx.QueryRow(`SELECT COUNT(*) FROM job`).Scan(&n)
	}
	for _, flow := range []struct {
		name string
		run  func() error
		want int64
	}{
		{"a read", func() error { return d.Read(ctx, read) }, 1},
		{"an event alone", func() error {
			return d.Write(ctx, func(tx *db.Tx) error { tx.Defer(insert, "a"); tx.Defer(insert, "b"); return nil })
		}, 1},
		{"a refresh: one query, then what is deferred and the commit", func() error {
			return d.Write(ctx, func(tx *db.Tx) error {
				err := read(tx)
				tx.Defer(insert, "c")
				tx.Defer(insert, "d")
				return err
			})
		}, 2},
		{"nothing", func() error { return d.Write(ctx, func(*db.Tx) error { return nil }) }, 0},
	} {
		// The first times compile the statements, on each connection that is used.
		for range 20 {
			if err := flow.run(); err != nil {
				t.Fatal(err)
			}
		}
		before := wire.Trips()
		if err := flow.run(); err != nil {
			t.Fatal(err)
		}
		if got := wire.Trips() - before; got != flow.want {
			t.Errorf("%s took %d round trips, want %d", flow.name, got, flow.want)
		}
	}
}
