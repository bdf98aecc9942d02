package client_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
)

// testRegistry is a database, a clock, and the registry under test.
type testRegistry struct {
	*testing.T
	db       *db.DB
	now      time.Time
	changes  uint64
	registry *client.Registry
}

func each(t *testing.T, test func(o *testRegistry)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := &testRegistry{T: t, db: d, now: time.Now().Truncate(time.Microsecond)}
		o.registry = client.NewRegistry(d, 0, func() time.Time { return o.now })
		test(o)
	})
}

// write makes a change, of which the registry hears.
func (o *testRegistry) write(fn func(tx *db.Tx) error) {
	o.Helper()
	if err := o.db.Write(o.Context(), fn); err != nil {
		o.Fatal(err)
	}
	o.changes++
}

func (o *testRegistry) create(name string) (c client.Client, shown string) {
	o.Helper()
	o.write(func(tx *db.Tx) (err error) {
		c, shown, err = client.Create(tx, secret.Random{}, name, client.Service, client.Settings{}, o.now)
		return err
	})
	return c, shown
}

func (o *testRegistry) rotate(c client.Client, keep time.Time) (shown string) {
	o.Helper()
	o.write(func(tx *db.Tx) (err error) {
		shown, err = client.Rotate(tx, secret.Random{}, c.ID, keep, o.now)
		return err
	})
	return shown
}

// expect authenticates while the registry hears of all changes.
func (o *testRegistry) expect(want client.Verdict, id, shown string) {
	o.Helper()
	c, got, err := o.registry.Authenticate(o.Context(), id, shown, o.changes, true)
	if err != nil || got != want {
		o.Errorf("%s, error %v; want %s", got, err, want)
	}
	if good := want == client.Good || want == client.Old; good != (c.ID != "" && c.ID == id) {
		o.Errorf("%s: it was taken for %q", want, c.ID)
	}
}

func TestOnlyTheRightSecretOfTheRightClientIsGood(t *testing.T) {
	each(t, func(o *testRegistry) {
		a, aSecret := o.create("billing")
		b, bSecret := o.create("search")
		if !strings.HasPrefix(aSecret, "gatehouse_cs_") || len(aSecret) != len("gatehouse_cs_")+43 || aSecret == bSecret {
			o.Errorf("the secrets are %d long, or alike", len(aSecret))
		}
		o.expect(client.Good, a.ID, aSecret)
		o.expect(client.Good, b.ID, bSecret)
		for _, wrong := range []string{bSecret, "", aSecret[:len(aSecret)-1], aSecret + "A", strings.ToUpper(aSecret), "gatehouse_cs_",
			strings.TrimPrefix(aSecret, "gatehouse_cs_")} {
			o.expect(client.WrongSecret, a.ID, wrong)
		}
		for _, id := range []string{"", "billing", strings.ToUpper(a.ID), a.ID + " ", "' OR 1=1 --"} {
			o.expect(client.Unknown, id, aSecret)
		}
	})
}

func TestARotationKeepsTheOldSecretForItsTime(t *testing.T) {
	each(t, func(o *testRegistry) {
		c, first := o.create("billing")
		second := o.rotate(c, o.now.Add(time.Hour))
		o.expect(client.Good, c.ID, second)
		o.expect(client.Old, c.ID, first)
		o.now = o.now.Add(time.Hour - time.Microsecond)
		o.expect(client.Old, c.ID, first)
		o.now = o.now.Add(time.Microsecond)
		o.expect(client.WrongSecret, c.ID, first)

		// There is one old secret at most.
		third := o.rotate(c, client.Forever)
		o.now = o.now.AddDate(5, 0, 0)
		o.expect(client.Old, c.ID, second)
		fourth := o.rotate(c, client.Forever)
		o.expect(client.WrongSecret, c.ID, second)
		o.expect(client.Old, c.ID, third)
		o.write(func(tx *db.Tx) error { return client.EndOld(tx, c.ID, o.now) })
		o.expect(client.WrongSecret, c.ID, third)
		o.expect(client.Good, c.ID, fourth)
		err := o.db.Write(o.Context(), func(tx *db.Tx) error { return client.EndOld(tx, c.ID, o.now) })
		if !errors.Is(err, client.ErrNoOldSecret) {
			o.Errorf("ended twice: %v", err)
		}
		fifth := o.rotate(c, o.now)
		o.expect(client.WrongSecret, c.ID, fourth)
		o.expect(client.Good, c.ID, fifth)
	})
}

