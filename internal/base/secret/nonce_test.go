package secret

import "testing"

// Each seal has a nonce of its own: 96 random bits, of which a key uses up to 2^32.
func TestASVS_V11_3_4_NoncesDiffer(t *testing.T) {
	key := Random{}.Bytes(KeySize)
	size := newGCM(key).NonceSize()
	if size != 12 {
		t.Fatalf("a nonce has %d bytes", size)
	}
	seen := map[string]bool{}
	for range 50_000 {
		nonce := string(Seal(Random{}, key, []byte("the same"), "here")[:size])
		if seen[nonce] {
			t.Fatal("a nonce came twice under one key")
		}
		seen[nonce] = true
	}
}
