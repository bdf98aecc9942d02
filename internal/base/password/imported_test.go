package password

import (
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
)

// importing returns a Hasher of little work, and what counts the rounds that it does with bcrypt.
func importing(t *testing.T, c Config) (*Hasher, *int) {
	t.Helper()
	rounds := new(int)
	h := start(c, blowfish{
		generate: func(p []byte, cost int) ([]byte, error) {
			*rounds += 1 << cost
			return bcrypt.GenerateFromPassword(p, min(cost, MinCost))
		},
		compare: func(hash, p []byte) error {
			cost, err := bcrypt.Cost(hash)
			*rounds += 1 << cost
			if err != nil {
				return err
			}
			return bcrypt.CompareHashAndPassword(hash, p)
		},
	})
	t.Cleanup(h.Close)
	return h, rounds
}

var imports = []struct{ name, password, hash, form string }{
	{"a slow one", "test", "$2a$12$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6", formImported + "$bcrypt$2a$12$"},
	{"a digest", "test", "$md5$pf=e1NBTFR9JCR7UEFTU1dPUkR9$MTIzNA==$ud392Z8rfZ+Ou7ZFXYLKbA==", formWrapped + "$md5$"},
	{
		"too few rounds", "test",
		"$pbkdf2-sha256$i=100000,l=32$1jP+5Zxpxgtee/iPxGgOz0RfE9/KJuDElP1ley4VxXc$QJxzfvdbHYBpydCbHoFg3GJEqMFULwskiuqiJctoYpI",
		formWrapped + "$pbkdf2-sha256$",
	},
	{"with a grave accent", "lètmein", "sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8", formWrapped + "$sha1$"},
}

// An imported hash knows its password, and no other, under a pepper and without; it is replaced then, and no digest that is
// fast to guess at is stored.
func TestImportedHashes(t *testing.T) {
	for _, pepper := range []*Pepper{nil, NewPepper("kZ7xw2-HnQ0cVb9LrTd4YmGs6PeJu1oFa8iXqB3tNyR")} {
		h, _ := importing(t, Config{Cost: MinCost, Pepper: pepper})
		for _, one := range imports {
			from, err := foreign.Parse(one.hash)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := h.Import(t.Context(), "ada", from)
			if err != nil {
				t.Fatal(err)
			}
			if pepper == nil && !strings.HasPrefix(stored, one.form) {
				t.Errorf("%s is stored as %s", one.name, stored)
			}
			if pepper == nil && from.Weak() && strings.Contains(stored, strings.TrimPrefix(from.String(), from.Bare())) {
				t.Errorf("%s: the digest can be guessed at fast: %s", one.name, stored)
			}
			for pass, right := range map[string]bool{one.password: true, one.password + "x": false, "": false, strings.Repeat("x", 5000): false} {
				r, err := h.Verify(t.Context(), "ada", stored, pass)
				if err != nil || r.OK != right || r.Upgrade != right {
					t.Errorf("%s, %.20q: %+v, %v", one.name, pass, r, err)
				}
			}
			if pepper != nil {
				if _, err := h.Verify(t.Context(), "eve", stored, one.password); err == nil {
					t.Errorf("%s: it was moved to another account", one.name)
				}
			}
		}
	}
}

// Others do not normalise: a password that was typed with a letter and an accent of its own is right as it was typed, and
// one that our form decomposes is right in either spelling.
func TestImportedPasswordsAreTriedAsTyped(t *testing.T) {
	h, _ := importing(t, Config{Cost: MinCost + 1})
	for stored, typed := range map[string][]string{
		"le\u0300tmein": {"le\u0300tmein"},
		"l\u00e8tmein":  {"l\u00e8tmein", "le\u0300tmein"},
	} {
		hash, err := bcrypt.GenerateFromPassword([]byte(stored), MinCost)
		if err != nil {
			t.Fatal(err)
		}
		from, err := foreign.Parse(string(hash))
		if err != nil {
			t.Fatal(err)
		}
		kept, err := h.Import(t.Context(), "ada", from)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range typed {
			if r, err := h.Verify(t.Context(), "ada", kept, p); err != nil || !r.OK {
				t.Errorf("%q for %q: %+v, %v", p, stored, r, err)
			}
		}
	}
}

