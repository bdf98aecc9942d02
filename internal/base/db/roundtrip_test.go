package db_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// roundTrips is a proxy before PostgreSQL that counts how often a client ends
// what it says and waits for the answer.
type roundTrips struct{ count atomic.Int64 }

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

func (p *roundTrips) serve(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(client, server) }()
	// The first message has no type; each one after it has a byte of it, and then
	// its length.
	for header := 4; ; header = 5 {
		head := make([]byte, header)
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[header-4:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		if _, err := server.Write(append(head, body...)); err != nil {
			return
		}
		if head[0] == 'S' || head[0] == 'Q' { // Sync, or a simple query
			p.count.Add(1)
		}
	}
}

func TestAFlowTakesFewRoundTrips(t *testing.T) {
	var p roundTrips
	d := dbtest.Open(t, behind(t, dbtest.Postgres(t), p.serve))
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
		before := p.count.Load()
		if err := flow.run(); err != nil {
			t.Fatal(err)
		}
		if got := p.count.Load() - before; got != flow.want {
			t.Errorf("%s took %d round trips, want %d", flow.name, got, flow.want)
		}
	}
}
