package lockout

import (
	"net/netip"
	"sync"
	"time"
)

// Guessing across many accounts has no account that is locked out, and no
// network that has to wait: one try at each address, from one network each. What
// gives it away is that so many fail and so few succeed.
const (
	// SprayWindow is what is looked at together.
	SprayWindow = 10 * time.Minute
	// SprayAddresses and SprayNetworks are the fewest different ones that failed,
	// and SprayRatio how many tries fail for each that succeeds.
	SprayAddresses = 50
	SprayNetworks  = 10
	SprayRatio     = 4
	// sprayMost bounds what is remembered.
	sprayMost = 100_000
)

// Spray notices guessing across many accounts and networks. Each replica looks
// at the tries that it saw itself.
type Spray struct {
	mu        sync.Mutex
	begun     time.Time
	addresses map[string]struct{}
	networks  map[netip.Prefix]struct{}
	failed    int
	succeeded int
	reported  bool
}

// Failed counts a wrong password, and returns how many there were at the moment
// when they look like guessing across accounts: once in a window; otherwise 0.
func (s *Spray) Failed(addressKey string, network netip.Prefix, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(now)
	s.failed++
	if len(s.addresses) < sprayMost {
		s.addresses[addressKey] = struct{}{}
	}
	if len(s.networks) < sprayMost {
		s.networks[network] = struct{}{}
	}
	if s.reported || len(s.addresses) < SprayAddresses || len(s.networks) < SprayNetworks || s.failed < SprayRatio*s.succeeded {
		return 0
	}
	s.reported = true
	return s.failed
}

// Succeeded counts a right one.
func (s *Spray) Succeeded(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(now)
	s.succeeded++
}

// turn begins a new window when the old one is over, or the clock was set back.
func (s *Spray) turn(now time.Time) {
	if age := now.Sub(s.begun); s.addresses != nil && age >= 0 && age < SprayWindow {
		return
	}
	s.begun, s.failed, s.succeeded, s.reported = now, 0, 0, false
	s.addresses, s.networks = map[string]struct{}{}, map[netip.Prefix]struct{}{}
}
