package openid

import (
	"crypto/ecdsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// publisher is an application that publishes its keys.
type publisher struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter)
	reads  atomic.Int64
}

func newPublisher(t *testing.T) *publisher {
	p := &publisher{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.reads.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.answer(w)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) answers(answer func(w http.ResponseWriter)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *publisher) publishes(keys ...jose.JSONWebKey) {
	p.answers(func(w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: keys}) })
}

// The keys that an application publishes are read when they are wanted: a new one is seen at once, but for once a minute, whoever makes up key ids;
// one that was replaced is given up within an hour; and what can't be read, or holds what no application should publish, changes nothing.
func TestASVS_V10_4_16_KeysThatAreReadFromTheApplication(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		first, second := newKey(t), newKey(t)
		public := func(k *ecdsa.PrivateKey, id string) jose.JSONWebKey {
			return jose.JSONWebKey{Key: k.Public(), KeyID: id}
		}
		p := newPublisher(t)
		p.publishes(public(first, "1"))
		a := register(h, "app", client.Web, func(s *client.Settings) { s.JWKSURI = p.URL + "/jwks.json" })
		if a.secret != "" {
			t.Errorf("it has the secret %q", a.secret)
		}
		by := func(private *ecdsa.PrivateKey, id string) keyed {
			return keyed{a, clock, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: id}}}
		}
		one, two, none := by(first, "1"), by(second, "2"), by(newKey(t), "made up")
		is := func(what string, k keyed, status int, reads int64) {
			t.Helper()
			if got := h.Do(k.good("/oauth2/introspect", asking)); got.Status != status || p.reads.Load() != reads {
				t.Fatalf("%s: %d, want %d; the keys were read %d times, want %d\n%s", what, got.Status, status, p.reads.Load(), reads, got.Text)
			}
		}
		is("the first key", one, 200, 1)
		is("again", one, 200, 1)
		p.publishes(public(first, "1"), public(second, "2"))
		is("an unknown key, within the minute", two, 401, 1)
		clock.Shift(2 * time.Minute)
		is("an unknown key", two, 200, 2)
		for range 3 {
			is("one that nobody has", none, 401, 2)
		}
		clock.Shift(2 * time.Minute)
		for range 3 {
			is("one that nobody has, later", none, 401, 3)
		}
		p.publishes(public(second, "2"))
		is("a replaced key, within the hour", one, 200, 3)
		clock.Shift(time.Hour)
		is("a replaced key", one, 401, 4)

		// It is away, or says what is no key set: what is known goes on for a day.
		reads := p.reads.Load()
		for what, answer := range map[string]func(w http.ResponseWriter){
			"an error":      func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
			"a redirect":    func(w http.ResponseWriter) { w.Header().Set("Location", "/other"); w.WriteHeader(http.StatusFound) },
			"no JSON":       func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
			"no keys":       func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
			"too much":      func(w http.ResponseWriter) { _, _ = w.Write([]byte(strings.Repeat(" ", 65<<10))) },
			"a private key": func(w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(jose.JSONWebKey{Key: second, KeyID: "2"}) },
		} {
			p.answers(answer)
			clock.Shift(61 * time.Minute)
			reads++
			is(what, two, 200, reads)
		}
		clock.Shift(24 * time.Hour)
		got := h.Do(two.good("/oauth2/introspect", asking))
		if got.Status != 503 || got.Str("error") != "temporarily_unavailable" || got.Header.Get("Retry-After") == "" {
			t.Errorf("after a day: %d %s", got.Status, got.Text)
		}
		p.publishes(public(second, "2"))
		clock.Shift(2 * time.Minute)
		reads++
		is("it is back", two, 200, reads+1)
	})
}
