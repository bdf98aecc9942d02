package acme

import (
	"context"
	"crypto/tls"
	"fmt"
	"regexp"
	"slices"
	"time"

	protocol "golang.org/x/crypto/acme"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// authorize shows the authority that a name is ours.
func (a *Certificate) authorize(ctx context.Context, client *protocol.Client, url, kind string) error {
	z, err := client.GetAuthorization(ctx, url)
	if err != nil {
		return fmt.Errorf("the authorization: %w", err)
	}
	if z.Status == protocol.StatusValid {
		return nil // from a recent order
	}
	i := slices.IndexFunc(z.Challenges, func(c *protocol.Challenge) bool { return c.Type == kind })
	if i < 0 {
		return fmt.Errorf("the authority offers no %s for %s", kind, z.Identifier.Value)
	}
	challenge := z.Challenges[i]
	name, plain, err := answer(client, challenge, z.Identifier.Value)
	if err != nil {
		return err
	}
	if err := a.db.Write(ctx, func(tx *db.Tx) error { return a.put(tx, name, plain, a.now().Add(challengeLife)) }); err != nil {
		return err
	}
	if _, err := client.Accept(ctx, challenge); err != nil {
		return fmt.Errorf("%s for %s: %w", kind, z.Identifier.Value, err)
	}
	if _, err := client.WaitAuthorization(ctx, z.URI); err != nil {
		return fmt.Errorf("%s for %s: %w", kind, z.Identifier.Value, err)
	}
	return nil
}

// answer returns what answers a challenge, and the name of its row.
func answer(client *protocol.Client, c *protocol.Challenge, domain string) (name string, plain []byte, err error) {
	if c.Type == "http-01" {
		text, err := client.HTTP01ChallengeResponse(c.Token)
		return plainOf(c.Token), []byte(text), err
	}
	pair, err := client.TLSALPN01ChallengeCert(c.Token, domain)
	if err != nil {
		return "", nil, err
	}
	plain, err = pack(pair.PrivateKey, pair.Certificate)
	return handshakeOf(domain), plain, err
}

// release gives back what was not shown, which authorities count.
func (a *Certificate) release(ctx context.Context, client *protocol.Client, urls []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, url := range urls {
		if z, err := client.GetAuthorization(ctx, url); err == nil && z.Status == protocol.StatusPending {
			_ = client.RevokeAuthorization(ctx, url) // it runs out by itself
		}
	}
}

// challenged returns the certificate that answers a challenge for a name.
func (a *Certificate) challenged(ctx context.Context, domain string) (*tls.Certificate, error) {
	if !slices.Contains(a.config.Domains, domain) {
		return nil, errNoChallenge
	}
	plain, err := a.read(ctx, handshakeOf(domain))
	if err != nil {
		return nil, err
	}
	return unpack(plain)
}

var (
	errNoChallenge = fmt.Errorf("acme: there is no such challenge: %w", db.ErrNoRows)
	tokens         = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
)

// Challenge returns the answer to a challenge over plain HTTP, by the last part
// of its path.
func (a *Certificate) Challenge(ctx context.Context, token string) ([]byte, error) {
	if !tokens.MatchString(token) {
		return nil, errNoChallenge
	}
	return a.read(ctx, plainOf(token))
}

func (a *Certificate) read(ctx context.Context, name string) ([]byte, error) {
	var sealed []byte
	err := a.db.Read(ctx, func(tx *db.Tx) (err error) {
		sealed, _, err = readNewer(tx, name, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		return nil, errNoChallenge
	}
	return a.open(name, sealed)
}
