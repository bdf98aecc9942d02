package token

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// feed is what the polls have brought lately, in order, for applications that
// follow. Only polls fill it, so that whoever asks this replica next and another
// one after it can go on by the mark of the polls, which is the same everywhere.
type feed struct {
	mu      sync.Mutex
	name    string // of this list; another after each reading of everything
	first   int64  // the number of rows[0]
	rows    []Revocation
	floor   int64                // every row with this tx, or a greater one, that has been read stands here
	mark    int64                // every row with a smaller tx has been read
	again   map[feedKey]struct{} // those that the next poll will read again
	more    chan struct{}        // closed by the next rows
	delayed bool                 // no poll has come after the reading of everything
}

type feedKey struct {
	tx      int64
	kind    RevocationKind
	subject string
}

const (
	// feedRows is from how many rows on the older half goes. Whoever is that far
	// behind gets everything.
	feedRows = 64 << 10
	// cursorLife is how long a cursor can be continued: longer than it takes
	// to ask again, and too short for a database to be put back, and to come as far
	// as it was.
	cursorLife = 2 * time.Minute
)

// take notes what a poll from one mark to the next has read.
func (f *feed) take(rows []Revocation, mark, next int64, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if all {
		f.first += int64(len(f.rows))
		f.name, f.rows, f.again, f.mark, f.delayed = secret.Random{}.Text(9), nil, map[feedKey]struct{}{}, next, true
		f.wake()
		return
	}
	if f.delayed {
		// What the reading of everything found behind its horizon comes again now.
		f.floor, f.delayed = mark, false
	}
	had := len(f.rows)
	for _, row := range rows {
		key := feedKey{row.tx, row.Kind, row.Subject}
		if _, known := f.again[key]; known || row.Kind == clientsChanged {
			continue
		}
		f.again[key] = struct{}{}
		f.rows = append(f.rows, row)
	}
	for key := range f.again {
		if key.tx < next {
			delete(f.again, key)
		}
	}
	f.mark = next
	if len(f.rows) > had {
		f.wake()
	}
	if n := len(f.rows) - feedRows/2; len(f.rows) > feedRows {
		for _, row := range f.rows[:n] {
			f.floor = max(f.floor, row.tx+1)
		}
		f.rows, f.first = slices.Clone(f.rows[n:]), f.first+int64(n)
	}
}

func (f *feed) wake() {
	close(f.more)
	f.more = make(chan struct{})
}

// after returns the rows from the numbered one on that have at least the given
// tx, and a channel that is closed when there are more.
func (f *feed) after(number, tx int64) ([]Revocation, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from := min(max(number-f.first, 0), int64(len(f.rows)))
	var out []Revocation
	for _, row := range f.rows[from:] {
		if row.tx >= tx {
			out = append(out, row)
		}
	}
	return out, f.more
}

// cursor is how far an application has followed: to a row in the list of one
// replica, and for the others to a mark.
type cursor struct {
	name   string
	number int64
	mark   int64
	at     int64 // when it was given, in seconds since 1970
}

func (c cursor) String() string {
	return strings.Join([]string{c.name, strconv.FormatInt(c.number, 36), strconv.FormatInt(c.mark, 36), strconv.FormatInt(c.at, 36)}, ".")
}

// parseCursor reads what String wrote.
func parseCursor(s string) (c cursor, ok bool) {
	part := strings.Split(s, ".")
	if len(part) != 4 || len(s) > 100 {
		return cursor{}, false
	}
	c.name = part[0]
	for i, into := range []*int64{&c.number, &c.mark, &c.at} {
		n, err := strconv.ParseInt(part[i+1], 36, 64)
		if err != nil || n < 0 {
			return cursor{}, false
		}
		*into = n
	}
	return c, c.String() == s
}

func (f *feed) end(now time.Time) cursor {
	f.mu.Lock()
	defer f.mu.Unlock()
	return cursor{f.name, f.first + int64(len(f.rows)), f.mark, now.Unix()}
}

// place is where a cursor's follower goes on: at the numbered row, with those
// that have at least this tx.
type place struct {
	number, tx int64
	everything bool // it can't go on
	ahead      bool // this replica has not read as far yet
	foreign    bool // another replica gave the cursor
}

// find returns the place of a cursor that came at the given time.
func (f *feed) find(c cursor, came time.Time) place {
	f.mu.Lock()
	defer f.mu.Unlock()
	age := came.Unix() - c.at
	switch {
	case max(age, -age) > int64(cursorLife/time.Second):
		return place{everything: true}
	case c.name == f.name && c.number >= f.first && c.number <= f.first+int64(len(f.rows)):
		return place{number: c.number}
	case f.delayed || f.name == "" || c.mark < f.floor:
		return place{everything: true}
	}
	return place{number: f.first, tx: c.mark, ahead: c.mark > f.mark, foreign: true}
}

// RevokedIssued is a kind that only followers see: it ends the tokens that were
// issued at N, in seconds since 1970, or before, and whose session's id ends in
// the byte that Subject is in decimal. It stands for many sessions: see
// [endedSessions].
const RevokedIssued RevocationKind = "sessions_before"

