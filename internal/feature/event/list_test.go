package event_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

func (k *testLog) ofPerson(t testing.TB, account, before string, limit int) (page []event.Entry) {
	t.Helper()
	err := k.db.Read(ctx, func(tx *db.Tx) (err error) { page, err = k.OfPerson(tx, account, before, limit); return err })
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// sessions names the entries by their session, which the tests number.
func sessions(page []event.Entry) (names []string) {
	for _, e := range page {
		names = append(names, e.Session)
	}
	return names
}

// fill appends seven events of one account among as many of others and of
// nobody.
func (k *testLog) fill(t testing.TB) {
	t.Helper()
	for i := range 7 {
		for _, account := range []string{"jane", "eve", "", "janet"} {
			k.append(t, event.Event{Kind: event.TokenRefresh, Outcome: event.Success, Account: account, Session: fmt.Sprint(account, i)})
		}
	}
}

func TestOfPersonReadsBackWhatWasAppended(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestLog(d, secret.Random{})
		e := full(event.RoleChange)
		k.append(t, e)
		e.Origin.Address, e.Outcome = e.Origin.Address.Prev(), event.Failure
		k.append(t, e, event.Event{Kind: event.Logout, Outcome: event.Success, Account: "account-1"})
		all := k.stored(t)
		want := []event.Entry{
			{ID: all[2].id, Time: start.Add(2 * time.Second), Kind: event.Logout, Outcome: event.Success, Account: "account-1"},
			{
				ID: all[1].id, Time: start.Add(time.Second), Kind: event.RoleChange, Outcome: event.Failure, Account: "account-1", Session: "session-1",
				RequestID: "request-1", Address: "2001:db8::6", UserAgent: e.Origin.UserAgent, Detail: e.Detail,
			},
			{
				ID: all[0].id, Time: start, Kind: event.RoleChange, Outcome: event.Success, Account: "account-1", Session: "session-1",
				RequestID: "request-1", Address: "2001:db8::7", UserAgent: e.Origin.UserAgent, Detail: e.Detail,
			},
		}
		if diff := cmp.Diff(want, k.ofPerson(t, "account-1", "", 10)); diff != "" {
			t.Error(diff)
		}
	})
}

func (k *testLog) checkPages(t *testing.T) {
	t.Helper()
	for limit, want := range map[int][]string{
		1: {"jane6", "jane5", "jane4", "jane3", "jane2", "jane1", "jane0"}, 3: {"jane6 jane5 jane4", "jane3 jane2 jane1", "jane0"},
		7: {"jane6 jane5 jane4 jane3 jane2 jane1 jane0"}, 100: {"jane6 jane5 jane4 jane3 jane2 jane1 jane0"},
	} {
		var pages []string
		for before := ""; len(pages) < 9; {
			page := k.ofPerson(t, "jane", before, limit)
			if len(page) == 0 {
				break
			}
			pages = append(pages, strings.Join(sessions(page), " "))
			before = page[len(page)-1].ID
		}
		if diff := cmp.Diff(want, pages); diff != "" {
			t.Errorf("pages of %d:\n%s", limit, diff)
		}
	}
}

func TestOfPersonPages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestLog(d, secret.Random{})
		k.fill(t)
		k.checkPages(t)
		newest := k.ofPerson(t, "jane", "", 1)[0]
		for before, want := range map[string]int{
			newest.ID: 6, secret.FirstID(newest.Time.Truncate(time.Millisecond)): 6, secret.FirstID(newest.Time.Add(time.Second)): 7,
			secret.FirstID(start): 0, "0": 0, "~": 7, "no id at all": 7, "' OR '1'='1": 0,
		} {
			page := k.ofPerson(t, "jane", before, 100)
			if len(page) != want {
				t.Errorf("before %q: %v, want %d", before, sessions(page), want)
			}
		}
		if page := k.ofPerson(t, "jane", "", 0); len(page) != 0 {
			t.Errorf("none were wanted: %v", sessions(page))
		}
	})
}

// PostgreSQL's databases sort by a language's rules unless told otherwise, and
// those put some characters where ASCII does not.
func TestOfPersonPagesInADatabaseThatSortsByLanguage(t *testing.T) {
	dbURL := dbtest.EmptyPostgres(t)
	u, err := url.Parse(dbURL)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	dbtest.Superuser(t, `DROP DATABASE `+name)
	dbtest.Superuser(t, `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'`)
	d := dbtest.Open(t, dbURL)
	if _, err := d.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	k := newTestLog(d, secret.Random{})
	k.fill(t)
	k.checkPages(t)
}

// ASVS 8.2.2: nobody reads what is another's.
func TestOfPersonShowsNobodyElsesEvents(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestLog(d, secret.Random{})
		k.fill(t)
		others := k.ofPerson(t, "eve", "", 100)
		for _, before := range []string{"", others[0].ID, others[3].ID} {
			for _, e := range k.ofPerson(t, "jane", before, 100) {
				if e.Account != "jane" {
					t.Errorf("before %q: jane is shown %+v", before, e)
				}
			}
		}
		for _, stranger := range []string{"jan", "JANE", "jane ", "j%", "jane0", "' OR '1'='1"} {
			if page := k.ofPerson(t, stranger, "", 100); len(page) != 0 {
				t.Errorf("%q is shown %v", stranger, sessions(page))
			}
		}
	})
}
