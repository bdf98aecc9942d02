package web

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// from is a connection that comes from the address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// stubListener is a listener at which these have arrived.
type stubListener struct {
	net.Listener
	conns []net.Conn
}

func (c *stubListener) Accept() (net.Conn, error) {
	if len(c.conns) == 0 {
		return nil, net.ErrClosed
	}
	conn := c.conns[0]
	c.conns = c.conns[1:]
	return conn, nil
}

func (c *stubListener) Addr() net.Addr { return &net.TCPAddr{} }

// F9: a listener without TLS takes connections from its private networks and from this
// machine, and from nowhere else; refused peers are logged.
func TestCaseF9_PrivateNetworks(t *testing.T) {
	inner := &stubListener{}
	for _, a := range []string{"203.0.113.9", "172.18.0.7", "172.19.0.7", "127.0.0.1", "::1", "::ffff:172.18.0.8", "fd00::1", "2001:db8::1", "fe80::1"} {
		one, two := net.Pipe()
		t.Cleanup(func() { _ = two.Close() })
		inner.conns = append(inner.conns, from{one, &net.TCPAddr{IP: net.ParseIP(a), Port: 1}})
	}
	var log strings.Builder
	l := Private(inner, []netip.Prefix{netip.MustParsePrefix("172.18.0.0/16"), netip.MustParsePrefix("fd00::/64")}, slog.New(slog.NewTextHandler(&log, nil)))
	var taken []string
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		taken = append(taken, c.RemoteAddr().(*net.TCPAddr).IP.String())
	}
	if got := strings.Join(taken, " "); got != "172.18.0.7 127.0.0.1 ::1 172.18.0.8 fd00::1" {
		t.Errorf("taken: %s", got)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "203.0.113.9") {
		t.Errorf("%s", log.String())
	}
}

// The admin listener knows its names: no page of a stranger's reads it under a name that
// points to this machine.
func TestAdminListenerKnowsItsNames(t *testing.T) {
	edge := NewEdge(EdgeConfig{Hosts: []string{"auth.acme.org"}, Loopback: true, Internal: true})
	stack := &Stack{Log: slog.New(slog.DiscardHandler), Now: time.Now, Edge: edge, Metrics: NewMetrics(prometheus.NewRegistry())}
	mux := http.NewServeMux()
	stack.Handle(mux, "GET /healthz", func(w http.ResponseWriter, _ *http.Request) error { return WriteJSON(w, 200, map[string]string{}) })
	for host, want := range map[string]int{
		"127.0.0.1:9000": 200, "[::1]:9000": 200, "localhost": 200, "10.1.2.3:9000": 200, "gatehouse:9000": 200, "gatehouse.auth.svc:9000": 200,
		"gatehouse.auth.svc.cluster.local": 200,
		"auth.acme.org":                    200, "evil.test.example": 400, "evil.example:9000": 400, "svc.evil.example": 400, "localhost.evil.example": 400,
	} {
		if got := askHost(t, stack.Wrap(mux), host); got != want && !(want == 400 && got == 421) {
			t.Errorf("%s: %d, want %d", host, got, want)
		}
	}
}

// V11.2.3: a certificate whose key can be broken is refused, a weaker one is warned of;
// an encrypted key is said plainly.
func TestASVS_V11_2_3_KeysOfCertificates(t *testing.T) {
	rsaKey := func(bits int) crypto.Signer {
		t.Setenv("GODEBUG", "rsa1024min=0")
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key              crypto.Signer
		refused, warning string
	}{
		"RSA 1024": {rsaKey(1024), "1024 bits", ""}, "RSA 2048": {rsaKey(2048), "", "less than 3072"}, "RSA 3072": {rsaKey(3072), "", ""},
		"P-256": {p256, "", ""}, "P-224": {p224, "224 bits", ""},
	} {
		dir := t.TempDir()
		cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			DNSNames: []string{"auth.acme.org"}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, c.key.Public(), c.key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(c.key)
		if err != nil {
			t.Fatal(err)
		}
		put := func(path, kind string, b []byte) {
			if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		put(cert, "CERTIFICATE", der)
		put(key, "PRIVATE KEY", keyDER)
		var log strings.Builder
		_, err = OpenCertificate(cert, key, "auth.acme.org", time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(log.String(), "RSA key") != (c.warning != "") || !strings.Contains(log.String(), c.warning) {
			t.Errorf("%s: %s", name, log.String())
		}
		put(key, "ENCRYPTED PRIVATE KEY", keyDER[1:]) // nobody can read it without the passphrase
		if _, err := OpenCertificate(cert, key, "auth.acme.org", time.Now, slog.New(slog.DiscardHandler)); err == nil ||
			!strings.Contains(err.Error(), "passphrase") {
			t.Errorf("%s, encrypted: %v", name, err)
		}
	}
}

func askHost(t *testing.T, h http.Handler, host string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.RemoteAddr = host, "127.0.0.1:1"
	w := &recorder{header: http.Header{}}
	h.ServeHTTP(w, r)
	return w.status
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) WriteHeader(status int)      { r.status = status }
