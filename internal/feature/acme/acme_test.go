package acme_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/acme"
	"github.com/gatehouse-auth/gatehouse/internal/feature/acme/acmetest"
)

var domains = []string{"login.gatehouse.test", "www.gatehouse.test"}

// testReplicas are two replicas on one database, and the ports at which the authority
// looks for them.
type testReplicas struct {
	*testing.T
	db            *db.DB
	keys          atomic.Pointer[[][]byte]
	late          atomic.Int64 // by which the clock is ahead
	plain, secure int
	authority     *acmetest.Authority
}

func newTestReplicas(t *testing.T, d *db.DB) *testReplicas {
	t.Helper()
	b := &testReplicas{T: t, db: d, plain: acmetest.Port(t), secure: acmetest.Port(t)}
	b.keys.Store(&[][]byte{secret.Random{}.Bytes(secret.KeySize)})
	b.authority = acmetest.Start(t, b.plain, b.secure)
	return b
}

func (b *testReplicas) now() time.Time { return time.Now().Add(time.Duration(b.late.Load())) }

// replica takes the certificate up as a starting server does.
func (b *testReplicas) replica(c acme.Config) *acme.Certificate {
	b.Helper()
	c.Domains = domains
	if c.Directory == "" {
		c.Directory = b.authority.Directory
	}
	a, err := acme.Open(b.Context(), c, b.db, func() [][]byte { return *b.keys.Load() }, b.now, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); a.Watch(ctx) }()
	b.Cleanup(func() { stop(); <-done })
	return a
}

// serve answers handshakes at a port, as this replica.
func (b *testReplicas) serve(a *acme.Certificate, port int) {
	b.Helper()
	l, err := tls.Listen("tcp", fmt.Sprint("127.0.0.1:", port), &tls.Config{GetCertificate: a.Get, NextProtos: []string{"http/1.1", acme.Protocol}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(io.Discard, c) }()
		}
	}()
}

// servePlain answers challenges over plain HTTP.
func (b *testReplicas) servePlain(a *acme.Certificate, port int) {
	b.Helper()
	s := &http.Server{Addr: fmt.Sprint("127.0.0.1:", port), ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, err := a.Challenge(r.Context(), strings.TrimPrefix(r.URL.Path, acme.ChallengePath))
			if err != nil {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write(text)
		})}
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	go func() { _ = s.Serve(l) }()
}

