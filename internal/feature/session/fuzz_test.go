package session

import (
	"slices"
	"testing"

	"github.com/google/uuid"
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

// FuzzTokenFields: a token of ours is read back as it was made, whatever is in
// it; one with a bit changed is not, and neither is one made with another key.
func FuzzTokenFields(f *testing.F) {
	f.Add(uint32(0), []byte("0123456789abcdef"), uint32(1), []byte("salt"), 20)
	f.Add(^uint32(0), []byte{}, ^uint32(0), []byte{}, 0)
	f.Fuzz(func(t *testing.T, epoch uint32, id []byte, generation uint32, salt []byte, at int) {
		var sid uuid.UUID
		copy(sid[:], id)
		made := derived(testKeys, epoch, sid, generation, salt)
		s := made.encode(testKeys)
		if got, ok := parseToken(testKeys, s); !ok || got != made {
			t.Fatalf("%+v came back as %+v, %v", made, got, ok)
		}
		if _, ok := parseToken(Keys{MAC: testKeys.Derive, Derive: testKeys.Derive}, s); ok {
			t.Fatal("another key reads it")
		}
		b := []byte(s)
		b[uint(at)%uint(len(b))] ^= 1
		if _, ok := parseToken(testKeys, string(b)); ok {
			t.Fatalf("%q was accepted", b)
		}
	})
}
