package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Decisions are what the ledger says that a restore must not undo.
type Decisions struct {
	entries []entry
	erased  map[string]bool // by what the ledger calls them
	// Counts are the entries by what they are, with the erased.
	Counts []Counted
	// Until is the leaf that the ledger reaches in the newest history, and At when that was written; zero if there is none.
	Until int64
	At    time.Time
	// Beyond is how many events EVENT_ANCHOR knows of that the ledger does not reach, BeyondAt of when its last checkpoint is: what they took
	// away from somebody is lost.
	Beyond   int64
	BeyondAt time.Time
	// Gap says in a sentence what of the ledger is missing; empty if nothing is.
	Gap string
}

// Counted is how often something was decided.
type Counted struct {
	What  string `json:"what"`
	Count int    `json:"count"`
}

// span is the ledger of one history.
type span struct {
	epoch    int64
	timeline string
	files    map[string]segment
}

// Decisions reads what the ledger has of a backup's own history since, and of every later one. Files of all stores count: one
// may have been away. Without an identity that opens it the fault is no_identity.
func (r *Restore) Decisions(ctx context.Context, m *Manifest) (*Decisions, error) {
	d := &Decisions{erased: map[string]bool{}}
	spans := map[string]*span{}
	for _, s := range r.ledgerStores() {
		list, err := s.List(ctx, ledgers+m.Install+"/")
		if err != nil {
			return nil, fmt.Errorf("looking through %s: %w", s.Name(), err)
		}
		for _, o := range list {
			epoch, timeline, file, ok := parseLedger(o.Name, m.Install)
			if !ok || timeline != "" && timeline != m.Timeline && epoch <= m.Epoch {
				continue
			}
			if timeline == "" {
				err = r.readErased(ctx, s, m, o.Name, d)
			} else {
				at := spans[timeline]
				if at == nil {
					at = &span{epoch, timeline, map[string]segment{}}
					spans[timeline] = at
				}
				if _, read := at.files[file]; !read {
					err = r.readSegment(ctx, s, m, o.Name, at, file)
				}
			}
			if f := fault.As(err); f != nil && f.Code == "ledger_gap" {
				d.Gap = f.Message
			} else if err != nil {
				return nil, err
			}
		}
	}
	d.join(m, spans)
	d.count()
	r.beyond(m, d)
	return d, nil
}

func (r *Restore) ledgerStores() []Store {
	if len(r.Ledgers) > 0 {
		return r.Ledgers
	}
	return []Store{r.Store}
}

// join puts the histories together, and looks whether anything is missing.
func (d *Decisions) join(m *Manifest, spans map[string]*span) {
	own := spans[m.Timeline]
	if own == nil {
		own = &span{m.Epoch, m.Timeline, nil}
		spans[m.Timeline] = own
	}
	newest := int64(-1)
	for _, s := range slices.SortedFunc(maps.Values(spans), func(a, b *span) int { return int(a.epoch - b.epoch) }) {
		begin := int64(-1)
		if s == own {
			begin = m.Log.Size
		}
		reached, at, gap := s.reach(begin)
		if s == own && gap == "" && reached < m.Ledger.Until {
			gap = fmt.Sprintf("it should reach the leaf %d, and reaches %d", m.Ledger.Until, max(reached, 0))
		}
		if gap != "" {
			d.Gap = fmt.Sprintf("A part of the ledger of the history %d-%s is missing: %s.", s.epoch, s.timeline, gap)
		}
		if s.epoch > newest && len(s.files) > 0 {
			newest, d.Until, d.At = s.epoch, reached, at
		}
		for _, seg := range s.files {
			for _, e := range seg.Entries {
				if s != own || e.Leaf >= m.Log.Size {
					d.entries = append(d.entries, e)
				}
			}
		}
	}
	slices.SortFunc(d.entries, func(a, b entry) int { return a.At.Compare(b.At) })
	// Two segments may have the same leaves.
	d.entries = slices.CompactFunc(d.entries, func(a, b entry) bool {
		return a.Leaf == b.Leaf && a.At.Equal(b.At) && a.What == b.What && a.Account == b.Account && a.Of == b.Of && slices.Equal(a.Networks, b.Networks)
	})
}

