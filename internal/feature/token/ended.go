package token

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// endedSessions remembers the sessions that have ended, in 256 slices by their
// ids, each with a lock of its own, so that no check waits for more than one
// slice's being tidied up.
//
// When there are too many, the older ones of as many slices as it takes
// collapse into a cut-off: in such a slice every token is refused that was
// issued at the time of the youngest of them or before. Those among it whose
// sessions live are refused as well, once: a refresh brings a token that was
// issued after. So memory has a bound, and what was revoked stays so.
type endedSessions struct {
	most int           // from how many on they collapse
	keep time.Duration // how long after its end a session is remembered

	slices     [256]sessionSlice
	live       atomic.Int64
	collapsing sync.Mutex
	next       int // the slice whose turn it is
}

type sessionSlice struct {
	mu sync.RWMutex
	// ended is until when to remember each session, in seconds since 1970.
	ended map[sessionKey]uint32
	// issued is the cut-off, in seconds since 1970: tokens issued then or before
	// are dead. Zero is none.
	issued int64
	peak   int // the most that ended has held: a map never gives its room back
}

// sessionKey is a session's id: a UUID, or the hash of what is none.
type sessionKey [16]byte

const (
	// mostSessions is how many ended sessions are remembered one by one.
	mostSessions = 2_000_000
	// youngFor is how long an ended session does not collapse, as long as others
	// can: so that a refresh gets a token beyond the cut-off.
	youngFor = 10 * time.Second
)

func keyOf(id string) sessionKey {
	if u, err := uuid.Parse(id); err == nil {
		return sessionKey(u)
	}
	sum := sha256.Sum256([]byte(id))
	return sessionKey(sum[:16])
}

// slice returns the slice of a session. A UUIDv7 ends in random bits.
func (e *endedSessions) slice(k sessionKey) *sessionSlice { return &e.slices[k[15]] }

// add remembers a session, and reports whether it is new here.
func (e *endedSessions) add(id string, until time.Time, now func() time.Time) bool {
	k := keyOf(id)
	s := e.slice(k)
	s.mu.Lock()
	if until.Add(-e.keep+cutOffMargin).Unix() < s.issued {
		s.mu.Unlock()
		return false // the cut-off has it
	}
	known, there := s.ended[k]
	if s.ended == nil {
		s.ended = map[sessionKey]uint32{}
	}
	s.ended[k] = max(known, uint32(until.Unix()+1)) //nolint:gosec // until 2106
	s.peak = max(s.peak, len(s.ended))
	s.mu.Unlock()
	if !there && e.live.Add(1) > int64(e.most) {
		e.collapse(now())
	}
	return !there
}

// ended reports whether the token's session has ended, or may have.
func (e *endedSessions) ended(c *Claims) bool {
	k := keyOf(c.Session)
	s := e.slice(k)
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ended := s.ended[k]
	return ended || s.issued > 0 && c.IssuedAt <= s.issued
}

// collapse turns slices into cut-offs until there is room for a quarter more:
// of each slice first what is not young, and if that is not enough all of it.
func (e *endedSessions) collapse(now time.Time) {
	e.collapsing.Lock()
	defer e.collapsing.Unlock()
	for _, before := range []time.Time{now.Add(-youngFor), now.Add(cutOffMargin)} {
		for range e.slices {
			if e.live.Load() <= int64(e.most)*3/4 {
				return
			}
			e.live.Add(-int64(e.slices[e.next].collapse(before, e.keep)))
			e.next = (e.next + 1) % len(e.slices)
		}
		if e.live.Load() <= int64(e.most) {
			return
		}
	}
}

// collapse puts a cut-off in place of the sessions that ended before the given
// time, and returns how many they were. A token of one of them was issued two
// seconds after at most, by a clock that is ahead.
func (s *sessionSlice) collapse(before time.Time, keep time.Duration) (gone int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := uint32(before.Add(keep).Unix()) //nolint:gosec // until 2106
	for k, until := range s.ended {
		if until <= last {
			delete(s.ended, k)
			gone++
		}
	}
	if gone > 0 {
		s.issued = max(s.issued, before.Add(cutOffMargin).Unix())
		s.shrink()
	}
	return gone
}

// shrink gives the map's room back once most of it is empty.
func (s *sessionSlice) shrink() {
	if len(s.ended) > s.peak/4 {
		return
	}
	small := make(map[sessionKey]uint32, len(s.ended))
	for k, until := range s.ended {
		small[k] = until
	}
	s.ended, s.peak = small, len(small)
}

// forget drops the sessions, and the cut-offs, that no living token can meet.
func (e *endedSessions) forget(now time.Time) {
	at := uint32(now.Unix()) //nolint:gosec // until 2106
	for i := range e.slices {
		s := &e.slices[i]
		s.mu.Lock()
		gone := 0
		for k, until := range s.ended {
			if until <= at {
				delete(s.ended, k)
				gone++
			}
		}
		if s.issued > 0 && now.Add(-e.keep).Unix() > s.issued {
			s.issued = 0
		}
		if gone > 0 {
			s.shrink()
		}
		s.mu.Unlock()
		e.live.Add(-int64(gone))
	}
}

func (e *endedSessions) collapsed() (n int) {
	for i := range e.slices {
		s := &e.slices[i]
		s.mu.RLock()
		if s.issued > 0 {
			n++
		}
		s.mu.RUnlock()
	}
	return n
}
