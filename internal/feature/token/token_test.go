package token_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

var (
	b64    = base64.RawURLEncoding
	start  = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	config = token.Config{Issuer: "https://id.example.org", Audience: "https://api.example.org", Life: 15 * time.Minute}
	jane   = token.Subject{
		Account: "0190a6e2-7b1c-7def-8a4b-0123456789ab", Session: "0190a6e2-7b1c-7def-8a4b-ba9876543210",
		Roles: []string{"admin", "writer"}, AMR: []string{"pwd"}, AuthAt: start.Add(-time.Hour),
	}
)

// testIssuer is an issuer and, as an attacker would like to have it, its private key.
type testIssuer struct {
	*token.Issuer
	private *ecdsa.PrivateKey
	kid     string
}

func newTestIssuer(t testing.TB, private *ecdsa.PrivateKey, c token.Config) testIssuer {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	i, err := token.NewIssuer(c, []token.Key{{ID: thumbprint(private), Algorithm: "ES256", Material: der, From: start}}, secret.Random{})
	if err != nil {
		t.Fatal(err)
	}
	return testIssuer{Issuer: i, private: private, kid: thumbprint(private)}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t testing.TB) testIssuer {
	t.Helper()
	return newTestIssuer(t, newKey(t), config)
}

func (d testIssuer) issue(t testing.TB) string {
	t.Helper()
	issued, err := d.Issue(jane, start)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// coordinates returns the public key's x and y, as a JWK has them.
func coordinates(k *ecdsa.PrivateKey) (x, y string) {
	point, err := k.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:])
}

// thumbprint is that of RFC 7638 section 3, by hand.
func thumbprint(k *ecdsa.PrivateKey) string {
	x, y := coordinates(k)
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, x, y))
	return b64.EncodeToString(sum[:])
}

func parts(t testing.TB, issued string) (header, claims string, signature []byte) {
	t.Helper()
	p := strings.Split(issued, ".")
	if len(p) != 3 {
		t.Fatalf("%d parts", len(p))
	}
	var raw [3][]byte
	for i := range p {
		b, err := b64.Strict().DecodeString(p[i])
		if err != nil {
			t.Fatal(err)
		}
		raw[i] = b
	}
	return string(raw[0]), string(raw[1]), raw[2]
}

func TestIssueAndVerify(t *testing.T) {
	d := open(t)
	issued := d.issue(t)
	for range 2 { // the second time from memory
		c, err := d.Verify(issued, start)
		if err != nil {
			t.Fatal(err)
		}
		want := &token.Claims{
			Issuer: config.Issuer, Subject: jane.Account, Audience: config.Audience, ID: c.ID, Session: jane.Session,
			Expires: start.Unix() + 900, IssuedAt: start.Unix(), AuthTime: start.Unix() - 3600, Roles: jane.Roles, AMR: jane.AMR,
			ACR: "1fa", KeyID: d.kid,
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Error(diff)
		}
	}
	if d.Life() != config.Life {
		t.Errorf("life %v", d.Life())
	}
}

