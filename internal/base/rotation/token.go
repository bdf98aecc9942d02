// Package rotation is the chain of refresh tokens: how one is written and checked, how its successor is derived, and what
// the answer of the one statement that replaces it means. Sessions and the grants of applications rotate alike, each in a
// table of its own: see package session for the rules, and for the model and the mutants that judge them.
package rotation

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// TokenPrefix begins every refresh token, so that scanners for leaked secrets
// can find them.
const TokenPrefix = "gatehouse_rt_"

// SaltSize is the size of the salt that a row keeps for its current token, in bytes.
const SaltSize = 16

const (
	secretSize = 32
	macSize    = 32
	tokenSize  = 4 + 16 + 4 + secretSize + macSize
)

// Keys are the two ring keys of refresh tokens.
type Keys struct {
	// MAC authenticates tokens; Derive is what their secrets are derived from.
	MAC, Derive []byte
	// Former authenticated tokens before a restore from a backup: with them an old token is
	// told from a forged one, and nothing else.
	Former [][]byte
}

// Kind is for whom a token was made. Each has another MAC, so that none passes for another.
type Kind string

// The kinds.
const (
	// Session is for a session's client, in a body.
	Session Kind = ""
	// Cookie is for a browser, in a cookie: what is taken out of a cookie is no refresh token for a body.
	Cookie Kind = "cookie"
	// Client is for an application that people sign in to with OpenID Connect.
	Client Kind = "client"
)

// Token is a refresh token, taken apart:
//
//	gatehouse_rt_ base64url(epoch[4] id[16] generation[4] secret[32] MAC[32])
//
// The MAC lets a made-up token be refused without a look at the database. The
// secret is what the database's hash is held against.
type Token struct {
	// Epoch is how often the database had been restored from a backup.
	Epoch uint32
	// Of is the id of the row, a session's or a grant's.
	Of uuid.UUID
	// Generation is the number of the token in its chain, from 1.
	Generation uint32
	Kind       Kind
	secret     [secretSize]byte
}

// strict base64 has one encoding for each value, so that a token can't be
// written in two ways.
var encoding = base64.RawURLEncoding.Strict()

// Encode writes the token with its MAC.
func (t Token) Encode(k Keys) string {
	b := t.body()
	b = append(b, t.mac(k, b)...)
	return TokenPrefix + encoding.EncodeToString(b)
}

// mac authenticates a token's body.
func (t Token) mac(k Keys, body []byte) []byte {
	if t.Kind == Session {
		return secret.MAC(k.MAC, body)
	}
	return secret.MAC(k.MAC, []byte(t.Kind), body)
}

func (t Token) body() []byte {
	b := make([]byte, 0, tokenSize)
	b = binary.BigEndian.AppendUint32(b, t.Epoch)
	b = append(b, t.Of[:]...)
	b = binary.BigEndian.AppendUint32(b, t.Generation)
	return append(b, t.secret[:]...)
}

// Parse takes a token apart that is of one of the kinds, and reports whether its MAC is right.
func Parse(k Keys, s string, kinds ...Kind) (Token, bool) {
	s, ok := strings.CutPrefix(s, TokenPrefix)
	if !ok {
		return Token{}, false
	}
	b, ok := secret.Decode(s, tokenSize)
	if !ok {
		return Token{}, false
	}
	body, mac := b[:tokenSize-macSize], b[tokenSize-macSize:]
	of := slices.IndexFunc(kinds, func(kind Kind) bool { return secret.Equal(mac, Token{Kind: kind}.mac(k, body)) })
	if of < 0 {
		return Token{}, false
	}
	t := Token{Kind: kinds[of], Epoch: binary.BigEndian.Uint32(b), Generation: binary.BigEndian.Uint32(b[20:])}
	copy(t.Of[:], b[4:])
	copy(t.secret[:], b[24:])
	return t, true
}

// Present is [Parse] for a token that somebody shows, which needs no database. The turn is empty for one of this epoch; else it is Outdated,
// for one of an earlier epoch or under a former key, or Forged.
func Present(k Keys, s string, epoch uint32, kinds ...Kind) (Token, Turn) {
	t, ok := Parse(k, s, kinds...)
	if ok && t.Epoch == epoch {
		return t, ""
	}
	if ok {
		return t, Outdated
	}
	for _, mac := range k.Former {
		if _, known := Parse(Keys{MAC: mac}, s, kinds...); known {
			return Token{}, Outdated
		}
	}
	return Token{}, Forged
}

// Hash is what the database keeps of a token: SHA-256 over the row's id, the
// generation and the secret. It is not enough to make the token again.
func (t Token) Hash() []byte {
	h := sha256.New()
	h.Write(t.Of[:])
	h.Write(binary.BigEndian.AppendUint32(nil, t.Generation))
	h.Write(t.secret[:])
	return h.Sum(nil)
}

// Derived returns the token of a row's generation that belongs to a salt.
// It is never stored: a server with the keyring and the row's salt derives the
// very same one again, which is how a lost answer is repeated.
func Derived(k Keys, kind Kind, epoch uint32, of uuid.UUID, generation uint32, salt []byte) Token {
	t := Token{Kind: kind, Epoch: epoch, Of: of, Generation: generation}
	info := binary.BigEndian.AppendUint32(append([]byte("gatehouse/refresh/1"), of[:]...), generation)
	copy(t.secret[:], secret.Derive(k.Derive, salt, string(info)))
	return t
}
