package db

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// sharedSize is the most callers in one group.
	sharedSize = 64
	// stuckAfter is how long no group sets out, while some wait, before one more may
	// than there are to be at once: those under way may be on connections that are
	// dead, or wait for what another program holds.
	stuckAfter = 100 * time.Millisecond
)

// gathering lets callers share a transaction, or a round trip. A caller that
// finds less than atOnce groups under way goes at once and alone. The others wait,
// and go together when a group ends: so none waits for others to join, and the more
// callers there are, the less each costs.
//
// The first of a group leads it, in its own goroutine.
type gathering struct {
	atOnce int
	run    func([]*member)

	mu      sync.Mutex
	leaders int
	setOut  time.Time // when the last group did
	waiting []*member
}

// member is a caller, and what became of it.
type member struct {
	ctx context.Context
	row string // what it changes first
	fn  func(*Tx) error
	tx  *Tx // if it was in a transaction with others
	err error
	// apart says that the group failed, maybe because of a neighbour, and nothing
	// of it is in the database: the caller is to go by itself.
	apart bool
	over  bool           // the group has come to its end, with whatever result
	lead  chan []*member // the group that it is to lead
	done  chan struct{}
}

// do returns when m has been in a group that is over, or its time is.
func (g *gathering) do(m *member) {
	m.lead, m.done = make(chan []*member, 1), make(chan struct{})
	if g.enter(m) {
		g.leads([]*member{m})
		return
	}
	stuck := time.NewTimer(stuckAfter)
	defer stuck.Stop()
	givenUp := m.ctx.Done()
	for {
		select {
		case <-m.done:
			return
		case group := <-m.lead:
			g.leads(group)
			return
		case <-stuck.C:
			if group := g.overtake(m); group != nil {
				g.leads(group)
				return
			}
			stuck.Reset(stuckAfter)
		case <-givenUp:
			if g.leave(m) {
				m.err, m.over = m.ctx.Err(), true
				return
			}
			givenUp = nil // it is in a group already, which ends at the latest when its own time does
		}
	}
}

// enter reports whether m may go at once; else it waits.
func (g *gathering) enter(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leaders < g.atOnce {
		g.leaders++
		g.setOut = time.Now()
		return true
	}
	g.waiting = append(g.waiting, m)
	return false
}

// overtake returns the group that m is to lead past those that are stuck, or nil
// if none is.
func (g *gathering) overtake(m *member) []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, m)
	if i < 0 || time.Since(g.setOut) < stuckAfter {
		return nil
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	g.leaders++
	return append([]*member{m}, g.next(sharedSize-1)...)
}

// next takes out up to n of those who wait, as a group that sets out now.
func (g *gathering) next(n int) []*member {
	group := slices.Clone(g.waiting[:min(len(g.waiting), n)])
	g.waiting = slices.Delete(g.waiting, 0, len(group))
	g.setOut = time.Now()
	return group
}

// leave takes m out of those who wait, if it is still among them.
func (g *gathering) leave(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, m)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// leads runs a group, whose first member is the caller, and hands the lead on.
func (g *gathering) leads(group []*member) {
	began := time.Now()
	defer func() {
		g.mu.Lock()
		var next []*member
		if g.leaders <= g.atOnce || time.Since(began) < stuckAfter { // else it was overtaken, and replaced
			next = g.next(sharedSize)
		}
		if len(next) == 0 {
			g.leaders--
		}
		g.mu.Unlock()
		if len(next) > 0 {
			next[0].lead <- next
		}
		for _, m := range group[1:] {
			close(m.done)
		}
	}()
	g.run(group)
	for _, m := range group {
		m.over = true
	}
}

// until returns when the first of the members has no more time.
func until(group []*member) (earliest time.Time, ok bool) {
	for _, m := range group {
		if d, has := m.ctx.Deadline(); has && (!ok || d.Before(earliest)) {
			earliest, ok = d, true
		}
	}
	return earliest, ok
}
