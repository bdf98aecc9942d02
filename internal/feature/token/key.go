package token

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Key is a key for access tokens.
type Key struct {
	// ID is the kid: 43 characters of base64url.
	ID string
	// Algorithm is ES256, EdDSA (with Ed25519), RS256 (with 3072 bits or more) or
	// HS256. A key is good for no other.
	Algorithm string
	// Material is the private key in PKCS #8 or, for HS256, 32 bytes or more.
	Material []byte
	// From is when it begins to sign; zero for one that is published so that all
	// know it when it does.
	From time.Time
	// To is when another takes over, and Until when the last of its tokens has
	// expired; both are zero for one that nothing replaces yet.
	To, Until time.Time
}

// key is a Key, ready for use.
type key struct {
	Key
	algorithm jose.SignatureAlgorithm
	signer    signer
	verifier  any // the public key or, for HS256, the key
}

// keySet is the keys that an issuer has at a time.
type keySet struct {
	ordered []*key // as they follow one another
	named   map[string]*key
	ids     []*key // those of ID tokens; of one algorithm, as they follow one another
	seen    cache
	// published is the JWKS by what is in it: it changes as keys expire.
	published []published
}

// published is the JWKS until a time; the last one has none.
type published struct {
	until time.Time
	set   JWKS
}

// JWKS is the published keys (RFC 7517), as JSON, and what distinguishes them from
// others for caches (RFC 9110 section 8.8.3).
type JWKS struct {
	JSON []byte
	ETag string
}

// Use has the issuer sign and check with these keys from now on. They come in
// the order in which they take over, the revoked ones left out. The first one
// signs that has a From and is not replaced yet; all check. The tokens checked
// before are forgotten, so that each is looked at with the new keys. id are the keys of ID tokens, those of each algorithm
// in the same order; there may be none yet.
func (i *Issuer) Use(keys []Key, id ...Key) error {
	set := &keySet{named: map[string]*key{}}
	for _, k := range id {
		one, err := newKey(k, IDType)
		if err != nil {
			return fmt.Errorf("the key %s for ID tokens: %w", k.ID, err)
		}
		set.ids = append(set.ids, one)
	}
	for _, k := range keys {
		one, err := newKey(k, Type)
		if err != nil {
			return fmt.Errorf("the key %s for access tokens: %w", k.ID, err)
		}
		set.ordered = append(set.ordered, one)
		set.named[k.ID] = one
	}
	if len(set.ordered) == 0 {
		return errors.New("there is no key for access tokens")
	}
	if err := set.publish(); err != nil {
		return err
	}
	i.keys.Store(set)
	return nil
}

// minRSA is the least size of a key for RS256, in bits.
const minRSA = 3072

func newKey(k Key, kind string) (*key, error) {
	if !isKeyID(k.ID) {
		return nil, errors.New("its name is not a thumbprint")
	}
	var (
		out     = &key{Key: k, algorithm: jose.SignatureAlgorithm(k.Algorithm)}
		private any
		err     error
	)
	if out.algorithm == jose.HS256 {
		if len(k.Material) < sha256.Size {
			return nil, errors.New("it is too short for HS256") // RFC 7518 section 3.2
		}
		private, out.verifier = k.Material, k.Material
	} else {
		if private, err = x509.ParsePKCS8PrivateKey(k.Material); err != nil {
			return nil, fmt.Errorf("it can't be read: %w", err)
		}
		if out.verifier, err = public(out.algorithm, private); err != nil {
			return nil, err
		}
	}
	out.signer, err = newSigner(k.ID, k.Algorithm, kind, private)
	return out, err
}

// public returns the public key if the private one is for the algorithm.
func public(a jose.SignatureAlgorithm, private any) (any, error) {
	switch k := private.(type) {
	case *ecdsa.PrivateKey:
		if a == jose.ES256 && k.Curve == elliptic.P256() {
			return &k.PublicKey, nil
		}
	case ed25519.PrivateKey:
		if a == jose.EdDSA {
			return k.Public(), nil
		}
	case *rsa.PrivateKey:
		if a == jose.RS256 && k.N.BitLen() >= minRSA {
			return &k.PublicKey, nil
		}
	}
	return nil, fmt.Errorf("it is a %T, not one for %s", private, a)
}

// isKeyID reports whether a text looks like the name of a key of ours: that of
// 32 bytes.
func isKeyID(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

// signs returns the key that signs at a time. It may be early for that, by a
// clock that is behind: better so than with one that was replaced.
func (s *keySet) signs(now time.Time) *key { return signing(s.ordered, now) }

func signing(keys []*key, now time.Time) *key {
	last := keys[0]
	for _, k := range keys {
		if k.From.IsZero() {
			continue
		}
		if last = k; k.To.IsZero() || now.Before(k.To) {
			break
		}
	}
	return last
}

// signIDs are the keys for ID tokens of an algorithm, as they follow one another.
func (s *keySet) signIDs(algorithm string) (list []*key) {
	for _, k := range s.ids {
		if k.Algorithm == cmp.Or(algorithm, DefaultIDAlgorithm) {
			list = append(list, k)
		}
	}
	return list
}

// gone reports whether the last token of a key has expired.
func (s *keySet) gone(id string, now time.Time) bool {
	until := s.named[id].Until
	return !until.IsZero() && !now.Before(until)
}

// publish makes the JWKS: as it is now, and as it will be whenever the last token
// of a key has expired.
func (s *keySet) publish() error {
	at := time.Time{}
	for {
		var (
			next time.Time
			out  = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
		)
		for _, k := range slices.Concat(s.ordered, s.ids) {
			if !k.Until.IsZero() && !k.Until.After(at) {
				continue
			}
			if !k.Until.IsZero() && (next.IsZero() || k.Until.Before(next)) {
				next = k.Until
			}
			if k.algorithm != jose.HS256 { // which checks with what it signs with
				out.Keys = append(out.Keys, jose.JSONWebKey{Key: k.verifier, KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"})
			}
		}
		b, err := json.Marshal(out)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		s.published = append(s.published, published{next, JWKS{b, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}})
		if next.IsZero() {
			return nil
		}
		at = next
	}
}

// JWKS returns the published keys: those that sign, will sign, or have signed
// tokens that live. Keys for HS256 are never among them.
func (i *Issuer) JWKS(now time.Time) JWKS {
	all := i.keys.Load().published
	for _, p := range all {
		if now.Before(p.until) {
			return p.set
		}
	}
	return all[len(all)-1].set
}
