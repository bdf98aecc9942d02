package factor

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Purpose is what a challenge is made for; it is good for nothing else.
type Purpose string

// The purposes.
const (
	// SignsIn is for a passkey alone. It is bound to nothing: strangers ask for it.
	SignsIn Purpose = "signin"
	// Steps is for a passkey behind a password, bound to the pending sign-in.
	Steps Purpose = "step"
	// Adds is for a new passkey, bound to the session or to the pending sign-in that adds it.
	Adds Purpose = "add"
)

const (
	// ChallengeLife is how long a challenge may be answered.
	ChallengeLife = 10 * time.Minute
	// challengeSkew is how far another replica's clock may be ahead.
	challengeSkew = time.Minute

	challengeRandom = 16 // bytes (WebAuthn section 13.4.3 asks for 16 at least)
	challengeBody   = challengeRandom + 8
	challengeMAC    = 16
	challengeSize   = challengeBody + challengeMAC
)

// ErrChallengeExpired is for a challenge that was not answered in time. Pages ask for another by themselves.
var ErrChallengeExpired = fault.New(fault.Unauthenticated, "challenge_expired",
	"This took longer than ten minutes, so the server no longer accepts the answer of the passkey. Please try once more.")

// Challenges makes the challenges that passkeys sign, and recognises them. They are not stored, since strangers may
// ask for any number: 16 random bytes, the time in microseconds in 8, and 16 bytes of HMAC-SHA-256 over both, the
// purpose, what they are bound to, and the installation's epoch, which voids them after a restore. Any replica
// recognises them.
type Challenges struct {
	keys   func() [][]byte
	epoch  uint32
	random secret.Random
}

// NewChallenges returns the maker of challenges whose MAC is made with the last of the keys, and recognised
// with any.
func NewChallenges(keys func() [][]byte, epoch uint32, random secret.Random) *Challenges {
	return &Challenges{keys: keys, epoch: epoch, random: random}
}

// New makes one.
func (c *Challenges) New(p Purpose, binding string, now time.Time) []byte {
	keys := c.keys()
	challenge := binary.BigEndian.AppendUint64(c.random.Bytes(challengeRandom), uint64(db.Micros(now))) //nolint:gosec // not before 1970
	return append(challenge, c.mac(keys[len(keys)-1], p, binding, challenge)...)
}

func (c *Challenges) mac(key []byte, p Purpose, binding string, body []byte) []byte {
	return secret.MAC(key, []byte("gatehouse/challenge/1"), []byte(p), []byte(binding), binary.BigEndian.AppendUint32(nil, c.epoch), body)[:challengeMAC]
}

// check returns ErrChallengeExpired for a challenge that is too old, and errForeign for one that was not made by us,
// for this purpose and binding.
func (c *Challenges) check(challenge []byte, p Purpose, binding string, now time.Time) error {
	if len(challenge) != challengeSize {
		return errForeign
	}
	body, ours := challenge[:challengeBody], false
	for _, key := range c.keys() {
		ours = secret.Equal(c.mac(key, p, binding, body), challenge[challengeBody:]) || ours
	}
	if !ours {
		return errForeign
	}
	switch age := now.Sub(madeAt(challenge)); {
	case age >= ChallengeLife:
		return ErrChallengeExpired
	case age < -challengeSkew:
		return errForeign
	}
	return nil
}

func madeAt(challenge []byte) time.Time {
	return db.Time(int64(binary.BigEndian.Uint64(challenge[challengeRandom:challengeBody]))) //nolint:gosec // whose MAC was right: Micros made it
}

// SpendChallenge spends a challenge whose answer was right, and reports whether it was there to be spent: of any
// number at once one gets it.
func SpendChallenge(tx *db.Tx, challenge []byte) (bool, error) {
	hash := sha256.Sum256(challenge)
	n, err := tx.Exec(`INSERT INTO challenge_spent (hash, until) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`,
		hash[:], db.Micros(madeAt(challenge).Add(ChallengeLife+challengeSkew)))
	return n == 1, err
}

// ForgetChallenges deletes up to limit spent challenges that are refused for their age by now, and returns how many
// they were.
func ForgetChallenges(tx *db.Tx, now time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM challenge_spent WHERE hash IN (SELECT hash FROM challenge_spent WHERE until <= $1 LIMIT $2)`, db.Micros(now), limit)
}
