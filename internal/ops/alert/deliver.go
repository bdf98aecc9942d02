package alert

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// What is sent about an alert.
const (
	Raised   = "raised"
	Resolved = "resolved"
	tested   = "test"
)

// Message is a notification. Its id stays the same however often it is sent.
type Message struct {
	ID    string
	About string
	Alert Alert
}

// Body is the message as JSON, in the format of Standard Webhooks.
func (m Message) Body() ([]byte, error) {
	data := struct {
		ID         string     `json:"id"`
		Rule       string     `json:"rule"`
		RaisedAt   time.Time  `json:"raised_at"`
		ResolvedAt *time.Time `json:"resolved_at"`
		Count      int64      `json:"count"`
		Bound      int64      `json:"bound"`
		What       string     `json:"what"`
		Look       string     `json:"look"`
	}{ID: m.Alert.ID, Rule: m.Alert.Rule, RaisedAt: m.Alert.RaisedAt.UTC(), Count: m.Alert.N, Bound: m.Alert.Bound, What: m.Alert.What, Look: m.Alert.Look}
	at := data.RaisedAt
	if !m.Alert.ResolvedAt.IsZero() {
		at = m.Alert.ResolvedAt.UTC()
		data.ResolvedAt = &at
	}
	return json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      any       `json:"data"`
	}{"alert." + m.About, at, data})
}

// Test returns a message that says that it is only a test.
func Test(now time.Time) Message {
	id := secret.Random{}.ID(now)
	return Message{ID: id, About: tested, Alert: Alert{
		ID: id, Rule: tested, RaisedAt: now, What: "This is a test notification. Nothing happened.", Look: "gatehouse alert list",
	}}
}

func queue(tx *db.Tx, a Alert, about, channel string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO alert_delivery (id, alert_id, about, channel, due_at, tries, error) VALUES ($1, $2, $3, $4, $5, 0, '')`,
		secret.Random{}.ID(now), a.ID, about, channel, db.Micros(now))
	return err
}

// waits are how long after each try the next one comes, as Standard Webhooks
// has them. After the last it is given up.
var waits = []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
	20 * time.Hour, 24 * time.Hour}

// Deliverer sends what is queued, at least once.
type Deliverer struct {
	DB *db.DB
	// Send has for each channel the function that sends to it.
	Send map[string]func(context.Context, Message) error
	Now  func() time.Time
}

type due struct {
	Message
	channel string
	at      int64
	tries   int
}

// Step sends what is due, and returns why the last one that failed did.
func (d *Deliverer) Step(ctx context.Context) error {
	list, err := d.due(ctx)
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := d.try(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deliverer) due(ctx context.Context) (list []due, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT d.id, d.about, d.channel, d.due_at, d.tries, a.id, a.rule, a.raised_at, a.resolved_at, a.n, a.bound, a.what, a.look
			FROM alert_delivery AS d JOIN alert AS a ON a.id = d.alert_id WHERE d.due_at <= $1 ORDER BY d.id LIMIT 20`, db.Micros(d.Now()))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				m        due
				raised   int64
				resolved *int64
			)
			a := &m.Alert
			if err := rows.Scan(&m.ID, &m.About, &m.channel, &m.at, &m.tries, &a.ID, &a.Rule, &raised, &resolved, &a.N, &a.Bound, &a.What, &a.Look); err != nil {
				return err
			}
			a.RaisedAt = db.Time(raised)
			if resolved != nil && m.About == Resolved {
				a.ResolvedAt = db.Time(*resolved)
			}
			list = append(list, m)
		}
		return rows.Err()
	})
	return list, err
}

// try sends one, once it has made sure that no other replica does.
func (d *Deliverer) try(ctx context.Context, m due) error {
	var next *int64
	if m.tries < len(waits) {
		next = new(db.Micros(d.Now().Add(waits[m.tries] + 15*time.Second)))
	}
	var ours int64
	err := d.DB.Write(ctx, func(tx *db.Tx) (err error) {
		ours, err = tx.Exec(`UPDATE alert_delivery SET due_at = $3, tries = tries + 1 WHERE id = $1 AND due_at = $2`, m.ID, m.at, next)
		return err
	})
	if err != nil || ours == 0 {
		return err
	}
	send := d.Send[m.channel]
	if send == nil {
		return nil // the channel was switched off: it is tried again, in case it comes back
	}
	failure := send(ctx, m.Message)
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		if failure != nil {
			_, err := tx.Exec(`UPDATE alert_delivery SET error = $2 WHERE id = $1`, m.ID, failure.Error())
			return err
		}
		_, err := tx.Exec(`UPDATE alert_delivery SET due_at = NULL, error = '', sent_at = $2 WHERE id = $1`, m.ID, db.Micros(d.Now()))
		return err
	})
}
