package password

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// FuzzCheck: what is accepted is in normal form, of a length within the policy,
// accepted again as it is, and what sign-in makes of the same input. What is
// refused is a fault about the field.
func FuzzCheck(f *testing.F) {
	f.Add("correct horse battery", 0)
	f.Add(strings.Repeat(apart, 15), 15)
	f.Add(strings.Repeat(key, 256), 8)
	f.Add("e"+strings.Repeat("\u0301", 100), 8)
	f.Add("\u1100\u1161\u11a8\u212b\u0344\U0001d160\u0f73 abc", -1)
	f.Add(strings.Repeat("\u0315\u0300", 40)+"abcdefgh", 300)
	f.Add("\xc3\x28\x00\ufffd", 9)
	f.Fuzz(func(t *testing.T, password string, least int) {
		p := Policy{MinLength: least}
		got, err := p.Check(t.Context(), "password", password)
		if err != nil {
			fa := fault.As(err)
			if fa == nil || fa.Kind != fault.Invalid || fa.Code == "" || fa.Field != "password" || fa.Message == "" || got != "" {
				t.Fatalf("refused with %q, %#v", got, err)
			}
			if fa.Code == "password_too_long" && Normalize(password) != "" {
				t.Error("too long for Check alone")
			}
			return
		}
		n := utf8.RuneCountInString(got)
		if n < LeastMinLength || n > MaxLength || n < min(least, MaxLength) || (least == 0 && n < DefaultMinLength) {
			t.Errorf("accepted %d code points with a minimum of %d", n, least)
		}
		if !norm.NFC.IsNormalString(got) || !utf8.ValidString(got) || strings.ContainsRune(got, 0) {
			t.Errorf("accepted %+q", got)
		}
		if again, err := p.Check(t.Context(), "password", got); err != nil || again != got {
			t.Errorf("the second time %+q, %v; the first %+q", again, err, got)
		}
		if s := Normalize(password); s != got {
			t.Errorf("sign-in compares %+q, stored is %+q", s, got)
		}
	})
}

// FuzzStored: whatever stands in the column, reading it never panics; what can
// be read is understood by bcrypt in the same way, and no password but its own
// matches it.
func FuzzStored(f *testing.F) {
	f.Add("h1:$2a$04$abcdefghijklmnopqrstuu/ftPC/VKVMUq1QliQw4aIVbd74XOhd2")
	f.Add("$2a$04$abcdefghijklmnopqrstuu/ftPC/VKVMUq1QliQw4aIVbd74XOhd2")
	f.Add("h1:$2a$16$0123456789ABCDEFGHIJKzlhn5Vl2wTwdzLiFaV.dt2KFgbybypge")
	f.Add("h1:$2a$+4$abcdefghijklmnopqrstuu/ftPC/VKVMUq1QliQw4aIVbd74XOhd2")
	f.Add("h1:$2$04$abcdefghijklmnopqrstuu/ftPC/VKVMUq1QliQw4aIVbd74XOhd2.")
	f.Add("h1:$argon2id$v=19$m=64,t=2,p=1$c2l4dGVlbiBieXRlIHNsdA$qUz9GBNt6lno+BsrS//gXaYnQy6VvxX6g/n8GsMUSdc")
	f.Add("h1:$argon2id$v=19$m=1048577,t=2,p=1$c2l4dGVlbiBieXRlIHNsdA$qUz9GBNt6lno+BsrS//gXaYnQy6VvxX6g/n8GsMUSdc")
	f.Add("h1:")
	f.Add("")
	f.Fuzz(func(t *testing.T, stored string) {
		s, err := parseStored(stored)
		if err != nil {
			if !errors.Is(err, ErrUnknownForm) || s.bcrypt != nil || s.cost != 0 || s.argon2 != nil {
				t.Fatalf("got %+v, %v", s, err)
			}
			return
		}
		if a := s.argon2; a != nil {
			if a.MemoryKiB > MaxArgon2MemoryKiB || a.Passes > MaxArgon2Passes || a.Lanes == 0 || a.MemoryKiB < 8*uint32(a.Lanes) || len(a.salt) != argon2Salt ||
				len(a.key) != argon2Key {
				t.Errorf("read as %+v", a)
			}
			return
		}
		if formHMAC+string(s.bcrypt) != stored {
			t.Errorf("read as %q", s.bcrypt)
		}
		if cost, err := bcrypt.Cost(s.bcrypt); err != nil || cost != s.cost || cost > MaxCost {
			t.Errorf("cost %d; bcrypt says %d, %v", s.cost, cost, err)
		}
		if s.cost > 5 {
			return // slow, and no other than the cheap ones
		}
		if ok, err := actual.verify(s, "somebody else's password", MinCost); ok || err != nil {
			t.Errorf("compared: %v, %v", ok, err)
		}
	})
}

// FuzzSealed: whatever stands in the column, opening it never panics, and nothing
// opens that was not sealed under the pepper for the account.
func FuzzSealed(f *testing.F) {
	p := NewPepper("a pepper", "another")
	f.Add(p.seal("ada", known), "ada")
	f.Add(p.seal("ada", known), "eve")
	f.Add("p1:00000000:AAAA", "ada")
	f.Add("p1:", "")
	f.Add(known, "ada")
	f.Add("", "ada")
	f.Fuzz(func(t *testing.T, stored, account string) {
		finished, _, err := p.open(account, stored)
		if err != nil {
			return
		}
		if rest, ok := strings.CutPrefix(stored, sealedForm); ok && finished != known {
			t.Errorf("%q opens as %q", rest, finished)
		}
		if again, _, err := p.Reseal(account, stored); err != nil || (again == "") != (stored == "") { // none stays none
			t.Errorf("resealed as %q, %v", again, err)
		}
	})
}
