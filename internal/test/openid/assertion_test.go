package openid

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// keyed is an application that shows who it is with a private key.
type keyed struct {
	app
	clock *harness.Clock
	with  jose.SigningKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keySet is a JWK set, as an operator hands it over.
func keySet(t testing.TB, keys ...jose.JSONWebKey) *client.Keys {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	set, err := client.ParseKeys(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// claims are those of an assertion that is good once, with others in the place of some; nil leaves one out.
func (k keyed) claims(more ...any) map[string]any {
	in := map[string]any{
		"iss": k.ID, "sub": k.ID, "aud": k.URL(), "jti": uuid.NewString(), "exp": k.clock.Now().Add(time.Minute).Unix(), "iat": k.clock.Now().Unix(),
	}
	for i := 0; i < len(more); i += 2 {
		if in[more[i].(string)] = more[i+1]; more[i+1] == nil {
			delete(in, more[i].(string))
		}
	}
	return in
}

func signed(t testing.TB, with jose.SigningKey, in map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(with, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// assert is a form with an assertion.
func (k keyed) assert(path, assertion string, in url.Values) harness.Request {
	body := url.Values{"client_assertion_type": {client.AssertionType}, "client_assertion": {assertion}}
	for name, values := range in {
		body[name] = values
	}
	return harness.Request{Method: "POST", Path: path, Body: body.Encode(), ContentType: "application/x-www-form-urlencoded"}
}

// good is a form with an assertion that nobody has seen.
func (k keyed) good(path string, in url.Values) harness.Request {
	return k.assert(path, signed(k.T, k.with, k.claims()), in)
}

var asking = url.Values{"token": {"x"}}

// An application with a key signs who it is, at every endpoint, and has no secret (RFC 7523).
func TestASVS_V10_4_16_ApplicationsWithKeys(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		private := newKey(t)
		a := register(h, "app", client.Web, firstParty, func(s *client.Settings) { s.JWKS = keySet(t, jose.JSONWebKey{Key: private.Public(), KeyID: "one"}) })
		k := keyed{a, clock, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: "one"}}}
		if a.secret != "" {
			t.Errorf("an application with keys has the secret %q", a.secret)
		}
		b := h.Browser()
		pushed := h.Expect(201, "", k.good("/oauth2/par", a.parameters()))
		page, _ := walk(b, "/oauth2/authorize?"+url.Values{"client_id": {a.ID}, "request_uri": {pushed.Str("request_uri")}}.Encode())
		_, to := signIn(b, page, ada)
		got := h.Expect(200, "", k.good("/oauth2/token", url.Values{
			"grant_type": {"authorization_code"}, "code": {a.code(to)}, "redirect_uri": {redirect}, "code_verifier": {verifier}, "client_id": {a.ID},
		}))
		got = h.Expect(200, "", k.good("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Str("refresh_token")}}))
		access := url.Values{"token": {got.Str("access_token")}}
		if told := h.Expect(200, "", k.good("/oauth2/introspect", access)); told.Fields["active"] != true {
			t.Errorf("introspection: %s", told.Text)
		}
		h.Expect(200, "", k.good("/oauth2/revoke", access))

		// With no key id, the key that fits.
		nameless := k.with
		nameless.Key = private
		h.Expect(200, "", k.assert("/oauth2/introspect", signed(t, nameless, k.claims("aud", []string{h.URL()})), asking))

		// A service has nothing but keys.
		s, _, err := h.Operator().RegisterClient(t.Context(), "billing", client.Service, client.Settings{JWKS: a.Settings.JWKS}, harness.OriginOfTests)
		if err != nil {
			t.Fatal(err)
		}
		service := keyed{app{h, s, ""}, clock, k.with}
		h.Eventually("the service", func() (string, bool) {
			told := h.Do(service.good("/oauth2/introspect", access))
			return told.Text, told.Status == 200 && told.Fields["active"] == false
		})
		for _, path := range []string{"/v1/token/introspect", "/v1/revocations"} {
			if got := h.Do(harness.Request{Method: "POST", Path: path, Header: http.Header(harness.Basic(s.ID, "gatehouse_cs_x"))}); got.Status == 200 {
				t.Errorf("%s takes a service with keys by some secret", path)
			}
		}
	})
}

// What is not signed by a key of the application, for this issuer alone and for now, shows nothing.
func TestASVS_V10_4_16_AssertionsThatShowNothing(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		private, theirs := newKey(t), newKey(t)
		weak, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		_, edwards, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		a := register(h, "app", client.Web, func(s *client.Settings) {
			s.JWKS = keySet(t, jose.JSONWebKey{Key: private.Public(), KeyID: "one"}, jose.JSONWebKey{Key: weak.Public(), KeyID: "two", Algorithm: "PS256"},
				jose.JSONWebKey{Key: edwards.Public(), KeyID: "three"})
		})
		other := register(h, "other", client.Web, func(s *client.Settings) { s.JWKS = keySet(t, jose.JSONWebKey{Key: theirs.Public()}) })
		k := keyed{a, clock, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: "one"}}}
		at := func(d time.Duration) int64 { return clock.Now().Add(d).Unix() }
		refuse := func(what, assertion string) {
			t.Helper()
			if got := h.Do(k.assert("/oauth2/introspect", assertion, asking)); got.Status != 401 || got.Str("error") != "invalid_client" ||
				!strings.Contains(got.Str("error_description"), "jti is new each time") {
				t.Errorf("%s: %d %s", what, got.Status, got.Text)
			}
		}
		for what, in := range map[string]map[string]any{
			"no issuer": k.claims("iss", nil), "no subject": k.claims("sub", nil), "another's subject": k.claims("sub", other.ID),
			"another's issuer": k.claims("iss", other.ID, "sub", other.ID), "an unknown issuer": k.claims("iss", "x", "sub", "x"),
			"no audience": k.claims("aud", nil), "the endpoint for audience": k.claims("aud", h.URL()+"/oauth2/token"),
			"two audiences": k.claims("aud", []string{h.URL(), "https://evil.example.org"}), "no audiences": k.claims("aud", []string{}),
			"twice the issuer": k.claims("aud", []string{h.URL(), h.URL()}), "a slash behind the issuer": k.claims("aud", h.URL()+"/"),
			"no id": k.claims("jti", nil), "an empty id": k.claims("jti", ""), "a long id": k.claims("jti", strings.Repeat("x", 257)),
			"a number for id": k.claims("jti", 7),
			"no end":          k.claims("exp", nil), "an end long ago": k.claims("exp", at(-2*time.Minute)), "an end far off": k.claims("exp", at(12*time.Minute)),
			"an end beyond all clocks": k.claims("exp", 1e300), "an end in words": k.claims("exp", "soon"), "an end before all clocks": k.claims("exp", -1e300),
			"not yet": k.claims("nbf", at(2*time.Minute)), "of the future": k.claims("iat", at(2*time.Minute)),
		} {
			refuse(what, signed(t, k.with, in))
		}
		public, err := x509.MarshalPKIXPublicKey(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		rs := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: weak, KeyID: "two"}}
		for what, with := range map[string]jose.SigningKey{
			"another's key":            {Algorithm: jose.ES256, Key: theirs},
			"another's key as ours":    {Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: theirs, KeyID: "one"}},
			"an unknown key id":        {Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: "four"}},
			"another algorithm":        rs,
			"the public key, for HMAC": {Algorithm: jose.HS256, Key: public},
		} {
			refuse(what, signed(t, with, k.claims()))
		}
		whole := signed(t, k.with, k.claims())
		parts := strings.Split(whole, ".")
		for what, text := range map[string]string{
			"nothing": "", "no token": "x", "no signature": parts[0] + "." + parts[1] + ".", "an altered signature": parts[0] + "." + parts[1] + "." + altered(parts[2]),
			"altered claims": parts[0] + "." + altered(parts[1]) + "." + parts[2], "no algorithm": "eyJhbGciOiJub25lIn0." + parts[1] + ".",
			"four parts": whole + ".x", "too long": strings.Repeat("x", 9<<10),
		} {
			refuse(what, text)
		}

		// One way at a time, and its own name.
		secret := k.assert("/oauth2/introspect", whole, url.Values{"token": {"x"}, "client_secret": {"x"}})
		a.invalid(400, "invalid_request", secret)
		basic := k.assert("/oauth2/introspect", whole, asking)
		basic.Header = http.Header(harness.Basic(a.ID, "x"))
		a.invalid(400, "invalid_request", basic)
		a.invalid(400, "invalid_request", k.assert("/oauth2/introspect", whole, url.Values{"token": {"x"}, "client_assertion_type": {"x"}}))
		a.invalid(401, "invalid_client", k.assert("/oauth2/introspect", signed(t, k.with, k.claims()), url.Values{"token": {"x"}, "client_id": {other.ID}}))
		nothing := basic
		nothing.Header, nothing.Body = nil, url.Values{"token": {"x"}, "client_id": {a.ID}}.Encode()
		a.invalid(401, "invalid_client", nothing)

		// None of these has spent the one that is good, and the next use of it is refused.
		h.Expect(200, "", k.assert("/oauth2/introspect", whole, asking))
		refuse("a second time", whole)
		for _, with := range []jose.SigningKey{{Algorithm: jose.PS256, Key: rs.Key}, {Algorithm: jose.EdDSA, Key: edwards}} {
			h.Expect(200, "", k.assert("/oauth2/introspect", signed(t, with, k.claims()), asking))
		}
		// Its own clock is a little off.
		h.Expect(200, "", k.assert("/oauth2/introspect", signed(t, k.with, k.claims("exp", at(-30*time.Second), "iat", at(-time.Hour))), asking))
		last := signed(t, k.with, k.claims("exp", at(10*time.Minute+30*time.Second), "iat", at(30*time.Second), "nbf", at(30*time.Second)))
		h.Expect(200, "", k.assert("/oauth2/introspect", last, asking))
		clock.Shift(11 * time.Minute)
		refuse("a second time, shortly before its end", last)
	})
}

