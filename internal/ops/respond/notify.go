package respond

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// errLater is for an action that has done for now as much as it may.
var errLater = errors.New("it goes on later")

// MostRate is how many mails about an incident go out in an hour at most.
const MostRate = 100_000

// Notice is a mail to all whom an incident touches: in each one's language, around what those who run the service say.
type Notice struct {
	Text string
	// Rate is how many go out in an hour.
	Rate int64
	Why  string
}

// Notified is how far notices are.
type Notified struct {
	// Left is how many people the incident touches whom no notice has reached or is to reach; Going how many one that goes on is to
	// reach.
	Left, Going int64
	notice.Fate
}

// NoticePreview checks a notice, and says how far earlier ones are.
func (d *Desk) NoticePreview(ctx context.Context, n int64, in Notice) (text string, s Notified, err error) {
	ctx, run := d.Count.Begin(ctx, "incidents")
	if text, err = in.check(); err != nil {
		return text, s, run.End(err)
	}
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		i, err := incident.ByNumber(tx, n)
		if err != nil {
			return err
		}
		if s.Left, s.Going, err = incident.CountUnnotified(tx, i.ID, Notify); err != nil {
			return err
		}
		s.Fate, err = notice.FateOf(tx, notice.IncidentNotice, i.OpenedAt)
		return err
	})
	return text, s, run.End(err)
}

func (in Notice) check() (text string, err error) {
	if in.Rate < 1 || in.Rate > MostRate {
		return "", wrong("rate", "Between 1 and %d mails go out in an hour.", MostRate)
	}
	return incident.ParseText("text", in.Text)
}

// Notify queues the mails at the rate, for all whom the incident touches and no earlier notice has reached or is to reach. What
// is over the rate goes on in the background.
func (d *Desk) Notify(ctx context.Context, n int64, in Notice, by By) (a incident.Action, err error) {
	ctx, run := d.Count.Begin(ctx, "incident")
	a, err = d.notify(ctx, n, in, by)
	return a, run.End(err)
}

func (d *Desk) notify(ctx context.Context, n int64, in Notice, by By) (a incident.Action, err error) {
	o := Order{Does: Notify, Rate: in.Rate}
	if o.Text, err = in.check(); err != nil {
		return a, err
	}
	if o.Why, err = operate.ParseWhy(in.Why); err != nil {
		return a, err
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		a, err = d.prepare(tx, n, o, incident.Action{State: incident.Finding, BeganAt: d.Now()}, by)
		if err != nil {
			return err
		}
		i, err := incident.ByID(tx, a.Incident)
		if err != nil {
			return err
		}
		return d.write(tx, i, incident.Entry{Kind: incident.Notified, Action: a.ID, Text: "A notice to all whom it touches:\n" + o.Text}, by)
	})
	if err != nil {
		return a, err
	}
	return d.goOn(ctx, a, by)
}

// unnotified notes the next of those to whom a notice goes.
func (w *worker) unnotified(tx *db.Tx) (incident.Action, error) {
	if err := incident.Lock(tx, w.a.Incident); err != nil {
		return w.a, err
	}
	next := w.a
	last, err := incident.AddUnnotified(tx, w.a, w.a.Place, w.Pace.look(), w.Now())
	if next.Place = last; last == "" {
		next.State = incident.Running
	}
	return next, err
}

// allowed is how many mails may be queued now: the rate, from the beginning on, less those that are.
func (w *worker) allowed() int64 {
	return int64(float64(w.o.Rate)*(w.Now().Sub(w.a.BeganAt)+time.Minute).Hours()) + 1 - w.a.Touched["mails"]
}

// notify queues the mail to one person.
func (w *worker) notify(tx *db.Tx, id string) (Touched, error) {
	a, err := account.ByID(tx, id)
	if err != nil {
		return nil, err
	}
	return Touched{"mails": 1}, w.tell.Send(tx, notice.Mail{
		Kind: notice.IncidentNotice, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale, ByOperator: true, Message: w.o.Text,
	}, event.Origin{})
}
