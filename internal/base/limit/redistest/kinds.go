package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TLS starts a server that speaks TLS alone and asks its clients for a certificate.
// The files are its authority's certificate, and a client's and its key.
func TLS(t testing.TB) (s *Server, ca, cert, key string) {
	t.Helper()
	dir := folder(t)
	authority, authorityKey := certify(t, dir, "ca", nil, nil)
	certify(t, dir, "server", authority, authorityKey)
	certify(t, dir, "client", authority, authorityKey)
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the server is another user
		t.Fatal(err)
	}
	s = begin(t, true, []string{
		"--requirepass", Password, "--tls-cert-file", path("server.pem"), "--tls-key-file", path("server.key"), "--tls-ca-cert-file", path("ca.pem"),
	})
	return s, path("ca.pem"), path("client.pem"), path("client.key")
}

// Beside starts a server that takes the test's commands without TLS, and speaks TLS at a port beside, whose host and port and
// authority it returns.
func Beside(t testing.TB) (s *Server, addr, ca string) {
	t.Helper()
	dir := folder(t)
	authority, authorityKey := certify(t, dir, "ca", nil, nil)
	certify(t, dir, "server", authority, authorityKey)
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the server is another user
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	s = Start(t, "--tls-port", port, "--tls-cert-file", path("server.pem"), "--tls-key-file", path("server.key"), "--tls-ca-cert-file", path("ca.pem"),
		"--tls-auth-clients", "no")
	return s, addr, path("ca.pem")
}

// certify writes NAME.pem and NAME.key: an authority, or what it signs for 127.0.0.1.
func certify(t testing.TB, dir, name string, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.IPAddresses, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil, nil
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name+file), pem.EncodeToMemory(block), 0o644); err != nil { //nolint:gosec // the server is another user
			t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

// Cluster starts three masters that share the keys.
func Cluster(t testing.TB) []*Server {
	t.Helper()
	var nodes []*Server
	for i := range 3 {
		s := Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "10000")
		const slots = 16384
		s.ok("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/3), strconv.Itoa((i+1)*slots/3-1))
		s.ok("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		nodes = append(nodes, s)
	}
	for _, s := range nodes[1:] {
		nodes[0].ok("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(s.Port))
	}
	for _, s := range nodes {
		s.Until("cluster_state:ok", "CLUSTER", "INFO")
		s.Until("cluster_known_nodes:3", "CLUSTER", "INFO")
	}
	return nodes
}

// Sentinel starts a master, a replica of it, and a Sentinel that knows them by the
// name gatehouse and makes the replica the master soon after it can't reach that.
func Sentinel(t testing.TB) (master, replica, sentinel *Server) {
	t.Helper()
	master = Start(t)
	replica = Start(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port), "--repl-diskless-sync-delay", "0")
	replica.Until("master_link_status:up", "INFO", "replication")
	sentinel = Start(t, "--sentinel")
	port := strconv.Itoa(master.Port)
	sentinel.ok("SENTINEL", "MONITOR", "gatehouse", "127.0.0.1", port, "1")
	sentinel.ok("SENTINEL", "SET", "gatehouse", "auth-pass", Password)
	sentinel.ok("SENTINEL", "SET", "gatehouse", "down-after-milliseconds", "1000")
	sentinel.ok("SENTINEL", "SET", "gatehouse", "failover-timeout", "5000")
	sentinel.Until("slaves=1", "INFO", "sentinel")
	return master, replica, sentinel
}

func (s *Server) ok(words ...string) {
	s.Helper()
	if said := s.Do(words...); said != "+OK" {
		s.Fatalf("%v: %s", words, said)
	}
}

// Until runs the command until its answer holds the text.
func (s *Server) Until(text string, words ...string) {
	s.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		said := s.Do(words...)
		if strings.Contains(said, text) {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%v: no %s in\n%s", words, text, said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
