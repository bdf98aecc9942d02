package event

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// sealBatch bounds the leaves of one transaction: on SQLite others wait for it.
const sealBatch = 500

// Head is how far the log is sealed.
type Head struct {
	// Size is the number of leaves, and Root the hash over them.
	Size int64
	Root tlog.Hash
}

// Sealer puts the committed events into a Merkle tree, in an order that never
// changes again, and signs what the tree is.
//
// Any number of them may run at once, on any replicas: each event gets exactly
// one leaf. What is promised of an event is that it is sealed within a second or
// two of its commit, however late it committed; a cursor over ids, times or a
// counter would miss some.
type Sealer struct {
	db  *db.DB
	key string
	now func() time.Time

	mu       sync.Mutex
	origin   LogOrigin
	signer   *Signer   // nil if this sealer does not have the origin's key
	edge     *edge     // of the tree after the batch that this sealer did last
	known    Head      // the largest tree that is known to have been
	moved    time.Time // when from_tx was last moved
	last     time.Time // when sealing last went well
	signed   Checkpoint
	contrary error
}

// NewSealer returns a sealer that signs with the key. If that is empty, or not
// the one the log's checkpoints are signed with, it seals and signs nothing.
func NewSealer(d *db.DB, key string, now func() time.Time) *Sealer {
	return &Sealer{db: d, key: key, now: now, last: now()}
}

// Seal gives every event that is committed and has none a leaf, signs the new
// tree, and returns its checkpoint: the zero one if nothing was new.
//
// It returns a fault.Conflict, and seals nothing any more, when the log in the
// database contradicts what it was: it got smaller, or another. Then the
// database went back in time or was tampered with, which is for an operator to
// look into.
func (s *Sealer) Seal(ctx context.Context) (Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.identify(ctx); err != nil {
		return Checkpoint{}, err
	}
	if s.contrary != nil {
		return Checkpoint{}, s.contrary
	}
	for {
		n, err := s.batch(ctx)
		if err != nil {
			if f := fault.As(err); f != nil && f.Kind == fault.Conflict {
				s.contrary = err
			}
			return Checkpoint{}, err
		}
		if n < sealBatch {
			break
		}
	}
	s.last = s.now()
	return s.sign(ctx)
}

// State is the state of sealing on this replica, for metrics.
type State struct {
	// Size is the log's, as far as this replica has seen.
	Size int64
	// Last is when it last sealed, or found nothing to seal; its own start, before.
	Last time.Time
	// Signed is the newest checkpoint that it has signed or seen.
	Signed Checkpoint
	// Origin is under which name the log is signed, Signs whether by this replica.
	Origin LogOrigin
	Signs  bool
	// Contradicted is why it seals nothing any more; nil while all is well.
	Contradicted error
}

// State returns how sealing stands.
func (s *Sealer) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{Size: s.known.Size, Last: s.last, Signed: s.signed, Origin: s.origin, Signs: s.signer != nil, Contradicted: s.contrary}
}

// Know gives the sealer a checkpoint that is kept somewhere else. A log that
// contradicts it is not sealed any further. One of an earlier origin, or that the
// log's key did not sign, is a fault.Invalid and changes nothing.
func (s *Sealer) Know(ctx context.Context, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.identify(ctx); err != nil {
		return err
	}
	c, err := ParseCheckpoint(text, s.origin.Verifier)
	if err != nil {
		return err
	}
	if c.Size > s.known.Size {
		s.known, s.edge = c.Head, nil
	}
	return nil
}

// plan is what a batch starts from.
type plan struct {
	head    Head
	edge    *edge
	fromTx  int64
	horizon int64
	pending bool
}

// look reads how far the log is, and whether there is anything to seal.
func (s *Sealer) look(ctx context.Context) (p plan, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		// The horizon first: what is below it now is committed, and seen below.
		if p.horizon, err = tx.Horizon("event"); err != nil {
			return err
		}
		if p.head, p.fromTx, err = readHead(tx); err != nil {
			return err
		}
		if p.horizon < p.fromTx {
			p.fromTx = 0 // the database was moved to another cluster, which counts from the start
		}
		var id string
		err := tx.QueryRow(`SELECT event.id FROM event
			WHERE event.tx >= $1 AND (SELECT event_leaf.n FROM event_leaf WHERE event_leaf.event_id = event.id) IS NULL
			ORDER BY event.tx, event.id LIMIT 1`, p.fromTx).Scan(&id)
		if p.pending = err == nil; err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		p.edge, err = s.continues(tx, p.head)
		return err
	})
	return p, err
}

// batch seals up to sealBatch events and returns how many.
func (s *Sealer) batch(ctx context.Context) (sealed int, err error) {
	p, err := s.look(ctx)
	if err != nil {
		s.edge = nil
		return 0, err
	}
	s.edge, s.known = p.edge, p.head
	if !p.pending && (p.horizon == p.fromTx || s.now().Sub(s.moved) < time.Minute) {
		return 0, nil // an idle log writes next to nothing
	}
	var grown *edge
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		grown, sealed = nil, 0
		// Any other sealer waits here, and then finds another size.
		mine, err := tx.Exec(`UPDATE event_head SET size = size WHERE one = 1 AND size = $1`, p.head.Size)
		if err != nil || mine == 0 {
			return err
		}
		grown = p.edge.clone()
		var last string
		if sealed, last, err = grow(tx, grown, p.fromTx); err != nil {
			return err
		}
		if sealed > 0 {
			if err := countFigures(tx, p.head.Size, grown.size); err != nil {
				return err
			}
		}
		from := p.horizon
		if sealed == sealBatch {
			// There may be more, none of which comes before the last of these, but for
			// those that have yet to commit.
			if err := tx.QueryRow(`SELECT tx FROM event WHERE id = $1`, last).Scan(&from); err != nil {
				return err
			}
			from = min(from, p.horizon)
		}
		root := grown.root()
		tx.Defer(`UPDATE event_head SET size = $1, root = $2, from_tx = $3 WHERE one = 1`, grown.size, root[:], from)
		return nil
	})
	if err != nil || grown == nil {
		s.edge = nil
		return 0, err
	}
	s.edge, s.known, s.moved = grown, Head{grown.size, grown.root()}, s.now()
	return sealed, nil
}

