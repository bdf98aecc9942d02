package keys_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestJWT1_KeysRotateWithoutAnybodyNoticing: the next key is published before it
// signs, the old one's tokens stay valid, and caches learn of the change.
func TestJWT1_KeysRotateWithoutAnybodyNoticing(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		old := h.Login("ada@example.org")
		kids, before := h.Published()
		if len(kids) != 2 || kids[harness.HeaderOf(old.Str("access_token")).Kid] != "ES256" {
			t.Fatalf("published: %v", kids)
		}
		tag := before.Header.Get("ETag")
		if cc := before.Header.Get("Cache-Control"); cc != "public, max-age=300" || tag == "" {
			t.Errorf("Cache-Control %q, ETag %q", cc, tag)
		}
		asking := harness.Request{Method: "GET", Path: "/.well-known/jwks.json", Header: http.Header{"If-None-Match": {tag}}}
		if a := h.Expect(304, "", asking); a.Text != "" || a.Header.Get("ETag") != tag || a.Header.Get("Cache-Control") == "" {
			t.Errorf("304 with %q and %v", a.Text, a.Header)
		}
		next, err := h.Keys().Rotate(t.Context(), true, harness.OriginOfTests)
		if err != nil {
			t.Fatal(err)
		}
		if kids[next.Name] == "" {
			t.Error("the key was not published before it was to sign")
		}
		fresh := h.Until(next.Name, "busy@example.org")
		for _, s := range []harness.Answer{old, fresh} {
			h.Expect(200, "", harness.Get("/v1/me", s.Str("access_token")))
		}
		now, _ := h.Published()
		if len(now) != 3 {
			t.Errorf("published: %v", now)
		}
		h.Expect(200, "", asking)
	}, harness.SharedURL)
}

// TestJWT5_ARevokedKeysTokensDieAtOnce: on every replica, those alone, and the
// session lives on.
func TestJWT5_ARevokedKeysTokensDieAtOnce(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := harness.Open(t, dbURL, harness.SharedURL)
		other := harness.Open(t, dbURL, harness.SharedURL)
		h.Register("ada@example.org")
		old := h.Login("ada@example.org")
		for _, one := range []*harness.Server{h, other} {
			one.Expect(200, "", harness.Get("/v1/me", old.Str("access_token")))
		}
		kid := harness.HeaderOf(old.Str("access_token")).Kid
		if revoked, err := h.Keys().Revoke(t.Context(), []string{kid}, harness.OriginOfTests); err != nil || len(revoked) != 1 {
			t.Fatal(revoked, err)
		}
		at := time.Now()
		for _, one := range []*harness.Server{h, other} {
			refusedWithin(one, old.Str("access_token"), at)
			one.Eventually("the published keys", func() (string, bool) {
				kids, _ := one.Published()
				return "the revoked one is among them", kids[kid] == ""
			})
		}
		fresh := other.Expect(200, "", harness.Refreshing(old.Str("refresh_token")))
		for _, one := range []*harness.Server{h, other} {
			one.Expect(200, "", harness.Get("/v1/me", fresh.Str("access_token")))
		}
		// A replica that comes later knows as well.
		late := harness.Open(t, dbURL, harness.SharedURL)
		late.Expect(401, "invalid_token", harness.Get("/v1/me", old.Str("access_token")))
		late.Expect(200, "", harness.Get("/v1/me", fresh.Str("access_token")))
		if _, err := h.Keys().Revoke(t.Context(), []string{h.Keys().Ring.Keys(keyring.RefreshDerive)[0].Name}, harness.OriginOfTests); err == nil {
			t.Error("the key that refresh tokens are derived from was revoked by itself")
		}
	})
}

// TestJWT1_AfterALeakEverythingIsReplaced: no token from before works, with the old
// keys or the new, and people sign in again.
func TestJWT1_AfterALeakEverythingIsReplaced(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		old := h.Login("ada@example.org")
		b := h.Browser()
		b.SignIn("ada@example.org")
		at := time.Now()
		if revoked, err := h.Keys().RevokeLeaked(t.Context(), harness.OriginOfTests); err != nil || len(revoked) != len(operate.Leaked())-1 {
			// Two of them sign access tokens, and those of ID tokens are not made yet.
			t.Fatal(revoked, err)
		}
		refusedWithin(h, old.Str("access_token"), at)
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(old.Str("refresh_token")))
		h.Eventually("signing in", func() (string, bool) {
			s := h.Login("ada@example.org")
			a := h.Do(harness.Get("/v1/me", s.Str("access_token")))
			if a.Status == 200 {
				h.Expect(200, "", harness.Refreshing(s.Str("refresh_token")))
			}
			return a.Text, a.Status == 200
		})
	}, harness.SharedURL)
}

