// Package acme orders the public listener's certificate from a certificate authority
// by ACME (RFC 8555), and shares it with the other replicas through the database.
//
// A job orders it, on one replica at a time; a handshake never does, so no
// stranger can cause an order. All replicas serve the certificate in the database,
// and answer the authority's challenges, whichever of them has ordered. While
// the authority is unavailable the current certificate stays in use.
//
// Private keys are stored in the database encrypted under a key of the keyring.
package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

const (
	// Protocol is what the authority asks for in the handshake that is a challenge
	// (RFC 8737).
	Protocol = "acme-tls/1"
	// ChallengePath is below which it asks over plain HTTP (RFC 8555 section 8.3).
	ChallengePath = "/.well-known/acme-challenge/"

	// OrderTime bounds one order.
	OrderTime = 2 * time.Minute

	lookEvery = 3 * time.Second
)

// Config says who certifies which names.
type Config struct {
	// Directory is the authority's, as [outbound.HTTPS] takes it.
	Directory string
	// Domains are the names that the certificate is for.
	Domains []string
	// PlainHTTP is set where there is a listener for it, which answers challenges too.
	PlainHTTP bool
}

// Certificate is the one that this replica serves. It is safe for use by many
// goroutines.
type Certificate struct {
	config    Config
	name      string // of its rows: another authority, or other names, are another certificate
	directory string // without ?ca=
	authority outbound.Client
	db        *db.DB
	keys      func() [][]byte // that seal, the one in force first
	random    secret.Random
	now       func() time.Time
	log       *slog.Logger

	current atomic.Pointer[version]
	trouble atomic.Pointer[string] // why the last order failed, on whichever replica
}

// version is a certificate and the number of its row.
type version struct {
	n    int64
	pair *tls.Certificate // nil for a row that can't be opened
}

// Open returns the certificate in the database, if there is one by
// now. The keys are those that open it, the first of which seals.
func Open(ctx context.Context, c Config, d *db.DB, keys func() [][]byte, now func() time.Time, log *slog.Logger) (*Certificate, error) {
	directory, client, err := outbound.HTTPS(c.Directory)
	if err != nil {
		return nil, fmt.Errorf("TLS_ACME_DIRECTORY: %w", err)
	}
	domains := slices.Sorted(slices.Values(c.Domains))
	a := &Certificate{
		config: c, name: directory + " " + strings.Join(domains, ","), directory: directory,
		authority: client, db: d, keys: keys, now: now, log: log,
	}
	a.current.Store(&version{})
	a.trouble.Store(new(string))
	return a, a.look(ctx)
}

// errNone fails the handshakes before the first certificate.
var errNone = errors.New("acme: there is no certificate yet")

// Get returns what a handshake is to be answered with.
func (a *Certificate) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == Protocol {
		return a.challenged(hello.Context(), hello.ServerName)
	}
	if pair := a.current.Load().pair; pair != nil {
		return pair, nil
	}
	return nil, errNone
}

// Validity returns from when and until when the certificate in force is good; zero
// if there is none.
func (a *Certificate) Validity() (from, until time.Time) {
	if pair := a.current.Load().pair; pair != nil {
		return pair.Leaf.NotBefore, pair.Leaf.NotAfter
	}
	return time.Time{}, time.Time{}
}

// Trouble says why there is no newer one: the last order's failure, or nothing.
func (a *Certificate) Trouble() string { return *a.trouble.Load() }

// Watch takes up what any replica has ordered, until the context ends.
func (a *Certificate) Watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// A database that is away is reported elsewhere, and the one in force stays.
		_ = a.look(ctx)
	}
}

// look reads the certificate if it has changed.
func (a *Certificate) look(ctx context.Context) error {
	known := a.current.Load()
	var (
		sealed []byte
		n      int64
		last   try
	)
	err := a.db.Read(ctx, func(tx *db.Tx) (err error) {
		if last, err = readTry(tx, a.name); err != nil {
			return err
		}
		sealed, n, err = readNewer(tx, certificateOf(a.name), known.n)
		return err
	})
	if err != nil {
		return err
	}
	a.trouble.Store(&last.trouble)
	if n == known.n {
		return nil
	}
	pair, err := a.unpack(sealed)
	if err != nil {
		// A row of a key that was revoked; the job orders again.
		a.log.Warn("The certificate in the database can't be decrypted; the previous one stays in use, and another is ordered.", "error", err.Error())
		pair = known.pair
	} else if known.n != 0 {
		a.log.Info("The certificate was replaced.", "good_until", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	a.current.Store(&version{n: n, pair: pair})
	return nil
}

// due reports whether it is time for another certificate: when two thirds of its
// life are over, however long that is.
func due(pair *tls.Certificate, now time.Time) bool {
	life := pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore)
	return now.After(pair.Leaf.NotAfter.Add(-life / 3))
}