// Of sixteen who show one assertion at once, one is let in.
func TestASVS_V10_4_16_AnAssertionIsGoodOnce(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		private := newKey(t)
		a := register(h, "app", client.Web, func(s *client.Settings) { s.JWKS = keySet(t, jose.JSONWebKey{Key: private.Public()}) })
		k := keyed{a, clock, jose.SigningKey{Algorithm: jose.ES256, Key: private}}
		for range 5 {
			one := signed(t, k.with, k.claims())
			var (
				wg      sync.WaitGroup
				in, out atomic.Int64
			)
			for range 16 {
				wg.Go(func() {
					switch got, err := h.Try(k.assert("/oauth2/introspect", one, asking)); {
					case err == nil && got.Status == 200:
						in.Add(1)
					case err == nil && got.Status == 401:
						out.Add(1)
					default:
						t.Errorf("%v %d %s", err, got.Status, got.Text)
					}
				})
			}
			if wg.Wait(); in.Load() != 1 || out.Load() != 15 {
				t.Fatalf("%d let in, %d refused", in.Load(), out.Load())
			}
		}
		if n := h.Count(`SELECT COUNT(*) FROM client_assertion`); n != 5 {
			t.Errorf("%d assertions are remembered", n)
		}
		clock.Shift(time.Hour)
		h.Eventually("forgetting them", func() (string, bool) {
			n := h.Count(`SELECT COUNT(*) FROM client_assertion`)
			return "", n == 0
		})
	})
}

