package account_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

var (
	ctx   = context.Background()
	start = time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)
)

func write(t *testing.T, d *db.DB, fn func(*db.Tx) error) {
	t.Helper()
	if err := d.Write(ctx, fn); err != nil {
		t.Fatal(err)
	}
}

// create makes an account for the address and returns its id.
func create(t *testing.T, d *db.DB, address string, roles ...string) (id string) {
	t.Helper()
	write(t, d, func(tx *db.Tx) error {
		made, created, err := account.Create(tx, account.New{
			ID: secret.Random{}.ID(start), Address: parse(t, address), Hash: "hash of " + address, Roles: roles,
		}, start)
		if err == nil && !created {
			t.Errorf("%s has an account already", address)
		}
		id = made.ID
		return err
	})
	return id
}

func byID(t *testing.T, d *db.DB, id string) (a account.Account) {
	t.Helper()
	if err := d.Read(ctx, func(tx *db.Tx) (err error) { a, err = account.ByID(tx, id); return err }); err != nil {
		t.Fatal(err)
	}
	return a
}

// together runs the function sixteen times at once.
func together(f func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(16)
	for i := range 16 {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	done.Wait()
}

func TestCreateAndReadBack(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		id := create(t, d, "Jane+news@Bücher.example", "admin", "writer")
		want := account.Account{ID: id, Email: "Jane+news@Bücher.example", Roles: []string{"admin", "writer"}, CreatedAt: start}
		if diff := cmp.Diff(want, byID(t, d, id)); diff != "" {
			t.Error(diff)
		}
		verified := secret.Random{}.ID(start)
		write(t, d, func(tx *db.Tx) error {
			_, _, err := account.Create(tx, account.New{ID: verified, Address: parse(t, "v@x.org"), Hash: "h", Verified: true}, start)
			return err
		})
		want = account.Account{ID: verified, Email: "v@x.org", Roles: []string{}, CreatedAt: start, VerifiedAt: start}
		if diff := cmp.Diff(want, byID(t, d, verified)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSixteenAtOnceMakeOneAccount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		spellings := []string{"Jane@Bücher.example", "jane@bücher.example", "JANE@xn--bcher-kva.example", "jane@BÜCHER.EXAMPLE"}
		for round := range 5 {
			var mu sync.Mutex
			made, ids := 0, map[string]bool{}
			together(func(i int) {
				var a account.Account
				var created bool
				address := parse(t, fmt.Sprintf("r%d", round)+spellings[i%len(spellings)])
				err := d.Write(ctx, func(tx *db.Tx) (err error) {
					a, created, err = account.Create(tx, account.New{ID: secret.Random{}.ID(start), Address: address, Hash: fmt.Sprint("hash ", i)}, start)
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if created {
					made++
				}
				ids[a.ID] = true
			})
			if made != 1 || len(ids) != 1 {
				t.Fatalf("%d made it, and %d ids were told: %v", made, len(ids), ids)
			}
			for id := range ids {
				byID(t, d, id)
			}
		}
	})
}

func TestByAddressTellsWhatTheSignInNeeds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		id := create(t, d, "jane@example.org")
		create(t, d, "eve@example.org")
		look := func(address string) (c account.Credentials, err error) {
			err = d.Read(ctx, func(tx *db.Tx) (err error) { c, err = account.ByAddress(tx, parse(t, address)); return err })
			return c, err
		}
		want := account.Credentials{
			ID: id, Email: "jane@example.org", Key: "jane@example.org", Hash: "hash of jane@example.org", PasswordAt: start, Roles: []string{},
		}
		if c, err := look("JANE@EXAMPLE.ORG"); err != nil || !cmp.Equal(c, want) {
			t.Errorf("%+v, error %v, want %+v", c, err, want)
		}
		write(t, d, func(tx *db.Tx) error {
			for _, changes := range []bool{true, false} {
				if changed, err := account.SetVerified(tx, id, start); err != nil || changed != changes {
					t.Errorf("verified: changed %v, error %v", changed, err)
				}
			}
			_, err := account.SetDisabled(tx, id, true, start)
			return err
		})
		want.Verified, want.Disabled = true, true
		if c, err := look("jane@example.org"); err != nil || !cmp.Equal(c, want) {
			t.Errorf("%+v, error %v, want %+v", c, err, want)
		}
		for _, unknown := range []string{"jan@example.org", "jane@example.com", "j_ne@example.org", "%@example.org"} {
			if c, err := look(unknown); !errors.Is(err, account.ErrNotFound) || !cmp.Equal(c, account.Credentials{}) {
				t.Errorf("%s: %+v, error %v", unknown, c, err)
			}
		}
	})
}

func TestFindTakesAnIDOrAnyFormOfTheAddress(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		id := create(t, d, "Jane@Bücher.example")
		create(t, d, "eve@example.org")
		find := func(what string) (a account.Account, err error) {
			err = d.Read(ctx, func(tx *db.Tx) (err error) { a, err = account.Find(tx, what); return err })
			return a, err
		}
		for _, what := range []string{id, "Jane@Bücher.example", "JANE@BÜCHER.EXAMPLE", "jane@xn--bcher-kva.example"} {
			if a, err := find(what); err != nil || a.ID != id || a.Email != "Jane@Bücher.example" {
				t.Errorf("%s: %+v, error %v", what, a, err)
			}
		}
		for _, what := range []string{"", id[:35], strings.ToUpper(id) + "0", "jane", "jane@", "%", "' OR '1'='1", "jane@bucher.example", secret.FirstID(start)} {
			if a, err := find(what); !errors.Is(err, account.ErrNotFound) || a.ID != "" {
				t.Errorf("%q: %+v, error %v", what, a, err)
			}
		}
	})
}

func TestListPages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var want []string
		for i := range 7 {
			write(t, d, func(tx *db.Tx) error {
				a, _, err := account.Create(tx, account.New{
					ID: secret.Random{}.ID(start.Add(time.Duration(i) * time.Second)), Address: parse(t, fmt.Sprintf("p%d@x.org", 9-i)), Hash: "h",
				}, start)
				want = append(want, a.ID)
				return err
			})
		}
		var got []string
		var sizes []int
		for after := ""; len(sizes) < 9; {
			var page []account.Account
			if err := d.Read(ctx, func(tx *db.Tx) (err error) { page, err = account.List(tx, after, 3); return err }); err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, len(page))
			if len(page) == 0 {
				break
			}
			for _, a := range page {
				got = append(got, a.ID)
			}
			after = got[len(got)-1]
		}
		if !cmp.Equal(got, want) || !cmp.Equal(sizes, []int{3, 3, 1, 0}) {
			t.Errorf("pages of %v: %v, want %v", sizes, got, want)
		}
	})
}
