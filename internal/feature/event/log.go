// Package event is the log of security events: what happened, to whom, from
// where, and with which outcome.
//
// An event is written in the transaction of the change that it records, so there
// is no change without its event and no event without its change. What happened
// is in the table event, which is append-only; all personal data is in
// event_personal, from which it can be deleted without breaking the
// log: the event's hash contains only a salted commitment to it. Each event is
// also one line of JSON in the process's log, once it is committed.
package event

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// saltSize is the size of the salt of each personal part, in bytes.
const saltSize = 16

// Event is something that happened.
type Event struct {
	Kind    Kind
	Outcome Outcome
	// Account is the id of the account it happened to, if there is one.
	Account string
	// Session is the id of the session it happened in, if there is one.
	Session string
	Origin  Origin
	Detail  Detail
}

// personal is the part of an event that points at a person, in the order in
// which it is committed to: adding a field is fine, renaming one is not.
type personal struct {
	Account   string `json:"account,omitempty"`
	Session   string `json:"session,omitempty"`
	RequestID string `json:"request_id,omitempty"`
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	Detail    Detail `json:"detail,omitzero"`
}

// record is what an event's hash is taken over.
type record struct {
	ID         string  `json:"id"`
	Time       int64   `json:"time"`
	Kind       Kind    `json:"kind"`
	Outcome    Outcome `json:"outcome"`
	Commitment string  `json:"commitment"`
}

// Log appends events and reads them back.
type Log struct {
	out    *slog.Logger
	random secret.Random
	now    func() time.Time
	count  func(Kind, Outcome)
}

// NewLog returns a log that also writes each event to out, and calls count
// with it, once it is committed. count may be nil.
func NewLog(out *slog.Logger, random secret.Random, now func() time.Time, count func(Kind, Outcome)) *Log {
	if count == nil {
		count = func(Kind, Outcome) {}
	}
	return &Log{out: out, random: random, now: now, count: count}
}

// The statements of Append, exported for the benchmark that gives the same to
// pgbench.
const (
	AppendSQL         = `INSERT INTO event (id, time, kind, outcome, hash) VALUES ($1, $2, $3, $4, $5)`
	AppendPersonalSQL = `INSERT INTO event_personal (event_id, person, salt, data) VALUES ($1, $2, $3, $4)`
)

// Append writes the event in the transaction. The statements are deferred: a
// failure shows at the next statement or at the commit.
func (l *Log) Append(tx *db.Tx, e Event) { l.append(tx, e) }

// append is Append, and returns the event's id.
func (l *Log) append(tx *db.Tx, e Event) (id string) {
	now := l.now()
	if e.Detail.By != "" && e.Detail.Actor == "" {
		e.Detail.Actor = e.Origin.Actor
	}
	p := personal{
		Account: e.Account, Session: e.Session, RequestID: e.Origin.RequestID,
		UserAgent: e.Origin.UserAgent, Detail: e.Detail,
	}
	if e.Origin.Address.IsValid() {
		p.Address = e.Origin.Address.String()
	}
	data := encode(p)
	salt := l.random.Bytes(saltSize)
	r := record{
		ID: l.random.ID(now), Time: db.Micros(now), Kind: e.Kind, Outcome: e.Outcome,
		Commitment: commitment(salt, data),
	}
	hash := tlog.RecordHash(encode(r))
	tx.Defer(AppendSQL,
		r.ID, r.Time, string(r.Kind), string(r.Outcome), hash[:])
	tx.Defer(AppendPersonalSQL,
		r.ID, e.Account, salt, string(data))
	tx.OnCommit(func() {
		l.count(r.Kind, r.Outcome)
		l.print(r, p, e.Origin.TraceID)
	})
	return r.ID
}

// print writes the event as a line of the process's log, whatever LOG_LEVEL
// says: that is for what happens to the server, not to people.
func (l *Log) print(r record, p personal, traceID string) {
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String("event", string(r.Kind)), slog.String("outcome", string(r.Outcome)), slog.String("event_id", r.ID))
	for _, a := range [...]slog.Attr{
		slog.String("account", p.Account), slog.String("session", p.Session), slog.String("request_id", p.RequestID), slog.String("trace_id", traceID),
		slog.String("address", p.Address), slog.String("user_agent", p.UserAgent),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if detail := encode(p.Detail); string(detail) != "{}" {
		attrs = append(attrs, slog.Any("detail", json.RawMessage(detail)))
	}
	line := slog.NewRecord(time.Now(), slog.LevelInfo, "security event", 0)
	line.AddAttrs(attrs...)
	_ = l.out.Handler().Handle(context.Background(), line) // a log that can't be written has nowhere to say so
}

// commitment is HMAC-SHA-256(salt, data) in base64: it holds the event to its
// personal part without revealing it, even to someone who can guess it.
func commitment(salt, data []byte) string {
	h := hmac.New(sha256.New, salt)
	h.Write(data)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// encode returns the canonical JSON of one of this file's structs: fields in
// their order, no spaces. They hold nothing that json can refuse.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("event: %T can't be encoded: %v", v, err))
	}
	return b
}
