package password

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

const (
	key      = "\U0001F511" // four bytes in UTF-8
	composed = "\u00e9"     // é
	apart    = "e\u0301"    // é, in two code points
)

// ASVS V6.2.1 (minimum), V6.2.5 (any characters), V6.2.8 (as typed), V6.2.9
// (64 and more, the maximum refused and not cut).
func TestPW1_Check(t *testing.T) {
	for name, c := range map[string]struct {
		least    int
		password string
		want     string // "" if the same as the password
		code     string
	}{
		"15 letters":                        {password: "gkwoxmatberlzuh"},
		"14 letters":                        {password: "abcdefghijklmn", code: "password_too_short"},
		"empty":                             {password: "", code: "password_too_short"},
		"15 digits":                         {password: "314159265358979"},
		"15 spaces":                         {password: strings.Repeat(" ", 15)},
		"spaces and emoji":                  {password: strings.Repeat(" "+key, 8)},
		"spaces around":                     {password: "  correct horse  "},
		"a tab and a line end":              {password: "\tcorrect horse\n"},
		"14 and a space":                    {password: "abcdefghijklmn "},
		"14 characters of four bytes":       {password: strings.Repeat(key, 14), code: "password_too_short"},
		"15 characters of four bytes":       {password: strings.Repeat(key, 15)},
		"64 characters of four bytes":       {password: strings.Repeat(key, 64)},
		"256 characters of four bytes":      {password: strings.Repeat(key, 256)},
		"257 characters of four bytes":      {password: strings.Repeat(key, 257), code: "password_too_long"},
		"257 letters":                       {password: strings.Repeat("a", 257), code: "password_too_long"},
		"14 accents apart, 28 code points":  {password: strings.Repeat(apart, 14), code: "password_too_short"},
		"15 accents apart":                  {password: strings.Repeat(apart, 15), want: strings.Repeat(composed, 15)},
		"256 accents apart, 512 points":     {password: strings.Repeat(apart, 256), want: strings.Repeat(composed, 256)},
		"257 accents apart":                 {password: strings.Repeat(apart, 257), code: "password_too_long"},
		"256 letters of four points each":   {password: strings.Repeat("\u03b1\u0313\u0300\u0345", 256), want: strings.Repeat("\u1f82", 256)},
		"compatibility forms stay":          {password: strings.Repeat("\ufb01", 15)},
		"full width stays":                  {password: strings.Repeat("\uff21", 15)},
		"7 with the least allowed":          {least: 8, password: "abcdefg", code: "password_too_short"},
		"8 with the least allowed":          {least: 8, password: "qpxjvkwz"},
		"7 with less than the least":        {least: 1, password: "abcdefg", code: "password_too_short"},
		"7 with a negative length":          {least: -3, password: "abcdefg", code: "password_too_short"},
		"8 with a negative length":          {least: -3, password: "qpxjvkwz"},
		"20 asked for, 19":                  {least: 20, password: strings.Repeat("a", 19), code: "password_too_short"},
		"more asked for than allowed, 255":  {least: 1000, password: strings.Repeat("a", 255), code: "password_too_short"},
		"more asked for than allowed, 256":  {least: 1000, password: strings.Repeat("a", 256)},
		"invalid UTF-8":                     {password: "correct horse \xff battery", code: "invalid_utf8"},
		"the replacement character":         {password: "correct horse \ufffd battery", code: "invalid_utf8"},
		"NUL":                               {password: "correct horse\x00battery", code: "nul_character"},
		"huge and invalid is only too long": {password: strings.Repeat("\xff\x00", 4096), code: "password_too_long"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Policy{MinLength: c.least}.Check(t.Context(), "new_password", c.password)
			if c.code == "" {
				want := c.want
				if want == "" {
					want = c.password
				}
				if err != nil || got != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
				if n := Normalize(c.password); n != want {
					t.Errorf("at sign-in it is %q, want %q", n, want)
				}
				return
			}
			f := fault.As(err)
			if f == nil || f.Kind != fault.Invalid || f.Code != c.code || f.Field != "new_password" || got != "" {
				t.Errorf("got %q, %#v, want a fault %s", got, err, c.code)
			}
		})
	}
}

// The messages say what is wanted.
func TestPW1_Messages(t *testing.T) {
	for _, c := range []struct {
		least    int
		password string
		want     string
	}{
		{0, "short", "at least 15 characters"},
		{3, "short", "at least 8 characters"},
		{20, "short", "at least 20 characters"},
		{0, strings.Repeat("a", 257), "at most 256 characters"},
		{0, strings.Repeat("a", maxBytes+1), "at most 256 characters"},
	} {
		_, err := Policy{MinLength: c.least}.Check(t.Context(), "password", c.password)
		f := fault.As(err)
		if f == nil || !strings.Contains(f.Message, c.want) {
			t.Errorf("least %d: %v, want it to say %q", c.least, err, c.want)
		}
		if strings.Contains(f.Error(), c.password) {
			t.Errorf("the message repeats the password: %v", f)
		}
	}
}

// No password within the maximum is refused for its bytes. This holds as long
// as no code point decomposes into more than four, which is asked of every one
// of them, in the version of Unicode that this build has.
func TestMaxBytes(t *testing.T) {
	most := 0
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if utf8.ValidRune(r) {
			most = max(most, utf8.RuneCountInString(norm.NFD.String(string(r))))
		}
	}
	if bound := MaxLength * most * utf8.UTFMax; bound != maxBytes {
		t.Errorf("a code point of Unicode %s decomposes into as many as %d: maxBytes should be %d, is %d", norm.Version, most, bound, maxBytes)
	}
}

// A huge input is refused before anything is made of it.
func TestHugeCostsNothing(t *testing.T) {
	huge := strings.Repeat(apart, 10<<20)
	if n := testing.AllocsPerRun(10, func() {
		if _, err := (Policy{}).Check(t.Context(), "password", huge); err == nil {
			t.Error("accepted")
		}
	}); n > 10 {
		t.Errorf("Check allocates %v times", n)
	}
	if n := testing.AllocsPerRun(10, func() {
		if Normalize(huge) != "" {
			t.Error("not refused")
		}
	}); n > 0 {
		t.Errorf("Normalize allocates %v times", n)
	}
}

func TestNormalize(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"composed":             {composed, composed},
		"apart":                {apart, composed},
		"too short for today":  {"abc", "abc"},
		"spaces stay":          {" a ", " a "},
		"the longest":          {strings.Repeat(key, 256), strings.Repeat(key, 256)},
		"over the maximum":     {strings.Repeat(key, 257), ""},
		"over it in bytes":     {strings.Repeat("a", maxBytes+1), ""},
		"within it in the end": {strings.Repeat(apart, 256), strings.Repeat(composed, 256)},
	} {
		if got := Normalize(c.in); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
