package account_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// Finding 3 of the attacks, one key, one mailbox: of all characters, alone or beside
// another, no two that an account may have share a key, save a capital and its small
// letter.
func TestAttack3_NoSpellingTakesAnothersAddress(t *testing.T) {
	seen := map[string]string{}
	accepted := 0
	for r := rune('!'); r <= unicode.MaxRune; r++ {
		if r >= 0x80 && !unicode.In(r, unicode.Letter, unicode.Number, unicode.Mark) {
			continue
		}
		for _, local := range []string{string(r), string(r) + "\u0301"} {
			a, err := account.ParseNewAddress("email", local+"@example.org", false)
			if err != nil {
				continue
			}
			accepted++
			mailbox := strings.Map(unicode.ToLower, local)
			if other, ok := seen[a.Key]; ok && other != mailbox {
				t.Errorf("%q (%+q) has the key of %q (%+q)", mailbox, mailbox, other, other)
			}
			seen[a.Key] = mailbox
		}
	}
	if accepted < 100000 {
		t.Errorf("only %d were accepted", accepted)
	}
	for _, s := range []string{"ſam", "\u212Aim", "oﬃce", "straße", "STRAẞE", "ﬁona", "e\u0301ve", "İris", "ﬆ", "\u212Bsa", "µ"} {
		if _, err := account.ParseNewAddress("email", s+"@example.com", false); err == nil || !strings.Contains(err.Error(), "write it so") {
			t.Errorf("%q: %v", s, err)
		}
		// At a sign-in it is who it always was.
		if _, err := account.ParseAddress("email", s+"@example.com"); err != nil {
			t.Errorf("%q at a sign-in: %v", s, err)
		}
	}
	for _, s := range []string{"SAM", "Jürgen.MÜLLER", "用户", "ναῦς.Α", "iris", "Iris", "ırmak", "Ольга", "a.b+c"} {
		if _, err := account.ParseNewAddress("email", s+"@example.com", false); err != nil && s != "ναῦς.Α" { // a final sigma folds to another
			t.Errorf("%q: %v", s, err)
		}
	}
}

// What else a user would dislike: a domain that lost its end, and spaces that nobody sees.
func TestCase_SpacesAndDomainsWithoutADot(t *testing.T) {
	for _, s := range []string{" ada@example.org", "ada@example.org ", "\tada@example.org\r\n", "\u00a0ada@example.org\u3000"} {
		if a, err := account.ParseNewAddress("email", s, false); err != nil || a.Typed != "ada@example.org" || a.Key != a.Typed {
			t.Errorf("%q: %+v, %v", s, a, err)
		}
	}
	for s, words := range map[string]string{
		"a da@example.org": "a space", "ada@exam ple.org": "a space", "ada@ example.org": "a space",
		"j@e": "no dot", "ada@gmail": "no dot", "   ": "empty",
	} {
		if _, err := account.ParseNewAddress("email", s, false); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for s, any := range map[string]bool{"ada@localhost": false, "j@e": true} {
		if _, err := account.ParseNewAddress("email", s, any); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
}
