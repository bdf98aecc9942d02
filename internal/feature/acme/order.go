package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	protocol "golang.org/x/crypto/acme"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

const (
	// keep is for how long rows are kept that are good for nothing any more.
	keep = 30 * 24 * time.Hour
	// challengeLife is far longer than any order takes.
	challengeLife = time.Hour
	// forever is when an account is forgotten.
	forever = 100 * 365 * 24 * time.Hour
	// mostWait is between two orders that fail, and behind one that does not.
	mostWait = time.Hour
	// mostTrouble is how much of an authority's complaint is kept.
	mostTrouble = 500
)

// wait is how long to wait after so many failures: 1, 3, 9 and 27 minutes, then an
// hour. Authorities allow five failures an hour.
func wait(failures int64) time.Duration {
	d := time.Minute
	for range failures - 1 {
		if d *= 3; d > mostWait {
			return mostWait
		}
	}
	return d
}

// Renew orders a certificate when there is none, and when the one that there is
// nears its end. It is to be called often, on one replica at a time, and may take
// [OrderTime].
func (a *Certificate) Renew(ctx context.Context) error {
	if err := a.look(ctx); err != nil {
		return err
	}
	now := a.now()
	var last try
	err := a.db.Write(ctx, func(tx *db.Tx) (err error) {
		if err := forget(tx, now); err != nil {
			return err
		}
		last, err = readTry(tx, a.name)
		return err
	})
	if err != nil {
		return err
	}
	opened, err := a.opened(ctx)
	switch {
	case err != nil:
		return err
	case opened != nil && !due(opened, now):
		return nil
	case last.at.After(now) && last.at.Before(now.Add(2*mostWait)): // further ahead is a clock that was wrong
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, OrderTime)
	defer cancel()
	kind := a.kind(last.failures)
	if failure := a.order(limited, kind); failure != nil {
		if ctx.Err() != nil {
			return failure // the server is stopping
		}
		return errors.Join(failure, a.failed(ctx, last.failures+1, failure))
	}
	a.log.Info("A certificate was ordered.", "domains", strings.Join(a.config.Domains, ","), "challenge", kind)
	return a.look(ctx)
}

// opened returns what is in the database, if it can be opened: what this
// replica serves may be older, when its row was sealed under a key since revoked.
func (a *Certificate) opened(ctx context.Context) (*tls.Certificate, error) {
	var sealed []byte
	err := a.db.Read(ctx, func(tx *db.Tx) (err error) {
		sealed, _, err = readNewer(tx, certificateOf(a.name), 0)
		return err
	})
	if err != nil || sealed == nil {
		return nil, err
	}
	pair, err := a.unpack(sealed)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // as good as none
	}
	return pair, nil
}

// kind is the challenge to take up: each failure takes the other one, where there
// are two.
func (a *Certificate) kind(failures int64) string {
	if a.config.PlainHTTP && failures%2 == 1 {
		return "http-01"
	}
	return "tls-alpn-01"
}

// failed notes an order that failed, for all replicas.
func (a *Certificate) failed(ctx context.Context, failures int64, why error) error {
	text := strings.ToValidUTF8(strings.ReplaceAll(why.Error(), "\x00", ""), "")
	if len(text) > mostTrouble {
		text = strings.ToValidUTF8(text[:mostTrouble], "")
	}
	a.trouble.Store(&text)
	return a.db.Write(ctx, func(tx *db.Tx) error {
		return writeTry(tx, a.name, try{failures: failures, at: a.now().Add(wait(failures)), trouble: text})
	})
}

// order gets a certificate and puts it into the database.
func (a *Certificate) order(ctx context.Context, kind string) error {
	client, err := a.account(ctx)
	if err != nil {
		return fmt.Errorf("the account: %w", err)
	}
	o, err := client.AuthorizeOrder(ctx, protocol.DomainIDs(a.config.Domains...))
	if err != nil {
		return fmt.Errorf("the order: %w", err)
	}
	for _, url := range o.AuthzURLs {
		if err := a.authorize(ctx, client, url, kind); err != nil {
			a.release(ctx, client, o.AuthzURLs)
			return err
		}
	}
	if o, err = client.WaitOrder(ctx, o.URI); err != nil {
		return fmt.Errorf("the order: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: a.config.Domains}, key)
	if err != nil {
		return err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, o, csr, true)
	if err != nil {
		return fmt.Errorf("the certificate: %w", err)
	}
	return a.accept(ctx, key, chain)
}

// accept stores a certificate that is what was ordered.
func (a *Certificate) accept(ctx context.Context, key *ecdsa.PrivateKey, chain [][]byte) error {
	plain, err := pack(key, chain)
	if err != nil {
		return err
	}
	pair, err := unpack(plain)
	if err != nil {
		return fmt.Errorf("the certificate: %w", err)
	}
	if !key.PublicKey.Equal(pair.Leaf.PublicKey) {
		return errors.New("the certificate is for another key")
	}
	for _, domain := range a.config.Domains {
		if err := pair.Leaf.VerifyHostname(domain); err != nil {
			return fmt.Errorf("the certificate: %w", err)
		}
	}
	return a.db.Write(ctx, func(tx *db.Tx) error {
		// Not again at once, should the clock be one by which it has ended already.
		if err := writeTry(tx, a.name, try{at: a.now().Add(mostWait)}); err != nil {
			return err
		}
		return a.put(tx, certificateOf(a.name), plain, pair.Leaf.NotAfter.Add(keep))
	})
}

// account returns a client of the installation's account, which it makes if there
// is none.
func (a *Certificate) account(ctx context.Context) (*protocol.Client, error) {
	var sealed []byte
	err := a.db.Read(ctx, func(tx *db.Tx) (err error) {
		sealed, _, err = readNewer(tx, accountOf(a.directory), 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	client := &protocol.Client{DirectoryURL: a.directory, HTTPClient: a.authority, UserAgent: "gatehouse"}
	if plain, err := a.open(accountOf(a.directory), sealed); err == nil {
		key, err := x509.ParsePKCS8PrivateKey(plain)
		if err != nil {
			return nil, err
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, errors.New("its key signs nothing")
		}
		client.Key = signer
		// An authority that has forgotten it makes it again.
		return client, register(ctx, client)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	client.Key = key
	if err := register(ctx, client); err != nil {
		return nil, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return client, a.db.Write(ctx, func(tx *db.Tx) error {
		return a.put(tx, accountOf(a.directory), plain, a.now().Add(forever))
	})
}

func register(ctx context.Context, client *protocol.Client) error {
	_, err := client.Register(ctx, &protocol.Account{}, protocol.AcceptTOS)
	if errors.Is(err, protocol.ErrAccountAlreadyExists) {
		return nil
	}
	return err
}
