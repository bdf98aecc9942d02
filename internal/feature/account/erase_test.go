package account_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

func erasureOf(t *testing.T, d *db.DB, id string) (e account.Erasure) {
	t.Helper()
	if err := d.Read(ctx, func(tx *db.Tx) (err error) { e, err = account.ErasureOf(tx, id); return err }); err != nil {
		t.Fatal(err)
	}
	return e
}

func setErase(t *testing.T, d *db.DB, id string, at time.Time, why account.EraseWhy) (changed bool) {
	t.Helper()
	write(t, d, func(tx *db.Tx) (err error) { changed, err = account.SetErase(tx, id, at, why); return err })
	return changed
}

func TestGDPR3_ASignInKeepsTheAccountAndSaysSoOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		enter := map[string]func(tx *db.Tx, id string, n int64) (account.Entered, error){
			"SignedIn": func(tx *db.Tx, id string, n int64) (account.Entered, error) {
				return account.SignedIn(tx, id, 0, n, account.Rehash{}, start)
			},
			"ChangeFactors": func(tx *db.Tx, id string, n int64) (account.Entered, error) {
				return account.ChangeFactors(tx, account.FactorChange{Account: id, FactorN: n, SignsIn: true}, start)
			},
		}
		for name, enter := range enter {
			id := create(t, d, name+"@example.org")
			other := create(t, d, name+".other@example.org")
			for _, id := range []string{id, other} {
				if !setErase(t, d, id, start.Add(time.Hour), account.EraseSelf) {
					t.Fatal("it was not set")
				}
			}
			// What ends no sign-in changes nothing of it.
			write(t, d, func(tx *db.Tx) error {
				in, err := account.ChangeFactors(tx, account.FactorChange{Account: id}, start)
				if in.Kept {
					t.Error("a change of factors that ends no sign-in kept the account")
				}
				return err
			})
			if e := erasureOf(t, d, id); !e.At.Equal(start.Add(time.Hour)) || e.Why != account.EraseSelf {
				t.Fatalf("before the sign-in: %+v", e)
			}
			var kept []bool
			for n := range int64(2) {
				write(t, d, func(tx *db.Tx) error {
					counts := int64(1)
					if name == "ChangeFactors" {
						counts += n
					}
					in, err := enter(tx, id, counts)
					kept = append(kept, in.Kept)
					return err
				})
			}
			if !slices.Equal(kept, []bool{true, false}) {
				t.Errorf("%s: two sign-ins say %v, want that the first kept the account", name, kept)
			}
			if e := erasureOf(t, d, id); !e.At.IsZero() || e.Why != "" {
				t.Errorf("after the sign-in: %+v", e)
			}
			if e := erasureOf(t, d, other); e.At.IsZero() {
				t.Error("somebody else's sign-in kept the account")
			}
		}
	})
}

func TestGDPR3_AnErasureOnlyComesNearer(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		id := create(t, d, "jane@example.org")
		for _, step := range []struct {
			after   time.Duration
			changes bool
			leaves  time.Duration
		}{{time.Hour, true, time.Hour}, {time.Hour, false, time.Hour}, {2 * time.Hour, false, time.Hour}, {time.Minute, true, time.Minute}} {
			if changed := setErase(t, d, id, start.Add(step.after), account.EraseByOperator); changed != step.changes {
				t.Errorf("to be erased in %v: changed is %v", step.after, changed)
			}
			if at := erasureOf(t, d, id).At; !at.Equal(start.Add(step.leaves)) {
				t.Errorf("to be erased in %v: it is at %v", step.after, at)
			}
		}
		for _, want := range []bool{true, false} {
			write(t, d, func(tx *db.Tx) error {
				kept, err := account.ClearErase(tx, id)
				if kept != want {
					t.Errorf("ClearErase says %v", kept)
				}
				return err
			})
		}
	})
}

func TestGDPR3_DueErasuresAreListedInTheirOrder(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var want []string
		for _, name := range []string{"a", "b", "c", "d"} {
			want = append(want, create(t, d, name+"@example.org"))
		}
		slices.Sort(want[:2])
		at := []time.Duration{0, 0, time.Minute, time.Hour} // two are due at the same moment
		for i, id := range want {
			setErase(t, d, id, start.Add(at[i]), account.EraseSelf)
		}
		var (
			got   []string
			after account.Erasure
		)
		for range 4 {
			err := d.Read(ctx, func(tx *db.Tx) error {
				page, err := account.Erasures(tx, after, start.Add(time.Minute), 1)
				for _, e := range page {
					got, after = append(got, e.Account), e
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want[:3]) {
			t.Errorf("got %v, want %v", got, want[:3])
		}
	})
}

func TestGDPR3_WhoIsToBeErasedIsNoAdministratorToCountOn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		first, second := create(t, d, "a@example.org", account.Admin), create(t, d, "b@example.org", account.Admin)
		other := func() (is bool) {
			if err := d.Read(ctx, func(tx *db.Tx) (err error) { is, err = account.OtherAdmin(tx, first); return err }); err != nil {
				t.Fatal(err)
			}
			return is
		}
		if !other() {
			t.Error("the other administrator does not count")
		}
		setErase(t, d, second, start, account.EraseSelf)
		if other() {
			t.Error("an administrator who is to be erased counts")
		}
	})
}

func TestGDPR3_ARestorePutsErasuresOff(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		soon, late, kept := create(t, d, "a@example.org"), create(t, d, "b@example.org"), create(t, d, "c@example.org")
		setErase(t, d, soon, start.Add(time.Hour), account.EraseSelf)
		setErase(t, d, late, start.Add(9*time.Hour), account.EraseSelf)
		write(t, d, func(tx *db.Tx) error { return account.PostponeErasures(tx, start.Add(5*time.Hour)) })
		for id, want := range map[string]time.Time{soon: start.Add(5 * time.Hour), late: start.Add(9 * time.Hour), kept: {}} {
			if at := erasureOf(t, d, id).At; !at.Equal(want) {
				t.Errorf("%s is to be erased at %v, want %v", id, at, want)
			}
		}
	})
}
