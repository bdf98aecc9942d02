package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

const (
	newMaster = "Zq8vT2mXw5LrYb9NcKe4HsPd7GfJ3RuA"
	life      = 15 * time.Minute
)

// ringHouse is a ring whose clock is set by hand.
type ringHouse struct {
	*testing.T
	d   *db.DB
	r   *keyring.Ring
	now time.Time
}

func ringOf(t *testing.T, d *db.DB) *ringHouse {
	t.Helper()
	h := &ringHouse{T: t, d: d, now: time.Now().Truncate(time.Microsecond)}
	h.r = h.open(keyring.Config{Secret: master, Life: life})
	h.change("", func(c *keyring.Change) error { _, err := c.Due(0); return err })
	return h
}

func (h *ringHouse) open(c keyring.Config) *keyring.Ring {
	h.Helper()
	r, err := keyring.Open(context.Background(), h.d, secret.Random{}, h.now, c)
	if err != nil {
		h.Fatal(err)
	}
	return r
}

// change changes the ring and reads it again, as a poll does.
func (h *ringHouse) change(algorithm string, fn func(c *keyring.Change) error) {
	h.Helper()
	fresh, err := h.r.Generate(algorithm)
	if err == nil {
		err = h.d.Write(context.Background(), func(tx *db.Tx) error { return h.r.Change(tx, fresh, h.now, fn) })
	}
	if err != nil {
		h.Fatal(err)
	}
	h.poll(h.r)
}

func (h *ringHouse) poll(r *keyring.Ring) {
	h.Helper()
	if err := h.d.Read(context.Background(), r.Poll); err != nil {
		h.Fatal(err)
	}
}

func (h *ringHouse) rotate(algorithm string, atOnce bool) (next keyring.Key) {
	h.Helper()
	h.change(algorithm, func(c *keyring.Change) (err error) { next, err = c.Rotate(atOnce); return err })
	return next
}

func (h *ringHouse) revoke(names ...string) {
	h.Helper()
	h.change("", func(c *keyring.Change) error { _, err := c.Revoke(names...); return err })
}

func (h *ringHouse) inForce() (signs, next keyring.Key) {
	return keyring.InForce(h.r.Keys(keyring.AccessSign), h.now)
}

func TestRotationMakesTheNextKeySign(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := ringOf(t, d)
		first, second := h.inForce()
		if first.ID == "" || second.ID == "" || first.Algorithm != keyring.ES256 || !second.From.IsZero() {
			t.Fatalf("%+v signs, %+v is next", first, second)
		}
		// A key so young may not be known to applications yet.
		if k := h.rotate("", false); k.ID != second.ID || !k.From.Equal(second.CreatedAt.Add(keyring.Lead)) {
			t.Errorf("%s takes over at %v", k.Name, k.From)
		}
		if signs, next := h.inForce(); signs.ID != first.ID || next.ID == second.ID || next.ID == "" {
			t.Error("before its time the next key signs, or none stands by")
		}
		h.now = h.now.Add(time.Minute)
		if k := h.rotate("", false); k.ID != second.ID {
			t.Error("asked twice, it rotated twice")
		}
		if k := h.rotate("", true); k.ID != second.ID || k.From.Sub(h.now) > 5*time.Second || !k.From.After(h.now) {
			t.Errorf("hastened, it takes over at %v", k.From)
		}
		h.now = h.now.Add(time.Hour)
		signs, third := h.inForce()
		if signs.ID != second.ID {
			t.Error("after its time the next key does not sign")
		}
		to, until := keyring.Replaced(h.r.Keys(keyring.AccessSign), first)
		if !to.Equal(signs.From) || until.Sub(to) < life || until.Sub(to) > life+5*time.Minute {
			t.Errorf("replaced at %v, the first key is good until %v", to, until)
		}
		// One that has been published for long takes over at once.
		if k := h.rotate("", false); k.ID != third.ID || k.From.Sub(h.now) > 5*time.Second {
			t.Errorf("%+v", k)
		}
	})
}

func TestAnotherAlgorithmIsARotation(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := ringOf(t, d)
		first, dropped := h.inForce()
		for _, algorithm := range []string{keyring.EdDSA, keyring.HS256, keyring.EdDSA} {
			k := h.rotate(algorithm, false)
			if k.Algorithm != algorithm || k.From.Sub(h.now) < keyring.Lead {
				t.Errorf("%s takes over at %v", k.Algorithm, k.From)
			}
			if signs, next := h.inForce(); signs.ID != first.ID || next.Algorithm != algorithm {
				t.Errorf("%s signs, and %s is next", signs.Algorithm, next.Algorithm)
			}
		}
		h.now = h.now.Add(time.Hour)
		if signs, _ := h.inForce(); signs.Algorithm != keyring.EdDSA {
			t.Errorf("%s signs", signs.Algorithm)
		}
		if slices.ContainsFunc(h.r.Keys(keyring.AccessSign), func(k keyring.Key) bool { return k.ID == dropped.ID }) {
			t.Error("the next key of the old algorithm is still there")
		}
	})
}

func TestARevokedKeyIsReplacedAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := ringOf(t, d)
		first, second := h.inForce()
		h.revoke(first.Name)
		signs, third := h.inForce()
		if signs.ID != second.ID || signs.From.After(h.now) || third.ID == "" {
			t.Fatalf("%+v signs", signs)
		}
		// By a clock that is a second behind nobody signs with the revoked one either.
		h.now = h.now.Add(-time.Second)
		if late, _ := h.inForce(); late.ID != second.ID {
			t.Errorf("by a slow clock %s signs", late.Name)
		}
		h.now = h.now.Add(time.Hour)
		// One that was retired does not come back when its successor is revoked.
		fourth := h.rotate("", false)
		h.now = h.now.Add(time.Hour)
		h.revoke(fourth.Name)
		if signs, _ := h.inForce(); signs.ID == second.ID || signs.ID == fourth.ID || signs.ID == "" {
			t.Errorf("%s signs", signs.Name)
		}
		// The one that stands by is replaced as well.
		_, next := h.inForce()
		h.revoke(next.Name)
		if _, other := h.inForce(); other.ID == "" || other.ID == next.ID {
			t.Error("none stands by, or the revoked one does")
		}
		// All at once: a new one signs.
		var all []string
		for _, k := range h.r.Keys(keyring.AccessSign) {
			all = append(all, k.Name)
		}
		h.revoke(all...)
		if signs, next := h.inForce(); signs.ID == "" || next.ID == "" || slices.Contains(all, signs.Name) || slices.Contains(all, next.Name) {
			t.Errorf("%s signs", signs.Name)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			return h.r.Change(tx, keyring.Fresh{}, h.now, func(c *keyring.Change) error { _, err := c.Revoke("nobody"); return err })
		})
		if !errors.Is(err, keyring.ErrKeyNotFound) {
			t.Errorf("a key that is none: %v", err)
		}
	})
}

func TestRevokingAScheduledKeyLeavesTheOneInForce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := ringOf(t, d)
		first, _ := h.inForce()
		k := h.rotate("", false)
		h.revoke(k.Name)
		for range 3 {
			if signs, next := h.inForce(); signs.ID != first.ID || next.ID == "" {
				t.Errorf("%s signs, %s is next", signs.Name, next.Name)
			}
			h.now = h.now.Add(keyring.Lead)
		}
		if _, until := keyring.Replaced(h.r.Keys(keyring.AccessSign), first); !until.IsZero() {
			t.Error("it counts as replaced by one that never signed")
		}
	})
}

func TestSymmetricKeysAreReplaced(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := ringOf(t, d)
		other := h.open(keyring.Config{Secret: master})
		changes := 0
		other.OnChange(func() { changes++ }, func(err error) { t.Error(err) })
		before := keys(h.r)
		h.revoke(h.r.Keys(keyring.CSRF)[0].Name)
		h.poll(other)
		h.poll(other)
		if changes != 1 {
			t.Errorf("the other replica was notified %d times", changes)
		}
		for _, r := range []*keyring.Ring{h.r, other} {
			if string(r.Key(keyring.CSRF)) == before[keyring.CSRF] || string(r.Key(keyring.RefreshMAC)) != before[keyring.RefreshMAC] {
				t.Error("not just the revoked key was replaced")
			}
		}
	})
}

func TestTheClockRotatesAndCleansUp(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := ringOf(t, d)
		const period = 90 * 24 * time.Hour
		due := func() (rotated bool) {
			if !h.r.Due(h.now, period) {
				return false
			}
			var next []keyring.Key
			h.change("", func(c *keyring.Change) (err error) { next, err = c.Due(period); return err })
			return len(next) > 0
		}
		first, second := h.inForce()
		if due() {
			t.Error("rotated a young key")
		}
		h.now = h.now.Add(period - time.Second)
		if due() {
			t.Error("rotated a second early")
		}
		h.now = h.now.Add(time.Second)
		if !due() || due() {
			t.Error("not rotated once")
		}
		h.now = h.now.Add(time.Hour)
		if signs, _ := h.inForce(); signs.ID != second.ID {
			t.Error("the next key does not sign")
		}
		due()
		if h.r.Keys(keyring.AccessSign)[0].ID != first.ID {
			t.Error("the retired key is gone while clocks may be wrong")
		}
		h.now = h.now.Add(25 * time.Hour)
		due()
		if h.r.Due(h.now, period) {
			t.Error("it is due again at once")
		}
		for _, k := range h.r.Keys(keyring.AccessSign) {
			if k.ID == first.ID {
				t.Error("a key that is good for nothing is kept")
			}
		}
	})
}

