package secret_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

var (
	key   = bytes.Repeat([]byte{1}, secret.KeySize)
	other = append(bytes.Repeat([]byte{1}, secret.KeySize-1), 2)
	start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

// seeded returns a source that yields the same bytes for the same seed.
func seeded(seed byte) secret.Random {
	return secret.Random{Reader: rand.NewChaCha8([32]byte{seed})}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestRandomIsReproducibleFromAReaderAndNeverTheSameFromTheSystem(t *testing.T) {
	for name, draw := range map[string]func(secret.Random) string{
		"bytes": func(r secret.Random) string { return string(r.Bytes(32)) },
		"text":  func(r secret.Random) string { return r.Text(32) },
		"id":    func(r secret.Random) string { return r.ID(start) },
		"seal":  func(r secret.Random) string { return string(secret.Seal(r, key, []byte("x"), "c")) },
	} {
		first, again := draw(seeded(1)), draw(seeded(1))
		if first != again {
			t.Errorf("%s: one reader, two results", name)
		}
		if first == draw(seeded(2)) {
			t.Errorf("%s: two readers, one result", name)
		}
		first, again = draw(secret.Random{}), draw(secret.Random{})
		if first == again {
			t.Errorf("%s: the system's randomness came twice", name)
		}
	}
	if got := seeded(1).Text(32); len(got) != 43 || strings.ContainsAny(got, "+/=") {
		t.Errorf("32 bytes as text are %q", got)
	}
}

// ASVS 11.5.2: no error of the source is ever ignored.
func TestRandomPanicsWhenItsReaderFails(t *testing.T) {
	for name, reader := range map[string]io.Reader{
		"at once":        iotest.ErrReader(errors.New("no entropy")),
		"in the middle":  io.LimitReader(rand.NewChaCha8([32]byte{}), 3),
		"and is empty":   strings.NewReader(""),
		"after a chunk":  iotest.TimeoutReader(iotest.OneByteReader(rand.NewChaCha8([32]byte{}))),
		"one byte short": io.LimitReader(rand.NewChaCha8([32]byte{}), 7),
	} {
		r := secret.Random{Reader: reader}
		if !panics(func() { r.ID(start) }) {
			t.Errorf("a reader that fails %s was taken for random", name)
		}
	}
	slow := secret.Random{Reader: iotest.OneByteReader(rand.NewChaCha8([32]byte{1}))}
	if !bytes.Equal(slow.Bytes(32), seeded(1).Bytes(32)) {
		t.Error("a reader that gives a byte at a time gives others")
	}
}

// ASVS 11.5.2: many at once, and none twice.
func TestRandomUnderLoad(t *testing.T) {
	const workers, each = 16, 2000
	drawn := make([][]string, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for range each {
				drawn[i] = append(drawn[i], secret.Random{}.ID(start), secret.Random{}.Text(16))
			}
		})
	}
	wg.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(drawn...)))
	if n := len(slices.Compact(all)); n != workers*each*2 {
		t.Errorf("%d distinct values of %d", n, workers*each*2)
	}
}

func TestIDIsAUUIDOfVersion7WithItsTime(t *testing.T) {
	for _, fill := range []byte{0x00, 0xff, 0x5a} {
		r := secret.Random{Reader: bytes.NewReader(bytes.Repeat([]byte{fill}, 8))}
		text := r.ID(start)
		id, err := uuid.Parse(text)
		if err != nil || id.String() != text {
			t.Fatalf("%q is no UUID in its usual form: %v", text, err)
		}
		if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Errorf("%s has version %d, variant %s", id, id.Version(), id.Variant())
		}
		if sec, nsec := id.Time().UnixTime(); !time.Unix(sec, nsec).Equal(start) {
			t.Errorf("%s tells %v, want %v", id, time.Unix(sec, nsec).UTC(), start)
		}
	}
}