// continues returns the edge of the tree in the database, once it is sure that
// this tree begins with the largest that is known.
func (s *Sealer) continues(tx *db.Tx, head Head) (*edge, error) {
	if s.edge != nil && head == s.known {
		return s.edge, nil
	}
	if err := continuation(tx, head, s.known); err != nil {
		return nil, err
	}
	e, err := readEdge(tx, head.Size)
	if err != nil {
		return nil, missing(err)
	}
	if e.root() != head.Root {
		return nil, contradiction("the leaves of the sealed log do not add up to its root: they were changed")
	}
	return e, nil
}

// continuation returns a fault.Conflict unless the log whose head is given begins
// with the known one.
func continuation(tx *db.Tx, head, known Head) error {
	if head.Size < known.Size {
		return contradiction(fmt.Sprintf("it has %d events and had %d: the database was set back, or the end of the log was cut off", head.Size, known.Size))
	}
	e, err := readEdge(tx, known.Size)
	if err != nil {
		return missing(err)
	}
	if known.Size > 0 && e.root() != known.Root {
		return contradiction(fmt.Sprintf("its first %d events are not those that were signed", known.Size))
	}
	return nil
}

// missing makes a contradiction of a log that lacks a part.
func missing(err error) error {
	if errors.Is(err, errNoLeaf) {
		return contradiction(err.Error())
	}
	return err
}

func contradiction(what string) error {
	return fault.New(fault.Conflict, "event_log_contradicted",
		"The event log contradicts itself: "+what+". Nothing is sealed until an operator has looked: gatehouse events verify shows where; gatehouse events "+
			"origin says how to go on. If you have set the database back yourself, from a copy or to a point in time: gatehouse backup adopt.")
}

func readHead(tx *db.Tx) (h Head, fromTx int64, err error) {
	var root []byte
	if err := tx.QueryRow(`SELECT size, root, from_tx FROM event_head WHERE one = 1`).Scan(&h.Size, &root, &fromTx); err != nil {
		return Head{}, 0, fmt.Errorf("the head of the sealed log: %w", err)
	}
	if len(root) != tlog.HashSize || h.Size < 0 {
		return Head{}, 0, contradiction("its head is damaged")
	}
	h.Root = tlog.Hash(root)
	return h, fromTx, nil
}

// ReadHead returns how far the log is sealed.
func ReadHead(tx *db.Tx) (Head, error) {
	h, _, err := readHead(tx)
	return h, err
}

// grow appends a leaf for each event that has none, in the order of their
// transactions, and returns how many, and the id of the last event. The events
// are chosen and given their numbers in one statement, so none is chosen twice.
func grow(tx *db.Tx, e *edge, fromTx int64) (sealed int, last string, err error) {
	rows, err := tx.Query(`INSERT INTO event_leaf (n, event_id, hash)
		SELECT $1 + ROW_NUMBER() OVER (ORDER BY b.tx, b.id) - 1, b.id, b.hash FROM (
			SELECT event.tx, event.id, event.hash FROM event
			WHERE event.tx >= $2 AND (SELECT event_leaf.n FROM event_leaf WHERE event_leaf.event_id = event.id) IS NULL
			ORDER BY event.tx, event.id LIMIT $3) AS b
		WHERE TRUE RETURNING n, hash, event_id`, e.size, fromTx, sealBatch)
	if err != nil {
		return 0, "", err
	}
	type leaf struct {
		n    int64
		hash []byte
		id   string
	}
	var leaves []leaf
	for rows.Next() {
		var l leaf
		if err := rows.Scan(&l.n, &l.hash, &l.id); err != nil {
			rows.Close()
			return 0, "", err
		}
		leaves = append(leaves, l)
	}
	if err := rows.Err(); err != nil {
		rows.Close()
		return 0, "", err
	}
	if err := rows.Close(); err != nil {
		return 0, "", err
	}
	slices.SortFunc(leaves, func(a, b leaf) int { return int(a.n - b.n) })
	for _, l := range leaves {
		if l.n != e.size || len(l.hash) != tlog.HashSize {
			return 0, "", contradiction(fmt.Sprintf("the leaf %d has the number %d, or no hash", e.size, l.n))
		}
		e.append(tlog.Hash(l.hash), func(level int, n int64, h tlog.Hash) {
			keepNode(tx, level, n, h)
		})
	}
	if len(leaves) > 0 {
		last = leaves[len(leaves)-1].id
	}
	return len(leaves), last, nil
}

// keepNode stores the hash of a subtree if its level is one that is stored.
func keepNode(tx *db.Tx, level int, n int64, h tlog.Hash) {
	if level > 0 && level%stride == 0 {
		tx.Defer(`INSERT INTO event_node (level, n, hash) VALUES ($1, $2, $3)`, int64(level), n, h[:])
	}
}