// A wrong password at an imported account takes the work of one at any other, also one that normalising changes.
func TestImportedHashesTakeAsLong(t *testing.T) {
	h, rounds := importing(t, Config{Cost: 12})
	for _, one := range imports {
		from, err := foreign.Parse(one.hash)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := h.Import(t.Context(), "ada", from)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range []string{"wrong", "wro\u0300ng"} {
			*rounds = 0
			if _, err := h.Verify(t.Context(), "ada", stored, wrong); err != nil {
				t.Fatal(err)
			}
			once, twice := *rounds+from.Rounds(), *rounds+2*from.Rounds()
			if (once < 1<<12-16 || once > 1<<12) && (wrong == "wrong" || twice < 1<<12-16 || twice > 1<<12) {
				t.Errorf("%s, %q: %d rounds, of %d", one.name, wrong, once, 1<<12)
			}
		}
	}
}

// An altered row can't hold a core: what it asks for is refused before anything is computed.
func TestAlteredImportsAreRefused(t *testing.T) {
	h, rounds := importing(t, Config{Cost: MinCost})
	for _, stored := range []string{
		"i1:", "w1:", "i1:$bcrypt$2a$31$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6",
		"i1:$pbkdf2-sha256$n=2147483647,r=0,p=0,l=32$c2FsdA$QJxzfvdbHYBpydCbHoFg3GJEqMFULwskiuqiJctoYpI",
		"i1:$scrypt$n=1073741824,r=8,p=1,l=32$c2FsdA$QJxzfvdbHYBpydCbHoFg3GJEqMFULwskiuqiJctoYpI",
		"i1:$md5$n=0,r=0,p=0,l=16$$$", // without its digest it would match what is empty
		"w1:$md5$n=0,r=0,p=0,l=16$$$:$2a$31$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6",
		"w1:$bcrypt$2a$12$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6:$2a$04$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6",
		"w1:$argon2id$n=20,r=262145,p=1,l=32$c2FsdA$:$2a$04$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6",
	} {
		if _, err := h.Verify(t.Context(), "ada", stored, "test"); err == nil {
			t.Errorf("%s is taken", stored)
		}
	}
	if *rounds != 0 {
		t.Errorf("%d rounds were done", *rounds)
	}
}

// TestAHashMovesToAnotherInstallation: what one installation sealed under its pepper another seals under its own; nothing else is adopted.
func TestAHashMovesToAnotherInstallation(t *testing.T) {
	there, _ := importing(t, Config{Cost: MinCost, Pepper: NewPepper(strings.Repeat("a", 43))})
	here, _ := importing(t, Config{Cost: MinCost, Pepper: NewPepper(strings.Repeat("b", 43))})
	stored, err := there.Hash(t.Context(), "ada", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := there.Finished("eve", stored); err == nil {
		t.Error("another account's hash was opened")
	}
	finished, err := there.Finished("ada", stored)
	if err != nil || !IsFinished(finished) || IsFinished(stored) {
		t.Fatalf("%q of %q: %v", finished, stored, err)
	}
	adopted, err := here.Adopt("ada", finished)
	if err != nil || !strings.HasPrefix(adopted, sealedForm) {
		t.Fatalf("%q: %v", adopted, err)
	}
	for _, c := range []struct {
		account, password string
		right             bool
	}{{"ada", "correct horse", true}, {"ada", "wrong horse", false}} {
		if got, err := here.Verify(t.Context(), c.account, adopted, c.password); err != nil || got.OK != c.right {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
	if _, err := here.Adopt("ada", stored); err == nil {
		t.Error("a hash sealed there was adopted")
	}
}
