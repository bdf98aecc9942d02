package token_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// idKey is a key for ID tokens.
func idKey(t testing.TB) token.Key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(5)
	if err != nil {
		t.Fatal(err)
	}
	return token.Key{ID: b64.EncodeToString(sum), Algorithm: "RS256", Material: der, From: start}
}

// An ID token is a hint for as long as its key is there, and no other is, by whatever letter they differ; it is no access token, and
// the other way round.
func TestHintsAreOurIDTokens(t *testing.T) {
	private := newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	access := token.Key{ID: thumbprint(private), Algorithm: "ES256", Material: der, From: start}
	ids := idKey(t)
	i, err := token.NewIssuer(config, []token.Key{access}, secret.Random{}, ids)
	if err != nil {
		t.Fatal(err)
	}
	at, err := i.Issue(jane, start)
	if err != nil {
		t.Fatal(err)
	}
	says := token.ID{Subject: jane.Account, Audience: "app", Session: jane.Session, AMR: jane.AMR, AuthTime: start.Unix(), Nonce: "xx"}
	id, err := i.IssueID(says, at, start.Add(time.Minute), start)
	if err != nil {
		t.Fatal(err)
	}
	told, err := i.Hint(id)
	sum := sha256.Sum256([]byte(at))
	if err != nil || told.Subject != jane.Account || told.Audience != "app" || told.Session != jane.Session || told.AtHash != b64.EncodeToString(sum[:16]) {
		t.Fatalf("%+v, %v", told, err)
	}
	for n := range id {
		b := []byte(id)
		if b[n]++; b[n] > 'y' {
			b[n] = 'b'
		}
		if _, err := i.Hint(string(b)); !errors.Is(err, token.ErrInvalid) {
			t.Fatalf("accepted with character %d of %d changed: %v", n, len(id), err)
		}
	}
	for _, bad := range []string{"", "x", at, id + ".", strings.Repeat("A", 9<<10), id[:strings.LastIndexByte(id, '.')+1]} {
		if _, err := i.Hint(bad); err == nil {
			t.Errorf("%.40q is a hint", bad)
		}
	}
	if _, err := i.Verify(id, start); err == nil {
		t.Error("an ID token is an access token")
	}
	if err := i.Use([]token.Key{access}, idKey(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Hint(id); err == nil {
		t.Error("its key is gone")
	}
	if _, err := i.VerifyFor(at, "another", start); err == nil {
		t.Error("a token for another audience")
	}
}
