package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/verify"
)

// issuer stands in for Gatehouse where a test wants to say itself what is
// answered. The real one is in internal/test/keys.
type issuer struct {
	testing.TB
	url string

	mu     sync.Mutex
	keys   []jose.JSONWebKey // private
	asked  int               // for the keys
	down   bool
	silent chan struct{} // closed at the end of the test, if nothing is answered
	feed   []map[string]any
	reset  bool
	cursor int
	more   chan struct{}
	age    time.Duration // of what it knows
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{TB: t, more: make(chan struct{})}
	i.addKey()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.asked++
		var set jose.JSONWebKeySet
		for _, k := range i.keys {
			set.Keys = append(set.Keys, k.Public())
		}
		_ = json.NewEncoder(w).Encode(set)
	})
	mux.HandleFunc("GET /v1/revocations", i.revocations)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		down, silent := i.down, i.silent
		i.mu.Unlock()
		if silent != nil {
			<-silent
		}
		if down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	i.url = s.URL
	t.Cleanup(s.Close)
	return i
}

// revocations answers as GET /v1/revocations does: with all that there is to
// whoever comes without a cursor, and then with what is new.
func (i *issuer) revocations(w http.ResponseWriter, r *http.Request) {
	if id, secret, _ := r.BasicAuth(); id != "app" || secret != "secret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	came, from := time.Now(), 0
	_, _ = fmt.Sscan(r.FormValue("cursor"), &from)
	i.mu.Lock()
	more := i.more
	news := i.reset || from == 0 || from < i.cursor
	i.mu.Unlock()
	if !news {
		select {
		case <-more:
		case <-time.After(waitOf(r)):
		case <-r.Context().Done():
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.silent != nil {
		return
	}
	reset := i.reset || from == 0
	i.reset = false
	list := []map[string]any{}
	if reset {
		from = 1
	}
	list = append(list, i.feed[min(from-1, len(i.feed)):]...)
	i.cursor = len(i.feed) + 1
	fresh := time.Since(came).Milliseconds() - i.age.Milliseconds()
	_ = json.NewEncoder(w).Encode(map[string]any{
		"cursor": fmt.Sprint(i.cursor), "reset": reset, "fresh_at": time.Now(), "fresh_after_ms": fresh, "revocations": list,
	})
}

func waitOf(r *http.Request) time.Duration {
	seconds, _ := strconv.ParseFloat(r.FormValue("wait"), 64)
	return time.Duration(seconds * float64(time.Second))
}

// revoke puts something in the feed.
func (i *issuer) revoke(x map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	x["until"] = time.Now().Add(time.Hour)
	i.feed = append(i.feed, x)
	close(i.more)
	i.more = make(chan struct{})
}

// goDown has every call fail from now on, or not any more.
func (i *issuer) goDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
	close(i.more)
	i.more = make(chan struct{})
}

// silence has no call answered from now on.
func (i *issuer) silence() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.silent = make(chan struct{})
	i.Cleanup(func() { close(i.silent) })
}

func (i *issuer) addKey() jose.JSONWebKey {
	i.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.Fatal(err)
	}
	return i.add(private, jose.ES256)
}

func (i *issuer) add(private any, alg jose.SignatureAlgorithm) jose.JSONWebKey {
	sum := sha256.Sum256([]byte(rand.Text()))
	k := jose.JSONWebKey{Key: private, KeyID: base64.RawURLEncoding.EncodeToString(sum[:]), Algorithm: string(alg), Use: "sig"}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, k)
	return k
}

func (i *issuer) calls() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// claims are those of a good token; edits replace some, and nil takes one out.
func (i *issuer) claims(edits map[string]any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{
		"iss": i.url, "aud": i.url, "sub": "0190a6e2-7b1c-7def-8a4b-0123456789ab", "sid": "0190a6e2-7b1c-7def-8a4b-0123456789cd", "jti": rand.Text(),
		"exp": now + 900, "iat": now, "auth_time": now, "roles": []string{"reader"}, "amr": []string{"pwd"},
	}
	for name, value := range edits {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// token is one with these edits to its claims, signed by the first key.
func (i *issuer) token(edits map[string]any) string {
	i.Helper()
	payload, err := json.Marshal(i.claims(edits))
	if err != nil {
		i.Fatal(err)
	}
	return i.sign(i.keys[0], map[string]any{"typ": "at+jwt"}, payload)
}

func (i *issuer) sign(k jose.JSONWebKey, header map[string]any, payload []byte) string {
	i.Helper()
	o := (&jose.SignerOptions{}).WithHeader("kid", k.KeyID)
	for name, value := range header {
		o = o.WithHeader(jose.HeaderKey(name), value)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.Algorithm), Key: k.Key}, o)
	if err != nil {
		i.Fatal(err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		i.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		i.Fatal(err)
	}
	return out
}

func (i *issuer) verifier(option ...verify.Option) *verify.Verifier {
	i.Helper()
	v, err := verify.New(i.url, append([]verify.Option{verify.WithLogger(slog.New(slog.DiscardHandler))}, option...)...)
	if err != nil {
		i.Fatal(err)
	}
	i.Cleanup(func() { _ = v.Close() })
	return v
}
