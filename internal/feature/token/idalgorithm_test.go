package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// ecKey is a key of the P-256 curve, for access tokens or ID tokens by ES256.
func ecKey(t testing.TB, from time.Time) (token.Key, *ecdsa.PrivateKey) {
	t.Helper()
	private := newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return token.Key{ID: thumbprint(private), Algorithm: "ES256", Material: der, From: from}, private
}

// ID tokens and logout tokens are signed with the algorithm that is asked for, by the key of that algorithm that is in force, and never by that of access
// tokens, though that is for ES256 too. All are hints.
func TestIDTokensOfTwoAlgorithms(t *testing.T) {
	access, _ := ecKey(t, start)
	ids := idKey(t)
	before, _ := ecKey(t, start)
	before.To, before.Until = start.Add(time.Hour), start.Add(2*time.Hour)
	after, _ := ecKey(t, start.Add(time.Hour))
	i, err := token.NewIssuer(config, []token.Key{access}, secret.Random{}, ids, before, after)
	if err != nil {
		t.Fatal(err)
	}
	at, err := i.Issue(jane, start)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		algorithm, alg, kid string
		now                 time.Time
	}{
		{"", "RS256", ids.ID, start}, {"RS256", "RS256", ids.ID, start.Add(time.Hour)}, {"ES256", "ES256", before.ID, start},
		{"ES256", "ES256", after.ID, start.Add(time.Hour)},
	} {
		if !i.SignsID(c.algorithm) {
			t.Fatalf("there is no key for %q", c.algorithm)
		}
		id, err := i.IssueID(token.ID{Subject: jane.Account, Audience: "app", Session: jane.Session, Algorithm: c.algorithm}, at, c.now.Add(time.Minute), c.now)
		if err != nil {
			t.Fatal(err)
		}
		out, err := i.IssueLogout(token.Logout{Subject: jane.Account, Audience: "app", Algorithm: c.algorithm}, c.now)
		if err != nil {
			t.Fatal(err)
		}
		for what, text := range map[string]string{"ID token": id, "logout token": out} {
			jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(c.alg)})
			if err != nil || jws.Signatures[0].Header.KeyID != c.kid {
				t.Errorf("%s by %q: %v, of key %v", what, c.algorithm, err, jws.Signatures[0].Header.KeyID)
			}
		}
		if told, err := i.Hint(id); err != nil || told.Subject != jane.Account {
			t.Errorf("as a hint: %v, %v", told, err)
		}
		if _, err := i.Hint(out); err == nil {
			t.Error("a logout token is a hint")
		}
		if _, err := i.Verify(id, start); err == nil {
			t.Error("an ID token by ES256 is an access token")
		}
	}
	for _, algorithm := range []string{"HS256", "none", "EdDSA", "PS256", "es256"} {
		if _, err := i.IssueID(token.ID{Subject: "x", Audience: "app", Algorithm: algorithm}, at, start, start); err == nil || i.SignsID(algorithm) {
			t.Errorf("signed with %s", algorithm)
		}
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(i.JWKS(start).JSON, &set); err != nil || len(set.Keys) != 4 {
		t.Errorf("%v: %d keys are published", err, len(set.Keys))
	}
}

// Each key is good for its algorithm alone: what names one and is signed by another, or by a public key as a secret, is no hint (RFC 8725 section 3.1).
func TestAlgorithmsOfIDTokensAreNotConfused(t *testing.T) {
	access, accessPrivate := ecKey(t, start)
	ids := idKey(t)
	short, private := ecKey(t, start)
	i, err := token.NewIssuer(config, []token.Key{access}, secret.Random{}, ids, short)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(ids.Material)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		t.Fatalf("it is a %T", parsed)
	}
	says := fmt.Sprintf(`{"iss":"%s","sub":"%s","aud":"app","exp":%d,"iat":%d,"sid":"%s"}`, config.Issuer, jane.Account, start.Unix()+60,
		start.Unix(), jane.Session)
	byRSA := func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		s, err := rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	byEC := func(k *ecdsa.PrivateKey) func(string) []byte {
		return func(input string) []byte { return sign(t, k, input) }
	}
	byMAC := func(key []byte) func(string) []byte {
		return func(input string) []byte {
			m := hmac.New(sha256.New, key)
			m.Write([]byte(input))
			return m.Sum(nil)
		}
	}
	written := func(alg, kid string, by func(string) []byte) string {
		header := fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"JWT"}`, alg, kid)
		return encode(header, says, by(b64.EncodeToString([]byte(header))+"."+b64.EncodeToString([]byte(says))))
	}
	for what, good := range map[string]string{"RS256": written("RS256", ids.ID, byRSA), "ES256": written("ES256", short.ID, byEC(private))} {
		if told, err := i.Hint(good); err != nil || told.Subject != jane.Account { // else the attacks prove nothing
			t.Fatalf("the forger can't write a good one of %s: %v", what, err)
		}
	}
	rsaDER, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	stranger := newKey(t)
	none := func(string) []byte { return nil }
	for what, forged := range map[string]string{
		"RS256 by the EC key":               written("RS256", ids.ID, byEC(private)),
		"ES256 by the RSA key":              written("ES256", short.ID, byRSA),
		"ES256 under the RSA key's name":    written("ES256", ids.ID, byEC(private)),
		"RS256 under the EC key's name":     written("RS256", short.ID, byRSA),
		"by the key of access tokens":       written("ES256", access.ID, byEC(accessPrivate)),
		"by that under the EC key's name":   written("ES256", short.ID, byEC(accessPrivate)),
		"by a stranger":                     written("ES256", short.ID, byEC(stranger)),
		"HS256 with the RSA key":            written("HS256", ids.ID, byMAC(rsaDER)),
		"HS256 with the EC key":             written("HS256", short.ID, byMAC(ecDER)),
		"HS256 with nothing":                written("HS256", short.ID, byMAC(nil)),
		"HS256 with the published keys":     written("HS256", short.ID, byMAC(i.JWKS(start).JSON)),
		"none, RSA":                         written("none", ids.ID, none),
		"none, EC":                          written("none", short.ID, none),
		"ES256 without a signature":         written("ES256", short.ID, none),
		"ES256 by zeroes (CVE-2022-21449)":  written("ES256", short.ID, func(string) []byte { return make([]byte, 64) }),
		"PS256 under the RSA key's name":    written("PS256", ids.ID, byRSA),
		"ES256 under nobody's name":         written("ES256", thumbprint(stranger), byEC(stranger)),
		"ES384 under the EC key's name":     written("ES384", short.ID, byEC(private)),
		"a lower-case name of an algorithm": written("es256", short.ID, byEC(private)),
	} {
		if told, err := i.Hint(forged); !errors.Is(err, token.ErrInvalid) || told != nil {
			t.Errorf("%s: it is a hint: %v, %v", what, told, err)
		}
	}
}
