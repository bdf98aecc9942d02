package event

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// stride is how many levels of the tree lie between two that are stored: the
// leaves are level 0, and every 256 of them have a row for the hash over them.
// What lies between is computed from at most 128 rows.
const stride = 8

// edge is the right edge of a tree: the roots of the complete subtrees that it
// consists of, from the largest to the smallest, one for each bit of its size.
// It is all that is needed to append to the tree and to know its root.
type edge struct {
	size   int64
	hashes []tlog.Hash
}

func (e *edge) clone() *edge { return &edge{size: e.size, hashes: slices.Clone(e.hashes)} }

// lost is a stand-in for the edge of a tree of which something is missing.
func lost(size int64) *edge {
	return &edge{size: size, hashes: make([]tlog.Hash, bits.OnesCount64(uint64(size)))} //nolint:gosec // never negative
}

// append adds a leaf. done is called with each subtree that it completes, the leaf
// included.
func (e *edge) append(leaf tlog.Hash, done func(level int, n int64, h tlog.Hash)) {
	n, h := e.size, leaf
	e.hashes = append(e.hashes, h)
	done(0, n, h)
	for level := 1; n&1 == 1; level++ {
		last := len(e.hashes) - 2
		h = tlog.NodeHash(e.hashes[last], h)
		e.hashes = append(e.hashes[:last], h)
		n >>= 1
		done(level, n, h)
	}
	e.size++
}

// root returns the hash of the tree (RFC 6962, section 2.1).
func (e *edge) root() tlog.Hash {
	if e.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // of no leaves: SHA-256 of nothing
		return h
	}
	h := e.hashes[len(e.hashes)-1]
	for i := len(e.hashes) - 2; i >= 0; i-- {
		h = tlog.NodeHash(e.hashes[i], h)
	}
	return h
}

// readEdge returns the right edge of the tree as it was when it had size leaves.
func readEdge(tx *db.Tx, size int64) (*edge, error) {
	e := &edge{size: size}
	var at int64
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- { //nolint:gosec // never negative
		if size>>level&1 == 0 {
			continue
		}
		h, err := subtree(tx, level, at>>level)
		if err != nil {
			return nil, err
		}
		e.hashes = append(e.hashes, h)
		at += 1 << level
	}
	return e, nil
}

// errNoLeaf is a tree that lacks a part of what its size says.
var errNoLeaf = errors.New("a part of the sealed log is missing")

// subtree returns the hash over the n-th complete subtree of a level.
func subtree(tx *db.Tx, level int, n int64) (tlog.Hash, error) {
	base := level / stride * stride
	width := int64(1) << (level - base)
	hashes, err := stored(tx, base, n*width, width)
	if err != nil {
		return tlog.Hash{}, err
	}
	for len(hashes) > 1 {
		for i := range len(hashes) / 2 {
			hashes[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
		hashes = hashes[:len(hashes)/2]
	}
	return hashes[0], nil
}

// stored returns count hashes of a level that is stored, from the n-th on.
func stored(tx *db.Tx, level int, n, count int64) ([]tlog.Hash, error) {
	var (
		rows *db.Rows
		err  error
	)
	if level == 0 {
		rows, err = tx.Query(`SELECT hash FROM event_leaf WHERE n >= $1 AND n < $2 ORDER BY n`, n, n+count)
	} else {
		rows, err = tx.Query(`SELECT hash FROM event_node WHERE level = $1 AND n >= $2 AND n < $3 ORDER BY n`, int64(level), n, n+count)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	hashes := make([]tlog.Hash, 0, count)
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		if len(b) != tlog.HashSize {
			return nil, fmt.Errorf("%w: the hash of part %d on level %d has %d bytes", errNoLeaf, n+int64(len(hashes)), level, len(b))
		}
		hashes = append(hashes, tlog.Hash(b))
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if int64(len(hashes)) != count {
		return nil, fmt.Errorf("%w: level %d has %d of the %d parts from %d on", errNoLeaf, level, len(hashes), count, n)
	}
	return hashes, nil
}

// reader gives tlog's proofs their hashes.
func reader(tx *db.Tx) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, 0, len(indexes))
		for _, i := range indexes {
			level, n := tlog.SplitStoredHashIndex(i)
			h, err := subtree(tx, level, n)
			if err != nil {
				return nil, err
			}
			out = append(out, h)
		}
		return out, nil
	})
}