// TestSixteenRotateAtOnce: whatever meets, one key signs and one stands by.
func TestSixteenRotateAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := ringOf(t, d)
		var wg sync.WaitGroup
		for i := range 16 {
			r := h.open(keyring.Config{Secret: master})
			wg.Go(func() {
				fresh, err := r.Generate("")
				if err == nil {
					err = d.Write(context.Background(), func(tx *db.Tx) error {
						return r.Change(tx, fresh, h.now, func(c *keyring.Change) (err error) {
							signs, _ := keyring.InForce(c.Keys[keyring.AccessSign], h.now)
							switch i % 3 {
							case 0:
								_, err = c.Rotate(true)
							case 1:
								_, err = c.Revoke(signs.Name)
							default:
								_, err = c.Due(time.Nanosecond)
							}
							return err
						})
					})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		h.poll(h.r)
		h.now = h.now.Add(time.Hour)
		if signs, next := h.inForce(); signs.ID == "" || next.ID == "" || signs.ID == next.ID {
			t.Errorf("%s signs, %s is next", signs.Name, next.Name)
		}
	})
}

// TestEverySequenceOfChangesLeavesASigner makes random changes, by random clocks,
// and holds the ring against what must always be so.
func TestEverySequenceOfChangesLeavesASigner(t *testing.T) {
	h := ringOf(t, dbtest.Open(t, dbtest.SQLite(t)))
	dead := map[string]bool{}
	retired := map[string]bool{}
	last := ""
	for i := range 300 {
		keys := h.r.Keys(keyring.AccessSign)
		act := ""
		switch rand.IntN(5) {
		case 0:
			act = "rotate"
			h.rotate([]string{"", keyring.EdDSA, keyring.ES256}[rand.IntN(3)], rand.IntN(2) == 0)
		case 1:
			k := keys[rand.IntN(len(keys))]
			act = "revoke " + k.Name
			h.revoke(k.Name)
			dead[k.Name] = true
		case 2:
			act = "due"
			h.change("", func(c *keyring.Change) error { _, err := c.Due(time.Hour); return err })
		default:
			act = "wait"
			h.now = h.now.Add(time.Duration(rand.IntN(3600)) * time.Second)
		}
		signs, next := h.inForce()
		if signs.ID == "" || next.ID == "" || dead[signs.Name] || dead[next.Name] || retired[signs.Name] {
			t.Fatalf("%d, %s: %+v signs, %+v is next; dead %v", i, act, signs, next, dead[signs.Name])
		}
		if _, until := keyring.Replaced(h.r.Keys(keyring.AccessSign), signs); !until.IsZero() && !until.After(h.now) {
			t.Fatalf("%d, %s: what signs is no longer good", i, act)
		}
		if signs.Name != last {
			retired[last] = true
			last = signs.Name
		}
	}
}

// TestJWT1_TheSecretChangesWhileReplicasRestart goes through the guide's steps, with
// a key being made by each side in between, and back.
func TestJWT1_TheSecretChangesWhileReplicasRestart(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := ringOf(t, d)
		before := keys(h.r)
		forget := func(r *keyring.Ring) (gone []string) {
			t.Helper()
			err := d.Write(t.Context(), func(tx *db.Tx) (err error) { gone, err = r.Unseal(tx); return err })
			if err != nil {
				t.Fatal(err)
			}
			return gone
		}
		oldOne := h.r
		changing := keyring.Config{Secret: newMaster, Previous: master}
		newOne := h.open(changing)
		if len(newOne.Secrets()) != 2 || len(newOne.Keys(keyring.CSRF)[0].Secrets) != 2 {
			t.Errorf("sealed under %v", newOne.Keys(keyring.CSRF)[0].Secrets)
		}
		// An old replica that restarts meanwhile takes nothing away.
		if gone := forget(h.open(keyring.Config{Secret: master})); gone != nil {
			t.Errorf("the old secret has deleted what is sealed under %v", gone)
		}
		h.rotate("", true) // by the old one: sealed under the old secret alone
		h.poll(newOne)
		if newOne.Behind() {
			t.Error("the new one can't open a key of the old one")
		}
		h.r = newOne
		h.now = h.now.Add(time.Minute)
		h.rotate("", true)
		h.poll(oldOne)
		if oldOne.Behind() {
			t.Error("the old one can't open a key of the new one")
		}
		// As long as the previous secret is set nothing is deleted.
		newOne = h.open(changing)
		if gone := forget(newOne); gone != nil {
			t.Errorf("while it is needed %v was deleted", gone)
		}
		// Taken back, and done again.
		back := h.open(keyring.Config{Secret: master, Previous: newMaster})
		if gone := forget(h.open(keyring.Config{Secret: newMaster})); gone != nil {
			t.Errorf("the secret that is being given up has deleted %v", gone)
		}
		if _, both := back.Keys(keyring.CSRF)[0], back.Secrets(); len(both) != 2 {
			t.Error("back, both are not in use")
		}
		h.now = h.now.Add(time.Minute)
		h.open(changing)
		// Done.
		done := h.open(keyring.Config{Secret: newMaster})
		if gone := forget(done); len(gone) != 1 || gone[0] == done.Secrets()[0] {
			t.Errorf("deleted %v", gone)
		}
		if gone := forget(done); gone != nil {
			t.Errorf("deleted again: %v", gone)
		}
		for p, k := range before {
			if p != keyring.AccessSign && string(done.Key(p)) != k {
				t.Errorf("the key for %s is another", p)
			}
		}
		_, err := open(d, master)
		if f := fault.As(err); f == nil || f.Code != "wrong_secret" {
			t.Errorf("the old secret opens the ring: %v", err)
		}
		// A replica that was forgotten complains, and goes on with what it has.
		var complaint error
		oldOne.OnChange(func() { t.Error("it took the ring for opened") }, func(err error) { complaint = err })
		h.r = done
		h.rotate("", true)
		h.poll(oldOne)
		if complaint == nil || !oldOne.Behind() || !strings.Contains(complaint.Error(), "JWT_SECRET_KEY") || len(oldOne.Keys(keyring.AccessSign)) == 0 {
			t.Errorf("it complains of %v", complaint)
		}
	})
}

func TestAPreviousSecretThatOpensNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := ringOf(t, d)
		if r := h.open(keyring.Config{Secret: master, Previous: newMaster}); len(r.Secrets()) != 1 {
			t.Error("a secret that opens nothing seals keys")
		}
		_, err := keyring.Open(t.Context(), d, secret.Random{}, h.now, keyring.Config{Secret: newMaster, Previous: newMaster + "x"})
		if f := fault.As(err); f == nil || f.Code != "wrong_secret" || !strings.Contains(f.Message, "JWT_SECRET_KEY_PREVIOUS") ||
			strings.Contains(f.Message, newMaster) {
			t.Errorf("two wrong secrets: %v", err)
		}
	})
}

func TestTheLifeOfTokensIsTheLongest(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := ringOf(t, d)
		for _, c := range []struct{ set, want time.Duration }{{30 * time.Minute, 30 * time.Minute}, {time.Minute, 30 * time.Minute}, {0, 30 * time.Minute}} {
			h.r = h.open(keyring.Config{Secret: master, Life: c.set})
			if signs, next := h.inForce(); signs.Life != c.want || next.Life != c.want {
				t.Errorf("set to %v: %v, and the next %v", c.set, signs.Life, next.Life)
			}
		}
	})
}

func TestKeysForEachAlgorithm(t *testing.T) {
	for _, algorithm := range []string{keyring.ES256, keyring.EdDSA, keyring.RS256, keyring.HS256} {
		a, err := keyring.Generate(algorithm, secret.Random{})
		if err != nil {
			t.Fatal(err)
		}
		one, err := keyring.KeyID(algorithm, a)
		if err != nil || len(one) != 43 {
			t.Errorf("%s: %q, %v", algorithm, one, err)
		}
		if again, _ := keyring.KeyID(algorithm, a); again != one {
			t.Errorf("%s: %q, then %q", algorithm, one, again)
		}
		if algorithm == keyring.HS256 && strings.Contains(fmt.Sprintf("%x", a), one) {
			t.Error("the name tells the key")
		}
	}
	for _, none := range []string{"none", "", "PS256", "es256"} {
		if _, err := keyring.Generate(none, secret.Random{}); err == nil {
			t.Errorf("there are keys for %q", none)
		}
	}
	if _, err := keyring.KeyID(keyring.ES256, []byte("noise")); err == nil {
		t.Error("noise has a name")
	}
}
