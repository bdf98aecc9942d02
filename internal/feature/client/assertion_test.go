package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// FuzzAssertion: whatever is shown is refused, unless it was signed by the key; and the key signs one text alone here.
func FuzzAssertion(f *testing.F) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, nil)
	if err != nil {
		f.Fatal(err)
	}
	jws, err := signer.Sign([]byte(`{"iss":"app","sub":"app","aud":"https://auth.example.org","jti":"1","exp":1000000060}`))
	if err != nil {
		f.Fatal(err)
	}
	good, err := jws.CompactSerialize()
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1000000000, 0)
	k, keys := known{id: "app"}, &Keys{jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private.Public()}}}}
	if id, _, ok := shown(good); id != "app" || !ok {
		f.Fatal(id, ok)
	}
	for _, s := range []string{good, "", "..", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"} {
		f.Add(s)
	}
	want, err := k.asserted(good, "https://auth.example.org", keys, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _, _ = shown(s)
		if a, err := k.asserted(s, "https://auth.example.org", keys, now); err == nil && a != want { // another spelling of it is it
			t.Errorf("%q is taken", s)
		}
	})
}

// FuzzParseKeys: what is taken is written and read again as it was, and has no private part.
func FuzzParseKeys(f *testing.F) {
	for _, s := range []string{
		"", "{}", `{"keys":[]}`, `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
		`{"kty":"oct","k":"AAAA"}`, "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := ParseKeys(s)
		if err != nil || keys == nil {
			return
		}
		b, err := json.Marshal(keys)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKeys(string(b))
		if err != nil || again.Text() != keys.Text() || len(again.Names()) != len(keys.Names()) {
			t.Errorf("%s is read as %s: %v", keys.Text(), again.Text(), err)
		}
	})
}
