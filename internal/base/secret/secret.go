// Package secret generates what must not be guessable: random bytes, identifiers,
// and the keyed hashes and keys that are derived from a secret.
//
// It has no cryptography of its own; it names the few ways in which Gatehouse
// uses the standard library's, so that each is in one place.
package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// KeySize is the size in bytes of every symmetric key in Gatehouse.
const KeySize = 32

// Random is a source of random bytes and of identifiers. The zero value reads
// from the operating system; tests pass a reader of their own.
type Random struct{ Reader io.Reader }

func (r Random) reader() io.Reader {
	if r.Reader == nil {
		return rand.Reader
	}
	return r.Reader
}

// Bytes returns n random bytes. It panics if the source fails: there is no
// safe way to go on without randomness, and the operating system's never does.
func (r Random) Bytes(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(r.reader(), b); err != nil {
		panic("secret: no randomness: " + err.Error())
	}
	return b
}

// Text returns n random bytes in base64url without padding.
func (r Random) Text(n int) string {
	return base64.RawURLEncoding.EncodeToString(r.Bytes(n))
}

// ID returns a new UUID of version 7 (RFC 9562): it begins with the time, in
// units of a quarter of a microsecond (section 6.2, method 3), so that rows made
// one after another are adjacent in an index, and events sort as they
// happened. It ends with 62 bits of randomness. It identifies; it is no secret.
func (r Random) ID(now time.Time) string {
	id := timed(now)
	copy(id[8:], r.Bytes(8))
	fraction := uint16(max(now.UnixNano(), 0) % 1e6 << 12 / 1e6)
	binary.BigEndian.PutUint16(id[6:], fraction|0x7000)
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// FirstID returns what sorts before every ID made at that time or later, and
// after every one made before.
func FirstID(at time.Time) string { return timed(at).String() }

// timed returns a UUID that has only its time: 48 bits of milliseconds.
func timed(at time.Time) (id uuid.UUID) {
	ms := uint64(max(at.UnixMilli(), 0))
	binary.BigEndian.PutUint64(id[:], ms<<16)
	return id
}

// MAC returns HMAC-SHA-256(key, parts), each part preceded by its length so
// that no two lists of parts are alike.
func MAC(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p)))) //nolint:gosec // no part is near 4 GiB
		h.Write(p)
	}
	return h.Sum(nil)
}

// Keyed is HMAC-SHA-256 with one key, which it takes in once: for what is hashed in every
// request. It may be used by several goroutines at once.
type Keyed struct {
	key    []byte
	states sync.Pool // of hash.Hash
}

// NewKeyed returns the Keyed of a key.
func NewKeyed(key []byte) *Keyed {
	k := &Keyed{key: bytes.Clone(key)}
	k.states.New = func() any { return hmac.New(sha256.New, k.key) }
	return k
}

// Has reports whether k is of that key.
func (k *Keyed) Has(key []byte) bool { return k != nil && Equal(k.key, key) }

// MAC returns HMAC-SHA-256(key, data), without the lengths that [MAC] writes.
func (k *Keyed) MAC(data []byte) (sum [sha256.Size]byte) {
	h := k.states.Get().(hash.Hash)
	h.Reset()
	h.Write(data)
	h.Sum(sum[:0])
	k.states.Put(h)
	return sum
}

// Equal compares two byte strings in a time that depends on their length only.
func Equal(a, b []byte) bool { return hmac.Equal(a, b) }

// Derive returns a key of KeySize bytes from a secret by HKDF-SHA-256
// (RFC 5869). The info names its purpose, so that keys for different purposes
// reveal nothing about one another.
func Derive(key, salt []byte, info string) []byte {
	out, err := hkdf.Key(sha256.New, key, salt, info, KeySize)
	if err != nil {
		// The only error is a length over 255 hashes; KeySize is one.
		panic("secret: " + err.Error())
	}
	return out
}

// Seal encrypts and authenticates the plaintext with AES-256-GCM under a
// random nonce, which is prefixed to the result. The context is authenticated
// but not stored: Open needs the same one, so that a sealed value can't be
// moved to another place. One key may seal up to 2^32 values (NIST SP 800-38D
// section 8.3).
func Seal(r Random, key, plaintext []byte, context string) []byte {
	aead := newGCM(key)
	nonce := r.Bytes(aead.NonceSize())
	return aead.Seal(nonce, nonce, plaintext, []byte(context))
}

// Open returns what Seal was given. It fails if the key or the context is
// another, or if a bit of the sealed value has changed.
func Open(key, sealed []byte, context string) ([]byte, error) {
	aead := newGCM(key)
	if len(sealed) < aead.NonceSize() {
		return nil, fmt.Errorf("sealed value of %d bytes is too short", len(sealed))
	}
	nonce, body := sealed[:aead.NonceSize()], sealed[aead.NonceSize():]
	return aead.Open(nil, nonce, body, []byte(context))
}

func newGCM(key []byte) cipher.AEAD {
	if len(key) != KeySize {
		panic(fmt.Sprintf("secret: key of %d bytes, want %d", len(key), KeySize))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("secret: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("secret: " + err.Error())
	}
	return aead
}

// Decode reads base64url without padding of exactly so many bytes, in the one way that there is to write it (RFC 4648 sections 3.5 and 5); a
// negative size is any. The library passes over line ends wherever they are: what it reads may be shorter than the text's length tells, and
// have many spellings.
func Decode(text string, size int) (b []byte, ok bool) {
	if strings.ContainsAny(text, "\r\n") || size >= 0 && len(text) != base64.RawURLEncoding.EncodedLen(size) {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return b, err == nil
}
