package factor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor/passkeytest"
)

// in runs a transaction that must not fail.
func in(t testing.TB, d *db.DB, do func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

// owned adds a key to an account that is made for it, and returns its row.
func owned(t testing.TB, d *db.DB, p *factor.Passkeys, k *passkeytest.Key, id string, now time.Time, forge ...func(*passkeytest.Ceremony)) factor.Passkey {
	t.Helper()
	in(t, d, func(tx *db.Tx) error {
		_, _, err := account.Create(tx, account.New{ID: id, Address: account.Address{Typed: id + "@example.org", Key: id + "@example.org"}, Hash: "x"}, now)
		return err
	})
	row, err := made(t, p, k, now, forge...)
	if err != nil {
		t.Fatal(err)
	}
	row.Account = id
	in(t, d, func(tx *db.Tx) error {
		if _, err := account.Handle(tx, id, k.Handle); err != nil {
			return err
		}
		return p.AddPasskey(tx, row, k.Handle, now)
	})
	return read(t, d, k)
}

func read(t testing.TB, d *db.DB, k *passkeytest.Key) (row factor.Passkey) {
	t.Helper()
	in(t, d, func(tx *db.Tx) (err error) {
		found := false
		if row, found, err = factor.PasskeyByCredential(tx, k.ID); err == nil && !found {
			t.Fatal("the passkey is gone")
		}
		return err
	})
	return row
}

func TestARowIsReadAsItWasWritten(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		p, now := passkeys(t), time.Now().Truncate(time.Microsecond).UTC()
		k := passkeytest.NewKey(t, passkeytest.ES256, handle)
		k.Counter = 4_000_000_000
		row := owned(t, d, p, k, "anna", now, func(c *passkeytest.Ceremony) {
			c.Flags = present | attested | eligible
			c.AAGUID = [16]byte{0xea, 0x9b, 0x8d, 0x66, 0x4d, 0x01, 0x1d, 0x21, 0x3c, 0xe4, 0xb6, 0xb4, 0x8c, 0xb5, 0x75, 0xd4}
		})
		want := factor.Passkey{
			ID: row.ID, Account: "anna", RPID: ourHost, Credential: k.ID, PublicKey: k.COSE(), Counter: 4_000_000_000, Eligible: true,
			Discoverable: true, AAGUID: "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", Transports: []string{"internal"}, Name: "Google Password Manager", MadeAt: now,
		}
		if a, b := fmt.Sprintf("%+v", row), fmt.Sprintf("%+v", want); !bytes.Equal(unsigned(a), unsigned(b)) {
			t.Errorf("read\n%s\nwant\n%s", a, b)
		}
		in(t, d, func(tx *db.Tx) error {
			if err := factor.RenamePasskey(tx, "anna", row.ID, "Phone"); err != nil {
				t.Error(err)
			}
			if err := factor.RenamePasskey(tx, "bert", row.ID, "Mine"); !errors.Is(err, factor.ErrNoPasskey) {
				t.Errorf("another's passkey: %v", err)
			}
			if err := factor.RemovePasskey(tx, "bert", row.ID); !errors.Is(err, factor.ErrNoPasskey) {
				t.Errorf("another's passkey: %v", err)
			}
			list, err := factor.PasskeysOf(tx, "anna")
			if err != nil || len(list) != 1 || list[0].Name != "Phone" {
				t.Errorf("%+v, %v", list, err)
			}
			return factor.RemovePasskey(tx, "anna", row.ID)
		})
	})
}

// unsigned is a printed row without its MAC, which is random to whoever reads it.
func unsigned(row string) []byte {
	before, rest, _ := bytes.Cut([]byte(row), []byte("mac:["))
	_, after, _ := bytes.Cut(rest, []byte("]"))
	return slices.Concat(before, after)
}

