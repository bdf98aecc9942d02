package acme

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// The names of rows.
func accountOf(directory string) string { return "account " + directory }
func certificateOf(name string) string  { return "certificate " + name }
func plainOf(token string) string       { return "http-01 " + token }
func handshakeOf(domain string) string  { return "tls-alpn-01 " + domain }

// packed is a key and the certificates over it, the leaf first.
type packed struct {
	Key   []byte   `json:"key"` // PKCS #8
	Chain [][]byte `json:"chain"`
}

func pack(key crypto.PrivateKey, chain [][]byte) ([]byte, error) {
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(packed{Key: b, Chain: chain})
}

// unpack opens the certificate's row.
func (a *Certificate) unpack(sealed []byte) (*tls.Certificate, error) {
	b, err := a.open(certificateOf(a.name), sealed)
	if err != nil {
		return nil, err
	}
	return unpack(b)
}

func unpack(b []byte) (*tls.Certificate, error) {
	var p packed
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, err
	}
	if len(p.Chain) == 0 {
		return nil, errors.New("acme: a chain without a certificate")
	}
	key, err := x509.ParsePKCS8PrivateKey(p.Key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(p.Chain[0])
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: p.Chain, PrivateKey: key, Leaf: leaf}, nil
}

// open unseals the row of a name: it opens under no other.
func (a *Certificate) open(name string, sealed []byte) ([]byte, error) {
	err := errors.New("acme: no key opens it")
	for _, key := range a.keys() {
		var b []byte
		if b, err = secret.Open(key, sealed, "acme "+name); err == nil {
			return b, nil
		}
	}
	return nil, err
}

// put seals a row, in place of the one with that name.
func (a *Certificate) put(tx *db.Tx, name string, plain []byte, until time.Time) error {
	sealed := secret.Seal(a.random, a.keys()[0], plain, "acme "+name)
	_, err := tx.Exec(`INSERT INTO acme_secret (name, n, sealed, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO UPDATE SET n = acme_secret.n + 1, sealed = excluded.sealed, until = excluded.until`, name, db.Micros(a.now()), sealed, db.Micros(until))
	return err
}

// readNewer reads a row, unless it is the one that is known.
func readNewer(tx *db.Tx, name string, known int64) (sealed []byte, n int64, err error) {
	err = tx.QueryRow(`SELECT sealed, n FROM acme_secret WHERE name = $1 AND n <> $2`, name, known).Scan(&sealed, &n)
	if errors.Is(err, db.ErrNoRows) {
		return nil, known, nil
	}
	return sealed, n, err
}

// forget deletes what is no longer needed.
func forget(tx *db.Tx, now time.Time) error {
	if _, err := tx.Exec(`DELETE FROM acme_try WHERE at < $1`, db.Micros(now.Add(-keep))); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM acme_secret WHERE until < $1`, db.Micros(now))
	return err
}

// try is how the orders of a certificate went since the last good one.
type try struct {
	failures int64
	at       time.Time // of the next
	trouble  string
}

func readTry(tx *db.Tx, name string) (t try, err error) {
	var at int64
	err = tx.QueryRow(`SELECT failures, at, trouble FROM acme_try WHERE name = $1`, name).Scan(&t.failures, &at, &t.trouble)
	if errors.Is(err, db.ErrNoRows) {
		return try{}, nil
	}
	t.at = db.Time(at)
	return t, err
}

func writeTry(tx *db.Tx, name string, t try) error {
	_, err := tx.Exec(`INSERT INTO acme_try (name, failures, at, trouble) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO UPDATE SET failures = excluded.failures, at = excluded.at, trouble = excluded.trouble`,
		name, t.failures, db.Micros(t.at), t.trouble)
	return err
}
