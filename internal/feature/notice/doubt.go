package notice

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
)

// doubt is what is known of refusals for good that may mean us: a sender that may not
// send, a quota that is used up. One mail that is refused may be at fault itself. Two in
// a row to different people, with nothing taken in between, mean us; and once the server
// has taken another, a mail that is refused again is at fault itself.
type doubt struct {
	accepted int             // mails that the server took
	since    map[string]int  // mails that were refused, and accepted then
	row      map[string]bool // those since it took one
	refusal  error           // the last one, until a mail is taken
}

// taken notes that the server took a mail, and reports whether that ends a doubt.
func (d *doubt) taken() bool {
	ended := d.refusal != nil
	d.accepted++
	d.row, d.refusal = nil, nil
	return ended
}

// ownFault reports whether a mail that is refused again is at fault itself.
func (d *Delivery) ownFault(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, seen := d.doubt.since[id]
	if seen && d.doubt.accepted > before {
		delete(d.doubt.since, id)
		return true
	}
	return false
}

// undoubtedFirst puts those last that were refused before, so that they hold up no other:
// what becomes of that one says about them.
func (d *Delivery) undoubtedFirst(list []due) []due {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.SortStableFunc(list, func(a, b due) int {
		_, x := d.doubt.since[a.id]
		_, y := d.doubt.since[b.id]
		switch {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	})
	return list
}

// refused puts a mail off that was refused perhaps because of us. The error is for all
// mails: nothing more is tried in this round.
func (d *Delivery) refused(ctx context.Context, m due, f *mail.Failure) error {
	d.mu.Lock()
	known := d.doubt.refusal != nil
	if d.doubt.since == nil || len(d.doubt.since) > 10_000 {
		d.doubt.since = map[string]int{}
	}
	if _, seen := d.doubt.since[m.id]; !seen {
		d.doubt.since[m.id] = d.doubt.accepted
	}
	if d.doubt.row == nil {
		d.doubt.row = map[string]bool{}
	}
	d.doubt.row[m.id] = true
	all := len(d.doubt.row) > 1 || known
	d.doubt.refusal = fmt.Errorf("the mail server refuses mails, perhaps because of who sends them (MAIL_FROM, or a quota): %w", f)
	refusal := d.doubt.refusal
	d.mu.Unlock()
	if !known {
		d.Log.Warn("The mail server refuses a mail, perhaps because of who sends it: "+
			"see MAIL_FROM and the server's quotas. Mails that are refused so wait.",
			"mail", m.id, "error", f.Error())
	}
	m.tries = min(m.tries, doubtTries)
	err := d.putOff(ctx, m, pauseAfter(m.tries), f.Error())
	if err == nil && all {
		err = refusal
	}
	return err
}

// hold renews the lease of a mail while it is being sent, until it is released.
func (d *Delivery) hold(ctx context.Context, m *due) (release func()) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		t := time.NewTicker(orElse(d.Renew, lease/3))
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if held, err := d.renew(ctx, m); err == nil && !held {
				return // nothing can be done: it is on its way
			}
		}
	})
	return func() { close(stop); done.Wait() }
}

// renew puts the lease off again, and reports whether it was still ours.
func (d *Delivery) renew(ctx context.Context, m *due) (held bool, err error) {
	until := db.Micros(d.Now().Add(lease))
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(`UPDATE outbox SET due_at = $3 WHERE id = $1 AND due_at = $2`, m.id, m.lease, until)
		held = n == 1
		return err
	})
	if err == nil && held {
		m.lease = until
	}
	return held, err
}

// Refused reports whether the server refuses mails for what may be a reason of ours.
func (d *Delivery) Refused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.doubt.refusal != nil
}
