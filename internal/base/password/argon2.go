package password

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"

	"golang.org/x/crypto/argon2"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Argon2 are the parameters of argon2id (RFC 9106).
type Argon2 struct {
	MemoryKiB uint32 // LeastArgon2's or more
	Passes    uint32
	Lanes     uint8
}

// LeastArgon2 is OWASP's and the default: 19 MiB, two passes, one lane.
var LeastArgon2 = Argon2{MemoryKiB: 19 << 10, Passes: 2, Lanes: 1}

// The most that a stored hash may ask for: one altered row could hold a core
// and its memory otherwise.
const (
	MaxArgon2MemoryKiB = 1 << 20
	MaxArgon2Passes    = 64
	maxArgon2Lanes     = 16
)

const (
	argon2Salt = 16
	argon2Key  = 32
)

// weakerThan reports whether any parameter is lower.
func (a Argon2) weakerThan(b Argon2) bool { return a.MemoryKiB < b.MemoryKiB || a.Passes < b.Passes }

// argon2Hash is a stored hash that has been read.
type argon2Hash struct {
	Argon2
	salt, key []byte
}

// argon2Form is PHC's, to the letter: no sign and no zero before a number.
var argon2Form = regexp.MustCompile(`^\$argon2id\$v=19\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]{0,2}),p=([1-9][0-9]?)\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$`)

func parseArgon2(s string) (*argon2Hash, error) {
	m := argon2Form.FindStringSubmatch(s)
	if m == nil {
		return nil, ErrUnknownForm
	}
	var n [3]uint32
	for i := range n {
		v, err := strconv.ParseUint(m[i+1], 10, 32)
		if err != nil {
			return nil, ErrUnknownForm
		}
		n[i] = uint32(v)
	}
	salt, err := base64.RawStdEncoding.Strict().DecodeString(m[4])
	if err != nil {
		return nil, ErrUnknownForm
	}
	key, err := base64.RawStdEncoding.Strict().DecodeString(m[5])
	if err != nil || n[0] < 8*n[2] || n[0] > MaxArgon2MemoryKiB || n[1] > MaxArgon2Passes || n[2] > maxArgon2Lanes {
		return nil, ErrUnknownForm
	}
	return &argon2Hash{Argon2{n[0], n[1], uint8(n[2])}, salt, key}, nil //nolint:gosec // at most 16
}

// make returns the hash of a pre-hashed password.
func (a Argon2) make(random secret.Random, pre []byte) string {
	salt := random.Bytes(argon2Salt)
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", a.MemoryKiB, a.Passes, a.Lanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(a.derive(pre, salt)))
}

func (a Argon2) derive(pre, salt []byte) []byte {
	return argon2.IDKey(pre, salt, a.Passes, a.MemoryKiB, a.Lanes, argon2Key)
}

// matches compares a pre-hashed password.
func (h *argon2Hash) matches(pre []byte) bool {
	return secret.Equal(h.derive(pre, h.salt), h.key)
}

// missing returns what a hash with these parameters lacks of the work of one
// with others: their memory times their passes.
func (a Argon2) missing(of Argon2) []Argon2 {
	var out []Argon2
	if of.Passes > a.Passes {
		out = append(out, Argon2{a.MemoryKiB, of.Passes - a.Passes, a.Lanes})
	}
	if of.MemoryKiB > a.MemoryKiB {
		out = append(out, Argon2{max(of.MemoryKiB-a.MemoryKiB, 8), of.Passes, 1})
	}
	return out
}
