package foreign

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // what other systems have hashed with, which is then put under bcrypt
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // the same
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"slices"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// newHash are the hashes that others have made password hashes of. None guards anything of ours: a digest of theirs is
// wrapped in bcrypt before it is kept.
var newHash = map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

// inner is the hash that the kind is made of.
func (h Hash) inner() string {
	_, name, found := strings.Cut(h.kind, "-")
	if !found {
		name = h.kind
	}
	return name
}

// isDigest reports whether it is no slow hash at all.
func (h Hash) isDigest() bool { return newHash[h.kind] != nil || strings.HasPrefix(h.kind, "hmac-") }

// Derive computes the digest of a password; it is for what is not made of bcrypt.
func (h Hash) Derive(password []byte) ([]byte, error) {
	switch h.kind {
	case argon2i:
		return argon2.Key(password, h.parts[0], uint32(h.n), uint32(h.r), uint8(h.p), uint32(h.length)), nil //nolint:gosec // checked
	case argon2id:
		return argon2.IDKey(password, h.parts[0], uint32(h.n), uint32(h.r), uint8(h.p), uint32(h.length)), nil //nolint:gosec // checked
	case scryptKind:
		return scrypt.Key(password, h.parts[0], h.n, h.r, h.p, h.length)
	case pbkdf2SHA1, pbkdf2SHA256, pbkdf2SHA512:
		return pbkdf2.Key(newHash[h.inner()], string(password), h.parts[0], h.n, h.length)
	case firebase:
		return h.firebase(password)
	}
	if strings.HasPrefix(h.kind, "hmac-") {
		m := hmac.New(newHash[h.inner()], h.parts[0])
		m.Write(password)
		return m.Sum(nil), nil
	}
	d := newHash[h.kind]()
	d.Write(h.parts[0])
	d.Write(password)
	d.Write(h.parts[1])
	return d.Sum(nil), nil
}

// firebase is the project's key, encrypted with AES-256-CTR and no nonce under what scrypt makes of the password:
// github.com/firebase/scrypt.
func (h Hash) firebase(password []byte) ([]byte, error) {
	key, err := scrypt.Key(password, slices.Concat(h.parts[0], h.parts[1]), h.n, h.r, h.p, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(h.parts[2]))
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(out, h.parts[2]) //nolint:gosec // Firebase's own form: a key for each password
	return out, nil
}

// Matches compares a password.
func (h Hash) Matches(password []byte) (bool, error) {
	if h.bcrypt == "" {
		digest, err := h.Derive(password)
		return err == nil && secret.Equal(digest, h.digest), err
	}
	if h.kind == bcryptSHA256 {
		sum := sha256.Sum256(password)
		password = hex.AppendEncode(nil, sum[:])
	}
	err := bcrypt.CompareHashAndPassword([]byte(h.bcrypt), password)
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

// Rounds is about how many rounds of bcrypt take as long as one comparison, as measured on one core: bcrypt of cost 12 has
// 4,096.
func (h Hash) Rounds() int {
	const cost12 = 4096
	switch h.kind {
	case bcryptPlain, bcryptSHA256:
		return 1 << h.n
	case argon2i, argon2id: // 64 MiB in three passes take 0.85 of cost 12
		return int(0.85 * cost12 * float64(h.n) * float64(h.r) / (3 * 64 << 10))
	case scryptKind, firebase: // 16 MiB take 0.15
		return int(0.15 * cost12 * float64(h.n) * float64(h.r) * float64(h.p) / (8 << 14))
	case pbkdf2SHA1, pbkdf2SHA256: // 600,000 rounds take 0.7
		return int(0.7 * cost12 * float64(h.n) / 600_000)
	case pbkdf2SHA512:
		return int(1.4 * cost12 * float64(h.n) / 600_000)
	}
	return 0
}

// Weak reports whether the hash is to be wrapped in a slow one: it is a mere digest, or costs less than what OWASP's
// Password Storage Cheat Sheet asks for. bcrypt of a low cost can't be wrapped, since no library tells its digest.
func (h Hash) Weak() bool {
	switch h.kind {
	case bcryptPlain, bcryptSHA256:
		return false
	case argon2i, argon2id:
		return h.r < []int{47104, 47104, 19456, 12288, 9216, 7168}[min(h.n, 5)]
	case scryptKind, firebase:
		return h.r < 8 || h.n*h.p < 1<<17
	case pbkdf2SHA256:
		return h.n < 600_000
	case pbkdf2SHA512:
		return h.n < 210_000
	case pbkdf2SHA1:
		return h.n < 1_300_000
	}
	return true
}
