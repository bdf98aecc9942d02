package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Certificate is a listener's certificate, read again when its files change.
type Certificate struct {
	certFile, keyFile, host string
	now                     func() time.Time
	log                     *slog.Logger
	current                 atomic.Pointer[tls.Certificate]
	trouble                 atomic.Pointer[string]
	stamp                   string // of the files that were read last, good or not
}

// OpenCertificate reads a certificate, its chain and its key, all in PEM. One
// for another host, or for another time, is logged and served all the same: refusing
// to start would help nobody.
func OpenCertificate(certFile, keyFile, host string, now func() time.Time, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, host: withoutPort(host), now: now, log: log}
	c.trouble.Store(new(string))
	c.stamp = c.look()
	pair, err := c.read()
	if err != nil {
		return nil, err
	}
	if err := c.fits(pair, now()); err != nil {
		log.Warn("The certificate in TLS_CERT_FILE is wrong for PUBLIC_URL; browsers will refuse it. Replace the file; it is read at once.", "error", err.Error())
	}
	c.warnWeak(pair)
	c.warnUntrusted(pair)
	c.current.Store(pair)
	return c, nil
}

// Untrusted says that browsers elsewhere do not know who signed the certificate in force,
// by the authorities of this system (ASVS 12.2.2), or nothing: one of a company's own authority serves those
// who know that.
func (c *Certificate) Untrusted() string {
	if err := c.chain(c.current.Load()); err != nil {
		return "no authority that this system trusts has signed it: " + err.Error()
	}
	return ""
}

// chain verifies who signed the certificate, as browsers do: by the intermediates that come
// with it, whatever its names and times are, which fits looks at.
func (c *Certificate) chain(pair *tls.Certificate) error {
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(cert)
		}
	}
	_, err := pair.Leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: pair.Leaf.NotBefore.Add(pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore) / 2)})
	return err
}

func (c *Certificate) warnUntrusted(pair *tls.Certificate) {
	if err := c.chain(pair); err != nil {
		c.log.Warn("The certificate in TLS_CERT_FILE is not from an authority that this system trusts, and most browsers will refuse it. "+
			"If it is from your own authority, or lacks the intermediate one, put the whole chain into the file.", "error", err.Error())
	}
}

// Get returns the certificate in force.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// Validity returns from when and until when the certificate in force is valid.
func (c *Certificate) Validity() (from, until time.Time) {
	leaf := c.current.Load().Leaf
	return leaf.NotBefore, leaf.NotAfter
}

// Trouble says what is wrong with the files that would replace it, once that has
// lasted, or nothing.
func (c *Certificate) Trouble() string { return *c.trouble.Load() }

func (c *Certificate) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		if encryptedKey(c.keyFile) {
			return nil, errEncryptedKey
		}
		return nil, fmt.Errorf("TLS_CERT_FILE, TLS_KEY_FILE: %w", err)
	}
	if bits, weak := keyBits(pair.Leaf); weak {
		return nil, fault.New(fault.Invalid, "weak_certificate", fmt.Sprintf(
			"TLS_CERT_FILE: the certificate's key has %d bits, which can be broken. "+
				"Make a key of P-256, or of RSA with 3072 bits, and get a certificate for that.", bits))
	}
	return &pair, nil
}

var errEncryptedKey = fault.New(fault.Invalid, "encrypted_key",
	"TLS_KEY_FILE: the key is encrypted with a passphrase, which nobody could type at every start. "+
		"Write it without: openssl pkey -in KEY -out NEW, and keep that file to the user who runs gatehouse (mode 600).")

// encryptedKey reports whether the file holds a private key in one of the two encrypted
// forms of PEM (RFC 5958, RFC 1421).
func encryptedKey(path string) bool {
	b, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return false
	}
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return false
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
}

// keyBits returns the size of a certificate's key, and whether it is under the 112 bits
// of security that are the least today (NIST SP 800-57 part 1, table 2).
func keyBits(leaf *x509.Certificate) (bits int, weak bool) {
	switch k := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen(), k.N.BitLen() < 2048
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize, k.Curve.Params().BitSize < 256
	}
	return 0, false
}

// warnWeak warns about an RSA key with less than the 128 bits of security that ASVS V11.2.3
// asks for.
func (c *Certificate) warnWeak(pair *tls.Certificate) {
	if _, ok := pair.Leaf.PublicKey.(*rsa.PublicKey); !ok {
		return
	}
	if bits, _ := keyBits(pair.Leaf); bits < 3072 {
		c.log.Warn("TLS_CERT_FILE: the certificate's RSA key has less than 3072 bits. The next one should be P-256, or RSA with 3072 bits.", "bits", bits)
	}
}

// fits returns what browsers would object to in the certificate, except who
// signed it.
func (c *Certificate) fits(pair *tls.Certificate, now time.Time) error {
	leaf := pair.Leaf
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return fmt.Errorf("it is good from %s to %s only", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	return leaf.VerifyHostname(c.host)
}

// look returns what shows whether one of the files has changed: they are
// followed through links, which is how Kubernetes and certbot swap them.
func (c *Certificate) look() string {
	var stamp string
	for _, path := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(path); err == nil {
			stamp += fmt.Sprintf("%d %d,", info.ModTime().UnixNano(), info.Size())
		}
	}
	return stamp
}

// Reload loads a changed certificate. The current one stays if the new one can't
// be read, belongs to another key, has expired, or is for another host.
func (c *Certificate) Reload(now time.Time) (changed bool, err error) {
	stamp := c.look()
	if stamp == c.stamp {
		return false, nil
	}
	pair, err := c.read()
	if err == nil {
		err = c.fits(pair, now)
	}
	if err != nil {
		return false, err
	}
	c.stamp = stamp
	c.warnWeak(pair)
	c.warnUntrusted(pair)
	c.current.Store(pair)
	return true, nil
}

// Watch looks for a change every second. A fault is logged when it has lasted for
// three checks, since the two files are never written at the same moment, and once.
func (c *Certificate) Watch(ctx context.Context) {
	const patience = 3
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := c.Reload(c.now())
		switch {
		case changed:
			c.log.Info("The certificate was replaced.", "good_until", c.current.Load().Leaf.NotAfter.UTC().Format(time.RFC3339))
			failures = 0
			c.trouble.Store(new(string))
		case err == nil:
			failures = 0
			c.trouble.Store(new(string))
		default:
			if failures++; failures == patience {
				c.trouble.Store(new(err.Error()))
				c.log.Warn("TLS_CERT_FILE or TLS_KEY_FILE has changed, and what is there now can't be used; the previous certificate stays in use.",
					"error", err.Error())
			}
		}
	}
}

// TLS returns a listener's configuration: TLS 1.3, and 1.2 with the suites that
// have forward secrecy and authenticated encryption (RFC 9325). It negotiates HTTP,
// and the given protocols.
func TLS(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		// With what has been recorded today, a quantum computer opens nothing where the
		// client knows the first of them (ASVS 11.6.2; RFC 9325 section 4.4).
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256},
		GetCertificate:   certificate,
		NextProtos:       append([]string{"h2", "http/1.1"}, protocols...),
	}
}
