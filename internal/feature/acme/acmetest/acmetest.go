// Package acmetest runs pebble, a real authority that speaks ACME, for tests.
package acmetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// Authority is a running pebble. Every name leads to 127.0.0.1 for it.
type Authority struct {
	// Directory is what goes into TLS_ACME_DIRECTORY.
	Directory string
	// Stop ends it, before the test does.
	Stop func()
}

// programs builds pebble once, for all tests of a process.
var programs = sync.OnceValues(func() (string, error) {
	cmd := exec.Command(proctest.File("scripts/pebble"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
})

// handed are the ports that tests of this process have got.
var handed sync.Map

// Port is one that nothing listened on a moment ago. Below 32768 no outgoing
// connection takes it meanwhile.
func Port(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 20000 + mathrand.IntN(12000) //nolint:gosec // no secret
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue
		}
		_ = l.Close()
		if _, taken := handed.LoadOrStore(port, true); !taken {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// Start starts an authority that looks for the answers to its challenges at these
// ports, in place of 80 and 443.
func Start(t *testing.T, plain, secure int) *Authority {
	t.Helper()
	folder, err := programs()
	if err != nil {
		t.Fatalf("scripts/pebble: %v", err)
	}
	dir := t.TempDir()
	address := func() string { return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: Port(t)}).String() }
	listens, manages, dns := address(), address(), address()
	writeCertificate(t, dir)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listens, "managementListenAddress": manages,
		"certificate": filepath.Join(dir, "cert.pem"), "privateKey": filepath.Join(dir, "key.pem"),
		"httpPort": plain, "tlsPort": secure, "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": 90 * 24 * 3600}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dns, filepath.Join(folder, "pebble-challtestsrv"), "-dnsserver", dns, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", address())
	a := &Authority{Directory: "https://" + listens + "/dir?ca=" + filepath.Join(dir, "cert.pem")}
	a.Stop = run(t, listens, filepath.Join(folder, "pebble"), "-config", path, "-dnsserver", dns)
	return a
}

// run starts a program until the test is over.
func run(t *testing.T, listens string, command ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec // ours
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=100")
	done, err := proctest.Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-done
		if t.Failed() {
			t.Log(out.String())
		}
	})
	t.Cleanup(stop)
	for range 600 {
		if c, err := net.Dial("tcp", listens); err == nil {
			_ = c.Close()
			return stop
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not listen", command[0])
	return nil
}

// writeCertificate makes the certificate of the authority's own server.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