// reach walks along the segments of a history, from a leaf on or from the first that there is.
func (s *span) reach(from int64) (until int64, at time.Time, gap string) {
	until = from
	list := slices.SortedFunc(maps.Values(s.files), func(a, b segment) int { return int(a.From - b.From) })
	for _, seg := range list {
		if until < 0 {
			until = seg.From
		}
		if seg.From > until {
			return until, at, fmt.Sprintf("the leaves %d to %d", until, seg.From-1)
		}
		if seg.Until > until {
			until, at = seg.Until, seg.At
		}
	}
	return until, at, ""
}

func (d *Decisions) count() {
	n := map[reduction]int{}
	for _, e := range d.entries {
		n[e.What]++
	}
	// Each has a file of its own, from before its first row went.
	if n[accountErased] > len(d.erased) {
		d.Gap = fmt.Sprintf("%d accounts were erased since, and the ledger names %d of them.", n[accountErased], len(d.erased))
	}
	d.entries = slices.DeleteFunc(d.entries, func(e entry) bool { return e.What == accountErased })
	for _, what := range reductions() {
		if n[what] > 0 {
			d.Counts = append(d.Counts, Counted{string(what), n[what]})
		}
	}
	if len(d.erased) > 0 {
		d.Counts = append(d.Counts, Counted{"erased", len(d.erased)})
	}
}

// Len is how many decisions there are.
func (d *Decisions) Len() int { return len(d.entries) + len(d.erased) }

func (r *Restore) readSegment(ctx context.Context, store Store, m *Manifest, name string, at *span, file string) error {
	var s segment
	if err := r.readSigned(ctx, store, m.Install, name, &s); err != nil {
		return err
	}
	from, until, _ := parseSegment(file)
	if s.Install != m.Install || s.Timeline != at.timeline || s.Epoch != at.epoch || s.From != from || s.Until != until {
		return damaged(store, name, errors.New("it is another than its name says"))
	}
	at.files[file] = s
	return nil
}

func (r *Restore) readErased(ctx context.Context, store Store, m *Manifest, name string, d *Decisions) error {
	_, file, _ := strings.Cut(strings.TrimPrefix(name, ledgers+m.Install+"/"), "/")
	who := erasedName.FindStringSubmatch(file)[1]
	if d.erased[who] {
		return nil
	}
	var e erased
	if err := r.readSigned(ctx, store, m.Install, name, &e); err != nil {
		return err
	}
	if e.Install != m.Install || e.Account != who {
		return damaged(store, name, errors.New("it is another than its name says"))
	}
	d.erased[who] = true
	return nil
}

// readSigned reads a file of the ledger.
func (r *Restore) readSigned(ctx context.Context, store Store, install, name string, into any) error {
	raw, err := store.Get(ctx, name, mostPart)
	if errors.Is(err, ErrMissing) || errors.Is(err, errTooLong) {
		return damaged(store, name, err)
	}
	if err != nil {
		return err
	}
	opened, err := age.Decrypt(bytes.NewReader(raw), r.Identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return fault.New(fault.Invalid, "no_identity", fmt.Sprintf(
			"The ledger of what a restore must not undo has %s, which none of the identities opens: name all of them with --identity.", name))
	}
	if err != nil {
		return damaged(store, name, err)
	}
	text, err := io.ReadAll(io.LimitReader(opened, mostSegment+1))
	if err != nil || len(text) > mostSegment {
		return damaged(store, name, errors.Join(err, errTooLong))
	}
	text, err = r.Trust.signed(text, install)
	if err == nil {
		err = strictly(text, into)
	}
	if err != nil {
		return damaged(store, name, err)
	}
	return nil
}

// damaged is for a file of the ledger that is not what was written: what it said is lost.
func damaged(store Store, name string, why error) error {
	return fault.New(fault.Conflict, "ledger_gap", fmt.Sprintf("The ledger's file %s in %s can't be used: %v.", name, store.Name(), why))
}

// errGap is the refusal to restore without a part of the ledger.
func errGap(d *Decisions) error {
	return fault.New(fault.Conflict, "ledger_gap", d.Gap+" What was decided then would be undone: who was erased, disabled or lost a role is back. Look for the "+
		"missing file in another store; or say --accept-lost-ledger. Nothing was touched.")
}