func TestIDSortsByTimeAndFirstIDBoundsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := func(label string) time.Time {
			return time.UnixMilli(rapid.Int64Range(0, 1<<48-3).Draw(t, label))
		}
		a, b := at("one"), at("another")
		if near := rapid.Int64Range(-2, 2).Draw(t, "near"); near != 0 && a.UnixMilli() > 2 {
			b = a.Add(time.Duration(near) * time.Millisecond)
		}
		idA, idB := secret.Random{}.ID(a), secret.Random{}.ID(b)
		if a.Before(b) && idA >= idB {
			t.Fatalf("%s of %v does not sort before %s of %v", idA, a, idB, b)
		}
		if first := secret.FirstID(b); (idA < first) != a.Before(b) {
			t.Fatalf("%s of %v, bound %s of %v", idA, a, first, b)
		}
	})
	// Two events of one transaction are microseconds apart.
	rapid.Check(t, func(t *rapid.T) {
		a := time.UnixMicro(rapid.Int64Range(0, 1<<58).Draw(t, "micros"))
		if one, next := (secret.Random{}).ID(a), (secret.Random{}).ID(a.Add(time.Microsecond)); a.UnixNano() > 0 && one >= next {
			t.Fatalf("%s of %v does not sort before %s, a microsecond later", one, a, next)
		}
	})
	if id := (secret.Random{}).ID(time.Time{}); id < secret.FirstID(time.Time{}) || id >= secret.FirstID(time.UnixMilli(1)) {
		t.Errorf("an id from before 1970 is %s", id)
	}
}

func TestMACKeepsItsPartsApart(t *testing.T) {
	seen := map[string]string{}
	for name, parts := range map[string][]string{
		"nothing":        {},
		"one empty":      {""},
		"two empty":      {"", ""},
		"ab":             {"ab"},
		"a b":            {"a", "b"},
		"ab and empty":   {"ab", ""},
		"empty and ab":   {"", "ab"},
		"ba":             {"ba"},
		"length inside":  {"a\x00\x00\x00\x01b"},
		"as if framed":   {"\x00\x00\x00\x01a\x00\x00\x00\x01b"},
		"256 bytes":      {strings.Repeat("a", 256)},
		"257 bytes":      {strings.Repeat("a", 257)},
		"65536 and more": {strings.Repeat("a", 65536), "b"},
		"65537":          {strings.Repeat("a", 65536) + "b"},
	} {
		var list [][]byte
		for _, p := range parts {
			list = append(list, []byte(p))
		}
		mac := secret.MAC(key, list...)
		if len(mac) != 32 {
			t.Errorf("%s: %d bytes", name, len(mac))
		}
		if with, there := seen[string(mac)]; there {
			t.Errorf("%s has the MAC of %s", name, with)
		}
		seen[string(mac)] = name
		if !secret.Equal(mac, secret.MAC(key, list...)) || secret.Equal(mac, secret.MAC(other, list...)) {
			t.Errorf("%s: not the same again, or the same under another key", name)
		}
	}
}

// A length that is cut to fewer bytes makes a long part look like an empty one
// and its rest.
func TestMACTakesTheWholeLength(t *testing.T) {
	for size := 1; size <= 3; size++ {
		long := make([]byte, 1<<(8*size))
		rest := len(long) - size
		for i := range size {
			long[i] = byte(rest >> (8 * (size - 1 - i)))
		}
		if secret.Equal(secret.MAC(key, long), secret.MAC(key, nil, long[size:])) {
			t.Errorf("only %d bytes of a length are taken", size)
		}
	}
}

func TestMACKeepsAnyPartsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOfN(rapid.SliceOfN(rapid.SliceOfN(rapid.ByteRange(0, 2), 0, 6), 0, 4), 2, 2).Draw(t, "lists")
		same := slices.EqualFunc(lists[0], lists[1], bytes.Equal)
		if secret.Equal(secret.MAC(key, lists[0]...), secret.MAC(key, lists[1]...)) != same {
			t.Fatalf("%q and %q", lists[0], lists[1])
		}
	})
}

func TestDeriveDependsOnEverything(t *testing.T) {
	base := secret.Derive(key, []byte("salt"), "gatehouse/test/1")
	if len(base) != secret.KeySize || !bytes.Equal(base, secret.Derive(key, []byte("salt"), "gatehouse/test/1")) {
		t.Error("a derived key has another size, or is another one the second time")
	}
	for name, k := range map[string][]byte{
		"key":  secret.Derive(other, []byte("salt"), "gatehouse/test/1"),
		"salt": secret.Derive(key, []byte("sale"), "gatehouse/test/1"),
		"info": secret.Derive(key, []byte("salt"), "gatehouse/test/2"),
	} {
		if bytes.Equal(base, k) {
			t.Errorf("another %s makes the same key", name)
		}
	}
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	for _, plain := range [][]byte{nil, {0}, []byte("a private key"), bytes.Repeat([]byte("x"), 100_000)} {
		sealed := secret.Seal(secret.Random{}, key, plain, "row 7")
		got, err := secret.Open(key, sealed, "row 7")
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: got %d back, error %v", len(plain), len(got), err)
		}
		if len(plain) > 1 && bytes.Contains(sealed, plain) {
			t.Error("the sealed value holds the plaintext")
		}
		if bytes.Equal(sealed, secret.Seal(secret.Random{}, key, plain, "row 7")) {
			t.Error("sealed twice, it is the same: the nonce was used again")
		}
	}
}

