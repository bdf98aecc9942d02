package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

func (d testIssuer) header() string {
	return fmt.Sprintf(`{"alg":"ES256","kid":"%s","typ":"at+jwt"}`, d.kid)
}

// claims are good ones, with pairs of old and new text replaced in them.
func claims(replace ...string) string {
	c := fmt.Sprintf(`{"iss":"%s","sub":"%s","aud":"%s","exp":%d,"iat":%d,"jti":"j","sid":"%s","roles":["reader"],"auth_time":1,"amr":["pwd"]}`,
		config.Issuer, jane.Account, config.Audience, start.Unix()+900, start.Unix(), jane.Session)
	return strings.NewReplacer(replace...).Replace(c)
}

// sign returns the JWS signature (RFC 7518 section 3.4) by a key.
func sign(t testing.TB, k *ecdsa.PrivateKey, input string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return raw(r, s)
}

func raw(r, s *big.Int) []byte {
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func encode(header, claims string, signature []byte) string {
	return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims)) + "." + b64.EncodeToString(signature)
}

// forge signs whatever it is given with the issuer's own key.
func (d testIssuer) forge(t testing.TB, header, claims string) string {
	t.Helper()
	return encode(header, claims, sign(t, d.private, b64.EncodeToString([]byte(header))+"."+b64.EncodeToString([]byte(claims))))
}

func (d testIssuer) refuse(t *testing.T, name, forged string) {
	t.Helper()
	for range 2 {
		if c, err := d.Verify(forged, start); !errors.Is(err, token.ErrInvalid) || c != nil {
			t.Errorf("%s: accepted as %+v, error %v", name, c, err)
		}
	}
}

// The forger must be able to make a good token, or the attacks prove nothing.
func TestTheForgerCanWriteAGoodToken(t *testing.T) {
	d := open(t)
	c, err := d.Verify(d.forge(t, d.header(), claims()), start)
	if err != nil || c.Subject != jane.Account || !cmp.Equal(c.Roles, []string{"reader"}) {
		t.Errorf("%+v, error %v", c, err)
	}
}

// ASVS 9.1.2: one algorithm, whatever the header says.
func TestOtherAlgorithmsAreRefused(t *testing.T) {
	d := open(t)
	der, err := x509.MarshalPKIXPublicKey(&d.private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	x, y := coordinates(d.private)
	point, err := d.private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{
		"DER": der, "PEM": block, "PEM without its last line break": []byte(strings.TrimSpace(string(block))),
		"JWK": fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, x, y), "JWKS": d.JWKS(start).JSON, "point": point, "x": []byte(x), "nothing": {},
	} {
		header := strings.Replace(d.header(), "ES256", "HS256", 1)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims()))))
		d.refuse(t, "HS256 under the public key as "+name, encode(header, claims(), mac.Sum(nil)))
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS256", "RS256", "PS256", "ES384", "ES512", "ES256K", "EdDSA", "es256", "ES256 ",
		"ES256\u0000"} {
		header := strings.Replace(d.header(), "ES256", alg, 1)
		d.refuse(t, "alg "+alg+", signed", d.forge(t, header, claims()))
		d.refuse(t, "alg "+alg+", not signed", encode(header, claims(), nil))
	}
	d.refuse(t, "alg as a list", d.forge(t, strings.Replace(d.header(), `"ES256"`, `["ES256"]`, 1), claims()))
	d.refuse(t, "no alg", d.forge(t, strings.Replace(d.header(), `"alg":"ES256",`, ``, 1), claims()))
}

