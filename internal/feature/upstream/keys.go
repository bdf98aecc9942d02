package upstream

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// fresh is how long what a provider publishes is used before it is read again.
	fresh = time.Hour
	// pause is how long to wait before it is read again for a key that is not there, or after a failure.
	pause = time.Minute
	// soon is the same where nothing is known yet.
	soon = 3 * time.Second
	// leastRSA is the shortest RSA key that is believed, in bits.
	leastRSA = 2048
)

// Algorithms are those by which ID tokens may be signed.
func Algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.PS256, jose.EdDSA}
}

// keySet are the keys that a provider publishes. What is known goes on when they can't be read again.
type keySet struct {
	get func(ctx context.Context) ([]byte, error)
	now func() time.Time

	mu          sync.Mutex // held while they are read
	keys        []jose.JSONWebKey
	read, tried time.Time
}

var errKey = errors.New("it is signed with no key that the provider publishes")

// VerifySignature returns what an ID token says, if one of the keys has signed it.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSigned(token, Algorithms())
	if err != nil {
		return nil, err
	}
	if len(signed.Signatures) != 1 {
		return nil, errKey
	}
	keys, err := k.of(ctx, signed.Signatures[0].Header.KeyID)
	if err != nil {
		return nil, err
	}
	for i := range keys {
		if text, err := signed.Verify(&keys[i]); err == nil {
			return text, nil
		}
	}
	return nil, errKey
}

// of returns the keys of an id, all for none.
func (k *keySet) of(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	found := k.named(kid)
	switch {
	case len(found) > 0 && within(now, k.read, fresh), len(k.keys) > 0 && within(now, k.tried, pause):
		return found, nil
	case len(k.keys) == 0 && within(now, k.tried, soon):
		return nil, ErrAway
	}
	k.tried = now
	text, err := k.get(context.WithoutCancel(ctx)) // others wait for it
	if err == nil {
		var set jose.JSONWebKeySet
		if err = json.Unmarshal(text, &set); err == nil {
			k.keys, k.read = set.Keys, now
		}
	}
	if found = k.named(kid); len(found) == 0 && err != nil {
		return nil, ErrAway.Because(err)
	}
	return found, nil
}

func (k *keySet) named(kid string) (list []jose.JSONWebKey) {
	for _, key := range k.keys {
		if (kid == "" || key.KeyID == kid) && usable(key) {
			list = append(list, key)
		}
	}
	return list
}

// usable reports whether a key is public, for signatures, and strong enough.
func usable(key jose.JSONWebKey) bool {
	if r, ok := key.Key.(*rsa.PublicKey); ok && r.N.BitLen() < leastRSA {
		return false
	}
	return key.Valid() && key.IsPublic() && (key.Use == "" || key.Use == "sig")
}

// within reports whether something was less than a time ago, and is not in the future.
func within(now, at time.Time, d time.Duration) bool { return now.Sub(at) < d && !now.Before(at) }
