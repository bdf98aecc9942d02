package password

import (
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
)

// Imported hashes are another system's: as they are, or, where they are weak, with the digest under bcrypt. The right
// password replaces either with a hash of ours.
const (
	formImported = "i1:"
	formWrapped  = "w1:"
)

// wrapKey separates this use of HMAC from every other. It is public, as preHashKey is.
const wrapKey = "gatehouse/wrap/1"

// wrapCost is the cost of the bcrypt around a weak hash: OWASP's least, since a million are wrapped at once.
const wrapCost = 10

// imported is an imported hash that has been read; wrapped is the bcrypt around its digest.
type imported struct {
	foreign.Hash
	wrapped *storedHash
}

// parseImported reads the stored form of an imported hash.
func parseImported(stored string) (*imported, error) {
	if text, ok := strings.CutPrefix(stored, formImported); ok {
		h, err := foreign.Read(text)
		if err != nil {
			return nil, ErrUnknownForm
		}
		return &imported{Hash: h}, nil
	}
	text, hash, _ := strings.Cut(strings.TrimPrefix(stored, formWrapped), ":")
	h, err := foreign.ReadBare(text)
	if err != nil {
		return nil, ErrUnknownForm
	}
	w, err := parseBcrypt(formHMAC + hash)
	return &imported{h, &w}, err
}

// Import returns the stored form of another system's hash, for the account. A weak one is wrapped, which is work for the
// pool: see [Hasher] for its errors.
func (h *Hasher) Import(ctx context.Context, account string, from foreign.Hash) (stored string, err error) {
	if !from.Weak() {
		return h.pepper.seal(account, formImported+from.String()), nil
	}
	err = h.do(ctx, func() error {
		hash, err := h.blowfish.generate(wrap(from.Digest()), min(h.cost, wrapCost))
		stored = formWrapped + from.Bare() + ":" + string(hash)
		return err
	})
	if err != nil {
		return "", err
	}
	return h.pepper.seal(account, stored), nil
}

// Finished returns the account's stored hash without its seal, for another installation of ours, which has other peppers. It returns
// ErrPepper for one that can't be opened.
func (h *Hasher) Finished(account, stored string) (string, error) {
	finished, _, err := h.pepper.open(account, stored)
	return finished, err
}

// Adopt returns the stored form of what [Hasher.Finished] returned, for the account, or ErrUnknownForm for what is none.
func (h *Hasher) Adopt(account, finished string) (stored string, err error) {
	if _, err := parseStored(finished); err != nil {
		return "", err
	}
	return h.pepper.seal(account, finished), nil
}

// IsFinished reports whether [Hasher.Adopt] takes it.
func IsFinished(text string) bool {
	_, err := parseStored(text)
	return err == nil
}

// wrap makes 64 characters of a digest: the digest itself may have bytes and a length that bcrypt does not take.
func wrap(digest []byte) []byte {
	m := hmac.New(sha512.New384, []byte(wrapKey))
	m.Write(digest)
	return base64.StdEncoding.AppendEncode(nil, m.Sum(nil))
}

// verifyImported compares the password as it was typed, since none of those systems normalises, and where that is something else the
// normalised one too, if both take no longer than a hash of ours: a second comparison must not tell by its time that an account was
// imported. It works as long as a hash of ours takes.
func (h *Hasher) verifyImported(s *imported, password string) (bool, error) {
	rounds := s.Rounds()
	if s.wrapped != nil {
		rounds += 1 << s.wrapped.cost
	}
	normalized := Normalize(password)
	tries := []string{password}
	switch {
	case normalized == "": // over the maximum: no account has it
		tries[0] = ""
	case normalized != password && 2*rounds <= h.work():
		tries = append(tries, normalized)
	}
	right := false
	for _, try := range tries {
		ok, err := h.matches(s, []byte(try))
		if err != nil {
			return false, err
		}
		right = right || ok
	}
	return right && normalized != "", h.fill(len(tries) * rounds)
}

func (h *Hasher) matches(s *imported, try []byte) (bool, error) {
	if s.wrapped == nil {
		return s.Matches(try)
	}
	digest, err := s.Derive(try)
	if err != nil {
		return false, err
	}
	err = h.blowfish.compare(s.wrapped.bcrypt, wrap(digest))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

// fill does what is missing of the work of a hash of ours, in rounds of bcrypt: so the time of an answer does not tell that
// an account was imported, unless its hash is dearer than ours.
func (h *Hasher) fill(done int) error {
	missing := h.work() - done
	for cost := MaxCost; cost >= MinCost; cost-- {
		if missing>>cost > 0 {
			if _, err := h.blowfish.generate(preHash("fill"), cost); err != nil {
				return err
			}
			missing -= 1 << cost
		}
	}
	return nil
}

// work is what a hash of ours takes, in rounds of bcrypt.
func (h *Hasher) work() int {
	if h.argon2 != nil {
		return h.argon2.rounds()
	}
	return 1 << h.cost
}

// rounds is about how many rounds of bcrypt take as long: see [foreign.Hash.Rounds].
func (a Argon2) rounds() int {
	const cost12 = 4096
	return int(0.85 * cost12 * float64(a.MemoryKiB) * float64(a.Passes) / (3 * 64 << 10))
}