// TestJWT1_TheAlgorithmChanges by the setting and a restart: tokens of the old one
// stay good, and the new one signs when it has been published for long enough.
func TestJWT1_TheAlgorithmChanges(t *testing.T) {
	for _, algorithm := range []string{"EdDSA", "RS256", "HS256"} {
		t.Run(algorithm, func(t *testing.T) {
			dbURL := dbtest.SQLite(t)
			h := harness.Open(t, dbURL, harness.SharedURL)
			h.Register("ada@example.org")
			old := h.Login("ada@example.org")
			if err := h.Stop(); err != nil {
				t.Fatal(err)
			}
			c := &harness.Clock{}
			h = harness.OpenAt(t, dbURL, c.Now, harness.SharedURL, "JWT_ALGORITHM="+algorithm)
			if got := harness.HeaderOf(h.Login("ada@example.org").Str("access_token")).Alg; got != "ES256" {
				t.Errorf("%s signs before applications may know its key", got)
			}
			kids, _ := h.Published()
			of := map[string]int{}
			for _, alg := range kids {
				of[alg]++
			}
			if of["ES256"] != 1 || algorithm != "HS256" && of[algorithm] != 2 || of["HS256"] != 0 {
				t.Errorf("published: %v", of)
			}
			c.Shift(keyring.Lead + time.Second)
			fresh := h.Login("ada@example.org")
			if got := harness.HeaderOf(fresh.Str("access_token")).Alg; got != algorithm {
				t.Errorf("%s signs", got)
			}
			h.Ready()
			for _, s := range []harness.Answer{old, fresh} {
				h.Expect(200, "", harness.Get("/v1/me", s.Str("access_token")))
			}
			c.Shift(24 * time.Hour)
			if kids, _ := h.Published(); len(kids) != of[algorithm] {
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
	a, b := harness.Open(t, dbURL, harness.SharedURL), harness.Open(t, dbURL, harness.SharedURL)
	a.Register("ada@example.org")
	s := a.Login("ada@example.org")
	works := func(step string, h *harness.Server) {
		t.Helper()
		h.Expect(200, "", harness.Get("/v1/me", s.Str("access_token")))
		r := h.Refresh(s.Str("refresh_token"))
		if r.Status != 200 {
			t.Fatalf("%s: %d %s", step, r.Status, r.Text)
		}
		s = r
	}
	restart := func(h *harness.Server, settings ...string) *harness.Server {
		t.Helper()
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
		return harness.Open(t, dbURL, append([]string{harness.SharedURL}, settings...)...)
	}
	changing := []string{"JWT_SECRET_KEY=" + fresh, "JWT_SECRET_KEY_PREVIOUS=" + harness.SecretKey}
	a = restart(a, changing...)
	works("the first has the new one", a)
	works("the second has the old one", b)
	next, err := b.Keys().Rotate(t.Context(), true, harness.OriginOfTests) // by the old secret
	if err != nil {
		t.Fatal(err)
	}
	a.Until(next.Name, "busy@example.org")
	b.Until(next.Name, "busy@example.org")
	works("a key of the old one", a)
	b = restart(b, changing...)
	works("both have the new one", b)
	a = restart(a, "JWT_SECRET_KEY="+fresh)
	works("the first has the new one alone", a)
	works("the second has both", b)
	b = restart(b, "JWT_SECRET_KEY="+fresh)
	works("both have the new one alone", b)
	works("both have the new one alone", a)
	if _, status := a.Admin("/readyz"); !strings.Contains(status, `"keys":"ok"`) {
		t.Errorf("readyz: %s", status)
	}
	for _, k := range a.Keys("JWT_SECRET_KEY=" + fresh).List() {
		if len(k.Secrets) != 1 {
			t.Errorf("the key for %s is sealed under %v", k.Purpose, k.Secrets)
		}
	}
}

// crowd is clients that sign in, refresh and ask, each at any replica at any
// time, while keys change.
type crowd struct {
	*testing.T
	replicas []*harness.Server
	mu       sync.Mutex
	revoked  map[string]bool
	known    map[string]bool // kids that were published before they signed
	strict   atomic.Bool     // every kid must be known
	asked    atomic.Int64
}

func (c *crowd) any() *harness.Server { return c.replicas[rand.IntN(len(c.replicas))] }

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
	a, err := c.any().Try(harness.SignInAs(email, harness.Passphrase))
	for n := 0; ; n++ {
		if err != nil || a.Status != 200 {
			c.Errorf("tokens: %d %s %v", a.Status, a.Text, err)
			return
		}
		access, refresh := a.Str("access_token"), a.Str("refresh_token")
		kid := harness.HeaderOf(access).Kid
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
			got, err := c.any().Try(harness.Get("/v1/me", access))
			c.asked.Add(1)
			c.mu.Lock()
			dead := c.revoked[kid]
			c.mu.Unlock()
			if err != nil || got.Status != 200 && (got.Status != 401 || !dead) {
				c.Errorf("a token of the key %s, revoked %v: %d %s %v", kid, dead, got.Status, got.Text, err)
				return
			}
			if got.Status != 200 {
				break
			}
		}
		if n%4 == 3 {
			a, err = c.any().Try(harness.SignInAs(email, harness.Passphrase))
		} else {
			a, err = c.any().Try(harness.Refreshing(refresh))
		}
	}
}

// TestJWT1_KeysRotateUnderLoad rotates and revokes on three replicas while clients
// sign in, refresh and ask: not one valid request is refused.
func TestJWT1_KeysRotateUnderLoad(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	c := &crowd{T: t, revoked: map[string]bool{}, known: map[string]bool{}}
	for range 3 {
		c.replicas = append(c.replicas, harness.Open(t, dbURL, harness.SharedURL, "LOG_LEVEL=WARNING"))
	}
	h := c.replicas[0]
	note := func() {
		for _, r := range c.replicas {
			kids, _ := r.Published()
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
		h.Register(email)
		crowd.Go(func() { c.client(email, end) })
	}
	k := h.Keys()
	do := func(what string, act func(origin event.Origin) error) {
		t.Helper()
		before := c.asked.Load()
		if err := act(harness.OriginOfTests); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		time.Sleep(time.Second)
		note()
		h.Eventually("requests after "+what, func() (string, bool) { n := c.asked.Load() - before; return fmt.Sprint(n), n > 3*clients })
	}
	signs := func() string {
		key, _ := keyring.InForce(k.Ring.Keys(keyring.AccessSign), time.Now())
		return key.Name
	}
	reread := func() { k = h.Keys() }
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
