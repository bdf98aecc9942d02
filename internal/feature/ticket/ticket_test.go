package ticket_test

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
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// testStore is a store and its database.
type testStore struct {
	*testing.T
	*ticket.Store
	db *db.DB
	// request is whoever asks in all tests but one.
	request string
}

func each(t *testing.T, test func(d testStore)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		key := secret.Random{}.Bytes(secret.KeySize)
		s := ticket.NewStore(func() []byte { return key }, secret.Random{})
		test(testStore{t, s, d, s.NewRequest()})
	})
}

func (d testStore) write(fn func(tx *db.Tx) error) {
	d.Helper()
	if err := d.db.Write(context.Background(), fn); err != nil {
		d.Fatal(err)
	}
}

func (d testStore) issue(p ticket.Purpose, key string, at time.Time) (s ticket.Secrets) {
	d.Helper()
	d.write(func(tx *db.Tx) error {
		s = d.Issue(tx, ticket.Ticket{Purpose: p, Account: "account of " + key, Address: key, AddressKey: key, Request: d.request}, at)
		return nil
	})
	return s
}

// try tries a code and returns the code of the fault, or "ok".
func (d testStore) try(key, code string, at time.Time, p, or ticket.Purpose) (said string) {
	d.Helper()
	d.write(func(tx *db.Tx) error {
		t, refused, err := d.Try(tx, key, code, []string{d.request}, at, p, or)
		switch {
		case refused != nil:
			said = refused.Code
		case t.Account == "account of "+key:
			said = "ok"
		default:
			said = "another's"
		}
		return err
	})
	return said
}

func (d testStore) find(token string, at time.Time, p, or ticket.Purpose) (t ticket.Ticket, err error) {
	err = d.db.Read(context.Background(), func(tx *db.Tx) error {
		t, err = ticket.ByToken(tx, token, at, p, or)
		return err
	})
	return t, err
}

func TestATicketIsForOnePurposeAndAWhile(t *testing.T) {
	each(t, func(d testStore) {
		for _, p := range []ticket.Purpose{ticket.Verify, ticket.Reset, ticket.Change, ticket.Undo, ticket.NotMe} {
			s := d.issue(p, "ada@example.org", start)
			if !strings.HasPrefix(s.Token, "gatehouse_mt_") || len(s.Token) != len("gatehouse_mt_")+43 {
				d.Errorf("the token %q", s.Token)
			}
			last := start.Add(p.Life())
			for _, bad := range []string{"", s.Token + "x", s.Token[:len(s.Token)-1], strings.ToUpper(s.Token), strings.TrimPrefix(s.Token, "gatehouse_mt_")} {
				if _, err := d.find(bad, start, p, p); !errors.Is(err, ticket.ErrLink) {
					d.Errorf("%q: %v", bad, err)
				}
			}
			if _, err := d.find(s.Token, last.Add(-time.Microsecond), p, p); err != nil {
				d.Errorf("%s just before its end: %v", p, err)
			}
			if _, err := d.find(s.Token, last, p, p); !errors.Is(err, ticket.ErrLink) {
				d.Errorf("%s at its end: %v", p, err)
			}
			other := ticket.Reset
			if p == other {
				other = ticket.Verify
			}
			if _, err := d.find(s.Token, start, other, other); !errors.Is(err, ticket.ErrLink) {
				d.Errorf("%s for %s: %v", p, other, err)
			}
		}
	})
}