// serial is that of the certificate which a replica serves, or nothing.
func serial(a *acme.Certificate, t *testing.T) string {
	t.Helper()
	pair, err := a.Get(&tls.ClientHelloInfo{ServerName: domains[0], SupportedProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		return ""
	}
	for _, name := range domains {
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	return pair.Leaf.SerialNumber.String()
}

// eventually waits until the replicas serve one certificate, which is not those.
func (b *testReplicas) eventually(not string, replicas ...*acme.Certificate) string {
	b.Helper()
	for range 600 {
		first := serial(replicas[0], b.T)
		same := first != "" && first != not
		for _, a := range replicas {
			same = same && serial(a, b.T) == first
		}
		if same {
			return first
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatalf("no certificate but %q is served by all", not)
	return ""
}

// NET-1: one replica orders and another answers the authority; both serve what
// came, and renew it; without the authority the old one goes on.
func TestNET1_ACMESharedByReplicas(t *testing.T) {
	t.Parallel()
	dbtest.EachProductionDB(t, func(t *testing.T, d *db.DB) {
		t.Parallel()
		b := newTestReplicas(t, d)
		orders, answers := b.replica(acme.Config{}), b.replica(acme.Config{})
		b.serve(answers, b.secure)
		if serial(orders, t) != "" {
			t.Error("there is a certificate before any was ordered")
		}
		if err := orders.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := b.eventually("", orders, answers)
		b.sealed()
		conn, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", b.secure), &tls.Config{InsecureSkipVerify: true, ServerName: domains[1]})
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if got := conn.ConnectionState().PeerCertificates; len(got) < 2 || got[0].SerialNumber.String() != first || got[0].CheckSignatureFrom(got[1]) != nil {
			t.Errorf("%d certificates are served", len(got))
		}
		// A third starts with what there is, and nobody orders before it is time.
		if got := serial(b.replica(acme.Config{}), t); got != first {
			t.Errorf("a new replica serves %q, not %q", got, first)
		}
		b.late.Store(int64(59 * 24 * time.Hour))
		if err := answers.Renew(t.Context()); err != nil || serial(answers, t) != first {
			t.Errorf("after 59 of 90 days: %v", err)
		}
		b.late.Store(int64(61 * 24 * time.Hour))
		if err := answers.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := b.eventually(first, orders, answers)
		if err := orders.Renew(t.Context()); err != nil || serial(orders, t) != second {
			t.Errorf("by a clock that is wrong, orders follow one another: %v", err)
		}

		b.authority.Stop()
		b.late.Store(int64(122 * 24 * time.Hour))
		if err := orders.Renew(t.Context()); err == nil || orders.Trouble() == "" {
			t.Errorf("without the authority: %v, %q", err, orders.Trouble())
		}
		if serial(orders, t) != second || serial(answers, t) != second {
			t.Error("the old certificate is not served any more")
		}
		if err := answers.Renew(t.Context()); err != nil {
			t.Errorf("it is tried again at once: %v", err)
		}
		b.late.Add(int64(2 * time.Minute))
		if err := answers.Renew(t.Context()); err == nil {
			t.Error("it is not tried again")
		}
	})
}

// sealed fails if what is in the database reveals a key.
func (b *testReplicas) sealed() {
	b.Helper()
	err := b.db.Read(b.Context(), func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT name, sealed FROM acme_secret`)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			var name string
			var sealed []byte
			if err := rows.Scan(&name, &sealed); err != nil {
				return err
			}
			n++
			// The algorithm of every PKCS #8 of ours, and the field around it.
			if bytes.Contains(sealed, []byte("chain")) || bytes.Contains(sealed, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d}) {
				b.Errorf("%s stands in the clear", name)
			}
		}
		if n < 3 {
			b.Errorf("%d rows", n)
		}
		return rows.Err()
	})
	if err != nil {
		b.Fatal(err)
	}
}

// NET-1: where the handshake does not reach us, plain HTTP does, at the second
// try.
func TestNET1_ACMEOverPlainHTTP(t *testing.T) {
	t.Parallel()
	b := newTestReplicas(t, dbtest.Open(t, dbtest.SQLite(t)))
	a := b.replica(acme.Config{PlainHTTP: true})
	b.servePlain(b.replica(acme.Config{PlainHTTP: true}), b.plain)
	if err := a.Renew(t.Context()); err == nil || !strings.Contains(a.Trouble(), "tls-alpn-01 for ") {
		t.Fatalf("%v, %q", err, a.Trouble())
	}
	b.late.Store(int64(61 * time.Second))
	if err := a.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if serial(a, t) == "" || a.Trouble() != "" {
		t.Errorf("%q is served; %q", serial(a, t), a.Trouble())
	}
	res, err := http.Get(fmt.Sprint("http://127.0.0.1:", b.plain, acme.ChallengePath, "..%2f"))
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != 404 {
		t.Errorf("a token that is none: %d", res.StatusCode)
	}
}

// NET-1: what was sealed for one purpose opens for no other; with the key gone,
// as after a leak, another certificate is ordered and meanwhile the old one serves.
func TestNET1_ACMERowsThatDoNotOpen(t *testing.T) {
	t.Parallel()
	b := newTestReplicas(t, dbtest.Open(t, dbtest.SQLite(t)))
	a := b.replica(acme.Config{})
	b.serve(a, b.secure)
	for i, spoil := range []func(tx *db.Tx) error{
		func(*db.Tx) error { return nil },
		func(*db.Tx) error { b.keys.Store(&[][]byte{secret.Random{}.Bytes(secret.KeySize)}); return nil },
		func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE acme_secret SET n = n + 1, sealed = (SELECT s.sealed FROM acme_secret AS s WHERE s.name LIKE 'account %') WHERE name LIKE 'certificate %'`)
			return err
		},
		func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE acme_secret SET n = n + 1, sealed = X'00'`)
			return err
		},
		func(tx *db.Tx) error { _, err := tx.Exec(`DELETE FROM acme_secret`); return err },
	} {
		before := serial(a, t)
		b.late.Add(int64(61 * time.Minute))
		if err := b.db.Write(t.Context(), spoil); err != nil {
			t.Fatal(err)
		}
		if before != "" && serial(a, t) != before {
			t.Errorf("%d: the certificate is gone", i)
		}
		if err := a.Renew(t.Context()); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if got := serial(a, t); got == "" || got == before {
			t.Errorf("%d: it serves %q, after %q", i, got, before)
		}
	}
	hello := func(name string, protos ...string) error {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		go func() {
			_ = tls.Server(server, &tls.Config{GetCertificate: a.Get, NextProtos: []string{acme.Protocol}}).Handshake()
		}()
		return tls.Client(client, &tls.Config{ServerName: name, NextProtos: protos, InsecureSkipVerify: true,
			VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil }}).Handshake()
	}
	for _, name := range []string{"other.gatehouse.test", "LOGIN.gatehouse.test.", strings.Repeat("a", 60) + ".test"} {
		if hello(name, acme.Protocol) == nil {
			t.Errorf("a challenge for %s is answered", name)
		}
	}
	if err := hello(domains[0], acme.Protocol); err != nil {
		t.Errorf("the last challenge: %v", err)
	}
}

// NET-1: an impossible authority is reported at startup.
func TestNET1_ACMEWrongDirectory(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	for _, directory := range []string{"http://ca.example/d", "https://ca.example/d?ca=/nowhere.pem", "https://ca.example/d?ca=acme_test.go"} {
		if _, err := acme.Open(t.Context(), acme.Config{Directory: directory, Domains: domains}, d, nil, time.Now, slog.New(slog.DiscardHandler)); err == nil ||
			!strings.Contains(err.Error(), "TLS_ACME_DIRECTORY") {
			t.Errorf("%s: %v", directory, err)
		}
	}
}