// Whoever gives an application keys ends its secrets; a replaced key is refused within a second; without keys it needs a new secret.
func TestASVS_V10_4_16_KeysInThePlaceOfASecret(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		o, first, second := h.Operator(), newKey(t), newKey(t)
		a := register(h, "app", client.Web)
		if _, _, err := o.RotateClient(t.Context(), "app", client.Forever, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		set := func(keys *client.Keys) {
			t.Helper()
			if _, err := o.SetClient(t.Context(), "app", func(s client.Settings) client.Settings {
				s.JWKS = keys
				return s
			}, harness.OriginOfTests); err != nil {
				t.Fatal(err)
			}
		}
		becomes := func(what string, status int, r func() harness.Request) {
			t.Helper()
			h.Eventually(what, func() (string, bool) {
				got := h.Do(r())
				return got.Text, got.Status == status
			})
		}
		by := func(private *ecdsa.PrivateKey) func() harness.Request {
			k := keyed{a, clock, jose.SigningKey{Algorithm: jose.ES256, Key: private}}
			return func() harness.Request { return k.good("/oauth2/introspect", asking) }
		}
		old := func() harness.Request { return a.form("/oauth2/introspect", asking) }
		becomes("the old secret", 200, old)
		set(keySet(t, jose.JSONWebKey{Key: first.Public()}))
		becomes("the first key", 200, by(first))
		becomes("the old secret", 401, old)
		if _, _, err := o.RotateClient(t.Context(), "app", client.Forever, harness.OriginOfTests); err == nil || !strings.Contains(err.Error(), "with a key") {
			t.Errorf("a secret for an application with keys: %v", err)
		}
		set(keySet(t, jose.JSONWebKey{Key: second.Public()}))
		becomes("the second key", 200, by(second))
		becomes("the first key", 401, by(first))
		set(nil)
		becomes("no key", 401, by(second))
		becomes("the old secret, with the keys gone", 401, old)
		var err error
		if _, a.secret, err = o.RotateClient(t.Context(), "app", clock.Now(), harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		becomes("a new secret", 200, old)
	})
}

