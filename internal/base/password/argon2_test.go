package password

import (
	"errors"
	"strings"
	"testing"
)

var light = Argon2{MemoryKiB: 64, Passes: 2, Lanes: 1}

// The vector was made by the reference implementation (libargon2), over the
// pre-hash of TestPW2_Vectors.
func TestPW2_Argon2id(t *testing.T) {
	h := open(t, Config{Argon2: &light}, actual)
	const right = "correct horse battery staple"
	a, b := mustHash(t, h, right), mustHash(t, h, right)
	if !strings.HasPrefix(a, "h1:$argon2id$v=19$m=64,t=2,p=1$") || a == b {
		t.Errorf("%q and %q", a, b)
	}
	if r := mustVerify(t, h, a, right); !r.OK || r.Upgrade {
		t.Errorf("%+v", r)
	}
	for _, wrong := range []string{right + ".", "", strings.Repeat("a", 257)} {
		if mustVerify(t, h, a, wrong).OK {
			t.Errorf("%.10q gets in", wrong)
		}
	}
	for _, vector := range []string{
		"h1:$argon2id$v=19$m=64,t=2,p=1$c2l4dGVlbiBieXRlIHNsdA$qUz9GBNt6lno+BsrS//gXaYnQy6VvxX6g/n8GsMUSdc",
		"h1:$argon2id$v=19$m=256,t=3,p=4$c2l4dGVlbiBieXRlIHNsdA$0dG3lXJEQMCK/vVwqh4gu0C+7bwtvDCoc/NzabqLwzQ",
	} {
		if !mustVerify(t, h, vector, right).OK || mustVerify(t, h, vector, right+" ").OK {
			t.Errorf("%s is not read as the reference means it", vector)
		}
	}
	if (Argon2{}) == LeastArgon2 || LeastArgon2.MemoryKiB < 19456 || LeastArgon2.Passes < 2 {
		t.Error("less than OWASP's least")
	}
}

// PW-2: weaker parameters and the other algorithm want an upgrade.
func TestPW2_Argon2Upgrades(t *testing.T) {
	const right = "correct horse battery staple"
	one, two := open(t, Config{Argon2: &light}, actual), open(t, Config{Argon2: &Argon2{128, 2, 1}}, actual)
	bcrypt := open(t, Config{Cost: 4}, actual)
	for _, c := range []struct {
		made, now *Hasher
		upgrade   bool
	}{{one, one, false}, {one, two, true}, {two, one, false}, {bcrypt, one, true}, {one, bcrypt, true}} {
		if r := mustVerify(t, c.now, mustHash(t, c.made, right), right); !r.OK || r.Upgrade != c.upgrade {
			t.Errorf("%+v, want an upgrade: %v", r, c.upgrade)
		}
	}
}

// What a cheaper hash lacks is done for nothing.
func TestPW2_Argon2Missing(t *testing.T) {
	for _, c := range []struct{ has, wants Argon2 }{
		{Argon2{64, 2, 1}, Argon2{64, 2, 1}}, {Argon2{64, 2, 1}, Argon2{128, 3, 1}}, {Argon2{64, 1, 1}, Argon2{64, 5, 1}},
		{Argon2{64, 3, 4}, Argon2{1024, 3, 1}},
	} {
		work := uint64(c.has.MemoryKiB) * uint64(c.has.Passes)
		for _, a := range c.has.missing(c.wants) {
			work += uint64(a.MemoryKiB) * uint64(a.Passes)
		}
		if want := uint64(c.wants.MemoryKiB) * uint64(c.wants.Passes); work != want {
			t.Errorf("%+v for %+v: %d, want %d", c.has, c.wants, work, want)
		}
	}
}

// A row that asks for a machine's whole memory, or that is written otherwise, is
// refused before anything is done.
func TestPW2_Argon2Forms(t *testing.T) {
	const salt, key = "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	good := "h1:$argon2id$v=19$m=64,t=2,p=1$" + salt + "$" + key
	if _, err := parseStored(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		strings.Replace(good, "m=64", "m=1048577", 1), strings.Replace(good, "m=64", "m=99999999999", 1), strings.Replace(good, "m=64", "m=064", 1),
		strings.Replace(good, "m=64", "m=+64", 1), strings.Replace(good, "m=64", "m=7", 1), strings.Replace(good, "t=2", "t=0", 1),
		strings.Replace(good, "t=2", "t=65", 1),
		strings.Replace(good, "p=1", "p=17", 1), strings.Replace(good, "p=1", "p=9", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "argon2id", "argon2i", 1),
		good + "A", good[:len(good)-1], good[:len(good)-1] + "B", good + "\n", strings.TrimPrefix(good, "h1:"), "h1:" + good,
	} {
		if s, err := parseStored(bad); !errors.Is(err, ErrUnknownForm) || s.argon2 != nil {
			t.Errorf("%q: %+v, %v", bad, s.argon2, err)
		}
	}
}
