package event

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// statement notes what an event states whose data is as it was sealed, or waits to be.
func (v *verifier) statement(rec record, data *string) {
	if data == nil || rec.Kind != EventsRetired && rec.Kind != EventsErased {
		return
	}
	var p personal
	if json.Unmarshal([]byte(*data), &p) != nil {
		return
	}
	switch {
	case rec.Kind == EventsRetired:
		v.stated[leafRange{p.Detail.From, p.Detail.Until}] = true
	case p.Detail.Hash != "":
		v.statements[rec.ID] = p.Detail
	default:
		v.toldBefore += p.Detail.Count
	}
}

// erasedBy notes a leaf whose personal part was erased.
func (v *verifier) erasedBy(r row) {
	if r.statement == nil || *r.statement == "" {
		if v.before++; v.before == 1 {
			v.firstBefore = r
		}
		return
	}
	if e := v.erased[*r.statement]; e != nil {
		e.n++
	} else {
		v.erased[*r.statement] = &erasure{first: r, n: 1}
	}
}

// explainErasures finds what was erased and no sealed event names.
func (w *walk) explainErasures(tx *db.Tx) error {
	v := w.v
	if v.report.From == 0 && v.before > v.toldBefore {
		v.find(v.firstBefore.n, v.firstBefore.id, "removed",
			"the personal parts of %d events were removed, and the log states the erasure of %d", v.before, v.toldBefore)
	}
	for id, e := range v.erased {
		d, stated := v.statements[id]
		if !stated {
			var err error
			if d, stated, err = w.elsewhere(tx, id); err != nil {
				return err
			}
		}
		parts, err := partsOf(tx, id)
		if err != nil {
			return err
		}
		if !stated || d.Count != int64(len(parts)) || d.Hash != hashOf(parts) {
			v.find(e.first.n, e.first.id, "removed",
				"the personal part of the event %s was removed, and no sealed event names it among those that were erased", e.first.id)
		}
	}
	return nil
}

// elsewhere looks for a statement that was not among the leaves that were read: it is
// before them, or waits to be sealed.
func (w *walk) elsewhere(tx *db.Tx, id string) (d Detail, stated bool, err error) {
	var (
		rec     record
		salt    []byte
		data    string
		n       *int64
		leaf    []byte
		eventTx int64
	)
	err = tx.QueryRow(`SELECT e.id, e.time, e.kind, e.outcome, e.tx, p.salt, p.data, l.n, l.hash FROM event AS e JOIN event_personal AS p ON p.event_id = e.id
		LEFT JOIN event_leaf AS l ON l.event_id = e.id WHERE e.id = $1`, id).
		Scan(&rec.ID, &rec.Time, (*string)(&rec.Kind), (*string)(&rec.Outcome), &eventTx, &salt, &data, &n, &leaf)
	if errors.Is(err, db.ErrNoRows) {
		return d, false, nil
	}
	if err != nil {
		return d, false, err
	}
	rec.Commitment = commitment(salt, []byte(data))
	h := tlog.RecordHash(encode(rec))
	switch {
	case rec.Kind != EventsErased:
	case n == nil: // it is sealed before anything is erased
	case *n >= w.v.report.From && *n < w.head.Size || string(leaf) != string(h[:]): // read, and found wrong
	default:
		var p personal
		if json.Unmarshal([]byte(data), &p) == nil && p.Detail.Hash != "" {
			return p.Detail, true, nil
		}
	}
	return d, false, nil
}

// partsOf returns what was erased under a statement, in the order of the ids.
func partsOf(tx *db.Tx, statement string) ([]erasedPart, error) {
	rows, err := tx.Query(`SELECT event_id, commitment FROM event_erased WHERE statement = $1`, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []erasedPart
	for rows.Next() {
		var p erasedPart
		if err := rows.Scan(&p[0], &p[1]); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b erasedPart) int { return strings.Compare(a[0], b[0]) })
	return out, rows.Err()
}