// Followed is what an application gets that follows.
type Followed struct {
	// Cursor is where to go on.
	Cursor string
	// Everything reports that the list is all there is: what the application knew
	// before is to be forgotten.
	Everything bool
	// FreshAt is the time up to which it holds all revocations.
	FreshAt time.Time
	// FreshAfter is how long after the question that is, or less; before the
	// question it is negative. It serves clients with another clock.
	FreshAfter  time.Duration
	Revocations iter.Seq[Revocation]
}

// Follow returns what has been revoked since the cursor; if there is none, or it
// can't be continued, that is everything. If nothing is new it waits for it, for
// the given time at most or until stopping is closed. It returns ErrUnknown
// as soon as this replica does not know.
func (r *Revocations) Follow(ctx context.Context, from string, wait time.Duration, stopping <-chan struct{}) (Followed, error) {
	came := r.now()
	c, ok := parseCursor(from)
	if !ok {
		return r.followAll(came)
	}
	if r.feed.find(c, came).ahead {
		poll, cancel := context.WithTimeout(ctx, FreshFor)
		defer cancel()
		if err := r.Await(poll); err != nil {
			return Followed{}, ErrUnknown.Because(err)
		}
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	tick := time.NewTicker(PollEvery)
	defer tick.Stop()
	for last, held := wait <= 0, false; ; {
		at := r.feed.find(c, came)
		if at.everything || at.ahead { // still ahead: it is of a database that went back in time
			return r.followAll(came)
		}
		changes, rows, more, err := r.followed(came, at)
		// While a transaction is open for long, each replica has rows that the
		// others' cursors do not cover. A follower that skips between replicas is delayed a little.
		if err != nil || last || len(rows) > 0 && (held || !at.foreign) {
			return changes, err
		}
		if held = true; len(rows) > 0 {
			more = nil
		}
		select {
		case <-ctx.Done():
			return Followed{}, ctx.Err()
		case <-stopping:
			last = true
		case <-over.C:
			last = true
		case <-more:
		case <-tick.C: // for the age, too
		}
	}
}

// fresh begins what a follower gets whose question came at the given time; it
// returns ErrUnknown if it can't be determined.
func (r *Revocations) fresh(came time.Time) (Followed, error) {
	at := r.asked()
	if r.since(at) > FreshFor {
		return Followed{}, ErrUnknown
	}
	return Followed{FreshAt: at, FreshAfter: min(at.Sub(came), at.Round(0).Sub(came.Round(0)))}, nil
}

// followed returns what there is from a place on.
func (r *Revocations) followed(came time.Time, p place) (Followed, []Revocation, <-chan struct{}, error) {
	changes, err := r.fresh(came)
	if err != nil {
		return changes, nil, nil, err
	}
	changes.Cursor = r.feed.end(r.now()).String() // first: what comes meanwhile is sent twice
	rows, more := r.feed.after(p.number, p.tx)
	changes.Revocations = slices.Values(rows)
	return changes, rows, more, nil
}

func (r *Revocations) followAll(came time.Time) (Followed, error) {
	changes, err := r.fresh(came)
	if err != nil {
		return changes, err
	}
	changes.Cursor, changes.Everything, changes.Revocations = r.feed.end(r.now()).String(), true, r.all
	return changes, nil
}

// all hands out what this replica remembers.
func (r *Revocations) all(yield func(Revocation) bool) {
	if cut := r.cutOff.Load(); cut > 0 && !yield(Revocation{Kind: RevokedBefore, N: cut, Until: r.now().Add(longestSession)}) {
		return
	}
	var named []Revocation
	r.mu.RLock()
	for kid, until := range r.keys {
		named = append(named, Revocation{Kind: RevokedKey, Subject: kid, Until: db.Time(until)})
	}
	for account, is := range r.roles {
		named = append(named, Revocation{Kind: RevokedRoles, Subject: account, Roles: is.roles, N: is.n, Until: db.Time(is.until)})
	}
	r.mu.RUnlock()
	for _, row := range named {
		if !yield(row) {
			return
		}
	}
	r.sessions.all(yield)
}

// all hands out the ended sessions and the cut-offs.
func (e *endedSessions) all(yield func(Revocation) bool) {
	for i := range e.slices {
		s := &e.slices[i]
		s.mu.RLock()
		issued := s.issued
		rows := make([]Revocation, 0, len(s.ended)+1)
		for k, until := range s.ended {
			rows = append(rows, Revocation{Kind: RevokedSession, Subject: uuid.UUID(k).String(), Until: time.Unix(int64(until), 0)})
		}
		s.mu.RUnlock()
		if issued > 0 {
			rows = append(rows, Revocation{
				Kind: RevokedIssued, Subject: strconv.Itoa(i), N: issued, Until: time.Unix(issued, 0).Add(e.keep + time.Second),
			})
		}
		for _, row := range rows {
			if !yield(row) {
				return
			}
		}
	}
}
