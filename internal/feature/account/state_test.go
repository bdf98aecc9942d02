package account_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// signedIn records a sign-in of an account whose password and factors never changed, and
// whose password was compared with the hash.
func signedIn(d *db.DB, id, hash, upgrade string, now time.Time) (roles []string, err error) {
	return signedInAs(d, id, 0, 0, account.Rehash{Old: hash, New: upgrade}, now)
}

// signedInAs records a sign-in that has looked at an account whose password and factors had changed so often.
func signedInAs(d *db.DB, id string, passwordN, factorN int64, r account.Rehash, now time.Time) (roles []string, err error) {
	err = d.Write(ctx, func(tx *db.Tx) error {
		in, err := account.SignedIn(tx, id, passwordN, factorN, r, now)
		roles = in.Roles
		return err
	})
	return roles, err
}

func hashOf(t *testing.T, d *db.DB, address string) string {
	t.Helper()
	var c account.Credentials
	if err := d.Read(ctx, func(tx *db.Tx) (err error) { c, err = account.ByAddress(tx, parse(t, address)); return err }); err != nil {
		t.Fatal(err)
	}
	return c.Hash
}

func TestPW2_SignedInUpgradesOnlyTheHashThatWasCompared(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const address = "jane@example.org"
		id := create(t, d, address, "writer")
		at := start
		for _, step := range []struct {
			name, hash, upgrade string
			passwordN, factorN  int64
			fails               bool
			leaves              string
		}{
			{"as it stands", "hash of jane@example.org", "", 0, 0, false, "hash of jane@example.org"},
			{"a better hash", "hash of jane@example.org", "better", 0, 0, false, "better"},
			{"the old hash again", "hash of jane@example.org", "evil", 0, 0, false, "better"},
			{"no hash", "", "evil", 0, 0, false, "better"},
			{"the password before", "better", "evil", -1, 0, true, "better"},
			{"a password to come", "better", "evil", 1, 0, true, "better"},
			{"other factors", "better", "evil", 0, 1, true, "better"},
			{"the new one", "better", "", 0, 0, false, "better"},
		} {
			at = at.Add(time.Minute)
			before := byID(t, d, id).SignedInAt
			roles, err := signedInAs(d, id, step.passwordN, step.factorN, account.Rehash{Old: step.hash, New: step.upgrade}, at)
			if step.fails {
				if !errors.Is(err, account.ErrNotFound) || roles != nil || !byID(t, d, id).SignedInAt.Equal(before) {
					t.Errorf("%s: roles %v, error %v, signed in at %v", step.name, roles, err, byID(t, d, id).SignedInAt)
				}
			} else if err != nil || !cmp.Equal(roles, []string{"writer"}) || !byID(t, d, id).SignedInAt.Equal(at) {
				t.Errorf("%s: roles %v, error %v, signed in at %v, want %v", step.name, roles, err, byID(t, d, id).SignedInAt, at)
			}
			if got := hashOf(t, d, address); got != step.leaves {
				t.Errorf("%s leaves the hash %q, want %q", step.name, got, step.leaves)
			}
		}
		if _, err := signedIn(d, secret.Random{}.ID(start), "better", "", at); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("nobody signed in: %v", err)
		}
	})
}

func TestPW2_SixteenUpgradesAtOnceLeaveOneHash(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const address = "jane@example.org"
		id := create(t, d, address)
		var mu sync.Mutex
		var winners []string
		together(func(i int) {
			better := fmt.Sprint("better ", i)
			_, err := signedIn(d, id, "hash of "+address, better, start)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				winners = append(winners, better)
			} else if !errors.Is(err, account.ErrNotFound) {
				t.Error(err)
			}
		})
		// All have shown the same password, so all are signed in; one form of it stays.
		if got := hashOf(t, d, address); len(winners) != 16 || !slices.Contains(winners, got) {
			t.Errorf("%v signed in, and the hash is %q", winners, got)
		}
	})
}

