package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// revoked is what is known to end tokens before their time. The sessions stand in
// 256 slices by their ids, so that no check waits for more than one slice's being
// tidied up.
type revoked struct {
	slices [256]revokedSlice
	live   atomic.Int64 // sessions
	cutOff atomic.Int64 // sessions that began before are dead, in microseconds
	all    atomic.Bool  // there is a kind that is not known here

	mu    sync.RWMutex
	roles map[string]rolesNow
	keys  map[string]int64 // until when, in seconds since 1970
}

type revokedSlice struct {
	mu     sync.RWMutex
	ended  map[sessionKey]uint32 // until when to remember it, in seconds since 1970
	issued int64                 // tokens issued then or before are dead, in seconds since 1970
	until  int64
}

// rolesNow is the only roles that an account's tokens may carry.
type rolesNow struct {
	roles []string
	n     int64 // of two the higher is the later
	until int64
}

// sessionKey is a session's id: a UUID, or the hash of what is none.
type sessionKey [16]byte

func keyOf(id string) (k sessionKey) {
	if len(id) == 36 && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-' {
		if _, err := hex.Decode(k[:], []byte(strings.ReplaceAll(id, "-", ""))); err == nil && strings.Count(id, "-") == 4 {
			return k
		}
	}
	sum := sha256.Sum256([]byte(id))
	return sessionKey(sum[:16])
}

// revocation is one thing of the feed: what it means is in openapi.yaml.
type revocation struct {
	Kind     string    `json:"kind"`
	ID       string    `json:"id"`
	Account  string    `json:"account"`
	Roles    []string  `json:"roles"`
	RolesN   int64     `json:"roles_n"`
	Before   int64     `json:"before"`
	Slice    uint8     `json:"slice"`
	IssuedAt int64     `json:"issued_at"`
	Until    time.Time `json:"until"`
}

// remember is for how much longer things are remembered than Gatehouse says: its
// clock may be ahead of ours.
const remember = 5 * time.Minute

func newRevoked() *revoked {
	return &revoked{roles: map[string]rolesNow{}, keys: map[string]int64{}}
}

// add takes a revocation in. To add it twice, or an older one after it, changes
// nothing. What is not known here ends every token: a client too old to
// understand it must not let one pass.
func (r *revoked) add(x revocation) {
	until := x.Until.Add(remember).Unix() + 1
	switch x.Kind {
	case "session":
		k := keyOf(x.ID)
		s := &r.slices[k[15]]
		s.mu.Lock()
		if s.ended == nil {
			s.ended = map[sessionKey]uint32{}
		}
		known, there := s.ended[k]
		s.ended[k] = max(known, uint32(min(until, 1<<32-1))) //nolint:gosec // until 2106
		s.mu.Unlock()
		if !there {
			r.live.Add(1)
		}
	case "before":
		for known := r.cutOff.Load(); x.Before > known && !r.cutOff.CompareAndSwap(known, x.Before); {
			known = r.cutOff.Load()
		}
	case "sessions_before":
		s := &r.slices[x.Slice]
		s.mu.Lock()
		s.issued, s.until = max(s.issued, x.IssuedAt), max(s.until, until)
		s.mu.Unlock()
	case "roles":
		r.mu.Lock()
		if known, ok := r.roles[x.Account]; !ok || x.RolesN > known.n {
			r.roles[x.Account] = rolesNow{x.Roles, x.RolesN, until}
		}
		r.mu.Unlock()
	case "key":
		r.mu.Lock()
		r.keys[x.ID] = max(r.keys[x.ID], until)
		r.mu.Unlock()
	default:
		r.all.Store(true)
	}
}

// dead reports whether something known here ends the token.
func (r *revoked) dead(c *claims) bool {
	if r.all.Load() || c.authTime*1e6 < r.cutOff.Load() || r.ended(c) {
		return true
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ended := r.keys[c.kid]; ended {
		return true
	}
	is, changed := r.roles[c.subject]
	return changed && c.roles != nil && !slices.Equal(is.roles, c.roles)
}

func (r *revoked) ended(c *claims) bool {
	s := &r.slices[c.place[15]]
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ended := s.ended[c.place]
	return ended || s.issued > 0 && c.issuedAt <= s.issued
}

// merge takes in all that another set has.
func (r *revoked) merge(of []revocation) {
	for _, x := range of {
		r.add(x)
	}
}

// forget drops what no living token can meet.
func (r *revoked) forget(now time.Time) {
	at := now.Unix()
	for i := range r.slices {
		s := &r.slices[i]
		s.mu.Lock()
		kept := make(map[sessionKey]uint32)
		for k, until := range s.ended {
			if int64(until) > at {
				kept[k] = until
			}
		}
		r.live.Add(int64(len(kept) - len(s.ended)))
		s.ended = kept // a map never gives its room back
		if s.until <= at {
			s.issued = 0
		}
		s.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, is := range r.roles {
		if is.until <= at {
			delete(r.roles, id)
		}
	}
	for id, until := range r.keys {
		if until <= at {
			delete(r.keys, id)
		}
	}
}
