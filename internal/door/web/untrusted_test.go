package web

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// signer is an authority, or a certificate that one has signed.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// sign makes a certificate; without an authority it signs itself.
func (s *signer) sign(t *testing.T, name string, authority bool) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: authority, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if authority {
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		template.DNSNames = []string{name}
	}
	parent, by := template, key
	if s != nil {
		parent, by = s.cert, s.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{cert, key}
}

func pemOf(list ...*signer) (out []byte) {
	for _, s := range list {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw})...)
	}
	return out
}

// openedWith opens a certificate with its chain, and returns what is said of it.
func openedWith(t *testing.T, leaf *signer, chain ...*signer) (untrusted, logged string) {
	t.Helper()
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, b := range map[string][]byte{certFile: pemOf(append([]*signer{leaf}, chain...)...),
		keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	c, err := OpenCertificate(certFile, keyFile, "login.example.org", time.Now, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return c.Untrusted(), log.String()
}

// ASVS 12.2.2: who signed the certificate is looked at when it is read, by the authorities of the
// system, and reported where no browser elsewhere would accept it: one that signed itself, one of another authority, and
// one that lacks the intermediate. The system's authorities are read once in a process, so this test
// runs itself with its own.
func TestASVS_V12_2_2_WhoSignedTheCertificate(t *testing.T) {
	root := (*signer)(nil).sign(t, "a root", true)
	if os.Getenv("GATEHOUSE_TEST_ROOTS") == "" {
		// In this process the system's authorities stand, and none of them is ours.
		untrusted, logged := openedWith(t, root.sign(t, "login.example.org", false))
		if untrusted == "" || !strings.Contains(logged, "not from an authority") {
			t.Errorf("a certificate of an unknown authority: %q, %q", untrusted, logged)
		}
		file := filepath.Join(t.TempDir(), "roots.pem")
		key, err := x509.MarshalPKCS8PrivateKey(root.key)
		if err != nil {
			t.Fatal(err)
		}
		b := append(pemOf(root), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		again.Env = append(os.Environ(), "GATEHOUSE_TEST_ROOTS="+file, "SSL_CERT_FILE="+file, "SSL_CERT_DIR=/nowhere")
		if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	b, err := os.ReadFile(os.Getenv("GATEHOUSE_TEST_ROOTS"))
	if err != nil {
		t.Fatal(err)
	}
	cert, rest := pem.Decode(b)
	key, _ := pem.Decode(rest)
	if root.cert, err = x509.ParseCertificate(cert.Bytes); err != nil {
		t.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(key.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	root.key, _ = private.(*ecdsa.PrivateKey)
	between := root.sign(t, "an intermediate", true)
	leaf := between.sign(t, "login.example.org", false)
	stranger := (*signer)(nil).sign(t, "another root", true)
	for name, c := range map[string]struct {
		leaf  *signer
		chain []*signer
		good  bool
	}{
		"with its intermediate":     {leaf, []*signer{between}, true},
		"with the root as well":     {leaf, []*signer{between, root}, true},
		"straight from the root":    {root.sign(t, "login.example.org", false), nil, true},
		"without its intermediate":  {leaf, nil, false},
		"signed by itself":          {(*signer)(nil).sign(t, "login.example.org", false), nil, false},
		"of another authority":      {stranger.sign(t, "login.example.org", false), []*signer{stranger}, false},
		"with a wrong intermediate": {leaf, []*signer{stranger}, false},
	} {
		untrusted, logged := openedWith(t, c.leaf, c.chain...)
		if (untrusted == "") != c.good || strings.Contains(logged, "not from an authority") == c.good {
			t.Errorf("%s: %q, %q", name, untrusted, logged)
		}
	}
}
