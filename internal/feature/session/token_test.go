package session

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

var testKeys = Keys{MAC: []byte(strings.Repeat("m", 32)), Derive: []byte(strings.Repeat("d", 32))}

func sample() refreshToken {
	return derived(testKeys, 1, uuid.MustParse(secret.Random{}.ID(time.Now())), 7, []byte("0123456789abcdef"))
}

func TestTokenRoundTrip(t *testing.T) {
	want := sample()
	got, ok := parseToken(testKeys, want.encode(testKeys))
	if !ok || got != want {
		t.Errorf("parsed %+v (%v), want %+v", got, ok, want)
	}
}

func TestTokenWithAnyCharacterChangedIsForged(t *testing.T) {
	good := sample().encode(testKeys)
	for i := range good {
		for _, c := range []byte("AQgw-_=.\x00 ") {
			if good[i] == c {
				continue
			}
			if _, ok := parseToken(testKeys, good[:i]+string(c)+good[i+1:]); ok {
				t.Fatalf("accepted with character %d changed to %q", i, c)
			}
		}
	}
	for _, s := range []string{"", TokenPrefix, good[1:], good + "A", good[:len(good)-1], strings.ToUpper(good), good + "\n", " " + good} {
		if _, ok := parseToken(testKeys, s); ok {
			t.Errorf("accepted %q", s)
		}
	}
}

func TestTokenOfAnotherKeyIsForged(t *testing.T) {
	other := Keys{MAC: []byte(strings.Repeat("x", 32)), Derive: testKeys.Derive}
	if _, ok := parseToken(testKeys, sample().encode(other)); ok {
		t.Error("accepted a token with another key's MAC")
	}
}

func TestTokenSecretsDependOnEverything(t *testing.T) {
	a := sample()
	salt := []byte("0123456789abcdef")
	seen := map[[secretSize]byte]string{a.secret: "itself"}
	for name, b := range map[string]refreshToken{
		"salt":       derived(testKeys, 1, a.session, 7, []byte("0123456789abcdeF")),
		"generation": derived(testKeys, 1, a.session, 8, salt),
		"session":    derived(testKeys, 1, uuid.Max, 7, salt),
		"ring":       derived(Keys{MAC: testKeys.MAC, Derive: []byte(strings.Repeat("D", 32))}, 1, a.session, 7, salt),
	} {
		if with, there := seen[b.secret]; there {
			t.Errorf("with another %s the secret is that of %s", name, with)
		}
		seen[b.secret] = name
	}
}

func FuzzToken(f *testing.F) {
	f.Add(sample().encode(testKeys))
	f.Add("gatehouse_rt_")
	f.Add("gatehouse_rt_" + strings.Repeat("A", 123))
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseToken(testKeys, s)
		if ok && got.encode(testKeys) != s {
			t.Errorf("%q was accepted, and is written %q", s, got.encode(testKeys))
		}
	})
}
