package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

var algorithms = []string{"ES256", "EdDSA", "RS256", "HS256"}

// signer is a key of any algorithm and, as an attacker would like to have it,
// what it takes to sign whatever one likes.
type signer struct {
	token.Key
	private any
}

var rsaKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		k, err := rsa.GenerateKey(rand.Reader, 3072)
		if err != nil {
			panic(err)
		}
		keys[i] = k
	}
	return keys
})

// newSigner makes a key; there are no more than two for RS256, which take long.
func newSigner(t testing.TB, algorithm string, which int) signer {
	t.Helper()
	s := signer{Key: token.Key{Algorithm: algorithm, ID: b64.EncodeToString(secret.Random{}.Bytes(32)), From: start.Add(-time.Hour)}}
	var err error
	switch algorithm {
	case "ES256":
		s.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, s.private, err = ed25519.GenerateKey(rand.Reader)
	case "RS256":
		s.private = rsaKeys()[which]
	case "HS256":
		s.Material = secret.Random{}.Bytes(32)
		s.private = s.Material
	}
	if err == nil && s.Material == nil {
		s.Material, err = x509.MarshalPKCS8PrivateKey(s.private)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s signer) header() string {
	return fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"at+jwt"}`, s.Algorithm, s.ID)
}

// sign signs by hand what it is given, with the algorithm of its key.
func (s signer) sign(t testing.TB, header, claims string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	sum := sha256.Sum256([]byte(input))
	var (
		signature []byte
		err       error
	)
	switch k := s.private.(type) {
	case *ecdsa.PrivateKey:
		signature = sign(t, k, input)
	case ed25519.PrivateKey:
		signature = ed25519.Sign(k, []byte(input))
	case *rsa.PrivateKey:
		signature, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	case []byte:
		signature = mac(k, input)
	}
	if err != nil {
		t.Fatal(err)
	}
	return encode(header, claims, signature)
}

func mac(key []byte, input string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(input))
	return h.Sum(nil)
}

// public returns what everybody may know of the key, in the forms that a
// program might take for a secret.
func (s signer) public(t testing.TB) map[string][]byte {
	t.Helper()
	k, ok := s.private.(crypto.Signer)
	if !ok {
		return map[string][]byte{"nothing": {}, "its name": []byte(s.ID)}
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: k.Public(), KeyID: s.ID, Algorithm: s.Algorithm, Use: "sig"})
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	out := map[string][]byte{"DER": der, "PEM": block, "PEM, trimmed": []byte(strings.TrimSpace(string(block))), "JWK": jwk, "nothing": {},
		"its name": []byte(s.ID)}
	if e, ok := k.Public().(ed25519.PublicKey); ok {
		out["raw"] = e
	}
	return out
}

func issuerOf(t testing.TB, signers ...signer) testIssuer {
	t.Helper()
	var keys []token.Key
	for _, s := range signers {
		keys = append(keys, s.Key)
	}
	i, err := token.NewIssuer(config, keys, secret.Random{})
	if err != nil {
		t.Fatal(err)
	}
	return testIssuer{Issuer: i}
}

func TestJWT1_EachAlgorithmSignsAndChecks(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			s := newSigner(t, algorithm, 0)
			d := issuerOf(t, s)
			issued := d.issue(t)
			header, _, _ := parts(t, issued)
			if header != s.header() {
				t.Errorf("header %s", header)
			}
			for _, good := range []string{issued, issued, s.sign(t, s.header(), claims())} {
				if c, err := d.Verify(good, start); err != nil || c.Subject != jane.Account || c.KeyID != s.ID {
					t.Errorf("%+v, error %v", c, err)
				}
			}
			published := string(d.JWKS(start).JSON)
			if algorithm == "HS256" {
				if published != `{"keys":[]}` {
					t.Errorf("published: %s", published)
				}
			} else {
				var set jose.JSONWebKeySet
				if err := json.Unmarshal([]byte(published), &set); err != nil {
					t.Fatal(err)
				}
				jws, err := jose.ParseSignedCompact(issued, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
				if err != nil || len(set.Key(s.ID)) != 1 || !set.Keys[0].IsPublic() {
					t.Fatalf("%s, error %v", published, err)
				}
				if _, err := jws.Verify(set.Keys[0]); err != nil {
					t.Errorf("with the published key: %v", err)
				}
			}
			if strings.Contains(published, `"d":`) || strings.Contains(published, `"k":`) {
				t.Errorf("published: %s", published)
			}
		})
	}
}

// TestAttacksOnEachAlgorithm makes every attack on a token of every algorithm.
func TestAttacksOnEachAlgorithm(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			s, eve := newSigner(t, algorithm, 0), newSigner(t, algorithm, 1)
			d := issuerOf(t, s)
			good := d.issue(t)
			input := func(header string) string {
				return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims()))
			}
			for _, alg := range []string{"none", "None", "nOnE", "", "HS256", "HS384", "RS256", "PS256", "RS1", "ES256", "ES384", "EdDSA", "Ed25519",
				strings.ToLower(algorithm)} {
				if alg == algorithm {
					continue
				}
				header := strings.Replace(s.header(), algorithm, alg, 1)
				d.refuse(t, "alg "+alg+", not signed", encode(header, claims(), nil))
				d.refuse(t, "alg "+alg+", signed", s.sign(t, header, claims()))
			}
			for form, key := range s.public(t) {
				header := strings.Replace(s.header(), algorithm, "HS256", 1)
				d.refuse(t, "HS256 under the public key as "+form, encode(header, claims(), mac(key, input(header))))
				d.refuse(t, "a MAC under the public key as "+form, encode(s.header(), claims(), mac(key, input(s.header()))))
			}
			var eves string
			if k, ok := eve.private.(crypto.Signer); ok {
				b, err := json.Marshal(jose.JSONWebKey{Key: k.Public(), KeyID: s.ID, Algorithm: algorithm})
				if err != nil {
					t.Fatal(err)
				}
				eves = string(b)
			} else {
				eves = fmt.Sprintf(`{"kty":"oct","k":"%s"}`, b64.EncodeToString(eve.Material))
			}
			for name, extra := range map[string]string{
				"jwk": `"jwk":` + eves, "jku": `"jku":"https://evil.example/jwks.json"`, "x5u": `"x5u":"https://evil.example/c.pem"`, "x5c": `"x5c":["MIIB"]`,
				"crit": `"crit":["exp"]`, "alg again": `"alg":"none"`, "kid again": `"kid":"` + eve.ID + `"`,
			} {
				header := strings.TrimSuffix(s.header(), "}") + "," + extra + "}"
				d.refuse(t, name+" by another key", eve.sign(t, header, claims()))
				d.refuse(t, name+" by the right key", s.sign(t, header, claims()))
			}
			d.refuse(t, "another ring's key", eve.sign(t, eve.header(), claims()))
			d.refuse(t, "another key under our kid", eve.sign(t, s.header(), claims()))
			for _, kid := range []string{"../../../../dev/null", "' OR '1'='1", "https://evil.example/key", "", s.ID + "=", s.ID[:42]} {
				header := strings.Replace(s.header(), s.ID, kid, 1)
				d.refuse(t, "kid "+kid, s.sign(t, header, claims()))
			}
			for _, typ := range []string{"JWT", "jwt", "at+JWT", "application/at+jwt", "logout+jwt", "token-introspection+jwt", ""} {
				d.refuse(t, "typ "+typ, s.sign(t, strings.Replace(s.header(), "at+jwt", typ, 1), claims()))
			}
			for name, replace := range map[string][]string{
				"another issuer":   {config.Issuer, "https://id.example.com"},
				"another audience": {config.Audience, "https://api.example.com"},
				"duplicate claims": {`"jti":"j"`, `"jti":"j","sub":"eve"`},
				"not yet valid":    {fmt.Sprintf(`"iat":%d`, start.Unix()), fmt.Sprintf(`"iat":%d`, start.Unix()+61)},
				"expired":          {fmt.Sprintf(`"exp":%d`, start.Unix()+900), fmt.Sprintf(`"exp":%d`, start.Unix()-1)},
			} {
				d.refuse(t, name, s.sign(t, s.header(), claims(replace...)))
			}
			header, body, signature := parts(t, good)
			d.refuse(t, "edited claims", encode(header, strings.Replace(body, "writer", "wizard", 1), signature))
			d.refuse(t, "no signature", encode(header, body, nil))
			for i := range signature {
				changed := slices.Clone(signature)
				changed[i] ^= 1
				if _, err := d.Verify(encode(header, body, changed), start); err == nil {
					t.Fatalf("byte %d of the signature does not count", i)
				}
			}
			d.refuse(t, "1 MB", good+strings.Repeat("A", 1<<20))
			if _, err := d.Verify(good, start.Add(config.Life)); !errors.Is(err, token.ErrExpired) {
				t.Errorf("at its end: %v", err)
			}
			if _, err := d.Verify(good, start); err != nil {
				t.Errorf("after the attacks the token itself is refused: %v", err)
			}
		})
	}
}

// A key checks tokens of its own algorithm alone, even where others are in the
// ring (RFC 8725 section 3.1).
func TestKeysOfSeveralAlgorithmsAreNotConfused(t *testing.T) {
	var all []signer
	for _, algorithm := range algorithms {
		all = append(all, newSigner(t, algorithm, 0))
	}
	d := issuerOf(t, all...)
	for _, s := range all {
		if _, err := d.Verify(s.sign(t, s.header(), claims()), start); err != nil {
			t.Errorf("%s: %v", s.Algorithm, err)
		}
		for _, other := range all {
			if other.ID == s.ID {
				continue
			}
			d.refuse(t, s.Algorithm+" under the kid of "+other.Algorithm, s.sign(t, strings.Replace(s.header(), s.ID, other.ID, 1), claims()))
			d.refuse(t, s.Algorithm+" with the header of "+other.Algorithm, s.sign(t, other.header(), claims()))
			for form, key := range other.public(t) {
				// The HS256 key of the ring is there to be mixed up.
				h := all[3].header()
				d.refuse(t, "HS256's kid, MAC under the public key of "+other.Algorithm+" as "+form,
					encode(h, claims(), mac(key, b64.EncodeToString([]byte(h))+"."+b64.EncodeToString([]byte(claims())))))
			}
		}
	}
}

// The key that signs is the first that is not replaced; the others check as long
// as their tokens live, and are published as long.
func TestTheKeysFollowOneAnother(t *testing.T) {
	old, now, next := newSigner(t, "ES256", 0), newSigner(t, "EdDSA", 0), newSigner(t, "ES256", 0)
	old.From, old.To = start.Add(-time.Hour), start
	old.Until = start.Add(17 * time.Minute)
	now.From, next.From = start, time.Time{}
	d := issuerOf(t, old, now, next)
	for _, c := range []struct {
		at      time.Duration
		signs   string
		checks  []signer
		refuses []signer
	}{
		{-365 * 24 * time.Hour, old.ID, []signer{old}, nil}, // a clock that is wrong
		{-time.Second, old.ID, []signer{old, now, next}, nil},
		{0, now.ID, []signer{old, now, next}, nil},
		{17*time.Minute - time.Second, now.ID, []signer{old, now, next}, nil},
		{17 * time.Minute, now.ID, []signer{now, next}, []signer{old}},
		{365 * 24 * time.Hour, now.ID, []signer{now, next}, []signer{old}},
	} {
		at := start.Add(c.at)
		issued, err := d.Issue(jane, at)
		if err != nil {
			t.Fatal(err)
		}
		if header, _, _ := parts(t, issued); !strings.Contains(header, c.signs) {
			t.Errorf("%v: the header is %s", c.at, header)
		}
		body := claims(fmt.Sprint(start.Unix()+900), fmt.Sprint(at.Unix()+900), fmt.Sprintf(`"iat":%d`, start.Unix()), fmt.Sprintf(`"iat":%d`, at.Unix()))
		for _, s := range c.checks {
			if _, err := d.Verify(s.sign(t, s.header(), body), at); err != nil {
				t.Errorf("%v: %s: %v", c.at, s.ID, err)
			}
		}
		for _, s := range c.refuses {
			if _, err := d.Verify(s.sign(t, s.header(), body), at); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("%v: %s is accepted", c.at, s.ID)
			}
		}
		set := d.JWKS(at)
		for _, s := range []signer{old, now, next} {
			gone := slices.ContainsFunc(c.refuses, func(o signer) bool { return o.ID == s.ID })
			if strings.Contains(string(set.JSON), s.ID) == gone {
				t.Errorf("%v: published %v: %s", c.at, !gone, set.JSON)
			}
		}
	}
	if d.JWKS(start).ETag == d.JWKS(start.Add(time.Hour)).ETag || d.JWKS(start).ETag != d.JWKS(start.Add(time.Minute)).ETag {
		t.Error("the entity tag does not go by what is published")
	}
}

// A key that is taken away takes with it what was remembered of its tokens.
func TestATokenSeenBeforeDiesWithItsKey(t *testing.T) {
	one, two := newSigner(t, "ES256", 0), newSigner(t, "ES256", 0)
	d := issuerOf(t, one, two)
	issued := d.issue(t)
	if _, err := d.Verify(issued, start); err != nil {
		t.Fatal(err)
	}
	if err := d.Use([]token.Key{two.Key}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Verify(issued, start); !errors.Is(err, token.ErrUnknownKey) || !errors.Is(err, token.ErrInvalid) {
		t.Errorf("error %v", err)
	}
	if err := d.Use(nil); err == nil {
		t.Error("there is an issuer without keys")
	}
	if err := d.Use([]token.Key{{ID: "x", Algorithm: "ES256", Material: one.Material}}); err == nil {
		t.Error("a key was taken whose name is none")
	}
	if _, err := d.Verify(d.issue(t), start); err != nil {
		t.Errorf("keys that can't be used have replaced those that can: %v", err)
	}
}

// BenchmarkIssue compares a token with what a general library makes of the same key
// and claims.
func BenchmarkIssue(b *testing.B) {
	for _, algorithm := range algorithms {
		s := newSigner(b, algorithm, 0)
		d := issuerOf(b, s)
		b.Run(algorithm+"/ours", func(b *testing.B) {
			for b.Loop() {
				d.issue(b)
			}
		})
		b.Run(algorithm+"/library", func(b *testing.B) {
			general, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: s.private},
				(&jose.SignerOptions{}).WithType(token.Type).WithHeader("kid", s.ID))
			if err != nil {
				b.Fatal(err)
			}
			payload := []byte(claims())
			for b.Loop() {
				signed, err := general.Sign(payload)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := signed.CompactSerialize(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
