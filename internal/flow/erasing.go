package flow

import (
	"context"
	"errors"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/erasure"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// erasingBy is the origin of what the job does.
var erasingBy = event.Origin{RequestID: "job"}

// Begin begins the erasure of an account that is due, and reports whether it did: a sign-in may have kept it, or an undo of
// a change of its address may live. In one transaction, so that a sign-in comes before it or finds no account: the row is
// taken and blanked, sessions end, what waits in the outbox goes, and the last mail is queued.
func (f *Erasures) Begin(ctx context.Context, id string) (began bool, err error) {
	ctx, run := f.Count.Begin(ctx, "erase")
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		began, err = f.beginErasing(tx, id)
		return err
	})
	if err == nil && !began {
		run.As("kept")
		return false, nil
	}
	return began, run.End(err)
}

func (f *Erasures) beginErasing(tx *db.Tx, id string) (bool, error) {
	now := f.Now()
	if _, held, err := hold.Standing(tx, now); err != nil || held {
		return false, err
	}
	h, err := account.HoldDue(tx, id, now)
	if errors.Is(err, account.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	undos, err := ticket.Undos(tx, id, now)
	if err != nil || len(undos) > 0 {
		return false, err
	}
	if err := erasure.Begin(tx, id, now); err != nil {
		return false, err
	}
	if err := account.Blank(tx, id, now); err != nil {
		return false, err
	}
	if err := f.endSessions(tx, id, "", "erased", erasingBy); err != nil {
		return false, err
	}
	if err := f.Tickets.EraseTries(tx, h.Key); err != nil {
		return false, err
	}
	if _, err := notice.Erase(tx, id, h.Email, mailsAtOnce); err != nil {
		return false, err
	}
	if err := f.Guard.Lockout.Clear(tx, h.Key); err != nil {
		return false, err
	}
	if err := f.Guard.Lockout.ClearCodes(tx, id); err != nil {
		return false, err
	}
	if strings.HasSuffix(h.Key, ".invalid") { // nobody's: it was displaced
		return true, nil
	}
	// It names no account: all mails that do are deleted.
	return true, f.Guard.Notices.Send(tx, notice.Mail{Kind: notice.AccountDeleted, To: h.Email, Name: h.Name, Locale: h.Locale, At: now}, event.Origin{})
}

// mailsAtOnce is more mails than anybody has in the outbox; what is over it goes with the rest.
const mailsAtOnce = 1000

// EraseRows deletes up to limit rows of each kind of what belongs to an account that is being erased, and returns the most of
// any, or 0 when nothing is left. Rows are taken in the order in which every transaction takes them.
func (f *Erasures) EraseRows(tx *db.Tx, id string, limit int) (most int64, err error) {
	for _, erase := range []func() (int64, error){
		func() (int64, error) { return ticket.Erase(tx, id, limit) },
		func() (int64, error) { return factor.Erase(tx, id) },
		func() (int64, error) { return upstream.Erase(tx, id) },
		func() (int64, error) { return consent.Erase(tx, id) },
		func() (int64, error) { return session.Erase(tx, id, limit) },
		func() (int64, error) { return grant.Erase(tx, id, limit) },
		func() (int64, error) { return lockout.Erase(tx, id, limit) },
		func() (int64, error) { return notice.Erase(tx, id, "", limit) },
		func() (int64, error) { return account.EraseRows(tx, id, limit) },
	} {
		n, err := erase()
		if err != nil {
			return 0, err
		}
		most = max(most, n)
	}
	return most, nil
}

// Finish deletes the account itself. The event that says so names nobody.
func (f *Erasures) Finish(ctx context.Context, r erasure.Running) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := erasure.Delete(tx, r.Account, f.Now()); err != nil {
			return err
		}
		f.Guard.Events.Append(tx, event.Event{Kind: event.AccountDeleted, Outcome: event.Success, Origin: erasingBy, Detail: event.Detail{Reason: r.Why}})
		return nil
	})
}
