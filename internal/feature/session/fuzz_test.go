package session

import (
	"slices"
	"testing"
)

// FuzzDecodeList: a column that is no list is an error, and one that is comes
// back from its own encoding.
func FuzzDecodeList(f *testing.F) {
	for _, s := range []string{`[]`, `["pwd"]`, `null`, `{}`, `["a",1]`, ``, `["\ud800","<\u2028>"]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := decodeList(s)
		if err != nil {
			return
		}
		if l == nil {
			t.Fatalf("%q is nil, which a token would tell as null", s)
		}
		again, err := decodeList(encodeList(l))
		if err != nil || !slices.Equal(again, l) {
			t.Fatalf("%q is %q, and comes back as %q, %v", s, l, again, err)
		}
	})
}
