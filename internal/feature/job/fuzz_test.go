package job

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzStorable: what is stored of a job's error is text to both databases, and
// what was text already is stored as it is.
func FuzzStorable(f *testing.F) {
	for _, s := range []string{"", "it broke", "\x00", "\xff\x00é", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := storable(s)
		if !utf8.ValidString(got) || strings.Contains(got, "\x00") || storable(got) != got {
			t.Fatalf("%q is stored as %q", s, got)
		}
		if utf8.ValidString(s) && !strings.Contains(s, "\x00") && got != s {
			t.Fatalf("%q is stored as %q", s, got)
		}
	})
}