// Whoever can write to the database and has no JWT_SECRET_KEY plants no key of their own, nor moves one.
func TestARowThatWasWrittenByOthersIsNotOurs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		p, now := passkeys(t), time.Now()
		k := passkeytest.NewKey(t, passkeytest.ES256, handle)
		row := owned(t, d, p, k, "anna", now)
		if !p.Genuine(row, handle) {
			t.Fatal("our own row is not ours")
		}
		planted := passkeytest.NewKey(t, passkeytest.ES256, handle)
		for name, change := range map[string]func(*factor.Passkey){
			"another key":     func(r *factor.Passkey) { r.PublicKey = planted.COSE() },
			"another id":      func(r *factor.Passkey) { r.Credential = planted.ID },
			"another account": func(r *factor.Passkey) { r.Account = "bert" },
			"another RP ID":   func(r *factor.Passkey) { r.RPID = "old.example.org" },
		} {
			other := row
			if change(&other); p.Genuine(other, handle) {
				t.Errorf("a row with %s is ours", name)
			}
		}
		if p.Genuine(row, bytes.Repeat([]byte{8}, factor.HandleSize)) || p.Genuine(row, nil) {
			t.Error("a row with another handle is ours")
		}
		if other := passkeys(t, bytes.Repeat([]byte{3}, 32)); other.Genuine(row, handle) {
			t.Error("a row is ours without its key")
		}
		if both := passkeys(t, bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{3}, 32)); !both.Genuine(row, handle) {
			t.Error("a row is not ours once there is a newer key")
		}
	})
}

// What a counter and the flags of copies say: taken, or the key becomes suspect, which it stays until its owner says
// otherwise.
func TestACounterThatDoesNotRiseTellsOfACopy(t *testing.T) {
	yes, no := true, false
	cases := []struct {
		name             string
		counter, signed  uint32
		eligible, copied bool
		ok               bool
	}{
		{"never counted", 0, 0, no, no, yes}, {"first count", 0, 1, no, no, yes}, {"rose", 5, 6, no, no, yes}, {"jumped", 5, 4_294_967_294, no, no, yes},
		{"the same", 5, 5, no, no, no}, {"fell", 5, 4, no, no, no}, {"fell to none", 5, 0, no, no, no},
		{"synced, the same", 5, 5, yes, yes, yes}, {"synced, fell", 5, 0, yes, yes, yes}, {"synced, none", 0, 0, yes, yes, yes},
		{"synced since", 0, 0, no, yes, yes}, {"synced no more", 0, 0, yes, no, yes}, {"synced no more, counts", 0, 3, yes, no, yes},
		{"a hardware key that became a copy", 5, 6, no, yes, no}, {"a flag that hides that it fell", 5, 1, no, yes, no},
		{"counted, synced no more", 5, 6, yes, no, no},
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		p, now := passkeys(t), time.Now()
		for i, c := range cases {
			k := passkeytest.NewKey(t, passkeytest.ES256, handle2(i))
			k.Counter = c.counter
			row := owned(t, d, p, k, fmt.Sprintf("account-%d", i), now, func(r *passkeytest.Ceremony) {
				if c.eligible {
					r.Flags |= eligible
				}
			})
			u := factor.Use{Counter: c.signed, Eligible: c.copied}
			in(t, d, func(tx *db.Tx) error {
				ok, err := factor.UsePasskey(tx, row.ID, u, now)
				if err != nil || ok != c.ok {
					t.Errorf("%s: taken %v, %v", c.name, ok, err)
				}
				if ok {
					return err
				}
				for _, first := range []bool{true, false} {
					if made, err := factor.SuspectPasskey(tx, row.ID, u, now); err != nil || made != first {
						t.Errorf("%s: suspect %v, %v", c.name, made, err)
					}
				}
				return nil
			})
			after := read(t, d, k)
			if c.ok {
				if after.Counter != c.signed || after.Eligible != c.copied || after.UsedAt.IsZero() || !after.Usable(ourHost) {
					t.Errorf("%s: %+v", c.name, after)
				}
				in(t, d, func(tx *db.Tx) error {
					if bad, err := factor.SuspectPasskey(tx, row.ID, factor.Use{Counter: c.signed + 1, Eligible: c.copied}, now); bad || err != nil {
						t.Errorf("%s: an answer that is right makes it suspect: %v", c.name, err)
					}
					return nil
				})
				continue
			}
			if after.Usable(ourHost) || after.Counter != c.counter {
				t.Errorf("%s: %+v", c.name, after)
			}
			in(t, d, func(tx *db.Tx) error {
				if ok, err := factor.UsePasskey(tx, row.ID, factor.Use{Counter: 4_294_967_295}, now); ok || err != nil {
					t.Errorf("%s: a suspect key opens something: %v", c.name, err)
				}
				return factor.ReinstatePasskey(tx, row.Account, row.ID)
			})
			if !read(t, d, k).Usable(ourHost) {
				t.Errorf("%s: it does not come back", c.name)
			}
		}
	})
}

