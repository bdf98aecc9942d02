package operate

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// EraseUser makes that an account is erased after a wait, and returns when: without one, as soon as somebody looks. What
// was asked for before stays if it comes sooner. All its sessions end.
func (f *Operator) EraseUser(ctx context.Context, user string, wait time.Duration, from event.Origin) (a account.Account, at time.Time, err error) {
	tell, err := f.Notices(ctx)
	if err != nil {
		return a, at, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if a, err = account.Find(tx, user); err != nil {
			return err
		}
		if err := f.mayAct(tx, a, nil); err != nil {
			return err
		}
		now, why := f.Now(), account.EraseByOperator
		if f.acting.Who.Account != "" {
			why = account.EraseByAdministrator
		}
		if at, err = flow.DueAfter(tx, a.ID, now, wait); err != nil {
			return err
		}
		changed, err := account.SetErase(tx, a.ID, at, why)
		if err != nil {
			return err
		}
		ended, err := f.endAll(tx, a.ID, session.WhyRevoked, from)
		if err != nil {
			return err
		}
		if !changed {
			e, err := account.ErasureOf(tx, a.ID)
			at = e.At
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.ErasureAsked, Outcome: event.Success, Account: a.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor()},
		})
		f.acted(tx, ActErase, event.Event{Account: a.ID, Origin: from, Detail: event.Detail{Count: int64(ended)}})
		if !at.After(now) {
			return nil // the mail that it is done follows at once
		}
		return tell.Send(tx, notice.Mail{
			Kind: notice.ErasureAsked, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale, At: now, Due: at, ByOperator: true,
		}, event.Origin{})
	})
	return a, at, err
}

// KeepUser makes that an account is not erased that was to be.
func (f *Operator) KeepUser(ctx context.Context, user string, from event.Origin) (a account.Account, err error) {
	tell, err := f.Notices(ctx)
	if err != nil {
		return a, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if a, err = account.Find(tx, user); err != nil {
			return err
		}
		kept, err := account.ClearErase(tx, a.ID)
		if err == nil && !kept {
			err = flow.ErrNoErasure
		}
		if err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.ErasureUndone, Outcome: event.Success, Account: a.ID, Origin: from,
			Detail: event.Detail{By: f.by(), Actor: f.actor(), Reason: "operator"},
		})
		f.acted(tx, ActKeep, event.Event{Account: a.ID, Origin: from})
		return tell.ByOperator(tx, notice.ErasureUndone, a)
	})
	return a, err
}

// ReleaseMails lets an account's mails be sent again that a restore has held, since the address it has is not the one that it had
// last, and reports whether they were held.
func (f *Operator) ReleaseMails(ctx context.Context, user string, from event.Origin) (a account.Account, held bool, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if a, err = account.Find(tx, user); err != nil {
			return err
		}
		if held, err = notice.Release(tx, a.ID); err != nil || !held {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.MailsReleased, Outcome: event.Success, Account: a.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor()},
		})
		return nil
	})
	return a, held, err
}

// ErasureOf returns whether and when an account is to be erased.
func (f *Operator) ErasureOf(ctx context.Context, user string) (e account.Erasure, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		a, err := account.Find(tx, user)
		if err == nil {
			e, err = account.ErasureOf(tx, a.ID)
		}
		return err
	})
	return e, err
}

// ExportUser lets those who run the service take the copy of an account's data, to answer who can't sign in. Its owner is told.
func (f *Operator) ExportUser(ctx context.Context, user string, from event.Origin) (a account.Account, err error) {
	tell, err := f.Notices(ctx)
	if err != nil {
		return a, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if a, err = account.Find(tx, user); err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.DataExport, Outcome: event.Success, Account: a.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor()},
		})
		f.acted(tx, ActExport, event.Event{Account: a.ID, Origin: from})
		return tell.ByOperator(tx, notice.DataExported, a)
	})
	return a, err
}

// Consents returns what an account has agreed to, and perhaps taken back, the newest first.
func (f *Operator) Consents(ctx context.Context, accountID string) (list []consent.Consent, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = consent.Of(tx, accountID)
		return err
	})
	return list, err
}