// ASVS 9.1.3: a header can't bring a key, or say where to find one.
func TestKeysFromTheHeaderAreIgnored(t *testing.T) {
	d, eve := open(t), open(t)
	x, y := coordinates(eve.private)
	jwk := fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":"%s","y":"%s","kid":"%s"}`, x, y, d.kid)
	for name, extra := range map[string]string{
		"jwk": `"jwk":` + jwk, "jku": `"jku":"https://evil.example/jwks.json"`, "x5u": `"x5u":"https://evil.example/c.pem"`, "x5c": `"x5c":["MIIB"]`,
		"x5t": `"x5t":"AAAA"`, "x5t#S256": `"x5t#S256":"AAAA"`, "crit": `"crit":["exp"],"exp":1`, "empty crit": `"crit":[]`, "b64": `"b64":false,"crit":["b64"]`,
		"zip": `"zip":"DEF"`, "cty": `"cty":"JWT"`, "nonce": `"nonce":"n"`, "anything": `"x":1`,
		"alg again": `"alg":"none"`, "alg again, the same": `"alg":"ES256"`, "ALG": `"ALG":"ES256"`, "kid again": `"kid":"x"`,
	} {
		after := strings.TrimSuffix(d.header(), "}") + "," + extra + "}"
		before := "{" + extra + "," + strings.TrimPrefix(d.header(), "{")
		for _, header := range []string{after, before} {
			d.refuse(t, name+" by another key", eve.forge(t, header, claims()))
			d.refuse(t, name+" by the right key", d.forge(t, header, claims()))
		}
	}
	for _, kid := range []string{
		eve.kid, "", "../../../../dev/null", "/dev/null", "' OR '1'='1", "x' UNION SELECT 'key'--", "http://evil.example/key", d.kid + " ", d.kid + "\u0000",
		strings.ToUpper(d.kid), d.kid[:42], "0", "null",
	} {
		header := strings.Replace(d.header(), d.kid, kid, 1)
		d.refuse(t, "kid "+kid+" by another key", eve.forge(t, header, claims()))
		d.refuse(t, "kid "+kid+" by the right key", d.forge(t, header, claims()))
	}
	d.refuse(t, "another issuer's token", eve.issue(t))
	d.refuse(t, "another key under our kid", eve.forge(t, d.header(), claims()))
	d.refuse(t, "no kid", d.forge(t, `{"alg":"ES256","typ":"at+jwt"}`, claims()))
}

// ASVS 9.2.2: tokens for other purposes.
func TestOtherTypesAreRefused(t *testing.T) {
	d := open(t)
	for _, typ := range []string{"JWT", "jwt", "at+JWT", "AT+JWT", "application/at+jwt", "logout+jwt", "secevent+jwt", "at", "", "at+jwt "} {
		d.refuse(t, "typ "+typ, d.forge(t, strings.Replace(d.header(), "at+jwt", typ, 1), claims()))
	}
	d.refuse(t, "no typ", d.forge(t, strings.Replace(d.header(), `,"typ":"at+jwt"`, ``, 1), claims()))
	d.refuse(t, "a refresh token", "gatehouse_rt_"+strings.Repeat("A", 123))
	d.refuse(t, "a refresh token with dots", "gatehouse_rt_"+strings.Repeat("A", 50)+"."+strings.Repeat("A", 50)+"."+strings.Repeat("A", 50))
}

// ASVS 9.1.1: nothing in a token can be changed.
func TestEditedTokensAreRefused(t *testing.T) {
	d := open(t)
	issued := d.issue(t)
	if _, err := d.Verify(issued, start); err != nil { // as if it were remembered
		t.Fatal(err)
	}
	header, body, signature := parts(t, issued)
	edited := strings.Replace(body, `"writer"`, `"wizard"`, 1)
	if edited == body {
		t.Fatal("nothing was edited")
	}
	d.refuse(t, "edited claims with the old signature", encode(header, edited, signature))
	d.refuse(t, "stripped", encode(header, body, nil))
	d.refuse(t, "stripped with its dot", strings.TrimSuffix(encode(header, body, nil), "."))
	_, _, other := parts(t, d.issue(t))
	d.refuse(t, "another token's signature", encode(header, body, other))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range issued {
		if at := strings.IndexByte(alphabet, issued[i]); at >= 0 {
			for bit := range 6 {
				d.refuse(t, fmt.Sprintf("character %d of %d changed", i, len(issued)), issued[:i]+string(alphabet[at^1<<bit])+issued[i+1:])
			}
		}
	}
}

