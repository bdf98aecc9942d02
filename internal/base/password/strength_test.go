package password

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// PW-1: a person is told what to do better, and the order of the scores is the
// one that guessers would give them.
func TestPW1_Strength(t *testing.T) {
	p := Policy{Site: []string{"gatehouse"}}
	for _, c := range []struct {
		password string
		score    int
		say      string
	}{
		{"password", 0, "at least 15"},
		{"aaaaaaaaaaaaaaaaaaaa", 1, "over and over"},
		{"abcdefghijklmnopqrstuvwxyz", 1, "sequence"},
		{"qwertyuiopasdfghjkl", 1, "keys"},
		{"gatehouse-ada-1815!", 1, "Choose"},
		{"ada.gatehouse.password", 1, "another word"},
		{"monkey.dragon.1987", 2, "year"},
		{"correct horse battery staple", 4, ""},
		{"gkwoxmatberlzuhqqvn", 4, ""},
		{"пароль из четырёх слов", 4, ""},
	} {
		s := p.Strength(t.Context(), c.password, "ada@example.org")
		if s.Score > c.score+1 || s.Score < c.score-1 || (c.score == 4) != (s.Score == 4) {
			t.Errorf("%q: %d bits, score %d, want about %d", c.password, s.Bits, s.Score, c.score)
		}
		if (c.say == "") != (len(s.Advice) == 0) {
			t.Errorf("%q: advice %q", c.password, s.Advice)
		}
		if !s.Acceptable && (s.Score > 1 || len(s.Findings) == 0) {
			t.Errorf("%q: %+v", c.password, s)
		}
	}
}

// Nothing that is typed takes long or breaks it, and adding a character never
// makes a password easier to guess by much.
func FuzzStrength(f *testing.F) {
	for _, s := range []string{
		"", "correct horse battery staple", "İİİİİİİİİİİİİİİİ", strings.Repeat("a1", 128), "\xff\x00", strings.Repeat("\u0344", 300),
		"gatehouse2026"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Policy{Site: []string{"gatehouse"}}.Strength(t.Context(), s, s)
		if got.Score < 0 || got.Score > 4 || got.Bits < 0 || got.Bits > 8*guessable {
			t.Errorf("%+v", got)
		}
		for _, a := range got.Advice {
			if a == "" || !utf8.ValidString(a) {
				t.Errorf("advice %q", a)
			}
		}
	})
}

// The longest passwords are judged in about the time of others.
func TestStrengthIsBounded(t *testing.T) {
	long := strings.Repeat("qwertz", 42)
	took := func(s string) time.Duration {
		began := time.Now()
		for range 20 {
			(Policy{}).Strength(t.Context(), s)
		}
		return time.Since(began)
	}
	short, all := took(long[:guessable]), took(long)
	if all > 5*short+time.Second {
		t.Errorf("%s, and %s for the first %d characters", all, short, guessable)
	}
}
