package alert

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// The limits of the state. They are far beyond every threshold.
const (
	triedMost  = 5000 // pairs of a network and an address
	adminsMost = 1000 // networks of administrators
	adminKeeps = 90 * 24 * 60
	hoursKept  = 8 * 24
)

// State is the rules' state. Times are in whole minutes or hours
// since 1970; networks and keyed hashes of addresses are forgotten after an hour.
type State struct {
	// Since is when watching began, Minute up to when it has come.
	Since  int64 `json:"since"`
	Minute int64 `json:"minute"`
	// Counts has for each rule how much was counted in which minute.
	Counts map[string]map[int64]int64 `json:"counts,omitempty"`
	// Hours is how many sign-ins failed in which hour.
	Hours map[int64]int64 `json:"hours,omitempty"`
	// Tried is which network failed at which address, and when last.
	Tried map[string]map[string]int64 `json:"tried,omitempty"`
	// Admins is from which networks administrators have signed in, and when last.
	Admins map[string]map[string]int64 `json:"admins,omitempty"`
	// Place is the network of AdminNetwork and the account of CanaryTouched.
	Place map[string]string `json:"place,omitempty"`
}

// succeeded is what sign-ins are counted under; it is no rule.
const succeeded = "succeeded"

// Engine evaluates the rules over events. It reads no clock and no database.
type Engine struct {
	Thresholds Thresholds
	// Canaries are the accounts that nobody has a reason to touch.
	Canaries map[string]bool
	state    *State
	peaks    map[string]Verdict
	fed      bool // since the last peak
}

// NewEngine returns an engine that goes on with a state, or begins at a time.
func NewEngine(t Thresholds, s *State, begin time.Time) *Engine {
	if s == nil {
		s = &State{Since: minute(begin), Minute: minute(begin)}
	}
	if s.Counts == nil {
		s.Counts = map[string]map[int64]int64{}
	}
	if s.Hours == nil {
		s.Hours = map[int64]int64{}
	}
	if s.Tried == nil {
		s.Tried = map[string]map[string]int64{}
	}
	if s.Admins == nil {
		s.Admins = map[string]map[string]int64{}
	}
	if s.Place == nil {
		s.Place = map[string]string{}
	}
	return &Engine{Thresholds: t, state: s, peaks: map[string]Verdict{}}
}

func minute(t time.Time) int64 { return t.Unix() / 60 }

// Feed takes the next event of the log. One that claims to be of a time after
// now is treated as one of now: a wrong clock moves no window.
func (g *Engine) Feed(e event.Entry, now time.Time) {
	at := min(minute(e.Time), minute(now))
	if at > g.state.Minute {
		g.peak() // of all that came before
		g.state.Minute = at
		g.forget()
	}
	if at <= g.state.Minute-60 {
		return // too late to count in any window
	}
	g.fed = true
	for _, r := range Rules {
		if r.count != nil && slices.Contains(r.Kinds, e.Kind) {
			g.add(r.Name, at, r.count(e))
		}
	}
	switch e.Kind {
	case event.FailedLogin:
		g.state.Hours[at/60] += times(e)
		g.tried(e, at)
	case event.Login:
		g.add(succeeded, at, 1)
		g.admin(e, at)
	}
	if g.Canaries[e.Account] && e.Detail.By == "" {
		g.add(CanaryTouched, at, 1)
		g.state.Place[CanaryTouched] = e.Account
	}
}

func (g *Engine) add(name string, at, n int64) {
	if n <= 0 {
		return
	}
	c := g.state.Counts[name]
	if c == nil {
		c = map[int64]int64{}
		g.state.Counts[name] = c
	}
	c[at] += n
}

// tried notes which network failed at which address. With IPv6 it is the site, of which
// some have 65,536 networks.
func (g *Engine) tried(e event.Entry, at int64) {
	where := prefix(e.Address, 32, 48)
	if where == "" || e.Detail.Address == "" {
		return
	}
	list := g.state.Tried[where]
	if _, known := list[e.Detail.Address]; !known && g.pairs() >= triedMost {
		return
	}
	if list == nil {
		list = map[string]int64{}
		g.state.Tried[where] = list
	}
	list[e.Detail.Address] = max(at, list[e.Detail.Address])
}

func (g *Engine) pairs() (n int) {
	for _, list := range g.state.Tried {
		n += len(list)
	}
	return n
}

// admin notes from where an administrator signs in. An administrator's first
// network is taken as known.
func (g *Engine) admin(e event.Entry, at int64) {
	if !slices.Contains(e.Detail.Roles, account.Admin) {
		return
	}
	where := around(e.Address)
	if where == "" {
		return
	}
	seen := g.state.Admins[e.Account]
	if seen == nil {
		if len(g.state.Admins) >= adminsMost {
			return
		}
		g.state.Admins[e.Account] = map[string]int64{where: at}
		return
	}
	if _, known := seen[where]; !known {
		g.add(AdminNetwork, at, 1)
		g.state.Place[AdminNetwork] = network(e.Address)
	}
	if len(seen) < adminsMost {
		seen[where] = at
	}
}

// network is the address as events list --network takes it: an IPv4 address, or
// an IPv6 /64.
func network(address string) string { return prefix(address, 32, 64) }

// around is what moves with one provider's customer: a /24 or a /48.
func around(address string) string { return prefix(address, 24, 48) }

func prefix(address string, four, six int) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	bits := six
	if a.Is4() {
		bits = four
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// forget drops what is no longer in any window.
func (g *Engine) forget() {
	s, last := g.state, g.state.Minute-60
	for name, c := range s.Counts {
		gone := last
		if r, ok := ByName(name); ok && r.Window > hour {
			gone = g.state.Minute - int64(r.Window/time.Minute)
		}
		for m := range c {
			if m <= gone {
				delete(c, m)
			}
		}
		if len(c) == 0 {
			delete(s.Counts, name)
			delete(s.Place, name)
		}
	}
	for where, list := range s.Tried {
		for a, m := range list {
			if m <= last {
				delete(list, a)
			}
		}
		if len(list) == 0 {
			delete(s.Tried, where)
		}
	}
	for h := range s.Hours {
		if h <= s.Minute/60-hoursKept {
			delete(s.Hours, h)
		}
	}
	for who, seen := range s.Admins {
		for n, m := range seen {
			if m <= s.Minute-adminKeeps {
				delete(seen, n)
			}
		}
		if len(seen) == 0 {
			delete(s.Admins, who)
		}
	}
}

// peak keeps the worst verdict of each rule, so that what was broken between two
// looks is reported too.
func (g *Engine) peak() {
	if !g.fed {
		return // a state that was judged when it was written, perhaps by another replica
	}
	g.fed = false
	for _, v := range g.verdicts() {
		if v.Broken() && v.N > g.peaks[v.Rule.Name].N {
			g.peaks[v.Rule.Name] = v
		}
	}
}

// Judge returns the verdicts of now, and the worst ones since the last call that
// were broken.
func (g *Engine) Judge(now time.Time) (verdicts []Verdict, broken map[string]Verdict) {
	g.peak()
	if m := minute(now); m > g.state.Minute {
		g.state.Minute = m
		g.forget()
	}
	broken = g.peaks
	g.peaks = map[string]Verdict{}
	return g.verdicts(), broken
}