func TestSignaturesThatAreNone(t *testing.T) {
	d := open(t)
	input := b64.EncodeToString([]byte(d.header())) + "." + b64.EncodeToString([]byte(claims()))
	good := sign(t, d.private, input)
	r, s := new(big.Int).SetBytes(good[:32]), new(big.Int).SetBytes(good[32:])
	n, zero, one := elliptic.P256().Params().N, new(big.Int), big.NewInt(1)
	p := elliptic.P256().Params().P
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	for name, signature := range map[string][]byte{
		"all zero":       make([]byte, 64), // CVE-2022-21449
		"r zero":         raw(zero, s),
		"s zero":         raw(r, zero),
		"both one":       raw(one, one),
		"r is n":         raw(n, s),
		"s is n":         raw(r, n),
		"both n":         raw(n, n),
		"r is p":         raw(p, s),
		"all ones":       []byte(strings.Repeat("\xff", 64)),
		"swapped":        raw(s, r),
		"negative r":     raw(new(big.Int).Sub(n, r), s),
		"ASN.1":          der,
		"a byte short":   good[:63],
		"a byte long":    append(good[:64:64], 0),
		"a byte before":  append([]byte{0}, good...),
		"twice":          append(good[:64:64], good...),
		"half":           good[:32],
		"one byte":       {0},
		"without header": sign(t, d.private, b64.EncodeToString([]byte(claims()))),
	} {
		d.refuse(t, name, encode(d.header(), claims(), signature))
	}
}

// Anyone who holds a token can make a second one of it that is as good, since
// (r, n-s) is a signature if (r, s) is. So it must be the same in all that
// counts: nothing may tell tokens apart by their text.
func TestTheOtherSignatureOfATokenMakesNoOtherToken(t *testing.T) {
	d := open(t)
	issued := d.issue(t)
	header, body, good := parts(t, issued)
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(good[32:]))
	twin := encode(header, body, raw(new(big.Int).SetBytes(good[:32]), s))
	want, err := d.Verify(issued, start)
	if err != nil || twin == issued {
		t.Fatal(err)
	}
	if got, err := d.Verify(twin, start); err == nil && !cmp.Equal(got, want) {
		t.Errorf("the twin says %+v, the token %+v", got, want)
	}
	if _, err := d.Verify(twin, start.Add(config.Life)); !errors.Is(err, token.ErrExpired) {
		t.Errorf("the twin outlives the token: %v", err)
	}
}

// FuzzVerify: what is accepted is a token that the key signed and that says what
// ours say, by the standard library alone. The key is the same each time: the
// seeds and the target run in different processes.
func FuzzVerify(f *testing.F) {
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), []byte(strings.Repeat("\x07", 32)))
	if err != nil {
		f.Fatal(err)
	}
	d := newTestIssuer(f, k, config)
	issued := d.issue(f)
	header, body, signature := parts(f, issued)
	for _, s := range []string{
		issued, issued + "\n", encode(header, body, nil), encode(`{"alg":"none"}`, body, nil), encode(header, "{}", signature), "..", "", "gatehouse_rt_A",
		`{"payload":"e30","protected":"e30","signature":""}`, encode(strings.Replace(header, "{", `{"crit":["b64"],"b64":false,`, 1), body, signature),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := d.Verify(s, start)
		if err != nil {
			if !errors.Is(err, token.ErrInvalid) || c != nil {
				t.Fatalf("%q: %+v, error %v", s, c, err)
			}
			return
		}
		header, body, signature := parts(t, s) // which decodes strictly
		sum := sha256.Sum256([]byte(s[:strings.LastIndexByte(s, '.')]))
		if len(signature) != 64 || !ecdsa.Verify(&k.PublicKey, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			t.Fatalf("%q was accepted, and is not signed", s)
		}
		if again, err := json.Marshal(c); err != nil || string(again) != body || header != d.header() || encode(header, body, signature) != s {
			t.Fatalf("%q was accepted as %+v", s, c)
		}
		if c.Issuer != config.Issuer || c.Audience != config.Audience || c.Subject == "" || c.Session == "" || c.Expires <= start.Unix() {
			t.Fatalf("%q was accepted as %+v", s, c)
		}
	})
}
