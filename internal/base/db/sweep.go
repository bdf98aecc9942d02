package db

import "errors"

// Key is where a sweep stands: the time that a row's key begins with, and what tells rows
// of one time apart. Either may be empty, where the other is all of the key.
type Key struct {
	At int64
	ID string
}

// Batch is one step of a sweep, which goes through a table by its keys, in their order,
// and deletes what is due. It looks at a bounded number of keys behind the last one of the step before:
// while a snapshot is open deleted rows still lie at the front of the index, and whoever
// begins there each time reads them all again.
type Batch struct {
	// After is the key behind which it looks.
	After Key
	// Before is the time, in microseconds, before which a row is due.
	Before int64
	// Keys is how many keys are looked at, at most.
	Keys int
	// Dry is whether nothing is deleted.
	Dry bool
}

// Swept is what a step came to.
type Swept struct {
	// Looked is how many keys were looked at: fewer than the batch's Keys if there are no more.
	Looked int
	// Due is how many rows were deleted, or would be; Oldest is the earliest of their times.
	Due, Oldest int64
	// Last is the last key that was looked at.
	Last Key
}

// Read reads what a step looks at: rows of the key's time and id, whether the row is due (0
// or 1), and since when, in the keys' order.
func (b Batch) Read(rows *Rows, err error) (s Swept, failed error) {
	if err != nil {
		return s, err
	}
	defer rows.Close()
	s.Last = b.After
	for rows.Next() {
		var due, since int64
		if err := rows.Scan(&s.Last.At, &s.Last.ID, &due, &since); err != nil {
			return s, err
		}
		s.Looked++
		if due == 1 {
			if s.Due == 0 || since < s.Oldest {
				s.Oldest = since
			}
			s.Due++
		}
	}
	return s, errors.Join(rows.Err(), rows.Close())
}

// Deletes reports whether there is anything to delete in the step, which Read has counted.
func (b Batch) Deletes(s Swept) bool { return !b.Dry && s.Due > 0 }