func TestADeletedClientIsGone(t *testing.T) {
	each(t, func(o *testRegistry) {
		c, shown := o.create("billing")
		o.expect(client.Good, c.ID, shown)
		o.write(func(tx *db.Tx) error { return client.Delete(tx, c.ID) })
		o.expect(client.Unknown, c.ID, shown)
		for name, fn := range map[string]func(tx *db.Tx) error{
			"delete": func(tx *db.Tx) error { return client.Delete(tx, c.ID) },
			"find":   func(tx *db.Tx) error { _, err := client.Find(tx, c.Name, o.now); return err },
			"rotate": func(tx *db.Tx) error { _, err := client.Rotate(tx, secret.Random{}, c.ID, o.now, o.now); return err },
		} {
			if err := o.db.Write(o.Context(), fn); !errors.Is(err, client.ErrNotFound) {
				o.Errorf("%s of what is gone: %v", name, err)
			}
		}
	})
}

func TestOfSixteenWithOneNameOneIsMade(t *testing.T) {
	each(t, func(o *testRegistry) {
		var made atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				err := o.db.Write(o.Context(), func(tx *db.Tx) error {
					_, _, err := client.Create(tx, secret.Random{}, "billing", client.Service, client.Settings{}, o.now)
					return err
				})
				switch {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, client.ErrNameTaken):
					o.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 {
			o.Errorf("%d were made", made.Load())
		}
	})
}

func TestASecretIsNowhereInTheDatabase(t *testing.T) {
	each(t, func(o *testRegistry) {
		c, first := o.create("billing")
		second := o.rotate(c, client.Forever)
		err := o.db.Read(o.Context(), func(tx *db.Tx) error {
			var hash, old []byte
			var name string
			if err := tx.QueryRow(`SELECT name, hash, old_hash FROM client`).Scan(&name, &hash, &old); err != nil {
				return err
			}
			for _, s := range []string{first, second} {
				if strings.Contains(name+string(hash)+string(old), s[20:30]) {
					o.Error("a secret stands in its row")
				}
			}
			// What is kept opens nothing.
			o.expect(client.WrongSecret, c.ID, string(hash))
			return nil
		})
		if err != nil {
			o.Error(err)
		}
	})
}

// What was read is good while the replica hears that nothing has changed, and
// for FreshFor when it hears nothing; then the database is asked, and is away.
func TestTheRegistryKnowsWhenItDoesNotKnow(t *testing.T) {
	for name, stale := range map[string]time.Duration{"refuse": 0, "go on": time.Minute} {
		t.Run(name, func(t *testing.T) {
			d := dbtest.Open(t, dbtest.SQLite(t))
			at := time.Now()
			r := client.NewRegistry(d, stale, func() time.Time { return at })
			var c client.Client
			var shown string
			if err := d.Write(t.Context(), func(tx *db.Tx) (err error) {
				c, shown, err = client.Create(tx, secret.Random{}, "billing", client.Service, client.Settings{}, at)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			ask := func(ctx context.Context, changes uint64, fresh bool) (client.Verdict, error) {
				_, v, err := r.Authenticate(ctx, c.ID, shown, changes, fresh)
				return v, err
			}
			if v, err := ask(t.Context(), 1, true); err != nil || v != client.Good {
				t.Fatal(v, err)
			}
			away, cancel := context.WithCancel(t.Context())
			cancel() // any read fails
			at = at.Add(time.Hour)
			if v, err := ask(away, 1, true); err != nil || v != client.Good {
				t.Errorf("nothing has changed, and the database was asked: %v %v", v, err)
			}
			if v, err := ask(t.Context(), 1, false); err != nil || v != client.Good {
				t.Error(v, err)
			}
			at = at.Add(client.FreshFor)
			if v, err := ask(away, 1, false); err != nil || v != client.Good {
				t.Errorf("what was read %v ago is not good: %v %v", client.FreshFor, v, err)
			}
			at = at.Add(time.Millisecond)
			if v, err := ask(away, 1, false); (err == nil) != (stale > 0) {
				t.Errorf("the database is away: %v %v", v, err)
			}
			if v, err := ask(away, 2, true); (err == nil) != (stale > 0) {
				t.Errorf("something has changed, and the database is away: %v %v", v, err)
			}
			// The wall clock was set back: nobody knows how old it is.
			at = at.Add(-2 * time.Hour)
			if v, err := ask(away, 1, false); err == nil {
				t.Errorf("the clock was set back: %v", v)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "billing", "shop.example.org", "a-b_c.1", "0", strings.Repeat("x", 63)} {
		if _, err := client.ParseName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "-a", ".a", "Billing", "a b", "a\n", "é", "a/b", strings.Repeat("x", 64), "0198c0de-0000-7000-8000-000000000001", "a\x00"} {
		if _, err := client.ParseName(bad); fault.As(err) == nil || fault.As(err).Code != "invalid_client_name" {
			t.Errorf("%q was taken: %v", bad, err)
		}
	}
}
