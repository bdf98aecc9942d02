package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// keys opens the ring beside the server, as the command line does.
func (h *house) keys(settings ...string) *flow.Keys {
	h.Helper()
	c, err := config.Load(config.Source{
		Environ:  append(settings, "DATABASE_URL="+h.dbURL, "JWT_SECRET_KEY="+secretKey), // of two the first counts
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		h.Fatal(err)
	}
	k, done, err := app.OperatorKeys(h.Context(), c, slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		if err := done(); err != nil {
			h.Error(err)
		}
	})
	return k
}

// header is that of a JWT.
type header struct{ Alg, Kid string }

func headerOf(access string) (h header) {
	first, _, _ := strings.Cut(access, ".")
	b, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(b, &h) != nil {
		return header{}
	}
	return h
}

// published returns the kids in the JWKS.
func (h *house) published() (kids map[string]string, answered answer) {
	h.Helper()
	a := h.expect(200, "", request{method: "GET", path: "/.well-known/jwks.json"})
	var set struct{ Keys []struct{ Kid, Alg string } }
	if err := json.Unmarshal([]byte(a.text), &set); err != nil {
		h.Fatal(err)
	}
	kids = map[string]string{}
	for _, k := range set.Keys {
		kids[k.Kid] = k.Alg
	}
	return kids, a
}

// until waits until the key signs on this replica, for an account that signs in
// again and again: too often for its older sessions.
func (h *house) until(kid, email string) (signedIn answer) {
	h.Helper()
	h.register(email)
	h.eventually("the key "+kid, func() (string, bool) {
		signedIn = h.login(email)
		got := headerOf(signedIn.str("access_token")).Kid
		return got + " signs", got == kid
	})
	return signedIn
}

// TestJWT1_KeysRotateWithoutAnybodyNoticing: the next key is published before it
// signs, the old one's tokens stay good, and caches are told of the change.
func TestJWT1_KeysRotateWithoutAnybodyNoticing(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		old := h.login("ada@example.org")
		kids, before := h.published()
		if len(kids) != 2 || kids[headerOf(old.str("access_token")).Kid] != "ES256" {
			t.Fatalf("published: %v", kids)
		}
		tag := before.header.Get("ETag")
		if cc := before.header.Get("Cache-Control"); cc != "public, max-age=300" || tag == "" {
			t.Errorf("Cache-Control %q, ETag %q", cc, tag)
		}
		asking := request{method: "GET", path: "/.well-known/jwks.json", header: http.Header{"If-None-Match": {tag}}}
		if a := h.expect(304, "", asking); a.text != "" || a.header.Get("ETag") != tag || a.header.Get("Cache-Control") == "" {
			t.Errorf("304 with %q and %v", a.text, a.header)
		}
		next, err := h.keys().Rotate(t.Context(), true, originOfTests)
		if err != nil {
			t.Fatal(err)
		}
		if kids[next.Name] == "" {
			t.Error("the key was not published before it was to sign")
		}
		fresh := h.until(next.Name, "busy@example.org")
		for _, s := range []answer{old, fresh} {
			h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: s.str("access_token")})
		}
		now, _ := h.published()
		if len(now) != 3 {
			t.Errorf("published: %v", now)
		}
		h.expect(200, "", asking)
	}, sharedURL)
}

// TestJWT5_ARevokedKeysTokensDieAtOnce: on every replica, those alone, and the
// session lives on.
func TestJWT5_ARevokedKeysTokensDieAtOnce(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := open(t, dbURL, sharedURL)
		other := open(t, dbURL, sharedURL)
		h.register("ada@example.org")
		old := h.login("ada@example.org")
		for _, one := range []*house{h, other} {
			one.expect(200, "", request{method: "GET", path: "/v1/me", bearer: old.str("access_token")})
		}
		kid := headerOf(old.str("access_token")).Kid
		if revoked, err := h.keys().Revoke(t.Context(), []string{kid}, originOfTests); err != nil || len(revoked) != 1 {
			t.Fatal(revoked, err)
		}
		at := time.Now()
		for _, one := range []*house{h, other} {
			one.refusedWithin(old.str("access_token"), at)
			one.eventually("the published keys", func() (string, bool) {
				kids, _ := one.published()
				return "the revoked one is among them", kids[kid] == ""
			})
		}
		fresh := other.expect(200, "", refreshing(old.str("refresh_token")))
		for _, one := range []*house{h, other} {
			one.expect(200, "", request{method: "GET", path: "/v1/me", bearer: fresh.str("access_token")})
		}
		// A replica that comes later knows as well.
		late := open(t, dbURL, sharedURL)
		late.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: old.str("access_token")})
		late.expect(200, "", request{method: "GET", path: "/v1/me", bearer: fresh.str("access_token")})
		if _, err := h.keys().Revoke(t.Context(), []string{h.keys().Ring.Keys(keyring.RefreshDerive)[0].Name}, originOfTests); err == nil {
			t.Error("the key that refresh tokens are derived from was revoked by itself")
		}
	})
}

