package secret

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzOpen: nothing opens but what was sealed, in its own context.
func FuzzOpen(f *testing.F) {
	key := []byte(strings.Repeat("k", KeySize))
	// The same each time: the seeds and the target run in different processes.
	good := Seal(Random{Reader: strings.NewReader(strings.Repeat("n", 64))}, key, []byte("ring key"), "context")
	f.Add(good, "context", 0)
	f.Add(good, "another", 0)
	f.Add([]byte{}, "", 1)
	f.Add(good[:27], "context", 3)
	f.Fuzz(func(t *testing.T, b []byte, context string, at int) {
		if plain, err := Open(key, b, context); err == nil && (!bytes.Equal(b, good) || context != "context" || string(plain) != "ring key") {
			t.Fatalf("%x opened in %q as %q", b, context, plain)
		}
		sealed := Seal(Random{}, key, b, context)
		if plain, err := Open(key, sealed, context); err != nil || !bytes.Equal(plain, b) {
			t.Fatalf("%x came back as %x, %v", b, plain, err)
		}
		if _, err := Open(key, sealed, context+"x"); err == nil {
			t.Fatal("opened in another context")
		}
		sealed[uint(at)%uint(len(sealed))] ^= 1
		if _, err := Open(key, sealed, context); err == nil {
			t.Fatal("opened with a bit changed")
		}
	})
}

// FuzzMAC: two lists of parts have one MAC only if they are the same list.
func FuzzMAC(f *testing.F) {
	f.Add([]byte("a"), []byte("bc"), 1)
	f.Add([]byte(""), []byte("abc"), 0)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		key := []byte(strings.Repeat("k", KeySize))
		whole := append(bytes.Clone(a), b...)
		n := int(uint(cut) % uint(len(whole)+1))
		same := n == len(a)
		if got := Equal(MAC(key, a, b), MAC(key, whole[:n], whole[n:])); got != same {
			t.Fatalf("%q %q cut at %d: %v", a, b, n, got)
		}
		if Equal(MAC(key, a, b), MAC(key, whole)) {
			t.Fatalf("%q %q is like the two joined", a, b)
		}
	})
}
