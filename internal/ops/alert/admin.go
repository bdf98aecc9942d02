package alert

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Admin is where operators and administrators look at alerts, and silence rules.
type Admin struct {
	DB     *db.DB
	Events *event.Log
	Now    func() time.Time
}

// longestSilence is how long a rule may be silenced.
const longestSilence = 366 * 24 * time.Hour

// List returns the newest alerts as [List] does, whether there are more, and until
// when which rules are silenced.
func (d *Admin) List(ctx context.Context, before string, openOnly bool, limit int) (list []Alert, more bool, silent map[string]time.Time, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		if list, err = List(tx, before, openOnly, limit+1); err != nil {
			return err
		}
		silent, err = Silences(tx, d.Now())
		return err
	})
	if more = len(list) > limit; more {
		list = list[:limit]
	}
	return list, more, silent, err
}

// Silence sends no notifications of a rule's alerts until a time; one in the past ends it. The
// event says who did it: account and session are an administrator's, or empty.
func (d *Admin) Silence(ctx context.Context, rule string, until time.Time, by, account, session string, from event.Origin) error {
	now := d.Now()
	if until.Sub(now) > longestSilence {
		return fault.Field("until", "invalid_time", "A rule is silent for a year at most.")
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := silence(tx, rule, until); err != nil {
			return err
		}
		detail := event.Detail{By: by, Actor: account, Rule: rule}
		if !until.After(now) {
			detail.Reason = "ended"
		}
		if account != "" {
			acted := detail
			acted.Action = operate.ActSilence
			d.Events.Append(tx, event.Event{Kind: event.AdminAction, Outcome: event.Success, Account: account, Session: session, Origin: from, Detail: acted})
		}
		d.Events.Append(tx, event.Event{Kind: event.AlertSilenced, Outcome: event.Success, Account: account, Session: session, Origin: from, Detail: detail})
		return nil
	})
}
