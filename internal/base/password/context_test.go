package password

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// code returns the code of the fault that the policy finds, or nothing.
func code(t *testing.T, p Policy, password string, about ...string) string {
	t.Helper()
	_, err := p.Check(t.Context(), "password", password, about...)
	if err == nil {
		return ""
	}
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid || f.Field != "password" {
		t.Fatalf("%q: %#v", password, err)
	}
	return f.Code
}

// NIST SP 800-63B-4 3.1.1.2, ASVS V6.1.2 and V6.2.11: nothing that is made of
// the words of the context, in any case and with figures for letters.
func TestPW1_WordsOfTheContext(t *testing.T) {
	p := Policy{MinLength: 8, Site: []string{"Gatehouse", "auth.bookshop.example"}}
	about := []string{"ada.lovelace1815@mail.example", "Ada Lovelace, Countess"}
	for _, bad := range []string{
		"gatehouse", "GATEHOUSE", "g4t3h0us3", "G@teh0u$e!!", "gatehouse2026", "2026-gatehouse-2026", "gatehousegatehouse",
		"bookshop bookshop", "B00k5hop.example", "ada.lovelace1815@mail.example", "lovelace1815", "LOVELACE-ada", "adalovelacecountess",
		"Countess Ada Lovelace 1815!", "adaadaadaadaada", "l0v3l4c3 of 1815"[:8], "ɢ"[:0] + "gatehouse\u0301"[:9],
	} {
		if got := code(t, p, bad, about...); got != "password_personal" && got != "password_breached" {
			t.Errorf("%q: %q", bad, got)
		}
	}
	for _, good := range []string{
		"gatehouse of the rising sun", "ada and her engine", "lovelace wrote the first", "houses at the gate", "countless ladders", "184729563018265",
		"a.d.a. is not a word that is here", "xgatehousex",
	} {
		if got := code(t, p, good, about...); got != "" {
			t.Errorf("%q: %q", good, got)
		}
	}
	if got := code(t, p, "ab cd ab cd ab 12", "ab cd"); got != "" {
		t.Errorf("words of two letters: %q", got)
	}
}

// A long name with many words costs little, and matches all the same.
func TestPW1_ContextIsBounded(t *testing.T) {
	long := strings.Repeat("ada ", 5000) + strings.Repeat("x", 5000)
	if got := code(t, Policy{}, strings.Repeat("ada", 80), long); got != "password_personal" {
		t.Errorf("got %q", got)
	}
}

// ASVS V6.2.5: composition is asked for only where a setting does.
func TestPW1_Require(t *testing.T) {
	all := Policy{Require: Require{true, true, true, true}}
	for _, c := range []struct{ password, code string }{
		{"gkwo xmat berl zuh", "password_needs_uppercase"},
		{"GKWO XMAT BERL ZUH", "password_needs_lowercase"},
		{"Gkwo xmat berl zuh", "password_needs_digit"},
		{"Gkwo xmat berl 1uh", "password_needs_symbol"},
		{"Gkwo-xmat berl 1uh", ""},
		{"Ökwö-xmät berl ١uh", ""},
		{"Gkwo\u0301xmat berl 1uh", "password_needs_symbol"},
	} {
		if got := code(t, all, c.password); got != c.code {
			t.Errorf("%q: %q, want %q", c.password, got, c.code)
		}
		if got := code(t, Policy{}, c.password); got != "" {
			t.Errorf("%q, nothing required: %q", c.password, got)
		}
	}
	list, err := all.Findings(t.Context(), "password", "abc")
	var codes []string
	for _, f := range list {
		codes = append(codes, f.Code)
	}
	const want = "password_too_short password_needs_uppercase password_needs_digit password_needs_symbol password_breached"
	if got := strings.Join(codes, " "); err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// ASVS V6.2.4: the most common passwords, and long ones that are known.
func TestPW3_CommonPasswords(t *testing.T) {
	p := Policy{MinLength: 8}
	for _, known := range []string{
		"password", "PassWord", "12345678", "iloveyou", "qwertyuiop", "trustno1", "abcdefghijklmno",
		"123456789987654321", "qwerty123456789", "1qaz2wsx3edc4rfv", "momsanaladventure", "passwordpassword",
	} {
		if got := code(t, p, known); got != "password_breached" {
			t.Errorf("%q: %q", known, got)
		}
	}
	for _, fine := range []string{"correct horse battery staple", "a long passphrase", "passwordpassword is not one"} {
		if got := code(t, p, fine); got != "" {
			t.Errorf("%q: %q", fine, got)
		}
	}
}
