package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// TokenPrefix begins every refresh token, so that scanners for leaked secrets
// can find them.
const TokenPrefix = "gatehouse_rt_"

const (
	secretSize = 32
	macSize    = 32
	saltSize   = 16
	tokenSize  = 4 + 16 + 4 + secretSize + macSize
)

// Keys are the two ring keys of refresh tokens.
type Keys struct {
	// MAC authenticates tokens; Derive is what their secrets are derived from.
	MAC, Derive []byte
}

// refreshToken is a refresh token, taken apart:
//
//	gatehouse_rt_ base64url(epoch[4] session id[16] generation[4] secret[32] MAC[32])
//
// The MAC lets a made-up token be refused without a look at the database. The
// secret is what the database's hash is held against.
type refreshToken struct {
	epoch      uint32
	session    uuid.UUID
	generation uint32
	secret     [secretSize]byte
	// cookie is for one that was given to a browser as a cookie: it has another MAC, so that what
	// is taken out of a cookie is no refresh token for a body.
	cookie bool
}

// strict base64 has one encoding for each value, so that a token can't be
// written in two ways.
var encoding = base64.RawURLEncoding.Strict()

// encode writes the token with its MAC.
func (t refreshToken) encode(k Keys) string {
	b := t.body()
	b = append(b, t.mac(k, b)...)
	return TokenPrefix + encoding.EncodeToString(b)
}

// mac authenticates a token's body.
func (t refreshToken) mac(k Keys, body []byte) []byte {
	if t.cookie {
		return secret.MAC(k.MAC, []byte("cookie"), body)
	}
	return secret.MAC(k.MAC, body)
}

func (t refreshToken) body() []byte {
	b := make([]byte, 0, tokenSize)
	b = binary.BigEndian.AppendUint32(b, t.epoch)
	b = append(b, t.session[:]...)
	b = binary.BigEndian.AppendUint32(b, t.generation)
	return append(b, t.secret[:]...)
}

// parseToken takes a token apart and reports whether its MAC is right.
func parseToken(k Keys, s string) (refreshToken, bool) {
	s, ok := strings.CutPrefix(s, TokenPrefix)
	if !ok || len(s) != encoding.EncodedLen(tokenSize) {
		return refreshToken{}, false
	}
	b, err := encoding.DecodeString(s)
	if err != nil {
		return refreshToken{}, false
	}
	body, mac := b[:tokenSize-macSize], b[tokenSize-macSize:]
	inCookie := secret.Equal(mac, refreshToken{cookie: true}.mac(k, body))
	if !inCookie && !secret.Equal(mac, refreshToken{}.mac(k, body)) {
		return refreshToken{}, false
	}
	t := refreshToken{cookie: inCookie, epoch: binary.BigEndian.Uint32(b), generation: binary.BigEndian.Uint32(b[20:])}
	copy(t.session[:], b[4:])
	copy(t.secret[:], b[24:])
	return t, true
}

// hash is what the database keeps of a token: SHA-256 over the session, the
// generation and the secret. It is not enough to make the token again.
func (t refreshToken) hash() []byte {
	h := sha256.New()
	h.Write(t.session[:])
	h.Write(binary.BigEndian.AppendUint32(nil, t.generation))
	h.Write(t.secret[:])
	return h.Sum(nil)
}

// derived returns the token of a session's generation that belongs to a salt.
// It is never stored: whoever holds the ring and reads the row's salt makes the
// very same one again, which is how a lost answer is repeated.
func derived(k Keys, epoch uint32, session uuid.UUID, generation uint32, salt []byte) refreshToken {
	t := refreshToken{epoch: epoch, session: session, generation: generation}
	info := binary.BigEndian.AppendUint32(append([]byte("gatehouse/refresh/1"), session[:]...), generation)
	copy(t.secret[:], secret.Derive(k.Derive, salt, string(info)))
	return t
}