func handle2(i int) []byte { return bytes.Repeat([]byte{byte(i + 20)}, factor.HandleSize) }

// crowd has n do something at once, each in a transaction, and counts those for which it was so.
func crowd(d *db.DB, n int, do func(tx *db.Tx, i int) (bool, error)) (won int, failed error) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for i := range n {
		wg.Go(func() {
			ok := false
			err := d.Write(context.Background(), func(tx *db.Tx) (err error) {
				ok, err = do(tx, i)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			} else if ok {
				won++
			}
		})
	}
	wg.Wait()
	return won, failed
}

func TestOfManyAtOnceOneSpendsAChallenge(t *testing.T) {
	d, p, now := openPostgres(t), passkeys(t), time.Now()
	k := passkeytest.NewKey(t, passkeytest.ES256, handle)
	row := owned(t, d, p, k, "anna", now)
	for round := range 25 {
		for _, n := range []int{16, 64} {
			a, err := factor.ParseAssertion(honest.Get(k, p.Alone(now).Challenge))
			if err != nil {
				t.Fatal(err)
			}
			u, err := p.Judge(a, row, handle, true)
			if err != nil {
				t.Fatal(err)
			}
			locks := round%2 == 0 // half of the rounds take the account's row first, as flows do
			won, err := crowd(d, n, func(tx *db.Tx, _ int) (bool, error) {
				if locks {
					if _, err := account.SignedIn(tx, "anna", 0, 0, account.Rehash{}, now); err != nil {
						return false, err
					}
				}
				ok, err := factor.SpendChallenge(tx, u.Challenge)
				if err != nil || !ok {
					return false, err
				}
				return factor.UsePasskey(tx, row.ID, u, now)
			})
			if won != 1 || err != nil {
				t.Fatalf("round %d: of %d at once %d signed in: %v", round, n, won, err)
			}
		}
	}
	in(t, d, func(tx *db.Tx) error {
		for _, at := range []struct {
			now  time.Time
			want int64
		}{{now.Add(factor.ChallengeLife), 0}, {now.Add(factor.ChallengeLife + 2*time.Minute), 50}} {
			if n, err := factor.ForgetChallenges(tx, at.now, 1000); err != nil || n != at.want {
				t.Errorf("%d are forgotten, want %d: %v", n, at.want, err)
			}
		}
		return nil
	})
}

// A hardware key that counts, and whose answers come at once: each count is taken once, in an order that rises.
func TestOfManyAtOnceOneCountIsTakenOnce(t *testing.T) {
	d, p, now := openPostgres(t), passkeys(t), time.Now()
	k := passkeytest.NewKey(t, passkeytest.ES256, handle)
	row := owned(t, d, p, k, "anna", now)
	for round := range uint32(25) {
		won, err := crowd(d, 64, func(tx *db.Tx, _ int) (bool, error) {
			return factor.UsePasskey(tx, row.ID, factor.Use{Counter: round + 1}, now)
		})
		if won != 1 || err != nil {
			t.Fatalf("round %d: %d took one count: %v", round, won, err)
		}
	}
}

func TestOfManyAtOnceTwentyPasskeysAreAdded(t *testing.T) {
	d, p, now := openPostgres(t), passkeys(t), time.Now()
	first := passkeytest.NewKey(t, passkeytest.ES256, handle)
	owned(t, d, p, first, "anna", now)
	rows := make([]factor.Passkey, 64)
	for i := range rows {
		row, err := made(t, p, passkeytest.NewKey(t, passkeytest.ES256, handle), now)
		if err != nil {
			t.Fatal(err)
		}
		row.Account = "anna"
		rows[i] = row
	}
	won, err := crowd(d, len(rows), func(tx *db.Tx, i int) (bool, error) {
		if _, err := account.Handle(tx, "anna", nil); err != nil { // takes the account's row
			return false, err
		}
		err := p.AddPasskey(tx, rows[i], handle, now)
		if errors.Is(err, factor.ErrTooManyPasskeys) {
			return false, nil
		}
		return err == nil, err
	})
	if won != factor.PasskeysMost-1 || err != nil {
		t.Errorf("%d were added beside one: %v", won, err)
	}
}

