package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// An operator's reset of second factors is for whoever has lost them all. It waits, the owner is told with a link
// that stops it, any sign-in with a factor or a recovery code stops it, and when it is done a new
// password is demanded by mail: so it takes the operator, the wait and the mailbox. Without the last a
// thief who has the password would need only a kind operator. Whoever has lost the mailbox too is given another address by
// the same reset: the old one is told, and can stop it, and take it back for a week.

var errResetStopped = errors.New("the reset was stopped in the same moment")

// StopReset stops a reset for who shows the mail's link: one click, since it only keeps.
func (f *Factors) StopReset(ctx context.Context, token string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "stop_factor_reset")
	return run.End(pressedTwice(f.stopReset(ctx, token, from)))
}

func (f *Factors) stopReset(ctx context.Context, token string, from event.Origin) error {
	if token == "" {
		return Required("token")
	}
	t, err := f.find(ctx, LinkOrCode{Token: token}, event.FactorResetStop, from, ticket.StopReset, ticket.StopReset)
	if err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := ticket.Consume(tx, t, f.Now()); err != nil {
			return err
		}
		stopped, err := factor.StopReset(tx, t.Account)
		if err == nil && stopped {
			stoppedReset(tx, f.Guard.Events, t.Account, "link", from)
		}
		return err
	})
}

// keepFactors stops a reset that waits: the owner of the factors has just shown one.
func keepFactors(tx *db.Tx, log *event.Log, accountID string, from event.Origin) error {
	stopped, err := factor.StopReset(tx, accountID)
	if err == nil && stopped {
		stoppedReset(tx, log, accountID, "signed_in", from)
	}
	return err
}

// stoppedReset records that a reset was stopped.
func stoppedReset(tx *db.Tx, log *event.Log, accountID, why string, from event.Origin) {
	log.Append(tx, event.Event{
		Kind: event.FactorResetStop, Outcome: event.Success, Account: accountID, Origin: from, Detail: event.Detail{Reason: why},
	})
}

// ResetDue does a reset that is due, and reports whether there was any.
func (f *Factors) ResetDue(ctx context.Context) (more bool, err error) {
	from := event.Origin{RequestID: "job"}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		r, found, err := factor.DueReset(tx, now)
		if err != nil || !found {
			return err
		}
		more = true
		id := r.Account
		if r.Address != "" {
			if free, err := f.stillFree(tx, r, now); err != nil || !free {
				return err
			}
		}
		h, err := account.Recover(tx, id, now)
		if errors.Is(err, account.ErrNotFound) { // it is disabled: nobody signs in
			_, err = factor.StopReset(tx, id)
			return err
		}
		if err != nil {
			return err
		}
		if due, err := factor.StopReset(tx, id); err != nil || !due {
			return errors.Join(err, errResetStopped)
		}
		gone, err := factor.RemoveSince(tx, id, time.Time{})
		if err == nil {
			err = account.FactorsRemoved(tx, id, len(gone))
		}
		if err != nil {
			return err
		}
		if err := ticket.Void(tx, id); err != nil {
			return err
		}
		if err := f.endSessions(tx, id, "", "factor_reset", from); err != nil {
			return err
		}
		if err := ForgetDevices(tx, id); err != nil {
			return err
		}
		if h, err = f.moveAddress(tx, h, r, now, from); err != nil {
			return err
		}
		f.Guard.Events.Append(tx, event.Event{Kind: event.FactorResetDone, Outcome: event.Success, Account: id, Origin: from})
		m := f.Mail(tx, notice.FactorResetDone, "/reset", h, ticket.Ticket{Purpose: ticket.Reset, Address: h.Email, AddressKey: h.Key}, now)
		m.ByOperator, m.CodeLife = true, 0
		return f.Guard.Notices.Send(tx, m, event.Origin{})
	})
	if errors.Is(err, errResetStopped) {
		err = nil
	}
	return more, err
}

// stillFree reports whether the new address of a reset is nobody else's still. If it is, the reset is stopped: the operator asks again.
func (f *Factors) stillFree(tx *db.Tx, r factor.Reset, now time.Time) (bool, error) {
	err := HeldByUndo(tx, r.AddressKey, now)
	if err == nil {
		var other account.Holder
		other, err = account.HolderByAddress(tx, account.Address{Typed: r.Address, Key: r.AddressKey})
		if errors.Is(err, account.ErrNotFound) || err == nil && (other.ID == r.Account || !other.Verified) {
			return true, nil
		}
	}
	if err != nil && !errors.Is(err, ErrHeld) {
		return false, err
	}
	stopped, err := factor.StopReset(tx, r.Account)
	if err == nil && stopped {
		stoppedReset(tx, f.Guard.Events, r.Account, "address_taken", event.Origin{RequestID: "job"})
	}
	return false, err
}

// moveAddress gives the account the new address of a reset, if it has one, and mails the old one its way back.
func (f *Factors) moveAddress(tx *db.Tx, h account.Holder, r factor.Reset, now time.Time, from event.Origin) (account.Holder, error) {
	if r.Address == "" || r.AddressKey == h.Key {
		return h, nil
	}
	if err := f.displaceClaim(tx, r.AddressKey, h.ID, now, from); err != nil {
		return h, err
	}
	n, ok, err := account.SetAddress(tx, h.ID, h.PasswordN, r.Address, r.AddressKey, now)
	if err == nil && !ok {
		err = errResetStopped
	}
	if err != nil {
		return h, err
	}
	f.Guard.Events.Append(tx, event.Event{
		Kind: event.EmailChange, Outcome: event.Success, Account: h.ID, Origin: from,
		Detail: event.Detail{Reason: "operator", Address: addressHash(f.Guard.Pseudonym, r.AddressKey)},
	})
	m, err := f.wayBack(tx, h, ticket.Ticket{
		Purpose: ticket.Undo, Account: h.ID, Address: h.Email, AddressKey: h.Key, PasswordN: h.PasswordN, Seq: n, Holds: h.Verified,
	}, r.Address, now)
	if err != nil {
		return h, err
	}
	h.Email, h.Key = r.Address, r.AddressKey
	return h, f.Guard.Notices.Send(tx, m, event.Origin{})
}
