package password

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Pepper seals finished hashes with AES-256-GCM under a key that is not in the
// database, so that a copy of it gives nobody anything to guess at. The account's
// id is authenticated with each, so that nobody who writes to the database can
// move a hash to another account. Since the hash itself stays as it is, another
// pepper needs nobody's password: see [Pepper.Reseal].
//
// The nil Pepper seals nothing.
type Pepper struct {
	current  *pepperKey // none: new hashes are not sealed
	previous []pepperKey
}

type pepperKey struct {
	id  string
	key []byte
}

// ErrPepper is for a hash that is sealed under a pepper that is not set, or that
// was another account's.
var ErrPepper = errors.New("a stored password hash is sealed under a pepper that is not set, or belongs to another account: " +
	"set PASSWORD_PEPPER to the value it was sealed with, or that as PASSWORD_PEPPER_PREVIOUS and the new one as PASSWORD_PEPPER")

// sealedForm begins a sealed hash; the key's id and the sealed hash in base64
// follow, each behind a colon.
const sealedForm = "p1:"

// NewPepper returns what seals under the current pepper and opens what any of
// them sealed. An empty current one leaves new hashes unsealed.
func NewPepper(current string, previous ...string) *Pepper {
	p := &Pepper{}
	if current != "" {
		p.current = newPepperKey(current)
	}
	for _, s := range previous {
		if s != "" {
			p.previous = append(p.previous, *newPepperKey(s))
		}
	}
	if p.current == nil && p.previous == nil {
		return nil
	}
	return p
}

func newPepperKey(pepper string) *pepperKey {
	return &pepperKey{
		id:  hex.EncodeToString(secret.Derive([]byte(pepper), nil, "gatehouse/pepper-id/1")[:4]),
		key: secret.Derive([]byte(pepper), nil, "gatehouse/pepper/1"),
	}
}

// pepperContext binds a sealed hash to its account.
func pepperContext(account string) string { return "gatehouse/pepper/1 " + account }

func (p *Pepper) seal(account, finished string) string {
	if p == nil || p.current == nil {
		return finished
	}
	sealed := secret.Seal(secret.Random{}, p.current.key, []byte(finished), pepperContext(account))
	return sealedForm + p.current.id + ":" + base64.RawStdEncoding.EncodeToString(sealed)
}

// open returns the finished hash, and whether it would be sealed in another way
// today.
func (p *Pepper) open(account, stored string) (finished string, outdated bool, err error) {
	rest, sealed := strings.CutPrefix(stored, sealedForm)
	if !sealed {
		return stored, p != nil && p.current != nil, nil
	}
	id, text, _ := strings.Cut(rest, ":")
	k := p.keyOf(id)
	if k == nil {
		return "", false, ErrPepper
	}
	box, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", false, ErrUnknownForm
	}
	plain, err := secret.Open(k.key, box, pepperContext(account))
	if err != nil {
		return "", false, ErrPepper
	}
	return string(plain), p.current == nil || p.current.id != id, nil
}

func (p *Pepper) keyOf(id string) *pepperKey {
	if p == nil {
		return nil
	}
	if p.current != nil && p.current.id == id {
		return p.current
	}
	for i := range p.previous {
		if p.previous[i].id == id {
			return &p.previous[i]
		}
	}
	return nil
}

// Fingerprints tell which peppers these are, the current one first, and nothing about them.
func (p *Pepper) Fingerprints() []string {
	out := []string{}
	if p == nil {
		return out
	}
	if p.current != nil {
		out = append(out, p.current.id)
	}
	for _, k := range p.previous {
		out = append(out, k.id)
	}
	return out
}

// Opens reports whether a stored hash can be opened, as far as its pepper shows:
// it is sealed under one of these, or not at all.
func (p *Pepper) Opens(stored string) bool {
	rest, sealed := strings.CutPrefix(stored, sealedForm)
	id, _, _ := strings.Cut(rest, ":")
	return !sealed || p.keyOf(id) != nil
}

// Reseal returns what is to stand in place of a stored hash, and whether that is
// something else: it is sealed under the current pepper, or not at all if there
// is none. No password is needed. Each hash that it seals has a nonce of its
// own, so it changes nothing that is sealed rightly already.
func (p *Pepper) Reseal(account, stored string) (resealed string, changed bool, err error) {
	if stored == "" { // there is no password
		return "", false, nil
	}
	finished, outdated, err := p.open(account, stored)
	if err != nil || !outdated {
		return stored, false, err
	}
	return p.seal(account, finished), true, nil
}
