package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// keyThat returns a key whose coordinates are as wanted.
func keyThat(t *testing.T, want func(x, y string) bool) *ecdsa.PrivateKey {
	for range 100_000 {
		k := newKey(t)
		if want(coordinates(k)) {
			return k
		}
	}
	t.Fatal("there is no such key")
	return nil
}

func TestJWKSHoldsThePublicKeyAndNothingElse(t *testing.T) {
	for name, k := range map[string]*ecdsa.PrivateKey{
		"any key": newKey(t),
		// RFC 7518 section 6.2.1.2: a coordinate has 32 bytes, its zeros in front included.
		"a zero before x": keyThat(t, func(x, _ string) bool { return strings.HasPrefix(x, "AA") }),
		"a zero before y": keyThat(t, func(_, y string) bool { return strings.HasPrefix(y, "AA") }),
	} {
		t.Run(name, func(t *testing.T) {
			d := newTestIssuer(t, k, config)
			var got map[string][]map[string]any
			if err := json.Unmarshal(d.JWKS(start).JSON, &got); err != nil {
				t.Fatal(err)
			}
			x, y := coordinates(k)
			want := map[string][]map[string]any{"keys": {{
				"kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "alg": "ES256", "kid": thumbprint(k),
			}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			private, err := k.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(d.JWKS(start).JSON), b64.EncodeToString(private)) {
				t.Error("the private key is published")
			}
		})
	}
}

// An application with the published key alone can check a token: with go-jose,
// and with the standard library.
func TestAnyoneCanCheckATokenWithTheJWKS(t *testing.T) {
	d := open(t)
	issued := d.issue(t)
	header, body, signature := parts(t, issued)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(d.JWKS(start).JSON, &set); err != nil {
		t.Fatal(err)
	}
	var h struct{ Kid string }
	if err := json.Unmarshal([]byte(header), &h); err != nil {
		t.Fatal(err)
	}
	found := set.Key(h.Kid)
	if len(found) != 1 || !found[0].IsPublic() || !found[0].Valid() {
		t.Fatalf("the key %s is not in %s", h.Kid, d.JWKS(start).JSON)
	}
	jws, err := jose.ParseSignedCompact(issued, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if payload, err := jws.Verify(found[0]); err != nil || string(payload) != body {
		t.Errorf("go-jose reads %s, error %v", payload, err)
	}

	var own struct{ Keys []struct{ X, Y string } }
	if err := json.Unmarshal(d.JWKS(start).JSON, &own); err != nil {
		t.Fatal(err)
	}
	point := []byte{4}
	for _, c := range []string{own.Keys[0].X, own.Keys[0].Y} {
		b, err := b64.DecodeString(c)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, b...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(issued[:strings.LastIndexByte(issued, '.')]))
	if !ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("by the standard library the signature is wrong")
	}
}

func TestTheKeysNameStaysTheSame(t *testing.T) {
	k := newKey(t)
	a, b := newTestIssuer(t, k, config), newTestIssuer(t, k, config)
	if string(a.JWKS(start).JSON) != string(b.JWKS(start).JSON) {
		t.Errorf("one key, twice: %s and %s", a.JWKS(start).JSON, b.JWKS(start).JSON)
	}
	if _, err := b.Verify(a.issue(t), start); err != nil {
		t.Errorf("a replica refuses the other's token: %v", err)
	}
	if c := open(t); string(c.JWKS(start).JSON) == string(a.JWKS(start).JSON) {
		t.Error("another key has the same JWKS")
	}
}
