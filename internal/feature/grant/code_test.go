package grant

import (
	"bytes"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

func testStore(key byte) *Store {
	k := bytes.Repeat([]byte{key}, secret.KeySize)
	return NewStore(Config{}, rotation.Keys{MAC: k, Derive: k}, func() []byte { return k }, 1, secret.Random{})
}

// The example of RFC 7636, appendix B.
func TestChallenge(t *testing.T) {
	if got := Challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Error(got)
	}
	if Challenge("") != "" {
		t.Error("no verifier has a challenge")
	}
}

// FuzzParseCode: a code is ours or none, and has one spelling.
func FuzzParseCode(f *testing.F) {
	s, other := testStore(1), testStore(2)
	for _, store := range []*Store{s, other} { // the fuzzer runs this in several processes: what is good is the same in each
		store.random = secret.Random{Reader: bytes.NewReader(make([]byte, 256))}
	}
	made := s.newCode(time.Unix(1_000_000, 0))
	f.Add(made.encode(s.code()))
	f.Add(other.newCode(time.Unix(1_000_000, 0)).encode(other.code()))
	f.Add("gatehouse_ac_")
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := s.ParseCode(text)
		if !ok {
			return
		}
		if c != made || c.encode(s.code()) != text {
			t.Errorf("%q was taken", text)
		}
		if _, ok := other.ParseCode(text); ok {
			t.Error("another key takes it")
		}
	})
}

// FuzzParseScope: what comes of a scope is known, once each, and stays what it is.
func FuzzParseScope(f *testing.F) {
	f.Add("openid email unknown openid", "email")
	f.Fuzz(func(t *testing.T, text, given string) {
		list := ParseScope(text)
		seen := map[string]bool{}
		for _, s := range list {
			if seen[s] || !Has(text, s) {
				t.Errorf("%q of %q", list, text)
			}
			seen[s] = true
		}
		for _, s := range Beyond(list, given) {
			if Has(given, s) {
				t.Errorf("%q is in %q", s, given)
			}
		}
	})
}
