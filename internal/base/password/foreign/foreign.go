// Package foreign reads the password hashes of other systems, so that people who come from there sign in with the
// passwords that they have: once, since a right sign-in replaces the hash with one of ours.
//
// A hash is read to the letter and within limits, whoever wrote the file that it stands in: none can hold a core, or its
// memory, for longer than [Limits] says. What it is kept as is one form of ours, [Hash.String], that [Read] takes.
package foreign

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Hash is a hash of another system that has been read: how it was made, its salt, and the digest, which is missing in one
// that is wrapped.
type Hash struct {
	kind string
	// n, r, p are the numbers of the kind: see [kinds].
	n, r, p int
	// length is that of the digest, in bytes.
	length int
	// parts are the salt, and what else the kind has.
	parts  [][]byte
	digest []byte
	// bcrypt is the text of bcrypt's own form, for the two kinds that are made of it, which have no parts.
	bcrypt string
}

// The kinds.
const (
	bcryptPlain  = "bcrypt"
	bcryptSHA256 = "bcrypt-sha256" // over the hexadecimal SHA-256: Django's
	argon2i      = "argon2i"
	argon2id     = "argon2id"
	scryptKind   = "scrypt"
	pbkdf2SHA1   = "pbkdf2-sha1"
	pbkdf2SHA256 = "pbkdf2-sha256"
	pbkdf2SHA512 = "pbkdf2-sha512"
	firebase     = "firescrypt"
)

// kinds has how many parts each kind has beside its digest. argon2 has n passes, r KiB of memory, p lanes; scrypt n, r and p
// as in RFC 7914; PBKDF2 n rounds. Firebase's scrypt has its salt, its separator and the project's key; a digest what stands
// before the password and what behind; an HMAC its key.
var kinds = map[string]int{
	argon2i: 1, argon2id: 1, scryptKind: 1, pbkdf2SHA1: 1, pbkdf2SHA256: 1, pbkdf2SHA512: 1, firebase: 3,
	"md5": 2, "sha1": 2, "sha256": 2, "sha512": 2, "hmac-md5": 1, "hmac-sha1": 1, "hmac-sha256": 1, "hmac-sha512": 1,
}

// The limits: the dearest hash within them takes a few seconds of one core, and 256 MiB.
const (
	maxText       = 2048 // bytes of one hash
	minBcrypt     = 4
	maxBcrypt     = 14
	maxMemoryKiB  = 256 << 10
	maxPasses     = 20
	maxLanes      = 16
	maxScrypt     = 128 << 20 // bytes: 128·N·r
	maxScryptP    = 4
	maxIterations = 2_000_000
	minDigest     = 16
	maxDigest     = 128
	maxSalt       = 64
	maxPart       = 128 // of what is no salt
)

// Limits says the limits, for people.
const Limits = "bcrypt up to cost 14; argon2 up to 256 MiB, 20 passes and 16 lanes; scrypt up to 128 MiB and p=4; PBKDF2 up to 2,000,000 rounds; " +
	"salts of 1 to 64 bytes, digests of 16 or more"

var (
	// ErrNone is for an account that has no password.
	ErrNone = errors.New("there is no password")
	// ErrUnknown is for a text in no form that is known.
	ErrUnknown = errors.New("this is no form of a password hash that is known")
	// ErrRefused is for a form that is known and not taken: it is over the limits, or broken, or a variant that would be
	// computed wrongly, such as bcrypt's 2x and argon2's version 16. It never holds any of the hash.
	ErrRefused = errors.New("the password hash is broken, or asks for more than the limits allow: " + Limits)
)

// Kind names how the hash was made, such as bcrypt or pbkdf2-sha256.
func (h Hash) Kind() string { return h.kind }

// String is the form that a hash is kept in.
func (h Hash) String() string { return h.Bare() + base64.RawStdEncoding.EncodeToString(h.digest) }

// Bare is [Hash.String] without the digest: what computes it from a password.
func (h Hash) Bare() string {
	if h.bcrypt != "" {
		return "$" + h.kind + h.bcrypt
	}
	s := fmt.Sprintf("$%s$n=%d,r=%d,p=%d,l=%d$", h.kind, h.n, h.r, h.p, h.length)
	for _, part := range h.parts {
		s += base64.RawStdEncoding.EncodeToString(part) + "$"
	}
	return s
}

// Digest is what a password is compared with; none for bcrypt, which compares by itself.
func (h Hash) Digest() []byte { return h.digest }

