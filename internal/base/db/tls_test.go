package db_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// foreignAuthority writes the certificate of an authority that signed nothing.
func foreignAuthority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "foreign.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// DB-1: verify-full lets nobody stand in for the database, and says why.
func TestDB1_VerifyFull(t *testing.T) {
	i := dbtest.Serving(t)
	const encrypted = `SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl`
	if got := column(t, i.Serving, encrypted); len(got) != 1 || got[0] != "TLSv1.3" {
		t.Errorf("the connection is encrypted with %q", got)
	}
	with := func(host string, set ...string) string {
		u, err := url.Parse(i.Serving)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			u.Host = host + ":" + u.Port()
		}
		q := u.Query()
		for n := 0; n < len(set); n += 2 {
			q.Set(set[n], set[n+1])
		}
		u.RawQuery = q.Encode()
		return u.String()
	}
	ca := func(dbURL string) string {
		u, err := url.Parse(dbURL)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get("sslrootcert")
	}(i.Serving)
	for name, bad := range map[string]struct{ url, says string }{
		"another host's certificate": {with("localhost"), "wanted to match localhost"},
		"a foreign authority":        {with("", "sslrootcert", foreignAuthority(t)), "signed by unknown authority"},
		"the system's authorities":   {with("", "sslrootcert", "system"), "signed by unknown authority"},
		"verify-ca, foreign":         {with("", "sslmode", "verify-ca", "sslrootcert", foreignAuthority(t)), "signed by unknown authority"},
		"no encryption":              {with("", "sslmode", "disable"), "no encryption"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := db.Open(ctx, db.Config{URL: bad.url, MaxConns: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			err = d.Check(ctx)
			f := fault.As(err)
			if f == nil || f.Code != "database_unavailable" || !strings.Contains(f.Err.Error(), bad.says) {
				t.Errorf("%v, want a cause with %q", err, bad.says)
			}
			if strings.Contains(err.Error(), i.Roles.ServingPassword) {
				t.Error("the error tells the password")
			}
		})
	}
	// verify-ca accepts any host's certificate from the authority: production warns about it.
	if got := column(t, with("localhost", "sslmode", "verify-ca", "sslrootcert", ca), encrypted); len(got) != 1 {
		t.Errorf("verify-ca: %q", got)
	}
}
