package password

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"
)

// actual is bcrypt as it is; counted is bcrypt that counts its rounds.
var actual = blowfish{generate: bcrypt.GenerateFromPassword, compare: bcrypt.CompareHashAndPassword}

func counted(rounds *atomic.Int64) blowfish {
	return blowfish{
		generate: func(password []byte, cost int) ([]byte, error) {
			rounds.Add(1 << cost)
			return actual.generate(password, cost)
		},
		compare: func(hash, password []byte) error {
			cost, err := bcrypt.Cost(hash)
			rounds.Add(1 << cost)
			return errors.Join(err, actual.compare(hash, password))
		},
	}
}

// open starts a Hasher that the test's end closes.
func open(t testing.TB, c Config, b blowfish) *Hasher {
	t.Helper()
	h := start(c, b)
	t.Cleanup(h.Close)
	return h
}

func mustHash(t testing.TB, h *Hasher, password string) string {
	t.Helper()
	stored, err := h.Hash(t.Context(), "", password)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func mustVerify(t testing.TB, h *Hasher, stored, password string) Result {
	t.Helper()
	r, err := h.Verify(t.Context(), "", stored, password)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The vectors were made by other implementations: HMAC, base64 and NFC by
// Python's standard library, bcrypt by libxcrypt.
func TestPW2_Vectors(t *testing.T) {
	h := open(t, Config{Cost: 4}, actual)
	for _, c := range []struct{ password, stored string }{
		{"correct horse battery staple", "h1:$2a$04$abcdefghijklmnopqrstuu/ftPC/VKVMUq1QliQw4aIVbd74XOhd2"},
		{"correct horse battery staple", "h1:$2a$06$abcdefghijklmnopqrstuuqWzbQUQK2l7DGp4AMaMUpGyC5r7zdR2"},
		{"Café au lait à la crème", "h1:$2a$04$Zq8W1nE3tYb.5uOPlk/JHekyHob7WeLZqjUNr9KyPPo0Y5ZK0YpoK"},
		{"Cafe\u0301 au lait a\u0300 la cre\u0300me", "h1:$2a$06$Zq8W1nE3tYb.5uOPlk/JHe2Ov0yt0noQmZE.E7AEYDjC8vDD9Gy9m"},
		{strings.Repeat(key, 256), "h1:$2a$04$0123456789ABCDEFGHIJKOlhn5Vl2wTwdzLiFaV.dt2KFgbybypge"},
		{"left\x00right, long enough", "h1:$2a$04$././././././././././..BlOt.604DNIPJXSHhHsswEAeryt0pDe"},
	} {
		if r := mustVerify(t, h, c.stored, c.password); !r.OK || r.Upgrade {
			t.Errorf("%s: %+v", c.stored, r)
		}
		if r := mustVerify(t, h, c.stored, c.password+"."); r.OK {
			t.Errorf("%s: another password passes", c.stored)
		}
	}
	const want = "4j6IfUrGw1wFos+TPY4UAURZ2qkZ3+SFnnKw6Pc8m+ufYJiPnZyG/KcQTwTbOaeK"
	if got := string(preHash("correct horse battery staple")); got != want {
		t.Errorf("pre-hash %s, want %s", got, want)
	}
}

// ASVS V6.2.8: every byte of a password counts, wherever it stands; V6.2.9: and
// the longest work like any other.
func TestPW2_NothingIsCut(t *testing.T) {
	h := open(t, Config{Cost: 4}, actual)
	hundred := strings.Repeat("a", 99)
	for name, c := range map[string]struct{ right, wrong string }{
		"the last of 100":           {hundred + "b", hundred + "c"},
		"the 73rd byte":             {strings.Repeat("a", 72) + "b", strings.Repeat("a", 72) + "c"},
		"72 bytes and 73":           {strings.Repeat("a", 72), strings.Repeat("a", 73)},
		"behind a NUL":              {"correct\x00horse battery", "correct\x00staple battery"},
		"a NUL at the end":          {"correct horse battery", "correct horse battery\x00"},
		"a NUL at the start":        {"\x00correct horse battery", "\x00staple horse battery"},
		"a space at the end":        {"correct horse battery", "correct horse battery "},
		"a space at the start":      {"correct horse battery", " correct horse battery"},
		"case":                      {"correct horse battery", "Correct horse battery"},
		"an accent":                 {"caf\u00e9 au lait, a lot", "cafe au lait, a lot"},
		"compatibility":             {"\ufb01fteen letters", "fifteen letters"},
		"the last of 256":           {strings.Repeat(key, 256), strings.Repeat(key, 255) + "\U0001F512"},
		"what stands in the column": {"correct horse battery", string(preHash("correct horse battery"))},
	} {
		t.Run(name, func(t *testing.T) {
			stored := mustHash(t, h, c.right)
			if !mustVerify(t, h, stored, c.right).OK {
				t.Error("the right password fails")
			}
			if mustVerify(t, h, stored, c.wrong).OK {
				t.Error("the wrong password passes")
			}
		})
	}
}

// A character is the same however the keyboard sends it.
func TestPW2_NormalForm(t *testing.T) {
	h := open(t, Config{Cost: 4}, actual)
	forms := []string{"\u00c5ngstr\u00f6m per second", "A\u030angstro\u0308m per second", "\u212bngstr\u00f6m per second"}
	for _, a := range forms {
		stored := mustHash(t, h, a)
		for _, b := range forms {
			if !mustVerify(t, h, stored, b).OK {
				t.Errorf("set as %+q, refused as %+q", a, b)
			}
		}
	}
}

// Nobody gets in with a password over the maximum, not even where the hash is
// that of the empty one which stands for it; and none is ever made.
func TestPW2_OverTheMaximum(t *testing.T) {
	h := open(t, Config{Cost: 4}, actual)
	over := strings.Repeat(key, 257)
	empty, err := actual.hash("", 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", over, strings.Repeat("a", maxBytes+1)} {
		if stored, err := h.Hash(t.Context(), "", password); err == nil || stored != "" {
			t.Errorf("%d bytes: hashed as %q", len(password), stored)
		}
		if mustVerify(t, h, empty, password).OK {
			t.Errorf("%d bytes: gets in", len(password))
		}
	}
	if mustVerify(t, h, mustHash(t, h, over[:len(over)-4]), over).OK {
		t.Error("the 257th character is cut off")
	}
}

// Two hashes of one password have nothing in common but their form.
func TestPW2_Salted(t *testing.T) {
	h := open(t, Config{Cost: 5}, actual)
	a, b := mustHash(t, h, "correct horse battery"), mustHash(t, h, "correct horse battery")
	const form = "h1:$2a$05$"
	if !strings.HasPrefix(a, form) || !strings.HasPrefix(b, form) || len(a) != 63 || len(b) != 63 {
		t.Errorf("stored as %q and %q", a, b)
	}
	if a[len(form):len(form)+22] == b[len(form):len(form)+22] {
		t.Error("the salt is the same")
	}
}

// Whatever there is to compare, and whether it matches or not, the rounds are
// those of the configured cost, to the last one. PW-2: a cheaper hash wants an
// upgrade, once it has been shown that the password is right.
func TestPW2_SameWork(t *testing.T) {
	const cost = 8
	var rounds atomic.Int64
	h := open(t, Config{Cost: cost}, counted(&rounds))
	const right = "correct horse battery"
	over := strings.Repeat("a", 300)
	work := func(what string, want int64, f func() error) {
		t.Helper()
		rounds.Store(0)
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := rounds.Load(); got != want {
			t.Errorf("%s: %d rounds, want %d", what, got, want)
		}
	}
	work("hash", 1<<cost, func() error { _, err := h.Hash(t.Context(), "", right); return err })
	for _, p := range []string{right, over, ""} {
		work("nobody", 1<<cost, func() error { return h.VerifyNobody(t.Context(), p) })
	}
	for c := MinCost; c <= cost+1; c++ {
		stored, err := actual.hash(right, c)
		if err != nil {
			t.Fatal(err)
		}
		for p, want := range map[string]Result{right: {OK: true, Upgrade: c < cost}, "wrong": {}, over: {}, "": {}} {
			work("verify", 1<<max(c, cost), func() error {
				r, err := h.Verify(t.Context(), "", stored, p)
				if diff := cmp.Diff(want, r); diff != "" {
					t.Errorf("stored at cost %d: -want +got:\n%s", c, diff)
				}
				return err
			})
		}
	}
}

// PW-2: the way of an upgrade.
func TestPW2_Upgrade(t *testing.T) {
	const right = "correct horse battery"
	old := mustHash(t, open(t, Config{Cost: 4}, actual), right)
	h := open(t, Config{Cost: 6}, actual)
	if r := mustVerify(t, h, old, "wrong"); r.Upgrade {
		t.Error("a wrong password upgrades")
	}
	if r := mustVerify(t, h, old, right); !r.OK || !r.Upgrade {
		t.Fatalf("old hash: %+v", r)
	}
	if r := mustVerify(t, h, mustHash(t, h, right), right); !r.OK || r.Upgrade {
		t.Errorf("new hash: %+v", r)
	}
}

func TestUnknownForms(t *testing.T) {
	const good = "h1:$2a$04$abcdefghijklmnopqrstuu/ftPC/VKVMUq1QliQw4aIVbd74XOhd2"
	if _, err := parseStored(good); err != nil {
		t.Fatal(err)
	}
	h := open(t, Config{Cost: 4}, actual)
	for name, stored := range map[string]string{
		"the name alone":          "h1:",
		"raw bcrypt":              good[3:],
		"another name":            "h2" + good[2:],
		"upper case":              "H1" + good[2:],
		"space before":            " " + good,
		"a character more":        good + "2",
		"a character fewer":       good[:len(good)-1],
		"cut to bcrypt's least":   good[:3+59],
		"2b":                      strings.Replace(good, "$2a$", "$2b$", 1),
		"2y":                      strings.Replace(good, "$2a$", "$2y$", 1),
		"no minor version":        strings.Replace(good, "$2a$", "$2$", 1),
		"a cost with a sign":      strings.Replace(good, "$04$", "$+4$", 1),
		"a cost with a space":     strings.Replace(good, "$04$", "$ 4$", 1),
		"a cost of no digit":      strings.Replace(good, "$04$", "$0:$", 1),
		"a cost below the range":  strings.Replace(good, "$04$", "$03$", 1),
		"a cost above ours":       strings.Replace(good, "$04$", "$17$", 1),
		"a cost of days":          strings.Replace(good, "$04$", "$31$", 1),
		"no dollar":               strings.Replace(good, "$04$", "$04.", 1),
		"a NUL in the salt":       strings.Replace(good, "abc", "ab\x00", 1),
		"a letter bcrypt has not": strings.Replace(good, "abc", "ab+", 1),
		"padding":                 good[:len(good)-1] + "=",
		"argon2id":                "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := h.Verify(t.Context(), "", stored, "correct horse battery staple")
			if !errors.Is(err, ErrUnknownForm) || r.OK || r.Upgrade {
				t.Fatalf("got %+v, %v", r, err)
			}
			if rest := strings.TrimPrefix(stored, "h1:"); len(rest) > 8 && strings.Contains(err.Error(), rest[len(rest)-8:]) {
				t.Errorf("the error repeats the hash: %v", err)
			}
		})
	}
}
