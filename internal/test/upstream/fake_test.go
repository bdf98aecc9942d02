package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// person is who signs in at a provider.
type person struct {
	sub, email string
	verified   bool
	// claims are what else the ID token says, or in the place of what it would say; nil leaves a claim out.
	claims map[string]any
}

// fake is a provider that says what the test has it say.
type fake struct {
	*httptest.Server
	t *testing.T
	// issuer is what it calls itself.
	issuer   string
	clientID string

	mu   sync.Mutex
	who  person
	next int
	// given are the codes with what was asked for.
	given map[string]*given
	key   *rsa.PrivateKey
	// signer replaces how ID tokens are signed, forge what they become.
	signer func(claims map[string]any) string
	// token replaces the answer of the token endpoint.
	token func(w http.ResponseWriter, r *http.Request, g *given) bool
	// document is added to the discovery document, sent to each answer.
	document, sent map[string]string
	// other answers what else it has.
	other func(w http.ResponseWriter, r *http.Request) bool
	// quiet has the address in userinfo alone.
	quiet bool
	down  bool
	// discovered and asked are how often its document was read, and its keys.
	discovered, asked int
	// secrets are the client secrets that it was shown.
	secrets []string
	now     func() time.Time
}

type given struct {
	who   person
	asked url.Values
	used  bool
}

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// newFake starts one. issuer makes of its address what it calls itself; nil is the address.
func newFake(t *testing.T, now func() time.Time) *fake {
	f := &fake{t: t, clientID: "gatehouse", given: map[string]*given{}, key: testKey(), document: map[string]string{}, sent: map[string]string{}, now: now}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	f.issuer = f.URL
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		f.discovered++
		m := map[string]any{
			"issuer": f.issuer, "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/token", "jwks_uri": f.URL + "/keys",
			"userinfo_endpoint": f.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"RS256"},
		}
		for k, v := range f.document {
			m[k] = v
			if v == "true" {
				m[k] = true
			}
		}
		f.answer(w, m)
	case r.URL.Path == "/keys":
		f.asked++
		f.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: f.key.Public(), KeyID: "one", Use: "sig", Algorithm: "RS256"}}})
	case r.URL.Path == "/token":
		f.exchange(w, r)
	case r.URL.Path == "/userinfo":
		f.answer(w, map[string]any{"sub": f.who.sub, "email": f.who.email, "email_verified": f.who.verified})
	default:
		if f.other == nil || !f.other(w, r) {
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

func (f *fake) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		f.t.Error(err)
	}
}

// authorize is what happens at the authorization endpoint: the person signs in, and is sent back with what it returns.
func (f *fake) authorize(address string) url.Values {
	f.mu.Lock()
	defer f.mu.Unlock()
	u, err := url.Parse(address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.next++
	code := "code-" + base64.RawURLEncoding.EncodeToString([]byte{byte(f.next)}) + "-" + u.Query().Get("state")[:4]
	f.given[code] = &given{who: f.who, asked: u.Query()}
	q := url.Values{"code": {code}, "state": {u.Query().Get("state")}}
	for k, v := range f.sent {
		q.Set(k, v)
	}
	return q
}

func (f *fake) exchange(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		f.t.Error(err)
	}
	g := f.given[r.PostForm.Get("code")]
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	f.secrets = append(f.secrets, secret)
	if g != nil && f.token != nil && f.token(w, r, g) {
		return
	}
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if g == nil || g.used || id != f.clientID || g.asked.Get("redirect_uri") != r.PostForm.Get("redirect_uri") || secret == "" ||
		g.asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		w.WriteHeader(http.StatusBadRequest)
		f.answer(w, map[string]string{"error": "invalid_grant"})
		return
	}
	g.used = true
	f.answer(w, map[string]any{"access_token": "at-" + g.who.sub, "token_type": "Bearer", "expires_in": 60, "id_token": f.idToken(g)})
}

// claims are those of an ID token.
func (f *fake) claims(g *given) map[string]any {
	now := f.now()
	c := map[string]any{
		"iss": f.issuer, "sub": g.who.sub, "aud": f.clientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "nonce": g.asked.Get("nonce"),
	}
	if !f.quiet {
		c["email"], c["email_verified"] = g.who.email, g.who.verified
	}
	maps.Copy(c, g.who.claims)
	for k, v := range c {
		if v == nil {
			delete(c, k)
		}
	}
	return c
}

func (f *fake) idToken(g *given) string {
	if f.signer != nil {
		return f.signer(f.claims(g))
	}
	return signed(f.t, jose.RS256, f.key, "one", f.claims(g))
}

func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid))
	if err != nil {
		t.Error(err)
		return ""
	}
	text, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Error(err)
	}
	return text
}

// is has a person sign in from now on.
func (f *fake) is(sub, email string, verified bool, claims ...map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.who = person{sub: sub, email: email, verified: verified}
	for _, c := range claims {
		f.who.claims = c
	}
}

// appleKey is the private key that Apple gives out.
func appleKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := oneKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var oneKey = sync.OnceValues(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
