package event

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Finding is one thing that is wrong with the log.
type Finding struct {
	// Leaf is the number of the row that is wrong, or -1 if it has none.
	Leaf int64 `json:"leaf"`
	// Event is the id of the event, if there is one.
	Event string `json:"event_id,omitempty"`
	// What is wrong: changed, removed, added, reordered, cut, forked, unsigned,
	// key or tree; Text says it in words.
	What string `json:"what"`
	Text string `json:"text"`
}

// Report is what verifying found.
type Report struct {
	// Leaves were read, of which Erased have lost their personal part and Retired
	// their event, both by the rules.
	Leaves  int64 `json:"leaves"`
	Erased  int64 `json:"erased"`
	Retired int64 `json:"retired"`
	// Checkpoints were checked; From is the size of the first and Until of the
	// last one.
	Checkpoints int64 `json:"checkpoints"`
	// Kept are checkpoints that were kept elsewhere and agree with an export.
	Kept int64 `json:"kept_checkpoints,omitempty"`
	// Beyond are those of more leaves than an export has: made after it, or its end was cut before.
	Beyond int64 `json:"kept_checkpoints_beyond,omitempty"`
	From   int64 `json:"from"`
	Until  int64 `json:"until"`
	// Origin is under which name and key the log is signed.
	Origin   string `json:"origin"`
	Verifier string `json:"key"`
	// Findings are empty if all is well; the first comes first. No more than
	// maxFindings are reported.
	Findings []Finding `json:"findings"`
}

// maxFindings bounds a report: who rewrote a million rows is found by the first.
const maxFindings = 20

// VerifyOptions says what to hold the log against.
type VerifyOptions struct {
	// Key is the public key that must have signed; the origin's, if empty, which
	// finds nothing if key and checkpoints were replaced together.
	Key string
	// Checkpoint is one that was kept elsewhere: the log must contain it. Leaves
	// before it are not read again if From is set.
	Checkpoint string
	From       bool
	// Progress is called with how many leaves are read, now and then.
	Progress func(read, of int64)
}

// row is one leaf with whatever is left of its event.
type row struct {
	n          int64
	id         string
	leaf       []byte
	tx         *int64
	time       *int64
	kind       *string
	outcome    *string
	hash       []byte
	salt       []byte
	data       *string
	commitment *string
	statement  *string
}

// verifier goes through the log once, in order, in bounded memory.
type verifier struct {
	report Report
	tree   *edge
	// nodes are the hashes of the stored subtrees that were computed since the
	// last look.
	nodes map[[2]int64]tlog.Hash
	// unexplained are leaves without event that no statement has covered yet:
	// ranges, since they come in ranges.
	unexplained []leafRange
	stated      map[leafRange]bool
	// erased is the first leaf of each erasure, by the event that should state it, and
	// how many it has; statements are those that do.
	erased     map[string]*erasure
	statements map[string]Detail
	// before are the leaves that were erased before erasures were named by their
	// statements, and toldBefore how many those statements say.
	before, toldBefore int64
	firstBefore        row
	// kept are checkpoints that were kept elsewhere, by their size, as far as they were not met.
	kept map[int64]Checkpoint
}

type erasure struct {
	first row
	n     int64
}

type leafRange struct{ from, until int64 }

func (v *verifier) find(leaf int64, id, what, format string, args ...any) {
	if len(v.report.Findings) < maxFindings {
		v.report.Findings = append(v.report.Findings, Finding{Leaf: leaf, Event: id, What: what, Text: fmt.Sprintf(format, args...)})
	}
}

// check holds one row against itself, and adds its leaf to the tree.
func (v *verifier) check(r row) {
	if r.n != v.tree.size {
		if r.n > v.tree.size {
			v.find(v.tree.size, "", "removed", "the leaves %d to %d were removed from the log", v.tree.size, r.n-1)
		}
		v.tree = lost(r.n) // the rows can still be looked at
	}
	if len(r.leaf) != tlog.HashSize {
		v.find(r.n, r.id, "changed", "the leaf's hash was changed")
		r.leaf = make([]byte, tlog.HashSize)
	}
	v.report.Leaves++
	if r.time == nil {
		v.report.Retired++
		v.absent(r)
	} else {
		v.present(r)
	}
	v.tree.append(tlog.Hash(r.leaf), func(level int, n int64, h tlog.Hash) {
		if level > 0 && level%stride == 0 && v.nodes != nil {
			v.nodes[[2]int64{int64(level), n}] = h
		}
	})
}

// absent notes a leaf whose event is gone.
func (v *verifier) absent(r row) {
	if k := len(v.unexplained); k > 0 && v.unexplained[k-1].until == r.n {
		v.unexplained[k-1].until++
	} else {
		v.unexplained = append(v.unexplained, leafRange{r.n, r.n + 1})
	}
}

// present recomputes the event's hash from what is stored of it.
func (v *verifier) present(r row) {
	rec := record{ID: r.id, Time: *r.time, Kind: Kind(*r.kind), Outcome: Outcome(*r.outcome)}
	switch {
	case r.data != nil:
		rec.Commitment = commitment(r.salt, []byte(*r.data))
	case r.commitment != nil:
		rec.Commitment = *r.commitment
		v.report.Erased++
		v.erasedBy(r)
	default:
		v.find(r.n, r.id, "removed",
			"the personal part of the event %s was removed without being erased by the rules", r.id)
		return
	}
	if h := tlog.RecordHash(encode(rec)); h != tlog.Hash(r.leaf) {
		if r.hash != nil && string(h[:]) == string(r.hash) {
			v.find(r.n, r.id, "changed", "the event %s and its hash were changed after it was sealed", r.id)
		} else {
			v.find(r.n, r.id, "changed", "the event %s, or its personal part, was changed after it was sealed", r.id)
		}
		return
	}
	v.statement(rec, r.data)
}

// explain finds the absent leaves that no sealed statement covers.
func (v *verifier) explain() {
	for _, gap := range v.unexplained {
		at := gap.from
		for at < gap.until {
			next := at
			for r := range v.stated {
				if r.from <= at && r.until > next {
					next = r.until
				}
			}
			if next == at {
				v.find(at, "", "removed", "the event of leaf %d was removed, and no statement of the log retires it", at)
				return
			}
			at = next
		}
	}
}

// Verify reads the whole log, or all of it from a checkpoint on, and reports
// what is wrong with it. It reads in pages, so it may run next to a server; what
// is sealed after it began is not looked at. The error is only of the database.
func Verify(ctx context.Context, d *db.DB, o VerifyOptions) (Report, error) {
	v := &verifier{tree: &edge{}, nodes: map[[2]int64]tlog.Hash{}, stated: map[leafRange]bool{}, erased: map[string]*erasure{}, statements: map[string]Detail{}}
	v.report.Findings = []Finding{}
	w := walk{db: d, v: v, options: o}
	if err := w.begin(ctx); err != nil {
		return v.report, err
	}
	if err := w.leaves(ctx); err != nil {
		return v.report, err
	}
	return v.report, w.end(ctx)
}
