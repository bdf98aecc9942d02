package event

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Filter says which events are wanted. What is empty filters nothing.
type Filter struct {
	// Since and Until bound the time of the event: Since is in, Until is not.
	Since, Until time.Time
	// Account is the id of the account that it happened to.
	Account string
	// Network is where it came from.
	Network netip.Prefix
	Kinds   []Kind
	Outcome Outcome
	// Before is a cursor: only events older than the one of this id.
	Before string
}

// searchPage is how many rows are read at once, and searchMost how many one
// call of Search reads at most: with a filter that few events pass, it gives up
// for now.
const (
	searchPage = 500
	searchMost = 20_000
)

// Search returns the newest events that pass the filter, newest first, at most
// limit of them, and the cursor to go on with, which is empty at the log's
// beginning. There may be fewer than limit, or none, and yet a cursor.
func (l *Log) Search(tx *db.Tx, f Filter, limit int) (found []Entry, next string, err error) {
	low, high := "", "g" // before and after every id, which is hexadecimal, in any collation
	if !f.Since.IsZero() {
		low = secret.FirstID(f.Since)
	}
	if !f.Until.IsZero() {
		high = secret.FirstID(f.Until)
	}
	if f.Before != "" && f.Before < high {
		high = f.Before
	}
	kinds := f.kindList()
	for read := 0; read < searchMost; {
		page, err := l.page(tx, f, kinds, low, high)
		if err != nil {
			return nil, "", err
		}
		for _, e := range page {
			high = e.ID
			if !f.passes(e) {
				continue
			}
			if found = append(found, e); len(found) == limit {
				return found, high, nil
			}
		}
		if len(page) < searchPage {
			return found, "", nil
		}
		read += len(page)
	}
	return found, high, nil
}

// page returns the next events before high. A kind's underscore matches any
// character here: passes is exact.
func (l *Log) page(tx *db.Tx, f Filter, kinds, low, high string) (page []Entry, err error) {
	var rows *db.Rows
	if f.Account != "" {
		rows, err = tx.Query(`SELECT e.id, e.time, e.kind, e.outcome, p.data
			FROM event_personal AS p JOIN event AS e ON e.id = p.event_id
			WHERE p.person = $1 AND p.event_id >= $2 AND p.event_id < $3 AND ($4 = '' OR $4 LIKE '%,' || e.kind || ',%') AND ($5 = '' OR e.outcome = $5)
			ORDER BY p.event_id DESC LIMIT $6`, f.Account, low, high, kinds, string(f.Outcome), searchPage)
	} else {
		rows, err = tx.Query(`SELECT e.id, e.time, e.kind, e.outcome, p.data
			FROM event AS e LEFT JOIN event_personal AS p ON p.event_id = e.id
			WHERE e.id >= $1 AND e.id < $2 AND ($3 = '' OR $3 LIKE '%,' || e.kind || ',%') AND ($4 = '' OR e.outcome = $4)
			ORDER BY e.id DESC LIMIT $5`, low, high, kinds, string(f.Outcome), searchPage)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return page, rows.Err()
}

// scanEntry reads an event, whose personal part may be gone.
func scanEntry(rows interface{ Scan(dest ...any) error }) (e Entry, err error) {
	var (
		at   int64
		data *string
	)
	if err := rows.Scan(&e.ID, &at, &e.Kind, &e.Outcome, &data); err != nil {
		return Entry{}, err
	}
	e.Time = db.Time(at)
	if data == nil {
		e.Erased = true
		return e, nil
	}
	return e, e.read(*data)
}

func (f Filter) kindList() string {
	var b strings.Builder
	for _, k := range f.Kinds {
		b.WriteString("," + string(k))
	}
	if b.Len() > 0 {
		b.WriteString(",")
	}
	return b.String()
}

func (f Filter) passes(e Entry) bool {
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, e.Kind) {
		return false
	}
	if !f.Network.IsValid() {
		return true
	}
	a, err := netip.ParseAddr(e.Address)
	return err == nil && f.Network.Contains(a.Unmap())
}

