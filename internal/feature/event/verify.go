package event

import (
	"context"
	"errors"
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
	From        int64 `json:"from"`
	Until       int64 `json:"until"`
	// Origin is under which name and key the log is signed.
	Origin   string `json:"origin"`
	Verifier string `json:"key"`
	// Findings are empty if all is well; the first comes first. No more than
	// maxFindings are told.
	Findings []Finding `json:"findings"`
}

// maxFindings bounds a report: who rewrote a million rows is found by the first.
const maxFindings = 20

// VerifyOptions says what to hold the log against.
type VerifyOptions struct {
	// Key is the public key that must have signed; the origin's, if empty, which
	// finds nothing if somebody replaced key and checkpoints together.
	Key string
	// Checkpoint is one that was kept elsewhere: the log must contain it. Leaves
	// before it are not read again if From is set.
	Checkpoint string
	From       bool
	// Progress is told how many leaves are read, now and then.
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
// what is wrong with it. It reads in pages, so it may run beside a server; what
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

// walk is one verification of a database.
type walk struct {
	db      *db.DB
	v       *verifier
	options VerifyOptions
	head    Head
	fromTx  int64
	origin  LogOrigin
	given   *Checkpoint
	next    *Checkpoint // the next stored checkpoint to be met
	ordered int64       // the size of the last checkpoint that agreed
	forked  bool
}

// begin reads the head and what it is held against.
func (w *walk) begin(ctx context.Context) error {
	return w.db.Read(ctx, func(tx *db.Tx) (err error) {
		if w.head, w.fromTx, err = readHead(tx); err != nil {
			return err
		}
		if w.origin, err = current(tx); err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		w.v.report.Origin, w.v.report.Verifier = w.origin.Name, w.origin.Verifier
		if w.options.Key != "" && w.options.Key != w.origin.Verifier {
			w.v.find(-1, "", "key", "the log is signed with another key than the one given: %s", w.origin.Verifier)
		}
		if w.options.Checkpoint != "" {
			key := w.options.Key
			if key == "" {
				key = w.origin.Verifier
			}
			c, err := ParseCheckpoint(w.options.Checkpoint, key)
			if err != nil {
				return err
			}
			w.given = &c
			if c.Size > w.head.Size {
				w.v.find(c.Size-1, "", "cut", "the checkpoint says %d events and the log has %d: its end was cut off, or the database set back", c.Size, w.head.Size)
			} else if w.options.From {
				if w.v.tree, err = readEdge(tx, c.Size); err != nil {
					return err
				}
				w.v.report.From, w.ordered = c.Size, c.Size
				if w.v.tree.root() != c.Root {
					w.v.find(c.Size-1, "", "forked", "the first %d events of the log are not those that the checkpoint was signed over", c.Size)
				}
			}
		}
		return w.nextCheckpoint(tx, w.v.report.From-1)
	})
}

// nextCheckpoint reads the first stored checkpoint of more than size leaves.
func (w *walk) nextCheckpoint(tx *db.Tx, size int64) error {
	c := Checkpoint{}
	err := tx.QueryRow(`SELECT size, note FROM event_checkpoint WHERE origin = $1 AND size > $2 ORDER BY size LIMIT 1`, w.origin.N, size).Scan(&c.Size, &c.Note)
	if errors.Is(err, db.ErrNoRows) {
		w.next = nil
		return nil
	}
	w.next = &c
	return err
}

// versus holds the tree against the checkpoints of its present size.
func (w *walk) versus(tx *db.Tx) error {
	size := w.v.tree.size
	if g := w.given; g != nil && g.Size == size && g.Root != w.v.tree.root() {
		w.fork(tx, g.Size)
	}
	for w.next != nil && w.next.Size <= size {
		if w.next.Size == size {
			w.v.report.Checkpoints++
			c, err := ParseCheckpoint(w.next.Note, w.origin.Verifier)
			switch {
			case err != nil || c.Size != size:
				w.v.find(size-1, "", "unsigned", "the checkpoint of %d events is not signed by the log's key, or was changed", size)
			case c.Root != w.v.tree.root():
				w.fork(tx, size)
			default:
				w.ordered, w.v.report.Until = size, size
			}
		}
		if err := w.nextCheckpoint(tx, w.next.Size); err != nil {
			return err
		}
	}
	return nil
}

// fork reports that the leaves up to size are not those that were signed, unless
// a row among them was named already.
func (w *walk) fork(tx *db.Tx, size int64) {
	if w.forked {
		return
	}
	w.forked = true
	for _, f := range w.v.report.Findings {
		if f.Leaf >= w.ordered && f.Leaf < size {
			return
		}
	}
	leaf, id := w.misplaced(tx, size)
	w.v.find(leaf, id, "reordered", "the leaves %d to %d are not those that were signed, or not in that order; the first out of order is %d", w.ordered,
		size-1, leaf)
}

// misplaced returns the first leaf since the last good checkpoint whose
// transaction came before its neighbour's: events are sealed in that order.
func (w *walk) misplaced(tx *db.Tx, size int64) (n int64, id string) {
	err := tx.QueryRow(`SELECT a.n, a.event_id FROM event_leaf AS a JOIN event_leaf AS b ON b.n = a.n + 1
		JOIN event AS x ON x.id = a.event_id JOIN event AS y ON y.id = b.event_id
		WHERE a.n >= $1 AND b.n < $2 AND (x.tx > y.tx OR x.tx = y.tx AND x.id > y.id) ORDER BY a.n LIMIT 1`, w.ordered, size).Scan(&n, &id)
	if err != nil {
		return w.ordered, ""
	}
	return n, id
}

// verifyPage is how many leaves are read at once.
const verifyPage = 1000

func (w *walk) leaves(ctx context.Context) error {
	for w.v.tree.size < w.head.Size {
		from := w.v.tree.size
		err := w.db.Read(ctx, func(tx *db.Tx) error {
			rows, err := pageOf(tx, from, min(from+verifyPage, w.head.Size))
			if err != nil {
				return err
			}
			for _, r := range rows {
				if err := w.versus(tx); err != nil {
					return err
				}
				w.v.check(r)
			}
			if len(rows) == 0 {
				w.v.find(from, "", "removed", "the leaves from %d on were removed from the log, which should have %d", from, w.head.Size)
				w.v.tree, w.forked = lost(w.head.Size), true
			}
			return w.nodes(tx)
		})
		if err != nil {
			return err
		}
		if w.options.Progress != nil {
			w.options.Progress(w.v.tree.size, w.head.Size)
		}
	}
	return nil
}

// pageOf returns the leaves from n to until with what is left of their events.
// A leaf that is missing is not among them.
func pageOf(tx *db.Tx, n, until int64) ([]row, error) {
	rows, err := tx.Query(`SELECT l.n, l.event_id, l.hash, e.tx, e.time, e.kind, e.outcome, e.hash, p.salt, p.data, x.commitment, x.statement
		FROM event_leaf AS l LEFT JOIN event AS e ON e.id = l.event_id LEFT JOIN event_personal AS p ON p.event_id = l.event_id
		LEFT JOIN event_erased AS x ON x.event_id = l.event_id
		WHERE l.n >= $1 AND l.n < $2 ORDER BY l.n`, n, until)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.n, &r.id, &r.leaf, &r.tx, &r.time, &r.kind, &r.outcome, &r.hash, &r.salt, &r.data, &r.commitment, &r.statement); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// nodes holds the stored hashes against those computed.
func (w *walk) nodes(tx *db.Tx) error {
	for at, want := range w.v.nodes {
		var got []byte
		err := tx.QueryRow(`SELECT hash FROM event_node WHERE level = $1 AND n = $2`, at[0], at[1]).Scan(&got)
		if err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		if string(got) != string(want[:]) {
			first := at[1] << at[0]
			w.v.find(first, "", "tree", "the stored hash over the leaves %d to %d differs from theirs", first, first+1<<at[0]-1)
		}
		delete(w.v.nodes, at)
	}
	return nil
}

// end holds what is left against the head, and looks for rows that are in no
// tree.
func (w *walk) end(ctx context.Context) error {
	return w.db.Read(ctx, func(tx *db.Tx) error {
		if err := w.versus(tx); err != nil {
			return err
		}
		if w.next != nil {
			w.v.find(w.head.Size, "", "cut", "a checkpoint was signed over %d events and the log has %d: its end was cut off", w.next.Size, w.head.Size)
		}
		if w.v.tree.root() != w.head.Root {
			w.fork(tx, w.head.Size)
		}
		w.v.explain()
		if err := w.explainErasures(tx); err != nil {
			return err
		}
		if len(w.v.report.Findings) == 0 && w.v.report.Until == 0 {
			w.v.report.Until = w.head.Size
		}
		var id string
		err := tx.QueryRow(`SELECT event_id FROM event_leaf WHERE n >= (SELECT size FROM event_head WHERE one = 1) ORDER BY n LIMIT 1`).Scan(&id)
		if err == nil {
			w.v.find(w.head.Size, id, "added", "a leaf was put behind the end of the log, for the event %s", id)
		} else if !errors.Is(err, db.ErrNoRows) {
			return err
		}
		err = tx.QueryRow(`SELECT e.id FROM event AS e WHERE e.tx < $1
			AND (SELECT l.n FROM event_leaf AS l WHERE l.event_id = e.id) IS NULL ORDER BY e.tx, e.id LIMIT 1`, w.fromTx).Scan(&id)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		w.v.find(-1, id, "added", "the event %s was put into the log after its time had been sealed", id)
		return err
	})
}