// ASVS 9.2.2: the type is at+jwt, and there is nothing in a token but what
// contract.md names.
func TestATokenHoldsExactlyWhatTheContractNames(t *testing.T) {
	d := open(t)
	header, claims, signature := parts(t, d.issue(t))
	if want := fmt.Sprintf(`{"alg":"ES256","kid":"%s","typ":"at+jwt"}`, d.kid); header != want {
		t.Errorf("header %s, want %s", header, want)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(claims), &got); err != nil {
		t.Fatal(err)
	}
	jti, _ := got["jti"].(string)
	if raw, err := b64.DecodeString(jti); err != nil || len(raw) < 16 {
		t.Errorf("jti %q", jti)
	}
	want := map[string]any{
		"iss": config.Issuer, "sub": jane.Account, "aud": config.Audience, "exp": float64(start.Unix() + 900), "iat": float64(start.Unix()),
		"jti": jti, "sid": jane.Session, "roles": []any{"admin", "writer"}, "auth_time": float64(start.Unix() - 3600), "amr": []any{"pwd"}, "acr": "1fa",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(signature) != 64 {
		t.Errorf("signature of %d bytes", len(signature))
	}
}

func TestNoTwoTokensAreTheSame(t *testing.T) {
	d := open(t)
	seen := map[string]bool{}
	for range 50 {
		c, err := d.Verify(d.issue(t), start)
		if err != nil || seen[c.ID] {
			t.Fatalf("jti %s came before, or error %v", c.ID, err)
		}
		seen[c.ID] = true
	}
}

func TestTheLargestTokenIsLookedAt(t *testing.T) {
	d := open(t)
	s := jane
	s.Roles = nil
	for i := range 32 {
		s.Roles = append(s.Roles, fmt.Sprintf("%c%s", 'a'+i%26, strings.Repeat("r", 61))+fmt.Sprintf("%02d", i))
	}
	issued, err := d.Issue(s, start)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Verify(issued, start); err != nil || len(issued) > 4096 {
		t.Errorf("with all the roles one may have, %d bytes: %v", len(issued), err)
	}
}

// JWT-2, TEST-2, ASVS 9.2.1.
func TestJWT2_ATokenLivesExactlyAsLongAsItSays(t *testing.T) {
	for _, seen := range []bool{false, true} {
		for name, c := range map[string]struct {
			after   time.Duration
			expired bool
			fails   bool
		}{
			"when it was issued":           {0, false, false},
			"the last moment":              {15*time.Minute - time.Nanosecond, false, false},
			"one second before":            {15*time.Minute - time.Second, false, false},
			"exactly at exp":               {15 * time.Minute, true, true},
			"a second over":                {15*time.Minute + time.Second, true, true},
			"a year over":                  {365 * 24 * time.Hour, true, true},
			"by a clock a minute behind":   {-time.Minute, false, false},
			"by one further behind":        {-time.Minute - time.Second, false, true},
			"long before it was issued":    {-24 * time.Hour, false, true},
			"at the beginning of the time": {-start.Sub(time.Unix(0, 0)), false, true},
		} {
			t.Run(fmt.Sprintf("%s, seen before %v", name, seen), func(t *testing.T) {
				d := open(t)
				issued := d.issue(t)
				if seen {
					if _, err := d.Verify(issued, start); err != nil {
						t.Fatal(err)
					}
				}
				_, err := d.Verify(issued, start.Add(c.after))
				if fails := errors.Is(err, token.ErrInvalid); fails != c.fails || errors.Is(err, token.ErrExpired) != c.expired || !fails && err != nil {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

func TestATokenSeenBeforeStaysRefusedOnceItHasExpired(t *testing.T) {
	d := open(t)
	issued := d.issue(t)
	for _, step := range []struct {
		at   time.Duration
		good bool
	}{{0, true}, {time.Minute, true}, {15 * time.Minute, false}, {16 * time.Minute, false}, {24 * time.Hour, false}} {
		for range 2 {
			if _, err := d.Verify(issued, start.Add(step.at)); (err == nil) != step.good {
				t.Errorf("after %v: %v", step.at, err)
			}
		}
	}
}

func TestTheErrorTellsTheBearerNothing(t *testing.T) {
	d := open(t)
	issued := d.issue(t)
	for _, bad := range []string{"", "x.y.z", issued + "A", d.forge(t, d.header(), "{}")} {
		_, err := d.Verify(bad, start)
		f := fault.As(err)
		if f == nil || f.Kind != fault.Unauthenticated || f.Code != "invalid_token" || f.Message != token.ErrInvalid.Message || f.Err == nil {
			t.Errorf("%.20q: %#v", bad, err)
		}
		if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the log would hold the token: %v", err)
		}
	}
}

func TestNewIssuerTakesNoOtherKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(k any) []byte {
		b, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sec1, err := x509.MarshalECPrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs8(newKey(t))
	for name, der := range map[string][]byte{
		"none": nil, "noise": bytes.Repeat([]byte{7}, 138), "P-384": pkcs8(p384), "RSA": pkcs8(rsaKey), "Ed25519": pkcs8(edKey), "SEC 1": sec1,
		"cut": good[:len(good)-1],
	} {
		for _, algorithm := range []string{"ES256", "EdDSA", "RS256", "HS256", "none", ""} {
			if algorithm == "EdDSA" && name == "Ed25519" || algorithm == "HS256" && len(der) >= 32 {
				continue // which it is good for: any 32 bytes are a key for HS256
			}
			keys := []token.Key{{ID: thumbprint(newKey(t)), Algorithm: algorithm, Material: der, From: start}}
			if _, err := token.NewIssuer(config, keys, secret.Random{}); err == nil {
				t.Errorf("%s was taken for a key for %s", name, algorithm)
			}
		}
	}
}
