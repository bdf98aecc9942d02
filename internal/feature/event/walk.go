package event

import (
	"context"
	"errors"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

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
	newest  int64       // the size of the last that was stored before the head was read
	ordered int64       // the size of the last checkpoint that agreed
	forked  bool
}

// begin reads the head and what it is held against.
func (w *walk) begin(ctx context.Context) error {
	return w.db.Read(ctx, func(tx *db.Tx) (err error) {
		if w.origin, err = current(tx); err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		// Before the head: the log of a server that runs may grow between any two statements, and be signed anew.
		if err := tx.QueryRow(`SELECT COALESCE(MAX(size), 0) FROM event_checkpoint WHERE origin = $1`, w.origin.N).Scan(&w.newest); err != nil {
			return err
		}
		if w.head, w.fromTx, err = readHead(tx); err != nil {
			return err
		}
		if horizon, err := tx.Horizon("event"); err != nil {
			return err
		} else if horizon < w.fromTx {
			w.fromTx = 0 // moved to another cluster, as the sealer finds, and not sealed since
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

// retiredSince notes what was retired while the log was being read: the statements of that are sealed behind its head.
func (w *walk) retiredSince(tx *db.Tx) error {
	rows, err := tx.Query(`SELECT e.id, e.time, e.kind, e.outcome, p.salt, p.data, l.hash FROM event_leaf AS l JOIN event AS e ON e.id = l.event_id
		JOIN event_personal AS p ON p.event_id = e.id WHERE l.n >= $1 AND e.kind = $2 ORDER BY l.n`, w.head.Size, string(EventsRetired))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			rec        record
			salt, leaf []byte
			data       string
		)
		if err := rows.Scan(&rec.ID, &rec.Time, (*string)(&rec.Kind), (*string)(&rec.Outcome), &salt, &data, &leaf); err != nil {
			return err
		}
		rec.Commitment = commitment(salt, []byte(data))
		if h := tlog.RecordHash(encode(rec)); string(h[:]) == string(leaf) {
			w.v.statement(rec, &data)
		}
	}
	return rows.Err()
}

// end holds what is left against the head, and looks for rows that are in no
// tree.
func (w *walk) end(ctx context.Context) error {
	return w.db.Read(ctx, func(tx *db.Tx) error {
		if err := w.versus(tx); err != nil {
			return err
		}
		if w.next != nil && w.next.Size <= w.newest {
			w.v.find(w.head.Size, "", "cut", "a checkpoint was signed over %d events and the log has %d: its end was cut off", w.next.Size, w.head.Size)
		}
		if w.v.tree.root() != w.head.Root {
			w.fork(tx, w.head.Size)
		}
		if err := w.retiredSince(tx); err != nil {
			return err
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