// ASVS 11.3.3, 11.2.5: whatever was changed, it does not open, and yields
// nothing.
func TestOpenRefusesEverythingElse(t *testing.T) {
	sealed := secret.Seal(secret.Random{}, key, []byte("a private key"), "row 7")
	refuse := func(name string, k, s []byte, context string) {
		t.Helper()
		if got, err := secret.Open(k, s, context); err == nil || got != nil {
			t.Errorf("%s: opened to %q", name, got)
		}
	}
	for i := range len(sealed) * 8 {
		s := bytes.Clone(sealed)
		s[i/8] ^= 1 << (i % 8)
		refuse("a bit changed", key, s, "row 7")
	}
	for n := range sealed {
		refuse("cut at the end", key, sealed[:n], "row 7")
		refuse("cut at the front", key, sealed[n+1:], "row 7")
	}
	refuse("nothing", key, nil, "row 7")
	refuse("longer", key, append(bytes.Clone(sealed), 0), "row 7")
	refuse("another key", other, sealed, "row 7")
	for _, context := range []string{"", "row 8", "row 7 ", "row 77", "row"} {
		refuse("context "+context, key, sealed, context)
	}
}

func TestAKeyOfAnotherSizeIsAMistakeOfOurs(t *testing.T) {
	for _, size := range []int{0, 16, 24, 31, 33} {
		k := make([]byte, size)
		if !panics(func() { secret.Seal(secret.Random{}, k, nil, "") }) || !panics(func() { _, _ = secret.Open(k, make([]byte, 64), "") }) {
			t.Errorf("a key of %d bytes was used", size)
		}
	}
}

// TestKeyedIsHMAC: it is what crypto/hmac makes of the same, also when many use it at once.
func TestKeyedIsHMAC(t *testing.T) {
	k := secret.NewKeyed(key)
	if !k.Has(key) || k.Has(other) || (*secret.Keyed)(nil).Has(key) {
		t.Error("Keyed does not know its own key from another")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 200 {
				data := bytes.Repeat([]byte{7}, n)
				h := hmac.New(sha256.New, key)
				h.Write(data)
				if got := k.MAC(data); !bytes.Equal(got[:], h.Sum(nil)) {
					t.Errorf("MAC of %d bytes: %x, HMAC-SHA-256 is another", n, got)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkKeyed holds it against an HMAC that is made anew each time.
func BenchmarkKeyed(b *testing.B) {
	data := []byte("api\x00account\x000190a6e2-7b1c-7def-8a4b-0123456789ab")
	b.Run("anew", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h := hmac.New(sha256.New, key)
			h.Write(data)
			h.Sum(nil)
		}
	})
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		k := secret.NewKeyed(key)
		for b.Loop() {
			k.MAC(data)
		}
	})
}

// TestDecode: of each text there is one spelling, and it is as long as it looks: the library passes over line ends.
func TestDecode(t *testing.T) {
	for text, size := range map[string]int{"": 0, "AQID": 3, "AQIDBA": 4, "_-__": 3} {
		b, ok := secret.Decode(text, size)
		if !ok || len(b) != size {
			t.Errorf("%q: %v %v", text, b, ok)
		}
		if _, ok := secret.Decode(text, -1); !ok {
			t.Errorf("%q of any size is refused", text)
		}
	}
	for text, size := range map[string]int{"AQI\n": 3, "AQ\r\nID": -1, "\n": 0, "AQIDBB": 4, "AQIDBA==": 4, "AQ+D": 3, "AQID": 4, "AQIDBAU": 4, "AQ I": 3} {
		if b, ok := secret.Decode(text, size); ok {
			t.Errorf("%q of %d bytes is read as %v", text, size, b)
		}
	}
}
