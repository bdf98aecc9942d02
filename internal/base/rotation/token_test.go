package rotation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

var testKeys = Keys{MAC: []byte(strings.Repeat("m", 32)), Derive: []byte(strings.Repeat("d", 32))}

func sample() Token {
	return Derived(testKeys, Session, 1, uuid.MustParse(secret.Random{}.ID(time.Now())), 7, []byte("0123456789abcdef"))
}

func TestTokenRoundTrip(t *testing.T) {
	want := sample()
	got, ok := Parse(testKeys, want.Encode(testKeys), Session, Cookie)
	if !ok || got != want {
		t.Errorf("parsed %+v (%v), want %+v", got, ok, want)
	}
}

func TestTokenWithAnyCharacterChangedIsForged(t *testing.T) {
	good := sample().Encode(testKeys)
	for i := range good {
		for _, c := range []byte("AQgw-_=.\x00 ") {
			if good[i] == c {
				continue
			}
			if _, ok := Parse(testKeys, good[:i]+string(c)+good[i+1:], Session, Cookie); ok {
				t.Fatalf("accepted with character %d changed to %q", i, c)
			}
		}
	}
	for _, s := range []string{"", TokenPrefix, good[1:], good + "A", good[:len(good)-1], strings.ToUpper(good), good + "\n", " " + good} {
		if _, ok := Parse(testKeys, s, Session, Cookie); ok {
			t.Errorf("accepted %q", s)
		}
	}
}

func TestTokenOfAnotherKeyIsForged(t *testing.T) {
	other := Keys{MAC: []byte(strings.Repeat("x", 32)), Derive: testKeys.Derive}
	if _, ok := Parse(testKeys, sample().Encode(other), Session, Cookie); ok {
		t.Error("accepted a token with another key's MAC")
	}
}

func TestTokenSecretsDependOnEverything(t *testing.T) {
	a := sample()
	salt := []byte("0123456789abcdef")
	seen := map[[secretSize]byte]string{a.secret: "itself"}
	for name, b := range map[string]Token{
		"salt":       Derived(testKeys, Session, 1, a.Of, 7, []byte("0123456789abcdeF")),
		"generation": Derived(testKeys, Session, 1, a.Of, 8, salt),
		"session":    Derived(testKeys, Session, 1, uuid.Max, 7, salt),
		"ring":       Derived(Keys{MAC: testKeys.MAC, Derive: []byte(strings.Repeat("D", 32))}, Session, 1, a.Of, 7, salt),
	} {
		if with, there := seen[b.secret]; there {
			t.Errorf("with another %s the secret is that of %s", name, with)
		}
		seen[b.secret] = name
	}
}

func FuzzToken(f *testing.F) {
	f.Add(TokenPrefix + strings.Repeat("\n", 123))
	f.Add(sample().Encode(testKeys))
	f.Add("gatehouse_rt_")
	f.Add("gatehouse_rt_" + strings.Repeat("A", 123))
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := Parse(testKeys, s, Session, Cookie)
		if ok && got.Encode(testKeys) != s {
			t.Errorf("%q was accepted, and is written %q", s, got.Encode(testKeys))
		}
	})
}

// TestATokenOfOneKindIsForgedAsAnother: what a browser's cookie or an application has is no token of a session, and the other
// way round.
func TestATokenOfOneKindIsForgedAsAnother(t *testing.T) {
	kinds := []Kind{Session, Cookie, Client}
	for _, made := range kinds {
		token := sample()
		token.Kind = made
		for _, read := range kinds {
			if _, ok := Parse(testKeys, token.Encode(testKeys), read); ok != (made == read) {
				t.Errorf("made for %q and read as %q: %v", made, read, ok)
			}
		}
	}
}

// FuzzTokenFields: a token of ours is read back as it was made, whatever is in
// it; one with a bit changed is not, and neither is one made with another key.
func FuzzTokenFields(f *testing.F) {
	f.Add(uint32(0), []byte("0123456789abcdef"), uint32(1), []byte("salt"), 20)
	f.Add(^uint32(0), []byte{}, ^uint32(0), []byte{}, 0)
	f.Fuzz(func(t *testing.T, epoch uint32, id []byte, generation uint32, salt []byte, at int) {
		var sid uuid.UUID
		copy(sid[:], id)
		made := Derived(testKeys, Session, epoch, sid, generation, salt)
		s := made.Encode(testKeys)
		if got, ok := Parse(testKeys, s, Session, Cookie); !ok || got != made {
			t.Fatalf("%+v came back as %+v, %v", made, got, ok)
		}
		if _, ok := Parse(Keys{MAC: testKeys.Derive, Derive: testKeys.Derive}, s, Session, Cookie); ok {
			t.Fatal("another key reads it")
		}
		b := []byte(s)
		b[uint(at)%uint(len(b))] ^= 1
		if _, ok := Parse(testKeys, string(b), Session, Cookie); ok {
			t.Fatalf("%q was accepted", b)
		}
	})
}