// Sealed is an event with its place in the sealed log.
type Sealed struct {
	Entry
	// Leaf is its number, or -1 as long as it has none.
	Leaf int64
	// Hash is what the log holds of it.
	Hash tlog.Hash
	// Proof leads from the leaf to the root of Head (RFC 6962, section 2.1.1).
	Proof tlog.RecordProof
	Head  Head
}

// Show returns one event with the proof that it is in the log; a fault.NotFound
// if there is none of that id.
func (l *Log) Show(tx *db.Tx, id string) (s Sealed, err error) {
	s.Leaf = -1
	s.Entry, err = scanEntry(tx.QueryRow(`SELECT e.id, e.time, e.kind, e.outcome, p.data
		FROM event AS e LEFT JOIN event_personal AS p ON p.event_id = e.id WHERE e.id = $1`, id))
	if errors.Is(err, db.ErrNoRows) {
		return s, fault.New(fault.NotFound, "event_unknown", "There is no event with this id.")
	}
	if err != nil {
		return s, err
	}
	if s.Head, err = ReadHead(tx); err != nil {
		return s, err
	}
	var hash []byte
	err = tx.QueryRow(`SELECT n, hash FROM event_leaf WHERE event_id = $1`, id).Scan(&s.Leaf, &hash)
	if errors.Is(err, db.ErrNoRows) || err == nil && (s.Leaf >= s.Head.Size || len(hash) != tlog.HashSize) {
		s.Leaf = -1
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.Hash = tlog.Hash(hash)
	s.Proof, err = tlog.ProveRecord(s.Head.Size, s.Leaf, reader(tx))
	return s, err
}

// After returns up to limit sealed events from the leaf n on, in the order of
// the log, and the leaf to go on with. Nothing comes late into this order, so
// whoever follows it misses nothing. Leaves whose event was retired are left out.
func (l *Log) After(tx *db.Tx, n int64, limit int) (page []Sealed, next int64, err error) {
	rows, err := tx.Query(`SELECT l.n, l.event_id, e.time, e.kind, e.outcome, p.data
		FROM event_leaf AS l LEFT JOIN event AS e ON e.id = l.event_id LEFT JOIN event_personal AS p ON p.event_id = l.event_id
		WHERE l.n >= $1 AND l.n < (SELECT size FROM event_head WHERE one = 1) ORDER BY l.n LIMIT $2`, n, limit)
	if err != nil {
		return nil, n, err
	}
	defer rows.Close()
	next = n
	for rows.Next() {
		var (
			s             Sealed
			at            *int64
			kind, outcome *string
			data          *string
		)
		if err := rows.Scan(&s.Leaf, &s.ID, &at, &kind, &outcome, &data); err != nil {
			return nil, n, err
		}
		next = s.Leaf + 1
		if at == nil {
			continue
		}
		s.Time, s.Kind, s.Outcome, s.Erased = db.Time(*at), Kind(*kind), Outcome(*outcome), data == nil
		if data != nil {
			if err := s.read(*data); err != nil {
				return nil, n, err
			}
		}
		page = append(page, s)
	}
	return page, next, rows.Err()
}

// lateLeaves is how many leaves are looked at for the first of a time: events are sealed in the order of their commits, which
// is almost that of their times.
const lateLeaves = 1000

// LeafSince returns the leaf before which no event of the time is, or later: the log's size if there is none.
func LeafSince(tx *db.Tx, since time.Time) (leaf int64, err error) {
	err = tx.QueryRow(`SELECT COALESCE(MIN(n), (SELECT size FROM event_head WHERE one = 1)) FROM (
		SELECT n FROM event_leaf WHERE event_id >= $1 ORDER BY event_id LIMIT $2) AS first`, secret.FirstID(since), lateLeaves).Scan(&leaf)
	return leaf, err
}