// ASVS 7.4.2: disabling counts from that moment on.
func TestADisabledAccountDoesNotSignIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		id := create(t, d, "jane@example.org")
		other := create(t, d, "eve@example.org")
		at := start
		for _, step := range []struct{ disable, changes bool }{{false, false}, {true, true}, {true, false}, {true, false}, {false, true}, {false, false},
			{true, true}} {
			at = at.Add(time.Minute)
			before := byID(t, d, id).DisabledAt
			var changed bool
			write(t, d, func(tx *db.Tx) (err error) { changed, err = account.SetDisabled(tx, id, step.disable, at); return err })
			if changed != step.changes {
				t.Errorf("disabled %v: changed %v, want %v", step.disable, changed, step.changes)
			}
			want := time.Time{}
			if step.disable && step.changes {
				want = at
			} else if step.disable {
				want = before // when it was, not when it was asked again
			}
			if got := byID(t, d, id).DisabledAt; !got.Equal(want) {
				t.Errorf("disabled at %v, want %v", got, want)
			}
			if _, err := signedIn(d, id, "hash of jane@example.org", "better", at); errors.Is(err, account.ErrNotFound) != step.disable {
				t.Errorf("disabled %v: signing in gave %v", step.disable, err)
			}
			if !step.disable { // take the upgrade back
				if _, err := signedIn(d, id, "better", "hash of jane@example.org", at); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !byID(t, d, other).DisabledAt.IsZero() {
			t.Error("somebody else was disabled too")
		}
		write(t, d, func(tx *db.Tx) error {
			changed, err := account.SetDisabled(tx, secret.Random{}.ID(start), true, start)
			if changed {
				t.Error("nobody was disabled, and that was a change")
			}
			return err
		})
	})
}

func TestASignInRacesWithDisabling(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for i := range 10 {
			id := create(t, d, fmt.Sprintf("j%d@example.org", i))
			var late sync.Map // those who began after the account was disabled
			var gone sync.WaitGroup
			gone.Add(1)
			together(func(n int) {
				if n == 0 {
					defer gone.Done()
					if err := d.Write(ctx, func(tx *db.Tx) error { _, err := account.SetDisabled(tx, id, true, start); return err }); err != nil {
						t.Error(err)
					}
					return
				}
				if n > 7 {
					gone.Wait()
					late.Store(n, true)
				}
				_, err := signedIn(d, id, fmt.Sprintf("hash of j%d@example.org", i), "", start)
				if _, after := late.Load(n); after && !errors.Is(err, account.ErrNotFound) || err != nil && !errors.Is(err, account.ErrNotFound) {
					t.Errorf("signed in after it was disabled: %v, error %v", after, err)
				}
			})
		}
	})
}

func TestSetRolesAndProfile(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		id := create(t, d, "jane@example.org", "admin")
		other := create(t, d, "eve@example.org", "reader")
		untouched := byID(t, d, other)
		want := byID(t, d, id)
		for i, roles := range [][]string{{"reader", "writer"}, {}, {"admin"}, nil} {
			write(t, d, func(tx *db.Tx) error {
				n, err := account.SetRoles(tx, id, roles)
				if n != int64(i+1) {
					t.Errorf("the change %d is counted as %d", i+1, n)
				}
				return err
			})
			want.Roles = append([]string{}, roles...)
			if diff := cmp.Diff(want, byID(t, d, id)); diff != "" {
				t.Errorf("roles %v:\n%s", roles, diff)
			}
		}
		name, none, locale := "Jane \"Q\" Doe'; DROP TABLE account; --", "", "de-AT"
		for _, step := range []struct{ name, locale *string }{{nil, nil}, {&name, nil}, {nil, &locale}, {&none, &locale}, {&name, &none}} {
			if step.name != nil {
				want.Name = *step.name
			}
			if step.locale != nil {
				want.Locale = *step.locale
			}
			write(t, d, func(tx *db.Tx) error {
				got, err := account.SetProfile(tx, id, step.name, step.locale)
				if diff := cmp.Diff(want, got); err == nil && diff != "" {
					t.Error(diff)
				}
				return err
			})
			if diff := cmp.Diff(want, byID(t, d, id)); diff != "" {
				t.Error(diff)
			}
		}
		if diff := cmp.Diff(untouched, byID(t, d, other)); diff != "" {
			t.Errorf("somebody else was changed too:\n%s", diff)
		}
		nobody := secret.Random{}.ID(start)
		write(t, d, func(tx *db.Tx) error {
			if _, err := account.SetRoles(tx, nobody, []string{"admin"}); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("roles of nobody: %v", err)
			}
			if _, err := account.SetProfile(tx, nobody, &name, nil); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("profile of nobody: %v", err)
			}
			return nil
		})
	})
}