// Read reads what [Hash.String] wrote.
func Read(s string) (Hash, error) {
	h, err := readForm(s)
	if err == nil && h.bcrypt == "" && len(h.digest) != h.length {
		err = ErrRefused
	}
	return h, err
}

// ReadBare reads what [Hash.Bare] wrote.
func ReadBare(s string) (Hash, error) {
	h, err := readForm(s)
	if err == nil && (h.bcrypt != "" || len(h.digest) != 0) {
		err = ErrRefused
	}
	return h, err
}

func readForm(s string) (Hash, error) {
	if len(s) > maxText {
		return Hash{}, ErrRefused
	}
	for _, kind := range []string{bcryptPlain, bcryptSHA256} {
		if text, ok := strings.CutPrefix(s, "$"+kind+"$"); ok {
			return readBcrypt(kind, "$"+text)
		}
	}
	fields := strings.Split(s, "$")
	if len(fields) < 4 || fields[0] != "" {
		return Hash{}, ErrRefused
	}
	count, ok := kinds[fields[1]]
	if !ok || len(fields) != count+4 {
		return Hash{}, ErrRefused
	}
	h := Hash{kind: fields[1]}
	numbers, ok := named(fields[2], "n", "r", "p", "l")
	if !ok {
		return Hash{}, ErrRefused
	}
	h.n, h.r, h.p, h.length = numbers[0], numbers[1], numbers[2], numbers[3]
	for i, text := range fields[3:] {
		b, err := base64.RawStdEncoding.Strict().DecodeString(text)
		if err != nil {
			return Hash{}, ErrRefused
		}
		if i < count {
			h.parts = append(h.parts, b)
		} else {
			h.digest = b
		}
	}
	return h, h.check()
}

// named reads numbers that stand as "n=1,r=2", in this order, without a sign or a zero before them.
func named(s string, names ...string) (out []int, ok bool) {
	words := strings.Split(s, ",")
	if len(words) != len(names) {
		return nil, false
	}
	for i, name := range names {
		text, ok := strings.CutPrefix(words[i], name+"=")
		if !ok {
			return nil, false
		}
		n, ok := number(text)
		if !ok {
			return nil, false
		}
		out = append(out, n)
	}
	return out, true
}

// number reads a number to the letter.
func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil && strconv.FormatUint(n, 10) == s //nolint:gosec // at most 2^31
}

// check holds a hash against the limits. The digest may be missing.
func (h Hash) check() error {
	ok := h.length >= minDigest && h.length <= maxDigest
	for i, part := range h.parts {
		ok = ok && len(part) <= maxPart
		if i == 0 && !h.isDigest() {
			ok = ok && len(part) > 0 && len(part) <= maxSalt
		}
	}
	switch h.kind {
	case argon2i, argon2id:
		ok = ok && within(h.p, 1, maxLanes) && within(h.r, 8*h.p, maxMemoryKiB) && within(h.n, 1, maxPasses)
	case scryptKind, firebase:
		ok = ok && scryptFits(h.n, h.r, h.p)
		if h.kind == firebase {
			ok = ok && len(h.parts[2]) == h.length
		}
	case pbkdf2SHA1, pbkdf2SHA256, pbkdf2SHA512:
		ok = ok && within(h.n, 1, maxIterations) && h.r == 0 && h.p == 0
	default:
		ok = ok && h.n == 0 && h.r == 0 && h.p == 0 && h.length == newHash[h.inner()]().Size()
	}
	if !ok {
		return ErrRefused
	}
	return nil
}

func within(n, least, most int) bool { return least <= n && n <= most }

func scryptFits(n, r, p int) bool {
	return within(n, 2, maxScrypt) && bits.OnesCount(uint(n)) == 1 && within(r, 1, 64) && within(p, 1, maxScryptP) && 128*n*r <= maxScrypt
}

// readBcrypt reads bcrypt's own form to the letter. 2x is another, broken algorithm, which Go's package would take for 2b.
func readBcrypt(kind, s string) (Hash, error) {
	if len(s) != 60 || !slices.Contains([]string{"$2a$", "$2b$", "$2y$"}, s[:4]) || s[6] != '$' || strings.Trim(s[7:], bcryptDigits) != "" {
		return Hash{}, ErrRefused
	}
	cost, err := strconv.ParseUint(s[4:6], 10, 8)
	if err != nil || !within(int(cost), minBcrypt, maxBcrypt) { //nolint:gosec // at most 255
		return Hash{}, ErrRefused
	}
	return Hash{kind: kind, n: int(cost), bcrypt: "$2a$" + s[4:]}, nil //nolint:gosec // at most 14
}

const bcryptDigits = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