// Keys that an application can't have are refused, a private one above all, and are not repeated.
func TestASVS_V10_4_16_V11_2_3_KeysThatAreRefused(t *testing.T) {
	private := newKey(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it is to be refused
	if err != nil {
		t.Fatal(err)
	}
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := func(keys ...jose.JSONWebKey) string {
		b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	public := jose.JSONWebKey{Key: private.Public(), KeyID: "one"}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	written := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	one, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for what, good := range map[string]string{"a set": text(public), "one": string(one), "PEM": written, "two in PEM": written + "\n" + written} {
		if keys, err := client.ParseKeys(good); err != nil || len(keys.Names()) == 0 || keys.Names()[0] == "" {
			t.Errorf("%s: %v, %v", what, keys.Names(), err)
		}
	}
	for what, c := range map[string]struct{ text, says string }{
		"a private key":         {text(jose.JSONWebKey{Key: private}), "private key among these"},
		"a private key in PEM":  {string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), "private key among these"},
		"a secret":              {text(jose.JSONWebKey{Key: []byte("a secret of sixteen or more bytes")}), "private key among these"},
		"a weak key":            {text(jose.JSONWebKey{Key: weak.Public()}), "Give up to"},
		"another curve":         {text(jose.JSONWebKey{Key: large.Public()}), "Give up to"},
		"a key for encryption":  {text(jose.JSONWebKey{Key: private.Public(), Use: "enc"}), "Give up to"},
		"another algorithm":     {text(jose.JSONWebKey{Key: private.Public(), Algorithm: "RS256"}), "Give up to"},
		"one id twice":          {text(public, public), "Give up to"},
		"no keys":               {`{"keys":[]}`, "Give up to"},
		"eleven keys":           {text(slices.Repeat([]jose.JSONWebKey{{Key: private.Public()}}, 11)...), "Give up to"},
		"no JSON":               {"{", "Give up to"},
		"a list":                {"[]", "Give up to"},
		"PEM and something":     {written + "x", "Give up to"},
		"a certificate's words": {"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "Give up to"},
	} {
		if _, err := client.ParseKeys(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
