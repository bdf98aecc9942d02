package keyring

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

const (
	idSecret = "9fJq3xQz0Vb7nL2kTgYw5sRp8uHc1mEd"
	idLife   = 15 * time.Minute
)

// idHouse is a ring whose clock is set by hand.
type idHouse struct {
	*testing.T
	d   *db.DB
	r   *Ring
	now time.Time
}

func idHouseOf(t *testing.T, d *db.DB) *idHouse {
	t.Helper()
	h := &idHouse{T: t, d: d, now: time.Now().Truncate(time.Microsecond)}
	h.r = h.open(idLife)
	return h
}

func (h *idHouse) open(life time.Duration) *Ring {
	h.Helper()
	r, err := Open(h.Context(), h.d, secret.Random{}, h.now, Config{Secret: idSecret, Life: life})
	if err != nil {
		h.Fatal(err)
	}
	return r
}

func (h *idHouse) ensure() {
	h.Helper()
	if err := h.r.EnsureIDSign(h.Context(), h.d, RS256, h.now); err != nil {
		h.Fatal(err)
	}
	h.poll()
}

func (h *idHouse) poll() {
	h.Helper()
	if err := h.d.Read(h.Context(), h.r.Poll); err != nil {
		h.Fatal(err)
	}
}

// change changes the ring: without a key for ID tokens it must fail, and change nothing.
func (h *idHouse) change(what string, fn func(c *Change) error) {
	h.Helper()
	fresh, err := h.r.Generate("")
	if err != nil {
		h.Fatal(err)
	}
	write := func() error {
		return h.d.Write(h.Context(), func(tx *db.Tx) error { return h.r.Change(tx, fresh, h.now, fn) })
	}
	before := len(h.r.Keys(IDSign))
	if err := write(); !errors.Is(err, ErrNoIDSign) {
		h.Errorf("%s: a key for ID tokens was made within the transaction: %v", what, err)
	}
	if h.poll(); len(h.r.Keys(IDSign)) != before {
		h.Errorf("%s: it failed, and there are %d keys instead of %d", what, len(h.r.Keys(IDSign)), before)
	}
	if fresh.IDSign, err = h.r.GenerateIDSign(); err == nil {
		err = write()
	}
	if err != nil {
		h.Fatalf("%s: %v", what, err)
	}
	if h.poll(); len(h.r.Keys(IDSign)) != before+1 {
		h.Errorf("%s: there are %d keys after %d", what, len(h.r.Keys(IDSign)), before)
	}
}

func (h *idHouse) last() Key {
	all := h.r.Keys(IDSign)
	return all[len(all)-1]
}

// TestKeysForIDTokensAreReplaced by the clock, by a revocation and by another: none of them looks for a key within its transaction,
// and the one before is published until the last ID token that it has signed has expired.
func TestKeysForIDTokensAreReplaced(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const period = 90 * 24 * time.Hour
		h := idHouseOf(t, d)
		h.ensure()
		first := h.last()
		if first.N != 1 || first.Algorithm != RS256 || first.Life != idLife {
			t.Errorf("the first is %d, %s, for tokens of %v", first.N, first.Algorithm, first.Life)
		}
		h.now = h.now.Add(period)
		if !h.r.Due(h.now, period) {
			t.Fatal("it is not due")
		}
		h.change("due", func(c *Change) error {
			next, err := c.Due(period)
			if err == nil && (len(next) != 2 || next[0].Purpose != AccessSign || next[1].Purpose != IDSign) {
				t.Errorf("due: replaced by %v", next)
			}
			return err
		})
		second := h.last()
		if second.N != 2 || !second.From.Equal(h.now.Add(Lead)) || second.Life != idLife {
			t.Errorf("the second is %d from %v, for tokens of %v", second.N, second.From, second.Life)
		}
		if to, until := Replaced(h.r.Keys(IDSign), first); !to.Equal(second.From) || until.Sub(to) < idLife || until.Sub(to) > idLife+5*time.Minute {
			t.Errorf("replaced at %v, the first is published until %v", to, until)
		}
		h.now = h.now.Add(time.Hour)
		h.change("revoked", func(c *Change) error { _, err := c.Revoke(second.Name); return err })
		h.change("another", func(c *Change) error { return c.Supersede(IDSign) })
		if k := h.last(); k.N != 4 || !k.From.Equal(h.now) || k.Life != idLife {
			t.Errorf("the last is %d from %v, for tokens of %v", k.N, k.From, k.Life)
		}
	})
}