// TestJWT1_AfterALeakEverythingIsReplaced: no token from before works, with the old
// keys or the new, and people sign in again.
func TestJWT1_AfterALeakEverythingIsReplaced(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		old := h.login("ada@example.org")
		b := h.browser()
		b.signIn("ada@example.org")
		at := time.Now()
		if revoked, err := h.keys().RevokeLeaked(t.Context(), originOfTests); err != nil || len(revoked) != 1+len(flow.Leaked()) { // two of them sign

			t.Fatal(revoked, err)
		}
		h.refusedWithin(old.str("access_token"), at)
		h.expect(401, "invalid_refresh_token", refreshing(old.str("refresh_token")))
		h.eventually("signing in", func() (string, bool) {
			s := h.login("ada@example.org")
			a := h.do(request{method: "GET", path: "/v1/me", bearer: s.str("access_token")})
			if a.status == 200 {
				h.expect(200, "", refreshing(s.str("refresh_token")))
			}
			return a.text, a.status == 200
		})
	}, sharedURL)
}

// TestJWT1_TheAlgorithmChanges by the setting and a restart: tokens of the old one
// stay good, and the new one signs when it has been published for long enough.
func TestJWT1_TheAlgorithmChanges(t *testing.T) {
	for _, algorithm := range []string{"EdDSA", "RS256", "HS256"} {
		t.Run(algorithm, func(t *testing.T) {
			dbURL := dbtest.SQLite(t)
			h := open(t, dbURL, sharedURL)
			h.register("ada@example.org")
			old := h.login("ada@example.org")
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}
			c := &clock{}
			h = openAt(t, dbURL, c.now, sharedURL, "JWT_ALGORITHM="+algorithm)
			if got := headerOf(h.login("ada@example.org").str("access_token")).Alg; got != "ES256" {
				t.Errorf("%s signs before applications may know its key", got)
			}
			kids, _ := h.published()
			of := map[string]int{}
			for _, alg := range kids {
				of[alg]++
			}
			if of["ES256"] != 1 || algorithm != "HS256" && of[algorithm] != 2 || of["HS256"] != 0 {
				t.Errorf("published: %v", of)
			}
			c.shift(keyring.Lead + time.Second)
			fresh := h.login("ada@example.org")
			if got := headerOf(fresh.str("access_token")).Alg; got != algorithm {
				t.Errorf("%s signs", got)
			}
			h.ready()
			for _, s := range []answer{old, fresh} {
				h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: s.str("access_token")})
			}
			c.shift(24 * time.Hour)
			if kids, _ := h.published(); len(kids) != of[algorithm] {
				t.Errorf("a day later: %v", kids)
			}
		})
	}
}

// TestJWT1_TheSecretChangesOnRollingRestarts: nobody is signed out, replicas with
// the new secret and with the old one side by side, and keys made in between.
func TestJWT1_TheSecretChangesOnRollingRestarts(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	const fresh = "Zq8vT2mXw5LrYb9NcKe4HsPd7GfJ3RuA"
	a, b := open(t, dbURL, sharedURL), open(t, dbURL, sharedURL)
	a.register("ada@example.org")
	s := a.login("ada@example.org")
	works := func(step string, h *house) {
		t.Helper()
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: s.str("access_token")})
		r := h.refresh(s.str("refresh_token"))
		if r.status != 200 {
			t.Fatalf("%s: %d %s", step, r.status, r.text)
		}
		s = r
	}
	restart := func(h *house, settings ...string) *house {
		t.Helper()
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		return open(t, dbURL, append([]string{sharedURL}, settings...)...)
	}
	changing := []string{"JWT_SECRET_KEY=" + fresh, "JWT_SECRET_KEY_PREVIOUS=" + secretKey}
	a = restart(a, changing...)
	works("the first has the new one", a)
	works("the second has the old one", b)
	next, err := b.keys().Rotate(t.Context(), true, originOfTests) // by the old secret
	if err != nil {
		t.Fatal(err)
	}
	a.until(next.Name, "busy@example.org")
	b.until(next.Name, "busy@example.org")
	works("a key of the old one", a)
	b = restart(b, changing...)
	works("both have the new one", b)
	a = restart(a, "JWT_SECRET_KEY="+fresh)
	works("the first has the new one alone", a)
	works("the second has both", b)
	b = restart(b, "JWT_SECRET_KEY="+fresh)
	works("both have the new one alone", b)
	works("both have the new one alone", a)
	if _, status := a.admin("/readyz"); !strings.Contains(status, `"keys":"ok"`) {
		t.Errorf("readyz: %s", status)
	}
	for _, k := range a.keys("JWT_SECRET_KEY=" + fresh).List() {
		if len(k.Secrets) != 1 {
			t.Errorf("the key for %s is sealed under %v", k.Purpose, k.Secrets)
		}
	}
}

