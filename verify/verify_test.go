package verify_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/verify"
)

func TestTheTokenSaysWhoItIs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	token := i.token(map[string]any{"roles": []string{"reader", "editor"}, "later": map[string]any{"claims": "do no harm"}})
	for range 2 {
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if got.Subject != "0190a6e2-7b1c-7def-8a4b-0123456789ab" || !got.HasRole("editor") || got.HasRole("admin") || got.Expires.Before(time.Now()) ||
			got.KeyID != i.keys[0].KeyID {
			t.Errorf("%+v", got)
		}
		got.Roles[0] = "admin" // the application's copy
	}
}

func TestEveryAlgorithmOfOurs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	i.add(ed, jose.EdDSA)
	big, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	i.add(big, jose.RS256)
	v := i.verifier()
	payload, _ := json.Marshal(i.claims(nil))
	for n, k := range i.keys {
		token := i.sign(k, map[string]any{"typ": "at+jwt"}, payload)
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", k.Algorithm, err)
		}
		// Of one key the signature, of another the name.
		as := i.keys[(n+1)%3]
		as.Key, as.Algorithm = k.Key, k.Algorithm
		if _, err := v.Verify(t.Context(), i.sign(as, map[string]any{"typ": "at+jwt"}, payload)); !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("%s under another key's name: %v", k.Algorithm, err)
		}
	}
}

func TestTheMiddlewareAnswersAsRFC6750Says(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	h := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, verify.TokenFrom(r.Context()).Subject)
	}))
	good := i.token(nil)
	for _, c := range []struct {
		name    string
		headers []string
		status  int
		answer  string
	}{
		{"good", []string{"Bearer " + good}, 200, ""},
		{"in small letters", []string{"bearer " + good}, 200, ""},
		{"none", nil, 401, "Bearer"},
		{"another scheme", []string{"Basic YTpi"}, 401, "Bearer"},
		{"bad", []string{"Bearer " + good + "x"}, 401, `Bearer error="invalid_token"`},
		{"expired", []string{"Bearer " + i.token(map[string]any{"exp": 1})}, 401, `Bearer error="invalid_token"`},
		{"two headers", []string{"Bearer " + good, "Bearer " + good}, 400, `Bearer error="invalid_request"`},
		{"two tokens", []string{"Bearer " + good + ", Bearer " + good}, 400, `Bearer error="invalid_request"`},
		{"no token", []string{"Bearer "}, 400, `Bearer error="invalid_request"`},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = c.headers
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("WWW-Authenticate") != c.answer {
			t.Errorf("%s: %d %q, want %d %q", c.name, w.Code, w.Header().Get("WWW-Authenticate"), c.status, c.answer)
		}
		if (c.status == 200) != (w.Body.String() == "0190a6e2-7b1c-7def-8a4b-0123456789ab") {
			t.Errorf("%s: %s", c.name, w.Body)
		}
	}
	if verify.TokenFrom(context.Background()) != nil {
		t.Error("a token out of nowhere")
	}
}

// TestItSurvivesGatehouseBeingDown: what it has it keeps, and what it can't know is
// 503 and no refusal.
func TestItSurvivesGatehouseBeingDown(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v, late := i.verifier(), i.verifier()
	if _, err := v.Verify(t.Context(), i.token(nil)); err != nil {
		t.Fatal(err)
	}
	i.goDown(true)
	if _, err := v.Verify(t.Context(), i.token(nil)); err != nil {
		t.Errorf("with Gatehouse down: %v", err)
	}
	if _, err := late.Verify(t.Context(), i.token(nil)); !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("without keys: %v", err)
	}
	w := httptest.NewRecorder()
	verify.Refuse(w, verify.ErrUnavailable)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	i.goDown(false)
	if _, err := late.Verify(t.Context(), i.token(nil)); err != nil {
		t.Errorf("with Gatehouse back: %v", err)
	}
}

// TestANewKeyIsFoundAtALimitedRate: 400 forged tokens at once bring no more than
// a call a second, and keep no good one from its key.
func TestANewKeyIsFoundAtALimitedRate(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	if _, err := v.Verify(t.Context(), i.token(nil)); err != nil {
		t.Fatal(err)
	}
	began, before := time.Now(), i.calls()
	payload, _ := json.Marshal(i.claims(nil))
	var forged sync.WaitGroup
	for range 100 {
		k := i.keys[0]
		k.KeyID = b64(rand.Text() + "123456") // 32 bytes
		token := i.sign(k, map[string]any{"typ": "at+jwt"}, payload)
		forged.Go(func() {
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, verify.ErrInvalid) {
				t.Errorf("a key that nobody has: %v", err)
			}
		})
	}
	k := i.addKey()
	if _, err := v.Verify(t.Context(), i.sign(k, map[string]any{"typ": "at+jwt"}, payload)); err != nil {
		t.Errorf("a new key: %v", err)
	}
	forged.Wait()
	if n, most := i.calls()-before, int(time.Since(began)/time.Second)+1; n > most {
		t.Errorf("%d calls in %v", n, time.Since(began))
	}
}

func TestAKeyThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	old := i.token(nil)
	if _, err := v.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	k := i.addKey()
	i.mu.Lock()
	i.keys = i.keys[1:]
	i.mu.Unlock()
	payload, _ := json.Marshal(i.claims(nil))
	if _, err := v.Verify(t.Context(), i.sign(k, map[string]any{"typ": "at+jwt"}, payload)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), old); !errors.Is(err, verify.ErrInvalid) {
		t.Errorf("a token that was seen before, of a key that is gone: %v", err)
	}
}

func TestTheMetadataMustBeTheIssuers(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	url := i.url
	token := i.token(nil)
	v := i.verifier()
	i.url = "https://evil.example" // what the metadata say
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("metadata of another issuer: %v", err)
	}
	i.url = url
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
}

func TestUnsafeSettingsAreRefused(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func() (*verify.Verifier, error){
		"http":                        func() (*verify.Verifier, error) { return verify.New("http://auth.example.org") },
		"no URL":                      func() (*verify.Verifier, error) { return verify.New("auth.example.org") },
		"empty":                       func() (*verify.Verifier, error) { return verify.New("") },
		"a query":                     func() (*verify.Verifier, error) { return verify.New("https://auth.example.org?a=b") },
		"a password":                  func() (*verify.Verifier, error) { return verify.New("https://a:b@auth.example.org") },
		"an http address":             func() (*verify.Verifier, error) { return verify.New("x", verify.WithAddress("http://10.0.0.1")) },
		"no audience":                 func() (*verify.Verifier, error) { return verify.New("https://a.example", verify.WithAudience("")) },
		"half a client":               func() (*verify.Verifier, error) { return verify.New("https://a.example", verify.WithClient("id", "")) },
		"stale for less than nothing": func() (*verify.Verifier, error) { return verify.New("https://a.example", verify.WithStaleness(-1)) },
	} {
		if v, err := of(); err == nil {
			t.Errorf("%s is taken: %v", name, v)
		} else if !strings.HasPrefix(err.Error(), "verify: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeeway(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier(verify.WithLeeway(time.Minute))
	if _, err := v.Verify(t.Context(), i.token(map[string]any{"exp": time.Now().Unix() - 30, "nbf": time.Now().Unix() + 30})); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(t.Context(), i.token(map[string]any{"exp": time.Now().Unix() - 61})); !errors.Is(err, verify.ErrExpired) {
		t.Error(err)
	}
}
