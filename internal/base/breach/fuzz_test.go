package breach

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzRead: whatever stands in a corpus, reading it never panics, and what it
// takes for a hash is one, in its range.
func FuzzRead(f *testing.F) {
	list := hashes(9, 3)
	f.Add(text(list), "")
	f.Add("0018A45C4D1DEB81644B54AB7F969B88D65:1\r\n00D4F6E8FA6EECAD2A3AA415EEC418D38EC:0\n", "21BD1")
	f.Add(":::\n\n0:\xff", "ABCDE")
	f.Fuzz(func(t *testing.T, corpus, prefix string) {
		if len(prefix) > 5 {
			prefix = prefix[:5]
		}
		n := 0
		_ = read(strings.NewReader(corpus), prefix, 0, func(h Hash) error {
			n++
			if digits := fmt.Sprintf("%x", h); !strings.HasPrefix(digits, strings.ToLower(prefix)) || !strings.Contains(strings.ToLower(corpus), digits[len(prefix):]) {
				t.Errorf("read %s", digits)
			}
			return nil
		})
		if most := strings.Count(corpus, "\n") + 1; n > most {
			t.Errorf("%d hashes in %d lines", n, most)
		}
	})
}
