package client

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// AssertionType is the client_assertion_type of what an application signs to show who it is (RFC 7523 section 2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	// AssertionLife is how far ahead an assertion may expire: it is remembered for as long.
	AssertionLife = 10 * time.Minute
	// clocks is how far an application's clock may be from ours.
	clocks        = time.Minute
	mostAssertion = 8 << 10
	mostJTI       = 256
)

// Assertion is one that is good, and has yet to be spent.
type Assertion struct {
	client  string
	jti     [sha256.Size]byte
	expires time.Time
}

// Spend remembers an assertion until it expires; ok is false if it was spent before. Of several at once one is first.
func (a Assertion) Spend(tx *db.Tx) (ok bool, err error) {
	n, err := tx.Exec(`INSERT INTO client_assertion (client_id, jti, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		a.client, a.jti[:], db.Micros(a.expires))
	return n == 1, err
}

// ForgetAssertions deletes up to limit of those that have expired.
func ForgetAssertions(tx *db.Tx, now time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM client_assertion WHERE (client_id, jti) IN (
		SELECT client_id, jti FROM client_assertion WHERE expires_at < $1 LIMIT $2)`, db.Micros(now), limit)
}

// claims are what an assertion says (RFC 7523 section 3).
type claims struct {
	Issuer    string       `json:"iss"`
	Subject   string       `json:"sub"`
	Audience  jwt.Audience `json:"aud"`
	Expires   *float64     `json:"exp"`
	NotBefore float64      `json:"nbf"`
	IssuedAt  float64      `json:"iat"`
	ID        string       `json:"jti"`
}

var errAssertion = errors.New("it is no assertion that is taken here")

// shown is what an assertion says of itself, which is not shown yet; ok is false if it is none.
func shown(assertion string) (issuer, kid string, ok bool) {
	if len(assertion) > mostAssertion {
		return "", "", false
	}
	jws, err := jose.ParseSignedCompact(assertion, Algorithms())
	if err != nil {
		return "", "", false
	}
	var c claims
	err = json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &c)
	return c.Issuer, jws.Signatures[0].Header.KeyID, err == nil
}

// Assert returns the application that has signed an assertion for this issuer with one of its keys. Whoever is let in by it must
// have spent it. changes and fresh are as for [Registry.Authenticate].
func (r *Registry) Assert(ctx context.Context, assertion, issuer string, changes uint64, fresh bool) (Client, Assertion, Verdict, error) {
	s, err := r.current(ctx, changes, fresh)
	if err != nil {
		return Client{}, Assertion{}, "", err
	}
	id, kid, _ := shown(assertion)
	k, ok := s.byID[id]
	if !ok {
		return Client{}, Assertion{}, Unknown, nil
	}
	keys := k.settings.JWKS
	if uri := k.settings.JWKSURI; uri != "" {
		if keys, err = r.Remote.of(ctx, uri, kid); err != nil {
			return Client{}, Assertion{}, "", err
		}
	}
	now := r.now()
	a, err := k.asserted(assertion, issuer, keys, now)
	switch {
	case err != nil:
		return Client{}, a, WrongAssertion, nil
	case k.disabledAt != nil:
		return Client{}, a, Disabled, nil
	}
	return k.client(now), a, Good, nil
}

// asserted verifies an assertion. Its audience is the issuer alone: one that names several could be meant for another server, which
// would show it here in the application's place.
func (k known) asserted(text, issuer string, keys *Keys, now time.Time) (a Assertion, err error) {
	jws, err := jose.ParseSignedCompact(text, Algorithms())
	if err != nil || keys == nil {
		return a, errAssertion
	}
	payload, err := verified(jws, keys.set.Keys)
	if err != nil {
		return a, err
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return a, err
	}
	if c.Issuer != k.id || c.Subject != k.id || len(c.Audience) != 1 || c.Audience[0] != issuer || c.ID == "" || len(c.ID) > mostJTI || c.Expires == nil {
		return a, errAssertion
	}
	soon := now.Add(clocks)
	if expires := seconds(*c.Expires); !expires.After(now.Add(-clocks)) || expires.After(soon.Add(AssertionLife)) || seconds(c.NotBefore).After(soon) ||
		seconds(c.IssuedAt).After(soon) {
		return a, errAssertion
	}
	// It is remembered for longer than it is taken.
	return Assertion{client: k.id, jti: sha256.Sum256([]byte(c.ID)), expires: seconds(*c.Expires).Add(2 * clocks)}, nil
}

// seconds is a NumericDate (RFC 7519 section 2), without what lies beyond any clock.
func seconds(since1970 float64) time.Time {
	const most = 1 << 40
	return time.Unix(int64(max(-most, min(since1970, most))), 0)
}

// verified returns the payload if one of the keys has signed it: that with the key id, or without one each that fits.
func verified(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) ([]byte, error) {
	header := jws.Signatures[0].Header
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID || !signs(key, jose.SignatureAlgorithm(header.Algorithm)) {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errAssertion
}
