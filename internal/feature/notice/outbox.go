// Package notice is the mails that Gatehouse sends: the outbox in which they
// wait, their texts, and their delivery.
//
// A mail is queued in the transaction of the change that it reports, so there
// is no change without its mail and no mail without its change, and no request waits
// for a mail server. Links and codes are secrets: a queued mail is encrypted under a
// key of the keyring, and once it is sent the row keeps neither them nor the
// address.
//
// # How it works
//
// Every replica delivers (deliver.go): it claims due rows by postponing due_at, one
// compare-and-set per row in the order of ids, sends them over one connection with no
// transaction open, and records each at once; what was sent and could not be
// recorded is remembered, and recorded before anything else is sent. A server
// that is unavailable costs a mail none of its tries. The HTML part is generated from
// the plain one's paragraphs, so the two never differ.
package notice

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Outbox is where mails wait.
type Outbox struct {
	key    []byte
	random secret.Random
	now    func() time.Time
	wake   chan struct{}
}

// NewOutbox returns the outbox whose mails are sealed under the key.
func NewOutbox(key []byte, random secret.Random, now func() time.Time) *Outbox {
	return &Outbox{key: key, random: random, now: now, wake: make(chan struct{}, 1)}
}

// Queue puts a mail into the outbox, in the transaction. The statement is
// deferred: it costs no round trip, and if it fails, so does the commit. An
// error is a mistake in the flow: the mail lacks what its kind needs.
func (o *Outbox) Queue(tx *db.Tx, m Mail) error {
	_, err := o.QueueID(tx, m)
	return err
}

// QueueID is Queue, and returns the id of the mail's row.
func (o *Outbox) QueueID(tx *db.Tx, m Mail) (id string, err error) {
	now := o.now()
	if m.At.IsZero() {
		m.At = now
	}
	if err := m.check(); err != nil {
		return "", err
	}
	var until *int64
	if e := m.expires(); !e.IsZero() {
		until = new(db.Micros(e))
	}
	id = o.random.ID(now)
	tx.Defer(`INSERT INTO outbox (id, kind, account_id, sent_to, sealed, created_at, due_at, until_at, tries, error)
		VALUES ($1, $2, $3, $4, $5, $6, $6, $7, 0, '')`,
		id, string(m.Kind), m.Account, m.To, o.seal(id, m), db.Micros(now), until)
	tx.OnCommit(o.nudge)
	return id, nil
}

// nudge wakes the deliverer, if there is one.
func (o *Outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// sealed binds a sealed mail to its row.
func sealedIn(id string) string { return "gatehouse/outbox/1 " + id }

func (o *Outbox) seal(id string, m Mail) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("notice: a mail can't be encoded: %v", err)) // text, times and addresses
	}
	return secret.Seal(o.random, o.key, b, sealedIn(id))
}

// open returns the mail of a row.
func (o *Outbox) open(id string, sealed []byte) (m Mail, err error) {
	b, err := secret.Open(o.key, sealed, sealedIn(id))
	if err != nil {
		return m, fmt.Errorf("the mail in the outbox can't be opened: %w", err)
	}
	err = json.Unmarshal(b, &m)
	return m, err
}
