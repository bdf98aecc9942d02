package event

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Line is an event for programs outside: one line of an export, or of what is
// forwarded. Its names stay.
type Line struct {
	ID        string  `json:"id"`
	Time      string  `json:"time"`
	Event     Kind    `json:"event"`
	Outcome   Outcome `json:"outcome"`
	Account   string  `json:"account_id,omitempty"`
	Session   string  `json:"session_id,omitempty"`
	RequestID string  `json:"request_id,omitempty"`
	Address   string  `json:"address,omitempty"`
	UserAgent string  `json:"user_agent,omitempty"`
	Detail    Detail  `json:"detail,omitzero"`
	Erased    bool    `json:"erased,omitempty"`
}

// Line returns the entry for programs outside.
func (e Entry) Line() Line {
	return Line{
		ID: e.ID, Time: e.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), Event: e.Kind, Outcome: e.Outcome, Account: e.Account, Session: e.Session,
		RequestID: e.RequestID, Address: e.Address, UserAgent: e.UserAgent, Detail: e.Detail, Erased: e.Erased,
	}
}

// ECS is the entry in the Elastic Common Schema, version 8.
func (e Entry) ECS() map[string]any {
	l := e.Line()
	out := map[string]any{
		"@timestamp": l.Time, "ecs": map[string]any{"version": "8.17.0"},
		"event": map[string]any{
			"id": l.ID, "kind": "event", "action": l.Event, "outcome": l.Outcome, "provider": "gatehouse", "dataset": "gatehouse.events",
			"category": []string{l.Event.category()}, "type": []string{"info"},
		},
		"gatehouse": map[string]any{"session_id": l.Session, "detail": l.Detail, "erased": l.Erased},
	}
	if l.Account != "" {
		out["user"] = map[string]any{"id": l.Account}
	}
	if l.Address != "" {
		out["source"] = map[string]any{"ip": l.Address}
	}
	if l.UserAgent != "" {
		out["user_agent"] = map[string]any{"original": l.UserAgent}
	}
	if l.RequestID != "" {
		out["http"] = map[string]any{"request": map[string]any{"id": l.RequestID}}
	}
	return out
}

// category is one of the schema's words for what kind of event it is.
func (k Kind) category() string {
	switch k {
	case FailedLogin, Login, Logout, AccountLockout, TokenRefresh:
		return "authentication"
	case SessionRevoked:
		return "session"
	case SuspiciousActivity:
		return "intrusion_detection"
	case EventsErased, EventsRetired, LogRestarted, KeyRotated:
		return "configuration"
	}
	return "iam"
}

// Format is how events are written down.
type Format string

// The formats of exports: JSON Lines, comma-separated values, and the Elastic
// Common Schema as JSON Lines.
const (
	JSONLines Format = "jsonl"
	CSV       Format = "csv"
	ECS       Format = "ecs"
)

// Exporter writes events in one format. Call Close at the end.
type Exporter struct {
	format Format
	out    *bufio.Writer
	csv    *csv.Writer
}

// NewExporter returns one that writes to w.
func NewExporter(w io.Writer, f Format) *Exporter {
	e := &Exporter{format: f, out: bufio.NewWriter(w)}
	if f == CSV {
		e.csv = csv.NewWriter(e.out)
		_ = e.csv.Write([]string{"time", "event", "outcome", "account_id", "session_id", "address", "user_agent", "request_id", "detail", "id"}) // Close reports it
	}
	return e
}

// Write writes one event.
func (e *Exporter) Write(entry Entry) error {
	switch e.format {
	case CSV:
		l := entry.Line()
		cells := []string{l.Time, string(l.Event), string(l.Outcome), l.Account, l.Session, l.Address, l.UserAgent, l.RequestID, string(encode(l.Detail)), l.ID}
		for i, c := range cells {
			cells[i] = inert(c)
		}
		return e.csv.Write(cells)
	case ECS:
		return json.NewEncoder(e.out).Encode(entry.ECS())
	default:
		return json.NewEncoder(e.out).Encode(entry.Line())
	}
}

// Close writes what is buffered.
func (e *Exporter) Close() error {
	if e.csv != nil {
		e.csv.Flush()
		if err := e.csv.Error(); err != nil {
			return err
		}
	}
	return e.out.Flush()
}

// inert keeps spreadsheets from taking a cell for a formula (CWE-1236).
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// The lines of a sealed export: a head, each leaf in order, and the checkpoint
// that holds them. It can be verified with the public key and nothing else.
type (
	sealedHead struct {
		Format string      `json:"format"`
		Origin string      `json:"origin"`
		Key    string      `json:"key"`
		From   int64       `json:"from"`
		Edge   []tlog.Hash `json:"edge"` // what the log was before the first leaf
	}
	sealedLeaf struct {
		Leaf       int64      `json:"leaf"`
		Hash       *tlog.Hash `json:"hash,omitempty"` // of a retired event: nothing else is left
		ID         string     `json:"id"`
		Time       int64      `json:"time,omitempty"` // microseconds since 1970
		Event      Kind       `json:"event,omitempty"`
		Outcome    Outcome    `json:"outcome,omitempty"`
		Salt       []byte     `json:"salt,omitempty"`
		Personal   *string    `json:"personal,omitempty"` // byte for byte as it is committed to
		Commitment *string    `json:"commitment,omitempty"`
	}
	sealedTail struct {
		Checkpoint string `json:"checkpoint"`
	}
)