func TestOfSixteenAtOnceOneConsumes(t *testing.T) {
	each(t, func(d testStore) {
		s := d.issue(ticket.Reset, "ada@example.org", start)
		one, err := d.find(s.Token, start, ticket.Reset, ticket.Reset)
		if err != nil {
			d.Fatal(err)
		}
		var (
			won atomic.Int64
			wg  sync.WaitGroup
		)
		for range 16 {
			wg.Go(func() {
				err := d.db.Write(context.Background(), func(tx *db.Tx) error { return ticket.Consume(tx, one, start) })
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, ticket.ErrLink) {
					d.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			d.Errorf("%d won", won.Load())
		}
	})
}

func TestCodes(t *testing.T) {
	each(t, func(d testStore) {
		const ada, bob = "ada@example.org", "bob@example.org"
		reset, verify := d.issue(ticket.Reset, ada, start), d.issue(ticket.Verify, ada, start)
		for _, step := range []struct {
			name, key, code string
			after           time.Duration
			p               ticket.Purpose
			want            string
		}{
			{"right", ada, reset.Code, 0, ticket.Reset, "ok"},
			{"for another purpose", ada, verify.Code, 0, ticket.Reset, "invalid_code"},
			{"for another address", bob, reset.Code, 0, ticket.Reset, "invalid_code"},
			{"none", ada, "", 0, ticket.Verify, "invalid_code"},
			{"just before its end", ada, verify.Code, ticket.CodeLife - time.Microsecond, ticket.Verify, "ok"},
			{"at its end", ada, verify.Code, ticket.CodeLife, ticket.Verify, "invalid_code"},
		} {
			if got := d.try(step.key, step.code, start.Add(step.after), step.p, step.p); got != step.want {
				d.Errorf("%s: %s, want %s", step.name, got, step.want)
			}
		}
		// Of two mails either code works, in the browser that asked for both; five wrong ones
		// there kill both, and no link.
		first, second := d.issue(ticket.Reset, bob, start), d.issue(ticket.Reset, bob, start)
		for range 3 {
			d.try(bob, "22222222", start, ticket.Reset, ticket.Reset)
		}
		for _, s := range []ticket.Secrets{first, second} {
			if got := d.try(bob, s.Code, start, ticket.Reset, ticket.Reset); got != "ok" {
				d.Errorf("the code of one of two mails: %s", got)
			}
		}
		if got := d.try(bob, second.Code, start, ticket.Reset, ticket.Reset); got != "invalid_code" {
			d.Errorf("after five tries: %s", got)
		}
		for _, s := range []ticket.Secrets{first, second} {
			if _, err := d.find(s.Token, start, ticket.Reset, ticket.Reset); err != nil {
				d.Errorf("its link: %v", err)
			}
		}
	})
}

// A code is good with the request that it was sent for, and tries with another cost it
// nothing (ASVS 6.6.2).
func TestACodeIsGoodWithItsRequest(t *testing.T) {
	each(t, func(d testStore) {
		const ada = "ada@example.org"
		mine, thiefs := d.request, d.NewRequest()
		if mine == thiefs || len(mine) != 22 {
			d.Fatalf("requests: %q and %q", mine, thiefs)
		}
		s := d.issue(ticket.Reset, ada, start)
		with := func(requests ...string) (said string) {
			d.Helper()
			d.write(func(tx *db.Tx) error {
				_, refused, err := d.Try(tx, ada, s.Code, requests, start, ticket.Reset, ticket.Reset)
				if said = "ok"; refused != nil {
					said = refused.Code
				}
				return err
			})
			return said
		}
		for range 2 {
			for _, bad := range [][]string{nil, {""}, {thiefs}, {mine + "A"}, {mine[:21]}, {strings.ToUpper(mine) + "a"}, {thiefs, thiefs, thiefs, thiefs, mine}} {
				if got := with(bad...); got != "invalid_code" {
					d.Errorf("with %q: %s", bad, got)
				}
			}
		}
		if got := with(thiefs, "", thiefs, mine); got != "ok" {
			d.Errorf("with the right one among others: %s", got)
		}
		// What nobody asked for has no code.
		d.request = ""
		if s := d.issue(ticket.Reset, ada, start); s.Code != "" || s.Token == "" {
			d.Errorf("without a request: %+v", s)
		}
	})
}

func TestADayHasTwentyTries(t *testing.T) {
	each(t, func(d testStore) {
		const ada, nobody = "ada@example.org", "nobody@example.org"
		var taken atomic.Int64
		for _, key := range []string{ada, nobody} {
			taken.Store(0)
			var wg sync.WaitGroup
			for range 4 {
				d.issue(ticket.Reset, ada, start) // a resend resets nothing
				for range 8 {
					wg.Go(func() {
						if d.try(key, "22222222", start, ticket.Reset, ticket.Verify) == "invalid_code" {
							taken.Add(1)
						}
					})
				}
			}
			wg.Wait()
			if taken.Load() != 20 {
				d.Errorf("%s: %d tries", key, taken.Load())
			}
		}
		s := d.issue(ticket.Reset, ada, start)
		if got := d.try(ada, s.Code, start, ticket.Reset, ticket.Reset); got != "too_many_codes" {
			d.Errorf("the right code: %s", got)
		}
		tomorrow := start.Add(24 * time.Hour)
		s = d.issue(ticket.Reset, ada, tomorrow)
		if got := d.try(ada, s.Code, tomorrow, ticket.Reset, ticket.Reset); got != "ok" {
			d.Errorf("tomorrow: %s", got)
		}
		d.write(func(tx *db.Tx) error {
			tries, err := ticket.ForgetTries(tx, db.Batch{Before: db.Micros(tomorrow.Add(time.Second)), Keys: 9})
			if err != nil || tries.Due != 2 {
				d.Errorf("%+v counts forgotten, error %v", tries, err)
			}
			tickets, err := ticket.Forget(tx, db.Batch{Before: db.Micros(tomorrow), Keys: 3})
			if tickets.Due != 3 || tickets.Looked != 3 {
				d.Errorf("%+v tickets forgotten", tickets)
			}
			return err
		})
	})
}

func TestVoidKeepsTheWayBack(t *testing.T) {
	each(t, func(d testStore) {
		tokens := map[ticket.Purpose]string{}
		fill := func() {
			for _, p := range []ticket.Purpose{ticket.Verify, ticket.Reset, ticket.Change, ticket.Undo, ticket.NotMe} {
				tokens[p] = d.issue(p, "ada@example.org", start).Token
			}
		}
		left := func() (out []ticket.Purpose) {
			for _, p := range []ticket.Purpose{ticket.Verify, ticket.Reset, ticket.Change, ticket.Undo, ticket.NotMe} {
				if _, err := d.find(tokens[p], start, p, p); err == nil {
					out = append(out, p)
				}
			}
			return out
		}
		fill()
		d.write(func(tx *db.Tx) error { return ticket.VoidSent(tx, "account of ada@example.org") })
		if l := left(); len(l) != 2 || l[0] != ticket.Undo || l[1] != ticket.NotMe {
			d.Errorf("after a change of address: %v", l)
		}
		d.write(func(tx *db.Tx) error { return ticket.Void(tx, "account of ada@example.org") })
		if l := left(); len(l) != 1 || l[0] != ticket.Undo {
			d.Errorf("after a change of the password: %v", l)
		}
	})
}

func TestParseCode(t *testing.T) {
	for typed, want := range map[string]string{
		"ABCD2345": "ABCD2345", "abcd2345": "ABCD2345", " abcd-2345 ": "ABCD2345", "ab cd 23 45": "ABCD2345",
		"": "", "ABCD234": "", "ABCD23456": "", "ABCD234O": "", "ABCD2340": "", "ABCD2341": "", "АBCD2345": "", "ABCD234\x00": "",
	} {
		if got := ticket.ParseCode(typed); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

func FuzzParseCode(f *testing.F) {
	for _, s := range []string{"", "ABCD2345", "abcd-2345", strings.Repeat("A", 9), "\xff", "ı2345678"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code := ticket.ParseCode(typed)
		if code != "" && (len(code) != 8 || ticket.ParseCode(code) != code) {
			t.Errorf("%q became %q", typed, code)
		}
	})
}