// TestTheLifeOfIDTokensIsTheLongest: as that of access tokens, which a setting makes longer.
func TestTheLifeOfIDTokensIsTheLongest(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := idHouseOf(t, d)
		h.ensure()
		for _, c := range []struct{ set, want time.Duration }{{time.Hour, time.Hour}, {time.Minute, time.Hour}, {0, time.Hour}} {
			if h.r = h.open(c.set); h.last().Life != c.want {
				t.Errorf("set to %v: %v", c.set, h.last().Life)
			}
		}
	})
}

// TestSixteenWantAKeyForIDTokensAtOnce on each of two replicas, and again before these have polled: each looks for one once, and
// there is one.
func TestSixteenWantAKeyForIDTokensAtOnce(t *testing.T) {
	var looked atomic.Int64
	generate := generators[IDSign]
	generators[IDSign] = func(a string, r secret.Random) ([]byte, error) { looked.Add(1); return generate(a, r) }
	t.Cleanup(func() { generators[IDSign] = generate })
	h := idHouseOf(t, dbtest.Open(t, dbtest.Postgres(t)))
	rings := []*Ring{h.r, h.open(idLife)}
	for range 2 {
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				if err := rings[i%2].EnsureIDSign(context.Background(), h.d, RS256, h.now); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if n := looked.Load(); n != 2 {
		t.Errorf("two replicas looked for a key %d times", n)
	}
	if h.poll(); len(h.r.Keys(IDSign)) != 1 {
		t.Errorf("there are %d", len(h.r.Keys(IDSign)))
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	other := idHouseOf(t, dbtest.Open(t, dbtest.Postgres(t)))
	if err := other.r.EnsureIDSign(gone, other.d, RS256, other.now); !errors.Is(err, context.Canceled) || looked.Load() != 2 {
		t.Errorf("for somebody who has left: %v, after %d times", err, looked.Load())
	}
}

// The key of ES256 for ID tokens is one of its own beside that of RS256: made when it is asked for, within the transaction since it takes no
// time, replaced by the clock with Lead, revoked alone, and sixteen who ask at once make one.
func TestTheKeyOfES256ForIDTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const period = 90 * 24 * time.Hour
		h := idHouseOf(t, d)
		if len(h.r.Keys(IDSignES256)) != 0 {
			t.Fatal("it was made, and nobody has asked")
		}
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if err := h.open(idLife).EnsureIDSign(context.Background(), h.d, ES256, h.now); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		h.poll()
		keys := h.r.Keys(IDSignES256)
		if len(keys) != 1 || keys[0].Algorithm != ES256 || keys[0].Life != idLife || len(h.r.Keys(IDSign)) != 0 {
			t.Fatalf("%d keys of ES256, %d of RS256: %+v", len(keys), len(h.r.Keys(IDSign)), keys)
		}
		for _, bad := range []string{"", HS256, EdDSA, "none"} {
			if err := h.r.EnsureIDSign(t.Context(), h.d, bad, h.now); err == nil {
				t.Errorf("a key for ID tokens by %q", bad)
			}
		}
		h.now = h.now.Add(period)
		if !h.r.Due(h.now, period) {
			t.Fatal("it is not due")
		}
		fresh, err := h.r.Generate("")
		if err != nil {
			t.Fatal(err)
		}
		change := func(fn func(c *Change) error) {
			t.Helper()
			if err := h.d.Write(t.Context(), func(tx *db.Tx) error { return h.r.Change(tx, fresh, h.now, fn) }); err != nil {
				t.Fatal(err)
			}
			h.poll()
		}
		change(func(c *Change) error { _, err := c.Due(period); return err })
		if keys = h.r.Keys(IDSignES256); len(keys) != 2 || !keys[1].From.Equal(h.now.Add(Lead)) {
			t.Fatalf("replaced: %+v", keys)
		}
		change(func(c *Change) error { _, err := c.Revoke(keys[1].Name); return err })
		if keys = h.r.Keys(IDSignES256); len(keys) != 3 || !keys[2].From.Equal(h.now) || keys[2].Algorithm != ES256 || keys[1].RevokedAt.IsZero() {
			t.Errorf("revoked: %+v", keys)
		}
	})
}
