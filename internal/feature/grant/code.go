package grant

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// CodePrefix begins every code, so that scanners for leaked secrets can find them.
const CodePrefix = "gatehouse_ac_"

const (
	codeSecret = 32
	codeMAC    = 16
	codeSize   = 16 + codeSecret + codeMAC
)

// Code is a code whose MAC is right:
//
//	gatehouse_ac_ base64url(grant id[16] secret[32] MAC[16])
type Code struct {
	id     uuid.UUID
	secret [codeSecret]byte
}

// Grant names the row of the code.
func (c Code) Grant() string { return c.id.String() }

// hash is what the row keeps.
func (c Code) hash() []byte {
	sum := sha256.Sum256(c.secret[:])
	return sum[:]
}

func (c Code) body() []byte {
	return append(append(make([]byte, 0, codeSize), c.id[:]...), c.secret[:]...)
}

var encoding = base64.RawURLEncoding.Strict()

func (c Code) encode(key []byte) string {
	body := c.body()
	return CodePrefix + encoding.EncodeToString(append(body, codeSum(key, body)...))
}

func codeSum(key, body []byte) []byte { return secret.MAC(key, []byte("code"), body)[:codeMAC] }

func (s *Store) newCode(now time.Time) (c Code) {
	c.id = uuid.MustParse(s.random.ID(now))
	copy(c.secret[:], s.random.Bytes(codeSecret))
	return c
}

// ParseCode takes a code apart, and reports whether it is one of ours.
func (s *Store) ParseCode(text string) (c Code, ok bool) {
	if text, ok = strings.CutPrefix(text, CodePrefix); !ok {
		return Code{}, false
	}
	b, ok := secret.Decode(text, codeSize)
	if !ok {
		return Code{}, false
	}
	body, mac := b[:codeSize-codeMAC], b[codeSize-codeMAC:]
	if !secret.Equal(mac, codeSum(s.code(), body)) {
		return Code{}, false
	}
	copy(c.id[:], body)
	copy(c.secret[:], body[16:])
	return c, true
}

// Challenge is that of a verifier by S256, the one method there is (RFC 7636 section 4.2); empty for none.
func Challenge(verifier string) string {
	if verifier == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
