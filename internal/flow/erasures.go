package flow

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// Erasures lets people delete their accounts (GDPR-3). An account is to be erased after a wait, in which any
// sign-in and any reset of the password keeps it: so whoever comes to a session of somebody else's for a
// moment does not destroy an account by it.
type Erasures struct {
	*EmailLinks
	// Grace is the wait.
	Grace time.Duration
}

// ErrNoErasure is for an account that is not waiting to be erased, or whose erasure has begun.
var ErrNoErasure = fault.New(fault.NotFound, "erasure_not_found", "This account is not to be deleted, or that has begun.")

// Ask makes that the account of whoever is signed in is erased after the wait, and returns when. All its sessions end. Where
// there is no second factor, the current password in the call is as good as a fresh sign-in.
func (f *Erasures) Ask(ctx context.Context, who Identity, current string, b *Browser, from event.Origin) (at time.Time, err error) {
	ctx, run := f.Count.Begin(ctx, "ask_erasure")
	at, err = f.ask(ctx, who, current, b, from)
	return at, run.End(err)
}

func (f *Erasures) ask(ctx context.Context, who Identity, current string, b *Browser, from event.Origin) (at time.Time, err error) {
	done, err := f.mayTake(ctx, who, current, b, from)
	if err != nil {
		return at, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		at, err = f.set(tx, who, from)
		if err == nil {
			done.right(tx)
		}
		return err
	})
	done.end(ctx, err)
	return at, err
}

// set makes that the account is erased. Two administrators who leave at once take the installation's row one
// after the other: each would else count on the other to stay.
func (f *Erasures) set(tx *db.Tx, who Identity, from event.Origin) (at time.Time, err error) {
	if err := account.HoldAdmins(tx); err != nil {
		return at, err
	}
	a, err := account.ByID(tx, who.Account)
	if err != nil {
		return at, err
	}
	if slices.Contains(a.Roles, account.Admin) {
		other, err := account.OtherAdmin(tx, a.ID)
		if err == nil && !other {
			err = ErrLastAdmin
		}
		if err != nil {
			return at, err
		}
	}
	now := f.Now()
	if at, err = DueAfter(tx, a.ID, now, f.Grace); err != nil {
		return at, err
	}
	changed, err := account.SetErase(tx, a.ID, at, account.EraseSelf)
	if err != nil {
		return at, err
	}
	if !changed { // somebody has asked for it before
		e, err := account.ErasureOf(tx, a.ID)
		at = e.At
		if err != nil {
			return at, err
		}
	}
	if err := f.endSessions(tx, a.ID, "", "erasure_asked", from); err != nil || !changed {
		return at, err
	}
	f.Guard.Events.Append(tx, event.Event{
		Kind: event.ErasureAsked, Outcome: event.Success, Account: a.ID, Session: who.Session, Origin: from, Detail: event.Detail{AMR: who.AMR},
	})
	return at, f.Guard.Notices.Send(tx, notice.Mail{
		Kind: notice.ErasureAsked, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale, At: now, Due: at,
	}, from)
}

// DueAfter is when an account may be erased that is to be after a wait: not before each undo of a change of its
// address is over, which would bring it back to its owner.
func DueAfter(tx *db.Tx, id string, now time.Time, wait time.Duration) (at time.Time, err error) {
	at = now.Add(wait)
	undos, err := ticket.Undos(tx, id, now)
	for _, u := range undos {
		if u.Until.After(at) {
			at = u.Until
		}
	}
	return at, err
}

// taking is a try at the current password that stood in for a fresh sign-in; the zero value is none.
type taking struct {
	links *EmailLinks
	who   Identity
	try   lockout.Try
	leave func()
	from  event.Origin
}

// mayTake refuses whoever may not delete an account or take a copy of it with this session: its sign-in must be fresh,
// and with a factor if there is one. Where there is none, the current password does as well.
func (l *EmailLinks) mayTake(ctx context.Context, who Identity, current string, b *Browser, from event.Origin) (t taking, err error) {
	h, err := l.ownAccount(ctx, who)
	if err != nil {
		return t, err
	}
	if h.Hash == "" && current != "" {
		return t, errNoneToShow
	}
	if current == "" || h.Factors > 0 {
		if err := IsFresh(who, h.Factors, l.Now()); err != nil || current == "" {
			return t, err
		}
	}
	try, leave, err := l.checkPassword(ctx, h, h.Hash, current, b, ErrWrongPassword, from)
	return taking{l, who, try, leave, from}, err
}

// right records the try in the transaction of what it was for.
func (t taking) right(tx *db.Tx) {
	if t.leave != nil {
		t.links.reauthenticated(tx, t.try, t.who.Account, t.who.Session, t.from)
	}
}

// end ends the try, and gives it back if what it was for failed.
func (t taking) end(ctx context.Context, err error) {
	if t.leave == nil {
		return
	}
	if err != nil {
		t.links.Guard.giveBack(ctx, t.try) // it was right
	}
	t.leave()
}

// kept records that an account is not erased after all, and tells its owner.
func (g *Guard) kept(tx *db.Tx, id string, detail event.Detail, from event.Origin) error {
	h, err := account.HolderByID(tx, id)
	if err != nil {
		return err
	}
	g.Events.Append(tx, event.Event{Kind: event.ErasureUndone, Outcome: event.Success, Account: id, Origin: from, Detail: detail})
	m := notice.Mail{Kind: notice.ErasureUndone, Account: id, To: h.Email, Name: h.Name, Locale: h.Locale, ByOperator: detail.By != ""}
	if m.ByOperator {
		from = event.Origin{} // where they sit is not its owner's business
	}
	return g.Notices.Send(tx, m, from)
}

// keep makes that an account is not erased that was to be, for who has shown that it is theirs. Whoever calls it holds the
// account's row.
func (g *Guard) keep(tx *db.Tx, id, why string, from event.Origin) error {
	kept, err := account.ClearErase(tx, id)
	if err == nil && kept {
		err = g.kept(tx, id, event.Detail{Reason: why}, from)
	}
	return err
}
