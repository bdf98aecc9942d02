package client

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

const (
	// keysFresh is how long the keys at an address are used before they are read again.
	keysFresh = time.Hour
	// keysPause is how long to wait before they are read again for a key id that is not among them, or after a failure: whoever can
	// make up an assertion can make us look.
	keysPause = time.Minute
	// keysStale is how long keys are good that can't be read again.
	keysStale = 24 * time.Hour
)

// ErrKeysAway is for an application whose keys can't be read from its jwks_uri.
var ErrKeysAway = fault.New(fault.Unavailable, "client_keys_unavailable",
	"The application's keys can't be read from its jwks_uri at the moment. Please try again in a minute.")

// RemoteKeys are the keys that applications publish at an address of their own (jwks_uri), in the memory of this replica. A new key is
// seen when something is signed with it; keys that were replaced are given up within an hour.
type RemoteKeys struct {
	// Get reads what is at an address.
	Get func(ctx context.Context, uri string) ([]byte, error)
	Now func() time.Time

	mu   sync.Mutex
	sets map[string]*remoteSet
}

type remoteSet struct {
	mu            sync.Mutex // held while it is read
	keys          *Keys
	read, triedAt time.Time
}

// of returns the keys at an address. kid is the key that is wanted, empty for any.
func (r *RemoteKeys) of(ctx context.Context, uri, kid string) (*Keys, error) {
	s := r.set(uri)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := r.Now()
	within := func(at time.Time, d time.Duration) bool { return now.Sub(at) < d && !now.Before(at) }
	if s.keys != nil && within(s.read, keysFresh) && s.keys.has(kid) || within(s.triedAt, keysPause) {
		return s.usable(now)
	}
	s.triedAt = now
	if b, err := r.Get(ctx, uri); err == nil {
		if keys, err := keysOfJSON(b); err == nil && keys.check() == nil {
			s.keys, s.read = keys, now
		}
	}
	return s.usable(now)
}

// usable returns the keys that were read last, unless that is too long ago.
func (s *remoteSet) usable(now time.Time) (*Keys, error) {
	if s.keys == nil || now.Sub(s.read) > keysStale {
		return nil, ErrKeysAway
	}
	return s.keys, nil
}

func (r *RemoteKeys) set(uri string) *remoteSet {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sets == nil {
		r.sets = map[string]*remoteSet{}
	}
	if r.sets[uri] == nil {
		r.sets[uri] = &remoteSet{}
	}
	return r.sets[uri]
}

// has reports whether a key of that id is among them; an empty id is any.
func (k *Keys) has(kid string) bool {
	for _, key := range k.set.Keys {
		if kid == "" || key.KeyID == kid {
			return true
		}
	}
	return false
}