const sealedFormat = "gatehouse-events/1"

// ExportSealed writes the leaves from the n-th on to the newest checkpoint, with
// all that is needed to verify them elsewhere: see [VerifyExport].
func ExportSealed(ctx context.Context, d *db.DB, from int64, w io.Writer) (leaves int64, err error) {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	var last Checkpoint
	err = d.Read(ctx, func(tx *db.Tx) error {
		o, err := current(tx)
		if err != nil {
			return fault.New(fault.NotFound, "log_unsigned", "Nothing is signed yet: start the server first.").Because(err)
		}
		if err := tx.QueryRow(`SELECT size, note FROM event_checkpoint WHERE origin = $1 ORDER BY size DESC LIMIT 1`, o.N).Scan(&last.Size, &last.Note); err != nil {
			return fault.New(fault.NotFound, "log_unsigned", "There is no checkpoint yet. Wait a second while the server is running.").Because(err)
		}
		if from < 0 || from > last.Size {
			return fault.New(fault.Invalid, "leaf_unknown", fmt.Sprintf("The log has the leaves 0 to %d.", last.Size-1))
		}
		e, err := readEdge(tx, from)
		if err != nil {
			return err
		}
		return enc.Encode(sealedHead{Format: sealedFormat, Origin: o.Name, Key: o.Verifier, From: from, Edge: e.hashes})
	})
	if err != nil {
		return 0, err
	}
	for n := from; n < last.Size; n += verifyPage {
		err := d.Read(ctx, func(tx *db.Tx) error {
			rows, err := pageOf(tx, n, min(n+verifyPage, last.Size))
			if err != nil {
				return err
			}
			for _, r := range rows {
				if err := enc.Encode(r.export()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	if err := enc.Encode(sealedTail{last.Note}); err != nil {
		return 0, err
	}
	return last.Size - from, out.Flush()
}

func (r row) export() sealedLeaf {
	l := sealedLeaf{Leaf: r.n, ID: r.id}
	if r.time == nil {
		if len(r.leaf) == tlog.HashSize {
			h := tlog.Hash(r.leaf)
			l.Hash = &h
		}
		return l
	}
	l.Time, l.Event, l.Outcome = *r.time, Kind(*r.kind), Outcome(*r.outcome)
	l.Salt, l.Personal, l.Commitment = r.salt, r.data, r.commitment
	return l
}

// errExport is for a file that ExportSealed did not write, or not to its end.
var errExport = fault.New(fault.Invalid, "export_malformed",
	"That is not a complete export of an event log. gatehouse events export --sealed writes one, whose last line is a checkpoint.")

// VerifyExport verifies a sealed export with nothing but the public key that
// must have signed it. If key is empty the one in the file is believed, which
// shows only that the file agrees with itself. kept are checkpoints that were kept
// elsewhere: those of its origin, and of leaves that it has, must agree with it and with
// each other, and if there are any given there must be one. Those of more leaves are
// counted: the log goes on after an export. Without, who rewrote the log and signed it
// anew before it was exported is not found.
func VerifyExport(r io.Reader, key string, kept ...string) (Report, error) {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	var head sealedHead
	if err := dec.Decode(&head); err != nil || head.Format != sealedFormat || head.From < 0 || len(head.Edge) != len(lost(head.From).hashes) {
		return Report{}, errExport
	}
	v := &verifier{tree: &edge{size: head.From, hashes: head.Edge}, stated: map[leafRange]bool{}}
	v.report = Report{Findings: []Finding{}, Origin: head.Origin, Verifier: head.Key, From: head.From}
	if key == "" {
		key = head.Key
	} else if key != head.Key {
		v.find(-1, "", "key", "the export is signed with another key than the one given: %s", head.Key)
	}
	v.keep(kept, key)
	for {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return v.report, errExport
		}
		var tail sealedTail
		if json.Unmarshal(raw, &tail) == nil && tail.Checkpoint != "" {
			v.meet()
			for size := range v.kept {
				if size > v.tree.size {
					v.report.Beyond++
				}
			}
			if len(kept) > 0 && v.report.Kept == 0 && len(v.report.Findings) == 0 {
				v.find(-1, "", "anchor", "of the checkpoints that were kept elsewhere none is of %s and of its leaves %d to %d", head.Origin, head.From, v.tree.size)
			}
			return v.report, v.tail(tail.Checkpoint, key)
		}
		var l sealedLeaf
		if err := json.Unmarshal(raw, &l); err != nil {
			return v.report, errExport
		}
		if l.Leaf < v.tree.size {
			v.find(l.Leaf, l.ID, "reordered", "the leaf %d comes after leaf %d", l.Leaf, v.tree.size-1)
			continue
		}
		v.meet()
		v.check(l.row())
	}
}

// keep takes the checkpoints of the export's origin to be met.
func (v *verifier) keep(kept []string, key string) {
	v.kept = map[int64]Checkpoint{}
	for _, text := range kept {
		if name, _, _ := strings.Cut(text, "\n"); name != v.report.Origin {
			continue // of an origin before or after it, which has its own key
		}
		c, err := ParseCheckpoint(text, key)
		if err != nil {
			v.find(-1, "", "unsigned", "a checkpoint that was kept elsewhere: %v", err)
			continue
		}
		if was, ok := v.kept[c.Size]; ok && was.Root != c.Root {
			// Who rewrote the log and can add to the anchor adds one of their own for each that is there.
			v.find(-1, "", "forked", "two checkpoints that were kept elsewhere are of %d leaves, and not of the same: the log was rewritten", c.Size)
			continue
		}
		v.kept[c.Size] = c
	}
}

// meet holds the leaves so far against a checkpoint of as many that was kept elsewhere.
func (v *verifier) meet() {
	c, ok := v.kept[v.tree.size]
	if !ok || c.Size == 0 || len(v.report.Findings) > 0 {
		return
	}
	delete(v.kept, c.Size)
	if c.Root != v.tree.root() {
		v.find(-1, "", "forked", "the first %d leaves are not those of the checkpoint that was kept elsewhere: the log was rewritten", c.Size)
		return
	}
	v.report.Kept++
}

// tail holds the leaves of an export against its checkpoint.
func (v *verifier) tail(text, key string) error {
	c, err := ParseCheckpoint(text, key)
	if err != nil {
		v.find(-1, "", "unsigned", "%v", err)
		return nil
	}
	v.report.Checkpoints, v.report.Until = 1, c.Size
	v.explain()
	switch {
	case len(v.report.Findings) > 0:
	case c.Size != v.tree.size:
		v.find(v.tree.size, "", "cut", "the export ends at leaf %d, and its checkpoint has %d", v.tree.size, c.Size)
	case c.Root != v.tree.root():
		v.find(v.report.From, "", "reordered", "the leaves %d to %d are not those that were signed, or not in that order", v.report.From, c.Size-1)
	}
	return nil
}

// row is the leaf as it is checked. Its hash is computed from what the line says:
// whether that is right shows in the root.
func (l sealedLeaf) row() row {
	r := row{n: l.Leaf, id: l.ID, salt: l.Salt, data: l.Personal, commitment: l.Commitment}
	if l.Hash != nil {
		r.leaf = l.Hash[:]
		return r
	}
	kind, outcome := string(l.Event), string(l.Outcome)
	r.time, r.kind, r.outcome = &l.Time, &kind, &outcome
	rec := record{ID: l.ID, Time: l.Time, Kind: l.Event, Outcome: l.Outcome}
	switch {
	case l.Personal != nil:
		rec.Commitment = commitment(l.Salt, []byte(*l.Personal))
	case l.Commitment != nil:
		rec.Commitment = *l.Commitment
	}
	h := tlog.RecordHash(encode(rec))
	r.leaf = h[:]
	return r
}

// CheckpointAt returns the newest checkpoint of the present origin with so many leaves at most; false if there is none.
func CheckpointAt(tx *db.Tx, size int64) (c Checkpoint, found bool, err error) {
	var at int64
	err = tx.QueryRow(`SELECT size, time, note FROM event_checkpoint
		WHERE origin = (SELECT COALESCE(MAX(n), 0) FROM event_origin) AND size <= $1 ORDER BY size DESC LIMIT 1`, size).Scan(&c.Size, &at, &c.Note)
	if errors.Is(err, db.ErrNoRows) {
		return c, false, nil
	}
	c.Time = db.Time(at)
	return c, err == nil, err
}

// Checkpoints returns up to limit of the newest checkpoints of the present
// origin, the newest first.
func Checkpoints(tx *db.Tx, limit int) ([]Checkpoint, error) {
	rows, err := tx.Query(`SELECT size, time, note FROM event_checkpoint
		WHERE origin = (SELECT COALESCE(MAX(n), 0) FROM event_origin) ORDER BY size DESC LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Checkpoint
	for rows.Next() {
		var (
			c  Checkpoint
			at int64
		)
		if err := rows.Scan(&c.Size, &at, &c.Note); err != nil {
			return nil, err
		}
		c.Time = db.Time(at)
		out = append(out, c)
	}
	return out, rows.Err()
}

// ThinCheckpoints deletes up to limit checkpoints that are older than keep and
// not the last of their hour, and returns how many. Each that stays holds all
// leaves before it.
func ThinCheckpoints(tx *db.Tx, now time.Time, keep time.Duration, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM event_checkpoint WHERE (origin, size) IN (
		SELECT c.origin, c.size FROM event_checkpoint AS c WHERE c.time < $1 AND EXISTS (
			SELECT 1 FROM event_checkpoint AS d WHERE d.origin = c.origin AND d.size > c.size AND d.time / 3600000000 = c.time / 3600000000)
		LIMIT $2)`, db.Micros(now.Add(-keep)), limit)
}
