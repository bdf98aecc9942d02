package account_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// FuzzParseRoles: what is accepted is sorted, each once, and accepted again as
// it is; what is refused is a fault about the roles.
func FuzzParseRoles(f *testing.F) {
	for _, s := range []string{"", "admin", "admin,admin", "b,a", "billing:read,ops-1,x.y_z", "Admin", "1a", "a b", "ä", "a\n", strings.Repeat("a", 65),
		strings.Repeat("r,", 40) + "s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		in := strings.Split(list, ",")
		got, err := account.ParseRoles(in)
		if err != nil {
			if e := fault.As(err); e == nil || e.Kind != fault.Invalid || e.Code != "invalid_role" || e.Field != "roles" || e.Message == "" {
				t.Fatalf("%q was refused by %#v", in, err)
			}
			return
		}
		if again, err := account.ParseRoles(got); err != nil || !slices.Equal(again, got) {
			t.Fatalf("%q became %q, and that %q, %v", in, got, again, err)
		}
		for i, r := range got {
			if !slices.Contains(in, r) || i > 0 && got[i-1] >= r || strings.ContainsFunc(r, func(c rune) bool { return c <= ' ' || c > '~' || unicode.IsUpper(c) }) {
				t.Fatalf("%q became %q", in, got)
			}
		}
		for _, r := range in {
			if !slices.Contains(got, r) {
				t.Fatalf("%q became %q", in, got)
			}
		}
	})
}

// FuzzDecodeRoles: a column that was tampered with is an error or a list, and
// never nil, which would be null in an answer.
func FuzzDecodeRoles(f *testing.F) {
	for _, s := range []string{`[]`, `["admin"]`, `null`, `{}`, `["a",1]`, ``, `["\ud800"]`, `[[]]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		roles, err := account.DecodeRoles(s)
		if err == nil && roles == nil {
			t.Fatalf("%q is nil", s)
		}
	})
}

// FuzzCheckName: a name that is accepted is short and shows all that it holds.
func FuzzCheckName(f *testing.F) {
	for _, s := range []string{"", "Ada Lovelace", "a\nb", "\u202eabc", "نامه\u200cای", strings.Repeat("é", 101), "\xff", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := account.CheckName("name", s)
		if err != nil {
			if e := fault.As(err); e == nil || e.Kind != fault.Invalid || e.Field != "name" || e.Code == "" || e.Message == "" {
				t.Fatalf("%q was refused by %#v", s, err)
			}
			return
		}
		if utf8.RuneCountInString(s) > 100 || strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsAny(s, "\u200b\u202e\u2028\u2066\ufeff") {
			t.Fatalf("%q was accepted", s)
		}
	})
}
