package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/verify"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// withHeader signs by hand, so that the header can be anything.
func withHeader(t testing.TB, k jose.JSONWebKey, header, payload string) string {
	t.Helper()
	over := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(over))
	r, s, err := ecdsa.Sign(rand.Reader, k.Key.(*ecdsa.PrivateKey), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return over + "." + b64(string(signature))
}

// TestJWT2_NoForgedTokenPasses makes every token that the literature knows.
func TestJWT2_NoForgedTokenPasses(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	own := i.keys[0]
	good := i.token(nil)
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatalf("a good token: %v", err)
	}
	part := strings.Split(good, ".")
	raw, _ := json.Marshal(i.claims(nil))
	payload := string(raw)
	header := func(alg, more string) string {
		return fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"at+jwt"%s}`, alg, own.KeyID, more)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	theirs := jose.JSONWebKey{Key: stranger, KeyID: own.KeyID, Algorithm: "ES256"}
	theirPublic, _ := theirs.Public().MarshalJSON()
	der, _ := x509.MarshalPKIXPublicKey(own.Public().Key)
	ownPublic, _ := own.Public().MarshalJSON()
	hs256 := func(secret []byte) string {
		over := b64(header("HS256", "")) + "." + b64(payload)
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(over))
		return over + "." + b64(string(m.Sum(nil)))
	}
	signature := part[2]
	attacks := map[string]string{
		"alg none":                          b64(header("none", "")) + "." + b64(payload) + ".",
		"alg none with a signature":         b64(header("none", "")) + "." + b64(payload) + "." + signature,
		"alg NoNe":                          b64(header("NoNe", "")) + "." + b64(payload) + "." + signature,
		"alg empty":                         withHeader(t, own, header("", ""), payload),
		"HS256 with the public key in PEM":  hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HS256 with the public key in DER":  hs256(der),
		"HS256 with the public key as JWK":  hs256(ownPublic),
		"HS256 with an empty key":           hs256(nil),
		"ES384 in the header":               withHeader(t, own, header("ES384", ""), payload),
		"RS256 in the header":               withHeader(t, own, header("RS256", ""), payload),
		"jwk":                               withHeader(t, theirs, header("ES256", `,"jwk":`+string(theirPublic)), payload),
		"jwk of our own":                    withHeader(t, own, header("ES256", `,"jwk":`+string(ownPublic)), payload),
		"jku":                               withHeader(t, theirs, header("ES256", `,"jku":"https://evil.example/keys"`), payload),
		"x5u":                               withHeader(t, theirs, header("ES256", `,"x5u":"https://evil.example/cert"`), payload),
		"x5c":                               withHeader(t, theirs, header("ES256", `,"x5c":["AAAA"]`), payload),
		"crit":                              withHeader(t, own, header("ES256", `,"crit":["exp"],"exp":1`), payload),
		"b64":                               withHeader(t, own, header("ES256", `,"b64":false`), payload),
		"cty":                               withHeader(t, own, header("ES256", `,"cty":"JWT"`), payload),
		"another key":                       withHeader(t, theirs, header("ES256", ""), payload),
		"kid is a path":                     withHeader(t, theirs, `{"alg":"ES256","kid":"../../../../dev/null","typ":"at+jwt"}`, payload),
		"kid is SQL":                        withHeader(t, theirs, `{"alg":"ES256","kid":"x' UNION SELECT 'key'--","typ":"at+jwt"}`, payload),
		"kid is a URL":                      withHeader(t, theirs, `{"alg":"ES256","kid":"https://evil.example/key","typ":"at+jwt"}`, payload),
		"kid is empty":                      withHeader(t, own, `{"alg":"ES256","kid":"","typ":"at+jwt"}`, payload),
		"kid is a list":                     withHeader(t, own, `{"alg":"ES256","kid":["`+own.KeyID+`"],"typ":"at+jwt"}`, payload),
		"no kid":                            withHeader(t, own, `{"alg":"ES256","typ":"at+jwt"}`, payload),
		"kid of nobody's key":               withHeader(t, theirs, `{"alg":"ES256","kid":"`+b64(strings.Repeat("k", 32))+`","typ":"at+jwt"}`, payload),
		"typ JWT":                           withHeader(t, own, `{"alg":"ES256","kid":"`+own.KeyID+`","typ":"JWT"}`, payload),
		"typ in capitals":                   withHeader(t, own, `{"alg":"ES256","kid":"`+own.KeyID+`","typ":"AT+JWT"}`, payload),
		"typ of the media type":             withHeader(t, own, `{"alg":"ES256","kid":"`+own.KeyID+`","typ":"application/at+jwt"}`, payload),
		"typ of a logout token":             withHeader(t, own, `{"alg":"ES256","kid":"`+own.KeyID+`","typ":"logout+jwt"}`, payload),
		"no typ":                            withHeader(t, own, `{"alg":"ES256","kid":"`+own.KeyID+`"}`, payload),
		"header says something twice":       withHeader(t, own, `{"alg":"none","alg":"ES256","kid":"`+own.KeyID+`","typ":"at+jwt"}`, payload),
		"header in other letters":           withHeader(t, own, `{"ALG":"ES256","kid":"`+own.KeyID+`","typ":"at+jwt"}`, payload),
		"header null":                       withHeader(t, own, `null`, payload),
		"edited claims":                     part[0] + "." + b64(strings.Replace(payload, "reader", "admin", 1)) + "." + signature,
		"no signature":                      part[0] + "." + part[1] + ".",
		"signature of zeros":                part[0] + "." + part[1] + "." + b64(strings.Repeat("\x00", 64)),
		"signature in DER":                  part[0] + "." + part[1] + "." + b64("\x30\x06\x02\x01\x01\x02\x01\x01"),
		"two parts":                         part[0] + "." + part[1],
		"four parts":                        good + "." + signature,
		"five parts, as encrypted":          strings.Repeat("AAAA.", 4) + "AAAA",
		"padded":                            good + "==",
		"a line break inside":               good[:9] + "\n" + good[9:],
		"a space before":                    " " + good,
		"odd last bits":                     good[:len(good)-1] + odd(good[len(good)-1]),
		"1 MB":                              strings.Repeat("A", 1<<20),
		"1 MB of dots":                      strings.Repeat(".", 1<<20),
		"1 MB of good claims":               i.token(map[string]any{"x": strings.Repeat("A", 1<<20)}),
		"JSON serialization":                `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + signature + `"}`,
		"empty":                             "",
		"another issuer":                    i.token(map[string]any{"iss": "https://evil.example"}),
		"the issuer with a slash":           i.token(map[string]any{"iss": i.url + "/"}),
		"another audience":                  i.token(map[string]any{"aud": "https://other.example"}),
		"no audience":                       i.token(map[string]any{"aud": nil}),
		"a list of audiences":               i.token(map[string]any{"aud": []string{i.url, "https://other.example"}}),
		"no subject":                        i.token(map[string]any{"sub": nil}),
		"an empty subject":                  i.token(map[string]any{"sub": ""}),
		"no session":                        i.token(map[string]any{"sid": nil}),
		"expired this second":               i.token(map[string]any{"exp": time.Now().Unix()}),
		"expired by a second":               i.token(map[string]any{"exp": time.Now().Unix() - 1}),
		"no expiry":                         i.token(map[string]any{"exp": nil}),
		"expiry null":                       withHeader(t, own, header("ES256", ""), strings.Replace(payload, `"exp":`, `"exp":null,"xp":`, 1)),
		"expiry as text":                    i.token(map[string]any{"exp": "99999999999"}),
		"expiry as a fraction":              i.token(map[string]any{"exp": 99999999999.5}),
		"expiry beyond all numbers":         withHeader(t, own, header("ES256", ""), strings.Replace(payload, `"exp":`, `"exp":1e400,"xp":`, 1)),
		"not valid yet":                     i.token(map[string]any{"nbf": time.Now().Unix() + 10}),
		"issued in the future":              i.token(map[string]any{"iat": time.Now().Unix() + 90}),
		"no iat":                            i.token(map[string]any{"iat": nil}),
		"no auth_time":                      i.token(map[string]any{"auth_time": nil}),
		"roles as text":                     i.token(map[string]any{"roles": "admin"}),
		"roles with a null":                 i.token(map[string]any{"roles": []any{nil}}),
		"duplicate claim":                   withHeader(t, own, header("ES256", ""), payload[:len(payload)-1]+`,"sub":"root"}`),
		"duplicate claim in other escapes":  withHeader(t, own, header("ES256", ""), payload[:len(payload)-1]+`,"s\u0075b":"root"}`),
		"claims in other letters":           withHeader(t, own, header("ES256", ""), strings.Replace(payload, `"sub"`, `"Sub"`, 1)),
		"claims with something behind":      withHeader(t, own, header("ES256", ""), payload+`{}`),
		"claims that are a list":            withHeader(t, own, header("ES256", ""), `[`+payload+`]`),
		"claims that are not UTF-8":         withHeader(t, own, header("ES256", ""), strings.Replace(payload, "reader", "r\xff", 1)),
		"a refresh token":                   "gatehouse_rt_" + rand.Text() + rand.Text(),
		"a client secret":                   "gatehouse_cs_" + rand.Text(),
		"a signature that is one byte less": part[0] + "." + part[1] + "." + signature[:len(signature)-2],
	}
	for name, token := range attacks {
		t.Run(name, func(t *testing.T) {
			got, err := v.Verify(t.Context(), token)
			if !errors.Is(err, verify.ErrInvalid) || got != nil {
				t.Errorf("%+v, error %v", got, err)
			}
			// And not the second time either, when something could be remembered.
			if got, err := v.Verify(t.Context(), token); !errors.Is(err, verify.ErrInvalid) || got != nil {
				t.Errorf("at the second time: %+v, error %v", got, err)
			}
		})
	}
	if _, err := v.Verify(t.Context(), i.token(map[string]any{"exp": time.Now().Unix() - 1})); !errors.Is(err, verify.ErrExpired) {
		t.Errorf("an expired token: %v", err)
	}
}

// odd returns another last character of the same bytes.
func odd(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

// FuzzVerify: nothing but the one good token is ever taken, and nothing crashes.
func FuzzVerify(f *testing.F) {
	i := newIssuer(f)
	v := i.verifier()
	good := i.token(nil)
	for _, s := range []string{good, "", ".", "..", "a.b.c", good + ".", strings.ToUpper(good), b64(`{"alg":"none"}`) + "." + b64(`{}`) + "."} {
		f.Add(s, []byte(`{"alg":"ES256","kid":"k","typ":"at+jwt"}`), []byte(`{"sub":"s","exp":1}`))
	}
	own := i.keys[0]
	f.Fuzz(func(t *testing.T, token string, header, payload []byte) {
		if got, err := v.Verify(t.Context(), token); err == nil && token != good {
			t.Errorf("%q is taken for %+v", token, got)
		}
		// One that bears our signature is read as far as its claims.
		if got, err := v.Verify(t.Context(), withHeader(t, own, string(header), string(payload))); err == nil {
			var c struct{ Sub, Iss string }
			if json.Unmarshal(payload, &c) != nil || got.Subject != c.Sub || c.Iss != i.url {
				t.Errorf("%s is read as %+v", payload, got)
			}
		}
	})
}