// crowd is clients that sign in, refresh and ask, each at any replica at any
// time, while keys change.
type crowd struct {
	*testing.T
	replicas []*house
	mu       sync.Mutex
	revoked  map[string]bool
	known    map[string]bool // kids that were published before they signed
	strict   atomic.Bool     // every kid must be known
	asked    atomic.Int64
}

func (c *crowd) any() *house { return c.replicas[rand.IntN(len(c.replicas))] }

func (c *crowd) revoke(kids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kid := range kids {
		c.revoked[kid] = true
	}
}

// client refreshes and asks until the end; it may be refused only with a token of
// a key that is being revoked, or was.
func (c *crowd) client(email string, end <-chan struct{}) {
	a, err := c.any().try(request{method: "POST", path: "/v1/login", body: credentials{email, passphrase}})
	for n := 0; ; n++ {
		if err != nil || a.status != 200 {
			c.Errorf("tokens: %d %s %v", a.status, a.text, err)
			return
		}
		access, refresh := a.str("access_token"), a.str("refresh_token")
		kid := headerOf(access).Kid
		c.mu.Lock()
		if c.strict.Load() && !c.known[kid] {
			c.Errorf("the key %s signs, and was not published before", kid)
		}
		c.mu.Unlock()
		for range 3 {
			select {
			case <-end:
				return
			default:
			}
			got, err := c.any().try(request{method: "GET", path: "/v1/me", bearer: access})
			c.asked.Add(1)
			c.mu.Lock()
			dead := c.revoked[kid]
			c.mu.Unlock()
			if err != nil || got.status != 200 && (got.status != 401 || !dead) {
				c.Errorf("a token of the key %s, revoked %v: %d %s %v", kid, dead, got.status, got.text, err)
				return
			}
			if got.status != 200 {
				break
			}
		}
		if n%4 == 3 {
			a, err = c.any().try(request{method: "POST", path: "/v1/login", body: credentials{email, passphrase}})
		} else {
			a, err = c.any().try(refreshing(refresh))
		}
	}
}

// TestJWT1_KeysRotateUnderLoad rotates and revokes on three replicas while clients
// sign in, refresh and ask: not one valid request is refused.
func TestJWT1_KeysRotateUnderLoad(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	c := &crowd{T: t, revoked: map[string]bool{}, known: map[string]bool{}}
	for range 3 {
		c.replicas = append(c.replicas, open(t, dbURL, sharedURL, "LOG_LEVEL=WARNING"))
	}
	h := c.replicas[0]
	note := func() {
		for _, r := range c.replicas {
			kids, _ := r.published()
			c.mu.Lock()
			for kid := range kids {
				c.known[kid] = true
			}
			c.mu.Unlock()
		}
	}
	note()
	c.strict.Store(true)
	const clients = 12
	end := make(chan struct{})
	var crowd sync.WaitGroup
	for i := range clients {
		email := fmt.Sprintf("client%d@example.org", i)
		h.register(email)
		crowd.Go(func() { c.client(email, end) })
	}
	k := h.keys()
	do := func(what string, act func(origin event.Origin) error) {
		t.Helper()
		before := c.asked.Load()
		if err := act(originOfTests); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		time.Sleep(time.Second)
		note()
		h.eventually("requests after "+what, func() (string, bool) { n := c.asked.Load() - before; return fmt.Sprint(n), n > 3*clients })
	}
	signs := func() string {
		key, _ := keyring.InForce(k.Ring.Keys(keyring.AccessSign), time.Now())
		return key.Name
	}
	reread := func() { k = h.keys() }
	rounds := 1
	if os.Getenv("GATEHOUSE_SOAK") != "" {
		rounds = 20
	}
	for range rounds {
		for range 2 {
			reread()
			old := signs()
			do("a rotation", func(o event.Origin) error { _, err := k.Rotate(t.Context(), true, o); return err })
			time.Sleep(1500 * time.Millisecond) // until the new one signs
			do("the end of the old key", func(o event.Origin) error {
				c.revoke(old)
				_, err := k.Revoke(t.Context(), []string{old}, o)
				return err
			})
		}
		reread()
		do("the end of the key that signs", func(o event.Origin) error {
			c.revoke(signs())
			_, err := k.Revoke(t.Context(), []string{signs()}, o)
			return err
		})
		// With the next one gone too, a key signs that nobody could know of.
		c.strict.Store(false)
		reread()
		do("the end of all", func(o event.Origin) error {
			var all []string
			for _, one := range k.Ring.Keys(keyring.AccessSign) {
				all = append(all, one.Name)
			}
			c.revoke(all...)
			_, err := k.Revoke(t.Context(), all, o)
			return err
		})
		c.strict.Store(true)
	}
	close(end)
	crowd.Wait()
	t.Logf("%d requests", c.asked.Load())
}
