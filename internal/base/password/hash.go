package password

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// The range of bcrypt's cost: the logarithm of its rounds.
const (
	// MinCost is bcrypt's own lower end, for development and tests.
	MinCost = bcrypt.MinCost
	// DefaultCost takes about a quarter of a second on one core.
	DefaultCost = 12
	// MaxCost takes about four seconds. A stored hash that claims more is
	// refused: one altered row could hold a core for a day.
	MaxCost = 16
)

// What is stored is the name of what was done before the slow hash, and behind
// it bcrypt's own 60 characters, or argon2id's text in PHC's form. The name
// distinguishes our hashes from those of another system: see imported.go. With a pepper all of it is sealed: see [Pepper].
const (
	formHMAC     = "h1:"
	bcryptPrefix = "$2a$"
	argon2Prefix = "$argon2id$"
	bcryptLength = 60
	bcryptDigits = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// preHashKey separates this use of HMAC from every other. It is public on
// purpose: a key made from a secret of the server would take every password
// with it when the secret is lost.
const preHashKey = "gatehouse/password/1"

// ErrUnknownForm is for a stored hash that this version can't read. It never
// holds any of the hash.
var ErrUnknownForm = errors.New("the stored password hash has a format or a cost that this version does not know")

// errEmpty is for a caller that has not asked the policy.
var errEmpty = errors.New("no password to hash: it is empty or over the maximum, and Policy.Check was not called")

// preHash makes 64 characters of a normalised password, whatever its length
// and its bytes: bcrypt would ignore everything behind the 72nd byte, and
// others' bcrypt everything behind a NUL.
func preHash(normalized string) []byte {
	h := hmac.New(sha512.New384, []byte(preHashKey))
	h.Write([]byte(normalized))
	return base64.StdEncoding.AppendEncode(nil, h.Sum(nil))
}

// storedHash is a stored form that has been read: of bcrypt or of argon2id, or another system's.
type storedHash struct {
	cost     int
	bcrypt   []byte
	argon2   *argon2Hash
	imported *imported
}

// parseStored reads a stored form.
func parseStored(stored string) (storedHash, error) {
	if strings.HasPrefix(stored, formImported) || strings.HasPrefix(stored, formWrapped) {
		i, err := parseImported(stored)
		return storedHash{imported: i}, err
	}
	hash, ok := strings.CutPrefix(stored, formHMAC)
	if ok && strings.HasPrefix(hash, argon2Prefix) {
		a, err := parseArgon2(hash)
		return storedHash{argon2: a}, err
	}
	return parseBcrypt(stored)
}

// parseBcrypt reads a stored form to the letter. The bcrypt package would let
// signs in the cost and anything behind the 60th character pass.
func parseBcrypt(stored string) (storedHash, error) {
	hash, ok := strings.CutPrefix(stored, formHMAC)
	if !ok || len(hash) != bcryptLength || !strings.HasPrefix(hash, bcryptPrefix) || hash[6] != '$' {
		return storedHash{}, ErrUnknownForm
	}
	tens, units := hash[4], hash[5]
	if tens < '0' || tens > '9' || units < '0' || units > '9' {
		return storedHash{}, ErrUnknownForm
	}
	cost := int(tens-'0')*10 + int(units-'0')
	if cost < MinCost || cost > MaxCost {
		return storedHash{}, ErrUnknownForm
	}
	if strings.Trim(hash[7:], bcryptDigits) != "" {
		return storedHash{}, ErrUnknownForm
	}
	return storedHash{cost: cost, bcrypt: []byte(hash)}, nil
}

// blowfish is the slow work itself; a test counts it by wrapping both. Each
// does 2^cost rounds.
type blowfish struct {
	generate func(password []byte, cost int) ([]byte, error)
	compare  func(hash, password []byte) error
}

// hash returns the stored form of a normalised password.
func (b blowfish) hash(normalized string, cost int) (string, error) {
	hash, err := b.generate(preHash(normalized), cost)
	if err != nil {
		return "", err
	}
	return formHMAC + string(hash), nil
}

// verify compares a normalised password, and works as long as a hash of the
// given cost takes even if the stored one is cheaper: 2^c rounds for the
// comparison and 2^c, 2^(c+1), … 2^(cost-1) for nothing make 2^cost.
func (b blowfish) verify(s storedHash, normalized string, cost int) (bool, error) {
	pre := preHash(normalized)
	mismatch := b.compare(s.bcrypt, pre)
	if mismatch != nil && !errors.Is(mismatch, bcrypt.ErrMismatchedHashAndPassword) {
		return false, mismatch
	}
	for c := s.cost; c < cost; c++ {
		if _, err := b.generate(pre, c); err != nil {
			return false, err
		}
	}
	// No account has an empty password: it stands for one over the maximum.
	return mismatch == nil && normalized != "", nil
}