func TestOfManyAtOnceOneAccountGetsACredential(t *testing.T) {
	d, p, now := openPostgres(t), passkeys(t), time.Now()
	for i := range 64 {
		anAccount(t, d, fmt.Sprintf("account-%d", i))
	}
	for range 5 {
		row, err := made(t, p, passkeytest.NewKey(t, passkeytest.ES256, handle), now)
		if err != nil {
			t.Fatal(err)
		}
		won, err := crowd(d, 64, func(tx *db.Tx, i int) (bool, error) {
			mine := row
			mine.Account = fmt.Sprintf("account-%d", i)
			if _, err := account.Handle(tx, mine.Account, handle2(i)); err != nil {
				return false, err
			}
			err := p.AddPasskey(tx, mine, handle2(i), now)
			if errors.Is(err, factor.ErrPasskeyKnown) {
				return false, nil
			}
			return err == nil, err
		})
		if won != 1 || err != nil {
			t.Fatalf("%d accounts have one credential: %v", won, err)
		}
	}
}

// A due undo, or a reset, takes passkeys as it takes apps.
func TestRemovingSinceTakesPasskeys(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		p, now := passkeys(t), time.Now()
		old := owned(t, d, p, passkeytest.NewKey(t, passkeytest.ES256, handle), "anna", now.Add(-time.Hour))
		row, err := made(t, p, passkeytest.NewKey(t, passkeytest.ES256, handle), now)
		if err != nil {
			t.Fatal(err)
		}
		row.Account = "anna"
		in(t, d, func(tx *db.Tx) error {
			p.MakeCodes(tx, "anna", now.Add(-time.Hour))
			return p.AddPasskey(tx, row, handle, now)
		})
		in(t, d, func(tx *db.Tx) error {
			gone, err := factor.RemoveSince(tx, "anna", now.Add(-time.Minute))
			if err != nil || !slices.Equal(gone, []factor.Kind{factor.Key}) {
				t.Errorf("removed %v, %v", gone, err)
			}
			list, err := factor.PasskeysOf(tx, "anna")
			if err != nil || len(list) != 1 || list[0].ID != old.ID {
				t.Errorf("left %v, %v", list, err)
			}
			if left, err := factor.CodesLeft(tx, "anna"); err != nil || left != factor.CodesMade {
				t.Errorf("%d codes are left beside a passkey, %v", left, err)
			}
			if _, err := factor.RemoveSince(tx, "anna", time.Time{}.Add(1)); err != nil {
				t.Error(err)
			}
			if left, err := factor.CodesLeft(tx, "anna"); err != nil || left != 0 {
				t.Errorf("%d codes are left beside nothing, %v", left, err)
			}
			return nil
		})
	})
}

func FuzzAnswers(f *testing.F) {
	p, now := passkeys(f), time.Now()
	k := passkeytest.NewKey(f, passkeytest.ES256, handle)
	row, err := made(f, p, k, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(honest.Get(k, p.Alone(now).Challenge))
	f.Add(honest.Create(k, p.Creation(factor.User{}, handle, nil, "session", now).Challenge))
	f.Add([]byte(`{"id":"","rawId":null,"response":{"clientDataJSON":"e30"}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if a, err := factor.ParseAssertion(answer); err == nil {
			ours := p.Answers(a, factor.Asked{Purpose: factor.SignsIn}, now) == nil
			if _, err := p.Judge(a, row, handle, true); err == nil && (!ours || !bytes.Equal(a.Credential(), k.ID)) {
				t.Error("an answer to no challenge of ours, or of no passkey, is right")
			}
			if p.JudgeNobody(a, false) == nil {
				t.Error("an unknown passkey is right")
			}
		}
		if r, err := factor.ParseRegistration(answer); err == nil {
			if made, err := p.Made(r, "anna", handle, "session", now); err == nil && (made.RPID != ourHost || len(made.Credential) == 0) {
				t.Errorf("made %+v", made)
			}
		}
	})
}
