package respond

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Recovery is what there is to know before an incident is over.
type Recovery struct {
	Standing
	// Log is what verifying the event log found.
	Log event.Report
	// Compared is how what gives access differs from a backup; nil if none was named.
	Compared *Comparison
}

// Open are the actions that still stand, and can be taken back.
func (r Recovery) Open() (list []incident.Action) {
	for _, a := range r.Actions {
		about, _ := FindAbout(a.Does)
		if about.Undo != "" && a.Happened() && a.State != incident.TakenBack && !a.EndedAt.IsZero() {
			list = append(list, a)
		}
	}
	return list
}

// Recover verifies the event log, and where there is a comparison with a backup puts it into the timeline. A log that is intact ticks
// that step of the checklist; the others are ticked by who has seen to them.
func (d *Desk) Recover(ctx context.Context, n int64, o event.VerifyOptions, compare func(ctx context.Context) (*Comparison, error), by By) (
	r Recovery, err error,
) {
	ctx, run := d.Count.Begin(ctx, "incident")
	r, err = d.recover(ctx, n, o, compare, by)
	return r, run.End(err)
}

func (d *Desk) recover(ctx context.Context, n int64, o event.VerifyOptions, compare func(ctx context.Context) (*Comparison, error), by By) (
	r Recovery, err error,
) {
	if err := d.DB.Read(ctx, func(tx *db.Tx) error { _, err := incident.ByNumber(tx, n); return err }); err != nil {
		return r, err
	}
	if r.Log, err = event.Verify(ctx, d.DB, o); err != nil {
		return r, err
	}
	if compare != nil {
		if r.Compared, err = compare(ctx); err != nil {
			return r, err
		}
	}
	err = d.on(ctx, n, func(tx *db.Tx, i incident.Incident) error {
		text := fmt.Sprintf("Recovery: the event log has %s.", count(int64(len(r.Log.Findings)), "finding", "findings"))
		if len(r.Log.Findings) == 0 {
			text = fmt.Sprintf("Recovery: the event log is intact, %s.", count(r.Log.Leaves, "event", "events"))
			if _, err := incident.Tick(tx, i.ID, "verify", by.actor(), d.Now()); err != nil {
				return err
			}
		}
		if r.Compared != nil {
			text += fmt.Sprintf(" Compared with the backup %s of %s: %s.", r.Compared.Backup, stamp(r.Compared.Taken), r.Compared)
		}
		d.record(tx, event.IncidentAction, operate.ActContain, event.Detail{Incident: i.Name(), Action: "recover"}, by)
		return d.write(tx, i, incident.Entry{Kind: incident.Recovering, Text: text}, by)
	})
	if err != nil {
		return r, err
	}
	r.Standing, err = d.Show(ctx, n)
	return r, err
}
